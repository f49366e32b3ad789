//! How soon a segment follows what people do, and how soon after its deadline somebody leaves it, under load.
//!
//! A site with its ready segments and more of its own, 100 in all, has some 200,000 people with a history each. Then
//! events come in at a steady rate for a while, each from somebody at random; one in ten of them makes its person enter a
//! segment that they leave again 20 seconds later without doing anything. Measured is
//!
//! - from the answer 200 to the moment that another connection sees the membership;
//! - from the second at which the rule lets go of a person to the moment that another connection sees them gone.
//!
//! The client shares the machine with server and PostgreSQL.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tests::cluster::{Folder, rows};
use tests::server::{command, succeeds};
use tests::shop::Keys;
use tests::speech::now_ms;
use tests::{Database, Server, Web};

/// Seconds that the rule of the probe lasts.
const PROBE_SECONDS: i64 = 20;
/// One event in so many is a probe.
const PROBE_SHARE: u64 = 10;
/// Threads that send.
const SENDERS: u64 = 8;
/// Messages of one request while the histories are made.
const BATCH: usize = 500;
/// What people put into their carts.
const CATEGORIES: [&str; 3] = ["shoes", "bags", "hats"];
/// Segments in all.
const SEGMENTS: i64 = 100;

struct Plan {
    people: u64,
    rate: u64,
    seconds: u64,
}

impl Plan {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Plan> {
        let mut plan = Plan { people: 200_000, rate: 1_000, seconds: 60 };
        while let Some(name) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{name} needs a number"))?;
            let number: u64 = value.parse().with_context(|| format!("{name} {value}: no number"))?;
            match name.as_str() {
                "--people" => plan.people = number.max(1_000),
                "--rate" => plan.rate = number.max(SENDERS),
                "--seconds" => plan.seconds = number.max(1),
                _ => anyhow::bail!("{name}: the options are --people, --rate, --seconds"),
            }
        }
        Ok(plan)
    }
}

/// What is done next, out of a number: SplitMix64 (Steele, Lea & Flood 2014).
fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn main() -> Result<()> {
    let plan = Plan::read(std::env::args().skip(1))?;
    let folder = Folder::make();
    let data: PathBuf = folder.path().join("data");
    let add = ["site", "add", "bench", "--domain", "shop.example", "--json"];
    let added = command().arg("--data").arg(&data).args(add).output().context("segments does not run")?;
    let keys: Keys = serde_json::from_str(&succeeds(&added))?;
    let server = Server::embedded(&data, &["--address-rate", "0", "--key-rate", "0"]);
    let database = Database::of_folder(&data);
    let web = Web::new(&server.origin());

    let start = Instant::now();
    let events = fill(&plan, &web, &keys)?;
    let sent = start.elapsed();
    wait(&database, "the histories to be projected", "SELECT count(*) FROM journal WHERE NOT projected");
    println!(
        "{} people with {events} events: sent in {:.0} s, projected {:.0} s later",
        plan.people,
        sent.as_secs_f64(),
        (start.elapsed() - sent).as_secs_f64()
    );
    add_segments(&web, &database, &keys)?;
    let start = Instant::now();
    let behind = "SELECT count(*) FROM sites s LEFT JOIN segment_sweeps w USING (site_id)
                  WHERE s.segments_revision > COALESCE(w.swept_revision, 0)";
    wait(&database, "everybody to be asked", behind);
    let memberships = database.number("SELECT count(*) FROM segment_members");
    println!(
        "{SEGMENTS} segments; everybody asked in {:.0} s; {memberships} memberships",
        start.elapsed().as_secs_f64()
    );

    let measured = measure(&plan, &server, &database, &keys)?;
    println!();
    println!("{:<44}{:>8}{:>9}{:>9}{:>9}{:>9}", "", "number", "p50 ms", "p90 ms", "p99 ms", "max ms");
    let mut missed = 0;
    for (name, mut times) in [
        ("answered 200 → entered, seen by another", measured.entered),
        ("deadline → left, seen by another", measured.left),
    ] {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times.get(((times.len() as f64 * share) as usize).min(times.len() - 1)).copied();
        let [p50, p90, p99, max] = [0.5, 0.9, 0.99, 1.0].map(|share| at(share).unwrap_or(f64::NAN));
        println!("{name:<44}{:>8}{p50:>9.0}{p90:>9.0}{p99:>9.0}{max:>9.0}", times.len());
        missed += usize::from(p99 > 1_000.0);
    }
    println!();
    println!(
        "{:.0} events/s answered over {} s, {} entries of {} probes seen; goal p99 ≤ 1,000 ms: {}",
        measured.events as f64 / plan.seconds as f64,
        plan.seconds,
        measured.seen,
        measured.probes,
        if missed == 0 { "met" } else { "MISSED" }
    );
    ensure!(measured.seen == measured.probes, "an entry was never seen");
    ensure!(server.stop().success(), "the server did not end well");
    Ok(())
}

