//! What is expected of the buyers, how it is predicted, and the clusters they are in.

use crate::Rendered;
use crate::format::{self, Format};
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::money::Money;
use domain::report::{ClusterRow, Clusters, Expected, Outlook, Predictions, Proposed, VisitsOutlook};
use domain::segment::cluster::feature::Feature;
use domain::segment::cluster::{ClusterId, MIN_PEOPLE_PER_CLUSTER};
use domain::segment::predict::{Basis, Kind, Method, TRIAL_ORDERS, TRIAL_PEOPLE, TRIALS, Trial};

/// Methods of the trials that are shown at once, beside the members of the family by themselves.
const SHOWN: usize = 5;

#[derive(Template)]
#[template(path = "predictions.html")]
struct PredictionsPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a Predictions,
    f: Format,
    due: DueView,
    outlook: Option<OutlookView<'a>>,
    clusters: Option<ClustersView<'a>>,
    visits: Option<VisitsView<'a>>,
    /// Buyers from whom on there are clusters.
    least: usize,
}

struct VisitsView<'a> {
    v: &'a VisitsOutlook,
    back: String,
    sign_up: String,
}

struct DueView {
    site: i32,
    waits: bool,
    over: bool,
}

struct OutlookView<'a> {
    o: &'a Outlook,
    orders: String,
    orders_range: String,
    revenue: String,
    revenue_range: String,
    alive: String,
    ahead: Vec<AheadView>,
    bands: Vec<BandView>,
    caution: Option<String>,
    basis: String,
    /// How far off totals were, a sentence.
    off: String,
    trials: Vec<TrialView>,
    more: Vec<TrialView>,
}

struct AheadView {
    within: String,
    orders: String,
    range: String,
    revenue: String,
    revenue_range: String,
}

struct BandView {
    name: String,
    people: String,
    share: String,
    bar: u32,
    orders: String,
    /// The query of the page on which a segment of them is written.
    query: String,
}

struct TrialView {
    name: String,
    is_chosen: bool,
    total_error: String,
    mae: String,
    spearman: String,
    top_tenth: String,
    regret: String,
}

struct ClustersView<'a> {
    c: &'a Clusters,
    made_of: String,
    columns: Vec<String>,
    rows: Vec<ClusterView>,
    rules: Vec<RuleView<'a>>,
    fidelity: String,
    stability: Option<String>,
    proposal: Option<ProposalView>,
}

struct ClusterView {
    id: ClusterId,
    name: String,
    /// Where its people are, or where a segment of them is written.
    path: String,
    is_segment: bool,
    people: String,
    share: String,
    bar: u32,
    typical: Vec<String>,
    revenue: String,
}

struct RuleView<'a> {
    says: &'a str,
    cluster: &'a str,
    people: String,
    agree: String,
}

struct ProposalView {
    rows: Vec<ProposedView>,
    moved: Option<String>,
    /// Segments that ask for a cluster that there would be no more: key and cluster's name.
    broken: Vec<(String, String)>,
}

struct ProposedView {
    name: String,
    /// What it was called, where that is another name.
    was: Option<String>,
    /// `goes on`, `new` or `ends`.
    fate: &'static str,
    now: String,
    then: String,
    typical: Vec<String>,
}

/// What the models say of all buyers.
///
/// # Errors
/// When the page cannot be written.
pub fn predictions(shell: &Shell, report: &Predictions) -> Rendered {
    PredictionsPage {
        shell,
        nav: Nav::Predictions,
        r: report,
        f: Format::of(&report.site, report.now),
        due: DueView { site: report.site.id, waits: report.is_due, over: false },
        outlook: report.outlook.as_ref().map(|outlook| outlook_view(report, outlook)),
        clusters: report.clusters.as_ref().map(|clusters| clusters_view(report.site.id, clusters)),
        visits: report.visits.as_ref().map(|v| VisitsView {
            v,
            back: format::expected(&v.to_return),
            sign_up: format::expected(&v.to_sign_up),
        }),
        least: 2 * MIN_PEOPLE_PER_CLUSTER,
    }
    .render()
}

#[derive(Template)]
#[template(path = "predictions_due.html")]
struct DuePart {
    due: DueView,
}

/// Whether the models are still to be made, as the page asks every two seconds; when they are made it is loaded anew.
///
/// # Errors
/// When it cannot be written.
pub fn predictions_due(site: i32, waits: bool) -> Rendered {
    DuePart { due: DueView { site, waits, over: !waits } }.render()
}

/// The new-segment page with a rule and a name in it.
fn written(says: &str, name: &str) -> String {
    format!("?says={}&name={}", format::query_value(says), format::query_value(name))
}

