//! Reads the JSON form, which the loader writes where the core cannot run.
//!
//! The body is first cut into header values and records by matching brackets and quotes alone; only then is each
//! piece parsed. So whatever is wrong inside a record (bytes that are no UTF-8, half a surrogate pair, broken JSON)
//! stays inside it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::decode::{percent, share};
use crate::{
    Batch, Body, DecodeError, Device, Event, FORMAT_VERSION, Fault, Id, MAX_RECORDS, Measures, RecordError, Signals,
    Who,
};

/// Reads a batch whose `{` is at `start`.
pub(crate) fn decode(body: &[u8], start: usize) -> Result<Batch<'_>, DecodeError> {
    let stop = |at, expected| DecodeError { at, expected };
    let mut version = None;
    let mut write_key = None;
    let mut sent_at_ms = None;
    let mut who = None;
    let mut signals = Signals::default();
    let mut tracker_version = 0;
    let mut dropped = 0;
    let mut sample_pct = 0;
    let mut device = Device::default();
    let mut records = Vec::new();

    let mut scanner = Scanner { body, at: start };
    let mut first = true;
    while let Some(name) = scanner.next_member(&mut first)? {
        let value_at = scanner.at;
        let value = scanner.value()?;
        match name {
            b"v" => version = number(value),
            b"key" => write_key = text(value).ok(),
            b"sent" => sent_at_ms = number(value),
            b"visitor" => who = text(value).ok().and_then(|text| parse_id(&text)).map(Who::Visitor).or(who),
            b"load" => who = text(value).ok().and_then(|text| parse_id(&text)).map(Who::Load).or(who),
            b"gpc" => signals.gpc = value == b"true",
            b"dnt" => signals.dnt = value == b"true",
            b"tracker" => tracker_version = small(value),
            b"width" => device.screen_width = small(value),
            b"height" => device.screen_height = small(value),
            b"language" => device.language = text(value).unwrap_or_default(),
            b"time_zone" => device.time_zone = text(value).unwrap_or_default(),
            b"dropped" => dropped = number(value).and_then(|value| value.try_into().ok()).unwrap_or(0),
            b"sample" => sample_pct = number(value).and_then(|value| value.try_into().ok()).map_or(0, share),
            b"events" => {
                let mut items = Scanner { body, at: value_at };
                if body.get(value_at) != Some(&b'[') {
                    return Err(stop(value_at, "an array of events"));
                }
                let mut first = true;
                while items.next_item(&mut first)? {
                    if records.len() == MAX_RECORDS {
                        return Err(stop(items.at, "at most 10,000 records"));
                    }
                    records.push(read_record(items.value()?));
                }
            }
            _ => {}
        }
    }
    scanner.skip_space();
    if scanner.at != body.len() {
        return Err(stop(scanner.at, "nothing after the batch"));
    }
    if version != Some(FORMAT_VERSION.into()) {
        return Err(stop(start, "a batch with `\"v\":1`"));
    }
    Ok(Batch {
        write_key: write_key.ok_or(stop(start, "a batch with the write key as `key`"))?,
        sent_at_ms: sent_at_ms.ok_or(stop(start, "a batch with the time it was sent as `sent`"))?,
        who: who.ok_or(stop(start, "a batch with a `visitor` or `load` id"))?,
        signals,
        tracker_version,
        dropped,
        sample_pct,
        device,
        records,
    })
}

/// A record's members, unparsed: each is read with the fault that fits it.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    view: Option<&'a RawValue>,
    #[serde(borrow, default)]
    url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    title: Option<&'a RawValue>,
    #[serde(borrow, default)]
    referrer: Option<&'a RawValue>,
    #[serde(borrow, default)]
    revision: Option<&'a RawValue>,
    #[serde(borrow, default)]
    engaged_ms: Option<&'a RawValue>,
    #[serde(borrow, default)]
    max_scroll_pct: Option<&'a RawValue>,
    #[serde(borrow, default)]
    clicks: Option<&'a RawValue>,
    #[serde(borrow, default)]
    rage_clicks: Option<&'a RawValue>,
    #[serde(borrow, default)]
    dead_clicks: Option<&'a RawValue>,
    #[serde(borrow, default)]
    errors: Option<&'a RawValue>,
    #[serde(borrow, default)]
    copies: Option<&'a RawValue>,
    #[serde(borrow, default)]
    fields: Option<&'a RawValue>,
    #[serde(borrow, default)]
    lcp_ms: Option<&'a RawValue>,
    #[serde(borrow, default)]
    fcp_ms: Option<&'a RawValue>,
    #[serde(borrow, default)]
    ttfb_ms: Option<&'a RawValue>,
    #[serde(borrow, default)]
    inp_ms: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cls_millis: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    properties: Option<&'a RawValue>,
    #[serde(borrow, default)]
    traits: Option<&'a RawValue>,
    #[serde(borrow, default)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    group_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    previous_id: Option<&'a RawValue>,
}

