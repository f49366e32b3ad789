//! Segments that keep themselves: all that are in use, one with its people, and a rule that is being written.

use super::csv::Table;
use super::{Members, Site};
use crate::event::ProfileId;
use crate::money::{Currency, Money};
use crate::segment::Cause;
use crate::segment::insight::rate::{Interval, Share};
use crate::segment::library::Theme;
use crate::segment::rule::{SentenceError, Word};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

/// How asking everybody about a new rule comes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// People asked so far.
    pub asked: u64,
    /// People in all; 0 before it has begun.
    pub people: u64,
}

/// One segment in use.
#[derive(Clone, Debug, PartialEq)]
pub struct InUse {
    /// Its key as URLs have it, made of `a-z 0-9 -` alone.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Who is in it.
    pub description: String,
    /// What a ready-made one is about; `None` for the site's own.
    pub theme: Option<Theme>,
    /// The rule as a sentence; `None` for a list.
    pub says: Option<String>,
    /// People in it now.
    pub people: u64,
    /// Who entered in the last seven days; first answers to a new rule are no movement.
    pub entered: u64,
    /// Who left in the last seven days.
    pub left: u64,
    /// What its people have spent so far, in the site's currency.
    pub revenue: Money,
    /// While everybody is being asked: the numbers are not the last ones.
    pub progress: Option<Progress>,
}

/// The segments of a site that are in use.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentsInUse {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// Everybody with a profile.
    pub people: u64,
    /// What is looked for among them.
    pub search: Option<String>,
    /// Those that are found, the site's own first, then the ready-made ones theme by theme.
    pub rows: Vec<InUse>,
    /// How many there are in all.
    pub total: u64,
    /// How many are archived.
    pub archived: u64,
}

impl SegmentsInUse {
    /// The segments in the order in which they are shown, and of these the ones in which each word of `search` is found:
    /// in key, name, description or rule.
    pub fn new(
        site: Site,
        now: Timestamp,
        people: u64,
        mut rows: Vec<InUse>,
        archived: u64,
        search: Option<String>,
    ) -> SegmentsInUse {
        let total = rows.len() as u64;
        rows.sort_by_key(|row| row.theme);
        if let Some(search) = &search {
            let words: Vec<String> = search.to_lowercase().split_whitespace().map(str::to_owned).collect();
            let text = |row: &InUse| {
                [&row.key, &row.name, &row.description, row.says.as_ref().unwrap_or(&String::new())]
                    .map(|text| text.to_lowercase())
                    .join("\n")
            };
            rows.retain(|row| {
                let text = text(row);
                words.iter().all(|word| text.contains(word))
            });
        }
        SegmentsInUse { site, now, people, search, rows, total, archived }
    }

    /// The rows of one theme, or the site's own.
    pub fn of(&self, theme: Option<Theme>) -> impl Iterator<Item = &InUse> {
        self.rows.iter().filter(move |row| row.theme == theme)
    }

    /// The progress of those that are not ready yet.
    pub fn progress(&self) -> Option<Progress> {
        self.rows.iter().find_map(|row| row.progress)
    }

    /// The rows as CSV.
    pub fn csv(&self) -> String {
        let revenue = format!("revenue_{}", self.site.currency);
        let mut table = Table::with_header(&[
            "segment",
            "name",
            "description",
            "theme",
            "people",
            "entered_7_days",
            "left_7_days",
            &revenue,
            "ready",
            "rule",
        ]);
        for row in &self.rows {
            table
                .text(&row.key)
                .text(&row.name)
                .text(&row.description)
                .text(row.theme.map_or("Own", Theme::name))
                .count(row.people)
                .count(row.entered)
                .count(row.left)
                .money(row.revenue)
                .text(if row.progress.is_none() { "yes" } else { "no" })
                .maybe_text(row.says.as_deref())
                .end();
        }
        table.into_text()
    }
}

/// A segment that was taken out of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedSegment {
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Who was in it.
    pub description: String,
    /// Since when.
    pub archived_at: Timestamp,
}

/// The segments of a site that were taken out of use, the latest first.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchivedSegments {
    /// The site.
    pub site: Site,
    /// The moment of this report.
    pub now: Timestamp,
    /// The segments.
    pub rows: Vec<ArchivedSegment>,
}

/// How a segment comes to its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptBy {
    /// By a rule.
    Rule {
        /// As a sentence.
        says: String,
        /// As JSON, in lines.
        json: String,
    },
    /// It is a fixed set of people.
    List,
    /// By a rule that this version cannot read; its members stay as they are.
    Unreadable,
}

/// What came of writing a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Identifiers that came into it.
    pub added: u64,
    /// Identifiers that left it.
    pub removed: u64,
    /// Identifiers by which nobody is known.
    pub unknown: u64,
    /// The first of those.
    pub first_unknown: Vec<String>,
}

/// What a day changed in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayChange {
    /// Who entered, for any cause.
    pub entered: u64,
    /// Who left, for any cause.
    pub left: u64,
    /// Of these, entries when the rule was first asked or had changed: the segment moved, not the people.
    pub entered_by_rule: u64,
    /// Exits for that cause.
    pub left_by_rule: u64,
}

