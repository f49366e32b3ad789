//! Files that come by way of the dashboard: uploaded, looked at, run by a worker, and gone afterwards.

use super::{Shop, shop};
use serde_json::json;
use tests::web::Owner;
use tests::{Reply, SOON, Server, until};

const EMAIL: &str = "owner@shop.example";
const PASSWORD: &str = "a long enough password";

pub(super) fn owner(shop: &Shop) -> Owner {
    shop::add_user(&shop.database, EMAIL, PASSWORD);
    Owner::logs_in(&shop.server, EMAIL, PASSWORD)
}

/// The address that an answer leads to.
#[track_caller]
pub(super) fn leads(reply: &Reply) -> String {
    assert_eq!(reply.status, 303, "{}", reply.body);
    reply.header("location").expect("an address").to_owned()
}

pub(super) fn list(shop: &Shop) -> String {
    format!("/s/{}/imports", shop.keys.site_id)
}

#[track_caller]
pub(super) fn reaches(shop: &Shop, state: &str) {
    let count = format!("SELECT count(*) FROM imports WHERE state = '{state}'");
    until(state, SOON * 6, || (shop.database.number(&count) == 1).then_some(()));
}

fn chunks(shop: &Shop) -> i64 {
    shop.database.number("SELECT count(*) FROM import_chunks")
}

/// Orders without ids, every second of them equal to the one before, and one that is broken in the middle.
fn orders(lines: u32) -> String {
    let mut text = "Who,When,How much\n".to_owned();
    for n in 0..lines {
        let n = n / 2 * 2;
        let much = if n == lines / 4 * 2 { "=much".to_owned() } else { format!("{}.25", n % 900) };
        text += &format!("c{},2025-{:02}-{:02},{much}\n", n % 700, n % 12 + 1, n % 28 + 1);
    }
    text
}

#[test]
fn a_file_is_looked_at_mapped_and_imported() {
    let shop = Shop::open();
    let owner = owner(&shop);
    assert!(owner.reads(&list(&shop)).contains("No file yet"), "an empty list helps");
    let path = leads(&owner.uploads(&list(&shop), &[("kind", "orders")], "orders.csv", orders(400).as_bytes()));
    let page = owner.reads(&path);
    assert!(page.contains("no column for customer_id or email"), "{page}");
    let early = owner.posts(&format!("{path}/start"), &[("kind", "orders")]);
    assert_eq!(early.status, 422, "not before the columns are known");
    let wrong =
        [("kind", "orders"), ("field.customer_id", "Who"), ("field.ordered_at", "When"), ("field.total", "Who")];
    assert_eq!(leads(&owner.posts(&format!("{path}/map"), &wrong)), path);
    assert!(owner.reads(&path).contains("Total: the column holds no number in 400 of 400 lines"));
    let right =
        [("kind", "orders"), ("field.customer_id", "Who"), ("field.ordered_at", "When"), ("field.total", "How much")];
    assert_eq!(leads(&owner.posts(&format!("{path}/map"), &right)), path);
    let page = owner.reads(&path);
    assert!(page.contains("Order Completed") && page.contains("2 of the first 400"), "{page}");
    assert_eq!(shop.stored(), 0);
    assert_eq!(leads(&owner.posts(&format!("{path}/start"), &right)), path);
    reaches(&shop, "done");
    assert_eq!((shop.stored(), chunks(&shop)), (398, 0), "and the file is gone");
    let page = owner.reads(&path);
    assert!(page.contains("398 stored, 0 known before, 2 rejected"), "{page}");
    let rejected = owner.gets(&format!("{path}/rejected.csv"));
    assert!(rejected.body.starts_with("line,reason,Who,When,How much\r\n202,"), "{}", rejected.body);
    assert!(rejected.body.contains("'=much"), "no formula: {}", rejected.body);
    assert!(owner.reads(&format!("{path}/progress")).contains("All 400\u{a0}lines read."));
    assert!(owner.reads(&format!("{}.csv", list(&shop))).contains("orders.csv,orders,done,"));
    assert_eq!(shop.brought("import").get("Order Completed"), Some(&398));
    // The same file again is known.
    let path = leads(&owner.uploads(&list(&shop), &[("kind", "orders")], "again.csv", orders(400).as_bytes()));
    leads(&owner.posts(&format!("{path}/start"), &right));
    until("the second import", SOON * 3, || {
        (shop.database.number("SELECT count(*) FROM imports WHERE state = 'done'") == 2).then_some(())
    });
    assert!(owner.reads(&path).contains("0 stored, 398 known before, 2 rejected"));
    shop.is_the_same_rebuilt();
}

