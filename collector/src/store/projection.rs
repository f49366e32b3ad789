//! Projections: what the journal says was touched is folded into histories, sessions, orders and profiles.
//!
//! One transaction claims journal rows that no other process holds, locks the people they touch in the order of their
//! numbers, and only then reads them. A person whose new events all come after what is folded already goes on from the
//! stored history; anybody else is folded from the first event. Both give the same.

use super::people::{self, EventRow, Texts};
use super::sites::Site;
use super::sql::sql;
use super::{Store, StoreError};
use diesel::Connection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Jsonb, SmallInt, Text, Uuid as SqlUuid};
use domain::event::Event;
use domain::history::{self, History, Order, Session};
use domain::identity::Kind as IdentityKind;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Journal rows of one transaction. A group of the writers is one row of up to 5,000 events.
const CLAIMED_ROWS: i32 = 8;
/// Buckets that people are locked by: enough that two processes seldom meet, few enough for PostgreSQL's lock table.
const LOCK_BUCKETS: i64 = 256;

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Journal rows projected.
    pub(crate) rows: usize,
    /// Events in them.
    pub(crate) events: usize,
    /// People touched.
    pub(crate) people: usize,
    /// People folded from the first event.
    pub(crate) replayed: usize,
}

#[derive(QueryableByName)]
struct JournalRow {
    #[diesel(sql_type = Text)]
    tx: String,
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = Array<BigInt>)]
    identity_ids: Vec<i64>,
    #[diesel(sql_type = Array<SqlUuid>)]
    event_ids: Vec<Uuid>,
    #[diesel(sql_type = Array<BigInt>)]
    relinked_profiles: Vec<i64>,
}

#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct JsonRow {
    #[diesel(sql_type = Jsonb)]
    row: Value,
}

#[derive(QueryableByName)]
struct HistoryRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Jsonb)]
    history: Value,
}

/// A session as it is stored; the fields are the columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    currency: String,
    trusted: bool,
    counted: bool,
    session_id: Option<Uuid>,
    channel: String,
    source: String,
    campaign: String,
}

/// A profile as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
}

/// A person: a profile's identities, or a day's measured visitor.
#[derive(Default)]
struct Person {
    identity_ids: Vec<i64>,
    orders: HashSet<String>,
    measured: bool,
    signed_up: bool,
}

/// What a person's events come to.
struct Projection {
    history: History,
    /// New or changed sessions; all of them after a replay.
    sessions: Vec<Session>,
    replayed: bool,
    orders_changed: bool,
}

/// The projector's memory.
#[derive(Default)]
pub(crate) struct Projector {
    texts: Texts,
}

