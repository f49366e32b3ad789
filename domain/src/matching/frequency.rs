//! How common values are: agreeing on a rare surname says more than agreeing on a common one.
//!
//! Source: Winkler (2000), "Frequency-based matching in Fellegi–Sunter model of record linkage"; the form used here
//! replaces the average chance of agreeing, `u`, by that of the value agreed on.

use super::compare::{Comparison, Level, Pattern};
use super::record::Record;
use std::collections::HashMap;

/// The weight, in records, of the average in a value's own frequency, so that two records alone do not make every value
/// of theirs a common one.
const PRIOR_RECORDS: f64 = 50.0;

/// The values of all records with how many have each.
pub(super) struct Frequencies<'a> {
    of: [Values<'a>; Comparison::ALL.len()],
}

#[derive(Default)]
struct Values<'a> {
    counts: HashMap<&'a str, u32>,
    records: f64,
    /// The chance that two records with a value have the same one.
    agreement: f64,
}

impl<'a> Frequencies<'a> {
    pub(super) fn of(records: &[&'a Record]) -> Frequencies<'a> {
        Frequencies { of: Comparison::ALL.map(|comparison| Values::of(records, comparison)) }
    }

    /// What the value agreed on adds to the evidence against chance, in bits; 0 where there is no such value.
    ///
    /// For names, dates and places it is `log₂(u / u_value)`. For e-mails, phones and ids, whose repeats are nearly all
    /// of one person, the usual few say nothing, and a value that many records have takes evidence away.
    pub(super) fn bits(&self, comparison: Comparison, pattern: Pattern, a: &Record, b: &Record) -> f64 {
        let shared = match pattern.level(comparison) {
            Some(Level::Same) => true,
            Some(Level::Place) => true,
            Some(
                Level::Different
                | Level::Related
                | Level::Near
                | Level::Swapped
                | Level::Region
                | Level::PartOfPlace
                | Level::Street
                | Level::StreetInPlace
                | Level::Door,
            )
            | None => false,
        };
        let values = &self.of[comparison as usize];
        let count = |record| values.counts.get(value(record, comparison)).copied().unwrap_or_default();
        if !shared {
            return 0.0;
        }
        // Of a place that is written in two ways the more common one counts.
        let count = count(a).max(count(b));
        let repeats_of_one_person = match comparison {
            Comparison::Email | Comparison::Phone | Comparison::OtherId => 2.0,
            Comparison::GivenName
            | Comparison::Surname
            | Comparison::Address
            | Comparison::Place
            | Comparison::BirthDate => 0.0,
        };
        let average = values.agreement;
        let others = (f64::from(count) - 1.0 - repeats_of_one_person).max(0.0);
        let own = (others + PRIOR_RECORDS * average) / (values.records - 1.0 + PRIOR_RECORDS);
        let bits = (average / own).log2();
        if !bits.is_finite() {
            0.0
        } else if repeats_of_one_person > 0.0 {
            bits.min(0.0)
        } else {
            bits
        }
    }
}

impl<'a> Values<'a> {
    fn of(records: &[&'a Record], comparison: Comparison) -> Values<'a> {
        let mut values = Values::default();
        for value in records.iter().map(|record| value(record, comparison)).filter(|value| !value.is_empty()) {
            *values.counts.entry(value).or_default() += 1;
            values.records += 1.0;
        }
        // Whole numbers below 2⁵³ are added exactly, in whatever order a map gives them.
        let pairs: f64 = values.counts.values().map(|count| f64::from(*count) * (f64::from(*count) - 1.0)).sum();
        values.agreement = pairs / (values.records * (values.records - 1.0)).max(1.0);
        values
    }
}

/// The value whose frequency counts. Of an address it is the place: postcode, or the suburb where there is none.
fn value(record: &Record, comparison: Comparison) -> &str {
    match comparison {
        Comparison::GivenName => &record.given_name,
        Comparison::Surname => &record.surname,
        Comparison::Email => &record.email,
        Comparison::Phone => &record.phone,
        Comparison::Address | Comparison::Place if record.postcode.is_empty() => &record.suburb,
        Comparison::Address | Comparison::Place => &record.postcode,
        Comparison::BirthDate => record.birth_date.as_ref().map_or("", |date| date.text()),
        Comparison::OtherId => &record.other_id,
    }
}
