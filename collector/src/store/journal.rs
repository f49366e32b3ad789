//! The journal as its readers follow it: whom it names from a cursor on, and how a reader keeps its place.

use super::sql::sql;
use super::{Store, StoreError};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Text};
use std::collections::{BTreeMap, BTreeSet};

#[derive(QueryableByName)]
struct BoundRow {
    #[diesel(sql_type = Text)]
    bound: String,
}

#[derive(QueryableByName)]
struct JournalRow {
    #[diesel(sql_type = Text)]
    tx: String,
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = Array<BigInt>)]
    identity_ids: Vec<i64>,
    #[diesel(sql_type = Array<BigInt>)]
    relinked_profiles: Vec<i64>,
}

#[derive(QueryableByName)]
struct ProfileRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
}

/// A place in the journal: everything below it is projected, and nothing below it can still appear.
pub(crate) type Cursor = u64;

/// How far the journal can be followed now. Inside of a transaction that keeps one snapshot, everything below is in
/// what it reads.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn journal_bound(connection: &mut PgConnection) -> Result<Cursor, StoreError> {
    let row: BoundRow = sql("SELECT LEAST(pg_snapshot_xmin(pg_current_snapshot()),
            (SELECT tx FROM journal WHERE NOT projected ORDER BY tx LIMIT 1))::text AS bound")
    .get_result(connection)?;
    row.bound.parse().map_err(|_| StoreError::Refused(format!("{} is no transaction", row.bound)))
}

/// Journal rows that are looked at together.
const JOURNAL_ROWS: i32 = 256;

