// What may be told of an element: where it stands and what is written on it, never what a visitor has typed.

const LONGEST_TEXT = 60;

/** Nothing inside of it is told. */
export const isPrivate = (element) => !!element.closest('[data-segments-private]');

/** A text without line breaks, addresses and long numbers, and not too long. */
export const plain = (text) =>
  `${text ?? ''}`
    .slice(0, 500)
    .replace(/\S+@\S+|\d[\d ]{4,}/g, '*')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, LONGEST_TEXT);

/** What is written on a button or a link. Reads no layout. */
export const textOf = (element) =>
  plain(
    element.getAttribute('aria-label') ||
      (element.localName == 'input' ? element.value : element.textContent) ||
      element.title ||
      element.querySelector('img[alt]')?.alt,
  );

/**
 * Where an element stands, `nav#main>a:nth-of-type(2)`: up to the nearest id that a person gave, or five steps. Classes
 * are left out, because builds rename them.
 */
export const pathOf = (element) => {
  const steps = [];
  for (; element && element != document.body && steps.length < 5; element = element.parentElement) {
    const tag = element.localName;
    // An attribute, because a form's field may be called `id`.
    const id = element.getAttribute('id');
    if (id && !/\d\d|:/.test(id)) {
      steps.unshift(tag + '#' + id.slice(0, 40));
      break;
    }
    let place = 1;
    for (let before = element; (before = before.previousElementSibling); ) if (before.localName == tag) place++;
    steps.unshift(place > 1 ? `${tag}:nth-of-type(${place})` : tag);
  }
  return steps.join('>');
};

/** What people call a form, a field or a video; else where it stands. */
export const nameOf = (element) => {
  const name = ['name', 'id', 'aria-label', 'title'].map((attribute) => element.getAttribute(attribute)).find(Boolean);
  return name ? plain(name) : pathOf(element);
};
