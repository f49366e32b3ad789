//! Who is probably the same person: the queue of pairs that somebody is to look at, and what was decided.

use super::csv::Table;
use super::{Identifier, Paging, Site};
use crate::event::Trust;
use crate::matching::Evidence;
use crate::money::Money;
use jiff::Timestamp;

/// What became of two profiles that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchState {
    /// Nobody has decided yet.
    Open,
    /// Somebody has said that they are one person.
    Confirmed,
    /// They were joined without asking, as the site has settled it.
    Applied,
    /// Somebody has said that they are two people.
    Refused,
    /// They are one by now for another reason, or no longer alike.
    Outdated,
}

impl MatchState {
    /// All states.
    pub const ALL: [MatchState; 5] =
        [MatchState::Open, MatchState::Confirmed, MatchState::Applied, MatchState::Refused, MatchState::Outdated];

    /// The stored name.
    pub const fn key(self) -> &'static str {
        match self {
            MatchState::Open => "open",
            MatchState::Confirmed => "confirmed",
            MatchState::Applied => "applied",
            MatchState::Refused => "refused",
            MatchState::Outdated => "outdated",
        }
    }

    /// The state of that [`MatchState::key`].
    pub fn from_key(key: &str) -> Option<MatchState> {
        MatchState::ALL.into_iter().find(|state| state.key() == key)
    }
}

/// One comparison of two people: what it says, and the two values as they are now.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchEvidence {
    /// What it says.
    pub evidence: Evidence,
    /// The first person's value and who vouches for it; `None` where it is no longer known.
    pub one: Option<(String, Trust)>,
    /// The other's.
    pub other: Option<(String, Trust)>,
}

/// One of the two people of a match.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchPerson {
    /// The identifier by which the match knows the person, and the profile that it belongs to now.
    pub identifier: Identifier,
    /// The person's name, where one is known.
    pub name: Option<String>,
    /// First event; `None` in the moment before the projection.
    pub first_seen: Option<Timestamp>,
    /// Latest event.
    pub last_seen: Option<Timestamp>,
    /// Orders that count.
    pub orders: u64,
    /// Their sum in the site's currency.
    pub revenue: Money,
}

/// Two profiles that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Its number.
    pub match_id: i64,
    /// What became of it.
    pub state: MatchState,
    /// That the two are one person, in 0..=1.
    pub probability: f64,
    /// The weakest word that it rests on: with [`Trust::Browser`] it is never applied without a person.
    pub rests_on: Trust,
    /// What speaks for and against it, the strongest first.
    pub evidence: Vec<MatchEvidence>,
    /// What it takes away that they may be two people of one home, in bits, at most 0.
    pub household_bits: f64,
    /// One.
    pub one: MatchPerson,
    /// The other.
    pub other: MatchPerson,
    /// When it was found.
    pub found_at: Timestamp,
    /// When it was decided, and by whom.
    pub decided: Option<(Timestamp, String)>,
}

impl Match {
    /// Whether somebody can decide: nobody has, and the two are two.
    pub fn waits(&self) -> bool {
        self.state == MatchState::Open && self.one.identifier.profile_id != self.other.identifier.profile_id
    }

    /// Whether what was decided can be taken back: they were joined by it, or are kept apart.
    pub fn can_be_undone(&self) -> bool {
        match self.state {
            MatchState::Confirmed | MatchState::Applied | MatchState::Refused => true,
            MatchState::Open | MatchState::Outdated => false,
        }
    }
}

/// Thresholds that a site may choose from, ascending: the lowest is that of the clusters which bear a match out.
pub const MATCH_THRESHOLDS: [f64; 3] = [0.99, 0.995, 0.999];

/// What a site has settled for matches, and its last comparison of people.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatchLook {
    /// From this probability on two profiles are joined without asking; `None`: never.
    pub threshold: Option<f64>,
    /// For each of [`MATCH_THRESHOLDS`] how many open matches would be joined now.
    pub would_join: [u64; MATCH_THRESHOLDS.len()],
    /// When people were compared last.
    pub made_at: Option<Timestamp>,
    /// Profiles that were compared.
    pub compared: u64,
    /// Known profiles that were left out because there are too many.
    pub left_out: u64,
    /// It was asked to compare again.
    pub is_due: bool,
    /// What a comparison under way has done, of how much.
    pub progress: Option<(u64, u64)>,
}

/// A site's matches.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchBook {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// Those that wait for somebody, the most probable first, of this page.
    pub open: Vec<Match>,
    /// Which page.
    pub paging: Paging,
    /// The latest decisions, newest first.
    pub decided: Vec<Match>,
    /// Settings and the last comparison.
    pub look: MatchLook,
    /// The one that was asked for, where it waits; it is not among the others.
    pub asked: Option<Match>,
    /// What was just decided, to be taken back if it was a slip.
    pub just: Option<Match>,
}

/// Decisions about matches as CSV.
pub fn matches_csv(decided: &[Match]) -> String {
    let mut table = Table::with_header(&[
        "match_id",
        "state",
        "probability",
        "one_profile_id",
        "one",
        "other_profile_id",
        "other",
        "decided_at",
        "decided_by",
    ]);
    for row in decided {
        let number = |value: i64| u64::try_from(value).unwrap_or_default();
        let (at, by) = row.decided.as_ref().map_or((None, None), |(at, by)| (Some(*at), Some(by.as_str())));
        table
            .count(number(row.match_id))
            .text(row.state.key())
            .number(row.probability)
            .count(number(row.one.identifier.profile_id.0))
            .text(&row.one.identifier.value)
            .count(number(row.other.identifier.profile_id.0))
            .text(&row.other.identifier.value)
            .moment(at)
            .maybe_text(by)
            .end();
    }
    table.into_text()
}

/// That somebody may be the same person as another.
#[derive(Clone, Debug, PartialEq)]
pub struct MayBe {
    /// The match.
    pub match_id: i64,
    /// The other's profile.
    pub profile_id: crate::event::ProfileId,
    /// The other's name, where one is known.
    pub name: Option<String>,
    /// That they are one, in 0..=1.
    pub probability: f64,
}
