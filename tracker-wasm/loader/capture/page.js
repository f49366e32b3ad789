// What a page is: one that was not found, the result of a search, a product; and the videos on it.

import { isPrivate, nameOf, plain } from './element.js';

const SEARCHES = 'q,query,s,search,keyword,keywords,term';
const LONGEST_DATA = 1e5;
// A page has so many ms to show a product, and to say so itself.
const ANSWER_MS = 1000;

/** The things that a page describes in schema.org's terms. */
const described = () => {
  const found = [];
  const look = (thing) => {
    if (Array.isArray(thing)) return thing.forEach(look);
    if (Object(thing) !== thing) return;
    if (/^Product(Group)?$/.test([].concat(thing['@type'])[0])) found.push(thing);
    else [thing['@graph'], thing.mainEntity].forEach(look);
  };
  for (const { textContent } of document.querySelectorAll('script[type="application/ld+json"]'))
    try {
      if (textContent.length < LONGEST_DATA) look(JSON.parse(textContent));
    } catch {
      // The page's own mistake, which its search engine tells it of.
    }
  return found;
};

/** The properties of `Product Viewed`, of a schema.org `Product`. */
const product = (thing) => {
  const offer = [].concat(thing.offers)[0] || {};
  const price = offer.price ?? offer.lowPrice ?? offer.priceSpecification?.price;
  const known = {
    product_id: thing.sku || thing.productID || thing.productGroupID || thing.gtin13 || thing.gtin,
    name: thing.name,
    brand: thing.brand?.name || thing.brand,
    category: thing.category?.name || thing.category,
    price: price && +price,
    currency: offer.priceCurrency,
  };
  for (const name in known) if (!/^(string|number)$/.test(typeof known[name]) || known[name] !== known[name]) delete known[name];
  return known;
};

export default ({ data, wants, track, scrub, on, idle, said, hooks, mode, me }) => {
  let isFirst = 1;
  let timer;
  const view = () => {
    const [navigation] = performance.getEntriesByType('navigation');
    if (wants('404') && ('404' in data || (isFirst && navigation?.responseStatus == 404)))
      track('Page Not Found', { path: new URL(scrub(location.href)).pathname, referrer: scrub(document.referrer) });
    isFirst = 0;
    const asked = new URLSearchParams(location.search);
    const query = (data.search || SEARCHES).split(',').map((name) => plain(asked.get(name.trim()))).find(Boolean);
    if (query && wants('search')) track('Site Searched', { query });
    clearTimeout(timer);
    if (wants('products')) timer = setTimeout(() => idle(look), ANSWER_MS);
  };
  // The product that the last look has found, and for whom.
  let before;
  const look = () => {
    if (!mode()) return;
    const [thing, more] = described();
    const written = JSON.stringify([mode(), me(), thing]);
    // A page that tells of it by itself knows more. A list of products is no view of each, nor is what a page by history has
    // left of the one before.
    if (thing && !more && written != before && !said('Product Viewed')) track('Product Viewed', product(thing));
    before = written;
  };
  hooks.views.push(view);
  view();

  // How far each video is: its quarters that were passed.
  const passed = new WeakMap();
  on('playing timeupdate ended', ({ type, target }) => {
    const { localName, duration, currentTime, autoplay, muted, loop } = target;
    // What plays by itself without sound is decoration.
    if (localName != 'video' || !(duration > 0) || (autoplay && muted && loop) || isPrivate(target) || !wants('video')) return;
    const quarter = type == 'ended' ? 4 : Math.floor((currentTime / duration) * 4);
    const before = passed.get(target);
    const properties = () => ({ video: nameOf(target), seconds: Math.round(duration) });
    if (before === undefined) {
      if (type != 'playing') return;
      track('Video Played', properties());
      passed.set(target, 0);
    } else if (quarter > before) {
      passed.set(target, quarter);
      if (quarter < 4) track('Video Progressed', { ...properties(), percent: quarter * 25 });
      else if (type == 'ended') track('Video Completed', properties());
      else passed.set(target, 3);
    }
  });
};
