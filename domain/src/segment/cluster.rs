//! Clusters of customers that are few, stable and named.
//!
//! k-means on robustly scaled, mostly logarithmic features. What makes clusters usable is around it: how many there are
//! is decided by what comes out again on other people like these ([`choose`]); the scales and centres are a [`Model`]
//! that is kept, and a [refresh](refresh::refresh) moves people only because they changed themselves; each has a name,
//! a sentence with its numbers, and a shallow tree of rules as explanation ([`tree`]).
//!
//! A person's cluster is the one whose centre is nearest. It depends on the model and the person's own numbers alone.

pub mod choose;
pub mod feature;
mod kmeans;
mod name;
pub mod refresh;
mod scale;
pub mod tree;

use crate::chance::Chance;
use feature::{Feature, People};
use kmeans::Points;
use name::{Profile, capitalised};
use refresh::Baseline;
pub use scale::Scale;
use scale::quantile;
use serde::{Deserialize, Serialize};
use std::fmt;
use tree::{Node, Step};

/// The largest number of clusters.
pub const MAX_CLUSTERS: usize = 8;

/// People per cluster that a fit needs at least: two clusters from twenty people on.
pub const MIN_PEOPLE_PER_CLUSTER: usize = 10;

/// The form in which a [`Model`] is written. A change that older code would misread makes it one more.
pub const FORMAT: u32 = 1;

/// A cluster's number within its model. It is kept over refreshes and never given to another cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub u16);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why there are no clusters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// No features or too many.
    #[error("{features} features, 1 to {MAX} are possible", MAX = feature::MAX_FEATURES)]
    Features {
        /// How many there were.
        features: usize,
    },
    /// Two columns are the same feature.
    #[error("the feature {name:?} is there twice; name each one once")]
    FeatureTwice {
        /// The feature.
        name: String,
    },
    /// No rows.
    #[error("no people to cluster")]
    NoPeople,
    /// The last row is not full.
    #[error("{values} values do not fill rows of {features} features")]
    Ragged {
        /// Values given.
        values: usize,
        /// Values per row.
        features: usize,
    },
    /// A value is NaN or infinite.
    #[error("row {row}: {name} is no finite number; leave the person out or give a number")]
    NotANumber {
        /// The row, from 0.
        row: usize,
        /// The feature.
        name: String,
    },
    /// The numbers are not those that the model was made of.
    #[error("the model was made of {model}; the people have {given}")]
    OtherFeatures {
        /// The model's features.
        model: String,
        /// The people's features.
        given: String,
    },
    /// A stored model cannot be used.
    #[error("stored clusters: {0}; fit them again")]
    Unreadable(String),
}

/// How a model is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The smallest number of clusters to try, at least 2.
    pub least: usize,
    /// The largest, at most [`MAX_CLUSTERS`].
    pub most: usize,
    /// People that centres are fitted to; more are sampled. Means of 20,000 / 8 people are known to 2 % of a spread.
    pub sample: usize,
    /// Tries with other seeds for each number of clusters; the best one counts.
    pub starts: usize,
    /// Draws by which stability is measured. With 20 all of 24 seeds choose the same number of clusters on the CDNOW
    /// sample; with half of them, and fewer tries, 5 of 24 choose another.
    pub resamples: usize,
    /// People per draw at most.
    pub resample_people: usize,
    /// Tries per draw.
    pub resample_starts: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            least: 2,
            most: MAX_CLUSTERS,
            sample: 20_000,
            starts: 8,
            resamples: 20,
            resample_people: 4_000,
            resample_starts: 3,
        }
    }
}

/// One number of clusters that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// How many clusters.
    pub k: usize,
    /// Mean adjusted Rand index with clusters of people drawn anew; 1 is the same each time, 0 is chance.
    pub stability: f64,
    /// How well the cluster that comes back worst does so: mean Jaccard index, 0..=1.
    pub weakest: f64,
    /// How well apart they are: mean simplified silhouette, 0..=1.
    pub silhouette: f64,
    /// The smallest cluster's share of the people.
    pub smallest: f64,
}

impl Candidate {
    /// Whether the whole and every cluster in it come back on other people, and each is large enough to act on.
    pub fn is_sound(&self) -> bool {
        self.stability >= choose::MIN_STABILITY
            && self.weakest >= choose::MIN_JACCARD
            && self.smallest >= choose::MIN_SHARE
    }
}

