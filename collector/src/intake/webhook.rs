//! Webhooks of vendors: what a shop's or a mailer's system posts becomes the same events as everything else, trusted.
//!
//! One file per vendor. Each is a pure function of the request: it checks the signature as the vendor documents it, then
//! turns the body into events. What is sent again has the same message ids, so it is stored once.

mod klaviyo;
mod mailchimp;
mod sample;
mod sendgrid;
mod shopify;
mod stripe;
mod woocommerce;

pub(crate) use sample::{mapping, samples, try_out};

use super::message::{set_track, tie};
use super::screen::{self, Fault, Sender};
use super::{EVENT_BYTES, Reason};
use crate::pull::Reach;
use crate::store::events::{EventKey, Kind, NewEvent};
use crate::store::identities::Who;
use crate::store::ingest::Rejection;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::identity::{Call, Kind as IdentityKind, normalise};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::Sha256;
pub(crate) use shopify::FromShopify;
use std::collections::HashSet;
use std::sync::Arc;

/// Message ids are kept for 30 days; what is told of an older order is told as a change alone, so that its placing is not
/// stored a second time.
const KNOWN_AGAIN_US: i64 = 25 * 86_400_000_000;

/// Whose webhooks are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vendor {
    Shopify,
    WooCommerce,
    Stripe,
    Mailchimp,
    SendGrid,
    Klaviyo,
}

impl Vendor {
    pub(crate) const ALL: [Vendor; 6] =
        [Vendor::Shopify, Vendor::WooCommerce, Vendor::Stripe, Vendor::Mailchimp, Vendor::SendGrid, Vendor::Klaviyo];

    /// The stored name.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Vendor::Shopify => "shopify",
            Vendor::WooCommerce => "woocommerce",
            Vendor::Stripe => "stripe",
            Vendor::Mailchimp => "mailchimp",
            Vendor::SendGrid => "sendgrid",
            Vendor::Klaviyo => "klaviyo",
        }
    }

    /// What it calls itself.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Vendor::Shopify => "Shopify",
            Vendor::WooCommerce => "WooCommerce",
            Vendor::Stripe => "Stripe",
            Vendor::Mailchimp => "Mailchimp",
            Vendor::SendGrid => "SendGrid",
            Vendor::Klaviyo => "Klaviyo",
        }
    }

    pub(crate) fn from_key(key: &str) -> Option<Vendor> {
        Vendor::ALL.into_iter().find(|vendor| vendor.key() == key)
    }

    /// Whether the owner tells the vendor the secret, rather than the vendor the owner.
    pub(crate) const fn owner_chooses_secret(self) -> bool {
        match self {
            Vendor::WooCommerce | Vendor::Mailchimp | Vendor::Klaviyo => true,
            Vendor::Shopify | Vendor::Stripe | Vendor::SendGrid => false,
        }
    }

    /// The secret as it is kept.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check_secret(self, secret: &str) -> Result<String, &'static str> {
        let secret = secret.trim();
        match self {
            Vendor::SendGrid => sendgrid::public_key(secret)
                .map(|_| secret.to_owned())
                .ok_or("that is no verification key of SendGrid; copy it from the signed event webhook's settings"),
            Vendor::Shopify | Vendor::WooCommerce | Vendor::Stripe | Vendor::Mailchimp | Vendor::Klaviyo => {
                if secret.len() < 8 { Err("a secret has 8 characters or more") } else { Ok(secret.to_owned()) }
            }
        }
    }

    /// What the owner is to do at the vendor.
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            Vendor::Shopify => {
                "in Shopify, Settings > Notifications > Webhooks, add this address for orders/create, orders/updated, \
                 orders/paid, orders/cancelled, refunds/create, customers/create and customers/update, in JSON; the \
                 secret is shown there"
            }
            Vendor::WooCommerce => {
                "in WooCommerce, Settings > Advanced > Webhooks, add this address and secret for order created, order \
                 updated, order deleted, customer created and customer updated"
            }
            Vendor::Stripe => {
                "in Stripe, Developers > Webhooks, add this address for checkout.session.completed, invoice.paid, \
                 refund.created, refund.updated, customer.created and customer.updated, and charge.succeeded only if you use neither \
                 Checkout nor invoices; the signing secret is shown there"
            }
            Vendor::Mailchimp => "in Mailchimp, Audience > Settings > Webhooks, add this address for all updates",
            Vendor::SendGrid => {
                "in SendGrid, Settings > Mail Settings > Event Webhooks, add this address and switch signing on; the \
                 secret is the verification key that is shown there"
            }
            Vendor::Klaviyo => {
                "in Klaviyo, Integrations > Webhooks, add this address and secret for the topics you need"
            }
        }
    }

    /// Whether its address is asked with GET before anything is sent to it.
    pub(crate) const fn asks_first(self) -> bool {
        matches!(self, Vendor::Mailchimp)
    }
}

