//! How many clusters: as many as come out again on other people like these.
//!
//! **Stability.** People are drawn anew with replacement, clustered, and everybody is put with the nearest of the new
//! centres; how far that agrees with the clusters of all is the adjusted Rand index, 1 for the same clusters and 0 for
//! what chance gives (Hubert & Arabie 1985, "Comparing partitions", eq. 5). The mean over all draws is the stability of
//! that number of clusters (after Fang & Wang 2012, "Selection of the number of clusters via the bootstrap method").
//! For each cluster the best Jaccard index among the new ones tells whether it comes back; the mean over the draws
//! should be 0.75 or more (Hennig 2007, "Cluster-wise assessment of cluster stability").
//!
//! Stability falls with the number of clusters nearly always, so "the most stable" would be two clusters for nearly
//! every shop, one of them three quarters of all people. It is therefore a hurdle, as the prediction strength of
//! Tibshirani & Walther (2005, "Cluster validation by prediction strength", §3) is: all that clear it are reproducible
//! alike, and the data may be cut as finely as that. Two clusters are taken only when nothing finer is reproducible.
//!
//! **Separation** decides among those: the silhouette in its simplified form, which takes distances to centres instead
//! of to all others (Hruschka, de Castro & Campello 2004): (b − a) / b for the distances a to the own and b to the next
//! centre. Of about the same silhouette the larger number wins.

use super::kmeans::{self, Fit, Points};
use super::{Candidate, Settings};
use crate::chance::Chance;

/// A cluster that comes back less well than this is not counted on: Hennig's limit.
pub const MIN_JACCARD: f64 = 0.75;

/// The hurdle for a number of clusters: of two equal halves it lets one person in forty change sides, (1 − 2/40)² = 0.9.
pub const MIN_STABILITY: f64 = 0.9;

/// Silhouettes less apart than this are about the same: the choice must not turn on their third digit.
pub const SAME_SILHOUETTE: f64 = 0.01;

/// A cluster of fewer is no segment to act on: 2 % of the people.
pub const MIN_SHARE: f64 = 0.02;

/// All candidates, and the fit of the chosen one.
pub(super) struct Choice {
    pub(super) candidates: Vec<Candidate>,
    pub(super) fit: Fit,
}

/// Tries every number of clusters and takes the best. `points` are in an order that does not depend on who came first.
pub(super) fn choose(points: Points<'_>, most: usize, settings: &Settings, seed: u64) -> Choice {
    let mut candidates = Vec::new();
    let mut fits = Vec::new();
    for k in settings.least.max(2)..=settings.most.min(most) {
        let fit = kmeans::fit(points, k, settings.starts, &mut Chance::new(seed, k as u64));
        candidates.push(judged(points, &fit, k, settings, seed));
        fits.push(fit);
    }
    let fit = match best(&candidates) {
        Some(best) => fits.swap_remove(best),
        None => kmeans::fit(points, 1, 1, &mut Chance::new(seed, 1)),
    };
    Choice { candidates, fit }
}

/// Which candidate is taken; the most stable where none clears the hurdle.
fn best(candidates: &[Candidate]) -> Option<usize> {
    let clear = |least: usize| {
        let clear = candidates.iter().enumerate().filter(move |(_, tried)| tried.k >= least && tried.is_sound());
        clear.map(|(at, _)| at).collect::<Vec<_>>()
    };
    let finer = clear(3);
    let sound = if finer.is_empty() { clear(2) } else { finer };
    let widest = sound.iter().map(|at| candidates[*at].silhouette).fold(f64::MIN, f64::max);
    let chosen = sound.into_iter().rev().find(|at| candidates[*at].silhouette > widest - SAME_SILHOUETTE);
    chosen.or_else(|| {
        (0..candidates.len())
            .reduce(|best, at| if candidates[at].stability > candidates[best].stability { at } else { best })
    })
}

