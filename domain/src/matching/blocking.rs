//! Which pairs are looked at: those that have at least one of several keys in common.
//!
//! Comparing everybody with everybody takes n² / 2 comparisons. A pass gives each record some keys, and only records
//! with a key in common are compared; what one pass misses because of an error in its key another one finds. A block
//! with more records than [`Settings::largest_block`] (a phone number of a call centre, a very common name) is put in
//! order and each record compared with its nearest neighbours only; [`Blocking`] says what that left out.
//!
//! Sources: Fellegi & Sunter (1969), section 3.4 (blocking); Hernández & Stolfo (1995), "The merge/purge problem for
//! large databases" (sorted neighbourhood, several passes); Christen (2012), "A survey of indexing techniques for
//! scalable record linkage and deduplication".

use super::Settings;
use super::compare::last_digits;
use super::likeness::soundex;
use super::record::Record;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A way of giving records keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pass {
    /// The same e-mail address.
    Email,
    /// The same last seven digits of the phone number.
    Phone,
    /// The same number of another system.
    OtherId,
    /// The same date of birth.
    BirthDate,
    /// Names that sound alike, in either order.
    NamesByEar,
    /// The same postcode and a surname that sounds alike.
    PostcodeAndSurname,
    /// The same postcode and three letters of the given name.
    PostcodeAndGivenName,
    /// The same address line and house number, in either order of the lines.
    Door,
    /// The same address line and three letters of the given name.
    StreetAndGivenName,
    /// A surname that sounds alike, and the same year, or the same month and day, of birth.
    SurnameAndPartOfBirthDate,
    /// A given name that sounds alike, and the same year and month, or the same month and day, of birth.
    GivenNameAndPartOfBirthDate,
    /// Neighbours in the order of surname, given name, date of birth.
    Neighbours,
}

impl Pass {
    /// All passes, in the order in which they are made: the surest first.
    pub const ALL: [Pass; 12] = [
        Pass::Email,
        Pass::Phone,
        Pass::OtherId,
        Pass::BirthDate,
        Pass::NamesByEar,
        Pass::PostcodeAndSurname,
        Pass::PostcodeAndGivenName,
        Pass::Door,
        Pass::StreetAndGivenName,
        Pass::SurnameAndPartOfBirthDate,
        Pass::GivenNameAndPartOfBirthDate,
        Pass::Neighbours,
    ];

    /// What it goes by, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Pass::Email => "e-mail",
            Pass::Phone => "phone",
            Pass::OtherId => "other id",
            Pass::BirthDate => "date of birth",
            Pass::NamesByEar => "both names by sound",
            Pass::PostcodeAndSurname => "postcode, surname by sound",
            Pass::PostcodeAndGivenName => "postcode, given name",
            Pass::Door => "address line, house number",
            Pass::StreetAndGivenName => "address line, given name",
            Pass::SurnameAndPartOfBirthDate => "surname by sound, part of the date of birth",
            Pass::GivenNameAndPartOfBirthDate => "given name by sound, part of the date of birth",
            Pass::Neighbours => "neighbours by name",
        }
    }

    /// The keys that a record has in this pass.
    fn keys(self, record: &Record, mut add: impl FnMut(u64)) {
        let Record { surname, given_name, email, phone, street_number, lines, postcode, other_id, .. } = record;
        let lines = || lines.iter().filter(|line| !line.is_empty());
        let dates = record.birth_date.iter().map(|date| date.parts());
        match self {
            Pass::Email => add_all(email, add),
            Pass::Phone => add_all(last_digits(phone), add),
            Pass::OtherId => add_all(other_id, add),
            Pass::BirthDate => dates.for_each(|parts| add(hash(parts))),
            Pass::NamesByEar => {
                if let (Some(a), Some(b)) = (sound(given_name), sound(surname)) {
                    add(hash((a.min(b), a.max(b))));
                }
            }
            Pass::PostcodeAndSurname if !postcode.is_empty() => {
                sound(surname).into_iter().for_each(|surname| add(hash((postcode, surname))));
            }
            Pass::PostcodeAndGivenName if !postcode.is_empty() && !given_name.is_empty() => {
                add(hash((postcode, start(given_name))));
            }
            Pass::Door if !street_number.is_empty() => lines().for_each(|line| add(hash((street_number, line)))),
            Pass::StreetAndGivenName if !given_name.is_empty() => {
                lines().for_each(|line| add(hash((line, start(given_name)))));
            }
            Pass::PostcodeAndSurname | Pass::PostcodeAndGivenName | Pass::Door | Pass::StreetAndGivenName => {}
            Pass::SurnameAndPartOfBirthDate => {
                for (surname, [year, month, day]) in sound(surname).into_iter().zip(dates) {
                    add(hash((surname, year)));
                    add(hash((surname, month, day)));
                }
            }
            Pass::GivenNameAndPartOfBirthDate => {
                for (given_name, [year, month, day]) in sound(given_name).into_iter().zip(dates) {
                    add(hash((given_name, year, month)));
                    add(hash((given_name, month, day)));
                }
            }
            // By their order, not by a key.
            Pass::Neighbours => {}
        }
    }
}

