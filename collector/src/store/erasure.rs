//! People who are to be forgotten.
//!
//! [`Store::erase`] takes them out of everybody's sight in one short transaction: their identifiers are gone, and hashes
//! of them keep every later event of theirs out ([`Forgotten`]), also a retry and a file that is imported again.
//! [`Store::finish_erasures`] then deletes what is left of them; it can be cut anywhere and goes on. What names them is
//! kept only until that is done.
//!
//! **Nothing slips through.** A writer holds lock 6 shared for its transaction, and looks there whether somebody has been
//! forgotten since it last asked; an erasure takes the lock alone. So a transaction is wholly before an erasure, and what
//! it stored is deleted, or wholly after it, and knows.

use super::events::{NewEvent, Term};
use super::identities::Who;
use super::sites::Site;
use super::sql::sql;
use super::{Store, StoreError};
use diesel::Connection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Jsonb, SmallInt, Text, Uuid as SqlUuid};
use domain::identity::{Kind, normalise};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::collections::{BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Shorter texts are found in samples of other people too.
const TRACE_BYTES: usize = 5;
/// The class of the lock; see `ARCHITECTURE.md`.
const LOCK: i32 = 6;

fn hash(key: &[u8], kind: Kind, value: &str) -> Result<Uuid, StoreError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|_| StoreError::Refused("the site's erasure key cannot be used".into()))?;
    mac.update(&kind.code().to_be_bytes());
    mac.update(value.as_bytes());
    let digest = mac.finalize().into_bytes();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    Ok(Uuid::from_bytes(half))
}

/// The identifiers of forgotten people, as one writer knows them.
#[derive(Default)]
pub(crate) struct Forgotten {
    epoch: Option<i64>,
    sites: HashMap<i32, ForgottenOfSite>,
}

struct ForgottenOfSite {
    key: Vec<u8>,
    hashes: HashSet<Uuid>,
}

#[derive(QueryableByName)]
struct HashRow {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = SqlUuid)]
    hash: Uuid,
    #[diesel(sql_type = Binary)]
    erasure_key: Vec<u8>,
}

impl Forgotten {
    /// Holds erasures off until the transaction ends, and reads whom there are. Gives whether that are others than when
    /// it was last asked: whatever is remembered of identifiers and texts is then to be forgotten too.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn read(&mut self, connection: &mut PgConnection) -> Result<bool, StoreError> {
        hold_off(connection)?;
        let row: NumberRow = sql("SELECT last_value AS number FROM erasure_epoch").get_result(connection)?;
        if self.epoch == Some(row.number) {
            return Ok(false);
        }
        let rows: Vec<HashRow> = sql("SELECT e.site_id, e.hash, s.erasure_key
             FROM erased_identities e JOIN sites s USING (site_id)")
        .load(connection)?;
        self.sites.clear();
        for row in rows {
            let of_site = self
                .sites
                .entry(row.site_id)
                .or_insert_with(|| ForgottenOfSite { key: row.erasure_key, hashes: HashSet::new() });
            of_site.hashes.insert(row.hash);
        }
        self.epoch = Some(row.number);
        Ok(true)
    }

