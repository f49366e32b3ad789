//! What is special about a segment's people, what changed, and what to do next.

use super::csv::Table;
use super::{Progress, Site};
use crate::money::Money;
use crate::segment::Cause;
use crate::segment::insight::action::Action;
use crate::segment::insight::flow::Change;
use crate::segment::insight::rate::Interval;
use crate::segment::insight::traits::{Says, Trait};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

/// Why people came into a segment or left it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Why {
    /// The cause; `None` for one that this version does not know.
    pub cause: Option<Cause>,
    /// What they did, where that was it and is known: `ordered`, `viewed shop.example/beans`.
    pub did: Option<String>,
}

impl Why {
    /// The same for people, `they ordered`, `time has passed`.
    pub fn words(&self) -> String {
        match (&self.did, self.cause) {
            (Some(did), _) => format!("they {did}"),
            (None, Some(Cause::Event)) => "they did something".to_owned(),
            (None, Some(cause)) => cause.words().to_owned(),
            (None, None) => "another reason".to_owned(),
        }
    }
}

/// A segment that people left at the moment at which they came, or came into at the moment at which they left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Passage {
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// How often that happened.
    pub moves: u64,
}

/// What a segment's people have ordered in a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MonthOfRevenue {
    /// The month's first day.
    pub month: Date,
    /// Their orders.
    pub orders: u64,
    /// Their revenue in the site's currency.
    pub revenue: Money,
    /// The revenue of everybody.
    pub everybody: Money,
}

/// An action and whom it suits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Suggested {
    /// What to do.
    pub action: Action,
    /// Members whose next best action it is.
    pub people: u64,
}

/// What was in memory when the question was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InMemory {
    /// Everybody, with all they did.
    Whole,
    /// Everybody; page views and named events from this day on.
    Since(Date),
    /// Some words found no room.
    Crowded,
}

/// What can only be asked of everybody at once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// All values that were compared; see [`compare`](crate::segment::insight::traits::compare).
    pub traits: Vec<Trait>,
    /// Month by month, the last one is the present one.
    pub months: Vec<MonthOfRevenue>,
    /// The commonest first.
    pub actions: Vec<Suggested>,
    /// Members who have neither signed up nor ordered: nothing is known that suggests an action.
    pub unknown: u64,
    /// How much was looked at.
    pub memory: InMemory,
    /// Products are not there yet; they are being read.
    pub products_follow: bool,
    /// What people say of themselves took too long to count.
    pub lacks_traits: bool,
}

/// What is special about a segment's people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentInsight {
    /// The site.
    #[serde(skip)]
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// The segment's key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Everybody with a profile.
    pub population: u64,
    /// The day from whose end on changes are told: a month ago, or the day on which the segment was made.
    pub since: Date,
    /// The segment is younger than a month.
    pub is_new: bool,
    /// What the change in size is made of. Everybody counts once: who came and left again is not in it.
    pub change: Change<Why>,
    /// Segments that people left when they came, the commonest first.
    pub from: Vec<Passage>,
    /// Segments that people came into when they left, the commonest first.
    pub into: Vec<Passage>,
    /// `Err` while the site is being read into memory; `None` of progress where this process keeps nobody there.
    #[serde(serialize_with = "told")]
    pub compared: Result<Compared, Option<Progress>>,
}

fn told<S: serde::Serializer>(compared: &Result<Compared, Option<Progress>>, to: S) -> Result<S::Ok, S::Error> {
    compared.as_ref().ok().serialize(to)
}

impl SegmentInsight {
    /// Members now.
    pub fn size(&self) -> u64 {
        self.change.after
    }

