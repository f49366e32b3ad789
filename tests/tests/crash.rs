//! Acknowledged means stored: nothing is lost and nothing doubled when processes are killed, the database goes away,
//! or the disk is full.

use collector::postgres::EmbeddedPostgres;
use rustix::process::Signal;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::cluster::{Folder, stop_postgres};
use tests::load::Load;
use tests::server::{self, postmaster, signal_process, succeeds};
use tests::shop::{self, Keys};
use tests::speech::{batch, now_ms, page, visitor_id};
use tests::{Database, SOON, Server, Web, is_full, rounds, until};
use wire::Who;

/// The load is meant to be more than one address sends.
const NO_LIMITS: [&str; 4] = ["--address-rate", "0", "--key-rate", "0"];
const SENDERS: usize = 4;
const MIA: Who = Who::Visitor(*b"mia\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e");

/// A command on a data folder, while the server on it runs or not.
fn on_folder(data: &Path, arguments: &[&str]) -> std::process::Output {
    server::command().arg("--data").arg(data).args(arguments).output().expect("segments runs")
}

fn add_site(data: &Path) -> Keys {
    let line = ["site", "add", "shop", "--domain", "shop.example", "--json"];
    serde_json::from_str(&succeeds(&on_folder(data, &line))).expect("keys")
}

fn rebuild_changes_nothing(data: &Path) {
    let output = on_folder(data, &["rebuild"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(told.lines().last(), Some("no difference"), "{told}");
}

/// Each page view is one send: whether it was stored.
fn try_to_store(web: &Web, keys: &Keys) -> tests::Reply {
    web.post("/v1/events", &batch(&keys.write_key, MIA, &[page(now_ms(), "https://shop.example/")]))
}

#[test]
fn killing_the_collector_loses_nothing_and_doubles_nothing() {
    let folder = Folder::make();
    let data = folder.path();
    let keys = add_site(data);
    let mut server = Server::embedded(data, &NO_LIMITS);
    let listen = server.address().to_string();
    let mut arguments = NO_LIMITS.to_vec();
    arguments.extend(["--listen", &listen]);
    let load = Load::start(&[server.origin()], &keys, SENDERS);
    for _ in 0..rounds(3, 20) {
        load.goes_on(300);
        server.kill();
        // Its PostgreSQL has outlived it and is adopted.
        server = Server::embedded(data, &arguments);
    }
    load.goes_on(300);
    let acknowledged = load.finish();
    eprintln!("{} events acknowledged", acknowledged.count());
    acknowledged.is_stored_exactly_once(&Database::of_folder(data));
    rebuild_changes_nothing(data);
    assert!(server.stop().success());
    assert_eq!(postmaster(data), None, "the last one out stops PostgreSQL");
}

#[test]
fn killing_postgresql_loses_nothing_and_doubles_nothing() {
    let folder = Folder::make();
    let data = folder.path();
    let keys = add_site(data);
    let server = Server::embedded(data, &NO_LIMITS);
    let load = Load::start(&[server.origin()], &keys, SENDERS);
    for _ in 0..rounds(3, 20) {
        load.goes_on(300);
        let pid = postmaster(data).expect("a PostgreSQL that runs");
        signal_process(pid, Signal::KILL);
        until("PostgreSQL to be started again", SOON, || postmaster(data).filter(|new| *new != pid));
    }
    load.goes_on(300);
    let acknowledged = load.finish();
    eprintln!("{} events acknowledged", acknowledged.count());
    acknowledged.is_stored_exactly_once(&Database::of_folder(data));
    rebuild_changes_nothing(data);
    assert!(server.stop().success());
}

#[test]
fn one_lost_or_doubled_event_among_many_is_seen() {
    let shop = tests::Shop::with(&NO_LIMITS);
    let load = Load::start(&[shop.server.origin()], &shop.keys, 2);
    load.goes_on(100);
    let acknowledged = load.finish();
    acknowledged.is_stored_exactly_once(&shop.database);
    let seen = || {
        let look = || acknowledged.is_stored_exactly_once(&shop.database);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(look)).is_err()
    };
    let one = "(SELECT event_id FROM events LIMIT 1)";
    shop.database.run(&format!(
        "INSERT INTO events (identity_id, occurred_at, site_id, kind, flags, event_id, properties)
         SELECT -1, occurred_at, site_id, kind, flags, event_id, properties FROM events WHERE event_id = {one}"
    ));
    assert!(seen(), "the same event under another identity");
    shop.database.run("DELETE FROM events WHERE identity_id = -1");
    assert!(!seen());
    shop.database.run(&format!("DELETE FROM events WHERE event_id = {one}"));
    assert!(seen(), "a lost one");
}

#[test]
fn stopping_drains_what_was_accepted() {
    let folder = Folder::make();
    let data = folder.path();
    let keys = add_site(data);
    let mut server = Server::embedded(data, &NO_LIMITS);
    let listen = server.address().to_string();
    let mut arguments = NO_LIMITS.to_vec();
    arguments.extend(["--listen", &listen]);
    let load = Load::start(&[server.origin()], &keys, SENDERS);
    for _ in 0..rounds(2, 10) {
        load.goes_on(200);
        assert!(server.stop().success(), "SIGTERM ends with 0, also under load");
        server = Server::embedded(data, &arguments);
    }
    let acknowledged = load.finish();
    acknowledged.is_stored_exactly_once(&Database::of_folder(data));
    rebuild_changes_nothing(data);
}

#[test]
fn while_the_database_is_away_senders_are_told_to_come_again() {
    let folder = Folder::make();
    let postgres = EmbeddedPostgres::claim(folder.path()).expect("PostgreSQL");
    let database = Database::of_folder(folder.path());
    let keys = shop::add_site(&database, "shop", &["--domain", "shop.example"]);
    let server = Server::start(&database, &[]);
    let web = Web::new(&server.origin());
    assert_eq!(try_to_store(&web, &keys).receipt(), (1, 0, 0));
    assert_eq!(web.get("/readyz").status, 200);
    drop(postgres);
    for _ in 0..3 {
        let reply = try_to_store(&web, &keys);
        assert_eq!(reply.status, 503, "{}", reply.body);
        let after: u32 = reply.header("retry-after").expect("a time").parse().expect("seconds");
        assert!((1..=60).contains(&after), "{after}");
        assert!(!reply.body.contains("socket"), "nobody sees a database's error: {}", reply.body);
    }
    assert_eq!(web.get("/healthz").status, 200, "the process lives");
    assert_eq!(web.get("/readyz").status, 503);
    // A key that is not in memory cannot be looked up: that is no reason to call it unknown.
    let unknown = Keys { write_key: "wk_new".into(), ..keys.clone() };
    assert_eq!(try_to_store(&web, &unknown).status, 503);
    let postgres = EmbeddedPostgres::claim(folder.path()).expect("PostgreSQL again");
    until("events to be stored again", SOON, || (try_to_store(&web, &keys).status == 200).then_some(()));
    server::wait_until_ready(&server);
    assert_eq!(try_to_store(&web, &unknown).status, 401);
    assert!(server.stop().success());
    drop(postgres);
}

#[test]
fn events_are_still_taken_and_read_again_after_the_projector_lost_its_database() {
    let folder = Folder::make();
    let postgres = EmbeddedPostgres::claim(folder.path()).expect("PostgreSQL");
    let database = Database::of_folder(folder.path());
    let shop = tests::Shop::on(database, &[]);
    shop.visitor("mia").views("/before").signs_in("u1");
    assert_eq!(shop.profile("user_id=u1")["facts"]["views"], 1);
    drop(postgres);
    until("the server to notice", SOON, || (shop.web.get("/readyz").status == 503).then_some(()));
    let reply = shop.ask("/api/v1/profiles?user_id=u1");
    assert_eq!((reply.status, reply.header("retry-after").is_some()), (503, true), "{}", reply.body);
    let postgres = EmbeddedPostgres::claim(folder.path()).expect("PostgreSQL again");
    server::wait_until_ready(&shop.server);
    let event = page(now_ms() + 60_000, "https://shop.example/after");
    let send = || shop.post(Who::Visitor(visitor_id("mia")), std::slice::from_ref(&event));
    until("events to be stored again", SOON, || (send().status == 200).then_some(()));
    assert_eq!(shop.profile("user_id=u1")["facts"]["views"], 2);
    drop(shop);
    drop(postgres);
}

/// A file system of its own with a fixed size; `None` where this machine does not let us have one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, megabytes: u32) -> Option<SmallDisk> {
        let size = format!("size={megabytes}m,mode=711");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output().ok()?;
        if !mount.status.success() {
            return None;
        }
        Some(SmallDisk(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        stop_postgres(&self.0.join("data"));
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.0.display());
        }
    }
}

