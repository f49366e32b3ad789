//! Where a site's events come from, and how each source fares.

use super::csv::Table;
use super::{ConnectorReport, ConnectorState, LiveEvent, RejectedReason, Rejection, Site};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

/// After this long without a message a source is called quiet.
const QUIET_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What became of what a source sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Stored.
    pub stored: u64,
    /// Sent again and already stored.
    pub duplicate: u64,
    /// Not stored.
    pub rejected: u64,
}

impl SourceCounts {
    /// All messages.
    pub fn total(self) -> u64 {
        self.stored + self.duplicate + self.rejected
    }
}

/// How a source fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Messages come and are stored.
    Receiving,
    /// All messages of the last day that it sent anything on were rejected.
    Failing,
    /// Nothing has come for a week.
    Quiet,
    /// Nothing has come yet.
    Waiting,
    /// Its owner has paused it: what it sends is rejected.
    Paused,
    /// What it sends cannot be believed before its owner has told the secret.
    NeedsSecret,
}

impl SourceState {
    /// The state of a source from which the last message came at `last_at`, and on that day, UTC, in all `last_day`.
    ///
    /// `NeedsSecret` and `Paused` are said by whoever knows the source's settings; they go first.
    pub fn of(last_at: Option<Timestamp>, last_day: SourceCounts, now: Timestamp) -> SourceState {
        match last_at {
            None => SourceState::Waiting,
            Some(at) if now.duration_since(at) > QUIET_AFTER => SourceState::Quiet,
            Some(_) if last_day.rejected > 0 && last_day.stored + last_day.duplicate == 0 => SourceState::Failing,
            Some(_) => SourceState::Receiving,
        }
    }

    /// The state of a source that is asked; `Paused` is said by whoever knows its settings.
    pub fn of_connector(report: &ConnectorReport) -> SourceState {
        match (report.state, &report.last_error, report.last_ok_at) {
            (ConnectorState::NeedsKey, _, _) => SourceState::NeedsSecret,
            (ConnectorState::Ready, Some(_), _) => SourceState::Failing,
            (ConnectorState::Ready, None, None) => SourceState::Waiting,
            (ConnectorState::Ready, None, Some(_)) => SourceState::Receiving,
        }
    }

    /// The word in files.
    pub fn key(self) -> &'static str {
        match self {
            SourceState::Receiving => "receiving",
            SourceState::Failing => "failing",
            SourceState::Quiet => "quiet",
            SourceState::Waiting => "waiting",
            SourceState::Paused => "paused",
            SourceState::NeedsSecret => "needs_secret",
        }
    }
}

/// One source of a site.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceLine {
    /// Under which its events are marked: `tracker`, `segment`, `shopify:main-shop`.
    pub key: String,
    /// What its owner calls it; `None` of what nobody had to make.
    pub name: Option<String>,
    /// How it fares.
    pub state: SourceState,
    /// When its last message came, whatever became of it.
    pub last_at: Option<Timestamp>,
    /// What became of what it sent in the last thirty days.
    pub counts: SourceCounts,
}

/// Page views of visitors whose browsers ask for privacy, which were only measured for it; one with both signals is in
/// both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrivacySignals {
    /// Global Privacy Control.
    pub gpc: u64,
    /// Do Not Track.
    pub dnt: u64,
}

/// The sources of a site.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceBook {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// Those that an owner has made and those that have sent anything, the latest first.
    pub sources: Vec<SourceLine>,
    /// Of the last thirty days.
    pub privacy: PrivacySignals,
}

impl SourceBook {
    /// The table as CSV: `source, name, state, last_at, stored, duplicate, rejected`, counts of thirty days.
    pub fn csv(&self) -> String {
        let header = ["source", "name", "state", "last_at", "stored", "duplicate", "rejected"];
        let mut table = Table::with_header(&header);
        for line in &self.sources {
            table
                .text(&line.key)
                .maybe_text(line.name.as_deref())
                .text(line.state.key())
                .moment(line.last_at)
                .count(line.counts.stored)
                .count(line.counts.duplicate)
                .count(line.counts.rejected)
                .end();
        }
        table.into_text()
    }
}

/// What became of one day's messages. Days are of UTC, as the counters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceDay {
    /// The day.
    pub day: Date,
    /// Its messages.
    pub counts: SourceCounts,
}

/// The secret of a webhook, as far as its page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookSecret {
    /// There is none yet.
    Missing,
    /// The vendor gave it; it is not shown again.
    Kept,
    /// It was made here, for the owner to tell the vendor.
    Told(String),
}

