//! Sources that owners connect: where a vendor's webhooks come in, and systems that are asked.

use super::ingest::{DUPLICATE, STORED};
use super::sql::sql;
use super::{Store, StoreError, connectors, from_timestamp};
use crate::intake::webhook::{Settings, Vendor};
use crate::pull::ConnectorKind;
use crate::secrets::{self, Secret};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz};
use domain::report::ConnectorReport;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// What kind of source it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// A vendor posts to it.
    Webhook(Vendor),
    /// It is asked.
    Connector(ConnectorKind),
}

impl SourceKind {
    /// The stored name.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            SourceKind::Webhook(vendor) => vendor.key(),
            SourceKind::Connector(connector) => connector.key(),
        }
    }

    pub(crate) fn from_key(key: &str) -> Option<SourceKind> {
        let connector = || ConnectorKind::from_key(key).map(SourceKind::Connector);
        Vendor::from_key(key).map(SourceKind::Webhook).or_else(connector)
    }

    /// All of them, as they are listed.
    pub(crate) fn all() -> impl Iterator<Item = SourceKind> {
        let connectors = ConnectorKind::ALL.into_iter().map(SourceKind::Connector);
        Vendor::ALL.into_iter().map(SourceKind::Webhook).chain(connectors)
    }

    /// The secret as it is kept.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check_secret(self, secret: &str) -> Result<String, &'static str> {
        match self {
            SourceKind::Webhook(vendor) => vendor.check_secret(secret),
            SourceKind::Connector(connector) => connector.check_secret(secret),
        }
    }

    /// What the owner is to do at the other side.
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            SourceKind::Webhook(vendor) => vendor.advice(),
            SourceKind::Connector(connector) => connector.advice(),
        }
    }

    fn is_shopify(self) -> bool {
        matches!(self, SourceKind::Webhook(Vendor::Shopify) | SourceKind::Connector(ConnectorKind::ShopifyAdmin))
    }
}

/// A connected source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Source {
    pub(crate) site_id: i32,
    /// Under which its events are marked and its outcomes counted, `shopify:main-shop`.
    pub(crate) key: String,
    pub(crate) kind: SourceKind,
    pub(crate) name: String,
    /// The last part of its path, `/hooks/<address>`; of a connector, to which nothing is posted, its key.
    pub(crate) address: String,
    /// What the vendor signs with, or what the other side is asked with; empty until the owner has it.
    pub(crate) secret: Secret,
    pub(crate) settings: Settings,
    pub(crate) is_active: bool,
    pub(crate) created_at: Timestamp,
}

impl Source {
    /// What the vendor is to post to; `origin` is where the collector is reached.
    pub(crate) fn posted_to(&self, origin: &str) -> String {
        let path = format!("{}/hooks/{}", origin.trim_end_matches('/'), self.address);
        // Its vendor does not sign, so the secret is part of what it is told.
        if self.kind == SourceKind::Webhook(Vendor::Mailchimp) {
            format!("{path}?secret={}", self.secret.expose())
        } else {
            path
        }
    }
}

/// A source with what it has brought so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SourceReport {
    pub(crate) source: Source,
    /// When the last message of any outcome came.
    pub(crate) last_at: Option<Timestamp>,
    pub(crate) stored: i64,
    pub(crate) duplicate: i64,
    /// By reason.
    pub(crate) rejected: BTreeMap<String, i64>,
    /// How it stands, where it is a connector.
    pub(crate) connector: Option<ConnectorReport>,
}

/// What an owner says of a new source.
#[derive(Clone, Debug)]
pub(crate) struct NewSource {
    pub(crate) kind: SourceKind,
    /// 1 to 60 characters.
    pub(crate) name: String,
    /// `None` makes one where the owner tells it to the vendor.
    pub(crate) secret: Option<Secret>,
    pub(crate) settings: Settings,
}

/// What is changed of a source; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceChange {
    pub(crate) secret: Option<Secret>,
    pub(crate) is_active: Option<bool>,
}

/// Why a source cannot be made or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The name is empty, too long, or has no letter or digit.
    #[error("a source's name has 1 to 60 characters, letters or digits among them")]
    Name,
    /// The site has one of that name.
    #[error("there is a source {0} already; choose another name")]
    NameTaken(String),
    /// What is put before a further shop's ids cannot be.
    #[error("{0}")]
    Namespace(&'static str),
    /// Another source tells of the same shop's orders under other ids.
    #[error(
        "{0} tells of the same shop and knows its orders by the other id; choose the same for both, or a namespace if it \
         is another shop"
    )]
    OrderIds(String),
    /// The account that is to be asked is none.
    #[error("{0}")]
    Account(&'static str),
    /// No such source.
    #[error("there is no source {0}; `segments source list` shows those there are")]
    Unknown(String),
    /// The secret cannot be one of that vendor, or the account none of that system.
    #[error("{0}")]
    Secret(&'static str),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(QueryableByName)]
pub(super) struct SourceRow {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    address: String,
    #[diesel(sql_type = Text)]
    secret: String,
    #[diesel(sql_type = Jsonb)]
    settings: Value,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Timestamptz)]
    created_at: PgTimestamp,
}

