//! Shopify's GraphQL Admin API: orders with their refunds, and customers, in the order in which they were changed.
//!
//! Each page is turned into the form of Shopify's webhooks and read by the same adapter, so that an order that both tell
//! of has the same messages. The cursor is when the last one was changed, beside Shopify's own cursor, which steps through
//! those that were changed in the same moment; Shopify gives at most 25,000 behind one question, so that it is asked anew
//! before. The next round begins a little earlier than the last one ended, because what was changed is found a moment
//! later; what it meets in the same state is stepped over.
//!
//! The REST Admin API is legacy since October 2024; GraphQL is what Shopify documents as current. Source: Shopify, "GraphQL
//! Admin API reference" (`orders`, `customers`), "GraphQL Admin API rate limits" and "About Shopify API versioning".

use super::http::{Body, Client};
use super::{Brings, Connector, Page, PullError};
use crate::intake::webhook::{self, FromShopify, Settings};
use crate::secrets::Secret;
use crate::store::Store;
use crate::store::sites::Site;
use crate::store::sources::Source;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// The stable version that is asked for; Shopify keeps each for twelve months and then answers with the oldest it has.
const VERSION: &str = "2026-10";
/// Orders and customers of one page at first: a question may cost 1,000 points, and an order with all that is asked of it
/// can cost some 200. Where Shopify finds it dearer, the page is halved.
const ORDERS_AT_ONCE: usize = 4;
const CUSTOMERS_AT_ONCE: usize = 50;
/// Objects behind one question before it is asked anew; Shopify ends at 25,000.
const OBJECTS: usize = 20_000;
/// How much earlier the next round begins.
const OVERLAP_MINUTES: i64 = 15;
/// What was changed in that time and is known to have been read; more than this is read again.
const RECENT: usize = 1_000;

const ORDERS: &str = include_str!("shopify_orders.graphql");
const CUSTOMERS: &str = include_str!("shopify_customers.graphql");

/// How far one kind of thing is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Reading {
    /// Since when the question under way asks; `None` is from the beginning.
    since: Option<Timestamp>,
    /// When the last one that was read was changed.
    seen: Option<Timestamp>,
    /// Shopify's own cursor behind it.
    after: Option<String>,
    /// How many were read behind this question.
    objects: usize,
    /// What was read last, by its id with the moment of its change: the next round meets it again.
    recent: BTreeMap<String, Timestamp>,
}

impl Reading {
    /// A question that begins anew at this moment.
    fn from(self, since: Option<Timestamp>) -> Reading {
        Reading { since, after: None, objects: 0, ..self }
    }

    /// Whether this very state of it was read before.
    fn knows(&self, node: &Value) -> bool {
        mark(node).is_some_and(|(id, at)| self.recent.get(&id) == Some(&at))
    }

    /// Notes what was read, and forgets what no further round meets.
    fn note(&mut self, nodes: &[Value]) {
        let marks: Vec<(String, Timestamp)> = nodes.iter().filter_map(mark).collect();
        self.objects += nodes.len();
        self.seen = self.seen.max(marks.iter().map(|(_, at)| *at).max());
        self.recent.extend(marks);
        let since = self.overlap();
        self.recent.retain(|_, at| since.is_none_or(|since| *at >= since));
        while self.recent.len() > RECENT {
            self.recent.pop_first();
        }
    }

    /// Where the next round begins.
    fn overlap(&self) -> Option<Timestamp> {
        self.seen.and_then(|seen| seen.checked_sub(OVERLAP_MINUTES.minutes()).ok())
    }
}

