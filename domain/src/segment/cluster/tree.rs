//! A shallow tree of rules that says nearly the same as the clusters, in the features' own units.
//!
//! Distances to centres cannot be told to anybody; "last order within 45 days and more than 2 orders" can. The tree is
//! a classification tree with the Gini index (Breiman, Friedman, Olshen & Stone 1984, *CART*, ch. 4) over thresholds of
//! two significant digits. Who is where is decided by the centres alone: the tree explains, and its
//! **fidelity**, the share of people for whom both agree, is told with it.

use super::ClusterId;
use super::feature::Feature;
use super::scale::quantile;
use serde::{Deserialize, Serialize};

/// Questions until an answer; more than three nobody keeps in mind.
pub const MAX_DEPTH: usize = 3;

/// Thresholds tried per feature.
const MAX_THRESHOLDS: usize = 96;

/// A rule for fewer than one in two hundred people explains nothing.
const MIN_LEAF_SHARE: f64 = 0.005;

/// A place in the tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// A question.
    Split {
        /// The feature's column.
        feature: usize,
        /// The largest value, in the feature's unit, with which one goes to `below`.
        at_most: f64,
        /// Those with at most that.
        below: Box<Node>,
        /// Those with more.
        above: Box<Node>,
    },
    /// An answer.
    Leaf {
        /// The cluster of most people here.
        cluster: ClusterId,
        /// How many people came here when the tree was last counted.
        people: usize,
        /// How many of them are in that cluster.
        agree: usize,
    },
}

/// One condition that a person meets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The feature's column.
    pub feature: usize,
    /// More than this.
    pub above: Option<f64>,
    /// At most this.
    pub at_most: Option<f64>,
}

impl Node {
    /// The answer for a person, and the conditions met on the way, one for each feature in the order they were asked.
    pub fn path(&self, row: &[f64]) -> (ClusterId, Vec<Step>) {
        let mut node = self;
        let mut steps = Vec::new();
        loop {
            match node {
                Node::Leaf { cluster, .. } => return (*cluster, steps),
                Node::Split { feature, at_most, below, above } => {
                    let goes_below = row.get(*feature).is_some_and(|value| value <= at_most);
                    narrow(&mut steps, *feature, *at_most, goes_below);
                    node = if goes_below { below } else { above };
                }
            }
        }
    }

    /// Every answer with its conditions, the way down on the left first.
    pub fn rules(&self) -> Vec<(Vec<Step>, ClusterId, usize, usize)> {
        let mut rules = Vec::new();
        self.collect(&[], &mut rules);
        rules
    }

    fn collect(&self, steps: &[Step], rules: &mut Vec<(Vec<Step>, ClusterId, usize, usize)>) {
        match self {
            Node::Leaf { cluster, people, agree } => rules.push((steps.to_vec(), *cluster, *people, *agree)),
            Node::Split { feature, at_most, below, above } => {
                for (node, goes_below) in [(below, true), (above, false)] {
                    let mut steps = steps.to_vec();
                    narrow(&mut steps, *feature, *at_most, goes_below);
                    node.collect(&steps, rules);
                }
            }
        }
    }

    /// Counts the people anew. Returns the fidelity.
    pub(super) fn recount<'a>(&mut self, rows: impl Iterator<Item = &'a [f64]>, clusters: &[ClusterId]) -> f64 {
        self.clear();
        let mut agreed = 0;
        for (row, cluster) in rows.zip(clusters) {
            agreed += usize::from(self.count(row, *cluster));
        }
        agreed as f64 / clusters.len().max(1) as f64
    }

    fn clear(&mut self) {
        match self {
            Node::Leaf { people, agree, .. } => (*people, *agree) = (0, 0),
            Node::Split { below, above, .. } => {
                below.clear();
                above.clear();
            }
        }
    }

    fn count(&mut self, row: &[f64], is_in: ClusterId) -> bool {
        match self {
            Node::Leaf { cluster, people, agree } => {
                let agrees = *cluster == is_in;
                *people += 1;
                *agree += usize::from(agrees);
                agrees
            }
            Node::Split { feature, at_most, below, above } => {
                let goes_below = row.get(*feature).is_some_and(|value| *value <= *at_most);
                if goes_below { below.count(row, is_in) } else { above.count(row, is_in) }
            }
        }
    }

    /// Gives the answers' clusters other numbers.
    pub(super) fn renumber(&mut self, renumbered: &impl Fn(&ClusterId) -> ClusterId) {
        match self {
            Node::Leaf { cluster, .. } => *cluster = renumbered(cluster),
            Node::Split { below, above, .. } => {
                below.renumber(renumbered);
                above.renumber(renumbered);
            }
        }
    }

    /// Whether no question is deeper than [`MAX_DEPTH`] and all ask for a feature that there is.
    pub(super) fn is_sound(&self, features: usize) -> bool {
        fn within(node: &Node, features: usize, left: usize) -> bool {
            match node {
                Node::Leaf { .. } => true,
                Node::Split { feature, at_most, below, above } => {
                    left > 0
                        && *feature < features
                        && at_most.is_finite()
                        && within(below, features, left - 1)
                        && within(above, features, left - 1)
                }
            }
        }
        within(self, features, MAX_DEPTH)
    }
}

