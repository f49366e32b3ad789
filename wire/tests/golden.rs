//! Bytes that shipped trackers send. The files in `golden/` are never edited: a cached tracker still writes them
//! thirteen months later. A new shape gets a new file.

use std::borrow::Cow;

use wire::{Batch, Body, Device, Event, Fault, Id, Measures, RecordError, Signals, Who, decode, encode};

fn id(time: u8, last: u8) -> Id {
    [0x01, 0x93, 0xb0, 0xc4, 0x2f, time, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, last]
}

/// What both golden files say, up to the two records that only the JSON one can have.
fn golden_batch() -> Batch<'static> {
    let view = Some(id(1, 1));
    let event =
        |n: u8, view, body| Ok(Event { id: id(n, n), at_ms: 1_795_478_389_000 + 1000 * i64::from(n), view, body });
    Batch {
        write_key: "wk_golden".into(),
        sent_at_ms: 1_795_478_400_123,
        who: Who::Load([
            0x01, 0x93, 0xb0, 0xc4, 0x2f, 0x00, 0x7a, 0xbc, 0x8d, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
        ]),
        signals: Signals { gpc: true, dnt: false },
        tracker_version: 1,
        dropped: 0,
        sample_pct: 0,
        device: Device {
            screen_width: 1440,
            screen_height: 900,
            language: "de-CH".into(),
            time_zone: "Europe/Zurich".into(),
        },
        records: vec![
            event(
                1,
                None,
                Body::Page {
                    url: "https://shop.example/schuhe?utm_source=brief".into(),
                    title: "Schuhe – grün".into(),
                    referrer: "https://news.example/".into(),
                },
            ),
            event(
                2,
                view,
                Body::Track {
                    name: "Order Completed".into(),
                    properties: r#"{"order_id": "A-1", "total": 12.50}"#.into(),
                },
            ),
            event(3, None, Body::Identify { user_id: "u-7".into(), traits: r#"{"plan": "pro"}"#.into() }),
            event(4, None, Body::Group { group_id: "g-1".into(), traits: "".into() }),
            event(5, None, Body::Alias { user_id: "u-8".into(), previous_id: "u-7".into() }),
            event(6, view, snapshot(1, Measures::default())),
        ],
    }
}

fn snapshot(revision: u32, measures: Measures) -> Body<'static> {
    Body::Snapshot { revision, engaged_ms: 4200, max_scroll_pct: 75, clicks: 3, measures }
}

/// What both golden files with measures say: one snapshot that has them all, and a later one of which only the
/// times are known.
fn golden_measures() -> Batch<'static> {
    let all = Measures {
        rage_clicks: 1,
        dead_clicks: 2,
        errors: 3,
        copies: 4,
        fields: 5,
        lcp_ms: 2_431,
        fcp_ms: 1_208,
        ttfb_ms: 312,
        inp_ms: 88,
        cls_millis: 104,
    };
    let times = Measures { lcp_ms: 70_000, fcp_ms: 1, ..Measures::default() };
    let at_ms = |n: i64| 1_795_478_389_000 + 1000 * n;
    Batch {
        tracker_version: 2,
        records: vec![
            Ok(Event { id: id(2, 2), at_ms: at_ms(2), view: Some(id(1, 1)), body: snapshot(1, all) }),
            Ok(Event { id: id(3, 3), at_ms: at_ms(3), view: Some(id(1, 1)), body: snapshot(2, times) }),
        ],
        ..golden_batch()
    }
}

#[test]
fn the_json_form_of_version_1_is_read() {
    let read = decode(include_bytes!("golden/batch.json")).expect("golden file");
    let mut expected = golden_batch();
    expected.records.push(Err(RecordError { id: Some(id(7, 7)), fault: Fault::UnknownKind }));
    expected.records.push(Err(RecordError { id: Some(id(8, 8)), fault: Fault::BadText }));
    assert_eq!(read, expected);
}

#[test]
fn the_binary_form_of_version_1_is_read_and_still_written_so() {
    let golden = include_bytes!("golden/batch.bin");
    assert_eq!(decode(golden).expect("golden file"), golden_batch());
    assert_eq!(encode(&golden_batch()), golden);
}

#[test]
fn measures_are_read_in_both_forms_and_still_written_so() {
    let golden = include_bytes!("golden/measures.bin");
    assert_eq!(decode(golden).expect("golden file"), golden_measures());
    assert_eq!(decode(include_bytes!("golden/measures.json")).expect("golden file"), golden_measures());
    assert_eq!(encode(&golden_measures()), golden);
}

#[test]
fn text_is_borrowed_from_the_body_in_both_forms() {
    for body in [&include_bytes!("golden/batch.bin")[..], include_bytes!("golden/batch.json")] {
        let batch = decode(body).expect("golden file");
        assert!(matches!(batch.write_key, Cow::Borrowed(_)));
        let Some(Ok(Event { body: Body::Track { properties: Cow::Borrowed(_), name: Cow::Borrowed(_) }, .. })) =
            batch.records.get(1)
        else {
            panic!("expected a borrowed track event, got {:?}", batch.records.get(1));
        };
    }
}
