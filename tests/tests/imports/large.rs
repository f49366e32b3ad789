//! A large file in little memory, killed half-way and run again: nothing is lost, nothing is double.

use super::{Database, Folder, Path, fs, shop, succeeds};
use std::io::{BufWriter, Write};
use std::process::{Child, Stdio};
use std::time::Duration;
use tests::server::command;
use tests::{is_full, rounds, until};

/// What `segments` may have in memory.
const MEMORY_KIB: u64 = 200 * 1_024;
/// Customers of the file.
const CUSTOMERS: u64 = 40_000;
const LIMIT: Duration = Duration::from_secs(3_600);

/// A repeatable number for a line.
fn random(n: u64) -> u64 {
    let mut x = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Writes a file of orders, half of them without an id and many of those equal; gives the sum of their totals in cents.
fn write(path: &Path, lines: u64) -> u64 {
    let mut file = BufWriter::new(fs::File::create(path).expect("a file"));
    writeln!(file, "customer_id,ordered_at,total,order_id,currency").expect("written");
    let mut sum = 0;
    for n in 0..lines {
        // Every tenth line says what the one before it says.
        let n = if n % 10 == 9 { n - 1 } else { n };
        let (dice, customer) = (random(n), random(n ^ 0xffff) % CUSTOMERS);
        let cents = 100 + dice % 20_000;
        let day = (dice >> 20) % 28 + 1;
        let (month, year) = ((dice >> 32) % 12 + 1, 2023 + (dice >> 40) % 3);
        let order_id = if n % 2 == 0 { String::new() } else { format!("o{n}") };
        writeln!(file, "c{customer},{year}-{month:02}-{day:02},{}.{:02},{order_id},EUR", cents / 100, cents % 100)
            .expect("written");
        sum += cents;
    }
    file.flush().expect("written");
    sum
}

/// The most that a process has had in memory, in KiB; `None` when it is gone.
fn most_kib(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

fn start(database: &Database, file: &Path, log: &Path) -> Child {
    command()
        .args(["import", "orders", "--site", "shop"])
        .arg(file)
        .env("DATABASE_URL", database.url())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(log).expect("a log"))
        .spawn()
        .expect("segments starts")
}

#[test]
fn a_large_file_that_was_killed_half_way_is_whole_after_it_is_run_again() {
    let lines = u64::from(rounds(20_000, 1_000_000));
    let database = Database::fresh();
    shop::add_site(&database, "shop", &["--domain", "shop.example"]);
    let folder = Folder::make();
    let (file, log) = (folder.path().join("orders.csv"), folder.path().join("log"));
    let sum = write(&file, lines);
    let stored = || u64::try_from(database.number("SELECT count(*) FROM events")).expect("a count");

    let begun = std::time::Instant::now();
    let mut child = start(&database, &file, &log);
    let mut most = 0;
    until("half of the file to be stored", LIMIT, || {
        most = most.max(most_kib(&child).unwrap_or(0));
        (stored() >= lines / 2).then_some(())
    });
    child.kill().expect("killed");
    child.wait().expect("gone");
    let before = stored();
    assert!((lines / 2..lines).contains(&before), "killed in between: {before}");

    let mut child = start(&database, &file, &log);
    let mut imported = None;
    until("the file to be imported and projected", LIMIT, || {
        most = most.max(most_kib(&child).unwrap_or(0));
        if imported.is_none() && fs::read_to_string(&log).is_ok_and(|said| said.contains("projecting")) {
            imported = Some(begun.elapsed());
        }
        child.try_wait().expect("its status")
    });
    let told = succeeds(&child.wait_with_output().expect("its end"));
    let expected = format!("read {lines} stored {} duplicate {before} rejected 0", lines - before);
    assert_eq!(told.trim(), expected, "equal lines are orders too, and their ids are the same again");
    assert_eq!(stored(), lines);
    let orders = database.number("SELECT count(*) FROM orders WHERE counted");
    assert_eq!(u64::try_from(orders), Ok(lines));
    let revenue = database.number("SELECT sum(total_minor)::bigint FROM orders WHERE counted");
    assert_eq!(u64::try_from(revenue), Ok(sum), "to the cent");
    assert!(most > 10_000 && most <= MEMORY_KIB, "{} MiB in memory", most / 1_024);
    let said = fs::read_to_string(&log).expect("a log");
    eprintln!("{lines} lines: stored after {imported:?}, projected after {:?}, {} MiB", begun.elapsed(), most / 1_024);
    if is_full() {
        for part in [" % ", " s left", " lines/s", "projected "] {
            assert!(said.contains(part), "progress tells {part:?}: {said}");
        }
    }
    if !is_full() {
        shop::rebuild_changes_nothing(&database);
    }
}
