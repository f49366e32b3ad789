//! Rules that make no sense are refused, with the clause at fault.

mod computed;

use super::{
    Age, Amount, BucketClause, Clause, EventClause, Fact, Matching, Measure, PropertyTest, Rule, Scalar,
    SequenceClause, Span, Test, WhatHappened, Window,
};

/// A rule has at most this many clauses.
pub const MAX_CLAUSES: usize = 200;
/// Clauses are nested at most this deep.
pub const MAX_DEPTH: usize = 12;
/// A sequence has at most this many steps, the first one included.
pub const MAX_STEPS: usize = 8;
/// A `one_of` lists at most this many values.
pub const MAX_LISTED: usize = 1_000;
/// A name or a text is at most this long.
pub const MAX_TEXT_BYTES: usize = 256;
/// A span is at most this long: twenty years.
pub const MAX_SPAN_DAYS: u32 = 7_305;

/// What is wrong with a rule, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", if path.is_empty() { "the rule" } else { path })]
pub struct RuleError {
    /// The clause at fault, a JSON pointer (RFC 6901) into the rule: `/who/all/1/event/is`; empty for the whole.
    pub path: String,
    /// What is wrong with it and what to write instead.
    pub message: String,
}

/// What is said of a segment that is not there.
pub(super) fn no_segment(key: &str) -> String {
    format!("there is no segment {key:?}")
}

impl Rule {
    /// Whether the rule makes sense by itself; what it names may still be unknown to a site.
    ///
    /// # Errors
    /// The first [`RuleError`], in the order in which the rule is written.
    pub fn check(&self) -> Result<(), RuleError> {
        Checker { clauses: 0, path: "/who".to_owned() }.clause(&self.who, 1)
    }

    /// Reads a rule from JSON, and checks it.
    ///
    /// # Errors
    /// [`RuleError`]; where the text is no rule at all, it points at what could not be read and says line and column.
    pub fn from_json(text: &str) -> Result<Rule, RuleError> {
        let rule: Rule = serde_json::from_str(text).map_err(|error| unreadable(text, &error))?;
        rule.check()?;
        Ok(rule)
    }
}

/// Messages repeat what they found; more of it than this helps nobody.
const MAX_MESSAGE_CHARS: usize = 1_000;
/// Paths end after so many steps; what is checked is never as deep.
const MAX_STEPS_OF_PATH: usize = 4 * MAX_DEPTH;
/// Keys in paths are cut after so many characters; all that are known are shorter.
const MAX_KEY_CHARS: usize = 40;

/// What a text is said that is no rule.
fn unreadable(text: &str, error: &serde_json::Error) -> RuleError {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let message = message.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&message);
    let message = if message.starts_with("recursion limit") {
        format!("clauses are nested at most {MAX_DEPTH} deep")
    } else {
        let message: String = message.chars().take(MAX_MESSAGE_CHARS).collect();
        let message = if message == "expected value" { "expected a value in JSON".to_owned() } else { message };
        message.replace("expected f64", "expected a number").replace("expected u16", "expected a whole number")
    };
    let before = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
    let path = pointer(&text.as_bytes()[..(before + column).min(text.len())]);
    RuleError { path, message: format!("{message} (line {line}, column {column})") }
}

/// The JSON pointer of the value in whose midst a text breaks off.
fn pointer(text: &[u8]) -> String {
    /// An object with the key at hand, or a list with the place at hand.
    enum Level<'t> {
        Object { key: &'t [u8], is_key_next: bool },
        List(usize),
    }
    let mut levels = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let start = at + 1;
        at = start;
        match byte {
            b'{' => levels.push(Level::Object { key: &[], is_key_next: true }),
            b'[' => levels.push(Level::List(0)),
            // A closing bracket that is the last to be seen belongs to the value at fault.
            b'}' | b']' if at < text.len() => {
                levels.pop();
            }
            b',' => match levels.last_mut() {
                Some(Level::Object { is_key_next, .. }) => *is_key_next = true,
                Some(Level::List(place)) => *place += 1,
                None => {}
            },
            b'"' => {
                while let Some(byte) = text.get(at).filter(|byte| **byte != b'"') {
                    at += if *byte == b'\\' { 2 } else { 1 };
                }
                let end = at.min(text.len());
                at = end + 1;
                if let Some(Level::Object { key, is_key_next: is_key_next @ true }) = levels.last_mut() {
                    *is_key_next = false;
                    *key = &text[start..end];
                }
            }
            _ => {}
        }
    }
    let mut path = String::new();
    for level in levels.iter().take(MAX_STEPS_OF_PATH) {
        match level {
            Level::Object { key: [], .. } => {}
            Level::Object { key, .. } => {
                let key = String::from_utf8_lossy(key).replace('~', "~0").replace('/', "~1");
                path.push('/');
                path.extend(key.chars().take(MAX_KEY_CHARS));
            }
            Level::List(place) => path.push_str(&format!("/{place}")),
        }
    }
    path
}

