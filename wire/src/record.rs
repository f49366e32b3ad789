//! What a queue of encoded records needs to know of them without decoding them.

use crate::Id;
use crate::decode::Reader;
use crate::encode::field;

/// The time inside a uuid v7, in ms since 1970-01-01 UTC.
pub fn id_time_ms(id: &Id) -> i64 {
    let [a, b, c, d, e, f, ..] = *id;
    i64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// Moves the time inside a uuid v7 by `by_ms` and leaves the rest as it is: the same id moved by the same time is
/// always the same new id, so a reference moves along with what it refers to.
pub fn shift_id(id: &mut Id, by_ms: i64) {
    let moved = id_time_ms(id).saturating_add(by_ms).clamp(0, (1 << 48) - 1);
    let [_, _, a, b, c, d, e, f] = moved.to_be_bytes();
    let [.., g, h, i, j, k, l, m, n, o, p] = *id;
    *id = [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p];
}

/// Splits the first record, with its length prefix, from what follows it; `None` where no whole record is.
pub fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader(bytes);
    reader.prefixed()?;
    bytes.split_at_checked(bytes.len() - reader.0.len())
}

/// The event's id in a record as [`split_record`] and [`encode_event`](crate::encode_event) give it.
pub fn record_id(record: &[u8]) -> Option<Id> {
    let mut reader = Reader(record);
    reader.varint()?;
    reader.varint()?;
    reader.id()
}

/// Moves the times inside a record's own id and the id of its view by `by_ms`, as [`shift_id`] does.
///
/// The time the event happened is left alone: it is the browser's clock, as is the time the batch is sent, and the
/// collector corrects one by the other. A record that cannot be read is left as it is.
pub fn shift_ids(record: &mut [u8], by_ms: i64) {
    let total = record.len();
    let mut reader = Reader(record);
    let mut places = [None; 2];
    if reader.varint().and_then(|_| reader.varint()).is_some() {
        places[0] = Some(total - reader.0.len());
        if reader.id().is_some() && reader.varint().is_some() {
            while let Some((tag, value)) = reader.field() {
                if tag == field::VIEW && value.len() == size_of::<Id>() {
                    places[1] = Some(total - reader.0.len() - value.len());
                }
            }
        }
    }
    for place in places.into_iter().flatten() {
        if let Some(id) = record.get_mut(place..).and_then(|rest| rest.first_chunk_mut::<16>()) {
            shift_id(id, by_ms);
        }
    }
}
