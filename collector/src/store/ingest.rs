//! The ingest transaction: what a group of requests brings is stored in one commit, or not at all.

use super::StoreError;
use super::erasure::Forgotten;
use super::events::{self, EventKey, NewEvent, Row, Term, TextIds};
use super::identities::{Claims, Identities};
use super::sites::Site;
use super::sql::sql;
use super::terms::{TermKey, Terms};
use crate::intake::Reason;
use diesel::Connection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Uuid as SqlUuid};
use domain::event::{ORDER_COMPLETED, Trust};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// What one request brings for one site, screened.
#[derive(Debug)]
pub(crate) struct SiteBatch {
    pub(crate) site: Arc<Site>,
    /// The key of the source that brought it, under which its outcomes are counted.
    pub(crate) source: Arc<str>,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) rejections: Vec<Rejection>,
}

/// An event that is not stored, and why.
#[derive(Clone, Debug)]
pub(crate) struct Rejection {
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
    /// The beginning of what arrived; `None` where nothing may be kept.
    pub(crate) sample: Option<String>,
}

/// What became of one request's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) stored: u32,
    pub(crate) duplicate: u32,
    pub(crate) rejected: u32,
}

/// The state of one writer: what it has learnt of the database, and its buffers.
pub(crate) struct Ingest {
    terms: Terms,
    identities: Identities,
    forgotten: Forgotten,
    slot: i16,
    staged: bool,
    buffer: Vec<u8>,
    samples: SampleLimit,
}

/// What a caller does in the same transaction.
pub(crate) type Also<'a> = dyn FnMut(&mut PgConnection, &[Receipt], &Forgotten) -> Result<(), StoreError> + 'a;

/// Events that are to be stored, each with the index of its request.
type Chosen<'a> = Vec<(usize, &'a NewEvent)>;

/// How an attempt writes events: straight into the table, or past those that are there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    Straight,
    Stepping,
}

impl Ingest {
    /// A writer that has learnt nothing yet.
    pub(crate) fn new() -> Self {
        let [slot] = crate::secrets::random::<1>();
        Ingest {
            terms: Terms::new(),
            identities: Identities::new(),
            forgotten: Forgotten::default(),
            slot: i16::from(slot % 16),
            staged: false,
            buffer: Vec::new(),
            samples: SampleLimit::default(),
        }
    }

    /// The connection is a new one: what belonged to the old one is gone.
    pub(crate) fn reconnected(&mut self) {
        self.staged = false;
    }

    /// Stores a group of requests in one transaction that is committed when this returns.
    ///
    /// `now_us` is the wall clock, in µs since 1970. `written` is called when all that is left is the commit, which
    /// waits for the disk.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of the group is stored, or, when the connection broke during the commit, it may be.
    pub(crate) fn store(
        &mut self,
        connection: &mut PgConnection,
        group: &[SiteBatch],
        now_us: i64,
        mut written: impl FnMut(),
    ) -> Result<Vec<Receipt>, StoreError> {
        self.store_and(connection, group, now_us, &mut |_, _, _| {
            written();
            Ok(())
        })
    }

    /// As [`Ingest::store`], with something of the caller's own in the same transaction, which is done last and told what
    /// becomes of each request. It may be done twice, when the first attempt is taken back.
    ///
    /// # Errors
    /// As [`Ingest::store`], and those of the caller's own.
    pub(crate) fn store_and(
        &mut self,
        connection: &mut PgConnection,
        group: &[SiteBatch],
        now_us: i64,
        also: &mut Also<'_>,
    ) -> Result<Vec<Receipt>, StoreError> {
        match self.attempt(connection, group, now_us, Path::Straight, also) {
            Err(StoreError::AlreadyThere) => self.attempt(connection, group, now_us, Path::Stepping, also),
            result => result,
        }
    }

