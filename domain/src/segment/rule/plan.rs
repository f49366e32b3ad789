//! A rule made ready for one site: words are numbers, days are moments, tests on values are sets.

mod computed;

pub use computed::ComputedPlan;
pub(super) use computed::{ComputedNode, From, Taking, ValueId};

use super::check::{self, RuleError};
use super::computed::ComputedTraits;
use super::vocabulary::{EMPTY_RECORD, What};
use super::{
    Age, Amount, BucketClause, Clause, EventClause, Fact, FactClause, Matching, Measure, PropertyTest, Rule, Scalar,
    SequenceClause, Test, TraitClause, Vocabulary, WhatHappened, Window, person, visit,
};
use crate::attribution::Channel;
use crate::segment::lifecycle::{Buyers, Limits};
use crate::segment::rfm::Scales;
use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::HashMap;
use std::sync::Arc;

/// Where the values of a site's buyers lie: how large a share of them is below a value.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Percentiles(Vec<f64>);

impl Percentiles {
    /// Values between which the share is told apart: thousandths.
    const STEPS: usize = 1_000;

    /// The percentiles of these values; not-a-numbers are left out.
    pub fn of(mut values: Vec<f64>) -> Percentiles {
        values.retain(|value| value.is_finite());
        values.sort_unstable_by(f64::total_cmp);
        let count = values.len();
        if count > Percentiles::STEPS {
            values = (0..Percentiles::STEPS).map(|step| values[step * count / Percentiles::STEPS]).collect();
        }
        Percentiles(values)
    }

    /// The share in percent that is below a value, to a tenth; `None` where there is nobody to compare with.
    pub fn below(&self, value: f64) -> Option<f64> {
        (!self.0.is_empty() && value.is_finite())
            .then(|| 100.0 * self.0.partition_point(|known| *known < value) as f64 / self.0.len() as f64)
    }
}

/// What rules need to know of a site. Values here are those of the day that a rule is asked about.
#[derive(Clone, Debug)]
pub struct Site {
    /// Days begin and end in this zone.
    pub time_zone: TimeZone,
    /// Digits of the currency after the point.
    pub currency_digits: u32,
    /// The limits of the lifecycle.
    pub limits: [Limits; 4],
    /// The days by which half of those who order again have done so, by the orders made before.
    pub usual_gap_days: [Option<u32>; 4],
    /// The values behind the RFM scores.
    pub scales: Scales,
    /// What the buyers have spent, in minor units.
    pub revenue: Percentiles,
    /// What their orders are worth on average, in minor units.
    pub order_value: Percentiles,
    /// What is expected of them, in major units.
    pub expected_revenue: Percentiles,
    /// The traits that are computed.
    pub computed: ComputedTraits,
}

impl Site {
    /// A site of which nothing is known yet.
    pub fn new(time_zone: TimeZone, currency_digits: u32) -> Site {
        Site {
            time_zone,
            currency_digits,
            limits: crate::segment::lifecycle::limits(&Default::default()),
            usual_gap_days: [None; 4],
            scales: Scales::default(),
            revenue: Percentiles::default(),
            order_value: Percentiles::default(),
            expected_revenue: Percentiles::default(),
            computed: ComputedTraits::default(),
        }
    }

    /// Minor units of the currency in one of its major unit.
    pub(super) fn minor_in_major(&self) -> f64 {
        10_f64.powi(i32::try_from(self.currency_digits).unwrap_or(2))
    }

    pub(super) fn limits_after(&self, orders: usize) -> &Limits {
        &self.limits[Buyers::after(u32::try_from(orders).unwrap_or(u32::MAX)) as usize]
    }
}

/// Which bit of [`super::Person::segments`] stands for which segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots(HashMap<String, u32>);

impl Slots {
    /// Slots for these keys, in their order.
    pub fn of<'k>(keys: impl IntoIterator<Item = &'k str>) -> Slots {
        Slots((0..).zip(keys).map(|(slot, key)| (key.to_owned(), slot)).collect())
    }

    /// The bit of a segment.
    pub fn slot(&self, key: &str) -> Option<u32> {
        self.0.get(key).copied()
    }
}

