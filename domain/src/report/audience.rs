//! Where and with what people visit: a period's visits by country, device, browser, system and language.

use super::csv::Table;
use crate::surroundings::{Country, DeviceClass};

/// What visits are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakdown {
    /// The country of the network address.
    Countries,
    /// The kind of device.
    Devices,
    /// The browser's family.
    Browsers,
    /// The operating system's family.
    Systems,
    /// The browser's first language.
    Languages,
}

impl Breakdown {
    /// All of them, in the order in which the page shows them.
    pub const ALL: [Breakdown; 5] =
        [Breakdown::Countries, Breakdown::Devices, Breakdown::Browsers, Breakdown::Systems, Breakdown::Languages];

    /// The word in addresses and files' names.
    pub fn key(self) -> &'static str {
        match self {
            Breakdown::Countries => "countries",
            Breakdown::Devices => "devices",
            Breakdown::Browsers => "browsers",
            Breakdown::Systems => "systems",
            Breakdown::Languages => "languages",
        }
    }

    /// Reads [`Breakdown::key`] back.
    pub fn from_key(key: &str) -> Option<Breakdown> {
        Breakdown::ALL.into_iter().find(|by| by.key() == key)
    }

    /// What one of its values is, as the head of a column.
    pub fn heading(self) -> &'static str {
        match self {
            Breakdown::Countries => "Country",
            Breakdown::Devices => "Device",
            Breakdown::Browsers => "Browser",
            Breakdown::Systems => "System",
            Breakdown::Languages => "Language",
        }
    }

    /// The name for people of a stored value.
    pub fn name(self, value: &str) -> String {
        match self {
            Breakdown::Countries => Country::from_code(value).map_or_else(|| value.to_owned(), |one| one.name().into()),
            Breakdown::Devices => {
                DeviceClass::from_key(value).map_or_else(|| value.to_owned(), |one| one.label().into())
            }
            Breakdown::Browsers | Breakdown::Systems | Breakdown::Languages => value.to_owned(),
        }
    }
}

/// The visits of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudienceRow {
    /// As stored, `AT`; `None` of visits of which it is not known.
    pub value: Option<String>,
    /// Visits that began in the period.
    pub sessions: u64,
    /// And in the period before.
    pub previous_sessions: u64,
}

/// A period's visits by one thing, most of them first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudienceTable {
    /// By what.
    pub by: Breakdown,
    /// Each value once.
    pub rows: Vec<AudienceRow>,
}

impl AudienceTable {
    /// The table as a file: every value, as stored and as shown.
    pub fn csv(&self) -> String {
        let mut table = Table::with_header(&["value", "name", "sessions", "sessions_before"]);
        for row in &self.rows {
            let name = row.value.as_deref().map(|value| self.by.name(value));
            table
                .maybe_text(row.value.as_deref())
                .maybe_text(name.as_deref())
                .count(row.sessions)
                .count(row.previous_sessions)
                .end();
        }
        table.into_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_every_value_as_stored_and_as_shown() {
        let row = |value: Option<&str>, sessions| AudienceRow {
            value: value.map(str::to_owned),
            sessions,
            previous_sessions: 1,
        };
        let rows = vec![row(Some("AT"), 3), row(Some("=1+1"), 2), row(None, 1)];
        let csv = AudienceTable { by: Breakdown::Countries, rows }.csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0], "value,name,sessions,sessions_before");
        assert_eq!((lines[1], lines[3]), ("AT,Austria,3,1", ",,1,1"));
        assert!(!lines[2].starts_with('='), "no formula for a spreadsheet: {}", lines[2]);
        assert_eq!(Breakdown::Devices.name("tv"), "TV");
        assert!(Breakdown::ALL.into_iter().all(|by| Breakdown::from_key(by.key()) == Some(by)));
    }
}
