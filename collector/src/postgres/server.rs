//! Making, starting, finding and stopping the server of a folder.

use super::PostgresError;
use super::binaries::Binaries;
use super::home::{Home, PORT};
use rustix::process::{Pid, Signal, WaitOptions};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The role and the database are named alike.
const NAME: &str = "segments";

/// How often the server's state is looked at while it is waited for. Files and locks have nothing to wait on.
const POLL: Duration = Duration::from_millis(10);

/// Crash recovery reads up to `max_wal_size` again; slow disks take minutes for that.
const LONGEST_START: Duration = Duration::from_secs(15 * 60);

/// What a predecessor's remains may delay a start: they are retried this long.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// A fast shutdown writes a checkpoint of at most `shared_buffers`; after that the server is told to end at once and
/// recovers at its next start.
const LONGEST_STOP: Duration = Duration::from_secs(60);

/// Ending at once is a matter of milliseconds.
const LONGEST_QUIT: Duration = Duration::from_secs(10);

/// A killed server stays a zombie until its parent notices, usually at once. After this its lock files are removed.
const ZOMBIE_PATIENCE: Duration = Duration::from_secs(2);

/// Queries that outlive a killed server keep the next one from starting; they may end by themselves this long.
const ORPHAN_PATIENCE: Duration = Duration::from_millis(500);

/// The log is cut at this size; one older part is kept.
const LOG_LIMIT: u64 = 8 << 20;

/// What a start log may say that passes: the previous server, or what is left of it, still goes away.
const LOCK_HELD: &str = "lock file";
const MEMORY_HELD: &str = "shared memory block";

/// Settings of every start. They stand in the cluster's `segments.conf`, so that `ALTER SYSTEM` can override them.
/// What must not be overridden is on the command line, see [`Server::spawn`].
const SETTINGS: &str = "\
# Written by segments at each start; use ALTER SYSTEM to change a setting.
max_connections = 100
shared_buffers = 256MB
work_mem = 16MB
maintenance_work_mem = 128MB
# Monthly partitions: a statement that touches all of them locks each with its index.
max_locks_per_transaction = 256
# Few large checkpoints: less is written twice. Recovery reads at most this much.
max_wal_size = 2GB
min_wal_size = 256MB
checkpoint_timeout = 10min
# Solid-state disks; compiling a query takes longer than our queries do.
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
# English, because the start reads the log; without statements and values, because those are personal data.
lc_messages = 'C'
log_min_error_statement = panic
log_error_verbosity = terse
log_checkpoints = off
";

/// The server of one folder, running or not.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) home: Home,
    pub(super) binaries: Binaries,
    /// PostgreSQL's data directory.
    cluster: PathBuf,
}

/// What `postmaster.pid` says.
#[derive(Debug, PartialEq, Eq)]
struct PidFile {
    pid: Pid,
    port: u16,
    sockets: PathBuf,
    ready: bool,
}

/// How one start ended.
enum Attempt {
    Running(Pid),
    /// The server ended; what it said, and whether that may pass.
    Ended(String),
}

impl Server {
    pub(super) fn new(home: Home, binaries: Binaries) -> Self {
        Server { cluster: home.cluster(), home, binaries }
    }

