//! The worker's part: files that were uploaded are imported, one after the other, by whichever process takes them.

use super::{FormatError, ImportError, Reading, Skipped, Writing};
use crate::store::imports::{self, Advance, Claimed};
use crate::store::{Store, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Imports what there is to import, until there is nothing, or until `stop`.
///
/// # Errors
/// [`StoreError`]: an import that was under way goes on with the next call, here or elsewhere.
pub(crate) fn run(store: &Store, stop: &AtomicBool) -> Result<(), StoreError> {
    if !store.has_imports_to_run()? {
        return Ok(());
    }
    // The claim lives as long as this connection: when the process dies, somebody else may take over at once.
    let mut connection = store.connect()?;
    while !stop.load(Ordering::Acquire)
        && let Some(claimed) = imports::claim(&mut connection)?
    {
        let came = import(store, &claimed, stop);
        match came {
            Ok(()) if stop.load(Ordering::Acquire) => {}
            Ok(()) => imports::end(&mut connection, &claimed, None)?,
            Err(Ended::Stopped) => {}
            Err(Ended::Failed(why)) => {
                tracing::warn!(site = claimed.site_id, import = claimed.filed.import.import_id, "an import failed");
                imports::end(&mut connection, &claimed, Some(&why))?;
            }
            // Trying again would end the same way, and keep all others waiting.
            Err(Ended::Store(StoreError::Refused(why))) => {
                let (site, import) = (claimed.site_id, claimed.filed.import.import_id);
                tracing::error!(site, import, why, "an import failed");
                let told = "the database refuses what the file says; the server's log says why";
                imports::end(&mut connection, &claimed, Some(told))?;
            }
            Err(Ended::Store(error)) => return Err(error),
        }
        imports::release(&mut connection, &claimed)?;
    }
    Ok(())
}

/// Why an import does not go on here.
enum Ended {
    /// Somebody has paused or ended it, or runs it.
    Stopped,
    /// The file cannot be read on.
    Failed(String),
    /// The database cannot be used now.
    Store(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Ended {
        Ended::Store(error)
    }
}

impl From<FormatError> for Ended {
    fn from(error: FormatError) -> Ended {
        match error {
            // The file is in the database, which may be away for a moment.
            FormatError::Io { error, .. } if error.get_ref().is_some_and(|inner| inner.is::<StoreError>()) => {
                Ended::Store(StoreError::Away(error.to_string()))
            }
            FormatError::Io { .. }
            | FormatError::Empty
            | FormatError::Utf16
            | FormatError::Packed
            | FormatError::Document
            | FormatError::TooWide
            | FormatError::Endless { .. } => Ended::Failed(error.to_string()),
        }
    }
}

impl From<ImportError> for Ended {
    fn from(error: ImportError) -> Ended {
        match error {
            ImportError::Format(error) => error.into(),
            ImportError::Mapping(error) => Ended::Failed(error.to_string()),
        }
    }
}

fn import(store: &Store, claimed: &Claimed, stop: &AtomicBool) -> Result<(), Ended> {
    let site = store.sites()?.into_iter().find(|site| site.site_id == claimed.site_id);
    let site = Arc::new(site.ok_or(Ended::Stopped)?);
    let (import, mapping) = (&claimed.filed.import, &claimed.filed.mapping);
    let file = store.import_file(claimed.site_id, import);
    let skipped = Skipped { lines: import.lines };
    let mut reading = Reading::open(&site, (import.kind, mapping), Box::new(file), skipped)?;
    let mut writing = Writing::new(store, &site)?;
    let (begun, mut done) = (Instant::now(), import.lines);
    let stopped = AtomicBool::new(false);
    while let Some(batch) = reading.next()? {
        if stop.load(Ordering::Acquire) {
            return Ok(());
        }
        if batch.lines <= done && batch.events.is_empty() && batch.rejected.is_empty() && batch.days.is_empty() {
            continue;
        }
        let seconds = begun.elapsed().as_secs_f64().max(0.001);
        let lines_per_s = (batch.lines.saturating_sub(import.lines) as f64 / seconds) as u64;
        let to = Advance { from_lines: done, lines: batch.lines, bytes: batch.bytes, lines_per_s };
        let stored = writing
            .store(batch, &mut |connection, outcome| imports::advance(connection, claimed, to, &outcome, &stopped));
        match stored {
            Ok(_) => done = to.lines,
            Err(_) if stopped.load(Ordering::Relaxed) => return Err(Ended::Stopped),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
