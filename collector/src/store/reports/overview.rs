//! The overview of a period, beside the period before.

use super::{SumRow, channel_name, count, moment};
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz};
use domain::money::Money;
use domain::report::{
    AudienceRow, AudienceTable, Breakdown, ChannelRow, Day, OrdersAside, Overview, PageRow, Period, Totals, Windows,
};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use std::collections::HashMap;

#[derive(QueryableByName)]
struct VisitsRow {
    #[diesel(sql_type = SmallInt)]
    period: i16,
    #[diesel(sql_type = Nullable<Text>)]
    day: Option<String>,
    #[diesel(sql_type = BigInt)]
    sessions: i64,
    #[diesel(sql_type = BigInt)]
    visitors: i64,
}

#[derive(QueryableByName)]
struct OrdersRow {
    #[diesel(sql_type = SmallInt)]
    period: i16,
    #[diesel(sql_type = Nullable<Text>)]
    day: Option<String>,
    #[diesel(sql_type = BigInt)]
    orders: i64,
    #[diesel(sql_type = BigInt)]
    revenue_minor: i64,
}

#[derive(QueryableByName)]
struct ChannelsRow {
    #[diesel(sql_type = Text)]
    channel: String,
    #[diesel(sql_type = BigInt)]
    new_people: i64,
    #[diesel(sql_type = BigInt)]
    sessions: i64,
    #[diesel(sql_type = BigInt)]
    previous_sessions: i64,
    #[diesel(sql_type = BigInt)]
    orders: i64,
    #[diesel(sql_type = BigInt)]
    previous_orders: i64,
    #[diesel(sql_type = BigInt)]
    revenue_minor: i64,
    #[diesel(sql_type = BigInt)]
    previous_revenue_minor: i64,
}

#[derive(QueryableByName)]
struct VisitorsRow {
    #[diesel(sql_type = Text)]
    dimension: String,
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
    #[diesel(sql_type = BigInt)]
    sessions: i64,
    #[diesel(sql_type = BigInt)]
    previous_sessions: i64,
}

#[derive(QueryableByName)]
struct PagesRow {
    #[diesel(sql_type = Integer)]
    page_id: i32,
    #[diesel(sql_type = Text)]
    page: String,
    #[diesel(sql_type = BigInt)]
    views: i64,
    #[diesel(sql_type = BigInt)]
    visitors: i64,
    #[diesel(sql_type = BigInt)]
    entries: i64,
    #[diesel(sql_type = BigInt)]
    previous_views: i64,
}

#[derive(QueryableByName)]
struct TitleRow {
    #[diesel(sql_type = Integer)]
    page_id: i32,
    #[diesel(sql_type = Text)]
    title: String,
}

#[derive(QueryableByName)]
struct AsideRow {
    #[diesel(sql_type = BigInt)]
    unconfirmed: i64,
    #[diesel(sql_type = BigInt)]
    without_amount: i64,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct FirstRow {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    first_event_at: Option<PgTimestamp>,
}

/// The overview of `period`, whose moments are `windows`; at most `pages` pages.
pub(crate) fn overview(
    store: &Store,
    site: &Site,
    period: Period,
    windows: &Windows,
    pages: i64,
    now: Timestamp,
) -> Result<Overview, StoreError> {
    let previous = period.previous().map_err(|error| StoreError::Refused(error.to_string()))?;
    store.read(|connection| {
        let mut measures = [Measured::new(site), Measured::new(site)];
        visits(connection, site, windows, &mut measures)?;
        orders(connection, site, windows, &mut measures)?;
        let [this, before] = measures;
        Ok(Overview {
            site: crate::segments::report_site(site),
            period,
            now,
            first_event_at: first_event_at(connection, site)?,
            totals: this.whole,
            previous: before.whole,
            days: this.days(period.from, period.to),
            previous_days: before.days(previous.from, previous.to),
            pages: top_pages(connection, site, windows, pages)?,
            channels: channels(connection, site, windows)?,
            audience: audience(connection, site, windows)?,
            measured_visitors: measured_visitors(connection, site, windows)?,
            aside: aside(connection, site, windows)?,
        })
    })
}

/// The measures of one period, by day and as a whole.
struct Measured {
    none: Totals,
    whole: Totals,
    by_day: HashMap<Date, Totals>,
}

impl Measured {
    fn new(site: &Site) -> Measured {
        let none = Totals { visitors: 0, sessions: 0, orders: 0, revenue: Money { minor: 0, currency: site.currency } };
        Measured { none, whole: none, by_day: HashMap::new() }
    }

    /// The place of a row's numbers: its day, or the whole period where it has none.
    fn at(&mut self, day: Option<&str>) -> Result<&mut Totals, StoreError> {
        match day {
            None => Ok(&mut self.whole),
            Some(text) => {
                let day = text.parse().map_err(|_| StoreError::Refused(format!("{text} is no day")))?;
                Ok(self.by_day.entry(day).or_insert(self.none))
            }
        }
    }

