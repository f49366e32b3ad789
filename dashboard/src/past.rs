//! The page of a segment as it would have been on past days.

use crate::Rendered;
use crate::chart::LineView;
use crate::format;
use crate::insight::ReadingView;
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::money::Money;
use domain::report::{Afterwards, NoPast, PastDay, PastPeople, SegmentPast};
use jiff::civil::Date;

#[derive(Template)]
#[template(path = "past.html")]
struct PastPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a SegmentPast,
    base: String,
    tab: &'static str,
    query: String,
    /// The day that was asked for, as it was typed.
    day: &'a str,
    yesterday: Date,
    reading: Option<ReadingView>,
    /// Why there is nothing.
    none: Option<String>,
    chart: Option<LineView>,
    rows: Vec<RowView>,
}

struct RowView {
    day: String,
    people: String,
    revenue: String,
    /// Of those in it, and of everybody.
    pairs: [(String, String); 3],
}

fn row(day: &PastDay) -> RowView {
    let ordered = |group: &PastPeople, after: Option<Afterwards>| {
        let ordered = after.filter(|_| group.people > 0).map(|after| format::share(after.ordered, group.people));
        ordered.unwrap_or_else(|| "–".to_owned())
    };
    let by_person = |group: &PastPeople| {
        let people = i64::try_from(group.people).ok().filter(|people| *people > 0);
        let revenue = group
            .in_90_days
            .zip(people)
            .map(|(after, people)| Money { minor: after.revenue.minor / people, ..after.revenue });
        revenue.map_or_else(|| "–".to_owned(), |revenue| format::money(&revenue))
    };
    let (own, all) = (&day.members, &day.everybody);
    RowView {
        day: format::full_day(&day.day),
        people: format::count(&own.people),
        revenue: format::money_short(&own.revenue),
        pairs: [
            (ordered(own, own.in_30_days), ordered(all, all.in_30_days)),
            (ordered(own, own.in_90_days), ordered(all, all.in_90_days)),
            (by_person(own), by_person(all)),
        ],
    }
}

fn chart(days: &[PastDay]) -> Result<Option<LineView>, askama::Error> {
    let [first, .., last] = days else { return Ok(None) };
    let values: Vec<i64> = days.iter().map(|day| i64::try_from(day.members.people).unwrap_or(i64::MAX)).collect();
    let summary = format!(
        "{} at the end of {}, {} at the end of {}",
        format::counted(&first.members.people, "person", "people"),
        format::full_day(&first.day),
        format::count(&last.members.people),
        format::full_day(&last.day),
    );
    let labels = days.iter().map(|day| format::full_day(&day.day)).collect();
    LineView::of("People", summary, labels, values, None).map(Some)
}

/// A segment as it would have been; `day` is what was typed to be looked at, too.
///
/// # Errors
/// When the page cannot be written.
pub fn past(shell: &Shell, report: &SegmentPast, day: &str) -> Rendered {
    let (days, none, reading) = match &report.days {
        Ok(days) if days.is_empty() => (&[][..], Some("There is no past day to look at.".to_owned()), None),
        Ok(days) => (days.as_slice(), None, None),
        Err(NoPast::List) => {
            (&[][..], Some("No rule makes its members: who would have been in it is not known.".to_owned()), None)
        }
        Err(NoPast::Refused(why)) => (&[][..], Some(why.clone()), None),
        Err(NoPast::Away) => {
            let text = "This process keeps nobody in memory; one that serves pages with analysis tells the past.";
            (&[][..], Some(text.to_owned()), None)
        }
        Err(NoPast::Reading(progress)) => (&[][..], None, Some(ReadingView::of(*progress, "its past"))),
    };
    PastPage {
        shell,
        nav: Nav::Segments,
        r: report,
        base: format!("/s/{}/segments/{}", report.site.id, report.key),
        tab: "past",
        query: if day.is_empty() { String::new() } else { format!("?day={}", format::query_value(day)) },
        day,
        yesterday: report.site.day(report.now).yesterday().unwrap_or(Date::MIN),
        reading,
        none,
        chart: chart(days)?,
        rows: days.iter().rev().map(row).collect(),
    }
    .render()
}
