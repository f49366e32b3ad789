//! The tracking plan of a site: what is agreed, what was seen, where the two differ.

mod seen;

pub(crate) use seen::{SeenEvent, SeenNames, count_seen};

use super::sites::Site;
use super::sql::sql;
use super::{Store, StoreError, from_timestamp};
use crate::intake::Reason;
use diesel::Connection;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Jsonb, SmallInt, Text, Timestamptz};
use domain::plan::{Breach, EventPlan, MAX_EVENTS, MAX_TEXT_BYTES, PlanError, TrackingPlan, ValueKind};
use domain::report::{BreachRow, Plan, PlanEvent, PlanEventRow, SeenProperty};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Days that reports tell of.
const DAYS: u32 = 30;
/// Rows of differences that a page tells.
const BREACHES: i64 = 100;

/// Why something cannot be agreed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanChangeError {
    /// No name.
    #[error("an event's name has 1 to {MAX_TEXT_BYTES} bytes")]
    Name,
    /// What is wrong with the plan.
    #[error("{0}")]
    Plan(#[from] PlanError),
    /// Too many.
    #[error("a plan has at most {MAX_EVENTS} events; unpin one first")]
    TooMany,
    /// Nothing is agreed of it.
    #[error("nothing is agreed of {0:?}")]
    Unknown(String),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for PlanChangeError {
    fn from(error: diesel::result::Error) -> PlanChangeError {
        PlanChangeError::Store(error.into())
    }
}

/// A plan as it is stored; one that this version cannot read agrees on nothing.
pub(crate) fn read_plan(site_id: i32, stored: Value) -> TrackingPlan {
    serde_json::from_value(stored).unwrap_or_else(|error| {
        tracing::error!(site = site_id, %error, "the tracking plan cannot be read");
        TrackingPlan::default()
    })
}

#[derive(QueryableByName)]
struct PlanRow {
    #[diesel(sql_type = Jsonb)]
    plan: Value,
}

/// The plan, with the site's row locked: two changes follow one another.
fn lock_plan(connection: &mut PgConnection, site_id: i32) -> Result<TrackingPlan, StoreError> {
    let row: PlanRow = sql("SELECT plan FROM sites WHERE site_id = $1 FOR UPDATE")
        .bind::<Integer, _>(site_id)
        .get_result(connection)?;
    // What cannot be read is not written over: a newer version may have agreed on it.
    serde_json::from_value(row.plan)
        .map_err(|error| StoreError::Refused(format!("the tracking plan of site {site_id} cannot be read: {error}")))
}

fn write_plan(connection: &mut PgConnection, site_id: i32, plan: &TrackingPlan) -> Result<(), StoreError> {
    let plan = serde_json::to_value(plan)
        .map_err(|error| StoreError::Refused(format!("a plan cannot be written: {error}")))?;
    sql("UPDATE sites SET plan = $1 WHERE site_id = $2")
        .bind::<Jsonb, _>(plan)
        .bind::<Integer, _>(site_id)
        .execute(connection)?;
    Ok(())
}

#[derive(QueryableByName)]
struct EventRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = BigInt)]
    properties: i64,
    #[diesel(sql_type = Timestamptz)]
    last_at: PgTimestamp,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct PropertyRow {
    #[diesel(sql_type = Text)]
    property: String,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Differing {
    #[diesel(sql_type = Text)]
    property: String,
    #[diesel(sql_type = SmallInt)]
    breach: i16,
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Timestamptz)]
    last_at: PgTimestamp,
    #[diesel(sql_type = Text)]
    sample: String,
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Store {
    /// Agrees on what a named event carries, in place of what was agreed before.
    ///
    /// # Errors
    /// [`PlanChangeError`]
    pub(crate) fn pin_event(&self, site: &Site, name: &str, plan: &EventPlan) -> Result<(), PlanChangeError> {
        plan.check()?;
        if name.trim().is_empty() || name.len() > MAX_TEXT_BYTES || name.contains(char::is_control) {
            return Err(PlanChangeError::Name);
        }
        self.lend()?.transaction(|connection| {
            let mut whole = lock_plan(connection, site.site_id)?;
            whole.events.insert(name.trim().to_owned(), plan.clone());
            if whole.events.len() > MAX_EVENTS {
                return Err(PlanChangeError::TooMany);
            }
            Ok(write_plan(connection, site.site_id, &whole)?)
        })
    }

    /// Agrees on nothing of a named event any more.
    ///
    /// # Errors
    /// [`PlanChangeError::Unknown`]
    pub(crate) fn unpin_event(&self, site: &Site, name: &str) -> Result<(), PlanChangeError> {
        self.lend()?.transaction(|connection| {
            let mut whole = lock_plan(connection, site.site_id)?;
            if whole.events.remove(name).is_none() {
                return Err(PlanChangeError::Unknown(name.chars().take(80).collect()));
            }
            Ok(write_plan(connection, site.site_id, &whole)?)
        })
    }

    /// Says whether events that are not as agreed are kept out.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn block_violations(&self, site: &Site, block: bool) -> Result<(), StoreError> {
        self.lend()?.transaction(|connection| {
            let whole = TrackingPlan { block, ..lock_plan(connection, site.site_id)? };
            write_plan(connection, site.site_id, &whole)
        })
    }

    /// The plan as it is now.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn tracking_plan(&self, site: &Site) -> Result<TrackingPlan, StoreError> {
        let row: PlanRow = sql("SELECT plan FROM sites WHERE site_id = $1")
            .bind::<Integer, _>(site.site_id)
            .get_result(&mut *self.lend()?)?;
        Ok(read_plan(site.site_id, row.plan))
    }

    /// The named events of a site, those that were seen and those that are planned.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn plan_report(&self, site: &Site, now: Timestamp) -> Result<Plan, StoreError> {
        let plan = self.tracking_plan(site)?;
        self.read(|connection| {
            // One row per event name of the last days; the empty name holds what went beyond a day's limits.
            let rows: Vec<EventRow> =
                sql("SELECT name, COALESCE(sum(count) FILTER (WHERE kind = 0), 0)::bigint AS count,
                    count(DISTINCT property) FILTER (WHERE kind <> 0) AS properties, max(last_at) AS last_at
                 FROM plan_seen WHERE site_id = $1 AND day > current_date - $2 GROUP BY name")
                .bind::<Integer, _>(site.site_id)
                .bind::<Integer, _>(DAYS as i32)
                .load(connection)?;
            let differing: Vec<CountRow> = sql("SELECT name, sum(count)::bigint AS count FROM plan_breaches
                 WHERE site_id = $1 AND day > current_date - $2 GROUP BY name")
            .bind::<Integer, _>(site.site_id)
            .bind::<Integer, _>(DAYS as i32)
            .load(connection)?;
            let blocked: CountRow =
                sql("SELECT '' AS name, COALESCE(sum(count), 0)::bigint AS count FROM source_outcomes
                 WHERE site_id = $1 AND outcome = $2 AND day > current_date - $3")
                .bind::<Integer, _>(site.site_id)
                .bind::<Text, _>(Reason::PlanViolation.name())
                .bind::<Integer, _>(DAYS as i32)
                .get_result(connection)?;
            let differing: BTreeMap<String, u64> =
                differing.into_iter().map(|row| (row.name, count(row.count))).collect();
            let mut unseen: BTreeSet<&String> = plan.events.keys().collect();
            let mut other = 0;
            let mut events = Vec::with_capacity(rows.len());
            for row in rows {
                if row.name.is_empty() {
                    other = count(row.count);
                    continue;
                }
                unseen.remove(&row.name);
                events.push(PlanEventRow {
                    is_pinned: plan.events.contains_key(&row.name),
                    breaches: differing.get(&row.name).copied().unwrap_or(0),
                    count: count(row.count),
                    properties: count(row.properties),
                    last_at: Some(from_timestamp(row.last_at)),
                    name: row.name,
                });
            }
            events.extend(unseen.into_iter().map(|name| PlanEventRow {
                name: name.clone(),
                count: 0,
                last_at: None,
                properties: 0,
                is_pinned: true,
                breaches: differing.get(name).copied().unwrap_or(0),
            }));
            events.sort_by(|one, next| next.count.cmp(&one.count).then_with(|| one.name.cmp(&next.name)));
            let site = crate::segments::report_site(site);
            Ok(Plan { site, now, days: DAYS, block: plan.block, blocked: count(blocked.count), events, other })
        })
    }

    /// One named event; `None` where it was neither seen nor planned.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn plan_event(&self, site: &Site, name: &str, now: Timestamp) -> Result<Option<PlanEvent>, StoreError> {
        let plan = self.tracking_plan(site)?;
        let own = plan.events.get(name);
        self.read(|connection| {
            // One row per property and kind; the event itself has none.
            let rows: Vec<PropertyRow> = sql("SELECT property, kind, sum(count)::bigint AS count FROM plan_seen
                 WHERE site_id = $1 AND name = $2 AND day > current_date - $3 GROUP BY property, kind
                 ORDER BY count DESC, property, kind")
            .bind::<Integer, _>(site.site_id)
            .bind::<Text, _>(name.to_owned())
            .bind::<Integer, _>(DAYS as i32)
            .load(connection)?;
            if rows.is_empty() && own.is_none() {
                return Ok(None);
            }
            let total = rows.iter().find(|row| row.kind == 0).map_or(0, |row| count(row.count));
            let properties = properties(&rows, own);
            let suggested = EventPlan::suggested(properties.iter().filter(|seen| !seen.kinds.is_empty()).map(|seen| {
                (seen.name.as_str(), seen.kinds.iter().map(|(kind, _)| *kind).collect(), seen.count() == total)
            }));
            Ok(Some(PlanEvent {
                site: crate::segments::report_site(site),
                now,
                days: DAYS,
                block: plan.block,
                name: name.to_owned(),
                count: total,
                plan: own.map(ToString::to_string),
                suggested: suggested.to_string(),
                breaches: breaches(connection, site.site_id, name)?,
                properties,
            }))
        })
    }
}

fn properties(rows: &[PropertyRow], plan: Option<&EventPlan>) -> Vec<SeenProperty> {
    let expected = |name: &str| plan.and_then(|plan| plan.properties.get(name)).map(ToString::to_string);
    let mut all: Vec<SeenProperty> = Vec::new();
    for row in rows {
        let Some(kind) = ValueKind::from_code(row.kind) else { continue };
        let seen = (kind, count(row.count));
        match all.iter_mut().find(|known| known.name == row.property) {
            Some(known) => known.kinds.push(seen),
            None => all.push(SeenProperty {
                name: row.property.clone(),
                kinds: vec![seen],
                expected: expected(&row.property),
            }),
        }
    }
    all.sort_by(|one, next| next.count().cmp(&one.count()).then_with(|| one.name.cmp(&next.name)));
    let unseen: Vec<&String> = plan
        .into_iter()
        .flat_map(|plan| plan.properties.keys())
        .filter(|name| !all.iter().any(|known| known.name == **name))
        .collect();
    all.extend(unseen.into_iter().map(|name| SeenProperty {
        name: name.clone(),
        kinds: Vec::new(),
        expected: expected(name),
    }));
    all
}

fn breaches(connection: &mut PgConnection, site_id: i32, name: &str) -> Result<Vec<BreachRow>, StoreError> {
    // One row per property, breach and source, with the latest sample.
    let rows: Vec<Differing> =
        sql("SELECT property, breach, source, sum(count)::bigint AS count, max(last_at) AS last_at,
            (array_agg(sample ORDER BY last_at DESC))[1] AS sample
         FROM plan_breaches WHERE site_id = $1 AND name = $2 AND day > current_date - $3
         GROUP BY property, breach, source ORDER BY count DESC, property, breach, source LIMIT $4")
        .bind::<Integer, _>(site_id)
        .bind::<Text, _>(name.to_owned())
        .bind::<Integer, _>(DAYS as i32)
        .bind::<BigInt, _>(BREACHES)
        .load(connection)?;
    let row = |row: Differing| {
        Some(BreachRow {
            breach: Breach::from_code(row.breach)?,
            property: row.property,
            source: row.source,
            count: count(row.count),
            last_at: from_timestamp(row.last_at),
            sample: row.sample,
        })
    };
    Ok(rows.into_iter().filter_map(row).collect())
}
