//! Klaviyo's webhooks: `Klaviyo-Signature` is the HMAC-SHA256 of the body and the header `Klaviyo-Timestamp`, in
//! hexadecimal digits.
//!
//! The documentation names no age; a request is tried again for some hours, so that it may be a day old.

use super::moment_at;
use super::{Maker, Person, Request, Told, Unsigned, at, check_age, check_hmac, hex, list, moment, object, text_at};
use crate::intake::Reason;
use crate::intake::message::link;
use crate::intake::screen::Fault;
use domain::event::{ORDER_COMPLETED, changes_an_order};
use domain::identity::Kind as IdentityKind;
use serde_json::{Map, Value, json};

/// Seconds that a signature may be old.
const TOLERANCE_S: i64 = 24 * 3_600;

pub(super) fn check(secret: &str, request: &Request<'_>, now_us: i64) -> Result<(), Unsigned> {
    let given = request.header("klaviyo-signature").ok_or(Unsigned::Missing)?;
    let time = request.header("klaviyo-timestamp").ok_or(Unsigned::Missing)?;
    let signature = hex(&given).ok_or(Unsigned::Wrong)?;
    check_hmac(secret, &[request.body, time.as_bytes()], &signature)?;
    check_age(seconds(&time).ok_or(Unsigned::Wrong)?, now_us, TOLERANCE_S)?;
    // Both come from the same sender, so that they differ only in what somebody has put together.
    let named = request.json().ok().and_then(|body| text_at(&body, &["meta", "klaviyo_webhook_id"]));
    if named.is_some() && named != request.header("klaviyo-webhook-id") { Err(Unsigned::Wrong) } else { Ok(()) }
}

pub(super) fn tell(request: &Request<'_>, maker: &Maker<'_>) -> Told {
    let mut told = Told::default();
    let body = match request.json() {
        Ok(body) => body,
        Err(fault) => {
            told.refuse(fault, request.body);
            return told;
        }
    };
    for item in list(&body, "data") {
        happened(item, maker, &mut told);
    }
    told
}

/// Seconds since 1970, ISO 8601, or the date of a mail's header.
fn seconds(time: &str) -> Option<i64> {
    let time = time.trim();
    let mail = || jiff::fmt::rfc2822::parse(time).ok().map(|zoned| zoned.timestamp().as_second());
    time.parse().ok().or_else(|| moment(time).map(|us| us.div_euclid(1_000_000))).or_else(mail)
}

fn happened(item: &Value, maker: &Maker<'_>, told: &mut Told) {
    let topic = text_at(item, &["topic"]).unwrap_or_default();
    let payload = at(item, &["payload", "data"]);
    let id = text_at(item, &["external_id"]).or_else(|| text_at(payload, &["id"]));
    let Some(id) = id else {
        told.note(Err(Fault::new(Reason::Unreadable, "an event has no id")), item);
        return;
    };
    match text_at(payload, &["type"]).as_deref() {
        Some("profile") => profile(payload, maker, told),
        Some("event") => event(&topic, &id, item, maker, told),
        _ => told.note(Err(super::unknown(&format!("topic {topic}"))), item),
    }
}

/// What a topic is called in Segment's e-mail vocabulary; others by their own words.
fn name(topic: &str) -> String {
    let words = topic.rsplit(['.', ':']).next().unwrap_or(topic);
    match words {
        "received_email" | "email_received" | "email_delivered" => "Email Delivered".to_owned(),
        "opened_email" | "email_opened" => "Email Opened".to_owned(),
        "clicked_email" | "email_clicked" => "Email Link Clicked".to_owned(),
        "bounced_email" | "email_bounced" => "Email Bounced".to_owned(),
        "dropped_email" | "email_dropped" => "Email Dropped".to_owned(),
        "marked_email_as_spam" | "email_marked_as_spam" => "Email Marked as Spam".to_owned(),
        "unsubscribed_from_email_marketing" | "email_unsubscribed" | "unsubscribed" => "Unsubscribed".to_owned(),
        "subscribed_to_email_marketing" | "email_subscribed" | "subscribed" => "Subscribed".to_owned(),
        words => {
            let capital = |word: &str| {
                let mut letters = word.chars();
                letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
            };
            let own = words.split('_').filter(|word| !word.is_empty()).map(capital).collect::<Vec<String>>().join(" ");
            // A mailer's own metric of that name is no shop's word about an order.
            if own == ORDER_COMPLETED || changes_an_order(&own) { format!("Klaviyo {own}") } else { own }
        }
    }
}

