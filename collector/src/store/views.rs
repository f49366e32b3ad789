//! Page views of a span, one by one.

use super::sql::sql;
use super::{Store, StoreError, timestamp};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use domain::identity::Kind as IdentityKind;
use jiff::Timestamp;
use uuid::Uuid;

/// A page view of a visitor.
#[derive(QueryableByName, Clone, Debug)]
pub(crate) struct PageView {
    #[diesel(sql_type = SqlUuid)]
    pub(crate) event_id: Uuid,
    /// In microseconds since 1970-01-01 UTC.
    #[diesel(sql_type = BigInt)]
    pub(crate) occurred_at_us: i64,
    /// The visitor's own id.
    #[diesel(sql_type = Text)]
    pub(crate) visitor: String,
    /// Host and path.
    #[diesel(sql_type = Text)]
    pub(crate) page: String,
    /// As [`domain::surroundings::Software`] writes it.
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) software: Option<String>,
}

impl Store {
    /// The page views of a site's visitors since a moment, in the order of their ids.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn page_views(&self, site_id: i32, since: Timestamp) -> Result<Vec<PageView>, StoreError> {
        // 1 is the kind of page views.
        Ok(sql("SELECT e.event_id, (extract(epoch FROM e.occurred_at) * 1000000)::bigint AS occurred_at_us,
                i.value AS visitor, p.value AS page, s.value AS software
             FROM events e
             JOIN identities i ON i.site_id = e.site_id AND i.identity_id = e.identity_id
             JOIN terms p ON p.site_id = e.site_id AND p.term_id = e.page_id
             LEFT JOIN terms s ON s.site_id = e.site_id AND s.term_id = e.software_id
             WHERE e.site_id = $1 AND e.kind = 1 AND e.occurred_at >= $2 AND i.kind = $3
             ORDER BY e.event_id")
        .bind::<Integer, _>(site_id)
        .bind::<Timestamptz, _>(timestamp(since.as_microsecond()))
        .bind::<SmallInt, _>(IdentityKind::Visitor.code())
        .load(&mut *self.lend()?)?)
    }
}
