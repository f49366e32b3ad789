//! The segments page and the people of one segment.

use crate::Rendered;
use crate::format::{self, Format};
use crate::people::Pager;
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::report::{Lifecycle, Members, Rfm, ScoreRange, SegmentRow, Segments};

/// Names of the lifecycle's rows and columns.
const BUYERS: [(&str, &str); 4] = [
    ("New sign-ups", "no order yet"),
    ("One-timers", "one order"),
    ("Repeats", "two orders"),
    ("Loyals", "three or more"),
];

#[derive(Template)]
#[template(path = "segments.html")]
struct SegmentsPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a Segments,
    f: Format,
    rfm: Option<RfmView>,
    lifecycle: Option<LifecycleView<'a>>,
    query: String,
}

struct RfmView {
    rows: Vec<RfmRow>,
    groups: Vec<GroupView>,
    cuts: Vec<CutRow>,
}

struct RfmRow {
    score: u8,
    cells: Vec<CellView>,
}

struct CellView {
    heat: u8,
    key: String,
    name: String,
    size: String,
    title: String,
}

struct GroupView {
    key: String,
    name: String,
    description: String,
    size: String,
    share: String,
    revenue: String,
    revenue_share: String,
    bar: u32,
}

/// What a score means in the three dimensions.
struct CutRow {
    score: u8,
    recency: String,
    orders: String,
    spent: String,
}

struct LifecycleView<'a> {
    rows: Vec<RowView>,
    limits: Vec<LimitView<'a>>,
}

/// The limits of one row, in words.
struct LimitView<'a> {
    name: &'static str,
    active: String,
    at_risk: String,
    basis: &'a str,
}

struct RowView {
    name: &'static str,
    hint: &'static str,
    cells: Vec<CellView>,
}

impl CellView {
    fn empty(key: String) -> CellView {
        CellView { heat: 0, key, name: String::new(), size: "0".to_owned(), title: String::new() }
    }
}

/// A step of the ramp, 0 to 4, by a cell's size against the largest one. The root spreads small cells, which would all
/// be the lightest step otherwise.
fn heat(size: u64, largest: u64) -> u8 {
    match (size, largest) {
        (0, _) | (_, 0) => 0,
        (size, largest) => ((size as f64 / largest as f64).sqrt() * 4.99).floor().clamp(0.0, 4.0) as u8,
    }
}

fn cell(segment: &SegmentRow, name: &str, largest: u64) -> CellView {
    CellView {
        heat: heat(segment.size, largest),
        key: segment.key.clone(),
        name: name.to_owned(),
        size: format::count(&segment.size),
        title: format!("{} Spent {}.", segment.description, format::money_short(&segment.revenue)),
    }
}

fn rfm_view(report: &Segments, rfm: &Rfm) -> RfmView {
    let largest = rfm.cells.iter().map(|cell| cell.segment.size).max().unwrap_or(0);
    let rows = (1..=5)
        .rev()
        .map(|recency| RfmRow {
            score: recency,
            cells: (1..=5)
                .map(|frequency| {
                    rfm.cells.iter().find(|cell| (cell.recency, cell.frequency) == (recency, frequency)).map_or_else(
                        || CellView::empty(format!("rfm-r{recency}f{frequency}")),
                        |found| cell(&found.segment, &found.group, largest),
                    )
                })
                .collect(),
        })
        .collect();
    let top = rfm.groups.iter().map(|group| group.size).max().unwrap_or(0);
    let groups = rfm
        .groups
        .iter()
        .map(|group| GroupView {
            key: group.key.clone(),
            name: group.name.clone(),
            description: group.description.clone(),
            size: format::count(&group.size),
            share: format::share(group.size, report.customers),
            revenue: format::money_short(&group.revenue),
            revenue_share: format::share_of_money(&group.revenue, &report.revenue),
            bar: if group.size == 0 { 0 } else { (group.size * 72 / top.max(1)).clamp(1, 72) as u32 },
        })
        .collect();
    RfmView { rows, groups, cuts: cuts(report, rfm) }
}

