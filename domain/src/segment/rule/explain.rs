//! Why somebody is a member, clause by clause, and in a line for people.

use super::evaluate::{Known, Partial, bounds, follow, number, to_a_millionth, visit_of, word_now};
use super::plan::{EventsNode, FactNode, Frame, Measured, Node, SequenceNode};
use super::sentence::{HowOften, Literal, Noun, Quoted, Spaced, Told};
use super::vocabulary::{NO_VALUE, What, visit};
use super::{Clause, EventClause, Fact, FactClause, Measure, Person, Plan, Scalar, Vocabulary, WhatHappened, Window};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;

/// One clause as it stands for one person.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The clause's number in the order in which the rule is written; the whole is 0.
    pub clause: u16,
    /// Where the clause stands, a JSON pointer (RFC 6901) into the rule: `/who/all/1`.
    pub path: String,
    /// The clause as a sentence.
    pub says: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found.
    pub evidence: Evidence,
    /// The second from which on it may be otherwise although nothing happens.
    pub changes_at: Option<u32>,
    /// Its parts, in the order in which they are written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Explanation>,
    #[serde(skip)]
    form: Form,
}

#[derive(Clone, Debug, PartialEq)]
enum Form {
    All,
    Any,
    Not,
    Leaf(Clause),
}

/// What a clause found. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Nothing of its own; see its parts.
    Parts,
    /// How many events were in the window.
    Events {
        /// How many.
        count: u32,
        /// The first of them.
        first_at: Option<u32>,
        /// The latest of them.
        last_at: Option<u32>,
        /// The window; `None` for all time.
        window: Option<Seconds>,
    },
    /// What events add up to.
    Sum {
        /// The sum; of orders in major units of the site's currency.
        sum: f64,
        /// How many events there were.
        count: u32,
        /// The latest of them.
        last_at: Option<u32>,
        /// The window; `None` for all time.
        window: Option<Seconds>,
    },
    /// When the first, or the last, event was.
    Time {
        /// `None` where there was none.
        at: Option<u32>,
        /// The window; `None` for all time.
        window: Option<Seconds>,
    },
    /// One thing after another.
    Sequence {
        /// How often it was completed, also where something followed that must not.
        count: u32,
        /// When the latest completion that counts began.
        began_at: Option<u32>,
        /// When its last step was.
        completed_at: Option<u32>,
        /// The window; `None` for all time.
        window: Option<Seconds>,
    },
    /// A number.
    Number(f64),
    /// A word, as its fact has it.
    Word(String),
    /// A trait's value.
    Value(Scalar),
    /// There is a value, but it is a list, an object or too long to be kept.
    NotPlain,
    /// Whether the person is in the other segment, or in the share.
    Inside(bool),
    /// The value is not known, or the person was not there yet.
    Unknown,
}

/// From the first second of a window to the last one that has passed. Of a window that lies ahead, the first is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Seconds {
    /// The first.
    pub from: u32,
    /// The last, included.
    pub to: u32,
}

impl Plan {
    /// Takes the answer of [`Plan::evaluate`] apart. The first one is the rule as a whole. `vocabulary` is the one that
    /// the person's words are from.
    pub fn explain(&self, person: &Person<'_>, as_of: u32, vocabulary: &Vocabulary) -> Explanation {
        let mut clauses = Vec::new();
        list(&self.rule.who, "/who".to_owned(), &mut clauses);
        Explainer { plan: self, clauses, person, as_of, vocabulary }.node(&self.root)
    }
}

/// The clauses by their numbers, each with its path.
fn list<'c>(clause: &'c Clause, path: String, clauses: &mut Vec<(String, &'c Clause)>) {
    clauses.push((path.clone(), clause));
    let (step, parts) = match clause {
        Clause::All(parts) => ("all", parts),
        Clause::Any(parts) => ("any", parts),
        Clause::Not(part) => return list(part, path + "/not", clauses),
        Clause::Event(_)
        | Clause::Sequence(_)
        | Clause::Trait(_)
        | Clause::Fact(_)
        | Clause::Segment(_)
        | Clause::Bucket(_) => return,
    };
    for (place, part) in parts.iter().enumerate() {
        list(part, format!("{path}/{step}/{place}"), clauses);
    }
}

struct Explainer<'a> {
    plan: &'a Plan,
    clauses: Vec<(String, &'a Clause)>,
    person: &'a Person<'a>,
    as_of: u32,
    vocabulary: &'a Vocabulary,
}

