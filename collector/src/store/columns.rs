//! What analysis columns are read from: a site's people, events, visits and orders, all of them as a stream or those of
//! some people, and the journal that says whom to read again.
//!
//! Visits and orders come from their projections and are not folded again: the projector has done so, and a reader that
//! folds would need every snapshot, referrer and campaign of every event, three times the bytes, to find the same.

mod copy;

use super::StoreError;
use super::events::Kind;
use super::sites::Site;
use super::sql::sql;
use copy::{Fields, copy};
use diesel::pg::data_types::PgTimestamp;
use diesel::pg::{CopyTarget, Pg};
use diesel::prelude::*;
use diesel::query_builder::AstPass;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz};
use domain::event::TermId;
use domain::identity::Kind as IdentityKind;
use domain::segment::rule::Fact;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Somebody who is or was there.
#[derive(Clone, Debug)]
pub(crate) struct PersonRead {
    pub(crate) profile_id: i64,
    pub(crate) signed_up: bool,
    pub(crate) first_seen_us: i64,
    pub(crate) last_seen_us: i64,
    /// The traits that are kept; `None` where none is known.
    pub(crate) traits: Option<Map<String, Value>>,
}

/// What an event is to the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    Page(TermId),
    Track(TermId),
    Identify,
    Group,
    Alias,
}

impl Did {
    /// `None` for what is no event of its own, and for rows that no version ever wrote.
    fn read(kind: i16, name_id: Option<i32>, page_id: Option<i32>) -> Option<Did> {
        match Kind::from_code(kind)? {
            Kind::Page | Kind::Screen => page_id.map(TermId).map(Did::Page),
            Kind::Track => name_id.map(TermId).map(Did::Track),
            Kind::Identify => Some(Did::Identify),
            Kind::Group => Some(Did::Group),
            Kind::Alias => Some(Did::Alias),
            // What was done on a page is part of its view.
            Kind::Snapshot => None,
        }
    }
}

/// An event; `who` is an identity where everything is read and a profile where some people are.
#[derive(Debug)]
pub(crate) struct EventRead {
    pub(crate) who: i64,
    pub(crate) at_us: i64,
    pub(crate) did: Did,
    /// Of named events that have one that is kept.
    pub(crate) properties: Option<Map<String, Value>>,
}

/// A visit's beginning with channel, source, medium, campaign and referrer.
#[derive(Debug)]
pub(crate) struct VisitRead {
    pub(crate) profile_id: i64,
    pub(crate) at_us: i64,
    pub(crate) end_us: i64,
    pub(crate) touch: [String; 5],
}

/// An order that counts, with channel, source and campaign.
#[derive(Debug)]
pub(crate) struct OrderRead {
    pub(crate) profile_id: i64,
    pub(crate) at_us: i64,
    /// In the site's currency; 0 where it has no total in that.
    pub(crate) minor: i64,
    pub(crate) touch: [String; 3],
}

/// What is read, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Names of properties that are kept.
    pub(crate) properties: Vec<String>,
    /// Names of traits that are kept.
    pub(crate) traits: Vec<String>,
    /// Events before this second are left out.
    pub(crate) from: Option<u32>,
}

impl Selection {
    /// Whether facts that are texts are asked for beside the traits.
    fn asks_texts(&self) -> bool {
        self.traits.iter().any(|name| name.starts_with(Fact::TRAIT_PREFIX))
    }

    fn begins_us(&self) -> i64 {
        // The least number is PostgreSQL's -infinity.
        self.from.map_or(i64::MIN, |from| i64::from(from) * 1_000_000)
    }
}

/// Takes what a site has, row by row.
pub(crate) trait Sink {
    /// The text of a page or of an event's name; all of them come first.
    fn text(&mut self, term: TermId, text: &str);
    fn person(&mut self, person: PersonRead);
    /// Each identity follows all people; `measured` ones may have no person.
    fn identity(&mut self, identity_id: i64, profile_id: i64, measured: bool);
    fn event(&mut self, event: EventRead);
    fn visit(&mut self, visit: VisitRead);
    fn order(&mut self, order: OrderRead);
    /// Called now and then; `false` ends it.
    fn goes_on(&mut self) -> bool;
}

/// Why reading ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the server is stopping")]
    Stopped,
}

