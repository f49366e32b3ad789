// What the loader fetches once the first page view is on its way: it starts the core and sees what happens on the page.
//
// As in the loader, nothing in here may throw into the page, write to its console, make it wait, or read its layout.
// What happens becomes an event with a name of its own; what only counts goes to the core as a signal, and becomes part
// of the page's snapshot.

import * as glue from 'glue';
import clicks from './capture/clicks.js';
import domains from './capture/domains.js';
import forms from './capture/forms.js';
import kept, { slot } from './capture/kept.js';
import moves from './capture/moves.js';
import optout from './capture/optout.js';
import page from './capture/page.js';
import vitals from './capture/vitals.js';

// Between the values of an event on their way to the core, and behind all of them.
const SEPARATOR = '\x1f';
const END = '\x1e';
// Events within so many ms go into the core together, and the core gathers a little longer.
const GATHER_MS = 700;

const loader = document.currentScript.segments;
const { config, data, endpoint, decision, post, arrive, cede, beside, bring, quiet } = loader;

/** As `join` would, which a page may have changed. */
const joined = (values) => {
  let text = '';
  for (const value of Object.values(values)) text += SEPARATOR + value;
  return text.slice(1);
};

let core;
// What happened before it was there.
const early = new Set();
const MOST_EARLY = 99;
const start = ({ instance }) => {
  const started = glue.bind(instance.exports);
  started.start(
    joined([slot, config.key, config.language, config.time_zone, config.sample]),
    config.gpc | (config.dnt << 1),
    config.width,
    config.height,
    (body, measured) => post(body, started.answer, measured),
    (body) => navigator.onLine && navigator.sendBeacon(endpoint, new Blob([body], { type: 'text/plain' })),
  );
  const keep = kept(started.adopt, loader);
  let events = '';
  let timer;
  const hand = () => {
    timer = clearTimeout(timer);
    if (events) started.events(events);
    events = '';
  };
  const afterEvents = (run) => (...args) => {
    hand();
    return run(...args);
  };
  cede({
    ...started,
    who: afterEvents((mode, id, storage) => {
      started.who(mode, id, storage);
      keep(mode > 1 && storage);
    }),
    event: (event) => {
      events += joined(event).replace(/\x1e/g, '') + END;
      // A page view is what is watched live.
      if (event.kind == 'page') hand();
      else timer = timer || setTimeout(quiet(hand), GATHER_MS);
    },
    leave: afterEvents(started.leave),
    flush: afterEvents(started.flush),
    status: afterEvents(() => {
      const [queued, dropped] = started.status();
      return { engine: 'wasm', queued, dropped };
    }),
  });
  core = started;
  for (const signal of early) core.signal(...signal);
};

const host = {
  ...loader,
  /** Whether a host is the owner's, too, as all below it. */
  isOwn: (host) => {
    if (host == location.host) return true;
    for (const own of (data.domains || '').split(','))
      if (own && `.${host}`.split(':')[0].endsWith('.' + own.trim())) return true;
  },
  /** Later than what the page itself is doing. */
  idle: (run) => (window.requestIdleCallback || setTimeout)(quiet(run)),
  /** Whether the owner has not switched it off, with `data-clicks="off"` for example. */
  wants: (name) => data[name] != 'off',
  /** Numbers are the core's alone: without it nobody sums them up. `at` says what the signal is of where that is no moment. */
  signal: quiet((what, value = 1, at = Date.now()) => {
    if (core) core.signal(what, at, value);
    else if (loader.mode() && early.size < MOST_EARLY) early.add([what, at, value]);
  }),
};

try {
  if (data.wasm == 'off') throw 0;
  // An empty module: under a policy without 'wasm-unsafe-eval' this throws, and nothing needs to be downloaded.
  new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
  // What is held until somebody decides is held by the fallback.
  decision
    .then(() => fetch(beside(__CORE_URL__), { integrity: __CORE_INTEGRITY__, credentials: 'omit' }))
    .then((core) => WebAssembly.instantiateStreaming(core, glue.imports))
    .then(start)
    .then(arrive, arrive);
} catch {
  arrive();
}
// They are of the view that is on.
const { views } = loader.hooks;
views[views.length] = () => early.clear();
if (data.consentFrom) bring(__CONSENT_URL__, __CONSENT_INTEGRITY__, host);
// `domains` after `clicks`, which tells of links as the page wrote them.
for (const part of [optout, clicks, forms, moves, page, vitals, domains]) quiet(part)(host);

// The debugger, for those who ask for it, by the page's address or in the tag; else nothing is kept for it any more.
if ('debug' in data || /[?&]segments_debug/.test(location.search)) bring(__DEBUG_URL__, __DEBUG_INTEGRITY__, host);
else loader.hooks.see = null;
