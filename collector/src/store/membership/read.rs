//! What is stored of segments and their people, for pages and programs to tell.

use super::Cause;
use crate::store::StoreError;
use crate::store::segments::Segment;
use crate::store::sql::sql;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Timestamptz};
use domain::event::ProfileId;
use domain::segment::rule::Scores;
use std::collections::{BTreeMap, HashMap};

#[derive(QueryableByName)]
struct ScoreRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Nullable<diesel::sql_types::Float>)]
    probability_alive: Option<f32>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Float>)]
    expected_orders: Option<f32>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Float>)]
    expected_revenue: Option<f32>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Float>)]
    probability_of_return: Option<f32>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Float>)]
    probability_of_sign_up: Option<f32>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    cluster: Option<i16>,
}

impl From<&ScoreRow> for Scores {
    fn from(row: &ScoreRow) -> Scores {
        Scores {
            probability_alive: row.probability_alive.unwrap_or(f32::NAN),
            expected_orders: row.expected_orders.unwrap_or(f32::NAN),
            expected_revenue: row.expected_revenue.unwrap_or(f32::NAN),
            probability_of_return: row.probability_of_return.unwrap_or(f32::NAN),
            probability_of_sign_up: row.probability_of_sign_up.unwrap_or(f32::NAN),
            cluster: row.cluster.and_then(|cluster| u16::try_from(cluster).ok()).unwrap_or(Scores::NO_CLUSTER),
        }
    }
}

/// What the models say of some people; nothing of those who are left out.
pub(crate) fn read_scores(
    connection: &mut PgConnection,
    site_id: i32,
    profile_ids: &[i64],
) -> Result<BTreeMap<i64, Scores>, StoreError> {
    let rows: Vec<ScoreRow> =
        sql("SELECT profile_id, probability_alive, expected_orders, expected_revenue, probability_of_return,
                probability_of_sign_up, cluster
             FROM segment_scores WHERE site_id = $1 AND profile_id = ANY($2)")
        .bind::<Integer, _>(site_id)
        .bind::<Array<BigInt>, _>(profile_ids.to_vec())
        .load(connection)?;
    Ok(rows.iter().map(|row| (row.profile_id, row.into())).collect())
}

/// What the models say of all people of a site.
pub(crate) fn read_all_scores(
    connection: &mut PgConnection,
    site_id: i32,
) -> Result<HashMap<ProfileId, Scores>, StoreError> {
    let rows: Vec<ScoreRow> =
        sql("SELECT profile_id, probability_alive, expected_orders, expected_revenue, probability_of_return,
                probability_of_sign_up, cluster
             FROM segment_scores WHERE site_id = $1")
        .bind::<Integer, _>(site_id)
        .load(connection)?;
    Ok(rows.iter().map(|row| (ProfileId(row.profile_id), row.into())).collect())
}

/// A member of a segment.
#[derive(QueryableByName, Clone, Debug)]
pub(crate) struct MemberOf {
    #[diesel(sql_type = BigInt)]
    pub(crate) profile_id: i64,
    #[diesel(sql_type = Timestamptz)]
    pub(crate) entered_at: PgTimestamp,
    #[diesel(sql_type = Nullable<diesel::sql_types::Text>)]
    pub(crate) user_id: Option<String>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Text>)]
    pub(crate) email: Option<String>,
    #[diesel(sql_type = Integer)]
    pub(crate) orders: i32,
    #[diesel(sql_type = BigInt)]
    pub(crate) revenue_minor: i64,
    #[diesel(sql_type = Timestamptz)]
    pub(crate) last_seen: PgTimestamp,
}

/// Members of a segment after a profile number, by profile number.
pub(crate) fn read_members(
    connection: &mut PgConnection,
    site_id: i32,
    segment_id: i32,
    after: i64,
    limit: i64,
) -> Result<Vec<MemberOf>, StoreError> {
    // 2 and 3 are the kinds user id and e-mail of domain::identity.
    Ok(sql("SELECT m.profile_id, m.entered_at, p.orders, p.revenue_minor, p.last_seen,
                (SELECT value FROM identities i WHERE i.site_id = m.site_id AND i.profile_id = m.profile_id AND kind = 2
                 ORDER BY identity_id LIMIT 1) AS user_id,
                (SELECT value FROM identities i WHERE i.site_id = m.site_id AND i.profile_id = m.profile_id AND kind = 3
                 ORDER BY identity_id LIMIT 1) AS email
         FROM segment_members m JOIN profiles p ON p.site_id = m.site_id AND p.profile_id = m.profile_id
         WHERE m.site_id = $1 AND m.segment_id = $2 AND m.profile_id > $3 ORDER BY m.profile_id LIMIT $4")
    .bind::<Integer, _>(site_id)
    .bind::<Integer, _>(segment_id)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(connection)?)
}

/// How many people are in some segments now, and how everybody being asked anew comes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sizes {
    /// By segment.
    pub(crate) members: HashMap<i32, u64>,
    /// Entries and exits of the last seven days.
    pub(crate) moved: HashMap<i32, (u64, u64)>,
    pub(crate) sweep: Sweep,
}

/// How asking everybody anew comes on.
#[derive(QueryableByName, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sweep {
    /// Segments that are as they were at this revision are settled.
    #[diesel(sql_type = BigInt)]
    pub(crate) swept_revision: i64,
    /// People asked so far, and people in all, while somebody is at it.
    #[diesel(sql_type = BigInt)]
    pub(crate) done: i64,
    #[diesel(sql_type = BigInt)]
    pub(crate) people: i64,
}

