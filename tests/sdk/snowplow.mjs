// What users of Snowplow's tracker for servers write; prints what the tracker itself thinks became of it.
import {
  buildEcommerceTransaction,
  buildEcommerceTransactionItem,
  buildPageView,
  buildSelfDescribingEvent,
  buildStructEvent,
  newTracker,
} from '@snowplow/node-tracker';

const told = { delivered: 0, failures: [], lost: [] };
const endpoint = process.env.SEGMENTS_HOST;
const tracker = newTracker(
  { namespace: 'test', appId: process.env.SEGMENTS_KEY, encodeBase64: process.env.SEGMENTS_BASE64 !== 'no' },
  {
    endpoint,
    eventMethod: process.env.SEGMENTS_METHOD ?? 'post',
    bufferSize: 3,
    onRequestSuccess: (batch) => (told.delivered += batch.length),
    onRequestFailure: (failure) => {
      told.failures.push(failure.status ?? failure.message ?? 'cut');
      if (!failure.willRetry) told.lost.push(failure.status ?? 'cut');
    },
  },
);
const person = process.env.SEGMENTS_PERSON;
const iglu = (name) => `iglu:com.snowplowanalytics.snowplow/${name}/jsonschema/1-0-0`;
tracker.setUserId(person);
tracker.setDomainUserId(`${person}-device`);
const events = [
  buildPageView({ pageUrl: 'https://shop.example/pricing?utm_source=nl', pageTitle: 'Pricing' }),
  buildStructEvent({ category: 'Videos', action: 'Play', label: 'Intro', value: 3 }),
  buildSelfDescribingEvent({
    event: { schema: iglu('link_click'), data: { targetUrl: 'https://other.example/x?mail=mia@mail.example' } },
  }),
  buildEcommerceTransaction({ orderId: `S-${person}`, total: 42.5, currency: 'EUR' }),
  buildEcommerceTransactionItem({ orderId: `S-${person}`, sku: 'boot', price: 42.5, quantity: 1, currency: 'EUR' }),
];
for (const event of events) tracker.track(event);
for (let n = 0; told.delivered < events.length && told.lost.length === 0 && n < 50; n++) {
  await tracker.flush();
  await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log(JSON.stringify({ ...told, calls: events.length }));
