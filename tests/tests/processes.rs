//! Several `segments serve` on one database: the same totals, nobody in two pieces, and everybody sees everything.

use serde_json::json;
use std::collections::BTreeSet;
use tests::load::Load;
use tests::server::succeeds;
use tests::speech::{batch, identify, now_ms, page, track, visitor_id};
use tests::web::Owner;
use tests::{Database, SOON, Server, Web, rounds, segments, shop, until};
use wire::Who;

const NO_LIMITS: [&str; 4] = ["--address-rate", "0", "--key-rate", "0"];
const EMAIL: &str = "owner@shop.example";
const PASSWORD: &str = "a long enough password";

#[test]
fn two_servers_on_one_database_store_and_project_as_one() {
    let database = Database::fresh();
    let keys = shop::add_site(&database, "shop", &["--domain", "shop.example"]);
    let servers = [Server::start(&database, &NO_LIMITS), Server::start(&database, &NO_LIMITS)];
    let origins: Vec<String> = servers.iter().map(Server::origin).collect();
    let load = Load::start(&origins, &keys, 4);
    // Meanwhile some people walk through the shop, each page by the other server.
    let webs: Vec<Web> = origins.iter().map(|origin| Web::new(origin)).collect();
    let people = rounds(20, 60) as i64;
    let start = now_ms() - 600_000;
    for step in 0..10 {
        for person in 0..people {
            let who = Who::Visitor(visitor_id(&format!("walker{person}")));
            let at = start + step * 30_000;
            let event = match step {
                4 => identify(at, &format!("walker-{person}"), json!({})),
                7 => track(
                    at,
                    "Order Completed",
                    json!({ "order_id": format!("w{person}"), "total": 10, "currency": "EUR" }),
                ),
                step => page(at, &format!("https://shop.example/{step}")),
            };
            let web = &webs[(step + person) as usize % 2];
            assert_eq!(web.post("/v1/events", &batch(&keys.write_key, who, &[event])).receipt(), (1, 0, 0));
        }
    }
    load.goes_on(300);
    let acknowledged = load.finish();
    let walked = 10 * people;
    until("both to have projected everything", 3 * SOON, || {
        (database.number("SELECT count(*) FROM journal WHERE NOT projected") == 0).then_some(())
    });
    let walkers = "FROM identities i JOIN sessions s USING (site_id, profile_id)
                   WHERE i.kind = 2 AND i.value LIKE 'walker-%'";
    assert_eq!(database.number(&format!("SELECT count(*) {walkers}")), people, "nobody's session is in two pieces");
    assert_eq!(database.number(&format!("SELECT sum(s.views)::bigint {walkers}")), 8 * people);
    assert_eq!(database.number(&format!("SELECT sum(s.revenue_minor)::bigint {walkers}")), 1_000 * people);
    let total = acknowledged.count() as i64 + walked;
    assert_eq!(database.number("SELECT count(*) FROM events"), total);
    assert_eq!(database.number("SELECT sum(count)::bigint FROM site_outcomes WHERE outcome = 'stored'"), total);
    for web in &webs {
        let bearer = format!("Bearer {}", keys.secret_key);
        let told = web.send("GET", "/api/v1/outcomes", &[("authorization", &bearer)], b"").json();
        assert_eq!(told["stored"].as_i64(), Some(total), "both tell the same");
    }
    shop::rebuild_changes_nothing(&database);
    for server in servers {
        assert!(server.stop().success());
    }
}

/// The events' ids in a part of the Live page, and where to ask for the next part.
fn live(part: &str) -> (BTreeSet<String>, String) {
    let ids = part.split("id=\"e-").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect();
    let next = part.split("hx-get=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("where to go on");
    (ids, next.replace("&amp;", "&"))
}

#[test]
fn the_live_pages_of_both_servers_show_every_event() {
    let database = Database::fresh();
    let keys = shop::add_site(&database, "shop", &["--domain", "shop.example"]);
    shop::add_user(&database, EMAIL, PASSWORD);
    let servers = [Server::start(&database, &[]), Server::start(&database, &[])];
    let webs: Vec<Web> = servers.iter().map(|server| Web::new(&server.origin())).collect();
    let owners: Vec<Owner> = servers.iter().map(|server| Owner::logs_in(server, EMAIL, PASSWORD)).collect();
    let path = format!("/s/{}/live", keys.site_id);
    let mut seen = [BTreeSet::new(), BTreeSet::new()];
    let mut next = Vec::new();
    for owner in &owners {
        let (ids, after) = live(&owner.reads(&path));
        assert!(ids.is_empty());
        next.push(after);
    }
    let mut sent = BTreeSet::new();
    for n in 0..40_usize {
        let event = page(now_ms(), &format!("https://shop.example/{n}"));
        sent.insert(uuid::Uuid::from_bytes(event.id).to_string());
        let who = Who::Visitor(visitor_id(&format!("v{}", n % 5)));
        assert_eq!(webs[n % 2].post("/v1/events", &batch(&keys.write_key, who, &[event])).receipt(), (1, 0, 0));
        if n % 4 == 0 {
            for (owner, (seen, next)) in owners.iter().zip(seen.iter_mut().zip(&mut next)) {
                let (ids, after) = live(&owner.reads(next));
                seen.extend(ids);
                *next = after;
            }
        }
    }
    for (n, owner) in owners.iter().enumerate() {
        until("every event on the Live page", SOON, || {
            let (ids, after) = live(&owner.reads(&next[n]));
            seen[n].extend(ids);
            next[n] = after;
            (seen[n] == sent).then_some(())
        });
        // Whoever opens the page now finds the same.
        assert!(live(&owner.reads(&path)).0.is_subset(&sent));
    }
}

#[test]
fn roles_share_the_work() {
    let database = Database::fresh();
    let keys = shop::add_site(&database, "shop", &["--domain", "shop.example"]);
    let collector = Server::start(&database, &["--role", "collector"]);
    let dashboard = Server::start(&database, &["--role", "dashboard"]);
    let (taking, telling) = (Web::new(&collector.origin()), Web::new(&dashboard.origin()));
    let events = [page(now_ms(), "https://shop.example/"), identify(now_ms() + 1, "u1", json!({}))];
    let body = batch(&keys.write_key, Who::Visitor(visitor_id("mia")), &events);
    assert_eq!(taking.post("/v1/events", &body).receipt(), (2, 0, 0));
    assert_eq!(telling.post("/v1/events", &body).status, 404, "the dashboard takes nothing");
    let bearer = format!("Bearer {}", keys.secret_key);
    let ask = |web: &Web| web.send("GET", "/api/v1/profiles?user_id=u1", &[("authorization", &bearer)], b"");
    assert_eq!(ask(&taking).status, 404, "the collector tells nothing");
    assert_eq!(ask(&telling).json()["facts"], json!(null), "and without a worker nothing is projected");
    let _worker = Server::start(&database, &["--role", "worker"]);
    until("the worker to project it", SOON, || (ask(&telling).json()["facts"]["views"] == 1).then_some(()));
    let listed = succeeds(&segments(&database, &["site", "list"]));
    assert!(listed.contains(&keys.write_key) && !listed.contains(&keys.secret_key), "{listed}");
}
