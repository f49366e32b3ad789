//! Sites, their keys, and the directory that intake asks without touching the database.

use super::schema::sites;
use super::sql::sql;
use super::{Store, StoreError};
use crate::secrets;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer, Timestamptz, Uuid as SqlUuid};
use domain::history::Rules;
use domain::money::Currency;
use domain::plan::TrackingPlan;
pub use domain::report::{Bots, BrowserOrders, TagConsent};
use jiff::tz::TimeZone;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

/// A site as every part of the server knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Its number.
    pub site_id: i32,
    /// Its unique name.
    pub name: String,
    /// Hosts whose pages may post with the public key; a host stands for its subdomains too.
    pub domains: Vec<String>,
    /// Reports add up this currency.
    pub currency: Currency,
    /// Reports cut days in this time zone.
    pub time_zone: TimeZone,
    /// The public key, `wk_…`.
    pub write_key: String,
    /// SHA-256 of the secret key.
    pub secret_key_hash: Vec<u8>,
    /// Consent mode that the set-up page writes into the tag.
    pub tag_consent: TagConsent,
    /// Whether orders count that only a browser reported.
    pub browser_orders: BrowserOrders,
    /// A trusted source has reported a live order.
    pub trusted_orders_seen: bool,
    /// Whether events of bots are in profiles, segments and reports.
    pub bots: Bots,
    /// The score from which on an event is a bot's, 1 to 100.
    pub bot_limit: u8,
    /// What the site's server signs user ids with; empty until the owner asks for it.
    pub identity_secret: String,
    /// Whether a browser's identify has to be signed with it.
    pub signed_identify: bool,
    /// What its named events are agreed to carry.
    pub plan: Arc<TrackingPlan>,
}

impl Site {
    /// What a person's history needs to know of the site.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            site_currency: self.currency,
            browser_orders_count: match self.browser_orders {
                BrowserOrders::Always => true,
                BrowserOrders::Never => false,
                BrowserOrders::Auto => !self.trusted_orders_seen,
            },
            bot_limit: match self.bots {
                Bots::Exclude => Some(self.bot_limit),
                Bots::Include => None,
            },
        }
    }

    /// The score below which events are read, as a column's value compares with it.
    pub(crate) fn bots_from(&self) -> i16 {
        // No score reaches 101.
        self.rules().bot_limit.map_or(101, i16::from)
    }

    /// Whether a page of this host (without port) may post with the public key.
    pub(crate) fn has_host(&self, host: &str) -> bool {
        self.domains_of(host).next().is_some()
    }

    /// The site's domains that this host (without port) is, or is a subdomain of.
    pub(crate) fn domains_of(&self, host: &str) -> impl Iterator<Item = &str> {
        let holds =
            move |domain: &&str| host == *domain || host.strip_suffix(*domain).is_some_and(|rest| rest.ends_with('.'));
        self.domains.iter().map(String::as_str).filter(holds)
    }

    /// The script tag to paste; `origin` is the collector's own, for example `https://s.shop.example`.
    pub fn script_tag(&self, origin: &str) -> String {
        domain::report::script_tag(origin, &self.write_key, self.tag_consent)
    }
}

/// What an owner says of a new site.
#[derive(Clone, Debug)]
pub struct NewSite {
    /// 1 to 100 characters, unique.
    pub name: String,
    /// At least one host, without scheme and port.
    pub domains: Vec<String>,
    /// Reports add up this currency.
    pub currency: Currency,
    /// IANA name.
    pub time_zone: String,
    /// Consent mode for the tag.
    pub tag_consent: TagConsent,
}

/// Why a site cannot be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// Another site has this name.
    #[error("a site named {0:?} is there already; choose another name")]
    NameTaken(String),
    /// The name is empty or longer than 100 characters.
    #[error("a site's name has 1 to 100 characters")]
    Name,
    /// No IANA time zone.
    #[error("{0:?} is no time zone; use an IANA name, for example Europe/Zurich")]
    TimeZone(String),
    /// No host name.
    #[error("{0:?} is no domain; use a host without scheme, port and path, for example shop.example")]
    Domain(String),
    /// No domain at all.
    #[error("a site needs at least one domain, for example shop.example")]
    NoDomain,
    /// There is no such site.
    #[error("there is no site named {0:?}; `segments site list` shows those there are")]
    Unknown(String),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Cleans an owner's list of domains: lower case, no scheme, no port, no path, each once.