fn bar(part: u64, most: u64) -> u32 {
    if part == 0 { 0 } else { (part * 72 / most.max(1)).clamp(1, 72) as u32 }
}

fn range(low: &str, high: &str) -> String {
    format!("{low} to {high}")
}

fn revenue_range(expected: &Expected) -> String {
    let of = |orders: f64| format::money_short(&expected.revenue_of(orders));
    range(&of(expected.low), &of(expected.high))
}

fn outlook_view<'a>(report: &Predictions, outlook: &'a Outlook) -> OutlookView<'a> {
    let quarter = outlook.ahead.iter().find(|ahead| ahead.days == 90);
    let dash = || "–".to_owned();
    let ahead = outlook.ahead.iter().map(|ahead| AheadView {
        within: format::counted(&u64::from(ahead.days), "day", "days"),
        orders: format::expected(&ahead.orders),
        range: range(&format::expected(&ahead.low), &format::expected(&ahead.high)),
        revenue: format::money_short(&ahead.revenue),
        revenue_range: revenue_range(ahead),
    });
    let most = outlook.bands.iter().map(|band| band.people).max().unwrap_or(0);
    let bands = outlook.bands.iter().map(|band| {
        let name = format!("{}–{}\u{a0}%", band.from, band.to);
        let of_one = |percent: u8| f64::from(percent) / 100.0;
        let says = format!("probability alive is between {} and {}", of_one(band.from), of_one(band.to));
        BandView {
            query: written(&says, &format!("Still a customer: {name}")),
            people: format::count(&band.people),
            share: format::share(band.people, report.buyers),
            bar: bar(band.people, most),
            orders: format::expected(&band.orders),
            name,
        }
    });
    let (shown, more): (Vec<_>, Vec<_>) = (0..)
        .zip(&outlook.trials)
        .map(|(place, trial)| (place < SHOWN || is_plain(&trial.method), trial))
        .partition(|(is_shown, _)| *is_shown);
    let trial = |(_, trial): (bool, &Trial)| TrialView {
        name: trial.method.name(),
        is_chosen: trial.method == outlook.method,
        total_error: format::percent(trial.measures.total_error * 100.0),
        mae: format!("{:.3}", trial.measures.mae),
        spearman: format!("{:.3}", trial.measures.spearman),
        top_tenth: format::percent(trial.measures.top_decile * 100.0),
        regret: format::percent(trial.regret),
    };
    OutlookView {
        orders: quarter.map_or_else(dash, |ahead| format::expected(&ahead.orders)),
        orders_range: quarter.map_or_else(String::new, |ahead| {
            format!(
                "{} with 80\u{a0}% probability",
                range(&format::expected(&ahead.low), &format::expected(&ahead.high))
            )
        }),
        revenue: quarter.map_or_else(dash, |ahead| format::money_short(&ahead.revenue)),
        revenue_range: quarter
            .map_or_else(String::new, |ahead| format!("{} for that many orders", revenue_range(ahead))),
        alive: format::expected(&outlook.alive),
        ahead: ahead.collect(),
        bands: bands.collect(),
        caution: caution(report.buyers),
        basis: basis(outlook),
        off: off(outlook),
        trials: shown.into_iter().map(trial).collect(),
        more: more.into_iter().map(trial).collect(),
        o: outlook,
    }
}

/// Whether it is one member of the family by itself.
fn is_plain(method: &Method) -> bool {
    Kind::ALL.into_iter().any(|kind| Method::member(kind) == Some(*method))
}

/// What has to be said where the numbers rest on few.
fn caution(buyers: u64) -> Option<String> {
    (buyers < TRIAL_PEOPLE as u64).then(|| {
        format!(
            "This rests on {} alone. Until there are more, the numbers lean on what is known of shops in general, and \
             single people can be far from what is expected of them.",
            format::counted(&buyers, "buyer", "buyers")
        )
    })
}

fn basis(outlook: &Outlook) -> String {
    let tried = outlook.trials.iter().find(|trial| trial.method == outlook.method);
    match (outlook.basis, tried) {
        (Basis::Trials, Some(chosen)) => format!(
            "It was chosen on this site’s own past. At several moments of it, {} were told what was known then and predicted the \
             orders from there to the end, which are known. In no column did this one fall short of the best by more than \
             {}; its totals were off by {} on average.",
            format::counted(&(outlook.trials.len() as u64), "method", "methods"),
            format::percent(chosen.regret),
            format::percent(chosen.measures.total_error * 100.0),
        ),
        (Basis::Trials, None) => "It was chosen on this site’s own past.".to_owned(),
        (Basis::Default, _) => format!(
            "There is too little past for trials of methods, so this is the one that every site begins with. A trial \
             needs {TRIAL_PEOPLE} people with an order before a moment of the past and {TRIAL_ORDERS} repeat orders \
             after it, at {TRIALS} moments at least."
        ),
    }
}