impl Projector {
    /// Projects what waits, up to a bounded number of journal rows; a step of zero rows means that nothing waits.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is projected then.
    pub(crate) fn step(&mut self, store: &Store, connection: &mut PgConnection) -> Result<Step, StoreError> {
        let sites: HashMap<i32, Site> = store.sites()?.into_iter().map(|site| (site.site_id, site)).collect();
        connection.transaction(|connection| {
            let rows: Vec<JournalRow> = sql(
                "SELECT tx::text AS tx, site_id, identity_ids, event_ids, relinked_profiles FROM journal
                 WHERE NOT projected ORDER BY tx LIMIT $1 FOR UPDATE SKIP LOCKED",
            )
            .bind::<Integer, _>(CLAIMED_ROWS)
            .load(connection)?;
            let mut step = Step { rows: rows.len(), ..Step::default() };
            let mut touched: BTreeMap<i32, Touched> = BTreeMap::new();
            for row in &rows {
                let touched = touched.entry(row.site_id).or_default();
                touched.keys.extend(row.identity_ids.iter().copied().zip(row.event_ids.iter().copied()));
                touched.relinked.extend(&row.relinked_profiles);
                step.events += row.event_ids.len();
            }
            for (site_id, touched) in &touched {
                // A site that was deleted takes its journal with it.
                let Some(site) = sites.get(site_id) else { continue };
                self.site(connection, site, touched, &mut step)?;
            }
            if !rows.is_empty() {
                sql("UPDATE journal AS j SET projected = true FROM unnest($1, $2) AS d (tx, site_id)
                     WHERE j.tx = d.tx::xid8 AND j.site_id = d.site_id")
                .bind::<Array<Text>, _>(rows.iter().map(|row| row.tx.clone()).collect::<Vec<_>>())
                .bind::<Array<Integer>, _>(rows.iter().map(|row| row.site_id).collect::<Vec<_>>())
                .execute(connection)?;
            }
            Ok(step)
        })
    }

    fn site(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
        touched: &Touched,
        step: &mut Step,
    ) -> Result<(), StoreError> {
        let identity_ids: BTreeSet<i64> = touched.keys.iter().map(|key| key.0).collect();
        let mut profile_ids: BTreeSet<i64> = touched.relinked.clone();
        profile_ids.extend(profiles_of(connection, site.site_id, &identity_ids)?.into_values());
        lock(connection, site.site_id, &profile_ids)?;
        let mut people = read_people(connection, site.site_id, &profile_ids)?;
        let profile_of: HashMap<i64, i64> = people
            .iter()
            .flat_map(|(profile_id, person)| person.identity_ids.iter().map(|id| (*id, *profile_id)))
            .collect();
        let mut histories = read_histories(connection, site.site_id, &profile_ids)?;
        let mut fresh: HashMap<i64, Vec<EventRow>> = HashMap::new();
        let rows = people::events_by_key(connection, site.site_id, &touched.keys)?;
        for row in rows {
            // An identity that has moved on since is projected by the row of the transaction that moved it.
            if let Some(profile_id) = profile_of.get(&row.identity_id) {
                fresh.entry(*profile_id).or_default().push(row);
            }
        }
        let mut projections = Vec::with_capacity(people.len());
        let mut replays = Vec::new();
        for (profile_id, person) in &people {
            let events = fresh.remove(profile_id).unwrap_or_default();
            let history = histories.remove(profile_id).filter(|_| !touched.relinked.contains(profile_id));
            match history.map(|history| self.go_on(connection, site, person, history, events)).transpose()?.flatten() {
                Some(projection) => projections.push((*profile_id, projection)),
                None => replays.push(*profile_id),
            }
        }
        for (profile_id, projection) in self.replay(connection, site, &people, &replays)? {
            projections.push((profile_id, projection));
        }
        step.people += people.len();
        step.replayed += replays.len();
        people.retain(|_, person| !person.identity_ids.is_empty());
        let gone: Vec<i64> = profile_ids.iter().copied().filter(|id| !people.contains_key(id)).collect();
        delete_people(connection, site.site_id, &gone)?;
        write(connection, site, &people, &projections)
    }

    /// Folds new events onto a stored history; `None` when the person has to be folded from the first event.
    fn go_on(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
        person: &Person,
        mut history: History,
        rows: Vec<EventRow>,
    ) -> Result<Option<Projection>, StoreError> {
        if history.rules() != site.rules() {
            return Ok(None);
        }
        let events = self.events(connection, site, person, rows)?;
        let is_late = |event: &Event| history.position().is_some_and(|p| (event.occurred_at, event.event_id) <= p);
        if events.first().is_some_and(is_late) {
            return Ok(None);
        }
        let mut sessions = Vec::new();
        let mut orders_changed = false;
        for event in &events {
            orders_changed |= matches!(&event.detail, domain::event::Detail::Track(track) if track.order.is_some());
            sessions.extend(history.apply(event).map_err(|error| StoreError::Refused(error.to_string()))?);
        }
        sessions.extend(history.open_session());
        Ok(Some(Projection { history, sessions, replayed: false, orders_changed }))
    }

    fn replay(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
        people: &BTreeMap<i64, Person>,
        profile_ids: &[i64],
    ) -> Result<Vec<(i64, Projection)>, StoreError> {
        let replayed: Vec<(i64, &Person)> =
            profile_ids.iter().filter_map(|id| people.get(id).map(|person| (*id, person))).collect();
        let identity_ids: Vec<i64> =
            replayed.iter().flat_map(|(_, person)| person.identity_ids.iter().copied()).collect();
        let mut rows: HashMap<i64, Vec<EventRow>> = HashMap::new();
        for row in people::events_of(connection, site.site_id, &identity_ids)? {
            rows.entry(row.identity_id).or_default().push(row);
        }
        let mut projections = Vec::with_capacity(replayed.len());
        for (profile_id, person) in replayed {
            let own = person.identity_ids.iter().flat_map(|id| rows.remove(id).unwrap_or_default()).collect();
            let events = self.events(connection, site, person, own)?;
            let (history, sessions) = history::replay(site.rules(), &events)
                .map_err(|error| StoreError::Refused(error.to_string()))?;
            projections.push((profile_id, Projection { history, sessions, replayed: true, orders_changed: true }));
        }
        Ok(projections)
    }

    /// A person's events in the order in which they are folded.
    fn events(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
        person: &Person,
        rows: Vec<EventRow>,
    ) -> Result<Vec<Event>, StoreError> {
        self.texts.read(connection, site.site_id, people::needed_texts(&rows))?;
        let owns_order = |order_id: &str| person.orders.contains(order_id);
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            events.push(people::read(row, site.site_id, site.currency, &mut self.texts, &owns_order)?);
        }
        events.sort_unstable_by_key(|event| (event.occurred_at, event.event_id));
        // The same event through two journal rows of one step is one event.
        events.dedup_by_key(|event| (event.occurred_at, event.event_id));
        Ok(events)
    }
}

