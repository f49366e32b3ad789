//! What the demo's page views measure: a checkout that is heavy and throws, articles that jump, the rest in order.

use super::random::Random;
use crate::store::events::SnapshotValues;
use domain::surroundings::{DeviceClass, Software};
use wire::Measures;

/// What one kind of page is like.
struct Manner {
    /// From the first paint to the main content, median in ms on a computer.
    content_ms: f64,
    /// Layout shift, median in thousandths.
    shift_millis: f64,
    /// Answering a click, median in ms on a computer.
    answer_ms: f64,
    /// Probabilities of an error, a rage click and a dead click on a view.
    trouble: [f64; 3],
}

fn manner(path: &str) -> Manner {
    match path.split('/').nth(1).unwrap_or("") {
        "checkout" => Manner { content_ms: 1_400.0, shift_millis: 30.0, answer_ms: 210.0, trouble: [0.03, 0.02, 0.01] },
        "shop" => Manner { content_ms: 900.0, shift_millis: 25.0, answer_ms: 90.0, trouble: [0.002, 0.004, 0.04] },
        "blog" => Manner { content_ms: 500.0, shift_millis: 140.0, answer_ms: 70.0, trouble: [0.0, 0.001, 0.01] },
        _ => Manner { content_ms: 600.0, shift_millis: 15.0, answer_ms: 80.0, trouble: [0.002, 0.002, 0.008] },
    }
}

/// What a view of this page with this software has come to, and how much later it is told, in ms. Safari tells the first
/// paint and the server's answer alone.
pub(super) fn snapshot(random: &mut Random, path: &str, software: &str) -> (SnapshotValues, Measures, i64) {
    let software = Software::read(software);
    let is_phone = software.device == Some(DeviceClass::Mobile);
    let slower = if is_phone { 1.6 } else { 1.0 };
    let manner = manner(path);
    let clicks = random.below(5) as u32;
    let engaged_ms = random.lognormal(22_000.0, 0.8).clamp(1_500.0, 150_000.0);
    let mut measures = Measures::default();
    for (count, chance) in
        [&mut measures.errors, &mut measures.rage_clicks, &mut measures.dead_clicks].into_iter().zip(manner.trouble)
    {
        *count = u32::from(random.chance(chance));
    }
    let first_byte = random.lognormal(240.0, 0.5) * slower;
    let first_paint = first_byte + random.lognormal(500.0, 0.4) * slower;
    measures.ttfb_ms = first_byte as u32;
    measures.fcp_ms = first_paint as u32;
    if software.browser == Some("Chrome") {
        measures.lcp_ms = (first_paint + random.lognormal(manner.content_ms, 0.6) * slower) as u32;
        measures.cls_millis = random.lognormal(manner.shift_millis, 0.9) as u32;
        if clicks > 0 {
            measures.inp_ms = (random.lognormal(manner.answer_ms, 0.6) * slower) as u32;
        }
    }
    if path.starts_with("/checkout") {
        measures.fields = 4 + random.below(5) as u32;
    }
    let values = SnapshotValues {
        revision: 1,
        engaged_ms: engaged_ms as i32,
        clicks: clicks as i32,
        max_scroll_pct: 20 + random.below(81) as i16,
    };
    (values, measures, engaged_ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The 75th percentile of many views of a page.
    fn p75(path: &str, software: &str, value: fn(&Measures) -> u32) -> u32 {
        let mut random = Random::new(7, 1);
        let mut values: Vec<u32> = (0..4_000).map(|_| value(&snapshot(&mut random, path, software).1)).collect();
        values.sort_unstable();
        values[values.len() * 3 / 4]
    }

    #[test]
    fn each_page_has_a_weakness_that_the_report_can_find() {
        let (desktop, phone) = ("desktop|Chrome|142|Windows", "mobile|Chrome|142|Android");
        assert!(p75("/", desktop, |m| m.lcp_ms) < 2_500);
        assert!(p75("/checkout", phone, |m| m.lcp_ms) > 4_000);
        assert!(p75("/blog/low-acid", desktop, |m| m.cls_millis) > 250);
        assert!(p75("/checkout", phone, |m| m.inp_ms) > 200);
        assert_eq!(p75("/", "mobile|Safari|18|iOS", |m| m.lcp_ms), 0);
        assert!(p75("/", "mobile|Safari|18|iOS", |m| m.fcp_ms) > 0);
    }
}
