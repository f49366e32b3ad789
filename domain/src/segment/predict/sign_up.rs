//! Whether a visitor will sign up: at their first visit more often than at their tenth, if not before.
//!
//! Everybody has a chance p of their own to sign up at a visit, p ~ Beta(a, b). Those with a high one are gone soon, so
//! among those who have not signed up by their k-th visit the chance at that visit is a / (a + b + k − 1): the hazard of
//! the shifted beta-geometric distribution (Fader & Hardie 2007, "How to project customer retention", Journal of
//! Interactive Marketing 21(1)). Each visit's own share is drawn towards it as by [`STRENGTH`] visitors more, so
//! a site with many visitors keeps what is special about, say, the third visit, and one with few has a smooth curve.

use super::Counts;
use super::optimise::minimise;
use serde::{Deserialize, Serialize};

/// So many visitors weighs the curve at each visit.
pub const STRENGTH: f64 = 50.0;

/// Visits after this one are taken together: so few come so often that a number of their own would be noise.
pub const MOST_VISITS: usize = 100;

/// ln a, ln b before any data: two visitors in a hundred sign up at a visit; one standard deviation is a factor of 4.5.
const CENTRE: [f64; 2] = [0.5, 24.5];
const SPREAD: f64 = 1.5;

/// How probable signing up is at each visit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignUps {
    /// The parameters of the curve.
    pub a: f64,
    /// See `a`.
    pub b: f64,
    /// For visits 1, 2, …: the share of those not signed up before who do at this one.
    by_visit: Vec<f64>,
}

impl SignUps {
    /// From how many visitors signed up at their 1st, 2nd, … visit, and how many had that visit without ever having
    /// signed up until its end.
    ///
    /// ```
    /// use domain::segment::predict::SignUps;
    /// let signups = SignUps::fit(&[(30, 970), (6, 294), (2, 98)]);
    /// assert!((signups.at_visit(1) - 0.03).abs() < 0.002);
    /// ```
    pub fn fit(visits: &[(u64, u64)]) -> SignUps {
        let mut counted: Vec<(f64, f64)> = Vec::new();
        for (visit, (signed, not)) in visits.iter().enumerate() {
            let (signed, not) = (*signed as f64, *not as f64);
            if visit < MOST_VISITS {
                counted.push((signed, not));
            } else if let Some(last) = counted.last_mut() {
                *last = (last.0 + signed, last.1 + not);
            }
        }
        let people: f64 = counted.iter().map(|(signed, not)| signed + not).sum::<f64>().max(1.0);
        let centre = CENTRE.map(f64::ln);
        let found = minimise(centre, |ln| {
            let [a, b] = ln.map(f64::exp);
            let prior: f64 = (0..2).map(|i| ((ln[i] - centre[i]) / SPREAD).powi(2) / 2.0).sum();
            let mut sum = prior;
            for (visit, (signed, not)) in counted.iter().enumerate() {
                let of = a + b + visit as f64;
                sum -= signed * (a / of).ln() + not * ((of - a) / of).ln();
            }
            sum / people
        });
        let [a, b] = found.at.map(f64::exp);
        let by_visit = counted
            .iter()
            .enumerate()
            .map(|(visit, (signed, not))| {
                let curve = a / (a + b + visit as f64);
                (signed + STRENGTH * curve) / (signed + not + STRENGTH)
            })
            .collect();
        SignUps { a, b, by_visit }
    }

    /// The probability of signing up at the k-th visit (from 1), for somebody who has not before.
    pub fn at_visit(&self, visit: u32) -> f64 {
        let before = visit.saturating_sub(1);
        let own = self.by_visit.get(before as usize).copied();
        own.unwrap_or_else(|| self.a / (self.a + self.b + f64::from(before)))
    }

    /// The probability of signing up within so many visits more, for somebody with `visits` and no sign-up.
    pub fn within(&self, visits: u32, more: u32) -> f64 {
        1.0 - self.stays_out(visits).take(more as usize).last().unwrap_or(1.0)
    }

    /// The same over a time in which the number of visits is uncertain: `more` is from a model fitted on visit days.
    pub fn over(&self, visits: u32, more: &Counts) -> f64 {
        let stays_out = std::iter::once(1.0).chain(self.stays_out(visits));
        more.0.iter().zip(stays_out).map(|(chance, out)| chance * (1.0 - out)).sum::<f64>().clamp(0.0, 1.0)
    }

    /// The probability of still not having signed up after 1, 2, … visits more.
    fn stays_out(&self, visits: u32) -> impl Iterator<Item = f64> {
        (1_u32..).scan(1.0, move |out, more| {
            *out *= 1.0 - self.at_visit(visits.saturating_add(more));
            Some(*out)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_share_is_found_again() {
        // Beta(1, 30) of a hundred thousand visitors, everybody with 10 visits.
        let mut waiting = 100_000.0;
        let visits: Vec<(u64, u64)> = (0..10)
            .map(|visit| {
                let signed = waiting / (31.0 + f64::from(visit));
                waiting -= signed;
                (signed.round() as u64, waiting.round() as u64)
            })
            .collect();
        let signups = SignUps::fit(&visits);
        assert!((signups.a - 1.0).abs() < 0.05 && (signups.b - 30.0).abs() < 1.5, "{signups:?}");
        assert!((signups.at_visit(1) - 1.0 / 31.0).abs() < 1e-4);
        assert!(signups.at_visit(1) > signups.at_visit(10) && signups.at_visit(10) > signups.at_visit(50));
        // Within 10 visits: what is no longer waiting.
        assert!((signups.within(0, 10) - (1.0 - waiting / 100_000.0)).abs() < 1e-4);
    }

    #[test]
    fn a_visit_of_its_own_kind_is_kept_where_many_come_and_smoothed_where_few_do() {
        let many = SignUps::fit(&[(100, 9_900), (100, 9_700), (900, 8_000)]);
        assert!((many.at_visit(3) - 900.0 / 8_900.0).abs() < 0.002);
        let few = SignUps::fit(&[(0, 10), (0, 5), (1, 2)]);
        assert!(few.at_visit(3) < 0.08, "{few:?}");
    }

    #[test]
    fn probabilities_stay_probabilities_for_any_input() {
        for visits in [&[][..], &[(0, 0)], &[(0, 1_000_000)], &[(1_000_000, 0)], &[(u64::MAX, u64::MAX)]] {
            let signups = SignUps::fit(visits);
            for visit in [0, 1, 2, 500, u32::MAX] {
                assert!((0.0..=1.0).contains(&signups.at_visit(visit)), "{visits:?} {visit} {signups:?}");
                assert!((0.0..=1.0).contains(&signups.within(visit, 20)));
            }
            assert!((0.0..=1.0).contains(&signups.over(3, &Counts(vec![0.5, 0.3, 0.2]))));
            assert!(signups.within(0, 0) == 0.0 && signups.within(0, 5) <= signups.within(0, 6));
        }
    }
}
