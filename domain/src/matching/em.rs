//! The model of pairs and how it is fitted.
//!
//! # The model
//!
//! A pair is of one of three classes: one person (`M`), two people of one household (`H`), two strangers (`U`). Within
//! a class the comparisons are independent, each at level `l` with probability `m(l)`, `h(l)` or `u(l)`; an absent one
//! has probability 1 in all classes. Fellegi & Sunter (1969) have two classes, `M` and `U`; independence within two is
//! badly wrong for people who live together, who agree on surname, address, phone and often e-mail all at once, and it
//! makes siblings and spouses one person. The third class takes that dependence up: given that two people share a home
//! their surname and address *are* nearly independent. It is the three-class model of Winkler (1993), "Improved decision
//! rules in the Fellegi–Sunter model of record linkage", section 3.
//!
//! # The fit
//!
//! Expectation–maximisation for the mixture (Winkler 1988, "Using the EM algorithm for weight computation in the
//! Fellegi–Sunter model of record linkage"; Dempster, Laird & Rubin 1977): the E-step gives each pattern's share in each
//! class, the M-step the weighted frequencies. Three things are special:
//!
//! - **All pairs count, though few are looked at.** The likelihood is that of all n(n−1)/2 pairs. Pairs from the
//!   blocking enter with weight 1; the others through a sample drawn at random, weighted up to their number
//!   (Horvitz & Thompson 1952). So `u` comes from random pairs, rare agreement that blocking has gathered keeps its true
//!   rarity, and the shares of the classes are those of all pairs. Sampled pairs outside the blocks are strangers.
//! - **`H` needs a home.** Only pairs that share a door, a street, a phone or an e-mail address may be of class `H`;
//!   else it would be drawn to whatever else is dependent in the data. So what is seen of it is truncated: a household
//!   whose members share nothing of that is not among the data. Its probability of a pattern is Π h(γ_j) / Z, with Z the
//!   probability that something is shared among what both have, and the E-step adds the pairs that are not seen, q / Z
//!   for each that is, q = 1 − Z (Dempster, Laird & Rubin 1977, section 4.2). Without that a family that shares an inbox
//!   and no phone looks less like a family than like one person.
//! - **Priors.** Each row of `m`, `h` and `u` has a Dirichlet prior, and the classes' shares one, of a few pairs' weight:
//!   tiny files are scored by the priors, large ones by themselves, and no probability is 0. What rises in every step is
//!   therefore the log-posterior, likelihood plus prior.
//!
//! Where there are too few comparisons to learn from, `m` and the shares stay at their priors ([`Basis`]).

use super::compare::{Comparison, Level, MAX_LEVELS, Pattern};

/// The class of a pair.
const MATCH: usize = 0;
const HOUSEHOLD: usize = 1;
const STRANGERS: usize = 2;

/// What the three classes make of one comparison's levels.
pub(super) type Rows = [[f64; MAX_LEVELS]; 3];

/// Pairs' weight of the priors. Matches are few, so theirs is light; a household's must not be taken over by matches
/// with a changed name.
const PRIOR_PAIRS: [f64; 3] = [20.0, 50.0, 20.0];
/// Added to each level of each row: the estimator of Krichevsky & Trofimov (1981), "The performance of universal
/// encoding". A level that was never seen among T pairs gets about 1 / 2T and not 0.
const PRIOR_EACH: f64 = 0.5;
/// How many pairs of one person, and of one household, there are per record, before anything is known.
const PRIOR_PAIRS_PER_RECORD: [f64; 2] = [0.05, 0.05];
/// More pairs of one person per record than this are no duplicates: the fit has taken something else for them.
const MOST_MATCHES_PER_RECORD: f64 = 3.0;
/// With fewer comparisons than this the classes cannot be told apart without knowing them before (Kim 1984: a mixture
/// of products needs three).
const FEWEST_COMPARISONS: usize = 3;
const MOST_STEPS: usize = 300;
/// The fit has converged when no probability changes by more.
const TOLERANCE: f64 = 1e-6;

/// Where `m` and the classes' shares come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// From the records themselves.
    Records,
    /// Priors: fewer than three comparisons can be made.
    FewComparisons,
    /// Priors: the fit found more matches than a file of people can have.
    Implausible,
}

impl Basis {
    /// The name in JSON.
    pub const fn key(self) -> &'static str {
        match self {
            Basis::Records => "records",
            Basis::FewComparisons => "priors_few_comparisons",
            Basis::Implausible => "priors_implausible_fit",
        }
    }
}

