//! What is expected of a site's buyers, how that is predicted, and the clusters they are in.

use super::Site;
use super::csv::Table;
use crate::money::Money;
use crate::segment::cluster::ClusterId;
use crate::segment::cluster::feature::Feature;
use crate::segment::predict::{Basis, Method, Trial};
use jiff::Timestamp;

/// What the models say of all buyers together.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// People with an order that counts: of the models' last look, or of now where there was none.
    pub buyers: u64,
    /// The models are about to be made: for the first time, or because somebody has changed what they are made of.
    pub is_due: bool,
    /// What is expected; `None` before the models' first look and while nobody has ordered.
    pub outlook: Option<Outlook>,
    /// The clusters; `None` while there are too few buyers for any.
    pub clusters: Option<Clusters>,
    /// What is expected of visitors; `None` before the models' first look and while nobody has a profile.
    pub visits: Option<VisitsOutlook>,
}

/// What is expected of everybody who visited in the days that are looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct VisitsOutlook {
    /// When the models last looked.
    pub made_at: Timestamp,
    /// How many they are.
    pub visitors: u64,
    /// The sum of everybody's probability of coming back within 30 days.
    pub to_return: f64,
    /// The sum of the probabilities of signing up within 30 days, of those who have not.
    pub to_sign_up: f64,
    /// The segments in use that are made of it.
    pub made_of: Vec<MadeOf>,
}

/// What is expected of all buyers, and by which method.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// When the models last looked.
    pub made_at: Timestamp,
    /// Sums by horizon, the nearest first.
    pub ahead: Vec<Expected>,
    /// The sum of everybody's probability of still being a customer: how many of them are, on average.
    pub alive: f64,
    /// Buyers by that probability, the most probable first.
    pub bands: Vec<AliveBand>,
    /// The segments in use that are made of predictions.
    pub made_of: Vec<MadeOf>,
    /// The method's name, `Pareto/NBD with 7.5 % own rate`.
    pub name: String,
    /// The method.
    pub method: Method,
    /// Where it comes from.
    pub basis: Basis,
    /// By how much totals are taken to be off beyond chance, relatively, as a root mean square.
    pub level_error: f64,
    /// All methods in the trials on the site's own past, the best first; empty where there were none.
    pub trials: Vec<Trial>,
}

/// What is expected of all buyers together within one horizon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// The horizon.
    pub days: u32,
    /// Expected orders.
    pub orders: f64,
    /// With 80 % probability it is from this …
    pub low: f64,
    /// … to this.
    pub high: f64,
    /// Expected spend.
    pub revenue: Money,
}

impl Expected {
    /// The revenue if the orders were this many, each worth what is expected.
    pub fn revenue_of(&self, orders: f64) -> Money {
        let each = if self.orders > 0.0 { self.revenue.minor as f64 / self.orders } else { 0.0 };
        Money { minor: (each * orders).round() as i64, ..self.revenue }
    }
}

/// Buyers whose probability of still being a customer lies in one tenth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AliveBand {
    /// From so many per cent …
    pub from: u8,
    /// … to below this; 100 is included.
    pub to: u8,
    /// How many.
    pub people: u64,
    /// Orders expected of them in the next 90 days.
    pub orders: f64,
}

/// A segment in use that is made of predictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeOf {
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Who is in it.
    pub description: String,
    /// How many.
    pub people: u64,
}

/// The clusters of a site's buyers.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// What they are made of, in the order of [`ClusterRow::quartiles`].
    pub features: Vec<Feature>,
    /// The clusters, in the model's order.
    pub rows: Vec<ClusterRow>,
    /// The rules that explain them.
    pub rules: Vec<ClusterRule>,
    /// The share of people for whom the rules say the cluster that they are in, 0 to 1.
    pub fidelity: f64,
    /// How well they come back on other people like these, 0 (chance) to 1; `None` for a lone cluster.
    pub stability: Option<f64>,
    /// What has shifted since they were made, a sentence each.
    pub drift: Vec<String>,
    /// New ones in their place, where they do not fit any more.
    pub proposal: Option<ClusterProposal>,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterRow {
    /// Its number, which rules ask for.
    pub id: ClusterId,
    /// Its name.
    pub name: String,
    /// How many people are in it.
    pub people: u64,
    /// Lower quartile, median and upper quartile per feature, in the feature's unit.
    pub quartiles: Vec<[f64; 3]>,
    /// Expected of its people in the next 365 days.
    pub revenue: Money,
    /// The rule that asks for it, a sentence.
    pub says: String,
    /// The key of a segment in use with just that rule.
    pub segment: Option<String>,
}

