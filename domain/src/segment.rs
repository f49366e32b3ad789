//! Segments that need no rule: value (RFM) and lifecycle, for any day, each membership with its reason.

mod cause;
pub mod cluster;
pub mod insight;
pub mod library;
pub mod lifecycle;
pub mod predict;
pub mod rfm;
pub mod rule;
mod survey;

pub use cause::Cause;
pub use survey::{Settings, Survey, site_values};

use crate::event::ProfileId;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lifecycle::{Limits, Standing};
use rfm::{Cell, Group, Scales, Scores};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A person as the segments need to know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Who it is.
    pub profile_id: ProfileId,
    /// When the person was first seen; an order before it moves it there.
    pub first_seen: Timestamp,
    /// Whether a user id or an e-mail is known. Without either, somebody who never bought is in no segment here.
    pub signed_up: bool,
    /// Counted orders by time, the earliest first.
    pub purchases: Vec<Purchase>,
}

/// One counted order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// When it was placed.
    pub at: Timestamp,
    /// Its total in the site's currency, minor units; 0 where it has none in that currency.
    pub minor: i64,
}

/// The name of a segment, `rfm-champions`, `rfm-r5f5` or `lifecycle-repeats-at-risk`: part of addresses and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SegmentKey {
    /// A named group of the RFM grid.
    Rfm(Group),
    /// One cell of the RFM grid.
    RfmCell(Cell),
    /// One cell of the lifecycle grid.
    Lifecycle(Standing),
}

impl SegmentKey {
    /// All segments: the 10 named groups, the 12 cells of the lifecycle grid, the 25 cells of the RFM grid.
    pub fn all() -> impl Iterator<Item = SegmentKey> {
        let groups = Group::ALL.into_iter().map(SegmentKey::Rfm);
        let standings = Standing::all().map(SegmentKey::Lifecycle);
        let cells = Cell::all().map(SegmentKey::RfmCell);
        groups.chain(standings).chain(cells)
    }
}

impl fmt::Display for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SegmentKey::Rfm(group) => write!(f, "rfm-{}", group.key()),
            SegmentKey::RfmCell(cell) => write!(f, "rfm-r{}f{}", cell.recency(), cell.frequency()),
            SegmentKey::Lifecycle(standing) => {
                write!(f, "lifecycle-{}-{}", standing.buyers.key(), standing.stage.key())
            }
        }
    }
}

/// A text that names no segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no segment is called {0:?}; the list of segments has all keys")]
pub struct UnknownSegment(pub String);

impl FromStr for SegmentKey {
    type Err = UnknownSegment;

    fn from_str(text: &str) -> Result<SegmentKey, UnknownSegment> {
        SegmentKey::all().find(|key| key.to_string() == text).ok_or_else(|| UnknownSegment(text.to_owned()))
    }
}

impl TryFrom<String> for SegmentKey {
    type Error = UnknownSegment;

    fn try_from(text: String) -> Result<SegmentKey, UnknownSegment> {
        text.parse()
    }
}

impl From<SegmentKey> for String {
    fn from(key: SegmentKey) -> String {
        key.to_string()
    }
}

/// What a segment is, for lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Definition {
    /// The segment.
    pub key: SegmentKey,
    /// Its name for people.
    pub name: String,
    /// One sentence on who is in it.
    pub description: String,
    /// One sentence on what to do with them.
    pub action: &'static str,
}

/// What the segment of that key is.
pub fn definition(key: SegmentKey) -> Definition {
    let action = match key {
        SegmentKey::Rfm(group) => group.action(),
        SegmentKey::RfmCell(cell) => cell.group().action(),
        SegmentKey::Lifecycle(standing) => standing.action(),
    };
    let (name, description) = match key {
        SegmentKey::Rfm(group) => (group.name().to_owned(), group.description().to_owned()),
        SegmentKey::RfmCell(cell) => (
            format!("R{} F{}", cell.recency(), cell.frequency()),
            format!(
                "Recency score {} and frequency score {} of 5; part of {}.",
                cell.recency(),
                cell.frequency(),
                cell.group().name()
            ),
        ),
        SegmentKey::Lifecycle(standing) => (
            format!("{}, {}", standing.buyers.name(), standing.stage.name().to_lowercase()),
            format!("{} {}", standing.buyers.description(), standing.stage.description()),
        ),
    };
    Definition { key, name, description, action }
}

/// One person's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// Who it is.
    pub profile_id: ProfileId,
    /// Scores of a person who has bought.
    pub rfm: Option<Scores>,
    /// Lifecycle of a person who has bought or signed up.
    pub lifecycle: Standing,
    orders: u32,
    idle_days: u32,
}

/// That a person is in a segment, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Membership {
    /// The segment.
    pub key: SegmentKey,
    /// The reason, one sentence.
    pub because: String,
}

