// What consent managers say, where the tag's `data-consent-from` names them. Fetched by `capture.js` for such tags only.
//
// A manager is heard as the page made it: nothing of its is replaced but `dataLayer.push`, which does what it did.

import gtag from './consent/gtag.js';
import tcf from './consent/tcf.js';

// Half a minute: a manager that comes later finds a page that has been left.
const EVERY_MS = 250;
const MOST_TRIES = 120;

const { api, data, quiet } = document.currentScript.segments;

// What each manager has said last. Where they differ, the least of it counts.
const verdicts = {};
let last;
const say = (manager) => (granted) => {
  verdicts[manager] = granted;
  const word = Object.values(verdicts).every(Boolean) ? 'full' : data.refused == 'off' ? 'off' : 'measure';
  // Said once: what the page itself calls afterwards stands.
  if (word != last) api.consent((last = word));
};

const managers = { gtag, tcf };
const seek = quiet((name, tries) => {
  if (!managers[name](say(name), quiet, data.consent == 'full') && tries) setTimeout(seek, EVERY_MS, name, tries - 1);
});
for (const name of data.consentFrom.split(' ')) seek(name, MOST_TRIES);
