//! What columns are asked. Each question is one pass over the people, on all cores, at one moment of theirs.

use super::columns::{Columns, Seen, Shard};
use super::{Coverage, threads};
use crate::store::sites::Site;
use domain::event::ProfileId;
use domain::segment::rfm::{CustomerOrders, Scales};
use domain::segment::rule::{
    Clause, Fact, Matcher, Matching, Percentiles, Person, Plan, Rule, RuleError, Slots, second,
};
use domain::segment::{Customer, Purchase, rule};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A site's people at one moment, to be asked.
#[derive(Clone)]
pub struct View {
    pub(super) columns: Arc<Columns>,
    pub(super) time_zone: TimeZone,
    pub(super) currency_digits: u32,
    pub(super) coverage: Coverage,
}

/// Some people: those of whom the last plan holds. The plans before it fill the bits of the segments that it asks for,
/// in the order of their [`Slots`].
#[derive(Clone, Copy)]
pub struct Among<'a> {
    /// Made by [`View::plan`] of the same view.
    pub plans: &'a [Plan],
    /// The second that they are asked about.
    pub as_of: u32,
}

impl Among<'_> {
    fn holds(&self, person: &Person<'_>, words: &mut Vec<u64>) -> bool {
        match self.plans {
            [] => true,
            [only] => only.holds(person, self.as_of),
            [before @ .., last] => {
                fill(before, person, self.as_of, words);
                last.holds(&Person { segments: words, ..*person }, self.as_of)
            }
        }
    }
}

/// Asks one plan after the other; each sees the bits of those before it.
fn fill(plans: &[Plan], person: &Person<'_>, as_of: u32, words: &mut Vec<u64>) {
    words.clear();
    words.resize(plans.len().div_ceil(64).max(1), 0);
    for (slot, plan) in plans.iter().enumerate() {
        if plan.holds(&Person { segments: words, ..*person }, as_of) {
            words[slot / 64] |= 1 << (slot % 64);
        }
    }
}

/// How many a rule holds, and who.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Members.
    pub count: u64,
    /// Profiles that were there.
    pub of: u64,
    /// Some of them, the same ones for the same seed.
    pub sample: Vec<ProfileId>,
    /// What they are like.
    pub distribution: Distribution,
}

/// Members by what they have done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// By number of orders, see [`Distribution::ORDERS`].
    pub orders: [u64; 5],
    /// By revenue, see [`Distribution::REVENUE`].
    pub revenue: [u64; 8],
    /// By days since anything happened, see [`Distribution::LAST_SEEN_DAYS`].
    pub last_seen: [u64; 6],
}

impl Distribution {
    /// The lowest number of orders of each bar.
    pub const ORDERS: [u32; 5] = [0, 1, 2, 3, 6];
    /// The lowest revenue of each bar in major units; the first holds those without any.
    pub const REVENUE: [u32; 8] = [0, 0, 25, 50, 100, 250, 500, 1_000];
    /// The lowest number of whole days of each bar.
    pub const LAST_SEEN_DAYS: [u32; 6] = [0, 1, 7, 30, 90, 365];

    fn add(&mut self, person: &Person<'_>, as_of: u32, minor_per_major: i64) {
        let orders = person.orders_by(as_of);
        let bar = Distribution::ORDERS.partition_point(|least| *least as usize <= orders.len());
        self.orders[bar - 1] += 1;
        let minor = orders.iter().fold(0_i64, |sum, order| sum.saturating_add(order.minor));
        let bar = Distribution::REVENUE[1..]
            .partition_point(|least| i64::from(*least).saturating_mul(minor_per_major) <= minor && minor > 0);
        self.revenue[bar] += 1;
        let seen = person.at.partition_point(|at| *at <= as_of);
        if let Some(last) = seen.checked_sub(1).map(|place| person.at[place]) {
            let days = (as_of - last) / 86_400;
            self.last_seen[Distribution::LAST_SEEN_DAYS.partition_point(|least| *least <= days) - 1] += 1;
        }
    }

    fn join(mut self, other: &Distribution) -> Distribution {
        let pairs = self.orders.iter_mut().zip(&other.orders);
        let pairs = pairs.chain(self.revenue.iter_mut().zip(&other.revenue));
        pairs.chain(self.last_seen.iter_mut().zip(&other.last_seen)).for_each(|(sum, more)| *sum += more);
        self
    }
}

