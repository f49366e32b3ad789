//! Which method a site gets, and what it says about each person.

use super::behaviour::{Attempt, BEHAVIOUR_DAYS, Behaviour, Tried};
use super::family::{Alive, Kind, Odds};
use super::fit::{self, Fitted, Grouped, Prior, fit_grouped};
use super::measure::{Measures, ranks};
use super::spend::{Spend, fit_spend};
use super::{Counts, PurchaseHistory, Summary};
use serde::{Deserialize, Serialize};

/// The horizons that [`Chosen::score`] looks ahead: a month, a quarter, a year.
pub const HORIZON_DAYS: [u32; 3] = [30, 90, 365];

/// The share of probability that intervals hold.
pub const INTERVAL: f64 = 0.8;

/// What a year costs where nobody says otherwise: 15 %, as in Fader, Hardie & Lee (2005), "RFM and CLV".
pub const ANNUAL_DISCOUNT: f64 = 0.15;

/// Where a site's history is cut for a trial, as parts of its length: each trial predicts from there to the end.
const CUTS: [f64; 5] = [0.4, 0.5, 0.6, 0.7, 0.8];

/// People that a trial needs before its cut: below, its measures are luck.
pub const TRIAL_PEOPLE: usize = 200;

/// Repeat orders that a trial needs after its cut.
pub const TRIAL_ORDERS: f64 = 100.0;

/// Trials that have to be possible for a choice.
pub const TRIALS: usize = 3;

/// At most so many people are in the trials. With 20,000 the measures differ between methods by far more than by luck.
pub(super) const MOST_TRIED: usize = 20_000;

/// The members that a method is an average of.
const MEMBERS: [Kind; 3] = [Kind::BgNbd, Kind::MbgNbd, Kind::ParetoNbd];

/// Parts that a person's own rate may have in a method.
const RATE_SHARES: [f64; 8] = [0.0, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3];

/// A rate is not believed on less than this: two orders in two days are no 180 a year.
const LEAST_RATE_WEEKS: f64 = 4.0;

/// How far off totals are taken to be, relatively, where trials cannot tell: as on the CDNOW sample.
const DEFAULT_LEVEL_ERROR: f64 = 0.25;

/// What intervals of many people leave out of the tail: their ends are at a tenth.
const TAIL: f64 = 1e-4;

/// A median longer than this is none.
const LONGEST_WAIT_DAYS: f64 = 3_652.5;

/// What predicts: an average of members of the family, and a part of each person's own rate so far.
///
/// The own rate is x orders in T weeks going on for ever, with the uncertainty of λ ~ Gamma(x, T). The family is sure of
/// the death of people who then come back after all; a little of their own rate makes up for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Whether BG/NBD, MBG/NBD and Pareto/NBD are in the average.
    members: [bool; 3],
    /// The part of the own rate, 0..=1.
    pub rate_share: f64,
    /// Whether what visits say corrects it, see [`Behaviour`].
    #[serde(default)]
    pub by_visits: bool,
}

impl Method {
    /// What a site gets that cannot try yet: the two members that know of one-time buyers who stay away.
    pub const DEFAULT: Method = Method { members: [false, true, true], rate_share: 0.05, by_visits: false };

    /// One member alone.
    pub fn member(kind: Kind) -> Option<Method> {
        let members = MEMBERS.map(|member| member == kind);
        members.contains(&true).then_some(Method { members, rate_share: 0.0, by_visits: false })
    }

    /// All that are tried: each member, each average of members, each of these with a part of the own rate.
    pub fn all() -> impl Iterator<Item = Method> {
        (1..8_u8).flat_map(|set| {
            let members = [set & 1 != 0, set & 2 != 0, set & 4 != 0];
            RATE_SHARES.into_iter().map(move |rate_share| Method { members, rate_share, by_visits: false })
        })
    }

    /// The members, in the order of [`Kind::ALL`].
    pub fn members(&self) -> impl Iterator<Item = Kind> {
        MEMBERS.into_iter().zip(self.members).filter_map(|(kind, is_in)| is_in.then_some(kind))
    }

    /// Its name for people: `Pareto/NBD`, `MBG/NBD + Pareto/NBD with 5 % own rate`.
    pub fn name(&self) -> String {
        let members: Vec<&str> = self.members().map(Kind::name).collect();
        let members = members.join(" + ");
        let own =
            if self.rate_share > 0.0 { format!(" with {} % own rate", self.rate_share * 100.0) } else { String::new() };
        format!("{members}{own}{}", if self.by_visits { ", corrected by visits" } else { "" })
    }

    /// The weight of each of [`MEMBERS`].
    fn weights(&self) -> [f64; 3] {
        let each = (1.0 - self.rate_share) / self.members().count().max(1) as f64;
        self.members.map(|is_in| if is_in { each } else { 0.0 })
    }
}

/// Where a method comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// It came off best in trials on the site's own past.
    Trials,
    /// [`Method::DEFAULT`], because the site's past is too short or has too few repeat orders for trials.
    Default,
}

/// How a method came off in the trials, on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Which one.
    pub method: Method,
    /// Means over the trials; the total error is the mean of its size.
    pub measures: Measures,
    /// Mean logarithm of the probability that was given to what each person then did.
    pub log_score: f64,
    /// By how many per cent it falls short of the best method in the column in which it does worst.
    pub regret: f64,
}

