//! One person as rules see them: compact, borrowed from columns in memory or from a row of its own.

use super::vocabulary::{EMPTY_RECORD, RecordId, Vocabulary, What};
use crate::event::{Detail, Event, ProfileId, TermId};
use crate::history::{Order, Session};
use crate::money::Currency;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// An order that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedAt {
    /// When, in seconds since 1970.
    pub at: u32,
    /// What it is attributed to.
    pub record: RecordId,
    /// What was paid less refunds, in minor units of the site's currency; 0 where that is not known or another currency.
    pub minor: i64,
}

/// What models say of a person; not-a-number where they say nothing, which equals nothing said.
#[derive(Clone, Copy, Debug)]
pub struct Scores {
    /// Probability of still being a customer.
    pub probability_alive: f32,
    /// Orders expected in 90 days.
    pub expected_orders: f32,
    /// Revenue expected in 365 days, in major units of the site's currency.
    pub expected_revenue: f32,
    /// Probability of a visit in 30 days.
    pub probability_of_return: f32,
    /// Probability of signing up in 30 days; nothing counts of those who have.
    pub probability_of_sign_up: f32,
    /// The cluster's number; [`Scores::NO_CLUSTER`] for none.
    pub cluster: u16,
}

impl PartialEq for Scores {
    fn eq(&self, other: &Scores) -> bool {
        let same = |(one, other): (f32, f32)| one == other || one.is_nan() && other.is_nan();
        self.cluster == other.cluster && self.numbers().into_iter().zip(other.numbers()).all(same)
    }
}

impl Scores {
    /// In no cluster.
    pub const NO_CLUSTER: u16 = u16::MAX;
    /// Nothing is known.
    pub const NONE: Scores = Scores {
        probability_alive: f32::NAN,
        expected_orders: f32::NAN,
        expected_revenue: f32::NAN,
        probability_of_return: f32::NAN,
        probability_of_sign_up: f32::NAN,
        cluster: Scores::NO_CLUSTER,
    };

    fn numbers(&self) -> [f32; 5] {
        let Scores {
            probability_alive,
            expected_orders,
            expected_revenue,
            probability_of_return,
            probability_of_sign_up,
            cluster: _,
        } = *self;
        [probability_alive, expected_orders, expected_revenue, probability_of_return, probability_of_sign_up]
    }
}

/// A person as [`super::Plan::evaluate`] reads them. The three event columns have one length and are in time order;
/// times are seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// Who it is.
    pub profile_id: ProfileId,
    /// A user id or an e-mail address is known.
    pub signed_up: bool,
    /// When something happened.
    pub at: &'a [u32],
    /// What it was.
    pub what: &'a [What],
    /// Its properties.
    pub record: &'a [RecordId],
    /// Orders in time order; each is among the events, too.
    pub orders: &'a [PlacedAt],
    /// A value for each of [`Vocabulary::traits`].
    pub traits: &'a [u32],
    /// What models say.
    pub scores: Scores,
    /// One bit for each segment that other segments can ask for, see [`super::Slots`].
    pub segments: &'a [u64],
}

impl Person<'_> {
    /// When the first event of any kind happened.
    pub fn first_seen(&self) -> Option<u32> {
        self.at.first().copied()
    }

    /// The orders placed by a moment.
    pub fn orders_by(&self, as_of: u32) -> &[PlacedAt] {
        &self.orders[..self.orders.partition_point(|order| order.at <= as_of)]
    }

    /// The next event after a moment.
    pub(super) fn next_after(&self, as_of: u32) -> Option<u32> {
        self.at.get(self.at.partition_point(|at| *at <= as_of)).copied()
    }
}

/// A person on their own, as read from their events.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonRow {
    /// Who it is.
    pub profile_id: ProfileId,
    /// A user id or an e-mail address is known.
    pub signed_up: bool,
    /// As in [`Person`].
    pub at: Vec<u32>,
    /// As in [`Person`].
    pub what: Vec<What>,
    /// As in [`Person`].
    pub record: Vec<RecordId>,
    /// As in [`Person`].
    pub orders: Vec<PlacedAt>,
    /// As in [`Person`].
    pub traits: Vec<u32>,
    /// As in [`Person`].
    pub scores: Scores,
}

/// A moment in whole seconds since 1970; what lies outside of 1970 to 2106 becomes the nearest there is.
pub fn second(at: Timestamp) -> u32 {
    u32::try_from(at.as_second()).unwrap_or(if at.as_second() < 0 { 0 } else { u32::MAX })
}

/// Where a person's events get their words from.
pub struct Words<'a> {
    /// The site's vocabulary, which learns new ones.
    pub vocabulary: &'a mut Vocabulary,
    /// Host and path of a page.
    pub page: &'a dyn Fn(TermId) -> Arc<str>,
    /// Orders in another currency count as orders of nothing.
    pub currency: Currency,
}

