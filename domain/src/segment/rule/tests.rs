use super::*;
use crate::event::ProfileId;
use jiff::tz::TimeZone;
use proptest::prelude::*;

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

#[test]
fn a_screen_without_an_address_is_not_the_front_page() {
    let mut vocabulary = Vocabulary::new();
    let mut row = person(&mut vocabulary, &[]);
    row.at.push(START);
    row.what.push(vocabulary.page(crate::event::TermId(1), || "Cart".into()));
    row.record.push(0);
    let viewed = |page: &str| {
        let who = format!(r#"{{"event":{{"of":{{"what":{{"page":"{page}"}}}},"is":{{"count":{{"at_least":1}}}}}}}}"#);
        plan(&who, &vocabulary).holds(&row.as_person(&[]), START)
    };
    assert!(viewed("Cart") && viewed("Ca*") && viewed("*") && viewed("*art"));
    assert!(!viewed("/") && !viewed("/*") && !viewed("/Cart"));
}

#[test]
fn somebody_who_is_still_to_come_is_explained_as_unknown() {
    let mut vocabulary = Vocabulary::new();
    let mut row = person(&mut vocabulary, &[(0, "visit")]);
    row.signed_up = true;
    let plan = plan(r#"{"fact":{"name":"lifecycle","is":{"is":"active"}}}"#, &vocabulary);
    let explained = plan.explain(&row.as_person(&[]), START - 1, &vocabulary);
    assert_eq!((explained.holds, explained.evidence), (false, Evidence::Unknown));
    assert_eq!(explained.changes_at, Some(START));
}

#[test]
fn a_limit_between_two_amounts_of_money_is_not_rounded() {
    let mut vocabulary = Vocabulary::new();
    // Twice 10.00.
    let row = person(&mut vocabulary, &[(0, "order"), (1, "order")]);
    let holds = |is: &str| {
        let who = format!(r#"{{"event":{{"of":{{"what":"order"}},"is":{{"sum":{{"property":"total","is":{is}}}}}}}}}"#);
        plan(&who, &vocabulary).holds(&row.as_person(&[]), START + 1)
    };
    assert!(holds(r#"{"exactly":20}"#) && holds(r#"{"between":[19.996,20]}"#));
    assert!(!holds(r#"{"at_most":19.996}"#) && !holds(r#"{"exactly":20.004}"#) && !holds(r#"{"at_least":20.004}"#));
}

#[test]
fn a_sum_of_orders_is_asked_again_when_it_falls_below_its_limit_and_not_before() {
    let mut vocabulary = Vocabulary::new();
    let row = person(&mut vocabulary, &[(0, "order"), (50, "order"), (50, "order"), (60, "order")]);
    let plan = plan(
        r#"{"event":{"of":{"what":"order"},"window":{"within":"1 day"},
            "is":{"sum":{"property":"total","is":{"at_least":20}}}}}"#,
        &vocabulary,
    );
    let asked = plan.evaluate(&row.as_person(&[]), START + 60);
    assert_eq!((asked.member, asked.changes_at), (true, Some(START + 50 + DAY)));
    assert_eq!(asked.because, Because { clause: 0, count: 4, at: START + 60 });
}

#[test]
fn a_sum_of_fractions_is_what_it_is_on_paper() {
    let mut vocabulary = Vocabulary::new();
    vocabulary.keep_property("price");
    let mut row = person(&mut vocabulary, &[(0, "Sold"), (1, "Sold"), (2, "Sold")]);
    let price = serde_json::Map::from_iter([("price".to_owned(), 4.35.into())]);
    row.record = vec![vocabulary.record(&price); 3];
    for is in [r#"{"at_least":13.05}"#, r#"{"at_most":13.05}"#, r#"{"exactly":13.05}"#] {
        let who = r#"{"event":{"of":{"what":{"track":"Sold"}},"is":{"sum":{"property":"price","is":AMOUNT}}}}"#;
        let plan = plan(&who.replace("AMOUNT", is), &vocabulary);
        assert!(plan.holds(&row.as_person(&[]), START + 2), "{is}");
    }
}

#[test]
fn what_leaves_a_sum_in_one_second_leaves_at_once() {
    let mut vocabulary = Vocabulary::new();
    let mut row = person(&mut vocabulary, &[(0, "order"), (0, "order"), (60, "order")]);
    row.orders[1].minor = -1_000;
    let plan = plan(
        r#"{"event":{"of":{"what":"order"},"window":{"within":"1 day"},
            "is":{"sum":{"property":"total","is":{"at_least":10}}}}}"#,
        &vocabulary,
    );
    let asked = plan.evaluate(&row.as_person(&[]), START + 60);
    assert_eq!((asked.member, asked.changes_at), (true, Some(START + 60 + DAY)), "ten less ten is nothing less");
}

#[test]
fn two_of_one_second_never_leave_one_behind() {
    let mut vocabulary = Vocabulary::new();
    let row = person(&mut vocabulary, &[(0, "/"), (0, "/")]);
    let plan = plan(
        r#"{"event":{"of":{"what":{"page":"/"}},"window":{"within":"1 day"},"is":{"count":{"exactly":1}}}}"#,
        &vocabulary,
    );
    let asked = plan.evaluate(&row.as_person(&[]), START);
    assert_eq!((asked.member, asked.changes_at), (false, None));
}

#[test]
fn an_order_in_the_second_of_the_cart_is_in_time_and_one_before_the_cart_is_not() {
    let mut vocabulary = Vocabulary::new();
    let bought = person(&mut vocabulary, &[(0, "Product Added"), (0, "order")]);
    let left = person(&mut vocabulary, &[(0, "order"), (0, "Product Added")]);
    let plan = plan(
        r#"{"sequence":{"first":{"what":{"track":"Product Added"}},"never":{"of":{"what":"order"},"within":"1 hour"}}}"#,
        &vocabulary,
    );
    let holds = |row: &PersonRow| plan.holds(&row.as_person(&[]), START + DAY);
    assert!(!holds(&bought) && holds(&left));
}

#[test]
fn the_last_second_of_the_calendar_is_one() {
    let row = PersonRow {
        at: vec![0, u32::MAX],
        what: vec![What::IDENTIFY; 2],
        record: vec![0; 2],
        ..PersonRow::new(ProfileId(7), false)
    };
    let vocabulary = Vocabulary::new();
    for window in [r#""ever""#, r#"{"within":"1 second"}"#, r#"{"since":"2100-12-31"}"#] {
        let who = r#"{"event":{"of":{"what":"identify"},"window":WINDOW,"is":{"last":{"at_most":"1 second"}}}}"#;
        let plan = plan(&who.replace("WINDOW", window), &vocabulary);
        let asked = |as_of| plan.evaluate(&row.as_person(&[]), as_of);
        assert_eq!((asked(u32::MAX).member, asked(u32::MAX).changes_at), (true, None), "{window}");
        assert_eq!((asked(u32::MAX - 1).member, asked(u32::MAX - 1).changes_at), (false, Some(u32::MAX)), "{window}");
        assert!(plan.holds(&row.as_person(&[]), u32::MAX), "{window}");
    }
}

#[test]
fn of_three_completions_the_latest_that_counts_is_told() {
    let mut vocabulary = Vocabulary::new();
    let row = person(&mut vocabulary, &[(0, "Added"), (1_000, "Added"), (2_000, "Added")]);
    let plan = plan(
        r#"{"sequence":{"first":{"what":{"track":"Added"}},"never":{"of":{"what":"order"},"within":"1 hour"}}}"#,
        &vocabulary,
    );
    // An hour after the second one, the third is still waited for.
    let explained = plan.explain(&row.as_person(&[]), START + 4_700, &vocabulary);
    let at = Some(START + 1_000);
    let evidence = Evidence::Sequence { count: 3, began_at: at, completed_at: at, window: None };
    assert_eq!((explained.holds, explained.evidence), (true, evidence));
}

#[test]
fn a_sequence_that_is_still_waited_for_says_when_it_was_completed() {
    let mut vocabulary = Vocabulary::new();
    let row = person(&mut vocabulary, &[(0, "visit"), (10, "Product Added")]);
    let plan = plan(
        r#"{"sequence":{"first":{"what":{"track":"Product Added"}},"never":{"of":{"what":"order"},"within":"1 hour"}}}"#,
        &vocabulary,
    );
    let explained = plan.explain(&row.as_person(&[]), START + 20, &vocabulary);
    assert!(!explained.holds);
    let evidence = Evidence::Sequence { count: 1, began_at: None, completed_at: None, window: None };
    assert_eq!(explained.evidence, evidence, "it does not count yet");
    let verdict = plan.evaluate(&row.as_person(&[]), START + 20);
    assert_eq!(verdict.because, Because { clause: 0, count: 1, at: START + 10 });
}

#[test]
fn a_channel_is_told_by_its_name() {
    let mut vocabulary = Vocabulary::new();
    let mut row = person(&mut vocabulary, &[(0, "visit"), (10, "visit"), (20, "visit")]);
    row.record = ["direct", "email", "direct"].map(|channel| vocabulary.touch(&[channel])).to_vec();
    let word = |fact: &str| {
        let who = format!(r#"{{"fact":{{"name":"{fact}","is":{{"is":"email"}}}}}}"#);
        let explained = plan(&who, &vocabulary).explain(&row.as_person(&[]), START + 20, &vocabulary);
        (explained.holds, explained.evidence)
    };
    assert_eq!(word("first_channel"), (false, Evidence::Word("direct".into())));
    assert_eq!(word("last_channel"), (true, Evidence::Word("email".into())));
}

#[test]
fn a_person_of_whom_no_model_says_anything_equals_themselves() {
    let row = PersonRow::new(ProfileId(7), false);
    assert_eq!(row.clone(), row);
    assert_ne!(Scores { probability_alive: 0.5, ..Scores::NONE }, Scores::NONE);
}

proptest! {
    #[test]
    fn long_histories_are_searched_as_short_ones(
        mut times in prop::collection::vec(prop_oneof![0..50_u32, Just(u32::MAX)], 0..120),
        second in prop_oneof![0..60_u64, u64::from(u32::MAX)..u64::from(u32::MAX) + 3],
    ) {
        times.sort_unstable();
        let place = times.partition_point(|at| u64::from(*at) < second);
        prop_assert_eq!(evaluate::place_of(&times, second), place);
    }
}
