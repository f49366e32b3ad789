//! Adapter of Google Analytics' measurement protocol (`/mp/collect`): its events in Segment's words.
//!
//! It has no event ids, so what is sent twice is stored twice; an order is known by its `transaction_id` all the same.
//! What it calls `user_data` is for advertising and is not read.

use super::{Key, Outcomes, Parcel, Text, commerce};
use crate::intake::fields::{Fields, properties};
use crate::intake::loose::Loose;
use crate::intake::message::{self, Ids, Message, Request, Says, View, Whose, stated_us};
use crate::intake::screen::Fault;
use crate::intake::{Reason, Refusal, source};
use crate::store::events::NewEvent;
use domain::event::ORDER_COMPLETED;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Google's recommended events that Segment's vocabulary names, too.
const EVENTS: [(&str, &str); 18] = [
    ("purchase", ORDER_COMPLETED),
    ("refund", commerce::ORDER_REFUNDED),
    ("view_item", commerce::PRODUCT_VIEWED),
    ("view_item_list", commerce::PRODUCT_LIST_VIEWED),
    ("select_item", commerce::PRODUCT_CLICKED),
    ("add_to_cart", commerce::PRODUCT_ADDED),
    ("remove_from_cart", commerce::PRODUCT_REMOVED),
    ("add_to_wishlist", "Product Added to Wishlist"),
    ("view_cart", "Cart Viewed"),
    ("begin_checkout", commerce::CHECKOUT_STARTED),
    ("add_shipping_info", commerce::CHECKOUT_STEP),
    ("add_payment_info", "Payment Info Entered"),
    ("view_promotion", commerce::PROMOTION_VIEWED),
    ("select_promotion", commerce::PROMOTION_CLICKED),
    ("search", commerce::PRODUCTS_SEARCHED),
    ("view_search_results", commerce::PRODUCTS_SEARCHED),
    ("sign_up", "Signed Up"),
    ("login", "Signed In"),
];

/// Parameters of an event that have another name in Segment's vocabulary. Google's `value` is without tax and
/// shipping, which Segment calls revenue.
const PARAMETERS: [(&str, &str); 6] = [
    ("transaction_id", "order_id"),
    ("value", "revenue"),
    ("item_list_id", "list_id"),
    ("item_list_name", "category"),
    ("search_term", "query"),
    ("shipping_tier", "shipping_method"),
];

/// Parameters of an item.
const ITEM: [(&str, &str); 7] = [
    ("item_id", "product_id"),
    ("item_name", "name"),
    ("item_brand", "brand"),
    ("item_category", "category"),
    ("item_variant", "variant"),
    ("index", "position"),
    ("item_list_name", "list"),
];

/// Parameters that say how Google counts sessions, or that the event itself says.
const LEFT_OUT: [&str; 8] = [
    "items",
    "session_id",
    "session_number",
    "engagement_time_msec",
    "debug_mode",
    "page_location",
    "page_referrer",
    "page_title",
];

#[derive(serde::Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    client_id: Loose<'a>,
    #[serde(borrow, default)]
    app_instance_id: Loose<'a>,
    #[serde(borrow, default)]
    user_id: Loose<'a>,
    #[serde(borrow, default)]
    timestamp_micros: Loose<'a>,
    #[serde(borrow, default)]
    user_properties: Option<&'a RawValue>,
    #[serde(borrow, default)]
    user_agent: Loose<'a>,
    #[serde(borrow, default)]
    ip_override: Loose<'a>,
    #[serde(borrow, default)]
    events: Option<&'a RawValue>,
}

/// Whom a request's events are about.
struct Whom {
    client_id: Option<String>,
    user_id: Option<String>,
    timestamp_us: Option<String>,
    agent: Option<String>,
    address: Option<String>,
}

