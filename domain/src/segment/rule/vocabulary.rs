//! A site's words as numbers, so that rules compare integers: what happened, with which properties, and traits.

mod saved;

use super::Scalar;
use crate::event::TermId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// A kind of happening and which one of it, as one number: the kind in the upper three bits, its place in the
/// vocabulary below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct What(pub u32);

impl What {
    const SHIFT: u32 = 29;

    /// A visit began.
    pub const VISIT: What = What(0);
    /// An order was placed.
    pub const ORDER: What = What(1 << What::SHIFT);
    /// Somebody said who they are.
    pub const IDENTIFY: What = What(2 << What::SHIFT);
    /// Somebody was said to belong to a group.
    pub const GROUP: What = What((2 << What::SHIFT) + 1);
    /// Two ids were said to be one person.
    pub const ALIAS: What = What((2 << What::SHIFT) + 2);

    const PAGE: u32 = 3;
    const TRACK: u32 = 4;

    fn kind(self) -> u32 {
        self.0 >> What::SHIFT
    }

    /// Whether a page was viewed.
    pub fn is_page(self) -> bool {
        self.kind() == What::PAGE
    }

    /// Whether it is a named event.
    pub fn is_track(self) -> bool {
        self.kind() == What::TRACK
    }

    pub(super) fn is_page_or_track(self) -> bool {
        self.kind() >= What::PAGE
    }

    pub(super) fn index(self) -> usize {
        (self.0 & ((1 << What::SHIFT) - 1)) as usize
    }

    fn of(kind: u32, index: usize) -> Option<What> {
        let index = u32::try_from(index).ok().filter(|index| *index < 1 << What::SHIFT)?;
        Some(What((kind << What::SHIFT) | index))
    }
}

/// What a [`What`] stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A visit began.
    Visit,
    /// An order was placed.
    Order,
    /// Somebody said who they are.
    Identify,
    /// Somebody was said to belong to a group.
    Group,
    /// Two ids were said to be one person.
    Alias,
    /// A page was viewed: host and path.
    Page(Arc<str>),
    /// A named event.
    Track(Arc<str>),
}

/// The number of a set of properties with their values.
pub type RecordId = u32;

/// An event without any property that is kept.
pub(super) const EMPTY_RECORD: RecordId = 0;
/// An event whose properties found no room: no test on them holds.
pub const OTHER_RECORD: RecordId = 1;

/// A trait or property that is not there.
pub(super) const NO_VALUE: u32 = 0;
/// A value that is no plain one, or found no room: it is known to exist and equals nothing.
pub(super) const OTHER_VALUE: u32 = 1;

/// Distinct sets of properties that a site keeps. Beyond, events are known without their properties.
pub(super) const MAX_RECORDS: usize = 1 << 20;
/// Distinct values of traits and properties.
const MAX_VALUES: usize = 1 << 20;
/// Longer texts are no values that a rule could ask for.
const MAX_VALUE_BYTES: usize = 256;

/// Properties of a visit, by their places in a record; the names under which rules ask for them.
pub mod visit {
    /// The channel's key.
    pub const CHANNEL: usize = 0;
    /// `utm_source` or what stands for it.
    pub const SOURCE: usize = 1;
    /// `utm_medium`.
    pub const MEDIUM: usize = 2;
    /// `utm_campaign`.
    pub const CAMPAIGN: usize = 3;
    /// The referrer's host.
    pub const REFERRER: usize = 4;
    /// Their names.
    pub const NAMES: [&str; 5] = ["channel", "source", "medium", "campaign", "referrer"];
}

/// Properties with their values, by the property's place: sorted, none twice.
type Record = Box<[(u16, u32)]>;

/// A site's words. It only ever grows, so that numbers given once stay true; what it has no room for is known by its
/// kind alone, and [`Vocabulary::is_full`] says so. Serialises to its words, which get the same numbers when read back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "saved::Saved", into = "saved::Saved")]
pub struct Vocabulary {
    pages: Vec<Arc<str>>,
    page_of_term: HashMap<TermId, What>,
    tracks: Vec<Arc<str>>,
    track_of_name: HashMap<Arc<str>, What>,
    properties: Vec<Arc<str>>,
    traits: Vec<Arc<str>>,
    values: Vec<Scalar>,
    value_of_key: HashMap<String, u32>,
    records: Vec<Record>,
    record_of: HashMap<Record, RecordId>,
    full: bool,
}

