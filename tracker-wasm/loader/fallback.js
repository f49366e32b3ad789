// What the core does, as far as a page needs it before the core is there, or where WebAssembly never will be: the same
// calls, the JSON form of the wire, a small snapshot, and retries as long as the page lives. Nothing is stored on the
// device.

import { MEASURE, WAIT } from './modes.js';
import { ACTIVE, CLICK, SCROLL } from './signals.js';

const IDLE_MS = 30000;
const HOUR_MS = 3600000;
const GATHER_MS = 300;
const MOST_EVENTS = 1e3;

// Arrays are gone through and grown without their own functions, because pages change those.

/** JSON in which half a surrogate pair, which no database takes, has become a replacement character. */
export const json = (value) =>
  JSON.stringify(value).replace(/\\(ud[89a-f]..|.)/g, (whole, escape) => (escape[1] ? '\ufffd' : whole));

/** Whether the page has left JSON and arrays as they are: what would be refused is not sent. */
const isSound = () => {
  try {
    return json([{ a: '"' }]) == '[{"a":"\\""}]';
  } catch {}
};

export default (config, post) => {
  let identity;
  let whose;
  // `[whose, events, on its way]`: what is not acknowledged.
  const batches = new Set();
  let timer;
  let failures = 0;
  // What to add to the times inside ids, because this browser's clock is wrong.
  let skew = 0;
  let view, engaged_ms, max_scroll_pct, clicks, revision, reported, last, active;
  let heir;

  const count = (now) => {
    if (active) engaged_ms += Math.min(now - last, IDLE_MS);
    last = now;
  };
  const due = (wait) => {
    timer = timer || setTimeout(self.flush, wait);
  };
  const self = {
    who(...args) {
      // What was held is theirs now, as far as they have agreed to be known: `alias`, `group` and `identify` say who
      // somebody is, and stand before the others in the alphabet.
      if (identity?.[0] == WAIT)
        for (const batch of batches) {
          const events = [];
          for (const event of batch[1]) if (args[0] > MEASURE || event.kind > 'o') events[events.length] = event;
          batch[0] = args[3];
          batch[1] = events;
        }
      identity = args;
      whose = args[3];
      if (!args[0]) batches.clear();
      heir?.who(...args);
    },
    view(id, now) {
      view = id;
      last = now;
      engaged_ms = max_scroll_pct = clicks = revision = 0;
      reported = '0,0,0';
    },
    signal(what, now, value) {
      if (what == SCROLL) max_scroll_pct = Math.max(max_scroll_pct, value);
      else count(now);
      if (what == CLICK) clicks++;
      if (what == ACTIVE) active = value;
    },
    event(event) {
      let open;
      for (const batch of batches) if (batch[0] == whose && !batch[2]) open = batch;
      if (!open) batches.add((open = [whose, []]));
      const [, events] = open;
      if (events.length < MOST_EVENTS) events[events.length] = event;
      due(GATHER_MS);
    },
    snapshot(id, at) {
      count(at);
      engaged_ms |= 0;
      const values = `${engaged_ms},${max_scroll_pct},${clicks}`;
      if (view && values != reported) {
        reported = values;
        self.event({ kind: 'snapshot', id, at, view, revision: ++revision, engaged_ms, max_scroll_pct, clicks });
      }
    },
    flush() {
      timer = clearTimeout(timer);
      for (const sent of batches) {
        if (sent[2] || identity[0] == WAIT) continue;
        // The core can do more for them, unless it knows another visitor by now.
        if (heir && sent[0] == whose) {
          for (const event of sent[1]) heir.event(event);
          batches.delete(sent);
          continue;
        }
        if (!isSound()) continue;
        sent[2] = 1;
        // Quotes inside texts are escaped, so that the pattern finds members only.
        const body = json({ ...config, ...sent[0], sent: Date.now(), events: sent[1] }).replace(
          /"(id|view)":"(\w{12})/g,
          (whole, name, time) => `"${name}":"0` + (parseInt(time, 16) + skew).toString(16),
        );
        const answered = (status, wait, server) => {
          if (/^(0|408|42[59]|5..)$/.test(status)) {
            sent[2] = 0;
            // What happens meanwhile waits as well.
            timer = clearTimeout(timer);
            // From two seconds to four minutes, doubling, and over again; less up to half of it by chance.
            due(wait * 1000 + (2000 << failures++ % 8) * (1 - Math.random() / 2));
          } else if (server && !skew && (skew = Math.round((server - Date.now()) / HOUR_MS) * HOUR_MS)) {
            // The ids were refused for their time: once more, under the server's. Whole hours, so that the core,
            // should it come now and find out for itself, moves references by the same. Where the clock is right, the
            // events are too old.
            sent[2] = due(0);
          } else {
            failures = 0;
            batches.delete(sent);
          }
        };
        post(body, answered, sent[0].load);
      }
    },
    status: () => ({ engine: 'js' }),
    // The core goes on from here, with the same view and the same visitor.
    cede(core) {
      const now = Date.now();
      count(now);
      core.who(...identity);
      core.view(view, now, engaged_ms, max_scroll_pct, clicks, revision);
      core.signal(ACTIVE, now, active);
      heir = core;
      due(0);
      return core;
    },
  };
  // A page that goes away does not stop a fetch with keepalive, and that one hears the answer if the page stays.
  self.leave = self.flush;
  return self;
};
