//! Computed traits as sentences: `number of orders within 90 days`, `most frequent "category" of "Product Viewed"`.

use super::{Parsed, Parser, Place, SentenceError, Token, Wrong, column};
use crate::segment::rule::computed::{Computed, Take};
use crate::segment::rule::{Matching, RuleError, Version};
use std::str::FromStr;

/// What begins a definition that names a property.
type Words = (&'static str, fn(String) -> Take);

const TAKES: [Words; 8] = [
    ("number of different", Take::Distinct),
    ("total", Take::Sum),
    ("average", Take::Average),
    ("smallest", Take::Smallest),
    ("largest", Take::Largest),
    ("first", Take::First),
    ("last", Take::Last),
    ("most frequent", Take::MostFrequent),
];

impl FromStr for Computed {
    type Err = SentenceError;

    /// Reads a definition that is written as a sentence, as it is displayed, and checks it.
    fn from_str(text: &str) -> Result<Computed, SentenceError> {
        let token = Token::next(text, 0);
        let mut parser = Parser { text, token, before: "", may_follow: "", clauses: 0, whole: "a definition" };
        let error = |wrong: Wrong| SentenceError { column: column(text, wrong.at), message: wrong.message };
        let mut place = Place::leaf(token.start);
        let computed = parser.computed(&mut place).map_err(error)?;
        computed.check().map_err(|RuleError { path, message }| error(Wrong { at: place.mark(&path), message }))?;
        Ok(computed)
    }
}

impl Place {
    /// The byte at which a part stands that a path into a definition points at.
    fn mark(&self, path: &str) -> usize {
        let part = path.split('/').nth(1);
        self.marks.iter().find(|(name, _)| Some(*name) == part).map_or(self.at, |(_, at)| *at)
    }
}

impl Parser<'_> {
    fn computed(&mut self, place: &mut Place) -> Parsed<Computed> {
        let known = TAKES.iter().find(|(words, _)| self.eat(words));
        let take = match known {
            Some((_, take)) => {
                place.marks.push(("take", self.token.start));
                let property = self.quoted_text("the property's name in quotes")?;
                self.need("of", "\"of\"")?;
                take(property)
            }
            None => {
                let expected = "\"number of\", \"number of different\", \"total\", \"average\", \"smallest\", \
                                \"largest\", \"first\", \"last\" or \"most frequent\"";
                self.need("number of", expected)?;
                Take::Count
            }
        };
        place.marks.push(("of", self.token.start));
        let of = Matching { what: self.noun()?, properties: self.with()? };
        let window = self.window(place)?;
        if !self.token.is_end() {
            return self.wrong("when (within 30 days) or the end");
        }
        Ok(Computed { version: Version, take, of, window })
    }
}
