//! WooCommerce: signed with the HMAC-SHA256 of the body in base64, in `X-WC-Webhook-Signature`.
//!
//! A webhook that is saved sends a ping first, `webhook_id=7` without a signature, and is switched off unless that is
//! answered well; it says nothing and is taken for what it is. There is no signed time, see [`super::shopify`].

use super::{Maker, OrderIds, Person, Request, Told, Unsigned, at, check_base64_hmac, filled, list, moment_at, object};
use super::{text_at, unknown};
use crate::intake::Reason;
use crate::intake::screen::Fault;
use domain::event::{ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED, ORDER_UPDATED};
use domain::identity::Kind as IdentityKind;
use serde_json::{Map, Value, json};

pub(super) const TOPIC_HEADER: &str = "x-wc-webhook-topic";

pub(super) fn check(secret: &str, request: &Request<'_>) -> Result<(), Unsigned> {
    if is_ping(request) { Ok(()) } else { check_base64_hmac(secret, request, "x-wc-webhook-signature") }
}

pub(super) fn tell(request: &Request<'_>, maker: &Maker<'_>) -> Told {
    let mut told = Told::default();
    if is_ping(request) {
        return told;
    }
    let body = match request.json() {
        Ok(body) => body,
        Err(fault) => {
            told.refuse(fault, request.body);
            return told;
        }
    };
    match request.header(TOPIC_HEADER).unwrap_or_default().as_str() {
        "order.created" | "order.updated" | "order.restored" => order(&body, maker, &mut told),
        "order.deleted" => {
            if let Some(id) = text_at(&body, &["id"]).filter(|_| maker.settings.order_ids == OrderIds::Id) {
                cancelled(&id, maker.now_us(), "deleted", maker, &body, &mut told);
            }
        }
        "customer.created" | "customer.updated" => customer(&body, maker, &mut told),
        other => told.refuse(unknown(&format!("topic {other}")), request.body),
    }
    told
}