/// All people of a site in their segments as of the end of one day.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentBook {
    day: Date,
    people: Vec<Assigned>,
    scales: Scales,
    limits: [Limits; 4],
    grid: [[usize; 5]; 5],
    standings: [[usize; 3]; 4],
}

/// Puts every person into their segments as of a day that ends at `as_of_end` (exclusive) in the site's time zone, by
/// limits and scores of that day's people; see [`Survey`] for a site with limits or cuts of its own.
///
/// Only what was there then is looked at: orders before `as_of_end`, people first seen before it. Whether somebody
/// had signed up is taken as it is known now. Takes one pass and three sorts; a million people take a fifth of a second.
pub fn assign(customers: &[Customer], as_of_end: Timestamp, time_zone: &TimeZone) -> SegmentBook {
    Survey::of(customers, as_of_end, time_zone).book(&Settings::default())
}

/// The day's number in that time zone, counted from 1970-01-01.
fn day_number(at: Timestamp, time_zone: &TimeZone) -> i64 {
    let second = at.as_second() - i64::from(at.subsec_nanosecond() < 0);
    (second + i64::from(time_zone.to_offset(at).seconds())).div_euclid(86_400)
}

fn date_of(day: i64) -> Date {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch.saturating_add(SignedDuration::from_hours(day.saturating_mul(24)))
}

impl SegmentBook {
    /// The day at whose end this was so.
    pub fn day(&self) -> Date {
        self.day
    }

    /// Everybody who has bought or signed up, by profile id.
    pub fn people(&self) -> &[Assigned] {
        &self.people
    }

    /// How many people are in the segment.
    pub fn size(&self, key: SegmentKey) -> usize {
        match key {
            SegmentKey::Rfm(group) => {
                Cell::all().filter(|cell| cell.group() == group).map(|cell| self.size(SegmentKey::RfmCell(cell))).sum()
            }
            SegmentKey::RfmCell(cell) => self.grid[usize::from(cell.recency()) - 1][usize::from(cell.frequency()) - 1],
            SegmentKey::Lifecycle(standing) => self.standings[standing.buyers as usize][standing.stage as usize],
        }
    }

    /// The members of a segment, by profile id.
    pub fn members(&self, key: SegmentKey) -> impl Iterator<Item = ProfileId> {
        self.people.iter().filter(move |person| person.is_in(key)).map(|person| person.profile_id)
    }

    /// A person's place; `None` for somebody who was in no segment then.
    pub fn person(&self, profile_id: ProfileId) -> Option<&Assigned> {
        let at = self.people.binary_search_by_key(&profile_id, |person| person.profile_id).ok()?;
        self.people.get(at)
    }

    /// The segments of a person, each with its reason.
    pub fn segments_of(&self, profile_id: ProfileId) -> Vec<Membership> {
        let Some(person) = self.person(profile_id) else { return Vec::new() };
        let limits = &self.limits[person.lifecycle.buyers as usize];
        let mut segments = Vec::with_capacity(3);
        if let Some(scores) = person.rfm {
            let because = self.scales.because(&scores, person.idle_days, person.orders);
            let cell = scores.cell();
            segments.push(Membership { key: SegmentKey::Rfm(cell.group()), because: because.clone() });
            segments.push(Membership { key: SegmentKey::RfmCell(cell), because });
        }
        let because = lifecycle::because(limits, person.orders, person.idle_days);
        segments.push(Membership { key: SegmentKey::Lifecycle(person.lifecycle), because });
        segments
    }

    /// How many people are in each cell: `grid[r - 1][f - 1]`.
    pub fn grid(&self) -> &[[usize; 5]; 5] {
        &self.grid
    }

    /// The values behind the RFM scores of that day.
    pub fn scales(&self) -> &Scales {
        &self.scales
    }

    /// The limits between the lifecycle's stages of that day, by number of orders.
    pub fn limits(&self) -> &[Limits; 4] {
        &self.limits
    }
}

impl Assigned {
    /// Whether the person is in that segment.
    pub fn is_in(&self, key: SegmentKey) -> bool {
        match key {
            SegmentKey::Rfm(group) => self.rfm.is_some_and(|scores| scores.cell().group() == group),
            SegmentKey::RfmCell(cell) => self.rfm.is_some_and(|scores| scores.cell() == cell),
            SegmentKey::Lifecycle(standing) => self.lifecycle == standing,
        }
    }

    /// Counted orders until that day.
    pub fn orders(&self) -> u32 {
        self.orders
    }

    /// Days since the last order, or since the person was first seen where there is none.
    pub fn idle_days(&self) -> u32 {
        self.idle_days
    }
}

#[cfg(test)]
mod tests;
