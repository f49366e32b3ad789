//! A person's orders: one per order id, whoever reports it and however often, with what changed it since.

use super::session::OpenSession;
use super::{Facts, Rules};
use crate::attribution::Touch;
use crate::event::{Event, OrderAct, OrderReport, Refund, Trust};
use crate::money::Money;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// A person keeps this many orders that only a browser reported; further ones are ignored until a trusted source
/// reports them. Anybody can send them, and a checkpoint must stay small.
pub const MAX_UNCONFIRMED_ORDERS: u64 = 1_000;

/// A person keeps what browsers say of this many orders that have not been placed yet: it is one visit's worth of
/// events that came in the wrong order.
pub const MAX_WAITING_ORDERS: usize = 100;

/// An order keeps this many refunds; further ones are ignored. An order that is given back piece by piece has as many as
/// it has pieces, and each takes some 50 bytes of the checkpoint.
pub const MAX_REFUNDS: usize = 200;

/// The same of those that only browsers report, who seldom have a word in it and can be anybody.
pub const MAX_BROWSER_REFUNDS: usize = 5;

/// A browser's report tells an already confirmed order its session only this long before or after the order: imports
/// often know the day alone, in some time zone, while a thank-you page can be opened again months later.
const SAME_ORDER: SignedDuration = SignedDuration::from_hours(48);

/// One order as it is known now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The shop's order id, one per site.
    pub order_id: Arc<str>,
    /// When it was placed: the time of its first trusted report, or of the browser's while there is none.
    pub ordered_at: Timestamp,
    /// What was paid, from the latest trusted report that names it; `None` where no report did.
    pub total: Option<Money>,
    /// What was given back of it, in minor units of its currency: at least nothing, at most the total.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub refunded_minor: i64,
    /// Whether it was called off.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cancelled: bool,
    /// Who vouches for it.
    pub trust: Trust,
    /// Whether it is part of orders and revenue. A cancelled order is not, and a browser's may be left out, see
    /// [`Rules`]. One that was given back as a whole is: it was placed, and comes to a revenue of nothing.
    pub counted: bool,
    /// The last touch before the first report that was not direct and not older than
    /// [`super::ATTRIBUTION_WINDOW`]; else direct.
    pub touch: Touch,
    /// The session it was first reported in; later reports of those days fill it in where the first had none.
    pub session_id: Option<Uuid>,
    /// The event that gave `ordered_at`.
    pub event_id: Uuid,
    /// Whose report gave `ordered_at`.
    placed_by: Trust,
    /// What the browser's first report named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    browser_total: Option<Money>,
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    changes: Changes,
}

impl Order {
    /// Whether a trusted source has reported it.
    pub fn confirmed(&self) -> bool {
        self.trust == Trust::Trusted
    }

    /// What was paid less what was given back; `None` where no report names an amount.
    pub fn net(&self) -> Option<Money> {
        self.total.map(|total| Money { minor: total.minor - self.refunded_minor, ..total })
    }

    fn placed(event: &Event, report: &OrderReport, touch: Touch) -> Order {
        Order {
            order_id: report.order_id.clone(),
            ordered_at: event.occurred_at,
            total: None,
            refunded_minor: 0,
            cancelled: false,
            trust: event.trust,
            counted: false,
            touch,
            session_id: None,
            event_id: event.event_id,
            placed_by: event.trust,
            browser_total: None,
            changes: Changes::default(),
        }
    }

    /// A further report of the placed order, or the first.
    fn complete(&mut self, event: &Event, total: Option<Money>) {
        match event.trust {
            // Its repetition changes nothing, but where nobody else names an amount its own is better than none.
            Trust::Browser => {
                self.browser_total = self.browser_total.or(total);
                self.total = self.total.or(self.browser_total);
            }
            Trust::Trusted => {
                if self.placed_by == Trust::Browser {
                    (self.ordered_at, self.event_id) = (event.occurred_at, event.event_id);
                    self.placed_by = Trust::Trusted;
                }
                self.confirm(total);
            }
        }
    }

