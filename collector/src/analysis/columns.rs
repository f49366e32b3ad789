//! A site's people in memory: shards of columns that never change, each with an overlay of those who changed since.
//!
//! A [`Columns`] is one moment. A refresh makes the next one, which shares every shard that it did not touch; whoever is
//! asking goes on with the moment it began with.

use domain::event::ProfileId;
use domain::segment::rule::{Person, PersonRow, PlacedAt, Scores, Vocabulary, What, second};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

/// People of one shard, about: small enough to be made anew in milliseconds, large enough that columns are long.
const SHARD_PEOPLE: usize = 4_096;
const MAX_SHARDS: usize = 1_024;
/// An overlay is merged into its shard when it holds more than one part in so many of the shard's events.
const OVERLAY_SHARE: usize = 32;
/// Below so many events an overlay is not worth merging.
const OVERLAY_EVENTS: usize = 4_096;

/// What of a person no rule reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// A profile; otherwise a measured visitor of one day.
    pub(crate) is_profile: bool,
    /// When the first event of any kind happened, also one that has left; in seconds since 1970.
    pub(crate) first: u32,
    /// The last one.
    pub(crate) last: u32,
}

/// A person as read anew.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) row: PersonRow,
    pub(crate) seen: Seen,
}

/// People in columns, by profile id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Base {
    pub(super) profile_id: Vec<i64>,
    pub(super) flags: Vec<u8>,
    pub(super) first_seen: Vec<u32>,
    pub(super) last_seen: Vec<u32>,
    pub(super) scores: Vec<Scores>,
    /// Where each person's events begin; one more than people.
    pub(super) events_from: Vec<u32>,
    /// Where each person's orders begin.
    pub(super) orders_from: Vec<u32>,
    /// So many values per person.
    pub(super) traits_each: usize,
    pub(super) traits: Vec<u32>,
    pub(super) at: Vec<u32>,
    pub(super) what: Vec<What>,
    pub(super) record: Vec<u32>,
    pub(super) orders: Vec<PlacedAt>,
}

// A person without events, orders and traits has 49 bytes in these columns, half of them what models say.
const _: () = assert!(size_of::<Scores>() == 24);

pub(super) const SIGNED_UP: u8 = 1;
pub(super) const PROFILE: u8 = 2;

impl Base {
    pub(super) fn with_room(people: usize, events: usize, orders: usize, traits_each: usize) -> Base {
        let mut base = Base {
            profile_id: Vec::with_capacity(people),
            flags: Vec::with_capacity(people),
            first_seen: Vec::with_capacity(people),
            last_seen: Vec::with_capacity(people),
            scores: Vec::with_capacity(people),
            events_from: Vec::with_capacity(people + 1),
            orders_from: Vec::with_capacity(people + 1),
            traits_each,
            traits: Vec::with_capacity(people * traits_each),
            at: Vec::with_capacity(events),
            what: Vec::with_capacity(events),
            record: Vec::with_capacity(events),
            orders: Vec::with_capacity(orders),
        };
        base.events_from.push(0);
        base.orders_from.push(0);
        base
    }

    /// Adds a person; they come in the order of their ids.
    pub(super) fn push(&mut self, person: &Person<'_>, seen: Seen) {
        self.at.extend_from_slice(person.at);
        self.what.extend_from_slice(person.what);
        self.record.extend_from_slice(person.record);
        self.orders.extend_from_slice(person.orders);
        self.close(person.profile_id.0, person.signed_up, seen, person.scores, person.traits);
    }

    /// Makes what was added to the event and order columns since the last person the next person's.
    pub(super) fn close(&mut self, profile_id: i64, signed_up: bool, seen: Seen, scores: Scores, traits: &[u32]) {
        self.profile_id.push(profile_id);
        self.flags.push(u8::from(signed_up) * SIGNED_UP + u8::from(seen.is_profile) * PROFILE);
        self.first_seen.push(seen.first);
        self.last_seen.push(seen.last);
        self.scores.push(scores);
        self.traits.extend((0..self.traits_each).map(|slot| traits.get(slot).copied().unwrap_or(0)));
        // A shard holds some thousand people; a person with a billion events would have filled the machine before.
        self.events_from.push(u32::try_from(self.at.len()).unwrap_or(u32::MAX));
        self.orders_from.push(u32::try_from(self.orders.len()).unwrap_or(u32::MAX));
    }

    pub(super) fn people(&self) -> usize {
        self.profile_id.len()
    }

    fn place(&self, profile_id: i64) -> Option<usize> {
        self.profile_id.binary_search(&profile_id).ok()
    }