    /// Whether an event names a forgotten person. `is_known` says of an identifier that it has been looked at since the
    /// last erasure.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn names(
        &self,
        site_id: i32,
        event: &NewEvent,
        is_known: impl Fn(Kind, &str) -> bool,
    ) -> Result<bool, StoreError> {
        let Some(site) = self.sites.get(&site_id) else { return Ok(false) };
        let own = match &event.who {
            Who::Known { kind, value } => Some((*kind, value)),
            Who::Measured { .. } => None,
        };
        for (kind, value) in own.into_iter().chain(event.ties()) {
            if !is_known(kind, value) && site.hashes.contains(&hash(&site.key, kind, value)?) {
                return Ok(true);
            }
        }
        // A browser's word for an address ties nothing, and would still tell of its owner.
        for word in event.properties.iter().flat_map(|text| words(text)) {
            let kind = match word.as_bytes() {
                [b'+', ..] => Kind::Phone,
                bytes if bytes.contains(&b'@') => Kind::Email,
                _ => continue,
            };
            if let Ok(value) = normalise(kind, word)
                && site.hashes.contains(&hash(&site.key, kind, &value)?)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What may be an identifier in a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_border = |c: char| c.is_whitespace() || "\"',;<>()[]{}=&?".contains(c);
    text.split(is_border).filter(|word| !word.is_empty())
}

impl Forgotten {
    /// Whether a text, a sample of what arrived, has an identifier of a forgotten person in it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn are_in(&self, site_id: i32, text: &str) -> Result<bool, StoreError> {
        let Some(site) = self.sites.get(&site_id) else { return Ok(false) };
        for word in words(text) {
            for kind in Kind::ALL {
                let Ok(value) = normalise(kind, word) else { continue };
                if site.hashes.contains(&hash(&site.key, kind, &value)?) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Forgotten {
    /// Whether any of a file's cells names a forgotten person, as a whole or with a word of it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn are_in_cells<'c>(
        &self,
        site_id: i32,
        cells: impl Iterator<Item = &'c String>,
    ) -> Result<bool, StoreError> {
        let Some(site) = self.sites.get(&site_id) else { return Ok(false) };
        for cell in cells {
            for kind in Kind::ALL {
                if let Ok(value) = normalise(kind, cell)
                    && site.hashes.contains(&hash(&site.key, kind, &value)?)
                {
                    return Ok(true);
                }
            }
            if self.are_in(site_id, cell)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[derive(QueryableByName)]
struct IdentityRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Text)]
    value: String,
}

impl IdentityRow {
    /// `kind:value`
    fn written(&self) -> Result<String, StoreError> {
        Ok(format!("{}:{}", super::identities::kind(self.kind)?, self.value))
    }
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = Binary)]
    erasure_key: Vec<u8>,
}

#[derive(QueryableByName)]
struct TraitsRow {
    #[diesel(sql_type = Jsonb)]
    traits: Value,
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct ErasedRow {
    #[diesel(sql_type = SqlUuid)]
    hash: Uuid,
}

#[derive(QueryableByName)]
struct FreeRow {
    #[diesel(sql_type = Bool)]
    free: bool,
}

/// Tells all writers that what they remember may hold no more. Lock 6 is held alone.
fn next_epoch(connection: &mut PgConnection) -> Result<(), StoreError> {
    sql("SELECT nextval('erasure_epoch')").execute(connection)?;
    Ok(())
}

/// An erasure that is not done yet.
#[derive(QueryableByName)]
struct WaitingRow {
    #[diesel(sql_type = BigInt)]
    erasure_id: i64,
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Array<BigInt>)]
    identity_ids: Vec<i64>,
    #[diesel(sql_type = Array<Text>)]
    traces: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    identifiers: Vec<String>,
}

#[derive(QueryableByName)]
struct TermRow {
    #[diesel(sql_type = Integer)]
    term_id: i32,
}

