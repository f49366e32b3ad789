//! Lifecycle: how many orders somebody has made, and whether the next one is overdue by the site's own rhythm.
//!
//! **Limits.** The waiting times until the next order are taken from the site itself, apart for each number of orders
//! made. Those who have not ordered again yet are *right-censored*: leaving them out would make the gaps look shorter
//! than they are, above all at a young site where only quick returns can have been seen. So the share who have
//! returned within `t` days, `F(t)`, is the Kaplan–Meier estimate (Kaplan & Meier 1958, eq. 2b). Most one-time buyers
//! never return at all, so quantiles of `F` itself may not exist; what a shop asks is "of those who do come back, how
//! many have done so by now?". That is `F(t) / F(end)`, and its quantiles are the limits:
//!
//! - **at risk** after the day by which [`AT_RISK_SHARE`] of the returns have happened: later than usual;
//! - **churned** after the day by which [`CHURNED_SHARE`] have happened: waiting on is nearly always in vain.
//!
//! `end` is the last day on which at least [`MIN_WAITING`] people were still being waited for: behind it, single people
//! would decide. Returns that take longer than the site's history are not known to it, so the limits of a young site
//! grow with its age.

use serde::{Deserialize, Serialize};

/// Three of four who come back have done so: the upper quartile, the usual bound of what is ordinary.
pub const AT_RISK_SHARE: f64 = 0.75;

/// Nineteen of twenty who come back have done so.
pub const CHURNED_SHARE: f64 = 0.95;

/// Returns that a group needs for limits of its own: with fewer, the 95 % quantile rests on a single one.
pub const MIN_RETURNS: u32 = 30;

/// People who are still being waited for on the last day that counts: one return is then at most a tenth of them.
pub const MIN_WAITING: u32 = 10;

/// Limits in days for a site without enough returns: a quarter and half a year.
pub const DEFAULT_LIMIT_DAYS: (u32, u32) = (90, 180);

/// Longer gaps are taken as this long, 50 years: a date that wrong must not cost memory.
const MAX_GAP_DAYS: u32 = 18_263;

/// People by the number of orders they have made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Buyers {
    /// None yet.
    NewSignUps,
    /// One.
    OneTimers,
    /// Two.
    Repeats,
    /// Three and more.
    Loyals,
}

impl Buyers {
    /// All four, in that order.
    pub const ALL: [Buyers; 4] = [Buyers::NewSignUps, Buyers::OneTimers, Buyers::Repeats, Buyers::Loyals];

    /// The bracket of so many orders.
    pub fn after(orders: u32) -> Buyers {
        match orders {
            0 => Buyers::NewSignUps,
            1 => Buyers::OneTimers,
            2 => Buyers::Repeats,
            3.. => Buyers::Loyals,
        }
    }

    /// The name for machines.
    pub fn key(self) -> &'static str {
        match self {
            Buyers::NewSignUps => "new-sign-ups",
            Buyers::OneTimers => "one-timers",
            Buyers::Repeats => "repeats",
            Buyers::Loyals => "loyals",
        }
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Buyers::NewSignUps => "New sign-ups",
            Buyers::OneTimers => "One-timers",
            Buyers::Repeats => "Repeats",
            Buyers::Loyals => "Loyals",
        }
    }

    /// One sentence on who is in it.
    pub fn description(self) -> &'static str {
        match self {
            Buyers::NewSignUps => "Signed up and has not ordered yet.",
            Buyers::OneTimers => "Has ordered once.",
            Buyers::Repeats => "Has ordered twice.",
            Buyers::Loyals => "Has ordered three times or more.",
        }
    }
}

/// How overdue the next order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Not overdue.
    Active,
    /// Later than usual.
    AtRisk,
    /// Hardly expected any more.
    Churned,
}

impl Stage {
    /// All three, in that order.
    pub const ALL: [Stage; 3] = [Stage::Active, Stage::AtRisk, Stage::Churned];

    /// The name for machines.
    pub fn key(self) -> &'static str {
        match self {
            Stage::Active => "active",
            Stage::AtRisk => "at-risk",
            Stage::Churned => "churned",
        }
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Active => "Active",
            Stage::AtRisk => "At risk",
            Stage::Churned => "Churned",
        }
    }

    /// One sentence on who is in it.
    pub fn description(self) -> &'static str {
        match self {
            Stage::Active => "The next order is not overdue.",
            Stage::AtRisk => "The next order is later than three of four such orders on this site.",
            Stage::Churned => "The next order is later than nineteen of twenty such orders on this site.",
        }
    }
}

/// A cell of the lifecycle grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Standing {
    /// By number of orders.
    pub buyers: Buyers,
    /// By time since the last one.
    pub stage: Stage,
}

impl Standing {
    /// All twelve, row by row.
    pub fn all() -> impl Iterator<Item = Standing> {
        Buyers::ALL.into_iter().flat_map(|buyers| Stage::ALL.into_iter().map(move |stage| Standing { buyers, stage }))
    }
}

/// Waiting times until the next order of people with equally many orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// How many returned, and how many are still waited for, after so many days.
    by_day: Vec<(u32, u32)>,
}

impl Gaps {
    /// Somebody ordered again after so many days.
    pub fn returned(&mut self, days: u32) {
        self.day(days).0 += 1;
    }

    /// Somebody has not ordered again for so many days.
    pub fn waiting(&mut self, days: u32) {
        self.day(days).1 += 1;
    }