    fn attempt(
        &mut self,
        connection: &mut PgConnection,
        group: &[SiteBatch],
        now_us: i64,
        path: Path,
        also: &mut Also<'_>,
    ) -> Result<Vec<Receipt>, StoreError> {
        let mut learnt_terms = HashMap::new();
        let mut learnt_identities = super::identities::Found::default();
        let mut sampled = Vec::new();
        if path == Path::Stepping && !self.staged {
            // Outside the transaction: it stays for the connection's life.
            sql("CREATE TEMP TABLE IF NOT EXISTS events_stage (LIKE events) ON COMMIT DELETE ROWS")
                .execute(connection)?;
            self.staged = true;
        }
        let receipts = connection.transaction::<_, StoreError, _>(|connection| {
            let today = day_of(now_us);
            if self.forgotten.read(connection)? {
                // Identities are gone and texts are others since: nothing that is remembered of them holds.
                self.terms.forget();
                self.identities.forget();
            }
            let (chosen, erased) = self.choose(group)?;
            let everything = || chosen.iter().map(|(request, event)| (group[*request].site.site_id, *event));
            self.identities.lock(connection, everything())?;
            let (known_terms, unknown_terms) = self.look_up_terms(group, &chosen);
            learnt_terms = self.terms.resolve(connection, unknown_terms, today)?;
            learnt_identities = self.identities.resolve(connection, everything())?;
            let mut receipts: Vec<Receipt> = group
                .iter()
                .zip(&erased)
                .map(|(batch, erased)| Receipt {
                    rejected: batch.rejections.len() as u32 + erased,
                    ..Receipt::default()
                })
                .collect();
            let chosen = (&*chosen, &*known_terms);
            let mut rows = self.rows(group, chosen, &learnt_terms, &learnt_identities, &mut receipts)?;
            claim_messages(connection, &mut rows, &mut receipts, today)?;
            self.write(connection, path, &mut rows, &mut receipts)?;
            // What is said of who is who counts in the order in which it came, not in that of the table's key.
            let mut tying: Vec<&Row<'_>> = rows.iter().filter(|row| row.event.ties().next().is_some()).collect();
            tying.sort_unstable_by_key(|row| row.place);
            let claims: Vec<Claims<'_>> = tying
                .into_iter()
                .map(|row| Claims { site_id: row.site.site_id, identity_id: row.identity_id, event: row.event })
                .collect();
            let mut relinked = self.identities.link(connection, &claims, &mut learnt_identities)?;
            note_trusted_orders(connection, &rows, now_us, &mut relinked)?;
            write_journal(connection, &rows, &relinked)?;
            count_outcomes(connection, self.slot, group, (&receipts, &erased), today)?;
            count_blocked(connection, self.slot, group, &rows)?;
            super::privacy::count(connection, self.slot, &rows, today)?;
            sampled = write_samples(connection, (&self.samples, &self.forgotten), group, now_us)?;
            also(connection, &receipts, &self.forgotten)?;
            Ok(receipts)
        })?;
        self.terms.remember(learnt_terms);
        self.identities.remember(learnt_identities);
        self.samples.count(sampled, now_us);
        Ok(receipts)
    }

    /// The events that are to be stored, each with its request, and how many of each request name somebody who has been
    /// forgotten.
    fn choose<'a>(&self, group: &'a [SiteBatch]) -> Result<(Chosen<'a>, Vec<u32>), StoreError> {
        let mut chosen = Vec::with_capacity(group.iter().map(|batch| batch.events.len()).sum());
        let mut erased = vec![0; group.len()];
        for (request, batch) in group.iter().enumerate() {
            let site_id = batch.site.site_id;
            for event in &batch.events {
                let is_known = |kind, value: &str| self.identities.is_known(site_id, kind, value);
                if self.forgotten.names(site_id, event, is_known)? {
                    erased[request] += 1;
                } else {
                    chosen.push((request, event));
                }
            }
        }
        Ok((chosen, erased))
    }

    /// The numbers of the events' texts as far as they are known, event by event, and the texts that are not.
    fn look_up_terms(&self, group: &[SiteBatch], chosen: &[(usize, &NewEvent)]) -> (Vec<TextIds>, Vec<TermKey>) {
        let mut known = Vec::with_capacity(chosen.len());
        let mut unknown = Vec::new();
        for (request, event) in chosen {
            let site_id = group[*request].site.site_id;
            let mut numbers = TextIds::default();
            for ((number, kind), text) in numbers.iter_mut().zip(Term::ALL).zip(&event.terms) {
                let Some(text) = text else { continue };
                *number = self.terms.cached(site_id, kind, text).1;
                if number.is_none() {
                    unknown.push((site_id, kind, Arc::clone(text)));
                }
            }
            known.push(numbers);
        }
        (known, unknown)
    }

    /// Numbered rows in the order of the events' primary key; a second one of the same key is a duplicate.
    fn rows<'a>(
        &self,
        group: &'a [SiteBatch],
        (chosen, known_terms): (&[(usize, &'a NewEvent)], &[TextIds]),
        terms: &HashMap<u128, i32>,
        identities: &super::identities::Found,
        receipts: &mut [Receipt],
    ) -> Result<Vec<Row<'a>>, StoreError> {
        let mut rows = Vec::with_capacity(chosen.len());
        let mut seen = HashSet::with_capacity(chosen.len());
        for (place, ((request, event), mut numbers)) in
            chosen.iter().copied().zip(known_terms.iter().copied()).enumerate()
        {
            let site = &group[request].site;
            let site_id = site.site_id;
            let identity_id = self
                .identities
                .cached(site_id, &event.who, identities)
                .ok_or_else(|| StoreError::Refused("an identity has no number".into()))?;
            let is_new = match event.key {
                EventKey::Foreign { message_hash, .. } => seen.insert((site_id, i64::MIN, message_hash)),
                key => seen.insert((site_id, identity_id, key.event_id())),
            };
            if !is_new {
                receipts[request].duplicate += 1;
                continue;
            }
            for ((number, kind), text) in numbers.iter_mut().zip(Term::ALL).zip(&event.terms) {
                if let (None, Some(text)) = (&number, text) {
                    *number = terms.get(&self.terms.cached(site_id, kind, text).0).copied();
                }
            }
            rows.push(Row { site, identity_id, event, terms: numbers, request, place });
        }
        rows.sort_unstable_by_key(|row| (row.site.site_id, row.identity_id, row.event.key.event_id()));
        Ok(rows)
    }

    fn write(
        &mut self,
        connection: &mut PgConnection,
        path: Path,
        rows: &mut Vec<Row<'_>>,
        receipts: &mut [Receipt],
    ) -> Result<(), StoreError> {
        if !rows.is_empty() {
            events::encode(rows, &mut self.buffer);
            match path {
                Path::Straight => events::copy(connection, &self.buffer)?,
                Path::Stepping => {
                    let stored = step_over(connection, &self.buffer)?;
                    rows.retain(|row| {
                        let is_new = stored.contains(&(row.site.site_id, row.identity_id, row.event.key.event_id()));
                        if !is_new {
                            receipts[row.request].duplicate += 1;
                        }
                        is_new
                    });
                }
            }
        }
        for row in rows {
            receipts[row.request].stored += 1;
        }
        Ok(())
    }
}