#[test]
fn a_full_disk_is_503_and_what_was_acknowledged_is_there_afterwards() {
    let folder = Folder::make();
    let Some(disk) = SmallDisk::mount(folder.path(), 400) else {
        assert!(!is_full(), "a full run needs a machine where a tmpfs can be mounted (root)");
        eprintln!("left out: only root can mount the small disk that this test fills");
        return;
    };
    let data = disk.0.join("data");
    let keys = add_site(&data);
    let server = Server::embedded(&data, &NO_LIMITS);
    let web = Web::new(&server.origin());
    let send = |n: usize| {
        let noise = noise(n);
        let message = |part: usize| {
            json!({
                "type": "track", "event": "Large", "userId": "u1", "messageId": format!("m{n}-{part}"),
                "properties": { "n": n * 10 + part, "noise": noise },
            })
        };
        let messages: Vec<_> = (0..10).map(message).collect();
        web.post_json("/v1/batch", &json!({ "writeKey": keys.secret_key, "batch": messages }))
    };
    let mut acknowledged = Vec::new();
    let refused = (0..5_000).find_map(|n| {
        let reply = send(n);
        if reply.status == 200 {
            acknowledged.push(n);
            return None;
        }
        Some((n, reply))
    });
    let (last, reply) = refused.expect("400 MB to be full after 1.5 GB");
    assert_eq!(reply.status, 503, "{}", reply.body);
    assert!(reply.header("retry-after").is_some());
    assert_eq!(web.get("/healthz").status, 200);
    // Somebody makes room.
    let options = format!("remount,size={}m", 2_000);
    let grown = Command::new("mount").args(["-o", &options]).arg(&disk.0).status().expect("mount");
    assert!(grown.success());
    until("events to be stored again", 3 * SOON, || (send(last).status == 200).then_some(()));
    acknowledged.push(last);
    let database = Database::of_folder(&data);
    let stored = database.rows("SELECT (properties ->> 'n')::bigint AS n FROM events ORDER BY 1");
    let stored: Vec<usize> = stored.iter().filter_map(|row| row["n"].as_u64()).map(|n| n as usize).collect();
    let expected: Vec<usize> = acknowledged.iter().flat_map(|n| (0..10).map(move |part| n * 10 + part)).collect();
    assert_eq!(stored, expected, "every acknowledged event once, and no other");
    rebuild_changes_nothing(&data);
    assert!(server.stop().success());
}

/// 30 KB of text that does not compress, so that a disk fills as it is sent.
fn noise(seed: usize) -> String {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let letter = |_| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + (state >> 32) as u8 % 40).to_ascii_lowercase()
    };
    (0..30 << 10).map(letter).map(|letter| if letter == '\\' { '_' } else { letter }).collect()
}
