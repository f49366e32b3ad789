//! What is arriving now.

use super::csv::Table;
use super::{Happened, PersonName, Site};
use crate::event::Trust;
use jiff::Timestamp;
use uuid::Uuid;

/// Under which consent an event was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Counted only: no profile, nothing kept on the device.
    Measure,
    /// The visitor is recognised.
    Full,
}

/// The latest events and what became of everything that arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// Newest first.
    pub events: Vec<LiveEvent>,
    /// Where the next poll goes on: opaque, made of `A-Z a-z 0-9 . _ -` alone.
    pub cursor: String,
    /// People and measured visitors with an event in the last five minutes.
    pub visitors_now: u64,
    /// What became of what arrived.
    pub outcomes: Outcomes,
    /// Newest first; at most some twenty.
    pub latest_rejected: Vec<Rejection>,
}

/// One event that was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveEvent {
    /// Its id.
    pub event_id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub what: Happened,
    /// Who did it.
    pub person: PersonName,
    /// The name of the channel that brought the visit, where it is known yet.
    pub channel: Option<String>,
    /// Under which consent it was sent.
    pub consent: Consent,
    /// Who vouches for it.
    pub trust: Trust,
}

/// How many events ended how.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcomes {
    /// Counted from here.
    pub since: Timestamp,
    /// Stored.
    pub stored: u64,
    /// Sent again and already stored.
    pub duplicate: u64,
    /// Not stored; largest count first.
    pub rejected: Vec<RejectedReason>,
}

/// How many events were rejected for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedReason {
    /// The reason's key, for example `clock_out_of_range`.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// One event that was not stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// When it arrived.
    pub at: Timestamp,
    /// The reason's key.
    pub reason: String,
    /// What exactly was wrong.
    pub detail: String,
    /// The beginning of what arrived, printable; `None` where nothing may be kept.
    pub sample: Option<String>,
}

impl Outcomes {
    /// How many were rejected, over all reasons.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().map(|row| row.count).sum()
    }

    /// The table as CSV: `outcome, reason, events`.
    pub fn csv(&self) -> String {
        let mut table = Table::with_header(&["outcome", "reason", "events"]);
        table.text("stored").text("").count(self.stored).end();
        table.text("duplicate").text("").count(self.duplicate).end();
        for row in &self.rejected {
            table.text("rejected").text(&row.reason).count(row.count).end();
        }
        table.into_text()
    }
}

impl Live {
    /// The events as CSV.
    pub fn csv(&self) -> String {
        let mut table = Table::with_header(&[
            "happened_at",
            "event",
            "page",
            "detail",
            "profile_id",
            "person",
            "channel",
            "consent",
            "trusted",
        ]);
        for event in &self.events {
            table
                .moment(Some(event.at))
                .text(&event.what.name())
                .maybe_text(event.what.page())
                .text(&event.what.detail())
                .text(&event.person.profile_id.map_or_else(String::new, |id| id.0.to_string()))
                .maybe_text(event.person.name.as_deref())
                .maybe_text(event.channel.as_deref())
                .text(match event.consent {
                    Consent::Measure => "measure",
                    Consent::Full => "full",
                })
                .text(match event.trust {
                    Trust::Browser => "no",
                    Trust::Trusted => "yes",
                })
                .end();
        }
        table.into_text()
    }

    /// The latest rejected events as CSV.
    pub fn rejected_csv(&self) -> String {
        rejected_csv(&self.latest_rejected)
    }
}

pub(super) fn rejected_csv(rows: &[Rejection]) -> String {
    let mut table = Table::with_header(&["arrived_at", "reason", "detail", "sample"]);
    for row in rows {
        table.moment(Some(row.at)).text(&row.reason).text(&row.detail).maybe_text(row.sample.as_deref()).end();
    }
    table.into_text()
}
