use super::super::*;
use super::pointer;
use proptest::prelude::*;
use serde_json::{Value, json};

fn wrong(who: impl std::fmt::Display) -> String {
    let text = format!(r#"{{"version":1,"who":{who}}}"#);
    Rule::from_json(&text).expect_err(&text[..text.len().min(200)]).to_string()
}

const ORDERED: &str = r#"{"event":{"of":{"what":"order"},"is":{"count":{"at_least":1}}}}"#;

fn counted(amount: &str) -> String {
    format!(r#"{{"all":[{{"segment":"a"}},{{"event":{{"of":{{"what":"order"}},"is":{{"count":{amount}}}}}}}]}}"#)
}

fn viewed(page: &str) -> Value {
    json!({ "event": { "of": { "what": { "page": page } }, "is": { "count": { "at_least": 1 } } } })
}

fn windowed(window: &str) -> String {
    format!(r#"{{"not":{{"event":{{"of":{{"what":"visit"}},"window":{window},"is":{{"count":{{"at_least":1}}}}}}}}}}"#)
}

#[test]
fn what_is_no_rule_is_refused_at_its_place() {
    let errors: Vec<String> = [
        // Shapes.
        "".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"all":[{"segment":"a"},{"sgement":"b"}]}"#.to_owned(),
        r#"{"segment":"a","all":[]}"#.to_owned(),
        r#"{"all":[{"segment":"a"},{"event":{"of":{"what":"order"},"is":{"count":{"at_least":1}},"when":1}}]}"#
            .to_owned(),
        r#"{"any":[{"event":{"of":{"what":"order"}}}]}"#.to_owned(),
        r#"{"any":[{"event":{"of":{"what":"order"},"of":{"what":"order"}}}]}"#.to_owned(),
        r#"{"fact":{"name":"money","is":{"at_least":1}}}"#.to_owned(),
        r#"{"trait":{"name":"plan","is":{"is":null}}}"#.to_owned(),
        r#"{"trait":{"name":"plan","is":{"one_of":["a",{}]}}}"#.to_owned(),
        // Numbers.
        counted(r#"{"at_least":"3"}"#),
        counted(r#"{"at_least":NaN}"#),
        counted(r#"{"at_least":1e400}"#),
        counted(r#"{"at_least":1e300}"#),
        counted(r#"{"at_least":-1}"#),
        counted(r#"{"at_most":-1}"#),
        counted(r#"{"exactly":1.5}"#),
        counted(r#"{"between":[3,1]}"#),
        counted(r#"{"between":[3]}"#),
        r#"{"bucket":{"salt":"a","from":-1,"to":5}}"#.to_owned(),
        r#"{"bucket":{"salt":"a","from":5,"to":5}}"#.to_owned(),
        r#"{"bucket":{"salt":"a","from":0,"to":10001}}"#.to_owned(),
        // Empty lists.
        r#"{"all":[]}"#.to_owned(),
        r#"{"not":{"any":[{"all":[]}]}}"#.to_owned(),
        r#"{"trait":{"name":"plan","is":{"one_of":[]}}}"#.to_owned(),
        r#"{"sequence":{"first":{"what":"order"}}}"#.to_owned(),
        // Windows.
        windowed(r#"{"within":"0 days"}"#),
        windowed(r#"{"within":"soon"}"#),
        windowed(r#"{"within":14}"#),
        windowed(r#"{"within":"8000 days"}"#),
        windowed(r#"{"within":"99999999999 weeks"}"#),
        windowed(r#"{"ago":["1 day","2 days"]}"#),
        windowed(r#"{"between":["2026-03-02","2026-03-01"]}"#),
        windowed(r#"{"since":"2026-02-30"}"#),
        windowed(r#"{"before":"1066-10-14"}"#),
        // Texts.
        viewed("").to_string(),
        viewed(" \t").to_string(),
        viewed("/a\u{0}b").to_string(),
        viewed("https://shop.example/").to_string(),
        viewed("/*/*/*/*/*/*/*/*/*").to_string(),
        "{\"segment\":\"a\u{1}\"}".to_owned(),
        r#"{"trait":{"name":"plan","is":{"is":"a\u001b[2J"}}}"#.to_owned(),
        r#"{"segment":"\ud800"}"#.to_owned(),
    ]
    .into_iter()
    .map(|who| format!("{}\n    {}", who.escape_debug().to_string().replace("\\\"", "\""), wrong(&who)))
    .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn the_version_is_the_rules_own() {
    for text in [
        r#"{"who":{"segment":"a"}}"#,
        r#"{"version":2,"who":{"segment":"a"}}"#,
        r#"{"version":"1","who":{"segment":"a"}}"#,
    ] {
        let error = Rule::from_json(text).unwrap_err();
        assert!(error.message.contains("version") || error.path == "/version", "{error}");
    }
    assert!(Rule::from_json("").unwrap_err().to_string().starts_with("the rule: EOF"));
}

#[test]
fn ten_thousand_clauses_are_refused_at_the_first_too_many() {
    let flat = format!(r#"{{"any":[{}]}}"#, vec![ORDERED; 10_000].join(","));
    assert_eq!(wrong(flat), "/who/any/199: a rule has at most 200 clauses; put some into a segment of their own");
    let pair = format!(r#"{{"all":[{}]}}"#, vec![r#"{"all":[{"segment":"a"}]}"#; 10_000].join(","));
    assert_eq!(wrong(pair), "/who/all/99/all/0: a rule has at most 200 clauses; put some into a segment of their own");
}

#[test]
fn deep_nesting_is_refused_before_it_costs_the_stack() {
    let nested =
        |depth: usize, open: &str, close: &str| format!("{}{ORDERED}{}", open.repeat(depth), close.repeat(depth));
    for depth in [12, 50, 10_000, 1_000_000] {
        for (open, close) in [(r#"{"not":"#, "}"), (r#"{"all":["#, "]}")] {
            let error = wrong(nested(depth, open, close));
            assert!(error.contains("clauses are nested at most 12 deep"), "{depth}: {error}");
            assert!(error.starts_with("/who/") && error.len() < 400, "{depth}: {error}");
        }
    }
    assert_eq!(
        wrong(nested(12, r#"{"not":"#, "}")),
        format!("/who{}: clauses are nested at most 12 deep", "/not".repeat(12))
    );
    assert!(Rule::from_json(&format!(r#"{{"version":1,"who":{}}}"#, nested(11, r#"{"not":"#, "}"))).is_ok());
}

#[test]
fn long_texts_and_lists_are_refused_without_repeating_them() {
    let huge = "x".repeat(1 << 20);
    for who in [
        viewed(&huge),
        json!({ "segment": huge }),
        json!({ "trait": { "name": huge, "is": { "exists": true } } }),
        json!({ "trait": { "name": "a", "is": { "is": huge } } }),
        json!({ "trait": { "name": "a", "is": { "contains": huge } } }),
        json!({ "fact": { "name": "lifecycle", "is": { "is": huge } } }),
        json!({ "fact": { "name": huge, "is": { "is": 1 } } }),
        json!({ huge.as_str(): 1 }),
        json!({ "event": { "of": { "what": huge } } }),
        json!({ "event": { "of": { "what": "order" }, huge.as_str(): 1 } }),
        json!({ "event": { "of": { "what": "order" }, "is": { "last": { "at_least": huge } } } }),
        json!({ "event": { "of": { "what": "order" }, "is": { "count": { "at_least": huge } } } }),
        json!({ "event": { "of": { "what": "order", "with": [{ "property": huge, "is": { "exists": true } }] }, "is": 1 } }),
        json!({ "bucket": { "salt": huge, "from": 0, "to": 1 } }),
        json!({ "any": huge }),
    ] {
        let error = wrong(who);
        assert!(error.starts_with("/who") && error.len() < 1_400, "{error}");
    }
    let values = json!({ "trait": { "name": "a", "is": { "one_of": vec![1; 100_000] } } });
    assert_eq!(wrong(values), "/who/trait/is: 100000 values, limit 1000");
    let with = json!({ "event": {
        "of": { "what": "anything", "with": vec![json!({ "property": "a", "is": { "exists": true } }); 10_000] },
        "is": { "count": { "at_least": 1 } },
    } });
    assert_eq!(wrong(with), "/who/event/of/with: 10000 properties, limit 10");
    let steps = json!({ "sequence": {
        "first": { "what": "order" },
        "then": vec![json!({ "of": { "what": "order" } }); 10_000],
    } });
    assert_eq!(wrong(steps), "/who/sequence/then: 10001 steps, limit 8");
}

#[test]
fn a_pointer_is_that_of_the_value_that_is_being_read() {
    for (text, path) in [
        ("", ""),
        (r#"{"#, ""),
        (r#"{"a"#, "/a"),
        (r#"{"a":{"b":[1,{"c":2},"#, "/a/b/2"),
        (r#"{"a":{"b":[1,{"c":2}"#, "/a/b/1/c"),
        (r#"{"a":[],"b\"/~":"\\","c":"#, "/c"),
        (r#"{"a":[],"b/~":"x"#, "/b~1~0"),
    ] {
        assert_eq!(pointer(text.as_bytes()), path, "{text}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_sent_is_more_than_an_error(text in "\\PC*|[\\[\\]{}\":,a-z0-9\\\\ ]*", at in any::<prop::sample::Index>()) {
        let _ = Rule::from_json(&text);
        let _ = pointer(&text.as_bytes()[..at.index(text.len() + 1)]);
    }

    #[test]
    fn a_rule_that_breaks_off_is_refused(rule in arbitrary::rule(), at in any::<prop::sample::Index>()) {
        let json = serde_json::to_string(&rule).unwrap();
        prop_assert!(Rule::from_json(&json).is_ok());
        let mut at = at.index(json.len());
        while !json.is_char_boundary(at) {
            at -= 1;
        }
        prop_assert!(Rule::from_json(&json[..at]).is_err());
    }
}
