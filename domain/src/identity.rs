//! Who is who: the kinds of identities, how their values are written, and when two profiles are one person.
//!
//! A profile is a set of identities. A message names one or more of them; the first is the one that its events belong
//! to, and each further one is a [`Link`] between the two. An identity that was never seen before founds a profile of its
//! own; [`decide`] answers what a link does to the two profiles.
//!
//! | link between | vouched for by | the first's profile | the second's profile | decision |
//! |---|---|---|---|---|
//! | visitor and user id | browser | anonymous | any | merge, this is what signing in means |
//! | visitor and user id | browser | known | any other | refused: a browser never joins two known people |
//! | anything and e-mail, phone, external id, order | browser | any | any | refused: anybody can type an address |
//! | user id and user id (alias) | browser | any | any | refused |
//! | anything | trusted | one of the two has no user id | | merge |
//! | visitor, phone or order and anything | trusted | has a user id | has another | refused: devices, landlines and orders are shared |
//! | user id or external id and e-mail or external id | trusted | has a user id | has another | merge: the business says that two accounts have one inbox or one customer number |
//! | anything (alias) | trusted | any | any | merge: this is what alias says |
//! | measured or message id and anything | any | any | any | refused: they name a visit, not a person |
//!
//! Every merge keeps the caps of [`Kind::cap`], whoever asks for it: a value that many people share (a support inbox, a
//! till's customer number) stops at the cap instead of swallowing the customer base.
//!
//! A caller that has checked a claim itself passes it as trusted: a signed identify, or a browser's order that agrees
//! with a trusted one.

use crate::event::{ProfileId, Trust};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A browser's or device's own id, Segment's `anonymousId`.
    Visitor,
    /// The site's own id of a signed-in person.
    UserId,
    /// An e-mail address.
    Email,
    /// A phone number in international form.
    Phone,
    /// Another system's customer id, `system:id`.
    External,
    /// An order, `source:order id`: claimed so that it is counted once per site.
    Order,
    /// A message that names nobody; it founds a profile of its own.
    Message,
    /// A day's visitor hash of measure mode: nothing is ever linked to it.
    Measured,
}

impl Kind {
    /// All kinds, by code.
    pub const ALL: [Kind; 8] = [
        Kind::Visitor,
        Kind::UserId,
        Kind::Email,
        Kind::Phone,
        Kind::External,
        Kind::Order,
        Kind::Message,
        Kind::Measured,
    ];

    /// The stored number; never given to another kind.
    pub const fn code(self) -> i16 {
        match self {
            Kind::Visitor => 1,
            Kind::UserId => 2,
            Kind::Email => 3,
            Kind::Phone => 4,
            Kind::External => 5,
            Kind::Order => 6,
            Kind::Message => 7,
            Kind::Measured => 8,
        }
    }

