//! Probabilities of a return and of signing up, where the truth is known: people simulated from the models.

mod draws;

use domain::segment::predict::{AHEAD_DAYS, SEEN_DAYS, VisitorPrediction, Visitors};
use draws::Draws;

/// The last day that is known.
const TODAY: i32 = 1_000;

/// How far off a tenth may be beside chance.
const DAYS_ARE_NO_MOMENTS: f64 = 0.02;
/// The same where people of before are another mixture than those who are new. It showed 0.04 to 0.06 too much of those
/// who came back to three of ten to six of ten.
const OTHER_PEOPLE: f64 = 0.06;

/// How people come and sign up.
struct Site {
    /// Visits per week while somebody comes: gamma.
    visits: [f64; 2],
    /// Leaving, per week: gamma.
    leaving: [f64; 2],
    /// Signing up at a visit day: beta.
    sign_up: [f64; 2],
    /// People come for the first time in so many days until today.
    days: f64,
}

const SITE: Site = Site { visits: [0.8, 1.6], leaving: [0.6, 6.0], sign_up: [0.7, 12.0], days: 300.0 };

/// A person's visit days to the end of what is predicted, and the day on which they sign up.
fn person(draws: &mut Draws, site: &Site) -> (Vec<i32>, Option<i32>) {
    let rate = draws.gamma(site.visits[0], site.visits[1]) / 7.0;
    let leaves = draws.gamma(site.leaving[0], site.leaving[1]) / 7.0;
    // A beta number is a share of two gamma ones.
    let (yes, no) = (draws.gamma(site.sign_up[0], 1.0), draws.gamma(site.sign_up[1], 1.0));
    let p = yes / (yes + no);
    let mut at = f64::from(TODAY + 1) - draws.uniform() * site.days;
    let leaves_at = at + draws.exponential(leaves);
    let mut days: Vec<i32> = Vec::new();
    while at < leaves_at.min(f64::from(TODAY + 1) + f64::from(AHEAD_DAYS)) {
        days.push(at.floor() as i32);
        at += draws.exponential(rate);
    }
    days.dedup();
    let signed_up = days.iter().find(|_| draws.uniform() < p).copied();
    (days, signed_up)
}

/// Predictions beside what then happened: came back, signed up.
fn simulate(seed: u64, site: &Site, people: usize) -> Vec<(VisitorPrediction, bool, bool)> {
    let mut draws = Draws::of(seed);
    let mut visitors = Visitors::new(TODAY, seed);
    let mut happened = Vec::new();
    while happened.len() < people {
        let (days, signed_up) = person(&mut draws, site);
        // What comes after today is there to be seen, and must not be looked at.
        if visitors.add(&days, signed_up) {
            let ahead = TODAY + 1..=TODAY + AHEAD_DAYS as i32;
            let returned = days.iter().any(|day| ahead.contains(day));
            happened.push((returned, signed_up.is_some_and(|day| ahead.contains(&day))));
        }
    }
    let predictions = visitors.score(&visitors.fit());
    predictions.into_iter().zip(happened).map(|(prediction, (came, signed))| (prediction, came, signed)).collect()
}

/// By tenth of people, those with the lowest probabilities first: the mean probability, the share of whom it came true.
fn reliability(of: &[(f64, bool)]) -> Vec<(f64, f64, usize)> {
    let mut of = of.to_vec();
    of.sort_by(|one, other| one.0.total_cmp(&other.0));
    let tenth = of.len().div_ceil(10);
    let mean = |part: &[(f64, bool)], of: fn(&(f64, bool)) -> f64| part.iter().map(of).sum::<f64>() / part.len() as f64;
    of.chunks(tenth).map(|part| (mean(part, |x| x.0), mean(part, |x| f64::from(x.1)), part.len())).collect()
}

/// Mean squared error of probabilities (Brier 1950), and that of saying the mean share of everybody.
fn brier(of: &[(f64, bool)]) -> (f64, f64) {
    let people = of.len() as f64;
    let share = of.iter().filter(|(_, came)| *came).count() as f64 / people;
    (of.iter().map(|(p, came)| (p - f64::from(*came)).powi(2)).sum::<f64>() / people, share * (1.0 - share))
}

#[track_caller]
fn is_calibrated(of: &[(f64, bool)], beside_chance: f64) {
    for (said, came, people) in reliability(of) {
        // Three and a half standard errors, and what else there may be.
        let error = 3.5 * (said * (1.0 - said) / people as f64).sqrt() + beside_chance;
        assert!((said - came).abs() < error, "{said} of {people} people, and {came} came: {:#?}", reliability(of));
    }
}

#[test]
fn probabilities_of_return_come_true_in_their_share() {
    for seed in [1, 2, 3] {
        let people = simulate(seed, &SITE, 20_000);
        let returns: Vec<(f64, bool)> =
            people.iter().map(|(prediction, came, _)| (prediction.p_return, *came)).collect();
        is_calibrated(&returns, DAYS_ARE_NO_MOMENTS);
        let (error, of_the_mean) = brier(&returns);
        assert!(error < 0.6 * of_the_mean, "{error} of {of_the_mean}");
    }
}

#[test]
fn probabilities_of_signing_up_come_true_in_their_share() {
    for seed in [1, 2, 3] {
        let people = simulate(seed, &SITE, 20_000);
        let is_to_come =
            |(prediction, _, signed): &(VisitorPrediction, bool, bool)| Some((prediction.p_sign_up?, *signed));
        let sign_ups: Vec<(f64, bool)> = people.iter().filter_map(is_to_come).collect();
        assert!(sign_ups.len() > 5_000 && sign_ups.len() < people.len(), "{}", sign_ups.len());
        is_calibrated(&sign_ups, DAYS_ARE_NO_MOMENTS);
        let (error, of_the_mean) = brier(&sign_ups);
        assert!(error < 0.97 * of_the_mean, "{error} of {of_the_mean}");
    }
}

#[test]
fn a_site_older_than_what_is_looked_at_is_predicted_almost_as_well() {
    // Most people came for the first time before the days that are looked at.
    let old = Site { days: 4.0 * f64::from(SEEN_DAYS), ..SITE };
    let people = simulate(4, &old, 20_000);
    let returns: Vec<(f64, bool)> = people.iter().map(|(prediction, came, _)| (prediction.p_return, *came)).collect();
    is_calibrated(&returns, OTHER_PEOPLE);
    let is_to_come = |(prediction, _, signed): &(VisitorPrediction, bool, bool)| Some((prediction.p_sign_up?, *signed));
    is_calibrated(&people.iter().filter_map(is_to_come).collect::<Vec<_>>(), OTHER_PEOPLE);
}

#[test]
fn few_visitors_have_cautious_probabilities() {
    let (mut said, mut came, mut people) = (0.0, 0.0, 0.0);
    for seed in 10..40 {
        for (prediction, returned, _) in simulate(seed, &SITE, 30) {
            assert!((0.0..=1.0).contains(&prediction.p_return));
            said += prediction.p_return;
            came += f64::from(returned);
            people += 1.0;
        }
    }
    // The prior is a shop's: it expects fewer visits than a site has. Thirty visitors are enough to say no nonsense.
    assert!(((said - came) / people).abs() < 0.1, "{said} of {came}");
}
