//! Fitting: the parameters that make what was seen most likely, held by a prior where little was seen.
//!
//! **Cheap likelihoods.** People with the same (x, t_x, T) are one row with a weight; what depends on x alone or on one
//! time alone is computed once per distinct value. A row then costs an exponential and a logarithm.
//!
//! **Prior.** Each parameter is log-normal around the published fit of the CDNOW sample ([`Prior::Published`]), which is
//! the one data set that all papers report: BG/NBD in Fader, Hardie & Lee (2005), table 2; MBG/NBD in Hoppe & Wagner
//! (2007); Pareto/NBD in the former's table 2; NBD fitted here, since the papers print none for these weeks. One data
//! set says where shops may be, not how far apart they are, so the spreads are set by hand: one standard deviation is a
//! factor of e (2.7) for shapes and of e^1.5 (4.5) for times, so that 95 % of shops are expected within a factor of 7 or
//! 20. That is the weight of very few customers: from a thousand on the estimate is that of maximum likelihood.
//!
//! **Uncertainty.** By Laplace's approximation the logarithms of the parameters are normal around the estimate, with the
//! inverse of the second derivatives as covariance. Two points per parameter at equal weight, √N standard deviations out
//! on each main axis, have the same mean and covariance (the third-degree spherical rule, Arasaratnam & Haykin 2009):
//! predictions are averaged over them. No draws, so no seed.

use super::family::{self, Alive, Kind, Odds, by_count, ln_stopped_after};
use super::optimise;
use super::special::ln_add_exp;
use super::{Counts, DAYS_PER_WEEK, Summary};
use serde::{Deserialize, Serialize};

/// What is known about the parameters before any data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prior {
    /// Nothing: plain maximum likelihood, as the papers fit.
    None,
    /// Log-normal around the published fits of the CDNOW sample, as wide as shops differ.
    Published,
}

/// A fitted member of the family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// Which one.
    pub kind: Kind,
    /// As in [`Kind::parameters`]; times in weeks. Those that the member does not have are 1.
    pub params: [f64; 4],
    /// At these parameters, without the prior.
    pub log_likelihood: f64,
    /// People it was fitted on.
    pub customers: u64,
    /// Whether the search ended at a maximum.
    pub converged: bool,
    /// Parameters at equal weight that stand for how uncertain `params` are.
    points: Vec<[f64; 4]>,
}

/// The published fits that the prior is centred on, in weeks, and the standard deviation of the logarithm.
fn published(kind: Kind) -> [(f64, f64); 4] {
    match kind {
        Kind::BgNbd => [(0.243, 1.0), (4.414, 1.5), (0.793, 1.0), (2.426, 1.0)],
        Kind::MbgNbd => [(0.525, 1.0), (6.183, 1.5), (0.891, 1.0), (1.614, 1.0)],
        Kind::ParetoNbd => [(0.553, 1.0), (10.578, 1.5), (0.606, 1.0), (11.669, 1.5)],
        Kind::Nbd => [(0.385, 1.0), (12.07, 1.5), (1.0, 1.0), (1.0, 1.0)],
    }
}

/// Histories with how many people have each, and the tables that make their likelihood cheap.
pub(super) struct Grouped {
    /// Distinct x.
    counts: Vec<f64>,
    /// Distinct times, of last orders and ages.
    times: Vec<f64>,
    rows: Vec<Row>,
    /// Distinct (x, time) of `rows`.
    pairs: Vec<(u32, u32)>,
    people: f64,
    mean_rate: f64,
}

#[derive(Clone, Copy)]
struct Row {
    count: u32,
    recency: u32,
    age: u32,
    since: u32,
    until: u32,
    people: f64,
}

