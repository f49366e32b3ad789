//! What is arriving now, from the journal.
//!
//! A reader's cursor is the oldest transaction that may still be under way: what is below it is complete, so that going
//! on from there shows every event once, whichever process stored it and however the commits overlap.

use super::happened::{self, Teller};
use super::{channel_name, count};
use crate::store::events::flags;
use crate::store::ingest::{DUPLICATE, STORED};
use crate::store::people::{self, EventRow};
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{Store, StoreError, from_timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use domain::event::ProfileId;
use domain::identity::Kind as IdentityKind;
use domain::report::{Consent, Live, LiveEvent, Outcomes, PersonName, RejectedReason};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Events of one poll. At a poll every two seconds a site can have half as many events a second before its Live page
/// falls behind.
const POLLED: i64 = 2_000;
/// A reader that is further behind than this, and not caught up by one poll, goes on from the newest events.
const BEHIND_SECONDS: i32 = 60;
/// Rejected events that are shown.
const REJECTED: i64 = 20;

/// Which events a live report shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LiveRange {
    /// The newest ones, so many.
    Latest(i64),
    /// Those since a cursor.
    After(u64),
}

#[derive(QueryableByName)]
struct JournalRow {
    #[diesel(sql_type = BigInt)]
    tx: i64,
    #[diesel(sql_type = Array<BigInt>)]
    identity_ids: Vec<i64>,
    #[diesel(sql_type = Array<SqlUuid>)]
    event_ids: Vec<Uuid>,
}

#[derive(QueryableByName)]
struct HorizonRow {
    #[diesel(sql_type = BigInt)]
    horizon: i64,
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
}

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
}

