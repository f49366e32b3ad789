//! What channels and campaigns brought and cost, what searches led here, and what former tools counted.

use super::overview::first_event_at;
use super::{channel_name, count, moment};
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{Store, StoreError};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Double, Integer, Nullable, Text, Timestamptz};
use domain::money::Money;
use domain::report::{
    Acquisition, Brought, ChannelCost, History, HistoryRow, Period, Search, SearchCounts, SearchRow, SpendRow, Spent,
    TrafficRow, Windows, match_campaigns,
};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

#[derive(QueryableByName)]
struct ChannelsRow {
    #[diesel(sql_type = Text)]
    channel: String,
    #[diesel(sql_type = BigInt)]
    sessions: i64,
    #[diesel(sql_type = BigInt)]
    orders: i64,
    #[diesel(sql_type = BigInt)]
    revenue_minor: i64,
    #[diesel(sql_type = BigInt)]
    first_orders: i64,
}

#[derive(QueryableByName)]
struct CampaignsRow {
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = Text)]
    campaign: String,
    #[diesel(sql_type = Text)]
    channel: String,
    #[diesel(sql_type = BigInt)]
    sessions: i64,
    #[diesel(sql_type = BigInt)]
    orders: i64,
    #[diesel(sql_type = BigInt)]
    revenue_minor: i64,
    #[diesel(sql_type = BigInt)]
    first_orders: i64,
}

#[derive(QueryableByName)]
struct CostRow {
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = Text)]
    campaign: String,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = BigInt)]
    cost_minor: i64,
    #[diesel(sql_type = BigInt)]
    clicks: i64,
    #[diesel(sql_type = BigInt)]
    impressions: i64,
}

#[derive(QueryableByName)]
struct SearchesRow {
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = BigInt)]
    clicks: i64,
    #[diesel(sql_type = BigInt)]
    impressions: i64,
    #[diesel(sql_type = Double)]
    position_sum: f64,
    #[diesel(sql_type = BigInt)]
    previous_clicks: i64,
    #[diesel(sql_type = BigInt)]
    previous_impressions: i64,
    #[diesel(sql_type = Double)]
    previous_position_sum: f64,
}

#[derive(QueryableByName)]
struct UntilRow {
    #[diesel(sql_type = Nullable<Text>)]
    until: Option<String>,
    #[diesel(sql_type = Bool)]
    is_connected: bool,
}

#[derive(QueryableByName)]
struct RangeRow {
    #[diesel(sql_type = Nullable<Text>)]
    first: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    last: Option<String>,
}

#[derive(QueryableByName)]
struct PastRow {
    #[diesel(sql_type = Text)]
    day: String,
    #[diesel(sql_type = Text)]
    system: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    visitors: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    visits: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    views: Option<i64>,
}

/// The acquisition of `period`, whose moments are `windows`; at most `limit` campaigns, queries and pages each.
pub(crate) fn acquisition(
    store: &Store,
    site: &Site,
    period: Period,
    windows: &Windows,
    limit: i64,
    now: Timestamp,
) -> Result<Acquisition, StoreError> {
    store.read(|connection| {
        let traffic = traffic(connection, site, period, windows, limit)?;
        let spend = spend(connection, site, period)?;
        let (campaigns, unmatched) = match_campaigns(&traffic, &spend, site.currency);
        let mut channels = channels(connection, site, windows)?;
        Acquisition::share_costs(&mut channels, &campaigns);
        Ok(Acquisition {
            site: crate::segments::report_site(site),
            period,
            now,
            channels,
            campaigns,
            unmatched,
            search: search(connection, site, period, limit)?,
            history: history(connection, site, period)?,
        })
    })
}

