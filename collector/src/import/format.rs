//! A file as lines of cells: CSV and NDJSON, found by looking, read in bounded memory.

use super::fields::Kind;
use serde_json::{Map, Value};
use std::cell::Cell as Counter;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::rc::Rc;

/// How much of a file is looked at to find out what it is and, of NDJSON, which names there are.
const HEAD_BYTES: u64 = 1 << 20;
/// Bytes of one line. A quote that is never closed would make one line of the whole rest.
const LINE_BYTES: u64 = 1 << 20;
/// How much of a file is looked at to find its headings, where something stands above them.
const TITLE_BYTES: u64 = 64 << 10;
const TITLE_LINES: usize = 30;
/// Columns of a file; each takes a cell of every line.
const MAX_COLUMNS: usize = 1_000;
/// Bytes of a name of NDJSON; longer ones are left out.
const NAME_BYTES: usize = 1 << 10;
/// Bytes of the lines that are looked at ahead, or a line more.
const AHEAD_BYTES: usize = 8 << 20;
/// Bytes that are kept of a rejected line.
const TOLD_BYTES: usize = 8 << 10;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Cells apart by this byte, the first line names them.
    Csv { delimiter: u8 },
    /// One JSON object in each line.
    Ndjson,
}

impl Format {
    /// In words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Csv { delimiter: b';' } => "CSV with semicolons",
            Format::Csv { delimiter: b'\t' } => "CSV with tabs",
            Format::Csv { .. } => "CSV with commas",
            Format::Ndjson => "NDJSON",
        }
    }
}

/// Why a file cannot be read, or not any further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormatError {
    /// There is nothing in it.
    #[error("the file has no header line")]
    Empty,
    /// Another encoding than UTF-8.
    #[error("the file is UTF-16; save it as UTF-8 (in Excel: CSV UTF-8) and try again")]
    Utf16,
    /// A packed file.
    #[error("the file is packed or an Excel sheet; save it as CSV in UTF-8 and try again")]
    Packed,
    /// A whole JSON document.
    #[error("the file is one JSON document; write one object in each line (NDJSON), for example with: jq -c '.[]'")]
    Document,
    /// A quote is not closed, or it is no such file at all.
    #[error("line {line} is longer than 1 MiB; a quote (\") in it may not be closed")]
    Endless { line: u64 },
    /// It is no such file at all.
    #[error("the file has more than {MAX_COLUMNS} columns; leave out those that are not needed")]
    TooWide,
    /// The file or the connection that it comes by.
    #[error("the file cannot be read on after line {line}: {error}")]
    Io { line: u64, error: std::io::Error },
}

/// One value of a line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// Nothing, or white space.
    Empty,
    /// Trimmed text.
    Text(String),
    /// Bytes that are no UTF-8, with replacement characters.
    NoText(String),
    /// A list of NDJSON.
    List(Vec<Value>),
}

impl Cell {
    fn of(bytes: &[u8]) -> Cell {
        match std::str::from_utf8(bytes).map(str::trim) {
            Ok("") => Cell::Empty,
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::NoText(String::from_utf8_lossy(bytes).trim().to_owned()),
        }
    }

    /// As it is shown.
    pub(crate) fn shown(&self) -> String {
        match self {
            Cell::Empty => String::new(),
            Cell::Text(text) | Cell::NoText(text) => text.clone(),
            Cell::List(list) => Value::from(list.clone()).to_string(),
        }
    }

    /// About what it takes of the memory.
    fn held_bytes(&self) -> usize {
        size_of::<Cell>()
            + match self {
                Cell::Empty => 0,
                Cell::Text(text) | Cell::NoText(text) => text.len(),
                Cell::List(list) => list.len() * size_of::<Value>(),
            }
    }
}

/// One line of a file.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Where it begins, 1 is the file's first.
    pub(crate) number: u64,
    /// In the order of the columns; a short line has fewer.
    pub(crate) cells: Vec<Cell>,
    /// Why nothing of it can be read.
    pub(crate) fault: Option<String>,
    /// The whole line of NDJSON, or of CSV that has too many cells, for the file of rejected lines.
    raw: Option<String>,
}

