//! What an explanation says it has found, counted a second time in the raw rows.

use super::naive::{Asked, Did, Done, Someone, is_meant, is_member};
use domain::segment::rule::{Clause, EventClause, Measure, Rule, SequenceClause, Site, WhatHappened, Window};
use jiff::civil::Date;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Twenty years on, everything that time alone does has been done.
const LATER: u32 = 20 * 366 * 86_400;

/// Whether an explanation is true clause by clause; what is not is told. Gives how many clauses were looked at.
pub(crate) struct Checked<'a> {
    pub(crate) rule: Value,
    pub(crate) someone: &'a Someone,
    pub(crate) site: &'a Site,
    pub(crate) as_of: u32,
    pub(crate) clauses: usize,
    pub(crate) wrong: Vec<String>,
}

impl Checked<'_> {
    /// Looks at a clause and its parts.
    pub(crate) fn clause(&mut self, clause: &Clause, told: &Value) {
        let wrong = |what: &str, told: &Value, found: &Value| format!("{clause}: {what} is told {told}, found {found}");
        let number = self.clauses;
        self.clauses += 1;
        let alone = Rule::new(clause.clone());
        let holds = |as_of: u32| is_member(&alone, self.someone, self.site, as_of);
        let now = holds(self.as_of);
        let mut found = vec![
            ("the number", json!(told["clause"]), json!(number)),
            ("the sentence", json!(told["says"]), json!(clause.to_string())),
            ("whether it holds", json!(told["holds"]), json!(now)),
        ];
        let path = told["path"].as_str().unwrap_or("?");
        found.push(("what the path leads to", json!(self.rule.pointer(path)), json!(clause)));
        // The answer stays until the second that is told, and for ever where none is.
        let until = match told["changes_at"].as_u64() {
            Some(second) => u32::try_from(second - 1).unwrap_or(u32::MAX),
            None => self.as_of + LATER,
        };
        found.push(("whether it holds until it may change", json!(told["holds"]), json!(holds(until))));
        let evidence = &told["evidence"];
        match clause {
            Clause::All(_) | Clause::Any(_) | Clause::Not(_) => {
                found.push(("evidence", evidence.clone(), json!("parts")))
            }
            Clause::Event(event) => found.push(("evidence", evidence.clone(), self.events(event))),
            Clause::Sequence(sequence) => found.push(("evidence", evidence.clone(), self.sequence(sequence, now))),
            Clause::Fact(fact) => {
                let asked = Asked { someone: self.someone, site: self.site, as_of: self.as_of };
                let known = match asked.fact(fact.name) {
                    Value::Null => json!("unknown"),
                    Value::String(word) => json!({ "word": word }),
                    number => json!({ "number": number.as_f64() }),
                };
                found.push(("evidence", evidence.clone(), known));
            }
            Clause::Trait(asked) => {
                let known = match self.someone.traits.get(&asked.name) {
                    None | Some(Value::Null) => json!("unknown"),
                    Some(Value::Array(_) | Value::Object(_)) => json!("not_plain"),
                    Some(Value::String(text)) if text.len() > 256 => json!("not_plain"),
                    Some(value) => json!({ "value": value }),
                };
                found.push(("evidence", evidence.clone(), known));
            }
            Clause::Segment(_) | Clause::Bucket(_) => {
                found.push(("evidence", evidence.clone(), json!({ "inside": now })));
            }
        }
        let differ = found.iter().filter(|(_, told, found)| !same(told, found));
        self.wrong.extend(differ.map(|(what, told, found)| wrong(what, told, found)));
        let parts = match clause {
            Clause::All(parts) | Clause::Any(parts) => parts.iter().collect(),
            Clause::Not(part) => vec![&**part],
            _ => Vec::new(),
        };
        let told_parts = told["parts"].as_array().map_or(&[][..], Vec::as_slice);
        if parts.len() != told_parts.len() {
            self.wrong.push(wrong("the number of parts", &json!(told_parts.len()), &json!(parts.len())));
        }
        for (part, told) in parts.into_iter().zip(told_parts) {
            self.clause(part, told);
        }
    }

    /// The first and the last second of a window; `None` for all time.
    fn window(&self, window: Window) -> Option<(u32, u32)> {
        let began = |day: Date| {
            let midnight = day.to_zoned_datetime(self.site.time_zone.clone()).expect("a day of the calendar");
            u32::try_from(midnight.timestamp().as_second()).expect("a day after 1970")
        };
        let before = |day: Date| (began(day) - 1).min(self.as_of);
        match window {
            Window::Ever => None,
            Window::Within(span) => Some((self.as_of + 1 - span.seconds(), self.as_of)),
            Window::Ago(first, second) => Some((self.as_of + 1 - first.seconds(), self.as_of - second.seconds())),
            Window::Before(day) => Some((0, before(day))),
            Window::Since(day) => Some((began(day), self.as_of)),
            Window::Between(first, last) => Some((began(first), before(last.tomorrow().expect("a later day")))),
        }
    }

    fn inside(&self, window: Window) -> Vec<&Done> {
        let (from, to) = self.window(window).unwrap_or((0, self.as_of));
        self.someone.did.iter().filter(|done| done.at >= from && done.at <= to).collect()
    }

    fn events(&self, event: &EventClause) -> Value {
        let meant: Vec<&Done> =
            self.inside(event.window).into_iter().filter(|done| is_meant(&event.of, done)).collect();
        let window = self.window(event.window).map(|(from, to)| json!({ "from": from, "to": to }));
        let (first, last) = (meant.first().map(|done| done.at), meant.last().map(|done| done.at));
        match &event.is {
            Measure::Count(_) => {
                json!({ "events": { "count": meant.len(), "first_at": first, "last_at": last, "window": window } })
            }
            Measure::Sum { property, .. } => {
                let worth = |done: &&Done| match &done.what {
                    Did::Order(_, minor) => *minor as f64 / 100.0,
                    Did::Track(_, properties) | Did::Visit(properties) => properties.get(property).map_or(0.0, amount),
                    Did::Page(_) | Did::Identify | Did::Group => 0.0,
                };
                let sum: f64 = meant.iter().map(worth).sum();
                json!({ "sum": { "sum": sum, "count": meant.len(), "last_at": last, "window": window } })
            }
            Measure::First(_) => json!({ "time": { "at": first, "window": window } }),
            Measure::Last(_) => json!({ "time": { "at": last, "window": window } }),
        }
    }

    /// All ways through the steps; of those that count, the one that ends last and, of these, begins last.
    fn sequence(&self, sequence: &SequenceClause, holds: bool) -> Value {
        let (from, to) = self.window(sequence.window).unwrap_or((0, self.as_of));
        let did = &self.someone.did;
        let is_inside = |place: usize| did[place].at >= from && did[place].at <= to;
        let places = |of| (0..did.len()).filter(move |place| is_inside(*place) && is_meant(of, &did[*place]));
        // The place of the latest step, with the latest beginning of a way to it.
        let mut ways: BTreeMap<usize, u32> = places(&sequence.first).map(|place| (place, did[place].at)).collect();
        for step in &sequence.then {
            let mut further: BTreeMap<usize, u32> = BTreeMap::new();
            for place in places(&step.of) {
                let comes = ways.range(..place).filter(|(before, _)| {
                    let between = &did[**before + 1..place];
                    let in_time = step.within.is_none_or(|span| did[place].at - did[**before].at <= span.seconds());
                    in_time && !step.without.iter().any(|spoils| between.iter().any(|done| is_meant(spoils, done)))
                });
                if let Some(began) = comes.map(|(_, began)| *began).max() {
                    further.insert(place, began);
                }
            }
            ways = further;
        }
        let counts = ways.iter().rev().find(|(place, _)| match &sequence.never {
            None => true,
            Some(never) => {
                let until = did[**place].at.saturating_add(never.within.seconds());
                let mut after = did[**place + 1..].iter().take_while(|done| done.at <= until.min(self.as_of));
                until < self.as_of && !after.any(|done| is_meant(&never.of, done))
            }
        });
        assert_eq!(counts.is_some(), holds, "two naive readings of {sequence:?}");
        json!({ "sequence": {
            "count": ways.len(),
            "began_at": counts.map(|(_, began)| *began),
            "completed_at": counts.map(|(place, _)| did[*place].at),
            "window": self.window(sequence.window).map(|(from, to)| json!({ "from": from, "to": to })),
        } })
    }
}

