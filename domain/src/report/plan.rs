//! The tracking plan: what named events carry, what they are agreed to carry, and where the two differ.

use super::Site;
use super::csv::Table;
use crate::plan::{Breach, ValueKind};
use jiff::Timestamp;

/// A named event as it was seen, or is planned.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanEventRow {
    /// Its name.
    pub name: String,
    /// How often it was stored in the days of the report.
    pub count: u64,
    /// When it was counted last.
    pub last_at: Option<Timestamp>,
    /// How many properties came with it.
    pub properties: u64,
    /// Something is agreed of it.
    pub is_pinned: bool,
    /// How often a property was not as agreed.
    pub breaches: u64,
}

/// The named events of a site.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// It tells of so many days (UTC), today included.
    pub days: u32,
    /// Events that are not as agreed are not stored.
    pub block: bool,
    /// Events that were kept out for that, in these days.
    pub blocked: u64,
    /// The events, most frequent first.
    pub events: Vec<PlanEventRow>,
    /// Events of further names, beyond those that are told apart in a day.
    pub other: u64,
}

impl Plan {
    /// The rows as CSV.
    pub fn csv(&self) -> String {
        let mut table = Table::with_header(&["event", "count", "properties", "pinned", "violations"]);
        for row in &self.events {
            let pinned = if row.is_pinned { "yes" } else { "no" };
            table.text(&row.name).count(row.count).count(row.properties).text(pinned).count(row.breaches).end();
        }
        table.into_text()
    }
}

/// A property as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenProperty {
    /// Its name.
    pub name: String,
    /// How many events had it, by the kind of its value, most frequent first.
    pub kinds: Vec<(ValueKind, u64)>,
    /// What is agreed of it, in words.
    pub expected: Option<String>,
}

impl SeenProperty {
    /// How many events had it.
    pub fn count(&self) -> u64 {
        self.kinds.iter().map(|(_, count)| count).sum()
    }
}

/// A property that was not as agreed, from one source.
#[derive(Clone, Debug, PartialEq)]
pub struct BreachRow {
    /// The property.
    pub property: String,
    /// How it differed.
    pub breach: Breach,
    /// The key of the source; empty where it is not known.
    pub source: String,
    /// How often.
    pub count: u64,
    /// When it was counted last.
    pub last_at: Timestamp,
    /// A value that was not as agreed; empty where it was missing.
    pub sample: String,
}

/// One named event.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanEvent {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// It tells of so many days (UTC), today included.
    pub days: u32,
    /// Events that are not as agreed are not stored.
    pub block: bool,
    /// Its name.
    pub name: String,
    /// How often it was stored.
    pub count: u64,
    /// Its properties, most frequent first; those that are agreed and were not seen last.
    pub properties: Vec<SeenProperty>,
    /// What is agreed, in lines; `None` where nothing is.
    pub plan: Option<String>,
    /// What could be agreed, from what was seen.
    pub suggested: String,
    /// Where it differed, the most frequent first.
    pub breaches: Vec<BreachRow>,
}
