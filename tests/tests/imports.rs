//! Files of every kind, from the command line and the dashboard, and the command line where something is wrong.

#[path = "imports/by_day.rs"]
mod by_day;
#[path = "imports/dashboard.rs"]
mod dashboard;
#[path = "imports/kinds.rs"]
mod kinds;
#[path = "imports/large.rs"]
mod large;

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;
use tests::cluster::Folder;
use tests::server::{command, fails, succeeds};
use tests::{Database, Shop, segments, shop};

const CDNOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/tests/data/cdnow_sample.csv");

fn import(database: &Database, file: &Path, more: &[&str]) -> Output {
    let mut arguments = vec!["import", "orders", "--site", "shop", file.to_str().expect("a path of text")];
    arguments.extend(more);
    segments(database, &arguments)
}

/// The sizes of all segments with this prefix.
fn sizes(list: &Value, prefix: &str) -> Vec<u64> {
    let segments = list["segments"].as_array().expect("segments");
    let of_kind = segments.iter().filter(|segment| segment["key"].as_str().is_some_and(|key| key.starts_with(prefix)));
    of_kind.map(|segment| segment["size"].as_u64().expect("a size")).collect()
}

#[test]
fn cdnow_is_imported_once_and_its_segments_add_up() {
    let shop = Shop::open();
    let map = ["--map", "customer_id=master_id,ordered_at=date,total=amount"];
    let first = succeeds(&import(&shop.database, Path::new(CDNOW), &map));
    assert_eq!(first.trim(), "read 6919 stored 6919 duplicate 0 rejected 0");
    let again = succeeds(&import(&shop.database, Path::new(CDNOW), &map));
    assert_eq!(again.trim(), "read 6919 stored 0 duplicate 6919 rejected 0");
    assert_eq!(shop.stored(), 6_919);
    shop.is_projected();
    assert_eq!(shop.database.number("SELECT count(*) FROM profiles"), 2_357);
    assert_eq!(shop.database.number("SELECT count(*) FROM orders WHERE counted"), 6_919, "equal lines are orders too");

    let list = shop.ask("/api/v1/segments?as_of=1997-09-30");
    assert_eq!(list.status, 200, "{}", list.body);
    let list = list.json();
    let named: Vec<u64> = sizes(&list, "rfm-").into_iter().take(10).collect();
    assert_eq!(named.iter().sum::<u64>(), 2_357, "the named groups: {named:?}");
    let lifecycle = sizes(&list, "lifecycle-");
    assert_eq!((lifecycle.len(), lifecycle.iter().sum::<u64>()), (12, 2_357), "{lifecycle:?}");
    // Everybody bought first by the end of March: at the end of January some had not.
    let january = shop.ask("/api/v1/segments?as_of=1997-01-31").json();
    let had_bought = "SELECT count(DISTINCT profile_id) FROM orders WHERE ordered_at < '1997-02-01'";
    let january: u64 = sizes(&january, "lifecycle-").iter().sum();
    assert_eq!(january as i64, shop.database.number(had_bought));
    assert!(january < 2_357);

    // The members of a segment are as many as its size says, in both forms, and each is somebody.
    for segment in list["segments"].as_array().unwrap().iter().filter(|s| s["size"].as_u64() > Some(0)).step_by(4) {
        let key = segment["key"].as_str().unwrap();
        let path = format!("/api/v1/segments/{key}/members?as_of=1997-09-30");
        let members = shop.ask(&path).json();
        let listed = members["members"].as_array().expect("members").len() as u64;
        assert_eq!(Some(listed), segment["size"].as_u64(), "{key}");
        let bearer = format!("Bearer {}", shop.keys.secret_key);
        let csv = shop.web.send("GET", &path, &[("authorization", &bearer), ("accept", "text/csv")], b"");
        assert!(csv.header("content-type").is_some_and(|kind| kind.starts_with("text/csv")), "{:?}", csv.headers);
        assert_eq!(csv.body.lines().count() as u64, listed + 1, "{key}: a header and a line for each");
    }
    assert_eq!(shop.ask("/api/v1/segments/rfm-nobody/members").status, 404);
    assert_eq!(shop.ask("/api/v1/segments?as_of=1997-02-30").status, 400);
    shop.is_the_same_rebuilt();
}

