// The overlay: a panel in a closed shadow root, with its styles in a sheet of its own, so that page and panel do not
// touch each other and no policy of the page has to allow styles.

import { nameOf } from './journal.js';
import styles from './panel.css';

const MODES = ['off', 'measure', 'full'];
const DETAILS = {
  none: 'counts only; open this page from the dashboard’s set-up page to see which event was rejected, and why',
  asked: 'asked for',
  told: 'told, event by event',
  wrong: 'the key is wrong or has expired; take the link on the dashboard’s set-up page anew',
};

const make = (tag, attributes, ...children) => {
  const element = document.createElement(tag);
  for (const name in attributes) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), attributes[name]);
    else if (attributes[name] !== false) element.setAttribute(name, attributes[name]);
  }
  element.append(...children.filter((child) => child != null));
  return element;
};

const kilobytes = (bytes) => (bytes < 1000 ? `${bytes} bytes` : `${(bytes / 1000).toFixed(1)} KB`);
const clock = (at) => new Date(at).toLocaleTimeString([], { hourCycle: 'h23' });

/** The tracker's own files, with what came over the network for each. */
const files = (origin) =>
  performance
    .getEntriesByType('resource')
    .filter(({ name }) => new URL(name).origin == origin && /\/(t|capture|core|debug)(\.\w+)?\.(js|wasm)$/.test(name))
    .map(({ name, transferSize, encodedBodySize }) => {
      const file = name.split('/').pop().replace(/\.\w{12}\./, '.');
      return `${file} ${kilobytes(encodedBodySize)}${transferSize ? '' : ' (cached)'}`;
    })
    .join(', ');