///
/// # Errors
/// [`SiteError::Domain`] names the first that is none, [`SiteError::NoDomain`] when nothing is left.
pub fn clean_domains<S: AsRef<str>>(raw: &[S]) -> Result<Vec<String>, SiteError> {
    let mut domains = Vec::new();
    for text in raw.iter().flat_map(|text| text.as_ref().split([',', '\n', ' '])) {
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let host = host_of(text).ok_or_else(|| SiteError::Domain(text.to_owned()))?;
        if !domains.contains(&host) {
            domains.push(host);
        }
    }
    if domains.is_empty() { Err(SiteError::NoDomain) } else { Ok(domains) }
}

/// The lower-case host of an address or origin, without scheme, port and path; `None` when there is none.
pub(crate) fn host_of(address: &str) -> Option<String> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let plain = !host.is_empty()
        && host.len() <= 253
        && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'))
        && !host.starts_with(['.', '-']);
    plain.then_some(host)
}

#[derive(QueryableByName)]
struct MadeAt {
    #[diesel(sql_type = Timestamptz)]
    created_at: PgTimestamp,
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Bool)]
    known: bool,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = sites)]
struct SiteRow {
    site_id: i32,
    name: String,
    domains: Vec<String>,
    currency: String,
    time_zone: String,
    write_key: String,
    secret_key_hash: Vec<u8>,
    tag_consent: String,
    browser_orders: String,
    trusted_orders_seen: bool,
    bots: String,
    bot_limit: i16,
    identity_secret: String,
    signed_identify: bool,
    plan: serde_json::Value,
}

impl TryFrom<SiteRow> for Site {
    type Error = StoreError;

    fn try_from(row: SiteRow) -> Result<Site, StoreError> {
        let odd = |column: &str| StoreError::Refused(format!("site {}: {column} cannot be read", row.site_id));
        Ok(Site {
            currency: row.currency.parse().map_err(|_| odd("currency"))?,
            time_zone: TimeZone::get(&row.time_zone).map_err(|_| odd("time_zone"))?,
            tag_consent: TagConsent::from_key(&row.tag_consent).ok_or_else(|| odd("tag_consent"))?,
            browser_orders: BrowserOrders::from_key(&row.browser_orders).ok_or_else(|| odd("browser_orders"))?,
            bots: Bots::from_key(&row.bots).ok_or_else(|| odd("bots"))?,
            bot_limit: u8::try_from(row.bot_limit).map_err(|_| odd("bot_limit"))?,
            site_id: row.site_id,
            name: row.name,
            domains: row.domains,
            write_key: row.write_key,
            secret_key_hash: row.secret_key_hash,
            trusted_orders_seen: row.trusted_orders_seen,
            identity_secret: row.identity_secret,
            signed_identify: row.signed_identify,
            plan: Arc::new(super::plan::read_plan(row.site_id, row.plan)),
        })
    }
}

/// All sites, oldest first, as the connection's transaction sees them.
pub(crate) fn read_sites(connection: &mut PgConnection) -> Result<Vec<Site>, StoreError> {
    let rows: Vec<SiteRow> = sites::table.select(SiteRow::as_select()).order(sites::site_id).load(connection)?;
    rows.into_iter().map(Site::try_from).collect()
}

