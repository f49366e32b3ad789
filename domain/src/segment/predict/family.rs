//! The buy-till-you-die family: likelihoods, who is still a customer, and what those who are will do.
//!
//! All members think of a customer as ordering at random with a rate λ of their own, λ ~ Gamma(r, α), until they
//! silently stop. They differ in when that may be:
//!
//! - BG/NBD: after each repeat order with a probability p, p ~ Beta(a, b); never before the first repeat order.
//! - MBG/NBD: also right after the first order.
//! - Pareto/NBD: at any moment with a rate μ, μ ~ Gamma(s, β).
//! - NBD: never (Ehrenberg 1959). Too hopeful alone; it is there to be blended with.
//!
//! **One form for all.** Given a history (x, t_x, T) and that the person is still a customer, λ and p or μ are again
//! independent and of the same kinds, so the future is that of a *fresh* customer with other parameters
//! ([`Alive`]): r + x, α + T and, by member, (a, b + x), (a, b + x + 1), (s, β + T). Everything asked about the future
//! is P(alive) times the fresh customer's answer, which depends on (x, T) alone. For MBG/NBD the fresh customer is one
//! of the BG/NBD: the chance to stop at the last order has passed.

use super::special::{
    GAUSS_LEGENDRE, hyp2f1_one, hyp2f1_series, ln_add_exp, ln_beta, ln_gamma, mean_over_beta,
    scaled_exponential_integral,
};
use serde::{Deserialize, Serialize};

/// A member of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Fader, Hardie & Lee (2005), "Counting your customers" the easy way, Marketing Science 24(2).
    BgNbd,
    /// Batislam, Denizel & Filiztekin (2007), IJRM 24(3); Hoppe & Wagner (2007), Marketing JRM 3(2) as CBG/NBD.
    MbgNbd,
    /// Schmittlein, Morrison & Colombo (1987), Management Science 33(1).
    ParetoNbd,
    /// Ehrenberg (1959), Applied Statistics 8(1): nobody ever stops.
    Nbd,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::BgNbd, Kind::MbgNbd, Kind::ParetoNbd, Kind::Nbd];

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::BgNbd => "BG/NBD",
            Kind::MbgNbd => "MBG/NBD",
            Kind::ParetoNbd => "Pareto/NBD",
            Kind::Nbd => "NBD",
        }
    }

    /// The name for machines.
    pub fn key(self) -> &'static str {
        match self {
            Kind::BgNbd => "bg_nbd",
            Kind::MbgNbd => "mbg_nbd",
            Kind::ParetoNbd => "pareto_nbd",
            Kind::Nbd => "nbd",
        }
    }

    /// The parameters' names in the order of the papers.
    pub fn parameters(self) -> &'static [&'static str] {
        match self {
            Kind::BgNbd | Kind::MbgNbd => &["r", "alpha", "a", "b"],
            Kind::ParetoNbd => &["r", "alpha", "s", "beta"],
            Kind::Nbd => &["r", "alpha"],
        }
    }
}

/// The part of the likelihood that depends on the number of repeat orders alone, and what the moments need of it.
pub(super) struct ByCount {
    /// ln of the factor before the braces.
    pub(super) factor: f64,
    /// The exponent r + x.
    pub(super) shape: f64,
    /// ln of what weighs having stopped at the last order; −∞ where that cannot be.
    pub(super) stopped: f64,
}

/// What a history's likelihood needs of x; `params` as in [`Kind::parameters`].
pub(super) fn by_count(kind: Kind, params: &[f64; 4], x: f64) -> ByCount {
    let [r, alpha, a, b] = *params;
    let orders = ln_gamma(r + x) - ln_gamma(r) + r * alpha.ln();
    let factor = match kind {
        Kind::BgNbd => orders + ln_beta(a, b + x) - ln_beta(a, b),
        Kind::MbgNbd => orders + ln_beta(a, b + x + 1.0) - ln_beta(a, b),
        // a is s and b is β.
        Kind::ParetoNbd => orders + a * b.ln(),
        Kind::Nbd => orders,
    };
    ByCount { factor, shape: r + x, stopped: ln_stopped_at_last(kind, params, x) }
}

/// ln of s ∫ₜ^∞ (α+τ)^−(r+x) (β+τ)^−(s+1) dτ: having stopped after t without another order; `shape` is r + x.
///
/// Source: the terms of A₀ in Fader & Hardie (2005), "A note on deriving the Pareto/NBD model", after
/// Euler's transformation, whose hypergeometric function ₂F₁(1, ·; ·; z) has positive terms only.
pub(super) fn ln_stopped_after(params: &[f64; 4], shape: f64, t: f64) -> f64 {
    let [_, alpha, s, beta] = *params;
    let sum = shape + s;
    if alpha >= beta {
        let z = ((alpha - beta) / (alpha + t)).min(NEARLY_ONE);
        (s / sum * hyp2f1_one(shape, sum + 1.0, z)).ln() - s * (beta + t).ln() - shape * (alpha + t).ln()
    } else {
        let z = ((beta - alpha) / (beta + t)).min(NEARLY_ONE);
        (s / sum * hyp2f1_one(s + 1.0, sum + 1.0, z)).ln()
            - (shape - 1.0) * (alpha + t).ln()
            - (s + 1.0) * (beta + t).ln()
    }
}