#[test]
fn an_import_whose_process_is_killed_goes_on_in_another() {
    let mut shop = Shop::open();
    let owner = owner(&shop);
    let lines = 20_000;
    let path = leads(&owner.uploads(&list(&shop), &[("kind", "orders")], "orders.csv", orders(lines).as_bytes()));
    assert!(chunks(&shop) >= 1);
    let right =
        [("kind", "orders"), ("field.customer_id", "Who"), ("field.ordered_at", "When"), ("field.total", "How much")];
    leads(&owner.posts(&format!("{path}/start"), &right));
    let read = || shop.database.number("SELECT done_lines FROM imports");
    until("a part of the file to be read", SOON * 3, || (read() > 1_000).then_some(()));
    let other = Server::start(&shop.database, &["--role", "worker"]);
    shop.server.kill();
    let before = shop.database.number("SELECT done_lines FROM imports");
    assert!(before < i64::from(lines), "killed in between");
    reaches(&shop, "done");
    drop(other);
    let row = &shop.database.rows("SELECT done_lines, stored, duplicate, rejected FROM imports")[0];
    let all = i64::from(lines);
    assert_eq!(row, &json!({ "done_lines": all, "stored": all - 2, "duplicate": 0, "rejected": 2 }), "nothing twice");
    assert_eq!(shop.stored(), all - 2);
    assert_eq!(chunks(&shop), 0);
}

#[test]
fn an_import_can_be_paused_ended_and_removed() {
    let shop = Shop::open();
    let owner = owner(&shop);
    let path = leads(&owner.uploads(&list(&shop), &[("kind", "orders")], "a.csv", orders(40_000).as_bytes()));
    let right =
        [("kind", "orders"), ("field.customer_id", "Who"), ("field.ordered_at", "When"), ("field.total", "How much")];
    leads(&owner.posts(&format!("{path}/start"), &right));
    until("it to begin", SOON * 3, || (shop.database.number("SELECT done_lines FROM imports") > 0).then_some(()));
    leads(&owner.posts(&format!("{path}/pause"), &[]));
    reaches(&shop, "paused");
    let stored = shop.stored();
    assert!(owner.reads(&path).contains("Go on"), "and it can go on");
    assert!(stored > 0 && stored < 40_000, "{stored}");
    leads(&owner.posts(&format!("{path}/resume"), &[]));
    until("it to go on", SOON * 3, || (shop.stored() > stored).then_some(()));
    leads(&owner.posts(&format!("{path}/cancel"), &[]));
    reaches(&shop, "cancelled");
    assert_eq!(chunks(&shop), 0, "the file is gone, what was stored stays");
    let path = leads(&owner.uploads(&list(&shop), &[("kind", "customers")], "b.csv", b"email\na@b.example\n"));
    assert_eq!(leads(&owner.posts(&format!("{path}/remove"), &[])), list(&shop));
    assert_eq!(owner.gets(&path).status, 404);
    assert_eq!(shop.database.number("SELECT count(*) FROM imports"), 1);
}

#[test]
fn what_is_no_proper_upload_is_refused_and_leaves_nothing() {
    let shop = Shop::with(&["--import-limit", "1"]);
    let owner = owner(&shop);
    let large = vec![b'x'; 5 << 19];
    let refused = owner.uploads(&list(&shop), &[("kind", "orders")], "large.csv", &large);
    assert_eq!(refused.status, 413, "{}", refused.body);
    assert!(refused.body.contains("The file has 3 MiB, the limit is 1 MiB"), "{}", refused.body);
    assert_eq!(owner.uploads(&list(&shop), &[], "empty.csv", b"").status, 400);
    let forged = owner.uploads_bare(&list(&shop), &[("csrf_token", "wrong")], "orders.csv", b"email\na@b.example\n");
    assert_eq!(forged.status, 403);
    let other = shop.neighbour("other");
    assert_eq!(shop.database.number("SELECT count(*) FROM imports"), 0);
    assert_eq!(chunks(&shop), 0);
    // Another site's import is not there.
    let path = leads(&owner.uploads(&list(&shop), &[("kind", "customers")], "a.csv", b"email\na@b.example\n"));
    let elsewhere = path.replace(&format!("/s/{}/", shop.keys.site_id), &format!("/s/{}/", other.site_id));
    assert_eq!(owner.gets(&elsewhere).status, 404);
    assert_eq!(owner.posts(&format!("{elsewhere}/remove"), &[]).status, 404);
    // A file that is none says so on its page.
    let path = leads(&owner.uploads(&list(&shop), &[("kind", "orders")], "a.xlsx", b"PK\x03\x04 and so on"));
    assert!(owner.reads(&path).contains("Excel"));
}

#[test]
fn a_file_that_is_left_lying_is_thrown_away() {
    let shop = Shop::open();
    let owner = owner(&shop);
    let path = leads(&owner.uploads(&list(&shop), &[("kind", "customers")], "a.csv", b"email\na@b.example\n"));
    shop.database.run("UPDATE imports SET touched_at = now() - interval '25 hours'");
    // A server that starts tidies up at once.
    let _other = Server::start(&shop.database, &[]);
    reaches(&shop, "expired");
    assert_eq!(chunks(&shop), 0);
    assert!(owner.reads(&path).contains("left lying"));
}