impl Default for Vocabulary {
    fn default() -> Vocabulary {
        Vocabulary::new()
    }
}

impl Vocabulary {
    /// A vocabulary that knows the properties of visits and orders and nothing else.
    pub fn new() -> Vocabulary {
        let nothing = || Scalar::Bool(false);
        Vocabulary {
            pages: Vec::new(),
            page_of_term: HashMap::new(),
            tracks: Vec::new(),
            track_of_name: HashMap::new(),
            properties: visit::NAMES.into_iter().map(Arc::from).collect(),
            traits: Vec::new(),
            values: vec![nothing(), nothing()],
            value_of_key: HashMap::new(),
            records: vec![Box::default(), Box::default()],
            record_of: HashMap::from([(Box::default(), EMPTY_RECORD)]),
            full: false,
        }
    }

    /// Whether something found no room: answers about properties may then miss people, and say so.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Keeps a property from now on; gives whether that is new, and so what was read before lacks it.
    pub fn keep_property(&mut self, name: &str) -> bool {
        let is_new = self.property(name).is_none() && self.properties.len() < usize::from(u16::MAX);
        if is_new {
            self.properties.push(name.into());
        }
        is_new
    }

    /// Keeps a trait from now on; gives whether that is new.
    pub fn keep_trait(&mut self, name: &str) -> bool {
        let is_new = self.trait_slot(name).is_none();
        if is_new {
            self.traits.push(name.into());
        }
        is_new
    }

    /// The traits that are kept; a person has one value for each.
    pub fn traits(&self) -> &[Arc<str>] {
        &self.traits
    }

    pub(super) fn trait_slot(&self, name: &str) -> Option<usize> {
        self.traits.iter().position(|known| **known == *name)
    }

    /// The place of a property in records, where it is kept.
    pub fn property(&self, name: &str) -> Option<u16> {
        self.properties.iter().position(|known| **known == *name).and_then(|place| u16::try_from(place).ok())
    }

    /// The number of a page; `text` is asked for its host and path where it is new.
    pub fn page(&mut self, term: TermId, text: impl FnOnce() -> Arc<str>) -> What {
        if let Some(known) = self.page_of_term.get(&term) {
            return *known;
        }
        let what = What::of(What::PAGE, self.pages.len());
        let Some(what) = what else {
            self.full = true;
            return What::ALIAS;
        };
        self.pages.push(text());
        self.page_of_term.insert(term, what);
        what
    }

    /// The number of a named event.
    pub fn track(&mut self, name: &Arc<str>) -> What {
        if let Some(known) = self.track_of_name.get(name) {
            return *known;
        }
        let what = What::of(What::TRACK, self.tracks.len());
        let Some(what) = what else {
            self.full = true;
            return What::ALIAS;
        };
        self.tracks.push(Arc::clone(name));
        self.track_of_name.insert(Arc::clone(name), what);
        what
    }

    /// What a number stands for.
    pub fn happened(&self, what: What) -> Option<Happened> {
        match what {
            What::VISIT => Some(Happened::Visit),
            What::ORDER => Some(Happened::Order),
            What::IDENTIFY => Some(Happened::Identify),
            What::GROUP => Some(Happened::Group),
            What::ALIAS => Some(Happened::Alias),
            _ if what.is_page() => self.pages.get(what.index()).cloned().map(Happened::Page),
            _ => self.tracks.get(what.index()).cloned().map(Happened::Track),
        }
    }

    /// Host and path of the pages, in the order in which they came to be known.
    pub(super) fn pages(&self) -> impl Iterator<Item = (What, &str)> {
        // As many as there are were numbered.
        (0..).zip(&self.pages).map(|(index, page)| (What((What::PAGE << What::SHIFT) | index), &**page))
    }

