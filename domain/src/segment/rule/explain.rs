//! Why somebody is a member, clause by clause.

use super::evaluate::{Known, number, visit_of, word_now};
use super::plan::{FactNode, Node};
use super::{Fact, Person, Plan};
use crate::attribution::Channel;
use serde::Serialize;

/// One clause as it stands for one person.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The clause's number in the order in which the rule is written; the whole is 0.
    pub clause: u16,
    /// Whether it holds.
    pub holds: bool,
    /// What was found.
    pub evidence: Evidence,
    /// The second from which on it may be otherwise although nothing happens.
    pub changes_at: Option<u32>,
    /// Its parts, in the order in which they are written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Explanation>,
}

/// What a clause found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Nothing of its own; see its parts.
    Parts,
    /// Events, how many they were in the window and when the latest was, in seconds since 1970.
    Events {
        /// How many; of a sequence, how often it was completed.
        count: u32,
        /// The latest.
        last_at: Option<u32>,
    },
    /// A number.
    Number(f64),
    /// A word, as its fact has it.
    Word(String),
    /// Whether the person is in the other segment, or in the share.
    Inside(bool),
    /// The value is not known.
    Unknown,
}

impl Plan {
    /// Takes the answer of [`Plan::evaluate`] apart. The first one is the rule as a whole.
    pub fn explain(&self, person: &Person<'_>, as_of: u32) -> Explanation {
        self.explain_node(&self.root, person, as_of)
    }

    fn explain_node(&self, node: &Node, person: &Person<'_>, as_of: u32) -> Explanation {
        let verdict = self.verdict(node, person, as_of);
        let mut parts: Vec<Explanation> = match node {
            Node::All { parts, .. } | Node::Any { parts, .. } => {
                parts.iter().map(|part| self.explain_node(part, person, as_of)).collect()
            }
            Node::Not { part, .. } => vec![self.explain_node(part, person, as_of)],
            Node::Events { .. }
            | Node::Sequence { .. }
            | Node::Trait { .. }
            | Node::Fact { .. }
            | Node::Segment { .. }
            | Node::Bucket { .. } => Vec::new(),
        };
        parts.sort_by_key(|part| part.clause);
        let (clause, evidence) = match node {
            Node::All { clause, .. } | Node::Any { clause, .. } | Node::Not { clause, .. } => {
                (*clause, Evidence::Parts)
            }
            Node::Events { clause, .. } | Node::Sequence { clause, .. } => {
                let (count, at) = (verdict.because.count, verdict.because.at);
                (*clause, Evidence::Events { count, last_at: (count > 0).then_some(at) })
            }
            Node::Trait { clause, .. } => (*clause, Evidence::Inside(verdict.member)),
            Node::Fact { clause, fact } => (*clause, self.fact_evidence(fact, person, as_of)),
            Node::Segment { clause, .. } | Node::Bucket { clause, .. } => (*clause, Evidence::Inside(verdict.member)),
        };
        Explanation { clause, holds: verdict.member, evidence, changes_at: verdict.changes_at, parts }
    }

    fn fact_evidence(&self, fact: &FactNode, person: &Person<'_>, as_of: u32) -> Evidence {
        if person.first_seen().is_none_or(|first| first > as_of) {
            return Evidence::Unknown;
        }
        match fact {
            FactNode::Number { fact, .. } => match number(&self.site, *fact, person, as_of) {
                Known::Nothing => Evidence::Unknown,
                Known::Number(number) => Evidence::Number(number),
                Known::Days { since, less } => Evidence::Number(f64::from((as_of - since) / 86_400) - f64::from(less)),
                Known::Recency { since } => {
                    let days = (as_of - since) / 86_400;
                    let score = self.site.scales.recency_days.place(days.into()).unwrap_or(1);
                    Evidence::Number(score.into())
                }
            },
            FactNode::Word { fact, .. } => self.word(*fact, person, as_of).map_or(Evidence::Unknown, Evidence::Word),
            FactNode::Channel { last, channels, .. } => {
                let place =
                    visit_of(*last, channels, person, as_of).and_then(|place| channels.of(person.record[place]));
                place.map_or(Evidence::Unknown, |place| Evidence::Word(Channel::ALL[place].key().to_owned()))
            }
        }
    }

    fn word(&self, fact: Fact, person: &Person<'_>, as_of: u32) -> Option<String> {
        let place = word_now(&self.site, fact, person, as_of)?;
        fact.words()?.get(place).map(|word| (*word).to_owned())
    }
}
