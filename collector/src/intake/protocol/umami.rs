//! Adapter of Umami's `/api/send`: one event a request, `{"type": …, "payload": {"website": …, …}}`.
//!
//! Umami asks for no consent and keeps nothing on the device, so what its script sends is measured, and saying who one
//! is needs more than that. A server with the secret key can name its users (`payload.id`) and say for whom it speaks
//! (`payload.ip`, `payload.userAgent`).

use super::{Key, Parcel, Text};
use crate::intake::fields::{Fields, properties};
use crate::intake::loose::Loose;
use crate::intake::message::{self, Ids, Message, Request, Says, View, Whose, stated_us};
use crate::intake::screen::Fault;
use crate::intake::{Reason, Refusal, source};
use crate::store::events::NewEvent;
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(serde::Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Loose<'a>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

#[derive(Default, serde::Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    website: Loose<'a>,
}

/// Reads a post. The key is `payload.website`.
///
/// # Errors
/// [`Refusal::Unreadable`] when it is no JSON object or has no payload.
pub(crate) fn open<'a>(text: &'a Text<'_>) -> Result<Parcel<'a>, Refusal> {
    let outer: Outer<'_> =
        serde_json::from_str(&text.text).map_err(|error| Refusal::Unreadable(format!("body is no event: {error}")))?;
    let payload = outer.payload.ok_or_else(|| Refusal::Unreadable("body has no payload".into()))?;
    let named: Named<'_> = serde_json::from_str(payload.get()).unwrap_or_default();
    let kind = outer.kind.text().unwrap_or("").to_owned();
    Ok(Parcel {
        source: source::UMAMI,
        key: named.website.text().map(|key| Key::Own(key.to_owned())),
        sent_at_us: None,
        messages: vec![Cow::Borrowed(payload.get())],
        repaired: text.repaired,
        read: Box::new(move |raw, request, outcomes| outcomes.push(event(raw, &kind, request))),
    })
}

/// What the script and the clients expect: they send `cache` back with the next event, which tells us nothing, since a
/// measured visitor is found anew each time.
pub(crate) fn answered() -> serde_json::Value {
    let id = || uuid::Uuid::from_bytes(crate::secrets::random()).to_string();
    serde_json::json!({ "cache": "measured", "sessionId": id(), "visitId": id() })
}

fn event(raw: &str, kind: &str, request: &Request<'_>) -> Result<NewEvent, Fault> {
    let fields = Fields::of_json(raw)?;
    let user_id = fields.text("id").filter(|_| request.is_trusted());
    let agent = fields.text("userAgent").filter(|_| request.is_trusted());
    let at = fields.text("timestamp");
    let named = fields.text("ip");
    let request = &request.as_of(named.as_deref());
    let whose = match &user_id {
        Some(user_id) => Whose::Of(Ids { user_id: Some(user_id), ..Ids::default() }),
        None => Whose::Measured(None),
    };
    let message = Message {
        whose,
        at_us: stated_us(at.as_deref())?,
        owns_its_id: false,
        view_id: None,
        agent: agent.as_deref(),
        address: named.as_deref(),
        device: message::device(fields.text("language").as_deref(), None, fields.text("screen").as_deref()),
    };
    let data = fields.object("data").map_or(Ok(None), properties)?;
    match (kind, fields.text("name")) {
        ("event", Some(name)) => message.event(request, Says::Track { name: &name, properties: data }),
        ("event", None) => {
            let url = address_of(&fields, request);
            // The script writes the title percent-encoded.
            let title = fields.text("title").unwrap_or_default();
            let title = percent_decode_str(&title).decode_utf8().unwrap_or(Cow::Borrowed(&title));
            let referrer = fields.text("referrer").unwrap_or_default();
            let view =
                View { url: url.as_deref(), title: &title, referrer: &referrer, properties: data, ..View::default() };
            message.event(request, Says::Page(view))
        }
        ("identify", _) => message.event(request, Says::Identify { traits: data }),
        ("", _) => Err(Fault::new(Reason::UnknownKind, "an event names no type")),
        (other, _) => Err(Fault::new(Reason::UnknownKind, format!("type {other:.40} is unknown"))),
    }
}

/// The page's address: Umami sends host and path apart.
fn address_of(fields: &Fields, request: &Request<'_>) -> Option<String> {
    let url = fields.text("url")?;
    if url.contains("://") || url.starts_with("//") {
        return Some(url.into_owned());
    }
    let own = request.sender.site.domains.first();
    let host = fields.text("hostname").or_else(|| own.map(|domain| Cow::Borrowed(domain.as_str())))?;
    Some(format!("https://{host}/{}", url.trim_start_matches('/')))
}
