//! Adapter of Snowplow's tracker protocol 2: a list of payloads (`…/tp2`), or one as the parameters of a picture (`/i`).
//!
//! The app id (`aid`) is the site's key. What names nobody is measured: trackers leave ids out when they are told to
//! track anonymously.

use super::{Key, Parcel, Text, commerce};
use crate::intake::fields::{Fields, Properties, properties};
use crate::intake::loose::{Loose, time_us};
use crate::intake::message::{self, Ids, Message, Request, Says, View, Whose, stated_us};
use crate::intake::screen::Fault;
use crate::intake::{Reason, Refusal, source};
use crate::store::events::NewEvent;
use base64::Engine;
use domain::event::ORDER_COMPLETED;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Types of `snowplow_ecommerce_action`.
const ACTIONS: [(&str, &str); 10] = [
    ("product_view", commerce::PRODUCT_VIEWED),
    ("list_view", commerce::PRODUCT_LIST_VIEWED),
    ("list_click", commerce::PRODUCT_CLICKED),
    ("add_to_cart", commerce::PRODUCT_ADDED),
    ("remove_from_cart", commerce::PRODUCT_REMOVED),
    ("checkout_step", commerce::CHECKOUT_STEP),
    ("transaction", ORDER_COMPLETED),
    ("refund", commerce::ORDER_REFUNDED),
    ("promo_view", commerce::PROMOTION_VIEWED),
    ("promo_click", commerce::PROMOTION_CLICKED),
];

/// Schemas of their own that say the same.
const SCHEMAS: [(&str, &str); 4] = [
    ("add_to_cart", commerce::PRODUCT_ADDED),
    ("remove_from_cart", commerce::PRODUCT_REMOVED),
    ("link_click", "Link Clicked"),
    ("site_search", commerce::PRODUCTS_SEARCHED),
];

/// Properties of products, orders and refunds, in events and in the entities that go with them.
const PROPERTIES: [(&str, &str); 7] = [
    ("id", "product_id"),
    ("unitPrice", "price"),
    ("transaction_id", "order_id"),
    ("payment_method", "payment_method"),
    ("refund_amount", "total"),
    ("discount_amount", "discount"),
    ("discount_code", "coupon"),
];

#[derive(serde::Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Default, serde::Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    aid: Loose<'a>,
    #[serde(borrow, default)]
    stm: Loose<'a>,
}

/// Reads a list of payloads.
///
/// # Errors
/// [`Refusal::Unreadable`] when it is no JSON object with a list as `data`.
pub(crate) fn open<'a>(text: &'a Text<'_>) -> Result<Parcel<'a>, Refusal> {
    let outer: Outer<'_> = serde_json::from_str(&text.text)
        .map_err(|error| Refusal::Unreadable(format!("body is no payload: {error}")))?;
    let data = outer.data.ok_or_else(|| Refusal::Unreadable("body has no data".into()))?;
    let messages = super::list(data.get(), "data")?;
    let mut named = messages.iter().filter_map(|raw| serde_json::from_str::<Named<'_>>(raw).ok());
    let first = named.find(|named| named.aid.text().is_some());
    let key = first.as_ref().and_then(|named| named.aid.text().map(|key| Key::Own(key.to_owned())));
    let sent_at_us = first.as_ref().and_then(|named| time_us(named.stm.text()?).ok());
    Ok(Parcel {
        source: source::SNOWPLOW,
        key,
        sent_at_us,
        messages,
        repaired: text.repaired,
        read: Box::new(|raw, request, outcomes| {
            outcomes.push(Fields::of_json(raw).and_then(|fields| event(&fields, request)));
        }),
    })
}

/// Reads the parameters of a picture.
pub(crate) fn open_picture(query: &str) -> Parcel<'_> {
    let fields = Fields::of_query(query).unwrap_or_default();
    Parcel {
        source: source::SNOWPLOW,
        key: fields.text("aid").map(|key| Key::Own(key.into_owned())),
        sent_at_us: fields.text("stm").and_then(|text| time_us(&text).ok()),
        messages: vec![Cow::Borrowed(query)],
        repaired: false,
        read: Box::new(|raw, request, outcomes| {
            outcomes.push(Fields::of_query(raw).and_then(|fields| event(&fields, request)));
        }),
    }
}

