// What users of Umami's client for servers write; prints the answer to each call.
import { Umami } from '@umami/node';

const client = new Umami({ websiteId: process.env.SEGMENTS_KEY, hostUrl: process.env.SEGMENTS_HOST });
const person = process.env.SEGMENTS_PERSON;
const answers = [];
const call = async (run) => {
  try {
    const response = await run();
    answers.push({ status: response.status, told: await response.json() });
  } catch (error) {
    answers.push({ failed: String(error) });
  }
};
const page = { hostname: 'shop.example', language: 'de-CH', screen: '1280x900', url: '/pricing?utm_source=nl' };
await call(() => client.track({ ...page, title: 'Pricing', referrer: 'https://search.example/?q=mia@mail.example' }));
await call(() => client.track({ ...page, name: 'Signed Up', data: { plan: 'pro' } }));
await call(() => client.track(`Named by ${person}`, { n: 1 }));
await call(() => client.identify({ plan: 'pro' }));
console.log(JSON.stringify(answers));