/// What a property adds to a sum.
fn amount(value: &Value) -> f64 {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite()).unwrap_or(0.0)
}

/// Whether two values are the same; numbers to a billionth, since they were added up in different ways.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap_or(f64::NAN), other.as_f64().unwrap_or(f64::NAN));
            (one - other).abs() <= 1e-6_f64.max(1e-9 * one.abs())
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| same(value, other)))
        }
        (one, other) => one == other,
    }
}

/// The named kinds of a rule's clauses, for counting what was met.
pub(crate) fn kinds(clause: &Clause, found: &mut BTreeMap<&'static str, usize>) {
    let kind = match clause {
        Clause::All(parts) | Clause::Any(parts) => {
            parts.iter().for_each(|part| kinds(part, found));
            if matches!(clause, Clause::All(_)) { "all" } else { "any" }
        }
        Clause::Not(part) => {
            kinds(part, found);
            "not"
        }
        Clause::Event(event) => match (&event.is, &event.of.what) {
            (Measure::Count(_), _) => "count",
            (Measure::Sum { .. }, WhatHappened::Order) => "total",
            (Measure::Sum { .. }, _) => "sum",
            (Measure::First(_), _) => "first",
            (Measure::Last(_), _) => "last",
        },
        Clause::Sequence(sequence) if sequence.never.is_some() => "sequence and never",
        Clause::Sequence(_) => "sequence",
        Clause::Trait(_) => "trait",
        Clause::Fact(_) => "fact",
        Clause::Segment(_) => "segment",
        Clause::Bucket(_) => "bucket",
    };
    *found.entry(kind).or_default() += 1;
}
