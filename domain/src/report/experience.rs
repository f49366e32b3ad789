//! How it is to use the site: how fast pages come up, hold still and answer, and what goes wrong on them.

use super::csv::Table;
use super::{Period, Site};
use crate::surroundings::DeviceClass;
use jiff::Timestamp;
use serde::Deserialize;

/// What was counted and timed on one page view. Zero is "none", or of a time "not known".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ViewMeasures {
    /// Times one place was clicked again and again.
    pub rage_clicks: u32,
    /// Clicks after which nothing happened.
    pub dead_clicks: u32,
    /// JavaScript errors that nobody caught.
    pub errors: u32,
    /// Times text was copied.
    pub copies: u32,
    /// Form fields touched.
    pub fields: u32,
    /// Largest contentful paint, ms.
    pub lcp_ms: u32,
    /// First contentful paint, ms.
    pub fcp_ms: u32,
    /// Time to first byte, ms.
    pub ttfb_ms: u32,
    /// Interaction to next paint, ms.
    pub inp_ms: u32,
    /// Cumulative layout shift in thousandths; known, also where it is zero, if `lcp_ms` is.
    pub cls_millis: u32,
}

impl From<[u32; 10]> for ViewMeasures {
    /// From values in the order of the fields.
    fn from(values: [u32; 10]) -> Self {
        let [rage_clicks, dead_clicks, errors, copies, fields, lcp_ms, fcp_ms, ttfb_ms, inp_ms, cls_millis] = values;
        Self { rage_clicks, dead_clicks, errors, copies, fields, lcp_ms, fcp_ms, ttfb_ms, inp_ms, cls_millis }
    }
}

impl ViewMeasures {
    /// The values that are there, by name; a layout shift of zero is one where `lcp_ms` is known.
    pub fn known(&self) -> Vec<(&'static str, u32)> {
        let all = [
            ("rage_clicks", self.rage_clicks),
            ("dead_clicks", self.dead_clicks),
            ("errors", self.errors),
            ("copies", self.copies),
            ("fields", self.fields),
            ("lcp_ms", self.lcp_ms),
            ("fcp_ms", self.fcp_ms),
            ("ttfb_ms", self.ttfb_ms),
            ("inp_ms", self.inp_ms),
            ("cls_millis", self.cls_millis),
        ];
        let is_known = |&(name, value): &(&str, u32)| value > 0 || name == "cls_millis" && self.lcp_ms > 0;
        all.into_iter().filter(is_known).collect()
    }
}

/// One of the web vitals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vital {
    /// Largest contentful paint: when the main content is there.
    Lcp,
    /// Interaction to next paint: how soon the page answers.
    Inp,
    /// Cumulative layout shift: how much it jumps.
    Cls,
    /// First contentful paint: when something is there.
    Fcp,
    /// Time to first byte: when the server answers.
    Ttfb,
}

/// How good a value of a vital is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Good,
    /// Between the two limits.
    NeedsImprovement,
    /// Bad enough to be noticed.
    Poor,
}

impl Vital {
    /// How many there are.
    pub const COUNT: usize = 5;
    /// All of them, the three core ones first.
    pub const ALL: [Vital; Vital::COUNT] = [Vital::Lcp, Vital::Inp, Vital::Cls, Vital::Fcp, Vital::Ttfb];

    /// Its name in files and for machines, with its unit.
    pub fn key(self) -> &'static str {
        match self {
            Vital::Lcp => "lcp_ms",
            Vital::Inp => "inp_ms",
            Vital::Cls => "cls",
            Vital::Fcp => "fcp_ms",
            Vital::Ttfb => "ttfb_ms",
        }
    }

    /// The largest value that is good, and the largest that is not poor; ms, of the layout shift thousandths.
    ///
    /// Source: web.dev, "Web Vitals" and the pages of FCP and TTFB (Google, thresholds of 2020 to 2024).
    pub fn limits(self) -> (u32, u32) {
        match self {
            Vital::Lcp => (2_500, 4_000),
            Vital::Inp => (200, 500),
            Vital::Cls => (100, 250),
            Vital::Fcp => (1_800, 3_000),
            Vital::Ttfb => (800, 1_800),
        }
    }

    /// How good a value is, in the unit of [`Vital::limits`].
    pub fn grade(self, value: u32) -> Grade {
        match self.limits() {
            (good, _) if value <= good => Grade::Good,
            (_, poor) if value <= poor => Grade::NeedsImprovement,
            _ => Grade::Poor,
        }
    }
}

/// How one vital is spread over page views.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VitalSpread {
    /// Views of which it is known.
    pub views: u64,
    /// Three in four of these views are at this value or below it; in the unit of [`Vital::limits`].
    pub p75: Option<u32>,
    /// Views with a good value.
    pub good: u64,
    /// Views with a poor value.
    pub poor: u64,
}

