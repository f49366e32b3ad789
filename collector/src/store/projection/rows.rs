//! Projections as rows.

use super::{Person, Projection};
use crate::store::StoreError;
use crate::store::sites::Site;
use crate::store::sql::sql;
use diesel::RunQueryDsl;
use diesel::pg::PgConnection;
use diesel::sql_types::{Array, BigInt, Integer, Jsonb, Timestamptz, Uuid as SqlUuid};
use domain::history::{History, Order, Session};
use domain::surroundings::{Country, DeviceClass};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A session as it is stored; the fields are the columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct SessionRow {
    site_id: i32,
    profile_id: i64,
    session_id: Uuid,
    started_at: Timestamp,
    ended_at: Timestamp,
    entry_page_id: Option<i32>,
    exit_page_id: Option<i32>,
    page_ids: Vec<i32>,
    views: u32,
    events: u32,
    engaged_ms: u64,
    clicks: u64,
    channel: String,
    source: String,
    medium: String,
    campaign: String,
    referrer: String,
    orders: u32,
    revenue_minor: i64,
    country: Option<&'static str>,
    language: Option<String>,
    device: Option<&'static str>,
    browser: Option<String>,
    system: Option<String>,
}

/// An order as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OrderRow {
    site_id: i32,
    profile_id: i64,
    order_id: String,
    event_id: Uuid,
    ordered_at: Timestamp,
    total_minor: Option<i64>,
    refunded_minor: i64,
    cancelled: bool,
    currency: String,
    trusted: bool,
    counted: bool,
    session_id: Option<Uuid>,
    channel: String,
    source: String,
    campaign: String,
}

/// A profile as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct ProfileRow {
    site_id: i32,
    profile_id: i64,
    first_seen: Timestamp,
    last_seen: Timestamp,
    sessions: u64,
    views: u64,
    events: u64,
    engaged_ms: u64,
    orders: u64,
    revenue_minor: i64,
    first_order_at: Option<Timestamp>,
    last_order_at: Option<Timestamp>,
    first_channel: Option<String>,
    last_channel: Option<String>,
    signed_up: bool,
    traits: Value,
    country: Option<&'static str>,
    language: Option<String>,
    time_zone: Option<String>,
    device: Option<&'static str>,
    browser: Option<String>,
    system: Option<String>,
    email_class: Option<&'static str>,
    currency: Option<String>,
}

/// Removes the projections of people who are no more.
pub(super) fn delete_people(
    connection: &mut PgConnection,
    site_id: i32,
    profile_ids: &[i64],
) -> Result<(), StoreError> {
    if profile_ids.is_empty() {
        return Ok(());
    }
    for statement in [
        "DELETE FROM sessions WHERE site_id = $1 AND profile_id = ANY($2)",
        "DELETE FROM orders WHERE site_id = $1 AND profile_id = ANY($2)",
        "DELETE FROM profiles WHERE site_id = $1 AND profile_id = ANY($2)",
        "DELETE FROM histories WHERE site_id = $1 AND profile_id = ANY($2)",
    ] {
        sql(statement)
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(profile_ids.to_vec())
            .execute(connection)?;
    }
    Ok(())
}

