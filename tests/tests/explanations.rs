//! Memberships and their explanations against raw rows: what is stored of everybody, what the API says of some, and
//! every number in it are told a second time by a naive evaluator that reads the tables (`domain/tests/rules/naive.rs`).

#[path = "explanations/evidence.rs"]
mod evidence;
#[path = "../../domain/tests/rules/naive.rs"]
mod naive;
#[path = "explanations/people.rs"]
mod people;
#[path = "explanations/rows.rs"]
mod rows;

use domain::segment::rule::Fact;
use evidence::{Checked, kinds};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use naive::{Asked, Someone, is_member};
use rows::{Reading, Segment, Stored};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::{Duration, Instant};
use tests::cluster::Folder;
use tests::server::succeeds;
use tests::shop::add_site;
use tests::synthetic::Draws;
use tests::{Database, Server, Shop, Web, rounds, segments, until};

const CDNOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/tests/data/cdnow_sample.csv");
/// Models of thousands of people are made, and everybody is asked, on whatever machine this is.
const LONG: Duration = Duration::from_secs(240);

/// A time zone in which no day ends soon: at midnight models are made anew.
fn calm_zone(now: Timestamp) -> &'static str {
    let zones = ["Europe/Zurich", "America/New_York", "Asia/Tokyo"];
    let hour = |zone: &&str| now.to_zoned_datetime(TimeZone::get(zone).expect("a time zone")).hour();
    zones.into_iter().find(|zone| (1..22).contains(&hour(zone))).expect("one of three is awake")
}

/// CDNOW's orders with its last day moved to yesterday, at any time of day.
fn moved_cdnow(folder: &Folder, today: Date) -> std::path::PathBuf {
    let last = Date::constant(1998, 6, 30);
    let off = SignedDuration::from_hours(24 * i64::from((today - last).get_days() - 1));
    let mut draws = Draws::of(7);
    let mut lines = String::from("customer_id,ordered_at,total\n");
    let mut reader = csv::Reader::from_path(CDNOW).expect("the sample");
    for record in reader.records() {
        let record = record.expect("a line");
        let day: Date = record[2].parse().expect("a day");
        let second = (draws.uniform() * 86_399.0) as i64;
        let at = day.at(0, 0, 0, 0) + off + SignedDuration::from_secs(second);
        writeln!(lines, "{},{at},{}", &record[0], &record[4]).expect("a text grows");
    }
    let path = folder.path().join("cdnow.csv");
    std::fs::write(&path, lines).expect("a file");
    path
}

/// Sites whose people have not all been folded and asked, or whose models are to be made anew as the product sees it:
/// a fifth more orders or people than they were made of.
const UNSETTLED: &str = "
    SELECT (SELECT count(*) FROM journal WHERE NOT projected) + count(*) FROM sites s
    LEFT JOIN segment_sweeps w USING (site_id)
    LEFT JOIN segment_models v ON v.site_id = s.site_id AND v.kind = 'values',
    LATERAL (SELECT COALESCE(sum(orders), 0) AS orders, count(*) AS people FROM profiles p
             WHERE p.site_id = s.site_id AND (signed_up OR orders > 0)) AS c,
    LATERAL (SELECT (model->>'orders')::bigint AS orders, (model->>'people')::bigint AS people) AS m
    WHERE s.segments_revision > COALESCE(w.swept_revision, 0) OR m.orders IS NULL
        OR (c.orders - m.orders >= 20 AND (c.orders - m.orders) * 5 >= m.orders)
        OR (c.people - m.people >= 20 AND (c.people - m.people) * 5 >= m.people)";

/// The keys of the segments that somebody is in, by the naive evaluator.
fn naive_membership(someone: &mut Someone, stored: &Stored, reading: &Reading, as_of: u32) -> BTreeSet<String> {
    someone.segments.clone_from(&stored.listed_in);
    let is_ready = |segment: &Segment, settled: &BTreeSet<&str>| {
        let needs = segment.rule.as_ref().map(|rule| rule.needs().segments).unwrap_or_default();
        needs.iter().all(|key| settled.contains(key.as_str()))
    };
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    while settled.len() < reading.segments.len() {
        let open = reading.segments.iter().filter(|segment| !settled.contains(segment.key.as_str()));
        let ready: Vec<&Segment> = open.filter(|segment| is_ready(segment, &settled)).collect();
        assert!(!ready.is_empty(), "segments that ask for one another");
        for segment in ready {
            settled.insert(&segment.key);
            if segment.rule.as_ref().is_some_and(|rule| is_member(rule, someone, &reading.site, as_of)) {
                someone.segments.insert(segment.key.clone());
            }
        }
    }
    std::mem::take(&mut someone.segments)
}

/// What differs between two sets of keys.
fn difference(stored: &BTreeSet<String>, naive: &BTreeSet<String>) -> String {
    format!("stored too much {:?}, missing {:?}", stored - naive, naive - stored)
}

#[derive(Default, Debug)]
struct Counts {
    memberships: usize,
    answers: usize,
    overdue: usize,
    explained: usize,
    clauses: usize,
    moved: usize,
}

