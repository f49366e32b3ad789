//! Reads either form. The bytes come from anywhere: nothing here panics, and nothing is allocated for a length that
//! is only claimed.

use std::borrow::Cow;

use crate::encode::{field, header, kind};
use crate::{Batch, Body, DecodeError, Device, Event, FORMAT_VERSION, Fault, Id, MAGIC, MAX_RECORDS, Measures};
use crate::{RecordError, Signals, Who};

/// Reads a batch of either form; text is borrowed from `body` wherever it can be.
///
/// # Errors
/// Only when the batch as a whole cannot be read: neither form, another format version, a header that is cut off or
/// lacks the write key, the time or the visitor, or more than [`MAX_RECORDS`] records. A record that cannot be read
/// is an `Err` in [`Batch::records`].
pub fn decode(body: &[u8]) -> Result<Batch<'_>, DecodeError> {
    if let Some(rest) = body.strip_prefix(&MAGIC) {
        return binary(body, rest);
    }
    #[cfg(feature = "json")]
    {
        let start = body.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if body.get(start) == Some(&b'{') {
            return crate::json::decode(body, start);
        }
        Err(DecodeError { at: start, expected: "a batch: the bytes `SEG`, or `{`" })
    }
    #[cfg(not(feature = "json"))]
    Err(DecodeError { at: 0, expected: "a batch: the bytes `SEG`" })
}

fn binary<'a>(body: &'a [u8], rest: &'a [u8]) -> Result<Batch<'a>, DecodeError> {
    let stop = |left: &[u8], expected| DecodeError { at: body.len() - left.len(), expected };
    let mut reader = Reader(rest);
    if reader.byte() != Some(FORMAT_VERSION) {
        return Err(stop(rest, "format version 1"));
    }
    let before = reader.0;
    let fields = reader.prefixed().ok_or_else(|| stop(before, "a header of the length it claims"))?;
    let mut batch = read_header(fields).map_err(|expected| stop(reader.0, expected))?;

    while !reader.0.is_empty() {
        if batch.records.len() == MAX_RECORDS {
            return Err(stop(reader.0, "at most 10,000 records"));
        }
        match reader.prefixed() {
            Some(record) => batch.records.push(read_record(record)),
            None => {
                // The body was cut off: what came before stands, and the rest is one event that is lost.
                let mut cut = Reader(reader.0);
                let id = cut.varint().and_then(|_| cut.varint()).and_then(|_| cut.id());
                batch.records.push(Err(RecordError { id, fault: Fault::Malformed }));
                break;
            }
        }
    }
    Ok(batch)
}

fn read_header(fields: &[u8]) -> Result<Batch<'_>, &'static str> {
    let mut write_key = None;
    let mut sent_at_ms = None;
    let mut who = None;
    let mut signals = Signals::default();
    let mut tracker_version = 0;
    let mut dropped = 0;
    let mut sample_pct = 0;
    let mut device = Device::default();

    let mut reader = Reader(fields);
    while !reader.0.is_empty() {
        let (tag, value) = reader.field().ok_or("header fields of the lengths they claim")?;
        match tag {
            header::WRITE_KEY => write_key = std::str::from_utf8(value).ok(),
            header::SENT_AT => sent_at_ms = as_number(value).map(unzigzag),
            header::VISITOR => who = as_id(value).map(Who::Visitor),
            header::LOAD => who = as_id(value).map(Who::Load),
            header::SIGNALS => {
                let bits = as_number(value).unwrap_or(0);
                signals = Signals { gpc: bits & header::SIGNAL_GPC != 0, dnt: bits & header::SIGNAL_DNT != 0 };
            }
            // What only describes the device is not worth losing a batch for: unreadable is unknown.
            header::TRACKER => tracker_version = as_u16(value),
            header::SCREEN_WIDTH => device.screen_width = as_u16(value),
            header::SCREEN_HEIGHT => device.screen_height = as_u16(value),
            header::LANGUAGE => device.language = Cow::Borrowed(std::str::from_utf8(value).unwrap_or("")),
            header::TIME_ZONE => device.time_zone = Cow::Borrowed(std::str::from_utf8(value).unwrap_or("")),
            header::DROPPED => dropped = as_u32(value).unwrap_or(0),
            header::SAMPLE => sample_pct = as_u32(value).map_or(0, share),
            _ => {}
        }
    }
    Ok(Batch {
        write_key: Cow::Borrowed(write_key.ok_or("a header with the write key")?),
        sent_at_ms: sent_at_ms.ok_or("a header with the time it was sent")?,
        who: who.ok_or("a header with a visitor or load id")?,
        signals,
        tracker_version,
        dropped,
        sample_pct,
        device,
        records: Vec::new(),
    })
}