/// What an owner says of how a source is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// Put before the order ids and customer ids of a further shop of the same site, which has numbers of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// Which of the shop's ids its pages report orders under.
    #[serde(skip_serializing_if = "OrderIds::is_id")]
    pub(crate) order_ids: OrderIds,
    /// Under which source's key its messages are known again: that of another source that tells of the same shop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) known_as: Option<String>,
    /// Where a connector asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reach: Option<Reach>,
}

impl Settings {
    /// Checks what an owner says.
    ///
    /// # Errors
    /// What is wrong with the namespace.
    pub(crate) fn new(
        namespace: Option<String>,
        order_ids: OrderIds,
        reach: Option<Reach>,
    ) -> Result<Settings, &'static str> {
        let fits = |text: &String| {
            (1..=40).contains(&text.chars().count()) && text.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        match &namespace {
            Some(text) if !fits(text) => {
                Err("a namespace is made of up to 40 letters, digits and hyphens, for example second")
            }
            Some(_) | None => Ok(Settings { namespace, order_ids, known_as: None, reach }),
        }
    }
}

/// Which of a shop's ids of an order is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OrderIds {
    /// The system's own id.
    #[default]
    Id,
    /// The number that customers see.
    Number,
}

impl OrderIds {
    fn is_id(&self) -> bool {
        *self == OrderIds::Id
    }
}

/// One posted request.
pub(crate) struct Request<'a> {
    /// A header's value by its name in lower case.
    pub(crate) header: &'a dyn Fn(&str) -> Option<String>,
    /// What stands behind the address.
    pub(crate) query: &'a str,
    pub(crate) body: &'a [u8],
}

impl Request<'_> {
    fn header(&self, name: &str) -> Option<String> {
        (self.header)(name)
    }

    fn json(&self) -> Result<Value, Fault> {
        let text =
            std::str::from_utf8(self.body).map_err(|_| Fault::new(Reason::BadText, "body is not valid UTF-8"))?;
        serde_json::from_str(text).map_err(|error| Fault::new(Reason::Unreadable, format!("body is no JSON: {error}")))
    }
}

/// Why a request is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsigned {
    /// The source has no secret yet.
    #[error("the source has no secret yet; set it on its page under Sources, or with `segments source set`")]
    NoSecret,
    /// There is no signature.
    #[error("the signature is missing")]
    Missing,
    /// It is not that of this body and secret.
    #[error("the signature is not that of this body and the source's secret")]
    Wrong,
    /// It is the right one of a request of long ago.
    #[error("the signature is too old, or the sender's clock is wrong")]
    TooOld,
}

/// What a request tells: events, and what is wrong with the others.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) events: Vec<NewEvent>,
    pub(crate) rejections: Vec<Rejection>,
}

impl Told {
    fn note(&mut self, event: Result<NewEvent, Fault>, sample: &Value) {
        match event {
            Ok(event) => self.events.push(event),
            Err(fault) => self.rejections.push(fault.rejection(Some(&sample.to_string()))),
        }
    }

    fn refuse(&mut self, fault: Fault, sample: &[u8]) {
        self.rejections.push(fault.rejection(Some(&String::from_utf8_lossy(sample))));
    }
}

/// Checks a request's signature and reads it.
///
/// # Errors
/// [`Unsigned`]: nothing of the body is to be kept.
pub(crate) fn read(
    vendor: Vendor,
    secret: &str,
    settings: &Settings,
    request: &Request<'_>,
    sender: &Sender,
) -> Result<Told, Unsigned> {
    if secret.is_empty() {
        return Err(Unsigned::NoSecret);
    }
    match vendor {
        Vendor::Shopify => shopify::check(secret, request),
        Vendor::WooCommerce => woocommerce::check(secret, request),
        Vendor::Stripe => stripe::check(secret, request, sender.now_us),
        Vendor::Mailchimp => mailchimp::check(secret, request),
        Vendor::SendGrid => sendgrid::check(secret, request, sender.now_us),
        Vendor::Klaviyo => klaviyo::check(secret, request, sender.now_us),
    }?;
    Ok(tell(vendor, settings, request, sender))
}

