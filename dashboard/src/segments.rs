//! The segments page and the people of one segment.

use crate::Rendered;
use crate::curves::{self, CurveRow, CurveView};
use crate::format::{self, Format};
use crate::in_use::{self, SweepView};
use crate::people::Pager;
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::report::{Lifecycle, Members, Rfm, ScoreRange, SegmentRow, Segments, SegmentsInUse};
use domain::segment::lifecycle::LimitsVersion;

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
    curves: Vec<CurveView>,
    curve_rows: Vec<CurveRow>,
    versions: Vec<&'a LimitsVersion>,
    cuts: &'a CutsForm,
    list: &'a SegmentsInUse,
    groups: Vec<in_use::GroupView>,
    in_use_query: String,
    sweep: SweepView,
    heading: String,
    query: String,
}

/// What stands in the form of the site's own thresholds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutsForm {
    /// Days since the last order, orders, and money spent in major units: four thresholds each, as they are typed.
    pub thresholds: [[String; 4]; 3],
    /// Why they were not taken, a sentence.
    pub problem: Option<String>,
}

impl CutsForm {
    /// The site's own thresholds, or those that its fifths have now.
    pub fn of(report: &Segments) -> CutsForm {
        let Some(rfm) = &report.rfm else { return CutsForm::default() };
        let money = |minor: i64| report.site.money(minor).decimal();
        if let Some(own) = rfm.own_cuts {
            let thresholds = [
                own.recency_days.map(|days| days.to_string()),
                own.orders.map(|orders| orders.to_string()),
                own.spent_minor.map(money),
            ];
            return CutsForm { thresholds, problem: None };
        }
        let of = |ranges: &[ScoreRange], score: u8| ranges.iter().find(|range| range.score == score).copied();
        let low = |ranges: &[ScoreRange], text: &dyn Fn(i64) -> String| {
            [2, 3, 4, 5].map(|score| of(ranges, score).map_or_else(String::new, |range| text(range.low)))
        };
        let number = |value: i64| value.to_string();
        let recency = [5, 4, 3, 2]
            .map(|score| of(&rfm.cuts.recency_days, score).map_or_else(String::new, |range| number(range.high)));
        let thresholds = [recency, low(&rfm.cuts.orders, &number), low(&rfm.cuts.spent_minor, &money)];
        CutsForm { thresholds, problem: None }
    }

    /// The fields of one dimension with their places, from 1.
    fn fields(&self, dimension: usize) -> impl Iterator<Item = (usize, &String)> {
        (1..).zip(self.thresholds.get(dimension).into_iter().flatten())
    }
}

struct RfmView {
    rows: Vec<RfmRow>,
    groups: Vec<GroupView>,
    cuts: Vec<CutRow>,
    /// The site's own thresholds are in use.
    is_own: bool,
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
    RfmView { rows, groups, cuts: cuts(report, rfm), is_own: rfm.own_cuts.is_some() }
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

/// All segments on one day, and those that keep themselves as they are now.
///
/// `cuts` is [`CutsForm::of`] or what could not be taken.
///
/// # Errors
/// When the page cannot be written.
pub fn segments(shell: &Shell, report: &Segments, list: &SegmentsInUse, cuts: &CutsForm) -> Rendered {
    let f = Format::on(&report.site, report.today);
    let grid = report.lifecycle.as_ref();
    let (curves, curve_rows) = grid.map(|grid| curves::curves(grid, report.as_of)).unwrap_or_default();
    let is_today = report.as_of == report.today;
    SegmentsPage {
        shell,
        nav: Nav::Segments,
        r: report,
        rfm: report.rfm.as_ref().map(|rfm| rfm_view(report, rfm)),
        lifecycle: grid.map(|grid| lifecycle_view(report, grid)),
        curves,
        curve_rows,
        versions: grid.map(|grid| grid.versions.iter().rev().collect()).unwrap_or_default(),
        cuts,
        groups: in_use::groups(list),
        in_use_query: list.search.as_ref().map_or_else(String::new, |q| format!("?q={}", format::query_value(q))),
        sweep: SweepView::of(report.site.id, None, list.progress()),
        list,
        heading: if is_today { "Everybody today".to_owned() } else { format!("Everybody on {}", f.day(&report.as_of)) },
        query: as_of_query(is_today, report.as_of),
        f,
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
