//! New numbers, the same clusters: ids and scales are kept, centres follow slowly, and a model that no longer fits is
//! not bent but replaced, by proposal and with its reasons.

use super::kmeans::{self, Points};
use super::scale::{as_written, quantile};
use super::{Chance, feature::People};
use super::{ClusterError, ClusterId, Fitted, Model, Settings, fit, labels, sample, scaled};
use crate::event::ProfileId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// People whom moved centres may put elsewhere, at most, in one refresh.
pub const MAX_MOVED_BY_MODEL: f64 = 0.02;

/// From here on a feature's population-stability index says that other people came or all changed. The usual reading:
/// below 0.1 the same, up to 0.25 a shift to watch, above that another population (Lewis 1994, *An Introduction to
/// Credit Scoring*; Yurdakul & Naranjo 2020, "Statistical properties of the population stability index").
pub const SHIFTED: f64 = 0.25;

/// A new model is proposed when people are on average a quarter further from their centres than when it was made …
pub const MAX_LOSS_GROWTH: f64 = 1.25;

/// … or a quarter further than they would be from new centres, as many.
pub const MAX_LOSS_EXCESS: f64 = 1.25;

/// A cluster of fewer people than one in two hundred has dissolved.
pub const MIN_LEFT: f64 = 0.005;

/// How far centres go to where their people are, at most.
const STEP: f64 = 0.5;

/// A new cluster inherits an id only when at least this share of the people in either are in both.
const MIN_OVERLAP: f64 = 0.3;

/// … and when its centre is at most this many spreads from the old one: people who are all new, and only happen to be
/// nearer to an old centre than to the others, are another cluster.
const MAX_SHIFT: f64 = 1.5;

/// A share of nobody counts as one in ten thousand: the index of an empty interval would be infinite.
const FLOOR: f64 = 1e-4;

/// What the people were like when the model was made. It is kept until a new model is taken, so that slow drift adds up
/// instead of being forgotten at each refresh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Baseline {
    /// Mean squared distance to the nearest centre.
    loss: f64,
    features: Vec<Histogram>,
}

/// Shares of people between the deciles of a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Histogram {
    /// Upper limits, inclusive, rising; the last interval has none.
    limits: Vec<f64>,
    shares: Vec<f64>,
}

impl Histogram {
    fn of(mut values: Vec<f64>) -> Histogram {
        values.sort_unstable_by(f64::total_cmp);
        let mut limits: Vec<f64> = (1..10).map(|tenth| quantile(&values, f64::from(tenth) / 10.0)).collect();
        limits.dedup();
        let shares = shares(&limits, values.into_iter());
        Histogram { limits, shares }
    }
}

fn shares(limits: &[f64], values: impl ExactSizeIterator<Item = f64>) -> Vec<f64> {
    let mut shares = vec![0.0; limits.len() + 1];
    let one = 1.0 / values.len().max(1) as f64;
    values.for_each(|value| shares[limits.partition_point(|limit| value > *limit)] += one);
    shares
}

/// The population-stability index: Σ (now − then) · ln(now / then).
fn stability_index(then: &[f64], now: &[f64]) -> f64 {
    let terms = then.iter().zip(now).map(|(then, now)| (then.max(FLOOR), now.max(FLOOR)));
    terms.map(|(then, now)| (now - then) * (now / then).ln()).sum()
}

impl Baseline {
    pub(super) fn of(rows: &[&[f64]], loss: f64) -> Baseline {
        let columns = rows.first().map_or(0, |row| row.len());
        let histogram = |column: usize| Histogram::of(rows.iter().map(|row| row[column]).collect());
        Baseline { loss, features: (0..columns).map(histogram).collect() }
    }

    pub(super) fn is_sound(&self, columns: usize) -> bool {
        self.features.len() == columns
            && self.features.iter().all(|feature| feature.shares.len() == feature.limits.len() + 1)
    }
}

