use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
use wire::{Body, Event};

const NOW: i64 = 1_795_478_400_000;
const OK: Answer = Answer { status: 200, retry_after_s: 0.0, clock_ms: None };
const LOAD: Who = Who::Load([1; 16]);
const VISITOR: Who = Who::Visitor([2; 16]);

fn id(time_ms: i64, n: u8) -> Id {
    let mut id = [n; 16];
    id[..6].copy_from_slice(&time_ms.to_be_bytes()[2..]);
    id
}

fn record_with(id: Id, bytes: usize) -> Vec<u8> {
    let body = Body::Track { name: "x".repeat(bytes).into(), properties: "".into() };
    let mut record = Vec::new();
    wire::encode_event(&mut record, &Event { id, at_ms: NOW, view: Some(id), body });
    record
}

fn record(n: u8) -> Vec<u8> {
    record_with(id(NOW, n), 3)
}

fn ids(records: &[u8]) -> Vec<Id> {
    let mut rest = records;
    let mut ids = Vec::new();
    while let Some((record, after)) = wire::split_record(rest) {
        ids.push(wire::record_id(record).expect("an id"));
        rest = after;
    }
    ids
}

fn queue_of(who: Who, numbers: &[u8]) -> Queue {
    let mut queue = Queue::default();
    numbers.iter().for_each(|n| queue.push(who, record(*n)));
    queue
}

#[test]
fn events_stay_until_they_are_acknowledged() {
    let mut queue = queue_of(LOAD, &[1, 2]);
    let (who, records) = queue.next_batch().expect("a batch");
    assert_eq!((who, ids(&records)), (LOAD, vec![id(NOW, 1), id(NOW, 2)]));
    queue.push(LOAD, record(3));
    assert!(queue.next_batch().is_none(), "one post at a time");
    assert_eq!(queue.len(), 3);
    assert_eq!(queue.answered(OK, NOW, 0.0), 0.0);
    assert_eq!(ids(&queue.next_batch().expect("the rest").1), [id(NOW, 3)]);
    queue.answered(OK, NOW, 0.0);
    assert!(queue.is_empty() && queue.next_batch().is_none());
    assert_eq!(queue.dropped(), 0);
}

#[test]
fn a_queue_of_two_visitors_is_sent_as_two_batches() {
    let mut queue = queue_of(LOAD, &[1, 2]);
    queue.push(VISITOR, record(3));
    assert_eq!(queue.next_batch().map(|(who, records)| (who, ids(&records).len())), Some((LOAD, 2)));
    queue.answered(OK, NOW, 0.0);
    assert_eq!(queue.next_batch().map(|(who, records)| (who, ids(&records).len())), Some((VISITOR, 1)));
}

#[test]
fn a_failed_post_is_sent_again_with_the_same_bytes() {
    for status in [0, 408, 425, 429, 500, 503] {
        let mut queue = queue_of(LOAD, &[1, 2]);
        let first = queue.next_batch();
        let wait = queue.answered(Answer { status, retry_after_s: 0.0, clock_ms: None }, NOW, 0.0);
        assert_eq!(wait, 2_000.0);
        assert_eq!(queue.next_batch(), first, "{status}");
    }
}

#[test]
fn a_final_refusal_is_counted_and_not_repeated() {
    for status in [400, 401, 403, 404, 413] {
        let mut queue = queue_of(LOAD, &[1, 2]);
        queue.next_batch();
        queue.push(LOAD, record(3));
        assert_eq!(queue.answered(Answer { status, retry_after_s: 0.0, clock_ms: None }, NOW, 0.0), 0.0);
        assert_eq!((queue.len(), queue.dropped()), (1, 2), "{status}");
    }
}

#[test]
fn waiting_doubles_varies_and_obeys_the_server() {
    assert_eq!(wait_ms(0, 0.0, 0.0), 2_000.0);
    assert_eq!(wait_ms(0, 0.0, 0.9), 1_100.0);
    assert_eq!(wait_ms(3, 0.0, 0.0), 16_000.0);
    assert_eq!(wait_ms(u32::MAX, 0.0, 0.0), LONGEST_WAIT_MS);
    assert_eq!(wait_ms(0, 120.0, 0.5), 120_000.0);
    assert_eq!(wait_ms(0, f64::NAN, 0.0), 2_000.0);
    assert_eq!(wait_ms(0, 1e12, 0.0), 86_400_000.0);
}

