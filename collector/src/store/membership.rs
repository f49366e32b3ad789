//! Who is in which segment, kept up to date person by person.
//!
//! [`Live`] is a process's memory of the sites' segments: their rules made ready, and the people who were asked lately.
//! [`LiveSite::settle`] asks every segment about some people, in the transaction that holds their locks, and writes what
//! changed: members, the log of changes, and when to ask again. It is called with what the projector has just folded,
//! for people whose deadline has come, and for everybody when a rule or a model has changed.

use super::StoreError;
use super::segments::{Kind, Revisions, Segment, read_revisions, read_segments};
use super::sites::{Site, read_sites};
use super::sql::sql;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Timestamptz};
use domain::event::ProfileId;
use domain::money::Currency;
pub(crate) use domain::segment::Cause;
use domain::segment::rule::{self, Because, Person, PersonRow, Plan, Scores, Slots, Verdict, Vocabulary};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Events of people who were asked lately that are kept in memory: about a hundred megabytes.
const KEPT_EVENTS: usize = 6_000_000;

/// A process's memory of its sites' segments.
#[derive(Default)]
pub(crate) struct Live {
    sites: HashMap<i32, LiveSite>,
}

/// One site's segments, made ready.
pub(crate) struct LiveSite {
    revision: i64,
    /// Everybody has been asked up to this revision.
    swept_revision: i64,
    was_used: bool,
    /// Orders in another currency count as orders of nothing.
    pub(crate) currency: Currency,
    pub(crate) vocabulary: Vocabulary,
    /// In an order in which those that are asked for come before those that ask.
    segments: Vec<LiveSegment>,
    kept: Kept,
}

struct LiveSegment {
    segment: Segment,
    /// `None` for a list.
    plan: Option<Plan>,
}

/// People who were asked lately, each with the version of their history. Two generations: what is not asked for
/// while one fills up is dropped.
#[derive(Default)]
struct Kept {
    young: HashMap<i64, KeptRow>,
    old: HashMap<i64, KeptRow>,
    events: usize,
}

/// The version of a stored history that a row was made of: every write of the history gives it another one, whoever
/// writes, so that a row of the same version is the same person.
pub(crate) type Version = i64;
type KeptRow = (Version, PersonRow);

impl Kept {
    fn take(&mut self, profile_id: i64) -> Option<KeptRow> {
        let found = self.young.remove(&profile_id);
        if let Some((_, row)) = &found {
            self.events -= row.at.len() + 1;
        }
        found.or_else(|| self.old.remove(&profile_id))
    }

    fn put(&mut self, version: Version, row: PersonRow) {
        if self.events > KEPT_EVENTS / 2 {
            self.old = std::mem::take(&mut self.young);
            self.events = 0;
        }
        self.events += row.at.len() + 1;
        if let Some((_, former)) = self.young.insert(row.profile_id.0, (version, row)) {
            self.events -= former.at.len() + 1;
        }
    }
}

impl Live {
    /// A site's segments as they are now, made ready; `None` where there are none.
    ///
    /// To be called with the people locked who will be asked: a change of a segment is then either seen here, or the
    /// sweep that follows it waits for these people.
    pub(crate) fn of(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
    ) -> Result<Option<&mut LiveSite>, StoreError> {
        let Revisions { revision, swept_revision } = read_revisions(connection, site.site_id)?;
        if self.sites.get(&site.site_id).is_none_or(|known| known.revision != revision) {
            let known = self.sites.remove(&site.site_id);
            // As it is by now: the caller's may be older than the revision.
            let fresh = read_sites(connection)?.into_iter().find(|fresh| fresh.site_id == site.site_id);
            let read = LiveSite::read(connection, fresh.as_ref().unwrap_or(site), revision, known, None)?;
            self.sites.insert(site.site_id, read);
        }
        let mut live = self.sites.get_mut(&site.site_id).filter(|live| live.was_used || !live.segments.is_empty());
        if let Some(live) = &mut live {
            live.swept_revision = swept_revision;
        }
        Ok(live)
    }
}

