//! Where a site's events come from, and how each source fares.

use super::count;
use super::live;
use crate::intake::webhook::{self, Vendor};
use crate::store::events::Term;
use crate::store::ingest::{DUPLICATE, STORED};
use crate::store::privacy;
use crate::store::sites::Site;
use crate::store::sources::{Source, SourceKind};
use crate::store::sql::sql;
use crate::store::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use domain::report::{
    Connector, ConnectorReport, Hook, HookSecret, LiveEvent, RejectedReason, SourceBook, SourceCounts, SourceDay,
    SourceLine, SourcePage, SourceState,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Days that counts go back, today among them.
const DAYS: i64 = 30;
/// Events and rejected messages of one source that are shown.
const SHOWN: i64 = 20;
/// A site with more events than this in a day is searched for a source's latest in the last hour alone: events have no
/// index on their source, and a page must not read millions of them.
const MANY_A_DAY: i64 = 200_000;

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = Text)]
    day: String,
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct LastRow {
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = Timestamptz)]
    last_at: PgTimestamp,
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
}

/// A source that an owner has made, and how it stands where it is asked.
struct Made {
    source: Source,
    connector: Option<ConnectorReport>,
}

/// What one source sent, by day and outcome.
type Sent = BTreeMap<(Date, String), i64>;

/// Counts and last messages of all sources of a site.
struct Fared {
    sent: BTreeMap<String, Sent>,
    last: BTreeMap<String, Timestamp>,
}

/// The first of the days that counts go back.
fn first_day(now: Timestamp) -> Date {
    now.to_zoned_datetime(TimeZone::UTC).date().saturating_sub((DAYS - 1).days())
}

impl Fared {
    fn read(connection: &mut PgConnection, site: &Site, now: Timestamp) -> Result<Fared, StoreError> {
        let first = first_day(now);
        // One row per source, day and outcome.
        let counts: Vec<CountRow> =
            sql("SELECT source, day::text AS day, outcome, sum(count)::bigint AS count FROM source_outcomes
             WHERE site_id = $1 AND day >= $2::text::date GROUP BY source, day, outcome")
            .bind::<Integer, _>(site.site_id)
            .bind::<Text, _>(first.to_string())
            .load(connection)?;
        // One row per source: when its last message came, of any outcome.
        let last: Vec<LastRow> =
            sql("SELECT source, max(last_at) AS last_at FROM source_outcomes WHERE site_id = $1 GROUP BY source")
                .bind::<Integer, _>(site.site_id)
                .load(connection)?;
        let mut sent: BTreeMap<String, Sent> = BTreeMap::new();
        for row in counts {
            let day: Date = row.day.parse().map_err(|error| StoreError::Refused(format!("{}: {error}", row.day)))?;
            *sent.entry(row.source).or_default().entry((day, row.outcome)).or_default() += row.count;
        }
        Ok(Fared { sent, last: last.into_iter().map(|row| (row.source, from_timestamp(row.last_at))).collect() })
    }

    fn on(&self, key: &str, days: impl Fn(Date) -> bool) -> SourceCounts {
        let mut counts = SourceCounts::default();
        for ((_, outcome), number) in self.sent.get(key).into_iter().flatten().filter(|((day, _), _)| days(*day)) {
            match outcome.as_str() {
                STORED => counts.stored += count(*number),
                DUPLICATE => counts.duplicate += count(*number),
                _ => counts.rejected += count(*number),
            }
        }
        counts
    }

    fn line(&self, key: &str, made: Option<&Made>, now: Timestamp) -> SourceLine {
        let connector = made.and_then(|made| made.connector.as_ref());
        let last_at = self.last.get(key).copied();
        let last_day = last_at.map(|at| at.to_zoned_datetime(TimeZone::UTC).date());
        let source = made.map(|made| &made.source);
        let state = match (source, connector) {
            (Some(source), _) if !source.is_active => SourceState::Paused,
            (Some(source), _) if source.secret.is_empty() => SourceState::NeedsSecret,
            (_, Some(connector)) => SourceState::of_connector(connector),
            (_, None) => SourceState::of(last_at, self.on(key, |day| Some(day) == last_day), now),
        };
        let last_at = last_at.max(connector.and_then(|connector| connector.last_at));
        SourceLine {
            key: key.to_owned(),
            name: source.map(|source| source.name.clone()),
            state,
            last_at,
            counts: self.on(key, |_| true),
        }
    }

    /// The last days of a source, oldest first, those without a message too.
    fn days(&self, key: &str, now: Timestamp) -> Vec<SourceDay> {
        let today = now.to_zoned_datetime(TimeZone::UTC).date();
        let days = (0..DAYS).rev().map(|ago| today.saturating_sub(ago.days()));
        days.map(|day| SourceDay { day, counts: self.on(key, |one| one == day) }).collect()
    }

    fn reasons(&self, key: &str) -> Vec<RejectedReason> {
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for ((_, outcome), number) in self.sent.get(key).into_iter().flatten() {
            if outcome != STORED && outcome != DUPLICATE {
                *reasons.entry(outcome).or_default() += count(*number);
            }
        }
        let mut reasons: Vec<RejectedReason> =
            reasons.into_iter().map(|(reason, count)| RejectedReason { reason: reason.to_owned(), count }).collect();
        reasons.sort_by_key(|row| std::cmp::Reverse(row.count));
        reasons
    }
}

impl Store {
    /// The sources that an owner has made and those that have sent anything.
    pub(crate) fn source_book(&self, site: &Site, now: Timestamp) -> Result<SourceBook, StoreError> {
        let made = self.made(site.site_id)?;
        self.read(|connection| {
            let fared = Fared::read(connection, site, now)?;
            let privacy = privacy::counted(connection, site.site_id, Some(first_day(now)))?;
            let made_lines = made.iter().map(|made| fared.line(&made.source.key, Some(made), now));
            let others = fared.last.keys().filter(|key| made.iter().all(|made| made.source.key != **key));
            let mut sources: Vec<SourceLine> = made_lines.chain(others.map(|key| fared.line(key, None, now))).collect();
            sources.sort_by_key(|line| std::cmp::Reverse(line.last_at));
            Ok(SourceBook { site: crate::segments::report_site(site), now, sources, privacy })
        })
    }