/// What a thing is known again by: its id, and when it was changed.
fn mark(node: &Value) -> Option<(String, Timestamp)> {
    let id = match node.get("legacyResourceId")? {
        Value::String(id) => id.clone(),
        id => id.to_string(),
    };
    Some((id, node.get("updatedAt")?.as_str()?.parse().ok()?))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    #[default]
    Orders,
    Customers,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Cursor {
    phase: Phase,
    orders: Reading,
    customers: Reading,
}

impl Cursor {
    fn reading(&mut self) -> &mut Reading {
        match self.phase {
            Phase::Orders => &mut self.orders,
            Phase::Customers => &mut self.customers,
        }
    }
}

pub(crate) struct ShopifyAdmin {
    store: Store,
    site: Arc<Site>,
    source_key: String,
    settings: Settings,
    token: Secret,
    shop: String,
    /// By how much the pages are divided, because they were too dear.
    divisor: usize,
}

/// A shop's own host.
///
/// # Errors
/// How to write it.
pub(crate) fn check_shop(text: &str) -> Result<String, &'static str> {
    let text = text.trim().to_lowercase();
    let name = text.strip_suffix(".myshopify.com").unwrap_or(&text);
    let is_name = !name.is_empty() && !name.starts_with('-') && name.len() <= 60;
    if is_name && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        Ok(format!("{name}.myshopify.com"))
    } else {
        Err("a shop is named by its own host, my-shop.myshopify.com")
    }
}

/// One answered question.
struct Answered {
    nodes: Vec<Value>,
    next: Option<String>,
    wait: Option<Duration>,
}

impl ShopifyAdmin {
    pub(crate) fn new(store: Store, site: Arc<Site>, source: &Source, shop: &str) -> ShopifyAdmin {
        ShopifyAdmin {
            store,
            site,
            source_key: source.key.clone(),
            settings: source.settings.clone(),
            token: source.secret.clone(),
            shop: shop.to_owned(),
            divisor: 1,
        }
    }

    fn ask(&mut self, client: &Client, phase: Phase, reading: &Reading, now: Timestamp) -> Result<Answered, PullError> {
        let (query, field, at_once) = match phase {
            Phase::Orders => (ORDERS, "orders", ORDERS_AT_ONCE),
            Phase::Customers => (CUSTOMERS, "customers", CUSTOMERS_AT_ONCE),
        };
        loop {
            let first = (at_once / self.divisor).max(1);
            let asked = json!({ "query": query, "variables": {
                "first": first,
                "after": reading.after,
                "changed": reading.since.map(|since| format!("updated_at:>='{since}'")),
            }});
            let text = asked.to_string();
            let body = Body { content_type: "application/json", bytes: text.as_bytes() };
            let path = format!("/admin/api/{VERSION}/graphql.json");
            let token = [("x-shopify-access-token", self.token.expose())];
            let answer = client.post(&self.shop, &path, &token, &body, now)?;
            match errors(&answer) {
                None => return answered(&answer, field),
                Some(Fault::TooDear) if first > 1 => self.divisor *= 2,
                Some(Fault::TooDear) => return Err(PullError::Odd("one object alone costs too much".to_owned())),
                Some(Fault::Throttled) => return Err(PullError::Busy { retry_after: throttled(&answer) }),
                Some(Fault::Denied(why)) => return Err(PullError::NeedsKey(why)),
                Some(Fault::Other(why)) => return Err(PullError::Odd(why)),
            }
        }
    }

    /// What a page tells, in the messages of the webhooks.
    fn read(&self, phase: Phase, nodes: &[Value], now: Timestamp) -> Result<webhook::Told, PullError> {
        let away = |error: crate::store::StoreError| PullError::Away(error.to_string());
        let sender = super::sender(&self.site, &self.source_key, now);
        let things: Vec<FromShopify> = match phase {
            Phase::Orders => nodes.iter().map(|node| FromShopify::Order(order(node))).collect(),
            Phase::Customers => nodes.iter().map(|node| FromShopify::Customer(customer(node))).collect(),
        };
        let ids = webhook::shopify_order_ids(&things, &self.settings, &sender);
        let known: HashSet<String> = match ids.is_empty() {
            true => HashSet::new(),
            false => self.store.trusted_orders(self.site.site_id, &ids).map_err(away)?,
        };
        Ok(webhook::read_shopify(&things, &known, &self.settings, &sender))
    }
}