/// Stands for a rule that is not kept; real segments are counted from 1.
pub(crate) const DRAFT: i32 = 0;

/// A rule among the segments that it asks for.
fn with_draft(mut segments: Vec<Segment>, rule: &rule::Rule) -> Vec<Segment> {
    let mut needed: HashSet<String> = HashSet::new();
    let mut more = rule.needs().segments;
    while let Some(key) = more.pop() {
        let asked = segments.iter().find(|segment| segment.key == key).and_then(Segment::rule);
        if needed.insert(key) {
            more.extend(asked.into_iter().flat_map(|rule| rule.needs().segments));
        }
    }
    segments.retain(|segment| needed.contains(&segment.key));
    segments.push(Segment {
        segment_id: DRAFT,
        key: String::new(),
        name: String::new(),
        description: String::new(),
        action: String::new(),
        kind: Kind::Rule(rule.clone()),
        from_library: false,
        revision: 0,
        since_revision: 0,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    });
    segments
}

impl LiveSite {
    /// A rule that is not kept, as [`DRAFT`], made ready with the segments that it asks for.
    pub(crate) fn drafted(
        connection: &mut PgConnection,
        site: &Site,
        rule: &rule::Rule,
    ) -> Result<LiveSite, StoreError> {
        LiveSite::read(connection, site, 0, None, Some(rule))
    }

    /// Whether one of the segments is a list, of which only what is stored is known.
    pub(crate) fn has_lists(&self) -> bool {
        self.segments.iter().any(|live| live.plan.is_none())
    }

    fn read(
        connection: &mut PgConnection,
        site: &Site,
        revision: i64,
        known: Option<LiveSite>,
        draft: Option<&rule::Rule>,
    ) -> Result<LiveSite, StoreError> {
        let mut segments = read_segments(connection, site.site_id)?;
        if let Some(rule) = draft {
            segments = with_draft(segments, rule);
        }
        let values = super::models::read_values(connection, site)?;
        // A site without any segment left still has members to take leave of.
        let was_used = revision > 0;
        let mut vocabulary = known.map(|known| known.vocabulary).unwrap_or_default();
        for needs in segments.iter().filter_map(Segment::rule).map(rule::Rule::needs) {
            for property in &needs.properties {
                vocabulary.keep_property(property);
            }
            for name in &needs.traits {
                vocabulary.keep_trait(name);
            }
        }
        let rules: Vec<(String, rule::Rule)> =
            segments.iter().filter_map(|segment| Some((segment.key.clone(), segment.rule()?.clone()))).collect();
        // What was saved has no cycle; if one got in all the same, those in it are asked in any order.
        let order = rule::Rule::order(&rules).unwrap_or_else(|cycle| {
            tracing::error!(site = site.site_id, %cycle, "segments ask for one another");
            (0..rules.len()).collect()
        });
        let mut by_key: HashMap<String, Segment> =
            segments.into_iter().map(|segment| (segment.key.clone(), segment)).collect();
        let mut ordered: Vec<Segment> = order.iter().filter_map(|place| by_key.remove(&rules[*place].0)).collect();
        // Lists ask for nobody.
        let mut lists: Vec<Segment> = by_key.into_values().collect();
        lists.sort_by_key(|list| list.segment_id);
        lists.append(&mut ordered);
        let slots = Slots::of(lists.iter().map(|segment| segment.key.as_str()));
        let segments = lists
            .into_iter()
            .map(|segment| {
                let plan = segment.rule().map(|rule| Plan::compile(rule, &vocabulary, &values, &slots)).transpose();
                let plan = plan.unwrap_or_else(|error| {
                    tracing::error!(site = site.site_id, segment = segment.key, %error, "a segment is not kept");
                    None
                });
                LiveSegment { segment, plan }
            })
            .collect();
        // Rows were made with fewer properties, or with other scores.
        Ok(LiveSite {
            revision,
            swept_revision: 0,
            was_used,
            currency: site.currency,
            vocabulary,
            segments,
            kept: Kept::default(),
        })
    }

