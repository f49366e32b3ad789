//! People who log in, their sessions, and the throttle on guesses.

use super::schema::{site_members, users};
use super::sites::Site;
use super::sql::sql;
use super::{Store, StoreError};
use crate::secrets;
use diesel::Connection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Text};
use std::net::IpAddr;

/// Shortest password.
pub(crate) const PASSWORD_CHARS: usize = 10;
/// How long a browser stays logged in.
pub(crate) const SESSION_DAYS: i32 = 30;
/// Failed log-ins of one account, or of one address, in a quarter of an hour before further ones are refused unread.
const FAILURES: i64 = 10;

/// Who is logged in.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) user_id: i32,
    pub(crate) email: String,
    pub(crate) administrator: bool,
    pub(crate) csrf_token: String,
}

/// Why a log-in cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No e-mail address.
    #[error("{0:?} is no e-mail address")]
    Email(String),
    /// Too short.
    #[error("a password has at least {PASSWORD_CHARS} characters")]
    Password,
    /// There already.
    #[error("{0} can log in already")]
    Taken(String),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a log-in.
#[derive(Debug)]
pub(crate) enum LogIn {
    /// The token for the cookie.
    Done { token: String },
    /// E-mail or password are wrong.
    Wrong,
    /// Too many wrong ones; try again in some minutes.
    Throttled,
}

#[derive(QueryableByName)]
struct SessionRow {
    #[diesel(sql_type = Integer)]
    user_id: i32,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Bool)]
    administrator: bool,
    #[diesel(sql_type = Text)]
    csrf_token: String,
}

#[derive(QueryableByName)]
struct Failures {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

impl Store {
    /// Makes a log-in. `site_ids` are the sites an ordinary user may see; administrators see all.
    ///
    /// # Errors
    /// [`UserError`]
    pub fn add_user(
        &self,
        email: &str,
        password: &str,
        administrator: bool,
        site_ids: &[i32],
    ) -> Result<i32, UserError> {
        let bad_email = |_| UserError::Email(email.to_owned());
        let email = domain::identity::normalise(domain::identity::Kind::Email, email).map_err(bad_email)?;
        if password.chars().count() < PASSWORD_CHARS {
            return Err(UserError::Password);
        }
        let password_hash = secrets::hash_password(password);
        let mut connection = self.lend()?;
        let made = connection.transaction(|connection| {
            let user_id: i32 = diesel::insert_into(users::table)
                .values((
                    users::email.eq(&email),
                    users::password_hash.eq(password_hash),
                    users::administrator.eq(administrator),
                ))
                .returning(users::user_id)
                .get_result(connection)?;
            for site_id in site_ids {
                diesel::insert_into(site_members::table)
                    .values((site_members::site_id.eq(site_id), site_members::user_id.eq(user_id)))
                    .execute(connection)?;
            }
            Ok(user_id)
        });
        match made {
            Ok(user_id) => Ok(user_id),
            Err(diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, _)) => {
                Err(UserError::Taken(email))
            }
            Err(error) => Err(StoreError::from(error).into()),
        }
    }

    /// Whether anybody can log in; without, the first visitor of the dashboard is asked to make the first user.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn has_users(&self) -> Result<bool, StoreError> {
        let count: i64 = users::table.count().get_result(&mut *self.lend()?)?;
        Ok(count > 0)
    }

    /// Checks e-mail and password; takes some 50 ms of one core, so never on the event loop.
    pub(crate) fn log_in(&self, email: &str, password: &str, address: IpAddr) -> Result<LogIn, StoreError> {
        let email = email.trim().to_lowercase();
        let mut connection = self.lend()?;
        let email_hash = secrets::sha256(email.as_bytes()).to_vec();
        let address_hash = secrets::sha256(address.to_string().as_bytes()).to_vec();
        let failures: Failures = sql("SELECT GREATEST(
                (SELECT count(*) FROM login_failures
                 WHERE email_hash = $1 AND failed_at > now() - interval '15 minutes'),
                (SELECT count(*) FROM login_failures
                 WHERE address_hash = $2 AND failed_at > now() - interval '15 minutes')) AS n")
        .bind::<Binary, _>(email_hash.clone())
        .bind::<Binary, _>(address_hash.clone())
        .get_result(&mut *connection)?;
        if failures.n >= FAILURES {
            return Ok(LogIn::Throttled);
        }
        let found: Option<(i32, String)> = users::table
            .filter(users::email.eq(&email))
            .select((users::user_id, users::password_hash))
            .first(&mut *connection)
            .optional()?;
        // The hash takes a while, and others want a connection meanwhile.
        drop(connection);
        // Somebody unknown costs the same time as somebody known.
        let hash = found.as_ref().map(|(_, hash)| hash.as_str());
        let right = secrets::check_password(password, hash);
        let Some((user_id, _)) = found.filter(|_| right) else {
            sql("INSERT INTO login_failures (email_hash, address_hash) VALUES ($1, $2)")
                .bind::<Binary, _>(email_hash)
                .bind::<Binary, _>(address_hash)
                .execute(&mut *self.lend()?)?;
            return Ok(LogIn::Wrong);
        };
        Ok(LogIn::Done { token: self.start_session(user_id)? })
    }

    /// Logs a user in without asking for the password: right after it was chosen.
    pub(crate) fn start_session(&self, user_id: i32) -> Result<String, StoreError> {
        let token = secrets::token("");
        sql("INSERT INTO user_sessions (token_hash, user_id, csrf_token, expires_at)
             VALUES ($1, $2, $3, now() + make_interval(days => $4))")
        .bind::<Binary, _>(secrets::sha256(token.as_bytes()).to_vec())
        .bind::<Integer, _>(user_id)
        .bind::<Text, _>(secrets::token(""))
        .bind::<Integer, _>(SESSION_DAYS)
        .execute(&mut *self.lend()?)?;
        Ok(token)
    }

    /// Who a cookie's token belongs to.
    pub(crate) fn session_user(&self, token: &str) -> Result<Option<User>, StoreError> {
        let row: Option<SessionRow> = sql("SELECT u.user_id, u.email, u.administrator, s.csrf_token
             FROM user_sessions s JOIN users u USING (user_id) WHERE s.token_hash = $1 AND s.expires_at > now()")
        .bind::<Binary, _>(secrets::sha256(token.as_bytes()).to_vec())
        .get_result(&mut *self.lend()?)
        .optional()?;
        Ok(row.map(|row| User {
            user_id: row.user_id,
            email: row.email,
            administrator: row.administrator,
            csrf_token: row.csrf_token,
        }))
    }

    /// Ends a session.
    pub(crate) fn end_session(&self, token: &str) -> Result<(), StoreError> {
        sql("DELETE FROM user_sessions WHERE token_hash = $1")
            .bind::<Binary, _>(secrets::sha256(token.as_bytes()).to_vec())
            .execute(&mut *self.lend()?)?;
        Ok(())
    }

    /// The sites that a user may see, oldest first.
    pub(crate) fn sites_of(&self, user: &User) -> Result<Vec<Site>, StoreError> {
        let mut sites = self.sites()?;
        if !user.administrator {
            let allowed: Vec<i32> = site_members::table
                .filter(site_members::user_id.eq(user.user_id))
                .select(site_members::site_id)
                .load(&mut *self.lend()?)?;
            sites.retain(|site| allowed.contains(&site.site_id));
        }
        Ok(sites)
    }
}
