//! SendGrid's signed event webhook: `X-Twilio-Email-Event-Webhook-Signature` is the ECDSA signature (P-256, SHA-256, DER
//! in base64) of the header `…-Timestamp` and the body.
//!
//! The documentation names no age; a batch is tried again for 24 hours, so that an hour more is let through.

use super::{Maker, Person, Request, Told, Unsigned, at, check_age, object, text_at, unknown};
use crate::intake::Reason;
use crate::intake::message::link;
use crate::intake::screen::Fault;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::identity::Kind as IdentityKind;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;
use serde_json::{Value, json};

/// Seconds that a signature may be old.
const TOLERANCE_S: i64 = 25 * 3_600;

/// The verification key as SendGrid shows it: SubjectPublicKeyInfo in base64.
pub(super) fn public_key(text: &str) -> Option<VerifyingKey> {
    let der = STANDARD.decode(text.trim()).ok()?;
    VerifyingKey::from_public_key_der(&der).ok()
}

pub(super) fn tell(request: &Request<'_>, maker: &Maker<'_>) -> Told {
    let mut told = Told::default();
    match request.json() {
        Ok(Value::Array(events)) => {
            for event in &events {
                happened(event, maker, &mut told);
            }
        }
        Ok(_) => told.refuse(Fault::new(Reason::Unreadable, "body is no list of events"), request.body),
        Err(fault) => told.refuse(fault, request.body),
    }
    told
}

pub(super) fn check(secret: &str, request: &Request<'_>, now_us: i64) -> Result<(), Unsigned> {
    let given = request.header("x-twilio-email-event-webhook-signature").ok_or(Unsigned::Missing)?;
    let time = request.header("x-twilio-email-event-webhook-timestamp").ok_or(Unsigned::Missing)?;
    let key = public_key(secret).ok_or(Unsigned::NoSecret)?;
    let signature = STANDARD.decode(given.trim()).map_err(|_| Unsigned::Wrong)?;
    let signature = DerSignature::try_from(signature.as_slice()).map_err(|_| Unsigned::Wrong)?;
    let signed = [time.as_bytes(), request.body].concat();
    key.verify(&signed, &signature).map_err(|_| Unsigned::Wrong)?;
    check_age(time.trim().parse().map_err(|_| Unsigned::Wrong)?, now_us, TOLERANCE_S)
}

/// What an event is called in Segment's e-mail vocabulary, and in its spirit where that has no word.
fn name(event: &str) -> Option<&'static str> {
    Some(match event {
        "processed" => "Email Sent",
        "deferred" => "Email Deferred",
        "delivered" => "Email Delivered",
        "open" => "Email Opened",
        "click" => "Email Link Clicked",
        "bounce" => "Email Bounced",
        "dropped" => "Email Dropped",
        "spamreport" => "Email Marked as Spam",
        "unsubscribe" | "group_unsubscribe" => "Unsubscribed",
        "group_resubscribe" => "Subscribed",
        _ => return None,
    })
}

fn happened(event: &Value, maker: &Maker<'_>, told: &mut Told) {
    let kind = text_at(event, &["event"]).unwrap_or_default();
    let (Some(name), Some(id)) = (name(&kind), text_at(event, &["sg_event_id"])) else {
        told.note(Err(unknown(&format!("event {kind}, or one without sg_event_id,"))), event);
        return;
    };
    let at_us = at(event, &["timestamp"]).as_i64().and_then(|seconds| seconds.checked_mul(1_000_000));
    let at_us = at_us.unwrap_or(maker.now_us());
    let person: Person = text_at(event, &["email"]).map(|email| (IdentityKind::Email, email)).into_iter().collect();
    if person.is_empty() {
        told.note(Err(Fault::new(Reason::MissingIdentity, "the event names no e-mail address")), event);
        return;
    }
    let said = object([
        (
            "campaign_id",
            text_at(event, &["marketing_campaign_id"]).or_else(|| text_at(event, &["singlesend_id"])).map(Value::from),
        ),
        (
            "campaign_name",
            text_at(event, &["marketing_campaign_name"])
                .or_else(|| text_at(event, &["singlesend_name"]))
                .map(Value::from),
        ),
        ("email_id", text_at(event, &["sg_message_id"]).map(Value::from)),
        // Links of mails carry tokens of their readers.
        ("link_url", text_at(event, &["url"]).map(|url| link(&url).into())),
        ("reason", text_at(event, &["reason"]).map(Value::from)),
        ("bounce_type", text_at(event, &["type"]).map(Value::from)),
        ("category", Some(at(event, &["category"]).clone())),
        ("is_machine_open", Some(at(event, &["sg_machine_open"]).clone())),
        ("unsubscribe_group", text_at(event, &["asm_group_id"]).map(Value::from)),
    ]);
    told.note(maker.track(name, at_us, &id, &person, said), event);
    // A group is one kind of mail; these two are about all of it.
    if matches!(kind.as_str(), "unsubscribe" | "spamreport") {
        let traits = object([("email_opt_in", Some(json!(false)))]);
        told.note(maker.identify(at_us, &format!("{id}:knows"), &person, traits), event);
    }
}