impl VitalSpread {
    /// Views between good and poor.
    pub fn needs_improvement(&self) -> u64 {
        self.views.saturating_sub(self.good + self.poor)
    }
}

/// What was measured on some page views.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewSums {
    /// Page views of which anything was measured.
    pub views: u64,
    /// Of them, those on which a vital was poor, an error happened, or somebody clicked in anger or in vain.
    pub troubled: u64,
    /// In the order of [`Vital::ALL`].
    pub vitals: [VitalSpread; Vital::COUNT],
    /// JavaScript errors.
    pub errors: u64,
    /// Rage clicks.
    pub rage_clicks: u64,
    /// Dead clicks.
    pub dead_clicks: u64,
}

/// A page of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageExperience {
    /// Host and path.
    pub page: String,
    /// What was measured there.
    pub sums: ViewSums,
}

/// The page of the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Experience {
    /// The site.
    pub site: Site,
    /// Which days.
    pub period: Period,
    /// The moment of this report.
    pub now: Timestamp,
    /// One kind of device alone; `None` is all.
    pub device: Option<DeviceClass>,
    /// All pages together.
    pub total: ViewSums,
    /// Most troubled views first; the page shows some, the file more.
    pub pages: Vec<PageExperience>,
    /// How many of the latest snapshots were read, where there were more in the period.
    pub cut_at: Option<u64>,
}

impl Experience {
    /// The kinds of devices that can be asked for: those that people hold or sit at.
    pub const DEVICES: [DeviceClass; 3] = [DeviceClass::Desktop, DeviceClass::Mobile, DeviceClass::Tablet];

    /// The vitals as CSV.
    pub fn vitals_csv(&self) -> String {
        let header = ["vital", "views", "p75", "good_up_to", "poor_above", "good", "needs_improvement", "poor"];
        let mut table = Table::with_header(&header);
        for (vital, spread) in Vital::ALL.into_iter().zip(&self.total.vitals) {
            let (good, poor) = vital.limits();
            table.text(vital.key()).count(spread.views);
            value(&mut table, vital, spread.p75);
            value(&mut table, vital, Some(good));
            value(&mut table, vital, Some(poor));
            table.count(spread.good).count(spread.needs_improvement()).count(spread.poor).end();
        }
        table.into_text()
    }

    /// The pages as CSV.
    pub fn pages_csv(&self) -> String {
        let p75 = Vital::ALL.map(|vital| format!("{}_p75", vital.key()));
        let mut header = vec!["page", "views", "troubled_views"];
        header.extend(p75.iter().map(String::as_str));
        header.extend(["errors", "rage_clicks", "dead_clicks"]);
        let mut table = Table::with_header(&header);
        for row in &self.pages {
            let sums = &row.sums;
            table.text(&row.page).count(sums.views).count(sums.troubled);
            for (vital, spread) in Vital::ALL.into_iter().zip(&sums.vitals) {
                value(&mut table, vital, spread.p75);
            }
            table.count(sums.errors).count(sums.rage_clicks).count(sums.dead_clicks).end();
        }
        table.into_text()
    }
}

/// A value in the unit of [`Vital::key`].
fn value(table: &mut Table, vital: Vital, value: Option<u32>) {
    match (vital, value) {
        (_, None) => table.text(""),
        (Vital::Cls, Some(millis)) => table.text(&shift(millis)),
        (Vital::Lcp | Vital::Inp | Vital::Fcp | Vital::Ttfb, Some(ms)) => table.count(ms.into()),
    };
}

/// A layout shift of so many thousandths, as it is written: `0.104`.
pub fn shift(millis: u32) -> String {
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_a_limit_is_on_the_better_side_of_it() {
        for vital in Vital::ALL {
            let (good, poor) = vital.limits();
            let grades = [good, good + 1, poor, poor + 1].map(|value| vital.grade(value));
            assert_eq!(grades, [Grade::Good, Grade::NeedsImprovement, Grade::NeedsImprovement, Grade::Poor]);
        }
    }

    #[test]
    fn a_page_that_holds_still_has_a_shift_of_zero_where_its_paint_is_known() {
        let seen = ViewMeasures { lcp_ms: 900, ..ViewMeasures::default() };
        assert_eq!(seen.known(), [("lcp_ms", 900), ("cls_millis", 0)]);
        assert_eq!(ViewMeasures { errors: 1, ..ViewMeasures::default() }.known(), [("errors", 1)]);
        assert_eq!(ViewMeasures::default().known(), []);
    }

    #[test]
    fn a_shift_is_written_with_all_its_thousandths() {
        assert_eq!([0, 7, 104, 1_250].map(shift), ["0.000", "0.007", "0.104", "1.250"]);
    }
}
