//! What a computed trait comes to.

use super::{NEVER, Source, Stream, bounds, leaves, to_a_millionth};
use crate::segment::rule::computed::Taken;
use crate::segment::rule::plan::{ComputedNode, ComputedPlan, Frame, From, Taking, ValueId};
use crate::segment::rule::{Person, Scalar};

/// A value as it is found, without a copy of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::segment::rule) enum Held {
    Nothing,
    Number(f64),
    Value(ValueId),
}

/// What was found, with the second at which it may be another.
#[derive(Clone, Copy, Debug)]
pub(in crate::segment::rule) struct Found {
    pub(in crate::segment::rule) held: Held,
    pub(super) changes: u64,
    pub(in crate::segment::rule) events: u32,
    first_at: Option<u32>,
    pub(super) last_at: Option<u32>,
}

/// An event that has a value: when it was, and what it says.
#[derive(Clone, Copy)]
struct Worth {
    at: u32,
    /// Equal for equal values.
    same: i64,
    id: ValueId,
    number: Option<f64>,
    minor: i64,
}

impl ComputedPlan {
    /// Answers for one person, `as_of` a second since 1970. What happened later is not seen, and of somebody who was not
    /// there yet nothing is known.
    ///
    /// The plan must have been refreshed since the vocabulary learnt the person's words. Telling different values apart
    /// takes memory for as long as it lasts, everything else takes none.
    pub fn evaluate(&self, person: &Person<'_>, as_of: u32) -> Taken {
        let arrives = person.first_seen().filter(|first| *first > as_of);
        if arrives.is_some() || person.at.is_empty() {
            return Taken { value: None, changes_at: arrives, events: 0, first_at: None, last_at: None };
        }
        let found = self.found(person, as_of);
        let changes = found.changes.min(person.next_after(as_of).map_or(NEVER, u64::from));
        debug_assert!(changes > u64::from(as_of));
        Taken {
            value: self.scalar_held(found.held),
            changes_at: u32::try_from(changes).ok(),
            events: found.events,
            first_at: found.first_at,
            last_at: found.last_at,
        }
    }

    /// The value itself.
    pub(in crate::segment::rule) fn scalar_held(&self, held: Held) -> Option<Scalar> {
        match held {
            Held::Nothing => None,
            Held::Number(number) => Some(Scalar::Number(number)),
            Held::Value(id) => self.scalar(id).cloned(),
        }
    }

    pub(in crate::segment::rule) fn found(&self, person: &Person<'_>, as_of: u32) -> Found {
        if self.of.is_order() { self.take(person.orders, as_of) } else { self.take(Stream::of(person), as_of) }
    }

    fn take<S: Source>(&self, source: S, as_of: u32) -> Found {
        let (from, behind) = bounds(self.window, as_of);
        let end = source.place_of(behind);
        let start = source.part(0..end).place_of(from);
        let seen = source.part(start..end);
        let mut found = match self.taking {
            Taking::MostFrequent | Taking::Distinct => self.told_apart(seen),
            Taking::Count
            | Taking::Sum
            | Taking::Average
            | Taking::Smallest
            | Taking::Largest
            | Taking::First
            | Taking::Last => self.added_up(seen),
        };
        if let Frame::Ago(_, to) = self.window {
            let later = source.part(end..source.len());
            if let Some(entering) = later.meant(&self.of).next() {
                found.changes = found.changes.min(u64::from(later.at(entering)) + u64::from(to));
            }
        }
        found
    }

    /// The events that have what is taken, the earliest first.
    fn worths<S: Source>(&self, seen: S) -> impl Iterator<Item = Worth> {
        let needs_number = matches!(self.taking, Taking::Sum | Taking::Average | Taking::Smallest | Taking::Largest);
        seen.meant(&self.of).filter_map(move |place| {
            let at = seen.at(place);
            let worth = match self.from {
                From::Nothing => Worth { at, same: 0, id: 0, number: None, minor: 0 },
                From::Total { minor_in_major } => {
                    let minor = seen.minor(place);
                    Worth { at, same: minor, id: 0, number: Some(minor as f64 / minor_in_major), minor }
                }
                From::Record(_) | From::Page => {
                    let id = self.id(seen.what(place), seen.record(place));
                    let number = self.number(id);
                    (id != 0).then_some(Worth { at, same: id.into(), id, number, minor: 0 })?
                }
            };
            (!needs_number || worth.number.is_some()).then_some(worth)
        })
    }

