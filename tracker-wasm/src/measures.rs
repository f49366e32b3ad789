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
#[derive(Clone, Copy, Debug, Default)]
struct Press {
    at: f64,
    x: f64,
    y: f64,
}

/// Several events of one interaction, as long as the longest of them.
#[derive(Clone, Copy, Debug, Default)]
struct Interaction {
    id: f64,
    ms: f64,
}

/// Layout shifts that followed each other closely.
#[derive(Debug, Default)]
struct ShiftWindow {
    first: f64,
    last: f64,
    sum: f64,
}

/// What was measured of one page view so far. Moments are ms since 1970.
#[derive(Debug, Default)]
pub struct Measured {
    /// Cumulative values, as a snapshot tells them.
    pub values: Measures,
    presses: [Press; RAGE_PRESSES],
    shifts: ShiftWindow,
    longest: [Interaction; INTERACTIONS],
    interactions: usize,
}

impl Measured {
    /// A press at `x`, `y` in CSS pixels; several of them in one place within a second are a rage click.
    pub fn press(&mut self, at: f64, x: f64, y: f64) {
        let [_, second, third] = self.presses;
        self.presses = [second, third, Press { at, x, y }];
        let is_near = |press: &Press| {
            at - press.at < RAGE_MS && (press.x - x).abs() <= RAGE_DISTANCE && (press.y - y).abs() <= RAGE_DISTANCE
        };
        if self.presses.iter().all(is_near) {
            self.presses = Default::default();
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
        // Half up, and zero is told as the least there is, so that it is not taken for unknown; a cast takes what is out
        // of range to the nearest end.
        let millis = (window.sum * 1_000.0 + 0.5) as u32;
        self.values.cls_millis = self.values.cls_millis.max(millis).max(1);
    }

    /// An event of the interaction `id` that took `ms` until the next frame.
    pub fn interaction(&mut self, id: f64, ms: f64) {
        // Its own place, else that of the shortest.
        let rank = |known: &Interaction| if known.id == id { -1.0 } else { known.ms };
        let (mut place, mut is_new) = (&mut Interaction::default(), true);
        let mut lowest = f64::INFINITY;
        for known in &mut self.longest {
            is_new &= known.id != id;
            if rank(known) < lowest {
                lowest = rank(known);
                place = known;
            }
        }
        if ms > place.ms {
            *place = Interaction { id, ms };
        }
        self.interactions += usize::from(is_new);
        let outliers = self.interactions / INTERACTIONS_PER_OUTLIER;
        let longer = |ms: f64| self.longest.iter().filter(|other| other.ms > ms).count();
        let counted = self.longest.iter().map(|known| known.ms).filter(|ms| longer(*ms) <= outliers);
        self.values.inp_ms = counted.fold(f64::INFINITY, f64::min) as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn three_presses_in_one_place_within_a_second_are_a_rage_click() {
        let mut measured = Measured::default();
        for at in [2_000.0, 2_300.0, 2_600.0] {
            measured.press(at, 100.0, 70.0 + at / 100.0);
        }
        assert_eq!(measured.values.rage_clicks, 1);
        // Slowly, or all over the page, is no rage; three more of the same burst are one more.
        for (at, x) in
            [(5_000.0, 0.0), (5_600.0, 0.0), (6_200.0, 0.0), (9_000.0, 0.0), (9_100.0, 90.0), (9_200.0, 180.0)]
        {
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
        measured.shift(0.0, 0.0);
        assert_eq!(measured.values.cls_millis, 1, "known to be none");
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
