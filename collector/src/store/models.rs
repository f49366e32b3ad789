//! What a site's models say, in versions: the limits of the lifecycle, the scales and percentiles that rules are asked
//! with. Made anew once a day, and when many orders have come in.

mod people;
mod told;
mod visitors;

pub(crate) use told::read_scored;

use super::segments::{self, Compare, raise_revision};
use super::sites::Site;
use super::sql::sql;
use super::traits::read_computed;
use super::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz};
use domain::segment::lifecycle::{self, LimitsVersion, Rhythm};
use domain::segment::rfm::{Cuts, Scales};
use domain::segment::rule::{self, Percentiles};
use domain::segment::{Settings, Survey};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The same draws for the same people: a site's models do not depend on when they are made.
const SEED: u64 = 1;

/// Days from 1970 to a moment's day in the site's time zone.
fn day_number(site: &Site, at: Timestamp) -> i32 {
    let seconds = at.as_second() + i64::from(site.time_zone.to_offset(at).seconds());
    i32::try_from(seconds.div_euclid(86_400)).unwrap_or(0)
}

/// Which model a version is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// [`LimitsVersion`]: each version stays, for the days that it held for.
    Limits,
    /// [`Values`]: the newest alone is kept.
    Values,
    /// [`Cuts`]: the site's own thresholds of the RFM scores, or none again.
    Cuts,
    /// How the site is predicted; the newest alone is kept.
    Predictions,
    /// [`people::Clustered`]; the newest alone is kept.
    Clusters,
}

impl Kind {
    fn key(self) -> &'static str {
        match self {
            Kind::Limits => "limits",
            Kind::Values => "values",
            Kind::Cuts => "cuts",
            Kind::Predictions => "predictions",
            Kind::Clusters => "clusters",
        }
    }
}

/// The values of a day that rules are asked with, beside the limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Values {
    scales: Scales,
    revenue: Percentiles,
    order_value: Percentiles,
    expected_revenue: Percentiles,
    /// Orders and sign-ups that they were made of.
    orders: i64,
    people: i64,
    /// Visits of everybody with a profile.
    #[serde(default)]
    visits: i64,
}

#[derive(QueryableByName)]
struct ModelRow {
    #[diesel(sql_type = Jsonb)]
    model: Value,
}

#[derive(QueryableByName)]
struct MadeRow {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    made_at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<BigInt>)]
    orders: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    people: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    visits: Option<i64>,
}

