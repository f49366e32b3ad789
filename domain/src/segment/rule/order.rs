//! In which order segments that ask for each other are answered.

use super::Rule;
use std::collections::HashMap;

/// Segments that ask for each other in a circle, so that none of them can be answered first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("segments ask for each other in a circle: {}; take one of these questions out", keys.join(" → "))]
pub struct Cycle {
    /// The keys on the way around: each asks for the next, and the last is the first again.
    pub keys: Vec<String>,
}

impl Rule {
    /// The order in which segments, each with its key, can be answered: places in `segments`, every segment behind those
    /// that it asks for. Otherwise they stay as they are given. Keys that are not among them are left to
    /// [`super::Plan::compile`]; of segments with the same key the first is meant.
    ///
    /// # Errors
    /// [`Cycle`] where segments ask for each other, or one for itself.
    pub fn order(segments: &[(String, Rule)]) -> Result<Vec<usize>, Cycle> {
        let mut place_of: HashMap<&str, usize> = HashMap::with_capacity(segments.len());
        for (place, (key, _)) in segments.iter().enumerate() {
            place_of.entry(key).or_insert(place);
        }
        let asked = segments.iter().map(|(_, rule)| {
            let mut places: Vec<usize> =
                rule.needs().segments.iter().filter_map(|key| place_of.get(key.as_str()).copied()).collect();
            places.sort_unstable();
            places
        });
        let asked: Vec<Vec<usize>> = asked.collect();
        let mut order = Vec::with_capacity(segments.len());
        let mut state = vec![State::Unseen; segments.len()];
        for place in 0..segments.len() {
            if state[place] != State::Unseen {
                continue;
            }
            // The way down from here, each with how many of those that it asks for are done; a chain of all segments
            // would be too deep for calls.
            let mut way = vec![(place, 0)];
            state[place] = State::OnTheWay;
            while let Some((place, done)) = way.last_mut() {
                let Some(next) = asked[*place].get(*done).copied() else {
                    state[*place] = State::Done;
                    order.push(*place);
                    way.pop();
                    continue;
                };
                *done += 1;
                match state[next] {
                    State::Done => {}
                    State::Unseen => {
                        state[next] = State::OnTheWay;
                        way.push((next, 0));
                    }
                    State::OnTheWay => {
                        let around = way.iter().map(|(place, _)| *place).skip_while(|place| *place != next);
                        let keys = around.chain([next]).map(|place| segments[place].0.clone()).collect();
                        return Err(Cycle { keys });
                    }
                }
            }
        }
        Ok(order)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unseen,
    OnTheWay,
    Done,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::rule::Clause;

    /// Segments that each ask for any of these others.
    fn segments(asked: &[(&str, &[&str])]) -> Vec<(String, Rule)> {
        let rule = |others: &[&str]| {
            Rule::new(Clause::Any(
                others.iter().map(|key| Clause::Not(Box::new(Clause::Segment((*key).into())))).collect(),
            ))
        };
        asked.iter().map(|(key, others)| ((*key).to_owned(), rule(others))).collect()
    }

    #[test]
    fn a_segment_comes_behind_those_it_asks_for_and_else_where_it_was() {
        let given = segments(&[("a", &["c"]), ("b", &[]), ("c", &["d", "gone"]), ("d", &[]), ("e", &["a", "b"])]);
        assert_eq!(Rule::order(&given), Ok(vec![3, 2, 0, 1, 4]));
        assert_eq!(Rule::order(&[]), Ok(vec![]));
    }

    #[test]
    fn a_circle_is_named_in_its_order() {
        let given = segments(&[("x", &["a"]), ("a", &["b"]), ("b", &["y", "c"]), ("y", &[]), ("c", &["a"])]);
        let cycle = Rule::order(&given).unwrap_err();
        assert_eq!(cycle.keys, ["a", "b", "c", "a"]);
        assert_eq!(
            cycle.to_string(),
            "segments ask for each other in a circle: a → b → c → a; take one of these questions out"
        );
        assert_eq!(Rule::order(&segments(&[("a", &["a"])])).unwrap_err().keys, ["a", "a"]);
    }

    #[test]
    fn a_long_chain_is_no_deep_call() {
        let count = 20_000;
        let key = |place: usize| format!("s{place}");
        let chain: Vec<_> = (0..count).map(|place| (key(place), Rule::new(Clause::Segment(key(place + 1))))).collect();
        assert_eq!(Rule::order(&chain), Ok((0..count).rev().collect()));
    }

    #[test]
    fn a_thousand_segments_that_all_ask_for_all_earlier_ones_keep_their_order() {
        let keys: Vec<String> = (0..1_000).map(|place| format!("s{place}")).collect();
        let rules: Vec<_> = (0..keys.len())
            .map(|place| {
                let earlier = keys[place.saturating_sub(190)..place].iter().cloned().map(Clause::Segment).collect();
                (keys[place].clone(), Rule::new(Clause::Any(earlier)))
            })
            .collect();
        assert_eq!(Rule::order(&rules), Ok((0..keys.len()).collect()));
    }
}
