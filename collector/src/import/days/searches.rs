//! What a search engine showed and led here: a line of a day, with a query, a page, or neither.
//!
//! Columns of countries or devices are not read: their lines are added up.

use super::super::format::Line;
use super::super::maker::Maker;
use super::super::mapping::{Layout, MappingError};
use super::{Days, count, day, decimal, is_remark, page};
use crate::intake::Reason;
use crate::intake::screen::Fault;
use crate::store::marketing::{SearchCut, value};

pub(super) fn missing(layout: &Layout) -> Vec<MappingError> {
    let has = |field: &str| layout.column(field).is_some();
    let mut missing = Vec::new();
    if !has("date") {
        missing.push(MappingError::NoDays);
    }
    if has("query") && has("page") {
        missing.push(MappingError::TwoCuts("query".to_owned(), "page".to_owned()));
    }
    missing
}

pub(super) fn take(maker: &Maker, line: &Line, days: &mut Days) -> Result<(), Fault> {
    let day = match day::needed(maker, line) {
        Err(_) if is_remark(line) => return Ok(()),
        day => day?,
    };
    let cut = cut(maker, line)?;
    let needed = |field: &str| {
        let missing = || Fault::new(Reason::Unreadable, format!("{field} is empty"));
        count(maker, line, field)?.ok_or_else(missing)
    };
    let (clicks, impressions) = (needed("clicks")?, needed("impressions")?);
    let position = decimal(maker, line, "position")?.map(|(position, _)| position);
    let position_sum = match position {
        Some(position) => position * impressions as f64,
        None if impressions == 0 => 0.0,
        None => return Err(Fault::new(Reason::Unreadable, "position is empty")),
    };
    let key = (day, cut);
    if !days.searches.contains_key(&key) {
        days.make_room(match &key.1 {
            SearchCut::Total => 0,
            SearchCut::Query(text) | SearchCut::Page(text) => text.len(),
        })?;
    }
    let (_, searched) = days.searches.entry(key).or_insert_with(|| (line.number, Default::default()));
    searched.clicks = searched.clicks.saturating_add(clicks);
    searched.impressions = searched.impressions.saturating_add(impressions);
    searched.position_sum += position_sum;
    Ok(())
}

fn cut(maker: &Maker, line: &Line) -> Result<SearchCut, Fault> {
    let texts = [
        ("query", value as fn(&str) -> String, SearchCut::Query as fn(String) -> SearchCut),
        ("page", page, SearchCut::Page),
    ];
    for (field, kept, make) in texts {
        if maker.layout.column(field).is_some() {
            let text = kept(maker.needed(line, field)?);
            // An empty one would be taken for the whole site's.
            let missing = || Fault::new(Reason::MissingName, format!("{field} is empty"));
            return if text.is_empty() { Err(missing()) } else { Ok(make(text)) };
        }
    }
    Ok(SearchCut::Total)
}