#[derive(QueryableByName)]
struct CountsRow {
    #[diesel(sql_type = BigInt)]
    orders: i64,
    #[diesel(sql_type = BigInt)]
    people: i64,
    #[diesel(sql_type = BigInt)]
    visits: i64,
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// The versions of a model, oldest first; what this version of ours cannot read is left out.
fn read<T: DeserializeOwned>(connection: &mut PgConnection, site_id: i32, kind: Kind) -> Result<Vec<T>, StoreError> {
    let rows: Vec<ModelRow> = sql("SELECT model FROM segment_models WHERE site_id = $1 AND kind = $2 ORDER BY version")
        .bind::<Integer, _>(site_id)
        .bind::<Text, _>(kind.key().to_owned())
        .load(connection)?;
    Ok(rows.into_iter().filter_map(|row| serde_json::from_value(row.model).ok()).collect())
}

/// Writes a version over what is there under its number.
fn write<T: Serialize>(
    connection: &mut PgConnection,
    site_id: i32,
    kind: Kind,
    version: u32,
    valid_from: Date,
    model: &T,
) -> Result<(), StoreError> {
    let model = serde_json::to_value(model)
        .map_err(|error| StoreError::Refused(format!("a model cannot be written as JSON: {error}")))?;
    sql(
        "INSERT INTO segment_models (site_id, kind, version, valid_from, model) VALUES ($1, $2, $3, $4::text::date, $5)
         ON CONFLICT (site_id, kind, version) DO UPDATE SET
            valid_from = EXCLUDED.valid_from, model = EXCLUDED.model, made_at = now()",
    )
    .bind::<Integer, _>(site_id)
    .bind::<Text, _>(kind.key().to_owned())
    .bind::<Integer, _>(i32::try_from(version).unwrap_or(i32::MAX))
    .bind::<Text, _>(valid_from.to_string())
    .bind::<Jsonb, _>(model)
    .execute(connection)?;
    Ok(())
}

/// What the site had settled for itself on a day.
pub(crate) fn read_settings(connection: &mut PgConnection, site: &Site, day: Date) -> Result<Settings, StoreError> {
    let versions: Vec<LimitsVersion> = read(connection, site.site_id, Kind::Limits)?;
    let cuts: Vec<Option<Cuts>> = read(connection, site.site_id, Kind::Cuts)?;
    let rhythm = lifecycle::at(&versions, day).map(|version| version.rhythm);
    Ok(Settings { rhythm, cuts: cuts.into_iter().next_back().flatten() })
}

/// The values that a site's rules are asked with today.
pub(crate) fn read_values(connection: &mut PgConnection, site: &Site) -> Result<rule::Site, StoreError> {
    let mut known = rule::Site::new(site.time_zone.clone(), site.currency.digits());
    if let Some(version) = read::<LimitsVersion>(connection, site.site_id, Kind::Limits)?.pop() {
        Rhythm { limits: known.limits, usual_gap_days: known.usual_gap_days } = version.rhythm;
    }
    if let Some(values) = read::<Values>(connection, site.site_id, Kind::Values)?.pop() {
        known.scales = values.scales;
        known.revenue = values.revenue;
        known.order_value = values.order_value;
        known.expected_revenue = values.expected_revenue;
    }
    known.computed = read_computed(connection, site.site_id)?;
    Ok(known)
}

/// How long after the last look a smaller growth is worth another one.
pub(super) const A_WHILE: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// Whether so many of something are worth another look after so many before: a fifth more, after a while a fiftieth, and
/// not just a few.
pub(super) fn have_grown(now: i64, before: i64, is_while_ago: bool) -> bool {
    let share = if is_while_ago { 50 } else { 5 };
    now - before >= 20 && (now - before) * share >= before
}

/// The same of visits: there are many of them, and each says little.
fn have_doubled(now: i64, before: i64) -> bool {
    now - before >= 20.max(before)
}

/// Counting a site's people waits so many times as long as it took last: it has at most a hundredth of the time, however
/// large the site is. A million profiles took 80 ms where they fit into memory, so that they are counted every eight
/// seconds, and small sites whenever anybody looks. An index would not help: everybody's visits are counted.
pub(super) const REST: u32 = 100;

/// Making the models waits so many times as long as it took last: while a large history comes in it has a sixth of one
/// core at most, and what people do is not kept waiting.
pub(super) const MAKING_RESTS: u32 = 5;

/// When this process counts each site's people next.
#[derive(Default)]
pub(crate) struct Looks(Mutex<HashMap<i32, Instant>>);

impl Looks {
    pub(super) fn is_due(&self, site_id: i32) -> bool {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.get(&site_id).is_none_or(|next| *next <= Instant::now())
    }

