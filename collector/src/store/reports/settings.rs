//! The set-up page: its report, and the changes that it makes.

use crate::intake::debug_key;
use crate::secrets;
use crate::store::schema::{sites, users};
use crate::store::sites::{Bots, BrowserOrders, Site, SiteError, TagConsent, clean_domains, tag_columns};
use crate::store::sql::sql;
use crate::store::users::UserError;
use crate::store::{Store, StoreError, from_timestamp};
use diesel::Connection;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{Integer, Nullable, Timestamptz};
use domain::identity::{Kind, normalise};
use domain::money::Currency;
use domain::report::Setup;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The class of the lock under which the first user is made: the others have smaller ones.
const FIRST_USER_LOCK: i32 = 5;

/// What an owner may change of a site, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    name: String,
    domains: Vec<String>,
    currency: Currency,
    time_zone: String,
    tag_consent: TagConsent,
    browser_orders: BrowserOrders,
    bots: Bots,
    bot_limit: u8,
}

/// Settings as they were typed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Typed<'a> {
    pub(crate) name: &'a str,
    /// One a line.
    pub(crate) domains: &'a str,
    pub(crate) currency: &'a str,
    pub(crate) time_zone: &'a str,
    pub(crate) consent: &'a str,
    pub(crate) browser_orders: &'a str,
    pub(crate) bots: &'a str,
    pub(crate) bot_limit: &'a str,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// What is wrong, one sentence per problem.
    #[error("{}", .0.join(" "))]
    Problems(Vec<String>),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Settings {
    /// Reads what was typed.
    ///
    /// # Errors
    /// [`SettingsError::Problems`] names everything that is wrong.
    pub(crate) fn check(typed: &Typed<'_>) -> Result<Settings, SettingsError> {
        let Typed { name, domains, currency, time_zone, consent, browser_orders, bots, bot_limit } = *typed;
        let mut problems = Vec::new();
        let mut problem = |text: String| problems.push(sentence(&text));
        let name = name.trim();
        if name.is_empty() || name.chars().count() > 100 || name.contains(char::is_control) {
            problem(SiteError::Name.to_string());
        }
        let lines: Vec<&str> = domains.lines().collect();
        let domains = clean_domains(&lines).map_err(|error| problem(error.to_string()));
        let currency = currency.parse::<Currency>().map_err(|error| problem(error.to_string()));
        let time_zone = time_zone.trim();
        let zone = TimeZone::get(time_zone).map_err(|_| problem(SiteError::TimeZone(time_zone.to_owned()).to_string()));
        let tag_consent = TagConsent::from_key(consent)
            .ok_or_else(|| problem("consent is measure, wait, manager or full".to_owned()));
        let browser_orders = BrowserOrders::from_key(browser_orders)
            .ok_or_else(|| problem("browsers' orders count auto, always or never".to_owned()));
        let bots = Bots::from_key(bots).ok_or_else(|| problem("bots are excluded or included".to_owned()));
        let bot_limit = bot_limit.trim().parse::<u8>().ok().filter(|limit| (1..=100).contains(limit));
        let bot_limit = bot_limit.ok_or_else(|| problem("the limit of the bot score is 1 to 100".to_owned()));
        match (domains, currency, zone, tag_consent, browser_orders, bots, bot_limit) {
            (Ok(domains), Ok(currency), Ok(zone), Ok(tag_consent), Ok(browser_orders), Ok(bots), Ok(bot_limit))
                if problems.is_empty() =>
            {
                Ok(Settings {
                    name: name.to_owned(),
                    domains,
                    currency,
                    // As the database of time zones writes it; PostgreSQL has the same.
                    time_zone: zone.iana_name().unwrap_or(time_zone).to_owned(),
                    tag_consent,
                    browser_orders,
                    bots,
                    bot_limit,
                })
            }
            _ => Err(SettingsError::Problems(problems)),
        }
    }
}

/// An error's text as a sentence of a page.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// What became of the first run.
pub(crate) enum FirstRun {
    /// The user's session, the site and its secret key.
    Done {
        /// For the cookie.
        token: String,
        /// The new site.
        site_id: i32,
        /// Shown once.
        secret_key: String,
    },
    /// Somebody else was first.
    TooLate,
}

