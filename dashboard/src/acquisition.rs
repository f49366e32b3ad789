//! The acquisition page.

use crate::Rendered;
use crate::format::{self, Delta, Format};
use crate::overview::{Picker, picker};
use crate::shell::{Nav, Shell};
use crate::words;
use askama::Template;
use domain::attribution::Channel;
use domain::report::{Acquisition, Brought, Moved, SearchCounts, SearchRow, Site, Spent};

/// Rows of a table on the page; the file has more.
const SHOWN: usize = 20;
/// Days of a former tool on the page.
const DAYS_SHOWN: usize = 31;

#[derive(Template)]
#[template(path = "acquisition.html")]
struct AcquisitionPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a Acquisition,
    f: Format,
    picker: Picker,
    days_before: String,
    has_costs: bool,
    channels: Vec<CostView>,
    campaigns: Vec<CostView>,
    more_campaigns: usize,
    unmatched: Vec<UnmatchedView>,
    more_unmatched: usize,
    searches: Option<SearchTotals>,
    tables: Vec<SearchTable>,
    days: Vec<DayView>,
    more_days: usize,
    notes: Vec<String>,
}

struct CostView {
    name: String,
    /// Source and channel of a campaign.
    by: String,
    sessions: String,
    orders: String,
    revenue: String,
    first_orders: String,
    cost: String,
    clicks: String,
    per_click: String,
    per_first_order: String,
    return_on: String,
}

struct UnmatchedView {
    source: String,
    campaign: String,
    cost: String,
    clicks: String,
    impressions: String,
}

struct SearchTotals {
    clicks: String,
    clicks_before: String,
    clicks_delta: Delta,
    impressions: String,
    impressions_before: String,
    impressions_delta: Delta,
    click_rate: String,
    click_rate_before: String,
    position: String,
    position_before: String,
}

struct SearchTable {
    key: &'static str,
    heading: &'static str,
    rows: Vec<SearchView>,
    more: usize,
}

struct SearchView {
    value: String,
    clicks: String,
    delta: Delta,
    impressions: String,
    click_rate: String,
    position: String,
    position_before: String,
}

struct DayView {
    day: String,
    system: String,
    visitors: String,
    visits: String,
    views: String,
}

/// What stands where there is no number.
const NONE: &str = "–";

fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| NONE.to_owned())
}

/// A cost with those in other currencies beside it.
fn cost(site: &Site, spent: &Spent) -> String {
    let own = spent.cost_minor.map(|minor| format::money(&site.money(minor)));
    let all: Vec<String> = own.into_iter().chain(spent.others.iter().map(format::money)).collect();
    if all.is_empty() { NONE.to_owned() } else { all.join(" and ") }
}

fn view(site: &Site, name: String, by: String, brought: &Brought, spent: &Spent) -> CostView {
    let money = |minor: Option<i64>| or_none(minor.map(|minor| format::money(&site.money(minor))));
    let is_paid = spent.cost_minor.is_some() || !spent.others.is_empty();
    CostView {
        name,
        by,
        sessions: format::count(&brought.sessions),
        orders: format::count(&brought.orders),
        revenue: format::money_short(&site.money(brought.revenue_minor)),
        first_orders: format::count(&brought.first_orders),
        cost: cost(site, spent),
        clicks: if is_paid { format::count(&spent.clicks) } else { NONE.to_owned() },
        per_click: money(spent.per_click_minor()),
        per_first_order: money(spent.per_first_order_minor(brought)),
        return_on: or_none(spent.return_on(brought).map(|ratio| format!("{ratio:.2}"))),
    }
}

fn channel_name(key: &str) -> String {
    Channel::from_key(key).map_or_else(|| key.to_owned(), |channel| channel.label().to_owned())
}

fn position(counts: &SearchCounts) -> String {
    or_none(counts.position().map(|position| format!("{position:.1}")))
}

fn click_rate(counts: &SearchCounts) -> String {
    or_none(counts.click_rate().map(|_| format::share(counts.clicks, counts.impressions)))
}

fn moved(before: u64, now: u64) -> Delta {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    Delta::of(Moved { before: signed(before), now: signed(now) })
}

