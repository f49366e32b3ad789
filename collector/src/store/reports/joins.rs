//! How identifiers came together: of one person, and of a site.

use super::count;
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, SmallInt, Text, Timestamptz};
use domain::event::{ProfileId, Trust};
use domain::identity::{Call, Guard, Kind, Reason, Standing};
use domain::report::{BlockedValue, Identifier, IdentityBook, JoinLink, JoinNode, Joins, KeptApart, RefusedJoins};
use jiff::Timestamp;

/// Identifiers of one person that are shown, the oldest; a hundred are more than anybody looks through.
const NODES: i64 = 100;
/// Statements that are shown, the newest.
const LINKS: i64 = 200;
/// Rows of the other tables.
const ROWS: i64 = 50;

#[derive(QueryableByName)]
struct NodeRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Timestamptz)]
    first_seen: PgTimestamp,
    #[diesel(sql_type = Bool)]
    trusted: bool,
    #[diesel(sql_type = Nullable<Text>)]
    source: Option<String>,
}

/// Two identifiers, as every statement here selects them: the end of the FROM clause has `i` and `o`.
#[derive(QueryableByName)]
struct PairRow {
    #[diesel(sql_type = BigInt)]
    from_id: i64,
    #[diesel(sql_type = SmallInt)]
    from_kind: i16,
    #[diesel(sql_type = Text)]
    from_value: String,
    #[diesel(sql_type = BigInt)]
    from_profile: i64,
    #[diesel(sql_type = BigInt)]
    to_id: i64,
    #[diesel(sql_type = SmallInt)]
    to_kind: i16,
    #[diesel(sql_type = Text)]
    to_value: String,
    #[diesel(sql_type = BigInt)]
    to_profile: i64,
}

#[derive(QueryableByName)]
struct LinkRow {
    #[diesel(embed)]
    pair: PairRow,
    #[diesel(sql_type = BigInt)]
    link_id: i64,
    #[diesel(sql_type = Timestamptz)]
    at: PgTimestamp,
    #[diesel(sql_type = SmallInt)]
    call: i16,
    #[diesel(sql_type = SmallInt)]
    standing: i16,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    source: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    said_by: Option<String>,
    #[diesel(sql_type = Nullable<Double>)]
    probability: Option<f64>,
}

#[derive(QueryableByName)]
struct RefusedRow {
    #[diesel(embed)]
    pair: PairRow,
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Timestamptz)]
    last_at: PgTimestamp,
}

#[derive(QueryableByName)]
struct ApartRow {
    #[diesel(embed)]
    pair: PairRow,
    #[diesel(sql_type = Text)]
    said_by: String,
    #[diesel(sql_type = Timestamptz)]
    at: PgTimestamp,
}

#[derive(QueryableByName)]
struct BlockedRow {
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Text)]
    value: String,
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Timestamptz)]
    last_at: PgTimestamp,
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
}

impl Store {
    /// How a person's identifiers came together; `None` where nobody has that number.
    pub(crate) fn joins(&self, site: &Site, profile_id: i64, now: Timestamp) -> Result<Option<Joins>, StoreError> {
        self.read(|connection| {
            let nodes = nodes(connection, site.site_id, profile_id)?;
            if nodes.is_empty() {
                return Ok(None);
            }
            Ok(Some(Joins {
                site: crate::segments::report_site(site),
                now,
                profile_id: ProfileId(profile_id),
                name: name(connection, site.site_id, profile_id)?,
                all_nodes: all_nodes(connection, site.site_id, profile_id)?,
                nodes,
                links: links(connection, site.site_id, Some(profile_id))?,
                refused: refused(connection, site.site_id, Some(profile_id))?,
                apart: apart(connection, site.site_id, Some(profile_id))?,
            }))
        })
    }

