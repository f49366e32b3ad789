//! Other segments that a rule asks for.

use super::check::no_segment;
use super::{Clause, Rule, RuleError};

impl Rule {
    /// Whether every segment that the rule asks for is one that `is_known`.
    ///
    /// # Errors
    /// [`RuleError`] that points at the first one that is not.
    pub fn knows(&self, is_known: impl Fn(&str) -> bool) -> Result<(), RuleError> {
        look(&self.who, &mut String::from("/who"), &is_known)
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
