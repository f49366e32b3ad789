//! Who is probably the same person, as pages show it: the matches with the values of both people as they are now.

use super::count;
use crate::store::matches::people::said;
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz};
use domain::event::{ProfileId, Trust};
use domain::identity::Kind;
use domain::matching::{Comparison, Evidence, Said};
use domain::report::{
    Identifier, MATCH_THRESHOLDS, Match, MatchBook, MatchEvidence, MatchLook, MatchPerson, MatchState, MayBe, Paging,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// Decisions that a page lists, and a file.
const DECIDED: i64 = 50;
const DECIDED_IN_FILE: i64 = 10_000;
/// Others who may be somebody, on that person's page.
const MAY_BE: i64 = 5;

#[derive(QueryableByName)]
struct MatchRow {
    #[diesel(sql_type = BigInt)]
    match_id: i64,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Double)]
    probability: f64,
    #[diesel(sql_type = Bool)]
    trusted: bool,
    #[diesel(sql_type = Jsonb)]
    evidence: Value,
    #[diesel(sql_type = Double)]
    household_bits: f64,
    #[diesel(sql_type = Timestamptz)]
    found_at: PgTimestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    decided_at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    decided_by: Option<String>,
    #[diesel(sql_type = BigInt)]
    one_id: i64,
    #[diesel(sql_type = SmallInt)]
    one_kind: i16,
    #[diesel(sql_type = Text)]
    one_value: String,
    #[diesel(sql_type = BigInt)]
    one_profile: i64,
    #[diesel(sql_type = BigInt)]
    other_id: i64,
    #[diesel(sql_type = SmallInt)]
    other_kind: i16,
    #[diesel(sql_type = Text)]
    other_value: String,
    #[diesel(sql_type = BigInt)]
    other_profile: i64,
}

#[derive(QueryableByName)]
struct PersonRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    first_seen: PgTimestamp,
    #[diesel(sql_type = Timestamptz)]
    last_seen: PgTimestamp,
    #[diesel(sql_type = Integer)]
    orders: i32,
    #[diesel(sql_type = BigInt)]
    revenue_minor: i64,
    #[diesel(sql_type = Nullable<Jsonb>)]
    traits: Option<Value>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    identifiers: Option<Value>,
}

#[derive(QueryableByName)]
struct LookRow {
    #[diesel(sql_type = Nullable<Double>)]
    threshold: Option<f64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    made_at: Option<PgTimestamp>,
    #[diesel(sql_type = Bool)]
    is_due: bool,
    #[diesel(sql_type = BigInt)]
    compared: i64,
    #[diesel(sql_type = BigInt)]
    left_out: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    done: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    total: Option<i64>,
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct MayBeRow {
    #[diesel(sql_type = BigInt)]
    match_id: i64,
    #[diesel(sql_type = Double)]
    probability: f64,
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
}

/// One comparison as it is stored.
#[derive(Deserialize)]
struct StoredEvidence {
    comparison: String,
    level: String,
    bits: f64,
    rarity_bits: f64,
}

impl Store {
    /// A site's matches: a page of those that wait, the latest decisions, the one that is `asked` for, and `just`, which
    /// was decided a moment ago.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn match_book(
        &self,
        site: &Site,
        (page, per_page): (u32, u32),
        (asked, just): (Option<i64>, Option<i64>),
        now: Timestamp,
    ) -> Result<MatchBook, StoreError> {
        self.read(|connection| {
            let mut paging = Paging { page, per_page, total: waiting(connection, site.site_id)? };
            // The last page empties while it is worked through.
            paging.page = page.min(u32::try_from(paging.pages()).unwrap_or(u32::MAX));
            let mut open = open(connection, site, &paging)?;
            let decided = decided(connection, site, DECIDED)?;
            let mut one = |match_id: Option<i64>| match match_id {
                Some(match_id) => one(connection, site, match_id),
                None => Ok(None),
            };
            let asked = one(asked)?.filter(Match::waits);
            let just = one(just)?.filter(Match::can_be_undone);
            open.retain(|of| asked.as_ref().is_none_or(|asked| asked.match_id != of.match_id));
            let look = look(connection, site.site_id)?;
            Ok(MatchBook { site: crate::segments::report_site(site), now, open, paging, decided, look, asked, just })
        })
    }

