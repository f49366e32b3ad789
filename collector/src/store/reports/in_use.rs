//! Segments in use: all of them, one with its people, and the words that rules are written with.

use super::{count, moment};
use crate::store::events::Term;
use crate::store::membership::{Cause, Sweep, read_sizes, read_sweep};
use crate::store::segments::{Kind, Segment, read_segments};
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz};
use domain::event::ProfileId;
use domain::report::{
    DayChange, InUse, KnownWord, KnownWords, Move, MoveOfPerson, MoveOfSegment, SegmentsInUse, SharedWith, SizeHistory,
};
use domain::segment::library::{self, Theme};
use domain::segment::rule::{Word, nearest};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use std::collections::HashMap;

/// Days of a segment's history.
const DAYS: u32 = 90;
/// Entries and exits that a page tells.
const MOVES: i64 = 20;
/// Other segments that a page tells.
const SHARED: i64 = 8;
/// Event names that a misspelt one is compared with, the newest.
const NAMES: i64 = 5_000;

#[derive(QueryableByName)]
struct PeopleRow {
    #[diesel(sql_type = BigInt)]
    people: i64,
    #[diesel(sql_type = BigInt)]
    archived: i64,
}

/// How many there are.
pub(super) struct People {
    /// With a profile.
    pub(super) people: u64,
    /// Segments out of use.
    pub(super) archived: u64,
}

#[derive(QueryableByName)]
struct RevenueRow {
    #[diesel(sql_type = Integer)]
    segment_id: i32,
    #[diesel(sql_type = BigInt)]
    minor: i64,
}

#[derive(QueryableByName)]
pub(super) struct IdRow {
    #[diesel(sql_type = BigInt)]
    pub(super) profile_id: i64,
}

#[derive(QueryableByName)]
struct WholeRow {
    #[diesel(sql_type = BigInt)]
    size: i64,
    #[diesel(sql_type = BigInt)]
    orders: i64,
    #[diesel(sql_type = BigInt)]
    minor: i64,
}

#[derive(QueryableByName)]
struct DayRow {
    #[diesel(sql_type = Text)]
    day: String,
    #[diesel(sql_type = BigInt)]
    entered: i64,
    #[diesel(sql_type = BigInt)]
    left: i64,
    #[diesel(sql_type = BigInt)]
    entered_by_rule: i64,
    #[diesel(sql_type = BigInt)]
    left_by_rule: i64,
}

#[derive(QueryableByName)]
struct MoveRow {
    #[diesel(sql_type = Timestamptz)]
    at: PgTimestamp,
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    in_use: bool,
    #[diesel(sql_type = Bool)]
    entered: bool,
    #[diesel(sql_type = SmallInt)]
    cause: i16,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    evidence_at: Option<PgTimestamp>,
}

impl MoveRow {
    fn change(&self) -> Move {
        Move {
            at: from_timestamp(self.at),
            entered: self.entered,
            cause: Cause::from_code(self.cause),
            evidence_at: self.evidence_at.map(from_timestamp),
        }
    }
}

#[derive(QueryableByName)]
struct SharedRow {
    #[diesel(sql_type = Integer)]
    segment_id: i32,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    people: i64,
}

#[derive(QueryableByName)]
struct WordRow {
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = BigInt)]
    people: i64,
    #[diesel(sql_type = Array<Text>)]
    properties: Vec<String>,
}

#[derive(QueryableByName)]
struct TraitRow {
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = BigInt)]
    people: i64,
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct There {
    #[diesel(sql_type = Bool)]
    there: bool,
}

/// One segment in numbers.
pub(crate) struct Whole {
    /// Its people.
    pub(crate) size: u64,
    /// Everybody with a profile.
    pub(crate) population: u64,
    /// Orders of its people.
    pub(crate) orders: u64,
    /// What they have spent in the site's currency.
    pub(crate) spent_minor: i64,
    /// How asking everybody anew comes on.
    pub(crate) sweep: Sweep,
    /// The people of one page, those who spent most first.
    pub(crate) profile_ids: Vec<ProfileId>,
    /// Day by day.
    pub(crate) history: SizeHistory,
    /// Who moved last.
    pub(crate) moves: Vec<MoveOfPerson>,
    /// Other segments of its people.
    pub(crate) shared: Vec<SharedWith>,
}

