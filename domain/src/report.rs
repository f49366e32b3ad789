//! Report values: what a page shows, as numbers with their units. The collector fills them from the store, the
//! dashboard turns them into HTML, and the same value gives the table's CSV, so that the three never disagree.
//!
//! Counts are whole numbers, amounts are [`Money`] in the site's currency, moments are [`Timestamp`]s; days are days of
//! the site's time zone. Nothing here reads a clock: a report carries the moment it was made for.

mod acquisition;
mod audience;
mod connectors;
mod csv;
mod experience;
mod imports;
mod in_use;
mod insight;
mod joins;
mod live;
mod matches;
mod overview;
mod past;
mod people;
mod period;
mod plan;
mod predictions;
mod segments;
mod setup;
mod sources;
mod traits;

pub use acquisition::{
    Acquisition, AcquisitionTable, Brought, CampaignRow, ChannelCost, History, HistoryRow, Search, SearchCounts,
    SearchRow, SpendRow, Spent, TrafficRow, Unmatched, match_campaigns,
};
pub use audience::{AudienceRow, AudienceTable, Breakdown};
pub use connectors::{ConnectorReport, ConnectorState};
pub use csv::csv_line;
pub use experience::{Experience, Grade, PageExperience, ViewMeasures, ViewSums, Vital, VitalSpread, shift};
pub use imports::{
    Import, ImportFault, ImportField, ImportKind, ImportPreview, ImportReport, ImportState, ImportedEvent, Imports,
};
pub use in_use::{
    ArchivedSegment, ArchivedSegments, DayChange, InUse, KeptBy, KnownWord, KnownWords, Listed, Move, MoveOfPerson,
    MoveOfSegment, Preview, PreviewPerson, Progress, SegmentReport, SegmentsInUse, Shape, SharedWith, SizeDay,
    SizeHistory, Tried, Unheard,
};
pub use insight::{Compared, InMemory, MonthOfRevenue, Passage, SegmentInsight, Suggested, Why};
pub use joins::{BlockedValue, Identifier, IdentityBook, JoinLink, JoinNode, Joins, KeptApart, RefusedJoins};
pub use live::{Consent, Live, LiveEvent, Outcomes, RejectedReason, Rejection};
pub use matches::{
    MATCH_THRESHOLDS, Match, MatchBook, MatchEvidence, MatchLook, MatchPerson, MatchState, MayBe, matches_csv,
};
pub use overview::{
    Change, ChannelRow, Day, Direction, Driver, Measure, Moved, OrdersAside, Overview, OverviewTable, PageRow, Totals,
};
pub use past::{Afterwards, NoPast, PastDay, PastPeople, SegmentPast};
pub use people::{
    Belonging, Did, Happened, IdentityRow, Moment, OrderChange, OrderStanding, Paging, People, PeopleFilter,
    PersonName, PersonRow, Profile, ProfileTable, TimelineEntry, TimelineFilter, TimelineKind, Visit,
};
pub use period::{Period, PeriodChoice, PeriodError, Windows};
pub use plan::{BreachRow, Plan, PlanEvent, PlanEventRow, SeenProperty};
pub use predictions::{
    AliveBand, ClusterProposal, ClusterRow, ClusterRule, Clusters, Expected, MadeOf, Outlook, Predictions,
    PredictionsTable, Proposed, Scored, VisitsOutlook,
};
pub use segments::{
    Lifecycle, LifecycleCell, LifecycleLimits, Member, Members, Rfm, RfmCell, RfmCuts, ScoreRange, SegmentRow, Segments,
};
pub use setup::{BOT_LIMIT, Bots, BrowserOrders, Setup, TagConsent, script_tag};
pub use sources::{
    Connector, Hook, HookSample, HookSecret, SourceBook, SourceCounts, SourceDay, SourceLine, SourcePage, SourceState,
    SourceTrial, WouldBe,
};
pub use traits::{
    ComputedTraitRow, ComputedTraits, KnownTrait, Spread, TraitOrigin, TraitPreview, TraitPreviewPerson, TriedTrait,
};

use crate::money::{Currency, Money};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// What every report says of the site it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The site's number.
    pub id: i32,
    /// The site's name.
    pub name: String,
    /// Sums are in this currency.
    pub currency: Currency,
    /// Days begin and end in this zone.
    pub time_zone: TimeZone,
}

impl Site {
    /// The day of the site's calendar that `at` falls on.
    pub fn day(&self, at: Timestamp) -> Date {
        at.to_zoned_datetime(self.time_zone.clone()).date()
    }

    /// An amount of the site's currency.
    pub fn money(&self, minor: i64) -> Money {
        Money { minor, currency: self.currency }
    }
}
