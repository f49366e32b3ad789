//! Everybody's values of computed traits, settled with the memberships.

use super::StoreError;
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::traits::ComputedTrait;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Text, Timestamptz};
use domain::segment::rule::{self, ComputedPlan, PersonRow, Scalar, Taken, Vocabulary};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::HashMap;

/// A site's computed traits, made ready.
pub(super) struct LiveTraits {
    traits: Vec<LiveTrait>,
    /// Somebody has a value, perhaps of one that is gone.
    has_values: bool,
}

struct LiveTrait {
    computed: ComputedTrait,
    /// `None` for a definition that this version cannot read.
    plan: Option<ComputedPlan>,
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Bool)]
    known: bool,
}

impl LiveTraits {
    /// Whether somebody has a value of a site's computed traits, also of those that are gone.
    pub(super) fn are_kept(connection: &mut PgConnection, site_id: i32) -> Result<bool, StoreError> {
        let row: Known = sql("SELECT EXISTS (SELECT FROM trait_values WHERE site_id = $1) AS known")
            .bind::<Integer, _>(site_id)
            .get_result(connection)?;
        Ok(row.known)
    }

    /// Makes definitions ready; the vocabulary must keep their properties.
    pub(super) fn compile(
        site: &Site,
        traits: Vec<ComputedTrait>,
        vocabulary: &Vocabulary,
        values: &rule::Site,
        has_values: bool,
    ) -> LiveTraits {
        let live = |computed: ComputedTrait| {
            let plan = computed.definition.as_ref().and_then(|definition| {
                ComputedPlan::compile(definition, vocabulary, values)
                    .map_err(|error| {
                        tracing::error!(site = site.site_id, name = computed.name, %error, "a trait is not computed");
                    })
                    .ok()
            });
            LiveTrait { computed, plan }
        };
        LiveTraits { traits: traits.into_iter().map(live).collect(), has_values }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.traits.is_empty() && !self.has_values
    }

    pub(super) fn refresh(&mut self, vocabulary: &Vocabulary) {
        self.traits.iter_mut().filter_map(|live| live.plan.as_mut()).for_each(|plan| plan.refresh(vocabulary));
    }

    /// What one definition comes to for one person; for a preview of it.
    pub(super) fn taken(&self, row: &PersonRow, second: u32) -> Option<Taken> {
        Some(self.traits.first()?.plan.as_ref()?.evaluate(&row.as_person(&[]), second))
    }

    /// Computes every trait of one person and notes what is no longer as it is stored; gives when to ask again.
    pub(super) fn ask(
        &self,
        row: &PersonRow,
        second: u32,
        before: &TraitsBefore,
        written: &mut TraitsWritten,
    ) -> Option<u32> {
        let profile_id = row.profile_id.0;
        let stored = before.of(profile_id);
        let mut due = None;
        for LiveTrait { computed, plan } in &self.traits {
            // What cannot be asked stays as it is.
            let Some(plan) = plan else { continue };
            let Taken { value, changes_at, .. } = plan.evaluate(&row.as_person(&[]), second);
            due = [due, changes_at].into_iter().flatten().min();
            let value = value.filter(|value| *value != Scalar::Number(0.0) || !is_nothing_zero(computed));
            match (value, stored.and_then(|stored| stored.get(&computed.trait_id))) {
                (None, None) => {}
                (Some(value), Some((revision, known))) if *revision == computed.revision && *known == value => {}
                (Some(value), _) => written.values.push((profile_id, computed.trait_id, computed.revision, value)),
                (None, Some(_)) => written.gone.push((profile_id, computed.trait_id)),
            }
        }
        let is_there = |trait_id: &i32| self.traits.iter().any(|live| live.computed.trait_id == *trait_id);
        let removed = stored.into_iter().flat_map(|stored| stored.keys()).filter(|trait_id| !is_there(trait_id));
        written.gone.extend(removed.map(|trait_id| (profile_id, *trait_id)));
        due
    }
}

/// Whether 0 is what nothing comes to: then it takes no row.
fn is_nothing_zero(computed: &ComputedTrait) -> bool {
    computed.definition.as_ref().is_some_and(|definition| definition.take.is_zero_of_nothing())
}

/// What is stored of some people: by person and trait the definition's version and the value.
#[derive(Default)]
pub(super) struct TraitsBefore(HashMap<i64, HashMap<i32, (i32, Scalar)>>);

