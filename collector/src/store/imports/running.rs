//! What a worker does with an import: takes it, notes how far it is, ends it.

use super::{ClaimRow, Filed, GotRow, KEPT_LINES, LOCK, NumberRow, end_or_move, one};
use crate::import::Outcome;
use crate::store::StoreError;
use crate::store::sql::sql;
use diesel::Connection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Text};
use domain::report::ImportState;
use std::sync::atomic::{AtomicBool, Ordering};

/// An import that this worker runs, as long as it holds its connection.
pub(crate) struct Claimed {
    pub(crate) site_id: i32,
    pub(crate) filed: Filed,
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
            if !lock.got {
                continue;
            }
            match one(connection, row.site_id, row.import_id) {
                Ok(Some(filed)) => return Ok(Some(Claimed { site_id: row.site_id, filed })),
                Ok(None) => unlock(connection, row.import_id)?,
                // A newer version's, which goes on with it.
                Err(StoreError::Refused(why)) => {
                    tracing::debug!(site = row.site_id, import = row.import_id, why, "an import is left to others");
                    unlock(connection, row.import_id)?;
                }
                Err(error) => return Err(error),
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
    unlock(connection, claimed.filed.import.import_id)
}

fn unlock(connection: &mut PgConnection, import_id: i64) -> Result<(), StoreError> {
    sql("SELECT pg_advisory_unlock($1, ($2 % 2147483647)::integer)")
        .bind::<Integer, _>(LOCK)
        .bind::<BigInt, _>(import_id)
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