#[test]
fn an_import_that_was_cut_off_goes_on_where_it_was() {
    let database = Database::fresh();
    shop::add_site(&database, "shop", &["--domain", "shop.example", "--currency", "USD"]);
    let folder = Folder::make();
    let whole = fs::read_to_string(CDNOW).unwrap();
    let half: String = whole.lines().take(3_001).flat_map(|line| [line, "\n"]).collect();
    let part = folder.path().join("part.csv");
    fs::write(&part, half).unwrap();
    assert_eq!(succeeds(&import(&database, &part, &[])).trim(), "read 3000 stored 3000 duplicate 0 rejected 0");
    let rest = succeeds(&import(&database, Path::new(CDNOW), &[]));
    assert_eq!(rest.trim(), "read 6919 stored 3919 duplicate 3000 rejected 0");
    shop::rebuild_changes_nothing(&database);
}

#[test]
fn lines_that_make_no_sense_are_rejected_with_their_numbers() {
    let database = Database::fresh();
    let shop = Shop::on(database, &[]);
    let folder = Folder::make();
    let file = folder.path().join("orders.csv");
    let mut bytes = b"order_id,customer_id,ordered_at,total,currency\n\
        A1,c1,2026-01-05,10.50,EUR\n\
        A2,,2026-01-05,10.50,EUR\n\
        A3,c1,2026-02-30,10.50,EUR\n\
        A4,c1,2026-01-05,ten,EUR\n\
        A5,c1,2026-01-05,10.50,EURO\n\
        A6,c1,2999-01-05,10.50,EUR\n\
        A7,c1\n\
        \"A8\",\"c,2\",2026-01-06T18:30:00+01:00,\"1\",USD\n\
        A9,null,2026-01-05,10.50,EUR\n"
        .to_vec();
    bytes.extend_from_slice(b"A10,c\xff,2026-01-05,10.50,EUR\n");
    bytes.extend_from_slice(b"A11,c\0,2026-01-05,10.50,EUR\n");
    bytes.extend_from_slice(b"A12,c3,2026-01-07 08:00:00,99.99,\n");
    fs::write(&file, bytes).unwrap();
    let told = succeeds(&import(&shop.database, &file, &[]));
    assert!(told.starts_with("read 12 stored 3 duplicate 0 rejected 9\n"), "{told}");
    let rejected = folder.path().join("orders.rejected.csv");
    assert!(told.contains(rejected.to_str().unwrap()), "it says where: {told}");
    let rejected = String::from_utf8_lossy(&fs::read(rejected).unwrap()).into_owned();
    let lines: Vec<&str> = rejected.lines().collect();
    assert_eq!(lines[0], "line,reason,order_id,customer_id,ordered_at,total,currency");
    let numbers: Vec<&str> = lines[1..].iter().filter_map(|line| line.split(',').next()).collect();
    assert_eq!(numbers, ["3", "4", "5", "6", "7", "8", "10", "11", "12"]);
    assert!(lines[2].contains("2026-02-30") && lines[3].contains("ten"), "with what was wrong: {rejected}");
    assert_eq!(shop.outcomes().rejected.values().sum::<u64>(), 9, "and the owner sees them too");
    // The same orders again, corrected, store what was missing only.
    let told = succeeds(&import(&shop.database, &file, &["--rejected", folder.path().join("r.csv").to_str().unwrap()]));
    assert!(told.starts_with("read 12 stored 0 duplicate 3 rejected 9\n"), "{told}");
    assert_eq!(shop.profile("user_id=c1")["facts"]["revenue_minor"], 1_050);
    assert_eq!(shop.profile("user_id=c,2")["facts"]["revenue_minor"], 0, "dollars stand beside the site's euros");
    assert_eq!(shop.profile("user_id=c3")["facts"]["revenue_minor"], 9_999);
}

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let database = Database::fresh();
    shop::add_site(&database, "shop", &["--domain", "shop.example"]);
    let folder = Folder::make();
    let file = folder.path().join("orders.csv");
    let missing = fails(&import(&database, &file, &[]));
    assert!(missing.contains("orders.csv"), "{missing}");
    fs::write(&file, "who,when,how much\nc1,2026-01-05,1\n").unwrap();
    let unmapped = fails(&import(&database, &file, &[]));
    assert!(unmapped.contains("customer_id") && unmapped.contains("--map"), "{unmapped}");
    let misnamed = fails(&import(&database, &file, &["--map", "customer_id=whom,ordered_at=when,total=how much"]));
    assert!(misnamed.contains("whom") && misnamed.contains("how much"), "it lists the columns: {misnamed}");
    let unknown = fails(&import(&database, &file, &["--map", "colour=who"]));
    assert!(unknown.contains("colour") && unknown.contains("customer_id"), "it lists the fields: {unknown}");
    let told = succeeds(&import(&database, &file, &["--map", "customer_id=who,ordered_at=when,total=how much"]));
    assert_eq!(told.trim(), "read 1 stored 1 duplicate 0 rejected 0");
    let nobody = fails(&segments(&database, &["import", "orders", "--site", "nobody", file.to_str().unwrap()]));
    assert!(nobody.contains("nobody") && nobody.contains("site list"), "{nobody}");
}

