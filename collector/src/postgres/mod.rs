//! The PostgreSQL that `segments` runs for itself when no `DATABASE_URL` is given.
//!
//! Every command that needs the database *claims* the server of a data folder. The first claim starts it, or adopts
//! one that a killed command left behind; further claims, of this process or of others, share it; the last one dropped
//! stops it. `segments serve` also supervises it: a server that was killed is started again at once.
//!
//! The server keeps `fsync`, `full_page_writes` and `synchronous_commit` on, listens on a Unix socket only that its
//! own user and root can reach, and does not run as root.

mod binaries;
mod home;
mod server;
#[cfg(test)]
mod tests;

use binaries::{Binaries, OLDEST_MAJOR};
use home::Home;
use rustix::process::Pid;
use server::Server;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a supervised server is looked at. A dead one is seen after half of this on average.
const SUPERVISION: Duration = Duration::from_millis(100);

/// Pause after a restart that failed, so that a full disk does not fill the log as well.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// A claim on the server of a data folder; the last claim dropped stops it.
///
/// A process that ends without dropping its claims, killed or through `std::process::exit`, leaves the server running
/// for the next command to adopt.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    server: Arc<Server>,
    /// Held for as long as the server is used; `None` until claimed.
    users: Option<File>,
    pid: Option<Pid>,
    supervisor: Option<Supervisor>,
}

/// The thread that watches a server.
#[derive(Debug)]
struct Supervisor {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl EmbeddedPostgres {
    /// Claims the server that lives in `data`/postgres: makes the folder and the cluster where they are missing, starts
    /// the server or adopts the one that runs, and waits until it takes connections. The database `segments` is there
    /// from the beginning.
    ///
    /// Several processes may claim at the same time. As root, the server runs as the owner of the folder, for a new one
    /// as the user `postgres` or, without such a user, `nobody`. Crash recovery is waited for, up to 15 minutes.
    ///
    /// # Errors
    /// Each names what to do; nothing that was started stays behind.
    pub fn claim(data: &Path) -> Result<Self, PostgresError> {
        let home = Home::prepare(data)?;
        let binaries = Binaries::find(&home.cluster(), home.made_by()?)?;
        let mut claim = EmbeddedPostgres {
            server: Arc::new(Server::new(home, binaries)),
            users: None,
            pid: None,
            supervisor: None,
        };
        claim.open()?;
        Ok(claim)
    }

    /// The rest of claiming. When it fails, dropping the claim undoes what was done.
    fn open(&mut self) -> Result<(), PostgresError> {
        let never = AtomicBool::new(false);
        let Some(_start) = self.server.lock_start(&never)? else { return Ok(()) };
        self.users = Some(self.server.home.join_users()?);
        self.server.make_cluster()?;
        self.pid = self.server.run(&never)?;
        Ok(())
    }

    /// Where libpq finds the database: a URL with the Unix socket's folder, the user and the database.
    ///
    /// It stays the same when the server is started again.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The path of one of the programs that belong to this server's version, for example `pg_dump`; clients are not
    /// installed everywhere.
    pub fn program(&self, name: &str) -> PathBuf {
        self.server.binaries.program(name)
    }

    /// Watches the server from now on, until the claim is dropped: if it dies, it is started again within about a
    /// fifth of a second plus its crash recovery. Of several supervisors in several processes one restarts it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn supervise(&mut self) -> Result<(), PostgresError> {
        if self.supervisor.is_some() {
            return Ok(());
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (server, pid, stopped) = (Arc::clone(&self.server), self.pid, Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || watch(&server, pid, &stopped))
            .map_err(PostgresError::io("watch", self.server.home.folder()))?;
        self.supervisor = Some(Supervisor { stop, thread });
        Ok(())
    }

    /// Leaves the users of the server, and stops it if nobody else is left.
    fn leave(&self) -> Result<(), PostgresError> {
        let Some(users) = &self.users else { return Ok(()) };
        let never = AtomicBool::new(false);
        let Some(_start) = self.server.lock_start(&never)? else { return Ok(()) };
        if self.server.home.leave_users(users)? { self.server.stop() } else { Ok(()) }
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.stop.store(true, Ordering::Release);
            supervisor.thread.thread().unpark();
            if supervisor.thread.join().is_err() {
                tracing::error!("the supervisor of the embedded PostgreSQL panicked");
            }
        }
        if let Err(error) = self.leave() {
            tracing::warn!(%error, "the embedded PostgreSQL may still run; the next command adopts it");
        }
    }
}