export default ({ quiet, log, hooks, data, config, mode, api, origin, isOpen, close }) => {
  const host = document.createElement('segments-debugger');
  const root = host.attachShadow({ mode: 'closed' });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(styles);
  root.adoptedStyleSheets = [sheet];
  hooks.panel = host;

  let engine = 'starting';
  let wanted = '';
  const rows = new Map();

  const button = (name, run, more) => make('button', { type: 'button', onclick: quiet(run), ...more }, name);
  const list = make('ol', { 'aria-label': 'Events' });
  const none = make('p', { class: 'quiet' }, 'Nothing has been told yet.');
  const facts = make('dl');
  const spoken = make('p', { role: 'status', class: 'spoken' });
  const filter = make('input', {
    type: 'search',
    placeholder: 'Filter events',
    'aria-label': 'Filter events',
    autocomplete: 'off',
    oninput: quiet(() => {
      wanted = filter.value.trim().toLowerCase();
      render();
    }),
  });
  const body = make(
    'div',
    { id: 'body' },
    make('details', { class: 'page' }, make('summary', {}, 'This page'), facts),
    make('div', { class: 'tools' }, filter, button('Copy as JSON', () => copy()), button('Clear', () => log.clear())),
    none,
    list,
  );
  const summary = make('span', { class: 'sum' });
  const fold = button('', () => show(body.hidden), { 'aria-controls': 'body', class: 'fold' });
  fold.append(make('b', {}, 'Segments'), summary);
  const panel = make(
    'section',
    { 'aria-label': 'Segments debugger' },
    make('header', {}, fold, button('×', () => end(), { 'aria-label': 'Close the debugger', class: 'close' })),
    body,
    spoken,
  );

  const show = (isShown) => {
    body.hidden = !isShown;
    panel.classList.toggle('folded', !isShown);
    fold.setAttribute('aria-expanded', isShown);
  };
  const end = () => {
    clearInterval(ticking);
    close();
    host.remove();
    hooks.panel = undefined;
  };

  const told = () =>
    [...log.entries.values()].map(({ event: { kind, id, at, ...fields }, state, reason, detail, steps, warnings }) => ({
      id,
      kind,
      at: new Date(at).toISOString(),
      ...fields,
      state,
      reason,
      detail,
      steps: steps.map(([step, when]) => ({ step, at: new Date(when).toISOString() })),
      warnings: warnings.map(({ text }) => text),
    }));
  const copy = async () => {
    const text = JSON.stringify(told(), null, 2);
    try {
      await navigator.clipboard.writeText(text);
      spoken.textContent = 'Copied.';
    } catch {
      // Pages without HTTPS have no clipboard: what is selected can be copied by hand.
      const area = make('textarea', { 'aria-label': 'The events as JSON', readonly: '' });
      area.value = text;
      root.querySelector('textarea')?.remove();
      body.append(area);
      area.select();
      spoken.textContent = 'This page may not write to the clipboard: the text is selected.';
    }
  };

  const paint = (entry, row) => {
    const { event, state, reason, detail, steps, warnings } = entry;
    const problem = reason || detail;
    const start = steps[0][1];
    const { kind, id, at, ...fields } = event;
    row.dataset.state = state;
    row.querySelector('summary').replaceChildren(
      make('time', {}, clock(at)),
      make('b', {}, nameOf(event)),
      ...(warnings.length ? [make('span', { class: 'pill warn' }, `${warnings.length} ${warnings.length == 1 ? 'warning' : 'warnings'}`)] : []),
      make('span', { class: 'pill ' + state }, state),
    );
    row.querySelector('.more').replaceChildren(
      ...(problem ? [make('p', { class: 'why' }, [reason, detail].filter(Boolean).join(': '))] : []),
      ...warnings.map(({ text }) => make('p', { class: 'why warn' }, text)),
      make('p', { class: 'steps' }, steps.map(([step, when]) => `${step} +${Math.max(0, when - start)} ms`).join(' → ')),
      make('pre', { tabindex: 0, 'aria-label': 'The event' }, JSON.stringify({ kind, id, ...fields }, null, 2)),
    );
    row.told = `${nameOf(event)} ${kind} ${state} ${reason || ''} ${JSON.stringify(fields)}`.toLowerCase();
  };

  const status = ({ status, error, stored, duplicate, rejected }) =>
    !status ? 'no answer' : error ? `${status}: ${error}` : `${status}: ${stored} stored, ${duplicate} duplicate, ${rejected} rejected`;
  const describe = () => {
    const { totals, who, last } = log;
    const reasons = Object.entries(totals.reasons).map(([reason, count]) => `${reason} ${count}`);
    const id = who.visitor || who.load;
    const settings = Object.entries(data).map(([name, value]) => `data-${name.replace(/[A-Z]/g, (letter) => '-' + letter.toLowerCase())}="${value}"`);
    const signals = [config.gpc && 'Global Privacy Control', config.dnt && 'Do Not Track'].filter(Boolean);
    return {
      Consent: MODES[mode()] + (signals.length && mode() ? ' (the browser’s signals allow no more)' : ''),
      Engine: engine,
      Id: id ? `${id.slice(0, 8)}…, ${who.visitor ? 'the visitor’s, kept in this browser' : 'of this page load, kept nowhere'}` : 'none was sent yet',
      Signals: signals.join(', ') || 'none',
      Collector: last ? `${origin}, ${status(last)}` : `${origin}, nothing was sent yet`,
      'In all': `${totals.stored} stored, ${totals.duplicate} duplicate, ${totals.rejected} rejected` + (reasons.length ? ` (${reasons.join(', ')})` : ''),
      Details: DETAILS[log.details],
      Settings: settings.join('\n'),
      Sent: `${totals.posts} posts, ${kilobytes(totals.bytes)}` + (who.dropped ? `; ${who.dropped} events lost` : ''),
      Files: files(origin),
    };
  };

  let announced = new Set();
  const announce = () => {
    const fresh = [...log.entries.values()].filter(({ key, state }) => /rejected|dropped/.test(state) && !announced.has(key));
    fresh.forEach(({ key }) => announced.add(key));
    if (fresh.length) spoken.textContent = fresh.map(({ event, state }) => `${nameOf(event)} ${state}`).join(', ');
  };

  const render = quiet(() => {
    for (const [key, row] of rows)
      if (!log.entries.has(key)) {
        row.remove();
        rows.delete(key);
      }
    let isEmpty = true;
    for (const [key, entry] of log.entries) {
      let row = rows.get(key);
      if (!row) {
        row = make('li', {}, make('details', {}, make('summary', {}), make('div', { class: 'more' })));
        rows.set(key, row);
        // The newest on top.
        list.prepend(row);
      }
      if (row.shown !== entry.steps.length) {
        row.shown = entry.steps.length;
        paint(entry, row);
      }
      row.hidden = !row.told.includes(wanted);
      isEmpty &&= row.hidden;
    }
    none.hidden = !isEmpty;
    none.textContent = log.entries.size ? 'No event matches the filter.' : 'Nothing has been told yet.';
    const count = (test) => [...log.entries.values()].filter(test).length;
    const bad = count(({ state }) => /rejected|dropped/.test(state));
    const odd = count(({ warnings }) => warnings.length);
    summary.textContent = [`${log.entries.size} events`, bad && `${bad} not stored`, odd && `${odd} with warnings`].filter(Boolean).join(', ');
    facts.replaceChildren(...Object.entries(describe()).flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, value)]));
    announce();
  });

  let due;
  const changed = () => {
    due =
      due ||
      setTimeout(() => {
        due = 0;
        render();
      }, 50);
  };
  const tick = quiet(() =>
    api.ready(
      quiet((now) => {
        engine = now.engine + (now.queued === undefined ? '' : `, ${now.queued} queued, ${now.dropped} lost`);
        changed();
      }),
    ),
  );
  const ticking = setInterval(tick, 1000);

  // What is typed here is not the page's.
  panel.addEventListener('keydown', (event) => {
    event.stopPropagation();
    if (event.key == 'Escape' && !body.hidden) {
      show(false);
      fold.focus();
    }
  });
  root.append(panel);
  show(isOpen);
  render();
  tick();
  document.documentElement.append(host);
  return { changed };
};