/// Reads a post. The key is `api_secret` in the address, or, for a public key, `measurement_id`.
///
/// # Errors
/// [`Refusal::Unreadable`] when it is no JSON object.
pub(crate) fn open<'a>(text: &'a Text<'_>, query: &str) -> Result<Parcel<'a>, Refusal> {
    let outer: Outer<'_> = serde_json::from_str(&text.text)
        .map_err(|error| Refusal::Unreadable(format!("body is no payload: {error}")))?;
    let query = Fields::of_query(query).unwrap_or_default();
    let key = query.first(&["api_secret", "measurement_id"]).map(|key| Key::Own(key.into_owned()));
    let mut messages = outer.events.map_or(Ok(Vec::new()), |events| super::list(events.get(), "events"))?;
    let traits = outer.user_properties.filter(|raw| raw.get().starts_with('{') && raw.get() != "{}");
    if let Some(traits) = traits {
        messages.push(Cow::Owned(format!("{{\"user_properties\":{}}}", traits.get())));
    }
    let owned = |loose: &Loose<'_>| loose.text().map(str::to_owned);
    let whom = Whom {
        client_id: owned(&outer.client_id).or_else(|| owned(&outer.app_instance_id)),
        user_id: owned(&outer.user_id),
        timestamp_us: owned(&outer.timestamp_micros),
        agent: owned(&outer.user_agent),
        address: owned(&outer.ip_override),
    };
    Ok(Parcel {
        source: source::GA4,
        key,
        sent_at_us: None,
        messages,
        repaired: text.repaired,
        read: Box::new(move |raw, request, outcomes: &mut Outcomes| outcomes.push(whom.event(raw, request))),
    })
}

/// What Google's validation server says of an event that would be rejected.
pub(crate) fn validation(fault: &str) -> Value {
    serde_json::json!({ "description": fault, "validationCode": "VALUE_INVALID", "fieldPath": "events" })
}

impl Whom {
    fn event(&self, raw: &str, request: &Request<'_>) -> Result<NewEvent, Fault> {
        let fields = Fields::of_json(raw)?;
        let own_time = fields.text("timestamp_micros").or(self.timestamp_us.as_deref().map(Cow::Borrowed));
        let message = Message {
            whose: Whose::Of(Ids {
                visitor: self.client_id.as_deref(),
                user_id: self.user_id.as_deref(),
                ..Ids::default()
            }),
            at_us: own_time.map(|text| micros(&text)).transpose()?,
            agent: self.agent.as_deref(),
            address: self.address.as_deref(),
            ..Message::of(Ids::default())
        };
        if let Some(traits) = fields.object("user_properties") {
            return message.event(request, Says::Identify { traits: properties(&user_properties(traits))? });
        }
        let params = Fields(fields.object("params").cloned().unwrap_or_default());
        match fields.text("name").as_deref() {
            None => Err(Fault::new(Reason::MissingName, "an event has no name")),
            Some("page_view") => {
                let (url, title) = (params.text("page_location"), params.text("page_title"));
                let referrer = params.text("page_referrer").unwrap_or_default();
                let view = View {
                    url: url.as_deref(),
                    name: title.as_deref(),
                    title: title.as_deref().unwrap_or(""),
                    referrer: &referrer,
                    campaign: None,
                    properties: properties(&own_parameters(&params.0))?,
                };
                message.event(request, Says::Page(view))
            }
            Some("screen_view") => {
                let name = params.text("screen_name");
                message.event(request, Says::Screen(View { name: name.as_deref(), ..View::default() }))
            }
            Some(name) => {
                let ours = commerce::name_of(&EVENTS, name).unwrap_or(name);
                let mut told = commerce::renamed(&own_parameters(&params.0), &PARAMETERS);
                commerce::add_products(ours, &mut told, items(&params.0));
                message.event(request, Says::Track { name: ours, properties: properties(&told)? })
            }
        }
    }
}

/// Microseconds since 1970, as Google has them; whoever sends seconds or milliseconds is understood, too.
fn micros(text: &str) -> Result<i64, Fault> {
    match text.parse::<i64>() {
        // As milliseconds it would be after the year 5000.
        Ok(number) if number >= 100_000_000_000_000 => Ok(number),
        Ok(_) | Err(_) => stated_us(Some(text)).map(|at_us| at_us.unwrap_or_default()),
    }
}

fn own_parameters(params: &Map<String, Value>) -> Map<String, Value> {
    let mut own = params.clone();
    own.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
    if let Some(Value::String(url)) = own.get_mut("link_url") {
        *url = message::link(url);
    }
    own
}

fn items(params: &Map<String, Value>) -> Vec<Map<String, Value>> {
    let items = params.get("items").and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_object).map(|item| commerce::renamed(item, &ITEM)).collect()
}

/// Google's form is `{"plan": {"value": "pro"}}`.
fn user_properties(told: &Map<String, Value>) -> Map<String, Value> {
    let value = |told: &Value| told.get("value").cloned().unwrap_or_else(|| told.clone());
    told.iter().map(|(name, told)| (name.clone(), value(told))).collect()
}
