//! Connectors: which are due, who reads them, and how far they have come.

use super::marketing::{SearchPerformance, put_search_performance};
use super::sources::{Source, SourceRow};
use super::sql::sql;
use super::{Store, StoreError, from_timestamp};
use crate::pull::Ended;
use crate::pull::search_console::{Cleared, Cut};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use domain::report::{ConnectorReport, ConnectorState};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

const READY: &str = "ready";
const NEEDS_KEY: &str = "needs_key";
/// Connectors that are looked at in one round.
const AT_ONCE: i64 = 32;

/// A connector whose time has come.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub(crate) struct Due {
    #[diesel(sql_type = Integer)]
    pub(crate) site_id: i32,
    #[diesel(sql_type = Text)]
    pub(crate) key: String,
}

/// A source that this process alone reads, as long as this lives.
pub(crate) struct Claim {
    /// The session holds an advisory lock; it is given back when the connection is closed, by a crash too.
    connection: PgConnection,
    site_id: i32,
    key: String,
    /// The turn of its owner's changes that was read.
    turn: Uuid,
}

#[derive(QueryableByName)]
struct Is {
    #[diesel(sql_type = Bool)]
    is: bool,
}

#[derive(QueryableByName)]
struct CursorRow {
    #[diesel(sql_type = SqlUuid)]
    turn: Uuid,
    #[diesel(sql_type = Jsonb)]
    cursor: Value,
}

#[derive(QueryableByName)]
struct FailuresRow {
    #[diesel(sql_type = Integer)]
    failures: i32,
}

#[derive(QueryableByName)]
struct StateRow {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Timestamptz)]
    next_at: PgTimestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_ok_at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    last_error: Option<String>,
    #[diesel(sql_type = BigInt)]
    pages: i64,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

impl Store {
    /// Active connectors whose time has come, the longest due first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn due_connectors(&self) -> Result<Vec<Due>, StoreError> {
        Ok(sql("SELECT c.site_id, c.key FROM connectors c JOIN sources s USING (site_id, key)
             WHERE s.state = 'active' AND c.state = $1 AND c.next_at <= now()
             ORDER BY c.next_at, c.site_id, c.key LIMIT $2")
        .bind::<Text, _>(READY)
        .bind::<BigInt, _>(AT_ONCE)
        .load(&mut *self.lend()?)?)
    }

    /// Takes a source for this process; `None` where another one reads it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn claim_connector(&self, site_id: i32, key: &str) -> Result<Option<Claim>, StoreError> {
        let mut connection = self.connect()?;
        let row: Is = sql("SELECT pg_try_advisory_lock(hashtextextended($1 || ':' || $2, 7)) AS is")
            .bind::<Text, _>(site_id.to_string())
            .bind::<Text, _>(key.to_owned())
            .get_result(&mut connection)?;
        Ok(row.is.then(|| Claim { connection, site_id, key: key.to_owned(), turn: Uuid::nil() }))
    }

    /// How the site's connectors stand, in the order of their keys.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn connectors(&self, site_id: i32) -> Result<Vec<ConnectorReport>, StoreError> {
        let rows: Vec<StateRow> = sql("SELECT key, state, next_at, last_at, last_ok_at, last_error, pages, rows
             FROM connectors WHERE site_id = $1 ORDER BY key")
        .bind::<Integer, _>(site_id)
        .load(&mut *self.lend()?)?;
        let report = |row: StateRow| ConnectorReport {
            key: row.key,
            state: if row.state == NEEDS_KEY { ConnectorState::NeedsKey } else { ConnectorState::Ready },
            next_at: from_timestamp(row.next_at),
            last_at: row.last_at.map(from_timestamp),
            last_ok_at: row.last_ok_at.map(from_timestamp),
            last_error: row.last_error,
            pages: u64::try_from(row.pages).unwrap_or(0),
            rows: u64::try_from(row.rows).unwrap_or(0),
        };
        Ok(rows.into_iter().map(report).collect())
    }
}

/// A connector of a new source: due at once.
pub(super) fn add(connection: &mut PgConnection, site_id: i32, key: &str) -> Result<(), StoreError> {
    sql("INSERT INTO connectors (site_id, key) VALUES ($1, $2)")
        .bind::<Integer, _>(site_id)
        .bind::<Text, _>(key.to_owned())
        .execute(connection)?;
    Ok(())
}