fn read_record(record: &[u8]) -> Result<Event<'_>, RecordError> {
    let mut reader = Reader(record);
    let kind = reader.varint();
    let id = kind.and_then(|_| reader.id());
    let fail = |fault| RecordError { id, fault };
    let (Some(kind), Some(event_id)) = (kind, id) else { return Err(fail(Fault::Malformed)) };
    // Before anything of a kind's own shape is looked at: a newer kind is no malformed old one.
    if !(kind::PAGE..=kind::ALIAS).contains(&kind) {
        return Err(fail(Fault::UnknownKind));
    }
    let at_ms = reader.varint().map(unzigzag).ok_or(fail(Fault::Malformed))?;

    let mut view = None;
    let mut values: Fields<'_> = [None; FIELDS];
    while !reader.0.is_empty() {
        let (tag, value) = reader.field().ok_or(fail(Fault::Malformed))?;
        match tag {
            field::VIEW => view = Some(as_id(value).ok_or(fail(Fault::Malformed))?),
            field::FIRST..=field::LAST => values[(tag - field::FIRST) as usize] = Some(value),
            _ => {}
        }
    }
    let body = read_body(kind, view, values).map_err(fail)?;
    Ok(Event { id: event_id, at_ms, view, body })
}

/// How many fields a record can have beside its view's: four of its kind's own, and the measures.
const FIELDS: usize = 4 + Measures::COUNT;

/// A record's fields from [`field::FIRST`] on, unread.
type Fields<'a> = [Option<&'a [u8]>; FIELDS];

fn read_body(kind: u64, view: Option<Id>, fields: Fields<'_>) -> Result<Body<'_>, Fault> {
    let [first, second, third, fourth, measures @ ..] = fields;
    Ok(match kind {
        kind::PAGE => Body::Page {
            url: as_text(first.ok_or(Fault::Malformed)?)?,
            title: text_or_empty(second)?,
            referrer: text_or_empty(third)?,
        },
        kind::SNAPSHOT => {
            view.ok_or(Fault::Malformed)?;
            Body::Snapshot {
                revision: first.and_then(as_u32).ok_or(Fault::Malformed)?,
                engaged_ms: number_or_zero(second)?,
                max_scroll_pct: percent(number_or_zero(third)?)?,
                clicks: number_or_zero(fourth)?,
                measures: read_measures(measures)?,
            }
        }
        kind::TRACK => {
            Body::Track { name: as_text(first.ok_or(Fault::Malformed)?)?, properties: text_or_empty(second)? }
        }
        kind::IDENTIFY => Body::Identify { user_id: text_or_empty(first)?, traits: text_or_empty(second)? },
        kind::GROUP => {
            Body::Group { group_id: as_text(first.ok_or(Fault::Malformed)?)?, traits: text_or_empty(second)? }
        }
        kind::ALIAS => {
            Body::Alias { user_id: as_text(first.ok_or(Fault::Malformed)?)?, previous_id: text_or_empty(second)? }
        }
        _ => return Err(Fault::UnknownKind),
    })
}

fn read_measures(fields: [Option<&[u8]>; Measures::COUNT]) -> Result<Measures, Fault> {
    let mut values = [0; Measures::COUNT];
    for (value, field) in values.iter_mut().zip(fields) {
        *value = number_or_zero(field)?;
    }
    Ok(values.into())
}

/// A percentage, or what is wrong with it.
pub(crate) fn percent(value: u32) -> Result<u8, Fault> {
    u8::try_from(value).ok().filter(|value| *value <= 100).ok_or(Fault::Malformed)
}

/// A share that is known and smaller than the whole, in percent; else 0.
pub(crate) fn share(value: u32) -> u8 {
    percent(value).ok().filter(|value| *value < 100).unwrap_or(0)
}

fn as_text(value: &[u8]) -> Result<Cow<'_, str>, Fault> {
    std::str::from_utf8(value).map(Cow::Borrowed).map_err(|_| Fault::BadText)
}

fn text_or_empty(value: Option<&[u8]>) -> Result<Cow<'_, str>, Fault> {
    value.map_or(Ok(Cow::Borrowed("")), as_text)
}

/// A number fills its field: bytes after it would be a shape this version does not know.
fn as_number(value: &[u8]) -> Option<u64> {
    let mut reader = Reader(value);
    reader.varint().filter(|_| reader.0.is_empty())
}

fn as_u32(value: &[u8]) -> Option<u32> {
    as_number(value).and_then(|value| value.try_into().ok())
}

fn as_u16(value: &[u8]) -> u16 {
    as_number(value).and_then(|value| value.try_into().ok()).unwrap_or(0)
}

fn number_or_zero(value: Option<&[u8]>) -> Result<u32, Fault> {
    value.map_or(Some(0), as_u32).ok_or(Fault::Malformed)
}

fn as_id(value: &[u8]) -> Option<Id> {
    value.try_into().ok()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// What is left to read. Every method takes from the front, or takes nothing and says `None`.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut reader = Reader(self.0);
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = reader.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if (bits << shift) >> shift != bits {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                self.0 = reader.0;
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn prefixed(&mut self) -> Option<&'a [u8]> {
        let mut reader = Reader(self.0);
        let length = reader.varint()?;
        let taken = reader.take(length)?;
        self.0 = reader.0;
        Some(taken)
    }

    pub(crate) fn field(&mut self) -> Option<(u64, &'a [u8])> {
        let tag = self.varint()?;
        Some((tag, self.prefixed()?))
    }

    pub(crate) fn id(&mut self) -> Option<Id> {
        self.take(16).and_then(as_id)
    }
}
