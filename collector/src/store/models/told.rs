//! What a site's models say, for people: of all buyers together, in sums that are kept with the models, and of one.

use super::people::{self, Clustered};
use super::{Kind, Store};
use crate::store::segments::{Segment, read_segments};
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Float, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz};
use domain::money::Money;
use domain::report::{
    AliveBand, ClusterProposal, ClusterRow, ClusterRule, Clusters, MadeOf, Outlook, Predictions, Proposed, Scored,
    VisitsOutlook,
};
use domain::segment::cluster::{Cluster, ClusterId, Model};
use domain::segment::library::Theme;
use domain::segment::predict::{Basis, Chosen, HORIZON_DAYS, Method, Prediction, Summary, Total, Trial};
use domain::segment::rule::{Clause, Fact, FactClause, Rule, Scalar, Test};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// What is expected of all buyers within one horizon.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Expected {
    days: u32,
    /// Orders, and the ends of their 80 % interval.
    orders: f64,
    low: f64,
    high: f64,
    /// In minor units of the site's currency.
    spend: f64,
}

impl Expected {
    /// The orders alone, where it is of this horizon.
    pub(super) fn total_of(&self, days: u32) -> Option<Total> {
        (self.days == days).then_some(Total { orders: self.orders, low: self.low, high: self.high })
    }
}

/// What is expected of all buyers within each horizon.
pub(super) fn ahead(chosen: &Chosen, summaries: &[Summary], predictions: &[Prediction]) -> Vec<Expected> {
    let within = |(horizon, days): (usize, u32)| {
        let Total { orders, low, high } = chosen.total(summaries, days);
        // What visits say of each person moves the sum of all, and its range with it.
        let each = || predictions.iter().map(|prediction| prediction.ahead[horizon].orders).sum::<f64>();
        let moved = if chosen.behaviour.is_some() && orders > 0.0 { each() / orders } else { 1.0 };
        let (orders, low, high) = (orders * moved, low * moved, high * moved);
        let spend = predictions.iter().map(|prediction| prediction.ahead[horizon].spend).sum();
        Expected { days, orders, low, high, spend }
    };
    (0..).zip(HORIZON_DAYS).map(within).collect()
}

/// Sums over the buyers of one cluster, or of none, whose probability of still being a customer lies in one tenth.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Sum {
    cluster: Option<ClusterId>,
    /// From so many tenths on; 9 has 1, too.
    tenth: u8,
    people: u64,
    /// Of their probabilities.
    alive: f64,
    /// Orders within 90 days.
    orders: f64,
    /// Spend within 365 days, in minor units of the site's currency.
    spend: f64,
}

/// The sums over all buyers, whose clusters stand in the same order. A page of a million buyers would be slow if it made
/// them itself: adding up the scores took 0.6 s.
pub(super) fn sums(predictions: &[Prediction], clusters: Option<&[ClusterId]>) -> Vec<Sum> {
    let mut sums: BTreeMap<(Option<ClusterId>, u8), Sum> = BTreeMap::new();
    for (place, prediction) in predictions.iter().enumerate() {
        let cluster = clusters.and_then(|clusters| clusters.get(place)).copied();
        let tenth = (prediction.p_alive * 10.0).floor().clamp(0.0, 9.0) as u8;
        let empty = Sum { cluster, tenth, people: 0, alive: 0.0, orders: 0.0, spend: 0.0 };
        let sum = sums.entry((cluster, tenth)).or_insert(empty);
        sum.people += 1;
        sum.alive += prediction.p_alive;
        sum.orders += prediction.ahead[1].orders;
        sum.spend += prediction.ahead[2].spend;
    }
    sums.into_values().collect()
}

/// How a site is predicted, as far as it is told: what `people` has written, read back.
#[derive(Deserialize)]
struct Told {
    method: String,
    buyers: u64,
    ahead: Vec<Expected>,
    sums: Vec<Sum>,
    chosen: ToldChosen,
    #[serde(default)]
    visits: Option<ToldVisits>,
}

#[derive(Deserialize)]
struct ToldVisits {
    visitors: u64,
    expected_to_return: f64,
    expected_to_sign_up: f64,
}

