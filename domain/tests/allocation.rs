//! Asking a rule allocates nothing: it is asked of a million people in a row.
#![allow(unsafe_code, reason = "a global allocator that counts is unsafe to declare; it hands everything on")]

use domain::event::{ProfileId, TermId};
use domain::segment::rule::{Fact, PersonRow, PlacedAt, Plan, Rule, Site, Slots, Vocabulary, What};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Of this thread alone: the test harness has others.
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
}

fn count_one() {
    ALLOCATED.with(|allocated| allocated.set(allocated.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const DAY: u32 = 86_400;
const START: u32 = 20_000 * DAY;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATED.with(Cell::get);
    work();
    ALLOCATED.with(Cell::get) - before
}

/// Clauses of every kind, in every window, with every measure and test.
fn clauses() -> Vec<Value> {
    let matching = [
        json!({"what": {"page": "/p*"}}),
        json!({"what": {"page": "/p1"}}),
        json!({"what": "anything"}),
        json!({"what": "identify"}),
        json!({"what": {"track": "Added"}, "with": [{"property": "price", "is": {"at_least": 2}}]}),
        json!({"what": "order", "with": [{"property": "channel", "is": {"one_of": ["email", "direct"]}}]}),
        json!({"what": "visit", "with": [{"property": "source", "is": {"contains": "GOO"}}]}),
    ];
    let windows = [
        json!("ever"),
        json!({"within": "14 days"}),
        json!({"ago": ["30 days", "2 days"]}),
        json!({"before": "2024-10-20"}),
        json!({"since": "2024-10-01"}),
        json!({"between": ["2024-10-05", "2024-10-07"]}),
    ];
    let measures = [
        json!({"count": {"at_least": 3}}),
        json!({"count": {"exactly": 0}}),
        json!({"first": {"at_least": "2 days"}}),
        json!({"last": {"at_most": "5 days"}}),
    ];
    let mut clauses = Vec::new();
    for of in &matching {
        for window in &windows {
            let event = |is: &Value| json!({"event": {"of": of, "window": window, "is": is}});
            clauses.extend(measures.iter().map(event));
            let then = json!([{"of": {"what": "anything"}, "within": "2 days", "without": {"what": "identify"}}]);
            let never = json!({"of": {"what": "order"}, "within": "1 hour"});
            clauses.push(json!({"sequence": {"first": of, "then": then, "window": window}}));
            clauses.push(json!({"sequence": {"first": of, "then": then, "never": never, "window": window}}));
        }
    }
    let sum = |what: Value, property: &str| {
        let is = json!({"sum": {"property": property, "is": {"between": [1, 100]}}});
        json!({"event": {"of": {"what": what}, "window": {"within": "14 days"}, "is": is}})
    };
    clauses.extend([sum(json!("order"), "total"), sum(json!({"track": "Added"}), "price")]);
    for fact in Fact::ALL {
        let tests = match fact.words() {
            // Any text: only some of them have a form.
            None if fact.trait_name().is_some() => {
                let form = if fact == Fact::Country { "DE" } else { "desktop" };
                let is = if fact == Fact::EmailClass { json!({"exists": true}) } else { json!({"is": form}) };
                vec![is, json!({"exists": false})]
            }
            Some(words) => vec![json!({"is": words[0]}), json!({"one_of": words}), json!({"exists": false})],
            None => vec![json!({"at_least": 2}), json!({"between": [1, 5]}), json!({"one_of": [1, 2, 3]})],
        };
        clauses.extend(tests.into_iter().map(|is| json!({"fact": {"name": fact.key(), "is": is}})));
    }
    clauses.push(json!({"trait": {"name": "plan", "is": {"is": "pro"}}}));
    clauses.push(json!({"segment": "other"}));
    clauses.push(json!({"bucket": {"salt": "a", "from": 0, "to": 5_000}}));
    clauses.push(json!({"not": {"segment": "other"}}));
    let some = [0, 9, 40, 200].map(|place| clauses[place].clone());
    clauses.extend([json!({"all": some}), json!({"any": some})]);
    clauses
}

fn person(vocabulary: &mut Vocabulary) -> PersonRow {
    let mut row = PersonRow::new(ProfileId(7), true);
    let properties = |price: u32| Map::from_iter([("price".to_owned(), json!(price % 5))]);
    for number in 0..60 {
        let at = START + number * 17_000;
        let term = TermId(i32::try_from(number % 4).unwrap());
        let (what, record) = match number % 5 {
            0 => (What::VISIT, vocabulary.touch(&["email", "Google"])),
            1 => (vocabulary.track(&"Added".into()), vocabulary.record(&properties(number))),
            2 => (What::ORDER, vocabulary.touch(&["email"])),
            3 => (What::IDENTIFY, 0),
            _ => (vocabulary.page(term, || format!("shop.example/p{}", term.0).into()), 0),
        };
        if what == What::ORDER {
            row.orders.push(PlacedAt { at, record, minor: 1_990 });
        }
        row.at.push(at);
        row.what.push(what);
        row.record.push(record);
    }
    row.traits = vec![vocabulary.value(&json!("pro"))];
    let texts = Fact::ALL.into_iter().filter_map(Fact::trait_name).count();
    row.traits.extend(std::iter::repeat_n(vocabulary.value(&json!("desktop")), texts));
    row
}

#[test]
fn asking_a_rule_allocates_nothing() {
    let mut vocabulary = Vocabulary::new();
    vocabulary.keep_property("price");
    vocabulary.keep_trait("plan");
    // Facts that are any text are read as traits are.
    for name in Fact::ALL.into_iter().filter_map(Fact::trait_name) {
        vocabulary.keep_trait(name);
    }
    let row = person(&mut vocabulary);
    let site = Site::new(TimeZone::UTC, 2);
    let mut members = 0;
    for who in clauses() {
        let rule = Rule::from_json(&json!({"version": 1, "who": who}).to_string()).unwrap();
        let plan = Plan::compile(&rule, &vocabulary, &site, &Slots::of(["other"])).unwrap();
        let person = row.as_person(&[1]);
        for after in [0, 3 * DAY, 12 * DAY, 200 * DAY] {
            let mut answers = (false, false);
            let allocated = allocations(|| {
                answers = (plan.evaluate(&person, START + after).member, plan.holds(&person, START + after));
            });
            assert_eq!(allocated, 0, "asked {who} after {after} s");
            assert_eq!(answers.0, answers.1, "{who}");
            members += u32::from(answers.0);
        }
    }
    assert!(members > 100, "{members} clauses held, so most were not asked in earnest");
    assert!(allocations(|| drop(std::hint::black_box(vec![1_u8]))) > 0, "the counter counts");
}