/// A fitted model of pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Where it comes from.
    pub basis: Basis,
    /// The expected share of the three classes among all pairs: one person, one household, strangers.
    pub shares: [f64; 3],
    /// The log-posterior before each step, up to a constant.
    pub log_posterior: Vec<f64>,
    /// Whether the last step changed nothing any more.
    pub converged: bool,
    pub(super) rows: [Rows; Comparison::ALL.len()],
}

impl Model {
    /// The probability of a level among pairs of one person, of one household and of strangers, given that both records
    /// have a value; `None` where the comparison has no such level.
    pub fn probabilities(&self, comparison: Comparison, level: Level) -> Option<[f64; 3]> {
        let place = comparison.levels().iter().position(|own| *own == level)?;
        Some([0, 1, 2].map(|class| self.rows[comparison as usize][class][place]))
    }
}

/// How probably two of one household share a home in that comparison, if both records have it: the sum of h over its
/// levels that mean so.
fn home_share(rows: &Rows, comparison: Comparison) -> f64 {
    let levels = comparison.levels().iter().zip(&rows[HOUSEHOLD]);
    levels.filter(|(level, _)| level.is_home(comparison)).map(|(_, probability)| probability).sum()
}

/// The probability that two of one household share nothing of a home among what both have, for each comparison that
/// could tell; 1 for the others.
pub(super) fn apart(model: &Model) -> [f64; Comparison::ALL.len()] {
    Comparison::ALL.map(|comparison| 1.0 - home_share(&model.rows[comparison as usize], comparison))
}

/// q, the probability of sharing nothing, over the comparisons of a pattern.
pub(super) fn shares_nothing(apart: &[f64; Comparison::ALL.len()], pattern: Pattern) -> f64 {
    let compared = Comparison::ALL.into_iter().filter(|comparison| pattern.place(*comparison).is_some());
    compared.map(|comparison| apart[comparison as usize]).product()
}

/// How often a pattern occurs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Observed {
    pub(super) pattern: Pattern,
    /// Pairs.
    pub(super) weight: f64,
    /// From the blocking; the others are strangers.
    pub(super) blocked: bool,
}

/// Priors for one comparison: rows for one person, one household, strangers; each over [`Comparison::levels`]. Rows sum
/// to 1.
///
/// What they say of errors is what is commonly found in customer files: seven of ten e-mail addresses stay, a quarter of
/// the people have moved, one in seven dates of birth has a fault.
const fn prior(comparison: Comparison) -> Rows {
    match comparison {
        Comparison::GivenName => [
            [0.08, 0.06, 0.10, 0.74, 0.02, 0.0, 0.0],
            [0.92, 0.04, 0.015, 0.02, 0.005, 0.0, 0.0],
            [0.979, 0.014, 0.003, 0.003999, 0.000001, 0.0, 0.0],
        ],
        Comparison::Surname => [
            [0.08, 0.04, 0.08, 0.80, 0.0, 0.0, 0.0],
            [0.18, 0.03, 0.05, 0.74, 0.0, 0.0, 0.0],
            [0.985, 0.01, 0.002, 0.003, 0.0, 0.0, 0.0],
        ],
        Comparison::Email => [
            [0.23, 0.02, 0.05, 0.70, 0.0, 0.0, 0.0],
            [0.76, 0.01, 0.01, 0.22, 0.0, 0.0, 0.0],
            [0.9997, 0.0002, 0.00005, 0.00005, 0.0, 0.0, 0.0],
        ],
        Comparison::Phone => [
            [0.23, 0.04, 0.03, 0.70, 0.0, 0.0, 0.0],
            [0.57, 0.02, 0.02, 0.39, 0.0, 0.0, 0.0],
            [0.9998, 0.0001, 0.00005, 0.00005, 0.0, 0.0, 0.0],
        ],
        Comparison::Address => [
            [0.10, 0.10, 0.05, 0.06, 0.03, 0.12, 0.54],
            [0.04, 0.04, 0.02, 0.03, 0.02, 0.12, 0.73],
            [0.798, 0.19, 0.005, 0.005, 0.001, 0.0005, 0.0005],
        ],
        // As of an address, with the streets left out.
        Comparison::Place => [
            [0.13, 0.10, 0.05, 0.72, 0.0, 0.0, 0.0],
            [0.05, 0.05, 0.02, 0.88, 0.0, 0.0, 0.0],
            [0.799, 0.19, 0.005, 0.006, 0.0, 0.0, 0.0],
        ],
        Comparison::BirthDate => [
            [0.04, 0.03, 0.07, 0.86, 0.0, 0.0, 0.0],
            [0.95, 0.03, 0.01, 0.01, 0.0, 0.0, 0.0],
            [0.987, 0.01, 0.0025, 0.0005, 0.0, 0.0, 0.0],
        ],
        Comparison::OtherId => [
            [0.10, 0.05, 0.85, 0.0, 0.0, 0.0, 0.0],
            [0.97, 0.01, 0.02, 0.0, 0.0, 0.0, 0.0],
            [0.9989, 0.001, 0.0001, 0.0, 0.0, 0.0, 0.0],
        ],
    }
}

