//! The page of what is special about a segment's people, what changed, and what to do next.

use crate::Rendered;
use crate::chart::LineView;
use crate::format::{self, Format};
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::report::{Compared, InMemory, Passage, Progress, SegmentInsight, Why};
use domain::segment::insight::flow::Side;
use domain::segment::insight::traits::{MIN_PEOPLE, Says, Trait};

/// Values of one group that are shown: those that are more common, and those that are less.
const MORE: usize = 6;
const LESS: usize = 3;

#[derive(Template)]
#[template(path = "insight.html")]
struct InsightPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a SegmentInsight,
    f: Format,
    base: String,
    tab: &'static str,
    told: String,
    /// Somebody came or left.
    moved: bool,
    sides: [SideView; 2],
    away: Option<&'static str>,
    reading: Option<ReadingView>,
    compared: Option<ComparedView>,
}

struct Row {
    name: String,
    people: String,
    share: String,
}

struct SideView {
    name: &'static str,
    nobody: &'static str,
    people: String,
    causes: Vec<Row>,
    /// What stands before the segments.
    with: &'static str,
    passages: Vec<PassageView>,
}

struct PassageView {
    key: String,
    name: String,
    share: String,
}

/// How far a site is read into memory.
pub(crate) struct ReadingView {
    pub(crate) text: String,
    pub(crate) read: u64,
    pub(crate) of: u64,
}

impl ReadingView {
    /// `follows` is what comes when it is read.
    pub(crate) fn of(progress: Progress, follows: &str) -> ReadingView {
        let text = match progress.people {
            0 => format!("The site is about to be read into memory; {follows} follows."),
            of => format!(
                "The site is being read into memory: {} of {}; {follows} follows.",
                format::count(&progress.asked),
                format::counted(&of, "event", "events"),
            ),
        };
        ReadingView { text, read: progress.asked, of: progress.people }
    }
}

struct ComparedView {
    tested: String,
    note: Option<String>,
    nothing: &'static str,
    groups: Vec<GroupView>,
    actions: Vec<Row>,
    no_actions: &'static str,
    chart: LineView,
    months: Vec<MonthView>,
}

struct GroupView {
    name: &'static str,
    of: &'static str,
    rows: Vec<TraitView>,
    left_out: u64,
}

struct TraitView {
    /// Where several stand in one table.
    dimension: Option<String>,
    value: String,
    inside: String,
    outside: String,
    times: String,
    limit: String,
    told: String,
}

struct MonthView {
    month: String,
    orders: String,
    revenue: String,
    share: String,
}

/// A table of values.
struct Group {
    name: &'static str,
    /// The head of its first column.
    of: &'static str,
    /// Which dimensions stand in it.
    belongs: fn(&str) -> bool,
}

const GROUPS: [Group; 6] = [
    Group {
        name: "Where they come from",
        of: "Source",
        belongs: |name| matches!(name, "channel" | "source" | "campaign" | "referrer"),
    },
    Group { name: "Pages they view", of: "Page", belongs: |name| name == "page" },
    Group { name: "What they do", of: "Event", belongs: |name| name == "event" },
    Group { name: "Products they look at", of: "Product", belongs: |name| matches!(name, "product" | "category") },
    Group { name: "Who they are", of: "Trait", belongs: |name| name.starts_with("trait ") },
    Group { name: "Segments they are in", of: "Segment", belongs: |name| name == "segment" },
];

fn times(value: f64) -> String {
    let digits = match value {
        ..0.995 => 2,
        ..9.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}\u{a0}×")
}

fn host(row: &Trait) -> Option<&str> {
    row.counts.value.split_once('/').map(|(host, _)| host)
}

/// The host that all pages are on; none where there are several.
fn only_host(traits: &[Trait]) -> Option<&str> {
    let mut hosts = traits.iter().filter(|row| row.counts.dimension == "page").map(host);
    let first = hosts.next()??;
    hosts.all(|host| host == Some(first)).then_some(first)
}

fn trait_view(row: &Trait, is_mixed: bool, only_host: Option<&str>) -> TraitView {
    let counts = &row.counts;
    let is_page = counts.dimension == "page";
    // A site of one host needs it in no row.
    let path = only_host.filter(|_| is_page).and_then(|host| counts.value.strip_prefix(host));
    let more = row.says == Says::More;
    let (estimate, limit) = match row.index {
        Some(index) if more => (index.estimate, format!("at least {}", times(index.low))),
        Some(index) => (index.estimate, format!("at most {}", times(index.high))),
        None => (1.0, String::new()),
    };
    let dimension = counts.dimension.strip_prefix("trait ").unwrap_or(&counts.dimension);
    TraitView {
        dimension: is_mixed.then(|| dimension.to_owned()),
        value: path.unwrap_or(&counts.value).to_owned(),
        inside: format::share(counts.inside.with(), counts.inside.of()),
        outside: format::share(counts.outside.with(), counts.outside.of()),
        times: if estimate.is_finite() { times(estimate) } else { "only here".to_owned() },
        limit,
        told: row.told(),
    }
}

fn groups(traits: &[Trait]) -> Vec<GroupView> {
    let only_host = only_host(traits);
    let group = |Group { name, of, belongs }: Group| {
        let own = |says: Says| traits.iter().filter(move |row| row.says == says && belongs(&row.counts.dimension));
        // One dimension in a table needs no name in each row.
        let is_mixed = !matches!(of, "Page" | "Event" | "Segment");
        let (more, less) = (own(Says::More), own(Says::Less));
        let rows: Vec<TraitView> =
            more.take(MORE).chain(less.take(LESS)).map(|row| trait_view(row, is_mixed, only_host)).collect();
        let all = own(Says::More).count() + own(Says::Less).count();
        GroupView { name, of, left_out: (all - rows.len()) as u64, rows }
    };
    GROUPS.into_iter().map(group).filter(|group| !group.rows.is_empty()).collect()
}

