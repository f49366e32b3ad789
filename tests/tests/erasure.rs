//! Somebody asks to be forgotten: nothing of theirs is left, and nothing brings them back.

use serde_json::{Value, json};
use tests::server::succeeds;
use tests::speech::{self, now_ms};
use tests::web::Owner;
use tests::{SOON, Shop, segments, until};

/// Texts that were planted in everything the person sent.
const PLANTED: [&str; 6] =
    ["planted-user-7", "planted@mail.example", "plantedtrait", "planted-page", "plantedproperty", "planted-order-1"];

/// Tables that hold one of the planted texts in any column.
fn traces(shop: &Shop) -> Vec<String> {
    let tables = shop.database.rows(
        "SELECT quote_ident(c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
    );
    assert!(tables.len() > 20, "{tables:?}");
    let mut found = Vec::new();
    for table in tables {
        let name = table["name"].as_str().expect("a name");
        for planted in PLANTED {
            let count =
                shop.database.number(&format!("SELECT count(*) FROM {name} t WHERE t::text ILIKE '%{planted}%'"));
            if count > 0 {
                found.push(format!("{name}: {planted}"));
            }
        }
    }
    found
}

/// Everything that the person ever sent, by every door.
fn everything(shop: &Shop, at_ms: i64) -> Vec<(String, Vec<u8>)> {
    let visitor = speech::visitor_id("planted");
    let browser = [
        speech::page(at_ms, "https://shop.example/planted-page?utm_campaign=planted-page"),
        speech::track(at_ms + 1, "Viewed plantedproperty", json!({ "what": "plantedproperty" })),
        speech::identify(at_ms + 2, "planted-user-7", json!({ "hobby": "plantedtrait" })),
    ];
    let server = json!({ "writeKey": shop.keys.secret_key, "batch": [
        { "type": "identify", "userId": "planted-user-7", "messageId": "p1",
          "traits": { "email": "planted@mail.example", "hobby": "plantedtrait" } },
        { "type": "track", "event": "Order Completed", "userId": "planted-user-7", "messageId": "p2",
          "properties": { "order_id": "planted-order-1", "total": "12.50", "currency": "EUR" } },
        { "type": "track", "event": "Order Refunded", "messageId": "p3",
          "properties": { "order_id": "planted-order-1", "total": "2.50", "currency": "EUR" } },
        { "type": "track", "event": "Order Completed", "userId": "planted-user-7", "messageId": "p4",
          "properties": { "order_id": "planted-order-2", "total": "plantedproperty" } },
    ] });
    vec![
        ("/v1/events".to_owned(), speech::batch(&shop.keys.write_key, wire::Who::Visitor(visitor), &browser).to_vec()),
        ("/v1/batch".to_owned(), server.to_string().into_bytes()),
    ]
}

/// Uploads three files: one that was imported and had a line rejected that names the person, one that names them and
/// has not been started, and one of other people.
fn uploads(shop: &Shop) -> Owner {
    tests::shop::add_user(&shop.database, "owner@shop.example", "a long enough password");
    let owner = Owner::logs_in(&shop.server, "owner@shop.example", "a long enough password");
    let list = format!("/s/{}/imports", shop.keys.site_id);
    let put = |name: &str, text: &str| {
        let reply = owner.uploads(&list, &[("kind", "orders")], name, text.as_bytes());
        reply.header("location").unwrap_or_else(|| panic!("{}", reply.body)).to_owned()
    };
    let done = put("a.csv", "email,date,total,order_id\nplanted@mail.example,never,1,plantedproperty\n");
    assert_eq!(owner.posts(&format!("{done}/start"), &[]).status, 303);
    until("the import to end", SOON, || {
        (shop.database.number("SELECT count(*) FROM import_rejected") == 1).then_some(())
    });
    put("planted@mail.example.csv", "customer_id,date,total\nplanted-user-7,2026-01-05,1\nother,2026-01-05,1\n");
    put("other.csv", "customer_id,date,total\nother,2026-01-05,1\n");
    owner
}

