//! How identifiers came together, of one person and of a site.

use super::Site;
use super::csv::Table;
use crate::event::{ProfileId, Trust};
use crate::identity::{Call, Guard, Kind, Reason, Standing};
use jiff::Timestamp;

/// An identifier, and whose it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Identifier {
    /// Its number.
    pub identity_id: i64,
    /// What it is.
    pub kind: Kind,
    /// The identifier itself.
    pub value: String,
    /// The person that has it now.
    pub profile_id: ProfileId,
}

/// One identifier of a person with where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinNode {
    /// The identifier.
    pub identifier: Identifier,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// Who vouches for it.
    pub trust: Trust,
    /// The key of the source that named it first; `None` for what an older version stored.
    pub source: Option<String>,
}

/// What one message said of two identifiers of one person.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinLink {
    /// Its number; a merge is undone by it.
    pub link_id: i64,
    /// When it came in.
    pub at: Timestamp,
    /// The identifier that the message's event belongs to.
    pub from: Identifier,
    /// The other identifier.
    pub to: Identifier,
    /// What was said.
    pub call: Call,
    /// How far it is believed.
    pub standing: Standing,
    /// The key of the source that said it.
    pub source: Option<String>,
    /// Why two people became one by it; `None` where they were one already.
    pub merged: Option<Reason>,
    /// Who decided it, and how probable it was, where it came of a match.
    pub decided: Option<(String, f64)>,
}

/// Statements that one rule refused, about one identifier.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedJoins {
    /// The rule.
    pub guard: Guard,
    /// Whom the statements named.
    pub named: Identifier,
    /// The latest that named it.
    pub by: Identifier,
    /// How many named it.
    pub count: u64,
    /// When that was last.
    pub last_at: Timestamp,
}

/// Two identifiers of which somebody has said that they are two people.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptApart {
    /// One.
    pub one: Identifier,
    /// The other.
    pub other: Identifier,
    /// Who said so.
    pub said_by: String,
    /// When.
    pub at: Timestamp,
}

/// How one person's identifiers came together.
#[derive(Clone, Debug, PartialEq)]
pub struct Joins {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// The person.
    pub profile_id: ProfileId,
    /// The person's name, where one is known.
    pub name: Option<String>,
    /// The identifiers without orders, oldest first.
    pub nodes: Vec<JoinNode>,
    /// Identifiers there are in all.
    pub all_nodes: u64,
    /// What was said of them, newest first.
    pub links: Vec<JoinLink>,
    /// What was refused.
    pub refused: Vec<RefusedJoins>,
    /// Whom this person is kept apart from.
    pub apart: Vec<KeptApart>,
}

/// An identifier that names nobody and was left out.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockedValue {
    /// What it should have been.
    pub kind: Kind,
    /// What was sent.
    pub value: String,
    /// The key of the source that sent it.
    pub source: String,
    /// How often.
    pub count: u64,
    /// When that was last.
    pub last_at: Timestamp,
}

/// How a site's identifiers come together: merges, and what the guards held back.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentityBook {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// The latest merges, newest first.
    pub merges: Vec<JoinLink>,
    /// What was refused, the most frequent first.
    pub refused: Vec<RefusedJoins>,
    /// Identifiers that name nobody, the most frequent first.
    pub blocked: Vec<BlockedValue>,
    /// Who is kept apart, newest first.
    pub apart: Vec<KeptApart>,
    /// Matches that wait for somebody.
    pub matches_waiting: u64,
}

impl IdentityBook {
    /// The latest merges as CSV.
    pub fn merges_csv(&self) -> String {
        links_csv(&self.merges)
    }
}

impl Joins {
    /// What was said of the person's identifiers as CSV.
    pub fn links_csv(&self) -> String {
        links_csv(&self.links)
    }
}

fn links_csv(links: &[JoinLink]) -> String {
    let mut table = Table::with_header(&[
        "link_id",
        "at",
        "from_kind",
        "from",
        "to_kind",
        "to",
        "trusted",
        "source",
        "merged_because",
        "profile_id",
    ]);
    for link in links {
        table
            .count(u64::try_from(link.link_id).unwrap_or_default())
            .moment(Some(link.at))
            .text(link.from.kind.name())
            .text(&link.from.value)
            .text(link.to.kind.name())
            .text(&link.to.value)
            .text(if link.standing == Standing::Trusted { "yes" } else { "no" })
            .maybe_text(link.source.as_deref())
            .maybe_text(link.merged.map(Reason::key))
            .count(u64::try_from(link.to.profile_id.0).unwrap_or_default())
            .end();
    }
    table.into_text()
}
