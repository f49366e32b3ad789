//! The border as JavaScript meets it: real functions, a real clock, a real storage.

use js_sys::{Array, Promise, Reflect};
use wasm_bindgen_test::wasm_bindgen_test as test;
use wire::{Fault, decode};

use super::*;

/// 32 digits; the time inside is of November 2026.
const VIEW: &str = "019abcdef0007000800000000000000a";
const LOAD: &str = "019abcdef0007000800000000000000b";
const EVENT: &str = "019abcdef0007000800000000000000c";

/// Where the core of a page keeps what is not delivered.
const SLOT: &str = "segments.queue.test";

/// What the core has given to its two functions so far.
struct Page {
    posted: Array,
    beaconed: Array,
}

impl Page {
    /// A page on which the core is started anew.
    fn open() -> Page {
        Page::keeping_in(SLOT)
    }

    fn keeping_in(slot: &str) -> Page {
        let page = Page { posted: Array::new(), beaconed: Array::new() };
        start_with(slot, kept_in(&page.posted), kept_in(&page.beaconed));
        page
    }

    /// Sends what is queued, and gives the body that came of it.
    fn flushed(&self) -> Vec<u8> {
        let before = self.posted.length();
        flush();
        assert_eq!(self.posted.length(), before + 1, "one post");
        bytes(self.posted.get(before))
    }
}

/// A function that keeps the body that it is called with, and says that it could.
fn kept_in(all: &Array) -> Function {
    let make = Function::new_with_args("all", "return (body) => all.push(body)");
    make.call1(&JsValue::UNDEFINED, all).expect("a function").unchecked_into()
}

fn start_with(slot: &str, post: Function, beacon: Function) {
    let config = format!("{slot}\u{1f}wk_1\u{1f}de-CH\u{1f}Europe/Zurich\u{1f}50");
    start(config.into(), 1, 1440, 900, post, beacon);
}

fn bytes(body: JsValue) -> Vec<u8> {
    body.unchecked_into::<Uint8Array>().to_vec()
}

/// An event as the loader's object gives its values.
fn told(values: &[&str]) {
    events((values.join("\u{1f}") + "\u{1e}").into());
}

fn id(text: &str) -> Id {
    parse_id(text).expect("32 digits")
}

/// The browser's own storage, with what another test has left taken out.
fn storage() -> Storage {
    let storage: Storage = Reflect::get(&js_sys::global(), &"localStorage".into()).expect("a storage").unchecked_into();
    storage.remove_item(SLOT).expect("room");
    storage
}

/// How many characters are kept in a place.
fn kept(storage: &Storage, slot: &str) -> usize {
    storage.get_item(slot).expect("a storage").map_or(0, |kept| kept.len())
}

fn nowhere() -> Storage {
    JsValue::UNDEFINED.unchecked_into()
}

