//! The computed traits that a site keeps: their definitions, and who may change them how. Their values are kept with
//! memberships, see [`super::membership`].

use super::segments::{Segment, raise_revision, read_segments};
use super::sites::Site;
use super::sql::sql;
use super::{Store, StoreError, from_timestamp};
use diesel::Connection;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Text, Timestamptz};
use domain::segment::rule::{Computed, ComputedTraits, Needs, Rule, RuleError};
use jiff::Timestamp;
use serde_json::Value;

/// A site has at most this many: each is computed of everybody who does anything.
pub(crate) const MAX_COMPUTED: usize = 50;
/// A name is at most this long.
const MAX_NAME_BYTES: usize = 64;
/// A description is at most this long.
const MAX_DESCRIPTION_CHARS: usize = 1_000;
/// Words that stand in the place of a name in addresses.
const RESERVED: [&str; 3] = ["new", "preview", "progress"];

/// A computed trait.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ComputedTrait {
    pub(crate) trait_id: i32,
    /// Its name in rules and addresses.
    pub(crate) name: String,
    pub(crate) description: String,
    /// `None` where this version cannot read it: its values stay as they are.
    pub(crate) definition: Option<Computed>,
    /// Counts the definition's versions.
    pub(crate) revision: i32,
    /// The site's revision since which it is this version.
    pub(crate) since_revision: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl ComputedTrait {
    /// One that is not kept.
    pub(crate) fn draft(definition: &Computed) -> ComputedTrait {
        ComputedTrait {
            trait_id: 0,
            name: String::new(),
            description: String::new(),
            definition: Some(definition.clone()),
            revision: 0,
            since_revision: 0,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }
}

/// What is said of a computed trait that is made or changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TraitDraft {
    pub(crate) description: String,
    pub(crate) definition: Computed,
}

