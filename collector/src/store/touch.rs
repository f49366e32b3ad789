//! Addresses that a newsletter's links lead through, and the recipients they are made for.

use super::sql::sql;
use super::{Store, StoreError};
use diesel::Connection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Integer, SmallInt, Text};
use domain::identity::Kind;
use std::collections::HashMap;

/// A stored link of a mailing.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub(crate) struct TouchLink {
    /// The mailing's name.
    #[diesel(sql_type = Text)]
    pub(crate) campaign: String,
    /// What sends it, `newsletter`.
    #[diesel(sql_type = Text)]
    pub(crate) source: String,
    /// Where it leads; empty for the pixel.
    #[diesel(sql_type = Text)]
    pub(crate) url: String,
}

#[derive(QueryableByName)]
struct LinkRow {
    #[diesel(sql_type = BigInt)]
    link_id: i64,
    #[diesel(sql_type = Text)]
    url: String,
}

#[derive(QueryableByName)]
struct RecipientRow {
    #[diesel(sql_type = BigInt)]
    identity_id: i64,
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = Binary)]
    touch_key: Vec<u8>,
}

impl Store {
    /// What a site's tokens are signed with; `None` where there is no such site.
    pub(crate) fn touch_key(&self, site_id: i32) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<KeyRow> = sql("SELECT touch_key FROM sites WHERE site_id = $1")
            .bind::<Integer, _>(site_id)
            .get_result(&mut *self.lend()?)
            .optional()?;
        Ok(row.map(|row| row.touch_key))
    }

    /// The stored link of that number.
    pub(crate) fn touch_link(&self, site_id: i32, link_id: i64) -> Result<Option<TouchLink>, StoreError> {
        Ok(sql("SELECT campaign, source, url FROM touch_links WHERE site_id = $1 AND link_id = $2")
            .bind::<Integer, _>(site_id)
            .bind::<BigInt, _>(link_id)
            .get_result(&mut *self.lend()?)
            .optional()?)
    }

    /// The address of a recipient who is still known.
    pub(crate) fn touch_recipient(&self, site_id: i32, identity_id: i64) -> Result<Option<String>, StoreError> {
        let row: Option<RecipientRow> =
            sql("SELECT identity_id, value FROM identities WHERE site_id = $1 AND identity_id = $2 AND kind = $3")
                .bind::<Integer, _>(site_id)
                .bind::<BigInt, _>(identity_id)
                .bind::<SmallInt, _>(Kind::Email.code())
                .get_result(&mut *self.lend()?)
                .optional()?;
        Ok(row.map(|row| row.value))
    }

    /// The numbers of a mailing's links by address, kept where they are new; the empty address is the pixel.
    pub(crate) fn touch_links(
        &self,
        site_id: i32,
        (campaign, source): (&str, &str),
        urls: &[String],
    ) -> Result<HashMap<String, i64>, StoreError> {
        let rows: Vec<LinkRow> = sql("INSERT INTO touch_links (site_id, campaign, source, url)
             SELECT $1, $2, $3, u FROM unnest($4) AS u
             ON CONFLICT (site_id, campaign, source, url) DO UPDATE SET url = EXCLUDED.url RETURNING link_id, url")
        .bind::<Integer, _>(site_id)
        .bind::<Text, _>(campaign.to_owned())
        .bind::<Text, _>(source.to_owned())
        .bind::<Array<Text>, _>(urls.to_vec())
        .load(&mut *self.lend()?)?;
        Ok(rows.into_iter().map(|row| (row.url, row.link_id)).collect())
    }

    /// The numbers of recipients by address, normalised; one who is not known yet becomes so, one who is forgotten is left
    /// out.
    pub(crate) fn touch_recipients(&self, site_id: i32, emails: &[String]) -> Result<HashMap<String, i64>, StoreError> {
        let rows: Vec<RecipientRow> = self.lend()?.transaction::<_, StoreError, _>(|connection| {
            super::erasure::hold_off(connection)?;
            let erased = super::erasure::erased_among(connection, site_id, Kind::Email, emails)?;
            let emails: Vec<String> = emails.iter().filter(|email| !erased.contains(*email)).cloned().collect();
            // In the order in which intake founds identities, so that neither waits for the other in a circle.
            sql("INSERT INTO identities (site_id, kind, value, trusted, first_seen, identity_id, profile_id)
                 OVERRIDING SYSTEM VALUE
                 SELECT $1, $2, value, true, now(), id, id
                 FROM (SELECT e AS value, nextval('identities_identity_id_seq') AS id
                       FROM (SELECT e FROM unnest($3) AS e ORDER BY e COLLATE \"C\") AS sorted) AS new
                 ON CONFLICT (site_id, kind, value) DO NOTHING")
            .bind::<Integer, _>(site_id)
            .bind::<SmallInt, _>(Kind::Email.code())
            .bind::<Array<Text>, _>(emails.clone())
            .execute(connection)?;
            Ok(sql("SELECT identity_id, value FROM identities WHERE site_id = $1 AND kind = $2 AND value = ANY($3)")
                .bind::<Integer, _>(site_id)
                .bind::<SmallInt, _>(Kind::Email.code())
                .bind::<Array<Text>, _>(emails)
                .load(connection)?)
        })?;
        Ok(rows.into_iter().map(|row| (row.value, row.identity_id)).collect())
    }
}
