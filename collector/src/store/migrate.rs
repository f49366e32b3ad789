//! The schema's way to its newest version, and the months that events are kept in.

use super::{Store, StoreError};
use diesel::RunQueryDsl;
use diesel::prelude::{PgConnection, QueryableByName};
use diesel::sql_types::Bool;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use jiff::ToSpan;
use jiff::civil::Date;
use std::collections::BTreeSet;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// Months ahead of now that are always there.
const MONTHS_AHEAD: i32 = 3;

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    there: bool,
}

impl Store {
    /// Brings the schema to this version. Several processes may call it at once: one works, the others wait.
    ///
    /// # Errors
    /// [`StoreError`]; each migration is in one piece or not at all, so that the next start goes on from there.
    pub fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.connect()?;
        diesel::sql_query("SELECT pg_advisory_lock(3)").execute(&mut connection)?;
        let ran = connection
            .run_pending_migrations(MIGRATIONS)
            .map(|versions| versions.iter().map(ToString::to_string).collect::<Vec<_>>())
            .map_err(|error| StoreError::Refused(error.to_string()));
        diesel::sql_query("SELECT pg_advisory_unlock(3)").execute(&mut connection)?;
        for version in ran? {
            tracing::info!(%version, "migrated");
        }
        Ok(())
    }

    /// Takes the newest migration back and applies it again, for the test that each can.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn redo_migrations(&self) -> Result<(), StoreError> {
        let mut connection = self.connect()?;
        let refused = |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Refused(error.to_string());
        connection.revert_all_migrations(MIGRATIONS).map_err(refused)?;
        connection.run_pending_migrations(MIGRATIONS).map_err(refused)?;
        Ok(())
    }

    /// Makes the months of these days, and always those around `today`, as far as they are missing. Only months that
    /// hold events: each one costs every look-up of a person a little.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn ensure_months(&self, today: Date, days: impl IntoIterator<Item = Date>) -> Result<(), StoreError> {
        let odd = |_| StoreError::Refused("a month is out of range".into());
        let mut months: BTreeSet<Date> = days.into_iter().map(Date::first_of_month).collect();
        for ahead in -1..=MONTHS_AHEAD {
            months.insert(today.first_of_month().checked_add(ahead.months()).map_err(odd)?);
        }
        let mut connection = self.connect()?;
        diesel::sql_query("SELECT pg_advisory_lock(4)").execute(&mut connection)?;
        let made = months.into_iter().try_for_each(|month| {
            let next = month.checked_add(1.month()).map_err(odd)?;
            ensure_month(&mut connection, month, next)
        });
        diesel::sql_query("SELECT pg_advisory_unlock(4)").execute(&mut connection)?;
        made
    }
}

/// Attaching a finished table locks `events` for no reader and no writer; creating it as a partition would.
fn ensure_month(connection: &mut PgConnection, month: Date, next: Date) -> Result<(), StoreError> {
    let name = format!("events_{:04}_{:02}", month.year(), month.month());
    let (low, high) = (lowest_id(month), lowest_id(next));
    let exists: Exists =
        diesel::sql_query(format!("SELECT to_regclass('{name}') IS NOT NULL AS there")).get_result(connection)?;
    if exists.there {
        return Ok(());
    }
    // Rows of that month that came while it was missing stay where they are: the default table serves them as well.
    let strays: Exists = diesel::sql_query(format!(
        "SELECT EXISTS (SELECT FROM events_default WHERE event_id >= '{low}' AND event_id < '{high}') AS there"
    ))
    .get_result(connection)?;
    if strays.there {
        return Ok(());
    }
    diesel::Connection::transaction::<_, StoreError, _>(connection, |connection| {
        for statement in [
            format!("CREATE TABLE {name} (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)"),
            format!("ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')"),
        ] {
            diesel::sql_query(statement).execute(connection)?;
        }
        Ok(())
    })
}

/// The lowest uuid v7 of a day that begins at midnight UTC.
fn lowest_id(day: Date) -> uuid::Uuid {
    let start = day.to_zoned_datetime(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp().as_millisecond());
    let ms = u128::try_from(start.unwrap_or(0)).unwrap_or(0);
    uuid::Uuid::from_u128(ms << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_months_lowest_id_is_its_first_millisecond() {
        let id = lowest_id(jiff::civil::date(2026, 11, 1));
        assert_eq!(id.to_string(), "01a19467-e800-0000-0000-000000000000");
        assert!(lowest_id(jiff::civil::date(1997, 1, 1)) < id);
    }
}
