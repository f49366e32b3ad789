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
import { ACTIVE } from './signals.js';

// The variant digit of ids that begin somebody new in a browser: the server joins them to nobody from before.
const RESET = 'b';

// What is kept on the device; with what is not delivered yet, `segments.queue.<number>`.
const VISITOR = 'segments.visitor';
// There when the visitor has asked not to be counted; says nothing else.
const OPTED_OUT = 'segments.off';

// The place of the last call that is kept for the debugger, of those before it can be there.
const MOST_TOLD = 99;

const quiet =
  (run) =>
  (...args) => {
    try {
      return run(...args);
    } catch {}
  };

const modeOf = (word) => ({ off: OFF, full: FULL, wait: WAIT })[word] ?? MEASURE;

quiet(() => {
  const script = document.currentScript;
  const { site, consent, api, cookie, domains, engagement, hash, sample } = script.dataset;
  // Everything lies beside the script, in whatever folder that is.
  const beside = (name) => new URL(name, api || script.src).href;
  const endpoint = beside(script.dataset.endpoint || 'v1/events');
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
    // Where there is Temporal it knows at once; the other way loads all about writing dates, a dozen ms of main thread.
    time_zone: quiet(() => window.Temporal?.Now.timeZoneId() ?? Intl.DateTimeFormat().resolvedOptions().timeZone)(),
    sample: sample | 0,
  };

  // A link from another of the owner's domains says who the visitor is: `capture.js` reads it, and all is held until then.
  const lands = domains && consent == 'full' && /segments_v=/.test(location.search);

  // What `capture.js` wants to be called for: a view was counted, one is about to end, one is about to be summed up. For
  // the debugger: what it asks the collector, and what was told so far, until `capture.js` knows whether somebody looks.
  const told = [];
  const hooks = { views: [], ends: [], sums: [], query: '', told, see: (...call) => told[MOST_TOLD] || (told[told.length] = call) };
  const run = (all) => {
    for (const one of all) quiet(one)();
  };
  // In the capture phase, which a page does not stop. What happens to the debugger's own element does not happen to the
  // page.
  const on = (types, run) => {
    const listen = quiet((event) => hooks.panel != event.target && run(event));
    for (const type of types.split(' ')) addEventListener(type, listen, true);
  };

  // The last post was answered.
  let answers;
  // The transport, for loader, core and fallback alike. What is `measured` goes without cookies, unless the browser
  // itself says that there is to be none: then the server ends it.
  const post = async (body, answered, measured) => {
    const isOurs = mode == FULL;
    let response;
    let said;
    let wait;
    tell('sent', body);
    try {
      // Asking while offline would only write to the console.
      if (navigator.onLine) {
        response = await fetch(endpoint + hooks.query, {
          method: 'POST',
          body,
          // Browsers refuse to keep more than 64 KB alive.
          keepalive: new Blob([body]).size < 6e4,
          credentials: measured && !(gpc | dnt) ? 'omit' : cookie == null ? 'same-origin' : 'include',
          headers: { 'Content-Type': 'text/plain' },
        });
        said = await response.json();
        wait = response.headers.get('Retry-After');
        // The browser's cookie knows the visitor by another id; after a reset only one that is newer counts.
        if (mode == FULL && said.visitor != me && said.visitor > (me[16] == RESET ? me : '')) be(said.visitor);
      }
    } catch {}
    // Its answer may have given a cookie back that was ended meanwhile.
    if (isOurs && consented < FULL) endCookie();
    answers = said?.success;
    // Somebody else's 200, a portal's or that of a page's own `fetch`, acknowledges nothing.
    const status = answers || response?.status > 299 ? response.status : 0;
    // Where a page has broken `fetch`, this is the last resort.
    if (!status && document.hidden && navigator.onLine) quiet(() => navigator.sendBeacon(endpoint, body))();
    // Never within the call that posts: the core is busy until it returns.
    await 0;
    tell('sent', body, status, said);
    quiet(answered)(status, wait | 0, said?.clock && said.server_time_ms);
  };

  const standIn = fallback(config, post);
  // Fallback or core.
  let sink = standIn;
  const tell = quiet((method, ...args) => {
    hooks.see?.(method, args);
    // What only the debugger wants to know has no method there.
    return sink[method]?.(...args);
  });
  let arrive;
  const arrived = new Promise((resolve) => (arrive = resolve));
  let decided;
  const decision = new Promise((resolve) => (decided = resolve));
  // No global name: a script finds what it is given on its own element, which is returned.
  const bring = (path, integrity, segments) =>
    document.documentElement.appendChild(
      Object.assign(document.createElement('script'), {
        src: beside(path),
        integrity,
        crossOrigin: '',
        nonce: script.nonce,
        segments,
        onerror: arrive,
      }),
    );
  const boot = () =>
    bring(__CAPTURE_URL__, __CAPTURE_INTEGRITY__, {
      config,
      data: script.dataset,
      endpoint,
      decision,
      post,
      arrive,
      cede: (core) => (sink = standIn.cede(core)),
      api: segments,
      beside,
      bring,
      quiet,
      on,
      scrub,
      track,
      tell,
      moved,
      said: (name) => names[name] == view,
      hooks,
      mode: () => mode,
      me: () => me,
      lands,
    });

  // Whose events these are: how much may be told, and the visitor's or the page load's id.
  let mode = OFF;
  let me;
  let storage;
  let variant;
  // As much as may be told, also where it is not, because the visitor is not of the sample.
  let consented = OFF;
  let outside;
  const loadId = mint();
  const sum = () => {
    run(hooks.sums);
    tell('snapshot', mint(), Date.now());
  };
  const be = (id) => {
    me = id;
    if (consented == FULL) quiet(() => (storage[VISITOR] = id))();
    standIn.who(mode, id, storage, mode == FULL ? { visitor: id } : { load: id });
  };
  const become = (next) => {
    const held = mode == WAIT;
    // What the visitor did so far belongs to who they were.
    sum();
    if (consented == FULL) variant = RESET;
    let id = mint(variant);
    consented = mode = next;
    storage = quiet(() => mode == FULL && localStorage)();
    const known = quiet(() => storage[VISITOR])();
    if (/^[\da-f]{32}$/.test(known)) id = known;
    // By the chance that ids end with; visitors who are drawn stay so where the share grows.
    outside = sample && next != WAIT && parseInt((mode == FULL ? id : loadId).slice(-6), 16) % 100 >= sample;
    if (outside) mode = OFF;
    be(id);
    // Nor may a view that both of them are seen in link the two. What was held goes on: nobody was told of it.
    if (!held || !mode) look('');
  };
  // The cookie is the server's to end, and a batch of nothing that measures ends it.
  const endCookie = () => post(json({ ...config, load: loadId, sent: Date.now(), events: [] }));
  const forget = quiet(() => {
    if (localStorage[VISITOR]) endCookie();
    for (const name in localStorage) if (/^segments\.[vq]/.test(name)) delete localStorage[name];
  });

  // Page views. `view` is the id of the one that is on.
  let view;
  let url;
  let referrer = scrub(document.referrer + '');
  // On a site that navigates by the fragment, that is a part of the path: `/app?a=1#!/cart` is `/app/cart?a=1`.
  const address = () =>
    scrub(
      hash != null
        ? location.href.replace(
            /\/?(\?[^#]*)?#!?\/([^?=]*(\?.*)?)$/,
            (_, query = '', path) => '/' + path + (/\?/.test(path) ? query.replace('?', '&') : query),
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
    tell('event', event);
    run(hooks.views);
  };

  // A change of path or query by the page's own navigation is a page view.
  const moved = () => mode && url != address() && page();

  const text = (value) => {
    const written = quiet(json)(value) || '';
    return written[0] == '{' ? written : '';
  };
  const word = (value) => `${value ?? ''}`;
  const record = (least, kind, fields) => {
    const at = Date.now();
    tell(mode < least ? 'refused' : 'event', { kind, id: mint(), at, view, ...fields });
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
      // What is not delivered yet was done before, and stays.
      quiet(() => consented == FULL && delete localStorage[VISITOR] && endCookie())();
      if (consented) become(consented);
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
    ready: (callback) => arrived.then(() => setTimeout(() => callback?.({ sampled: !outside, ...tell('status') }))),
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
    if (next != consented) become(next);
    if (mode && mode < WAIT) decided();
    else arrive();
    if (mode > before) page();
    // The first page view waits for nothing but the end of this script.
    decision.then(quiet(standIn.flush));
  };
  const decide = (wanted) => {
    allow(wanted);
    if (consented < FULL) forget();
  };

  // Whether the visitor looks at the page. One that is hidden has no focus either.
  const attend = (isActive = engagement != 'off' && document.hasFocus()) => tell('signal', ACTIVE, Date.now(), +isActive);
  const leave = () => {
    if (!mode) return;
    attend(0);
    sum();
    standIn.flush();
    sink.leave(answers);
  };

  const start = quiet(() => {
    const early = window.segments;
    // A tag that stands twice on a page counts once.
    if (early?.consent) return;
    window.segments = segments;
    allow(lands ? WAIT : modeOf(consent));
    on('focus blur pageshow', () => attend());
    on('visibilitychange', () => (document.hidden ? leave() : attend()));
    on('pagehide', () => {
      run(hooks.ends);
      leave();
    });
    on('freeze', leave);
    on('online resume', () => {
      standIn.flush();
      sink.flush();
    });
    attend();
    // The page goes first: one long task holds it up more than two that are half as long. It may forbid scripts.
    setTimeout(() => quiet(boot)() || arrive());
    for (const [method, ...args] of early || []) segments[method]?.(...args);
  });
  // A page that is only prepared for a possible visit is none.
  if (document.prerendering) document.addEventListener('prerenderingchange', start, { once: true });
  else start();
})();
