//! Tables as CSV (RFC 4180, CRLF), safe to open in a spreadsheet.

use crate::money::Money;
use jiff::Timestamp;
use jiff::civil::Date;

/// One line of texts, without its line end: for tables that are written as they are read.
pub fn csv_line(cells: &[String]) -> String {
    let mut table = Table { text: String::new(), at_line_start: true };
    for cell in cells {
        table.text(cell);
    }
    table.into_text()
}

/// A table on its way to being a file.
pub(super) struct Table {
    text: String,
    at_line_start: bool,
}

impl Table {
    pub(super) fn with_header(columns: &[&str]) -> Table {
        let mut table = Table { text: String::new(), at_line_start: true };
        for column in columns {
            table.text(column);
        }
        table.end();
        table
    }

    fn separate(&mut self) {
        if !self.at_line_start {
            self.text.push(',');
        }
        self.at_line_start = false;
    }

    /// A text cell. Spreadsheets run what begins with `=`, `+`, `-`, `@`, a tab or a line break as a formula, and much of
    /// what stands here was sent by visitors: such a cell gets an apostrophe in front, which spreadsheets do not show.
    pub(super) fn text(&mut self, value: &str) -> &mut Table {
        self.separate();
        let formula = value.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
        let quoted = formula || value.contains([',', '"', '\r', '\n']);
        if quoted {
            self.text.push('"');
        }
        if formula {
            self.text.push('\'');
        }
        if quoted {
            self.text.push_str(&value.replace('"', "\"\""));
            self.text.push('"');
        } else {
            self.text.push_str(value);
        }
        self
    }

    pub(super) fn maybe_text(&mut self, value: Option<&str>) -> &mut Table {
        self.text(value.unwrap_or(""))
    }

    pub(super) fn count(&mut self, value: u64) -> &mut Table {
        self.separate();
        self.text.push_str(&value.to_string());
        self
    }

    pub(super) fn maybe_count(&mut self, value: Option<u64>) -> &mut Table {
        match value {
            Some(value) => self.count(value),
            None => self.text(""),
        }
    }

    /// A number that is none of whole things, to four decimals, small ones to four digits; nothing for one that is not
    /// finite.
    pub(super) fn number(&mut self, value: f64) -> &mut Table {
        self.separate();
        if value.is_finite() {
            if value != 0.0 && value.abs() < 0.001 {
                self.text.push_str(&format!("{value:.3e}"));
            } else {
                let text = format!("{value:.4}");
                self.text.push_str(text.trim_end_matches('0').trim_end_matches('.'));
            }
        }
        self
    }

    pub(super) fn maybe_money(&mut self, value: Option<Money>) -> &mut Table {
        match value {
            Some(value) => self.money(value),
            None => self.text(""),
        }
    }

    /// The plain decimal; the currency stands in the column's name or in a column of its own.
    pub(super) fn money(&mut self, value: Money) -> &mut Table {
        self.separate();
        self.text.push_str(&value.decimal());
        self
    }

    pub(super) fn day(&mut self, value: Option<Date>) -> &mut Table {
        self.separate();
        if let Some(day) = value {
            self.text.push_str(&day.to_string());
        }
        self
    }

    /// RFC 3339 in UTC, to the second's fraction that is known.
    pub(super) fn moment(&mut self, value: Option<Timestamp>) -> &mut Table {
        self.separate();
        if let Some(at) = value {
            self.text.push_str(&at.to_string());
        }
        self
    }

    pub(super) fn end(&mut self) -> &mut Table {
        self.text.push_str("\r\n");
        self.at_line_start = true;
        self
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_read_back_as_they_were() {
        let hostile = ["plain", "with, comma", "with \"quotes\"", "two\r\nlines", "", "ünï", " spaced "];
        let mut table = Table::with_header(&["a", "b"]);
        for cell in hostile {
            table.text(cell).count(7).end();
        }
        let text = table.into_text();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let read: Vec<String> = reader.records().map(|row| row.unwrap()[0].to_owned()).collect();
        assert_eq!(read, hostile);
    }

    #[test]
    fn numbers_are_short_and_what_is_none_is_left_out() {
        let mut table = Table::with_header(&["a"]);
        for value in [12.0, 0.5, -1.25, 1.0 / 3.0, 0.0, 1_200.0, f64::NAN] {
            table.number(value);
        }
        table.maybe_count(None).maybe_count(Some(7)).maybe_money(None).end();
        assert_eq!(table.into_text(), "a\r\n12,0.5,-1.25,0.3333,0,1200,,,7,\r\n");
    }

    #[test]
    fn no_text_cell_is_a_formula() {
        for cell in ["=1+1", "+49 30", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=HYPERLINK(\"http://x\",\"y\")"] {
            let mut table = Table::with_header(&["a"]);
            table.text(cell).end();
            let text = table.into_text();
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let row = reader.records().next().unwrap().unwrap();
            assert_eq!(&row[0], format!("'{cell}"));
        }
    }
}