    pub(super) fn url(&self) -> String {
        let mut host = String::new();
        for &byte in self.home.sockets().as_os_str().as_bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                host.push(char::from(byte));
            } else {
                host.push_str(&format!("%{byte:02X}"));
            }
        }
        format!("postgresql://{NAME}@/{NAME}?host={host}&port={PORT}")
    }

    /// Waits for the lock under which servers are started and stopped; `None` when cancelled.
    pub(super) fn lock_start(&self, cancelled: &AtomicBool) -> Result<Option<File>, PostgresError> {
        let mut wait = Wait::new("another segments command has been starting or stopping PostgreSQL", LONGEST_START);
        while !cancelled.load(Ordering::Acquire) {
            if let Some(lock) = self.home.try_lock_start()? {
                return Ok(Some(lock));
            }
            wait.a_moment(self)?;
        }
        Ok(None)
    }

    /// Makes the cluster unless it is there. It appears whole or not at all: made beside its place, then renamed.
    pub(super) fn make_cluster(&self) -> Result<(), PostgresError> {
        if self.cluster.exists() {
            return Ok(());
        }
        self.remove_unfinished()?;
        tracing::info!(version = self.binaries.major, folder = %self.cluster.display(), "making a PostgreSQL cluster");
        let new = self.cluster.with_extension(format!("new.{}", std::process::id()));
        let made = self.fill_cluster(&new);
        if made.is_err() {
            self.remove_unfinished()?;
        }
        made?;
        fs::rename(&new, &self.cluster).map_err(PostgresError::io("rename to", &self.cluster))?;
        let folder = self.home.folder();
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(PostgresError::io("sync", folder))
    }

    /// What a command killed while it made a cluster has left.
    fn remove_unfinished(&self) -> Result<(), PostgresError> {
        let folder = self.home.folder();
        for entry in fs::read_dir(folder).map_err(PostgresError::io("read", folder))? {
            let path = entry.map_err(PostgresError::io("read", folder))?.path();
            if path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"cluster.new.")) {
                fs::remove_dir_all(&path).map_err(PostgresError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn fill_cluster(&self, new: &Path) -> Result<(), PostgresError> {
        // Text sorts by bytes: the same order on every machine and after every libc update, so that an index never
        // silently goes wrong. Upper and lower case know all letters where the C.UTF-8 locale exists.
        self.initdb(new, "C.UTF-8").or_else(|_| self.initdb(new, "C"))?;
        self.home.write(
            &new.join("pg_hba.conf"),
            "# See who can reach the socket: nobody but its user and root.\n\
             local all all trust\nlocal replication all trust\n",
        )?;
        let conf = new.join("postgresql.conf");
        let text = fs::read_to_string(&conf).map_err(PostgresError::io("read", &conf))?;
        self.home.write(&conf, &format!("{text}\ninclude_if_exists 'segments.conf'\n"))?;
        let mut single = self
            .home
            .command(&self.binaries.program("postgres"))
            .args(["--single", "-c", "exit_on_error=on", "-D"])
            .arg(new)
            .arg("template1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(PostgresError::io("run", &self.binaries.program("postgres")))?;
        if let Some(mut stdin) = single.stdin.take() {
            // A server that has already ended does not read this; its exit status tells.
            match stdin.write_all(format!("CREATE DATABASE {NAME}\n").as_bytes()) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    return Err(PostgresError::io("write to", &self.binaries.program("postgres"))(error));
                }
                _ => {}
            }
        }
        let output = single.wait_with_output().map_err(PostgresError::io("wait for", new))?;
        self.made(&output)
    }

    fn initdb(&self, new: &Path, ctype: &str) -> Result<(), PostgresError> {
        let program = self.binaries.program("initdb");
        let output = self
            .home
            .command(&program)
            .arg("--pgdata")
            .arg(new)
            .args(["--username", NAME, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--lc-ctype", ctype])
            .args(["--data-checksums", "--no-instructions"])
            .output()
            .map_err(PostgresError::io("run", &program))?;
        self.made(&output)
    }

    fn made(&self, output: &Output) -> Result<(), PostgresError> {
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(PostgresError::Create {
            cluster: self.cluster.clone(),
            reason: complaint(&said, &output.status.to_string()),
        })
    }

    /// Makes sure that the server runs and takes connections; `None` when cancelled. Call it under the start lock.
    pub(super) fn run(&self, cancelled: &AtomicBool) -> Result<Option<Pid>, PostgresError> {
        let begun = Instant::now();
        let mut wait = Wait::new("PostgreSQL has not been taking connections", LONGEST_START);
        while !cancelled.load(Ordering::Acquire) {
            if let Some(found) = self.running() {
                // Adopted. It may be starting, or stopping by somebody else's wish: then its turn ends soon.
                if found.ready && self.answers(&found) {
                    return Ok(Some(found.pid));
                }
                wait.a_moment(self)?;
                continue;
            }
            match self.start(cancelled, &mut wait)? {
                Attempt::Running(pid) => return Ok(Some(pid)),
                Attempt::Ended(reason) => {
                    let passing = reason.contains(LOCK_HELD) || reason.contains(MEMORY_HELD);
                    if !passing || begun.elapsed() > LONGEST_RETRY {
                        return Err(PostgresError::Start { reason, log: self.home.log() });
                    }
                    if reason.contains(LOCK_HELD) && begun.elapsed() > ZOMBIE_PATIENCE {
                        self.remove_lock_files()?;
                    }
                    if reason.contains(MEMORY_HELD) && begun.elapsed() > ORPHAN_PATIENCE {
                        self.quit_orphans();
                    }
                    std::thread::park_timeout(10 * POLL);
                }
            }
        }
        Ok(None)
    }

    /// Starts the server and waits until it takes connections or ends. When cancelled it is left starting.
    fn start(&self, cancelled: &AtomicBool, wait: &mut Wait) -> Result<Attempt, PostgresError> {
        self.trim_log();
        self.home.write(&self.cluster.join("segments.conf"), &self.settings())?;
        let mut log = self.home.open("postgres.log", true)?;
        let log_path = self.home.log();
        let before = log.seek(SeekFrom::End(0)).map_err(PostgresError::io("read", &log_path))?;
        let mut child = self.spawn(&log)?;
        let pid = Pid::from_child(&child);
        loop {
            if let Some(status) = child.try_wait().map_err(PostgresError::io("wait for", &self.cluster))? {
                let mut said = String::new();
                log.seek(SeekFrom::Start(before))
                    .and_then(|_| log.take(1 << 16).read_to_string(&mut said))
                    .map_err(PostgresError::io("read", &log_path))?;
                return Ok(Attempt::Ended(complaint(&said, &status.to_string())));
            }
            // Even when cancelled, not before the server can be found: whoever cancels may want to stop it.
            let wanted = |file: PidFile| file.pid == pid && (file.ready || cancelled.load(Ordering::Acquire));
            if self.pid_file().is_some_and(wanted) {
                return Ok(Attempt::Running(pid));
            }
            if let Err(error) = wait.a_moment(self) {
                end(pid, Signal::QUIT);
                child.wait().map_err(PostgresError::io("wait for", &self.cluster))?;
                return Err(error);
            }
        }
    }

    fn spawn(&self, log: &File) -> Result<Child, PostgresError> {
        let program = self.binaries.program("postgres");
        let copy = || log.try_clone().map_err(PostgresError::io("open", &self.home.log()));
        self.home
            .command(&program)
            .arg("-D")
            .arg(&self.cluster)
            .args(["-c", "listen_addresses=", "-c", "unix_socket_permissions=0700"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.socket_list()))
            .args(["-c", &format!("port={PORT}")])
            // An answer of 200 means stored; these make it true. Nothing may turn them off.
            .args(["-c", "fsync=on", "-c", "full_page_writes=on", "-c", "synchronous_commit=on"])
            .args(["-c", "logging_collector=off", "-c", "log_destination=stderr"])
            .stdout(copy()?)
            .stderr(copy()?)
            // Ctrl-C and Ctrl-Z go to the terminal's foreground group: a group of its own is out of their reach, so that
            // the collector can drain first. (A session of its own would add nothing: the server opens no terminal.)
            .process_group(0)
            .spawn()
            .map_err(PostgresError::io("run", &program))
    }

    fn settings(&self) -> String {
        // Not every build has lz4; the server itself knows best. pglz costs more than the bytes it saves.
        let lz4 = self.binaries.major >= 15
            && self
                .home
                .command(&self.binaries.program("postgres"))
                .args(["-C", "wal_compression", "-c", "wal_compression=lz4", "-D"])
                .arg(&self.cluster)
                .stderr(Stdio::null())
                .stdout(Stdio::null())
                .status()
                .is_ok_and(|status| status.success());
        let lz4 = if lz4 { "lz4" } else { "off" };
        // The doors stand here as well, for those who start the cluster by hand: it trusts whoever reaches the socket.
        let sockets = self.socket_list().replace('\'', "''");
        format!(
            "{SETTINGS}wal_compression = {lz4}\nlisten_addresses = ''\nport = {PORT}\nunix_socket_permissions = 0700\n\
             unix_socket_directories = '{sockets}'\n"
        )
    }

    /// The socket's folder as an item of PostgreSQL's lists, which end at commas.
    fn socket_list(&self) -> String {
        format!("\"{}\"", self.home.sockets().display().to_string().replace('"', "\"\""))
    }

    /// Stops the server if it runs, and waits until it is gone. Call it under the start lock.
    pub(super) fn stop(&self) -> Result<(), PostgresError> {
        let Some(found) = self.running() else { return Ok(()) };
        // Fast: rolls back, disconnects, checkpoints. A server in crash recovery ends too.
        for (signal, limit) in [(Signal::INT, LONGEST_STOP), (Signal::QUIT, LONGEST_QUIT)] {
            end(found.pid, signal);
            let asked = Instant::now();
            while asked.elapsed() < limit {
                if !runs(found.pid) {
                    return Ok(());
                }
                std::thread::park_timeout(POLL);
            }
            tracing::warn!(
                pid = found.pid.as_raw_pid(),
                ?signal,
                ?limit,
                "the embedded PostgreSQL did not stop in time"
            );
        }
        Err(PostgresError::Timeout {
            what: "PostgreSQL has been stopping",
            waited_s: (LONGEST_STOP + LONGEST_QUIT).as_secs(),
            log: self.home.log(),
        })
    }

    /// The server of this folder, if it runs: what `postmaster.pid` names may also be long dead and its number another
    /// program's.
    fn running(&self) -> Option<PidFile> {
        self.pid_file().filter(|file| runs(file.pid) && self.is_server(file))
    }

    fn is_server(&self, file: &PidFile) -> bool {
        // A server works in its data directory. Where the system does not show that, one that answers is one.
        match fs::read_link(format!("/proc/{}/cwd", file.pid.as_raw_pid())) {
            Ok(cwd) => cwd == self.cluster,
            Err(_) => self.answers(file),
        }
    }

    fn answers(&self, file: &PidFile) -> bool {
        match UnixStream::connect(file.sockets.join(format!(".s.PGSQL.{}", file.port))) {
            Ok(_) => true,
            // So many are waiting that one more is refused: it lives.
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }

    fn pid_file(&self) -> Option<PidFile> {
        fs::read_to_string(self.cluster.join("postmaster.pid")).ok().as_deref().and_then(PidFile::parse)
    }

    /// Removes the lock files of a server that is dead although a process has its number: PostgreSQL itself cannot tell
    /// a zombie, or after a restart of a container another program, from itself. Its check of the shared memory still
    /// keeps two servers off one cluster.
    fn remove_lock_files(&self) -> Result<(), PostgresError> {
        if self.running().is_some() {
            return Ok(());
        }
        let socket_lock = self.home.sockets().join(format!(".s.PGSQL.{PORT}.lock"));
        for path in [self.cluster.join("postmaster.pid"), socket_lock] {
            match fs::remove_file(&path) {
                Ok(()) => tracing::warn!(file = %path.display(), "removed a dead PostgreSQL server's lock"),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(PostgresError::io("remove", &path)(error)),
            }
        }
        Ok(())
    }

    /// Ends the queries of a killed server: they notice its death only when they next wait for their client, and until
    /// then no new server can start.
    fn quit_orphans(&self) {
        if self.running().is_some() {
            return;
        }
        let Ok(processes) = fs::read_dir("/proc") else { return };
        for process in processes.flatten() {
            let pid = process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            let works_here = fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == self.cluster);
            let is_postgres = fs::read_link(process.path().join("exe")).is_ok_and(|exe| exe.ends_with("postgres"));
            if let Some(pid) = pid.filter(|_| works_here && is_postgres) {
                tracing::warn!(pid = pid.as_raw_pid(), "ending a query of the PostgreSQL server that was killed");
                end(pid, Signal::QUIT);
            }
        }
    }

    /// Keeps the log small: its start goes to `postgres.log.1`. The server appends, so cutting the file is enough.
    pub(super) fn trim_log(&self) {
        let path = self.home.log();
        if fs::metadata(&path).is_ok_and(|meta| meta.len() < LOG_LIMIT) {
            return;
        }
        let trimmed = self.home.open("postgres.log", true).and_then(|mut log| {
            let mut old = self.home.open("postgres.log.1", false)?;
            old.set_len(0)
                .and_then(|()| std::io::copy(&mut log, &mut old))
                .and_then(|_| log.set_len(0))
                .map_err(PostgresError::io("trim", &path))
        });
        if let Err(error) = trimmed {
            tracing::warn!(%error, "the log of the embedded PostgreSQL grows");
        }
    }
}

impl PidFile {
    /// Lines: pid, data directory, start time, port, socket folder, TCP address, shared memory, state.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Some(PidFile {
            pid: Pid::from_raw(lines.first()?.parse().ok().filter(|&pid: &i32| pid > 1)?)?,
            port: lines.get(3).and_then(|port| port.parse().ok()).unwrap_or(PORT),
            sockets: lines.get(4).map(PathBuf::from).unwrap_or_default(),
            ready: lines.get(7) == Some(&"ready"),
        })
    }
}

