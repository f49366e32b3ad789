//! People who are too much: a million events, words that nobody refreshed, times at the ends of the calendar.

use crate::naive::DAY;
use crate::world::START;
use domain::event::{ProfileId, TermId};
use domain::segment::rule::{PersonRow, PlacedAt, Plan, Rule, Site, Slots, Vocabulary, What};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

fn plan(who: &Value, vocabulary: &Vocabulary) -> Plan {
    let rule = Rule::from_json(&json!({"version": 1, "who": who}).to_string()).unwrap();
    Plan::compile(&rule, vocabulary, &Site::new(TimeZone::UTC, 2), &Slots::of(["other"])).unwrap()
}

fn clauses() -> Vec<Value> {
    let event = |of: &str, window: Value, is: Value| json!({"event": {"of": {"what": of}, "window": window, "is": is}});
    let ago = || json!({"ago": ["7305 days", "1 second"]});
    let within = || json!({"within": "7305 days"});
    let total = || json!({"sum": {"property": "total", "is": {"at_least": 1e15}}});
    let price = || json!({"sum": {"property": "price", "is": {"at_least": 1e15}}});
    let step = || json!({"of": {"what": "anything"}, "within": "7305 days", "without": {"what": "visit"}});
    let first = || json!({"what": "anything"});
    let never = || json!({"of": {"what": "identify"}, "within": "7305 days"});
    vec![
        event("anything", within(), json!({"count": {"exactly": 5}})),
        event("anything", ago(), json!({"count": {"at_most": 999_999}})),
        event("anything", ago(), price()),
        event("anything", within(), json!({"first": {"at_least": "7305 days"}})),
        event("order", within(), json!({"first": {"at_most": "7305 days"}})),
        event("anything", ago(), json!({"last": {"at_least": "7305 days"}})),
        event("order", within(), total()),
        event("order", ago(), total()),
        event("visit", json!({"since": "2100-01-01"}), json!({"count": {"exactly": 0}})),
        event("anything", json!({"before": "1970-01-01"}), json!({"count": {"exactly": 0}})),
        json!({"sequence": {"first": first(), "then": vec![step(); 7], "window": within()}}),
        json!({"sequence": {"first": first(), "then": vec![step(); 7], "never": never(), "window": ago()}}),
        json!({"sequence": {"first": first(), "never": {"of": {"what": "order"}, "within": "1 second"}}}),
        json!({"fact": {"name": "days_since_last_seen", "is": {"at_least": 1e15}}}),
        json!({"fact": {"name": "page_views", "is": {"at_least": 5}}}),
        json!({"fact": {"name": "last_channel", "is": {"is": "email"}}}),
        json!({"fact": {"name": "lifecycle", "is": {"is": "churned"}}}),
    ]
}

#[test]
fn a_million_events_take_no_longer_than_a_million_steps() {
    // Debug builds are twenty times slower, and a tenth of a million squared is still hours.
    const EVENTS: u32 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let mut vocabulary = Vocabulary::new();
    vocabulary.keep_property("price");
    let mut row = PersonRow::new(ProfileId(1), true);
    let added = vocabulary.track(&"Added".into());
    let record = vocabulary.record(&Map::from_iter([("price".to_owned(), json!(1e300))]));
    for number in 0..EVENTS {
        // Ten thousand to a second.
        let at = START + number / 10_000;
        row.at.push(at);
        row.what.push(if number % 2 == 0 { added } else { What::ORDER });
        row.record.push(if number % 2 == 0 { record } else { 0 });
        if number % 2 == 1 {
            row.orders.push(PlacedAt { at, record: 0, minor: i64::MAX });
        }
    }
    let person = row.as_person(&[]);
    for who in clauses() {
        let plan = plan(&who, &vocabulary);
        for as_of in [START + 50, START + 2 * DAY] {
            // Anything that goes over the events once more for each of them would not come back from here.
            assert_eq!(plan.evaluate(&person, as_of).member, plan.holds(&person, as_of), "{who}");
            assert_eq!(plan.explain(&person, as_of, &vocabulary).holds, plan.holds(&person, as_of), "{who}");
        }
    }
}

#[test]
fn words_that_a_plan_was_not_told_of_are_no_match_and_no_harm() {
    let mut vocabulary = Vocabulary::new();
    vocabulary.keep_property("price");
    vocabulary.keep_trait("plan");
    let tests = json!([{"property": "price", "is": {"exists": false}}]);
    let count = json!({"count": {"at_least": 1}});
    let clauses = [
        json!({"event": {"of": {"what": "anything", "with": tests}, "is": count}}),
        json!({"event": {"of": {"what": {"page": "*"}}, "is": count}}),
        json!({"event": {"of": {"what": {"track": "Added"}}, "is": count}}),
        json!({"event": {"of": {"what": "anything"}, "is": {"sum": {"property": "price", "is": {"at_least": 1}}}}}),
        json!({"trait": {"name": "plan", "is": {"exists": true}}}),
        json!({"segment": "other"}),
    ];
    let early = clauses.map(|who| plan(&who, &vocabulary));
    let page = vocabulary.page(TermId(1), || "shop.example/".into());
    let record = vocabulary.record(&Map::from_iter([("price".to_owned(), json!(5))]));
    let row = PersonRow {
        at: vec![START; 4],
        what: vec![page, vocabulary.track(&"Added".into()), What(u32::MAX), What(u32::MAX)],
        record: vec![u32::MAX - 1, record, u32::MAX, 70],
        orders: vec![PlacedAt { at: START, record: u32::MAX, minor: i64::MIN }; 2],
        traits: vec![u32::MAX],
        ..PersonRow::new(ProfileId(i64::MIN), true)
    };
    for plan in early {
        let person = row.as_person(&[]);
        assert!(!plan.holds(&person, START));
        assert_eq!(plan.evaluate(&person, START).changes_at, None);
        assert!(!plan.explain(&person, START, &vocabulary).holds);
    }
}

#[test]
fn nobody_is_a_member_of_nothing() {
    let mut vocabulary = Vocabulary::new();
    vocabulary.keep_property("price");
    let nobody = PersonRow::new(ProfileId(1), true);
    for who in clauses() {
        for who in [json!({"not": who}), who] {
            for as_of in [0, START, u32::MAX] {
                let plan = plan(&who, &vocabulary);
                assert!(!plan.holds(&nobody.as_person(&[]), as_of));
                assert_eq!(plan.evaluate(&nobody.as_person(&[]), as_of).changes_at, None);
                assert!(!plan.explain(&nobody.as_person(&[]), as_of, &vocabulary).holds);
            }
        }
    }
}
