//! Adapter of Segment's public HTTP API: what its SDKs post becomes events. RudderStack's messages are the same.
//!
//! SDKs differ in what they leave out and in the types they use (numbers as ids, null for absent), so each message is
//! read leniently; only what cannot be stored or means nothing is rejected, and that message alone.

use super::{Key, Parcel, Text};
use crate::intake::loose::{Loose, time_us};
use crate::intake::message::{self, Ids, Message, Request, Says, View, Whose, stated_us};
use crate::intake::screen::{self, Fault};
use crate::intake::{Reason, Refusal, source};
use crate::store::events::NewEvent;
use domain::event::{ORDER_COMPLETED, changes_an_order};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(serde::Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default, rename = "writeKey")]
    write_key: Loose<'a>,
    #[serde(borrow, default, rename = "sentAt")]
    sent_at: Loose<'a>,
    #[serde(borrow, default)]
    batch: Option<&'a RawValue>,
}

/// Reads a post's envelope. `kind` is the route's own message type, or `None` for a batch, whose messages name theirs.
/// `basic` is the key in Basic auth, where most SDKs put it.
///
/// # Errors
/// [`Refusal::Unreadable`] when it is no JSON object, [`Refusal::TooLarge`] with too many messages.
pub(crate) fn open<'a>(
    text: &'a Text<'_>,
    kind: Option<&'static str>,
    basic: Option<String>,
) -> Result<Parcel<'a>, Refusal> {
    let unreadable = |error: serde_json::Error| Refusal::Unreadable(format!("body is no message: {error}"));
    let whole: &RawValue = serde_json::from_str(&text.text).map_err(unreadable)?;
    // A lone surrogate in one message must not make the envelope unreadable, so it is read around the messages.
    let outer: Outer<'_> = match serde_json::from_str(whole.get()) {
        Ok(outer) => outer,
        Err(_) if kind.is_some() && whole.get().starts_with('{') => {
            Outer { write_key: Loose::default(), sent_at: Loose::default(), batch: None }
        }
        Err(error) => return Err(unreadable(error)),
    };
    let messages = match (kind, outer.batch) {
        (Some(_), _) => vec![whole],
        (None, Some(batch)) => serde_json::from_str(batch.get())
            .map_err(|error| Refusal::Unreadable(format!("batch is no list of messages: {error}")))?,
        (None, None) => return Err(Refusal::Unreadable("body has no batch; send {\"batch\": [...]}".into())),
    };
    let key = basic.or_else(|| outer.write_key.text().map(str::to_owned));
    Ok(Parcel {
        source: source::SEGMENT,
        key: key.map(Key::Own),
        sent_at_us: outer.sent_at.text().and_then(|text| time_us(text).ok()),
        messages: messages.into_iter().map(|raw| Cow::Borrowed(raw.get())).collect(),
        repaired: text.repaired,
        read: Box::new(move |raw, request, outcomes| outcomes.push(event(raw, kind, request))),
    })
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call<'a> {
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
    traits: Option<&'a RawValue>,
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

fn event(raw: &str, kind: Option<&'static str>, request: &Request<'_>) -> Result<NewEvent, Fault> {
    screen::json(raw)?;
    let call: Call<'_> =
        serde_json::from_str(raw).map_err(|error| Fault::new(Reason::Unreadable, error.to_string()))?;
    // A context of another shape tells nothing; the message itself may be sound.
    let context: Context<'_> = call.context.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let kind = kind.or(call.kind.text()).unwrap_or("");
    // A group call's traits are the group's own, not the person's.
    let own_traits = call.traits.filter(|_| kind != "group");
    let traits: Traits<'_> = own_traits.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let around: Traits<'_> = context.traits.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    // What a trusted source says of an order needs no person.
    let order_id = order_id(&call).filter(|_| request.is_trusted());
    let ids = Ids {
        visitor: call.anonymous_id.text(),
        user_id: call.user_id.text(),
        previous_id: call.previous_id.text(),
        email: traits.email.text().or(around.email.text()),
        phone: traits.phone.text().or(around.phone.text()),
        message_id: call.message_id.text(),
        order_id: order_id.as_deref(),
    };
    let message = Message {
        whose: Whose::Of(ids),
        at_us: stated_us(call.timestamp.text().or(call.original_timestamp.text()))?,
        owns_its_id: false,
        view_id: None,
        agent: context.user_agent.text(),
        device: message::device(context.locale.text(), context.timezone.text(), None),
        address: context.ip.text(),
    };
    let own: PageContext<'_> = call.properties.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    message.event(request, says(kind, &call, &own, &context)?)
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct OrderProperties<'a> {
    #[serde(borrow, alias = "orderId")]
    order_id: Loose<'a>,
}

