//! Lines as SVG paths for small pictures, and as data for the chart library.

use domain::money::Currency;
use serde::Serialize;
use std::fmt::Write;

/// Two lines on one scale: a period and the one before it.
pub(crate) struct Lines {
    /// The area under the current line.
    pub(crate) area: String,
    /// The current line.
    pub(crate) now: String,
    /// The line before.
    pub(crate) before: String,
}

impl Lines {
    /// Paths inside `width` × `height` that start at zero below, so that heights can be compared.
    pub(crate) fn draw(now: &[i64], before: &[i64], width: u32, height: u32) -> Lines {
        Lines::between(0.0, now, before, width, height)
    }

    /// Paths for a small picture of the shape alone: a quarter of the range stays free below the lowest value.
    pub(crate) fn shape(now: &[i64], before: &[i64], width: u32, height: u32) -> Lines {
        let ends = |pick: fn(i64, i64) -> i64| now.iter().chain(before).copied().reduce(pick).unwrap_or(0) as f64;
        let (low, high) = (ends(i64::min), ends(i64::max));
        Lines::between((low - (high - low) / 4.0).max(0.0), now, before, width, height)
    }

    fn between(floor: f64, now: &[i64], before: &[i64], width: u32, height: u32) -> Lines {
        let top = now.iter().chain(before).copied().max().unwrap_or(0) as f64;
        let range = if top > floor { top - floor } else { 1.0 };
        let (width, height) = (f64::from(width), f64::from(height));
        // Two units of room above and below, or the stroke of a maximum would be cut.
        let y = |value: i64| height - 2.0 - ((value as f64 - floor).max(0.0) / range).min(1.0) * (height - 4.0);
        let path = |values: &[i64]| {
            let step = width / (values.len().max(2) - 1) as f64;
            let mut path = String::new();
            for (i, value) in values.iter().enumerate() {
                let command = if i == 0 { 'M' } else { 'L' };
                // Writing to a String cannot fail.
                write!(path, "{command}{:.1} {:.1}", i as f64 * step, y(*value)).unwrap_or_default();
            }
            if values.len() == 1 {
                write!(path, "L{width:.1} {:.1}", y(values[0])).unwrap_or_default();
            }
            path
        };
        let line = path(now);
        let area = if line.is_empty() { String::new() } else { format!("{line}V{height:.0}H0z") };
        Lines { area, now: line, before: path(before) }
    }
}

/// What the chart script needs to draw a line chart; it adds colours and axes by itself.
#[derive(Serialize)]
pub(crate) struct LineChart<'a> {
    /// What a screen reader says of it.
    pub(crate) title: &'a str,
    /// Labels of the horizontal axis.
    pub(crate) labels: Vec<String>,
    /// The lines, the first one in front.
    pub(crate) series: Vec<Series>,
    /// The unit when it is money.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) money: Option<MoneyUnit>,
}

#[derive(Serialize)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// Labels of this line's own points, where they are other than the axis's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) labels: Vec<String>,
    /// Counts, or minor units.
    pub(crate) values: Vec<i64>,
}

#[derive(Serialize)]
pub(crate) struct MoneyUnit {
    pub(crate) code: String,
    pub(crate) digits: u32,
}

impl From<Currency> for MoneyUnit {
    fn from(currency: Currency) -> MoneyUnit {
        MoneyUnit { code: currency.code().to_owned(), digits: currency.digits() }
    }
}

impl LineChart<'_> {
    /// The chart as JSON, for an attribute of the element it is drawn in.
    pub(crate) fn json(&self) -> Result<String, askama::Error> {
        serde_json::to_string(self).map_err(|error| askama::Error::Custom(Box::new(error)))
    }
}

/// One line with what it says in words, as pages draw it.
pub(crate) struct LineView {
    pub(crate) data: String,
    pub(crate) summary: String,
    pub(crate) lines: Lines,
}

impl LineView {
    /// Draws a line; `values` are minor units where there is a currency, else counts.
    pub(crate) fn of(
        name: &str,
        summary: String,
        labels: Vec<String>,
        values: Vec<i64>,
        money: Option<Currency>,
    ) -> Result<LineView, askama::Error> {
        let lines = Lines::draw(&values, &[], 800, 220);
        let series = vec![Series { name: name.to_owned(), labels: Vec::new(), values }];
        let data = LineChart { title: &summary, labels, series, money: money.map(MoneyUnit::from) }.json()?;
        Ok(LineView { data, summary, lines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_inside_their_box_and_share_a_scale() {
        let lines = Lines::draw(&[0, 10], &[5, 5], 120, 36);
        assert_eq!(lines.now, "M0.0 34.0L120.0 2.0");
        assert_eq!(lines.before, "M0.0 18.0L120.0 18.0");
        assert_eq!(lines.area, "M0.0 34.0L120.0 2.0V36H0z");
        assert_eq!(Lines::shape(&[100, 140], &[], 120, 36).now, "M0.0 27.6L120.0 2.0");
        assert_eq!(Lines::draw(&[0, 0], &[], 120, 36).now, "M0.0 34.0L120.0 34.0");
        assert_eq!(Lines::draw(&[], &[], 120, 36).area, "");
        assert_eq!(Lines::draw(&[3], &[], 120, 36).now, "M0.0 2.0L120.0 2.0");
    }
}
