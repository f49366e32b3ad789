// How the page did: the web's vitals, errors of its scripts, text that was copied. Only numbers, which the core sums up.

import { CLS, COPY, ERROR, FCP, INP, LCP, TTFB } from '../signals.js';

export default ({ wants, signal, on, quiet, hooks }) => {
  on('error', ({ message }) => message && wants('errors') && signal(ERROR));
  on('unhandledrejection', () => wants('errors') && signal(ERROR));
  on('copy cut', () => wants('copies') && signal(COPY));
  if (!wants('vitals')) return;

  const observers = [];
  const observe = (type, take, more) =>
    quiet(() => {
      const each = quiet((entries) => entries.forEach(take));
      const observer = new PerformanceObserver((list) => each(list.getEntries()));
      observer.observe({ type, buffered: true, ...more });
      observers.push(() => each(observer.takeRecords()));
    })();

  const [navigation] = performance.getEntriesByType('navigation');
  // Of a page that was made ready before it was visited, time begins with the visit.
  const start = navigation?.activationStart || 0;
  const since = (time) => Math.max(0, time - start);
  if (navigation?.responseStart > 0) signal(TTFB, since(navigation.responseStart));
  // What appears while nobody looks says nothing of what people wait for.
  let hidden = document.visibilityState == 'hidden' ? 0 : Infinity;
  on('visibilitychange', ({ timeStamp }) => (hidden = Math.min(hidden, timeStamp)));
  observe('paint', ({ name, startTime }) => {
    if (name == 'first-contentful-paint' && startTime < hidden) signal(FCP, since(startTime));
  });
  observe('largest-contentful-paint', ({ startTime }) => startTime < hidden && signal(LCP, since(startTime)));
  // A page that does not jump is known not to, where the browser can tell.
  if (PerformanceObserver.supportedEntryTypes.includes('layout-shift')) signal(CLS, 0, 0);
  observe('layout-shift', ({ hadRecentInput, startTime, value }) => !hadRecentInput && signal(CLS, value, startTime));
  observe('event', ({ interactionId, duration }) => interactionId && signal(INP, duration, interactionId), { durationThreshold: 40 });
  hooks.sums.push(() => observers.forEach((flush) => flush()));
};
