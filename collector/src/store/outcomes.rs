//! What became of everything that arrived, as owners read it.

use super::events::{Kind, flags};
use super::ingest::{DUPLICATE, STORED};
use super::sql::sql;
use super::{Store, StoreError, from_timestamp, privacy, timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text, Timestamptz};
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

/// Page views of browsers that ask for privacy.
#[derive(Debug, QueryableByName, Serialize)]
pub(crate) struct PrivacySignals {
    /// Page views, all of them.
    #[diesel(sql_type = BigInt)]
    pub(crate) page_views: i64,
    /// Those with Global Privacy Control.
    #[diesel(sql_type = BigInt)]
    pub(crate) gpc: i64,
    /// Those with Do Not Track.
    #[diesel(sql_type = BigInt)]
    pub(crate) dnt: i64,
    /// Those with either.
    #[diesel(sql_type = BigInt)]
    pub(crate) signalled: i64,
    /// Those with either that were measured without consent: all of them, where the signals were obeyed.
    #[diesel(sql_type = BigInt)]
    pub(crate) measured: i64,
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

    /// How many page views since a moment came from browsers that ask for privacy.
    pub(crate) fn privacy_signals(&self, site_id: i32, since: Timestamp) -> Result<PrivacySignals, StoreError> {
        // One row of counts; $1 is Global Privacy Control, $2 Do Not Track, $3 and $5 either, $4 "measured".
        let counts = sql("SELECT count(*) AS page_views, count(*) FILTER (WHERE flags & $1 <> 0) AS gpc,
                count(*) FILTER (WHERE flags & $2 <> 0) AS dnt,
                count(*) FILTER (WHERE flags & $3 <> 0) AS signalled,
                count(*) FILTER (WHERE flags & $4 <> 0 AND flags & $5 <> 0) AS measured
             FROM events WHERE site_id = $6 AND occurred_at >= $7 AND kind = $8");
        self.read(|connection| {
            let row = counts
                .bind::<SmallInt, _>(flags::GPC)
                .bind::<SmallInt, _>(flags::DNT)
                .bind::<SmallInt, _>(flags::GPC | flags::DNT)
                .bind::<SmallInt, _>(flags::MEASURED)
                .bind::<SmallInt, _>(flags::GPC | flags::DNT)
                .bind::<Integer, _>(site_id)
                .bind::<Timestamptz, _>(timestamp(since.as_microsecond()))
                .bind::<SmallInt, _>(Kind::Page as i16);
            Ok(row.get_result(connection)?)
        })
    }
}
