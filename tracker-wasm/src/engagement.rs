//! How long and how far a page view was really looked at.

use crate::measures::Measured;
use wire::Measures;

/// After this long without input nobody is assumed to be looking, in ms.
pub const IDLE_MS: f64 = 30_000.0;

/// What one page view has gathered so far. Times are ms of one monotonic clock, given by the caller.
#[derive(Debug, Default)]
pub struct Engagement {
    engaged_ms: f64,
    /// Up to here the time is counted.
    counted_until: f64,
    last_input: f64,
    /// The page is visible and has the focus.
    active: bool,
    max_scroll_pct: u8,
    clicks: u32,
    /// What else is measured of the view.
    pub measured: Measured,
    revision: u32,
    reported: Summary,
}

/// The cumulative values of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Time visible, focused and with input in the last [`IDLE_MS`], in ms.
    pub engaged_ms: u32,
    /// Deepest point seen, in percent of the page.
    pub max_scroll_pct: u8,
    /// Clicks anywhere on the page.
    pub clicks: u32,
    /// What else was measured.
    pub measures: Measures,
}

impl Engagement {
    /// Starts over for the next page view; whether the page is active carries on.
    pub fn begin_view(&mut self, now: f64) {
        *self = Self { active: self.active, counted_until: now, last_input: now, ..Self::default() };
    }

    /// Goes on from what was gathered of this view elsewhere, the last of it told as `revision`.
    pub fn resume(&mut self, engaged_ms: f64, max_scroll_pct: u8, clicks: u32, revision: u32) {
        // NaN where JavaScript has left the argument out.
        self.engaged_ms = engaged_ms.max(0.0);
        self.max_scroll_pct = max_scroll_pct.min(100);
        self.clicks = clicks;
        self.revision = revision;
    }

    /// The visitor moved, typed, scrolled or touched.
    pub fn input(&mut self, now: f64) {
        self.count_until(now);
        self.last_input = now;
    }

    /// The visitor clicked.
    pub fn click(&mut self, now: f64) {
        self.input(now);
        self.clicks = self.clicks.saturating_add(1);
    }

    /// The page is now visible and focused, or no longer. Coming back is a sign of life as good as input.
    pub fn set_active(&mut self, now: f64, active: bool) {
        self.count_until(now);
        if active && !self.active {
            self.last_input = now;
        }
        self.active = active;
    }

    /// The page was seen down to this percentage of its height.
    pub fn scrolled_to(&mut self, percent: f64) {
        // A float cast saturates and takes NaN as 0, whatever the page made of its geometry.
        self.max_scroll_pct = self.max_scroll_pct.max((percent as u8).min(100));
    }

    /// The values and their revision, if any of them changed since the last call.
    pub fn take_changes(&mut self, now: f64) -> Option<(u32, Summary)> {
        self.count_until(now);
        let summary = Summary {
            engaged_ms: self.engaged_ms as u32,
            max_scroll_pct: self.max_scroll_pct,
            clicks: self.clicks,
            measures: self.measured.values,
        };
        if summary == self.reported {
            return None;
        }
        self.reported = summary;
        self.revision = self.revision.saturating_add(1);
        Some((self.revision, summary))
    }

    fn count_until(&mut self, now: f64) {
        let end = now.min(self.last_input + IDLE_MS);
        if self.active && end > self.counted_until {
            self.engaged_ms += end - self.counted_until;
        }
        self.counted_until = self.counted_until.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn active_view() -> Engagement {
        let mut view = Engagement::default();
        view.set_active(0.0, true);
        view.begin_view(1_000.0);
        view
    }

    fn engaged(view: &mut Engagement, now: f64) -> u32 {
        view.take_changes(now).map_or(view.reported.engaged_ms, |(_, summary)| summary.engaged_ms)
    }

    #[test]
    fn time_without_input_counts_up_to_the_idle_limit() {
        let mut view = active_view();
        assert_eq!(engaged(&mut view, 11_000.0), 10_000);
        assert_eq!(engaged(&mut view, 500_000.0), 30_000);
        view.input(600_000.0);
        assert_eq!(engaged(&mut view, 605_000.0), 35_000, "the pause before the input is not counted");
    }

    #[test]
    fn time_away_is_not_counted() {
        let mut view = active_view();
        view.set_active(3_000.0, false);
        view.input(4_000.0);
        assert_eq!(engaged(&mut view, 9_000.0), 2_000);
        view.set_active(100_000.0, true);
        assert_eq!(engaged(&mut view, 101_500.0), 3_500);
    }

    #[test]
    fn being_told_twice_that_the_page_is_active_is_no_input() {
        let mut view = active_view();
        view.set_active(25_000.0, true);
        assert_eq!(engaged(&mut view, 90_000.0), 30_000);
    }

    #[test]
    fn a_snapshot_is_due_only_when_something_changed_and_counts_up() {
        let mut view = Engagement::default();
        view.begin_view(0.0);
        assert_eq!(view.take_changes(5_000.0), None, "an unseen page has nothing to tell");
        view.click(6_000.0);
        assert_eq!(view.take_changes(6_000.0), Some((1, Summary { clicks: 1, ..Summary::default() })));
        assert_eq!(view.take_changes(7_000.0), None);
        view.scrolled_to(40.0);
        view.scrolled_to(20.0);
        assert_eq!(
            view.take_changes(8_000.0),
            Some((2, Summary { clicks: 1, max_scroll_pct: 40, ..Summary::default() }))
        );
        view.measured.values.errors += 1;
        assert_eq!(view.take_changes(9_000.0).map(|(revision, told)| (revision, told.measures.errors)), Some((3, 1)));
    }

    #[test]
    fn geometry_that_makes_no_sense_stays_within_a_percentage() {
        let mut view = active_view();
        view.scrolled_to(f64::NAN);
        view.scrolled_to(-3.0);
        assert_eq!(view.max_scroll_pct, 0);
        view.scrolled_to(f64::INFINITY);
        assert_eq!(view.max_scroll_pct, 100);
    }

    #[test]
    fn a_new_view_starts_from_nothing_and_keeps_the_focus() {
        let mut view = active_view();
        view.click(2_000.0);
        view.scrolled_to(90.0);
        view.begin_view(5_000.0);
        assert_eq!(view.take_changes(5_000.0), None);
        assert_eq!(engaged(&mut view, 6_000.0), 1_000);
        assert_eq!(view.revision, 1);
    }

    #[test]
    fn a_view_goes_on_from_what_was_gathered_elsewhere() {
        let mut view = active_view();
        view.resume(2_500.0, 60, 3, 2);
        view.click(2_000.0);
        let expected = Summary { engaged_ms: 3_500, max_scroll_pct: 60, clicks: 4, ..Summary::default() };
        assert_eq!(view.take_changes(2_000.0), Some((3, expected)));
        view.resume(f64::NAN, 200, 0, 0);
        assert_eq!((view.engaged_ms, view.max_scroll_pct), (0.0, 100));
    }

    #[test]
    fn a_clock_that_steps_back_takes_nothing_away() {
        let mut view = active_view();
        assert_eq!(engaged(&mut view, 5_000.0), 4_000);
        view.input(2_000.0);
        assert_eq!(engaged(&mut view, 5_000.0), 4_000);
        assert_eq!(engaged(&mut view, 6_000.0), 5_000);
    }
}