    pub(super) fn rest(&self, site_id: i32, time: Duration) {
        let next = Instant::now() + time;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(site_id, next);
    }
}

impl Store {
    /// Sees to a site's models and to the segments that come with the product: makes them anew where it is time.
    /// Gives whether anything was made. Cheap when there is nothing to do; to be called every few seconds.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn tend_models(&self, site: &Site, now: Timestamp) -> Result<bool, StoreError> {
        let mut connection = self.connect()?;
        // 5: the class of this lock; one process does it.
        let lock: Locked = sql("SELECT pg_try_advisory_lock(5, $1) AS locked")
            .bind::<Integer, _>(site.site_id)
            .get_result(&mut connection)?;
        if !lock.locked {
            return Ok(false);
        }
        // The lock goes with the connection.
        segments::install_library(&mut connection, site, Compare::Older)?;
        let made: MadeRow = sql("SELECT max(made_at) AS made_at, max((model->>'orders')::bigint) AS orders,
                max((model->>'people')::bigint) AS people, max((model->>'visits')::bigint) AS visits
             FROM segment_models WHERE site_id = $1 AND kind = $2")
        .bind::<Integer, _>(site.site_id)
        .bind::<Text, _>(Kind::Values.key().to_owned())
        .get_result(&mut connection)?;
        let day_of = |at: Timestamp| at.to_zoned_datetime(site.time_zone.clone()).date();
        let made_at = made.made_at.map(from_timestamp);
        let is_of_today = made_at.is_some_and(|at| day_of(at) == day_of(now));
        if (is_of_today || made_at.is_none()) && !self.looks.is_due(site.site_id) {
            return Ok(false);
        }
        let started = Instant::now();
        let counts: CountsRow = sql("SELECT COALESCE(sum(orders), 0)::bigint AS orders,
                count(*) FILTER (WHERE signed_up OR orders > 0) AS people,
                COALESCE(sum(sessions), 0)::bigint AS visits
             FROM profiles WHERE site_id = $1")
        .bind::<Integer, _>(site.site_id)
        .get_result(&mut connection)?;
        self.looks.rest(site.site_id, started.elapsed().saturating_mul(REST));
        let is_while_ago = made_at.is_some_and(|at| now.duration_since(at) >= A_WHILE);
        let is_fresh = is_of_today
            && !have_grown(counts.orders, made.orders.unwrap_or(0), is_while_ago)
            && !have_grown(counts.people, made.people.unwrap_or(0), is_while_ago)
            && !have_doubled(counts.visits, made.visits.unwrap_or(0));
        if is_fresh || (counts.people == 0 && !have_doubled(counts.visits, 0)) {
            return Ok(false);
        }
        let started = Instant::now();
        self.make_models(&mut connection, site, now, &counts)?;
        self.looks.rest(site.site_id, started.elapsed().saturating_mul(MAKING_RESTS));
        Ok(true)
    }

    fn make_models(
        &self,
        connection: &mut PgConnection,
        site: &Site,
        now: Timestamp,
        counts: &CountsRow,
    ) -> Result<(), StoreError> {
        let started = Instant::now();
        segments::install_library(connection, site, Compare::Same)?;
        let today = now.to_zoned_datetime(site.time_zone.clone()).date();
        let customers = self.customers(site)?;
        let survey = Survey::of(&customers, now, &site.time_zone);
        let known = people::read_clusters(connection, site.site_id)?;
        let visitors = visitors::Made::of(connection, site, now, &customers)?;
        let people = people::Made::of(&customers, site, now, known.as_ref(), visitors);
        // First, and in parts: everything below is written in a moment. A transaction as long as this would keep everybody
        // who reads on in the journal or in the changes from going on, and whoever changes the site's limits waiting.
        people.write_scores(connection, site.site_id)?;
        connection.transaction::<_, StoreError, _>(|connection| {
            // A day has one version: while a history is imported the last look of the day is the one that stays.
            let versions: Vec<LimitsVersion> = read(connection, site.site_id, Kind::Limits)?;
            let fresh = survey.rhythm();
            let next = match versions.iter().rev().find(|version| version.valid_from < today) {
                Some(settled) => lifecycle::revise(settled, &fresh, today),
                None => Some(LimitsVersion::first(fresh, today)),
            };
            if let Some(next) = &next {
                write(connection, site.site_id, Kind::Limits, next.version, next.valid_from, next)?;
                tracing::info!(site = site.site_id, version = next.version, because = next.because, "limits");
            }
            let settings = read_settings(connection, site, today)?;
            let values = survey.site_values(&site.time_zone, site.currency.digits(), &settings);
            let values = Values {
                scales: values.scales,
                revenue: values.revenue,
                order_value: values.order_value,
                expected_revenue: people.expected_revenue(),
                orders: counts.orders,
                people: counts.people,
                visits: counts.visits,
            };
            write(connection, site.site_id, Kind::Values, 1, today, &values)?;
            people.write_models(connection, site.site_id, today)?;
            // Last: the site's row is held from here on.
            raise_revision(connection, site.site_id)?;
            Ok(())
        })?;
        tracing::info!(site = site.site_id, people = counts.people, took = ?started.elapsed(), "models are made");
        Ok(())
    }

    /// The versions of a site's lifecycle limits, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn limits_versions(&self, site: &Site) -> Result<Vec<LimitsVersion>, StoreError> {
        read(&mut *self.lend()?, site.site_id, Kind::Limits)
    }

