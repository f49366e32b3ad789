//! Long tables as files that are read while they are sent.

use crate::store::StoreError;
use actix_web::web::{self, Bytes};
use futures_util::Stream;
use std::ops::Range;

/// Rows of a file that are read at a time.
const CHUNK: usize = 1_000;

/// A long table: what it has is known by number, and read part by part.
pub(in crate::http) trait Rows: Send {
    /// How many rows there are.
    fn len(&self) -> usize;

    /// Some of them as CSV, with a header.
    ///
    /// # Errors
    /// [`StoreError`]
    fn part(&self, range: Range<usize>) -> Result<String, StoreError>;
}

/// What is sent, and how far.
struct Sending {
    rows: Box<dyn Rows>,
    /// `None` before the header is sent.
    sent: Option<usize>,
}

impl Sending {
    fn next(&mut self) -> Result<String, StoreError> {
        let sent = self.sent.unwrap_or(0);
        let end = (sent + CHUNK).min(self.rows.len());
        let text = self.rows.part(sent..end)?;
        let is_first = self.sent.replace(end).is_none();
        // Every part begins with the header; the file has one.
        let headless = || text.split_once("\r\n").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        Ok(if is_first { text } else { headless() })
    }
}

/// The file's parts. When the store goes away the file ends with an error: a cut one must not look whole.
pub(super) fn stream(rows: Box<dyn Rows>) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    futures_util::stream::unfold(Some(Sending { rows, sent: None }), |sending| async move {
        let mut sending = sending?;
        if sending.sent.is_some_and(|sent| sent >= sending.rows.len()) {
            return None;
        }
        let read = web::block(move || {
            let text = sending.next();
            (sending, text)
        })
        .await;
        match read {
            Ok((sending, Ok(text))) => Some((Ok(Bytes::from(text)), Some(sending))),
            Ok((_, Err(error))) => {
                tracing::warn!(%error, "a file was cut off");
                Some((Err(actix_web::error::ErrorServiceUnavailable("cut off")), None))
            }
            Err(stopping) => Some((Err(stopping.into()), None)),
        }
    })
}
