//! Rows as PostgreSQL streams them: its binary COPY format.

use super::ReadError;
use crate::store::StoreError;
use diesel::connection::SimpleConnection;
use diesel::pg::{CopyFormat, CopyTarget};
use diesel::prelude::*;
use serde_json::{Map, Value};
use std::io::BufRead;

/// The fields of one row in PostgreSQL's binary COPY format.
pub(super) struct Fields<'r>(&'r [u8]);

impl<'r> Fields<'r> {
    pub(super) fn take(&mut self, length: usize) -> std::io::Result<&'r [u8]> {
        let (taken, rest) =
            self.0.split_at_checked(length).ok_or_else(|| std::io::Error::other("a row of COPY is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> std::io::Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    /// The next field; `None` for NULL.
    pub(super) fn bytes(&mut self) -> std::io::Result<Option<&'r [u8]>> {
        match usize::try_from(i32::from_be_bytes(self.array()?)) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Ok(None),
        }
    }

    pub(super) fn number<const N: usize>(&mut self) -> std::io::Result<Option<[u8; N]>> {
        match self.bytes()? {
            Some(bytes) => bytes.try_into().map(Some).map_err(std::io::Error::other),
            None => Ok(None),
        }
    }

    pub(super) fn short(&mut self) -> std::io::Result<Option<i16>> {
        Ok(self.number()?.map(i16::from_be_bytes))
    }

    pub(super) fn int(&mut self) -> std::io::Result<Option<i32>> {
        Ok(self.number()?.map(i32::from_be_bytes))
    }

    pub(super) fn long(&mut self) -> std::io::Result<Option<i64>> {
        Ok(self.number()?.map(i64::from_be_bytes))
    }

    /// In µs since 1970.
    pub(super) fn time(&mut self) -> std::io::Result<i64> {
        Ok(self.long()?.unwrap_or(0).saturating_add(crate::store::events::POSTGRES_EPOCH_US))
    }

    pub(super) fn text(&mut self) -> std::io::Result<Option<String>> {
        Ok(self.bytes()?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
    }

    pub(super) fn map(&mut self) -> std::io::Result<Option<Map<String, Value>>> {
        self.bytes()?.map(|json| serde_json::from_slice(json).map_err(std::io::Error::other)).transpose()
    }
}

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Runs a stream to its end, or until `row` says no.
pub(super) fn copy<T: CopyTarget>(
    connection: &mut PgConnection,
    target: T,
    mut row: impl FnMut(&mut Fields<'_>) -> std::io::Result<bool>,
) -> Result<(), ReadError> {
    let broken = |error: std::io::Error| ReadError::Store(StoreError::Away(error.to_string()));
    let mut stream = diesel::copy_to(target).with_format(CopyFormat::Binary).load_raw(connection)?;
    let (mut begun, mut ended) = (false, false);
    loop {
        // PostgreSQL sends each row as a message of its own, the header with the first, and libpq hands out messages.
        let message = stream.fill_buf().map_err(broken)?;
        if message.is_empty() {
            break;
        }
        let length = message.len();
        let mut fields = Fields(message);
        if !begun {
            begun = true;
            if fields.take(HEADER.len()).map_err(broken)? != HEADER {
                return Err(broken(std::io::Error::other("COPY does not begin as it should")));
            }
            // Flags, and the length of an extension that no version has.
            fields.take(8).map_err(broken)?;
        }
        // Some versions send the header by itself.
        while !fields.0.is_empty() {
            ended = i16::from_be_bytes(fields.array().map_err(broken)?) < 0;
            if !ended && !row(&mut fields).map_err(broken)? {
                return Err(ReadError::Stopped);
            }
        }
        stream.consume(length);
    }
    drop(stream);
    // Diesel leaves the result behind that ends a COPY; libpq clears it away before a simple statement alone. After a
    // COPY that failed, the transaction refuses this one.
    connection.batch_execute("SELECT")?;
    if ended { Ok(()) } else { Err(broken(std::io::Error::other("COPY is cut off"))) }
}
