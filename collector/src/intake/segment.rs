//! Adapter of Segment's public HTTP API: what its SDKs post becomes events.
//!
//! SDKs differ in what they leave out and in the types they use (numbers as ids, null for absent), so each message is
//! read leniently; only what cannot be stored or means nothing is rejected, and that message alone.

use super::screen::{self, Fault, Sender};
use super::tracker::{group, set_campaign, set_page, set_track, tie};
use super::{BATCH_EVENTS, Reason, Refusal};
use crate::intake::enrich::Address;
use crate::store::events::{Kind, NewEvent, Term, flags};
use crate::store::identities::Who;
use crate::store::ingest::Rejection;
use domain::event::{Campaign, ORDER_COMPLETED, Trust, changes_an_order};
use domain::identity::{Call, Kind as IdentityKind, normalise};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Text, or a number written as text; anything else counts as absent.
#[derive(Debug, Default)]
struct Loose<'a>(Option<Cow<'a, str>>);

impl Loose<'_> {
    fn text(&self) -> Option<&str> {
        self.0.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lenient;
        impl<'de> Visitor<'de> for Lenient {
            type Value = Loose<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Loose<'de>, E> {
                Ok(Loose(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Loose<'de>, E> {
                Ok(Loose(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Loose<'de>, E> {
                Ok(Loose(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Loose<'de>, E> {
                Ok(Loose(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Loose<'de>, E> {
                Ok(Loose(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Loose<'de>, E> {
                Ok(Loose(None))
            }
            fn visit_unit<E>(self) -> Result<Loose<'de>, E> {
                Ok(Loose(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose(None))
            }
        }
        deserializer.deserialize_any(Lenient)
    }
}

/// A post to one of the routes.
pub(crate) struct Post<'a> {
    /// The key in the body, where it is not in Basic auth.
    pub(crate) write_key: Option<String>,
    sent_at_us: Option<i64>,
    messages: Vec<&'a RawValue>,
    /// The route's own type; a batch's messages name theirs.
    kind: Option<&'static str>,
    /// The body was not UTF-8 and has been repaired.
    repaired: bool,
}

#[derive(serde::Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default, rename = "writeKey")]
    write_key: Loose<'a>,
    #[serde(borrow, default, rename = "sentAt")]
    sent_at: Loose<'a>,
    #[serde(borrow, default)]
    batch: Option<&'a RawValue>,
}

/// The body's text; broken UTF-8 is repaired, and the message that it was in is rejected later.
pub(crate) fn text(body: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(body) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (String::from_utf8_lossy(body), true),
    }
}

/// Reads a post's envelope. `kind` is the route's own message type, or `None` for a batch.
///
/// # Errors
/// [`Refusal::Unreadable`] when it is no JSON object, [`Refusal::TooLarge`] with more than [`BATCH_EVENTS`] messages.
pub(crate) fn post<'a>(text: &'a str, repaired: bool, kind: Option<&'static str>) -> Result<Post<'a>, Refusal> {
    let unreadable = |error: serde_json::Error| Refusal::Unreadable(format!("body is no message: {error}"));
    let whole: &RawValue = serde_json::from_str(text).map_err(unreadable)?;
    // A lone surrogate in one message must not make the envelope unreadable, so it is read around the messages.
    let outer: Outer<'_> = match serde_json::from_str(whole.get()) {
        Ok(outer) => outer,
        Err(_) if kind.is_some() && whole.get().starts_with('{') => {
            Outer { write_key: Loose(None), sent_at: Loose(None), batch: None }
        }
        Err(error) => return Err(unreadable(error)),
    };
    let messages = match (kind, outer.batch) {
        (Some(_), _) => vec![whole],
        (None, Some(batch)) => serde_json::from_str(batch.get())
            .map_err(|error| Refusal::Unreadable(format!("batch is no list of messages: {error}")))?,
        (None, None) => return Err(Refusal::Unreadable("body has no batch; send {\"batch\": [...]}".into())),
    };
    if messages.len() > BATCH_EVENTS {
        let what = format!("batch has {} messages, limit {BATCH_EVENTS}", messages.len());
        return Err(Refusal::TooLarge(what));
    }
    Ok(Post {
        write_key: outer.write_key.text().map(str::to_owned),
        sent_at_us: outer.sent_at.text().and_then(|text| time_us(text).ok()),
        messages,
        kind,
        repaired,
    })
}

impl Post<'_> {
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn sent_at_us(&self) -> Option<i64> {
        self.sent_at_us
    }

    /// The messages' events, and what was wrong with the others.
    pub(crate) fn read(&self, sender: &Sender) -> (Vec<NewEvent>, Vec<Rejection>) {
        let mut events = Vec::with_capacity(self.messages.len());
        let mut rejections = Vec::new();
        for raw in &self.messages {
            let event = if self.repaired && raw.get().contains('\u{fffd}') {
                Err(Fault::new(Reason::BadText, "text is not valid UTF-8"))
            } else {
                message(raw.get(), self.kind, sender)
            };
            match event {
                Ok(event) => events.push(event),
                Err(fault) => rejections.push(fault.rejection(Some(raw.get()))),
            }
        }
        (events, rejections)
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Loose<'a>,
    #[serde(borrow, default)]
    message_id: Loose<'a>,
    #[serde(borrow, default)]
    anonymous_id: Loose<'a>,
    #[serde(borrow, default)]
    user_id: Loose<'a>,
    #[serde(borrow, default)]
    previous_id: Loose<'a>,
    #[serde(borrow, default)]
    group_id: Loose<'a>,
    #[serde(borrow, default)]
    event: Loose<'a>,
    #[serde(borrow, default)]
    name: Loose<'a>,
    #[serde(borrow, default)]
    timestamp: Loose<'a>,
    #[serde(borrow, default)]
    original_timestamp: Loose<'a>,
    #[serde(borrow, default)]
    properties: Option<&'a RawValue>,
    #[serde(borrow, default)]
    traits: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Context<'a> {
    #[serde(borrow)]
    page: Option<PageContext<'a>>,
    #[serde(borrow)]
    campaign: Option<CampaignContext<'a>>,
    #[serde(borrow)]
    user_agent: Loose<'a>,
    #[serde(borrow)]
    locale: Loose<'a>,
    #[serde(borrow)]
    timezone: Loose<'a>,
    #[serde(borrow)]
    ip: Loose<'a>,
    #[serde(borrow)]
    traits: Option<Traits<'a>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct PageContext<'a> {
    #[serde(borrow)]
    url: Loose<'a>,
    #[serde(borrow)]
    title: Loose<'a>,
    #[serde(borrow)]
    referrer: Loose<'a>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct CampaignContext<'a> {
    #[serde(borrow)]
    source: Loose<'a>,
    #[serde(borrow)]
    medium: Loose<'a>,
    #[serde(borrow)]
    name: Loose<'a>,
    #[serde(borrow)]
    term: Loose<'a>,
    #[serde(borrow)]
    content: Loose<'a>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Traits<'a> {
    #[serde(borrow)]
    email: Loose<'a>,
    #[serde(borrow)]
    phone: Loose<'a>,
}

fn message(raw: &str, kind: Option<&'static str>, sender: &Sender) -> Result<NewEvent, Fault> {
    screen::json(raw)?;
    let message: Message<'_> =
        serde_json::from_str(raw).map_err(|error| Fault::new(Reason::Unreadable, error.to_string()))?;
    // A context of another shape tells nothing; the message itself may be sound.
    let context: Context<'_> = message.context.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    // A group call's traits are the group's own, not the person's.
    let is_group = kind.or(message.kind.text()) == Some("group");
    let own_traits = message.traits.filter(|_| !is_group);
    let traits: Traits<'_> = own_traits.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let stated = message.timestamp.text().or(message.original_timestamp.text());
    let (occurred_at_us, bits) = match stated {
        Some(text) => {
            let at_us = time_us(text).map_err(|error| {
                Fault::new(Reason::DateOutOfRange, format!("timestamp {text:.40} cannot be read: {error}"))
            })?;
            sender.moment(at_us, None)?
        }
        None => (sender.now_us, if sender.trust == Trust::Trusted { flags::TRUSTED } else { 0 }),
    };
    let email = traits.email.text().or(context.traits.as_ref().and_then(|traits| traits.email.text()));
    let phone = traits.phone.text().or(context.traits.as_ref().and_then(|traits| traits.phone.text()));
    let key = screen::foreign_key(sender, message.message_id.text(), occurred_at_us);
    let mut new =
        NewEvent::new(&sender.source, Kind::Track, key, who(&message, email, sender.trust)?, (occurred_at_us, bits));
    links(&mut new, &message, email, phone, sender.trust)?;
    let agent = context.user_agent.text().and_then(screen::term).or_else(|| sender.agent.clone());
    new.set(Term::Agent, agent);
    new.set(Term::Device, device(&context));
    new.address = context.ip.text().and_then(Address::parse);
    let kind = kind.or(message.kind.text()).unwrap_or("");
    fill(&mut new, kind, &message, &context, sender)?;
    Ok(new)
}

fn fill(
    new: &mut NewEvent,
    kind: &str,
    message: &Message<'_>,
    context: &Context<'_>,
    sender: &Sender,
) -> Result<(), Fault> {
    match kind {
        "track" => {
            new.kind = Kind::Track;
            let name = message.event.text().unwrap_or("");
            set_track(new, &sender.site, name, raw_object(message.properties, "properties")?)?;
        }
        "identify" => {
            new.kind = Kind::Identify;
            new.properties = raw_object(message.traits, "traits")?;
        }
        "page" | "screen" => page(new, kind, message, context, sender)?,
        "group" => {
            new.kind = Kind::Group;
            let group_id = message.group_id.text().unwrap_or("");
            new.properties = Some(group(group_id, raw_object(message.traits, "traits")?)?);
        }
        "alias" => new.kind = Kind::Alias,
        "" => return Err(Fault::new(Reason::UnknownKind, "a message names no type")),
        other => return Err(Fault::new(Reason::UnknownKind, format!("type {other:.40} is unknown"))),
    }
    Ok(())
}

fn raw_object(raw: Option<&RawValue>, what: &str) -> Result<Option<Box<str>>, Fault> {
    raw.map_or(Ok(None), |raw| screen::object(raw.get(), what))
}

/// Properties of a page call that the page view itself already says.
const PAGE_PROPERTIES: [&str; 8] = ["url", "path", "title", "referrer", "search", "hash", "name", "category"];

fn page(
    new: &mut NewEvent,
    kind: &str,
    message: &Message<'_>,
    context: &Context<'_>,
    sender: &Sender,
) -> Result<(), Fault> {
    new.kind = if kind == "screen" { Kind::Screen } else { Kind::Page };
    let own: PageContext<'_> =
        message.properties.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let around = context.page.as_ref();
    let url = own.url.text().or(around.and_then(|page| page.url.text()));
    let title = own.title.text().or(around.and_then(|page| page.title.text())).or(message.name.text()).unwrap_or("");
    let referrer = own.referrer.text().or(around.and_then(|page| page.referrer.text())).unwrap_or("");
    match (url, message.name.text()) {
        (Some(url), _) if kind == "page" => set_page(new, &sender.site, url, title, referrer)?,
        (_, Some(name)) => {
            new.set(Term::Page, screen::term(name));
            new.set(Term::Title, screen::term(name));
        }
        _ => return Err(Fault::new(Reason::MissingName, "a page or screen has neither address nor name")),
    }
    if let Some(campaign) = &context.campaign {
        let text = |loose: &Loose<'_>| loose.text().unwrap_or("").to_owned();
        let campaign = Campaign {
            source: text(&campaign.source).to_lowercase(),
            medium: text(&campaign.medium).to_lowercase(),
            name: text(&campaign.name),
            term: text(&campaign.term),
            content: text(&campaign.content),
            click_id: String::new(),
        };
        if campaign != Campaign::default() && new.text(Term::Campaign).is_none() {
            set_campaign(new, &campaign)?;
        }
    }
    if let Some(raw) = message.properties
        && let Ok(mut rest) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(raw.get())
    {
        rest.retain(|key, _| !PAGE_PROPERTIES.contains(&key.as_ref()));
        if !rest.is_empty() && new.properties.is_none() {
            let text = serde_json::to_string(&rest).map_err(|e| Fault::new(Reason::Unreadable, e.to_string()))?;
            new.properties = screen::object(&text, "properties")?;
        }
    }
    Ok(())
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct OrderProperties<'a> {
    #[serde(borrow, alias = "orderId")]
    order_id: Loose<'a>,
}

/// The order that an event about orders names.
fn order_id(message: &Message<'_>) -> Option<String> {
    let name = message.event.text().filter(|name| *name == ORDER_COMPLETED || changes_an_order(name));
    let properties = name.and(message.properties)?;
    let order: OrderProperties<'_> = serde_json::from_str(properties.get()).ok()?;
    order.order_id.text().map(str::to_owned)
}

/// The message's first identifier: visitor, else user id, else e-mail, else the message itself, else its order.
fn who(message: &Message<'_>, email: Option<&str>, trust: Trust) -> Result<Who, Fault> {
    let candidates = [
        (IdentityKind::Visitor, message.anonymous_id.text()),
        (IdentityKind::UserId, message.user_id.text()),
        (IdentityKind::UserId, message.previous_id.text()),
        (IdentityKind::Email, email),
        (IdentityKind::Message, message.message_id.text()),
    ];
    let candidates = candidates.map(|(kind, value)| (kind, value.map(Cow::Borrowed)));
    // What a trusted source says of an order needs no person.
    let order = (IdentityKind::Order, order_id(message).filter(|_| trust == Trust::Trusted).map(Cow::Owned));
    let named =
        candidates.into_iter().chain([order]).find_map(|(kind, value)| Some((kind, normalise(kind, &value?).ok()?)));
    match named {
        Some((kind, value)) => Ok(Who::Known { kind, value: value.into() }),
        None => Err(Fault::new(Reason::MissingIdentity, "a message has no anonymousId, userId, e-mail or messageId")),
    }
}

fn links(
    new: &mut NewEvent,
    message: &Message<'_>,
    email: Option<&str>,
    phone: Option<&str>,
    trust: Trust,
) -> Result<(), Fault> {
    let previous = message.previous_id.text();
    let call = if previous.is_some() { Call::Alias } else { Call::Together };
    let own = match &new.who {
        Who::Known { kind, value } => (*kind, Arc::clone(value)),
        Who::Measured { .. } => return Ok(()),
    };
    if let Some(user_id) = message.user_id.text() {
        tie(new, IdentityKind::UserId, user_id, call)?;
    }
    if let Some(previous) = previous.filter(|previous| Some(*previous) != message.anonymous_id.text()) {
        tie(new, IdentityKind::UserId, previous, call)?;
    }
    // A browser's e-mail or phone is an unverified trait: it ties nothing.
    if trust == Trust::Trusted {
        if let Some(email) = email {
            tie(new, IdentityKind::Email, email, Call::Together)?;
        }
        if let Some(phone) = phone {
            tie(new, IdentityKind::Phone, phone, Call::Together)?;
        }
    }
    new.links.retain(|link| (link.kind, &link.value) != (own.0, &own.1));
    Ok(())
}

fn device(context: &Context<'_>) -> Option<Arc<str>> {
    let (locale, timezone) = (context.locale.text().unwrap_or(""), context.timezone.text().unwrap_or(""));
    if locale.is_empty() && timezone.is_empty() { None } else { screen::term(&format!("{locale}|{timezone}|")) }
}

/// An ISO 8601 moment, or seconds or milliseconds since 1970, in µs.
fn time_us(text: &str) -> Result<i64, jiff::Error> {
    if let Ok(number) = text.parse::<i64>() {
        // Below 1e11 it can only be seconds: as milliseconds it would be before 1974.
        return Ok(number.saturating_mul(if number.abs() < 100_000_000_000 { 1_000_000 } else { 1_000 }));
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(moment) => Ok(moment.as_microsecond()),
        // Some SDKs leave the offset out and mean UTC.
        Err(error) => match text.parse::<jiff::civil::DateTime>() {
            Ok(civil) => Ok(civil.to_zoned_datetime(jiff::tz::TimeZone::UTC)?.timestamp().as_microsecond()),
            Err(_) => Err(error),
        },
    }
}