impl Store {
    /// Forgets a person: from now on nobody finds them, and no event of theirs is stored any more. `asked_by` is the
    /// user who asks for it. `None` where there is no such person.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then.
    pub(crate) fn erase(&self, site: &Site, profile_id: i64, asked_by: &str) -> Result<Option<i64>, StoreError> {
        self.lend()?.transaction(|connection| {
            sql("SELECT pg_advisory_xact_lock($1, 0)").bind::<Integer, _>(LOCK).execute(connection)?;
            // Everybody's intake waits meanwhile, so this one does not wait for a merge that is being taken back.
            let free: FreeRow = sql("SELECT pg_try_advisory_xact_lock(1, $1) AS free")
                .bind::<Integer, _>(site.site_id)
                .get_result(connection)?;
            if !free.free {
                return Err(StoreError::Contended("a merge of this site is being taken back".into()));
            }
            next_epoch(connection)?;
            let identities: Vec<IdentityRow> = sql("SELECT identity_id, kind, value FROM identities
                 WHERE site_id = $1 AND profile_id = $2 AND kind <> $3 ORDER BY identity_id")
            .bind::<Integer, _>(site.site_id)
            .bind::<BigInt, _>(profile_id)
            .bind::<SmallInt, _>(Kind::Measured.code())
            .load(connection)?;
            if identities.is_empty() {
                return Ok(None);
            }
            let traces = traces(connection, site.site_id, profile_id, &identities)?;
            let identity_ids: Vec<i64> = identities.iter().map(|row| row.identity_id).collect();
            let identifiers =
                identities.iter().map(IdentityRow::written).collect::<Result<Vec<String>, StoreError>>()?;
            let row: NumberRow = sql("INSERT INTO erasures (site_id, asked_by, profile_id, identity_ids, traces,
                    identifiers)
                 VALUES ($1, $2, $3, $4, $5, $6) RETURNING erasure_id AS number")
            .bind::<Integer, _>(site.site_id)
            .bind::<Text, _>(asked_by.to_owned())
            .bind::<BigInt, _>(profile_id)
            .bind::<Array<BigInt>, _>(identity_ids.clone())
            .bind::<Array<Text>, _>(traces)
            .bind::<Array<Text>, _>(identifiers)
            .get_result(connection)?;
            remember(connection, site.site_id, row.number, &identities)?;
            for statement in [
                "DELETE FROM identity_links WHERE site_id = $1 AND identity_id = ANY($2)",
                "DELETE FROM identity_links WHERE site_id = $1 AND other_id = ANY($2)",
                "DELETE FROM identity_apart WHERE site_id = $1 AND identity_id = ANY($2)",
                "DELETE FROM identity_apart WHERE site_id = $1 AND other_id = ANY($2)",
                "DELETE FROM match_suggestions WHERE site_id = $1 AND identity_id = ANY($2)",
                "DELETE FROM match_suggestions WHERE site_id = $1 AND other_id = ANY($2)",
                "DELETE FROM identity_ledger WHERE site_id = $1 AND identity_id = ANY($2)",
                "DELETE FROM segment_lists WHERE site_id = $1 AND identity_id = ANY($2)",
                "DELETE FROM identities WHERE site_id = $1 AND identity_id = ANY($2)",
            ] {
                sql(statement)
                    .bind::<Integer, _>(site.site_id)
                    .bind::<Array<BigInt>, _>(identity_ids.clone())
                    .execute(connection)?;
            }
            // The projector finds nobody of that number any more and deletes what it has made of them.
            sql(
                "INSERT INTO journal (site_id, identity_ids, event_ids, relinked_profiles) VALUES ($1, '{}', '{}', $2)",
            )
            .bind::<Integer, _>(site.site_id)
            .bind::<Array<BigInt>, _>(vec![profile_id])
            .execute(connection)?;
            Ok(Some(row.number))
        })
    }

    /// Deletes what is left of people who were forgotten; gives how many are done with.
    ///
    /// # Errors
    /// [`StoreError`]; what is left is deleted by the next call.
    pub(crate) fn finish_erasures(&self, site_id: i32) -> Result<usize, StoreError> {
        let mut connection = self.connect()?;
        let waiting: Vec<WaitingRow> =
            sql("SELECT erasure_id, profile_id, identity_ids, traces, identifiers FROM erasures
             WHERE site_id = $1 AND done_at IS NULL ORDER BY erasure_id")
            .bind::<Integer, _>(site_id)
            .load(&mut connection)?;
        let mut done = 0;
        for erasure in &waiting {
            match finish(&mut connection, site_id, erasure) {
                Ok(is_done) => done += usize::from(is_done),
                // One that cannot be finished keeps nobody else's from it.
                Err(error) => tracing::error!(site = site_id, erasure = erasure.erasure_id, %error, "an erasure waits"),
            }
        }
        Ok(done)
    }
}

/// Holds erasures off until the transaction ends.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn hold_off(connection: &mut PgConnection) -> Result<(), StoreError> {
    sql("SELECT pg_advisory_xact_lock_shared($1, 0)").bind::<Integer, _>(LOCK).execute(connection)?;
    Ok(())
}

/// Those of some values, normalised, by which a forgotten person was known.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn erased_among(
    connection: &mut PgConnection,
    site_id: i32,
    kind: Kind,
    values: &[String],
) -> Result<HashSet<String>, StoreError> {
    let row: KeyRow =
        sql("SELECT erasure_key FROM sites WHERE site_id = $1").bind::<Integer, _>(site_id).get_result(connection)?;
    let mut by_hash: HashMap<Uuid, &String> = HashMap::new();
    for value in values {
        by_hash.insert(hash(&row.erasure_key, kind, value)?, value);
    }
    let found: Vec<ErasedRow> = sql("SELECT hash FROM erased_identities WHERE site_id = $1 AND hash = ANY($2)")
        .bind::<Integer, _>(site_id)
        .bind::<Array<SqlUuid>, _>(by_hash.keys().copied().collect::<Vec<_>>())
        .load(connection)?;
    Ok(found.into_iter().filter_map(|row| by_hash.get(&row.hash).map(|value| (*value).clone())).collect())
}

