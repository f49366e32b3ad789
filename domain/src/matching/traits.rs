//! What is said of a profile's person: traits and identifiers under the names that shops give them, as they are compared
//! and as they are shown.

use super::{Comparison, Field, Record};
use crate::event::Trust;
use crate::identity::Kind;
use serde_json::Value;

/// Names of traits, without case and anything but letters and digits: `firstName`, `first_name` and `First name` are one.
/// Of two names for a field the one that stands first counts.
const NAMES: &[(Field, &[&str])] = &[
    (Field::GivenName, &["firstname", "givenname", "forename", "fname"]),
    (Field::Surname, &["lastname", "surname", "familyname", "lname"]),
    (Field::FullName, &["name", "fullname"]),
    (Field::Email, &["email", "emailaddress", "mail"]),
    (Field::Phone, &["phone", "phonenumber", "mobile", "mobilephone", "telephone", "tel"]),
    (Field::StreetNumber, &["streetnumber", "housenumber"]),
    (Field::AddressLine1, &["address1", "addressline1", "line1", "street", "streetaddress", "address"]),
    (Field::AddressLine2, &["address2", "addressline2", "line2", "street2"]),
    (Field::Suburb, &["city", "town", "suburb", "locality"]),
    (Field::Postcode, &["postcode", "postalcode", "zip", "zipcode", "plz"]),
    (Field::State, &["state", "province", "region", "county"]),
    (Field::Country, &["country", "countrycode"]),
    (Field::BirthDate, &["dateofbirth", "birthdate", "birthday", "dob"]),
    (Field::OtherId, &["loyaltyid", "loyaltynumber", "loyaltycard", "membershipnumber", "customernumber"]),
];

/// Traits that hold an address as an object, as in Segment's specification.
const ADDRESSES: [&str; 3] = ["address", "billingaddress", "shippingaddress"];

/// What is said of one profile's person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The best vouched for first, then by the place of the name.
    values: Vec<(Field, String, Trust)>,
}

impl Said {
    /// Reads traits: name, value, who vouches for it. Traits that say nothing of who somebody is are left out.
    pub fn of<'a>(traits: impl IntoIterator<Item = (&'a str, &'a Value, Trust)>) -> Said {
        let mut found: Vec<(Trust, usize, Field, String)> = Vec::new();
        let mut take = |name: &str, value: &Value, trust| {
            if let (Some((place, field)), Some(text)) = (field_of(name), text_of(value)) {
                found.push((trust, place, field, text));
            }
        };
        for (name, value, trust) in traits {
            match value {
                Value::Object(parts) if ADDRESSES.contains(&plain(name).as_str()) => {
                    parts.iter().for_each(|(part, value)| take(part, value, trust));
                }
                value => take(name, value, trust),
            }
        }
        found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        Said { values: found.into_iter().map(|(trust, _, field, text)| (field, text, trust)).collect() }
    }

    /// Adds an identifier of the profile; a trait that is as well vouched for comes before it.
    pub fn add(&mut self, kind: Kind, value: &str, trust: Trust) {
        let field = match kind {
            Kind::Email => Field::Email,
            Kind::Phone => Field::Phone,
            Kind::Visitor | Kind::UserId | Kind::External | Kind::Order | Kind::Message | Kind::Measured => return,
        };
        let place = self.values.iter().position(|(_, _, own)| *own < trust).unwrap_or(self.values.len());
        self.values.insert(place, (field, value.to_owned(), trust));
    }

    /// What is compared, of values that are vouched for at least so well.
    pub fn record(&self, least: Trust) -> Record {
        Record::new(self.vouched(least).map(|(field, text, _)| (*field, text.as_str())))
    }

    /// What a person reads of one comparison, of values that are vouched for at least so well, and who vouches for the
    /// weakest of them; `None` where nothing is said.
    pub fn text(&self, comparison: Comparison, least: Trust) -> Option<(String, Trust)> {
        let first = |field: Field| self.vouched(least).find(|(own, ..)| *own == field);
        let parts: Vec<&(Field, String, Trust)> =
            shown(comparison).iter().filter_map(|fields| fields.iter().find_map(|field| first(*field))).collect();
        let weakest = parts.iter().map(|(_, _, trust)| *trust).min()?;
        Some((parts.iter().map(|(_, text, _)| text.as_str()).collect::<Vec<_>>().join(", "), weakest))
    }

    fn vouched(&self, least: Trust) -> impl Iterator<Item = &(Field, String, Trust)> {
        self.values.iter().filter(move |(_, _, trust)| *trust >= least)
    }
}

