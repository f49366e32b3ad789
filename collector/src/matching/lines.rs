//! A CSV file line by line, with a bound on what one line may take.
//!
//! A quote that is never closed would make the rest of a file one value. Here a value may run over several lines only as
//! long as it stays within [`MAX_BYTES`]; else its first line is rejected, and reading goes on with the next one.

use anyhow::{Context, bail};
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

/// A record, also one over several lines, is at most this long.
const MAX_BYTES: usize = 64 << 10;

/// Reads records.
pub(super) struct Lines<R> {
    input: R,
    /// Lines that are read and not yet used, with their numbers.
    waiting: VecDeque<(u64, Line)>,
    line: u64,
    delimiter: u8,
    header: Vec<String>,
}

enum Line {
    Text(Vec<u8>),
    TooLong,
}

/// A line's number with its values, or with the reason why it cannot be used.
pub(super) type Numbered = (u64, Result<Vec<String>, String>);

impl<R: BufRead> Lines<R> {
    /// Reads the header. The delimiter is the one of comma, semicolon and tab that it has most of.
    pub(super) fn open(input: R) -> anyhow::Result<Lines<R>> {
        let mut lines = Lines { input, waiting: VecDeque::new(), line: 0, delimiter: b',', header: Vec::new() };
        let first = lines.take().context("the file cannot be read")?;
        let Some((_, Line::Text(first))) = first else { bail!("the file has no header line") };
        let first = first.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&first);
        let count = |delimiter: u8| first.iter().filter(|byte| **byte == delimiter).count();
        // The first of those with the most.
        lines.delimiter = [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',');
        lines.header = lines.values(first).map_err(|reason| anyhow::anyhow!("the header {reason}"))?;
        if lines.header.iter().all(|column| column.trim().is_empty()) {
            bail!("the file has no header line");
        }
        Ok(lines)
    }

    pub(super) fn header(&self) -> &[String] {
        &self.header
    }

    /// The next record; empty lines are stepped over. `None` at the end.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<Numbered>> {
        loop {
            let Some((number, line)) = self.take()? else { return Ok(None) };
            let text = match line {
                Line::TooLong => return Ok(Some((number, Err(format!("is longer than {MAX_BYTES} bytes"))))),
                Line::Text(text) if text.trim_ascii().is_empty() => continue,
                Line::Text(text) => text,
            };
            return Ok(Some((number, self.complete(text)?)));
        }
    }

    /// The values of a record whose first line is given, with those lines behind it that its quotes take in.
    fn complete(&mut self, mut text: Vec<u8>) -> io::Result<Result<Vec<String>, String>> {
        let mut taken: Vec<(u64, Line)> = Vec::new();
        let mut state = State::Start.after(&text, self.delimiter);
        while state == State::Quoted {
            let next = self.take()?;
            let further = match &next {
                Some((_, Line::Text(further))) if text.len() + further.len() < MAX_BYTES => further,
                _ => {
                    self.give_back(taken, next);
                    return Ok(Err("has a quote that is not closed".to_owned()));
                }
            };
            text.push(b'\n');
            text.extend_from_slice(further);
            state = State::Quoted.after(further, self.delimiter);
            taken.extend(next);
        }
        let values = self.values(&text).and_then(|values| match values.len() {
            count if count == self.header.len() => Ok(values),
            count => Err(format!("has {count} values, the header has {}", self.header.len())),
        });
        if values.is_err() && !taken.is_empty() {
            // A stray quote has taken them in.
            self.give_back(taken, None);
            return Ok(Err("has a quote that is not closed".to_owned()));
        }
        Ok(values)
    }

    fn give_back(&mut self, taken: Vec<(u64, Line)>, next: Option<(u64, Line)>) {
        for line in taken.into_iter().chain(next).rev() {
            self.waiting.push_front(line);
        }
    }

    /// Splits a record into its values (RFC 4180). The csv crate makes its tables anew for every reader, which takes more
    /// time than a line.
    fn values(&self, text: &[u8]) -> Result<Vec<String>, String> {
        let mut values: Vec<Vec<u8>> = vec![Vec::new()];
        let mut state = State::Start;
        for &byte in text {
            let next = state.after(&[byte], self.delimiter);
            // The quotes themselves are no part of a value, but the second of two within quotes is.
            let is_mark = matches!((state, next), (State::Start, State::Quoted) | (State::Quoted, State::Closing));
            if next == State::Start {
                values.push(Vec::new());
            } else if !is_mark {
                values.last_mut().into_iter().for_each(|value| value.push(byte));
            }
            state = next;
        }
        let value = |(at, value): (usize, Vec<u8>)| {
            let name = self.header.get(at).map_or("", |name| name.trim());
            String::from_utf8(value).map_err(|_| format!("column {name:?} is not valid UTF-8"))
        };
        values.into_iter().enumerate().map(value).collect()
    }

    /// The next line without its end.
    fn take(&mut self) -> io::Result<Option<(u64, Line)>> {
        if let Some(line) = self.waiting.pop_front() {
            return Ok(Some(line));
        }
        let mut text = Vec::new();
        let read = self.input.by_ref().take(MAX_BYTES as u64).read_until(b'\n', &mut text)?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if text.last() == Some(&b'\n') {
            text.pop();
            if text.last() == Some(&b'\r') {
                text.pop();
            }
        } else if text.len() == MAX_BYTES {
            self.skip_line()?;
            return Ok(Some((self.line, Line::TooLong)));
        }
        Ok(Some((self.line, Line::Text(text))))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let (used, is_done) = match end {
                Some(at) => (at + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.input.consume(used);
            if is_done {
                return Ok(());
            }
        }
    }
}

