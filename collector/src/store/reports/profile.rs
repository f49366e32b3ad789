//! One person with everything that is known.

use super::happened::{self, Teller, value_text};
use super::timeline::{Bounds, Entry, Mark, entries};
use super::traits::known_traits;
use super::{SumRow, TermRow, channel_name, count, moment};
use crate::store::events::{Kind, Term, flags};
use crate::store::people::{self, EventRow, Texts};
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use domain::event::{ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED, ORDER_UPDATED, ProfileId, Trust};
use domain::identity::Kind as IdentityKind;
use domain::report::{
    Belonging, Happened, IdentityRow, Moment, Paging, Profile, TimelineEntry, TimelineFilter, TimelineKind, Visit,
};
use domain::surroundings::{Country, DeviceClass, EmailClass, Surroundings};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// Events of one person that a timeline goes back; only robots have more.
const EVENTS: i64 = 20_000;
/// Identities that are listed, the oldest.
const IDENTITIES: i64 = 1_000;

/// What became of a profile's number.
pub(crate) enum Found {
    /// The person.
    Profile(Box<Profile>),
    /// It was merged into this one.
    MovedTo(i64),
    /// There is none.
    Nobody,
}

#[derive(QueryableByName)]
struct NumberedRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = Bool)]
    trusted: bool,
    #[diesel(sql_type = Timestamptz)]
    first_seen: PgTimestamp,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct FactsRow {
    #[diesel(sql_type = Timestamptz)]
    first_seen: PgTimestamp,
    #[diesel(sql_type = Timestamptz)]
    last_seen: PgTimestamp,
    #[diesel(sql_type = Integer)]
    sessions: i32,
    #[diesel(sql_type = Integer)]
    views: i32,
    #[diesel(sql_type = BigInt)]
    engaged_ms: i64,
    #[diesel(sql_type = Integer)]
    orders: i32,
    #[diesel(sql_type = BigInt)]
    revenue_minor: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    first_order_at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_order_at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    first_channel: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    last_channel: Option<String>,
    #[diesel(sql_type = Jsonb)]
    traits: Value,
    #[diesel(sql_type = Nullable<Text>)]
    country: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    language: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    time_zone: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    device: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    browser: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    system: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    email_class: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    currency: Option<String>,
}

impl FactsRow {
    fn surroundings(&self) -> Surroundings {
        let text = |text: &Option<String>| text.as_deref().map(Arc::from);
        Surroundings {
            country: self.country.as_deref().and_then(Country::from_code),
            language: text(&self.language),
            time_zone: text(&self.time_zone),
            device: self.device.as_deref().and_then(DeviceClass::from_key),
            browser: text(&self.browser),
            browser_version: None,
            system: text(&self.system),
        }
    }
}

#[derive(QueryableByName)]
struct VisitRow {
    #[diesel(sql_type = SqlUuid)]
    session_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    started_at: PgTimestamp,
    #[diesel(sql_type = Timestamptz)]
    ended_at: PgTimestamp,
    #[diesel(sql_type = Integer)]
    views: i32,
    #[diesel(sql_type = BigInt)]
    engaged_ms: i64,
    #[diesel(sql_type = Text)]
    channel: String,
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = Text)]
    campaign: String,
}

#[derive(QueryableByName)]
struct MarkRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    occurred_at: PgTimestamp,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = SmallInt)]
    flags: i16,
    #[diesel(sql_type = Nullable<Integer>)]
    name_id: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    source_id: Option<i32>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    session_id: Option<Uuid>,
}

#[derive(QueryableByName)]
struct SnapshotRow {
    #[diesel(sql_type = SqlUuid)]
    view_id: Uuid,
    #[diesel(sql_type = Nullable<Integer>)]
    engaged_ms: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    clicks: Option<i32>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    max_scroll_pct: Option<i16>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    properties: Option<serde_json::Value>,
}