/// One of the rules that say nearly the same as the clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRule {
    /// The cluster it names.
    pub cluster: ClusterId,
    /// The conditions.
    pub says: String,
    /// People who meet them.
    pub people: u64,
    /// How many of these are in that cluster.
    pub agree: u64,
}

/// New clusters that nobody has taken yet.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterProposal {
    /// The clusters that there would be.
    pub rows: Vec<Proposed>,
    /// The clusters that there would be no more.
    pub gone: Vec<ClusterId>,
    /// How many people would be in another cluster than now; `None` where the models' last look did not note it.
    pub moved: Option<u64>,
}

/// One cluster of a proposal.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposed {
    /// Its number; that of a cluster of now is the same cluster going on.
    pub id: ClusterId,
    /// Its name.
    pub name: String,
    /// How many people it would have.
    pub people: u64,
    /// As in [`ClusterRow::quartiles`].
    pub quartiles: Vec<[f64; 3]>,
}

/// What the models say of one person.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The probability of still being a customer, 0 to 1.
    pub probability_alive: Option<f64>,
    /// The probability of another visit within 30 days, 0 to 1.
    pub probability_of_return: Option<f64>,
    /// The probability of signing up within 30 days, 0 to 1; of those who have not.
    pub probability_of_sign_up: Option<f64>,
    /// Orders expected in the next 90 days.
    pub orders: Option<f64>,
    /// Spend expected in the next 365 days.
    pub revenue: Option<Money>,
    /// By when the next order has come in half of all cases, given that they are still a customer.
    pub next_order_at: Option<Timestamp>,
    /// The cluster's number and name.
    pub cluster: Option<(ClusterId, String)>,
}

/// A table of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredictionsTable {
    /// Sums by horizon.
    Ahead,
    /// Buyers by their probability of still being a customer.
    Alive,
    /// The methods in the trials.
    Trials,
    /// The clusters.
    Clusters,
    /// The rules that explain them.
    Rules,
}

impl PredictionsTable {
    /// All of them.
    pub const ALL: [PredictionsTable; 5] = [
        PredictionsTable::Ahead,
        PredictionsTable::Alive,
        PredictionsTable::Trials,
        PredictionsTable::Clusters,
        PredictionsTable::Rules,
    ];

    /// The word in the file's address, `trials.csv`.
    pub fn key(self) -> &'static str {
        match self {
            PredictionsTable::Ahead => "ahead",
            PredictionsTable::Alive => "alive",
            PredictionsTable::Trials => "trials",
            PredictionsTable::Clusters => "clusters",
            PredictionsTable::Rules => "rules",
        }
    }

    /// Reads [`PredictionsTable::key`] back.
    pub fn from_key(key: &str) -> Option<PredictionsTable> {
        PredictionsTable::ALL.into_iter().find(|table| table.key() == key)
    }
}

impl Predictions {
    /// A table as CSV; without rows where nothing is known.
    pub fn csv(&self, table: PredictionsTable) -> String {
        match table {
            PredictionsTable::Ahead => self.ahead_csv(),
            PredictionsTable::Alive => self.alive_csv(),
            PredictionsTable::Trials => self.trials_csv(),
            PredictionsTable::Clusters => self.clusters_csv(),
            PredictionsTable::Rules => self.rules_csv(),
        }
    }

    fn ahead_csv(&self) -> String {
        let revenue = format!("expected_revenue_{}", self.site.currency);
        let mut table = Table::with_header(&[
            "made_at",
            "days",
            "buyers",
            "expected_orders",
            "orders_low_80",
            "orders_high_80",
            &revenue,
        ]);
        for outlook in self.outlook.iter() {
            for ahead in &outlook.ahead {
                table.moment(Some(outlook.made_at)).count(ahead.days.into()).count(self.buyers);
                table.number(ahead.orders).number(ahead.low).number(ahead.high);
                table.money(ahead.revenue).end();
            }
        }
        table.into_text()
    }

