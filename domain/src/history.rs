//! Everything known of one person, as a fold over their events in `(occurred_at, event_id)` order.
//!
//! [`History`] is the fold's whole state: what it gives back after an event depends on nothing but the events before
//! it, so a history that was stored as a checkpoint and taken up again equals one replay from the first event.
//!
//! **Sessions.** Page views start or extend a session, and so do named events that happened in a browser. 30 minutes
//! without either end it, and so does a landing with another campaign; midnight does not. A snapshot extends the
//! session that has its view, and starts none. Identify, group and alias calls, and named events of servers and
//! imports, neither start nor extend one. A session is final once the next one has begun.
//!
//! **Bots.** An event whose score reaches the site's limit leaves nothing behind but its place in the order of events.
//!
//! **Orders.** There is one per order id. What a trusted source says of it replaces what a browser said; a browser's
//! repetition changes nothing. An order belongs to the session in which it was first reported, whoever reported it,
//! and is added to that session's sums while the session is open. Corrections that arrive later change the order and
//! the person's facts; the sums of a finished session stay what was known when it ended.
//!
//! An order that was placed can be updated, refunded and cancelled, and what was said of it before it was placed is kept
//! for it. Revenue is what was paid less what was given back. A cancelled order counts nowhere: it did not come about.
//! One that was given back as a whole counts with nothing: somebody did buy, and the rhythm of their orders is what
//! recency, frequency and the models of buying go by. A browser changes only an order that is a browser's own word.

mod facts;
mod order;
mod session;

pub use facts::{Facts, GroupMember, MAX_GROUPS, MAX_TRAIT_BYTES, MAX_TRAIT_NAME_BYTES, MAX_TRAITS, Touched, Trait};
pub use order::{MAX_BROWSER_REFUNDS, MAX_REFUNDS, MAX_UNCONFIRMED_ORDERS, MAX_WAITING_ORDERS, Order};
pub use session::{IDLE_LIMIT, MAX_OPEN_VIEWS, MAX_SESSION_PAGES, Session};

use crate::event::{Detail, Event, Page, Snapshot, Track, Trust};
use crate::money::Currency;
use jiff::{SignedDuration, Timestamp};
use order::Orders;
use serde::{Deserialize, Serialize};
use session::OpenSession;
use uuid::Uuid;

/// A touch is taken for an order's cause for this long, as in the usual 90-day look-back of advertising reports.
pub const ATTRIBUTION_WINDOW: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What of a site's settings the fold depends on. Another value means another history: replay the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The currency that revenue is added up in.
    pub site_currency: Currency,
    /// Whether orders that only a browser reported count: false where a trusted source exists that reports them too.
    pub browser_orders_count: bool,
    /// The score from which on an event is a bot's and left out; `None` where the site wants to see bots.
    pub bot_limit: Option<u8>,
}

impl Rules {
    /// Whether an event is taken for a person's.
    pub fn counts(&self, event: &Event) -> bool {
        self.bot_limit.is_none_or(|limit| event.found.bot_score < limit)
    }
}

/// Everything known of one person up to the last event applied. Serialises to the checkpoint from which the fold goes
/// on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    format: Format,
    rules: Rules,
    position: Option<(Timestamp, Uuid)>,
    facts: Facts,
    orders: Orders,
    open: Option<OpenSession>,
}

/// The number of the fold's rules and of the checkpoint's form. A checkpoint with another number does not
/// deserialise, so that its reader replays the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
struct Format;

impl Format {
    const NUMBER: u16 = 3;
}

impl From<Format> for u16 {
    fn from(_: Format) -> u16 {
        Format::NUMBER
    }
}

impl TryFrom<u16> for Format {
    type Error = String;

    fn try_from(number: u16) -> Result<Format, String> {
        match number {
            Format::NUMBER => Ok(Format),
            other => Err(format!("checkpoint has format {other}, this program reads {}; replay it", Format::NUMBER)),
        }
    }
}

/// An event that does not come after those already applied; replay the person from the first event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event_id} of {occurred_at} is not after {}, {}; replay the person", position.0, position.1)]
pub struct OutOfOrder {
    /// The event that came too late.
    pub event_id: Uuid,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The last event applied.
    pub position: (Timestamp, Uuid),
}

impl History {
    /// A person of whom nothing is known yet.
    pub fn new(rules: Rules) -> History {
        History {
            format: Format,
            rules,
            position: None,
            facts: Facts::default(),
            orders: Orders::default(),
            open: None,
        }
    }

