//! What is known of a person as a number: its unit, its scale, and the words for much and little of it.

use super::ClusterError;
use crate::money::{Currency, Money};
use crate::segment::lifecycle::{ago, counted};
use serde::{Deserialize, Serialize};

/// Features that a model takes at most: with more, distances say little and rules nothing.
pub const MAX_FEATURES: usize = 12;

/// A number that is known of every person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Feature {
    /// Days since the last order.
    RecencyDays,
    /// Orders so far.
    Orders,
    /// Mean total of an order, minor units.
    OrderMinor {
        /// The site's currency.
        currency: Currency,
    },
    /// Total of all orders, minor units.
    SpentMinor {
        /// The site's currency.
        currency: Currency,
    },
    /// Days since the person was first seen.
    TenureDays,
    /// Sessions so far.
    Visits,
    /// Any other number.
    Other {
        /// Its name in a sentence, for example `newsletters opened`; it identifies the feature.
        name: String,
        /// Whether twice as much counts alike at every level (money, counts) or one more does (shares, scores).
        logarithmic: bool,
    },
}

impl Feature {
    /// The name for people.
    pub fn name(&self) -> &str {
        match self {
            Feature::RecencyDays => "days since the last order",
            Feature::Orders => "orders",
            Feature::OrderMinor { .. } => "spend per order",
            Feature::SpentMinor { .. } => "spend",
            Feature::TenureDays => "days known",
            Feature::Visits => "visits",
            Feature::Other { name, .. } => name,
        }
    }

    /// The currency whose minor units it is counted in.
    pub fn currency(&self) -> Option<Currency> {
        match self {
            Feature::OrderMinor { currency } | Feature::SpentMinor { currency } => Some(*currency),
            Feature::RecencyDays | Feature::Orders | Feature::TenureDays | Feature::Visits | Feature::Other { .. } => {
                None
            }
        }
    }

    /// The value with its unit: `12 days`, `5 orders`, `35.00 USD`.
    pub fn value(&self, value: f64) -> String {
        match self {
            Feature::RecencyDays | Feature::TenureDays => counted(whole(value), "day"),
            Feature::Orders => counted(whole(value), "order"),
            Feature::Visits => counted(whole(value), "visit"),
            Feature::OrderMinor { currency } | Feature::SpentMinor { currency } => money(value, *currency),
            Feature::Other { .. } => plain(value),
        }
    }

    /// The value in a sentence: `last order 12 days ago`, `5 orders`, `35.00 USD per order`.
    pub fn tells(&self, value: f64) -> String {
        match self {
            Feature::RecencyDays => format!("last order {}", ago(whole(value))),
            Feature::TenureDays => format!("known for {}", self.value(value)),
            Feature::OrderMinor { .. } => format!("{} per order", self.value(value)),
            Feature::SpentMinor { .. } => format!("{} spent", self.value(value)),
            Feature::Orders | Feature::Visits => self.value(value),
            Feature::Other { name, .. } => format!("{} {name}", self.value(value)),
        }
    }

    /// A limit without its unit, where the sentence around it has told the unit: `45`, `35.00 USD`.
    pub(super) fn limit(&self, value: f64) -> String {
        match self {
            Feature::OrderMinor { currency } | Feature::SpentMinor { currency } => money(value, *currency),
            _ => plain(value),
        }
    }

    /// Words for very much, much, little and very little of it.
    pub(super) fn words(&self) -> [String; 4] {
        let words = |words: [&str; 4]| words.map(str::to_owned);
        match self {
            Feature::RecencyDays => words(["long gone", "lapsing", "recent", "very recent"]),
            Feature::Orders => words(["very frequent", "frequent", "infrequent", "very infrequent"]),
            Feature::OrderMinor { .. } => words(["very big", "big", "small", "very small"]),
            Feature::SpentMinor { .. } => words(["top spending", "high spending", "low spending", "lowest spending"]),
            Feature::TenureDays => words(["oldest", "long known", "new", "newest"]),
            Feature::Visits => words(["very engaged", "engaged", "quiet", "very quiet"]),
            Feature::Other { name, .. } => {
                ["very high", "high", "low", "very low"].map(|level| format!("{level} in {name}"))
            }
        }
    }