    fn days(&self, from: Date, to: Date) -> Vec<Day> {
        let days = from.series(1.day()).take_while(|day| *day <= to);
        days.map(|date| Day { date, totals: self.by_day.get(&date).copied().unwrap_or(self.none) }).collect()
    }
}

fn measured_at<'a>(
    measures: &'a mut [Measured; 2],
    period: i16,
    day: Option<&str>,
) -> Result<&'a mut Totals, StoreError> {
    measures[usize::from(period == 1)].at(day)
}

fn visits(
    connection: &mut PgConnection,
    site: &Site,
    windows: &Windows,
    measures: &mut [Measured; 2],
) -> Result<(), StoreError> {
    let rows: Vec<VisitsRow> = sql(include_str!("overview_visits.sql"))
        .bind::<Text, _>(zone(site))
        .bind::<Timestamptz, _>(moment(windows.current.start))
        .bind::<Timestamptz, _>(moment(windows.current.end))
        .bind::<Timestamptz, _>(moment(windows.previous.start))
        .bind::<Timestamptz, _>(moment(windows.previous.end))
        .bind::<Integer, _>(site.site_id)
        .load(connection)?;
    for row in rows {
        let totals = measured_at(measures, row.period, row.day.as_deref())?;
        (totals.sessions, totals.visitors) = (count(row.sessions), count(row.visitors));
    }
    Ok(())
}

fn orders(
    connection: &mut PgConnection,
    site: &Site,
    windows: &Windows,
    measures: &mut [Measured; 2],
) -> Result<(), StoreError> {
    let rows: Vec<OrdersRow> = sql(include_str!("overview_orders.sql"))
        .bind::<Text, _>(site.currency.code().to_owned())
        .bind::<Text, _>(zone(site))
        .bind::<Timestamptz, _>(moment(windows.current.start))
        .bind::<Timestamptz, _>(moment(windows.current.end))
        .bind::<Timestamptz, _>(moment(windows.previous.start))
        .bind::<Timestamptz, _>(moment(windows.previous.end))
        .bind::<Integer, _>(site.site_id)
        .load(connection)?;
    for row in rows {
        let totals = measured_at(measures, row.period, row.day.as_deref())?;
        totals.orders = count(row.orders);
        totals.revenue.minor = row.revenue_minor;
    }
    Ok(())
}

fn channels(connection: &mut PgConnection, site: &Site, windows: &Windows) -> Result<Vec<ChannelRow>, StoreError> {
    let rows: Vec<ChannelsRow> = sql(include_str!("overview_channels.sql"))
        .bind::<Timestamptz, _>(moment(windows.current.start))
        .bind::<Timestamptz, _>(moment(windows.current.end))
        .bind::<Timestamptz, _>(moment(windows.previous.start))
        .bind::<Timestamptz, _>(moment(windows.previous.end))
        .bind::<Integer, _>(site.site_id)
        .bind::<Text, _>(site.currency.code().to_owned())
        .bind::<Integer, _>(site.site_id)
        .bind::<Integer, _>(site.site_id)
        .load(connection)?;
    let money = |minor| Money { minor, currency: site.currency };
    let channel = |row: ChannelsRow| ChannelRow {
        name: channel_name(&row.channel),
        key: row.channel,
        new_people: count(row.new_people),
        sessions: count(row.sessions),
        orders: count(row.orders),
        revenue: money(row.revenue_minor),
        previous_sessions: count(row.previous_sessions),
        previous_orders: count(row.previous_orders),
        previous_revenue: money(row.previous_revenue_minor),
    };
    Ok(rows.into_iter().map(channel).collect())
}

fn audience(connection: &mut PgConnection, site: &Site, windows: &Windows) -> Result<Vec<AudienceTable>, StoreError> {
    let rows: Vec<VisitorsRow> = sql(include_str!("overview_audience.sql"))
        .bind::<Timestamptz, _>(moment(windows.current.start))
        .bind::<Timestamptz, _>(moment(windows.current.end))
        .bind::<Timestamptz, _>(moment(windows.previous.start))
        .bind::<Timestamptz, _>(moment(windows.previous.end))
        .bind::<Integer, _>(site.site_id)
        .load(connection)?;
    let mut tables = Breakdown::ALL.map(|by| AudienceTable { by, rows: Vec::new() });
    for row in rows {
        if let Some(table) = tables.iter_mut().find(|table| table.by.key() == row.dimension) {
            table.rows.push(AudienceRow {
                value: row.value,
                sessions: count(row.sessions),
                previous_sessions: count(row.previous_sessions),
            });
        }
    }
    Ok(tables.into())
}