impl Line {
    /// What stands in it, for the file of rejected lines; a long line is cut.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut room = TOLD_BYTES;
        let mut cut = |text: &str| {
            let text = &text[..text.floor_char_boundary(room)];
            room -= text.len();
            text.to_owned()
        };
        match &self.raw {
            Some(raw) => vec![cut(raw)],
            None => self.cells.iter().map(|cell| cut(&cell.shown())).collect(),
        }
    }

    /// The whole of a line that is not kept as cells alone.
    pub(crate) fn raw(&self) -> Option<&str> {
        self.raw.as_deref()
    }

    /// A line of CSV.
    fn of(number: u64, record: &csv::ByteRecord) -> Line {
        if record.len() <= MAX_COLUMNS {
            return Line { number, cells: record.iter().map(Cell::of).collect(), fault: None, raw: None };
        }
        let text = record.iter().collect::<Vec<_>>().join(&b',');
        let fault = format!("the line has {} cells, more than {MAX_COLUMNS}", record.len());
        let raw = String::from_utf8_lossy(&text).into_owned();
        Line { number, cells: Vec::new(), fault: Some(fault), raw: Some(raw) }
    }

    /// About what it takes of the memory.
    fn held_bytes(&self) -> usize {
        let cells: usize = self.cells.iter().map(Cell::held_bytes).sum();
        cells + self.raw.as_ref().map_or(0, String::len)
    }
}

/// The lines of a file, one after the other.
pub(crate) struct Lines<'a> {
    /// How it is written.
    pub(crate) format: Format,
    /// The names of its columns; those of nested NDJSON are joined by dots, in the order of the alphabet.
    pub(crate) columns: Vec<String>,
    source: Source<'a>,
    /// Bytes before the first that the reader sees.
    skipped: u64,
}

enum Source<'a> {
    Csv {
        reader: csv::Reader<Watched<'a>>,
        record: csv::ByteRecord,
        read: Rc<Counter<u64>>,
        /// 1 where lines end with CR and LF: the reader counts the LF to the next record.
        late: u64,
    },
    Ndjson {
        reader: BufReader<Whole<'a>>,
        number: u64,
        bytes: u64,
    },
}

/// The head that was looked at, and the rest.
type Whole<'a> = std::io::Chain<Cursor<Vec<u8>>, Box<dyn Read + 'a>>;

/// Ends a record that does not end by itself.
struct Watched<'a> {
    inner: Whole<'a>,
    /// Bytes since the last record.
    read: Rc<Counter<u64>>,
}

/// What [`Watched`] says of a record without an end.
const ENDLESS: &str = "a record without an end";

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.read.get() > LINE_BYTES {
            return Err(std::io::Error::other(ENDLESS));
        }
        let read = self.inner.read(buffer)?;
        self.read.set(self.read.get() + read as u64);
        Ok(read)
    }
}

impl<'a> Lines<'a> {
    /// Looks at the beginning of a file and stands before its first line of data.
    ///
    /// # Errors
    /// [`FormatError`]
    pub(crate) fn open(mut input: Box<dyn Read + 'a>) -> Result<Lines<'a>, FormatError> {
        let mut head = Vec::new();
        let io = |error| FormatError::Io { line: 0, error };
        input.by_ref().take(HEAD_BYTES).read_to_end(&mut head).map_err(io)?;
        if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
            return Err(FormatError::Utf16);
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(&[0x1f, 0x8b]) {
            return Err(FormatError::Packed);
        }
        let skipped = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        head.drain(..skipped);
        match head.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => Err(FormatError::Empty),
            Some(b'[') if is_document(&head) => Err(FormatError::Document),
            Some(b'{') => {
                let columns = names(&head);
                let reader = BufReader::new(Cursor::new(head).chain(input));
                let source = Source::Ndjson { reader, number: 0, bytes: 0 };
                Ok(Lines { format: Format::Ndjson, columns, source, skipped: skipped as u64 })
            }
            Some(_) => Lines::csv(head, input, skipped as u64),
        }
    }

