//! What others count by day: lines about the same day and thing are added up over the whole file, then put at once.
//!
//! A sum that is cut off in the middle is wrong, so nothing is put before the file's end: the rows go in before the last
//! batch is noted, in small transactions, since they may be many and intake must not wait for them. An import that is cut
//! off there puts the same rows again. An import that goes on elsewhere reads the file from its beginning and adds up anew. What
//! is held is bounded by [`KEYS`] and [`KEY_BYTES`]. All files of a site have one source key, so that a file that is
//! imported again, or the next file about the same days, replaces and never doubles; what is about one day and campaign
//! has to stand in one file.

mod ad_spend;
mod day;
mod searches;
mod web_history;

pub(super) use ad_spend::currency_of;
pub(super) use day::day;
pub(super) use web_history::{has_percents, tells_events};

use super::fields::Kind;
use super::format::{Cell, Line};
use super::maker::Maker;
use super::mapping::MappingError;
use super::{Layout, Mapping, number};
use crate::intake::Reason;
use crate::intake::screen::Fault;
use crate::intake::source;
use crate::store::StoreError;
use crate::store::ingest::Receipt;
use crate::store::marketing::{
    AdSpend, SearchCut, SearchPerformance, WebHistory, page, put_ad_spend, put_search_performance, put_web_history,
};
use diesel::PgConnection;
use domain::money::{Currency, Money};
use domain::report::ImportedEvent;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Different days and things of one file.
const KEYS: usize = 500_000;
/// Bytes of their texts.
const KEY_BYTES: usize = 128 << 20;
/// Rows that are made for the store at once.
const ROWS_AT_ONCE: usize = 10_000;
/// The largest number that is taken for a count; sums of a file's lines stay inside an `i64`.
const MAX_COUNT: f64 = 1e12;

/// Day, `utm_source` in lower case, campaign and currency.
type SpendKey = (Date, String, String, Currency);
/// Day, dimension, value.
type HistoryKey = (Date, &'static str, String);

/// What one campaign cost on a day.
#[derive(Clone, Debug, Default)]
struct Spent {
    cost_minor: i64,
    clicks: i64,
    impressions: i64,
}

/// What searches brought on a day.
#[derive(Clone, Debug, Default)]
struct Searched {
    clicks: i64,
    impressions: i64,
    /// The position of every impression, added up.
    position_sum: f64,
}

/// What a tool counted on a day; `None` is what it did not count.
#[derive(Clone, Debug, Default)]
struct Visited {
    visitors: Option<i64>,
    visits: Option<i64>,
    views: Option<i64>,
    bounces: Option<i64>,
    visit_seconds: Option<i64>,
    events: Option<i64>,
}

/// The sums of a file. Each has the line that it begins with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Days {
    spend: BTreeMap<SpendKey, (u64, Spent)>,
    searches: BTreeMap<(Date, SearchCut), (u64, Searched)>,
    history: BTreeMap<HistoryKey, (u64, Visited)>,
    /// Who counted, where a whole file is one tool's.
    from: String,
    key_bytes: usize,
}

/// Adds a line to the sums.
///
/// # Errors
/// What is wrong with it; nothing of it is added then.
pub(super) fn take(maker: &Maker, line: &Line, days: &mut Days) -> Result<(), Fault> {
    match maker.kind {
        Kind::AdSpend => ad_spend::take(maker, line, days),
        Kind::SearchConsole => searches::take(maker, line, days),
        Kind::WebHistory => web_history::take(maker, line, days),
        Kind::Customers | Kind::Orders | Kind::Newsletter => Ok(()),
    }
}

impl Days {
    /// Sums that are empty; `from` is who counted.
    pub(super) fn new(from: Option<&str>) -> Days {
        Days { from: from.unwrap_or_default().to_owned(), ..Days::default() }
    }