fn top_pages(
    connection: &mut PgConnection,
    site: &Site,
    windows: &Windows,
    limit: i64,
) -> Result<Vec<PageRow>, StoreError> {
    let rows: Vec<PagesRow> = sql(include_str!("overview_pages.sql"))
        .bind::<Integer, _>(site.site_id)
        .bind::<Timestamptz, _>(moment(windows.current.start))
        .bind::<Timestamptz, _>(moment(windows.current.end))
        .bind::<BigInt, _>(limit)
        .bind::<Integer, _>(site.site_id)
        .bind::<Timestamptz, _>(moment(windows.current.start))
        .bind::<Timestamptz, _>(moment(windows.current.end))
        .bind::<Integer, _>(site.site_id)
        .bind::<Timestamptz, _>(moment(windows.previous.start))
        .bind::<Timestamptz, _>(moment(windows.previous.end))
        .bind::<Integer, _>(site.site_id)
        .load(connection)?;
    let titles: Vec<TitleRow> = sql(include_str!("overview_titles.sql"))
        .bind::<Integer, _>(site.site_id)
        .bind::<Timestamptz, _>(moment(windows.current.start))
        .bind::<Timestamptz, _>(moment(windows.current.end))
        .bind::<Array<Integer>, _>(rows.iter().map(|row| row.page_id).collect::<Vec<_>>())
        .bind::<Integer, _>(site.site_id)
        .bind::<Integer, _>(site.site_id)
        .load(connection)?;
    let mut titles: HashMap<i32, String> = titles.into_iter().map(|row| (row.page_id, row.title)).collect();
    let page = |row: PagesRow| PageRow {
        title: titles.remove(&row.page_id),
        page: row.page,
        views: count(row.views),
        visitors: count(row.visitors),
        entries: count(row.entries),
        previous_views: count(row.previous_views),
    };
    Ok(rows.into_iter().map(page).collect())
}

fn measured_visitors(connection: &mut PgConnection, site: &Site, windows: &Windows) -> Result<u64, StoreError> {
    // One number: visitors of the period who have no profile.
    let row: CountRow = sql("SELECT count(DISTINCT s.profile_id) AS n FROM sessions s
         WHERE s.site_id = $1 AND s.started_at >= $2 AND s.started_at < $3
           AND NOT EXISTS (SELECT FROM profiles p WHERE p.site_id = s.site_id AND p.profile_id = s.profile_id)")
    .bind::<Integer, _>(site.site_id)
    .bind::<Timestamptz, _>(moment(windows.current.start))
    .bind::<Timestamptz, _>(moment(windows.current.end))
    .get_result(connection)?;
    Ok(count(row.n))
}

fn aside(connection: &mut PgConnection, site: &Site, windows: &Windows) -> Result<OrdersAside, StoreError> {
    // One row per other currency: the sum of the period's counted orders in it, largest first.
    let sums: Vec<SumRow> =
        sql("SELECT currency, LEAST(GREATEST(sum(total_minor - COALESCE(refunded_minor, 0)), -9e18), 9e18)::bigint AS minor FROM orders
         WHERE site_id = $1 AND ordered_at >= $2 AND ordered_at < $3
           AND counted AND currency <> $4 AND total_minor IS NOT NULL
         GROUP BY currency ORDER BY count(*) DESC, currency")
        .bind::<Integer, _>(site.site_id)
        .bind::<Timestamptz, _>(moment(windows.current.start))
        .bind::<Timestamptz, _>(moment(windows.current.end))
        .bind::<Text, _>(site.currency.code().to_owned())
        .load(connection)?;
    let counts: AsideRow = sql("SELECT count(*) FILTER (WHERE NOT counted AND cancelled IS NOT TRUE) AS unconfirmed,
                count(*) FILTER (WHERE counted AND total_minor IS NULL) AS without_amount
         FROM orders WHERE site_id = $1 AND ordered_at >= $2 AND ordered_at < $3")
    .bind::<Integer, _>(site.site_id)
    .bind::<Timestamptz, _>(moment(windows.current.start))
    .bind::<Timestamptz, _>(moment(windows.current.end))
    .get_result(connection)?;
    Ok(OrdersAside {
        other_currencies: super::sums(sums)?,
        unconfirmed: count(counts.unconfirmed),
        without_amount: count(counts.without_amount),
    })
}

/// The earliest moment that is cheap to find: the first visit, the first order, or when whoever was not seen for the
/// longest time was first seen. There is one as soon as there is an event.
pub(super) fn first_event_at(connection: &mut PgConnection, site: &Site) -> Result<Option<Timestamp>, StoreError> {
    let row: FirstRow = sql("SELECT LEAST(
            (SELECT min(started_at) FROM sessions WHERE site_id = $1),
            (SELECT min(ordered_at) FROM orders WHERE site_id = $2),
            (SELECT first_seen FROM profiles WHERE site_id = $3 ORDER BY last_seen LIMIT 1)) AS first_event_at")
    .bind::<Integer, _>(site.site_id)
    .bind::<Integer, _>(site.site_id)
    .bind::<Integer, _>(site.site_id)
    .get_result(connection)?;
    Ok(row.first_event_at.map(from_timestamp))
}

/// The site's time zone as PostgreSQL knows it.
pub(super) fn zone(site: &Site) -> String {
    site.time_zone.iana_name().unwrap_or("UTC").to_owned()
}
