//! What one link does to two profiles.

use super::Kind;
use crate::event::{ProfileId, Trust};
use serde::{Deserialize, Serialize};

/// Which call made the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// A message that carries both identities: an identify call, an order with a customer, a line of an import.
    Together,
    /// A call whose only meaning is that both are one person.
    Alias,
    /// A report of an order: the order is this person's. See [`super::Graph::tell`].
    Order,
    /// A merge of a version that kept no links; the ledger alone told of it.
    Carried,
    /// Somebody looked at two profiles that are alike and said that they are one person.
    Confirmed,
    /// Two profiles are so much alike that the site joins them without asking.
    Matched,
    /// A browser's cookie has kept one visitor id, and the page's own storage began another: see
    /// [`Reason::SameBrowser`].
    SameBrowser,
}

impl Call {
    /// All calls.
    pub const ALL: [Call; 7] =
        [Call::Together, Call::Alias, Call::Order, Call::Carried, Call::Confirmed, Call::Matched, Call::SameBrowser];

    /// The stored number; never given to another call.
    pub const fn code(self) -> i16 {
        match self {
            Call::Together => 1,
            Call::Alias => 2,
            Call::Order => 3,
            Call::Carried => 4,
            Call::Confirmed => 5,
            Call::Matched => 6,
            Call::SameBrowser => 7,
        }
    }

    /// The call of that [`Call::code`].
    pub fn from_code(code: i16) -> Option<Call> {
        Call::ALL.into_iter().find(|call| call.code() == code)
    }
}

/// How far a link is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// A browser's word, where the site asks for proof: it links nobody.
    Claimed,
    /// A browser's word.
    Browser,
    /// The secret key, a signed webhook, an import, or a browser's claim with the site's signature.
    Trusted,
}

impl Standing {
    /// All standings.
    pub const ALL: [Standing; 3] = [Standing::Claimed, Standing::Browser, Standing::Trusted];

    /// The stored number; never given to another standing.
    pub const fn code(self) -> i16 {
        match self {
            Standing::Claimed => 0,
            Standing::Browser => 1,
            Standing::Trusted => 2,
        }
    }

    /// The standing of that [`Standing::code`].
    pub fn from_code(code: i16) -> Option<Standing> {
        Standing::ALL.into_iter().find(|standing| standing.code() == code)
    }
}

impl From<Trust> for Standing {
    fn from(trust: Trust) -> Standing {
        match trust {
            Trust::Browser => Standing::Browser,
            Trust::Trusted => Standing::Trusted,
        }
    }
}

/// That two identities belong to one person, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// How far it is to be believed.
    pub standing: Standing,
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
    /// See [`Call::Carried`].
    Carried,
    /// See [`Call::Confirmed`].
    Confirmed,
    /// See [`Call::Matched`].
    Matched,
    /// A browser whose storage was emptied is known again by its cookie.
    SameBrowser,
}

impl Reason {
    /// The stored name.
    pub const fn key(self) -> &'static str {
        match self {
            Reason::SignedIn => "signed_in",
            Reason::TrustedLink => "trusted_link",
            Reason::TrustedAlias => "trusted_alias",
            Reason::Carried => "carried",
            Reason::Confirmed => "confirmed",
            Reason::Matched => "matched",
            Reason::SameBrowser => "same_browser",
        }
    }

    /// The reason of that [`Reason::key`].
    pub fn from_key(key: &str) -> Option<Reason> {
        let all = [
            Reason::SignedIn,
            Reason::TrustedLink,
            Reason::TrustedAlias,
            Reason::Carried,
            Reason::Confirmed,
            Reason::Matched,
            Reason::SameBrowser,
        ];
        all.into_iter().find(|reason| reason.key() == key)
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
    /// Somebody has looked at both and said so.
    #[error("somebody has said that the two are different people; lift that first")]
    KeptApart,
    /// See [`Standing::Claimed`].
    #[error("this site asks for signed identifies, and this one is not signed")]
    Unsigned,
}

