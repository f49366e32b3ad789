//! Shopify: signed with the HMAC-SHA256 of the body in base64, in `X-Shopify-Hmac-Sha256`.
//!
//! There is no signed time, so an old request cannot be told by its signature; its message ids make it a duplicate. An
//! order is the same whichever topic tells of it: each tells of its placing, under one message id, and of what changed.

use super::{Maker, OrderIds, Person, Request, Told, Unsigned, at, check_base64_hmac, filled, list, moment_at, object};
use super::{text, text_at, unknown};
use crate::intake::Reason;
use crate::intake::screen::Fault;
use domain::event::{ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED, ORDER_UPDATED};
use domain::identity::Kind as IdentityKind;
use domain::money::{Currency, Money};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

pub(super) const TOPIC_HEADER: &str = "x-shopify-topic";

pub(super) fn check(secret: &str, request: &Request<'_>) -> Result<(), Unsigned> {
    check_base64_hmac(secret, request, "x-shopify-hmac-sha256")
}

pub(super) fn tell(request: &Request<'_>, maker: &Maker<'_>) -> Told {
    let topic = request.header(TOPIC_HEADER).unwrap_or_default();
    let mut told = Told::default();
    let body = match request.json() {
        Ok(body) => body,
        Err(fault) => {
            told.refuse(fault, request.body);
            return told;
        }
    };
    match topic.as_str() {
        "orders/create" | "orders/updated" | "orders/paid" | "orders/cancelled" => {
            order(&body, ToldBy::Topic(&topic), maker, &mut told);
        }
        // It names the order by its id alone, so where pages report numbers the order's own update tells of it.
        "refunds/create" if maker.settings.order_ids == OrderIds::Id => {
            let order_id = text_at(&body, &["order_id"]);
            refund(&body, order_id.as_deref(), maker, &mut told);
        }
        "refunds/create" => {}
        "customers/create" | "customers/update" => customer(&body, maker, &mut told),
        other => told.refuse(unknown(&format!("topic {other}")), request.body),
    }
    told
}

/// Something of a shop's that was asked for, in the form of the webhooks.
pub(crate) enum FromShopify {
    Order(Value),
    Customer(Value),
}