struct Checker {
    clauses: usize,
    path: String,
}

type Checked = Result<(), RuleError>;

impl Checker {
    fn wrong(&self, message: String) -> Checked {
        Err(RuleError { path: self.path.clone(), message })
    }

    fn at(&mut self, step: &str, check: impl FnOnce(&mut Self) -> Checked) -> Checked {
        let length = self.path.len();
        self.path.push_str(step);
        check(self)?;
        self.path.truncate(length);
        Ok(())
    }

    fn clause(&mut self, clause: &Clause, depth: usize) -> Checked {
        self.clauses += 1;
        if self.clauses > MAX_CLAUSES {
            return self
                .wrong(format!("a rule has at most {MAX_CLAUSES} clauses; put some into a segment of their own"));
        }
        if depth > MAX_DEPTH {
            return self.wrong(format!("clauses are nested at most {MAX_DEPTH} deep"));
        }
        match clause {
            Clause::All(parts) => self.parts("/all", parts, depth),
            Clause::Any(parts) => self.parts("/any", parts, depth),
            Clause::Not(part) => self.at("/not", |checker| checker.clause(part, depth + 1)),
            Clause::Event(event) => self.at("/event", |checker| checker.event(event)),
            Clause::Sequence(sequence) => self.at("/sequence", |checker| checker.sequence(sequence)),
            Clause::Trait(asked) => self.at("/trait", |checker| {
                checker.at("/name", |checker| checker.text("a trait's name", &asked.name))?;
                checker.at("/is", |checker| checker.test(&asked.is))
            }),
            Clause::Fact(fact) => self.at("/fact/is", |checker| checker.fact(fact.name, &fact.is)),
            Clause::Segment(key) => self.at("/segment", |checker| checker.text("a segment's key", key)),
            Clause::Bucket(bucket) => self.at("/bucket", |checker| checker.bucket(bucket)),
        }
    }

    fn parts(&mut self, step: &str, parts: &[Clause], depth: usize) -> Checked {
        if parts.is_empty() {
            return self.at(step, |checker| checker.wrong("it is empty; name at least one clause".to_owned()));
        }
        for (place, part) in parts.iter().enumerate() {
            self.at(&format!("{step}/{place}"), |checker| checker.clause(part, depth + 1))?;
        }
        Ok(())
    }

    fn text(&mut self, what: &str, text: &str) -> Checked {
        if text.trim().is_empty() {
            return self.wrong(format!("{what} is empty"));
        }
        if text.len() > MAX_TEXT_BYTES {
            return self.wrong(format!("{what} is {} bytes, limit {MAX_TEXT_BYTES}", text.len()));
        }
        if text.chars().any(char::is_control) {
            return self.wrong(format!("{what} holds a control character"));
        }
        Ok(())
    }

    fn matching(&mut self, matching: &Matching) -> Checked {
        match &matching.what {
            WhatHappened::Page(page) => self.at("/what/page", |checker| {
                checker.text("a page's address", page)?;
                if page.contains("://") {
                    return checker.wrong("a page is host and path without `https://`, or a path alone".to_owned());
                }
                if page.matches('*').count() > 8 {
                    return checker.wrong("a page's address has at most 8 stars".to_owned());
                }
                Ok(())
            })?,
            WhatHappened::Track(name) => {
                self.at("/what/track", |checker| checker.text("an event's name", name))?;
            }
            WhatHappened::Order | WhatHappened::Visit | WhatHappened::Identify | WhatHappened::Anything => {}
        }
        if matching.properties.len() > 10 {
            let count = matching.properties.len();
            return self.at("/with", |checker| checker.wrong(format!("{count} properties, limit 10")));
        }
        for (place, PropertyTest { property, is }) in matching.properties.iter().enumerate() {
            self.at(&format!("/with/{place}"), |checker| {
                checker.at("/property", |checker| {
                    checker.text("a property's name", property)?;
                    checker.has_property(&matching.what, property)
                })?;
                checker.at("/is", |checker| checker.test(is))
            })?;
        }
        Ok(())
    }

    /// Visits and orders have properties of their own and no others; page views and identifies have none.
    fn has_property(&mut self, what: &WhatHappened, property: &str) -> Checked {
        let known: &[&str] = match what {
            WhatHappened::Track(_) | WhatHappened::Anything => return Ok(()),
            WhatHappened::Visit => &super::visit::NAMES,
            WhatHappened::Order => &super::visit::NAMES[..4],
            WhatHappened::Page(_) | WhatHappened::Identify => &[],
        };
        if known.contains(&property) {
            return Ok(());
        }
        let named = match what {
            WhatHappened::Visit => "a visit",
            WhatHappened::Order => "an order",
            _ => "a page view",
        };
        if known.is_empty() {
            return self.wrong(format!("{named} has no property {property:?}, and none at all"));
        }
        self.wrong(format!("{named} has no property {property:?}; it has {}", known.join(", ")))
    }

