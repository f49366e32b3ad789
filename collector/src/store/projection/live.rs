//! What was folded is asked about: the segments follow in the transaction of the projection itself.

mod computed;

pub(crate) use computed::{ComputedOfSome, computed_of, preview_computed};

use super::{LOCK_BUCKETS, Person, Projection, Projector, history, lock, read_events, read_people};
use crate::store::membership::{Asked, Cause, DRAFT, Gone, LiveSite, Version, read_scores};
use crate::store::people::{self, EventRow, Texts};
use crate::store::segments::{self, Revisions};
use crate::store::sites::{Site, read_sites};
use crate::store::sql::sql;
use crate::store::traits::read_computed;
use crate::store::{Store, StoreError, instant};
use crate::{intake::clock, store};
use diesel::Connection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Jsonb, Timestamptz};
use domain::event::{Detail, Event, ProfileId, TermId};
use domain::history::{History, Session};
use domain::segment::rule::{self, Fact, PersonRow, Scores, Vocabulary, Word, Words};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// People of one transaction whose deadline has come.
const ASKED_AT_ONCE: i64 = 500;
/// People of one transaction who are asked anew: few, because everybody who does something waits for it.
const SWEPT_AT_ONCE: i64 = 100;
/// Whose deadline cannot be seen to is tried again after so long, so that the others' are.
const TRY_AGAIN: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

fn now() -> Timestamp {
    instant(clock::now_us())
}

/// What adds to a person's row.
struct Added<'a> {
    events: &'a [Event],
    sessions: &'a [Session],
    history: &'a History,
}

/// Takes events into a person's row.
fn add(row: &mut PersonRow, added: &Added<'_>, site: &Site, texts: &Texts, live: &mut LiveSite) {
    let page = |term: TermId| texts.get(site.site_id, term.0).cloned().unwrap_or_else(|| Arc::from(""));
    let facts = added.history.facts();
    let is_asked = live.vocabulary.traits().iter().any(|name| name.starts_with(Fact::TRAIT_PREFIX));
    let texts_of = if is_asked { facts.texts(added.history.currency()) } else { Vec::new() };
    let text = |name: &str| texts_of.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
    row.add(
        added.events,
        added.sessions,
        added.history.orders(),
        &|name| match name.starts_with(Fact::TRAIT_PREFIX) {
            true => text(name),
            false => facts.traits.get(name).map(|said| &said.value),
        },
        &mut Words { vocabulary: &mut live.vocabulary, page: &page, currency: live.currency },
    );
}

/// Reads the texts of the pages of these events.
fn read_pages(
    texts: &mut Texts,
    connection: &mut PgConnection,
    site: &Site,
    events: &[Event],
) -> Result<(), StoreError> {
    let pages = events.iter().filter_map(|event| match &event.detail {
        Detail::Page(page) => Some(page.page.0),
        _ => None,
    });
    texts.read(connection, site.site_id, pages)
}

/// People as they were read.
struct People {
    rows: Vec<(Position, PersonRow)>,
    nobody: Vec<i64>,
}

/// Reads people from their first event on; apart from them those who turn out to be nobody, because all that they did
/// is left out.
fn read_rows(
    texts: &mut Texts,
    live: &mut LiveSite,
    connection: &mut PgConnection,
    site: &Site,
    people: &[(i64, &Person)],
) -> Result<People, StoreError> {
    let identity_ids: Vec<i64> = people.iter().flat_map(|(_, person)| person.identity_ids.iter().copied()).collect();
    let mut events: HashMap<i64, Vec<EventRow>> = HashMap::new();
    for row in people::events_of(connection, site.site_id, &identity_ids)? {
        events.entry(row.identity_id).or_default().push(row);
    }
    let profile_ids: Vec<i64> = people.iter().map(|(profile_id, _)| *profile_id).collect();
    let scores = read_scores(connection, site.site_id, &profile_ids)?;
    let (mut rows, mut nobody) = (Vec::with_capacity(people.len()), Vec::new());
    for (profile_id, person) in people {
        let own = person.identity_ids.iter().flat_map(|id| events.remove(id).unwrap_or_default()).collect();
        let mut own = read_events(texts, connection, site, person, own)?;
        let (history, sessions) =
            history::replay(site.rules(), &own).map_err(|error| StoreError::Refused(error.to_string()))?;
        own.retain(|event| history.rules().counts(event));
        if own.is_empty() && history.position().is_some() {
            nobody.push(*profile_id);
            continue;
        }
        read_pages(texts, connection, site, &own)?;
        let mut row = PersonRow::new(ProfileId(*profile_id), person.signed_up);
        row.scores = scores.get(profile_id).copied().unwrap_or(Scores::NONE);
        add(&mut row, &Added { events: &own, sessions: &sessions, history: &history }, site, texts, live);
        rows.push((history.position(), row));
    }
    Ok(People { rows, nobody })
}

