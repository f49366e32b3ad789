//! Columns on disk, so that a start need not read the database: one file per site, in a form of its own.
//!
//! Little-endian numbers: a header, the vocabulary as JSON, each shard's columns, and the CRC-32 of all of it. It is
//! written beside the old one and renamed, so that there is always one whole file. One that is cut off, of another
//! version, another site or other settings is no file, and neither is one whose place in the journal the database does
//! not know any more.

use super::columns::{Base, Columns, Shard};
use crate::store::columns::Selection;
use crate::store::journal::Cursor;
use domain::segment::rule::{PlacedAt, Scores, Vocabulary, What};
use std::fs::File;
use std::io::{BufReader, BufWriter, Error, Read, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

const MAGIC: &[u8; 8] = b"SEGCOLS\n";
/// The number of the form; another one is read from the database.
const VERSION: u32 = 1;
/// No length in a file that was not cut or changed is larger; a wrong one must not ask for all memory.
const MOST: u64 = 1 << 32;

/// What a file is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) site_id: i32,
    pub(super) currency: String,
    pub(super) selection: Selection,
    /// Under which name the journal was followed, and how far.
    pub(super) reader: String,
    pub(super) cursor: Cursor,
}

pub(super) fn path(folder: &Path, site_id: i32) -> PathBuf {
    folder.join(format!("columns-{site_id}.bin"))
}

struct Out<W: Write> {
    out: W,
    crc: crc32fast::Hasher,
    buffer: Vec<u8>,
}

impl<W: Write> Out<W> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.crc.update(bytes);
        self.out.write_all(bytes)
    }

    fn long(&mut self, number: u64) -> Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    fn text(&mut self, text: &[u8]) -> Result<()> {
        self.long(text.len() as u64)?;
        self.bytes(text)
    }

    fn column<T: Copy, const N: usize>(&mut self, column: &[T], bytes: impl Fn(T) -> [u8; N]) -> Result<()> {
        self.long(column.len() as u64)?;
        for part in column.chunks(16_384) {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            for value in part {
                buffer.extend_from_slice(&bytes(*value));
            }
            self.bytes(&buffer)?;
            self.buffer = buffer;
        }
        Ok(())
    }
}

struct In<R: Read> {
    from: R,
    crc: crc32fast::Hasher,
}

fn wrong(what: &str) -> Error {
    Error::other(what.to_owned())
}

impl<R: Read> In<R> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.crc.update(&bytes);
        Ok(bytes)
    }

    fn long(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn length(&mut self) -> Result<usize> {
        let length = self.long()?;
        usize::try_from(length).ok().filter(|_| length <= MOST).ok_or_else(|| wrong("a length is out of range"))
    }

    fn text(&mut self) -> Result<Vec<u8>> {
        let length = self.length()?;
        let mut text = Vec::new();
        (&mut self.from).take(length as u64).read_to_end(&mut text)?;
        if text.len() < length {
            return Err(wrong("it is cut off"));
        }
        self.crc.update(&text);
        Ok(text)
    }

    fn string(&mut self) -> Result<String> {
        String::from_utf8(self.text()?).map_err(Error::other)
    }

    fn column<T, const N: usize>(&mut self, value: impl Fn([u8; N]) -> T) -> Result<Vec<T>> {
        let length = self.length()?;
        // Room for a wrong length is not asked for at once.
        let mut column = Vec::with_capacity(length.min(1 << 20));
        let mut buffer = vec![0; N * 16_384];
        let mut left = length;
        while left > 0 {
            let count = left.min(16_384);
            let part = &mut buffer[..count * N];
            self.from.read_exact(part)?;
            self.crc.update(part);
            column.extend(part.as_chunks::<N>().0.iter().map(|bytes| value(*bytes)));
            left -= count;
        }
        Ok(column)
    }
}

/// Writes the file of a site.
///
/// # Errors
/// What the disk says.
pub(super) fn save(folder: &Path, about: &About, columns: &Columns) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let last = path(folder, about.site_id);
    let written = last.with_extension(format!("{}.tmp", std::process::id()));
    let saved = write(&written, about, columns).and_then(|()| std::fs::rename(&written, &last));
    if saved.is_err() {
        // It may not even be there.
        let _ = std::fs::remove_file(&written);
    }
    saved
}

