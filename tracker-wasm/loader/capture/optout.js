// The visitor's own way out, and back in: links and buttons that an owner has put into a page for it.

const OPT_OUT = '[data-segments-opt-out],a[href$="#segments-opt-out"]';

const FLAG = 'segments.off';

export default ({ on, decide }) => {
  const isOptedOut = () => !!localStorage[FLAG];
  /** What the visitor wants, which lasts, and outranks whatever the page says. */
  const optOut = (out) => {
    if (out) localStorage[FLAG] = 1;
    else delete localStorage[FLAG];
    decide();
    show();
  };
  // Those that say their other text.
  const turned = new WeakSet();
  const show = () => {
    const isOut = isOptedOut();
    for (const element of document.querySelectorAll(OPT_OUT)) {
      const { dataset, textContent } = element;
      const other = dataset.segmentsOptOut;
      // A name that changes says the state by itself.
      if (!other) element.ariaPressed = isOut;
      else if (turned.has(element) != isOut) {
        turned[isOut ? 'add' : 'delete'](element);
        element.textContent = other;
        dataset.segmentsOptOut = textContent;
      }
    }
  };
  on('click', (event) => {
    if (!event.target.closest(OPT_OUT)) return;
    event.preventDefault();
    optOut(!isOptedOut());
  });
  // In another tab: what was asked for there holds here.
  on('storage', ({ key, newValue }) => {
    if (key == FLAG) optOut(newValue);
  });
  on('DOMContentLoaded', show);
  show();
};
