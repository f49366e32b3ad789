use super::refresh::{Movers, Reason, movers, refresh};
use super::*;
use crate::event::ProfileId;
use crate::money::Currency;
use proptest::prelude::*;

fn rfm() -> [Feature; 3] {
    [Feature::RecencyDays, Feature::Orders, Feature::OrderMinor { currency: Currency::EUR }]
}

/// Groups of people around (days, orders, minor units) each, spread by a quarter either way.
fn shop(groups: &[(usize, [f64; 3])]) -> Vec<f64> {
    let mut chance = Chance::new(7, 7);
    let mut values = Vec::new();
    for (people, middle) in groups {
        for _ in 0..*people {
            values.extend(middle.map(|value| (value * (0.75 + chance.unit() / 2.0)).round()));
        }
    }
    values
}

const FOUR: [(usize, [f64; 3]); 4] = [
    (150, [10.0, 12.0, 9_000.0]),
    (200, [20.0, 8.0, 1_500.0]),
    (250, [300.0, 1.0, 2_000.0]),
    (100, [200.0, 2.0, 20_000.0]),
];

fn quick() -> Settings {
    Settings { resamples: 8, starts: 4, ..Settings::default() }
}

fn fitted(values: &[f64]) -> Fitted {
    fit(&People::new(&rfm(), values).unwrap(), &quick(), 1)
}

#[test]
fn groups_that_are_there_are_found() {
    let fitted = fitted(&shop(&FOUR));
    assert_eq!(fitted.model.clusters().len(), 4);
    let mut at = 0;
    for (people, _) in FOUR {
        let group = &fitted.assigned[at..at + people];
        assert!(group.iter().all(|id| *id == group[0]));
        at += people;
    }
    assert!(fitted.model.chosen().unwrap().is_sound());
    assert!(fitted.model.quality().fidelity > 0.99);
    let names: Vec<_> = fitted.model.clusters().iter().map(|cluster| cluster.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "Big, recent, frequent",
            "Small, recent, frequent",
            "Very big, lapsing, infrequent",
            "Small, lapsing, one order"
        ]
    );
}

#[test]
fn what_cannot_be_clustered_says_why() {
    let features = rfm();
    assert_eq!(People::new(&features, &[]).unwrap_err(), ClusterError::NoPeople);
    assert_eq!(People::new(&[], &[1.0]).unwrap_err().to_string(), "0 features, 1 to 12 are possible");
    assert_eq!(People::new(&features, &[1.0; 4]).unwrap_err().to_string(), "4 values do not fill rows of 3 features");
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = People::new(&features, &[1.0, 1.0, 1.0, 1.0, bad, 1.0]).unwrap_err();
        assert_eq!(error.to_string(), "row 1: orders is no finite number; leave the person out or give a number");
    }
    let twice = [Feature::Orders, Feature::Orders];
    assert_eq!(People::new(&twice, &[1.0; 2]).unwrap_err(), ClusterError::FeatureTwice { name: "orders".to_owned() });
    let model = fitted(&[1.0; 3]).model;
    let error = model.assign(&People::new(&[Feature::Orders], &[1.0]).unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model was made of days since the last order, orders, spend per order; the people have orders"
    );
}

#[test]
fn one_person_few_people_and_equal_people_are_one_cluster() {
    for values in [vec![3.0, 1.0, 999.0], shop(&[(19, [50.0, 3.0, 5_000.0])]), [5.0, 2.0, 100.0].repeat(500)] {
        let fitted = fitted(&values);
        let [cluster] = fitted.model.clusters() else { panic!("{:?}", fitted.model) };
        assert_eq!((cluster.name.as_str(), cluster.people), ("Everybody", values.len() / 3));
        assert!(fitted.model.quality().candidates.is_empty());
        assert_eq!(fitted.model.quality().fidelity, 1.0);
        let people = People::new(fitted.model.features(), &values).unwrap();
        assert_eq!(fitted.model.explain(&people).unwrap()[0].because, "There is one answer for all.");
    }
}

#[test]
fn two_kinds_of_people_are_two_clusters_at_most() {
    let values = [[5.0, 2.0, 100.0].repeat(300), [90.0, 1.0, 100.0].repeat(100)].concat();
    let fitted = fitted(&values);
    assert_eq!(fitted.model.clusters().iter().map(|cluster| cluster.people).collect::<Vec<_>>(), [300, 100]);
}

#[test]
fn one_absurd_customer_makes_no_cluster_of_its_own() {
    let mut values = shop(&FOUR);
    values.extend([0.0, 1e300, f64::MAX]);
    values.extend([1e18, -5.0, f64::MIN]);
    let absurd = fitted(&values);
    assert_eq!(absurd.assigned[..700], fitted(&shop(&FOUR)).assigned);
}

