//! Rules in few words.

use crate::segment::rule::{
    Age, Amount, Clause, EventClause, Fact, FactClause, Matching, Measure, Never, PropertyTest, Scalar, SequenceClause,
    Span, Step, Test, WhatHappened, Window,
};

pub(super) fn all<const N: usize>(parts: [Clause; N]) -> Clause {
    Clause::All(parts.into())
}

pub(super) fn any<const N: usize>(parts: [Clause; N]) -> Clause {
    Clause::Any(parts.into())
}

pub(super) fn not(part: Clause) -> Clause {
    Clause::Not(Box::new(part))
}

pub(super) fn fact(name: Fact, is: Test) -> Clause {
    Clause::Fact(FactClause { name, is })
}

pub(super) fn is(word: &str) -> Test {
    Test::Is(Scalar::Text(word.to_owned()))
}

pub(super) fn is_number(number: u32) -> Test {
    Test::Is(Scalar::Number(number.into()))
}

pub(super) fn one_of<const N: usize>(words: [&str; N]) -> Test {
    Test::OneOf(words.map(|word| Scalar::Text(word.to_owned())).into())
}

pub(super) fn never_ordered() -> Clause {
    fact(Fact::Orders, is_number(0))
}

fn matching(what: WhatHappened) -> Matching {
    Matching { what, properties: Vec::new() }
}

pub(super) fn track(name: &str) -> Matching {
    matching(WhatHappened::Track(name.to_owned()))
}

pub(super) fn page(address: &str) -> Matching {
    matching(WhatHappened::Page(address.to_owned()))
}

pub(super) fn order() -> Matching {
    matching(WhatHappened::Order)
}

pub(super) fn visit() -> Matching {
    matching(WhatHappened::Visit)
}

pub(super) fn anything() -> Matching {
    matching(WhatHappened::Anything)
}

pub(super) fn with(mut of: Matching, property: &str, is: Test) -> Matching {
    of.properties.push(PropertyTest { property: property.to_owned(), is });
    of
}

/// In the last so many days.
pub(super) fn days(days: u32) -> Window {
    Window::Within(Span::days(days))
}

/// Less than the first, and at least the second number of days ago.
pub(super) fn days_ago(from: u32, to: u32) -> Window {
    Window::Ago(Span::days(from), Span::days(to))
}

/// So often or more often.
pub(super) fn at_least(times: u32, of: Matching, window: Window) -> Clause {
    Clause::Event(EventClause { of, window, is: Measure::Count(Amount::AtLeast(times.into())) })
}

pub(super) fn never(of: Matching, window: Window) -> Clause {
    Clause::Event(EventClause { of, window, is: Measure::Count(Amount::Exactly(0.0)) })
}

/// The first one ever, at most so many days ago.
pub(super) fn first_within(of: Matching, days: u32) -> Clause {
    let is = Measure::First(Age::AtMost(Span::days(days)));
    Clause::Event(EventClause { of, window: Window::Ever, is })
}

/// The first one ever, at least so many days ago.
pub(super) fn first_before(of: Matching, days: u32) -> Clause {
    let is = Measure::First(Age::AtLeast(Span::days(days)));
    Clause::Event(EventClause { of, window: Window::Ever, is })
}

/// The last one ever, at least so many days ago.
pub(super) fn last_before(of: Matching, days: u32) -> Clause {
    let is = Measure::Last(Age::AtLeast(Span::days(days)));
    Clause::Event(EventClause { of, window: Window::Ever, is })
}

/// One thing and later another.
pub(super) fn followed(first: Matching, then: Matching, window: Window) -> Clause {
    let then = vec![Step { of: then, within: None, without: None }];
    Clause::Sequence(SequenceClause { first, then, never: None, window })
}

/// One thing, and not the other within an hour.
pub(super) fn left_for_an_hour(first: Matching, never: Matching, window: Window) -> Clause {
    let never = Some(Never { of: never, within: Span::hours(1) });
    Clause::Sequence(SequenceClause { first, then: Vec::new(), never, window })
}
