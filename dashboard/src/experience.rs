//! The experience page, and what was measured of one page view in words.

use crate::Rendered;
use crate::format::{self, Format};
use crate::overview::{Picker, picker};
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::report::{Experience, Grade, PageExperience, ViewMeasures, Vital, VitalSpread, shift};
use domain::surroundings::DeviceClass;

/// Pages of a site on the page; the file has more.
const SHOWN: usize = 50;
/// The length of a bar of shares.
const BAR: u64 = 160;
/// What stands where there is no number.
const NONE: &str = "–";

#[derive(Template)]
#[template(path = "experience.html")]
struct ExperiencePage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a Experience,
    picker: Picker,
    devices: Vec<DeviceChoice>,
    /// The device's part of a query, with `&` before it; empty for all.
    device_query: String,
    device_key: &'static str,
    counts: String,
    vitals: Vec<VitalView>,
    heads: [&'static str; Vital::COUNT],
    pages: Vec<PageView>,
    more: usize,
    notes: Vec<String>,
}

struct DeviceChoice {
    key: &'static str,
    name: &'static str,
    chosen: bool,
}

struct VitalView {
    name: &'static str,
    short: &'static str,
    p75: Cell,
    grade: &'static str,
    good: String,
    needs_improvement: String,
    poor: String,
    /// Where the bar's second and third part begin.
    needs_from: u64,
    poor_from: u64,
    views: String,
}

/// A value with the class of its colour.
struct Cell {
    text: String,
    class: &'static str,
}

struct PageView {
    page: String,
    views: String,
    troubled: String,
    vitals: Vec<Cell>,
    errors: String,
    rage_clicks: String,
    dead_clicks: String,
}

fn short_name(vital: Vital) -> &'static str {
    match vital {
        Vital::Lcp => "LCP",
        Vital::Inp => "INP",
        Vital::Cls => "CLS",
        Vital::Fcp => "FCP",
        Vital::Ttfb => "TTFB",
    }
}

fn long_name(vital: Vital) -> &'static str {
    match vital {
        Vital::Lcp => "Largest contentful paint",
        Vital::Inp => "Interaction to next paint",
        Vital::Cls => "Cumulative layout shift",
        Vital::Fcp => "First contentful paint",
        Vital::Ttfb => "Time to first byte",
    }
}

fn grade_name(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "good",
        Grade::NeedsImprovement => "needs improvement",
        Grade::Poor => "poor",
    }
}

fn grade_class(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "up",
        Grade::NeedsImprovement => "mid",
        Grade::Poor => "dn",
    }
}

/// `312 ms`, `2.43 s`
fn time(ms: u32) -> String {
    if ms < 1_000 { format!("{ms}\u{a0}ms") } else { format!("{:.2}\u{a0}s", f64::from(ms) / 1_000.0) }
}

fn value(vital: Vital, value: u32) -> String {
    match vital {
        Vital::Cls => shift(value),
        Vital::Lcp | Vital::Inp | Vital::Fcp | Vital::Ttfb => time(value),
    }
}

fn cell(vital: Vital, p75: Option<u32>) -> Cell {
    match p75 {
        Some(p75) => Cell { text: value(vital, p75), class: grade_class(vital.grade(p75)) },
        None => Cell { text: NONE.to_owned(), class: "same" },
    }
}

fn vital_view(vital: Vital, spread: &VitalSpread) -> VitalView {
    let share = |part: u64| if spread.views == 0 { NONE.to_owned() } else { format::share(part, spread.views) };
    let length = |part: u64| if spread.views == 0 { 0 } else { part.saturating_mul(BAR) / spread.views };
    VitalView {
        name: long_name(vital),
        short: short_name(vital),
        p75: cell(vital, spread.p75),
        grade: spread.p75.map_or("", |p75| grade_name(vital.grade(p75))),
        good: share(spread.good),
        needs_improvement: share(spread.needs_improvement()),
        poor: share(spread.poor),
        needs_from: length(spread.good),
        poor_from: length(spread.views - spread.poor.min(spread.views)),
        views: format::count(&spread.views),
    }
}

fn page_view(row: &PageExperience) -> PageView {
    let sums = &row.sums;
    PageView {
        page: row.page.clone(),
        views: format::count(&sums.views),
        troubled: format::count(&sums.troubled),
        vitals: Vital::ALL.into_iter().zip(&sums.vitals).map(|(vital, spread)| cell(vital, spread.p75)).collect(),
        errors: format::count(&sums.errors),
        rage_clicks: format::count(&sums.rage_clicks),
        dead_clicks: format::count(&sums.dead_clicks),
    }
}