    fn csv(head: Vec<u8>, input: Box<dyn Read + 'a>, skipped: u64) -> Result<Lines<'a>, FormatError> {
        let (delimiter, late) = (delimiter(&head), u64::from(ends_with_both(&head)));
        let read = Rc::new(Counter::new(0));
        let watched = Watched { inner: Cursor::new(head).chain(input), read: Rc::clone(&read) };
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .has_headers(false)
            .delimiter(delimiter)
            .buffer_capacity(1 << 16)
            .from_reader(watched);
        let mut record = csv::ByteRecord::new();
        reader.read_byte_record(&mut record).map_err(|error| csv_error(0, error))?;
        read.set(0);
        if record.len() > MAX_COLUMNS {
            return Err(FormatError::TooWide);
        }
        let columns = record.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let source = Source::Csv { reader, record, read, late };
        Ok(Lines { format: Format::Csv { delimiter }, columns, source, skipped })
    }

    /// As [`Lines::open`]; of files by day past what exports write above their headings.
    ///
    /// # Errors
    /// [`FormatError`]
    pub(crate) fn open_kind(kind: Kind, mut input: Box<dyn Read + 'a>) -> Result<Lines<'a>, FormatError> {
        if !kind.is_by_day() {
            return Lines::open(input);
        }
        let mut head = Vec::new();
        let io = |error| FormatError::Io { line: 0, error };
        input.by_ref().take(TITLE_BYTES).read_to_end(&mut head).map_err(io)?;
        let above = titles(&head);
        let lines_above = head[..above].iter().filter(|byte| **byte == b'\n').count() as u64;
        head.drain(..above);
        let mut lines = Lines::open(Box::new(Cursor::new(head).chain(input)))?;
        lines.skipped += above as u64;
        match &mut lines.source {
            Source::Csv { late, .. } => *late += lines_above,
            Source::Ndjson { number, .. } => *number += lines_above,
        }
        Ok(lines)
    }

    /// The first lines, by which is found out how a file is written: [`super::LOOKED_AT`] at most, and no more than fit
    /// into the memory; with them, why it cannot be read on.
    pub(crate) fn ahead(&mut self) -> (Vec<Line>, Option<FormatError>) {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while lines.len() < super::LOOKED_AT && bytes < AHEAD_BYTES {
            match self.next() {
                Ok(Some(line)) => {
                    bytes += line.held_bytes();
                    lines.push(line);
                }
                Ok(None) => break,
                Err(error) => return (lines, Some(error)),
            }
        }
        (lines, None)
    }

    /// The next line; `None` at the end of the file.
    ///
    /// # Errors
    /// [`FormatError::Endless`] and [`FormatError::Io`]: what was read before stays.
    pub(crate) fn next(&mut self) -> Result<Option<Line>, FormatError> {
        match &mut self.source {
            Source::Csv { reader, record, read, late } => {
                read.set(0);
                let before = reader.position().line() + *late;
                if !reader.read_byte_record(record).map_err(|error| csv_error(before, error))? {
                    return Ok(None);
                }
                let number = record.position().map_or(0, csv::Position::line) + *late;
                Ok(Some(Line::of(number, record)))
            }
            Source::Ndjson { reader, number, bytes } => loop {
                let mut text = Vec::new();
                let io = |error| FormatError::Io { line: *number, error };
                let read = reader.take(LINE_BYTES + 1).read_until(b'\n', &mut text).map_err(io)? as u64;
                if read == 0 {
                    return Ok(None);
                }
                *number += 1;
                *bytes += read;
                if read > LINE_BYTES {
                    return Err(FormatError::Endless { line: *number });
                }
                if !text.iter().all(u8::is_ascii_whitespace) {
                    return Ok(Some(object(*number, &text, &self.columns)));
                }
            },
        }
    }

    /// Bytes of the file that have been read.
    pub(crate) fn bytes(&self) -> u64 {
        self.skipped
            + match &self.source {
                Source::Csv { reader, .. } => reader.position().byte(),
                Source::Ndjson { bytes, .. } => *bytes,
            }
    }
}

fn csv_error(line: u64, error: csv::Error) -> FormatError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.to_string() == ENDLESS => FormatError::Endless { line },
        csv::ErrorKind::Io(error) => FormatError::Io { line, error },
        other => FormatError::Io { line, error: std::io::Error::other(format!("{other:?}")) },
    }
}

