// Development mode's checks: what is probably not meant so. An event is sent all the same.

// The collector's own limits (`collector/src/intake`).
const MOST_BYTES = 32768;
const LONGEST_NAME = 128;

const isText = (value) => typeof value == 'string';
const isNumber = (value) => typeof value == 'number';
const isObject = (value) => Object(value) === value && !Array.isArray(value);

// What a letter of the table wants (`wire/src/vocabulary.rs`), and whether a value is that.
const KINDS = {
  i: ['a text or a number', (value) => isText(value) || isNumber(value)],
  t: ['a text', isText],
  a: ['a number', (value) => isNumber(value) || (isText(value) && /^\s*-?\d+(\.\d+)?\s*$/.test(value))],
  c: ['a whole number', (value) => Number.isInteger(value) && value >= 0],
  n: ['a number', isNumber],
  f: ['true or false', (value) => typeof value == 'boolean'],
  m: ['a code of three letters', (value) => isText(value) && /^[a-z]{3}$/i.test(value)],
  u: ['an address', isText],
  p: ['a list of products', (value) => Array.isArray(value) && value.every(isObject)],
  l: ['a list', Array.isArray],
};
const MONEY = ['total', 'revenue', 'value', 'amount', 'price'];

const said = (value) => (Array.isArray(value) ? 'a list' : value === null ? 'null' : isText(value) ? 'text' : isObject(value) ? 'an object' : `${value}`);
const isGiven = (value) => value !== undefined && value !== '';

const bytes = (text) => new TextEncoder().encode(text).length;
const words = (name) => name.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase().match(/[\p{L}\p{N}]+/gu) || [];

/** How many letters have to change to get from one text to the other, neighbours that changed places being one. */
const distance = (a, b) => {
  let before = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
      if (a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = Math.min(row[j], before[j - 2] + 1);
    }
    [before, last] = [last, row];
  }
  return last[b.length];
};

/** The known name that this one was probably meant to be. */
export const meant = (known, name) => {
  if (!name || name.length > LONGEST_NAME || known.includes(name)) return;
  const own = words(name);
  const sorted = [...own].sort().join();
  const near = (one) => [...words(one)].sort().join() == sorted || distance(words(one).join(' '), own.join(' ')) <= 2;
  return known.find(near);
};

/** Compares what was told with what the table wants; `path` is where, `what` what the properties are of. */
const compare = (table, wanted, told, path, what, say) => {
  for (const [name, [letter, required]] of Object.entries(wanted)) {
    const value = told[name];
    const [kind, fits] = KINDS[letter];
    if (!isGiven(value)) {
      if (required) say('missing ' + path + name, `${what} has no \`${path + name}\``);
    } else if (!fits(value)) {
      say('type ' + path + name, `\`${path + name}\` of ${what} is ${said(value)}, ${kind} is wanted`);
    } else if (letter == 'p') {
      value.forEach((product) => compare(table, table.product, product, 'products[].', what, say));
    }
  }
};

const checkEvent = (table, name, properties, say) => {
  const what = `\`${name}\``;
  compare(table, table.events[name], properties, '', what, say);
  const money = MONEY.find((one) => isGiven(properties[one]) && properties[one] !== null);
  if (money && !properties.currency) say('currency', `${what} has \`${money}\` without \`currency\`: it is counted in the site's own`);
  if (!money && name == 'Order Completed') say('total', `${what} has no \`total\`: it brings no revenue`);
};

const whyDropped = (kind, mode, { gpc, dnt }) => {
  const signal = gpc ? 'Global Privacy Control' : dnt && 'Do Not Track';
  const what = `\`${kind}\` is dropped`;
  if (!mode) return `${what}: consent is off; call segments.consent('measure') or segments.consent('full') first`;
  const why = 'measured only, nobody is known';
  if (signal) return `${what}: this browser sends ${signal}, so it is ${why}`;
  return `${what}: consent is measure, so the visitor is ${why}; call segments.consent('full') first`;
};

/**
 * The check of an event against the table that `wire::vocabulary::events_json` writes. It gives what is odd about an event
 * as `{ key, text }` each, the key the same for the same mistake.
 *
 * `event` is the loader's, its properties or traits already read; `isDropped` where consent does not allow it.
 */
export default (table, { mode, config }) =>
  (event, isDropped) => {
    const { kind, name } = event;
    const found = new Map();
    const say = (key, text) => found.set([kind, name, key].join(' '), text);
    const told = event.properties ?? event.traits;
    if (kind == 'track') {
      if (!name) say('name', '`track` has no name');
      else if (bytes(name) > LONGEST_NAME) say('name', `a name is ${bytes(name)} bytes, limit ${LONGEST_NAME}: the collector rejects it`);
      const better = meant(Object.keys(table.events), name);
      if (better) say('near', `\`${name}\` is no known name: did you mean \`${better}\`?`);
      if (Object.hasOwn(table.events, name)) checkEvent(table, name, isObject(told) ? told : {}, say);
    }
    const size = told ? bytes(JSON.stringify(told)) : 0;
    if (size > MOST_BYTES) say('size', `\`${name || kind}\` is ${size} bytes, limit ${MOST_BYTES}: the collector rejects it`);
    if (isDropped) say('dropped', whyDropped(kind, mode(), config));
    return [...found].map(([key, text]) => ({ key, text }));
  };