fn add_all(value: &str, mut add: impl FnMut(u64)) {
    if !value.is_empty() {
        add(hash(value));
    }
}

/// A name as it sounds; in other scripts its first three letters.
fn sound(name: &str) -> Option<[u8; 4]> {
    if name.is_empty() {
        return None;
    }
    let by_letter = || {
        let word = hash(start(name)).to_le_bytes();
        [word[0], word[1], word[2], word[3]]
    };
    Some(soundex(name).unwrap_or_else(by_letter))
}

/// The first three letters.
fn start(name: &str) -> &str {
    name.char_indices().nth(3).and_then(|(end, _)| name.get(..end)).unwrap_or(name)
}

fn hash(key: impl Hash) -> u64 {
    // The same on every machine and in every run: this hasher has no random state.
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// What one pass did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassReport {
    /// Which one.
    pub pass: Pass,
    /// Pairs that no pass before it had.
    pub new_pairs: usize,
    /// Blocks that were too large.
    pub oversized: usize,
    /// Records in the largest block.
    pub largest: usize,
    /// Pairs inside oversized blocks that this pass did not look at; another pass may have.
    pub left_out: u64,
}

/// What all passes did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocking {
    /// One report for each pass that was made.
    pub passes: Vec<PassReport>,
    /// Passes that were not made because the file had [`Settings::most_pairs_per_record`] before them.
    pub not_made: Vec<Pass>,
}

/// The pairs to compare, each once with its smaller place first, in order. Records are in the order of their values.
pub(super) fn pairs(records: &[&Record], settings: &Settings) -> (Vec<(u32, u32)>, Blocking) {
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    let mut blocking = Blocking::default();
    let most = settings.most_pairs_per_record.saturating_mul(records.len());
    for pass in Pass::ALL {
        if pairs.len() >= most {
            blocking.not_made.push(pass);
            continue;
        }
        let before = pairs.len();
        let mut report = PassReport { pass, new_pairs: 0, oversized: 0, largest: 0, left_out: 0 };
        match pass {
            Pass::Neighbours => {
                let all: Vec<u32> = (0..records.len() as u32).collect();
                neighbours(&all, settings.window, &mut pairs);
            }
            Pass::Email
            | Pass::Phone
            | Pass::OtherId
            | Pass::BirthDate
            | Pass::NamesByEar
            | Pass::PostcodeAndSurname
            | Pass::PostcodeAndGivenName
            | Pass::Door
            | Pass::StreetAndGivenName
            | Pass::SurnameAndPartOfBirthDate
            | Pass::GivenNameAndPartOfBirthDate => blocks(records, pass, settings, &mut pairs, &mut report),
        }
        pairs.sort_unstable();
        pairs.dedup();
        report.new_pairs = pairs.len() - before;
        blocking.passes.push(report);
    }
    (pairs, blocking)
}

fn blocks(records: &[&Record], pass: Pass, settings: &Settings, pairs: &mut Vec<(u32, u32)>, report: &mut PassReport) {
    let mut keyed: Vec<(u64, u32)> = Vec::new();
    for (place, record) in (0..).zip(records) {
        pass.keys(record, |key| keyed.push((key, place)));
    }
    keyed.sort_unstable();
    keyed.dedup();
    for block in keyed.chunk_by(|(a, _), (b, _)| a == b) {
        let members: Vec<u32> = block.iter().map(|(_, place)| *place).collect();
        report.largest = report.largest.max(members.len());
        if members.len() <= settings.largest_block {
            for (at, a) in members.iter().enumerate() {
                pairs.extend(members.iter().skip(at + 1).map(|b| (*a, *b)));
            }
        } else {
            report.oversized += 1;
            let before = pairs.len();
            neighbours(&members, settings.window, pairs);
            let all = members.len() as u64 * (members.len() as u64 - 1) / 2;
            report.left_out += all - (pairs.len() - before) as u64;
        }
    }
}

/// Each with those that stand at most `window` places behind it.
fn neighbours(ordered: &[u32], window: usize, pairs: &mut Vec<(u32, u32)>) {
    for (at, a) in ordered.iter().enumerate() {
        pairs.extend(ordered.iter().skip(at + 1).take(window).map(|b| (*a, *b)));
    }
}