#[derive(Deserialize)]
struct ToldChosen {
    method: Method,
    basis: Basis,
    level_error: f64,
    #[serde(default)]
    trials: Vec<Trial>,
}

#[derive(QueryableByName)]
struct NewestRow {
    #[diesel(sql_type = Jsonb)]
    model: Value,
    #[diesel(sql_type = Timestamptz)]
    made_at: PgTimestamp,
}

#[derive(QueryableByName)]
struct DueRow {
    #[diesel(sql_type = Bool)]
    due: bool,
}

#[derive(QueryableByName)]
struct BuyersRow {
    #[diesel(sql_type = BigInt)]
    buyers: i64,
}

#[derive(QueryableByName)]
struct SizeRow {
    #[diesel(sql_type = Integer)]
    segment_id: i32,
    #[diesel(sql_type = BigInt)]
    people: i64,
}

/// The ready segments that are made of what is expected of visitors.
const VISITS_SEGMENTS: [&str; 3] = ["sign-up-likely", "sign-up-likely-back", "sign-up-unlikely-back"];

#[derive(QueryableByName)]
struct ScoredRow {
    #[diesel(sql_type = Nullable<Float>)]
    probability_of_return: Option<f32>,
    #[diesel(sql_type = Nullable<Float>)]
    probability_of_sign_up: Option<f32>,
    #[diesel(sql_type = Nullable<Float>)]
    probability_alive: Option<f32>,
    #[diesel(sql_type = Nullable<Float>)]
    expected_orders: Option<f32>,
    #[diesel(sql_type = Nullable<Float>)]
    expected_revenue: Option<f32>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    next_order_at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    cluster: Option<i16>,
}

impl Store {
    /// What the models say of all buyers of a site.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn predictions(&self, site: &Site, now: Timestamp) -> Result<Predictions, StoreError> {
        self.read(|connection| {
            let told: Option<(Told, Timestamp)> = newest(connection, site.site_id, Kind::Predictions)?;
            let clustered: Option<(Clustered, Timestamp)> = newest(connection, site.site_id, Kind::Clusters)?;
            let segments = read_segments(connection, site.site_id)?;
            let mut report = Predictions {
                site: crate::segments::report_site(site),
                now,
                buyers: 0,
                is_due: is_due(connection, site.site_id)?,
                outlook: None,
                clusters: None,
                visits: None,
            };
            if let Some((ToldVisits { visitors, expected_to_return, expected_to_sign_up }, made_at)) =
                told.as_ref().and_then(|(told, made_at)| Some((told.visits.as_ref()?, *made_at)))
                && *visitors > 0
            {
                report.visits = Some(VisitsOutlook {
                    made_at,
                    visitors: *visitors,
                    to_return: *expected_to_return,
                    to_sign_up: *expected_to_sign_up,
                    made_of: made_of(connection, site.site_id, &segments, |segment| {
                        segment.from_library && VISITS_SEGMENTS.contains(&segment.key.as_str())
                    })?,
                });
            }
            match told.filter(|(told, _)| told.buyers > 0) {
                Some((told, made_at)) => {
                    report.buyers = told.buyers;
                    let of_each = |(known, _): (Clustered, _)| clusters(&report.site, &known, &told.sums, &segments);
                    report.clusters = clustered.map(of_each);
                    let made_of = made_of(connection, site.site_id, &segments, |segment| {
                        crate::store::reports::theme(segment) == Some(Theme::Predictive)
                    })?;
                    report.outlook = Some(outlook(&report.site, told, made_at, made_of));
                }
                // Clusters without predictions are those of buyers who are no more.
                None => report.buyers = buyers(connection, site.site_id)?,
            }
            Ok(report)
        })
    }

    /// Whether a site's models are about to be made, for the first time or anew.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn models_are_due(&self, site: &Site) -> Result<bool, StoreError> {
        self.read(|connection| is_due(connection, site.site_id))
    }
}

