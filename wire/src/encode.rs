//! Writes the binary form. The tracker's core ships this code to every visitor, so it has no formatting, no
//! intermediate tree and no error path: whatever the types can hold can be written.

use crate::{Batch, Body, Event, FORMAT_VERSION, MAGIC, Who};

/// Field numbers of the header. A number is never given a second meaning.
pub(crate) mod header {
    pub(crate) const WRITE_KEY: u64 = 1;
    pub(crate) const SENT_AT: u64 = 2;
    pub(crate) const VISITOR: u64 = 3;
    pub(crate) const LOAD: u64 = 4;
    pub(crate) const SIGNALS: u64 = 5;
    pub(crate) const TRACKER: u64 = 6;
    pub(crate) const SCREEN_WIDTH: u64 = 7;
    pub(crate) const SCREEN_HEIGHT: u64 = 8;
    pub(crate) const LANGUAGE: u64 = 9;
    pub(crate) const TIME_ZONE: u64 = 10;
    pub(crate) const DROPPED: u64 = 11;
    pub(crate) const SAMPLE: u64 = 12;

    pub(crate) const SIGNAL_GPC: u64 = 1;
    pub(crate) const SIGNAL_DNT: u64 = 2;
}

/// Kinds of records.
pub(crate) mod kind {
    pub(crate) const PAGE: u64 = 1;
    pub(crate) const SNAPSHOT: u64 = 2;
    pub(crate) const TRACK: u64 = 3;
    pub(crate) const IDENTIFY: u64 = 4;
    pub(crate) const GROUP: u64 = 5;
    pub(crate) const ALIAS: u64 = 6;
}

/// Field numbers inside a record: [`VIEW`](field::VIEW) in every kind, the others by kind, in the order of
/// [`Body`]'s fields.
pub(crate) mod field {
    pub(crate) const VIEW: u64 = 1;
    pub(crate) const FIRST: u64 = 2;
    pub(crate) const SECOND: u64 = 3;
    pub(crate) const THIRD: u64 = 4;
    pub(crate) const FOURTH: u64 = 5;
    /// The first of [`Measures`](crate::Measures), which follow one another in their order.
    pub(crate) const MEASURES: u64 = 6;
    /// The last of them.
    pub(crate) const LAST: u64 = MEASURES + crate::Measures::COUNT as u64 - 1;
}

/// Writes a whole batch. Records that are errors have no bytes and are left out.
pub fn encode(batch: &Batch<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode_header(&mut out, batch);
    for event in batch.records.iter().flatten() {
        encode_event(&mut out, event);
    }
    out
}

/// Appends the magic, the version and the header: everything of a batch before its first record.
///
/// A batch is this followed by any number of [`encode_event`]s, so records can be kept as bytes and joined when they
/// are sent; the batch's own records are not looked at.
pub fn encode_header(out: &mut Vec<u8>, batch: &Batch<'_>) {
    let mut fields = Vec::new();
    let (tag, id) = match batch.who {
        Who::Visitor(id) => (header::VISITOR, id),
        Who::Load(id) => (header::LOAD, id),
    };
    text(&mut fields, header::WRITE_KEY, &batch.write_key);
    number(&mut fields, header::SENT_AT, zigzag(batch.sent_at_ms));
    bytes(&mut fields, tag, &id);
    let gpc = if batch.signals.gpc { header::SIGNAL_GPC } else { 0 };
    let dnt = if batch.signals.dnt { header::SIGNAL_DNT } else { 0 };
    known_number(&mut fields, header::SIGNALS, gpc | dnt);
    known_number(&mut fields, header::TRACKER, batch.tracker_version.into());
    known_number(&mut fields, header::SCREEN_WIDTH, batch.device.screen_width.into());
    known_number(&mut fields, header::SCREEN_HEIGHT, batch.device.screen_height.into());
    known_text(&mut fields, header::LANGUAGE, &batch.device.language);
    known_text(&mut fields, header::TIME_ZONE, &batch.device.time_zone);
    known_number(&mut fields, header::DROPPED, batch.dropped.into());
    known_number(&mut fields, header::SAMPLE, batch.sample_pct.into());

    out.extend_from_slice(&MAGIC);
    out.push(FORMAT_VERSION);
    prefixed(out, &fields);
}