#[derive(QueryableByName)]
struct LastRow {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_event_at: Option<PgTimestamp>,
}

impl Store {
    /// The set-up of a site; `origin` is where the collector is reached.
    pub(crate) fn setup(&self, site: &Site, origin: &str, now: Timestamp) -> Result<Setup, StoreError> {
        // One moment: of the journal's newest row, which says when an event came in; once that is gone, when the last
        // one happened, as people and visits know it.
        let row: LastRow = self.read(|connection| {
            Ok(sql("SELECT COALESCE(
                    (SELECT max(at) FROM journal WHERE site_id = $1 AND cardinality(event_ids) > 0),
                    GREATEST((SELECT max(last_seen) FROM profiles WHERE site_id = $2),
                             (SELECT ended_at FROM sessions WHERE site_id = $3 ORDER BY started_at DESC LIMIT 1))
                 ) AS last_event_at")
            .bind::<Integer, _>(site.site_id)
            .bind::<Integer, _>(site.site_id)
            .bind::<Integer, _>(site.site_id)
            .get_result(connection)?)
        })?;
        Ok(Setup {
            site: crate::segments::report_site(site),
            domains: site.domains.clone(),
            write_key: site.write_key.clone(),
            origin: origin.to_owned(),
            consent: site.tag_consent,
            browser_orders: site.browser_orders,
            trusted_orders_seen: site.trusted_orders_seen,
            bots: site.bots,
            bot_limit: site.bot_limit,
            identity_secret: Some(site.identity_secret.clone()).filter(|secret| !secret.is_empty()),
            signed_identify: site.signed_identify,
            debug_key: debug_key::of_day(site, now.to_zoned_datetime(TimeZone::UTC).date()),
            last_event_at: row.last_event_at.map(from_timestamp),
            now,
        })
    }

    /// Saves the settings of a site. Where other orders count now, or another currency, everybody with an order is
    /// projected anew, and where other events are bots', everybody who has such.
    pub(crate) fn save_settings(&self, site_id: i32, new: &Settings) -> Result<(), SettingsError> {
        let saved = self.lend()?.transaction(|connection| {
            let (currency, browser_orders, bots, bot_limit): (String, String, String, i16) = sites::table
                .find(site_id)
                .select((sites::currency, sites::browser_orders, sites::bots, sites::bot_limit))
                .for_update()
                .first(connection)?;
            diesel::update(sites::table.find(site_id))
                .set((
                    sites::name.eq(&new.name),
                    sites::domains.eq(&new.domains),
                    sites::currency.eq(new.currency.code()),
                    sites::time_zone.eq(&new.time_zone),
                    tag_columns(new.tag_consent),
                    sites::browser_orders.eq(new.browser_orders.key()),
                    sites::bots.eq(new.bots.key()),
                    sites::bot_limit.eq(i16::from(new.bot_limit)),
                ))
                .execute(connection)?;
            if currency != new.currency.code() || browser_orders != new.browser_orders.key() {
                sql("INSERT INTO journal (site_id, identity_ids, event_ids, relinked_profiles)
                     SELECT $1, '{}', '{}', array_agg(DISTINCT profile_id) FROM orders WHERE site_id = $2
                     HAVING count(*) > 0")
                .bind::<Integer, _>(site_id)
                .bind::<Integer, _>(site_id)
                .execute(connection)?;
            }
            if bots != new.bots.key() || bot_limit != i16::from(new.bot_limit) {
                // One pass over the site's events: it is asked for rarely, and an index would be paid for by every bot.
                sql("INSERT INTO journal (site_id, identity_ids, event_ids, relinked_profiles)
                     SELECT $1, '{}', '{}', array_agg(DISTINCT i.profile_id)
                     FROM (SELECT DISTINCT identity_id FROM events WHERE site_id = $2 AND bot_score IS NOT NULL) AS b
                     JOIN identities i ON i.site_id = $3 AND i.identity_id = b.identity_id
                     HAVING count(*) > 0")
                .bind::<Integer, _>(site_id)
                .bind::<Integer, _>(site_id)
                .bind::<Integer, _>(site_id)
                .execute(connection)?;
            }
            Ok(())
        });
        saved.map_err(|error| match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
                SettingsError::Problems(vec![sentence(&SiteError::NameTaken(new.name.clone()).to_string())])
            }
            error => SettingsError::Store(error.into()),
        })
    }