/// What some people were worth, and what they did later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Group {
    /// People.
    pub people: u64,
    /// Their revenue by then in minor units.
    pub revenue_minor: i64,
    /// Those who ordered in the 30 days after; so far, where these have not passed.
    pub ordered_30: u64,
    /// Those who ordered in the 90 days after.
    pub ordered_90: u64,
    /// Revenue of the 30 days after.
    pub revenue_30_minor: i64,
    /// Revenue of the 90 days after.
    pub revenue_90_minor: i64,
}

impl Group {
    fn add(&mut self, person: &Person<'_>, as_of: u32) {
        let sum = |from: u32, to: u32| {
            let end = person.orders.partition_point(|order| order.at <= to);
            let start = person.orders.partition_point(|order| order.at <= from).min(end);
            let orders = &person.orders[start..end];
            (!orders.is_empty(), orders.iter().fold(0_i64, |sum, order| sum.saturating_add(order.minor)))
        };
        self.people += 1;
        let before = person.orders_by(as_of).iter().fold(0_i64, |sum, order| sum.saturating_add(order.minor));
        self.revenue_minor = self.revenue_minor.saturating_add(before);
        let (ordered, revenue) = sum(as_of, as_of.saturating_add(30 * 86_400));
        self.ordered_30 += u64::from(ordered);
        self.revenue_30_minor = self.revenue_30_minor.saturating_add(revenue);
        let (ordered, revenue) = sum(as_of, as_of.saturating_add(90 * 86_400));
        self.ordered_90 += u64::from(ordered);
        self.revenue_90_minor = self.revenue_90_minor.saturating_add(revenue);
    }

    fn join(self, other: Group) -> Group {
        Group {
            people: self.people + other.people,
            revenue_minor: self.revenue_minor.saturating_add(other.revenue_minor),
            ordered_30: self.ordered_30 + other.ordered_30,
            ordered_90: self.ordered_90 + other.ordered_90,
            revenue_30_minor: self.revenue_30_minor.saturating_add(other.revenue_30_minor),
            revenue_90_minor: self.revenue_90_minor.saturating_add(other.revenue_90_minor),
        }
    }
}

/// A rule on a past day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backtested {
    /// The second that was asked about.
    pub as_of: u32,
    /// Who was in then.
    pub members: Group,
    /// Every profile that was there then, members included.
    pub everybody: Group,
}

/// The buyers of a day.
#[derive(Clone, Debug, PartialEq)]
pub struct Rfm {
    /// Who they are.
    pub profile_ids: Vec<ProfileId>,
    /// Recency, frequency and value of each.
    pub buyers: Vec<CustomerOrders>,
    /// The quintiles.
    pub scales: Scales,
}

/// The memberships of many plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memberships {
    /// Profiles, in no order.
    pub profile_ids: Vec<ProfileId>,
    /// For each profile as many words as the plans need, one bit per plan.
    pub words: Vec<u64>,
    /// How many each plan holds.
    pub sizes: Vec<u64>,
}

/// Days of the site's time zone as seconds.
pub(super) struct Days {
    pub(super) starts: Vec<u32>,
}

