//! Where people come from and what that cost: a month with everything, nothing at all, and hostile names.

use super::fixtures::{HOSTILE, now, site};
use domain::money::{Currency, Money};
use domain::report::{
    Acquisition, Brought, ChannelCost, History, HistoryRow, Period, Search, SearchCounts, SearchRow, SpendRow, Spent,
    TrafficRow, match_campaigns,
};
use jiff::civil::date;

fn brought(sessions: u64, orders: u64, revenue_minor: i64, first_orders: u64) -> Brought {
    Brought { sessions, orders, revenue_minor, first_orders }
}

fn traffic(source: &str, campaign: &str, channel: &str, brought: Brought) -> TrafficRow {
    TrafficRow { source: source.into(), campaign: campaign.into(), channel: channel.into(), brought }
}

fn spend(source: &str, campaign: &str, currency: Currency, minor: i64, clicks: u64) -> SpendRow {
    let cost = Money { minor, currency };
    SpendRow { source: source.into(), campaign: campaign.into(), cost, clicks, impressions: clicks * 40 }
}

fn counts(clicks: u64, impressions: u64, position: f64) -> SearchCounts {
    SearchCounts { clicks, impressions, position_sum: position * impressions as f64 }
}

fn search_row(value: &str, now: SearchCounts, before: SearchCounts) -> SearchRow {
    SearchRow { value: value.into(), now, before }
}

fn period() -> Period {
    Period::read(Some("30d"), None, None, date(2026, 11, 23)).expect("a period")
}

fn told(traffic: &[TrafficRow], spend: &[SpendRow]) -> Acquisition {
    let (campaigns, unmatched) = match_campaigns(traffic, spend, Currency::USD);
    let channel = |key: &str, name: &str, brought| ChannelCost {
        key: key.into(),
        name: name.into(),
        brought,
        spent: Spent::default(),
    };
    let mut channels = vec![
        channel("organic_search", "Organic search", brought(1_240, 31, 182_050, 19)),
        channel("paid_search", "Paid search", brought(410, 22, 131_900, 12)),
        channel("email", "Newsletter", brought(260, 18, 99_000, 0)),
    ];
    Acquisition::share_costs(&mut channels, &campaigns);
    Acquisition {
        site: site(),
        period: period(),
        now: now(),
        channels,
        campaigns,
        unmatched,
        search: Search {
            until: Some(date(2026, 11, 21)),
            is_connected: true,
            total: counts(1_530, 48_200, 7.4),
            total_before: counts(1_410, 50_100, 7.9),
            queries: vec![
                search_row("gooseneck kettle", counts(310, 9_800, 6.1), counts(240, 9_100, 7.0)),
                search_row("descale a kettle", counts(120, 8_400, 4.2), SearchCounts::default()),
            ],
            pages: vec![search_row("https://shop.example/kettles", counts(420, 12_000, 5.5), counts(430, 12_400, 5.4))],
        },
        history: History {
            first_own_day: Some(date(2026, 11, 2)),
            known: Some((date(2025, 1, 1), date(2026, 11, 1))),
            rows: vec![
                HistoryRow {
                    day: date(2026, 11, 1),
                    system: "google-analytics".into(),
                    visitors: Some(812),
                    visits: Some(960),
                    views: Some(3_110),
                },
                HistoryRow {
                    day: date(2026, 11, 1),
                    system: "matomo".into(),
                    visitors: None,
                    visits: Some(940),
                    views: Some(3_020),
                },
            ],
        },
    }
}

pub(crate) fn acquisition() -> Acquisition {
    told(
        &[
            traffic("google", "brand-q4", "paid_search", brought(300, 18, 110_000, 9)),
            traffic("google", "kettles-q4", "paid_search", brought(110, 4, 21_900, 3)),
            traffic("letter", "sunday-pour", "email", brought(260, 18, 99_000, 0)),
        ],
        &[
            spend("google", "Brand-Q4", Currency::USD, 24_000, 310),
            spend("google", "kettles-q4", Currency::USD, 31_250, 125),
            spend("google", "kettles-q4", Currency::EUR, 4_000, 16),
            spend("meta", "Autumn", Currency::USD, 9_900, 80),
        ],
    )
}

pub(crate) fn empty() -> Acquisition {
    Acquisition {
        channels: Vec::new(),
        campaigns: Vec::new(),
        unmatched: Vec::new(),
        search: Search::default(),
        history: History::default(),
        ..acquisition()
    }
}

pub(crate) fn hostile() -> Acquisition {
    let mut report = told(
        &[traffic(HOSTILE, HOSTILE, HOSTILE, brought(1, 0, 0, 0))],
        &[spend(HOSTILE, HOSTILE, Currency::USD, 1, 1), spend("x", HOSTILE, Currency::USD, 1, 1)],
    );
    report.channels[0].name = HOSTILE.into();
    report.search.queries[0].value = HOSTILE.into();
    report.search.pages[0].value = HOSTILE.into();
    report.history.rows[0].system = HOSTILE.into();
    report
}