    /// The kind of that [`Kind::code`].
    pub fn from_code(code: i16) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The name in addresses and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Visitor => "visitor",
            Kind::UserId => "user_id",
            Kind::Email => "email",
            Kind::Phone => "phone",
            Kind::External => "external",
            Kind::Order => "order",
            Kind::Message => "message",
            Kind::Measured => "measured",
        }
    }

    /// The kind of that [`Kind::name`].
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// How many identities of this kind one profile may have; `None` for those that nothing can be merged through.
    pub const fn cap(self) -> Option<u32> {
        match self {
            // Safari forgets a site's ids after 7 days: 52 a year and device; three devices for five years and more.
            Kind::Visitor => Some(1_000),
            // People do open a second account; nobody has ten.
            Kind::UserId => Some(5),
            // Private, work, the one before, and a shop's forwarding addresses.
            Kind::Email => Some(10),
            Kind::Phone => Some(10),
            // One or a few per connected system.
            Kind::External => Some(50),
            Kind::Order | Kind::Message | Kind::Measured => None,
        }
    }

    /// Whether it says who somebody is, rather than which device or order it was.
    pub const fn names_a_person(self) -> bool {
        match self {
            Kind::UserId | Kind::Email | Kind::Phone | Kind::External => true,
            Kind::Visitor | Kind::Order | Kind::Message | Kind::Measured => false,
        }
    }

    /// Whether several people may have it in common, so that it alone does not make two user ids one person.
    const fn is_shared(self) -> bool {
        match self {
            Kind::Visitor | Kind::Phone | Kind::Order | Kind::Message | Kind::Measured => true,
            Kind::UserId | Kind::Email | Kind::External => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An identity's value is at most this long.
pub const MAX_VALUE_BYTES: usize = 256;

/// Why a text is no identity of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Nothing but white space.
    #[error("{kind} is empty")]
    Empty {
        /// What it should have been.
        kind: Kind,
    },
    /// Too long.
    #[error("{kind} is {bytes} bytes, limit {MAX_VALUE_BYTES}")]
    TooLong {
        /// What it should have been.
        kind: Kind,
        /// Its length.
        bytes: usize,
    },
    /// A value that programs send when they know nobody.
    #[error("{kind} is a placeholder that names nobody; leave it out instead")]
    Blocked {
        /// What it should have been.
        kind: Kind,
    },
    /// Not of the kind's form.
    #[error("{kind} {problem}")]
    Malformed {
        /// What it should have been.
        kind: Kind,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Texts that programs send when they know nobody. One of them as an identity would join everybody to one person.
///
/// Ids that a person may have chosen or a database given (`test`, `admin`, `1`) are not among them.
const BLOCKED: &[&str] = &[
    "null",
    "(null)",
    "nil",
    "none",
    "undefined",
    "nan",
    "void",
    "empty",
    "blank",
    "unknown",
    "unset",
    "(not set)",
    "not set",
    "n/a",
    "na",
    "-",
    "--",
    "?",
    "0",
    "-1",
    "true",
    "false",
    "anonymous",
    "anon",
    "guest",
    "visitor",
    "user",
    "userid",
    "user_id",
    "user id",
    "anonymousid",
    "anonymous_id",
    "distinctid",
    "distinct_id",
    "id",
    "uuid",
    "email",
    "e-mail",
    "phone",
    "customer",
    "customer_id",
    "not_authenticated",
    "not authenticated",
    "unauthenticated",
    "unidentified",
    "default",
    "[object object]",
    "object",
    "{}",
    "[]",
    "\"\"",
    "''",
];

/// Writes an identity's value the one way in which it is stored and looked up.
///
/// All kinds are trimmed and at most [`MAX_VALUE_BYTES`] long, without control characters. E-mails are lower case;
/// phone numbers are `+` and digits; all others keep their case.
///
/// # Errors
/// [`Invalid`], when it is no identity of that kind.
pub fn normalise(kind: Kind, value: &str) -> Result<String, Invalid> {
    let value = value.trim();
    if value.is_empty() {
        return Err(Invalid::Empty { kind });
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(Invalid::TooLong { kind, bytes: value.len() });
    }
    if value.chars().any(char::is_control) {
        return Err(Invalid::Malformed { kind, problem: "has control characters" });
    }
    let value = match kind {
        Kind::Email => email(value)?,
        Kind::Phone => phone(value)?,
        Kind::Visitor | Kind::UserId | Kind::External | Kind::Order | Kind::Message | Kind::Measured => {
            value.to_owned()
        }
    };
    // `system:null` names nobody either.
    let own = match kind {
        Kind::External | Kind::Order => value.split_once(':').map_or(value.as_str(), |(_, own)| own),
        Kind::Email => value.split_once('@').map_or(value.as_str(), |(local, _)| local),
        Kind::Visitor | Kind::UserId | Kind::Phone | Kind::Message | Kind::Measured => &value,
    };
    if is_blocked(kind, own.trim()) { Err(Invalid::Blocked { kind }) } else { Ok(value) }
}

fn is_blocked(kind: Kind, value: &str) -> bool {
    let lower = value.to_lowercase();
    match kind {
        // Somebody may well be guest@ or user@ their own domain; only what programs write is left out.
        Kind::Email => matches!(
            lower.as_str(),
            "noreply" | "no-reply" | "no_reply" | "donotreply" | "do-not-reply" | "null" | "undefined" | "nan"
        ),
        Kind::Visitor | Kind::UserId | Kind::Phone | Kind::External | Kind::Order | Kind::Message | Kind::Measured => {
            // `0`, `0000`, `00000000-0000-0000-0000-000000000000`, `+000`.
            let zero = lower.bytes().all(|b| matches!(b, b'0' | b'-' | b'+' | b'.' | b'{' | b'}'));
            lower.is_empty() || zero || BLOCKED.contains(&lower.as_str())
        }
    }
}

/// Enough of RFC 5321 to keep out what is no address: one `@`, a local part of up to 64 bytes, a domain with a dot,
/// 254 bytes in all. Whether somebody reads it only a mail can tell.
fn email(value: &str) -> Result<String, Invalid> {
    let malformed = |problem| Err(Invalid::Malformed { kind: Kind::Email, problem });
    let value = value.to_lowercase();
    let Some((local, domain)) = value.split_once('@') else { return malformed("has no @") };
    if value.chars().any(char::is_whitespace) || value.contains([',', ';', '<', '>', '"', '(', ')', ':', '\\']) {
        return malformed("has characters that no address has");
    }
    if local.is_empty() || local.len() > 64 || local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return malformed("has no proper part before the @");
    }
    let labels = domain.split('.');
    let proper = |label: &str| {
        !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-') && {
            label.chars().all(|c| c.is_alphanumeric() || c == '-')
        }
    };
    if value.len() > 254 || labels.clone().count() < 2 || !labels.clone().all(proper) {
        return malformed("has no proper domain after the @");
    }
    Ok(value)
}

/// E.164: a country code and 8 to 15 digits in all. A national number means different people in different countries.
fn phone(value: &str) -> Result<String, Invalid> {
    let malformed = |problem| Err(Invalid::Malformed { kind: Kind::Phone, problem });
    let bare: String = value.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}')).collect();
    let Some(digits) = bare.strip_prefix('+').or_else(|| bare.strip_prefix("00")) else {
        return malformed("has no country code, write it like +49 30 901820");
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) || !(8..=15).contains(&digits.len()) || digits.starts_with('0') {
        return malformed("is no international number of 8 to 15 digits, for example +49 30 901820");
    }
    Ok(format!("+{digits}"))
}

