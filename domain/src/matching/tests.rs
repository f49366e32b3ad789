use super::cluster::{Fixed, Link, Opinion, clusters};
use super::em::{Observed, fit};
use super::frequency::Frequencies;
use super::weigh::Scale;
use super::*;
use proptest::prelude::*;
use proptest::sample::select;
use std::iter::once;

fn record(values: &[(Field, &str)]) -> Record {
    Record::new(values.iter().copied())
}

fn level(comparison: Comparison, field: Field, a: &str, b: &str) -> Option<Level> {
    Pattern::of(&record(&[(field, a)]), &record(&[(field, b)])).level(comparison)
}

/// Records whose values often agree, nearly agree, or are absent.
fn records() -> impl Strategy<Value = Record> {
    const VALUES: &[(Field, &[&str])] = &[
        (Field::GivenName, &["", "mia", "mai", "maria", "jones", "Robert", "Bob", "Renée", "юлия", "m"]),
        (
            Field::Surname,
            &["", "jones", "joens", "Smith-Jones", "mia", "Müller", "mueller", "o'brien", "duane", "dwayne"],
        ),
        (
            Field::Email,
            &["", "mia@a.example", "mia.jones7@a.example", "mia.jones7@b.example", "info@a.example", "broken@"],
        ),
        (Field::Phone, &["", "+49 30 901820", "030 901820", "901820", "+49 30 901821", "0000000"]),
        (Field::StreetNumber, &["", "12", "21"]),
        (Field::AddressLine1, &["", "main street", "mian street", "rose hall", "12 main street", "hill street"]),
        (Field::AddressLine2, &["", "rose hall", "main street"]),
        (Field::Suburb, &["", "garbutt", "gar butt", "leeton"]),
        (Field::Postcode, &["", "2260", "2206", "4814"]),
        (Field::State, &["", "nsw", "vic"]),
        (Field::Country, &["", "au"]),
        (Field::BirthDate, &["", "1990-02-03", "1990-03-02", "1990-02-08", "1991-02-03", "1954-12-30", "19729518"]),
        (Field::OtherId, &["", "c-10001", "c-10002", "c-77"]),
    ];
    let value = |(field, values): &(Field, &'static [&'static str])| {
        select(*values).prop_map({
            let field = *field;
            move |value| (field, value)
        })
    };
    VALUES.iter().map(value).collect::<Vec<_>>().prop_map(Record::new)
}

fn patterns() -> impl Strategy<Value = Pattern> {
    let one = |comparison: Comparison| {
        let levels: Vec<Option<Level>> = once(None).chain(comparison.levels().iter().copied().map(Some)).collect();
        select(levels).prop_map(move |level| (comparison, level))
    };
    let all = Comparison::ALL.map(one).into_iter().collect::<Vec<_>>();
    all.prop_map(|levels| {
        levels.into_iter().fold(Pattern::default(), |pattern, (comparison, level)| pattern.with(comparison, level))
    })
}

fn observed() -> impl Strategy<Value = Vec<Observed>> {
    let one = (patterns(), 1.0..5_000.0, any::<bool>());
    let one = one.prop_map(|(pattern, weight, blocked)| Observed { pattern, weight, blocked });
    proptest::collection::vec(one, 0..60)
}

