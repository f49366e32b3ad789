//! What messages say of identities, as it comes in: told to the graph, kept, and written as moves between profiles.

use super::{Found, Identities, NewLink, kind, lost};
use crate::store::StoreError;
use crate::store::events::NewEvent;
use crate::store::sql::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Uuid as SqlUuid};
use domain::event::{IdentityId, ProfileId, Trust};
use domain::identity::{Call, Counts, Graph, Kind, Outcome, Reason, Standing, Statement};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// One stored event that ties identities.
pub(crate) struct Claims<'a> {
    pub(crate) site_id: i32,
    pub(crate) identity_id: i64,
    pub(crate) event: &'a NewEvent,
}

impl Claims<'_> {
    /// What the event says: of the identities of its message, and of its order.
    fn says(&self) -> impl Iterator<Item = (Kind, &str, Call, Standing)> {
        let links =
            self.event.links.iter().map(|NewLink { kind, value, call, standing }| (*kind, &**value, *call, *standing));
        let standing = Standing::from(self.event.trust());
        links.chain(self.event.order_id.as_ref().map(|id| (Kind::Order, &**id, Call::Order, standing)))
    }
}

impl Identities {
    /// The key under which it is remembered that something has been said.
    fn said_key(&self, site_id: i32, identity_id: i64, said: (Kind, &str, Call, Standing)) -> u128 {
        let (kind, value, call, standing) = said;
        self.decided.key(&(site_id, identity_id, kind.code(), value, call, standing))
    }

    /// Whether an event says something that this writer has not seen decided.
    fn says_new(&self, claims: &Claims<'_>) -> bool {
        let is_new = |said| self.decided.get(self.said_key(claims.site_id, claims.identity_id, said)).is_none();
        claims.says().any(is_new)
    }

    /// Locks the sites in which these events may change who is who, until the transaction ends. To be called before
    /// anything is written, so that a writer never waits for this lock with rows that another one waits for.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn lock<'a>(
        &self,
        connection: &mut PgConnection,
        events: impl Iterator<Item = (i32, &'a NewEvent)>,
    ) -> Result<(), StoreError> {
        let nothing = Found::default();
        let sites: BTreeSet<i32> = events
            .filter(|(_, event)| event.ties().next().is_some())
            .filter(|(site_id, event)| match self.cached(*site_id, &event.who, &nothing) {
                Some(identity_id) => self.says_new(&Claims { site_id: *site_id, identity_id, event }),
                None => true,
            })
            .map(|(site_id, _)| site_id)
            .collect();
        sites.into_iter().try_for_each(|site_id| lock_site(connection, site_id))
    }

