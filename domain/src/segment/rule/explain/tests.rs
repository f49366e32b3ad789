use super::super::*;
use super::{Evidence, Explanation, Seconds};
use crate::event::{ProfileId, TermId};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::json;

const DAY: u32 = 86_400;
/// 1 March 2026, midnight in UTC.
const START: u32 = 20_513 * DAY;

/// Somebody who is known by what they did, so many seconds after [`START`].
struct Somebody {
    vocabulary: Vocabulary,
    row: PersonRow,
}

impl Somebody {
    fn new() -> Somebody {
        let mut vocabulary = Vocabulary::new();
        for property in ["price", "category"] {
            vocabulary.keep_property(property);
        }
        for name in ["plan", "seats", "tags"] {
            vocabulary.keep_trait(name);
        }
        let row = PersonRow { traits: vec![0; 3], ..PersonRow::new(ProfileId(7), false) };
        Somebody { vocabulary, row }
    }

    fn happened(mut self, after: u32, what: What, record: RecordId) -> Somebody {
        self.row.at.push(START + after);
        self.row.what.push(what);
        self.row.record.push(record);
        self
    }

    fn views(mut self, after: u32, page: &str) -> Somebody {
        let term = TermId(page.bytes().fold(0_i32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())));
        let what = self.vocabulary.page(term, || format!("shop.example{page}").into());
        self.happened(after, what, 0)
    }

    fn adds(mut self, after: u32, category: &str, price: f64) -> Somebody {
        let what = self.vocabulary.track(&"Product Added".into());
        let properties = json!({ "category": category, "price": price });
        let record = self.vocabulary.record(properties.as_object().unwrap());
        self.happened(after, what, record)
    }

    fn visits(mut self, after: u32, channel: &str) -> Somebody {
        let record = self.vocabulary.touch(&[channel]);
        self.happened(after, What::VISIT, record)
    }

    fn orders(mut self, after: u32, minor: i64) -> Somebody {
        let record = self.vocabulary.touch(&["email"]);
        self.row.orders.push(PlacedAt { at: START + after, record, minor });
        self.happened(after, What::ORDER, record)
    }

    fn is(mut self, name: &str, value: serde_json::Value) -> Somebody {
        let slot = self.vocabulary.trait_slot(name).unwrap();
        self.row.traits[slot] = self.vocabulary.value(&value);
        self
    }

    fn explain(&self, sentence: &str, after: u32) -> Explanation {
        let rule: Rule = sentence.parse().unwrap_or_else(|error| panic!("{sentence}: {error}"));
        let site = Site::new(TimeZone::UTC, 2);
        let plan = Plan::compile(&rule, &self.vocabulary, &site, &Slots::of(["vip"])).unwrap();
        let person = self.row.as_person(&[1]);
        let explained = plan.explain(&person, START + after, &self.vocabulary);
        let verdict = plan.evaluate(&person, START + after);
        assert_eq!((explained.holds, explained.changes_at), (verdict.member, verdict.changes_at));
        explained
    }

    fn line(&self, sentence: &str, after: u32) -> String {
        self.explain(sentence, after).sentence(&TimeZone::UTC, START + after)
    }
}

fn shopper() -> Somebody {
    Somebody::new()
        .visits(0, "paid_search")
        .views(10, "/pricing")
        .adds(DAY, "shoes", 79.9)
        .visits(2 * DAY, "direct")
        .views(2 * DAY, "/pricing")
        .adds(2 * DAY + 60, "socks", 5.05)
        .views(2 * DAY + 90, "/pricing")
        .is("plan", json!("Pro"))
        .is("tags", json!(["a"]))
}