/// A segment at the end of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeDay {
    /// The day, in the site's time zone.
    pub day: Date,
    /// People in it at its end; of today, now.
    pub size: u64,
    /// Who entered on their own account.
    pub entered: u64,
    /// Who left on their own account.
    pub left: u64,
}

/// A segment over time, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SizeHistory {
    /// Day by day, the last one is today.
    pub days: Vec<SizeDay>,
}

impl SizeHistory {
    /// Counts backwards from the people of today. `changed` gives what a day changed; `since` is the first day on which
    /// the segment was there.
    pub fn backwards(
        today: Date,
        size: u64,
        since: Date,
        days: u32,
        changed: impl Fn(Date) -> DayChange,
    ) -> SizeHistory {
        let mut history = Vec::new();
        let (mut day, mut size) = (today, size);
        for _ in 0..days {
            let change = changed(day);
            history.push(SizeDay {
                day,
                size,
                entered: change.entered.saturating_sub(change.entered_by_rule),
                left: change.left.saturating_sub(change.left_by_rule),
            });
            size = (size + change.left).saturating_sub(change.entered);
            match day.checked_sub(1.day()) {
                Ok(before) if day > since => day = before,
                Ok(_) | Err(_) => break,
            }
        }
        history.reverse();
        SizeHistory { days: history }
    }

    /// Weeks of seven days that end today, the latest first: first day, last day, who entered, who left.
    pub fn weeks(&self) -> Vec<(Date, Date, u64, u64)> {
        let weeks = self.days.rchunks(7);
        let sum = |week: &[SizeDay], of: fn(&SizeDay) -> u64| week.iter().map(of).sum::<u64>();
        weeks
            .filter_map(|week| {
                let (first, last) = (week.first()?.day, week.last()?.day);
                Some((first, last, sum(week, |day| day.entered), sum(week, |day| day.left)))
            })
            .collect()
    }
}

/// Somebody entered or left.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// When.
    pub at: Timestamp,
    /// Entered, or left.
    pub entered: bool,
    /// Why; `None` for a cause that this version does not know.
    pub cause: Option<Cause>,
    /// When what decided happened, where it was an event.
    pub evidence_at: Option<Timestamp>,
}

/// Who moved.
#[derive(Clone, Debug, PartialEq)]
pub struct MoveOfPerson {
    /// The profile.
    pub profile_id: ProfileId,
    /// Name, e-mail address or user id.
    pub name: Option<String>,
    /// What happened.
    pub change: Move,
}

/// Where a person moved.
#[derive(Clone, Debug, PartialEq)]
pub struct MoveOfSegment {
    /// The segment's key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// It is still in use, and so has a page.
    pub in_use: bool,
    /// What happened.
    pub change: Move,
}

/// Another segment that a segment's people are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedWith {
    /// The other segment's key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// People in both.
    pub people: u64,
    /// People in the other one.
    pub size: u64,
}

/// One segment in use with its people.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentReport {
    /// The moment of this report.
    pub now: Timestamp,
    /// The segment, and its people part by part; everybody with a profile is what it is chosen from.
    pub members: Members,
    /// What to do with them.
    pub action: String,
    /// How it comes to them.
    pub kept_by: KeptBy,
    /// What a ready-made one is about; `None` for the site's own.
    pub theme: Option<Theme>,
    /// While everybody is being asked.
    pub progress: Option<Progress>,
    /// Orders of all its people.
    pub orders: u64,
    /// Its size over the last days.
    pub history: SizeHistory,
    /// The latest entries and exits.
    pub moves: Vec<MoveOfPerson>,
    /// The other segments that most of its people are in.
    pub shared: Vec<SharedWith>,
    /// It is one of the day book's, which can be looked at as of a past day.
    pub has_days: bool,
}

impl SegmentReport {
    /// Revenue by order; `None` without any.
    pub fn average_order(&self) -> Option<Money> {
        let revenue = self.members.segment.revenue;
        let orders = i64::try_from(self.orders).ok().filter(|orders| *orders > 0)?;
        Some(Money { minor: revenue.minor / orders, ..revenue })
    }

    /// The size day by day as CSV.
    pub fn days_csv(&self) -> String {
        let mut table = Table::with_header(&["segment", "day", "people", "entered", "left"]);
        for day in &self.history.days {
            table
                .text(&self.members.segment.key)
                .day(Some(day.day))
                .count(day.size)
                .count(day.entered)
                .count(day.left)
                .end();
        }
        table.into_text()
    }
}

/// A word of a rule that was never seen on the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unheard {
    /// The word.
    pub word: Word,
    /// The one that was probably meant.
    pub nearest: Option<String>,
    /// So many people were looked at to find that; `None` for everybody.
    pub among: Option<u64>,
}

/// Somebody whom a rule would take in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewPerson {
    /// The profile.
    pub profile_id: ProfileId,
    /// Name, e-mail address or user id.
    pub name: Option<String>,
    /// Why.
    pub because: String,
}