fn cuts(report: &Segments, rfm: &Rfm) -> Vec<CutRow> {
    let text = |ranges: &[ScoreRange], score: u8, value: &dyn Fn(i64) -> String| {
        ranges.iter().find(|range| range.score == score).map_or_else(
            || "–".to_owned(),
            |range| {
                if range.low == range.high {
                    value(range.low)
                } else {
                    format!("{} – {}", value(range.low), value(range.high))
                }
            },
        )
    };
    let number = |value: i64| format::count(&u64::try_from(value).unwrap_or(0));
    let money = |value: i64| format::money(&report.site.money(value));
    (1..=5)
        .rev()
        .map(|score| CutRow {
            score,
            recency: text(&rfm.cuts.recency_days, score, &number),
            orders: text(&rfm.cuts.orders, score, &number),
            spent: text(&rfm.cuts.spent_minor, score, &money),
        })
        .collect()
}

fn lifecycle_view<'a>(report: &Segments, grid: &'a Lifecycle) -> LifecycleView<'a> {
    const BUYERS_KEYS: [&str; 4] = ["new-sign-ups", "one-timers", "repeats", "loyals"];
    const STAGE_KEYS: [&str; 3] = ["active", "at-risk", "churned"];
    let largest = grid.cells.iter().map(|cell| cell.segment.size).max().unwrap_or(0);
    let view = |buyers: u8, buyers_key: &str, stage: u8, stage_key: &str| {
        grid.cells.iter().find(|cell| (cell.buyers, cell.stage) == (buyers, stage)).map_or_else(
            || CellView::empty(format!("lifecycle-{buyers_key}-{stage_key}")),
            |found| cell(&found.segment, &format::share(found.segment.size, report.people), largest),
        )
    };
    let rows = BUYERS.iter().zip(BUYERS_KEYS).zip(0_u8..).map(|(((name, hint), buyers_key), buyers)| RowView {
        name,
        hint,
        cells: STAGE_KEYS.iter().zip(0_u8..).map(|(key, stage)| view(buyers, buyers_key, stage, key)).collect(),
    });
    let days = |days: u32| format::counted(&u64::from(days), "day", "days");
    let limits = grid.limits.iter().filter_map(|limits| {
        Some(LimitView {
            name: BUYERS.get(usize::from(limits.buyers))?.0,
            active: days(limits.active_days),
            at_risk: days(limits.at_risk_days),
            basis: &limits.basis,
        })
    });
    LifecycleView { rows: rows.collect(), limits: limits.collect() }
}

/// All segments on one day.
///
/// # Errors
/// When the page cannot be written.
pub fn segments(shell: &Shell, report: &Segments) -> Rendered {
    SegmentsPage {
        shell,
        nav: Nav::Segments,
        r: report,
        f: Format::on(&report.site, report.today),
        rfm: report.rfm.as_ref().map(|rfm| rfm_view(report, rfm)),
        lifecycle: report.lifecycle.as_ref().map(|grid| lifecycle_view(report, grid)),
        query: as_of_query(report.as_of == report.today, report.as_of),
    }
    .render()
}

/// Today's segments have no day in their address: it means today tomorrow, too.
fn as_of_query(today: bool, as_of: jiff::civil::Date) -> String {
    if today { String::new() } else { format!("?as_of={as_of}") }
}

#[derive(Template)]
#[template(path = "members.html")]
struct MembersPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a Members,
    f: Format,
    share: String,
    query: String,
    pager: Pager,
}

/// The people of one segment.
///
/// # Errors
/// When the page cannot be written.
pub fn members(shell: &Shell, report: &Members) -> Rendered {
    let query = as_of_query(report.as_of == report.today, report.as_of);
    let base = if query.is_empty() { "?page=".to_owned() } else { format!("{query}&page=") };
    MembersPage {
        shell,
        nav: Nav::Segments,
        r: report,
        f: Format::on(&report.site, report.today),
        share: format::share(report.segment.size, report.population),
        pager: Pager::of(&report.paging, report.rows.len(), base),
        query,
    }
    .render()
}

#[cfg(test)]
mod tests {
    use super::heat;

    #[test]
    fn the_ramp_uses_all_its_steps() {
        assert_eq!([0, 1, 10, 30, 60, 100].map(|size| heat(size, 100)), [0, 0, 1, 2, 3, 4]);
        assert_eq!(heat(5, 0), 0);
    }
}