impl From<diesel::result::Error> for ReadError {
    fn from(error: diesel::result::Error) -> ReadError {
        ReadError::Store(error.into())
    }
}

/// A query whose rows are streamed by COPY. What it depends on is set by `set_config` before, since COPY takes no
/// values.
macro_rules! stream {
    ($name:ident, $query:literal) => {
        struct $name;
        impl CopyTarget for $name {
            type Table = super::schema::sites::table;
            type SqlType = Integer;

            fn walk_target(mut pass: AstPass<'_, '_, Pg>) -> QueryResult<()> {
                pass.push_sql($query);
                Ok(())
            }
        }
    };
}

// 1 and 2 are the dictionary's kinds of names and pages.
stream!(
    TextStream,
    "(SELECT term_id, value FROM terms
      WHERE site_id = (SELECT current_setting('segments.site')::integer) AND kind IN (1, 2))"
);
stream!(
    PeopleStream,
    "(SELECT profile_id, signed_up, first_seen, last_seen,
             CASE WHEN said ?| (SELECT current_setting('segments.traits')::text[]) THEN said::text END
      FROM (
          SELECT profile_id, signed_up, first_seen, last_seen,
                 CASE WHEN (SELECT current_setting('segments.texts')) = 'true' THEN
                     traits || jsonb_strip_nulls(jsonb_build_object('fact:country', country, 'fact:language', language,
                     'fact:time_zone', time_zone, 'fact:currency', currency, 'fact:device', device,
                     'fact:browser', browser, 'fact:system', system, 'fact:email_class', email_class))
                 ELSE traits END AS said
          FROM profiles WHERE site_id = (SELECT current_setting('segments.site')::integer)
      ) AS people)"
);
stream!(
    IdentityStream,
    "(SELECT identity_id, profile_id, kind FROM identities
      WHERE site_id = (SELECT current_setting('segments.site')::integer))"
);
// 2 is a snapshot, 3 a named event.
stream!(
    EventStream,
    "(SELECT identity_id, occurred_at, kind, name_id, page_id,
             CASE WHEN kind = 3 AND properties ?| (SELECT current_setting('segments.properties')::text[])
                THEN properties::text END
      FROM events WHERE site_id = (SELECT current_setting('segments.site')::integer) AND kind <> 2
        AND COALESCE(bot_score, 0) < (SELECT current_setting('segments.bots_from')::integer))"
);
stream!(
    LateEventStream,
    "(SELECT identity_id, occurred_at, kind, name_id, page_id,
             CASE WHEN kind = 3 AND properties ?| (SELECT current_setting('segments.properties')::text[])
                THEN properties::text END
      FROM events WHERE site_id = (SELECT current_setting('segments.site')::integer) AND kind <> 2
        AND COALESCE(bot_score, 0) < (SELECT current_setting('segments.bots_from')::integer)
        AND occurred_at >= (SELECT to_timestamp(current_setting('segments.from')::bigint)))"
);
stream!(
    VisitStream,
    "(SELECT profile_id, started_at, ended_at, channel, source, medium, campaign, referrer FROM sessions
      WHERE site_id = (SELECT current_setting('segments.site')::integer))"
);
stream!(
    OrderStream,
    "(SELECT profile_id, ordered_at,
             CASE WHEN currency = (SELECT current_setting('segments.currency')) THEN COALESCE(total_minor - COALESCE(refunded_minor, 0), 0) ELSE 0 END,
             channel, source, campaign
      FROM orders WHERE site_id = (SELECT current_setting('segments.site')::integer) AND counted)"
);

