//! A vocabulary as it is kept on disk: its words in the order of their numbers. What finds them is made again.

use super::{Record, RecordId, Vocabulary, What};
use crate::event::TermId;
use crate::segment::rule::Scalar;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The words and nothing else.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    pages: Vec<(TermId, Arc<str>)>,
    tracks: Vec<Arc<str>>,
    properties: Vec<Arc<str>>,
    traits: Vec<Arc<str>>,
    values: Vec<Scalar>,
    records: Vec<Record>,
    full: bool,
}

impl From<Vocabulary> for Saved {
    fn from(vocabulary: Vocabulary) -> Saved {
        let mut terms: Vec<(What, TermId)> =
            vocabulary.page_of_term.into_iter().map(|(term, what)| (what, term)).collect();
        terms.sort_unstable();
        Saved {
            // Each page has one term, and they are numbered in the order in which they came.
            pages: terms.into_iter().map(|(_, term)| term).zip(vocabulary.pages).collect(),
            tracks: vocabulary.tracks,
            properties: vocabulary.properties,
            traits: vocabulary.traits,
            values: vocabulary.values,
            records: vocabulary.records,
            full: vocabulary.full,
        }
    }
}

impl From<Saved> for Vocabulary {
    fn from(saved: Saved) -> Vocabulary {
        let mut vocabulary = Vocabulary::new();
        for (term, text) in saved.pages {
            vocabulary.page(term, || text);
        }
        for name in &saved.tracks {
            vocabulary.track(name);
        }
        vocabulary.properties = saved.properties;
        vocabulary.traits = saved.traits;
        let first = vocabulary.values.len();
        for scalar in saved.values.into_iter().skip(first) {
            vocabulary.scalar(scalar);
        }
        for (id, record) in (0..).zip(&saved.records) {
            // The first of equal ones is found, so that `OTHER_RECORD`, which looks empty, never is.
            vocabulary.record_of.entry(record.clone()).or_insert(id as RecordId);
        }
        vocabulary.records = saved.records;
        vocabulary.full = saved.full;
        vocabulary
    }
}

impl Vocabulary {
    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let texts = |texts: &[Arc<str>]| texts.iter().map(|text| text.len() + 80).sum::<usize>();
        let records = self.records.iter().map(|record| record.len() * 16 + 80).sum::<usize>();
        // A value stands in its list and, as text, in its index.
        let value = |scalar: &Scalar| if let Scalar::Text(text) = scalar { 2 * text.len() + 120 } else { 100 };
        let values = self.values.iter().map(value).sum::<usize>();
        texts(&self.pages) + texts(&self.tracks) + records + values
    }
}
