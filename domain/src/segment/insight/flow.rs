//! Lists of people compared: what a change in a segment's size is made of.
//!
//! All lists are sorted by profile id with everybody in them once, as [`members`](crate::segment::SegmentBook::members)
//! gives them.

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
