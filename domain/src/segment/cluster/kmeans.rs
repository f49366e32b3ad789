//! k-means: centres so that everybody is as near to one of them as can be.
//!
//! Seeding by Arthur & Vassilvitskii (2007), "k-means++: the advantages of careful seeding". Iterations by Lloyd (1982),
//! with the bounds of Hamerly (2010), "Making k-means even faster", which skip the distances that cannot change
//! anything and leave the result as it is.

use crate::chance::Chance;

/// Rounds after which a start is taken as it is; nearly all end much sooner because nobody changes.
const MAX_ROUNDS: usize = 100;

/// Points as one row of `dimensions` numbers each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Points<'a> {
    pub(super) values: &'a [f64],
    pub(super) dimensions: usize,
}

impl<'a> Points<'a> {
    pub(super) fn count(&self) -> usize {
        self.values.len() / self.dimensions
    }

    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &'a [f64]> + use<'a> {
        self.values.chunks_exact(self.dimensions)
    }

    fn row(&self, at: usize) -> &'a [f64] {
        &self.values[at * self.dimensions..][..self.dimensions]
    }
}

/// Centres and what they cost.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    /// One row per centre.
    pub(super) centres: Vec<f64>,
    /// Mean squared distance to the nearest centre.
    pub(super) loss: f64,
}

/// The best of several starts.
pub(super) fn fit(points: Points<'_>, k: usize, starts: usize, chance: &mut Chance) -> Fit {
    let mut best: Option<Fit> = None;
    for _ in 0..starts.max(1) {
        let fit = settle(points, seeds(points, k, chance));
        if best.as_ref().is_none_or(|best| fit.loss < best.loss) {
            best = Some(fit);
        }
    }
    best.unwrap_or(Fit { centres: Vec::new(), loss: 0.0 })
}

/// k-means++: the next seed is drawn in proportion to the squared distance from the seeds so far.
fn seeds(points: Points<'_>, k: usize, chance: &mut Chance) -> Vec<f64> {
    let mut centres = Vec::with_capacity(k * points.dimensions);
    let mut distances = vec![f64::INFINITY; points.count()];
    let mut next = chance.below(points.count());
    for _ in 0..k {
        let seed = points.row(next);
        centres.extend_from_slice(seed);
        let mut total = 0.0;
        for (distance, row) in distances.iter_mut().zip(points.rows()) {
            *distance = distance.min(squared(row, seed));
            total += *distance;
        }
        let mut left = chance.unit() * total;
        next = 0;
        for (at, distance) in distances.iter().enumerate().filter(|(_, distance)| **distance > 0.0) {
            next = at;
            left -= distance;
            if left <= 0.0 {
                break;
            }
        }
    }
    centres
}

/// Lloyd's rounds from given centres until nobody changes.
pub(super) fn settle(points: Points<'_>, mut centres: Vec<f64>) -> Fit {
    let (count, dimensions) = (points.count(), points.dimensions);
    let k = centres.len() / dimensions;
    let mut label = vec![0_usize; count];
    // Distance to the own centre, never less than it is, and to the second, never more than it is.
    let mut own = vec![f64::INFINITY; count];
    let mut second = vec![0.0_f64; count];
    let mut half_gap = vec![0.0_f64; k];
    let mut moved = vec![0.0_f64; k];

    for round in 0..MAX_ROUNDS {
        for (at, gap) in half_gap.iter_mut().enumerate() {
            let others = (0..k).filter(|other| *other != at);
            let nearest =
                others.map(|other| squared(centre(&centres, at, dimensions), centre(&centres, other, dimensions)));
            *gap = nearest.fold(f64::INFINITY, f64::min).sqrt() / 2.0;
        }
        let mut changed = round == 0;
        for (at, row) in points.rows().enumerate() {
            let bound = half_gap[label[at]].max(second[at]);
            if own[at] < bound {
                continue;
            }
            own[at] = squared(row, centre(&centres, label[at], dimensions)).sqrt();
            if own[at] < bound {
                continue;
            }
            let near = nearest(row, &centres);
            changed |= near.label != label[at];
            (label[at], own[at], second[at]) = (near.label, near.distance.sqrt(), near.second.sqrt());
        }
        let (mut means, sizes) = means(points, &label, k);
        let mut refilled = false;
        for empty in (0..k).filter(|at| sizes[*at] == 0) {
            // An empty cluster starts again from the person who is worst off.
            let worst = points.rows().enumerate().map(|(at, row)| (at, nearest(row, &centres).distance));
            let Some((at, distance)) =
                worst.fold(
                    None,
                    |worst: Option<(usize, f64)>, next| {
                        if worst.is_none_or(|worst| next.1 > worst.1) { Some(next) } else { worst }
                    },
                )
            else {
                continue;
            };
            let from = if distance > 0.0 { points.row(at) } else { centre(&centres, empty, dimensions) };
            means[empty * dimensions..][..dimensions].copy_from_slice(from);
            refilled |= distance > 0.0;
        }
        let before = std::mem::replace(&mut centres, means);
        if refilled {
            own.fill(f64::INFINITY);
            second.fill(0.0);
            continue;
        }
        if !changed {
            break;
        }
        for (at, moved) in moved.iter_mut().enumerate() {
            *moved = squared(centre(&before, at, dimensions), centre(&centres, at, dimensions)).sqrt();
        }
        let farthest = moved.iter().fold(0.0_f64, |farthest, moved| farthest.max(*moved));
        for at in 0..count {
            own[at] += moved[label[at]];
            second[at] -= farthest;
        }
    }
    let loss = points.rows().map(|row| nearest(row, &centres).distance).sum::<f64>() / count.max(1) as f64;
    Fit { centres, loss }
}

