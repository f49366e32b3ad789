//! Computed traits: a value of a person that follows from what they did, written once and kept for everybody.
//!
//! A [`Computed`] is a definition: which events, when, and what is taken from them. It is JSON on the wire and a sentence
//! on the screen, `number of orders within 90 days`, with the filters and windows of rules. [`super::ComputedPlan`]
//! answers for one person at one moment: the value, the events behind it, and when it may change without anything
//! happening. A rule that asks for a trait of that name ([`super::TraitClause`]) asks the definition itself, so that it
//! has the value of the very moment that it is asked about, also a past one, and its deadlines.
//!
//! **Nothing is known of nothing**, but for numbers of events and totals, which are 0: whoever is there and ordered
//! nothing has 0 orders and no average. Only plain values count, as rules read them: a text, a finite number, true or
//! false. Where numbers are asked for, a text that spells one is one, and everything else is passed over.

use super::sentence::{Noun, Quoted};
use super::vocabulary::visit;
use super::{Matching, Needs, RuleError, Scalar, Version, WhatHappened, Window};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

/// The property of page views that is the page's host and path.
pub const PAGE_PROPERTY: &str = "page";
/// The property of orders that is what was paid less refunds, in the site's currency.
pub const TOTAL_PROPERTY: &str = "total";

/// What a computed trait is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Computed {
    /// The form's number, that of rules.
    #[serde(default)]
    pub version: Version,
    /// What is taken from the events.
    pub take: Take,
    /// Which events.
    pub of: Matching,
    /// When they happened.
    #[serde(default, skip_serializing_if = "Window::is_ever")]
    pub window: Window,
}

/// What is taken from events; each names the property that it is taken of. Of orders, `total` is in major units of the
/// site's currency, of page views, `page` is host and path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// How many there are.
    Count,
    /// What it adds up to, to a millionth; 0 where nothing does.
    Sum(String),
    /// The sum by the number of events that have a number, to a millionth.
    Average(String),
    /// The smallest number.
    Smallest(String),
    /// The largest number.
    Largest(String),
    /// The value of the first event that has one.
    First(String),
    /// The value of the last event that has one.
    Last(String),
    /// The value that most events have; of equally frequent ones the one that was there last. Values are the same letter
    /// by letter, and a number is none of its spellings.
    MostFrequent(String),
    /// How many different values there are, in the same sense.
    Distinct(String),
}

impl Take {
    /// Whether nothing comes to 0; of the others nothing is known then.
    pub fn is_zero_of_nothing(&self) -> bool {
        match self {
            Take::Count | Take::Sum(_) | Take::Distinct(_) => true,
            Take::Average(_)
            | Take::Smallest(_)
            | Take::Largest(_)
            | Take::First(_)
            | Take::Last(_)
            | Take::MostFrequent(_) => false,
        }
    }

    /// The property, where one is named.
    pub fn property(&self) -> Option<&str> {
        match self {
            Take::Count => None,
            Take::Sum(property)
            | Take::Average(property)
            | Take::Smallest(property)
            | Take::Largest(property)
            | Take::First(property)
            | Take::Last(property)
            | Take::MostFrequent(property)
            | Take::Distinct(property) => Some(property),
        }
    }
}

impl Computed {
    /// Reads a definition from JSON, and checks it.
    ///
    /// # Errors
    /// [`RuleError`]; where the text is no definition at all, it says line and column.
    pub fn from_json(text: &str) -> Result<Computed, RuleError> {
        let computed: Computed = serde_json::from_str(text)
            .map_err(|error| RuleError { path: String::new(), message: format!("no definition: {error}") })?;
        computed.check()?;
        Ok(computed)
    }

    /// The properties of named events that it has to be given.
    pub fn properties(&self) -> Vec<String> {
        let tests = self.of.properties.iter().map(|test| test.property.clone());
        let taken = self.take.property().filter(|_| {
            // Those of visits and orders are always there, and a page is none.
            matches!(self.of.what, WhatHappened::Track(_) | WhatHappened::Anything)
        });
        tests.chain(taken.map(str::to_owned)).filter(|name| !visit::NAMES.contains(&name.as_str())).collect()
    }
}

impl Display for Computed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let noun = Noun(&self.of);
        match &self.take {
            Take::Count => write!(f, "number of {noun}")?,
            Take::Distinct(property) => write!(f, "number of different {} of {noun}", Quoted(property))?,
            Take::Sum(property) => write!(f, "total {} of {noun}", Quoted(property))?,
            Take::Average(property) => write!(f, "average {} of {noun}", Quoted(property))?,
            Take::Smallest(property) => write!(f, "smallest {} of {noun}", Quoted(property))?,
            Take::Largest(property) => write!(f, "largest {} of {noun}", Quoted(property))?,
            Take::First(property) => write!(f, "first {} of {noun}", Quoted(property))?,
            Take::Last(property) => write!(f, "last {} of {noun}", Quoted(property))?,
            Take::MostFrequent(property) => write!(f, "most frequent {} of {noun}", Quoted(property))?,
        }
        match self.window {
            Window::Ever => Ok(()),
            window => write!(f, "{} {window}", self.of.comma()),
        }
    }
}

/// A site's definitions by their names. A rule that asks for a trait of such a name asks the definition; what somebody
/// sent under that name is not looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ComputedTraits(Arc<BTreeMap<String, Arc<Computed>>>);

impl ComputedTraits {
    /// These definitions.
    pub fn of(definitions: impl IntoIterator<Item = (String, Computed)>) -> ComputedTraits {
        ComputedTraits(Arc::new(definitions.into_iter().map(|(name, one)| (name, Arc::new(one))).collect()))
    }

    /// The definition of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<Computed>> {
        self.0.get(name)
    }
}

impl Needs {
    /// What has to be given in place of the traits that are computed: their properties.
    pub fn behind(mut self, computed: &ComputedTraits) -> Needs {
        let (behind, traits): (Vec<String>, Vec<String>) =
            self.traits.into_iter().partition(|name| computed.get(name).is_some());
        self.traits = traits;
        self.properties.extend(behind.iter().filter_map(|name| computed.get(name)).flat_map(|one| one.properties()));
        self.properties.sort_unstable();
        self.properties.dedup();
        self
    }
}

/// What a definition comes to for one person at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// The value; `None` where nothing is known.
    pub value: Option<Scalar>,
    /// The second from which on it may be another although nothing happens; `None` when it stays. As of rules, it is
    /// never too late and can be too early.
    pub changes_at: Option<u32>,
    /// How many events are behind it: those in the window that are meant and have a value that can be taken.
    pub events: u32,
    /// When the first of them was, in seconds since 1970.
    pub first_at: Option<u32>,
    /// When the last of them was.
    pub last_at: Option<u32>,
}