/// Why a new model is proposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// People are further from their centres than when the model was made, by this factor.
    FitsWorse {
        /// Mean squared distance now over then.
        ratio: f64,
    },
    /// New centres, as many, would be much nearer to the people.
    BetterCentres {
        /// Mean squared distance to the old centres over that to new ones.
        ratio: f64,
    },
    /// Hardly anybody is left in a cluster.
    Dissolved {
        /// Which.
        cluster: ClusterId,
        /// How many are in it.
        people: usize,
    },
    /// A feature that was the same for nearly all, and so had no weight, now tells people apart.
    NowTells {
        /// The feature's name.
        feature: String,
    },
    /// The people were too few or too alike for more than one cluster, and are no more.
    Divides {
        /// How many clusters there are now.
        clusters: usize,
    },
}

/// How far a model still fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Each feature's name and population-stability index since the model was made; [`SHIFTED`] says from where on it
    /// is another population. A shift alone is no reason for new clusters: that people moved is what they are to show.
    pub features: Vec<(String, f64)>,
    /// The same index of the clusters' shares of the people since the last refresh.
    pub clusters: f64,
    /// Mean squared distance to the centres now, over that when the model was made.
    pub loss_growth: f64,
    /// Mean squared distance to the centres, over that to as many centres fitted anew; 1 is as good as possible.
    pub loss_excess: f64,
    /// Why a new model is proposed; empty when the old one fits.
    pub reasons: Vec<Reason>,
}

impl Drift {
    /// What drifted, a sentence each; empty when nothing did.
    pub fn told(&self) -> Vec<String> {
        let mut told: Vec<String> = self
            .reasons
            .iter()
            .map(|reason| match reason {
                Reason::FitsWorse { ratio } => {
                    format!("People are {ratio:.2} times as far from their clusters' centres as when they were made (limit {MAX_LOSS_GROWTH}).")
                }
                Reason::BetterCentres { ratio } => {
                    format!("People are {ratio:.2} times as far from the centres as they would be from new ones (limit {MAX_LOSS_EXCESS}).")
                }
                Reason::Dissolved { cluster, people } => format!("Cluster {cluster} has {people} people left."),
                Reason::NowTells { feature } => {
                    format!("When the clusters were made, nearly all had the same {feature}; now they differ.")
                }
                Reason::Divides { clusters } => {
                    format!("There were too few or too equal people for clusters; now there are {clusters}.")
                }
            })
            .collect();
        for (name, index) in self.features.iter().filter(|(_, index)| *index > SHIFTED) {
            told.push(format!(
                "The numbers of {name} have shifted (population-stability index {index:.2}, limit {SHIFTED})."
            ));
        }
        told
    }
}

/// A refreshed model.
#[derive(Clone, Debug, PartialEq)]
pub struct Refreshed {
    /// The model to go on with: the same clusters, counted on the new numbers.
    pub model: Model,
    /// Each person's cluster by it, in the order of the rows.
    pub assigned: Vec<ClusterId>,
    /// How far the centres went to where their people are now, 0 (not at all) to 0.5.
    pub step: f64,
    /// How far the previous model still fits.
    pub drift: Drift,
    /// A new model where it does not fit; it changes nothing until somebody takes it.
    pub proposal: Option<Fitted>,
}

