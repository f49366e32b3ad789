//! From what a pair agrees on to the probability that it is one person, with the reasons.
//!
//! With three classes the odds are not one product of likelihood ratios but
//!
//! ```text
//! P(M | γ) / P(not M | γ) = 1 / ( (λ_U / λ_M) · Π u(γ_j) / m(γ_j)  +  (λ_H / λ_M) · Π h(γ_j) / m(γ_j) / Z )
//! ```
//!
//! (Z as in `em`) where each ratio is a weight in bits, log₂(m / u) of Fellegi & Sunter (1969, eq. 17 with base 2) and its like against
//! the household. Before they are used the weights are made monotone: within a comparison a level of more agreement
//! never counts less than one of less, against either class. Levels that the data order the other way are pooled, with
//! their probabilities added up (pool adjacent violators: Ayer et al. 1955, "An empirical distribution function for
//! sampling with incomplete information"). So against a household a shared address usually counts nothing at all.
//!
//! # What a person is shown
//!
//! The log-odds are told as a sum: what a pair starts from, log₂(λ_M / λ_U); each comparison's weight against strangers;
//! and what the possibility of two people in one home takes away, which is 0 unless they share one:
//!
//! ```text
//! log-odds  =  log₂(λ_M / λ_U)  +  Σ_j log₂(m_j / u_j)  −  log₂(1 + P(H | γ) / P(U | γ))
//! ```

use super::compare::{Comparison, Level, MAX_LEVELS, Pattern};
use super::em::{Model, apart, shares_nothing, sum_over};
use super::frequency::Frequencies;
use super::record::Record;
use std::fmt;

/// What one comparison says about a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// What was compared.
    pub comparison: Comparison,
    /// How far the two agree.
    pub level: Level,
    /// What it adds to the log-odds of one person against strangers, in bits: 1 doubles the odds, −1 halves them.
    pub bits: f64,
    /// How much of that is because the value agreed on is rare (more than 0) or common (less).
    pub rarity_bits: f64,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Evidence { comparison, level, bits, rarity_bits } = self;
        write!(f, "{}: {level} ({bits:+.1} bits", comparison.name())?;
        match *rarity_bits {
            rare if rare >= 1.0 => f.write_str(", a rare value)"),
            common if common <= -1.0 => f.write_str(", a common value)"),
            _ => f.write_str(")"),
        }
    }
}

/// A pair's log-odds, in bits, with what makes them up.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighed {
    /// What a pair starts from before anything is compared.
    pub start_bits: f64,
    /// One for each comparison that could be made, in their order.
    pub evidence: Vec<Evidence>,
    /// What it takes away that they may be two people of one home, at most 0.
    pub household_bits: f64,
    /// log₂ of the odds that the two are one person: the sum of all the above.
    pub bits: f64,
}

/// The probability of log-odds in bits, in 0..=1.
pub fn probability(bits: f64) -> f64 {
    1.0 / (1.0 + (-bits).exp2())
}

/// Weights in bits, per comparison and level.
type Weights = [[f64; MAX_LEVELS]; Comparison::ALL.len()];

/// Weighs pairs by a fitted model.
pub(super) struct Scale {
    /// log₂(λ_M / λ_U) and log₂(m / u).
    strangers: (f64, Weights),
    /// log₂(λ_M / λ_H) and log₂(m / h).
    household: (f64, Weights),
    /// How probably a household shares nothing of a home, per comparison.
    apart: [f64; Comparison::ALL.len()],
}

impl Scale {
    pub(super) fn of(model: &Model) -> Scale {
        let [matches, household, strangers] = model.shares;
        Scale {
            strangers: ((matches / strangers).log2(), weights(model, 2)),
            household: ((matches / household).log2(), weights(model, 1)),
            apart: apart(model),
        }
    }

    /// The log-odds of a pair, in bits.
    pub(super) fn bits(&self, pattern: Pattern, a: &Record, b: &Record, frequencies: &Frequencies<'_>) -> f64 {
        self.odds(pattern, self.rarities(pattern, a, b, frequencies)).1
    }

