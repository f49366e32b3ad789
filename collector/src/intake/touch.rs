//! Opens and clicks of newsletters that anybody sends: what a mail's pixel and links lead through.
//!
//! A token names its site, a stored link and the recipient, and is signed, so that nobody is led to an address that the
//! site's owner has not given, and nobody opens in another's name. What it brings is a trusted word about the
//! recipient's address; the browser that follows the link is not joined to it, because mails are forwarded.

use super::screen::{self, Fault, Sender};
use crate::store::events::{Kind, NewEvent, Term, flags};
use crate::store::identities::Who;
use crate::store::touch::TouchLink;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::identity::Kind as IdentityKind;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes before the signature, and of the signature.
const BODY_BYTES: usize = 21;
const MAC_BYTES: usize = 12;
const VERSION: u8 = 1;
/// Mail programs ask for the same picture several times at once; within this it is one opening.
const SAME_OPENING_US: i64 = 60_000_000;

/// What a token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) site_id: i32,
    pub(crate) link_id: i64,
    /// The recipient's e-mail identity; 0 where the mail was made for nobody in particular.
    pub(crate) identity_id: i64,
}

impl Token {
    fn body(self) -> [u8; BODY_BYTES] {
        let mut body = [VERSION; BODY_BYTES];
        body[1..5].copy_from_slice(&self.site_id.to_be_bytes());
        body[5..13].copy_from_slice(&self.link_id.to_be_bytes());
        body[13..].copy_from_slice(&self.identity_id.to_be_bytes());
        body
    }

    /// The text that stands in an address.
    pub(crate) fn write(self, key: &[u8]) -> String {
        let body = self.body();
        let mut bytes = body.to_vec();
        bytes.extend(mac(key, &body).map_or([0; MAC_BYTES], |mac| mac));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what a token says, without believing it yet: [`Token::is_signed`].
    pub(crate) fn read(text: &str) -> Option<Token> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        if bytes.len() != BODY_BYTES + MAC_BYTES || bytes[0] != VERSION {
            return None;
        }
        Some(Token {
            site_id: i32::from_be_bytes(bytes[1..5].try_into().ok()?),
            link_id: i64::from_be_bytes(bytes[5..13].try_into().ok()?),
            identity_id: i64::from_be_bytes(bytes[13..BODY_BYTES].try_into().ok()?),
        })
    }

    /// Whether the text is this token with the key's signature.
    pub(crate) fn is_signed(self, text: &str, key: &[u8]) -> bool {
        mac(key, &self.body()).is_some() && crate::secrets::same(text, &self.write(key))
    }
}

fn mac(key: &[u8], body: &[u8]) -> Option<[u8; MAC_BYTES]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(body);
    mac.finalize().into_bytes()[..MAC_BYTES].try_into().ok()
}

/// What the recipient did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Opened,
    Clicked,
}

impl Act {
    /// The event's name, from Segment's e-mail vocabulary.
    fn name(self) -> &'static str {
        match self {
            Act::Opened => "Email Opened",
            Act::Clicked => "Email Link Clicked",
        }
    }
}

/// The event of an opening or a click of the recipient with this address.
///
/// # Errors
/// What in it cannot be stored.
pub(crate) fn event(sender: &Sender, act: Act, token: Token, email: &str, link: &TouchLink) -> Result<NewEvent, Fault> {
    let second = match act {
        Act::Opened => sender.now_us / SAME_OPENING_US,
        Act::Clicked => sender.now_us / 1_000_000,
    };
    let message_id = format!("touch:{}:{}:{}:{second}", act.name(), token.link_id, token.identity_id);
    let key = screen::foreign_key(sender, Some(&message_id), sender.now_us);
    let who = Who::Known { kind: IdentityKind::Email, value: email.into() };
    let mut new = NewEvent::new(&sender.source, Kind::Track, key, who, (sender.now_us, flags::TRUSTED));
    new.set(Term::Name, Some(act.name().into()));
    new.set(Term::Agent, sender.agent.clone());
    let mut properties =
        serde_json::json!({ "campaign": { "name": link.campaign, "source": link.source, "medium": "email" } });
    if act == Act::Clicked {
        properties["link_url"] = super::message::link(&link.url).into();
    }
    new.properties = screen::object(&properties.to_string(), "properties")?;
    Ok(new)
}

/// Where a click leads: the stored address, with the campaign in it where it names none of its own.
pub(crate) fn landing(link: &TouchLink) -> String {
    let (address, fragment) = match link.url.split_once('#') {
        Some((address, fragment)) => (address, format!("#{fragment}")),
        None => (link.url.as_str(), String::new()),
    };
    if address.contains("utm_source=") || address.contains("utm_campaign=") {
        return link.url.clone();
    }
    let mark = if address.contains('?') { '&' } else { '?' };
    let (source, campaign) = (escape(&link.source), escape(&link.campaign));
    format!("{address}{mark}utm_source={source}&utm_medium=email&utm_campaign={campaign}{fragment}")
}

fn escape(text: &str) -> String {
    let written = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(url: &str) -> TouchLink {
        TouchLink { campaign: "Autumn & more".into(), source: "newsletter".into(), url: url.into() }
    }

    #[test]
    fn a_token_is_read_back_and_any_change_of_it_is_found() {
        let token = Token { site_id: 7, link_id: 1_234_567_890_123, identity_id: 42 };
        let text = token.write(b"key");
        assert_eq!(Token::read(&text), Some(token));
        assert!(token.is_signed(&text, b"key"));
        assert!(!token.is_signed(&text, b"other"));
        for at in 0..text.len() {
            let mut changed: Vec<char> = text.chars().collect();
            changed[at] = if changed[at] == 'A' { 'B' } else { 'A' };
            let changed: String = changed.into_iter().collect();
            assert!(Token::read(&changed).is_none_or(|token| !token.is_signed(&changed, b"key")), "{at}");
        }
        for wrong in ["", "AAAA", &text[..43], &format!("{text}A"), "é"] {
            assert_eq!(Token::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_click_lands_with_its_campaign_and_keeps_the_addresss_own() {
        assert_eq!(
            landing(&link("https://shop.example/new")),
            "https://shop.example/new?utm_source=newsletter&utm_medium=email&utm_campaign=Autumn%20%26%20more"
        );
        assert_eq!(
            landing(&link("https://shop.example/?a=1#part")),
            "https://shop.example/?a=1&utm_source=newsletter&utm_medium=email&utm_campaign=Autumn%20%26%20more#part"
        );
        let own = "https://shop.example/?utm_source=x";
        assert_eq!(landing(&link(own)), own);
    }
}
