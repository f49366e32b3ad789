//! What the models say of each buyer: predictions and the cluster.

use super::{Kind, read, told, write};
use crate::store::StoreError;
use crate::store::sites::Site;
use crate::store::sql::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Float, Integer, Nullable, SmallInt, Timestamptz};
use domain::segment::Customer;
use domain::segment::cluster::feature::{Feature, People};
use domain::segment::cluster::refresh::{Drift, refresh};
use domain::segment::cluster::{self, ClusterId, MIN_PEOPLE_PER_CLUSTER, Model};
use domain::segment::predict::{self, Chosen, Occasion, Prediction, PurchaseHistory};
use domain::segment::rule::Percentiles;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Rows of one statement.
const PART: usize = 10_000;
/// The same draws for the same people: a site's models do not depend on when they are made.
const SEED: u64 = 1;

/// What the models say of a site's buyers.
pub(super) struct Made {
    profile_ids: Vec<i64>,
    predictions: Vec<Prediction>,
    clusters: Option<Vec<ClusterId>>,
    told: Predicted,
    model: Option<Clustered>,
    made_at: Timestamp,
    digits: u32,
}

/// How a site is predicted, and what is expected of all together.
#[derive(Clone, Debug, Serialize)]
struct Predicted {
    /// Its name for people, `Pareto/NBD with 7.5 % own rate`.
    method: String,
    chosen: Chosen,
    buyers: usize,
    /// Orders of all buyers in the next 90 days.
    next_90_days: predict::Total,
    /// Orders and spend of all buyers, by horizon.
    ahead: Vec<told::Expected>,
    /// Sums over groups of buyers.
    sums: Vec<told::Sum>,
}

/// A site's clusters, with how well they still fit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Clustered {
    pub(super) model: Model,
    /// What has shifted since it was made.
    #[serde(default)]
    pub(super) drift: Vec<String>,
    /// A new model where it does not fit any more; it changes nothing until somebody takes it.
    #[serde(default)]
    pub(super) proposal: Option<Model>,
    /// How many people the proposal would put into another cluster.
    #[serde(default)]
    pub(super) proposal_moves: Option<u64>,
    /// The day on which it was made by itself; none where somebody has taken it.
    #[serde(default)]
    made_on: Option<Date>,
}

impl Clustered {
    /// Clusters that somebody has taken.
    pub(super) fn taken(model: Model) -> Clustered {
        Clustered { model, drift: Vec::new(), proposal: None, proposal_moves: None, made_on: None }
    }
}

/// The features that customers are clustered by.
fn features(site: &Site) -> [Feature; 3] {
    [Feature::RecencyDays, Feature::Orders, Feature::OrderMinor { currency: site.currency }]
}

impl Made {
    /// Fits what can be fitted to a site's customers as of a moment. `known` are the clusters so far.
    pub(super) fn of(customers: &[Customer], site: &Site, now: Timestamp, known: Option<&Clustered>) -> Made {
        let day = |at: Timestamp| -> i32 {
            let seconds = at.as_second() + i64::from(site.time_zone.to_offset(at).seconds());
            i32::try_from(seconds.div_euclid(86_400)).unwrap_or(0)
        };
        let today = day(now);
        let mut profile_ids = Vec::new();
        let mut histories = Vec::new();
        let mut values = Vec::new();
        for customer in customers {
            let orders = || customer.purchases.iter().filter(|order| order.at <= now);
            let Some(last) = orders().next_back() else { continue };
            profile_ids.push(customer.profile_id.0);
            histories.push(PurchaseHistory::new(
                orders().map(|order| Occasion { day: day(order.at), spend: order.minor as f64 }),
            ));
            let count = orders().count() as f64;
            let spent = orders().fold(0.0, |sum, order| sum + order.minor as f64);
            values.extend([f64::from(today - day(last.at)), count, spent / count]);
        }
        let chosen = predict::choose(&histories, today, SEED);
        let summaries: Vec<_> = histories.iter().filter_map(|history| history.summary(today)).collect();
        let predictions = chosen.score_all(&summaries);
        let (clusters, model) =
            match clustered(&features(site), &values, known, now.to_zoned_datetime(site.time_zone.clone()).date()) {
                Some((clusters, model)) => (Some(clusters), Some(model)),
                None => (None, None),
            };
        let told = Predicted {
            method: chosen.method.name(),
            buyers: profile_ids.len(),
            next_90_days: chosen.total(&summaries, 90),
            ahead: told::ahead(&chosen, &summaries, &predictions),
            sums: told::sums(&predictions, clusters.as_deref()),
            chosen,
        };
        Made { profile_ids, predictions, clusters, told, model, made_at: now, digits: site.currency.digits() }
    }

    /// Where the expected revenue of the buyers lies.
    pub(super) fn expected_revenue(&self) -> Percentiles {
        Percentiles::of((0..self.predictions.len()).map(|place| f64::from(self.revenue(place))).collect())
    }

    /// Revenue expected in 365 days, in major units.
    fn revenue(&self, place: usize) -> f32 {
        let minor = self.predictions.get(place).map_or(0.0, |prediction| prediction.ahead[2].spend);
        (minor / 10_f64.powi(i32::try_from(self.digits).unwrap_or(2))) as f32
    }