/// A rule made ready; see [`Plan::compile`].
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) root: Node,
    pub(super) site: Site,
    /// What it was made from, for explanations.
    pub(super) rule: Arc<Rule>,
}

/// A clause made ready. `clause` is its number in the order in which the rule is written, the root 0.
#[derive(Clone, Debug)]
pub(super) enum Node {
    All { clause: u16, parts: Box<[Node]> },
    Any { clause: u16, parts: Box<[Node]> },
    Not { clause: u16, part: Box<Node> },
    Events { clause: u16, events: Box<EventsNode> },
    Sequence { clause: u16, sequence: Box<SequenceNode> },
    Trait { clause: u16, slot: usize, values: Tests },
    Computed { clause: u16, computed: Box<ComputedNode> },
    Fact { clause: u16, fact: FactNode },
    Segment { clause: u16, slot: u32 },
    Bucket { clause: u16, bucket: BucketClause },
}

#[derive(Clone, Debug)]
pub(super) struct EventsNode {
    pub(super) of: Matcher,
    pub(super) window: Frame,
    pub(super) measure: Measured,
}

#[derive(Clone, Debug)]
pub(super) enum Measured {
    /// From so many to so many.
    Count { least: u64, most: u64 },
    /// Of orders' totals; so many minor units are one in which the amount is given.
    Total { is: Amount, minor_in_major: f64 },
    /// Of a property.
    Sum { property: u16, numbers: Vec<f64>, least: f64, most: f64 },
    /// Seconds since the first, or the last.
    Age { last: bool, age: Age },
}

/// A window with days as seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) enum Frame {
    Ever,
    Within(u32),
    /// Younger than the first, not younger than the second.
    Ago(u32, u32),
    /// From the first second to before the second.
    Fixed(u64, u64),
}

impl Frame {
    /// Whether things leave it as time goes by.
    pub(super) fn moves(self) -> bool {
        matches!(self, Frame::Within(_) | Frame::Ago(..))
    }
}

#[derive(Clone, Debug)]
pub(super) struct SequenceNode {
    pub(super) first: Matcher,
    pub(super) then: Vec<StepNode>,
    pub(super) never: Option<(Matcher, u32)>,
    pub(super) window: Frame,
}

#[derive(Clone, Debug)]
pub(super) struct StepNode {
    pub(super) of: Matcher,
    pub(super) within: Option<u32>,
    pub(super) without: Option<Matcher>,
}

#[derive(Clone, Debug)]
pub(super) enum FactNode {
    /// A test on a number.
    Number { fact: Fact, test: Test },
    /// The words it may be, by their place in [`Fact::words`].
    Word { fact: Fact, words: u32, if_unknown: bool },
    /// A channel: the words it may be, and which one a record of a visit has.
    Channel { last: bool, words: u32, channels: Channels, if_unknown: bool },
}

/// Which events are meant: a [`Matching`] made ready, by itself for funnels and paths, and inside of a [`Plan`].
#[derive(Clone, Debug)]
pub struct Matcher {
    codes: Codes,
    records: Option<Records>,
}

#[derive(Clone, Debug)]
enum Codes {
    /// None: a name that never happened, which may come to be known.
    Unheard(String),
    One(What),
    /// Pages that are like it. Nearly always it is one of them, whose comparison is a single one.
    Pages {
        pattern: Pattern,
        known: Bits,
        only: Only,
    },
    /// Page views and named events.
    Anything,
}

/// The channel of each record of a visit, as its place in [`Fact::words`].
#[derive(Clone, Debug, Default)]
pub(super) struct Channels(Vec<Option<u8>>);

impl Channels {
    /// The channel of a visit; `None` of what found no room in the vocabulary.
    pub(super) fn of(&self, record: u32) -> Option<usize> {
        self.0.get(record as usize).copied().flatten().map(usize::from)
    }

    fn refresh(&mut self, vocabulary: &Vocabulary) {
        for record in self.0.len()..vocabulary.records() {
            // As many records as fit are numbered.
            let key = vocabulary.property_of(record as u32, visit::CHANNEL as u16).flatten();
            let is_named = |channel: &Channel| matches!(key, Some(Scalar::Text(key)) if key == channel.key());
            self.0.push((0..).zip(Channel::ALL).find(|(_, channel)| is_named(channel)).map(|(place, _)| place));
        }
    }
}