#[test]
fn a_line_tells_what_decided_and_until_when() {
    let somebody = shopper();
    let line = |sentence: &str| somebody.line(sentence, 3 * DAY);
    for (sentence, told) in [
        (
            r#"viewed "/pricing" at least 3 times within 14 days and not (ordered at least once)"#,
            "Viewed /pricing 3 times within 14 days, last on 3 March 2026; never ordered; until 15 March",
        ),
        (
            r#"viewed "/pricing" at least 4 times within 12 hours or viewed "/pricing" at least once within 20 hours"#,
            "Never viewed /pricing within 12 hours; never viewed /pricing within 20 hours",
        ),
        (
            r#"did "Product Added" with "category" is "shoes", at least once"#,
            r#"Did "Product Added" with "category" is "shoes", once, on 2 March 2026"#,
        ),
        (
            r#"total "price" of "Product Added" at least 50 within 30 days"#,
            r#"Total "price" of "Product Added" is 84.95 within 30 days, last on 3 March 2026; until 1 April"#,
        ),
        (
            r#"did "Product Added" then viewed "/pricing" within 2 days"#,
            r#"Did "Product Added" then viewed "/pricing" within 2 days, on 3 March 2026"#,
        ),
        (r#"did "Product Added" then ordered"#, r#"Not so far: did "Product Added" then ordered"#),
        (
            r#"last viewed "/pricing" at least 1 hour ago, within 7 days"#,
            "Last viewed /pricing within 7 days on 3 March 2026; until 10 March",
        ),
        (
            r#"trait "plan" is "pro" and trait "seats" is not known and trait "tags" is known and visits is 2"#,
            r#"Trait "plan" is "Pro"; trait "seats" is not known; trait "tags" is known; and 1 more"#,
        ),
        (r#"in segment "vip" and not in bucket 0 to 1 of "x""#, r#"In segment "vip"; not in bucket 0 to 1 of "x""#),
        (r#"last channel is "paid_search" and not signed up"#, "Last channel is paid_search; not signed up"),
        ("orders is at least 3 or page views is at least 3", "Page views is 3"),
        ("orders is at least 1 and page views is at least 3", "Orders is 0"),
    ] {
        assert_eq!(line(sentence), told, "{sentence}");
    }
    let buyer = Somebody::new().orders(0, 2_990).orders(DAY, 1_002);
    let line = |sentence: &str| buyer.line(sentence, DAY + 10);
    assert_eq!(
        line("ordered for at least 30 in total and average order value is at most 20"),
        "Ordered for 39.92 in total, last on 2 March 2026; average order value is 19.96"
    );
    assert_eq!(line("not (ordered exactly twice within 1 day)"), "Ordered once within 1 day, on 2 March 2026");
    assert_eq!(line("first ordered at most 86415 seconds ago"), "First ordered on 1 March 2026; until 00:00");
}

#[test]
fn the_days_of_a_line_are_those_of_the_sites_time_zone() {
    let somebody = Somebody::new().views(23 * 3_600, "/");
    let told = somebody.explain(r#"viewed "/" at least once within 365 days"#, DAY);
    let zone = TimeZone::get("Asia/Tokyo").unwrap();
    assert_eq!(told.sentence(&zone, START + DAY), "Viewed / once within 365 days, on 2 March 2026; until 2 March 2027");
}

#[test]
fn evidence_is_complete_and_points_at_its_clause() {
    let somebody = shopper().orders(3 * DAY, 1_050);
    let sentence = r#"viewed "/pricing" at least twice from 7 days to 1 day ago and not (last channel is "email" or
        did "Product Added" never followed by ordered within 1 hour) and ordered for at least 10 in total since 2026-03-02
        and first visited at least 1 day ago and trait "plan" starts with "p""#;
    let told = somebody.explain(sentence, 3 * DAY + 30);
    let part = |path: &str| {
        fn find<'e>(told: &'e Explanation, path: &str) -> Option<&'e Explanation> {
            if told.path == path { Some(told) } else { told.parts.iter().find_map(|part| find(part, path)) }
        }
        find(&told, path).unwrap_or_else(|| panic!("{path}"))
    };
    let now = START + 3 * DAY + 30;
    let views = part("/who/all/0");
    assert_eq!(views.says, r#"viewed "/pricing" at least twice from 7 days to 1 day ago"#);
    let window = Some(Seconds { from: now - 7 * DAY + 1, to: now - DAY });
    let (first_at, last_at) = (Some(START + 10), Some(START + 2 * DAY));
    assert_eq!(views.evidence, Evidence::Events { count: 2, first_at, last_at, window });
    assert_eq!(part("/who/all/1/not/any/0").evidence, Evidence::Word("paid_search".to_owned()));
    let at = Some(START + 2 * DAY + 60);
    let carts = Evidence::Sequence { count: 2, began_at: at, completed_at: at, window: None };
    assert_eq!(part("/who/all/1/not/any/1").evidence, carts);
    let (last_at, window) = (Some(START + 3 * DAY), Some(Seconds { from: START + DAY, to: now }));
    assert_eq!(part("/who/all/2").evidence, Evidence::Sum { sum: 10.5, count: 1, last_at, window });
    assert_eq!(part("/who/all/3").evidence, Evidence::Time { at: Some(START), window: None });
    assert_eq!(part("/who/all/4").evidence, Evidence::Value(Scalar::Text("Pro".to_owned())));
    assert_eq!(
        serde_json::to_value(views).unwrap(),
        json!({
            "clause": 1,
            "path": "/who/all/0",
            "says": r#"viewed "/pricing" at least twice from 7 days to 1 day ago"#,
            "holds": true,
            "evidence": { "events": {
                "count": 2, "first_at": START + 10, "last_at": START + 2 * DAY,
                "window": { "from": now - 7 * DAY + 1, "to": now - DAY },
            } },
            "changes_at": START + 3 * DAY + 90,
        })
    );
}

#[test]
fn of_somebody_who_comes_later_nothing_is_known_yet() {
    let mut somebody = shopper();
    somebody.row.signed_up = true;
    // A lifecycle is asked by the first moment, which lies ahead.
    let told = somebody.explain(r#"lifecycle is "active" or not (ordered at least once)"#, 0);
    assert!(told.holds);
    somebody.row.at.iter_mut().for_each(|at| *at += 100);
    let told = somebody.explain(r#"not (ordered at least once) and lifecycle is "active""#, 0);
    assert!(!told.holds && told.parts[0].parts[0].evidence == Evidence::Unknown);
    assert_eq!(told.parts[1].evidence, Evidence::Unknown);
    assert_eq!(told.sentence(&TimeZone::UTC, START), "Not seen yet; until 00:01");
}

/// Whether what was found bears out the answer.
fn is_borne_out(asked: &Clause, evidence: &Evidence) -> Option<bool> {
    match (asked, evidence) {
        (Clause::Event(event), Evidence::Events { count, .. }) => match event.is {
            Measure::Count(amount) => Some(amount.holds((*count).into())),
            Measure::Sum { .. } | Measure::First(_) | Measure::Last(_) => None,
        },
        (Clause::Event(event), Evidence::Sum { sum, .. }) => match &event.is {
            Measure::Sum { is, .. } => Some(is.holds(*sum)),
            Measure::Count(_) | Measure::First(_) | Measure::Last(_) => None,
        },
        (Clause::Sequence(_), Evidence::Sequence { completed_at, .. }) => Some(completed_at.is_some()),
        (Clause::Trait(asked), Evidence::Value(value)) => Some(asked.is.holds(Some(value))),
        (Clause::Trait(asked), Evidence::Unknown) => Some(asked.is.holds(None)),
        (Clause::Fact(asked), Evidence::Number(number)) => Some(asked.is.holds_of_number(*number)),
        (Clause::Fact(asked), Evidence::Word(word)) => Some(asked.is.holds(Some(&Scalar::Text(word.clone())))),
        (Clause::Fact(asked), Evidence::Unknown) => Some(asked.is.holds(None)),
        _ => None,
    }
}

fn check(told: &Explanation, rule: &serde_json::Value, is_there: bool) {
    assert!(rule.pointer(&told.path).is_some(), "{}", told.path);
    let said: Rule = told.says.parse().unwrap();
    if is_there {
        let holds = |part: &Explanation| part.holds;
        let borne_out = match &said.who {
            Clause::All(_) => Some(told.parts.iter().all(holds)),
            Clause::Any(_) => Some(told.parts.iter().any(holds)),
            Clause::Not(_) => Some(!told.parts[0].holds),
            leaf => is_borne_out(leaf, &told.evidence),
        };
        assert!(borne_out.is_none_or(|borne_out| borne_out == told.holds), "{told:?}");
    }
    told.parts.iter().for_each(|part| check(part, rule, is_there));
}

const LEAVES: [&str; 18] = [
    r#"viewed "/pricing" at least twice within 2 days"#,
    "never ordered since 2026-03-02",
    "ordered between 1 and 2 times from 3 days to 1 day ago",
    "ordered for at least 30 in total",
    r#"total "price" of "Product Added" with "category" is "shoes", at most 80 within 2 days"#,
    r#"last viewed "/*" at least 12 hours ago"#,
    "first ordered at most 1 day ago",
    r#"did "Product Added" then ordered within 1 day without viewed "/pricing""#,
    r#"did "Product Added" never followed by ordered within 6 hours, within 2 days"#,
    r#"trait "plan" is one of "pro", "team""#,
    r#"trait "seats" is not known"#,
    r#"last channel is not "email""#,
    r#"lifecycle is "active""#,
    "signed up",
    "days since last order is between 1 and 2",
    "revenue is at least 20",
    r#"in segment "vip""#,
    r#"in bucket 0 to 5000 of "x""#,
];

proptest! {
    #[test]
    fn what_was_found_bears_out_the_answer(
        leaves in proptest::collection::vec((proptest::sample::select(&LEAVES[..]), any::<bool>()), 1..5),
        or in any::<bool>(),
        did in proptest::collection::vec((0..4 * DAY, 0..5_u8), 0..12),
        after in 0..6 * DAY,
        plan in any::<bool>(),
    ) {
        let mut did = did;
        did.sort_unstable();
        let mut somebody = Somebody::new();
        for (after, what) in did {
            somebody = match what {
                0 => somebody.views(after, "/pricing"),
                1 => somebody.orders(after, 1_999),
                2 => somebody.adds(after, "shoes", 39.5),
                3 => somebody.visits(after, "email"),
                _ => somebody.visits(after, "direct"),
            };
        }
        if plan {
            somebody = somebody.is("plan", json!("Team"));
        }
        let parts: Vec<String> =
            leaves.iter().map(|(leaf, not)| if *not { format!("not ({leaf})") } else { format!("({leaf})") }).collect();
        let sentence = parts.join(if or { " or " } else { " and " });
        let told = somebody.explain(&sentence, after);
        let is_there = somebody.row.at.first().is_some_and(|first| *first <= START + after);
        check(&told, &serde_json::to_value(sentence.parse::<Rule>().unwrap()).unwrap(), is_there);
        let line = told.sentence(&TimeZone::UTC, START + after);
        prop_assert!(!line.is_empty() && line.matches("; ").count() <= 4, "{}", line);
    }
}
