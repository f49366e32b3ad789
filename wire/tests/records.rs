//! Handling of records that stay encoded, as the tracker's queue keeps them.

use proptest::prelude::*;
use wire::{Batch, Body, Device, Event, Id, Signals, Who, decode, encode_event, encode_header};
use wire::{id_time_ms, record_id, shift_id, shift_ids, split_record};

const VIEW: Id = [0x01, 0x93, 0xb0, 0xc4, 0x2f, 0x00, 0x7a, 0xbc, 0x8d, 0xef, 1, 2, 3, 4, 5, 6];

fn event(id: Id, view: Option<Id>) -> Event<'static> {
    let body = Body::Track { name: "Order Completed".into(), properties: r#"{"total":1}"#.into() };
    Event { id, at_ms: 1_795_478_400_123, view, body }
}

fn decoded(records: &[u8]) -> Vec<Event<'static>> {
    let batch = Batch {
        write_key: "wk_1".into(),
        sent_at_ms: 1,
        who: Who::Load(VIEW),
        signals: Signals::default(),
        tracker_version: 1,
        dropped: 0,
        sample_pct: 0,
        device: Device::default(),
        records: Vec::new(),
    };
    let mut body = Vec::new();
    encode_header(&mut body, &batch);
    body.extend(records);
    let batch = decode(&body).expect("readable");
    batch
        .records
        .into_iter()
        .map(|record| {
            let Event { id, at_ms, view, body } = record.expect("a record");
            let Body::Track { name, properties } = body else { panic!("expected a track event, got {body:?}") };
            let (name, properties) = (name.into_owned().into(), properties.into_owned().into());
            Event { id, at_ms, view, body: Body::Track { name, properties } }
        })
        .collect()
}

#[test]
fn records_are_split_and_named_without_decoding_them() {
    let mut bytes = Vec::new();
    encode_event(&mut bytes, &event([1; 16], None));
    let first = bytes.len();
    encode_event(&mut bytes, &event([2; 16], Some(VIEW)));

    let (one, rest) = split_record(&bytes).expect("a record");
    assert_eq!((one.len(), record_id(one)), (first, Some([1; 16])));
    let (two, rest) = split_record(rest).expect("another");
    assert_eq!((record_id(two), rest), (Some([2; 16]), &[][..]));
    assert_eq!(split_record(rest), None);
    assert_eq!(split_record(&bytes[..first - 1]), None);
}

#[test]
fn shifting_moves_the_ids_and_nothing_else() {
    let hour = 3_600_000;
    let mut moved_view = VIEW;
    shift_id(&mut moved_view, hour);
    assert_eq!(id_time_ms(&moved_view), id_time_ms(&VIEW) + hour);
    assert_eq!(moved_view[6..], VIEW[6..]);

    for view in [None, Some(VIEW)] {
        let mut record = Vec::new();
        encode_event(&mut record, &event(VIEW, view));
        shift_ids(&mut record, hour);
        assert_eq!(decoded(&record), [event(moved_view, view.map(|_| moved_view))]);
    }
}

#[test]
fn a_shift_beyond_what_an_id_can_hold_stops_at_its_ends() {
    let mut id = VIEW;
    shift_id(&mut id, i64::MIN);
    assert_eq!(id_time_ms(&id), 0);
    shift_id(&mut id, i64::MAX);
    assert_eq!(id_time_ms(&id), (1 << 48) - 1);
}

proptest! {
    #[test]
    fn any_bytes_can_be_asked(mut bytes in prop::collection::vec(any::<u8>(), 0..200), by in any::<i64>()) {
        let length = bytes.len();
        shift_ids(&mut bytes, by);
        prop_assert_eq!(bytes.len(), length);
        let _ = record_id(&bytes);
        if let Some((record, rest)) = split_record(&bytes) {
            prop_assert_eq!(record.len() + rest.len(), length);
        }
    }
}
