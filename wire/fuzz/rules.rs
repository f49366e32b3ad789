//! What holds of the decoder whatever it is given. The fuzz target and the test `fuzzed` share this file.

use wire::{Batch, MAX_RECORDS, decode, encode, encode_event, record_id, shift_ids, split_record};

/// Panics where a rule is broken.
pub(crate) fn hold(body: &[u8]) {
    queue_may_ask(body);
    let mut batch = match decode(body) {
        Ok(batch) => batch,
        Err(error) => return assert!(error.at <= body.len(), "{error} of {}", body.len()),
    };
    assert!(batch.records.len() <= MAX_RECORDS);
    // An error has no bytes to be written.
    batch.records.retain(Result::is_ok);
    assert_eq!(decode(&encode(&batch)).as_ref(), Ok(&batch), "what was read is written so that it is read again");
    records_stand_alone(&batch);
}

/// The tracker's queue asks bytes of its storage, where anything may stand.
fn queue_may_ask(bytes: &[u8]) {
    if let Some((record, rest)) = split_record(bytes) {
        assert_eq!(record.len() + rest.len(), bytes.len());
        let mut moved = record.to_vec();
        shift_ids(&mut moved, 3_600_000);
        assert_eq!(moved.len(), record.len());
        assert_eq!(record_id(&moved).is_some(), record_id(record).is_some());
    }
}

/// A record that is kept as bytes is one record with the event's own id.
fn records_stand_alone(batch: &Batch<'_>) {
    for event in batch.records.iter().flatten() {
        let mut record = Vec::new();
        encode_event(&mut record, event);
        assert_eq!(split_record(&record), Some((&record[..], &[][..])));
        assert_eq!(record_id(&record), Some(event.id));
    }
}