fn channels(connection: &mut PgConnection, site: &Site, windows: &Windows) -> Result<Vec<ChannelCost>, StoreError> {
    let (start, end) = (moment(windows.current.start), moment(windows.current.end));
    let rows: Vec<ChannelsRow> = sql(include_str!("acquisition_channels.sql"))
        .bind::<Integer, _>(site.site_id)
        .bind::<Timestamptz, _>(start)
        .bind::<Timestamptz, _>(end)
        .bind::<Text, _>(site.currency.code().to_owned())
        .bind::<Integer, _>(site.site_id)
        .bind::<Timestamptz, _>(start)
        .bind::<Timestamptz, _>(end)
        .bind::<Integer, _>(site.site_id)
        .bind::<Timestamptz, _>(start)
        .bind::<Timestamptz, _>(start)
        .bind::<Timestamptz, _>(end)
        .load(connection)?;
    let channel = |row: ChannelsRow| ChannelCost {
        name: channel_name(&row.channel),
        key: row.channel,
        brought: Brought {
            sessions: count(row.sessions),
            orders: count(row.orders),
            revenue_minor: row.revenue_minor,
            first_orders: count(row.first_orders),
        },
        spent: Spent::default(),
    };
    Ok(rows.into_iter().map(channel).collect())
}

fn traffic(
    connection: &mut PgConnection,
    site: &Site,
    period: Period,
    windows: &Windows,
    limit: i64,
) -> Result<Vec<TrafficRow>, StoreError> {
    let (start, end) = (moment(windows.current.start), moment(windows.current.end));
    let rows: Vec<CampaignsRow> = sql(include_str!("acquisition_campaigns.sql"))
        .bind::<Integer, _>(site.site_id)
        .bind::<Timestamptz, _>(start)
        .bind::<Timestamptz, _>(start)
        .bind::<Timestamptz, _>(end)
        .bind::<Integer, _>(site.site_id)
        .bind::<Timestamptz, _>(start)
        .bind::<Timestamptz, _>(end)
        .bind::<Text, _>(site.currency.code().to_owned())
        .bind::<Integer, _>(site.site_id)
        .bind::<Timestamptz, _>(start)
        .bind::<Timestamptz, _>(end)
        .bind::<BigInt, _>(limit)
        .bind::<Integer, _>(site.site_id)
        .bind::<Text, _>(period.from.to_string())
        .bind::<Text, _>(period.to.to_string())
        .load(connection)?;
    let row = |row: CampaignsRow| TrafficRow {
        source: row.source,
        campaign: row.campaign,
        channel: row.channel,
        brought: Brought {
            sessions: count(row.sessions),
            orders: count(row.orders),
            revenue_minor: row.revenue_minor,
            first_orders: count(row.first_orders),
        },
    };
    Ok(rows.into_iter().map(row).collect())
}