#[derive(QueryableByName)]
struct OutcomeRow {
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_at: Option<PgTimestamp>,
}

#[derive(QueryableByName)]
struct Is {
    #[diesel(sql_type = Bool)]
    is: bool,
}

const ACTIVE: &str = "active";
const PAUSED: &str = "paused";

impl SourceRow {
    pub(super) fn source(self) -> Result<Source, StoreError> {
        let kind = SourceKind::from_key(&self.kind)
            .ok_or_else(|| StoreError::Refused(format!("source {} is of the unknown kind {}", self.key, self.kind)))?;
        let settings = serde_json::from_value(self.settings)
            .map_err(|error| StoreError::Refused(format!("settings of source {}: {error}", self.key)))?;
        Ok(Source {
            site_id: self.site_id,
            key: self.key,
            kind,
            name: self.name,
            address: self.address,
            secret: Secret::new(self.secret),
            settings,
            is_active: self.state == ACTIVE,
            created_at: from_timestamp(self.created_at),
        })
    }
}

/// A name as it is written in a key: lower case letters and digits with hyphens between.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

impl Store {
    /// Connects a source to a site.
    pub(crate) fn add_source(&self, site_id: i32, new: NewSource) -> Result<Source, SourceError> {
        let name = new.name.trim().to_owned();
        let slug = slug(&name);
        if slug.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
            return Err(SourceError::Name);
        }
        let key = format!("{}:{slug}", new.kind.key());
        let secret = match (new.secret, new.kind) {
            (Some(secret), kind) => kind.check_secret(secret.expose()).map_err(SourceError::Secret)?,
            (None, SourceKind::Webhook(vendor)) if vendor.owner_chooses_secret() => secrets::token(""),
            (None, SourceKind::Webhook(_)) => String::new(),
            (None, SourceKind::Connector(_)) => {
                return Err(SourceError::Secret("a connector needs the key to ask with"));
            }
        };
        let address = match new.kind {
            SourceKind::Webhook(_) => format!("{site_id}-{}", secrets::token("")),
            SourceKind::Connector(_) => key.clone(),
        };
        self.same_order_ids(site_id, new.kind, &new.settings)?;
        let settings = Settings { known_as: self.known_as(site_id, new.kind, &new.settings)?, ..new.settings };
        let settings = serde_json::to_value(&settings).map_err(|error| StoreError::Refused(error.to_string()))?;
        let row = self.lend()?.transaction::<_, StoreError, _>(|connection| {
            let row: Option<SourceRow> =
                sql("INSERT INTO sources (site_id, key, kind, name, address, secret, settings)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (site_id, key) DO NOTHING
                 RETURNING site_id, key, kind, name, address, secret, settings, state, created_at")
                .bind::<Integer, _>(site_id)
                .bind::<Text, _>(key.clone())
                .bind::<Text, _>(new.kind.key())
                .bind::<Text, _>(name)
                .bind::<Text, _>(address)
                .bind::<Text, _>(secret)
                .bind::<Jsonb, _>(settings)
                .get_result(connection)
                .optional()?;
            if row.is_some() && matches!(new.kind, SourceKind::Connector(_)) {
                connectors::add(connection, site_id, &key)?;
            }
            Ok(row)
        })?;
        Ok(row.ok_or(SourceError::NameTaken(key))?.source()?)
    }

    /// Refuses a second source of a shop that would know its orders by other ids: each would be counted twice.
    fn same_order_ids(&self, site_id: i32, kind: SourceKind, settings: &Settings) -> Result<(), SourceError> {
        let is_other = |source: &Source| {
            source.kind.is_shopify()
                && source.settings.namespace == settings.namespace
                && source.settings.order_ids != settings.order_ids
        };
        match self.connected(site_id)?.into_iter().find(|source| kind.is_shopify() && is_other(source)) {
            Some(other) => Err(SourceError::OrderIds(other.key)),
            None => Ok(()),
        }
    }

    /// Under which source's key the messages of a new one are known again: a shop of Shopify's whose webhooks come in and
    /// that is asked too tells everything once, whichever was there first.
    fn known_as(&self, site_id: i32, kind: SourceKind, settings: &Settings) -> Result<Option<String>, StoreError> {
        if settings.known_as.is_some() || !kind.is_shopify() {
            return Ok(settings.known_as.clone());
        }
        let others = self.sources(site_id)?.into_iter().map(|report| report.source);
        let other = others
            .into_iter()
            .find(|source| source.kind.is_shopify() && source.settings.namespace == settings.namespace);
        Ok(other.map(|source| source.settings.known_as.unwrap_or(source.key)))
    }

