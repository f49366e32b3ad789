//! Who: identities by number, and the links between them.
//!
//! An event's identity never changes. What changes is which profile an identity belongs to; that is decided by
//! [`domain::identity::decide`] and written here, under one lock per site, with a ledger row for each change.

use super::StoreError;
use super::cache::NumberCache;
use super::events::NewEvent;
use super::sql::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use domain::event::{ProfileId, Trust};
use domain::identity::{Call, Counts, Decision, Kind, Link, ProfileSummary, decide};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// Whose event it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// An identifier of a person.
    Known { kind: Kind, value: Arc<str> },
    /// Consent `measure`: this page load of this day's visitor (a salted hash).
    Measured { load_id: Uuid, visitor: Arc<str> },
}

/// Another identity that a message ties to its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NewLink {
    pub(crate) kind: Kind,
    pub(crate) value: Arc<str>,
    pub(crate) call: Call,
}

/// Numbers of identities as one writer knows them, and the links it has seen decided.
pub(crate) struct Identities {
    numbers: NumberCache<i64>,
    decided: NumberCache<()>,
}

/// What a transaction has found out; it joins the caches once it is committed.
#[derive(Default)]
pub(crate) struct Found {
    numbers: HashMap<u128, i64>,
    /// Identities that did not exist before this transaction.
    founded: BTreeSet<i64>,
    decided: Vec<u128>,
}

#[derive(QueryableByName)]
struct IdentityRow {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
}

#[derive(QueryableByName)]
struct FoundedRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
}

#[derive(QueryableByName)]
struct LoadRow {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = SqlUuid)]
    load_id: Uuid,
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
}

impl Identities {
    pub(crate) fn new() -> Self {
        Identities { numbers: NumberCache::new(1_000_000), decided: NumberCache::new(1_000_000) }
    }

    pub(crate) fn remember(&mut self, found: Found) {
        for (key, number) in found.numbers {
            self.numbers.put(key, number);
        }
        for key in found.decided {
            self.decided.put(key, ());
        }
    }

    fn key(&self, site_id: i32, kind: Kind, value: &str) -> u128 {
        self.numbers.key(&(site_id, kind.code(), value))
    }

    fn load_key(&self, site_id: i32, load_id: Uuid) -> u128 {
        self.numbers.key(&(site_id, "load", load_id))
    }

    /// The number of whose event it is, if it is known to this writer.
    pub(crate) fn cached(&self, site_id: i32, who: &Who, found: &Found) -> Option<i64> {
        let key = match who {
            Who::Known { kind, value } => self.key(site_id, *kind, value),
            Who::Measured { load_id, .. } => self.load_key(site_id, *load_id),
        };
        self.numbers.get(key).or_else(|| found.numbers.get(&key).copied())
    }

    /// Finds or gives numbers to all identities that events name and that are not cached: their own, and those that
    /// they are tied to.
    ///
    /// All in one statement and in one order, so that writers who meet wait for each other in turn and never in a
    /// circle.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn resolve<'a>(
        &self,
        connection: &mut PgConnection,
        events: impl Iterator<Item = (i32, &'a NewEvent)>,
    ) -> Result<Found, StoreError> {
        let mut found = Found::default();
        let mut known: BTreeMap<(i32, i16, Arc<str>), (bool, i64)> = BTreeMap::new();
        let mut loads: BTreeMap<(i32, Uuid), (Arc<str>, i64)> = BTreeMap::new();
        for (site_id, event) in events {
            let (trust, seen_us) = (event.trust(), event.occurred_at_us);
            for (kind, value) in event.ties() {
                if self.numbers.get(self.key(site_id, kind, value)).is_none() {
                    note(&mut known, (site_id, kind.code(), Arc::clone(value)), trust, seen_us);
                }
            }
            let who = &event.who;
            if self.cached(site_id, who, &found).is_some() {
                continue;
            }
            match who {
                Who::Known { kind, value } => {
                    note(&mut known, (site_id, kind.code(), Arc::clone(value)), trust, seen_us);
                }
                Who::Measured { load_id, visitor } => {
                    loads.entry((site_id, *load_id)).or_insert_with(|| (Arc::clone(visitor), seen_us));
                }
            }
        }
        if !loads.is_empty() {
            self.find_loads(connection, &loads, &mut found)?;
            loads.retain(|(site_id, load_id), _| !found.numbers.contains_key(&self.load_key(*site_id, *load_id)));
            for ((site_id, _), (visitor, seen_us)) in &loads {
                let key = (*site_id, Kind::Measured.code(), Arc::clone(visitor));
                note(&mut known, key, Trust::Browser, *seen_us);
            }
        }
        self.find_or_found(connection, known, &mut found)?;
        if !loads.is_empty() {
            self.bind_loads(connection, &loads, &mut found)?;
        }
        Ok(found)
    }

