// The debugger: shows what this page tells, and what the collector said to it. `capture.js` loads it for those who ask, by
// `?segments_debug` in the page's address or `data-debug` in the tag; nobody else's browser fetches it.
//
// It shows what this browser itself has sent and what it was answered, and asks nothing else. As everywhere in the
// tracker, nothing in here may throw into the page.

import checker from './debug/check.js';
import journal from './debug/journal.js';
import panel from './debug/panel.js';

// Where `data-debug` alone is enough: a tag that goes live with it shows nothing to visitors.
const DEVELOPMENT = /^(localhost|127(\.\d+){3}|\[::1\]|10(\.\d+){3}|192\.168(\.\d+){2}|.+\.(localhost|local|test|internal))$/;

const { src, segments: host } = document.currentScript;
const { hooks, data, quiet } = host;

/** Whether the tag's `data-debug` is meant for this host; it may name hosts of its own, as `data-debug="staging.shop.example"`. */
const isDevelopment = () =>
  'debug' in data && (DEVELOPMENT.test(location.hostname) || data.debug.split(/[ ,]+/).includes(location.hostname));

const open = quiet((key) => {
  const warned = new Set();
  const check = checker(__VOCABULARY__, host);
  const warn = ({ key, text }) => {
    if (warned.has(key)) return;
    warned.add(key);
    console.warn('segments: ' + text);
  };
  let view;
  const log = journal({
    ...host,
    asksForDetails: !!key,
    check: (event, isDropped) => {
      const warnings = check(event, isDropped);
      warnings.forEach(warn);
      return warnings;
    },
    changed: () => view?.changed(),
  });
  if (key) hooks.query = '?debug=' + encodeURIComponent(key);
  hooks.see = quiet(log.take);
  for (const call of hooks.told) hooks.see(...call);
  view = panel({
    ...host,
    log,
    api: window.segments,
    origin: new URL(src).origin,
    isOpen: key !== null,
    close: () => {
      hooks.see = null;
      hooks.query = '';
    },
  });
});

quiet(() => {
  const key = new URLSearchParams(location.search).get('segments_debug');
  if (key !== null || isDevelopment()) open(key);
  else hooks.see = null;
})();
