//! Which traits a segment has more or less often than everybody else.

use super::rate::{self, Interval, Share, Test};
use serde::{Deserialize, Serialize};

/// Of the differences that are told, at most one in twenty is expected to be chance.
pub const MAX_FALSE: f64 = 0.05;

/// A group of fewer people is too small to say anything about: its 95 % interval is 35 points wide.
pub const MIN_PEOPLE: u64 = 30;

/// A trait that fewer people have, inside and outside together, is too rare. The limit depends on the two totals alone, so
/// that leaving those out does not bend the p-values of the others (Bourgon, Gentleman & Huber 2010, "Independent
/// filtering").
pub const MIN_WITH: u64 = 5;

/// How many have one value of one dimension, for example the source `newsletter`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraitCount {
    /// What is looked at: `source`, `product`, `page`, a trait's name.
    pub dimension: String,
    /// Its value.
    pub value: String,
    /// Members of the segment.
    pub inside: Share,
    /// Everybody else.
    pub outside: Share,
}

/// What is to be said of a trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// More common in the segment.
    More,
    /// Less common in the segment.
    Less,
    /// No more different than chance makes some of so many.
    NoDifference,
    /// Too few people to say.
    TooFew,
}

/// A trait compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trait {
    /// The counts.
    #[serde(flatten)]
    pub counts: TraitCount,
    /// Share inside minus share outside.
    pub difference: Interval,
    /// Share inside over share outside; `None` where nobody has it. An infinite number is `null` in JSON.
    pub index: Option<Interval>,
    /// How often chance alone would do that.
    pub p_value: f64,
    /// The same, corrected for how many traits were looked at; 1 where there are too few people.
    pub q_value: f64,
    /// Which test the p-value is from.
    pub test: Test,
    /// What is to be said.
    pub says: Says,
}

/// Compares all traits of a segment at once; `counts` are all that were looked at, not the striking ones alone, for the
/// correction rests on how many there are.
///
/// The first is the one of which most is sure: ordered by the limit of the ratio's interval that is nearer to 1. Then
/// come those without a difference, the least likely first, then those with too few people.
pub fn compare(counts: Vec<TraitCount>) -> Vec<Trait> {
    let tested = |count: &TraitCount| {
        let least = count.inside.of().min(count.outside.of());
        least >= MIN_PEOPLE && count.inside.with() + count.outside.with() >= MIN_WITH
    };
    let mut traits: Vec<Trait> = counts
        .into_iter()
        .map(|counts| {
            let (p_value, test) = rate::p_value(counts.inside, counts.outside);
            let says = if tested(&counts) { Says::NoDifference } else { Says::TooFew };
            let difference = rate::difference(counts.inside, counts.outside);
            let index = rate::ratio(counts.inside, counts.outside);
            Trait { counts, difference, index, p_value, q_value: 1.0, test, says }
        })
        .collect();
    let tested = || (0..traits.len()).filter(|at| traits[*at].says != Says::TooFew);
    let places: Vec<usize> = tested().collect();
    let p_values: Vec<f64> = tested().map(|at| traits[at].p_value).collect();
    for (at, q_value) in places.into_iter().zip(rate::benjamini_hochberg(&p_values)) {
        let tested = &mut traits[at];
        tested.q_value = q_value;
        if q_value <= MAX_FALSE {
            tested.says = if tested.difference.estimate > 0.0 { Says::More } else { Says::Less };
        }
    }
    let group = |tested: &Trait| match tested.says {
        Says::More | Says::Less => 0,
        Says::NoDifference => 1,
        Says::TooFew => 2,
    };
    traits.sort_by(|a, b| {
        let name = |tested: &Trait| (tested.counts.dimension.clone(), tested.counts.value.clone());
        let by_size = if group(a) == 0 { b.sure_of().total_cmp(&a.sure_of()) } else { std::cmp::Ordering::Equal };
        group(a).cmp(&group(b)).then(by_size).then(a.p_value.total_cmp(&b.p_value)).then_with(|| name(a).cmp(&name(b)))
    });
    traits
}

impl Trait {
    /// How far from 1 the ratio is at least, as a logarithm; below 0 where its interval includes 1.
    fn sure_of(&self) -> f64 {
        let Some(index) = self.index else { return f64::MIN };
        if self.difference.estimate > 0.0 { index.low.ln() } else { -index.high.ln() }
    }

    /// One sentence.
    pub fn told(&self) -> String {
        let TraitCount { dimension, value, inside, outside } = &self.counts;
        let percent = |share: f64| {
            if share > 0.0 && share < 0.01 {
                format!("{:.2} %", 100.0 * share)
            } else {
                format!("{:.0} %", 100.0 * share)
            }
        };
        let shares = format!("{} of the segment, {} of the others", percent(inside.rate()), percent(outside.rate()));
        let rest = match (self.says, self.index) {
            (Says::TooFew, _) => {
                let people = inside.with() + outside.with();
                if people < MIN_WITH {
                    format!("too rare to compare ({people} people)")
                } else {
                    format!("too few people to compare ({} in the segment, {} outside)", inside.of(), outside.of())
                }
            }
            (Says::NoDifference, _) | (Says::More | Says::Less, None) => format!("{shares}: no clear difference"),
            (Says::More, Some(index)) if index.estimate.is_finite() => {
                format!("{shares}: {:.1} times as common, at least {:.1} times", index.estimate, index.low)
            }
            (Says::More, Some(index)) => format!("{shares}: at least {:.1} times as common", index.low),
            (Says::Less, Some(index)) => {
                format!("{shares}: {:.2} times as common, at most {:.2} times", index.estimate, index.high)
            }
        };
        format!("{dimension} {value}: {rest}.")
    }
}
