//! A computed trait made ready for one site: the value of each record, and of each page, as a small number.

use super::{Compiler, Frame, Matcher, Slots};
use crate::segment::rule::computed::{Computed, PAGE_PROPERTY, TOTAL_PROPERTY, Take};
use crate::segment::rule::vocabulary::What;
use crate::segment::rule::{RuleError, Scalar, Test, Vocabulary, WhatHappened};
use std::collections::HashMap;
use std::sync::Arc;

/// A definition made ready; see [`ComputedPlan::compile`].
#[derive(Clone, Debug)]
pub struct ComputedPlan {
    pub(in crate::segment::rule) of: Matcher,
    pub(in crate::segment::rule) window: Frame,
    pub(in crate::segment::rule) taking: Taking,
    pub(in crate::segment::rule) from: From,
    values: Values,
}

/// A [`Take`] without its property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::segment::rule) enum Taking {
    Count,
    Sum,
    Average,
    Smallest,
    Largest,
    First,
    Last,
    MostFrequent,
    Distinct,
}

/// Where an event's value is found.
#[derive(Clone, Copy, Debug)]
pub(in crate::segment::rule) enum From {
    /// It has none: events are counted.
    Nothing,
    /// An order's total; so many minor units are one in which it is given.
    Total { minor_in_major: f64 },
    /// The property of that place in records.
    Record(u16),
    /// The page.
    Page,
}

/// The number of a value that is known; 0 is none.
pub(in crate::segment::rule) type ValueId = u32;

/// The values that were met, by number, each once.
#[derive(Clone, Debug, Default)]
struct Values {
    known: Vec<Scalar>,
    numbers: Vec<Option<f64>>,
    /// By the vocabulary's number of the value.
    of_word: HashMap<u32, ValueId>,
    of_record: Vec<ValueId>,
    of_page: Vec<ValueId>,
}

impl Values {
    fn add(&mut self, value: Scalar) -> ValueId {
        self.numbers.push(value.number());
        self.known.push(value);
        // No more than the vocabulary has words.
        self.known.len() as ValueId
    }
}

impl ComputedPlan {
    /// Makes a definition ready.
    ///
    /// The vocabulary must keep [`Computed::properties`].
    ///
    /// # Errors
    /// [`RuleError`]: what [`Computed::check`] finds, a property that is not kept.
    pub fn compile(
        computed: &Computed,
        vocabulary: &Vocabulary,
        site: &super::Site,
    ) -> Result<ComputedPlan, RuleError> {
        computed.check()?;
        let slots = Slots::default();
        let compiler = Compiler { vocabulary, site, slots: &slots, next: 0, path: String::new() };
        let mut plan = compiler.computed(computed)?;
        plan.refresh(vocabulary);
        Ok(plan)
    }

    /// Takes in what the vocabulary has learnt since; must be called before people are read who were made with it.
    pub fn refresh(&mut self, vocabulary: &Vocabulary) {
        self.of.refresh(vocabulary);
        match self.from {
            From::Nothing | From::Total { .. } => {}
            From::Record(property) => {
                for record in self.values.of_record.len()..vocabulary.records() {
                    let id = self.value_of(vocabulary, record as u32, property);
                    self.values.of_record.push(id);
                }
            }
            From::Page => {
                for (what, page) in vocabulary.pages().skip(self.values.of_page.len()) {
                    let is_meant = self.of.may_match(what);
                    let id = if is_meant { self.values.add(Scalar::Text(page.to_owned())) } else { 0 };
                    self.values.of_page.push(id);
                }
            }
        }
    }

    fn value_of(&mut self, vocabulary: &Vocabulary, record: u32, property: u16) -> ValueId {
        let known = vocabulary.values_of(record);
        let Ok(place) = known.binary_search_by_key(&property, |(place, _)| *place) else { return 0 };
        let word = known[place].1;
        let Some(scalar) = vocabulary.scalar_of(word) else { return 0 };
        if let Some(id) = self.values.of_word.get(&word) {
            return *id;
        }
        let id = self.values.add(scalar.clone());
        self.values.of_word.insert(word, id);
        id
    }

