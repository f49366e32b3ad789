//! Reports to look at: a coffee shop with a busy month, a shop that has just begun, and one that everybody attacks.

use dashboard::{Assets, Flash, FlashKind, Outside, Shell, SiteLink};
use domain::event::{ProfileId, Trust};
use domain::money::{Currency, Money};
use domain::report::*;
use domain::segment::Cause;
use domain::segment::cluster::ClusterId;
use domain::segment::cluster::feature::Feature;
use domain::segment::library::Theme;
use domain::segment::lifecycle::{Basis, Buyers, Curve, CurvePoint, Limits, LimitsVersion, Rhythm};
use domain::segment::predict::{self, Kind, Measures, Method, Trial};
use domain::segment::rfm::Thresholds;
use domain::segment::rule::Word;
use domain::surroundings::{EmailClass, Surroundings};
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use uuid::Uuid;

/// What somebody might send to break a page.
pub(crate) const HOSTILE: &str =
    "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}&lt;\u{202e}<!--";

pub(crate) fn shell() -> Shell {
    let sites = vec![link(1, "shop.example"), link(2, "CDNOW 1997–98")];
    Shell {
        assets: Assets { css: "app.css".into(), app_js: "app.js".into(), charts_js: "charts.js".into() },
        user_email: "owner@shop.example".into(),
        csrf_token: "csrf-token".into(),
        site: sites.first().cloned(),
        sites,
        flash: None,
    }
}

pub(crate) fn flashing(kind: FlashKind, text: &str) -> Shell {
    Shell { flash: Some(Flash { kind, text: text.into() }), ..shell() }
}

pub(crate) fn outside() -> Outside {
    Outside { assets: shell().assets, csrf_token: "csrf-token".into() }
}

fn link(id: i32, name: &str) -> SiteLink {
    SiteLink { id, name: name.into() }
}

pub(crate) fn site() -> Site {
    Site {
        id: 1,
        name: "shop.example".into(),
        currency: Currency::USD,
        time_zone: TimeZone::get("Europe/Berlin").expect("a known zone"),
    }
}

pub(crate) fn now() -> Timestamp {
    "2026-11-23T13:42:10Z".parse().expect("a moment")
}

fn today() -> Date {
    date(2026, 11, 23)
}

fn usd(minor: i64) -> Money {
    Money { minor, currency: Currency::USD }
}

pub(crate) fn ago(minutes: i64) -> Timestamp {
    now() - minutes.minutes()
}

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(0x0193_5a00_0000_7000_8000_0000_0000_0000 + n)
}

/// Repeatable ups and downs around a level.
fn wave(i: usize, level: u64, spread: u64) -> u64 {
    let step = (i as u64 * 7919 + level * 31) % 17;
    level + spread * step / 17 - if i % 7 >= 5 { spread / 2 } else { 0 }
}

fn days(first: Date, count: usize, level: u64, growth: u64) -> Vec<Day> {
    (0..count)
        .map(|i| {
            let visitors = wave(i, level + growth * i as u64 / 10, level / 3);
            let orders = wave(i, level / 30, level / 60);
            Day {
                date: first + (i as i64).days(),
                totals: Totals {
                    visitors,
                    sessions: visitors + visitors / 5,
                    orders,
                    revenue: usd(orders as i64 * 4_150 + (i as i64 * 137) % 900),
                },
            }
        })
        .collect()
}

fn sum(days: &[Day]) -> Totals {
    let add = |of: fn(&Totals) -> u64| days.iter().map(|day| of(&day.totals)).sum::<u64>();
    Totals {
        visitors: add(|t| t.visitors) * 3 / 4,
        sessions: add(|t| t.sessions),
        orders: add(|t| t.orders),
        revenue: usd(days.iter().map(|day| day.totals.revenue.minor).sum()),
    }
}

pub(crate) fn overview() -> Overview {
    let period = Period::choose(PeriodChoice::Last(30), today()).expect("a period");
    let days_now = days(period.from, 30, 620, 90);
    let days_before = days(period.previous().expect("a period").from, 30, 560, 10);
    let page = |page: &str, title: &str, views, visitors, previous_views| PageRow {
        page: page.into(),
        title: Some(title.into()),
        views,
        visitors,
        entries: visitors / 2,
        previous_views,
    };
    let channel = |key: &str, name: &str, people, sessions, orders, revenue, before: (u64, u64, i64)| ChannelRow {
        key: key.into(),
        name: name.into(),
        new_people: people,
        sessions,
        orders,
        revenue: usd(revenue),
        previous_sessions: before.0,
        previous_orders: before.1,
        previous_revenue: usd(before.2),
    };
    Overview {
        site: site(),
        period,
        now: now(),
        first_event_at: Some("2025-11-20T08:00:00Z".parse().expect("a moment")),
        totals: sum(&days_now),
        previous: sum(&days_before),
        days: days_now,
        previous_days: days_before,
        pages: vec![
            page("shop.example/", "Roasted on Tuesdays", 9_412, 6_120, 8_800),
            page("shop.example/coffee/oat-blend", "Oat blend 1 kg", 5_230, 3_911, 2_105),
            page("shop.example/brewing-guide/a-long-story-about-water-and-heat", "Brewing guide", 3_980, 3_402, 4_100),
            page("shop.example/cart", "Cart", 1_204, 801, 1_188),
            page("shop.example/checkout", "Checkout", 702, 555, 690),
        ],
        channels: vec![
            channel("organic_search", "Organic search", 3_204, 9_870, 236, 1_012_000, (8_020, 205, 870_000)),
            channel("email", "Newsletter", 118, 5_410, 221, 890_900, (3_900, 140, 560_000)),
            channel("paid_social", "Paid social", 2_450, 4_377, 101, 443_000, (4_500, 104, 441_200)),
            channel("direct", "Direct", 1_902, 2_903, 66, 226_000, (2_880, 69, 232_000)),
            channel("referral", "Referral", 77, 201, 4, 15_500, (0, 0, 0)),
        ],
        audience: audience(),
        measured_visitors: 1_204,
        aside: OrdersAside {
            other_currencies: vec![Money { minor: 41_250, currency: Currency::EUR }],
            unconfirmed: 3,
            without_amount: 1,
        },
    }
}

