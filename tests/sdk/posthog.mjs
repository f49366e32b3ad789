// What users of PostHog's SDK for servers write; prints what the SDK itself thinks became of it.
import { PostHog } from 'posthog-node';

const client = new PostHog(process.env.SEGMENTS_KEY, {
  host: process.env.SEGMENTS_HOST,
  flushAt: 1000,
  flushInterval: 0,
  fetchRetryCount: 3,
  fetchRetryDelay: 50,
});
const told = { errors: [] };
client.on('error', (error) => told.errors.push(String(error)));

const distinctId = process.env.SEGMENTS_PERSON;
client.identify({ distinctId, properties: { email: `${distinctId}@mail.example`, plan: 'pro' } });
client.capture({ distinctId, event: '$pageview', properties: { $current_url: 'https://shop.example/pricing' } });
client.capture({
  distinctId,
  event: 'Order Completed',
  properties: { order_id: `P-${distinctId}`, total: 42.5, currency: 'EUR', $set: { city: 'Bern' } },
});
client.groupIdentify({ groupType: 'company', groupKey: '1', properties: { name: 'Company' }, distinctId });
client.alias({ distinctId, alias: `${distinctId}-before` });
client.capture({ distinctId: `${distinctId}-device`, event: 'Anonymous', properties: { $process_person_profile: false } });
told.flag = (await client.getFeatureFlag('some-flag', distinctId)) ?? null;
await client.flush();
await client.shutdown();
console.log(JSON.stringify(told));
