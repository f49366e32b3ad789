//! Acquisition: what each channel and campaign brought and cost, what search engines led here, and what a site's former
//! tools counted before it counted itself.

use super::csv::Table;
use super::{Period, Site};
use crate::money::{Currency, Money};
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::BTreeMap;

/// What a channel or a campaign brought in the period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// Visits.
    pub sessions: u64,
    /// Orders that count and are credited to it (last touch).
    pub orders: u64,
    /// What they brought, net, in minor units of the site's currency.
    pub revenue_minor: i64,
    /// People whose first order fell into the period and whose very first visit came by it (first touch).
    pub first_orders: u64,
}

impl Brought {
    fn add(&mut self, other: &Brought) {
        self.sessions += other.sessions;
        self.orders += other.orders;
        self.revenue_minor = self.revenue_minor.saturating_add(other.revenue_minor);
        self.first_orders += other.first_orders;
    }
}

/// What advertising systems say that something cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Minor units of the site's currency; `None` where nothing was spent in it.
    pub cost_minor: Option<i64>,
    /// Costs in other currencies, one of each, which are not added up.
    pub others: Vec<Money>,
    /// Clicks that were paid for, whatever the currency.
    pub clicks: u64,
    /// How often it was shown.
    pub impressions: u64,
    /// Of the clicks, those whose cost is in the site's currency.
    own_clicks: u64,
}

impl Spent {
    fn take(&mut self, row: &SpendRow, own: Currency) {
        self.clicks += row.clicks;
        self.impressions += row.impressions;
        if row.cost.currency == own {
            self.cost_minor = Some(self.cost_minor.unwrap_or(0).saturating_add(row.cost.minor));
            self.own_clicks += row.clicks;
        } else {
            self.take_other(row.cost);
        }
    }

    fn take_other(&mut self, cost: Money) {
        match self.others.iter_mut().find(|other| other.currency == cost.currency) {
            Some(other) => other.minor = other.minor.saturating_add(cost.minor),
            None => self.others.push(cost),
        }
    }

    fn add(&mut self, other: &Spent) {
        if let Some(minor) = other.cost_minor {
            self.cost_minor = Some(self.cost_minor.unwrap_or(0).saturating_add(minor));
        }
        other.others.iter().for_each(|cost| self.take_other(*cost));
        self.clicks += other.clicks;
        self.impressions += other.impressions;
        self.own_clicks += other.own_clicks;
    }

    /// Cost by click, in minor units of the site's currency, rounded; `None` without a cost in it or without clicks.
    pub fn per_click_minor(&self) -> Option<i64> {
        per(self.cost_minor?, self.own_clicks)
    }

    /// Cost by first order (customer acquisition cost), likewise.
    pub fn per_first_order_minor(&self, brought: &Brought) -> Option<i64> {
        per(self.cost_minor?, brought.first_orders)
    }

    /// Revenue by cost (return on ad spend); `None` where nothing was spent in the site's currency.
    pub fn return_on(&self, brought: &Brought) -> Option<f64> {
        let cost = self.cost_minor.filter(|cost| *cost > 0)?;
        Some(brought.revenue_minor as f64 / cost as f64)
    }
}

/// A sum by a count, rounded half away from zero.
fn per(minor: i64, count: u64) -> Option<i64> {
    (count > 0).then(|| (minor as f64 / count as f64).round() as i64)
}

/// What visits with a campaign's parameters brought, as it is counted: by source, campaign and channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficRow {
    /// `utm_source`, in lower case without spaces around it.
    pub source: String,
    /// `utm_campaign`, likewise.
    pub campaign: String,
    /// The channel's key.
    pub channel: String,
    /// What it brought.
    pub brought: Brought,
}

/// What advertising systems say of one campaign in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendRow {
    /// Where the advertisements stand, `google`.
    pub source: String,
    /// The campaign as the system writes it.
    pub campaign: String,
    /// What it cost.
    pub cost: Money,
    /// Clicks.
    pub clicks: u64,
    /// How often it was shown.
    pub impressions: u64,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelCost {
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it brought.
    pub brought: Brought,
    /// What its campaigns cost.
    pub spent: Spent,
}

