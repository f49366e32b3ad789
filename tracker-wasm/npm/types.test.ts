// Read by `tsc --noEmit`, never run: a line under `@ts-expect-error` that is none fails.

import { segments, type ShopEvents } from '@segments/tracker';

// What is right.
segments.init({ site: 'wk_1', api: 'https://s.shop.example' });
segments.init({ site: 'wk_1', api: 'https://s.shop.example', consent: 'full', wasm: 'off', 404: true, deadClicks: 'off' });
segments.page();
segments.track('Order Completed', { order_id: 1001, total: '52.90', products: [{ product_id: 'a', price: 1 }], gift: true });
segments.track('Cart Viewed');
segments.track('Signed Up');
segments.track('Signed Up', { at: new Date(), where: { page: ['a', 1, null] } });
segments.track('Signed Up' as string, { order_id: { own: true } });
const refund: ShopEvents['Order Refunded'] = { order_id: 'A1', refund_id: 'r-9', amount: 12.5 };
segments.track('Order Refunded', refund);
segments.identify('u1');
segments.identify(17, { plan: 'pro' });
segments.identify({ plan: 'pro' });
segments.group('g1', { size: 3 });
segments.alias('new', 'old');
segments.consent('measure');
segments.consent({ analytics: true });
segments.ready((status) => (status.engine === 'wasm' ? status.queued.toFixed() : status.engine));

// What is wrong.
// @ts-expect-error no key
segments.init({ api: 'https://s.shop.example' });
// @ts-expect-error a consent that there is not
segments.init({ site: 'wk_1', api: 'https://s.shop.example', consent: 'maybe' });
// @ts-expect-error an option that there is not
segments.init({ site: 'wk_1', api: 'https://s.shop.example', colour: 'red' });
// @ts-expect-error an order without its id
segments.track('Order Completed', { total: 5 });
// @ts-expect-error an order that says nothing
segments.track('Order Completed');
// @ts-expect-error no amount
segments.track('Order Completed', { order_id: 'A1', total: 'much' });
// @ts-expect-error a product without its id
segments.track('Order Completed', { order_id: 'A1', products: [{ name: 'Kettle' }] });
// @ts-expect-error what was searched for is text
segments.track('Products Searched', { query: 7 });
// @ts-expect-error no value that JSON has
segments.track('Signed Up', { run: () => 1 });
// @ts-expect-error properties are an object
segments.track('Signed Up', 'pro');
// @ts-expect-error nobody
segments.identify();
// @ts-expect-error no such word
segments.consent('yes');
// @ts-expect-error no such call
segments.screen();
// @ts-expect-error without the core nothing is queued
segments.ready((status) => status.queued);