impl Explainer<'_> {
    fn node(&self, node: &Node) -> Explanation {
        // The same function, asked of a part.
        let verdict = self.plan.verdict(node, self.person, self.as_of);
        let (number, mut parts, evidence) = match node {
            Node::All { clause, parts } | Node::Any { clause, parts } => {
                (*clause, parts.iter().map(|part| self.node(part)).collect(), Evidence::Parts)
            }
            Node::Not { clause, part } => (*clause, vec![self.node(part)], Evidence::Parts),
            Node::Events { clause, .. }
            | Node::Sequence { clause, .. }
            | Node::Trait { clause, .. }
            | Node::Computed { clause, .. }
            | Node::Fact { clause, .. }
            | Node::Segment { clause, .. }
            | Node::Bucket { clause, .. } => {
                let is_there = self.person.first_seen().is_some_and(|first| first <= self.as_of);
                let evidence = if is_there { self.evidence(node, verdict.member) } else { Evidence::Unknown };
                (*clause, Vec::new(), evidence)
            }
        };
        // Parts are asked in another order than they are written in.
        parts.sort_by_key(|part: &Explanation| part.clause);
        let (path, clause) = &self.clauses[usize::from(number)];
        let form = match clause {
            Clause::All(_) => Form::All,
            Clause::Any(_) => Form::Any,
            Clause::Not(_) => Form::Not,
            leaf => Form::Leaf((*leaf).clone()),
        };
        Explanation {
            clause: number,
            path: path.clone(),
            says: clause.to_string(),
            holds: verdict.member,
            evidence,
            changes_at: verdict.changes_at,
            parts,
            form,
        }
    }

    fn evidence(&self, node: &Node, holds: bool) -> Evidence {
        match node {
            Node::All { .. } | Node::Any { .. } | Node::Not { .. } => Evidence::Parts,
            Node::Events { events, .. } => self.events(events),
            Node::Sequence { clause, sequence } => {
                let mut completions = Vec::new();
                follow::<true>(*clause, sequence, self.person, self.as_of, |done| completions.push(done));
                // The evaluator needs one that counts, and keeps two that wait; of three, the latest can be the second.
                let latest = completions.iter().rev().find(|done| self.counts(sequence, done)).filter(|_| holds);
                Evidence::Sequence {
                    count: u32::try_from(completions.len()).unwrap_or(u32::MAX),
                    began_at: latest.map(|done| done.start),
                    completed_at: latest.map(|done| done.at),
                    window: self.seconds(sequence.window),
                }
            }
            Node::Trait { slot, .. } => match self.person.traits.get(*slot).copied().unwrap_or(NO_VALUE) {
                NO_VALUE => Evidence::Unknown,
                value => self.vocabulary.scalar_of(value).cloned().map_or(Evidence::NotPlain, Evidence::Value),
            },
            Node::Computed { computed, .. } => {
                let held = computed.plan.found(self.person, self.as_of).held;
                computed.plan.scalar_held(held).map_or(Evidence::Unknown, Evidence::Value)
            }
            Node::Fact { fact, .. } => self.fact(fact),
            Node::Segment { .. } | Node::Bucket { .. } => Evidence::Inside(holds),
        }
    }

    /// Whether a completed sequence was not followed by what must not, although there was time for it.
    fn counts(&self, sequence: &SequenceNode, done: &Partial) -> bool {
        let Some((never, span)) = &sequence.never else { return true };
        let person = self.person;
        let followed = (done.place + 1..person.at.len())
            .take_while(|place| person.at[*place] <= self.as_of && person.at[*place] - done.at <= *span)
            .any(|place| never.matches(person.what[place], || person.record[place]));
        self.as_of - done.at > *span && !followed
    }

    fn seconds(&self, frame: Frame) -> Option<Seconds> {
        let (from, behind) = bounds(frame, self.as_of);
        let second = |second: u64| u32::try_from(second).unwrap_or(u32::MAX);
        let window = Seconds { from: second(from), to: second(behind.saturating_sub(1)) };
        (!matches!(frame, Frame::Ever)).then_some(window)
    }

    fn events(&self, events: &EventsNode) -> Evidence {
        let (from, behind) = bounds(events.window, self.as_of);
        let is_inside = |at: u32| (from..behind).contains(&u64::from(at));
        let window = self.seconds(events.window);
        let person = self.person;
        // When each was, and what it adds: orders in minor units.
        let found: Vec<(u32, f64)> = if events.of.is_order() {
            let orders = person.orders.iter().filter(|order| events.of.matches(What::ORDER, || order.record));
            orders.map(|order| (order.at, order.minor as f64)).filter(|(at, _)| is_inside(*at)).collect()
        } else {
            let number = |record: u32| match &events.measure {
                Measured::Sum { numbers, .. } => numbers.get(record as usize).copied().unwrap_or(0.0),
                Measured::Count { .. } | Measured::Total { .. } | Measured::Age { .. } => 0.0,
            };
            let happened = person.at.iter().zip(person.what).zip(person.record);
            let meant =
                happened.filter(|((at, what), record)| is_inside(**at) && events.of.matches(**what, || **record));
            meant.map(|((at, _), record)| (*at, number(*record))).collect()
        };
        let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
        let (first_at, last_at) = (found.first().map(|(at, _)| *at), found.last().map(|(at, _)| *at));
        let sum = to_a_millionth(found.iter().map(|(_, number)| number).sum());
        match &events.measure {
            Measured::Count { .. } => Evidence::Events { count, first_at, last_at, window },
            Measured::Total { .. } => {
                let digits = i32::try_from(self.plan.site.currency_digits).unwrap_or(2);
                Evidence::Sum { sum: sum / 10_f64.powi(digits), count, last_at, window }
            }
            Measured::Sum { .. } => Evidence::Sum { sum, count, last_at, window },
            Measured::Age { last, .. } => Evidence::Time { at: if *last { last_at } else { first_at }, window },
        }
    }

    fn fact(&self, fact: &FactNode) -> Evidence {
        let (site, person, as_of) = (&self.plan.site, self.person, self.as_of);
        match fact {
            FactNode::Number { fact, .. } => match number(site, *fact, person, as_of) {
                Known::Nothing => Evidence::Unknown,
                Known::Number(number) => Evidence::Number(number),
                Known::Days { since, less } => Evidence::Number(f64::from((as_of - since) / 86_400) - f64::from(less)),
                Known::Recency { since } => {
                    let days = as_of.saturating_sub(since) / 86_400;
                    let score = site.scales.recency_days.place(days.into()).unwrap_or(1);
                    Evidence::Number(score.into())
                }
            },
            FactNode::Word { fact, .. } => {
                let word = word_now(site, *fact, person, as_of)
                    .and_then(|place| fact.words()?.get(place).map(|word| (*word).to_owned()));
                word.map_or(Evidence::Unknown, Evidence::Word)
            }
            FactNode::Channel { last, channels, .. } => {
                let record = visit_of(*last, channels, person, as_of).map(|place| person.record[place]);
                match record.and_then(|record| self.vocabulary.property_of(record, visit::CHANNEL as u16)).flatten() {
                    Some(channel) => Evidence::Word(channel.to_string()),
                    None => Evidence::Unknown,
                }
            }
        }
    }
}