/// Reads everything of a site inside of the caller's transaction.
///
/// # Errors
/// [`ReadError`]
pub(crate) fn read_all(
    connection: &mut PgConnection,
    site: &Site,
    selection: &Selection,
    sink: &mut impl Sink,
) -> Result<(), ReadError> {
    let array = |names: &[String]| {
        let quoted = names.iter().map(|name| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")));
        format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
    };
    for (name, value) in [
        ("segments.site", site.site_id.to_string()),
        ("segments.currency", site.currency.code().to_owned()),
        ("segments.traits", array(&selection.traits)),
        ("segments.properties", array(&selection.properties)),
        ("segments.from", selection.from.unwrap_or(0).to_string()),
        ("segments.texts", selection.asks_texts().to_string()),
        ("segments.bots_from", site.bots_from().to_string()),
    ] {
        sql("SELECT set_config($1, $2, true)").bind::<Text, _>(name).bind::<Text, _>(value).execute(connection)?;
    }
    copy(connection, TextStream, |fields| {
        let (term, text) = (TermId(fields.int()?.unwrap_or(0)), fields.text()?);
        sink.text(term, &text.unwrap_or_default());
        Ok(true)
    })?;
    copy(connection, PeopleStream, |fields| {
        sink.person(PersonRead {
            profile_id: fields.long()?.unwrap_or(0),
            signed_up: fields.bytes()?.is_some_and(|byte| byte == [1]),
            first_seen_us: fields.time()?,
            last_seen_us: fields.time()?,
            traits: fields.map()?,
        });
        Ok(sink.goes_on())
    })?;
    copy(connection, IdentityStream, |fields| {
        let (identity_id, profile_id) = (fields.long()?.unwrap_or(0), fields.long()?.unwrap_or(0));
        let kind = IdentityKind::from_code(fields.short()?.unwrap_or(0));
        sink.identity(identity_id, profile_id, kind == Some(IdentityKind::Measured));
        Ok(sink.goes_on())
    })?;
    let mut event = |fields: &mut Fields<'_>| {
        let (who, at_us, kind) = (fields.long()?.unwrap_or(0), fields.time()?, fields.short()?.unwrap_or(0));
        let (name_id, page_id) = (fields.int()?, fields.int()?);
        let properties = fields.map()?;
        if let Some(did) = Did::read(kind, name_id, page_id) {
            sink.event(EventRead { who, at_us, did, properties });
        }
        Ok(sink.goes_on())
    };
    match selection.from {
        None => copy(connection, EventStream, &mut event)?,
        Some(_) => copy(connection, LateEventStream, &mut event)?,
    }
    copy(connection, VisitStream, |fields| {
        let (profile_id, at_us, end_us) = (fields.long()?.unwrap_or(0), fields.time()?, fields.time()?);
        let mut touch: [String; 5] = Default::default();
        for text in &mut touch {
            *text = fields.text()?.unwrap_or_default();
        }
        sink.visit(VisitRead { profile_id, at_us, end_us, touch });
        Ok(sink.goes_on())
    })?;
    copy(connection, OrderStream, |fields| {
        let (profile_id, at_us, minor) = (fields.long()?.unwrap_or(0), fields.time()?, fields.long()?.unwrap_or(0));
        let mut touch: [String; 3] = Default::default();
        for text in &mut touch {
            *text = fields.text()?.unwrap_or_default();
        }
        sink.order(OrderRead { profile_id, at_us, minor, touch });
        Ok(sink.goes_on())
    })
}

#[derive(QueryableByName)]
struct PersonRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Bool)]
    signed_up: bool,
    #[diesel(sql_type = Timestamptz)]
    first_seen: PgTimestamp,
    #[diesel(sql_type = Timestamptz)]
    last_seen: PgTimestamp,
    #[diesel(sql_type = Nullable<Jsonb>)]
    traits: Option<Value>,
}

#[derive(QueryableByName)]
struct EventRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Timestamptz)]
    occurred_at: PgTimestamp,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Nullable<Integer>)]
    name_id: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    page_id: Option<i32>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    properties: Option<Value>,
}

#[derive(QueryableByName)]
struct VisitRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Timestamptz)]
    started_at: PgTimestamp,
    #[diesel(sql_type = Timestamptz)]
    ended_at: PgTimestamp,
    #[diesel(sql_type = Array<Text>)]
    touch: Vec<String>,
}

#[derive(QueryableByName)]
struct OrderRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Timestamptz)]
    ordered_at: PgTimestamp,
    #[diesel(sql_type = BigInt)]
    minor: i64,
    #[diesel(sql_type = Array<Text>)]
    touch: Vec<String>,
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Integer)]
    term_id: i32,
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct ProfileRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
}

/// What some people have, each list in the people's and then in time order; events in `(occurred_at, event_id)` order.
#[derive(Default)]
pub(crate) struct SomePeople {
    /// Those who are profiles.
    pub(crate) people: Vec<PersonRead>,
    /// Those who are measured visitors.
    pub(crate) measured: BTreeSet<i64>,
    pub(crate) events: Vec<EventRead>,
    pub(crate) visits: Vec<VisitRead>,
    pub(crate) orders: Vec<OrderRead>,
}