/// People by what they have done so far: the least of each bar and how many are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// By number of orders.
    pub orders: Vec<(u32, u64)>,
    /// By revenue in major units of the currency; the first bar holds those without any.
    pub revenue: Vec<(u32, u64)>,
    /// The site's currency.
    pub currency: Currency,
    /// By whole days since anything happened.
    pub last_seen_days: Vec<(u32, u64)>,
}

/// Whom a rule would take in now.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// Everybody with a profile.
    pub people: u64,
    /// People who were asked: a random choice, or everybody.
    pub asked: u64,
    /// How many of these the rule holds of.
    pub found: u64,
    /// A few of them.
    pub sample: Vec<PreviewPerson>,
    /// What they are like, where everybody is in memory.
    pub shape: Option<Shape>,
    /// Words that were never seen here.
    pub unheard: Vec<Unheard>,
}

impl Preview {
    /// Whether everybody was asked.
    pub fn is_exact(&self) -> bool {
        self.asked >= self.people
    }

    /// The share of those it holds of with its 95 % interval; `None` without people.
    pub fn share(&self) -> Option<Interval> {
        Share::new(self.found, self.asked).ok().map(|share| share.wilson())
    }

    /// How many of all people it probably holds of, at least and at most; the same three times where everybody was
    /// asked. Those who were found are there for certain, and those of whom it did not hold are not in it.
    pub fn estimate(&self) -> (u64, u64, u64) {
        let Some(share) = self.share().filter(|_| !self.is_exact()) else {
            return (self.found, self.found, self.found);
        };
        let of_all = |share: f64| (share * self.people as f64).round() as u64;
        let most = self.people - (self.asked - self.found);
        (
            of_all(share.estimate).clamp(self.found, most),
            of_all(share.low).clamp(self.found, most),
            of_all(share.high).clamp(self.found, most),
        )
    }
}

/// What comes of a rule that is being written.
#[derive(Clone, Debug, PartialEq)]
pub enum Tried {
    /// Nothing is written yet.
    Nothing,
    /// It cannot be read.
    Unreadable(SentenceError),
    /// It can be read but asks for what is not there.
    Refused(String),
    /// Whom it would take in.
    Holds {
        /// The rule in its one form.
        says: String,
        /// Of whom.
        preview: Preview,
    },
}

/// A word of the site with how often it came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownWord {
    /// The word.
    pub word: String,
    /// How many of the people seen last.
    pub people: u64,
    /// Properties that came with it, for events.
    pub properties: Vec<String>,
}

/// The words that a site's people bring, most frequent first: help for whoever writes a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownWords {
    /// People who were looked at: those who were seen last.
    pub people: u64,
    /// Named events.
    pub events: Vec<KnownWord>,
    /// Pages, host and path.
    pub pages: Vec<KnownWord>,
    /// Traits.
    pub traits: Vec<KnownWord>,
    /// Segments that rules can ask for: key and name.
    pub segments: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn preview(people: u64, asked: u64, found: u64) -> Preview {
        Preview { people, asked, found, sample: Vec::new(), shape: None, unheard: Vec::new() }
    }

    #[test]
    fn sizes_are_counted_back_from_today_to_the_first_day() {
        let changed = |day: Date| match day.day() {
            20 => DayChange { entered: 40, entered_by_rule: 40, ..DayChange::default() },
            22 => DayChange { entered: 5, left: 2, ..DayChange::default() },
            23 => DayChange { left: 1, ..DayChange::default() },
            _ => DayChange::default(),
        };
        let history = SizeHistory::backwards(date(2026, 11, 23), 42, date(2026, 11, 20), 90, changed);
        let sizes: Vec<_> = history.days.iter().map(|day| (day.day.day(), day.size, day.entered, day.left)).collect();
        assert_eq!(sizes, [(20, 40, 0, 0), (21, 40, 0, 0), (22, 43, 5, 2), (23, 42, 0, 1)]);
        assert_eq!(history.weeks(), [(date(2026, 11, 20), date(2026, 11, 23), 5, 3)]);
        let long = SizeHistory::backwards(date(2026, 11, 23), 42, date(2020, 1, 1), 90, changed);
        assert_eq!((long.days.len(), long.weeks().len()), (90, 13));
        assert_eq!(long.days[0].size, 0);
    }

    #[test]
    fn an_estimate_never_contradicts_what_was_seen() {
        assert_eq!(preview(300, 300, 12).estimate(), (12, 12, 12));
        assert_eq!(preview(0, 0, 0).estimate(), (0, 0, 0));
        let (about, least, most) = preview(48_112, 2_000, 100).estimate();
        assert_eq!(about, 2_406);
        assert!(least < about && about < most, "{least} {about} {most}");
        let (none, least, most) = preview(48_112, 2_000, 0).estimate();
        assert_eq!((none, least), (0, 0));
        assert!(most > 0, "nobody among 2,000 is not nobody at all");
        let (all, least, most) = preview(2_001, 2_000, 2_000).estimate();
        assert_eq!((all, most), (2_001, 2_001));
        assert!(least >= 2_000);
    }
}