fn wait(database: &Database, what: &str, count: &str) {
    let mut connection = database.connect();
    let start = Instant::now();
    let mut told = Instant::now();
    loop {
        let waiting = rows(&mut connection, count)[0].as_object().and_then(|row| row.values().next()?.as_i64());
        if waiting == Some(0) {
            return;
        }
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            println!("{:>4} s: waiting for {what}", start.elapsed().as_secs());
        }
        assert!(start.elapsed() < Duration::from_secs(1_800), "waited half an hour for {what}");
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

/// Histories of the last sixty days through the intake for servers; gives how many events.
fn fill(plan: &Plan, web: &Web, keys: &Keys) -> Result<u64> {
    let now = now_ms();
    let mut events = 0;
    let mut batch: Vec<Value> = Vec::with_capacity(BATCH);
    let mut send = |batch: &mut Vec<Value>| -> Result<()> {
        let reply = web.post_json("/v1/batch", &json!({ "writeKey": keys.secret_key, "batch": &*batch }));
        ensure!(reply.status == 200 && reply.json()["rejected"] == 0, "{} {}", reply.status, reply.body);
        events += batch.len() as u64;
        batch.clear();
        Ok(())
    };
    for person in 0..plan.people {
        let chance = mix(person);
        // Four to eleven events each.
        for n in 0..4 + chance % 8 {
            let what = mix(person * 64 + n);
            let at = now - 3_600_000 - (what % (60 * 86_400_000)) as i64;
            let at = jiff::Timestamp::from_millisecond(at)?.to_string();
            let user = format!("u{person}");
            batch.push(match what >> 32 & 7 {
                0 => json!({ "type": "track", "event": "Product Added", "userId": user, "timestamp": at,
                             "properties": { "category": CATEGORIES[(what % 3) as usize] } }),
                1 if what.is_multiple_of(3) => json!({ "type": "track", "event": "Order Completed", "userId": user,
                             "timestamp": at, "properties": { "order_id": format!("o{person}-{n}"),
                             "total": 10 + what % 90, "currency": "EUR" } }),
                _ => json!({ "type": "page", "userId": user, "timestamp": at,
                             "properties": { "url": format!("https://shop.example/{}", what % 200) } }),
            });
            if batch.len() == BATCH {
                send(&mut batch)?;
            }
        }
    }
    if !batch.is_empty() {
        send(&mut batch)?;
    }
    Ok(events)
}

/// The probe, and as many others of all kinds as are missing.
fn add_segments(web: &Web, database: &Database, keys: &Keys) -> Result<()> {
    let add = |key: &str, says: &str| -> Result<()> {
        let bearer = format!("Bearer {}", keys.secret_key);
        let body = json!({ "key": key, "name": key, "says": says }).to_string();
        let reply = web.send("POST", "/api/v1/segments", &[("authorization", &bearer)], body.as_bytes());
        ensure!(reply.status == 201, "{says}: {}", reply.body);
        Ok(())
    };
    add("probe", &format!("did \"Probe\" at least once within {PROBE_SECONDS} seconds"))?;
    let own = SEGMENTS - database.number("SELECT count(*) FROM segments WHERE archived_at IS NULL");
    for n in 0..own {
        let says = match n % 6 {
            0 => format!("viewed \"/{n}*\" at least 2 times within {} days and never ordered", 7 + n),
            1 => format!("did \"Product Added\" with \"category\" is \"shoes\" then ordered within {} days", 1 + n),
            2 => format!("ordered for at least {} in total within 60 days", 10 * n),
            3 => format!("in segment \"value-top-10-percent\" and viewed \"/1*\" at least once within {} days", 3 + n),
            4 => format!("last ordered at least {} days ago or in bucket 0 to {} of \"bench\"", 5 + n, 100 * n),
            _ => format!("visits at least {n} and not (in segment \"rfm-champions\")"),
        };
        add(&format!("own-{n}"), &says)?;
    }
    Ok(())
}

struct Measured {
    entered: Vec<f64>,
    left: Vec<f64>,
    events: u64,
    probes: u64,
    seen: u64,
}

/// A probe that was answered.
struct Probe {
    user: String,
    answered: Instant,
    /// When the rule lets go of the person, in ms since 1970.
    until_ms: i64,
}

fn measure(plan: &Plan, server: &Server, database: &Database, keys: &Keys) -> Result<Measured> {
    let events = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    let (tell, told) = mpsc::channel::<Probe>();
    let watcher_url = database.connect();
    std::thread::scope(|scope| {
        let ended = &done;
        let watcher = scope.spawn(move || watch(watcher_url, &told, ended));
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (tell, events) = (tell.clone(), &events);
                let web = Web::new(&server.origin());
                scope.spawn(move || send(plan, sender, &web, keys, events, &tell))
            })
            .collect();
        drop(tell);
        let mut probes = 0;
        for sender in senders {
            probes += sender.join().expect("a sender")?;
        }
        // Those who entered last leave after the last event.
        let deadline = Instant::now() + Duration::from_secs(PROBE_SECONDS as u64 + 10);
        while Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(100));
        }
        done.store(true, Ordering::Release);
        let (entered, left) = watcher.join().expect("the watcher");
        let seen = entered.len() as u64;
        Ok(Measured { entered, left, events: events.load(Ordering::Relaxed), probes, seen })
    })
}