    /// What was decided of a site's matches, newest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn matches_decided(&self, site: &Site) -> Result<Vec<Match>, StoreError> {
        self.read(|connection| decided(connection, site, DECIDED_IN_FILE))
    }
}

/// How many matches of a site wait for somebody.
pub(super) fn waiting(connection: &mut PgConnection, site_id: i32) -> Result<u64, StoreError> {
    let row: NumberRow = sql("SELECT count(*) AS number FROM match_suggestions m
         JOIN identities i ON i.site_id = m.site_id AND i.identity_id = m.identity_id
         JOIN identities o ON o.site_id = m.site_id AND o.identity_id = m.other_id
         WHERE m.site_id = $1 AND m.state = 'open' AND i.profile_id <> o.profile_id")
    .bind::<Integer, _>(site_id)
    .get_result(connection)?;
    Ok(count(row.number))
}

fn open(connection: &mut PgConnection, site: &Site, paging: &Paging) -> Result<Vec<Match>, StoreError> {
    // One row per match. What was put off comes last, in the order in which it was; before it what trusted sources say.
    let rows: Vec<MatchRow> = sql("SELECT m.*, i.identity_id AS one_id, i.kind AS one_kind, i.value AS one_value,
            i.profile_id AS one_profile, o.kind AS other_kind, o.value AS other_value, o.profile_id AS other_profile
         FROM match_suggestions m
         JOIN identities i ON i.site_id = m.site_id AND i.identity_id = m.identity_id
         JOIN identities o ON o.site_id = m.site_id AND o.identity_id = m.other_id
         WHERE m.site_id = $1 AND m.state = 'open' AND i.profile_id <> o.profile_id
         ORDER BY m.postponed_at NULLS FIRST, m.trusted DESC, m.probability DESC, m.match_id LIMIT $2 OFFSET $3")
    .bind::<Integer, _>(site.site_id)
    .bind::<BigInt, _>(i64::from(paging.per_page))
    .bind::<BigInt, _>(i64::try_from(paging.offset()).unwrap_or(i64::MAX))
    .load(connection)?;
    told(connection, site, rows)
}

fn decided(connection: &mut PgConnection, site: &Site, most: i64) -> Result<Vec<Match>, StoreError> {
    let rows: Vec<MatchRow> = sql("SELECT m.*, i.identity_id AS one_id, i.kind AS one_kind, i.value AS one_value,
            i.profile_id AS one_profile, o.kind AS other_kind, o.value AS other_value, o.profile_id AS other_profile
         FROM match_suggestions m
         JOIN identities i ON i.site_id = m.site_id AND i.identity_id = m.identity_id
         JOIN identities o ON o.site_id = m.site_id AND o.identity_id = m.other_id
         WHERE m.site_id = $1 AND m.decided_at IS NOT NULL ORDER BY m.decided_at DESC, m.match_id DESC LIMIT $2")
    .bind::<Integer, _>(site.site_id)
    .bind::<BigInt, _>(most)
    .load(connection)?;
    told(connection, site, rows)
}

fn one(connection: &mut PgConnection, site: &Site, match_id: i64) -> Result<Option<Match>, StoreError> {
    let rows: Vec<MatchRow> = sql("SELECT m.*, i.identity_id AS one_id, i.kind AS one_kind, i.value AS one_value,
            i.profile_id AS one_profile, o.kind AS other_kind, o.value AS other_value, o.profile_id AS other_profile
         FROM match_suggestions m
         JOIN identities i ON i.site_id = m.site_id AND i.identity_id = m.identity_id
         JOIN identities o ON o.site_id = m.site_id AND o.identity_id = m.other_id
         WHERE m.site_id = $1 AND m.match_id = $2")
    .bind::<Integer, _>(site.site_id)
    .bind::<BigInt, _>(match_id)
    .load(connection)?;
    Ok(told(connection, site, rows)?.pop())
}

/// A person with what is said of them.
struct Known {
    person: PersonRow,
    said: Said,
}

/// The people of some profiles; of one whose projection has yet to come nothing is known.
fn people(
    connection: &mut PgConnection,
    site_id: i32,
    profile_ids: BTreeSet<i64>,
) -> Result<HashMap<i64, Known>, StoreError> {
    // Kinds: 2 user id, 3 e-mail, 4 phone.
    let rows: Vec<PersonRow> = sql("SELECT p.profile_id, p.first_seen, p.last_seen, p.orders, p.revenue_minor,
            h.history #> '{facts,traits}' AS traits, i.identifiers,
            COALESCE(p.traits->>'name', NULLIF(concat_ws(' ', p.traits->>'firstName', p.traits->>'lastName'), ''),
                i.email, p.traits->>'email', i.user_id) AS name
         FROM profiles p
         LEFT JOIN histories h ON h.site_id = p.site_id AND h.profile_id = p.profile_id
         CROSS JOIN LATERAL (
            SELECT min(value) FILTER (WHERE kind = 3) AS email, min(value) FILTER (WHERE kind = 2) AS user_id,
                jsonb_agg(jsonb_build_array(kind, value, trusted) ORDER BY identity_id)
                    FILTER (WHERE kind IN (3, 4)) AS identifiers
            FROM identities o WHERE o.site_id = p.site_id AND o.profile_id = p.profile_id
         ) AS i
         WHERE p.site_id = $1 AND p.profile_id = ANY($2)")
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(profile_ids.into_iter().collect::<Vec<_>>())
    .load(connection)?;
    rows.into_iter()
        .map(|mut person| {
            let said = said(person.traits.take(), person.identifiers.take())?;
            Ok((person.profile_id, Known { person, said }))
        })
        .collect()
}

fn told(connection: &mut PgConnection, site: &Site, rows: Vec<MatchRow>) -> Result<Vec<Match>, StoreError> {
    let profile_ids = rows.iter().flat_map(|row| [row.one_profile, row.other_profile]).collect();
    let people = people(connection, site.site_id, profile_ids)?;
    rows.into_iter().map(|row| tell(site, row, &people)).collect()
}

fn tell(site: &Site, row: MatchRow, people: &HashMap<i64, Known>) -> Result<Match, StoreError> {
    let odd = || StoreError::Refused(format!("match {} has a state or kind that is unknown", row.match_id));
    let rests_on = if row.trusted { Trust::Trusted } else { Trust::Browser };
    let (one, other) = (people.get(&row.one_profile), people.get(&row.other_profile));
    let person = |known: Option<&Known>, (identity_id, kind, value, profile_id): (i64, i16, &str, i64)| {
        let kind = Kind::from_code(kind).ok_or_else(odd)?;
        let known = known.map(|known| &known.person);
        Ok::<_, StoreError>(MatchPerson {
            identifier: Identifier { identity_id, kind, value: value.to_owned(), profile_id: ProfileId(profile_id) },
            name: known.and_then(|person| person.name.clone()),
            first_seen: known.map(|person| from_timestamp(person.first_seen)),
            last_seen: known.map(|person| from_timestamp(person.last_seen)),
            orders: known.map_or(0, |person| count(person.orders.into())),
            revenue: domain::money::Money {
                minor: known.map_or(0, |person| person.revenue_minor),
                currency: site.currency,
            },
        })
    };
    let text = |known: Option<&Known>, comparison| known?.said.text(comparison, rests_on);
    let evidence = evidence(&row.evidence).into_iter().map(|evidence| MatchEvidence {
        one: text(one, evidence.comparison),
        other: text(other, evidence.comparison),
        evidence,
    });
    Ok(Match {
        match_id: row.match_id,
        state: MatchState::from_key(&row.state).ok_or_else(odd)?,
        probability: row.probability,
        rests_on,
        evidence: evidence.collect(),
        household_bits: row.household_bits,
        one: person(one, (row.one_id, row.one_kind, &row.one_value, row.one_profile))?,
        other: person(other, (row.other_id, row.other_kind, &row.other_value, row.other_profile))?,
        found_at: from_timestamp(row.found_at),
        decided: row.decided_at.map(from_timestamp).zip(row.decided_by),
    })
}

/// The evidence of a match; what this version of ours does not know is left out.
fn evidence(stored: &Value) -> Vec<Evidence> {
    let read = |value: &Value| -> Option<Evidence> {
        let stored = StoredEvidence::deserialize(value).ok()?;
        let comparison = Comparison::from_key(&stored.comparison)?;
        let level = comparison.level_from_key(&stored.level)?;
        Some(Evidence { comparison, level, bits: stored.bits, rarity_bits: stored.rarity_bits })
    };
    stored.as_array().into_iter().flatten().filter_map(read).collect()
}

fn look(connection: &mut PgConnection, site_id: i32) -> Result<MatchLook, StoreError> {
    let row: Option<LookRow> = sql("SELECT threshold, made_at, compared, left_out, done, total,
            asked_at IS NOT NULL AND asked_at > COALESCE(made_at, '-infinity') AS is_due
         FROM match_settings WHERE site_id = $1")
    .bind::<Integer, _>(site_id)
    .get_result(connection)
    .optional()?;
    let mut look = MatchLook::default();
    if let Some(row) = row {
        look = MatchLook {
            threshold: row.threshold,
            made_at: row.made_at.map(from_timestamp),
            compared: count(row.compared),
            left_out: count(row.left_out),
            is_due: row.is_due,
            progress: row.done.zip(row.total).map(|(done, total)| (count(done), count(total))),
            ..look
        };
    }
    for (would, threshold) in look.would_join.iter_mut().zip(MATCH_THRESHOLDS) {
        let row: NumberRow = sql("SELECT count(*) AS number FROM match_suggestions m
             JOIN identities i ON i.site_id = m.site_id AND i.identity_id = m.identity_id
             JOIN identities o ON o.site_id = m.site_id AND o.identity_id = m.other_id
             WHERE m.site_id = $1 AND m.state = 'open' AND m.trusted AND m.automatic AND m.probability >= $2
                AND i.profile_id <> o.profile_id")
        .bind::<Integer, _>(site_id)
        .bind::<Double, _>(threshold)
        .get_result(connection)?;
        *would = count(row.number);
    }
    Ok(look)
}

/// Who may be the same person as somebody, the most probable first.
pub(super) fn may_be(connection: &mut PgConnection, site_id: i32, profile_id: i64) -> Result<Vec<MayBe>, StoreError> {
    // One row per open match of one of the person's identities, with the other's profile.
    let rows: Vec<MayBeRow> = sql("SELECT m.match_id, m.probability, o.profile_id
         FROM identities i
         JOIN LATERAL (
            SELECT match_id, probability, other_id AS to_id FROM match_suggestions
            WHERE site_id = i.site_id AND identity_id = i.identity_id AND state = 'open'
            UNION ALL
            SELECT match_id, probability, identity_id FROM match_suggestions
            WHERE site_id = i.site_id AND other_id = i.identity_id AND state = 'open'
         ) AS m ON true
         JOIN identities o ON o.site_id = i.site_id AND o.identity_id = m.to_id
         WHERE i.site_id = $1 AND i.profile_id = $2 AND o.profile_id <> i.profile_id
         ORDER BY m.probability DESC, m.match_id LIMIT $3")
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(profile_id)
    .bind::<BigInt, _>(MAY_BE)
    .load(connection)?;
    let mut names = people(connection, site_id, rows.iter().map(|row| row.profile_id).collect())?;
    Ok(rows
        .into_iter()
        .map(|row| MayBe {
            match_id: row.match_id,
            profile_id: ProfileId(row.profile_id),
            name: names.remove(&row.profile_id).and_then(|known| known.person.name),
            probability: row.probability,
        })
        .collect())
}