#[test]
fn what_the_loader_tells_is_a_batch_that_the_collector_reads() {
    let page = Page::open();
    who(1, LOAD.into(), nowhere());
    told(&[
        "page",
        VIEW,
        "1795478400123",
        "",
        "https://shop.example/ü?q=1",
        "https://ref.example/",
        "Schuhe \u{1f} 👟",
    ]);
    told(&["track", EVENT, "0", VIEW, r#"{"total":12.5}"#, "Order Completed"]);
    told(&["identify", EVENT, "0", VIEW, "", "u1"]);
    told(&["group", EVENT, "0", VIEW, r#"{"size":3}"#, "g1"]);
    told(&["alias", EVENT, "0", VIEW, "old", "new"]);
    let body = page.flushed();
    let batch = decode(&body).expect("a batch");
    assert_eq!((&*batch.write_key, batch.who), ("wk_1", Who::Load(id(LOAD))));
    assert_eq!((batch.signals.gpc, batch.signals.dnt, batch.sample_pct), (true, false, 50));
    let device =
        Device { screen_width: 1440, screen_height: 900, language: "de-CH".into(), time_zone: "Europe/Zurich".into() };
    assert_eq!(batch.device, device);
    assert!((batch.sent_at_ms - Date::now() as i64).abs() < 60_000, "the browser's clock: {}", batch.sent_at_ms);
    let events: Vec<Event<'_>> = batch.records.into_iter().map(|record| record.expect("readable")).collect();
    assert_eq!((events[0].id, events[0].view, events[0].at_ms), (id(VIEW), None, 1_795_478_400_123));
    assert!(events[1..].iter().all(|event| event.id == id(EVENT) && event.view == Some(id(VIEW))));
    let bodies: Vec<Body<'_>> = events.into_iter().map(|event| event.body).collect();
    let (url, referrer) = ("https://shop.example/ü?q=1".into(), "https://ref.example/".into());
    assert_eq!(
        bodies,
        [
            // The separator is the visitor's own here, and does no harm in what comes last.
            Body::Page { url, referrer, title: "Schuhe \u{1f} 👟".into() },
            Body::Track { name: "Order Completed".into(), properties: r#"{"total":12.5}"#.into() },
            Body::Identify { user_id: "u1".into(), traits: "".into() },
            Body::Group { group_id: "g1".into(), traits: r#"{"size":3}"#.into() },
            Body::Alias { user_id: "new".into(), previous_id: "old".into() },
        ]
    );
}

#[test]
fn what_makes_no_sense_is_left_out_and_harms_nothing() {
    let page = Page::open();
    who(1, LOAD.into(), nowhere());
    events(JsValue::NULL);
    events(7.into());
    events("\u{1e}\u{1f}\u{1e}".into());
    told(&["page", "no id", "0", "", "https://shop.example/"]);
    told(&["dance", EVENT, "0", VIEW, "", "x"]);
    signal(99, f64::NAN, f64::INFINITY);
    snapshot(JsValue::UNDEFINED, f64::NEG_INFINITY);
    told(&["track"]);
    // Half a surrogate pair is no text; what arrives is a replacement character.
    let half = js_sys::JsString::from_char_code(&[0xd800]);
    let values: js_sys::JsString = format!("track\u{1f}{EVENT}\u{1f}0\u{1f}\u{1f}\u{1f}").into();
    events(values.concat(&half).into());
    let body = page.flushed();
    let records = decode(&body).expect("a batch").records;
    let names: Vec<_> = records.iter().map(|record| record.as_ref().map(|event| &event.body)).collect();
    assert_eq!(names, [Ok(&Body::Track { name: "\u{fffd}".into(), properties: "".into() })], "{:?}", Fault::BadText);
}

#[test]
fn a_post_that_failed_is_made_again_and_an_answer_ends_it() {
    let page = Page::open();
    who(1, LOAD.into(), nowhere());
    told(&["track", EVENT, "0", "", "", "Signed Up"]);
    let first = page.flushed();
    flush();
    assert_eq!(page.posted.length(), 1, "one at a time");
    answer(503, 1.0, 0.0);
    let again = page.flushed();
    let records = |body: &[u8]| format!("{:?}", decode(body).expect("a batch").records);
    assert_eq!(records(&first), records(&again));
    answer(200, 0.0, 0.0);
    flush();
    assert_eq!(page.posted.length(), 2, "nothing is left");
    let state: Array = status().unchecked_into();
    assert_eq!((state.get(0), state.get(1)), (0.into(), 0.into()), "queued, dropped");
}

#[test]
async fn what_happened_is_posted_by_itself() {
    // The post is the promise's end: nothing to wait for but the core.
    let body = Promise::new(&mut |posted, _| {
        let ignore = Function::new_no_args("");
        start_with(SLOT, posted, ignore);
        who(1, LOAD.into(), nowhere());
        told(&["track", EVENT, "0", "", "", "Signed Up"]);
    });
    let body = bytes(js_sys::futures::JsFuture::from(body).await.expect("a body"));
    assert_eq!(decode(&body).expect("a batch").records.len(), 1);
}

#[test]
fn what_a_visitor_did_outlives_the_page_in_the_browsers_storage() {
    let storage = storage();
    let page = Page::open();
    who(2, LOAD.into(), storage.clone());
    // Stored ids are of the last days; this one is minted now.
    let now = format!("{:012x}7000800000000000000c", Date::now() as u64);
    told(&["track", &now, "0", "", "", "Away"]);
    leave(0);
    assert_eq!(page.beaconed.length(), 1, "a beacon is tried");
    assert!(kept(&storage, SLOT) > 0, "and nobody heard of it");

    let own = "segments.queue.next";
    let next = Page::keeping_in(own);
    who(2, LOAD.into(), storage.clone());
    assert_eq!(adopt(SLOT.into(), 60_000.0), 0);
    assert!(kept(&storage, SLOT) > 0, "a page that wrote a moment ago may still be there");
    assert_eq!(adopt(SLOT.into(), -1.0), 1);
    assert_eq!(kept(&storage, SLOT), 0, "it is this page's now");
    assert!(kept(&storage, own) > 0);
    let body = next.flushed();
    let batch = decode(&body).expect("a batch");
    assert_eq!(batch.who, Who::Visitor(id(LOAD)));
    assert_eq!(batch.records[0].as_ref().map(|event| event.id), Ok(id(&now)));
    answer(200, 0.0, 0.0);
    assert_eq!(kept(&storage, own), 0, "answered is forgotten");
}

#[test]
fn without_consent_nothing_is_kept_and_nothing_sent() {
    let storage = storage();
    let page = Page::open();
    told(&["track", EVENT, "0", "", "", "Before anybody is known"]);
    who(1, LOAD.into(), nowhere());
    told(&["track", EVENT, "0", "", "", "Measured"]);
    leave(0);
    assert_eq!(kept(&storage, SLOT), 0, "measured is not stored");
    told(&["track", EVENT, "0", "", "", "Last"]);
    who(0, LOAD.into(), nowhere());
    flush();
    leave(0);
    assert_eq!((page.posted.length(), page.beaconed.length()), (0, 1));
    let body = bytes(page.beaconed.get(0));
    let records = decode(&body).expect("a batch").records;
    assert_eq!(records.len(), 1, "the beacon of the first leaving: {records:?}");
}
