//! What is decided about profiles that are alike: joined by a person or without asking, kept apart, and either taken
//! back. A match goes the way of everything that is said of identities: a statement, the ledger, an exact undo.

use super::link::{Told, lock_site, read};
use super::undo::{Undone, lift, take_back};
use crate::store::erasure::hold_off;
use crate::store::sql::sql;
use crate::store::{Store, StoreError};
use diesel::Connection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, SmallInt, Text};
use domain::event::IdentityId;
use domain::identity::{Call, Outcome, Refusal, Standing, Statement};
use domain::report::MatchState;
use std::collections::BTreeSet;

/// Two identities whose profiles are one person by a match.
#[derive(Clone, Copy, Debug, PartialEq, QueryableByName)]
pub(crate) struct Matched {
    #[diesel(sql_type = BigInt)]
    pub(crate) match_id: i64,
    /// The smaller number.
    #[diesel(sql_type = BigInt)]
    pub(crate) identity_id: i64,
    #[diesel(sql_type = BigInt)]
    pub(crate) other_id: i64,
    #[diesel(sql_type = Double)]
    pub(crate) probability: f64,
}

/// What came of a decision about a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decided {
    /// It holds; these are the people that there are now, of the two.
    Now(BTreeSet<i64>),
    /// One of the rules that keep people apart holds the join back.
    HeldBack(Refusal),
    /// There is no such match that this could be decided of; somebody else may have been first.
    Gone,
}

/// Pairs of profiles of which somebody has said that they are two people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judged {
    pub(crate) apart: Vec<(i64, i64)>,
}

#[derive(QueryableByName)]
struct ProfilesRow {
    #[diesel(sql_type = BigInt)]
    one: i64,
    #[diesel(sql_type = BigInt)]
    other: i64,
}

#[derive(QueryableByName)]
struct LinkRow {
    #[diesel(sql_type = BigInt)]
    link_id: i64,
}

/// The stored numbers of statements that come of a match.
const CALLS: [Call; 2] = [Call::Confirmed, Call::Matched];

impl Judged {
    /// Whom a site keeps apart, as profiles are now.
    pub(crate) fn read(connection: &mut PgConnection, site_id: i32) -> Result<Judged, StoreError> {
        let rows: Vec<ProfilesRow> = sql("SELECT i.profile_id AS one, o.profile_id AS other
             FROM identity_apart a
             JOIN identities i ON i.site_id = a.site_id AND i.identity_id = a.identity_id
             JOIN identities o ON o.site_id = a.site_id AND o.identity_id = a.other_id
             WHERE a.site_id = $1")
        .bind::<Integer, _>(site_id)
        .load(connection)?;
        Ok(Judged { apart: rows.into_iter().map(|row| (row.one, row.other)).collect() })
    }
}

impl Store {
    /// Joins the two people of an open match because somebody says so.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then.
    pub(crate) fn join_match(&self, site_id: i32, match_id: i64, said_by: &str) -> Result<Decided, StoreError> {
        self.lend()?.transaction(|connection| {
            let Some((matched, people)) = open(connection, site_id, match_id)? else { return Ok(Decided::Gone) };
            let outcomes = join(connection, site_id, &[matched], Call::Confirmed, said_by)?;
            let Some(outcome) = outcomes.into_iter().next() else { return Ok(Decided::Gone) };
            match outcome {
                Outcome::Refused(refusal) => Ok(Decided::HeldBack(refusal)),
                Outcome::Merged { into, .. } => {
                    settle(connection, site_id, &[match_id], MatchState::Confirmed, said_by)?;
                    Ok(Decided::Now(BTreeSet::from([into.0])))
                }
                // Not of a match: its two people are two, and neither is an order.
                Outcome::Same | Outcome::Ordered { .. } => Ok(Decided::Now(people)),
            }
        })
    }