#[test]
fn a_forgotten_person_leaves_no_trace_and_does_not_come_back() {
    let shop = Shop::open();
    // Another person shares a page and the name of an event.
    shop.visitor("other").views("/planted-by-nobody").tracks("Signed up", json!({}));
    let favourite = json!({ "name": "favourite", "says": "most frequent \"what\" of anything" });
    assert_eq!(shop.call("POST", "/api/v1/traits", &favourite).status, 201);
    let agreed = json!({ "says": "order_id: number" });
    assert_eq!(shop.call("PUT", "/api/v1/plan/events/Order%20Completed", &agreed).status, 200);
    let sent = everything(&shop, now_ms());
    for (path, body) in &sent {
        assert_eq!(shop.web.post(path, body).status, 200);
    }
    let folder = tests::cluster::Folder::make();
    let file = folder.path().join("orders.csv").display().to_string();
    let lines = "customer_id,ordered_at,total,order_id\nplanted-user-7,2026-01-05,7.25,planted-order-1\n";
    std::fs::write(&file, lines).expect("a file");
    let import = ["import", "orders", "--site", "shop", &file];
    succeeds(&segments(&shop.database, &import));
    let owner = uploads(&shop);
    let profile = shop.profile("email=planted@mail.example");
    assert_eq!(profile["facts"]["traits"]["hobby"], "plantedtrait");
    assert_eq!(profile["computed_traits"]["favourite"], "plantedproperty");
    let samples = "SELECT count(*) FROM plan_breaches WHERE sample LIKE '%planted-order-1%'";
    assert!(shop.database.number(samples) > 0, "of the server's and of the file's report");
    let told = shop.ask("/api/v1/profiles/export?email=planted@mail.example");
    assert_eq!(told.status, 200, "{}", told.body);
    assert_eq!(told.json()["computed_traits"]["favourite"], "plantedproperty", "{}", told.body);
    for planted in PLANTED {
        assert!(told.body.contains(planted), "{planted} is part of what the person may read");
    }
    assert!(traces(&shop).len() > 6, "{:?}", traces(&shop));
    let others = shop.profile(&shop.visitor("other").query());

    let erased = shop.call("DELETE", "/api/v1/profiles?email=planted@mail.example", &Value::Null);
    assert_eq!(erased.status, 202, "{}", erased.body);
    assert_eq!(shop.ask("/api/v1/profiles?email=planted@mail.example").status, 404, "at once");
    until("every trace to be deleted", SOON, || {
        (shop.database.number("SELECT count(*) FROM erasures WHERE done_at IS NULL") == 0).then_some(())
    });
    assert_eq!(traces(&shop), Vec::<String>::new());
    let files = shop.database.rows("SELECT state FROM imports ORDER BY import_id");
    let states: Vec<&str> = files.iter().filter_map(|row| row["state"].as_str()).collect();
    assert_eq!(states, ["done", "failed", "ready"], "a file that names nobody of them stays");
    assert_eq!(shop.database.number("SELECT count(*) FROM import_chunks"), 1);
    assert!(
        owner.reads(&format!("/s/{}/imports", shop.keys.site_id)).contains("(erased)"),
        "not even in a file's name"
    );
    let log = shop.server.log();
    assert!(PLANTED.iter().all(|planted| !log.contains(planted)), "{log}");
    assert_eq!(shop.profile(&shop.visitor("other").query()), others, "nobody else is touched");
    assert_eq!(shop.database.number("SELECT count(*) FROM terms WHERE value = 'Signed up'"), 1);

    // A browser's queue, an SDK's retry, a file that is imported again: all of it is refused and only counted.
    let stored = shop.stored();
    for (path, body) in sent.iter().chain(&everything(&shop, now_ms() + 1_000)) {
        let reply = shop.web.post(path, body);
        assert_eq!(reply.receipt().0, 0, "{path}: {}", reply.body);
    }
    succeeds(&segments(&shop.database, &import));
    assert_eq!(shop.stored(), stored);
    assert!(shop.rejected()["erased"] >= 12, "{:?}", shop.rejected());
    assert_eq!(traces(&shop), Vec::<String>::new(), "nor is a sample kept of what was wrong with them");
    assert_eq!(shop.ask("/api/v1/profiles?email=planted@mail.example").status, 404);
    shop.is_the_same_rebuilt();
}

#[test]
fn another_process_learns_of_an_erasure_before_it_stores_anything() {
    let shop = Shop::open();
    let other = tests::Server::start(&shop.database, &[]);
    let web = tests::Web::new(&other.origin());
    let says = |n: u32| {
        json!({ "writeKey": shop.keys.secret_key, "batch": [
            { "type": "track", "event": "Seen", "userId": "u1", "messageId": format!("m{n}") }] })
    };
    assert_eq!(shop.web.post_json("/v1/batch", &says(1)).receipt(), (1, 0, 0));
    assert_eq!(web.post_json("/v1/batch", &says(2)).receipt(), (1, 0, 0));
    shop.is_projected();
    succeeds(&segments(&shop.database, &["person", "erase", "--site", "shop", "--user-id", "u1"]));
    assert_eq!(web.post_json("/v1/batch", &says(3)).receipt(), (0, 0, 1));
    assert_eq!(shop.web.post_json("/v1/batch", &says(4)).receipt(), (0, 0, 1));
    assert_eq!((shop.stored(), shop.database.number("SELECT count(*) FROM identities")), (0, 0));
    assert_eq!(shop.database.number("SELECT count(*) FROM profiles"), 0);
}