fn off(outlook: &Outlook) -> String {
    // Judged as it is shown.
    if outlook.level_error < 0.0005 {
        return "The totals of the trials were off by no more than chance explains.".to_owned();
    }
    format!(
        "Beyond chance, totals are taken to be off by {}, which is in the ranges above.",
        format::percent(outlook.level_error * 100.0)
    )
}

/// A feature's value in a column of its own.
fn value(feature: &Feature, value: f64) -> String {
    let counted = |one, many| format::counted(&(value.max(0.0).round() as u64), one, many);
    match feature {
        Feature::OrderMinor { currency } | Feature::SpentMinor { currency } => {
            format::money_short(&Money { minor: value.round() as i64, currency: *currency })
        }
        Feature::RecencyDays | Feature::TenureDays => counted("day", "days"),
        Feature::Orders => counted("order", "orders"),
        Feature::Visits => counted("visit", "visits"),
        Feature::Other { .. } => feature.value(value),
    }
}

fn typical(features: &[Feature], quartiles: &[[f64; 3]]) -> Vec<String> {
    features.iter().zip(quartiles).map(|(feature, [_, median, _])| value(feature, *median)).collect()
}

/// `A`, `A and B`, `a, b and c`.
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn clusters_view(site: i32, clusters: &Clusters) -> ClustersView<'_> {
    let (people, most) = (clusters.people(), clusters.rows.iter().map(|row| row.people).max().unwrap_or(0));
    let row = |row: &ClusterRow| ClusterView {
        id: row.id,
        name: row.name.clone(),
        path: match &row.segment {
            Some(key) => format!("/s/{site}/segments/{key}"),
            None => format!("/s/{site}/segments/new{}", written(&row.says, &row.name)),
        },
        is_segment: row.segment.is_some(),
        people: format::count(&row.people),
        share: format::share(row.people, people),
        bar: bar(row.people, most),
        typical: typical(&clusters.features, &row.quartiles),
        revenue: format::money_short(&row.revenue),
    };
    let rules = clusters.rules.iter().map(|rule| RuleView {
        says: &rule.says,
        cluster: clusters.name(rule.cluster),
        people: format::count(&rule.people),
        agree: format::share(rule.agree, rule.people),
    });
    let names: Vec<&str> = clusters.features.iter().map(Feature::name).collect();
    ClustersView {
        made_of: listed(&names),
        columns: names.iter().map(|name| capitalised(name)).collect(),
        rows: clusters.rows.iter().map(row).collect(),
        rules: rules.collect(),
        fidelity: format::percent(clusters.fidelity * 100.0),
        stability: clusters.stability.map(|stability| format!("{stability:.2}")),
        proposal: clusters.proposal.as_ref().map(|proposal| {
            let proposed = proposal.rows.iter().map(|row| proposed(clusters, row));
            let gone = clusters.rows.iter().filter(|row| proposal.gone.contains(&row.id));
            let broken = gone.clone().filter_map(|row| Some((row.segment.clone()?, row.name.clone())));
            let ends = gone.clone().map(|row| ProposedView {
                name: row.name.clone(),
                was: None,
                fate: "ends",
                now: format::count(&row.people),
                then: "–".to_owned(),
                typical: vec!["–".to_owned(); clusters.features.len()],
            });
            ProposalView {
                rows: proposed.chain(ends).collect(),
                moved: proposal.moved.map(|moved| {
                    format!(
                        "{} of {} ({})",
                        format::count(&moved),
                        format::counted(&people, "person", "people"),
                        format::share(moved, people)
                    )
                }),
                broken: broken.collect(),
            }
        }),
        c: clusters,
    }
}

fn proposed(clusters: &Clusters, row: &Proposed) -> ProposedView {
    let known = clusters.rows.iter().find(|known| known.id == row.id);
    ProposedView {
        name: row.name.clone(),
        was: known.map(|known| known.name.clone()).filter(|name| *name != row.name),
        fate: if known.is_some() { "goes on" } else { "new" },
        now: known.map_or_else(|| "–".to_owned(), |known| format::count(&known.people)),
        then: format::count(&row.people),
        typical: typical(&clusters.features, &row.quartiles),
    }
}