    fn event(&mut self, event: &EventClause) -> Checked {
        self.at("/of", |checker| checker.matching(&event.of))?;
        self.at("/window", |checker| checker.window(event.window))?;
        self.at("/is", |checker| match &event.is {
            Measure::Count(amount) => checker.at("/count", |checker| {
                checker.amount(*amount)?;
                let (least, most) = amount.range();
                if most < 0.0 || (least.is_finite() && least < 0.0) {
                    return checker.wrong("nothing happens less often than never: a count is 0 or more".to_owned());
                }
                if [least, most].into_iter().any(|end| end.is_finite() && end.fract() != 0.0) {
                    return checker.wrong("a count is a whole number".to_owned());
                }
                Ok(())
            }),
            Measure::Sum { property, is } => checker.at("/sum", |checker| {
                checker.at("/property", |checker| {
                    checker.text("a property's name", property)?;
                    match &event.of.what {
                        WhatHappened::Order if property == "total" => Ok(()),
                        WhatHappened::Order => checker.wrong("of orders only `total` can be added up".to_owned()),
                        what => checker.has_property(what, property),
                    }
                })?;
                checker.at("/is", |checker| checker.amount(*is))
            }),
            Measure::First(age) | Measure::Last(age) => {
                let step = if matches!(event.is, Measure::First(_)) { "/first" } else { "/last" };
                let (Age::AtLeast(span) | Age::AtMost(span)) = age;
                checker.at(step, |checker| checker.span(*span))
            }
        })
    }

    fn sequence(&mut self, sequence: &SequenceClause) -> Checked {
        self.at("/first", |checker| checker.matching(&sequence.first))?;
        if sequence.then.is_empty() && sequence.never.is_none() {
            return self.wrong("a sequence needs a second step: `then`, or `never`".to_owned());
        }
        if sequence.then.len() + 1 > MAX_STEPS {
            let steps = sequence.then.len() + 1;
            return self.at("/then", |checker| checker.wrong(format!("{steps} steps, limit {MAX_STEPS}")));
        }
        for (place, step) in sequence.then.iter().enumerate() {
            self.at(&format!("/then/{place}"), |checker| {
                checker.at("/of", |checker| checker.matching(&step.of))?;
                if let Some(within) = step.within {
                    checker.at("/within", |checker| checker.span(within))?;
                }
                match &step.without {
                    Some(without) => checker.at("/without", |checker| checker.matching(without)),
                    None => Ok(()),
                }
            })?;
        }
        if let Some(never) = &sequence.never {
            self.at("/never", |checker| {
                checker.at("/of", |checker| checker.matching(&never.of))?;
                checker.at("/within", |checker| checker.span(never.within))
            })?;
        }
        self.at("/window", |checker| checker.window(sequence.window))
    }

    fn span(&mut self, span: Span) -> Checked {
        if span.seconds() == 0 {
            return self.wrong("a span of no length holds nothing".to_owned());
        }
        if span > Span::days(MAX_SPAN_DAYS) {
            return self.wrong(format!("{span} is too long; a span is at most {MAX_SPAN_DAYS} days"));
        }
        Ok(())
    }

    fn window(&mut self, window: Window) -> Checked {
        match window {
            Window::Ever => Ok(()),
            Window::Within(span) => self.span(span),
            Window::Ago(from, to) => {
                self.span(from)?;
                if to >= from {
                    return self.wrong(format!(
                        "impossible: nothing is less than {from} and at least {to} ago; write the longer span first"
                    ));
                }
                Ok(())
            }
            Window::Before(day) | Window::Since(day) => self.day(day),
            Window::Between(first, last) => {
                self.day(first)?;
                self.day(last)?;
                if last < first {
                    return self.wrong(format!("impossible: {last} is before {first}; write the earlier day first"));
                }
                Ok(())
            }
        }
    }

    fn day(&mut self, day: jiff::civil::Date) -> Checked {
        if (1970..=2100).contains(&day.year()) {
            return Ok(());
        }
        self.wrong(format!("{day} is outside the calendar; choose a day from 1970 to 2100"))
    }

    fn amount(&mut self, amount: Amount) -> Checked {
        let ends = match amount {
            Amount::AtLeast(end) | Amount::AtMost(end) | Amount::Exactly(end) => [end, end],
            Amount::Between(least, most) => [least, most],
        };
        self.numbers(ends)
    }