#[derive(QueryableByName)]
struct ValueRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Integer)]
    trait_id: i32,
    #[diesel(sql_type = Integer)]
    revision: i32,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    text: String,
}

impl ValueRow {
    /// Numbers are read from their digits: reading JSON may be off by the last bit.
    fn value(&self) -> Option<Scalar> {
        match self.kind.as_str() {
            "number" => self.text.parse().ok().map(Scalar::Number),
            "boolean" => Some(Scalar::Bool(self.text == "true")),
            "string" => Some(Scalar::Text(self.text.clone())),
            _ => None,
        }
    }
}

impl TraitsBefore {
    pub(super) fn read(
        connection: &mut PgConnection,
        site_id: i32,
        profile_ids: &[i64],
    ) -> Result<TraitsBefore, StoreError> {
        let rows: Vec<ValueRow> =
            sql("SELECT profile_id, trait_id, revision, jsonb_typeof(value) AS kind, value #>> '{}' AS text
                 FROM trait_values WHERE site_id = $1 AND profile_id = ANY($2)")
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(profile_ids.to_vec())
            .load(connection)?;
        let mut before = TraitsBefore::default();
        for row in rows {
            // What no version wrote is written anew.
            let value = row.value().unwrap_or(Scalar::Text(String::new()));
            before.0.entry(row.profile_id).or_default().insert(row.trait_id, (row.revision, value));
        }
        Ok(before)
    }

    fn of(&self, profile_id: i64) -> Option<&HashMap<i32, (i32, Scalar)>> {
        self.0.get(&profile_id)
    }
}

/// What has changed of some people's values.
#[derive(Default)]
pub(super) struct TraitsWritten {
    values: Vec<(i64, i32, i32, Scalar)>,
    gone: Vec<(i64, i32)>,
}

/// A value as it is stored: whole numbers without a point.
fn json(value: &Scalar) -> Value {
    /// Whole numbers up to 2^53 are exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Scalar::Bool(flag) => (*flag).into(),
        Scalar::Text(text) => text.as_str().into(),
        Scalar::Number(number) if number.fract() == 0.0 && number.abs() < EXACT => (*number as i64).into(),
        Scalar::Number(number) => (*number).into(),
    }
}

impl TraitsWritten {
    /// Somebody is no more, or nobody: no value is left.
    pub(super) fn leave(&mut self, profile_id: i64, before: &TraitsBefore) {
        let stored = before.of(profile_id).into_iter().flat_map(|stored| stored.keys());
        self.gone.extend(stored.map(|trait_id| (profile_id, *trait_id)));
    }

    pub(super) fn write(&self, connection: &mut PgConnection, site_id: i32, now: Timestamp) -> Result<(), StoreError> {
        if !self.values.is_empty() {
            sql("INSERT INTO trait_values (site_id, changed_at, profile_id, trait_id, revision, value)
                 SELECT $1, $2, v.* FROM unnest($3, $4, $5, $6) AS v
                 ON CONFLICT (site_id, profile_id, trait_id) DO UPDATE SET revision = EXCLUDED.revision,
                    value = EXCLUDED.value, changed_at = CASE WHEN trait_values.value = EXCLUDED.value
                        THEN trait_values.changed_at ELSE EXCLUDED.changed_at END")
            .bind::<Integer, _>(site_id)
            .bind::<Timestamptz, _>(crate::store::timestamp(now.as_microsecond()))
            .bind::<Array<BigInt>, _>(self.values.iter().map(|value| value.0).collect::<Vec<_>>())
            .bind::<Array<Integer>, _>(self.values.iter().map(|value| value.1).collect::<Vec<_>>())
            .bind::<Array<Integer>, _>(self.values.iter().map(|value| value.2).collect::<Vec<_>>())
            .bind::<Array<Jsonb>, _>(self.values.iter().map(|value| json(&value.3)).collect::<Vec<_>>())
            .execute(connection)?;
        }
        if !self.gone.is_empty() {
            let (profile_ids, trait_ids): (Vec<i64>, Vec<i32>) = self.gone.iter().copied().unzip();
            sql("DELETE FROM trait_values AS v USING unnest($1, $2) AS d (profile_id, trait_id)
                 WHERE v.site_id = $3 AND v.profile_id = d.profile_id AND v.trait_id = d.trait_id")
            .bind::<Array<BigInt>, _>(profile_ids)
            .bind::<Array<Integer>, _>(trait_ids)
            .bind::<Integer, _>(site_id)
            .execute(connection)?;
        }
        Ok(())
    }
}
