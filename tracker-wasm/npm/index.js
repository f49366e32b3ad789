// The tag for sites that are built with a bundler: puts the script of the collector into the page, and takes the same
// calls. There is one tracker; this is the way to it.

const CALLS = ['page', 'track', 'identify', 'group', 'alias', 'reset', 'consent', 'optOut', 'ready'];

// A page that calls on and on before it begins loses the later calls, not its memory.
const MOST_EARLY = 200;

// On a server there is nobody to tell of, and nothing may pile up.
const inPage = typeof window == 'object' && typeof document == 'object';

// What is called before the tracker is there; it takes over this very list. None once there will be no tracker.
let early = [];
let begun;

const none = (callback) => setTimeout(() => callback?.({ engine: 'none' }));

const fail = () => {
  early.forEach(([name, callback]) => name == 'ready' && none(callback));
  early = 0;
};

const init = ({ api, src, integrity, nonce, ...attributes }) => {
  if (!inPage || begun) return;
  begun = 1;
  const there = window.segments;
  // A tag in the page was first.
  if (there?.consent) return early.forEach(([name, ...args]) => there[name](...args));
  if (Array.isArray(there)) there.push(...early.splice(0));
  early = window.segments = Array.isArray(there) ? there : early;
  const script = document.createElement('script');
  Object.assign(script.dataset, { api });
  for (const name in attributes) {
    const value = attributes[name];
    if (value != null && value !== false) script.dataset[name] = value === true ? '' : value;
  }
  if (nonce) script.nonce = nonce;
  if (integrity) {
    script.integrity = integrity;
    script.crossOrigin = 'anonymous';
  }
  script.async = true;
  script.onerror = fail;
  script.src = src || `${api}`.replace(/\/$/, '') + '/t.js';
  document.head.append(script);
};

export const segments = { init };
for (const name of CALLS)
  segments[name] = (...args) => {
    if (!inPage) return;
    const tag = window.segments;
    if (tag?.consent) tag[name](...args);
    else if (!early) name == 'ready' && none(args[0]);
    else if (early.length < MOST_EARLY) early.push([name, ...args]);
  };