/// The fields that a comparison is shown by, in the order of writing; of each group the first that is known.
const fn shown(comparison: Comparison) -> &'static [&'static [Field]] {
    match comparison {
        Comparison::GivenName => &[&[Field::GivenName, Field::FullName]],
        Comparison::Surname => &[&[Field::Surname, Field::FullName]],
        Comparison::Email => &[&[Field::Email]],
        Comparison::Phone => &[&[Field::Phone]],
        Comparison::Address => &[
            &[Field::StreetNumber],
            &[Field::AddressLine1],
            &[Field::AddressLine2],
            &[Field::Postcode],
            &[Field::Suburb],
            &[Field::State],
            &[Field::Country],
        ],
        Comparison::Place => &[&[Field::Postcode], &[Field::Suburb], &[Field::State], &[Field::Country]],
        Comparison::BirthDate => &[&[Field::BirthDate]],
        Comparison::OtherId => &[&[Field::OtherId]],
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// The field that a trait's name means, and how far behind it stands among the names of that field.
fn field_of(name: &str) -> Option<(usize, Field)> {
    let name = plain(name);
    NAMES.iter().find_map(|(field, names)| Some((names.iter().position(|own| *own == name)?, *field)))
}

/// Texts, and numbers as they are written; nothing else says who somebody is.
fn text_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::{Level, Pattern};
    use serde_json::json;

    fn said(traits: &[(&str, Value, Trust)]) -> Said {
        Said::of(traits.iter().map(|(name, value, trust)| (*name, value, *trust)))
    }

    #[test]
    fn traits_are_read_under_the_names_that_shops_give_them() {
        let one = said(&[
            ("firstName", json!("Mia"), Trust::Trusted),
            ("Last name", json!("Harrington"), Trust::Trusted),
            ("address", json!({ "street": "12 Main Street", "postalCode": 2705, "city": "Leeton" }), Trust::Trusted),
            ("birthday", json!("1990-02-03"), Trust::Trusted),
            ("plan", json!("gold"), Trust::Trusted),
        ]);
        let other = said(&[
            ("name", json!("Mia Harrington"), Trust::Trusted),
            ("address_1", json!("Main Street 12"), Trust::Trusted),
            ("zip", json!("2705"), Trust::Trusted),
            ("suburb", json!("Leeton"), Trust::Trusted),
            ("dob", json!("3.2.1990"), Trust::Trusted),
        ]);
        let pattern = Pattern::of(&one.record(Trust::Trusted), &other.record(Trust::Trusted));
        for comparison in [Comparison::GivenName, Comparison::Surname, Comparison::BirthDate] {
            assert_eq!(pattern.level(comparison), Some(Level::Same), "{comparison:?}");
        }
        assert_eq!(pattern.level(Comparison::Address), Some(Level::Door));
        assert_eq!(one.text(Comparison::Address, Trust::Trusted).unwrap().0, "12 Main Street, 2705, Leeton");
        assert_eq!(other.text(Comparison::Surname, Trust::Trusted).unwrap().0, "Mia Harrington");
        assert_eq!(other.text(Comparison::Email, Trust::Trusted), None);
    }

    #[test]
    fn what_only_a_browser_says_is_no_part_of_what_is_vouched_for() {
        let mut one = said(&[
            ("name", json!("Mia Harrington"), Trust::Browser),
            ("firstName", json!("Mia"), Trust::Trusted),
            ("email", json!("typed@mail.example"), Trust::Browser),
        ]);
        one.add(Kind::Email, "mia@mail.example", Trust::Trusted);
        one.add(Kind::Visitor, "v1", Trust::Trusted);
        let trusted = one.record(Trust::Trusted);
        assert_eq!((trusted.given_name(), trusted.surname()), ("mia", ""));
        assert_eq!(one.record(Trust::Browser).surname(), "harrington");
        let email = |least| one.text(Comparison::Email, least);
        assert_eq!(email(Trust::Trusted), Some(("mia@mail.example".to_owned(), Trust::Trusted)));
        assert_eq!(email(Trust::Browser), email(Trust::Trusted), "what is vouched for comes first");
        assert_eq!(one.text(Comparison::Surname, Trust::Browser).unwrap().1, Trust::Browser);
        assert!(Said::default().record(Trust::Browser).is_empty());
    }
}
