//! The site's own words that a rule names, so that a misspelt one can be pointed out.

use super::{Clause, Matching, Rule, WhatHappened, visit};

/// A name that only the site itself can know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// A named event.
    Event(String),
    /// A page's address, perhaps with `*`.
    Page(String),
    /// A property of named events.
    Property(String),
    /// A trait.
    Trait(String),
}

impl Rule {
    /// The site's words that the rule names, each once.
    pub fn words(&self) -> Vec<Word> {
        let needs = self.needs();
        let mut words = Vec::new();
        add(&self.who, &mut words);
        let own = |property: &String| !visit::NAMES.contains(&property.as_str());
        words.extend(needs.properties.into_iter().filter(own).map(Word::Property));
        words.extend(needs.traits.into_iter().map(Word::Trait));
        words.sort_unstable();
        words.dedup();
        words
    }
}

fn add(clause: &Clause, words: &mut Vec<Word>) {
    let mut of = |matching: &Matching| match &matching.what {
        WhatHappened::Page(page) => words.push(Word::Page(page.clone())),
        WhatHappened::Track(name) => words.push(Word::Event(name.clone())),
        WhatHappened::Order | WhatHappened::Visit | WhatHappened::Identify | WhatHappened::Anything => {}
    };
    match clause {
        Clause::All(parts) | Clause::Any(parts) => parts.iter().for_each(|part| add(part, words)),
        Clause::Not(part) => add(part, words),
        Clause::Event(event) => of(&event.of),
        Clause::Sequence(sequence) => {
            of(&sequence.first);
            for step in &sequence.then {
                of(&step.of);
                step.without.iter().for_each(&mut of);
            }
            sequence.never.iter().for_each(|never| of(&never.of));
        }
        Clause::Trait(_) | Clause::Fact(_) | Clause::Segment(_) | Clause::Bucket(_) => {}
    }
}

/// Longer words are not compared: nobody misspells them by a letter.
const MAX_COMPARED: usize = 64;

/// Of these words the one that was probably meant: the nearest, if no more than a third of its letters differ. Case does
/// not matter.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let letters = |text: &str| text.to_lowercase().chars().take(MAX_COMPARED).collect::<Vec<char>>();
    let wanted = letters(word);
    let near = |candidate: &'c str| {
        let other = letters(candidate);
        let allowed = wanted.len().max(other.len()).div_ceil(3).min(4);
        let apart = distance(&wanted, &other);
        (apart <= allowed && apart < other.len()).then_some((apart, candidate))
    };
    candidates.into_iter().filter_map(near).min().map(|(_, candidate)| candidate)
}

/// Letters to change, leave out, put in or swap with their neighbour, each part touched once (Boytsov 2011, "optimal
/// string alignment").
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.iter().enumerate() {
        let mut row = Vec::with_capacity(other.len() + 1);
        row.push(i + 1);
        for (j, against) in other.iter().enumerate() {
            let mut least = (last[j] + usize::from(letter != against)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *letter == other[j - 1] && one[i - 1] == *against {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_its_words_once() {
        let rule: Rule = r#"did "A" with "size" is 4 then viewed "/b" without did "C" and trait "plan" is "pro"
            and not (did "A" at least 2 times) and visited with "channel" is "email""#
            .parse()
            .unwrap();
        let words = [
            Word::Event("A".into()),
            Word::Event("C".into()),
            Word::Page("/b".into()),
            Word::Property("size".into()),
            Word::Trait("plan".into()),
        ];
        assert_eq!(rule.words(), words);
    }

    #[test]
    fn the_nearest_word_is_the_one_that_was_meant() {
        let names = ["Product Viewed", "Product Added", "Cart Viewed", "Signed Up", "X"];
        let find = |word| nearest(word, names);
        assert_eq!(find("Prodct Viewed"), Some("Product Viewed"));
        assert_eq!(find("product added"), Some("Product Added"));
        assert_eq!(find("Singed Up"), Some("Signed Up"));
        assert_eq!((find("Newsletter Opened"), find(""), find("y")), (None, None, None));
    }

    #[test]
    fn swapped_neighbours_are_one_mistake() {
        let apart =
            |one: &str, other: &str| distance(&one.chars().collect::<Vec<_>>(), &other.chars().collect::<Vec<_>>());
        assert_eq!((apart("ab", "ba"), apart("kitten", "sitting"), apart("", "abc"), apart("a", "a")), (1, 3, 3, 0));
    }
}
