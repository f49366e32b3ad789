// What users of Matomo's client for servers write: single requests, and many at once; prints what it says of them.
import MatomoTracker from 'matomo-tracker';

const person = process.env.SEGMENTS_PERSON;
const told = { errors: [], bulk: null };
const tracker = new MatomoTracker(process.env.SEGMENTS_KEY, `${process.env.SEGMENTS_HOST}/matomo.php`);
tracker.on('error', (error) => told.errors.push(String(error)));
const visitor = { _id: process.env.SEGMENTS_VISITOR, uid: person };
const url = 'https://shop.example/pricing?utm_source=nl';
const order = { idgoal: 0, ec_id: `M-${person}`, revenue: 42.5, ec_items: '[["boot","Boots","Shoes",42.5,1]]' };
const steps = [
  () => tracker.track({ ...visitor, url, action_name: 'Pricing', urlref: 'https://search.example/' }),
  () => tracker.track({ ...visitor, url, e_c: 'Videos', e_a: 'Play', e_n: 'Intro', e_v: 3 }),
  () =>
    tracker.trackBulk([{ ...visitor, url, ...order }, { ...visitor, url, search: 'boots', search_count: 2 }], (bulk) => {
      told.bulk = bulk;
    }),
];
// The client tells nobody that a single request went well: one is over when nothing is left to wait for.
process.on('beforeExit', () => {
  const next = steps.shift();
  if (next) return next();
  if (!told.done) {
    told.done = true;
    console.log(JSON.stringify(told));
  }
});
