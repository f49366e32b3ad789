//! Customers: each line is what is known of a person, an Identify.

use super::format::Line;
use super::maker::{Maker, Named};
use crate::intake::Reason;
use crate::intake::screen::{self, Fault};
use crate::store::events::{EventKey, Kind, NewEvent};
use domain::event::Trust;
use domain::identity::Kind as IdentityKind;
use serde_json::{Map, Value};

const WHO: [(&str, IdentityKind); 3] =
    [("customer_id", IdentityKind::UserId), ("email", IdentityKind::Email), ("phone", IdentityKind::Phone)];
const TIED: [(&str, IdentityKind); 2] = [("email", IdentityKind::Email), ("phone", IdentityKind::Phone)];

/// Fields that become traits, with their names in Segment's specification.
const TRAITS: [(&str, &str); 11] = [
    ("email", "email"),
    ("phone", "phone"),
    ("first_name", "firstName"),
    ("last_name", "lastName"),
    ("name", "name"),
    ("company", "company"),
    ("street", "street"),
    ("city", "city"),
    ("postal_code", "postalCode"),
    ("state", "state"),
    ("country", "country"),
];

pub(super) fn events(maker: &mut Maker, line: &Line) -> Result<Vec<NewEvent>, Fault> {
    let who = maker
        .who(line, &WHO)?
        .ok_or_else(|| Fault::new(Reason::MissingIdentity, "the line names nobody: no id, e-mail or phone number"))?;
    let traits = traits(maker, line)?;
    let text = Value::Object(traits).to_string();
    let created_us = maker.moment(line, "created_at")?;
    let updated_us = maker.moment(line, "updated_at")?;
    let at_us = updated_us.or(created_us).unwrap_or(maker.now_us).min(maker.now_us);
    let key = key(maker, &who, &text, (at_us, updated_us.is_some()));
    let mut new = maker.event(Kind::Identify, key, who, at_us);
    maker.tie_all(&mut new, line, &TIED)?;
    new.properties = screen::object(&text, "traits")?;
    Ok(vec![new])
}

/// Where the line says when it was true, that and what it says make the event's id, for ever.
///
/// Otherwise a later file has the last word on a person: its events have a larger id at the same moment, and are known
/// again by what they say as long as messages of other sources are.
fn key(maker: &Maker, (kind, value): &Named, text: &str, (at_us, is_dated): (i64, bool)) -> EventKey {
    let site_id = maker.site.site_id.to_be_bytes();
    let says = [b"customer", &site_id[..], &kind.code().to_be_bytes(), value.as_bytes(), text.as_bytes()];
    let hash = maker.hash(&says);
    if is_dated {
        return EventKey::Own(screen::uuid_v7(at_us, *hash.as_bytes()));
    }
    let mut random = *hash.as_bytes();
    // Seconds of the import, in the 36 bits that are compared first behind the time.
    let seconds = u64::try_from(maker.now_us / 1_000_000).unwrap_or(0);
    random[6] = (seconds >> 32) as u8 & 0x0f;
    random[7] = (seconds >> 24) as u8;
    random[8] = (seconds >> 18) as u8 & 0x3f;
    random[9] = (seconds >> 10) as u8;
    random[10] = (seconds >> 2) as u8;
    let message_id = format!("import:customer:{hash}");
    EventKey::Foreign {
        message_hash: screen::message_hash(maker.site.site_id, Trust::Trusted, &message_id),
        minted: screen::uuid_v7(at_us, random),
    }
}

fn traits(maker: &Maker, line: &Line) -> Result<Map<String, Value>, Fault> {
    let mut traits = Map::new();
    for (field, name) in TRAITS {
        let text = maker.text(line, field)?;
        if !text.is_empty() {
            traits.insert(name.to_owned(), text.into());
        }
    }
    for (field, name) in [("date_of_birth", "birthday"), ("tags", "tags"), ("created_at", "createdAt")] {
        let text = maker.text(line, field)?;
        if !text.is_empty() {
            traits.insert(name.to_owned(), text.into());
        }
    }
    match maker.text(line, "accepts_marketing")? {
        "" => {}
        text => match truth(text) {
            Some(agrees) => {
                traits.insert("email_opt_in".to_owned(), agrees.into());
            }
            None => {
                let detail = format!("accepts_marketing {text:.40?} is neither yes nor no");
                return Err(Fault::new(Reason::Unreadable, detail));
            }
        },
    }
    for (name, at) in &maker.layout.traits {
        let Some(cell) = line.cells.get(*at) else { continue };
        let text = cell.shown();
        if !text.is_empty() {
            traits.insert(name.clone(), screen::clean(&text, name)?.into());
        }
    }
    Ok(traits)
}

/// Whether somebody agreed, in the words of exports; `None` for other words.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "yes" | "y" | "true" | "1" | "subscribed" | "ja" | "x" | "opted in" | "granted" => Some(true),
        "no" | "n" | "false" | "0" | "unsubscribed" | "nein" | "not_subscribed" | "never_subscribed" | "cleaned"
        | "not subscribed" | "never subscribed" | "opted out" | "denied" | "pending" | "nonsubscribed" => Some(false),
        _ => None,
    }
}
