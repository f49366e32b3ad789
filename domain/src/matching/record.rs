//! What is known of a person, written the one way in which it is compared.

use crate::identity::{self, Kind};
use icu_normalizer::DecomposingNormalizerBorrowed;
use std::fmt;

/// A value is compared by its first characters only, so that no value makes a comparison slow.
const MAX_CHARS: usize = 80;

/// What a value says about a person, as files and profiles name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// First name.
    GivenName,
    /// Family name.
    Surname,
    /// Both in one text; used where the two are not given apart.
    FullName,
    /// E-mail address.
    Email,
    /// Phone number.
    Phone,
    /// House number.
    StreetNumber,
    /// A line of the address: street, building, property.
    AddressLine1,
    /// A further line. The two may stand in either order.
    AddressLine2,
    /// Suburb, town or city.
    Suburb,
    /// Postcode or ZIP code.
    Postcode,
    /// State, province or county.
    State,
    /// Country.
    Country,
    /// Date of birth.
    BirthDate,
    /// A number that another system gave to one person: a customer number, a loyalty card.
    OtherId,
}

impl Field {
    /// All fields.
    pub const ALL: [Field; 14] = [
        Field::GivenName,
        Field::Surname,
        Field::FullName,
        Field::Email,
        Field::Phone,
        Field::StreetNumber,
        Field::AddressLine1,
        Field::AddressLine2,
        Field::Suburb,
        Field::Postcode,
        Field::State,
        Field::Country,
        Field::BirthDate,
        Field::OtherId,
    ];

    /// The name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Field::GivenName => "given_name",
            Field::Surname => "surname",
            Field::FullName => "name",
            Field::Email => "email",
            Field::Phone => "phone",
            Field::StreetNumber => "street_number",
            Field::AddressLine1 => "address_1",
            Field::AddressLine2 => "address_2",
            Field::Suburb => "suburb",
            Field::Postcode => "postcode",
            Field::State => "state",
            Field::Country => "country",
            Field::BirthDate => "date_of_birth",
            Field::OtherId => "other_id",
        }
    }

    /// The field of that [`Field::name`].
    pub fn from_name(name: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.name() == name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The eight digits of a date of birth, `YYYYMMDD`.
///
/// They need not be a day of the calendar: `1972-95-18` is a misspelt date, and may well be one digit off another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BirthDate(pub(super) [u8; 8]);

impl BirthDate {
    /// Reads `1990-02-28` (also with a time behind it), `19900228`, `28.02.1990`, `28/02/1990`, and, where the middle
    /// number is no month, `02/28/1990`. Nothing else: a year of two digits could be either century.
    ///
    /// Where day and month cannot be told apart the day is taken to come first; the comparison knows that the two are
    /// sometimes the other way round.
    pub fn parse(text: &str) -> Option<BirthDate> {
        let text = text.trim();
        let text = text.split(['T', ' ']).next().unwrap_or(text);
        if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
            let (front, back) = (text.get(..4)?, text.get(4..)?);
            let is_year = |year: &str| ("1850".."2100").contains(&year);
            return if !is_year(front) && is_year(back) {
                BirthDate::of(back, text.get(2..4)?, text.get(..2)?)
            } else {
                BirthDate::of(front, text.get(4..6)?, text.get(6..)?)
            };
        }
        let mut parts = text.split(['-', '/', '.']);
        let (a, b, c) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        match (a.len(), c.len()) {
            (4, _) => BirthDate::of(a, b, c),
            (_, 4) if b > "12" && b.len() == 2 && (a.len() == 1 || a <= "12") => BirthDate::of(c, a, b),
            (_, 4) => BirthDate::of(c, b, a),
            (_, _) => None,
        }
    }

    fn of(year: &str, month: &str, day: &str) -> Option<BirthDate> {
        let number = |text: &str| -> Option<u32> {
            let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            if digits { text.parse().ok() } else { None }
        };
        let (year, month, day) = (number(year)?, number(month)?, number(day)?);
        if month > 99 || day > 99 || (year, month, day) == (0, 0, 0) {
            return None;
        }
        let digits = format!("{year:04}{month:02}{day:02}");
        digits.as_bytes().try_into().ok().map(BirthDate)
    }

    /// Year, month and day, each as its digits.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        let (year, rest) = self.0.split_at(4);
        let (month, day) = rest.split_at(2);
        [year, month, day]
    }

    pub(super) fn text(&self) -> &str {
        // Digits only, by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// What is known of one person from one place. Everything is optional; what is absent is empty.
///
/// Texts are decomposed (Unicode NFKD), their accents dropped, in lower case and without anything but letters and
/// digits: `O'Brien` and `o brien` are the same value, as are `Gar Butt` and `garbutt`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    // The order of the fields is the order of records in the sorted neighbourhood of `blocking`.
    pub(super) surname: Box<str>,
    pub(super) given_name: Box<str>,
    pub(super) birth_date: Option<BirthDate>,
    pub(super) email: Box<str>,
    pub(super) phone: Box<str>,
    pub(super) street_number: Box<str>,
    pub(super) lines: [Box<str>; 2],
    pub(super) suburb: Box<str>,
    pub(super) postcode: Box<str>,
    pub(super) state: Box<str>,
    pub(super) country: Box<str>,
    pub(super) other_id: Box<str>,
}