#[test]
fn a_stored_model_puts_everybody_where_it_did() {
    let values = shop(&FOUR);
    let model = fitted(&values).model;
    let text = serde_json::to_string(&model).unwrap();
    let read: Model = serde_json::from_str(&text).unwrap();
    assert_eq!(read.scales, model.scales);
    assert_eq!(read.centres(), model.centres());
    let people = People::new(&model.features, &values).unwrap();
    assert_eq!(read.explain(&people).unwrap(), model.explain(&people).unwrap());
}

#[test]
fn a_stored_model_that_does_not_hold_together_is_refused() {
    let text = serde_json::to_string(&fitted(&shop(&FOUR)).model).unwrap();
    let refused = |change: fn(&mut serde_json::Value)| {
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        change(&mut value);
        serde_json::from_value::<Model>(value).unwrap_err().to_string()
    };
    assert_eq!(
        refused(|model| model["format"] = 2.into()),
        "stored clusters: written in form 2, this version reads 1; fit them again"
    );
    refused(|model| model["clusters"] = serde_json::json!([]));
    refused(|model| model["clusters"][0]["centre"] = serde_json::json!([1.0]));
    refused(|model| model["clusters"][1]["id"] = model["clusters"][0]["id"].clone());
    refused(|model| model["scales"] = serde_json::json!([]));
    refused(|model| model["tree"]["split"]["feature"] = 9.into());
    refused(|model| model["baseline"]["features"] = serde_json::json!([]));
}

#[test]
fn a_person_is_told_the_path_and_when_the_rule_is_wrong() {
    let model = fitted(&shop(&FOUR)).model;
    let told = |row: [f64; 3]| {
        let features = rfm();
        model.explain(&People::new(&features, &row).unwrap()).unwrap().remove(0)
    };
    insta::assert_snapshot!(
        [told([12.0, 5.0, 9_000.0]).because, told([400.0, 1.0, 1_900.0]).because, told([60.0, 12.0, 40_000.0]).because]
            .join("\n")
    );
}

#[test]
fn the_same_people_again_move_nobody() {
    let values = shop(&FOUR);
    let features = rfm();
    let people = People::new(&features, &values).unwrap();
    let first = fit(&people, &quick(), 1);
    let again = refresh(&first.model, &people, &quick(), 99).unwrap();
    assert_eq!(again.assigned, first.assigned);
    assert!(again.proposal.is_none() && again.drift.told().is_empty());
    assert!(again.drift.features.iter().all(|(_, index)| index.abs() < 1e-12));
    assert!(again.drift.clusters.abs() < 1e-12);
}

#[test]
fn another_population_is_a_proposal_and_clusters_that_go_on_keep_their_ids() {
    let values = shop(&FOUR);
    let features = rfm();
    let first = fit(&People::new(&features, &values).unwrap(), &quick(), 1);
    // The second group is gone, another one is there.
    let other = shop(&[FOUR[0], (300, [80.0, 3.0, 300.0]), FOUR[2], FOUR[3]]);
    let people = People::new(&features, &other).unwrap();
    let refreshed = refresh(&first.model, &people, &quick(), 1).unwrap();
    assert_eq!(refreshed.model.centres(), first.model.centres());
    assert!(!refreshed.drift.reasons.is_empty() && !refreshed.drift.told().is_empty());
    let proposal = refreshed.proposal.unwrap();
    let (was, is) = (|at: usize| first.assigned[at], |at: usize| proposal.assigned[at]);
    assert_eq!((is(0), is(500), is(750)), (was(0), was(400), was(650)));
    assert_eq!(is(200), ClusterId(5));
    assert_eq!(proposal.model.assign(&people).unwrap(), proposal.assigned);
    assert_eq!(proposal.model.next_id, 6);
    for (_, cluster, _, _) in proposal.model.tree().rules() {
        assert!(proposal.model.cluster(cluster).is_some());
    }
}

#[test]
fn a_cluster_that_everybody_left_is_told() {
    let features = rfm();
    let values = shop(&FOUR);
    let first = fit(&People::new(&features, &values).unwrap(), &quick(), 1);
    let fewer = shop(&FOUR[..3]);
    let refreshed = refresh(&first.model, &People::new(&features, &fewer).unwrap(), &quick(), 1).unwrap();
    let dissolved = Reason::Dissolved { cluster: first.assigned[699], people: 0 };
    assert!(refreshed.drift.reasons.contains(&dissolved), "{:?}", refreshed.drift);
    assert_eq!(refreshed.model.cluster(first.assigned[699]).unwrap().description, "Nobody at present.");
}

#[test]
fn a_site_that_grew_out_of_one_cluster_is_offered_more() {
    let features = rfm();
    let values = shop(&FOUR);
    let few = fit(&People::new(&features, &values[..15 * 3]).unwrap(), &quick(), 1);
    assert_eq!(few.model.clusters().len(), 1);
    let people = People::new(&features, &values).unwrap();
    let refreshed = refresh(&few.model, &people, &quick(), 1).unwrap();
    assert_eq!(refreshed.proposal.unwrap().model.clusters().len(), 4);
    assert!(refreshed.drift.reasons.contains(&Reason::Divides { clusters: 4 }));
    // And while it has not grown, nothing is offered.
    let same = refresh(&few.model, &People::new(&features, &values[..15 * 3]).unwrap(), &quick(), 1).unwrap();
    assert!(same.proposal.is_none() && same.drift.reasons.is_empty());
}

