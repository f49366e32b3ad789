//! What others count by day: advertising's cost, search results, and what a site's former tools counted.
//!
//! Each `put_…` replaces what was told before of the same day and thing, and so can be called again with the same rows,
//! in whatever grouping: a file that is imported twice and a day that is asked for again never double. Of two rows of one
//! call about the same thing the later one holds; who reads finer rows (of an advertisement, say) adds them up first.
//! Rows of different source keys stand beside each other, so a source key has to be the same for the same account's next
//! file. Rows whose source key begins with `import` are files; a report leaves them out on days of which a connected
//! source tells.
//!
//! Each `put_…` gives how many rows are new or say something else than before.
//!
//! Days are days of the site's time zone, as far as the system that counted can be asked for them.

use super::sql::sql;
use super::{Store, StoreError};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text};
use domain::attribution::read_url;
use domain::money::Money;
use jiff::civil::Date;
use std::collections::BTreeMap;

/// The longest name that a key is made of, in bytes: PostgreSQL's indexes take 2,700 in all.
const NAME_BYTES: usize = 500;
/// The longest query, page or value, in bytes. Longer ones are cut.
const VALUE_BYTES: usize = 4_000;
/// Rows in one statement, so that its arrays stay small.
const ROWS_AT_ONCE: usize = 1_000;

/// What a campaign cost on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdSpend {
    pub(crate) day: Date,
    /// Where the advertisements stand, as campaign links name it in `utm_source`: `google`. Kept in lower case.
    pub(crate) source: String,
    /// The campaign, as campaign links name it in `utm_campaign`. Kept as it is written, and matched in lower case.
    pub(crate) campaign: String,
    pub(crate) cost: Money,
    pub(crate) clicks: i64,
    pub(crate) impressions: i64,
}

/// Of what a search row counts the clicks. The cuts count the same clicks and are never added to each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SearchCut {
    /// Of the whole site; searches that Google keeps secret are in here alone.
    Total,
    /// Of one query.
    Query(String),
    /// Of one page, by its address.
    Page(String),
}

/// What a search engine showed and led here on a day.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SearchPerformance {
    pub(crate) day: Date,
    pub(crate) cut: SearchCut,
    /// Of one country or device alone; such rows are a further cut, which today's report does not read.
    pub(crate) country: Option<String>,
    pub(crate) device: Option<String>,
    pub(crate) clicks: i64,
    pub(crate) impressions: i64,
    /// Average position over the impressions, the first is 1.
    pub(crate) position: f64,
}

/// What a former tool counted on a day; `None` is what it did not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebHistory {
    pub(crate) day: Date,
    /// Which tool, in lower case: `google-analytics`, `plausible`, `matomo`.
    pub(crate) system: String,
    /// `total` (its value is empty), `page`, `source`, `country`, `device`, …
    pub(crate) dimension: String,
    pub(crate) value: String,
    pub(crate) visitors: Option<i64>,
    pub(crate) visits: Option<i64>,
    pub(crate) views: Option<i64>,
    pub(crate) bounces: Option<i64>,
    pub(crate) visit_seconds: Option<i64>,
    pub(crate) events: Option<i64>,
}

/// A text as it is kept: without what PostgreSQL cannot store, at most so many bytes.
fn kept(text: &str, limit_bytes: usize) -> String {
    let text: String = text.trim().chars().filter(|c| *c != '\0').collect();
    text[..text.floor_char_boundary(limit_bytes)].to_owned()
}

/// The name of a source, campaign or dimension as it is kept.
pub(crate) fn name(text: &str) -> String {
    kept(text, NAME_BYTES)
}

/// A query, page or value as it is kept.
pub(crate) fn value(text: &str) -> String {
    kept(text, VALUE_BYTES)
}

/// A page as intake keeps it, without what its address says of anybody: host and path, or a path alone.
pub(crate) fn page(text: &str) -> String {
    const HOST: &str = "a.example";
    if let Some(landing) = read_url(text) {
        return value(&landing.page);
    }
    let path = text.split(['?', '#']).next().unwrap_or(text);
    let kept = match path.split_once('/') {
        Some(("", _)) => read_url(&format!("https://{HOST}{path}")).map(|landing| landing.page.replacen(HOST, "", 1)),
        // Google's full addresses have no scheme.
        Some((host, _)) if host.contains('.') => read_url(&format!("https://{path}")).map(|landing| landing.page),
        Some(_) | None => None,
    };
    value(kept.as_deref().unwrap_or(path))
}

/// The rows by their key, the later one of two: one statement cannot write a row twice, and all writers go the same way.
fn latest<K: Ord, R>(rows: impl IntoIterator<Item = R>, key: impl Fn(&R) -> K) -> Vec<R> {
    rows.into_iter().map(|row| (key(&row), row)).collect::<BTreeMap<K, R>>().into_values().collect()
}

