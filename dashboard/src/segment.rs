//! The page of a segment that keeps itself.

use crate::Rendered;
use crate::chart::LineView;
use crate::format::{self, Format};
use crate::in_use::SweepView;
use crate::people::Pager;
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::report::{KeptBy, Members, Move, MoveOfPerson, SegmentReport};
use domain::segment::Cause;
use domain::segment::library::Theme;
use jiff::civil::Date;

/// Changes that are shown at once.
const LATEST: usize = 8;

#[derive(Template)]
#[template(path = "segment.html")]
struct SegmentPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a SegmentReport,
    m: &'a Members,
    f: Format,
    base: String,
    tab: &'static str,
    theme: &'static str,
    share: String,
    moved: String,
    average: String,
    /// A name for the list of those who are in it now.
    snapshot: String,
    /// Yesterday, where past days can be looked at.
    past_day: Option<Date>,
    sweep: SweepView,
    chart: Option<LineView>,
    weeks: Vec<WeekView>,
    /// The latest changes, and those before them.
    latest: &'a [MoveOfPerson],
    before: &'a [MoveOfPerson],
    shared: Vec<SharedView>,
    pager: Pager,
}

struct WeekView {
    span: String,
    size: String,
    entered: String,
    left: String,
}

struct SharedView {
    key: String,
    name: String,
    people: String,
    share: String,
    of_all: String,
}

/// `Entered because of what they did on 4 Nov 09:12`, `Left because time has passed`
pub(crate) fn cause(change: &Move, f: &Format) -> String {
    let what = if change.entered { "Entered" } else { "Left" };
    let Some(cause) = change.cause else { return what.to_owned() };
    let on = change.evidence_at.filter(|_| cause == Cause::Event);
    let on = on.map_or_else(String::new, |at| format!(" on {}", f.moment(&at)));
    format!("{what} because {}{on}", cause.words())
}

fn chart(report: &SegmentReport, f: &Format) -> Result<Option<LineView>, askama::Error> {
    let days = &report.history.days;
    let [first, .., last] = days.as_slice() else { return Ok(None) };
    let values: Vec<i64> = days.iter().map(|day| i64::try_from(day.size).unwrap_or(i64::MAX)).collect();
    let summary = format!(
        "{} on {}, {} now",
        format::counted(&first.size, "person", "people"),
        f.day(&first.day),
        format::count(&last.size)
    );
    let labels = days.iter().map(|day| f.day(&day.day)).collect();
    LineView::of("People", summary, labels, values, None).map(Some)
}

fn weeks(report: &SegmentReport, f: &Format) -> Vec<WeekView> {
    let size_on = |day| report.history.days.iter().find(|known| known.day == day).map_or(0, |known| known.size);
    let weeks = report.history.weeks().into_iter();
    weeks
        .map(|(first, last, entered, left)| WeekView {
            span: f.span(&first, &last),
            size: format::count(&size_on(last)),
            entered: format::count(&entered),
            left: format::count(&left),
        })
        .collect()
}

/// A segment in use with its people.
///
/// # Errors
/// When the page cannot be written.
pub fn segment(shell: &Shell, report: &SegmentReport) -> Rendered {
    let members = &report.members;
    let f = Format::of(&members.site, report.now);
    let (size, population) = (members.segment.size, members.population);
    let (latest, before) = report.moves.split_at(report.moves.len().min(LATEST));
    let week = report.history.weeks().first().map_or((0, 0), |(_, _, entered, left)| (*entered, *left));
    SegmentPage {
        shell,
        nav: Nav::Segments,
        r: report,
        m: members,
        base: format!("/s/{}/segments/{}", members.site.id, members.segment.key),
        tab: "people",
        theme: report.theme.map_or("own", Theme::name),
        share: format::share(size, population),
        moved: match week {
            (0, 0) => "–".to_owned(),
            (entered, left) => format!("+{} −{}", format::count(&entered), format::count(&left)),
        },
        average: report.average_order().map_or_else(|| "–".to_owned(), |money| format::money(&money)),
        snapshot: {
            let day = format!(", {}", format::full_day(&members.today));
            // As long as names may be.
            let room = 100_usize.saturating_sub(day.chars().count());
            members.segment.name.chars().take(room).collect::<String>() + &day
        },
        past_day: members.today.yesterday().ok().filter(|_| report.has_days),
        sweep: SweepView::of(members.site.id, Some(&members.segment.key), report.progress),
        chart: chart(report, &f)?,
        weeks: weeks(report, &f),
        latest,
        before,
        shared: report
            .shared
            .iter()
            .map(|other| SharedView {
                key: other.key.clone(),
                name: other.name.clone(),
                people: format::count(&other.people),
                share: format::share(other.people, size),
                of_all: format::share(other.size, population),
            })
            .collect(),
        pager: Pager::of(&members.paging, members.rows.len(), "?page=".to_owned()),
        f,
    }
    .render()
}