/// Who tells of an order.
#[derive(Clone, Copy)]
enum ToldBy<'a> {
    /// A webhook, on this topic.
    Topic(&'a str),
    /// It was asked for. The ids of orders that a trusted source has told of already are known.
    Asked(&'a HashSet<String>),
}

/// What was asked for, as the webhooks would have told it. `known` are orders that a trusted source has told of.
pub(super) fn asked(things: &[FromShopify], known: &HashSet<String>, maker: &Maker<'_>) -> Told {
    let mut told = Told::default();
    for thing in things {
        match thing {
            FromShopify::Order(body) => order(body, ToldBy::Asked(known), maker, &mut told),
            FromShopify::Customer(body) => customer(body, maker, &mut told),
        }
    }
    told
}

/// The order's id among those of the site; `None` where it has none.
pub(super) fn order_id(thing: &FromShopify, maker: &Maker<'_>) -> Option<String> {
    match thing {
        FromShopify::Order(body) => own_id(body, maker).map(|own| maker.order_id(&own)),
        FromShopify::Customer(_) => None,
    }
}

fn own_id(order: &Value, maker: &Maker<'_>) -> Option<String> {
    match maker.settings.order_ids {
        OrderIds::Id => text_at(order, &["id"]),
        OrderIds::Number => text_at(order, &["order_number"]),
    }
}

/// A moment as part of a message id: the same in whatever zone it is written.
fn stamp(value: &Value, key: &str) -> String {
    moment_at(value, &[key]).map_or_else(String::new, |us| crate::store::instant(us).to_string())
}

fn order(order: &Value, by: ToldBy<'_>, maker: &Maker<'_>, told: &mut Told) {
    let Some(own) = own_id(order, maker) else {
        told.note(Err(Fault::new(Reason::BadOrder, "the order has no id")), order);
        return;
    };
    let created_us = moment_at(order, &["created_at"]).unwrap_or(maker.now_us());
    let updated_us = moment_at(order, &["updated_at"]).unwrap_or(created_us);
    let properties = properties(order, &maker.order_id(&own));
    let placed = format!("order:{own}:completed");
    let is_new = match by {
        ToldBy::Topic(_) => false,
        ToldBy::Asked(known) => !known.contains(&maker.order_id(&own)),
    };
    if maker.is_known_again(created_us) {
        told.note(maker.track(ORDER_COMPLETED, created_us, &placed, &person(order, maker), properties.clone()), order);
    } else if is_new {
        // Nobody else tells of it any more, so its event has an id for ever.
        told.note(
            maker.track_for_ever(ORDER_COMPLETED, created_us, &placed, &person(order, maker), properties.clone()),
            order,
        );
    }
    if !matches!(by, ToldBy::Topic("orders/create")) {
        let updated = format!("order:{own}:updated:{}", stamp(order, "updated_at"));
        told.note(maker.track(ORDER_UPDATED, updated_us, &updated, &Person::new(), properties), order);
    }
    if let Some(cancelled_us) = moment_at(order, &["cancelled_at"]) {
        let said = object([
            ("order_id", Some(maker.order_id(&own).into())),
            ("reason", Some(at(order, &["cancel_reason"]).clone())),
        ]);
        let id = format!("order:{own}:cancelled");
        told.note(maker.track(ORDER_CANCELLED, cancelled_us, &id, &Person::new(), said), order);
    }
    for given_back in list(order, "refunds") {
        refund(given_back, Some(&own), maker, told);
    }
}

fn person(order: &Value, maker: &Maker<'_>) -> Person {
    let mut person = Person::new();
    person.extend(text_at(order, &["customer", "id"]).map(|id| maker.external(&id)));
    for path in [&["email"][..], &["contact_email"], &["customer", "email"]] {
        person.extend(text_at(order, path).map(|email| (IdentityKind::Email, email)));
    }
    for path in [&["phone"][..], &["customer", "phone"]] {
        person.extend(text_at(order, path).map(|phone| (IdentityKind::Phone, phone)));
    }
    person
}

fn properties(order: &Value, order_id: &str) -> Map<String, Value> {
    let codes = list(order, "discount_codes").first().and_then(|code| code.get("code"));
    let lines = list(order, "line_items").iter().map(|line| {
        Value::Object(object([
            ("product_id", text_at(line, &["product_id"]).map(Value::from)),
            ("sku", text_at(line, &["sku"]).map(Value::from)),
            ("name", text_at(line, &["title"]).map(Value::from)),
            ("variant", text_at(line, &["variant_title"]).map(Value::from)),
            ("brand", text_at(line, &["vendor"]).map(Value::from)),
            ("price", Some(at(line, &["price"]).clone())),
            ("quantity", Some(at(line, &["quantity"]).clone())),
        ]))
    });
    object([
        ("order_id", Some(order_id.into())),
        // What was paid at first: refunds are told by themselves.
        ("total", Some(at(order, &["total_price"]).clone())),
        ("currency", Some(at(order, &["currency"]).clone())),
        ("subtotal", Some(at(order, &["subtotal_price"]).clone())),
        ("tax", Some(at(order, &["total_tax"]).clone())),
        ("discount", Some(at(order, &["total_discounts"]).clone())),
        ("shipping", Some(at(order, &["total_shipping_price_set", "shop_money", "amount"]).clone())),
        ("coupon", codes.cloned()),
        ("order_number", text_at(order, &["order_number"]).map(Value::from)),
        ("payment_status", Some(at(order, &["financial_status"]).clone())),
        ("products", filled(lines.collect())),
    ])
}

/// What was given back is what its successful transactions say; one without any gave back goods alone.
fn refund(refund: &Value, order_id: Option<&str>, maker: &Maker<'_>, told: &mut Told) {
    let given_back = list(refund, "transactions")
        .iter()
        .filter(|transaction| at(transaction, &["kind"]) == "refund" && at(transaction, &["status"]) == "success");
    let mut sum: Option<Money> = None;
    for transaction in given_back {
        // A shop that sells in other currencies keeps its books in its own.
        let (amount, currency) = match text_at(transaction, &["amount_set", "shop_money", "amount"]) {
            Some(amount) => (Some(amount), text_at(transaction, &["amount_set", "shop_money", "currency_code"])),
            None => (text_at(transaction, &["amount"]), text_at(transaction, &["currency"])),
        };
        let currency = currency.and_then(|code| code.parse::<Currency>().ok()).unwrap_or(maker.sender.site.currency);
        let Some(money) = amount.and_then(|amount| Money::parse(&amount, currency).ok()) else {
            told.note(Err(Fault::new(Reason::BadOrder, "a refund's transaction has no amount")), refund);
            return;
        };
        let before = sum.map_or(0, |sum| sum.minor);
        sum = Some(Money { minor: before.saturating_add(money.minor), currency });
    }
    let Some(sum) = sum else { return };
    let (Some(id), Some(order_id)) = (text_at(refund, &["id"]), order_id) else {
        told.note(Err(Fault::new(Reason::BadOrder, "the refund has no id, or names no order")), refund);
        return;
    };
    let at_us = moment_at(refund, &["processed_at"]).or_else(|| moment_at(refund, &["created_at"]));
    let lines = list(refund, "refund_line_items").iter().map(|line| {
        Value::Object(object([
            ("product_id", text_at(line, &["line_item", "product_id"]).map(Value::from)),
            ("name", text_at(line, &["line_item", "title"]).map(Value::from)),
            ("price", Some(at(line, &["line_item", "price"]).clone())),
            ("quantity", Some(at(line, &["quantity"]).clone())),
        ]))
    });
    let said = object([
        ("order_id", Some(maker.order_id(order_id).into())),
        ("refund_id", Some(id.as_str().into())),
        ("amount", Some(sum.decimal().into())),
        ("currency", Some(sum.currency.code().into())),
        ("reason", text(at(refund, &["note"])).map(Value::from)),
        ("products", filled(lines.collect())),
    ]);
    let message_id = format!("refund:{id}");
    let at_us = at_us.unwrap_or(maker.now_us());
    told.note(maker.track(ORDER_REFUNDED, at_us, &message_id, &Person::new(), said), refund);
}

fn customer(customer: &Value, maker: &Maker<'_>, told: &mut Told) {
    let Some(id) = text_at(customer, &["id"]) else {
        told.note(Err(Fault::new(Reason::MissingIdentity, "the customer has no id")), customer);
        return;
    };
    let mut person = vec![maker.external(&id)];
    person.extend(text_at(customer, &["email"]).map(|email| (IdentityKind::Email, email)));
    person.extend(text_at(customer, &["phone"]).map(|phone| (IdentityKind::Phone, phone)));
    // `accepts_marketing` is what it was called before the consent had a state of its own.
    let opt_in = |consent: &str| text_at(customer, &[consent, "state"]).map(|state| json!(state == "subscribed"));
    let before = customer.get("accepts_marketing").filter(|accepts| accepts.is_boolean()).cloned();
    let traits = object([
        ("email", text_at(customer, &["email"]).map(Value::from)),
        ("phone", text_at(customer, &["phone"]).map(Value::from)),
        ("firstName", text_at(customer, &["first_name"]).map(Value::from)),
        ("lastName", text_at(customer, &["last_name"]).map(Value::from)),
        ("createdAt", text_at(customer, &["created_at"]).map(Value::from)),
        ("country", text_at(customer, &["default_address", "country_code"]).map(Value::from)),
        ("city", text_at(customer, &["default_address", "city"]).map(Value::from)),
        ("tags", text_at(customer, &["tags"]).map(Value::from)),
        ("email_opt_in", opt_in("email_marketing_consent").or(before)),
        ("sms_opt_in", opt_in("sms_marketing_consent")),
    ]);
    let at_us = moment_at(customer, &["updated_at"]).unwrap_or(maker.now_us());
    let message_id = format!("customer:{id}:{}", stamp(customer, "updated_at"));
    told.note(maker.identify(at_us, &message_id, &person, traits), customer);
}
