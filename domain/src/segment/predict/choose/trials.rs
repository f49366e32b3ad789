//! Trials on a site's own past: what each method would have said at a cut, held against what came.

use super::super::family::{Alive, Kind};
use super::super::fit::{self, Grouped, Prior, fit_grouped};
use super::super::measure::{Measures, ranks};
use super::super::{PurchaseHistory, Summary};
use super::{LEAST_RATE_WEEKS, MEMBERS, Method, TRIAL_ORDERS, TRIAL_PEOPLE, Trial};

/// One trial: what each member and the own rate said, and what happened.
pub(super) struct Outcome {
    pub(super) cut_day: i32,
    pub(super) actual: Vec<f64>,
    actual_ranks: Vec<f64>,
    /// Expected orders by member, then those of the own rate.
    pub(super) expected: [Vec<f64>; 4],
    /// The probability of what happened.
    probability: [Vec<f64>; 4],
    /// That of as much as happened or less.
    at_most: [Vec<f64>; 4],
}

impl Outcome {
    pub(super) fn of(histories: &[&PurchaseHistory], cut_day: i32, end_day: i32) -> Option<Outcome> {
        let mut people = Vec::new();
        let mut actual = Vec::new();
        for history in histories {
            if let Some(summary) = history.summary(cut_day) {
                people.push(summary.sound());
                actual.push(f64::from(history.count_between(cut_day, end_day)));
            }
        }
        if people.len() < TRIAL_PEOPLE || actual.iter().sum::<f64>() < TRIAL_ORDERS {
            return None;
        }
        let weeks = fit::weeks(f64::from(end_day) - f64::from(cut_day));
        let grouped = Grouped::new(&people);
        let by_fate = in_order(&people);
        let mut expected: [Vec<f64>; 4] = std::array::from_fn(|_| vec![0.0; people.len()]);
        let mut probability: [Vec<f64>; 4] = std::array::from_fn(|_| vec![0.0; people.len()]);
        let mut at_most: [Vec<f64>; 4] = std::array::from_fn(|_| vec![0.0; people.len()]);
        let sum = |chances: &[f64], n: f64| chances.iter().take(n as usize + 1).sum::<f64>().min(1.0);
        for (m, kind) in MEMBERS.into_iter().enumerate() {
            let fitted = fit_grouped(kind, &grouped, Prior::Published);
            for same in by_fate.chunk_by(|a, b| same_future(&people[*a], &people[*b])) {
                let Some(first) = same.first().map(|first| people[*first]) else { continue };
                let alive = fitted.alive(&fitted.params, &first);
                let odds = fitted.odds(&fitted.params, &first);
                let (orders, chances) = (alive.expected_orders(weeks), alive.counts(weeks, fit::EXACT));
                for at in same {
                    let p_alive = odds.p_alive(people[*at].recency_weeks);
                    let chance = chances.get(actual[*at] as usize).copied().unwrap_or(0.0);
                    expected[m][*at] = p_alive * orders;
                    at_most[m][*at] = 1.0 - p_alive + p_alive * sum(&chances, actual[*at]);
                    probability[m][*at] = p_alive * chance + if actual[*at] == 0.0 { 1.0 - p_alive } else { 0.0 };
                }
            }
        }
        for at in 0..people.len() {
            let rate = own_rate(&people[at]);
            expected[3][at] = rate.map_or(0.0, |rate| rate.expected_orders(weeks));
            let chances = rate.map_or(vec![1.0], |rate| rate.counts(weeks, fit::EXACT));
            probability[3][at] = chances.get(actual[at] as usize).copied().unwrap_or(0.0);
            at_most[3][at] = sum(&chances, actual[at]);
        }
        Some(Outcome { cut_day, actual_ranks: ranks(&actual), actual, expected, probability, at_most })
    }

    pub(super) fn mixed(&self, method: &Method, of: &[Vec<f64>; 4]) -> Vec<f64> {
        let [bg, mbg, pareto] = method.weights();
        let weights = [bg, mbg, pareto, method.rate_share];
        (0..self.actual.len()).map(|at| weights.iter().zip(of).map(|(weight, of)| weight * of[at]).sum()).collect()
    }
}

/// The own rate of somebody with a repeat order.
pub(super) fn own_rate(summary: &Summary) -> Option<Alive> {
    let s = summary.sound();
    let params = [1e-9, (LEAST_RATE_WEEKS - s.age_weeks).max(1e-9), 1.0, 1.0];
    (s.repeats > 0).then(|| Alive::after(Kind::Nbd, &params, f64::from(s.repeats), s.age_weeks))
}

