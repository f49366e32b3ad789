//! Who: identities by number, and the links between them.
//!
//! An event's identity never changes. What changes is which profile an identity belongs to; that follows from what
//! messages say ([`link`]) and is decided by [`domain::identity::Graph`], under one lock per site.

mod link;
mod matched;
mod undo;

pub(crate) use link::{Claims, lock_site};
pub(crate) use matched::{Decided, Judged};
pub(crate) use undo::Undone;

use super::StoreError;
use super::cache::NumberCache;
use super::events::NewEvent;
use super::sql::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use domain::event::Trust;
use domain::identity::{Call, Kind, Standing};
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
    pub(crate) standing: Standing,
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

    /// Forgets everything: identities that were there may be gone.
    pub(crate) fn forget(&mut self) {
        *self = Identities::new();
    }

    /// Whether the number of an identity is known to this writer.
    pub(crate) fn is_known(&self, site_id: i32, kind: Kind, value: &str) -> bool {
        self.numbers.get(self.key(site_id, kind, value)).is_some()
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

pub(super) fn kind(code: i16) -> Result<Kind, StoreError> {
    Kind::from_code(code).ok_or_else(|| StoreError::Refused(format!("identity kind {code} is unknown")))
}

fn lost(what: &str) -> StoreError {
    StoreError::Refused(format!("{what} is missing right after its insert"))
}
