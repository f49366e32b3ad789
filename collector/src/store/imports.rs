//! Files that owners import by way of the dashboard: the file in parts, how far its import is, and rejected lines.
//!
//! An import is run by whichever worker holds advisory lock 8 of it, on a connection of the worker's own, so that another
//! takes over at once when a process dies. How far it is stands in the same transaction as the events.

use super::sites::Site;
use super::sql::sql;
use super::{Store, StoreError, from_timestamp};
use crate::import::{Mapping, Outcome, Search};
use diesel::Connection;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Jsonb, Nullable, Text, Timestamptz};
use domain::identity::Kind;
use domain::report::{Import, ImportKind, ImportReport, ImportState, Imports};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::HashSet;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rejected lines that are kept of one import.
const KEPT_LINES: i64 = 10_000;
/// Imports of a site that are listed, the newest.
const LISTED: i64 = 200;
/// The class of the lock; see `ARCHITECTURE.md`.
const LOCK: i32 = 8;

#[derive(QueryableByName)]
struct ImportRow {
    #[diesel(sql_type = BigInt)]
    import_id: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    file_name: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Timestamptz)]
    created_at: PgTimestamp,
    #[diesel(sql_type = Text)]
    created_by: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<PgTimestamp>,
    #[diesel(sql_type = BigInt)]
    size_bytes: i64,
    #[diesel(sql_type = BigInt)]
    done_bytes: i64,
    #[diesel(sql_type = BigInt)]
    done_lines: i64,
    #[diesel(sql_type = BigInt)]
    lines_per_s: i64,
    #[diesel(sql_type = BigInt)]
    stored: i64,
    #[diesel(sql_type = BigInt)]
    duplicate: i64,
    #[diesel(sql_type = BigInt)]
    rejected: i64,
    #[diesel(sql_type = Nullable<Text>)]
    problem: Option<String>,
    #[diesel(sql_type = Jsonb)]
    mapping: Value,
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct ChunkRow {
    #[diesel(sql_type = Binary)]
    data: Vec<u8>,
}

#[derive(QueryableByName)]
struct GotRow {
    #[diesel(sql_type = Bool)]
    got: bool,
}

#[derive(QueryableByName)]
struct RejectedRow {
    #[diesel(sql_type = BigInt)]
    line: i64,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Array<Text>)]
    cells: Vec<String>,
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn unknown(what: &str) -> StoreError {
    StoreError::Refused(format!("an import has an unknown {what}"))
}

impl ImportRow {
    fn told(self) -> Result<Import, StoreError> {
        Ok(Import {
            import_id: self.import_id,
            kind: ImportKind::from_key(&self.kind).ok_or_else(|| unknown("kind"))?,
            file: self.file_name,
            state: ImportState::from_key(&self.state).ok_or_else(|| unknown("state"))?,
            created_at: from_timestamp(self.created_at),
            created_by: self.created_by,
            ended_at: self.ended_at.map(from_timestamp),
            size_bytes: count(self.size_bytes),
            done_bytes: count(self.done_bytes),
            lines: count(self.done_lines),
            stored: count(self.stored),
            duplicate: count(self.duplicate),
            rejected: count(self.rejected),
            lines_per_s: count(self.lines_per_s),
            problem: self.problem,
        })
    }
}

/// A file as its owner has left it.
pub(crate) struct Filed {
    pub(crate) import: Import,
    pub(crate) mapping: Mapping,
    /// The headings of its columns, once somebody has looked at them.
    pub(crate) columns: Vec<String>,
}

fn one(connection: &mut PgConnection, site_id: i32, import_id: i64) -> Result<Option<Filed>, StoreError> {
    let row: Option<ImportRow> = sql("SELECT * FROM imports WHERE site_id = $1 AND import_id = $2")
        .bind::<Integer, _>(site_id)
        .bind::<BigInt, _>(import_id)
        .get_result(connection)
        .optional()?;
    row.map(|mut row| {
        let mapping = serde_json::from_value(row.mapping.take()).map_err(|_| unknown("mapping"))?;
        let columns = std::mem::take(&mut row.columns);
        Ok(Filed { import: row.told()?, mapping, columns })
    })
    .transpose()
}

