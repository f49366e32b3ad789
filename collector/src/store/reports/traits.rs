//! Computed traits with how many people have them, and where a person's traits came from.

use super::happened::{short, value_text};
use super::{Store, count, moment};
use crate::store::events::Kind;
use crate::store::membership::read_sweep;
use crate::store::segments::read_segments;
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::traits::{ComputedTrait, MAX_COMPUTED, read_traits};
use crate::store::{StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz};
use domain::history::Trait;
use domain::report::{ComputedTraitRow, ComputedTraits, KnownTrait, Progress, Spread, TraitOrigin};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};

/// Traits of one person that are shown; the rest can be read by the API.
const SHOWN: usize = 100;

#[derive(QueryableByName)]
struct SpreadRow {
    #[diesel(sql_type = Integer)]
    trait_id: i32,
    #[diesel(sql_type = BigInt)]
    people: i64,
    #[diesel(sql_type = BigInt)]
    numbers: i64,
    #[diesel(sql_type = Array<Double>)]
    quarters: Vec<f64>,
}

#[derive(QueryableByName)]
struct WordRow {
    #[diesel(sql_type = Integer)]
    trait_id: i32,
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = BigInt)]
    people: i64,
}

#[derive(QueryableByName)]
struct PeopleRow {
    #[diesel(sql_type = BigInt)]
    people: i64,
}

impl Store {
    /// The computed traits of a site with how many people have them.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn computed_traits_report(&self, site: &Site, now: Timestamp) -> Result<ComputedTraits, StoreError> {
        self.read(|connection| {
            let traits = read_traits(connection, site.site_id)?;
            let spreads = spreads(connection, site.site_id)?;
            let sweep = read_sweep(connection, site.site_id)?;
            let segments = read_segments(connection, site.site_id)?;
            let row: PeopleRow = sql("SELECT count(*) AS people FROM profiles WHERE site_id = $1")
                .bind::<Integer, _>(site.site_id)
                .get_result(connection)?;
            let row_of = |one: &ComputedTrait| {
                let (people, spread) = spreads.get(&one.trait_id).cloned().unwrap_or_default();
                let asks = |rule: &domain::segment::rule::Rule| rule.needs().traits.contains(&one.name);
                let asked_by = segments.iter().filter(|segment| segment.rule().is_some_and(asks));
                let is_zero = |known: &domain::segment::rule::Computed| known.take.is_zero_of_nothing();
                ComputedTraitRow {
                    name: one.name.clone(),
                    description: one.description.clone(),
                    says: one.definition.as_ref().map(ToString::to_string),
                    json: one.definition.as_ref().and_then(|known| serde_json::to_string_pretty(known).ok()),
                    is_zero_of_nothing: one.definition.as_ref().is_some_and(is_zero),
                    revision: u32::try_from(one.revision).unwrap_or(0),
                    updated_at: one.updated_at,
                    people,
                    spread,
                    progress: (one.since_revision > sweep.swept_revision)
                        .then(|| Progress { asked: count(sweep.done), people: count(sweep.people) }),
                    asked_by: asked_by.map(|segment| (segment.key.clone(), segment.name.clone())).collect(),
                }
            };
            Ok(ComputedTraits {
                site: crate::segments::report_site(site),
                now,
                people: count(row.people),
                rows: traits.iter().map(row_of).collect(),
                most: MAX_COMPUTED,
            })
        })
    }

    /// How asking everybody about new definitions comes on; `None` once it is over.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn traits_progress(&self, site: &Site) -> Result<Option<Progress>, StoreError> {
        self.read(|connection| {
            let sweep = read_sweep(connection, site.site_id)?;
            let traits = read_traits(connection, site.site_id)?;
            let waits = traits.iter().any(|one| one.since_revision > sweep.swept_revision);
            Ok(waits.then(|| Progress { asked: count(sweep.done), people: count(sweep.people) }))
        })
    }

    /// What is computed of a person now, by name; a 0 of nothing is among it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn computed_of_person(&self, site: &Site, profile_id: i64) -> Result<Map<String, Value>, StoreError> {
        self.read(|connection| {
            let known = values(connection, site.site_id, profile_id)?;
            Ok(known.into_iter().filter_map(|(one, value)| Some((one.name, value?))).collect())
        })
    }
}

type Spreads = HashMap<i32, (u64, Option<Spread>)>;

fn spreads(connection: &mut PgConnection, site_id: i32) -> Result<Spreads, StoreError> {
    let rows: Vec<SpreadRow> = sql(include_str!("trait_spreads.sql")).bind::<Integer, _>(site_id).load(connection)?;
    let worded: Vec<i32> = rows.iter().filter(|row| row.numbers < row.people).map(|row| row.trait_id).collect();
    let mut words: HashMap<i32, Vec<(String, u64)>> = HashMap::new();
    if !worded.is_empty() {
        let rows: Vec<WordRow> = sql(include_str!("trait_words.sql"))
            .bind::<Integer, _>(site_id)
            .bind::<Array<Integer>, _>(worded)
            .load(connection)?;
        for row in rows {
            words.entry(row.trait_id).or_default().push((row.value, count(row.people)));
        }
    }
    let spread = |row: SpreadRow| {
        let spread = match words.remove(&row.trait_id) {
            Some(words) => Some(Spread::Values(words)),
            None => <[f64; 5]>::try_from(row.quarters).ok().map(Spread::Numbers),
        };
        (row.trait_id, (count(row.people), spread))
    };
    Ok(rows.into_iter().map(spread).collect())
}