/// A campaign that brought visits or orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignRow {
    /// Where it runs.
    pub source: String,
    /// Its name.
    pub campaign: String,
    /// The channel that most of its visits came by, its key.
    pub channel: String,
    /// What it brought.
    pub brought: Brought,
    /// What it cost.
    pub spent: Spent,
}

/// A campaign that cost something and brought nobody who could be told by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// Where it runs.
    pub source: String,
    /// Its name.
    pub campaign: String,
    /// What it cost.
    pub spent: Spent,
}

/// Matches what campaigns cost with what they brought: where source and campaign are the same in lower case and without
/// spaces around them. Campaigns are in the order of their cost, then of their visits; what has no match comes apart.
pub fn match_campaigns(
    traffic: &[TrafficRow],
    spend: &[SpendRow],
    own: Currency,
) -> (Vec<CampaignRow>, Vec<Unmatched>) {
    let normal = |text: &str| text.trim().to_lowercase();
    let mut spent: BTreeMap<(String, String), (String, Spent)> = BTreeMap::new();
    for row in spend {
        let entry = spent.entry((normal(&row.source), normal(&row.campaign)));
        entry.or_insert_with(|| (row.campaign.trim().to_owned(), Spent::default())).1.take(row, own);
    }
    let mut brought: BTreeMap<(String, String), Vec<&TrafficRow>> = BTreeMap::new();
    for row in traffic {
        brought.entry((normal(&row.source), normal(&row.campaign))).or_default().push(row);
    }
    let mut campaigns: Vec<CampaignRow> = brought
        .into_iter()
        .map(|(key, rows)| {
            let channel =
                rows.iter().max_by_key(|row| (row.brought.sessions, row.brought.orders)).map(|row| &row.channel);
            let mut sum = Brought::default();
            rows.iter().for_each(|row| sum.add(&row.brought));
            let (campaign, spent) = spent.remove(&key).unwrap_or_else(|| (key.1.clone(), Spent::default()));
            CampaignRow { source: key.0, campaign, channel: channel.cloned().unwrap_or_default(), brought: sum, spent }
        })
        .collect();
    campaigns.sort_by_key(|row| std::cmp::Reverse((row.spent.cost_minor, row.brought.sessions, row.brought.orders)));
    let mut unmatched: Vec<Unmatched> =
        spent.into_iter().map(|((source, _), (campaign, spent))| Unmatched { source, campaign, spent }).collect();
    unmatched.sort_by_key(|row| std::cmp::Reverse((row.spent.cost_minor, row.spent.clicks)));
    (campaigns, unmatched)
}

/// What search results brought.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SearchCounts {
    /// How often somebody came from a result.
    pub clicks: u64,
    /// How often a result was shown.
    pub impressions: u64,
    /// The position of every impression, added up.
    pub position_sum: f64,
}

impl SearchCounts {
    /// Clicks by impressions, 0 to 1; `None` where nothing was shown.
    pub fn click_rate(&self) -> Option<f64> {
        (self.impressions > 0).then(|| self.clicks as f64 / self.impressions as f64)
    }

    /// Average position over all impressions, the first is 1.
    pub fn position(&self) -> Option<f64> {
        (self.impressions > 0).then(|| self.position_sum / self.impressions as f64)
    }
}

/// A query or a page.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchRow {
    /// The query, or the page's address.
    pub value: String,
    /// In the period.
    pub now: SearchCounts,
    /// In the period before.
    pub before: SearchCounts,
}

/// What search engines led here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// The last day of the period of which anything is known; `None` where nothing is. The period before ends as many
    /// days after it began.
    pub until: Option<Date>,
    /// Whether a source that tells of searches is connected.
    pub is_connected: bool,
    /// All searches, those that are kept secret too.
    pub total: SearchCounts,
    /// The same in the period before.
    pub total_before: SearchCounts,
    /// Most clicks first.
    pub queries: Vec<SearchRow>,
    /// Most clicks first.
    pub pages: Vec<SearchRow>,
}

