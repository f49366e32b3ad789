//! Stripe: `Stripe-Signature: t=…,v1=…` is the HMAC-SHA256 of time, a dot and the body, in hexadecimal digits; it may be
//! five minutes old, as Stripe's own libraries have it.
//!
//! A payment is one order whatever tells of it: its id is the shop's own where `metadata.order_id` names it, else that of
//! the payment intent, which a checkout, its charge and its refunds share.

use super::unknown;
use super::{Maker, Person, Request, Told, Unsigned, at, check_age, check_hmac, filled, hex, list, object, text_at};
use crate::intake::Reason;
use crate::intake::screen::Fault;
use domain::event::{ORDER_COMPLETED, ORDER_REFUNDED};
use domain::identity::Kind as IdentityKind;
use domain::money::{Currency, Money};
use serde_json::{Map, Value};

const NAMES_NO_REFUND: &str =
    "charge.refunded does not name its refund; leave it out at the vendor and add refund.created and refund.updated";

/// Seconds that a signature may be old.
const TOLERANCE_S: i64 = 300;

pub(super) fn tell(request: &Request<'_>, maker: &Maker<'_>) -> Told {
    let mut told = Told::default();
    match request.json() {
        Ok(event) => happened(&event, maker, &mut told),
        Err(fault) => told.refuse(fault, request.body),
    }
    told
}

pub(super) fn check(secret: &str, request: &Request<'_>, now_us: i64) -> Result<(), Unsigned> {
    let header = request.header("stripe-signature").ok_or(Unsigned::Missing)?;
    let mut parts = header.split(',').filter_map(|part| part.trim().split_once('='));
    let time = parts.clone().find(|(name, _)| *name == "t").map(|(_, time)| time).ok_or(Unsigned::Missing)?;
    let seconds = time.parse::<i64>().map_err(|_| Unsigned::Wrong)?;
    // While a secret is being changed there are several signatures.
    let right = parts.any(|(name, signature)| {
        let signature = hex(signature).filter(|_| name == "v1");
        signature.is_some_and(|given| check_hmac(secret, &[time.as_bytes(), b".", request.body], &given).is_ok())
    });
    if right { check_age(seconds, now_us, TOLERANCE_S) } else { Err(Unsigned::Wrong) }
}

fn happened(event: &Value, maker: &Maker<'_>, told: &mut Told) {
    let (Some(id), Some(kind)) = (text_at(event, &["id"]), text_at(event, &["type"])) else {
        told.note(Err(Fault::new(Reason::Unreadable, "an event has no id or no type")), event);
        return;
    };
    let at_us = seconds_at(event, &["created"]).unwrap_or(maker.now_us());
    let of = at(event, &["data", "object"]);
    let said = Said { id: &id, at_us, of, maker };
    match kind.as_str() {
        "checkout.session.completed" | "checkout.session.async_payment_succeeded" => said.checkout(told),
        "invoice.paid" => said.invoice(told),
        "charge.succeeded" => said.charge(told),
        "charge.refunded" => said.charge_refunded(told),
        "refund.created" | "refund.updated" => said.refund(of, told),
        "customer.created" | "customer.updated" => said.customer(told),
        other => told.note(Err(unknown(&format!("event {other}"))), event),
    }
}

/// One event and the object it is about.
struct Said<'a> {
    id: &'a str,
    at_us: i64,
    of: &'a Value,
    maker: &'a Maker<'a>,
}