impl Store {
    /// The imports of a site.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn imports(&self, site: &Site, now: Timestamp, limit_mib: u64) -> Result<Imports, StoreError> {
        let rows: Vec<ImportRow> = sql("SELECT * FROM imports WHERE site_id = $1 ORDER BY import_id DESC LIMIT $2")
            .bind::<Integer, _>(site.site_id)
            .bind::<BigInt, _>(LISTED)
            .load(&mut *self.lend()?)?;
        let rows = rows.into_iter().map(ImportRow::told).collect::<Result<_, _>>()?;
        Ok(Imports { site: crate::segments::report_site(site), now, rows, limit_mib })
    }

    /// One import as its owner has left it; `None` where there is none of that number.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn filed(&self, site_id: i32, import_id: i64) -> Result<Option<Filed>, StoreError> {
        one(&mut *self.lend()?, site_id, import_id)
    }

    /// One import with what surrounds it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn import_report(
        &self,
        site: &Site,
        import_id: i64,
        now: Timestamp,
    ) -> Result<Option<ImportReport>, StoreError> {
        self.read(|connection| {
            let Some(filed) = one(connection, site.site_id, import_id)? else { return Ok(None) };
            let kept: NumberRow =
                sql("SELECT count(*) AS number FROM import_rejected WHERE site_id = $1 AND import_id = $2")
                    .bind::<Integer, _>(site.site_id)
                    .bind::<BigInt, _>(import_id)
                    .get_result(connection)?;
            Ok(Some(ImportReport {
                site: crate::segments::report_site(site),
                now,
                import: filed.import,
                kept_lines: count(kept.number),
                waiting_events: super::projection::waiting_events(connection, Some(site.site_id))?,
            }))
        })
    }

    /// Whether any import of any site is to run.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn has_imports_to_run(&self) -> Result<bool, StoreError> {
        let row: GotRow =
            sql("SELECT EXISTS (SELECT FROM imports WHERE state = 'running') AS got").get_result(&mut *self.lend()?)?;
        Ok(row.got)
    }

    /// A file begins to come in.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn begin_upload(
        &self,
        site_id: i32,
        kind: ImportKind,
        file_name: &str,
        user: &str,
    ) -> Result<i64, StoreError> {
        let row: NumberRow = sql("INSERT INTO imports (site_id, kind, file_name, created_by) VALUES ($1, $2, $3, $4)
             RETURNING import_id AS number")
        .bind::<Integer, _>(site_id)
        .bind::<Text, _>(kind.key().to_owned())
        .bind::<Text, _>(file_name.to_owned())
        .bind::<Text, _>(user.to_owned())
        .get_result(&mut *self.lend()?)?;
        Ok(row.number)
    }

    /// The next part of a file.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when its import is gone.
    pub(crate) fn put_chunk(&self, site_id: i32, import_id: i64, no: i32, data: Vec<u8>) -> Result<(), StoreError> {
        self.lend()?.transaction(|connection| {
            let size = i64::try_from(data.len()).unwrap_or(i64::MAX);
            let known = sql("UPDATE imports SET size_bytes = size_bytes + $1, touched_at = now()
                 WHERE site_id = $2 AND import_id = $3 AND state = 'uploading'")
            .bind::<BigInt, _>(size)
            .bind::<Integer, _>(site_id)
            .bind::<BigInt, _>(import_id)
            .execute(connection)?;
            if known == 0 {
                return Err(StoreError::Refused("the import is gone".into()));
            }
            sql("INSERT INTO import_chunks (site_id, import_id, chunk_no, data) VALUES ($1, $2, $3, $4)")
                .bind::<Integer, _>(site_id)
                .bind::<BigInt, _>(import_id)
                .bind::<Integer, _>(no)
                .bind::<Binary, _>(data)
                .execute(connection)?;
            Ok(())
        })
    }

    /// Moves an import from one of some states to another; gives whether it was in one of them.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn move_import(
        &self,
        site_id: i32,
        import_id: i64,
        from: &[ImportState],
        to: ImportState,
    ) -> Result<bool, StoreError> {
        self.lend()?.transaction(|connection| end_or_move(connection, (site_id, import_id), from, to, None))
    }

    /// What the owner says of a file that has not been started; `columns` are its headings.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn set_mapping(
        &self,
        (site_id, import_id): (i32, i64),
        kind: ImportKind,
        mapping: &Mapping,
        columns: &[String],
    ) -> Result<bool, StoreError> {
        let mapping = serde_json::to_value(mapping).map_err(|error| StoreError::Refused(error.to_string()))?;
        let changed = sql("UPDATE imports SET kind = $1, mapping = $2, columns = $3, touched_at = now()
             WHERE site_id = $4 AND import_id = $5 AND state = 'ready'")
        .bind::<Text, _>(kind.key().to_owned())
        .bind::<Jsonb, _>(mapping)
        .bind::<Array<Text>, _>(columns.iter().map(|name| name.replace('\0', "")).collect::<Vec<_>>())
        .bind::<Integer, _>(site_id)
        .bind::<BigInt, _>(import_id)
        .execute(&mut *self.lend()?)?;
        Ok(changed == 1)
    }

    /// Removes an import of which nothing has been stored, with its file.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn remove_import(&self, site_id: i32, import_id: i64) -> Result<bool, StoreError> {
        let removed = sql("DELETE FROM imports WHERE site_id = $1 AND import_id = $2
             AND state IN ('uploading', 'ready', 'expired')")
        .bind::<Integer, _>(site_id)
        .bind::<BigInt, _>(import_id)
        .execute(&mut *self.lend()?)?;
        Ok(removed == 1)
    }

    /// An import's file, read part by part.
    pub(crate) fn import_file(&self, site_id: i32, import: &Import) -> ImportFile<'static> {
        let store = self.clone();
        let import_id = import.import_id;
        ImportFile::new(import.size_bytes, move |no| chunk(&mut *store.lend()?, (site_id, import_id), no))
    }

    /// The kept rejected lines of an import as CSV, with line and reason.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn rejected_lines(&self, site_id: i32, filed: &Filed) -> Result<String, StoreError> {
        let rows: Vec<RejectedRow> = sql("SELECT line, reason, cells FROM import_rejected
             WHERE site_id = $1 AND import_id = $2 ORDER BY line")
        .bind::<Integer, _>(site_id)
        .bind::<BigInt, _>(filed.import.import_id)
        .load(&mut *self.lend()?)?;
        let header: Vec<String> =
            ["line".to_owned(), "reason".to_owned()].into_iter().chain(filed.columns.iter().cloned()).collect();
        let mut text = domain::report::csv_line(&header) + "\r\n";
        for row in rows {
            let cells: Vec<String> = [row.line.to_string(), row.reason].into_iter().chain(row.cells).collect();
            text += &(domain::report::csv_line(&cells) + "\r\n");
        }
        Ok(text)
    }
}

