//! Two shares compared: difference and ratio with intervals, and how easily chance would do the same.

use libm::erfc;
use serde::{Deserialize, Serialize};

/// The standard normal distribution's 97.5 % quantile: intervals here are of 95 %.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// Below this expected count the normal approximation is not used (Cochran 1954, "Some methods for strengthening the
/// common χ² tests").
pub const MIN_EXPECTED: f64 = 5.0;

/// People of whom some have a trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Counts", into = "Counts")]
pub struct Share {
    with: u64,
    of: u64,
}

/// A share as it is written.
#[derive(Serialize, Deserialize)]
struct Counts {
    with: u64,
    of: u64,
}

/// Two counts that make no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{with} of {of} people is no share: at least one person, and no more with the trait than people")]
pub struct NoShare {
    /// People with the trait.
    pub with: u64,
    /// All people.
    pub of: u64,
}

impl From<Share> for Counts {
    fn from(share: Share) -> Counts {
        Counts { with: share.with, of: share.of }
    }
}

impl TryFrom<Counts> for Share {
    type Error = NoShare;

    fn try_from(counts: Counts) -> Result<Share, NoShare> {
        Share::new(counts.with, counts.of)
    }
}

impl Share {
    /// `with` of `of` people.
    ///
    /// # Errors
    /// [`NoShare`] for no people, or more with the trait than there are.
    pub fn new(with: u64, of: u64) -> Result<Share, NoShare> {
        if of > 0 && with <= of { Ok(Share { with, of }) } else { Err(NoShare { with, of }) }
    }

    /// People with the trait.
    pub fn with(&self) -> u64 {
        self.with
    }

    /// All people, at least one.
    pub fn of(&self) -> u64 {
        self.of
    }

    /// In 0..=1.
    pub fn rate(&self) -> f64 {
        self.with as f64 / self.of as f64
    }

    /// The share with its 95 % score interval, within 0..=1.
    ///
    /// Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    pub fn wilson(&self) -> Interval {
        let (n, p) = (self.of as f64, self.rate());
        let z2 = Z_95 * Z_95;
        let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z_95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        // Rounding must not put nobody below 0, nor the limit past the share itself.
        Interval { low: (middle - half).clamp(0.0, p), estimate: p, high: (middle + half).clamp(p, 1.0) }
    }
}

/// An estimate and the limits of its 95 % interval: `low ≤ estimate ≤ high`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower limit.
    pub low: f64,
    /// The estimate.
    pub estimate: f64,
    /// Upper limit.
    pub high: f64,
}

/// `inside` minus `outside`, in −1..=1.
///
/// Source: Newcombe (1998), "Interval estimation for the difference between independent proportions", method 10 (score
/// intervals without continuity correction).
pub fn difference(inside: Share, outside: Share) -> Interval {
    let (a, b) = (inside.wilson(), outside.wilson());
    let estimate = a.estimate - b.estimate;
    let low = estimate - (a.estimate - a.low).hypot(b.high - b.estimate);
    let high = estimate + (a.high - a.estimate).hypot(b.estimate - b.low);
    Interval { low: low.max(-1.0), estimate, high: high.min(1.0) }
}

/// `inside` over `outside`: the lift; infinite where nobody outside has the trait, `None` where nobody has it at all.
///
/// The interval holds all ratios that the score test does not reject. Unlike Katz's, which takes logarithms of the
/// counts, it is there for a count of 0 too, with 0 or infinity as its open end.
///
/// Source: Koopman (1984), "Confidence intervals for the ratio of two binomial proportions"; the constrained estimate
/// in closed form from Miettinen & Nurminen (1985), "Comparative analysis of two rates", appendix, without their factor
/// N / (N − 1).
pub fn ratio(inside: Share, outside: Share) -> Option<Interval> {
    if inside.with + outside.with == 0 {
        return None;
    }
    let estimate = inside.rate() / outside.rate();
    let middle = if estimate > 0.0 && estimate.is_finite() { Some(estimate.ln()) } else { None };
    // Between the logarithms of ±FAR the limits of any counts that fit into 64 bits lie.
    const FAR: f64 = 100.0;
    let limit = |mut kept: f64, mut rejected: f64| {
        for _ in 0..80 {
            let half = (kept + rejected) / 2.0;
            if score(inside, outside, half.exp()) <= Z_95 * Z_95 { kept = half } else { rejected = half }
        }
        kept.exp()
    };
    let low = if inside.with == 0 { 0.0 } else { limit(middle.unwrap_or(FAR), -FAR).min(estimate) };
    let high = if outside.with == 0 { f64::INFINITY } else { limit(middle.unwrap_or(-FAR), FAR).max(estimate) };
    Some(Interval { low, estimate, high })
}

