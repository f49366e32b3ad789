// Every call of RudderStack's SDK; prints what the SDK itself thinks became of each.
import Analytics from '@rudderstack/rudder-sdk-node';

const client = new Analytics(process.env.SEGMENTS_KEY, {
  dataPlaneUrl: process.env.SEGMENTS_HOST,
  flushAt: 4,
  logLevel: 'none',
});
const told = { delivered: 0, failed: [] };
let calls = 0;
const call = (method, message) =>
  new Promise((resolve) => {
    calls++;
    client[method](message, (error) => {
      if (error) told.failed.push(`${method}: ${error}`);
      else told.delivered++;
      resolve();
    });
  });

const userId = process.env.SEGMENTS_PERSON;
const done = [
  call('identify', { userId, traits: { email: `${userId}@mail.example`, plan: 'pro' } }),
  call('group', { userId, groupId: 'company-1', traits: { name: 'Company' } }),
  call('page', { userId, name: 'Pricing', properties: { url: 'https://shop.example/pricing?utm_source=node' } }),
  call('screen', { userId, name: 'Home' }),
  call('track', {
    userId,
    event: 'Order Completed',
    properties: { order_id: `R-${userId}`, total: 42.5, currency: 'EUR' },
  }),
  call('track', { anonymousId: `${userId}-device`, event: 'Anonymous' }),
  call('alias', { userId, previousId: `${userId}-before` }),
];
while (told.delivered + told.failed.length < calls) {
  await client.flush().catch(() => {});
  // Its callbacks come later than the end of the flush.
  await new Promise((resolve) => setTimeout(resolve, 10));
}
await Promise.all(done);
console.log(JSON.stringify({ ...told, calls }));