impl Connector for ShopifyAdmin {
    fn page(&mut self, client: &Client, cursor: &Value, now: Timestamp) -> Result<Page, PullError> {
        let odd = |error: serde_json::Error| PullError::Odd(format!("the cursor cannot be read: {error}"));
        let mut cursor: Cursor = serde_json::from_value(cursor.clone()).map_err(odd)?;
        let phase = cursor.phase;
        let reading = cursor.reading();
        // A cursor of Shopify's that it does not know any more is no reason to stand still.
        let answered = match self.ask(client, phase, reading, now) {
            Err(PullError::Odd(_)) if reading.after.is_some() => {
                let since = reading.seen.or(reading.since);
                *reading = std::mem::take(reading).from(since);
                self.ask(client, phase, reading, now)?
            }
            answered => answered?,
        };
        let new: Vec<Value> = answered.nodes.iter().filter(|node| !reading.knows(node)).cloned().collect();
        reading.note(&answered.nodes);
        let told = self.read(phase, &new, now)?;
        let more = match answered.next {
            Some(_) if reading.objects >= OBJECTS && reading.seen > reading.since => {
                let since = reading.seen;
                *reading = std::mem::take(reading).from(since);
                true
            }
            Some(next) => {
                reading.after = Some(next);
                true
            }
            None => {
                let since = reading.overlap();
                *reading = std::mem::take(reading).from(since);
                cursor.phase = match phase {
                    Phase::Orders => Phase::Customers,
                    Phase::Customers => Phase::Orders,
                };
                phase == Phase::Orders
            }
        };
        let cursor = serde_json::to_value(cursor).map_err(odd)?;
        Ok(Page { cursor, brings: Brings::Messages(told), more, wait: answered.wait })
    }
}

/// What GraphQL's errors mean; they come with status 200.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    TooDear,
    Throttled,
    Denied(String),
    Other(String),
}

fn errors(answer: &Value) -> Option<Fault> {
    let errors = answer.get("errors")?.as_array().filter(|errors| !errors.is_empty())?;
    let codes: Vec<&str> =
        errors.iter().filter_map(|error| error.pointer("/extensions/code").and_then(Value::as_str)).collect();
    let said: String = errors.iter().filter_map(|error| error.get("message")?.as_str()).take(1).collect();
    let said: String = said.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(match () {
        () if codes.contains(&"MAX_COST_EXCEEDED") => Fault::TooDear,
        () if codes.contains(&"THROTTLED") => Fault::Throttled,
        () if codes.contains(&"ACCESS_DENIED") => Fault::Denied(said),
        () => Fault::Other(said),
    })
}

fn answered(answer: &Value, field: &str) -> Result<Answered, PullError> {
    let things = answer.pointer(&format!("/data/{field}"));
    let things = things.ok_or_else(|| PullError::Odd(format!("Shopify's answer has no {field}")))?;
    let nodes = things.get("nodes").and_then(Value::as_array).cloned();
    let nodes = nodes.ok_or_else(|| PullError::Odd(format!("Shopify's {field} have no nodes")))?;
    let has_next = things.pointer("/pageInfo/hasNextPage").and_then(Value::as_bool).unwrap_or(false);
    let end = things.pointer("/pageInfo/endCursor").and_then(Value::as_str).map(str::to_owned);
    let next = end.filter(|_| has_next);
    Ok(Answered { nodes, next, wait: throttled(answer) })
}

/// How long until the bucket holds what the same question costs; `None` where it does now.
fn throttled(answer: &Value) -> Option<Duration> {
    let number = |path: &str| answer.pointer(path).and_then(Value::as_f64);
    let cost = number("/extensions/cost/requestedQueryCost")?;
    let left = number("/extensions/cost/throttleStatus/currentlyAvailable")?;
    let per_second = number("/extensions/cost/throttleStatus/restoreRate").filter(|rate| *rate > 0.0)?;
    let seconds = ((cost - left) / per_second).min(600.0);
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds))
}

/// A member by path, or null.
fn at<'a>(node: &'a Value, path: &str) -> &'a Value {
    node.pointer(path).unwrap_or(&Value::Null)
}