/// Texts that would tell who the person was.
fn traces(
    connection: &mut PgConnection,
    site_id: i32,
    profile_id: i64,
    identities: &[IdentityRow],
) -> Result<Vec<String>, StoreError> {
    let row: Option<TraitsRow> = sql("SELECT traits FROM profiles WHERE site_id = $1 AND profile_id = $2")
        .bind::<Integer, _>(site_id)
        .bind::<BigInt, _>(profile_id)
        .get_result(connection)
        .optional()?;
    let traits = row.map(|row| row.traits);
    // What tells people apart; a city or a plan is in everybody's samples.
    let telling = ["name", "first_name", "firstName", "last_name", "lastName", "email", "phone", "address"];
    let said = traits.iter().flat_map(|traits| telling.iter().filter_map(|name| traits.get(name)?.as_str()));
    let known = identities.iter().map(|row| row.value.as_str());
    let texts: BTreeSet<String> =
        known.chain(said).map(|text| text.trim().to_lowercase()).filter(|text| text.len() >= TRACE_BYTES).collect();
    Ok(texts.into_iter().collect())
}

fn remember(
    connection: &mut PgConnection,
    site_id: i32,
    erasure_id: i64,
    identities: &[IdentityRow],
) -> Result<(), StoreError> {
    let row: KeyRow =
        sql("SELECT erasure_key FROM sites WHERE site_id = $1").bind::<Integer, _>(site_id).get_result(connection)?;
    let mut hashes = Vec::with_capacity(identities.len());
    for identity in identities {
        let kind = super::identities::kind(identity.kind)?;
        hashes.push(hash(&row.erasure_key, kind, &identity.value)?);
    }
    sql("INSERT INTO erased_identities (site_id, erasure_id, hash) SELECT $1, $2, h FROM unnest($3) AS h
         ON CONFLICT DO NOTHING")
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(erasure_id)
    .bind::<Array<SqlUuid>, _>(hashes)
    .execute(connection)?;
    Ok(())
}

/// Deletes what is left of one person. Each step finds what a cut-off run before has left.
fn finish(connection: &mut PgConnection, site_id: i32, erasure: &WaitingRow) -> Result<bool, StoreError> {
    super::imports::forget(connection, site_id, &erasure.identifiers, &erasure.traces)?;
    scrub(connection, site_id, &erasure.identity_ids)?;
    for statement in [
        "DELETE FROM events WHERE site_id = $1 AND identity_id = ANY($2)",
        "DELETE FROM message_ids WHERE site_id = $1 AND identity_id = ANY($2)",
    ] {
        sql(statement)
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(erasure.identity_ids.clone())
            .execute(connection)?;
    }
    sql("DELETE FROM rejections r USING unnest($1) AS trace
         WHERE r.site_id = $2 AND position(trace IN lower(r.detail || ' ' || COALESCE(r.sample, ''))) > 0")
    .bind::<Array<Text>, _>(erasure.traces.clone())
    .bind::<Integer, _>(site_id)
    .execute(connection)?;
    // Only once the projector has been there is nothing written any more.
    let waits: NumberRow = sql("SELECT
            (SELECT count(*) FROM journal WHERE NOT projected AND site_id = $1 AND relinked_profiles @> ARRAY[$2])
          + (SELECT count(*) FROM histories WHERE site_id = $3 AND profile_id = $4) AS number")
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(erasure.profile_id)
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(erasure.profile_id)
    .get_result(connection)?;
    if waits.number > 0 {
        return Ok(false);
    }
    for statement in [
        "DELETE FROM segment_changes WHERE site_id = $1 AND profile_id = $2",
        "DELETE FROM segment_scores WHERE site_id = $1 AND profile_id = $2",
        "DELETE FROM trait_values WHERE site_id = $1 AND profile_id = $2",
    ] {
        sql(statement).bind::<Integer, _>(site_id).bind::<BigInt, _>(erasure.profile_id).execute(connection)?;
    }
    sql("UPDATE plan_breaches AS b SET sample = '' FROM unnest($1) AS trace
         WHERE b.site_id = $2 AND position(trace IN lower(b.sample)) > 0")
    .bind::<Array<Text>, _>(erasure.traces.clone())
    .bind::<Integer, _>(site_id)
    .execute(connection)?;
    // A name of events that nobody else used is no text any more, and nothing to be told apart.
    sql("DELETE FROM plan_seen AS s WHERE s.site_id = $1 AND s.name <> '' AND NOT EXISTS (
            SELECT FROM terms t WHERE t.site_id = s.site_id AND t.kind = $2 AND t.value = s.name)")
    .bind::<Integer, _>(site_id)
    .bind::<SmallInt, _>(Term::Name as i16)
    .execute(connection)?;
    // Addresses and numbers alone: a name is a word of campaigns and searches, too, and these rows are many people's.
    let telling: Vec<String> = erasure.traces.iter().filter(|trace| tells_by_itself(trace)).cloned().collect();
    for statement in [
        "DELETE FROM web_history AS h USING unnest($1) AS trace
         WHERE h.site_id = $2 AND position(trace IN lower(h.value)) > 0",
        "DELETE FROM search_performance AS p USING unnest($1) AS trace
         WHERE p.site_id = $2 AND position(trace IN lower(p.query || ' ' || p.page)) > 0",
        "DELETE FROM ad_spend AS a USING unnest($1) AS trace
         WHERE a.site_id = $2 AND position(trace IN lower(a.campaign)) > 0",
    ] {
        sql(statement).bind::<Array<Text>, _>(telling.clone()).bind::<Integer, _>(site_id).execute(connection)?;
    }
    sql("UPDATE erasures SET done_at = now(), traces = '{}', identity_ids = '{}', identifiers = '{}'
         WHERE site_id = $1 AND erasure_id = $2")
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(erasure.erasure_id)
    .execute(connection)?;
    Ok(true)
}

/// Whether a text says who somebody is wherever it stands: a mail address, or a number of some length.
pub(super) fn tells_by_itself(trace: &str) -> bool {
    trace.contains('@') || trace.bytes().filter(u8::is_ascii_digit).count() >= 6
}

/// Overwrites texts that only this person used. The long look at everybody's events is done beside intake; what has come
/// in since is looked at with intake held off, and with the same commit every writer learns to ask for its texts anew.
fn scrub(connection: &mut PgConnection, site_id: i32, identity_ids: &[i64]) -> Result<(), StoreError> {
    let own = own_terms(connection, site_id, identity_ids)?;
    if own.is_empty() {
        return Ok(());
    }
    let since: SinceRow = sql("SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS tx").get_result(connection)?;
    let used = terms_of_others(connection, site_id, identity_ids, &own)?;
    let alone: Vec<i32> = own.into_iter().filter(|term_id| !used.contains(term_id)).collect();
    connection.transaction::<_, StoreError, _>(|connection| {
        sql("SELECT pg_advisory_xact_lock($1, 0)").bind::<Integer, _>(LOCK).execute(connection)?;
        next_epoch(connection)?;
        // The row stays, under a name that nobody else can have taken.
        sql("UPDATE terms SET value = '(erased) ' || gen_random_uuid() WHERE site_id = $1 AND term_id = ANY($2)
                AND term_id NOT IN (
                    SELECT v.term_id FROM journal j
                    CROSS JOIN LATERAL unnest(j.identity_ids, j.event_ids) AS k (identity_id, event_id)
                    JOIN events e ON e.site_id = j.site_id AND e.identity_id = k.identity_id AND e.event_id = k.event_id
                    CROSS JOIN LATERAL (VALUES (name_id), (page_id), (title_id), (referrer_id), (campaign_id),
                        (agent_id), (device_id)) AS v (term_id)
                    WHERE j.site_id = $3 AND j.tx >= $4::text::xid8 AND e.identity_id <> ALL($5)
                        AND v.term_id IS NOT NULL)")
        .bind::<Integer, _>(site_id)
        .bind::<Array<Integer>, _>(alone)
        .bind::<Integer, _>(site_id)
        .bind::<Text, _>(since.tx)
        .bind::<Array<BigInt>, _>(identity_ids.to_vec())
        .execute(connection)?;
        Ok(())
    })
}

#[derive(QueryableByName)]
struct SinceRow {
    #[diesel(sql_type = Text)]
    tx: String,
}

/// The texts of a person's events, but for the source's key, the country and the software's name, which tell nothing of
/// them.
fn own_terms(connection: &mut PgConnection, site_id: i32, identity_ids: &[i64]) -> Result<Vec<i32>, StoreError> {
    let rows: Vec<TermRow> = sql("SELECT DISTINCT v.term_id FROM events e
         CROSS JOIN LATERAL (VALUES (name_id), (page_id), (title_id), (referrer_id), (campaign_id), (agent_id),
            (device_id)) AS v (term_id)
         WHERE e.site_id = $1 AND e.identity_id = ANY($2) AND v.term_id IS NOT NULL")
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(identity_ids.to_vec())
    .load(connection)?;
    Ok(rows.into_iter().map(|row| row.term_id).collect())
}

/// Those of some texts that events of other people have.
fn terms_of_others(
    connection: &mut PgConnection,
    site_id: i32,
    identity_ids: &[i64],
    term_ids: &[i32],
) -> Result<HashSet<i32>, StoreError> {
    if term_ids.is_empty() {
        return Ok(HashSet::new());
    }
    // One pass over the site's events, whatever the number of texts.
    let rows: Vec<TermRow> = sql("SELECT DISTINCT v.term_id FROM events e
         CROSS JOIN LATERAL (VALUES (name_id), (page_id), (title_id), (referrer_id), (campaign_id), (agent_id),
            (device_id)) AS v (term_id)
         WHERE e.site_id = $1 AND e.identity_id <> ALL($2) AND v.term_id = ANY($3)")
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(identity_ids.to_vec())
    .bind::<Array<Integer>, _>(term_ids.to_vec())
    .load(connection)?;
    Ok(rows.into_iter().map(|row| row.term_id).collect())
}
