//! The embedded server, really started, stopped and killed.

use super::server::runs;
use super::*;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use rustix::process::{Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// Generous: two cores may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data folder that the server's user can reach, also as root.
fn data() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

fn server_pid(data: &Path) -> Option<Pid> {
    let text = fs::read_to_string(data.join("postgres/cluster/postmaster.pid")).ok()?;
    text.lines().next()?.parse().ok().and_then(Pid::from_raw)
}

fn connect(claim: &EmbeddedPostgres) -> PgConnection {
    PgConnection::establish(&claim.url()).unwrap()
}

fn number(connection: &mut PgConnection, sql: &str) -> i64 {
    diesel::select(diesel::dsl::sql::<BigInt>(sql)).get_result(connection).unwrap()
}

fn setting(connection: &mut PgConnection, name: &str) -> String {
    diesel::select(diesel::dsl::sql::<Text>(&format!("current_setting('{name}')"))).get_result(connection).unwrap()
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Another process with a claim on the folder. It lets go when `stdin` closes.
struct Neighbour(Child, Lines<BufReader<ChildStdout>>);

impl Neighbour {
    fn claims(data: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("{}::neighbour", module()), "--nocapture"])
            .env("NEIGHBOUR_DATA", data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(
            lines.by_ref().map_while(Result::ok).any(|line| line.contains("neighbour is here")),
            "the neighbour got no claim"
        );
        Neighbour(child, lines)
    }

    fn leaves(mut self) {
        drop(self.0.stdin.take());
        let said: Vec<String> = self.1.by_ref().map_while(Result::ok).collect();
        assert!(self.0.wait().unwrap().success(), "{said:?}");
    }

    fn gets_killed(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The path of this module without the crate's name, as the test runner calls it.
fn module() -> &'static str {
    module_path!().split_once("::").unwrap().1
}

#[test]
/// Not a test of its own: the others run it in a process of its own, told by the variable.
fn neighbour() {
    let Some(data) = std::env::var_os("NEIGHBOUR_DATA") else { return };
    let claim = EmbeddedPostgres::claim(Path::new(&data)).unwrap();
    println!("\nneighbour is here");
    let end = std::io::stdin().lines().count();
    assert_eq!(end, 0);
    drop(claim);
}

#[test]
fn the_last_claim_stops_the_server_and_the_data_stays() {
    let data = data();
    let claim = EmbeddedPostgres::claim(data.path()).unwrap();
    connect(&claim).batch_execute("create table kept as select 7::bigint as n").unwrap();
    let pid = server_pid(data.path()).unwrap();
    drop(claim);
    assert!(!runs(pid));
    assert_eq!(server_pid(data.path()), None);

    let began = Instant::now();
    let claim = EmbeddedPostgres::claim(data.path()).unwrap();
    assert_eq!(number(&mut connect(&claim), "(select n from kept)"), 7);
    drop(claim);
    assert!(began.elapsed() < Duration::from_secs(10), "start, read and stop took {:?}", began.elapsed());
}

#[test]
fn acknowledged_means_on_disk_and_nothing_listens_but_the_private_socket() {
    let data = data();
    let claim = EmbeddedPostgres::claim(data.path()).unwrap();
    let mut connection = connect(&claim);
    let expected = [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("max_connections", "100"),
        ("server_encoding", "UTF8"),
        ("lc_collate", "C"),
        ("timezone", "UTC"),
    ];
    for (name, value) in expected {
        // lc_collate is no setting any more since version 16.
        if name == "lc_collate" && claim.server.binaries.major >= 16 {
            continue;
        }
        assert_eq!(setting(&mut connection, name), value, "{name}");
    }
    let folder = data.path().join("postgres");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(folder.join("run")).unwrap().permissions().mode() & 0o777, 0o700);
    if root() {
        // The folder is closed to a stranger, and so is the socket in it.
        let stranger =
            Command::new("/bin/ls").arg(folder.join("run")).uid(54_321).stderr(Stdio::null()).status().unwrap();
        assert!(!stranger.success());
        let user = number(&mut connection, "(select count(*) from pg_stat_activity where usename = 'segments')");
        assert!(user >= 1);
    }
}

#[test]
fn claims_at_the_same_moment_share_one_server() {
    let data = data();
    let claims: Vec<EmbeddedPostgres> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| EmbeddedPostgres::claim(data.path()).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let pid = server_pid(data.path()).unwrap();
    assert!(claims.iter().all(|claim| claim.pid == Some(pid)));
    for claim in claims {
        assert_eq!(number(&mut connect(&claim), "1::bigint"), 1);
        drop(claim);
    }
    assert!(!runs(pid));
}

#[test]
fn processes_share_the_server_and_the_last_one_stops_it() {
    let data = data();
    let neighbour = Neighbour::claims(data.path());
    let pid = server_pid(data.path()).unwrap();
    let claim = EmbeddedPostgres::claim(data.path()).unwrap();
    assert_eq!(claim.pid, Some(pid));
    neighbour.leaves();
    assert_eq!(number(&mut connect(&claim), "1::bigint"), 1);
    let second = Neighbour::claims(data.path());
    drop(claim);
    assert!(runs(pid), "a neighbour still uses it");
    second.leaves();
    eventually("the server stops", || (!runs(pid)).then_some(()));
}

#[test]
fn a_server_left_by_a_killed_command_is_adopted_and_stopped_in_the_end() {
    let data = data();
    let neighbour = Neighbour::claims(data.path());
    let pid = server_pid(data.path()).unwrap();
    neighbour.gets_killed();
    assert!(runs(pid), "nobody stopped it");
    let claim = EmbeddedPostgres::claim(data.path()).unwrap();
    assert_eq!(claim.pid, Some(pid));
    drop(claim);
    eventually("the server stops", || (!runs(pid)).then_some(()));
}

#[test]
fn a_killed_server_is_started_again_with_all_it_had_committed() {
    let data = data();
    let mut claim = EmbeddedPostgres::claim(data.path()).unwrap();
    claim.supervise().unwrap();
    let url = claim.url();
    connect(&claim).batch_execute("create table kept (n bigint)").unwrap();
    for round in 1..=3 {
        connect(&claim).batch_execute(&format!("insert into kept values ({round})")).unwrap();
        let pid = server_pid(data.path()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        let killed = Instant::now();
        let mut connection = eventually("the server is back", || {
            (server_pid(data.path()) != Some(pid)).then(|| PgConnection::establish(&url).ok())?
        });
        println!("back after {:?}", killed.elapsed());
        assert_eq!(number(&mut connection, "(select count(*) from kept)"), round);
    }
    drop(claim);
    assert_eq!(server_pid(data.path()), None);
}

#[test]
fn a_claim_dropped_while_its_server_is_started_again_leaves_none_behind() {
    let data = data();
    for round in 0..4 {
        let mut claim = EmbeddedPostgres::claim(data.path()).unwrap();
        claim.supervise().unwrap();
        let pid = server_pid(data.path());
        kill_process(pid.unwrap(), Signal::KILL).unwrap();
        if round > 1 {
            eventually("the next server shows", || (server_pid(data.path()) != pid).then_some(()));
        }
        drop(claim);
        // A killed server may still be on its way out; one that was left behind would stay.
        eventually(&format!("no server is left in round {round}"), || {
            server_pid(data.path()).is_none_or(|left| !runs(left)).then_some(())
        });
    }
}

#[test]
fn a_query_that_outlives_its_server_does_not_hold_up_the_next_one() {
    let data = data();
    let mut claim = EmbeddedPostgres::claim(data.path()).unwrap();
    claim.supervise().unwrap();
    let url = claim.url();
    let mut busy = connect(&claim);
    let backend = number(&mut busy, "pg_backend_pid()::bigint");
    let query = std::thread::spawn(move || {
        // Never waits for its client, so it does not notice that its server is gone.
        busy.batch_execute("do $$ declare n bigint := 0; begin loop n := n + 1; end loop; end $$").unwrap_err()
    });
    let mut looker = connect(&claim);
    eventually("the query runs", || {
        let sql = format!("(select count(*) from pg_stat_activity where pid = {backend} and query like 'do %')");
        (number(&mut looker, &sql) == 1).then_some(())
    });
    let pid = server_pid(data.path()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let mut connection = eventually("the server is back", || {
        (server_pid(data.path()) != Some(pid)).then(|| PgConnection::establish(&url).ok())?
    });
    assert_eq!(number(&mut connection, "1::bigint"), 1);
    query.join().unwrap();
}

#[test]
fn a_dead_server_that_its_parent_has_not_buried_does_not_hold_up_the_next_one() {
    let data = data();
    let neighbour = Neighbour::claims(data.path());
    let pid = server_pid(data.path()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let claim = EmbeddedPostgres::claim(data.path()).unwrap();
    assert_ne!(claim.pid, Some(pid));
    assert_eq!(number(&mut connect(&claim), "1::bigint"), 1);
    drop(claim);
    let second = server_pid(data.path()).unwrap();
    neighbour.leaves();
    eventually("the neighbour stops the server it did not start", || (!runs(second)).then_some(()));
}

#[test]
fn a_pid_file_that_names_another_program_is_stale() {
    let data = data();
    let claim = EmbeddedPostgres::claim(data.path()).unwrap();
    let cluster = claim.server.home.cluster();
    let running = fs::read_to_string(cluster.join("postmaster.pid")).unwrap();
    // PostgreSQL believes in any process of its own user.
    let mut sleep = claim.server.home.command(Path::new("/bin/sleep"));
    let mut stranger = sleep.arg("120").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    drop(claim);
    let rest = running.split_once('\n').unwrap().1;
    fs::write(cluster.join("postmaster.pid"), format!("{}\n{rest}", stranger.id())).unwrap();
    let claim = EmbeddedPostgres::claim(data.path()).unwrap();
    assert_eq!(number(&mut connect(&claim), "1::bigint"), 1);
    drop(claim);
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was left alone");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_long_path_with_odd_letters_works() {
    let data = data();
    let long = data.path().join("a folder, with 'odd' \"letters\" é%").join("x".repeat(120));
    let parent = long.parent().unwrap();
    fs::create_dir(parent).unwrap();
    let claim = EmbeddedPostgres::claim(&long).unwrap();
    assert_eq!(number(&mut connect(&claim), "1::bigint"), 1);
    let sockets = claim.server.home.sockets().to_owned();
    assert!(sockets.starts_with("/tmp"), "{}", sockets.display());
    assert_eq!(fs::metadata(&sockets).unwrap().permissions().mode() & 0o777, 0o700);
    drop(claim);
    fs::remove_dir(&sockets).unwrap();
    // Short enough for a socket of its own; a comma is not possible there.
    let odd = data.path().join("'odd' \"é%&");
    let claim = EmbeddedPostgres::claim(&odd).unwrap();
    assert_eq!(number(&mut connect(&claim), "1::bigint"), 1);
    assert!(claim.server.home.sockets().ends_with("postgres/run"));
}

#[test]
fn the_data_of_another_major_version_is_refused_with_the_way_out() {
    let data = data();
    drop(EmbeddedPostgres::claim(data.path()).unwrap());
    fs::write(data.path().join("postgres/cluster/PG_VERSION"), "9\n").unwrap();
    let said = EmbeddedPostgres::claim(data.path()).unwrap_err().to_string();
    assert!(said.contains("made by PostgreSQL 9") && said.contains("pg_upgrade"), "{said}");
}

#[test]
fn a_parent_that_the_server_cannot_pass_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let data = folder.path().join("deep/data");
    let claimed = EmbeddedPostgres::claim(&data);
    if root() {
        let said = claimed.unwrap_err().to_string();
        assert!(said.contains(&format!("chmod o+x {}`", folder.path().display())), "{said}");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        EmbeddedPostgres::claim(&data).unwrap();
    } else {
        // One's own closed folder is no obstacle to oneself.
        claimed.unwrap();
    }
}

#[test]
fn a_folder_that_is_open_to_others_is_refused() {
    let data = data();
    fs::create_dir(data.path().join("postgres")).unwrap();
    fs::set_permissions(data.path().join("postgres"), fs::Permissions::from_mode(0o755)).unwrap();
    let said = EmbeddedPostgres::claim(data.path()).unwrap_err().to_string();
    assert!(said.contains("0700"), "{said}");
}

#[test]
fn a_server_that_does_not_start_says_why_and_leaves_nothing_behind() {
    let data = data();
    drop(EmbeddedPostgres::claim(data.path()).unwrap());
    let settings = data.path().join("postgres/cluster/postgresql.auto.conf");
    fs::write(&settings, "shared_buffers = 'lots'\n").unwrap();
    let said = EmbeddedPostgres::claim(data.path()).unwrap_err().to_string();
    assert!(said.contains("shared_buffers") && said.contains("postgres.log"), "{said}");
    fs::write(&settings, "").unwrap();
    drop(EmbeddedPostgres::claim(data.path()).unwrap());
    assert_eq!(server_pid(data.path()), None, "an earlier claim still counted");
}

#[test]
fn a_cluster_that_was_never_finished_is_made_again() {
    let data = data();
    let unfinished = data.path().join("postgres/cluster.new.1");
    fs::create_dir_all(unfinished.join("base")).unwrap();
    fs::set_permissions(data.path().join("postgres"), fs::Permissions::from_mode(0o700)).unwrap();
    let claim = EmbeddedPostgres::claim(data.path()).unwrap();
    assert_eq!(number(&mut connect(&claim), "1::bigint"), 1);
    assert!(!unfinished.exists());
}

#[test]
fn a_large_log_is_cut_and_its_older_part_kept() {
    let data = data();
    let claim = EmbeddedPostgres::claim(data.path()).unwrap();
    let log = data.path().join("postgres/postgres.log");
    fs::OpenOptions::new().append(true).open(&log).unwrap().set_len(9 << 20).unwrap();
    claim.server.trim_log();
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    assert!(fs::metadata(log.with_extension("log.1")).unwrap().len() >= 9 << 20);
    // The server goes on at the new end.
    let mut connection = connect(&claim);
    connection.batch_execute("do $$ begin raise log 'still here'; end $$").unwrap();
    eventually("the server writes on", || fs::read_to_string(&log).unwrap().contains("still here").then_some(()));
}

#[test]
fn the_default_data_folder_follows_the_user() {
    let path = |text: &str| Some(std::ffi::OsString::from(text));
    assert_eq!(data_dir(true, path("/x"), path("/root")).unwrap(), Path::new("/var/lib/segments"));
    assert_eq!(data_dir(false, path("/x"), path("/home/mia")).unwrap(), Path::new("/x/segments"));
    assert_eq!(data_dir(false, path("rel"), path("/home/mia")).unwrap(), Path::new("/home/mia/.local/share/segments"));
    assert!(matches!(data_dir(false, None, None), Err(PostgresError::NoDataFolder)));
}