fn side([name, nobody, with]: [&'static str; 3], side: &Side<Why>, passages: &[Passage]) -> SideView {
    let row = |name: String, people: u64| Row {
        name,
        people: format::count(&people),
        share: format::share(people, side.people),
    };
    let sentence = |text: String| {
        let mut letters = text.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    };
    let mut causes: Vec<Row> =
        side.causes.iter().map(|cause| row(sentence(cause.cause.words()), cause.people)).collect();
    if side.other > 0 {
        causes.push(row("Other reasons".to_owned(), side.other));
    }
    let passage = |passage: &Passage| PassageView {
        key: passage.key.clone(),
        name: passage.name.clone(),
        share: format::count(&passage.moves),
    };
    SideView {
        name,
        nobody,
        people: format::counted(&side.people, "person", "people"),
        causes,
        with,
        // Without anybody who came or left for good, comings and goings explain nothing.
        passages: passages.iter().filter(|_| side.people > 0).map(passage).collect(),
    }
}

fn compared(report: &SegmentInsight, compared: &Compared) -> Result<ComparedView, askama::Error> {
    let tested = compared.traits.iter().filter(|row| row.says != Says::TooFew).count() as u64;
    let different = compared.traits.iter().filter(|row| matches!(row.says, Says::More | Says::Less)).count() as u64;
    let mut notes = Vec::new();
    match compared.memory {
        InMemory::Whole => {}
        InMemory::Since(day) => {
            notes.push(format!("Page views and events from {} on are looked at.", format::full_day(&day)));
        }
        InMemory::Crowded => notes.push("Some texts found no room and are left out.".to_owned()),
    }
    if compared.lacks_traits {
        notes.push("Traits took too long to count and are left out.".to_owned());
    }
    if compared.products_follow {
        notes.push("Products are being read and will be here in a moment.".to_owned());
    }
    let size = report.size();
    let others = report.population.saturating_sub(size);
    let total = compared.months.iter().fold(0_i64, |sum, month| sum.saturating_add(month.revenue.minor));
    let summary = format!(
        "{} in 12 months from {}",
        format::money_short(&report.site.money(total)),
        format::counted(&compared.months.iter().map(|month| month.orders).sum(), "order", "orders"),
    );
    let name = |month: &domain::report::MonthOfRevenue| month.month.strftime("%b %Y").to_string();
    let values: Vec<i64> = compared.months.iter().map(|month| month.revenue.minor).collect();
    let labels = compared.months.iter().map(name).collect();
    let row = |name: &str, people: u64| Row {
        name: name.to_owned(),
        people: format::count(&people),
        share: format::share(people, size),
    };
    let mut actions: Vec<Row> = compared.actions.iter().map(|one| row(one.action.sentence(), one.people)).collect();
    if compared.unknown > 0 && !actions.is_empty() {
        actions.push(row("Nothing yet: they have neither signed up nor ordered.", compared.unknown));
    }
    Ok(ComparedView {
        tested: format!(
            "{} compared with {}: {} of {} are more or less common than chance explains.",
            format::counted(&size, "person", "people"),
            format::counted(&others, "other", "others"),
            format::count(&different),
            format::counted(&tested, "value", "values"),
        ),
        note: (!notes.is_empty()).then(|| notes.join(" ")),
        nothing: if size.min(others) < MIN_PEOPLE {
            "It takes 30 people in the segment and 30 outside to tell what is special."
        } else {
            "Nothing sets them apart from the others so far."
        },
        groups: groups(&compared.traits),
        actions,
        no_actions: if size == 0 {
            "Nobody is in this segment now."
        } else {
            "They have neither signed up nor ordered: nothing is known yet that suggests an action."
        },
        chart: LineView::of("Revenue", summary, labels, values, Some(report.site.currency))?,
        months: compared
            .months
            .iter()
            .rev()
            .map(|month| MonthView {
                month: name(month),
                orders: format::count(&month.orders),
                revenue: format::money(&month.revenue),
                share: format::share_of_money(&month.revenue, &month.everybody),
            })
            .collect(),
    })
}

/// What is special about a segment.
///
/// # Errors
/// When the page cannot be written.
pub fn insight(shell: &Shell, report: &SegmentInsight) -> Rendered {
    let f = Format::of(&report.site, report.now);
    let change = &report.change;
    let reading = match report.compared {
        Err(Some(progress)) => Some(ReadingView::of(progress, "what is special about its people")),
        Ok(_) | Err(None) => None,
    };
    InsightPage {
        shell,
        nav: Nav::Segments,
        r: report,
        base: format!("/s/{}/segments/{}", report.site.id, report.key),
        tab: "insight",
        told: report.told(),
        moved: change.entered.people + change.left.people > 0,
        sides: [
            side(["Came", "Nobody came.", "At the same moment they left"], &change.entered, &report.from),
            side(["Left", "Nobody left.", "At the same moment they came into"], &change.left, &report.into),
        ],
        away: matches!(report.compared, Err(None)).then_some(
            "This process keeps nobody in memory; one that serves pages with analysis tells what is special.",
        ),
        reading,
        compared: report.compared.as_ref().ok().map(|one| compared(report, one)).transpose()?,
        f,
    }
    .render()
}
