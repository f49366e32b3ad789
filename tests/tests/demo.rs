//! The demo as a newcomer meets it: one command, a log-in, a year of people, and the same again at the next start.

use serde_json::Value;
use tests::cluster::Folder;
use tests::web::Owner;
use tests::{Database, SOON, Server, until};

/// The log-in that the ready line tells.
fn log_in(server: &Server) -> (String, String) {
    let line = server.ready_line();
    let (before, password) = line.split_once(" with ").unwrap_or_else(|| panic!("no log-in in {line:?}"));
    (before.rsplit(' ').next().expect("an address").to_owned(), password.trim().to_owned())
}

/// Events, people, orders and rejections of each site, in the order of their names.
fn totals(database: &Database) -> Vec<Value> {
    // The last events are stored when the server is ready; their projection may be a moment behind.
    until("the demo to be projected", 3 * SOON, || {
        (database.number("SELECT count(*) FROM journal WHERE NOT projected") == 0).then_some(())
    });
    database.rows(
        "SELECT s.name, (SELECT count(*) FROM events e WHERE e.site_id = s.site_id) AS events,
                (SELECT count(*) FROM profiles p WHERE p.site_id = s.site_id) AS people,
                (SELECT count(*) FROM orders o WHERE o.site_id = s.site_id AND o.counted) AS orders,
                (SELECT coalesce(sum(count), 0)::bigint FROM site_outcomes c
                 WHERE c.site_id = s.site_id AND c.outcome <> 'stored' AND c.outcome <> 'duplicate') AS rejected
         FROM sites s ORDER BY s.name",
    )
}

#[test]
fn the_demo_is_ready_with_its_year_and_is_the_same_at_the_next_start() {
    let folder = Folder::make();
    let data = folder.path();
    let server = Server::embedded(data, &["--demo"]);
    let (email, password) = log_in(&server);
    let database = Database::of_folder(data);
    let first = totals(&database);
    let [cdnow, shop] = &first[..] else { panic!("two sites: {first:?}") };
    assert_eq!((&cdnow["events"], &cdnow["people"], &cdnow["orders"]), (&6_919.into(), &2_357.into(), &6_919.into()));
    assert!(shop["people"].as_i64() > Some(2_000) && shop["orders"].as_i64() > Some(1_000), "{shop}");
    assert_eq!((&cdnow["rejected"], &shop["rejected"]), (&0.into(), &0.into()));
    let owner = Owner::logs_in(&server, &email, &password);
    for site in database.rows("SELECT site_id FROM sites") {
        for page in ["overview", "acquisition", "live", "segments", "people", "setup"] {
            owner.reads(&format!("/s/{}/{page}", site["site_id"]));
        }
    }
    assert!(server.stop().success());
    let server = Server::embedded(data, &["--demo"]);
    assert_eq!(log_in(&server), (email.clone(), password.clone()), "the log-in stays");
    assert_eq!(totals(&database), first, "nothing twice");
    Owner::logs_in(&server, &email, &password);
    assert!(server.stop().success());
}
