//! Segments: how many people are in which, what they bring, and who they are.

use super::csv::Table;
use super::{Paging, Site};
use crate::event::ProfileId;
use crate::money::Money;
use crate::segment::lifecycle::{Curve, LimitsVersion};
use crate::segment::rfm::Thresholds;
use jiff::Timestamp;
use jiff::civil::Date;

/// One segment on one day.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentRow {
    /// The key as URLs have it: `rfm-champions`, `rfm-r5f5`, `lifecycle-repeats-at-risk`; made of `a-z 0-9 -` alone.
    pub key: String,
    /// Its name, `Champions`.
    pub name: String,
    /// Who is in it, a sentence with its full stop.
    pub description: String,
    /// How many people.
    pub size: u64,
    /// What these people have spent so far, in the site's currency.
    pub revenue: Money,
}

/// The segments of a site on one day.
#[derive(Clone, Debug, PartialEq)]
pub struct Segments {
    /// The site.
    pub site: Site,
    /// Today in the site's time zone: no later day can be asked for.
    pub today: Date,
    /// Orders until the end of this day count.
    pub as_of: Date,
    /// Everybody with a profile by then.
    pub people: u64,
    /// Everybody with an order by then.
    pub customers: u64,
    /// What the customers have spent by then.
    pub revenue: Money,
    /// Recency × frequency; `None` while nobody has ordered.
    pub rfm: Option<Rfm>,
    /// The lifecycle grid; `None` while there are no people.
    pub lifecycle: Option<Lifecycle>,
}

/// The RFM segments: every customer is in one cell and in one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Rfm {
    /// The named groups, best first.
    pub groups: Vec<SegmentRow>,
    /// The 25 cells in any order; a missing one is empty.
    pub cells: Vec<RfmCell>,
    /// What the scores mean.
    pub cuts: RfmCuts,
    /// The site's own thresholds; `None` where each score is a fifth of the customers.
    pub own_cuts: Option<Thresholds>,
}

/// One cell of the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct RfmCell {
    /// 1 (long ago) to 5 (lately).
    pub recency: u8,
    /// 1 (few orders) to 5 (many).
    pub frequency: u8,
    /// The cell as a segment, `rfm-r5f5`.
    pub segment: SegmentRow,
    /// The name of the group it belongs to.
    pub group: String,
}

/// What the scores mean: the values that customers with a score have. A score that nobody has is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RfmCuts {
    /// Days since the last order.
    pub recency_days: Vec<ScoreRange>,
    /// Number of orders.
    pub orders: Vec<ScoreRange>,
    /// What was spent, in minor units of the site's currency.
    pub spent_minor: Vec<ScoreRange>,
}

/// The smallest and largest value of one score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreRange {
    /// 1 to 5.
    pub score: u8,
    /// Smallest value.
    pub low: i64,
    /// Largest value.
    pub high: i64,
}

/// The lifecycle grid: every person is in one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifecycle {
    /// Cells in any order; a missing one is empty.
    pub cells: Vec<LifecycleCell>,
    /// When somebody is active, at risk, churned: one entry per row of the grid.
    pub limits: Vec<LifecycleLimits>,
    /// How people come to their next order: the curves that limits are read from, one per row.
    pub curves: Vec<Curve>,
    /// The limits that the site has had, oldest first.
    pub versions: Vec<LimitsVersion>,
}

/// One cell of the lifecycle grid.
#[derive(Clone, Debug, PartialEq)]
pub struct LifecycleCell {
    /// The row: 0 new sign-ups (no order), 1 one-timers, 2 repeats, 3 loyals (three orders or more).
    pub buyers: u8,
    /// The column: 0 active, 1 at risk, 2 churned.
    pub stage: u8,
    /// The cell as a segment, `lifecycle-repeats-at-risk`.
    pub segment: SegmentRow,
}