#[test]
fn a_number_that_begins_to_be_known_is_a_reason_for_new_clusters() {
    let features = [Feature::Orders, Feature::Visits];
    let rows =
        |visits: fn(usize) -> f64| (0..400).flat_map(|at| [1.0 + (at % 2 * 9) as f64, visits(at)]).collect::<Vec<_>>();
    let (before, after) = (rows(|_| 0.0), rows(|at| (at % 4 * 10) as f64));
    let first = fit(&People::new(&features, &before).unwrap(), &quick(), 1);
    let refreshed = refresh(&first.model, &People::new(&features, &after).unwrap(), &quick(), 1).unwrap();
    assert_eq!(refreshed.drift.reasons, [Reason::NowTells { feature: "visits".to_owned() }]);
}

#[test]
fn movers_are_split_by_reason() {
    let list = |ids: &[(i64, u16)]| ids.iter().map(|(p, c)| (ProfileId(*p), ClusterId(*c))).collect::<Vec<_>>();
    let then = list(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1)]);
    let between = list(&[(1, 1), (2, 2), (3, 1), (4, 2), (5, 2), (7, 1)]);
    let now = list(&[(1, 1), (2, 2), (3, 2), (4, 3), (5, 1), (7, 2)]);
    let movers = movers(&then, &between, &now);
    let expected = Movers { stayed: 1, own_behaviour: 1, model: 1, both: 1, put_back: 1, joined: 1, left: 1 };
    assert_eq!(movers, expected);
    assert_eq!((movers.people(), movers.share_by_model(), movers.share_by_own_behaviour()), (5, 0.6, 0.6));
}

#[test]
fn limits_are_round_in_the_features_own_unit() {
    let money = Feature::OrderMinor { currency: Currency::EUR };
    assert_eq!([Feature::Orders.rounded(1.0), Feature::RecencyDays.rounded(187.4)], [1.0, 190.0]);
    assert_eq!((money.rounded(3_487.0), money.limit(3_500.0)), (3_500.0, "35.00 EUR".to_owned()));
    let share = Feature::Other { name: "share of mails opened".to_owned(), logarithmic: false };
    assert_eq!((share.rounded(0.3456), share.limit(0.35)), (0.35, "0.35".to_owned()));
    assert_eq!((share.rounded(0.0), share.rounded(-0.0123)), (0.0, -0.012));
}

#[test]
fn namesakes_are_told_apart() {
    let features = rfm();
    let profile =
        |days: f64| Profile { stands_out: vec![0.0, 0.0, 1.0 + days / 1e3], medians: vec![days, 1.0, 2e3 + days] };
    let names = name::names(&features, &[profile(1.0), profile(2.0), profile(2.0)]);
    assert_eq!(names, ["Big (20.01 EUR per order)", "Big (20.02 EUR per order)", "Big (20.02 EUR per order) · 3"]);
}

fn any_rows() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![0.0..500.0_f64, Just(0.0), -1e9..1e9_f64, prop::num::f64::NORMAL];
    prop::collection::vec(value, 3..300).prop_map(|mut values| {
        values.truncate(values.len() / 3 * 3);
        values
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_numbers_have_clusters_and_nobody_is_lost(values in any_rows(), seed in any::<u64>()) {
        let features = [
            Feature::RecencyDays,
            Feature::SpentMinor { currency: Currency::EUR },
            Feature::Other { name: "score".to_owned(), logarithmic: false },
        ];
        let people = People::new(&features, &values).unwrap();
        let settings = Settings { resamples: 2, starts: 2, ..Settings::default() };
        let fitted = fit(&people, &settings, seed);
        let counted: usize = fitted.model.clusters().iter().map(|cluster| cluster.people).sum();
        prop_assert_eq!(counted, people.count());
        prop_assert_eq!(&fitted.model.assign(&people).unwrap(), &fitted.assigned);
        let names: std::collections::BTreeSet<_> = fitted.model.clusters().iter().map(|c| &c.name).collect();
        prop_assert_eq!(names.len(), fitted.model.clusters().len());
        let rules: usize = fitted.model.tree().rules().iter().map(|(_, _, people, _)| people).sum();
        prop_assert_eq!(rules, people.count());
        let text = serde_json::to_string(&fitted.model).unwrap();
        prop_assert!(serde_json::from_str::<Model>(&text).is_ok());
        let refreshed = refresh(&fitted.model, &people, &settings, seed).unwrap();
        let moved = refreshed.assigned.iter().zip(&fitted.assigned).filter(|(now, then)| now != then).count();
        prop_assert!(moved as f64 <= refresh::MAX_MOVED_BY_MODEL * people.count() as f64);
    }
}