/// What the models say of one person; `None` where they say nothing.
pub(crate) fn read_scored(
    connection: &mut PgConnection,
    site: &Site,
    profile_id: i64,
) -> Result<Option<Scored>, StoreError> {
    let row: Option<ScoredRow> = sql(
        "SELECT probability_of_return, probability_of_sign_up, probability_alive, expected_orders, expected_revenue,
                next_order_at, cluster
         FROM segment_scores WHERE site_id = $1 AND profile_id = $2",
    )
    .bind::<Integer, _>(site.site_id)
    .bind::<BigInt, _>(profile_id)
    .get_result(connection)
    .optional()?;
    let Some(row) = row else { return Ok(None) };
    let cluster = match row.cluster.and_then(id_of) {
        // While new clusters are being filled somebody can still be in one that is no more.
        Some(id) => people::read_clusters(connection, site.site_id)?
            .and_then(|known| known.model.cluster(id).map(|cluster| (id, cluster.name.clone()))),
        None => None,
    };
    let scored = Scored {
        probability_of_return: row.probability_of_return.map(f64::from),
        probability_of_sign_up: row.probability_of_sign_up.map(f64::from),
        probability_alive: row.probability_alive.map(f64::from),
        orders: row.expected_orders.map(f64::from),
        revenue: row.expected_revenue.map(|major| money(site, f64::from(major))),
        next_order_at: row.next_order_at.map(from_timestamp),
        cluster,
    };
    let is_told = scored.probability_alive.is_some()
        || scored.cluster.is_some()
        || scored.probability_of_return.is_some()
        || scored.probability_of_sign_up.is_some();
    Ok(is_told.then_some(scored))
}