fn audience() -> Vec<AudienceTable> {
    let table = |by: Breakdown| {
        let values: &[Option<&str>] = match by {
            Breakdown::Countries => {
                &[Some("US"), Some("AT"), Some("DE"), None, Some("CH"), Some("FR"), Some("GB"), Some("NL"), Some("XK")]
            }
            Breakdown::Devices => &[Some("mobile"), Some("desktop"), Some("tablet"), Some("tv")],
            Breakdown::Browsers => &[Some("Chrome"), Some("Safari"), Some("Firefox")],
            Breakdown::Systems => &[Some("iOS"), Some("Windows"), Some("Android")],
            Breakdown::Languages => &[Some("en"), Some("de"), None],
        };
        let row = |(n, value): (u64, &Option<&str>)| AudienceRow {
            value: value.map(str::to_owned),
            sessions: 9_000 / n,
            previous_sessions: if n == 3 { 0 } else { 8_000 / n },
        };
        AudienceTable { by, rows: (1..).zip(values).map(row).collect() }
    };
    Breakdown::ALL.map(table).into()
}

pub(crate) fn overview_empty() -> Overview {
    let full = overview();
    let nothing = Totals { visitors: 0, sessions: 0, orders: 0, revenue: usd(0) };
    let blank = |days: &[Day]| days.iter().map(|day| Day { totals: nothing, ..*day }).collect::<Vec<_>>();
    Overview {
        totals: nothing,
        previous: nothing,
        days: blank(&full.days),
        previous_days: blank(&full.previous_days),
        pages: Vec::new(),
        channels: Vec::new(),
        audience: Breakdown::ALL.map(|by| AudienceTable { by, rows: Vec::new() }).into(),
        measured_visitors: 0,
        aside: OrdersAside::default(),
        first_event_at: None,
        ..full
    }
}

pub(crate) fn overview_hostile() -> Overview {
    let mut report = overview();
    report.site.name = HOSTILE.into();
    for row in &mut report.pages {
        row.page = format!("{HOSTILE}/{}", row.page);
        row.title = Some(HOSTILE.into());
    }
    for row in &mut report.channels {
        row.key = HOSTILE.into();
        row.name = HOSTILE.into();
    }
    for row in report.audience.iter_mut().flat_map(|table| &mut table.rows) {
        row.value = Some(HOSTILE.into());
    }
    report
}

fn anonymous(id: i64) -> PersonName {
    PersonName { profile_id: Some(ProfileId(id)), name: None }
}