#[derive(Default)]
struct Touched {
    keys: Vec<(i64, Uuid)>,
    relinked: BTreeSet<i64>,
}

fn profiles_of(
    connection: &mut PgConnection,
    site_id: i32,
    identity_ids: &BTreeSet<i64>,
) -> Result<HashMap<i64, i64>, StoreError> {
    let rows: Vec<MemberRow> = sql(
        "SELECT identity_id, profile_id, kind, value FROM identities WHERE site_id = $1 AND identity_id = ANY($2)",
    )
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(identity_ids.iter().copied().collect::<Vec<_>>())
    .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.identity_id, row.profile_id)).collect())
}

/// Locks people against other projectors until the transaction ends, always in the same order.
fn lock(connection: &mut PgConnection, site_id: i32, profile_ids: &BTreeSet<i64>) -> Result<(), StoreError> {
    let buckets: BTreeSet<i32> = profile_ids
        .iter()
        .map(|profile_id| ((profile_id + i64::from(site_id) * 31).rem_euclid(LOCK_BUCKETS)) as i32)
        .collect();
    // 2: the class of this lock; unnest keeps the order of the set.
    sql("SELECT count(pg_advisory_xact_lock(2, bucket)) FROM unnest($1) AS bucket")
        .bind::<Array<Integer>, _>(buckets.into_iter().collect::<Vec<_>>())
        .execute(connection)?;
    Ok(())
}

fn read_people(
    connection: &mut PgConnection,
    site_id: i32,
    profile_ids: &BTreeSet<i64>,
) -> Result<BTreeMap<i64, Person>, StoreError> {
    let rows: Vec<MemberRow> = sql(
        "SELECT identity_id, profile_id, kind, value FROM identities
         WHERE site_id = $1 AND profile_id = ANY($2) ORDER BY identity_id",
    )
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(profile_ids.iter().copied().collect::<Vec<_>>())
    .load(connection)?;
    let mut people: BTreeMap<i64, Person> = BTreeMap::new();
    for row in rows {
        let person = people.entry(row.profile_id).or_default();
        match IdentityKind::from_code(row.kind) {
            // An order is claimed by a person and has no events of its own.
            Some(IdentityKind::Order) => {
                person.orders.insert(row.value);
                continue;
            }
            Some(IdentityKind::Measured) => person.measured = true,
            Some(IdentityKind::UserId | IdentityKind::Email) => person.signed_up = true,
            _ => {}
        }
        person.identity_ids.push(row.identity_id);
    }
    Ok(people)
}

