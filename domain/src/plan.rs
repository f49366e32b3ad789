//! A site's tracking plan: what its named events are agreed to carry, and where an event differs.
//!
//! A [`TrackingPlan`] is JSON where it is kept, and a few lines for whoever writes it, one for each property:
//!
//! ```text
//! price: number, required
//! category: text, required, one of "shoes", "hats"
//! coupon: any
//! ```
//!
//! Properties that a plan does not name may be there. Values are compared as in rules ([`Scalar::is_same`]): without
//! regard to case, and a text that is a number is one where it meets a number; kinds are those of JSON, so that `"5"` is a
//! text. A value that is `null` is not there.

use crate::segment::rule::Scalar;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write};
use std::str::FromStr;

/// A plan has at most this many events.
pub const MAX_EVENTS: usize = 200;
/// An event has at most this many properties in a plan.
pub const MAX_PROPERTIES: usize = 50;
/// A property lists at most this many values.
pub const MAX_VALUES: usize = 100;
/// A name or a value is at most this long.
pub const MAX_TEXT_BYTES: usize = 128;

/// What kind of value a property has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    List,
    /// An object.
    Object,
}

impl ValueKind {
    /// Each once.
    pub const ALL: [ValueKind; 5] =
        [ValueKind::Text, ValueKind::Number, ValueKind::Boolean, ValueKind::List, ValueKind::Object];

    /// The kind of a value; `None` for null, which is no value.
    pub fn of(value: &Value) -> Option<ValueKind> {
        match value {
            Value::Null => None,
            Value::Bool(_) => Some(ValueKind::Boolean),
            Value::Number(_) => Some(ValueKind::Number),
            Value::String(_) => Some(ValueKind::Text),
            Value::Array(_) => Some(ValueKind::List),
            Value::Object(_) => Some(ValueKind::Object),
        }
    }

    /// The word for it.
    pub fn key(self) -> &'static str {
        match self {
            ValueKind::Text => "text",
            ValueKind::Number => "number",
            ValueKind::Boolean => "boolean",
            ValueKind::List => "list",
            ValueKind::Object => "object",
        }
    }

    /// The kind of a word.
    pub fn from_key(key: &str) -> Option<ValueKind> {
        ValueKind::ALL.into_iter().find(|kind| kind.key() == key)
    }

    /// The number under which it is stored; 0 is never one.
    pub fn code(self) -> i16 {
        self as i16 + 1
    }

    /// The kind of a stored number.
    pub fn from_code(code: i16) -> Option<ValueKind> {
        ValueKind::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// What is agreed of one property.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// It is one of these kinds; any where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<ValueKind>,
    /// It must be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// It is one of these values; any where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<Scalar>,
}

/// What is agreed of one named event: its properties by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventPlan {
    /// By name.
    pub properties: BTreeMap<String, Expected>,
}

/// A site's plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrackingPlan {
    /// Events that differ are not stored; without it they are only counted.
    #[serde(default)]
    pub block: bool,
    /// What is agreed, by the event's name.
    #[serde(default)]
    pub events: BTreeMap<String, EventPlan>,
}

/// How a property differs from what is agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Breach {
    /// It must be there and is not.
    Missing,
    /// It is of another kind.
    WrongKind,
    /// It is another value than those that are listed.
    OtherValue,
}

impl Breach {
    /// Each once.
    pub const ALL: [Breach; 3] = [Breach::Missing, Breach::WrongKind, Breach::OtherValue];

    /// The word for it.
    pub fn key(self) -> &'static str {
        match self {
            Breach::Missing => "missing",
            Breach::WrongKind => "wrong_kind",
            Breach::OtherValue => "other_value",
        }
    }

    /// The number under which it is stored.
    pub fn code(self) -> i16 {
        self as i16 + 1
    }

    /// The breach of a stored number.
    pub fn from_code(code: i16) -> Option<Breach> {
        Breach::ALL.into_iter().find(|breach| breach.code() == code)
    }
}

/// One property of one event that differs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Violation<'a> {
    /// The property.
    pub property: &'a str,
    /// How it differs.
    pub breach: Breach,
    /// What it is; `None` where it is missing.
    pub value: Option<&'a Value>,
}

