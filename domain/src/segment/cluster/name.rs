//! Names from what sets a cluster apart: "Big, recent, frequent".

use super::feature::Feature;

/// Two fifths of a spread from the mean of all are worth a word, one and a quarter is "very".
const MUCH: f64 = 0.4;
const VERY_MUCH: f64 = 1.25;

/// Words in a name, so that it fits a button.
const MAX_WORDS: usize = 3;

/// What a name is made of.
pub(super) struct Profile {
    /// Each feature's mean in the cluster minus its mean over all, in spreads.
    pub(super) stands_out: Vec<f64>,
    /// Each feature's median in the cluster, in its own unit.
    pub(super) medians: Vec<f64>,
}

/// A name for each cluster, all different. A lone cluster is everybody.
pub(super) fn names(features: &[Feature], clusters: &[Profile]) -> Vec<String> {
    if clusters.len() < 2 {
        return vec!["Everybody".to_owned(); clusters.len()];
    }
    let mut names: Vec<String> = clusters.iter().map(|cluster| name(features, cluster)).collect();
    let taken = names.clone();
    for (at, name) in names.iter_mut().enumerate() {
        let same: Vec<usize> = (0..taken.len()).filter(|other| taken[*other] == taken[at]).collect();
        if same.len() < 2 {
            continue;
        }
        // Namesakes tell themselves apart by the number in which they differ most.
        let gap = |column: usize| {
            let values = same.iter().map(|other| clusters[*other].stands_out[column]);
            let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
            high - low
        };
        let widest = (0..features.len()).fold(0, |best, column| if gap(column) > gap(best) { column } else { best });
        *name = format!("{name} ({})", features[widest].tells(clusters[at].medians[widest]));
    }
    // Medians may round to the same text; a number is always different.
    for at in 1..names.len() {
        let earlier = names[..at].iter().filter(|name| **name == names[at]).count();
        if earlier > 0 {
            names[at] = format!("{} · {}", names[at], at + 1);
        }
    }
    names
}

fn name(features: &[Feature], cluster: &Profile) -> String {
    let mut told: Vec<usize> = (0..features.len()).filter(|at| cluster.stands_out[*at].abs() >= MUCH).collect();
    told.sort_by(|a, b| cluster.stands_out[*b].abs().total_cmp(&cluster.stands_out[*a].abs()));
    told.truncate(MAX_WORDS);
    told.sort_by_key(|at| (features[*at].place(), *at));
    let words = told.into_iter().map(|at| {
        let much = cluster.stands_out[at];
        let one_order = features[at] == Feature::Orders && cluster.medians[at] <= 1.0;
        let level = match (much > 0.0, much.abs() >= VERY_MUCH) {
            (true, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (false, true) => 3,
        };
        if one_order { "one order".to_owned() } else { features[at].words()[level].clone() }
    });
    let text = words.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "Average".to_owned() } else { capitalised(&text) }
}

pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