impl Record {
    /// Reads a person's values; the first that says something counts for each field. A value that says nothing
    /// (`unknown`, a phone number of zeros) or cannot be read (a date without a year) is absent.
    pub fn new<'a>(values: impl IntoIterator<Item = (Field, &'a str)>) -> Record {
        let mut record = Record::default();
        let mut full_name = None;
        for (field, value) in values {
            match field {
                Field::GivenName => fill(&mut record.given_name, || compact(value)),
                Field::Surname => fill(&mut record.surname, || compact(value)),
                Field::FullName => full_name = full_name.or_else(|| split_name(value)),
                Field::Email => fill(&mut record.email, || email(value)),
                Field::Phone => fill(&mut record.phone, || phone(value)),
                Field::StreetNumber => fill(&mut record.street_number, || compact(value)),
                Field::AddressLine1 => fill(&mut record.lines[0], || value.trim().into()),
                Field::AddressLine2 => fill(&mut record.lines[1], || value.trim().into()),
                Field::Suburb => fill(&mut record.suburb, || compact(value)),
                Field::Postcode => fill(&mut record.postcode, || compact(value)),
                Field::State => fill(&mut record.state, || compact(value)),
                Field::Country => fill(&mut record.country, || compact(value)),
                Field::BirthDate => record.birth_date = record.birth_date.or_else(|| BirthDate::parse(value)),
                Field::OtherId => fill(&mut record.other_id, || compact(value)),
            }
        }
        if let Some((given_name, surname)) =
            full_name.filter(|_| record.given_name.is_empty() || record.surname.is_empty())
        {
            record.given_name = given_name;
            record.surname = surname;
        }
        for line in 0..record.lines.len() {
            let (number, street) = split_number(&record.lines[line], record.street_number.is_empty());
            record.lines[line] = street;
            fill(&mut record.street_number, || number);
        }
        record
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Record::default()
    }

    /// The given name as it is compared, empty where there is none.
    pub fn given_name(&self) -> &str {
        &self.given_name
    }

    /// The surname as it is compared, empty where there is none.
    pub fn surname(&self) -> &str {
        &self.surname
    }
}

fn fill(slot: &mut Box<str>, value: impl FnOnce() -> Box<str>) {
    if slot.is_empty() {
        *slot = value();
    }
}

/// Texts that programs and clerks write where they know nothing.
///
/// `Null` is a surname as well; the person who has it is found by everything else.
const PLACEHOLDERS: &[&str] = &["null", "nan", "none", "na", "unknown", "undefined", "notset", "unset", "xxx", "test"];

/// Letters and digits in lower case without accents; empty for what is no value.
pub(super) fn compact(value: &str) -> Box<str> {
    let text = letters_and_digits(value);
    // `N/A` is none; `Na` is a surname in Korea.
    let is_placeholder = PLACEHOLDERS.contains(&text.as_str()) && (text != "na" || value.contains('/'));
    if is_placeholder { Box::default() } else { text.into() }
}