/// Writes the projections of some people over what is there.
pub(super) fn write(
    connection: &mut PgConnection,
    site: &Site,
    people: &BTreeMap<i64, Person>,
    projections: &[(i64, Projection)],
) -> Result<(), StoreError> {
    let projections: Vec<_> =
        projections.iter().filter_map(|(id, projection)| Some((*id, people.get(id)?, projection))).collect();
    if projections.is_empty() {
        return Ok(());
    }
    let ids = |of: &dyn Fn(&Projection) -> bool| -> Vec<i64> {
        projections.iter().filter(|(_, _, projection)| of(projection)).map(|(id, _, _)| *id).collect()
    };
    let sessions: Vec<SessionRow> = projections
        .iter()
        .flat_map(|(id, _, projection)| projection.sessions.iter().map(|session| session_row(site, *id, session)))
        .collect();
    sql("DELETE FROM sessions WHERE site_id = $1 AND profile_id = ANY($2)")
        .bind::<Integer, _>(site.site_id)
        .bind::<Array<BigInt>, _>(ids(&|projection| projection.replayed))
        .execute(connection)?;
    sql("DELETE FROM sessions AS s USING unnest($1, $2, $3) AS d (profile_id, session_id, started_at)
         WHERE s.site_id = $4 AND s.profile_id = d.profile_id AND s.session_id = d.session_id
            AND s.started_at = d.started_at")
    .bind::<Array<BigInt>, _>(sessions.iter().map(|session| session.profile_id).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(sessions.iter().map(|session| session.session_id).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(
        sessions.iter().map(|s| crate::store::timestamp(s.started_at.as_microsecond())).collect::<Vec<_>>(),
    )
    .bind::<Integer, _>(site.site_id)
    .execute(connection)?;
    insert(connection, "INSERT INTO sessions SELECT * FROM jsonb_populate_recordset(NULL::sessions, $1)", &sessions)?;
    let reordered = ids(&|projection| projection.orders_changed);
    if !reordered.is_empty() {
        let orders: Vec<OrderRow> = projections
            .iter()
            .filter(|(_, _, projection)| projection.orders_changed)
            .flat_map(|(id, _, projection)| projection.history.orders().map(|order| order_row(site, *id, order)))
            .collect();
        sql("DELETE FROM orders WHERE site_id = $1 AND profile_id = ANY($2)")
            .bind::<Integer, _>(site.site_id)
            .bind::<Array<BigInt>, _>(reordered)
            .execute(connection)?;
        insert(connection, "INSERT INTO orders SELECT * FROM jsonb_populate_recordset(NULL::orders, $1)", &orders)?;
    }
    let profiles: Vec<ProfileRow> = projections
        .iter()
        .filter(|(_, person, _)| !person.measured)
        .filter_map(|(id, person, projection)| profile_row(site, *id, person, &projection.history))
        .collect();
    insert(
        connection,
        "INSERT INTO profiles SELECT * FROM jsonb_populate_recordset(NULL::profiles, $1)
         ON CONFLICT (site_id, profile_id) DO UPDATE SET
            (first_seen, last_seen, sessions, views, events, engaged_ms, orders, revenue_minor, first_order_at,
             last_order_at, first_channel, last_channel, signed_up, traits, country, language, time_zone, device,
             browser, system, email_class, currency) =
            (EXCLUDED.first_seen, EXCLUDED.last_seen, EXCLUDED.sessions, EXCLUDED.views, EXCLUDED.events,
             EXCLUDED.engaged_ms, EXCLUDED.orders, EXCLUDED.revenue_minor, EXCLUDED.first_order_at,
             EXCLUDED.last_order_at, EXCLUDED.first_channel, EXCLUDED.last_channel, EXCLUDED.signed_up,
             EXCLUDED.traits, EXCLUDED.country, EXCLUDED.language, EXCLUDED.time_zone, EXCLUDED.device,
             EXCLUDED.browser, EXCLUDED.system, EXCLUDED.email_class, EXCLUDED.currency)",
        &profiles,
    )?;
    // Who has nothing but what was left out, as a bot, is nobody.
    let nobody: Vec<i64> = projections
        .iter()
        .filter(|(_, _, projection)| projection.replayed && projection.history.facts().first_seen.is_none())
        .map(|(id, ..)| *id)
        .collect();
    if !nobody.is_empty() {
        sql("DELETE FROM profiles WHERE site_id = $1 AND profile_id = ANY($2)")
            .bind::<Integer, _>(site.site_id)
            .bind::<Array<BigInt>, _>(nobody)
            .execute(connection)?;
    }
    let histories: Vec<Value> = projections
        .iter()
        .map(|(id, _, projection)| {
            let history = serde_json::to_value(&projection.history).map_err(unwritable)?;
            Ok(serde_json::json!({ "site_id": site.site_id, "profile_id": id, "history": history }))
        })
        .collect::<Result<_, StoreError>>()?;
    insert(
        connection,
        "INSERT INTO histories SELECT * FROM jsonb_populate_recordset(NULL::histories, $1)
         ON CONFLICT (site_id, profile_id) DO UPDATE SET history = EXCLUDED.history",
        &histories,
    )
}

fn unwritable(error: serde_json::Error) -> StoreError {
    StoreError::Refused(format!("a projection cannot be written as JSON: {error}"))
}

fn insert<T: Serialize>(connection: &mut PgConnection, statement: &'static str, rows: &[T]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows = serde_json::to_value(rows).map_err(unwritable)?;
    sql(statement).bind::<Jsonb, _>(rows).execute(connection)?;
    Ok(())
}

fn session_row(site: &Site, profile_id: i64, session: &Session) -> SessionRow {
    let (touch, around) = (&session.touch, &session.surroundings);
    SessionRow {
        site_id: site.site_id,
        profile_id,
        session_id: session.session_id,
        started_at: session.started_at,
        ended_at: session.ended_at,
        entry_page_id: session.entry.map(|term| term.0),
        exit_page_id: session.exit.map(|term| term.0),
        page_ids: session.pages.iter().map(|term| term.0).collect(),
        views: session.views,
        events: session.events,
        engaged_ms: session.engaged_ms,
        clicks: session.clicks,
        channel: touch.channel.key().to_owned(),
        source: touch.source.clone(),
        medium: touch.medium.clone(),
        campaign: touch.campaign.clone(),
        referrer: touch.referrer_host.clone().unwrap_or_default(),
        orders: session.orders,
        revenue_minor: session.revenue_minor,
        country: around.country.map(Country::code),
        language: around.language.as_deref().map(str::to_owned),
        device: around.device.map(DeviceClass::key),
        browser: around.browser.as_deref().map(str::to_owned),
        system: around.system.as_deref().map(str::to_owned),
    }
}

fn order_row(site: &Site, profile_id: i64, order: &Order) -> OrderRow {
    OrderRow {
        site_id: site.site_id,
        profile_id,
        order_id: order.order_id.to_string(),
        event_id: order.event_id,
        ordered_at: order.ordered_at,
        total_minor: order.total.map(|total| total.minor),
        refunded_minor: order.refunded_minor,
        cancelled: order.cancelled,
        currency: order.total.map_or(site.currency, |total| total.currency).code().to_owned(),
        trusted: order.confirmed(),
        counted: order.counted,
        session_id: order.session_id,
        channel: order.touch.channel.key().to_owned(),
        source: order.touch.source.clone(),
        campaign: order.touch.campaign.clone(),
    }
}

fn profile_row(site: &Site, profile_id: i64, person: &Person, history: &History) -> Option<ProfileRow> {
    let facts = history.facts();
    let around = &facts.surroundings;
    let traits: serde_json::Map<String, Value> =
        facts.traits.iter().map(|(name, said)| (name.clone(), said.value.clone())).collect();
    Some(ProfileRow {
        site_id: site.site_id,
        profile_id,
        // Without an event there is nobody yet.
        first_seen: facts.first_seen?,
        last_seen: facts.last_seen?,
        sessions: facts.sessions,
        views: facts.views,
        events: facts.events,
        engaged_ms: facts.engaged_ms,
        orders: facts.orders,
        revenue_minor: facts.revenue_minor,
        first_order_at: facts.first_order_at,
        last_order_at: facts.last_order_at,
        first_channel: facts.first_touch.as_ref().map(|touched| touched.touch.channel.key().to_owned()),
        last_channel: facts.last_touch.as_ref().map(|touched| touched.touch.channel.key().to_owned()),
        signed_up: person.signed_up,
        traits: Value::Object(traits),
        country: around.country.map(Country::code),
        language: around.language.as_deref().map(str::to_owned),
        time_zone: around.time_zone.as_deref().map(str::to_owned),
        device: around.device.map(DeviceClass::key),
        browser: around.browser.as_deref().map(str::to_owned),
        system: around.system.as_deref().map(str::to_owned),
        email_class: facts.email_class.map(|(class, _)| class.key()),
        currency: history.currency().map(|currency| currency.code().to_owned()),
    })
}