fn read_histories(
    connection: &mut PgConnection,
    site_id: i32,
    profile_ids: &BTreeSet<i64>,
) -> Result<HashMap<i64, History>, StoreError> {
    let rows: Vec<HistoryRow> =
        sql("SELECT profile_id, history FROM histories WHERE site_id = $1 AND profile_id = ANY($2)")
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(profile_ids.iter().copied().collect::<Vec<_>>())
            .load(connection)?;
    // A history of another version cannot be read: that person is folded from the first event.
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row.profile_id, serde_json::from_value(row.history).ok()?)))
        .collect())
}

fn delete_people(connection: &mut PgConnection, site_id: i32, profile_ids: &[i64]) -> Result<(), StoreError> {
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

fn write(
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
    sql("DELETE FROM sessions AS s USING unnest($1, $2) AS d (profile_id, session_id)
         WHERE s.site_id = $3 AND s.profile_id = d.profile_id AND s.session_id = d.session_id")
    .bind::<Array<BigInt>, _>(sessions.iter().map(|session| session.profile_id).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(sessions.iter().map(|session| session.session_id).collect::<Vec<_>>())
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
             last_order_at, first_channel, last_channel, signed_up, traits) =
            (EXCLUDED.first_seen, EXCLUDED.last_seen, EXCLUDED.sessions, EXCLUDED.views, EXCLUDED.events,
             EXCLUDED.engaged_ms, EXCLUDED.orders, EXCLUDED.revenue_minor, EXCLUDED.first_order_at,
             EXCLUDED.last_order_at, EXCLUDED.first_channel, EXCLUDED.last_channel, EXCLUDED.signed_up,
             EXCLUDED.traits)",
        &profiles,
    )?;
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

fn insert<T: Serialize>(
    connection: &mut PgConnection,
    statement: &'static str,
    rows: &[T],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows = serde_json::to_value(rows).map_err(unwritable)?;
    sql(statement).bind::<Jsonb, _>(rows).execute(connection)?;
    Ok(())
}

fn session_row(site: &Site, profile_id: i64, session: &Session) -> SessionRow {
    let touch = &session.touch;
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
    })
}

/// What a rebuild found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// People folded from their first event.
    pub people: u64,
    /// People whose stored projection was another.
    pub different: u64,
    /// The first of those, with what differed.
    pub examples: Vec<String>,
}