pub(crate) fn live() -> Live {
    let event = |n: u128, seconds: i64, what, person, channel: Option<&str>, consent, trust| LiveEvent {
        event_id: uuid(n),
        at: now() - seconds.seconds(),
        what,
        person,
        channel: channel.map(str::to_owned),
        consent,
        trust,
    };
    let page = |path: &str, title: &str| Happened::Page {
        page: path.into(),
        title: Some(title.into()),
        engaged_ms: None,
        max_scroll_pct: None,
        clicks: None,
        measures: ViewMeasures::default(),
    };
    let mia = PersonName { profile_id: Some(ProfileId(41)), name: Some("mia@example.com".into()) };
    Live {
        site: site(),
        now: now(),
        cursor: "8123-1".into(),
        visitors_now: 14,
        events: vec![
            event(
                6,
                2,
                Happened::Order {
                    order_id: "10412".into(),
                    total: Some(usd(3_850)),
                    counted: true,
                    cancelled: false,
                    refunded: None,
                    lines: Vec::new(),
                },
                mia.clone(),
                Some("Newsletter"),
                Consent::Full,
                Trust::Trusted,
            ),
            event(
                5,
                5,
                page("shop.example/checkout", "Checkout"),
                mia.clone(),
                Some("Newsletter"),
                Consent::Full,
                Trust::Browser,
            ),
            event(
                4,
                9,
                Happened::Track {
                    name: "Product Added".into(),
                    page: Some("shop.example/coffee/oat-blend".into()),
                    properties: vec![("product_id".into(), "oat-1kg".into()), ("price".into(), "19.25".into())],
                },
                mia,
                Some("Newsletter"),
                Consent::Full,
                Trust::Browser,
            ),
            event(
                3,
                14,
                Happened::Snapshot {
                    page: Some("shop.example/brewing-guide".into()),
                    engaged_ms: 81_000,
                    max_scroll_pct: 80,
                    clicks: 2,
                    measures: ViewMeasures { rage_clicks: 1, ..ViewMeasures::default() },
                },
                anonymous(77),
                Some("Organic search"),
                Consent::Full,
                Trust::Browser,
            ),
            event(
                2,
                95,
                page("shop.example/brewing-guide", "Brewing guide"),
                anonymous(77),
                Some("Organic search"),
                Consent::Full,
                Trust::Browser,
            ),
            event(
                1,
                130,
                page("shop.example/", "Roasted on Tuesdays"),
                PersonName { profile_id: None, name: None },
                Some("Direct"),
                Consent::Measure,
                Trust::Browser,
            ),
        ],
        outcomes: Outcomes {
            since: now() - 60.minutes(),
            stored: 1_842,
            duplicate: 12,
            rejected: vec![
                RejectedReason { reason: "clock_out_of_range".into(), count: 3 },
                RejectedReason { reason: "missing_name".into(), count: 1 },
            ],
        },
        latest_rejected: vec![
            Rejection {
                at: ago(3),
                reason: "missing_name".into(),
                detail: "event 3 of 20: a track event has no name".into(),
                sample: Some(r#"{"type":"track","userId":"user-17","properties":{"size":42}}"#.into()),
            },
            Rejection {
                at: ago(12),
                reason: "clock_out_of_range".into(),
                detail: "event 1 of 1: the id's time is 2019-03-02, limit 8 days back".into(),
                sample: None,
            },
        ],
    }
}

pub(crate) fn live_empty() -> Live {
    Live {
        events: Vec::new(),
        visitors_now: 0,
        outcomes: Outcomes { since: ago(60), stored: 0, duplicate: 0, rejected: Vec::new() },
        latest_rejected: Vec::new(),
        cursor: "0".into(),
        ..live()
    }
}

pub(crate) fn live_hostile() -> Live {
    let mut report = live();
    for event in &mut report.events {
        event.channel = Some(HOSTILE.into());
        event.person.name = Some(HOSTILE.into());
        event.what = Happened::Track {
            name: HOSTILE.into(),
            page: Some("javascript:alert(1)".into()),
            properties: vec![(HOSTILE.into(), HOSTILE.into())],
        };
    }
    for row in &mut report.latest_rejected {
        row.detail = HOSTILE.into();
        row.sample = Some(HOSTILE.into());
    }
    report
}

fn segment(key: &str, name: &str, description: &str, size: u64, revenue: i64) -> SegmentRow {
    SegmentRow { key: key.into(), name: name.into(), description: description.into(), size, revenue: usd(revenue) }
}

pub(crate) fn segments() -> Segments {
    const NAMES: [[&str; 5]; 5] = [
        ["Lost", "Lost", "Hibernating", "Hibernating", "Can’t lose"],
        ["Hibernating", "Hibernating", "At risk", "At risk", "Can’t lose"],
        ["About to sleep", "Need attention", "Need attention", "Loyal", "Loyal"],
        ["New", "Promising", "Potential loyal", "Loyal", "Loyal"],
        ["New", "Promising", "Potential loyal", "Loyal", "Champions"],
    ];
    const SIZES: [[u64; 5]; 5] = [
        [520, 301, 140, 66, 12],
        [410, 287, 190, 141, 96],
        [260, 222, 207, 180, 133],
        [190, 255, 301, 352, 290],
        [212, 340, 298, 410, 388],
    ];
    let cells = (1..=5_u8)
        .flat_map(|recency| (1..=5_u8).map(move |frequency| (recency, frequency)))
        .map(|(recency, frequency)| {
            let (r, f) = (usize::from(recency) - 1, usize::from(frequency) - 1);
            let size = SIZES[r][f];
            RfmCell {
                recency,
                frequency,
                segment: segment(
                    &format!("rfm-r{recency}f{frequency}"),
                    &format!("Recency {recency}, frequency {frequency}"),
                    "Customers with these two scores.",
                    size,
                    size as i64 * 4_000 * i64::from(frequency),
                ),
                group: NAMES[r][f].into(),
            }
        })
        .collect();
    let range = |score, low, high| ScoreRange { score, low, high };
    let life = |buyers, stage, key: &str, name: &str, size| LifecycleCell {
        buyers,
        stage,
        segment: segment(key, name, "By orders and the time since the last one.", size, size as i64 * 5_000),
    };
    Segments {
        site: site(),
        today: today(),
        as_of: today(),
        people: 9_871,
        customers: 6_201,
        revenue: usd(81_234_567),
        rfm: Some(Rfm {
            groups: vec![
                segment("rfm-champions", "Champions", "Bought lately and most often.", 388, 20_412_000),
                segment("rfm-loyal", "Loyal", "Buy often, the last time not long ago.", 1_365, 30_120_050),
                segment("rfm-at-risk", "At risk", "Bought often, but it has been a while.", 331, 9_020_000),
                segment("rfm-lost", "Lost", "Few orders, all of them long ago.", 821, 2_010_000),
            ],
            cells,
            cuts: RfmCuts {
                recency_days: vec![
                    range(5, 0, 12),
                    range(4, 13, 40),
                    range(3, 41, 88),
                    range(2, 89, 190),
                    range(1, 191, 365),
                ],
                orders: vec![range(5, 9, 41), range(4, 5, 8), range(3, 3, 4), range(2, 2, 2), range(1, 1, 1)],
                spent_minor: vec![range(5, 41_200, 310_000), range(1, 350, 2_900)],
            },
            own_cuts: None,
        }),
        lifecycle: Some(Lifecycle {
            cells: vec![
                life(0, 0, "lifecycle-new-sign-ups-active", "New sign-ups, active", 402),
                life(0, 1, "lifecycle-new-sign-ups-at-risk", "New sign-ups, at risk", 300),
                life(0, 2, "lifecycle-new-sign-ups-churned", "New sign-ups, churned", 2_968),
                life(1, 0, "lifecycle-one-timers-active", "One-timers, active", 612),
                life(1, 1, "lifecycle-one-timers-at-risk", "One-timers, at risk", 420),
                life(1, 2, "lifecycle-one-timers-churned", "One-timers, churned", 1_024),
                life(2, 0, "lifecycle-repeats-active", "Repeats, active", 512),
                life(2, 1, "lifecycle-repeats-at-risk", "Repeats, at risk", 201),
                life(2, 2, "lifecycle-repeats-churned", "Repeats, churned", 330),
                life(3, 0, "lifecycle-loyals-active", "Loyals, active", 1_411),
                life(3, 1, "lifecycle-loyals-at-risk", "Loyals, at risk", 386),
                life(3, 2, "lifecycle-loyals-churned", "Loyals, churned", 305),
            ],
            limits: [(0, 9, 48), (1, 61, 180), (2, 48, 140), (3, 34, 92)]
                .map(|(buyers, active_days, at_risk_days)| LifecycleLimits {
                    buyers,
                    active_days,
                    at_risk_days,
                    basis: "From 1,204 returns of this site’s own.".into(),
                })
                .into(),
            curves: Buyers::ALL.map(curve).into(),
            versions: versions(),
        }),
    }
}

fn limits(buyers: Buyers) -> Limits {
    let (at_risk_days, churned_days) = [(9, 48), (61, 180), (48, 140), (34, 92)][buyers as usize];
    Limits { buyers, at_risk_days, churned_days, basis: Basis::Own, returns: 1_204 }
}

/// A row of the lifecycle grid of which the first has too few people to tell.
fn curve(buyers: Buyers) -> Curve {
    let level = f64::from(buyers as u8) * 0.2;
    let point = |step: u32| {
        let of_returning = 1.0 - 1.0 / f64::from(step + 1);
        CurvePoint { days: step * step, returned: of_returning * level, of_returning }
    };
    let points = if buyers == Buyers::NewSignUps { Vec::new() } else { (0..=14).map(point).collect() };
    Curve {
        buyers,
        people: 2_056,
        returns: 812,
        points,
        waiting_at_end: 12,
        limits: limits(buyers),
        usual_gap_days: None,
    }
}

fn versions() -> Vec<LimitsVersion> {
    let rhythm = Rhythm { limits: Buyers::ALL.map(limits), usual_gap_days: [Some(3), Some(24), Some(19), None] };
    let first = LimitsVersion::first(rhythm, date(2026, 8, 1));
    let because = "Repeats: at risk after 48 days (was 30), as 312 returns of their own are known.".to_owned();
    let second = LimitsVersion { version: 2, valid_from: date(2026, 10, 4), because, ..first.clone() };
    vec![first, second]
}

/// Thresholds of the site's own, the latest limits alone, and a past day.
pub(crate) fn segments_own_cuts() -> Segments {
    let mut report = segments();
    let thresholds = Thresholds {
        recency_days: [14, 45, 90, 200],
        orders: [2, 3, 5, 9],
        spent_minor: [2_000, 5_000, 10_000, 40_000],
    };
    if let Some(rfm) = &mut report.rfm {
        rfm.own_cuts = Some(thresholds);
    }
    Segments { as_of: date(2025, 12, 31), ..report }
}

pub(crate) fn in_use() -> SegmentsInUse {
    let row =
        |key: &str, name: &str, description: &str, theme, says: &str, (people, entered, left): (u64, u64, u64)| InUse {
            key: key.into(),
            name: name.into(),
            description: description.into(),
            theme,
            says: Some(says.into()),
            people,
            entered,
            left,
            revenue: usd(people as i64 * 3_111),
            progress: None,
        };
    let rows = vec![
        row(
            "value-top-10-percent",
            "Top 10 %",
            "The tenth of buyers who spent most.",
            Some(Theme::Value),
            "revenue percentile is at least 90",
            (620, 4, 2),
        ),
        row(
            "keen-on-pricing",
            "Keen on pricing",
            "Looked at the prices three times and has not bought.",
            None,
            r#"viewed "/pricing" at least 3 times within 14 days and never ordered"#,
            (1_204, 112, 31),
        ),
        row(
            "engagement-cart-abandoned",
            "Cart abandoned",
            "Put something into the cart in the last three days and has not ordered since.",
            Some(Theme::Engagement),
            r#"did "Product Added" never followed by ordered within 1 day"#,
            (87, 0, 0),
        ),
        row("nobody", "Nobody yet", "", None, r#"did "Never Heard""#, (0, 0, 0)),
    ];
    SegmentsInUse::new(site(), now(), 48_112, rows, 2, None)
}

pub(crate) fn in_use_computed() -> SegmentsInUse {
    let mut list = in_use();
    list.rows[0].progress = Some(Progress { asked: 12_500, people: 48_112 });
    list
}

pub(crate) fn in_use_searched() -> SegmentsInUse {
    let list = in_use();
    SegmentsInUse::new(list.site, list.now, list.people, list.rows, 0, Some("Cart ordered".into()))
}

pub(crate) fn in_use_not_found() -> SegmentsInUse {
    let list = in_use();
    SegmentsInUse::new(list.site, list.now, list.people, list.rows, 2, Some("<b>".into()))
}

pub(crate) fn in_use_empty() -> SegmentsInUse {
    SegmentsInUse::new(site(), now(), 0, Vec::new(), 0, None)
}

pub(crate) fn in_use_hostile() -> SegmentsInUse {
    let mut list = in_use();
    for row in &mut list.rows {
        row.name = HOSTILE.into();
        row.description = HOSTILE.into();
        row.says = Some(HOSTILE.into());
    }
    SegmentsInUse::new(list.site, list.now, list.people, list.rows, 2, Some(HOSTILE.into()))
}

pub(crate) fn archived() -> ArchivedSegments {
    let row = |key: &str, name: &str| ArchivedSegment {
        key: key.into(),
        name: name.into(),
        description: "Was worth a try.".into(),
        archived_at: ago(900),
    };
    ArchivedSegments { site: site(), now: now(), rows: vec![row("summer", "Summer guests"), row("x", HOSTILE)] }
}

pub(crate) fn archived_none() -> ArchivedSegments {
    ArchivedSegments { rows: Vec::new(), ..archived() }
}

pub(crate) fn segment_report() -> SegmentReport {
    let moved = |minutes, entered, cause, evidence: Option<i64>| Move {
        at: ago(minutes),
        entered,
        cause: Some(cause),
        evidence_at: evidence.map(ago),
    };
    let person = |id, name: Option<&str>, change| MoveOfPerson {
        profile_id: ProfileId(id),
        name: name.map(str::to_owned),
        change,
    };
    let shared = |key: &str, name: &str, people, size| SharedWith { key: key.into(), name: name.into(), people, size };
    let mut members = members();
    members.segment = segment(
        "keen-on-pricing",
        "Keen on pricing",
        "Looked at the prices three times and has not bought.",
        1_204,
        3_745_644,
    );
    members.population = 48_112;
    members.paging.total = 1_204;
    members.rows[0].because =
        "Viewed /pricing 4 times within 14 days, last on 23 November 2026; never ordered; until 7 December".into();
    let changed = |day: Date| DayChange {
        entered: u64::from(day.day().unsigned_abs()) % 9 + 12,
        left: u64::from(day.day().unsigned_abs()) % 7,
        ..DayChange::default()
    };
    SegmentReport {
        now: now(),
        members,
        action: "Offer them a call with somebody who knows the plans.".into(),
        kept_by: KeptBy::Rule {
            says: "viewed \"/pricing\" at least 3 times within 14 days\nand never ordered".into(),
            json: "{\n  \"version\": 1,\n  \"who\": {}\n}".into(),
        },
        theme: None,
        progress: None,
        orders: 12,
        history: SizeHistory::backwards(today(), 1_204, date(2026, 9, 1), 90, changed),
        moves: vec![
            person(41, Some("mia@example.com"), moved(4, true, Cause::Event, Some(4))),
            person(42, Some("user-17"), moved(90, false, Cause::Time, None)),
            person(77, None, moved(900, true, Cause::Rule, None)),
        ],
        shared: vec![
            shared("engagement-visited-30-days", "Visited in the last 30 days", 1_101, 9_402),
            shared("acquisition-organic", "From organic search", 640, 20_115),
        ],
        has_days: false,
    }
}

pub(crate) fn segment_list() -> SegmentReport {
    SegmentReport { kept_by: KeptBy::List, theme: None, action: String::new(), ..segment_empty() }
}

/// Just made, and everybody is being asked.
pub(crate) fn segment_computed() -> SegmentReport {
    SegmentReport {
        progress: Some(Progress { asked: 0, people: 0 }),
        kept_by: KeptBy::Unreadable,
        theme: Some(Theme::Value),
        has_days: true,
        ..segment_empty()
    }
}

fn segment_empty() -> SegmentReport {
    let mut report = segment_report();
    report.members.rows.clear();
    report.members.segment.size = 0;
    report.members.segment.revenue = usd(0);
    report.members.paging = Paging { page: 1, per_page: 50, total: 0 };
    SegmentReport {
        orders: 0,
        history: SizeHistory::backwards(today(), 0, today(), 90, |_| DayChange::default()),
        moves: Vec::new(),
        shared: Vec::new(),
        ..report
    }
}

pub(crate) fn segment_hostile() -> SegmentReport {
    let mut report = segment_report();
    let hostile = || HOSTILE.to_owned();
    report.members = Members { site: Site { name: hostile(), ..site() }, ..members_hostile() };
    report.members.segment.description = hostile();
    report.action = hostile();
    report.kept_by = KeptBy::Rule { says: hostile(), json: hostile() };
    report.moves[0].name = Some(hostile());
    report.shared[0].name = hostile();
    report
}

pub(crate) fn known_words() -> KnownWords {
    let word = |word: &str, people, properties: &[&str]| KnownWord {
        word: word.into(),
        people,
        properties: properties.iter().map(|name| (*name).to_owned()).collect(),
    };
    KnownWords {
        people: 500,
        events: vec![word("Product Viewed", 402, &["category", "price", "product_id"]), word(HOSTILE, 3, &[HOSTILE])],
        pages: vec![word("shop.example/pricing", 211, &[]), word(HOSTILE, 1, &[])],
        traits: vec![word("plan", 77, &[])],
        segments: vec![
            ("keen-on-pricing".into(), "Keen on pricing".into()),
            ("value-top-10-percent".into(), HOSTILE.into()),
        ],
    }
}

pub(crate) fn preview() -> Preview {
    let person = |id, name: Option<&str>, because: &str| PreviewPerson {
        profile_id: ProfileId(id),
        name: name.map(str::to_owned),
        because: because.into(),
    };
    Preview {
        people: 48_112,
        asked: 2_000,
        found: 100,
        shape: Some(Shape {
            orders: vec![(0, 40), (1, 30), (2, 20), (3, 10), (6, 0)],
            revenue: vec![(0, 40), (0, 1), (25, 29), (50, 30), (100, 0), (250, 0), (500, 0), (1_000, 0)],
            currency: site().currency,
            last_seen_days: vec![(0, 3), (1, 50), (7, 47), (30, 0), (90, 0), (365, 0)],
        }),
        sample: vec![
            person(41, Some("mia@example.com"), "Viewed /pricing 4 times within 14 days; never ordered"),
            person(77, None, HOSTILE),
        ],
        unheard: vec![
            Unheard { word: Word::Event("Prodct Viewed".into()), nearest: Some("Product Viewed".into()), among: None },
            Unheard { word: Word::Page(HOSTILE.into()), nearest: None, among: None },
            Unheard { word: Word::Property("colour".into()), nearest: Some(HOSTILE.into()), among: Some(2_000) },
            Unheard { word: Word::Trait("mood".into()), nearest: None, among: None },
        ],
    }
}

pub(crate) fn segments_empty() -> Segments {
    Segments { people: 0, customers: 0, revenue: usd(0), rfm: None, lifecycle: None, ..segments() }
}

pub(crate) fn segments_without_orders() -> Segments {
    Segments { customers: 0, revenue: usd(0), rfm: None, as_of: date(2026, 10, 31), ..segments() }
}

pub(crate) fn members() -> Members {
    let member = |id, name: Option<&str>, orders, revenue, last: Date, because: &str| Member {
        profile_id: ProfileId(id),
        name: name.map(str::to_owned),
        orders,
        revenue: usd(revenue),
        first_order: Some(date(2025, 12, 4)),
        last_order: Some(last),
        last_seen: Some(ago(id * 600)),
        because: because.into(),
    };
    Members {
        site: site(),
        today: today(),
        as_of: today(),
        segment: segment("rfm-champions", "Champions", "Bought lately and most often.", 388, 20_412_000),
        population: 6_201,
        rows: vec![
            member(41, Some("mia@example.com"), 14, 81_250, date(2026, 11, 23), "14 orders, the last one today"),
            member(42, Some("user-17"), 11, 61_000, date(2026, 11, 20), "11 orders, the last one 3 days ago"),
            member(77, None, 10, 59_925, date(2026, 11, 14), "10 orders, the last one 9 days ago"),
        ],
        paging: Paging { page: 2, per_page: 3, total: 388 },
    }
}

pub(crate) fn members_hostile() -> Members {
    let mut report = members();
    report.segment.name = HOSTILE.into();
    for row in &mut report.rows {
        row.name = Some(HOSTILE.into());
        row.because = HOSTILE.into();
    }
    report
}

pub(crate) fn people() -> People {
    let person = |id, name: Option<&str>, sessions, orders, revenue, channel: &str| PersonRow {
        profile_id: ProfileId(id),
        name: name.map(str::to_owned),
        sessions,
        orders,
        revenue: usd(revenue),
        first_seen: "2025-12-04T10:00:00Z".parse().expect("a moment"),
        last_seen: ago(id * 30),
        first_channel: Some(channel.into()),
    };
    People {
        site: site(),
        filter: PeopleFilter {
            search: None,
            did: Some((Did::Visited, overview().period)),
            channel: Some("email".into()),
            viewed: None,
        },
        rows: vec![
            person(41, Some("mia@example.com"), 31, 14, 81_250, "Newsletter"),
            person(42, Some("user-17"), 12, 11, 61_000, "Organic search"),
            person(77, None, 2, 0, 0, "Direct"),
        ],
        paging: Paging { page: 1, per_page: 50, total: 3 },
    }
}

pub(crate) fn people_hostile() -> People {
    let mut report = people();
    report.filter.search = Some(HOSTILE.into());
    report.filter.viewed = Some(HOSTILE.into());
    report.filter.channel = Some(HOSTILE.into());
    for row in &mut report.rows {
        row.name = Some(HOSTILE.into());
        row.first_channel = Some(HOSTILE.into());
    }
    report
}

pub(crate) fn people_none() -> People {
    People {
        filter: PeopleFilter { search: Some("nobody@example.com".into()), ..PeopleFilter::default() },
        rows: Vec::new(),
        paging: Paging { page: 1, per_page: 50, total: 0 },
        ..people()
    }
}

fn known(name: &str, value: &str, origin: TraitOrigin) -> KnownTrait {
    KnownTrait { name: name.into(), value: value.into(), origin }
}

fn sent(trust: Trust, source: Option<&str>, is_hidden: bool) -> TraitOrigin {
    TraitOrigin::Sent { at: ago(600), trust, source: source.map(str::to_owned), is_hidden }
}

pub(crate) fn profile() -> Profile {
    let moment = |minutes, what, trust| {
        let source = Some(if trust == Trust::Trusted { "shopify:main-shop" } else { "tracker" }.to_owned());
        Moment { at: ago(minutes), what, trust, source }
    };
    let page = |path: &str, title: &str, seconds: u64, scroll| Happened::Page {
        page: path.into(),
        title: Some(title.into()),
        engaged_ms: Some(seconds * 1_000),
        max_scroll_pct: Some(scroll),
        clicks: Some(2),
        measures: ViewMeasures { dead_clicks: 1, lcp_ms: 2_431, inp_ms: 88, ..ViewMeasures::default() },
    };
    Profile {
        site: site(),
        now: now(),
        profile_id: ProfileId(41),
        name: None,
        email: Some("mia@example.com".into()),
        user_id: Some("user-9".into()),
        first_seen: "2025-12-04T10:00:00Z".parse().expect("a moment"),
        last_seen: ago(3),
        sessions: 31,
        views: 140,
        engaged_ms: 5_400_000,
        orders: 14,
        revenue: usd(81_250),
        other_currencies: vec![Money { minor: 4_100, currency: Currency::EUR }],
        first_order_at: Some("2025-12-04T10:40:00Z".parse().expect("a moment")),
        last_order_at: Some(ago(3)),
        first_channel: Some("Newsletter".into()),
        last_channel: Some("Organic search".into()),
        surroundings: Surroundings {
            time_zone: Some("Europe/Vienna".into()),
            ..Surroundings::read(Some("AT"), Some("mobile|Safari|17|iOS"), Some("de-AT||"))
        },
        may_be: vec![
            MayBe { match_id: 1, profile_id: ProfileId(77), name: Some("Mia Example".into()), probability: 0.9978 },
            MayBe { match_id: 2, profile_id: ProfileId(78), name: None, probability: 0.62 },
        ],
        email_class: Some(EmailClass::Company),
        currency: Some("USD".into()),
        traits: vec![
            known("orders_90_days", "3", TraitOrigin::Computed(Some("number of orders within 90 days".into()))),
            known("first_name", "Mia", sent(Trust::Browser, Some("tracker"), false)),
            known("plan", "monthly", sent(Trust::Trusted, None, true)),
            known("city", "Graz", TraitOrigin::Unknown),
        ],
        identities: vec![
            IdentityRow {
                kind: "Visitor id".into(),
                value: "01935a2b-77aa-7c01-9d3e-2f4d5a6b7c8d".into(),
                first_seen: "2025-12-04T10:00:00Z".parse().expect("a moment"),
                trust: Trust::Browser,
            },
            IdentityRow {
                kind: "User id".into(),
                value: "user-9".into(),
                first_seen: ago(9_000),
                trust: Trust::Trusted,
            },
            IdentityRow {
                kind: "E-mail".into(),
                value: "mia@example.com".into(),
                first_seen: ago(9_000),
                trust: Trust::Trusted,
            },
        ],
        segments: vec![
            Belonging {
                key: "rfm-champions".into(),
                name: "Champions".into(),
                because: "14 orders, the last one today".into(),
                since: Some(ago(9_000)),
            },
            Belonging {
                key: "lifecycle-loyals-active".into(),
                name: "Loyals, active".into(),
                because: "Three orders or more, the last one within 61 days".into(),
                since: None,
            },
        ],
        moves: vec![
            MoveOfSegment {
                key: "rfm-champions".into(),
                name: "Champions".into(),
                in_use: true,
                change: Move {
                    at: ago(9_000),
                    entered: true,
                    cause: Some(Cause::Event),
                    evidence_at: Some(ago(9_000)),
                },
            },
            MoveOfSegment {
                key: "summer".into(),
                name: "Summer guests".into(),
                in_use: false,
                change: Move { at: ago(90_000), entered: false, cause: Some(Cause::Time), evidence_at: None },
            },
        ],
        scored: Some(Scored {
            probability_alive: Some(0.873),
            probability_of_return: Some(0.61),
            probability_of_sign_up: None,
            orders: Some(2.41),
            revenue: Some(usd(31_250)),
            next_order_at: Some("2026-12-19T09:00:00Z".parse().expect("a moment")),
            cluster: Some((ClusterId(1), "Big, recent, frequent".into())),
        }),
        sources: vec!["segment".into(), "shopify:main-shop".into(), "tracker".into()],
        filter: TimelineFilter::default(),
        timeline: vec![
            TimelineEntry::Visit(Visit {
                started_at: ago(14),
                ended_at: ago(3),
                channel: "Organic search".into(),
                source: "www.google.com".into(),
                campaign: String::new(),
                views: 3,
                engaged_ms: 361_000,
                moments: vec![
                    moment(14, page("shop.example/brewing-guide", "Brewing guide", 240, 80), Trust::Browser),
                    moment(
                        8,
                        Happened::Track {
                            name: "Product Added".into(),
                            page: Some("shop.example/coffee/oat-blend".into()),
                            properties: vec![("product_id".into(), "oat-1kg".into())],
                        },
                        Trust::Browser,
                    ),
                    moment(
                        3,
                        Happened::Order {
                            order_id: "10412".into(),
                            total: Some(usd(3_850)),
                            counted: true,
                            cancelled: false,
                            refunded: Some(usd(1_200)),
                            lines: vec!["2 × Oat blend, 1 kg".into(), "Paper filters".into()],
                        },
                        Trust::Trusted,
                    ),
                ],
            }),
            TimelineEntry::Event(moment(
                9_000,
                Happened::Identify { traits: vec![("email".into(), "mia@example.com".into())] },
                Trust::Trusted,
            )),
            TimelineEntry::Event(moment(
                2,
                Happened::OrderChanged {
                    order_id: "10412".into(),
                    change: OrderChange::Refunded { amount: Some(usd(1_200)) },
                    standing: OrderStanding::Applies,
                },
                Trust::Trusted,
            )),
            TimelineEntry::Event(moment(
                150_000,
                Happened::OrderChanged {
                    order_id: "9001".into(),
                    change: OrderChange::Cancelled,
                    standing: OrderStanding::Waits,
                },
                Trust::Trusted,
            )),
            TimelineEntry::Event(moment(
                199_000,
                Happened::OrderChanged {
                    order_id: "8812".into(),
                    change: OrderChange::Updated { total: Some(usd(900)) },
                    standing: OrderStanding::Applies,
                },
                Trust::Browser,
            )),
            TimelineEntry::Event(moment(
                200_000,
                Happened::Order {
                    order_id: "8812".into(),
                    total: None,
                    counted: false,
                    cancelled: false,
                    refunded: None,
                    lines: Vec::new(),
                },
                Trust::Browser,
            )),
        ],
        paging: Paging { page: 1, per_page: 20, total: 33 },
    }
}

pub(crate) fn profile_anonymous() -> Profile {
    Profile {
        email: None,
        user_id: None,
        orders: 0,
        revenue: usd(0),
        other_currencies: Vec::new(),
        first_order_at: None,
        last_order_at: None,
        surroundings: Surroundings::default(),
        may_be: Vec::new(),
        email_class: None,
        currency: None,
        traits: Vec::new(),
        segments: Vec::new(),
        moves: Vec::new(),
        scored: None,
        ..profile()
    }
}

pub(crate) fn profile_hostile() -> Profile {
    let hostile = || HOSTILE.to_owned();
    let mut report = profile();
    report.name = Some(hostile());
    report.email = Some(hostile());
    report.user_id = Some(hostile());
    report.first_channel = Some(hostile());
    report.surroundings.language = Some(HOSTILE.into());
    report.surroundings.time_zone = Some(HOSTILE.into());
    report.surroundings.browser = Some(HOSTILE.into());
    report.surroundings.system = Some(HOSTILE.into());
    report.currency = Some(hostile());
    report.traits = vec![
        known(HOSTILE, HOSTILE, sent(Trust::Trusted, Some(HOSTILE), true)),
        known("website", "javascript:alert(1)", TraitOrigin::Unknown),
        known("favourite", HOSTILE, TraitOrigin::Computed(Some(HOSTILE.into()))),
    ];
    report.may_be[0].name = Some(hostile());
    report.identities[0].value = hostile();
    report.segments[0].because = hostile();
    report.segments[0].name = hostile();
    report.moves[0].name = hostile();
    report.moves[1].name = hostile();
    // Of somebody who orders once in ten years little can be told.
    report.scored = Some(Scored {
        probability_alive: Some(0.004),
        probability_of_return: None,
        probability_of_sign_up: Some(0.02),
        orders: Some(0.01),
        revenue: None,
        next_order_at: None,
        cluster: Some((ClusterId(7), hostile())),
    });
    let what = [
        Happened::Page {
            page: hostile(),
            title: Some(hostile()),
            engaged_ms: None,
            max_scroll_pct: None,
            clicks: None,
            measures: ViewMeasures::default(),
        },
        Happened::Snapshot {
            page: Some(hostile()),
            engaged_ms: 1,
            max_scroll_pct: 1,
            clicks: 1,
            measures: [u32::MAX; 10].into(),
        },
        Happened::Track { name: hostile(), page: Some(hostile()), properties: vec![(hostile(), hostile())] },
        Happened::Order {
            order_id: hostile(),
            total: None,
            counted: true,
            cancelled: false,
            refunded: None,
            lines: vec![hostile()],
        },
        Happened::OrderChanged {
            order_id: hostile(),
            change: OrderChange::Refunded { amount: None },
            standing: OrderStanding::Ignored,
        },
        Happened::Identify { traits: vec![(hostile(), hostile())] },
        Happened::Group { group_id: hostile() },
        Happened::Alias,
    ];
    report.sources = vec![hostile(), "tracker".into()];
    report.filter = TimelineFilter { source: Some(hostile()), kind: Some(TimelineKind::Orders) };
    report.timeline = vec![TimelineEntry::Visit(Visit {
        started_at: now(),
        ended_at: now(),
        channel: hostile(),
        source: hostile(),
        campaign: hostile(),
        views: 1,
        engaged_ms: 0,
        moments: what
            .into_iter()
            .map(|what| Moment { at: now(), what, trust: Trust::Browser, source: Some(hostile()) })
            .collect(),
    })];
    report
}

fn trial(kind: Option<Kind>, total_error: f64, mae: f64, spearman: f64, top_decile: f64, regret: f64) -> Trial {
    let method = kind.and_then(Method::member).unwrap_or(Method::DEFAULT);
    Trial { method, measures: Measures { total_error, mae, spearman, top_decile }, log_score: -mae / 2.0, regret }
}

fn cluster_row(id: u16, name: &str, people: u64, medians: [f64; 3], revenue: i64) -> ClusterRow {
    ClusterRow {
        id: ClusterId(id),
        name: name.into(),
        people,
        quartiles: medians.map(|median| [median / 2.0, median, median * 2.0]).into(),
        revenue: usd(revenue),
        says: format!("cluster is {id}"),
        segment: None,
    }
}

pub(crate) fn predictions() -> Predictions {
    let ahead = |days, orders: f64, revenue| Expected {
        days,
        orders,
        low: orders * 0.78,
        high: orders * 1.22,
        revenue: usd(revenue),
    };
    let bands = [812, 640, 391, 180, 95, 60, 44, 51, 120, 1_402];
    let made_of = |key: &str, name: &str, description: &str, people| MadeOf {
        key: key.into(),
        name: name.into(),
        description: description.into(),
        people,
    };
    // With 5 % own rate, as every site begins; then the members by themselves, of which two came off far worse.
    let mut trials = vec![trial(None, 0.086, 0.461, 0.324, 0.41, 2.2)];
    trials.extend([0.075, 0.1, 0.025, 0.15, 0.2].map(|rate_share| {
        let mut next = trial(None, 0.09, 0.463, 0.322, 0.409, 2.2 + rate_share * 4.0);
        next.method.rate_share = rate_share;
        next
    }));
    trials.push(trial(Some(Kind::MbgNbd), 0.096, 0.465, 0.317, 0.405, 3.2));
    trials.push(trial(Some(Kind::ParetoNbd), 0.112, 0.454, 0.322, 0.404, 4.8));
    trials.push(trial(Some(Kind::BgNbd), 0.082, 0.48, 0.313, 0.411, 5.7));
    let rule = |cluster, says: &str, people, agree| ClusterRule {
        cluster: ClusterId(cluster),
        says: says.into(),
        people,
        agree,
    };
    Predictions {
        site: site(),
        now: now(),
        buyers: 3_795,
        is_due: false,
        visits: Some(VisitsOutlook {
            made_at: ago(611),
            visitors: 41_020,
            to_return: 9_402.3,
            to_sign_up: 611.8,
            made_of: vec![MadeOf {
                key: "sign-up-likely".into(),
                name: "Likely to sign up".into(),
                description: "Has no account yet, and is as likely as not to make one within 30 days.".into(),
                people: 311,
            }],
        }),
        outlook: Some(Outlook {
            made_at: ago(611),
            ahead: vec![ahead(30, 612.4, 2_351_200), ahead(90, 1_702.1, 6_530_900), ahead(365, 5_318.0, 20_415_000)],
            alive: 2_048.4,
            bands: (0_u8..10)
                .rev()
                .zip(bands)
                .map(|(tenth, people)| AliveBand {
                    from: tenth * 10,
                    to: tenth * 10 + 10,
                    people,
                    orders: people as f64 * f64::from(tenth) / 13.0,
                })
                .collect(),
            made_of: vec![
                made_of(
                    "predictive-likely-to-buy",
                    "Likely to buy",
                    "Half an order or more is expected of them.",
                    1_204,
                ),
                made_of("predictive-likely-to-churn", "Likely to churn", "Still a customer with even odds at best.", 0),
            ],
            name: Method::DEFAULT.name(),
            method: Method::DEFAULT,
            basis: predict::Basis::Trials,
            level_error: 0.142,
            trials,
        }),
        clusters: Some(Clusters {
            features: vec![Feature::RecencyDays, Feature::Orders, Feature::OrderMinor { currency: Currency::USD }],
            rows: vec![
                ClusterRow {
                    segment: Some("our-best".into()),
                    ..cluster_row(1, "Recent, frequent", 1_204, [12.0, 9.0, 3_850.0], 15_300_000)
                },
                cluster_row(2, "Big, infrequent", 410, [74.0, 1.0, 18_900.0], 2_120_000),
                cluster_row(4, "Long gone", 2_181, [301.0, 1.0, 2_450.0], 310_000),
            ],
            rules: vec![
                rule(1, "days since the last order ≤ 45 and orders > 2", 1_250, 1_151),
                rule(2, "days since the last order ≤ 130 and spend per order > 90.00 USD", 402, 371),
                rule(4, "days since the last order > 130", 2_143, 2_080),
            ],
            fidelity: 0.949,
            stability: Some(0.931),
            drift: vec!["The numbers of orders have shifted (population-stability index 0.31, limit 0.25).".into()],
            proposal: None,
        }),
    }
}

/// The first buyers of a shop.
pub(crate) fn predictions_few() -> Predictions {
    let mut report = predictions();
    report.buyers = 12;
    report.clusters = None;
    if let Some(outlook) = &mut report.outlook {
        outlook.ahead = vec![Expected { days: 90, orders: 4.2, low: 0.0, high: 9.1, revenue: usd(16_200) }];
        outlook.alive = 9.7;
        for (band, people) in outlook.bands.iter_mut().zip([5, 4, 2, 0, 1, 0, 0, 0, 0, 0]) {
            (band.people, band.orders) = (people, people as f64 * 0.35);
        }
        outlook.made_of = Vec::new();
        outlook.basis = predict::Basis::Default;
        outlook.level_error = 0.25;
        outlook.trials = Vec::new();
    }
    report
}

/// Clusters that do not fit any more.
pub(crate) fn predictions_proposal() -> Predictions {
    let mut report = predictions();
    if let Some(clusters) = &mut report.clusters {
        clusters.drift.insert(0, "Cluster 1 has 12 people left.".into());
        let new = |id, name: &str, people, medians: [f64; 3]| Proposed {
            id: ClusterId(id),
            name: name.into(),
            people,
            quartiles: medians.map(|median| [median, median, median]).into(),
        };
        clusters.proposal = Some(ClusterProposal {
            rows: vec![
                new(2, "Big, infrequent", 530, [70.0, 1.0, 17_200.0]),
                new(4, "Lapsing", 1_990, [240.0, 1.0, 2_500.0]),
                new(5, "Very recent", 1_275, [6.0, 3.0, 3_900.0]),
            ],
            gone: vec![ClusterId(1)],
            moved: Some(1_411),
        });
    }
    report
}

pub(crate) fn predictions_hostile() -> Predictions {
    let mut report = predictions_proposal();
    report.is_due = true;
    if let Some(outlook) = &mut report.outlook {
        outlook.name = HOSTILE.into();
        outlook.made_of[0].name = HOSTILE.into();
        outlook.made_of[0].description = HOSTILE.into();
    }
    if let Some(clusters) = &mut report.clusters {
        clusters.features[1] = Feature::Other { name: HOSTILE.into(), logarithmic: false };
        clusters.rows[1].name = HOSTILE.into();
        clusters.rows[1].says = HOSTILE.into();
        clusters.rules[0].says = HOSTILE.into();
        clusters.drift[0] = HOSTILE.into();
        if let Some(proposal) = &mut clusters.proposal {
            proposal.rows[1].name = HOSTILE.into();
            proposal.moved = None;
        }
    }
    report
}

/// Nobody has ordered, or nobody has looked since.
pub(crate) fn predictions_none(buyers: u64) -> Predictions {
    let visits = predictions().visits.filter(|_| buyers == 0);
    Predictions { buyers, is_due: buyers > 0, outlook: None, clusters: None, visits, ..predictions() }
}

pub(crate) fn setup() -> Setup {
    Setup {
        site: site(),
        domains: vec!["shop.example".into(), "blog.example".into()],
        write_key: "wk_4fd1c2a9b8e74d30".into(),
        origin: "https://s.shop.example".into(),
        consent: TagConsent::Measure,
        browser_orders: BrowserOrders::Auto,
        identity_secret: None,
        signed_identify: false,
        debug_key: "0b7e6a1f9d3c5e8a2b4f6d8c0a1e3f57".to_owned(),
        trusted_orders_seen: false,
        bots: Bots::Exclude,
        bot_limit: domain::report::BOT_LIMIT,
        last_event_at: Some(ago(2)),
        now: now(),
    }
}

pub(crate) fn setup_waiting() -> Setup {
    Setup {
        last_event_at: None,
        consent: TagConsent::Full,
        identity_secret: Some("is_0123".into()),
        signed_identify: true,
        debug_key: "0b7e6a1f9d3c5e8a2b4f6d8c0a1e3f57".to_owned(),
        ..setup()
    }
}

pub(crate) fn setup_hostile() -> Setup {
    Setup {
        site: Site { name: HOSTILE.into(), ..site() },
        domains: vec![HOSTILE.into()],
        origin: format!("https://x{HOSTILE}"),
        write_key: HOSTILE.into(),
        ..setup()
    }
}
