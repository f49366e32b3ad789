//! Rules as English sentences that can be read aloud. There is one form: what is written here, [`Rule::from_str`] reads
//! back as the very same rule.
//!
//! ```text
//! clause   = part { "and" part } | part { "or" part }          mixed ones need parentheses
//! part     = "not" part | "(" clause ")" | "all of (" clause ")" | "any of (" clause ")" | leaf
//! leaf     = "never" of [ window ] | of [ times | "for" amount "in total" ] [ window ]
//!          | ( "first" | "last" ) of ( "at least" | "at most" ) span "ago" [ window ]
//!          | "total" text "of" ( text | "anything" | "visits" ) [ with ] amount [ window ]
//!          | of { "then" of [ "within" span ] [ "without" of ] } [ "never followed by" of "within" span ] [ "," window ]
//!          | "trait" text test | fact test | "in segment" text | "in bucket" number "to" number "of" text
//! of       = ( "viewed" text | "did" text | "did anything" | "ordered" | "visited" | "identified" ) [ with ]
//! with     = "with" text test { "and" text test } [ "," ]
//! test     = "is" [ "not" ] value | "is one of" value { "," value } | "is" ( "at least" | "at most" ) number
//!          | "is between" number "and" number | "contains" text | "starts with" text | "is" [ "not" ] "known"
//! amount   = ( "at least" | "at most" | "exactly" ) number | "between" number "and" number
//! times    = amount "times"                                    of one "once", of two "twice"
//! window   = "within" span | "from" span "to" span "ago" | "before" day | "since" day | "from" day "to" day
//! span     = number ( "seconds" | "minutes" | "hours" | "days" | "weeks" )
//! value    = text | number | "true" | "false"
//! ```
//!
//! A text stands in double quotes; in it, `\"` is a quote and `\\` a backslash. A fact is its key with spaces. What is
//! asked at least once need not say so, and `signed up` alone is `signed up is true`.
//!
//! [`Rule::from_str`]: std::str::FromStr::from_str

use super::{
    Age, Amount, BucketClause, Clause, EventClause, Fact, FactClause, Matching, Measure, Rule, Scalar, SequenceClause,
    Test, TraitClause, WhatHappened, Window,
};
use std::fmt::{self, Display, Formatter, Write};

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.who.fmt(f)
    }
}

impl Rule {
    /// The sentence in lines, for reading and writing: what the whole consists of, each part on its own. It reads back as
    /// the same rule.
    pub fn in_lines(&self) -> String {
        struct Lines<'a>(&'a Clause);
        impl Display for Lines<'_> {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                match self.0 {
                    Clause::All(parts) => together(f, "all of", "\nand ", parts),
                    Clause::Any(parts) => together(f, "any of", "\nor ", parts),
                    other => other.fmt(f),
                }
            }
        }
        Lines(&self.who).to_string()
    }
}

impl Display for Clause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Clause::All(parts) => together(f, "all of", " and ", parts),
            Clause::Any(parts) => together(f, "any of", " or ", parts),
            Clause::Not(part) if part.is_short() => write!(f, "not {part}"),
            Clause::Not(part) => write!(f, "not ({part})"),
            Clause::Event(event) => event.fmt(f),
            Clause::Sequence(sequence) => sequence.fmt(f),
            Clause::Trait(TraitClause { name, is }) => write!(f, "trait {} {is}", Quoted(name)),
            Clause::Fact(FactClause { name: Fact::SignedUp, is: Test::Is(Scalar::Bool(true)) }) => {
                f.write_str("signed up")
            }
            Clause::Fact(FactClause { name, is }) => write!(f, "{} {is}", Spaced(name.key())),
            Clause::Segment(key) => write!(f, "in segment {}", Quoted(key)),
            Clause::Bucket(BucketClause { salt, from, to }) => {
                write!(f, "in bucket {from} to {to} of {}", Quoted(salt))
            }
        }
    }
}

impl Clause {
    /// Whether a `not` before it is understood without parentheses.
    fn is_short(&self) -> bool {
        match self {
            Clause::Segment(_) | Clause::Bucket(_) => true,
            Clause::Fact(fact) => fact.name == Fact::SignedUp && fact.is == Test::Is(Scalar::Bool(true)),
            Clause::All(_)
            | Clause::Any(_)
            | Clause::Not(_)
            | Clause::Event(_)
            | Clause::Sequence(_)
            | Clause::Trait(_) => false,
        }
    }
}

