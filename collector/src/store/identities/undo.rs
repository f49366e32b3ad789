//! Merges taken back, and allowed again: the pair is kept apart or no longer, and what was said of the people concerned
//! is told again from the first statement.

use super::link::{lock_site, moves, name};
use super::{kind, lost, matched};
use crate::store::sql::sql;
use crate::store::{Store, StoreError};
use diesel::Connection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text};
use domain::event::IdentityId;
use domain::identity::{Call, Kind, Outcome, Standing, Statement, replay};
use std::collections::BTreeSet;

/// What came of taking a merge back, or of allowing it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// The people that there are now, of those who were touched.
    Now(BTreeSet<i64>),
    /// There is no such merge or pair; somebody else may have been first.
    Nothing,
}

#[derive(QueryableByName)]
struct LinkRow {
    #[diesel(sql_type = BigInt)]
    link_id: i64,
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = BigInt)]
    other_id: i64,
    #[diesel(sql_type = SmallInt)]
    call: i16,
    #[diesel(sql_type = SmallInt)]
    standing: i16,
    #[diesel(sql_type = Text)]
    outcome: String,
}

#[derive(QueryableByName)]
struct PairRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = BigInt)]
    other_id: i64,
}

#[derive(QueryableByName)]
struct IdentityRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
}

const UNDONE: &str = "undone";
const ALLOWED: &str = "allowed_again";

impl Store {
    /// Takes a merge back: its two identities are kept apart from now on, and their people are as if they had never been
    /// joined, by this statement or any other. `said_by` is the user who asks for it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then.
    pub(crate) fn undo_merge(&self, site_id: i32, link_id: i64, said_by: &str) -> Result<Undone, StoreError> {
        self.lend()?.transaction(|connection| {
            lock_site(connection, site_id)?;
            take_back(connection, site_id, link_id, said_by)
        })
    }

    /// Allows two identities to be one person again: what was said of them until now and what will be counts again.
    /// `said_by` is the user who asks for it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then.
    pub(crate) fn allow_again(&self, site_id: i32, pair: (i64, i64), said_by: &str) -> Result<Undone, StoreError> {
        self.lend()?.transaction(|connection| {
            lock_site(connection, site_id)?;
            lift(connection, site_id, pair, said_by)
        })
    }
}