/// The mean of each cluster's points, and how many they are; zeros for an empty one.
pub(super) fn means(points: Points<'_>, labels: &[usize], k: usize) -> (Vec<f64>, Vec<usize>) {
    let mut sums = vec![0.0; k * points.dimensions];
    let mut sizes = vec![0; k];
    for (row, label) in points.rows().zip(labels) {
        sizes[*label] += 1;
        for (sum, value) in sums[label * points.dimensions..].iter_mut().zip(row) {
            *sum += value;
        }
    }
    for (sums, size) in sums.chunks_exact_mut(points.dimensions).zip(&sizes) {
        sums.iter_mut().for_each(|sum| *sum /= (*size).max(1) as f64);
    }
    (sums, sizes)
}

/// The nearest centre.
#[derive(Clone, Copy, Debug)]
pub(super) struct Near {
    /// Which; the first of several at the same distance.
    pub(super) label: usize,
    /// Squared distance to it.
    pub(super) distance: f64,
    /// Squared distance to the second nearest; infinite where there is one alone.
    pub(super) second: f64,
}

/// The nearest of the centres.
pub(super) fn nearest(row: &[f64], centres: &[f64]) -> Near {
    let mut near = Near { label: 0, distance: f64::INFINITY, second: f64::INFINITY };
    for (label, centre) in centres.chunks_exact(row.len()).enumerate() {
        let distance = squared(row, centre);
        if distance < near.distance {
            near = Near { label, distance, second: near.distance };
        } else if distance < near.second {
            near.second = distance;
        }
    }
    near
}

fn centre(centres: &[f64], at: usize, dimensions: usize) -> &[f64] {
    &centres[at * dimensions..][..dimensions]
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lloyd's rounds without any bound.
    fn plainly(points: Points<'_>, mut centres: Vec<f64>) -> Vec<f64> {
        let k = centres.len() / points.dimensions;
        let mut labels = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let next: Vec<_> = points.rows().map(|row| nearest(row, &centres).label).collect();
            if next == labels {
                break;
            }
            labels = next;
            centres = means(points, &labels, k).0;
        }
        centres
    }

    #[test]
    fn one_centre_is_the_mean() {
        let points = Points { values: &[0.0, 0.0, 2.0, 4.0], dimensions: 2 };
        let fit = fit(points, 1, 1, &mut Chance::new(1, 0));
        assert_eq!(fit.centres, [1.0, 2.0]);
        assert_eq!(fit.loss, 5.0);
    }

    #[test]
    fn an_empty_cluster_starts_again_elsewhere() {
        let points = Points { values: &[0.0, 1.0, 10.0, 11.0], dimensions: 1 };
        let fit = settle(points, vec![5.0, 1_000.0]);
        assert_eq!(fit.loss, 0.25);
    }

    #[test]
    fn more_centres_than_different_points_is_no_endless_search() {
        let points = Points { values: &[3.0; 6], dimensions: 1 };
        assert_eq!(fit(points, 4, 2, &mut Chance::new(1, 0)).loss, 0.0);
    }

    proptest! {
        #[test]
        fn bounds_save_work_and_change_nothing(
            values in prop::collection::vec(-10.0..10.0_f64, 40..400),
            k in 1..6_usize,
            seed in any::<u64>(),
        ) {
            let points = Points { values: &values[..values.len() / 2 * 2], dimensions: 2 };
            let start = seeds(points, k, &mut Chance::new(seed, 0));
            let expected = plainly(points, start.clone());
            let sizes = means(points, &points.rows().map(|row| nearest(row, &expected).label).collect::<Vec<_>>(), k).1;
            prop_assume!(sizes.iter().all(|size| *size > 0));
            for (got, expected) in settle(points, start).centres.iter().zip(&expected) {
                prop_assert!((got - expected).abs() < 1e-9, "{got} {expected}");
            }
        }
    }
}