    /// A trusted source says that there is such an order: from now on no browser changes it.
    fn confirm(&mut self, total: Option<Money>) {
        if self.trust == Trust::Browser {
            self.trust = Trust::Trusted;
            self.changes.browser = Said::default();
            self.total = self.browser_total;
        }
        self.total = total.or(self.total);
    }

    /// Takes over what was said before the order was placed; `named` is what its placing said it came to, which is newer.
    fn catch_up(&mut self, mut waiting: Changes, named: Option<Money>) {
        if let Some(updated) = waiting.trusted.updated.take() {
            let named = named.filter(|_| self.confirmed());
            self.confirm(named.or(updated.total));
        }
        if self.confirmed() {
            waiting.browser = Said::default();
        } else if let Some(updated) = waiting.browser.updated.take() {
            self.total = updated.total.or(self.total);
        }
        self.changes = waiting;
    }

    /// Something was said of the order that was placed before.
    fn change(&mut self, event: &Event, act: &OrderAct) {
        match (event.trust, act) {
            (Trust::Browser, _) if self.confirmed() => {}
            (Trust::Trusted, OrderAct::Updated { total, in_force }) => {
                self.confirm(*total);
                self.changes.trusted.cancelled &= !in_force;
            }
            (Trust::Browser, OrderAct::Updated { total, in_force }) => {
                self.total = total.or(self.total);
                self.changes.browser.cancelled &= !in_force;
            }
            (Trust::Browser | Trust::Trusted, _) => self.changes.note(event, act),
        }
    }

    /// What follows from all that was said, in whatever order it came.
    fn settle(&mut self, rules: Rules) {
        let Changes { browser, trusted } = &self.changes;
        // What the shop itself has told of refunds is all there is to them.
        let refunds = if trusted.refunds.is_empty() { &browser.refunds } else { &trusted.refunds };
        self.refunded_minor = self.total.map_or(0, |total| refunded(refunds, total));
        self.cancelled = trusted.cancelled || browser.cancelled;
        self.counted = (self.confirmed() || rules.browser_orders_count) && !self.cancelled;
    }
}

/// What is given back of a total: never more than there is.
fn refunded(refunds: &BTreeMap<Arc<str>, Refund>, total: Money) -> i64 {
    let paid = total.minor.max(0);
    refunds.values().fold(0, |sum: i64, refund| match &refund.amount {
        None => paid,
        // In another currency it cannot be taken off.
        Some(amount) => sum.saturating_add(amount.minor(total.currency).unwrap_or(0)).min(paid),
    })
}