/// Nearer to 1 the continued fraction would take thousands of steps: only for a β of a hundred-thousandth of α.
const NEARLY_ONE: f64 = 1.0 - 1e-5;

/// ln of the term in braces of somebody still a customer at T, (α+T)^−(r+x), for Pareto/NBD with (β+T)^−s.
fn ln_alive(kind: Kind, params: &[f64; 4], shape: f64, age: f64) -> f64 {
    let [_, alpha, s, beta] = *params;
    match kind {
        Kind::BgNbd | Kind::MbgNbd | Kind::Nbd => -shape * (alpha + age).ln(),
        Kind::ParetoNbd => -shape * (alpha + age).ln() - s * (beta + age).ln(),
    }
}

/// What P(alive) depends on apart from the time of the last order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odds {
    kind: Kind,
    params: [f64; 4],
    shape: f64,
    /// ln of what weighs having stopped at the last order.
    stopped: f64,
    /// ln of being a customer at T.
    alive: f64,
    /// ln of stopping after T, for Pareto/NBD.
    later: f64,
}

impl Odds {
    /// Of somebody with x repeat orders in T weeks.
    pub(super) fn of(kind: Kind, params: &[f64; 4], x: f64, age: f64) -> Odds {
        let shape = params[0] + x;
        let later = if kind == Kind::ParetoNbd { ln_stopped_after(params, shape, age) } else { 0.0 };
        let (stopped, alive) = (ln_stopped_at_last(kind, params, x), ln_alive(kind, params, shape, age));
        Odds { kind, params: *params, shape, stopped, alive, later }
    }

    /// The probability that somebody whose last order was t_x weeks after the first is still a customer, in 0..=1.
    ///
    /// Sources: BG/NBD: Fader, Hardie & Lee (2008), "Computing P(alive) using the BG/NBD model", eq. 1. MBG/NBD: the same
    /// with b + x in place of b + x − 1 and for x = 0 too (Hoppe & Wagner 2007). Pareto/NBD: Schmittlein, Morrison &
    /// Colombo (1987), eq. 11–13.
    pub(super) fn p_alive(&self, recency: f64) -> f64 {
        let stopped = self.ln_stopped(recency);
        if stopped == f64::NEG_INFINITY { 1.0 } else { 1.0 / (1.0 + (stopped - self.alive).exp()) }
    }

    /// ln of having stopped between t_x and T.
    fn ln_stopped(&self, recency: f64) -> f64 {
        match self.kind {
            Kind::BgNbd | Kind::MbgNbd => self.stopped - self.shape * (self.params[1] + recency).ln(),
            Kind::ParetoNbd => {
                let since = ln_stopped_after(&self.params, self.shape, recency);
                if self.later < since { since + (-(self.later - since).exp()).ln_1p() } else { f64::NEG_INFINITY }
            }
            Kind::Nbd => f64::NEG_INFINITY,
        }
    }
}

/// ln of what weighs having stopped at the last order; −∞ where that cannot be.
fn ln_stopped_at_last(kind: Kind, params: &[f64; 4], x: f64) -> f64 {
    let [_, _, a, b] = *params;
    match kind {
        Kind::BgNbd if x > 0.0 => (a / (b + x - 1.0)).ln(),
        Kind::MbgNbd => (a / (b + x)).ln(),
        Kind::BgNbd | Kind::ParetoNbd | Kind::Nbd => f64::NEG_INFINITY,
    }
}

/// The log-likelihood of one history: x repeat orders, the last after t_x weeks, seen for T weeks.
///
/// Sources: BG/NBD: Fader, Hardie & Lee (2005), eq. 6. MBG/NBD: Batislam, Denizel & Filiztekin (2007). Pareto/NBD:
/// Fader & Hardie (2005), "A note on deriving the Pareto/NBD model". All are densities of the order *times*,
/// so their values can be compared.
pub(super) fn ln_likelihood(kind: Kind, params: &[f64; 4], x: f64, recency: f64, age: f64) -> f64 {
    let odds = Odds::of(kind, params, x, age);
    by_count(kind, params, x).factor + ln_add_exp(odds.alive, odds.ln_stopped(recency))
}

/// A customer of whom it is known that they are one now: the fresh process that their future is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alive {
    stops: Stops,
    /// Shape and rate (weeks) of λ.
    r: f64,
    alpha: f64,
}

