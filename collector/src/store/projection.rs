//! Projections: what the journal says was touched is folded into histories, sessions, orders and profiles.
//!
//! One transaction claims journal rows that no other process holds, locks the people they touch in the order of their
//! numbers, and only then reads them. A person whose new events all come after what is folded already goes on from the
//! stored history; anybody else is folded from the first event. Both give the same.

mod live;
mod rebuild;
mod rows;

pub(crate) use live::{ComputedOfSome, Explained, computed_of, explain, memberships, preview, preview_computed};
pub(crate) use rebuild::rebuild;

use super::events::Kind;
use super::membership::{Cause, Live, Version};
use super::people::{self, EventRow, Texts};
use super::plan::{SeenEvent, SeenNames, count_seen};
use super::sites::{Site, read_sites};
use super::sql::sql;
use super::{StoreError, instant};
use crate::intake::clock;
use diesel::Connection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, SmallInt, Text, Uuid as SqlUuid};
use domain::event::Event;
use domain::history::{self, History, Session};
use domain::identity::Kind as IdentityKind;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Journal rows of one transaction. A group of the writers is one row of up to 5,000 events.
const CLAIMED_ROWS: i32 = 8;
/// Events of one transaction, where they are not all of one journal row. Each may be another person's, with a history, a
/// row and an answer of every segment: up to 30 KB in memory until it is committed.
const CLAIMED_EVENTS: usize = 500;
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
    /// As many rows as one step takes: there may be more.
    pub(crate) is_full: bool,
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
struct ProfileRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
}

#[derive(QueryableByName)]
struct HistoryRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Jsonb)]
    history: Value,
    #[diesel(sql_type = BigInt)]
    version: Version,
}

/// A person: a profile's identities, or a day's measured visitor.
#[derive(Default)]
struct Person {
    identity_ids: Vec<i64>,
    orders: HashSet<String>,
    measured: bool,
    signed_up: bool,
}

impl Projection {
    /// Whether there are events, but all of them were left out.
    fn is_nobody(&self) -> bool {
        self.history.position().is_some() && self.history.facts().first_seen.is_none()
    }
}

/// What a person's events come to.
struct Projection {
    history: History,
    /// New or changed sessions; all of them after a replay.
    sessions: Vec<Session>,
    replayed: bool,
    orders_changed: bool,
    /// The events that were folded, without those of bots, and the version of the stored history that they went on from.
    events: Vec<Event>,
    before: Option<Version>,
}

/// The projector's memory.
#[derive(Default)]
pub(crate) struct Projector {
    texts: Texts,
    /// The last step was refused: the next one sets each person apart, so that one whom PostgreSQL or the fold cannot
    /// take does not hold up everybody else.
    careful: bool,
    /// The sites' segments, which are asked about everybody who is projected.
    live: Live,
    /// The names of events and properties that are told apart today.
    seen: SeenNames,
    folded: Folded,
}

/// Identities whose events were folded from the first one on, each with the transaction below which all of them were
/// there. Journal rows from before tell nothing new of them: after a large import everybody is folded once, not once for
/// each row that names them. What joins or parts people is told by other means than events and is never stepped over.
#[derive(Default)]
struct Folded {
    before: HashMap<(i32, i64), u64>,
    /// Those of the transaction that is under way.
    now: Vec<(i32, i64)>,
}

/// Identities that are remembered; beyond, it starts afresh.
const FOLDED: usize = 500_000;

impl Folded {
    fn knows(&self, site_id: i32, identity_id: i64, tx: u64) -> bool {
        self.before.get(&(site_id, identity_id)).is_some_and(|before| tx < *before)
    }

    /// The transaction has been committed that began when all below `before` was there.
    fn committed(&mut self, before: u64) {
        if self.before.len() > FOLDED {
            self.before.clear();
        }
        self.before.extend(self.now.drain(..).map(|key| (key, before)));
    }
}

/// A transaction's number.
fn number(tx: &str) -> Result<u64, StoreError> {
    tx.parse().map_err(|_| StoreError::Refused("a transaction's number is none".into()))
}

impl Projector {
    /// Projects what waits, up to a bounded number of journal rows; a step of zero rows means that nothing waits.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is projected then.
    pub(crate) fn step(&mut self, connection: &mut PgConnection) -> Result<Step, StoreError> {
        self.folded.now.clear();
        // Asked before anything is read: what was committed until now is seen by all that follows.
        let oldest: Newest =
            sql("SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS tx").get_result(connection)?;
        let step = self.attempt(connection);
        if step.is_ok() {
            self.folded.committed(number(&oldest.tx)?);
        }
        self.careful = matches!(step, Err(StoreError::Refused(_)));
        step
    }