    /// The value of an event, 0 for none.
    pub(in crate::segment::rule) fn id(&self, what: What, record: u32) -> ValueId {
        match self.from {
            From::Nothing | From::Total { .. } => 0,
            From::Record(_) => self.values.of_record.get(record as usize).copied().unwrap_or(0),
            From::Page if what.is_page() => self.values.of_page.get(what.index()).copied().unwrap_or(0),
            From::Page => 0,
        }
    }

    /// The number that a value is or spells.
    pub(in crate::segment::rule) fn number(&self, id: ValueId) -> Option<f64> {
        self.values.numbers.get((id as usize).checked_sub(1)?).copied().flatten()
    }

    /// The value of a number that [`ComputedPlan::id`] gave.
    pub(in crate::segment::rule) fn scalar(&self, id: ValueId) -> Option<&Scalar> {
        self.values.known.get((id as usize).checked_sub(1)?)
    }
}

/// A test on a computed trait.
#[derive(Clone, Debug)]
pub(in crate::segment::rule) struct ComputedNode {
    pub(in crate::segment::rule) plan: ComputedPlan,
    test: Test,
    /// Of each value that is known whether the test holds.
    passing: Vec<bool>,
}

impl ComputedNode {
    pub(super) fn refresh(&mut self, vocabulary: &Vocabulary) {
        self.plan.refresh(vocabulary);
        let new = self.plan.values.known.iter().skip(self.passing.len());
        self.passing.extend(new.map(|value| self.test.holds(Some(value))));
    }

    /// Whether the test holds of nothing.
    pub(in crate::segment::rule) fn holds_of_nothing(&self) -> bool {
        self.test.holds(None)
    }

    pub(in crate::segment::rule) fn holds_of_number(&self, number: f64) -> bool {
        self.test.holds(Some(&Scalar::Number(number)))
    }

    pub(in crate::segment::rule) fn holds_of(&self, id: ValueId) -> bool {
        (id as usize).checked_sub(1).and_then(|place| self.passing.get(place)).copied().unwrap_or(false)
    }
}

impl Compiler<'_> {
    fn computed(&self, computed: &Computed) -> Result<ComputedPlan, RuleError> {
        let taking = match &computed.take {
            Take::Count => Taking::Count,
            Take::Sum(_) => Taking::Sum,
            Take::Average(_) => Taking::Average,
            Take::Smallest(_) => Taking::Smallest,
            Take::Largest(_) => Taking::Largest,
            Take::First(_) => Taking::First,
            Take::Last(_) => Taking::Last,
            Take::MostFrequent(_) => Taking::MostFrequent,
            Take::Distinct(_) => Taking::Distinct,
        };
        let from = match (&computed.of.what, computed.take.property()) {
            (_, None) => From::Nothing,
            (WhatHappened::Order, Some(TOTAL_PROPERTY)) => From::Total { minor_in_major: self.site.minor_in_major() },
            (WhatHappened::Page(_), Some(PAGE_PROPERTY)) => From::Page,
            (_, Some(property)) => {
                let known = self.vocabulary.property(property);
                let wrong = || self.wrong("/take", format!("property {property:?} is not kept yet"));
                From::Record(known.ok_or_else(wrong)?)
            }
        };
        let of = self.matcher(&computed.of)?;
        Ok(ComputedPlan { of, window: self.frame(computed.window), taking, from, values: Values::default() })
    }

    /// A test on a computed trait.
    pub(super) fn computed_node(&self, computed: &Arc<Computed>, is: &Test) -> Result<ComputedNode, RuleError> {
        Ok(ComputedNode { plan: self.computed(computed)?, test: is.clone(), passing: Vec::new() })
    }
}