#[derive(QueryableByName)]
struct StoredRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = BigInt)]
    version: Version,
    #[diesel(sql_type = Jsonb)]
    position: Value,
}

/// Time and id of the last event that is in a row or a history.
type Position = Option<(Timestamp, Uuid)>;

/// The stored histories of some people: their version, and how far they go.
fn read_stored(
    connection: &mut PgConnection,
    site_id: i32,
    profile_ids: impl Iterator<Item = i64>,
) -> Result<HashMap<i64, (Version, Position)>, StoreError> {
    let rows: Vec<StoredRow> = sql("SELECT profile_id, xmin::text::bigint AS version,
                COALESCE(history->'position', 'null') AS position
         FROM histories WHERE site_id = $1 AND profile_id = ANY($2)")
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(profile_ids.collect::<Vec<_>>())
    .load(connection)?;
    let stored = |row: StoredRow| {
        let position: Position = serde_json::from_value(row.position).unwrap_or_default();
        (row.profile_id, (row.version, position))
    };
    Ok(rows.into_iter().map(stored).collect())
}

/// Has the rows at these places say what the models say now.
fn score(
    connection: &mut PgConnection,
    site: &Site,
    rows: &mut [(Position, PersonRow)],
    places: &[usize],
) -> Result<(), StoreError> {
    if places.is_empty() {
        return Ok(());
    }
    let profile_ids: Vec<i64> = places.iter().map(|place| rows[*place].1.profile_id.0).collect();
    let scores = read_scores(connection, site.site_id, &profile_ids)?;
    for place in places {
        let row = &mut rows[*place].1;
        row.scores = scores.get(&row.profile_id.0).copied().unwrap_or(Scores::NONE);
    }
    Ok(())
}

/// Keeps the rows that go as far as what is stored. One that holds an event which still waits in the journal would be
/// given it again.
fn keep(live: &mut LiveSite, rows: Vec<(Position, PersonRow)>, stored: &HashMap<i64, (Version, Position)>) {
    for (position, row) in rows {
        match stored.get(&row.profile_id.0) {
            Some((version, known)) if *known == position => live.keep(*version, row),
            _ => {}
        }
    }
}

#[derive(QueryableByName)]
struct DueRow {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
}

#[derive(QueryableByName)]
struct SweepRow {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = BigInt)]
    after_profile_id: i64,
}

#[derive(QueryableByName)]
struct ProfileRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
}

#[derive(QueryableByName)]
struct SiteRow {
    #[diesel(sql_type = Integer)]
    site_id: i32,
}