fn read_record(record: &[u8]) -> Result<Event<'_>, RecordError> {
    let Ok(whole) = std::str::from_utf8(record) else {
        // Only to name the event in the rejection; its text is lost.
        let repaired = String::from_utf8_lossy(record);
        let id = serde_json::from_str::<Record<'_>>(&repaired).ok().and_then(|record| id(record.id).ok().flatten());
        return Err(RecordError { id, fault: Fault::BadText });
    };
    let Ok(record) = serde_json::from_str::<Record<'_>>(whole) else {
        return Err(RecordError { id: None, fault: Fault::Malformed });
    };
    let event_id = id(record.id).ok().flatten();
    read_event(&record).map_err(|fault| RecordError { id: event_id, fault })
}

fn read_event<'a>(record: &Record<'a>) -> Result<Event<'a>, Fault> {
    let kind = required(record.kind)?;
    let body = match kind.as_ref() {
        "page" => Body::Page {
            url: required(record.url)?,
            title: optional(record.title)?,
            referrer: optional(record.referrer)?,
        },
        "snapshot" => {
            id(record.view)?.ok_or(Fault::Malformed)?;
            record.revision.ok_or(Fault::Malformed)?;
            Body::Snapshot {
                revision: count(record.revision)?,
                engaged_ms: count(record.engaged_ms)?,
                max_scroll_pct: percent(count(record.max_scroll_pct)?)?,
                clicks: count(record.clicks)?,
                measures: Measures {
                    rage_clicks: count(record.rage_clicks)?,
                    dead_clicks: count(record.dead_clicks)?,
                    errors: count(record.errors)?,
                    copies: count(record.copies)?,
                    fields: count(record.fields)?,
                    lcp_ms: count(record.lcp_ms)?,
                    fcp_ms: count(record.fcp_ms)?,
                    ttfb_ms: count(record.ttfb_ms)?,
                    inp_ms: count(record.inp_ms)?,
                    cls_millis: count(record.cls_millis)?,
                },
            }
        }
        "track" => Body::Track { name: required(record.name)?, properties: object(record.properties)? },
        "identify" => Body::Identify { user_id: optional(record.user_id)?, traits: object(record.traits)? },
        "group" => Body::Group { group_id: required(record.group_id)?, traits: object(record.traits)? },
        "alias" => Body::Alias { user_id: required(record.user_id)?, previous_id: optional(record.previous_id)? },
        _ => return Err(Fault::UnknownKind),
    };
    Ok(Event {
        id: id(record.id)?.ok_or(Fault::Malformed)?,
        at_ms: record.at.and_then(|at| number(at.get().as_bytes())).ok_or(Fault::Malformed)?,
        view: id(record.view)?,
        body,
    })
}

fn required<'a>(value: Option<&'a RawValue>) -> Result<Cow<'a, str>, Fault> {
    text(value.ok_or(Fault::Malformed)?.get().as_bytes())
}

fn optional<'a>(value: Option<&'a RawValue>) -> Result<Cow<'a, str>, Fault> {
    value.map_or(Ok(Cow::Borrowed("")), |value| text(value.get().as_bytes()))
}

/// The text of an object, which may also stand as a string: a tracker that took the text when it was called need not
/// parse it again. The reader of [`Body::Track`] gets the same from either form.
fn object<'a>(value: Option<&'a RawValue>) -> Result<Cow<'a, str>, Fault> {
    match value.map(RawValue::get) {
        None => Ok(Cow::Borrowed("")),
        Some(text) if text.starts_with('{') => Ok(Cow::Borrowed(text)),
        Some(string) if string.starts_with('"') => text(string.as_bytes()),
        Some(_) => Err(Fault::Malformed),
    }
}