    fn alive_csv(&self) -> String {
        let mut table =
            Table::with_header(&["alive_from_percent", "alive_to_percent", "people", "expected_orders_90_days"]);
        for band in self.outlook.iter().flat_map(|outlook| &outlook.bands) {
            table.count(band.from.into()).count(band.to.into()).count(band.people).number(band.orders).end();
        }
        table.into_text()
    }

    fn trials_csv(&self) -> String {
        let mut table = Table::with_header(&[
            "method",
            "chosen",
            "total_error_percent",
            "mean_absolute_error",
            "spearman",
            "top_tenth_percent",
            "log_score",
            "regret_percent",
        ]);
        for outlook in self.outlook.iter() {
            for trial in &outlook.trials {
                let measures = trial.measures;
                table
                    .text(&trial.method.name())
                    .text(if trial.method == outlook.method { "yes" } else { "no" })
                    .number(measures.total_error * 100.0)
                    .number(measures.mae)
                    .number(measures.spearman)
                    .number(measures.top_decile * 100.0)
                    .number(trial.log_score)
                    .number(trial.regret)
                    .end();
            }
        }
        table.into_text()
    }

    fn clusters_csv(&self) -> String {
        let Some(clusters) = &self.clusters else {
            return Table::with_header(&["cluster", "name", "people"]).into_text();
        };
        let mut columns: Vec<String> = ["cluster", "name", "people", "people_if_taken"].map(str::to_owned).into();
        for feature in &clusters.features {
            let name = feature.name().replace(' ', "_");
            let unit = feature.currency().map_or_else(String::new, |currency| format!("_{currency}"));
            columns.extend(["lower_quartile", "median", "upper_quartile"].map(|part| format!("{name}{unit}_{part}")));
        }
        columns.push(format!("expected_revenue_365_days_{}", self.site.currency));
        let mut table = Table::with_header(&columns.iter().map(String::as_str).collect::<Vec<_>>());
        let proposed = || clusters.proposal.iter().flat_map(|proposal| &proposal.rows);
        let mut line = |(id, name): (ClusterId, &str), people, taken: Option<u64>, quartiles: &[[f64; 3]], revenue| {
            table.count(id.0.into()).text(name).count(people);
            table.maybe_count(taken);
            for (feature, quartiles) in clusters.features.iter().zip(quartiles) {
                for value in quartiles {
                    match feature.currency() {
                        Some(currency) => table.money(Money { minor: value.round() as i64, currency }),
                        None => table.number(*value),
                    };
                }
            }
            table.maybe_money(revenue).end();
        };
        for row in &clusters.rows {
            // One that does not go on would have nobody.
            let taken = proposed().find(|proposed| proposed.id == row.id).map(|proposed| proposed.people);
            let taken = clusters.proposal.as_ref().map(|_| taken.unwrap_or(0));
            line((row.id, &row.name), row.people, taken, &row.quartiles, Some(row.revenue));
        }
        for new in proposed().filter(|proposed| clusters.rows.iter().all(|row| row.id != proposed.id)) {
            line((new.id, &new.name), 0, Some(new.people), &new.quartiles, None);
        }
        table.into_text()
    }

    fn rules_csv(&self) -> String {
        let mut table = Table::with_header(&["rule", "cluster", "name", "people", "of_these_in_the_cluster"]);
        for clusters in self.clusters.iter() {
            for rule in &clusters.rules {
                table
                    .text(&rule.says)
                    .count(rule.cluster.0.into())
                    .text(clusters.name(rule.cluster))
                    .count(rule.people)
                    .count(rule.agree)
                    .end();
            }
        }
        table.into_text()
    }
}

impl Clusters {
    /// The name of a cluster of now; nothing for another number.
    pub fn name(&self, id: ClusterId) -> &str {
        self.rows.iter().find(|row| row.id == id).map_or("", |row| row.name.as_str())
    }

    /// Everybody in a cluster.
    pub fn people(&self) -> u64 {
        self.rows.iter().map(|row| row.people).sum()
    }
}