impl Store {
    /// Everything known of one person, with one page of the timeline.
    ///
    /// `segments` are those that the person is in; a measured visitor has no profile.
    pub(crate) fn profile(
        &self,
        site: &Site,
        profile_id: i64,
        (page, per_page): (u32, u32),
        filter: TimelineFilter,
        segments: Vec<Belonging>,
        now: Timestamp,
    ) -> Result<Found, StoreError> {
        self.read(|connection| {
            let identities = identities(connection, site, profile_id)?;
            if identities.is_empty() {
                return moved(connection, site, profile_id);
            }
            let Some(facts) = facts(connection, site, profile_id)? else { return Ok(Found::Nobody) };
            let visits = visits(connection, site, profile_id)?;
            let identity_ids: Vec<i64> = identities.iter().map(|row| row.identity_id).collect();
            let mut marks = marks(connection, site, profile_id, &identity_ids, &visits)?;
            let mut texts = Texts::default();
            texts.read(connection, site.site_id, marks.iter().filter_map(|mark| mark.source_id))?;
            let source = |mark: &Mark| Some(texts.get(site.site_id, mark.source_id?)?.to_string());
            let sources: BTreeSet<String> = marks.iter().filter_map(source).collect();
            if !filter.is_empty() {
                let is_of = |wanted: &String, mark: &Mark| source(mark).is_some_and(|source| source == *wanted);
                marks.retain(|mark| {
                    filter.kind.is_none_or(|kind| kind == mark.kind)
                        && filter.source.as_ref().is_none_or(|wanted| is_of(wanted, mark))
                });
            }
            let bounds: Vec<Bounds> = visits
                .iter()
                .map(|row| Bounds {
                    started_at: from_timestamp(row.started_at),
                    ended_at: from_timestamp(row.ended_at),
                })
                .collect();
            let mut all = entries(&bounds, marks);
            if !filter.is_empty() {
                all.retain(|entry| !entry.events.is_empty());
            }
            let paging = Paging { page, per_page, total: all.len() as u64 };
            let skipped = usize::try_from(paging.offset()).unwrap_or(usize::MAX);
            let shown: Vec<Entry> = all.into_iter().skip(skipped).take(per_page as usize).collect();
            let timeline = tell(connection, site, profile_id, &shown, &visits, &source)?;
            let email = known(&identities, IdentityKind::Email).or_else(|| trait_text(&facts.traits, "email"));
            Ok(Found::Profile(Box::new(Profile {
                site: crate::segments::report_site(site),
                now,
                profile_id: ProfileId(profile_id),
                traits: known_traits(connection, site, profile_id, &further_traits(&facts.traits, email.as_deref()))?,
                name: trait_text(&facts.traits, "name"),
                email,
                user_id: known(&identities, IdentityKind::UserId),
                first_seen: from_timestamp(facts.first_seen),
                last_seen: from_timestamp(facts.last_seen),
                sessions: count(facts.sessions.into()),
                views: count(facts.views.into()),
                engaged_ms: count(facts.engaged_ms),
                orders: count(facts.orders.into()),
                revenue: domain::money::Money { minor: facts.revenue_minor, currency: site.currency },
                other_currencies: other_currencies(connection, site, profile_id)?,
                first_order_at: facts.first_order_at.map(from_timestamp),
                last_order_at: facts.last_order_at.map(from_timestamp),
                first_channel: facts.first_channel.as_deref().map(channel_name),
                last_channel: facts.last_channel.as_deref().map(channel_name),
                surroundings: facts.surroundings(),
                email_class: facts.email_class.as_deref().and_then(EmailClass::from_key),
                currency: facts.currency,
                identities: identities.into_iter().map(identity).collect(),
                segments,
                may_be: super::matches::may_be(connection, site.site_id, profile_id)?,
                moves: super::in_use::moves_of(connection, site, profile_id)?,
                scored: crate::store::models::read_scored(connection, site, profile_id)?,
                sources: sources.into_iter().collect(),
                filter,
                timeline,
                paging,
            })))
        })
    }
}