impl Display for Violation<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let property = self.property;
        match (self.breach, self.value.and_then(ValueKind::of)) {
            (Breach::Missing, _) => write!(f, "{property:?} is missing"),
            (Breach::WrongKind, Some(kind)) => write!(f, "{property:?} is a {}", kind.key()),
            (Breach::WrongKind, None) => write!(f, "{property:?} is of another kind"),
            (Breach::OtherValue, _) => write!(f, "{property:?} is none of the values that are agreed"),
        }
    }
}

fn scalar(value: &Value) -> Option<Scalar> {
    match value {
        Value::Bool(flag) => Some(Scalar::Bool(*flag)),
        Value::Number(number) => number.as_f64().map(Scalar::Number),
        Value::String(text) => Some(Scalar::Text(text.clone())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Expected {
    fn breach(&self, value: Option<&Value>) -> Option<Breach> {
        let Some((value, kind)) = value.and_then(|value| Some((value, ValueKind::of(value)?))) else {
            return self.required.then_some(Breach::Missing);
        };
        if !self.kinds.is_empty() && !self.kinds.contains(&kind) {
            return Some(Breach::WrongKind);
        }
        let is_listed = || scalar(value).is_some_and(|value| self.one_of.iter().any(|one| one.is_same(&value)));
        (!self.one_of.is_empty() && !is_listed()).then_some(Breach::OtherValue)
    }
}

impl EventPlan {
    /// Where an event's properties differ, by name.
    pub fn violations<'a>(&'a self, properties: &'a Map<String, Value>) -> Vec<Violation<'a>> {
        let differs = |(name, expected): (&'a String, &'a Expected)| {
            let value = properties.get(name);
            Some(Violation { property: name, breach: expected.breach(value)?, value })
        };
        self.properties.iter().filter_map(differs).collect()
    }

    /// Whether the plan makes sense.
    ///
    /// # Errors
    /// What is wrong with it, and what the limit is.
    pub fn check(&self) -> Result<(), PlanError> {
        let wrong = |message: String| Err(PlanError { line: None, message });
        let count = self.properties.len();
        if count > MAX_PROPERTIES {
            return wrong(format!("{count} properties, limit {MAX_PROPERTIES}"));
        }
        for (name, expected) in &self.properties {
            check_text("a property's name", name)?;
            if expected.one_of.len() > MAX_VALUES {
                return wrong(format!("{name:?} lists {} values, limit {MAX_VALUES}", expected.one_of.len()));
            }
            for value in &expected.one_of {
                match value {
                    Scalar::Text(text) => check_text("a value", text)?,
                    Scalar::Number(number) if !number.is_finite() => return wrong("a number is infinite".to_owned()),
                    Scalar::Number(_) | Scalar::Bool(_) => {}
                }
            }
        }
        Ok(())
    }

    /// A plan that agrees with properties that were seen: each with its kinds, and required where all events had it.
    pub fn suggested<'a>(seen: impl IntoIterator<Item = (&'a str, Vec<ValueKind>, bool)>) -> EventPlan {
        let expected = |(name, kinds, required): (&'a str, Vec<ValueKind>, bool)| {
            (name.to_owned(), Expected { kinds, required, one_of: Vec::new() })
        };
        EventPlan { properties: seen.into_iter().take(MAX_PROPERTIES).map(expected).collect() }
    }
}

fn check_text(what: &str, text: &str) -> Result<(), PlanError> {
    let wrong = |message: String| Err(PlanError { line: None, message });
    match text {
        _ if text.trim().is_empty() => wrong(format!("{what} is empty")),
        _ if text.len() > MAX_TEXT_BYTES => wrong(format!("{what} is {} bytes, limit {MAX_TEXT_BYTES}", text.len())),
        _ if text.contains(char::is_control) => wrong(format!("{what} holds a control character")),
        _ => Ok(()),
    }
}

/// What is wrong with a plan that was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", line.map_or_else(String::new, |line| format!("line {line}: ")))]
pub struct PlanError {
    /// The line, the first is 1; `None` where it is the whole.
    pub line: Option<usize>,
    /// What to write instead.
    pub message: String,
}

struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for letter in self.0.chars() {
            if matches!(letter, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(letter)?;
        }
        f.write_char('"')
    }
}

/// Whether a name can stand without quotes.
fn is_plain(name: &str) -> bool {
    name.trim() == name && !name.is_empty() && !name.contains([':', '"', '\\', ',', '#'])
}

