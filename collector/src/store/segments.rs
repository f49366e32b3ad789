//! The segments that a site keeps: what they are, and who may change them how.

use super::sites::Site;
use super::sql::sql;
use super::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz};
use domain::report::ArchivedSegment;
use domain::segment::library;
use domain::segment::rule::{Rule, RuleError};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::HashMap;

/// A site has at most this many segments in use: each is asked about everybody who does anything.
pub(crate) const MAX_SEGMENTS: usize = 500;

/// How a segment comes to its members.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Kept by a rule.
    Rule(Rule),
    /// A fixed set of people.
    List,
    /// Kept by a rule that this version cannot read: its members stay as they are.
    Unreadable,
}

/// A segment in use.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) segment_id: i32,
    /// Its name in addresses and other segments' rules.
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) description: String,
    /// What to do with its members.
    pub(crate) action: String,
    pub(crate) kind: Kind,
    /// It came with the product and follows its newer definitions.
    pub(crate) from_library: bool,
    /// Counts the rule's versions.
    pub(crate) revision: i32,
    /// The site's revision since which it is this version.
    pub(crate) since_revision: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl Segment {
    /// Its rule, if it is kept by one.
    pub(crate) fn rule(&self) -> Option<&Rule> {
        match &self.kind {
            Kind::Rule(rule) => Some(rule),
            Kind::List | Kind::Unreadable => None,
        }
    }
}

/// What is said of a segment that is made or changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) action: String,
    pub(crate) kind: Kind,
}

/// Why a segment cannot be made or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    /// Another segment has or had this key.
    #[error("a segment {0:?} is or was there already; choose another key")]
    KeyTaken(String),
    /// No key.
    #[error("key {0:?} is none; use up to 64 of a-z, 0-9 and -, the first not -")]
    Key(String),
    /// No name.
    #[error("a segment's name has 1 to 100 characters")]
    Name,
    /// No such segment.
    #[error("there is no segment {0:?}")]
    Unknown(String),
    /// It is kept by a rule.
    #[error("{0:?} is no list but kept by its rule; change the rule, or make a snapshot of it")]
    NoList(String),
    /// What is wrong with the rule, and where.
    #[error("rule {0}")]
    Rule(#[from] RuleError),
    /// Others ask for it.
    #[error("{key:?} is asked for by {by}; change {by} first")]
    InUse {
        /// The segment.
        key: String,
        /// Those that ask for it.
        by: String,
    },
    /// A list was to hold these alone, and none of them is known.
    #[error("nobody is known by any of the {0} identifiers, so the list is left as it is")]
    NobodyKnown(usize),
    /// Too many.
    #[error("a site has at most {MAX_SEGMENTS} segments in use; archive one first")]
    TooMany,
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DieselError> for SegmentError {
    fn from(error: DieselError) -> SegmentError {
        SegmentError::Store(error.into())
    }
}

#[derive(QueryableByName)]
struct SegmentRow {
    #[diesel(sql_type = Integer)]
    segment_id: i32,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    description: String,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    rule: Option<Value>,
    #[diesel(sql_type = Bool)]
    from_library: bool,
    #[diesel(sql_type = Integer)]
    revision: i32,
    #[diesel(sql_type = BigInt)]
    since_revision: i64,
    #[diesel(sql_type = Timestamptz)]
    created_at: PgTimestamp,
    #[diesel(sql_type = Timestamptz)]
    updated_at: PgTimestamp,
}

#[derive(QueryableByName)]
struct Revision {
    #[diesel(sql_type = BigInt)]
    revision: i64,
}

/// How often a site's segments and models have changed, and of these how often everybody has been asked since.
#[derive(QueryableByName, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Revisions {
    #[diesel(sql_type = BigInt)]
    pub(crate) revision: i64,
    #[diesel(sql_type = BigInt)]
    pub(crate) swept_revision: i64,
}

