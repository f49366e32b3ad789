//! What others would have counted of the demo's shop: advertising's cost, searches, and a tool it had before.

use super::calendar::{CHANNELS, Channel};
use super::random::Random;
use crate::store::marketing::{AdSpend, SearchCut, SearchPerformance, WebHistory};
use domain::money::{Currency, Money};
use jiff::ToSpan;
use jiff::civil::Date;

/// Days of advertising and of searches that are told.
const DAYS: i32 = 365;
/// Days of the former tool, before the year began.
const HISTORY_DAYS: i32 = 120;
/// Search figures come this many days late.
const LATE_DAYS: i32 = 2;

const QUERIES: [(&str, f64, f64); 8] = [
    ("kettle and crema", 60.0, 1.1),
    ("gooseneck kettle", 420.0, 7.2),
    ("hand coffee grinder", 380.0, 8.9),
    ("pour over kettle", 260.0, 6.1),
    ("best coffee scale", 190.0, 11.4),
    ("decaf beans online", 150.0, 9.6),
    ("coffee filters 02", 120.0, 5.3),
    ("how to descale a kettle", 310.0, 4.4),
];

const PAGES: [(&str, f64, f64); 4] = [
    ("/products/gooseneck-kettle", 640.0, 6.8),
    ("/products/hand-grinder", 410.0, 8.4),
    ("/", 180.0, 2.0),
    ("/journal/descaling", 300.0, 4.6),
];

/// The year's days, last one first.
fn days(end: Date, from_ago: i32, to_ago: i32) -> impl Iterator<Item = Date> {
    (from_ago..to_ago).filter_map(move |ago| end.checked_sub(ago.days()).ok())
}

fn campaigns(channel: Channel) -> &'static [(&'static str, &'static str, f64)] {
    match channel {
        Channel::PaidSearch => &[
            ("google", "brand", 2.1),
            ("google", "kettles", 5.4),
            ("google", "grinders", 4.2),
            ("google", "remnants", 0.8),
        ],
        Channel::PaidSocial => {
            &[("instagram", "slow-mornings", 3.6), ("instagram", "gift-guide", 2.9), ("facebook", "gift-guide", 1.4)]
        }
        Channel::Organic | Channel::Direct | Channel::Referral | Channel::Newsletter => &[],
    }
}

/// What the campaigns of the year cost by day; one of them nobody ever comes by.
pub(super) fn spend(seed: u64, end: Date) -> Vec<AdSpend> {
    let mut random = Random::new(seed, 71);
    let paid: Vec<_> = CHANNELS.into_iter().flat_map(|channel| campaigns(channel).iter()).collect();
    let mut rows = Vec::new();
    for day in days(end, 0, DAYS) {
        let quarter = (day.month() - 1) / 3 + 1;
        for (source, name, dollars) in &paid {
            let clicks = random.gamma(4.0, dollars * 0.5).round();
            let cost = clicks * random.lognormal(48.0, 0.2);
            rows.push(AdSpend {
                day,
                source: (*source).to_owned(),
                campaign: format!("{name}-{}-q{quarter}", day.year()),
                cost: Money { minor: cost.round() as i64, currency: Currency::USD },
                clicks: clicks as i64,
                impressions: (clicks * random.lognormal(38.0, 0.3)).round() as i64,
            });
        }
    }
    rows
}

/// What searches led to the shop.
pub(super) fn searches(seed: u64, end: Date, domain: &str) -> Vec<SearchPerformance> {
    let mut random = Random::new(seed, 72);
    let mut rows = Vec::new();
    for day in days(end, LATE_DAYS, DAYS) {
        let (mut clicks, mut impressions, mut positions) = (0, 0, 0.0);
        let mut one = |cut, shown: f64, place: f64, random: &mut Random| {
            let impressions = random.gamma(9.0, shown / 90.0).round();
            let position = (place * random.lognormal(1.0, 0.08)).max(1.0);
            let clicks = (impressions * 0.32 / position).round() as i64;
            let impressions = impressions as i64;
            rows.push(SearchPerformance { day, cut, country: None, device: None, clicks, impressions, position });
            (clicks, impressions, position * impressions as f64)
        };
        for (query, shown, place) in QUERIES {
            one(SearchCut::Query(query.to_owned()), shown, place, &mut random);
        }
        for (path, shown, place) in PAGES {
            let told = one(SearchCut::Page(format!("https://{domain}{path}")), shown, place, &mut random);
            (clicks, impressions, positions) = (clicks + told.0, impressions + told.1, positions + told.2);
        }
        let position = if impressions > 0 { positions / impressions as f64 } else { 0.0 };
        rows.push(SearchPerformance {
            day,
            cut: SearchCut::Total,
            country: None,
            device: None,
            clicks,
            impressions,
            position,
        });
    }
    rows
}

/// What the tool counted that the shop had before.
pub(super) fn history(seed: u64, end: Date) -> Vec<WebHistory> {
    let mut random = Random::new(seed, 73);
    let past = days(end, DAYS + 1, DAYS + 1 + HISTORY_DAYS);
    past.map(|day| {
        let visitors = random.gamma(12.0, 3.0).round();
        let visits = (visitors * 1.2).round();
        WebHistory {
            day,
            system: "google-analytics".to_owned(),
            dimension: "total".to_owned(),
            value: String::new(),
            visitors: Some(visitors as i64),
            visits: Some(visits as i64),
            views: Some((visits * 3.1).round() as i64),
            bounces: Some((visits * 0.4).round() as i64),
            visit_seconds: Some((visits * 95.0).round() as i64),
            events: None,
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_same_seed_tells_the_same_and_costs_are_in_the_shops_currency() {
        let end = date(2026, 11, 25);
        assert_eq!(spend(1, end), spend(1, end));
        assert_eq!(searches(1, end, "shop.example").len(), 363 * (QUERIES.len() + PAGES.len() + 1));
        let spent = spend(1, end);
        assert!(spent.iter().all(|row| row.cost.currency.code() == super::super::CURRENCY));
        let year = spent.iter().map(|row| row.cost.minor).sum::<i64>() / 100;
        assert!((1_000..20_000).contains(&year), "a small shop's year of advertising: {year}");
        assert!(history(1, end).iter().all(|row| row.day < date(2025, 11, 25)));
    }
}