/// Whom the journal names from a cursor on, by site, and the cursor behind it.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn follow(
    connection: &mut PgConnection,
    cursor: Cursor,
) -> Result<(Cursor, BTreeMap<i32, BTreeSet<i64>>), StoreError> {
    let bound = journal_bound(connection)?;
    let mut touched: BTreeMap<i32, BTreeSet<i64>> = BTreeMap::new();
    if bound <= cursor {
        return Ok((cursor, touched));
    }
    let rows: Vec<JournalRow> = sql("SELECT tx::text AS tx, site_id, identity_ids, relinked_profiles FROM journal
         WHERE tx >= $1::text::xid8 AND tx < $2::text::xid8 ORDER BY tx FETCH FIRST $3 ROWS WITH TIES")
    .bind::<Text, _>(cursor.to_string())
    .bind::<Text, _>(bound.to_string())
    .bind::<Integer, _>(JOURNAL_ROWS)
    .load(connection)?;
    let is_all = rows.len() < JOURNAL_ROWS as usize;
    let last = rows.last().and_then(|row| row.tx.parse::<Cursor>().ok());
    let mut identities: BTreeMap<i32, BTreeSet<i64>> = BTreeMap::new();
    for row in rows {
        identities.entry(row.site_id).or_default().extend(row.identity_ids);
        touched.entry(row.site_id).or_default().extend(row.relinked_profiles);
    }
    for (site_id, identity_ids) in identities {
        let rows: Vec<ProfileRow> =
            sql("SELECT DISTINCT profile_id FROM identities WHERE site_id = $1 AND identity_id = ANY($2)")
                .bind::<Integer, _>(site_id)
                .bind::<Array<BigInt>, _>(identity_ids.into_iter().collect::<Vec<_>>())
                .load(connection)?;
        touched.entry(site_id).or_default().extend(rows.into_iter().map(|row| row.profile_id));
    }
    Ok((if is_all { bound } else { last.map_or(bound, |last| last + 1) }, touched))
}

#[derive(QueryableByName)]
struct PidRow {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

/// The connection's own process in PostgreSQL, for [`Store::cancel`].
///
/// # Errors
/// [`StoreError`]
pub(crate) fn backend_pid(connection: &mut PgConnection) -> Result<i32, StoreError> {
    let row: PidRow = sql("SELECT pg_backend_pid() AS pid").get_result(connection)?;
    Ok(row.pid)
}

/// Has everybody who follows the journal look at these people again.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn ask_again(connection: &mut PgConnection, site_id: i32, profile_ids: &[i64]) -> Result<(), StoreError> {
    for part in profile_ids.chunks(500) {
        sql("INSERT INTO journal (site_id, identity_ids, event_ids, relinked_profiles) VALUES ($1, '{}', '{}', $2)")
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(part.to_vec())
            .execute(connection)?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct KnownRow {
    #[diesel(sql_type = Bool)]
    known: bool,
}

#[derive(QueryableByName)]
struct LagRow {
    #[diesel(sql_type = Double)]
    lag_s: f64,
}

impl Store {
    /// Notes how far a reader has come, so that the journal keeps what it has still to read; gives whether the reader
    /// was still known. One that was silent for an hour is not, and rows that it has not read may be gone.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn note_cursor(&self, reader: &str, cursor: Cursor) -> Result<bool, StoreError> {
        let noted = sql("UPDATE journal_cursors SET tx = $1::text::xid8, seen_at = now() WHERE reader = $2")
            .bind::<Text, _>(cursor.to_string())
            .bind::<Text, _>(reader.to_owned())
            .execute(&mut *self.lend()?)?;
        Ok(noted > 0)
    }

    /// Begins to read at the end of the journal.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn new_cursor(&self, reader: &str) -> Result<Cursor, StoreError> {
        let mut connection = self.lend()?;
        let cursor = journal_bound(&mut connection)?;
        sql("INSERT INTO journal_cursors (reader, tx) VALUES ($1, $2::text::xid8)
             ON CONFLICT (reader) DO UPDATE SET tx = EXCLUDED.tx, seen_at = now()")
        .bind::<Text, _>(reader.to_owned())
        .bind::<Text, _>(cursor.to_string())
        .execute(&mut *connection)?;
        Ok(cursor)
    }

    /// Goes on under a new name where another reader stands or stood before `cursor`; gives whether that one is still
    /// known, and so the journal still has everything from there on.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn take_cursor(&self, from: &str, cursor: Cursor, reader: &str) -> Result<bool, StoreError> {
        // The row is locked against the upkeep that would drop it until the new one is there.
        let taken = sql("WITH known AS (
                SELECT FROM journal_cursors WHERE reader = $1 AND tx <= $2::text::xid8
                    AND seen_at > now() - interval '55 minutes' FOR UPDATE)
             INSERT INTO journal_cursors (reader, tx) SELECT $3, $4::text::xid8 FROM known
             ON CONFLICT (reader) DO UPDATE SET tx = LEAST(journal_cursors.tx, EXCLUDED.tx), seen_at = now()")
        .bind::<Text, _>(from.to_owned())
        .bind::<Text, _>(cursor.to_string())
        .bind::<Text, _>(reader.to_owned())
        .bind::<Text, _>(cursor.to_string())
        .execute(&mut *self.lend()?)?;
        Ok(taken > 0)
    }

    /// Whether the journal still has everything from a reader's place on.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn knows_reader(&self, reader: &str, cursor: Cursor) -> Result<bool, StoreError> {
        let row: KnownRow = sql("SELECT EXISTS (
                SELECT FROM journal_cursors WHERE reader = $1 AND tx <= $2::text::xid8) AS known")
        .bind::<Text, _>(reader.to_owned())
        .bind::<Text, _>(cursor.to_string())
        .get_result(&mut *self.lend()?)?;
        Ok(row.known)
    }

    /// Ends what another connection of this server is asking.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn cancel(&self, pid: i32) -> Result<(), StoreError> {
        sql("SELECT pg_cancel_backend($1)").bind::<Integer, _>(pid).execute(&mut *self.lend()?)?;
        Ok(())
    }

    /// The age in seconds of the oldest journal row from a cursor on; 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn cursor_lag(&self, cursor: Cursor) -> Result<f64, StoreError> {
        let row: LagRow = sql("SELECT COALESCE(extract(epoch FROM now() - (
                SELECT at FROM journal WHERE tx >= $1::text::xid8 ORDER BY tx LIMIT 1)), 0)::float8 AS lag_s")
        .bind::<Text, _>(cursor.to_string())
        .get_result(&mut *self.lend()?)?;
        Ok(row.lag_s)
    }
}