    #[inline]
    fn person(&self, place: usize) -> (Person<'_>, Seen) {
        let events = self.events_from[place] as usize..self.events_from[place + 1] as usize;
        let orders = self.orders_from[place] as usize..self.orders_from[place + 1] as usize;
        let flags = self.flags[place];
        let person = Person {
            profile_id: ProfileId(self.profile_id[place]),
            signed_up: flags & SIGNED_UP != 0,
            at: &self.at[events.clone()],
            what: &self.what[events.clone()],
            record: &self.record[events],
            orders: &self.orders[orders],
            traits: &self.traits[place * self.traits_each..(place + 1) * self.traits_each],
            scores: self.scores[place],
            segments: &[],
        };
        let seen =
            Seen { is_profile: flags & PROFILE != 0, first: self.first_seen[place], last: self.last_seen[place] };
        (person, seen)
    }

    fn bytes(&self) -> usize {
        self.profile_id.capacity() * 8
            + self.flags.capacity()
            + (self.first_seen.capacity() + self.last_seen.capacity()) * 4
            + (self.events_from.capacity() + self.orders_from.capacity() + self.traits.capacity()) * 4
            + self.scores.capacity() * size_of::<Scores>()
            + (self.at.capacity() + self.what.capacity() + self.record.capacity()) * 4
            + self.orders.capacity() * size_of::<PlacedAt>()
    }
}

/// Some people, and those of them who changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shard {
    pub(super) base: Arc<Base>,
    /// People as they are now, `None` for those who are gone; they stand before the base.
    overlay: BTreeMap<i64, Option<Arc<Row>>>,
    overlay_events: usize,
}

impl Shard {
    pub(super) fn of(base: Base) -> Shard {
        Shard { base: Arc::new(base), overlay: BTreeMap::new(), overlay_events: 0 }
    }

    /// Calls `each` for every person, in the order of their ids.
    #[inline]
    pub(crate) fn each(&self, mut each: impl FnMut(&Person<'_>, Seen)) {
        let base = &*self.base;
        if self.overlay.is_empty() {
            for place in 0..base.people() {
                let (person, seen) = base.person(place);
                each(&person, seen);
            }
            return;
        }
        let mut changed = self.overlay.iter().peekable();
        for place in 0..base.people() {
            let id = base.profile_id[place];
            while let Some((_, row)) = changed.next_if(|(changed, _)| **changed < id) {
                row.iter().for_each(|row| each(&row.row.as_person(&[]), row.seen));
            }
            match changed.next_if(|(changed, _)| **changed == id) {
                Some((_, row)) => row.iter().for_each(|row| each(&row.row.as_person(&[]), row.seen)),
                None => {
                    let (person, seen) = base.person(place);
                    each(&person, seen);
                }
            }
        }
        for (_, row) in changed {
            row.iter().for_each(|row| each(&row.row.as_person(&[]), row.seen));
        }
    }

    fn find<T>(&self, profile_id: i64, found: impl FnOnce(&Person<'_>, Seen) -> T) -> Option<T> {
        match self.overlay.get(&profile_id) {
            Some(row) => row.as_ref().map(|row| found(&row.row.as_person(&[]), row.seen)),
            None => self.base.place(profile_id).map(|place| {
                let (person, seen) = self.base.person(place);
                found(&person, seen)
            }),
        }
    }

    fn put(&mut self, profile_id: i64, mut row: Option<Row>) {
        if let Some(row) = &mut row {
            // What models say stays until they say something else.
            row.row.scores = self.find(profile_id, |person, _| person.scores).unwrap_or(Scores::NONE);
        }
        if row.is_none() && self.base.place(profile_id).is_none() {
            self.overlay.remove(&profile_id);
            return;
        }
        self.overlay_events += row.as_ref().map_or(1, |row| row.row.at.len());
        self.overlay.insert(profile_id, row.map(Arc::new));
        if self.overlay_events > OVERLAY_EVENTS.max(self.base.at.len() / OVERLAY_SHARE) {
            self.merge(0);
        }
    }

    /// One run of columns again; detail before a second is left out.
    pub(super) fn merge(&mut self, from: u32) {
        if self.overlay.is_empty() && from == 0 {
            return;
        }
        let (mut people, mut events, mut orders) = (0, 0, 0);
        self.each(|person, _| {
            people += 1;
            events += person.at.len();
            orders += person.orders.len();
        });
        let mut base = Base::with_room(people, events, orders, self.base.traits_each);
        self.each(|person, seen| {
            if person.at.first().is_none_or(|first| *first >= from) {
                base.push(person, seen);
                return;
            }
            for ((at, what), record) in person.at.iter().zip(person.what).zip(person.record) {
                if *at >= from || matches!(*what, What::VISIT | What::ORDER) {
                    base.at.push(*at);
                    base.what.push(*what);
                    base.record.push(*record);
                }
            }
            base.orders.extend_from_slice(person.orders);
            base.close(person.profile_id.0, person.signed_up, seen, person.scores, person.traits);
        });
        if from > 0 {
            base.at.shrink_to_fit();
            base.what.shrink_to_fit();
            base.record.shrink_to_fit();
        }
        *self = Shard::of(base);
    }

    fn score(&mut self, scores: &HashMap<ProfileId, Scores>) {
        self.merge(0);
        let of = |id: &i64| scores.get(&ProfileId(*id)).copied().unwrap_or(Scores::NONE);
        let base = Arc::make_mut(&mut self.base);
        base.scores = base.profile_id.iter().map(of).collect();
    }

    fn bytes(&self) -> usize {
        let rows = self.overlay.values().flatten();
        let overlay: usize = rows.map(|row| 240 + row.row.at.len() * 12 + row.row.orders.len() * 16).sum();
        self.base.bytes() + overlay
    }
}

/// A site's people at one moment.
#[derive(Clone)]
pub(crate) struct Columns {
    pub(super) shards: Vec<Arc<Shard>>,
    /// The words of this and of earlier moments; later ones add to it, and nothing ever changes a word's number.
    pub(super) vocabulary: Arc<RwLock<Vocabulary>>,
    /// Detail before this second is not there, only visits and orders.
    pub(super) from: Option<u32>,
}

/// How many shards so many people are spread over.
pub(super) fn shards_for(people: usize) -> usize {
    (people / SHARD_PEOPLE).next_power_of_two().clamp(1, MAX_SHARDS)
}

/// The shard of a person; `shards` is a power of two.
#[inline]
pub(super) fn shard_of(profile_id: i64, shards: usize) -> usize {
    // Fibonacci hashing: neighbours fall far apart (Knuth, TAOCP 3, 6.4).
    let hash = profile_id.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 54) as usize & (shards - 1)
}

impl Columns {
    /// Puts people in the place of what was known of them; `None` are those who are gone.
    pub(super) fn put(&mut self, rows: Vec<(i64, Option<Row>)>) {
        let count = self.shards.len();
        for (profile_id, row) in rows {
            // Only the first change of a shard copies it, and of it only the overlay.
            Arc::make_mut(&mut self.shards[shard_of(profile_id, count)]).put(profile_id, row);
        }
    }