#[derive(QueryableByName)]
struct ValueRow {
    #[diesel(sql_type = Integer)]
    trait_id: i32,
    #[diesel(sql_type = Jsonb)]
    value: Value,
}

/// Every computed trait of the site with a person's value, as it is stored; what nothing comes to 0 of has that.
fn values(
    connection: &mut PgConnection,
    site_id: i32,
    profile_id: i64,
) -> Result<Vec<(ComputedTrait, Option<Value>)>, StoreError> {
    let traits = read_traits(connection, site_id)?;
    let rows: Vec<ValueRow> = sql("SELECT trait_id, value FROM trait_values WHERE site_id = $1 AND profile_id = $2")
        .bind::<Integer, _>(site_id)
        .bind::<BigInt, _>(profile_id)
        .load(connection)?;
    let mut stored: HashMap<i32, Value> = rows.into_iter().map(|row| (row.trait_id, row.value)).collect();
    let value = |one: ComputedTrait| {
        let is_zero = one.definition.as_ref().is_some_and(|known| known.take.is_zero_of_nothing());
        let value = stored.remove(&one.trait_id).or_else(|| is_zero.then(|| 0.into()));
        (one, value)
    };
    Ok(traits.into_iter().map(value).collect())
}

#[derive(QueryableByName)]
struct SaidRow {
    #[diesel(sql_type = Jsonb)]
    traits: Value,
}

#[derive(QueryableByName)]
struct SourceRow {
    #[diesel(sql_type = Timestamptz)]
    occurred_at: PgTimestamp,
    #[diesel(sql_type = Jsonb)]
    traits: Value,
    #[diesel(sql_type = Nullable<Text>)]
    source: Option<String>,
}

/// A person's traits as text, each with where it came from: those of `sent`, and the computed ones before them.
pub(super) fn known_traits(
    connection: &mut PgConnection,
    site: &Site,
    profile_id: i64,
    sent: &Map<String, Value>,
) -> Result<Vec<KnownTrait>, StoreError> {
    let computed = values(connection, site.site_id, profile_id)?;
    let origins = if sent.is_empty() { BTreeMap::new() } else { origins(connection, site, profile_id)? };
    let is_computed = |name: &str| computed.iter().any(|(one, _)| one.name == name);
    let of_sent = sent.iter().filter_map(|(name, value)| {
        let origin = match origins.get(name) {
            Some((said, source)) => TraitOrigin::Sent {
                at: said.at,
                trust: said.trust,
                source: source.clone(),
                is_hidden: is_computed(name),
            },
            None => TraitOrigin::Unknown,
        };
        Some(KnownTrait { name: short(name), value: value_text(value)?, origin })
    });
    let of_computed = computed.iter().filter_map(|(one, value)| {
        let origin = TraitOrigin::Computed(one.definition.as_ref().map(ToString::to_string));
        Some(KnownTrait { name: one.name.clone(), value: value_text(value.as_ref()?)?, origin })
    });
    Ok(of_computed.chain(of_sent).take(SHOWN).collect())
}

/// Who said a person's traits last, as the history knows it, and by which source: that of the event of this moment which
/// names the trait.
fn origins(
    connection: &mut PgConnection,
    site: &Site,
    profile_id: i64,
) -> Result<BTreeMap<String, (Trait, Option<String>)>, StoreError> {
    let row: Option<SaidRow> = sql("SELECT COALESCE(history->'facts'->'traits', '{}') AS traits FROM histories
         WHERE site_id = $1 AND profile_id = $2")
    .bind::<Integer, _>(site.site_id)
    .bind::<BigInt, _>(profile_id)
    .get_result(connection)
    .optional()?;
    // A history of another version says nothing of where traits came from.
    let said: BTreeMap<String, Trait> = row.and_then(|row| serde_json::from_value(row.traits).ok()).unwrap_or_default();
    let mut moments: Vec<Timestamp> = said.values().map(|said| said.at).collect();
    moments.sort_unstable();
    moments.dedup();
    let rows: Vec<SourceRow> = sql("SELECT e.occurred_at, COALESCE(e.properties, '{}') AS traits, t.value AS source
         FROM identities i JOIN events e ON e.site_id = i.site_id AND e.identity_id = i.identity_id
         LEFT JOIN terms t ON t.site_id = e.site_id AND t.term_id = e.source_id
         WHERE i.site_id = $1 AND i.profile_id = $2 AND e.kind = $3 AND e.occurred_at = ANY($4)")
    .bind::<Integer, _>(site.site_id)
    .bind::<BigInt, _>(profile_id)
    .bind::<SmallInt, _>(Kind::Identify as i16)
    .bind::<Array<Timestamptz>, _>(moments.into_iter().map(moment).collect::<Vec<_>>())
    .load(connection)?;
    let source = |name: &str, said: &Trait| {
        let names = |row: &&SourceRow| from_timestamp(row.occurred_at) == said.at && row.traits.get(name).is_some();
        rows.iter().find(names).and_then(|row| row.source.clone())
    };
    Ok(said
        .into_iter()
        .map(|(name, said)| {
            let source = source(&name, &said);
            (name, (said, source))
        })
        .collect())
}
