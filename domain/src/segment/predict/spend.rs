//! What an order is worth: the Gamma-Gamma model.
//!
//! An order's value varies around the person's own mean, and means vary between people: z ~ Gamma(p, ν),
//! ν ~ Gamma(q, v). Somebody with few orders is drawn towards the mean of all, somebody with many is believed.
//!
//! Source: Fader & Hardie (2013), "The Gamma-Gamma model of monetary value", and Colombo & Jiang (1999). It is assumed
//! that value and rate of orders have nothing to do with each other.

use super::optimise::minimise;
use super::special::ln_gamma;
use super::{Prior, Summary};
use serde::{Deserialize, Serialize};

/// A fitted Gamma-Gamma model; `v` is in the unit of spend that the summaries are in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spend {
    /// Shape of an order's value within a person.
    pub p: f64,
    /// Shape of the spread between people.
    pub q: f64,
    /// Scale of the spread between people.
    pub v: f64,
    /// ln of the density of all mean values at these parameters, without any prior.
    pub log_likelihood: f64,
    /// People it rests on: those with a repeat order of some value.
    pub customers: u64,
    /// Mean value of a repeat order in the data; nought without any.
    pub observed_mean: f64,
    /// Whether the search ended at a maximum.
    pub converged: bool,
}

/// ln p, ln q of the published fit (Fader & Hardie 2013: p = 6.25, q = 3.74), and how far a shop may be from it.
const PUBLISHED: [f64; 2] = [6.25, 3.74];
const SPREAD: [f64; 3] = [1.0, 1.0, 1.5];

/// Rows of the likelihood for each x: among 4,000, neighbours differ by too little to matter.
const MOST_ROWS: usize = 4_000;

impl Spend {
    /// The expected value of one order of this person, in the unit of the summaries.
    ///
    /// (v + x m) p / (p x + q − 1), Fader & Hardie (2013), eq. 5; for somebody without a repeat order of some value the
    /// mean of all, p v / (q − 1). Where q ≤ 1 the model has no mean: the person's own mean is taken, or the observed
    /// mean of all.
    pub fn expected(&self, summary: &Summary) -> f64 {
        let Spend { p, q, v, observed_mean, .. } = *self;
        let x = f64::from(summary.spend_occasions);
        let own = if x > 0.0 && summary.mean_spend > 0.0 { summary.mean_spend } else { 0.0 };
        if own == 0.0 {
            let mean = p * v / (q - 1.0);
            // A mean that is far from the data's is the work of a tail that nobody has seen.
            return if q > 1.0 && mean.is_finite() && mean < 3.0 * observed_mean { mean } else { observed_mean };
        }
        let denominator = p * x + q - 1.0;
        if denominator > 0.0 { p * (v + x * own) / denominator } else { own }
    }
}

/// Fits the model to everybody with a repeat order of some value.
///
/// With nobody such, the published shapes and a value of nought.
pub fn fit_spend(summaries: &[Summary], prior: Prior) -> Spend {
    // x, m, and by x: how many, the sum of ln m.
    let mut rows: Vec<(u32, f64)> = summaries
        .iter()
        .filter(|s| s.spend_occasions > 0 && s.mean_spend > 0.0 && s.mean_spend.is_finite())
        .map(|s| (s.spend_occasions, s.mean_spend))
        .collect();
    rows.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let customers = rows.len() as u64;
    let orders: f64 = rows.iter().map(|(x, _)| f64::from(*x)).sum();
    let observed_mean = rows.iter().map(|(x, m)| f64::from(*x) * m).sum::<f64>() / orders.max(1.0);
    let [p, q] = PUBLISHED;
    let centre = [p.ln(), q.ln(), (observed_mean.max(1e-9) * (q - 1.0) / p).ln()];
    if rows.is_empty() {
        let v = centre[2].exp();
        return Spend { p, q, v, log_likelihood: 0.0, customers, observed_mean, converged: false };
    }
    let mut groups: Vec<(f64, f64, f64)> = Vec::new();
    for (x, m) in &rows {
        let x = f64::from(*x);
        match groups.last_mut().filter(|group| group.0 == x) {
            Some(group) => (group.1, group.2) = (group.1 + 1.0, group.2 + m.ln()),
            None => groups.push((x, 1.0, m.ln())),
        }
    }
    // Neighbours of the same x with nearly the same mean are one row where there are very many: (x, people, total).
    let totals: Vec<(f64, f64, f64)> = rows
        .chunk_by(|a, b| a.0 == b.0)
        .flat_map(|same| same.chunks(same.len().div_ceil(MOST_ROWS)))
        .map(|near| {
            let (x, people) = (f64::from(near[0].0), near.len() as f64);
            (x, people, x * near.iter().map(|(_, m)| m).sum::<f64>() / people)
        })
        .collect();
    let log_likelihood = |ln: &[f64; 3]| {
        let [p, q, v] = ln.map(f64::exp);
        let by_group: f64 = groups
            .iter()
            .map(|(x, people, ln_m)| {
                let shape = p * x;
                people * (ln_gamma(shape + q) - ln_gamma(shape) - ln_gamma(q) + q * v.ln() + shape * x.ln())
                    + (shape - 1.0) * ln_m
            })
            .sum();
        by_group - totals.iter().map(|(x, people, total)| people * (p * x + q) * (v + total).ln()).sum::<f64>()
    };
    let penalty = |ln: &[f64; 3]| match prior {
        Prior::None => 0.0,
        Prior::Published => (0..3).map(|i| ((ln[i] - centre[i]) / SPREAD[i]).powi(2) / 2.0).sum(),
    };
    let people = customers as f64;
    // The search is around 0, so that its limits do not depend on the currency.
    let from = |step: &[f64; 3]| [centre[0] + step[0], centre[1] + step[1], centre[2] + step[2]];
    let found = minimise([0.0; 3], |step| {
        let ln = from(step);
        (penalty(&ln) - log_likelihood(&ln)) / people
    });
    let ln = from(&found.at);
    let [p, q, v] = ln.map(f64::exp);
    Spend { p, q, v, log_likelihood: log_likelihood(&ln), customers, observed_mean, converged: found.converged }
}