fn devices(chosen: Option<DeviceClass>) -> Vec<DeviceChoice> {
    let all = DeviceChoice { key: "", name: "All devices", chosen: chosen.is_none() };
    let one =
        |device: DeviceClass| DeviceChoice { key: device.key(), name: device.label(), chosen: chosen == Some(device) };
    std::iter::once(all).chain(Experience::DEVICES.map(one)).collect()
}

/// Everything that was counted, a sentence.
fn counts(report: &Experience) -> String {
    let total = &report.total;
    let counted = |value: &u64, one, many| format::counted(value, one, many);
    format!(
        "Measured on {}, {} of them with trouble: {}, {} and {}.",
        counted(&total.views, "page view", "page views"),
        format::count(&total.troubled),
        counted(&total.errors, "JavaScript error", "JavaScript errors"),
        counted(&total.rage_clicks, "rage click", "rage clicks"),
        counted(&total.dead_clicks, "dead click", "dead clicks"),
    )
}

/// What was measured of one page view, in plain words; what went wrong first.
pub(crate) fn told(measures: &ViewMeasures) -> Vec<String> {
    let counted = |value: u32, one: &str, many: &str| format::counted(&u64::from(value), one, many);
    let counts = [
        (measures.rage_clicks, "rage click", "rage clicks"),
        (measures.dead_clicks, "dead click", "dead clicks"),
        (measures.errors, "JavaScript error", "JavaScript errors"),
    ];
    let mut parts: Vec<String> = counts
        .into_iter()
        .filter(|(value, ..)| *value > 0)
        .map(|(value, one, many)| counted(value, one, many))
        .collect();
    if measures.lcp_ms > 0 {
        parts.push(format!("main content after {}", time(measures.lcp_ms)));
    }
    if measures.inp_ms > 0 {
        parts.push(format!("answered within {}", time(measures.inp_ms)));
    }
    if Vital::Cls.grade(measures.cls_millis) != Grade::Good {
        parts.push(format!("layout shifted by {}", shift(measures.cls_millis)));
    }
    if measures.fields > 0 {
        parts.push(counted(measures.fields, "form field touched", "form fields touched"));
    }
    if measures.copies > 0 {
        parts.push(format!("copied text {}", counted(measures.copies, "time", "times")));
    }
    parts
}

/// How fast pages come up, hold still and answer, and what goes wrong on them.
///
/// # Errors
/// When the page cannot be written.
pub fn experience(shell: &Shell, report: &Experience) -> Rendered {
    let f = Format::of(&report.site, report.now);
    let cut = |most: u64| {
        format!("The period has more than {} snapshots; the latest of them were read.", format::count(&most))
    };
    ExperiencePage {
        shell,
        nav: Nav::Experience,
        r: report,
        picker: picker(&report.period, f.span(&report.period.from, &report.period.to)),
        devices: devices(report.device),
        device_query: report.device.map_or(String::new(), |device| format!("&device={}", device.key())),
        device_key: report.device.map_or("", DeviceClass::key),
        counts: counts(report),
        vitals: Vital::ALL
            .into_iter()
            .zip(&report.total.vitals)
            .map(|(vital, spread)| vital_view(vital, spread))
            .collect(),
        heads: Vital::ALL.map(short_name),
        pages: report.pages.iter().take(SHOWN).map(page_view).collect(),
        more: report.pages.len().saturating_sub(SHOWN),
        notes: report.cut_at.map(cut).into_iter().collect(),
    }
    .render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_views_measures_are_told_in_words_and_only_those_that_are_there() {
        assert!(told(&ViewMeasures::default()).is_empty());
        let fast = ViewMeasures { lcp_ms: 950, inp_ms: 40, cls_millis: 100, ..ViewMeasures::default() };
        assert_eq!(told(&fast), ["main content after 950\u{a0}ms", "answered within 40\u{a0}ms"]);
        let bad = ViewMeasures { rage_clicks: 2, errors: 1, cls_millis: 310, copies: 1, ..ViewMeasures::default() };
        let words = ["2 rage clicks", "1 JavaScript error", "layout shifted by 0.310", "copied text 1 time"];
        assert_eq!(told(&bad).iter().map(|part| part.replace('\u{a0}', " ")).collect::<Vec<_>>(), words);
    }

    #[test]
    fn a_bars_parts_are_as_long_as_their_shares_and_fill_it() {
        let view = vital_view(Vital::Lcp, &VitalSpread { views: 8, p75: Some(2_000), good: 4, poor: 2 });
        assert_eq!((view.needs_from, view.poor_from), (80, 120));
        assert_eq!((view.p75.class, view.grade), ("up", "good"));
        let none = vital_view(Vital::Lcp, &VitalSpread::default());
        assert_eq!((none.poor_from, none.good.as_str(), none.p75.text.as_str()), (0, NONE, NONE));
    }
}