/// Takes a model over to new numbers.
///
/// Ids, names, scales and the number of clusters stay. Centres go half of the way to where their people are now, or a
/// quarter, an eighth or a sixteenth of it, so that this puts at most [`MAX_MOVED_BY_MODEL`] of the people elsewhere;
/// else not at all. Where the model fits badly the centres stay as they are, and a new model is proposed in which a
/// cluster that goes on has its id.
///
/// # Errors
/// [`ClusterError::OtherFeatures`] when the columns are not those of the model.
pub fn refresh(
    previous: &Model,
    people: &People<'_>,
    settings: &Settings,
    seed: u64,
) -> Result<Refreshed, ClusterError> {
    previous.accepts(people)?;
    let rows = sample(people, settings.sample, seed);
    let values = scaled(&previous.features, &previous.scales, &rows);
    let points = Points { values: &values, dimensions: previous.features.len() };
    let before = previous.labels(people);
    let settled = kmeans::settle(points, previous.centres());
    let anew = kmeans::fit(points, previous.clusters.len(), settings.starts, &mut Chance::new(seed, 50));
    let mut drift = drift(previous, points, &rows, &before, anew.loss.min(settled.loss));

    let mut proposal = None;
    if previous.clusters.len() == 1 || !drift.reasons.is_empty() {
        let new = propose(previous, people, settings, seed)?;
        let clusters = new.model.clusters.len();
        if previous.clusters.len() == 1 && clusters > 1 {
            drift.reasons.push(Reason::Divides { clusters });
        }
        proposal = Some(new).filter(|_| !drift.reasons.is_empty());
    }
    if proposal.is_some() {
        let model = previous.clone().retold(people, &before, &rows);
        let assigned = by_id(&model, &before);
        return Ok(Refreshed { model, assigned, step: 0.0, drift, proposal });
    }
    let (step, centres, after) = stepped(previous, people, &before, &settled.centres);
    let mut model = previous.clone();
    for (cluster, centre) in model.clusters.iter_mut().zip(centres.chunks_exact(points.dimensions)) {
        cluster.centre = centre.to_vec();
    }
    let model = model.retold(people, &after, &rows);
    let assigned = by_id(&model, &after);
    Ok(Refreshed { model, assigned, step, drift, proposal: None })
}

fn by_id(model: &Model, labels: &[u8]) -> Vec<ClusterId> {
    labels.iter().map(|label| model.clusters[usize::from(*label)].id).collect()
}

fn drift(previous: &Model, points: Points<'_>, rows: &[&[f64]], labels: &[u8], best: f64) -> Drift {
    let k = previous.clusters.len();
    let centres = previous.centres();
    let count = points.count().max(1) as f64;
    let loss = points.rows().map(|row| kmeans::nearest(row, &centres).distance).sum::<f64>() / count;
    // People who are all alike are at no distance at all, then as now.
    let ratio = |now: f64, then: f64| if now <= 1e-12 { 1.0 } else { now / then.max(1e-12) };
    let (loss_growth, loss_excess) = (ratio(loss, previous.baseline.loss), ratio(loss, best));

    let mut sizes = vec![0_usize; k];
    labels.iter().for_each(|label| sizes[usize::from(*label)] += 1);
    let then_people = previous.clusters.iter().map(|cluster| cluster.people).sum::<usize>().max(1) as f64;
    let then: Vec<f64> = previous.clusters.iter().map(|cluster| cluster.people as f64 / then_people).collect();
    let now: Vec<f64> = sizes.iter().map(|size| *size as f64 / labels.len().max(1) as f64).collect();

    let mut reasons = Vec::new();
    if loss_growth > MAX_LOSS_GROWTH {
        reasons.push(Reason::FitsWorse { ratio: loss_growth });
    }
    if loss_excess > MAX_LOSS_EXCESS {
        reasons.push(Reason::BetterCentres { ratio: loss_excess });
    }
    for ((cluster, share), people) in previous.clusters.iter().zip(&now).zip(&sizes) {
        if *share < MIN_LEFT {
            reasons.push(Reason::Dissolved { cluster: cluster.id, people: *people });
        }
    }
    let columns = previous.features.iter().zip(&previous.baseline.features).enumerate();
    let features = columns.map(|(column, (feature, then))| {
        let now = shares(&then.limits, rows.iter().map(|row| row[column]));
        (feature.name().to_owned(), stability_index(&then.shares, &now))
    });
    let features: Vec<(String, f64)> = features.collect();
    for ((name, index), scale) in features.iter().zip(&previous.scales) {
        if scale.spread == 0.0 && *index > SHIFTED {
            reasons.push(Reason::NowTells { feature: name.clone() });
        }
    }
    Drift { features, clusters: stability_index(&then, &now), loss_growth, loss_excess, reasons }
}

