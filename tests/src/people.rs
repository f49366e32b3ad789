//! Made-up people with duplicates, the same for the same seed, for the bench of matching.
//!
//! People come in households that share an address, mostly a surname, often a landline and sometimes an e-mail address;
//! among their children are twins and sons with their father's name. Names follow Zipf's law. Some people are there more
//! than once, and each further record has what files of customers have: typing, reading and hearing errors, nicknames,
//! swapped names and lines, other formats, values that are missing, a house that was left, a name that was changed.
//!
//! | what | how often |
//! |---|---|
//! | people with 1, 2, 3 further records | 15 %, 4 %, 1 % |
//! | absent: e-mail, phone, date of birth, address (and again in each further record) | 25, 25, 20, 5 % (12 %) |
//! | a typing error in a value; a second one | 10 %; 2 % |
//! | misread (`rn` for `m`) or misheard (`ph` for `f`) | 2 %, 4 % of names and streets |
//! | nickname, initial, given name and surname swapped, surname changed | 8, 2, 2, 2 % |
//! | moved, another e-mail address, another phone | 12, 20, 12 % |
//! | address lines swapped, street abbreviated | 2, 10 % |
//! | date: a wrong digit, day and month swapped, 1 January for want of a better one | 3, 2, 1 % |
//!
//! The lists of names are short and the rest is made of syllables, so nobody in it is anybody. The nicknames are a list of
//! its own, not the one that matching knows.

use crate::synthetic::Draws;
use domain::matching::Field;
use std::collections::HashSet;

/// A record as a file would have it.
pub type Values = Vec<(Field, String)>;

const WOMEN: &[&str] = &[
    "Mary",
    "Elizabeth",
    "Jennifer",
    "Margaret",
    "Susan",
    "Katherine",
    "Sarah",
    "Jessica",
    "Emily",
    "Olivia",
    "Charlotte",
    "Amelia",
    "Sophie",
    "Isabella",
    "Chloé",
    "Zoë",
    "Rebecca",
    "Victoria",
    "Patricia",
    "Christina",
    "Deborah",
    "Samantha",
];
const MEN: &[&str] = &[
    "James",
    "William",
    "Robert",
    "John",
    "Michael",
    "Thomas",
    "David",
    "Richard",
    "Joseph",
    "Daniel",
    "Matthew",
    "Andrew",
    "Christopher",
    "Nicholas",
    "Benjamin",
    "Edward",
    "Samuel",
    "Joshua",
    "Oliver",
    "Jürgen",
    "José",
    "Anthony",
];
const SURNAMES: &[&str] = &[
    "Smith",
    "Jones",
    "Williams",
    "Brown",
    "Wilson",
    "Taylor",
    "Nguyen",
    "Johnson",
    "Martin",
    "White",
    "Anderson",
    "Walker",
    "Thompson",
    "Müller",
    "O'Brien",
    "Lee",
    "Ryan",
    "Robinson",
    "Kelly",
    "King",
    "García",
    "Van den Berg",
    "McDonald",
];
const NICKNAMES: &[(&str, &str)] = &[
    ("Elizabeth", "Liz"),
    ("Elizabeth", "Beth"),
    ("Jennifer", "Jen"),
    ("Margaret", "Peggy"),
    ("Susan", "Sue"),
    ("Katherine", "Kate"),
    ("Jessica", "Jess"),
    ("Charlotte", "Lottie"),
    ("Rebecca", "Becky"),
    ("Victoria", "Vicky"),
    ("Patricia", "Trish"),
    ("Christina", "Tina"),
    ("Deborah", "Deb"),
    ("Samantha", "Sam"),
    ("James", "Jim"),
    ("William", "Bill"),
    ("Robert", "Bob"),
    ("John", "Jack"),
    ("Michael", "Mick"),
    ("Thomas", "Tom"),
    ("David", "Dave"),
    ("Richard", "Dick"),
    ("Joseph", "Joe"),
    ("Daniel", "Dan"),
    ("Matthew", "Matt"),
    ("Andrew", "Drew"),
    ("Christopher", "Kit"),
    ("Nicholas", "Nick"),
    ("Benjamin", "Ben"),
    ("Edward", "Ted"),
    ("Samuel", "Sam"),
    ("Anthony", "Tony"),
    ("Oliver", "Ollie"),
    ("Isabella", "Bella"),
];
const STATES: &[&str] = &["NSW", "VIC", "QLD", "WA", "SA", "TAS", "ACT", "NT"];
const STREET_KINDS: &[(&str, &str)] =
    &[("Street", "St"), ("Road", "Rd"), ("Avenue", "Ave"), ("Place", "Pl"), ("Crescent", "Cres"), ("Court", "Ct")];