    fn attempt(&mut self, connection: &mut PgConnection) -> Result<Step, StoreError> {
        connection.transaction(|connection| {
            let mut rows: Vec<JournalRow> =
                sql("SELECT tx::text AS tx, site_id, identity_ids, event_ids, relinked_profiles FROM journal
                 WHERE NOT projected ORDER BY tx LIMIT $1 FOR UPDATE SKIP LOCKED")
                .bind::<Integer, _>(CLAIMED_ROWS)
                .load(connection)?;
            let mut events = 0;
            let few = rows.iter().take_while(|row| {
                let is_first = events == 0;
                events += row.event_ids.len();
                is_first || events <= CLAIMED_EVENTS
            });
            let few = few.count();
            let is_full = rows.len() >= CLAIMED_ROWS as usize || few < rows.len();
            rows.truncate(few);
            let mut step = Step { rows: rows.len(), is_full, ..Step::default() };
            if rows.is_empty() {
                return Ok(step);
            }
            // Only now: a change of a site's rules that came before its journal row must be seen with it.
            let sites: HashMap<i32, Site> =
                read_sites(connection)?.into_iter().map(|site| (site.site_id, site)).collect();
            let mut touched: BTreeMap<i32, Touched> = BTreeMap::new();
            for row in &rows {
                let touched = touched.entry(row.site_id).or_default();
                let tx = number(&row.tx)?;
                let keys = row.identity_ids.iter().copied().zip(row.event_ids.iter().copied());
                let (known, new): (Vec<_>, Vec<_>) = keys.partition(|(id, _)| self.folded.knows(row.site_id, *id, tx));
                touched.keys.extend(new);
                touched.folded.extend(known);
                touched.relinked.extend(&row.relinked_profiles);
                step.events += row.event_ids.len();
            }
            let mut people = BTreeMap::new();
            for (site_id, touched) in &touched {
                people.insert(*site_id, people_of(connection, *site_id, touched)?);
            }
            lock(connection, &people)?;
            for (site_id, touched) in &touched {
                // A site that was deleted takes its journal with it.
                let (Some(site), Some(profile_ids)) = (sites.get(site_id), people.remove(site_id)) else { continue };
                let folded = people::events_by_key(connection, *site_id, &touched.folded)?;
                self.see(connection, site, folded.iter())?;
                if !profile_ids.is_empty() {
                    self.site(connection, site, touched, profile_ids, &mut step, Cause::Event)?;
                }
            }
            sql("UPDATE journal AS j SET projected = true FROM unnest($1, $2) AS d (tx, site_id)
                 WHERE j.tx = d.tx::xid8 AND j.site_id = d.site_id")
            .bind::<Array<Text>, _>(rows.iter().map(|row| row.tx.clone()).collect::<Vec<_>>())
            .bind::<Array<Integer>, _>(rows.iter().map(|row| row.site_id).collect::<Vec<_>>())
            .execute(connection)?;
            Ok(step)
        })
    }

    /// Projects people of a site who are locked.
    fn site(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
        touched: &Touched,
        profile_ids: BTreeSet<i64>,
        step: &mut Step,
        cause: Cause,
    ) -> Result<(), StoreError> {
        if !self.careful {
            return self.project(connection, site, touched, &profile_ids, step, cause);
        }
        for profile_id in profile_ids {
            let alone = BTreeSet::from([profile_id]);
            let done =
                connection.transaction(|connection| self.project(connection, site, touched, &alone, step, cause));
            match done {
                Err(StoreError::Refused(message)) => {
                    tracing::error!(site = site.site_id, profile = profile_id, message, "a person is not projected");
                }
                done => done?,
            }
        }
        Ok(())
    }

    /// Projects people in one go.
    fn project(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
        touched: &Touched,
        profile_ids: &BTreeSet<i64>,
        step: &mut Step,
        cause: Cause,
    ) -> Result<(), StoreError> {
        let mut people = read_people(connection, site.site_id, profile_ids)?;
        let profile_of: HashMap<i64, i64> = people
            .iter()
            .flat_map(|(profile_id, person)| person.identity_ids.iter().map(|id| (*id, *profile_id)))
            .collect();
        let mut histories = read_histories(connection, site.site_id, profile_ids)?;
        let mut fresh: HashMap<i64, Vec<EventRow>> = HashMap::new();
        let rows = people::events_by_key(connection, site.site_id, &touched.keys)?;
        self.see(connection, site, rows.iter().filter(|row| profile_of.contains_key(&row.identity_id)))?;
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
        let replayed = replays.iter().filter_map(|profile_id| people.get(profile_id));
        let folded: Vec<(i32, i64)> =
            replayed.flat_map(|person| person.identity_ids.iter().map(|id| (site.site_id, *id))).collect();
        step.people += people.len();
        step.replayed += replays.len();
        // Identities of which nothing was said by themselves are nobody: an order that nobody holds, an id that was only
        // named beside another one.
        let unheard = projections.iter().filter(|(_, projection)| projection.history.position().is_none());
        let nobody: BTreeSet<i64> = unheard.map(|(profile_id, _)| *profile_id).collect();
        projections.retain(|(profile_id, _)| !nobody.contains(profile_id));
        people.retain(|profile_id, person| !person.identity_ids.is_empty() && !nobody.contains(profile_id));
        let gone: Vec<i64> = profile_ids.iter().copied().filter(|id| !people.contains_key(id)).collect();
        rows::delete_people(connection, site.site_id, &gone)?;
        rows::write(connection, site, &people, &projections)?;
        self.ask(connection, site, &people, projections, &gone, cause)?;
        self.folded.now.extend(folded);
        Ok(())
    }

    /// Counts what named events carry that are projected for the first time.
    fn see<'r>(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
        rows: impl Iterator<Item = &'r EventRow>,
    ) -> Result<(), StoreError> {
        let rows: Vec<&EventRow> = rows.filter(|row| row.kind == Kind::Track as i16).collect();
        let terms = rows.iter().flat_map(|row| [row.name_id, row.source_id]).flatten();
        self.texts.read(connection, site.site_id, terms)?;
        let text = |term: Option<i32>| term.and_then(|term| self.texts.get(site.site_id, term).cloned());
        let seen = |row: &&'r EventRow| {
            let properties = row.properties.as_ref().and_then(Value::as_object);
            Some(SeenEvent { name: text(row.name_id)?, source: text(row.source_id), properties })
        };
        let seen: Vec<SeenEvent<'_>> = rows.iter().filter_map(seen).collect();
        let today = instant(clock::now_us()).to_zoned_datetime(TimeZone::UTC).date();
        count_seen(&mut self.seen, connection, site, &seen, today)
    }

