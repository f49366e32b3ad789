//! Any rule that `check` lets through, for tests of what must hold for all of them.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// Texts as people and attackers write them: quotes, backslashes, words of the sentences, signs of other scripts.
pub(super) fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z0-9/*?=_.-]{1,8}",
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("\\\" and not (ordered at least once) or \"".to_owned()),
        Just(" within 14 days, ".to_owned()),
        Just("“never followed by”".to_owned()),
        Just("\u{202e}İß🛒\u{feff}\u{2028}".to_owned()),
        "\\PC{1,6}",
    ];
    vec(piece, 1..5).prop_map(|pieces| {
        let mut text: String = pieces.concat().chars().filter(|character| !character.is_control()).collect();
        while text.len() > MAX_TEXT_BYTES {
            text.pop();
        }
        if text.trim().is_empty() { "x".to_owned() } else { text }
    })
}

fn page() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace("://", "/").replacen('*', "+", 100).replacen('+', "*", 8))
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-5_i32..40).prop_map(f64::from),
        (-2_000_i32..2_000).prop_map(|hundredths| f64::from(hundredths) / 100.0),
        -1e15..1e15,
        prop_oneof![Just(0.0), Just(-0.0), Just(5e-324), Just(1e15), Just(-1e15), Just(1.0 / 3.0), Just(9.9e-7)],
    ]
}

fn ordered(ends: (f64, f64)) -> (f64, f64) {
    if ends.0 <= ends.1 { ends } else { (ends.1, ends.0) }
}

fn scalar() -> impl Strategy<Value = Scalar> {
    let as_text = prop_oneof![text(), Just("true".to_owned()), Just("12".to_owned()), Just(String::new())];
    prop_oneof![any::<bool>().prop_map(Scalar::Bool), number().prop_map(Scalar::Number), as_text.prop_map(Scalar::Text)]
}

fn number_test() -> impl Strategy<Value = Test> {
    prop_oneof![
        number().prop_map(Test::AtLeast),
        number().prop_map(Test::AtMost),
        (number(), number()).prop_map(ordered).prop_map(|(least, most)| Test::Between(least, most)),
        any::<bool>().prop_map(Test::Exists),
    ]
}

fn test_of(value: impl Strategy<Value = Scalar> + Clone + 'static) -> impl Strategy<Value = Test> {
    prop_oneof![
        value.clone().prop_map(Test::Is),
        value.clone().prop_map(Test::IsNot),
        vec(value, 1..4).prop_map(Test::OneOf),
        any::<bool>().prop_map(Test::Exists),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    prop_oneof![
        test_of(scalar().boxed()),
        number_test(),
        text().prop_map(Test::Contains),
        text().prop_map(Test::StartsWith),
    ]
}

fn matching() -> impl Strategy<Value = Matching> {
    let with = |name: BoxedStrategy<String>| {
        vec((name, test()).prop_map(|(property, is)| PropertyTest { property, is }), 0..3)
    };
    let known =
        |names: &'static [&'static str]| with(proptest::sample::select(names).prop_map(str::to_owned).boxed()).boxed();
    let parts = prop_oneof![
        (page().prop_map(WhatHappened::Page), Just(Vec::new())),
        (text().prop_map(WhatHappened::Track), with(text().boxed())),
        (Just(WhatHappened::Order), known(&visit::NAMES[..4])),
        (Just(WhatHappened::Visit), known(&visit::NAMES)),
        (Just(WhatHappened::Identify), Just(Vec::new())),
        (Just(WhatHappened::Anything), with(text().boxed())),
    ];
    parts.prop_map(|(what, properties)| Matching { what, properties })
}

fn span() -> impl Strategy<Value = Span> {
    let longest = Span::days(MAX_SPAN_DAYS).seconds();
    prop_oneof![(1..60_u32).prop_map(Span::days), (1..50_u32).prop_map(Span::hours), (1..=longest).prop_map(Span)]
}

fn day() -> impl Strategy<Value = Date> {
    (0..131 * 365_i64)
        .prop_map(|day| jiff::civil::date(1970, 1, 1).saturating_add(jiff::SignedDuration::from_hours(24 * day)))
}

fn window() -> impl Strategy<Value = Window> {
    prop_oneof![
        Just(Window::Ever),
        span().prop_map(Window::Within),
        span().prop_flat_map(|from| (0..from.seconds()).prop_map(move |to| Window::Ago(from, Span(to)))),
        day().prop_map(Window::Before),
        day().prop_map(Window::Since),
        (day(), day()).prop_map(|(one, other)| Window::Between(one.min(other), one.max(other))),
    ]
}

fn amount_of(number: impl Strategy<Value = f64> + Clone + 'static) -> impl Strategy<Value = Amount> {
    prop_oneof![
        number.clone().prop_map(Amount::AtLeast),
        number.clone().prop_map(Amount::AtMost),
        number.clone().prop_map(Amount::Exactly),
        (number.clone(), number).prop_map(ordered).prop_map(|(least, most)| Amount::Between(least, most)),
    ]
}

fn event() -> impl Strategy<Value = EventClause> {
    let age = prop_oneof![span().prop_map(Age::AtLeast), span().prop_map(Age::AtMost)];
    let count = prop_oneof![(0..4_u32).prop_map(f64::from), (0..1_000_000_u32).prop_map(f64::from)];
    let measure = prop_oneof![
        3 => amount_of(count.boxed()).prop_map(Measure::Count),
        1 => (text(), amount_of(number().boxed())).prop_map(|(property, is)| Measure::Sum { property, is }),
        1 => age.clone().prop_map(Measure::First),
        1 => age.prop_map(Measure::Last),
    ];
    (matching(), window(), measure).prop_map(|(of, window, mut is)| {
        if let Measure::Sum { property, .. } = &mut is {
            match &of.what {
                WhatHappened::Track(_) | WhatHappened::Anything => {}
                WhatHappened::Order => *property = "total".to_owned(),
                WhatHappened::Visit => *property = "channel".to_owned(),
                WhatHappened::Page(_) | WhatHappened::Identify => {
                    is = Measure::Count(Amount::AtLeast(1.0));
                }
            }
        }
        EventClause { of, window, is }
    })
}

fn sequence() -> impl Strategy<Value = SequenceClause> {
    let step = (matching(), proptest::option::of(span()), proptest::option::of(matching()));
    let step = step.prop_map(|(of, within, without)| Step { of, within, without });
    let never = proptest::option::of((matching(), span()).prop_map(|(of, within)| Never { of, within }));
    (matching(), vec(step, 0..4), never, window()).prop_map(|(first, mut then, never, window)| {
        if then.is_empty() && never.is_none() {
            then.push(Step { of: first.clone(), within: None, without: None });
        }
        SequenceClause { first, then, never, window }
    })
}

fn fact() -> impl Strategy<Value = FactClause> {
    proptest::sample::select(&Fact::ALL[..]).prop_flat_map(|name| {
        let is = match name.words() {
            None if name.trait_name().is_some() => {
                let value = match name {
                    Fact::Country => proptest::sample::select(vec!["AT", "XK"]).boxed(),
                    Fact::Device => proptest::sample::select(vec!["desktop", "tv"]).boxed(),
                    Fact::EmailClass => proptest::sample::select(vec!["company", "disposable"]).boxed(),
                    _ => proptest::sample::select(vec!["de", "Firefox"]).boxed(),
                };
                test_of(value.prop_map(|text| Scalar::Text(text.to_owned())).boxed()).boxed()
            }
            None => prop_oneof![number_test(), test_of(number().prop_map(Scalar::Number).boxed())].boxed(),
            Some(words) => {
                let word = proptest::sample::select(words).prop_map(|word| Scalar::Text(word.to_owned())).boxed();
                let value = if name == Fact::SignedUp {
                    prop_oneof![word, any::<bool>().prop_map(Scalar::Bool)].boxed()
                } else {
                    word
                };
                test_of(value).boxed()
            }
        };
        is.prop_map(move |is| FactClause { name, is })
    })
}

fn clause() -> impl Strategy<Value = Clause> {
    let bucket = (text(), 0..BucketClause::WHOLE).prop_flat_map(|(salt, from)| {
        (from + 1..=BucketClause::WHOLE).prop_map(move |to| BucketClause { salt: salt.clone(), from, to })
    });
    let leaf = prop_oneof![
        4 => event().prop_map(Clause::Event),
        3 => sequence().prop_map(Clause::Sequence),
        2 => (text(), test()).prop_map(|(name, is)| Clause::Trait(TraitClause { name, is })),
        2 => fact().prop_map(Clause::Fact),
        1 => text().prop_map(Clause::Segment),
        1 => bucket.prop_map(Clause::Bucket),
    ];
    leaf.prop_recursive(6, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Clause::All),
            vec(inner.clone(), 1..4).prop_map(Clause::Any),
            inner.prop_map(|part| Clause::Not(Box::new(part))),
        ]
    })
}

/// Any rule.
pub(super) fn rule() -> impl Strategy<Value = Rule> {
    clause().prop_map(Rule::new)
}
