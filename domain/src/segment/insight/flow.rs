//! Lists of people compared: overlap, flows between two days, and what a change in size is made of.
//!
//! All lists are sorted by profile id with everybody in them once, as [`members`](crate::segment::SegmentBook::members)
//! gives them.

use super::rate::{self, Share};
use crate::event::ProfileId;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Why lists cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    /// A list is not sorted, or has somebody twice.
    #[error("person {0:?} is not after the one before; sort the list by profile id, everybody once")]
    NotSorted(ProfileId),
    /// The lists hold more people than there are.
    #[error("{listed} people in the lists and {everybody} in all; count everybody on the same day")]
    MoreThanAll {
        /// People in either list.
        listed: u64,
        /// People in all, as given.
        everybody: u64,
    },
}

/// How much two segments have in common.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Overlap {
    /// People in the first.
    pub first: u64,
    /// People in the second.
    pub second: u64,
    /// People in both.
    pub both: u64,
    /// People in all.
    pub everybody: u64,
    /// Those in both over those in either (Jaccard 1912), 0 for two empty segments.
    pub jaccard: f64,
    /// Share of the first who are in the second too; 0 for an empty one.
    pub of_first: f64,
    /// Share of the second who are in the first too; 0 for an empty one.
    pub of_second: f64,
    /// People who would be in both if one had nothing to do with the other.
    pub expected: f64,
    /// How often chance alone would be that far from what is expected, 1 where it can tell nothing.
    pub p_value: f64,
}

/// Compares two segments of the same day among `everybody`.
///
/// # Errors
/// [`FlowError`] for a list that is not sorted, or fewer people in all than in the lists.
pub fn overlap(first: &[ProfileId], second: &[ProfileId], everybody: u64) -> Result<Overlap, FlowError> {
    let (mut one, mut two, mut both) = (0, 0, 0);
    joined(first, second, |_, in_first, in_second| {
        one += u64::from(in_first);
        two += u64::from(in_second);
        both += u64::from(in_first && in_second);
    })?;
    let either = one + two - both;
    if either > everybody {
        return Err(FlowError::MoreThanAll { listed: either, everybody });
    }
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let p_value = match (Share::new(both, one), Share::new(two - both, everybody - one)) {
        (Ok(inside), Ok(outside)) => rate::p_value(inside, outside).0,
        _ => 1.0,
    };
    Ok(Overlap {
        first: one,
        second: two,
        both,
        everybody,
        jaccard: share(both, either),
        of_first: share(both, one),
        of_second: share(both, two),
        expected: share(one, everybody) * two as f64,
        p_value,
    })
}

/// People who went from one segment into another, or stayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flow<S> {
    /// Where they were on the first day; `None`: in none, or not known yet.
    pub from: Option<S>,
    /// Where they were on the second day; `None`: in none, or gone.
    pub into: Option<S>,
    /// How many, at least one.
    pub people: u64,
}

/// Who went where between two days, for segments of which everybody is in one at most: the largest flow first. Everybody
/// in either list is counted exactly once.
///
/// # Errors
/// [`FlowError::NotSorted`] for a list that is not sorted by profile id with everybody once.
pub fn flows<S: Copy + Ord>(before: &[(ProfileId, S)], after: &[(ProfileId, S)]) -> Result<Vec<Flow<S>>, FlowError> {
    let (mut first, mut second) = (before.iter(), after.iter());
    let mut counts: BTreeMap<(Option<S>, Option<S>), u64> = BTreeMap::new();
    joined(&ids(before), &ids(after), |_, was, is| {
        let from = if was { first.next().map(|(_, segment)| *segment) } else { None };
        let into = if is { second.next().map(|(_, segment)| *segment) } else { None };
        *counts.entry((from, into)).or_default() += 1;
    })?;
    let mut flows: Vec<_> = counts.into_iter().map(|((from, into), people)| Flow { from, into, people }).collect();
    flows.sort_by_key(|flow| std::cmp::Reverse(flow.people));
    Ok(flows)
}

fn ids<S>(list: &[(ProfileId, S)]) -> Vec<ProfileId> {
    list.iter().map(|(person, _)| *person).collect()
}

/// Whether somebody came into a segment or went out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Not in it on the first day, in it on the second.
    Entered,
    /// In it on the first day, not on the second.
    Left,
}

/// People who came or went for one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause<C> {
    /// The cause.
    pub cause: C,
    /// How many.
    pub people: u64,
}

/// One side of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side<C> {
    /// How many in all.
    pub people: u64,
    /// The commonest causes, the first the commonest.
    pub causes: Vec<Cause<C>>,
    /// How many for other causes.
    pub other: u64,
}

/// What a change in a segment's size is made of: `after = before + entered − left`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change<C> {
    /// Size on the first day.
    pub before: u64,
    /// Size on the second day.
    pub after: u64,
    /// Who came.
    pub entered: Side<C>,
    /// Who went.
    pub left: Side<C>,
}

/// Takes a change in size apart. `cause` is asked once for everybody who came or went, in the order of the ids; on each
/// side the `most` commonest causes are named, the smaller one first where two are as common.
///
/// # Errors
/// [`FlowError::NotSorted`] for a list that is not sorted by profile id with everybody once.
pub fn change<C: Ord>(
    before: &[ProfileId],
    after: &[ProfileId],
    most: usize,
    mut cause: impl FnMut(ProfileId, Direction) -> C,
) -> Result<Change<C>, FlowError> {
    let (mut entered, mut left) = (BTreeMap::new(), BTreeMap::new());
    joined(before, after, |person, was, is| match (was, is) {
        (false, true) => *entered.entry(cause(person, Direction::Entered)).or_default() += 1,
        (true, false) => *left.entry(cause(person, Direction::Left)).or_default() += 1,
        (true, true) | (false, false) => {}
    })?;
    let side = |counts: BTreeMap<C, u64>| {
        let people = counts.values().sum();
        let mut causes: Vec<_> = counts.into_iter().map(|(cause, people)| Cause { cause, people }).collect();
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.people));
        causes.truncate(most);
        let other = people - causes.iter().map(|cause| cause.people).sum::<u64>();
        Side { people, causes, other }
    };
    let (entered, left) = (side(entered), side(left));
    Ok(Change { before: before.len() as u64, after: after.len() as u64, entered, left })
}

/// Goes through two sorted lists at once: each person, whether in the first, whether in the second.
fn joined(
    first: &[ProfileId],
    second: &[ProfileId],
    mut visit: impl FnMut(ProfileId, bool, bool),
) -> Result<(), FlowError> {
    for list in [first, second] {
        if let Some(pair) = list.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(FlowError::NotSorted(pair[1]));
        }
    }
    let (mut one, mut two) = (first.iter().peekable(), second.iter().peekable());
    loop {
        let order = match (one.peek(), two.peek()) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(()),
        };
        let in_first = if order.is_le() { one.next() } else { None };
        let in_second = if order.is_ge() { two.next() } else { None };
        if let Some(person) = in_first.or(in_second) {
            visit(*person, in_first.is_some(), in_second.is_some());
        }
    }
}
