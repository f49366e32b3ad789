//! The batch format between tracker and collector.
//!
//! A [`Batch`] is what one request carries: a header that says who speaks, and records that each say what
//! happened. It has two forms that decode to the same value: a compact binary one, written by the WebAssembly core,
//! and a JSON one, written by the loader where WebAssembly is missing or forbidden. [`decode()`] tells them apart by
//! their first byte.
//!
//! Records are length-prefixed and their fields tagged, so that an old collector skips what a new tracker adds;
//! a record that cannot be read becomes an error of its own and never takes its neighbours along.

mod decode;
mod encode;
#[cfg(feature = "json")]
mod json;
mod record;
pub mod vocabulary;

use std::borrow::Cow;
use std::fmt;

pub use decode::decode;
pub use encode::{encode, encode_event, encode_header};
pub use record::{id_time_ms, record_id, shift_id, shift_ids, split_record};

/// The first bytes of the binary form; the byte after them is [`FORMAT_VERSION`].
pub const MAGIC: [u8; 3] = *b"SEG";

/// The version of both forms. It changes only when an old reader could not skip what is new.
pub const FORMAT_VERSION: u8 = 1;

/// Most records one batch may have. A record can be one byte on the wire and some hundred in memory, so that without
/// a limit a small hostile body would become a large allocation; trackers send a few hundred at most.
pub const MAX_RECORDS: usize = 10_000;

/// A 128-bit id: a uuid v7 minted by the tracker (events, page loads) or a random visitor id.
pub type Id = [u8; 16];

/// One request's worth of events from one browser.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<'a> {
    /// The site's public write key, `wk_…`.
    pub write_key: Cow<'a, str>,
    /// The browser's clock when the batch was sent, in ms since 1970-01-01 UTC.
    pub sent_at_ms: i64,
    /// Whose events these are; a queue that spans two of them is sent as two batches.
    pub who: Who,
    /// Privacy signals the browser gave.
    pub signals: Signals,
    /// Version of the tracker's release, for example `1`.
    pub tracker_version: u16,
    /// Events this tracker has lost since the page was loaded and before this batch: over the queue's limits, or
    /// finally refused.
    pub dropped: u32,
    /// Share of the site's visitors that are told of, in percent; 0 where all are.
    pub sample_pct: u8,
    /// What the device says of itself; empty or zero where unknown.
    pub device: Device<'a>,
    /// What happened, oldest first; a record that could not be read keeps its place as an error.
    pub records: Vec<Result<Event<'a>, RecordError>>,
}

/// Who speaks, as far as consent lets the tracker know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// Consent `full`: the id this browser keeps.
    Visitor(Id),
    /// Consent `measure`: an id that lives in memory as long as one page load and is never stored on the device.
    Load(Id),
}

/// Privacy signals; both mean consent `measure` and are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// Global Privacy Control was on.
    pub gpc: bool,
    /// Do Not Track was on.
    pub dnt: bool,
}

