//! How people come to their next order: a small picture per row of the lifecycle grid, and the numbers.

use crate::format;
use domain::report::{Lifecycle, LifecycleLimits};
use domain::segment::lifecycle::{self, Buyers, Curve};
use std::fmt::Write;

/// The picture's inner size, in its own units.
const WIDTH: f64 = 260.0;
const BOTTOM: f64 = 106.0;
const TOP: f64 = 18.0;
/// Days of the table's rows.
const DAYS: [u32; 7] = [7, 14, 30, 60, 90, 180, 365];

pub(crate) struct CurveView {
    pub(crate) name: &'static str,
    pub(crate) summary: String,
    pub(crate) line: String,
    pub(crate) area: String,
    pub(crate) top: String,
    pub(crate) top_y: u32,
    pub(crate) last: String,
    pub(crate) marks: Vec<MarkView>,
}

/// A limit in the picture.
pub(crate) struct MarkView {
    pub(crate) class: &'static str,
    pub(crate) text: String,
    pub(crate) x: u32,
}

pub(crate) struct CurveRow {
    pub(crate) days: String,
    pub(crate) shares: Vec<String>,
}

fn name(buyers: Buyers) -> &'static str {
    match buyers {
        Buyers::NewSignUps => "To the first order",
        Buyers::OneTimers => "To the second",
        Buyers::Repeats => "To the third",
        Buyers::Loyals => "To each further one",
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", share * 100.0)
}

/// The share who had ordered again by a day; `None` beyond what is known.
fn by_day(curve: &Curve, days: u32) -> Option<f64> {
    let known = curve.points.last()?.days;
    (days <= known).then(|| curve.points.iter().take_while(|point| point.days <= days).last())?.map(|p| p.returned)
}

fn view(curve: &Curve, limits: Option<&LifecycleLimits>, usual_gap_days: Option<u32>) -> CurveView {
    let known = curve.points.last();
    let (end, returned) = known.map_or((0, 0.0), |point| (point.days, point.returned));
    let mut marked: Vec<(&'static str, &'static str, u32)> = Vec::new();
    marked.extend(usual_gap_days.map(|days| ("usual", "usual", days)));
    if let Some(limits) = limits {
        marked.push(("risk", "at risk after", limits.active_days));
        marked.push(("gone", "churned after", limits.at_risk_days));
    }
    // Behind the limits little happens, for years at an old site: the picture ends soon after them.
    let furthest = marked.iter().map(|(.., days)| *days).max().unwrap_or(0);
    let last = end.min(furthest * 3 / 2).max(furthest).max(1);
    let x = |days: u32| f64::from(days) / f64::from(last) * WIDTH;
    let top = curve.points.iter().take_while(|point| point.days <= last).last().map_or(0.0, |p| p.returned).max(0.01);
    let y = |share: f64| BOTTOM - share / top * (BOTTOM - TOP);
    let mut line = String::new();
    let shown = || curve.points.iter().take_while(|point| point.days <= last);
    for (place, point) in shown().enumerate() {
        // Writing to a String cannot fail.
        match place {
            0 => write!(line, "M{:.1} {:.1}", x(point.days), y(point.returned)),
            _ => write!(line, "H{:.1}V{:.1}", x(point.days), y(point.returned)),
        }
        .unwrap_or_default();
    }
    if !line.is_empty() && end > last {
        write!(line, "H{WIDTH:.0}").unwrap_or_default();
    }
    let first = curve.points.first().map_or(0.0, |point| x(point.days));
    let area = if line.is_empty() { String::new() } else { format!("{line}V{BOTTOM:.0}H{first:.1}z") };
    let marks = marked.into_iter().map(|(class, words, days)| MarkView {
        class,
        text: format!("{words} {}", format::counted(&u64::from(days), "day", "days")),
        x: x(days).clamp(1.0, WIDTH - 1.0).round() as u32,
    });
    let people = format::counted(&u64::from(curve.people), "person", "people");
    let summary = if line.is_empty() {
        format!("Too few to tell: {people} so far.")
    } else {
        format!(
            "{}: {} of {people} have, {} within {}.",
            name(curve.buyers),
            format::count(&u64::from(curve.returns)),
            percent(returned),
            format::counted(&u64::from(end), "day", "days"),
        )
    };
    CurveView {
        name: name(curve.buyers),
        summary,
        area,
        line,
        top: percent(top),
        top_y: TOP as u32,
        last: format::counted(&u64::from(last), "day", "days"),
        marks: marks.collect(),
    }
}

/// The pictures of all four rows, and the table of them; empty where nothing is known.
pub(crate) fn curves(grid: &Lifecycle, as_of: jiff::civil::Date) -> (Vec<CurveView>, Vec<CurveRow>) {
    // The gaps that the site goes by are settled together with its limits.
    let settled = lifecycle::at(&grid.versions, as_of).map(|version| version.rhythm.usual_gap_days);
    let views = grid.curves.iter().map(|curve| {
        let buyers = curve.buyers as usize;
        let limits = grid.limits.iter().find(|limits| usize::from(limits.buyers) == buyers);
        view(curve, limits, settled.map_or(curve.usual_gap_days, |gaps| gaps[buyers]))
    });
    let row = |days: u32| {
        let shares = grid.curves.iter().map(|curve| by_day(curve, days));
        CurveRow {
            days: format::counted(&u64::from(days), "day", "days"),
            shares: shares.map(|share| share.map_or_else(|| "–".to_owned(), percent)).collect(),
        }
    };
    (views.collect(), DAYS.map(row).into())
}
