//! Everything that is kept, in PostgreSQL. SQL lives here alone.
//!
//! [`Store`] is a pool for reads and small writes; the writer and the projector hold a connection of their own and
//! run [`ingest`] and [`projection`] on it.

pub(crate) mod cache;
pub(crate) mod columns;
pub(crate) mod connectors;
pub(crate) mod customers;
pub(crate) mod erasure;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod identities;
pub(crate) mod imports;
pub(crate) mod ingest;
pub(crate) mod journal;
pub(crate) mod lists;
pub(crate) mod marketing;
pub(crate) mod matches;
pub(crate) mod membership;
pub(crate) mod migrate;
pub(crate) mod models;
pub(crate) mod orders;
pub(crate) mod outcomes;
pub(crate) mod people;
pub(crate) mod plan;
pub(crate) mod profiles;
pub(crate) mod projection;
pub(crate) mod reports;
pub(crate) mod salts;
pub(crate) mod schema;
pub(crate) mod segments;
pub mod sites;
pub(crate) mod sources;
pub(crate) mod sql;
pub(crate) mod terms;
pub(crate) mod touch;
pub(crate) mod traits;
pub(crate) mod upkeep;
pub mod users;
pub(crate) mod views;

use diesel::pg::PgConnection;
use diesel::pg::data_types::PgTimestamp;
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{Connection, RunQueryDsl};
use std::sync::Arc;
use std::time::Duration;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// PostgreSQL cannot be reached, is stopping, or broke off; the same call may work in a moment.
    #[error("cannot reach PostgreSQL: {0}")]
    Away(String),
    /// The disk is full.
    #[error("PostgreSQL's disk is full: {0}")]
    Full(String),
    /// Somebody else changed the same rows at the same time; the same call will work again.
    #[error("interrupted by another transaction: {0}")]
    Contended(String),
    /// An event that is there already; the caller takes the slower way that steps over it.
    #[error("an event is there already")]
    AlreadyThere,
    /// Anything else: PostgreSQL refuses the data, or the statement is wrong.
    #[error("PostgreSQL refuses: {0}")]
    Refused(String),
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        use DatabaseErrorKind::{ClosedConnection, ReadOnlyTransaction, SerializationFailure, UnableToSendCommand};
        let DieselError::DatabaseError(kind, information) = &error else {
            return match error {
                DieselError::BrokenTransactionManager => StoreError::Away(error.to_string()),
                _ => StoreError::Refused(error.to_string()),
            };
        };
        let message = information.message().to_owned();
        let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
        match kind {
            DatabaseErrorKind::UniqueViolation if information.table_name().is_some_and(|t| t.starts_with("events")) => {
                StoreError::AlreadyThere
            }
            SerializationFailure => StoreError::Contended(message),
            ClosedConnection | UnableToSendCommand | ReadOnlyTransaction => StoreError::Away(message),
            // Diesel keeps no SQLSTATE, so the rest is told apart by PostgreSQL's own words (lc_messages is C).
            _ if says(&["No space left on device", "could not extend file", "disk full", "Disk quota"]) => {
                StoreError::Full(message)
            }
            _ if says(&["deadlock detected", "could not serialize", "canceling statement due to"]) => {
                StoreError::Contended(message)
            }
            _ if says(&[
                "server closed the connection",
                "terminating connection",
                "the database system is",
                "connection to server",
                "no connection to the server",
                "could not receive data",
                "could not send data",
                "Connection reset",
                "Broken pipe",
                "SSL connection has been closed",
                "too many clients",
            ]) =>
            {
                StoreError::Away(message)
            }
            _ => StoreError::Refused(message),
        }
    }
}

/// Connections to the database.
#[derive(Clone)]
pub struct Store {
    pool: Pool<ConnectionManager<PgConnection>>,
    url: String,
    books: Arc<customers::Books>,
    looks: Arc<models::Looks>,
    match_looks: Arc<models::Looks>,
}

/// A connection lent by the pool.
pub(crate) type Lent = PooledConnection<ConnectionManager<PgConnection>>;

#[derive(Debug)]
struct Customise;

impl diesel::r2d2::CustomizeConnection<PgConnection, diesel::r2d2::Error> for Customise {
    fn on_acquire(&self, connection: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        prepare(connection).map_err(diesel::r2d2::Error::QueryError)
    }
}

/// What every connection of ours wants: an acknowledged commit is on disk, and times are UTC.
fn prepare(connection: &mut PgConnection) -> Result<(), DieselError> {
    for setting in ["SET synchronous_commit = on", "SET time zone 'UTC'", "SET jit = off"] {
        diesel::sql_query(setting).execute(connection)?;
    }
    Ok(())
}

impl Store {
    /// A pool of up to `size` connections; none is opened before it is wanted.
    ///
    /// # Errors
    /// [`StoreError::Away`] when the pool cannot be made.
    pub fn new(url: &str, size: u32) -> Result<Store, StoreError> {
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .connection_timeout(Duration::from_secs(3))
            .test_on_check_out(true)
            .connection_customizer(Box::new(Customise))
            .build_unchecked(ConnectionManager::new(url));
        Ok(Store {
            pool,
            url: url.to_owned(),
            books: Arc::default(),
            looks: Arc::default(),
            match_looks: Arc::default(),
        })
    }

    /// A connection from the pool.
    ///
    /// # Errors
    /// [`StoreError::Away`] when none can be had within 3 s.
    pub(crate) fn lend(&self) -> Result<Lent, StoreError> {
        self.pool.get().map_err(|error| StoreError::Away(error.to_string()))
    }

    /// A connection of the caller's own, outside the pool.
    ///
    /// # Errors
    /// [`StoreError::Away`].
    pub(crate) fn connect(&self) -> Result<PgConnection, StoreError> {
        let mut connection = PgConnection::establish(&self.url).map_err(|error| StoreError::Away(error.to_string()))?;
        prepare(&mut connection)?;
        Ok(connection)
    }
}

/// A moment as PostgreSQL takes it, from µs since 1970.
pub(crate) fn timestamp(us: i64) -> PgTimestamp {
    PgTimestamp(us.saturating_sub(events::POSTGRES_EPOCH_US))
}

/// A moment as `domain` takes it, from µs since 1970; moments out of its range become the nearest there is.
pub(crate) fn instant(us: i64) -> jiff::Timestamp {
    let edge = if us < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_microsecond(us).unwrap_or(edge)
}

/// A moment as `domain` takes it, from what PostgreSQL gives.
pub(crate) fn from_timestamp(timestamp: PgTimestamp) -> jiff::Timestamp {
    instant(timestamp.0.saturating_add(events::POSTGRES_EPOCH_US))
}
