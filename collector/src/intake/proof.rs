//! Who a browser says somebody is, and whether it can prove that.
//!
//! A site's server can sign a user id for the page that it serves: the trait `user_hash` of an identify call is the
//! HMAC-SHA256 of the user id under the site's identity secret, in hexadecimal digits. A signed identify counts as the
//! server's own word. Where the site asks for signatures, an unsigned one is only a claim: it joins nobody and tells
//! nothing of the person, and is shown as what it is.

use super::Reason;
use super::screen::Fault;
use crate::store::events::{Kind, NewEvent, flags};
use crate::store::identities::Who;
use crate::store::ingest::Rejection;
use crate::store::sites::Site;
use domain::event::Trust;
use domain::identity::{Call, Kind as IdentityKind, Standing};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::value::RawValue;
use sha2::Sha256;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The trait that carries the signature.
const USER_HASH: &str = "user_hash";

/// Settles how far each event's word of who it is about is believed; an event that is about a person whom the browser
/// cannot prove to be is refused.
pub(crate) fn settle(site: &Site, events: Vec<NewEvent>, rejections: &mut Vec<Rejection>) -> Vec<NewEvent> {
    let mut kept = Vec::with_capacity(events.len());
    for mut event in events {
        if event.trust() == Trust::Trusted {
            kept.push(event);
            continue;
        }
        match settle_one(site, &mut event) {
            Ok(()) => kept.push(event),
            Err(fault) => rejections.push(fault.rejection(None)),
        }
    }
    kept
}

fn settle_one(site: &Site, event: &mut NewEvent) -> Result<(), Fault> {
    names_no_contact(event);
    let names_user = event.links.iter().any(|link| link.kind == IdentityKind::UserId);
    let is_user = matches!(&event.who, Who::Known { kind: IdentityKind::UserId, .. });
    if site.identity_secret.is_empty() || !(names_user || is_user) {
        return Ok(());
    }
    let signature = if event.kind == Kind::Identify { take_signature(event)? } else { None };
    let proves =
        |user_id: &str| signature.as_deref().is_some_and(|given| is_signed(&site.identity_secret, user_id, given));
    let mut proven = false;
    for link in event.links.iter_mut().filter(|link| link.kind == IdentityKind::UserId) {
        if proves(&link.value) {
            // The signature proves who is signed in, and not that two accounts are one.
            (link.standing, link.call, proven) = (Standing::Trusted, Call::Together, true);
        } else if site.signed_identify {
            link.standing = Standing::Claimed;
        }
    }
    if let Who::Known { kind: IdentityKind::UserId, value } = &event.who {
        proven |= proves(value);
        if site.signed_identify && !proven {
            let detail =
                "this site asks for signed identifies, and the event names a user id alone; send an anonymousId too";
            return Err(Fault::new(Reason::UnsignedIdentity, detail));
        }
    }
    if site.signed_identify && !proven && matches!(event.kind, Kind::Identify | Kind::Alias) {
        event.flags |= flags::CLAIMED;
    }
    Ok(())
}

/// A browser cannot be somebody by naming an address: such an event belongs to nobody but itself.
fn names_no_contact(event: &mut NewEvent) {
    if let Who::Known { kind, .. } = &event.who
        && matches!(kind, IdentityKind::Email | IdentityKind::Phone | IdentityKind::External | IdentityKind::Order)
    {
        event.who = Who::Known { kind: IdentityKind::Message, value: event.key.event_id().to_string().into() };
    }
}

/// Takes the signature out of an identify's traits: it is no trait of the person.
fn take_signature(event: &mut NewEvent) -> Result<Option<String>, Fault> {
    let Some(text) = event.properties.as_deref().filter(|text| text.contains(USER_HASH)) else { return Ok(None) };
    let unreadable = |error: serde_json::Error| Fault::new(Reason::Unreadable, format!("traits: {error}"));
    let mut traits: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).map_err(unreadable)?;
    let Some(given) = traits.remove(USER_HASH) else { return Ok(None) };
    let signature = serde_json::from_str(given.get()).ok();
    let rest = serde_json::to_string(&traits).map_err(unreadable)?;
    event.properties = Some(rest.into());
    Ok(signature)
}

/// Whether `given` is the signature of a user id, in a time that tells nothing of where it differs.
fn is_signed(secret: &str, user_id: &str, given: &str) -> bool {
    let digits = given.trim().as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> =
        digits.chunks(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect();
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(user_id.as_bytes());
    bytes.is_some_and(|bytes| mac.verify_slice(&bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_hmac_of_the_user_id() {
        // RFC 4231, test case 2: key `Jefe`.
        let signature = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert!(is_signed("Jefe", "what do ya want for nothing?", signature));
        assert!(is_signed("Jefe", "what do ya want for nothing?", &signature.to_uppercase()));
        for wrong in ["", "5b", "zz", &signature[..62], &format!("{signature}00"), &signature.replace('5', "6")] {
            assert!(!is_signed("Jefe", "what do ya want for nothing?", wrong), "{wrong}");
        }
        assert!(!is_signed("Jeff", "what do ya want for nothing?", signature));
    }
}
