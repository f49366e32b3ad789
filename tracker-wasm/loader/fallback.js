// What the core does, as far as a page without WebAssembly needs it: the same calls, the JSON form of the wire, a
// small snapshot, and retries as long as the page lives. Nothing is stored on the device.

const IDLE_MS = 30000;
const GATHER_MS = 300;
const MOST_EVENTS = 200;

/** JSON in which half a surrogate pair, which no database takes, has become a replacement character. */
export const json = (value) =>
  JSON.stringify(value).replace(/\\(ud[89a-f]..|.)/g, (whole, escape) => (escape[1] ? '\ufffd' : whole));

/** One batch; `skew` moves the times inside ids to the server's clock. Quotes inside texts are escaped, so that the
 * pattern finds members only. */
export const batch = (config, whose, events, skew) =>
  json({ ...config, ...whose, sent: Date.now(), events }).replace(
    /"(id|view)":"(\w{12})/g,
    (whole, name, time) => `"${name}":"0` + (parseInt(time, 16) + skew).toString(16),
  );

export default (config, post) => {
  let whose;
  // `[whose, events, on its way]`: what is not acknowledged.
  let batches = [];
  let timer;
  let failures = 0;
  let skew = 0;
  let view, engaged_ms, max_scroll_pct, clicks, revision, reported, last, active;

  const count = (now) => {
    if (active) engaged_ms += Math.min(now - last, IDLE_MS);
    last = now;
  };
  const due = (wait) => {
    timer = timer || setTimeout(self.flush, wait);
  };

  const self = {
    who(mode, id, storage, next) {
      whose = next;
      if (!mode) batches = [];
    },
    view(id, now) {
      view = id;
      last = now;
      engaged_ms = max_scroll_pct = clicks = revision = 0;
      reported = '0,0,0';
    },
    signal(what, now, value) {
      if (what == 2) max_scroll_pct = Math.max(max_scroll_pct, value);
      else count(now);
      if (what == 1) clicks++;
      if (what == 3) active = value;
    },
    event(event) {
      let open = batches.find((batch) => batch[0] == whose && !batch[2]);
      if (!open) batches.push((open = [whose, []]));
      if (open[1].length < MOST_EVENTS) open[1].push(event);
      due(GATHER_MS);
    },
    snapshot(id, at) {
      count(at);
      engaged_ms |= 0;
      const values = [engaged_ms, max_scroll_pct, clicks] + '';
      if (view && values != reported) {
        reported = values;
        self.event({ kind: 'snapshot', id, at, view, revision: ++revision, engaged_ms, max_scroll_pct, clicks });
      }
    },
    flush() {
      timer = clearTimeout(timer);
      batches.forEach((sent) => {
        if (sent[2]) return;
        sent[2] = 1;
        post(batch(config, sent[0], sent[1], skew), (status, wait, server) => {
          if (!status || status == 429 || status > 499) {
            sent[2] = 0;
            due(Math.max(wait * 1000, (2000 << Math.min(failures++, 7)) * (1 - Math.random() / 2)));
          } else if (server && !skew) {
            // The ids were refused for their time: once more, under the server's.
            skew = server - Date.now();
            sent[2] = due(0);
          } else {
            failures = 0;
            batches = batches.filter((other) => other != sent);
          }
        });
      });
    },
    status: () => ({ engine: 'js' }),
  };
  // A page that goes away does not stop a fetch with keepalive, and that one hears the answer if the page stays.
  self.leave = self.flush;
  return self;
};