/// What a former tool counted on a day before the site's own first day; `None` is what it did not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// The day.
    pub day: Date,
    /// Which tool.
    pub system: String,
    /// Visitors of the day.
    pub visitors: Option<u64>,
    /// Visits.
    pub visits: Option<u64>,
    /// Views.
    pub views: Option<u64>,
}

/// What former tools counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The day of the site's first own event; `None` while there is none.
    pub first_own_day: Option<Date>,
    /// From when to when before that day anything is known, by whichever tool.
    pub known: Option<(Date, Date)>,
    /// Days of the period before the first own day, latest first.
    pub rows: Vec<HistoryRow>,
}

/// The page.
#[derive(Clone, Debug, PartialEq)]
pub struct Acquisition {
    /// The site.
    pub site: Site,
    /// Which days.
    pub period: Period,
    /// The moment of this report.
    pub now: Timestamp,
    /// Most visits first.
    pub channels: Vec<ChannelCost>,
    /// Campaigns by cost, then visits; the page shows some, the file more.
    pub campaigns: Vec<CampaignRow>,
    /// What cost something and brought nobody who could be told by it.
    pub unmatched: Vec<Unmatched>,
    /// Searches.
    pub search: Search,
    /// What former tools counted.
    pub history: History,
}

/// A table of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquisitionTable {
    /// Channels.
    Channels,
    /// Campaigns.
    Campaigns,
    /// Costs without a match.
    Unmatched,
    /// Search queries.
    Queries,
    /// Pages in search results.
    SearchPages,
    /// What former tools counted.
    History,
}

impl AcquisitionTable {
    /// All of them, in the order of the page.
    pub const ALL: [AcquisitionTable; 6] = [
        AcquisitionTable::Channels,
        AcquisitionTable::Campaigns,
        AcquisitionTable::Unmatched,
        AcquisitionTable::Queries,
        AcquisitionTable::SearchPages,
        AcquisitionTable::History,
    ];

    /// The word in the file's name.
    pub fn key(self) -> &'static str {
        match self {
            AcquisitionTable::Channels => "channels",
            AcquisitionTable::Campaigns => "campaigns",
            AcquisitionTable::Unmatched => "unmatched",
            AcquisitionTable::Queries => "queries",
            AcquisitionTable::SearchPages => "search-pages",
            AcquisitionTable::History => "history",
        }
    }

    /// Reads [`AcquisitionTable::key`] back.
    pub fn from_key(key: &str) -> Option<AcquisitionTable> {
        AcquisitionTable::ALL.into_iter().find(|table| table.key() == key)
    }
}

impl Acquisition {
    /// The costs of campaigns of each channel are the channel's; channels that nothing is known of but a cost are added.
    pub fn share_costs(channels: &mut [ChannelCost], campaigns: &[CampaignRow]) {
        for channel in channels {
            let own = campaigns.iter().filter(|campaign| campaign.channel == channel.key);
            own.for_each(|campaign| channel.spent.add(&campaign.spent));
        }
    }

    /// Everything that was spent in the period, matched or not.
    pub fn spent(&self) -> Spent {
        let mut spent = Spent::default();
        self.campaigns.iter().for_each(|row| spent.add(&row.spent));
        self.unmatched.iter().for_each(|row| spent.add(&row.spent));
        spent
    }

    /// A table as CSV.
    pub fn csv(&self, table: AcquisitionTable) -> String {
        match table {
            AcquisitionTable::Channels => self.channels_csv(),
            AcquisitionTable::Campaigns => self.campaigns_csv(),
            AcquisitionTable::Unmatched => self.unmatched_csv(),
            AcquisitionTable::Queries => search_csv("query", &self.search.queries),
            AcquisitionTable::SearchPages => search_csv("page", &self.search.pages),
            AcquisitionTable::History => self.history_csv(),
        }
    }

    fn money_columns(&self) -> [String; 4] {
        ["revenue", "cost", "cost_per_click", "cost_per_first_order"]
            .map(|name| format!("{name}_{}", self.site.currency))
    }