    /// Leaves out detail before a second from now on.
    pub(super) fn forget_before(&mut self, from: u32) {
        for shard in &mut self.shards {
            Arc::make_mut(shard).merge(from);
        }
        self.from = Some(from);
    }

    /// Takes over what models say.
    pub(super) fn score(&mut self, scores: &HashMap<ProfileId, Scores>) {
        if scores.is_empty() && self.scores().is_empty() {
            return;
        }
        for shard in &mut self.shards {
            Arc::make_mut(shard).score(scores);
        }
    }

    /// What models have said, of those of whom they said anything.
    pub(super) fn scores(&self) -> HashMap<ProfileId, Scores> {
        let mut scores = HashMap::new();
        for shard in &self.shards {
            shard.each(|person, _| {
                let known = person.scores;
                if known != Scores::NONE {
                    scores.insert(person.profile_id, known);
                }
            });
        }
        scores
    }

    /// The beginning (UTC) of the month after the oldest one of which there is detail; `None` where there is none.
    pub(super) fn next_month(&self) -> Option<u32> {
        let mut oldest: Option<u32> = None;
        for shard in &self.shards {
            shard.each(|person, _| {
                let detail = person.at.iter().zip(person.what);
                let first = detail.filter(|(_, what)| !matches!(**what, What::VISIT | What::ORDER)).map(|(at, _)| *at);
                oldest = first.min().into_iter().chain(oldest).min();
            });
        }
        let day = Timestamp::from_second(oldest?.into()).ok()?.to_zoned_datetime(TimeZone::UTC).date();
        let next = day.first_of_month().checked_add(1.month()).ok()?.to_zoned_datetime(TimeZone::UTC).ok()?;
        Some(second(next.timestamp()))
    }

    /// Looks at one person.
    pub(crate) fn find<T>(&self, profile_id: i64, found: impl FnOnce(&Person<'_>, Seen) -> T) -> Option<T> {
        self.shards[shard_of(profile_id, self.shards.len())].find(profile_id, found)
    }

    pub(super) fn bytes(&self) -> usize {
        let vocabulary = self.vocabulary.read().unwrap_or_else(|poisoned| poisoned.into_inner()).bytes();
        self.shards.iter().map(|shard| shard.bytes()).sum::<usize>() + vocabulary
    }

    /// People and events.
    pub(super) fn counts(&self) -> (u64, u64) {
        let mut counts = (0, 0);
        for shard in &self.shards {
            counts.0 += shard.base.people() as u64;
            counts.1 += shard.base.at.len() as u64;
            for (profile_id, row) in &shard.overlay {
                if let Some(place) = shard.base.place(*profile_id) {
                    counts.0 -= 1;
                    counts.1 -= shard.base.person(place).0.at.len() as u64;
                }
                if let Some(row) = row {
                    counts.0 += 1;
                    counts.1 += row.row.at.len() as u64;
                }
            }
        }
        counts
    }
}