    /// The sources that an owner has made.
    fn made(&self, site_id: i32) -> Result<Vec<Made>, StoreError> {
        let mut reports: BTreeMap<String, ConnectorReport> =
            self.connectors(site_id)?.into_iter().map(|report| (report.key.clone(), report)).collect();
        let sources = self.connected(site_id)?.into_iter();
        Ok(sources.map(|source| Made { connector: reports.remove(&source.key), source }).collect())
    }

    /// Everything about one source, whether it has sent anything or not. `origin` is where the collector is reached.
    pub(crate) fn source_page(
        &self,
        site: &Site,
        key: &str,
        origin: &str,
        now: Timestamp,
    ) -> Result<SourcePage, StoreError> {
        let made = self.made(site.site_id)?.into_iter().find(|made| made.source.key == key);
        self.read(|connection| {
            let fared = Fared::read(connection, site, now)?;
            let line = fared.line(key, made.as_ref(), now);
            let (hook, connector) = match made {
                Some(made) => connection_of(made, origin, now),
                None => (None, None),
            };
            Ok(SourcePage {
                site: crate::segments::report_site(site),
                now,
                origin: origin.to_owned(),
                write_key: site.write_key.clone(),
                line,
                days: fared.days(key, now),
                reasons: fared.reasons(key),
                latest_rejected: super::rejected(connection, site.site_id, Some(key), SHOWN)?,
                events: latest(connection, site, key, fared.last.get(key).copied())?,
                hook,
                connector,
            })
        })
    }
}

fn connection_of(made: Made, origin: &str, now: Timestamp) -> (Option<Hook>, Option<Connector>) {
    let Made { source, connector } = made;
    match source.kind {
        SourceKind::Webhook(vendor) => (Some(hook(source, vendor, origin, now)), None),
        SourceKind::Connector(kind) => {
            let connector = connector.map(|report| Connector {
                system: kind.label().to_owned(),
                account: source.settings.reach.map(|reach| reach.account).unwrap_or_default(),
                advice: kind.advice(),
                created_at: source.created_at,
                report,
            });
            (None, connector)
        }
    }
}

fn hook(source: Source, vendor: Vendor, origin: &str, now: Timestamp) -> Hook {
    let address = source.posted_to(origin);
    Hook {
        vendor: vendor.label().to_owned(),
        address,
        secret: if source.secret.is_empty() {
            HookSecret::Missing
        } else if vendor.owner_chooses_secret() {
            HookSecret::Told(source.secret.expose().to_owned())
        } else {
            HookSecret::Kept
        },
        advice: vendor.advice(),
        namespace: source.settings.namespace,
        order_numbers: source.settings.order_ids == webhook::OrderIds::Number,
        created_at: source.created_at,
        mapping: webhook::mapping(vendor),
        samples: webhook::samples(vendor, now),
    }
}

/// The latest events of a source among those that happened in the day, or the hour, up to its last message.
fn latest(
    connection: &mut PgConnection,
    site: &Site,
    key: &str,
    last_at: Option<Timestamp>,
) -> Result<Vec<LiveEvent>, StoreError> {
    let Some(last_at) = last_at else { return Ok(Vec::new()) };
    // One row per event: it names its source by the number of a text.
    let rows: Vec<KeyRow> = sql(include_str!("source_latest.sql"))
        .bind::<Integer, _>(site.site_id)
        .bind::<SmallInt, _>(Term::Source as i16)
        .bind::<Text, _>(key.to_owned())
        .bind::<Timestamptz, _>(super::moment(last_at))
        .bind::<BigInt, _>(MANY_A_DAY)
        .bind::<BigInt, _>(SHOWN)
        .load(connection)?;
    let keys: Vec<(i64, Uuid)> = rows.into_iter().map(|row| (row.identity_id, row.event_id)).collect();
    let mut events = live::tell(connection, site, &keys)?;
    events.sort_unstable_by_key(|event| std::cmp::Reverse((event.at, event.event_id)));
    Ok(events)
}