fn together(f: &mut Formatter<'_>, named: &str, between: &str, parts: &[Clause]) -> fmt::Result {
    match parts {
        [] => write!(f, "{named} ()"),
        [part] => write!(f, "{named} ({part})"),
        parts => joined(f, between, parts, |f, part| match part {
            Clause::All(inner) | Clause::Any(inner) if inner.len() > 1 => write!(f, "({part})"),
            part => part.fmt(f),
        }),
    }
}

fn joined<T>(
    f: &mut Formatter<'_>,
    between: &str,
    items: &[T],
    write: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            f.write_str(between)?;
        }
        write(f, item)?;
    }
    Ok(())
}

impl Display for EventClause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let of = &self.of;
        match &self.is {
            Measure::Count(Amount::AtMost(most)) if *most == 0.0 => write!(f, "never {of}")?,
            Measure::Count(amount) => write!(f, "{of}{} {}", of.comma(), Times(*amount))?,
            Measure::Sum { property, is } if of.what == WhatHappened::Order && property == "total" => {
                write!(f, "{of}{} for {is} in total", of.comma())?;
            }
            Measure::Sum { property, is } => {
                write!(f, "total {} of {}{} {is}", Quoted(property), Noun(of), of.comma())?;
            }
            Measure::First(age) => write!(f, "first {of}{} {age}", of.comma())?,
            Measure::Last(age) => write!(f, "last {of}{} {age}", of.comma())?,
        }
        match (&self.is, self.window) {
            (_, Window::Ever) => Ok(()),
            (Measure::First(_) | Measure::Last(_), window) => write!(f, ", {window}"),
            // Here nothing has closed the list of properties yet.
            (Measure::Count(Amount::AtMost(most)), window) if *most == 0.0 => write!(f, "{} {window}", of.comma()),
            (Measure::Count(_) | Measure::Sum { .. }, window) => write!(f, " {window}"),
        }
    }
}

impl Display for SequenceClause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        for step in &self.then {
            write!(f, " then {}", step.of)?;
            if let Some(within) = step.within {
                write!(f, " within {within}")?;
            }
            if let Some(without) = &step.without {
                write!(f, " without {without}")?;
            }
        }
        match &self.never {
            Some(never) => write!(f, " never followed by {} within {}", never.of, never.within)?,
            // No rule that is checked is so; it must not look like one.
            None if self.then.is_empty() => f.write_str(" then nothing")?,
            None => {}
        }
        if self.window == Window::Ever { Ok(()) } else { write!(f, ", {}", self.window) }
    }
}

impl Display for Matching {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.what {
            WhatHappened::Page(page) => write!(f, "viewed {}", Quoted(page)),
            WhatHappened::Track(name) => write!(f, "did {}", Quoted(name)),
            WhatHappened::Order => f.write_str("ordered"),
            WhatHappened::Visit => f.write_str("visited"),
            WhatHappened::Identify => f.write_str("identified"),
            WhatHappened::Anything => f.write_str("did anything"),
        }?;
        self.with(f)
    }
}

impl Matching {
    fn with(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.properties.is_empty() {
            f.write_str(" with ")?;
        }
        joined(f, " and ", &self.properties, |f, test| write!(f, "{} {}", Quoted(&test.property), test.is))
    }

    /// Behind properties, a comma keeps apart what is asked of them and what is asked of the events.
    pub(super) fn comma(&self) -> &'static str {
        if self.properties.is_empty() { "" } else { "," }
    }
}

/// Events as people tell of them: addresses need no quotes.
pub(super) struct Told<'a>(pub(super) &'a Matching);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0.what {
            WhatHappened::Page(page) => write!(f, "viewed {page}").and_then(|()| self.0.with(f)),
            WhatHappened::Track(_)
            | WhatHappened::Order
            | WhatHappened::Visit
            | WhatHappened::Identify
            | WhatHappened::Anything => self.0.fmt(f),
        }?;
        f.write_str(self.0.comma())
    }
}

/// Events as what something is added up of.
pub(super) struct Noun<'a>(pub(super) &'a Matching);

