//! People found and listed.

use super::{TermRow, channel_name, count, moment};
use crate::store::events::Term;
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz};
use domain::event::ProfileId;
use domain::identity::{Kind, normalise};
use domain::money::Money;
use domain::report::{Did, Paging, People, PeopleFilter, Period, PersonRow};
use jiff::Timestamp;
use std::collections::HashMap;
use std::ops::Range;

/// People that one search may find. Who finds more writes more of the name.
const FOUND: i64 = 10_000;
/// Characters of a search that are looked at.
const SEARCH_CHARS: usize = 256;

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
}

#[derive(QueryableByName)]
struct ListedRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

#[derive(QueryableByName)]
struct DetailRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Integer)]
    sessions: i32,
    #[diesel(sql_type = Integer)]
    orders: i32,
    #[diesel(sql_type = BigInt)]
    revenue_minor: i64,
    #[diesel(sql_type = Timestamptz)]
    first_seen: PgTimestamp,
    #[diesel(sql_type = Timestamptz)]
    last_seen: PgTimestamp,
    #[diesel(sql_type = Nullable<Text>)]
    first_channel: Option<String>,
}

/// Which part of a list is wanted: a page's number and length, or all of it.
type Part = Option<(u32, u32)>;

impl Store {
    /// One page of the people of a filter.
    pub(crate) fn people(
        &self,
        site: &Site,
        filter: PeopleFilter,
        (page, per_page): (u32, u32),
        now: Timestamp,
    ) -> Result<People, StoreError> {
        self.read(|connection| {
            let mut listed = listed(connection, site, &filter, Some((page, per_page)), now)?;
            let mut total = listed.first().map_or(0, |row| row.total);
            if listed.is_empty() && page > 1 {
                // Beyond the end: how long the list is only one of its rows can tell.
                listed = self::listed(connection, site, &filter, Some((1, 1)), now)?;
                total = listed.first().map_or(0, |row| row.total);
                listed.clear();
            }
            let profile_ids: Vec<i64> = listed.iter().map(|row| row.profile_id).collect();
            Ok(People {
                site: crate::segments::report_site(site),
                filter,
                rows: rows(connection, site, &profile_ids)?,
                paging: Paging { page, per_page, total: count(total) },
            })
        })
    }

    /// The numbers of all people of a filter, last seen first: for files, which are then read part by part with
    /// [`Store::people_rows`].
    pub(crate) fn people_ids(
        &self,
        site: &Site,
        filter: &PeopleFilter,
        now: Timestamp,
    ) -> Result<Vec<i64>, StoreError> {
        self.read(|connection| {
            let listed = listed(connection, site, filter, None, now)?;
            Ok(listed.into_iter().map(|row| row.profile_id).collect())
        })
    }

    /// These people in this order; who is gone is left out.
    pub(crate) fn people_rows(&self, site: &Site, profile_ids: &[i64]) -> Result<Vec<PersonRow>, StoreError> {
        self.read(|connection| rows(connection, site, profile_ids))
    }
}

fn listed(
    connection: &mut PgConnection,
    site: &Site,
    filter: &PeopleFilter,
    part: Part,
    now: Timestamp,
) -> Result<Vec<ListedRow>, StoreError> {
    let found = filter.search.as_deref().map(|text| search(connection, site, text)).transpose()?;
    let limit = part.map(|(_, per_page)| i64::from(per_page));
    let offset = part.map_or(0, |(page, per_page)| i64::from(page.max(1) - 1) * i64::from(per_page));
    let Some((did, period)) = &filter.did else {
        return Ok(sql(include_str!("people_everybody.sql"))
            .bind::<Integer, _>(site.site_id)
            .bind::<Nullable<Array<BigInt>>, _>(found)
            .bind::<Nullable<BigInt>, _>(limit)
            .bind::<BigInt, _>(offset)
            .load(connection)?);
    };
    let time = days(period, site, now)?;
    let (start, end) = (moment(time.start), moment(time.end));
    let rows = match did {
        Did::Visited => {
            let viewed = match &filter.viewed {
                None => None,
                Some(page) => match page_id(connection, site, page)? {
                    Some(id) => Some(id),
                    None => return Ok(Vec::new()),
                },
            };
            sql(include_str!("people_visited.sql"))
                .bind::<Integer, _>(site.site_id)
                .bind::<Timestamptz, _>(start)
                .bind::<Timestamptz, _>(end)
                .bind::<Nullable<Text>, _>(filter.channel.clone())
                .bind::<Nullable<Integer>, _>(viewed)
                .bind::<Integer, _>(site.site_id)
                .bind::<Nullable<Array<BigInt>>, _>(found)
                .bind::<Nullable<BigInt>, _>(limit)
                .bind::<BigInt, _>(offset)
                .load(connection)?
        }
        Did::Arrived => sql(include_str!("people_arrived.sql"))
            .bind::<Integer, _>(site.site_id)
            .bind::<Nullable<Array<BigInt>>, _>(found)
            .bind::<Timestamptz, _>(start)
            .bind::<Timestamptz, _>(start)
            .bind::<Timestamptz, _>(end)
            .bind::<Nullable<Text>, _>(filter.channel.clone())
            .bind::<Nullable<BigInt>, _>(limit)
            .bind::<BigInt, _>(offset)
            .load(connection)?,
        Did::Ordered => sql(include_str!("people_ordered.sql"))
            .bind::<Integer, _>(site.site_id)
            .bind::<Timestamptz, _>(start)
            .bind::<Timestamptz, _>(end)
            .bind::<Nullable<Text>, _>(filter.channel.clone())
            .bind::<Integer, _>(site.site_id)
            .bind::<Nullable<Array<BigInt>>, _>(found)
            .bind::<Nullable<BigInt>, _>(limit)
            .bind::<BigInt, _>(offset)
            .load(connection)?,
    };
    Ok(rows)
}