const PROVIDERS: &[&str] = &["gmail.com", "outlook.com", "bigpond.com", "yahoo.com", "icloud.com", "proton.me"];
const SYLLABLES: &[&str] = &[
    "ba", "bel", "bri", "ca", "cor", "dan", "del", "do", "el", "far", "fen", "ga", "gor", "hal", "hum", "in", "jar",
    "ka", "kel", "la", "len", "lo", "mar", "mi", "mon", "na", "nor", "o", "pa", "per", "qui", "ra", "ren", "ro", "sa",
    "sel", "sha", "ta", "ter", "tho", "u", "va", "ver", "wal", "wen", "ya", "zan", "zim",
];

/// How many there are of each; from this on their names are built.
const GIVEN_NAMES: usize = 3_000;
const ALL_SURNAMES: usize = 30_000;
const SUBURBS: usize = 900;
const STREETS: usize = 5_000;
const STREETS_OF_A_SUBURB: usize = 60;

/// Ranks drawn by Zipf's law.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(ranks: usize, exponent: f64) -> Zipf {
        let mut sum = 0.0;
        Zipf(
            (1..=ranks)
                .map(|rank| {
                    sum += (rank as f64).powf(-exponent);
                    sum
                })
                .collect(),
        )
    }

    fn draw(&self, draws: &mut Draws) -> usize {
        let at = draws.uniform() * self.0.last().copied().unwrap_or_default();
        self.0.partition_point(|sum| *sum < at).min(self.0.len() - 1)
    }
}

#[derive(Clone)]
struct Address {
    number: String,
    street: String,
    building: String,
    suburb: usize,
}

#[derive(Clone)]
struct Someone {
    is_woman: bool,
    given_name: String,
    surname: String,
    email: Option<String>,
    phone: Option<String>,
    address: Option<Address>,
    birth: Option<[u32; 3]>,
}

/// Draws people, household by household.
pub struct People {
    draws: Draws,
    given_names: Zipf,
    surnames: Zipf,
    suburbs: Zipf,
    people: u32,
    /// Inboxes have one owner, or one family.
    taken: HashSet<String>,
}

impl People {
    /// Those of a seed.
    pub fn of(seed: u64) -> People {
        People {
            draws: Draws::of(seed),
            given_names: Zipf::new(GIVEN_NAMES, 0.8),
            surnames: Zipf::new(ALL_SURNAMES, 0.75),
            suburbs: Zipf::new(SUBURBS, 0.6),
            people: 0,
            taken: HashSet::new(),
        }
    }

    /// The records of so many people, each with its person's number, in no order.
    pub fn records(mut self, people: u32, mut add: impl FnMut(u32, Values)) {
        while self.people < people {
            let mut household = self.household();
            household.truncate((people - self.people) as usize);
            for someone in household {
                let number = self.people;
                self.people += 1;
                add(number, self.written(&someone, false));
                let further = match self.draws.uniform() {
                    draw if draw < 0.15 => 1,
                    draw if draw < 0.19 => 2,
                    draw if draw < 0.20 => 3,
                    _ => 0,
                };
                for _ in 0..further {
                    let changed = self.changed(&someone);
                    add(number, self.written(&changed, true));
                }
            }
        }
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.draws.uniform() < probability
    }

