//! What two records agree on: the comparison vector of a pair.
//!
//! Each [`Comparison`] is either absent (one of the two records says nothing) or at one of its [`Level`]s. What is
//! absent neither agrees nor disagrees.

use super::likeness::{self, Likeness, allowed_edits, soundex, within_edits};
use super::nicknames;
use super::record::{BirthDate, Record};
use std::fmt;

/// What is compared. Fields that say the same thing twice are one comparison: street, suburb, postcode and state are
/// where somebody lives, and counting each of them as a witness of its own would count one witness four times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    /// Given names.
    GivenName,
    /// Surnames.
    Surname,
    /// E-mail addresses.
    Email,
    /// Phone numbers.
    Phone,
    /// House number, address lines in either order, suburb, postcode, state and country, where both have a street.
    Address,
    /// Suburb, postcode, state and country, where one of the two has no street.
    Place,
    /// Dates of birth.
    BirthDate,
    /// Numbers given by another system.
    OtherId,
}

impl Comparison {
    /// All comparisons, by the place that they have in a [`Pattern`].
    pub const ALL: [Comparison; 8] = [
        Comparison::GivenName,
        Comparison::Surname,
        Comparison::Email,
        Comparison::Phone,
        Comparison::Address,
        Comparison::Place,
        Comparison::BirthDate,
        Comparison::OtherId,
    ];

    /// The name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Comparison::GivenName => "given name",
            Comparison::Surname => "surname",
            Comparison::Email => "e-mail",
            Comparison::Phone => "phone",
            Comparison::Address => "address",
            Comparison::Place => "place",
            Comparison::BirthDate => "date of birth",
            Comparison::OtherId => "other id",
        }
    }

    /// The name in JSON.
    pub const fn key(self) -> &'static str {
        match self {
            Comparison::GivenName => "given_name",
            Comparison::Surname => "surname",
            Comparison::Email => "email",
            Comparison::Phone => "phone",
            Comparison::Address => "address",
            Comparison::Place => "place",
            Comparison::BirthDate => "date_of_birth",
            Comparison::OtherId => "other_id",
        }
    }

    /// The comparison of that [`Comparison::key`].
    pub fn from_key(key: &str) -> Option<Comparison> {
        Comparison::ALL.into_iter().find(|comparison| comparison.key() == key)
    }

    /// The level of that [`Level::key`], where this comparison has it.
    pub fn level_from_key(self, key: &str) -> Option<Level> {
        self.levels().iter().copied().find(|level| level.key() == key)
    }

    /// Its levels, from the least agreement to the most. [`Level::Swapped`] stands last and outside that order.
    pub const fn levels(self) -> &'static [Level] {
        match self {
            Comparison::GivenName => &[Level::Different, Level::Related, Level::Near, Level::Same, Level::Swapped],
            Comparison::Surname => &[Level::Different, Level::Related, Level::Near, Level::Same],
            Comparison::Email => &[Level::Different, Level::Related, Level::Near, Level::Same],
            Comparison::Phone => &[Level::Different, Level::Near, Level::Related, Level::Same],
            Comparison::Address => &[
                Level::Different,
                Level::Region,
                Level::PartOfPlace,
                Level::Place,
                Level::Street,
                Level::StreetInPlace,
                Level::Door,
            ],
            Comparison::Place => &[Level::Different, Level::Region, Level::PartOfPlace, Level::Place],
            Comparison::BirthDate => &[Level::Different, Level::Related, Level::Near, Level::Same],
            Comparison::OtherId => &[Level::Different, Level::Near, Level::Same],
        }
    }
}

/// How far two records agree in one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Not at all.
    Different,
    /// Names: a short form, an initial, the same sound, a part of the other. E-mails: the same before the `@`. Phones:
    /// the same last seven digits. Dates: two of year, month and day.
    Related,
    /// A typing error apart. Dates also with day and month the other way round.
    Near,
    /// The same.
    Same,
    /// Given name and surname are each other's; then the surname is not compared again.
    Swapped,
    /// Addresses: only the state, or where none is known the country.
    Region,
    /// Addresses: one of suburb and postcode, the other differs.
    PartOfPlace,
    /// Addresses: suburb and postcode, or the one that both have.
    Place,
    /// Addresses: the street or building, not the suburb or postcode.
    Street,
    /// Addresses: street and place; the house number differs or is not known.
    StreetInPlace,
    /// Addresses: house number, street and place.
    Door,
}