fn us(at: PgTimestamp) -> i64 {
    at.0.saturating_add(super::events::POSTGRES_EPOCH_US)
}

fn map(value: Option<Value>) -> Option<Map<String, Value>> {
    match value {
        Some(Value::Object(map)) => Some(map),
        _ => None,
    }
}

/// Reads some people of a site.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn read_some(
    connection: &mut PgConnection,
    site: &Site,
    selection: &Selection,
    profile_ids: &[i64],
) -> Result<SomePeople, StoreError> {
    let people: Vec<PersonRow> = sql("SELECT profile_id, signed_up, first_seen, last_seen,
                CASE WHEN said ?| $1 THEN said END AS traits
         FROM (
            SELECT profile_id, signed_up, first_seen, last_seen, CASE WHEN $2 THEN
                     traits || jsonb_strip_nulls(jsonb_build_object('fact:country', country, 'fact:language', language,
                     'fact:time_zone', time_zone, 'fact:currency', currency, 'fact:device', device,
                     'fact:browser', browser, 'fact:system', system, 'fact:email_class', email_class))
                 ELSE traits END AS said
            FROM profiles WHERE site_id = $3 AND profile_id = ANY($4)
         ) AS people")
    .bind::<Array<Text>, _>(selection.traits.clone())
    .bind::<Bool, _>(selection.asks_texts())
    .bind::<Integer, _>(site.site_id)
    .bind::<Array<BigInt>, _>(profile_ids.to_vec())
    .load(connection)?;
    let measured: Vec<ProfileRow> = sql("SELECT DISTINCT profile_id FROM identities
         WHERE site_id = $1 AND profile_id = ANY($2) AND kind = $3")
    .bind::<Integer, _>(site.site_id)
    .bind::<Array<BigInt>, _>(profile_ids.to_vec())
    .bind::<SmallInt, _>(IdentityKind::Measured.code())
    .load(connection)?;
    // 2 is a snapshot, 3 a named event.
    let events: Vec<EventRow> = sql("SELECT i.profile_id, e.occurred_at, e.kind, e.name_id, e.page_id,
                CASE WHEN e.kind = 3 AND e.properties ?| $1 THEN e.properties END AS properties
         FROM identities i JOIN events e ON e.site_id = i.site_id AND e.identity_id = i.identity_id
         WHERE i.site_id = $2 AND i.profile_id = ANY($3) AND e.kind <> 2 AND e.occurred_at >= $4
            AND COALESCE(e.bot_score, 0) < $5
         ORDER BY i.profile_id, e.occurred_at, e.event_id")
    .bind::<Array<Text>, _>(selection.properties.clone())
    .bind::<Integer, _>(site.site_id)
    .bind::<Array<BigInt>, _>(profile_ids.to_vec())
    .bind::<Timestamptz, _>(super::timestamp(selection.begins_us()))
    .bind::<SmallInt, _>(site.bots_from())
    .load(connection)?;
    let visits: Vec<VisitRow> = sql("SELECT profile_id, started_at, ended_at,
                ARRAY[channel, source, medium, campaign, referrer] AS touch
         FROM sessions WHERE site_id = $1 AND profile_id = ANY($2) ORDER BY profile_id, started_at")
    .bind::<Integer, _>(site.site_id)
    .bind::<Array<BigInt>, _>(profile_ids.to_vec())
    .load(connection)?;
    let orders: Vec<OrderRow> = sql("SELECT profile_id, ordered_at,
                CASE WHEN currency = $1 THEN COALESCE(total_minor - COALESCE(refunded_minor, 0), 0) ELSE 0 END AS minor,
                ARRAY[channel, source, campaign] AS touch
         FROM orders WHERE site_id = $2 AND profile_id = ANY($3) AND counted ORDER BY profile_id, ordered_at")
    .bind::<Text, _>(site.currency.code().to_owned())
    .bind::<Integer, _>(site.site_id)
    .bind::<Array<BigInt>, _>(profile_ids.to_vec())
    .load(connection)?;
    Ok(SomePeople {
        people: people
            .into_iter()
            .map(|row| PersonRead {
                profile_id: row.profile_id,
                signed_up: row.signed_up,
                first_seen_us: us(row.first_seen),
                last_seen_us: us(row.last_seen),
                traits: map(row.traits),
            })
            .collect(),
        measured: measured.into_iter().map(|row| row.profile_id).collect(),
        events: events
            .into_iter()
            .filter_map(|row| {
                let did = Did::read(row.kind, row.name_id, row.page_id)?;
                let (at_us, properties) = (us(row.occurred_at), map(row.properties));
                Some(EventRead { who: row.profile_id, at_us, did, properties })
            })
            .collect(),
        visits: visits
            .into_iter()
            .map(|row| VisitRead {
                profile_id: row.profile_id,
                at_us: us(row.started_at),
                end_us: us(row.ended_at),
                touch: texts(row.touch),
            })
            .collect(),
        orders: orders
            .into_iter()
            .map(|row| OrderRead {
                profile_id: row.profile_id,
                at_us: us(row.ordered_at),
                minor: row.minor,
                touch: texts(row.touch),
            })
            .collect(),
    })
}

fn texts<const N: usize>(texts: Vec<String>) -> [String; N] {
    let mut texts = texts.into_iter();
    std::array::from_fn(|_| texts.next().unwrap_or_default())
}

/// The texts of these terms.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn read_texts(
    connection: &mut PgConnection,
    site_id: i32,
    terms: impl Iterator<Item = TermId>,
) -> Result<Vec<(TermId, String)>, StoreError> {
    let rows: Vec<TextRow> = sql("SELECT term_id, value FROM terms WHERE site_id = $1 AND term_id = ANY($2)")
        .bind::<Integer, _>(site_id)
        .bind::<Array<Integer>, _>(terms.map(|term| term.0).collect::<Vec<_>>())
        .load(connection)?;
    Ok(rows.into_iter().map(|row| (TermId(row.term_id), row.value)).collect())
}

#[derive(QueryableByName)]
struct MonthRow {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = BigInt)]
    month: i64,
    #[diesel(sql_type = BigInt)]
    events: i64,
}

#[derive(QueryableByName)]
struct SizeRow {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = BigInt)]
    people: i64,
    #[diesel(sql_type = BigInt)]
    visits: i64,
    #[diesel(sql_type = BigInt)]
    orders: i64,
}

