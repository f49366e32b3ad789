//! Google Search Console: which searches and pages led here, by day.
//!
//! One day is asked for at a time, as Google advises, in pages of 25,000 rows: first the totals of all days in one
//! request, which says on which days there is anything, then queries and pages of each of these, the newest first. The
//! first run goes back 16 months, which is all that Google keeps; later ones ask for the last days again, because figures
//! settle late. Days are Google's, in Pacific time; it gives out no other.
//!
//! Source: Google, "Search Analytics: query" and "Getting all your data" (Search Console API v1).

use super::google::ServiceAccount;
use super::http::{Body, Client};
use super::{Brings, Connector, Page, PullError};
use crate::store::marketing::{self, SearchCut, SearchPerformance};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

const HOST: &str = "www.googleapis.com";
const SCOPE: &str = "https://www.googleapis.com/auth/webmasters.readonly";
/// Rows of one answer, the most that Google gives.
const ROWS: usize = 25_000;
const MONTHS_KEPT: i32 = 16;
/// Days that are asked for again: data are final after two to three.
const SETTLE_DAYS: i32 = 4;

/// Which part of a day is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cut {
    #[default]
    Query,
    Page,
}

/// How far it has read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Cursor {
    /// Until this day nothing changes any more.
    settled_until: Option<Date>,
    /// The last day of the round under way of which anything is known.
    until: Option<Date>,
    /// Days of the round that are still to be asked for.
    left: Vec<Date>,
    cut: Cut,
    start_row: usize,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    keys: Vec<String>,
    // Counts are written as doubles.
    #[serde(default)]
    clicks: f64,
    #[serde(default)]
    impressions: f64,
    #[serde(default)]
    position: f64,
}

pub(crate) struct SearchConsole {
    account: ServiceAccount,
    /// As Search Console names it: `sc-domain:shop.example` or `https://www.shop.example/`.
    property: String,
}

/// A property as Search Console names it.
///
/// # Errors
/// How to write it.
pub(crate) fn check_property(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let host = text.strip_prefix("sc-domain:");
    let is_domain = host.is_some_and(|host| host.contains('.') && !host.contains(['/', ':', ' ']));
    let is_prefix = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme)) && text.ends_with('/');
    if is_domain || is_prefix {
        Ok(text.to_owned())
    } else {
        Err("a property is sc-domain:shop.example, or an address that ends with a slash, https://www.shop.example/")
    }
}

impl SearchConsole {
    pub(crate) fn new(key: &str, property: &str) -> Result<SearchConsole, PullError> {
        let account = ServiceAccount::read(key).map_err(|wrong| PullError::NeedsKey(wrong.to_owned()))?;
        Ok(SearchConsole { account, property: property.to_owned() })
    }

    fn ask(&mut self, client: &Client, query: &Value, now: Timestamp) -> Result<Vec<Row>, PullError> {
        let token = self.account.token(client, SCOPE, now)?;
        let bearer = format!("Bearer {}", token.expose());
        let property = utf8_percent_encode(&self.property, NON_ALPHANUMERIC);
        let path = format!("/webmasters/v3/sites/{property}/searchAnalytics/query");
        let text = query.to_string();
        let body = Body { content_type: "application/json", bytes: text.as_bytes() };
        let answer = client.post(HOST, &path, &[("authorization", &bearer)], &body, now)?;
        let answer: Answer = serde_json::from_value(answer)
            .map_err(|error| PullError::Odd(format!("Search Console's rows cannot be read: {error}")))?;
        Ok(answer.rows)
    }

    /// The totals of all days of a new round.
    fn begin(&mut self, client: &Client, cursor: Cursor, now: Timestamp) -> Result<Page, PullError> {
        let odd = |_| PullError::Odd("the calendar ends".to_owned());
        let pacific = TimeZone::get("America/Los_Angeles").map_err(odd)?;
        let today = now.to_zoned_datetime(pacific).date();
        let oldest = today.checked_sub(MONTHS_KEPT.months()).map_err(odd)?;
        let from = match cursor.settled_until {
            Some(day) => day.checked_add(1.day()).map_err(odd)?.clamp(oldest, today),
            None => oldest,
        };
        let rows = self.ask(client, &query((from, today), "date", 0), now)?;
        let mut days = Vec::new();
        let mut kept = Vec::new();
        for row in rows {
            let day = row.keys.first().and_then(|key| key.parse::<Date>().ok());
            let day = day.ok_or_else(|| PullError::Odd("a row of Search Console has no day".to_owned()))?;
            days.push(day);
            kept.push(performance(day, SearchCut::Total, &row));
        }
        days.sort_unstable();
        days.dedup();
        days.reverse();
        let next = Cursor { until: days.first().copied(), left: days, cut: Cut::Query, start_row: 0, ..cursor };
        let cleared = Some(Cleared { from, to: today, cut: None });
        page(next, kept, cleared)
    }

    /// The next page of queries or pages of a day.
    fn go_on(&mut self, client: &Client, mut cursor: Cursor, day: Date, now: Timestamp) -> Result<Page, PullError> {
        let dimension = match cursor.cut {
            Cut::Query => "query",
            Cut::Page => "page",
        };
        let rows = self.ask(client, &query((day, day), dimension, cursor.start_row), now)?;
        let cut = |key: &str| match cursor.cut {
            Cut::Query => SearchCut::Query(key.to_owned()),
            Cut::Page => SearchCut::Page(marketing::page(key)),
        };
        // A row without its key would stand among the totals.
        let keyed = rows.iter().filter_map(|row| Some((row, row.keys.first().filter(|key| !key.trim().is_empty())?)));
        let kept = added_up(keyed.map(|(row, key)| performance(day, cut(key), row)));
        // The first page of a day takes the place of all that was told of it.
        let cleared = (cursor.start_row == 0).then_some(Cleared { from: day, to: day, cut: Some(cursor.cut) });
        let is_last = rows.len() < ROWS;
        match (is_last, cursor.cut) {
            (false, _) => cursor.start_row += rows.len(),
            (true, Cut::Query) => (cursor.cut, cursor.start_row) = (Cut::Page, 0),
            (true, Cut::Page) => {
                (cursor.cut, cursor.start_row) = (Cut::Query, 0);
                cursor.left.remove(0);
            }
        }
        page(cursor, kept, cleared)
    }
}