#[derive(QueryableByName)]
struct SizeRow {
    #[diesel(sql_type = Integer)]
    segment_id: i32,
    #[diesel(sql_type = BigInt)]
    members: i64,
}

#[derive(QueryableByName)]
struct MovedRow {
    #[diesel(sql_type = Integer)]
    segment_id: i32,
    #[diesel(sql_type = BigInt)]
    entered: i64,
    #[diesel(sql_type = BigInt)]
    left: i64,
}

/// Reads the sizes of these segments, in the time that their own people take.
pub(crate) fn read_sizes(
    connection: &mut PgConnection,
    site_id: i32,
    segment_ids: impl IntoIterator<Item = i32>,
) -> Result<Sizes, StoreError> {
    let segment_ids: Vec<i32> = segment_ids.into_iter().collect();
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    let members: Vec<SizeRow> = sql("SELECT segment_id, count(*) AS members FROM segment_members
         WHERE site_id = $1 AND segment_id = ANY($2) GROUP BY segment_id")
    .bind::<Integer, _>(site_id)
    .bind::<Array<Integer>, _>(segment_ids.clone())
    .load(connection)?;
    // First evaluations of a rule are no movement.
    let moved: Vec<MovedRow> = sql("SELECT segment_id, count(*) FILTER (WHERE entered) AS entered,
                count(*) FILTER (WHERE NOT entered) AS left
         FROM segment_changes
         WHERE site_id = $1 AND segment_id = ANY($2) AND at > now() - interval '7 days' AND cause <> $3
         GROUP BY segment_id")
    .bind::<Integer, _>(site_id)
    .bind::<Array<Integer>, _>(segment_ids)
    .bind::<SmallInt, _>(Cause::Rule as i16)
    .load(connection)?;
    Ok(Sizes {
        members: members.into_iter().map(|row| (row.segment_id, count(row.members))).collect(),
        moved: moved.into_iter().map(|row| (row.segment_id, (count(row.entered), count(row.left)))).collect(),
        sweep: read_sweep(connection, site_id)?,
    })
}

/// Reads how asking everybody anew comes on.
pub(crate) fn read_sweep(connection: &mut PgConnection, site_id: i32) -> Result<Sweep, StoreError> {
    let sweep: Option<Sweep> =
        sql("SELECT swept_revision, CASE WHEN sweeping_revision IS NULL THEN 0 ELSE done END AS done,
                CASE WHEN sweeping_revision IS NULL THEN 0 ELSE people END AS people
         FROM segment_sweeps WHERE site_id = $1")
        .bind::<Integer, _>(site_id)
        .get_result(connection)
        .optional()?;
    Ok(sweep.unwrap_or_default())
}

impl Sweep {
    /// How the answers about a segment come on; `None` once they are settled.
    pub(crate) fn progress(&self, segment: &Segment) -> Option<domain::report::Progress> {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        (segment.since_revision > self.swept_revision)
            .then(|| domain::report::Progress { asked: count(self.done), people: count(self.people) })
    }
}

/// One entry or exit.
#[derive(QueryableByName, Clone, Debug)]
pub(crate) struct ChangeRow {
    #[diesel(sql_type = BigInt)]
    pub(crate) change_id: i64,
    #[diesel(sql_type = diesel::sql_types::Text)]
    pub(crate) tx: String,
    #[diesel(sql_type = Timestamptz)]
    pub(crate) at: PgTimestamp,
    #[diesel(sql_type = BigInt)]
    pub(crate) profile_id: i64,
    #[diesel(sql_type = diesel::sql_types::Text)]
    pub(crate) segment: String,
    #[diesel(sql_type = Bool)]
    pub(crate) entered: bool,
    #[diesel(sql_type = SmallInt)]
    pub(crate) cause: i16,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(crate) evidence_at: Option<PgTimestamp>,
}

/// Where a reader of the changes has come to: those of `tx` up to `change_id`, and everything before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) tx: u64,
    pub(crate) change_id: i64,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.tx, self.change_id)
    }
}

impl std::str::FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Cursor, ()> {
        let (tx, change_id) = text.split_once('-').ok_or(())?;
        Ok(Cursor { tx: tx.parse().map_err(drop)?, change_id: change_id.parse().map_err(drop)? })
    }
}

/// Changes after a cursor, in the order in which they can be relied on to appear: of transactions below which nothing
/// can still come in.
pub(crate) fn read_changes(
    connection: &mut PgConnection,
    site_id: i32,
    after: &Cursor,
    limit: i64,
) -> Result<Vec<ChangeRow>, StoreError> {
    Ok(sql(
        "SELECT c.change_id, c.tx::text AS tx, c.at, c.profile_id, g.key AS segment, c.entered, c.cause, c.evidence_at
         FROM segment_changes c JOIN segments g USING (site_id, segment_id)
         WHERE c.site_id = $1 AND c.tx >= $2::text::xid8 AND (c.tx > $3::text::xid8 OR c.change_id > $4)
            AND c.tx < pg_snapshot_xmin(pg_current_snapshot())
         ORDER BY c.tx, c.change_id LIMIT $5",
    )
    .bind::<Integer, _>(site_id)
    .bind::<diesel::sql_types::Text, _>(after.tx.to_string())
    .bind::<diesel::sql_types::Text, _>(after.tx.to_string())
    .bind::<BigInt, _>(after.change_id)
    .bind::<BigInt, _>(limit)
    .load(connection)?)
}