    /// Whether there is nothing to put.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.spend.len() + self.searches.len() + self.history.len()
    }

    /// Takes in one more key of so many bytes.
    fn make_room(&mut self, bytes: usize) -> Result<(), Fault> {
        if self.len() >= KEYS || self.key_bytes + bytes > KEY_BYTES {
            let detail = format!(
                "the file has more than {KEYS} different days and things, or more than {} MiB of their names; divide it \
                 by days",
                KEY_BYTES >> 20
            );
            return Err(Fault::new(Reason::TooLarge, detail));
        }
        self.key_bytes += bytes;
        Ok(())
    }

    /// Puts the sums, part by part; gives how many rows are new or say something else than before, and how many were there.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(super) fn put(&self, connection: &mut PgConnection, site_id: i32) -> Result<Receipt, StoreError> {
        let (mut rows, mut changed) = (0, 0);
        for part in parts(self.spend.iter().map(|(key, (_, spent))| spend_row(key, spent))) {
            rows += part.len();
            changed += put_ad_spend(connection, site_id, source::IMPORT, part)?;
        }
        for part in parts(self.searches.iter().map(|(key, (_, searched))| search_row(key, searched))) {
            rows += part.len();
            changed += put_search_performance(connection, site_id, source::IMPORT, part)?;
        }
        for part in parts(self.history.iter().map(|(key, (_, visited))| self.history_row(key, visited))) {
            rows += part.len();
            changed += put_web_history(connection, site_id, part)?;
        }
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Receipt { stored: count(changed), duplicate: count(rows.saturating_sub(changed)), rejected: 0 })
    }

    /// The first sums, for a preview.
    pub(super) fn told(&self, limit: usize, time_zone: &TimeZone) -> Vec<ImportedEvent> {
        let told = |line: u64, day: Date, (what, who): (String, String), says: Value| ImportedEvent {
            line,
            at: day
                .at(0, 0, 0, 0)
                .to_zoned_datetime(time_zone.clone())
                .map_or(jiff::Timestamp::UNIX_EPOCH, |start| start.timestamp()),
            what,
            who,
            says: says.to_string(),
        };
        let spend = self.spend.iter().map(|((day, source, campaign, currency), (line, spent))| {
            let cost = Money { minor: spent.cost_minor, currency: *currency };
            let says = json!({ "cost": cost.decimal(), "currency": currency.code(), "clicks": spent.clicks,
                "impressions": spent.impressions });
            told(*line, *day, ("Ad spend".to_owned(), format!("{source}, {campaign}")), says)
        });
        let searches = self.searches.iter().map(|(key, (line, searched))| {
            let row = search_row(key, searched);
            let who = match &row.cut {
                SearchCut::Total => "the whole site".to_owned(),
                SearchCut::Query(text) | SearchCut::Page(text) => text.clone(),
            };
            let says = json!({ "clicks": row.clicks, "impressions": row.impressions, "position": row.position });
            told(*line, row.day, ("Searches".to_owned(), who), says)
        });
        let history = self.history.iter().map(|(key, (line, visited))| {
            let row = self.history_row(key, visited);
            let counts = [
                ("visitors", row.visitors),
                ("visits", row.visits),
                ("views", row.views),
                ("bounces", row.bounces),
                ("visit_seconds", row.visit_seconds),
                ("events", row.events),
            ];
            let says = counts.into_iter().filter_map(|(name, count)| Some((name.to_owned(), count?.into()))).collect();
            let who = if row.value.is_empty() { "the whole site".to_owned() } else { row.value };
            told(*line, row.day, (format!("Counted by {}", self.from), who), Value::Object(says))
        });
        spend.chain(searches).chain(history).take(limit).collect()
    }

    fn history_row(&self, (day, dimension, value): &HistoryKey, visited: &Visited) -> WebHistory {
        WebHistory {
            day: *day,
            system: self.from.clone(),
            dimension: (*dimension).to_owned(),
            value: value.clone(),
            visitors: visited.visitors,
            visits: visited.visits,
            views: visited.views,
            bounces: visited.bounces,
            visit_seconds: visited.visit_seconds,
            events: visited.events,
        }
    }
}

fn spend_row((day, source, campaign, currency): &SpendKey, spent: &Spent) -> AdSpend {
    AdSpend {
        day: *day,
        source: source.clone(),
        campaign: campaign.clone(),
        cost: Money { minor: spent.cost_minor, currency: *currency },
        clicks: spent.clicks,
        impressions: spent.impressions,
    }
}

