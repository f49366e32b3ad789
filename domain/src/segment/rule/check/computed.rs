//! Definitions of computed traits that make no sense are refused.

use super::{Checked, Checker};
use crate::segment::rule::computed::{Computed, PAGE_PROPERTY, TOTAL_PROPERTY, Take};
use crate::segment::rule::{RuleError, WhatHappened, visit};

impl Computed {
    /// Whether the definition makes sense by itself; what it names may still be unknown to a site.
    ///
    /// # Errors
    /// The first [`RuleError`], which points into the definition: `/of/with/0/is`.
    pub fn check(&self) -> Result<(), RuleError> {
        let mut checker = Checker { clauses: 0, path: String::new() };
        checker.at("/of", |checker| checker.matching(&self.of))?;
        checker.at("/window", |checker| checker.window(self.window))?;
        checker.at("/take", |checker| checker.take(&self.take, &self.of.what))
    }
}

impl Checker {
    fn take(&mut self, take: &Take, of: &WhatHappened) -> Checked {
        let Some(property) = take.property() else { return Ok(()) };
        self.text("a property's name", property)?;
        let known: Vec<&str> = match of {
            WhatHappened::Track(_) | WhatHappened::Anything => return Ok(()),
            WhatHappened::Page(_) => vec![PAGE_PROPERTY],
            // The medium of an order is not stored with it.
            WhatHappened::Order => {
                vec![
                    TOTAL_PROPERTY,
                    visit::NAMES[visit::CHANNEL],
                    visit::NAMES[visit::SOURCE],
                    visit::NAMES[visit::CAMPAIGN],
                ]
            }
            WhatHappened::Visit => visit::NAMES.to_vec(),
            WhatHappened::Identify => Vec::new(),
        };
        let named = match of {
            WhatHappened::Page(_) => "a page view",
            WhatHappened::Order => "an order",
            WhatHappened::Visit => "a visit",
            _ => "it",
        };
        let is_number = matches!(take, Take::Sum(_) | Take::Average(_) | Take::Smallest(_) | Take::Largest(_));
        match known.as_slice() {
            [] => self.wrong("nothing can be taken of it but its number".to_owned()),
            known if !known.contains(&property) => {
                self.wrong(format!("{named} has no property {property:?}; it has {}", known.join(", ")))
            }
            _ if is_number && property != TOTAL_PROPERTY && !matches!(of, WhatHappened::Visit) => {
                self.wrong(format!("{property:?} of {named} is a text; ask first, last, most frequent or different"))
            }
            _ => Ok(()),
        }
    }
}