impl Days {
    pub(super) fn of(time_zone: &TimeZone, first: Date, last: Date) -> Days {
        let mut starts = Vec::new();
        let mut day = first;
        while day <= last {
            starts.push(midnight(time_zone, day));
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
        starts.push(midnight(time_zone, last.saturating_add(SignedDuration::from_hours(24))));
        Days { starts }
    }

    /// The days around two seconds.
    fn around(time_zone: &TimeZone, from: u32, to: u32) -> Days {
        let day =
            |at: u32| crate::store::instant(i64::from(at) * 1_000_000).to_zoned_datetime(time_zone.clone()).date();
        Days::of(time_zone, day(from), day(to.max(from)))
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn bounds(&self) -> (u32, u32) {
        (self.starts[0], self.starts[self.len()])
    }

    /// The number of the day that holds a second, which must be one of these.
    #[inline]
    pub(super) fn day(&self, at: u32) -> usize {
        let mut day = (((at - self.starts[0]) / 86_400) as usize).min(self.len() - 1);
        // Days of 23 and 25 hours move the midnights by an hour or two.
        while at < self.starts[day] {
            day -= 1;
        }
        while at >= self.starts[day + 1] {
            day += 1;
        }
        day
    }
}

pub(super) fn midnight(time_zone: &TimeZone, day: Date) -> u32 {
    day.to_zoned_datetime(time_zone.clone()).map_or(u32::MAX, |zoned| second(zoned.timestamp()))
}

impl View {
    /// What the answers leave out.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// People, and their events, visits and orders.
    pub fn counts(&self) -> (u64, u64) {
        self.columns.counts()
    }

    /// Makes a rule ready for this view, with the values of the site on that day where it asks for them.
    ///
    /// # Errors
    /// [`RuleError`]; a property or trait that is not kept is asked for with [`super::Analysis::keep`].
    pub fn plan(&self, rule: &Rule, slots: &Slots, site: &rule::Site) -> Result<Plan, RuleError> {
        Plan::compile(rule, &self.words(), site, slots)
    }

    /// [`View::plan`] with the values of the site at that second where the rule compares people with each other.
    ///
    /// # Errors
    /// As [`View::plan`].
    pub fn plan_at(&self, rule: &Rule, slots: &Slots, as_of: u32) -> Result<Plan, RuleError> {
        let site = match compares(&rule.who) {
            true => self.population(as_of),
            false => rule::Site::new(self.time_zone.clone(), self.currency_digits),
        };
        self.plan(rule, slots, &site)
    }

    /// Makes a kind of event ready for this view.
    ///
    /// # Errors
    /// As [`View::plan`].
    pub fn matcher(&self, matching: &Matching) -> Result<Matcher, RuleError> {
        Matcher::compile(matching, &self.words())
    }

    pub(super) fn words(&self) -> std::sync::RwLockReadGuard<'_, rule::Vocabulary> {
        self.columns.vocabulary.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What rules compare people with: scales, limits and percentiles of the day of the site that holds this second.
    pub fn population(&self, as_of: u32) -> rule::Site {
        let end = crate::store::instant((i64::from(as_of) + 1) * 1_000_000);
        let settings = domain::segment::Settings::default();
        let mut site =
            domain::segment::site_values(&self.customers(), end, &self.time_zone, self.currency_digits, &settings);
        let expected = self.fold(
            None,
            Vec::new,
            |expected: &mut Vec<f64>, person, seen| {
                if seen.is_profile && !person.orders_by(as_of).is_empty() {
                    expected.push(f64::from(person.scores.expected_revenue));
                }
            },
            append,
        );
        site.expected_revenue = Percentiles::of(expected);
        site
    }

    /// One pass over all people, or over profiles of whom a plan holds, on all cores.
    pub(super) fn fold<T: Send>(
        &self,
        among: Option<Among<'_>>,
        make: impl Fn() -> T + Sync,
        each: impl Fn(&mut T, &Person<'_>, Seen) + Sync,
        join: impl Fn(T, T) -> T,
    ) -> T {
        let shards: &[Arc<Shard>] = &self.columns.shards;
        let next = AtomicUsize::new(0);
        let work = || {
            let mut sum = make();
            let mut words = Vec::new();
            while let Some(shard) = shards.get(next.fetch_add(1, Ordering::Relaxed)) {
                match &among {
                    None => shard.each(|person, seen| each(&mut sum, person, seen)),
                    Some(among) => shard.each(|person, seen| {
                        if seen.is_profile && among.holds(person, &mut words) {
                            each(&mut sum, person, seen);
                        }
                    }),
                }
            }
            sum
        };
        let helpers = threads().min(shards.len()).saturating_sub(1);
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            let first = work();
            running.into_iter().fold(first, |sum, thread| match thread.join() {
                Ok(more) => join(sum, more),
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    /// Who would be a member: how many, a sample of up to `sample` people, and what they are like.
    pub fn preview(&self, among: Among<'_>, sample: usize, seed: u64) -> Preview {
        let minor_per_major = 10_i64.saturating_pow(self.currency_digits);
        struct Sum {
            count: u64,
            of: u64,
            sample: BinaryHeap<(u64, i64)>,
            distribution: Distribution,
            words: Vec<u64>,
        }
        let make = || Sum {
            count: 0,
            of: 0,
            sample: BinaryHeap::new(),
            distribution: Distribution::default(),
            words: Vec::new(),
        };
        let keep = |heap: &mut BinaryHeap<(u64, i64)>, entry: (u64, i64)| {
            if heap.len() < sample {
                heap.push(entry);
            } else if heap.peek().is_some_and(|largest| entry < *largest) {
                heap.pop();
                heap.push(entry);
            }
        };
        let sum = self.fold(
            None,
            make,
            |sum, person, seen| {
                if !seen.is_profile || seen.first > among.as_of {
                    return;
                }
                sum.of += 1;
                if !among.holds(person, &mut sum.words) {
                    return;
                }
                sum.count += 1;
                sum.distribution.add(person, among.as_of, minor_per_major);
                keep(&mut sum.sample, (scatter(person.profile_id.0, seed), person.profile_id.0));
            },
            |mut one, other| {
                one.count += other.count;
                one.of += other.of;
                other.sample.into_iter().for_each(|entry| keep(&mut one.sample, entry));
                one.distribution = one.distribution.join(&other.distribution);
                one
            },
        );
        let sample = sum.sample.into_sorted_vec().into_iter().map(|(_, id)| ProfileId(id)).collect();
        Preview { count: sum.count, of: sum.of, sample, distribution: sum.distribution }
    }

    /// What a rule would have held at past moments, and what those people did later, beside everybody.
    pub fn backtest(&self, plans: &[Plan], moments: &[u32]) -> Vec<Backtested> {
        let groups = self.fold(
            None,
            || (vec![(Group::default(), Group::default()); moments.len()], Vec::new()),
            |(groups, words), person, seen| {
                for (place, as_of) in moments.iter().enumerate() {
                    if seen.is_profile && seen.first <= *as_of {
                        groups[place].1.add(person, *as_of);
                        if (Among { plans, as_of: *as_of }).holds(person, words) {
                            groups[place].0.add(person, *as_of);
                        }
                    }
                }
            },
            |(mut one, words), (other, _)| {
                one.iter_mut().zip(other).for_each(|(sum, more)| *sum = (sum.0.join(more.0), sum.1.join(more.1)));
                (one, words)
            },
        );
        let pairs = moments.iter().zip(groups.0);
        pairs.map(|(as_of, (members, everybody))| Backtested { as_of: *as_of, members, everybody }).collect()
    }

    /// The buyers by the end of a day, with the quintiles that RFM scores are made of.
    pub fn rfm(&self, day: Date) -> Rfm {
        let end = midnight(&self.time_zone, day.saturating_add(SignedDuration::from_hours(24)));
        let first = self.fold(
            None,
            || u32::MAX,
            |first, person, _| *first = person.orders.first().map_or(*first, |order| order.at.min(*first)),
            u32::min,
        );
        let days = Days::around(&self.time_zone, first.min(end), end);
        let today = days.day(end.saturating_sub(1).max(days.starts[0]));
        let (profile_ids, buyers) = self.fold(
            None,
            || (Vec::new(), Vec::new()),
            |(profile_ids, buyers), person, seen| {
                let orders = &person.orders[..person.orders.partition_point(|order| order.at < end)];
                if let Some(last) = orders.last().filter(|_| seen.is_profile) {
                    profile_ids.push(person.profile_id);
                    buyers.push(CustomerOrders {
                        recency_days: (today - days.day(last.at)) as u32,
                        orders: u32::try_from(orders.len()).unwrap_or(u32::MAX),
                        spent_minor: orders.iter().fold(0_i64, |sum, order| sum.saturating_add(order.minor)),
                    });
                }
            },
            |one, other| (append(one.0, other.0), append(one.1, other.1)),
        );
        let scales = Scales::of(&buyers);
        Rfm { profile_ids, buyers, scales }
    }

    /// Logarithms of recency in days, orders and spending in major units of the buyers by the end of a day, each with
    /// one added first: what clusters are made of.
    pub fn features(&self, day: Date) -> (Vec<ProfileId>, Vec<[f32; 3]>) {
        let Rfm { profile_ids, buyers, .. } = self.rfm(day);
        let major = 10_f64.powi(i32::try_from(self.currency_digits).unwrap_or(2));
        let row = |buyer: &CustomerOrders| {
            let spent = buyer.spent_minor.max(0) as f64 / major;
            [f64::from(buyer.recency_days), f64::from(buyer.orders), spent].map(|value| value.ln_1p() as f32)
        };
        let rows = buyers.iter().map(row).collect();
        (profile_ids, rows)
    }

    /// Everybody who has signed up or bought, as the day's book of segments takes them.
    pub fn customers(&self) -> Vec<Customer> {
        let instant = |at: u32| Timestamp::from_second(i64::from(at)).unwrap_or(Timestamp::UNIX_EPOCH);
        self.fold(
            None,
            Vec::new,
            |customers, person, seen| {
                if seen.is_profile && (person.signed_up || !person.orders.is_empty()) {
                    let purchase = |order: &rule::PlacedAt| Purchase { at: instant(order.at), minor: order.minor };
                    customers.push(Customer {
                        profile_id: person.profile_id,
                        first_seen: instant(seen.first),
                        signed_up: person.signed_up,
                        purchases: person.orders.iter().map(purchase).collect(),
                    });
                }
            },
            append,
        )
    }

    /// The members, by profile id.
    pub fn members(&self, among: Among<'_>) -> Vec<ProfileId> {
        let mut members = self.fold(Some(among), Vec::new, |all, person, _| all.push(person.profile_id), append);
        members.sort_unstable();
        members
    }

    /// All plans in one pass; each may ask for the segments of those before it.
    pub fn count_many(&self, plans: &[Plan], as_of: u32) -> Memberships {
        let mut sum = self
            .fold(
                None,
                || {
                    (
                        Memberships { profile_ids: Vec::new(), words: Vec::new(), sizes: vec![0; plans.len()] },
                        Vec::new(),
                    )
                },
                |(sum, words), person, seen| {
                    if seen.is_profile && seen.first <= as_of {
                        fill(plans, person, as_of, words);
                        sum.profile_ids.push(person.profile_id);
                        sum.words.extend_from_slice(words);
                    }
                },
                |(one, words), (other, _)| {
                    let profile_ids = append(one.profile_ids, other.profile_ids);
                    (Memberships { profile_ids, words: append(one.words, other.words), sizes: one.sizes }, words)
                },
            )
            .0;
        let each = plans.len().div_ceil(64).max(1);
        for words in sum.words.chunks(each) {
            for (slot, size) in sum.sizes.iter_mut().enumerate() {
                *size += words[slot / 64] >> (slot % 64) & 1;
            }
        }
        sum
    }

    /// Whether a profile is known, and its events' times; for explanations.
    pub fn person<T>(&self, profile_id: ProfileId, look: impl FnOnce(&Person<'_>) -> T) -> Option<T> {
        self.columns.find(profile_id.0, |person, _| look(person))
    }
}

/// Whether a clause asks for something that follows from what all people do.
pub(crate) fn compares(clause: &Clause) -> bool {
    match clause {
        Clause::All(parts) | Clause::Any(parts) => parts.iter().any(compares),
        Clause::Not(part) => compares(part),
        Clause::Fact(fact) => matches!(
            fact.name,
            Fact::Lifecycle
                | Fact::DaysPastUsualGap
                | Fact::RfmGroup
                | Fact::RecencyScore
                | Fact::FrequencyScore
                | Fact::MonetaryScore
                | Fact::RevenuePercentile
                | Fact::OrderValuePercentile
                | Fact::ExpectedRevenuePercentile
        ),
        Clause::Event(_) | Clause::Sequence(_) | Clause::Trait(_) | Clause::Segment(_) | Clause::Bucket(_) => false,
    }
}

fn append<T>(mut one: Vec<T>, mut other: Vec<T>) -> Vec<T> {
    one.append(&mut other);
    one
}

/// A number that looks like chance: SplitMix64 (Steele, Lea & Flood 2014).
fn scatter(profile_id: i64, seed: u64) -> u64 {
    let mut hash = profile_id.cast_unsigned().wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

impl View {
    pub(super) fn new(columns: Arc<Columns>, site: &Site, coverage: Coverage) -> View {
        View { columns, time_zone: site.time_zone.clone(), currency_digits: site.currency.digits(), coverage }
    }

    /// Where two views of the same words differ: the people, up to a number of them.
    pub(super) fn differences(&self, other: &View) -> Vec<i64> {
        let people = |view: &View| {
            view.fold(
                None,
                BTreeMap::new,
                |people, person, seen| {
                    people.insert(person.profile_id.0, fingerprint(person, seen));
                },
                |mut one, mut other| {
                    one.append(&mut other);
                    one
                },
            )
        };
        let (one, mut other) = (people(self), people(other));
        let mut differences: Vec<i64> =
            one.into_iter().filter(|(id, print)| other.remove(id) != Some(*print)).map(|(id, _)| id).collect();
        differences.extend(other.into_keys());
        differences
    }
}

/// A number that is the same for the same person, but for what models say.
pub(super) fn fingerprint(person: &Person<'_>, seen: Seen) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    (person.signed_up, seen.is_profile, seen.first, seen.last).hash(&mut hasher);
    (person.at, person.what, person.record, person.traits).hash(&mut hasher);
    for order in person.orders {
        (order.at, order.minor, order.record).hash(&mut hasher);
    }
    hasher.finish()
}