/// A line names at most so many findings.
const MAX_TOLD: usize = 3;

impl Explanation {
    /// Why, in a line for a list of people: what was found by the clauses that decide, and how long that stays if nothing
    /// happens. `Viewed /pricing 3 times within 14 days, last on 3 March 2026; never ordered; until 17 March`.
    ///
    /// Days are those of `time_zone`; `as_of` is the moment that was asked about.
    pub fn sentence(&self, time_zone: &TimeZone, as_of: u32) -> String {
        let mut deciding = Vec::new();
        self.decide(&mut deciding);
        let mut told: Vec<String> = Vec::new();
        let mut more = 0;
        for leaf in deciding {
            let finding = leaf.finding(time_zone);
            match told.len() {
                _ if told.contains(&finding) => {}
                MAX_TOLD => more += 1,
                _ => told.push(finding),
            }
        }
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        told.extend(self.changes_at.map(|at| until(at, time_zone, as_of)));
        let line = told.join("; ");
        let mut characters = line.chars();
        characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
    }

    /// The leaves that decide: of an `all` that holds and an `any` that does not, those of all parts; else those of the
    /// first part that settles it.
    fn decide<'e>(&'e self, deciding: &mut Vec<&'e Explanation>) {
        let settles = |holds: bool| self.parts.iter().find(move |part| part.holds == holds);
        match &self.form {
            Form::Leaf(_) => deciding.push(self),
            Form::Not => self.parts.iter().for_each(|part| part.decide(deciding)),
            Form::All => match settles(false) {
                Some(part) => part.decide(deciding),
                None => self.parts.iter().for_each(|part| part.decide(deciding)),
            },
            Form::Any => match settles(true) {
                Some(part) => part.decide(deciding),
                None => self.parts.iter().for_each(|part| part.decide(deciding)),
            },
        }
    }

    /// What a leaf found, whatever it asked.
    fn finding(&self, time_zone: &TimeZone) -> String {
        let on = |at: u32| format!("on {}", day(at, time_zone, true));
        let says = &self.says;
        match (&self.form, &self.evidence) {
            (Form::Leaf(Clause::Event(event)), evidence) => happened(event, evidence, on),
            (Form::Leaf(Clause::Sequence(_)), Evidence::Sequence { began_at, completed_at, .. }) => {
                match began_at.zip(*completed_at) {
                    None => format!("not so far: {says}"),
                    Some((began, completed)) => {
                        let (first, last) = (day(began, time_zone, true), day(completed, time_zone, true));
                        if first == last {
                            format!("{says}, on {last}")
                        } else {
                            format!("{says}, from {first} to {last}")
                        }
                    }
                }
            }
            (Form::Leaf(Clause::Trait(asked)), Evidence::Value(value)) => {
                format!("trait {} is {}", Quoted(&asked.name), Literal(value))
            }
            (Form::Leaf(Clause::Trait(asked)), Evidence::NotPlain) => format!("trait {} is known", Quoted(&asked.name)),
            (Form::Leaf(Clause::Trait(asked)), _) => format!("trait {} is not known", Quoted(&asked.name)),
            (Form::Leaf(Clause::Fact(FactClause { name: Fact::SignedUp, .. })), Evidence::Word(word)) => {
                if word == "true" { "signed up".to_owned() } else { "not signed up".to_owned() }
            }
            (Form::Leaf(Clause::Fact(fact)), Evidence::Number(number)) => {
                format!("{} is {}", Spaced(fact.name.key()), rounded(*number))
            }
            (Form::Leaf(Clause::Fact(fact)), Evidence::Word(word)) => format!("{} is {word}", Spaced(fact.name.key())),
            (Form::Leaf(Clause::Fact(fact)), Evidence::Value(value)) => {
                format!("{} is {value}", Spaced(fact.name.key()))
            }
            (Form::Leaf(Clause::Fact(fact)), _) => format!("{} is not known", Spaced(fact.name.key())),
            (_, Evidence::Inside(true)) => says.clone(),
            (_, Evidence::Inside(false)) => format!("not {says}"),
            (_, _) => NOT_SEEN.to_owned(),
        }
    }
}