/// Which call made the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// A message that carries both identities: an identify call, an order with a customer, a line of an import.
    Together,
    /// A call whose only meaning is that both are one person.
    Alias,
}

/// That two identities belong to one person, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// Who vouches for it.
    pub trust: Trust,
    /// Which call made it.
    pub call: Call,
    /// The identity that the message's event belongs to.
    pub from: Kind,
    /// The other identity.
    pub to: Kind,
}

/// How many identities of each kind a profile has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u32; Kind::ALL.len()]);

impl Counts {
    /// The identities of that kind.
    pub fn of(&self, kind: Kind) -> u32 {
        self.0[kind as usize]
    }

    /// Adds identities of that kind.
    pub fn add(&mut self, kind: Kind, count: u32) {
        self.0[kind as usize] += count;
    }
}

impl FromIterator<(Kind, u32)> for Counts {
    fn from_iter<I: IntoIterator<Item = (Kind, u32)>>(pairs: I) -> Counts {
        let mut counts = Counts::default();
        for (kind, count) in pairs {
            counts.add(kind, count);
        }
        counts
    }
}

/// What the decision needs to know of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileSummary {
    /// The profile.
    pub profile_id: ProfileId,
    /// Its identities.
    pub counts: Counts,
}

impl ProfileSummary {
    /// Whether it is known who the person is: by a user id, an e-mail, a phone number or another system's id.
    pub fn is_known(&self) -> bool {
        Kind::ALL.into_iter().any(|kind| kind.names_a_person() && self.counts.of(kind) > 0)
    }

    fn has_user_id(&self) -> bool {
        self.counts.of(Kind::UserId) > 0
    }
}

/// What a link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: both are one profile already.
    Same,
    /// The identities of `from` become those of `into`.
    Merge {
        /// The profile that goes.
        from: ProfileId,
        /// The profile that stays: the better known one, else the older.
        into: ProfileId,
        /// Why, for the ledger.
        reason: Reason,
    },
    /// Both stay as they are.
    Refuse(Refusal),
}