#[derive(QueryableByName)]
struct RejectedPageRow {
    #[diesel(sql_type = Timestamptz)]
    at: PgTimestamp,
    #[diesel(sql_type = BigInt)]
    line: i64,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Array<Text>)]
    cells: Vec<String>,
}

/// Number, moment, reason and cells of a rejected line.
pub(super) type Rejected = (i64, Timestamp, String, Vec<String>);

/// Rejected lines that are looked at together.
const LINES_AT_ONCE: i64 = 1_000;

/// The kept rejected lines of a site that have one of these identifiers.
///
/// # Errors
/// [`StoreError`]
pub(super) fn rejected_of(
    connection: &mut PgConnection,
    site_id: i32,
    named: &HashSet<(Kind, String)>,
) -> Result<Vec<Rejected>, StoreError> {
    let files: Vec<ClaimRow> =
        sql("SELECT DISTINCT site_id, import_id FROM import_rejected WHERE site_id = $1 ORDER BY import_id")
            .bind::<Integer, _>(site_id)
            .load(connection)?;
    let mut found = Vec::new();
    for file in files {
        let Some(filed) = one(connection, site_id, file.import_id)? else { continue };
        let search = Search::new((filed.import.kind, &filed.mapping), &filed.columns, named);
        let mut after = -1;
        loop {
            let rows: Vec<RejectedPageRow> = sql("SELECT at, line, reason, cells FROM import_rejected
                 WHERE site_id = $1 AND import_id = $2 AND line > $3 ORDER BY line LIMIT $4")
            .bind::<Integer, _>(site_id)
            .bind::<BigInt, _>(file.import_id)
            .bind::<BigInt, _>(after)
            .bind::<BigInt, _>(LINES_AT_ONCE)
            .load(connection)?;
            let Some(last) = rows.last() else { break };
            after = last.line;
            let own = rows.into_iter().filter(|row| search.is_in_rejected(&filed.columns, &row.cells));
            found.extend(own.map(|row| (row.line, from_timestamp(row.at), row.reason, row.cells)));
        }
    }
    Ok(found)
}

/// Moves an import; one that is over has no file any more.
fn end_or_move(
    connection: &mut PgConnection,
    (site_id, import_id): (i32, i64),
    from: &[ImportState],
    to: ImportState,
    problem: Option<&str>,
) -> Result<bool, StoreError> {
    let from: Vec<&str> = from.iter().map(|state| state.key()).collect();
    let moved = sql("UPDATE imports SET state = $1, problem = $2, touched_at = now(),
            ended_at = CASE WHEN $3 THEN now() END
         WHERE site_id = $4 AND import_id = $5 AND state = ANY($6)")
    .bind::<Text, _>(to.key().to_owned())
    .bind::<Nullable<Text>, _>(problem.map(str::to_owned))
    .bind::<Bool, _>(to.is_over())
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(import_id)
    .bind::<Array<Text>, _>(from)
    .execute(connection)?;
    if moved == 1 && to.is_over() {
        drop_file(connection, site_id, import_id)?;
    }
    Ok(moved == 1)
}

fn drop_file(connection: &mut PgConnection, site_id: i32, import_id: i64) -> Result<(), StoreError> {
    sql("DELETE FROM import_chunks WHERE site_id = $1 AND import_id = $2")
        .bind::<Integer, _>(site_id)
        .bind::<BigInt, _>(import_id)
        .execute(connection)?;
    Ok(())
}

/// One part of a file.
fn chunk(
    connection: &mut PgConnection,
    (site_id, import_id): (i32, i64),
    no: i32,
) -> Result<Option<Vec<u8>>, StoreError> {
    let row: Option<ChunkRow> =
        sql("SELECT data FROM import_chunks WHERE site_id = $1 AND import_id = $2 AND chunk_no = $3")
            .bind::<Integer, _>(site_id)
            .bind::<BigInt, _>(import_id)
            .bind::<Integer, _>(no)
            .get_result(connection)
            .optional()?;
    Ok(row.map(|row| row.data))
}

/// Gives a part of a file by its number.
type Fetch<'a> = Box<dyn FnMut(i32) -> Result<Option<Vec<u8>>, StoreError> + 'a>;

/// A stored file, one part in memory at a time. An error of the store is inside the `io::Error`.
pub(crate) struct ImportFile<'a> {
    fetch: Fetch<'a>,
    next: i32,
    part: std::io::Cursor<Vec<u8>>,
    rest_bytes: u64,
}

impl<'a> ImportFile<'a> {
    fn new(size_bytes: u64, fetch: impl FnMut(i32) -> Result<Option<Vec<u8>>, StoreError> + 'a) -> ImportFile<'a> {
        ImportFile { fetch: Box::new(fetch), next: 0, part: std::io::Cursor::default(), rest_bytes: size_bytes }
    }
}

impl Read for ImportFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = self.part.read(buffer)?;
            self.rest_bytes = self.rest_bytes.saturating_sub(read as u64);
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match (self.fetch)(self.next).map_err(std::io::Error::other)? {
                Some(part) => self.part = std::io::Cursor::new(part),
                None if self.rest_bytes == 0 => return Ok(0),
                // A file that is taken away meanwhile must not look as if it had ended.
                None => return Err(std::io::Error::other("the file is gone")),
            }
            self.next += 1;
        }
    }
}

