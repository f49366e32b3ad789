//! From bytes to events: each request goes through the same short list of steps, and each event of it ends in
//! exactly one outcome.
//!
//! body (gunzip with a cap) → adapter ([`tracker`], one of [`protocol`], [`webhook`]) → [`message`] → [`screen`] →
//! [`proof`] → [`plan`] → [`enrich`] → [`writer`] (one commit) → answer.

pub(crate) mod body;
pub(crate) mod clock;
pub(crate) mod cookie;
pub(crate) mod debug_key;
pub(crate) mod enrich;
pub(crate) mod fields;
pub mod limits;
pub(crate) mod loose;
pub(crate) mod measure;
pub(crate) mod message;
pub(crate) mod plan;
pub(crate) mod proof;
pub(crate) mod protocol;
pub(crate) mod screen;
pub(crate) mod source;
pub(crate) mod touch;
pub(crate) mod tracker;
pub(crate) mod webhook;
pub(crate) mod writer;

/// Decoded bytes of one batch.
pub(crate) const BATCH_BYTES: usize = 2 << 20;
/// Bytes of one event.
pub(crate) const EVENT_BYTES: usize = 32 << 10;
/// Events of one batch.
pub(crate) const BATCH_EVENTS: usize = 2_500;
/// Nesting of one event.
pub(crate) const EVENT_DEPTH: usize = 64;

/// Why an event is not stored. The names are counted, shown to owners and kept: never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Not an object, a cut-off record, a field of the wrong type.
    Unreadable,
    /// A type of message that is not known.
    UnknownKind,
    /// A named event without its name.
    MissingName,
    /// Nobody is named, and there is no message id either.
    MissingIdentity,
    /// The character NUL, which PostgreSQL cannot store.
    NulCharacter,
    /// Text that is no Unicode: a lone surrogate or broken UTF-8.
    BadText,
    /// A number beyond what a double holds.
    NumberOutOfRange,
    /// A date that is none, before 1970 or in the future.
    DateOutOfRange,
    /// The sender's clock or a queue is more than 8 days behind or a day ahead.
    ClockOutOfRange,
    /// Nested deeper than [`EVENT_DEPTH`].
    TooDeep,
    /// Larger than [`EVENT_BYTES`], or a text beyond its own limit.
    TooLarge,
    /// An order whose amount or currency is none.
    BadOrder,
    /// A public key used from a page of a domain that is not the site's.
    OriginNotAllowed,
    /// A webhook whose signature is wrong, missing or too old; only counted, nothing of it is kept.
    BadSignature,
    /// A webhook of a source that its owner has paused; only counted, too.
    SourcePaused,
    /// An identify without consent; only counted, nothing of it is kept.
    NoConsent,
    /// It names a person who has been forgotten; only counted, nothing of it is kept.
    Erased,
    /// A browser's event of a user id alone, where the site asks for signed identifies.
    UnsignedIdentity,
    /// It is not as the site's tracking plan agrees, and the site keeps such events out.
    PlanViolation,
    /// PostgreSQL refuses it for a reason that the screen does not know.
    StorageRefused,
}

impl Reason {
    /// The name under which it is counted.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Unreadable => "unreadable",
            Reason::UnknownKind => "unknown_kind",
            Reason::MissingName => "missing_name",
            Reason::MissingIdentity => "missing_identity",
            Reason::NulCharacter => "nul_character",
            Reason::BadText => "bad_text",
            Reason::NumberOutOfRange => "number_out_of_range",
            Reason::DateOutOfRange => "date_out_of_range",
            Reason::ClockOutOfRange => "clock_out_of_range",
            Reason::TooDeep => "too_deep",
            Reason::TooLarge => "too_large",
            Reason::BadOrder => "bad_order",
            Reason::OriginNotAllowed => "origin_not_allowed",
            Reason::BadSignature => "bad_signature",
            Reason::SourcePaused => "source_paused",
            Reason::NoConsent => "no_consent",
            Reason::Erased => "erased",
            Reason::UnsignedIdentity => "unsigned_identity",
            Reason::PlanViolation => "plan_violation",
            Reason::StorageRefused => "storage_refused",
        }
    }
}

/// A request that is refused as a whole; HTTP turns it into a status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Not readable at all.
    #[error("{0}")]
    Unreadable(String),
    /// No key, or none that is known.
    #[error("unknown write key; copy it from the set-up page")]
    UnknownKey,
    /// A webhook that is not believed.
    #[error("{0}")]
    Unsigned(#[from] webhook::Unsigned),
    /// Beyond a limit.
    #[error("{0}")]
    TooLarge(String),
    /// A public key from a page that is not the site's.
    #[error("{host} is not one of this site's domains; add it on the set-up page")]
    Origin {
        /// The page's host.
        host: String,
    },
    /// A bucket is empty.
    #[error("too many events; send the same again later")]
    Flood {
        /// When to try again.
        retry_after: std::time::Duration,
    },
    /// Nothing can be stored now.
    #[error("{0}; send the same again later")]
    Unavailable(#[from] writer::Unavailable),
}
