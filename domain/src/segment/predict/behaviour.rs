//! What visits say of the orders to come, beyond what the orders themselves say.
//!
//! Somebody who has not ordered for long, but was here yesterday, is no lost customer. A person's expected orders are
//! multiplied by exp(β·x) with four features of their visits as of the day; β is fitted on the site's own past by the
//! likelihood of how the orders of a time were spread over people, given how many there were:
//!
//! Σ y·(β·x) − Y·ln Σ e·exp(β·x) − |β|² / 2
//!
//! where e is what the chosen method expected of a person, y how much they ordered, Y all orders. That is the Poisson
//! likelihood with ln e as offset and a level of its own in each time (the level is profiled out: it is the season's, and
//! no visit tells it), held by a normal prior with a standard deviation of 1. Factors are scaled so that all people
//! together are expected to order as before.
//!
//! **Only where it earns its place.** At the cuts of the trials it is fitted on times before the cut and tried on the time
//! after it. It is taken if it gains at every cut, on average by more than twice the standard error that it has at one,
//! and if the method with it has no larger regret than without ([`super::choose()`]). Sites without visits, and those
//! whose visits are known for a small part of their orders' time, have no such trial: the product looks at the visits of
//! the last 365 days, which is enough for sites whose orders go back up to a year and three quarters. With 20,000 people
//! in the trials it took 5 s beside the 10 s of the choice. Carts that were left would be another feature; they are among
//! the events alone, which are too many to be read for this.

use super::choose::{Chosen, Method};
use super::optimise::minimise;
use super::{DAYS_PER_WEEK, PurchaseHistory, Summary};
use serde::{Deserialize, Serialize};

/// What visits say has faded after so many days; of what is expected later nothing is changed.
pub const BEHAVIOUR_DAYS: u32 = 90;

/// Times that it is fitted and tried on are at least so long: in fewer days too few order.
const LEAST_DAYS: i32 = 14;

/// How long visits must have been known before a day on which they are to say something.
const KNOWN_DAYS: i32 = 30;

/// No factor is further from 1 than this, up or down: it is a correction.
const MOST: f64 = 4.0;

const FEATURES: usize = 4;

/// The fitted correction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Behaviour {
    /// Of: visited in the last 7 days; in the last 30; the logarithm of days since the last visit over the person's usual
    /// gap between visits; visited since the last order.
    pub weights: [f64; FEATURES],
    /// What factors are divided by.
    pub level: f64,
}

/// The features of a person as of the day of both summaries; all nought without a visit.
fn features(orders: &Summary, visits: Option<&Summary>) -> [f64; FEATURES] {
    let Some(visits) = visits.map(Summary::sound) else { return [0.0; FEATURES] };
    let since_days = |summary: &Summary| (summary.age_weeks - summary.recency_weeks) * DAYS_PER_WEEK;
    let since = since_days(&visits);
    let rhythm = if visits.repeats > 0 {
        let gap = visits.recency_weeks * DAYS_PER_WEEK / f64::from(visits.repeats);
        ((1.0 + since) / (1.0 + gap)).ln().clamp(-3.0, 3.0)
    } else {
        0.0
    };
    let is = |yes: bool| if yes { 1.0 } else { 0.0 };
    // Half a day: what is counted in weeks is rounded.
    let came_back = since + 0.5 < since_days(&orders.sound());
    [is(since < 6.5), is(since < 29.5), rhythm, is(came_back)]
}

fn raw_factor(weights: &[f64; FEATURES], features: &[f64; FEATURES]) -> f64 {
    let sum: f64 = weights.iter().zip(features).map(|(weight, feature)| weight * feature).sum();
    sum.exp().clamp(1.0 / MOST, MOST)
}

impl Behaviour {
    /// Those weights, with the level at which people of whom so much is expected are together expected the same.
    fn levelled(weights: [f64; FEATURES], people: &[([f64; FEATURES], f64)]) -> Behaviour {
        let (sum, all) = people.iter().fold((0.0, 0.0), |(sum, all), (features, expected)| {
            (sum + raw_factor(&weights, features) * expected, all + expected)
        });
        Behaviour { weights, level: if all > 0.0 && sum > 0.0 { sum / all } else { 1.0 } }
    }

    /// By how much the orders expected of a person within [`BEHAVIOUR_DAYS`] are multiplied, as of the day of both
    /// summaries: of their orders, and of their visits if there are any.
    pub fn factor(&self, orders: &Summary, visits: Option<&Summary>) -> f64 {
        raw_factor(&self.weights, &features(orders, visits)) / self.level
    }
}

/// A time after a day: each person's features and expected orders as of the day, and their orders in it.
struct Time {
    people: Vec<([f64; FEATURES], f64)>,
    orders: Vec<f64>,
}

