//! The overview: four measures over time, compared with the period before, and what explains them.

use super::audience::{AudienceTable, Breakdown};
use super::csv::Table;
use super::{Period, Site};
use crate::money::Money;
use jiff::Timestamp;
use jiff::civil::Date;

/// The four measures of a stretch of time.
///
/// Visitors of a longer stretch are not the sum of its days' visitors: who comes on two days is one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// People, and visitors who are only measured.
    pub visitors: u64,
    /// Visits.
    pub sessions: u64,
    /// Orders that count.
    pub orders: u64,
    /// Their sum in the site's currency.
    pub revenue: Money,
}

/// One of the four measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// People who visited.
    Visitors,
    /// Visits.
    Sessions,
    /// Orders that count.
    Orders,
    /// What they brought.
    Revenue,
}

impl Measure {
    /// All four, in the order of the page.
    pub const ALL: [Measure; 4] = [Measure::Visitors, Measure::Sessions, Measure::Orders, Measure::Revenue];

    /// The word in URLs and anchors.
    pub fn key(self) -> &'static str {
        match self {
            Measure::Visitors => "visitors",
            Measure::Sessions => "sessions",
            Measure::Orders => "orders",
            Measure::Revenue => "revenue",
        }
    }

    /// The number: a count, or minor units.
    pub fn of(self, totals: &Totals) -> i64 {
        let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        match self {
            Measure::Visitors => count(totals.visitors),
            Measure::Sessions => count(totals.sessions),
            Measure::Orders => count(totals.orders),
            Measure::Revenue => totals.revenue.minor,
        }
    }
}

/// One day's measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// The day.
    pub date: Date,
    /// Its measures.
    pub totals: Totals,
}

/// What one page brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRow {
    /// Host and path.
    pub page: String,
    /// Its title, where one is known.
    pub title: Option<String>,
    /// How often it was viewed.
    pub views: u64,
    /// By how many visitors.
    pub visitors: u64,
    /// How many visits began on it.
    pub entries: u64,
    /// Views in the period before.
    pub previous_views: u64,
}

/// What one channel brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRow {
    /// The channel's key, `organic_search`.
    pub key: String,
    /// Its name, `Organic search`.
    pub name: String,
    /// People whose first touch ever was this channel, in this period.
    pub new_people: u64,
    /// Visits it brought.
    pub sessions: u64,
    /// Orders of these visits.
    pub orders: u64,
    /// Their sum.
    pub revenue: Money,
    /// Visits in the period before.
    pub previous_sessions: u64,
    /// Orders in the period before.
    pub previous_orders: u64,
    /// Their sum.
    pub previous_revenue: Money,
}

/// Orders of the period that are not part of its revenue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrdersAside {
    /// Sums of orders in other currencies, which are not added up.
    pub other_currencies: Vec<Money>,
    /// Orders that only a browser reported and that do not count.
    pub unconfirmed: u64,
    /// Counted orders whose report named no amount.
    pub without_amount: u64,
}

/// The overview of a period.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// The site.
    pub site: Site,
    /// Which days.
    pub period: Period,
    /// The moment of this report; a last day that is not over ends here.
    pub now: Timestamp,
    /// When the site's first event happened; `None` while there is none.
    pub first_event_at: Option<Timestamp>,
    /// Measures of the period.
    pub totals: Totals,
    /// Measures of the period before.
    pub previous: Totals,
    /// Every day of the period in order, empty ones too.
    pub days: Vec<Day>,
    /// Every day of the period before in order, empty ones too.
    pub previous_days: Vec<Day>,
    /// Most viewed first; at most some ten on the page, more in a file.
    pub pages: Vec<PageRow>,
    /// Most visits first; every channel that brought something in one of the periods.
    pub channels: Vec<ChannelRow>,
    /// Where and with what people visited, one table for each of [`Breakdown::ALL`].
    pub audience: Vec<AudienceTable>,
    /// Visitors of the period who were only measured: they have no profile to look at.
    pub measured_visitors: u64,
    /// Orders that are not part of the revenue.
    pub aside: OrdersAside,
}

/// A table of the overview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverviewTable {
    /// The four measures by day, both periods.
    Days,
    /// Pages.
    Pages,
    /// Channels.
    Channels,
    /// One of [`Overview::audience`].
    Audience(Breakdown),
}