/// Everybody's stored memberships, now and at the last second before their deadline.
fn compare_everybody(reading: &Reading, counts: &mut Counts, wrong: &mut Vec<String>) {
    for stored in &reading.people {
        let mut someone = stored.someone.clone();
        let facts = [
            ("orders", Fact::Orders, 1.0),
            ("revenue_minor", Fact::Revenue, 0.01),
            ("sessions", Fact::Visits, 1.0),
            ("views", Fact::PageViews, 1.0),
        ];
        let asked = Asked { someone: &stored.someone, site: &reading.site, as_of: reading.as_of };
        for (column, fact) in [("first_channel", Fact::FirstChannel), ("last_channel", Fact::LastChannel)] {
            let known = asked.fact(fact);
            if known != stored.profile[column] {
                wrong.push(format!(
                    "{:?}: the profile has {column} {}, the rows {known}",
                    stored.id(),
                    stored.profile[column]
                ));
            }
        }
        for (column, fact, unit) in facts {
            let known = asked.fact(fact).as_f64().unwrap_or(f64::NAN);
            let told = stored.profile[column].as_f64().unwrap_or(f64::NAN) * unit;
            if (known - told).abs() > 1e-6 {
                wrong.push(format!("{:?}: the profile has {column} {told}, the rows {known}", stored.id()));
            }
        }
        if stored.due.is_some_and(|due| due <= reading.as_of) {
            counts.overdue += 1;
            continue;
        }
        let then = stored.due.map_or(reading.as_of + 20 * 366 * 86_400, |due| due - 1);
        for as_of in [reading.as_of, then] {
            let naive = naive_membership(&mut someone, stored, reading, as_of);
            if naive != stored.member_of {
                let what = difference(&stored.member_of, &naive);
                wrong.push(format!("{:?} at {as_of}, read at {}: {what}", stored.id(), reading.as_of));
            }
            counts.answers += reading.segments.len();
        }
        counts.memberships += stored.member_of.len();
    }
}

/// Asks the API about one person and one segment, and checks what it says.
fn explain(
    web: &Web,
    bearer: &str,
    reading: &Reading,
    stored: &Stored,
    segment: &Segment,
    counts: &mut Counts,
) -> Vec<String> {
    let asked_by = stored.asked_by.replace('@', "%40");
    let path = format!("/api/v1/segments/{}/explain?{asked_by}", segment.key);
    let reply = web.send("GET", &path, &[("authorization", bearer)], b"");
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    let told = reply.json();
    let at: Timestamp =
        told["as_of"].as_str().and_then(|at| at.parse().ok()).unwrap_or_else(|| panic!("{path}: {told}"));
    let as_of = u32::try_from(at.as_second()).expect("a second of this century");
    let is_stored = stored.member_of.contains(&segment.key);
    counts.explained += 1;
    let mut wrong = Vec::new();
    if told["profile_id"] != stored.someone.profile_id {
        wrong.push(format!("it is about {}", told["profile_id"]));
    }
    // Somebody who was due since the reading has moved on.
    if stored.due.is_some_and(|due| due <= as_of) {
        counts.moved += 1;
    } else if told["member"] != is_stored || told["since"].is_null() == is_stored {
        wrong.push(format!("a member: {}, since {}, stored {is_stored}", told["member"], told["since"]));
    }
    let mut someone = stored.someone.clone();
    someone.segments = naive_membership(&mut someone, stored, reading, as_of);
    match &segment.rule {
        None if told["explanation"].is_null() => {}
        None => wrong.push("a list has a rule".to_owned()),
        Some(rule) => {
            if told["member"] != told["explanation"]["holds"] || told["says"] != rule.to_string() {
                wrong.push("the answer is not that of the rule".to_owned());
            }
            let mut checked = Checked {
                rule: json!(rule),
                someone: &someone,
                site: &reading.site,
                as_of,
                clauses: 0,
                wrong: Vec::new(),
            };
            checked.clause(&rule.who, &told["explanation"]);
            counts.clauses += checked.clauses;
            wrong.append(&mut checked.wrong);
        }
    }
    wrong.into_iter().map(|what| format!("{:?} in {} at {as_of}: {what}", stored.id(), segment.key)).collect()
}