fn write(path: &Path, about: &About, columns: &Columns) -> Result<()> {
    // Whom it tells of is nobody else's business.
    let file = std::os::unix::fs::OpenOptionsExt::mode(File::options().write(true).create(true).truncate(true), 0o600)
        .open(path)?;
    let out = BufWriter::with_capacity(1 << 20, file);
    let mut out = Out { out, crc: crc32fast::Hasher::new(), buffer: Vec::new() };
    out.bytes(MAGIC)?;
    out.bytes(&VERSION.to_le_bytes())?;
    out.bytes(&about.site_id.to_le_bytes())?;
    out.text(about.currency.as_bytes())?;
    out.text(about.reader.as_bytes())?;
    out.long(about.cursor)?;
    out.long(about.selection.from.map_or(u64::MAX, u64::from))?;
    for names in [&about.selection.properties, &about.selection.traits] {
        out.text(&serde_json::to_vec(names).map_err(Error::other)?)?;
    }
    // After the columns were taken: it has all their words, and may have more.
    let words = {
        let vocabulary = columns.vocabulary.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        serde_json::to_vec(&*vocabulary).map_err(Error::other)?
    };
    out.text(&words)?;
    out.long(columns.shards.len() as u64)?;
    for shard in &columns.shards {
        let mut shard = Shard::clone(shard);
        shard.merge(0);
        let base = &*shard.base;
        out.long(base.traits_each as u64)?;
        out.column(&base.profile_id, i64::to_le_bytes)?;
        out.column(&base.flags, |flags| [flags])?;
        for column in [&base.first_seen, &base.last_seen, &base.events_from, &base.orders_from, &base.traits] {
            out.column(column, u32::to_le_bytes)?;
        }
        out.column(&base.at, u32::to_le_bytes)?;
        out.column(&base.what, |what| what.0.to_le_bytes())?;
        out.column(&base.record, u32::to_le_bytes)?;
        out.column(&base.orders, |order| {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&order.at.to_le_bytes());
            bytes[4..8].copy_from_slice(&order.record.to_le_bytes());
            bytes[8..].copy_from_slice(&order.minor.to_le_bytes());
            bytes
        })?;
    }
    let crc = out.crc.clone().finalize();
    out.bytes(&crc.to_le_bytes())?;
    let file = out.out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.sync_all()
}

/// Reads the file of a site.
///
/// # Errors
/// What the disk says, or what is wrong with the file.
pub(super) fn read(folder: &Path, site_id: i32) -> Result<(About, Columns)> {
    let from = BufReader::with_capacity(1 << 20, File::open(path(folder, site_id))?);
    let mut from = In { from, crc: crc32fast::Hasher::new() };
    if from.array()? != *MAGIC {
        return Err(wrong("it is no such file"));
    }
    let version = u32::from_le_bytes(from.array()?);
    if version != VERSION {
        return Err(Error::other(format!("its form is {version}, this program reads {VERSION}")));
    }
    let (site, currency, reader) = (i32::from_le_bytes(from.array()?), from.string()?, from.string()?);
    let (cursor, start) = (from.long()?, from.long()?);
    let selection_from = if start == u64::MAX { None } else { Some(u32::try_from(start).map_err(Error::other)?) };
    let properties = serde_json::from_slice(&from.text()?)?;
    let traits = serde_json::from_slice(&from.text()?)?;
    let selection = Selection { properties, traits, from: selection_from };
    let words = from.text()?;
    let count = from.length()?;
    let mut shards = Vec::new();
    for _ in 0..count {
        let traits_each = from.length()?;
        let base = Base {
            profile_id: from.column(i64::from_le_bytes)?,
            flags: from.column(|[flags]: [u8; 1]| flags)?,
            first_seen: from.column(u32::from_le_bytes)?,
            last_seen: from.column(u32::from_le_bytes)?,
            scores: Vec::new(),
            events_from: from.column(u32::from_le_bytes)?,
            orders_from: from.column(u32::from_le_bytes)?,
            traits_each,
            traits: from.column(u32::from_le_bytes)?,
            at: from.column(u32::from_le_bytes)?,
            what: from.column(|bytes| What(u32::from_le_bytes(bytes)))?,
            record: from.column(u32::from_le_bytes)?,
            orders: from.column(|bytes: [u8; 16]| {
                let part = |from: usize| u32::from_le_bytes([0, 1, 2, 3].map(|place| bytes[from + place]));
                let minor = i64::from_le_bytes(std::array::from_fn(|place| bytes[8 + place]));
                PlacedAt { at: part(0), record: part(4), minor }
            })?,
        };
        // Models say anew what they say.
        let scores = vec![Scores::NONE; base.profile_id.len()];
        shards.push(Arc::new(Shard::of(Base { scores, ..base })));
    }
    let crc = from.crc.clone().finalize();
    if u32::from_le_bytes(from.array()?) != crc {
        return Err(wrong("its check sum is another"));
    }
    if site != site_id || !count.is_power_of_two() {
        return Err(wrong("it is of another site"));
    }
    let vocabulary: Vocabulary = serde_json::from_slice(&words)?;
    let vocabulary = Arc::new(RwLock::new(vocabulary));
    let columns = Columns { shards, vocabulary, from: selection.from };
    Ok((About { site_id, currency, selection, reader, cursor }, columns))
}