/// How far a model can be relied on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Every number of clusters that was tried; empty where the people are too few or too equal for more than one.
    pub candidates: Vec<Candidate>,
    /// Share of people for whom the tree of rules says the cluster that they are in.
    pub fidelity: f64,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its number.
    pub id: ClusterId,
    /// Its name for people, different from the others'.
    pub name: String,
    /// One sentence with its numbers.
    pub description: String,
    /// How many people were in it when the model was last counted.
    pub people: usize,
    /// Its centre, one scaled value per feature.
    pub centre: Vec<f64>,
    /// Lower quartile, median and upper quartile per feature, in the feature's unit; zeros for an empty cluster.
    pub quartiles: Vec<[f64; 3]>,
}

/// What puts people into clusters, and what is to be told about them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Model {
    features: Vec<Feature>,
    scales: Vec<Scale>,
    clusters: Vec<Cluster>,
    next_id: u16,
    tree: Node,
    quality: Quality,
    baseline: Baseline,
}

/// A model as it is written.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    format: u32,
    features: Vec<Feature>,
    scales: Vec<Scale>,
    clusters: Vec<Cluster>,
    next_id: u16,
    tree: Node,
    quality: Quality,
    baseline: Baseline,
}

impl From<Model> for Stored {
    fn from(model: Model) -> Stored {
        let Model { features, scales, clusters, next_id, tree, quality, baseline } = model;
        Stored { format: FORMAT, features, scales, clusters, next_id, tree, quality, baseline }
    }
}

impl TryFrom<Stored> for Model {
    type Error = ClusterError;

    fn try_from(stored: Stored) -> Result<Model, ClusterError> {
        let Stored { format, features, scales, clusters, next_id, tree, quality, baseline } = stored;
        let columns = features.len();
        let unreadable = |why: &str| Err(ClusterError::Unreadable(why.to_owned()));
        if format != FORMAT {
            return unreadable(&format!("written in form {format}, this version reads {FORMAT}"));
        }
        if columns == 0 || scales.len() != columns || !scales.iter().all(Scale::is_sound) {
            return unreadable("features and scales do not fit together");
        }
        let sound = |cluster: &Cluster| {
            let finite = cluster.centre.iter().all(|value| value.is_finite());
            cluster.centre.len() == columns && cluster.quartiles.len() == columns && finite && cluster.id.0 < next_id
        };
        if clusters.is_empty() || clusters.len() > MAX_CLUSTERS || !clusters.iter().all(sound) {
            return unreadable("a cluster has no sound centre");
        }
        let twice = |at: usize| clusters[..at].iter().any(|earlier| earlier.id == clusters[at].id);
        if (0..clusters.len()).any(twice) {
            return unreadable("two clusters have the same number");
        }
        if !tree.is_sound(columns) || !baseline.is_sound(columns) {
            return unreadable("the rules do not fit the features");
        }
        Ok(Model { features, scales, clusters, next_id, tree, quality, baseline })
    }
}

/// A model and who is where by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The model.
    pub model: Model,
    /// Each person's cluster, in the order of the rows.
    pub assigned: Vec<ClusterId>,
}

/// Why somebody is where they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The cluster.
    pub cluster: ClusterId,
    /// The conditions of the rule that fits the person.
    pub steps: Vec<Step>,
    /// Whether the rule names the same cluster; where it does not, the sentence says so.
    pub rule_agrees: bool,
    /// One or two sentences.
    pub because: String,
}