impl Store {
    /// All sites, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn sites(&self) -> Result<Vec<Site>, StoreError> {
        read_sites(&mut *self.lend()?)
    }

    /// The site of this name.
    ///
    /// # Errors
    /// [`SiteError::Unknown`].
    pub fn site_named(&self, name: &str) -> Result<Site, SiteError> {
        let site = self.sites()?.into_iter().find(|site| site.name == name);
        site.ok_or_else(|| SiteError::Unknown(name.to_owned()))
    }

    /// Makes a site and gives back its secret key, which is not kept.
    ///
    /// # Errors
    /// What is wrong with the name, the domains or the time zone.
    pub fn add_site(&self, new: &NewSite) -> Result<(Site, String), SiteError> {
        let name = new.name.trim();
        if name.is_empty() || name.chars().count() > 100 {
            return Err(SiteError::Name);
        }
        let domains = clean_domains(&new.domains)?;
        TimeZone::get(&new.time_zone).map_err(|_| SiteError::TimeZone(new.time_zone.clone()))?;
        let secret_key = secrets::token("sk_");
        let row: Result<SiteRow, diesel::result::Error> = diesel::insert_into(sites::table)
            .values((
                sites::name.eq(name),
                sites::domains.eq(&domains),
                sites::currency.eq(new.currency.code()),
                sites::time_zone.eq(&new.time_zone),
                sites::write_key.eq(secrets::token("wk_")),
                sites::secret_key_hash.eq(secrets::sha256(secret_key.as_bytes()).to_vec()),
                sites::tag_consent.eq(new.tag_consent.key()),
            ))
            .returning(SiteRow::as_returning())
            .get_result(&mut self.lend()?);
        match row {
            Ok(row) => Ok((Site::try_from(row)?, secret_key)),
            Err(error) if unique_violation(&error) => Err(SiteError::NameTaken(name.to_owned())),
            Err(error) => Err(StoreError::from(error).into()),
        }
    }

    /// Changes what an owner may change of a site: domains, currency, time zone, consent, browser orders.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn update_site(&self, site: &Site) -> Result<(), StoreError> {
        diesel::update(sites::table.find(site.site_id))
            .set((
                sites::domains.eq(&site.domains),
                sites::currency.eq(site.currency.code()),
                sites::time_zone.eq(site.time_zone.iana_name().unwrap_or("UTC")),
                sites::tag_consent.eq(site.tag_consent.key()),
                sites::browser_orders.eq(site.browser_orders.key()),
                // Rules count days in the time zone and sums in the currency.
                sites::segments_revision.eq(sites::segments_revision + 1),
            ))
            .execute(&mut self.lend()?)?;
        Ok(())
    }

    /// Says whether browsers have to prove who somebody is, and makes the secret for it where there is none yet, or, with
    /// `renew`, another one.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn ask_for_signatures(&self, site_id: i32, ask: bool, renew: bool) -> Result<(), StoreError> {
        sql("UPDATE sites SET signed_identify = $1,
                identity_secret = CASE WHEN $2 OR identity_secret = '' THEN $3 ELSE identity_secret END
             WHERE site_id = $4")
        .bind::<Bool, _>(ask)
        .bind::<Bool, _>(renew)
        .bind::<diesel::sql_types::Text, _>(secrets::token("is_"))
        .bind::<Integer, _>(site_id)
        .execute(&mut *self.lend()?)?;
        Ok(())
    }

    /// When a site was made.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn site_made_at(&self, site_id: i32) -> Result<jiff::Timestamp, StoreError> {
        let row: MadeAt = sql("SELECT created_at FROM sites WHERE site_id = $1")
            .bind::<Integer, _>(site_id)
            .get_result(&mut *self.lend()?)?;
        Ok(super::from_timestamp(row.created_at))
    }

    /// Whether a trusted source's message id has been stored in the last 30 days.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn knows_message(&self, site_id: i32, message_id: &str) -> Result<bool, StoreError> {
        let row: Known =
            sql("SELECT EXISTS (SELECT FROM message_ids WHERE site_id = $1 AND message_hash = $2) AS known")
                .bind::<Integer, _>(site_id)
                .bind::<SqlUuid, _>(crate::intake::screen::message_hash(
                    site_id,
                    domain::event::Trust::Trusted,
                    message_id,
                ))
                .get_result(&mut *self.lend()?)?;
        Ok(row.known)
    }

    /// Gives a site a new secret key; the old one is refused from now on (other processes follow within 2 s).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn renew_secret_key(&self, site_id: i32) -> Result<String, StoreError> {
        let secret_key = secrets::token("sk_");
        diesel::update(sites::table.find(site_id))
            .set(sites::secret_key_hash.eq(secrets::sha256(secret_key.as_bytes()).to_vec()))
            .execute(&mut self.lend()?)?;
        Ok(secret_key)
    }
}

fn unique_violation(error: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind, Error};
    matches!(error, Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
}

/// The sites by key, kept in memory and read again every [`SiteDirectory::REFRESH`], and at once (at most every
/// [`SiteDirectory::MISS`]) when a key is asked for that is not there: that blocks, so not on the event loop.
pub struct SiteDirectory {
    store: Store,
    state: RwLock<Directory>,
    /// Held by whoever reads again after a miss: the others wait and find it done.
    reading: Mutex<()>,
}

#[derive(Default)]
struct Directory {
    by_write_key: HashMap<String, Arc<Site>>,
    by_secret_hash: HashMap<Vec<u8>, Arc<Site>>,
    by_id: HashMap<i32, Arc<Site>>,
    read_at: Option<Instant>,
}

impl SiteDirectory {
    /// How old an answer may be.
    pub const REFRESH: Duration = Duration::from_secs(2);
    /// How often unknown keys may make the database be asked.
    pub const MISS: Duration = Duration::from_millis(250);

    /// An empty directory that fills itself when it is asked.
    pub fn new(store: Store) -> SiteDirectory {
        SiteDirectory { store, state: RwLock::default(), reading: Mutex::default() }
    }

    /// Reads the sites again.
    ///
    /// # Errors
    /// [`StoreError`]; what was known stays known.
    pub fn refresh(&self) -> Result<(), StoreError> {
        let sites: Vec<Arc<Site>> = self.store.sites()?.into_iter().map(Arc::new).collect();
        let directory = Directory {
            by_write_key: sites.iter().map(|site| (site.write_key.clone(), Arc::clone(site))).collect(),
            by_secret_hash: sites.iter().map(|site| (site.secret_key_hash.clone(), Arc::clone(site))).collect(),
            by_id: sites.iter().map(|site| (site.site_id, Arc::clone(site))).collect(),
            read_at: Some(Instant::now()),
        };
        *self.state.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = directory;
        Ok(())
    }

