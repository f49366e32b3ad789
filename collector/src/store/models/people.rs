//! What the models say of each person: predictions, and the cluster of those who bought.

use super::{Kind, SEED, day_number, read, told, visitors, write};
use crate::store::StoreError;
use crate::store::sites::Site;
use crate::store::sql::sql;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Float, Integer, Nullable, SmallInt, Timestamptz};
use domain::segment::Customer;
use domain::segment::cluster::feature::{Feature, People};
use domain::segment::cluster::refresh::{Drift, refresh};
use domain::segment::cluster::{self, ClusterId, MIN_PEOPLE_PER_CLUSTER, Model};
use domain::segment::predict::{self, Chosen, Occasion, Prediction, PurchaseHistory, VisitorPrediction};
use domain::segment::rule::Percentiles;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Rows of one statement.
const PART: usize = 10_000;

/// What the models say of a site's buyers.
pub(super) struct Made {
    profile_ids: Vec<i64>,
    predictions: Vec<Prediction>,
    clusters: Option<Vec<ClusterId>>,
    told: Predicted,
    model: Option<Clustered>,
    visitors: visitors::Made,
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
    next_90_days: Option<predict::Total>,
    /// Orders and spend of all buyers, by horizon.
    ahead: Vec<told::Expected>,
    /// Sums over groups of buyers.
    sums: Vec<told::Sum>,
    /// The same of visits and sign-ups.
    visits: visitors::Told,
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
    pub(super) fn of(
        customers: &[Customer],
        site: &Site,
        now: Timestamp,
        known: Option<&Clustered>,
        mut visitors: visitors::Made,
    ) -> Made {
        let day = |at: Timestamp| day_number(site, at);
        let today = day(now);
        let mut profile_ids = Vec::new();
        let mut histories = Vec::new();
        let mut values = Vec::new();
        for customer in customers {
            let orders = || customer.purchases.iter().filter(|order| order.at <= now);
            let Some(last) = orders().next_back() else { continue };
            profile_ids.push(customer.profile_id.0);
            let occasions = orders().map(|order| Occasion { day: day(order.at), spend: order.minor as f64 });
            let visits = visitors.of_buyers.remove(&customer.profile_id.0).unwrap_or_default();
            histories.push((PurchaseHistory::new(occasions), visits));
            let count = orders().count() as f64;
            let spent = orders().fold(0.0, |sum, order| sum + order.minor as f64);
            values.extend([f64::from(today - day(last.at)), count, spent / count]);
        }
        let chosen = predict::choose_with_visits(&histories, today, SEED);
        let both = |(orders, visits): &(PurchaseHistory, PurchaseHistory)| {
            Some((orders.summary(today)?, visits.summary(today)))
        };
        let both: Vec<_> = histories.iter().filter_map(both).collect();
        let summaries: Vec<_> = both.iter().map(|(orders, _)| *orders).collect();
        let predictions = chosen.score_all_with_visits(&both);
        let (clusters, model) =
            match clustered(&features(site), &values, known, now.to_zoned_datetime(site.time_zone.clone()).date()) {
                Some((clusters, model)) => (Some(clusters), Some(model)),
                None => (None, None),
            };
        let ahead = told::ahead(&chosen, &summaries, &predictions);
        let told = Predicted {
            method: chosen.method.name(),
            buyers: profile_ids.len(),
            next_90_days: ahead.iter().find_map(|ahead| ahead.total_of(90)),
            ahead,
            sums: told::sums(&predictions, clusters.as_deref()),
            visits: visitors.told.clone(),
            chosen,
        };
        let digits = site.currency.digits();
        Made { profile_ids, predictions, clusters, told, model, visitors, made_at: now, digits }
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

    /// Writes the models over those that are there.
    pub(super) fn write_models(
        &self,
        connection: &mut PgConnection,
        site_id: i32,
        today: Date,
    ) -> Result<(), StoreError> {
        write(connection, site_id, Kind::Predictions, 1, today, &self.told)?;
        if let Some(model) = &self.model {
            write(connection, site_id, Kind::Clusters, 1, today, model)?;
        }
        Ok(())
    }

    /// Writes what has changed of the scores over those that are there, a part of the people in each transaction.
    ///
    /// A person's scores change together. While the parts are written some people have the new ones already; the
    /// revision that comes with the models has everybody asked again afterwards.
    pub(super) fn write_scores(&self, connection: &mut PgConnection, site_id: i32) -> Result<(), StoreError> {
        let mut places: Vec<usize> = (0..self.profile_ids.len().min(self.predictions.len())).collect();
        places.sort_unstable_by_key(|place| self.profile_ids[*place]);
        let mut buyers = places.into_iter().peekable();
        let mut visitors = self.visitors.profile_ids.iter().zip(&self.visitors.predictions).peekable();
        let mut lines: Vec<Line> = Vec::with_capacity(PART);
        let mut after = i64::MIN;
        loop {
            let buyer = buyers.peek().map(|place| self.profile_ids[*place]);
            let visitor = visitors.peek().map(|(profile_id, _)| **profile_id);
            let Some(profile_id) = buyer.into_iter().chain(visitor).min() else { break };
            let bought = buyers.next_if(|place| self.profile_ids[*place] == profile_id);
            let visited = visitors.next_if(|(visitor, _)| **visitor == profile_id);
            lines.push(self.line(profile_id, bought, visited.map(|(_, prediction)| prediction)));
            if lines.len() == PART {
                write_lines(connection, site_id, (after, profile_id), &lines)?;
                after = profile_id;
                lines.clear();
            }
        }
        write_lines(connection, site_id, (after, i64::MAX), &lines)
    }

    /// What is said of a person who is a buyer at some place, or a visitor, or both.
    fn line(&self, profile_id: i64, buyer: Option<usize>, visitor: Option<&VisitorPrediction>) -> Line {
        let prediction = buyer.map(|place| &self.predictions[place]);
        let next_order_at = prediction.and_then(|prediction| {
            let days = prediction.next_order.median_days?;
            let seconds = jiff::SignedDuration::try_from_secs_f64(days * 86_400.0).ok()?;
            let at = self.made_at.checked_add(seconds).ok()?;
            Some(crate::store::timestamp(at.as_microsecond()))
        });
        Line {
            profile_id,
            probability_alive: prediction.map(|prediction| prediction.p_alive as f32),
            expected_orders: prediction.map(|prediction| prediction.ahead[1].orders as f32),
            expected_revenue: buyer.map(|place| self.revenue(place)),
            next_order_at,
            cluster: buyer.and_then(|place| i16::try_from(self.clusters.as_ref()?.get(place)?.0).ok()),
            probability_of_return: visitor.map(|visitor| visitor.p_return as f32),
            probability_of_sign_up: visitor.and_then(|visitor| visitor.p_sign_up).map(|chance| chance as f32),
        }
    }
}

/// A row of scores.
#[derive(Debug, PartialEq)]
struct Line {
    profile_id: i64,
    probability_alive: Option<f32>,
    expected_orders: Option<f32>,
    expected_revenue: Option<f32>,
    next_order_at: Option<PgTimestamp>,
    cluster: Option<i16>,
    probability_of_return: Option<f32>,
    probability_of_sign_up: Option<f32>,
}

/// Makes these the only scores of people after the first profile number and up to the second.
fn write_lines(
    connection: &mut PgConnection,
    site_id: i32,
    (after, until): (i64, i64),
    lines: &[Line],
) -> Result<(), StoreError> {
    let ids = || lines.iter().map(|line| line.profile_id).collect::<Vec<_>>();
    let all = |of: fn(&Line) -> Option<f32>| lines.iter().map(of).collect::<Vec<_>>();
    connection.transaction(|connection| {
        sql("DELETE FROM segment_scores s WHERE site_id = $1 AND profile_id > $2 AND profile_id <= $3
             AND NOT EXISTS (SELECT FROM unnest($4) AS known (profile_id) WHERE known.profile_id = s.profile_id)")
        .bind::<Integer, _>(site_id)
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(until)
        .bind::<Array<BigInt>, _>(ids())
        .execute(connection)?;
        if lines.is_empty() {
            return Ok(());
        }
        sql("INSERT INTO segment_scores AS s
                (site_id, profile_id, probability_alive, expected_orders, expected_revenue, next_order_at, cluster,
                 probability_of_return, probability_of_sign_up)
             SELECT $1, made.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) AS made
             ON CONFLICT (site_id, profile_id) DO UPDATE SET
                (probability_alive, expected_orders, expected_revenue, next_order_at, cluster, probability_of_return,
                 probability_of_sign_up) =
                (EXCLUDED.probability_alive, EXCLUDED.expected_orders, EXCLUDED.expected_revenue,
                 EXCLUDED.next_order_at, EXCLUDED.cluster, EXCLUDED.probability_of_return,
                 EXCLUDED.probability_of_sign_up)
             WHERE (s.probability_alive, s.expected_orders, s.expected_revenue, s.next_order_at, s.cluster,
                    s.probability_of_return, s.probability_of_sign_up)
                IS DISTINCT FROM
                (EXCLUDED.probability_alive, EXCLUDED.expected_orders, EXCLUDED.expected_revenue,
                 EXCLUDED.next_order_at, EXCLUDED.cluster, EXCLUDED.probability_of_return,
                 EXCLUDED.probability_of_sign_up)")
        .bind::<Integer, _>(site_id)
        .bind::<Array<BigInt>, _>(ids())
        .bind::<Array<Nullable<Float>>, _>(all(|line| line.probability_alive))
        .bind::<Array<Nullable<Float>>, _>(all(|line| line.expected_orders))
        .bind::<Array<Nullable<Float>>, _>(all(|line| line.expected_revenue))
        .bind::<Array<Nullable<Timestamptz>>, _>(lines.iter().map(|line| line.next_order_at).collect::<Vec<_>>())
        .bind::<Array<Nullable<SmallInt>>, _>(lines.iter().map(|line| line.cluster).collect::<Vec<_>>())
        .bind::<Array<Nullable<Float>>, _>(all(|line| line.probability_of_return))
        .bind::<Array<Nullable<Float>>, _>(all(|line| line.probability_of_sign_up))
        .execute(connection)?;
        Ok(())
    })
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