/// What a ready-made segment is about, as long as it is one.
pub(crate) fn theme(segment: &Segment) -> Option<Theme> {
    library::find(&segment.key).filter(|_| segment.from_library).map(|entry| entry.theme)
}

impl Store {
    /// The segments in use, or those in which a text is found.
    pub(crate) fn in_use(
        &self,
        site: &Site,
        search: Option<String>,
        now: Timestamp,
    ) -> Result<SegmentsInUse, StoreError> {
        self.read(|connection| {
            let segments = read_segments(connection, site.site_id)?;
            let sizes = read_sizes(connection, site.site_id, segments.iter().map(|segment| segment.segment_id))?;
            let whole = people(connection, site)?;
            // One row per segment with people: what they have spent.
            let spent: Vec<RevenueRow> =
                sql("SELECT m.segment_id, LEAST(GREATEST(sum(p.revenue_minor), -9e18), 9e18)::bigint AS minor
                 FROM segment_members m JOIN profiles p USING (site_id, profile_id)
                 WHERE m.site_id = $1 GROUP BY m.segment_id")
                .bind::<Integer, _>(site.site_id)
                .load(connection)?;
            let spent: HashMap<i32, i64> = spent.into_iter().map(|row| (row.segment_id, row.minor)).collect();
            let report_site = crate::segments::report_site(site);
            let row = |segment: Segment| {
                let (entered, left) = sizes.moved.get(&segment.segment_id).copied().unwrap_or_default();
                InUse {
                    theme: theme(&segment),
                    says: segment.rule().map(ToString::to_string),
                    people: sizes.members.get(&segment.segment_id).copied().unwrap_or(0),
                    entered,
                    left,
                    revenue: report_site.money(spent.get(&segment.segment_id).copied().unwrap_or(0)),
                    progress: sizes.sweep.progress(&segment),
                    key: segment.key,
                    name: segment.name,
                    description: segment.description,
                }
            };
            let rows = segments.into_iter().map(row).collect();
            Ok(SegmentsInUse::new(report_site.clone(), now, whole.people, rows, whole.archived, search))
        })
    }

    /// A segment's numbers and one page of its people.
    pub(crate) fn whole(
        &self,
        site: &Site,
        segment: &Segment,
        (page, per_page): (u32, u32),
        today: Date,
    ) -> Result<Whole, StoreError> {
        self.read(|connection| {
            // One row: the segment's people and their orders added up.
            let whole: WholeRow = sql("SELECT count(*) AS size, COALESCE(sum(p.orders), 0)::bigint AS orders,
                        LEAST(GREATEST(COALESCE(sum(p.revenue_minor), 0), -9e18), 9e18)::bigint AS minor
                 FROM segment_members m JOIN profiles p USING (site_id, profile_id)
                 WHERE m.site_id = $1 AND m.segment_id = $2")
            .bind::<Integer, _>(site.site_id)
            .bind::<Integer, _>(segment.segment_id)
            .get_result(connection)?;
            let size = count(whole.size);
            let offset = i64::from(page.max(1) - 1) * i64::from(per_page);
            Ok(Whole {
                size,
                population: people(connection, site)?.people,
                orders: count(whole.orders),
                spent_minor: whole.minor,
                profile_ids: member_ids(connection, site, segment, Some(i64::from(per_page)), offset)?,
                history: history(connection, site, segment, size, today)?,
                moves: moves_in(connection, site, segment)?,
                shared: shared(connection, site, segment, SHARED)?,
                sweep: read_sweep(connection, site.site_id)?,
            })
        })
    }

    /// All people of a segment, those who spent most first.
    pub(crate) fn segment_people(&self, site: &Site, segment: &Segment) -> Result<Vec<ProfileId>, StoreError> {
        self.read(|connection| member_ids(connection, site, segment, None, 0))
    }

    /// The words that rules of a site are written with.
    pub(crate) fn known_words(&self, site: &Site) -> Result<KnownWords, StoreError> {
        self.read(|connection| {
            let rows: Vec<WordRow> = sql(include_str!("known_words.sql"))
                .bind::<Integer, _>(site.site_id)
                .bind::<Integer, _>(site.site_id)
                .bind::<Integer, _>(site.site_id)
                .load(connection)?;
            let traits: Vec<TraitRow> =
                sql(include_str!("known_traits.sql")).bind::<Integer, _>(site.site_id).load(connection)?;
            let computed: Vec<TraitRow> = sql(include_str!("known_computed.sql"))
                .bind::<Integer, _>(site.site_id)
                .bind::<Integer, _>(site.site_id)
                .load(connection)?;
            let whole = people(connection, site)?;
            let word =
                |row: WordRow| KnownWord { word: row.value, people: count(row.people), properties: row.properties };
            let (events, pages): (Vec<WordRow>, Vec<WordRow>) =
                rows.into_iter().partition(|row| row.kind == crate::store::events::Kind::Track as i16);
            let segments = read_segments(connection, site.site_id)?;
            Ok(KnownWords {
                people: whole.people.min(500),
                events: events.into_iter().map(word).collect(),
                pages: pages.into_iter().map(word).collect(),
                traits: computed
                    .into_iter()
                    .chain(traits)
                    .map(|row| KnownWord { word: row.value, people: count(row.people), properties: Vec::new() })
                    .collect(),
                segments: segments.into_iter().map(|segment| (segment.key, segment.name)).collect(),
            })
        })
    }

    /// Of these event names and pages those that never arrived, each with the one that was probably meant.
    pub(crate) fn never_arrived(
        &self,
        site: &Site,
        words: Vec<Word>,
    ) -> Result<Vec<(Word, Option<String>)>, StoreError> {
        self.read(|connection| {
            let mut unheard = Vec::new();
            for word in words {
                let (kind, pattern, text) = match &word {
                    Word::Event(name) => (Term::Name, format!("^{}$", literal(name)), name),
                    // Without a host any is meant, as in the rule.
                    Word::Page(page) if page.starts_with(['/', '*']) => {
                        (Term::Page, format!("^[^/]*{}$", regex(page)), page)
                    }
                    Word::Page(page) => (Term::Page, format!("^{}$", regex(page)), page),
                    Word::Property(_) | Word::Trait(_) => continue,
                };
                let found: There = sql("SELECT EXISTS (
                        SELECT 1 FROM terms WHERE site_id = $1 AND kind = $2 AND value ~ $3) AS there")
                .bind::<Integer, _>(site.site_id)
                .bind::<SmallInt, _>(kind as i16)
                .bind::<Text, _>(pattern)
                .get_result(connection)?;
                if !found.there {
                    let meant = newest(connection, site, kind, text)?;
                    unheard.push((word, meant));
                }
            }
            Ok(unheard)
        })
    }
}

/// A text as a regular expression of PostgreSQL's that it alone matches.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 8);
    for letter in text.chars().filter(|letter| *letter != '\0') {
        if letter.is_ascii() && !letter.is_ascii_alphanumeric() {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

/// The same of a page, in which `*` is any text.
fn regex(page: &str) -> String {
    page.split('*').map(literal).collect::<Vec<_>>().join(".*")
}

/// The text that was probably meant, among the newest of its kind.
fn newest(connection: &mut PgConnection, site: &Site, kind: Term, text: &str) -> Result<Option<String>, StoreError> {
    let known: Vec<TextRow> =
        sql("SELECT value FROM terms WHERE site_id = $1 AND kind = $2 ORDER BY term_id DESC LIMIT $3")
            .bind::<Integer, _>(site.site_id)
            .bind::<SmallInt, _>(kind as i16)
            .bind::<BigInt, _>(NAMES)
            .load(connection)?;
    // Rules name pages without their host.
    let path = |value: &str| match kind {
        Term::Page if text.starts_with('/') => value.find('/').map_or("/", |slash| &value[slash..]).to_owned(),
        _ => value.to_owned(),
    };
    let known: Vec<String> = known.iter().map(|row| path(&row.value)).collect();
    Ok(nearest(text, known.iter().map(String::as_str)).map(str::to_owned))
}

pub(super) fn people(connection: &mut PgConnection, site: &Site) -> Result<People, StoreError> {
    let row: PeopleRow = sql("SELECT (SELECT count(*) FROM profiles WHERE site_id = $1) AS people,
                (SELECT count(*) FROM segments WHERE site_id = $2 AND archived_at IS NOT NULL) AS archived")
    .bind::<Integer, _>(site.site_id)
    .bind::<Integer, _>(site.site_id)
    .get_result(connection)?;
    Ok(People { people: count(row.people), archived: count(row.archived) })
}

fn member_ids(
    connection: &mut PgConnection,
    site: &Site,
    segment: &Segment,
    limit: Option<i64>,
    offset: i64,
) -> Result<Vec<ProfileId>, StoreError> {
    // One row per member, who spent most first.
    let rows: Vec<IdRow> = sql("SELECT p.profile_id FROM segment_members m JOIN profiles p USING (site_id, profile_id)
         WHERE m.site_id = $1 AND m.segment_id = $2
         ORDER BY p.revenue_minor DESC, p.profile_id LIMIT $3 OFFSET $4")
    .bind::<Integer, _>(site.site_id)
    .bind::<Integer, _>(segment.segment_id)
    .bind::<Nullable<BigInt>, _>(limit)
    .bind::<BigInt, _>(offset)
    .load(connection)?;
    Ok(rows.into_iter().map(|row| ProfileId(row.profile_id)).collect())
}

fn history(
    connection: &mut PgConnection,
    site: &Site,
    segment: &Segment,
    size: u64,
    today: Date,
) -> Result<SizeHistory, StoreError> {
    let first = today.saturating_sub(i64::from(DAYS).days());
    // One row per day of the site on which somebody entered or left.
    let rows: Vec<DayRow> = sql("SELECT (at AT TIME ZONE $1)::date::text AS day,
                count(*) FILTER (WHERE entered) AS entered, count(*) FILTER (WHERE NOT entered) AS left,
                count(*) FILTER (WHERE entered AND cause = $2) AS entered_by_rule,
                count(*) FILTER (WHERE NOT entered AND cause = $3) AS left_by_rule
         FROM segment_changes WHERE site_id = $4 AND segment_id = $5 AND at >= $6
         GROUP BY 1")
    .bind::<Text, _>(super::overview::zone(site))
    .bind::<SmallInt, _>(Cause::Rule as i16)
    .bind::<SmallInt, _>(Cause::Rule as i16)
    .bind::<Integer, _>(site.site_id)
    .bind::<Integer, _>(segment.segment_id)
    .bind::<Timestamptz, _>(moment(crate::store::customers::end_of(site, first)))
    .load(connection)?;
    let change = |row: DayRow| {
        let change = DayChange {
            entered: count(row.entered),
            left: count(row.left),
            entered_by_rule: count(row.entered_by_rule),
            left_by_rule: count(row.left_by_rule),
        };
        Some((row.day.parse::<Date>().ok()?, change))
    };
    let changes: HashMap<Date, DayChange> = rows.into_iter().filter_map(change).collect();
    let since = segment.created_at.to_zoned_datetime(site.time_zone.clone()).date();
    let of_day = |day| changes.get(&day).copied().unwrap_or_default();
    Ok(SizeHistory::backwards(today, size, since, DAYS, of_day))
}

fn moves_in(connection: &mut PgConnection, site: &Site, segment: &Segment) -> Result<Vec<MoveOfPerson>, StoreError> {
    let rows: Vec<MoveRow> = sql(
        "SELECT c.at, c.profile_id, g.key, g.name, g.archived_at IS NULL AS in_use, c.entered, c.cause, c.evidence_at
         FROM segment_changes c JOIN segments g USING (site_id, segment_id)
         WHERE c.site_id = $1 AND c.segment_id = $2 ORDER BY c.at DESC, c.change_id DESC LIMIT $3",
    )
    .bind::<Integer, _>(site.site_id)
    .bind::<Integer, _>(segment.segment_id)
    .bind::<BigInt, _>(MOVES)
    .load(connection)?;
    let profile_ids: Vec<i64> = rows.iter().map(|row| row.profile_id).collect();
    let names = super::people::names(connection, site, &profile_ids)?;
    Ok(rows
        .iter()
        .map(|row| MoveOfPerson {
            profile_id: ProfileId(row.profile_id),
            name: names.get(&row.profile_id).cloned().flatten(),
            change: row.change(),
        })
        .collect())
}

/// A person's latest entries and exits, without the first answers to new rules.
pub(super) fn moves_of(
    connection: &mut PgConnection,
    site: &Site,
    profile_id: i64,
) -> Result<Vec<MoveOfSegment>, StoreError> {
    let rows: Vec<MoveRow> = sql(
        "SELECT c.at, c.profile_id, g.key, g.name, g.archived_at IS NULL AS in_use, c.entered, c.cause, c.evidence_at
         FROM segment_changes c JOIN segments g USING (site_id, segment_id)
         WHERE c.site_id = $1 AND c.profile_id = $2 AND c.cause <> $3 ORDER BY c.change_id DESC LIMIT $4",
    )
    .bind::<Integer, _>(site.site_id)
    .bind::<BigInt, _>(profile_id)
    .bind::<SmallInt, _>(Cause::Rule as i16)
    .bind::<BigInt, _>(MOVES)
    .load(connection)?;
    Ok(rows
        .into_iter()
        .map(|row| MoveOfSegment { change: row.change(), key: row.key, name: row.name, in_use: row.in_use })
        .collect())
}

/// The other segments of a segment's people, at most so many, those with most of them first.
pub(super) fn shared(
    connection: &mut PgConnection,
    site: &Site,
    segment: &Segment,
    most: i64,
) -> Result<Vec<SharedWith>, StoreError> {
    // One row per other segment in use: how many people are in both.
    let rows: Vec<SharedRow> = sql("SELECT g.segment_id, g.key, g.name, count(*) AS people
         FROM segment_members mine
         JOIN segment_members other USING (site_id, profile_id)
         JOIN segments g ON g.site_id = other.site_id AND g.segment_id = other.segment_id
         WHERE mine.site_id = $1 AND mine.segment_id = $2 AND other.segment_id <> $3 AND g.archived_at IS NULL
         GROUP BY g.segment_id, g.key, g.name ORDER BY people DESC, g.key LIMIT $4")
    .bind::<Integer, _>(site.site_id)
    .bind::<Integer, _>(segment.segment_id)
    .bind::<Integer, _>(segment.segment_id)
    .bind::<BigInt, _>(most)
    .load(connection)?;
    let sizes = read_sizes(connection, site.site_id, rows.iter().map(|row| row.segment_id))?;
    let shared = |row: SharedRow| SharedWith {
        key: row.key,
        name: row.name,
        people: count(row.people),
        size: sizes.members.get(&row.segment_id).copied().unwrap_or(0),
    };
    Ok(rows.into_iter().map(shared).collect())
}

/// How a segment comes to its members, as pages tell it.
pub(crate) fn kept_by(segment: &Segment) -> Result<domain::report::KeptBy, StoreError> {
    Ok(match &segment.kind {
        Kind::Rule(rule) => domain::report::KeptBy::Rule {
            says: rule.in_lines(),
            json: serde_json::to_string_pretty(rule)
                .map_err(|error| StoreError::Refused(format!("a rule cannot be written: {error}")))?,
        },
        Kind::List => domain::report::KeptBy::List,
        Kind::Unreadable => domain::report::KeptBy::Unreadable,
    })
}

#[cfg(test)]
mod tests {
    use super::regex;

    #[test]
    fn names_are_looked_for_letter_by_letter() {
        assert_eq!(regex("/a.b*(c)"), r"\/a\.b.*\(c\)");
        assert_eq!(regex("Größe 50 %\0"), r"Größe\ 50\ \%");
    }
}
