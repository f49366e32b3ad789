//! A picture for places without scripts, such as mails: `/p.gif?k=WRITEKEY&…`.
//!
//! | parameter | what it says |
//! |---|---|
//! | `k` | the site's key |
//! | `u` | the page's address, else the request's referrer is it |
//! | `t` | the page's title |
//! | `r` | where the visitor came from |
//! | `e` | the name of an event; without it, it is a page view |
//! | `id` | the site's own id of the person; without it, the visitor is measured |
//! | `m` | an id of this message, under which it is stored once however often the picture is loaded |
//! | `p.NAME` | a property of the event |

use super::{Key, Parcel};
use crate::intake::fields::{Fields, properties};
use crate::intake::message::{Ids, Message, Request, Says, View, Whose};
use crate::intake::screen::Fault;
use crate::intake::source;
use crate::store::events::NewEvent;
use serde_json::Map;
use std::borrow::Cow;

/// Reads a request. `page` is the page that asked for the picture, as far as the browser tells.
pub(crate) fn open<'a>(query: &'a str, page: Option<&'a str>) -> Parcel<'a> {
    let key = Fields::of_query(query).ok().and_then(|query| query.text("k").map(|key| Key::Own(key.into_owned())));
    Parcel {
        source: source::PIXEL,
        key,
        sent_at_us: None,
        messages: vec![Cow::Borrowed(query)],
        repaired: false,
        read: Box::new(move |raw, request, outcomes| outcomes.push(event(raw, page, request))),
    }
}

fn event(raw: &str, page: Option<&str>, request: &Request<'_>) -> Result<NewEvent, Fault> {
    let fields = Fields::of_query(raw)?;
    let (user_id, message_id) = (fields.text("id"), fields.text("m"));
    let whose = match &user_id {
        Some(user_id) => Whose::Of(Ids { user_id: Some(user_id), message_id: message_id.as_deref(), ..Ids::default() }),
        None => Whose::Measured(message_id.as_deref()),
    };
    let message = Message { whose, ..Message::measured() };
    let custom: Map<_, _> = fields
        .0
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("p.")?.to_owned(), value.clone())))
        .collect();
    let custom = properties(&custom)?;
    match fields.text("e") {
        Some(name) => message.event(request, Says::Track { name: &name, properties: custom }),
        None => {
            let url = fields.text("u").or(page.map(Cow::Borrowed));
            let (title, referrer) = (fields.text("t").unwrap_or_default(), fields.text("r").unwrap_or_default());
            let view =
                View { url: url.as_deref(), title: &title, referrer: &referrer, properties: custom, ..View::default() };
            message.event(request, Says::Page(view))
        }
    }
}