fn texts<R>(rows: &[R], of: impl Fn(&R) -> String) -> Vec<String> {
    rows.iter().map(of).collect()
}

impl Store {
    /// Keeps what campaigns cost, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is kept then.
    pub(crate) fn put_ad_spend(&self, site_id: i32, source_key: &str, rows: Vec<AdSpend>) -> Result<usize, StoreError> {
        self.lend()?.transaction(|connection| put_ad_spend(connection, site_id, source_key, rows))
    }

    /// Keeps what search engines led here, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is kept then.
    pub(crate) fn put_search_performance(
        &self,
        site_id: i32,
        source_key: &str,
        rows: Vec<SearchPerformance>,
    ) -> Result<usize, StoreError> {
        self.lend()?.transaction(|connection| put_search_performance(connection, site_id, source_key, rows))
    }

    /// Keeps what a former tool counted, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is kept then.
    pub(crate) fn put_web_history(&self, site_id: i32, rows: Vec<WebHistory>) -> Result<usize, StoreError> {
        self.lend()?.transaction(|connection| put_web_history(connection, site_id, rows))
    }
}

/// The same within the caller's transaction.
pub(crate) fn put_ad_spend(
    connection: &mut PgConnection,
    site_id: i32,
    source_key: &str,
    rows: Vec<AdSpend>,
) -> Result<usize, StoreError> {
    let rows = rows.into_iter().map(|row| AdSpend {
        source: name(&row.source).to_lowercase(),
        campaign: name(&row.campaign),
        ..row
    });
    let rows = latest(rows, |row| (row.day, row.source.clone(), row.campaign.clone(), row.cost.currency));
    let mut changed = 0;
    for rows in rows.chunks(ROWS_AT_ONCE) {
        changed += sql("INSERT INTO ad_spend (site_id, source_key, day, source, campaign, currency, cost_minor, clicks, impressions)
             SELECT $1, $2, day::date, source, campaign, currency, cost_minor, clicks, impressions
             FROM unnest($3, $4, $5, $6, $7, $8, $9)
                 AS new (day, source, campaign, currency, cost_minor, clicks, impressions)
             ON CONFLICT (site_id, day, source, campaign, currency, source_key) DO UPDATE
             SET cost_minor = EXCLUDED.cost_minor, clicks = EXCLUDED.clicks, impressions = EXCLUDED.impressions
             WHERE (ad_spend.cost_minor, ad_spend.clicks, ad_spend.impressions)
                 IS DISTINCT FROM (EXCLUDED.cost_minor, EXCLUDED.clicks, EXCLUDED.impressions)")
        .bind::<Integer, _>(site_id)
        .bind::<Text, _>(source_key.to_owned())
        .bind::<Array<Text>, _>(texts(rows, |row| row.day.to_string()))
        .bind::<Array<Text>, _>(texts(rows, |row| row.source.clone()))
        .bind::<Array<Text>, _>(texts(rows, |row| row.campaign.clone()))
        .bind::<Array<Text>, _>(texts(rows, |row| row.cost.currency.code().to_owned()))
        .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.cost.minor).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.clicks).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.impressions).collect::<Vec<_>>())
        .execute(connection)?;
    }
    Ok(changed)
}

/// The query and the page of a cut, as they are kept.
fn cut(cut: &SearchCut) -> (String, String) {
    match cut {
        SearchCut::Total => (String::new(), String::new()),
        SearchCut::Query(query) => (value(query), String::new()),
        SearchCut::Page(page) => (String::new(), value(page)),
    }
}

/// The same within the caller's transaction.
pub(crate) fn put_search_performance(
    connection: &mut PgConnection,
    site_id: i32,
    source_key: &str,
    rows: Vec<SearchPerformance>,
) -> Result<usize, StoreError> {
    let part = |text: &Option<String>| name(text.as_deref().unwrap_or("")).to_lowercase();
    let rows = latest(rows, |row| (row.day, cut(&row.cut), part(&row.country), part(&row.device)));
    let mut changed = 0;
    for rows in rows.chunks(ROWS_AT_ONCE) {
        changed +=
            sql("INSERT INTO search_performance (site_id, source_key, day, query, page, country, device, clicks,
                 impressions, position_sum)
             SELECT $1, $2, day::date, query, page, country, device, clicks, impressions, position_sum
             FROM unnest($3, $4, $5, $6, $7, $8, $9, $10)
                 AS new (day, query, page, country, device, clicks, impressions, position_sum)
             ON CONFLICT (site_id, day, cut_hash, country, device, source_key) DO UPDATE
             SET clicks = EXCLUDED.clicks, impressions = EXCLUDED.impressions, position_sum = EXCLUDED.position_sum
             WHERE (search_performance.clicks, search_performance.impressions, search_performance.position_sum)
                 IS DISTINCT FROM (EXCLUDED.clicks, EXCLUDED.impressions, EXCLUDED.position_sum)")
            .bind::<Integer, _>(site_id)
            .bind::<Text, _>(source_key.to_owned())
            .bind::<Array<Text>, _>(texts(rows, |row| row.day.to_string()))
            .bind::<Array<Text>, _>(texts(rows, |row| cut(&row.cut).0))
            .bind::<Array<Text>, _>(texts(rows, |row| cut(&row.cut).1))
            .bind::<Array<Text>, _>(texts(rows, |row| part(&row.country)))
            .bind::<Array<Text>, _>(texts(rows, |row| part(&row.device)))
            .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.clicks).collect::<Vec<_>>())
            .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.impressions).collect::<Vec<_>>())
            .bind::<Array<Double>, _>(rows.iter().map(position_sum).collect::<Vec<_>>())
            .execute(connection)?;
    }
    Ok(changed)
}

