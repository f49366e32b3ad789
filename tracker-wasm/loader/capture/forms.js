// Forms: begun, sent, given up. The names of fields, never what is in them.

import { FIELD } from '../signals.js';
import { isPrivate, nameOf } from './element.js';

const MOST_FIELDS = 30;

export default ({ wants, track, signal, on, hooks }) => {
  const touched = new WeakSet();
  // What was begun and not sent.
  const open = new Map();

  // Not `change`, which comes once more when a field is left behind that was sent already.
  on('input', ({ target }) => {
    if (!touched.has(target)) {
      touched.add(target);
      signal(FIELD);
    }
    const { form } = target;
    if (!form || isPrivate(target) || !wants('forms')) return;
    const field = nameOf(target);
    if (!open.has(form)) {
      open.set(form, []);
      track('Form Started', { form: nameOf(form), field });
    }
    const fields = open.get(form);
    if (fields.length < MOST_FIELDS && !fields.includes(field)) fields.push(field);
  });
  on('submit', ({ target }) => {
    if (!isPrivate(target) && wants('forms')) track('Form Submitted', { form: nameOf(target), fields: open.get(target) || [] });
    open.delete(target);
  });
  const giveUp = () => {
    open.forEach((fields, form) => track('Form Abandoned', { form: nameOf(form), last_field: fields.at(-1), fields }));
    open.clear();
  };
  hooks.ends.push(giveUp);
};