fn identities(connection: &mut PgConnection, site: &Site, profile_id: i64) -> Result<Vec<NumberedRow>, StoreError> {
    let rows: Vec<NumberedRow> = sql("SELECT identity_id, kind, value, trusted, first_seen FROM identities
         WHERE site_id = $1 AND profile_id = $2 AND kind <> $3 ORDER BY first_seen, identity_id LIMIT $4")
    .bind::<Integer, _>(site.site_id)
    .bind::<BigInt, _>(profile_id)
    .bind::<SmallInt, _>(IdentityKind::Measured.code())
    .bind::<BigInt, _>(IDENTITIES)
    .load(connection)?;
    Ok(rows)
}

/// A profile has the number of the identity that it was founded on: where that is now, the person is.
fn moved(connection: &mut PgConnection, site: &Site, profile_id: i64) -> Result<Found, StoreError> {
    let row: Option<IdRow> = sql("SELECT profile_id AS id FROM identities
         WHERE site_id = $1 AND identity_id = $2 AND profile_id <> $3 AND kind <> $4")
    .bind::<Integer, _>(site.site_id)
    .bind::<BigInt, _>(profile_id)
    .bind::<BigInt, _>(profile_id)
    .bind::<SmallInt, _>(IdentityKind::Measured.code())
    .get_result(connection)
    .optional()?;
    Ok(row.map_or(Found::Nobody, |row| Found::MovedTo(row.id)))
}

fn facts(connection: &mut PgConnection, site: &Site, profile_id: i64) -> Result<Option<FactsRow>, StoreError> {
    Ok(sql("SELECT first_seen, last_seen, sessions, views, engaged_ms, orders, revenue_minor, first_order_at,
                last_order_at, first_channel, last_channel, traits, country, language, time_zone, device, browser,
                system, email_class, currency
         FROM profiles WHERE site_id = $1 AND profile_id = $2")
    .bind::<Integer, _>(site.site_id)
    .bind::<BigInt, _>(profile_id)
    .get_result(connection)
    .optional()?)
}

fn visits(connection: &mut PgConnection, site: &Site, profile_id: i64) -> Result<Vec<VisitRow>, StoreError> {
    Ok(sql("SELECT session_id, started_at, ended_at, views, engaged_ms, channel, source, campaign
         FROM sessions WHERE site_id = $1 AND profile_id = $2")
    .bind::<Integer, _>(site.site_id)
    .bind::<BigInt, _>(profile_id)
    .load(connection)?)
}

/// The person's newest events; snapshots are told with their page view.
fn marks(
    connection: &mut PgConnection,
    site: &Site,
    profile_id: i64,
    identity_ids: &[i64],
    visits: &[VisitRow],
) -> Result<Vec<Mark>, StoreError> {
    // One row per event, with the visit of the order that it is the report of.
    let rows: Vec<MarkRow> =
        sql("SELECT e.identity_id, e.event_id, e.occurred_at, e.kind, e.flags, e.name_id, e.source_id,
                o.session_id
         FROM (
            SELECT identity_id, event_id, occurred_at, kind, flags, name_id, source_id FROM events
            WHERE site_id = $1 AND identity_id = ANY($2) AND kind <> $3 AND COALESCE(bot_score, 0) < $4
            ORDER BY occurred_at DESC, event_id DESC LIMIT $5
         ) AS e
         LEFT JOIN orders o ON o.site_id = $6 AND o.profile_id = $7 AND o.event_id = e.event_id")
        .bind::<Integer, _>(site.site_id)
        .bind::<Array<BigInt>, _>(identity_ids.to_vec())
        .bind::<SmallInt, _>(Kind::Snapshot as i16)
        .bind::<SmallInt, _>(site.bots_from())
        .bind::<BigInt, _>(EVENTS)
        .bind::<Integer, _>(site.site_id)
        .bind::<BigInt, _>(profile_id)
        .load(connection)?;
    let visit_of: HashMap<Uuid, usize> = visits.iter().map(|row| row.session_id).zip(0..).collect();
    // One row per name under which orders and their changes are told.
    let order_names: Vec<TermRow> =
        sql("SELECT term_id FROM terms WHERE site_id = $1 AND kind = $2 AND value = ANY($3)")
            .bind::<Integer, _>(site.site_id)
            .bind::<SmallInt, _>(Term::Name as i16)
            .bind::<Array<Text>, _>(
                [ORDER_COMPLETED, ORDER_UPDATED, ORDER_REFUNDED, ORDER_CANCELLED].map(str::to_owned).to_vec(),
            )
            .load(connection)?;
    let order_names: HashSet<i32> = order_names.into_iter().map(|row| row.term_id).collect();
    let kind = |row: &MarkRow| match Kind::from_code(row.kind) {
        Some(Kind::Page | Kind::Snapshot | Kind::Screen) => TimelineKind::Pages,
        Some(Kind::Identify | Kind::Group | Kind::Alias) => TimelineKind::Identity,
        Some(Kind::Track) if row.name_id.is_some_and(|name| order_names.contains(&name)) => TimelineKind::Orders,
        Some(Kind::Track) | None => TimelineKind::Events,
    };
    let mark = |row: MarkRow| Mark {
        kind: kind(&row),
        source_id: row.source_id,
        identity_id: row.identity_id,
        event_id: row.event_id,
        at: from_timestamp(row.occurred_at),
        trusted: row.flags & flags::TRUSTED != 0,
        visit: row.session_id.and_then(|id| visit_of.get(&id).copied()),
    };
    Ok(rows.into_iter().map(mark).collect())
}

/// The shown entries with their events in words.
fn tell(
    connection: &mut PgConnection,
    site: &Site,
    profile_id: i64,
    shown: &[Entry],
    visits: &[VisitRow],
    source: &dyn Fn(&Mark) -> Option<String>,
) -> Result<Vec<TimelineEntry>, StoreError> {
    let keys: Vec<(i64, Uuid)> =
        shown.iter().flat_map(|entry| &entry.events).map(|event| (event.identity_id, event.event_id)).collect();
    let mut sources: HashMap<Uuid, String> = shown
        .iter()
        .flat_map(|entry| &entry.events)
        .filter_map(|event| Some((event.event_id, source(event)?)))
        .collect();
    let rows = people::events_by_key(connection, site.site_id, &keys)?;
    let profile_of: HashMap<i64, i64> = rows.iter().map(|row| (row.identity_id, profile_id)).collect();
    let teller = Teller::read(connection, site, &rows, &profile_of)?;
    let snapshots = snapshots(connection, site, &rows)?;
    let mut moments: HashMap<Uuid, Moment> = rows
        .iter()
        .map(|row| {
            let mut what = teller.tell(row, profile_id, None);
            observe(&mut what, snapshots.get(&row.event_id));
            let source = sources.remove(&row.event_id);
            let told = Moment { at: from_timestamp(row.occurred_at), what, trust: happened::trust(row), source };
            (row.event_id, told)
        })
        .collect();
    let mut timeline = Vec::with_capacity(shown.len());
    for entry in shown {
        let events = entry.events.iter().filter_map(|event| moments.remove(&event.event_id));
        match entry.visit.and_then(|visit| visits.get(visit)) {
            Some(row) => timeline.push(TimelineEntry::Visit(Visit {
                started_at: from_timestamp(row.started_at),
                ended_at: from_timestamp(row.ended_at),
                channel: channel_name(&row.channel),
                source: named(&row.source),
                campaign: row.campaign.clone(),
                views: count(row.views.into()),
                engaged_ms: count(row.engaged_ms),
                moments: events.collect(),
            })),
            None => timeline.extend(events.map(TimelineEntry::Event)),
        }
    }
    Ok(timeline)
}

/// A visit's source, where one is known.
fn named(source: &str) -> String {
    if source == domain::attribution::Touch::direct().source { String::new() } else { source.to_owned() }
}

/// What the visitor did on each of the page views, by the view's event.
fn snapshots(
    connection: &mut PgConnection,
    site: &Site,
    rows: &[EventRow],
) -> Result<HashMap<Uuid, SnapshotRow>, StoreError> {
    let views: Vec<&EventRow> = rows.iter().filter(|row| row.kind == Kind::Page as i16).collect();
    let Some(earliest) = views.iter().map(|row| row.occurred_at).min_by_key(|at| at.0) else {
        return Ok(HashMap::new());
    };
    // One row per page view with its newest snapshot, which is never older than the view.
    let rows: Vec<SnapshotRow> =
        sql("SELECT DISTINCT ON (view_id) view_id, engaged_ms, clicks, max_scroll_pct, properties
         FROM events
         WHERE site_id = $1 AND identity_id = ANY($2) AND kind = $3 AND view_id = ANY($4) AND occurred_at >= $5
         ORDER BY view_id, revision DESC")
        .bind::<Integer, _>(site.site_id)
        .bind::<Array<BigInt>, _>(views.iter().map(|row| row.identity_id).collect::<Vec<_>>())
        .bind::<SmallInt, _>(Kind::Snapshot as i16)
        .bind::<Array<SqlUuid>, _>(views.iter().map(|row| row.event_id).collect::<Vec<_>>())
        .bind::<Timestamptz, _>(moment(from_timestamp(earliest)))
        .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.view_id, row)).collect())
}

fn observe(what: &mut Happened, snapshot: Option<&SnapshotRow>) {
    if let (Happened::Page { engaged_ms, max_scroll_pct, clicks, measures, .. }, Some(row)) = (what, snapshot) {
        let number = |value: Option<i32>| value.and_then(|value| u64::try_from(value).ok());
        *engaged_ms = number(row.engaged_ms);
        *max_scroll_pct = row.max_scroll_pct.and_then(|pct| u8::try_from(pct).ok());
        *clicks = number(row.clicks);
        *measures = row.properties.as_ref().map(happened::measures).unwrap_or_default();
    }
}

fn other_currencies(
    connection: &mut PgConnection,
    site: &Site,
    profile_id: i64,
) -> Result<Vec<domain::money::Money>, StoreError> {
    // One row per other currency: the sum of the person's counted orders in it.
    let rows: Vec<SumRow> =
        sql("SELECT currency, LEAST(GREATEST(sum(total_minor - COALESCE(refunded_minor, 0)), -9e18), 9e18)::bigint AS minor FROM orders
         WHERE site_id = $1 AND profile_id = $2 AND counted AND currency <> $3 AND total_minor IS NOT NULL
         GROUP BY currency ORDER BY currency")
        .bind::<Integer, _>(site.site_id)
        .bind::<BigInt, _>(profile_id)
        .bind::<Text, _>(site.currency.code().to_owned())
        .load(connection)?;
    super::sums(rows)
}

fn trait_text(traits: &Value, name: &str) -> Option<String> {
    Map::get(traits.as_object()?, name).and_then(value_text)
}

/// Traits that the page does not show by themselves.
fn further_traits(traits: &Value, email: Option<&str>) -> Map<String, Value> {
    let mut traits = traits.as_object().cloned().unwrap_or_default();
    traits.retain(|name, value| match name.as_str() {
        "name" => false,
        // What a browser says may be another address than the one that is known.
        "email" => value.as_str() != email,
        _ => true,
    });
    traits
}

fn known(identities: &[NumberedRow], kind: IdentityKind) -> Option<String> {
    identities.iter().find(|row| row.kind == kind.code()).map(|row| row.value.clone())
}

fn identity(row: NumberedRow) -> IdentityRow {
    IdentityRow {
        kind: kind_words(IdentityKind::from_code(row.kind)).to_owned(),
        value: row.value,
        first_seen: from_timestamp(row.first_seen),
        trust: if row.trusted { Trust::Trusted } else { Trust::Browser },
    }
}

fn kind_words(kind: Option<IdentityKind>) -> &'static str {
    match kind {
        Some(IdentityKind::Visitor) => "Visitor id",
        Some(IdentityKind::UserId) => "User id",
        Some(IdentityKind::Email) => "E-mail",
        Some(IdentityKind::Phone) => "Phone",
        Some(IdentityKind::External) => "External id",
        Some(IdentityKind::Order) => "Order",
        Some(IdentityKind::Message) => "Message without a sender",
        Some(IdentityKind::Measured) => "Measured visitor",
        None => "Unknown kind",
    }
}