    /// What changed, in one to three sentences.
    pub fn told(&self) -> String {
        let Change { before, after, entered, left } = &self.change;
        let people = |count: u64| if count == 1 { "1 person".to_owned() } else { format!("{count} people") };
        let mut told = match after.cmp(before) {
            _ if entered.people == 0 && left.people == 0 => return "Nobody came and nobody left.".to_owned(),
            std::cmp::Ordering::Equal => "As many as before".to_owned(),
            std::cmp::Ordering::Greater => format!("{} more", people(after - before)),
            std::cmp::Ordering::Less => format!("{} fewer", people(before - after)),
        };
        let some = |count: u64| if count == 0 { "nobody".to_owned() } else { people(count) };
        told.push_str(&format!(": {} came and {} left.", some(entered.people), some(left.people)));
        for (side, verb) in [(entered, "came"), (left, "left")] {
            // A cause that no more than half share is not the reason.
            let most = side.causes.first().filter(|most| most.people * 2 > side.people && side.people > 1);
            if let Some(most) = most {
                let share = if most.people == side.people { "All" } else { "Most" };
                told.push_str(&format!(" {share} who {verb}: {}.", most.cause.words()));
            }
        }
        told
    }

    /// The values compared as CSV.
    pub fn csv(&self) -> String {
        let mut table = Table::with_header(&[
            "segment",
            "dimension",
            "value",
            "inside_with",
            "inside_of",
            "outside_with",
            "outside_of",
            "difference",
            "difference_low",
            "difference_high",
            "ratio",
            "ratio_low",
            "ratio_high",
            "p_value",
            "q_value",
            "says",
        ]);
        for row in self.compared.iter().flat_map(|compared| &compared.traits) {
            let counts = &row.counts;
            table.text(&self.key).text(&counts.dimension).text(&counts.value);
            table.count(counts.inside.with()).count(counts.inside.of());
            table.count(counts.outside.with()).count(counts.outside.of());
            let limits = |interval: Interval| [interval.estimate, interval.low, interval.high];
            // Nobody has it: there is no ratio.
            let ratio = row.index.map_or([f64::NAN; 3], limits);
            for value in limits(row.difference).into_iter().chain(ratio).chain([row.p_value, row.q_value]) {
                table.number(value);
            }
            table
                .text(match row.says {
                    Says::More => "more",
                    Says::Less => "less",
                    Says::NoDifference => "no difference",
                    Says::TooFew => "too few",
                })
                .end();
        }
        table.into_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::insight::flow::{self, Side};
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    fn side(causes: &[(Option<&str>, Cause, u64)]) -> Side<Why> {
        let causes: Vec<_> = causes
            .iter()
            .map(|(did, cause, people)| flow::Cause {
                cause: Why { cause: Some(*cause), did: did.map(str::to_owned) },
                people: *people,
            })
            .collect();
        Side { people: causes.iter().map(|cause| cause.people).sum(), causes, other: 0 }
    }

    fn insight(before: u64, after: u64, entered: Side<Why>, left: Side<Why>) -> SegmentInsight {
        SegmentInsight {
            site: Site { id: 1, name: "Shop".to_owned(), currency: "EUR".parse().unwrap(), time_zone: TimeZone::UTC },
            now: Timestamp::UNIX_EPOCH,
            key: "loyal".to_owned(),
            name: "Loyal".to_owned(),
            population: 1_000,
            since: date(2026, 10, 26),
            is_new: false,
            change: Change { before, after, entered, left },
            from: Vec::new(),
            into: Vec::new(),
            compared: Err(None),
        }
    }

    #[test]
    fn a_change_is_told_with_the_reason_that_most_share() {
        let told = |before, after, entered: &[_], left: &[_]| insight(before, after, side(entered), side(left)).told();
        assert_eq!(told(4, 4, &[], &[]), "Nobody came and nobody left.");
        assert_eq!(
            told(10, 15, &[(Some("ordered"), Cause::Event, 6), (None, Cause::Model, 1)], &[(None, Cause::Time, 2)]),
            "5 people more: 7 people came and 2 people left. Most who came: they ordered. All who left: time has passed."
        );
        assert_eq!(told(10, 9, &[], &[(None, Cause::Time, 1)]), "1 person fewer: nobody came and 1 person left.");
        assert_eq!(
            told(
                10,
                10,
                &[(None, Cause::Event, 1), (None, Cause::Time, 1)],
                &[(None, Cause::Time, 1), (None, Cause::List, 1)]
            ),
            "As many as before: 2 people came and 2 people left."
        );
    }
}