    /// The site's sources with what they have brought, oldest first.
    pub(crate) fn sources(&self, site_id: i32) -> Result<Vec<SourceReport>, StoreError> {
        let sources = self.connected(site_id)?;
        let mut connection = self.lend()?;
        // One row per source that is there and outcome: how often, and when last.
        let outcomes: Vec<OutcomeRow> = sql("SELECT o.source, o.outcome, sum(o.count)::bigint AS count,
                max(o.last_at) AS last_at
             FROM source_outcomes o JOIN sources s ON s.site_id = o.site_id AND s.key = o.source
             WHERE o.site_id = $1 GROUP BY o.source, o.outcome")
        .bind::<Integer, _>(site_id)
        .load(&mut *connection)?;
        drop(connection);
        let mut states = self.connectors(site_id)?;
        let report = |source: Source| {
            let mut report = SourceReport {
                source,
                last_at: None,
                stored: 0,
                duplicate: 0,
                rejected: BTreeMap::new(),
                connector: None,
            };
            let own = states.iter().position(|state| state.key == report.source.key);
            report.connector = own.map(|own| states.swap_remove(own));
            for row in outcomes.iter().filter(|row| row.source == report.source.key) {
                report.last_at = report.last_at.max(row.last_at.map(from_timestamp));
                match row.outcome.as_str() {
                    STORED => report.stored = row.count,
                    DUPLICATE => report.duplicate = row.count,
                    reason => {
                        report.rejected.insert(reason.to_owned(), row.count);
                    }
                }
            }
            report
        };
        Ok(sources.into_iter().map(report).collect())
    }

    /// The site's sources, oldest first.
    pub(crate) fn connected(&self, site_id: i32) -> Result<Vec<Source>, StoreError> {
        let rows: Vec<SourceRow> = sql("SELECT site_id, key, kind, name, address, secret, settings, state, created_at
             FROM sources WHERE site_id = $1 ORDER BY created_at, key")
        .bind::<Integer, _>(site_id)
        .load(&mut *self.lend()?)?;
        rows.into_iter().map(SourceRow::source).collect()
    }

    /// The source of an address, whatever site it belongs to.
    pub(crate) fn source_at(&self, address: &str) -> Result<Option<Source>, StoreError> {
        let Some(site_id) = address.split_once('-').and_then(|(site_id, _)| site_id.parse::<i32>().ok()) else {
            return Ok(None);
        };
        let row: Option<SourceRow> =
            sql("SELECT site_id, key, kind, name, address, secret, settings, state, created_at FROM sources
                 WHERE site_id = $1 AND address = $2")
            .bind::<Integer, _>(site_id)
            .bind::<Text, _>(address.to_owned())
            .get_result(&mut *self.lend()?)
            .optional()?;
        row.map(SourceRow::source).transpose()
    }

    /// Changes a source.
    pub(crate) fn change_source(&self, site_id: i32, key: &str, change: SourceChange) -> Result<(), SourceError> {
        let known = self.connected(site_id)?.into_iter().find(|source| source.key == key);
        let known = known.ok_or_else(|| SourceError::Unknown(key.to_owned()))?;
        let secret = match change.secret {
            Some(secret) => Some(known.kind.check_secret(secret.expose()).map_err(SourceError::Secret)?),
            None => None,
        };
        let state = change.is_active.map(|is_active| if is_active { ACTIVE } else { PAUSED });
        self.lend()?.transaction::<_, StoreError, _>(|connection| {
            sql("UPDATE sources SET secret = COALESCE($1, secret), state = COALESCE($2, state)
                 WHERE site_id = $3 AND key = $4")
            .bind::<Nullable<Text>, _>(secret)
            .bind::<Nullable<Text>, _>(state)
            .bind::<Integer, _>(site_id)
            .bind::<Text, _>(key.to_owned())
            .execute(connection)?;
            connectors::wake(connection, site_id, key)
        })?;
        Ok(())
    }

    /// Takes a source away: its address is gone, its events stay.
    pub(crate) fn remove_source(&self, site_id: i32, key: &str) -> Result<(), SourceError> {
        let gone: Option<Is> = sql("DELETE FROM sources WHERE site_id = $1 AND key = $2 RETURNING true AS is")
            .bind::<Integer, _>(site_id)
            .bind::<Text, _>(key.to_owned())
            .get_result(&mut *self.lend()?)
            .optional()
            .map_err(StoreError::from)?;
        if gone.is_some_and(|row| row.is) { Ok(()) } else { Err(SourceError::Unknown(key.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_key_is_made_of_a_names_letters_and_digits() {
        assert_eq!(slug("  Main shop (EU) №2 "), "main-shop-eu-2");
        assert_eq!(slug("!?"), "");
    }
}