/// Waiting with a limit, and a word to the user when it takes long.
struct Wait {
    what: &'static str,
    limit: Duration,
    since: Instant,
    said: Instant,
}

impl Wait {
    fn new(what: &'static str, limit: Duration) -> Self {
        Wait { what, limit, since: Instant::now(), said: Instant::now() }
    }

    fn a_moment(&mut self, server: &Server) -> Result<(), PostgresError> {
        if self.since.elapsed() > self.limit {
            let log = server.home.log();
            return Err(PostgresError::Timeout { what: self.what, waited_s: self.limit.as_secs(), log });
        }
        if self.said.elapsed() > Duration::from_secs(10) {
            self.said = Instant::now();
            tracing::info!(seconds = self.since.elapsed().as_secs(), "{}; waiting", self.what);
        }
        std::thread::park_timeout(POLL);
        Ok(())
    }
}

/// Whether a process runs. A zombie does not; one of our own is buried on the way.
pub(super) fn runs(pid: Pid) -> bool {
    if let Ok(Some(_)) = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG) {
        return false;
    }
    if rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
        return false;
    }
    // `pid (name) state …`; the name may contain anything. Elsewhere than on Linux, what can be signalled runs.
    fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid()))
        .map_or(true, |stat| !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X'])))
}

/// Signals a process; one that is gone by now needs none.
fn end(pid: Pid, signal: Signal) {
    match rustix::process::kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => tracing::warn!(%error, pid = pid.as_raw_pid(), ?signal, "cannot signal the embedded PostgreSQL"),
    }
}