impl Level {
    /// Whether this is what people of one household have in common.
    pub(super) const fn is_home(self, comparison: Comparison) -> bool {
        match comparison {
            Comparison::Address => matches!(self, Level::StreetInPlace | Level::Door),
            Comparison::Email | Comparison::Phone => matches!(self, Level::Same),
            Comparison::GivenName
            | Comparison::Surname
            | Comparison::Place
            | Comparison::BirthDate
            | Comparison::OtherId => false,
        }
    }

    /// The name in JSON.
    pub const fn key(self) -> &'static str {
        match self {
            Level::Different => "different",
            Level::Related => "related",
            Level::Near => "near",
            Level::Same => "same",
            Level::Swapped => "swapped",
            Level::Region => "region",
            Level::PartOfPlace => "part_of_place",
            Level::Place => "place",
            Level::Street => "street",
            Level::StreetInPlace => "street_in_place",
            Level::Door => "door",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Different => "different",
            Level::Related => "related",
            Level::Near => "a typing error apart",
            Level::Same => "the same",
            Level::Swapped => "swapped with the surname",
            Level::Region => "the same state or country",
            Level::PartOfPlace => "the same suburb or postcode",
            Level::Place => "the same suburb and postcode",
            Level::Street => "the same street, in another place",
            Level::StreetInPlace => "the same street",
            Level::Door => "the same house",
        })
    }
}

/// The largest number of levels that a comparison has.
pub(super) const MAX_LEVELS: usize = 7;

/// The comparison vector of a pair, three bits for each comparison: 0 where it is absent, else the level's place in
/// [`Comparison::levels`] and one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(u32);

impl Pattern {
    /// What two records agree on. The order of the two makes no difference.
    pub fn of(a: &Record, b: &Record) -> Pattern {
        let mut pattern = Pattern::default();
        let (given_name, surname) = names(a, b);
        pattern.set(Comparison::GivenName, given_name);
        pattern.set(Comparison::Surname, surname);
        pattern.set(Comparison::Email, emails_beside_names(a, b));
        pattern.set(Comparison::Phone, both(&a.phone, &b.phone).map(phones));
        match streets(a, b) {
            Some(same) => pattern.set(Comparison::Address, addresses(a, b, same)),
            None => pattern.set(Comparison::Place, places_alone(a, b)),
        }
        pattern.set(Comparison::BirthDate, a.birth_date.zip(b.birth_date).map(birth_dates));
        pattern.set(Comparison::OtherId, both(&a.other_id, &b.other_id).map(other_ids));
        pattern
    }

    /// This pattern with another level, or with none, in one comparison. A level that the comparison does not have
    /// counts as none.
    #[must_use]
    pub fn with(mut self, comparison: Comparison, level: Option<Level>) -> Pattern {
        self.0 &= !(7 << (3 * comparison as u32));
        self.set(comparison, level);
        self
    }

    fn set(&mut self, comparison: Comparison, level: Option<Level>) {
        let place = level.and_then(|level| comparison.levels().iter().position(|own| *own == level));
        let code = place.map_or(0, |place| place as u32 + 1);
        self.0 |= code << (3 * comparison as u32);
    }

    /// The level's place in [`Comparison::levels`].
    pub(super) const fn place(self, comparison: Comparison) -> Option<usize> {
        match (self.0 >> (3 * comparison as u32)) & 7 {
            0 => None,
            code => Some(code as usize - 1),
        }
    }

    /// How far the two agree in that comparison; `None` where one of them says nothing.
    pub fn level(self, comparison: Comparison) -> Option<Level> {
        self.place(comparison).and_then(|place| comparison.levels().get(place).copied())
    }

    /// Whether the two share what a household shares: a door, a street, an e-mail address or a phone.
    pub(super) fn shares_a_home(self) -> bool {
        Comparison::ALL.into_iter().any(|comparison| self.level(comparison).is_some_and(|own| own.is_home(comparison)))
    }

    /// Whether two exact pieces of evidence say that these are two people: other dates of birth, and with them other
    /// e-mail addresses or numbers.
    pub(super) fn contradicts(self) -> bool {
        let differs = |comparison| self.level(comparison) == Some(Level::Different);
        differs(Comparison::BirthDate) && (differs(Comparison::Email) || differs(Comparison::OtherId))
    }
}

