//! Files that are imported: what is in them, and how far they are.

use super::Site;
use super::csv::Table;
use jiff::Timestamp;

/// What the lines of a file are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// People with their traits.
    Customers,
    /// Orders, refunds and cancellations.
    Orders,
    /// What happened to newsletters.
    Newsletter,
    /// What campaigns cost by day.
    AdSpend,
    /// What search engines showed and led here by day.
    SearchConsole,
    /// What a former tool counted by day.
    WebHistory,
}

impl ImportKind {
    /// All kinds.
    pub const ALL: [ImportKind; 6] = [
        ImportKind::Customers,
        ImportKind::Orders,
        ImportKind::Newsletter,
        ImportKind::AdSpend,
        ImportKind::SearchConsole,
        ImportKind::WebHistory,
    ];

    /// The name in addresses, on the command line and in the store.
    pub const fn key(self) -> &'static str {
        match self {
            ImportKind::Customers => "customers",
            ImportKind::Orders => "orders",
            ImportKind::Newsletter => "newsletter",
            ImportKind::AdSpend => "ad-spend",
            ImportKind::SearchConsole => "search-console",
            ImportKind::WebHistory => "web-history",
        }
    }

    /// Whether its lines are counts of a day rather than events: lines about the same are added up, and nobody is in them.
    pub const fn is_by_day(self) -> bool {
        match self {
            ImportKind::Customers | ImportKind::Orders | ImportKind::Newsletter => false,
            ImportKind::AdSpend | ImportKind::SearchConsole | ImportKind::WebHistory => true,
        }
    }

    /// The kind of that [`ImportKind::key`].
    pub fn from_key(key: &str) -> Option<ImportKind> {
        ImportKind::ALL.into_iter().find(|kind| kind.key() == key)
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportState {
    /// The file is on its way.
    Uploading,
    /// The file is here; nothing of it has been stored.
    Ready,
    /// A worker reads it, or will in a moment.
    Running,
    /// Somebody has stopped it; it can go on.
    Paused,
    /// All of it has been read.
    Done,
    /// Somebody has ended it; what was stored stays.
    Cancelled,
    /// It cannot be read on.
    Failed,
    /// The file was left lying and is gone.
    Expired,
}

impl ImportState {
    /// All states.
    pub const ALL: [ImportState; 8] = [
        ImportState::Uploading,
        ImportState::Ready,
        ImportState::Running,
        ImportState::Paused,
        ImportState::Done,
        ImportState::Cancelled,
        ImportState::Failed,
        ImportState::Expired,
    ];

    /// The stored name.
    pub const fn key(self) -> &'static str {
        match self {
            ImportState::Uploading => "uploading",
            ImportState::Ready => "ready",
            ImportState::Running => "running",
            ImportState::Paused => "paused",
            ImportState::Done => "done",
            ImportState::Cancelled => "cancelled",
            ImportState::Failed => "failed",
            ImportState::Expired => "expired",
        }
    }

    /// The state of that [`ImportState::key`].
    pub fn from_key(key: &str) -> Option<ImportState> {
        ImportState::ALL.into_iter().find(|state| state.key() == key)
    }

    /// Whether nothing of the file is kept any more.
    pub const fn is_over(self) -> bool {
        match self {
            ImportState::Done | ImportState::Cancelled | ImportState::Failed | ImportState::Expired => true,
            ImportState::Uploading | ImportState::Ready | ImportState::Running | ImportState::Paused => false,
        }
    }
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its number.
    pub import_id: i64,
    /// What it is about.
    pub kind: ImportKind,
    /// The file's name, as the browser told it.
    pub file: String,
    /// How far it is.
    pub state: ImportState,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The file's size.
    pub size_bytes: u64,
    /// How much of it has been read.
    pub done_bytes: u64,
    /// Lines that have been read, without the header.
    pub lines: u64,
    /// Events that are new.
    pub stored: u64,
    /// Events that were there.
    pub duplicate: u64,
    /// Lines that make no sense, and events of forgotten people.
    pub rejected: u64,
    /// How fast it was read last.
    pub lines_per_s: u64,
    /// Why it cannot go on.
    pub problem: Option<String>,
}

impl Import {
    /// How much of the file has been read, 0 to 100.
    pub fn percent(&self) -> u64 {
        self.done_bytes.saturating_mul(100).checked_div(self.size_bytes).unwrap_or(0).min(100)
    }