/// Why two profiles were merged, as the ledger keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// An anonymous browser named its user.
    SignedIn,
    /// A trusted source names both for one person.
    TrustedLink,
    /// A trusted source called alias.
    TrustedAlias,
}

impl Reason {
    /// The stored name.
    pub const fn key(self) -> &'static str {
        match self {
            Reason::SignedIn => "signed_in",
            Reason::TrustedLink => "trusted_link",
            Reason::TrustedAlias => "trusted_alias",
        }
    }
}

/// Why a link changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Measured visits and nameless messages belong to nobody.
    #[error("a {0} identity names no person and is linked to nothing")]
    NamesNobody(Kind),
    /// A browser's word for it is not enough.
    #[error("a browser cannot prove a {0}; send it with the secret key to link it")]
    Unverified(Kind),
    /// A browser that belongs to a known person named another one.
    #[error("the browser's profile is already known; only a trusted source joins it to another person")]
    AlreadyKnown,
    /// Two user ids on one device, phone number or order.
    #[error("both have a user id, and people share a {0}; only a trusted alias or e-mail joins them")]
    TwoUsers(Kind),
    /// Too many for one person.
    #[error("the person would have {count} identities of kind {kind}, limit {limit}")]
    TooMany {
        /// The kind.
        kind: Kind,
        /// How many there would be.
        count: u32,
        /// [`Kind::cap`].
        limit: u32,
    },
}

/// What a link does to the profiles of its two identities: `a` has `link.from`, `b` has `link.to`.
pub fn decide(link: &Link, a: &ProfileSummary, b: &ProfileSummary) -> Decision {
    if a.profile_id == b.profile_id {
        return Decision::Same;
    }
    match reason(link, a, b).and_then(|reason| within_caps(a, b).map(|()| reason)) {
        Ok(reason) => {
            let rank = |profile: &ProfileSummary| (!profile.has_user_id(), !profile.is_known(), profile.profile_id);
            let (into, from) = if rank(a) < rank(b) { (a, b) } else { (b, a) };
            Decision::Merge { from: from.profile_id, into: into.profile_id, reason }
        }
        Err(refusal) => Decision::Refuse(refusal),
    }
}

fn reason(link: &Link, a: &ProfileSummary, b: &ProfileSummary) -> Result<Reason, Refusal> {
    for kind in [link.from, link.to] {
        if matches!(kind, Kind::Message | Kind::Measured) {
            return Err(Refusal::NamesNobody(kind));
        }
    }
    match link.trust {
        Trust::Browser => {
            if let Some(kind) = [link.from, link.to].into_iter().find(|k| !matches!(k, Kind::Visitor | Kind::UserId)) {
                return Err(Refusal::Unverified(kind));
            }
            match (link.from, link.to) {
                // Two ids of one browser, or the browser and its user: one of them must be nobody yet.
                (Kind::Visitor, _) | (_, Kind::Visitor) if a.is_known() && b.is_known() => Err(Refusal::AlreadyKnown),
                (Kind::Visitor, _) | (_, Kind::Visitor) => Ok(Reason::SignedIn),
                (_, kind) => Err(Refusal::Unverified(kind)),
            }
        }
        Trust::Trusted => match link.call {
            Call::Alias => Ok(Reason::TrustedAlias),
            Call::Together => match [link.from, link.to].into_iter().find(|kind| kind.is_shared()) {
                Some(kind) if a.has_user_id() && b.has_user_id() => Err(Refusal::TwoUsers(kind)),
                Some(_) | None => Ok(Reason::TrustedLink),
            },
        },
    }
}

/// Only a kind that both have grows by the merge; what one of them had too many of already is no reason against it.
fn within_caps(a: &ProfileSummary, b: &ProfileSummary) -> Result<(), Refusal> {
    for kind in Kind::ALL {
        let (one, other) = (a.counts.of(kind), b.counts.of(kind));
        let count = one.saturating_add(other);
        if let Some(limit) = kind.cap().filter(|&limit| one.min(other) > 0 && count > limit) {
            return Err(Refusal::TooMany { kind, count, limit });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