#[derive(QueryableByName)]
struct ChannelRow {
    #[diesel(sql_type = BigInt)]
    n: i64,
    #[diesel(sql_type = Text)]
    channel: String,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct OutcomeRow {
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Store {
    /// What is arriving now.
    pub(crate) fn live(&self, site: &Site, range: LiveRange, now: Timestamp) -> Result<Live, StoreError> {
        self.read(|connection| {
            let (keys, cursor) = match range {
                LiveRange::After(cursor) => since(connection, site, cursor)?,
                LiveRange::Latest(limit) => latest(connection, site, limit)?,
            };
            let mut events = tell(connection, site, &keys)?;
            events.sort_unstable_by_key(|event| std::cmp::Reverse((event.at, event.event_id)));
            if let LiveRange::Latest(limit) = range {
                events.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            }
            Ok(Live {
                site: crate::segments::report_site(site),
                now,
                events,
                cursor: cursor.to_string(),
                visitors_now: visitors_now(connection, site)?,
                outcomes: outcomes(connection, site, now)?,
                latest_rejected: super::rejected(connection, site.site_id, None, REJECTED)?,
            })
        })
    }
}

/// The oldest transaction that may still be under way.
fn horizon(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let row: HorizonRow =
        sql("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon").get_result(connection)?;
    Ok(count(row.horizon))
}

/// The events since a cursor, and the next cursor.
fn since(connection: &mut PgConnection, site: &Site, cursor: u64) -> Result<(Vec<(i64, Uuid)>, u64), StoreError> {
    let horizon = horizon(connection)?;
    if cursor > horizon {
        // Another database than the one it was given for: a restored backup.
        return Ok((Vec::new(), horizon));
    }
    // One row per transaction of the site that is complete and was not shown yet, the oldest first, until they have
    // that many events; and whether more are waiting.
    let mut rows: Vec<JournalRow> = sql(include_str!("live_since.sql"))
        .bind::<Integer, _>(site.site_id)
        .bind::<Text, _>(cursor.to_string())
        .bind::<BigInt, _>(POLLED)
        .load(connection)?;
    let events: usize = rows.iter().map(|row| row.event_ids.len()).sum();
    if count(POLLED) > events as u64 {
        return Ok((keys(&rows), horizon));
    }
    let is_behind: CountRow = sql("SELECT count(*) AS n FROM journal WHERE site_id = $1 AND tx >= $2::text::xid8
         AND tx <= $3::text::xid8 AND at < now() - make_interval(secs => $4)")
    .bind::<Integer, _>(site.site_id)
    .bind::<Text, _>(cursor.to_string())
    .bind::<Text, _>(rows.last().map_or(0, |row| row.tx).to_string())
    .bind::<Integer, _>(BEHIND_SECONDS)
    .get_result(connection)?;
    if is_behind.n > 0 {
        rows = newest(connection, site, POLLED)?;
        return Ok((keys(&rows), horizon));
    }
    let next = rows.last().map_or(horizon, |row| count(row.tx) + 1);
    Ok((keys(&rows), next))
}

fn keys(rows: &[JournalRow]) -> Vec<(i64, Uuid)> {
    rows.iter().flat_map(|row| row.identity_ids.iter().copied().zip(row.event_ids.iter().copied())).collect()
}

/// The complete transactions of the site, the newest first, until they have that many events.
fn newest(connection: &mut PgConnection, site: &Site, events: i64) -> Result<Vec<JournalRow>, StoreError> {
    Ok(sql(include_str!("live_newest.sql"))
        .bind::<Integer, _>(site.site_id)
        .bind::<BigInt, _>(events)
        .load(connection)?)
}

/// The newest events, and the cursor from which the next ones follow. A quiet journal is topped up with what the
/// latest people did.
fn latest(connection: &mut PgConnection, site: &Site, limit: i64) -> Result<(Vec<(i64, Uuid)>, u64), StoreError> {
    let horizon = horizon(connection)?;
    let mut keys = keys(&newest(connection, site, limit)?);
    if keys.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
        let known: HashSet<Uuid> = keys.iter().map(|key| key.1).collect();
        let rows: Vec<KeyRow> = sql(include_str!("live_latest.sql"))
            .bind::<Integer, _>(site.site_id)
            .bind::<Integer, _>(site.site_id)
            .bind::<Integer, _>(site.site_id)
            .bind::<Integer, _>(site.site_id)
            .bind::<BigInt, _>(limit)
            .load(connection)?;
        keys.extend(
            rows.into_iter().filter(|row| !known.contains(&row.event_id)).map(|row| (row.identity_id, row.event_id)),
        );
    }
    Ok((keys, horizon))
}

/// These events in words, in no order; bots are left out.
pub(super) fn tell(
    connection: &mut PgConnection,
    site: &Site,
    keys: &[(i64, Uuid)],
) -> Result<Vec<LiveEvent>, StoreError> {
    let mut rows = people::events_by_key(connection, site.site_id, keys)?;
    rows.retain(|row| row.bot_score.unwrap_or(0) < site.bots_from());
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let names = names(connection, site, &rows)?;
    let profile_of: HashMap<i64, i64> = names.iter().map(|(identity, row)| (*identity, row.profile_id)).collect();
    let teller = Teller::read(connection, site, &rows, &profile_of)?;
    let mut channels = channels(connection, site, &rows, &profile_of)?;
    let counts_unconfirmed = site.rules().browser_orders_count;
    Ok(rows
        .iter()
        .zip(1..)
        .map(|(row, n)| {
            let profile_id = profile_of.get(&row.identity_id).copied().unwrap_or_default();
            let trust = happened::trust(row);
            // The projector has not come to it yet: what it will find, unless the order turns out to be another's.
            let counts = trust == domain::event::Trust::Trusted || counts_unconfirmed;
            let name = names.get(&row.identity_id);
            let is_measured =
                row.flags & flags::MEASURED != 0 || name.is_some_and(|name| name.kind == IdentityKind::Measured.code());
            LiveEvent {
                event_id: row.event_id,
                at: from_timestamp(row.occurred_at),
                what: teller.tell(row, profile_id, Some(counts)),
                person: PersonName {
                    profile_id: (!is_measured && name.is_some()).then_some(ProfileId(profile_id)),
                    name: name.filter(|_| !is_measured).and_then(|name| name.name.clone()),
                },
                channel: channels.remove(&n),
                consent: if is_measured { Consent::Measure } else { Consent::Full },
                trust,
            }
        })
        .collect())
}

fn names(connection: &mut PgConnection, site: &Site, rows: &[EventRow]) -> Result<HashMap<i64, NameRow>, StoreError> {
    let identity_ids: HashSet<i64> = rows.iter().map(|row| row.identity_id).collect();
    let rows: Vec<NameRow> = sql(include_str!("live_names.sql"))
        .bind::<Integer, _>(site.site_id)
        .bind::<Array<BigInt>, _>(identity_ids.into_iter().collect::<Vec<_>>())
        .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.identity_id, row)).collect())
}

