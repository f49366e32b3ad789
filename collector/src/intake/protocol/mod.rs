//! Protocols of others: what their SDKs send becomes events. One adapter each; what they have in common is that a
//! request is a [`Parcel`], whose messages are read one by one.

mod commerce;
pub(crate) mod ga4;
pub(crate) mod matomo;
pub(crate) mod pixel;
pub(crate) mod plausible;
pub(crate) mod posthog;
pub(crate) mod rudderstack;
pub(crate) mod segment;
pub(crate) mod snowplow;
pub(crate) mod umami;

use super::message::Request;
use super::screen::Fault;
use super::{BATCH_EVENTS, Reason, Refusal};
use crate::store::events::NewEvent;
use crate::store::ingest::Rejection;
use std::borrow::Cow;

/// How a request says which site it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// One of the site's keys.
    Own(String),
    /// The site's domain, where exactly one site has it; it stands for the public key.
    Domain(String),
}

/// What became of the messages of a request, in their order.
pub(crate) type Outcomes = Vec<Result<NewEvent, Fault>>;

/// Reads one message. Most are one event; one that says two things, as an event that also names traits, is two.
pub(crate) type Reader<'a> = dyn Fn(&str, &Request<'_>, &mut Outcomes) + 'a;

/// A request, read as far as its envelope.
pub(crate) struct Parcel<'a> {
    /// The key of the source, see [`super::source`].
    pub(crate) source: &'static str,
    /// Whose it is.
    pub(crate) key: Option<Key>,
    /// The sender's clock when it was sent, in µs since 1970.
    pub(crate) sent_at_us: Option<i64>,
    /// The messages as they arrived.
    pub(crate) messages: Vec<Cow<'a, str>>,
    /// The body was not UTF-8 and has been repaired.
    pub(crate) repaired: bool,
    /// Reads one of them.
    pub(crate) read: Box<Reader<'a>>,
}

impl Parcel<'_> {
    /// # Errors
    /// [`Refusal::TooLarge`] with more than [`BATCH_EVENTS`] messages.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.messages.len() > BATCH_EVENTS {
            let what = format!("batch has {} messages, limit {BATCH_EVENTS}", self.messages.len());
            return Err(Refusal::TooLarge(what));
        }
        Ok(())
    }

    /// The messages' events, and what was wrong with the others.
    pub(crate) fn read(&self, request: &Request<'_>) -> (Vec<NewEvent>, Vec<Rejection>) {
        let mut events = Vec::with_capacity(self.messages.len());
        let mut rejections = Vec::new();
        let mut outcomes = Outcomes::new();
        for raw in &self.messages {
            if self.repaired && raw.contains('\u{fffd}') {
                outcomes.push(Err(Fault::new(Reason::BadText, "text is not valid UTF-8")));
            } else {
                (self.read)(raw, request, &mut outcomes);
            }
            for outcome in outcomes.drain(..) {
                match outcome {
                    Ok(event) => events.push(event),
                    Err(fault) => rejections.push(fault.rejection(Some(&self.without_key(raw)))),
                }
            }
        }
        (events, rejections)
    }

    /// A message as the owner may see it: some protocols put the secret key into each.
    fn without_key<'m>(&self, raw: &'m str) -> Cow<'m, str> {
        match &self.key {
            Some(Key::Own(key)) if raw.contains(key.as_str()) => Cow::Owned(raw.replace(key.as_str(), "(key)")),
            Some(Key::Own(_) | Key::Domain(_)) | None => Cow::Borrowed(raw),
        }
    }
}

/// A body's text.
pub(crate) struct Text<'a> {
    pub(crate) text: Cow<'a, str>,
    /// It was not UTF-8 and has been repaired: the message that it was in is rejected later.
    pub(crate) repaired: bool,
}

impl<'a> Text<'a> {
    pub(crate) fn of(body: &'a [u8]) -> Text<'a> {
        match std::str::from_utf8(body) {
            Ok(text) => Text { text: Cow::Borrowed(text), repaired: false },
            Err(_) => Text { text: String::from_utf8_lossy(body), repaired: true },
        }
    }
}

/// The messages of a JSON list, each as its own text.
///
/// # Errors
/// [`Refusal::Unreadable`]
pub(crate) fn list<'a>(raw: &'a str, what: &str) -> Result<Vec<Cow<'a, str>>, Refusal> {
    let items: Vec<&'a serde_json::value::RawValue> = serde_json::from_str(raw)
        .map_err(|error| Refusal::Unreadable(format!("{what} is no list of messages: {error}")))?;
    Ok(items.into_iter().map(|item| Cow::Borrowed(item.get())).collect())
}
