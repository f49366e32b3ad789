//! A site's people as they are compared: one record each, of what is said of them now.

use crate::store::sql::sql;
use crate::store::{StoreError, instant, timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Nullable, Timestamptz};
use domain::event::{ProfileId, Trust};
use domain::history::Trait;
use domain::identity::Kind;
use domain::matching::{Person, Said};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// People whom a trusted source has named and who are compared, the latest seen: 200,000 records, pairs and what is found
/// take about 300 MB.
pub(crate) const MOST_KNOWN: i64 = 200_000;
/// People whom browsers alone have named. Anybody can make as many as they like, so these are few.
const MOST_CLAIMED: i64 = 20_000;
/// People of one question to the database.
const AT_ONCE: i64 = 2_000;

/// People who say something that can be compared.
#[derive(Default)]
pub(crate) struct People {
    /// Those of whom a trusted source says something, by that alone.
    pub(crate) vouched: Vec<Person>,
    /// Everybody by everything that is said of them.
    pub(crate) all: Vec<Person>,
    /// Whether browsers say anything that trusted sources do not.
    pub(crate) browsers_say_more: bool,
    /// The identity by which each profile is known: vouched for, if any is, and one that names a person, if any does.
    pub(crate) known_by: HashMap<ProfileId, i64>,
    /// Profiles that were read.
    pub(crate) read: i64,
    /// There were more known people than are read.
    pub(crate) is_cut: bool,
}

#[derive(QueryableByName)]
struct PersonRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Timestamptz)]
    last_seen: PgTimestamp,
    #[diesel(sql_type = Nullable<Jsonb>)]
    traits: Option<Value>,
    #[diesel(sql_type = Nullable<BigInt>)]
    known_by: Option<i64>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    identifiers: Option<Value>,
}

impl People {
    /// Reads a site's people, the latest seen first; `tell` is told how many are read.
    ///
    /// # Errors
    /// [`StoreError`], or whatever `tell` gives.
    pub(crate) fn read(
        connection: &mut PgConnection,
        site_id: i32,
        mut tell: impl FnMut(i64) -> Result<(), StoreError>,
    ) -> Result<People, StoreError> {
        let mut people = People::default();
        for (is_vouched, most) in [(true, MOST_KNOWN), (false, MOST_CLAIMED)] {
            let mut after = (timestamp(instant(i64::MAX).as_microsecond()), i64::MAX);
            let mut read = 0;
            loop {
                let rows = page(connection, site_id, is_vouched, after)?;
                let Some(last) = rows.last() else { break };
                after = (last.last_seen, last.profile_id);
                read += rows.len() as i64;
                people.read += rows.len() as i64;
                rows.into_iter().try_for_each(|row| people.take(row))?;
                tell(people.read)?;
                if read >= most {
                    people.is_cut |= is_vouched;
                    break;
                }
            }
        }
        Ok(people)
    }

    fn take(&mut self, row: PersonRow) -> Result<(), StoreError> {
        // Who has nothing but orders or nameless messages is no person that could be joined.
        let Some(known_by) = row.known_by else { return Ok(()) };
        let said = said(row.traits, row.identifiers)?;
        let profile_id = ProfileId(row.profile_id);
        let (vouched, all) = (said.record(Trust::Trusted), said.record(Trust::Browser));
        if all.is_empty() {
            return Ok(());
        }
        self.browsers_say_more |= vouched != all;
        self.known_by.insert(profile_id, known_by);
        if !vouched.is_empty() {
            self.vouched.push(Person { profile_id, records: vec![vouched] });
        }
        self.all.push(Person { profile_id, records: vec![all] });
        Ok(())
    }
}

/// What is said of a profile's person, from the traits of its history and its identifiers as `[kind, value, trusted]`.
///
/// # Errors
/// [`StoreError::Refused`] where they are of another form.
pub(crate) fn said(traits: Option<Value>, identifiers: Option<Value>) -> Result<Said, StoreError> {
    let odd = |error: serde_json::Error| StoreError::Refused(format!("a person's traits cannot be read: {error}"));
    let traits: BTreeMap<String, Trait> =
        traits.map(serde_json::from_value).transpose().map_err(odd)?.unwrap_or_default();
    let identifiers: Vec<(i16, String, bool)> =
        identifiers.map(serde_json::from_value).transpose().map_err(odd)?.unwrap_or_default();
    let mut said = Said::of(traits.iter().map(|(name, said)| (name.as_str(), &said.value, said.trust)));
    for (kind, value, trusted) in &identifiers {
        let trust = if *trusted { Trust::Trusted } else { Trust::Browser };
        if let Some(kind) = Kind::from_code(*kind) {
            said.add(kind, value, trust);
        }
    }
    Ok(said)
}

/// The next people behind `after`, of those with or without an identity that is vouched for.
fn page(
    connection: &mut PgConnection,
    site_id: i32,
    is_vouched: bool,
    after: (PgTimestamp, i64),
) -> Result<Vec<PersonRow>, StoreError> {
    // One row per profile. Kinds: 2 user id, 5 external, 3 e-mail, 4 phone, 1 visitor.
    Ok(sql("SELECT p.profile_id, p.last_seen, h.history #> '{facts,traits}' AS traits, i.known_by, i.identifiers
         FROM (
            SELECT site_id, profile_id, last_seen FROM profiles q
            WHERE site_id = $1 AND (last_seen, profile_id) < ($2, $3) AND $4 = EXISTS (
                SELECT FROM identities i WHERE i.site_id = q.site_id AND i.profile_id = q.profile_id AND i.trusted)
            ORDER BY last_seen DESC, profile_id DESC LIMIT $5
         ) AS p
         LEFT JOIN histories h ON h.site_id = p.site_id AND h.profile_id = p.profile_id
         CROSS JOIN LATERAL (
            SELECT (array_agg(identity_id ORDER BY trusted DESC, array_position('{2,5,3,4,1}'::smallint[], kind),
                        identity_id) FILTER (WHERE kind IN (1, 2, 3, 4, 5)))[1] AS known_by,
                jsonb_agg(jsonb_build_array(kind, value, trusted) ORDER BY identity_id)
                    FILTER (WHERE kind IN (3, 4)) AS identifiers
            FROM identities o WHERE o.site_id = p.site_id AND o.profile_id = p.profile_id
         ) AS i
         ORDER BY p.last_seen DESC, p.profile_id DESC")
    .bind::<Integer, _>(site_id)
    .bind::<Timestamptz, _>(after.0)
    .bind::<BigInt, _>(after.1)
    .bind::<Bool, _>(is_vouched)
    .bind::<BigInt, _>(AT_ONCE)
    .load(connection)?)
}
