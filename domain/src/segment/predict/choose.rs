//! Which method a site gets, and what it says about each person.

mod score;
mod trials;

use super::behaviour::{Attempt, BEHAVIOUR_DAYS, Behaviour, Tried};
use super::family::Kind;
use super::fit::Fitted;
use super::measure::Measures;
use super::spend::Spend;
use super::{PurchaseHistory, Summary};
use serde::{Deserialize, Serialize};
use trials::{Outcome, by_regret, level_error, rank, trial};

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
