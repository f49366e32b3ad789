//! Bytes of a body: gzip is recognised by its magic, whatever the headers say, and opened with a cap.

use super::{BATCH_BYTES, Refusal};
use std::borrow::Cow;
use std::io::Read;

/// The decoded body.
///
/// # Errors
/// [`Refusal::TooLarge`] beyond [`BATCH_BYTES`] decoded, [`Refusal::Unreadable`] when the gzip stream is broken.
pub(crate) fn decode(raw: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    if !raw.starts_with(&[0x1f, 0x8b]) {
        return if raw.len() > BATCH_BYTES { Err(too_large()) } else { Ok(Cow::Borrowed(raw)) };
    }
    let mut decoded = Vec::with_capacity((raw.len() * 4).min(BATCH_BYTES));
    flate2::read::MultiGzDecoder::new(raw)
        .take(BATCH_BYTES as u64 + 1)
        .read_to_end(&mut decoded)
        .map_err(|error| Refusal::Unreadable(format!("body is gzip that cannot be opened: {error}")))?;
    if decoded.len() > BATCH_BYTES { Err(too_large()) } else { Ok(Cow::Owned(decoded)) }
}

/// What is said of a body beyond the limit.
pub(crate) fn too_large() -> Refusal {
    Refusal::TooLarge(format!("body is larger than {BATCH_BYTES} bytes decoded; send fewer events at once"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_recognised_by_its_magic() {
        assert_eq!(&*decode(&gzip(b"{}")).unwrap(), b"{}");
        assert_eq!(&*decode(b"{}").unwrap(), b"{}");
    }

    #[test]
    fn a_bomb_stops_at_the_cap_and_a_broken_stream_is_named() {
        assert!(matches!(decode(&gzip(&vec![b' '; 64 << 20])), Err(Refusal::TooLarge(_))));
        let cut = gzip(&[b'x'; 1000]);
        assert!(matches!(decode(&cut[..cut.len() - 9]), Err(Refusal::Unreadable(_))));
    }
}
