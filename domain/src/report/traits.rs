//! Computed traits: all of a site, one that is being written, and where what is known of a person came from.

use super::csv::Table;
use super::{Progress, Site};
use crate::event::{ProfileId, Trust};
use crate::segment::rule::{Scalar, SentenceError};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashMap;

/// Values of a spread that are told.
const TOLD: usize = 5;

/// How people's values lie, those without one left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// Of numbers: the values below which none, a quarter, half, three quarters and all of them lie.
    Numbers([f64; 5]),
    /// Of anything else: the values that most people have, each with how many that are.
    Values(Vec<(String, u64)>),
}

impl Spread {
    /// The spread of some values; `None` where there are none.
    pub fn of(values: &[Scalar]) -> Option<Spread> {
        if values.is_empty() {
            return None;
        }
        let plain = |value: &Scalar| match value {
            Scalar::Number(number) => Some(*number),
            Scalar::Bool(_) | Scalar::Text(_) => None,
        };
        if let Some(mut numbers) = values.iter().map(plain).collect::<Option<Vec<f64>>>() {
            numbers.sort_unstable_by(f64::total_cmp);
            // The smallest value that so many are not above, as PostgreSQL's percentile_disc has it.
            let at = |quarter: usize| numbers[(numbers.len() * quarter).div_ceil(4).max(1) - 1];
            return Some(Spread::Numbers([at(0), at(1), at(2), at(3), at(4)]));
        }
        let mut people: HashMap<String, u64> = HashMap::new();
        for value in values {
            *people.entry(value.to_string()).or_default() += 1;
        }
        let mut all: Vec<(String, u64)> = people.into_iter().collect();
        all.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        all.truncate(TOLD);
        Some(Spread::Values(all))
    }
}

/// A computed trait of a site.
#[derive(Clone, Debug, PartialEq)]
pub struct ComputedTraitRow {
    /// Its name in rules and URLs, made of letters, digits, `_`, `-` and `.` alone.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The definition as a sentence; `None` where this version cannot read it.
    pub says: Option<String>,
    /// The definition as JSON, in lines.
    pub json: Option<String>,
    /// Nothing comes to 0, and is not counted among the values.
    pub is_zero_of_nothing: bool,
    /// Counts the definition's versions.
    pub revision: u32,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// People who have a value, other than the 0 of nothing.
    pub people: u64,
    /// How their values lie.
    pub spread: Option<Spread>,
    /// While everybody is being asked: the numbers are not the last ones.
    pub progress: Option<Progress>,
    /// The segments that ask for it: key and name.
    pub asked_by: Vec<(String, String)>,
}

/// The computed traits of a site, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct ComputedTraits {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// Everybody with a profile.
    pub people: u64,
    /// The traits.
    pub rows: Vec<ComputedTraitRow>,
    /// So many there can be.
    pub most: usize,
}

impl ComputedTraits {
    /// The progress of those that are not ready yet.
    pub fn progress(&self) -> Option<Progress> {
        self.rows.iter().find_map(|row| row.progress)
    }

    /// The rows as CSV.
    pub fn csv(&self) -> String {
        let mut table = Table::with_header(&["trait", "description", "people", "ready", "definition"]);
        for row in &self.rows {
            table
                .text(&row.name)
                .text(&row.description)
                .count(row.people)
                .text(if row.progress.is_none() { "yes" } else { "no" })
                .maybe_text(row.says.as_deref())
                .end();
        }
        table.into_text()
    }
}

/// What somebody would have.
#[derive(Clone, Debug, PartialEq)]
pub struct TraitPreviewPerson {
    /// The profile.
    pub profile_id: ProfileId,
    /// Name, e-mail address or user id.
    pub name: Option<String>,
    /// The value.
    pub value: Scalar,
    /// How many events are behind it.
    pub events: u32,
    /// When the last of them was.
    pub last_at: Option<Timestamp>,
    /// When it may change by time alone.
    pub changes_at: Option<Timestamp>,
}

/// What a definition would come to.
#[derive(Clone, Debug, PartialEq)]
pub struct TraitPreview {
    /// Everybody with a profile.
    pub people: u64,
    /// People who were asked: a random choice, or everybody.
    pub asked: u64,
    /// How many of these have a value, other than the 0 of nothing.
    pub known: u64,
    /// How their values lie.
    pub spread: Option<Spread>,
    /// A few of them.
    pub sample: Vec<TraitPreviewPerson>,
}

/// What came of writing a definition.
#[derive(Clone, Debug, PartialEq)]
pub enum TriedTrait {
    /// It was not tried.
    Nothing,
    /// It cannot be read.
    Unreadable(SentenceError),
    /// It can be read, and would come to this.
    Made {
        /// As it was understood.
        says: String,
        /// What people would have.
        preview: TraitPreview,
    },
}

/// A trait as a person's page tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownTrait {
    /// Its name.
    pub name: String,
    /// Its value as text.
    pub value: String,
    /// Where it came from.
    pub origin: TraitOrigin,
}

/// Where a trait came from.
#[derive(Clone, Debug, PartialEq)]
pub enum TraitOrigin {
    /// Somebody said so; the latest who did.
    Sent {
        /// When.
        at: Timestamp,
        /// Who vouches for it.
        trust: Trust,
        /// The key of the source; `None` where the event does not say it.
        source: Option<String>,
        /// A computed trait has the same name: rules read that one.
        is_hidden: bool,
    },
    /// It follows from what the person did: the definition as a sentence, where this version can read it.
    Computed(Option<String>),
    /// Nothing is known of that.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_by_their_quarters_and_texts_by_how_many_have_them() {
        let numbers: Vec<Scalar> = [5.0, 1.0, 2.0, 4.0, 3.0].map(Scalar::Number).to_vec();
        assert_eq!(Spread::of(&numbers), Some(Spread::Numbers([1.0, 2.0, 3.0, 4.0, 5.0])));
        assert_eq!(Spread::of(&numbers[..1]), Some(Spread::Numbers([5.0; 5])));
        let mixed = [Scalar::Text("b".into()), Scalar::Number(1.0), Scalar::Text("a".into()), Scalar::Text("b".into())];
        let told = vec![("b".to_owned(), 2), ("1".to_owned(), 1), ("a".to_owned(), 1)];
        assert_eq!(Spread::of(&mixed), Some(Spread::Values(told)));
        assert_eq!(Spread::of(&[]), None);
    }
}
