//! Who is one person with whom: profiles as a function of what was said of identities.
//!
//! A [`Statement`] is what one message says of two identities. [`Graph`] takes statements in the order in which they
//! were told and moves identities between profiles; [`replay`] does the same from the first one. Both give the same,
//! which is what makes a merge exactly undoable: the pair that it joined is kept apart, and the statements are told
//! again as if that merge, and whatever else would join the two, had never been.
//!
//! **Orders** do not merge anybody. An order belongs to the person of its first report, and from then on to that of its
//! latest trusted one.
//!
//! **Kept apart** are two identities of which somebody has said that they are not one person: no statement joins the
//! profiles that have them, whoever makes it, until that is lifted.

use super::{Call, Counts, Decision, Kind, Link, ProfileSummary, Reason, Refusal, Standing, decide};
use crate::event::{IdentityId, ProfileId};
use std::collections::{BTreeMap, HashMap};

/// What one message says of two identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Statement {
    /// The identity that the message's event belongs to.
    pub from: IdentityId,
    /// The other identity; with [`Call::Order`] the order.
    pub to: IdentityId,
    /// What was said.
    pub call: Call,
    /// How far it is to be believed.
    pub standing: Standing,
}

/// What a statement changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: both are one profile already.
    Same,
    /// All identities of `from` are now those of `into`.
    Merged {
        /// The profile that is gone.
        from: ProfileId,
        /// The profile that stays.
        into: ProfileId,
        /// Why.
        reason: Reason,
    },
    /// The order has gone to the person who reported it.
    Ordered {
        /// Whose it was; the order's own number where it was nobody's.
        from: ProfileId,
        /// Whose it is.
        into: ProfileId,
    },
    /// Nothing, and why.
    Refused(Refusal),
}

/// A statement about an identity that was not added to the graph before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("identity {} is not part of this graph", .0.0)]
pub struct UnknownIdentity(pub IdentityId);

/// Identities and their profiles, as far as statements touch them.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The kind, and the profile that it was in when it was last moved by itself.
    identities: HashMap<IdentityId, (Kind, ProfileId)>,
    profiles: HashMap<ProfileId, Counts>,
    /// Where a profile that is gone went.
    gone: HashMap<ProfileId, ProfileId>,
    /// Profiles that hold the two ends of a pair that is kept apart.
    apart: Vec<(ProfileId, ProfileId)>,
}

impl Graph {
    /// Adds a profile with all its identities counted.
    pub fn add_profile(&mut self, profile_id: ProfileId, counts: Counts) {
        self.profiles.insert(profile_id, counts);
    }

    /// Adds an identity of a profile; it is not counted once more.
    pub fn add_identity(&mut self, identity_id: IdentityId, kind: Kind, profile_id: ProfileId) {
        self.identities.insert(identity_id, (kind, profile_id));
    }

    /// Keeps two profiles apart, because each has one of two identities that are.
    pub fn keep_apart(&mut self, one: ProfileId, other: ProfileId) {
        self.apart.push((one, other));
    }

    /// The profile of an identity now.
    ///
    /// # Errors
    /// [`UnknownIdentity`]
    pub fn profile_of(&self, identity_id: IdentityId) -> Result<ProfileId, UnknownIdentity> {
        Ok(self.find(identity_id)?.1)
    }

    /// Takes in the next statement.
    ///
    /// # Errors
    /// [`UnknownIdentity`]; nothing has changed then.
    pub fn tell(&mut self, statement: &Statement) -> Result<Outcome, UnknownIdentity> {
        let (from_kind, a) = self.find(statement.from)?;
        let (to_kind, b) = self.find(statement.to)?;
        if statement.call == Call::Order {
            return Ok(self.order(statement, a, b));
        }
        let link = Link { standing: statement.standing, call: statement.call, from: from_kind, to: to_kind };
        let outcome = match decide(&link, &self.summary(a), &self.summary(b)) {
            Decision::Same => Outcome::Same,
            Decision::Refuse(refusal) => Outcome::Refused(refusal),
            Decision::Merge { .. } if self.is_apart(a, b) => Outcome::Refused(Refusal::KeptApart),
            Decision::Merge { from, into, reason } => {
                self.merge(from, into);
                Outcome::Merged { from, into, reason }
            }
        };
        Ok(outcome)
    }

    fn order(&mut self, statement: &Statement, claimant: ProfileId, holder: ProfileId) -> Outcome {
        let is_unclaimed = holder.0 == statement.to.0;
        if holder == claimant {
            return Outcome::Same;
        }
        match statement.standing {
            Standing::Claimed => return Outcome::Refused(Refusal::Unsigned),
            Standing::Browser if !is_unclaimed => return Outcome::Refused(Refusal::Unverified(Kind::Order)),
            Standing::Browser | Standing::Trusted => {}
        }
        self.identities.insert(statement.to, (Kind::Order, claimant));
        Outcome::Ordered { from: holder, into: claimant }
    }

    fn merge(&mut self, from: ProfileId, into: ProfileId) {
        let moved = self.profiles.remove(&from).unwrap_or_default();
        let counts = self.profiles.entry(into).or_default();
        for kind in Kind::ALL {
            counts.add(kind, moved.of(kind));
        }
        self.gone.insert(from, into);
    }

    fn is_apart(&self, a: ProfileId, b: ProfileId) -> bool {
        self.apart.iter().any(|(one, other)| {
            let (one, other) = (self.root(*one), self.root(*other));
            (one, other) == (a, b) || (one, other) == (b, a)
        })
    }

    fn find(&self, identity_id: IdentityId) -> Result<(Kind, ProfileId), UnknownIdentity> {
        let (kind, profile_id) = self.identities.get(&identity_id).ok_or(UnknownIdentity(identity_id))?;
        Ok((*kind, self.root(*profile_id)))
    }

    fn root(&self, mut profile_id: ProfileId) -> ProfileId {
        while let Some(next) = self.gone.get(&profile_id) {
            profile_id = *next;
        }
        profile_id
    }

    fn summary(&self, profile_id: ProfileId) -> ProfileSummary {
        ProfileSummary { profile_id, counts: self.profiles.get(&profile_id).copied().unwrap_or_default() }
    }
}

/// What [`replay`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The profile of each identity.
    pub profiles: BTreeMap<IdentityId, ProfileId>,
    /// What each statement did; `None` for one about an identity that is not among these.
    pub outcomes: Vec<Option<Outcome>>,
}

/// The profiles of identities as all statements about them make them, in the order in which they were told. Each
/// identity begins with a profile of its own number; pairs of `apart` end in different ones.
///
/// Statements about identities that are not among these are left out.
pub fn replay(
    identities: &[(IdentityId, Kind)],
    statements: &[Statement],
    apart: &[(IdentityId, IdentityId)],
) -> Replayed {
    let mut graph = Graph::default();
    for (identity_id, kind) in identities {
        graph.add_profile(ProfileId(identity_id.0), Counts::from_iter([(*kind, 1)]));
        graph.add_identity(*identity_id, *kind, ProfileId(identity_id.0));
    }
    for (one, other) in apart {
        graph.keep_apart(ProfileId(one.0), ProfileId(other.0));
    }
    let outcomes = statements.iter().map(|statement| graph.tell(statement).ok()).collect();
    let profile = |id: IdentityId| graph.profile_of(id).unwrap_or(ProfileId(id.0));
    Replayed { profiles: identities.iter().map(|(id, _)| (*id, profile(*id))).collect(), outcomes }
}

#[cfg(test)]
mod tests;
