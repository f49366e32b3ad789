//! What has to be tidied so that nothing grows without end.

use super::sql::sql;
use super::{Store, StoreError};
use diesel::RunQueryDsl;
use diesel::sql_types::BigInt;

/// Samples of rejected events that an owner can look at, per site and reason.
const SAMPLES: i64 = 1_000;

impl Store {
    /// Removes what is past its time. Cheap when there is nothing to do; to be called every minute.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn tidy(&self) -> Result<(), StoreError> {
        let mut connection = self.lend()?;
        for statement in [
            // A journal row goes when it is projected and every reader has passed it; the Live page is a reader
            // without a cursor that looks back ten minutes.
            "DELETE FROM journal_cursors WHERE seen_at < now() - interval '1 hour'",
            "DELETE FROM journal WHERE projected AND at < now() - interval '10 minutes'
                AND tx < COALESCE((SELECT tx FROM journal_cursors ORDER BY tx LIMIT 1),
                    pg_snapshot_xmin(pg_current_snapshot()))",
            // More than a year, so that a month can be compared with the same one a year ago.
            "DELETE FROM segment_changes WHERE at < now() - interval '400 days'",
            "DELETE FROM plan_seen WHERE day < current_date - 90",
            "DELETE FROM plan_breaches WHERE day < current_date - 90",
            "DELETE FROM rejections WHERE at < now() - interval '14 days'",
            "DELETE FROM message_ids WHERE seen_on < current_date - 30",
            "DELETE FROM user_sessions WHERE expires_at < now()",
            "DELETE FROM login_failures WHERE failed_at < now() - interval '1 hour'",
            // A retry of an event older than 8 days is refused, so its page load need not be known any more; the
            // load's id is a uuid v7 and says its age.
            "DELETE FROM measured_loads WHERE load_id <
                (lpad(to_hex((extract(epoch FROM now() - interval '9 days') * 1000)::bigint), 12, '0')
                    || '00000000000000000000')::uuid",
        ] {
            sql(statement).execute(&mut *connection)?;
        }
        sql("DELETE FROM rejections AS r USING (
                SELECT site_id, rejection_id,
                       row_number() OVER (PARTITION BY site_id, reason ORDER BY rejection_id DESC) AS n
                FROM rejections) AS o
             WHERE r.site_id = o.site_id AND r.rejection_id = o.rejection_id AND o.n > $1")
        .bind::<BigInt, _>(SAMPLES)
        .execute(&mut *connection)?;
        super::imports::tidy(&mut connection)
    }

    /// Whether PostgreSQL takes writes now: a standby or a read-only database gives out no transaction number.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn can_write(&self) -> Result<(), StoreError> {
        sql("SELECT pg_current_xact_id()").execute(&mut *self.lend()?)?;
        Ok(())
    }
}
