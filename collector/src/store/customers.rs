//! Customers as `domain::segment` reads them, and the book of who is in which segment.

use super::sites::Site;
use super::sql::sql;
use super::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz};
use domain::event::ProfileId;
use domain::money::Money;
use domain::report::Member;
use domain::segment::lifecycle::Curve;
use domain::segment::{Customer, Purchase, SegmentBook, SegmentKey, Survey};
use jiff::ToSpan;
use jiff::civil::Date;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

#[derive(QueryableByName)]
struct CustomerRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Timestamptz)]
    first_seen: PgTimestamp,
    #[diesel(sql_type = Bool)]
    signed_up: bool,
    #[diesel(sql_type = Array<Timestamptz>)]
    ordered_at: Vec<PgTimestamp>,
    #[diesel(sql_type = Array<BigInt>)]
    net_minor: Vec<i64>,
}

#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Timestamptz)]
    last_seen: PgTimestamp,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = BigInt)]
    orders: i64,
    #[diesel(sql_type = BigInt)]
    revenue_minor: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    first_order_at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_order_at: Option<PgTimestamp>,
}

/// The midnight that ends a day of the site.
pub(crate) fn end_of(site: &Site, day: Date) -> jiff::Timestamp {
    day.checked_add(1.day())
        .and_then(|next| next.to_zoned_datetime(site.time_zone.clone()))
        .map_or(jiff::Timestamp::MAX, |midnight| midnight.timestamp())
}

/// How long a book is shown again before it is made anew.
const FRESH: Duration = Duration::from_secs(3);

/// The books of the last moments, by site and day.
#[derive(Default)]
pub(crate) struct Books(Mutex<HashMap<(i32, Date), MadeBook>>);

/// A book with the curves behind its limits, and when they were made.
#[derive(Clone)]
struct MadeBook {
    made: Instant,
    book: Arc<SegmentBook>,
    curves: Arc<[Curve; 4]>,
}

impl Books {
    fn locked(&self) -> MutexGuard<'_, HashMap<(i32, Date), MadeBook>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Store {
    /// Who is in which segment at the end of a day of the site; at most [`FRESH`] old.
    pub(crate) fn segment_book(&self, site: &Site, as_of: Date) -> Result<Arc<SegmentBook>, StoreError> {
        Ok(self.made_book(site, as_of)?.book)
    }

    /// How people had come to their next order by the end of a day; as old as the book.
    pub(crate) fn lifecycle_curves(&self, site: &Site, as_of: Date) -> Result<Arc<[Curve; 4]>, StoreError> {
        Ok(self.made_book(site, as_of)?.curves)
    }

    /// What was made of a site is no more as it was: it is made anew.
    pub(crate) fn forget_books(&self, site: &Site) {
        self.books.locked().retain(|(site_id, _), _| *site_id != site.site_id);
    }

    fn made_book(&self, site: &Site, as_of: Date) -> Result<MadeBook, StoreError> {
        let key = (site.site_id, as_of);
        {
            let mut books = self.books.locked();
            books.retain(|_, book| book.made.elapsed() < FRESH);
            if let Some(book) = books.get(&key) {
                return Ok(book.clone());
            }
        }
        let settings = super::models::read_settings(&mut *self.lend()?, site, as_of)?;
        let survey = Survey::of(&self.customers(site)?, end_of(site, as_of), &site.time_zone);
        let curves = Arc::new(survey.curves());
        let book = MadeBook { made: Instant::now(), book: Arc::new(survey.book(&settings)), curves };
        self.books.locked().insert(key, book.clone());
        Ok(book)
    }

    /// The people of a segment of the book, with their orders by the end of its day.
    pub(crate) fn members(
        &self,
        site: &Site,
        book: &SegmentBook,
        profile_ids: &[ProfileId],
        key: SegmentKey,
    ) -> Result<Vec<Member>, StoreError> {
        let mut rows = self.member_rows(site, profile_ids, end_of(site, book.day()))?;
        for row in &mut rows {
            let mut memberships = book.segments_of(row.profile_id).into_iter();
            row.because = memberships.find(|one| one.key == key).map(|one| one.because).unwrap_or_default();
        }
        Ok(rows)
    }