/// The end of a program's output, without times and process numbers.
fn complaint(output: &str, status: &str) -> String {
    const LEVELS: [&str; 7] = ["LOG:", "WARNING:", "ERROR:", "FATAL:", "PANIC:", "DETAIL:", "error:"];
    let lines: Vec<&str> = output
        .lines()
        .map(|line| LEVELS.iter().find_map(|level| line.split_once(level)).map_or(line, |(_, rest)| rest).trim())
        .filter(|line| !line.is_empty())
        .collect();
    match lines.len() {
        0 => format!("it ended without a word ({status})"),
        n => format!("{} ({status})", lines[n.saturating_sub(4)..].join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_of_a_running_server_is_read() {
        let text = "4711\n/data/cluster\n1700000000\n5432\n/data/run\n\n  5432001  32768\nready   \n";
        let file = PidFile::parse(text).unwrap();
        assert_eq!(file.pid.as_raw_pid(), 4711);
        assert_eq!((file.port, file.sockets.as_path(), file.ready), (5432, Path::new("/data/run"), true));
        assert!(!PidFile::parse("4711\n/data\n1\n5432\n/run\n\n1 2\nstarting\n").unwrap().ready);
        // Half written, empty, and numbers that a signal must never go to.
        assert_eq!(PidFile::parse("4711").map(|file| file.ready), Some(false));
        for text in ["", "x", "-1\n", "0\n", "1\n"] {
            assert_eq!(PidFile::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_complaint_is_what_went_wrong_without_times() {
        let log = "2026-01-01 10:00:00 UTC [12] LOG:  invalid value\n\
                   2026-01-01 10:00:00 UTC [12] FATAL:  lock file \"x\" already exists\n";
        assert_eq!(complaint(log, "exit 1"), "invalid value; lock file \"x\" already exists (exit 1)");
        assert_eq!(complaint("no level\n", "exit 1"), "no level (exit 1)");
        assert_eq!(complaint("", "exit 1"), "it ended without a word (exit 1)");
    }
}
