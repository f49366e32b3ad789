//! Entity matching on the first data set of FEBRL (`data/README.md`): 500 people, each there twice, the second time with
//! errors. The social security number, which would give it away, is not read.

use domain::matching::{Basis, Field, Matching, Quality, Record, Settings, find};

/// The records, and who each is.
fn febrl() -> (Vec<Record>, Vec<String>) {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(&include_bytes!("data/febrl1.csv")[..]);
    let header = reader.headers().unwrap().clone();
    let fields: Vec<Option<Field>> = header.iter().map(Field::from_name).collect();
    assert_eq!(fields.iter().flatten().count(), 9, "{header:?}");
    let (mut records, mut people) = (Vec::new(), Vec::new());
    for line in reader.records() {
        let line = line.unwrap();
        let values = fields.iter().zip(&line).filter_map(|(field, value)| field.map(|field| (field, value)));
        records.push(Record::new(values));
        people.push(line[0].split('-').nth(1).unwrap().to_owned());
    }
    (records, people)
}

fn matched(records: &[Record]) -> Matching {
    find(records, &Settings::default(), |_| ())
}

#[test]
fn febrl_is_matched_with_an_f1_of_99_percent_by_the_default_settings() {
    let (records, people) = febrl();
    let matching = matched(&records);
    let of_clusters = Quality::of_clusters(&matching.clusters, &people);
    let threshold = Settings::default().threshold;
    let pairs = matching.pairs.iter().filter(|pair| pair.probability >= threshold).map(|pair| (pair.a, pair.b));
    let of_pairs = Quality::of_pairs(pairs, &people);
    assert_eq!(matching.model.basis, Basis::Records);
    assert!(of_clusters.f1() >= 0.99, "{of_clusters:?}");
    assert!(of_pairs.f1() >= 0.99, "{of_pairs:?}");
}
