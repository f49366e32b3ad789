//! The format as `FORMAT.md` has it, written by hand here and not by the encoder: the reader keeps to the document.

use proptest::prelude::*;
use serde_json::{Value, json};
use wire::{Body, Event, Id, Measures, RecordError, decode, encode};

/// A field: its tag and its bytes.
type Field = (u64, Vec<u8>);

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn zigzag(value: i64) -> Vec<u8> {
    varint(((value << 1) ^ (value >> 63)).cast_unsigned())
}

fn prefixed(bytes: &[u8]) -> Vec<u8> {
    [varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn fields(fields: &[Field]) -> Vec<u8> {
    fields.iter().flat_map(|(tag, bytes)| [varint(*tag), prefixed(bytes)].concat()).collect()
}

/// One record in both forms: kind, id, time, and the fields as bytes and as members.
#[derive(Clone, Debug)]
struct Told {
    kind: (u64, &'static str),
    id: Id,
    at: i64,
    fields: Vec<Field>,
    members: Vec<(&'static str, Value)>,
}

impl Told {
    fn record(&self) -> Vec<u8> {
        let head = [varint(self.kind.0), self.id.to_vec(), zigzag(self.at)].concat();
        prefixed(&[head, fields(&self.fields)].concat())
    }

    fn object(&self) -> Value {
        let mut object = json!({ "kind": self.kind.1, "id": hex(&self.id), "at": self.at });
        for (name, value) in &self.members {
            object[*name] = value.clone();
        }
        object
    }
}

fn hex(id: &Id) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Texts as people write them; half a surrogate pair cannot stand in one.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[ -~]{0,40}", Just("\u{1f} \"\\ \u{0} 👟".to_owned())]
}

/// A field of text that is the member `name`.
fn text(tag: u64, name: &'static str) -> BoxedStrategy<(Field, (&'static str, Value))> {
    texts().prop_map(move |text| ((tag, text.clone().into_bytes()), (name, json!(text)))).boxed()
}

/// A field of a JSON object that is the member `name`.
fn object(tag: u64, name: &'static str) -> BoxedStrategy<(Field, (&'static str, Value))> {
    (texts(), any::<i32>())
        .prop_map(move |(key, value)| {
            let object = json!({ key: value });
            ((tag, object.to_string().into_bytes()), (name, object))
        })
        .boxed()
}

/// A field of a number up to `most` that is the member `name`.
fn number(tag: u64, name: &'static str, most: u32) -> BoxedStrategy<(Field, (&'static str, Value))> {
    (0..=most).prop_map(move |number| ((tag, varint(number.into())), (name, json!(number)))).boxed()
}

/// A record of one of the six kinds with all its fields.
fn told() -> impl Strategy<Value = Told> {
    let kinds = prop_oneof![
        (Just((1, "page")), vec![text(2, "url"), text(3, "title"), text(4, "referrer")]),
        (
            Just((2, "snapshot")),
            vec![
                number(2, "revision", u32::MAX),
                number(3, "engaged_ms", u32::MAX),
                number(4, "max_scroll_pct", 100),
                number(5, "clicks", u32::MAX),
                number(6, "rage_clicks", u32::MAX),
                number(7, "dead_clicks", u32::MAX),
                number(8, "errors", u32::MAX),
                number(9, "copies", u32::MAX),
                number(10, "fields", u32::MAX),
                number(11, "lcp_ms", u32::MAX),
                number(12, "fcp_ms", u32::MAX),
                number(13, "ttfb_ms", u32::MAX),
                number(14, "inp_ms", u32::MAX),
                number(15, "cls_millis", u32::MAX)
            ]
        ),
        (Just((3, "track")), vec![text(2, "name"), object(3, "properties")]),
        (Just((4, "identify")), vec![text(2, "user_id"), object(3, "traits")]),
        (Just((5, "group")), vec![text(2, "group_id"), object(3, "traits")]),
        (Just((6, "alias")), vec![text(2, "user_id"), text(3, "previous_id")]),
    ];
    // JSON's numbers are doubles to most who write them.
    (kinds, any::<Id>(), any::<Id>(), -(1_i64 << 53)..(1_i64 << 53)).prop_map(|((kind, own), id, view, at)| {
        let (mut fields, mut members): (Vec<Field>, Vec<_>) = own.into_iter().unzip();
        if kind.0 != 1 {
            fields.push((1, view.to_vec()));
            members.push(("view", json!(hex(&view))));
        }
        Told { kind, id, at, fields, members }
    })
}

