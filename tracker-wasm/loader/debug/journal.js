// What was told, event by event: captured, queued, sent, and what became of it.

import decode from './wire.js';

const MOST_ENTRIES = 500;

// An id's time may be moved to the server's; what is left to chance stays.
const keyOf = (id) => id.replaceAll('-', '').slice(13);

const read = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

/** As it will be read: properties and traits are texts on their way to the core. */
const opened = ({ properties, traits, ...event }) => ({
  ...event,
  ...(properties && { properties: read(properties) }),
  ...(traits && { traits: read(traits) }),
});

export const nameOf = ({ kind, name, user_id, group_id, revision, url }) =>
  ({
    page: `Page view ${url}`,
    snapshot: `Snapshot ${revision}`,
    track: name,
    identify: `identify ${user_id || ''}`,
    group: `group ${group_id}`,
    alias: `alias ${user_id}`,
  })[kind] || kind;

/** `check` gives the warnings of an event; `changed` is called after each change. */
export default ({ check, changed, asksForDetails }) => {
  const entries = new Map();
  const onTheirWay = new Map();
  const totals = { posts: 0, bytes: 0, stored: 0, duplicate: 0, rejected: 0, reasons: {} };
  const self = { entries, totals, who: {}, last: undefined, details: asksForDetails ? 'asked' : 'none' };

  const step = (entry, state, more) => {
    entry.state = state;
    entry.steps.push([state, Date.now()]);
    Object.assign(entry, more);
  };
  const entryOf = (event) => {
    const key = keyOf(event.id);
    let entry = entries.get(key);
    if (!entry) {
      entry = { key, event, steps: [['captured', event.at]], state: 'captured', warnings: [] };
      entries.set(key, entry);
      if (entries.size > MOST_ENTRIES) entries.delete(entries.keys().next().value);
    }
    return entry;
  };

  const take = {
    event(event) {
      const entry = entryOf(opened(event));
      entry.warnings = check(entry.event, false);
      step(entry, 'queued');
    },
    refused(event) {
      const entry = entryOf(opened(event));
      entry.warnings = check(entry.event, true);
      step(entry, 'dropped', { detail: 'consent does not allow it' });
    },
    sent(body, ...answer) {
      if (answer.length) return answered(body, ...answer);
      const batch = decode(body);
      const { visitor, load, dropped } = batch;
      self.who = { visitor, load, dropped };
      totals.posts++;
      totals.bytes += body.length;
      const sent = batch.events.map(entryOf);
      sent.forEach((entry) => step(entry, 'sent'));
      onTheirWay.set(body, sent);
    },
  };

  const answered = (body, status, said) => {
    const sent = onTheirWay.get(body) || [];
    onTheirWay.delete(body);
    self.last = { status, ...said };
    const again = !status || status == 408 || status == 425 || status == 429 || status > 499;
    if (again) sent.forEach((entry) => step(entry, 'waiting', { detail: said?.error || 'no answer; it is sent again' }));
    else if (status > 299) sent.forEach((entry) => step(entry, 'dropped', { detail: said?.error || `the collector answered ${status}` }));
    else accepted(sent, said || {});
  };

  const accepted = (sent, { stored = 0, duplicate = 0, rejected = 0, details, debug }) => {
    totals.stored += stored;
    totals.duplicate += duplicate;
    totals.rejected += rejected;
    if (asksForDetails && debug !== undefined) self.details = debug ? 'told' : 'wrong';
    const told = new Map((details || []).filter(({ id }) => id).map((detail) => [keyOf(detail.id), detail]));
    (details || []).forEach(({ reason }) => reason && (totals.reasons[reason] = (totals.reasons[reason] || 0) + 1));
    for (const entry of sent) {
      const { outcome, reason, detail } = told.get(entry.key) || {};
      if (outcome) step(entry, outcome, { reason, detail });
      else if (!rejected) step(entry, !duplicate ? 'stored' : stored ? 'acknowledged' : 'duplicate', { detail: undefined });
      else if (!stored && !duplicate) step(entry, 'rejected', { detail: 'the collector does not tell everybody why' });
      else step(entry, 'acknowledged', { detail: `${rejected} of the ${sent.length} events of this batch were rejected` });
    }
  };

  self.take = (method, args) => {
    take[method]?.(...args);
    changed();
  };
  self.clear = () => {
    entries.clear();
    changed();
  };
  return self;
};
