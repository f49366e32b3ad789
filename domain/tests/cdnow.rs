//! The segments on real orders: the CDNOW sample (`data/README.md`).

use domain::event::ProfileId;
use domain::money::{Currency, Money};
use domain::segment::lifecycle::{Basis, Buyers, Stage, Standing};
use domain::segment::rfm::{Cell, Group};
use domain::segment::rule::{PersonRow, PlacedAt, Plan, Slots, Vocabulary, What, second};
use domain::segment::{
    Customer, Purchase, SegmentBook, SegmentKey, Settings, Survey, assign, definition, library, site_values,
};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Every customer with their orders, which the file dates by day: they are placed at noon, in the site's time zone.
fn cdnow(time_zone: &TimeZone) -> Vec<Customer> {
    let mut reader = csv::Reader::from_reader(include_str!("data/cdnow_sample.csv").as_bytes());
    let mut purchases: BTreeMap<i64, Vec<Purchase>> = BTreeMap::new();
    for line in reader.deserialize::<(String, i64, Date, u32, String)>() {
        let (_, customer, date, _, amount) = line.unwrap();
        let at = date.at(12, 0, 0, 0).to_zoned_datetime(time_zone.clone()).unwrap().timestamp();
        let minor = Money::parse(&amount, Currency::USD).unwrap().minor;
        purchases.entry(customer).or_default().push(Purchase { at, minor });
    }
    let customer = |(id, mut purchases): (i64, Vec<Purchase>)| {
        purchases.sort_by_key(|purchase| purchase.at);
        Customer { profile_id: ProfileId(id), first_seen: purchases[0].at, signed_up: true, purchases }
    };
    purchases.into_iter().map(customer).collect()
}

fn end_of(day: &str, time_zone: &TimeZone) -> Timestamp {
    let next = day.parse::<Date>().unwrap().tomorrow().unwrap();
    next.to_zoned_datetime(time_zone.clone()).unwrap().timestamp()
}

fn book(day: &str) -> SegmentBook {
    assign(&cdnow(&TimeZone::UTC), end_of(day, &TimeZone::UTC), &TimeZone::UTC)
}

fn lifecycle_total(book: &SegmentBook) -> usize {
    Standing::all().map(|standing| book.size(SegmentKey::Lifecycle(standing))).sum()
}