fn lower(value: &Value) -> Option<String> {
    value.as_str().map(str::to_lowercase)
}

fn nodes<'a>(node: &'a Value, path: &str) -> &'a [Value] {
    node.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The digits of an order's name: what the webhook calls its number, where the shop puts nothing with digits around it.
fn number(name: &Value) -> Option<String> {
    let digits: String = name.as_str()?.chars().filter(char::is_ascii_digit).collect();
    Some(digits).filter(|digits| !digits.is_empty())
}

/// An order as the webhook writes it.
fn order(node: &Value) -> Value {
    let lines_end = at(node, "/lineItems/pageInfo/hasNextPage") == &Value::Bool(true);
    let codes: Vec<Value> = nodes(node, "/discountCodes").iter().map(|code| json!({ "code": code })).collect();
    let currency = at(node, "/totalPriceSet/shopMoney/currencyCode");
    json!({
        "id": at(node, "/legacyResourceId"),
        "order_number": number(at(node, "/name")),
        "email": at(node, "/email"),
        "phone": at(node, "/phone"),
        "created_at": at(node, "/createdAt"),
        "updated_at": at(node, "/updatedAt"),
        "cancelled_at": at(node, "/cancelledAt"),
        "cancel_reason": lower(at(node, "/cancelReason")),
        "currency": if currency.is_null() { at(node, "/currencyCode") } else { currency },
        "financial_status": lower(at(node, "/displayFinancialStatus")),
        "total_price": at(node, "/totalPriceSet/shopMoney/amount"),
        "subtotal_price": at(node, "/subtotalPriceSet/shopMoney/amount"),
        "total_tax": at(node, "/totalTaxSet/shopMoney/amount"),
        "total_discounts": at(node, "/totalDiscountsSet/shopMoney/amount"),
        "total_shipping_price_set": { "shop_money": { "amount": at(node, "/totalShippingPriceSet/shopMoney/amount") } },
        "discount_codes": codes,
        // Half a list of products would be a wrong one.
        "line_items": if lines_end { Vec::new() } else { nodes(node, "/lineItems/nodes").iter().map(line).collect() },
        "customer": {
            "id": at(node, "/customer/legacyResourceId"),
            "email": at(node, "/customer/defaultEmailAddress/emailAddress"),
            "phone": at(node, "/customer/defaultPhoneNumber/phoneNumber"),
        },
        "refunds": nodes(node, "/refunds").iter().map(refund).collect::<Vec<_>>(),
    })
}

fn line(node: &Value) -> Value {
    json!({
        "product_id": at(node, "/product/legacyResourceId"),
        "sku": at(node, "/sku"),
        "title": at(node, "/title"),
        "variant_title": at(node, "/variantTitle"),
        "vendor": at(node, "/vendor"),
        "price": at(node, "/originalUnitPriceSet/shopMoney/amount"),
        "quantity": at(node, "/quantity"),
    })
}

fn refund(node: &Value) -> Value {
    let transaction = |node: &Value| {
        json!({
            "kind": lower(at(node, "/kind")),
            "status": lower(at(node, "/status")),
            "amount_set": { "shop_money": {
                "amount": at(node, "/amountSet/shopMoney/amount"),
                "currency_code": at(node, "/amountSet/shopMoney/currencyCode"),
            } },
        })
    };
    let mut transactions: Vec<Value> = nodes(node, "/transactions/nodes").iter().map(transaction).collect();
    if at(node, "/transactions/pageInfo/hasNextPage") == &Value::Bool(true) {
        // The sum of some is no refund: without an amount it is rejected, and its owner sees it.
        transactions.push(json!({ "kind": "refund", "status": "success" }));
    }
    json!({
        "id": at(node, "/legacyResourceId"),
        "created_at": at(node, "/createdAt"),
        "note": at(node, "/note"),
        "transactions": transactions,
    })
}