/// A site's method, fitted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chosen {
    /// What predicts.
    pub method: Method,
    /// Where it comes from.
    pub basis: Basis,
    /// The members of the family, all three, fitted with the prior.
    pub members: [Fitted; 3],
    /// What visits say beyond the orders, where that was found to be something.
    pub behaviour: Option<Behaviour>,
    /// What an order is worth.
    pub spend: Spend,
    /// Discount per year for lifetime values.
    pub annual_discount: f64,
    /// By how much totals of the trials were off, relatively, beyond what chance explains: the root mean square.
    pub level_error: f64,
    /// All methods in the trials, the best first; empty where there were none.
    pub trials: Vec<Trial>,
}

/// What one person is expected to do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The probability of still being a customer; only members that can tell have a say (not BG/NBD).
    pub p_alive: f64,
    /// For each of [`HORIZON_DAYS`].
    pub ahead: [Ahead; 3],
    /// When the next order is to be expected.
    pub next_order: NextOrder,
    /// Expected value of an order, in the unit of spend.
    pub order_value: f64,
    /// Value of all orders to come, discounted to now; the own rate, which never ends, has no part in it.
    pub lifetime_value: f64,
}

/// What is expected within one horizon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Ahead {
    /// The horizon.
    pub days: u32,
    /// Expected orders.
    pub orders: f64,
    /// With at least 80 % probability orders are from this …
    pub low: u32,
    /// … to this number, both included: the 10 % and 90 % quantiles.
    pub high: u32,
    /// The probability of an order at all; where days are visits, of a return.
    pub p_any: f64,
    /// Expected spend.
    pub spend: f64,
}

/// Days until the next order *given that the person is still a customer*; `None` where such a share of customers does not
/// order again within ten years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct NextOrder {
    /// One of ten has ordered by then.
    pub early_days: Option<f64>,
    /// Half have.
    pub median_days: Option<f64>,
    /// Nine of ten have.
    pub late_days: Option<f64>,
}

/// A sum over people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Total {
    /// Expected orders.
    pub orders: f64,
    /// With 80 % probability it is from this …
    pub low: f64,
    /// … to this.
    pub high: f64,
}

/// Chooses a method for a site from its past up to the end of a day, and fits it.
///
/// At five moments of the past, from two fifths to four fifths of its length, all methods are fitted on what was known
/// then and predict each person's orders from there to the end. What counts is the *regret*: by how many per cent a
/// method falls short of the best one in a column, the columns being total error, mean absolute error, rank
/// correlation, share of the top tenth, and the log score (which is proper: nothing is gained by other probabilities
/// than those believed). The method with the smallest largest regret is taken: near the best in every column.
///
/// What comes after `end_day` is not looked at. `seed` decides who is in the trials where there are more than 20,000
/// people, and nothing else.
pub fn choose(histories: &[PurchaseHistory], end_day: i32, seed: u64) -> Chosen {
    let tried: Vec<&PurchaseHistory> = if histories.len() > MOST_TRIED {
        // A share of all rather than a fixed number: each person's fate is their own.
        let share = MOST_TRIED as f64 / histories.len() as f64;
        (0_u64..).zip(histories).filter(|(n, _)| uniform(seed, *n) < share).map(|(_, history)| history).collect()
    } else {
        histories.iter().collect()
    };
    let summaries: Vec<Summary> = histories.iter().filter_map(|history| history.summary(end_day)).collect();
    choose_by(&tried, &summaries, end_day)
}

/// The same for people of whom visits are known, too: each with the days of their orders and those of their visits.
///
/// The method that is chosen is tried once more with what visits say, and that is taken if it is better by more than
/// chance ([`Behaviour`]).
pub fn choose_with_visits(people: &[(PurchaseHistory, PurchaseHistory)], end_day: i32, seed: u64) -> Chosen {
    let share = MOST_TRIED as f64 / people.len().max(1) as f64;
    let is_tried = |(n, _): &(u64, _)| uniform(seed, *n) < share || share >= 1.0;
    let tried: Vec<Tried<'_>> =
        (0_u64..).zip(people).filter(is_tried).map(|(_, (orders, visits))| (orders, visits)).collect();
    let orders: Vec<&PurchaseHistory> = tried.iter().map(|(orders, _)| *orders).collect();
    let known = |(orders, visits): &(PurchaseHistory, PurchaseHistory)| {
        Some((orders.summary(end_day)?, visits.summary(end_day)))
    };
    let known: Vec<(Summary, Option<Summary>)> = people.iter().filter_map(known).collect();
    let summaries: Vec<Summary> = known.iter().map(|(summary, _)| *summary).collect();
    let (outcomes, mut chosen) = outcomes_and_choice(&orders, &summaries, end_day);
    let cuts: Vec<i32> = outcomes.iter().map(|outcome| outcome.cut_day).collect();
    if chosen.basis == Basis::Default {
        return chosen;
    }
    let Some(attempt) = Attempt::of(&tried, chosen.method, &cuts, end_day) else { return chosen };
    let with = Method { by_visits: true, ..chosen.method };
    let corrected = trial(with, &outcomes, |at, outcome| {
        let before = outcome.mixed(&chosen.method, &outcome.expected);
        let Some(at_cut) = attempt.at_cuts.iter().find(|at_cut| at_cut.place == at) else {
            return vec![1.0; before.len()];
        };
        let early = at_cut.factors.iter().zip(&at_cut.expected);
        before.iter().zip(early).map(|(all, (factor, early))| until_later(*factor, *early, *all)).collect()
    });
    let mut trials = std::mem::take(&mut chosen.trials);
    trials.push(corrected);
    chosen.trials = by_regret(trials);
    let regret = |method: Method| chosen.trials.iter().find(|trial| trial.method == method).map(|trial| trial.regret);
    if attempt.gains && regret(with) <= regret(chosen.method) {
        let expected = chosen.expected_orders(&summaries, f64::from(BEHAVIOUR_DAYS));
        chosen.behaviour = Some(attempt.behaviour(&known, &expected));
        chosen.method = with;
    }
    chosen
}