/// Fits the model to how often each pattern occurs among all pairs of so many records.
pub(super) fn fit(observed: &[Observed], records: usize) -> Model {
    let blocked = || observed.iter().filter(|observed| observed.blocked);
    let comparable = |comparison| blocked().any(|observed| observed.pattern.place(comparison).is_some());
    // Address and place are two ways of one comparison.
    let counted = |comparison: &Comparison| *comparison != Comparison::Place || !comparable(Comparison::Address);
    let comparisons = Comparison::ALL.into_iter().filter(counted).filter(|comparison| comparable(*comparison)).count();
    let basis = if comparisons < FEWEST_COMPARISONS { Basis::FewComparisons } else { Basis::Records };
    let model = Fit::new(observed, records, basis).run();
    let all: f64 = observed.iter().map(|observed| observed.weight).sum();
    if basis == Basis::Records && model.shares[MATCH] * all > MOST_MATCHES_PER_RECORD * records as f64 {
        return Fit::new(observed, records, Basis::Implausible).run();
    }
    model
}

struct Fit<'a> {
    observed: &'a [Observed],
    /// Pseudo-pairs of the classes' shares and of each row's levels.
    prior_shares: [f64; 3],
    prior_rows: [Rows; Comparison::ALL.len()],
    model: Model,
}

/// The expected numbers of an E-step.
struct Expected {
    shares: [f64; 3],
    rows: [Rows; Comparison::ALL.len()],
    log_likelihood: f64,
}