/// An import that this worker runs, as long as it holds its connection.
pub(crate) struct Claimed {
    pub(crate) site_id: i32,
    pub(crate) filed: Filed,
}

#[derive(QueryableByName)]
struct ClaimRow {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = BigInt)]
    import_id: i64,
}

/// Takes an import that is to run and that no living worker has; it is held until `connection` ends, or [`release`].
///
/// # Errors
/// [`StoreError`]
pub(crate) fn claim(connection: &mut PgConnection) -> Result<Option<Claimed>, StoreError> {
    connection.transaction(|connection| {
        let rows: Vec<ClaimRow> = sql("SELECT site_id, import_id FROM imports WHERE state = 'running'
             ORDER BY touched_at LIMIT 50 FOR UPDATE SKIP LOCKED")
        .load(connection)?;
        for row in rows {
            let lock: GotRow = sql("SELECT pg_try_advisory_lock($1, ($2 % 2147483647)::integer) AS got")
                .bind::<Integer, _>(LOCK)
                .bind::<BigInt, _>(row.import_id)
                .get_result(connection)?;
            if lock.got
                && let Some(filed) = one(connection, row.site_id, row.import_id)?
            {
                return Ok(Some(Claimed { site_id: row.site_id, filed }));
            }
        }
        Ok(None)
    })
}

/// Gives an import back.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn release(connection: &mut PgConnection, claimed: &Claimed) -> Result<(), StoreError> {
    sql("SELECT pg_advisory_unlock($1, ($2 % 2147483647)::integer)")
        .bind::<Integer, _>(LOCK)
        .bind::<BigInt, _>(claimed.filed.import.import_id)
        .execute(connection)?;
    Ok(())
}