    /// The place of its word in a name: "Big, recent, frequent".
    pub(super) fn place(&self) -> u8 {
        match self {
            Feature::OrderMinor { .. } => 0,
            Feature::SpentMinor { .. } => 1,
            Feature::RecencyDays => 2,
            Feature::Orders => 3,
            Feature::Visits => 4,
            Feature::TenureDays => 5,
            Feature::Other { .. } => 6,
        }
    }

    /// Whether more of it makes the better customer (1), the worse (−1) or neither (0).
    pub(super) fn favours(&self) -> f64 {
        match self {
            Feature::RecencyDays => -1.0,
            Feature::Orders | Feature::OrderMinor { .. } | Feature::SpentMinor { .. } | Feature::Visits => 1.0,
            Feature::TenureDays | Feature::Other { .. } => 0.0,
        }
    }

    /// The value as distances are measured in: ln(1 + value) of days, counts and major units of money, where less than
    /// nothing (refunds) is nothing.
    pub(super) fn curved(&self, value: f64) -> f64 {
        match self {
            Feature::OrderMinor { currency } | Feature::SpentMinor { currency } => {
                (value.max(0.0) / 10_f64.powi(currency.digits() as i32)).ln_1p()
            }
            Feature::RecencyDays | Feature::Orders | Feature::TenureDays | Feature::Visits => value.max(0.0).ln_1p(),
            Feature::Other { logarithmic: true, .. } => value.max(0.0).ln_1p(),
            // Distances are squared and added up: far below where that overflows, far above what means anything.
            Feature::Other { logarithmic: false, .. } => value.clamp(-1e100, 1e100),
        }
    }

    /// The value with two significant digits, whole where the feature counts.
    pub(super) fn rounded(&self, value: f64) -> f64 {
        let digits = value.abs().log10().floor();
        if value == 0.0 || !digits.is_finite() {
            return 0.0;
        }
        let whole_only = !matches!(self, Feature::Other { .. });
        let exponent = if whole_only { (digits - 1.0).max(0.0) } else { digits - 1.0 };
        // Dividing by a whole power of ten keeps 0.35 what it reads as; multiplying by 0.01 would not.
        let rounded = if exponent >= 0.0 {
            let step = 10_f64.powf(exponent);
            (value / step).round() * step
        } else {
            let steps = 10_f64.powf(-exponent);
            (value * steps).round() / steps
        };
        if rounded.is_finite() { rounded } else { value }
    }
}

fn whole(value: f64) -> u32 {
    // `as` takes what is out of range as the nearest that is in it.
    value.round() as u32
}

fn money(value: f64, currency: Currency) -> String {
    let minor = value.round() as i64;
    format!("{} {currency}", Money { minor, currency }.decimal())
}

fn plain(value: f64) -> String {
    let text = if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A row of numbers for every person, in the features' own units.
#[derive(Clone, Copy, Debug)]
pub struct People<'a> {
    features: &'a [Feature],
    values: &'a [f64],
}

impl<'a> People<'a> {
    /// `values` holds one row per person, row after row, each with one value per feature.
    ///
    /// # Errors
    /// A [`ClusterError`] for no or too many features, the same one twice, no people, a row that is not full, or a
    /// value that is no number (NaN or infinite).
    pub fn new(features: &'a [Feature], values: &'a [f64]) -> Result<People<'a>, ClusterError> {
        if features.is_empty() || features.len() > MAX_FEATURES {
            return Err(ClusterError::Features { features: features.len() });
        }
        for (at, feature) in features.iter().enumerate() {
            if features[..at].iter().any(|earlier| earlier.name() == feature.name()) {
                return Err(ClusterError::FeatureTwice { name: feature.name().to_owned() });
            }
        }
        if values.is_empty() {
            return Err(ClusterError::NoPeople);
        }
        if !values.len().is_multiple_of(features.len()) {
            return Err(ClusterError::Ragged { values: values.len(), features: features.len() });
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let name = features[at % features.len()].name().to_owned();
            return Err(ClusterError::NotANumber { row: at / features.len(), name });
        }
        Ok(People { features, values })
    }

    /// The features, by column.
    pub fn features(&self) -> &'a [Feature] {
        self.features
    }

    /// The people, at least one.
    pub fn count(&self) -> usize {
        self.values.len() / self.features.len()
    }

    /// All rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a [f64]> + use<'a> {
        self.values.chunks_exact(self.features.len())
    }

    pub(super) fn row(&self, at: usize) -> &'a [f64] {
        &self.values[at * self.features.len()..][..self.features.len()]
    }
}
