//! Entity matching: which records are probably the same person.
//!
//! The model is that of Fellegi & Sunter (1969), "A theory for record linkage", with its parameters found by
//! expectation–maximisation from the records themselves, without examples. The steps, each in a module of its own:
//!
//! 1. `record`: values are written the one way in which they are compared ([`Record`]).
//! 2. `blocking`: several passes choose the pairs that are looked at; never all n² ([`Pass`]).
//! 3. `compare`: each pair becomes a comparison vector ([`Pattern`]): levels of agreement by Jaro–Winkler similarity,
//!    Damerau–Levenshtein distance and Soundex; what is absent neither agrees nor disagrees.
//! 4. `em`: the model is fitted ([`Model`]): three classes of pairs, so that people of one household are not taken for
//!    one person, over all pairs by a weighted sample.
//! 5. `weigh`: each pair gets its posterior probability, agreement on a rare value counting more than on a common one
//!    (`frequency`), and what each comparison adds to it in bits ([`Evidence`]).
//! 6. `cluster`: pairs above the threshold become people, without chains of weak links ([`Matching::clusters`]).
//!
//! [`suggest()`] puts that to a site's profiles ([`Said`]) and what persons have decided about them before.
//!
//! # Dependence
//!
//! Weights add up only while comparisons are independent within a class of pairs, and several fields are not. What is
//! done about it: street, suburb, postcode and state are one comparison with joint levels; swapped names are one piece
//! of evidence and the surname then absent; a household's shared surname, address, phone and e-mail are explained by a
//! class of their own. What is left over is told by [`Quality`] where the truth is known, and is why the threshold for
//! acting without a person should be near 1.
//!
//! # Same input, same answer
//!
//! Records are put in the order of their values before anything else, and chance comes from [`Settings::seed`]: the same
//! records give the same pairs and clusters in whatever order they come.

mod blocking;
mod cluster;
mod compare;
mod em;
mod frequency;
mod likeness;
mod nicknames;
mod quality;
mod record;
mod suggest;
mod traits;
mod weigh;

use crate::chance::Chance;
pub use blocking::{Blocking, Pass, PassReport};
use cluster::{Fixed, Link, Opinion};
pub use compare::{Comparison, Level, Pattern};
use em::Observed;
pub use em::{Basis, Model};
use frequency::Frequencies;
pub use quality::Quality;
pub use record::{BirthDate, Field, Record};
use std::collections::BTreeMap;
pub use suggest::{Judged, Person, Suggestion, Suggestions, suggest};
pub use traits::Said;
use weigh::Scale;
pub use weigh::{Evidence, Weighed, probability};

/// How records are matched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Decides which pairs outside the blocks are looked at for the model.
    pub seed: u64,
    /// Pairs from this probability on make people of records, in 0..1.
    pub threshold: f64,
    /// Pairs from this probability on are told, in 0..1. Not above the threshold.
    pub told_from: f64,
    /// Records in a block up to which all its pairs are compared.
    pub largest_block: usize,
    /// How many neighbours each record is compared with where a block is larger, and in the pass by order.
    pub window: usize,
    /// When there are this many pairs per record, no further pass is made.
    pub most_pairs_per_record: usize,
    /// Pairs drawn at random for the model; all are taken where there are not more.
    pub random_pairs: usize,
    /// Records in a cluster.
    pub largest_cluster: usize,
    /// Contradicting pairs that a cluster may have each time two groups are joined.
    pub most_contradictions: usize,
}

impl Default for Settings {
    /// Threshold .95, told from .5.
    fn default() -> Settings {
        Settings {
            seed: 1,
            threshold: 0.95,
            told_from: 0.5,
            // 80 records are 3,160 pairs; a name, a postcode or a day that more than 80 share says little.
            largest_block: 80,
            window: 8,
            most_pairs_per_record: 100,
            // u of a level that one in a thousand strangers reach is then known to 4 %.
            random_pairs: 600_000,
            largest_cluster: 20,
            most_contradictions: 0,
        }
    }
}