#[test]
fn a_beacon_carries_each_event_once_and_keeps_it() {
    let mut queue = queue_of(LOAD, &[1]);
    queue.next_batch();
    queue.push(LOAD, record(2));
    queue.push(VISITOR, record(3));
    let mut beacons = Vec::new();
    while let Some((who, records, count)) = queue.next_beacon() {
        beacons.push((who, ids(&records)));
        queue.beaconed(count);
    }
    assert_eq!(beacons, [(LOAD, vec![id(NOW, 2)]), (VISITOR, vec![id(NOW, 3)])], "the first is in a fetch already");
    assert_eq!(queue.len(), 3);
    queue.answered(OK, NOW, 0.0);
    assert_eq!(ids(&queue.next_batch().expect("a fetch follows the beacon").1), [id(NOW, 2)]);
}

#[test]
fn what_no_beacon_takes_is_offered_to_the_next_one() {
    let queue = queue_of(LOAD, &[1]);
    assert_eq!(queue.next_beacon(), queue.next_beacon());
    assert!(queue.next_beacon().is_some());
}

#[test]
fn limits_drop_the_oldest_but_never_what_is_on_its_way() {
    let mut queue = queue_of(LOAD, &[1, 2]);
    queue.next_batch();
    for n in 0..MAX_EVENTS + 2 {
        queue.push(LOAD, record_with(id(NOW + n as i64, 9), 3));
    }
    assert_eq!((queue.len(), queue.dropped()), (2 + MAX_EVENTS, 2));
    queue.answered(OK, NOW, 0.0);
    assert_eq!(queue.len(), MAX_EVENTS);
    assert_eq!(ids(&queue.next_batch().expect("the rest").1)[0], id(NOW + 2, 9), "the oldest two are gone");

    let mut queue = Queue::default();
    for n in 0..10 {
        queue.push(LOAD, record_with(id(NOW, n), 10_000));
    }
    assert_eq!((queue.len(), queue.dropped()), (6, 4));
    assert_eq!(ids(&queue.next_batch().expect("a batch").1).len(), 4, "a post has a limit of its own");

    queue.push(LOAD, record_with(id(NOW, 99), MAX_EVENT_BYTES));
    assert_eq!((queue.len(), queue.dropped()), (6, 5));
}

#[test]
fn only_visitors_who_consented_are_stored() {
    assert!(queue_of(LOAD, &[1]).to_stored(NOW).is_empty());
    let mut queue = queue_of(LOAD, &[1]);
    queue.push(VISITOR, record(2));
    let stored = queue.to_stored(NOW);

    let mut next_page = queue_of(VISITOR, &[3]);
    next_page.restore(&stored, NOW);
    next_page.restore(&stored, NOW);
    let (who, records) = next_page.next_batch().expect("a batch");
    assert_eq!((who, ids(&records)), (VISITOR, vec![id(NOW, 2), id(NOW, 3)]), "once, and the older first");
}

#[test]
fn what_is_taken_over_leaves_by_a_fetch_that_hears_its_answer_only() {
    let stored = queue_of(VISITOR, &[1]).to_stored(NOW);
    let mut queue = queue_of(VISITOR, &[2]);
    assert!(queue.is_fresh());
    queue.restore(&stored, NOW);
    assert!(!queue.is_fresh());
    let (_, records, count) = queue.next_beacon().expect("its own");
    assert_eq!((ids(&records), count), (vec![id(NOW, 2)], 1));
    assert_eq!(ids(&queue.next_batch().expect("both").1), [id(NOW, 1), id(NOW, 2)]);
}

#[test]
fn a_full_queue_on_its_way_leaves_room_for_what_happens_meanwhile() {
    let mut full = Queue::default();
    (0..MAX_EVENTS).for_each(|n| full.push(VISITOR, record_with(id(NOW + n as i64, 1), 3)));
    let stored = full.to_stored(NOW);
    let mut queue = Queue::default();
    assert!(queue.restore(&stored, NOW));
    queue.next_batch();
    queue.push(VISITOR, record(2));
    assert_eq!(queue.next_beacon().map(|(_, records, _)| ids(&records)), Some(vec![id(NOW, 2)]));
    assert_eq!(queue.dropped(), 0);
}

#[test]
fn more_is_taken_over_only_where_there_is_room_for_it() {
    let stored = queue_of(VISITOR, &[1, 2]).to_stored(NOW);
    let mut queue = Queue::default();
    (1..MAX_EVENTS).for_each(|n| queue.push(VISITOR, record_with(id(NOW + n as i64, 3), 3)));
    assert!(!queue.restore(&stored, NOW));
    assert_eq!((queue.len(), queue.dropped()), (MAX_EVENTS - 1, 0));
    queue.next_batch();
    queue.answered(OK, NOW, 0.0);
    assert!(queue.restore(&stored, NOW));
    assert_eq!(queue.len(), 2);
}