    /// How long the rest will take at the last speed, in seconds; `None` where that is not known.
    pub fn remaining_s(&self) -> Option<u64> {
        let rest_bytes = self.size_bytes.saturating_sub(self.done_bytes);
        let rest_lines = rest_bytes.saturating_mul(self.lines).checked_div(self.done_bytes)?;
        rest_lines.checked_div(self.lines_per_s)
    }
}

/// The imports of a site.
#[derive(Clone, Debug)]
pub struct Imports {
    /// The site.
    pub site: Site,
    /// The moment of the report.
    pub now: Timestamp,
    /// The newest first.
    pub rows: Vec<Import>,
    /// What a file may have, in MiB.
    pub limit_mib: u64,
}

impl Imports {
    /// The list as a file.
    pub fn csv(&self) -> String {
        let mut table = Table::with_header(&[
            "file",
            "kind",
            "state",
            "uploaded",
            "by",
            "lines",
            "stored",
            "duplicate",
            "rejected",
        ]);
        for row in &self.rows {
            table
                .text(&row.file)
                .text(row.kind.key())
                .text(row.state.key())
                .moment(Some(row.created_at))
                .text(&row.created_by);
            table.count(row.lines).count(row.stored).count(row.duplicate).count(row.rejected).end();
        }
        table.into_text()
    }
}

/// One import with what surrounds it.
#[derive(Clone, Debug)]
pub struct ImportReport {
    /// The site.
    pub site: Site,
    /// The moment of the report.
    pub now: Timestamp,
    /// The import.
    pub import: Import,
    /// Rejected lines that are kept.
    pub kept_lines: u64,
    /// Events of the site that wait to be projected.
    pub waiting_events: u64,
}

/// A field of a file and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportField {
    /// The field's name.
    pub name: String,
    /// What it is.
    pub label: String,
    /// The column's index among [`ImportPreview::columns`].
    pub column: Option<usize>,
    /// Whether nothing can be imported without it.
    pub needed: bool,
    /// What the first lines say in it.
    pub examples: Vec<String>,
}

/// An event as it would be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedEvent {
    /// The line that it comes from.
    pub line: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Its name.
    pub what: String,
    /// Whose it is.
    pub who: String,
    /// What it says, as JSON.
    pub says: String,
}

/// A line of which nothing would be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFault {
    /// The line.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// What would become of a file, from its first lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportPreview {
    /// How it is written, in words.
    pub format: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// All fields of the kind.
    pub fields: Vec<ImportField>,
    /// Columns that are kept as traits, by index, with the trait's name.
    pub traits: Vec<(usize, String)>,
    /// Columns that nothing is read from, by index.
    pub left: Vec<usize>,
    /// What the whole file of a newsletter tells.
    pub event: Option<String>,
    /// Who counted what a file by day tells, said by its owner or found by its headings: a tool or `utm_source`.
    pub from: Option<String>,
    /// What it must have and has not, in words; nothing can be imported while there is any.
    pub missing: Vec<String>,
    /// Columns that are probably not what they were taken for, in words.
    pub doubts: Vec<String>,
    /// Lines that were looked at.
    pub lines: u64,
    /// The first events.
    pub events: Vec<ImportedEvent>,
    /// The first faults.
    pub faults: Vec<ImportFault>,
    /// All lines with a fault among those that were looked at.
    pub faulty_lines: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_follows_from_what_was_done() {
        let import = Import {
            import_id: 1,
            kind: ImportKind::Orders,
            file: "orders.csv".into(),
            state: ImportState::Running,
            created_at: Timestamp::UNIX_EPOCH,
            created_by: String::new(),
            ended_at: None,
            size_bytes: 4_000,
            done_bytes: 1_000,
            lines: 100,
            stored: 0,
            duplicate: 0,
            rejected: 0,
            lines_per_s: 50,
            problem: None,
        };
        assert_eq!((import.percent(), import.remaining_s()), (25, Some(6)));
        let begun = Import { done_bytes: 0, lines: 0, lines_per_s: 0, ..import.clone() };
        assert_eq!((begun.percent(), begun.remaining_s()), (0, None));
        assert_eq!(Import { size_bytes: 0, done_bytes: 0, ..import }.percent(), 0);
    }
}
