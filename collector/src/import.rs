//! Files of customers, orders and newsletters: each line becomes events, which go the way of all others. Files of what
//! others count by day ([`days`]) are added up and put at their end.
//!
//! [`Reading`] turns a file into batches of events and rejected lines, in bounded memory; [`Writing`] stores a batch in
//! one transaction. The command line ([`command`]) and the worker ([`worker`]) do one after the other. An event has an id
//! that follows from what its lines say, so that the same file stores nothing twice and may be begun anew at any time.

pub(crate) mod command;
mod customers;
mod days;
mod fields;
mod format;
mod maker;
mod mapping;
mod newsletter;
mod number;
mod orders;
mod preview;
mod reading;
mod scan;
pub(crate) mod worker;
mod writing;

pub(crate) use fields::{Fields, Kind};
pub(crate) use format::FormatError;
pub(crate) use maker::moment;
pub(crate) use mapping::{Layout, Mapping, MappingError};
pub(crate) use preview::preview;
pub(crate) use reading::{Reading, Skipped};
pub(crate) use scan::{Search, names_somebody};
pub(crate) use writing::{Outcome, Writing};

use crate::intake::{Reason, source};
use crate::store::Store;
use crate::store::events::NewEvent;
use crate::store::ingest::Receipt;
use crate::store::sites::Site;
use days::Days;
use format::Lines;
use std::io::Read;
use std::sync::Arc;

/// Lines at the beginning of a file that are looked at to find out how it is written.
pub(crate) const LOOKED_AT: usize = 1_000;

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    /// Lines read, without the header.
    pub(crate) read: u64,
    /// Events that are new.
    pub(crate) stored: u64,
    /// Events that were there.
    pub(crate) duplicate: u64,
    /// Lines that make no sense, and events that name a forgotten person.
    pub(crate) rejected: u64,
}

impl Imported {
    fn add(&mut self, receipt: Receipt) {
        self.stored += u64::from(receipt.stored);
        self.duplicate += u64::from(receipt.duplicate);
        self.rejected += u64::from(receipt.rejected);
    }
}

/// A line of which nothing is stored.
#[derive(Clone, Debug)]
pub(crate) struct RejectedLine {
    pub(crate) line: u64,
    pub(crate) kind: Reason,
    pub(crate) reason: String,
    /// What stands in it.
    pub(crate) told: Vec<String>,
}

/// Some lines of a file as they are to be stored.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Each with the line that it begins with.
    pub(crate) events: Vec<(u64, NewEvent)>,
    pub(crate) rejected: Vec<RejectedLine>,
    /// With the last batch: the sums of a file by day.
    pub(crate) days: Days,
    /// Lines of the file up to here, without the header.
    pub(crate) lines: u64,
    /// Bytes of the file up to here, or a little behind.
    pub(crate) bytes: u64,
}

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Mapping(#[from] MappingError),
}

/// The key of the source that all files have in common.
pub(crate) fn source() -> Arc<str> {
    Arc::from(source::IMPORT)
}

/// Imports orders whose columns have the fields' own names; rejected lines are only counted.
///
/// # Errors
/// When the file or the database cannot be used.
pub(crate) fn orders(store: &Store, site: &Arc<Site>, input: impl Read) -> anyhow::Result<Imported> {
    let mut reading = Reading::open(site, (Kind::Orders, &Mapping::default()), Box::new(input), Skipped::default())?;
    let mut writing = Writing::new(store, site)?;
    let mut imported = Imported::default();
    while let Some(batch) = reading.next()? {
        imported.read = batch.lines;
        imported.add(writing.store(batch, &mut |_, _| Ok(()))?.0);
    }
    Ok(imported)
}

/// What a column is called that is kept as a trait.
pub(crate) fn trait_name(heading: &str) -> String {
    fields::plain(heading)
}

/// The headings of a file.
///
/// # Errors
/// [`FormatError`]
pub(crate) fn headings(kind: Kind, input: impl Read) -> Result<Vec<String>, FormatError> {
    Ok(Lines::open_kind(kind, Box::new(input))?.columns)
}

/// Where a file of orders has what the models need: customer, moment, total, and the currency if it names one.
///
/// # Errors
/// [`MappingError`]
pub(crate) fn order_columns(
    columns: &[String],
    map: Option<&str>,
) -> Result<(usize, usize, usize, Option<usize>), MappingError> {
    let mapping = Mapping::parse(Kind::Orders, map.unwrap_or_default())?;
    let layout = Layout::find(Kind::Orders, columns, &mapping)?;
    if let Some(missing) = layout.missing(Kind::Orders, &mapping).into_iter().next() {
        return Err(missing);
    }
    let need =
        |field: &str| layout.column(field).ok_or_else(|| MappingError::Missing(field.to_owned(), field.to_owned()));
    let customer = need("customer_id").or_else(|_| need("email"))?;
    Ok((customer, need("ordered_at")?, need("total")?, layout.column("currency")))
}
