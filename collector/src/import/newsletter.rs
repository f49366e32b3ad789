//! What happened to newsletters, in the words that webhooks of mailers use.

use super::fields::plain;
use super::format::Line;
use super::maker::Maker;
use crate::intake::Reason;
use crate::intake::message::{link, set_track};
use crate::intake::screen::{self, Fault};
use crate::store::events::{Kind, NewEvent};
use domain::identity::Kind as IdentityKind;
use serde_json::{Map, Value, json};

const WHO: [(&str, IdentityKind); 1] = [("email", IdentityKind::Email)];

const SENT: &str = "Email Sent";
const DELIVERED: &str = "Email Delivered";
const OPENED: &str = "Email Opened";
const CLICKED: &str = "Email Link Clicked";
const BOUNCED: &str = "Email Bounced";
const SPAM: &str = "Email Marked as Spam";
const UNSUBSCRIBED: &str = "Unsubscribed";
const SUBSCRIBED: &str = "Subscribed";

/// What mailers call what happens; [`plain`] has made one word of each.
const WORDS: [(&str, &[&str]); 8] = [
    (SENT, &["sent", "send", "email_sent", "processed", "email_processed", "versendet"]),
    (DELIVERED, &["delivered", "delivery", "received", "received_email", "email_delivered", "zugestellt"]),
    (OPENED, &["opened", "open", "opened_email", "email_opened", "opens", "geöffnet"]),
    (CLICKED, &["clicked", "click", "clicked_email", "email_clicked", "email_link_clicked", "clicks", "geklickt"]),
    (BOUNCED, &["bounced", "bounce", "bounced_email", "email_bounced", "hard_bounce", "soft_bounce", "cleaned"]),
    (
        SPAM,
        &[
            "spam",
            "spamreport",
            "spam_report",
            "complaint",
            "complained",
            "abuse",
            "abuse_report",
            "marked_email_as_spam",
            "email_marked_as_spam",
            "spam_complaint",
        ],
    ),
    (
        UNSUBSCRIBED,
        &[
            "unsubscribed",
            "unsubscribe",
            "unsub",
            "unsubscribed_from_email_marketing",
            "group_unsubscribe",
            "optout",
            "opt_out",
            "abgemeldet",
        ],
    ),
    (SUBSCRIBED, &["subscribed", "subscribe", "subscribed_to_email_marketing", "optin", "opt_in", "angemeldet"]),
];

/// The event's name for a mailer's word; `None` for other words.
pub(crate) fn happening(word: &str) -> Option<&'static str> {
    let word = plain(word);
    WORDS.iter().find(|(name, words)| plain(name) == word || words.contains(&word.as_str())).map(|(name, _)| *name)
}

pub(super) fn events(maker: &mut Maker, line: &Line) -> Result<Vec<NewEvent>, Fault> {
    let who = maker.who(line, &WHO)?.ok_or_else(|| Fault::new(Reason::MissingIdentity, "email is empty"))?;
    let at_us = maker.read_moment(maker.needed(line, "happened_at")?, "happened_at")?;
    let word = match (maker.text(line, "event")?, &maker.event) {
        ("", Some(event)) => event.as_str(),
        (word, _) => word,
    };
    let name = happening(word).ok_or_else(|| {
        let detail = match word {
            "" => "the line does not say what happened".to_owned(),
            word => format!("event {word:.40?} is nothing that happens to a newsletter"),
        };
        Fault::new(Reason::UnknownKind, detail)
    })?;
    let said = properties(maker, line)?;
    let text = Value::Object(said).to_string();
    let site_id = maker.site.site_id.to_be_bytes();
    // The mailer's own id, else everything that the line says: one person opens one mail once at one moment.
    let own = maker.text(line, "event_id")?;
    let says = if own.is_empty() { text.as_str() } else { own };
    let key = |kind: &[u8]| {
        let says = [kind, name.as_bytes(), &site_id, who.1.as_bytes(), says.as_bytes()];
        maker.own_key(at_us, &says)
    };
    let mut new = maker.event(Kind::Track, key(b"newsletter"), who.clone(), at_us);
    set_track(&mut new, &maker.site, name, screen::object(&text, "properties")?)?;
    let opt_in = match name {
        UNSUBSCRIBED | SPAM => Some(false),
        SUBSCRIBED => Some(true),
        _ => None,
    };
    let knows = opt_in.map(|opt_in| {
        let mut knows = maker.event(Kind::Identify, key(b"newsletter knows"), who.clone(), at_us);
        knows.properties = Some(json!({ "email_opt_in": opt_in }).to_string().into());
        knows
    });
    Ok([Some(new), knows].into_iter().flatten().collect())
}

fn properties(maker: &Maker, line: &Line) -> Result<Map<String, Value>, Fault> {
    let mut said = Map::new();
    for (field, property) in [
        ("campaign", "campaign_name"),
        ("campaign_id", "campaign_id"),
        ("subject", "email_subject"),
        ("reason", "reason"),
    ] {
        let text = maker.text(line, field)?;
        if !text.is_empty() {
            said.insert(property.to_owned(), text.into());
        }
    }
    let url = maker.text(line, "url")?;
    if !url.is_empty() {
        // Links of mails carry tokens of their readers.
        said.insert("link_url".to_owned(), link(url).into());
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_mailers_become_one_vocabulary() {
        for (word, name) in [
            ("open", OPENED),
            ("Opened Email", OPENED),
            ("Email Opened", OPENED),
            ("CLICK", CLICKED),
            ("Hard Bounce", BOUNCED),
            ("Marked Email as Spam", SPAM),
            ("Unsubscribed from Email Marketing", UNSUBSCRIBED),
            ("processed", SENT),
        ] {
            assert_eq!(happening(word), Some(name), "{word}");
        }
        assert_eq!(happening("Order Completed"), None);
        assert_eq!(happening(""), None);
    }
}
