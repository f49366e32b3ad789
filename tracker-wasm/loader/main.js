// The script behind the tag. It decides whose events may be told, sees what happens on the page, sends the first page
// view, and hands the rest to the core: the WebAssembly module, or where that cannot run, `fallback.js`. Both take the
// same calls, so the loader only has to remember them until one of the two is there.
//
// Nothing in here may throw into the page, write to its console or make it wait: whatever runs later runs through
// `quiet`, and nothing of the page's layout is read outside idle time.

import * as glue from 'glue';
import fallback, { batch, json } from './fallback.js';
import mint from './id.js';
import scrub from './scrub.js';

const quiet =
  (run) =>
  (...args) => {
    try {
      return run(...args);
    } catch {}
  };

// What a signal tells; the core knows them by the same numbers.
const INPUT = 0;
const CLICK = 1;
const SCROLL = 2;
const ACTIVE = 3;

// How much may be told; also the core's numbers.
const MODES = { off: 0, measure: 1, full: 2 };

const STORED = 'segments.';
const VISITOR = STORED + 'visitor';

quiet(() => {
  const script = document.currentScript || document.querySelector('script[data-site]');
  const early = window.segments;
  // A tag that stands twice on a page counts once.
  if (early && early.consent) return;
  const { site, consent, wasm, api } = script.dataset;
  const origin = (api || new URL(script.src).origin).replace(/\/$/, '');
  const url = origin + '/v1/events';
  const gpc = navigator.globalPrivacyControl === true;
  const dnt = navigator.doNotTrack == 1;
  const { width, height } = screen;
  // The header of the wire's JSON form; the core takes its texts by their place.
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
  const now = () => performance.now();

  // The transport, for loader, core and fallback alike.
  const post = async (body, answered) => {
    let status = 0;
    let wait = 0;
    let server = 0;
    try {
      // Asking while offline would only write to the console.
      if (navigator.onLine !== false) {
        const response = await fetch(url, {
          method: 'POST',
          body,
          // Browsers refuse to keep more than 64 KB alive.
          keepalive: body.length < 6e4,
          credentials: 'omit',
          headers: { 'Content-Type': 'text/plain' },
        });
        status = response.status;
        wait = +response.headers.get('Retry-After') || 0;
        const said = await response.json();
        server = said.clock ? said.server_time_ms : 0;
      }
    } catch {}
    // Never within the call that posts: the core is busy until it returns.
    await 0;
    quiet(answered)(status, wait, server);
  };
  const beacon = (body) => navigator.sendBeacon(url, new Blob([body], { type: 'text/plain' }));

  // Core or fallback, and what they are told before one of them is there.
  let sink;
  let told = [];
  const callbacks = [];
  const tell = quiet((method, ...args) => (sink ? sink[method](...args) : told.push([method, ...args])));
  const settle = () =>
    callbacks.splice(0).forEach((callback) => setTimeout(() => callback((sink && quiet(sink.status)()) || { engine: 'none' })));
  const use = (chosen) => {
    if (sink) return;
    sink = chosen;
    told.splice(0).forEach((call) => tell(...call));
    settle();
  };
  const fall = () => use(fallback(config, post));
  let booted;
  const boot = () => {
    if (booted) return;
    booted = 1;
    try {
      if (wasm == 'off') throw 0;
      // An empty module: under a policy without 'wasm-unsafe-eval' this throws, and nothing needs to be downloaded.
      new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
      fetch(origin + __CORE_URL__, { integrity: __CORE_INTEGRITY__, credentials: 'omit' })
        .then((response) => WebAssembly.instantiateStreaming(response, glue.imports))
        .then(({ instance }) => {
          if (sink) return;
          const core = glue.bind(instance.exports);
          core.start(config, gpc | (dnt << 1), width, height, (body) => post(body, core.answer), beacon);
          use(core);
        })
        .catch(fall);
      // Long enough for a slow line; the visitor's events do not wait for ever.
      setTimeout(fall, 15000);
    } catch {
      fall();
    }
  };

  // Whose events these are: how much may be told, and the visitor's or the page load's id.
  let mode = 0;
  let whose;
  const sum = () => tell('snapshot', mint(), Date.now(), now());
  const become = (next) => {
    // What the visitor did so far belongs to who they were.
    sum();
    let storage;
    let id = mint();
    mode = next;
    if (mode == MODES.full) {
      quiet(() => {
        storage = localStorage;
        const known = storage.getItem(VISITOR);
        if (/^[\da-f]{32}$/.test(known)) id = known;
        else storage.setItem(VISITOR, id);
      })();
    }
    whose = mode > 1 ? { visitor: id } : { load: id };
    tell('who', mode, id, storage, whose);
    // Nor may a view that both of them are seen in link the two.
    look('');
  };
  const forget = quiet(() =>
    Object.keys(localStorage).forEach((key) => key.startsWith(STORED) && localStorage.removeItem(key)));

  // Page views. `view` is the id of the one that is on.
  let view = '';
  let path;
  let referrer = document.referrer;
  let first;
  const look = (id) => {
    view = id;
    tell('view', id, now());
  };
  const page = () => {
    sum();
    look(mint());
    const { href, pathname, search } = location;
    const event = {
      kind: 'page',
      id: view,
      at: Date.now(),
      view: undefined,
      url: scrub(href),
      title: `${document.title}`.slice(0, 500),
      referrer: scrub(`${referrer}`),
    };
    path = pathname + search;
    referrer = href;
    measureSoon();
    if (first === undefined) {
      // The first one does not wait for the core; it is only handed over where it was not taken.
      first = event;
      post(batch(config, whose, [event], 0), (status, wait, server) => {
        if (status == 200 && !server) first = 0;
        else setTimeout(handOver, wait * 1000);
      });
    } else tell('event', event, event.at);
  };
  const handOver = () => {
    if (first && mode) tell('event', first, first.at);
    first = 0;
  };

  // A change of path or query by the page's own navigation is a page view. Later than the call, so that the title
  // is the new one and nothing of ours runs inside the page's.
  let moving;
  const moved = quiet(() => {
    clearTimeout(moving);
    moving = setTimeout(
      quiet(() => mode && location.pathname + location.search != path && page()),
      50,
    );
  });

  const text = (value) => {
    const written = quiet(json)(value) || '';
    return written[0] == '{' ? written : '';
  };
  const word = (value) => (value == null ? '' : String(value));
  // The order of the members is the order in which the core takes them.
  const record = (least, kind, fields) => {
    const at = Date.now();
    if (mode >= least) tell('event', { kind, id: mint(), at, view: view || undefined, ...fields }, at);
  };

  const segments = {
    page: () => mode && page(),
    track: (name, properties) => record(1, 'track', { name: word(name), properties: text(properties) }),
    identify: (id, traits) =>
      Object(id) === id
        ? segments.identify('', id)
        : record(2, 'identify', { user_id: word(id), traits: text(traits) }),
    group: (id, traits) => record(2, 'group', { group_id: word(id), traits: text(traits) }),
    alias: (id, previous) => record(2, 'alias', { user_id: word(id), previous_id: word(previous) }),
    reset: () => {
      if (mode > 1) forget();
      if (mode) become(mode);
    },
    consent: (wanted) => {
      if (Object(wanted) === wanted) {
        wanted = wanted.analytics ? 'full' : wanted.measure === false ? 'off' : 'measure';
      }
      allow(wanted);
      if (mode < 2) forget();
    },
    ready: (callback) => {
      callbacks.push(callback);
      if (sink || !mode) settle();
    },
  };
  for (const name in segments) segments[name] = quiet(segments[name]);

  const allow = (wanted) => {
    // The browser's own signals outrank the page.
    const next = Math.min(MODES[wanted] ?? mode, gpc | dnt ? 1 : 2);
    if (next == mode) return;
    const more = next > mode;
    become(next);
    if (!mode) return settle();
    if (more) page();
    boot();
  };

  // What the visitor does.
  let measuring;
  let lastInput = 0;
  const measureSoon = () => {
    measuring =
      measuring ||
      (window.requestIdleCallback || setTimeout)(
        quiet(() => {
          measuring = 0;
          const height = document.documentElement.scrollHeight;
          tell('signal', SCROLL, now(), Math.min(100, Math.round(((scrollY + innerHeight) / height) * 100)) || 0);
        }),
        { timeout: 500 },
      );
  };
  const input = ({ type }) => {
    if (type == 'scroll') measureSoon();
    const at = now();
    if (type == 'click') tell('signal', CLICK, at, 0);
    else if (at - lastInput > 1000) tell('signal', INPUT, (lastInput = at), 0);
  };
  const attend = () => tell('signal', ACTIVE, now(), +(document.visibilityState == 'visible' && document.hasFocus()));
  const leave = () => {
    if (!mode) return;
    // Who leaves before the core is there is told of by the fallback, for good: the core, should it still come, finds
    // its place taken, so nothing is counted twice.
    if (!sink) fall();
    handOver();
    tell('signal', ACTIVE, now(), 0);
    sum();
    tell('leave');
  };

  const on = (types, run) => types.split(' ').forEach((type) => addEventListener(type, quiet(run), { capture: true, passive: true }));

  const start = quiet(() => {
    window.segments = segments;
    allow(consent in MODES ? consent : 'measure');
    on('pointermove pointerdown touchstart keydown scroll click', input);
    on('focus blur pageshow', attend);
    on('visibilitychange', () => (document.visibilityState == 'hidden' ? leave() : attend()));
    on('pagehide', leave);
    on('online', () => tell('flush'));
    on('popstate', moved);
    attend();
    for (const name of ['pushState', 'replaceState']) {
      quiet(() => {
        const original = history[name];
        history[name] = function () {
          const result = original.apply(this, arguments);
          moved();
          return result;
        };
      })();
    }
    if (Array.isArray(early)) early.forEach(([method, ...args]) => segments[method]?.(...args));
  });
  // A page that is only prepared for a possible visit is none.
  if (document.prerendering) document.addEventListener('prerenderingchange', start, { once: true });
  else start();
})();
