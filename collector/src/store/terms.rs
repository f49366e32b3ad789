//! The dictionary: texts that come again and again are stored once per site.

use super::StoreError;
use super::cache::NumberCache;
use super::events::Term;
use super::sql::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, SmallInt, Text};
use std::collections::HashMap;
use std::sync::Arc;

/// New texts per site, kind and day; what comes after is `(other)`. A site with more distinct pages a day than this has
/// addresses that carry data, and the dictionary must not grow without end.
pub(crate) const NEW_TERMS_A_DAY: i64 = 50_000;
/// What a text becomes when the day's new texts are used up.
pub(crate) const OTHER: &str = "(other)";

/// A text of a site.
pub(crate) type TermKey = (i32, Term, Arc<str>);

/// Numbers of texts as one writer knows them.
pub(crate) struct Terms {
    cache: NumberCache<i32>,
    /// New texts of the day by site, as far as this writer has counted.
    day: Option<jiff::civil::Date>,
    new_today: HashMap<(i32, Term), i64>,
}

#[derive(QueryableByName)]
struct TermRow {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = Integer)]
    term_id: i32,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Numbers that a transaction has found out; they join the cache once it is committed.
pub(crate) type Found = HashMap<u128, i32>;

impl Terms {
    pub(crate) fn new() -> Self {
        Terms { cache: NumberCache::new(1_000_000), day: None, new_today: HashMap::new() }
    }

    /// Forgets everything: texts may be others.
    pub(crate) fn forget(&mut self) {
        *self = Terms::new();
    }

    pub(crate) fn cached(&self, site_id: i32, kind: Term, value: &str) -> (u128, Option<i32>) {
        let key = self.cache.key(&(site_id, kind as i16, value));
        (key, self.cache.get(key))
    }

    pub(crate) fn remember(&mut self, found: Found) {
        for (key, number) in found {
            self.cache.put(key, number);
        }
    }

    /// Finds or gives the numbers of texts that are not cached.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn resolve(
        &mut self,
        connection: &mut PgConnection,
        mut wanted: Vec<TermKey>,
        today: jiff::civil::Date,
    ) -> Result<Found, StoreError> {
        let mut found = Found::new();
        if wanted.is_empty() {
            return Ok(found);
        }
        // One order for all writers: two that add the same texts then wait for each other in turn, never in a circle.
        wanted.sort_unstable_by(|a, b| (a.0, a.1, &*a.2).cmp(&(b.0, b.1, &*b.2)));
        wanted.dedup();
        self.look_up(connection, &wanted, &mut found)?;
        wanted
            .retain(|(site_id, kind, value)| !found.contains_key(&self.cache.key(&(*site_id, *kind as i16, &**value))));
        if wanted.is_empty() {
            return Ok(found);
        }
        let mut over: Vec<TermKey> = Vec::new();
        for key in std::mem::take(&mut wanted) {
            if self.count_new(connection, (key.0, key.1), today)? {
                wanted.push(key);
            } else {
                over.push(key);
            }
        }
        let mut others: Vec<TermKey> = over.iter().map(|(site_id, kind, _)| (*site_id, *kind, OTHER.into())).collect();
        wanted.append(&mut others);
        wanted.sort_unstable_by(|a, b| (a.0, a.1, &*a.2).cmp(&(b.0, b.1, &*b.2)));
        wanted.dedup();
        insert(connection, &wanted, today)?;
        self.look_up(connection, &wanted, &mut found)?;
        for (site_id, kind, value) in over {
            let other = found.get(&self.cache.key(&(site_id, kind as i16, OTHER))).copied();
            let other = other.ok_or_else(|| StoreError::Refused("a term is missing right after its insert".into()))?;
            found.insert(self.cache.key(&(site_id, kind as i16, &*value)), other);
        }
        Ok(found)
    }

    fn look_up(&self, connection: &mut PgConnection, keys: &[TermKey], found: &mut Found) -> Result<(), StoreError> {
        let rows: Vec<TermRow> = sql("SELECT t.site_id, t.kind, t.value, t.term_id
             FROM unnest($1, $2, $3) AS k (site_id, kind, value)
             JOIN terms t ON t.site_id = k.site_id AND t.kind = k.kind AND t.value = k.value")
        .bind::<Array<Integer>, _>(keys.iter().map(|k| k.0).collect::<Vec<_>>())
        .bind::<Array<SmallInt>, _>(keys.iter().map(|k| k.1 as i16).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(keys.iter().map(|k| k.2.to_string()).collect::<Vec<_>>())
        .load(connection)?;
        for row in rows {
            found.insert(self.cache.key(&(row.site_id, row.kind, row.value.as_str())), row.term_id);
        }
        Ok(())
    }

    /// Counts one new text of the day; false when the day's are used up.
    fn count_new(
        &mut self,
        connection: &mut PgConnection,
        key: (i32, Term),
        today: jiff::civil::Date,
    ) -> Result<bool, StoreError> {
        if self.day != Some(today) {
            self.day = Some(today);
            self.new_today.clear();
        }
        let count = match self.new_today.get_mut(&key) {
            Some(count) => count,
            None => {
                let stored: Count = sql(
                    "SELECT count(*) AS n FROM terms WHERE site_id = $1 AND first_day = $2::text::date AND kind = $3",
                )
                .bind::<Integer, _>(key.0)
                .bind::<Text, _>(today.to_string())
                .bind::<SmallInt, _>(key.1 as i16)
                .get_result(connection)?;
                self.new_today.entry(key).or_insert(stored.n)
            }
        };
        *count += 1;
        Ok(*count <= NEW_TERMS_A_DAY)
    }
}

fn insert(connection: &mut PgConnection, keys: &[TermKey], today: jiff::civil::Date) -> Result<(), StoreError> {
    sql("INSERT INTO terms (first_day, site_id, kind, value)
         SELECT $1::text::date, site_id, kind, value
         FROM unnest($2, $3, $4) AS k (site_id, kind, value)
         ON CONFLICT (site_id, kind, value) DO NOTHING")
    .bind::<Text, _>(today.to_string())
    .bind::<Array<Integer>, _>(keys.iter().map(|k| k.0).collect::<Vec<_>>())
    .bind::<Array<SmallInt>, _>(keys.iter().map(|k| k.1 as i16).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(keys.iter().map(|k| k.2.to_string()).collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}