/// Whether a set of pages has one member alone.
#[derive(Clone, Copy, Debug)]
enum Only {
    Nobody,
    One(What),
    Many,
}

/// Records of which all tests hold.
#[derive(Clone, Debug)]
pub(super) struct Records {
    tests: Vec<(u16, Test)>,
    passing: Bits,
}

/// Values of which a test holds.
#[derive(Clone, Debug)]
pub(super) struct Tests {
    test: Test,
    passing: Bits,
}

/// A set of small numbers, with how many of them were looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    seen: usize,
}

impl Bits {
    fn push(&mut self, holds: bool) {
        if self.seen.is_multiple_of(64) {
            self.words.push(0);
        }
        if let Some(word) = self.words.last_mut() {
            *word |= u64::from(holds) << (self.seen % 64);
        }
        self.seen += 1;
    }

    #[inline]
    pub(super) fn has(&self, number: usize) -> bool {
        self.words.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

/// A page's address with `*` for any text.
#[derive(Clone, Debug)]
struct Pattern {
    /// With a host; else any host is meant.
    has_host: bool,
    parts: Vec<String>,
}

impl Pattern {
    fn new(text: &str) -> Pattern {
        Pattern { has_host: !text.starts_with(['/', '*']), parts: text.split('*').map(str::to_owned).collect() }
    }

    /// `page` is host and path, or the name of an app's screen. Without a star the whole address must be the same.
    fn matches(&self, page: &str) -> bool {
        let mut rest = if self.has_host { page } else { page.find('/').map_or(page, |slash| &page[slash..]) };
        let (Some(first), Some(last)) = (self.parts.first(), self.parts.last()) else { return false };
        if self.parts.len() == 1 {
            return rest == first;
        }
        let Some(after) = rest.strip_prefix(first.as_str()) else { return false };
        rest = after;
        // Leftmost is enough: what follows may stand anywhere behind.
        for part in &self.parts[1..self.parts.len() - 1] {
            match rest.find(part.as_str()) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

impl Matcher {
    /// Makes a description of events ready.
    ///
    /// # Errors
    /// [`RuleError`] where a property is not kept.
    pub fn compile(matching: &Matching, vocabulary: &Vocabulary) -> Result<Matcher, RuleError> {
        let site = Site::new(TimeZone::UTC, 2);
        let compiler = Compiler { vocabulary, site: &site, slots: &Slots::default(), next: 0, path: String::new() };
        let mut matcher = compiler.matcher(matching)?;
        matcher.refresh(vocabulary);
        Ok(matcher)
    }

    /// Whether one event is meant.
    #[inline]
    pub fn matches(&self, what: What, record: impl FnOnce() -> u32) -> bool {
        self.may_match(what) && self.records.as_ref().is_none_or(|records| records.has(record()))
    }

    /// Whether an event of this kind is meant with some properties at least.
    #[inline]
    pub fn may_match(&self, what: What) -> bool {
        match &self.codes {
            Codes::Unheard(_) | Codes::Pages { only: Only::Nobody, .. } => false,
            Codes::One(code) | Codes::Pages { only: Only::One(code), .. } => *code == what,
            Codes::Pages { known, only: Only::Many, .. } => what.is_page() && known.has(what.index()),
            Codes::Anything => what.is_page_or_track(),
        }
    }

    /// How many events are meant. One loop for each kind, without a branch in it.
    pub(super) fn count(&self, what: &[What], record: &[u32]) -> usize {
        if self.records.is_some() {
            return what.iter().zip(record).filter(|(what, record)| self.matches(**what, || **record)).count();
        }
        fn count(what: &[What], is_meant: impl Fn(What) -> bool) -> usize {
            // No more than 2^32 events; small numbers are added up more at once.
            what.iter().map(|what| u32::from(is_meant(*what))).sum::<u32>() as usize
        }
        match &self.codes {
            Codes::Unheard(_) | Codes::Pages { only: Only::Nobody, .. } => 0,
            Codes::One(code) | Codes::Pages { only: Only::One(code), .. } => count(what, |what| what == *code),
            Codes::Pages { known, only: Only::Many, .. } => {
                count(what, |what| what.is_page() & known.has(what.index()))
            }
            Codes::Anything => count(what, What::is_page_or_track),
        }
    }

    /// Orders are read from a list of their own.
    pub(super) fn is_order(&self) -> bool {
        matches!(self.codes, Codes::One(What::ORDER))
    }

    fn refresh(&mut self, vocabulary: &Vocabulary) {
        match &mut self.codes {
            Codes::Unheard(name) => {
                if let Some(what) = vocabulary.track_named(name) {
                    self.codes = Codes::One(what);
                }
            }
            Codes::Pages { pattern, known, only } => {
                for (what, page) in vocabulary.pages().skip(known.seen) {
                    let is_meant = pattern.matches(page);
                    known.push(is_meant);
                    *only = match only {
                        _ if !is_meant => *only,
                        Only::Nobody => Only::One(what),
                        Only::One(_) | Only::Many => Only::Many,
                    };
                }
            }
            Codes::One(_) | Codes::Anything => {}
        }
        if let Some(records) = &mut self.records {
            records.refresh(vocabulary);
        }
    }
}

impl Records {
    fn new(tests: Vec<(u16, Test)>, vocabulary: &Vocabulary) -> Records {
        let mut records = Records { tests, passing: Bits::default() };
        records.refresh(vocabulary);
        records
    }

    #[inline]
    pub(super) fn has(&self, record: u32) -> bool {
        self.passing.has(record as usize)
    }

    fn refresh(&mut self, vocabulary: &Vocabulary) {
        for record in self.passing.seen..vocabulary.records() {
            let holds = self.tests.iter().all(|(property, test)| {
                // As many records as fit are numbered.
                match vocabulary.property_of(record as u32, *property) {
                    Some(None) => matches!(test, Test::Exists(true)),
                    Some(Some(value)) => test.holds(Some(value)),
                    None => test.holds(None),
                }
            });
            // Of what found no room nothing is known, not even that it is missing.
            self.passing.push(holds && record != super::OTHER_RECORD as usize);
        }
    }
}

impl Tests {
    fn refresh(&mut self, vocabulary: &Vocabulary) {
        for (id, value) in vocabulary.values().iter().enumerate().skip(self.passing.seen) {
            let holds = match id as u32 {
                super::vocabulary::NO_VALUE => self.test.holds(None),
                super::vocabulary::OTHER_VALUE => matches!(self.test, Test::Exists(true)),
                _ => self.test.holds(Some(value)),
            };
            self.passing.push(holds);
        }
    }

    pub(super) fn has(&self, value: u32) -> bool {
        self.passing.has(value as usize)
    }
}

/// What a rule has to be given before it can be compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Properties of named events.
    pub properties: Vec<String>,
    /// Traits.
    pub traits: Vec<String>,
    /// Keys of other segments.
    pub segments: Vec<String>,
}

impl Rule {
    /// What the rule asks for by name.
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        self.who.add_needs(&mut needs);
        for list in [&mut needs.properties, &mut needs.traits, &mut needs.segments] {
            list.sort_unstable();
            list.dedup();
        }
        needs
    }
}

impl Clause {
    fn add_needs(&self, needs: &mut Needs) {
        let mut of = |matching: &Matching| {
            needs.properties.extend(matching.properties.iter().map(|test| test.property.clone()));
        };
        match self {
            Clause::All(parts) | Clause::Any(parts) => parts.iter().for_each(|part| part.add_needs(needs)),
            Clause::Not(part) => part.add_needs(needs),
            Clause::Event(event) => {
                of(&event.of);
                if let Measure::Sum { property, .. } = &event.is
                    && event.of.what != WhatHappened::Order
                {
                    needs.properties.push(property.clone());
                }
            }
            Clause::Sequence(sequence) => {
                of(&sequence.first);
                for step in &sequence.then {
                    of(&step.of);
                    step.without.iter().for_each(&mut of);
                }
                sequence.never.iter().for_each(|never| of(&never.of));
            }
            Clause::Trait(asked) => needs.traits.push(asked.name.clone()),
            Clause::Segment(key) => needs.segments.push(key.clone()),
            Clause::Fact(fact) => needs.traits.extend(fact.name.trait_name().map(str::to_owned)),
            Clause::Bucket(_) => {}
        }
    }
}

impl Plan {
    /// Makes a rule ready.
    ///
    /// The vocabulary must keep what [`Rule::needs`] names, [`Needs::behind`] the site's computed traits, see
    /// [`Vocabulary::keep_property`].
    ///
    /// # Errors
    /// [`RuleError`] that points at the clause: what [`Rule::check`] finds, a segment that has no slot, a property or
    /// trait that is not kept.
    pub fn compile(rule: &Rule, vocabulary: &Vocabulary, site: &Site, slots: &Slots) -> Result<Plan, RuleError> {
        rule.check()?;
        let mut compiler = Compiler { vocabulary, site, slots, next: 0, path: String::from("/who") };
        let root = compiler.node(&rule.who)?;
        let mut plan = Plan { root, site: site.clone(), rule: Arc::new(rule.clone()) };
        plan.refresh(vocabulary);
        Ok(plan)
    }

    /// Takes in what the vocabulary has learnt since; must be called before people are read who were made with it.
    pub fn refresh(&mut self, vocabulary: &Vocabulary) {
        self.root.refresh(vocabulary);
    }
}

impl Node {
    fn refresh(&mut self, vocabulary: &Vocabulary) {
        match self {
            Node::All { parts, .. } | Node::Any { parts, .. } => {
                parts.iter_mut().for_each(|part| part.refresh(vocabulary));
            }
            Node::Not { part, .. } => part.refresh(vocabulary),
            Node::Events { events, .. } => {
                events.of.refresh(vocabulary);
                if let Measured::Sum { property, numbers, .. } = &mut events.measure {
                    for record in numbers.len()..vocabulary.records() {
                        let value = vocabulary.property_of(record as u32, *property).flatten();
                        numbers.push(value.and_then(Scalar::number).unwrap_or(0.0));
                    }
                }
            }
            Node::Sequence { sequence, .. } => {
                sequence.first.refresh(vocabulary);
                for step in &mut sequence.then {
                    step.of.refresh(vocabulary);
                    if let Some(without) = &mut step.without {
                        without.refresh(vocabulary);
                    }
                }
                if let Some((never, _)) = &mut sequence.never {
                    never.refresh(vocabulary);
                }
            }
            Node::Trait { values, .. } => values.refresh(vocabulary),
            Node::Computed { computed, .. } => computed.refresh(vocabulary),
            Node::Fact { fact: FactNode::Channel { channels, .. }, .. } => channels.refresh(vocabulary),
            Node::Fact { .. } | Node::Segment { .. } | Node::Bucket { .. } => {}
        }
    }

    /// How much it costs to ask, roughly: the cheap parts of an `all` are asked first.
    fn cost(&self) -> u32 {
        match self {
            Node::Bucket { .. } => 2,
            Node::Trait { .. } | Node::Segment { .. } => 1,
            Node::Fact { fact: FactNode::Number { fact: Fact::Visits | Fact::PageViews, .. }, .. } => 20,
            Node::Fact { fact: FactNode::Channel { .. }, .. } => 10,
            Node::Fact { .. } => 3,
            Node::Events { events, .. } => match (events.of.is_order(), events.window) {
                (true, _) => 3,
                (false, Frame::Within(_) | Frame::Ago(..)) => 12,
                (false, Frame::Ever | Frame::Fixed(..)) => 25,
            },
            Node::Sequence { .. } => 40,
            Node::Computed { .. } => 30,
            Node::All { parts, .. } | Node::Any { parts, .. } => parts.iter().map(Node::cost).sum(),
            Node::Not { part, .. } => part.cost(),
        }
    }
}

struct Compiler<'a> {
    vocabulary: &'a Vocabulary,
    site: &'a Site,
    slots: &'a Slots,
    next: u16,
    /// JSON pointer of the clause at hand.
    path: String,
}

impl Compiler<'_> {
    fn wrong(&self, below: &str, message: String) -> RuleError {
        RuleError { path: format!("{}{below}", self.path), message }
    }

    fn below<T>(&mut self, step: &str, work: impl FnOnce(&mut Self) -> Result<T, RuleError>) -> Result<T, RuleError> {
        let length = self.path.len();
        self.path.push_str(step);
        let done = work(self);
        self.path.truncate(length);
        done
    }

    fn node(&mut self, clause: &Clause) -> Result<Node, RuleError> {
        let number = self.next;
        // As many clauses as `check` lets through fit.
        self.next = self.next.saturating_add(1);
        Ok(match clause {
            Clause::All(parts) => Node::All { clause: number, parts: self.parts("/all", parts)? },
            Clause::Any(parts) => Node::Any { clause: number, parts: self.parts("/any", parts)? },
            Clause::Not(part) => {
                let part = self.below("/not", |compiler| compiler.node(part))?;
                Node::Not { clause: number, part: Box::new(part) }
            }
            Clause::Event(event) => {
                let events = self.below("/event", |compiler| compiler.events(event))?;
                Node::Events { clause: number, events: Box::new(events) }
            }
            Clause::Sequence(sequence) => {
                let sequence = self.below("/sequence", |compiler| compiler.sequence(sequence))?;
                Node::Sequence { clause: number, sequence: Box::new(sequence) }
            }
            Clause::Trait(TraitClause { name, is }) => match self.site.computed.get(name) {
                Some(computed) => {
                    let computed = self.below("/trait/name", |compiler| compiler.computed_node(computed, is))?;
                    Node::Computed { clause: number, computed: Box::new(computed) }
                }
                None => self.value(number, "/trait/name", name, is)?,
            },
            Clause::Fact(FactClause { name, is }) if let Some(text) = name.trait_name() => {
                self.value(number, "/fact/name", text, is)?
            }
            Clause::Fact(fact) => Node::Fact { clause: number, fact: self.fact(fact) },
            Clause::Segment(key) => {
                let slot = self.slots.slot(key);
                let slot = slot.ok_or_else(|| self.wrong("/segment", check::no_segment(key)))?;
                Node::Segment { clause: number, slot }
            }
            Clause::Bucket(bucket) => Node::Bucket { clause: number, bucket: bucket.clone() },
        })
    }

    fn value(&self, clause: u16, below: &str, name: &str, is: &Test) -> Result<Node, RuleError> {
        let slot = self.vocabulary.trait_slot(name);
        let slot = slot.ok_or_else(|| self.wrong(below, format!("trait {name:?} is not kept yet")))?;
        Ok(Node::Trait { clause, slot, values: Tests { test: is.clone(), passing: Bits::default() } })
    }

    fn parts(&mut self, step: &str, parts: &[Clause]) -> Result<Box<[Node]>, RuleError> {
        let nodes = parts.iter().enumerate().map(|(place, part)| {
            let node = self.below(&format!("{step}/{place}"), |compiler| compiler.node(part));
            Ok((place, node?))
        });
        let mut nodes = nodes.collect::<Result<Vec<_>, RuleError>>()?;
        nodes.sort_by_key(|(place, node)| (node.cost(), *place));
        Ok(nodes.into_iter().map(|(_, node)| node).collect())
    }

    fn matcher(&self, matching: &Matching) -> Result<Matcher, RuleError> {
        let codes = match &matching.what {
            WhatHappened::Page(text) => {
                Codes::Pages { pattern: Pattern::new(text), known: Bits::default(), only: Only::Nobody }
            }
            WhatHappened::Track(name) => {
                self.vocabulary.track_named(name).map_or_else(|| Codes::Unheard(name.clone()), Codes::One)
            }
            WhatHappened::Order => Codes::One(What::ORDER),
            WhatHappened::Visit => Codes::One(What::VISIT),
            WhatHappened::Identify => Codes::One(What::IDENTIFY),
            WhatHappened::Anything => Codes::Anything,
        };
        let tests = matching.properties.iter().enumerate().map(|(place, PropertyTest { property, is })| {
            let known = self.vocabulary.property(property);
            let wrong = || {
                let below = format!("/with/{place}/property");
                self.wrong(&below, format!("property {property:?} is not kept yet"))
            };
            Ok((known.ok_or_else(wrong)?, is.clone()))
        });
        let tests = tests.collect::<Result<Vec<_>, RuleError>>()?;
        Ok(Matcher { codes, records: (!tests.is_empty()).then(|| Records::new(tests, self.vocabulary)) })
    }

    fn events(&mut self, event: &EventClause) -> Result<EventsNode, RuleError> {
        let of = self.below("/of", |compiler| compiler.matcher(&event.of))?;
        let measure = match &event.is {
            Measure::Count(amount) => count(*amount),
            Measure::Sum { is, .. } if of.is_order() => {
                Measured::Total { is: *is, minor_in_major: self.site.minor_in_major() }
            }
            Measure::Sum { property, is } => {
                let known = self.vocabulary.property(property);
                let wrong = || self.wrong("/is/sum/property", format!("property {property:?} is not kept yet"));
                let (least, most) = is.range();
                Measured::Sum { property: known.ok_or_else(wrong)?, numbers: Vec::new(), least, most }
            }
            Measure::First(age) => Measured::Age { last: false, age: *age },
            Measure::Last(age) => Measured::Age { last: true, age: *age },
        };
        Ok(EventsNode { of, window: self.frame(event.window), measure })
    }

    fn sequence(&mut self, sequence: &SequenceClause) -> Result<SequenceNode, RuleError> {
        let first = self.below("/first", |compiler| compiler.matcher(&sequence.first))?;
        let mut then = Vec::with_capacity(sequence.then.len());
        for (place, step) in sequence.then.iter().enumerate() {
            then.push(self.below(&format!("/then/{place}"), |compiler| {
                Ok(StepNode {
                    of: compiler.below("/of", |compiler| compiler.matcher(&step.of))?,
                    within: step.within.map(super::Span::seconds),
                    without: match &step.without {
                        Some(without) => Some(compiler.below("/without", |compiler| compiler.matcher(without))?),
                        None => None,
                    },
                })
            })?);
        }
        let never = match &sequence.never {
            Some(never) => {
                let of = self.below("/never/of", |compiler| compiler.matcher(&never.of))?;
                Some((of, never.within.seconds()))
            }
            None => None,
        };
        Ok(SequenceNode { first, then, never, window: self.frame(sequence.window) })
    }

    fn fact(&self, clause: &FactClause) -> FactNode {
        let fact = clause.name;
        let Some(words) = fact.words() else { return FactNode::Number { fact, test: clause.is.clone() } };
        let if_unknown = clause.is.holds(None);
        let holds = |word: &str| clause.is.holds(Some(&Scalar::Text(word.to_owned())));
        let words = (0..).zip(words).fold(0, |set, (place, word)| set | (u32::from(holds(word)) << place));
        match fact {
            Fact::FirstChannel | Fact::LastChannel => {
                let last = fact == Fact::LastChannel;
                FactNode::Channel { last, words, channels: Channels::default(), if_unknown }
            }
            _ => FactNode::Word { fact, words, if_unknown },
        }
    }

    fn frame(&self, window: Window) -> Frame {
        let begins = |day: Date| {
            let midnight = day.to_zoned_datetime(self.site.time_zone.clone());
            midnight.map_or(u64::MAX, |midnight| person::second(midnight.timestamp()).into())
        };
        let next = |day: Date| day.saturating_add(SignedDuration::from_hours(24));
        match window {
            Window::Ever => Frame::Ever,
            Window::Within(span) => Frame::Within(span.seconds()),
            Window::Ago(from, to) => Frame::Ago(from.seconds(), to.seconds()),
            Window::Before(day) => Frame::Fixed(0, begins(day)),
            Window::Since(day) => Frame::Fixed(begins(day), u64::MAX),
            Window::Between(first, last) => Frame::Fixed(begins(first), begins(next(last))),
        }
    }
}

/// A count's range in whole numbers.
fn count(amount: Amount) -> Measured {
    let (least, most) = amount.range();
    // Casts of what is negative or infinite end at the bounds.
    Measured::Count { least: least.max(0.0).ceil() as u64, most: if most < 0.0 { 0 } else { most.floor() as u64 } }
}

// An event without properties is one of the records that tests are asked of.
const _: () = assert!(EMPTY_RECORD == 0);
