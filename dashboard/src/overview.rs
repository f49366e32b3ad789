//! The overview page.

use crate::chart::{LineChart, Lines, Series};
use crate::format::{self, Delta, Format};
use crate::shell::{Nav, Shell};
use crate::words::{self, Sentence};
use crate::{Rendered, setup};
use askama::Template;
use domain::report::{Breakdown, Did, Measure, Moved, Overview, Period, PeriodChoice, Setup};

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a Overview,
    f: Format,
    kpis: Vec<Kpi>,
    chart: ChartView,
    sentences: Vec<Sentence>,
    days_before: String,
    picker: Picker,
    pages: Vec<PageView>,
    channels: Vec<ChannelView>,
    audience: Vec<AudienceView>,
    notes: Vec<String>,
    tag: Option<setup::TagView>,
}

struct Kpi {
    key: &'static str,
    name: &'static str,
    value: String,
    exact: String,
    before: String,
    delta: Delta,
    lines: Lines,
    people: String,
    chosen: bool,
}

struct ChartView {
    measure: Measure,
    name: &'static str,
    lines: Lines,
    data: String,
    rows: Vec<DayView>,
    summary: String,
}

struct DayView {
    day: String,
    now: String,
    day_before: String,
    before: String,
}

/// The period picker's choices.
pub(crate) struct Picker {
    pub(crate) name: String,
    pub(crate) choices: Vec<Choice>,
    query: String,
}

pub(crate) struct Choice {
    pub(crate) query: String,
    pub(crate) name: String,
    pub(crate) chosen: bool,
}

struct PageView {
    page: String,
    /// The page's title, host and path.
    full: String,
    views: String,
    visitors: String,
    delta: Delta,
    bar: u32,
    people: String,
}

struct AudienceView {
    key: &'static str,
    heading: &'static str,
    rows: Vec<AudienceRowView>,
    /// Values that the file alone has.
    more: usize,
    /// Countries come from a database whose licence asks to be named where they are shown.
    names_source: bool,
}

struct AudienceRowView {
    name: String,
    sessions: String,
    share: String,
    delta: Delta,
    bar: u32,
}

struct ChannelView {
    name: String,
    new_people: String,
    sessions: String,
    orders: String,
    revenue: String,
    delta: Delta,
    bar: u32,
    arrived: String,
    visited: String,
    ordered: String,
}

/// The length of a bar whose full length is 72.
fn bar(value: f64, top: f64) -> u32 {
    if value <= 0.0 || top <= 0.0 {
        return 0;
    }
    // Whatever is there at all can be seen.
    (value / top * 72.0).round().clamp(1.0, 72.0) as u32
}

pub(crate) fn picker(period: &Period, span: String) -> Picker {
    let lengths = Period::LENGTHS.map(|days| (PeriodChoice::Last(days), format!("period={days}d")));
    let months = [
        (PeriodChoice::ThisMonth, "period=month".to_owned()),
        (PeriodChoice::LastMonth, "period=last-month".to_owned()),
    ];
    let choices = lengths
        .into_iter()
        .chain(months)
        .map(|(choice, query)| Choice {
            query,
            name: words::period_name(&Period { choice, ..*period }, String::new()),
            chosen: choice == period.choice,
        })
        .collect();
    Picker { name: words::period_name(period, span), choices, query: period.query() }
}

fn chart(report: &Overview, measure: Measure, f: &Format) -> Result<ChartView, askama::Error> {
    let name = words::measure_name(measure);
    let values = |days: &[domain::report::Day]| days.iter().map(|day| measure.of(&day.totals)).collect::<Vec<_>>();
    let (now, before) = (values(&report.days), values(&report.previous_days));
    let labels = |days: &[domain::report::Day]| days.iter().map(|day| f.day(&day.date)).collect::<Vec<_>>();
    let value = |value| match measure {
        Measure::Revenue => format::money(&report.site.money(value)),
        Measure::Visitors | Measure::Sessions | Measure::Orders => words::measure_value(&report.site, measure, value),
    };
    let rows = report
        .days
        .iter()
        .enumerate()
        .map(|(i, day)| {
            let earlier = report.previous_days.get(i);
            DayView {
                day: f.day(&day.date),
                now: value(measure.of(&day.totals)),
                day_before: earlier.map(|day| f.day(&day.date)).unwrap_or_default(),
                before: earlier.map(|day| value(measure.of(&day.totals))).unwrap_or_default(),
            }
        })
        .collect();
    let moved = report.moved(measure);
    let summary = format!(
        "{name} per day: {} in all, {} in {}",
        words::measure_value(&report.site, measure, moved.now),
        words::measure_value(&report.site, measure, moved.before),
        words::days_before(&report.period)
    );
    let data = LineChart {
        title: &summary,
        labels: labels(&report.days),
        series: vec![
            Series { name: name.to_owned(), labels: Vec::new(), values: now.clone() },
            Series { name: "Before".to_owned(), labels: labels(&report.previous_days), values: before.clone() },
        ],
        money: (measure == Measure::Revenue).then(|| report.site.currency.into()),
    }
    .json()?;
    Ok(ChartView { measure, name, lines: Lines::draw(&now, &before, 800, 220), data, rows, summary })
}

fn kpi(report: &Overview, measure: Measure, chosen: Measure) -> Kpi {
    let moved = report.moved(measure);
    let series = |days: &[domain::report::Day]| days.iter().map(|day| measure.of(&day.totals)).collect::<Vec<_>>();
    Kpi {
        key: measure.key(),
        name: words::measure_name(measure),
        value: words::measure_value(&report.site, measure, moved.now),
        exact: match measure {
            Measure::Revenue => format::money(&report.totals.revenue),
            Measure::Visitors | Measure::Sessions | Measure::Orders => String::new(),
        },
        before: words::measure_value(&report.site, measure, moved.before),
        delta: Delta::of(moved),
        lines: Lines::shape(&series(&report.days), &series(&report.previous_days), 120, 36),
        people: format::people_url(&report.site, words::measure_did(measure), &report.period, None, None),
        chosen: measure == chosen,
    }
}