/// The limits of one row of the lifecycle grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleLimits {
    /// The row, as in [`LifecycleCell::buyers`].
    pub buyers: u8,
    /// Active until so many days after the last order (or the sign-up).
    pub active_days: u32,
    /// At risk until so many days after it; churned from then on.
    pub at_risk_days: u32,
    /// Where the limits come from, a sentence with its full stop.
    pub basis: String,
}

impl Segments {
    /// Every segment of the page: RFM groups, RFM cells, lifecycle cells.
    pub fn all(&self) -> impl Iterator<Item = &SegmentRow> {
        let rfm = self.rfm.iter().flat_map(|rfm| rfm.groups.iter().chain(rfm.cells.iter().map(|cell| &cell.segment)));
        rfm.chain(self.lifecycle.iter().flat_map(|grid| grid.cells.iter().map(|cell| &cell.segment)))
    }

    /// The curves behind the lifecycle's limits as CSV.
    pub fn curves_csv(&self) -> String {
        let mut table =
            Table::with_header(&["as_of", "orders_before", "days", "returned_percent", "of_returning_percent"]);
        let percent = |share: f64| format!("{:.2}", share * 100.0);
        for curve in self.lifecycle.iter().flat_map(|grid| &grid.curves) {
            for point in &curve.points {
                table
                    .day(Some(self.as_of))
                    .text(curve.buyers.key())
                    .count(point.days.into())
                    .text(&percent(point.returned))
                    .text(&percent(point.of_returning))
                    .end();
            }
        }
        table.into_text()
    }

    /// All segments as CSV.
    pub fn csv(&self) -> String {
        let revenue = format!("revenue_{}", self.site.currency);
        let mut table = Table::with_header(&["as_of", "segment", "name", "description", "people", &revenue]);
        for row in self.all() {
            table
                .day(Some(self.as_of))
                .text(&row.key)
                .text(&row.name)
                .text(&row.description)
                .count(row.size)
                .money(row.revenue)
                .end();
        }
        table.into_text()
    }
}

/// The people of one segment on one day.
#[derive(Clone, Debug, PartialEq)]
pub struct Members {
    /// The site.
    pub site: Site,
    /// Today in the site's time zone.
    pub today: Date,
    /// The day.
    pub as_of: Date,
    /// The segment.
    pub segment: SegmentRow,
    /// Everybody the segment was chosen from: customers for RFM, people for the lifecycle.
    pub population: u64,
    /// The rows of this page.
    pub rows: Vec<Member>,
    /// Where in the list they are.
    pub paging: Paging,
}

/// One member of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The profile.
    pub profile_id: ProfileId,
    /// Name, e-mail address or user id; `None` for an anonymous visitor.
    pub name: Option<String>,
    /// Orders by the day.
    pub orders: u64,
    /// Their sum in the site's currency.
    pub revenue: Money,
    /// Day of the first order.
    pub first_order: Option<Date>,
    /// Day of the latest order.
    pub last_order: Option<Date>,
    /// Latest event of any kind.
    pub last_seen: Option<Timestamp>,
    /// Why this person is here: a sentence or two.
    pub because: String,
}

impl Members {
    /// The rows as CSV: all that this value carries.
    pub fn csv(&self) -> String {
        Members::csv_of(&self.site, &self.segment.key, self.as_of, &self.rows)
    }

    /// Some members of a segment as CSV.
    pub fn csv_of(site: &Site, segment: &str, as_of: Date, rows: &[Member]) -> String {
        let revenue = format!("revenue_{}", site.currency);
        let mut table = Table::with_header(&[
            "segment",
            "as_of",
            "profile_id",
            "person",
            "orders",
            &revenue,
            "first_order",
            "last_order",
            "last_seen",
            "because",
        ]);
        for row in rows {
            table
                .text(segment)
                .day(Some(as_of))
                .text(&row.profile_id.0.to_string())
                .maybe_text(row.name.as_deref())
                .count(row.orders)
                .money(row.revenue)
                .day(row.first_order)
                .day(row.last_order)
                .moment(row.last_seen)
                .text(&row.because)
                .end();
        }
        table.into_text()
    }
}