impl Projector {
    /// Asks the segments about people who have just been projected.
    pub(super) fn ask(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
        people: &BTreeMap<i64, Person>,
        projections: Vec<(i64, Projection)>,
        gone: &[i64],
        cause: Cause,
    ) -> Result<(), StoreError> {
        let Projector { texts, live, .. } = self;
        let Some(live) = live.of(connection, site)? else { return Ok(()) };
        let is_measured = |profile_id: &i64| people.get(profile_id).is_none_or(|person| person.measured);
        let mut rows: Vec<(Position, PersonRow)> = Vec::with_capacity(projections.len());
        let mut unknown: Vec<(i64, &Person)> = Vec::new();
        let mut unscored: Vec<usize> = Vec::new();
        let is_nobody = |(_, projection): &&(i64, Projection)| projection.is_nobody();
        let mut nobody: Vec<i64> = projections.iter().filter(is_nobody).map(|(profile_id, _)| *profile_id).collect();
        for (profile_id, projection) in projections
            .iter()
            .filter(|projected| !is_nobody(projected))
            .filter(|(profile_id, _)| !is_measured(profile_id))
        {
            let Some(person) = people.get(profile_id) else { continue };
            let kept = live.take(*profile_id, projection.before);
            let row = match (kept, projection.replayed) {
                (_, true) => {
                    unscored.push(rows.len());
                    Some(PersonRow::new(ProfileId(*profile_id), person.signed_up))
                }
                (Some((row, is_scored)), false) => {
                    if !is_scored {
                        unscored.push(rows.len());
                    }
                    Some(PersonRow { signed_up: person.signed_up, ..row })
                }
                (None, false) => None,
            };
            let Some(mut row) = row else {
                unknown.push((*profile_id, person));
                continue;
            };
            read_pages(texts, connection, site, &projection.events)?;
            let Projection { events, sessions, history, .. } = projection;
            add(&mut row, &Added { events, sessions, history }, site, texts, live);
            rows.push((projection.history.position(), row));
        }
        score(connection, site, &mut rows, &unscored)?;
        if !unknown.is_empty() {
            let read = read_rows(texts, live, connection, site, &unknown)?;
            rows.extend(read.rows);
            nobody.extend(read.nobody);
        }
        let gone = Gone { merged: gone, nobody: &nobody };
        live.settle(connection, site, rows.iter().map(|(_, row)| row), gone, Asked { now: now(), cause })?;
        let stored = read_stored(connection, site.site_id, rows.iter().map(|(_, row)| row.profile_id.0))?;
        keep(live, rows, &stored);
        Ok(())
    }

    /// Asks the segments about people who are locked, from what is stored of them.
    fn ask_again(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
        profile_ids: &BTreeSet<i64>,
        asked: Asked,
    ) -> Result<usize, StoreError> {
        let people = read_people(connection, site.site_id, profile_ids)?;
        let stored = read_stored(connection, site.site_id, profile_ids.iter().copied())?;
        let Projector { texts, live, .. } = self;
        let Some(live) = live.of(connection, site)? else { return Ok(0) };
        let mut rows = Vec::with_capacity(people.len());
        let (mut unknown, mut unscored) = (Vec::new(), Vec::new());
        for (profile_id, person) in people.iter().filter(|(_, person)| !person.measured) {
            // Events that wait in the journal are not folded yet: they are asked about when they are.
            let (version, position) = stored.get(profile_id).map_or((None, None), |(v, p)| (Some(*v), *p));
            match live.take(*profile_id, version) {
                Some((row, is_scored)) => {
                    if !is_scored {
                        unscored.push(rows.len());
                    }
                    rows.push((position, PersonRow { signed_up: person.signed_up, ..row }));
                }
                None => unknown.push((*profile_id, person)),
            }
        }
        score(connection, site, &mut rows, &unscored)?;
        let known = rows.len();
        let People { rows: read, nobody } = read_rows(texts, live, connection, site, &unknown)?;
        rows.extend(read);
        let merged: Vec<i64> = profile_ids.iter().copied().filter(|id| !people.contains_key(id)).collect();
        let gone = Gone { merged: &merged, nobody: &nobody };
        let changes = live.settle(connection, site, rows.iter().map(|(_, row)| row), gone, asked)?;
        // Everybody is asked when a segment or a model has changed: who has not been here lately makes nobody else leave
        // memory.
        if asked.cause != Cause::Time && !live.has_room() {
            rows.truncate(known);
        }
        keep(live, rows, &stored);
        Ok(changes)
    }