fn binary(more_header: &[Field], records: &[Vec<u8>]) -> Vec<u8> {
    let mut header = vec![(1, b"wk_1".to_vec()), (2, zigzag(5)), (4, vec![7; 16])];
    header.extend_from_slice(more_header);
    [b"SEG\x01".to_vec(), prefixed(&fields(&header)), records.concat()].concat()
}

fn in_json(events: &[Value]) -> Vec<u8> {
    let load = hex(&[7; 16]);
    json!({ "v": 1, "key": "wk_1", "sent": 5, "load": load, "events": events }).to_string().into_bytes()
}

/// Fields that this version does not know.
fn newer() -> impl Strategy<Value = Vec<Field>> {
    prop::collection::vec((100..u64::MAX, prop::collection::vec(any::<u8>(), 0..20)), 1..4)
}

proptest! {
    #[test]
    fn both_forms_of_a_batch_are_one_batch(told in prop::collection::vec(told(), 0..8)) {
        let records: Vec<Vec<u8>> = told.iter().map(Told::record).collect();
        let objects: Vec<Value> = told.iter().map(Told::object).collect();
        let (binary, in_json) = (binary(&[], &records), in_json(&objects));
        let read = decode(&binary).expect("the binary form");
        prop_assert!(read.records.iter().all(Result::is_ok), "{:?}", read.records);
        prop_assert_eq!(&decode(&in_json).expect("the JSON form"), &read);
        let written = encode(&read);
        prop_assert!(decode(&written).is_ok_and(|again| again == read));
    }

    #[test]
    fn what_a_newer_tracker_adds_changes_nothing(
        told in told(), head in newer(), added in newer(), at in any::<prop::sample::Index>()
    ) {
        let mut longer = told.clone();
        let place = at.index(longer.fields.len() + 1);
        longer.fields.splice(place..place, added);
        let old = binary(&[], &[told.record()]);
        let new = binary(&head, &[longer.record()]);
        prop_assert_eq!(decode(&new), decode(&old));
        let mut object = told.object();
        object["newer"] = json!({ "a": [1, { "b": "}" }] });
        let (new, old) = (in_json(&[object]), in_json(&[told.object()]));
        prop_assert_eq!(decode(&new), decode(&old));
    }

    #[test]
    fn a_record_in_front_of_one_that_is_cut_off_is_read(first in told(), last in told(), keep in any::<prop::sample::Index>()) {
        let cut = last.record();
        let cut = &cut[..keep.index(cut.len())];
        let body = binary(&[], &[first.record(), cut.to_vec()]);
        let records = decode(&body).expect("readable").records;
        let is_first = |record: &Result<Event<'_>, RecordError>| matches!(record, Ok(event) if event.id == first.id);
        prop_assert!(is_first(&records[0]), "{records:?}");
        prop_assert!(records[1..].iter().all(Result::is_err), "{records:?}");
    }
}

#[test]
fn a_snapshots_numbers_are_where_the_document_says() {
    let record = Told {
        kind: (2, "snapshot"),
        id: [1; 16],
        at: 9,
        fields: vec![
            (5, varint(44)),
            (2, varint(11)),
            (1, vec![3; 16]),
            (4, varint(33)),
            (3, varint(222_222)),
            (15, varint(15)),
            (6, varint(66)),
        ],
        members: Vec::new(),
    };
    let body = binary(&[], &[record.record()]);
    let batch = decode(&body).expect("readable");
    let Ok(Event { body: Body::Snapshot { revision, engaged_ms, max_scroll_pct, clicks, measures }, .. }) =
        batch.records[0]
    else {
        panic!("expected a snapshot, got {:?}", batch.records);
    };
    assert_eq!((revision, engaged_ms, max_scroll_pct, clicks), (11, 222_222, 33, 44));
    assert_eq!(measures, Measures { rage_clicks: 66, cls_millis: 15, ..Measures::default() });
}