/// The factor of all that is expected up to some later day, where only an early part has one.
fn until_later(factor: f64, early: f64, all: f64) -> f64 {
    if all > 0.0 { 1.0 + (factor - 1.0) * (early / all).clamp(0.0, 1.0) } else { 1.0 }
}

/// The same with a choice of people for the trials, and everybody's summary for the fit.
pub(super) fn choose_by(tried: &[&PurchaseHistory], summaries: &[Summary], end_day: i32) -> Chosen {
    outcomes_and_choice(tried, summaries, end_day).1
}

fn outcomes_and_choice(tried: &[&PurchaseHistory], summaries: &[Summary], end_day: i32) -> (Vec<Outcome>, Chosen) {
    let outcomes: Vec<Outcome> = cuts(tried, end_day).filter_map(|cut| Outcome::of(tried, cut, end_day)).collect();
    let trials = if outcomes.len() >= TRIALS { rank(&outcomes) } else { Vec::new() };
    let (method, basis) = match trials.first() {
        Some(best) => (best.method, Basis::Trials),
        None => (Method::DEFAULT, Basis::Default),
    };
    let level_error = match basis {
        Basis::Trials => level_error(&outcomes, &method),
        Basis::Default => DEFAULT_LEVEL_ERROR,
    };
    let chosen = Chosen { basis, level_error, trials, ..Chosen::with(method, summaries) };
    (outcomes, chosen)
}

/// A number in 0..1 that follows from both (Steele, Lea & Flood 2014: the mixer of SplitMix64).
pub(super) fn uniform(seed: u64, n: u64) -> f64 {
    let mut x = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) as f64 / u64::MAX as f64
}

/// The days at which the past is cut.
fn cuts(histories: &[&PurchaseHistory], end_day: i32) -> impl Iterator<Item = i32> {
    let first = histories.iter().filter_map(|history| history.occasions().first()).map(|first| first.day).min();
    let span = first.map_or(0.0, |first| f64::from(end_day) - f64::from(first));
    CUTS.into_iter()
        .filter(move |_| span >= 28.0)
        .map(move |part| end_day.saturating_sub((span * (1.0 - part)).round() as i32))
}

/// One trial: what each member and the own rate said, and what happened.
struct Outcome {
    cut_day: i32,
    actual: Vec<f64>,
    actual_ranks: Vec<f64>,
    /// Expected orders by member, then those of the own rate.
    expected: [Vec<f64>; 4],
    /// The probability of what happened.
    probability: [Vec<f64>; 4],
    /// That of as much as happened or less.
    at_most: [Vec<f64>; 4],
}

impl Outcome {
    fn of(histories: &[&PurchaseHistory], cut_day: i32, end_day: i32) -> Option<Outcome> {
        let mut people = Vec::new();
        let mut actual = Vec::new();
        for history in histories {
            if let Some(summary) = history.summary(cut_day) {
                people.push(summary.sound());
                actual.push(f64::from(history.count_between(cut_day, end_day)));
            }
        }
        if people.len() < TRIAL_PEOPLE || actual.iter().sum::<f64>() < TRIAL_ORDERS {
            return None;
        }
        let weeks = fit::weeks(f64::from(end_day) - f64::from(cut_day));
        let grouped = Grouped::new(&people);
        let by_fate = in_order(&people);
        let mut expected: [Vec<f64>; 4] = std::array::from_fn(|_| vec![0.0; people.len()]);
        let mut probability: [Vec<f64>; 4] = std::array::from_fn(|_| vec![0.0; people.len()]);
        let mut at_most: [Vec<f64>; 4] = std::array::from_fn(|_| vec![0.0; people.len()]);
        let sum = |chances: &[f64], n: f64| chances.iter().take(n as usize + 1).sum::<f64>().min(1.0);
        for (m, kind) in MEMBERS.into_iter().enumerate() {
            let fitted = fit_grouped(kind, &grouped, Prior::Published);
            for same in by_fate.chunk_by(|a, b| same_future(&people[*a], &people[*b])) {
                let Some(first) = same.first().map(|first| people[*first]) else { continue };
                let alive = fitted.alive(&fitted.params, &first);
                let odds = fitted.odds(&fitted.params, &first);
                let (orders, chances) = (alive.expected_orders(weeks), alive.counts(weeks, fit::EXACT));
                for at in same {
                    let p_alive = odds.p_alive(people[*at].recency_weeks);
                    let chance = chances.get(actual[*at] as usize).copied().unwrap_or(0.0);
                    expected[m][*at] = p_alive * orders;
                    at_most[m][*at] = 1.0 - p_alive + p_alive * sum(&chances, actual[*at]);
                    probability[m][*at] = p_alive * chance + if actual[*at] == 0.0 { 1.0 - p_alive } else { 0.0 };
                }
            }
        }
        for at in 0..people.len() {
            let rate = own_rate(&people[at]);
            expected[3][at] = rate.map_or(0.0, |rate| rate.expected_orders(weeks));
            let chances = rate.map_or(vec![1.0], |rate| rate.counts(weeks, fit::EXACT));
            probability[3][at] = chances.get(actual[at] as usize).copied().unwrap_or(0.0);
            at_most[3][at] = sum(&chances, actual[at]);
        }
        Some(Outcome { cut_day, actual_ranks: ranks(&actual), actual, expected, probability, at_most })
    }

