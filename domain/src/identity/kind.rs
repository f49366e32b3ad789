//! The kinds of identities, and how their values are written.

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
    pub(super) const fn is_shared(self) -> bool {
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