/// The squared score statistic against that ratio.
fn score(inside: Share, outside: Share, ratio: f64) -> f64 {
    let (x1, n1) = (inside.with as f64, inside.of as f64);
    let (x0, n0) = (outside.with as f64, outside.of as f64);
    // p0 is the smaller root of a·p² − b·p + c with a = ratio · (n1 + n0) and c = x1 + x0. Its discriminant b² − 4ac is
    // written as a sum, for a difference of nearly equal numbers would leave nothing of it.
    let (u, v) = (n1 + x0, x1 + n0);
    let discriminant = (ratio * u - v).powi(2) + 4.0 * ratio * (n1 - x1) * (n0 - x0);
    let p0 = 2.0 * (x1 + x0) / (ratio * u + v + discriminant.sqrt());
    let p1 = (ratio * p0).min(1.0);
    let off = x1 / n1 - ratio * x0 / n0;
    let variance = p1 * (1.0 - p1) / n1 + ratio * ratio * p0 * (1.0 - p0).max(0.0) / n0;
    if off == 0.0 { 0.0 } else { off * off / variance }
}

/// Which test a p-value is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Two-proportion z with pooled variance.
    Pooled,
    /// Fisher's exact test.
    Exact,
}

/// z of two shares with the variance pooled; 0 where nobody or everybody has the trait.
///
/// Source: Pearson (1900); it is the root of the χ² statistic of the 2 × 2 table.
pub fn z_pooled(inside: Share, outside: Share) -> f64 {
    let (n1, n0) = (inside.of as f64, outside.of as f64);
    let pooled = (inside.with as f64 + outside.with as f64) / (n1 + n0);
    let variance = pooled * (1.0 - pooled) * (1.0 / n1 + 1.0 / n0);
    if variance > 0.0 { (inside.rate() - outside.rate()) / variance.sqrt() } else { 0.0 }
}

/// The probability of a normal deviate at least that far from 0 on either side.
pub fn two_sided(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// How often chance alone would make two shares at least as different, in 0..=1: exact where an expected count is below
/// [`MIN_EXPECTED`], else by [`z_pooled`].
pub fn p_value(inside: Share, outside: Share) -> (f64, Test) {
    let (n1, n0) = (inside.of as f64, outside.of as f64);
    let with = inside.with as f64 + outside.with as f64;
    let least = n1.min(n0) * with.min(n1 + n0 - with) / (n1 + n0);
    if least < MIN_EXPECTED {
        (fisher(inside, outside), Test::Exact)
    } else {
        (two_sided(z_pooled(inside, outside)), Test::Pooled)
    }
}

/// The two-sided p-value of a 2 × 2 table: the probability of all tables with the same margins that are no more likely
/// than this one.
///
/// Source: Fisher (1935), "The logic of inductive inference"; two-sided by probability as in Freeman & Halton (1951),
/// equal ones within 1e−7 as R's `fisher.test` takes them. The probabilities are multiplied up from the likeliest table,
/// so that no logarithms of factorials are needed.
pub(super) fn fisher(inside: Share, outside: Share) -> f64 {
    let with = inside.with + outside.with;
    let (fewest, most) = (with.saturating_sub(outside.of), with.min(inside.of));
    let (n1, n0, with) = (inside.of as f64, outside.of as f64, with as f64);
    let likeliest = ((n1 + 1.0) * (with + 1.0) / (n1 + n0 + 2.0)).floor() as u64;
    let likeliest = likeliest.clamp(fewest, most);
    // How much likelier one more with the trait inside is than `at`.
    let up = |at: u64| {
        let at = at as f64;
        (with - at) * (n1 - at) / ((at + 1.0) * (n0 - with + at + 1.0))
    };
    // Tables so unlikely add nothing; the table itself may be one of them.
    const NOTHING: f64 = 1e-300;
    let mut tables = vec![(likeliest, 1.0)];
    let mut weight = 1.0;
    for at in likeliest..most {
        weight *= up(at);
        tables.push((at + 1, weight));
        if weight < NOTHING {
            break;
        }
    }
    weight = 1.0;
    for at in (fewest..likeliest).rev() {
        weight /= up(at);
        tables.push((at, weight));
        if weight < NOTHING {
            break;
        }
    }
    let own = tables.iter().find(|(at, _)| *at == inside.with).map_or(0.0, |(_, weight)| *weight);
    // From the smallest on, so that many small ones are not lost beside a large one.
    tables.sort_by(|a, b| a.1.total_cmp(&b.1));
    let all: f64 = tables.iter().map(|(_, weight)| weight).sum();
    let no_likelier: f64 =
        tables.iter().map(|(_, weight)| weight).filter(|weight| **weight <= own * (1.0 + 1e-7)).sum();
    (no_likelier / all).clamp(f64::MIN_POSITIVE, 1.0)
}

/// The p-values corrected for how many there are: taking all up to `q` as real, a share of at most `q` of them is
/// expected not to be. In the order given, each at least its p-value, at most 1.
///
/// Source: Benjamini & Hochberg (1995), "Controlling the false discovery rate", §3.1, as adjusted p-values (Yekutieli &
/// Benjamini 1999, eq. 3).
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*b].total_cmp(&p_values[*a]));
    let mut q_values = vec![1.0; p_values.len()];
    let mut least = 1.0_f64;
    for (before, at) in order.iter().enumerate() {
        let rank = (p_values.len() - before) as f64;
        // p · m / m must not come out below p.
        least = least.min((p_values[*at] * (p_values.len() as f64 / rank)).max(p_values[*at]));
        q_values[*at] = least;
    }
    q_values
}
