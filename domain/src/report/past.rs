//! A segment as it would have been on past days, and what its people did afterwards.

use super::csv::Table;
use super::{Progress, Site};
use crate::money::Money;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

/// What some people did in so many days after one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Afterwards {
    /// How many of them ordered.
    pub ordered: u64,
    /// Their revenue in these days, in the site's currency.
    pub revenue: Money,
}

/// People at the end of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PastPeople {
    /// How many.
    pub people: u64,
    /// What they had spent by then.
    pub revenue: Money,
    /// The 30 days after; `None` while these are not over.
    pub in_30_days: Option<Afterwards>,
    /// The 90 days after.
    pub in_90_days: Option<Afterwards>,
}

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PastDay {
    /// The day at whose end people are looked at.
    pub day: Date,
    /// Who would have been in the segment.
    pub members: PastPeople,
    /// Everybody with a profile who had been there by then, members included.
    pub everybody: PastPeople,
}

/// Why there is no past to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPast {
    /// It is no rule that makes its members.
    List,
    /// The rule cannot be asked about the past; says why.
    Refused(String),
    /// The site, or something that the rule asks for, is being read into memory.
    Reading(Progress),
    /// This process keeps nobody in memory.
    Away,
}

/// A segment as it would have been, had its rule existed.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentPast {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// The segment's key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// The rule asks what models say, which is taken as they say it today.
    pub asks_models: bool,
    /// Page views and events before this day are not looked at.
    pub detail_from: Option<Date>,
    /// Some texts or properties found no room: tests on properties may miss people.
    pub is_crowded: bool,
    /// The days, oldest first.
    pub days: Result<Vec<PastDay>, NoPast>,
}

impl SegmentPast {
    /// The days as CSV.
    pub fn csv(&self) -> String {
        let revenue = |name: &str| format!("{name}_{}", self.site.currency);
        let mut header = vec!["segment".to_owned(), "day".to_owned()];
        for group in ["members", "everybody"] {
            header.extend([
                group.to_owned(),
                revenue(&format!("{group}_revenue")),
                format!("{group}_ordered_30_days"),
                revenue(&format!("{group}_revenue_30_days")),
                format!("{group}_ordered_90_days"),
                revenue(&format!("{group}_revenue_90_days")),
            ]);
        }
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let mut table = Table::with_header(&header);
        for day in self.days.iter().flatten() {
            table.text(&self.key).day(Some(day.day));
            for group in [&day.members, &day.everybody] {
                table.count(group.people).money(group.revenue);
                for after in [group.in_30_days, group.in_90_days] {
                    match after {
                        Some(after) => table.count(after.ordered).money(after.revenue),
                        None => table.text("").text(""),
                    };
                }
            }
            table.end();
        }
        table.into_text()
    }
}