impl Display for EventPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (place, (name, expected)) in self.properties.iter().enumerate() {
            if place > 0 {
                f.write_char('\n')?;
            }
            if is_plain(name) {
                f.write_str(name)?
            } else {
                write!(f, "{}", Quoted(name))?
            }
            write!(f, ": {expected}")?;
        }
        Ok(())
    }
}

impl Display for Expected {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.kinds.is_empty() {
            f.write_str("any")?;
        }
        for (place, kind) in self.kinds.iter().enumerate() {
            write!(f, "{}{}", if place > 0 { " or " } else { "" }, kind.key())?;
        }
        if self.required {
            f.write_str(", required")?;
        }
        for (place, value) in self.one_of.iter().enumerate() {
            f.write_str(if place > 0 { ", " } else { ", one of " })?;
            match value {
                Scalar::Text(text) => write!(f, "{}", Quoted(text))?,
                Scalar::Number(_) | Scalar::Bool(_) => write!(f, "{value}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for EventPlan {
    type Err = PlanError;

    /// Reads a plan of one line for each property, as it is displayed; empty lines say nothing.
    fn from_str(text: &str) -> Result<EventPlan, PlanError> {
        let mut plan = EventPlan::default();
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = |message: String| PlanError { line: Some(number), message };
            if line.trim().is_empty() {
                continue;
            }
            let (name, expected) = Line { rest: line.trim() }.read().map_err(wrong)?;
            if plan.properties.insert(name.clone(), expected).is_some() {
                return Err(wrong(format!("{name:?} is there twice")));
            }
        }
        plan.check()?;
        Ok(plan)
    }
}

/// What is left of a line.
struct Line<'l> {
    rest: &'l str,
}

impl<'l> Line<'l> {
    fn read(mut self) -> Result<(String, Expected), String> {
        let name = match self.quoted()? {
            Some(name) => name,
            None => {
                let end = self.rest.find(':').ok_or("a line is `name: kind`, such as `price: number, required`")?;
                let name = self.rest[..end].trim().to_owned();
                self.rest = &self.rest[end..];
                name
            }
        };
        if !self.eat(":") {
            return Err("after the name comes `:` and a kind".to_owned());
        }
        let mut expected = Expected { kinds: self.kinds()?, ..Expected::default() };
        while self.eat(",") {
            match self.word() {
                "required" if !expected.required => expected.required = true,
                "one" if self.word() == "of" && expected.one_of.is_empty() => expected.one_of = self.values()?,
                other => return Err(format!("{other:?} is none of `required` and `one of \"a\", \"b\"`")),
            }
        }
        match self.rest.trim() {
            "" => Ok((name, expected)),
            rest => Err(format!("{rest:.40?} is too much; write a comma before it")),
        }
    }

    fn eat(&mut self, sign: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self) -> &'l str {
        let rest = self.rest.trim_start();
        let end = rest.find(|letter: char| letter.is_whitespace() || letter == ',').unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        word
    }

    fn kinds(&mut self) -> Result<Vec<ValueKind>, String> {
        let mut kinds = Vec::new();
        loop {
            let word = self.word();
            if word == "any" && kinds.is_empty() {
                return Ok(kinds);
            }
            let unknown = || format!("{word:.40?} is no kind; write text, number, boolean, list, object or any");
            let kind = ValueKind::from_key(word).ok_or_else(unknown)?;
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
            let before = self.rest;
            if self.word() != "or" {
                self.rest = before;
                return Ok(kinds);
            }
        }
    }

    fn values(&mut self) -> Result<Vec<Scalar>, String> {
        let mut values = Vec::new();
        loop {
            let value = match self.quoted()? {
                Some(text) => Scalar::Text(text),
                None => match self.word() {
                    "true" => Scalar::Bool(true),
                    "false" => Scalar::Bool(false),
                    word => {
                        let number = word.parse().ok().filter(|number: &f64| number.is_finite());
                        let odd = || format!("{word:.40?} is no value; write texts in quotes, numbers, true or false");
                        Scalar::Number(number.ok_or_else(odd)?)
                    }
                },
            };
            values.push(value);
            let before = self.rest;
            // `required` may stand behind the values, too.
            if !self.eat(",") || self.rest.trim_start().starts_with("required") {
                self.rest = before;
                return Ok(values);
            }
        }
    }

