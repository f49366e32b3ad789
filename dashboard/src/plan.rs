//! The tracking plan: the named events of a site, and one of them with what is agreed of it.

use crate::Rendered;
use crate::format::{self, Format};
use crate::shell::{Nav, Shell};
use crate::sources::source_name;
use askama::Template;
use domain::plan::Breach;
use domain::report::{BreachRow, Plan, PlanEvent, PlanEventRow, SeenProperty};

/// What is agreed of an event, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanForm {
    /// A line for each property, just as it was typed.
    pub plan: String,
    /// Why it was not saved.
    pub problem: Option<String>,
}

impl PlanForm {
    /// What is agreed, or could be.
    pub fn of(event: &PlanEvent) -> PlanForm {
        PlanForm { plan: event.plan.clone().unwrap_or_else(|| event.suggested.clone()), problem: None }
    }
}

/// Where an event's page is.
pub fn plan_event_path(site: i32, name: &str) -> String {
    format!("/s/{site}/plan/event?name={}", format::query_value(name))
}

struct RowView<'a> {
    row: &'a PlanEventRow,
    href: String,
}

#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a Plan,
    rows: Vec<RowView<'a>>,
    f: Format,
}

/// The named events of a site.
///
/// # Errors
/// When the page cannot be written.
pub fn plan(shell: &Shell, report: &Plan) -> Rendered {
    let href = |row: &PlanEventRow| plan_event_path(report.site.id, &row.name);
    PlanPage {
        shell,
        nav: Nav::Plan,
        rows: report.events.iter().map(|one| RowView { href: href(one), row: one }).collect(),
        f: Format::of(&report.site, report.now),
        r: report,
    }
    .render()
}

struct PropertyView<'a> {
    seen: &'a SeenProperty,
    /// `text 98 %, number 2 %`
    kinds: String,
    share: String,
}

impl<'a> PropertyView<'a> {
    fn of(seen: &'a SeenProperty, events: u64) -> PropertyView<'a> {
        let count = seen.count();
        let kind = |(kind, of_kind): &(domain::plan::ValueKind, u64)| match *of_kind == count {
            true => kind.key().to_owned(),
            false => format!("{} {}", kind.key(), format::share(*of_kind, count)),
        };
        let kinds: Vec<String> = seen.kinds.iter().map(kind).collect();
        PropertyView {
            seen,
            kinds: if kinds.is_empty() { "not seen".to_owned() } else { kinds.join(", ") },
            share: format::share(count, events.max(count)),
        }
    }
}

struct BreachView<'a> {
    row: &'a BreachRow,
    what: &'static str,
    source: String,
}

impl<'a> BreachView<'a> {
    fn of(row: &'a BreachRow) -> BreachView<'a> {
        let source = if row.source.is_empty() { "an earlier version" } else { source_name(&row.source) }.to_owned();
        BreachView { what: breach_name(row.breach), source, row }
    }
}

fn breach_name(breach: Breach) -> &'static str {
    match breach {
        Breach::Missing => "is missing",
        Breach::WrongKind => "is of another kind",
        Breach::OtherValue => "is another value",
    }
}

#[derive(Template)]
#[template(path = "plan_event.html")]
struct EventPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a PlanEvent,
    form: &'a PlanForm,
    properties: Vec<PropertyView<'a>>,
    breaches: Vec<BreachView<'a>>,
    f: Format,
}

/// One named event, with the form in which it is agreed what it carries.
///
/// # Errors
/// When the page cannot be written.
pub fn plan_event(shell: &Shell, report: &PlanEvent, form: &PlanForm) -> Rendered {
    EventPage {
        shell,
        nav: Nav::Plan,
        form,
        properties: report.properties.iter().map(|seen| PropertyView::of(seen, report.count)).collect(),
        breaches: report.breaches.iter().map(BreachView::of).collect(),
        f: Format::of(&report.site, report.now),
        r: report,
    }
    .render()
}