#[test]
fn every_membership_and_every_explanation_is_what_the_rows_say() {
    let started = Instant::now();
    let now_ms = tests::speech::now_ms();
    let now = Timestamp::from_millisecond(now_ms).expect("now");
    let zone = calm_zone(now);
    let today = now.to_zoned_datetime(TimeZone::get(zone).expect("a time zone")).date();
    let lap = |what: &str| eprintln!("{:6.1} s {what}", started.elapsed().as_secs_f64());

    let database = Database::fresh();
    let keys = add_site(&database, "shop", &["--domain", "shop.example", "--timezone", zone]);
    let cdnow = add_site(&database, "cdnow", &["--domain", "cdnow.example", "--currency", "USD", "--timezone", zone]);
    let server = Server::start(&database, &[]);
    let shop = Shop { web: Web::new(&server.origin()), server, keys, database };
    let is_settled = |what: &str| {
        until(what, LONG, || (shop.database.number(UNSETTLED) == 0).then_some(()));
        lap(what);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let folder = Folder::make();
            let file = moved_cdnow(&folder, today);
            let import = ["import", "orders", "--site", "cdnow", file.to_str().expect("a path of text")];
            let told = succeeds(&segments(&shop.database, &import));
            assert_eq!(told.trim(), "read 6919 stored 6919 duplicate 0 rejected 0");
            people::keep(&shop, &cdnow, &people::IMPORTED.map(|(key, says)| (key, says.to_owned())));
        });
        let made = shop.call("POST", "/api/v1/segments", &json!({ "key": "vips", "name": "VIPs", "list": true }));
        assert_eq!(made.status, 201, "{}", made.body);
        let day = |ago: i64| today.saturating_sub(SignedDuration::from_hours(24 * ago));
        people::keep(&shop, &shop.keys, &people::own_segments(day));
        people::live(&shop, now_ms, |what| {
            let waiting = "SELECT count(*) FROM journal WHERE NOT projected AND site_id = ";
            let waiting = format!("{waiting}{}", shop.keys.site_id);
            until(what, LONG, || (shop.database.number(&waiting) == 0).then_some(()));
            lap(what);
        });
    });
    is_settled("everybody is folded, modelled and asked");

    let mut counts = Counts::default();
    let mut wrong = Vec::new();
    let mut connection = shop.database.connect();
    let readings = [&shop.keys, &cdnow].map(|keys| (keys, Reading::of(&mut connection, keys.site_id)));
    let mut filled: BTreeSet<&str> = BTreeSet::new();
    for (_, reading) in &readings {
        compare_everybody(reading, &mut counts, &mut wrong);
        filled.extend(reading.people.iter().flat_map(|stored| stored.member_of.iter().map(String::as_str)));
    }
    lap("everybody is compared");
    assert_eq!(wrong, [""; 0], "{} differ", wrong.len());
    let library: Vec<&str> = domain::segment::library::all().iter().map(|entry| &*entry.key).collect();
    let empty: Vec<&&str> = library.iter().filter(|key| !filled.contains(**key)).collect();
    eprintln!(
        "{} of {} segments of the library have members; without: {empty:?}",
        library.len() - empty.len(),
        library.len()
    );
    assert!(empty.len() * 10 <= library.len(), "{empty:?}");

    let mut kept = BTreeMap::new();
    let rules = readings.iter().flat_map(|(_, reading)| reading.segments.iter().filter_map(|s| s.rule.as_ref()));
    rules.for_each(|rule| kinds(&rule.who, &mut kept));
    assert_eq!(kept.len(), 14, "every kind of clause is kept: {kept:?}");

    let mut draws = Draws::of(2026);
    let mut kinds_met = BTreeMap::new();
    for (keys, reading) in &readings {
        let bearer = format!("Bearer {}", keys.secret_key);
        let mut below = |end: usize| ((draws.uniform() * end as f64) as usize).min(end - 1);
        // Every segment is as likely as another, however many people it has; and then each of its people is.
        for number in 0..rounds(300, 1_000) {
            let is_in =
                |stored: &&Stored, segment: &Segment| stored.member_of.contains(&segment.key) == (number % 2 == 0);
            let (segment, people) = loop {
                let segment = &reading.segments[below(reading.segments.len())];
                let people: Vec<&Stored> = reading.people.iter().filter(|stored| is_in(stored, segment)).collect();
                if !people.is_empty() {
                    break (segment, people);
                }
            };
            let stored = people[below(people.len())];
            wrong.extend(explain(&shop.web, &bearer, reading, stored, segment, &mut counts));
            segment.rule.iter().for_each(|rule| kinds(&rule.who, &mut kinds_met));
        }
    }
    lap("the sample is explained");
    eprintln!("{counts:?}\n{kinds_met:?}");
    assert_eq!(wrong, [""; 0], "{} differ", wrong.len());
    // The log of changes ends where the members are.
    let torn = shop.database.number(
        "SELECT count(*) FROM (
            SELECT DISTINCT ON (site_id, profile_id, segment_id) site_id, profile_id, segment_id, entered
            FROM segment_changes ORDER BY site_id, profile_id, segment_id, change_id DESC) AS c
         FULL JOIN segment_members m USING (site_id, profile_id, segment_id)
         WHERE COALESCE(c.entered, false) <> (m.entered_at IS NOT NULL)",
    );
    assert_eq!(torn, 0, "memberships whose last change says otherwise");
    for (keys, reading) in &readings {
        let revision = Reading::of(&mut connection, keys.site_id).revision;
        assert_eq!(revision, reading.revision, "a model was made meanwhile");
    }
    assert!((counts.overdue + counts.moved) * 50 <= counts.explained, "{counts:?}");
    let _: Value = json!(null);
}
