use super::action::{Action, Engagement, KeyFacts, Value, next_action};
use super::flow::{Cause, Direction, FlowError, Side, change};
use super::rate::{self, Interval, NoShare, Share, Test};
use super::traits::{self, Says, TraitCount};
use crate::event::ProfileId;
use crate::segment::lifecycle::{Buyers, Stage, Standing};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn share(with: u64, of: u64) -> Share {
    Share::new(with, of).unwrap()
}

#[track_caller]
fn near(got: f64, expected: f64) {
    assert!((got - expected).abs() <= 1e-9 * expected.abs(), "{got} instead of {expected}");
}

#[test]
fn shares_compare_as_in_hillstroms_mail_test() {
    // Hillstrom (2008), MineThatData e-mail challenge, "Mens E-Mail" against "No E-Mail": visits and conversions, with the
    // figures of an independent computation in Python.
    let visit = (share(3_894, 21_307), share(2_262, 21_306));
    let conversion = (share(267, 21_307), share(122, 21_306));
    let figures = [
        (
            visit,
            0.07658956365153125,
            [0.06995330808373154, 0.08322674127411137],
            22.48604082719282,
            5.685165482802317e-112,
        ),
        (
            conversion,
            0.006805006519615695,
            [0.005014344671481532, 0.008640723396917826],
            7.385114410925771,
            1.5232235005955427e-13,
        ),
    ];
    for ((mail, none), difference, newcombe, z, p) in figures {
        let interval = rate::difference(mail, none);
        near(interval.estimate, difference);
        near(interval.low, newcombe[0]);
        near(interval.high, newcombe[1]);
        near(rate::z_pooled(mail, none), z);
        assert_eq!(rate::p_value(mail, none), (rate::two_sided(rate::z_pooled(mail, none)), Test::Pooled));
        near(rate::p_value(mail, none).0, p);
    }
    near(rate::ratio(visit.0, visit.1).unwrap().estimate, 1.721404616781399);
}

#[test]
fn ratios_have_koopmans_limits() {
    // The paper's example: 36 of 40 against 16 of 80 gives (2.94, 7.15). More digits, and the second line, from
    // statsmodels 0.15, confint_proportions_2indep(compare="ratio", method="score", correction=False).
    for (inside, outside, limits) in [
        (share(36, 40), share(16, 80), [2.9395691922149965, 7.15222343486603]),
        (share(12, 300), share(3, 900), [3.661950067436697, 39.352610637487636]),
    ] {
        let interval = rate::ratio(inside, outside).unwrap();
        near(interval.low, limits[0]);
        near(interval.high, limits[1]);
    }
    let nobody_inside = rate::ratio(share(0, 50), share(7, 200)).unwrap();
    assert_eq!((nobody_inside.low, nobody_inside.estimate), (0.0, 0.0));
    assert!((1.0..5.0).contains(&nobody_inside.high), "{nobody_inside:?}");
    let nobody_outside = rate::ratio(share(9, 60), share(0, 300)).unwrap();
    assert_eq!((nobody_outside.estimate, nobody_outside.high), (f64::INFINITY, f64::INFINITY));
    assert!((5.0..50.0).contains(&nobody_outside.low), "{nobody_outside:?}");
    assert_eq!(rate::ratio(share(0, 50), share(0, 60)), None);
    // All of both: few people outside leave room for a higher ratio, many inside for hardly a lower one.
    let all = rate::ratio(share(527_946, 527_946), share(4, 4)).unwrap();
    assert!(all.low > 0.99999 && all.estimate == 1.0 && (1.5..2.5).contains(&all.high), "{all:?}");
}

#[test]
fn small_counts_are_tested_exactly() {
    // scipy 1.17, scipy.stats.fisher_exact.
    for (inside, outside, p) in [
        (share(3, 40), share(1, 80), 0.10734463276836159),
        (share(0, 50), share(7, 200), 0.35049020841303236),
        (share(9, 60), share(0, 300), 5.842283490218253e-08),
        (share(1, 10), share(9, 1_000_000), 9.999495015364174e-05),
        (share(12, 300), share(3, 900), 1.0734743052705624e-05),
    ] {
        near(rate::p_value(inside, outside).0, p);
        assert_eq!(rate::p_value(inside, outside).1, Test::Exact);
    }
    near(rate::fisher(share(40, 45), share(10, 1_000)), 3.570652438654588e-57);
}