/// Everything that is stored of some people, as comparable values by person.
fn stored(
    connection: &mut PgConnection,
    site_id: i32,
    profile_ids: &BTreeSet<i64>,
) -> Result<BTreeMap<i64, Vec<(&'static str, Value)>>, StoreError> {
    let mut all: BTreeMap<i64, Vec<(&'static str, Value)>> = BTreeMap::new();
    for (table, statement) in [
        ("session", "SELECT to_jsonb(s) AS row FROM sessions s WHERE site_id = $1 AND profile_id = ANY($2) ORDER BY profile_id, session_id"),
        ("order", "SELECT to_jsonb(o) AS row FROM orders o WHERE site_id = $1 AND profile_id = ANY($2) ORDER BY profile_id, order_id"),
        ("profile", "SELECT to_jsonb(p) AS row FROM profiles p WHERE site_id = $1 AND profile_id = ANY($2)"),
        ("history", "SELECT to_jsonb(h) AS row FROM histories h WHERE site_id = $1 AND profile_id = ANY($2)"),
    ] {
        let rows: Vec<JsonRow> = sql(statement)
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(profile_ids.iter().copied().collect::<Vec<_>>())
            .load(connection)?;
        for row in rows {
            let profile_id = row.row.get("profile_id").and_then(Value::as_i64).unwrap_or_default();
            all.entry(profile_id).or_default().push((table, row.row));
        }
    }
    Ok(all)
}

#[derive(QueryableByName)]
struct ProfileId {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
}

#[derive(QueryableByName)]
struct BacklogRow {
    #[diesel(sql_type = BigInt)]
    waiting: i64,
    #[diesel(sql_type = Double)]
    age_s: f64,
}

/// Journal rows that wait, and the age of the oldest in seconds.
pub(crate) fn backlog(connection: &mut PgConnection) -> Result<(i64, f64), StoreError> {
    let row: BacklogRow = sql(
        "SELECT count(*) AS waiting, COALESCE(extract(epoch FROM now() - min(at)), 0)::float8 AS age_s
         FROM journal WHERE NOT projected",
    )
    .get_result(connection)?;
    Ok((row.waiting, row.age_s))
}

/// People of one rebuild transaction.
const REBUILT_AT_ONCE: i64 = 500;

/// Folds every person of a site from the first event and compares with what is stored, which is replaced.
/// `progress` is told how many people are done.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn rebuild(
    store: &Store,
    site: &Site,
    mut progress: impl FnMut(u64),
) -> Result<Rebuilt, StoreError> {
    let mut connection = store.connect()?;
    let mut projector = Projector::default();
    let mut rebuilt = Rebuilt::default();
    let mut after = i64::MIN;
    loop {
        // People who have identities, and those of whom only a projection is left.
        let ids: Vec<ProfileId> = sql(
            "SELECT profile_id FROM (
                SELECT profile_id FROM identities WHERE site_id = $1 AND profile_id > $2
                UNION SELECT profile_id FROM histories WHERE site_id = $3 AND profile_id > $4
             ) AS people ORDER BY profile_id LIMIT $5",
        )
        .bind::<Integer, _>(site.site_id)
        .bind::<BigInt, _>(after)
        .bind::<Integer, _>(site.site_id)
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(REBUILT_AT_ONCE)
        .load(&mut connection)?;
        let profile_ids: BTreeSet<i64> = ids.into_iter().map(|row| row.profile_id).collect();
        let Some(last) = profile_ids.last() else { return Ok(rebuilt) };
        after = *last;
        connection.transaction::<_, StoreError, _>(|connection| {
            lock(connection, site.site_id, &profile_ids)?;
            let before = stored(connection, site.site_id, &profile_ids)?;
            let touched = Touched { keys: Vec::new(), relinked: profile_ids.clone() };
            projector.site(connection, site, &touched, &mut Step::default())?;
            let now = stored(connection, site.site_id, &profile_ids)?;
            for profile_id in &profile_ids {
                let (before, now) = (before.get(profile_id), now.get(profile_id));
                if before != now {
                    rebuilt.different += 1;
                    if rebuilt.examples.len() < 10 {
                        rebuilt.examples.push(difference(*profile_id, before, now));
                    }
                }
            }
            Ok(())
        })?;
        rebuilt.people += profile_ids.len() as u64;
        progress(rebuilt.people);
    }
}

fn difference(
    profile_id: i64,
    before: Option<&Vec<(&'static str, Value)>>,
    now: Option<&Vec<(&'static str, Value)>>,
) -> String {
    let none = Vec::new();
    let (before, now) = (before.unwrap_or(&none), now.unwrap_or(&none));
    let gone = before.iter().find(|row| !now.contains(row)).map(|(table, row)| format!("was {table} {row}"));
    let new = now.iter().find(|row| !before.contains(row)).map(|(table, row)| format!("is {table} {row}"));
    let parts: Vec<String> = [gone, new].into_iter().flatten().collect();
    format!("profile {profile_id}: {}", parts.join("; "))
}