    /// Keeps the two people of an open match apart: nothing joins them, and they are not suggested again.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then.
    pub(crate) fn refuse_match(&self, site_id: i32, match_id: i64, said_by: &str) -> Result<Decided, StoreError> {
        self.lend()?.transaction(|connection| {
            let Some((matched, people)) = open(connection, site_id, match_id)? else { return Ok(Decided::Gone) };
            sql("INSERT INTO identity_apart (site_id, identity_id, other_id, said_by)
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
            .bind::<Integer, _>(site_id)
            .bind::<BigInt, _>(matched.identity_id)
            .bind::<BigInt, _>(matched.other_id)
            .bind::<Text, _>(said_by.to_owned())
            .execute(connection)?;
            settle(connection, site_id, &[match_id], MatchState::Refused, said_by)?;
            Ok(Decided::Now(people))
        })
    }

    /// Takes back what was decided of a match: whom it joined are two people again and kept apart, whom it kept apart
    /// may be joined again.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then.
    pub(crate) fn undo_match(&self, site_id: i32, match_id: i64, said_by: &str) -> Result<Decided, StoreError> {
        self.lend()?.transaction(|connection| {
            lock_site(connection, site_id)?;
            let matched: Option<Matched> = sql("SELECT match_id, identity_id, other_id, probability
                 FROM match_suggestions WHERE site_id = $1 AND match_id = $2")
            .bind::<Integer, _>(site_id)
            .bind::<BigInt, _>(match_id)
            .get_result(connection)
            .optional()?;
            let Some(matched) = matched else { return Ok(Decided::Gone) };
            let link: Option<LinkRow> = sql("SELECT link_id FROM identity_links
                 WHERE site_id = $1 AND identity_id = $2 AND other_id = $3 AND call = ANY($4) AND outcome = 'merged'
                 ORDER BY link_id DESC LIMIT 1")
            .bind::<Integer, _>(site_id)
            .bind::<BigInt, _>(matched.identity_id)
            .bind::<BigInt, _>(matched.other_id)
            .bind::<Array<SmallInt>, _>(CALLS.map(Call::code).to_vec())
            .get_result(connection)
            .optional()?;
            let undone = match link {
                Some(link) => take_back(connection, site_id, link.link_id, said_by)?,
                None => lift(connection, site_id, (matched.identity_id, matched.other_id), said_by)?,
            };
            Ok(match undone {
                Undone::Now(people) => Decided::Now(people),
                Undone::Nothing => Decided::Gone,
            })
        })
    }

    /// Puts an open match behind all that nobody has put off yet; gives whether there is one.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn postpone_match(&self, site_id: i32, match_id: i64) -> Result<bool, StoreError> {
        let postponed = sql("UPDATE match_suggestions SET postponed_at = now()
             WHERE site_id = $1 AND match_id = $2 AND state = 'open'")
        .bind::<Integer, _>(site_id)
        .bind::<BigInt, _>(match_id)
        .execute(&mut *self.lend()?)?;
        Ok(postponed > 0)
    }

    /// Joins the open matches that a site lets be joined without asking; gives how many people are one by it.
    ///
    /// # Errors
    /// [`StoreError`]; what is done by then stays.
    pub(crate) fn apply_matches(&self, site_id: i32) -> Result<u64, StoreError> {
        let mut connection = self.lend()?;
        let mut joined = 0;
        loop {
            // In parts, so that intake which ties identities never waits long.
            let (looked_at, merged) = connection.transaction(|connection| apply_some(connection, site_id))?;
            joined += merged;
            if looked_at == 0 {
                return Ok(joined);
            }
        }
    }
}

/// Matches of one transaction that joins without asking.
const APPLIED_AT_ONCE: i64 = 100;

/// Gives how many matches were settled one way or the other, and how many of them joined two people.
fn apply_some(connection: &mut PgConnection, site_id: i32) -> Result<(usize, u64), StoreError> {
    hold_off(connection)?;
    lock_site(connection, site_id)?;
    // The threshold as it is by now: it may have been taken back meanwhile. A pair that was found while one of the two
    // was a browser alone stays for a person to decide: the statement would hang on the browser.
    let due: Vec<Matched> = sql("SELECT m.match_id, m.identity_id, m.other_id, m.probability
         FROM match_settings s
         JOIN match_suggestions m ON m.site_id = s.site_id AND m.probability >= s.threshold
         JOIN identities i ON i.site_id = m.site_id AND i.identity_id = m.identity_id
         JOIN identities o ON o.site_id = m.site_id AND o.identity_id = m.other_id
         WHERE s.site_id = $1 AND m.state = 'open' AND m.trusted AND m.automatic AND i.trusted AND o.trusted
         ORDER BY m.probability DESC, m.match_id LIMIT $2")
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(APPLIED_AT_ONCE)
    .load(connection)?;
    if due.is_empty() {
        return Ok((0, 0));
    }
    let outcomes = join(connection, site_id, &due, Call::Matched, ALONE)?;
    let (mut applied, mut outdated, mut held_back) = (Vec::new(), Vec::new(), Vec::new());
    for (matched, outcome) in due.iter().zip(outcomes) {
        match outcome {
            Outcome::Merged { .. } => applied.push(matched.match_id),
            Outcome::Same | Outcome::Ordered { .. } => outdated.push(matched.match_id),
            Outcome::Refused(_) => held_back.push(matched.match_id),
        }
    }
    settle(connection, site_id, &applied, MatchState::Applied, ALONE)?;
    sql("UPDATE match_suggestions SET state = 'outdated' WHERE site_id = $1 AND match_id = ANY($2)")
        .bind::<Integer, _>(site_id)
        .bind::<Array<BigInt>, _>(outdated)
        .execute(connection)?;
    // A rule that keeps people apart leaves these to a person, who reads what it says.
    sql("UPDATE match_suggestions SET automatic = false WHERE site_id = $1 AND match_id = ANY($2)")
        .bind::<Integer, _>(site_id)
        .bind::<Array<BigInt>, _>(held_back)
        .execute(connection)?;
    Ok((due.len(), applied.len() as u64))
}

/// Who is noted as having decided what the site lets be decided without asking.
pub(crate) const ALONE: &str = "your threshold";

/// An open match whose people are two, and their profiles. Erasures and whatever else joins people are held off until
/// the transaction ends.
fn open(
    connection: &mut PgConnection,
    site_id: i32,
    match_id: i64,
) -> Result<Option<(Matched, BTreeSet<i64>)>, StoreError> {
    #[derive(QueryableByName)]
    struct OpenRow {
        #[diesel(embed)]
        matched: Matched,
        #[diesel(embed)]
        profiles: ProfilesRow,
    }
    hold_off(connection)?;
    lock_site(connection, site_id)?;
    let row: Option<OpenRow> = sql("SELECT m.match_id, m.identity_id, m.other_id, m.probability,
            i.profile_id AS one, o.profile_id AS other
         FROM match_suggestions m
         JOIN identities i ON i.site_id = m.site_id AND i.identity_id = m.identity_id
         JOIN identities o ON o.site_id = m.site_id AND o.identity_id = m.other_id
         WHERE m.site_id = $1 AND m.match_id = $2 AND m.state = 'open' AND i.profile_id <> o.profile_id")
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(match_id)
    .get_result(connection)
    .optional()?;
    Ok(row.map(|row| (row.matched, BTreeSet::from([row.profiles.one, row.profiles.other]))))
}

/// Tells the graph of matches and writes what they change; the site is locked. Only what joins two people is kept as a
/// statement: one that was held back is decided by a person, and must not join anybody later by itself.
fn join(
    connection: &mut PgConnection,
    site_id: i32,
    matches: &[Matched],
    call: Call,
    said_by: &str,
) -> Result<Vec<Outcome>, StoreError> {
    let touched = matches.iter().flat_map(|matched| [matched.identity_id, matched.other_id]).collect();
    let mut graph = read(connection, site_id, touched, &mut BTreeSet::new())?;
    let mut told = Told::default();
    let mut outcomes = Vec::with_capacity(matches.len());
    let mut merged = Vec::new();
    for matched in matches {
        let (from, to) = (IdentityId(matched.identity_id), IdentityId(matched.other_id));
        let statement = Statement { from, to, call, standing: Standing::Trusted };
        let outcome = graph.tell(&statement).map_err(|unknown| StoreError::Refused(unknown.to_string()))?;
        if let Outcome::Merged { .. } = outcome {
            told.note(statement, None, outcome);
            merged.push(matched);
        }
        outcomes.push(outcome);
    }
    let relinked = told.write(connection, site_id, &BTreeSet::new())?;
    sql("UPDATE identity_links AS l SET probability = m.probability, said_by = $1
         FROM unnest($2, $3, $4) AS m (identity_id, other_id, probability)
         WHERE l.site_id = $5 AND l.identity_id = m.identity_id AND l.other_id = m.other_id AND l.call = $6")
    .bind::<Text, _>(said_by.to_owned())
    .bind::<Array<BigInt>, _>(merged.iter().map(|matched| matched.identity_id).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(merged.iter().map(|matched| matched.other_id).collect::<Vec<_>>())
    .bind::<Array<Double>, _>(merged.iter().map(|matched| matched.probability).collect::<Vec<_>>())
    .bind::<Integer, _>(site_id)
    .bind::<SmallInt, _>(call.code())
    .execute(connection)?;
    if !relinked.is_empty() {
        sql("INSERT INTO journal (site_id, identity_ids, event_ids, relinked_profiles) VALUES ($1, '{}', '{}', $2)")
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(relinked.into_iter().collect::<Vec<_>>())
            .execute(connection)?;
    }
    Ok(outcomes)
}

fn settle(
    connection: &mut PgConnection,
    site_id: i32,
    match_ids: &[i64],
    state: MatchState,
    said_by: &str,
) -> Result<(), StoreError> {
    sql("UPDATE match_suggestions SET state = $1, decided_at = now(), decided_by = $2
         WHERE site_id = $3 AND match_id = ANY($4)")
    .bind::<Text, _>(state.key().to_owned())
    .bind::<Text, _>(said_by.to_owned())
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(match_ids.to_vec())
    .execute(connection)?;
    Ok(())
}

/// Notes of a pair that is kept apart from now on that its match is refused.
pub(super) fn refused(
    connection: &mut PgConnection,
    site_id: i32,
    pair: (i64, i64),
    said_by: &str,
) -> Result<(), StoreError> {
    sql("UPDATE match_suggestions SET state = 'refused', decided_at = now(), decided_by = $1
         WHERE site_id = $2 AND identity_id = $3 AND other_id = $4")
    .bind::<Text, _>(said_by.to_owned())
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(pair.0.min(pair.1))
    .bind::<BigInt, _>(pair.0.max(pair.1))
    .execute(connection)?;
    Ok(())
}

/// Notes of a pair that is kept apart no longer what has become of its match: joined again by it, one for another reason,
/// or to be decided anew.
pub(super) fn reopened(
    connection: &mut PgConnection,
    site_id: i32,
    pair: (i64, i64),
    said_by: &str,
) -> Result<(), StoreError> {
    sql("UPDATE match_suggestions AS m SET state = now_is.state,
            decided_at = CASE now_is.state WHEN 'confirmed' THEN now() END,
            decided_by = CASE now_is.state WHEN 'confirmed' THEN $1 END
         FROM (
            SELECT i.site_id, i.identity_id, o.identity_id AS other_id, CASE
                WHEN i.profile_id <> o.profile_id THEN 'open'
                WHEN EXISTS (SELECT FROM identity_links l WHERE l.site_id = i.site_id AND l.identity_id = i.identity_id
                    AND l.other_id = o.identity_id AND l.call = ANY($2) AND l.outcome = 'merged') THEN 'confirmed'
                ELSE 'outdated' END AS state
            FROM identities i JOIN identities o ON o.site_id = i.site_id
            WHERE i.site_id = $3 AND i.identity_id = $4 AND o.identity_id = $5
         ) AS now_is
         WHERE m.site_id = now_is.site_id AND m.identity_id = now_is.identity_id AND m.other_id = now_is.other_id")
    .bind::<Text, _>(said_by.to_owned())
    .bind::<Array<SmallInt>, _>(CALLS.map(Call::code).to_vec())
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(pair.0.min(pair.1))
    .bind::<BigInt, _>(pair.0.max(pair.1))
    .execute(connection)?;
    Ok(())
}