fn search_table(key: &'static str, heading: &'static str, rows: &[SearchRow]) -> SearchTable {
    let row = |row: &SearchRow| SearchView {
        value: row.value.clone(),
        clicks: format::count(&row.now.clicks),
        delta: moved(row.before.clicks, row.now.clicks),
        impressions: format::count(&row.now.impressions),
        click_rate: click_rate(&row.now),
        position: position(&row.now),
        position_before: position(&row.before),
    };
    SearchTable {
        key,
        heading,
        rows: rows.iter().take(SHOWN).map(row).collect(),
        more: rows.len().saturating_sub(SHOWN),
    }
}

fn searches(report: &Acquisition) -> Option<SearchTotals> {
    report.search.until?;
    let (now, before) = (&report.search.total, &report.search.total_before);
    Some(SearchTotals {
        clicks: format::count(&now.clicks),
        clicks_before: format::count(&before.clicks),
        clicks_delta: moved(before.clicks, now.clicks),
        impressions: format::count(&now.impressions),
        impressions_before: format::count(&before.impressions),
        impressions_delta: moved(before.impressions, now.impressions),
        click_rate: click_rate(now),
        click_rate_before: click_rate(before),
        position: position(now),
        position_before: position(before),
    })
}

fn days(report: &Acquisition, f: &Format) -> Vec<DayView> {
    let number = |value: Option<u64>| or_none(value.as_ref().map(format::count));
    let rows = report.history.rows.iter().take(DAYS_SHOWN);
    rows.map(|row| DayView {
        day: f.day(&row.day),
        system: row.system.clone(),
        visitors: number(row.visitors),
        visits: number(row.visits),
        views: number(row.views),
    })
    .collect()
}

/// What the numbers leave out, each a sentence.
fn notes(report: &Acquisition, f: &Format) -> Vec<String> {
    let mut notes = Vec::new();
    let spent = report.spent();
    if !spent.others.is_empty() {
        let sums: Vec<String> = spent.others.iter().map(format::money).collect();
        notes.push(format!(
            "Costs in other currencies stand beside those in {} and are in no ratio: {}.",
            report.site.currency,
            sums.join(", ")
        ));
    }
    if let Some(until) = report.search.until.filter(|until| *until < report.period.to) {
        notes.push(format!("Searches are known until {}; the period before is cut to as many days.", f.day(&until)));
    }
    notes
}

/// What channels and campaigns brought and cost, what searches led here, and what former tools counted.
///
/// # Errors
/// When the page cannot be written.
pub fn acquisition(shell: &Shell, report: &Acquisition) -> Rendered {
    let f = Format::of(&report.site, report.now);
    let site = &report.site;
    let campaign = |row: &domain::report::CampaignRow| {
        let by = format!("{} · {}", row.source, channel_name(&row.channel));
        view(site, row.campaign.clone(), by, &row.brought, &row.spent)
    };
    let unmatched = |row: &domain::report::Unmatched| UnmatchedView {
        source: row.source.clone(),
        campaign: row.campaign.clone(),
        cost: cost(site, &row.spent),
        clicks: format::count(&row.spent.clicks),
        impressions: format::count(&row.spent.impressions),
    };
    let spent = report.spent();
    AcquisitionPage {
        shell,
        nav: Nav::Acquisition,
        r: report,
        picker: picker(&report.period, f.span(&report.period.from, &report.period.to)),
        days_before: words::days_before(&report.period),
        has_costs: spent != Spent::default(),
        channels: report
            .channels
            .iter()
            .map(|row| view(site, row.name.clone(), String::new(), &row.brought, &row.spent))
            .collect(),
        campaigns: report.campaigns.iter().take(SHOWN).map(campaign).collect(),
        more_campaigns: report.campaigns.len().saturating_sub(SHOWN),
        unmatched: report.unmatched.iter().take(SHOWN).map(unmatched).collect(),
        more_unmatched: report.unmatched.len().saturating_sub(SHOWN),
        searches: searches(report),
        tables: vec![
            search_table("queries", "Search queries", &report.search.queries),
            search_table("search-pages", "Pages in search results", &report.search.pages),
        ],
        days: days(report, &f),
        more_days: report.history.rows.len().saturating_sub(DAYS_SHOWN),
        notes: notes(report, &f),
        f,
    }
    .render()
}
