//! A person's orders: one per order id, whoever reports it and however often.

use super::session::OpenSession;
use super::{Facts, Rules};
use crate::attribution::Touch;
use crate::event::{Event, PlacedOrder, Trust};
use crate::money::Money;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// A person keeps this many orders that only a browser reported; further ones are ignored until a trusted source
/// reports them. Anybody can send them, and a checkpoint must stay small.
pub const MAX_UNCONFIRMED_ORDERS: u64 = 1_000;

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
    /// Who vouches for it.
    pub trust: Trust,
    /// Whether it is part of orders and revenue. Only a browser's order may be left out, see [`Rules`].
    pub counted: bool,
    /// The last touch before the first report that was not direct and not older than
    /// [`super::ATTRIBUTION_WINDOW`]; else direct.
    pub touch: Touch,
    /// The session it was first reported in; later reports of those days fill it in where the first had none.
    pub session_id: Option<Uuid>,
    /// The event that gave `ordered_at`.
    pub event_id: Uuid,
}

impl Order {
    /// Whether a trusted source has reported it.
    pub fn confirmed(&self) -> bool {
        self.trust == Trust::Trusted
    }
}

/// All orders of a person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Orders(BTreeMap<Arc<str>, Order>);

impl Orders {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Order> {
        self.0.values()
    }

    /// Takes in one report. The order joins the latest session if that reaches so far; a session that has an order
    /// already follows its corrections for as long as it is the latest.
    pub(super) fn report(
        &mut self,
        event: &Event,
        placed: &PlacedOrder,
        mut latest: Option<&mut OpenSession>,
        rules: Rules,
        facts: &mut Facts,
    ) {
        let counts = |trust| trust == Trust::Trusted || rules.browser_orders_count;
        let known = self.0.get(&placed.order_id).cloned();
        let mut order = match &known {
            None if event.trust == Trust::Browser && facts.unconfirmed_orders >= MAX_UNCONFIRMED_ORDERS => return,
            None => Order {
                order_id: placed.order_id.clone(),
                ordered_at: event.occurred_at,
                total: placed.total,
                trust: event.trust,
                counted: counts(event.trust),
                touch: facts.cause_at(event.occurred_at),
                session_id: None,
                event_id: event.event_id,
            },
            Some(known) => known.clone(),
        };
        if known.is_some() && event.trust == Trust::Trusted {
            if order.trust == Trust::Browser {
                (order.ordered_at, order.event_id) = (event.occurred_at, event.event_id);
            }
            (order.trust, order.counted) = (event.trust, counts(event.trust));
            order.total = placed.total.or(order.total);
        }
        let of_that_time = event.occurred_at.duration_since(order.ordered_at).abs() <= SAME_ORDER;
        let here = latest.as_deref().filter(|session| session.reaches(event.occurred_at));
        if let Some(session) = here.filter(|_| order.session_id.is_none() && of_that_time) {
            order.session_id = Some(session.id());
            order.touch = facts.cause_at(event.occurred_at);
        }
        if known.as_ref() == Some(&order) {
            return;
        }
        // Every sum loses the order as it was and gains it as it is.
        for (order, sign) in known.iter().map(|order| (order, -1)).chain([(&order, 1)]) {
            facts.account(order, sign, rules.site_currency);
            if let Some(session) = latest.as_deref_mut().filter(|latest| order.session_id == Some(latest.id())) {
                let minor = order.total.filter(|total| total.currency == rules.site_currency).map_or(0, |t| t.minor);
                if order.counted {
                    session.account(sign, i64::from(sign) * minor);
                }
            }
        }
        let moved = known.is_some_and(|known| known.ordered_at != order.ordered_at);
        let (at, counted) = (order.ordered_at, order.counted);
        self.0.insert(order.order_id.clone(), order);
        if moved {
            facts.ordered_between(self.0.values().filter(|order| order.counted).map(|order| order.ordered_at));
        } else if counted {
            let times = [facts.first_order_at, facts.last_order_at, Some(at)];
            facts.ordered_between(times.into_iter().flatten());
        }
    }
}
