//! Sums, firsts and lasts of one person.

use super::ATTRIBUTION_WINDOW;
use super::order::Order;
use crate::attribution::Touch;
use crate::event::{Detail, Event, Trust};
use crate::money::Currency;
use crate::segment::rule::Fact;
use crate::surroundings::{Country, DeviceClass, EmailClass, Found, Surroundings};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A person keeps this many traits.
pub const MAX_TRAITS: usize = 100;

/// A trait's name is at most this long; longer ones stay in the event only.
pub const MAX_TRAIT_NAME_BYTES: usize = 128;

/// A trait's value is at most this long as JSON; longer ones stay in the event only.
pub const MAX_TRAIT_BYTES: usize = 1_024;

/// A person is known to be in this many groups.
pub const MAX_GROUPS: usize = 100;

/// Sums, firsts and lasts of one person, the open session included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Time of the first event of any kind; imports count.
    pub first_seen: Option<Timestamp>,
    /// Time of the last event of any kind.
    pub last_seen: Option<Timestamp>,
    /// Sessions.
    pub sessions: u64,
    /// Page views.
    pub views: u64,
    /// Events of every kind but snapshots, which are part of their page view.
    pub events: u64,
    /// Time on pages, in ms.
    pub engaged_ms: u64,
    /// Counted orders.
    pub orders: u64,
    /// What they came to in the site's currency, less refunds, minor units.
    pub revenue_minor: i64,
    /// What they came to in other currencies, less refunds, minor units.
    pub other_revenue_minor: BTreeMap<Currency, i64>,
    /// Time of the first counted order.
    pub first_order_at: Option<Timestamp>,
    /// Time of the last counted order.
    pub last_order_at: Option<Timestamp>,
    /// Orders that no trusted source has reported, counted or not.
    pub unconfirmed_orders: u64,
    /// What brought the first visit.
    pub first_touch: Option<Touched>,
    /// What brought the last visit that was not direct; a direct one only while there is no other.
    pub last_touch: Option<Touched>,
    /// What was said of the person, by name.
    pub traits: BTreeMap<String, Trait>,
    /// The groups the person belongs to, by the site's own group id.
    pub groups: BTreeMap<Arc<str>, GroupMember>,
    /// Where and with what the person was at first.
    #[serde(default, skip_serializing_if = "Surroundings::is_empty")]
    pub first_surroundings: Surroundings,
    /// Where and with what the person was last.
    #[serde(default, skip_serializing_if = "Surroundings::is_empty")]
    pub surroundings: Surroundings,
    /// The kind of the person's mail address, and who vouches for that being the person's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_class: Option<(EmailClass, Trust)>,
}

/// A touch and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Touched {
    /// What brought the visit.
    #[serde(flatten)]
    pub touch: Touch,
    /// When the visit landed.
    pub at: Timestamp,
}

/// What was last said of a person under one name.
///
/// The latest value wins, but a browser never changes what a trusted source has said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trait {
    /// The value.
    pub value: Value,
    /// When it was said.
    pub at: Timestamp,
    /// Who vouches for it.
    pub trust: Trust,
}

/// That a person belongs to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMember {
    /// When it was said last.
    pub at: Timestamp,
    /// Who vouches for it: a trusted source, once one has said so.
    pub trust: Trust,
}

impl Facts {
    /// The facts that are any text, each under the name by which rules ask for it ([`Fact::trait_name`]). `currency` is
    /// [`super::History::currency`].
    pub fn texts(&self, currency: Option<Currency>) -> Vec<(&'static str, Value)> {
        let Surroundings { country, language, time_zone, device, browser, browser_version: _, system } =
            &self.surroundings;
        let known = [
            (Fact::Country, country.map(Country::code)),
            (Fact::Language, language.as_deref()),
            (Fact::TimeZone, time_zone.as_deref()),
            (Fact::Currency, currency.as_ref().map(Currency::code)),
            (Fact::Device, device.map(DeviceClass::key)),
            (Fact::Browser, browser.as_deref()),
            (Fact::System, system.as_deref()),
            (Fact::EmailClass, self.email_class.map(|(class, _)| class.key())),
        ];
        let named = known.into_iter().filter_map(|(fact, value)| Some((fact.trait_name()?, value?)));
        named.map(|(name, value)| (name, Value::from(value))).collect()
    }