    fn mixed(&self, method: &Method, of: &[Vec<f64>; 4]) -> Vec<f64> {
        let [bg, mbg, pareto] = method.weights();
        let weights = [bg, mbg, pareto, method.rate_share];
        (0..self.actual.len()).map(|at| weights.iter().zip(of).map(|(weight, of)| weight * of[at]).sum()).collect()
    }
}

/// The own rate of somebody with a repeat order.
fn own_rate(summary: &Summary) -> Option<Alive> {
    let s = summary.sound();
    let params = [1e-9, (LEAST_RATE_WEEKS - s.age_weeks).max(1e-9), 1.0, 1.0];
    (s.repeats > 0).then(|| Alive::after(Kind::Nbd, &params, f64::from(s.repeats), s.age_weeks))
}

/// All methods with their mean measures over the trials, the one with the smallest regret first.
fn rank(outcomes: &[Outcome]) -> Vec<Trial> {
    by_regret(
        Method::all().map(|method| trial(method, outcomes, |_, outcome| vec![1.0; outcome.actual.len()])).collect(),
    )
}

/// A method's mean measures over the trials. `factors` says for a trial by what each person's orders are multiplied, as if
/// time went by so many times as fast: what is as probable as F at most is then F to that power.
fn trial(method: Method, outcomes: &[Outcome], factors: impl Fn(usize, &Outcome) -> Vec<f64>) -> Trial {
    let trials = outcomes.len() as f64;
    let (mut mean, mut log_score) = (Measures::default(), 0.0);
    for (at, outcome) in outcomes.iter().enumerate() {
        let factors = factors(at, outcome);
        let mut expected = outcome.mixed(&method, &outcome.expected);
        let mut probability = outcome.mixed(&method, &outcome.probability);
        if method.by_visits {
            let at_most = outcome.mixed(&method, &outcome.at_most);
            for (at, factor) in factors.iter().enumerate() {
                expected[at] *= factor;
                let below = (at_most[at] - probability[at]).max(0.0);
                probability[at] = at_most[at].powf(*factor) - below.powf(*factor);
            }
        }
        let found = Measures::with_ranks(&expected, &outcome.actual, &outcome.actual_ranks);
        mean.total_error += found.total_error.abs() / trials;
        mean.mae += found.mae / trials;
        mean.spearman += found.spearman / trials;
        mean.top_decile += found.top_decile / trials;
        // What was held impossible and happened counts as one in a billion, not as the end of the world.
        let score: f64 = probability.iter().map(|chance| chance.max(1e-9).ln()).sum();
        log_score += score / probability.len() as f64 / trials;
    }
    Trial { method, measures: mean, log_score, regret: 0.0 }
}

/// Trials with their regrets, the smallest first.
fn by_regret(mut all: Vec<Trial>) -> Vec<Trial> {
    let least = |of: fn(&Trial) -> f64| all.iter().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn(&Trial) -> f64| all.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
    let total_error = least(|trial| trial.measures.total_error);
    let mae = least(|trial| trial.measures.mae);
    let (spearman, top_decile) = (most(|trial| trial.measures.spearman), most(|trial| trial.measures.top_decile));
    let log_score = most(|trial| trial.log_score);
    for trial in &mut all {
        let short = [
            trial.measures.total_error - total_error,
            trial.measures.mae / mae.max(1e-9) - 1.0,
            (spearman - trial.measures.spearman) / spearman.max(0.1),
            (top_decile - trial.measures.top_decile) / top_decile.max(0.1),
            // A hundredth of a nat is one per cent of probability.
            log_score - trial.log_score,
        ];
        trial.regret = short.into_iter().fold(0.0, f64::max) * 100.0;
    }
    all.sort_by(|a, b| a.regret.total_cmp(&b.regret));
    all
}

/// How far off totals were beyond the chance in counts, which is at least that of a Poisson number.
fn level_error(outcomes: &[Outcome], method: &Method) -> f64 {
    let squares = outcomes.iter().map(|outcome| {
        let expected: f64 = outcome.mixed(method, &outcome.expected).iter().sum::<f64>().max(1.0);
        let actual: f64 = outcome.actual.iter().sum();
        ((actual - expected) / expected).powi(2) - 1.0 / expected
    });
    (squares.sum::<f64>() / outcomes.len().max(1) as f64).max(0.0).sqrt()
}