/// Why a computed trait cannot be made, changed or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraitError {
    /// No name.
    #[error("name {0:?} is none; use up to 64 letters, digits, _, - and ., the first a letter, a digit or _")]
    Name(String),
    /// Another computed trait has this name.
    #[error("a computed trait {0:?} is there already; choose another name, or change that one")]
    NameTaken(String),
    /// Somebody has sent a trait of this name.
    #[error("a trait {0:?} is sent by your sources; choose another name, since what is sent cannot be computed, too")]
    NameSent(String),
    /// Too long a description.
    #[error("a description has at most {MAX_DESCRIPTION_CHARS} characters")]
    Description,
    /// There is none of that name.
    #[error("there is no computed trait {0:?}")]
    Unknown(String),
    /// What is wrong with the definition, and where.
    #[error("definition {0}")]
    Definition(#[from] RuleError),
    /// Segments ask for it.
    #[error("{name:?} is asked for by {by}; change {by} first")]
    InUse {
        /// The trait.
        name: String,
        /// The segments that ask for it.
        by: String,
    },
    /// Too many.
    #[error("a site has at most {MAX_COMPUTED} computed traits; remove one first")]
    TooMany,
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for TraitError {
    fn from(error: diesel::result::Error) -> TraitError {
        TraitError::Store(error.into())
    }
}

#[derive(QueryableByName)]
struct TraitRow {
    #[diesel(sql_type = Integer)]
    trait_id: i32,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    description: String,
    #[diesel(sql_type = Jsonb)]
    definition: Value,
    #[diesel(sql_type = Integer)]
    revision: i32,
    #[diesel(sql_type = BigInt)]
    since_revision: i64,
    #[diesel(sql_type = Timestamptz)]
    created_at: PgTimestamp,
    #[diesel(sql_type = Timestamptz)]
    updated_at: PgTimestamp,
}

#[derive(QueryableByName)]
struct Sent {
    #[diesel(sql_type = Bool)]
    sent: bool,
}

/// The computed traits of a site, by name.
pub(crate) fn read_traits(connection: &mut PgConnection, site_id: i32) -> Result<Vec<ComputedTrait>, StoreError> {
    let rows: Vec<TraitRow> =
        sql("SELECT trait_id, name, description, definition, revision, since_revision, created_at, updated_at
             FROM computed_traits WHERE site_id = $1 ORDER BY name")
        .bind::<Integer, _>(site_id)
        .load(connection)?;
    let computed = |row: TraitRow| {
        let definition = serde_json::from_value(row.definition).map_err(|error| {
            tracing::error!(site = site_id, name = row.name, %error, "a computed trait cannot be read");
        });
        ComputedTrait {
            trait_id: row.trait_id,
            name: row.name,
            description: row.description,
            definition: definition.ok(),
            revision: row.revision,
            since_revision: row.since_revision,
            created_at: from_timestamp(row.created_at),
            updated_at: from_timestamp(row.updated_at),
        }
    };
    Ok(rows.into_iter().map(computed).collect())
}

/// The definitions as rules ask for them.
pub(crate) fn computed_of(traits: &[ComputedTrait]) -> ComputedTraits {
    ComputedTraits::of(traits.iter().filter_map(|one| Some((one.name.clone(), one.definition.clone()?))))
}

/// The definitions of a site as its rules ask for them.
pub(crate) fn read_computed(connection: &mut PgConnection, site_id: i32) -> Result<ComputedTraits, StoreError> {
    Ok(computed_of(&read_traits(connection, site_id)?))
}

fn check_name(name: &str) -> Result<(), TraitError> {
    let can_begin = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| can_begin(byte) || byte == b'.' || byte == b'-')
        && name.bytes().next().is_some_and(can_begin);
    match is_name {
        true if RESERVED.contains(&name) => Err(TraitError::NameTaken(name.to_owned())),
        true => Ok(()),
        false => Err(TraitError::Name(name.chars().take(80).collect())),
    }
}

fn check(draft: &TraitDraft) -> Result<Value, TraitError> {
    draft.definition.check()?;
    if draft.description.chars().count() > MAX_DESCRIPTION_CHARS {
        return Err(TraitError::Description);
    }
    let unwritable = |error| StoreError::Refused(format!("a definition cannot be written: {error}"));
    Ok(serde_json::to_value(&draft.definition).map_err(unwritable)?)
}

impl Store {
    /// The computed traits of a site, by name.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn computed_traits(&self, site: &Site) -> Result<Vec<ComputedTrait>, StoreError> {
        read_traits(&mut *self.lend()?, site.site_id)
    }

    /// The computed trait of this name.
    ///
    /// # Errors
    /// [`TraitError::Unknown`]
    pub(crate) fn computed_trait(&self, site: &Site, name: &str) -> Result<ComputedTrait, TraitError> {
        let found = self.computed_traits(site)?.into_iter().find(|one| one.name == name);
        found.ok_or_else(|| TraitError::Unknown(name.chars().take(80).collect()))
    }

    /// What a rule has to be given, with what stands behind the computed traits that it asks for.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn needs(&self, site: &Site, rule: &Rule) -> Result<Needs, StoreError> {
        let needs = rule.needs();
        if needs.traits.is_empty() {
            return Ok(needs);
        }
        Ok(needs.behind(&read_computed(&mut *self.lend()?, site.site_id)?))
    }

    /// Makes a computed trait. Everybody is asked about it.
    ///
    /// # Errors
    /// [`TraitError`]
    pub(crate) fn add_computed_trait(
        &self,
        site: &Site,
        name: &str,
        draft: &TraitDraft,
    ) -> Result<ComputedTrait, TraitError> {
        check_name(name)?;
        let definition = check(draft)?;
        self.lend()?.transaction::<_, TraitError, _>(|connection| {
            let revision = raise_revision(connection, site.site_id)?;
            let others = read_traits(connection, site.site_id)?;
            if others.iter().any(|other| other.name == name) {
                return Err(TraitError::NameTaken(name.to_owned()));
            }
            if others.len() >= MAX_COMPUTED {
                return Err(TraitError::TooMany);
            }
            let row: Sent = sql("SELECT EXISTS (SELECT FROM profiles WHERE site_id = $1 AND traits ? $2) AS sent")
                .bind::<Integer, _>(site.site_id)
                .bind::<Text, _>(name.to_owned())
                .get_result(connection)?;
            if row.sent {
                return Err(TraitError::NameSent(name.to_owned()));
            }
            sql("INSERT INTO computed_traits (site_id, name, description, definition, since_revision)
                 VALUES ($1, $2, $3, $4, $5)")
            .bind::<Integer, _>(site.site_id)
            .bind::<Text, _>(name.to_owned())
            .bind::<Text, _>(draft.description.trim().to_owned())
            .bind::<Jsonb, _>(definition)
            .bind::<BigInt, _>(revision)
            .execute(connection)?;
            Ok(())
        })?;
        self.computed_trait(site, name)
    }

    /// Changes a computed trait. Another definition is asked of everybody; until then people have the value of the one
    /// before.
    ///
    /// # Errors
    /// [`TraitError`]
    pub(crate) fn change_computed_trait(
        &self,
        site: &Site,
        name: &str,
        draft: &TraitDraft,
    ) -> Result<ComputedTrait, TraitError> {
        let definition = check(draft)?;
        self.lend()?.transaction::<_, TraitError, _>(|connection| {
            let revision = raise_revision(connection, site.site_id)?;
            let all = read_traits(connection, site.site_id)?;
            let Some(known) = all.iter().find(|one| one.name == name) else {
                return Err(TraitError::Unknown(name.chars().take(80).collect()));
            };
            let is_new = known.definition.as_ref() != Some(&draft.definition);
            sql("UPDATE computed_traits SET description = $1, definition = $2, revision = revision + $3,
                    since_revision = CASE WHEN $4 THEN $5 ELSE since_revision END, updated_at = now()
                 WHERE site_id = $6 AND trait_id = $7")
            .bind::<Text, _>(draft.description.trim().to_owned())
            .bind::<Jsonb, _>(definition)
            .bind::<Integer, _>(i32::from(is_new))
            .bind::<Bool, _>(is_new)
            .bind::<BigInt, _>(revision)
            .bind::<Integer, _>(site.site_id)
            .bind::<Integer, _>(known.trait_id)
            .execute(connection)?;
            Ok(())
        })?;
        self.computed_trait(site, name)
    }

    /// Removes a computed trait. Nobody has it any more from now on; the sweep that follows deletes the values.
    ///
    /// # Errors
    /// [`TraitError::InUse`] while segments ask for it.
    pub(crate) fn remove_computed_trait(&self, site: &Site, name: &str) -> Result<(), TraitError> {
        self.lend()?.transaction::<_, TraitError, _>(|connection| {
            raise_revision(connection, site.site_id)?;
            let by = asked_by(&read_segments(connection, site.site_id)?, name);
            if !by.is_empty() {
                return Err(TraitError::InUse { name: name.to_owned(), by: by.join(", ") });
            }
            let removed = sql("DELETE FROM computed_traits WHERE site_id = $1 AND name = $2")
                .bind::<Integer, _>(site.site_id)
                .bind::<Text, _>(name.to_owned())
                .execute(connection)?;
            if removed == 0 { Err(TraitError::Unknown(name.chars().take(80).collect())) } else { Ok(()) }
        })
    }
}

/// The keys of the segments whose rules ask for a trait.
pub(crate) fn asked_by(segments: &[Segment], name: &str) -> Vec<String> {
    let asks =
        |segment: &&Segment| segment.rule().is_some_and(|rule| rule.needs().traits.iter().any(|one| one == name));
    segments.iter().filter(asks).map(|segment| segment.key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_an_address_and_a_rule_can_carry() {
        for name in ["orders_90d", "LTV", "_x", "a.b-c", &"a".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "-a", ".a", "a b", "fact:country", "ö", "a/b", "new", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