fn tell(vendor: Vendor, settings: &Settings, request: &Request<'_>, sender: &Sender) -> Told {
    let maker = Maker { vendor, settings, sender };
    match vendor {
        Vendor::Shopify => shopify::tell(request, &maker),
        Vendor::WooCommerce => woocommerce::tell(request, &maker),
        Vendor::Stripe => stripe::tell(request, &maker),
        Vendor::Mailchimp => mailchimp::tell(request, &maker),
        Vendor::SendGrid => sendgrid::tell(request, &maker),
        Vendor::Klaviyo => klaviyo::tell(request, &maker),
    }
}

/// What Shopify's API has answered, in the messages of its webhooks. `known` are the ids of orders that a trusted source
/// has told of already.
pub(crate) fn read_shopify(
    things: &[FromShopify],
    known: &HashSet<String>,
    settings: &Settings,
    sender: &Sender,
) -> Told {
    shopify::asked(things, known, &Maker { vendor: Vendor::Shopify, settings, sender })
}

/// The ids under which these orders are kept.
pub(crate) fn shopify_order_ids(things: &[FromShopify], settings: &Settings, sender: &Sender) -> Vec<String> {
    let maker = Maker { vendor: Vendor::Shopify, settings, sender };
    things.iter().filter_map(|thing| shopify::order_id(thing, &maker)).collect()
}

/// Whether `signature` is the HMAC-SHA256 of the parts, in a time that tells nothing of where it differs.
fn check_hmac(secret: &str, parts: &[&[u8]], signature: &[u8]) -> Result<(), Unsigned> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| Unsigned::NoSecret)?;
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(signature).map_err(|_| Unsigned::Wrong)
}

/// The same of a signature in base64 in a header.
fn check_base64_hmac(secret: &str, request: &Request<'_>, header: &str) -> Result<(), Unsigned> {
    let given = request.header(header).ok_or(Unsigned::Missing)?;
    let signature = STANDARD.decode(given.trim()).map_err(|_| Unsigned::Wrong)?;
    check_hmac(secret, &[request.body], &signature)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Whether a moment in seconds since 1970 is at most so many seconds from now.
fn check_age(seconds: i64, now_us: i64, tolerance_s: i64) -> Result<(), Unsigned> {
    if (now_us / 1_000_000).abs_diff(seconds) > tolerance_s.unsigned_abs() { Err(Unsigned::TooOld) } else { Ok(()) }
}

/// The identifiers of a person, the surest first.
type Person = Vec<(IdentityKind, String)>;

/// Makes events of one source.
struct Maker<'a> {
    vendor: Vendor,
    settings: &'a Settings,
    sender: &'a Sender,
}