/// What the device says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device<'a> {
    /// Screen width in CSS pixels.
    pub screen_width: u16,
    /// Screen height in CSS pixels.
    pub screen_height: u16,
    /// BCP 47 language, for example `de-CH`.
    pub language: Cow<'a, str>,
    /// IANA time zone, for example `Europe/Zurich`.
    pub time_zone: Cow<'a, str>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// Minted once when it happened (uuid v7) and the same on every retry.
    pub id: Id,
    /// The browser's clock when it happened, in ms since 1970-01-01 UTC.
    pub at_ms: i64,
    /// The page view it happened in: the id of that view's [`Body::Page`] event. Absent on page views themselves.
    pub view: Option<Id>,
    /// What happened.
    pub body: Body<'a>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<'a> {
    /// A page view; navigation by history counts as one.
    Page {
        /// Scrubbed absolute URL with query, without fragment.
        url: Cow<'a, str>,
        /// The document's title.
        title: Cow<'a, str>,
        /// Scrubbed absolute URL of the referrer, or empty.
        referrer: Cow<'a, str>,
    },
    /// What the visitor has done on a page view so far: cumulative, the highest revision of a view counts.
    Snapshot {
        /// 1 for the first snapshot of a view, then counting up.
        revision: u32,
        /// Time the page was visible, focused and recently used, in ms.
        engaged_ms: u32,
        /// Deepest point seen, in percent of the page's height, 0..=100.
        max_scroll_pct: u8,
        /// Clicks anywhere on the page.
        clicks: u32,
        /// What else was counted and timed.
        measures: Measures,
    },
    /// A named event of the site's own.
    Track {
        /// For example `Order Completed`.
        name: Cow<'a, str>,
        /// A JSON object as text; empty means none.
        properties: Cow<'a, str>,
    },
    /// The visitor says who they are.
    Identify {
        /// The site's own id of the user; empty when only traits are told.
        user_id: Cow<'a, str>,
        /// A JSON object as text; empty means none.
        traits: Cow<'a, str>,
    },
    /// The visitor belongs to a group, such as a company.
    Group {
        /// The site's own id of the group.
        group_id: Cow<'a, str>,
        /// A JSON object as text; empty means none.
        traits: Cow<'a, str>,
    },
    /// Two user ids are one person.
    Alias {
        /// The id from now on.
        user_id: Cow<'a, str>,
        /// The id so far; empty means the visitor.
        previous_id: Cow<'a, str>,
    },
}

/// What is counted and timed of a page view beyond its [`Body::Snapshot`]'s own values. Cumulative as they are; zero
/// is "none seen" or, of a time, "not known".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Times the visitor clicked one place again and again.
    pub rage_clicks: u32,
    /// Clicks on what looks as if it did something, after which nothing happened.
    pub dead_clicks: u32,
    /// JavaScript errors that nobody caught.
    pub errors: u32,
    /// Times text was copied.
    pub copies: u32,
    /// Form fields touched.
    pub fields: u32,
    /// Largest contentful paint, in ms after navigation began.
    pub lcp_ms: u32,
    /// First contentful paint, in ms after navigation began.
    pub fcp_ms: u32,
    /// Time to the first byte of the document, in ms after navigation began.
    pub ttfb_ms: u32,
    /// Interaction to next paint, in ms.
    pub inp_ms: u32,
    /// Cumulative layout shift in thousandths; known, also where it is zero, if `lcp_ms` is.
    pub cls_millis: u32,
}

impl Measures {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// The values in the order of their fields, which is that of their tags.
    pub fn values(&self) -> [u32; Self::COUNT] {
        let Self { rage_clicks, dead_clicks, errors, copies, fields, lcp_ms, fcp_ms, ttfb_ms, inp_ms, cls_millis } =
            *self;
        [rage_clicks, dead_clicks, errors, copies, fields, lcp_ms, fcp_ms, ttfb_ms, inp_ms, cls_millis]
    }
}

impl From<[u32; Measures::COUNT]> for Measures {
    /// From values in the order of [`Measures::values`].
    fn from(values: [u32; Self::COUNT]) -> Self {
        let [rage_clicks, dead_clicks, errors, copies, fields, lcp_ms, fcp_ms, ttfb_ms, inp_ms, cls_millis] = values;
        Self { rage_clicks, dead_clicks, errors, copies, fields, lcp_ms, fcp_ms, ttfb_ms, inp_ms, cls_millis }
    }
}

/// Why one record of a batch could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The record's id where that much could be read.
    pub id: Option<Id>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A kind of record that this version does not know.
    UnknownKind,
    /// A field is cut off, has the wrong type or is missing.
    Malformed,
    /// Text is not valid UTF-8, or has a lone surrogate.
    BadText,
}

/// Why a body is no batch at all; the client is told with 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Offset in bytes where reading stopped.
    pub at: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownKind => "kind of record is unknown to this version",
            Self::Malformed => "record is cut off, lacks a field or has one of the wrong type",
            Self::BadText => "text is not valid UTF-8 or has a lone surrogate",
        })
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl std::error::Error for RecordError {}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: expected {}", self.at, self.expected)
    }
}

impl std::error::Error for DecodeError {}