/// People by what their future depends on if they are still customers, then by the rest of what matters.
fn in_order(people: &[Summary]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..people.len()).collect();
    order.sort_unstable_by(|a, b| {
        let (a, b) = (&people[*a], &people[*b]);
        (a.repeats.cmp(&b.repeats))
            .then(a.age_weeks.total_cmp(&b.age_weeks))
            .then(a.recency_weeks.total_cmp(&b.recency_weeks))
    });
    order
}

fn same_future(a: &Summary, b: &Summary) -> bool {
    a.repeats == b.repeats && a.age_weeks.to_bits() == b.age_weeks.to_bits()
}

/// What a person does who is still a customer, as each member sees it: it depends on (x, T) alone.
struct Outlook {
    /// By member of the method.
    views: Vec<View>,
    /// The own rate, per horizon: expected orders, and the running sums of the chances of 0, 1, 2, …
    rate: Vec<(f64, Vec<f64>)>,
    rate_share: f64,
    next_order: NextOrder,
}

struct View {
    member: usize,
    weight: f64,
    odds: Odds,
    /// Per horizon.
    orders: Vec<f64>,
    discounted: f64,
    /// Per point: P(alive), and per horizon the running sums of the chances of 0, 1, 2, …
    points: Vec<(Odds, Vec<Vec<f64>>)>,
}

fn running(mut chances: Vec<f64>) -> Vec<f64> {
    let mut sum = 0.0;
    for chance in &mut chances {
        sum = f64::min(sum + *chance, 1.0);
        *chance = sum;
    }
    chances
}

/// The running sum at `n`; all after the last.
fn until(sums: &[f64], n: usize) -> f64 {
    sums.get(n).copied().unwrap_or(1.0)
}

impl Chosen {
    /// A given method, fitted with the prior to the summaries of a site; for totals it is taken to be as far off as on
    /// the CDNOW sample.
    pub fn with(method: Method, summaries: &[Summary]) -> Chosen {
        let grouped = Grouped::new(summaries);
        Chosen {
            method,
            basis: Basis::Default,
            members: MEMBERS.map(|kind| fit_grouped(kind, &grouped, Prior::Published)),
            behaviour: None,
            spend: fit_spend(summaries, Prior::Published),
            annual_discount: ANNUAL_DISCOUNT,
            level_error: DEFAULT_LEVEL_ERROR,
            trials: Vec::new(),
        }
    }

    /// What this person is expected to do within [`HORIZON_DAYS`].
    ///
    /// For many people [`Chosen::score_all`] is much faster.
    pub fn score(&self, summary: &Summary) -> Prediction {
        let summary = summary.sound();
        self.prediction(&self.outlook(&summary, &HORIZON_DAYS), &summary)
    }

    /// What everybody is expected to do, in the same order.
    ///
    /// People with the same (x, T) share all but P(alive), and those with the same t_x too share everything but spend, so
    /// a million take a few seconds on one core.
    pub fn score_all(&self, people: &[Summary]) -> Vec<Prediction> {
        self.score_by(people, |_| 1.0)
    }

    /// The same with what their visits say: each person's orders and visits, summed up as of the same day.
    pub fn score_all_with_visits(&self, people: &[(Summary, Option<Summary>)]) -> Vec<Prediction> {
        let orders: Vec<Summary> = people.iter().map(|(orders, _)| *orders).collect();
        let factor = |at: usize| match (&self.behaviour, people.get(at)) {
            (Some(behaviour), Some((orders, visits))) => behaviour.factor(orders, visits.as_ref()),
            (None, _) | (_, None) => 1.0,
        };
        self.score_by(&orders, factor)
    }

    fn score_by(&self, people: &[Summary], factor: impl Fn(usize) -> f64) -> Vec<Prediction> {
        let people: Vec<Summary> = people.iter().map(Summary::sound).collect();
        let order = in_order(&people);
        let mut predictions: Vec<Option<Prediction>> = vec![None; people.len()];
        for same in order.chunk_by(|a, b| same_future(&people[*a], &people[*b])) {
            let Some(outlook) = same.first().map(|first| self.outlook(&people[*first], &HORIZON_DAYS)) else {
                continue;
            };
            for twins in same.chunk_by(|a, b| people[*a].recency_weeks == people[*b].recency_weeks) {
                let Some(shared) = twins.first().map(|first| self.prediction(&outlook, &people[*first])) else {
                    continue;
                };
                let alive = self.behaviour.and(twins.first()).map(|first| Mixture::of(&outlook, &people[*first]));
                for at in twins {
                    let factor = factor(*at);
                    let own = alive.as_ref().map_or(shared, |alive| corrected(shared, &outlook, alive, factor));
                    predictions[*at] = Some(self.priced(own, &people[*at]));
                }
            }
        }
        predictions.into_iter().flatten().collect()
    }

    /// The orders expected of everybody, in the same order, by the method without what visits say.
    pub(super) fn expected_orders(&self, people: &[Summary], days: f64) -> Vec<f64> {
        let by_members = |summary: &Summary| {
            let members = self.members.iter().zip(self.method.weights()).filter(|(_, weight)| *weight > 0.0);
            members.map(|(fitted, weight)| weight * fitted.expected_orders(summary, days)).sum::<f64>()
        };
        let by_rate = |summary: &Summary| own_rate(summary).map_or(0.0, |rate| rate.expected_orders(fit::weeks(days)));
        people.iter().map(|summary| by_members(summary) + self.method.rate_share * by_rate(summary)).collect()
    }