/// The source has another key, or is to go on: whatever kept it from being asked is over.
pub(super) fn wake(connection: &mut PgConnection, site_id: i32, key: &str) -> Result<(), StoreError> {
    sql("UPDATE connectors SET state = $1, next_at = now(), failures = 0, last_error = NULL, turn = gen_random_uuid()
         WHERE site_id = $2 AND key = $3")
    .bind::<Text, _>(READY)
    .bind::<Integer, _>(site_id)
    .bind::<Text, _>(key.to_owned())
    .execute(connection)?;
    Ok(())
}

impl Claim {
    /// The source and its cursor; `None` where it has been taken away.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn read(&mut self) -> Result<Option<(Source, Value)>, StoreError> {
        let row: Option<SourceRow> =
            sql("SELECT site_id, key, kind, name, address, secret, settings, state, created_at
             FROM sources WHERE site_id = $1 AND key = $2")
            .bind::<Integer, _>(self.site_id)
            .bind::<Text, _>(self.key.clone())
            .get_result(&mut self.connection)
            .optional()?;
        let cursor: Option<CursorRow> = sql("SELECT turn, cursor FROM connectors WHERE site_id = $1 AND key = $2")
            .bind::<Integer, _>(self.site_id)
            .bind::<Text, _>(self.key.clone())
            .get_result(&mut self.connection)
            .optional()?;
        let Some((row, CursorRow { turn, cursor })) = row.zip(cursor) else { return Ok(None) };
        self.turn = turn;
        Ok(Some((row.source()?, cursor)))
    }

    /// Whether its time has come still.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn is_due(&mut self) -> Result<bool, StoreError> {
        let row: Option<Is> = sql("SELECT next_at <= now() AND state = $1 AS is FROM connectors
             WHERE site_id = $2 AND key = $3")
        .bind::<Text, _>(READY)
        .bind::<Integer, _>(self.site_id)
        .bind::<Text, _>(self.key.clone())
        .get_result(&mut self.connection)
        .optional()?;
        Ok(row.is_some_and(|row| row.is))
    }

    /// Failures in a row.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn failures(&mut self) -> Result<u32, StoreError> {
        let row: Option<FailuresRow> = sql("SELECT failures FROM connectors WHERE site_id = $1 AND key = $2")
            .bind::<Integer, _>(self.site_id)
            .bind::<Text, _>(self.key.clone())
            .get_result(&mut self.connection)
            .optional()?;
        Ok(row.map_or(0, |row| u32::try_from(row.failures).unwrap_or(0)))
    }

    /// Keeps rows of search in the place of what stood there, in one transaction, and gives how many they are.
    ///
    /// # Errors
    /// [`StoreError`]; what stood there stands then.
    pub(crate) fn keep_search(
        &mut self,
        rows: Vec<SearchPerformance>,
        cleared: Option<Cleared>,
    ) -> Result<u64, StoreError> {
        let (site_id, key, count) = (self.site_id, self.key.clone(), rows.len() as u64);
        self.connection.transaction(|connection| {
            if let Some(cleared) = cleared {
                clear(connection, (site_id, &key), cleared)?;
            }
            put_search_performance(connection, site_id, &key, rows)?;
            Ok(count)
        })
    }

    /// Notes how far it has come; false where the source has been taken away or changed meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn keep_cursor(&mut self, cursor: &Value, rows: u64) -> Result<bool, StoreError> {
        let changed = sql("UPDATE connectors SET cursor = $1, pages = pages + 1, rows = rows + $2, failures = 0
             WHERE site_id = $3 AND key = $4 AND turn = $5")
        .bind::<Jsonb, _>(cursor.clone())
        .bind::<BigInt, _>(i64::try_from(rows).unwrap_or(i64::MAX))
        .bind::<Integer, _>(self.site_id)
        .bind::<Text, _>(self.key.clone())
        .bind::<SqlUuid, _>(self.turn)
        .execute(&mut self.connection)?;
        Ok(changed == 1)
    }

    /// Notes how a run ended and when the next one is due; `every` is how long after one that read everything.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn settle(&mut self, ended: &Ended, every: Duration) -> Result<(), StoreError> {
        let (wait, state, error) = match ended {
            Ended::Done => (every, READY, None),
            Ended::More => (Duration::ZERO, READY, None),
            Ended::Waits(wait) => (*wait, READY, None),
            Ended::NeedsKey(why) => (Duration::ZERO, NEEDS_KEY, Some(printable(why))),
            Ended::Failed(why, wait) => (*wait, READY, Some(printable(why))),
            Ended::Gone => return Ok(()),
        };
        sql("UPDATE connectors SET next_at = now() + $1 * interval '1 millisecond', state = $2, last_error = $3,
                 failures = CASE WHEN $4 THEN failures + 1 ELSE failures END, last_at = now(),
                 last_ok_at = CASE WHEN $5 THEN now() ELSE last_ok_at END
             WHERE site_id = $6 AND key = $7 AND turn = $8")
        .bind::<BigInt, _>(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
        .bind::<Text, _>(state)
        .bind::<Nullable<Text>, _>(error)
        .bind::<Bool, _>(matches!(ended, Ended::Failed(..)))
        .bind::<Bool, _>(*ended == Ended::Done)
        .bind::<Integer, _>(self.site_id)
        .bind::<Text, _>(self.key.clone())
        .bind::<SqlUuid, _>(self.turn)
        .execute(&mut self.connection)?;
        Ok(())
    }
}

/// An error's words as PostgreSQL can keep them: the other side may have put anything into them.
fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(1_000).collect()
}

/// Deletes what a source told of these days and this cut.
fn clear(connection: &mut PgConnection, (site_id, key): (i32, &str), cleared: Cleared) -> Result<(), StoreError> {
    let cut = match cleared.cut {
        None => "total",
        Some(Cut::Query) => "query",
        Some(Cut::Page) => "page",
    };
    sql("DELETE FROM search_performance WHERE site_id = $1 AND source_key = $2
             AND day BETWEEN $3::text::date AND $4::text::date AND country = '' AND device = ''
             AND CASE WHEN query <> '' THEN 'query' WHEN page <> '' THEN 'page' ELSE 'total' END = $5")
    .bind::<Integer, _>(site_id)
    .bind::<Text, _>(key.to_owned())
    .bind::<Text, _>(cleared.from.to_string())
    .bind::<Text, _>(cleared.to.to_string())
    .bind::<Text, _>(cut)
    .execute(connection)?;
    Ok(())
}
