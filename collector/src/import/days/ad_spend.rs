//! What campaigns cost: a line of a day and campaign, or a finer one, of an ad group or device.

use super::super::format::Line;
use super::super::maker::Maker;
use super::super::mapping::{Layout, MappingError};
use super::{Days, count, day, is_remark};
use crate::intake::Reason;
use crate::intake::screen::Fault;
use crate::store::marketing::name;
use domain::money::Currency;

/// The `utm_source` of an advertising system that the headings of its export show.
pub(super) fn system(plain: &[String]) -> Option<&'static str> {
    let has = |test: fn(&str) -> bool| plain.iter().any(|heading| test(heading));
    if has(|heading| heading.starts_with("amount_spent") || heading.starts_with("ausgegebener_betrag")) {
        Some("facebook")
    } else if has(|heading| heading == "gregorian_date" || heading == "time_period") {
        Some("bing")
    } else if has(|heading| heading == "impr" || heading == "interactions") {
        Some("google")
    } else {
        None
    }
}

/// The currency that a heading names in brackets, as in `Amount spent (EUR)`.
pub(in crate::import) fn currency_of(heading: &str) -> Option<Currency> {
    let (_, code) = heading.trim().strip_suffix(')')?.rsplit_once('(')?;
    code.parse().ok()
}

pub(super) fn missing(layout: &Layout) -> Vec<MappingError> {
    let known = layout.column("source").is_some() || layout.from.is_some();
    if known { Vec::new() } else { vec![MappingError::NoSource] }
}

pub(super) fn take(maker: &Maker, line: &Line, days: &mut Days) -> Result<(), Fault> {
    let day = match day::needed(maker, line) {
        Err(_) if is_remark(line) => return Ok(()),
        day => day?,
    };
    let until = maker.text(line, "until")?;
    if !until.is_empty() && day::read(maker, until, "until")? != day {
        let detail = format!("the line is about {day} to {until:.40?}; export by day");
        return Err(Fault::new(Reason::DateOutOfRange, detail));
    }
    let source = match maker.text(line, "source")? {
        "" => maker.layout.from.as_deref().unwrap_or_default(),
        source => source,
    };
    let (source, campaign) = (name(source).to_lowercase(), name(maker.needed(line, "campaign")?));
    for (field, text) in [("source", &source), ("campaign", &campaign)] {
        if text.is_empty() {
            return Err(Fault::new(Reason::MissingName, format!("{field} is empty")));
        }
    }
    let currency = match maker.text(line, "currency")? {
        "" => maker.layout.currency.unwrap_or(maker.site.currency),
        code => code.parse().map_err(|error: domain::money::MoneyError| {
            Fault::new(Reason::BadOrder, format!("currency {code:.20?}: {error}"))
        })?,
    };
    let cost_minor = maker.amount(line, "cost", currency)?;
    let currency = cost_minor.map_or(currency, |cost| cost.currency);
    let (clicks, impressions) = (count(maker, line, "clicks")?, count(maker, line, "impressions")?);
    let key = (day, source, campaign, currency);
    if !days.spend.contains_key(&key) {
        days.make_room(key.1.len() + key.2.len())?;
    }
    let (_, spent) = days.spend.entry(key).or_insert_with(|| (line.number, Default::default()));
    spent.cost_minor = spent.cost_minor.saturating_add(cost_minor.map_or(0, |cost| cost.minor));
    spent.clicks = spent.clicks.saturating_add(clicks.unwrap_or(0));
    spent.impressions = spent.impressions.saturating_add(impressions.unwrap_or(0));
    Ok(())
}
