//! What changed in a segment, and what its people have in common as far as the database is asked for it.

use super::in_use::{People, people, shared};
use super::{count, moment};
use crate::store::membership::Cause;
use crate::store::segments::Segment;
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz};
use domain::event::ProfileId;
use domain::report::Passage;
use domain::segment::insight::rate::Share;
use domain::segment::insight::traits::TraitCount;
use jiff::Timestamp;

/// Segments that passages are told of, on each side.
const PASSAGES: usize = 6;

#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
}

#[derive(QueryableByName)]
struct MovedRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Bool)]
    entered: bool,
    #[diesel(sql_type = SmallInt)]
    cause: i16,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    evidence_at: Option<PgTimestamp>,
}

#[derive(QueryableByName)]
struct PassageRow {
    #[diesel(sql_type = Bool)]
    entered: bool,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    moves: i64,
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = Text)]
    key: String,
}

#[derive(QueryableByName)]
struct TraitRow {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = BigInt)]
    inside: i64,
    #[diesel(sql_type = BigInt)]
    whole: i64,
}

/// Somebody who is a member and was not, or the other way.
pub(crate) struct Moved {
    pub(crate) profile_id: ProfileId,
    /// Is a member now.
    pub(crate) entered: bool,
    /// Of the latest change; `None` for one that this version does not know.
    pub(crate) cause: Option<Cause>,
    /// When what decided happened, where it was an event.
    pub(crate) evidence_at: Option<Timestamp>,
}

/// A segment's people now, and how they came to be them.
pub(crate) struct Moves {
    /// Everybody with a profile.
    pub(crate) population: u64,
    /// By profile id.
    pub(crate) members: Vec<ProfileId>,
    /// Everybody once, by profile id.
    pub(crate) moved: Vec<Moved>,
    pub(crate) from: Vec<Passage>,
    pub(crate) into: Vec<Passage>,
    /// What people say of themselves, and the other segments.
    pub(crate) counts: Vec<TraitCount>,
}

impl Store {
    /// Reads a segment's people, and what changed after a moment.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn moves(&self, site: &Site, segment: &Segment, since: Timestamp) -> Result<Moves, StoreError> {
        self.read(|connection| {
            let People { people: population, .. } = people(connection, site)?;
            let members: Vec<MemberRow> = sql("SELECT profile_id FROM segment_members
                 WHERE site_id = $1 AND segment_id = $2 ORDER BY profile_id")
            .bind::<Integer, _>(site.site_id)
            .bind::<Integer, _>(segment.segment_id)
            .load(connection)?;
            let members: Vec<ProfileId> = members.into_iter().map(|row| ProfileId(row.profile_id)).collect();
            let (from, into) = passages(connection, site, segment, since)?;
            let mut counts = traits(connection, site, segment, members.len() as u64, population)?;
            counts.extend(other_segments(connection, site, segment, members.len() as u64, population)?);
            Ok(Moves { population, moved: moved(connection, site, segment, since)?, members, from, into, counts })
        })
    }
}

fn moved(
    connection: &mut PgConnection,
    site: &Site,
    segment: &Segment,
    since: Timestamp,
) -> Result<Vec<Moved>, StoreError> {
    // One row per person whose first change after $3 is of the same kind as their latest: they were not there before
    // the first and are now, or the other way.
    let rows: Vec<MovedRow> = sql("SELECT profile_id, entered, cause, evidence_at FROM (
            SELECT DISTINCT ON (profile_id) profile_id, entered, cause, evidence_at,
                first_value(entered) OVER (PARTITION BY profile_id ORDER BY change_id) AS first
            FROM segment_changes WHERE site_id = $1 AND segment_id = $2 AND at >= $3
            ORDER BY profile_id, change_id DESC) AS latest
         WHERE first = entered ORDER BY profile_id")
    .bind::<Integer, _>(site.site_id)
    .bind::<Integer, _>(segment.segment_id)
    .bind::<Timestamptz, _>(moment(since))
    .load(connection)?;
    let moved = |row: MovedRow| Moved {
        profile_id: ProfileId(row.profile_id),
        entered: row.entered,
        cause: Cause::from_code(row.cause),
        evidence_at: row.evidence_at.map(from_timestamp),
    };
    Ok(rows.into_iter().map(moved).collect())
}

