//! Adapter of Matomo's tracking HTTP API: one request as parameters, or many in a body
//! (`{"requests": ["?…"], "token_auth": "…"}`).
//!
//! `idsite` is the site's public key; a `token_auth` that is the secret key makes a request trusted. A visitor without
//! an id, and one whose browser keeps no cookies (`cookie=0`), is measured, as Matomo does itself.

use super::{Key, Parcel, Text, commerce};
use crate::intake::fields::{Fields, Properties, properties};
use crate::intake::loose::Loose;
use crate::intake::message::{self, Ids, Message, Request, Says, View, Whose, stated_us};
use crate::intake::screen::{self, Fault};
use crate::intake::{Reason, Refusal, source};
use crate::store::events::NewEvent;
use domain::event::ORDER_COMPLETED;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// What a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// A transparent picture.
    Picture,
    /// Nothing to look at (`send_image=0`).
    Text,
    /// How many requests of a bulk were tracked.
    Count,
}

#[derive(serde::Deserialize)]
struct Bulk<'a> {
    #[serde(borrow)]
    requests: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    token_auth: Loose<'a>,
}

/// Reads a request: its body, or, where there is none, its parameters.
///
/// # Errors
/// [`Refusal::Unreadable`] when the body is neither parameters nor a bulk.
pub(crate) fn open<'a>(text: &'a Text<'_>, query: &'a str) -> Result<(Parcel<'a>, Wants), Refusal> {
    let body = text.text.trim();
    if body.starts_with('{') {
        let bulk: Bulk<'_> = serde_json::from_str(body)
            .map_err(|error| Refusal::Unreadable(format!("body is no list of requests: {error}")))?;
        let messages = bulk.requests.iter().map(|request| one_of_bulk(request.get())).collect();
        let token = bulk.token_auth.text().map(str::to_owned);
        return Ok((parcel(messages, token, text.repaired), Wants::Count));
    }
    // A form says the same as an address; beacons send one.
    let whole = match (body, query) {
        ("", query) => Cow::Borrowed(query),
        (body, "") => Cow::Borrowed(body),
        (body, query) => Cow::Owned(format!("{query}&{body}")),
    };
    let fields = Fields::of_query(&whole).unwrap_or_default();
    let wants = if fields.says_yes("send_image") == Some(false) { Wants::Text } else { Wants::Picture };
    Ok((parcel(vec![whole], None, text.repaired), wants))
}

/// Matomo takes requests of a bulk as parameters or as objects. What is neither stays as it is, to be rejected alone.
fn one_of_bulk(raw: &str) -> Cow<'_, str> {
    // Text that was no UTF-8 is found by the mark of its repair, which must not be escaped.
    match serde_json::from_str(raw) {
        Ok(Value::String(query)) => Cow::Owned(query),
        Ok(Value::Object(map)) if !raw.contains('\u{fffd}') => {
            let mut query = form_urlencoded::Serializer::new(String::new());
            for (name, value) in &map {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                query.append_pair(name, &text);
            }
            Cow::Owned(query.finish())
        }
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) | Err(_) => {
            Cow::Borrowed(raw)
        }
    }
}

/// The parameters of one request.
fn parameters(raw: &str) -> Result<Fields, Fault> {
    if raw.starts_with(['"', '{']) {
        screen::json(raw)?;
        return Err(Fault::new(Reason::Unreadable, "a request of a bulk is neither text nor an object"));
    }
    if !raw.contains('=') {
        return Err(Fault::new(Reason::Unreadable, "a request has no parameters"));
    }
    Fields::of_query(raw)
}