/// How far a matching has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The pairs to compare are chosen.
    Blocked {
        /// How many there are.
        pairs: usize,
    },
    /// So many of them are compared.
    Compared {
        /// How many.
        pairs: usize,
        /// Of how many.
        of: usize,
    },
    /// The model is fitted.
    Fitted {
        /// Steps of EM.
        steps: usize,
    },
}

/// Two records that are probably one person.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The place of the first among the records given.
    pub a: usize,
    /// The place of the second, which is greater.
    pub b: usize,
    /// That the two are one person, in 0..=1.
    pub probability: f64,
    /// The same as log-odds, with what makes them up.
    pub weighed: Weighed,
    /// What was compared.
    pub pattern: Pattern,
}

/// What was found among records.
#[derive(Clone, Debug, PartialEq)]
pub struct Matching {
    /// Pairs from [`Settings::told_from`] on, the most probable first.
    pub pairs: Vec<Pair>,
    /// Records that are one person by pairs from [`Settings::threshold`] on: places, ascending, two and more.
    pub clusters: Vec<Vec<usize>>,
    /// The model that weighed them.
    pub model: Model,
    /// How the pairs that were compared were chosen.
    pub blocking: Blocking,
    /// How many were compared.
    pub compared: usize,
}

/// How many pairs are compared between two tellings of progress.
const TELL_EVERY: usize = 250_000;

/// Finds the records that are probably the same person.
///
/// Takes time and memory in proportion to the number of records: at most [`Settings::most_pairs_per_record`] pairs for
/// each (and what the last pass adds), 12 bytes a pair.
pub fn find(records: &[Record], settings: &Settings, progress: impl FnMut(Progress)) -> Matching {
    find_with(records, settings, Known::default(), progress)
}

/// What is known of records before they are matched, as pairs of their places.
#[derive(Clone, Copy, Default)]
struct Known<'a> {
    /// One person.
    joined: &'a [(usize, usize)],
    /// Two people.
    apart: &'a [(usize, usize)],
}

/// As [`find`], with what is known before.
fn find_with(
    records: &[Record],
    settings: &Settings,
    known: Known<'_>,
    mut progress: impl FnMut(Progress),
) -> Matching {
    let mut order: Vec<usize> = (0..records.len()).collect();
    // Equal records keep the order in which they came; nothing else depends on it.
    order.sort_by(|a, b| records[*a].cmp(&records[*b]));
    let sorted: Vec<&Record> = order.iter().map(|place| &records[*place]).collect();
    let (pairs, blocking) = blocking::pairs(&sorted, settings);
    progress(Progress::Blocked { pairs: pairs.len() });
    let patterns = compare_all(&sorted, &pairs, &mut progress);
    let model = em::fit(&observe(&sorted, &pairs, &patterns, settings), sorted.len());
    progress(Progress::Fitted { steps: model.log_posterior.len() });

    let scale = Scale::of(&model);
    let frequencies = Frequencies::of(&sorted);
    let bits = |a: u32, b: u32, pattern| scale.bits(pattern, sorted[a as usize], sorted[b as usize], &frequencies);
    let least = log_odds(settings.told_from.min(settings.threshold));
    let told: Vec<(Link, Pattern)> = pairs
        .iter()
        .zip(&patterns)
        .map(|((a, b), pattern)| (Link { a: *a, b: *b, bits: bits(*a, *b, *pattern) }, *pattern))
        .filter(|(link, _)| link.bits >= least)
        .collect();
    let mut place_of = vec![0; order.len()];
    for (place, original) in order.iter().enumerate() {
        place_of[*original] = place as u32;
    }
    let in_order = |pairs: &[(usize, usize)]| -> Vec<(u32, u32)> {
        pairs.iter().map(|(a, b)| (place_of[*a], place_of[*b])).collect()
    };
    let threshold = log_odds(settings.threshold);
    let links = told.iter().map(|(link, _)| *link).filter(|link| link.bits >= threshold).collect();
    let opinion = |a: u32, b: u32| {
        let (a, b) = (a.min(b), a.max(b));
        let pattern = Pattern::of(sorted[a as usize], sorted[b as usize]);
        Opinion { bits: bits(a, b, pattern), contradicts: pattern.contradicts() }
    };
    let fixed = Fixed::new(in_order(known.joined), &in_order(known.apart));
    let clusters = cluster::clusters(sorted.len(), links, &fixed, settings, opinion);

    let pair = |(link, pattern): (Link, Pattern)| {
        let (a, b) = (order[link.a as usize], order[link.b as usize]);
        let weighed = scale.weigh(pattern, sorted[link.a as usize], sorted[link.b as usize], &frequencies);
        Pair { a: a.min(b), b: a.max(b), probability: probability(weighed.bits), weighed, pattern }
    };
    let mut pairs_told: Vec<Pair> = told.into_iter().map(pair).collect();
    pairs_told.sort_by(|x, y| y.weighed.bits.total_cmp(&x.weighed.bits).then((x.a, x.b).cmp(&(y.a, y.b))));
    let original = |cluster: Vec<u32>| {
        let mut places: Vec<usize> = cluster.into_iter().map(|place| order[place as usize]).collect();
        places.sort_unstable();
        places
    };
    let mut clusters: Vec<Vec<usize>> = clusters.into_iter().map(original).collect();
    clusters.sort_unstable();
    Matching { pairs: pairs_told, clusters, model, blocking, compared: pairs.len() }
}