/// A list of objects rather than the heading of a column that begins with a bracket.
fn is_document(head: &[u8]) -> bool {
    let mut rest = head.iter().skip_while(|byte| byte.is_ascii_whitespace()).skip(1);
    matches!(rest.find(|byte| !byte.is_ascii_whitespace()), Some(b'{' | b'[' | b']'))
}

/// The sign that stands most often in the first line, outside of quotes; a comma where none does.
fn delimiter(head: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0_u32), (b';', 0), (b'\t', 0)];
    for byte in head {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            byte if !quoted => counts.iter_mut().filter(|(sign, _)| sign == byte).for_each(|(_, count)| *count += 1),
            _ => {}
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    counts.iter().find(|(_, count)| *count == most).map_or(b',', |(sign, _)| *sign)
}

/// Bytes of the remarks and titles above a file's headings: lines that begin with `#`, are empty, or have one cell while
/// a later one has more.
fn titles(head: &[u8]) -> usize {
    let mut at = 0;
    for line in head.split_inclusive(|byte| *byte == b'\n').take(TITLE_LINES) {
        let text = line.trim_ascii();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let text = text.strip_prefix(b"\"").unwrap_or(text);
        if text.starts_with(b"{") || (!text.starts_with(b"#") && has_cells(line)) {
            return at;
        }
        at += line.len();
    }
    0
}

/// Whether a delimiter stands in a line, outside of quotes.
fn has_cells(line: &[u8]) -> bool {
    let mut quoted = false;
    line.iter().any(|byte| {
        quoted ^= *byte == b'"';
        !quoted && matches!(byte, b',' | b';' | b'\t')
    })
}

fn ends_with_both(head: &[u8]) -> bool {
    head.iter().position(|byte| *byte == b'\n').is_some_and(|at| at > 0 && head[at - 1] == b'\r')
}

/// The names of the first objects.
fn names(head: &[u8]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in head.split(|byte| *byte == b'\n').take(super::LOOKED_AT) {
        let Ok(Value::Object(object)) = serde_json::from_slice::<Value>(line) else { continue };
        flatten(&object, "", &mut |name, _| {
            if names.len() < MAX_COLUMNS && !names.contains(&name) {
                names.push(name);
            }
        });
    }
    names
}

/// Each value that is no object, under its names joined by dots; those with longer names than columns have are left out.
fn flatten(object: &Map<String, Value>, before: &str, take: &mut dyn FnMut(String, &Value)) {
    for (name, value) in object {
        if before.len() + 1 + name.len() > NAME_BYTES {
            continue;
        }
        let name = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
        match value {
            Value::Object(inner) => flatten(inner, &name, take),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => take(name, value),
        }
    }
}