    /// Writes models and scores over those that are there.
    pub(super) fn write(&self, connection: &mut PgConnection, site_id: i32, today: Date) -> Result<(), StoreError> {
        write(connection, site_id, Kind::Predictions, 1, today, &self.told)?;
        if let Some(model) = &self.model {
            write(connection, site_id, Kind::Clusters, 1, today, model)?;
        }
        sql("DELETE FROM segment_scores WHERE site_id = $1").bind::<Integer, _>(site_id).execute(connection)?;
        let places: Vec<usize> = (0..self.profile_ids.len().min(self.predictions.len())).collect();
        for part in places.chunks(PART) {
            let all = |of: &dyn Fn(usize) -> f32| part.iter().map(|place| of(*place)).collect::<Vec<f32>>();
            let next = |place: &usize| {
                let days = self.predictions[*place].next_order.median_days?;
                let seconds = jiff::SignedDuration::try_from_secs_f64(days * 86_400.0).ok()?;
                let at = self.made_at.checked_add(seconds).ok()?;
                Some(crate::store::timestamp(at.as_microsecond()))
            };
            let cluster = |place: &usize| {
                let clusters = self.clusters.as_ref()?;
                i16::try_from(clusters.get(*place)?.0).ok()
            };
            sql("INSERT INTO segment_scores
                    (site_id, profile_id, probability_alive, expected_orders, expected_revenue, next_order_at, cluster)
                 SELECT $1, s.* FROM unnest($2, $3, $4, $5, $6, $7) AS s")
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(part.iter().map(|place| self.profile_ids[*place]).collect::<Vec<_>>())
            .bind::<Array<Float>, _>(all(&|place| self.predictions[place].p_alive as f32))
            .bind::<Array<Float>, _>(all(&|place| self.predictions[place].ahead[1].orders as f32))
            .bind::<Array<Float>, _>(all(&|place| self.revenue(place)))
            .bind::<Array<Nullable<Timestamptz>>, _>(part.iter().map(next).collect::<Vec<_>>())
            .bind::<Array<Nullable<SmallInt>>, _>(part.iter().map(cluster).collect::<Vec<_>>())
            .execute(connection)?;
        }
        Ok(())
    }
}

/// Refreshes the clusters that are known, or makes the first ones; `None` while there are too few people.
fn clustered(
    features: &[Feature],
    values: &[f64],
    known: Option<&Clustered>,
    today: Date,
) -> Option<(Vec<ClusterId>, Clustered)> {
    if values.len() / features.len() < 2 * MIN_PEOPLE_PER_CLUSTER {
        return None;
    }
    let people = People::new(features, values).ok()?;
    let settings = cluster::Settings::default();
    let made_today = |model| Clustered { made_on: Some(today), ..Clustered::taken(model) };
    // A model with other features (the site's currency has changed) is begun anew.
    let refreshed = known.and_then(|known| Some((known, refresh(&known.model, &people, &settings, SEED).ok()?)));
    let Some((known, refreshed)) = refreshed else {
        let fitted = cluster::fit(&people, &settings, SEED);
        return Some((fitted.assigned, made_today(fitted.model)));
    };
    let moves = |proposal: &cluster::Fitted| {
        let pairs = proposal.assigned.iter().zip(&refreshed.assigned);
        pairs.filter(|(proposed, now)| proposed != now).count() as u64
    };
    let proposal_moves = refreshed.proposal.as_ref().map(moves);
    match refreshed.proposal {
        // While a history is imported the last look of the day is the one that stays, as with the limits.
        Some(proposal) if known.made_on == Some(today) => Some((proposal.assigned, made_today(proposal.model))),
        proposal => {
            let clustered = Clustered {
                model: refreshed.model,
                drift: Drift::told(&refreshed.drift),
                proposal: proposal.map(|proposal| proposal.model),
                proposal_moves,
                made_on: known.made_on,
            };
            Some((refreshed.assigned, clustered))
        }
    }
}

/// The clusters' model so far.
pub(super) fn read_clusters(connection: &mut PgConnection, site_id: i32) -> Result<Option<Clustered>, StoreError> {
    Ok(read(connection, site_id, Kind::Clusters)?.pop())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::money::Currency;

    /// Half of them ordered lately and much, half long ago and little; all by so many days.
    fn buyers(days_later: f64) -> Vec<f64> {
        let one = |n: u32| {
            let n = f64::from(n);
            if n < 40.0 { [1.0 + n / 10.0 + days_later, 9.0, 5_000.0] } else { [90.0 + n + days_later, 1.0, 900.0] }
        };
        (0..80).flat_map(one).collect()
    }

    #[test]
    fn clusters_are_the_last_look_of_their_first_day_and_change_by_proposal_alone_from_then_on() {
        let features = [Feature::RecencyDays, Feature::Orders, Feature::OrderMinor { currency: Currency::EUR }];
        let day = |text: &str| text.parse::<Date>().expect("a day");
        let (first, next) = (day("2026-11-25"), day("2026-11-26"));
        let (_, made) = clustered(&features, &buyers(0.0), None, first).expect("clusters");
        assert!(made.made_on == Some(first) && made.model.clusters().len() > 1);
        let (assigned, same_day) = clustered(&features, &buyers(2_000.0), Some(&made), first).expect("clusters");
        assert!(same_day.proposal.is_none() && same_day.model != made.model);
        assert!(assigned.iter().all(|id| same_day.model.cluster(*id).is_some()));
        // The same change a day later, and on clusters that somebody has taken on that very day.
        for (known, today) in [(made.clone(), next), (Clustered::taken(made.model.clone()), first)] {
            let (_, kept) = clustered(&features, &buyers(2_000.0), Some(&known), today).expect("clusters");
            let ids = |model: &Model| model.clusters().iter().map(|cluster| cluster.id).collect::<Vec<_>>();
            assert_eq!((ids(&kept.model), kept.made_on), (ids(&made.model), known.made_on));
            assert!(kept.proposal.is_some() && kept.proposal_moves > Some(0) && !kept.drift.is_empty());
        }
    }
}
