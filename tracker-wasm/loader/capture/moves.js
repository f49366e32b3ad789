// That people are there: input, scrolling, and on to the next page by the page's own navigation.

import { CLICK, INPUT, SCROLL } from '../signals.js';

export default ({ on, quiet, idle, tell, moved, hooks, wants }) => {
  // At most once a second. What scrolls inside a page may do so by itself.
  let last = 0;
  on('pointermove pointerdown keydown scroll click', ({ type, timeStamp, target }) => {
    if (type == 'click') tell('signal', CLICK, Date.now(), 0);
    else if (timeStamp - last > 1000 && (type != 'scroll' || target == document)) {
      last = timeStamp;
      tell('signal', INPUT, Date.now(), 0);
    }
  });

  // The page's layout is read when it has nothing else to do.
  let measuring;
  const measureSoon = () => {
    measuring =
      measuring ||
      idle(() => {
        measuring = 0;
        const seen = ((scrollY + innerHeight) / document.documentElement.scrollHeight) * 100;
        tell('signal', SCROLL, Date.now(), Math.min(100, seen) | 0);
      });
  };
  if (wants('scroll')) {
    on('scroll', measureSoon);
    hooks.views.push(measureSoon);
    measureSoon();
  }

  if (!wants('history')) return;
  // Later than the call, so that the title is the new one and nothing of ours runs inside the page's.
  let timer;
  const soon = quiet(() => {
    clearTimeout(timer);
    timer = setTimeout(quiet(moved), 50);
  });
  on('popstate', soon);
  for (const name of ['pushState', 'replaceState']) {
    const original = history[name];
    history[name] = function () {
      const result = original.apply(this, arguments);
      soon();
      return result;
    };
  }
  // What moved before anybody listened.
  soon();
};