fn search_row((day, cut): &(Date, SearchCut), searched: &Searched) -> SearchPerformance {
    let impressions = searched.impressions;
    SearchPerformance {
        day: *day,
        cut: cut.clone(),
        country: None,
        device: None,
        clicks: searched.clicks,
        impressions,
        position: if impressions > 0 { searched.position_sum / impressions as f64 } else { 0.0 },
    }
}

/// The rows in parts, so that only some of them are in memory twice.
fn parts<R>(mut rows: impl Iterator<Item = R>) -> impl Iterator<Item = Vec<R>> {
    std::iter::from_fn(move || {
        let part: Vec<R> = rows.by_ref().take(ROWS_AT_ONCE).collect();
        (!part.is_empty()).then_some(part)
    })
}

/// A count; `None` where the line says nothing, in the ways of exports.
fn count(maker: &Maker, line: &Line, field: &str) -> Result<Option<i64>, Fault> {
    let text = maker.text(line, field)?;
    if is_nothing(text) {
        return Ok(None);
    }
    match whole(text).filter(|number| (0.0..=MAX_COUNT).contains(number)) {
        Some(number) => Ok(Some(number as i64)),
        None => Err(Fault::new(Reason::Unreadable, format!("{field} {text:.40?} is no count"))),
    }
}

/// A whole number. One sign before three digits can be either; of a count it stands between thousands, also in `1.000`.
fn whole(text: &str) -> Option<f64> {
    let read = |mark| number::read(text, mark).map(|number| number.plain);
    let plain = [number::Mark::Point, number::Mark::Comma].into_iter().filter_map(read);
    let (grouped, other): (Vec<String>, Vec<String>) = plain.partition(|plain| !plain.contains('.'));
    grouped.iter().chain(&other).filter_map(|plain| plain.parse::<f64>().ok()).find(|number| number.fract() == 0.0)
}

/// A number with a fraction, and whether `%` stands behind it.
fn decimal(maker: &Maker, line: &Line, field: &str) -> Result<Option<(f64, bool)>, Fault> {
    let text = maker.text(line, field)?;
    if is_nothing(text) {
        return Ok(None);
    }
    match real(text, maker.mark(field)).filter(|number| (0.0..=MAX_COUNT).contains(number)) {
        Some(number) => Ok(Some((number, text.ends_with('%')))),
        None => Err(Fault::new(Reason::Unreadable, format!("{field} {text:.40?} is no number"))),
    }
}

fn real(text: &str, mark: number::Mark) -> Option<f64> {
    number::read(text, mark)?.plain.parse().ok()
}

fn is_nothing(text: &str) -> bool {
    matches!(text, "" | "-" | "--" | "—")
}

/// Whether a line is a remark of an export rather than data.
fn is_remark(line: &Line) -> bool {
    line.cells.first().is_some_and(|cell| matches!(cell, Cell::Text(text) if text.starts_with('#')))
}

/// Who counted what a file tells: as its owner says, else as its headings show.
pub(super) fn from(kind: Kind, said: Option<&str>, plain: &[String]) -> Option<String> {
    let said = said.map(str::trim).filter(|said| !said.is_empty());
    match (kind, said) {
        (Kind::AdSpend, Some(said)) => Some(said.to_lowercase()),
        (Kind::AdSpend, None) => ad_spend::system(plain).map(str::to_owned),
        (Kind::WebHistory, Some(said)) => web_history::tool(said).map(str::to_owned),
        (Kind::WebHistory, None) => web_history::shown_by(plain).map(str::to_owned),
        (Kind::SearchConsole | Kind::Customers | Kind::Orders | Kind::Newsletter, _) => None,
    }
}

/// What a file by day must have beside its needed columns and has not.
pub(super) fn missing(kind: Kind, layout: &Layout, mapping: &Mapping) -> Vec<MappingError> {
    match kind {
        Kind::AdSpend => ad_spend::missing(layout),
        Kind::SearchConsole => searches::missing(layout),
        Kind::WebHistory => web_history::missing(layout, mapping),
        Kind::Customers | Kind::Orders | Kind::Newsletter => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