    /// These people with their orders before a moment, those who spent most first; the reasons are left empty.
    pub(crate) fn member_rows(
        &self,
        site: &Site,
        profile_ids: &[ProfileId],
        before: jiff::Timestamp,
    ) -> Result<Vec<Member>, StoreError> {
        // One row per profile: its name as people know it, and its counted orders before $1.
        let rows: Vec<MemberRow> = sql("SELECT p.profile_id, p.last_seen,
                    COALESCE(NULLIF(p.traits->>'name', ''), NULLIF(p.traits->>'email', ''), i.value) AS name,
                    o.orders, o.revenue_minor, o.first_order_at, o.last_order_at
             FROM profiles p
             CROSS JOIN LATERAL (
                SELECT count(*) AS orders,
                       LEAST(COALESCE(sum(total_minor - COALESCE(refunded_minor, 0)) FILTER (WHERE currency = $1), 0), 9e18)::bigint AS revenue_minor,
                       min(ordered_at) AS first_order_at, max(ordered_at) AS last_order_at
                FROM orders WHERE site_id = p.site_id AND profile_id = p.profile_id AND counted AND ordered_at < $2
             ) AS o
             LEFT JOIN LATERAL (
                -- 3 and 2 are the kinds e-mail and user id of domain::identity.
                SELECT value FROM identities WHERE site_id = p.site_id AND profile_id = p.profile_id AND kind IN (2, 3)
                ORDER BY kind DESC, identity_id LIMIT 1
             ) AS i ON true
             WHERE p.site_id = $3 AND p.profile_id = ANY($4)
             ORDER BY o.revenue_minor DESC, p.profile_id")
        .bind::<Text, _>(site.currency.code().to_owned())
        .bind::<Timestamptz, _>(super::timestamp(before.as_microsecond()))
        .bind::<Integer, _>(site.site_id)
        .bind::<Array<BigInt>, _>(profile_ids.iter().map(|id| id.0).collect::<Vec<_>>())
        .load(&mut *self.lend()?)?;
        let day =
            |at: Option<PgTimestamp>| at.map(|at| from_timestamp(at).to_zoned_datetime(site.time_zone.clone()).date());
        Ok(rows
            .into_iter()
            .map(|row| Member {
                profile_id: ProfileId(row.profile_id),
                name: row.name,
                orders: u64::try_from(row.orders).unwrap_or(0),
                revenue: Money { minor: row.revenue_minor, currency: site.currency },
                first_order: day(row.first_order_at),
                last_order: day(row.last_order_at),
                last_seen: Some(from_timestamp(row.last_seen)),
                because: String::new(),
            })
            .collect())
    }

    /// Everybody who has signed up or bought, with their orders.
    pub(super) fn customers(&self, site: &Site) -> Result<Vec<Customer>, StoreError> {
        // One row per profile that has signed up or bought, with its counted orders, oldest first; an amount in
        // another currency than the site's counts as an order of 0.
        let rows: Vec<CustomerRow> = sql("SELECT p.profile_id, p.first_seen, p.signed_up,
                    COALESCE(array_agg(o.ordered_at ORDER BY o.ordered_at, o.order_id)
                        FILTER (WHERE o.order_id IS NOT NULL), '{}') AS ordered_at,
                    COALESCE(array_agg(CASE WHEN o.currency = $1 THEN COALESCE(o.total_minor - COALESCE(o.refunded_minor, 0), 0) ELSE 0 END
                        ORDER BY o.ordered_at, o.order_id) FILTER (WHERE o.order_id IS NOT NULL), '{}') AS net_minor
             FROM profiles p
             LEFT JOIN orders o ON o.site_id = p.site_id AND o.profile_id = p.profile_id AND o.counted
             WHERE p.site_id = $2 AND (p.signed_up OR p.orders > 0)
             GROUP BY p.profile_id, p.first_seen, p.signed_up")
        .bind::<Text, _>(site.currency.code().to_owned())
        .bind::<Integer, _>(site.site_id)
        .load(&mut *self.lend()?)?;
        let customer = |row: CustomerRow| Customer {
            profile_id: ProfileId(row.profile_id),
            first_seen: from_timestamp(row.first_seen),
            signed_up: row.signed_up,
            purchases: row
                .ordered_at
                .into_iter()
                .zip(row.net_minor)
                .map(|(at, minor)| Purchase { at: from_timestamp(at), minor })
                .collect(),
        };
        Ok(rows.into_iter().map(customer).collect())
    }
}
