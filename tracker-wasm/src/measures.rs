//! What a page view is measured by besides engagement: clicks in anger or into nothing, errors, the web's vitals.

use wire::Measures;

/// Presses that make a rage click.
const RAGE_PRESSES: usize = 3;
/// The time they come within, in ms.
const RAGE_MS: f64 = 1_000.0;
/// The distance they come within, in CSS pixels, along each axis.
const RAGE_DISTANCE: f64 = 30.0;
/// Layout shifts closer than this belong to one session window, in ms; as web.dev/articles/cls defines it.
const SHIFT_GAP_MS: f64 = 1_000.0;
/// The longest a session window is, in ms.
const SHIFT_WINDOW_MS: f64 = 5_000.0;
/// Interactions that are kept, the longest: the 98th percentile of up to 500 is among them.
const INTERACTIONS: usize = 10;
/// Of so many interactions one may be slower than the one that counts; as web.dev/articles/inp defines it.
const INTERACTIONS_PER_OUTLIER: usize = 50;

/// One press of a button or finger.
#[derive(Clone, Copy, Debug)]
struct Press {
    at: f64,
    x: f64,
    y: f64,
}

/// Layout shifts that followed each other closely.
#[derive(Debug, Default)]
struct ShiftWindow {
    first: f64,
    last: f64,
    sum: f64,
}

/// What was measured of one page view so far.
#[derive(Debug, Default)]
pub struct Measured {
    /// Cumulative values, as a snapshot tells them.
    pub values: Measures,
    presses: Vec<Press>,
    shifts: ShiftWindow,
    /// Id and duration in ms, the longest first.
    interactions: Vec<(f64, f64)>,
    interaction_count: usize,
}

impl Measured {
    /// A press at `x`, `y` in CSS pixels; several of them in one place within a second are a rage click.
    pub fn press(&mut self, at: f64, x: f64, y: f64) {
        self.presses.retain(|press| {
            at - press.at < RAGE_MS && (press.x - x).abs() <= RAGE_DISTANCE && (press.y - y).abs() <= RAGE_DISTANCE
        });
        self.presses.push(Press { at, x, y });
        if self.presses.len() >= RAGE_PRESSES {
            self.presses.clear();
            self.values.rage_clicks += 1;
        }
    }

    /// A layout shift of `value` at `at` ms: the largest session window counts.
    pub fn shift(&mut self, at: f64, value: f64) {
        let window = &mut self.shifts;
        if at - window.last >= SHIFT_GAP_MS || at - window.first >= SHIFT_WINDOW_MS {
            *window = ShiftWindow { first: at, ..ShiftWindow::default() };
        }
        window.last = at;
        window.sum += value;
        // Half up; a cast takes what is out of range to the nearest end.
        let millis = (window.sum * 1_000.0 + 0.5) as u32;
        self.values.cls_millis = self.values.cls_millis.max(millis);
    }

    /// An interaction that took `duration` ms until the next frame: several of one `id` are one, as long as the longest.
    pub fn interaction(&mut self, id: f64, duration: f64) {
        let mut longest = duration;
        match self.interactions.iter().position(|(known, _)| *known == id) {
            Some(place) => longest = self.interactions.remove(place).1.max(duration),
            None => self.interaction_count += 1,
        }
        let place = self.interactions.iter().position(|(_, other)| *other < longest).unwrap_or(self.interactions.len());
        self.interactions.insert(place, (id, longest));
        self.interactions.truncate(INTERACTIONS);
        let outliers = (self.interaction_count / INTERACTIONS_PER_OUTLIER).min(self.interactions.len() - 1);
        self.values.inp_ms = self.interactions.get(outliers).map_or(0, |(_, duration)| *duration as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_presses_in_one_place_within_a_second_are_a_rage_click() {
        let mut measured = Measured::default();
        for at in [0.0, 300.0, 600.0] {
            measured.press(at, 100.0, 100.0 + at / 100.0);
        }
        assert_eq!(measured.values.rage_clicks, 1);
        // Slowly, or all over the page, is no rage; three more of the same burst are one more.
        for (at, x) in [(5_000.0, 0.0), (5_600.0, 0.0), (6_200.0, 0.0), (9_000.0, 0.0), (9_100.0, 90.0), (9_200.0, 180.0)] {
            measured.press(at, x, 0.0);
        }
        assert_eq!(measured.values.rage_clicks, 1);
        for at in [20_000.0, 20_010.0, 20_020.0, 20_030.0, 20_040.0, 20_050.0] {
            measured.press(at, 1.0, 1.0);
        }
        assert_eq!(measured.values.rage_clicks, 3);
    }

    #[test]
    fn the_largest_window_of_layout_shifts_counts() {
        let mut measured = Measured::default();
        measured.shift(100.0, 0.1);
        measured.shift(1_000.0, 0.05);
        assert_eq!(measured.values.cls_millis, 150);
        // A second of rest begins a new window, and so do five seconds without one.
        measured.shift(2_000.0, 0.12);
        assert_eq!(measured.values.cls_millis, 150);
        for n in 0..12 {
            measured.shift(10_000.0 + 500.0 * f64::from(n), 0.02);
        }
        assert_eq!(measured.values.cls_millis, 200, "ten within five seconds");
    }

    #[test]
    fn the_slowest_interaction_counts_except_one_of_every_fifty() {
        let mut measured = Measured::default();
        measured.interaction(1.0, 80.0);
        measured.interaction(1.0, 120.0);
        measured.interaction(2.0, 60.0);
        assert_eq!(measured.values.inp_ms, 120);
        for id in 3..=49 {
            measured.interaction(f64::from(id), 50.0);
        }
        assert_eq!(measured.values.inp_ms, 120);
        measured.interaction(50.0, 48.0);
        assert_eq!(measured.values.inp_ms, 60, "one of fifty is left out");
    }
}