    /// How a site's identifiers come together.
    pub(crate) fn identity_book(&self, site: &Site, now: Timestamp) -> Result<IdentityBook, StoreError> {
        self.read(|connection| {
            Ok(IdentityBook {
                site: crate::segments::report_site(site),
                now,
                merges: links(connection, site.site_id, None)?,
                refused: refused(connection, site.site_id, None)?,
                blocked: blocked(connection, site.site_id)?,
                apart: apart(connection, site.site_id, None)?,
                matches_waiting: super::matches::waiting(connection, site.site_id)?,
            })
        })
    }
}

fn odd(what: &str) -> StoreError {
    StoreError::Refused(format!("{what} of a link is unknown"))
}

fn kind(code: i16) -> Result<Kind, StoreError> {
    Kind::from_code(code).ok_or_else(|| odd("the kind of an identity"))
}

impl PairRow {
    fn read(self) -> Result<(Identifier, Identifier), StoreError> {
        let from = Identifier {
            identity_id: self.from_id,
            kind: kind(self.from_kind)?,
            value: self.from_value,
            profile_id: ProfileId(self.from_profile),
        };
        let to = Identifier {
            identity_id: self.to_id,
            kind: kind(self.to_kind)?,
            value: self.to_value,
            profile_id: ProfileId(self.to_profile),
        };
        Ok((from, to))
    }
}

fn name(connection: &mut PgConnection, site_id: i32, profile_id: i64) -> Result<Option<String>, StoreError> {
    let row: Option<NameRow> = sql("SELECT COALESCE(p.traits->>'name',
                (SELECT min(value) FROM identities i
                 WHERE i.site_id = p.site_id AND i.profile_id = p.profile_id AND i.kind = $1),
                p.traits->>'email',
                (SELECT min(value) FROM identities i
                 WHERE i.site_id = p.site_id AND i.profile_id = p.profile_id AND i.kind = $2)) AS name
         FROM profiles p WHERE p.site_id = $3 AND p.profile_id = $4")
    .bind::<SmallInt, _>(Kind::Email.code())
    .bind::<SmallInt, _>(Kind::UserId.code())
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(profile_id)
    .get_result(connection)
    .optional()?;
    Ok(row.and_then(|row| row.name))
}

