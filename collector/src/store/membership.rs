//! Who is in which segment, kept up to date person by person.
//!
//! [`Live`] is a process's memory of the sites' segments: their rules made ready, and the people who were asked lately.
//! [`LiveSite::settle`] asks every segment about some people, in the transaction that holds their locks, and writes what
//! changed: members, values of computed traits, the log of changes, and when to ask again. It is called with what the projector has just folded,
//! for people whose deadline has come, and for everybody when a rule or a model has changed.

mod computed;
mod read;

pub(crate) use read::{
    ChangeRow, Cursor, MemberOf, Sizes, Sweep, read_all_scores, read_changes, read_members, read_scores, read_sizes,
    read_sweep,
};

use super::StoreError;
use super::segments::{Kind, Revisions, Segment, read_revisions, read_segments};
use super::sites::{Site, read_sites};
use super::sql::sql;
use super::traits::{ComputedTrait, read_traits};
use computed::{LiveTraits, TraitsBefore, TraitsWritten};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Timestamptz};
use domain::money::Currency;
pub(crate) use domain::segment::Cause;
use domain::segment::rule::{self, Because, Person, PersonRow, Plan, Slots, Verdict, Vocabulary};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};

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
    traits: LiveTraits,
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

struct KeptRow {
    version: Version,
    /// The site's revision as of which the models were asked about the person.
    scored_at: i64,
    row: PersonRow,
}

impl Kept {
    fn take(&mut self, profile_id: i64) -> Option<KeptRow> {
        let found = self.young.remove(&profile_id);
        if let Some(kept) = &found {
            self.events -= kept.row.at.len() + 1;
        }
        found.or_else(|| self.old.remove(&profile_id))
    }

    fn put(&mut self, kept: KeptRow) {
        if self.events > KEPT_EVENTS / 2 {
            self.old = std::mem::take(&mut self.young);
            self.events = 0;
        }
        self.events += kept.row.at.len() + 1;
        if let Some(former) = self.young.insert(kept.row.profile_id.0, kept) {
            self.events -= former.row.at.len() + 1;
        }
    }

    /// Whether nobody is dropped for another row.
    fn has_room(&self) -> bool {
        self.old.is_empty() && self.events <= KEPT_EVENTS / 2
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

    /// A definition that is not kept, made ready by itself.
    pub(crate) fn computing(
        connection: &mut PgConnection,
        site: &Site,
        definition: &rule::Computed,
    ) -> Result<LiveSite, StoreError> {
        let values = super::models::read_values(connection, site)?;
        let mut vocabulary = Vocabulary::new();
        for property in definition.properties() {
            vocabulary.keep_property(&property);
        }
        let draft = ComputedTrait::draft(definition);
        Ok(LiveSite {
            traits: LiveTraits::compile(site, vec![draft], &vocabulary, &values, false),
            revision: 0,
            swept_revision: 0,
            was_used: true,
            currency: site.currency,
            vocabulary,
            segments: Vec::new(),
            kept: Kept::default(),
        })
    }

    /// What the definition of [`LiveSite::computing`] comes to for a person.
    pub(crate) fn taken(&mut self, row: &PersonRow, as_of: Timestamp) -> Option<rule::Taken> {
        self.traits.refresh(&self.vocabulary);
        self.traits.taken(row, rule::second(as_of))
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
        let traits = read_traits(connection, site.site_id)?;
        let has_values = LiveTraits::are_kept(connection, site.site_id)?;
        // A site without any segment left still has members to take leave of.
        let was_used = revision > 0;
        let is_same_currency = known.as_ref().is_some_and(|known| known.currency == site.currency);
        let (mut vocabulary, kept) = known.map(|known| (known.vocabulary, known.kept)).unwrap_or_default();
        let mut lacks = false;
        let of_rule = |rule: &rule::Rule| rule.needs().behind(&values.computed);
        for property in traits.iter().filter_map(|one| one.definition.as_ref()).flat_map(rule::Computed::properties) {
            lacks |= vocabulary.keep_property(&property);
        }
        for needs in segments.iter().filter_map(Segment::rule).map(of_rule) {
            for property in &needs.properties {
                lacks |= vocabulary.keep_property(property);
            }
            for name in &needs.traits {
                lacks |= vocabulary.keep_trait(name);
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
        let traits = LiveTraits::compile(site, traits, &vocabulary, &values, has_values);
        Ok(LiveSite {
            traits,
            revision,
            swept_revision: 0,
            was_used,
            currency: site.currency,
            vocabulary,
            segments,
            // Rows that were made with fewer properties, or another currency, are others; other scores are read again.
            kept: if lacks || !is_same_currency { Kept::default() } else { kept },
        })
    }

    /// The row of a person that was made of this version of their history, if it is in memory, and whether it says what
    /// the models say now. It is taken out; see [`LiveSite::keep`].
    pub(crate) fn take(&mut self, profile_id: i64, version: Option<Version>) -> Option<(PersonRow, bool)> {
        let kept = self.kept.take(profile_id).filter(|kept| Some(kept.version) == version)?;
        Some((kept.row, kept.scored_at == self.revision))
    }

    /// Keeps a person's row in memory: it holds the events of this version of their history and no others, and says what
    /// the models say now.
    pub(crate) fn keep(&mut self, version: Version, row: PersonRow) {
        self.kept.put(KeptRow { version, scored_at: self.revision, row });
    }

    /// Whether a row can be kept without dropping another.
    pub(crate) fn has_room(&self) -> bool {
        self.kept.has_room()
    }

    /// Asks every segment and computes every trait of these people, and writes what changed; gives how many entries and
    /// exits that were. Those in `gone` are members of nothing and have no value. The people must be locked.
    pub(crate) fn settle<'r>(
        &mut self,
        connection: &mut PgConnection,
        site: &Site,
        people: impl Iterator<Item = &'r PersonRow> + Clone,
        gone: Gone<'_>,
        asked: Asked,
    ) -> Result<usize, StoreError> {
        let profile_ids: Vec<i64> = people.clone().map(|row| row.profile_id.0).chain(gone.ids()).collect();
        let has_lists = self.segments.iter().any(|live| live.segment.kind == Kind::List);
        let before = Before::read(connection, site.site_id, &profile_ids, has_lists)?;
        let traits_before = match self.traits.is_empty() {
            true => TraitsBefore::default(),
            false => TraitsBefore::read(connection, site.site_id, &profile_ids)?,
        };
        let mut traits_written = TraitsWritten::default();
        self.traits.refresh(&self.vocabulary);
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
            let mut due = self.traits.ask(row, second, &traits_before, &mut traits_written);
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
        for profile_id in gone.ids() {
            traits_written.leave(profile_id, &traits_before);
            let cause = if gone.nobody.contains(&profile_id) { asked.cause } else { Cause::Merge };
            for segment_id in before.member_of(profile_id) {
                written.leaves(profile_id, *segment_id, cause);
            }
            if before.due.contains_key(&profile_id) {
                written.never_due.push(profile_id);
            }
        }
        written.write(connection, site.site_id, asked.now)?;
        traits_written.write(connection, site.site_id, asked.now)?;
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

/// Who is a member of nothing any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone<'a> {
    /// Became one with somebody else.
    pub(crate) merged: &'a [i64],
    /// Nothing is left of what they did: it is taken for a bot's.
    pub(crate) nobody: &'a [i64],
}

impl Gone<'_> {
    fn ids(&self) -> impl Iterator<Item = i64> {
        self.merged.iter().chain(self.nobody).copied()
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
