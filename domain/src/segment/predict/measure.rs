//! How good predictions of counts are: four columns that a shop would ask for.

use serde::{Deserialize, Serialize};

/// Predictions beside what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// All predicted orders over all actual ones, less 1: −0.115 says 11.5 % too few.
    pub total_error: f64,
    /// Mean absolute error in orders per person. Where most people order nothing, low predictions look good here.
    pub mae: f64,
    /// Spearman's rank correlation; ties share a rank.
    pub spearman: f64,
    /// The share of all actual orders that the tenth of people with the highest predictions made. Of people tied at the
    /// border as many count as there is room for, with their mean.
    pub top_decile: f64,
}

impl Measures {
    /// The measures of predictions and actual numbers in the same order of people; nought where there is nobody.
    pub fn of(predicted: &[f64], actual: &[f64]) -> Measures {
        Measures::with_ranks(predicted, actual, &ranks(actual))
    }

    /// The same, with the actual numbers' ranks.
    pub(super) fn with_ranks(predicted: &[f64], actual: &[f64], actual_ranks: &[f64]) -> Measures {
        let people = predicted.len().min(actual.len());
        if people == 0 {
            return Measures::default();
        }
        let (sum_predicted, sum_actual) = (predicted.iter().sum::<f64>(), actual.iter().sum::<f64>());
        let off: f64 = predicted.iter().zip(actual).map(|(p, a)| (p - a).abs()).sum();
        Measures {
            total_error: sum_predicted / sum_actual.max(1.0) - 1.0,
            mae: off / people as f64,
            spearman: correlation(&ranks(predicted), actual_ranks),
            top_decile: top_decile(predicted, actual) / sum_actual.max(1.0),
        }
    }
}

/// The place of each value, from 0; equal values share the middle of their places.
pub(super) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    for (place, tied) in places(order.chunk_by(|a, b| values[*a] == values[*b])) {
        for at in tied {
            ranks[*at] = place + (tied.len() as f64 - 1.0) / 2.0;
        }
    }
    ranks
}

/// Each group with how many come before it.
fn places<'a>(groups: impl Iterator<Item = &'a [usize]>) -> impl Iterator<Item = (f64, &'a [usize])> {
    groups.scan(0.0, |before, group| {
        let place = *before;
        *before += group.len() as f64;
        Some((place, group))
    })
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let people = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / people, b.iter().sum::<f64>() / people);
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        both += (a - mean_a) * (b - mean_b);
        of_a += (a - mean_a).powi(2);
        of_b += (b - mean_b).powi(2);
    }
    // Without any difference there is nothing to be related.
    if of_a > 0.0 && of_b > 0.0 { both / (of_a * of_b).sqrt() } else { 0.0 }
}

fn top_decile(predicted: &[f64], actual: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..predicted.len()).collect();
    order.sort_unstable_by(|a, b| predicted[*b].total_cmp(&predicted[*a]));
    let room = (predicted.len() as f64 / 10.0).round().max(1.0);
    let mut sum = 0.0;
    for (place, tied) in places(order.chunk_by(|a, b| predicted[*a] == predicted[*b])) {
        if place >= room {
            break;
        }
        let orders: f64 = tied.iter().map(|at| actual[*at]).sum();
        sum += orders * ((room - place) / tied.len() as f64).min(1.0);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfect_predictions_have_perfect_measures() {
        let actual: Vec<f64> = (0..20).map(f64::from).collect();
        let measures = Measures::of(&actual, &actual);
        assert_eq!((measures.total_error, measures.mae, measures.spearman), (0.0, 0.0, 1.0));
        assert_eq!(measures.top_decile, 37.0 / 190.0);
        let reverse: Vec<f64> = actual.iter().map(|a| -a).collect();
        assert!((Measures::of(&reverse, &actual).spearman + 1.0).abs() < 1e-12);
    }

    #[test]
    fn ties_share_a_rank_and_the_last_places_in_the_top() {
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 3.0]), [2.5, 0.0, 2.5, 1.0]);
        // Everybody is tied: the top tenth holds a tenth.
        let actual: Vec<f64> = (0..30).map(f64::from).collect();
        assert!((Measures::of(&[1.0; 30], &actual).top_decile - 0.1).abs() < 1e-12);
        assert_eq!(Measures::of(&[1.0; 30], &actual).spearman, 0.0);
    }

    #[test]
    fn nobody_and_nothing_have_measures_too() {
        assert_eq!(Measures::of(&[], &[]), Measures::default());
        assert_eq!(Measures::of(&[0.0], &[0.0]).total_error, -1.0);
    }
}
