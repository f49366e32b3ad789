//! The values behind the dashboard's pages, read from PostgreSQL.
//!
//! Each report is one read-only transaction on one snapshot, so that its numbers agree with each other, and with a
//! time limit, so that a question that is too large ends by itself. Nothing here writes but [`settings`].

mod acquisition;
mod experience;
mod happened;
mod in_use;
mod insight;
mod joins;
mod live;
mod matches;
mod overview;
mod people;
mod profile;
mod segments;
mod settings;
mod sources;
mod timeline;
mod traits;

pub(crate) use acquisition::acquisition;
pub(crate) use experience::experience;
pub(crate) use in_use::{Whole, kept_by, theme};
pub(crate) use insight::{InCommon, Moved};
pub(crate) use live::LiveRange;
pub(crate) use overview::overview;
pub(crate) use profile::Found;
pub(crate) use settings::{FirstRun, Settings, SettingsError, Typed, sentence};

use super::sql::sql;
use super::{Store, StoreError};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};
use domain::attribution::Channel;
use jiff::Timestamp;

/// A page that takes longer is of no use to anybody.
const TIME_LIMIT: &str = "SET LOCAL statement_timeout = '30s'";

impl Store {
    /// Reads a report on one snapshot.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.lend()?.build_transaction().read_only().repeatable_read().run(|connection| {
            sql(TIME_LIMIT).execute(connection)?;
            work(connection)
        })
    }
}

/// A moment as PostgreSQL takes it.
fn moment(at: Timestamp) -> PgTimestamp {
    super::timestamp(at.as_microsecond())
}

/// A count is never negative.
fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The latest rejected messages of a site, or of one of its sources, newest first.
fn rejected(
    connection: &mut PgConnection,
    site_id: i32,
    source: Option<&str>,
    limit: i64,
) -> Result<Vec<domain::report::Rejection>, StoreError> {
    let rejected = super::outcomes::latest_rejected(connection, site_id, source, limit)?.into_iter();
    Ok(rejected
        .map(|row| domain::report::Rejection { at: row.at, reason: row.reason, detail: row.detail, sample: row.sample })
        .collect())
}

/// A channel's name for people; what no version knows is shown as it is stored.
pub(crate) fn channel_name(key: &str) -> String {
    Channel::from_key(key).map_or_else(|| key.to_owned(), |channel| channel.label().to_owned())
}

#[derive(QueryableByName)]
struct TermRow {
    #[diesel(sql_type = Integer)]
    term_id: i32,
}

#[derive(QueryableByName)]
struct SumRow {
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = BigInt)]
    minor: i64,
}

/// Sums of several currencies.
fn sums(rows: Vec<SumRow>) -> Result<Vec<domain::money::Money>, StoreError> {
    let sum = |row: SumRow| {
        let currency =
            row.currency.parse().map_err(|_| StoreError::Refused(format!("{} is no currency", row.currency)))?;
        Ok(domain::money::Money { minor: row.minor, currency })
    };
    rows.into_iter().map(sum).collect()
}