fn pages(report: &Overview) -> Vec<PageView> {
    let top = report.pages.iter().map(|row| row.views).max().unwrap_or(0) as f64;
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let host = format::common_host(report.pages.iter().map(|row| row.page.as_str()));
    report
        .pages
        .iter()
        .map(|row| PageView {
            page: format::page_name(&row.page, host).to_owned(),
            full: row.title.iter().map(|title| format!("{title} · ")).chain([row.page.clone()]).collect(),
            views: format::count(&row.views),
            visitors: format::count(&row.visitors),
            delta: Delta::of(Moved { before: signed(row.previous_views), now: signed(row.views) }),
            bar: bar(row.views as f64, top),
            people: format::people_url(&report.site, Did::Visited, &report.period, None, Some(&row.page)),
        })
        .collect()
}

fn channels(report: &Overview) -> Vec<ChannelView> {
    let sells = report.totals.revenue.minor > 0;
    let weight = |row: &domain::report::ChannelRow| if sells { row.revenue.minor as f64 } else { row.sessions as f64 };
    let top = report.channels.iter().map(weight).fold(0.0, f64::max);
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let people = |did, key: &str| format::people_url(&report.site, did, &report.period, Some(key), None);
    report
        .channels
        .iter()
        .map(|row| ChannelView {
            name: row.name.clone(),
            new_people: format::count(&row.new_people),
            sessions: format::count(&row.sessions),
            orders: format::count(&row.orders),
            revenue: format::money_short(&row.revenue),
            delta: Delta::of(Moved { before: signed(row.previous_sessions), now: signed(row.sessions) }),
            bar: bar(weight(row), top),
            arrived: people(Did::Arrived, &row.key),
            visited: people(Did::Visited, &row.key),
            ordered: people(Did::Ordered, &row.key),
        })
        .collect()
}

/// Values of a table on the page; the file has all of them.
const AUDIENCE_ROWS: usize = 8;

fn audience(report: &Overview) -> Vec<AudienceView> {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    report
        .audience
        .iter()
        .map(|table| {
            let visited: Vec<_> = table.rows.iter().filter(|row| row.sessions > 0).collect();
            let sum: u64 = visited.iter().map(|row| row.sessions).sum();
            let top = visited.iter().map(|row| row.sessions).max().unwrap_or(0) as f64;
            let row = |row: &&domain::report::AudienceRow| AudienceRowView {
                name: row.value.as_deref().map_or_else(|| "Not known".to_owned(), |value| table.by.name(value)),
                sessions: format::count(&row.sessions),
                share: format::share(row.sessions, sum),
                delta: Delta::of(Moved { before: signed(row.previous_sessions), now: signed(row.sessions) }),
                bar: bar(row.sessions as f64, top),
            };
            AudienceView {
                key: table.by.key(),
                heading: table.by.heading(),
                rows: visited.iter().take(AUDIENCE_ROWS).map(row).collect(),
                more: visited.len().saturating_sub(AUDIENCE_ROWS),
                names_source: table.by == Breakdown::Countries,
            }
        })
        .collect()
}

/// What the numbers leave out, each a sentence.
fn notes(report: &Overview, f: &Format) -> Vec<String> {
    let mut notes = Vec::new();
    let aside = &report.aside;
    if !aside.other_currencies.is_empty() {
        let sums: Vec<String> = aside.other_currencies.iter().map(format::money).collect();
        notes.push(format!(
            "Orders in other currencies are not added up with {}: {}.",
            report.site.currency,
            sums.join(", ")
        ));
    }
    if aside.unconfirmed > 0 {
        let reported = format::counted(&aside.unconfirmed, "order was", "orders were");
        notes.push(format!(
            "{reported} reported by a browser alone and {} not counted; set-up says which orders count.",
            if aside.unconfirmed == 1 { "is" } else { "are" }
        ));
    }
    if aside.without_amount > 0 {
        let named = format::counted(&aside.without_amount, "order", "orders");
        notes.push(format!("{named} named no amount and added nothing to revenue."));
    }
    if report.measured_visitors > 0 {
        let measured = format::counted(&report.measured_visitors, "visitor was", "visitors were");
        notes.push(format!("{measured} measured without a profile: counted here, but in no list of people."));
    }
    if report.site.day(report.now) == report.period.to {
        notes.push(format!(
            "Today counts until {}; the days before are cut at the same time of day.",
            f.minute(&report.now)
        ));
    }
    notes
}

/// The overview of a period, with the chart of one measure.
///
/// `waiting` is the site's set-up: while the site has no event at all, the page shows its tag instead of empty charts.
///
/// # Errors
/// When the page cannot be written.
pub fn overview(shell: &Shell, report: &Overview, measure: Measure, waiting: Option<&Setup>) -> Rendered {
    let f = Format::of(&report.site, report.now);
    let span = f.span(&report.period.from, &report.period.to);
    OverviewPage {
        shell,
        nav: Nav::Overview,
        r: report,
        kpis: Measure::ALL.map(|each| kpi(report, each, measure)).into(),
        chart: chart(report, measure, &f)?,
        sentences: words::what_changed(report),
        days_before: words::days_before(&report.period),
        picker: picker(&report.period, span),
        pages: pages(report),
        channels: channels(report),
        audience: audience(report),
        notes: notes(report, &f),
        tag: waiting.filter(|_| report.first_event_at.is_none()).map(setup::TagView::of),
        f,
    }
    .render()
}
