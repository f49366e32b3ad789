// The visitor's own way out, and back in: links and buttons that an owner has put into a page for it.

const OPT_OUT = '[data-segments-opt-out],a[href$="#segments-opt-out"]';

export default ({ on, api }) => {
  // Those that say their other text.
  const turned = new WeakSet();
  const show = () => {
    const isOut = api.optOut();
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
    api.optOut(!api.optOut());
    show();
  });
  // In another tab: what was asked for there holds here.
  on('storage', ({ key, newValue }) => {
    if (key != 'segments.off') return;
    api.optOut(!!newValue);
    show();
  });
  on('DOMContentLoaded', show);
  show();
};
