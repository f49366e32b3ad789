//! Page views of browsers that ask for privacy: counted, so that owners see that it was obeyed.

use super::StoreError;
use super::events::{Kind, Row, flags};
use super::sql::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text};
use domain::report::PrivacySignals;
use std::collections::BTreeMap;

/// The signals, as they are counted and as an event's flags have them.
const SIGNALS: [(&str, i16); 2] = [("gpc", flags::GPC), ("dnt", flags::DNT)];

/// Adds the page views among what is stored that were only measured because their browser asked for it.
pub(crate) fn count(
    connection: &mut PgConnection,
    slot: i16,
    rows: &[Row<'_>],
    today: jiff::civil::Date,
) -> Result<(), StoreError> {
    let mut counts: BTreeMap<(i32, &str), i64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.event.kind == Kind::Page && row.event.flags & flags::MEASURED != 0) {
        for (signal, _) in SIGNALS.iter().filter(|(_, bit)| row.event.flags & bit != 0) {
            *counts.entry((row.site.site_id, signal)).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return Ok(());
    }
    sql("INSERT INTO privacy_signals AS p (day, slot, site_id, signal, page_views)
         SELECT $1::text::date, $2, new.* FROM unnest($3, $4, $5) AS new
         ON CONFLICT (site_id, day, signal, slot) DO UPDATE SET page_views = p.page_views + EXCLUDED.page_views")
    .bind::<Text, _>(today.to_string())
    .bind::<SmallInt, _>(slot)
    .bind::<Array<Integer>, _>(counts.keys().map(|key| key.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(counts.keys().map(|key| key.1.to_owned()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(counts.values().copied().collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = Text)]
    signal: String,
    #[diesel(sql_type = BigInt)]
    page_views: i64,
}

/// What was counted for a site since a day, in UTC and that day among them, or since the site was made.
pub(crate) fn counted(
    connection: &mut PgConnection,
    site_id: i32,
    since: Option<jiff::civil::Date>,
) -> Result<PrivacySignals, StoreError> {
    // One row per signal.
    let rows: Vec<CountRow> = sql("SELECT signal, sum(page_views)::bigint AS page_views FROM privacy_signals
         WHERE site_id = $1 AND day >= COALESCE($2::text::date, '-infinity') GROUP BY signal")
    .bind::<Integer, _>(site_id)
    .bind::<Nullable<Text>, _>(since.map(|day| day.to_string()))
    .load(connection)?;
    let of = |signal: &str| {
        let row = rows.iter().find(|row| row.signal == signal);
        row.map_or(0, |row| u64::try_from(row.page_views).unwrap_or(0))
    };
    Ok(PrivacySignals { gpc: of("gpc"), dnt: of("dnt") })
}