fn passages(
    connection: &mut PgConnection,
    site: &Site,
    segment: &Segment,
    since: Timestamp,
) -> Result<(Vec<Passage>, Vec<Passage>), StoreError> {
    // One row per direction and other segment in use that was left, or entered, at the same moment.
    let rows: Vec<PassageRow> = sql("SELECT c.entered, g.key, g.name, count(*) AS moves
         FROM segment_changes c
         JOIN segment_changes o USING (site_id, profile_id, at)
         JOIN segments g ON g.site_id = o.site_id AND g.segment_id = o.segment_id
         WHERE c.site_id = $1 AND c.segment_id = $2 AND c.at >= $3 AND c.cause <> $4
            AND o.segment_id <> c.segment_id AND o.entered <> c.entered AND o.cause <> $5 AND g.archived_at IS NULL
         GROUP BY 1, 2, 3 ORDER BY moves DESC, g.key")
    .bind::<Integer, _>(site.site_id)
    .bind::<Integer, _>(segment.segment_id)
    .bind::<Timestamptz, _>(moment(since))
    .bind::<SmallInt, _>(Cause::Rule as i16)
    .bind::<SmallInt, _>(Cause::Rule as i16)
    .load(connection)?;
    let (from, into): (Vec<PassageRow>, Vec<PassageRow>) = rows.into_iter().partition(|row| row.entered);
    let passage = |row: PassageRow| Passage { key: row.key, name: row.name, moves: count(row.moves) };
    let most = |rows: Vec<PassageRow>| rows.into_iter().take(PASSAGES).map(passage).collect();
    Ok((most(from), most(into)))
}

/// The two shares of a value, where there are people on both sides.
fn counted(
    dimension: String,
    value: String,
    (with, whole): (u64, u64),
    (size, population): (u64, u64),
) -> Option<TraitCount> {
    let inside = Share::new(with, size).ok()?;
    let outside = Share::new(whole.saturating_sub(with), population.saturating_sub(size)).ok()?;
    Some(TraitCount { dimension, value, inside, outside })
}

fn traits(
    connection: &mut PgConnection,
    site: &Site,
    segment: &Segment,
    size: u64,
    population: u64,
) -> Result<Vec<TraitCount>, StoreError> {
    // One row per trait of the people who were seen last that says the same of several of them. Those that say who
    // somebody is are left out by the names that the public vocabulary gives them.
    let keys: Vec<KeyRow> = sql("SELECT key FROM (
            SELECT traits FROM profiles WHERE site_id = $1 ORDER BY last_seen DESC LIMIT 500) AS latest
         CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(traits) WHEN 'object' THEN traits ELSE '{}' END)
            AS one (key, value)
         WHERE jsonb_typeof(value) IN ('string', 'number', 'boolean')
            AND lower(replace(key, '_', '')) NOT IN ('name', 'firstname', 'lastname', 'username', 'email', 'phone', 'id')
         GROUP BY key HAVING count(*) >= 5 AND count(DISTINCT value) * 2 <= count(*)
         ORDER BY count(*) DESC, key LIMIT 12")
    .bind::<Integer, _>(site.site_id)
    .load(connection)?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    // One row per trait and value that five people have.
    let rows: Vec<TraitRow> =
        sql("SELECT k.key, p.traits->>k.key AS value, count(m.profile_id) AS inside, count(*) AS whole
         FROM profiles p CROSS JOIN unnest($1) AS k (key)
         LEFT JOIN segment_members m
            ON m.site_id = p.site_id AND m.profile_id = p.profile_id AND m.segment_id = $2
         WHERE p.site_id = $3 AND jsonb_typeof(p.traits->k.key) IN ('string', 'number', 'boolean')
            AND length(p.traits->>k.key) BETWEEN 1 AND 100
         GROUP BY 1, 2 HAVING count(*) >= 5 ORDER BY whole DESC, 1, 2 LIMIT 1000")
        .bind::<Array<Text>, _>(keys.into_iter().map(|row| row.key).collect::<Vec<_>>())
        .bind::<Integer, _>(segment.segment_id)
        .bind::<Integer, _>(site.site_id)
        .load(connection)?;
    let of = |row: TraitRow| {
        let counts = (count(row.inside), count(row.whole));
        counted(format!("trait {}", row.key), row.value, counts, (size, population))
    };
    Ok(rows.into_iter().filter_map(of).collect())
}

fn other_segments(
    connection: &mut PgConnection,
    site: &Site,
    segment: &Segment,
    size: u64,
    population: u64,
) -> Result<Vec<TraitCount>, StoreError> {
    let shared = shared(connection, site, segment, i64::MAX)?.into_iter();
    let of = |other: domain::report::SharedWith| {
        counted("segment".to_owned(), other.name, (other.people, other.size), (size, population))
    };
    Ok(shared.filter_map(of).collect())
}
