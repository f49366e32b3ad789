//! The special functions that the models need, in log space where they could leave the range of a float.

use std::sync::LazyLock;

/// ln Γ(x) for x > 0.
pub(super) fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// ln B(a, b) for a, b > 0.
pub(super) fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// ln(eᵃ + eᵇ); either may be −∞.
pub(super) fn ln_add_exp(a: f64, b: f64) -> f64 {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// Terms after which a series is given up; those who call say what they do instead.
const MAX_TERMS: u32 = 2_000;

/// Gauss' hypergeometric ₂F₁(a, b; c; z) by its series, for c > 0 and 0 ≤ z < 1; `None` where that is too slow.
///
/// Source: DLMF 15.2.1. Callers bring their case into a form in which it is fast (Euler's transformation, DLMF 15.8.1).
pub(super) fn hyp2f1_series(a: f64, b: f64, c: f64, z: f64) -> Option<f64> {
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 0..MAX_TERMS {
        let k = f64::from(k);
        let ratio = (a + k) * (b + k) / ((c + k) * (k + 1.0)) * z;
        term *= ratio;
        sum += term;
        // What is left is at most a geometric series of this ratio, once the ratio falls.
        if f64::abs(term) <= 1e-16 * f64::abs(sum) * (1.0 - z) && f64::abs(ratio) < 1.0 {
            return sum.is_finite().then_some(sum);
        }
    }
    None
}

/// ₂F₁(1, b; c; z) for 0 < b < c and 0 ≤ z < 1: by its series, near 1 by Gauss' continued fraction.
///
/// The fraction converges by the factor ((1 − √(1−z)) / (1 + √(1−z)))² a step, so that z = 0.999 takes 300 steps where
/// the series would take 30,000. Sources: DLMF 15.2.1, 15.7.5.
pub(super) fn hyp2f1_one(b: f64, c: f64, z: f64) -> f64 {
    if z < 0.6 {
        let (mut term, mut sum) = (1.0, 1.0);
        let mut k = 0.0;
        // 0.6⁸⁰ is below the last bit.
        while k < 80.0 {
            term *= (b + k) / (c + k) * z;
            sum += term;
            if term < 1e-17 * sum {
                break;
            }
            k += 1.0;
        }
        return sum;
    }
    // The modified Lentz method for 1 / (1 − d₁z / (1 − d₂z / …)).
    let (mut value, mut numerators, mut denominators) = (1.0, 1.0, 0.0_f64);
    for step in 1..2 * MAX_TERMS {
        let n = f64::from(step / 2);
        let d = if step % 2 == 1 {
            (b + n) * (c - 1.0 + n) / ((c + 2.0 * n - 1.0) * (c + 2.0 * n))
        } else {
            n * (c - b - 1.0 + n) / ((c + 2.0 * n - 2.0) * (c + 2.0 * n - 1.0))
        };
        denominators = 1.0 / nonzero(1.0 - d * z * denominators);
        numerators = nonzero(1.0 - d * z / numerators);
        let change = numerators * denominators;
        value *= change;
        if f64::abs(change - 1.0) < 1e-15 {
            break;
        }
    }
    1.0 / value
}

fn nonzero(value: f64) -> f64 {
    if f64::abs(value) < 1e-300 { 1e-300 } else { value }
}

/// eᶻ E_s(z) = ∫₀^∞ e^(−zu) (1+u)^(−s) du for s > 0 and z > 0: the scaled exponential integral of real order.
///
/// By its continued fraction (DLMF 8.19.17 in its contracted form); for z below 10⁻³ and s up to 1 within 10⁻³, where
/// a customer's value without end is not a number to rely on anyway.
pub(super) fn scaled_exponential_integral(s: f64, z: f64) -> f64 {
    if z > 1e6 {
        return 1.0 / (z + s);
    }
    let mut b = z + s;
    let mut c = 1e300;
    let mut d = 1.0 / nonzero(b);
    let mut value = d;
    for step in 1..4 * MAX_TERMS {
        let n = f64::from(step);
        let a = -n * (s + n - 1.0);
        b += 2.0;
        d = 1.0 / nonzero(a * d + b);
        c = nonzero(b + a / c);
        let change = c * d;
        value *= change;
        if f64::abs(change - 1.0) < 1e-14 {
            break;
        }
    }
    value
}

/// Nodes in −1..1 and weights of the 20-point Gauss–Legendre rule.
pub(super) static GAUSS_LEGENDRE: LazyLock<[(f64, f64); NODES]> = LazyLock::new(|| {
    let mut rule = [(0.0, 0.0); NODES];
    let n = NODES as f64;
    for (i, slot) in rule.iter_mut().enumerate() {
        // Tricomi's start, then Newton's method on the Legendre polynomial.
        let mut x = f64::cos(std::f64::consts::PI * (i as f64 + 0.75) / (n + 0.5));
        let mut slope = 1.0;
        for _ in 0..8 {
            let (mut before, mut value) = (1.0, x);
            for k in 2..=NODES {
                let k = k as f64;
                (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
            }
            slope = n * (x * value - before) / (x * x - 1.0);
            x -= value / slope;
        }
        *slot = (x, 2.0 / ((1.0 - x * x) * slope * slope));
    }
    rule
});

const NODES: usize = 20;

/// The mean of `f(p)` over p ~ Beta(a, b), for functions that are smooth in ln p.
///
/// The trapezoid rule after p = 1 / (1 + e^(−u)) and u = u₀ + w·sinh(v), which makes both ends fall doubly
/// exponentially (Takahasi & Mori 1974), whatever the exponents.
pub(super) fn mean_over_beta(a: f64, b: f64, f: impl Fn(f64) -> f64) -> f64 {
    // A small exponent stretches its side over thousands of units, and the other side still has to be met.
    let steps = if a.min(b) < 0.1 { 200 } else { 60 };
    let middle = (a / b).ln();
    let width = (1.0 / a + 1.0 / b).sqrt().min(3.0);
    // e^(−40) of the mass is left outside on either side.
    let reach = (40.0 / (a.min(b) * width) + 12.0).asinh();
    let step = reach / f64::from(steps);
    let mass = ln_beta(a, b);
    let (mut sum, mut weights) = (0.0, 0.0);
    for i in -steps..=steps {
        let v = f64::from(i) * step;
        let u = middle + width * v.sinh();
        // ln p and ln (1 − p), exact at both ends.
        let (ln_p, ln_q) = if u > 0.0 {
            (-(-u).exp().ln_1p(), -u - (-u).exp().ln_1p())
        } else {
            (u - u.exp().ln_1p(), -u.exp().ln_1p())
        };
        let weight = (a * ln_p + b * ln_q - mass).exp() * v.cosh();
        if weight > 0.0 {
            weights += weight;
            sum += weight * f(ln_p.exp());
        }
    }
    if weights > 0.0 { sum / weights } else { f(a / (a + b)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, within: f64) {
        assert!((a - b).abs() <= within * b.abs().max(1e-300), "{a} is not {b}");
    }

    #[test]
    fn the_hypergeometric_function_has_its_known_values() {
        // ₂F₁(1, 1; 2; z) = −ln(1−z)/z; ₂F₁(a, b; b; z) = (1−z)^(−a).
        for z in [0.0_f64, 0.1, 0.5, 0.59, 0.61, 0.9, 0.99] {
            let exact = if z == 0.0 { 1.0 } else { -(-z).ln_1p() / z };
            close(hyp2f1_one(1.0, 2.0, z), exact, 1e-13);
            close(hyp2f1_series(0.7, 3.0, 3.0, z.min(0.95)).unwrap(), (1.0 - z.min(0.95)).powf(-0.7), 1e-12);
        }
        close(hyp2f1_one(1.0, 2.0, 0.999_9), -(0.000_1_f64).ln() / 0.999_9, 1e-11);
        // The two ways of computing agree where they meet.
        for (b, c) in [(0.3, 1.2), (5.0, 5.7), (1_000.0, 1_000.6)] {
            close(hyp2f1_one(b, c, 0.600_000_1), hyp2f1_series(1.0, b, c, 0.600_000_1).unwrap(), 1e-13);
            close(hyp2f1_one(b, c, 0.97), hyp2f1_series(1.0, b, c, 0.97).unwrap(), 1e-12);
        }
    }

    #[test]
    fn the_exponential_integral_has_its_known_values() {
        // E₁(1) = 0.219383934395520 (Abramowitz & Stegun table 5.1), E₂(z) = e^(−z) − z E₁(z).
        let e1 = 0.219_383_934_395_520_27_f64;
        close(scaled_exponential_integral(1.0, 1.0), e1 * 1.0_f64.exp(), 1e-12);
        close(scaled_exponential_integral(2.0, 1.0), ((-1.0_f64).exp() - e1) * 1.0_f64.exp(), 1e-12);
        // E₁(0.1) = 1.822923958.
        close(scaled_exponential_integral(1.0, 0.1), 1.822_923_958_4 * 0.1_f64.exp(), 1e-9);
    }

    #[test]
    fn quadratures_are_exact_where_the_answer_is_known() {
        let rule = &*GAUSS_LEGENDRE;
        close(rule.iter().map(|(_, weight)| weight).sum::<f64>(), 2.0, 1e-14);
        close(rule.iter().map(|(x, weight)| weight * x.exp()).sum::<f64>(), 1.0_f64.exp() - (-1.0_f64).exp(), 1e-14);
        for (a, b) in [(0.79, 2.4), (0.01, 5.0), (3.0, 0.02), (200.0, 10_000.0), (1.0, 1.0), (0.05, 0.05)] {
            close(mean_over_beta(a, b, |p| p), a / (a + b), 1e-6);
            close(mean_over_beta(a, b, |p| p * p), a * (a + 1.0) / ((a + b) * (a + b + 1.0)), 1e-6);
        }
    }
}