impl PersonRow {
    /// Nobody yet.
    pub fn new(profile_id: ProfileId, signed_up: bool) -> PersonRow {
        PersonRow {
            profile_id,
            signed_up,
            at: Vec::new(),
            what: Vec::new(),
            record: Vec::new(),
            orders: Vec::new(),
            traits: Vec::new(),
            scores: Scores::NONE,
        }
    }

    /// Adds events, and the visits that began among them, and takes over the person's orders and traits as they are now.
    ///
    /// All of `events` must come after those added before, in `(occurred_at, event_id)` order; a session that is given
    /// again (the one that was open) replaces what was known of its beginning. Adding events one by one or all at once
    /// gives the same person.
    pub fn add<'e>(
        &mut self,
        events: &[Event],
        sessions: &[Session],
        orders: impl Iterator<Item = &'e Order>,
        traits: &dyn Fn(&str) -> Option<&'e Value>,
        words: &mut Words<'_>,
    ) {
        let mut entries: Vec<(u32, u8, What, RecordId)> = Vec::with_capacity(self.at.len() + events.len());
        // Orders are given anew, and so is a session whose first event was added before: the last that began in its
        // second. Others that began in that second are new.
        let is_new = |session: &&Session| {
            let begun = (session.started_at, session.session_id);
            events.binary_search_by_key(&begun, |event| (event.occurred_at, event.event_id)).is_ok()
        };
        let again = sessions.iter().filter(|session| !is_new(session));
        let mut again: Vec<u32> = again.map(|session| second(session.started_at)).collect();
        for ((at, what), record) in self.at.iter().zip(&self.what).zip(&self.record).rev() {
            let is_given_again = *what == What::VISIT
                && again.iter().position(|began| began == at).map(|place| again.swap_remove(place)).is_some();
            if *what != What::ORDER && !is_given_again {
                entries.push((*at, rank(*what), *what, *record));
            }
        }
        entries.reverse();
        for event in events {
            let (what, record) = match &event.detail {
                Detail::Page(page) => (words.vocabulary.page(page.page, || (words.page)(page.page)), EMPTY_RECORD),
                Detail::Track(track) => {
                    (words.vocabulary.track(&track.name), words.vocabulary.record(&track.properties))
                }
                Detail::Identify { .. } => (What::IDENTIFY, EMPTY_RECORD),
                Detail::Group { .. } => (What::GROUP, EMPTY_RECORD),
                Detail::Alias => (What::ALIAS, EMPTY_RECORD),
                // What was done on a page is part of its view.
                Detail::Snapshot(_) => continue,
            };
            entries.push((second(event.occurred_at), rank(what), what, record));
        }
        for session in sessions {
            let touch = &session.touch;
            let referrer = touch.referrer_host.as_deref().unwrap_or("");
            let record =
                words.vocabulary.touch(&[touch.channel.key(), &touch.source, &touch.medium, &touch.campaign, referrer]);
            entries.push((second(session.started_at), rank(What::VISIT), What::VISIT, record));
        }
        self.orders = orders
            .filter(|order| order.counted)
            .map(|order| PlacedAt {
                at: second(order.ordered_at),
                record: words.vocabulary.touch(&[
                    order.touch.channel.key(),
                    &order.touch.source,
                    &order.touch.medium,
                    &order.touch.campaign,
                ]),
                minor: order.net().filter(|net| net.currency == words.currency).map_or(0, |net| net.minor),
            })
            .collect();
        self.orders.sort_by_key(|order| (order.at, order.minor, order.record));
        entries.extend(self.orders.iter().map(|order| (order.at, rank(What::ORDER), What::ORDER, order.record)));
        // Stable: events of one second stay in their own order, after the visit that they began, before their order.
        entries.sort_by_key(|(at, rank, ..)| (*at, *rank));
        self.at = entries.iter().map(|entry| entry.0).collect();
        self.what = entries.iter().map(|entry| entry.2).collect();
        self.record = entries.iter().map(|entry| entry.3).collect();
        let names: Vec<Arc<str>> = words.vocabulary.traits().to_vec();
        self.traits = names.iter().map(|name| traits(name).map_or(0, |value| words.vocabulary.value(value))).collect();
    }

    /// The person as rules read them.
    pub fn as_person<'a>(&'a self, segments: &'a [u64]) -> Person<'a> {
        Person {
            profile_id: self.profile_id,
            signed_up: self.signed_up,
            at: &self.at,
            what: &self.what,
            record: &self.record,
            orders: &self.orders,
            traits: &self.traits,
            scores: self.scores,
            segments,
        }
    }
}

/// The order of what happens within one second.
fn rank(what: What) -> u8 {
    match what {
        What::VISIT => 0,
        What::ORDER => 2,
        _ => 1,
    }
}
