//! How good a matching is where it is known who is who.

use std::collections::HashMap;
use std::hash::Hash;

/// Pairs that were found, and should have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Pairs found that are one person.
    pub right: u64,
    /// Pairs found.
    pub found: u64,
    /// Pairs that are one person.
    pub there: u64,
}

impl Quality {
    /// The share of the pairs found that are right; 1 where none was found.
    pub fn precision(&self) -> f64 {
        share(self.right, self.found)
    }

    /// The share of the pairs there are that were found; 1 where there are none.
    pub fn recall(&self) -> f64 {
        share(self.right, self.there)
    }

    /// The harmonic mean of precision and recall (van Rijsbergen 1979); 1 where there are no pairs and none was found.
    pub fn f1(&self) -> f64 {
        share(2 * self.right, self.found + self.there)
    }

    /// Judges pairs of records; `truth` tells who each record is.
    pub fn of_pairs<T: Eq + Hash>(pairs: impl IntoIterator<Item = (usize, usize)>, truth: &[T]) -> Quality {
        let mut quality = Quality { there: pairs_there(truth), ..Quality::default() };
        for (a, b) in pairs {
            quality.found += 1;
            quality.right += u64::from(truth.get(a).is_some_and(|person| truth.get(b) == Some(person)));
        }
        quality
    }

    /// Judges all pairs within clusters of records.
    pub fn of_clusters<T: Eq + Hash>(clusters: &[Vec<usize>], truth: &[T]) -> Quality {
        let pairs = clusters.iter().flat_map(|cluster| {
            cluster.iter().enumerate().flat_map(|(at, a)| cluster.iter().skip(at + 1).map(|b| (*a, *b)))
        });
        Quality::of_pairs(pairs, truth)
    }
}

fn pairs_there<T: Eq + Hash>(truth: &[T]) -> u64 {
    let mut records: HashMap<&T, u64> = HashMap::new();
    for person in truth {
        *records.entry(person).or_default() += 1;
    }
    records.values().map(|count| count * (count - 1) / 2).sum()
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}
