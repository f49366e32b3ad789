use super::super::arbitrary;
use super::super::*;
use proptest::prelude::*;

/// The rule's JSON, and the sentence that is written for it.
fn read(sentence: &str) -> (String, String) {
    let rule: Rule = sentence.parse().unwrap_or_else(|error| panic!("{sentence}: {error}"));
    (serde_json::to_string(&rule.who).unwrap(), rule.to_string())
}

fn wrong(sentence: &str) -> String {
    sentence.parse::<Rule>().unwrap_err().to_string()
}

proptest! {
    #[test]
    fn every_rule_is_read_back_from_its_sentence(rule in arbitrary::rule()) {
        prop_assert_eq!(rule.check(), Ok(()));
        let sentence = rule.to_string();
        prop_assert_eq!(rule.in_lines().parse::<Rule>(), Ok(rule.clone()), "{}", rule.in_lines());
        prop_assert_eq!(sentence.parse::<Rule>(), Ok(rule), "{}", sentence);
    }

    #[test]
    fn nothing_that_is_typed_is_more_than_an_error(text in "\\PC*|[a-z0-9 \"(),]*") {
        let _ = text.parse::<Rule>();
    }

    /// Whatever is understood although a word is missing or doubled can be written and read again.
    #[test]
    fn a_sentence_with_a_word_too_many_or_too_few_is_understood_or_refused(
        rule in arbitrary::rule(), at in any::<prop::sample::Index>(), doubled in any::<bool>(),
    ) {
        let sentence = rule.to_string();
        let mut words: Vec<&str> = sentence.split(' ').collect();
        let at = at.index(words.len());
        if doubled { words.insert(at, words[at]) } else { words.remove(at); }
        if let Ok(understood) = words.join(" ").parse::<Rule>() {
            prop_assert_eq!(understood.to_string().parse::<Rule>(), Ok(understood));
        }
    }

    #[test]
    fn case_of_keywords_and_white_space_do_not_matter(rule in arbitrary::rule()) {
        let mut is_text = false;
        let mut is_escaped = false;
        let loud: String = rule.to_string().chars().map(|character| {
            let is_quote = character == '"' && !is_escaped;
            is_escaped = is_text && character == '\\' && !is_escaped;
            is_text ^= is_quote;
            match character {
                _ if is_text || is_quote => character.to_string(),
                ' ' => " \n\t ".to_owned(),
                _ => character.to_uppercase().to_string(),
            }
        }).collect();
        prop_assert_eq!(loud.parse::<Rule>(), Ok(rule), "{}", loud);
    }
}