/// What the owner of a webhook sees of how it is connected.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// The vendor's name.
    pub vendor: String,
    /// What the vendor is to post to.
    pub address: String,
    /// What it signs with.
    pub secret: HookSecret,
    /// What to do at the vendor.
    pub advice: &'static str,
    /// Put before this shop's order and customer ids.
    pub namespace: Option<String>,
    /// Orders are known by the number that customers see, not by the system's id.
    pub order_numbers: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the vendor tells, and what that becomes here.
    pub mapping: &'static [(&'static str, &'static str)],
    /// Requests to try it with: what they are called, and whether a request of that kind has to be named.
    pub samples: Vec<HookSample>,
}

/// What the owner of a connector sees of how it is connected.
#[derive(Clone, Debug, PartialEq)]
pub struct Connector {
    /// The system's name.
    pub system: String,
    /// The property or shop that is asked.
    pub account: String,
    /// What to do at the other side.
    pub advice: &'static str,
    /// When it was made.
    pub created_at: Timestamp,
    /// How it stands.
    pub report: ConnectorReport,
}

/// A request of a vendor's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSample {
    /// The topic, as the vendor writes it.
    pub topic: &'static str,
    /// The body.
    pub body: String,
}

/// One source with everything about it.
#[derive(Clone, Debug, PartialEq)]
pub struct SourcePage {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// Scheme and host where the collector is reached, without a slash at the end.
    pub origin: String,
    /// The site's public key.
    pub write_key: String,
    /// The source.
    pub line: SourceLine,
    /// The last thirty days, oldest first.
    pub days: Vec<SourceDay>,
    /// What was rejected in these days, the most frequent reason first.
    pub reasons: Vec<RejectedReason>,
    /// What was rejected last, newest first.
    pub latest_rejected: Vec<Rejection>,
    /// What came last of what happened within a day, newest first.
    pub events: Vec<LiveEvent>,
    /// How it is connected, where an owner has made it as a webhook.
    pub hook: Option<Hook>,
    /// How it is connected, where it is asked.
    pub connector: Option<Connector>,
}

impl SourcePage {
    /// The days as CSV: `day, stored, duplicate, rejected`.
    pub fn days_csv(&self) -> String {
        let mut table = Table::with_header(&["day", "stored", "duplicate", "rejected"]);
        for row in &self.days {
            let SourceCounts { stored, duplicate, rejected } = row.counts;
            table.text(&row.day.to_string()).count(stored).count(duplicate).count(rejected).end();
        }
        table.into_text()
    }

    /// The latest rejected messages as CSV: `arrived_at, reason, detail, sample`.
    pub fn rejected_csv(&self) -> String {
        super::live::rejected_csv(&self.latest_rejected)
    }
}

/// One event that a request would have become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WouldBe {
    /// The event's name, or its kind where it has none.
    pub name: String,
    /// Whose it would be: kinds and identifiers, the surest first.
    pub who: Vec<String>,
    /// When it happened.
    pub at: Timestamp,
    /// Properties or traits as JSON.
    pub properties: String,
}

/// What a request that somebody tried would have become; nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTrial {
    /// The topic that was tried.
    pub topic: String,
    /// The body that was tried.
    pub body: String,
    /// The events.
    pub events: Vec<WouldBe>,
    /// Reasons and details of what would have been rejected.
    pub faults: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    fn counts(stored: u64, duplicate: u64, rejected: u64) -> SourceCounts {
        SourceCounts { stored, duplicate, rejected }
    }

    #[test]
    fn a_source_fails_only_when_nothing_of_its_last_day_was_stored() {
        let now = at("2026-11-26T12:00:00Z");
        let of = |last: &str, day| SourceState::of(Some(at(last)), day, now);
        assert_eq!(SourceState::of(None, SourceCounts::default(), now), SourceState::Waiting);
        assert_eq!(of("2026-11-26T11:59:00Z", counts(1, 0, 500)), SourceState::Receiving);
        assert_eq!(of("2026-11-26T11:59:00Z", counts(0, 1, 500)), SourceState::Receiving);
        assert_eq!(of("2026-11-26T11:59:00Z", counts(0, 0, 1)), SourceState::Failing);
        assert_eq!(of("2026-11-19T12:00:00Z", counts(1, 0, 0)), SourceState::Receiving);
        assert_eq!(of("2026-11-19T11:59:59Z", counts(0, 0, 1)), SourceState::Quiet);
    }
}