fn nodes(connection: &mut PgConnection, site_id: i32, profile_id: i64) -> Result<Vec<JoinNode>, StoreError> {
    // One row per identifier, with the source of its first own event, else of the first statement that names it.
    let rows: Vec<NodeRow> = sql("SELECT i.identity_id, i.kind, i.value, i.profile_id, i.first_seen, i.trusted,
                COALESCE(own.value, said.value) AS source
         FROM (SELECT * FROM identities WHERE site_id = $1 AND profile_id = $2 AND kind <> ALL($3)
               ORDER BY first_seen, identity_id LIMIT $4) AS i
         LEFT JOIN LATERAL (
            SELECT t.value FROM events e JOIN terms t ON t.site_id = e.site_id AND t.term_id = e.source_id
            WHERE e.site_id = i.site_id AND e.identity_id = i.identity_id ORDER BY e.event_id LIMIT 1
         ) AS own ON true
         LEFT JOIN LATERAL (
            SELECT t.value FROM identity_links l
            JOIN events e ON e.site_id = l.site_id AND e.identity_id = l.identity_id AND e.event_id = l.event_id
            JOIN terms t ON t.site_id = e.site_id AND t.term_id = e.source_id
            WHERE l.site_id = i.site_id AND l.other_id = i.identity_id ORDER BY l.link_id LIMIT 1
         ) AS said ON true
         ORDER BY i.first_seen, i.identity_id")
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(profile_id)
    .bind::<Array<SmallInt>, _>(vec![Kind::Order.code(), Kind::Measured.code()])
    .bind::<BigInt, _>(NODES)
    .load(connection)?;
    rows.into_iter()
        .map(|row| {
            Ok(JoinNode {
                identifier: Identifier {
                    identity_id: row.identity_id,
                    kind: kind(row.kind)?,
                    value: row.value,
                    profile_id: ProfileId(row.profile_id),
                },
                first_seen: from_timestamp(row.first_seen),
                trust: if row.trusted { Trust::Trusted } else { Trust::Browser },
                source: row.source,
            })
        })
        .collect()
}

fn all_nodes(connection: &mut PgConnection, site_id: i32, profile_id: i64) -> Result<u64, StoreError> {
    let row: NumberRow =
        sql("SELECT count(*) AS count FROM identities WHERE site_id = $1 AND profile_id = $2 AND kind <> $3")
            .bind::<Integer, _>(site_id)
            .bind::<BigInt, _>(profile_id)
            .bind::<SmallInt, _>(Kind::Order.code())
            .get_result(connection)?;
    Ok(count(row.count))
}

/// What was said of one person's identifiers; without a person the site's latest merges.
fn links(connection: &mut PgConnection, site_id: i32, person: Option<i64>) -> Result<Vec<JoinLink>, StoreError> {
    // One row per statement, with its two identifiers and its source.
    let rows: Vec<LinkRow> = sql("WITH asked AS (SELECT $1 AS site_id, $2 AS profile_id),
            own AS (SELECT site_id, identity_id FROM identities JOIN asked USING (site_id, profile_id)),
            chosen AS (
                -- All of the person's, where there is one; else the site's latest merges.
                SELECT l.* FROM own JOIN identity_links l USING (site_id, identity_id)
                WHERE l.outcome IN ('same', 'merged')
                UNION ALL
                (SELECT l.* FROM asked a JOIN identity_links l USING (site_id)
                 WHERE a.profile_id IS NULL AND l.outcome = 'merged' ORDER BY l.link_id DESC LIMIT $3)
            )
         SELECT l.link_id, l.at, l.call, l.standing, l.reason, t.value AS source, l.said_by, l.probability,
                i.identity_id AS from_id, i.kind AS from_kind, i.value AS from_value, i.profile_id AS from_profile,
                o.identity_id AS to_id, o.kind AS to_kind, o.value AS to_value, o.profile_id AS to_profile
         FROM chosen l CROSS JOIN asked a
         JOIN identities i ON i.site_id = l.site_id AND i.identity_id = l.identity_id
         JOIN identities o ON o.site_id = l.site_id AND o.identity_id = l.other_id
         LEFT JOIN events e ON e.site_id = l.site_id AND e.identity_id = l.identity_id AND e.event_id = l.event_id
         LEFT JOIN terms t ON t.site_id = e.site_id AND t.term_id = e.source_id
         WHERE l.call <> $4 AND (a.profile_id IS NULL OR o.profile_id = a.profile_id)
         ORDER BY l.link_id DESC LIMIT $5")
    .bind::<Integer, _>(site_id)
    .bind::<Nullable<BigInt>, _>(person)
    .bind::<BigInt, _>(ROWS)
    .bind::<SmallInt, _>(Call::Order.code())
    .bind::<BigInt, _>(LINKS)
    .load(connection)?;
    rows.into_iter()
        .map(|row| {
            let (from, to) = row.pair.read()?;
            Ok(JoinLink {
                link_id: row.link_id,
                at: from_timestamp(row.at),
                from,
                to,
                call: Call::from_code(row.call).ok_or_else(|| odd("the call"))?,
                standing: Standing::from_code(row.standing).ok_or_else(|| odd("the standing"))?,
                source: row.source,
                merged: row.reason.as_deref().and_then(Reason::from_key),
                decided: row.said_by.zip(row.probability),
            })
        })
        .collect()
}

/// What was refused, of one person's identifiers or of all.
fn refused(connection: &mut PgConnection, site_id: i32, person: Option<i64>) -> Result<Vec<RefusedJoins>, StoreError> {
    // One row per rule and identifier that was named, with the latest that named it.
    let rows: Vec<RefusedRow> = sql("WITH asked AS (SELECT $1 AS site_id, $2 AS profile_id),
            own AS (SELECT site_id, identity_id FROM identities JOIN asked USING (site_id, profile_id)),
            chosen AS (
                -- All that name one of the person's, or that one of the person's named; else those of the site.
                SELECT l.* FROM own JOIN identity_links l USING (site_id, identity_id)
                UNION SELECT l.* FROM own JOIN identity_links l ON l.site_id = own.site_id AND l.other_id = own.identity_id
                UNION ALL SELECT l.* FROM asked a JOIN identity_links l USING (site_id) WHERE a.profile_id IS NULL
            )
         SELECT r.outcome, r.count, r.last_at,
                i.identity_id AS from_id, i.kind AS from_kind, i.value AS from_value, i.profile_id AS from_profile,
                o.identity_id AS to_id, o.kind AS to_kind, o.value AS to_value, o.profile_id AS to_profile
         FROM (
            SELECT site_id, outcome, other_id, count(DISTINCT identity_id) AS count, max(at) AS last_at,
                   (array_agg(identity_id ORDER BY link_id DESC))[1] AS identity_id
            FROM chosen WHERE outcome NOT IN ('same', 'merged', 'ordered') AND call <> $3
            GROUP BY site_id, outcome, other_id ORDER BY count DESC, last_at DESC LIMIT $4
         ) AS r
         JOIN identities i ON i.site_id = r.site_id AND i.identity_id = r.identity_id
         JOIN identities o ON o.site_id = r.site_id AND o.identity_id = r.other_id
         ORDER BY r.count DESC, r.last_at DESC")
    .bind::<Integer, _>(site_id)
    .bind::<Nullable<BigInt>, _>(person)
    .bind::<SmallInt, _>(Call::Order.code())
    .bind::<BigInt, _>(ROWS)
    .load(connection)?;
    rows.into_iter()
        .map(|row| {
            let (by, named) = row.pair.read()?;
            Ok(RefusedJoins {
                guard: Guard::from_key(&row.outcome).ok_or_else(|| odd("the outcome"))?,
                named,
                by,
                count: count(row.count),
                last_at: from_timestamp(row.last_at),
            })
        })
        .collect()
}

/// Who is kept apart, from one person or at all.
fn apart(connection: &mut PgConnection, site_id: i32, person: Option<i64>) -> Result<Vec<KeptApart>, StoreError> {
    let rows: Vec<ApartRow> = sql("WITH asked AS (SELECT $1 AS site_id, $2 AS profile_id)
         SELECT a.said_by, a.at,
                i.identity_id AS from_id, i.kind AS from_kind, i.value AS from_value, i.profile_id AS from_profile,
                o.identity_id AS to_id, o.kind AS to_kind, o.value AS to_value, o.profile_id AS to_profile
         FROM identity_apart a JOIN asked w USING (site_id)
         JOIN identities i ON i.site_id = a.site_id AND i.identity_id = a.identity_id
         JOIN identities o ON o.site_id = a.site_id AND o.identity_id = a.other_id
         WHERE w.profile_id IS NULL OR w.profile_id IN (i.profile_id, o.profile_id)
         ORDER BY a.at DESC LIMIT $3")
    .bind::<Integer, _>(site_id)
    .bind::<Nullable<BigInt>, _>(person)
    .bind::<BigInt, _>(ROWS)
    .load(connection)?;
    rows.into_iter()
        .map(|row| {
            let (one, other) = row.pair.read()?;
            Ok(KeptApart { one, other, said_by: row.said_by, at: from_timestamp(row.at) })
        })
        .collect()
}

fn blocked(connection: &mut PgConnection, site_id: i32) -> Result<Vec<BlockedValue>, StoreError> {
    let rows: Vec<BlockedRow> = sql("SELECT kind, value, source, sum(count)::bigint AS count, max(last_at) AS last_at
         FROM identity_blocked WHERE site_id = $1 GROUP BY kind, value, source ORDER BY 4 DESC, value LIMIT $2")
    .bind::<Integer, _>(site_id)
    .bind::<BigInt, _>(ROWS)
    .load(connection)?;
    rows.into_iter()
        .map(|row| {
            Ok(BlockedValue {
                kind: kind(row.kind)?,
                value: row.value,
                source: row.source,
                count: count(row.count),
                last_at: from_timestamp(row.last_at),
            })
        })
        .collect()
}