/// The segments of a site that are in use, oldest first.
pub(crate) fn read_segments(connection: &mut PgConnection, site_id: i32) -> Result<Vec<Segment>, StoreError> {
    let rows: Vec<SegmentRow> =
        sql("SELECT segment_id, key, name, description, action, rule, from_library, revision, since_revision,
                    created_at, updated_at
             FROM segments WHERE site_id = $1 AND archived_at IS NULL ORDER BY segment_id")
        .bind::<Integer, _>(site_id)
        .load(connection)?;
    let segment = |row: SegmentRow| {
        let kind = match row.rule.map(serde_json::from_value).transpose() {
            Ok(rule) => rule.map_or(Kind::List, Kind::Rule),
            Err(error) => {
                tracing::error!(site = site_id, segment = row.key, %error, "a segment's rule cannot be read");
                Kind::Unreadable
            }
        };
        Segment {
            segment_id: row.segment_id,
            key: row.key,
            name: row.name,
            description: row.description,
            action: row.action,
            kind,
            from_library: row.from_library,
            revision: row.revision,
            since_revision: row.since_revision,
            created_at: from_timestamp(row.created_at),
            updated_at: from_timestamp(row.updated_at),
        }
    };
    Ok(rows.into_iter().map(segment).collect())
}

/// How a site's segments stand; 0 for a site that is gone.
pub(crate) fn read_revisions(connection: &mut PgConnection, site_id: i32) -> Result<Revisions, StoreError> {
    let row: Option<Revisions> =
        sql("SELECT s.segments_revision AS revision, COALESCE(w.swept_revision, 0) AS swept_revision
             FROM sites s LEFT JOIN segment_sweeps w USING (site_id) WHERE site_id = $1")
        .bind::<Integer, _>(site_id)
        .get_result(connection)
        .optional()?;
    Ok(row.unwrap_or_default())
}

/// The revision of each site's segments and models.
pub(crate) fn read_all_revisions(connection: &mut PgConnection) -> Result<Vec<(i32, i64)>, StoreError> {
    let rows: Vec<SiteRevision> =
        sql("SELECT site_id, segments_revision AS revision FROM sites ORDER BY site_id").load(connection)?;
    Ok(rows.into_iter().map(|row| (row.site_id, row.revision)).collect())
}

#[derive(QueryableByName)]
struct SiteRevision {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = BigInt)]
    revision: i64,
}