    /// For everybody, in the same order: the means of some gains of the number of orders within a horizon.
    ///
    /// `gains` says what 0, 1, 2, … orders are worth after so many repeats, at least so many of them; of 0 orders it is
    /// nothing, of more than it says as much as of the last. People with the same (x, T) share all but P(alive).
    pub(super) fn mean_gains<const N: usize>(
        &self,
        people: &[Summary],
        days: u32,
        gains: impl Fn(u32, usize) -> Vec<[f64; N]>,
    ) -> Vec<[f64; N]> {
        let people: Vec<Summary> = people.iter().map(Summary::sound).collect();
        let weeks = fit::weeks(f64::from(days));
        let mut means = vec![[0.0; N]; people.len()];
        for same in in_order(&people).chunk_by(|a, b| same_future(&people[*a], &people[*b])) {
            let Some(first) = same.first().map(|first| people[*first]) else { continue };
            let mean = |chances: &[f64]| {
                let gains = gains(first.repeats, chances.len());
                let mut rest = 1.0;
                let mut mean = [0.0; N];
                for (chance, gain) in chances.iter().zip(&gains) {
                    rest -= chance;
                    (0..N).for_each(|i| mean[i] += chance * gain[i]);
                }
                let last = gains.last().copied().unwrap_or([0.0; N]);
                (0..N).for_each(|i| mean[i] += f64::max(rest, 0.0) * last[i]);
                mean
            };
            let own = own_rate(&first).map_or([0.0; N], |rate| mean(&rate.counts(weeks, TAIL)));
            let mut points: Vec<(f64, Odds, [f64; N])> = Vec::new();
            for (fitted, weight) in self.members.iter().zip(self.method.weights()).filter(|(_, weight)| *weight > 0.0) {
                let weight = weight / fitted.points().len().max(1) as f64;
                points.extend(fitted.points().iter().map(|params| {
                    let mean = mean(&fitted.alive(params, &first).counts(weeks, TAIL));
                    (weight, fitted.odds(params, &first), mean)
                }));
            }
            for twins in same.chunk_by(|a, b| people[*a].recency_weeks == people[*b].recency_weeks) {
                let Some(recency_weeks) = twins.first().map(|first| people[*first].recency_weeks) else { continue };
                let mut shared = own.map(|own| self.method.rate_share * own);
                for (weight, odds, mean) in &points {
                    let weight = weight * odds.p_alive(recency_weeks);
                    (0..N).for_each(|i| shared[i] += weight * mean[i]);
                }
                for at in twins {
                    means[*at] = shared;
                }
            }
        }
        means
    }

    /// Expected orders and their interval within any horizon.
    pub fn ahead(&self, summary: &Summary, days: u32) -> Ahead {
        let summary = summary.sound();
        let outlook = self.outlook(&summary, &[days]);
        let mut ahead = Mixture::of(&outlook, &summary).ahead(&outlook, 0, days, 1.0);
        ahead.spend = ahead.orders * self.spend.expected(&summary);
        ahead
    }

    /// How many orders within a horizon are how probable, the uncertainty of parameters included.
    pub fn counts(&self, summary: &Summary, days: u32) -> Counts {
        let mut counts = Counts::default();
        for (fitted, weight) in self.members.iter().zip(self.method.weights()) {
            if weight > 0.0 {
                counts.add(weight, &fitted.counts(summary, f64::from(days)).0);
            }
        }
        let rate = own_rate(summary).map_or(vec![1.0], |rate| rate.counts(fit::weeks(f64::from(days)), fit::EXACT));
        counts.add(self.method.rate_share, &rate);
        counts
    }

    /// The probability of still being a customer, by those members that can tell; by MBG/NBD where none can.
    pub fn p_alive(&self, summary: &Summary) -> f64 {
        let [_, mbg, pareto] = self.method.members;
        let [_, by_mbg, by_pareto] = &self.members;
        match (mbg, pareto) {
            (true, true) => (by_mbg.p_alive(summary) + by_pareto.p_alive(summary)) / 2.0,
            (false, true) => by_pareto.p_alive(summary),
            (_, false) => by_mbg.p_alive(summary),
        }
    }