impl Display for Noun<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0.what {
            WhatHappened::Page(page) => write!(f, "views of {}", Quoted(page)),
            WhatHappened::Track(name) => Quoted(name).fmt(f),
            WhatHappened::Order => f.write_str("orders"),
            WhatHappened::Visit => f.write_str("visits"),
            WhatHappened::Identify => f.write_str("identifications"),
            WhatHappened::Anything => f.write_str("anything"),
        }?;
        self.0.with(f)
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Test::Is(value) => write!(f, "is {}", Literal(value)),
            Test::IsNot(value) => write!(f, "is not {}", Literal(value)),
            Test::OneOf(values) => {
                f.write_str("is one of ")?;
                joined(f, ", ", values, |f, value| Literal(value).fmt(f))
            }
            Test::AtLeast(least) => write!(f, "is at least {}", Plain(*least)),
            Test::AtMost(most) => write!(f, "is at most {}", Plain(*most)),
            Test::Between(least, most) => write!(f, "is between {} and {}", Plain(*least), Plain(*most)),
            Test::Contains(part) => write!(f, "contains {}", Quoted(part)),
            Test::StartsWith(beginning) => write!(f, "starts with {}", Quoted(beginning)),
            Test::Exists(true) => f.write_str("is known"),
            Test::Exists(false) => f.write_str("is not known"),
        }
    }
}

impl Display for Amount {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Amount::AtLeast(least) => write!(f, "at least {}", Plain(*least)),
            Amount::AtMost(most) => write!(f, "at most {}", Plain(*most)),
            Amount::Exactly(number) => write!(f, "exactly {}", Plain(*number)),
            Amount::Between(least, most) => write!(f, "between {} and {}", Plain(*least), Plain(*most)),
        }
    }
}

/// An amount of happenings.
struct Times(Amount);

impl Display for Times {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (how, number) = match self.0 {
            Amount::AtLeast(least) => ("at least", least),
            Amount::AtMost(most) => ("at most", most),
            Amount::Exactly(number) => ("exactly", number),
            Amount::Between(..) => return write!(f, "{} times", self.0),
        };
        write!(f, "{how} {}", HowOften(number))
    }
}

/// `once`, `twice`, `3 times`.
pub(super) struct HowOften(pub(super) f64);

impl Display for HowOften {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            1.0 => f.write_str("once"),
            2.0 => f.write_str("twice"),
            number => write!(f, "{} times", Plain(number)),
        }
    }
}

impl Display for Age {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Age::AtLeast(span) => write!(f, "at least {span} ago"),
            Age::AtMost(span) => write!(f, "at most {span} ago"),
        }
    }
}

/// Nothing for [`Window::Ever`].
impl Display for Window {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Window::Ever => Ok(()),
            Window::Within(span) => write!(f, "within {span}"),
            Window::Ago(from, to) => write!(f, "from {from} to {to} ago"),
            Window::Before(day) => write!(f, "before {day}"),
            Window::Since(day) => write!(f, "since {day}"),
            Window::Between(first, last) => write!(f, "from {first} to {last}"),
        }
    }
}

/// A text in quotes.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for part in self.0.split_inclusive(['"', '\\']) {
            match part.strip_suffix(['"', '\\']) {
                Some(before) => write!(f, "{before}\\{}", &part[before.len()..])?,
                None => f.write_str(part)?,
            }
        }
        f.write_char('"')
    }
}

/// A value so that its kind can be told: texts in quotes.
pub(super) struct Literal<'a>(pub(super) &'a Scalar);

impl Display for Literal<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Scalar::Bool(flag) => flag.fmt(f),
            Scalar::Number(number) => Plain(*number).fmt(f),
            Scalar::Text(text) => Quoted(text).fmt(f),
        }
    }
}

/// A number in digits; one with a long row of noughts behind the point as a power of ten.
struct Plain(f64);

impl Display for Plain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 != 0.0 && self.0.abs() < 1e-6 { write!(f, "{:e}", self.0) } else { self.0.fmt(f) }
    }
}

/// A key with spaces.
pub(super) struct Spaced(pub(super) &'static str);

impl Display for Spaced {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| f.write_char(if character == '_' { ' ' } else { character }))
    }
}

#[cfg(test)]
mod tests;