    /// How many ordered again.
    pub fn returns(&self) -> u32 {
        self.by_day.iter().map(|(returned, _)| returned).sum()
    }

    fn day(&mut self, days: u32) -> &mut (u32, u32) {
        let day = days.min(MAX_GAP_DAYS) as usize;
        if self.by_day.len() <= day {
            self.by_day.resize(day + 1, (0, 0));
        }
        &mut self.by_day[day]
    }

    fn add(&mut self, other: &Gaps) {
        for (day, (returned, waiting)) in (0..).zip(&other.by_day) {
            if returned + waiting > 0 {
                let sum = self.day(day);
                *sum = (sum.0 + returned, sum.1 + waiting);
            }
        }
    }

    /// The Kaplan–Meier estimate of who has returned after 0, 1, 2, … days, as far as it can be trusted.
    fn returned_by_day(&self) -> Vec<f64> {
        let mut at_risk: u32 = self.by_day.iter().map(|(returned, waiting)| returned + waiting).sum();
        let mut still_away = 1.0;
        let mut curve = Vec::with_capacity(self.by_day.len());
        for (returned, waiting) in &self.by_day {
            if at_risk < MIN_WAITING {
                break;
            }
            // Who is last seen waiting on a day was waited for on that day.
            still_away *= 1.0 - f64::from(*returned) / f64::from(at_risk);
            curve.push(1.0 - still_away);
            at_risk -= returned + waiting;
        }
        curve
    }

    /// The first day by which each share of those who return has done so; `None` with too few returns.
    fn limit_days(&self) -> Option<(u32, u32)> {
        let curve = self.returned_by_day();
        let end = *curve.last().filter(|_| self.returns() >= MIN_RETURNS)?;
        let day = |share: f64| u32::try_from(curve.partition_point(|returned| *returned < share * end)).ok();
        (end > 0.0).then_some((day(AT_RISK_SHARE)?, day(CHURNED_SHARE)?))
    }
}

/// Where a group's limits come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The group's own waiting times.
    Own,
    /// The waiting times of all buyers of the site, because the group has too few returns.
    AllBuyers,
    /// [`DEFAULT_LIMIT_DAYS`], because the site has too few returns.
    Default,
}

/// The limits between the stages for people with equally many orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Whom they are for.
    pub buyers: Buyers,
    /// Active up to and including this day.
    pub at_risk_days: u32,
    /// At risk up to and including this day, churned afterwards.
    pub churned_days: u32,
    /// Where they come from.
    pub basis: Basis,
    /// How many returns they rest on; those of the group where the basis is [`Basis::Default`].
    pub returns: u32,
}

/// The limits for each of [`Buyers::ALL`], from the waiting times of each.
pub fn limits(gaps: &[Gaps; 4]) -> [Limits; 4] {
    let mut all_buyers = Gaps::default();
    for gaps in &gaps[1..] {
        all_buyers.add(gaps);
    }
    Buyers::ALL.map(|buyers| {
        let own = &gaps[buyers as usize];
        let (days, basis, returns) = match (own.limit_days(), all_buyers.limit_days()) {
            (Some(days), _) => (days, Basis::Own, own.returns()),
            (None, Some(days)) => (days, Basis::AllBuyers, all_buyers.returns()),
            (None, None) => (DEFAULT_LIMIT_DAYS, Basis::Default, own.returns()),
        };
        // Every stage has at least a day.
        let at_risk_days = days.0.max(1);
        Limits { buyers, at_risk_days, churned_days: days.1.max(at_risk_days + 1), basis, returns }
    })
}

/// The stage of somebody who ordered last so many days ago.
pub fn stage(limits: &Limits, idle_days: u32) -> Stage {
    if idle_days <= limits.at_risk_days {
        Stage::Active
    } else if idle_days <= limits.churned_days {
        Stage::AtRisk
    } else {
        Stage::Churned
    }
}

/// Why somebody is where they are, in a sentence or two.
pub fn because(limits: &Limits, orders: u32, idle_days: u32) -> String {
    let since = match orders {
        0 => format!("Signed up, first seen {} and no order yet.", ago(idle_days)),
        1 => format!("1 order, {}.", ago(idle_days)),
        2.. => format!("{}, the last one {}.", counted(orders, "order"), ago(idle_days)),
    };
    let (at_risk, churned) = (counted(limits.at_risk_days, "day"), counted(limits.churned_days, "day"));
    let next = match limits.buyers {
        Buyers::NewSignUps => "a first order",
        Buyers::OneTimers => "a second order",
        Buyers::Repeats => "a third order",
        Buyers::Loyals => "a further order",
    };
    let rhythm = match limits.basis {
        Basis::Own => format!(
            "Of those who came to {next} here, three of four did within {at_risk} and nineteen of twenty within {churned}."
        ),
        Basis::AllBuyers => format!(
            "Too few came to {next} yet; of all who ordered again here, three of four did within {at_risk} and nineteen \
             of twenty within {churned}."
        ),
        Basis::Default => format!(
            "At risk after {at_risk}, churned after {churned}: general limits, until the site has {MIN_RETURNS} returns \
             of its own."
        ),
    };
    format!("{since} {rhythm}")
}

/// `today`, `1 day ago`, `12 days ago`.
pub(super) fn ago(days: u32) -> String {
    if days == 0 { "today".to_owned() } else { format!("{} ago", counted(days, "day")) }
}

/// `1 order`, `2 orders`.
pub(super) fn counted(count: u32, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