proptest! {
    #[test]
    fn comparing_two_records_gives_the_same_in_either_order(a in records(), b in records()) {
        prop_assert_eq!(Pattern::of(&a, &b), Pattern::of(&b, &a));
    }

    #[test]
    fn a_record_agrees_with_itself_in_all_that_it_says(a in records()) {
        let pattern = Pattern::of(&a, &a);
        for comparison in Comparison::ALL {
            let best = match comparison {
                Comparison::Address | Comparison::Place => [Level::Door, Level::StreetInPlace, Level::Street, Level::Place, Level::Region].to_vec(),
                _ => vec![Level::Same],
            };
            prop_assert!(pattern.level(comparison).is_none_or(|level| best.contains(&level)), "{pattern:?}");
        }
    }

    #[test]
    fn likelihood_and_prior_together_never_fall(observed in observed(), records in 2_usize..500) {
        let model = fit(&observed, records);
        for step in model.log_posterior.windows(2) {
            prop_assert!(step[1] >= step[0] - 1e-9 * step[0].abs(), "{:?}", model.log_posterior);
        }
        for (comparison, level) in Comparison::ALL.iter().flat_map(|all| all.levels().iter().map(move |level| (*all, *level))) {
            let probabilities = model.probabilities(comparison, level).unwrap();
            prop_assert!(probabilities.iter().all(|p| *p > 0.0 && *p < 1.0), "{comparison:?} {level:?} {probabilities:?}");
        }
        prop_assert!((model.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn more_agreement_never_makes_one_person_less_probable(
        observed in observed(),
        pattern in patterns(),
        people in proptest::collection::vec(records(), 2..20),
    ) {
        let scale = Scale::of(&fit(&observed, 200));
        let people: Vec<&Record> = people.iter().collect();
        let frequencies = Frequencies::of(&people);
        for comparison in Comparison::ALL {
            let mut last = f64::NEG_INFINITY;
            for level in comparison.levels().iter().filter(|level| **level != Level::Swapped) {
                let bits = scale.bits(pattern.with(comparison, Some(*level)), people[0], people[1], &frequencies);
                prop_assert!(bits >= last - 1e-9, "{comparison:?} {level:?} {bits} after {last}");
                last = bits;
            }
        }
    }

    #[test]
    fn what_a_pair_starts_from_and_its_evidence_add_up_to_its_probability(
        observed in observed(),
        people in proptest::collection::vec(records(), 2..20),
    ) {
        let scale = Scale::of(&fit(&observed, 200));
        let people: Vec<&Record> = people.iter().collect();
        let pattern = Pattern::of(people[0], people[1]);
        let weighed = scale.weigh(pattern, people[0], people[1], &Frequencies::of(&people));
        let sum = weighed.start_bits + weighed.evidence.iter().map(|own| own.bits).sum::<f64>() + weighed.household_bits;
        prop_assert!((sum - weighed.bits).abs() < 1e-6, "{weighed:?}");
        prop_assert!(weighed.household_bits <= 0.0);
        prop_assert!((0.0..=1.0).contains(&probability(weighed.bits)));
    }
}

#[test]
fn values_are_compared_without_case_accents_spaces_and_signs() {
    for (a, b) in [("O'Brien", "o brien"), ("Müller", "MULLER"), ("Gar Butt", "garbutt"), ("Straße", "strasse")] {
        assert_eq!(level(Comparison::Surname, Field::Surname, a, b), Some(Level::Same), "{a} {b}");
    }
}

#[test]
fn what_says_nothing_is_absent() {
    for (field, value) in [
        (Field::Surname, "unknown"),
        (Field::GivenName, " N/A "),
        (Field::Phone, "000 000 000"),
        (Field::Email, "noreply@shop.example"),
        (Field::BirthDate, "90-02-03"),
        (Field::BirthDate, "soon"),
    ] {
        assert!(record(&[(field, value)]).is_empty(), "{field} {value}");
    }
    assert_eq!(level(Comparison::Surname, Field::Surname, "Smith", ""), None);
    assert!(!record(&[(Field::Surname, "Na")]).is_empty());
}

#[test]
fn levels_say_how_near_two_values_are() {
    use Comparison::{BirthDate, Email, GivenName, OtherId, Phone, Surname};
    for (comparison, field, a, b, expected) in [
        (GivenName, Field::GivenName, "Isabella", "Isablela", Level::Near),
        (GivenName, Field::GivenName, "Robert", "Bob", Level::Related),
        (GivenName, Field::GivenName, "Alexander", "Alex", Level::Related),
        (GivenName, Field::GivenName, "Mia", "M.", Level::Related),
        (GivenName, Field::GivenName, "Mia", "Robert", Level::Different),
        (Surname, Field::Surname, "Smith-Jones", "Jones", Level::Related),
        (Surname, Field::Surname, "Duane", "Dwayne", Level::Related),
        (Email, Field::Email, "Mia7@Shop.example", "mia7@shop.example", Level::Same),
        (Email, Field::Email, "wonder7@shop.example", "wodner7@shop.example", Level::Near),
        (Email, Field::Email, "wonder7@shop.example", "wonder7@mail.example", Level::Related),
        (Phone, Field::Phone, "+49 30 901820", "0049 (30) 90 18 20", Level::Same),
        (Phone, Field::Phone, "+61 401 234 567", "0401 234 567", Level::Related),
        (Phone, Field::Phone, "+49 30 901820", "+49 30 901826", Level::Near),
        (BirthDate, Field::BirthDate, "1990-02-03", "3.2.1990", Level::Same),
        (BirthDate, Field::BirthDate, "1990-02-03", "19900203", Level::Same),
        (BirthDate, Field::BirthDate, "1990-02-03", "1990-03-02", Level::Near),
        (BirthDate, Field::BirthDate, "1990-02-03", "1990-20-03", Level::Near),
        (BirthDate, Field::BirthDate, "1990-02-13", "02/13/1990", Level::Same),
        (BirthDate, Field::BirthDate, "1990-02-03", "1978-02-03", Level::Related),
        (BirthDate, Field::BirthDate, "1990-02-03", "1954-12-30", Level::Different),
        (OtherId, Field::OtherId, "c-10001", "C10001", Level::Same),
        (OtherId, Field::OtherId, "c-10001", "c-10007", Level::Near),
    ] {
        assert_eq!(level(comparison, field, a, b), Some(expected), "{a} {b}");
    }
}

#[test]
fn swapped_names_are_one_piece_of_evidence() {
    let pattern = Pattern::of(
        &record(&[(Field::GivenName, "Mia"), (Field::Surname, "Harrington")]),
        &record(&[(Field::GivenName, "Harington"), (Field::Surname, "Mia")]),
    );
    assert_eq!(pattern.level(Comparison::GivenName), Some(Level::Swapped));
    assert_eq!(pattern.level(Comparison::Surname), None);
}

#[test]
fn a_full_name_is_read_as_given_name_and_surname() {
    for name in ["Mia van den Berg", "van den Berg, Mia", "Dr. Mia K. van den Berg"] {
        let read = record(&[(Field::FullName, name)]);
        assert_eq!((read.given_name(), read.surname()), ("mia", "vandenberg"), "{name}");
    }
    let told = record(&[(Field::FullName, "Somebody Else"), (Field::GivenName, "Mia"), (Field::Surname, "Smith")]);
    assert_eq!((told.given_name(), told.surname()), ("mia", "smith"));
}

#[test]
fn e_mails_made_of_the_names_are_no_further_evidence_unless_they_are_the_same() {
    let james = |email| record(&[(Field::GivenName, "James"), (Field::Surname, "Robinson"), (Field::Email, email)]);
    let email = |a, b| Pattern::of(&james(a), &james(b)).level(Comparison::Email);
    assert_eq!(email("james.robinson@a.example", "james.robinson@b.example"), None);
    assert_eq!(email("james.robinson4@a.example", "james.robinson5@a.example"), None);
    assert_eq!(email("james.robinson@a.example", "james.robinson@a.example"), Some(Level::Same));
    assert_eq!(email("nightowl77@a.example", "nightowl77@other.example"), Some(Level::Related));
}

#[test]
fn an_address_is_one_comparison_with_its_lines_in_either_order() {
    let at = |number, first, second, suburb, postcode, state| {
        record(&[
            (Field::StreetNumber, number),
            (Field::AddressLine1, first),
            (Field::AddressLine2, second),
            (Field::Suburb, suburb),
            (Field::Postcode, postcode),
            (Field::State, state),
        ])
    };
    let home = at("12", "Main Street", "Rose Hall", "Leeton", "2705", "NSW");
    for (other, expected) in [
        (at("12", "Rose Hall", "Mian Street", "Leeton", "2705", "NSW"), Level::Door),
        (at("", "12 main street", "", "Leeton", "2750", ""), Level::Door),
        (at("14", "Main Street", "", "Leeton", "2705", "NSW"), Level::StreetInPlace),
        (at("12", "Main Street", "", "Perth", "6000", "WA"), Level::Street),
        (at("3", "Hill Road", "", "Leeton", "2705", "NSW"), Level::Place),
        (at("3", "Hill Road", "", "Leeton", "6000", "NSW"), Level::PartOfPlace),
        (at("3", "Hill Road", "", "Sydney", "2000", "NSW"), Level::Region),
        (at("3", "Hill Road", "", "Perth", "6000", "WA"), Level::Different),
    ] {
        assert_eq!(Pattern::of(&home, &other).level(Comparison::Address), Some(expected), "{other:?}");
    }
}

#[test]
fn agreeing_on_a_rare_name_says_more_than_on_a_common_one() {
    let surname = |number: usize| match number {
        0..300 => "smith".to_owned(),
        300..304 => "zyx".to_owned(),
        other => format!("surname{other}"),
    };
    let people: Vec<Record> =
        (0..1000).map(|number| record(&[(Field::Surname, &surname(number)), (Field::OtherId, "7")])).collect();
    let people: Vec<&Record> = people.iter().collect();
    let frequencies = Frequencies::of(&people);
    let of =
        |at: usize| frequencies.bits(Comparison::Surname, Pattern::of(people[at], people[at]), people[at], people[at]);
    assert!(of(303) > 3.0 && of(0) < -1.0, "{} {}", of(303), of(0));
    // A number that everybody has is a placeholder.
    let shared = frequencies.bits(Comparison::OtherId, Pattern::of(people[0], people[1]), people[0], people[1]);
    assert!(shared <= 0.0, "{shared}");
}

fn links(links: &[(u32, u32, f64)]) -> Vec<Link> {
    links.iter().map(|(a, b, bits)| Link { a: *a, b: *b, bits: *bits }).collect()
}

#[test]
fn a_chain_of_weak_links_is_cut_where_its_ends_are_plainly_two() {
    let known = links(&[(0, 1, 12.0), (1, 2, 5.0), (2, 3, 12.0)]);
    let opinion = |a: u32, b: u32| {
        let link = known.iter().find(|link| (link.a, link.b) == (a.min(b), a.max(b)));
        Opinion { bits: link.map_or(-15.0, |link| link.bits), contradicts: false }
    };
    let found = clusters(4, known.clone(), &Fixed::default(), &Settings::default(), opinion);
    assert_eq!(found, [vec![0, 1], vec![2, 3]]);
}

#[test]
fn a_cluster_has_no_contradictions_and_no_more_records_than_it_may() {
    let all: Vec<(u32, u32, f64)> = (0..6).flat_map(|a| (a + 1..6).map(move |b| (a, b, 10.0))).collect();
    let agree = |_, _| Opinion { bits: 10.0, contradicts: false };
    let settings = Settings { largest_cluster: 4, ..Settings::default() };
    let found = clusters(6, links(&all), &Fixed::default(), &settings, agree);
    assert!(found.iter().all(|cluster| cluster.len() <= 4) && found.len() == 2, "{found:?}");
    let contradict = |a: u32, b: u32| Opinion { bits: 10.0, contradicts: a.min(b) == 0 && a.max(b) == 5 };
    let found = clusters(6, links(&all), &Fixed::default(), &Settings::default(), contradict);
    assert!(found.iter().all(|cluster| !(cluster.contains(&0) && cluster.contains(&5))), "{found:?}");
}

#[test]
fn what_a_person_keeps_apart_is_not_joined_through_a_third() {
    let all = links(&[(0, 1, 10.0), (1, 2, 9.0), (0, 2, 8.0)]);
    let fixed = Fixed::new(vec![], &[(0, 2)]);
    let found = clusters(3, all, &fixed, &Settings::default(), |_, _| Opinion { bits: 10.0, contradicts: false });
    assert_eq!(found, [vec![0, 1]]);
}

#[test]
fn tiny_and_degenerate_files_are_matched_by_the_priors() {
    assert!(find(&[], &Settings::default(), |_| ()).pairs.is_empty());
    let mia = record(&[
        (Field::GivenName, "Mia"),
        (Field::Surname, "Harrington"),
        (Field::Email, "mia@shop.example"),
        (Field::BirthDate, "1990-02-03"),
    ]);
    let robert = record(&[(Field::GivenName, "Robert"), (Field::Surname, "Lee"), (Field::BirthDate, "1954-12-30")]);
    assert!(find(std::slice::from_ref(&mia), &Settings::default(), |_| ()).pairs.is_empty());
    let found = find(&[mia.clone(), robert, mia.clone()], &Settings::default(), |_| ());
    assert_eq!(found.clusters, [vec![0, 2]]);
    let by_email: Vec<Record> =
        (0..40).map(|n| record(&[(Field::Email, &format!("box{}@shop.example", n / 2))])).collect();
    assert_eq!(find(&by_email, &Settings::default(), |_| ()).model.basis, Basis::FewComparisons);
    assert!(find(&vec![Record::default(); 100], &Settings::default(), |_| ()).pairs.is_empty());
    // Everybody is the same: clusters stay within their bound, and nothing is looked at n² times.
    let all_one = find(&vec![mia; 500], &Settings::default(), |_| ());
    assert!(all_one.clusters.iter().all(|cluster| cluster.len() <= Settings::default().largest_cluster));
    assert!(all_one.compared < 500 * 20, "{}", all_one.compared);
    assert!(all_one.blocking.passes.iter().any(|report| report.left_out > 0));
}
