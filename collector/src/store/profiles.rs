//! One person as programs read them.

use super::events::{Kind, flags};
use super::people::{self, EventRow, Texts};
use super::sites::Site;
use super::sql::sql;
use super::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, SmallInt, Text, Timestamptz};
use domain::identity::Kind as IdentityKind;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A person: what is known, under which identities, and what they did last.
#[derive(Debug, Serialize)]
pub(crate) struct Person {
    pub(crate) profile_id: i64,
    /// `None` in the moment between the first event and its projection.
    pub(crate) facts: Option<Value>,
    pub(crate) identities: Vec<Identity>,
    pub(crate) events: Vec<Happening>,
}

/// One identifier of a person.
#[derive(Debug, Serialize)]
pub(crate) struct Identity {
    pub(crate) identity_id: i64,
    pub(crate) kind: &'static str,
    pub(crate) value: String,
    pub(crate) trusted: bool,
    pub(crate) first_seen: Timestamp,
}

/// One event of a person.
#[derive(Debug, Serialize)]
pub(crate) struct Happening {
    pub(crate) event_id: uuid::Uuid,
    pub(crate) occurred_at: Timestamp,
    pub(crate) kind: &'static str,
    pub(crate) trusted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) page: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) referrer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) campaign: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) view_id: Option<uuid::Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) properties: Option<Value>,
    /// The country's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) country: Option<String>,
    /// Language, time zone and screen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<String>,
    /// Kind of device, browser, version and system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) software: Option<String>,
    /// How much speaks for a program; events of bots are told, too, whether the site counts them or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bot_score: Option<i16>,
}

#[derive(QueryableByName)]
struct IdentityRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
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
struct FactsRow {
    #[diesel(sql_type = Jsonb)]
    facts: Value,
}

impl Store {
    /// The profile that an identifier, normalised, belongs to.
    pub(crate) fn profile_of(&self, site_id: i32, kind: IdentityKind, value: &str) -> Result<Option<i64>, StoreError> {
        let row: Option<IdentityRow> =
            sql("SELECT identity_id, profile_id, kind, value, trusted, first_seen FROM identities
             WHERE site_id = $1 AND kind = $2 AND value = $3")
            .bind::<Integer, _>(site_id)
            .bind::<SmallInt, _>(kind.code())
            .bind::<Text, _>(value.to_owned())
            .get_result(&mut *self.lend()?)
            .optional()?;
        Ok(row.map(|row| row.profile_id))
    }

    /// A person of the site with their latest `limit` events; `None` when there is no such profile.
    pub(crate) fn person(&self, site: &Site, profile_id: i64, limit: usize) -> Result<Option<Person>, StoreError> {
        // On one snapshot: an identity that has just come must not be missing beside the events that came with it.
        self.read(|connection| {
            let rows: Vec<IdentityRow> =
                sql("SELECT identity_id, profile_id, kind, value, trusted, first_seen FROM identities
             WHERE site_id = $1 AND profile_id = $2 ORDER BY first_seen, identity_id")
                .bind::<Integer, _>(site.site_id)
                .bind::<BigInt, _>(profile_id)
                .load(connection)?;
            let is_measured = |row: &IdentityRow| row.kind == IdentityKind::Measured.code();
            if rows.is_empty() || rows.iter().any(is_measured) {
                return Ok(None);
            }
            let facts: Option<FactsRow> = sql("SELECT to_jsonb(p) - 'site_id' - 'profile_id' AS facts FROM profiles p
             WHERE site_id = $1 AND profile_id = $2")
            .bind::<Integer, _>(site.site_id)
            .bind::<BigInt, _>(profile_id)
            .get_result(connection)
            .optional()?;
            let identity_ids: Vec<i64> = rows.iter().map(|row| row.identity_id).collect();
            let events = latest_events(connection, site.site_id, identity_ids, limit)?;
            let identities = rows
                .into_iter()
                .map(|row| Identity {
                    identity_id: row.identity_id,
                    kind: IdentityKind::from_code(row.kind).map_or("unknown", IdentityKind::name),
                    value: row.value,
                    trusted: row.trusted,
                    first_seen: from_timestamp(row.first_seen),
                })
                .collect();
            Ok(Some(Person { profile_id, facts: facts.map(|row| row.facts), identities, events }))
        })
    }
}

/// What a snapshot says, with what it measured.
fn snapshot(revision: i32, row: &EventRow) -> Value {
    let mut told = serde_json::json!({
        "revision": revision,
        "engaged_ms": row.engaged_ms,
        "clicks": row.clicks,
        "max_scroll_pct": row.max_scroll_pct,
    });
    if let (Some(told), Some(measures)) = (told.as_object_mut(), row.properties.as_ref().and_then(Value::as_object)) {
        told.extend(measures.clone());
    }
    told
}

/// The newest events of some identities, newest first.
fn latest_events(
    connection: &mut PgConnection,
    site_id: i32,
    identity_ids: Vec<i64>,
    limit: usize,
) -> Result<Vec<Happening>, StoreError> {
    let rows: Vec<EventRow> =
        sql("SELECT identity_id, event_id, occurred_at, kind, flags, view_id, name_id, page_id, title_id, referrer_id,
                campaign_id, revision, engaged_ms, clicks, max_scroll_pct, properties, device_id, place_id, software_id,
                bot_score, email_class, source_id
         FROM events WHERE site_id = $1 AND identity_id = ANY($2)
         ORDER BY occurred_at DESC, event_id DESC LIMIT $3")
        .bind::<Integer, _>(site_id)
        .bind::<Array<BigInt>, _>(identity_ids)
        .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))
        .load(connection)?;
    let mut texts = Texts::default();
    let shown = rows.iter().flat_map(|row| [row.page_id, row.title_id]).flatten();
    texts.read(connection, site_id, people::needed_texts(&rows).chain(shown))?;
    let text = |id: Option<i32>| id.and_then(|id| texts.get(site_id, id)).map(|text| text.to_string());
    Ok(rows
        .into_iter()
        .map(|row| Happening {
            event_id: row.event_id,
            occurred_at: from_timestamp(row.occurred_at),
            kind: Kind::from_code(row.kind).map_or("unknown", Kind::label),
            trusted: row.flags & flags::TRUSTED != 0,
            name: text(row.name_id),
            page: text(row.page_id),
            title: text(row.title_id),
            referrer: text(row.referrer_id),
            campaign: text(row.campaign_id)
                .map(|campaign| serde_json::from_str(&campaign).unwrap_or(Value::String(campaign))),
            view_id: row.view_id,
            country: text(row.place_id),
            device: text(row.device_id),
            software: text(row.software_id),
            bot_score: row.bot_score,
            snapshot: row.revision.map(|revision| snapshot(revision, &row)),
            // A snapshot's are told with it.
            properties: row.properties.filter(|_| row.revision.is_none()),
        })
        .collect())
}
