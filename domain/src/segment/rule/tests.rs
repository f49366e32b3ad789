use super::*;
use crate::event::ProfileId;
use jiff::tz::TimeZone;

const DAY: u32 = 86_400;
/// Some day long after 1970.
const START: u32 = 20_000 * DAY;

fn site() -> Site {
    Site::new(TimeZone::UTC, 2)
}

fn plan(who: &str, vocabulary: &Vocabulary) -> Plan {
    let rule = Rule::from_json(&format!(r#"{{"version":1,"who":{who}}}"#)).unwrap();
    Plan::compile(&rule, vocabulary, &site(), &Slots::default()).unwrap()
}

/// A person who did these things so many seconds after [`START`].
fn person(vocabulary: &mut Vocabulary, did: &[(u32, &str)]) -> PersonRow {
    let mut row = PersonRow::new(ProfileId(7), false);
    for (after, what) in did {
        let at = START + after;
        let what = match *what {
            "order" => {
                row.orders.push(PlacedAt { at, record: 0, minor: 1_000 });
                What::ORDER
            }
            "visit" => What::VISIT,
            page if page.starts_with('/') => {
                let term = page.bytes().fold(0_i32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
                vocabulary.page(crate::event::TermId(term), || format!("shop.example{page}").into())
            }
            name => vocabulary.track(&name.into()),
        };
        row.at.push(at);
        row.what.push(what);
        row.record.push(0);
    }
    row
}

#[test]
fn a_count_in_a_window_leaves_on_the_second() {
    let mut vocabulary = Vocabulary::new();
    let row = person(&mut vocabulary, &[(0, "/pricing"), (100, "/"), (200, "/pricing"), (300, "/pricing")]);
    let plan = plan(
        r#"{"event":{"of":{"what":{"page":"/pricing"}},"window":{"within":"14 days"},"is":{"count":{"at_least":3}}}}"#,
        &vocabulary,
    );
    let at = |after: u32| plan.evaluate(&row.as_person(&[]), START + after);
    assert!(!at(299).member && at(300).member);
    assert_eq!(at(299).changes_at, Some(START + 300), "an event that is known already comes into view");
    assert_eq!(at(300).changes_at, Some(START + 14 * DAY));
    assert_eq!(at(300).because, Because { clause: 0, count: 3, at: START + 300 });
    assert!(at(14 * DAY - 1).member && !at(14 * DAY).member);
    assert_eq!(at(14 * DAY).changes_at, None);
}

#[test]
fn an_abandoned_cart_is_known_when_its_time_has_passed() {
    let mut vocabulary = Vocabulary::new();
    let row = person(&mut vocabulary, &[(0, "Product Added"), (50, "/cart")]);
    let bought = person(&mut vocabulary, &[(0, "Product Added"), (3_600, "order")]);
    let plan = plan(
        r#"{"sequence":{"first":{"what":{"track":"Product Added"}},
            "never":{"of":{"what":"order"},"within":"1 hour"},"window":{"within":"7 days"}}}"#,
        &vocabulary,
    );
    let at = |row: &PersonRow, after: u32| plan.evaluate(&row.as_person(&[]), START + after);
    assert!(!at(&row, 60).member);
    assert_eq!(at(&row, 60).changes_at, Some(START + 3_601));
    assert!(!at(&row, 3_600).member && at(&row, 3_601).member);
    assert_eq!(at(&row, 3_601).changes_at, Some(START + 7 * DAY));
    assert!(!at(&row, 7 * DAY).member);
    assert!(!at(&bought, 3_601).member && !at(&bought, 2 * DAY).member, "the order came in time");
}

#[test]
fn days_since_the_last_order_turn_when_a_day_has_passed() {
    let mut vocabulary = Vocabulary::new();
    let row = person(&mut vocabulary, &[(0, "visit"), (10, "order")]);
    let plan = plan(r#"{"fact":{"name":"lifecycle","is":{"is":"at-risk"}}}"#, &vocabulary);
    let at = |after: u32| plan.evaluate(&row.as_person(&[]), START + after);
    // The general limits: active up to day 90, at risk up to day 180.
    assert!(!at(20).member);
    assert_eq!(at(20).changes_at, Some(START + 10 + 91 * DAY));
    assert!(!at(91 * DAY + 9).member && at(91 * DAY + 10).member);
    assert_eq!(at(91 * DAY + 10).changes_at, Some(START + 10 + 181 * DAY));
    assert_eq!(at(181 * DAY + 10).changes_at, None);
}

#[test]
fn pages_are_found_with_and_without_host_and_by_a_star() {
    let mut vocabulary = Vocabulary::new();
    let row = person(&mut vocabulary, &[(0, "/blog/a/comments")]);
    let viewed = |page: &str| {
        let who = format!(r#"{{"event":{{"of":{{"what":{{"page":"{page}"}}}},"is":{{"count":{{"at_least":1}}}}}}}}"#);
        plan(&who, &vocabulary).holds(&row.as_person(&[]), START)
    };
    for page in ["/blog/a/comments", "shop.example/blog/a/comments", "/blog/*", "*/comments", "/blog/*/comments", "*"] {
        assert!(viewed(page), "{page}");
    }
    for page in ["/blog", "/blog/a", "other.example/*", "/blog/*/x", "/*/blog"] {
        assert!(!viewed(page), "{page}");
    }
}
