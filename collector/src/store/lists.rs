//! Fixed sets of people: who is in one was said by somebody, by identifier.

use super::segments::{self, Draft, Kind, Segment, SegmentError};
use super::sites::Site;
use super::sql::sql;
use super::{Store, StoreError};
use diesel::Connection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, SmallInt, Text};
use domain::identity::{Kind as IdentityKind, normalise};
use std::collections::BTreeSet;

/// Identifiers of one call.
pub(crate) const MAX_LISTED: usize = 100_000;
/// Identities of one transaction: the people concerned are projected anew together.
const PART: usize = 500;
/// Identifiers that are named back as unknown.
const NAMED_BACK: usize = 20;

/// What is done with a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// These and nobody else.
    Replace,
    /// These, too.
    Add,
    /// Not these.
    Remove,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Edited {
    /// Identifiers that somebody is known by.
    pub(crate) found: usize,
    /// Identifiers that nobody is known by, or that are none.
    pub(crate) unknown: usize,
    /// The first of those.
    pub(crate) first_unknown: Vec<String>,
    /// Identifiers that came into the list, and that left it.
    pub(crate) added: usize,
    pub(crate) removed: usize,
}

/// Why identifiers cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// What the reader says.
    #[error("line {line} cannot be read: {reason}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// Several columns, none of them known.
    #[error("none of the columns {0} is named email or user_id; name one, or give one identifier in each line")]
    NoColumn(String),
}

/// Reads identifiers: a CSV file whose header names a column `email` or `user_id`, or both, with commas, semicolons or
/// tabs between them; or one identifier in each line, an e-mail address where it has an `@`, else a user id.
///
/// # Errors
/// [`Unreadable`]
pub(crate) fn read_identifiers(mut input: impl std::io::Read) -> Result<Vec<(IdentityKind, String)>, Unreadable> {
    let mut bytes = Vec::new();
    let whole = |error: &dyn std::fmt::Display| Unreadable::Line { line: 1, reason: error.to_string() };
    input.read_to_end(&mut bytes).map_err(|error| whole(&error))?;
    let head = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let delimiter = [b'\t', b';'].into_iter().find(|delimiter| head.contains(delimiter)).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(bytes.as_slice());
    let mut columns: Option<Vec<(usize, IdentityKind)>> = None;
    let mut identifiers = Vec::new();
    for record in reader.records() {
        let line_of = |position: Option<&csv::Position>| position.map_or(1, csv::Position::line);
        let record =
            record.map_err(|error| Unreadable::Line { line: line_of(error.position()), reason: error.to_string() })?;
        // A quote that does not end takes all that follows into one field.
        if record.iter().any(|field| field.contains('\n')) {
            let line = line_of(record.position());
            return Err(Unreadable::Line { line, reason: "a quote begins in it and does not end there".to_owned() });
        }
        let Some(columns) = &columns else {
            let named = named_columns(&record);
            if named.is_empty() {
                identifiers.push(alone(&record)?);
            }
            columns = Some(named);
            continue;
        };
        if columns.is_empty() {
            identifiers.push(alone(&record)?);
        }
        identifiers.extend(columns.iter().filter_map(|(place, kind)| Some((*kind, record.get(*place)?.to_owned()))));
    }
    identifiers.retain(|(_, value)| !value.is_empty());
    Ok(identifiers)
}

/// The columns of a header that are known.
fn named_columns(header: &csv::StringRecord) -> Vec<(usize, IdentityKind)> {
    let kind = |name: &str| match name.to_lowercase().replace([' ', '-'], "_").as_str() {
        "email" | "e_mail" => Some(IdentityKind::Email),
        "user_id" | "userid" => Some(IdentityKind::UserId),
        _ => None,
    };
    header.iter().enumerate().filter_map(|(place, name)| Some((place, kind(name)?))).collect()
}

/// The identifier of a line that has nothing else.
fn alone(record: &csv::StringRecord) -> Result<(IdentityKind, String), Unreadable> {
    if record.len() > 1 {
        return Err(Unreadable::NoColumn(record.iter().take(10).collect::<Vec<_>>().join(", ")));
    }
    let value = record.get(0).unwrap_or_default();
    let kind = if value.contains('@') { IdentityKind::Email } else { IdentityKind::UserId };
    Ok((kind, value.to_owned()))
}

