//! The `segments` binary, as its users run it.

use crate::cluster::{Database, Folder};
use crate::{SOON, until};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The program under test: `SEGMENTS_BIN`, else the debug build beside this test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("SEGMENTS_BIN") {
        return PathBuf::from(path);
    }
    let own = std::env::current_exe().expect("the path of this test");
    // target/debug/deps/<test>
    let path = own.ancestors().nth(2).expect("a target folder").join("segments");
    assert!(path.exists(), "{} is missing; build it with: cargo build -p collector", path.display());
    path
}

/// A command of the program, with nothing of the tester's own environment that would lead it elsewhere.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    for name in ["DATABASE_URL", "PORT", "SEGMENTS_DATA", "SEGMENTS_LISTEN", "SEGMENTS_ROLE", "SEGMENTS_PUBLIC_URL"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs `segments` to its end on a database.
pub fn segments<S: AsRef<OsStr>>(database: &Database, arguments: &[S]) -> Output {
    command().args(arguments).env("DATABASE_URL", database.url()).output().expect("segments runs")
}

/// What a command that must succeed has printed.
#[track_caller]
pub fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// What a command that must fail has said on standard error.
#[track_caller]
pub fn fails(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it should have failed; it said {said}");
    said
}

/// A running `segments serve`; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    ready_line: String,
    log: PathBuf,
    // The log is in it.
    _folder: Folder,
}

impl Server {
    /// A server on a database.
    pub fn start(database: &Database, arguments: &[&str]) -> Server {
        let mut command = command();
        command.env("DATABASE_URL", database.url());
        Server::run(command, arguments)
    }

    /// A server with its own PostgreSQL in a data folder.
    pub fn embedded(data: &Path, arguments: &[&str]) -> Server {
        let mut command = command();
        command.arg("--data").arg(data);
        Server::run(command, arguments)
    }

    fn run(mut command: Command, arguments: &[&str]) -> Server {
        let folder = Folder::make();
        let log = folder.path().join("segments.log");
        command.arg("serve").args(arguments).stdout(Stdio::piped()).stderr(File::create(&log).expect("a log file"));
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command.spawn().expect("segments starts");
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        let (tell, told) = mpsc::channel();
        // Reads on to the end, so that the server never waits for a reader.
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let mut server =
            Server { child, address: ([127, 0, 0, 1], 0).into(), ready_line: String::new(), log, _folder: folder };
        let ready = loop {
            match told.recv_timeout(Duration::from_secs(120)) {
                Ok(line) if line.starts_with("ready: ") => break line,
                Ok(_) => {}
                Err(error) => panic!("segments is not ready ({error}): {}", server.log()),
            }
        };
        let url = ready.split_whitespace().nth(1).and_then(|url| url.strip_prefix("http://"));
        server.address = url
            .and_then(|url| url.trim_end_matches('/').parse().ok())
            .unwrap_or_else(|| panic!("no address in {ready:?}"));
        server.ready_line = ready;
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its origin, without a slash at the end.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it printed when it was ready.
    pub fn ready_line(&self) -> &str {
        &self.ready_line
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// `kill -9`, as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server is killed");
        self.child.wait().expect("the server is gone");
    }

    /// SIGTERM, and the end of the drain.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        until("the server to drain and end", Duration::from_secs(60), || self.child.try_wait().expect("its status"))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        signal_process(self.child.id(), signal);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the end of the server's log\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that a test has started, by its id.
///
/// # Panics
/// When there is no such process.
pub fn signal_process(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).unwrap_or_else(|error| panic!("no signal to {pid:?}: {error}"));
}

/// The process id of the PostgreSQL that runs in a data folder; `None` while none does.
pub fn postmaster(data: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(data.join("postgres/cluster/postmaster.pid")).ok()?;
    let pid = text.lines().next()?.trim().parse().ok()?;
    // The file of a server that was killed stays; a zombie is none that runs.
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let state = status.rsplit_once(") ")?.1.chars().next()?;
    (state != 'Z').then_some(pid)
}

/// The server must be able to store within [`SOON`].
pub fn wait_until_ready(server: &Server) {
    let web = crate::Web::new(&server.origin());
    until("the server to be able to store", SOON, || (web.get("/readyz").status == 200).then_some(()));
}