fn is_ping(request: &Request<'_>) -> bool {
    let number = request.body.strip_prefix(b"webhook_id=");
    request.header("x-wc-webhook-signature").is_none()
        && number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// In these states the order was placed; before them it is a cart on its way to the till.
const PLACED: [&str; 4] = ["on-hold", "processing", "completed", "refunded"];
/// In these it came to nothing. A failed payment is not one of them: the next try may work.
const CALLED_OFF: [&str; 2] = ["cancelled", "trash"];

fn order(order: &Value, maker: &Maker<'_>, told: &mut Told) {
    let own = match maker.settings.order_ids {
        OrderIds::Id => text_at(order, &["id"]),
        OrderIds::Number => text_at(order, &["number"]),
    };
    let (Some(own), Some(status)) = (own, text_at(order, &["status"])) else {
        told.note(Err(Fault::new(Reason::BadOrder, "the order has no id or no status")), order);
        return;
    };
    let created_us = moment_at(order, &["date_created_gmt"]).unwrap_or(maker.now_us());
    let modified_us = moment_at(order, &["date_modified_gmt"]).unwrap_or(created_us);
    let modified = text_at(order, &["date_modified_gmt"]).unwrap_or_default();
    if CALLED_OFF.contains(&status.as_str()) {
        cancelled(&own, modified_us, &modified, maker, order, told);
        return;
    }
    if !PLACED.contains(&status.as_str()) {
        return;
    }
    let properties = properties(order, &maker.order_id(&own), &status);
    if maker.is_known_again(created_us) {
        let id = format!("order:{own}:completed");
        told.note(maker.track(ORDER_COMPLETED, created_us, &id, &person(order, maker), properties.clone()), order);
    }
    if modified_us > created_us {
        let id = format!("order:{own}:updated:{modified}");
        // Whether it was called off before is not said: it is in force now.
        let mut properties = properties;
        properties.insert("cancelled".to_owned(), false.into());
        told.note(maker.track(ORDER_UPDATED, modified_us, &id, &Person::new(), properties), order);
    }
    for refund in list(order, "refunds") {
        let Some(id) = text_at(refund, &["id"]) else { continue };
        let said = object([
            ("order_id", Some(maker.order_id(&own).into())),
            ("refund_id", Some(id.as_str().into())),
            ("amount", Some(at(refund, &["total"]).clone())),
            ("currency", Some(at(order, &["currency"]).clone())),
            ("reason", text_at(refund, &["reason"]).map(Value::from)),
        ]);
        let message_id = format!("refund:{id}");
        told.note(maker.track(ORDER_REFUNDED, modified_us, &message_id, &Person::new(), said), refund);
    }
}

/// `which` tells one calling off of the order from another.
fn cancelled(own: &str, at_us: i64, which: &str, maker: &Maker<'_>, order: &Value, told: &mut Told) {
    let said = object([("order_id", Some(maker.order_id(own).into()))]);
    let id = format!("order:{own}:cancelled:{which}");
    told.note(maker.track(ORDER_CANCELLED, at_us, &id, &Person::new(), said), order);
}

fn person(order: &Value, maker: &Maker<'_>) -> Person {
    let mut person = Person::new();
    // 0 is a guest.
    person.extend(text_at(order, &["customer_id"]).filter(|id| id != "0").map(|id| maker.external(&id)));
    person.extend(text_at(order, &["billing", "email"]).map(|email| (IdentityKind::Email, email)));
    person.extend(text_at(order, &["billing", "phone"]).map(|phone| (IdentityKind::Phone, phone)));
    person
}

fn properties(order: &Value, order_id: &str, status: &str) -> Map<String, Value> {
    let lines = list(order, "line_items").iter().map(|line| {
        Value::Object(object([
            ("product_id", text_at(line, &["product_id"]).map(Value::from)),
            ("sku", text_at(line, &["sku"]).map(Value::from)),
            ("name", text_at(line, &["name"]).map(Value::from)),
            ("variant", text_at(line, &["variation_id"]).filter(|id| id != "0").map(Value::from)),
            ("price", Some(at(line, &["price"]).clone())),
            ("quantity", Some(at(line, &["quantity"]).clone())),
        ]))
    });
    object([
        ("order_id", Some(order_id.into())),
        ("total", Some(at(order, &["total"]).clone())),
        ("currency", Some(at(order, &["currency"]).clone())),
        ("tax", Some(at(order, &["total_tax"]).clone())),
        ("discount", Some(at(order, &["discount_total"]).clone())),
        ("shipping", Some(at(order, &["shipping_total"]).clone())),
        ("coupon", list(order, "coupon_lines").first().and_then(|coupon| coupon.get("code")).cloned()),
        ("order_number", text_at(order, &["number"]).map(Value::from)),
        ("payment_status", Some(json!(status))),
        ("products", filled(lines.collect())),
    ])
}

fn customer(customer: &Value, maker: &Maker<'_>, told: &mut Told) {
    let Some(id) = text_at(customer, &["id"]) else {
        told.note(Err(Fault::new(Reason::MissingIdentity, "the customer has no id")), customer);
        return;
    };
    let email = text_at(customer, &["email"]).or_else(|| text_at(customer, &["billing", "email"]));
    let phone = text_at(customer, &["billing", "phone"]);
    let mut person = vec![maker.external(&id)];
    person.extend(email.clone().map(|email| (IdentityKind::Email, email)));
    person.extend(phone.clone().map(|phone| (IdentityKind::Phone, phone)));
    let traits = object([
        ("email", email.map(Value::from)),
        ("phone", phone.map(Value::from)),
        ("firstName", text_at(customer, &["first_name"]).map(Value::from)),
        ("lastName", text_at(customer, &["last_name"]).map(Value::from)),
        ("username", text_at(customer, &["username"]).map(Value::from)),
        ("createdAt", text_at(customer, &["date_created_gmt"]).map(|at| json!(format!("{at}Z")))),
        ("country", text_at(customer, &["billing", "country"]).map(Value::from)),
        ("city", text_at(customer, &["billing", "city"]).map(Value::from)),
    ]);
    let modified = text_at(customer, &["date_modified_gmt"]).unwrap_or_default();
    let at_us = moment_at(customer, &["date_modified_gmt"])
        .or_else(|| moment_at(customer, &["date_created_gmt"]))
        .unwrap_or(maker.now_us());
    told.note(maker.identify(at_us, &format!("customer:{id}:{modified}"), &person, traits), customer);
}
