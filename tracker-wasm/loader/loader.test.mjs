// Run by `cargo test -p tracker-wasm` (and by `node --test`): the parts of the loader that need no browser.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import load from './load.mjs';

const { default: scrub } = await load('scrub.js');
const { default: mint } = await load('id.js');
const { default: fallback, json } = await load('fallback.js');
const { default: decode } = await load('debug/wire.js');
const { default: journal } = await load('debug/journal.js');
const { default: checker, meant } = await load('debug/check.js');

test('URLs leave the page without personal values and secrets', () => {
  const corpus = JSON.parse(readFileSync(new URL('scrub_corpus.json', import.meta.url), 'utf8'));
  assert.ok(corpus.length > 25);
  for (const [url, expected] of corpus) {
    assert.equal(scrub(url), expected);
    assert.equal(scrub(scrub(url)), expected, 'a scrubbed URL stays as it is');
  }
});

test('an endless URL is cut, and scrubbing one takes no time', () => {
  assert.equal(scrub('https://shop.example/?q=' + 'a'.repeat(5000)).length, 2048);
  for (const part of ['a', '@', 'a@', '%40', '%25', 'eyJ', '&a=', '.', 'a.']) {
    const started = performance.now();
    scrub('https://shop.example/?q=' + part.repeat(20000));
    assert.ok(performance.now() - started < 2000, `${part} repeated took ${performance.now() - started} ms`);
  }
});

test('ids are uuids of version 7, in order, and distinct within a millisecond', () => {
  const before = Date.now();
  const ids = Array.from({ length: 1000 }, mint);
  assert.deepEqual([...ids].sort(), ids);
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^[\da-f]{12}7[\da-f]{3}8[\da-f]{15}$/);
  assert.match(mint('b'), /^[\da-f]{12}7[\da-f]{3}b[\da-f]{15}$/, 'one that a reset mints');
  const time = parseInt(ids[0].slice(0, 12), 16);
  assert.ok(time >= before && time <= Date.now());
  const chance = new Set(ids.map((id) => id.slice(13, 16) + id.slice(17)));
  assert.equal(chance.size, ids.length, 'what is left to chance differs too');
});

test('half a surrogate pair becomes a replacement character, and nothing else changes', () => {
  assert.equal(json({ a: 'x\ud800y', b: '\udc00' }), '{"a":"x\ufffdy","b":"\ufffd"}');
  const text = { a: 'grün 😀', b: '\\ud800', c: '\\\\ud800', d: '"\u0000\n\u001f\\', e: [1.5, null, true] };
  assert.deepEqual(JSON.parse(json(text)), text);
});

/** A fallback of a visitor who has done something, and what it posts: `[body, answered]`. */
const begun = () => {
  const posts = [];
  const standIn = fallback({ v: 1 }, (body, answered) => posts.push([JSON.parse(body), answered]));
  standIn.who(2, 'me', undefined, { visitor: 'me' });
  standIn.event({ kind: 'track', id: mint(), at: 0, view: '', name: 'One' });
  standIn.flush();
  return { posts, standIn };
};

test('without the core events that are too old are not sent for ever', ({ mock }) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_795_478_400_000 });
  const { posts } = begun();
  posts[0][1](200, 0, Date.now());
  mock.timers.tick(1e6);
  assert.equal(posts.length, 1, 'the clock is right');

  const { posts: others } = begun();
  others[0][1](200, 0, Date.now() + 864e5);
  mock.timers.tick(1);
  assert.equal(others.length, 2, 'once more under the time of the server');
  const times = others.map(([{ events }]) => parseInt(events[0].id.slice(0, 12), 16));
  assert.equal(times[1] - times[0], 864e5);
  others[1][1](200, 0, Date.now() + 864e5);
  mock.timers.tick(1e6);
  assert.equal(others.length, 2);
});