/// Says that a site's segments or models change with this transaction; changes of one site follow one another.
pub(crate) fn raise_revision(connection: &mut PgConnection, site_id: i32) -> Result<i64, StoreError> {
    let row: Revision = sql("UPDATE sites SET segments_revision = segments_revision + 1 WHERE site_id = $1
         RETURNING segments_revision AS revision")
    .bind::<Integer, _>(site_id)
    .get_result(connection)?;
    Ok(row.revision)
}

/// Whether a text can be a segment's key.
fn is_key(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
}

/// Words that stand in the place of a key in addresses.
const RESERVED: [&str; 9] =
    ["archived", "changes", "curves", "cuts", "in-use", "new", "new-list", "preview", "progress"];

/// A key made of a name: `VIPs in Köln` becomes `vips-in-k-ln`.
pub(crate) fn key_of_name(name: &str) -> String {
    let mut key = String::new();
    for letter in name.chars().flat_map(char::to_lowercase) {
        match letter {
            'a'..='z' | '0'..='9' => key.push(letter),
            _ if key.ends_with('-') || key.is_empty() => {}
            _ => key.push('-'),
        }
        if key.len() >= 60 {
            break;
        }
    }
    let key = key.trim_end_matches('-');
    if key.is_empty() { "segment".to_owned() } else { key.to_owned() }
}

/// Refuses a draft that makes no sense beside the site's other segments. `key` is the segment's own.
fn check(key: &str, draft: &Draft, others: &[Segment]) -> Result<(), SegmentError> {
    if draft.name.trim().is_empty() || draft.name.chars().count() > 100 {
        return Err(SegmentError::Name);
    }
    let Kind::Rule(rule) = &draft.kind else { return Ok(()) };
    rule.check()?;
    rule.knows(|asked| asked == key || others.iter().any(|other| other.key == asked))?;
    let mut rules: Vec<(String, Rule)> = others
        .iter()
        .filter(|other| other.key != key)
        .filter_map(|other| Some((other.key.clone(), other.rule()?.clone())))
        .collect();
    rules.push((key.to_owned(), rule.clone()));
    Rule::order(&rules).map_err(|cycle| RuleError { path: "/who".to_owned(), message: cycle.to_string() })?;
    Ok(())
}

impl Store {
    /// The segments of a site that are in use, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn segments_in_use(&self, site: &Site) -> Result<Vec<Segment>, StoreError> {
        read_segments(&mut *self.lend()?, site.site_id)
    }

    /// The segments of a site that were taken out of use, the latest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn segments_archived(&self, site: &Site) -> Result<Vec<ArchivedSegment>, StoreError> {
        let rows: Vec<ArchivedRow> = sql("SELECT key, name, description, archived_at FROM segments
             WHERE site_id = $1 AND archived_at IS NOT NULL ORDER BY archived_at DESC, segment_id")
        .bind::<Integer, _>(site.site_id)
        .load(&mut *self.lend()?)?;
        let archived = |row: ArchivedRow| ArchivedSegment {
            key: row.key,
            name: row.name,
            description: row.description,
            archived_at: from_timestamp(row.archived_at),
        };
        Ok(rows.into_iter().map(archived).collect())
    }

    /// The segment of this key.
    ///
    /// # Errors
    /// [`SegmentError::Unknown`]
    pub(crate) fn segment_named(&self, site: &Site, key: &str) -> Result<Segment, SegmentError> {
        let found = self.segments_in_use(site)?.into_iter().find(|segment| segment.key == key);
        found.ok_or_else(|| SegmentError::Unknown(key.to_owned()))
    }

    /// Makes a segment. Without a key it gets one made of its name.
    ///
    /// # Errors
    /// [`SegmentError`]
    pub(crate) fn add_segment(&self, site: &Site, key: Option<&str>, draft: &Draft) -> Result<Segment, SegmentError> {
        let key =
            self.lend()?.transaction(|connection| Ok::<_, SegmentError>(make(connection, site, key, draft)?.1))?;
        self.segment_named(site, &key)
    }

    /// Changes a segment. Its members are asked anew.
    ///
    /// # Errors
    /// [`SegmentError`]
    pub(crate) fn change_segment(&self, site: &Site, key: &str, draft: &Draft) -> Result<Segment, SegmentError> {
        self.lend()?.transaction::<_, SegmentError, _>(|connection| {
            let revision = raise_revision(connection, site.site_id)?;
            let others = read_segments(connection, site.site_id)?;
            let Some(known) = others.iter().find(|segment| segment.key == key) else {
                return Err(SegmentError::Unknown(key.to_owned()));
            };
            check(key, draft, &others)?;
            // Another name is no other rule. Whoever changes a ready-made segment keeps it as it is from then on.
            let is_new_rule = known.kind != draft.kind;
            sql("UPDATE segments SET name = $1, description = $2, action = $3, kind = $4, rule = $5,
                    from_library = false, revision = revision + $6,
                    since_revision = CASE WHEN $7 THEN $8 ELSE since_revision END, updated_at = now()
                 WHERE site_id = $9 AND segment_id = $10")
            .bind::<Text, _>(draft.name.trim().to_owned())
            .bind::<Text, _>(draft.description.clone())
            .bind::<Text, _>(draft.action.clone())
            .bind::<Text, _>(kind_key(&draft.kind))
            .bind::<Nullable<Jsonb>, _>(rule_value(&draft.kind)?)
            .bind::<Integer, _>(i32::from(is_new_rule))
            .bind::<Bool, _>(is_new_rule)
            .bind::<BigInt, _>(revision)
            .bind::<Integer, _>(site.site_id)
            .bind::<Integer, _>(known.segment_id)
            .execute(connection)?;
            Ok(())
        })?;
        self.segment_named(site, key)
    }

    /// Takes a segment out of use; its history stays, and [`Store::restore_segment`] brings it back.
    ///
    /// # Errors
    /// [`SegmentError::InUse`] while others ask for it.
    pub(crate) fn archive_segment(&self, site: &Site, key: &str) -> Result<(), SegmentError> {
        self.lend()?.transaction::<_, SegmentError, _>(|connection| {
            raise_revision(connection, site.site_id)?;
            let segments = read_segments(connection, site.site_id)?;
            let Some(known) = segments.iter().find(|segment| segment.key == key) else {
                return Err(SegmentError::Unknown(key.to_owned()));
            };
            let asks =
                |segment: &&Segment| segment.rule().is_some_and(|rule| rule.needs().segments.contains(&known.key));
            let by: Vec<&str> = segments.iter().filter(asks).map(|segment| segment.key.as_str()).collect();
            if !by.is_empty() {
                return Err(SegmentError::InUse { key: key.to_owned(), by: by.join(", ") });
            }
            sql("UPDATE segments SET archived_at = now() WHERE site_id = $1 AND segment_id = $2")
                .bind::<Integer, _>(site.site_id)
                .bind::<Integer, _>(known.segment_id)
                .execute(connection)?;
            Ok(())
        })
    }

    /// Brings an archived segment back into use.
    ///
    /// # Errors
    /// [`SegmentError`]
    pub(crate) fn restore_segment(&self, site: &Site, key: &str) -> Result<Segment, SegmentError> {
        self.lend()?.transaction::<_, SegmentError, _>(|connection| {
            let revision = raise_revision(connection, site.site_id)?;
            if read_segments(connection, site.site_id)?.len() >= MAX_SEGMENTS {
                return Err(SegmentError::TooMany);
            }
            sql("UPDATE segments SET archived_at = NULL, since_revision = $1 WHERE site_id = $2 AND key = $3")
                .bind::<BigInt, _>(revision)
                .bind::<Integer, _>(site.site_id)
                .bind::<Text, _>(key.to_owned())
                .execute(connection)?;
            // What it asks for may have been archived meanwhile.
            let segments = read_segments(connection, site.site_id)?;
            let Some(known) = segments.iter().find(|segment| segment.key == key) else {
                return Err(SegmentError::Unknown(key.to_owned()));
            };
            let Segment { name, description, action, kind, .. } = known.clone();
            check(key, &Draft { name, description, action, kind }, &segments)?;
            Ok(())
        })?;
        self.segment_named(site, key)
    }
}

/// Makes a segment in a transaction of the caller's; gives its number and its key.
pub(crate) fn make(
    connection: &mut PgConnection,
    site: &Site,
    key: Option<&str>,
    draft: &Draft,
) -> Result<(i32, String), SegmentError> {
    if let Some(key) = key.filter(|key| !is_key(key)) {
        return Err(SegmentError::Key(key.chars().take(80).collect()));
    }
    if let Some(key) = key.filter(|key| RESERVED.contains(key)) {
        return Err(SegmentError::KeyTaken(key.to_owned()));
    }
    let revision = raise_revision(connection, site.site_id)?;
    let others = read_segments(connection, site.site_id)?;
    if others.len() >= MAX_SEGMENTS {
        return Err(SegmentError::TooMany);
    }
    let key = match key {
        Some(key) => key.to_owned(),
        None => free_key(connection, site.site_id, &key_of_name(&draft.name))?,
    };
    check(&key, draft, &others)?;
    Ok((insert(connection, site.site_id, &key, draft, revision)?, key))
}

#[derive(QueryableByName)]
struct ArchivedRow {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    description: String,
    #[diesel(sql_type = Timestamptz)]
    archived_at: PgTimestamp,
}

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = Text)]
    key: String,
}