fn both<'a>(a: &'a str, b: &'a str) -> Option<(&'a str, &'a str)> {
    (!a.is_empty() && !b.is_empty()).then_some((a, b))
}

fn names(a: &Record, b: &Record) -> (Option<Level>, Option<Level>) {
    let given_name = both(&a.given_name, &b.given_name).map(given_names);
    let surname = both(&a.surname, &b.surname).map(surnames);
    let may_be_swapped = given_name.is_some_and(|level| level < Level::Near)
        && surname.is_some_and(|level| level < Level::Near)
        && likeness::names(&a.given_name, &b.surname) >= Likeness::Near
        && likeness::names(&a.surname, &b.given_name) >= Likeness::Near;
    if may_be_swapped { (Some(Level::Swapped), None) } else { (given_name, surname) }
}

const fn level(likeness: Likeness) -> Level {
    match likeness {
        Likeness::Different => Level::Different,
        Likeness::Related => Level::Related,
        Likeness::Near => Level::Near,
        Likeness::Same => Level::Same,
    }
}

fn given_names((a, b): (&str, &str)) -> Level {
    let likeness = likeness::names(a, b);
    let related = || {
        let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
        // `m` and `mia`, `alex` and `alexander`.
        let starts = long.starts_with(short) && (short.chars().count() == 1 || short.len() >= 3);
        starts || nicknames::share_a_name(a, b) || sound_the_same(a, b)
    };
    if likeness == Likeness::Different && related() { Level::Related } else { level(likeness) }
}

fn surnames((a, b): (&str, &str)) -> Level {
    let likeness = likeness::names(a, b);
    let related = || {
        let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
        // `smith` and `smith-jones`, `jones` and `smith-jones`.
        let is_part = short.len() >= 4 && (long.starts_with(short) || long.ends_with(short));
        is_part || sound_the_same(a, b)
    };
    if likeness == Likeness::Different && related() { Level::Related } else { level(likeness) }
}

fn sound_the_same(a: &str, b: &str) -> bool {
    soundex(a).is_some_and(|code| soundex(b) == Some(code))
}

/// Two addresses that are made of names are alike because the names are: `james.robinson` at another provider, or with
/// another number, is what any James Robinson has. Unless they are the same they are then no evidence of their own.
fn emails_beside_names(a: &Record, b: &Record) -> Option<Level> {
    let level = both(&a.email, &b.email).map(emails)?;
    match level {
        Level::Related | Level::Near if is_made_of_names(a) && is_made_of_names(b) => None,
        level => Some(level),
    }
}

fn is_made_of_names(record: &Record) -> bool {
    let local = record.email.split('@').next().unwrap_or_default();
    let letters: String = local.chars().filter(|letter| letter.is_alphanumeric()).collect();
    [&record.given_name, &record.surname].into_iter().any(|name| name.len() >= 3 && letters.contains(&**name))
}

fn emails((a, b): (&str, &str)) -> Level {
    let local = |email: &str| email.split('@').next().map(str::len).unwrap_or_default();
    if a == b {
        Level::Same
    } else if within_edits(a, b, if local(a).min(local(b)) >= 8 { 2 } else { 1 }) && local(a).min(local(b)) >= 4 {
        Level::Near
    } else if local(a) >= 5 && a.get(..local(a)) == b.get(..local(b)) {
        Level::Related
    } else {
        Level::Different
    }
}

fn phones((a, b): (&str, &str)) -> Level {
    if a == b {
        Level::Same
    } else if last_digits(a) == last_digits(b) {
        // The country or area code is missing in one.
        Level::Related
    } else if within_edits(a, b, 1) {
        Level::Near
    } else {
        Level::Different
    }
}

/// The last seven digits, or all where there are fewer.
pub(super) fn last_digits(phone: &str) -> &str {
    phone.get(phone.len().saturating_sub(7)..).unwrap_or(phone)
}

fn birth_dates((a, b): (BirthDate, BirthDate)) -> Level {
    if a == b {
        return Level::Same;
    }
    let (a_parts, b_parts) = (a.parts(), b.parts());
    let [year, month, day] = [0, 1, 2].map(|part| a_parts[part] == b_parts[part]);
    let swapped = year && a_parts[1] == b_parts[2] && a_parts[2] == b_parts[1];
    if swapped || likeness::edits(a.text(), b.text()) == 1 {
        Level::Near
    } else if [year, month, day].into_iter().filter(|same| *same).count() == 2 {
        Level::Related
    } else {
        Level::Different
    }
}

