//! Customers drawn from a fitted model, the same for the same seed.

use domain::segment::predict::{DAYS_PER_WEEK, Summary};

/// A source of numbers that follow from a seed (SplitMix64: Steele, Lea & Flood 2014).
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// Those of a seed.
    pub fn of(seed: u64) -> Draws {
        Draws(seed)
    }

    /// One in 0..1, never 0.
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 + 1e-17
    }

    /// A waiting time at a rate.
    pub fn exponential(&mut self, rate: f64) -> f64 {
        -self.uniform().ln() / rate
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A gamma number (Marsaglia & Tsang 2000).
    pub fn gamma(&mut self, shape: f64, rate: f64) -> f64 {
        if shape < 1.0 {
            let boost = self.uniform().powf(1.0 / shape);
            return self.gamma(shape + 1.0, rate) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.uniform().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v / rate;
            }
        }
    }

    /// A beta number.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.gamma(a, 1.0), self.gamma(b, 1.0));
        x / (x + y)
    }
}

/// A customer of the BG/NBD model who came at some day of the last `days`; orders of one day are one occasion.
pub fn bg_nbd(draws: &mut Draws, params: &[f64; 4], days: f64) -> Summary {
    let [r, alpha, a, b] = *params;
    let age_days = (draws.uniform() * days).floor();
    let (rate, stops) = (draws.gamma(r, alpha) / DAYS_PER_WEEK, draws.beta(a, b));
    let (mut at, mut last, mut repeats) = (0.0, 0.0, 0);
    loop {
        at += draws.exponential(rate);
        if at >= age_days + 1.0 || at.is_nan() {
            break;
        }
        if f64::floor(at) > last {
            (last, repeats) = (at.floor(), repeats + 1);
        }
        if draws.uniform() < stops {
            break;
        }
    }
    Summary {
        repeats,
        recency_weeks: last / DAYS_PER_WEEK,
        age_weeks: age_days / DAYS_PER_WEEK,
        mean_spend: if repeats > 0 { mean_spend(draws, f64::from(repeats)) } else { 0.0 },
        spend_occasions: repeats,
    }
}

/// The mean of x orders of a customer of the Gamma-Gamma model with the published parameters.
fn mean_spend(draws: &mut Draws, x: f64) -> f64 {
    let (p, q, v) = (6.25, 3.74, 15.44);
    let scale = draws.gamma(q, v);
    draws.gamma(p * x, scale) / x
}