    /// The row of a person that was made of this version of their history, if it is in memory. It is taken out; see
    /// [`LiveSite::keep`].
    pub(crate) fn take(&mut self, profile_id: i64, version: Option<Version>) -> Option<PersonRow> {
        self.kept.take(profile_id).filter(|(kept, _)| Some(*kept) == version).map(|(_, row)| row)
    }

    /// Keeps a person's row in memory: it holds the events of this version of their history and no others.
    pub(crate) fn keep(&mut self, version: Version, row: PersonRow) {
        self.kept.put(version, row);
    }

    /// Asks every segment about these people and writes what changed; gives how many entries and exits that were. Those
    /// in `gone` are no more. The people must be locked.
    pub(crate) fn settle<'r>(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
        people: impl Iterator<Item = &'r PersonRow> + Clone,
        gone: &[i64],
        asked: Asked,
    ) -> Result<usize, StoreError> {
        let profile_ids: Vec<i64> = people.clone().map(|row| row.profile_id.0).chain(gone.iter().copied()).collect();
        let has_lists = self.segments.iter().any(|live| live.segment.kind == Kind::List);
        let before = Before::read(connection, site.site_id, &profile_ids, has_lists)?;
        for live in &mut self.segments {
            if let Some(plan) = &mut live.plan {
                plan.refresh(&self.vocabulary);
            }
        }
        let mut written = Written::default();
        let second = rule::second(asked.now);
        for row in people {
            let profile_id = row.profile_id.0;
            let member_of = before.member_of(profile_id);
            let mut bits = vec![0_u64; self.segments.len().div_ceil(64)];
            let mut due = None;
            for (slot, live) in self.segments.iter().enumerate() {
                let was_in = member_of.contains(&live.segment.segment_id);
                let verdict = match &live.plan {
                    Some(plan) => plan.evaluate(&Person { segments: &bits, ..row.as_person(&[]) }, second),
                    None => {
                        let is_listed = before.listed.contains(&(profile_id, live.segment.segment_id));
                        let member = match live.segment.kind {
                            Kind::List => is_listed,
                            // It cannot be asked: it stays as it is.
                            Kind::Rule(_) | Kind::Unreadable => was_in,
                        };
                        Verdict { member, because: Because::default(), changes_at: None }
                    }
                };
                bits[slot / 64] |= u64::from(verdict.member) << (slot % 64);
                due = [due, verdict.changes_at].into_iter().flatten().min();
                if verdict.member != was_in {
                    written.change(profile_id, live, self.swept_revision, &verdict, asked);
                }
            }
            for segment_id in member_of.iter().filter(|id| !self.segments.iter().any(|s| s.segment.segment_id == **id))
            {
                written.leaves(profile_id, *segment_id, Cause::Rule);
            }
            let known = before.due.get(&profile_id).copied();
            if known != due {
                match due {
                    Some(due) => written.due.push((profile_id, due)),
                    None => written.never_due.push(profile_id),
                }
            }
        }
        for profile_id in gone {
            for segment_id in before.member_of(*profile_id) {
                written.leaves(*profile_id, *segment_id, Cause::Merge);
            }
            if before.due.contains_key(profile_id) {
                written.never_due.push(*profile_id);
            }
        }
        written.write(connection, site.site_id, asked.now)?;
        Ok(written.changes.len())
    }
}