    /// Looks identities up, founds those that are not there, each with a profile of its own.
    fn find_or_found(
        &self,
        connection: &mut PgConnection,
        mut keys: BTreeMap<(i32, i16, Arc<str>), (bool, i64)>,
        found: &mut Found,
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.look_up(connection, &keys, found)?;
        keys.retain(|(site_id, kind, value), _| {
            !found.numbers.contains_key(&self.numbers.key(&(*site_id, *kind, &**value)))
        });
        if keys.is_empty() {
            return Ok(());
        }
        // Sorted (a BTreeMap), so that writers who found the same identities wait in turn and never in a circle.
        let founded: Vec<FoundedRow> =
            sql("INSERT INTO identities (site_id, kind, value, trusted, first_seen, identity_id, profile_id)
             OVERRIDING SYSTEM VALUE
             SELECT site_id, kind, value, trusted, first_seen, id, id
             FROM (SELECT k.*, nextval('identities_identity_id_seq') AS id
                   FROM unnest($1, $2, $3, $4, $5) AS k (site_id, kind, value, trusted, first_seen)) AS new
             ON CONFLICT (site_id, kind, value) DO NOTHING RETURNING identity_id")
            .bind::<Array<Integer>, _>(keys.keys().map(|k| k.0).collect::<Vec<_>>())
            .bind::<Array<SmallInt>, _>(keys.keys().map(|k| k.1).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(keys.keys().map(|k| k.2.to_string()).collect::<Vec<_>>())
            .bind::<Array<Bool>, _>(keys.values().map(|v| v.0).collect::<Vec<_>>())
            .bind::<Array<Timestamptz>, _>(keys.values().map(|v| super::timestamp(v.1)).collect::<Vec<_>>())
            .load(connection)?;
        found.founded.extend(founded.into_iter().map(|row| row.identity_id));
        self.look_up(connection, &keys, found)
    }

    fn look_up(
        &self,
        connection: &mut PgConnection,
        keys: &BTreeMap<(i32, i16, Arc<str>), (bool, i64)>,
        found: &mut Found,
    ) -> Result<(), StoreError> {
        let rows: Vec<IdentityRow> = sql("SELECT i.site_id, i.kind, i.value, i.identity_id
             FROM unnest($1, $2, $3) AS k (site_id, kind, value)
             JOIN identities i ON i.site_id = k.site_id AND i.kind = k.kind AND i.value = k.value")
        .bind::<Array<Integer>, _>(keys.keys().map(|k| k.0).collect::<Vec<_>>())
        .bind::<Array<SmallInt>, _>(keys.keys().map(|k| k.1).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(keys.keys().map(|k| k.2.to_string()).collect::<Vec<_>>())
        .load(connection)?;
        for row in rows {
            found.numbers.insert(self.numbers.key(&(row.site_id, row.kind, row.value.as_str())), row.identity_id);
        }
        Ok(())
    }

    fn find_loads(
        &self,
        connection: &mut PgConnection,
        loads: &BTreeMap<(i32, Uuid), (Arc<str>, i64)>,
        found: &mut Found,
    ) -> Result<(), StoreError> {
        let rows: Vec<LoadRow> = sql("SELECT m.site_id, m.load_id, m.identity_id
             FROM unnest($1, $2) AS k (site_id, load_id)
             JOIN measured_loads m ON m.site_id = k.site_id AND m.load_id = k.load_id")
        .bind::<Array<Integer>, _>(loads.keys().map(|k| k.0).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(loads.keys().map(|k| k.1).collect::<Vec<_>>())
        .load(connection)?;
        for row in rows {
            found.numbers.insert(self.load_key(row.site_id, row.load_id), row.identity_id);
        }
        Ok(())
    }

    /// Remembers which visitor each new page load belongs to; another writer may have been first, then its word holds.
    fn bind_loads(
        &self,
        connection: &mut PgConnection,
        loads: &BTreeMap<(i32, Uuid), (Arc<str>, i64)>,
        found: &mut Found,
    ) -> Result<(), StoreError> {
        let mut identity_ids = Vec::with_capacity(loads.len());
        for ((site_id, _), (visitor, _)) in loads {
            let identity_id = found.numbers.get(&self.key(*site_id, Kind::Measured, visitor)).copied();
            identity_ids.push(identity_id.ok_or_else(|| lost("a measured visitor"))?);
        }
        sql("INSERT INTO measured_loads (site_id, load_id, identity_id)
             SELECT * FROM unnest($1, $2, $3) ON CONFLICT (site_id, load_id) DO NOTHING")
        .bind::<Array<Integer>, _>(loads.keys().map(|k| k.0).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(loads.keys().map(|k| k.1).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(identity_ids)
        .execute(connection)?;
        self.find_loads(connection, loads, found)
    }
}

fn note(keys: &mut BTreeMap<(i32, i16, Arc<str>), (bool, i64)>, key: (i32, i16, Arc<str>), trust: Trust, seen_us: i64) {
    let entry = keys.entry(key).or_insert((false, seen_us));
    entry.0 |= trust == Trust::Trusted;
    entry.1 = entry.1.min(seen_us);
}

fn kind(code: i16) -> Result<Kind, StoreError> {
    Kind::from_code(code).ok_or_else(|| StoreError::Refused(format!("identity kind {code} is unknown")))
}

fn lost(what: &str) -> StoreError {
    StoreError::Refused(format!("{what} is missing right after its insert"))
}

/// One stored event that ties identities.
pub(crate) struct Claims<'a> {
    pub(crate) site_id: i32,
    pub(crate) identity_id: i64,
    pub(crate) event: &'a NewEvent,
}

impl Identities {
    /// The key under which it is remembered that a tie has been decided.
    fn decision_key(&self, site_id: i32, identity_id: i64, trust: Trust, kind: Kind, value: &str) -> u128 {
        self.decided.key(&(site_id, identity_id, kind.code(), value, trust == Trust::Trusted))
    }

    /// Whether an event ties its identity to something in a way that this writer has not seen decided.
    fn ties_new(&self, site_id: i32, identity_id: i64, event: &NewEvent) -> bool {
        let is_new = |kind, value: &str| {
            self.decided.get(self.decision_key(site_id, identity_id, event.trust(), kind, value)).is_none()
        };
        event.ties().any(|(kind, value)| is_new(kind, value))
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
                Some(identity_id) => self.ties_new(*site_id, identity_id, event),
                None => true,
            })
            .map(|(site_id, _)| site_id)
            .collect();
        for site_id in sites {
            // 1: the class of this lock; 2 is the projector's.
            sql("SELECT pg_advisory_xact_lock(1, $1)").bind::<Integer, _>(site_id).execute(connection)?;
        }
        Ok(())
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
            if self.ties_new(claims.site_id, claims.identity_id, claims.event) {
                by_site.entry(claims.site_id).or_default().push(claims);
            }
        }
        for (site_id, claims) in by_site {
            let changed = self.link_site(connection, site_id, &claims, found)?;
            relinked.insert(site_id, changed);
            for claims in claims {
                for (kind, value) in claims.event.ties() {
                    found.decided.push(self.decision_key(
                        site_id,
                        claims.identity_id,
                        claims.event.trust(),
                        kind,
                        value,
                    ));
                }
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
        let number = |kind: Kind, value: &str| {
            let key = self.key(site_id, kind, value);
            let number = self.numbers.get(key).or_else(|| found.numbers.get(&key).copied());
            number.ok_or_else(|| lost("an identity"))
        };
        let mut touched: BTreeSet<i64> = BTreeSet::new();
        for claims in claims {
            touched.insert(claims.identity_id);
            for (kind, value) in claims.event.ties() {
                touched.insert(number(kind, value)?);
            }
        }
        let mut graph = Graph::read(connection, site_id, touched.into_iter().collect())?;
        for claims in claims {
            for link in &claims.event.links {
                let other = number(link.kind, &link.value)?;
                if claims.event.trust() == Trust::Trusted {
                    graph.vouch(other);
                }
                graph.tie(claims, other, link)?;
            }
            if let Some(order_id) = &claims.event.order_id {
                let order = number(Kind::Order, order_id)?;
                graph.claim_order(claims, order, found.founded.contains(&order))?;
            }
        }
        graph.write(connection)
    }
}

/// The profiles that a transaction's claims touch, as they change.
struct Graph {
    site_id: i32,
    members: HashMap<i64, Member>,
    by_profile: HashMap<i64, Vec<i64>>,
    changes: Vec<Change>,
    vouched: BTreeSet<i64>,
    relinked: BTreeSet<i64>,
}

#[derive(QueryableByName)]
struct Member {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Bool)]
    trusted: bool,
}

struct Change {
    identity_id: i64,
    event_id: Uuid,
    from: i64,
    to: i64,
    reason: &'static str,
}

impl Graph {
    fn read(connection: &mut PgConnection, site_id: i32, touched: Vec<i64>) -> Result<Graph, StoreError> {
        let members: Vec<Member> = sql("SELECT identity_id, profile_id, kind, trusted FROM identities
             WHERE site_id = $1 AND profile_id IN
                (SELECT profile_id FROM identities WHERE site_id = $2 AND identity_id = ANY($3))")
        .bind::<Integer, _>(site_id)
        .bind::<Integer, _>(site_id)
        .bind::<Array<BigInt>, _>(touched)
        .load(connection)?;
        let mut by_profile: HashMap<i64, Vec<i64>> = HashMap::new();
        for member in &members {
            by_profile.entry(member.profile_id).or_default().push(member.identity_id);
        }
        Ok(Graph {
            site_id,
            by_profile,
            members: members.into_iter().map(|member| (member.identity_id, member)).collect(),
            changes: Vec::new(),
            vouched: BTreeSet::new(),
            relinked: BTreeSet::new(),
        })
    }

    fn profile_of(&self, identity_id: i64) -> Result<i64, StoreError> {
        self.members.get(&identity_id).map(|member| member.profile_id).ok_or_else(|| lost("an identity"))
    }

    fn summary(&self, profile_id: i64) -> Result<ProfileSummary, StoreError> {
        let mut counts = Counts::default();
        let identity_ids = self.by_profile.get(&profile_id).map_or(&[][..], Vec::as_slice);
        for member in identity_ids.iter().filter_map(|identity_id| self.members.get(identity_id)) {
            counts.add(kind(member.kind)?, 1);
        }
        Ok(ProfileSummary { profile_id: ProfileId(profile_id), counts })
    }

    /// A trusted source has named this identity.
    fn vouch(&mut self, identity_id: i64) {
        if let Some(member) = self.members.get_mut(&identity_id)
            && !member.trusted
        {
            member.trusted = true;
            self.vouched.insert(identity_id);
        }
    }

    fn tie(&mut self, claims: &Claims<'_>, other: i64, link: &NewLink) -> Result<(), StoreError> {
        let (a, b) = (self.profile_of(claims.identity_id)?, self.profile_of(other)?);
        if a == b {
            return Ok(());
        }
        let from = self.members.get(&claims.identity_id).ok_or_else(|| lost("an identity"))?;
        let link = Link { trust: claims.event.trust(), call: link.call, from: kind(from.kind)?, to: link.kind };
        match decide(&link, &self.summary(a)?, &self.summary(b)?) {
            Decision::Same => {}
            Decision::Refuse(refusal) => {
                tracing::debug!(site = self.site_id, %refusal, "identities were not joined");
            }
            Decision::Merge { from, into, reason } => {
                self.merge(from.0, into.0, claims.event.key.event_id(), reason.key())
            }
        }
        Ok(())
    }

    fn merge(&mut self, from: i64, into: i64, event_id: Uuid, reason: &'static str) {
        for identity_id in self.by_profile.get(&from).cloned().unwrap_or_default() {
            self.move_to(identity_id, into, event_id, reason);
        }
        self.relinked.extend([from, into]);
    }

    fn move_to(&mut self, identity_id: i64, to: i64, event_id: Uuid, reason: &'static str) {
        let Some(member) = self.members.get_mut(&identity_id) else { return };
        let from = std::mem::replace(&mut member.profile_id, to);
        if let Some(identity_ids) = self.by_profile.get_mut(&from) {
            identity_ids.retain(|id| *id != identity_id);
        }
        self.by_profile.entry(to).or_default().push(identity_id);
        self.changes.push(Change { identity_id, event_id, from, to, reason });
    }

    /// An order belongs to the person of its first report, and from then on to that of its latest trusted one. A trusted
    /// report that names nobody leaves it with whoever has it.
    fn claim_order(&mut self, claims: &Claims<'_>, order: i64, is_new: bool) -> Result<(), StoreError> {
        let claimant = self.profile_of(claims.identity_id)?;
        let holder = self.profile_of(order)?;
        let is_unclaimed = holder == order;
        let trusted = claims.event.trust() == Trust::Trusted;
        if trusted {
            self.vouch(order);
        }
        if holder == claimant || !(is_unclaimed || trusted) {
            return Ok(());
        }
        self.move_to(order, claimant, claims.event.key.event_id(), "order");
        // The first claim comes with its own event, which is about to be projected anyway; but an order that has been
        // there unclaimed has events of its own, which the claimant is to have.
        if !(is_unclaimed && is_new) {
            self.relinked.extend([claimant, holder]);
        }
        Ok(())
    }

    fn write(self, connection: &mut PgConnection) -> Result<BTreeSet<i64>, StoreError> {
        if !self.vouched.is_empty() {
            sql("UPDATE identities SET trusted = true WHERE site_id = $1 AND identity_id = ANY($2)")
                .bind::<Integer, _>(self.site_id)
                .bind::<Array<BigInt>, _>(self.vouched.into_iter().collect::<Vec<_>>())
                .execute(connection)?;
        }
        if self.changes.is_empty() {
            return Ok(self.relinked);
        }
        let last: BTreeMap<i64, i64> = self.changes.iter().map(|change| (change.identity_id, change.to)).collect();
        sql("UPDATE identities AS i SET profile_id = c.profile_id
             FROM unnest($1, $2) AS c (identity_id, profile_id)
             WHERE i.site_id = $3 AND i.identity_id = c.identity_id")
        .bind::<Array<BigInt>, _>(last.keys().copied().collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(last.values().copied().collect::<Vec<_>>())
        .bind::<Integer, _>(self.site_id)
        .execute(connection)?;
        // An order's first claim merges nobody: no line in the ledger.
        let ledger =
            || self.changes.iter().filter(|change| change.reason != "order" || change.from != change.identity_id);
        if ledger().next().is_some() {
            sql("INSERT INTO identity_ledger (site_id, identity_id, event_id, from_profile_id, to_profile_id, reason)
                 SELECT $1, c.* FROM unnest($2, $3, $4, $5, $6) AS c")
            .bind::<Integer, _>(self.site_id)
            .bind::<Array<BigInt>, _>(ledger().map(|c| c.identity_id).collect::<Vec<_>>())
            .bind::<Array<Nullable<SqlUuid>>, _>(ledger().map(|c| Some(c.event_id)).collect::<Vec<_>>())
            .bind::<Array<BigInt>, _>(ledger().map(|c| c.from).collect::<Vec<_>>())
            .bind::<Array<BigInt>, _>(ledger().map(|c| c.to).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(ledger().map(|c| c.reason).collect::<Vec<_>>())
            .execute(connection)?;
        }
        Ok(self.relinked)
    }
}