/// The order that an event about orders names.
fn order_id(call: &Call<'_>) -> Option<String> {
    let name = call.event.text().filter(|name| *name == ORDER_COMPLETED || changes_an_order(name));
    let properties = name.and(call.properties)?;
    let order: OrderProperties<'_> = serde_json::from_str(properties.get()).ok()?;
    order.order_id.text().map(str::to_owned)
}

fn says<'a>(
    kind: &str,
    call: &'a Call<'_>,
    own: &'a PageContext<'_>,
    context: &'a Context<'_>,
) -> Result<Says<'a>, Fault> {
    Ok(match kind {
        "track" => Says::Track {
            name: call.event.text().unwrap_or(""),
            properties: raw_object(call.properties, "properties")?,
        },
        "identify" => {
            // RudderStack's browser SDK says who somebody is in the context alone.
            let around = context.traits.filter(|raw| raw.get().starts_with('{'));
            Says::Identify { traits: raw_object(call.traits.or(around), "traits")? }
        }
        "page" => Says::Page(view(call, own, context)?),
        "screen" => Says::Screen(view(call, own, context)?),
        "group" => {
            Says::Group { group_id: call.group_id.text().unwrap_or(""), traits: raw_object(call.traits, "traits")? }
        }
        "alias" => Says::Alias,
        "" => return Err(Fault::new(Reason::UnknownKind, "a message names no type")),
        other => return Err(Fault::new(Reason::UnknownKind, format!("type {other:.40} is unknown"))),
    })
}

fn raw_object(raw: Option<&RawValue>, what: &str) -> Result<Option<Box<str>>, Fault> {
    raw.map_or(Ok(None), |raw| screen::object(raw.get(), what))
}

/// Properties of a page call that the page view itself already says, or that repeat whole addresses.
const PAGE_PROPERTIES: [&str; 12] = [
    "url",
    "path",
    "title",
    "referrer",
    "search",
    "hash",
    "name",
    "category",
    "tab_url",
    "referring_domain",
    "initial_referrer",
    "initial_referring_domain",
];

/// What the call itself says of its page wins over what surrounds it.
fn view<'a>(call: &'a Call<'_>, own: &'a PageContext<'_>, context: &'a Context<'_>) -> Result<View<'a>, Fault> {
    let around = context.page.as_ref();
    let name = call.name.text();
    let campaign = context.campaign.as_ref().and_then(|campaign| {
        message::campaign([
            campaign.source.text(),
            campaign.medium.text(),
            campaign.name.text(),
            campaign.term.text(),
            campaign.content.text(),
        ])
    });
    let mut properties = None;
    if let Some(raw) = call.properties
        && let Ok(mut rest) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(raw.get())
    {
        rest.retain(|key, _| !PAGE_PROPERTIES.contains(&key.as_ref()));
        if !rest.is_empty() {
            let text = serde_json::to_string(&rest).map_err(|e| Fault::new(Reason::Unreadable, e.to_string()))?;
            properties = screen::object(&text, "properties")?;
        }
    }
    Ok(View {
        url: own.url.text().or(around.and_then(|page| page.url.text())),
        name,
        title: own.title.text().or(around.and_then(|page| page.title.text())).or(name).unwrap_or(""),
        referrer: own.referrer.text().or(around.and_then(|page| page.referrer.text())).unwrap_or(""),
        campaign,
        properties,
    })
}
