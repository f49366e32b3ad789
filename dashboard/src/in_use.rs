//! The list of segments in use, how a sweep comes on, and what is archived.

use crate::Rendered;
use crate::format::{self, Format};
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::report::{ArchivedSegments, InUse, Progress, SegmentsInUse};
use domain::segment::library::Theme;

/// How everybody being asked comes on, as a line with a bar that asks for itself.
pub(crate) struct SweepView {
    /// `None` once everybody has been asked.
    pub(crate) text: Option<String>,
    /// Done and all; `None` before it has begun.
    pub(crate) part: Option<(u64, u64)>,
    /// Where to ask.
    pub(crate) path: String,
    /// It was under way: the page around has old numbers.
    pub(crate) over: bool,
}

impl SweepView {
    /// `key` is the segment that the page is about; without it all are meant.
    pub(crate) fn of(site: i32, key: Option<&str>, progress: Option<Progress>) -> SweepView {
        let path = match key {
            Some(key) => format!("/s/{site}/segments/progress?key={key}"),
            None => format!("/s/{site}/segments/progress"),
        };
        SweepView::at(path, progress)
    }

    /// As [`SweepView::of`], asking there.
    pub(crate) fn at(path: String, progress: Option<Progress>) -> SweepView {
        let text = progress.map(|Progress { asked, people }| match people {
            0 => "Being computed: everybody is about to be asked.".to_owned(),
            people => format!(
                "Being computed: {} of {} people asked.",
                format::count(&asked.min(people)),
                format::count(&people)
            ),
        });
        let part =
            progress.filter(|progress| progress.people > 0).map(|part| (part.asked.min(part.people), part.people));
        SweepView { text, part, path, over: false }
    }

    /// By itself, as pages ask for it.
    pub(crate) fn part_page(self) -> Rendered {
        SweepPart { sweep: self }.render()
    }
}

/// Segments of one kind.
pub(crate) struct GroupView {
    pub(crate) name: &'static str,
    pub(crate) count: String,
    /// The first ones with their people, for whoever looks for something.
    pub(crate) names: String,
    pub(crate) open: bool,
    pub(crate) rows: Vec<RowView>,
}

pub(crate) struct RowView {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) people: String,
    pub(crate) waits: bool,
    pub(crate) share: String,
    pub(crate) bar: u32,
    pub(crate) still: bool,
    pub(crate) entered: String,
    pub(crate) left: String,
    pub(crate) revenue: String,
}

/// `top` is the size of the largest segment: its bar is full, or the others would be nothing to the eye.
fn row(list: &SegmentsInUse, row: &InUse, top: u64) -> RowView {
    let bar = if row.people == 0 { 0 } else { (row.people * 72 / top.max(1)).clamp(1, 72) };
    RowView {
        key: row.key.clone(),
        name: row.name.clone(),
        description: row.description.clone(),
        people: format::count(&row.people),
        waits: row.progress.is_some(),
        share: format::share(row.people, list.people),
        bar: u32::try_from(bar).unwrap_or(0),
        still: row.entered + row.left == 0,
        entered: format::count(&row.entered),
        left: format::count(&row.left),
        revenue: format::money_short(&row.revenue),
    }
}

/// The site's own first, then theme by theme. While something is looked for, what is found lies open.
pub(crate) fn groups(list: &SegmentsInUse) -> Vec<GroupView> {
    let searches = list.search.is_some();
    let top = list.rows.iter().map(|row| row.people).max().unwrap_or(0);
    let group = |theme: Option<Theme>| {
        let rows: Vec<RowView> = list.of(theme).map(|found| row(list, found, top)).collect();
        let is_shown = !rows.is_empty() || (theme.is_none() && !searches && list.total > 0);
        is_shown.then(|| GroupView {
            name: theme.map_or("Your own", Theme::name),
            count: format::count(&(rows.len() as u64)),
            names: rows
                .iter()
                .take(8)
                .map(|row| format!("{}\u{a0}{}", row.name, row.people))
                .collect::<Vec<_>>()
                .join(" · "),
            open: theme.is_none() || searches,
            rows,
        })
    };
    std::iter::once(None).chain(Theme::ALL.map(Some)).filter_map(group).collect()
}

#[derive(Template)]
#[template(path = "in_use.html")]
struct InUsePart<'a> {
    list: &'a SegmentsInUse,
    groups: Vec<GroupView>,
}

/// The list alone, as the search asks for it.
///
/// # Errors
/// When it cannot be written.
pub fn segments_in_use(list: &SegmentsInUse) -> Rendered {
    InUsePart { list, groups: groups(list) }.render()
}

#[derive(Template)]
#[template(path = "sweep.html")]
struct SweepPart {
    sweep: SweepView,
}

/// How everybody being asked comes on, as pages ask for it every two seconds; when it is over the page is loaded anew.
///
/// `key` is the segment that the page is about.
///
/// # Errors
/// When it cannot be written.
pub fn segments_progress(site: i32, key: Option<&str>, progress: Option<Progress>) -> Rendered {
    SweepView { over: progress.is_none(), ..SweepView::of(site, key, progress) }.part_page()
}

#[derive(Template)]
#[template(path = "segments_archived.html")]
struct ArchivedPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a ArchivedSegments,
    f: Format,
}

/// The segments that were taken out of use.
///
/// # Errors
/// When the page cannot be written.
pub fn segments_archived(shell: &Shell, report: &ArchivedSegments) -> Rendered {
    let f = Format::of(&report.site, report.now);
    ArchivedPage { shell, nav: Nav::Segments, r: report, f }.render()
}