/// How far an import has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advance {
    /// Lines that were stored before.
    pub(crate) from_lines: u64,
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    pub(crate) lines_per_s: u64,
}

/// Notes how far an import is, in the transaction of its events. Sets `stopped` and fails where the import is not this
/// worker's to run any more: paused, ended, or run on by somebody else.
///
/// # Errors
/// [`StoreError`]: nothing of the batch is stored then.
pub(crate) fn advance(
    connection: &mut PgConnection,
    claimed: &Claimed,
    to: Advance,
    outcome: &Outcome<'_>,
    stopped: &AtomicBool,
) -> Result<(), StoreError> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let import_id = claimed.filed.import.import_id;
    let row: Option<NumberRow> = sql("UPDATE imports SET done_lines = $1, done_bytes = LEAST($2, size_bytes),
            lines_per_s = $3, stored = stored + $4, duplicate = duplicate + $5, rejected = rejected + $6,
            touched_at = now()
         WHERE site_id = $7 AND import_id = $8 AND state = 'running' AND done_lines = $9
         RETURNING rejected AS number")
    .bind::<BigInt, _>(signed(to.lines))
    .bind::<BigInt, _>(signed(to.bytes))
    .bind::<BigInt, _>(signed(to.lines_per_s))
    .bind::<BigInt, _>(i64::from(outcome.receipt.stored))
    .bind::<BigInt, _>(i64::from(outcome.receipt.duplicate))
    .bind::<BigInt, _>(i64::from(outcome.receipt.rejected))
    .bind::<Integer, _>(claimed.site_id)
    .bind::<BigInt, _>(import_id)
    .bind::<BigInt, _>(signed(to.from_lines))
    .get_result(connection)
    .optional()?;
    let Some(row) = row else {
        stopped.store(true, Ordering::Relaxed);
        return Err(StoreError::Away("the import was stopped".into()));
    };
    let room = KEPT_LINES - (row.number - i64::from(outcome.receipt.rejected));
    keep_rejected(connection, claimed, outcome, usize::try_from(room).unwrap_or(0))
}

