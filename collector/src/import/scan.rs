//! Whether a file or a rejected line names somebody: who is being forgotten, or who asks what is kept of them.

use super::fields::Kind;
use super::format::{Cell, Line, Lines, object};
use super::mapping::{Layout, Mapping};
use domain::identity::{Kind as IdentityKind, normalise};
use std::collections::HashSet;
use std::io::Read;

/// Shorter values are looked for in their own column alone: a customer's id 17 is also somebody's number of shoes.
const TELLING_BYTES: usize = 5;

/// Kinds of identifiers that files have.
const KINDS: [IdentityKind; 6] = [
    IdentityKind::Email,
    IdentityKind::UserId,
    IdentityKind::Phone,
    IdentityKind::External,
    IdentityKind::Order,
    IdentityKind::Visitor,
];

/// Identifiers, in their normal form, and the columns of a file that hold such.
pub(crate) struct Search<'i> {
    identifiers: &'i HashSet<(IdentityKind, String)>,
    own: [(IdentityKind, Option<usize>); 4],
}

impl Search<'_> {
    /// Looks for identifiers in a file with these columns.
    pub(crate) fn new<'i>(
        (kind, mapping): (Kind, &Mapping),
        columns: &[String],
        identifiers: &'i HashSet<(IdentityKind, String)>,
    ) -> Search<'i> {
        let layout = Layout::find(kind, columns, mapping).unwrap_or_default();
        let own = [
            (IdentityKind::UserId, layout.column("customer_id")),
            (IdentityKind::Order, layout.column("order_id")),
            (IdentityKind::Email, layout.column("email")),
            (IdentityKind::Phone, layout.column("phone")),
        ];
        Search { identifiers, own }
    }

    /// Whether a cell is one of the identifiers.
    fn is_named(&self, text: &str, at: usize) -> bool {
        KINDS.into_iter().any(|kind| {
            let Ok(value) = normalise(kind, text) else { return false };
            (value.len() >= TELLING_BYTES || self.own.contains(&(kind, Some(at))))
                && self.identifiers.contains(&(kind, value))
        })
    }

    /// Whether a line has one of the identifiers.
    fn is_in(&self, line: &Line) -> bool {
        if line.fault.is_some() {
            return line.raw().is_some_and(|text| in_words(text, self.identifiers));
        }
        line.cells.iter().enumerate().any(|(at, cell)| match cell {
            Cell::Empty => false,
            Cell::Text(text) | Cell::NoText(text) => self.is_named(text, at) || in_words(text, self.identifiers),
            Cell::List(_) => in_words(&cell.shown(), self.identifiers),
        })
    }

    /// Whether a rejected line, as [`Line::told`] gives it, has one of the identifiers.
    pub(crate) fn is_in_rejected(&self, columns: &[String], told: &[String]) -> bool {
        match told {
            [raw] if raw.starts_with('{') => {
                in_words(raw, self.identifiers) || self.is_in(&object(0, raw.as_bytes(), columns))
            }
            cells => {
                cells.iter().enumerate().any(|(at, text)| self.is_named(text, at) || in_words(text, self.identifiers))
            }
        }
    }
}

/// Whether any line has one of these identifiers, in their normal form. A file that cannot be read to its end may name
/// anybody.
pub(crate) fn names_somebody(
    (kind, mapping): (Kind, &Mapping),
    input: Box<dyn Read + '_>,
    identifiers: &HashSet<(IdentityKind, String)>,
) -> bool {
    let Ok(mut lines) = Lines::open_kind(kind, input) else { return true };
    let search = Search::new((kind, mapping), &lines.columns, identifiers);
    // Where a file has no heading, its first line is somebody's.
    if lines.columns.iter().enumerate().any(|(at, text)| search.is_named(text, at)) {
        return true;
    }
    loop {
        match lines.next() {
            Ok(Some(line)) if search.is_in(&line) => return true,
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

/// Addresses within longer texts: notes, lists, lines that cannot be read.
fn in_words(text: &str, identifiers: &HashSet<(IdentityKind, String)>) -> bool {
    let words = text.split(|c: char| c.is_whitespace() || "\"',;<>()[]{}=&?:".contains(c));
    words.filter(|word| word.contains('@')).any(|word| {
        normalise(IdentityKind::Email, word).is_ok_and(|value| identifiers.contains(&(IdentityKind::Email, value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: Kind, text: &str) -> bool {
        let identifiers = [
            (IdentityKind::Email, "mia@mail.example".to_owned()),
            (IdentityKind::UserId, "17".to_owned()),
            (IdentityKind::UserId, "customer-17".to_owned()),
            (IdentityKind::Order, "A-1001".to_owned()),
        ];
        let file = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        names_somebody((kind, &Mapping::default()), file, &identifiers.into_iter().collect())
    }

    #[test]
    fn identifiers_are_found_in_any_column_and_short_ones_in_their_own() {
        assert!(names(Kind::Customers, "x,note\n1,\"wrote from MIA@mail.example, twice\"\n"));
        assert!(names(Kind::Customers, "customer_id\n17\n"));
        assert!(names(Kind::Orders, "order_id,email,date,total\nA-1001,a@b.example,2026-01-01,1\n"));
        assert!(names(Kind::Orders, "a,b\ncustomer-17,1\n"));
        assert!(names(Kind::Customers, "mia@mail.example,Mia\nz@mail.example,Zoe\n"), "a file without headings");
        assert!(names(Kind::Customers, "{\"to\":{\"mail\":\"mia@mail.example\"}}\n"));
        assert!(names(Kind::Customers, "{\"a\":1}\n{\"mail\":\"mia@mail.example\"\n"), "a broken line");
        assert!(!names(Kind::Orders, "order_id,email,date,total,quantity\n1,a@b.example,2026-01-01,17,17\n"));
    }

    #[test]
    fn a_rejected_line_is_somebodys_by_the_same_rules() {
        let identifiers =
            [(IdentityKind::UserId, "17".to_owned()), (IdentityKind::Email, "mia@mail.example".to_owned())];
        let identifiers = identifiers.into_iter().collect();
        let columns = ["customer_id".to_owned(), "quantity".to_owned()];
        let search = Search::new((Kind::Orders, &Mapping::default()), &columns, &identifiers);
        let is_in = |told: &[&str]| {
            search.is_in_rejected(&columns, &told.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>())
        };
        assert!(is_in(&["17", "1"]) && is_in(&["", "Mia@mail.example"]));
        assert!(is_in(&["{\"customer_id\":17}"]) && is_in(&["{\"customer_id\":\"mia@mail.example\""]));
        assert!(!is_in(&["1", "17"]) && !is_in(&["{\"quantity\":17}"]));
    }

    #[test]
    fn what_cannot_be_read_may_name_anybody() {
        assert!(names(Kind::Customers, "PK\u{3}\u{4}"));
    }
}