#[test]
fn the_sample_is_the_published_one() {
    let customers = cdnow(&TimeZone::UTC);
    assert_eq!(customers.len(), 2_357);
    assert_eq!(customers.iter().map(|customer| customer.purchases.len()).sum::<usize>(), 6_919);
    // The calibration period's repeat purchase days that every published fit rests on.
    let end = end_of("1997-09-30", &TimeZone::UTC);
    let days = |customer: &Customer| {
        let until_then = customer.purchases.iter().filter(|purchase| purchase.at < end);
        until_then.map(|purchase| purchase.at).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(customers.iter().map(|customer| days(customer) - 1).sum::<usize>(), 2_457);
}

#[test]
fn everybody_who_had_bought_is_in_one_segment_of_each_family() {
    let book = book("1997-09-30");
    let groups: usize = Group::ALL.into_iter().map(|group| book.size(SegmentKey::Rfm(group))).sum();
    let cells: usize = Cell::all().map(|cell| book.size(SegmentKey::RfmCell(cell))).sum();
    assert_eq!((groups, cells, lifecycle_total(&book)), (2_357, 2_357, 2_357));
    assert_eq!(book.grid().iter().flatten().sum::<usize>(), 2_357);
    for key in SegmentKey::all() {
        assert_eq!(book.members(key).count(), book.size(key), "{key}");
    }
}

#[test]
fn fifths_of_recency_and_money_are_fifths_and_one_time_buyers_share_the_lowest_frequency() {
    let book = book("1997-09-30");
    let with = |score: fn(&domain::segment::rfm::Scores) -> u8, level: u8| {
        book.people().iter().filter(|person| person.rfm.as_ref().map(score) == Some(level)).count()
    };
    for level in 1..=5 {
        // A fifth of 2,357 is 471; a day's ties and a price's move a few across.
        assert!((420..=520).contains(&with(|s| s.recency, level)), "R{level}: {}", with(|s| s.recency, level));
        assert!((420..=520).contains(&with(|s| s.monetary, level)), "M{level}: {}", with(|s| s.monetary, level));
    }
    let once = book.people().iter().filter(|person| person.orders() == 1).count();
    assert_eq!(with(|s| s.frequency, 1), once);
    assert_eq!(book.scales().orders.range(1), Some((1, 1)));
}

#[test]
fn group_sizes_of_three_days_and_the_limits_behind_them() {
    let mut text = String::new();
    for day in ["1997-02-01", "1997-09-30", "1998-06-30"] {
        let book = book(day);
        writeln!(text, "{day}: {} people", book.people().len()).unwrap();
        for key in SegmentKey::all().filter(|key| !matches!(key, SegmentKey::RfmCell(_))) {
            writeln!(text, "  {:<30}{:>6}  {}", key.to_string(), book.size(key), definition(key).name).unwrap();
        }
        for (recency, row) in (1..=5_u8).zip(book.grid()).rev() {
            writeln!(text, "  R{recency} {row:>5?}").unwrap();
        }
        for limits in book.limits() {
            writeln!(text, "  {limits:?}").unwrap();
        }
        writeln!(text, "  {:?}", book.scales()).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_past_day_knows_nothing_of_what_came_later() {
    let day = "1997-05-15";
    let end = end_of(day, &TimeZone::UTC);
    let all = cdnow(&TimeZone::UTC);
    let mut known_then = all.clone();
    for customer in &mut known_then {
        customer.purchases.retain(|purchase| purchase.at < end);
    }
    known_then.retain(|customer| customer.first_seen < end);
    assert_eq!(assign(&all, end, &TimeZone::UTC), assign(&known_then, end, &TimeZone::UTC));
}

#[test]
fn days_are_those_of_the_sites_time_zone() {
    let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
    let there = assign(&cdnow(&tokyo), end_of("1997-09-30", &tokyo), &tokyo);
    assert_eq!(there, book("1997-09-30"));
    // The same instants read in another zone are other days: a noon in Tokyo is 22:00 or 23:00 the day before in New York.
    let new_york = TimeZone::get("America/New_York").unwrap();
    let elsewhere = assign(&cdnow(&tokyo), end_of("1997-09-30", &new_york), &new_york);
    assert_eq!(elsewhere.day(), "1997-09-30".parse().unwrap());
    assert_ne!(elsewhere.scales(), there.scales());
    assert_eq!(lifecycle_total(&elsewhere), 2_357);
}

#[test]
fn who_had_not_bought_yet_is_in_no_segment() {
    let book = book("1997-01-31");
    let bought = cdnow(&TimeZone::UTC).iter().filter(|c| c.first_seen < end_of("1997-01-31", &TimeZone::UTC)).count();
    assert_eq!(book.people().len(), bought);
    assert_eq!(lifecycle_total(&book), bought);
    assert!(bought < 2_357);
    // The earliest days have too few returns for limits of their own.
    assert!(self::book("1997-01-03").limits().iter().all(|limits| limits.basis == Basis::Default));
}

#[test]
fn a_membership_says_why() {
    let book = book("1997-09-30");
    let segments = book.segments_of(ProfileId(1));
    let lines: Vec<_> = segments.iter().map(|segment| format!("{}: {}", segment.key, segment.because)).collect();
    insta::assert_snapshot!(lines.join("\n"));
    for segment in &segments {
        assert!(book.members(segment.key).any(|member| member == ProfileId(1)), "{}", segment.key);
    }
    assert!(book.segments_of(ProfileId(99_999)).is_empty());
}

#[test]
fn the_more_orders_the_more_are_still_active_as_the_sample_shows() {
    let book = book("1997-09-30");
    let active = |buyers| {
        let of = |stage| book.size(SegmentKey::Lifecycle(Standing { buyers, stage })) as f64;
        of(Stage::Active) / Stage::ALL.map(of).iter().sum::<f64>()
    };
    assert!(active(Buyers::OneTimers) < active(Buyers::Repeats));
    assert!(active(Buyers::Repeats) < active(Buyers::Loyals));
}

/// A customer as rules see them: nothing but orders.
fn as_row(customer: &Customer) -> PersonRow {
    let mut row = PersonRow::new(customer.profile_id, customer.signed_up);
    for purchase in &customer.purchases {
        let at = second(purchase.at);
        row.at.push(at);
        row.what.push(What::ORDER);
        row.record.push(0);
        row.orders.push(PlacedAt { at, record: 0, minor: purchase.minor });
    }
    row
}

#[test]
fn the_librarys_rules_find_the_same_people_as_the_segments() {
    let customers = cdnow(&TimeZone::UTC);
    let rows: Vec<PersonRow> = customers.iter().map(as_row).collect();
    for day in ["1997-02-01", "1997-09-30", "1998-06-30"] {
        let end = end_of(day, &TimeZone::UTC);
        let book = assign(&customers, end, &TimeZone::UTC);
        let site = site_values(&customers, end, &TimeZone::UTC, 2, &Settings::default());
        let families = [Group::ALL.map(SegmentKey::Rfm).to_vec(), Standing::all().map(SegmentKey::Lifecycle).collect()];
        for keys in families {
            let mut found = 0;
            for key in keys {
                let entry = library::find(&key.to_string()).unwrap();
                let plan = Plan::compile(&entry.rule, &Vocabulary::new(), &site, &Slots::default()).unwrap();
                let is_in = |row: &&PersonRow| plan.holds(&row.as_person(&[]), second(end) - 1);
                let by_rule: BTreeSet<_> = rows.iter().filter(is_in).map(|row| row.profile_id).collect();
                assert_eq!(by_rule, book.members(key).collect(), "{key} on {day}");
                found += by_rule.len();
            }
            assert_eq!(found, book.people().len(), "each in one, {day}");
        }
    }
}

#[test]
fn the_top_tenth_is_a_tenth_and_the_usual_gaps_shorten_with_every_order() {
    let customers = cdnow(&TimeZone::UTC);
    let end = end_of("1997-09-30", &TimeZone::UTC);
    let site = site_values(&customers, end, &TimeZone::UTC, 2, &Settings::default());
    let size = |key: &str| {
        let rule = &library::find(key).unwrap().rule;
        let plan = Plan::compile(rule, &Vocabulary::new(), &site, &Slots::default()).unwrap();
        customers.iter().filter(|customer| plan.holds(&as_row(customer).as_person(&[]), second(end) - 1)).count()
    };
    let (tenth, fifth) = (size("value-top-10-percent"), size("value-big-baskets"));
    assert!((230..=241).contains(&tenth) && (450..=480).contains(&fifth), "{tenth} and {fifth} of 2,357");
    let mut text = String::new();
    for curve in Survey::of(&customers, end, &TimeZone::UTC).curves() {
        let end = curve.points.last().map(|last| (last.days, (last.returned * 1_000.0).round() / 1_000.0));
        let (points, usual) = (curve.points.len(), curve.usual_gap_days);
        writeln!(
            text,
            "{:?}: {} people, {} returns, {points} points, usual gap {usual:?}, at the end {end:?} returned, {} waited for",
            curve.buyers, curve.people, curve.returns, curve.waiting_at_end
        )
        .unwrap();
    }
    insta::assert_snapshot!(text);
}