/// Looks for clusters anew, as an owner may ask for at any time: scales and the number of clusters are chosen afresh, and
/// a cluster that goes on has its id.
///
/// # Errors
/// [`ClusterError::OtherFeatures`] when the columns are not those of the model.
pub fn propose(previous: &Model, people: &People<'_>, settings: &Settings, seed: u64) -> Result<Fitted, ClusterError> {
    let by_previous = previous.assign(people)?;
    Ok(with_ids_of(previous, fit(people, settings, seed), &by_previous))
}

/// The longest step of the centres that moves few enough people: its length, the centres, everybody's label.
fn stepped(previous: &Model, people: &People<'_>, before: &[u8], target: &[f64]) -> (f64, Vec<f64>, Vec<u8>) {
    let from = previous.centres();
    let most = (before.len() as f64 * MAX_MOVED_BY_MODEL) as usize;
    for halved in 0..4 {
        let step = STEP / f64::from(1 << halved);
        let centres: Vec<f64> =
            from.iter().zip(target).map(|(from, to)| as_written(from + step * (to - from))).collect();
        let after = labels(&previous.features, &previous.scales, &centres, people);
        if before.iter().zip(&after).filter(|(before, after)| before != after).count() <= most {
            return (step, centres, after);
        }
    }
    (0.0, from, before.to_vec())
}

/// The new model with the ids of the old clusters that go on in it; the others get ids that nobody had.
fn with_ids_of(previous: &Model, new: Fitted, by_previous: &[ClusterId]) -> Fitted {
    let (mut model, assigned) = (new.model, new.assigned);
    let row = |id: &ClusterId| previous.clusters.iter().position(|cluster| cluster.id == *id);
    let (old_k, new_k) = (previous.clusters.len(), model.clusters.len());
    // Ids of a new fit are 1, 2, 3, ….
    let mut table = vec![vec![0_usize; old_k]; new_k];
    for (new, old) in assigned.iter().zip(by_previous) {
        if let Some(old) = row(old) {
            table[usize::from(new.0) - 1][old] += 1;
        }
    }
    let sizes: Vec<usize> = (0..old_k).map(|old| table.iter().map(|row| row[old]).sum()).collect();
    let goes_on = |new: usize, old: usize| {
        let either = table[new].iter().sum::<usize>() + sizes[old] - table[new][old];
        let overlap = table[new][old] as f64 / either.max(1) as f64;
        overlap >= MIN_OVERLAP && shift(previous, old, &model, new) <= MAX_SHIFT
    };
    let mut next_id = previous.next_id;
    let mut ids = Vec::with_capacity(new_k);
    for (new, old) in matched(&table).into_iter().enumerate() {
        let kept = old.filter(|old| goes_on(new, *old)).map(|old| previous.clusters[old].id);
        ids.push(kept.unwrap_or_else(|| {
            next_id += 1;
            ClusterId(next_id - 1)
        }));
    }
    let renumbered = |id: &ClusterId| ids[usize::from(id.0) - 1];
    model.tree.renumber(&renumbered);
    let assigned = assigned.iter().map(renumbered).collect();
    model.clusters.iter_mut().for_each(|cluster| cluster.id = renumbered(&cluster.id));
    model.next_id = next_id;
    Fitted { model, assigned }
}

/// How far a new cluster's centre is from an old one's, in spreads of the old model.
fn shift(previous: &Model, old: usize, model: &Model, new: usize) -> f64 {
    let centres = previous.clusters[old].centre.iter().zip(&model.clusters[new].centre);
    let scales = previous.scales.iter().zip(&model.scales);
    let squared = centres.zip(scales).map(|((old, new), (old_scale, new_scale))| {
        let curved = new * new_scale.spread + new_scale.middle;
        let new = if old_scale.spread > 0.0 { (curved - old_scale.middle) / old_scale.spread } else { 0.0 };
        (new - old).powi(2)
    });
    squared.sum::<f64>().sqrt()
}