/// Keeps rejected lines, but nothing of somebody who has been forgotten.
fn keep_rejected(
    connection: &mut PgConnection,
    claimed: &Claimed,
    outcome: &Outcome<'_>,
    room: usize,
) -> Result<(), StoreError> {
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    for line in outcome.rejected.iter().take(room) {
        let mut cells: Vec<String> = line.told.iter().map(|cell| clean(cell)).collect();
        let mut reason = clean(&line.reason);
        if outcome.forgotten.are_in_cells(claimed.site_id, cells.iter().chain([&reason]))? {
            cells.clear();
            reason = "a forgotten person's".to_owned();
        }
        sql("INSERT INTO import_rejected (site_id, import_id, line, reason, cells) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING")
        .bind::<Integer, _>(claimed.site_id)
        .bind::<BigInt, _>(claimed.filed.import.import_id)
        .bind::<BigInt, _>(i64::try_from(line.line).unwrap_or(i64::MAX))
        .bind::<Text, _>(reason)
        .bind::<Array<Text>, _>(cells)
        .execute(connection)?;
    }
    Ok(())
}

/// Ends an import that this worker runs: it has been read to its end, or cannot be read on for that reason.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn end(connection: &mut PgConnection, claimed: &Claimed, problem: Option<&str>) -> Result<(), StoreError> {
    let to = if problem.is_some() { ImportState::Failed } else { ImportState::Done };
    let which = (claimed.site_id, claimed.filed.import.import_id);
    connection.transaction(|connection| end_or_move(connection, which, &[ImportState::Running], to, problem))?;
    Ok(())
}

