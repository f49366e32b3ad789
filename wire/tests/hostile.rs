//! Input that no tracker of ours sends.

use proptest::prelude::*;
use serde_json::{Value, json};
use wire::{
    Batch, Body, Device, Event, Fault, Id, MAX_RECORDS, Measures, RecordError, Signals, Who, decode, encode,
    encode_event,
};

fn page(id: Id) -> Event<'static> {
    Event {
        id,
        at_ms: 5,
        view: None,
        body: Body::Page { url: "https://a.example/".into(), title: "".into(), referrer: "".into() },
    }
}

fn batch(records: Vec<Event<'static>>) -> Batch<'static> {
    Batch {
        write_key: "wk_1".into(),
        sent_at_ms: 1,
        who: Who::Visitor([7; 16]),
        signals: Signals::default(),
        tracker_version: 1,
        dropped: 0,
        sample_pct: 0,
        device: Device::default(),
        records: records.into_iter().map(Ok).collect(),
    }
}

/// A record as its bytes: length, kind, id, a time of 0 and then `fields`.
fn record(kind: u8, id: Id, fields: &[u8]) -> Vec<u8> {
    let mut bytes = vec![(18 + fields.len()) as u8, kind];
    bytes.extend(id);
    bytes.push(0);
    bytes.extend(fields);
    bytes
}

fn with_records(records: &[Vec<u8>]) -> Vec<u8> {
    let mut body = encode(&batch(Vec::new()));
    body.extend(records.concat());
    body
}

fn json_batch(events: &str) -> Vec<u8> {
    format!(r#"{{"v":1,"key":"wk_1","sent":1,"visitor":"{}","events":[{events}]}}"#, "07".repeat(16)).into_bytes()
}

fn json_page(id: &str, title: &[u8]) -> Vec<u8> {
    let mut event = format!(r#"{{"kind":"page","id":"{id}","at":5,"url":"https://a.example/","title":""#).into_bytes();
    event.extend(title);
    event.extend(b"\"}");
    event
}

#[test]
fn an_unknown_field_is_skipped() {
    let known = [2, 1, b'/'];
    let unknown = [99, 3, 1, 2, 3];
    let body = with_records(&[record(1, [1; 16], &[&unknown[..], &known].concat())]);
    let read = decode(&body).expect("readable");
    assert_eq!(read.records.len(), 1);
    assert!(matches!(&read.records[0], Ok(Event { body: Body::Page { url, .. }, .. }) if url == "/"));
}

#[test]
fn an_unknown_header_field_is_skipped() {
    let mut body = encode(&batch(vec![page([1; 16])]));
    let header_length = body[4];
    assert!(header_length < 0x7c, "one byte is enough for the length");
    body[4] += 3;
    body.splice(5..5, [77, 1, 0]);
    assert_eq!(decode(&body), Ok(batch(vec![page([1; 16])])));
}

#[test]
fn an_unknown_kind_is_that_records_error_only() {
    let two_byte_kind = [&[18, 0xc8, 0x01], &[9; 16][..]].concat();
    let mut body = with_records(&[two_byte_kind, record(7, [3; 16], &[1])]);
    encode_event(&mut body, &page([4; 16]));
    let read = decode(&body).expect("readable");
    assert_eq!(
        read.records,
        [
            Err(RecordError { id: Some([9; 16]), fault: Fault::UnknownKind }),
            Err(RecordError { id: Some([3; 16]), fault: Fault::UnknownKind }),
            Ok(page([4; 16])),
        ]
    );
}

#[test]
fn a_bad_record_keeps_its_place_between_its_neighbours() {
    let mut body = encode(&batch(vec![page([1; 16])]));
    body.extend(record(1, [2; 16], &[2, 2, 0xff, 0xfe])); // no UTF-8
    body.extend(record(1, [3; 16], &[2, 9, b'x'])); // a field longer than its record
    body.extend(record(2, [4; 16], &[2, 1, 1])); // a snapshot of no view
    body.extend([0]); // nothing at all
    encode_event(&mut body, &page([5; 16]));
    let error = |id, fault| Err(RecordError { id, fault });
    assert_eq!(
        decode(&body).expect("readable").records,
        [
            Ok(page([1; 16])),
            error(Some([2; 16]), Fault::BadText),
            error(Some([3; 16]), Fault::Malformed),
            error(Some([4; 16]), Fault::Malformed),
            error(None, Fault::Malformed),
            Ok(page([5; 16])),
        ]
    );
}

#[test]
fn a_cut_off_body_loses_only_its_last_record() {
    let body = encode(&batch(vec![page([1; 16]), page([2; 16])]));
    let read = decode(&body[..body.len() - 3]).expect("readable");
    assert_eq!(read.records, [Ok(page([1; 16])), Err(RecordError { id: Some([2; 16]), fault: Fault::Malformed })]);
}

#[test]
fn lengths_that_are_only_claimed_allocate_nothing() {
    let mut body = encode(&batch(Vec::new()));
    body.extend([0xff; 9]);
    body.push(0x01); // a record of 2^64 - 1 bytes
    assert_eq!(decode(&body).expect("readable").records, [Err(RecordError { id: None, fault: Fault::Malformed })]);
}

#[test]
fn more_records_than_the_limit_are_no_batch() {
    let mut body = encode(&batch(Vec::new()));
    let header = body.len();
    body.resize(header + MAX_RECORDS, 0);
    assert_eq!(decode(&body).expect("at the limit").records.len(), MAX_RECORDS);
    body.push(0);
    assert_eq!(decode(&body).expect_err("over the limit").at, header + MAX_RECORDS);

    let json = json_batch(&vec!["0"; MAX_RECORDS + 1].join(","));
    assert_eq!(decode(&json).expect_err("over the limit").expected, "at most 10,000 records");
}

#[test]
fn a_body_that_is_no_batch_says_where_and_what() {
    let error = |body: &[u8]| decode(body).expect_err("no batch").to_string();
    assert_eq!(error(b""), "byte 0: expected a batch: the bytes `SEG`, or `{`");
    assert_eq!(error(b" \n[1]"), "byte 2: expected a batch: the bytes `SEG`, or `{`");
    assert_eq!(error(b"SEG\x02"), "byte 3: expected format version 1");
    assert_eq!(error(b"SEG\x01\x05\x01"), "byte 4: expected a header of the length it claims");
    assert_eq!(error(b"SEG\x01\x00"), "byte 5: expected a header with the write key");
    assert_eq!(error(b"{\"v\":1"), "byte 6: expected `,` or `}`");
    assert_eq!(error(b"{\"v\":2}"), "byte 0: expected a batch with `\"v\":1`");
    assert_eq!(error(b"{\"v\":1,\"events\":7}"), "byte 16: expected an array of events");
    assert_eq!(error(b"{\"v\":1}x"), "byte 7: expected nothing after the batch");
}

#[test]
fn nul_is_text_and_left_for_the_collector_to_judge() {
    let mut event = page([1; 16]);
    event.body = Body::Track { name: "a\0b".into(), properties: r#"{"a":"\u0000"}"#.into() };
    let sent = batch(vec![event]);
    assert_eq!(decode(&encode(&sent)), Ok(sent.clone()));

    let id = "01".repeat(16);
    let body = json_batch(&format!(
        r#"{{"kind":"track","id":"{id}","at":5,"name":"a\u0000b","properties":{{"a":"\u0000"}}}}"#
    ));
    assert_eq!(decode(&body).expect("readable").records, sent.records);
}

#[test]
fn json_text_that_is_no_text_is_that_records_error_only() {
    let ids = ["01", "02", "03", "04"].map(|byte| byte.repeat(16));
    let mut events = Vec::new();
    for (id, title) in ids.iter().zip([&b"good"[..], b"half \\ud800 pair", b"\xff\xfe", b"also good"]) {
        if !events.is_empty() {
            events.push(b',');
        }
        events.extend(json_page(id, title));
    }
    let mut body = json_batch("");
    let end = body.len() - 2;
    body.splice(end..end, events);

    let read = decode(&body).expect("readable");
    assert!(matches!(&read.records[0], Ok(Event { body: Body::Page { title, .. }, .. }) if title == "good"));
    assert_eq!(read.records[1], Err(RecordError { id: Some([2; 16]), fault: Fault::BadText }));
    assert_eq!(read.records[2], Err(RecordError { id: Some([3; 16]), fault: Fault::BadText }));
    assert!(matches!(&read.records[3], Ok(Event { body: Body::Page { title, .. }, .. }) if title == "also good"));
}

#[test]
fn json_records_of_the_wrong_shape_are_their_own_errors_only() {
    let id = "01".repeat(16);
    let malformed = |id| Err(RecordError { id, fault: Fault::Malformed });
    for (event, expected) in [
        ("7".to_owned(), malformed(None)),
        ("{]".to_owned(), malformed(None)),
        (format!(r#"{{"kind":"page","id":"{id}","at":5}}"#), malformed(Some([1; 16]))),
        (format!(r#"{{"kind":"page","id":"{id}","at":"5","url":"/"}}"#), malformed(Some([1; 16]))),
        (format!(r#"{{"kind":"page","id":"{id}","at":1e300,"url":"/"}}"#), malformed(Some([1; 16]))),
        (format!(r#"{{"kind":"page","id":"{id}","at":5,"url":7}}"#), malformed(Some([1; 16]))),
        (format!(r#"{{"kind":"page","id":"{id}00","at":5,"url":"/"}}"#), malformed(None)),
        (r#"{"kind":"page","id":"","at":5,"url":"/"}"#.to_owned(), malformed(None)),
        (format!(r#"{{"kind":"track","id":"{id}","at":5,"name":"n","properties":[]}}"#), malformed(Some([1; 16]))),
        (format!(r#"{{"kind":"snapshot","id":"{id}","at":5,"revision":1}}"#), malformed(Some([1; 16]))),
        (
            format!(r#"{{"kind":"snapshot","id":"{id}","at":5,"view":"{id}","revision":1,"max_scroll_pct":101}}"#),
            malformed(Some([1; 16])),
        ),
        (format!(r#"{{"kind":"new","id":"{id}"}}"#), Err(RecordError { id: Some([1; 16]), fault: Fault::UnknownKind })),
    ] {
        let good = format!(r#"{{"kind":"page","id":"{id}","at":5,"view":"","url":"https://a.example/"}}"#);
        let body = json_batch(&format!("{event},{good}"));
        let read = decode(&body).unwrap_or_else(|error| panic!("{event}: {error}"));
        assert_eq!(read.records, [expected, Ok(page([1; 16]))], "{event}");
    }
}

#[test]
fn an_object_may_stand_as_its_text() {
    let id = "01".repeat(16);
    for properties in [r#"{"a":"b"}"#, r#""{\"a\":\"b\"}""#] {
        let event = format!(r#"{{"kind":"track","id":"{id}","at":5,"name":"n","properties":{properties}}}"#);
        let body = json_batch(&event);
        let read = decode(&body).expect("readable");
        let Ok(Event { body: Body::Track { properties, .. }, .. }) = &read.records[0] else {
            panic!("expected a track event, got {:?}", read.records);
        };
        assert_eq!(properties, r#"{"a":"b"}"#);
    }
}

#[test]
fn depth_costs_nothing() {
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    let id = "01".repeat(16);
    let event = format!(r#"{{"kind":"track","id":"{id}","at":5,"name":"n","properties":{{"a":{deep}}}}}"#);
    let body = json_batch(&event);
    let read = decode(&body).expect("readable");
    assert!(matches!(&read.records[..], [Ok(_)]), "the collector's limit on depth decides, not the stack");
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), any::<String>(), "[a-z/?=&]{0,200}"]
}

fn measures() -> impl Strategy<Value = Measures> {
    any::<[u32; Measures::COUNT]>().prop_map(Measures::from)
}

fn bodies() -> impl Strategy<Value = Body<'static>> {
    let pairs = || (texts(), texts());
    prop_oneof![
        (texts(), texts(), texts()).prop_map(|(url, title, referrer)| Body::Page {
            url: url.into(),
            title: title.into(),
            referrer: referrer.into()
        }),
        (any::<(u32, u32, u32)>(), 0..=100_u8, measures()).prop_map(
            |((revision, engaged_ms, clicks), max_scroll_pct, measures)| Body::Snapshot {
                revision,
                engaged_ms,
                max_scroll_pct,
                clicks,
                measures
            }
        ),
        pairs().prop_map(|(name, properties)| Body::Track { name: name.into(), properties: properties.into() }),
        pairs().prop_map(|(user_id, traits)| Body::Identify { user_id: user_id.into(), traits: traits.into() }),
        pairs().prop_map(|(group_id, traits)| Body::Group { group_id: group_id.into(), traits: traits.into() }),
        pairs().prop_map(|(user_id, previous_id)| Body::Alias {
            user_id: user_id.into(),
            previous_id: previous_id.into()
        }),
    ]
}

fn events() -> impl Strategy<Value = Event<'static>> {
    (any::<Id>(), any::<i64>(), any::<Option<Id>>(), bodies()).prop_map(|(id, at_ms, view, body)| {
        let view = if matches!(body, Body::Snapshot { .. }) { view.or(Some(id)) } else { view };
        Event { id, at_ms, view, body }
    })
}

fn batches() -> impl Strategy<Value = Batch<'static>> {
    let who = any::<(bool, Id)>().prop_map(|(stays, id)| if stays { Who::Visitor(id) } else { Who::Load(id) });
    let device = (any::<(u16, u16)>(), texts(), texts());
    (
        texts(),
        any::<i64>(),
        who,
        (any::<(bool, bool, u16, u32)>(), 0..100_u8),
        device,
        prop::collection::vec(events(), 0..20),
    )
        .prop_map(
            |(
                key,
                sent_at_ms,
                who,
                ((gpc, dnt, tracker_version, dropped), sample_pct),
                ((width, height), language, time_zone),
                events,
            )| Batch {
                write_key: key.into(),
                sent_at_ms,
                who,
                signals: Signals { gpc, dnt },
                tracker_version,
                dropped,
                sample_pct,
                device: Device {
                    screen_width: width,
                    screen_height: height,
                    language: language.into(),
                    time_zone: time_zone.into(),
                },
                records: events.into_iter().map(Ok).collect(),
            },
        )
}

fn hex(id: &Id) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A batch in the form that the loader writes; an object stands as its text.
fn in_json(batch: &Batch<'_>) -> Vec<u8> {
    let events: Vec<Value> = batch.records.iter().flatten().map(event_in_json).collect();
    let mut body = json!({
        "v": 1, "key": batch.write_key, "sent": batch.sent_at_ms, "gpc": batch.signals.gpc, "dnt": batch.signals.dnt,
        "tracker": batch.tracker_version, "dropped": batch.dropped, "sample": batch.sample_pct, "width": batch.device.screen_width,
        "height": batch.device.screen_height, "language": batch.device.language,
        "time_zone": batch.device.time_zone, "events": events,
    });
    match &batch.who {
        Who::Visitor(id) => body["visitor"] = hex(id).into(),
        Who::Load(id) => body["load"] = hex(id).into(),
    }
    serde_json::to_vec(&body).expect("a batch is JSON")
}

fn event_in_json(event: &Event<'_>) -> Value {
    let mut record = match &event.body {
        Body::Page { url, title, referrer } => {
            json!({"kind": "page", "url": url, "title": title, "referrer": referrer})
        }
        Body::Snapshot { revision, engaged_ms, max_scroll_pct, clicks, measures: m } => json!({
            "kind": "snapshot", "revision": revision, "engaged_ms": engaged_ms, "max_scroll_pct": max_scroll_pct,
            "clicks": clicks, "rage_clicks": m.rage_clicks, "dead_clicks": m.dead_clicks, "errors": m.errors,
            "copies": m.copies, "fields": m.fields, "lcp_ms": m.lcp_ms, "fcp_ms": m.fcp_ms, "ttfb_ms": m.ttfb_ms,
            "inp_ms": m.inp_ms, "cls_millis": m.cls_millis,
        }),
        Body::Track { name, properties } => json!({"kind": "track", "name": name, "properties": properties}),
        Body::Identify { user_id, traits } => json!({"kind": "identify", "user_id": user_id, "traits": traits}),
        Body::Group { group_id, traits } => json!({"kind": "group", "group_id": group_id, "traits": traits}),
        Body::Alias { user_id, previous_id } => {
            json!({"kind": "alias", "user_id": user_id, "previous_id": previous_id})
        }
    };
    record["id"] = hex(&event.id).into();
    record["at"] = event.at_ms.into();
    record["view"] = event.view.as_ref().map(hex).into();
    record
}

#[test]
fn a_measure_of_the_wrong_type_is_that_records_error_only() {
    let (id, view) = ("01".repeat(16), "02".repeat(16));
    let malformed = Err(RecordError { id: Some([1; 16]), fault: Fault::Malformed });
    for measure in [r#""lcp_ms":"1""#, r#""lcp_ms":-1"#, r#""errors":4294967296"#, r#""cls_millis":[]"#] {
        let event = format!(r#"{{"kind":"snapshot","id":"{id}","at":5,"view":"{view}","revision":1,{measure}}}"#);
        let good = format!(r#"{{"kind":"page","id":"{id}","at":5,"url":"https://a.example/"}}"#);
        let body = json_batch(&format!("{event},{good}"));
        let read = decode(&body).unwrap_or_else(|error| panic!("{measure}: {error}"));
        assert_eq!(read.records, [malformed.clone(), Ok(page([1; 16]))], "{measure}");
    }
    let of_view = [&[1, 16][..], &[2; 16], &[2, 1, 1]].concat();
    let longer_than_its_number = [&of_view[..], &[15, 2, 7, 7]].concat();
    let over_32_bits = [&of_view[..], &[6, 5, 0x80, 0x80, 0x80, 0x80, 0x10]].concat();
    let body = with_records(&[record(2, [1; 16], &longer_than_its_number), record(2, [1; 16], &over_32_bits)]);
    assert_eq!(decode(&body).expect("readable").records, [malformed.clone(), malformed]);
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(batch in batches()) {
        let bytes = encode(&batch);
        prop_assert_eq!(decode(&bytes), Ok(batch));
    }

    #[test]
    fn the_json_form_says_what_the_binary_form_says(batch in batches()) {
        let body = in_json(&batch);
        prop_assert_eq!(decode(&body), Ok(batch));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
        let _ = decode(&[b"SEG\x01", &bytes[..]].concat());
        let _ = decode(&[b"{", &bytes[..]].concat());
    }

    #[test]
    fn any_mutation_is_read_or_refused(batch in batches(), changes in prop::collection::vec(any::<(usize, u8)>(), 1..8), keep in any::<usize>()) {
        let mut bytes = encode(&batch);
        for (at, byte) in changes {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        let _ = decode(&bytes);
        let _ = decode(&bytes[..keep % bytes.len()]);
    }

    #[test]
    fn any_mutated_json_is_read_or_refused(changes in prop::collection::vec(any::<(usize, u8)>(), 1..8), keep in any::<usize>()) {
        let mut bytes = include_bytes!("golden/batch.json").to_vec();
        for (at, byte) in changes {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        let _ = decode(&bytes);
        let _ = decode(&bytes[..keep % bytes.len()]);
    }

    #[test]
    fn json_of_brackets_and_quotes_is_read_or_refused(text in r#"[{}\[\]",:\\ 1a]{0,60}"#) {
        let _ = decode(format!("{{{text}").as_bytes());
        let _ = decode(&json_batch(&text));
    }
}
