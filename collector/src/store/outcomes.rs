//! What became of everything that arrived, as owners read it.

use super::ingest::{DUPLICATE, STORED};
use super::sql::sql;
use super::{Store, StoreError, from_timestamp, privacy};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Timestamptz};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// Exact counts since the site was made, and the latest rejected events.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outcomes {
    pub(crate) stored: i64,
    pub(crate) duplicate: i64,
    pub(crate) rejected: BTreeMap<String, i64>,
    pub(crate) latest_rejected: Vec<Rejected>,
    pub(crate) privacy_signals: Signals,
}

/// Page views that were only measured because their browser asked for privacy, by the signal it sends.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Signals {
    pub(crate) gpc: u64,
    pub(crate) dnt: u64,
}

/// One rejected event.
#[derive(Debug, Serialize)]
pub(crate) struct Rejected {
    pub(crate) at: Timestamp,
    pub(crate) reason: String,
    pub(crate) detail: String,
    pub(crate) sample: Option<String>,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct RejectedRow {
    #[diesel(sql_type = Timestamptz)]
    at: PgTimestamp,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Text)]
    detail: String,
    #[diesel(sql_type = Nullable<Text>)]
    sample: Option<String>,
}

/// The latest `limit` rejected messages of a site, or of one of its sources, newest first.
pub(crate) fn latest_rejected(
    connection: &mut PgConnection,
    site_id: i32,
    source: Option<&str>,
    limit: i64,
) -> Result<Vec<Rejected>, StoreError> {
    let rows: Vec<RejectedRow> = sql("SELECT at, reason, detail, sample FROM rejections
         WHERE site_id = $1 AND source = COALESCE($2, source) ORDER BY rejection_id DESC LIMIT $3")
    .bind::<Integer, _>(site_id)
    .bind::<Nullable<Text>, _>(source.map(str::to_owned))
    .bind::<BigInt, _>(limit)
    .load(connection)?;
    let rejected = |row: RejectedRow| Rejected {
        at: from_timestamp(row.at),
        reason: row.reason,
        detail: row.detail,
        sample: row.sample,
    };
    Ok(rows.into_iter().map(rejected).collect())
}

impl Store {
    /// The outcomes of a site with its latest `limit` rejected events.
    pub(crate) fn outcomes(&self, site_id: i32, limit: i64) -> Result<Outcomes, StoreError> {
        let mut connection = self.lend()?;
        let counts: Vec<CountRow> =
            sql("SELECT outcome, sum(count)::bigint AS count FROM site_outcomes WHERE site_id = $1 GROUP BY outcome")
                .bind::<Integer, _>(site_id)
                .load(&mut *connection)?;
        let mut outcomes = Outcomes::default();
        for row in counts {
            match row.outcome.as_str() {
                STORED => outcomes.stored = row.count,
                DUPLICATE => outcomes.duplicate = row.count,
                _ => {
                    outcomes.rejected.insert(row.outcome, row.count);
                }
            }
        }
        outcomes.latest_rejected = latest_rejected(&mut connection, site_id, None, limit)?;
        let domain::report::PrivacySignals { gpc, dnt } = privacy::counted(&mut connection, site_id, None)?;
        outcomes.privacy_signals = Signals { gpc, dnt };
        Ok(outcomes)
    }
}