impl Time {
    fn of(tried: &[Tried<'_>], method: Method, day: i32, until: i32) -> Time {
        let known: Vec<(Summary, [f64; FEATURES], f64)> = tried
            .iter()
            .filter_map(|(orders, visits)| {
                let summary = orders.summary(day)?;
                let visits = visits.summary(day);
                let count = f64::from(orders.count_between(day, until));
                Some((summary, features(&summary, visits.as_ref()), count))
            })
            .collect();
        let summaries: Vec<Summary> = known.iter().map(|(summary, ..)| *summary).collect();
        let days = f64::from(until) - f64::from(day);
        let expected = Chosen::with(method, &summaries).expected_orders(&summaries, days);
        let people = known.iter().zip(expected).map(|((_, features, _), expected)| (*features, expected)).collect();
        Time { people, orders: known.iter().map(|(.., count)| *count).collect() }
    }

    /// What a correction gains in this time per person, in nats, and the standard error of that.
    fn gain(&self, behaviour: &Behaviour) -> (f64, f64) {
        let people = self.people.len().max(1) as f64;
        let gains = self.people.iter().zip(&self.orders).map(|((features, expected), orders)| {
            let factor = raw_factor(&behaviour.weights, features) / behaviour.level;
            orders * factor.ln() - (factor - 1.0) * expected
        });
        let (sum, squares) = gains.fold((0.0, 0.0), |(sum, squares), gain| (sum + gain, squares + gain * gain));
        let mean = sum / people;
        (mean, ((squares / people - mean * mean).max(0.0) / people).sqrt())
    }
}

fn fit(times: &[Time]) -> [f64; FEATURES] {
    let all: f64 = times.iter().flat_map(|time| &time.orders).sum::<f64>().max(1.0);
    // What is the same for all weights is added up once.
    let observed = times.iter().flat_map(|time| time.people.iter().zip(&time.orders)).fold(
        [0.0; FEATURES],
        |mut sum, ((features, _), orders)| {
            (0..FEATURES).for_each(|i| sum[i] += features[i] * orders);
            sum
        },
    );
    let found = minimise([0.0; FEATURES], |weights| {
        let mut value: f64 = (0..FEATURES).map(|i| weights[i] * weights[i] / 2.0 - weights[i] * observed[i]).sum();
        for time in times {
            let orders: f64 = time.orders.iter().sum();
            let spread: f64 = time
                .people
                .iter()
                .map(|(features, expected)| {
                    let sum: f64 = (0..FEATURES).map(|i| weights[i] * features[i]).sum();
                    expected * sum.exp()
                })
                .sum();
            value += orders * spread.max(1e-9).ln();
        }
        value / all
    });
    found.at
}

/// A person of the trials: orders and visits.
pub(super) type Tried<'a> = (&'a PurchaseHistory, &'a PurchaseHistory);

/// A correction as it was tried at one cut.
pub(super) struct AtCut {
    /// The cut's place among those of the trials.
    pub(super) place: usize,
    /// For each person known at the cut, in order: the factor of the orders expected until `until_day`.
    pub(super) factors: Vec<f64>,
    /// What was expected of each until then, without the factor.
    pub(super) expected: Vec<f64>,
}

/// The correction of a method, tried at the cuts of its trials; `None` where too little is known of visits.
pub(super) struct Attempt {
    pub(super) at_cuts: Vec<AtCut>,
    /// Whether it gains by more than its noise.
    pub(super) gains: bool,
    weights: [f64; FEATURES],
}

impl Attempt {
    pub(super) fn of(tried: &[Tried<'_>], method: Method, cuts: &[i32], end_day: i32) -> Option<Attempt> {
        let first_order =
            tried.iter().filter_map(|(orders, _)| orders.occasions().first()).map(|first| first.day).min()?;
        let first_visit =
            tried.iter().filter_map(|(_, visits)| visits.occasions().first()).map(|first| first.day).min()?;
        let span = end_day.saturating_sub(first_order);
        let days = (span / 5).min(i32::try_from(BEHAVIOUR_DAYS).unwrap_or(i32::MAX));
        if days < LEAST_DAYS {
            return None;
        }
        let is_known = |cut: i32| cut.saturating_sub(days) >= first_visit.saturating_add(KNOWN_DAYS);
        let mut times = Vec::new();
        let (mut at_cuts, mut gains) = (Vec::new(), Vec::new());
        for (place, cut) in cuts.iter().copied().enumerate().filter(|(_, cut)| is_known(*cut)) {
            times.push(Time::of(tried, method, cut.saturating_sub(days), cut));
            let after = Time::of(tried, method, cut, cut.saturating_add(days).min(end_day));
            let behaviour = Behaviour::levelled(fit(&times), &after.people);
            gains.push(after.gain(&behaviour));
            let factor =
                |(features, _): &([f64; FEATURES], f64)| raw_factor(&behaviour.weights, features) / behaviour.level;
            let factors = after.people.iter().map(factor).collect();
            at_cuts.push(AtCut {
                place,
                factors,
                expected: after.people.iter().map(|(_, expected)| *expected).collect(),
            });
        }
        // As many as a choice of methods needs.
        if gains.len() < 3 {
            return None;
        }
        times.push(Time::of(tried, method, end_day.saturating_sub(days), end_day));
        let count = gains.len() as f64;
        let mean = gains.iter().map(|(gain, _)| gain).sum::<f64>() / count;
        let noise = gains.iter().map(|(_, error)| error).sum::<f64>() / count;
        let gains = mean > 2.0 * noise && gains.iter().all(|(gain, _)| *gain > 0.0);
        Some(Attempt { at_cuts, gains, weights: fit(&times) })
    }

    /// The correction for everybody as of now.
    pub(super) fn behaviour(&self, people: &[(Summary, Option<Summary>)], expected: &[f64]) -> Behaviour {
        let features = |(orders, visits): &(Summary, Option<Summary>)| features(orders, visits.as_ref());
        let people: Vec<_> = people.iter().map(features).zip(expected.iter().copied()).collect();
        Behaviour::levelled(self.weights, &people)
    }
}
