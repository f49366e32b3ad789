use super::*;
use crate::money::Currency;
use crate::report::PeriodChoice;
use jiff::ToSpan;
use jiff::civil::date;
use jiff::tz::TimeZone;

fn totals(visitors: u64, sessions: u64, orders: u64, revenue_minor: i64) -> Totals {
    Totals { visitors, sessions, orders, revenue: Money { minor: revenue_minor, currency: Currency::USD } }
}

/// A period whose days have the given number of orders at $10 each; visits do not change.
fn orders_by_day(before: &[u64], now: &[u64]) -> Overview {
    let day = |first: Date, orders: &[u64]| -> Vec<Day> {
        orders
            .iter()
            .enumerate()
            .map(|(i, &n)| Day {
                date: first + i64::try_from(i).unwrap().days(),
                totals: totals(100, 120, n, i64::try_from(n).unwrap() * 1_000),
            })
            .collect()
    };
    let sum = |orders: &[u64]| {
        let n: u64 = orders.iter().sum();
        let days = orders.len() as u64;
        totals(100 * days, 120 * days, n, i64::try_from(n).unwrap() * 1_000)
    };
    let length = i64::try_from(now.len()).unwrap();
    let from = date(2026, 11, 1);
    Overview {
        site: Site { id: 1, name: "Shop".into(), currency: Currency::USD, time_zone: TimeZone::UTC },
        period: Period { choice: PeriodChoice::Custom, from, to: from + (length - 1).days() },
        now: "2026-11-23T12:00:00Z".parse().unwrap(),
        first_event_at: None,
        totals: sum(now),
        previous: sum(before),
        days: day(from, now),
        previous_days: day(from - length.days(), before),
        pages: Vec::new(),
        channels: Vec::new(),
        audience: Vec::new(),
        measured_visitors: 0,
        aside: OrdersAside::default(),
    }
}

fn channel(name: &str, before: i64, now: i64) -> ChannelRow {
    let money = |minor| Money { minor, currency: Currency::USD };
    ChannelRow {
        key: name.to_lowercase(),
        name: name.into(),
        new_people: 0,
        sessions: 10,
        orders: u64::try_from(now / 1_000).unwrap(),
        revenue: money(now),
        previous_sessions: 10,
        previous_orders: u64::try_from(before / 1_000).unwrap(),
        previous_revenue: money(before),
    }
}

fn page(name: &str, before: u64, now: u64) -> PageRow {
    PageRow { page: name.into(), title: None, views: now, visitors: now, entries: 0, previous_views: before }
}

#[test]
fn a_change_beyond_the_days_own_spread_is_certain() {
    let overview = orders_by_day(&[10, 11, 9, 10, 12, 10, 9], &[14, 15, 13, 15, 14, 16, 14]);
    let changes = overview.changes();
    let said: Vec<_> = changes
        .iter()
        .map(|change| match change {
            Change::Measure { measure, certain, .. } => (*measure, *certain),
            Change::Page { .. } => unreachable!("no pages in this report"),
        })
        .collect();
    assert_eq!(said, [(Measure::Revenue, true), (Measure::Orders, true)]);
}

#[test]
fn a_large_change_of_restless_days_is_said_to_be_uncertain() {
    let overview = orders_by_day(&[0, 30, 2, 0, 25, 1, 0], &[40, 0, 1, 35, 0, 0, 4]);
    assert!(overview.changes().iter().all(|change| matches!(change, Change::Measure { certain: false, .. })));
    assert_eq!(overview.changes().len(), 2);
}

#[test]
fn small_changes_are_left_unsaid_however_certain() {
    assert_eq!(orders_by_day(&[1000; 7], &[1030; 7]).changes(), []);
    assert_eq!(orders_by_day(&[0; 7], &[5; 7]).changes(), [], "nothing before, nothing to compare with");
}

#[test]
fn few_days_are_judged_by_their_counts_and_revenue_is_never_called_certain() {
    let overview = orders_by_day(&[20, 20], &[40, 40]);
    let certain = |wanted| {
        overview
            .changes()
            .iter()
            .any(|change| matches!(change, Change::Measure { measure, certain: true, .. } if *measure == wanted))
    };
    assert!(certain(Measure::Orders));
    assert!(!certain(Measure::Revenue));
}

#[test]
fn the_driver_is_the_channel_that_brings_more_than_half() {
    let mut overview = orders_by_day(&[10; 7], &[15; 7]);
    let driver = |overview: &Overview| match overview.changes().into_iter().next() {
        Some(Change::Measure { driver, .. }) => driver.map(|driver| driver.name),
        Some(Change::Page { .. }) | None => None,
    };
    overview.channels = vec![channel("Direct", 35_000, 42_000), channel("Newsletter", 35_000, 63_000)];
    assert_eq!(driver(&overview), Some("Newsletter".to_owned()));
    overview.channels = vec![channel("Direct", 35_000, 52_500), channel("Newsletter", 35_000, 52_500)];
    assert_eq!(driver(&overview), None, "two halves are no driver");
    overview.channels = vec![channel("Direct", 70_000, 10_000)];
    assert_eq!(driver(&overview), None, "against the change");
}

#[test]
fn only_a_page_far_beyond_the_sites_own_change_is_mentioned() {
    let mut overview = orders_by_day(&[10; 7], &[10; 7]);
    overview.pages = vec![page("shop/a", 100, 130), page("shop/b", 400, 900), page("shop/new", 0, 700)];
    assert_eq!(overview.changes(), [Change::Page { page: "shop/b".into(), moved: Moved { before: 400, now: 900 } }]);
    overview.pages = vec![page("shop/a", 100, 130)];
    assert_eq!(overview.changes(), []);
}

#[test]
fn every_table_has_its_file() {
    let mut overview = orders_by_day(&[1, 2], &[3, 4]);
    overview.channels = vec![channel("Direct", 35_000, 42_050)];
    overview.pages = vec![page("shop.example/=x", 1, 2)];
    insta::assert_snapshot!(
        [OverviewTable::Days, OverviewTable::Pages, OverviewTable::Channels]
            .map(|table| overview.csv(table).replace("\r\n", "\n"))
            .join("\n")
    );
}