fn letters_and_digits(value: &str) -> String {
    let mut folded = String::with_capacity(value.len().min(MAX_CHARS));
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize_iter(value.chars());
    for letter in decomposed.flat_map(char::to_lowercase).filter(|letter| letter.is_alphanumeric()).take(MAX_CHARS) {
        match letter {
            // Letters that have no decomposition, written as people write them where they have no such key.
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'þ' => folded.push_str("th"),
            'ı' => folded.push('i'),
            other => folded.push(other),
        }
    }
    folded
}

/// As identities are written; an address with a fault that a typo makes is kept as it is, in lower case.
fn email(value: &str) -> Box<str> {
    match identity::normalise(Kind::Email, value) {
        Ok(email) => email.into(),
        Err(identity::Invalid::Malformed { .. }) if value.contains('@') => {
            value.trim().to_lowercase().chars().filter(|letter| !letter.is_whitespace()).take(MAX_CHARS).collect()
        }
        Err(_) => Box::default(),
    }
}

/// E.164 where the country is told, else the digits without leading zeros.
fn phone(value: &str) -> Box<str> {
    if let Ok(phone) = identity::normalise(Kind::Phone, value) {
        return phone.into();
    }
    let digits: String = value.chars().filter(char::is_ascii_digit).take(MAX_CHARS).collect();
    let digits = digits.trim_start_matches('0');
    let first = digits.bytes().next();
    // Shorter ones are extensions; 99999999 is what people type into a field that must not be empty.
    if digits.len() < 6 || digits.bytes().all(|digit| Some(digit) == first) { Box::default() } else { digits.into() }
}

/// What stands before a name and is no part of it.
const TITLES: &[&str] = &["dr", "mr", "mrs", "ms", "miss", "prof", "professor", "sir", "herr", "frau", "mme", "m"];
/// Words that belong to the surname behind them.
const PARTICLES: &[&str] =
    &["van", "von", "de", "del", "der", "den", "di", "da", "dos", "la", "le", "el", "al", "bin", "st"];

/// Given name and surname of `Mia Smith`, `Smith, Mia`, `Dr Mia K. van der Berg`; further given names are left out.
fn split_name(value: &str) -> Option<(Box<str>, Box<str>)> {
    if let Some((surname, given)) = value.split_once(',') {
        let given = words(given).into_iter().next().unwrap_or_default();
        let surname = compact(surname);
        return (!surname.is_empty()).then_some((given.into(), surname));
    }
    let mut words = words(value);
    let first_of_name = words.iter().position(|word| !TITLES.contains(&word.as_str())).unwrap_or(0);
    words.drain(..first_of_name);
    let mut surname = words.pop()?;
    if words.is_empty() {
        // One word alone: which of the two it is cannot be told; most who write one write the first.
        return Some((compact(&surname), Box::default()));
    }
    while words.len() > 1 && words.last().is_some_and(|word| PARTICLES.contains(&word.as_str())) {
        surname.insert_str(0, &words.pop().unwrap_or_default());
    }
    Some((words.swap_remove(0).into(), compact(&surname)))
}

fn words(value: &str) -> Vec<String> {
    value.split_whitespace().map(letters_and_digits).filter(|word| !word.is_empty()).collect()
}

/// The house number in front of a street (`12a Main Street`) or behind it (`Hauptstraße 12`), where it is looked for.
fn split_number(line: &str, wanted: bool) -> (Box<str>, Box<str>) {
    let is_number = |word: &str| {
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        // A digit, and at most one letter behind it.
        digits > 0 && word.len() <= digits + 1
    };
    let whole = line.trim();
    let split = match (whole.split_once(char::is_whitespace), whole.rsplit_once(char::is_whitespace)) {
        _ if !wanted => None,
        (Some((number, street)), _) if is_number(number.trim_end_matches(',')) => Some((number, street)),
        // `apt 710` and `unit 5` are lines of their own, and no street has a name of fewer letters.
        (_, Some((street, number))) if is_number(number) && street.len() > 5 => Some((number, street)),
        (_, _) => None,
    };
    match split {
        Some((number, street)) => (compact(number), compact(street)),
        None => (Box::default(), compact(whole)),
    }
}
