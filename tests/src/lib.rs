//! The harness of the end-to-end tests: a real `segments`, a real PostgreSQL, and words to tell stories in.
//!
//! Each test has a database of its own: [`Database::fresh`] copies a migrated template in the one PostgreSQL cluster
//! that the tests of a process share, [`Server`] runs the `segments` binary on it, and [`Shop`] is both with a site in
//! it. Tests that kill PostgreSQL give the server a data folder instead ([`Server::embedded`]).
//!
//! What happens later is waited for with [`until`], which has a deadline; nothing sleeps, nothing is tried twice.

pub mod browser;
pub mod cluster;
pub mod load;
pub mod npm;
pub mod pages;
pub mod people;
mod program;
pub mod proxy;
pub mod pypi;
pub mod server;
pub mod shop;
pub mod speech;
pub mod synthetic;
pub mod tag;
pub mod vendor;
pub mod web;

pub use cluster::Database;
pub use server::{Server, segments};
pub use shop::{Keys, Shop};
pub use web::{Reply, Web};

use std::time::{Duration, Instant};

/// How long something may take that is nearly always there at once. Generous, because a busy machine is no bug.
pub const SOON: Duration = Duration::from_secs(20);

/// Looks until there is something to see, and gives that back.
///
/// # Panics
/// When `limit` has passed, naming `what` was waited for.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::park_timeout(Duration::from_millis(15));
    }
}

/// Whether the long counts are run (`cargo xtask test --full`).
pub fn is_full() -> bool {
    std::env::var_os("SEGMENTS_FULL").is_some_and(|value| value == "1")
}

/// `full` rounds in a full run, otherwise `few`.
pub fn rounds(few: u32, full: u32) -> u32 {
    if is_full() { full } else { few }
}
