//! Who is probably the same person: a site's people are compared once a day, when many new ones are known, and when
//! somebody asks for it; what is found waits for a decision (`store::identities::matched`).
//!
//! **Trust.** People are compared twice. First by what trusted sources say alone: that decides what may be joined without
//! asking, so that no page that a stranger opens, and no flood of them, has any part in it, not even in what the model
//! takes for rare. Then with what browsers sent as well: what only that finds is shown for review, marked as what it
//! is, behind the rest, and never applied by itself.
//!
//! **Memory.** A person is one record of some hundred bytes; so many are read ([`people::MOST_KNOWN`]), the latest seen
//! first.

pub(crate) mod people;
mod write;

use super::identities::Judged;
use super::models::{A_WHILE, MAKING_RESTS, REST, have_grown};
use super::sites::Site;
use super::sql::sql;
use super::{Store, StoreError, from_timestamp};
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Double, Integer, Nullable, Timestamptz};
use domain::event::ProfileId;
use domain::matching::{self, Person, Progress, Settings, Suggestions, suggest};
use domain::report::MATCH_THRESHOLDS;
use jiff::Timestamp;
use people::People;
use std::time::{Duration, Instant};

/// The class of the lock: one process compares a site's people.
const LOCK: i32 = 7;
/// How long it rests at least after a comparison that could not be done.
const AFTER_A_FAULT: Duration = Duration::from_secs(60);
/// How often progress is written.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// How a site's people are compared. One person rarely has more accounts than a cluster may have records: what would
/// join more is a default value or a fault of a source, and is left to a person.
fn settings() -> Settings {
    Settings {
        threshold: MATCH_THRESHOLDS[0],
        largest_cluster: 6,
        // Half of what files are given: a server has other work.
        most_pairs_per_record: 50,
        ..Settings::default()
    }
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

#[derive(QueryableByName)]
struct SettingsRow {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    asked_at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    made_at: Option<PgTimestamp>,
    #[diesel(sql_type = BigInt)]
    known: i64,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct NowRow {
    #[diesel(sql_type = Timestamptz)]
    now: PgTimestamp,
}

/// What was found of a site's people.
struct Found {
    people: People,
    /// By what trusted sources say alone.
    vouched: Suggestions,
    /// With what browsers sent; empty where they sent nothing that is compared.
    all: Suggestions,
}

impl Store {
    /// Compares a site's people where it is time, and joins those that the site lets be joined without asking. Gives
    /// whether they were compared. Cheap when there is nothing to do; to be called every few seconds.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn tend_matches(&self, site: &Site, now: Timestamp) -> Result<bool, StoreError> {
        let mut connection = self.connect()?;
        let lock: Locked = sql("SELECT pg_try_advisory_lock($1, $2) AS locked")
            .bind::<Integer, _>(LOCK)
            .bind::<Integer, _>(site.site_id)
            .get_result(&mut connection)?;
        // The lock goes with the connection.
        if !lock.locked || !self.is_time(&mut connection, site, now)? {
            return Ok(false);
        }
        let started = Instant::now();
        let done = self.compare(&mut connection, site).and_then(|()| self.apply_matches(site.site_id));
        let rest = started.elapsed().saturating_mul(MAKING_RESTS);
        match done {
            Ok(joined) => {
                self.match_looks.rest(site.site_id, rest);
                tracing::info!(site = site.site_id, joined, took = ?started.elapsed(), "people are compared");
                Ok(true)
            }
            Err(error) => {
                // Whatever it was may be there next time, too: it is not tried without a pause.
                self.match_looks.rest(site.site_id, rest.max(AFTER_A_FAULT));
                self.give_up(site.site_id)?;
                Err(error)
            }
        }
    }

    fn is_time(&self, connection: &mut PgConnection, site: &Site, now: Timestamp) -> Result<bool, StoreError> {
        let made: Option<SettingsRow> = sql("SELECT asked_at, made_at, known FROM match_settings WHERE site_id = $1")
            .bind::<Integer, _>(site.site_id)
            .get_result(connection)
            .optional()?;
        let at = |of: fn(&SettingsRow) -> Option<PgTimestamp>| made.as_ref().and_then(of).map(from_timestamp);
        let (asked_at, made_at) = (at(|row| row.asked_at), at(|row| row.made_at));
        if asked_at > made_at {
            return Ok(true);
        }
        let day_of = |at: Timestamp| at.to_zoned_datetime(site.time_zone.clone()).date();
        let is_of_today = made_at.is_some_and(|at| day_of(at) == day_of(now));
        if !self.match_looks.is_due(site.site_id) {
            return Ok(false);
        }
        let started = Instant::now();
        let known = count_known(connection, site.site_id)?;
        self.match_looks.rest(site.site_id, started.elapsed().saturating_mul(REST));
        let is_while_ago = made_at.is_some_and(|at| now.duration_since(at) >= A_WHILE);
        let before = made.map_or(0, |row| row.known);
        Ok(known > 1 && (!is_of_today || have_grown(known, before, is_while_ago)))
    }

    fn compare(&self, connection: &mut PgConnection, site: &Site) -> Result<(), StoreError> {
        let site_id = site.site_id;
        // What is asked for from here on is another comparison.
        let began: NowRow = sql("SELECT now() AS now").get_result(connection)?;
        let known = count_known(connection, site_id)?;
        self.tell(site_id, 0, known)?;
        let judged = Judged::read(connection, site_id)?;
        let people = People::read(connection, site_id, |read| self.tell(site_id, read, known))?;
        let found = self.find(site_id, people, &judged)?;
        write::write(connection, site_id, &found)?;
        let left_out = if found.people.is_cut { known - found.people.read } else { 0 };
        sql("UPDATE match_settings SET made_at = $1, known = $2, compared = $3, left_out = $4, done = NULL, total = NULL
             WHERE site_id = $5")
        .bind::<Timestamptz, _>(began.now)
        .bind::<BigInt, _>(known)
        .bind::<BigInt, _>(found.people.read)
        .bind::<BigInt, _>(left_out.max(0))
        .bind::<Integer, _>(site_id)
        .execute(connection)?;
        Ok(())
    }

    fn find(&self, site_id: i32, people: People, judged: &Judged) -> Result<Found, StoreError> {
        let apart: Vec<(ProfileId, ProfileId)> =
            judged.apart.iter().map(|(one, other)| (ProfileId(*one), ProfileId(*other))).collect();
        let judged = matching::Judged { kept_apart: &apart, joined: &[] };
        let mut told = Instant::now();
        let mut failed = None;
        let mut find = |people: &[Person]| {
            suggest(people, judged, &settings(), |progress| {
                let (Progress::Compared { pairs, of }, true) = (progress, told.elapsed() >= TELL_EVERY) else { return };
                told = Instant::now();
                if let Err(error) = self.tell(site_id, pairs as i64, of as i64) {
                    failed = Some(error);
                }
            })
        };
        let vouched = find(&people.vouched);
        let all = if people.browsers_say_more { find(&people.all) } else { Suggestions::default() };
        match failed {
            Some(error) => Err(error),
            None => Ok(Found { people, vouched, all }),
        }
    }

    /// Notes how far a comparison has come.
    fn tell(&self, site_id: i32, done: i64, total: i64) -> Result<(), StoreError> {
        sql("INSERT INTO match_settings (site_id, done, total) VALUES ($1, $2, $3)
             ON CONFLICT (site_id) DO UPDATE SET done = EXCLUDED.done, total = EXCLUDED.total")
        .bind::<Integer, _>(site_id)
        .bind::<BigInt, _>(done)
        .bind::<BigInt, _>(total)
        .execute(&mut *self.lend()?)?;
        Ok(())
    }

    /// Notes that no comparison is under way or asked for any more.
    fn give_up(&self, site_id: i32) -> Result<(), StoreError> {
        sql("UPDATE match_settings SET asked_at = NULL, done = NULL, total = NULL WHERE site_id = $1")
            .bind::<Integer, _>(site_id)
            .execute(&mut *self.lend()?)?;
        Ok(())
    }

    /// Has a site's people compared at the next look.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn ask_for_matches(&self, site_id: i32) -> Result<(), StoreError> {
        sql("INSERT INTO match_settings (site_id, asked_at) VALUES ($1, clock_timestamp())
             ON CONFLICT (site_id) DO UPDATE SET asked_at = EXCLUDED.asked_at")
        .bind::<Integer, _>(site_id)
        .execute(&mut *self.lend()?)?;
        Ok(())
    }

    /// Settles from which probability on people are joined without asking, or that they never are. What it joins is
    /// compared once more before that.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn set_match_threshold(&self, site_id: i32, threshold: Option<f64>) -> Result<(), StoreError> {
        sql("INSERT INTO match_settings (site_id, threshold, asked_at) VALUES ($1, $2, clock_timestamp())
             ON CONFLICT (site_id) DO UPDATE SET threshold = EXCLUDED.threshold, asked_at = EXCLUDED.asked_at")
        .bind::<Integer, _>(site_id)
        .bind::<Nullable<Double>, _>(threshold)
        .execute(&mut *self.lend()?)?;
        Ok(())
    }
}

/// People of whom a user id or an e-mail address is known.
fn count_known(connection: &mut PgConnection, site_id: i32) -> Result<i64, StoreError> {
    let row: CountRow = sql("SELECT count(*) AS count FROM profiles WHERE site_id = $1 AND signed_up")
        .bind::<Integer, _>(site_id)
        .get_result(connection)?;
    Ok(row.count)
}
