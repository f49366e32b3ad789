//! Counting what named events carry, as the projector meets them: a step's events together, one statement for each table.

use crate::intake::screen::sample;
use crate::store::StoreError;
use crate::store::sites::Site;
use crate::store::sql::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, SmallInt, Text};
use domain::plan::ValueKind;
use jiff::civil::Date;
use serde_json::{Map, Value};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Names of events of one site that are told apart in a day.
const MAX_NAMES: usize = 300;
/// Properties of one name that are told apart in a day.
const MAX_PROPERTIES: usize = 100;
/// Longer names of properties are not told apart.
const MAX_PROPERTY_BYTES: usize = 128;
/// Characters of a sample.
const SAMPLE_CHARS: usize = 100;

/// A named event that has just been stored.
pub(crate) struct SeenEvent<'e> {
    pub(crate) name: Arc<str>,
    pub(crate) source: Option<Arc<str>>,
    pub(crate) properties: Option<&'e Map<String, Value>>,
}

/// The names and properties that a day's counters tell apart, so that made-up ones do not make rows without end.
pub(crate) struct SeenNames {
    day: Date,
    slot: i16,
    sites: HashMap<i32, HashMap<String, HashSet<String>>>,
}

impl Default for SeenNames {
    fn default() -> SeenNames {
        let [slot] = crate::secrets::random::<1>();
        SeenNames { day: Date::MIN, slot: i16::from(slot % 16), sites: HashMap::new() }
    }
}

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    property: String,
}

impl SeenNames {
    /// What is told apart of a site today.
    fn of(
        &mut self,
        connection: &mut PgConnection,
        site_id: i32,
        today: Date,
    ) -> Result<&mut HashMap<String, HashSet<String>>, StoreError> {
        if self.day != today {
            self.day = today;
            self.sites.clear();
        }
        match self.sites.entry(site_id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => Ok(unknown.insert(read_names(connection, site_id, today)?)),
        }
    }
}

/// The names and properties that a day's counters of a site tell apart already.
fn read_names(
    connection: &mut PgConnection,
    site_id: i32,
    today: Date,
) -> Result<HashMap<String, HashSet<String>>, StoreError> {
    let rows: Vec<NameRow> = sql("SELECT DISTINCT name, property FROM plan_seen
         WHERE site_id = $1 AND day = $2::text::date AND name <> ''")
    .bind::<Integer, _>(site_id)
    .bind::<Text, _>(today.to_string())
    .load(connection)?;
    let mut names: HashMap<String, HashSet<String>> = HashMap::new();
    for row in rows {
        let properties = names.entry(row.name).or_default();
        if !row.property.is_empty() {
            properties.insert(row.property);
        }
    }
    Ok(names)
}

/// Counters by name, property and kind.
type Counts = BTreeMap<(String, String, i16), i64>;
/// Counters by name, property, breach and source, each with a sample.
type Breaches = BTreeMap<(String, String, i16, String), (i64, String)>;

fn add(counts: &mut Counts, names: &mut HashMap<String, HashSet<String>>, event: &SeenEvent<'_>) {
    if !names.contains_key(&*event.name) && names.len() >= MAX_NAMES {
        *counts.entry((String::new(), String::new(), 0)).or_default() += 1;
        return;
    }
    let name = event.name.to_string();
    let properties = names.entry(name.clone()).or_default();
    *counts.entry((name.clone(), String::new(), 0)).or_default() += 1;
    for (property, value) in event.properties.into_iter().flatten() {
        let Some(kind) = ValueKind::of(value) else { continue };
        let is_told = !property.is_empty()
            && property.len() <= MAX_PROPERTY_BYTES
            && (properties.contains(property) || properties.len() < MAX_PROPERTIES);
        if is_told {
            properties.insert(property.clone());
            *counts.entry((name.clone(), property.clone(), kind.code())).or_default() += 1;
        }
    }
}

fn differ(breaches: &mut Breaches, site: &Site, event: &SeenEvent<'_>) {
    let Some(plan) = site.plan.events.get(&*event.name) else { return };
    let nothing = Map::new();
    for violation in plan.violations(event.properties.unwrap_or(&nothing)) {
        let source = event.source.as_deref().unwrap_or("").to_owned();
        let key = (event.name.to_string(), violation.property.to_owned(), violation.breach.code(), source);
        let entry = breaches.entry(key).or_default();
        entry.0 += 1;
        if let Some(value) = violation.value {
            entry.1 = sample(&value.to_string()).chars().take(SAMPLE_CHARS).collect();
        }
    }
}

/// Counts a site's events that were projected together.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn count_seen(
    names: &mut SeenNames,
    connection: &mut PgConnection,
    site: &Site,
    events: &[SeenEvent<'_>],
    today: Date,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let slot = names.slot;
    let (mut counts, mut breaches) = (Counts::new(), Breaches::new());
    let known = names.of(connection, site.site_id, today)?;
    for event in events {
        add(&mut counts, known, event);
        differ(&mut breaches, site, event);
    }
    sql("INSERT INTO plan_seen AS s (site_id, day, slot, name, property, kind, count)
         SELECT $1, $2::text::date, $3, new.* FROM unnest($4, $5, $6, $7) AS new
         ON CONFLICT (site_id, day, name, property, kind, slot)
            DO UPDATE SET count = s.count + EXCLUDED.count, last_at = EXCLUDED.last_at")
    .bind::<Integer, _>(site.site_id)
    .bind::<Text, _>(today.to_string())
    .bind::<SmallInt, _>(slot)
    .bind::<Array<Text>, _>(counts.keys().map(|key| key.0.clone()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(counts.keys().map(|key| key.1.clone()).collect::<Vec<_>>())
    .bind::<Array<SmallInt>, _>(counts.keys().map(|key| key.2).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(counts.values().copied().collect::<Vec<_>>())
    .execute(connection)?;
    if breaches.is_empty() {
        return Ok(());
    }
    sql("INSERT INTO plan_breaches AS b (site_id, day, slot, name, property, breach, source, count, sample)
         SELECT $1, $2::text::date, $3, new.* FROM unnest($4, $5, $6, $7, $8, $9) AS new
         ON CONFLICT (site_id, day, name, property, breach, source, slot)
            DO UPDATE SET count = b.count + EXCLUDED.count, last_at = EXCLUDED.last_at, sample = EXCLUDED.sample")
    .bind::<Integer, _>(site.site_id)
    .bind::<Text, _>(today.to_string())
    .bind::<SmallInt, _>(slot)
    .bind::<Array<Text>, _>(breaches.keys().map(|key| key.0.clone()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(breaches.keys().map(|key| key.1.clone()).collect::<Vec<_>>())
    .bind::<Array<SmallInt>, _>(breaches.keys().map(|key| key.2).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(breaches.keys().map(|key| key.3.clone()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(breaches.values().map(|value| value.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(breaches.values().map(|value| value.1.clone()).collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}