#[derive(QueryableByName)]
struct EventId {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
}

fn step_over(connection: &mut PgConnection, encoded: &[u8]) -> Result<HashSet<(i32, i64, Uuid)>, StoreError> {
    events::copy_to_stage(connection, encoded)?;
    let stored: Vec<EventId> =
        sql("INSERT INTO events SELECT * FROM events_stage ORDER BY site_id, identity_id, event_id
         ON CONFLICT DO NOTHING RETURNING site_id, identity_id, event_id")
        .load(connection)?;
    Ok(stored.into_iter().map(|row| (row.site_id, row.identity_id, row.event_id)).collect())
}

fn day_of(now_us: i64) -> jiff::civil::Date {
    super::instant(now_us).to_zoned_datetime(jiff::tz::TimeZone::UTC).date()
}

#[derive(QueryableByName)]
struct MessageId {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = SqlUuid)]
    message_hash: Uuid,
}

/// Claims foreign message ids; an event whose id is claimed already is a duplicate.
fn claim_messages(
    connection: &mut PgConnection,
    rows: &mut Vec<Row<'_>>,
    receipts: &mut [Receipt],
    today: jiff::civil::Date,
) -> Result<(), StoreError> {
    let mut foreign: BTreeMap<(i32, Uuid), (Uuid, i64)> = BTreeMap::new();
    for row in rows.iter() {
        if let EventKey::Foreign { message_hash, minted } = row.event.key {
            foreign.insert((row.site.site_id, message_hash), (minted, row.identity_id));
        }
    }
    if foreign.is_empty() {
        return Ok(());
    }
    let claimed: Vec<MessageId> = sql("INSERT INTO message_ids (seen_on, site_id, message_hash, event_id, identity_id)
         SELECT $1::text::date, m.* FROM unnest($2, $3, $4, $5) AS m
         ON CONFLICT (site_id, message_hash) DO NOTHING RETURNING site_id, message_hash")
    .bind::<Text, _>(today.to_string())
    .bind::<Array<Integer>, _>(foreign.keys().map(|k| k.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(foreign.keys().map(|k| k.1).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(foreign.values().map(|v| v.0).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(foreign.values().map(|v| v.1).collect::<Vec<_>>())
    .load(connection)?;
    let claimed: HashSet<(i32, Uuid)> = claimed.into_iter().map(|row| (row.site_id, row.message_hash)).collect();
    rows.retain(|row| match row.event.key {
        EventKey::Foreign { message_hash, .. } if !claimed.contains(&(row.site.site_id, message_hash)) => {
            receipts[row.request].duplicate += 1;
            false
        }
        _ => true,
    });
    Ok(())
}

#[derive(QueryableByName)]
struct ProfileRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
}

/// A live order from a trusted source means that the browsers' own orders stop counting by themselves: the site is
/// marked, and everybody who has such an order is projected anew.
fn note_trusted_orders(
    connection: &mut PgConnection,
    rows: &[Row<'_>],
    now_us: i64,
    relinked: &mut BTreeMap<i32, BTreeSet<i64>>,
) -> Result<(), StoreError> {
    // A file or a replayed history says nothing of where tomorrow's orders come from.
    const LIVE_US: i64 = 7 * 86_400_000_000;
    let sites: BTreeSet<i32> = rows
        .iter()
        .filter(|row| {
            row.event.order_id.is_some()
                && row.event.text(Term::Name).is_some_and(|name| **name == *ORDER_COMPLETED)
                && row.event.trust() == Trust::Trusted
                && row.event.flags & events::flags::IMPORTED == 0
                && row.event.occurred_at_us > now_us - LIVE_US
                && !row.site.trusted_orders_seen
        })
        .map(|row| row.site.site_id)
        .collect();
    for site_id in sites {
        let changed = sql("UPDATE sites SET trusted_orders_seen = true WHERE site_id = $1 AND NOT trusted_orders_seen")
            .bind::<Integer, _>(site_id)
            .execute(connection)?;
        if changed == 1 {
            let people: Vec<ProfileRow> =
                sql("SELECT DISTINCT profile_id FROM orders WHERE site_id = $1 AND NOT trusted")
                    .bind::<Integer, _>(site_id)
                    .load(connection)?;
            relinked.entry(site_id).or_default().extend(people.into_iter().map(|row| row.profile_id));
        }
    }
    Ok(())
}

fn write_journal(
    connection: &mut PgConnection,
    rows: &[Row<'_>],
    relinked: &BTreeMap<i32, BTreeSet<i64>>,
) -> Result<(), StoreError> {
    let mut sites: BTreeMap<i32, (Vec<i64>, Vec<Uuid>)> = BTreeMap::new();
    for row in rows {
        let entry = sites.entry(row.site.site_id).or_default();
        entry.0.push(row.identity_id);
        entry.1.push(row.event.key.event_id());
    }
    for (site_id, profiles) in relinked {
        if !profiles.is_empty() {
            sites.entry(*site_id).or_default();
        }
    }
    for (site_id, (identity_ids, event_ids)) in sites {
        let profiles: Vec<i64> = relinked.get(&site_id).map(|set| set.iter().copied().collect()).unwrap_or_default();
        sql("INSERT INTO journal (site_id, identity_ids, event_ids, relinked_profiles) VALUES ($1, $2, $3, $4)")
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(identity_ids)
            .bind::<Array<SqlUuid>, _>(event_ids)
            .bind::<Array<BigInt>, _>(profiles)
            .execute(connection)?;
    }
    Ok(())
}

/// The names under which outcomes that are no rejections are counted.
pub(crate) const STORED: &str = "stored";
/// See [`STORED`].
pub(crate) const DUPLICATE: &str = "duplicate";

fn count_outcomes(
    connection: &mut PgConnection,
    slot: i16,
    group: &[SiteBatch],
    (receipts, erased): (&[Receipt], &[u32]),
    today: jiff::civil::Date,
) -> Result<(), StoreError> {
    let mut counts: BTreeMap<(i32, &str, &str), i64> = BTreeMap::new();
    for ((batch, receipt), erased) in group.iter().zip(receipts).zip(erased) {
        let mut count =
            |outcome, count| *counts.entry((batch.site.site_id, &batch.source, outcome)).or_default() += count;
        count(STORED, i64::from(receipt.stored));
        count(DUPLICATE, i64::from(receipt.duplicate));
        count(Reason::Erased.name(), i64::from(*erased));
        for rejection in &batch.rejections {
            count(rejection.reason, 1);
        }
    }
    counts.retain(|_, count| *count > 0);
    if counts.is_empty() {
        return Ok(());
    }
    sql("INSERT INTO source_outcomes AS o (day, slot, site_id, source, outcome, count)
         SELECT $1::text::date, $2, new.* FROM unnest($3, $4, $5, $6) AS new
         ON CONFLICT (site_id, source, day, outcome, slot)
            DO UPDATE SET count = o.count + EXCLUDED.count, last_at = EXCLUDED.last_at")
    .bind::<Text, _>(today.to_string())
    .bind::<SmallInt, _>(slot)
    .bind::<Array<Integer>, _>(counts.keys().map(|k| k.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(counts.keys().map(|k| k.1.to_owned()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(counts.keys().map(|k| k.2.to_owned()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(counts.values().copied().collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}

/// Counts identifiers that name nobody, by what they were and which source sent them.
fn count_blocked(
    connection: &mut PgConnection,
    slot: i16,
    group: &[SiteBatch],
    rows: &[Row<'_>],
) -> Result<(), StoreError> {
    // No placeholder is longer; what is made of zeros alone may be.
    const VALUE_CHARS: usize = 40;
    let mut counts: BTreeMap<(i32, i16, String, &str), i64> = BTreeMap::new();
    for row in rows {
        for (kind, value) in &row.event.blocked {
            let value = value.chars().take(VALUE_CHARS).collect();
            let key = (row.site.site_id, kind.code(), value, &*group[row.request].source);
            *counts.entry(key).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return Ok(());
    }
    sql("INSERT INTO identity_blocked AS b (slot, site_id, kind, value, source, count)
         SELECT $1, new.* FROM unnest($2, $3, $4, $5, $6) AS new
         ON CONFLICT (site_id, kind, value, source, slot)
            DO UPDATE SET count = b.count + EXCLUDED.count, last_at = EXCLUDED.last_at")
    .bind::<SmallInt, _>(slot)
    .bind::<Array<Integer>, _>(counts.keys().map(|k| k.0).collect::<Vec<_>>())
    .bind::<Array<SmallInt>, _>(counts.keys().map(|k| k.1).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(counts.keys().map(|k| k.2.clone()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(counts.keys().map(|k| k.3.to_owned()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(counts.values().copied().collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}

/// How many samples of rejected events one writer keeps per site and reason in an hour. `store::upkeep` cuts what
/// all writers together have kept down to the limit an owner is told.
const SAMPLES_AN_HOUR: u32 = 1_000;

#[derive(Default)]
struct SampleLimit {
    hour: i64,
    counts: HashMap<(i32, &'static str), u32>,
}

impl SampleLimit {
    fn room(&self, key: (i32, &'static str), now_us: i64) -> u32 {
        let used = if self.hour == now_us / 3_600_000_000 { self.counts.get(&key).copied().unwrap_or(0) } else { 0 };
        SAMPLES_AN_HOUR.saturating_sub(used)
    }

    fn count(&mut self, sampled: Vec<(i32, &'static str)>, now_us: i64) {
        let hour = now_us / 3_600_000_000;
        if self.hour != hour {
            self.hour = hour;
            self.counts.clear();
        }
        for key in sampled {
            *self.counts.entry(key).or_default() += 1;
        }
    }
}

fn write_samples(
    connection: &mut PgConnection,
    (limit, forgotten): (&SampleLimit, &Forgotten),
    group: &[SiteBatch],
    now_us: i64,
) -> Result<Vec<(i32, &'static str)>, StoreError> {
    let mut used: HashMap<(i32, &'static str), u32> = HashMap::new();
    let kept: Vec<(&SiteBatch, &Rejection)> = group
        .iter()
        .flat_map(|batch| batch.rejections.iter().map(move |rejection| (batch, rejection)))
        .filter(|(batch, rejection)| {
            let key = (batch.site.site_id, rejection.reason);
            let used = used.entry(key).or_default();
            *used += 1;
            *used <= limit.room(key, now_us)
        })
        .collect();
    // Nothing may be kept of somebody who has been forgotten, not even what is wrong with their event.
    let told = kept
        .iter()
        .map(|(batch, rejection)| {
            let text = [Some(&rejection.detail), rejection.sample.as_ref()].into_iter().flatten();
            let is_theirs = text.map(|text| forgotten.are_in(batch.site.site_id, text));
            let is_theirs = is_theirs.collect::<Result<Vec<bool>, StoreError>>()?.contains(&true);
            Ok(if is_theirs {
                ("a forgotten person's", None)
            } else {
                (&*rejection.detail, rejection.sample.as_deref())
            })
        })
        .collect::<Result<Vec<(&str, Option<&str>)>, StoreError>>()?;
    if !kept.is_empty() {
        sql(
            "INSERT INTO rejections (site_id, source, reason, detail, sample) SELECT * FROM unnest($1, $2, $3, $4, $5)",
        )
        .bind::<Array<Integer>, _>(kept.iter().map(|(batch, _)| batch.site.site_id).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(kept.iter().map(|(batch, _)| batch.source.to_string()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(kept.iter().map(|(_, r)| r.reason).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(told.iter().map(|(detail, _)| (*detail).to_owned()).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(told.iter().map(|(_, sample)| sample.map(str::to_owned)).collect::<Vec<_>>())
        .execute(connection)?;
    }
    Ok(kept.into_iter().map(|(batch, rejection)| (batch.site.site_id, rejection.reason)).collect())
}