    /// Folds new events onto a stored history; `None` when the person has to be folded from the first event.
    fn go_on(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
        person: &Person,
        (mut history, version): (History, Version),
        rows: Vec<EventRow>,
    ) -> Result<Option<Projection>, StoreError> {
        if history.rules() != site.rules() {
            return Ok(None);
        }
        let mut events = read_events(&mut self.texts, connection, site, person, rows)?;
        let before = Some(version);
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
        events.retain(|event| history.rules().counts(event));
        Ok(Some(Projection { history, sessions, replayed: false, orders_changed, events, before }))
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
            let mut events = read_events(&mut self.texts, connection, site, person, own)?;
            let (history, sessions) =
                history::replay(site.rules(), &events).map_err(|error| StoreError::Refused(error.to_string()))?;
            events.retain(|event| history.rules().counts(event));
            let (replayed, orders_changed, before) = (true, true, None);
            projections.push((profile_id, Projection { history, sessions, replayed, orders_changed, events, before }));
        }
        Ok(projections)
    }
}

/// A person's events in the order in which they are folded.
fn read_events(
    texts: &mut Texts,
    connection: &mut PgConnection,
    site: &Site,
    person: &Person,
    rows: Vec<EventRow>,
) -> Result<Vec<Event>, StoreError> {
    texts.read(connection, site.site_id, people::needed_texts(&rows))?;
    let owns_order = |order_id: &str| person.orders.contains(order_id);
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        match people::read(row, site.site_id, site.currency, texts, &owns_order) {
            Ok(event) => events.push(event),
            // Nothing that intake writes; a person is better known without it than not at all.
            Err(error) => tracing::error!(%error, site = site.site_id, "a stored event cannot be read"),
        }
    }
    events.sort_unstable_by_key(|event| (event.occurred_at, event.event_id));
    // The same event through two journal rows of one step is one event.
    events.dedup_by_key(|event| (event.occurred_at, event.event_id));
    Ok(events)
}

#[derive(Default)]
struct Touched {
    keys: Vec<(i64, Uuid)>,
    /// Events that are folded already, see [`Folded`].
    folded: Vec<(i64, Uuid)>,
    relinked: BTreeSet<i64>,
}