    /// Orders of all these people together within a horizon.
    ///
    /// The interval has three parts: chance in each person, the parameters' uncertainty, which is the same for all, and
    /// how far off totals were in the trials (seasons, campaigns: things that no history of one person tells). The sum is
    /// taken as normal.
    pub fn total(&self, people: &[Summary], days: u32) -> Total {
        let people: Vec<Summary> = people.iter().map(Summary::sound).collect();
        let order = in_order(&people);
        let weights = self.method.weights();
        let weeks = fit::weeks(f64::from(days));
        // Moments of sums: of the own rates, and of each point of each member.
        let mut rate = (0.0, 0.0);
        let mut orders = 0.0;
        let mut worlds: Vec<(f64, Vec<(f64, f64)>)> = weights
            .iter()
            .zip(&self.members)
            .map(|(weight, fitted)| (*weight, vec![(0.0, 0.0); fitted.points().len()]))
            .collect();
        for same in order.chunk_by(|a, b| same_future(&people[*a], &people[*b])) {
            let Some(first) = same.first().map(|first| people[*first]) else { continue };
            let own = own_rate(&first).map_or((0.0, 0.0), |rate| moments(&rate.counts(weeks, TAIL)));
            let count = same.len() as f64;
            rate = (rate.0 + count * own.0, rate.1 + count * (own.1 - own.0 * own.0));
            orders += self.method.rate_share * count * own.0;
            for ((fitted, weight), (_, sums)) in self.members.iter().zip(weights).zip(&mut worlds) {
                if weight == 0.0 {
                    continue;
                }
                let expected = fitted.alive(&fitted.params, &first).expected_orders(weeks);
                let odds = fitted.odds(&fitted.params, &first);
                let twins = || same.chunk_by(|a, b| people[*a].recency_weeks == people[*b].recency_weeks);
                let alive_now = |odds: &Odds, twins: &[usize]| odds.p_alive(people[twins[0]].recency_weeks);
                orders += weight * expected * twins().map(|t| t.len() as f64 * alive_now(&odds, t)).sum::<f64>();
                for (params, sums) in fitted.points().iter().zip(sums) {
                    let alive = moments(&fitted.alive(params, &first).counts(weeks, TAIL));
                    let odds = fitted.odds(params, &first);
                    for twins in twins() {
                        let (count, p_alive) = (twins.len() as f64, alive_now(&odds, twins));
                        let mean = p_alive * alive.0;
                        *sums = (sums.0 + count * mean, sums.1 + count * (p_alive * alive.1 - mean * mean));
                    }
                }
            }
        }
        let share = self.method.rate_share;
        let (mut mean, mut square, mut variance) = (0.0, 0.0, 0.0);
        for (weight, sums) in &worlds {
            for (m, v) in sums {
                let weight = weight / (1.0 - share).max(1e-9) / sums.len() as f64;
                let m = (1.0 - share) * m + share * rate.0;
                mean += weight * m;
                square += weight * m * m;
                variance += weight * ((1.0 - share) * v + share * rate.1);
            }
        }
        let level = (self.level_error * orders).powi(2);
        let sd = (variance + (square - mean * mean).max(0.0) + level).sqrt();
        // The 90 % quantile of the normal distribution.
        let reach = 1.281_551_565_544_6 * sd;
        Total { orders, low: (orders - reach).max(0.0), high: orders + reach }
    }

    fn outlook(&self, sound: &Summary, horizons: &[u32]) -> Outlook {
        let in_weeks = |days: &u32| fit::weeks(f64::from(*days));
        let discount = fit::weekly(self.annual_discount);
        let mut views = Vec::new();
        let mut futures = Vec::new();
        for (member, (fitted, weight)) in self.members.iter().zip(self.method.weights()).enumerate() {
            if weight == 0.0 {
                continue;
            }
            let alive = fitted.alive(&fitted.params, sound);
            let of_point = |params: &[f64; 4]| {
                let alive = fitted.alive(params, sound);
                let counts = horizons.iter().map(|days| running(alive.counts(in_weeks(days), TAIL))).collect();
                (fitted.odds(params, sound), counts)
            };
            views.push(View {
                member,
                weight,
                odds: fitted.odds(&fitted.params, sound),
                orders: horizons.iter().map(|days| alive.expected_orders(in_weeks(days))).collect(),
                discounted: alive.discounted_orders(discount),
                points: fitted.points().iter().map(of_point).collect(),
            });
            futures.push(alive);
        }
        let rate = own_rate(sound);
        let of_rate = |days: &u32| match rate {
            Some(rate) => (rate.expected_orders(in_weeks(days)), running(rate.counts(in_weeks(days), TAIL))),
            None => (0.0, vec![1.0]),
        };
        Outlook {
            views,
            rate: horizons.iter().map(of_rate).collect(),
            rate_share: self.method.rate_share,
            next_order: next_order(&futures),
        }
    }

    fn prediction(&self, outlook: &Outlook, sound: &Summary) -> Prediction {
        let alive = Mixture::of(outlook, sound);
        let discounted: f64 =
            outlook.views.iter().zip(&alive.views).map(|(view, (share, _))| share * view.discounted).sum();
        let ahead = [0, 1, 2].map(|h| alive.ahead(outlook, h, HORIZON_DAYS[h], 1.0));
        let next_order = outlook.next_order;
        let p_alive = self.p_alive_of(outlook, sound);
        let lifetime_value = discounted / (1.0 - outlook.rate_share).max(1e-9);
        self.priced(Prediction { p_alive, ahead, next_order, order_value: 1.0, lifetime_value }, sound)
    }

    fn p_alive_of(&self, outlook: &Outlook, sound: &Summary) -> f64 {
        let can_tell = outlook.views.iter().filter(|view| MEMBERS[view.member] != Kind::BgNbd);
        let (count, sum) =
            can_tell.fold((0.0, 0.0), |(count, sum), view| (count + 1.0, sum + view.odds.p_alive(sound.recency_weeks)));
        if count > 0.0 { sum / count } else { self.p_alive(sound) }
    }

