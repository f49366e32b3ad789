//! Files that owners import by way of the dashboard: the file in parts, how far its import is, and rejected lines.
//!
//! An import is run by whichever worker holds advisory lock 8 of it, on a connection of the worker's own, so that another
//! takes over at once when a process dies. How far it is stands in the same transaction as the events.

mod forgetting;
mod running;

pub(crate) use forgetting::{forget, rejected_of};
pub(crate) use running::{Advance, Claimed, advance, claim, end, release};

use super::sites::Site;
use super::sql::sql;
use super::{Store, StoreError, from_timestamp};
use crate::import::Mapping;
use diesel::Connection;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Jsonb, Nullable, Text, Timestamptz};
use domain::report::{Import, ImportKind, ImportReport, ImportState, Imports};
use jiff::Timestamp;
use serde_json::Value;
use std::io::Read;

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

#[derive(QueryableByName)]
struct ClaimRow {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = BigInt)]
    import_id: i64,
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