#[test]
fn many_comparisons_are_corrected_as_benjamini_and_hochberg_did() {
    // The fifteen p-values of their paper, §4.1: four are called real at 0.05. Adjusted values: scipy 1.17,
    // scipy.stats.false_discovery_control.
    let p_values = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590,
        1.0,
    ];
    let expected = [
        0.0015,
        0.003,
        0.0095,
        0.035625,
        0.0603,
        0.06385714285714286,
        0.06385714285714286,
        0.0645,
        0.0765,
        0.486,
        0.5811818181818181,
        0.714875,
        0.7532307692307693,
        0.8132142857142857,
        1.0,
    ];
    for (got, expected) in rate::benjamini_hochberg(&p_values).into_iter().zip(expected) {
        near(got, expected);
    }
    assert_eq!(rate::benjamini_hochberg(&[]), Vec::<f64>::new());
}

#[test]
fn two_counts_that_make_no_share_are_refused() {
    assert_eq!(Share::new(0, 0), Err(NoShare { with: 0, of: 0 }));
    assert_eq!(
        Share::new(3, 2).unwrap_err().to_string(),
        "3 of 2 people is no share: at least one person, and no more with the trait than people"
    );
    assert!(serde_json::from_str::<Share>(r#"{"with":3,"of":2}"#).is_err());
    assert_eq!(serde_json::from_str::<Share>(r#"{"with":2,"of":3}"#).unwrap(), share(2, 3));
}

fn counted(dimension: &str, value: &str, inside: Share, outside: Share) -> TraitCount {
    TraitCount { dimension: dimension.to_owned(), value: value.to_owned(), inside, outside }
}

#[test]
fn what_is_special_is_told_the_surest_and_largest_first() {
    let compared = traits::compare(vec![
        counted("source", "organic", share(300, 1_000), share(3_100, 10_000)),
        counted("source", "newsletter", share(420, 1_000), share(1_800, 10_000)),
        counted("source", "paid", share(30, 1_000), share(1_500, 10_000)),
        counted("product", "ring binder", share(6, 1_000), share(4, 10_000)),
        counted("product", "one of a kind", share(2, 1_000), share(0, 10_000)),
        counted("page", "/gift", share(12, 1_000), share(0, 10_000)),
        counted("plan", "team", share(9, 20), share(1_000, 10_000)),
        counted("plan", "none", share(0, 1_000), share(0, 10_000)),
    ]);
    insta::assert_snapshot!(compared.iter().map(traits::Trait::told).collect::<Vec<_>>().join("\n"));
    assert!(compared[..4].iter().all(|tested| tested.q_value <= traits::MAX_FALSE));
    let json = serde_json::to_value(&compared).unwrap();
    assert_eq!(json[0]["says"], "more");
}

#[test]
fn among_a_thousand_traits_that_mean_nothing_none_is_called_special() {
    // Every trait is as common inside as outside but for the swing that chance gives: ± two standard errors, evenly.
    let counts = (0..1_000_u64)
        .map(|at| counted("page", &at.to_string(), share(80 + at * 40 / 999, 1_000), share(1_000, 10_000)));
    assert!(traits::compare(counts.collect()).iter().all(|tested| tested.says == Says::NoDifference));
}

fn people(ids: &[i64]) -> Vec<ProfileId> {
    ids.iter().copied().map(ProfileId).collect()
}

#[test]
fn a_change_in_size_is_taken_apart() {
    let (before, after) = (people(&[1, 2, 3, 4, 5]), people(&[4, 5, 6, 7, 8, 9]));
    let because = |person: ProfileId, direction| match (direction, person.0) {
        (Direction::Entered, 6 | 7) => "second order",
        (Direction::Entered, 8) => "merged",
        (Direction::Entered, _) => "imported",
        (Direction::Left, 1..=3) => "no order for 90 days",
        (Direction::Left, _) => "?",
    };
    let change = change(&before, &after, 2, because).unwrap();
    assert_eq!((change.before, change.after), (5, 6));
    let causes = vec![Cause { cause: "second order", people: 2 }, Cause { cause: "imported", people: 1 }];
    assert_eq!(change.entered, Side { people: 4, causes, other: 1 });
    let causes = vec![Cause { cause: "no order for 90 days", people: 3 }];
    assert_eq!(change.left, Side { people: 3, causes, other: 0 });
    for bad in [[2, 1], [1, 1]] {
        let error = super::flow::change(&people(&bad), &[], 2, |_, _| ()).unwrap_err();
        assert_eq!(error, FlowError::NotSorted(ProfileId(1)));
        assert!(super::flow::change(&[], &people(&bad), 2, |_, _| ()).is_err());
    }
}

fn facts() -> impl Iterator<Item = KeyFacts> {
    let chances = [None, Some(f64::NAN), Some(0.0), Some(0.1), Some(0.5), Some(0.9), Some(1.0)];
    let values = [Value::Low, Value::Middle, Value::High];
    Standing::all().flat_map(move |standing| {
        values.into_iter().flat_map(move |value| {
            [Engagement::Engaged, Engagement::Quiet].into_iter().flat_map(move |engagement| {
                chances.into_iter().map(move |p_alive| KeyFacts { standing, value, engagement, p_alive })
            })
        })
    })
}

#[test]
fn everybody_has_a_next_action_and_every_action_is_somebodys() {
    let mut used = BTreeSet::new();
    for facts in facts() {
        let next = next_action(&facts);
        used.insert(next.action);
        assert!(next.because.ends_with('.') && !next.because.contains("NaN"), "{next:?}");
        // Nobody who is worth most and only late is let go, and nobody who is on time gets an offer.
        if facts.standing.stage == Stage::Active {
            assert!(!matches!(next.action, Action::LetRest | Action::RemindWithOffer | Action::LastOffer), "{next:?}");
        }
        if facts.standing.stage == Stage::AtRisk && facts.value == Value::High {
            assert_ne!(next.action, Action::LetRest);
        }
    }
    assert_eq!(used.len(), 12);
}

#[test]
fn the_next_action_says_why() {
    let told = |buyers, stage, value, engagement, p_alive| {
        let next = next_action(&KeyFacts { standing: Standing { buyers, stage }, value, engagement, p_alive });
        format!("{} {}", next.sentence, next.because)
    };
    let (engaged, quiet) = (Engagement::Engaged, Engagement::Quiet);
    insta::assert_snapshot!(
        [
            told(Buyers::NewSignUps, Stage::Active, Value::Middle, engaged, None),
            told(Buyers::OneTimers, Stage::Active, Value::Middle, quiet, Some(0.6)),
            told(Buyers::Loyals, Stage::Active, Value::High, engaged, Some(0.95)),
            told(Buyers::Loyals, Stage::Active, Value::High, quiet, Some(0.2)),
            told(Buyers::Repeats, Stage::AtRisk, Value::High, quiet, Some(0.4)),
            told(Buyers::Repeats, Stage::AtRisk, Value::Low, engaged, None),
            told(Buyers::Loyals, Stage::Churned, Value::High, quiet, Some(0.1)),
            told(Buyers::OneTimers, Stage::Churned, Value::Low, quiet, None),
        ]
        .join("\n")
    );
}

fn any_share() -> impl Strategy<Value = Share> {
    prop_oneof![1..60_u64, 1..2_000_000_u64, Just(u64::MAX >> 12)]
        .prop_flat_map(|of| (prop_oneof![0..=of, Just(0), Just(of), 0..=of.min(9)], Just(of)))
        .prop_map(|(with, of)| share(with, of))
}

fn holds(interval: Interval) -> bool {
    interval.low <= interval.estimate && interval.estimate <= interval.high
}

fn any_list() -> impl Strategy<Value = Vec<ProfileId>> {
    prop::collection::btree_set(0..200_i64, 0..120).prop_map(|list| list.into_iter().map(ProfileId).collect())
}

proptest! {
    #[test]
    fn intervals_hold_their_estimate(inside in any_share(), outside in any_share()) {
        for interval in [inside.wilson(), outside.wilson()] {
            prop_assert!(holds(interval) && interval.low >= 0.0 && interval.high <= 1.0, "{interval:?}");
        }
        let difference = rate::difference(inside, outside);
        prop_assert!(holds(difference) && difference.low >= -1.0 && difference.high <= 1.0, "{difference:?}");
        if let Some(ratio) = rate::ratio(inside, outside) {
            prop_assert!(holds(ratio) && ratio.low >= 0.0, "{ratio:?}");
        }
    }

    #[test]
    fn it_is_the_same_seen_from_outside(inside in any_share(), outside in any_share()) {
        let (there, back) = (rate::difference(inside, outside), rate::difference(outside, inside));
        prop_assert!((there.low + back.high).abs() < 1e-12 && (there.high + back.low).abs() < 1e-12);
        let (p, test) = rate::p_value(inside, outside);
        let (back, same) = rate::p_value(outside, inside);
        prop_assert!((0.0..=1.0).contains(&p) && test == same);
        prop_assert!((p - back).abs() <= 1e-6 * p.max(back), "{p} {back}");
        if let (Some(there), Some(back)) = (rate::ratio(inside, outside), rate::ratio(outside, inside)) {
            prop_assert!(there.low == 0.0 || (there.low * back.high - 1.0).abs() < 1e-6 || back.high.is_infinite());
        }
    }

    #[test]
    fn corrected_p_values_keep_their_order_and_are_never_smaller(p in prop::collection::vec(0.0..=1.0_f64, 0..60)) {
        let q = rate::benjamini_hochberg(&p);
        for a in 0..p.len() {
            prop_assert!(q[a] >= p[a] && q[a] <= 1.0);
            for b in 0..p.len() {
                prop_assert!(p[a] > p[b] || q[a] <= q[b]);
            }
        }
    }

    #[test]
    fn a_rarer_trait_of_the_segment_is_no_less_surely_rare(of in 30..500_u64, others in 30..500_u64, with in 0..500_u64) {
        let outside = share(with.min(others), others);
        let highs: Vec<_> = (0..=of).map(|inside| rate::difference(share(inside, of), outside).high).collect();
        prop_assert!(highs.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12));
    }

    #[test]
    fn traits_are_all_told_in_whatever_order_they_come(
        shares in prop::collection::vec((any_share(), any_share()), 0..30),
    ) {
        let counts: Vec<_> = shares.iter().enumerate().map(|(at, (i, o))| counted("page", &at.to_string(), *i, *o)).collect();
        let there = traits::compare(counts.clone());
        let back = traits::compare(counts.into_iter().rev().collect());
        prop_assert_eq!(&there, &back);
        prop_assert_eq!(there.len(), shares.len());
        for tested in &there {
            prop_assert!(!tested.told().contains("NaN"));
        }
    }

    #[test]
    fn a_change_adds_up(before in any_list(), after in any_list(), most in 0..4_usize) {
        let change = change(&before, &after, most, |person, _| person.0 % 7).unwrap();
        prop_assert_eq!(change.after + change.left.people, change.before + change.entered.people);
        for side in [&change.entered, &change.left] {
            prop_assert_eq!(side.causes.iter().map(|cause| cause.people).sum::<u64>() + side.other, side.people);
            prop_assert!(side.causes.len() <= most);
        }
        let was: BTreeSet<_> = before.iter().collect();
        let stayed = after.iter().filter(|person| was.contains(person)).count() as u64;
        prop_assert_eq!(stayed + change.entered.people, change.after);
    }
}