/// The position of every impression, added up; a position that is no number counts as none.
fn position_sum(row: &SearchPerformance) -> f64 {
    let sum = row.position * row.impressions as f64;
    if sum.is_finite() { sum } else { 0.0 }
}

/// The same within the caller's transaction.
pub(crate) fn put_web_history(
    connection: &mut PgConnection,
    site_id: i32,
    rows: Vec<WebHistory>,
) -> Result<usize, StoreError> {
    let rows = rows.into_iter().map(|row| WebHistory {
        system: name(&row.system).to_lowercase(),
        dimension: name(&row.dimension).to_lowercase(),
        value: value(&row.value),
        ..row
    });
    let rows = latest(rows, |row| (row.day, row.system.clone(), row.dimension.clone(), row.value.clone()));
    let mut changed = 0;
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let counts = |of: fn(&WebHistory) -> Option<i64>| rows.iter().map(of).collect::<Vec<_>>();
        changed +=
            sql("INSERT INTO web_history (site_id, day, system, dimension, value, visitors, visits, views, bounces,
                 visit_seconds, events)
             SELECT $1, day::date, system, dimension, value, visitors, visits, views, bounces, visit_seconds, events
             FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                 AS new (day, system, dimension, value, visitors, visits, views, bounces, visit_seconds, events)
             ON CONFLICT (site_id, day, system, dimension, value_hash) DO UPDATE
             SET visitors = EXCLUDED.visitors, visits = EXCLUDED.visits, views = EXCLUDED.views,
                 bounces = EXCLUDED.bounces, visit_seconds = EXCLUDED.visit_seconds, events = EXCLUDED.events
             WHERE (web_history.visitors, web_history.visits, web_history.views, web_history.bounces,
                    web_history.visit_seconds, web_history.events)
                 IS DISTINCT FROM (EXCLUDED.visitors, EXCLUDED.visits, EXCLUDED.views, EXCLUDED.bounces,
                    EXCLUDED.visit_seconds, EXCLUDED.events)")
            .bind::<Integer, _>(site_id)
            .bind::<Array<Text>, _>(texts(rows, |row| row.day.to_string()))
            .bind::<Array<Text>, _>(texts(rows, |row| row.system.clone()))
            .bind::<Array<Text>, _>(texts(rows, |row| row.dimension.clone()))
            .bind::<Array<Text>, _>(texts(rows, |row| row.value.clone()))
            .bind::<Array<Nullable<BigInt>>, _>(counts(|row| row.visitors))
            .bind::<Array<Nullable<BigInt>>, _>(counts(|row| row.visits))
            .bind::<Array<Nullable<BigInt>>, _>(counts(|row| row.views))
            .bind::<Array<Nullable<BigInt>>, _>(counts(|row| row.bounces))
            .bind::<Array<Nullable<BigInt>>, _>(counts(|row| row.visit_seconds))
            .bind::<Array<Nullable<BigInt>>, _>(counts(|row| row.events))
            .execute(connection)?;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::money::Currency;
    use jiff::civil::date;

    #[test]
    fn the_later_of_two_rows_about_one_thing_holds() {
        let row = |campaign: &str, minor| AdSpend {
            day: date(2026, 11, 1),
            source: "google".into(),
            campaign: campaign.into(),
            cost: Money { minor, currency: Currency::EUR },
            clicks: 1,
            impressions: 1,
        };
        let kept = latest([row("b", 1), row("a", 2), row("b", 3)], |row| row.campaign.clone());
        assert_eq!(kept, [row("a", 2), row("b", 3)]);
    }

    #[test]
    fn a_text_is_cut_between_letters_and_has_no_nul() {
        assert_eq!(kept(" a\0ü ", 10), "aü");
        assert_eq!(kept("aü", 2), "a");
    }

    #[test]
    fn a_position_that_is_no_number_counts_as_none() {
        let row = |position| SearchPerformance {
            day: date(2026, 11, 1),
            cut: SearchCut::Total,
            country: None,
            device: None,
            clicks: 0,
            impressions: 4,
            position,
        };
        assert_eq!((position_sum(&row(2.5)), position_sum(&row(f64::NAN))), (10.0, 0.0));
    }
}