    /// Makes the first user, who sees everything, and the first site, and logs the user in. Of two who try at once one
    /// is first.
    pub(crate) fn first_run(
        &self,
        email: &str,
        password: &str,
        site: Result<Settings, SettingsError>,
    ) -> Result<FirstRun, SettingsError> {
        let mut problems = Vec::new();
        let email = normalise(Kind::Email, email)
            .map_err(|_| problems.push(sentence(&UserError::Email(email.trim().to_owned()).to_string())));
        if password.chars().count() < crate::store::users::PASSWORD_CHARS {
            problems.push(sentence(&UserError::Password.to_string()));
        }
        let site = match site {
            Ok(site) => Some(site),
            Err(SettingsError::Problems(more)) => {
                problems.extend(more);
                None
            }
            Err(error @ SettingsError::Store(_)) => return Err(error),
        };
        let (Ok(email), Some(new), true) = (email, site, problems.is_empty()) else {
            return Err(SettingsError::Problems(problems));
        };
        let (password_hash, secret_key) = (secrets::hash_password(password), secrets::token("sk_"));
        let made = self.lend()?.transaction(|connection| {
            sql("SELECT pg_advisory_xact_lock($1, 0)").bind::<Integer, _>(FIRST_USER_LOCK).execute(connection)?;
            let others: i64 = users::table.count().get_result(connection)?;
            if others > 0 {
                return Ok(None);
            }
            let user_id: i32 = diesel::insert_into(users::table)
                .values((
                    users::email.eq(&email),
                    users::password_hash.eq(&password_hash),
                    users::administrator.eq(true),
                ))
                .returning(users::user_id)
                .get_result(connection)?;
            let site_id: i32 = diesel::insert_into(sites::table)
                .values((
                    sites::name.eq(&new.name),
                    sites::domains.eq(&new.domains),
                    sites::currency.eq(new.currency.code()),
                    sites::time_zone.eq(&new.time_zone),
                    sites::write_key.eq(secrets::token("wk_")),
                    sites::secret_key_hash.eq(secrets::sha256(secret_key.as_bytes()).to_vec()),
                    tag_columns(new.tag_consent),
                ))
                .returning(sites::site_id)
                .get_result(connection)?;
            Ok(Some((user_id, site_id)))
        });
        let made = made.map_err(|error| match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
                SettingsError::Problems(vec![sentence(&SiteError::NameTaken(new.name.clone()).to_string())])
            }
            error => SettingsError::Store(error.into()),
        })?;
        match made {
            Some((user_id, site_id)) => Ok(FirstRun::Done { token: self.start_session(user_id)?, site_id, secret_key }),
            None => Ok(FirstRun::TooLate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let error = Settings::check(&Typed {
            name: " ",
            domains: "",
            currency: "Euro",
            time_zone: "Berlin",
            consent: "maybe",
            browser_orders: "often",
            bots: "some",
            bot_limit: "0",
        })
        .unwrap_err();
        let SettingsError::Problems(problems) = error else { panic!("{error}") };
        assert_eq!(problems.len(), 8, "{problems:?}");
        assert!(problems.iter().all(
            |problem| problem.ends_with('.') && problem.starts_with(char::is_uppercase) || problem.starts_with('"')
        ));
    }

    #[test]
    fn settings_are_cleaned_of_what_owners_paste() {
        let settings = Settings::check(&Typed {
            name: " Shop ",
            domains: "https://shop.example/\r\nblog.example",
            currency: "eur",
            time_zone: "Europe/Berlin",
            consent: "full",
            browser_orders: "auto",
            bots: "exclude",
            bot_limit: " 50 ",
        });
        let settings = settings.unwrap();
        assert_eq!((settings.name.as_str(), settings.currency.code()), ("Shop", "EUR"));
        assert_eq!(settings.domains, ["shop.example", "blog.example"]);
    }
}
