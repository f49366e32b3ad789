// The script behind the tag. It decides whose events may be told, sends the first page view, and fetches the rest:
// `capture.js`, which sees what happens on the page, and the core, the WebAssembly module. `fallback.js` takes the
// core's calls until it is there, and for good where it cannot run.
//
// Nothing in here may throw into the page, write to its console or make it wait: whatever runs later runs through
// `quiet`, and nothing of the page's layout is read outside idle time.

import fallback, { json } from './fallback.js';
import mint from './id.js';
import { FULL, MEASURE, OFF, WAIT } from './modes.js';
import scrub from './scrub.js';
import { ACTIVE, CLICK, INPUT, SCROLL } from './signals.js';

const VISITOR = 'segments.visitor';
// Kept by the core.
const QUEUE = 'segments.queue';
// There when the visitor has asked not to be counted; says nothing else.
const OPTED_OUT = 'segments.off';

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
  const { site, consent, wasm, api } = script.dataset;
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

  // What `capture.js` wants to be called for: a view was counted, one is about to end, one is about to be summed up.
  const hooks = { views: [], ends: [], sums: [] };
  const run = (all) => all.forEach((one) => quiet(one)());
  // Later than what the page itself is doing.
  const idle = (run) => (window.requestIdleCallback || setTimeout)(quiet(run));
  // In the capture phase, which a page does not stop.
  const on = (types, run) => types.split(' ').forEach((type) => addEventListener(type, quiet(run), true));

  // The transport, for loader, core and fallback alike.
  const post = async (body, answered) => {
    let status = 0;
    let wait = 0;
    let server = 0;
    try {
      // Asking while offline would only write to the console.
      if (navigator.onLine) {
        const response = await fetch(endpoint, {
          method: 'POST',
          body,
          // Browsers refuse to keep more than 64 KB alive.
          keepalive: body.length < 6e4,
          credentials: 'omit',
          headers: { 'Content-Type': 'text/plain' },
        });
        status = response.status;
        wait = response.headers.get('Retry-After') | 0;
        const said = await response.json();
        if (said.clock) server = said.server_time_ms;
      }
    } catch {}
    // Never within the call that posts: the core is busy until it returns.
    await 0;
    quiet(answered)(status, wait, server);
  };

  const standIn = fallback(config, post);
  // Fallback or core.
  let sink = standIn;
  const tell = quiet((method, ...args) => sink[method](...args));
  let arrive;
  const arrived = new Promise((resolve) => (arrive = resolve));
  let decided;
  const decision = new Promise((resolve) => (decided = resolve));
  // No global name: a script finds what it is given on its own element.
  const load = (path, integrity, segments) =>
    document.documentElement.append(
      Object.assign(document.createElement('script'), {
        src: origin + path,
        integrity,
        crossOrigin: '',
        nonce: script.nonce,
        segments,
        onerror: arrive,
      }),
    );
  let booted;
  const boot = () => {
    if (booted) return;
    booted = 1;
    let download;
    try {
      if (wasm == 'off') throw 0;
      // An empty module: under a policy without 'wasm-unsafe-eval' this throws, and nothing needs to be downloaded.
      new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
      // What is held until somebody decides is held by the fallback. Whoever waits for a core finds out that there is none.
      download = decision
        .then(() => fetch(origin + __CORE_URL__, { integrity: __CORE_INTEGRITY__, credentials: 'omit' }))
        .catch(() => {});
    } catch {}
    load(__CAPTURE_URL__, __CAPTURE_INTEGRITY__, [
      config,
      script.dataset,
      endpoint,
      download,
      post,
      arrive,
      (core) => (sink = standIn.cede(core)),
      { api: segments, load, quiet, on, idle, scrub, track, said: (name) => names[name] == view, hooks },
    ]);
  };

  // Whose events these are: how much may be told, and the visitor's or the page load's id.
  let mode = OFF;
  const sum = () => {
    run(hooks.sums);
    tell('snapshot', mint(), Date.now());
  };
  const become = (next) => {
    const held = mode == WAIT;
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
    // Nor may a view that both of them are seen in link the two. What was held goes on: nobody was told of it.
    if (!held || !mode) look('');
  };
  const forget = quiet(() => [VISITOR, QUEUE].forEach((key) => delete localStorage[key]));

  // Page views. `view` is the id of the one that is on.
  let view;
  let url;
  let referrer = scrub(document.referrer + '');
  const look = (id) => tell('view', (view = id), Date.now());
  const page = () => {
    run(hooks.ends);
    sum();
    look(mint());
    const at = Date.now();
    url = scrub(location.href);
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
      quiet(() => mode && url != scrub(location.href) && page()),
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
    if (mode >= least) tell('event', { kind, id: mint(), at, view, ...fields }, at);
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
    consent: (wanted) => decide(wanted.analytics ? FULL : wanted.measure === false ? OFF : modeOf(wanted)),
    // The visitor's own word, which lasts. Returns what it is now.
    optOut: (out) => {
      if (out != null) {
        optedOut = !!out;
        quiet(() => (out ? (localStorage[OPTED_OUT] = 1) : delete localStorage[OPTED_OUT]))();
        decide();
      }
      return optedOut;
    },
    // What the callback throws is the page's own, and reaches its console as such.
    ready: (callback) => arrived.then(() => setTimeout(() => callback?.(tell('status')))),
  };
  for (const name in segments) segments[name] = quiet(segments[name]);

  let optedOut = !!quiet(() => localStorage[OPTED_OUT])();
  // What the page wants.
  let asked;
  const allow = (wanted = asked) => {
    const before = mode;
    asked = wanted;
    // The visitor's word outranks the browser's signals, and those outrank the page.
    const most = optedOut ? OFF : gpc | dnt ? MEASURE : FULL;
    const next = wanted == WAIT && most ? WAIT : Math.min(wanted, most);
    if (next != before) become(next);
    if (mode && mode < WAIT) decided();
    else arrive();
    if (mode > before) page();
    // The first page view waits for nothing.
    standIn.flush();
    boot();
  };
  const decide = (wanted) => {
    allow(wanted);
    if (mode < FULL) forget();
  };

  // What the visitor does.
  const signal = (what, value) => tell('signal', what, Date.now(), +value);
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
    allow(consent == 'wait' ? WAIT : modeOf(consent));
    on('pointermove pointerdown keydown scroll click', input);
    on('focus blur pageshow', attend);
    on('visibilitychange', () => (document.visibilityState == 'hidden' ? leave() : attend()));
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
    if (Array.isArray(early)) early.forEach(([method, ...args]) => segments[method](...args));
  });
  // A page that is only prepared for a possible visit is none.
  if (document.prerendering) document.addEventListener('prerenderingchange', start, { once: true });
  else start();
})();