fn event(fields: &Fields, request: &Request<'_>) -> Result<NewEvent, Fault> {
    let [visitor, user_id, message_id, at, agent, address] = [
        fields.first(&["duid", "nuid", "tnuid"]),
        fields.text("uid"),
        fields.text("eid"),
        fields.first(&["ttm", "dtm"]),
        fields.text("ua"),
        fields.text("ip"),
    ];
    let whose = match (&visitor, &user_id) {
        (None, None) => Whose::Measured(message_id.as_deref()),
        (visitor, user_id) => Whose::Of(Ids {
            visitor: visitor.as_deref(),
            user_id: user_id.as_deref(),
            message_id: message_id.as_deref(),
            ..Ids::default()
        }),
    };
    let message = Message {
        whose,
        at_us: stated_us(at.as_deref())?,
        owns_its_id: false,
        view_id: None,
        agent: agent.as_deref(),
        address: address.as_deref(),
        device: message::device(
            fields.text("lang").as_deref(),
            fields.text("tz").as_deref(),
            fields.text("res").as_deref(),
        ),
    };
    match fields.text("e").as_deref() {
        Some("pv") => {
            let (url, title) = (fields.text("url"), fields.text("page").unwrap_or_default());
            let referrer = fields.text("refr").unwrap_or_default();
            let view = View { url: url.as_deref(), title: &title, referrer: &referrer, ..View::default() };
            message.event(request, Says::Page(view))
        }
        Some("pp") => {
            // A sign of life of a page that it names by its address alone.
            let told = Properties::default()
                .text("page", fields.text("url").map(|url| message::link(&url).into()))
                .number("max_scroll_y", fields, "pp_may");
            message.event(request, Says::Track { name: "Page Ping", properties: told.checked()? })
        }
        Some("se") => {
            let told = Properties::default()
                .text("category", fields.text("se_ca"))
                .text("label", fields.text("se_la"))
                .text("property", fields.text("se_pr"))
                .number("value", fields, "se_va");
            let name = fields.text("se_ac").unwrap_or_default();
            message.event(request, Says::Track { name: &name, properties: told.checked()? })
        }
        Some("tr") => {
            let told = Properties::default()
                .text("order_id", fields.text("tr_id"))
                .text("affiliation", fields.text("tr_af"))
                .text("currency", fields.text("tr_cu"))
                .number("total", fields, "tr_tt")
                .number("tax", fields, "tr_tx")
                .number("shipping", fields, "tr_sh");
            message.event(request, Says::Track { name: ORDER_COMPLETED, properties: told.checked()? })
        }
        // Each item of an order comes as an event of its own, beside the order.
        Some("ti") => {
            let told = Properties::default()
                .text("order_id", fields.text("ti_id"))
                .text("product_id", fields.text("ti_sk"))
                .text("name", fields.text("ti_nm"))
                .text("category", fields.text("ti_ca"))
                .text("currency", fields.text("ti_cu"))
                .number("price", fields, "ti_pr")
                .number("quantity", fields, "ti_qu");
            message.event(request, Says::Track { name: "Order Item", properties: told.checked()? })
        }
        Some("ue") => described(fields, message, request),
        Some(other) => Err(Fault::new(Reason::UnknownKind, format!("event type {other:.40} is unknown"))),
        None => Err(Fault::new(Reason::UnknownKind, "a payload names no event type")),
    }
}

/// A self-describing event and the entities that go with it.
fn described(fields: &Fields, message: Message<'_>, request: &Request<'_>) -> Result<NewEvent, Fault> {
    let outer = nested(fields, "ue_px", "ue_pr")?
        .ok_or_else(|| Fault::new(Reason::Unreadable, "a self-describing event has no ue_px or ue_pr"))?;
    let inner = Fields(outer.object("data").cloned().unwrap_or_default());
    let schema = schema_name(inner.0.get("schema"));
    let data = inner.object("data").cloned().unwrap_or_default();
    let entities = nested(fields, "cx", "co")?;
    let entities = entities.as_ref().and_then(|entities| entities.0.get("data")?.as_array());
    let entities: Vec<(&str, &Map<String, Value>)> = entities
        .into_iter()
        .flatten()
        .filter_map(|entity| Some((schema_name(entity.get("schema")), entity.get("data")?.as_object()?)))
        .collect();
    match schema {
        "" => Err(Fault::new(Reason::MissingName, "a self-describing event names no schema")),
        "screen_view" => {
            let data = Fields(data);
            let name = data.text("name");
            message.event(request, Says::Screen(View { name: name.as_deref(), ..View::default() }))
        }
        "snowplow_ecommerce_action" => {
            let action = data.get("type").and_then(Value::as_str).unwrap_or("");
            let name = commerce::name_of(&ACTIONS, action).unwrap_or(action);
            let mut told = Map::new();
            let mut products = Vec::new();
            for (kind, entity) in entities {
                let entity = commerce::renamed(entity, &PROPERTIES);
                match kind {
                    "product" => products.push(entity),
                    "transaction" | "refund" | "checkout_step" | "promotion" => told.extend(entity),
                    _ => {}
                }
            }
            commerce::add_products(name, &mut told, products);
            message.event(request, Says::Track { name, properties: properties(&told)? })
        }
        schema => {
            let name = commerce::name_of(&SCHEMAS, schema).unwrap_or(schema);
            let mut told = if name == schema { data } else { commerce::renamed(&data, &PROPERTIES) };
            if let Some(Value::String(url)) = told.get_mut("targetUrl") {
                *url = message::link(url);
            }
            message.event(request, Says::Track { name, properties: properties(&told)? })
        }
    }
}

/// JSON within a payload, in base64 for URLs or as it is.
fn nested(fields: &Fields, encoded: &str, plain: &str) -> Result<Option<Fields>, Fault> {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    if let Some(text) = fields.text(encoded) {
        let bare = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
        let bytes = URL_SAFE_NO_PAD
            .decode(bare)
            .map_err(|error| Fault::new(Reason::Unreadable, format!("{encoded} is no base64: {error}")))?;
        let json = String::from_utf8(bytes).map_err(|_| Fault::new(Reason::BadText, "text is not valid UTF-8"))?;
        return Fields::of_json(&json).map(Some);
    }
    fields.text(plain).map(|json| Fields::of_json(&json)).transpose()
}

/// `link_click` of `iglu:com.snowplowanalytics.snowplow/link_click/jsonschema/1-0-1`.
fn schema_name(schema: Option<&Value>) -> &str {
    schema.and_then(Value::as_str).and_then(|schema| schema.split('/').nth(1)).unwrap_or("")
}