/// The supervisor's work.
fn watch(server: &Server, mut pid: Option<Pid>, stop: &AtomicBool) {
    let mut beats = 0_u32;
    while !stop.load(Ordering::Acquire) {
        // Dropping the claim unparks: no wait to its end.
        std::thread::park_timeout(SUPERVISION);
        beats = beats.wrapping_add(1);
        if pid.is_some_and(server::runs) {
            if beats.is_multiple_of(600) {
                server.trim_log();
            }
            continue;
        }
        if stop.load(Ordering::Acquire) {
            break;
        }
        tracing::warn!(pid = pid.map(Pid::as_raw_pid), "the embedded PostgreSQL is gone; starting it again");
        match server.lock_start(stop).and_then(|start| if start.is_some() { server.run(stop) } else { Ok(None) }) {
            Ok(started) => {
                pid = started;
                tracing::info!(pid = pid.map(Pid::as_raw_pid), "the embedded PostgreSQL runs again");
            }
            Err(error) => {
                tracing::error!(%error, "the embedded PostgreSQL does not start; trying again");
                std::thread::park_timeout(RESTART_PAUSE);
            }
        }
    }
}

/// The data folder of a command that names none: `/var/lib/segments` for root, else `segments` in `XDG_DATA_HOME` or
/// in `~/.local/share`.
///
/// # Errors
/// [`PostgresError::NoDataFolder`] when the environment knows no home either.
pub fn default_data_dir() -> Result<PathBuf, PostgresError> {
    data_dir(rustix::process::geteuid().is_root(), std::env::var_os("XDG_DATA_HOME"), std::env::var_os("HOME"))
}

fn data_dir(
    root: bool,
    xdg: Option<std::ffi::OsString>,
    home: Option<std::ffi::OsString>,
) -> Result<PathBuf, PostgresError> {
    if root {
        return Ok(PathBuf::from("/var/lib/segments"));
    }
    // The XDG specification: a relative path is invalid and ignored.
    let absolute = |value: Option<std::ffi::OsString>| value.map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(xdg)
        .or_else(|| absolute(home).map(|home| home.join(".local/share")))
        .map(|folder| folder.join("segments"))
        .ok_or(PostgresError::NoDataFolder)
}

/// Why the embedded PostgreSQL cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No server programs were found.
    #[error(
        "no PostgreSQL server of version {OLDEST_MAJOR} or newer found on {place}; install one (Debian and Ubuntu: \
         apt-get install postgresql), name its bin folder in SEGMENTS_PG_BIN, or set DATABASE_URL to use a server that \
         runs elsewhere"
    )]
    NotInstalled {
        /// Where it was looked for.
        place: String,
    },
    /// The data was made by another major version than the installed one.
    #[error(
        "{} was made by PostgreSQL {made_by}, this machine has {found} in {}; install PostgreSQL {made_by} or name its \
         bin folder in SEGMENTS_PG_BIN; to move to {found}, use pg_upgrade, or pg_dump under {made_by} and psql into a \
         new data folder", cluster.display(), folder.display()
    )]
    OtherVersion {
        /// PostgreSQL's data directory.
        cluster: PathBuf,
        /// The major version it belongs to.
        made_by: u32,
        /// The newest version found.
        found: u32,
        /// Where that is.
        folder: PathBuf,
    },
    /// The server's user cannot get to the data folder.
    #[error(
        "PostgreSQL does not run as root, and user id {uid} cannot reach {} because {} is closed to it; allow it with \
         `chmod o+x {}`, or choose another folder with --data", data.display(), parent.display(), parent.display()
    )]
    Closed {
        /// The folder it needs.
        data: PathBuf,
        /// The outermost parent that does not let it pass.
        parent: PathBuf,
        /// The server's user.
        uid: u32,
    },
    /// A folder that must be the server's alone is not.
    #[error(
        "{} must be a folder that belongs to user id {uid} and is closed to everybody else (mode 0700); run the command \
         as its owner or as root, mend it, or choose another folder with --data", folder.display()
    )]
    NotPrivate {
        /// The folder.
        folder: PathBuf,
        /// Whose it should be.
        uid: u32,
    },
    /// We are root and there is no user the server could run as.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user postgres nor nobody; create the user postgres"
    )]
    NoUser,
    /// Neither a home nor a data folder is known.
    #[error("no data folder: neither XDG_DATA_HOME nor HOME is an absolute path; name one with --data")]
    NoDataFolder,
    /// A file of the cluster does not say what it should.
    #[error("{} says {text:?}, which is no PostgreSQL version; restore the data folder from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it says.
        text: String,
    },
    /// The cluster could not be made.
    #[error("cannot make a PostgreSQL cluster in {}: {reason}", cluster.display())]
    Create {
        /// Where it should be.
        cluster: PathBuf,
        /// What initdb says.
        reason: String,
    },
    /// The server ended instead of taking connections.
    #[error("PostgreSQL does not start: {reason}; its log is {}", log.display())]
    Start {
        /// The end of its log.
        reason: String,
        /// The log file.
        log: PathBuf,
    },
    /// The server neither takes connections nor ends, or somebody keeps the start lock, for as long as we wait.
    #[error("{what} for {waited_s} s; look into {}, and try again", log.display())]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        waited_s: u64,
        /// The log file.
        log: PathBuf,
    },
    /// The operating system refused something.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl PostgresError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PostgresError {
        move |source| PostgresError::Io { doing, path: path.to_owned(), source }
    }
}