test('without the core a server that is away is left alone, whatever happens meanwhile', ({ mock }) => {
  for (const status of [0, 408, 425, 429, 500, 503]) {
    mock.timers.reset();
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_795_478_400_000 });
    const { posts, standIn } = begun();
    standIn.event({ kind: 'track', id: mint(), at: 0, view: '', name: 'Two' });
    posts[0][1](status, 30, 0);
    standIn.event({ kind: 'track', id: mint(), at: 0, view: '', name: 'Three' });
    mock.timers.tick(30_000);
    assert.equal(posts.length, 1, `after ${status}`);
    mock.timers.tick(3_000);
    const names = posts.slice(1).flatMap(([{ events }]) => events.map(({ name }) => name));
    assert.deepEqual(names.sort(), ['One', 'Three', 'Two']);
  }
  const { posts } = begun();
  posts[0][1](400, 0, 0);
  mock.timers.tick(1e6);
  assert.equal(posts.length, 1, 'what is refused stays refused');
});

const golden = (name) => readFileSync(new URL('../../wire/tests/golden/' + name, import.meta.url));

test('the debugger reads both forms of a batch alike', () => {
  for (const name of ['batch', 'measures']) {
    const binary = decode(new Uint8Array(golden(name + '.bin')));
    const text = decode(golden(name + '.json') + '');
    assert.equal(binary.load, text.load);
    assert.ok(binary.events.length > 1);
    for (const event of binary.events) {
      const twin = text.events.find(({ id }) => id == event.id);
      assert.equal(event.kind, twin.kind);
      assert.equal(event.at, Math.floor(twin.at));
      for (const field of ['url', 'title', 'name', 'user_id', 'group_id', 'previous_id', 'view', 'revision', 'engaged_ms'])
        assert.equal(event[field], twin[field], field);
      assert.deepEqual(event.properties ?? event.traits, twin.properties ?? twin.traits);
    }
  }
});

test('an event is followed from its call to its outcome, also where its id was moved to the time of the server', () => {
  const { take, entries, totals, clear } = journal({ check: () => [], changed() {}, asksForDetails: true });
  const event = (id, name) => ({ kind: 'track', id, at: 5, view: '', properties: '{"n":1}', name });
  const [one, two] = ['0193b0c42f01', '0193b0c42f02'].map((time, n) => `${time}7abc8${n}23456789abcdef`);
  const batch = (...ids) => JSON.stringify({ v: 1, load: one, events: ids.map((id) => event(id, 'A')) });
  const steps = (id) => entries.get(id.slice(13)).steps.map(([step]) => step);
  take('event', [event(one, 'A'), 5]);
  take('event', [event(two, 'B'), 5]);
  assert.deepEqual(entries.get(one.slice(13)).event.properties, { n: 1 });
  take('sent', [batch(one, two)]);
  take('sent', [batch(one, two), 0, undefined]);
  assert.deepEqual(steps(two), ['captured', 'queued', 'sent', 'waiting']);
  const again = batch('0193ffffffff' + one.slice(12), two);
  take('sent', [again]);
  const details = [
    { id: '0193ffff-ffff-' + one.slice(12, 16) + '-' + one.slice(16, 20) + '-' + one.slice(20), outcome: 'stored' },
    { id: two, outcome: 'rejected', reason: 'bad_order', detail: 'total: no amount' },
  ];
  take('sent', [again, 200, { stored: 1, duplicate: 0, rejected: 1, debug: true, details }]);
  assert.deepEqual(steps(one), ['captured', 'queued', 'sent', 'waiting', 'sent', 'stored']);
  assert.equal(entries.get(two.slice(13)).detail, 'total: no amount');
  assert.deepEqual(totals.reasons, { bad_order: 1 });
  clear();
  assert.equal(entries.size, 0);
});