/// The people whom a site's journal rows touch.
fn people_of(connection: &mut PgConnection, site_id: i32, touched: &Touched) -> Result<BTreeSet<i64>, StoreError> {
    let identity_ids: BTreeSet<i64> = touched.keys.iter().map(|key| key.0).collect();
    let rows: Vec<ProfileRow> =
        sql("SELECT DISTINCT profile_id FROM identities WHERE site_id = $1 AND identity_id = ANY($2)")
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(identity_ids.into_iter().collect::<Vec<_>>())
            .load(connection)?;
    Ok(rows.into_iter().map(|row| row.profile_id).chain(touched.relinked.iter().copied()).collect())
}

/// Locks people of sites against other projectors until the transaction ends: all in one call and in one order, so
/// that two projectors never wait for each other in a circle.
fn lock(connection: &mut PgConnection, people: &BTreeMap<i32, BTreeSet<i64>>) -> Result<(), StoreError> {
    let bucket = |site_id: i32, profile_id: i64| (profile_id + i64::from(site_id) * 31).rem_euclid(LOCK_BUCKETS) as i32;
    let buckets: BTreeSet<i32> = people
        .iter()
        .flat_map(|(site_id, profile_ids)| profile_ids.iter().map(|profile_id| bucket(*site_id, *profile_id)))
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
    let rows: Vec<MemberRow> = sql("SELECT identity_id, profile_id, kind, value FROM identities
         WHERE site_id = $1 AND profile_id = ANY($2) ORDER BY identity_id")
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(profile_ids.iter().copied().collect::<Vec<_>>())
    .load(connection)?;
    let mut people: BTreeMap<i64, Person> = BTreeMap::new();
    for row in rows {
        let person = people.entry(row.profile_id).or_default();
        match IdentityKind::from_code(row.kind) {
            // Its own events are what a shop says of the order without naming a person: they are its holder's.
            Some(IdentityKind::Order) => {
                person.orders.insert(row.value);
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
) -> Result<HashMap<i64, (History, Version)>, StoreError> {
    let rows: Vec<HistoryRow> =
        sql("SELECT profile_id, history, xmin::text::bigint AS version FROM histories WHERE site_id = $1 AND profile_id = ANY($2)")
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(profile_ids.iter().copied().collect::<Vec<_>>())
            .load(connection)?;
    // A history of another version cannot be read: that person is folded from the first event.
    let history = |row: HistoryRow| {
        let history = serde_json::from_value(row.history).ok()?;
        Some((row.profile_id, (history, row.version)))
    };
    Ok(rows.into_iter().filter_map(history).collect())
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
    let row: BacklogRow =
        sql("SELECT count(*) AS waiting, COALESCE(extract(epoch FROM now() - min(at)), 0)::float8 AS age_s
         FROM journal WHERE NOT projected")
        .get_result(connection)?;
    Ok((row.waiting, row.age_s))
}

#[derive(QueryableByName)]
struct Newest {
    #[diesel(sql_type = Text)]
    tx: String,
}

/// The end of the journal as it stands now: rows that are committed have a transaction before it.
pub(crate) fn journal_end(connection: &mut PgConnection) -> Result<String, StoreError> {
    let row: Newest = sql("SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS tx").get_result(connection)?;
    Ok(row.tx)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Events that wait to be projected, of one site or of all.
pub(crate) fn waiting_events(connection: &mut PgConnection, site_id: Option<i32>) -> Result<u64, StoreError> {
    let row: Count = sql("SELECT COALESCE(sum(cardinality(event_ids)), 0)::bigint AS count FROM journal
         WHERE NOT projected AND site_id = COALESCE($1, site_id)")
    .bind::<Nullable<Integer>, _>(site_id)
    .get_result(connection)?;
    Ok(u64::try_from(row.count).unwrap_or(0))
}

#[derive(QueryableByName)]
struct Waits {
    #[diesel(sql_type = Bool)]
    waits: bool,
}

/// Whether there is a site whose people have not all been asked about its newest segments.
pub(crate) fn sweeps_wait(connection: &mut PgConnection) -> Result<bool, StoreError> {
    let row: Waits = sql("SELECT EXISTS (SELECT FROM sites s LEFT JOIN segment_sweeps w USING (site_id)
            WHERE s.segments_revision > COALESCE(w.swept_revision, 0)) AS waits")
    .get_result(connection)?;
    Ok(row.waits)
}

/// Whether a row before this end of the journal is not projected yet.
pub(crate) fn waits_before(connection: &mut PgConnection, end: &str) -> Result<bool, StoreError> {
    let row: Waits = sql("SELECT EXISTS (SELECT FROM journal WHERE NOT projected AND tx < $1::text::xid8) AS waits")
        .bind::<Text, _>(end.to_owned())
        .get_result(connection)?;
    Ok(row.waits)
}