#[derive(QueryableByName)]
struct IdentityRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct EntryRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
}

impl Store {
    /// Edits a list by identifiers: user ids, e-mail addresses, as they are written. The people concerned follow within
    /// a moment.
    ///
    /// # Errors
    /// [`SegmentError::Unknown`] where there is no such list, [`SegmentError::NobodyKnown`] where it was to be replaced by
    /// nobody: a file with another column is more likely than that.
    pub(crate) fn edit_list(
        &self,
        site: &Site,
        key: &str,
        edit: Edit,
        identifiers: &[(IdentityKind, String)],
    ) -> Result<Edited, SegmentError> {
        let list = self.list_named(site, key)?;
        let mut edited = Edited::default();
        let mut asked: Vec<(IdentityKind, String)> = Vec::with_capacity(identifiers.len());
        let unknown = |edited: &mut Edited, value: &str| {
            edited.unknown += 1;
            if edited.first_unknown.len() < NAMED_BACK {
                edited.first_unknown.push(value.chars().take(100).collect());
            }
        };
        for (kind, value) in identifiers {
            match normalise(*kind, value) {
                Ok(normal) => asked.push((*kind, normal)),
                Err(_) => unknown(&mut edited, value),
            }
        }
        let mut connection = self.lend()?;
        let (added, removed) = connection.transaction::<_, SegmentError, _>(|connection| {
            let rows: Vec<IdentityRow> =
                sql("SELECT i.identity_id, i.kind, i.value FROM unnest($1, $2) AS a (kind, value)
                 JOIN identities i ON i.site_id = $3 AND i.kind = a.kind AND i.value = a.value")
                .bind::<Array<SmallInt>, _>(asked.iter().map(|(kind, _)| kind.code()).collect::<Vec<_>>())
                .bind::<Array<Text>, _>(asked.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>())
                .bind::<Integer, _>(site.site_id)
                .load(connection)?;
            let known: BTreeSet<(i16, &str)> = rows.iter().map(|row| (row.kind, row.value.as_str())).collect();
            for (kind, value) in &asked {
                if !known.contains(&(kind.code(), value.as_str())) {
                    unknown(&mut edited, value);
                }
            }
            let wanted: BTreeSet<i64> = rows.iter().map(|row| row.identity_id).collect();
            edited.found = wanted.len();
            if edit == Edit::Replace && wanted.is_empty() && !identifiers.is_empty() {
                return Err(SegmentError::NobodyKnown(identifiers.len()));
            }
            let entries: Vec<EntryRow> =
                sql("SELECT identity_id FROM segment_lists WHERE site_id = $1 AND segment_id = $2")
                    .bind::<Integer, _>(site.site_id)
                    .bind::<Integer, _>(list.segment_id)
                    .load(connection)?;
            let there: BTreeSet<i64> = entries.into_iter().map(|row| row.identity_id).collect();
            let (added, removed) = match edit {
                Edit::Replace => (&wanted - &there, &there - &wanted),
                Edit::Add => (&wanted - &there, BTreeSet::new()),
                Edit::Remove => (BTreeSet::new(), &there & &wanted),
            };
            let (added, removed): (Vec<i64>, Vec<i64>) = (added.into_iter().collect(), removed.into_iter().collect());
            (edited.added, edited.removed) = (added.len(), removed.len());
            Ok((added, removed))
        })?;
        // Part by part: each is one row of the journal, which the projector takes as a whole.
        for part in added.chunks(PART) {
            connection.transaction::<_, SegmentError, _>(|connection| {
                add_entries(connection, site.site_id, list.segment_id, part)?;
                Ok(ask_again(connection, site.site_id, part)?)
            })?;
        }
        for part in removed.chunks(PART) {
            connection.transaction::<_, SegmentError, _>(|connection| {
                sql("DELETE FROM segment_lists WHERE site_id = $1 AND segment_id = $2 AND identity_id = ANY($3)")
                    .bind::<Integer, _>(site.site_id)
                    .bind::<Integer, _>(list.segment_id)
                    .bind::<Array<BigInt>, _>(part.to_vec())
                    .execute(connection)?;
                Ok(ask_again(connection, site.site_id, part)?)
            })?;
        }
        Ok(edited)
    }

    /// Makes a list of those who are in a segment now.
    ///
    /// # Errors
    /// [`SegmentError`]
    pub(crate) fn snapshot_segment(&self, site: &Site, key: &str, name: &str) -> Result<Segment, SegmentError> {
        let from = self.segment_named(site, key)?;
        let draft = Draft {
            name: name.to_owned(),
            description: format!("Those who were in {} when this was made.", from.name),
            action: from.action.clone(),
            kind: Kind::List,
        };
        let key = self.lend()?.transaction::<_, SegmentError, _>(|connection| {
            let (segment_id, key) = segments::make(connection, site, None, &draft)?;
            // A profile has the number of the identity that it was founded on.
            sql("INSERT INTO segment_lists (segment_id, site_id, identity_id)
                 SELECT $1, site_id, profile_id FROM segment_members WHERE site_id = $2 AND segment_id = $3")
            .bind::<Integer, _>(segment_id)
            .bind::<Integer, _>(site.site_id)
            .bind::<Integer, _>(from.segment_id)
            .execute(connection)?;
            Ok(key)
        })?;
        self.segment_named(site, &key)
    }

    fn list_named(&self, site: &Site, key: &str) -> Result<Segment, SegmentError> {
        let found = self.segment_named(site, key)?;
        if found.kind == Kind::List { Ok(found) } else { Err(SegmentError::NoList(key.to_owned())) }
    }
}

fn add_entries(
    connection: &mut PgConnection,
    site_id: i32,
    segment_id: i32,
    identity_ids: &[i64],
) -> Result<(), StoreError> {
    sql(
        "INSERT INTO segment_lists (site_id, segment_id, identity_id) SELECT $1, $2, unnest($3) ON CONFLICT DO NOTHING",
    )
    .bind::<Integer, _>(site_id)
    .bind::<Integer, _>(segment_id)
    .bind::<Array<BigInt>, _>(identity_ids.to_vec())
    .execute(connection)?;
    Ok(())
}

/// Has the projector look at the owners of these identities anew.
fn ask_again(connection: &mut PgConnection, site_id: i32, identity_ids: &[i64]) -> Result<(), StoreError> {
    sql("INSERT INTO journal (site_id, identity_ids, event_ids, relinked_profiles)
         SELECT $1, '{}', '{}', p.ids FROM (
            SELECT array_agg(DISTINCT profile_id) AS ids FROM identities WHERE site_id = $2 AND identity_id = ANY($3)
         ) AS p WHERE p.ids IS NOT NULL")
    .bind::<Integer, _>(site_id)
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(identity_ids.to_vec())
    .execute(connection)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(IdentityKind, String)> {
        read_identifiers(text.as_bytes()).unwrap()
    }

    #[test]
    fn identifiers_come_by_columns_or_one_in_each_line() {
        let email = |value: &str| (IdentityKind::Email, value.to_owned());
        let user = |value: &str| (IdentityKind::UserId, value.to_owned());
        assert_eq!(read("mia@example.com\r\n user-17 \n\n"), [email("mia@example.com"), user("user-17")]);
        let file = "name,email,user_id\n\"M, ia\",mia@example.com,\nLeo,,u2\nAnn,ann@example.com,u3";
        assert_eq!(read(file), [email("mia@example.com"), user("u2"), email("ann@example.com"), user("u3")]);
        assert_eq!(read("\u{feff}Name;E-Mail\r\nMia;mia@example.com\r\n"), [email("mia@example.com")]);
        assert_eq!(read("User ID\tEmail\nu1\t\n"), [user("u1")]);
        assert_eq!(read("email\n"), []);
        assert_eq!(read(""), []);
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_place() {
        let told = |text: &[u8]| read_identifiers(text).unwrap_err().to_string();
        assert!(
            told(b"a@example.com\n\xff\n").starts_with("line 2 cannot be read"),
            "{}",
            told(b"a@example.com\n\xff\n")
        );
        let open = b"a@example.com\n\"b@example.com\nc@example.com\n";
        assert_eq!(told(open), "line 2 cannot be read: a quote begins in it and does not end there");
        assert_eq!(
            told(b"Name,Mail\nMia,mia@example.com"),
            "none of the columns Name, Mail is named email or user_id; name one, or give one identifier in each line"
        );
    }
}