    fn below(&mut self, below: usize) -> usize {
        ((self.draws.uniform() * below as f64) as usize).min(below.saturating_sub(1))
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let at = self.below(of.len());
        of[at]
    }

    fn household(&mut self) -> Vec<Someone> {
        let (adults, children) = match self.draws.uniform() {
            draw if draw < 0.40 => (1, 0),
            draw if draw < 0.65 => (2, 0),
            draw if draw < 0.75 => (1, 1),
            draw if draw < 0.87 => (2, 1),
            draw if draw < 0.96 => (2, 2),
            _ => (2, 3),
        };
        let address = self.address();
        let surname = self.surname();
        let landline = self.chance(0.35).then(|| self.phone());
        let inbox =
            self.chance(0.08).then(|| format!("family.{}{}@{}", plain(&surname), self.below(1_000), PROVIDERS[0]));
        let eldest = 1935 + self.below(65) as u32;
        let mut household: Vec<Someone> = Vec::new();
        for adult in 0..adults {
            let own_name = adult == 1 && self.chance(0.2);
            let surname = if own_name { self.surname() } else { surname.clone() };
            let born = eldest + self.below(6) as u32;
            let is_woman = adult == 1 || (adults == 1 && self.chance(0.5));
            household.push(self.someone(is_woman, surname, born, &address, landline.as_ref(), inbox.as_ref()));
        }
        let has_twins = children >= 2 && self.chance(0.06);
        for child in 0..children {
            let is_woman = self.chance(0.5);
            let born = eldest + 22 + self.below(14) as u32;
            let mut own = self.someone(is_woman, surname.clone(), born, &address, landline.as_ref(), inbox.as_ref());
            let father = household.first().filter(|father| !father.is_woman).map(|father| father.given_name.clone());
            if let Some(father) = father.filter(|_| !is_woman && child == 0)
                && self.chance(0.05)
            {
                own.given_name = father;
            }
            if has_twins && child == 1 {
                own.birth = household.last().and_then(|twin| twin.birth);
            }
            household.push(own);
        }
        household
    }

    fn someone(
        &mut self,
        is_woman: bool,
        surname: String,
        born: u32,
        address: &Address,
        landline: Option<&String>,
        inbox: Option<&String>,
    ) -> Someone {
        let given_name = self.given_name(is_woman);
        let email = match inbox {
            Some(inbox) if self.chance(0.6) => Some(inbox.clone()),
            _ => self.chance(0.75).then(|| self.email(&given_name, &surname)),
        };
        let phone = match landline {
            Some(landline) if self.chance(0.5) => Some(landline.clone()),
            _ => self.chance(0.75).then(|| self.phone()),
        };
        let birth = [born, 1 + self.below(12) as u32, 1 + self.below(28) as u32];
        Someone {
            is_woman,
            given_name,
            surname,
            email,
            phone,
            address: self.chance(0.95).then(|| address.clone()),
            birth: self.chance(0.80).then_some(birth),
        }
    }

    fn given_name(&mut self, is_woman: bool) -> String {
        let rank = self.given_names.draw(&mut self.draws);
        let known = if is_woman { WOMEN } else { MEN };
        match known.get(rank) {
            Some(name) => (*name).to_owned(),
            None => built(rank * 2 + usize::from(is_woman), 1, if is_woman { "a" } else { "" }),
        }
    }

    fn surname(&mut self) -> String {
        let rank = self.surnames.draw(&mut self.draws);
        SURNAMES.get(rank).map_or_else(|| built(rank, 2, ""), |name| (*name).to_owned())
    }