    fn channels_csv(&self) -> String {
        let [revenue, cost, per_click, per_first] = self.money_columns();
        let mut table = Table::with_header(&[
            "channel",
            "sessions",
            "orders",
            &revenue,
            "first_orders",
            &cost,
            "cost_in_other_currencies",
            "clicks",
            "impressions",
            &per_click,
            &per_first,
            "return_on_ad_spend",
        ]);
        for row in &self.channels {
            table.text(&row.name);
            self.numbers(&mut table, &row.brought, &row.spent);
        }
        table.into_text()
    }

    fn campaigns_csv(&self) -> String {
        let [revenue, cost, per_click, per_first] = self.money_columns();
        let mut table = Table::with_header(&[
            "source",
            "campaign",
            "channel",
            "sessions",
            "orders",
            &revenue,
            "first_orders",
            &cost,
            "cost_in_other_currencies",
            "clicks",
            "impressions",
            &per_click,
            &per_first,
            "return_on_ad_spend",
        ]);
        for row in &self.campaigns {
            table.text(&row.source).text(&row.campaign).text(&row.channel);
            self.numbers(&mut table, &row.brought, &row.spent);
        }
        table.into_text()
    }

    fn numbers(&self, table: &mut Table, brought: &Brought, spent: &Spent) {
        let money = |minor: Option<i64>| minor.map(|minor| self.site.money(minor));
        table
            .count(brought.sessions)
            .count(brought.orders)
            .money(self.site.money(brought.revenue_minor))
            .count(brought.first_orders)
            .maybe_money(money(spent.cost_minor))
            .text(&others(spent))
            .count(spent.clicks)
            .count(spent.impressions)
            .maybe_money(money(spent.per_click_minor()))
            .maybe_money(money(spent.per_first_order_minor(brought)))
            .number(spent.return_on(brought).unwrap_or(f64::NAN))
            .end();
    }

    fn unmatched_csv(&self) -> String {
        let [_, cost, per_click, _] = self.money_columns();
        let columns = ["source", "campaign", &cost, "cost_in_other_currencies", "clicks", "impressions", &per_click];
        let mut table = Table::with_header(&columns);
        for row in &self.unmatched {
            let money = |minor: Option<i64>| minor.map(|minor| self.site.money(minor));
            table
                .text(&row.source)
                .text(&row.campaign)
                .maybe_money(money(row.spent.cost_minor))
                .text(&others(&row.spent))
                .count(row.spent.clicks)
                .count(row.spent.impressions)
                .maybe_money(money(row.spent.per_click_minor()))
                .end();
        }
        table.into_text()
    }

    fn history_csv(&self) -> String {
        let mut table = Table::with_header(&["day", "counted_by", "visitors", "visits", "views"]);
        for row in &self.history.rows {
            table
                .day(Some(row.day))
                .text(&row.system)
                .maybe_count(row.visitors)
                .maybe_count(row.visits)
                .maybe_count(row.views)
                .end();
        }
        table.into_text()
    }
}

/// Costs in other currencies as one cell, `12.00 USD 5.00 GBP`.
fn others(spent: &Spent) -> String {
    let all: Vec<String> = spent.others.iter().map(|cost| format!("{} {}", cost.decimal(), cost.currency)).collect();
    all.join(" ")
}

fn search_csv(what: &str, rows: &[SearchRow]) -> String {
    let mut table = Table::with_header(&[
        what,
        "clicks",
        "impressions",
        "click_rate",
        "position",
        "clicks_before",
        "impressions_before",
        "click_rate_before",
        "position_before",
    ]);
    for row in rows {
        table.text(&row.value);
        for counts in [&row.now, &row.before] {
            table
                .count(counts.clicks)
                .count(counts.impressions)
                .number(counts.click_rate().unwrap_or(f64::NAN))
                .number(counts.position().unwrap_or(f64::NAN));
        }
        table.end();
    }
    table.into_text()
}

#[cfg(test)]
mod tests;