/// Throws away files that were left lying for a day or whose imports are over, and rejected lines of long ago.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn tidy(connection: &mut PgConnection) -> Result<(), StoreError> {
    sql("DELETE FROM import_rejected WHERE at < now() - interval '14 days'").execute(connection)?;
    connection.transaction::<_, StoreError, _>(|connection| {
        let rows: Vec<ClaimRow> = sql("UPDATE imports SET state = 'expired', ended_at = now(),
                problem = 'the file was left lying for a day and has been thrown away; upload it again to go on'
             WHERE state IN ('uploading', 'ready', 'paused') AND touched_at < now() - interval '24 hours'
             RETURNING site_id, import_id")
        .load(connection)?;
        for row in rows {
            drop_file(connection, row.site_id, row.import_id)?;
        }
        Ok(())
    })?;
    let over = ImportState::ALL.into_iter().filter(|state| state.is_over()).map(ImportState::key);
    sql("DELETE FROM import_chunks c USING imports i
         WHERE i.site_id = c.site_id AND i.import_id = c.import_id AND i.state = ANY($1)")
    .bind::<Array<Text>, _>(over.collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}

/// Ends an import, where it is not over, because of somebody who is being forgotten, and deletes its file in any case.
fn end_forgotten(connection: &mut PgConnection, (site_id, import_id): (i32, i64)) -> Result<(), StoreError> {
    let open = ImportState::ALL.into_iter().filter(|state| !state.is_over()).collect::<Vec<_>>();
    let why = "the file named somebody who has been forgotten and was deleted; what is stored of it stays. \
               Upload it again without them to import the rest";
    end_or_move(connection, (site_id, import_id), &open, ImportState::Failed, Some(why))?;
    drop_file(connection, site_id, import_id)
}

/// Ends the imports whose files name somebody who is being forgotten, and deletes what else of them is kept here.
///
/// `identifiers` are those of the person as `kind:value`, `traces` other texts that tell who it was.
///
/// # Errors
/// [`StoreError`]; it can be done again.
pub(super) fn forget(
    connection: &mut PgConnection,
    site_id: i32,
    identifiers: &[String],
    traces: &[String],
) -> Result<(), StoreError> {
    let named = identifiers.iter().filter_map(|text| {
        let (kind, value) = text.split_once(':')?;
        Some((Kind::from_name(kind)?, value.to_owned()))
    });
    let named: HashSet<_> = named.collect();
    let values: Vec<String> = named.iter().map(|(_, value)| value.to_lowercase()).collect();
    sql("DELETE FROM import_rejected r WHERE r.site_id = $1 AND (
            EXISTS (SELECT FROM unnest(r.cells) AS cell WHERE lower(btrim(cell)) = ANY($2))
            OR EXISTS (SELECT FROM unnest($3) AS trace
                WHERE position(trace IN lower(r.reason || ' ' || array_to_string(r.cells, ' '))) > 0))")
    .bind::<Integer, _>(site_id)
    .bind::<Array<Text>, _>(values)
    .bind::<Array<Text>, _>(traces.to_vec())
    .execute(connection)?;
    let files: Vec<ClaimRow> = sql("SELECT DISTINCT site_id, import_id FROM import_chunks WHERE site_id = $1")
        .bind::<Integer, _>(site_id)
        .load(connection)?;
    for file in files {
        let Some(filed) = one(connection, site_id, file.import_id)? else { continue };
        let fetch = |no| chunk(connection, (site_id, file.import_id), no);
        let input = Box::new(ImportFile::new(filed.import.size_bytes, fetch));
        if crate::import::names_somebody((filed.import.kind, &filed.mapping), input, &named) {
            connection.transaction(|connection| end_forgotten(connection, (site_id, file.import_id)))?;
        }
    }
    forget_headings(connection, site_id, traces)
}

/// Overwrites names of files, headings, and what owners say of headings, where they tell who somebody was. A mapping is
/// only taken from an import that does not go on.
fn forget_headings(connection: &mut PgConnection, site_id: i32, traces: &[String]) -> Result<(), StoreError> {
    // A name alone is a word of headings, too.
    let telling = traces.iter().filter(|trace| super::erasure::tells_by_itself(trace)).cloned();
    let traces: Vec<String> = telling.collect();
    sql("UPDATE imports i SET file_name = '(erased)'
         WHERE i.site_id = $1 AND EXISTS (SELECT FROM unnest($2) AS trace
            WHERE position(trace IN lower(i.file_name)) > 0)")
    .bind::<Integer, _>(site_id)
    .bind::<Array<Text>, _>(traces.clone())
    .execute(connection)?;
    // Of a mapping the values alone: its keys are the names of fields.
    let told: Vec<ClaimRow> = sql("SELECT i.site_id, i.import_id FROM imports i
         WHERE i.site_id = $1 AND EXISTS (SELECT FROM unnest($2) AS trace
            WHERE position(trace IN lower(array_to_string(i.columns, ' '))) > 0
               OR EXISTS (SELECT FROM jsonb_path_query(i.mapping, '$.**') AS said
                    WHERE jsonb_typeof(said) = 'string' AND position(trace IN lower(said #>> '{}')) > 0))")
    .bind::<Integer, _>(site_id)
    .bind::<Array<Text>, _>(traces)
    .load(connection)?;
    for import in told {
        connection.transaction::<_, StoreError, _>(|connection| {
            end_forgotten(connection, (site_id, import.import_id))?;
            sql("UPDATE imports SET mapping = '{}', columns = '{}' WHERE site_id = $1 AND import_id = $2")
                .bind::<Integer, _>(site_id)
                .bind::<BigInt, _>(import.import_id)
                .execute(connection)?;
            Ok(())
        })?;
    }
    Ok(())
}