fn days(period: &Period, site: &Site, now: Timestamp) -> Result<Range<Timestamp>, StoreError> {
    let windows = period.windows(now, &site.time_zone).map_err(|error| StoreError::Refused(error.to_string()))?;
    Ok(windows.current)
}

fn page_id(connection: &mut PgConnection, site: &Site, page: &str) -> Result<Option<i32>, StoreError> {
    let row: Option<TermRow> = sql("SELECT term_id FROM terms WHERE site_id = $1 AND kind = $2 AND value = $3")
        .bind::<Integer, _>(site.site_id)
        .bind::<SmallInt, _>(Term::Page as i16)
        .bind::<Text, _>(storable(page))
        .get_result(connection)
        .optional()?;
    Ok(row.map(|row| row.term_id))
}

/// What PostgreSQL takes as text.
fn storable(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').collect()
}

/// The people whom a text names: by a whole identifier, or by the beginning of a name or an address.
fn search(connection: &mut PgConnection, site: &Site, text: &str) -> Result<Vec<i64>, StoreError> {
    let text: String = text.trim().chars().filter(|c| !c.is_control()).take(SEARCH_CHARS).collect();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let kinds = [Kind::Visitor, Kind::UserId, Kind::Email, Kind::Phone, Kind::External, Kind::Order];
    let whole: Vec<(i16, String)> =
        kinds.into_iter().filter_map(|kind| Some((kind.code(), normalise(kind, &text).ok()?))).collect();
    let beginning = text.to_lowercase();
    let rows: Vec<IdRow> = sql(include_str!("people_search.sql"))
        .bind::<Array<SmallInt>, _>(whole.iter().map(|key| key.0).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(whole.into_iter().map(|key| key.1).collect::<Vec<_>>())
        .bind::<Integer, _>(site.site_id)
        .bind::<Integer, _>(site.site_id)
        .bind::<SmallInt, _>(Kind::Email.code())
        .bind::<Text, _>(beginning.clone())
        .bind::<Integer, _>(site.site_id)
        .bind::<Text, _>(format!(" {beginning}"))
        .bind::<Text, _>(beginning)
        .bind::<BigInt, _>(FOUND)
        .load(connection)?;
    Ok(rows.into_iter().map(|row| row.profile_id).collect())
}

/// What to call people, as far as they have a name.
pub(super) fn names(
    connection: &mut PgConnection,
    site: &Site,
    profile_ids: &[i64],
) -> Result<HashMap<i64, Option<String>>, StoreError> {
    Ok(rows(connection, site, profile_ids)?.into_iter().map(|row| (row.profile_id.0, row.name)).collect())
}

fn rows(connection: &mut PgConnection, site: &Site, profile_ids: &[i64]) -> Result<Vec<PersonRow>, StoreError> {
    // One row per profile: what a list says of it.
    let rows: Vec<DetailRow> =
        sql("SELECT p.profile_id, p.sessions, p.orders, p.revenue_minor, p.first_seen, p.last_seen, p.first_channel,
                COALESCE(NULLIF(p.traits->>'name', ''), NULLIF(p.traits->>'email', ''), i.value) AS name
         FROM profiles p
         LEFT JOIN LATERAL (
            -- 3 and 2 are the kinds e-mail and user id of domain::identity.
            SELECT value FROM identities WHERE site_id = p.site_id AND profile_id = p.profile_id AND kind IN (2, 3)
            ORDER BY kind DESC, identity_id LIMIT 1
         ) AS i ON true
         WHERE p.site_id = $1 AND p.profile_id = ANY($2)")
        .bind::<Integer, _>(site.site_id)
        .bind::<Array<BigInt>, _>(profile_ids.to_vec())
        .load(connection)?;
    let mut rows: HashMap<i64, DetailRow> = rows.into_iter().map(|row| (row.profile_id, row)).collect();
    let person = |row: DetailRow| PersonRow {
        profile_id: ProfileId(row.profile_id),
        name: row.name,
        sessions: count(row.sessions.into()),
        orders: count(row.orders.into()),
        revenue: Money { minor: row.revenue_minor, currency: site.currency },
        first_seen: from_timestamp(row.first_seen),
        last_seen: from_timestamp(row.last_seen),
        first_channel: row.first_channel.as_deref().map(channel_name),
    };
    Ok(profile_ids.iter().filter_map(|id| rows.remove(id)).map(person).collect())
}