/// What stood of these days and this cut before, and goes; no cut is the totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cleared {
    pub(crate) from: Date,
    pub(crate) to: Date,
    pub(crate) cut: Option<Cut>,
}

fn page(mut cursor: Cursor, rows: Vec<SearchPerformance>, cleared: Option<Cleared>) -> Result<Page, PullError> {
    let more = !cursor.left.is_empty();
    if !more {
        // While Google knows nothing, it may still know of earlier days tomorrow.
        let settled = cursor.until.take().and_then(|day| day.checked_sub(SETTLE_DAYS.days()).ok());
        cursor.settled_until = cursor.settled_until.max(settled);
    }
    let cursor = serde_json::to_value(cursor).map_err(|error| PullError::Odd(error.to_string()))?;
    Ok(Page { cursor, brings: Brings::Search { rows, cleared }, more, wait: None })
}

fn query((from, to): (Date, Date), dimension: &str, start_row: usize) -> Value {
    json!({
        "startDate": from.to_string(),
        "endDate": to.to_string(),
        "dimensions": [dimension],
        "type": "web",
        // The last days too, though they change still: they are asked for again.
        "dataState": "all",
        "rowLimit": ROWS,
        "startRow": start_row,
    })
}

fn performance(day: Date, cut: SearchCut, row: &Row) -> SearchPerformance {
    // `as` ends at the number's limits, and a count that is no number is none.
    let count = |value: f64| value.round() as i64;
    SearchPerformance {
        day,
        cut,
        country: None,
        device: None,
        clicks: count(row.clicks),
        impressions: count(row.impressions),
        position: row.position,
    }
}

/// Rows of one day by what they are about: addresses that differ in what intake leaves out are one page. Of two that
/// Google gives more than [`ROWS`] apart the later one holds.
fn added_up(rows: impl Iterator<Item = SearchPerformance>) -> Vec<SearchPerformance> {
    let mut kept: BTreeMap<SearchCut, SearchPerformance> = BTreeMap::new();
    for row in rows {
        match kept.entry(row.cut.clone()) {
            Entry::Vacant(free) => {
                free.insert(row);
            }
            Entry::Occupied(mut before) => {
                let before = before.get_mut();
                let impressions = before.impressions.saturating_add(row.impressions);
                let positions = before.position * before.impressions as f64 + row.position * row.impressions as f64;
                before.position = if impressions > 0 { positions / impressions as f64 } else { 0.0 };
                before.clicks = before.clicks.saturating_add(row.clicks);
                before.impressions = impressions;
            }
        }
    }
    kept.into_values().collect()
}

impl Connector for SearchConsole {
    fn page(&mut self, client: &Client, cursor: &Value, now: Timestamp) -> Result<Page, PullError> {
        let cursor: Cursor = serde_json::from_value(cursor.clone())
            .map_err(|error| PullError::Odd(format!("the cursor cannot be read: {error}")))?;
        match cursor.left.first() {
            Some(day) => {
                let day = *day;
                self.go_on(client, cursor, day, now)
            }
            None => self.begin(client, cursor, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_page_are_added_up_with_their_positions() {
        let row = |page: &str, clicks, impressions, position| SearchPerformance {
            day: jiff::civil::date(2026, 11, 1),
            cut: SearchCut::Page(marketing::page(page)),
            country: None,
            device: None,
            clicks,
            impressions,
            position,
        };
        let rows = [row("https://shop.example/a?x=1", 1, 10, 2.0), row("https://shop.example/a", 2, 30, 4.0)];
        let kept = added_up(rows.into_iter().chain([row("https://shop.example/b", 0, 0, 0.0)]));
        assert_eq!(kept.len(), 2);
        assert_eq!((kept[0].clicks, kept[0].impressions, kept[0].position), (3, 40, 3.5));
        assert_eq!(kept[0].cut, SearchCut::Page("shop.example/a".into()));
    }

    #[test]
    fn a_property_is_a_domain_or_an_address_with_a_slash() {
        assert!(check_property(" sc-domain:shop.example ").is_ok() && check_property("https://shop.example/").is_ok());
        for text in ["shop.example", "sc-domain:", "sc-domain:shop", "https://shop.example", "ftp://shop.example/"] {
            assert!(check_property(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_round_that_is_over_leaves_the_last_days_to_be_asked_for_again() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let cursor = Cursor { until: Some(day("2026-11-26")), ..Cursor::default() };
        let done = page(cursor, Vec::new(), None).unwrap();
        assert!(!done.more);
        let cursor: Cursor = serde_json::from_value(done.cursor).unwrap();
        assert_eq!((cursor.settled_until, cursor.until), (Some(day("2026-11-22")), None));
        // A round that brought nothing settles nothing.
        let done = page(cursor.clone(), Vec::new(), None).unwrap();
        assert_eq!(serde_json::from_value::<Cursor>(done.cursor).unwrap(), cursor);
    }
}