/// What was said of an order besides that it was placed, by who vouches for it. Browsers have a say only while the order
/// itself is theirs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Changes {
    #[serde(skip_serializing_if = "Said::is_empty")]
    browser: Said,
    #[serde(skip_serializing_if = "Said::is_empty")]
    trusted: Said,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Said {
    /// An update that waits for the order, with the latest amount that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<Updated>,
    /// By the shop's id of the refund, else the event's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    refunds: BTreeMap<Arc<str>, Refund>,
    #[serde(skip_serializing_if = "is_false")]
    cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Updated {
    total: Option<Money>,
}

impl Said {
    fn is_empty(&self) -> bool {
        *self == Said::default()
    }
}

impl Changes {
    fn is_empty(&self) -> bool {
        *self == Changes::default()
    }

    fn note(&mut self, event: &Event, act: &OrderAct) {
        let (said, limit) = match event.trust {
            Trust::Browser => (&mut self.browser, MAX_BROWSER_REFUNDS),
            Trust::Trusted => (&mut self.trusted, MAX_REFUNDS),
        };
        match act {
            OrderAct::Completed { .. } => {}
            OrderAct::Updated { total, in_force } => {
                said.cancelled &= !in_force;
                said.updated = Some(Updated { total: total.or(said.updated.and_then(|updated| updated.total)) });
            }
            OrderAct::Refunded(refund) => {
                let id = refund.refund_id.clone().unwrap_or_else(|| event.event_id.to_string().into());
                if said.refunds.len() < limit || said.refunds.contains_key(&id) {
                    // The id is the key.
                    said.refunds.insert(id, Refund { refund_id: None, amount: refund.amount });
                }
            }
            OrderAct::Cancelled => said.cancelled = true,
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_nothing(minor: &i64) -> bool {
    *minor == 0
}

/// All orders of a person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Orders {
    placed: BTreeMap<Arc<str>, Order>,
    /// What was said of orders that have not been placed yet.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    waiting: BTreeMap<Arc<str>, Changes>,
}

impl Orders {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Order> {
        self.placed.values()
    }

    /// Takes in one report. The order joins the latest session if that reaches so far; a session that has an order
    /// already follows its corrections for as long as it is the latest.
    pub(super) fn report(
        &mut self,
        event: &Event,
        report: &OrderReport,
        mut latest: Option<&mut OpenSession>,
        rules: Rules,
        facts: &mut Facts,
    ) {
        let known = self.placed.get(&report.order_id).cloned();
        let order = match (&report.act, &known) {
            (OrderAct::Completed { total }, _) => {
                self.completed(event, report, *total, known.clone(), latest.as_deref(), facts)
            }
            (act, Some(known)) => {
                let mut order = known.clone();
                order.change(event, act);
                Some(order)
            }
            (act, None) => {
                self.wait(event, &report.order_id, act);
                None
            }
        };
        let Some(mut order) = order else { return };
        order.settle(rules);
        if known.as_ref() == Some(&order) {
            return;
        }
        // Every sum loses the order as it was and gains it as it is.
        for (order, sign) in known.iter().map(|order| (order, -1)).chain([(&order, 1)]) {
            facts.account(order, sign, rules.site_currency);
            if let Some(session) = latest.as_deref_mut().filter(|latest| order.session_id == Some(latest.id())) {
                let minor = order.net().filter(|net| net.currency == rules.site_currency).map_or(0, |net| net.minor);
                if order.counted {
                    session.account(sign, i64::from(sign) * minor);
                }
            }
        }
        let moved =
            known.is_some_and(|known| known.counted && (!order.counted || known.ordered_at != order.ordered_at));
        let (at, counted) = (order.ordered_at, order.counted);
        self.placed.insert(order.order_id.clone(), order);
        if moved {
            let counted = self.placed.values().filter(|order| order.counted);
            facts.ordered_between(counted.map(|order| order.ordered_at));
        } else if counted {
            let times = [facts.first_order_at, facts.last_order_at, Some(at)];
            facts.ordered_between(times.into_iter().flatten());
        }
    }

    /// The order after a report that it was placed; `None` when a browser reports more than is kept.
    fn completed(
        &mut self,
        event: &Event,
        report: &OrderReport,
        total: Option<Money>,
        known: Option<Order>,
        latest: Option<&OpenSession>,
        facts: &Facts,
    ) -> Option<Order> {
        let mut order = match known {
            None if event.trust == Trust::Browser && facts.unconfirmed_orders >= MAX_UNCONFIRMED_ORDERS => return None,
            None => Order::placed(event, report, facts.cause_at(event.occurred_at)),
            Some(known) => known,
        };
        order.complete(event, total);
        if let Some(waiting) = self.waiting.remove(&report.order_id) {
            order.catch_up(waiting, total);
        }
        let of_that_time = event.occurred_at.duration_since(order.ordered_at).abs() <= SAME_ORDER;
        let here = latest.filter(|session| session.reaches(event.occurred_at));
        if let Some(session) = here.filter(|_| order.session_id.is_none() && of_that_time) {
            order.session_id = Some(session.id());
            order.touch = facts.cause_at(event.occurred_at);
        }
        Some(order)
    }

    /// Keeps what was said of an order until it is placed.
    fn wait(&mut self, event: &Event, order_id: &Arc<str>, act: &OrderAct) {
        if event.trust == Trust::Browser && !self.waiting.contains_key(order_id) {
            let browsers = self.waiting.values().filter(|changes| changes.trusted.is_empty()).count();
            if browsers >= MAX_WAITING_ORDERS {
                return;
            }
        }
        self.waiting.entry(order_id.clone()).or_default().note(event, act);
    }
}