fn other_ids((a, b): (&str, &str)) -> Level {
    if a == b {
        Level::Same
    } else if a.len().min(b.len()) >= 5 && within_edits(a, b, 1) {
        Level::Near
    } else {
        Level::Different
    }
}

fn addresses(a: &Record, b: &Record, same_street: bool) -> Option<Level> {
    let place = places(a, b);
    let same_number = both(&a.street_number, &b.street_number).is_some_and(|(a, b)| a == b);
    Some(match (same_street, place) {
        (true, Some(Place::Whole | Place::Part)) if same_number => Level::Door,
        (true, Some(Place::Whole | Place::Part)) => Level::StreetInPlace,
        (true, None) if same_number => Level::StreetInPlace,
        (true, Some(Place::Other) | None) => Level::Street,
        (false, Some(Place::Whole)) => Level::Place,
        (false, Some(Place::Part)) => Level::PartOfPlace,
        (false, Some(Place::Other) | None) if same_region(a, b) == Some(true) => Level::Region,
        (false, Some(Place::Other) | None) => Level::Different,
    })
}

fn places_alone(a: &Record, b: &Record) -> Option<Level> {
    match (places(a, b), same_region(a, b)) {
        (Some(Place::Whole), _) => Some(Level::Place),
        (Some(Place::Part), _) => Some(Level::PartOfPlace),
        (Some(Place::Other) | None, Some(true)) => Some(Level::Region),
        (Some(Place::Other), Some(false) | None) | (None, Some(false)) => Some(Level::Different),
        (None, None) => None,
    }
}

/// Whether the state is the same, or where one of the two has none the country.
fn same_region(a: &Record, b: &Record) -> Option<bool> {
    both(&a.state, &b.state).or_else(|| both(&a.country, &b.country)).map(|(a, b)| a == b)
}

/// Whether one of the lines is the same, in either order.
fn streets(a: &Record, b: &Record) -> Option<bool> {
    let mut compared = None;
    for line in a.lines.iter().filter(|line| !line.is_empty()) {
        for other in b.lines.iter().filter(|line| !line.is_empty()) {
            if lines_agree(line, other) {
                return Some(true);
            }
            compared = Some(false);
        }
    }
    compared
}

/// What many streets end in: it adds letters that two lines have in common and nothing that tells them apart.
const STREET_KINDS: &[&str] = &[
    "street",
    "road",
    "avenue",
    "place",
    "crescent",
    "circuit",
    "court",
    "drive",
    "close",
    "lane",
    "terrace",
    "way",
    "boulevard",
    "parade",
    "square",
    "strasse",
    "platz",
    "allee",
    "weg",
    "gasse",
    "st",
    "rd",
    "ave",
    "pl",
];

fn lines_agree(a: &str, b: &str) -> bool {
    let own_chars = |line: &str| {
        let kind = STREET_KINDS.iter().find(|kind| line.len() > kind.len() && line.ends_with(**kind));
        line.chars().count() - kind.map_or(0, |kind| kind.len())
    };
    a == b || within_edits(a, b, allowed_edits(own_chars(a).min(own_chars(b))))
}

/// How far suburb and postcode agree.
#[derive(Clone, Copy)]
enum Place {
    Other,
    Part,
    Whole,
}

fn places(a: &Record, b: &Record) -> Option<Place> {
    let suburb = both(&a.suburb, &b.suburb).map(|(a, b)| likeness::names(a, b) >= Likeness::Near);
    let postcode = both(&a.postcode, &b.postcode);
    match (suburb, postcode) {
        (None, None) => None,
        (Some(same), None) => Some(if same { Place::Whole } else { Place::Other }),
        (None, Some((a, b))) => Some(if a == b { Place::Whole } else { Place::Other }),
        // Beside the same suburb another digit is a typing error; alone it is another town.
        (Some(true), Some((a, b))) if a == b || within_edits(a, b, 1) => Some(Place::Whole),
        (Some(true), Some(_)) => Some(Place::Part),
        (Some(false), Some((a, b))) => Some(if a == b { Place::Part } else { Place::Other }),
    }
}