impl Maker<'_> {
    fn now_us(&self) -> i64 {
        self.sender.now_us
    }

    /// An order's id as the fold knows it: the shop's own, in the source's namespace where it has one.
    fn order_id(&self, id: &str) -> String {
        self.namespaced(id)
    }

    fn namespaced(&self, id: &str) -> String {
        match &self.settings.namespace {
            Some(namespace) => format!("{namespace}:{id}"),
            None => id.to_owned(),
        }
    }

    /// A customer's id in the vendor's system.
    fn external(&self, id: &str) -> (IdentityKind, String) {
        let system = self.settings.namespace.as_deref().unwrap_or(self.vendor.key());
        (IdentityKind::External, format!("{system}:{id}"))
    }

    /// Whether a message of that time, told again, would still be known by its id.
    fn is_known_again(&self, at_us: i64) -> bool {
        self.now_us() - at_us < KNOWN_AGAIN_US
    }

    /// A named event. `message_id` is the vendor's own, the same however often and in whatever delivery it is sent.
    fn track(
        &self,
        name: &str,
        at_us: i64,
        message_id: &str,
        person: &Person,
        properties: Map<String, Value>,
    ) -> Result<NewEvent, Fault> {
        let new = self.event(Kind::Track, at_us, message_id, person)?;
        self.named(new, name, properties)
    }

    /// The same of something that happened longer ago than message ids are kept: the event's own id follows from the
    /// message's, so that it is known again for ever.
    fn track_for_ever(
        &self,
        name: &str,
        at_us: i64,
        message_id: &str,
        person: &Person,
        properties: Map<String, Value>,
    ) -> Result<NewEvent, Fault> {
        let moment = self.sender.moment(at_us, None)?;
        let site_id = self.sender.site.site_id.to_be_bytes();
        let id = crate::secrets::hash_id(&[b"message", &site_id, self.message_id(message_id).as_bytes()]);
        let key = EventKey::Own(screen::uuid_v7(moment.0, *id.as_bytes()));
        let new = self.event_of(Kind::Track, moment, key, person)?;
        self.named(new, name, properties)
    }

    fn named(&self, mut new: NewEvent, name: &str, mut properties: Map<String, Value>) -> Result<NewEvent, Fault> {
        let mut text = json!(properties).to_string();
        // An order counts whatever was in it: where its lines are too many for one event, it goes without them.
        if text.len() > EVENT_BYTES && properties.remove("products").is_some() {
            properties.insert("products_left_out".to_owned(), true.into());
            text = json!(properties).to_string();
        }
        set_track(&mut new, &self.sender.site, name, screen::object(&text, "properties")?)?;
        Ok(new)
    }

    /// What is known of a person.
    fn identify(
        &self,
        at_us: i64,
        message_id: &str,
        person: &Person,
        traits: Map<String, Value>,
    ) -> Result<NewEvent, Fault> {
        if !person.iter().any(|(kind, value)| normalise(*kind, value).is_ok()) {
            return Err(Fault::new(Reason::MissingIdentity, "the message names nobody"));
        }
        let mut new = self.event(Kind::Identify, at_us, message_id, person)?;
        new.properties = screen::object(&Value::Object(traits).to_string(), "traits")?;
        Ok(new)
    }

    fn event(&self, kind: Kind, at_us: i64, message_id: &str, person: &Person) -> Result<NewEvent, Fault> {
        let moment = self.sender.moment(at_us, None)?;
        let key = screen::foreign_key(self.sender, Some(&self.message_id(message_id)), moment.0);
        self.event_of(kind, moment, key, person)
    }

    /// A message's id among all of the site.
    fn message_id(&self, own: &str) -> String {
        let known_as = self.settings.known_as.as_deref().unwrap_or(&self.sender.source);
        format!("{known_as}:{own}")
    }

    fn event_of(&self, kind: Kind, moment: (i64, i16), key: EventKey, person: &Person) -> Result<NewEvent, Fault> {
        let mut known = person.iter().filter_map(|(kind, value)| Some((*kind, normalise(*kind, value).ok()?)));
        let (own, value) = match known.next() {
            Some(own) => own,
            None => (IdentityKind::Message, key.event_id().to_string()),
        };
        let who = Who::Known { kind: own, value: Arc::from(value.as_str()) };
        let mut new = NewEvent::new(&self.sender.source, kind, key, who, moment);
        for (kind, other) in known.filter(|other| *other != (own, value.clone())) {
            tie(&mut new, kind, &other, Call::Together)?;
        }
        Ok(new)
    }
}

/// The member at a path of objects.
fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, key| value.get(key).unwrap_or(&Value::Null))
}

/// Text, or a number as text, that is not empty.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn text_at(value: &Value, path: &[&str]) -> Option<String> {
    text(at(value, path))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// An ISO 8601 moment, with or without an offset (then UTC), in µs since 1970.
fn moment(text: &str) -> Option<i64> {
    crate::import::moment(text, &jiff::tz::TimeZone::UTC)
}

fn moment_at(value: &Value, path: &[&str]) -> Option<i64> {
    text_at(value, path).and_then(|text| moment(&text))
}

/// An object of what is there: what is `None` or null is left out.
fn object(pairs: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Map<String, Value> {
    let said = |(key, value): (&'static str, Option<Value>)| {
        value.filter(|value| !value.is_null()).map(|value| (key.to_owned(), value))
    };
    pairs.into_iter().filter_map(said).collect()
}

/// A list, where it has anything in it.
fn filled(values: Vec<Value>) -> Option<Value> {
    if values.is_empty() { None } else { Some(Value::Array(values)) }
}

/// The fault of a topic that is not read.
fn unknown(what: &str) -> Fault {
    Fault::new(Reason::UnknownKind, format!("{what:.60} is not read; leave it out at the vendor"))
}

#[cfg(test)]
pub(super) mod tests;