fn narrow(steps: &mut Vec<Step>, feature: usize, limit: f64, goes_below: bool) {
    let at = steps.iter().position(|step| step.feature == feature).unwrap_or_else(|| {
        steps.push(Step { feature, above: None, at_most: None });
        steps.len() - 1
    });
    // A question further down is always the narrower one.
    if goes_below { steps[at].at_most = Some(limit) } else { steps[at].above = Some(limit) }
}

/// The people of one node: for each feature and threshold interval, how many of each label.
struct Grower<'a> {
    thresholds: Vec<Vec<f64>>,
    /// For each row and feature, the first threshold that its value is not above.
    intervals: Vec<u8>,
    labels: &'a [usize],
    k: usize,
    min_leaf: usize,
}

/// The tree for rows with the label of each, an index into `ids`.
pub(super) fn grow(features: &[Feature], rows: &[&[f64]], labels: &[usize], ids: &[ClusterId]) -> Node {
    let thresholds: Vec<Vec<f64>> = features
        .iter()
        .enumerate()
        .map(|(column, feature)| thresholds(feature, rows.iter().map(|row| row[column]).collect()))
        .collect();
    let mut intervals = Vec::with_capacity(rows.len() * features.len());
    for row in rows {
        for (value, thresholds) in row.iter().zip(&thresholds) {
            intervals.push(thresholds.partition_point(|threshold| value > threshold) as u8);
        }
    }
    let min_leaf = ((rows.len() as f64 * MIN_LEAF_SHARE) as usize).max(1);
    let grower = Grower { thresholds, intervals, labels, k: ids.len(), min_leaf };
    grower.node((0..rows.len()).collect(), MAX_DEPTH, ids)
}

fn thresholds(feature: &Feature, mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let quantiles = (1..MAX_THRESHOLDS).map(|at| quantile(&values, at as f64 / MAX_THRESHOLDS as f64));
    let mut thresholds: Vec<f64> = quantiles.map(|value| feature.rounded(value)).collect();
    thresholds.sort_unstable_by(f64::total_cmp);
    thresholds.dedup();
    thresholds
}

impl Grower<'_> {
    fn node(&self, rows: Vec<usize>, depth: usize, ids: &[ClusterId]) -> Node {
        let mut counts = vec![0_usize; self.k];
        for row in &rows {
            counts[self.labels[*row]] += 1;
        }
        let best = (0..self.k).fold(0, |best, label| if counts[label] > counts[best] { label } else { best });
        let leaf = Node::Leaf { cluster: ids[best], people: rows.len(), agree: counts[best] };
        if depth == 0 || counts[best] == rows.len() {
            return leaf;
        }
        let Some((feature, threshold)) = self.best_split(&rows, &counts) else { return leaf };
        let columns = self.thresholds.len();
        let (below, above) =
            rows.into_iter().partition(|row| usize::from(self.intervals[row * columns + feature]) <= threshold);
        let (below, above) = (self.node(below, depth - 1, ids), self.node(above, depth - 1, ids));
        match (&below, &above) {
            // Two equal answers need no question.
            (
                Node::Leaf { cluster, people, agree },
                Node::Leaf { cluster: other, people: more_people, agree: more_agree },
            ) if cluster == other => {
                Node::Leaf { cluster: *cluster, people: people + more_people, agree: agree + more_agree }
            }
            _ => Node::Split {
                feature,
                at_most: self.thresholds[feature][threshold],
                below: Box::new(below),
                above: Box::new(above),
            },
        }
    }

    /// The feature and threshold that leave the least Gini impurity; the first of equal ones.
    fn best_split(&self, rows: &[usize], counts: &[usize]) -> Option<(usize, usize)> {
        let columns = self.thresholds.len();
        // n · (1 − impurity): the sum of squared counts over the count.
        let purity = |counts: &[usize]| {
            let count: usize = counts.iter().sum();
            counts.iter().map(|count| (count * count) as f64).sum::<f64>() / count.max(1) as f64
        };
        let mut best = (purity(counts) * (1.0 + 1e-9), None);
        for (feature, thresholds) in self.thresholds.iter().enumerate() {
            let mut table = vec![0_usize; (thresholds.len() + 1) * self.k];
            for row in rows {
                let interval = usize::from(self.intervals[row * columns + feature]);
                table[interval * self.k + self.labels[*row]] += 1;
            }
            let mut below = vec![0; self.k];
            for (threshold, interval) in table.chunks_exact(self.k).take(thresholds.len()).enumerate() {
                below.iter_mut().zip(interval).for_each(|(sum, count)| *sum += count);
                let above: Vec<usize> = counts.iter().zip(&below).map(|(all, below)| all - below).collect();
                let smaller = below.iter().sum::<usize>().min(above.iter().sum());
                let split = purity(&below) + purity(&above);
                if smaller >= self.min_leaf && split > best.0 {
                    best = (split, Some((feature, threshold)));
                }
            }
        }
        best.1
    }
}