/// Appends one record.
pub fn encode_event(out: &mut Vec<u8>, event: &Event<'_>) {
    // Nearly always enough: growing would copy the record several times over in every visitor's browser.
    let mut record = Vec::with_capacity(96 + texts_len(&event.body));
    let kind = match event.body {
        Body::Page { .. } => kind::PAGE,
        Body::Snapshot { .. } => kind::SNAPSHOT,
        Body::Track { .. } => kind::TRACK,
        Body::Identify { .. } => kind::IDENTIFY,
        Body::Group { .. } => kind::GROUP,
        Body::Alias { .. } => kind::ALIAS,
    };
    varint(&mut record, kind);
    record.extend_from_slice(&event.id);
    varint(&mut record, zigzag(event.at_ms));
    if let Some(view) = event.view.as_ref() {
        bytes(&mut record, field::VIEW, view);
    }
    match &event.body {
        Body::Page { url, title, referrer } => {
            text(&mut record, field::FIRST, url);
            known_text(&mut record, field::SECOND, title);
            known_text(&mut record, field::THIRD, referrer);
        }
        Body::Snapshot { revision, engaged_ms, max_scroll_pct, clicks, measures } => {
            number(&mut record, field::FIRST, (*revision).into());
            known_number(&mut record, field::SECOND, (*engaged_ms).into());
            known_number(&mut record, field::THIRD, (*max_scroll_pct).into());
            known_number(&mut record, field::FOURTH, (*clicks).into());
            for (tag, value) in (field::MEASURES..).zip(measures.values()) {
                known_number(&mut record, tag, value.into());
            }
        }
        Body::Track { name: first, properties: second } | Body::Group { group_id: first, traits: second } => {
            text(&mut record, field::FIRST, first);
            known_text(&mut record, field::SECOND, second);
        }
        Body::Identify { user_id: first, traits: second } => {
            known_text(&mut record, field::FIRST, first);
            known_text(&mut record, field::SECOND, second);
        }
        Body::Alias { user_id: first, previous_id: second } => {
            text(&mut record, field::FIRST, first);
            known_text(&mut record, field::SECOND, second);
        }
    }
    prefixed(out, &record);
}

/// How many bytes of text are in a body.
fn texts_len(body: &Body<'_>) -> usize {
    match body {
        Body::Page { url, title, referrer } => url.len() + title.len() + referrer.len(),
        Body::Snapshot { .. } => 0,
        Body::Track { name: first, properties: second }
        | Body::Identify { user_id: first, traits: second }
        | Body::Group { group_id: first, traits: second }
        | Body::Alias { user_id: first, previous_id: second } => first.len() + second.len(),
    }
}

/// Signed to unsigned so that small values of either sign stay short: 0, -1, 1, -2 → 0, 1, 2, 3.
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn prefixed(out: &mut Vec<u8>, payload: &[u8]) {
    varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}

fn bytes(out: &mut Vec<u8>, tag: u64, payload: &[u8]) {
    varint(out, tag);
    prefixed(out, payload);
}

fn text(out: &mut Vec<u8>, tag: u64, value: &str) {
    bytes(out, tag, value.as_bytes());
}

fn number(out: &mut Vec<u8>, tag: u64, value: u64) {
    varint(out, tag);
    // Seven bits a byte, and zero takes one too.
    varint(out, u64::from(value.max(1).ilog2() / 7 + 1));
    varint(out, value);
}

/// A text that a reader takes as empty when it is absent.
fn known_text(out: &mut Vec<u8>, tag: u64, value: &str) {
    if !value.is_empty() {
        text(out, tag, value);
    }
}

/// A number that a reader takes as zero when it is absent.
fn known_number(out: &mut Vec<u8>, tag: u64, value: u64) {
    if value != 0 {
        number(out, tag, value);
    }
}