/// The pairing of rows with columns, each at most once, in which most people are in both: for each row its column.
///
/// Exact, by dynamic programming over the sets of columns in use: at most 8 rows × 256 sets.
fn matched(table: &[Vec<usize>]) -> Vec<Option<usize>> {
    let columns = table.first().map_or(0, Vec::len);
    // The best pairing of the rows so far for each set of columns in use.
    let mut best: BTreeMap<u32, (usize, Vec<Option<usize>>)> = BTreeMap::from([(0, (0, Vec::new()))]);
    for row in table {
        let mut next: BTreeMap<u32, (usize, Vec<Option<usize>>)> = BTreeMap::new();
        for (used, (people, pairs)) in &best {
            let free = (0..columns).filter(|column| used & (1 << column) == 0).map(Some);
            for column in free.chain([None]) {
                let total = people + column.map_or(0, |column| row[column]);
                let used = used | column.map_or(0, |column| 1 << column);
                if next.get(&used).is_none_or(|(best, _)| total > *best) {
                    let pairs = pairs.iter().copied().chain([column]).collect();
                    next.insert(used, (total, pairs));
                }
            }
        }
        best = next;
    }
    let most =
        best.into_values().fold(
            None,
            |most: Option<(usize, Vec<_>)>, next| {
                if most.as_ref().is_none_or(|most| next.0 > most.0) { Some(next) } else { most }
            },
        );
    most.map_or_else(Vec::new, |(_, pairs)| pairs)
}

/// Who moved between two days, and why: everybody of both days is counted exactly once in the first five.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Movers {
    /// In the same cluster, and either cause alone would have left them there.
    pub stayed: usize,
    /// Elsewhere because their own numbers changed: the old model, too, puts the new numbers there.
    pub own_behaviour: usize,
    /// Elsewhere because the model changed: by the old model they would have stayed.
    pub model: usize,
    /// Elsewhere, and both changed: their own numbers moved them, the model then moved them on.
    pub both: usize,
    /// In the same cluster because the model put them back where their numbers had moved them from.
    pub put_back: usize,
    /// Known on the second day alone.
    pub joined: usize,
    /// Known on the first day alone.
    pub left: usize,
}

impl Movers {
    /// People of both days.
    pub fn people(&self) -> usize {
        self.stayed + self.own_behaviour + self.model + self.both + self.put_back
    }

    /// Share of them whom the new model puts elsewhere than the old one would, for whatever else they did, in 0..=1.
    pub fn share_by_model(&self) -> f64 {
        (self.model + self.both + self.put_back) as f64 / self.people().max(1) as f64
    }

    /// Share of them whose own numbers put them elsewhere, in 0..=1.
    pub fn share_by_own_behaviour(&self) -> f64 {
        (self.own_behaviour + self.both + self.put_back) as f64 / self.people().max(1) as f64
    }
}

/// Splits who moved by reason. `then` is the old model on the old numbers, `now_by_old` the old model on the new
/// numbers, `now` the new model on the new numbers; a person twice in a list counts by the last place.
pub fn movers(
    then: &[(ProfileId, ClusterId)],
    now_by_old: &[(ProfileId, ClusterId)],
    now: &[(ProfileId, ClusterId)],
) -> Movers {
    let then: BTreeMap<_, _> = then.iter().copied().collect();
    let now_by_old: BTreeMap<_, _> = now_by_old.iter().copied().collect();
    let now: BTreeMap<_, _> = now.iter().copied().collect();
    let mut movers =
        Movers { left: then.keys().filter(|person| !now.contains_key(person)).count(), ..Movers::default() };
    for (person, new) in &now {
        let Some(old) = then.get(person) else {
            movers.joined += 1;
            continue;
        };
        // Somebody whom the old model was not asked about counts as where the new one has them.
        let between = now_by_old.get(person).unwrap_or(new);
        let count = match (old == between, between == new, old == new) {
            (true, true, _) => &mut movers.stayed,
            (false, true, _) => &mut movers.own_behaviour,
            (true, false, _) => &mut movers.model,
            (false, false, true) => &mut movers.put_back,
            (false, false, false) => &mut movers.both,
        };
        *count += 1;
    }
    movers
}