#[test]
fn what_another_page_has_taken_over_is_let_go_of_and_nothing_else() {
    let mut queue = queue_of(VISITOR, &[1, 2]);
    assert!(!queue.to_stored(NOW).is_empty());
    queue.push(VISITOR, record(3));
    queue.push(LOAD, record(4));
    queue.give_up_stored();
    assert_eq!(ids(&queue.next_batch().expect("what came later").1), [id(NOW, 3)]);
    assert_eq!((queue.len(), queue.dropped()), (2, 0));
}

#[test]
fn what_is_on_its_way_is_not_let_go_of_before_its_answer() {
    let mut queue = queue_of(VISITOR, &[1, 2]);
    queue.next_batch();
    queue.to_stored(NOW);
    queue.give_up_stored();
    assert_eq!(queue.len(), 2);
    queue.answered(Answer { status: 503, ..OK }, NOW, 0.0);
    queue.give_up_stored();
    assert!(queue.is_empty());
}

#[test]
fn a_page_that_has_just_written_is_held_to_live() {
    let stored = queue_of(VISITOR, &[1]).to_stored(NOW);
    assert!(is_leased(&stored, NOW + 4_999, 5_000));
    assert!(!is_leased(&stored, NOW + 5_000, 5_000));
    assert!(!is_leased(&stored, NOW - DAY_MS, 5_000), "a clock that was set back ends it too");
    assert!(!is_leased(&stored, NOW, 0));
    assert!(!is_leased(&[9; 100], NOW, 5_000));
}

#[test]
fn stored_events_are_forgotten_after_a_week() {
    let stored = queue_of(VISITOR, &[1]).to_stored(NOW);
    let mut queue = Queue::default();
    queue.restore(&stored, NOW + MAX_AGE_MS);
    assert!(queue.is_empty());
    queue.restore(&stored, NOW + MAX_AGE_MS - 1);
    assert_eq!(queue.len(), 1);
}

#[test]
fn what_is_stored_may_be_anything() {
    let stored = queue_of(VISITOR, &[1, 2]).to_stored(NOW);
    for length in 0..stored.len() {
        let mut queue = Queue::default();
        queue.restore(&stored[..length], NOW);
        assert!(queue.len() < 2);
    }
    let mut queue = Queue::default();
    queue.restore(&[9; 100], NOW);
    assert!(queue.is_empty());
}

#[test]
fn ids_of_a_wrong_clock_are_minted_anew_once() {
    let year = 365 * DAY_MS;
    let server = NOW + year;
    let clock = Answer { clock_ms: Some(server + 1_234), ..OK };
    let mut queue = queue_of(LOAD, &[1]);
    queue.push(LOAD, record_with(id(server, 2), 3));
    queue.next_batch();
    queue.push(LOAD, record(3));
    queue.answered(clock, NOW, 0.0);

    let (_, records) = queue.next_batch().expect("once more");
    assert_eq!(ids(&records), [id(server, 1), id(server, 3)], "the one in range was stored and is done");
    queue.push(LOAD, record(4));
    queue.answered(clock, NOW, 0.0);
    let (_, records) = queue.next_batch().expect("what came later");
    assert_eq!(ids(&records), [id(server, 4)], "the same clock, the same correction, before it is sent");
    assert_eq!(queue.dropped(), 0);
}

#[test]
fn an_id_that_stays_out_of_range_is_dropped_and_counted() {
    let mut queue = Queue::default();
    queue.push(LOAD, record_with(id(NOW - 30 * DAY_MS, 1), 3));
    queue.next_batch();
    queue.answered(Answer { clock_ms: Some(NOW), ..OK }, NOW, 0.0);
    assert_eq!((queue.len(), queue.dropped()), (0, 1), "the clock was right, so the event is simply too old");
}

#[test]
fn an_answer_after_everything_was_cleared_touches_nothing_new() {
    let mut queue = queue_of(LOAD, &[1, 2]);
    queue.next_batch();
    queue.clear();
    queue.push(LOAD, record(3));
    assert!(queue.next_batch().is_none());
    queue.answered(OK, NOW, 0.0);
    assert_eq!(ids(&queue.next_batch().expect("the new one").1), [id(NOW, 3)]);
}
