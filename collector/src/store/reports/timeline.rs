//! A person's events put into their visits.

use domain::report::TimelineKind;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// After a visit's last activity this much belongs to it still: an identify, a snapshot of a tab that was left open.
const AFTERWARDS: SignedDuration = domain::history::IDLE_LIMIT;

/// A visit's bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Timestamp,
}

/// An event as far as it decides where the event belongs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) identity_id: i64,
    pub(super) event_id: Uuid,
    pub(super) at: Timestamp,
    pub(super) trusted: bool,
    pub(super) kind: TimelineKind,
    /// The number of the text that names its source.
    pub(super) source_id: Option<i32>,
    /// The visit that it is known to belong to: an order's.
    pub(super) visit: Option<usize>,
}

/// One entry: a visit with its events, or one event by itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Which of the visits.
    pub(super) visit: Option<usize>,
    /// Oldest first.
    pub(super) events: Vec<Mark>,
    at: Timestamp,
}

/// The entries of a timeline, newest first.
///
/// An event belongs to the latest visit that began before it, if that was not over: a browser's until half an hour after
/// the visit's last activity, a server's until that activity, for what a server reports later was not part of it. What
/// is known to belong to a visit stands in that one.
pub(super) fn entries(visits: &[Bounds], mut events: Vec<Mark>) -> Vec<Entry> {
    let mut order: Vec<usize> = (0..visits.len()).collect();
    order.sort_by_key(|&visit| visits[visit].started_at);
    let mut entries: Vec<Entry> = order
        .iter()
        .map(|&visit| Entry { visit: Some(visit), events: Vec::new(), at: visits[visit].started_at })
        .collect();
    events.sort_unstable_by_key(|event| (event.at, event.event_id));
    for event in events {
        if let Some(place) = event.visit.and_then(|known| order.iter().position(|&visit| visit == known)) {
            entries[place].events.push(event);
            continue;
        }
        let begun = order.partition_point(|&visit| visits[visit].started_at <= event.at);
        let visit = begun.checked_sub(1).filter(|&latest| {
            let ended_at = visits[order[latest]].ended_at;
            let slack = if event.trusted { SignedDuration::ZERO } else { AFTERWARDS };
            event.at.duration_since(ended_at) <= slack
        });
        match visit {
            Some(latest) => entries[latest].events.push(event),
            None => entries.push(Entry { visit: None, at: event.at, events: vec![event] }),
        }
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn mark(minute: i64, trusted: bool) -> Mark {
        Mark {
            identity_id: 1,
            event_id: Uuid::from_u128(minute.unsigned_abs().into()),
            at: at(minute),
            trusted,
            kind: TimelineKind::Pages,
            source_id: None,
            visit: None,
        }
    }

    fn visit(from: i64, to: i64) -> Bounds {
        Bounds { started_at: at(from), ended_at: at(to) }
    }

    fn shape(entries: &[Entry]) -> Vec<(Option<usize>, Vec<Timestamp>)> {
        entries.iter().map(|entry| (entry.visit, entry.events.iter().map(|event| event.at).collect())).collect()
    }

    #[test]
    fn events_stand_in_their_visit_and_all_others_alone() {
        let visits = [visit(100, 110), visit(10, 20)];
        let events = vec![mark(105, false), mark(12, false), mark(5, true), mark(60, true), mark(10, false)];
        assert_eq!(
            shape(&entries(&visits, events)),
            [(Some(0), vec![at(105)]), (None, vec![at(60)]), (Some(1), vec![at(10), at(12)]), (None, vec![at(5)]),]
        );
    }

    #[test]
    fn a_browsers_event_right_after_a_visit_is_part_of_it_and_a_servers_is_not() {
        let visits = [visit(10, 20)];
        let entries = entries(&visits, vec![mark(21, false), mark(22, true), mark(51, false), mark(15, true)]);
        assert_eq!(shape(&entries), [(None, vec![at(51)]), (None, vec![at(22)]), (Some(0), vec![at(15), at(21)])]);
    }

    #[test]
    fn an_order_stands_in_its_own_visit() {
        let visits = [visit(100, 110), visit(10, 20)];
        let order = Mark { visit: Some(1), ..mark(26, true) };
        assert_eq!(shape(&entries(&visits, vec![order])), [(Some(0), vec![]), (Some(1), vec![at(26)])]);
    }

    #[test]
    fn a_visit_without_events_and_nobody_at_all() {
        assert_eq!(shape(&entries(&[visit(1, 2)], Vec::new())), [(Some(0), vec![])]);
        assert_eq!(entries(&[], Vec::new()), []);
    }
}