impl OverviewTable {
    /// The word in the file's name, `channels.csv`.
    pub fn key(self) -> &'static str {
        match self {
            OverviewTable::Days => "days",
            OverviewTable::Pages => "pages",
            OverviewTable::Channels => "channels",
            OverviewTable::Audience(by) => by.key(),
        }
    }

    /// Reads [`OverviewTable::key`] back.
    pub fn from_key(key: &str) -> Option<OverviewTable> {
        [OverviewTable::Days, OverviewTable::Pages, OverviewTable::Channels]
            .into_iter()
            .find(|table| table.key() == key)
            .or_else(|| Breakdown::from_key(key).map(OverviewTable::Audience))
    }
}

impl Overview {
    /// A table as CSV.
    pub fn csv(&self, table: OverviewTable) -> String {
        match table {
            OverviewTable::Days => self.days_csv(),
            OverviewTable::Pages => self.pages_csv(),
            OverviewTable::Channels => self.channels_csv(),
            OverviewTable::Audience(by) => {
                let table = self.audience.iter().find(|table| table.by == by);
                table.map_or_else(|| AudienceTable { by, rows: Vec::new() }.csv(), AudienceTable::csv)
            }
        }
    }

    fn days_csv(&self) -> String {
        let revenue = format!("revenue_{}", self.site.currency);
        let mut table = Table::with_header(&["period", "day", "visitors", "sessions", "orders", &revenue]);
        for (period, days) in [("this", &self.days), ("before", &self.previous_days)] {
            for day in days {
                table
                    .text(period)
                    .day(Some(day.date))
                    .count(day.totals.visitors)
                    .count(day.totals.sessions)
                    .count(day.totals.orders)
                    .money(day.totals.revenue)
                    .end();
            }
        }
        table.into_text()
    }

    fn pages_csv(&self) -> String {
        let mut table = Table::with_header(&["page", "title", "views", "visitors", "entries", "views_before"]);
        for row in &self.pages {
            table
                .text(&row.page)
                .maybe_text(row.title.as_deref())
                .count(row.views)
                .count(row.visitors)
                .count(row.entries)
                .count(row.previous_views)
                .end();
        }
        table.into_text()
    }

    fn channels_csv(&self) -> String {
        let revenue = format!("revenue_{}", self.site.currency);
        let before = format!("revenue_before_{}", self.site.currency);
        let mut table = Table::with_header(&[
            "channel",
            "new_people",
            "sessions",
            "orders",
            &revenue,
            "sessions_before",
            "orders_before",
            &before,
        ]);
        for row in &self.channels {
            table
                .text(&row.name)
                .count(row.new_people)
                .count(row.sessions)
                .count(row.orders)
                .money(row.revenue)
                .count(row.previous_sessions)
                .count(row.previous_orders)
                .money(row.previous_revenue)
                .end();
        }
        table.into_text()
    }
}

/// Which way something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More than before.
    Up,
    /// Less than before.
    Down,
}

/// A number then and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// In the period before: a count, or minor units.
    pub before: i64,
    /// In the period.
    pub now: i64,
}

impl Moved {
    /// Change in percent of the value before; `None` when there was nothing before.
    pub fn percent(&self) -> Option<f64> {
        (self.before > 0).then(|| (self.now - self.before) as f64 / self.before as f64 * 100.0)
    }

    /// Which way; `None` when nothing changed.
    pub fn direction(&self) -> Option<Direction> {
        match self.now.cmp(&self.before) {
            std::cmp::Ordering::Greater => Some(Direction::Up),
            std::cmp::Ordering::Less => Some(Direction::Down),
            std::cmp::Ordering::Equal => None,
        }
    }
}

/// The one channel that most of a change comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its own change.
    pub moved: Moved,
}

/// Something that changed enough to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A measure of the whole site.
    Measure {
        /// Which one.
        measure: Measure,
        /// Then and now.
        moved: Moved,
        /// More than the days' own ups and downs explain (95 %).
        certain: bool,
        /// Where more than half of the change comes from, if it is one channel.
        driver: Option<Driver>,
    },
    /// A page that is viewed much more or much less.
    Page {
        /// Host and path.
        page: String,
        /// Views then and now.
        moved: Moved,
    },
}

impl Overview {
    /// Below this nobody acts on a difference, however certain it is.
    const WORTH_SAYING_PERCENT: f64 = 5.0;
    /// Two-sided 95 % of the normal distribution.
    const Z_95: f64 = 1.96;
    /// For pages: there are many of them, so that one in twenty would often be chance.
    const Z_MANY: f64 = 4.0;

    /// A measure then and now.
    pub fn moved(&self, measure: Measure) -> Moved {
        Moved { before: measure.of(&self.previous), now: measure.of(&self.totals) }
    }