    /// A text in quotes, if one stands here.
    fn quoted(&mut self) -> Result<Option<String>, String> {
        let Some(inside) = self.rest.trim_start().strip_prefix('"') else { return Ok(None) };
        let mut text = String::new();
        let mut letters = inside.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = &inside[at + 1..];
                    return Ok(Some(text));
                }
                '\\' => text.extend(letters.next().map(|(_, letter)| letter)),
                _ => text.push(letter),
            }
        }
        Err("a text in quotes has no end".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn plan(text: &str) -> EventPlan {
        text.parse().unwrap()
    }

    fn breaches(plan: &str, properties: Value) -> Vec<(String, Breach)> {
        let plan = self::plan(plan);
        let Value::Object(properties) = properties else { panic!("no object") };
        plan.violations(&properties).into_iter().map(|one| (one.property.to_owned(), one.breach)).collect()
    }

    #[test]
    fn an_event_differs_where_something_is_missing_of_another_kind_or_another_value() {
        let of = "price: number, required\ncategory: text, one of \"shoes\", \"hats\"\nsize: number or text\nnote: any";
        assert_eq!(breaches(of, json!({ "price": 5, "category": "Shoes", "size": "L", "other": [] })), []);
        let all = [("category".to_owned(), Breach::OtherValue), ("price".to_owned(), Breach::Missing)];
        assert_eq!(breaches(of, json!({ "price": null, "category": "bags" })), all);
        let kinds = [("price".to_owned(), Breach::WrongKind), ("size".to_owned(), Breach::WrongKind)];
        assert_eq!(breaches(of, json!({ "price": "5", "size": true })), kinds);
        let number = "n: any, one of 1, \"2\"";
        assert_eq!(breaches(number, json!({ "n": "1" })), []);
        assert_eq!(breaches(number, json!({ "n": [1] })), [("n".to_owned(), Breach::OtherValue)]);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        for (text, line, message) in [
            ("price", Some(1), "a line is `name: kind`"),
            ("a: text\n\nprice: money", Some(3), "is no kind"),
            ("a: text required", Some(1), "write a comma"),
            ("a: text, optional", Some(1), "is none of `required`"),
            ("a: text\na: number", Some(2), "is there twice"),
            ("a: text, one of b", Some(1), "texts in quotes"),
            ("a: text, one of \"b", Some(1), "has no end"),
            (": text", None, "name is empty"),
        ] {
            let error = text.parse::<EventPlan>().unwrap_err();
            assert!(error.line == line && error.message.contains(message), "{text}: {error}");
        }
        let long = format!("{}: text", "x".repeat(MAX_TEXT_BYTES + 1));
        assert!(long.parse::<EventPlan>().is_err());
    }

    #[test]
    fn kinds_and_breaches_keep_their_numbers() {
        assert_eq!(ValueKind::ALL.map(ValueKind::code), [1, 2, 3, 4, 5]);
        assert!(ValueKind::ALL.into_iter().all(|kind| ValueKind::from_code(kind.code()) == Some(kind)));
        assert_eq!(Breach::ALL.map(Breach::code), [1, 2, 3]);
        assert!(Breach::ALL.into_iter().all(|breach| Breach::from_code(breach.code()) == Some(breach)));
    }

    fn expected() -> impl Strategy<Value = Expected> {
        let kinds = proptest::sample::subsequence(ValueKind::ALL.to_vec(), 0..4);
        let value = prop_oneof![
            "[a-z\"\\\\, :]{1,8}".prop_filter("not blank", |text| !text.trim().is_empty()).prop_map(Scalar::Text),
            (-1_000..1_000_i32).prop_map(|number| Scalar::Number(f64::from(number) / 8.0)),
            any::<bool>().prop_map(Scalar::Bool),
        ];
        (kinds, any::<bool>(), prop::collection::vec(value, 0..4)).prop_map(|(kinds, required, one_of)| Expected {
            kinds,
            required,
            one_of,
        })
    }

    proptest! {
        #[test]
        fn a_plan_survives_its_lines_and_its_json(
            properties in prop::collection::btree_map("[a-zA-Z_ :\"\\\\,#.]{1,12}", expected(), 0..6)
        ) {
            let plan = EventPlan { properties };
            prop_assume!(plan.check().is_ok());
            let text = plan.to_string();
            prop_assert_eq!(text.parse(), Ok(plan.clone()), "{}", text);
            let json = serde_json::to_string(&plan).unwrap();
            prop_assert_eq!(serde_json::from_str::<EventPlan>(&json).unwrap(), plan);
        }
    }
}