impl Grouped {
    pub(super) fn new(summaries: &[Summary]) -> Grouped {
        let mut keys: Vec<(u32, u64, u64)> = summaries
            .iter()
            .map(Summary::sound)
            // Times are not negative, so their bits are in their order.
            .map(|s| (s.repeats, s.recency_weeks.to_bits(), s.age_weeks.to_bits()))
            .collect();
        keys.sort_unstable();
        let mut counts: Vec<u32> = keys.iter().map(|key| key.0).collect();
        counts.dedup();
        let mut times: Vec<u64> = keys.iter().flat_map(|key| [key.1, key.2]).collect();
        times.sort_unstable();
        times.dedup();
        let at = |time: u64| times.partition_point(|other| *other < time) as u32;
        let mut rows: Vec<Row> = Vec::new();
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        let mut last = None;
        let mut count = 0;
        for key in keys {
            if last == Some(key) {
                if let Some(row) = rows.last_mut() {
                    row.people += 1.0;
                }
                continue;
            }
            while counts.get(count as usize).is_some_and(|x| *x < key.0) {
                count += 1;
            }
            let (recency, age) = (at(key.1), at(key.2));
            pairs.push((count, recency));
            pairs.push((count, age));
            rows.push(Row { count, recency, age, since: 0, until: 0, people: 1.0 });
            last = Some(key);
        }
        pairs.sort_unstable();
        pairs.dedup();
        for row in &mut rows {
            row.since = pairs.partition_point(|pair| *pair < (row.count, row.recency)) as u32;
            row.until = pairs.partition_point(|pair| *pair < (row.count, row.age)) as u32;
        }
        let times: Vec<f64> = times.into_iter().map(f64::from_bits).collect();
        let counts: Vec<f64> = counts.into_iter().map(f64::from).collect();
        let people = summaries.len() as f64;
        let sum = |of: &dyn Fn(&Row) -> f64| rows.iter().map(|row| row.people * of(row)).sum::<f64>();
        let mean_rate = sum(&|row| counts[row.count as usize]) / sum(&|row| times[row.age as usize]).max(1e-9);
        Grouped { counts, times, rows, pairs, people, mean_rate }
    }

    /// The log-likelihood of all.
    pub(super) fn ln_likelihood(&self, kind: Kind, params: &[f64; 4]) -> f64 {
        let [_, alpha, s, beta] = *params;
        let by_count: Vec<_> = self.counts.iter().map(|x| by_count(kind, params, *x)).collect();
        let ln_alpha: Vec<f64> = self.times.iter().map(|t| (alpha + t).ln()).collect();
        match kind {
            Kind::BgNbd | Kind::MbgNbd | Kind::Nbd => self
                .rows
                .iter()
                .map(|row| {
                    let count = &by_count[row.count as usize];
                    let alive = -count.shape * ln_alpha[row.age as usize];
                    let stopped = count.stopped - count.shape * ln_alpha[row.recency as usize];
                    row.people * (count.factor + ln_add_exp(alive, stopped))
                })
                .sum(),
            Kind::ParetoNbd => {
                let ln_beta: Vec<f64> = self.times.iter().map(|t| (beta + t).ln()).collect();
                let stopped_after: Vec<f64> = self
                    .pairs
                    .iter()
                    .map(|(count, time)| {
                        ln_stopped_after(params, by_count[*count as usize].shape, self.times[*time as usize])
                    })
                    .collect();
                self.rows
                    .iter()
                    .map(|row| {
                        let count = &by_count[row.count as usize];
                        let age = row.age as usize;
                        let alive = -count.shape * ln_alpha[age] - s * ln_beta[age];
                        let (since, until) = (stopped_after[row.since as usize], stopped_after[row.until as usize]);
                        // Being a customer outweighs stopping later, so the difference is positive.
                        let not_later = alive + (-(until - alive).exp().min(1.0)).ln_1p();
                        row.people * (count.factor + ln_add_exp(not_later, since))
                    })
                    .sum()
            }
        }
    }
}

/// Fits a member of the family to everybody's summary.
///
/// With [`Prior::None`] this is the papers' maximum likelihood; parameters about which the data say nothing then run to a
/// limit (e^±16). A million people with days as times take one to three seconds on one core.
pub fn fit(kind: Kind, summaries: &[Summary], prior: Prior) -> Fitted {
    fit_grouped(kind, &Grouped::new(summaries), prior)
}

pub(super) fn fit_grouped(kind: Kind, grouped: &Grouped, prior: Prior) -> Fitted {
    match kind {
        Kind::Nbd => fit_with::<2>(kind, grouped, prior),
        Kind::BgNbd | Kind::MbgNbd | Kind::ParetoNbd => fit_with::<4>(kind, grouped, prior),
    }
}