/// The channel of the visit that each event happened in, by the event's place among `rows`, from 1 on.
fn channels(
    connection: &mut PgConnection,
    site: &Site,
    rows: &[EventRow],
    profile_of: &HashMap<i64, i64>,
) -> Result<HashMap<i64, String>, StoreError> {
    let profiles = rows.iter().map(|row| profile_of.get(&row.identity_id).copied().unwrap_or_default());
    let found: Vec<ChannelRow> = sql(include_str!("live_channels.sql"))
        .bind::<Array<BigInt>, _>(profiles.collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.occurred_at).collect::<Vec<_>>())
        .bind::<Integer, _>(site.site_id)
        .load(connection)?;
    Ok(found.into_iter().map(|row| (row.n, channel_name(&row.channel))).collect())
}

fn visitors_now(connection: &mut PgConnection, site: &Site) -> Result<u64, StoreError> {
    // One number: profiles with an event of the last five minutes, and the same of measured visitors, who live for a
    // day at most and have visits alone.
    let row: CountRow = sql("SELECT (SELECT count(*) FROM profiles
                 WHERE site_id = $1 AND last_seen > now() - interval '5 minutes' AND last_seen <= now())
              + (SELECT count(DISTINCT s.profile_id) FROM sessions s
                 WHERE s.site_id = $2 AND s.started_at > now() - interval '1 day'
                   AND s.ended_at > now() - interval '5 minutes' AND s.ended_at <= now()
                   AND NOT EXISTS (SELECT FROM profiles p
                                   WHERE p.site_id = s.site_id AND p.profile_id = s.profile_id)) AS n")
    .bind::<Integer, _>(site.site_id)
    .bind::<Integer, _>(site.site_id)
    .get_result(connection)?;
    Ok(count(row.n))
}

fn outcomes(connection: &mut PgConnection, site: &Site, now: Timestamp) -> Result<Outcomes, StoreError> {
    // The counters are kept by UTC day.
    let today = now.to_zoned_datetime(TimeZone::UTC).date();
    let since = today.to_zoned_datetime(TimeZone::UTC).map_or(now, |midnight| midnight.timestamp());
    let rows: Vec<OutcomeRow> = sql("SELECT outcome, sum(count)::bigint AS count FROM site_outcomes
         WHERE site_id = $1 AND day = $2::text::date GROUP BY outcome ORDER BY 2 DESC, 1")
    .bind::<Integer, _>(site.site_id)
    .bind::<Text, _>(today.to_string())
    .load(connection)?;
    let mut outcomes = Outcomes { since, stored: 0, duplicate: 0, rejected: Vec::new() };
    for row in rows {
        match row.outcome.as_str() {
            STORED => outcomes.stored = count(row.count),
            DUPLICATE => outcomes.duplicate = count(row.count),
            _ => outcomes.rejected.push(RejectedReason { reason: row.outcome, count: count(row.count) }),
        }
    }
    Ok(outcomes)
}
