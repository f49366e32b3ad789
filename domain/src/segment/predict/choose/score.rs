//! What a chosen method says about each person.

use super::super::behaviour::BEHAVIOUR_DAYS;
use super::super::family::{Alive, Kind, Odds};
use super::super::fit::{self, Grouped, Prior, fit_grouped};
use super::super::spend::fit_spend;
use super::super::{Counts, Summary};
use super::trials::{in_order, own_rate, same_future};
use super::{
    ANNUAL_DISCOUNT, Ahead, Basis, Chosen, DEFAULT_LEVEL_ERROR, HORIZON_DAYS, INTERVAL, LONGEST_WAIT_DAYS, MEMBERS,
    Method, NextOrder, Prediction, TAIL, Total, until_later,
};

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
    pub(in crate::segment::predict) fn expected_orders(&self, people: &[Summary], days: f64) -> Vec<f64> {
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
    pub(in crate::segment::predict) fn mean_gains<const N: usize>(
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

    /// `factor` multiplies the orders, as if time went by so many times as fast: see [`super::trials::trial`].
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