    fn address(&mut self) -> Address {
        let suburb = self.suburbs.draw(&mut self.draws);
        let own = self.below(STREETS_OF_A_SUBURB);
        // The first is in every town; the others are drawn once for each suburb.
        let name = if own == 0 { 0 } else { mixed(suburb * STREETS_OF_A_SUBURB + own) % STREETS };
        let kind = if name == 0 { "Street" } else { STREET_KINDS[name % STREET_KINDS.len()].0 };
        let street = if name == 0 { "Main".to_owned() } else { built(name, 3, "") };
        let building = match self.draws.uniform() {
            draw if draw < 0.10 => format!("Unit {}", 1 + self.below(40)),
            draw if draw < 0.15 => format!("{} House", built(self.below(20_000), 4, "")),
            _ => String::new(),
        };
        Address { number: (1 + self.below(150)).to_string(), street: format!("{street} {kind}"), building, suburb }
    }

    fn email(&mut self, given_name: &str, surname: &str) -> String {
        let (given_name, surname) = (plain(given_name), plain(surname));
        let number = self.below(100);
        let local = match self.below(5) {
            0 => format!("{given_name}.{surname}"),
            1 => format!("{given_name}{number}"),
            2 => format!("{}{surname}{number}", given_name.get(..1).unwrap_or("x")),
            3 => format!("{surname}.{given_name}{number}"),
            _ => format!("{}{}", plain(&built(self.below(40_000), 5, "")), self.below(1_000)),
        };
        let mut email = format!("{local}@{}", self.one(PROVIDERS));
        while !self.taken.insert(email.clone()) {
            email = format!("{local}{}@{}", self.below(10_000), self.one(PROVIDERS));
        }
        email
    }

    fn phone(&mut self) -> String {
        format!("+614{:08}", self.below(100_000_000))
    }

    /// The same person at another time.
    fn changed(&mut self, someone: &Someone) -> Someone {
        let mut changed = someone.clone();
        if self.chance(0.12) {
            changed.address = changed.address.map(|_| self.address());
        }
        if self.chance(0.20) {
            changed.email = changed.email.map(|_| self.email(&someone.given_name, &someone.surname));
        }
        if self.chance(0.12) {
            changed.phone = changed.phone.map(|_| self.phone());
        }
        if someone.is_woman && self.chance(0.04) {
            changed.surname = self.surname();
        }
        if self.chance(0.08) {
            let own: Vec<&str> =
                NICKNAMES.iter().filter(|(name, _)| *name == someone.given_name).map(|(_, short)| *short).collect();
            if !own.is_empty() {
                changed.given_name = self.one(&own).to_owned();
            }
        } else if self.chance(0.02) {
            changed.given_name = changed.given_name.chars().take(1).collect();
        }
        if let Some(birth) = &mut changed.birth {
            match self.draws.uniform() {
                draw if draw < 0.02 => birth.swap(1, 2),
                draw if draw < 0.03 => *birth = [birth[0], 1, 1],
                _ => {}
            }
        }
        changed
    }

    /// As somebody wrote it down; a further record has faults.
    fn written(&mut self, someone: &Someone, further: bool) -> Values {
        let mut values: Values = Vec::new();
        let swapped = further && self.chance(0.02);
        let (given_name, surname) =
            if swapped { (&someone.surname, &someone.given_name) } else { (&someone.given_name, &someone.surname) };
        values.push((Field::GivenName, self.misheard(given_name, further)));
        values.push((Field::Surname, self.misheard(surname, further)));
        values.extend(someone.email.clone().map(|email| (Field::Email, email)));
        values.extend(someone.phone.clone().map(|phone| (Field::Phone, phone)));
        if let Some([year, month, day]) = someone.birth {
            values.push((Field::BirthDate, format!("{year:04}-{month:02}-{day:02}")));
        }
        if let Some(address) = &someone.address {
            let street = self.misheard(&address.street, further);
            let street = if further && self.chance(0.1) { abbreviated(street) } else { street };
            let lines = if further && self.chance(0.02) {
                [address.building.clone(), street]
            } else {
                [street, address.building.clone()]
            };
            let [first, second] = lines;
            values.push((Field::StreetNumber, address.number.clone()));
            values.push((Field::AddressLine1, first));
            values.push((Field::AddressLine2, second));
            values.push((Field::Suburb, built(address.suburb, 6, "")));
            values.push((Field::Postcode, (2_000 + address.suburb * 7).to_string()));
            values.push((Field::State, STATES[address.suburb % STATES.len()].to_owned()));
        }
        if further {
            values.retain(|(field, _)| matches!(field, Field::GivenName | Field::Surname) || !self.chance(0.12));
            for (field, value) in &mut values {
                self.mistype(*field, value);
            }
        }
        values.retain(|(_, value)| !value.is_empty());
        values
    }