impl Said<'_> {
    /// A checkout is paid at once, or when the money has arrived; an invoice's is told by the invoice.
    fn checkout(&self, told: &mut Told) {
        let is_paid = text_at(self.of, &["payment_status"]).is_none_or(|status| status != "unpaid");
        if !is_paid || text_at(self.of, &["invoice"]).is_some() {
            return;
        }
        let email = text_at(self.of, &["customer_details", "email"]).or_else(|| text_at(self.of, &["customer_email"]));
        let person = self.person(email, text_at(self.of, &["customer_details", "phone"]));
        let order_id = self.order_id(self.of, &[&["payment_intent"], &["id"]]);
        let said = object([
            ("subtotal", self.amount(&["amount_subtotal"])),
            ("discount", self.amount(&["total_details", "amount_discount"])),
            ("shipping", self.amount(&["total_details", "amount_shipping"])),
            ("tax", self.amount(&["total_details", "amount_tax"])),
        ]);
        self.placed(order_id, &["amount_total"], said, &person, told);
    }

    fn invoice(&self, told: &mut Told) {
        let person = self.person(text_at(self.of, &["customer_email"]), text_at(self.of, &["customer_phone"]));
        let order_id = self.order_id(self.of, &[&["payment_intent"], &["id"]]);
        let lines = list(at(self.of, &["lines"]), "data").iter().map(|line| {
            Value::Object(object([
                ("name", text_at(line, &["description"]).map(Value::from)),
                ("product_id", text_at(line, &["price", "product"]).map(Value::from)),
                ("price", self.money(line, &["amount"]).map(|money| money.decimal().into())),
            ]))
        });
        let said = object([
            ("subtotal", self.amount(&["subtotal"])),
            ("tax", self.amount(&["tax"])),
            ("products", filled(lines.collect())),
        ]);
        self.placed(order_id, &["amount_paid"], said, &person, told);
    }

    /// Only where neither a checkout nor an invoice tells the same; a checkout has the charge's payment intent for its
    /// id, so that both are one order.
    fn charge(&self, told: &mut Told) {
        if text_at(self.of, &["invoice"]).is_some() {
            return;
        }
        let email = text_at(self.of, &["billing_details", "email"]).or_else(|| text_at(self.of, &["receipt_email"]));
        let person = self.person(email, text_at(self.of, &["billing_details", "phone"]));
        let order_id = self.order_id(self.of, &[&["payment_intent"], &["id"]]);
        self.placed(order_id, &["amount"], Map::new(), &person, told);
    }

    fn placed(
        &self,
        order_id: Option<String>,
        total: &[&str],
        mut said: Map<String, Value>,
        person: &Person,
        told: &mut Told,
    ) {
        let event = match (order_id, self.money(self.of, total)) {
            (Some(order_id), Some(total)) => {
                said.extend(object([
                    ("order_id", Some(order_id.into())),
                    ("total", Some(total.decimal().into())),
                    ("currency", Some(total.currency.code().into())),
                ]));
                self.maker.track(ORDER_COMPLETED, self.at_us, self.id, person, said)
            }
            _ => Err(Fault::new(Reason::BadOrder, "the payment has no id, amount or currency")),
        };
        told.note(event, self.of);
    }

    /// Older versions of the API list a charge's refunds. Newer ones tell only how much was given back so far, which
    /// cannot be told from what `refund.created` says of the same refund.
    fn charge_refunded(&self, told: &mut Told) {
        let refunds = list(at(self.of, &["refunds"]), "data");
        for refund in refunds {
            self.refund(refund, told);
        }
        if refunds.is_empty() {
            told.note(Err(Fault::new(Reason::UnknownKind, NAMES_NO_REFUND)), self.of);
        }
    }

    /// Money is given back once the refund has succeeded, which may be days after it was asked for.
    fn refund(&self, refund: &Value, told: &mut Told) {
        if text_at(refund, &["status"]).is_some_and(|status| status != "succeeded") {
            return;
        }
        let of = if text_at(refund, &["payment_intent"]).or_else(|| text_at(refund, &["charge"])).is_some() {
            refund
        } else {
            self.of
        };
        let Some(refund_id) = text_at(refund, &["id"]) else {
            told.note(Err(Fault::new(Reason::BadOrder, "the refund has no id")), refund);
            return;
        };
        self.given_back(of, &refund_id, at(refund, &["amount"]).as_i64().unwrap_or(0), told);
    }

    fn given_back(&self, of: &Value, refund_id: &str, minor: i64, told: &mut Told) {
        let order_id = self.order_id(of, &[&["payment_intent"], &["charge"], &["id"]]);
        let event = match (order_id, self.money_of(of, minor)) {
            (Some(order_id), Some(amount)) => {
                let said = object([
                    ("order_id", Some(order_id.into())),
                    ("refund_id", Some(refund_id.into())),
                    ("amount", Some(amount.decimal().into())),
                    ("currency", Some(amount.currency.code().into())),
                    ("reason", text_at(of, &["reason"]).map(Value::from)),
                ]);
                // The same whichever event tells of it.
                let message_id = format!("refund:{refund_id}");
                self.maker.track(ORDER_REFUNDED, self.at_us, &message_id, &Person::new(), said)
            }
            _ => Err(Fault::new(Reason::BadOrder, "the refund names no payment or currency")),
        };
        told.note(event, of);
    }

    fn customer(&self, told: &mut Told) {
        let (email, phone) = (text_at(self.of, &["email"]), text_at(self.of, &["phone"]));
        let mut person = Person::new();
        person.extend(text_at(self.of, &["id"]).map(|id| self.maker.external(&id)));
        person.extend(email.clone().map(|email| (IdentityKind::Email, email)));
        person.extend(phone.clone().map(|phone| (IdentityKind::Phone, phone)));
        let traits = object([
            ("email", email.map(Value::from)),
            ("phone", phone.map(Value::from)),
            ("name", text_at(self.of, &["name"]).map(Value::from)),
            ("country", text_at(self.of, &["address", "country"]).map(Value::from)),
            ("city", text_at(self.of, &["address", "city"]).map(Value::from)),
        ]);
        told.note(self.maker.identify(self.at_us, self.id, &person, traits), self.of);
    }

    fn person(&self, email: Option<String>, phone: Option<String>) -> Person {
        let mut person = Person::new();
        person.extend(text_at(self.of, &["customer"]).map(|id| self.maker.external(&id)));
        person.extend(email.map(|email| (IdentityKind::Email, email)));
        person.extend(phone.map(|phone| (IdentityKind::Phone, phone)));
        person
    }

    fn order_id(&self, of: &Value, paths: &[&[&str]]) -> Option<String> {
        let named = text_at(of, &["metadata", "order_id"]);
        let own = named.or_else(|| paths.iter().find_map(|path| text_at(of, path)))?;
        Some(self.maker.order_id(&own))
    }

    fn amount(&self, path: &[&str]) -> Option<Value> {
        self.money(self.of, path).map(|money| money.decimal().into())
    }

    fn money(&self, of: &Value, path: &[&str]) -> Option<Money> {
        self.money_of(of, at(of, path).as_i64()?)
    }

    fn money_of(&self, of: &Value, minor: i64) -> Option<Money> {
        let currency: Currency =
            text_at(of, &["currency"]).or_else(|| text_at(self.of, &["currency"]))?.parse().ok()?;
        // Stripe keeps two digits of these, which have none any more.
        let unit = if matches!(currency.code(), "ISK" | "UGX") { 100 } else { 1 };
        Some(Money { minor: minor / unit, currency })
    }
}

fn seconds_at(value: &Value, path: &[&str]) -> Option<i64> {
    at(value, path).as_i64().and_then(|seconds| seconds.checked_mul(1_000_000))
}