fn parcel(messages: Vec<Cow<'_, str>>, token: Option<String>, repaired: bool) -> Parcel<'_> {
    let named = messages.iter().filter_map(|query| Fields::of_query(query).ok());
    let first = named.into_iter().find(|fields| fields.text("idsite").is_some());
    let site = first.as_ref().and_then(|fields| fields.text("idsite")).map(Cow::into_owned);
    let own_token = first.as_ref().and_then(|fields| fields.text("token_auth")).map(Cow::into_owned);
    // Only what looks like a secret key can be one; Matomo's clients send tokens of other forms, too.
    let secret = token.or(own_token).filter(|token| token.starts_with("sk_"));
    let expected = site.clone();
    Parcel {
        source: source::MATOMO,
        key: secret.or(site).map(Key::Own),
        sent_at_us: None,
        messages,
        repaired,
        read: Box::new(move |raw, request, outcomes| match parameters(raw) {
            Ok(fields) if fields.text("idsite").as_deref() != expected.as_deref() => {
                let detail = "names another site than the first request of its bulk";
                outcomes.push(Err(Fault::new(Reason::Unreadable, detail)));
            }
            Ok(fields) => {
                if let Some((name, told)) = product_view(&fields) {
                    let viewed = told.checked();
                    outcomes.push(viewed.and_then(|properties| track(&fields, request, name, properties)));
                }
                outcomes.push(event(&fields, request));
            }
            Err(fault) => outcomes.push(Err(fault)),
        }),
    }
}

fn event(fields: &Fields, request: &Request<'_>) -> Result<NewEvent, Fault> {
    if let Some((name, told)) = named_event(fields) {
        return track(fields, request, &name, told.checked()?);
    }
    with_message(fields, request, |message, request| {
        let (url, title) = (fields.text("url"), fields.text("action_name"));
        let referrer = fields.text("urlref").unwrap_or_default();
        let custom: Map<String, Value> = fields
            .0
            .iter()
            .filter(|(name, _)| name.strip_prefix("dimension").is_some_and(|n| n.parse::<u32>().is_ok()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let view = View {
            url: url.as_deref(),
            name: title.as_deref(),
            title: title.as_deref().unwrap_or(""),
            referrer: &referrer,
            campaign: message::campaign([
                None,
                None,
                fields.text("_rcn").as_deref(),
                fields.text("_rck").as_deref(),
                None,
            ]),
            properties: properties(&custom)?,
        };
        message.event(request, Says::Page(view))
    })
}

fn track(fields: &Fields, request: &Request<'_>, name: &str, properties: Option<Box<str>>) -> Result<NewEvent, Fault> {
    with_message(fields, request, |message, request| message.event(request, Says::Track { name, properties }))
}

/// Whose it is and when, as Matomo's parameters say it.
fn with_message(
    fields: &Fields,
    request: &Request<'_>,
    then: impl FnOnce(Message<'_>, &Request<'_>) -> Result<NewEvent, Fault>,
) -> Result<NewEvent, Fault> {
    let keeps_nothing = fields.says_yes("cookie") == Some(false) && !request.is_trusted();
    let [visitor, user_id] = [fields.first(&["cid", "_id"]), fields.text("uid")];
    let whose = match (&visitor, &user_id) {
        (None, None) => Whose::Measured(None),
        _ if keeps_nothing => Whose::Measured(None),
        (visitor, user_id) => {
            Whose::Of(Ids { visitor: visitor.as_deref(), user_id: user_id.as_deref(), ..Ids::default() })
        }
    };
    let named = fields.text("cip");
    let request = &request.as_of(named.as_deref());
    let (at, agent) = (fields.text("cdt"), fields.text("ua"));
    let message = Message {
        whose,
        at_us: stated_us(at.as_deref())?,
        owns_its_id: false,
        view_id: None,
        agent: agent.as_deref(),
        address: named.as_deref(),
        device: message::device(fields.text("lang").as_deref(), None, fields.text("res").as_deref()),
    };
    then(message, request)
}

/// What a request reports beside a page view: an order, a goal, an event, a search, a link, a download.
fn named_event<'a>(fields: &'a Fields) -> Option<(Cow<'a, str>, Properties)> {
    let told = Properties::default();
    let goal = fields.text("idgoal");
    match goal.as_deref() {
        Some("0") => return Some(order(fields)),
        Some(goal) => {
            let told = told.text("goal_id", Some(Cow::Borrowed(goal))).number("revenue", fields, "revenue");
            return Some((Cow::Borrowed("Goal Completed"), told));
        }
        None => {}
    }
    if let Some(action) = fields.text("e_a") {
        let told =
            told.text("category", fields.text("e_c")).text("name", fields.text("e_n")).number("value", fields, "e_v");
        return Some((action, told));
    }
    if let Some(query) = fields.text("search") {
        let told = told.text("query", Some(query)).text("category", fields.text("search_cat")).number(
            "results",
            fields,
            "search_count",
        );
        return Some((Cow::Borrowed(commerce::PRODUCTS_SEARCHED), told));
    }
    for (parameter, name) in [("download", "File Downloaded"), ("link", "Link Clicked")] {
        if let Some(url) = fields.text(parameter) {
            return Some((Cow::Borrowed(name), told.text("url", Some(message::link(&url).into()))));
        }
    }
    if fields.text("c_n").is_some() {
        let name = if fields.text("c_i").is_some() { "Content Clicked" } else { "Content Viewed" };
        let told = told
            .text("name", fields.text("c_n"))
            .text("piece", fields.text("c_p"))
            .text("interaction", fields.text("c_i"))
            .text("url", fields.text("c_t").map(|url| message::link(&url).into()));
        return Some((Cow::Borrowed(name), told));
    }
    // A sign of life of a page that is still open.
    let is_ping = fields.says_yes("ping") == Some(true);
    is_ping.then(|| {
        let page = fields.text("url").map(|url| message::link(&url).into());
        (Cow::Borrowed("Page Ping"), told.text("page", page))
    })
}

/// Goal 0 is commerce: an order where it has an id, else what is in the cart.
fn order(fields: &Fields) -> (Cow<'static, str>, Properties) {
    let name = if fields.text("ec_id").is_some() { ORDER_COMPLETED } else { "Cart Updated" };
    let mut told = Properties::default()
        .text("order_id", fields.text("ec_id"))
        .number("total", fields, "revenue")
        .number("subtotal", fields, "ec_st")
        .number("tax", fields, "ec_tx")
        .number("shipping", fields, "ec_sh")
        .number("discount", fields, "ec_dt");
    let products = items(fields);
    if !products.is_empty() {
        told = told.with("products", Value::Array(products));
    }
    (Cow::Borrowed(name), told)
}

/// `ec_items`: `[[sku, name, category or categories, price, quantity], …]`.
fn items(fields: &Fields) -> Vec<Value> {
    let Some(text) = fields.text("ec_items") else { return Vec::new() };
    let items: Vec<Vec<Value>> = serde_json::from_str(&text).unwrap_or_default();
    let names = ["product_id", "name", "category", "price", "quantity"];
    let product = |item: Vec<Value>| {
        names.into_iter().zip(item).filter(|(_, value)| !value.is_null()).map(|(n, v)| (n.to_owned(), v)).collect()
    };
    items.into_iter().map(|item| Value::Object(product(item))).collect()
}

/// A product or category that is looked at, which Matomo reports together with the page view.
fn product_view(fields: &Fields) -> Option<(&'static str, Properties)> {
    let (sku, category) = (fields.text("_pks"), fields.text("_pkc"));
    if sku.is_none() && category.is_none() {
        return None;
    }
    let name = if sku.is_some() { commerce::PRODUCT_VIEWED } else { commerce::PRODUCT_LIST_VIEWED };
    let told = Properties::default()
        .text("product_id", sku)
        .text("name", fields.text("_pkn"))
        .text("category", category)
        .number("price", fields, "_pkp");
    Some((name, told))
}

/// How a bulk is answered.
pub(crate) fn counted(tracked: u32, invalid: u32) -> Value {
    json!({ "status": "success", "tracked": tracked, "invalid": invalid })
}