fn spend(connection: &mut PgConnection, site: &Site, period: Period) -> Result<Vec<SpendRow>, StoreError> {
    // One row per source, campaign and currency of the period's days.
    let rows: Vec<CostRow> = sql("SELECT source, campaign, currency,
            LEAST(GREATEST(sum(cost_minor), -9e18), 9e18)::bigint AS cost_minor,
            LEAST(sum(clicks), 9e18)::bigint AS clicks, LEAST(sum(impressions), 9e18)::bigint AS impressions
         FROM ad_spend WHERE site_id = $1 AND day BETWEEN $2::text::date AND $3::text::date
         GROUP BY source, campaign, currency")
    .bind::<Integer, _>(site.site_id)
    .bind::<Text, _>(period.from.to_string())
    .bind::<Text, _>(period.to.to_string())
    .load(connection)?;
    let row = |row: CostRow| {
        let odd = |_| StoreError::Refused(format!("{} is no currency", row.currency));
        let currency = row.currency.parse().map_err(odd)?;
        Ok(SpendRow {
            source: row.source,
            campaign: row.campaign,
            cost: Money { minor: row.cost_minor, currency },
            clicks: count(row.clicks),
            impressions: count(row.impressions),
        })
    };
    rows.into_iter().map(row).collect()
}

fn search(connection: &mut PgConnection, site: &Site, period: Period, limit: i64) -> Result<Search, StoreError> {
    // One row: the last day of the period of which searches are known, and whether anything tells of them.
    let known: UntilRow = sql("SELECT
            (SELECT max(day)::text FROM search_performance
             WHERE site_id = $1 AND day BETWEEN $2::text::date AND $3::text::date) AS until,
            EXISTS (SELECT FROM sources WHERE site_id = $4 AND kind = 'search-console') AS is_connected")
    .bind::<Integer, _>(site.site_id)
    .bind::<Text, _>(period.from.to_string())
    .bind::<Text, _>(period.to.to_string())
    .bind::<Integer, _>(site.site_id)
    .get_result(connection)?;
    let Some(until) = known.until.as_deref().map(day).transpose()? else {
        return Ok(Search { is_connected: known.is_connected, ..Search::default() });
    };
    let mut of = |cut, limit| searches(connection, site, (period, until), cut, limit);
    let total = of("total", 1)?.pop();
    Ok(Search {
        until: Some(until),
        is_connected: known.is_connected,
        total: total.as_ref().map(|row| row.now).unwrap_or_default(),
        total_before: total.as_ref().map(|row| row.before).unwrap_or_default(),
        queries: of("query", limit)?,
        pages: of("page", limit)?,
    })
}

fn searches(
    connection: &mut PgConnection,
    site: &Site,
    (period, until): (Period, Date),
    cut: &str,
    limit: i64,
) -> Result<Vec<SearchRow>, StoreError> {
    let odd = |error: String| StoreError::Refused(error);
    let previous = period.previous().map_err(|error| odd(error.to_string()))?;
    // As many days as there are known ones.
    let days = (until - period.from).get_days();
    let previous_until = previous.from.checked_add(days.days()).map_err(|error| odd(error.to_string()))?;
    let rows: Vec<SearchesRow> = sql(include_str!("acquisition_search.sql"))
        .bind::<Text, _>(period.from.to_string())
        .bind::<Text, _>(until.to_string())
        .bind::<Text, _>(previous.from.to_string())
        .bind::<Text, _>(previous_until.to_string())
        .bind::<Integer, _>(site.site_id)
        .bind::<Text, _>(cut.to_owned())
        .bind::<Text, _>(cut.to_owned())
        .bind::<BigInt, _>(limit)
        .load(connection)?;
    let row = |row: SearchesRow| SearchRow {
        value: row.value,
        now: SearchCounts {
            clicks: count(row.clicks),
            impressions: count(row.impressions),
            position_sum: row.position_sum,
        },
        before: SearchCounts {
            clicks: count(row.previous_clicks),
            impressions: count(row.previous_impressions),
            position_sum: row.previous_position_sum,
        },
    };
    Ok(rows.into_iter().map(row).collect())
}

fn day(text: &str) -> Result<Date, StoreError> {
    text.parse().map_err(|_| StoreError::Refused(format!("{text} is no day")))
}

fn history(connection: &mut PgConnection, site: &Site, period: Period) -> Result<History, StoreError> {
    let own = first_event_at(connection, site)?.map(|at| crate::segments::report_site(site).day(at));
    // The day before the first own one, or the last there can be.
    let last = own.map_or(Some(Date::MAX), |own| own.checked_sub(1.day()).ok()).unwrap_or(Date::MIN);
    let last = last.min(jiff::civil::date(9999, 12, 30));
    let range: RangeRow = sql("SELECT min(day)::text AS first, max(day)::text AS last FROM web_history
         WHERE site_id = $1 AND dimension = 'total' AND day <= $2::text::date")
    .bind::<Integer, _>(site.site_id)
    .bind::<Text, _>(last.to_string())
    .get_result(connection)?;
    let first = range.first.as_deref().map(day).transpose()?;
    let known = first.zip(range.last.as_deref().map(day).transpose()?);
    // One row per day and tool.
    let rows: Vec<PastRow> = sql("SELECT day::text AS day, system, visitors, visits, views FROM web_history
         WHERE site_id = $1 AND dimension = 'total' AND value = '' AND day BETWEEN $2::text::date AND $3::text::date
         ORDER BY web_history.day DESC, system")
    .bind::<Integer, _>(site.site_id)
    .bind::<Text, _>(period.from.to_string())
    .bind::<Text, _>(period.to.min(last).to_string())
    .load(connection)?;
    let row = |row: PastRow| {
        Ok(HistoryRow {
            day: day(&row.day)?,
            system: row.system,
            visitors: row.visitors.map(count),
            visits: row.visits.map(count),
            views: row.views.map(count),
        })
    };
    let rows = rows.into_iter().map(row).collect::<Result<_, StoreError>>()?;
    Ok(History { first_own_day: own, known, rows })
}