    fn numbers(&mut self, [least, most]: [f64; 2]) -> Checked {
        if ![least, most].into_iter().all(|end| end.is_finite() && end.abs() <= 1e15) {
            return self.wrong("a number is at most 1e15 in size".to_owned());
        }
        if least > most {
            return self.wrong(format!("impossible: {least} is more than {most}; write the smaller number first"));
        }
        Ok(())
    }

    fn scalar(&mut self, value: &Scalar) -> Checked {
        match value {
            Scalar::Bool(_) => Ok(()),
            Scalar::Number(number) => self.numbers([*number, *number]),
            Scalar::Text(text) if text.len() > MAX_TEXT_BYTES => {
                self.wrong(format!("a text is {} bytes, limit {MAX_TEXT_BYTES}", text.len()))
            }
            Scalar::Text(text) if text.chars().any(char::is_control) => {
                self.wrong("a text holds a control character".to_owned())
            }
            Scalar::Text(_) => Ok(()),
        }
    }

    fn test(&mut self, test: &Test) -> Checked {
        match test {
            Test::Is(value) | Test::IsNot(value) => self.scalar(value),
            Test::OneOf(values) => {
                if values.is_empty() {
                    return self.wrong("a list of no values; nothing is one of them".to_owned());
                }
                if values.len() > MAX_LISTED {
                    return self.wrong(format!("{} values, limit {MAX_LISTED}", values.len()));
                }
                values.iter().try_for_each(|value| self.scalar(value))
            }
            Test::AtLeast(number) | Test::AtMost(number) => self.numbers([*number, *number]),
            Test::Between(least, most) => self.numbers([*least, *most]),
            Test::Contains(text) | Test::StartsWith(text) => self.text("a text to look for", text),
            Test::Exists(_) => Ok(()),
        }
    }

    fn fact(&mut self, fact: Fact, test: &Test) -> Checked {
        self.test(test)?;
        let key = fact.key();
        let values = match test {
            Test::Is(value) | Test::IsNot(value) => std::slice::from_ref(value),
            Test::OneOf(values) => values,
            Test::AtLeast(_) | Test::AtMost(_) | Test::Between(..) | Test::Contains(_) | Test::StartsWith(_) => &[],
            Test::Exists(_) => return Ok(()),
        };
        if fact.trait_name().is_some() {
            return self.text_fact(fact, test, values);
        }
        match fact.words() {
            None if matches!(test, Test::Contains(_) | Test::StartsWith(_)) => {
                self.wrong(format!("{key} is a number; ask at_least, at_most, between, is, is_not or one_of"))
            }
            None => match values.iter().find(|value| !matches!(value, Scalar::Number(_))) {
                Some(value) => self.wrong(format!("{key} is a number, and \"{value}\" is none")),
                None => Ok(()),
            },
            Some(words) => {
                if values.is_empty() {
                    return self.wrong(format!("{key} is a word; ask is, is_not, one_of or exists"));
                }
                let is_known = |value: &&Scalar| words.iter().any(|word| value.to_string() == *word);
                match values.iter().find(|value| !is_known(value)) {
                    Some(value) => self.wrong(format!("{key} is never \"{value}\"; it is one of {}", words.join(", "))),
                    None => Ok(()),
                }
            }
        }
    }

    fn text_fact(&mut self, fact: Fact, test: &Test, values: &[Scalar]) -> Checked {
        let key = fact.key();
        if matches!(test, Test::AtLeast(_) | Test::AtMost(_) | Test::Between(..)) {
            return self.wrong(format!("{key} is a text; ask is, is_not, one_of, contains, starts_with or exists"));
        }
        let is_odd = |value: &&Scalar| !matches!(value, Scalar::Text(text) if fact.can_be(text));
        match values.iter().find(is_odd) {
            Some(value) => self.wrong(format!("{key} is never \"{value}\"{}", known_texts(fact))),
            None => Ok(()),
        }
    }

    fn bucket(&mut self, bucket: &BucketClause) -> Checked {
        self.at("/salt", |checker| checker.text("a salt", &bucket.salt))?;
        if bucket.from >= bucket.to || bucket.to > BucketClause::WHOLE {
            let (from, to, whole) = (bucket.from, bucket.to, BucketClause::WHOLE);
            return self.wrong(format!("from {from} to {to} is no part of 0 to {whole} ten-thousandths"));
        }
        Ok(())
    }
}

/// What a fact of few texts can be, as the end of a message.
fn known_texts(fact: Fact) -> String {
    use crate::surroundings::{DeviceClass, EmailClass};
    match fact {
        Fact::Country => "; write a code of ISO 3166-1, such as AT".to_owned(),
        Fact::Device => format!("; it is one of {}", DeviceClass::ALL.map(DeviceClass::key).join(", ")),
        Fact::EmailClass => format!("; it is one of {}", EmailClass::ALL.map(EmailClass::key).join(", ")),
        _ => "; it is a text".to_owned(),
    }
}

#[cfg(test)]
mod tests;
