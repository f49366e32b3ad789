// Reads the batches that the tracker writes, in both forms of the wire (`wire/FORMAT.md`), for those who want to see what
// is in them.

const KINDS = {
  1: ['page', { 2: 'url', 3: 'title', 4: 'referrer' }],
  2: [
    'snapshot',
    {
      2: '#revision',
      3: '#engaged_ms',
      4: '#max_scroll_pct',
      5: '#clicks',
      6: '#rage_clicks',
      7: '#dead_clicks',
      8: '#errors',
      9: '#copies',
      10: '#fields',
      11: '#lcp_ms',
      12: '#fcp_ms',
      13: '#ttfb_ms',
      14: '#inp_ms',
      15: '#cls_millis',
    },
  ],
  3: ['track', { 2: 'name', 3: '{properties' }],
  4: ['identify', { 2: 'user_id', 3: '{traits' }],
  5: ['group', { 2: 'group_id', 3: '{traits' }],
  6: ['alias', { 2: 'user_id', 3: 'previous_id' }],
};
const HEADER = { 3: '@visitor', 4: '@load', 11: '#dropped' };

const object = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

const reader = (bytes) => {
  let at = 0;
  const self = {
    more: () => at < bytes.length,
    take: (length) => bytes.subarray(at, (at += length)),
    varint() {
      let value = 0;
      for (let scale = 1; ; scale *= 128) {
        const byte = bytes[at++];
        value += (byte & 127) * scale;
        if (!(byte & 128)) return value;
      }
    },
    zigzag() {
      const value = self.varint();
      return value % 2 ? -(value + 1) / 2 : value / 2;
    },
    id: () => Array.from(self.take(16), (byte) => byte.toString(16).padStart(2, 0)).join(''),
    fields(names) {
      const fields = {};
      while (self.more()) {
        const tag = self.varint();
        const inside = reader(self.take(self.varint()));
        const [, type, name] = /^([#{@]?)(.*)$/.exec(names[tag] || '');
        if (name) fields[name] = { '#': inside.varint, '@': inside.id, '{': () => object(inside.text()), '': inside.text }[type]();
      }
      return fields;
    },
    text: () => new TextDecoder().decode(bytes.subarray(at)),
  };
  return self;
};

const plainId = (id) => id && id.replaceAll('-', '');

const fromJson = (text) => {
  const { visitor, load, dropped, events } = JSON.parse(text);
  return {
    visitor: plainId(visitor),
    load: plainId(load),
    dropped,
    events: events.map(({ properties, traits, ...event }) => ({
      ...event,
      id: plainId(event.id),
      ...(event.view && { view: plainId(event.view) }),
      ...(properties && { properties: Object(properties) === properties ? properties : object(properties) }),
      ...(traits && { traits: Object(traits) === traits ? traits : object(traits) }),
    })),
  };
};

/** A batch's body: `{ visitor, load, dropped, events }`, the events as the loader writes them, ids as 32 digits. */
export default (body) => {
  if (typeof body == 'string') return fromJson(body);
  const batch = reader(body);
  // Magic and version.
  batch.take(4);
  const header = reader(batch.take(batch.varint())).fields(HEADER);
  const events = [];
  while (batch.more()) {
    const record = reader(batch.take(batch.varint()));
    const [kind, names] = KINDS[record.varint()] || ['unknown', {}];
    events.push({ kind, id: record.id(), at: record.zigzag(), ...record.fields({ ...names, 1: '@view' }) });
  }
  return { ...header, events };
};