/// log₂ of the odds of a probability.
fn log_odds(probability: f64) -> f64 {
    (probability / (1.0 - probability)).log2()
}

fn compare_all(sorted: &[&Record], pairs: &[(u32, u32)], progress: &mut impl FnMut(Progress)) -> Vec<Pattern> {
    let mut patterns = Vec::with_capacity(pairs.len());
    for part in pairs.chunks(TELL_EVERY) {
        patterns.extend(part.iter().map(|(a, b)| Pattern::of(sorted[*a as usize], sorted[*b as usize])));
        progress(Progress::Compared { pairs: patterns.len(), of: pairs.len() });
    }
    patterns
}

/// How often each pattern occurs among all pairs: those from the blocks as they are, the others by a sample.
fn observe(sorted: &[&Record], pairs: &[(u32, u32)], patterns: &[Pattern], settings: &Settings) -> Vec<Observed> {
    let mut blocked: BTreeMap<Pattern, f64> = BTreeMap::new();
    for pattern in patterns {
        *blocked.entry(*pattern).or_default() += 1.0;
    }
    let mut outside: BTreeMap<Pattern, f64> = BTreeMap::new();
    let mut add = |a: usize, b: usize| {
        let is_outside = pairs.binary_search(&(a as u32, b as u32)).is_err();
        if is_outside {
            *outside.entry(Pattern::of(sorted[a], sorted[b])).or_default() += 1.0;
        }
    };
    let records = sorted.len();
    let all = records.saturating_mul(records.saturating_sub(1)) / 2;
    if all <= settings.random_pairs {
        for a in 0..records {
            (a + 1..records).for_each(|b| add(a, b));
        }
    } else {
        let mut chance = Chance::new(settings.seed, 1);
        for _ in 0..settings.random_pairs {
            let (a, b) = (chance.below(records), chance.below(records - 1));
            // The second is any but the first.
            let b = if b >= a { b + 1 } else { b };
            add(a.min(b), a.max(b));
        }
    }
    let drawn: f64 = outside.values().sum();
    let each = (all - pairs.len()) as f64 / drawn.max(1.0);
    let observed = |blocked: bool, each: f64| {
        move |(pattern, count): (Pattern, f64)| Observed { pattern, weight: count * each, blocked }
    };
    blocked.into_iter().map(observed(true, 1.0)).chain(outside.into_iter().map(observed(false, each))).collect()
}

#[cfg(test)]
mod tests;
