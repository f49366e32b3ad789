//! What is special about segments, to look at.

use crate::fixtures::{HOSTILE, now, site};
use domain::money::Money;
use domain::report::{
    Afterwards, Compared, InMemory, MonthOfRevenue, NoPast, Passage, PastDay, PastPeople, Progress, SegmentInsight,
    SegmentPast, Site, Suggested, Why,
};
use domain::segment::Cause;
use domain::segment::insight::action::Action;
use domain::segment::insight::flow::{self, Change, Side};
use domain::segment::insight::rate::Share;
use domain::segment::insight::traits::{TraitCount, compare};
use jiff::ToSpan;
use jiff::civil::date;

const SIZE: u64 = 1_204;
const OTHERS: u64 = 46_908;

fn counted(dimension: &str, value: &str, with: u64, others_with: u64) -> TraitCount {
    TraitCount {
        dimension: dimension.into(),
        value: value.into(),
        inside: Share::new(with, SIZE).unwrap(),
        outside: Share::new(others_with, OTHERS).unwrap(),
    }
}

fn side(causes: &[(Option<&str>, Cause, u64)], other: u64) -> Side<Why> {
    let cause = |(did, cause, people): &(Option<&str>, Cause, u64)| flow::Cause {
        cause: Why { cause: Some(*cause), did: did.map(str::to_owned) },
        people: *people,
    };
    let causes: Vec<_> = causes.iter().map(cause).collect();
    Side { people: causes.iter().map(|cause| cause.people).sum::<u64>() + other, causes, other }
}

fn passage(key: &str, name: &str, moves: u64) -> Passage {
    Passage { key: key.into(), name: name.into(), moves }
}

fn compared(page: &str) -> Compared {
    let money = |minor| Money { minor, currency: site().currency };
    let month = |before: i32| MonthOfRevenue {
        month: date(2026, 11, 1).saturating_sub(before.months()),
        orders: u64::from((40 - 3 * before).unsigned_abs()),
        revenue: money(i64::from(40 - 3 * before) * 4_950),
        everybody: money(9_000_000),
    };
    Compared {
        traits: compare(vec![
            counted("channel", "Newsletter", 402, 2_801),
            counted("source", "google", 301, 23_110),
            counted("campaign", "autumn", 2, 1),
            counted("page", page, 1_204, 9_402),
            counted("page", "shop.example/help", 17, 640),
            counted("event", "Checkout Started", 64, 0),
            counted("product", "Morning Blend, 1 kg", 388, 9_001),
            counted("trait plan", "team", 92, 511),
            counted("segment", "Visited in the last 30 days", 1_101, 8_301),
        ]),
        months: (0..12).rev().map(month).collect(),
        actions: vec![
            Suggested { action: Action::HelpChoose, people: 700 },
            Suggested { action: Action::Welcome, people: 91 },
        ],
        unknown: 413,
        memory: InMemory::Since(date(2025, 6, 1)),
        products_follow: true,
        lacks_traits: true,
    }
}

pub(crate) fn whole() -> SegmentInsight {
    let entered = side(&[(Some("viewed shop.example/pricing"), Cause::Event, 310), (None, Cause::Merge, 12)], 5);
    SegmentInsight {
        site: site(),
        now: now(),
        key: "keen-on-pricing".into(),
        name: "Keen on pricing".into(),
        population: SIZE + OTHERS,
        since: date(2026, 10, 24),
        is_new: false,
        change: Change { before: 977, after: SIZE, entered, left: side(&[(None, Cause::Time, 100)], 0) },
        from: vec![passage("engagement-lapsed-visitors", "Lapsed visitors", 31)],
        into: vec![passage("lifecycle-one-timers-active", "One-timers, active", 22), passage("a", "A", 1)],
        compared: Ok(compared("shop.example/pricing")),
    }
}

/// Nobody is in it, and nobody came or left.
pub(crate) fn empty() -> SegmentInsight {
    let nobody = || side(&[], 0);
    SegmentInsight {
        is_new: true,
        change: Change { before: 0, after: 0, entered: nobody(), left: nobody() },
        from: Vec::new(),
        into: Vec::new(),
        compared: Ok(Compared {
            traits: Vec::new(),
            actions: Vec::new(),
            unknown: 0,
            memory: InMemory::Crowded,
            products_follow: false,
            lacks_traits: false,
            ..compared("/")
        }),
        ..whole()
    }
}

/// While the site is read into memory.
pub(crate) fn reading() -> SegmentInsight {
    SegmentInsight { compared: Err(Some(Progress { asked: 1_200_000, people: 20_158_705 })), ..whole() }
}

/// Where nobody is kept in memory.
pub(crate) fn away() -> SegmentInsight {
    SegmentInsight { compared: Err(None), ..whole() }
}

pub(crate) fn hostile() -> SegmentInsight {
    let hostile = || HOSTILE.to_owned();
    let mut insight = whole();
    insight.site = Site { name: hostile(), ..site() };
    insight.name = hostile();
    insight.change.entered = side(&[(Some(HOSTILE), Cause::Event, 7)], 0);
    insight.from[0].name = hostile();
    if let Ok(compared) = &mut insight.compared {
        compared.traits = compare(vec![counted("page", HOSTILE, 900, 3), counted("trait x", HOSTILE, 900, 3)]);
    }
    insight
}

fn past_people(people: u64, is_over: bool) -> PastPeople {
    let money = |minor| Money { minor, currency: site().currency };
    let after = |ordered| is_over.then_some(Afterwards { ordered, revenue: money(4_000 * ordered as i64) });
    PastPeople { people, revenue: money(100_000), in_30_days: after(people / 9), in_90_days: after(people / 4) }
}

pub(crate) fn past() -> SegmentPast {
    let day = |month, is_over| PastDay {
        day: date(2026, month, 30),
        members: past_people(100 * month.unsigned_abs() as u64, is_over),
        everybody: past_people(40_000, is_over),
    };
    SegmentPast {
        site: site(),
        now: now(),
        key: "keen-on-pricing".into(),
        name: "Keen on pricing".into(),
        asks_models: true,
        detail_from: Some(date(2025, 6, 1)),
        is_crowded: true,
        days: Ok(vec![day(6, true), day(7, true), day(11, false)]),
    }
}

/// Without days, for a reason.
pub(crate) fn no_past(why: NoPast) -> SegmentPast {
    SegmentPast { days: Err(why), ..past() }
}

pub(crate) fn past_hostile() -> SegmentPast {
    SegmentPast { name: HOSTILE.into(), days: Err(NoPast::Refused(HOSTILE.into())), ..past() }
}
