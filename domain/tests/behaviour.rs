//! What visits say of orders, where the truth is known: a shop whose visits tell who is still a customer, one whose visits
//! tell nothing, and the CDNOW sample, which has none.

mod draws;

use domain::segment::predict::{Chosen, Measures, Occasion, PurchaseHistory, Summary, choose, choose_with_visits};
use draws::Draws;

const TODAY: i32 = 360;
const AHEAD_DAYS: i32 = 60;

/// What visits have to do with orders.
#[derive(Clone, Copy, PartialEq)]
enum Visits {
    /// People visit while they are customers, and not afterwards.
    WhileCustomers,
    /// People visit whether they are customers or not.
    Whatever,
}

fn history(days: Vec<i32>) -> PurchaseHistory {
    PurchaseHistory::new(days.into_iter().map(|day| Occasion { day, spend: 20.0 }))
}

/// People of a shop, by Pareto/NBD, with orders and visits up to the end of what is predicted. Who orders is there.
fn shop(seed: u64, visits: Visits, people: usize) -> Vec<(PurchaseHistory, PurchaseHistory)> {
    let mut draws = Draws::of(seed);
    let end = f64::from(TODAY + AHEAD_DAYS);
    (0..people)
        .map(|_| {
            let rate = draws.gamma(1.0, 60.0);
            let leaves = draws.gamma(0.8, 100.0);
            let visit_rate = draws.gamma(2.0, 30.0);
            let first = draws.uniform() * 300.0;
            let leaves_at = first + draws.exponential(leaves);
            let times = |draws: &mut Draws, rate: f64, until: f64| {
                let mut at = first;
                let mut days = Vec::new();
                while at < until.min(end) {
                    days.push(at.floor() as i32);
                    at += draws.exponential(rate);
                }
                days
            };
            let orders = times(&mut draws, rate, leaves_at);
            let until = match visits {
                Visits::WhileCustomers => leaves_at,
                Visits::Whatever => end,
            };
            let mut visited = times(&mut draws, visit_rate, until);
            visited.extend(&orders);
            (history(orders), history(visited))
        })
        .collect()
}

/// How the orders of the next days are predicted without and with visits.
fn ahead(chosen: &Chosen, people: &[(PurchaseHistory, PurchaseHistory)]) -> [Measures; 2] {
    let known: Vec<(Summary, Option<Summary>, f64)> = people
        .iter()
        .filter_map(|(orders, visits)| {
            let count = orders.count_between(TODAY, TODAY + AHEAD_DAYS);
            Some((orders.summary(TODAY)?, visits.summary(TODAY), f64::from(count)))
        })
        .collect();
    let orders: Vec<Summary> = known.iter().map(|(orders, ..)| *orders).collect();
    let both: Vec<(Summary, Option<Summary>)> = known.iter().map(|(orders, visits, _)| (*orders, *visits)).collect();
    let actual: Vec<f64> = known.iter().map(|(.., count)| *count).collect();
    [chosen.score_all(&orders), chosen.score_all_with_visits(&both)].map(|predictions| {
        // Sixty of the ninety days: the order of people and their shares are what matters here.
        let expected: Vec<f64> =
            predictions.iter().map(|prediction| prediction.ahead[1].orders * 60.0 / 90.0).collect();
        Measures::of(&expected, &actual)
    })
}

#[test]
fn visits_that_tell_who_is_still_a_customer_are_listened_to() {
    for seed in 1..=3 {
        let people = shop(seed, Visits::WhileCustomers, 4_000);
        let chosen = choose_with_visits(&people, TODAY, 1);
        assert!(chosen.method.by_visits && chosen.behaviour.is_some(), "{:?}", chosen.trials.first());
        assert!(chosen.method.name().ends_with(", corrected by visits"), "{}", chosen.method.name());
        let [without, with] = ahead(&chosen, &people);
        assert!(with.mae < 0.97 * without.mae, "{with:?} {without:?}");
        assert!(with.spearman > without.spearman + 0.02, "{with:?} {without:?}");
        assert!(with.top_decile > without.top_decile - 0.01, "{with:?} {without:?}");
        // The level stays.
        assert!((with.total_error - without.total_error).abs() < 0.01, "{with:?} {without:?}");
    }
}

