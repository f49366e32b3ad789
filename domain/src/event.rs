//! What happened: one event as the store gives it back, whatever door it came in by.

mod order;

pub use order::{
    Amount, MAX_ORDER_LINES, ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED, ORDER_UPDATED, OrderAct, OrderDetails,
    OrderError, OrderFault, OrderLine, OrderReport, Refund, changes_an_order,
};

use crate::surroundings::Found;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use uuid::Uuid;

/// Who vouches for an event. It comes from the key that brought it, never from the route or the SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The public write key: anybody can have sent it.
    Browser,
    /// The secret key, a signed webhook or an import.
    Trusted,
}

/// An identity's number within its site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IdentityId(pub i64);

/// A profile's number within its site: the smallest identity it was founded on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProfileId(pub i64);

/// An entry of the site's dictionary: a page, a title, an event name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TermId(pub i32);

/// One event of one person.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The identity it came with; it never changes.
    pub identity_id: IdentityId,
    /// uuid v7; with `occurred_at` it orders a person's events.
    pub event_id: Uuid,
    /// When it happened, corrected for the sender's clock.
    pub occurred_at: Timestamp,
    /// Who vouches for it.
    pub trust: Trust,
    /// What happened.
    pub detail: Detail,
    /// What intake found out about it.
    pub found: Found,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    /// A page (or an app's screen) was viewed.
    Page(Page),
    /// What the visitor has done on a page view so far.
    Snapshot(Snapshot),
    /// A named event.
    Track(Track),
    /// Somebody said who they are.
    Identify {
        /// What they said of themselves, by trait name.
        traits: Map<String, Value>,
    },
    /// The person belongs to a group; the id is kept among the traits as `group_id`.
    Group {
        /// The site's own id of the group.
        group_id: Arc<str>,
        /// What is known of the group.
        traits: Map<String, Value>,
    },
    /// Two ids are one person; the link itself is made at intake.
    Alias,
}

/// A page view.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Host and path, `shop.example/shoes`, as a term.
    pub page: TermId,
    /// The document's title, as a term.
    pub title: Option<TermId>,
    /// Host and path of the page that led here, when it is not one of the site's own.
    pub referrer: Option<Arc<str>>,
    /// What the landing address says of the campaign that brought the visitor.
    pub campaign: Option<Arc<Campaign>>,
}

/// Campaign evidence of a landing address. Equal campaigns are one visit's campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Campaign {
    /// `utm_source`, lower case; empty when absent, as all of these.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// `utm_medium`, lower case.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub medium: String,
    /// `utm_campaign`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `utm_term`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub term: String,
    /// `utm_content`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content: String,
    /// Which kind of click id the address carried, for example `gclid`; its value is kept with the event.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub click_id: String,
}

/// Cumulative behaviour on one page view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The id of the page view's event.
    pub view_id: Uuid,
    /// The highest revision of a view counts.
    pub revision: u32,
    /// Time the page was visible, focused and recently used, in ms.
    pub engaged_ms: u32,
    /// Deepest point seen, in percent of the page's height.
    pub max_scroll_pct: u8,
    /// Clicks anywhere on the page.
    pub clicks: u32,
}

/// A named event.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// The event's name, for example `Order Completed`.
    pub name: Arc<str>,
    /// The page view it happened in, when it happened in a browser.
    pub view_id: Option<Uuid>,
    /// The event's own properties.
    pub properties: Map<String, Value>,
    /// What it reports of an order, if that is an order that belongs to this person.
    pub order: Option<OrderReport>,
}