/// A customer as the webhook writes it.
fn customer(node: &Value) -> Value {
    let tags: Vec<&str> = nodes(node, "/tags").iter().filter_map(Value::as_str).collect();
    json!({
        "id": at(node, "/legacyResourceId"),
        "email": at(node, "/defaultEmailAddress/emailAddress"),
        "phone": at(node, "/defaultPhoneNumber/phoneNumber"),
        "first_name": at(node, "/firstName"),
        "last_name": at(node, "/lastName"),
        "created_at": at(node, "/createdAt"),
        "updated_at": at(node, "/updatedAt"),
        "tags": tags.join(", "),
        "default_address": { "city": at(node, "/defaultAddress/city"), "country_code": at(node, "/defaultAddress/countryCodeV2") },
        "email_marketing_consent": { "state": lower(at(node, "/defaultEmailAddress/marketingState")) },
        "sms_marketing_consent": { "state": lower(at(node, "/defaultPhoneNumber/marketingState")) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_is_its_own_host_and_no_other() {
        assert_eq!(check_shop(" My-Shop "), Ok("my-shop.myshopify.com".to_owned()));
        assert_eq!(check_shop("my-shop.myshopify.com"), Ok("my-shop.myshopify.com".to_owned()));
        for text in ["", "shop.example", "a/b", "evil.example#.myshopify.com", "-a", "a@b"] {
            assert!(check_shop(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_bucket_is_waited_for_only_where_it_holds_too_little() {
        let told = |left: f64| {
            json!({ "extensions": { "cost": { "requestedQueryCost": 400,
                "throttleStatus": { "maximumAvailable": 2000.0, "currentlyAvailable": left, "restoreRate": 100.0 } } } })
        };
        assert_eq!(throttled(&told(1_600.0)), None);
        assert_eq!(throttled(&told(200.0)), Some(Duration::from_secs(2)));
        assert_eq!(throttled(&json!({})), None);
    }

    #[test]
    fn errors_that_come_with_status_200_are_told_apart_by_their_code() {
        let answer = |code: &str| json!({ "errors": [{ "message": "words", "extensions": { "code": code } }] });
        assert_eq!(errors(&answer("THROTTLED")), Some(Fault::Throttled));
        assert_eq!(errors(&answer("MAX_COST_EXCEEDED")), Some(Fault::TooDear));
        assert_eq!(errors(&answer("ACCESS_DENIED")), Some(Fault::Denied("words".into())));
        assert_eq!(errors(&answer("INTERNAL_SERVER_ERROR")), Some(Fault::Other("words".into())));
        assert_eq!(errors(&json!({ "data": {} })), None);
    }

    #[test]
    fn what_the_overlap_meets_in_the_same_state_is_known_and_what_has_changed_is_not() {
        let node = |id: &str, minute: u32| json!({ "legacyResourceId": id, "updatedAt": format!("2026-11-26T10:{minute:02}:00Z") });
        let mut reading = Reading::default();
        reading.note(&[node("1", 0), node("2", 20), node("3", 30)]);
        assert_eq!(reading.overlap(), "2026-11-26T10:15:00Z".parse().ok());
        assert!(reading.knows(&node("2", 20)) && reading.knows(&node("3", 30)));
        assert!(!reading.knows(&node("2", 25)), "it has changed since");
        assert_eq!(reading.recent.len(), 2, "the next round begins after the first one");
        let many: Vec<Value> = (0..2_000).map(|n| node(&n.to_string(), 40)).collect();
        reading.note(&many);
        assert_eq!(reading.recent.len(), RECENT);
    }

    #[test]
    fn a_refund_of_more_transactions_than_are_read_has_no_amount() {
        let node =
            json!({ "legacyResourceId": "9", "transactions": { "nodes": [], "pageInfo": { "hasNextPage": true } } });
        assert_eq!(refund(&node)["transactions"][0]["amount_set"], Value::Null);
    }

    #[test]
    fn half_a_list_of_products_is_none() {
        let node = json!({ "legacyResourceId": "1", "lineItems": { "nodes": [{ "title": "a" }], "pageInfo": { "hasNextPage": true } } });
        assert_eq!(order(&node)["line_items"], json!([]));
    }
}
