//! Whether a file names somebody who is being forgotten.

use super::fields::Kind;
use super::format::{Cell, Lines};
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

/// Whether any line has one of these identifiers, in their normal form. A file that cannot be read to its end may name
/// anybody.
pub(crate) fn names_somebody(
    (kind, mapping): (Kind, &Mapping),
    input: Box<dyn Read + '_>,
    identifiers: &HashSet<(IdentityKind, String)>,
) -> bool {
    let Ok(mut lines) = Lines::open_kind(kind, input) else { return true };
    let layout = Layout::find(kind, &lines.columns, mapping).unwrap_or_default();
    let own = |field| layout.column(field);
    let columns = [
        (IdentityKind::UserId, own("customer_id")),
        (IdentityKind::Order, own("order_id")),
        (IdentityKind::Email, own("email")),
        (IdentityKind::Phone, own("phone")),
    ];
    let is_own = |kind: IdentityKind, at: usize| columns.contains(&(kind, Some(at)));
    let named = |text: &str, at: usize| {
        KINDS.into_iter().any(|kind| {
            let Ok(value) = normalise(kind, text) else { return false };
            (value.len() >= TELLING_BYTES || is_own(kind, at)) && identifiers.contains(&(kind, value))
        })
    };
    // Where a file has no heading, its first line is somebody's.
    if lines.columns.iter().enumerate().any(|(at, text)| named(text, at)) {
        return true;
    }
    loop {
        match lines.next() {
            Ok(Some(line)) if line.fault.is_some() => {
                if line.told().iter().any(|text| in_words(text, identifiers)) {
                    return true;
                }
            }
            Ok(Some(line)) => {
                let is_named = |(at, cell): (usize, &Cell)| match cell {
                    Cell::Empty => false,
                    Cell::Text(text) | Cell::NoText(text) => named(text, at) || in_words(text, identifiers),
                    Cell::List(_) => in_words(&cell.shown(), identifiers),
                };
                if line.cells.iter().enumerate().any(is_named) {
                    return true;
                }
            }
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
    fn what_cannot_be_read_may_name_anybody() {
        assert!(names(Kind::Customers, "PK\u{3}\u{4}"));
    }
}