fn fit_with<const N: usize>(kind: Kind, grouped: &Grouped, prior: Prior) -> Fitted {
    let published = published(kind);
    let people = grouped.people.max(1.0);
    let params = |ln: &[f64; N]| {
        let mut params = [1.0; 4];
        for i in 0..N {
            params[i] = ln[i].exp();
        }
        params
    };
    let penalty = |ln: &[f64; N]| match prior {
        Prior::None => 0.0,
        Prior::Published => (0..N).map(|i| ((ln[i] - published[i].0.ln()) / published[i].1).powi(2) / 2.0).sum::<f64>(),
    };
    let badness = |ln: &[f64; N]| (penalty(ln) - grouped.ln_likelihood(kind, &params(ln))) / people;
    let mut start = [0.0; N];
    for i in 0..N {
        start[i] = published[i].0.ln();
    }
    if grouped.mean_rate > 0.0 && prior == Prior::None {
        start[1] = (published[0].0 / grouped.mean_rate).ln().clamp(-5.0, 9.0);
    }
    let found = optimise::minimise(start, badness);
    let precision = optimise::hessian(&found.at, badness).map(|row| row.map(|x| x * people));
    let columns = optimise::spread(&precision, 0.25);
    let reach = (N as f64).sqrt();
    let mut points = Vec::with_capacity(2 * N);
    for column in columns {
        for sign in [-reach, reach] {
            let mut ln = found.at;
            for i in 0..N {
                ln[i] = (ln[i] + sign * column[i]).clamp(-optimise::LIMIT, optimise::LIMIT);
            }
            points.push(params(&ln));
        }
    }
    let best = params(&found.at);
    Fitted {
        kind,
        params: best,
        log_likelihood: grouped.ln_likelihood(kind, &best),
        customers: grouped.people as u64,
        converged: found.converged,
        points,
    }
}

impl Fitted {
    /// A model with given parameters, for values that are printed somewhere.
    pub fn with(kind: Kind, params: [f64; 4]) -> Fitted {
        Fitted { kind, params, log_likelihood: 0.0, customers: 0, converged: true, points: vec![params] }
    }

    /// The probability that the person is still a customer, in 0..=1; for sources see the family's docs.
    ///
    /// BG/NBD says 1 for everybody without a repeat order, NBD for everybody: neither can tell.
    pub fn p_alive(&self, summary: &Summary) -> f64 {
        let s = summary.sound();
        self.odds(&self.params, &s).p_alive(s.recency_weeks)
    }

    /// The expected number of orders in the next `days`.
    pub fn expected_orders(&self, summary: &Summary, days: f64) -> f64 {
        let s = summary.sound();
        self.p_alive(&s) * self.alive(&self.params, &s).expected_orders(weeks(days))
    }

    /// How many orders in the next `days` are how probable, the parameters' uncertainty included.
    pub fn counts(&self, summary: &Summary, days: f64) -> Counts {
        let s = summary.sound();
        let mut counts = Counts::default();
        let share = 1.0 / self.points.len().max(1) as f64;
        for params in &self.points {
            let p_alive = self.odds(params, &s).p_alive(s.recency_weeks);
            counts.add(share * p_alive, &self.alive(params, &s).counts(weeks(days), EXACT));
            counts.add(share * (1.0 - p_alive), &[1.0]);
        }
        counts
    }

    /// Orders still to come without end, each discounted to now.
    ///
    /// `annual_discount` is what a year costs, 0.15 for 15 %; the papers' weekly δ is ln(1.15) / 52.18.
    pub fn discounted_orders(&self, summary: &Summary, annual_discount: f64) -> f64 {
        let s = summary.sound();
        self.p_alive(&s) * self.alive(&self.params, &s).discounted_orders(weekly(annual_discount))
    }

    /// The log-likelihood of one history.
    pub fn ln_likelihood(&self, summary: &Summary) -> f64 {
        let s = summary.sound();
        family::ln_likelihood(self.kind, &self.params, f64::from(s.repeats), s.recency_weeks, s.age_weeks)
    }

    pub(super) fn points(&self) -> &[[f64; 4]] {
        &self.points
    }

    pub(super) fn odds(&self, params: &[f64; 4], sound: &Summary) -> Odds {
        Odds::of(self.kind, params, f64::from(sound.repeats), sound.age_weeks)
    }

    /// The future of this person, were they still a customer.
    pub(super) fn alive(&self, params: &[f64; 4], sound: &Summary) -> Alive {
        Alive::after(self.kind, params, f64::from(sound.repeats), sound.age_weeks)
    }
}

/// What distributions leave out of their tail.
pub(super) const EXACT: f64 = 1e-8;

/// The models' time of so many days, at most a thousand years.
pub(super) fn weeks(days: f64) -> f64 {
    if days.is_finite() { days.clamp(0.0, 365_250.0) / DAYS_PER_WEEK } else { 0.0 }
}

/// The continuous weekly rate of an annual discount, at least a hundredth of a per cent a year: a sum must end.
pub(super) fn weekly(annual_discount: f64) -> f64 {
    let annual = if annual_discount.is_finite() { annual_discount.clamp(1e-4, 1e3) } else { 0.15 };
    annual.ln_1p() / (365.25 / DAYS_PER_WEEK)
}