impl<'a> Fit<'a> {
    fn new(observed: &'a [Observed], records: usize, basis: Basis) -> Fit<'a> {
        let others = (records as f64 - 1.0).max(1.0);
        // Among n(n−1)/2 pairs; one pair's weight for each of the two small classes together.
        let [matches, households] = PRIOR_PAIRS_PER_RECORD.map(|per_record| 2.0 * per_record / others);
        let shares = [matches, households, (1.0 - matches - households).max(0.5)];
        let weight = 1.0 / matches.min(households);
        let mut prior_rows = Comparison::ALL.map(prior);
        let rows = prior_rows;
        for (comparison, rows) in Comparison::ALL.into_iter().zip(&mut prior_rows) {
            for (row, pairs) in rows.iter_mut().zip(PRIOR_PAIRS) {
                for probability in row.iter_mut().take(comparison.levels().len()) {
                    *probability = *probability * pairs + PRIOR_EACH;
                }
            }
        }
        Fit {
            observed,
            prior_shares: shares.map(|share| share * weight),
            prior_rows,
            model: Model { basis, shares, log_posterior: Vec::new(), converged: false, rows },
        }
    }

    fn run(mut self) -> Model {
        while self.model.log_posterior.len() < MOST_STEPS && !self.model.converged {
            let expected = self.expect();
            let log_posterior = expected.log_likelihood + self.log_prior();
            self.model.log_posterior.push(log_posterior);
            self.model.converged = self.maximise(&expected) < TOLERANCE;
        }
        self.model
    }

    /// Which classes a pattern may be of.
    fn may_be(observed: &Observed) -> [bool; 3] {
        [observed.blocked, observed.blocked && observed.pattern.shares_a_home(), true]
    }

    fn expect(&self) -> Expected {
        let mut expected =
            Expected { shares: [0.0; 3], rows: [[[0.0; MAX_LEVELS]; 3]; Comparison::ALL.len()], log_likelihood: 0.0 };
        let logs = self.model.rows.map(|rows| rows.map(|row| row.map(f64::ln)));
        let shares = self.model.shares.map(f64::ln);
        let apart = apart(&self.model);
        for observed in self.observed {
            let may_be = Fit::may_be(observed);
            let mut joint = [f64::NEG_INFINITY; 3];
            for class in [MATCH, HOUSEHOLD, STRANGERS].into_iter().filter(|class| may_be[*class]) {
                joint[class] =
                    shares[class] + sum_over(observed.pattern, |comparison, place| logs[comparison][class][place]);
            }
            let nothing = shares_nothing(&apart, observed.pattern);
            if may_be[HOUSEHOLD] {
                joint[HOUSEHOLD] -= (-nothing).ln_1p();
            }
            let total = log_sum(&joint);
            expected.log_likelihood += observed.weight * total;
            for class in [MATCH, HOUSEHOLD, STRANGERS].into_iter().filter(|class| may_be[*class]) {
                let share = observed.weight * (joint[class] - total).exp();
                expected.shares[class] += share;
                for comparison in Comparison::ALL {
                    if let Some(place) = observed.pattern.place(comparison) {
                        expected.rows[comparison as usize][class][place] += share;
                    }
                }
            }
            if may_be[HOUSEHOLD] {
                let seen = observed.weight * (joint[HOUSEHOLD] - total).exp();
                self.add_unseen(&mut expected, observed.pattern, seen * nothing / (1.0 - nothing), &apart);
            }
        }
        expected
    }

    /// Adds the households that share nothing to what is expected of the comparisons that could have told. What the
    /// others say of them is what they say of those that are seen.
    fn add_unseen(&self, expected: &mut Expected, pattern: Pattern, unseen: f64, apart: &[f64; Comparison::ALL.len()]) {
        for comparison in Comparison::ALL {
            let at = comparison as usize;
            if pattern.place(comparison).is_none() || apart[at] >= 1.0 {
                continue;
            }
            for (place, _) in comparison.levels().iter().enumerate().filter(|(_, level)| !level.is_home(comparison)) {
                expected.rows[at][HOUSEHOLD][place] += unseen * self.model.rows[at][HOUSEHOLD][place] / apart[at];
            }
        }
    }

    /// Takes the expected numbers for the true ones; gives the largest change of a probability.
    fn maximise(&mut self, expected: &Expected) -> f64 {
        let holds = self.model.basis != Basis::Records;
        let mut change: f64 = 0.0;
        if !holds {
            let counts = [0, 1, 2].map(|class| expected.shares[class] + self.prior_shares[class]);
            let total: f64 = counts.iter().sum();
            for (share, count) in self.model.shares.iter_mut().zip(counts) {
                // Shares of the small classes are judged by their own size.
                change = change.max((count / total / *share - 1.0).abs() * 0.01);
                *share = count / total;
            }
        }
        let learns = [!holds, !holds, true];
        for (comparison, rows) in self.model.rows.iter_mut().enumerate() {
            for class in [MATCH, HOUSEHOLD, STRANGERS].into_iter().filter(|class| learns[*class]) {
                let counts = expected.rows[comparison][class].iter().zip(self.prior_rows[comparison][class]);
                let counts: Vec<f64> = counts.map(|(count, prior)| count + prior).collect();
                let total: f64 = counts.iter().sum();
                for (probability, count) in rows[class].iter_mut().zip(counts) {
                    change = change.max((count / total - *probability).abs());
                    *probability = count / total;
                }
            }
        }
        change
    }

    /// The density of the Dirichlet priors whose modes the M-step finds, up to a constant.
    fn log_prior(&self) -> f64 {
        let of = |pairs: f64, probability: f64| if pairs > 0.0 { pairs * probability.ln() } else { 0.0 };
        let shares: f64 = self.prior_shares.iter().zip(self.model.shares).map(|(pairs, share)| of(*pairs, share)).sum();
        let rows = self.prior_rows.iter().flatten().flatten().zip(self.model.rows.iter().flatten().flatten());
        shares + rows.map(|(pairs, probability)| of(*pairs, *probability)).sum::<f64>()
    }
}

/// Adds up over the comparisons that are not absent.
pub(super) fn sum_over(pattern: Pattern, of: impl Fn(usize, usize) -> f64) -> f64 {
    Comparison::ALL
        .into_iter()
        .filter_map(|comparison| pattern.place(comparison).map(|place| of(comparison as usize, place)))
        .sum()
}

/// The logarithm of a sum whose terms are given by their logarithms.
fn log_sum(logs: &[f64; 3]) -> f64 {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + logs.iter().map(|log| (log - largest).exp()).sum::<f64>().ln()
}
