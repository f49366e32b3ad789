//! What trackers say: ids, events and batches of the wire format.

use serde_json::Value;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;
use wire::{Batch, Body, Device, Event, Id, Measures, Signals, Who};

/// This machine's clock, in ms since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a clock before the year 292 million")
}

/// A new uuid v7 of a moment.
pub fn mint(at_ms: i64) -> Id {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static RANDOM: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut id = [0; 16];
    id[8..].copy_from_slice(&RANDOM.hash_one(n).to_be_bytes());
    id[..6].copy_from_slice(&at_ms.to_be_bytes()[2..]);
    // Ids of one millisecond keep their order.
    id[6] = 0x70 | ((n >> 8) as u8 & 0x0f);
    id[7] = n as u8;
    id[8] = 0x80 | (id[8] & 0x3f);
    id
}

/// The id of a visitor with a name: the same in every run.
pub fn visitor_id(name: &str) -> Id {
    let mut id = [0x5e; 16];
    let bytes = name.as_bytes();
    assert!(bytes.len() <= 14, "a visitor's name has at most 14 bytes");
    id[..bytes.len()].copy_from_slice(bytes);
    id
}

/// An id as it is written in JSON and in the database.
pub fn written(id: Id) -> String {
    Uuid::from_bytes(id).to_string()
}

/// A page view.
pub fn page(at_ms: i64, url: &str) -> Event<'static> {
    page_from(at_ms, url, "")
}

/// A page view that was come to from somewhere.
pub fn page_from(at_ms: i64, url: &str, referrer: &str) -> Event<'static> {
    let body = Body::Page {
        url: url.to_owned().into(),
        title: format!("Title of {url}").into(),
        referrer: referrer.to_owned().into(),
    };
    Event { id: mint(at_ms), at_ms, view: None, body }
}

/// A named event; `properties` that are null are none.
pub fn track(at_ms: i64, name: &str, properties: Value) -> Event<'static> {
    let properties = if properties.is_null() { String::new() } else { properties.to_string() };
    Event {
        id: mint(at_ms),
        at_ms,
        view: None,
        body: Body::Track { name: name.to_owned().into(), properties: properties.into() },
    }
}

/// A visitor says who they are.
pub fn identify(at_ms: i64, user_id: &str, traits: Value) -> Event<'static> {
    let body = Body::Identify { user_id: user_id.to_owned().into(), traits: traits.to_string().into() };
    Event { id: mint(at_ms), at_ms, view: None, body }
}

/// What was done on a page view so far.
pub fn snapshot(at_ms: i64, view: Id, revision: u32, engaged_ms: u32) -> Event<'static> {
    measured(at_ms, view, revision, engaged_ms, Measures::default())
}

/// What was done on a page view so far, with what was counted and timed.
pub fn measured(at_ms: i64, view: Id, revision: u32, engaged_ms: u32, measures: Measures) -> Event<'static> {
    let body = Body::Snapshot { revision, engaged_ms, max_scroll_pct: 50, clicks: revision, measures };
    Event { id: mint(at_ms), at_ms, view: Some(view), body }
}

/// A batch as the core sends it now.
pub fn batch(write_key: &str, who: Who, events: &[Event<'static>]) -> Vec<u8> {
    batch_at(now_ms(), write_key, who, events)
}

/// A batch from a browser whose clock says `sent_at_ms`.
pub fn batch_at(sent_at_ms: i64, write_key: &str, who: Who, events: &[Event<'static>]) -> Vec<u8> {
    wire::encode(&Batch {
        write_key: write_key.to_owned().into(),
        sent_at_ms,
        who,
        signals: Signals::default(),
        tracker_version: 1,
        dropped: 0,
        sample_pct: 0,
        device: Device {
            screen_width: 1440,
            screen_height: 900,
            language: "de-CH".into(),
            time_zone: "Europe/Zurich".into(),
        },
        records: events.iter().cloned().map(Ok).collect(),
    })
}
