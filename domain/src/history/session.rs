//! The session that is still open, and the session it becomes.

use crate::attribution::{self, Touch};
use crate::event::{Campaign, Page, Snapshot, TermId};
use crate::surroundings::{Found, Surroundings};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use uuid::Uuid;

/// A session ends after this long without a page view or a browser's event: the field's customary half hour
/// (Catledge & Pitkow 1995 measured 25.5 minutes).
pub const IDLE_LIMIT: SignedDuration = SignedDuration::from_mins(30);

/// A session keeps this many pages of its path; it counts all of them. Only robots go further.
pub const MAX_SESSION_PAGES: usize = 500;

/// Snapshots of this many latest views of the open session are still taken: more tabs are not open at once.
pub const MAX_OPEN_VIEWS: usize = 100;

/// One visit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The id of its first event.
    pub session_id: Uuid,
    /// When its first event happened.
    pub started_at: Timestamp,
    /// When its last activity happened.
    pub ended_at: Timestamp,
    /// Its first page; `None` when it has none.
    pub entry: Option<TermId>,
    /// Its last page.
    pub exit: Option<TermId>,
    /// Its pages in the order in which they were viewed, the first [`MAX_SESSION_PAGES`] of them.
    pub pages: Vec<TermId>,
    /// Page views.
    pub views: u32,
    /// Page views and named events; snapshots are part of their page view.
    pub events: u32,
    /// Time the pages were visible, focused and recently used, in ms.
    pub engaged_ms: u64,
    /// Clicks anywhere on the pages.
    pub clicks: u64,
    /// The deepest point seen on any of the pages, in percent of its height.
    pub max_scroll_pct: u8,
    /// What brought it: its first page's campaign or referrer.
    pub touch: Touch,
    /// Counted orders that were first reported in it.
    pub orders: u32,
    /// What they came to in the site's currency, less refunds, minor units.
    pub revenue_minor: i64,
    /// Where and with what it took place: of each, what was known first.
    #[serde(default, skip_serializing_if = "Surroundings::is_empty")]
    pub surroundings: Surroundings,
}

/// A session that later events may extend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenSession {
    session: Session,
    campaign: Option<Arc<Campaign>>,
    views: VecDeque<OpenView>,
}

/// What the latest snapshot said of a view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OpenView {
    view_id: Uuid,
    /// `None` until a snapshot came; revisions start anywhere.
    revision: Option<u32>,
    engaged_ms: u32,
    clicks: u32,
}

/// What a snapshot replaces: the sums hold the view's former value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    before: u32,
    after: u32,
}

impl Change {
    /// The sum with the former value taken out and the new one put in.
    pub(super) fn of(self, sum: u64) -> u64 {
        sum - u64::from(self.before) + u64::from(self.after)
    }
}

impl OpenSession {
    pub(super) fn start(session_id: Uuid, at: Timestamp) -> OpenSession {
        let session = Session {
            session_id,
            started_at: at,
            ended_at: at,
            entry: None,
            exit: None,
            pages: Vec::new(),
            views: 0,
            events: 0,
            engaged_ms: 0,
            clicks: 0,
            max_scroll_pct: 0,
            touch: Touch::direct(),
            orders: 0,
            revenue_minor: 0,
            surroundings: Surroundings::default(),
        };
        OpenSession { session, campaign: None, views: VecDeque::new() }
    }

    pub(super) fn so_far(&self) -> Session {
        self.session.clone()
    }

    pub(super) fn touch(&self) -> &Touch {
        &self.session.touch
    }

    pub(super) fn id(&self) -> Uuid {
        self.session.session_id
    }

    /// Whether an event of that time still belongs to it.
    pub(super) fn reaches(&self, at: Timestamp) -> bool {
        at.duration_since(self.session.ended_at) <= IDLE_LIMIT
    }

    /// Whether a page with that campaign is another visit's landing.
    ///
    /// A session that has no page yet has not landed: its first page belongs to it, whatever brought it.
    pub(super) fn is_left_for(&self, campaign: Option<&Campaign>) -> bool {
        self.session.views > 0 && named(campaign).is_some_and(|new| self.campaign.as_deref() != Some(new))
    }

    /// Takes the session's touch from its first page; false for any further page.
    pub(super) fn lands(&mut self, page: &Page) -> bool {
        if self.session.views > 0 {
            return false;
        }
        self.session.touch = attribution::channel(page.campaign.as_deref(), page.referrer.as_deref());
        self.session.entry = Some(page.page);
        self.campaign.clone_from(&page.campaign);
        true
    }

    pub(super) fn view(&mut self, view_id: Uuid, at: Timestamp, page: &Page) {
        self.act(at);
        let session = &mut self.session;
        session.views += 1;
        session.exit = Some(page.page);
        if session.pages.len() < MAX_SESSION_PAGES {
            session.pages.push(page.page);
        }
        if self.views.len() == MAX_OPEN_VIEWS {
            self.views.pop_front();
        }
        self.views.push_back(OpenView { view_id, revision: None, engaged_ms: 0, clicks: 0 });
    }

    /// A page view or a browser's named event.
    pub(super) fn act(&mut self, at: Timestamp) {
        self.session.ended_at = at;
        self.session.events += 1;
    }

    /// Takes over where and with what one of its events happened.
    pub(super) fn meet(&mut self, found: &Found) {
        if let Some(surroundings) = found.surroundings.as_deref().filter(|new| **new != self.session.surroundings) {
            self.session.surroundings.fill_in(surroundings);
        }
    }

    /// Takes over what a snapshot says, when its view is one of this session's and it is the view's newest revision;
    /// gives back what it changes in engaged time.
    ///
    /// A snapshot that comes after the idle limit (a tab that was left open) still tells what was done on the page,
    /// but does not extend the session.
    pub(super) fn observe(&mut self, at: Timestamp, snapshot: &Snapshot) -> Option<Change> {
        let reached = self.reaches(at);
        // The view is nearly always the last one.
        let view = self.views.iter_mut().rev().find(|view| view.view_id == snapshot.view_id)?;
        if reached {
            self.session.ended_at = at;
        }
        if view.revision.is_some_and(|known| known >= snapshot.revision) {
            return None;
        }
        let engaged = Change { before: view.engaged_ms, after: snapshot.engaged_ms };
        let clicks = Change { before: view.clicks, after: snapshot.clicks };
        self.session.engaged_ms = engaged.of(self.session.engaged_ms);
        self.session.clicks = clicks.of(self.session.clicks);
        self.session.max_scroll_pct = self.session.max_scroll_pct.max(snapshot.max_scroll_pct);
        (view.revision, view.engaged_ms, view.clicks) = (Some(snapshot.revision), snapshot.engaged_ms, snapshot.clicks);
        Some(engaged)
    }

    /// Adds what an order is worth here, or takes it away again.
    pub(super) fn account(&mut self, orders: i32, revenue_minor: i64) {
        self.session.orders = self.session.orders.saturating_add_signed(orders);
        self.session.revenue_minor = self.session.revenue_minor.saturating_add(revenue_minor);
    }
}

/// A campaign that says anything at all.
fn named(campaign: Option<&Campaign>) -> Option<&Campaign> {
    campaign.filter(|campaign| **campaign != Campaign::default())
}