impl Refusal {
    /// Which rule refused it.
    pub const fn guard(&self) -> Guard {
        match self {
            Refusal::NamesNobody(_) => Guard::NamesNobody,
            Refusal::Unverified(_) => Guard::Unverified,
            Refusal::AlreadyKnown => Guard::AlreadyKnown,
            Refusal::TwoUsers(_) => Guard::TwoUsers,
            Refusal::TooMany { .. } => Guard::TooMany,
            Refusal::KeptApart => Guard::KeptApart,
            Refusal::Unsigned => Guard::Unsigned,
        }
    }
}

/// The rules that keep people apart, without the case that they were applied to: see [`Refusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guard {
    /// [`Refusal::NamesNobody`]
    NamesNobody,
    /// [`Refusal::Unverified`]
    Unverified,
    /// [`Refusal::AlreadyKnown`]
    AlreadyKnown,
    /// [`Refusal::TwoUsers`]
    TwoUsers,
    /// [`Refusal::TooMany`]
    TooMany,
    /// [`Refusal::KeptApart`]
    KeptApart,
    /// [`Refusal::Unsigned`]
    Unsigned,
}

impl Guard {
    /// All guards.
    pub const ALL: [Guard; 7] = [
        Guard::NamesNobody,
        Guard::Unverified,
        Guard::AlreadyKnown,
        Guard::TwoUsers,
        Guard::TooMany,
        Guard::KeptApart,
        Guard::Unsigned,
    ];

    /// The stored name.
    pub const fn key(self) -> &'static str {
        match self {
            Guard::NamesNobody => "names_nobody",
            Guard::Unverified => "unverified",
            Guard::AlreadyKnown => "already_known",
            Guard::TwoUsers => "two_users",
            Guard::TooMany => "too_many",
            Guard::KeptApart => "kept_apart",
            Guard::Unsigned => "unsigned",
        }
    }

    /// The guard of that [`Guard::key`].
    pub fn from_key(key: &str) -> Option<Guard> {
        Guard::ALL.into_iter().find(|guard| guard.key() == key)
    }
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
    match link.standing {
        Standing::Claimed => Err(Refusal::Unsigned),
        Standing::Browser => {
            if let Some(kind) = [link.from, link.to].into_iter().find(|k| !matches!(k, Kind::Visitor | Kind::UserId)) {
                return Err(Refusal::Unverified(kind));
            }
            match (link.from, link.to) {
                // Whoever knows a visitor's id can name it beside a cookie of their own: what the batch names must be
                // nobody yet, so that no known person comes to the cookie of a stranger.
                (Kind::Visitor, Kind::Visitor) if link.call == Call::SameBrowser => {
                    if a.is_known() {
                        Err(Refusal::AlreadyKnown)
                    } else {
                        Ok(Reason::SameBrowser)
                    }
                }
                // Two ids of one browser, or the browser and its user: one of them must be nobody yet.
                (Kind::Visitor, _) | (_, Kind::Visitor) if a.is_known() && b.is_known() => Err(Refusal::AlreadyKnown),
                (Kind::Visitor, _) | (_, Kind::Visitor) => Ok(Reason::SignedIn),
                (_, kind) => Err(Refusal::Unverified(kind)),
            }
        }
        Standing::Trusted => match link.call {
            Call::Alias => Ok(Reason::TrustedAlias),
            Call::Carried => Ok(Reason::Carried),
            // Two accounts of one person are what a match is there to find; the caps hold as for everybody.
            Call::Confirmed => Ok(Reason::Confirmed),
            Call::Matched => Ok(Reason::Matched),
            Call::Together | Call::Order | Call::SameBrowser => {
                match [link.from, link.to].into_iter().find(|kind| kind.is_shared()) {
                    Some(kind) if a.has_user_id() && b.has_user_id() => Err(Refusal::TwoUsers(kind)),
                    Some(_) | None => Ok(Reason::TrustedLink),
                }
            }
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
