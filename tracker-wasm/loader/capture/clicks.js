// Clicks: on links that lead away, on files, on what an owner has marked, on buttons; and those that nothing answers.

import { DEAD, PRESS } from '../signals.js';
import { isPrivate, pathOf, textOf } from './element.js';

const BUTTON = 'button,[role=button],summary,input[type=button],input[type=submit],input[type=reset]';
const ACTED = `a[href],area[href],${BUTTON},[role=link],[role=tab],[role=menuitem]`;
const FILE = /\.(7z|avi|csv|dmg|docx?|epub|exe|gz|ics|key|mp[34]|mov|msi|ods|odt|pdf|pkg|pptx?|rar|rtf|txt|wav|xlsx?|zip)$/i;
// A list of hundred things that are clicked one after the other is told of by its first ones.
const MOST_CLICKS = 20;
const MARK = 'data-segments-prop-';
// Within this time, in ms, something changes where a click does something.
const ANSWER_MS = 1000;

/** Tells of an element that an owner has marked with `data-segments-event`. */
const tellMarked = (track, element) => {
  const properties = {};
  for (const { name, value } of element.attributes)
    if (name.startsWith(MARK)) properties[name.slice(MARK.length).replaceAll('-', '_')] = value;
  track(element.dataset.segmentsEvent, properties);
};

export default ({ wants, track, signal, scrub, on, quiet, hooks, isOwn }) => {
  let told = 0;
  hooks.views.push(() => (told = 0));

  const tell = (target) => {
    const marked = target.closest('[data-segments-event]');
    if (marked && marked.localName != 'form') return tellMarked(track, marked);
    const element = target.closest(ACTED);
    if (!element || isPrivate(element)) return;
    const { protocol, host, pathname, href } = element;
    const isLink = /^https?:$/.test(protocol);
    const text = textOf(element);
    const file = isLink && (FILE.exec(pathname) || (element.hasAttribute('download') && []));
    if (file) {
      if (wants('downloads')) track('File Downloaded', { url: scrub(href), file_type: (file[1] || '').toLowerCase(), text });
    } else if (isLink && !isOwn(host)) {
      if (wants('outbound')) track('Outbound Link Clicked', { url: scrub(href), text });
    } else if (wants('clicks') && told++ < MOST_CLICKS) {
      track('Element Clicked', { element: pathOf(element), text });
    }
  };

  // A click on a button that changes nothing: no element, no text, no place, no focus.
  const listen = (element) => {
    const { href } = location;
    let timer;
    const answered = () => {
      watch.disconnect();
      clearTimeout(timer);
      for (const type of ANSWERS) removeEventListener(type, answered, true);
    };
    const watch = new MutationObserver(answered);
    watch.observe(document, { attributes: true, characterData: true, childList: true, subtree: true });
    for (const type of ANSWERS) addEventListener(type, answered, true);
    timer = setTimeout(
      quiet(() => {
        answered();
        if (location.href == href) signal(DEAD);
      }),
      ANSWER_MS,
    );
  };
  const ANSWERS = ['scroll', 'blur', 'input', 'pagehide', 'fullscreenchange', 'play', 'pause', 'toggle', 'submit'];

  on('click', ({ target, clientX, clientY, isTrusted }) => {
    tell(target);
    // Both coordinates in one number. A script's clicks are nobody's.
    if (isTrusted && wants('rageClicks')) signal(PRESS, (clientX << 16) | clientY);
    const button = target.closest(BUTTON + ',a[href="#"],a:not([href])');
    if (button && !button.disabled && wants('deadClicks')) listen(button);
  });
  // A click with the wheel opens a link in another tab.
  on('auxclick', ({ target, button }) => button == 1 && target.closest('a[href]') && tell(target));
  on('submit', ({ target }) => target.dataset.segmentsEvent && tellMarked(track, target));
};