    pub(super) fn track_named(&self, name: &str) -> Option<What> {
        self.track_of_name.get(name).copied()
    }

    /// The number of a value.
    pub fn value(&mut self, value: &Value) -> u32 {
        let scalar = match value {
            Value::Null => return NO_VALUE,
            Value::Bool(flag) => Scalar::Bool(*flag),
            Value::Number(number) => match number.as_f64().filter(|number| number.is_finite()) {
                Some(number) => Scalar::Number(number),
                None => return OTHER_VALUE,
            },
            Value::String(text) if text.len() <= MAX_VALUE_BYTES => Scalar::Text(text.clone()),
            Value::String(_) | Value::Array(_) | Value::Object(_) => return OTHER_VALUE,
        };
        self.scalar(scalar)
    }

    fn scalar(&mut self, scalar: Scalar) -> u32 {
        let key = match &scalar {
            Scalar::Bool(flag) => format!("b{flag}"),
            Scalar::Number(number) => format!("n{number}"),
            Scalar::Text(text) => format!("t{text}"),
        };
        if let Some(known) = self.value_of_key.get(&key) {
            return *known;
        }
        if self.values.len() >= MAX_VALUES {
            self.full = true;
            return OTHER_VALUE;
        }
        let id = self.values.len() as u32;
        self.values.push(scalar);
        self.value_of_key.insert(key, id);
        id
    }

    /// The value of a number, where it is a plain one.
    pub fn scalar_of(&self, value: u32) -> Option<&Scalar> {
        self.values.get(value as usize).filter(|_| value > OTHER_VALUE)
    }

    pub(super) fn values(&self) -> &[Scalar] {
        &self.values
    }

    /// The record of an event's properties: those that are kept, each with its value.
    pub fn record(&mut self, properties: &Map<String, Value>) -> RecordId {
        if properties.is_empty() {
            return EMPTY_RECORD;
        }
        let mut record = Vec::new();
        for place in 0..self.properties.len() {
            if let Some(value) = properties.get(&*self.properties[place]).filter(|value| !value.is_null()) {
                // As many places as `keep_property` gives fit.
                record.push((place as u16, self.value(value)));
            }
        }
        self.intern(record)
    }

    /// The record of a visit or an order from its texts in the order of [`visit::NAMES`]; empty ones are not there.
    pub fn touch(&mut self, texts: &[&str]) -> RecordId {
        let mut record = Vec::with_capacity(texts.len());
        for (place, text) in (0..).zip(texts) {
            if !text.is_empty() {
                let known = self.scalar(Scalar::Text((*text).to_owned()));
                record.push((place, known));
            }
        }
        self.intern(record)
    }

    fn intern(&mut self, record: Vec<(u16, u32)>) -> RecordId {
        if let Some(known) = self.record_of.get(record.as_slice()) {
            return *known;
        }
        if self.records.len() >= MAX_RECORDS {
            self.full = true;
            return OTHER_RECORD;
        }
        let id = self.records.len() as RecordId;
        let record: Record = record.into();
        self.records.push(record.clone());
        self.record_of.insert(record, id);
        id
    }

    /// The properties of a record, each with the number of its value.
    pub fn values_of(&self, record: RecordId) -> &[(u16, u32)] {
        self.records.get(record as usize).map_or(&[], |record| record)
    }

    /// Whether an event of this record has the property, whatever its value.
    pub fn has_property(&self, record: RecordId, name: &str) -> bool {
        self.property(name).is_some_and(|property| self.property_of(record, property).is_some())
    }

    pub(super) fn records(&self) -> usize {
        self.records.len()
    }

    /// A property of a record: `None` where it is not there, and where it is no plain value `Some(None)`.
    pub(super) fn property_of(&self, record: RecordId, property: u16) -> Option<Option<&Scalar>> {
        let record = self.records.get(record as usize)?;
        let place = record.binary_search_by_key(&property, |(place, _)| *place).ok()?;
        Some(self.scalar_of(record[place].1))
    }
}