#[test]
fn visits_that_tell_nothing_are_left_out() {
    for seed in 1..=6 {
        let people = shop(seed, Visits::Whatever, 4_000);
        let chosen = choose_with_visits(&people, TODAY, 1);
        let tried = chosen.trials.iter().find(|trial| trial.method.by_visits).expect("a trial");
        assert!(!chosen.method.by_visits && chosen.behaviour.is_none(), "{seed}: {tried:?}");
    }
}

#[test]
fn without_visits_nothing_changes() {
    let people: Vec<(PurchaseHistory, PurchaseHistory)> = shop(1, Visits::WhileCustomers, 1_000)
        .into_iter()
        .map(|(orders, _)| (orders, PurchaseHistory::default()))
        .collect();
    let orders: Vec<PurchaseHistory> = people.iter().map(|(orders, _)| orders.clone()).collect();
    let (with, without) = (choose_with_visits(&people, TODAY, 1), choose(&orders, TODAY, 1));
    assert_eq!(with, without);
    let summaries: Vec<Summary> = orders.iter().filter_map(|orders| orders.summary(TODAY)).collect();
    let alone: Vec<(Summary, Option<Summary>)> = summaries.iter().map(|summary| (*summary, None)).collect();
    assert_eq!(with.score_all_with_visits(&alone), without.score_all(&summaries));
}

#[test]
fn visits_that_are_known_for_a_short_time_say_nothing() {
    let people = shop(1, Visits::WhileCustomers, 2_000);
    let lately = |visits: &PurchaseHistory| {
        PurchaseHistory::new(visits.occasions().iter().copied().filter(|visit| visit.day > TODAY - 60))
    };
    let people: Vec<_> = people.into_iter().map(|(orders, visits)| (orders, lately(&visits))).collect();
    let chosen = choose_with_visits(&people, TODAY, 1);
    assert!(chosen.behaviour.is_none() && chosen.trials.iter().all(|trial| !trial.method.by_visits));
}

#[test]
fn corrected_predictions_stay_possible_and_their_parts_agree() {
    let people = shop(1, Visits::WhileCustomers, 4_000);
    let chosen = choose_with_visits(&people, TODAY, 1);
    let behaviour = chosen.behaviour.expect("visits say something");
    let known: Vec<(Summary, Option<Summary>)> =
        people.iter().filter_map(|(orders, visits)| Some((orders.summary(TODAY)?, visits.summary(TODAY)))).collect();
    let orders: Vec<Summary> = known.iter().map(|(orders, _)| *orders).collect();
    let (plain, corrected) = (chosen.score_all(&orders), chosen.score_all_with_visits(&known));
    for (((orders, visits), before), after) in known.iter().zip(&plain).zip(&corrected) {
        let factor = behaviour.factor(orders, visits.as_ref());
        for ahead in &after.ahead {
            assert!((0.0..=1.0).contains(&ahead.p_any) && ahead.low <= ahead.high && ahead.orders >= 0.0, "{after:?}");
            assert!((ahead.spend - ahead.orders * after.order_value).abs() < 1e-6 * (1.0 + ahead.spend), "{after:?}");
        }
        assert!((after.ahead[1].orders - factor * before.ahead[1].orders).abs() < 1e-9, "{after:?}");
        let later =
            |prediction: &domain::segment::predict::Prediction| prediction.ahead[2].orders - prediction.ahead[1].orders;
        assert!((later(after) - later(before)).abs() < 1e-9, "what comes later stays: {after:?} {before:?}");
        assert_eq!((after.p_alive, after.next_order), (before.p_alive, before.next_order));
        assert!(after.lifetime_value >= 0.0);
    }
}