    /// Links, merges and order claims of stored events, in their order. Gives back, by site, the profiles whose
    /// identities have changed: their projections are to be made anew.
    ///
    /// The sites have been locked by [`Identities::lock`].
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn link(
        &self,
        connection: &mut PgConnection,
        claims: &[Claims<'_>],
        found: &mut Found,
    ) -> Result<BTreeMap<i32, BTreeSet<i64>>, StoreError> {
        let mut relinked: BTreeMap<i32, BTreeSet<i64>> = BTreeMap::new();
        let mut by_site: BTreeMap<i32, Vec<&Claims<'_>>> = BTreeMap::new();
        for claims in claims {
            if self.says_new(claims) {
                by_site.entry(claims.site_id).or_default().push(claims);
            }
        }
        for (site_id, claims) in by_site {
            let changed = self.link_site(connection, site_id, &claims, found)?;
            relinked.insert(site_id, changed);
            for claims in claims {
                // A report of an order counts anew after another one has taken it.
                let lasting = claims.says().filter(|(_, _, call, _)| *call != Call::Order);
                let keys = lasting.map(|said| self.said_key(site_id, claims.identity_id, said));
                found.decided.extend(keys);
            }
        }
        Ok(relinked)
    }

    fn link_site(
        &self,
        connection: &mut PgConnection,
        site_id: i32,
        claims: &[&Claims<'_>],
        found: &Found,
    ) -> Result<BTreeSet<i64>, StoreError> {
        let mut said: Vec<(Statement, Uuid)> = Vec::new();
        let mut vouched: BTreeSet<i64> = BTreeSet::new();
        for claims in claims {
            for (kind, value, call, standing) in claims.says() {
                let key = self.key(site_id, kind, value);
                let number = self.numbers.get(key).or_else(|| found.numbers.get(&key).copied());
                let number = number.ok_or_else(|| lost("an identity"))?;
                if claims.event.trust() == Trust::Trusted {
                    vouched.insert(number);
                }
                let (from, to) = (IdentityId(claims.identity_id), IdentityId(number));
                if from != to {
                    said.push((Statement { from, to, call, standing }, claims.event.key.event_id()));
                }
            }
        }
        let touched = said.iter().flat_map(|(statement, _)| [statement.from.0, statement.to.0]).collect();
        let mut graph = read(connection, site_id, touched, &mut vouched)?;
        let mut told = Told::default();
        for (statement, event_id) in &said {
            let outcome = graph.tell(statement).map_err(|unknown| StoreError::Refused(unknown.to_string()))?;
            told.note(*statement, Some(*event_id), outcome);
        }
        vouch(connection, site_id, vouched)?;
        told.write(connection, site_id, &found.founded)
    }
}

/// Locks who is who in a site until the transaction ends.
pub(crate) fn lock_site(connection: &mut PgConnection, site_id: i32) -> Result<(), StoreError> {
    // 1: the class of this lock; 2 is the projector's.
    sql("SELECT pg_advisory_xact_lock(1, $1)").bind::<Integer, _>(site_id).execute(connection)?;
    Ok(())
}

#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Bool)]
    trusted: bool,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct PairRow {
    #[diesel(sql_type = BigInt)]
    one: i64,
    #[diesel(sql_type = BigInt)]
    other: i64,
}

/// The graph around some identities. Of `vouched`, those stay that were not vouched for before.
pub(super) fn read(
    connection: &mut PgConnection,
    site_id: i32,
    touched: BTreeSet<i64>,
    vouched: &mut BTreeSet<i64>,
) -> Result<Graph, StoreError> {
    let mut graph = Graph::default();
    let members: Vec<MemberRow> = sql("SELECT identity_id, profile_id, kind, trusted FROM identities
         WHERE site_id = $1 AND identity_id = ANY($2)")
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(touched.into_iter().collect::<Vec<_>>())
    .load(connection)?;
    let profile_ids: BTreeSet<i64> = members.iter().map(|row| row.profile_id).collect();
    let profile_ids: Vec<i64> = profile_ids.into_iter().collect();
    for row in members {
        if row.trusted {
            vouched.remove(&row.identity_id);
        }
        graph.add_identity(IdentityId(row.identity_id), kind(row.kind)?, ProfileId(row.profile_id));
    }
    // One row per profile and kind. Orders are counted by nobody, and a shop's till may have very many.
    let rows: Vec<CountRow> = sql("SELECT profile_id, kind, count(*) AS count FROM identities
         WHERE site_id = $1 AND profile_id = ANY($2) AND kind <> $3 GROUP BY profile_id, kind")
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(profile_ids.clone())
    .bind::<SmallInt, _>(Kind::Order.code())
    .load(connection)?;
    let mut counts: HashMap<i64, Counts> = HashMap::new();
    for row in rows {
        let count = u32::try_from(row.count).unwrap_or(u32::MAX);
        counts.entry(row.profile_id).or_default().add(kind(row.kind)?, count);
    }
    for (profile_id, counts) in counts {
        graph.add_profile(ProfileId(profile_id), counts);
    }
    // A merge is of two profiles that are both touched, so the pair's first end is in one of these.
    let apart: Vec<PairRow> = sql("SELECT i.profile_id AS one, o.profile_id AS other
         FROM identity_apart a
         JOIN identities i ON i.site_id = a.site_id AND i.identity_id = a.identity_id
         JOIN identities o ON o.site_id = a.site_id AND o.identity_id = a.other_id
         WHERE a.site_id = $1 AND i.profile_id = ANY($2)")
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(profile_ids)
    .load(connection)?;
    for pair in apart {
        graph.keep_apart(ProfileId(pair.one), ProfileId(pair.other));
    }
    Ok(graph)
}

/// Notes that a trusted source has named these identities.
fn vouch(connection: &mut PgConnection, site_id: i32, vouched: BTreeSet<i64>) -> Result<(), StoreError> {
    if !vouched.is_empty() {
        sql("UPDATE identities SET trusted = true WHERE site_id = $1 AND identity_id = ANY($2)")
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(vouched.into_iter().collect::<Vec<_>>())
            .execute(connection)?;
    }
    Ok(())
}

/// The stored name of an outcome.
pub(super) fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Same => "same",
        Outcome::Merged { .. } => "merged",
        Outcome::Ordered { .. } => "ordered",
        Outcome::Refused(refusal) => refusal.guard().key(),
    }
}

/// From which profile to which an outcome moves something, and for what reason.
pub(super) fn moves(outcome: &Outcome) -> Option<(i64, i64, Option<&'static str>)> {
    match *outcome {
        Outcome::Merged { from, into, reason } => Some((from.0, into.0, Some(reason.key()))),
        Outcome::Ordered { from, into } => Some((from.0, into.0, None)),
        Outcome::Same | Outcome::Refused(_) => None,
    }
}

/// What a transaction was told, and what it changes.
#[derive(Default)]
pub(super) struct Told {
    /// With the event that said it, where it was one.
    links: Vec<(Statement, Option<Uuid>, Outcome)>,
}

/// The reason of the ledger's rows of orders.
const ORDER: &str = "order";

impl Told {
    pub(super) fn note(&mut self, statement: Statement, event_id: Option<Uuid>, outcome: Outcome) {
        self.links.push((statement, event_id, outcome));
    }

    /// Writes everything; gives back the profiles that are to be projected anew. `founded` are the identities that did
    /// not exist before this transaction.
    pub(super) fn write(
        self,
        connection: &mut PgConnection,
        site_id: i32,
        founded: &BTreeSet<i64>,
    ) -> Result<BTreeSet<i64>, StoreError> {
        let mut relinked = BTreeSet::new();
        // Where each profile that is gone ends, by whose event and why; a later merge takes an earlier one along.
        let mut merged: BTreeMap<i64, (i64, Option<Uuid>, Reason)> = BTreeMap::new();
        // The last holder of each order that has moved by itself.
        let mut ordered: BTreeMap<i64, (i64, i64, Option<Uuid>)> = BTreeMap::new();
        for (statement, event_id, outcome) in &self.links {
            match *outcome {
                Outcome::Merged { from, into, reason } => {
                    merged.values_mut().filter(|(to, _, _)| *to == from.0).for_each(|(to, _, _)| *to = into.0);
                    ordered.values_mut().filter(|(_, to, _)| *to == from.0).for_each(|(_, to, _)| *to = into.0);
                    merged.insert(from.0, (into.0, *event_id, reason));
                    relinked.extend([from.0, into.0]);
                }
                Outcome::Ordered { from, into } => {
                    let was = ordered.get(&statement.to.0).map_or(from.0, |(first, _, _)| *first);
                    ordered.insert(statement.to.0, (was, into.0, *event_id));
                    // The first claim comes with its own event, which is about to be projected anyway; but an order that
                    // has been there unclaimed may have events of its own, which the claimant is to have.
                    if from.0 != statement.to.0 || !founded.contains(&statement.to.0) {
                        relinked.extend([from.0, into.0]);
                    }
                }
                Outcome::Same | Outcome::Refused(_) => {}
            }
        }
        self.write_links(connection, site_id)?;
        write_merges(connection, site_id, &merged)?;
        write_orders(connection, site_id, &ordered)?;
        Ok(relinked)
    }

    fn write_links(&self, connection: &mut PgConnection, site_id: i32) -> Result<(), StoreError> {
        // Of equal statements the last that changed something counts, else the first.
        let mut different: BTreeMap<(i64, i64, i16, i16), usize> = BTreeMap::new();
        for (n, (s, _, outcome)) in self.links.iter().enumerate() {
            let key = (s.from.0, s.to.0, s.call.code(), s.standing.code());
            if moves(outcome).is_some() || !different.contains_key(&key) {
                different.insert(key, n);
            }
        }
        let mut order: Vec<usize> = different.into_values().collect();
        order.sort_unstable();
        let rows: Vec<&(Statement, Option<Uuid>, Outcome)> = order.into_iter().map(|n| &self.links[n]).collect();
        // What merges only now was refused, or has been undone and allowed again: it moves to the end.
        sql("INSERT INTO identity_links AS l (site_id, identity_id, other_id, call, standing, event_id, outcome,
                from_profile_id, into_profile_id, reason)
             SELECT $1, n.identity_id, n.other_id, n.call, n.standing, n.event_id, n.outcome, n.from_profile_id,
                n.into_profile_id, n.reason
             FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10) WITH ORDINALITY
                AS n (identity_id, other_id, call, standing, event_id, outcome, from_profile_id, into_profile_id,
                      reason, place)
             ORDER BY n.place
             ON CONFLICT (site_id, identity_id, other_id, call, standing) DO UPDATE SET
                link_id = DEFAULT, event_id = EXCLUDED.event_id, at = EXCLUDED.at, outcome = EXCLUDED.outcome,
                from_profile_id = EXCLUDED.from_profile_id, into_profile_id = EXCLUDED.into_profile_id,
                reason = EXCLUDED.reason
             WHERE EXCLUDED.outcome IN ('merged', 'ordered')")
        .bind::<Integer, _>(site_id)
        .bind::<Array<BigInt>, _>(rows.iter().map(|(s, _, _)| s.from.0).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(rows.iter().map(|(s, _, _)| s.to.0).collect::<Vec<_>>())
        .bind::<Array<SmallInt>, _>(rows.iter().map(|(s, _, _)| s.call.code()).collect::<Vec<_>>())
        .bind::<Array<SmallInt>, _>(rows.iter().map(|(s, _, _)| s.standing.code()).collect::<Vec<_>>())
        .bind::<Array<Nullable<SqlUuid>>, _>(rows.iter().map(|(_, event_id, _)| *event_id).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(rows.iter().map(|(_, _, outcome)| name(outcome)).collect::<Vec<_>>())
        .bind::<Array<Nullable<BigInt>>, _>(
            rows.iter().map(|(_, _, o)| moves(o).map(|(from, _, _)| from)).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<BigInt>>, _>(
            rows.iter().map(|(_, _, o)| moves(o).map(|(_, into, _)| into)).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<Text>>, _>(
            rows.iter().map(|(_, _, o)| moves(o).and_then(|(_, _, reason)| reason)).collect::<Vec<_>>(),
        )
        .execute(connection)?;
        Ok(())
    }
}

fn write_merges(
    connection: &mut PgConnection,
    site_id: i32,
    merged: &BTreeMap<i64, (i64, Option<Uuid>, Reason)>,
) -> Result<(), StoreError> {
    if merged.is_empty() {
        return Ok(());
    }
    // One row of the ledger per identity that changes its profile.
    sql("WITH moved AS (
            UPDATE identities AS i SET profile_id = m.into_profile_id
            FROM unnest($1, $2, $3, $4) AS m (from_profile_id, into_profile_id, event_id, reason)
            WHERE i.site_id = $5 AND i.profile_id = m.from_profile_id
            RETURNING i.site_id, i.identity_id, m.event_id, m.from_profile_id, m.into_profile_id, m.reason
         )
         INSERT INTO identity_ledger (site_id, identity_id, event_id, from_profile_id, to_profile_id, reason)
         SELECT * FROM moved")
    .bind::<Array<BigInt>, _>(merged.keys().copied().collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(merged.values().map(|(into, _, _)| *into).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(merged.values().map(|(_, event_id, _)| *event_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(merged.values().map(|(_, _, reason)| reason.key()).collect::<Vec<_>>())
    .bind::<Integer, _>(site_id)
    .execute(connection)?;
    Ok(())
}

fn write_orders(
    connection: &mut PgConnection,
    site_id: i32,
    ordered: &BTreeMap<i64, (i64, i64, Option<Uuid>)>,
) -> Result<(), StoreError> {
    if ordered.is_empty() {
        return Ok(());
    }
    sql("UPDATE identities AS i SET profile_id = o.profile_id FROM unnest($1, $2) AS o (identity_id, profile_id)
         WHERE i.site_id = $3 AND i.identity_id = o.identity_id")
    .bind::<Array<BigInt>, _>(ordered.keys().copied().collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(ordered.values().map(|(_, to, _)| *to).collect::<Vec<_>>())
    .bind::<Integer, _>(site_id)
    .execute(connection)?;
    // An order's first claim takes it from nobody: no line in the ledger.
    let taken: Vec<_> = ordered.iter().filter(|(order, (from, _, _))| *order != from).collect();
    if !taken.is_empty() {
        sql("INSERT INTO identity_ledger (site_id, reason, identity_id, event_id, from_profile_id, to_profile_id)
             SELECT $1, $2, t.* FROM unnest($3, $4, $5, $6) AS t")
        .bind::<Integer, _>(site_id)
        .bind::<Text, _>(ORDER)
        .bind::<Array<BigInt>, _>(taken.iter().map(|(order, _)| **order).collect::<Vec<_>>())
        .bind::<Array<Nullable<SqlUuid>>, _>(taken.iter().map(|(_, (_, _, event_id))| *event_id).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(taken.iter().map(|(_, (from, _, _))| *from).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(taken.iter().map(|(_, (_, to, _))| *to).collect::<Vec<_>>())
        .execute(connection)?;
    }
    Ok(())
}