    /// The site of a key, if it is in memory.
    pub(crate) fn known(&self, key: &str) -> Option<(Arc<Site>, domain::event::Trust)> {
        use domain::event::Trust::{Browser, Trusted};
        let directory = self.state.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        if key.starts_with("sk_") {
            let hash = secrets::sha256(key.as_bytes());
            return Some((Arc::clone(directory.by_secret_hash.get(hash.as_slice())?), Trusted));
        }
        Some((Arc::clone(directory.by_write_key.get(key)?), Browser))
    }

    /// The site of a key with the trust that the key gives.
    ///
    /// # Errors
    /// [`StoreError`] when the key is not known and the database cannot be asked.
    pub(crate) fn by_key(&self, key: &str) -> Result<Option<(Arc<Site>, domain::event::Trust)>, StoreError> {
        if let Some(found) = self.known(key) {
            return Ok(Some(found));
        }
        self.after_miss()?;
        Ok(self.known(key))
    }

    /// The site of this number.
    ///
    /// # Errors
    /// [`StoreError`] when it is not known and the database cannot be asked.
    pub(crate) fn by_number(&self, site_id: i32) -> Result<Option<Arc<Site>>, StoreError> {
        let known = || {
            let directory = self.state.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            directory.by_id.get(&site_id).cloned()
        };
        if let Some(site) = known() {
            return Ok(Some(site));
        }
        self.after_miss()?;
        Ok(known())
    }

    /// The one site that has this domain, if it is in memory; none where several have it.
    pub(crate) fn known_by_domain(&self, domain: &str) -> Option<Arc<Site>> {
        let directory = self.state.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut having = directory.by_id.values().filter(|site| site.domains.iter().any(|own| own == domain));
        let site = having.next()?;
        having.next().is_none().then(|| Arc::clone(site))
    }

    /// The one site that has this domain.
    ///
    /// # Errors
    /// [`StoreError`] when none is known and the database cannot be asked.
    pub(crate) fn by_domain(&self, domain: &str) -> Result<Option<Arc<Site>>, StoreError> {
        if let Some(site) = self.known_by_domain(domain) {
            return Ok(Some(site));
        }
        self.after_miss()?;
        Ok(self.known_by_domain(domain))
    }

    /// The site of this name, if it is in memory.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Site>> {
        let directory = self.state.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        directory.by_id.values().find(|site| site.name == name).cloned()
    }

    /// Something was asked for that is not there: reads the sites again. Those who ask within [`SiteDirectory::MISS`] of
    /// the last reading wait for the next one, so that unknown keys cannot keep the database busy.
    fn after_miss(&self) -> Result<(), StoreError> {
        let asked = Instant::now();
        let _reading = self.reading.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let read_at = || self.state.read().unwrap_or_else(|poisoned| poisoned.into_inner()).read_at;
        if read_at().is_some_and(|at| at > asked) {
            return Ok(());
        }
        if let Some(wait) = read_at().and_then(|at| Self::MISS.checked_sub(at.elapsed())) {
            std::thread::sleep(wait);
        }
        if read_at().is_some_and(|at| at > asked) { Ok(()) } else { self.refresh() }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A site with keys of its own on these domains.
    pub(crate) fn site_on(domains: &[&str]) -> Site {
        Site {
            site_id: 1,
            name: "shop".to_owned(),
            domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
            currency: "EUR".parse().unwrap(),
            time_zone: TimeZone::UTC,
            write_key: secrets::token("wk_"),
            secret_key_hash: Vec::new(),
            tag_consent: TagConsent::Full,
            browser_orders: BrowserOrders::Auto,
            trusted_orders_seen: false,
            bots: Bots::Exclude,
            bot_limit: 50,
            identity_secret: String::new(),
            signed_identify: false,
            plan: Arc::default(),
        }
    }

    #[test]
    fn domains_are_cleaned_of_what_owners_paste() {
        let clean = clean_domains(&["https://Shop.Example:8443/path?x", "blog.example., shop.example", "[::1]"]);
        assert_eq!(clean.unwrap(), ["shop.example", "blog.example", "::1"]);
        assert!(matches!(clean_domains(&["ht tp"]).unwrap().as_slice(), [_, _]));
        assert!(matches!(clean_domains(&["<script>"]), Err(SiteError::Domain(_))));
        assert!(matches!(clean_domains(&[" "]), Err(SiteError::NoDomain)));
    }
}