fn count(value: Option<&RawValue>) -> Result<u32, Fault> {
    let Some(value) = value else { return Ok(0) };
    number(value.get().as_bytes()).and_then(|value| value.try_into().ok()).ok_or(Fault::Malformed)
}

fn id(value: Option<&RawValue>) -> Result<Option<Id>, Fault> {
    let Some(value) = value else { return Ok(None) };
    let text = text(value.get().as_bytes())?;
    if text.is_empty() { Ok(None) } else { parse_id(&text).map(Some).ok_or(Fault::Malformed) }
}

/// A uuid as 32 hexadecimal digits, with or without its hyphens.
fn parse_id(text: &str) -> Option<Id> {
    let mut id = Id::default();
    let mut digits = text.bytes().filter(|byte| *byte != b'-').map(|byte| char::from(byte).to_digit(16));
    for byte in &mut id {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = (high << 4 | low) as u8;
    }
    digits.next().is_none().then_some(id)
}

/// A whole number; a fraction, as a browser's clock may have one, is cut off.
fn number(value: &[u8]) -> Option<i64> {
    serde_json::from_slice::<i64>(value).ok().or_else(|| {
        let value = serde_json::from_slice::<f64>(value).ok()?;
        // Beyond this a double cannot name each whole number, and no time or count is there.
        (value.abs() < 9e15).then_some(value as i64)
    })
}

fn small(value: &[u8]) -> u16 {
    number(value).and_then(|value| value.try_into().ok()).unwrap_or(0)
}

fn text(value: &[u8]) -> Result<Cow<'_, str>, Fault> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    if value.first() != Some(&b'"') {
        return Err(Fault::Malformed);
    }
    serde_json::from_slice::<Text<'_>>(value).map(|text| text.0).map_err(|_| Fault::BadText)
}

/// Finds where values begin and end without looking into them. Iterative, so that depth costs nothing.
struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn expected<T>(&self, expected: &'static str) -> Result<T, DecodeError> {
        Err(DecodeError { at: self.at, expected })
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Steps into or on within an object or array: past its opening bracket at first, past a comma later. False at
    /// its closing bracket, which is passed too.
    fn step(&mut self, first: &mut bool, close: u8, expected: &'static str) -> Result<bool, DecodeError> {
        if *first {
            self.at += 1;
        }
        self.skip_space();
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                return Ok(false);
            }
            Some(b',') if !*first => self.at += 1,
            Some(_) if *first => {}
            _ => return self.expected(expected),
        }
        *first = false;
        self.skip_space();
        Ok(true)
    }

    /// The next member's name without its quotes; afterwards the scanner stands at the value.
    fn next_member(&mut self, first: &mut bool) -> Result<Option<&'a [u8]>, DecodeError> {
        if !self.step(first, b'}', "`,` or `}`")? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return self.expected("a member's name");
        }
        let name = self.value()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.expected("`:`");
        }
        self.at += 1;
        self.skip_space();
        Ok(Some(name.get(1..name.len().saturating_sub(1)).unwrap_or_default()))
    }

    /// True when there is another item; the scanner then stands at it.
    fn next_item(&mut self, first: &mut bool) -> Result<bool, DecodeError> {
        self.step(first, b']', "`,` or `]`")
    }

    /// The bytes of the value the scanner stands at; afterwards it stands behind them.
    fn value(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(b',' | b'}' | b']') if depth == 0 => break,
                Some(byte) if depth == 0 && byte.is_ascii_whitespace() => break,
                Some(_) => {
                    self.at += 1;
                    if depth == 0 {
                        continue;
                    }
                }
                None if depth == 0 => break,
                None => return self.expected("a closing bracket"),
            }
            if depth == 0 {
                break;
            }
        }
        match self.body.get(start..self.at) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => self.expected("a value"),
        }
    }

    fn string(&mut self) -> Result<(), DecodeError> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return self.expected("a closing quote"),
            }
        }
    }
}
