// Run by `cargo test -p tracker-wasm` (and by `node --test`): what is held until somebody decides, and what consent
// managers say.

import assert from 'node:assert/strict';
import test from 'node:test';
import load from './load.mjs';

const { default: fallback } = await load('fallback.js');
const { FULL, MEASURE, OFF, WAIT } = await load('modes.js');
const { verdict: ofTcf } = await load('consent/tcf.js');
const { take, verdict: ofGtag } = await load('consent/gtag.js');

/** A fallback that waits, and the bodies it posts. */
const waiting = () => {
  const posted = [];
  const sink = fallback({ v: 1, key: 'wk_1' }, (body) => posted.push(JSON.parse(body)));
  sink.who(WAIT, '', undefined, {});
  sink.view('0'.repeat(32), 0);
  sink.event({ kind: 'page', id: '1'.repeat(32), at: 1, view: '' });
  sink.event({ kind: 'identify', id: '2'.repeat(32), at: 2, view: '0'.repeat(32), traits: '', user_id: 'u1' });
  sink.event({ kind: 'track', id: '3'.repeat(32), at: 3, view: '0'.repeat(32), properties: '', name: 'Seen' });
  sink.flush();
  assert.deepEqual(posted, [], 'nothing before somebody has decided');
  return { sink, posted };
};
const kinds = (body) => body.events.map((event) => event.kind);

test('what was held is sent as the visitor’s, once they have agreed to be known', () => {
  const { sink, posted } = waiting();
  sink.who(FULL, 'v', {}, { visitor: 'v' });
  sink.flush();
  assert.equal(posted.length, 1);
  assert.deepEqual([posted[0].visitor, posted[0].load], ['v', undefined]);
  assert.deepEqual(kinds(posted[0]), ['page', 'identify', 'track']);
});

test('what was held is sent without what says who somebody is, where they are measured', () => {
  const { sink, posted } = waiting();
  sink.who(MEASURE, 'l', undefined, { load: 'l' });
  sink.flush();
  assert.deepEqual([posted[0].visitor, posted[0].load], [undefined, 'l']);
  assert.deepEqual(kinds(posted[0]), ['page', 'track']);
});

test('what was held is forgotten by a refusal, also should they agree later', () => {
  const { sink, posted } = waiting();
  sink.who(OFF, 'o', undefined, { load: 'o' });
  sink.flush();
  sink.who(FULL, 'v', {}, { visitor: 'v' });
  sink.flush();
  assert.deepEqual(posted, []);
});

test('a thousand events are held and no more', () => {
  const { sink, posted } = waiting();
  for (let n = 0; n < 1500; n++) sink.event({ kind: 'track', id: '4'.repeat(32), at: n, view: '', properties: '', name: 'Many' });
  sink.who(FULL, 'v', {}, { visitor: 'v' });
  sink.flush();
  assert.equal(posted.reduce((sum, body) => sum + body.events.length, 0), 1000);
  assert.equal(posted[0].events[0].kind, 'page', 'the first ones');
});

test('IAB TCF: storage, profile and measurement have to be agreed to', () => {
  const answer = (eventStatus, consents, more) => ofTcf({ gdprApplies: true, eventStatus, purpose: { consents }, ...more });
  const all = { 1: true, 5: true, 8: true };
  assert.equal(answer('tcloaded', all), true);
  assert.equal(answer('useractioncomplete', all), true);
  assert.equal(answer('cmpuishown', all), undefined, 'the question is still on the screen');
  for (const missing of [1, 5, 8]) assert.equal(answer('tcloaded', { ...all, [missing]: false }), false);
  assert.equal(answer('tcloaded', {}), false);
  assert.equal(answer('tcloaded', undefined), false);
  assert.equal(ofTcf({ gdprApplies: true, eventStatus: 'tcloaded' }), false);
  assert.equal(answer('cmpuishown', {}, { gdprApplies: false }), true, 'where the law is another one, nobody has to ask');
  assert.equal(answer('tcloaded', {}, { gdprApplies: undefined }), false, 'not known is not "does not apply"');
});

test('Google’s consent mode: a refusal by default decides nothing, an update does', () => {
  const after = (isFull, ...commands) => {
    const state = {};
    for (const command of commands) take(state, command);
    return ofGtag(state, isFull);
  };
  const says = (action, analytics_storage, more) => ['consent', action, { analytics_storage, ...more }];
  assert.equal(after(false), undefined);
  assert.equal(after(false, says('default', 'denied')), undefined);
  assert.equal(after(false, says('default', 'denied'), says('update', 'granted')), true);
  assert.equal(after(false, says('default', 'granted')), true);
  assert.equal(after(false, says('default', 'granted'), says('update', 'denied')), false);
  assert.equal(after(false, says('update', 'granted'), says('update', 'denied')), false, 'the last word counts');
  assert.equal(after(false, says('default', 'granted'), says('default', 'denied', { region: ['CH'] })), undefined);
  assert.equal(after(false, says('default', 'denied', { region: ['CH'] }), says('update', 'granted')), true);
  assert.equal(after(true, says('default', 'denied')), false, 'a tag that begins with full is brought down');
  assert.equal(after(false, ['consent', 'update', { ad_storage: 'granted' }]), undefined, 'advertising is another matter');
});

test('Google’s consent mode: whatever else is in the layer is passed over', () => {
  const state = {};
  (function () {
    assert.equal(take(state, arguments), true, 'as gtag() puts it there');
  })('consent', 'update', { analytics_storage: 'granted' });
  for (const other of [undefined, null, 'text', 7, {}, { event: 'gtm.js' }, () => {}, ['js', new Date()], ['consent'], ['consent', 'update', null]])
    assert.equal(take(state, other), false);
  assert.equal(state.chosen, 'granted');
});
