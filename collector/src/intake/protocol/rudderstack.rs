//! Adapter of RudderStack's HTTP API, whose messages are Segment's under the same paths. What differs: the key stands
//! in Basic auth alone, or, for beacons, in the address; bodies are gzip unless told otherwise.
//!
//! The paths being the same, a request is told from Segment's by `channel`, which RudderStack's SDKs write into each
//! message and Segment's do not, or by the header `AnonymousId`, which they send from browsers and apps.

use super::{Key, Parcel, Text, segment};
use crate::intake::fields::Fields;
use crate::intake::loose::Loose;
use crate::intake::{Refusal, source};

#[derive(serde::Deserialize)]
struct Sniffed<'a> {
    #[serde(borrow, default)]
    channel: Loose<'a>,
}

/// Reads a post to one of the paths that both have; `has_header` says whether it carries `AnonymousId`.
///
/// # Errors
/// See [`segment::open`].
pub(crate) fn open_either<'a>(
    text: &'a Text<'_>,
    kind: Option<&'static str>,
    basic: Option<String>,
    has_header: bool,
) -> Result<Parcel<'a>, Refusal> {
    let parcel = segment::open(text, kind, basic)?;
    let is_rudderstack = has_header || {
        let first = parcel.messages.first().and_then(|raw| serde_json::from_str::<Sniffed<'_>>(raw).ok());
        first.is_some_and(|message| message.channel.text().is_some())
    };
    Ok(if is_rudderstack { Parcel { source: source::RUDDERSTACK, ..parcel } } else { parcel })
}

/// Reads a beacon, which names its key in the address because it can have no headers.
///
/// # Errors
/// See [`segment::open`].
pub(crate) fn open_beacon<'a>(text: &'a Text<'_>, query: &str, basic: Option<String>) -> Result<Parcel<'a>, Refusal> {
    let named = Fields::of_query(query).ok().and_then(|query| query.text("writeKey").map(|key| key.into_owned()));
    let parcel = segment::open(text, None, basic)?;
    Ok(Parcel { source: source::RUDDERSTACK, key: named.map(Key::Own).or(parcel.key.clone()), ..parcel })
}