/// Of somebody who comes later than the moment that is asked about.
const NOT_SEEN: &str = "not seen yet";

fn happened(event: &EventClause, evidence: &Evidence, on: impl Fn(u32) -> String) -> String {
    let told = Told(&event.of);
    let window = if event.window == Window::Ever { String::new() } else { format!(" {}", event.window) };
    let last = |at: &Option<u32>, count: u32| match at {
        Some(at) if count == 1 => format!(", {}", on(*at)),
        Some(at) => format!(", last {}", on(*at)),
        None => String::new(),
    };
    match (&event.is, evidence) {
        (_, Evidence::Events { count: 0, .. } | Evidence::Time { at: None, .. }) => format!("never {told}{window}"),
        (_, Evidence::Events { count, last_at, .. }) => {
            format!("{told} {}{window}{}", HowOften((*count).into()), last(last_at, *count))
        }
        (Measure::Sum { .. }, Evidence::Sum { sum, count, last_at, .. }) if event.of.what == WhatHappened::Order => {
            format!("{told} for {} in total{window}{}", rounded(*sum), last(last_at, *count))
        }
        (Measure::Sum { property, .. }, Evidence::Sum { sum, count, last_at, .. }) => {
            let (property, of) = (Quoted(property), Noun(&event.of));
            format!("total {property} of {of} is {}{window}{}", rounded(*sum), last(last_at, *count))
        }
        (Measure::First(_), Evidence::Time { at: Some(at), .. }) => format!("first {told}{window} {}", on(*at)),
        (_, Evidence::Time { at: Some(at), .. }) => format!("last {told}{window} {}", on(*at)),
        (_, _) => NOT_SEEN.to_owned(),
    }
}

/// `3 March 2026`, with or without the year.
fn day(at: u32, time_zone: &TimeZone, with_year: bool) -> String {
    let date = civil(at, time_zone).date();
    let format = if with_year { "%-d %B %Y" } else { "%-d %B" };
    date.strftime(format).to_string()
}

/// The time of day where that is still today, the year where it is another.
fn until(at: u32, time_zone: &TimeZone, as_of: u32) -> String {
    let (then, now) = (civil(at, time_zone), civil(as_of, time_zone));
    if then.date() == now.date() {
        return format!("until {}", then.strftime("%H:%M"));
    }
    format!("until {}", day(at, time_zone, then.year() != now.year()))
}

fn civil(second: u32, time_zone: &TimeZone) -> DateTime {
    // Every such second is in the calendar.
    time_zone.to_datetime(Timestamp::from_second(second.into()).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// A number to two digits behind the point, a small one to two that are not 0.
fn rounded(number: f64) -> String {
    let hundredths = (number * 100.0).round() / 100.0;
    if hundredths != 0.0 || number == 0.0 {
        return (if hundredths.is_finite() { hundredths } else { number }).to_string();
    }
    format!("{number:.1e}")
}

#[cfg(test)]
mod tests;
