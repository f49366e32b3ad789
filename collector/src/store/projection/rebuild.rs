//! Every projection anew, compared with what is stored.

use super::{Projector, Step, Touched, lock};
use crate::store::journal::ask_again;
use crate::store::membership::Cause;
use crate::store::segments::read_revisions;
use crate::store::sites::{Site, read_sites};
use crate::store::sql::sql;
use crate::store::{Store, StoreError};
use diesel::Connection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[derive(QueryableByName)]
struct JsonRow {
    #[diesel(sql_type = Jsonb)]
    row: Value,
}

/// What a rebuild found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rebuilt {
    /// People folded from their first event.
    pub(crate) people: u64,
    /// People whose stored projection was another.
    pub(crate) different: u64,
    /// The first of those, with what differed.
    pub(crate) examples: Vec<String>,
}

/// What a row of [`StoredRows`] is that says of which segment somebody is a member.
const MEMBER: &str = "member";
/// What a row is that says what a computed trait is.
const TRAIT: &str = "trait";

/// A person's rows, each with what it is.
type StoredRows = Vec<(&'static str, Value)>;

/// Everything that is stored of some people, as comparable values by person.
fn stored(
    connection: &mut PgConnection,
    site_id: i32,
    profile_ids: &BTreeSet<i64>,
) -> Result<BTreeMap<i64, StoredRows>, StoreError> {
    let mut all: BTreeMap<i64, StoredRows> = BTreeMap::new();
    for (table, statement) in [
        (
            "session",
            "SELECT to_jsonb(s) AS row FROM sessions s WHERE site_id = $1 AND profile_id = ANY($2) ORDER BY profile_id, session_id, started_at",
        ),
        (
            "order",
            "SELECT to_jsonb(o) AS row FROM orders o WHERE site_id = $1 AND profile_id = ANY($2) ORDER BY profile_id, order_id",
        ),
        ("profile", "SELECT to_jsonb(p) AS row FROM profiles p WHERE site_id = $1 AND profile_id = ANY($2)"),
        // The rules that a history was folded under are taken on when something happens to the person; where they make
        // a difference, the person's orders and facts have it.
        (
            "history",
            "SELECT to_jsonb(h) #- '{history,rules}' AS row FROM histories h WHERE site_id = $1 AND profile_id = ANY($2)",
        ),
        (
            MEMBER,
            "SELECT jsonb_build_object('profile_id', profile_id, 'segment', g.key) AS row
             FROM segment_members m JOIN segments g USING (site_id, segment_id)
             WHERE site_id = $1 AND profile_id = ANY($2) ORDER BY profile_id, segment_id",
        ),
        (
            TRAIT,
            "SELECT jsonb_build_object('profile_id', profile_id, 'trait', t.name, 'value', v.value) AS row
             FROM trait_values v JOIN computed_traits t USING (site_id, trait_id)
             WHERE site_id = $1 AND profile_id = ANY($2) ORDER BY profile_id, trait_id",
        ),
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

/// People whose membership of something changes by itself in the next seconds.
fn moving(connection: &mut PgConnection, site_id: i32) -> Result<BTreeSet<i64>, StoreError> {
    let rows: Vec<ProfileId> = sql("SELECT profile_id FROM segment_deadlines
         WHERE site_id = $1 AND due_at < now() + interval '10 seconds'")
    .bind::<Integer, _>(site_id)
    .load(connection)?;
    Ok(rows.into_iter().map(|row| row.profile_id).collect())
}

#[derive(QueryableByName)]
struct ProfileId {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
}

/// People of one rebuild transaction.
const REBUILT_AT_ONCE: i64 = 500;

/// Folds every person of a site from the first event and compares with what is stored, which is replaced.
/// `progress` is told how many people are done.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn rebuild(store: &Store, site: &Site, mut progress: impl FnMut(u64)) -> Result<Rebuilt, StoreError> {
    let mut connection = store.connect()?;
    let mut projector = Projector::default();
    let mut rebuilt = Rebuilt::default();
    let mut after = i64::MIN;
    loop {
        // People who have identities, and those of whom only a projection is left.
        let ids: Vec<ProfileId> = sql("SELECT profile_id FROM (
                SELECT profile_id FROM identities WHERE site_id = $1 AND profile_id > $2
                UNION SELECT profile_id FROM histories WHERE site_id = $3 AND profile_id > $4
             ) AS people ORDER BY profile_id LIMIT $5")
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
            lock(connection, &BTreeMap::from([(site.site_id, profile_ids.clone())]))?;
            // As it is by now: its settings may have changed since the rebuild began.
            let site = read_sites(connection)?.into_iter().find(|now| now.site_id == site.site_id);
            let Some(site) = site else { return Ok(()) };
            let revisions = read_revisions(connection, site.site_id)?;
            let moving = moving(connection, site.site_id)?;
            let mut before = stored(connection, site.site_id, &profile_ids)?;
            let touched = Touched { relinked: profile_ids.clone(), ..Touched::default() };
            // One who cannot be projected is told in the log and keeps nobody else from it.
            projector.careful = true;
            projector.site(connection, &site, &touched, profile_ids.clone(), &mut Step::default(), Cause::Mended)?;
            let mut now = stored(connection, site.site_id, &profile_ids)?;
            // While everybody is being asked anew memberships and traits are allowed to be behind, and whose deadline comes while
            // the rebuild is at work may rightly be somewhere else afterwards.
            let is_settled = revisions.revision == revisions.swept_revision
                && read_revisions(connection, site.site_id)?.revision == revisions.revision;
            for (profile_id, rows) in before.iter_mut().chain(&mut now) {
                if !is_settled || moving.contains(profile_id) {
                    rows.retain(|(table, _)| ![MEMBER, TRAIT].contains(table));
                }
            }
            before.retain(|_, rows| !rows.is_empty());
            now.retain(|_, rows| !rows.is_empty());
            let mut mended = Vec::new();
            for profile_id in &profile_ids {
                let (before, now) = (before.get(profile_id), now.get(profile_id));
                // What still waits in the journal is no difference: it was only a little early.
                if before != now && !waits(connection, site.site_id, *profile_id)? {
                    rebuilt.different += 1;
                    mended.push(*profile_id);
                    if rebuilt.examples.len() < 10 {
                        rebuilt.examples.push(difference(*profile_id, before, now));
                    }
                }
            }
            // Whoever keeps people in memory reads them again.
            ask_again(connection, site.site_id, &mended)
        })?;
        rebuilt.people += profile_ids.len() as u64;
        progress(rebuilt.people);
    }
}

#[derive(QueryableByName)]
struct Waits {
    #[diesel(sql_type = Bool)]
    waits: bool,
}

/// Whether the journal still has something of this person that is not projected.
fn waits(connection: &mut PgConnection, site_id: i32, profile_id: i64) -> Result<bool, StoreError> {
    let row: Waits = sql(
        "SELECT EXISTS (SELECT FROM journal WHERE NOT projected AND site_id = $1 AND (relinked_profiles @> ARRAY[$2]
            OR identity_ids && ARRAY(SELECT identity_id FROM identities WHERE site_id = $3 AND profile_id = $4))) AS waits",
    )
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(profile_id)
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(profile_id)
    .get_result(connection)?;
    Ok(row.waits)
}

fn difference(profile_id: i64, before: Option<&StoredRows>, now: Option<&StoredRows>) -> String {
    let none = Vec::new();
    let (before, now) = (before.unwrap_or(&none), now.unwrap_or(&none));
    let gone = before.iter().find(|row| !now.contains(row)).map(|(table, row)| format!("was {table} {row}"));
    let new = now.iter().find(|row| !before.contains(row)).map(|(table, row)| format!("is {table} {row}"));
    let parts: Vec<String> = [gone, new].into_iter().flatten().collect();
    format!("profile {profile_id}: {}", parts.join("; "))
}