/// How a process ends.
#[derive(Clone, Copy, Debug)]
enum Stops {
    /// After an order with p ~ Beta(a, b).
    AtOrders {
        a: f64,
        b: f64,
    },
    /// With a rate μ ~ Gamma(s, β).
    AtAnyTime {
        s: f64,
        beta: f64,
    },
    Never,
}

/// Counts beyond this are taken as this many: an interval's bound that high says all there is to say.
const MOST_COUNTS: usize = 5_000;

impl Alive {
    /// Somebody with x repeat orders in T weeks who is still a customer.
    pub(super) fn after(kind: Kind, params: &[f64; 4], x: f64, age: f64) -> Alive {
        let [r, alpha, c, d] = *params;
        let stops = match kind {
            Kind::BgNbd => Stops::AtOrders { a: c, b: d + x },
            Kind::MbgNbd => Stops::AtOrders { a: c, b: d + x + 1.0 },
            Kind::ParetoNbd => Stops::AtAnyTime { s: c, beta: d + age },
            Kind::Nbd => Stops::Never,
        };
        Alive { stops, r: r + x, alpha: alpha + age }
    }

    /// Expected orders in the next `weeks`.
    ///
    /// Sources: BG/NBD: Fader, Hardie & Lee (2005), eq. 9 at the updated parameters, which times P(alive) is eq. 10;
    /// MBG/NBD the same. Pareto/NBD: Schmittlein, Morrison & Colombo (1987), eq. 22; at s = 1 its limit.
    pub(super) fn expected_orders(&self, weeks: f64) -> f64 {
        let Alive { r, alpha, .. } = *self;
        match self.stops {
            Stops::Never => r / alpha * weeks,
            Stops::AtAnyTime { s, beta } => {
                let stretch = (weeks / beta).ln_1p();
                let power = s - 1.0;
                // (1 − (β/(β+t))^(s−1)) / (s−1), and its limit at s = 1.
                let lived = if power.abs() * stretch < 1e-12 { stretch } else { -(-power * stretch).exp_m1() / power };
                r / alpha * beta * lived
            }
            Stops::AtOrders { a, b } => {
                let z = weeks / (alpha + weeks);
                if (a - 1.0).abs() > 1e-5
                    && z < 0.99
                    // Euler's transformation of eq. 9: small parameters over a large one, whatever x.
                    && let Some(sum) = hyp2f1_series(a + b - 1.0 - r, a - 1.0, a + b - 1.0, z)
                {
                    let left = ((a - 1.0) * (-z).ln_1p()).exp() * sum;
                    let expected = (a + b - 1.0) / (a - 1.0) * (1.0 - left);
                    if expected.is_finite() && left < 1e6 {
                        return expected.clamp(0.0, r / alpha * weeks);
                    }
                }
                // E[(1 − (1 + p t/α)^(−r)) / p] over p: what eq. 9 is an integral of.
                let of = |p: f64| {
                    if p < 1e-300 { r * weeks / alpha } else { -(-r * (p * weeks / alpha).ln_1p()).exp_m1() / p }
                };
                mean_over_beta(a, b, of)
            }
        }
    }

    /// The probability of no order in the next `weeks`; not 0 in the long run where stopping comes first.
    pub(super) fn no_order(&self, weeks: f64) -> f64 {
        let Alive { r, alpha, .. } = *self;
        let none = -r * (weeks / alpha).ln_1p();
        match self.stops {
            Stops::Never | Stops::AtOrders { .. } => none.exp(),
            Stops::AtAnyTime { s, beta } => {
                // Stopped without an order until then, or a customer without one.
                let params = [r, alpha, s, beta];
                let now = -r * alpha.ln() - s * beta.ln();
                let stopped =
                    (ln_stopped_after(&params, r, 0.0) - now).exp() - (ln_stopped_after(&params, r, weeks) - now).exp();
                (stopped + (none - s * (weeks / beta).ln_1p()).exp()).clamp(0.0, 1.0)
            }
        }
    }

