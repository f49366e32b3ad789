//! Robust scaling: one person with a million orders must not decide what "often" means for all others.

use super::feature::Feature;
use serde::{Deserialize, Serialize};

/// The share of people at each end whose values are taken as the value that bounds them.
const TAIL: f64 = 0.01;

/// No value counts as further from the middle than that: where nearly all are equal the spread is tiny, and the few
/// others would make clusters of their own.
const FARTHEST: f64 = 4.0;

/// How one feature becomes comparable with the others. It is part of the model and kept over refreshes: nobody moves
/// because the scale moved.
///
/// `middle` is the median, `spread` the standard deviation after winsorising 1 % at each end (Tukey 1962, "The future
/// of data analysis", §14), both of the curved value (mostly a logarithm). Quartiles would not do: where four of five
/// people ordered once they span nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// What becomes 0.
    pub middle: f64,
    /// What becomes 1; 0 for a feature that is the same for nearly all and so tells nobody apart.
    pub spread: f64,
    /// Less counts as this.
    pub low: f64,
    /// More counts as this.
    pub high: f64,
}

impl Scale {
    /// The scale of curved values, at least one.
    pub(super) fn of(mut curved: Vec<f64>) -> Scale {
        curved.sort_unstable_by(f64::total_cmp);
        let (low, middle, high) = (quantile(&curved, TAIL), quantile(&curved, 0.5), quantile(&curved, 1.0 - TAIL));
        let count = curved.len() as f64;
        let mean = curved.iter().map(|value| value.clamp(low, high) / count).sum::<f64>();
        let variance = curved.iter().map(|value| (value.clamp(low, high) - mean).powi(2) / count).sum::<f64>();
        // What rounding leaves of equal values is no spread.
        let spread = if variance.sqrt() > 1e-9 * middle.abs().max(1e-9) { variance.sqrt() } else { 0.0 };
        let farthest = FARTHEST * spread;
        let (low, high) = (low.max(middle - farthest), high.min(middle + farthest));
        Scale { middle: as_written(middle), spread: as_written(spread), low: as_written(low), high: as_written(high) }
    }

    /// A value of the feature in units of the spread.
    pub(super) fn scaled(&self, feature: &Feature, value: f64) -> f64 {
        if self.spread > 0.0 {
            (feature.curved(value).clamp(self.low, self.high) - self.middle) / self.spread
        } else {
            0.0
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        let finite = [self.middle, self.spread, self.low, self.high].iter().all(|value| value.is_finite());
        finite && self.spread >= 0.0 && self.low <= self.high
    }
}

/// The number with nine decimals. With at most fifteen digits JSON reads back exactly what was written, so that a model
/// from the store puts nobody elsewhere than the one that was fitted.
pub(super) fn as_written(number: f64) -> f64 {
    (number * 1e9).round() / 1e9
}

/// The value that a share of the sorted values is not above: linear between neighbours (Hyndman & Fan 1996, type 7).
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = share * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[(at.ceil() as usize).min(last)]);
    // Neighbours that are equal, or as far apart as numbers go, must not overflow.
    below * (1.0 - at.fract()) + above * at.fract()
}
