// The script behind the tag. It decides whose events may be told, sends the first page view, and fetches the rest:
// `capture.js`, which sees what happens on the page, and the core, the WebAssembly module. `fallback.js` takes the
// core's calls until it is there, and for good where it cannot run.
//
// Nothing in here may throw into the page, write to its console or make it wait: whatever runs later runs through
// `quiet`, and nothing of the page's layout is read outside idle time.

import fallback, { json } from './fallback.js';
import mint from './id.js';
import scrub from './scrub.js';
import { ACTIVE, CLICK, INPUT, SCROLL } from './signals.js';

// How much may be told; also the core's numbers.
const OFF = 0;
const MEASURE = 1;
const FULL = 2;

const VISITOR = 'segments.visitor';
// Kept by the core.
const QUEUE = 'segments.queue';

// The place of the last call that is kept for the debugger, of those before it can be there. Where that place is taken,
// nothing more is kept, which `capture.js` makes use of.
const MOST_TOLD = 99;

const quiet =
  (run) =>
  (...args) => {
    try {
      return run(...args);
    } catch {}
  };

const modeOf = (word) => ({ off: OFF, full: FULL })[word] ?? MEASURE;

quiet(() => {
  const script = document.currentScript;
  const early = window.segments;
  // A tag that stands twice on a page counts once.
  if (early?.consent) return;
  const { site, consent, wasm, api, hash } = script.dataset;
  const { origin } = new URL(api || script.src);
  const endpoint = origin + '/v1/events';
  const { width, height } = screen;
  const gpc = !!navigator.globalPrivacyControl;
  const dnt = navigator.doNotTrack == 1;
  // The header of the wire's JSON form.
  const config = {
    v: 1,
    key: site,
    gpc,
    dnt,
    tracker: 1,
    width,
    height,
    language: navigator.language,
    time_zone: quiet(() => Intl.DateTimeFormat().resolvedOptions().timeZone)(),
  };

  // What `capture.js` wants to be called for: a view was counted, one is about to end, one is about to be summed up. For
  // the debugger: what it asks the collector, and what was told so far, until `capture.js` knows whether somebody looks.
  const hooks = { views: [], ends: [], sums: [], query: '', told: [] };
  const run = (all) => all.forEach((one) => quiet(one)());
  // Later than what the page itself is doing.
  const idle = (run) => (window.requestIdleCallback || setTimeout)(quiet(run));
  // In the capture phase, which a page does not stop.
  // What happens to the debugger's own element does not happen to the page.
  const on = (types, run) =>
    types.split(' ').forEach((type) => addEventListener(type, quiet((event) => hooks.panel != event.target && run(event)), true));

  // The transport, for loader, core and fallback alike.
  const post = async (body, answered) => {
    let response;
    let said;
    tell('sent', body);
    try {
      // Asking while offline would only write to the console.
      if (navigator.onLine) {
        response = await fetch(endpoint + hooks.query, {
          method: 'POST',
          body,
          // Browsers refuse to keep more than 64 KB alive.
          keepalive: body.length < 6e4,
          credentials: 'omit',
          headers: { 'Content-Type': 'text/plain' },
        });
        said = await response.json();
      }
    } catch {}
    // Never within the call that posts: the core is busy until it returns.
    await 0;
    tell('sent', body, response, said);
    quiet(answered)(response?.status | 0, response?.headers.get('Retry-After') | 0, said?.clock && said.server_time_ms);
  };

  const standIn = fallback(config, post);
  // Fallback or core.
  let sink = standIn;
  const tell = quiet((method, ...args) => {
    hooks.told[MOST_TOLD] || hooks.told.push([method, args]);
    // What only the debugger wants to know has no method there.
    return sink[method]?.(...args);
  });
  let arrive;
  const arrived = new Promise((resolve) => (arrive = resolve));
  let booted;
  const load = (url, integrity, given) => {
    const loaded = document.createElement('script');
    loaded.src = origin + url;
    loaded.integrity = integrity;
    loaded.crossOrigin = '';
    loaded.nonce = script.nonce;
    // No global name: the script finds this on its own element.
    loaded.segments = given;
    loaded.onerror = arrive;
    document.documentElement.append(loaded);
  };
  const boot = () => {
    if (booted) return;
    booted = 1;
    let download;
    try {
      if (wasm == 'off') throw 0;
      // An empty module: under a policy without 'wasm-unsafe-eval' this throws, and nothing needs to be downloaded.
      new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
      // Whoever waits for it finds out that there is none.
      download = fetch(origin + __CORE_URL__, { integrity: __CORE_INTEGRITY__, credentials: 'omit' }).catch(() => {});
    } catch {}
    load(__CAPTURE_URL__, __CAPTURE_INTEGRITY__, [
      config,
      script.dataset,
      endpoint,
      download,
      post,
      arrive,
      (core) => (sink = standIn.cede(core)),
      { quiet, on, idle, scrub, track, said: (name) => names[name] == view, hooks, load, mode: () => mode },
    ]);
  };

  // Whose events these are: how much may be told, and the visitor's or the page load's id.
  let mode = OFF;
  const sum = () => {
    run(hooks.sums);
    tell('snapshot', mint(), Date.now());
  };
  const become = (next) => {
    // What the visitor did so far belongs to who they were.
    sum();
    let storage;
    let id = mint();
    mode = next;
    if (mode == FULL)
      quiet(() => {
        storage = localStorage;
        const known = storage[VISITOR];
        if (/^[\da-f]{32}$/.test(known)) id = known;
        else storage[VISITOR] = id;
      })();
    standIn.who(mode, id, storage, mode == FULL ? { visitor: id } : { load: id });
    // Nor may a view that both of them are seen in link the two.
    look('');
  };
  const forget = quiet(() => [VISITOR, QUEUE].forEach((key) => delete localStorage[key]));

  // Page views. `view` is the id of the one that is on.
  let view;
  let url;
  let referrer = scrub(document.referrer + '');
  // On a site that navigates by the fragment, that is a part of the path: `/app?a=1#!/cart` is `/app/cart?a=1`.
  const address = () =>
    scrub(
      hash != null
        ? location.href.replace(
            /\/?(\?[^#]*)?#!?\/?([^?]*)(\?.*)?/,
            (_, query = '', path, more = '') => '/' + path + query + (query ? more.replace('?', '&') : more),
          )
        : location.href,
    );
  const look = (id) => tell('view', (view = id), Date.now());
  const page = () => {
    run(hooks.ends);
    sum();
    look(mint());
    const at = Date.now();
    url = address();
    // The order of the members is the order in which the core takes them.
    const event = { kind: 'page', id: view, at, view: '', url, referrer, title: (document.title + '').slice(0, 500) };
    referrer = url;
    measureSoon();
    tell('event', event, at);
    run(hooks.views);
  };

  // A change of path or query by the page's own navigation is a page view. Later than the call, so that the title
  // is the new one and nothing of ours runs inside the page's.
  let moving;
  const moved = () => {
    clearTimeout(moving);
    moving = setTimeout(
      quiet(() => mode && url != address() && page()),
      50,
    );
  };

  const text = (value) => {
    const written = quiet(json)(value) || '';
    return written[0] == '{' ? written : '';
  };
  const word = (value) => `${value ?? ''}`;
  const record = (least, kind, fields) => {
    const at = Date.now();
    tell(mode < least ? 'refused' : 'event', { kind, id: mint(), at, view, ...fields }, at);
  };

  // The view in which the page has told of an event by itself.
  const names = {};
  const track = (name, properties) => record(MEASURE, 'track', { properties: text(properties), name: word(name) });

  const segments = {
    page: () => mode && page(),
    track: (name, properties) => {
      names[name] = view;
      track(name, properties);
    },
    identify: (id, traits) =>
      Object(id) === id
        ? segments.identify('', id)
        : record(FULL, 'identify', { traits: text(traits), user_id: word(id) }),
    group: (id, traits) => record(FULL, 'group', { traits: text(traits), group_id: word(id) }),
    alias: (id, previous) => record(FULL, 'alias', { previous_id: word(previous), user_id: word(id) }),
    reset: () => {
      if (mode == FULL) forget();
      if (mode) become(mode);
    },
    // A word, or what consent managers keep: `{ analytics: true }`, `{ measure: false }`.
    consent: (wanted) => {
      allow(wanted.analytics ? FULL : wanted.measure === false ? OFF : modeOf(wanted));
      if (mode < FULL) forget();
    },
    // What the callback throws is the page's own, and reaches its console as such.
    ready: (callback) => arrived.then(() => setTimeout(() => callback?.(tell('status')))),
  };
  for (const name in segments) segments[name] = quiet(segments[name]);

  const allow = (wanted) => {
    const before = mode;
    // The browser's own signals outrank the page.
    wanted = Math.min(wanted, gpc | dnt ? MEASURE : FULL);
    if (wanted != before) become(wanted);
    if (!mode) return arrive();
    if (mode > before) page();
    // The first page view waits for nothing.
    standIn.flush();
    boot();
  };

  // What the visitor does.
  const signal = (what, value) => sink.signal(what, Date.now(), +value);
  let measuring;
  let lastInput = 0;
  const measureSoon = () => {
    measuring =
      measuring ||
      idle(() => {
        measuring = 0;
        signal(SCROLL, Math.min(100, ((scrollY + innerHeight) / document.documentElement.scrollHeight) * 100) | 0);
      });
  };
  const input = ({ type, timeStamp }) => {
    if (type == 'scroll') measureSoon();
    if (type == 'click') signal(CLICK, 0);
    else if (timeStamp - lastInput > 1000) {
      lastInput = timeStamp;
      signal(INPUT, 0);
    }
  };
  // A page that is hidden has no focus either.
  const attend = () => signal(ACTIVE, document.hasFocus());
  const leave = () => {
    if (!mode) return;
    signal(ACTIVE, 0);
    sum();
    standIn.flush();
    sink.leave();
  };

  const start = quiet(() => {
    window.segments = segments;
    allow(modeOf(consent));
    on('pointermove pointerdown keydown scroll click', input);
    on('focus blur pageshow', attend);
    on('visibilitychange', () => (document.hidden ? leave() : attend()));
    on('pagehide', () => {
      run(hooks.ends);
      leave();
    });
    on('online', () => {
      standIn.flush();
      sink.flush();
    });
    on('popstate', moved);
    attend();
    for (const name of ['pushState', 'replaceState']) {
      const original = history[name];
      history[name] = function () {
        const result = original.apply(this, arguments);
        moved();
        return result;
      };
    }
    early?.forEach?.(([method, ...args]) => segments[method](...args));
  });
  // A page that is only prepared for a possible visit is none.
  if (document.prerendering) document.addEventListener('prerenderingchange', start, { once: true });
  else start();
})();