impl LiveSite {
    /// Asks every segment with a rule about one person and takes the answers of those that are `wanted` apart, by segment.
    /// `is_listed` says in which of the others the person is.
    pub(crate) fn explain(
        &mut self,
        row: &PersonRow,
        is_listed: impl Fn(i32) -> bool,
        wanted: impl Fn(i32) -> bool,
        as_of: Timestamp,
    ) -> Vec<(i32, rule::Explanation)> {
        let second = rule::second(as_of);
        let mut bits = vec![0_u64; self.segments.len().div_ceil(64)];
        let mut all = Vec::with_capacity(self.segments.len());
        for (slot, live) in self.segments.iter_mut().enumerate() {
            let segment_id = live.segment.segment_id;
            let is_member = match &mut live.plan {
                Some(plan) => {
                    plan.refresh(&self.vocabulary);
                    let person = Person { segments: &bits, ..row.as_person(&[]) };
                    if wanted(segment_id) {
                        let explanation = plan.explain(&person, second, &self.vocabulary);
                        let is_member = explanation.holds;
                        all.push((segment_id, explanation));
                        is_member
                    } else {
                        plan.evaluate(&person, second).member
                    }
                }
                None => is_listed(segment_id),
            };
            bits[slot / 64] |= u64::from(is_member) << (slot % 64);
        }
        all
    }
}

/// Why and when people are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) now: Timestamp,
    pub(crate) cause: Cause,
}

#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Integer)]
    segment_id: i32,
}

#[derive(QueryableByName)]
struct DueRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Timestamptz)]
    due_at: PgTimestamp,
}

/// What is stored of some people.
struct Before {
    members: HashMap<i64, HashSet<i32>>,
    /// In seconds since 1970.
    due: HashMap<i64, u32>,
    /// Who is in which list.
    listed: HashSet<(i64, i32)>,
    nothing: HashSet<i32>,
}

impl Before {
    fn read(
        connection: &mut PgConnection,
        site_id: i32,
        profile_ids: &[i64],
        has_lists: bool,
    ) -> Result<Before, StoreError> {
        let mut before = Before {
            members: HashMap::new(),
            due: HashMap::new(),
            listed: if has_lists { read_listed(connection, site_id, profile_ids)? } else { HashSet::new() },
            nothing: HashSet::new(),
        };
        let members: Vec<MemberRow> =
            sql("SELECT profile_id, segment_id FROM segment_members WHERE site_id = $1 AND profile_id = ANY($2)")
                .bind::<Integer, _>(site_id)
                .bind::<Array<BigInt>, _>(profile_ids.to_vec())
                .load(connection)?;
        for row in members {
            before.members.entry(row.profile_id).or_default().insert(row.segment_id);
        }
        let due: Vec<DueRow> =
            sql("SELECT profile_id, due_at FROM segment_deadlines WHERE site_id = $1 AND profile_id = ANY($2)")
                .bind::<Integer, _>(site_id)
                .bind::<Array<BigInt>, _>(profile_ids.to_vec())
                .load(connection)?;
        before.due =
            due.into_iter().map(|row| (row.profile_id, rule::second(super::from_timestamp(row.due_at)))).collect();
        Ok(before)
    }

    /// The segments that a person is in as far as is stored.
    fn member_of(&self, profile_id: i64) -> &HashSet<i32> {
        self.members.get(&profile_id).unwrap_or(&self.nothing)
    }
}

/// Which of these people are in which list: those who own an identifier that is in it.
pub(crate) fn read_listed(
    connection: &mut PgConnection,
    site_id: i32,
    profile_ids: &[i64],
) -> Result<HashSet<(i64, i32)>, StoreError> {
    let rows: Vec<MemberRow> = sql("SELECT i.profile_id, l.segment_id FROM identities i
         JOIN segment_lists l ON l.site_id = i.site_id AND l.identity_id = i.identity_id
         WHERE i.site_id = $1 AND i.profile_id = ANY($2)")
    .bind::<Integer, _>(site_id)
    .bind::<Array<BigInt>, _>(profile_ids.to_vec())
    .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.profile_id, row.segment_id)).collect())
}

struct Change {
    profile_id: i64,
    segment_id: i32,
    entered: bool,
    cause: Cause,
    clause: i16,
    evidence_at: Option<u32>,
    revision: i32,
}

#[derive(Default)]
struct Written {
    changes: Vec<Change>,
    due: Vec<(i64, u32)>,
    never_due: Vec<i64>,
}

