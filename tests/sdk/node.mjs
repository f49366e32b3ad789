// Every call of the SDK, as its users write them; prints what the SDK itself thinks became of each.
import { Analytics } from '@segment/analytics-node';

const analytics = new Analytics({
  writeKey: process.env.SEGMENTS_KEY,
  host: process.env.SEGMENTS_HOST,
  flushAt: 7,
  maxRetries: 2,
});
const told = { delivered: 0, failed: [], errors: [] };
analytics.on('error', (error) => told.errors.push(String(error.reason ?? error.code ?? error)));

let calls = 0;
const call = (method, message) =>
  new Promise((resolve) => {
    calls++;
    analytics[method](message, (error) => {
      if (error) told.failed.push(`${method}: ${error}`);
      else told.delivered++;
      resolve();
    });
  });

const userId = 'node-user';
const done = [
  call('identify', { userId, traits: { email: 'node@mail.example', name: 'Nora Node', plan: 'pro' } }),
  call('group', { userId, groupId: 'company-1', traits: { name: 'Company' } }),
  call('page', { userId, name: 'Pricing', properties: { url: 'https://shop.example/pricing?utm_source=node' } }),
  call('screen', { userId, name: 'Home', properties: { tab: 'first' } }),
  call('track', { userId, event: 'Order Completed', properties: { order_id: 'N-1', total: 42.5, currency: 'EUR' } }),
  call('track', { anonymousId: 'node-device', event: 'Anonymous' }),
  call('alias', { userId, previousId: 'node-user-before' }),
  ...Array.from({ length: 40 }, (_, n) => call('track', { userId, event: 'Numbered', properties: { n } })),
  // The same message twice, as a caller's own retry makes it: within a batch, and in another one.
  ...Array.from({ length: 3 }, () => call('track', { userId, event: 'Repeated', messageId: 'node-repeated' })),
];
await analytics.closeAndFlush({ timeout: 20000 });
await Promise.all(done);
console.log(JSON.stringify({ ...told, calls }));