#[test]
fn a_rule_is_a_sentence() {
    for (who, sentence) in [
        (
            r#"{"all":[{"event":{"of":{"what":{"page":"/pricing"}},"window":{"within":"14 days"},"is":{"count":{"at_least":3.0}}}},{"not":{"event":{"of":{"what":"order"},"is":{"count":{"at_least":1.0}}}}}]}"#,
            r#"viewed "/pricing" at least 3 times within 14 days and not (ordered at least once)"#,
        ),
        (
            r#"{"sequence":{"first":{"what":{"track":"Product Added"},"with":[{"property":"category","is":{"is":"shoes"}}]},"then":[{"of":{"what":"order"},"within":"1 day","without":{"what":{"page":"/cart"}}}]}}"#,
            r#"did "Product Added" with "category" is "shoes" then ordered within 1 day without viewed "/cart""#,
        ),
        (
            r#"{"sequence":{"first":{"what":{"track":"Product Added"}},"never":{"of":{"what":"order"},"within":"1 hour"},"window":{"within":"7 days"}}}"#,
            r#"did "Product Added" never followed by ordered within 1 hour, within 7 days"#,
        ),
        (r#"{"fact":{"name":"orders","is":{"at_least":3.0}}}"#, "orders is at least 3"),
        (r#"{"fact":{"name":"lifecycle","is":{"is":"at-risk"}}}"#, r#"lifecycle is "at-risk""#),
        (r#"{"not":{"fact":{"name":"signed_up","is":{"is":true}}}}"#, "not signed up"),
        (r#"{"fact":{"name":"signed_up","is":{"is":"true"}}}"#, r#"signed up is "true""#),
        (
            r#"{"fact":{"name":"expected_revenue_percentile","is":{"at_least":90.0}}}"#,
            "expected revenue percentile is at least 90",
        ),
        (r#"{"trait":{"name":"plan","is":{"one_of":["pro","team"]}}}"#, r#"trait "plan" is one of "pro", "team""#),
        (
            r#"{"event":{"of":{"what":"order"},"is":{"last":{"at_least":"90 days"}}}}"#,
            "last ordered at least 90 days ago",
        ),
        (r#"{"segment":"vip"}"#, r#"in segment "vip""#),
        (r#"{"bucket":{"salt":"exp-1","from":0,"to":1000}}"#, r#"in bucket 0 to 1000 of "exp-1""#),
        (
            r#"{"event":{"of":{"what":"order"},"window":{"since":"2026-01-01"},"is":{"sum":{"property":"total","is":{"at_least":100.0}}}}}"#,
            "ordered for at least 100 in total since 2026-01-01",
        ),
        (
            r#"{"event":{"of":{"what":{"track":"Product Added"}},"is":{"sum":{"property":"price","is":{"at_least":100.0}}}}}"#,
            r#"total "price" of "Product Added" at least 100"#,
        ),
        (
            r#"{"event":{"of":{"what":{"track":"Rated"},"with":[{"property":"stars","is":{"at_least":4.0}},{"property":"text","is":{"exists":true}}]},"window":{"ago":["30 days","1 day"]},"is":{"count":{"between":[2.0,3.0]}}}}"#,
            r#"did "Rated" with "stars" is at least 4 and "text" is known, between 2 and 3 times from 30 days to 1 day ago"#,
        ),
        (
            r#"{"event":{"of":{"what":"order","with":[{"property":"channel","is":{"is":"email"}}]},"window":{"within":"30 days"},"is":{"count":{"at_most":0.0}}}}"#,
            r#"never ordered with "channel" is "email", within 30 days"#,
        ),
        (
            r#"{"any":[{"all":[{"segment":"a"},{"segment":"b"}]},{"any":[{"segment":"c"}]},{"not":{"not":{"segment":"d"}}}]}"#,
            r#"(in segment "a" and in segment "b") or any of (in segment "c") or not (not in segment "d")"#,
        ),
        (r#"{"event":{"of":{"what":"visit"},"is":{"count":{"exactly":2.0}}}}"#, "visited exactly twice"),
    ] {
        assert_eq!(read(sentence), (who.to_owned(), sentence.to_owned()));
    }
}

#[test]
fn people_may_say_it_a_little_differently() {
    for (said, written) in [
        (r#"viewed “/pricing” Within 2 weeks"#, r#"viewed "/pricing" at least once within 14 days"#),
        (r#"(added "Product Added", then ordered)"#, r#"did "Product Added" then ordered"#),
        ("first_channel is \"email\"", "first channel is \"email\""),
        ("((ordered at least 1 time))", "ordered at least once"),
        ("signed up is true", "signed up"),
        (
            r#"visited then ordered without did anything within 60 minutes"#,
            r#"visited then ordered within 1 hour without did anything"#,
        ),
        (r#"trait "a" is 1e3 or orders is 2"#, r#"trait "a" is 1000 or orders is 2"#),
    ] {
        assert_eq!(read(said).1, written);
    }
}

#[test]
fn an_error_says_where_and_what_instead() {
    let errors: Vec<String> = [
        "",
        "viewed \"/pricing\" within tomorrow",
        "viewed \"/pricing\" within 14 moons",
        "viewed \"/pricing\" within 99999999 weeks",
        "viewed /pricing",
        "viewed \"/pricing\" 3 times",
        "viewed \"/pricing",
        "did \"a\\b\" at least once",
        "ordered at least 3",
        "ordered at lest 3 times",
        "ordered at least 1e400 times",
        "ordered at least NaN times",
        "ordered and",
        "ordered or visited and identified",
        "(ordered at least once",
        "ordered at least once)",
        "orders are 3",
        "orders is three",
        "lifecycle is at-risk",
        "visited then ordered within 1 day within 7 days",
        "visited never ordered",
        "visited never followed by ordered",
        "ordered since 3 March",
        "ordered from 2026-01-01 to 7 days ago",
        "in bucket 0 to 70000 of \"a\"",
        "in the beginning",
        // What is read and makes no sense.
        "ordered and viewed \"/ä\" within 7 days and visited from 7 days to 14 days ago",
        "ordered at least once and not (visited at least 1.5 times)",
        "ordered or lifecycle is \"rich\"",
        "not (ordered or all of (any of ()))",
        "total \"price\" of orders at least 3",
        "ordered with \"colour\" is \"red\"",
    ]
    .into_iter()
    .map(|sentence| format!("{sentence}\n    {}", wrong(sentence)))
    .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn a_sentence_of_any_length_is_refused_where_it_goes_too_far() {
    let long = vec!["ordered at least once"; 10_000].join(" and ");
    // 199 clauses stand in one `all`, which is the 200th.
    assert_eq!(long.parse::<Rule>().unwrap_err().column, 199 * 26 + 1);
    assert!(wrong(&long).contains("a rule has at most 200 clauses"));
    for deep in ["(", "not ", "not (", "all of (", "any of (ordered and ("] {
        assert!(wrong(&deep.repeat(100_000)).ends_with("clauses are nested at most 12 deep"), "{deep}");
    }
    let thirteen = format!("{}in segment \"a\"", "not ".repeat(12));
    assert_eq!(wrong(&thirteen), "column 49: clauses are nested at most 12 deep");
    assert!(thirteen[4..].parse::<Rule>().is_ok());
    let huge = "x".repeat(1 << 20);
    assert!(wrong(&format!("viewed \"{huge}\"")).starts_with("column 8: the text \"xxx"));
    assert!(wrong(&huge).len() < 300);
    assert!(wrong(&format!("viewed \"{}\"", "\\\\".repeat(1 << 20))).ends_with("… is too long, limit 256 bytes"));
    let listed = format!("trait \"a\" is one of {}", vec!["1"; 100_000].join(", "));
    assert_eq!(wrong(&listed), "column 11: 100000 values, limit 1000");
    let properties = format!("did \"a\" with {}", vec!["\"b\" is 1"; 10_000].join(" and "));
    assert_eq!(wrong(&properties), "column 1: 10000 properties, limit 10");
    let steps = format!("visited{}", " then visited".repeat(10_000));
    assert_eq!(wrong(&steps), "column 1: 10001 steps, limit 8");
    assert!(format!("{0}ordered{0}", " \n".repeat(1 << 20)).parse::<Rule>().is_ok());
    assert!(wrong(&format!("ordered within {} days", "9".repeat(1 << 20))).len() < 300);
    assert!(wrong(&format!("ordered within 3 {}", "d".repeat(1 << 20))).len() < 300);
    assert!(wrong(&format!("orders is {}", "9".repeat(1 << 20))).ends_with("a number is at most 1e15 in size"));
}

#[test]
fn a_number_is_asked_for_with_and_without_is() {
    let read = |sentence: &str| sentence.parse::<Rule>().unwrap();
    assert_eq!(read("orders at least 3"), read("orders is at least 3"));
    assert_eq!(read(r#"trait "age" between 18 and 30"#), read(r#"trait "age" is between 18 and 30"#));
    assert_eq!(read("orders at least 3").to_string(), "orders is at least 3");
}
