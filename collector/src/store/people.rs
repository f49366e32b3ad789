//! A person's events as `domain` reads them.

use super::StoreError;
use super::events::{Kind, flags};
use super::sql::sql;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use domain::event::{Campaign, Detail, Event, IdentityId, OrderAct, OrderReport, Page, Snapshot, TermId, Track, Trust};
use domain::identity::{Kind as IdentityKind, normalise};
use domain::money::Currency;
use domain::surroundings::{EmailClass, Found, Surroundings};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// A stored event.
#[derive(QueryableByName, Clone, Debug)]
pub(crate) struct EventRow {
    #[diesel(sql_type = BigInt)]
    pub(crate) identity_id: i64,
    #[diesel(sql_type = SqlUuid)]
    pub(crate) event_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    pub(crate) occurred_at: PgTimestamp,
    #[diesel(sql_type = SmallInt)]
    pub(crate) kind: i16,
    #[diesel(sql_type = SmallInt)]
    pub(crate) flags: i16,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(crate) view_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) name_id: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) page_id: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) title_id: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) referrer_id: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) campaign_id: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) revision: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) engaged_ms: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) clicks: Option<i32>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub(crate) max_scroll_pct: Option<i16>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub(crate) properties: Option<Value>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) device_id: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) place_id: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) software_id: Option<i32>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub(crate) bot_score: Option<i16>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub(crate) email_class: Option<i16>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub(crate) source_id: Option<i32>,
}

/// All events of some identities, in no order.
pub(crate) fn events_of(
    connection: &mut PgConnection,
    site_id: i32,
    identity_ids: &[i64],
) -> Result<Vec<EventRow>, StoreError> {
    if identity_ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sql("SELECT identity_id, event_id, occurred_at, kind, flags, view_id, name_id, page_id, title_id, referrer_id,
                campaign_id, revision, engaged_ms, clicks, max_scroll_pct, properties, device_id, place_id, software_id,
                bot_score, email_class, source_id
         FROM events WHERE site_id = $1 AND identity_id = ANY($2)")
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(identity_ids.to_vec())
    .load(connection)?)
}

/// The events of these keys, in no order; those that are gone are left out.
pub(crate) fn events_by_key(
    connection: &mut PgConnection,
    site_id: i32,
    keys: &[(i64, Uuid)],
) -> Result<Vec<EventRow>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    // Both ends of the ids let the planner leave out the months that cannot hold them.
    let lowest = keys.iter().map(|key| key.1).min().unwrap_or_default();
    let highest = keys.iter().map(|key| key.1).max().unwrap_or_default();
    Ok(sql(
        "SELECT e.identity_id, e.event_id, e.occurred_at, e.kind, e.flags, e.view_id, e.name_id, e.page_id, e.title_id,
                e.referrer_id, e.campaign_id, e.revision, e.engaged_ms, e.clicks, e.max_scroll_pct, e.properties,
                e.device_id, e.place_id, e.software_id, e.bot_score, e.email_class, e.source_id
         FROM unnest($1, $2) AS k (identity_id, event_id)
         JOIN events e ON e.site_id = $3 AND e.identity_id = k.identity_id AND e.event_id = k.event_id
         WHERE e.event_id BETWEEN $4 AND $5",
    )
    .bind::<Array<BigInt>, _>(keys.iter().map(|key| key.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(keys.iter().map(|key| key.1).collect::<Vec<_>>())
    .bind::<Integer, _>(site_id)
    .bind::<SqlUuid, _>(lowest)
    .bind::<SqlUuid, _>(highest)
    .load(connection)?)
}

/// Texts of the dictionary by number. They never change, so what was read stays read.
#[derive(Default)]
pub(crate) struct Texts {
    texts: HashMap<(i32, i32), Arc<str>>,
    campaigns: HashMap<(i32, i32), Arc<Campaign>>,
    surroundings: HashMap<(i32, [Option<i32>; 3]), Arc<Surroundings>>,
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Integer)]
    term_id: i32,
    #[diesel(sql_type = Text)]
    value: String,
}

/// Texts kept in memory by one reader; beyond, it starts afresh.
const KEPT_TEXTS: usize = 500_000;

impl Texts {
    /// Reads the texts of these numbers that are not there yet.
    pub(crate) fn read(
        &mut self,
        connection: &mut PgConnection,
        site_id: i32,
        term_ids: impl Iterator<Item = i32>,
    ) -> Result<(), StoreError> {
        if self.texts.len() > KEPT_TEXTS {
            self.texts.clear();
            self.campaigns.clear();
            self.surroundings.clear();
        }
        let missing: HashSet<i32> = term_ids.filter(|id| !self.texts.contains_key(&(site_id, *id))).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let rows: Vec<TextRow> = sql("SELECT term_id, value FROM terms WHERE site_id = $1 AND term_id = ANY($2)")
            .bind::<Integer, _>(site_id)
            .bind::<Array<Integer>, _>(missing.into_iter().collect::<Vec<_>>())
            .load(connection)?;
        self.texts.extend(rows.into_iter().map(|row| ((site_id, row.term_id), Arc::from(row.value))));
        Ok(())
    }

    pub(crate) fn get(&self, site_id: i32, term_id: i32) -> Option<&Arc<str>> {
        self.texts.get(&(site_id, term_id))
    }