/// Sends events at its share of the rate; gives how many probes.
fn send(
    plan: &Plan,
    sender: u64,
    web: &Web,
    keys: &Keys,
    events: &AtomicU64,
    tell: &mpsc::Sender<Probe>,
) -> Result<u64> {
    let pace = Duration::from_secs_f64(SENDERS as f64 / plan.rate as f64);
    let start = Instant::now();
    let mut probes = 0;
    for n in 0.. {
        let due = pace * n;
        if due > Duration::from_secs(plan.seconds) {
            break;
        }
        if let Some(early) = due.checked_sub(start.elapsed()) {
            std::thread::sleep(early);
        }
        let number = u64::from(n) * SENDERS + sender;
        let at = now_ms();
        let is_probe = number.is_multiple_of(PROBE_SHARE);
        // Each probe is somebody else, so that each is an entry and an exit.
        let person = if is_probe { number / PROBE_SHARE } else { mix(number ^ 0x5eed) };
        let user = format!("u{}", person % plan.people);
        let timestamp = jiff::Timestamp::from_millisecond(at)?.to_string();
        let message = if is_probe {
            json!({ "type": "track", "event": "Probe", "userId": user, "timestamp": timestamp })
        } else {
            let url = format!("https://shop.example/{}", number % 200);
            json!({ "type": "page", "userId": user, "timestamp": timestamp, "properties": { "url": url } })
        };
        let reply = web.post_json("/v1/batch", &json!({ "writeKey": keys.secret_key, "batch": [message] }));
        ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
        events.fetch_add(1, Ordering::Relaxed);
        if is_probe {
            let until_ms = (at / 1_000 + PROBE_SECONDS) * 1_000;
            tell.send(Probe { user, answered: Instant::now(), until_ms }).context("the watcher is gone")?;
            probes += 1;
        }
    }
    Ok(probes)
}

/// Looks at the changes of the probe's segment as another process would; gives the delays of entries and exits in ms.
fn watch(
    mut connection: diesel::PgConnection,
    told: &mpsc::Receiver<Probe>,
    done: &AtomicBool,
) -> (Vec<f64>, Vec<f64>) {
    let mut waiting: HashMap<String, Probe> = HashMap::new();
    let mut inside: HashMap<String, i64> = HashMap::new();
    // Seen before the client had taken note of its answer.
    let mut early: HashMap<String, Instant> = HashMap::new();
    let (mut entered, mut left) = (Vec::new(), Vec::new());
    let mut last = 0_i64;
    while !done.load(Ordering::Acquire) {
        let query = format!(
            "SELECT c.change_id, c.entered, i.value AS user FROM segment_changes c
             JOIN segments g USING (site_id, segment_id)
             JOIN identities i ON i.site_id = c.site_id AND i.profile_id = c.profile_id AND i.kind = 2
             WHERE g.key = 'probe' AND c.change_id > {last} ORDER BY c.change_id"
        );
        let changes = rows(&mut connection, &query);
        let (now, now_ms) = (Instant::now(), now_ms());
        for probe in told.try_iter() {
            if let Some(seen) = early.remove(&probe.user) {
                entered.push(seen.saturating_duration_since(probe.answered).as_secs_f64() * 1_000.0);
                inside.insert(probe.user, probe.until_ms);
            } else {
                waiting.insert(probe.user.clone(), probe);
            }
        }
        for change in &changes {
            last = last.max(change["change_id"].as_i64().unwrap_or(0));
            let user = change["user"].as_str().unwrap_or("").to_owned();
            if change["entered"] == true {
                match waiting.remove(&user) {
                    Some(probe) => {
                        entered.push((now - probe.answered).as_secs_f64() * 1_000.0);
                        inside.insert(user, probe.until_ms);
                    }
                    None => {
                        early.insert(user, now);
                    }
                }
            } else if let Some(until_ms) = inside.remove(&user) {
                left.push((now_ms - until_ms) as f64);
            }
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    (entered, left)
}
