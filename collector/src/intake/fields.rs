//! A message as named values: an object of JSON, or the parameters of an address or a form.

use super::screen::{self, Fault};
use super::{EVENT_BYTES, Reason};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The values of one message, screened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(pub(crate) Map<String, Value>);

impl Fields {
    /// A JSON object.
    ///
    /// # Errors
    /// What in it cannot be stored, or [`Reason::Unreadable`] when it is no object.
    pub(crate) fn of_json(raw: &str) -> Result<Fields, Fault> {
        screen::json(raw)?;
        serde_json::from_str(raw).map(Fields).map_err(|error| Fault::new(Reason::Unreadable, error.to_string()))
    }

    /// Parameters, with or without the `?` before them; of those with the same name the first counts.
    ///
    /// # Errors
    /// [`Reason::TooLarge`], [`Reason::BadText`]
    pub(crate) fn of_query(query: &str) -> Result<Fields, Fault> {
        if query.len() > EVENT_BYTES {
            return Err(Fault::new(Reason::TooLarge, format!("event is {} bytes, limit {EVENT_BYTES}", query.len())));
        }
        // The parser writes U+FFFD for what is no UTF-8; somebody may also have sent that very character.
        let sends_it = query.to_ascii_lowercase().contains("%ef%bf%bd");
        let mut map = Map::new();
        for (name, value) in form_urlencoded::parse(query.strip_prefix('?').unwrap_or(query).as_bytes()) {
            if value.contains('\u{fffd}') && !sends_it {
                return Err(Fault::new(Reason::BadText, "text is not valid UTF-8"));
            }
            map.entry(name.into_owned()).or_insert_with(|| Value::String(value.into_owned()));
        }
        Ok(Fields(map))
    }

    /// A value as text: a number as it is written, nothing for what is neither.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        text_of(self.0.get(name)?)
    }

    /// The first of these that is a text.
    pub(crate) fn first(&self, names: &[&str]) -> Option<Cow<'_, str>> {
        names.iter().find_map(|name| self.text(name))
    }

    /// A number, also where it is written as text.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        match self.0.get(name)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Whether it says yes: `true`, `1`, `"1"`, `"true"`; `None` where it says neither yes nor no.
    pub(crate) fn says_yes(&self, name: &str) -> Option<bool> {
        match self.0.get(name)? {
            Value::Bool(yes) => Some(*yes),
            value => match text_of(value)?.as_ref() {
                "1" | "true" => Some(true),
                "0" | "false" => Some(false),
                _ => None,
            },
        }
    }

    /// An object.
    pub(crate) fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name)?.as_object()
    }

    /// An object, or one that is written as text.
    pub(crate) fn object_or_text(&self, name: &str) -> Option<Map<String, Value>> {
        match self.0.get(name)? {
            Value::Object(map) => Some(map.clone()),
            Value::String(text) => serde_json::from_str(text).ok(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        }
    }
}

/// A text or a number, trimmed; `None` when it is empty or something else.
pub(crate) fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(Cow::Borrowed),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Properties as they are stored; `None` when there are none.
///
/// # Errors
/// What in them cannot be stored.
pub(crate) fn properties(map: &Map<String, Value>) -> Result<Option<Box<str>>, Fault> {
    if map.is_empty() {
        return Ok(None);
    }
    let text = serde_json::to_string(map).map_err(|error| Fault::new(Reason::Unreadable, error.to_string()))?;
    screen::object(&text, "properties")
}

/// Properties that are added one by one.
#[derive(Debug, Default)]
pub(crate) struct Properties(pub(crate) Map<String, Value>);

impl Properties {
    /// Adds a text, if there is one.
    pub(crate) fn text(mut self, name: &str, text: Option<Cow<'_, str>>) -> Properties {
        if let Some(text) = text {
            self.0.insert(name.to_owned(), Value::String(text.into_owned()));
        }
        self
    }

    /// Adds a number, or the text that stands where a number should, so that an amount that is none is told instead of
    /// lost.
    pub(crate) fn number(mut self, name: &str, from: &Fields, field: &str) -> Properties {
        let number = match from.0.get(field) {
            Some(Value::Number(number)) => Some(number.clone()),
            // An amount as text keeps its digits.
            _ => from.text(field).and_then(|text| serde_json::from_str(&text).ok()),
        };
        let text = || from.text(field).map(|text| Value::String(text.into_owned()));
        if let Some(value) = number.map(Value::Number).or_else(text) {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    /// Adds anything.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Properties {
        self.0.insert(name.to_owned(), value);
        self
    }

    /// As they are stored.
    ///
    /// # Errors
    /// What in them cannot be stored.
    pub(crate) fn checked(&self) -> Result<Option<Box<str>>, Fault> {
        properties(&self.0)
    }
}
