//! What JavaScript calls, and what the core asks of the browser: time, timers, storage, and one function to post.
//!
//! What comes in is numbers and texts, which is kilobytes smaller than deserialising objects; the numbers mean what
//! `loader/main.js` says. What goes out as an object goes through serde-wasm-bindgen.

use std::cell::RefCell;

use gloo::timers::callback::Timeout;
use js_sys::{Date, Function, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::Storage;
use wire::{Batch, Body, Device, Event, Id, Measures, Signals, Who};

use crate::engagement::Engagement;
use crate::queue::{Answer, Queue, is_leased};

/// The release, as every batch tells it.
const TRACKER_VERSION: u16 = 1;
/// Events within this many ms share a post.
const GATHER_MS: u32 = 300;
/// Between the parts of a text: the control character that is meant for it.
const SEPARATOR: u8 = 0x1f;
/// Behind each of several such texts.
const END: u8 = 0x1e;
/// Where the loader keeps the visitor.
const VISITOR: &str = "segments.visitor";

thread_local! {
    static CORE: RefCell<Option<Core>> = const { RefCell::new(None) };
}

struct Core {
    /// Write key, language, time zone, sample.
    config: String,
    /// Where this page keeps undelivered events in the browser's storage.
    slot: String,
    signals: Signals,
    screen_width: u16,
    screen_height: u16,
    post: Function,
    beacon: Function,
    who: Option<Who>,
    view: Option<Id>,
    queue: Queue,
    engagement: Engagement,
    timer: Option<Timeout>,
    storage: Option<Storage>,
    /// Something of this page was put into the browser's storage.
    stored: bool,
}

/// Runs `f` on the core. Not at all where it is not started, or where a call comes in while another one runs, which
/// nothing of ours does.
fn with_core<T>(f: impl FnOnce(&mut Core) -> T) -> Option<T> {
    CORE.try_with(|core| core.try_borrow_mut().ok()?.as_mut().map(f)).ok()?
}

/// Starts the core. `config` is the name under which this page stores what is not delivered, write key, language, time
/// zone and the sample in percent, joined by [`SEPARATOR`]; `signals` has bit 0 for GPC and bit 1 for DNT; `post` sends
/// a batch by fetch, without cookies where its second argument says that it is only measured, and gives the answer to
/// [`answer`]; `beacon` sends one by `sendBeacon` and says whether it could.
#[wasm_bindgen]
pub fn start(config: JsValue, signals: u32, width: u32, height: u32, post: Function, beacon: Function) {
    let config = config.as_string().unwrap_or_default();
    let mut rest = config.as_str();
    let core = Core {
        slot: cut(&mut rest, SEPARATOR).into(),
        config: rest.into(),
        signals: Signals { gpc: signals & 1 != 0, dnt: signals & 2 != 0 },
        screen_width: width as u16,
        screen_height: height as u16,
        post,
        beacon,
        who: None,
        view: None,
        queue: Queue::default(),
        engagement: Engagement::default(),
        timer: None,
        storage: None,
        stored: false,
    };
    let _ = CORE.try_with(|place| place.try_borrow_mut().map(|mut place| *place = Some(core)));
}

/// Whose events follow: 2 the visitor `id`, 1 the page load `id`, 0 nobody's, and those not sent are forgotten.
/// `storage` is looked at for a visitor only, and may fail or be missing.
#[wasm_bindgen]
pub fn who(kind: u32, id: JsValue, storage: Storage) {
    with_core(|core| {
        core.storage = None;
        core.who = id.as_string().and_then(|id| parse_id(&id)).and_then(|id| match kind {
            2 => Some(Who::Visitor(id)),
            1 => Some(Who::Load(id)),
            _ => None,
        });
        match core.who {
            Some(Who::Visitor(_)) => core.storage = Some(storage),
            // What was stored is removed.
            Some(Who::Load(_)) => core.stored = false,
            None => {
                core.stored = false;
                core.queue.clear();
            }
        }
    });
}

/// Takes over what another page has stored under `key` and could not deliver: that page is gone, or has not written
/// within `lease_ms`. Only for a visitor. 1 where it is this page's now, 0 where it is to be asked for again.
#[wasm_bindgen]
pub fn adopt(key: JsValue, lease_ms: f64) -> i32 {
    let is_taken = with_core(|core| {
        let key = key.as_string()?;
        let storage = core.storage.as_ref()?;
        let stored = read(storage, &key);
        let now = Date::now() as i64;
        if is_leased(&stored, now, lease_ms as i64) || !core.queue.restore(&stored, now) {
            return None;
        }
        let _ = storage.remove_item(&key);
        core.store();
        core.post_soon();
        Some(())
    });
    is_taken.flatten().is_some().into()
}

/// The page view that input now belongs to, empty for none. The last four are what the fallback has gathered of it
/// before the core came, with the revision it has told; else missing, which is 0.
#[wasm_bindgen]
pub fn view(id: JsValue, now: f64, engaged_ms: f64, max_scroll_pct: u32, clicks: u32, revision: u32) {
    with_core(|core| {
        core.view = id.as_string().and_then(|id| parse_id(&id));
        core.engagement.begin_view(now);
        core.engagement.resume(engaged_ms, max_scroll_pct as u8, clicks, revision);
    });
}

/// Something the page noticed; `what` is a number of `loader/signals.js`. `value` is the percentage scrolled to, whether
/// the page is active, the place of a press (x · 2¹⁶ + y in CSS pixels), a time in ms, or the size of a layout shift.
/// `now` is a moment, except of an interaction, where it is that one's id.
#[wasm_bindgen]
pub fn signal(what: u32, now: f64, value: f64) {
    with_core(|core| {
        let view = &mut core.engagement;
        let values = &mut view.measured.values;
        match what {
            0 => view.input(now),
            1 => view.click(now),
            2 => view.scrolled_to(value),
            3 => view.set_active(now, value != 0.0),
            4 => {
                let place = value as u32;
                view.measured.press(now, f64::from(place >> 16), f64::from(place & 0xffff));
            }
            5 => values.dead_clicks += 1,
            6 => values.errors += 1,
            7 => values.copies += 1,
            8 => values.fields += 1,
            9 => values.lcp_ms = value as u32,
            10 => values.fcp_ms = value as u32,
            11 => values.ttfb_ms = value as u32,
            12 => view.measured.interaction(now, value),
            _ => view.measured.shift(now, value),
        }
    });
}

/// Events, each with [`END`] behind it: the values of the loader's object, joined by [`SEPARATOR`]. Kind, id, time and view
/// come first; of the fields, the one that people write is last, so that a separator in it does no harm.
///
/// One text for all of them, because what costs time at this border is how often it is crossed.
#[wasm_bindgen]
pub fn events(texts: JsValue) {
    with_core(|core| {
        let texts = texts.as_string().unwrap_or_default();
        let mut rest = texts.as_str();
        while !rest.is_empty() {
            core.take_event(cut(&mut rest, END));
        }
    });
}

/// Sums up the page view under the event id `id`, if something changed since the last time.
#[wasm_bindgen]
pub fn snapshot(id: JsValue, at: f64) {
    with_core(|core| {
        let (Some(id), Some(view)) = (id.as_string().and_then(|id| parse_id(&id)), core.view) else { return };
        let Some((revision, summary)) = core.engagement.take_changes(at) else { return };
        let body = Body::Snapshot {
            revision,
            engaged_ms: summary.engaged_ms,
            max_scroll_pct: summary.max_scroll_pct,
            clicks: summary.clicks,
            measures: summary.measures,
        };
        core.push(Event { id, at_ms: at as i64, view: Some(view), body });
    });
}

/// The page may go away: all that is queued goes out, and is stored where consent allows it. By fetch where the last one
/// was answered (`by_fetch` is not 0), because a page that lives on hears the answer; the rest by beacon.
#[wasm_bindgen]
pub fn leave(by_fetch: u32) {
    with_core(|core| {
        if by_fetch != 0 && core.queue.is_fresh() {
            core.post_next();
        }
        while let Some((who, records, count)) = core.queue.next_beacon() {
            let body = core.body(who, &records);
            // Beacons share one limit of 64 KB: what does not fit stays for a fetch.
            if !core.beacon.call1(&JsValue::UNDEFINED, &body).is_ok_and(|taken| taken.is_truthy()) {
                break;
            }
            core.queue.beaconed(count);
        }
        core.store();
        // Whether or not a beacon arrived: should the page live on, a fetch will ask.
        core.post_soon();
    });
}

/// Sends what is queued now, as when the browser is online again.
#[wasm_bindgen]
pub fn flush() {
    with_core(Core::post_next);
}

/// The answer to the batch that was posted; `server_ms` is the server's clock where ids were refused for their time,
/// else 0.
#[wasm_bindgen]
pub fn answer(status: u32, retry_after_s: f64, server_ms: f64) {
    with_core(|core| {
        let clock_ms = (server_ms > 0.0).then_some(server_ms as i64);
        let answer = Answer { status, retry_after_s, clock_ms };
        let now = Date::now() as i64;
        // Chance enough to keep browsers apart that failed together: the ms at which each heard of it.
        let wait = core.queue.answered(answer, now, (now % 1000) as f64 / 1000.0);
        if core.stored || wait > 0.0 {
            core.store();
        }
        core.post_after(wait as u32);
    });
}

/// The state of the core: events queued and events dropped.
///
/// A pair, which `capture.js` gives names: those of a struct's fields would come with a hash map of a kilobyte.
#[wasm_bindgen]
pub fn status() -> JsValue {
    with_core(|core| (core.queue.len() as u32, core.queue.dropped()))
        .and_then(|status| serde_wasm_bindgen::to_value(&status).ok())
        .unwrap_or(JsValue::UNDEFINED)
}

impl Core {
    fn take_event(&mut self, text: &str) {
        let mut rest = text;
        let mut next = || cut(&mut rest, SEPARATOR);
        let (kind, id, at_ms, view, first) = (next(), next(), next(), next(), next());
        let body = match kind.as_bytes() {
            b"page" => Body::Page { url: first.into(), referrer: next().into(), title: rest.into() },
            b"snapshot" => Body::Snapshot {
                revision: parse_number(first) as u32,
                engaged_ms: parse_number(next()) as u32,
                max_scroll_pct: parse_number(next()).min(100) as u8,
                clicks: parse_number(rest) as u32,
                measures: Measures::default(),
            },
            b"track" => Body::Track { properties: first.into(), name: rest.into() },
            b"identify" => Body::Identify { traits: first.into(), user_id: rest.into() },
            b"group" => Body::Group { traits: first.into(), group_id: rest.into() },
            b"alias" => Body::Alias { previous_id: first.into(), user_id: rest.into() },
            _ => return,
        };
        if let Some(id) = parse_id(id) {
            self.push(Event { id, at_ms: parse_number(at_ms), view: parse_id(view), body });
        }
    }

    fn push(&mut self, event: Event<'_>) {
        let Some(who) = self.who else { return };
        let mut record = Vec::new();
        wire::encode_event(&mut record, &event);
        self.queue.push(who, record);
        self.post_soon();
    }

    fn post_soon(&mut self) {
        if self.timer.is_none() {
            self.post_after(GATHER_MS);
        }
    }

    fn post_after(&mut self, wait_ms: u32) {
        self.timer = (!self.queue.is_empty()).then(|| {
            Timeout::new(wait_ms, || {
                with_core(Core::post_next);
            })
        });
    }

    fn post_next(&mut self) {
        self.timer = None;
        // While this page was frozen, kept for going back, or held to be gone, another one may have taken it over. Where the
        // visitor is gone from the storage as well, somebody has emptied it.
        let is_missing = |storage: &Storage, key: &str| storage.get_item(key) == Ok(None);
        let is_taken = |storage: &Storage| is_missing(storage, &self.slot) && !is_missing(storage, VISITOR);
        if self.stored && self.storage.as_ref().is_some_and(is_taken) {
            self.queue.give_up_stored();
        }
        if let Some((who, records)) = self.queue.next_batch() {
            let body = self.body(who, &records);
            let measured = JsValue::from_bool(matches!(who, Who::Load(_)));
            let _ = self.post.call2(&JsValue::UNDEFINED, &body, &measured);
        }
    }

    fn body(&self, who: Who, records: &[u8]) -> Uint8Array {
        let mut rest = self.config.as_str();
        let header = Batch {
            write_key: cut(&mut rest, SEPARATOR).into(),
            sent_at_ms: Date::now() as i64,
            who,
            signals: self.signals,
            tracker_version: TRACKER_VERSION,
            dropped: self.queue.dropped(),
            device: Device {
                screen_width: self.screen_width,
                screen_height: self.screen_height,
                language: cut(&mut rest, SEPARATOR).into(),
                time_zone: cut(&mut rest, SEPARATOR).into(),
            },
            sample_pct: parse_number(rest).min(100) as u8,
            records: Vec::new(),
        };
        let mut body = Vec::new();
        wire::encode_header(&mut body, &header);
        body.extend_from_slice(records);
        Uint8Array::from(body.as_slice())
    }

    /// Writes the queue to the device, where consent allows it and there is room; else it lives as long as the page.
    fn store(&mut self) {
        let Some(storage) = self.storage.as_ref() else { return };
        let bytes = self.queue.to_stored(Date::now() as i64);
        if bytes.is_empty() {
            let _ = storage.remove_item(&self.slot);
            self.stored = false;
        } else {
            // One character is one byte: twice the room in storage, but no codec to download.
            let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
            self.stored = storage.set_item(&self.slot, &text).is_ok();
        }
    }
}

/// What [`Core::store`] has written under a name.
fn read(storage: &Storage, key: &str) -> Vec<u8> {
    let text = storage.get_item(key).ok().flatten();
    text.unwrap_or_default().chars().map(|letter| letter as u8).collect()
}

/// A uuid as 32 hexadecimal digits.
fn parse_id(text: &str) -> Option<Id> {
    let mut digits = text.bytes();
    let mut id = Id::default();
    for byte in &mut id {
        let (high, low) = (hex(digits.next()?)?, hex(digits.next()?)?);
        *byte = high << 4 | low;
    }
    digits.next().is_none().then_some(id)
}

/// Takes what stands before the next separator off the front.
fn cut<'a>(rest: &mut &'a str, separator: u8) -> &'a str {
    let end = rest.bytes().position(|byte| byte == separator).unwrap_or(rest.len());
    let part = rest.get(..end).unwrap_or_default();
    *rest = rest.get(end + 1..).unwrap_or_default();
    part
}

/// A natural number as JavaScript writes it.
fn parse_number(text: &str) -> i64 {
    text.bytes().fold(0, |number: i64, digit| number.wrapping_mul(10).wrapping_add(i64::from(digit.wrapping_sub(b'0'))))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

// In Chromium alone: tests/tests/core_in_browser.rs runs them.
#[cfg(all(test, target_arch = "wasm32"))]
mod tests;