impl Written {
    fn change(&mut self, profile_id: i64, live: &LiveSegment, swept: i64, verdict: &Verdict, asked: Asked) {
        // Who is asked for the first time since the rule changed moves because of that, whatever they did.
        let is_new = live.segment.since_revision > swept;
        let cause = match live.segment.kind {
            Kind::List => Cause::List,
            Kind::Rule(_) | Kind::Unreadable if is_new => Cause::Rule,
            Kind::Rule(_) | Kind::Unreadable => asked.cause,
        };
        self.changes.push(Change {
            profile_id,
            segment_id: live.segment.segment_id,
            entered: verdict.member,
            cause,
            clause: i16::try_from(verdict.because.clause).unwrap_or(i16::MAX),
            evidence_at: (verdict.because.at > 0).then_some(verdict.because.at),
            revision: live.segment.revision,
        });
    }

    fn leaves(&mut self, profile_id: i64, segment_id: i32, cause: Cause) {
        self.changes.push(Change {
            profile_id,
            segment_id,
            entered: false,
            cause,
            clause: 0,
            evidence_at: None,
            revision: 0,
        });
    }

    fn write(&self, connection: &mut PgConnection, site_id: i32, now: Timestamp) -> Result<(), StoreError> {
        let moment = |second: u32| super::timestamp(i64::from(second) * 1_000_000);
        let at = super::timestamp(now.as_microsecond());
        let pairs = |entered: bool| -> (Vec<i64>, Vec<i32>) {
            let changes = self.changes.iter().filter(|change| change.entered == entered);
            changes.map(|change| (change.profile_id, change.segment_id)).unzip()
        };
        let (profile_ids, segment_ids) = pairs(true);
        if !profile_ids.is_empty() {
            sql("INSERT INTO segment_members (site_id, entered_at, profile_id, segment_id)
                 SELECT $1, $2, m.* FROM unnest($3, $4) AS m ON CONFLICT DO NOTHING")
            .bind::<Integer, _>(site_id)
            .bind::<Timestamptz, _>(at)
            .bind::<Array<BigInt>, _>(profile_ids)
            .bind::<Array<Integer>, _>(segment_ids)
            .execute(connection)?;
        }
        let (profile_ids, segment_ids) = pairs(false);
        if !profile_ids.is_empty() {
            sql("DELETE FROM segment_members AS m USING unnest($1, $2) AS d (profile_id, segment_id)
                 WHERE m.site_id = $3 AND m.profile_id = d.profile_id AND m.segment_id = d.segment_id")
            .bind::<Array<BigInt>, _>(profile_ids)
            .bind::<Array<Integer>, _>(segment_ids)
            .bind::<Integer, _>(site_id)
            .execute(connection)?;
        }
        if !self.changes.is_empty() {
            let all = |of: &dyn Fn(&Change) -> i16| self.changes.iter().map(of).collect::<Vec<_>>();
            sql("INSERT INTO segment_changes
                    (site_id, at, profile_id, segment_id, entered, cause, clause, evidence_at, revision)
                 SELECT $1, $2, c.* FROM unnest($3, $4, $5, $6, $7, $8, $9) AS c")
            .bind::<Integer, _>(site_id)
            .bind::<Timestamptz, _>(at)
            .bind::<Array<BigInt>, _>(self.changes.iter().map(|change| change.profile_id).collect::<Vec<_>>())
            .bind::<Array<Integer>, _>(self.changes.iter().map(|change| change.segment_id).collect::<Vec<_>>())
            .bind::<Array<Bool>, _>(self.changes.iter().map(|change| change.entered).collect::<Vec<_>>())
            .bind::<Array<SmallInt>, _>(all(&|change| change.cause as i16))
            .bind::<Array<SmallInt>, _>(all(&|change| change.clause))
            .bind::<Array<Nullable<Timestamptz>>, _>(
                self.changes.iter().map(|change| change.evidence_at.map(moment)).collect::<Vec<_>>(),
            )
            .bind::<Array<Integer>, _>(self.changes.iter().map(|change| change.revision).collect::<Vec<_>>())
            .execute(connection)?;
        }
        if !self.due.is_empty() {
            sql("INSERT INTO segment_deadlines (site_id, profile_id, due_at) SELECT $1, d.* FROM unnest($2, $3) AS d
                 ON CONFLICT (site_id, profile_id) DO UPDATE SET due_at = EXCLUDED.due_at")
            .bind::<Integer, _>(site_id)
            .bind::<Array<BigInt>, _>(self.due.iter().map(|due| due.0).collect::<Vec<_>>())
            .bind::<Array<Timestamptz>, _>(self.due.iter().map(|due| moment(due.1)).collect::<Vec<_>>())
            .execute(connection)?;
        }
        if !self.never_due.is_empty() {
            sql("DELETE FROM segment_deadlines WHERE site_id = $1 AND profile_id = ANY($2)")
                .bind::<Integer, _>(site_id)
                .bind::<Array<BigInt>, _>(self.never_due.clone())
                .execute(connection)?;
        }
        Ok(())
    }
}

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
    #[diesel(sql_type = Nullable<SmallInt>)]
    cluster: Option<i16>,
}

impl From<&ScoreRow> for Scores {
    fn from(row: &ScoreRow) -> Scores {
        Scores {
            probability_alive: row.probability_alive.unwrap_or(f32::NAN),
            expected_orders: row.expected_orders.unwrap_or(f32::NAN),
            expected_revenue: row.expected_revenue.unwrap_or(f32::NAN),
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
        sql("SELECT profile_id, probability_alive, expected_orders, expected_revenue, cluster FROM segment_scores
             WHERE site_id = $1 AND profile_id = ANY($2)")
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
        sql("SELECT profile_id, probability_alive, expected_orders, expected_revenue, cluster FROM segment_scores
             WHERE site_id = $1")
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

/// How many people are in each segment now, and how everybody being asked anew comes on.
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

/// Reads [`Sizes`].
pub(crate) fn read_sizes(connection: &mut PgConnection, site_id: i32) -> Result<Sizes, StoreError> {
    let count = |count: i64| u64::try_from(count).unwrap_or(0);
    let members: Vec<SizeRow> = sql("SELECT segment_id, count(*) AS members FROM segment_members
         WHERE site_id = $1 GROUP BY segment_id")
    .bind::<Integer, _>(site_id)
    .load(connection)?;
    // First evaluations of a rule are no movement.
    let moved: Vec<MovedRow> = sql("SELECT segment_id, count(*) FILTER (WHERE entered) AS entered,
                count(*) FILTER (WHERE NOT entered) AS left
         FROM segment_changes WHERE site_id = $1 AND at > now() - interval '7 days' AND cause <> $2
         GROUP BY segment_id")
    .bind::<Integer, _>(site_id)
    .bind::<SmallInt, _>(Cause::Rule as i16)
    .load(connection)?;
    let sweep: Option<Sweep> =
        sql("SELECT swept_revision, CASE WHEN sweeping_revision IS NULL THEN 0 ELSE done END AS done,
                CASE WHEN sweeping_revision IS NULL THEN 0 ELSE people END AS people
         FROM segment_sweeps WHERE site_id = $1")
        .bind::<Integer, _>(site_id)
        .get_result(connection)
        .optional()?;
    Ok(Sizes {
        members: members.into_iter().map(|row| (row.segment_id, count(row.members))).collect(),
        moved: moved.into_iter().map(|row| (row.segment_id, (count(row.entered), count(row.left)))).collect(),
        sweep: sweep.unwrap_or_default(),
    })
}

impl Sizes {
    /// How the answers about a segment come on; `None` once they are settled.
    pub(crate) fn progress(&self, segment: &Segment) -> Option<domain::report::Progress> {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        (segment.since_revision > self.sweep.swept_revision)
            .then(|| domain::report::Progress { asked: count(self.sweep.done), people: count(self.sweep.people) })
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