/// A line of NDJSON.
pub(super) fn object(number: u64, text: &[u8], columns: &[String]) -> Line {
    let raw = Some(String::from_utf8_lossy(text).trim().to_owned());
    let refused = |fault: String| Line { number, cells: Vec::new(), fault: Some(fault), raw: raw.clone() };
    if std::str::from_utf8(text).is_err() {
        return refused("the line is not valid UTF-8".to_owned());
    }
    let object = match serde_json::from_slice::<Value>(text) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return refused("the line is no JSON object".to_owned()),
        Err(error) => return refused(format!("the line is no JSON: {error}")),
    };
    let mut cells = vec![Cell::Empty; columns.len()];
    flatten(&object, "", &mut |name, value| {
        let Some(cell) = columns.iter().position(|own| *own == name).and_then(|at| cells.get_mut(at)) else { return };
        *cell = match value {
            Value::Null | Value::Object(_) => Cell::Empty,
            Value::Array(list) => Cell::List(list.clone()),
            Value::String(text) => Cell::of(text.as_bytes()),
            Value::Bool(_) | Value::Number(_) => Cell::Text(value.to_string()),
        };
    });
    Line { number, cells, fault: None, raw }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> (Lines<'static>, Vec<Line>) {
        let mut lines = Lines::open(Box::new(Cursor::new(text.to_vec()))).expect("a file");
        let mut all = Vec::new();
        while let Some(line) = lines.next().expect("a line") {
            all.push(line);
        }
        (lines, all)
    }

    fn shown(line: &Line) -> Vec<String> {
        line.cells.iter().map(Cell::shown).collect()
    }

    #[test]
    fn the_delimiter_is_found_outside_of_quotes() {
        for (text, name) in [
            (&b"a,b\n1,2\n"[..], "CSV with commas"),
            (b"a;\"x,y,z\"\n1;2\n", "CSV with semicolons"),
            (b"a\tb\n1\t2\n", "CSV with tabs"),
            (b"alone\n1\n", "CSV with commas"),
        ] {
            assert_eq!(lines(text).0.format.name(), name);
        }
    }

    #[test]
    fn a_byte_order_mark_belongs_to_no_heading_and_bytes_add_up() {
        let text = b"\xef\xbb\xbfid;name\r\n1;\"a \"\"b\"\"\nc\"\r\n2\r\n";
        let (lines, all) = lines(text);
        assert_eq!(lines.columns, ["id", "name"]);
        assert_eq!(all.iter().map(|line| line.number).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(shown(&all[1]), ["2"], "a short line has fewer cells");
        assert_eq!(lines.bytes(), text.len() as u64);
    }

    #[test]
    fn nested_names_are_joined_by_dots() {
        let text =
            b"{\"id\":7,\"to\":{\"city\":\"Linz\",\"far\":true},\"items\":[{\"sku\":\"a\"}]}\n\n{\"id\":null}\nno\n";
        let (lines, all) = lines(text);
        assert_eq!(lines.columns, ["id", "items", "to.city", "to.far"]);
        assert_eq!(shown(&all[0]), ["7", "[{\"sku\":\"a\"}]", "Linz", "true"]);
        assert_eq!((all[1].number, shown(&all[1]).concat()), (3, String::new()));
        assert!(all[2].fault.as_ref().is_some_and(|fault| fault.contains("no JSON")), "{:?}", all[2]);
        assert_eq!(lines.bytes(), text.len() as u64);
    }

    #[test]
    fn what_is_no_such_file_is_told_in_words() {
        let refused = |bytes: &[u8]| Lines::open(Box::new(Cursor::new(bytes.to_vec()))).err().expect("refused");
        assert!(matches!(refused(b" \n"), FormatError::Empty));
        assert!(matches!(refused(b"\xff\xfea\0"), FormatError::Utf16));
        assert!(matches!(refused(b"PK\x03\x04"), FormatError::Packed));
        assert!(matches!(refused(b"[\n {\"a\":1}]"), FormatError::Document));
        assert_eq!(lines(b"[id],b\n1,2\n").0.columns, ["[id]", "b"]);
    }

    #[test]
    fn a_quote_that_is_never_closed_does_not_take_the_memory() {
        let text = [&b"a,b\n1,2\n3,\""[..], &vec![b'x'; 3 << 20]].concat();
        let mut lines = Lines::open(Box::new(Cursor::new(text))).expect("a file");
        assert!(lines.next().expect("the first").is_some());
        assert!(matches!(lines.next(), Err(FormatError::Endless { line: 3 })));
        let text = [&b"{\"a\":1}\n{\"a\":\""[..], &vec![b'x'; 3 << 20]].concat();
        let mut lines = Lines::open(Box::new(Cursor::new(text))).expect("a file");
        assert!(lines.next().expect("the first").is_some());
        assert!(matches!(lines.next(), Err(FormatError::Endless { line: 2 })));
    }

    #[test]
    fn a_line_of_too_many_cells_is_rejected_and_cut() {
        let text = [&b"a,b\n"[..], &vec![b','; MAX_COLUMNS + 9_000], b"\n1,2\n"].concat();
        let (_, all) = lines(&text);
        assert!(all[0].fault.is_some() && all[0].cells.is_empty());
        assert_eq!(all[0].told().concat().len(), TOLD_BYTES);
        assert_eq!(shown(&all[1]), ["1", "2"]);
        let wide = Lines::open(Box::new(Cursor::new(vec![b','; MAX_COLUMNS])));
        assert!(matches!(wide, Err(FormatError::TooWide)));
    }

    #[test]
    fn bytes_that_are_no_text_spoil_their_cell_alone() {
        let (_, all) = lines(b"a,b\nx\xff,2\n");
        assert_eq!(all[0].cells, [Cell::NoText("x\u{fffd}".into()), Cell::Text("2".into())]);
    }
}