    /// The log-odds of a pair with their reasons.
    pub(super) fn weigh(&self, pattern: Pattern, a: &Record, b: &Record, frequencies: &Frequencies<'_>) -> Weighed {
        let rarities = self.rarities(pattern, a, b, frequencies);
        let (against_strangers, bits) = self.odds(pattern, rarities);
        let evidence = |comparison: Comparison| {
            let (place, level) = pattern.place(comparison).zip(pattern.level(comparison))?;
            let rarity_bits = rarities[comparison as usize];
            let bits = self.strangers.1[comparison as usize][place] + rarity_bits;
            Some(Evidence { comparison, level, bits, rarity_bits })
        };
        Weighed {
            start_bits: self.strangers.0,
            evidence: Comparison::ALL.into_iter().filter_map(evidence).collect(),
            household_bits: bits - against_strangers,
            bits,
        }
    }

    /// Log-odds against strangers alone, and against strangers and household.
    fn odds(&self, pattern: Pattern, rarities: [f64; Comparison::ALL.len()]) -> (f64, f64) {
        let strangers = self.strangers.0
            + sum_over(pattern, |comparison, place| self.strangers.1[comparison][place] + rarities[comparison]);
        let household = self.household.0 + sum_over(pattern, |comparison, place| self.household.1[comparison][place]);
        let nothing = shares_nothing(&self.apart, pattern);
        // Where neither address nor e-mail nor phone is compared there is nothing that the household was chosen by.
        let household = if nothing < 1.0 { household + (1.0 - nothing).log2() } else { household };
        // −log₂(2^−strangers + 2^−household), from the smaller one so that nothing overflows.
        let (less, more) = (strangers.min(household), strangers.max(household));
        (strangers, less - (less - more).exp2().ln_1p() / std::f64::consts::LN_2)
    }

    /// What the rarity of the values agreed on adds. A common value is still no less than nearly agreeing, a rare one no
    /// more than the next level.
    fn rarities(
        &self,
        pattern: Pattern,
        a: &Record,
        b: &Record,
        frequencies: &Frequencies<'_>,
    ) -> [f64; Comparison::ALL.len()] {
        Comparison::ALL.map(|comparison| {
            let Some(place) = pattern.place(comparison) else { return 0.0 };
            let bits = frequencies.bits(comparison, pattern, a, b);
            let weights = &self.strangers.1[comparison as usize];
            let own = weights[place];
            let ordered = ordered_levels(comparison);
            let least = if place > 0 { weights[place - 1] } else { own };
            let most = if place + 1 < ordered { weights[place + 1] } else { f64::INFINITY };
            (own + bits).clamp(least.min(own), most.max(own)) - own
        })
    }
}

/// How many levels stand in order of agreement.
fn ordered_levels(comparison: Comparison) -> usize {
    comparison.levels().iter().filter(|level| **level != Level::Swapped).count()
}

/// log₂(m / other) of each level, never less for more agreement.
fn weights(model: &Model, other: usize) -> Weights {
    Comparison::ALL.map(|comparison| {
        let rows = &model.rows[comparison as usize];
        let (levels, ordered) = (comparison.levels().len(), ordered_levels(comparison));
        let mut weights = [0.0; MAX_LEVELS];
        // Blocks of levels with their two probabilities.
        let mut blocks: Vec<(usize, f64, f64)> = Vec::with_capacity(ordered);
        for (matching, others) in rows[0].iter().zip(&rows[other]).take(ordered) {
            let mut block = (1, *matching, *others);
            while let Some((count, own, other)) = blocks.pop() {
                if own / other <= block.1 / block.2 {
                    blocks.push((count, own, other));
                    break;
                }
                block = (count + block.0, own + block.1, other + block.2);
            }
            blocks.push(block);
        }
        let pooled = blocks.iter().flat_map(|(count, own, other)| std::iter::repeat_n((own / other).log2(), *count));
        for (weight, bits) in weights.iter_mut().zip(pooled) {
            *weight = bits;
        }
        // Swapped names.
        for place in ordered..levels {
            weights[place] = (rows[0][place] / rows[other][place]).log2();
        }
        weights
    })
}