    /// The prediction with this person's values in place of those of whom it was made for.
    fn priced(&self, mut prediction: Prediction, summary: &Summary) -> Prediction {
        let value = self.spend.expected(summary);
        if prediction.order_value > 0.0 {
            prediction.lifetime_value *= value / prediction.order_value;
        }
        prediction.order_value = value;
        for ahead in &mut prediction.ahead {
            ahead.spend = ahead.orders * value;
        }
        prediction
    }
}

/// A prediction with the orders expected within [`BEHAVIOUR_DAYS`] multiplied; those after them stay.
fn corrected(prediction: Prediction, outlook: &Outlook, alive: &Mixture, factor: f64) -> Prediction {
    let early = prediction.ahead[1].orders;
    let ahead = [0, 1, 2].map(|h| {
        let all = prediction.ahead[h].orders;
        let factor = if HORIZON_DAYS[h] > BEHAVIOUR_DAYS { until_later(factor, early, all) } else { factor };
        alive.ahead(outlook, h, HORIZON_DAYS[h], factor)
    });
    let more = (factor - 1.0) * early * prediction.order_value;
    Prediction { ahead, lifetime_value: (prediction.lifetime_value + more).max(0.0), ..prediction }
}

// The horizon whose orders visits correct.
const _: () = assert!(HORIZON_DAYS[1] == BEHAVIOUR_DAYS);

/// An outlook for one person: each view with how probable it is that they are still a customer.
struct Mixture {
    /// Per view: its weight times P(alive), and per point the weight and P(alive).
    views: Vec<(f64, Vec<(f64, f64)>)>,
}

impl Mixture {
    fn of(outlook: &Outlook, sound: &Summary) -> Mixture {
        let views = outlook.views.iter().map(|view| {
            let weight = view.weight / view.points.len().max(1) as f64;
            let points = view.points.iter().map(|(odds, _)| (weight, odds.p_alive(sound.recency_weeks))).collect();
            (view.weight * view.odds.p_alive(sound.recency_weeks), points)
        });
        Mixture { views: views.collect() }
    }

    /// `factor` multiplies the orders, as if time went by so many times as fast: see [`trial`].
    fn ahead(&self, outlook: &Outlook, horizon: usize, days: u32, factor: f64) -> Ahead {
        let (rate_orders, rate) = &outlook.rate[horizon];
        let own = outlook.rate_share * rate_orders;
        let orders =
            outlook.views.iter().zip(&self.views).map(|(view, (share, _))| share * view.orders[horizon]).sum::<f64>();
        let at_most = |n: usize| -> f64 {
            let mut sum = outlook.rate_share * until(rate, n);
            for (view, (_, points)) in outlook.views.iter().zip(&self.views) {
                for ((weight, p_alive), (_, counts)) in points.iter().zip(&view.points) {
                    sum += weight * (1.0 - p_alive + p_alive * until(&counts[horizon], n));
                }
            }
            if factor == 1.0 { sum } else { sum.powf(factor) }
        };
        let of_views = outlook.views.iter().flat_map(|view| &view.points).map(|(_, counts)| counts[horizon].len());
        let longest = of_views.chain([rate.len()]).max().unwrap_or(0);
        let quantile = |share: f64| {
            // Doubling, then halving: for most people the answer is 0 or 1.
            let (mut low, mut high) = (0, 1);
            // What is rounded away must not send the search to the far end.
            let reached = |n: usize| n >= longest || at_most(n) >= share - 1e-9;
            if reached(0) {
                return 0;
            }
            while !reached(high) {
                (low, high) = (high, 2 * high);
            }
            while high - low > 1 {
                let middle = low.midpoint(high);
                if reached(middle) { high = middle } else { low = middle }
            }
            u32::try_from(high).unwrap_or(u32::MAX)
        };
        let (low, high) = (quantile((1.0 - INTERVAL) / 2.0), quantile((1.0 + INTERVAL) / 2.0));
        Ahead {
            days,
            orders: factor * (own + orders),
            low,
            high,
            p_any: (1.0 - at_most(0)).clamp(0.0, 1.0),
            spend: 0.0,
        }
    }
}

fn moments(chances: &[f64]) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    for (chance, n) in chances.iter().zip(0_u32..) {
        let n = f64::from(n);
        sums = (sums.0 + n * chance, sums.1 + n * n * chance);
    }
    sums
}

/// When one, five and nine of ten customers with these futures have ordered again.
fn next_order(futures: &[Alive]) -> NextOrder {
    let ordered = |days: f64| {
        let none: f64 = futures.iter().map(|alive| alive.no_order(fit::weeks(days))).sum();
        1.0 - none / futures.len().max(1) as f64
    };
    let longest = ordered(LONGEST_WAIT_DAYS);
    let day = |share: f64| {
        if futures.is_empty() || longest < share {
            return None;
        }
        // Bisection on the logarithm, to a thousandth.
        let (mut low, mut high) = (1e-3_f64.ln(), LONGEST_WAIT_DAYS.ln());
        while high - low > 1e-3 {
            let middle = (low + high) / 2.0;
            if ordered(middle.exp()) >= share { high = middle } else { low = middle }
        }
        Some(high.exp())
    };
    NextOrder { early_days: day(0.1), median_days: day(0.5), late_days: day(0.9) }
}