    /// Asks about people whose deadline has come, up to a bounded number of them; gives how many there were.
    ///
    /// # Errors
    /// [`StoreError`]; nobody has been asked then.
    pub(crate) fn settle_due(&mut self, connection: &mut PgConnection) -> Result<usize, StoreError> {
        connection.transaction(|connection| {
            let asked = Asked { now: now(), cause: Cause::Time };
            let mut due = read_due(connection, asked.now)?;
            if due.is_empty() {
                return Ok(0);
            }
            // Locked only now, as the projector does it; somebody else may have been quicker.
            lock(connection, &due)?;
            let still = read_due(connection, asked.now)?;
            for (site_id, profile_ids) in &mut due {
                profile_ids.retain(|id| still.get(site_id).is_some_and(|still| still.contains(id)));
            }
            let sites: HashMap<i32, Site> =
                read_sites(connection)?.into_iter().map(|site| (site.site_id, site)).collect();
            let mut people = 0;
            for (site_id, profile_ids) in due {
                people += profile_ids.len();
                match sites.get(&site_id) {
                    Some(site) => self.each(connection, site, &profile_ids, asked)?,
                    None => put_off(connection, site_id, &profile_ids, None)?,
                }
            }
            Ok(people)
        })
    }

    /// Asks about people together, or, when they are refused together, one by one.
    fn each(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
        profile_ids: &BTreeSet<i64>,
        asked: Asked,
    ) -> Result<(), StoreError> {
        let together = connection.transaction(|connection| self.ask_again(connection, site, profile_ids, asked));
        let Err(StoreError::Refused(_)) = together else { return together.map(drop) };
        for profile_id in profile_ids {
            let alone = BTreeSet::from([*profile_id]);
            let done = connection.transaction(|connection| self.ask_again(connection, site, &alone, asked));
            if let Err(StoreError::Refused(message)) = done {
                tracing::error!(site = site.site_id, profile = profile_id, message, "a person is in no segment anew");
                let later = asked.now.saturating_add(TRY_AGAIN).unwrap_or(Timestamp::MAX);
                put_off(connection, site.site_id, &alone, Some(later))?;
            } else {
                done?;
            }
        }
        Ok(())
    }

