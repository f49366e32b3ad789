use super::lifecycle::{
    Basis, Buyers, Curve, DEFAULT_LIMIT_DAYS, Gaps, LimitsVersion, MAX_POINTS, MIN_RETURNS, MIN_WAITING, Rhythm, Stage,
};
use super::rfm::{CustomerOrders, Cuts, CutsError, Thresholds};
use super::*;
use jiff::SignedDuration;
use proptest::prelude::*;

/// Noon of a day, counted from 2026-01-01.
fn noon(day: i64) -> Timestamp {
    "2026-01-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * day)
}

fn end_of(day: i64) -> Timestamp {
    noon(day) + SignedDuration::from_hours(12)
}

/// Somebody who was first seen on the first of these days and ordered for 10 on each.
fn buyer(id: i64, days: &[i64]) -> Customer {
    let purchases: Vec<_> = days.iter().map(|&day| Purchase { at: noon(day), minor: 1_000 }).collect();
    Customer { profile_id: ProfileId(id), first_seen: purchases[0].at, signed_up: true, purchases }
}

fn sign_up(id: i64, day: i64) -> Customer {
    Customer { profile_id: ProfileId(id), first_seen: noon(day), signed_up: true, purchases: Vec::new() }
}

fn assign_utc(customers: &[Customer], day: i64) -> SegmentBook {
    assign(customers, end_of(day), &TimeZone::UTC)
}

fn scores(book: &SegmentBook, id: i64) -> (u8, u8, u8) {
    let scores = book.person(ProfileId(id)).unwrap().rfm.unwrap();
    (scores.recency, scores.frequency, scores.monetary)
}

fn standing(book: &SegmentBook, id: i64) -> (Buyers, Stage) {
    let standing = book.person(ProfileId(id)).unwrap().lifecycle;
    (standing.buyers, standing.stage)
}

#[test]
fn a_site_without_people_has_empty_segments() {
    let book = assign_utc(&[], 0);
    assert_eq!(SegmentKey::all().map(|key| book.size(key)).sum::<usize>(), 0);
    assert_eq!(book.day(), jiff::civil::date(2026, 1, 1));
}

#[test]
fn five_different_buyers_have_the_five_scores() {
    let customers: Vec<_> = (0..5).map(|n| buyer(n, &(0..=n).collect::<Vec<_>>())).collect();
    let book = assign_utc(&customers, 10);
    assert_eq!(
        (0..5).map(|n| scores(&book, n)).collect::<Vec<_>>(),
        [(1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4), (5, 5, 5)]
    );
    assert_eq!(book.scales().recency_days.range(5), Some((6, 6)));
    assert_eq!(book.scales().orders.range(5), Some((5, 5)));
}

