//! Adapter of Plausible's events API (`/api/event`): one event a request, short or long names, JSON sent as text.
//!
//! It names no visitor and asks for no consent, so its visitors are measured. It has no event ids either: its script
//! never sends anything twice, and neither can we know it again.

use super::{Key, Outcomes, Parcel, Text};
use crate::intake::fields::{Fields, Properties, properties};
use crate::intake::message::{self, Message, Request, Says, View};
use crate::intake::screen::Fault;
use crate::intake::{Reason, Refusal, source};
use crate::store::events::NewEvent;
use domain::event::ORDER_COMPLETED;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Names that Plausible's own integrations give to what Segment's e-commerce vocabulary names, and the one that its
/// documentation uses for a revenue goal.
const COMMERCE: [(&str, &str); 5] = [
    ("Purchase", ORDER_COMPLETED),
    ("WooCommerce Complete Purchase", ORDER_COMPLETED),
    ("WooCommerce Add to Cart", "Product Added"),
    ("WooCommerce Remove from Cart", "Product Removed"),
    ("WooCommerce Start Checkout", "Checkout Started"),
];

/// Reads a post. The key is its `domain`, which may also be one of the site's keys.
///
/// # Errors
/// [`Refusal::Unreadable`] when it is no JSON object.
pub(crate) fn open<'a>(text: &'a Text<'_>) -> Result<Parcel<'a>, Refusal> {
    let whole: Map<String, Value> = match serde_json::from_str(&text.text) {
        Ok(whole) => whole,
        // What only its values make unreadable is a bad event of a known site.
        Err(error) => {
            named_domain(&text.text).ok_or_else(|| Refusal::Unreadable(format!("body is no event: {error}")))?
        }
    };
    let domain = Fields(whole).first(&["d", "domain"]).map(Cow::into_owned);
    let key = domain.and_then(|domain| {
        // A script may name several sites; it is one of them here.
        let first = domain.split(',').next().unwrap_or("").trim().to_owned();
        let is_key = first.starts_with("wk_") || first.starts_with("sk_");
        (!first.is_empty()).then(|| if is_key { Key::Own(first) } else { Key::Domain(first.to_lowercase()) })
    });
    Ok(Parcel {
        source: source::PLAUSIBLE,
        key,
        sent_at_us: None,
        messages: vec![Cow::Borrowed(text.text.trim())],
        repaired: text.repaired,
        read: Box::new(|raw, request, outcomes: &mut Outcomes| outcomes.push(event(raw, request))),
    })
}

#[derive(serde::Deserialize)]
struct Named<'a> {
    #[serde(borrow, default, alias = "domain")]
    d: crate::intake::loose::Loose<'a>,
}

fn named_domain(text: &str) -> Option<Map<String, Value>> {
    let named: Named<'_> = serde_json::from_str(text).ok()?;
    Some(Map::from_iter([("d".to_owned(), Value::from(named.d.text()?))]))
}

fn event(raw: &str, request: &Request<'_>) -> Result<NewEvent, Fault> {
    let fields = Fields::of_json(raw)?;
    let name = fields.first(&["n", "name"]).unwrap_or_default();
    let url = fields.first(&["u", "url"]);
    let mut custom = ["p", "m", "props", "meta"].into_iter().find_map(|name| fields.object_or_text(name));
    // Where an outbound link leads may say whom it was meant for.
    if let Some(Value::String(url)) = custom.as_mut().and_then(|custom| custom.get_mut("url")) {
        *url = message::link(url);
    }
    let custom = custom.unwrap_or_default();
    let says = match name.as_ref() {
        "" => return Err(Fault::new(Reason::MissingName, "an event has no name")),
        "pageview" => Says::Page(View {
            url: url.as_deref(),
            referrer: &fields.first(&["r", "referrer"]).unwrap_or_default(),
            properties: properties(&custom)?,
            ..View::default()
        }),
        // What was done on a page since the last such event. It names the page by its address alone, so it cannot be
        // added to the page view it belongs to.
        "engagement" => Says::Track {
            name: "Page Engagement",
            properties: Properties::default()
                .number("engaged_ms", &fields, "e")
                .number("max_scroll_pct", &fields, "sd")
                .text("page", url.map(|url| message::link(&url).into()))
                .checked()?,
        },
        name => {
            let revenue = ["$", "revenue"].into_iter().find_map(|name| fields.object_or_text(name)).map(Fields);
            let mut told = Properties(custom);
            if let Some(revenue) = &revenue {
                told = told.number("revenue", revenue, "amount").text("currency", revenue.text("currency"));
            }
            let commerce = COMMERCE
                .iter()
                .find(|(theirs, ours)| *theirs == name && (*ours != ORDER_COMPLETED || revenue.is_some()));
            let properties = told.checked()?;
            return Message::measured()
                .event(request, Says::Track { name: commerce.map_or(name, |(_, ours)| *ours), properties });
        }
    };
    Message::measured().event(request, says)
}