    /// What changed enough to be said, the most telling first; empty when nothing did or there is no period before.
    ///
    /// A measure is mentioned when it moved by 5 % or more. It is called certain when the difference is larger than 1.96
    /// standard errors: from the spread of the daily values where both periods have seven days or more (Welch's t with
    /// the normal limit; a weekly rhythm counts as spread, which makes it careful), else, for counts, from the counts
    /// themselves as Poisson numbers. What moved by a fifth or more without being certain is mentioned as such; all
    /// else is left unsaid. Visitors are left out where sessions say the same.
    pub fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for measure in [Measure::Revenue, Measure::Orders, Measure::Visitors, Measure::Sessions] {
            let moved = self.moved(measure);
            let (Some(percent), Some(_)) = (moved.percent(), moved.direction()) else { continue };
            if percent.abs() < Self::WORTH_SAYING_PERCENT {
                continue;
            }
            let certain = self.certain(measure, moved);
            let said_already = measure == Measure::Sessions
                && changes.iter().any(|change| matches!(change, Change::Measure { measure: Measure::Visitors, .. }));
            if (certain || percent.abs() >= 20.0) && !said_already {
                changes.push(Change::Measure { measure, moved, certain, driver: self.driver(measure, moved) });
            }
        }
        changes.extend(self.moved_page());
        changes.sort_by_key(|change| matches!(change, Change::Measure { certain: false, .. }));
        changes
    }

    fn certain(&self, measure: Measure, moved: Moved) -> bool {
        let spread = |days: &[Day]| {
            let values: Vec<f64> = days.iter().map(|day| measure.of(&day.totals) as f64).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64;
            (mean, variance / values.len() as f64)
        };
        if self.days.len() >= 7 && self.previous_days.len() >= 7 {
            let ((mean, error), (mean_before, error_before)) = (spread(&self.days), spread(&self.previous_days));
            let standard_error = (error + error_before).sqrt();
            return (mean - mean_before).abs() > Self::Z_95 * standard_error;
        }
        match measure {
            Measure::Revenue => false,
            Measure::Visitors | Measure::Sessions | Measure::Orders => z_of_counts(moved).abs() > Self::Z_95,
        }
    }

    fn driver(&self, measure: Measure, moved: Moved) -> Option<Driver> {
        let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let of = |row: &ChannelRow| match measure {
            // People have no channel in this table but the first one; their visits stand for them.
            Measure::Visitors | Measure::Sessions => {
                Moved { before: count(row.previous_sessions), now: count(row.sessions) }
            }
            Measure::Orders => Moved { before: count(row.previous_orders), now: count(row.orders) },
            Measure::Revenue => Moved { before: row.previous_revenue.minor, now: row.revenue.minor },
        };
        let whole = match measure {
            Measure::Visitors => self.moved(Measure::Sessions),
            Measure::Sessions | Measure::Orders | Measure::Revenue => moved,
        };
        if whole.direction() != moved.direction() {
            return None;
        }
        self.channels
            .iter()
            .map(|row| (row, of(row)))
            .filter(|(_, own)| own.direction() == whole.direction())
            .max_by_key(|(_, own)| (own.now - own.before).abs())
            .filter(|(_, own)| (own.now - own.before).abs() * 2 > (whole.now - whole.before).abs())
            .map(|(row, own)| Driver { key: row.key.clone(), name: row.name.clone(), moved: own })
    }

    /// The page whose views moved furthest beyond the site's own change.
    fn moved_page(&self) -> Option<Change> {
        let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let site = self.moved(Measure::Sessions);
        if site.before == 0 {
            return None;
        }
        let growth = site.now as f64 / site.before as f64;
        self.pages
            .iter()
            .filter_map(|row| {
                let moved = Moved { before: count(row.previous_views), now: count(row.views) };
                let expected = moved.before as f64 * growth;
                // Views come several to a visit, so they spread wider than Poisson; twice the variance is careful.
                let z = (moved.now as f64 - expected) / (2.0 * (moved.now as f64 + expected * growth).max(1.0)).sqrt();
                let large = moved.percent().is_none_or(|percent| percent.abs() >= 20.0);
                (z.abs() > Self::Z_MANY && large && moved.before > 0).then(|| (z.abs(), row, moved))
            })
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, row, moved)| Change::Page { page: row.page.clone(), moved })
    }
}

/// The difference of two Poisson counts in standard errors.
fn z_of_counts(moved: Moved) -> f64 {
    (moved.now - moved.before) as f64 / ((moved.now + moved.before).max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests;