    fn held(&self, worth: Worth) -> Held {
        match (self.from, worth.number) {
            (From::Nothing, _) => Held::Nothing,
            (From::Total { .. }, Some(number)) => Held::Number(number),
            (From::Total { .. }, None) => Held::Nothing,
            (From::Record(_) | From::Page, _) => Held::Value(worth.id),
        }
    }

    /// Whatever one pass finds.
    fn added_up<S: Source>(&self, seen: S) -> Found {
        let (mut events, mut sum, mut minor) = (0_u32, 0.0, 0_i128);
        let (mut first, mut last): (Option<Worth>, Option<Worth>) = (None, None);
        // The last event with the most extreme number so far: the number stays until that one leaves.
        let mut extreme: Option<(f64, u32)> = None;
        for worth in self.worths(seen) {
            let number = worth.number.unwrap_or(0.0);
            events = events.saturating_add(1);
            sum += number;
            minor += i128::from(worth.minor);
            first = first.or(Some(worth));
            last = Some(worth);
            let stays = extreme.is_some_and(|(known, _)| match self.taking {
                Taking::Smallest => known < number,
                _ => known > number,
            });
            if !stays {
                extreme = Some((number, worth.at));
            }
        }
        if let From::Total { minor_in_major } = self.from {
            sum = minor as f64 / minor_in_major;
        }
        let held = match self.taking {
            Taking::Count => Held::Number(f64::from(events)),
            Taking::Sum => finite(to_a_millionth(sum)),
            Taking::Average if events > 0 => finite(to_a_millionth(sum / f64::from(events))),
            Taking::Smallest | Taking::Largest => extreme.map_or(Held::Nothing, |(number, _)| Held::Number(number)),
            Taking::First => first.map_or(Held::Nothing, |worth| self.held(worth)),
            Taking::Last => last.map_or(Held::Nothing, |worth| self.held(worth)),
            Taking::Average | Taking::MostFrequent | Taking::Distinct => Held::Nothing,
        };
        let leaving = match self.taking {
            Taking::Last => last.map(|worth| worth.at),
            Taking::Smallest | Taking::Largest => extreme.map(|(_, at)| at),
            _ => first.map(|worth| worth.at),
        };
        Found {
            held: positive_zero(held),
            changes: leaving.map_or(NEVER, |at| leaves(self.window, at)),
            events,
            first_at: first.map(|worth| worth.at),
            last_at: last.map(|worth| worth.at),
        }
    }

    /// What has to tell different values apart.
    fn told_apart<S: Source>(&self, seen: S) -> Found {
        let mut all: Vec<(i64, u32, Worth)> =
            (0..).zip(self.worths(seen)).map(|(place, worth)| (worth.same, place, worth)).collect();
        let (first_at, last_at) = (all.first().map(|one| one.2.at), all.last().map(|one| one.2.at));
        let events = u32::try_from(all.len()).unwrap_or(u32::MAX);
        all.sort_unstable_by_key(|(same, place, _)| (*same, *place));
        let groups =
            all.chunk_by(|one, other| one.0 == other.0).filter_map(|group| Some((group.len(), *group.last()?)));
        let (held, leaving) = match self.taking {
            Taking::MostFrequent => {
                let most = groups.max_by_key(|(count, (_, place, _))| (*count, *place));
                (most.map_or(Held::Nothing, |(_, (.., worth))| self.held(worth)), first_at)
            }
            _ => {
                let mut count = 0_u32;
                // A value is gone when the last event that has it leaves.
                let soonest = groups.inspect(|_| count += 1).map(|(_, (.., worth))| worth.at).min();
                (Held::Number(f64::from(count)), soonest)
            }
        };
        let changes = leaving.map_or(NEVER, |at| leaves(self.window, at));
        Found { held, changes, events, first_at, last_at }
    }
}

/// There are two zeros, and only one is written.
fn positive_zero(held: Held) -> Held {
    match held {
        Held::Number(number) => Held::Number(number + 0.0),
        Held::Nothing | Held::Value(_) => held,
    }
}

impl ComputedNode {
    /// Whether the test holds of what was found.
    pub(super) fn holds(&self, held: Held) -> bool {
        match held {
            Held::Nothing => self.holds_of_nothing(),
            Held::Number(number) => self.holds_of_number(number),
            Held::Value(id) => self.holds_of(id),
        }
    }
}

/// Numbers that add up to more than there is a number for come to a very large one: anybody can send them, and what is
/// kept has to be a number, which readers of JSON can read.
fn finite(number: f64) -> Held {
    const LARGEST: f64 = 1e300;
    if number.is_nan() { Held::Nothing } else { Held::Number(number.clamp(-LARGEST, LARGEST)) }
}
