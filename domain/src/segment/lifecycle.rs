//! Lifecycle: how many orders somebody has made, and whether the next one is overdue by the site's own rhythm.
//!
//! **Limits.** The waiting times until the next order are taken from the site itself, apart for each number of orders
//! made. Those who have not ordered again yet are *right-censored*: leaving them out would make the gaps look shorter
//! than they are, above all at a young site where only quick returns can have been seen. So the share who have
//! returned within `t` days, `F(t)`, is the Kaplan–Meier estimate (Kaplan & Meier 1958, eq. 2b). Most one-time buyers
//! never return at all, so quantiles of `F` itself may not exist; what a shop asks is "of those who do come back, how
//! many have done so by now?". That is `F(t) / F(end)`, and its quantiles are the limits:
//!
//! - the **usual gap** is the day by which [`USUAL_SHARE`] of the returns have happened;
//! - **at risk** after the day by which [`AT_RISK_SHARE`] of the returns have happened: later than usual;
//! - **churned** after the day by which [`CHURNED_SHARE`] have happened: waiting on is nearly always in vain.
//!
//! `end` is the last day on which at least [`MIN_WAITING`] people were still being waited for: behind it, single people
//! would decide. Returns that take longer than the site's history are not known to it, so the limits of a young site
//! grow with its age.
//!
//! **Versions.** Limits that were taken anew every night would move people who did nothing. So a site keeps the limits it
//! has until new ones are worth a change, see [`revise`], and knows which ones held on which day.

mod versions;

pub use versions::{GAP_TOLERANCE_DAYS, GAP_TOLERANCE_SHARE, LimitsVersion, at, revise};

use serde::{Deserialize, Serialize};

/// Half of those who come back have done so.
pub const USUAL_SHARE: f64 = 0.5;

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

/// Points of a [`Curve`] at most: as many as a chart can show apart.
pub const MAX_POINTS: usize = 200;

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

    /// One sentence on what to do with them.
    pub fn action(self) -> &'static str {
        use Buyers::{Loyals, NewSignUps, OneTimers, Repeats};
        use Stage::{Active, AtRisk, Churned};
        match (self.buyers, self.stage) {
            (NewSignUps, Active) => {
                "Welcome them with one clear next step and the products that first orders begin with."
            }
            (NewSignUps, AtRisk) => "Answer the usual doubts (delivery, returns, price) and make a first-order offer.",
            (NewSignUps, Churned) => {
                "Ask once whether they still want to hear from you, and stop writing to those who do not answer."
            }
            (OneTimers, Active) => {
                "Thank them and help them use what they bought; keep discounts back while a second order is on time."
            }
            (OneTimers, AtRisk) => "Make a second-order offer now, with something that goes with the first purchase.",
            (OneTimers, Churned) => "Make one last win-back offer, then leave them out of paid campaigns.",
            (Repeats, Active) => "Show them what goes with their two orders and invite them to the loyalty programme.",
            (Repeats, AtRisk) => "Remind them of what they bought, with a small reason to come back this week.",
            (Repeats, Churned) => "Ask what went wrong and make one strong win-back offer.",
            (Loyals, Active) => "Thank them with early access instead of discounts, and ask for referrals.",
            (Loyals, AtRisk) => "Write to them personally and find out what changed before they are gone.",
            (Loyals, Churned) => "Call the best of them, and send the others your strongest win-back offer.",
        }
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

    /// The Kaplan–Meier estimate of who has returned after 0, 1, 2, … days, as far as it can be trusted, and how many
    /// were still waited for on the last of these days.
    fn returned_by_day(&self) -> (Vec<f64>, u32) {
        let mut at_risk = self.people();
        let mut waiting_at_end = 0;
        let mut still_away = 1.0;
        let mut curve = Vec::with_capacity(self.by_day.len());
        for (returned, waiting) in &self.by_day {
            if at_risk < MIN_WAITING {
                break;
            }
            // Who is last seen waiting on a day was waited for on that day.
            still_away *= 1.0 - f64::from(*returned) / f64::from(at_risk);
            curve.push(1.0 - still_away);
            waiting_at_end = at_risk;
            at_risk -= returned + waiting;
        }
        (curve, waiting_at_end)
    }

    /// All who were waited for.
    fn people(&self) -> u32 {
        self.by_day.iter().map(|(returned, waiting)| returned + waiting).sum()
    }

    /// The first day by which each share of those who return has done so; `None` with too few returns.
    fn quantiles(&self) -> Option<Quantiles> {
        let (curve, _) = self.returned_by_day();
        let end = *curve.last().filter(|_| self.returns() >= MIN_RETURNS)?;
        let day = |share: f64| u32::try_from(curve.partition_point(|returned| *returned < share * end)).ok();
        let quantiles =
            Quantiles { usual: day(USUAL_SHARE)?, at_risk: day(AT_RISK_SHARE)?, churned: day(CHURNED_SHARE)? };
        (end > 0.0).then_some(quantiles)
    }
}