    pub(super) fn see(&mut self, event: &Event) {
        self.first_seen.get_or_insert(event.occurred_at);
        self.last_seen = Some(event.occurred_at);
        if !matches!(event.detail, Detail::Snapshot(_)) {
            self.events += 1;
        }
        let Found { surroundings, email_class, bot_score: _ } = &event.found;
        if let Some(new) = surroundings.as_deref().filter(|new| **new != self.surroundings) {
            self.first_surroundings.fill_in(new);
            self.surroundings.follow(new);
        }
        // As with traits: a browser never changes what a trusted source has said.
        if let Some(class) = email_class
            && self.email_class.is_none_or(|(_, known)| known <= event.trust)
        {
            self.email_class = Some((*class, event.trust));
        }
    }

    pub(super) fn touched(&mut self, touch: &Touch, at: Timestamp) {
        let touched = || Touched { touch: touch.clone(), at };
        self.first_touch.get_or_insert_with(touched);
        if !touch.is_direct() || self.last_touch.as_ref().is_none_or(|last| last.touch.is_direct()) {
            self.last_touch = Some(touched());
        }
    }

    /// The touch that an order of that time is attributed to.
    pub(super) fn cause_at(&self, at: Timestamp) -> Touch {
        let last = self.last_touch.as_ref().filter(|last| at.duration_since(last.at) <= ATTRIBUTION_WINDOW);
        last.map_or_else(Touch::direct, |last| last.touch.clone())
    }

    /// Adds an order to the sums (`sign` 1) or takes it out (−1).
    pub(super) fn account(&mut self, order: &Order, sign: i32, site_currency: Currency) {
        let add = |sum: &mut u64| *sum = sum.saturating_add_signed(i64::from(sign));
        if !order.confirmed() {
            add(&mut self.unconfirmed_orders);
        }
        if !order.counted {
            return;
        }
        add(&mut self.orders);
        let Some(net) = order.net() else { return };
        // No overflow: a total is at most 10^15, so it takes nine thousand orders at the limit to come near.
        let minor = i64::from(sign) * net.minor;
        if net.currency == site_currency {
            self.revenue_minor = self.revenue_minor.saturating_add(minor);
        } else {
            let sum = self.other_revenue_minor.entry(net.currency).or_default();
            *sum = sum.saturating_add(minor);
            if *sum == 0 {
                self.other_revenue_minor.remove(&net.currency);
            }
        }
    }

    /// Sets the first and the last order from the times of all counted ones.
    pub(super) fn ordered_between(&mut self, times: impl Iterator<Item = Timestamp> + Clone) {
        self.first_order_at = times.clone().min();
        self.last_order_at = times.max();
    }

    /// Takes over traits. `null` takes a trait away, as in Segment's specification.
    pub(super) fn learn(&mut self, traits: &Map<String, Value>, at: Timestamp, trust: Trust) {
        for (name, value) in traits {
            let known = self.traits.get(name);
            let protected = known.is_some_and(|known| known.trust > trust);
            if protected || name.len() > MAX_TRAIT_NAME_BYTES || value.to_string().len() > MAX_TRAIT_BYTES {
                continue;
            }
            if value.is_null() {
                self.traits.remove(name);
            } else if known.is_some() || has_room(&mut self.traits, MAX_TRAITS, trust, |kept| (kept.trust, kept.at)) {
                self.traits.insert(name.clone(), Trait { value: value.clone(), at, trust });
            }
        }
    }

    pub(super) fn join(&mut self, group_id: &Arc<str>, at: Timestamp, trust: Trust) {
        if let Some(member) = self.groups.get_mut(group_id) {
            *member = GroupMember { at, trust: member.trust.max(trust) };
        } else if has_room(&mut self.groups, MAX_GROUPS, trust, |kept| (kept.trust, kept.at)) {
            self.groups.insert(group_id.clone(), GroupMember { at, trust });
        }
    }
}

/// Whether one more entry fits. Where all places are taken, a trusted entry takes the place of the browser's oldest,
/// so that nobody can crowd out what the business itself says.
fn has_room<K: Ord + Clone, V>(
    kept: &mut BTreeMap<K, V>,
    limit: usize,
    trust: Trust,
    of: impl Fn(&V) -> (Trust, Timestamp),
) -> bool {
    if kept.len() < limit {
        return true;
    }
    let oldest = kept
        .iter()
        .filter(|(_, value)| of(value).0 < trust)
        .min_by_key(|(_, value)| of(value).1)
        .map(|(key, _)| key.clone());
    oldest.is_some_and(|key| kept.remove(&key).is_some())
}