/// Looks for clusters. Fewer than 20 people, or people who are all alike, are one cluster.
///
/// The same seed and people give the same clusters, in whatever order the rows are. A million people with six features
/// take about two seconds on one core.
///
/// # Errors
/// None of its own: [`People::new`] has looked at the numbers. `settings` out of range are taken as the nearest that is
/// possible.
pub fn fit(people: &People<'_>, settings: &Settings, seed: u64) -> Fitted {
    let rows = sample(people, settings.sample, seed);
    let scales: Vec<Scale> = people
        .features()
        .iter()
        .enumerate()
        .map(|(column, feature)| Scale::of(rows.iter().map(|row| feature.curved(row[column])).collect()))
        .collect();
    let values = scaled(people.features(), &scales, &rows);
    let points = Points { values: &values, dimensions: scales.len() };
    let most = different(points, MAX_CLUSTERS).min(people.count() / MIN_PEOPLE_PER_CLUSTER);
    let choice = choose::choose(points, most, settings, seed);
    let centres = best_first(people.features(), &choice.fit.centres);
    let ids: Vec<ClusterId> = (1..).take(centres.len()).map(ClusterId).collect();
    let model = Model {
        features: people.features().to_vec(),
        baseline: Baseline::of(&rows, choice.fit.loss),
        scales,
        next_id: ids.len() as u16 + 1,
        clusters: ids.iter().zip(centres).map(|(id, centre)| Cluster::at(*id, centre)).collect(),
        tree: Node::Leaf { cluster: ClusterId(1), people: 0, agree: 0 },
        quality: Quality { candidates: choice.candidates, fidelity: 0.0 },
    };
    let labels = model.labels(people);
    let model = model.retold(people, &labels, &rows);
    let assigned = labels.iter().map(|label| model.clusters[usize::from(*label)].id).collect();
    Fitted { model, assigned }
}

