//! What a rule asks for: other segments, events, what models say.

use super::check::no_segment;
use super::{Clause, Fact, Matching, Rule, RuleError};

impl Rule {
    /// Whether every segment that the rule asks for is one that `is_known`.
    ///
    /// # Errors
    /// [`RuleError`] that points at the first one that is not.
    pub fn knows(&self, is_known: impl Fn(&str) -> bool) -> Result<(), RuleError> {
        look(&self.who, &mut String::from("/who"), &is_known)
    }

    /// The events that the rule asks for by itself, in the order in which it is written.
    pub fn events(&self) -> Vec<&Matching> {
        let mut events = Vec::new();
        gather(&self.who, &mut events);
        events
    }

    /// Whether the rule itself asks for something that models say, and so not the people's own past.
    pub fn asks_models(&self) -> bool {
        asks_models(&self.who)
    }
}

fn gather<'r>(clause: &'r Clause, events: &mut Vec<&'r Matching>) {
    match clause {
        Clause::All(parts) | Clause::Any(parts) => parts.iter().for_each(|part| gather(part, events)),
        Clause::Not(part) => gather(part, events),
        Clause::Event(event) => events.push(&event.of),
        Clause::Sequence(sequence) => {
            events.push(&sequence.first);
            for step in &sequence.then {
                events.push(&step.of);
                events.extend(&step.without);
            }
            events.extend(sequence.never.iter().map(|never| &never.of));
        }
        Clause::Trait(_) | Clause::Fact(_) | Clause::Segment(_) | Clause::Bucket(_) => {}
    }
}

fn look(clause: &Clause, path: &mut String, is_known: &impl Fn(&str) -> bool) -> Result<(), RuleError> {
    let mut below = |step: String, part: &Clause| {
        let length = path.len();
        path.push_str(&step);
        look(part, path, is_known)?;
        path.truncate(length);
        Ok(())
    };
    match clause {
        Clause::All(parts) => parts.iter().zip(0..).try_for_each(|(part, n)| below(format!("/all/{n}"), part)),
        Clause::Any(parts) => parts.iter().zip(0..).try_for_each(|(part, n)| below(format!("/any/{n}"), part)),
        Clause::Not(part) => below("/not".to_owned(), part),
        Clause::Segment(key) if !is_known(key) => {
            Err(RuleError { path: format!("{path}/segment"), message: no_segment(key) })
        }
        Clause::Event(_)
        | Clause::Sequence(_)
        | Clause::Trait(_)
        | Clause::Fact(_)
        | Clause::Segment(_)
        | Clause::Bucket(_) => Ok(()),
    }
}

fn asks_models(clause: &Clause) -> bool {
    match clause {
        Clause::All(parts) | Clause::Any(parts) => parts.iter().any(asks_models),
        Clause::Not(part) => asks_models(part),
        Clause::Fact(fact) => matches!(
            fact.name,
            Fact::ProbabilityAlive
                | Fact::ExpectedOrders
                | Fact::ExpectedRevenue
                | Fact::ExpectedRevenuePercentile
                | Fact::Cluster
        ),
        Clause::Event(_) | Clause::Sequence(_) | Clause::Trait(_) | Clause::Segment(_) | Clause::Bucket(_) => false,
    }
}
