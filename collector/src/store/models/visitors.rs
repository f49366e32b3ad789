//! What the models say of everybody who visited: who comes back, who signs up.

use super::SEED;
use crate::store::StoreError;
use crate::store::sites::Site;
use crate::store::sql::sql;
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text};
use domain::segment::Customer;
use domain::segment::predict::{Occasion, PurchaseHistory, Returning, VisitorPrediction, Visitors};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// What the models say of a site's visitors.
pub(super) struct Made {
    /// In ascending order.
    pub(super) profile_ids: Vec<i64>,
    /// In the same order.
    pub(super) predictions: Vec<VisitorPrediction>,
    /// The visit days of those of them who ordered.
    pub(super) of_buyers: HashMap<i64, PurchaseHistory>,
    pub(super) told: Told,
}

/// How a site's visits and sign-ups are predicted, and what is expected of all together.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Told {
    /// The method's name for people.
    method: String,
    #[serde(flatten)]
    returning: Returning,
    /// People who visited in the days that are looked at.
    visitors: usize,
    /// How many of them are expected to come back within 30 days.
    expected_to_return: f64,
    /// How many of those who have not signed up are expected to in that time.
    expected_to_sign_up: f64,
}

#[derive(QueryableByName)]
struct VisitorRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    /// Days since 1970 in the site's time zone.
    #[diesel(sql_type = Array<Integer>)]
    days: Vec<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    signed_up_day: Option<i32>,
}

impl Made {
    /// Fits what can be fitted to a site's visits as of a moment.
    pub(super) fn of(
        connection: &mut PgConnection,
        site: &Site,
        now: Timestamp,
        customers: &[Customer],
    ) -> Result<Made, StoreError> {
        let buyers = customers.iter().filter(|customer| !customer.purchases.is_empty());
        let buyers: HashSet<i64> = buyers.map(|customer| customer.profile_id.0).collect();
        let mut of_buyers = HashMap::new();
        let mut visitors = Visitors::new(super::day_number(site, now), SEED);
        let zone = site.time_zone.iana_name().unwrap_or("UTC").to_owned();
        // One row per profile with a visit on a day that is looked at: these days, and the day on which a user id or an
        // e-mail address of theirs (the kinds 2 and 3 of domain::identity) was first seen. One row after the other: all
        // at once they would be there twice.
        let rows = sql("SELECT v.profile_id, v.days,
                CASE WHEN p.signed_up THEN (
                    SELECT (min(i.first_seen) AT TIME ZONE $1)::date - DATE '1970-01-01' FROM identities i
                    WHERE i.site_id = p.site_id AND i.profile_id = p.profile_id AND i.kind IN (2, 3)
                ) END AS signed_up_day
             FROM (
                SELECT profile_id, array_agg(DISTINCT (started_at AT TIME ZONE $2)::date - DATE '1970-01-01') AS days
                FROM sessions
                WHERE site_id = $3
                    AND started_at >= (DATE '1970-01-01' + $4)::timestamp AT TIME ZONE $5
                GROUP BY profile_id
             ) AS v
             JOIN profiles p ON p.site_id = $6 AND p.profile_id = v.profile_id
             ORDER BY v.profile_id")
        .bind::<Text, _>(zone.clone())
        .bind::<Text, _>(zone.clone())
        .bind::<Integer, _>(site.site_id)
        .bind::<Integer, _>(visitors.first_day())
        .bind::<Text, _>(zone)
        .bind::<Integer, _>(site.site_id)
        .load_iter::<VisitorRow, PgRowByRowLoadingMode>(connection)?;
        let mut profile_ids = Vec::new();
        for row in rows {
            let row = row?;
            if visitors.add(&row.days, row.signed_up_day) {
                profile_ids.push(row.profile_id);
                if buyers.contains(&row.profile_id) {
                    let days = row.days.iter().map(|day| Occasion { day: *day, spend: 0.0 });
                    of_buyers.insert(row.profile_id, PurchaseHistory::new(days));
                }
            }
        }
        let returning = visitors.fit();
        let predictions = visitors.score(&returning);
        let told = Told {
            method: returning.chosen.method.name(),
            visitors: visitors.count(),
            expected_to_return: predictions.iter().map(|prediction| prediction.p_return).sum(),
            expected_to_sign_up: predictions.iter().filter_map(|prediction| prediction.p_sign_up).sum(),
            returning,
        };
        Ok(Made { profile_ids, predictions, of_buyers, told })
    }
}