    /// Goes on asking everybody of a site whose segments or models have changed; gives how many people that were, zero
    /// when there is no such site.
    ///
    /// # Errors
    /// [`StoreError`]; the sweep is then where it was.
    pub(crate) fn sweep(&mut self, connection: &mut PgConnection) -> Result<usize, StoreError> {
        begin_sweep(connection)?;
        connection.transaction(|connection| {
            let row: Option<SweepRow> = sql("SELECT site_id, after_profile_id FROM segment_sweeps
                 WHERE sweeping_revision IS NOT NULL ORDER BY changed_at LIMIT 1 FOR UPDATE SKIP LOCKED")
            .get_result(connection)
            .optional()?;
            let Some(SweepRow { site_id, after_profile_id }) = row else { return Ok(0) };
            // Members without a profile, too: a list can hold somebody who has done nothing yet.
            let ids: Vec<ProfileRow> = sql("SELECT profile_id FROM (
                    (SELECT profile_id FROM profiles WHERE site_id = $1 AND profile_id > $2
                     ORDER BY profile_id LIMIT $3)
                    UNION
                    (SELECT DISTINCT profile_id FROM segment_members WHERE site_id = $4 AND profile_id > $5
                     ORDER BY profile_id LIMIT $6)
                 ) AS people ORDER BY profile_id LIMIT $7")
            .bind::<Integer, _>(site_id)
            .bind::<BigInt, _>(after_profile_id)
            .bind::<BigInt, _>(SWEPT_AT_ONCE)
            .bind::<Integer, _>(site_id)
            .bind::<BigInt, _>(after_profile_id)
            .bind::<BigInt, _>(SWEPT_AT_ONCE)
            .bind::<BigInt, _>(SWEPT_AT_ONCE)
            .load(connection)?;
            let profile_ids: BTreeSet<i64> = ids.into_iter().map(|row| row.profile_id).collect();
            let (Some(last), Some(site)) =
                (profile_ids.last().copied(), read_sites(connection)?.into_iter().find(|site| site.site_id == site_id))
            else {
                sql("UPDATE segment_sweeps SET swept_revision = sweeping_revision, sweeping_revision = NULL,
                        done = people, changed_at = now() WHERE site_id = $1")
                .bind::<Integer, _>(site_id)
                .execute(connection)?;
                return Ok(1);
            };
            lock(connection, &BTreeMap::from([(site_id, profile_ids.clone())]))?;
            self.each(connection, &site, &profile_ids, Asked { now: now(), cause: Cause::Model })?;
            sql("UPDATE segment_sweeps SET after_profile_id = $1, done = done + $2, changed_at = now() WHERE site_id = $3")
                .bind::<BigInt, _>(last)
                .bind::<BigInt, _>(profile_ids.len() as i64)
                .bind::<Integer, _>(site_id)
                .execute(connection)?;
            Ok(profile_ids.len())
        })
    }
}

/// People whose deadline has come, the longest waiting ones, by site.
fn read_due(connection: &mut PgConnection, now: Timestamp) -> Result<BTreeMap<i32, BTreeSet<i64>>, StoreError> {
    let rows: Vec<DueRow> = sql("SELECT site_id, profile_id FROM segment_deadlines WHERE due_at <= $1
         ORDER BY due_at LIMIT $2")
    .bind::<Timestamptz, _>(store::timestamp(now.as_microsecond()))
    .bind::<BigInt, _>(ASKED_AT_ONCE)
    .load(connection)?;
    let mut due: BTreeMap<i32, BTreeSet<i64>> = BTreeMap::new();
    for row in rows {
        due.entry(row.site_id).or_default().insert(row.profile_id);
    }
    Ok(due)
}

/// Moves deadlines to a later time, or takes them away.
fn put_off(
    connection: &mut PgConnection,
    site_id: i32,
    profile_ids: &BTreeSet<i64>,
    later: Option<Timestamp>,
) -> Result<(), StoreError> {
    let ids: Vec<i64> = profile_ids.iter().copied().collect();
    match later {
        Some(later) => sql("INSERT INTO segment_deadlines (due_at, site_id, profile_id) SELECT $1, $2, unnest($3)
             ON CONFLICT (site_id, profile_id) DO UPDATE SET due_at = EXCLUDED.due_at")
        .bind::<Timestamptz, _>(store::timestamp(later.as_microsecond()))
        .bind::<Integer, _>(site_id)
        .bind::<Array<BigInt>, _>(ids)
        .execute(connection)?,
        None => sql("DELETE FROM segment_deadlines WHERE site_id = $1 AND profile_id = ANY($2)")
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(ids)
            .execute(connection)?,
    };
    Ok(())
}

/// Begins to ask everybody of a site whose segments or models have changed since everybody was asked, if there is one
/// and nobody is at it.
fn begin_sweep(connection: &mut PgConnection) -> Result<(), StoreError> {
    let row: Option<SiteRow> = sql("SELECT s.site_id FROM sites s LEFT JOIN segment_sweeps w USING (site_id)
         WHERE s.segments_revision > COALESCE(w.swept_revision, 0) AND w.sweeping_revision IS NULL
         ORDER BY s.site_id LIMIT 1")
    .get_result(connection)
    .optional()?;
    let Some(SiteRow { site_id }) = row else { return Ok(()) };
    connection.transaction(|connection| begin_sweep_of(connection, site_id))
}

fn begin_sweep_of(connection: &mut PgConnection, site_id: i32) -> Result<(), StoreError> {
    // Everybody who was asked under an older revision is committed then, and so found by the sweep.
    sql("SELECT count(pg_advisory_xact_lock(2, bucket)) FROM generate_series(0, $1) AS bucket")
        .bind::<Integer, _>(LOCK_BUCKETS as i32 - 1)
        .execute(connection)?;
    let Revisions { revision, .. } = segments::read_revisions(connection, site_id)?;
    sql("INSERT INTO segment_sweeps (site_id, sweeping_revision, people)
         VALUES ($1, $2, (SELECT count(*) FROM profiles WHERE site_id = $3))
         ON CONFLICT (site_id) DO UPDATE SET sweeping_revision = EXCLUDED.sweeping_revision, after_profile_id = 0,
            done = 0, people = EXCLUDED.people, changed_at = now()
         WHERE segment_sweeps.sweeping_revision IS NULL")
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(revision)
    .bind::<Integer, _>(site_id)
    .execute(connection)?;
    Ok(())
}

#[derive(QueryableByName)]
struct SinceRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Integer)]
    segment_id: i32,
    #[diesel(sql_type = Timestamptz)]
    entered_at: diesel::pg::data_types::PgTimestamp,
}

/// Since when some people are in which segments, as it is stored.
type Since = HashMap<i64, HashMap<i32, Timestamp>>;

fn read_since(connection: &mut PgConnection, site_id: i32, profile_ids: &[i64]) -> Result<Since, StoreError> {
    let rows: Vec<SinceRow> = sql(
        "SELECT profile_id, segment_id, entered_at FROM segment_members WHERE site_id = $1 AND profile_id = ANY($2)",
    )
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(profile_ids.to_vec())
    .load(connection)?;
    let mut since = Since::new();
    for row in rows {
        let entered_at = store::from_timestamp(row.entered_at);
        since.entry(row.profile_id).or_default().insert(row.segment_id, entered_at);
    }
    Ok(since)
}

/// The segments that a person is in, lists among them, as it is stored, and since when.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn memberships(store: &Store, site: &Site, profile_id: i64) -> Result<HashMap<i32, Timestamp>, StoreError> {
    let mut since = store.read(|connection| read_since(connection, site.site_id, &[profile_id]))?;
    Ok(since.remove(&profile_id).unwrap_or_default())
}

/// One segment as it stands for one person.
pub(crate) struct Explained {
    pub(crate) segment_id: i32,
    /// Whether the person is a member now.
    pub(crate) member: bool,
    /// Since when, as it is stored.
    pub(crate) since: Option<Timestamp>,
    /// The moment that was asked about.
    pub(crate) as_of: Timestamp,
    /// Clause by clause.
    pub(crate) explanation: rule::Explanation,
}

impl Explained {
    /// Why, in one line.
    pub(crate) fn because(&self, site: &Site) -> String {
        self.explanation.sentence(&site.time_zone, rule::second(self.as_of))
    }
}

/// Asks the segments with a rule that are `wanted` about some people, and takes the answers apart. Those who are unknown,
/// or who are only measured, are left out.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn explain(
    store: &Store,
    site: &Site,
    profile_ids: &[i64],
    wanted: impl Fn(i32) -> bool,
) -> Result<Vec<(i64, Vec<Explained>)>, StoreError> {
    let mut projector = Projector::default();
    store.read(|connection| {
        let Projector { texts, live, .. } = &mut projector;
        let Some(live) = live.of(connection, site)? else { return Ok(Vec::new()) };
        let since = read_since(connection, site.site_id, profile_ids)?;
        let rows = read_asked(texts, live, connection, site, profile_ids)?;
        Ok(rows.iter().map(|row| (row.profile_id.0, apart(live, row, &since, &wanted, now()))).collect())
    })
}

/// Reads people who can be asked: those who are not only measured.
fn read_asked(
    texts: &mut Texts,
    live: &mut LiveSite,
    connection: &mut PgConnection,
    site: &Site,
    profile_ids: &[i64],
) -> Result<Vec<PersonRow>, StoreError> {
    let people = read_people(connection, site.site_id, &profile_ids.iter().copied().collect())?;
    let known: Vec<(i64, &Person)> =
        people.iter().filter(|(_, person)| !person.measured).map(|(id, person)| (*id, person)).collect();
    Ok(read_rows(texts, live, connection, site, &known)?.rows.into_iter().map(|(_, row)| row).collect())
}

fn apart(
    live: &mut LiveSite,
    row: &PersonRow,
    since: &Since,
    wanted: impl Fn(i32) -> bool,
    as_of: Timestamp,
) -> Vec<Explained> {
    let since = since.get(&row.profile_id.0);
    let since = |segment_id: i32| since.and_then(|since| since.get(&segment_id)).copied();
    let explained = live.explain(row, |segment_id| since(segment_id).is_some(), wanted, as_of);
    let explained = explained.into_iter().map(|(segment_id, explanation)| Explained {
        segment_id,
        member: explanation.holds,
        since: since(segment_id),
        as_of,
        explanation,
    });
    explained.collect()
}

/// People whom a preview asks at most. Of so many, a share's 95 % interval is at most ±2.2 points wide.
const PREVIEWED: i64 = 2_000;
/// People of a preview whose events are in memory at a time.
const PREVIEWED_AT_ONCE: usize = 250;

/// Whom a rule that is not kept would take in.
pub(crate) struct Previewed {
    /// Everybody with a profile.
    pub(crate) people: u64,
    /// Those who were asked.
    pub(crate) asked: u64,
    /// Those of them of whom it holds, in an order that is random and always the same, each with the reason.
    pub(crate) found: Vec<(i64, Explained)>,
    /// Properties and traits of the rule that nobody who was asked has.
    pub(crate) unheard: Vec<Word>,
}

#[derive(QueryableByName)]
struct ChosenRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = BigInt)]
    people: i64,
}

