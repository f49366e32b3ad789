// Run by `cargo test -p tracker-wasm` (and by `node --test`): the parts of the loader that need no browser.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import load from './load.mjs';

const { default: scrub } = await load('scrub.js');
const { default: mint } = await load('id.js');
const { json } = await load('fallback.js');

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