#[test]
fn what_is_wrong_on_the_command_line_is_told_and_ends_with_an_error() {
    let database = Database::fresh();
    let flag = fails(&segments(&database, &["serve", "--colour"]));
    assert!(flag.contains("--colour") && flag.contains("--help"), "{flag}");
    let listen = fails(&segments(&database, &["serve", "--listen", "nowhere"]));
    assert!(listen.contains("nowhere") && listen.contains("--listen"), "{listen}");
    let shop = Shop::on(database, &[]);
    let address = shop.server.address().to_string();
    let taken = fails(&segments(&shop.database, &["serve", "--listen", &address]));
    assert!(taken.contains(&address) && taken.contains("--listen"), "{taken}");
    let name = fails(&segments(&shop.database, &["site", "add", "shop", "--domain", "x.example"]));
    assert!(name.contains("shop") && name.contains("another name"), "{name}");
    let zone = fails(&segments(&shop.database, &["site", "add", "b", "--domain", "x.example", "--timezone", "Mars"]));
    assert!(zone.contains("Mars") && zone.contains("Europe/Zurich"), "{zone}");
    let currency =
        fails(&segments(&shop.database, &["site", "add", "b", "--domain", "x.example", "--currency", "beads"]));
    assert!(currency.contains("beads"), "{currency}");
    let domain = fails(&segments(&shop.database, &["site", "add", "b", "--domain", "<x>"]));
    assert!(domain.contains("<x>"), "{domain}");
}

#[test]
fn an_unreachable_database_is_named_with_the_way_out() {
    // A port that nobody listens on: bound, then given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgresql://segments:hush@127.0.0.1:{port}/segments");
    for arguments in [&["serve"][..], &["site", "list"], &["migrate"]] {
        let said = fails(&command().args(arguments).env("DATABASE_URL", &url).output().unwrap());
        assert!(said.contains("DATABASE_URL") && said.contains("unset"), "{said}");
        assert!(!said.contains("hush"), "no password is told: {said}");
    }
    let folder = Folder::make();
    let both = command().args(["site", "list", "--database-url", &url, "--data"]).arg(folder.path()).output().unwrap();
    assert!(fails(&both).contains("--data"), "one or the other");
}