/// Asks a rule that is not kept about these people, else about everybody, or where there are many about [`PREVIEWED`].
///
/// # Errors
/// [`StoreError`]
pub(crate) fn preview(
    store: &Store,
    site: &Site,
    rule: &rule::Rule,
    these: Option<&[i64]>,
) -> Result<Previewed, StoreError> {
    let mut texts = Texts::default();
    store.read(|connection| {
        let mut live = LiveSite::drafted(connection, site, rule)?;
        // By the hash, so that every rule is asked about the same people as long as nobody comes: two previews differ by
        // what was written alone.
        let chosen: Vec<ChosenRow> =
            sql("SELECT profile_id, count(*) OVER () AS people FROM profiles WHERE site_id = $1
             ORDER BY hashint8extended(profile_id, 20261123), profile_id LIMIT $2")
            .bind::<Integer, _>(site.site_id)
            .bind::<BigInt, _>(PREVIEWED)
            .load(connection)?;
        let people = chosen.first().map_or(0, |row| row.people);
        let profile_ids: Vec<i64> = match these {
            Some(these) => these.to_vec(),
            None => chosen.into_iter().map(|row| row.profile_id).collect(),
        };
        // What is computed is not sent, and so not heard of.
        let computed = read_computed(connection, site.site_id)?;
        let is_sent = |word: &Word| match word {
            Word::Property(_) => true,
            Word::Trait(name) => computed.get(name).is_none(),
            Word::Event(_) | Word::Page(_) => false,
        };
        let mut unheard: Vec<Word> = rule.words().into_iter().filter(is_sent).collect();
        let mut found = Vec::new();
        for some in profile_ids.chunks(PREVIEWED_AT_ONCE) {
            let since = if live.has_lists() { read_since(connection, site.site_id, some)? } else { Since::new() };
            let rows = read_asked(&mut texts, &mut live, connection, site, some)?;
            unheard.retain(|word| !rows.iter().any(|row| is_known_of(row, word, &live.vocabulary)));
            for row in &rows {
                let explained = apart(&mut live, row, &since, |segment_id| segment_id == DRAFT, now());
                found.extend(explained.into_iter().filter(|one| one.member).map(|one| (row.profile_id.0, one)));
            }
        }
        let people = u64::try_from(people).unwrap_or(0);
        Ok(Previewed { people, asked: profile_ids.len() as u64, found, unheard })
    })
}

/// Whether a person has a property or trait of that name.
fn is_known_of(row: &PersonRow, word: &Word, vocabulary: &Vocabulary) -> bool {
    match word {
        Word::Property(name) => row.record.iter().any(|record| vocabulary.has_property(*record, name)),
        Word::Trait(name) => {
            let slot = vocabulary.traits().iter().position(|kept| **kept == **name);
            slot.and_then(|slot| row.traits.get(slot)).is_some_and(|value| *value != 0)
        }
        Word::Event(_) | Word::Page(_) => true,
    }
}