    /// The probabilities of 0, 1, 2, … orders in the next `weeks`, until about `least` is left.
    ///
    /// Sources: BG/NBD: Fader, Hardie & Lee (2005), eq. 8. Pareto/NBD: the integral over the time of stopping from
    /// which Fader & Hardie (2006), "Deriving an expression for P(X(t)=x) under the Pareto/NBD model", start,
    /// by Gauss–Legendre quadrature in the share that has stopped.
    pub(super) fn counts(&self, weeks: f64, least: f64) -> Vec<f64> {
        let Alive { r, alpha, .. } = *self;
        match self.stops {
            Stops::Never => NegativeBinomial::new(r, alpha, weeks, least).collect(),
            Stops::AtOrders { a, b } => {
                let mut counts = Vec::new();
                // Still a customer after n orders; stopped at the n-th.
                let (mut survived, mut stopped, mut left) = (1.0, 0.0, 1.0_f64);
                for (n, chance) in NegativeBinomial::new(r, alpha, weeks, least).enumerate() {
                    // `left` is the chance that the rate alone would have brought n orders or more.
                    counts.push(survived * chance + stopped * left);
                    left = (left - chance).max(0.0);
                    let n = n as f64;
                    stopped = survived * a / (a + b + n);
                    survived *= (b + n) / (a + b + n);
                }
                counts
            }
            Stops::AtAnyTime { s, beta } => {
                let mut counts: Vec<f64> = Vec::new();
                let mut add = |time: f64, weight: f64| {
                    for (n, chance) in NegativeBinomial::new(r, alpha, time, least).enumerate() {
                        match counts.get_mut(n) {
                            Some(count) => *count += weight * chance,
                            None => counts.push(weight * chance),
                        }
                    }
                };
                let survives = (-s * (weeks / beta).ln_1p()).exp();
                add(weeks, survives);
                for (node, weight) in *GAUSS_LEGENDRE {
                    // The share that is still a customer then, and when that is.
                    let still = survives + (1.0 - survives) * (node + 1.0) / 2.0;
                    let time = beta * (-still.ln() / s).exp_m1();
                    add(time.clamp(0.0, weeks), (1.0 - survives) * weight / 2.0);
                }
                counts
            }
        }
    }

    /// Orders still to come, each discounted from its day to now at the continuous rate `discount` per week.
    ///
    /// Source for Pareto/NBD: Fader, Hardie & Lee (2005), "RFM and CLV", Journal of Marketing Research 42, eq. 2 (DERT):
    /// there α^r β^s δ^(s−1) Γ(r+x+1) Ψ(s, s; δ(β+T)) / (Γ(r) (α+T)^(r+x+1) L), which is P(alive) times
    /// (r+x)/(α+T) · (β+T) · eᶻ E_s(z) with z = δ(β+T), since Ψ(s, s; z) = eᶻ E_s(z) z^(1−s). For the others the same
    /// expectation: E over p of r/p · eᶻ E_(r+1)(z) with z = δα/p.
    pub(super) fn discounted_orders(&self, discount: f64) -> f64 {
        let Alive { r, alpha, .. } = *self;
        match self.stops {
            Stops::Never => r / (alpha * discount),
            Stops::AtAnyTime { s, beta } => r / alpha * beta * scaled_exponential_integral(s, discount * beta),
            Stops::AtOrders { a, b } => {
                let of = |p: f64| {
                    let z = discount * alpha / p;
                    // eᶻ E(z) ≈ 1 / (z + r + 1) there, without the difference of great numbers.
                    if z > 1e6 { r / (discount * alpha) } else { r / p * scaled_exponential_integral(r + 1.0, z) }
                };
                mean_over_beta(a, b, of)
            }
        }
    }
}

/// The chances of 0, 1, 2, … events in a time, at a rate λ ~ Gamma(r, α); ends when less than `least` is left.
struct NegativeBinomial {
    r: f64,
    /// t / (α + t)
    share: f64,
    n: usize,
    /// Before this one the chances are too small to be told from 0.
    from: usize,
    chance: f64,
    left: f64,
    least: f64,
}

impl NegativeBinomial {
    fn new(r: f64, alpha: f64, time: f64, least: f64) -> NegativeBinomial {
        let share = time / (alpha + time);
        let none = -r * (time / alpha).ln_1p();
        let (from, chance) = if none > -600.0 {
            (0, none.exp())
        } else {
            // So many orders that the recursion cannot start at 0: it starts far in the lower tail.
            let mean = r * time / alpha;
            let sd = (mean * (1.0 + time / alpha)).sqrt();
            let from = (mean - 9.0 * sd).max(0.0).min(MOST_COUNTS as f64).floor();
            let ln = ln_gamma(r + from) - ln_gamma(r) - ln_gamma(from + 1.0) + none + from * share.ln();
            (from as usize, ln.exp())
        };
        NegativeBinomial { r, share, n: 0, from, chance, left: 1.0, least }
    }
}

impl Iterator for NegativeBinomial {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        if self.left < self.least || self.n > MOST_COUNTS {
            return None;
        }
        let n = self.n;
        self.n += 1;
        if n < self.from {
            return Some(0.0);
        }
        // The last of those that are counted has all that is left.
        let chance = if n == MOST_COUNTS { self.left } else { self.chance.min(self.left) };
        self.left -= chance;
        self.chance *= (self.r + n as f64) / (n as f64 + 1.0) * self.share;
        // Tails so light that they round to nothing end the sum, whatever rounding has left.
        if self.chance < 1e-14 && n as f64 > self.r * self.share / (1.0 - self.share) {
            self.left = 0.0;
        }
        Some(chance)
    }
}