/// All methods with their mean measures over the trials, the one with the smallest regret first.
pub(super) fn rank(outcomes: &[Outcome]) -> Vec<Trial> {
    by_regret(
        Method::all().map(|method| trial(method, outcomes, |_, outcome| vec![1.0; outcome.actual.len()])).collect(),
    )
}

/// A method's mean measures over the trials. `factors` says for a trial by what each person's orders are multiplied, as if
/// time went by so many times as fast: what is as probable as F at most is then F to that power.
pub(super) fn trial(method: Method, outcomes: &[Outcome], factors: impl Fn(usize, &Outcome) -> Vec<f64>) -> Trial {
    let trials = outcomes.len() as f64;
    let (mut mean, mut log_score) = (Measures::default(), 0.0);
    for (at, outcome) in outcomes.iter().enumerate() {
        let factors = factors(at, outcome);
        let mut expected = outcome.mixed(&method, &outcome.expected);
        let mut probability = outcome.mixed(&method, &outcome.probability);
        if method.by_visits {
            let at_most = outcome.mixed(&method, &outcome.at_most);
            for (at, factor) in factors.iter().enumerate() {
                expected[at] *= factor;
                let below = (at_most[at] - probability[at]).max(0.0);
                probability[at] = at_most[at].powf(*factor) - below.powf(*factor);
            }
        }
        let found = Measures::with_ranks(&expected, &outcome.actual, &outcome.actual_ranks);
        mean.total_error += found.total_error.abs() / trials;
        mean.mae += found.mae / trials;
        mean.spearman += found.spearman / trials;
        mean.top_decile += found.top_decile / trials;
        // What was held impossible and happened counts as one in a billion, not as the end of the world.
        let score: f64 = probability.iter().map(|chance| chance.max(1e-9).ln()).sum();
        log_score += score / probability.len() as f64 / trials;
    }
    Trial { method, measures: mean, log_score, regret: 0.0 }
}

/// Trials with their regrets, the smallest first.
pub(super) fn by_regret(mut all: Vec<Trial>) -> Vec<Trial> {
    let least = |of: fn(&Trial) -> f64| all.iter().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn(&Trial) -> f64| all.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
    let total_error = least(|trial| trial.measures.total_error);
    let mae = least(|trial| trial.measures.mae);
    let (spearman, top_decile) = (most(|trial| trial.measures.spearman), most(|trial| trial.measures.top_decile));
    let log_score = most(|trial| trial.log_score);
    for trial in &mut all {
        let short = [
            trial.measures.total_error - total_error,
            trial.measures.mae / mae.max(1e-9) - 1.0,
            (spearman - trial.measures.spearman) / spearman.max(0.1),
            (top_decile - trial.measures.top_decile) / top_decile.max(0.1),
            // A hundredth of a nat is one per cent of probability.
            log_score - trial.log_score,
        ];
        trial.regret = short.into_iter().fold(0.0, f64::max) * 100.0;
    }
    all.sort_by(|a, b| a.regret.total_cmp(&b.regret));
    all
}

/// How far off totals were beyond the chance in counts, which is at least that of a Poisson number.
pub(super) fn level_error(outcomes: &[Outcome], method: &Method) -> f64 {
    let squares = outcomes.iter().map(|outcome| {
        let expected: f64 = outcome.mixed(method, &outcome.expected).iter().sum::<f64>().max(1.0);
        let actual: f64 = outcome.actual.iter().sum();
        ((actual - expected) / expected).powi(2) - 1.0 / expected
    });
    (squares.sum::<f64>() / outcomes.len().max(1) as f64).max(0.0).sqrt()
}

/// People by what their future depends on if they are still customers, then by the rest of what matters.
pub(super) fn in_order(people: &[Summary]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..people.len()).collect();
    order.sort_unstable_by(|a, b| {
        let (a, b) = (&people[*a], &people[*b]);
        (a.repeats.cmp(&b.repeats))
            .then(a.age_weeks.total_cmp(&b.age_weeks))
            .then(a.recency_weeks.total_cmp(&b.recency_weeks))
    });
    order
}

pub(super) fn same_future(a: &Summary, b: &Summary) -> bool {
    a.repeats == b.repeats && a.age_weeks.to_bits() == b.age_weeks.to_bits()
}