    /// The settings this history was folded under.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// Time and id of the last event applied.
    pub fn position(&self) -> Option<(Timestamp, Uuid)> {
        self.position
    }

    /// Applies the next event; gives back the session it ended, if it ended one.
    ///
    /// # Errors
    /// [`OutOfOrder`] when the event is not after [`History::position`]; nothing has changed then.
    pub fn apply(&mut self, event: &Event) -> Result<Option<Session>, OutOfOrder> {
        let next = (event.occurred_at, event.event_id);
        if let Some(position) = self.position.filter(|&position| next <= position) {
            return Err(OutOfOrder { event_id: event.event_id, occurred_at: event.occurred_at, position });
        }
        self.position = Some(next);
        if !self.rules.counts(event) {
            return Ok(None);
        }
        self.facts.see(event);
        Ok(match &event.detail {
            Detail::Page(page) => self.view(event, page),
            Detail::Track(track) => self.track(event, track),
            Detail::Snapshot(snapshot) => {
                self.observe(event, snapshot);
                None
            }
            Detail::Identify { traits } => {
                self.facts.learn(traits, event.occurred_at, event.trust);
                None
            }
            Detail::Group { group_id, .. } => {
                self.facts.join(group_id, event.occurred_at, event.trust);
                None
            }
            Detail::Alias => None,
        })
    }

    /// The latest session as it stands now; later events may still extend it.
    pub fn open_session(&self) -> Option<Session> {
        self.open.as_ref().map(OpenSession::so_far)
    }

    /// The person's sums and firsts and lasts, the latest session included.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The person's orders, by order id.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.iter()
    }

    /// The currency of the person's latest counted order that has a total.
    pub fn currency(&self) -> Option<Currency> {
        let orders = self.orders().filter(|order| order.counted);
        let paid = orders.filter_map(|order| Some((order.ordered_at, &order.order_id, order.total?.currency)));
        paid.max_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1))).map(|(.., currency)| currency)
    }

    fn view(&mut self, event: &Event, page: &Page) -> Option<Session> {
        let closed = match &self.open {
            Some(open) if open.reaches(event.occurred_at) && !open.is_left_for(page.campaign.as_deref()) => None,
            Some(_) | None => self.begin(event),
        };
        if let Some(open) = &mut self.open {
            if open.lands(page) {
                self.facts.touched(open.touch(), event.occurred_at);
            }
            open.view(event.event_id, event.occurred_at, page);
            open.meet(&event.found);
            self.facts.views += 1;
        }
        closed
    }

    fn track(&mut self, event: &Event, track: &Track) -> Option<Session> {
        let mut closed = None;
        if event.trust == Trust::Browser || track.view_id.is_some() {
            if !self.open.as_ref().is_some_and(|open| open.reaches(event.occurred_at)) {
                closed = self.begin(event);
            }
            if let Some(open) = &mut self.open {
                open.act(event.occurred_at);
                open.meet(&event.found);
            }
        }
        if let Some(report) = &track.order {
            self.orders.report(event, report, self.open.as_mut(), self.rules, &mut self.facts);
        }
        closed
    }

    fn observe(&mut self, event: &Event, snapshot: &Snapshot) {
        if let Some(change) = self.open.as_mut().and_then(|open| open.observe(event.occurred_at, snapshot)) {
            self.facts.engaged_ms = change.of(self.facts.engaged_ms);
        }
    }

    fn begin(&mut self, event: &Event) -> Option<Session> {
        self.facts.sessions += 1;
        self.open.replace(OpenSession::start(event.event_id, event.occurred_at)).map(|ended| ended.so_far())
    }
}

/// One replay of a person's events, which must be in `(occurred_at, event_id)` order: the history, and all sessions,
/// the one that is still open last.
///
/// # Errors
/// [`OutOfOrder`] at the first event that is not after the one before it.
pub fn replay<'a>(
    rules: Rules,
    events: impl IntoIterator<Item = &'a Event>,
) -> Result<(History, Vec<Session>), OutOfOrder> {
    let mut history = History::new(rules);
    let mut sessions = Vec::new();
    for event in events {
        sessions.extend(history.apply(event)?);
    }
    sessions.extend(history.open_session());
    Ok((history, sessions))
}

#[cfg(test)]
mod tests;
