//! The methods on a holdout: a table to check by, never to choose by.

use super::choose::{Chosen, Total, choose};
use super::{DAYS_PER_WEEK, Kind, Measures, Prior, PurchaseHistory, Summary, fit};
use crate::segment::rfm::{Cell, CustomerOrders, Scales};
use serde::Serialize;

/// One method on the holdout.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The method's name.
    pub name: String,
    /// How it came off.
    #[serde(flatten)]
    pub measures: Measures,
}

/// The chosen method beside others on a holdout that no choice has seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// People with an order until the calibration's end.
    pub people: usize,
    /// Orders of theirs in the holdout.
    pub actual_orders: u64,
    /// Days of the holdout.
    pub holdout_days: u32,
    /// The chosen method first, then the simple ones, then the family.
    pub lines: Vec<Line>,
    /// Mean of [`super::Counts::covers`] for the 80 % interval: 0.8 where the probabilities are true.
    pub coverage: f64,
    /// Share of people whose number is from the interval's low to its high bound, both included: at least as much.
    pub inside_bounds: f64,
    /// What was predicted for the sum.
    pub total: Total,
    /// The method with all that it rests on.
    #[serde(skip)]
    pub chosen: Chosen,
}

/// Chooses on what was known at the end of one day, and looks at what came until the end of another.
///
/// Beside the chosen method: the *naive rate*, orders so far per week of age (at least one) going on; the *RFM cell
/// mean*, what people of the same cell of the RFM grid did in the second half of the calibration, scaled to the
/// holdout's length; the chosen method with all one-time buyers tied; and each member of the family alone.
pub fn evaluate(histories: &[PurchaseHistory], calibration_end: i32, holdout_end: i32, seed: u64) -> Evaluation {
    let chosen = choose(histories, calibration_end, seed);
    let known: Vec<(&PurchaseHistory, Summary)> =
        histories.iter().filter_map(|history| Some((history, history.summary(calibration_end)?))).collect();
    let people: Vec<Summary> = known.iter().map(|(_, summary)| *summary).collect();
    let counts: Vec<u32> =
        known.iter().map(|(history, _)| history.count_between(calibration_end, holdout_end)).collect();
    let actual: Vec<f64> = counts.iter().map(|count| f64::from(*count)).collect();
    let holdout_days = u32::try_from(i64::from(holdout_end) - i64::from(calibration_end)).unwrap_or(0);
    let days = f64::from(holdout_days);

    let mut lines = Vec::new();
    let mut add = |name: String, expected: &[f64]| {
        lines.push(Line { name, measures: Measures::of(expected, &actual) });
    };
    let ahead: Vec<_> = people.iter().map(|summary| chosen.ahead(summary, holdout_days)).collect();
    let expected: Vec<f64> = ahead.iter().map(|ahead| ahead.orders).collect();
    add(format!("chosen: {}", chosen.method.name()), &expected);
    let once: Vec<f64> = people.iter().zip(&expected).filter(|(s, _)| s.repeats == 0).map(|(_, e)| *e).collect();
    let mean_once = once.iter().sum::<f64>() / once.len().max(1) as f64;
    let tied: Vec<f64> =
        people.iter().zip(&expected).map(|(s, e)| if s.repeats == 0 { mean_once } else { *e }).collect();
    add("chosen, one-time buyers tied".to_owned(), &tied);
    let naive: Vec<f64> =
        people.iter().map(|s| f64::from(s.repeats) / s.age_weeks.max(1.0) * days / DAYS_PER_WEEK).collect();
    add("naive rate".to_owned(), &naive);
    add("RFM cell mean".to_owned(), &rfm_cell_means(&known, calibration_end, days));
    for kind in Kind::ALL {
        let fitted = fit(kind, &people, Prior::None);
        let expected: Vec<f64> = people.iter().map(|summary| fitted.expected_orders(summary, days)).collect();
        add(kind.name().to_owned(), &expected);
    }

    let everybody = people.len().max(1) as f64;
    let covered = people.iter().zip(&counts).map(|(summary, n)| chosen.counts(summary, holdout_days).covers(*n, 0.8));
    let inside = ahead.iter().zip(&counts).filter(|(ahead, n)| (ahead.low..=ahead.high).contains(n)).count();
    Evaluation {
        people: people.len(),
        actual_orders: counts.iter().map(|count| u64::from(*count)).sum(),
        holdout_days,
        lines,
        coverage: (covered.sum::<f64>() / everybody).min(1.0),
        inside_bounds: inside as f64 / everybody,
        total: chosen.total(&people, holdout_days),
        chosen,
    }
}

/// What people of each person's cell did after the calibration's middle, scaled to `days`.
fn rfm_cell_means(known: &[(&PurchaseHistory, Summary)], calibration_end: i32, days: f64) -> Vec<f64> {
    let first = known.iter().filter_map(|(history, _)| history.occasions().first()).map(|first| first.day).min();
    let middle = first.map_or(calibration_end, |first| first.midpoint(calibration_end));
    let cells = cells(known, middle);
    let mut sums = vec![(0.0, 0.0); Cell::all().count()];
    for ((history, _), cell) in known.iter().zip(&cells) {
        if let Some(cell) = cell {
            let orders = f64::from(history.count_between(middle, calibration_end));
            sums[*cell] = (sums[*cell].0 + orders, sums[*cell].1 + 1.0);
        }
    }
    let stretch = days / (f64::from(calibration_end) - f64::from(middle)).max(1.0);
    let all = sums.iter().fold((0.0, 0.0), |all, sum| (all.0 + sum.0, all.1 + sum.1));
    let mean = |(orders, people): (f64, f64)| {
        if people > 0.0 { orders / people } else { all.0 / f64::max(all.1, 1.0) }
    };
    self::cells(known, calibration_end).iter().map(|cell| cell.map_or(0.0, |cell| mean(sums[cell]) * stretch)).collect()
}

/// The number of each person's cell as of a day; `None` for those who came later.
fn cells(known: &[(&PurchaseHistory, Summary)], day: i32) -> Vec<Option<usize>> {
    let buyer = |history: &PurchaseHistory| {
        let until = history.occasions().partition_point(|occasion| occasion.day <= day);
        let occasions = &history.occasions()[..until];
        let last = occasions.last()?;
        let spent: f64 = occasions.iter().map(|occasion| occasion.spend).sum();
        Some(CustomerOrders {
            recency_days: day.abs_diff(last.day),
            orders: u32::try_from(until).unwrap_or(u32::MAX),
            spent_minor: (spent * 100.0) as i64,
        })
    };
    let buyers: Vec<Option<CustomerOrders>> = known.iter().map(|(history, _)| buyer(history)).collect();
    let present: Vec<CustomerOrders> = buyers.iter().flatten().copied().collect();
    let scales = Scales::of(&present);
    let cell = |buyer: &CustomerOrders| {
        let cell = scales.scores(buyer).cell();
        usize::from(cell.recency() - 1) * 5 + usize::from(cell.frequency() - 1)
    };
    buyers.iter().map(|buyer| buyer.as_ref().map(cell)).collect()
}
