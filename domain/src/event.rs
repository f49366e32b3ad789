//! What happened: one event as the store gives it back, whatever door it came in by.

use crate::money::{Currency, Money};
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
    /// The order it reports, if it is an order that belongs to this person.
    pub order: Option<PlacedOrder>,
}

/// An order as one event reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedOrder {
    /// The shop's own order id, or the event's id where the shop gave none. One order per site and id.
    pub order_id: Arc<str>,
    /// What was paid; `None` where the event names no amount.
    pub total: Option<Money>,
}

/// The name under which an order is reported, from Segment's e-commerce vocabulary.
pub const ORDER_COMPLETED: &str = "Order Completed";

impl PlacedOrder {
    /// Reads the order that a named event reports: `order_id` (or `orderId`, `id`), `total` (or `revenue`, `value`) and
    /// `currency`, with the site's currency where the event names none.
    ///
    /// `None` when the event is not [`ORDER_COMPLETED`].
    ///
    /// # Errors
    /// The property that cannot be read and why: an amount or a currency that is none.
    pub fn read(
        name: &str,
        properties: &Map<String, Value>,
        event_id: Uuid,
        site_currency: Currency,
    ) -> Result<Option<PlacedOrder>, OrderError> {
        if name != ORDER_COMPLETED {
            return Ok(None);
        }
        let text = |value: &Value| match value {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let first = |keys: &[&'static str]| {
            keys.iter().find_map(|&key| properties.get(key).and_then(text).map(|value| (key, value)))
        };
        let currency = match first(&["currency"]) {
            Some((property, value)) => value.parse().map_err(|reason| OrderError { property, reason })?,
            None => site_currency,
        };
        let total = first(&["total", "revenue", "value"])
            .map(|(property, value)| Money::parse(&value, currency).map_err(|reason| OrderError { property, reason }))
            .transpose()?;
        let order_id =
            first(&["order_id", "orderId", "id"]).map_or_else(|| event_id.to_string(), |(_, value)| value).into();
        Ok(Some(PlacedOrder { order_id, total }))
    }
}

/// Why an order event makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{property}: {reason}")]
pub struct OrderError {
    /// The property at fault.
    pub property: &'static str,
    /// What is wrong with it.
    pub reason: crate::money::MoneyError,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::MoneyError;
    use serde_json::json;

    const EVENT_ID: Uuid = Uuid::from_u128(7);

    fn read(properties: Value) -> Result<Option<PlacedOrder>, OrderError> {
        let Value::Object(properties) = properties else { panic!("properties are an object") };
        PlacedOrder::read(ORDER_COMPLETED, &properties, EVENT_ID, Currency::EUR)
    }

    fn order(order_id: &str, total: Option<(i64, Currency)>) -> Result<Option<PlacedOrder>, OrderError> {
        let total = total.map(|(minor, currency)| Money { minor, currency });
        Ok(Some(PlacedOrder { order_id: order_id.into(), total }))
    }

    #[test]
    fn an_order_is_read_from_the_words_that_shops_use() {
        let euros = Some((2_933, Currency::EUR));
        assert_eq!(read(json!({"order_id": "A1", "total": 29.33})), order("A1", euros));
        assert_eq!(read(json!({"orderId": 1001, "revenue": "29.33"})), order("1001", euros));
        assert_eq!(
            read(json!({"id": " A1 ", "value": 29.33, "currency": "usd"})),
            order("A1", Some((2_933, Currency::USD)))
        );
        // The specification's own word before its neighbours.
        assert_eq!(read(json!({"id": "no", "order_id": "A1", "value": 1, "total": 29.33})), order("A1", euros));
    }

    #[test]
    fn what_an_order_leaves_out_is_filled_in_or_left_open() {
        assert_eq!(read(json!({})), order(&EVENT_ID.to_string(), None));
        let blank = json!({"order_id": "", "orderId": null, "id": "A1", "total": " ", "currency": null});
        assert_eq!(read(blank), order("A1", None));
        assert_eq!(read(json!({"order_id": "A1", "total": 0})), order("A1", Some((0, Currency::EUR))));
    }

    #[test]
    fn an_amount_or_currency_that_is_none_is_named() {
        let error = read(json!({"order_id": "A1", "revenue": "much"})).unwrap_err();
        assert_eq!((error.property, error.reason), ("revenue", MoneyError::Amount));
        assert_eq!(error.to_string(), "revenue: an amount is a decimal number, for example 19.90");
        assert_eq!(read(json!({"total": 1e300})).unwrap_err().reason, MoneyError::Range);
        let error = read(json!({"total": 1, "currency": "Euro"})).unwrap_err();
        assert_eq!((error.property, error.reason), ("currency", MoneyError::Currency));
    }

    #[test]
    fn other_events_report_no_order() {
        let Value::Object(properties) = json!({"order_id": "A1", "total": "much"}) else { panic!("an object") };
        assert_eq!(PlacedOrder::read("Order Refunded", &properties, EVENT_ID, Currency::EUR), Ok(None));
        assert_eq!(PlacedOrder::read("order completed", &properties, EVENT_ID, Currency::EUR), Ok(None));
    }

    #[test]
    fn a_trusted_word_outranks_a_browsers() {
        assert!(Trust::Trusted > Trust::Browser);
        assert_eq!(serde_json::to_value(Trust::Browser).unwrap(), json!("browser"));
    }
}