/// The key, with a number behind it where it was given before.
fn free_key(connection: &mut PgConnection, site_id: i32, wanted: &str) -> Result<String, StoreError> {
    let taken: Vec<Key> = sql("SELECT key FROM segments WHERE site_id = $1 AND starts_with(key, $2)")
        .bind::<Integer, _>(site_id)
        .bind::<Text, _>(wanted.to_owned())
        .load(connection)?;
    let is_free = |key: &String| !RESERVED.contains(&key.as_str()) && taken.iter().all(|taken| taken.key != *key);
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    Ok(std::iter::once(wanted.to_owned()).chain(numbered).find(is_free).unwrap_or_else(|| wanted.to_owned()))
}

/// When the definitions that come with the product are compared with those that a site has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    /// When the site has those of an older version.
    Older,
    /// Also when it has those of this version: what a program wrote that knows of no versions is put right. Rare, so
    /// that two such programs do not write over each other all the time.
    Same,
}

/// Gives a site the segments that come with the product, and the newer definitions of those it has and has not changed.
/// One that was archived stays so. What a newer program has given it stays as it is.
pub(crate) fn install_library(connection: &mut PgConnection, site: &Site, compare: Compare) -> Result<(), StoreError> {
    let known: LibraryVersion = sql("SELECT library_version FROM sites WHERE site_id = $1")
        .bind::<Integer, _>(site.site_id)
        .get_result(connection)?;
    let is_wanted = match compare {
        Compare::Older => known.library_version < library::VERSION,
        Compare::Same => known.library_version <= library::VERSION,
    };
    if !is_wanted {
        return Ok(());
    }
    connection.transaction(|connection| {
        let known: Vec<Installed> = sql("SELECT key, name, description, action, rule, from_library FROM segments
             WHERE site_id = $1")
        .bind::<Integer, _>(site.site_id)
        .load(connection)?;
        let known: HashMap<&str, &Installed> = known.iter().map(|known| (known.key.as_str(), known)).collect();
        let mut revision = None;
        for entry in library::all() {
            let rule = serde_json::to_value(&entry.rule)
                .map_err(|error| StoreError::Refused(format!("a rule cannot be written: {error}")))?;
            let same = |known: &Installed| {
                (&*known.name, &*known.description, &*known.action, known.rule.as_ref())
                    == (&*entry.name, &*entry.description, &*entry.action, Some(&rule))
            };
            if known.get(&*entry.key).is_some_and(|known| !known.from_library || same(known)) {
                continue;
            }
            let since = match revision {
                Some(revision) => revision,
                None => *revision.insert(raise_revision(connection, site.site_id)?),
            };
            sql("INSERT INTO segments
                    (site_id, key, name, description, action, kind, rule, from_library, since_revision)
                 VALUES ($1, $2, $3, $4, $5, 'rule', $6, true, $7)
                 ON CONFLICT (site_id, key) DO UPDATE SET name = EXCLUDED.name, description = EXCLUDED.description,
                    action = EXCLUDED.action, rule = EXCLUDED.rule, revision = segments.revision + 1,
                    since_revision = EXCLUDED.since_revision, updated_at = now()")
            .bind::<Integer, _>(site.site_id)
            .bind::<Text, _>(entry.key.to_string())
            .bind::<Text, _>(entry.name.to_string())
            .bind::<Text, _>(entry.description.to_string())
            .bind::<Text, _>(entry.action.to_string())
            .bind::<Jsonb, _>(rule)
            .bind::<BigInt, _>(since)
            .execute(connection)?;
        }
        sql("UPDATE sites SET library_version = $1 WHERE site_id = $2 AND library_version < $3")
            .bind::<Integer, _>(library::VERSION)
            .bind::<Integer, _>(site.site_id)
            .bind::<Integer, _>(library::VERSION)
            .execute(connection)?;
        Ok(())
    })
}

#[derive(QueryableByName)]
struct LibraryVersion {
    #[diesel(sql_type = Integer)]
    library_version: i32,
}

#[derive(QueryableByName)]
struct Installed {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    description: String,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    rule: Option<Value>,
    #[diesel(sql_type = Bool)]
    from_library: bool,
}

fn insert(
    connection: &mut PgConnection,
    site_id: i32,
    key: &str,
    draft: &Draft,
    revision: i64,
) -> Result<i32, SegmentError> {
    let done: Result<Number, DieselError> =
        sql("INSERT INTO segments (site_id, key, name, description, action, kind, rule, since_revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING segment_id")
        .bind::<Integer, _>(site_id)
        .bind::<Text, _>(key.to_owned())
        .bind::<Text, _>(draft.name.trim().to_owned())
        .bind::<Text, _>(draft.description.clone())
        .bind::<Text, _>(draft.action.clone())
        .bind::<Text, _>(kind_key(&draft.kind))
        .bind::<Nullable<Jsonb>, _>(rule_value(&draft.kind)?)
        .bind::<BigInt, _>(revision)
        .get_result(connection);
    match done {
        Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
            Err(SegmentError::KeyTaken(key.to_owned()))
        }
        done => Ok(done?.segment_id),
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    segment_id: i32,
}

fn kind_key(kind: &Kind) -> String {
    match kind {
        Kind::Rule(_) | Kind::Unreadable => "rule".to_owned(),
        Kind::List => "list".to_owned(),
    }
}

fn rule_value(kind: &Kind) -> Result<Option<Value>, StoreError> {
    match kind {
        Kind::Rule(rule) => serde_json::to_value(rule)
            .map(Some)
            .map_err(|error| StoreError::Refused(format!("a rule cannot be written: {error}"))),
        Kind::List | Kind::Unreadable => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_of_names_and_stay_keys() {
        for (name, key) in
            [("VIPs in Köln", "vips-in-k-ln"), ("  --Ω-- ", "segment"), ("A/B: 50 %", "a-b-50"), ("x", "x")]
        {
            assert_eq!(key_of_name(name), key);
            assert!(is_key(&key_of_name(name)));
        }
        assert!(is_key(&key_of_name(&"long name ".repeat(20))));
        for key in ["", "-a", "A", "a_b", &"a".repeat(65)] {
            assert!(!is_key(key), "{key}");
        }
    }
}