    /// What the texts of a place, a software and a device say together.
    fn surroundings(&mut self, site_id: i32, ids: [Option<i32>; 3]) -> Option<Arc<Surroundings>> {
        if ids == [None; 3] {
            return None;
        }
        if let Some(known) = self.surroundings.get(&(site_id, ids)) {
            return Some(Arc::clone(known));
        }
        let [place, software, device] = ids.map(|id| self.texts.get(&(site_id, id?)).map(|text| &**text));
        let read = Arc::new(Surroundings::read(place, software, device));
        self.surroundings.insert((site_id, ids), Arc::clone(&read));
        Some(read)
    }

    fn campaign(&mut self, site_id: i32, term_id: i32) -> Option<Arc<Campaign>> {
        if let Some(campaign) = self.campaigns.get(&(site_id, term_id)) {
            return Some(Arc::clone(campaign));
        }
        // Not JSON is what a full dictionary writes, `(other)`: a campaign without a name.
        let text = self.texts.get(&(site_id, term_id))?;
        let campaign: Campaign =
            serde_json::from_str(text).unwrap_or_else(|_| Campaign { source: text.to_string(), ..Campaign::default() });
        let campaign = Arc::new(campaign);
        self.campaigns.insert((site_id, term_id), Arc::clone(&campaign));
        Some(campaign)
    }
}

/// The numbers of the texts that [`read`] needs.
pub(crate) fn needed_texts(rows: &[EventRow]) -> impl Iterator<Item = i32> + '_ {
    let ids =
        |row: &EventRow| [row.name_id, row.referrer_id, row.campaign_id, row.place_id, row.software_id, row.device_id];
    rows.iter().flat_map(ids).flatten()
}

/// Turns a stored event into the domain's. `owns_order` says whether an order of this id is the person's.
///
/// # Errors
/// [`StoreError::Refused`] when the row holds what no version ever wrote.
pub(crate) fn read(
    row: EventRow,
    site_id: i32,
    currency: Currency,
    texts: &mut Texts,
    owns_order: &dyn Fn(&str) -> bool,
) -> Result<Event, StoreError> {
    let found = Found {
        surroundings: texts
            .surroundings(site_id, [row.place_id, row.software_id, row.device_id])
            .filter(|surroundings| !surroundings.is_empty()),
        bot_score: row.bot_score.and_then(|score| u8::try_from(score).ok()).unwrap_or(0),
        email_class: row.email_class.and_then(EmailClass::from_code),
    };
    let odd = |what: &str| StoreError::Refused(format!("event {}: {what}", row.event_id));
    let text = |texts: &Texts, id: Option<i32>| id.and_then(|id| texts.get(site_id, id).cloned());
    let map = |value: Option<Value>| match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let detail = match Kind::from_code(row.kind).ok_or_else(|| odd("its kind is unknown"))? {
        Kind::Page | Kind::Screen => Detail::Page(Page {
            page: TermId(row.page_id.ok_or_else(|| odd("a page view without page"))?),
            title: row.title_id.map(TermId),
            referrer: text(texts, row.referrer_id),
            campaign: row.campaign_id.and_then(|id| texts.campaign(site_id, id)),
        }),
        Kind::Snapshot => {
            let number = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(0);
            Detail::Snapshot(Snapshot {
                view_id: row.view_id.ok_or_else(|| odd("a snapshot without page view"))?,
                revision: number(row.revision),
                engaged_ms: number(row.engaged_ms),
                clicks: number(row.clicks),
                max_scroll_pct: row.max_scroll_pct.and_then(|pct| u8::try_from(pct).ok()).unwrap_or(0),
            })
        }
        Kind::Track => {
            let name = text(texts, row.name_id).ok_or_else(|| odd("a named event without name"))?;
            let properties = map(row.properties);
            let order = OrderReport::read(&name, &properties, row.event_id, currency)
                // Intake has checked it; what the site's currency of today cannot hold is no order of today's.
                .unwrap_or_default()
                .filter(|report| match &report.act {
                    OrderAct::Completed { .. } if *report.order_id == *row.event_id.to_string() => true,
                    OrderAct::Completed { .. }
                    | OrderAct::Updated { .. }
                    | OrderAct::Refunded(_)
                    | OrderAct::Cancelled => {
                        normalise(IdentityKind::Order, &report.order_id).is_ok_and(|id| owns_order(&id))
                    }
                });
            Detail::Track(Track { name, view_id: row.view_id, properties, order })
        }
        // What is only claimed tells nothing of the person.
        Kind::Identify if row.flags & flags::CLAIMED != 0 => Detail::Identify { traits: Map::new() },
        Kind::Identify => Detail::Identify { traits: map(row.properties) },
        Kind::Group => {
            let mut properties = map(row.properties);
            let group_id = properties.get("group_id").and_then(Value::as_str).unwrap_or("").into();
            Detail::Group { group_id, traits: map(properties.remove("traits")) }
        }
        Kind::Alias => Detail::Alias,
    };
    Ok(Event {
        identity_id: IdentityId(row.identity_id),
        event_id: row.event_id,
        occurred_at: super::from_timestamp(row.occurred_at),
        trust: if row.flags & flags::TRUSTED != 0 { Trust::Trusted } else { Trust::Browser },
        detail,
        found,
    })
}