/// The newest version of a model and when it was made; nothing where this version of ours cannot read it.
fn newest<T: serde::de::DeserializeOwned>(
    connection: &mut PgConnection,
    site_id: i32,
    kind: Kind,
) -> Result<Option<(T, Timestamp)>, StoreError> {
    let row: Option<NewestRow> = sql("SELECT model, made_at FROM segment_models
         WHERE site_id = $1 AND kind = $2 ORDER BY version DESC LIMIT 1")
    .bind::<Integer, _>(site_id)
    .bind::<Text, _>(kind.key().to_owned())
    .get_result(connection)
    .optional()?;
    Ok(row.and_then(|row| Some((serde_json::from_value(row.model).ok()?, from_timestamp(row.made_at)))))
}

/// Whether there is somebody to make models of, and nobody has made them since that was asked for.
fn is_due(connection: &mut PgConnection, site_id: i32) -> Result<bool, StoreError> {
    // That they are to be made anew is written as the beginning of time.
    let row: DueRow = sql("SELECT COALESCE((SELECT max(made_at) FROM segment_models WHERE site_id = $1 AND kind = $2),
                to_timestamp(0)) = to_timestamp(0)
            AND EXISTS (SELECT FROM profiles WHERE site_id = $3 AND orders > 0) AS due")
    .bind::<Integer, _>(site_id)
    .bind::<Text, _>(Kind::Values.key().to_owned())
    .bind::<Integer, _>(site_id)
    .get_result(connection)?;
    Ok(row.due)
}

fn buyers(connection: &mut PgConnection, site_id: i32) -> Result<u64, StoreError> {
    let row: BuyersRow = sql("SELECT count(*) AS buyers FROM profiles WHERE site_id = $1 AND orders > 0")
        .bind::<Integer, _>(site_id)
        .get_result(connection)?;
    Ok(count(row.buyers))
}

/// The site's segments that are made of predictions, as long as they are as they came, with how many people they have.
fn made_of(
    connection: &mut PgConnection,
    site_id: i32,
    segments: &[Segment],
    of_models: impl Fn(&Segment) -> bool,
) -> Result<Vec<MadeOf>, StoreError> {
    let segments: Vec<&Segment> = segments.iter().filter(|segment| of_models(segment)).collect();
    // One row per segment with people.
    let sizes: Vec<SizeRow> = sql("SELECT segment_id, count(*) AS people FROM segment_members
         WHERE site_id = $1 AND segment_id = ANY($2) GROUP BY segment_id")
    .bind::<Integer, _>(site_id)
    .bind::<Array<Integer>, _>(segments.iter().map(|segment| segment.segment_id).collect::<Vec<_>>())
    .load(connection)?;
    let sizes: HashMap<i32, u64> = sizes.into_iter().map(|row| (row.segment_id, count(row.people))).collect();
    let told = |segment: &Segment| MadeOf {
        key: segment.key.clone(),
        name: segment.name.clone(),
        description: segment.description.clone(),
        people: sizes.get(&segment.segment_id).copied().unwrap_or(0),
    };
    Ok(segments.into_iter().map(told).collect())
}

fn outlook(site: &domain::report::Site, told: Told, made_at: Timestamp, made_of: Vec<MadeOf>) -> Outlook {
    let Told { method: name, ahead, sums, chosen, buyers: _, visits: _ } = told;
    let ahead = ahead.into_iter().map(|Expected { days, orders, low, high, spend }| domain::report::Expected {
        days,
        orders,
        low,
        high,
        revenue: site.money(spend.round() as i64),
    });
    let bands = (0..10_u8).rev().map(|tenth| {
        let in_it = || sums.iter().filter(|sum| sum.tenth == tenth);
        AliveBand {
            from: tenth * 10,
            to: tenth * 10 + 10,
            people: in_it().map(|sum| sum.people).sum(),
            orders: in_it().map(|sum| sum.orders).sum(),
        }
    });
    Outlook {
        made_at,
        ahead: ahead.collect(),
        alive: sums.iter().map(|sum| sum.alive).sum(),
        bands: bands.collect(),
        made_of,
        name,
        method: chosen.method,
        basis: chosen.basis,
        level_error: chosen.level_error,
        trials: chosen.trials,
    }
}

fn clusters(site: &domain::report::Site, clustered: &Clustered, sums: &[Sum], segments: &[Segment]) -> Clusters {
    let model = &clustered.model;
    let row = |cluster: &Cluster| {
        let in_it = || sums.iter().filter(|sum| sum.cluster == Some(cluster.id));
        let asks = Rule::new(Clause::Fact(FactClause {
            name: Fact::Cluster,
            is: Test::Is(Scalar::Number(f64::from(cluster.id.0))),
        }));
        let segment = segments.iter().find(|segment| segment.rule() == Some(&asks));
        ClusterRow {
            id: cluster.id,
            name: cluster.name.clone(),
            people: in_it().map(|sum| sum.people).sum(),
            quartiles: cluster.quartiles.clone(),
            revenue: site.money(in_it().map(|sum| sum.spend).sum::<f64>().round() as i64),
            says: asks.to_string(),
            segment: segment.map(|segment| segment.key.clone()),
        }
    };
    let rules = model.tree().rules().into_iter().map(|(steps, cluster, people, agree)| ClusterRule {
        cluster,
        says: model.rule(&steps),
        people: people as u64,
        agree: agree as u64,
    });
    Clusters {
        features: model.features().to_vec(),
        rows: model.clusters().iter().map(row).collect(),
        rules: rules.collect(),
        fidelity: model.quality().fidelity,
        stability: model.chosen().map(|chosen| chosen.stability),
        drift: clustered.drift.clone(),
        proposal: clustered.proposal.as_ref().map(|new| proposal(model, new, clustered.proposal_moves)),
    }
}

fn proposal(known: &Model, new: &Model, moved: Option<u64>) -> ClusterProposal {
    let rows = new.clusters().iter().map(|cluster| Proposed {
        id: cluster.id,
        name: cluster.name.clone(),
        people: cluster.people as u64,
        quartiles: cluster.quartiles.clone(),
    });
    let gone = known.clusters().iter().map(|cluster| cluster.id).filter(|id| new.cluster(*id).is_none());
    ClusterProposal { rows: rows.collect(), gone: gone.collect(), moved }
}

fn id_of(cluster: i16) -> Option<ClusterId> {
    u16::try_from(cluster).ok().map(ClusterId)
}

fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// An amount that is stored in major units of the site's currency.
fn money(site: &Site, major: f64) -> Money {
    let minor = major * 10_f64.powi(i32::try_from(site.currency.digits()).unwrap_or(2));
    Money { minor: minor.round() as i64, currency: site.currency }
}