test('without details an outcome is told as far as the counts allow', () => {
  const id = (n) => `0193b0c42f0${n}7abc8${n}23456789abcdef`;
  const states = (counts) => {
    const { take, entries } = journal({ check: () => [], changed() {}, asksForDetails: false });
    const body = JSON.stringify({ load: id(0), events: [1, 2].map((n) => ({ kind: 'track', id: id(n), at: 1, name: 'A' })) });
    take('sent', [body]);
    take('sent', [body, counts.status || 200, counts]);
    return new Set([...entries.values()].map(({ state }) => state));
  };
  assert.deepEqual(states({ stored: 2 }), new Set(['stored']));
  assert.deepEqual(states({ duplicate: 2 }), new Set(['duplicate']));
  assert.deepEqual(states({ stored: 1, duplicate: 1 }), new Set(['acknowledged']));
  assert.deepEqual(states({ stored: 1, rejected: 1 }), new Set(['acknowledged']));
  assert.deepEqual(states({ rejected: 2 }), new Set(['rejected']));
  assert.deepEqual(states({ status: 503, error: 'full' }), new Set(['waiting']));
  assert.deepEqual(states({ status: 403, error: 'not your domain' }), new Set(['dropped']));
});

test('development mode finds what is probably not meant so', () => {
  // In the shape of `wire::vocabulary::events_json`.
  const product = { product_id: 'i!', price: 'a', quantity: 'n', currency: 'm' };
  const order = { order_id: 'i!', total: 'a', revenue: 'a', currency: 'm', products: 'p' };
  const table = { product, events: { 'Order Completed': order, 'Product Viewed': product } };
  const texts = (event, isDropped = false, mode = 2, config = {}) =>
    checker(table, { mode: () => mode, config })(event, isDropped).map(({ text }) => text).join('; ');
  const track = (name, properties) => texts({ kind: 'track', name, properties });
  assert.equal(track('Order Completed', { order_id: 'A', total: 5, currency: 'EUR' }), '');
  assert.equal(track('Order Completed', { order_id: 7, revenue: '5.50', currency: 'EUR' }), '', 'as the collector reads it');
  assert.match(track('Order Completed', { total: 5, currency: 'EUR' }), /has no `order_id`/);
  assert.match(track('Order Completed', { order_id: 'A', total: 'much', currency: 'EUR' }), /`total` of `Order Completed` is text, a number is wanted/);
  assert.match(track('Order Completed', { order_id: 'A', total: null, currency: 'EUR' }), /`total` of `Order Completed` is null, a number/);
  assert.match(track('Order Completed', { order_id: 'A', total: 5, currency: 'Euro' }), /`currency` of .* is text, a code of three letters/);
  assert.match(track('Order Completed', { order_id: 'A' }), /no `total`: it brings no revenue/);
  const lines = [{ product_id: 1, price: 'low' }, { price: true }];
  const bad = track('Order Completed', { order_id: 'A', total: 5, currency: 'EUR', products: lines });
  assert.match(bad, /`products\[\].price` of `Order Completed` is .*; .* has no `products\[\].product_id`/);
  assert.match(track('Order Completed', { order_id: 'A', total: 5 }), /`total` without `currency`/);
  assert.match(track('Product Viewed'), /has no `product_id`/);
  assert.match(track('Lesson Finished', { text: 'x'.repeat(40000) }), /40011 bytes, limit 32768/);
  assert.match(track('', {}), /no name/);
  assert.match(track('x'.repeat(200), {}), /200 bytes, limit 128/);
  assert.match(texts({ kind: 'identify', user_id: 'u' }, true, 1), /consent is measure.*segments.consent\('full'\)/);
  assert.match(texts({ kind: 'identify', user_id: 'u' }, true, 1, { gpc: true }), /sends Global Privacy Control/);
  assert.match(texts({ kind: 'track', name: 'A' }, true, 0), /consent is off.*segments.consent\('measure'\)/);
  for (const near of ['order completed', 'Order_Completed', 'OrderCompleted', 'Completed Order', 'Order Complted', 'Order Complete'])
    assert.equal(meant(Object.keys(table.events), near), 'Order Completed', near);
  for (const far of ['Add to Cart', 'Order Completed', 'Signed Up', 'constructor', ''])
    assert.equal(meant(Object.keys(table.events), far), undefined, far);
  assert.equal(track('constructor', {}), '');
});