#[test]
fn ten_different_buyers_are_two_to_a_score() {
    let customers: Vec<_> = (0..10).map(|n| buyer(n, &[n])).collect();
    let book = assign_utc(&customers, 10);
    let recency: Vec<_> = (0..10).map(|n| scores(&book, n).0).collect();
    assert_eq!(recency, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
}

#[test]
fn equal_values_share_a_score_that_claims_less() {
    // Six bought once and on the same day, two twice, one four times.
    let mut customers: Vec<_> = (0..6).map(|n| buyer(n, &[3])).collect();
    customers.extend([buyer(6, &[1, 2]), buyer(7, &[1, 2]), buyer(8, &[1, 2, 3, 4])]);
    let book = assign_utc(&customers, 10);
    for n in 0..6 {
        // Only one bought more recently, so nobody calls them lapsed; many others bought once, so they are not frequent.
        assert_eq!(scores(&book, n), (5, 1, 1));
    }
    assert_eq!((scores(&book, 6), scores(&book, 7), scores(&book, 8)), ((1, 4, 4), (1, 4, 4), (5, 5, 5)));
}

#[test]
fn a_first_customer_is_new() {
    let book = assign_utc(&[buyer(1, &[0])], 400);
    assert_eq!(scores(&book, 1), (5, 1, 1));
    assert_eq!(book.size(SegmentKey::Rfm(Group::New)), 1);
    assert_eq!(standing(&book, 1), (Buyers::OneTimers, Stage::Churned));
}

#[test]
fn every_cell_of_the_grid_has_one_name_and_every_name_a_cell() {
    assert_eq!(Cell::all().count(), 25);
    for group in Group::ALL {
        assert!(Cell::all().any(|cell| cell.group() == group), "{group:?}");
    }
    let group = |recency, frequency| Cell::new(recency, frequency).unwrap().group();
    assert_eq!((group(5, 5), group(5, 1), group(4, 1)), (Group::Champions, Group::New, Group::Promising));
    assert_eq!((group(1, 5), group(1, 1), group(3, 3)), (Group::CantLose, Group::Hibernating, Group::NeedAttention));
    assert_eq!((group(1, 4), group(3, 1), group(4, 5)), (Group::AtRisk, Group::AboutToSleep, Group::Loyal));
    assert_eq!((Cell::new(0, 1), Cell::new(1, 6)), (None, None));
}

#[test]
fn keys_are_unique_and_read_back() {
    let keys: Vec<_> = SegmentKey::all().map(|key| key.to_string()).collect();
    assert_eq!(keys.len(), 47);
    for (key, text) in SegmentKey::all().zip(&keys) {
        assert_eq!(text.parse(), Ok(key));
        assert_eq!(serde_json::from_value::<SegmentKey>(serde_json::to_value(key).unwrap()).unwrap(), key);
        assert_eq!(keys.iter().filter(|other| *other == text).count(), 1);
    }
    assert!(keys.contains(&"rfm-r5f5".to_owned()) && keys.contains(&"lifecycle-one-timers-at-risk".to_owned()));
    assert_eq!("rfm-r6f5".parse::<SegmentKey>(), Err(UnknownSegment("rfm-r6f5".to_owned())));
    insta::assert_json_snapshot!(
        SegmentKey::all().filter(|key| !matches!(key, SegmentKey::RfmCell(_))).map(definition).collect::<Vec<_>>()
    );
}

#[test]
fn limits_are_the_kaplan_meier_quantiles_of_those_who_return() {
    // 40 return after 10 days, 40 after 20, 15 after 30, 5 after 40; 100 are still away after 50.
    let mut gaps = Gaps::default();
    for (days, people) in [(10, 40), (20, 40), (30, 15), (40, 5)] {
        (0..people).for_each(|_| gaps.returned(days));
    }
    (0..100).for_each(|_| gaps.waiting(50));
    let of = |gaps: &Gaps| lifecycle::limits(&[Gaps::default(), gaps.clone(), Gaps::default(), Gaps::default()])[1];
    let limits = of(&gaps);
    assert_eq!((limits.at_risk_days, limits.churned_days, limits.basis, limits.returns), (20, 30, Basis::Own, 100));
    // 300 newcomers of the last 15 days, whom only a return after 10 days could have brought back by now: the share of
    // quick returns sinks, as they were waited for as well, and the quantiles move out. To leave them out would not.
    (0..300).for_each(|_| gaps.waiting(15));
    let limits = of(&gaps);
    // S(10) = 460/500, S(20) = 0.92 · 120/160 = 0.69, S(30) = 0.69 · 105/120, S(40) = S(30) · 100/105 = 0.575:
    // returned by then .08, .31, .39625, .425; three quarters of .425 are .31875, nineteen twentieths .40375.
    assert_eq!((limits.at_risk_days, limits.churned_days), (30, 40));
}

#[test]
fn single_people_at_the_end_of_the_curve_decide_nothing() {
    let mut gaps = Gaps::default();
    (0..40).for_each(|_| gaps.returned(10));
    (0..40).for_each(|_| gaps.waiting(100));
    // Fewer than are watched: their returns after years say nothing of the others.
    (1..MIN_WAITING).for_each(|_| gaps.returned(3_000));
    let limits = lifecycle::limits(&[Gaps::default(), gaps, Gaps::default(), Gaps::default()])[1];
    assert_eq!((limits.at_risk_days, limits.churned_days), (10, 11));
}

#[test]
fn a_small_site_has_general_limits_and_says_so() {
    let customers: Vec<_> = (0..i64::from(MIN_RETURNS) - 1).map(|n| buyer(n, &[0, 5])).collect();
    let book = assign_utc(&customers, 5);
    for limits in book.limits() {
        assert_eq!((limits.at_risk_days, limits.churned_days), DEFAULT_LIMIT_DAYS);
        assert_eq!(limits.basis, Basis::Default);
    }
    let because = book.segments_of(ProfileId(0)).pop().unwrap().because;
    assert!(because.contains("general limits") && because.starts_with("2 orders, the last one today."), "{because}");
    // One return more, and one-timers have limits of their own, which the others borrow.
    let customers: Vec<_> = (0..i64::from(MIN_RETURNS)).map(|n| buyer(n, &[0, 5])).collect();
    let limits = *assign_utc(&customers, 5).limits();
    assert_eq!(limits.map(|limits| limits.basis), [Basis::AllBuyers, Basis::Own, Basis::AllBuyers, Basis::AllBuyers]);
    assert_eq!((limits[1].at_risk_days, limits[1].churned_days), (5, 6));
}

#[test]
fn sign_ups_are_measured_by_how_long_the_first_order_took() {
    let late = |id| Customer { first_seen: noon(0), ..buyer(id, &[7]) };
    let mut customers: Vec<_> = (0..i64::from(MIN_RETURNS)).map(late).collect();
    // Who buys at first sight was never a mere sign-up, and says nothing of how long that takes.
    customers.extend((100..200).map(|id| buyer(id, &[0])));
    customers.extend([sign_up(300, 3), sign_up(301, 2), sign_up(302, 1)]);
    let book = assign_utc(&customers, 10);
    let limits = book.limits()[0];
    assert_eq!((limits.at_risk_days, limits.churned_days, limits.basis), (7, 8, Basis::Own));
    assert_eq!(limits.returns, MIN_RETURNS);
    assert_eq!([300, 301, 302].map(|id| standing(&book, id).1), [Stage::Active, Stage::AtRisk, Stage::Churned]);
}

#[test]
fn what_sign_ups_take_says_nothing_of_second_orders() {
    let late = |id| Customer { first_seen: noon(0), ..buyer(id, &[7]) };
    let customers: Vec<_> = (0..i64::from(MIN_RETURNS)).map(late).collect();
    let limits = assign_utc(&customers, 10).limits().map(|limits| limits.basis);
    assert_eq!(limits, [Basis::Own, Basis::Default, Basis::Default, Basis::Default]);
}

#[test]
fn the_first_instant_of_the_next_day_is_not_of_this_one() {
    let at_midnight = |minor| Purchase { at: end_of(0), minor };
    let mut bought = buyer(1, &[0]);
    bought.purchases.push(at_midnight(1));
    let seen = Customer { first_seen: end_of(0), ..sign_up(2, 0) };
    let book = assign_utc(&[bought, seen], 0);
    assert_eq!(book.people().len(), 1);
    assert_eq!(book.person(ProfileId(1)).unwrap().orders(), 1);
}

#[test]
fn an_order_from_before_the_first_visit_moves_the_first_sight_there() {
    // Imported after the person was first seen, as a past day would otherwise not know its buyer.
    let imported = Customer { first_seen: noon(50), ..buyer(1, &[3]) };
    let book = assign_utc(&[imported], 10);
    assert_eq!(book.person(ProfileId(1)).unwrap().idle_days(), 7);
}

#[test]
fn stages_follow_the_limits_day_by_day() {
    let limits = Limits { buyers: Buyers::Repeats, at_risk_days: 30, churned_days: 60, basis: Basis::Own, returns: 99 };
    let stages = [0, 30, 31, 60, 61].map(|days| lifecycle::stage(&limits, days));
    assert_eq!(stages, [Stage::Active, Stage::Active, Stage::AtRisk, Stage::AtRisk, Stage::Churned]);
}

#[test]
fn sign_ups_are_in_the_lifecycle_and_visitors_without_a_name_are_not() {
    let visitor = Customer { signed_up: false, ..sign_up(2, 0) };
    let book = assign_utc(&[sign_up(1, 0), visitor, buyer(3, &[0]), sign_up(4, 11), buyer(5, &[0, 1, 2, 30])], 10);
    let people: Vec<_> = book.people().iter().map(|person| person.profile_id.0).collect();
    assert_eq!(people, [1, 3, 5]);
    assert_eq!(standing(&book, 1), (Buyers::NewSignUps, Stage::Active));
    assert_eq!(standing(&book, 3), (Buyers::OneTimers, Stage::Active));
    assert_eq!(standing(&book, 5), (Buyers::Loyals, Stage::Active));
    assert_eq!(book.person(ProfileId(1)).unwrap().rfm, None);
    assert_eq!(book.segments_of(ProfileId(1)).len(), 1);
    assert_eq!(book.grid().iter().flatten().sum::<usize>(), 2);
}

#[test]
fn the_day_ends_where_the_site_is() {
    // 23:30 in Berlin on 2 January is 22:30 UTC; the order of half an hour after midnight is tomorrow's.
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let late = Customer {
        profile_id: ProfileId(1),
        first_seen: at("2026-01-01T22:30:00Z"),
        signed_up: true,
        purchases: ["2026-01-01T22:30:00Z", "2026-01-02T22:30:00Z", "2026-01-02T23:30:00Z"]
            .map(|text| Purchase { at: at(text), minor: 1 })
            .to_vec(),
    };
    let book = assign(&[late], at("2026-01-02T23:00:00Z"), &berlin);
    let person = book.person(ProfileId(1)).unwrap();
    assert_eq!((book.day(), person.orders(), person.idle_days()), (jiff::civil::date(2026, 1, 2), 2, 0));
    assert_eq!(day_number("1969-12-31T23:59:59.5Z".parse().unwrap(), &TimeZone::UTC), -1);
}

fn any_customers() -> impl Strategy<Value = Vec<Customer>> {
    let person = (0..60_i64, prop::bool::ANY, prop::collection::vec((0..120_i64, 0..500_i64), 0..8));
    prop::collection::vec(person, 0..120).prop_map(|people| {
        let customer = |id, first, signed_up, mut orders: Vec<(i64, i64)>| {
            orders.sort_unstable();
            let purchases = orders.into_iter().map(|(day, minor)| Purchase { at: noon(first + day), minor }).collect();
            Customer { profile_id: ProfileId(id), first_seen: noon(first), signed_up, purchases }
        };
        (0..).zip(people).map(|(id, (first, signed_up, orders))| customer(id, first, signed_up, orders)).collect()
    })
}

proptest! {
    #[test]
    fn everybody_is_in_one_segment_of_each_family_and_better_values_never_score_less(
        customers in any_customers(),
        day in 0..200_i64,
    ) {
        let book = assign_utc(&customers, day);
        for person in book.people() {
            let segments = book.segments_of(person.profile_id);
            prop_assert_eq!(segments.len(), if person.orders() > 0 { 3 } else { 1 });
            let in_all = SegmentKey::all().filter(|key| person.is_in(*key)).count();
            prop_assert_eq!(in_all, segments.len());
            prop_assert!(segments.iter().all(|segment| person.is_in(segment.key)));
        }
        for key in SegmentKey::all() {
            prop_assert_eq!(book.members(key).count(), book.size(key));
        }
        let buyers: Vec<_> = book.people().iter().filter_map(|person| person.rfm.map(|rfm| (person, rfm))).collect();
        for (one, a) in &buyers {
            for (other, b) in &buyers {
                prop_assert!(one.idle_days() < other.idle_days() || a.recency <= b.recency);
                prop_assert!(one.orders() > other.orders() || a.frequency <= b.frequency);
            }
        }
        // No score holds more than a fifth, but for one value that is shared.
        for score in 1..=5_u8 {
            let (mut days, people): (Vec<_>, Vec<_>) =
                buyers.iter().filter(|(_, rfm)| rfm.recency == score).map(|(p, _)| (p.idle_days(), p.profile_id)).unzip();
            days.sort_unstable();
            let largest_tie = days.chunk_by(|a, b| a == b).map(<[u32]>::len).max().unwrap_or(0);
            prop_assert!(people.len() <= buyers.len() / 5 + 1 + largest_tie);
        }
        for limits in book.limits() {
            prop_assert!(1 <= limits.at_risk_days && limits.at_risk_days < limits.churned_days);
        }
    }

    #[test]
    fn what_comes_after_the_day_changes_nothing(customers in any_customers(), day in 0..200_i64) {
        let mut known_then = customers.clone();
        for customer in &mut known_then {
            customer.purchases.retain(|purchase| purchase.at < end_of(day));
        }
        known_then.retain(|customer| customer.first_seen < end_of(day));
        prop_assert_eq!(assign_utc(&customers, day), assign_utc(&known_then, day));
    }
}

/// 40 people who came back after 10 days, 40 after 20, 20 after 30; 100 are still away after 50.
fn known_gaps() -> Gaps {
    let mut gaps = Gaps::default();
    for (days, people) in [(10, 40), (20, 40), (30, 20)] {
        (0..people).for_each(|_| gaps.returned(days));
    }
    (0..100).for_each(|_| gaps.waiting(50));
    gaps
}

fn one_timers(gaps: Gaps) -> [Gaps; 4] {
    [Gaps::default(), gaps, Gaps::default(), Gaps::default()]
}

#[test]
fn a_curve_shows_who_came_back_by_when_and_who_is_still_waited_for() {
    let [_, curve, ..] = Curve::all(&one_timers(known_gaps()));
    let points: Vec<_> = curve.points.iter().map(|point| (point.days, point.returned, point.of_returning)).collect();
    let close = |(days, returned, of_returning): (u32, f64, f64), wanted: (u32, f64, f64)| {
        days == wanted.0 && (returned - wanted.1).abs() < 1e-12 && (of_returning - wanted.2).abs() < 1e-12
    };
    // Nobody is censored before day 50, so the estimate is the plain share.
    let wanted = [(0, 0.0, 0.0), (10, 0.2, 0.4), (20, 0.4, 0.8), (30, 0.5, 1.0), (50, 0.5, 1.0)];
    assert!(points.len() == 5 && points.iter().zip(wanted).all(|(point, wanted)| close(*point, wanted)), "{points:?}");
    assert_eq!((curve.people, curve.returns, curve.waiting_at_end), (200, 100, 100));
    assert_eq!(curve.usual_gap_days, Some(20));
    assert_eq!((curve.limits.at_risk_days, curve.limits.churned_days), (20, 30));
}

#[test]
fn a_curve_of_nobody_is_empty_and_has_general_limits() {
    let [curve, ..] = Curve::all(&Default::default());
    assert_eq!((curve.people, curve.points.len(), curve.waiting_at_end), (0, 0, 0));
    assert_eq!((curve.limits.basis, curve.usual_gap_days), (Basis::Default, None));
}

#[test]
fn a_long_curve_is_thinned_and_keeps_its_ends() {
    let mut gaps = Gaps::default();
    (1..=2_000).for_each(|day| gaps.returned(day));
    (0..20).for_each(|_| gaps.waiting(2_500));
    let [_, curve, ..] = Curve::all(&one_timers(gaps));
    assert_eq!(curve.points.len(), MAX_POINTS);
    assert_eq!((curve.points[0].days, curve.points[MAX_POINTS - 1].days), (0, 2_500));
    assert!(curve.points.is_sorted_by(|a, b| a.days < b.days && a.returned <= b.returned));
}

#[test]
fn who_borrows_the_limits_of_all_buyers_borrows_their_usual_gap() {
    let rhythm = Rhythm::of(&one_timers(known_gaps()));
    assert_eq!(rhythm.usual_gap_days, [Some(20); 4]);
    assert_eq!(Rhythm::of(&Default::default()).usual_gap_days, [None; 4]);
}

/// Limits for repeats on their own basis, everybody else on general ones.
fn repeats(at_risk_days: u32, churned_days: u32, usual: u32) -> Rhythm {
    let mut rhythm = Rhythm::of(&Default::default());
    let buyers = Buyers::Repeats;
    rhythm.limits[2] = Limits { buyers, at_risk_days, churned_days, basis: Basis::Own, returns: at_risk_days };
    rhythm.usual_gap_days[2] = Some(usual);
    rhythm
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

#[test]
fn limits_stay_until_they_moved_by_more_than_the_tolerance() {
    let current = LimitsVersion::first(repeats(40, 90, 20), day("2026-01-01"));
    let revised = |fresh: Rhythm| lifecycle::revise(&current, &fresh, day("2026-02-01"));
    assert_eq!(revised(repeats(44, 99, 22)), None, "a tenth");
    assert_eq!(revised(repeats(40, 90, 22)), None, "two days");
    let next = revised(repeats(45, 92, 21)).unwrap();
    assert_eq!((next.version, next.valid_from, next.rhythm), (2, day("2026-02-01"), repeats(45, 92, 21)));
    assert_eq!(
        next.because,
        "Repeats: at risk after 45 days (was 40), churned after 92 days (was 90), the usual gap is 21 days (was 20), as \
         45 returns of their own are known, 40 when the limits were last set."
    );
    let shorter = LimitsVersion::first(repeats(4, 9, 2), day("2026-01-01"));
    assert_eq!(
        lifecycle::revise(&shorter, &repeats(6, 11, 4), day("2026-02-01")),
        None,
        "half as much again, two days"
    );
    assert_eq!(lifecycle::revise(&current, &repeats(80, 99, 22), day("2025-12-31")), None, "before it began");
}

#[test]
fn limits_change_when_they_rest_on_something_better_and_never_for_something_worse() {
    let general = LimitsVersion::first(Rhythm::of(&Default::default()), day("2026-01-01"));
    let next = lifecycle::revise(&general, &repeats(90, 180, 40), day("2026-02-01")).unwrap();
    assert_eq!(
        next.because,
        "Repeats: the usual gap is 40 days (was unknown), as 90 returns of their own are known, enough to take the place \
         of general limits."
    );
    let others = [0, 1, 3].map(|place| next.rhythm.limits[place].basis);
    assert_eq!((others, next.rhythm.limits[2].basis), ([Basis::Default; 3], Basis::Own));
    let own = LimitsVersion::first(repeats(20, 40, 10), day("2026-01-01"));
    assert_eq!(lifecycle::revise(&own, &Rhythm::of(&Default::default()), day("2026-02-01")), None);
}

#[test]
fn a_past_day_finds_the_limits_that_held_then() {
    let first = LimitsVersion::first(repeats(40, 90, 20), day("2026-01-01"));
    let second = lifecycle::revise(&first, &repeats(60, 90, 20), day("2026-02-01")).unwrap();
    let again = lifecycle::revise(&second, &repeats(80, 90, 20), day("2026-02-01")).unwrap();
    let versions = [again, second, first];
    let version = |text| lifecycle::at(&versions, day(text)).map(|version| version.version);
    assert_eq!(version("2025-12-31"), None);
    assert_eq!((version("2026-01-01"), version("2026-01-31")), (Some(1), Some(1)));
    assert_eq!((version("2026-02-01"), version("2027-01-01")), (Some(3), Some(3)));
    let written = serde_json::to_value(&versions[0]).unwrap();
    assert_eq!((&written["limits"][2]["at_risk_days"], &written["usual_gap_days"][0]), (&80.into(), &().into()));
    assert_eq!(serde_json::from_value::<LimitsVersion>(written).unwrap(), versions[0]);
}

const THRESHOLDS: Thresholds = Thresholds {
    recency_days: [30, 60, 120, 365],
    orders: [2, 3, 5, 10],
    spent_minor: [1_000, 5_000, 20_000, 100_000],
};

#[test]
fn own_cuts_give_the_scores_they_say_and_sentences_that_are_true() {
    let cuts = Cuts::new(THRESHOLDS).unwrap();
    let scales = Scales::from_cuts(&cuts);
    let scores = |recency_days, orders, spent_minor| {
        let scores = scales.scores(&CustomerOrders { recency_days, orders, spent_minor });
        (scores.recency, scores.frequency, scores.monetary)
    };
    assert_eq!([0, 30, 31, 60, 61, 120, 121, 365, 366].map(|days| scores(days, 1, 0).0), [5, 5, 4, 4, 3, 3, 2, 2, 1]);
    assert_eq!([1, 2, 3, 4, 5, 9, 10, 500].map(|orders| scores(0, orders, 0).1), [1, 2, 3, 3, 4, 4, 5, 5]);
    assert_eq!([-5, 0, 999, 1_000, 4_999, 100_000].map(|minor| scores(0, 1, minor).2), [1, 1, 1, 2, 2, 5]);

    let settings = Settings { cuts: Some(cuts), ..Settings::default() };
    let twelve = buyer(2, &(0..12).collect::<Vec<_>>());
    let book = Survey::of(&[buyer(1, &[0]), twelve], end_of(400), &TimeZone::UTC).book(&settings);
    let because = |id| book.segments_of(ProfileId(id))[0].because.clone();
    assert_eq!(because(1), "Last order 400 days ago (R1: 366 days and more) and 1 order (F1: 1).");
    assert_eq!(because(2), "Last order 389 days ago (R1: 366 days and more) and 12 orders (F5: 10 and more).");
    assert_eq!(book.size(SegmentKey::Rfm(Group::CantLose)), 1);
}

#[test]
fn cuts_that_leave_a_score_to_nobody_are_refused_with_the_value_at_fault() {
    let error = |change: fn(&mut Thresholds)| {
        let mut thresholds = THRESHOLDS;
        change(&mut thresholds);
        Cuts::new(thresholds).unwrap_err()
    };
    let not_ascending = error(|t| t.recency_days[2] = 60);
    assert_eq!(not_ascending, CutsError::NotAscending { dimension: "recency_days", before: 60, value: 60 });
    assert_eq!(
        not_ascending.to_string(),
        "recency_days: 60 follows 60; each of the four values must be larger than the one before"
    );
    assert_eq!(error(|t| t.orders[0] = 1), CutsError::TooLow { dimension: "orders", value: 1, least: 2 });
    assert_eq!(error(|t| t.spent_minor[0] = 0), CutsError::TooLow { dimension: "spent_minor", value: 0, least: 1 });

    let written = serde_json::to_value(Cuts::new(THRESHOLDS).unwrap()).unwrap();
    assert_eq!(serde_json::from_value::<Cuts>(written.clone()).unwrap().thresholds(), THRESHOLDS);
    let mut wrong = written;
    wrong["orders"][0] = 1.into();
    assert!(serde_json::from_value::<Cuts>(wrong).unwrap_err().to_string().contains("at least 2 is needed"));
}

#[test]
fn a_site_with_limits_of_its_own_is_measured_by_them() {
    let settings = Settings { rhythm: Some(repeats(5, 8, 3)), ..Settings::default() };
    let customers = [buyer(1, &[0, 1])];
    let stage = |day, settings: &Settings| {
        let book = Survey::of(&customers, end_of(day), &TimeZone::UTC).book(settings);
        book.person(ProfileId(1)).unwrap().lifecycle.stage
    };
    assert_eq!(
        [6, 7, 9, 10].map(|day| stage(day, &settings)),
        [Stage::Active, Stage::AtRisk, Stage::AtRisk, Stage::Churned]
    );
    assert_eq!(stage(10, &Settings::default()), Stage::Active);
}

#[test]
fn rules_read_the_same_site_as_the_segments() {
    let customers: Vec<_> = (1..=40).map(|n| buyer(n, &[0, n])).collect();
    let settings = Settings::default();
    let site = site_values(&customers, end_of(60), &TimeZone::UTC, 2, &settings);
    let survey = Survey::of(&customers, end_of(60), &TimeZone::UTC);
    assert_eq!((site.limits, site.usual_gap_days), (survey.rhythm().limits, survey.rhythm().usual_gap_days));
    assert_eq!(site.usual_gap_days[1], Some(16), "of 31 who are followed to the end, the 16th came after 16 days");
    let book = survey.book(&settings);
    assert_eq!((site.scales, &site.limits), (*book.scales(), book.limits()));
    assert_eq!((site.revenue.below(2_000.0), site.revenue.below(2_001.0)), (Some(0.0), Some(100.0)));
    assert_eq!((site.order_value.below(1_000.0), site.order_value.below(1_001.0)), (Some(0.0), Some(100.0)));
}

proptest! {
    #[test]
    fn a_value_that_somebody_has_is_placed_where_the_share_of_the_others_below_puts_it(
        values in prop::collection::vec((0..40_u32, 1..12_u32, -50..400_i64), 1..80),
    ) {
        let buyers: Vec<_> = values
            .into_iter()
            .map(|(recency_days, orders, spent_minor)| CustomerOrders { recency_days, orders, spent_minor })
            .collect();
        let scales = Scales::of(&buyers);
        let level = |below: usize| 1 + (5 * below / (buyers.len() - 1).max(1)).min(4) as u8;
        for buyer in &buyers {
            let count = |is_below: &dyn Fn(&CustomerOrders) -> bool| buyers.iter().filter(|other| is_below(other)).count();
            let scores = scales.scores(buyer);
            prop_assert_eq!(scores.recency, 6 - level(count(&|other| other.recency_days < buyer.recency_days)));
            prop_assert_eq!(scores.frequency, level(count(&|other| other.orders < buyer.orders)));
            prop_assert_eq!(scores.monetary, level(count(&|other| other.spent_minor < buyer.spent_minor)));
        }
    }
}