    /// The site's own thresholds of the RFM scores, if it has any.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn own_cuts(&self, site: &Site) -> Result<Option<Cuts>, StoreError> {
        let cuts: Vec<Option<Cuts>> = read(&mut *self.lend()?, site.site_id, Kind::Cuts)?;
        Ok(cuts.into_iter().next_back().flatten())
    }

    /// Takes the clusters that are proposed in place of those that do not fit any more. Everybody is put into them at the
    /// next look at the models. Gives whether there was a proposal.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn accept_clusters(&self, site: &Site, today: Date) -> Result<bool, StoreError> {
        self.lend()?.transaction(|connection| {
            wait_for_models(connection, site.site_id)?;
            let Some(proposal) = people::read_clusters(connection, site.site_id)?.and_then(|known| known.proposal)
            else {
                return Ok(false);
            };
            let taken = people::Clustered::taken(proposal);
            write(connection, site.site_id, Kind::Clusters, 1, today, &taken)?;
            make_again(connection, site.site_id)?;
            Ok(true)
        })
    }

    /// What a site's models say, for programs: limits in versions, values, how it is predicted, clusters.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn models_told(&self, site: &Site) -> Result<Value, StoreError> {
        let connection = &mut *self.lend()?;
        let newest = |connection: &mut PgConnection, kind| -> Result<Option<Value>, StoreError> {
            Ok(read(connection, site.site_id, kind)?.pop())
        };
        let limits: Vec<Value> = read(connection, site.site_id, Kind::Limits)?;
        Ok(serde_json::json!({
            "limits": limits,
            "cuts": newest(connection, Kind::Cuts)?,
            "predictions": newest(connection, Kind::Predictions)?,
            "clusters": newest(connection, Kind::Clusters)?,
        }))
    }

    /// Sets the site's own thresholds of the RFM scores, or takes them away again.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn set_cuts(&self, site: &Site, cuts: Option<&Cuts>, today: Date) -> Result<(), StoreError> {
        self.lend()?.transaction::<_, StoreError, _>(|connection| {
            write(connection, site.site_id, Kind::Cuts, 1, today, &cuts)?;
            make_again(connection, site.site_id)?;
            // Last, as where the models are made: intake needs the site's row at times.
            raise_revision(connection, site.site_id)?;
            Ok(())
        })?;
        self.forget_books(site);
        Ok(())
    }
}

/// Waits until nobody makes the site's models, and keeps them from it until the transaction ends: what is changed now is
/// seen by the next.
fn wait_for_models(connection: &mut PgConnection, site_id: i32) -> Result<(), StoreError> {
    sql("SELECT pg_advisory_xact_lock(5, $1)").bind::<Integer, _>(site_id).execute(connection)?;
    Ok(())
}

/// Has the models made anew at the next look.
fn make_again(connection: &mut PgConnection, site_id: i32) -> Result<(), StoreError> {
    // The old values hold until the new ones are there.
    sql("UPDATE segment_models SET made_at = to_timestamp(0) WHERE site_id = $1 AND kind = $2")
        .bind::<Integer, _>(site_id)
        .bind::<Text, _>(Kind::Values.key().to_owned())
        .execute(connection)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{have_doubled, have_grown};

    #[test]
    fn models_are_made_again_when_there_is_a_fifth_more_to_know_or_after_a_while_a_fiftieth() {
        let soon = |now, before| have_grown(now, before, false);
        assert!(soon(20, 0) && soon(120, 100) && soon(12_000, 10_000));
        assert!(!soon(19, 0) && !soon(119, 100) && !soon(11_999, 10_000) && !soon(50, 100));
        let later = |now, before| have_grown(now, before, true);
        assert!(later(1_020, 1_000) && later(10_200, 10_000));
        assert!(!later(1_019, 1_000) && !later(10_199, 10_000));
        assert!(have_doubled(20, 0) && have_doubled(200, 100) && !have_doubled(19, 0) && !have_doubled(199, 100));
    }
}