    fn misheard(&mut self, value: &str, further: bool) -> String {
        const MISREAD: &[(&str, &str)] = &[("m", "rn"), ("d", "cl"), ("l", "1"), ("o", "0"), ("e", "c"), ("h", "b")];
        const MISHEARD: &[(&str, &str)] =
            &[("f", "ph"), ("ck", "k"), ("y", "ie"), ("c", "k"), ("z", "s"), ("ll", "l"), ("ei", "ie")];
        let errors = match self.draws.uniform() {
            draw if further && draw < 0.02 => MISREAD,
            draw if further && draw < 0.06 => MISHEARD,
            _ => return value.to_owned(),
        };
        let possible: Vec<_> = errors.iter().filter(|(right, _)| value.contains(right)).collect();
        let at = self.below(possible.len().max(1));
        possible.get(at).map_or_else(|| value.to_owned(), |(right, wrong)| value.replacen(right, wrong, 1))
    }

    fn mistype(&mut self, field: Field, value: &mut String) {
        let often = match field {
            Field::BirthDate | Field::Postcode | Field::State | Field::StreetNumber | Field::Phone => 0.03,
            _ => 0.10,
        };
        let errors = match self.draws.uniform() {
            draw if draw < often * 0.2 => 2,
            draw if draw < often => 1,
            _ => 0,
        };
        let digits = matches!(field, Field::BirthDate | Field::Postcode | Field::StreetNumber | Field::Phone);
        for _ in 0..errors {
            let mut letters: Vec<char> = value.chars().collect();
            if letters.len() < 2 {
                return;
            }
            let at = self.below(letters.len() - 1);
            let other = if digits { b'0' + self.below(10) as u8 } else { b'a' + self.below(26) as u8 };
            match self.below(if field == Field::BirthDate { 1 } else { 4 }) {
                0 if letters[at] != '-' => letters[at] = char::from(other),
                1 => letters.insert(at, char::from(other)),
                2 => drop(letters.remove(at)),
                _ => letters.swap(at, at + 1),
            }
            *value = letters.into_iter().collect();
        }
        if self.chance(0.2) {
            *value = match field {
                Field::Phone => value.replacen("+61", "0", 1),
                _ => value.to_uppercase(),
            };
        }
    }
}

/// A name of its own for each number: two to four syllables.
fn built(number: usize, kind: usize, end: &str) -> String {
    let mut left = mixed(number * 7 + kind);
    let syllables = 2 + left % 3;
    let mut name = String::new();
    for _ in 0..syllables {
        left = mixed(left);
        name.push_str(SYLLABLES[left % SYLLABLES.len()]);
    }
    name.push_str(end);
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

fn mixed(number: usize) -> usize {
    let mut draws = Draws::of(number as u64);
    (draws.uniform() * (1_u64 << 40) as f64) as usize
}

fn abbreviated(street: String) -> String {
    STREET_KINDS.iter().find(|(kind, _)| street.ends_with(kind)).map_or_else(
        || street.clone(),
        |(kind, short)| format!("{}{short}", street.strip_suffix(kind).unwrap_or(&street)),
    )
}

/// A name as it stands in an e-mail address.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase()).collect()
}