/// How much a site has to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) people: u64,
    pub(crate) visits: u64,
    pub(crate) orders: u64,
    /// Events by the second in which their month (UTC) begins.
    pub(crate) months: BTreeMap<u32, u64>,
}

impl Size {
    pub(crate) fn events_since(&self, from: Option<u32>) -> u64 {
        self.months.range(from.unwrap_or(0)..).map(|(_, events)| events).sum()
    }
}

/// How much every site has to read.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn sizes(connection: &mut PgConnection) -> Result<BTreeMap<i32, Size>, StoreError> {
    let rows: Vec<SizeRow> = sql("SELECT s.site_id,
                (SELECT count(*) FROM profiles p WHERE p.site_id = s.site_id)
                    + (SELECT count(*) FROM identities i WHERE i.site_id = s.site_id AND i.kind = $1) AS people,
                (SELECT count(*) FROM sessions v WHERE v.site_id = s.site_id) AS visits,
                (SELECT count(*) FROM orders o WHERE o.site_id = s.site_id AND o.counted) AS orders
         FROM sites s")
    .bind::<SmallInt, _>(IdentityKind::Measured.code())
    .load(connection)?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let mut sizes: BTreeMap<i32, Size> = BTreeMap::new();
    for row in rows {
        let (people, visits, orders) = (count(row.people), count(row.visits), count(row.orders));
        sizes.insert(row.site_id, Size { people, visits, orders, months: BTreeMap::new() });
    }
    // One row per site and month of UTC, with its first second; 2 is a snapshot.
    let rows: Vec<MonthRow> = sql("SELECT site_id,
                extract(epoch FROM date_trunc('month', occurred_at))::bigint AS month, count(*) AS events
         FROM events WHERE kind <> 2 GROUP BY 1, 2")
    .load(connection)?;
    for row in rows {
        let month = u32::try_from(row.month).unwrap_or(if row.month < 0 { 0 } else { u32::MAX });
        let size = sizes.entry(row.site_id).or_default();
        *size.months.entry(month).or_default() += count(row.events);
    }
    Ok(sizes)
}