fn judged(points: Points<'_>, fit: &Fit, k: usize, settings: &Settings, seed: u64) -> Candidate {
    let dimensions = points.dimensions;
    let near: Vec<_> = points.rows().map(|row| kmeans::nearest(row, &fit.centres)).collect();
    let labels: Vec<_> = near.iter().map(|near| near.label).collect();
    let count = points.count() as f64;
    let sizes = kmeans::means(points, &labels, k).1;
    let silhouette = near.iter().map(|near| {
        let (own, next) = (near.distance.sqrt(), near.second.sqrt());
        if next > 0.0 { (next - own) / next } else { 0.0 }
    });
    let silhouette = silhouette.sum::<f64>() / count;

    let mut stability = 0.0;
    let mut comes_back = vec![0.0; k];
    let mut drawn = Vec::new();
    let draws = settings.resamples.max(1);
    for draw in 0..draws {
        let mut chance = Chance::new(seed, (k * 1_000 + draw + 100) as u64);
        drawn.clear();
        for _ in 0..points.count().min(settings.resample_people) {
            let from = chance.below(points.count());
            drawn.extend_from_slice(&points.values[from * dimensions..][..dimensions]);
        }
        let again = kmeans::fit(Points { values: &drawn, dimensions }, k, settings.resample_starts, &mut chance);
        let mut table = vec![0_u64; k * k];
        for (row, label) in points.rows().zip(&labels) {
            table[label * k + kmeans::nearest(row, &again.centres).label] += 1;
        }
        stability += adjusted_rand(&table, k) / draws as f64;
        for (sum, jaccard) in comes_back.iter_mut().zip(best_jaccard(&table, k)) {
            *sum += jaccard / draws as f64;
        }
    }
    Candidate {
        k,
        stability,
        weakest: comes_back.into_iter().fold(1.0, f64::min),
        silhouette,
        smallest: sizes.into_iter().min().unwrap_or(0) as f64 / count,
    }
}

/// The adjusted Rand index of a k × k table of people by both clusterings.
fn adjusted_rand(table: &[u64], k: usize) -> f64 {
    let pairs = |count: u64| count as f64 * (count as f64 - 1.0) / 2.0;
    let both: f64 = table.iter().map(|count| pairs(*count)).sum();
    let rows: f64 = table.chunks_exact(k).map(|row| pairs(row.iter().sum())).sum();
    let columns: f64 = (0..k).map(|column| pairs(table.iter().skip(column).step_by(k).sum())).sum();
    let all = pairs(table.iter().sum());
    let expected = if all > 0.0 { rows * columns / all } else { 0.0 };
    let most = (rows + columns) / 2.0;
    if most > expected { (both - expected) / (most - expected) } else { 1.0 }
}

/// For each row of the table the best Jaccard index with any column.
fn best_jaccard(table: &[u64], k: usize) -> Vec<f64> {
    let columns: Vec<u64> = (0..k).map(|column| table.iter().skip(column).step_by(k).sum()).collect();
    let of_row = |row: &[u64]| {
        let size: u64 = row.iter().sum();
        let jaccard = row.iter().zip(&columns).map(|(both, column)| match size + column - both {
            0 => 0.0,
            either => *both as f64 / either as f64,
        });
        jaccard.fold(0.0, f64::max)
    };
    table.chunks_exact(k).map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_adjusted_rand_index_is_the_published_one() {
        // scikit-learn's documentation of adjusted_rand_score: [0, 0, 1, 1] against [0, 0, 1, 2] gives 0.57….
        let index = adjusted_rand(&[2, 0, 0, 0, 1, 1, 0, 0, 0], 3);
        assert!((index - 0.571_428_571_428_571_4).abs() < 1e-12, "{index}");
        assert_eq!(adjusted_rand(&[5, 0, 0, 7], 2), 1.0);
        assert_eq!(adjusted_rand(&[0, 5, 7, 0], 2), 1.0);
        assert!(adjusted_rand(&[3, 3, 3, 3], 2) < 0.0);
    }

    #[test]
    fn a_cluster_that_comes_back_under_another_number_comes_back() {
        assert_eq!(best_jaccard(&[0, 5, 7, 0], 2), [1.0, 1.0]);
        assert_eq!(best_jaccard(&[2, 2, 0, 4], 2), [0.5, 4.0 / 6.0]);
    }

    fn tried(k: usize, stability: f64, silhouette: f64) -> Candidate {
        Candidate { k, stability, weakest: 0.8, silhouette, smallest: 0.1 }
    }

    #[test]
    fn reproducible_before_well_apart_before_fine() {
        let chosen = |candidates: &[Candidate]| best(candidates).map(|at| candidates[at].k);
        assert_eq!(chosen(&[]), None);
        // Well apart, but another result each time.
        assert_eq!(chosen(&[tried(2, 0.98, 0.5), tried(3, 0.95, 0.4), tried(4, 0.6, 0.9)]), Some(3));
        // Two only where nothing finer comes back.
        assert_eq!(chosen(&[tried(2, 0.98, 0.5), tried(3, 0.8, 0.6)]), Some(2));
        assert_eq!(chosen(&[tried(2, 0.98, 0.6), tried(3, 0.95, 0.54), tried(4, 0.92, 0.46)]), Some(3));
        // About as well apart: the finer one.
        assert_eq!(chosen(&[tried(3, 0.95, 0.54), tried(4, 0.92, 0.535)]), Some(4));
        // Nothing comes back: the best there is, and it is not called sound.
        assert_eq!(chosen(&[tried(2, 0.7, 0.5), tried(3, 0.8, 0.4)]), Some(3));
        assert!(!tried(3, 0.8, 0.4).is_sound());
    }
}