/// See [`Store::undo_merge`]; the site is locked.
pub(super) fn take_back(
    connection: &mut PgConnection,
    site_id: i32,
    link_id: i64,
    said_by: &str,
) -> Result<Undone, StoreError> {
    let pair: Option<PairRow> = sql("SELECT l.identity_id, l.other_id FROM identity_links l
         JOIN identities i ON i.site_id = l.site_id AND i.identity_id = l.identity_id
         JOIN identities o ON o.site_id = l.site_id AND o.identity_id = l.other_id
         WHERE l.site_id = $1 AND l.link_id = $2 AND l.outcome = 'merged' AND i.profile_id = o.profile_id")
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(link_id)
    .get_result(connection)
    .optional()?;
    let Some(pair) = pair else { return Ok(Undone::Nothing) };
    sql("INSERT INTO identity_apart (site_id, identity_id, other_id, link_id, said_by)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING")
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(pair.identity_id)
    .bind::<BigInt, _>(pair.other_id)
    .bind::<BigInt, _>(link_id)
    .bind::<Text, _>(said_by.to_owned())
    .execute(connection)?;
    matched::refused(connection, site_id, (pair.identity_id, pair.other_id), said_by)?;
    retell(connection, site_id, &pair, UNDONE)
}

/// See [`Store::allow_again`]; the site is locked.
pub(super) fn lift(
    connection: &mut PgConnection,
    site_id: i32,
    (identity_id, other_id): (i64, i64),
    said_by: &str,
) -> Result<Undone, StoreError> {
    // Whichever of the two was named first.
    let lifted = sql("DELETE FROM identity_apart WHERE site_id = $1
         AND least(identity_id, other_id) = $2 AND greatest(identity_id, other_id) = $3")
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(identity_id.min(other_id))
    .bind::<BigInt, _>(identity_id.max(other_id))
    .execute(connection)?;
    if lifted == 0 {
        return Ok(Undone::Nothing);
    }
    let done = retell(connection, site_id, &PairRow { identity_id, other_id }, ALLOWED)?;
    matched::reopened(connection, site_id, (identity_id, other_id), said_by)?;
    Ok(done)
}

/// Tells again what was said of the people who have these two identities, and writes what is different now.
fn retell(connection: &mut PgConnection, site_id: i32, pair: &PairRow, reason: &str) -> Result<Undone, StoreError> {
    let identities: Vec<IdentityRow> = sql("SELECT identity_id, profile_id, kind FROM identities
         WHERE site_id = $1 AND profile_id IN
            (SELECT profile_id FROM identities WHERE site_id = $2 AND identity_id = ANY($3)) ORDER BY identity_id")
    .bind::<Integer, _>(site_id)
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(vec![pair.identity_id, pair.other_id])
    .load(connection)?;
    let identity_ids: Vec<i64> = identities.iter().map(|row| row.identity_id).collect();
    let links: Vec<LinkRow> = sql("SELECT link_id, identity_id, other_id, call, standing, outcome FROM identity_links
         WHERE site_id = $1 AND identity_id = ANY($2) AND other_id = ANY($3) ORDER BY link_id")
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(identity_ids.clone())
    .bind::<Array<BigInt>, _>(identity_ids.clone())
    .load(connection)?;
    let apart: Vec<PairRow> = sql("SELECT identity_id, other_id FROM identity_apart
         WHERE site_id = $1 AND identity_id = ANY($2) AND other_id = ANY($3)")
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(identity_ids.clone())
    .bind::<Array<BigInt>, _>(identity_ids)
    .load(connection)?;
    let members = identities.iter().map(|row| Ok((IdentityId(row.identity_id), kind(row.kind)?)));
    let members: Vec<(IdentityId, Kind)> = members.collect::<Result<_, StoreError>>()?;
    let statements: Vec<Statement> = links.iter().map(statement).collect::<Result<_, _>>()?;
    let apart: Vec<_> = apart.iter().map(|row| (IdentityId(row.identity_id), IdentityId(row.other_id))).collect();
    let replayed = replay(&members, &statements, &apart);
    write_outcomes(connection, site_id, &links, &replayed.outcomes)?;
    let mut people = BTreeSet::new();
    let mut moved = Vec::new();
    let mut touched: BTreeSet<i64> = BTreeSet::new();
    for row in &identities {
        let now = replayed.profiles.get(&IdentityId(row.identity_id)).ok_or_else(|| lost("an identity"))?.0;
        people.insert(now);
        touched.extend([row.profile_id, now]);
        if now != row.profile_id {
            moved.push((row, now));
        }
    }
    // One row of the ledger per identity that changes its profile.
    sql("WITH moved AS (
            UPDATE identities AS i SET profile_id = m.now FROM unnest($1, $2, $3) AS m (identity_id, before, now)
            WHERE i.site_id = $4 AND i.identity_id = m.identity_id
            RETURNING i.site_id, i.identity_id, m.before, m.now
         )
         INSERT INTO identity_ledger (site_id, identity_id, from_profile_id, to_profile_id, reason)
         SELECT moved.*, $5 FROM moved")
    .bind::<Array<BigInt>, _>(moved.iter().map(|(row, _)| row.identity_id).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(moved.iter().map(|(row, _)| row.profile_id).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(moved.iter().map(|(_, now)| *now).collect::<Vec<_>>())
    .bind::<Integer, _>(site_id)
    .bind::<Text, _>(reason.to_owned())
    .execute(connection)?;
    sql("INSERT INTO journal (site_id, identity_ids, event_ids, relinked_profiles) VALUES ($1, '{}', '{}', $2)")
        .bind::<Integer, _>(site_id)
        .bind::<Array<BigInt>, _>(touched.into_iter().collect::<Vec<_>>())
        .execute(connection)?;
    Ok(Undone::Now(people))
}

fn statement(row: &LinkRow) -> Result<Statement, StoreError> {
    let odd = || StoreError::Refused(format!("link {} has a call or standing that is unknown", row.link_id));
    Ok(Statement {
        from: IdentityId(row.identity_id),
        to: IdentityId(row.other_id),
        call: Call::from_code(row.call).ok_or_else(odd)?,
        standing: Standing::from_code(row.standing).ok_or_else(odd)?,
    })
}

/// Notes what each statement does now, where that is something else than before.
fn write_outcomes(
    connection: &mut PgConnection,
    site_id: i32,
    links: &[LinkRow],
    outcomes: &[Option<Outcome>],
) -> Result<(), StoreError> {
    let changed: Vec<(&LinkRow, &Outcome)> = links
        .iter()
        .zip(outcomes)
        .filter_map(|(row, outcome)| Some((row, outcome.as_ref()?)))
        .filter(|(row, outcome)| row.outcome != name(outcome) || moves(outcome).is_some())
        .collect();
    let each = |of: fn(&Outcome) -> Option<i64>| changed.iter().map(|(_, outcome)| of(outcome)).collect::<Vec<_>>();
    sql("UPDATE identity_links AS l SET outcome = n.outcome, from_profile_id = n.from_profile_id,
            into_profile_id = n.into_profile_id, reason = n.reason
         FROM unnest($1, $2, $3, $4, $5) AS n (link_id, outcome, from_profile_id, into_profile_id, reason)
         WHERE l.site_id = $6 AND l.link_id = n.link_id")
    .bind::<Array<BigInt>, _>(changed.iter().map(|(row, _)| row.link_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(changed.iter().map(|(_, outcome)| name(outcome)).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(each(|outcome| moves(outcome).map(|(from, _, _)| from)))
    .bind::<Array<Nullable<BigInt>>, _>(each(|outcome| moves(outcome).map(|(_, into, _)| into)))
    .bind::<Array<Nullable<Text>>, _>(
        changed.iter().map(|(_, outcome)| moves(outcome).and_then(|(_, _, reason)| reason)).collect::<Vec<_>>(),
    )
    .bind::<Integer, _>(site_id)
    .execute(connection)?;
    Ok(())
}