/// Days by which certain shares of those who return have done so.
#[derive(Clone, Copy)]
struct Quantiles {
    usual: u32,
    at_risk: u32,
    churned: u32,
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

/// How a site's people come back: everything that the lifecycle and the timing of messages take from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rhythm {
    /// The limits for each of [`Buyers::ALL`].
    pub limits: [Limits; 4],
    /// The days by which half of those who come back have done so, for each of [`Buyers::ALL`]; on the basis of their
    /// limits, `None` where these are general ones.
    pub usual_gap_days: [Option<u32>; 4],
}

impl Rhythm {
    /// From the waiting times of each of [`Buyers::ALL`].
    pub fn of(gaps: &[Gaps; 4]) -> Rhythm {
        let mut all_buyers = Gaps::default();
        for gaps in &gaps[1..] {
            all_buyers.add(gaps);
        }
        let of_all = all_buyers.quantiles();
        let each = Buyers::ALL.map(|buyers| {
            let own = &gaps[buyers as usize];
            let (days, basis, returns) = match (own.quantiles(), of_all) {
                (Some(days), _) => (Some(days), Basis::Own, own.returns()),
                (None, Some(days)) => (Some(days), Basis::AllBuyers, all_buyers.returns()),
                (None, None) => (None, Basis::Default, own.returns()),
            };
            let (at_risk, churned) = days.map_or(DEFAULT_LIMIT_DAYS, |days| (days.at_risk, days.churned));
            // Every stage has at least a day.
            let at_risk_days = at_risk.max(1);
            let limits = Limits { buyers, at_risk_days, churned_days: churned.max(at_risk_days + 1), basis, returns };
            (limits, days.map(|days| days.usual))
        });
        Rhythm { limits: each.map(|(limits, _)| limits), usual_gap_days: each.map(|(_, usual)| usual) }
    }
}

/// The limits for each of [`Buyers::ALL`], from the waiting times of each.
pub fn limits(gaps: &[Gaps; 4]) -> [Limits; 4] {
    Rhythm::of(gaps).limits
}

/// How people with equally many orders came to the next one: the Kaplan–Meier curve behind their limits, for a chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Whose it is.
    pub buyers: Buyers,
    /// All who were ever waited for: those who ordered again and those who have not yet.
    pub people: u32,
    /// Those who ordered again.
    pub returns: u32,
    /// Where the curve steps, by day, [`MAX_POINTS`] at most; between two points it stays level. Empty while fewer than
    /// [`MIN_WAITING`] people are there to look at.
    pub points: Vec<CurvePoint>,
    /// Who was still waited for on the curve's last day.
    pub waiting_at_end: u32,
    /// The limits; where the group has too few returns of its own, they come from elsewhere than this curve, and their
    /// basis says so.
    pub limits: Limits,
    /// The usual gap in days, on the same basis as the limits.
    pub usual_gap_days: Option<u32>,
}

/// One point of a [`Curve`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Days since the order before; for new sign-ups since they were first seen.
    pub days: u32,
    /// The share of all people who have ordered again by then, 0 to 1.
    pub returned: f64,
    /// The share of those who order again by the curve's end who have done so by then, 0 to 1: what limits are read from.
    pub of_returning: f64,
}

impl Curve {
    /// The curves of all four groups.
    pub fn all(gaps: &[Gaps; 4]) -> [Curve; 4] {
        let rhythm = Rhythm::of(gaps);
        Buyers::ALL.map(|buyers| {
            let own = &gaps[buyers as usize];
            let (returned, waiting_at_end) = own.returned_by_day();
            Curve {
                buyers,
                people: own.people(),
                returns: own.returns(),
                points: points(&returned),
                waiting_at_end,
                limits: rhythm.limits[buyers as usize],
                usual_gap_days: rhythm.usual_gap_days[buyers as usize],
            }
        })
    }
}

/// The days on which the share steps up, the first and the last day; evenly thinned where they are too many.
fn points(returned_by_day: &[f64]) -> Vec<CurvePoint> {
    let last = returned_by_day.len().saturating_sub(1);
    let end = returned_by_day.last().copied().unwrap_or(0.0);
    let steps = |day: &usize| *day == 0 || *day == last || returned_by_day[*day] > returned_by_day[*day - 1];
    let days: Vec<usize> = (0..returned_by_day.len()).filter(steps).collect();
    let kept = days.len().min(MAX_POINTS);
    let spread = |place: usize| days[place * (days.len() - 1) / (kept - 1).max(1)];
    let point = |day: usize| CurvePoint {
        days: u32::try_from(day).unwrap_or(u32::MAX),
        returned: returned_by_day[day],
        of_returning: if end > 0.0 { returned_by_day[day] / end } else { 0.0 },
    };
    (0..kept).map(spread).map(point).collect()
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
