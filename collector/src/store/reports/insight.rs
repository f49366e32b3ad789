//! What changed in a segment, and what its people have in common as far as the database is asked for it.

use super::in_use::{IdRow, People, people, shared};
use super::{count, moment};
use crate::store::membership::{Cause, read_sizes};
use crate::store::segments::{Segment, read_segments};
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz};
use domain::event::ProfileId;
use domain::report::Passage;
use domain::segment::insight::rate::Share;
use domain::segment::insight::traits::{MIN_WITH, TraitCount};
use jiff::Timestamp;
use std::collections::HashMap;

/// Segments that passages are told of, on each side.
const PASSAGES: usize = 6;

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
}

/// What people have in common as far as the database is asked for it.
pub(crate) struct InCommon {
    /// Every other segment in use.
    pub(crate) segments: Vec<TraitCount>,
    /// What people say of themselves; `None` where counting that took too long.
    pub(crate) traits: Option<Vec<TraitCount>>,
}

impl Store {
    /// Reads a segment's people, and what changed after a moment.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn moves(&self, site: &Site, segment: &Segment, since: Timestamp) -> Result<Moves, StoreError> {
        self.read(|connection| {
            let People { people: population, .. } = people(connection, site)?;
            let members: Vec<IdRow> = sql("SELECT profile_id FROM segment_members
                 WHERE site_id = $1 AND segment_id = $2 ORDER BY profile_id")
            .bind::<Integer, _>(site.site_id)
            .bind::<Integer, _>(segment.segment_id)
            .load(connection)?;
            let members: Vec<ProfileId> = members.into_iter().map(|row| ProfileId(row.profile_id)).collect();
            let (from, into) = passages(connection, site, segment, since)?;
            Ok(Moves { population, moved: moved(connection, site, segment, since)?, members, from, into })
        })
    }

    /// Reads what a segment's people have in common with each other and not with the rest of so many people.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn in_common(&self, site: &Site, segment: &Segment, population: u64) -> Result<InCommon, StoreError> {
        let segments = self.read(|connection| other_segments(connection, site, segment, population))?;
        let traits = match self.read(|connection| traits(connection, site, segment, population)) {
            Ok(traits) => Some(traits),
            // All of everybody's traits are looked at; a page without them is better than none.
            Err(StoreError::Contended(why)) => {
                tracing::warn!(site = site.site_id, why, "traits are left out");
                None
            }
            Err(error) => return Err(error),
        };
        Ok(InCommon { segments, traits })
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
         WHERE c.site_id = $1 AND c.segment_id = $2 AND c.at >= $3 AND c.cause <> $4 AND o.at >= $5
            AND o.segment_id <> c.segment_id AND o.entered <> c.entered AND o.cause <> $6 AND g.archived_at IS NULL
         GROUP BY 1, 2, 3 ORDER BY moves DESC, g.key")
    .bind::<Integer, _>(site.site_id)
    .bind::<Integer, _>(segment.segment_id)
    .bind::<Timestamptz, _>(moment(since))
    .bind::<SmallInt, _>(Cause::Rule as i16)
    .bind::<Timestamptz, _>(moment(since))
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
    population: u64,
) -> Result<Vec<TraitCount>, StoreError> {
    let size = size_of(connection, site, segment)?;
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

fn size_of(connection: &mut PgConnection, site: &Site, segment: &Segment) -> Result<u64, StoreError> {
    let sizes = read_sizes(connection, site.site_id, [segment.segment_id])?;
    Ok(sizes.members.get(&segment.segment_id).copied().unwrap_or(0))
}

/// All of them, also those that nobody of this one is in: that may be what is special.
fn other_segments(
    connection: &mut PgConnection,
    site: &Site,
    segment: &Segment,
    population: u64,
) -> Result<Vec<TraitCount>, StoreError> {
    let others = read_segments(connection, site.site_id)?;
    let sizes = read_sizes(connection, site.site_id, others.iter().map(|other| other.segment_id))?;
    let size_of = |segment_id: i32| sizes.members.get(&segment_id).copied().unwrap_or(0);
    let both: HashMap<String, u64> =
        shared(connection, site, segment, i64::MAX)?.into_iter().map(|other| (other.key, other.people)).collect();
    let whole = (size_of(segment.segment_id), population);
    let others = others.into_iter().filter(|other| other.segment_id != segment.segment_id);
    let of = |other: Segment| {
        let counts = (both.get(&other.key).copied().unwrap_or(0), size_of(other.segment_id));
        // Rarer ones say nothing and would only make the correction stricter.
        counted("segment".to_owned(), other.name, counts, whole).filter(|_| counts.1 >= MIN_WITH)
    };
    Ok(others.filter_map(of).collect())
}