fn event(topic: &str, id: &str, item: &Value, maker: &Maker<'_>, told: &mut Told) {
    let attributes = at(item, &["payload", "data", "attributes"]);
    let at_us = moment_at(attributes, &["datetime"])
        .or_else(|| at(attributes, &["timestamp"]).as_i64().map(|seconds| seconds.saturating_mul(1_000_000)))
        .unwrap_or(maker.now_us());
    let own = text_at(item, &["payload", "data", "relationships", "profile", "data", "id"]);
    let included = list(at(item, &["payload"]), "included");
    let told_of = included
        .iter()
        .find(|one| {
            at(one, &["type"]) == "profile"
                && own.as_ref().is_none_or(|own| text_at(one, &["id"]).as_ref() == Some(own))
        })
        .unwrap_or(&Value::Null);
    let person = person(own.or_else(|| text_at(told_of, &["id"])), at(told_of, &["attributes"]), maker);
    if person.is_empty() {
        told.note(Err(Fault::new(Reason::MissingIdentity, "the event names no profile")), item);
        return;
    }
    let properties = at(attributes, &["event_properties"]);
    let mut said: Map<String, Value> = properties.as_object().cloned().unwrap_or_default();
    said.remove("URL");
    said.extend(object([
        ("campaign_name", text_at(properties, &["Campaign Name"]).map(Value::from)),
        ("email_subject", text_at(properties, &["Subject"]).map(Value::from)),
        ("email_id", text_at(properties, &["$message"]).map(Value::from)),
        // Links of mails carry tokens of their readers.
        ("link_url", text_at(properties, &["URL"]).map(|url| link(&url).into())),
    ]));
    let name = name(topic);
    told.note(maker.track(&name, at_us, id, &person, said), item);
    let opt_in = match name.as_str() {
        "Subscribed" => Some(true),
        "Unsubscribed" | "Email Marked as Spam" => Some(false),
        _ => None,
    };
    if let Some(opt_in) = opt_in {
        let traits = object([("email_opt_in", Some(json!(opt_in)))]);
        told.note(maker.identify(at_us, &format!("{id}:knows"), &person, traits), item);
    }
}

fn person(id: Option<String>, attributes: &Value, maker: &Maker<'_>) -> Person {
    let mut person = Person::new();
    person.extend(text_at(attributes, &["email"]).map(|email| (IdentityKind::Email, email)));
    person.extend(text_at(attributes, &["phone_number"]).map(|phone| (IdentityKind::Phone, phone)));
    person.extend(id.map(|id| maker.external(&id)));
    person
}

fn profile(profile: &Value, maker: &Maker<'_>, told: &mut Told) {
    let attributes = at(profile, &["attributes"]);
    let id = text_at(profile, &["id"]);
    let consent = text_at(attributes, &["subscriptions", "email", "marketing", "consent"]);
    let opt_in = consent.map(|consent| json!(consent.eq_ignore_ascii_case("subscribed")));
    let mut traits: Map<String, Value> = at(attributes, &["properties"]).as_object().cloned().unwrap_or_default();
    traits.extend(object([
        ("email", text_at(attributes, &["email"]).map(Value::from)),
        ("phone", text_at(attributes, &["phone_number"]).map(Value::from)),
        ("firstName", text_at(attributes, &["first_name"]).map(Value::from)),
        ("lastName", text_at(attributes, &["last_name"]).map(Value::from)),
        ("city", text_at(attributes, &["location", "city"]).map(Value::from)),
        ("country", text_at(attributes, &["location", "country"]).map(Value::from)),
        ("email_opt_in", opt_in),
    ]));
    let updated = text_at(attributes, &["updated"]).unwrap_or_default();
    let at_us = moment(&updated).unwrap_or(maker.now_us());
    let message_id = format!("profile:{}:{updated}", id.as_deref().unwrap_or_default());
    told.note(maker.identify(at_us, &message_id, &person(id, attributes, maker), traits), profile);
}