/// Where in a record a byte stands, as far as quotes are concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a value.
    Start,
    /// In a value without quotes, or behind the closing one.
    Bare,
    /// Inside quotes.
    Quoted,
    /// At a quote inside quotes, which closes them unless another follows.
    Closing,
}

impl State {
    fn after(self, text: &[u8], delimiter: u8) -> State {
        text.iter().fold(self, |state, byte| match (state, *byte) {
            (State::Start, b'"') | (State::Closing, b'"') => State::Quoted,
            (State::Quoted, b'"') => State::Closing,
            (State::Quoted, _) => State::Quoted,
            (State::Start | State::Bare | State::Closing, byte) if byte == delimiter => State::Start,
            (State::Start | State::Bare | State::Closing, _) => State::Bare,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<(u64, Result<String, String>)> {
        let mut lines = Lines::open(text).unwrap();
        let mut all = Vec::new();
        while let Some((line, values)) = lines.next().unwrap() {
            all.push((line, values.map(|values| values.join("|"))));
        }
        all
    }

    fn ok(line: u64, values: &str) -> (u64, Result<String, String>) {
        (line, Ok(values.to_owned()))
    }

    #[test]
    fn values_may_be_quoted_run_over_lines_and_be_parted_by_semicolons_or_tabs() {
        assert_eq!(
            all(b"a,b\r\n\"x, y\",\"q \"\"z\"\"\"\r\n\r\n1,\"2\n3\"\n"),
            [ok(2, "x, y|q \"z\""), ok(4, "1|2\n3")]
        );
        assert_eq!(all(b"\xEF\xBB\xBFa;b\n1,5;2"), [ok(2, "1,5|2")]);
        assert_eq!(all(b"a\tb\n1\t2 \"inch\"\n"), [ok(2, "1|2 \"inch\"")]);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_rejected_and_the_rest_goes_on() {
        let mut text = b"a,b\n1,2\n\"3,4\n5,6\n7\n8,\xFF\n9,\"10\"\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 3 * MAX_BYTES));
        text.extend(b"\n11,12\n");
        let told = all(&text);
        assert_eq!(told.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8, 9]);
        let reasons: Vec<&str> =
            told.iter().map(|(_, values)| values.as_ref().map_or_else(String::as_str, |_| "")).collect();
        assert!(reasons[1].contains("values, the header has 2") || reasons[1].contains("not closed"), "{reasons:?}");
        let rest = [
            "",
            "",
            "has 1 values, the header has 2",
            "column \"b\" is not valid UTF-8",
            "",
            "is longer than 65536 bytes",
            "",
        ];
        assert_eq!([reasons[0], reasons[2], reasons[3], reasons[4], reasons[5], reasons[6], reasons[7]], rest);
        assert_eq!([&told[2], &told[5], &told[7]], [&ok(4, "5|6"), &ok(7, "9|10"), &ok(9, "11|12")]);
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_one_line() {
        let mut text = b"a,b\n\"1,2\n".to_vec();
        for _ in 0..20_000 {
            text.extend(b"3,4\n");
        }
        let told = all(&text);
        assert_eq!(told.len(), 20_001);
        assert_eq!(told[0], (2, Err("has a quote that is not closed".to_owned())));
        assert!(told.iter().skip(1).all(|(_, values)| *values == Ok("3|4".to_owned())));
    }

    #[test]
    fn a_file_without_a_header_is_told() {
        assert!(Lines::open(&b""[..]).is_err());
        assert!(Lines::open(&b"\n1,2\n"[..]).is_err());
    }
}