/// Up to so many rows, in an order that does not depend on who comes first in the data: sorted by their values, one
/// drawn from each stretch of equal length.
fn sample<'a>(people: &People<'a>, most: usize, seed: u64) -> Vec<&'a [f64]> {
    let mut order: Vec<u32> = (0..people.count() as u32).collect();
    order.sort_unstable_by(|a, b| {
        let values = people.row(*a as usize).iter().zip(people.row(*b as usize));
        values.map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    let (count, most) = (order.len(), most.max(MAX_CLUSTERS));
    if count <= most {
        return order.into_iter().map(|at| people.row(at as usize)).collect();
    }
    let mut chance = Chance::new(seed, 0);
    let starts = (0..=most).map(|part| part * count / most).collect::<Vec<_>>();
    starts.windows(2).map(|part| people.row(order[part[0] + chance.below(part[1] - part[0])] as usize)).collect()
}

fn scaled(features: &[Feature], scales: &[Scale], rows: &[&[f64]]) -> Vec<f64> {
    let columns = || features.iter().zip(scales);
    rows.iter()
        .flat_map(|row| row.iter().zip(columns()).map(|(value, (feature, scale))| scale.scaled(feature, *value)))
        .collect()
}

/// How many different points there are, counted up to `enough`.
fn different(points: Points<'_>, enough: usize) -> usize {
    let mut seen: Vec<&[f64]> = Vec::new();
    for row in points.rows() {
        if seen.len() < enough && !seen.contains(&row) {
            seen.push(row);
        }
    }
    seen.len()
}

/// The centres, those of the better customers first.
fn best_first(features: &[Feature], centres: &[f64]) -> Vec<Vec<f64>> {
    let mut centres: Vec<Vec<f64>> = centres.chunks_exact(features.len()).map(<[f64]>::to_vec).collect();
    let worth =
        |centre: &[f64]| centre.iter().zip(features).map(|(value, feature)| value * feature.favours()).sum::<f64>();
    let by_values = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
    centres.sort_by(|a, b| {
        let order = worth(b).total_cmp(&worth(a));
        order.then(by_values(a, b).unwrap_or(std::cmp::Ordering::Equal))
    });
    centres
}

impl Cluster {
    fn at(id: ClusterId, centre: Vec<f64>) -> Cluster {
        let quartiles = vec![[0.0; 3]; centre.len()];
        let centre = centre.into_iter().map(scale::as_written).collect();
        Cluster { id, name: String::new(), description: String::new(), people: 0, centre, quartiles }
    }
}

impl Model {
    /// The features, by column.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// How each feature is scaled.
    pub fn scales(&self) -> &[Scale] {
        &self.scales
    }

    /// The clusters; at first the best customers come first, and a refresh keeps the order.
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// The cluster of that number.
    pub fn cluster(&self, id: ClusterId) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.id == id)
    }

    /// The rules that explain the clusters.
    pub fn tree(&self) -> &Node {
        &self.tree
    }

    /// How far the model can be relied on.
    pub fn quality(&self) -> &Quality {
        &self.quality
    }

    /// The candidate that was chosen; `None` for a lone cluster.
    pub fn chosen(&self) -> Option<&Candidate> {
        self.quality.candidates.iter().find(|candidate| candidate.k == self.clusters.len())
    }

    /// Each person's cluster, in the order of the rows.
    ///
    /// # Errors
    /// [`ClusterError::OtherFeatures`] when the columns are not those of the model.
    pub fn assign(&self, people: &People<'_>) -> Result<Vec<ClusterId>, ClusterError> {
        self.accepts(people)?;
        Ok(self.labels(people).into_iter().map(|label| self.clusters[usize::from(label)].id).collect())
    }

    /// Why each of the people is where they are, in the order of the rows.
    ///
    /// # Errors
    /// [`ClusterError::OtherFeatures`] when the columns are not those of the model.
    pub fn explain(&self, people: &People<'_>) -> Result<Vec<Explanation>, ClusterError> {
        let assigned = self.assign(people)?;
        Ok(people.rows().zip(assigned).map(|(row, cluster)| self.explained(row, cluster)).collect())
    }

    fn explained(&self, row: &[f64], cluster: ClusterId) -> Explanation {
        let (by_rule, steps) = self.tree.path(row);
        let told = steps.iter().map(|step| {
            let feature = &self.features[step.feature];
            let limits = match (step.above, step.at_most) {
                (Some(above), Some(at_most)) => format!("> {} and ≤ {}", feature.limit(above), feature.limit(at_most)),
                (Some(above), None) => format!("> {}", feature.limit(above)),
                (None, Some(at_most)) => format!("≤ {}", feature.limit(at_most)),
                (None, None) => String::new(),
            };
            format!("{} ({limits})", feature.tells(row[step.feature]))
        });
        let told = told.collect::<Vec<_>>().join(" and ");
        let rule_agrees = by_rule == cluster;
        let name = |id| self.cluster(id).map_or_else(String::new, |cluster| format!("\"{}\"", cluster.name));
        let because = match (steps.is_empty(), rule_agrees) {
            (true, _) => "There is one answer for all.".to_owned(),
            (false, true) => format!("{}.", capitalised(&told)),
            (false, false) => format!(
                "{}: by the rule that would be {}, but all numbers together are nearest to {}.",
                capitalised(&told),
                name(by_rule),
                name(cluster)
            ),
        };
        Explanation { cluster, steps, rule_agrees, because }
    }

    /// A rule in words: `days since the last order ≤ 45 and orders > 2`; `everybody` for a tree without a question.
    pub fn rule(&self, steps: &[Step]) -> String {
        let told = steps.iter().filter_map(|step| {
            let feature = self.features.get(step.feature)?;
            let name = feature.name();
            Some(match (step.above, step.at_most) {
                (Some(above), Some(at_most)) => {
                    format!("{} < {name} ≤ {}", feature.limit(above), feature.limit(at_most))
                }
                (Some(above), None) => format!("{name} > {}", feature.limit(above)),
                (None, Some(at_most)) => format!("{name} ≤ {}", feature.limit(at_most)),
                (None, None) => name.to_owned(),
            })
        });
        let told = told.collect::<Vec<_>>().join(" and ");
        if told.is_empty() { "everybody".to_owned() } else { told }
    }

    fn accepts(&self, people: &People<'_>) -> Result<(), ClusterError> {
        if people.features() == self.features {
            return Ok(());
        }
        let list = |features: &[Feature]| features.iter().map(Feature::name).collect::<Vec<_>>().join(", ");
        Err(ClusterError::OtherFeatures { model: list(&self.features), given: list(people.features()) })
    }

    /// The centres, one row each.
    fn centres(&self) -> Vec<f64> {
        self.clusters.iter().flat_map(|cluster| cluster.centre.iter().copied()).collect()
    }

    /// Each person's cluster as an index.
    fn labels(&self, people: &People<'_>) -> Vec<u8> {
        labels(&self.features, &self.scales, &self.centres(), people)
    }

    /// The same clusters with sizes, quartiles, sentences and rules of these people. A cluster that has a name keeps it.
    fn retold(mut self, people: &People<'_>, labels: &[u8], rows: &[&[f64]]) -> Model {
        let k = self.clusters.len();
        let mut sizes = vec![0_usize; k];
        labels.iter().for_each(|label| sizes[usize::from(*label)] += 1);
        for (cluster, size) in self.clusters.iter_mut().zip(&sizes) {
            cluster.people = *size;
        }
        for column in 0..self.features.len() {
            let mut values: Vec<Vec<f64>> = sizes.iter().map(|size| Vec::with_capacity(*size)).collect();
            for (row, label) in people.rows().zip(labels) {
                values[usize::from(*label)].push(row[column]);
            }
            for (cluster, mut values) in self.clusters.iter_mut().zip(values) {
                values.sort_unstable_by(f64::total_cmp);
                cluster.quartiles[column] = [0.25, 0.5, 0.75].map(|share| quantile(&values, share));
            }
        }
        for cluster in &mut self.clusters {
            cluster.description = description(&self.features, cluster, people.count());
        }
        if self.clusters.iter().any(|cluster| cluster.name.is_empty()) {
            self.name_all(people.count());
        }
        self.explain_all(people, labels, rows);
        self
    }

    fn name_all(&mut self, people: usize) {
        let mean = |column: usize| {
            let sum = self.clusters.iter().map(|cluster| cluster.centre[column] * cluster.people as f64).sum::<f64>();
            sum / people.max(1) as f64
        };
        let means: Vec<f64> = (0..self.features.len()).map(mean).collect();
        let profile = |cluster: &Cluster| Profile {
            stands_out: cluster.centre.iter().zip(&means).map(|(value, mean)| value - mean).collect(),
            medians: cluster.quartiles.iter().map(|quartiles| quartiles[1]).collect(),
        };
        let profiles: Vec<Profile> = self.clusters.iter().map(profile).collect();
        for (cluster, name) in self.clusters.iter_mut().zip(name::names(&self.features, &profiles)) {
            cluster.name = name;
        }
    }

    /// Grows the rules anew where that explains clearly more people than the rules so far, and counts.
    fn explain_all(&mut self, people: &People<'_>, labels: &[u8], rows: &[&[f64]]) {
        /// New rules for less than one person in a hundred would be change for nothing.
        const WORTH_NEW_RULES: f64 = 0.01;

        let ids: Vec<ClusterId> = self.clusters.iter().map(|cluster| cluster.id).collect();
        let assigned: Vec<ClusterId> = labels.iter().map(|label| ids[usize::from(*label)]).collect();
        let centres = self.centres();
        let values = scaled(&self.features, &self.scales, rows);
        let near = values.chunks_exact(self.features.len()).map(|row| kmeans::nearest(row, &centres).label);
        let mut grown = tree::grow(&self.features, rows, &near.collect::<Vec<_>>(), &ids);
        let fidelity = grown.recount(people.rows(), &assigned);
        self.quality.fidelity = self.tree.recount(people.rows(), &assigned);
        if fidelity > self.quality.fidelity + WORTH_NEW_RULES {
            (self.tree, self.quality.fidelity) = (grown, fidelity);
        }
    }
}

fn labels(features: &[Feature], scales: &[Scale], centres: &[f64], people: &People<'_>) -> Vec<u8> {
    let mut point = vec![0.0; features.len()];
    let label = |row: &[f64]| {
        for (at, (feature, scale)) in features.iter().zip(scales).enumerate() {
            point[at] = scale.scaled(feature, row[at]);
        }
        kmeans::nearest(&point, centres).label as u8
    };
    people.rows().map(label).collect()
}

fn description(features: &[Feature], cluster: &Cluster, people: usize) -> String {
    if cluster.people == 0 {
        return "Nobody at present.".to_owned();
    }
    let share = 100.0 * cluster.people as f64 / people.max(1) as f64;
    let typical = features.iter().zip(&cluster.quartiles).map(|(feature, quartiles)| feature.tells(quartiles[1]));
    let who = if cluster.people == 1 { "1 person".to_owned() } else { format!("{} people", cluster.people) };
    format!("{who} ({share:.0} %), typically {}.", list(typical.collect()))
}

/// `a`, `a and b`, `a, b and c`.
fn list(mut items: Vec<String>) -> String {
    match items.pop() {
        None => String::new(),
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} and {last}", items.join(", ")),
    }
}

#[cfg(test)]
mod tests;
