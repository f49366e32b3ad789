//! What a comparison of people found, written over what the last one did.

use super::Found;
use crate::store::StoreError;
use crate::store::erasure::hold_off;
use crate::store::identities::{Judged, lock_site};
use crate::store::sql::sql;
use diesel::Connection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Jsonb};
use domain::event::ProfileId;
use domain::matching::Suggestion;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// Matches of one comparison that are kept, the most probable; nobody looks at more.
const MOST_VOUCHED: usize = 5_000;
/// Those that rest on what browsers sent: anybody can make as many as they like.
const MOST_CLAIMED: usize = 500;

#[derive(QueryableByName)]
struct OpenRow {
    #[diesel(sql_type = BigInt)]
    match_id: i64,
    #[diesel(sql_type = BigInt)]
    one: i64,
    #[diesel(sql_type = BigInt)]
    other: i64,
}

#[derive(QueryableByName)]
struct WrittenRow {
    #[diesel(sql_type = BigInt)]
    match_id: i64,
}

/// Writes what was found: new pairs, the present probability of those that wait already, and that the others are no
/// longer alike. What was decided stays as it is.
pub(super) fn write(connection: &mut PgConnection, site_id: i32, found: &Found) -> Result<(), StoreError> {
    connection.transaction::<_, StoreError, _>(|connection| {
        // Nobody of these is forgotten, joined or judged meanwhile.
        hold_off(connection)?;
        lock_site(connection, site_id)?;
        let waiting = waiting(connection, site_id)?;
        let judged: HashSet<(i64, i64)> = Judged::read(connection, site_id)?.apart.into_iter().map(in_order).collect();
        let (mut again, mut new) = (Vec::new(), Vec::new());
        for (suggestion, trusted) in chosen(found) {
            let pair = in_order((suggestion.a.0, suggestion.b.0));
            if judged.contains(&pair) {
                continue;
            }
            match waiting.get(&pair) {
                Some(match_id) => {
                    let mut row = row(suggestion, trusted);
                    row["match_id"] = (*match_id).into();
                    again.push(row);
                }
                None => new.extend(row_of_new(found, suggestion, trusted)),
            }
        }
        let mut kept = update(connection, site_id, again)?;
        kept.extend(insert(connection, site_id, new)?);
        sql("UPDATE match_suggestions SET state = 'outdated'
             WHERE site_id = $1 AND state = 'open' AND match_id <> ALL($2)")
        .bind::<Integer, _>(site_id)
        .bind::<Array<BigInt>, _>(kept)
        .execute(connection)?;
        Ok(())
    })
}

fn in_order((one, other): (i64, i64)) -> (i64, i64) {
    (one.min(other), one.max(other))
}

/// What is kept, with whether trusted sources alone say it. What they say alone comes first and is not told twice.
fn chosen(found: &Found) -> impl Iterator<Item = (&Suggestion, bool)> {
    let pair = |suggestion: &Suggestion| (suggestion.a, suggestion.b);
    let told: HashSet<(ProfileId, ProfileId)> = found.vouched.suggestions.iter().map(pair).collect();
    let vouched = found.vouched.suggestions.iter().take(MOST_VOUCHED).map(|one| (one, true));
    let claimed = found.all.suggestions.iter().filter(move |one| !told.contains(&pair(one))).take(MOST_CLAIMED);
    vouched.chain(claimed.map(|one| (one, false)))
}

/// The open matches, by the profiles that their identities have now.
fn waiting(connection: &mut PgConnection, site_id: i32) -> Result<HashMap<(i64, i64), i64>, StoreError> {
    let rows: Vec<OpenRow> = sql("SELECT m.match_id, i.profile_id AS one, o.profile_id AS other
         FROM match_suggestions m
         JOIN identities i ON i.site_id = m.site_id AND i.identity_id = m.identity_id
         JOIN identities o ON o.site_id = m.site_id AND o.identity_id = m.other_id
         WHERE m.site_id = $1 AND m.state = 'open' ORDER BY m.match_id DESC")
    .bind::<Integer, _>(site_id)
    .load(connection)?;
    // Of two that a merge has made one the older stays.
    Ok(rows.into_iter().map(|row| (in_order((row.one, row.other)), row.match_id)).collect())
}

/// A suggestion as it is stored: which values agree and how much that says, and no value.
fn row(suggestion: &Suggestion, trusted: bool) -> Value {
    let evidence = suggestion.evidence.iter().map(|evidence| {
        json!({
            "comparison": evidence.comparison.key(),
            "level": evidence.level.key(),
            "bits": evidence.bits,
            "rarity_bits": evidence.rarity_bits,
        })
    });
    json!({
        "probability": suggestion.probability,
        "trusted": trusted,
        "automatic": trusted && suggestion.automatic,
        "evidence": evidence.collect::<Vec<_>>(),
        "household_bits": suggestion.household_bits,
    })
}

fn row_of_new(found: &Found, suggestion: &Suggestion, trusted: bool) -> Option<Value> {
    let known_by = |profile_id| Some((found.people.known_by.get(&profile_id).copied()?, profile_id.0));
    let (a, b) = (known_by(suggestion.a)?, known_by(suggestion.b)?);
    let (one, other) = (a.min(b), a.max(b));
    let mut row = row(suggestion, trusted);
    row["identity_id"] = one.0.into();
    row["one_profile"] = one.1.into();
    row["other_id"] = other.0.into();
    row["other_profile"] = other.1.into();
    Some(row)
}

fn update(connection: &mut PgConnection, site_id: i32, rows: Vec<Value>) -> Result<Vec<i64>, StoreError> {
    let written: Vec<WrittenRow> = sql("UPDATE match_suggestions AS m SET probability = n.probability,
            trusted = n.trusted, automatic = n.automatic, evidence = n.evidence, household_bits = n.household_bits
         FROM jsonb_to_recordset($1) AS n (match_id bigint, probability double precision, trusted boolean,
            automatic boolean, evidence jsonb, household_bits double precision)
         WHERE m.site_id = $2 AND m.match_id = n.match_id RETURNING m.match_id")
    .bind::<Jsonb, _>(Value::Array(rows))
    .bind::<Integer, _>(site_id)
    .load(connection)?;
    Ok(written.into_iter().map(|row| row.match_id).collect())
}

fn insert(connection: &mut PgConnection, site_id: i32, rows: Vec<Value>) -> Result<Vec<i64>, StoreError> {
    // Only of identities that still belong to whom was compared: one may have been forgotten, joined or taken apart
    // meanwhile. A pair that was alike before is opened again, but never one that somebody has refused.
    let written: Vec<WrittenRow> = sql("INSERT INTO match_suggestions AS m (site_id, identity_id, other_id, state,
            probability, trusted, automatic, evidence, household_bits)
         SELECT i.site_id, n.identity_id, n.other_id, 'open', n.probability, n.trusted, n.automatic, n.evidence,
            n.household_bits
         FROM jsonb_to_recordset($1) AS n (identity_id bigint, one_profile bigint, other_id bigint, other_profile bigint,
            probability double precision, trusted boolean, automatic boolean, evidence jsonb,
            household_bits double precision)
         JOIN identities i ON i.identity_id = n.identity_id AND i.profile_id = n.one_profile
         JOIN identities o ON o.site_id = i.site_id AND o.identity_id = n.other_id AND o.profile_id = n.other_profile
         WHERE i.site_id = $2
         ON CONFLICT (site_id, identity_id, other_id) DO UPDATE SET state = 'open', probability = EXCLUDED.probability,
            trusted = EXCLUDED.trusted, automatic = EXCLUDED.automatic, evidence = EXCLUDED.evidence,
            household_bits = EXCLUDED.household_bits, found_at = now(), postponed_at = NULL, decided_at = NULL,
            decided_by = NULL
         WHERE m.state <> 'refused'
         RETURNING m.match_id")
    .bind::<Jsonb, _>(Value::Array(rows))
    .bind::<Integer, _>(site_id)
    .load(connection)?;
    Ok(written.into_iter().map(|row| row.match_id).collect())
}
