//! Segments that keep themselves: people enter with what they do, leave when time has passed, and everything says why.

use serde_json::{Value, json};
use tests::server::{fails, succeeds};
use tests::speech::{now_ms, page, track, visitor_id};
use tests::{SOON, Shop, segments, until};
use wire::Who;

/// Waits until a person is in a segment, or is not.
#[track_caller]
fn is(shop: &Shop, key: &str, profile_id: i64, member: bool) {
    let what = format!("{profile_id} to be {} {key}", if member { "in" } else { "out of" });
    until(&what, SOON, || (shop.members(key).contains(&profile_id) == member).then_some(()));
}

/// Waits until the changes of a segment, with their causes, are told to be these. A change is told once nothing can come
/// in before it any more: while another transaction runs, that takes a moment.
#[track_caller]
fn changed(shop: &Shop, key: &str, expected: &[(bool, &str)]) {
    until(&format!("the changes of {key} to be {expected:?}"), SOON, || {
        let told = shop.ask("/api/v1/segments/changes").json();
        let all = told["changes"].as_array().expect("changes");
        let own = all.iter().filter(|change| change["segment"] == key);
        let own: Vec<_> =
            own.map(|change| (change["entered"] == true, change["cause"].as_str().unwrap_or(""))).collect();
        (own == expected).then_some(())
    });
}

#[test]
fn people_enter_with_what_they_do() {
    let shop = Shop::open();
    shop.visitor("early").views("/pricing").views("/pricing").views("/pricing");
    shop.keeps("keen", r#"viewed "/pricing" at least 3 times within 14 days and ordered exactly 0 times"#);
    let early = shop.profile_id(&shop.visitor("early").query());
    assert_eq!(shop.members("keen"), [early], "who was there before is asked, too");
    shop.visitor("mia").views("/pricing").views("/pricing");
    let mia = shop.profile_id(&shop.visitor("mia").query());
    assert_eq!(shop.members("keen"), [early]);
    shop.visitor("mia").at(now_ms()).views("/pricing");
    is(&shop, "keen", mia, true);
    shop.visitor("mia").tracks("Order Completed", json!({ "order_id": "1", "total": 5, "currency": "EUR" }));
    is(&shop, "keen", mia, false);
    changed(&shop, "keen", &[(true, "rule"), (true, "event"), (false, "event")]);
    shop.is_the_same_rebuilt();
}

#[test]
fn time_takes_people_out_on_the_second() {
    let shop = Shop::open();
    shop.keeps("here", r#"viewed "*" at least once within 3 seconds"#);
    shop.keeps("gone", r#"not (in segment "here")"#);
    shop.visitor("mia").views("/");
    let mia = shop.profile_id(&shop.visitor("mia").query());
    is(&shop, "here", mia, true);
    is(&shop, "here", mia, false);
    is(&shop, "gone", mia, true);
    changed(&shop, "here", &[(true, "event"), (false, "time")]);
    // Both in one go, and within a second of the moment that the rule names.
    let late = "SELECT max(extract(epoch FROM c.at - date_trunc('second', e.occurred_at)) * 1000)::bigint
                FROM segment_changes c JOIN segments USING (site_id, segment_id), events e
                WHERE NOT c.entered AND c.cause = 2 AND key = 'here'";
    let after_ms = shop.database.number(late);
    eprintln!("left {after_ms} ms after the page view, 3,000 by the rule");
    assert!(after_ms >= 3_000, "never early: {after_ms}");
    shop.is_the_same_rebuilt();
}

#[test]
fn a_segment_on_a_segment_follows_it_in_the_same_moment() {
    let shop = Shop::open();
    shop.keeps("buyers", "ordered at least once");
    shop.keeps("fans", r#"in segment "buyers" and viewed "/blog/*" at least once"#);
    let cycle = shop.call("PUT", "/api/v1/segments/buyers", &json!({ "name": "b", "says": r#"in segment "fans""# }));
    assert_eq!(cycle.status, 400);
    assert!(cycle.json()["error"].as_str().unwrap().contains("fans → buyers → fans"), "{}", cycle.body);
    let unknown = shop.call("POST", "/api/v1/segments", &json!({ "name": "x", "says": r#"in segment "vips""# }));
    assert_eq!((unknown.status, unknown.json()["path"].as_str()), (400, Some("/who/segment")), "{}", unknown.body);
    shop.visitor("mia").views("/blog/a");
    shop.visitor("mia").at(now_ms()).tracks("Order Completed", json!({ "order_id": "1", "total": 5 }));
    let mia = shop.profile_id(&shop.visitor("mia").query());
    is(&shop, "fans", mia, true);
    let moments = shop.database.rows(
        "SELECT DISTINCT at FROM segment_changes JOIN segments USING (site_id, segment_id)
         WHERE entered AND key IN ('buyers', 'fans')",
    );
    assert_eq!(moments.len(), 1, "{moments:?}");
    let refused = shop.call("DELETE", "/api/v1/segments/buyers", &Value::Null);
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert_eq!(shop.call("DELETE", "/api/v1/segments/fans", &Value::Null).status, 200);
    is(&shop, "fans", mia, false);
    assert_eq!(shop.call("POST", "/api/v1/segments/fans/restore", &Value::Null).status, 200);
    is(&shop, "fans", mia, true);
    shop.is_the_same_rebuilt();
}

#[test]
fn traits_properties_and_late_events_count_for_whom_they_belong_to() {
    let shop = Shop::open();
    shop.keeps("pros", r#"trait "plan" is "pro""#);
    shop.keeps("shoes", r#"did "Product Viewed" with "category" is "shoes" at least 2 times"#);
    let says = |plan: &str, id: &str| {
        let traits = json!({ "plan": plan });
        let message = json!({ "type": "identify", "userId": "u1", "traits": traits, "messageId": id });
        assert_eq!(shop.server_says(&[message]).receipt(), (1, 0, 0));
    };
    says("free", "m1");
    let mia = shop.profile_id("user_id=u1");
    assert!(shop.members("pros").is_empty());
    says("Pro", "m2");
    is(&shop, "pros", mia, true);
    // Shoes on the phone before signing in, and a late event of long ago: another history, one person.
    let now = now_ms();
    let phone = Who::Visitor(visitor_id("phone"));
    let shoes = |at: i64| track(at, "Product Viewed", json!({ "category": "Shoes", "price": 20 }));
    assert_eq!(shop.post(phone, &[shoes(now), page(now + 1, "https://shop.example/")]).receipt(), (2, 0, 0));
    shop.visitor("phone").at(now + 2_000).signs_in("u1");
    assert_eq!(shop.profile_id(&shop.visitor("phone").query()), mia);
    assert!(shop.members("shoes").is_empty());
    assert_eq!(shop.post(phone, &[shoes(now - 3_600_000)]).receipt(), (1, 0, 0));
    is(&shop, "shoes", mia, true);
    let explained = shop.ask("/api/v1/segments/shoes/explain?user_id=u1").json();
    assert_eq!((&explained["member"], &explained["explanation"]["holds"]), (&json!(true), &json!(true)), "{explained}");
    shop.is_the_same_rebuilt();
}

#[test]
fn a_merge_takes_the_other_persons_memberships_with_it() {
    let shop = Shop::open();
    shop.keeps("buyers", "ordered at least once");
    shop.visitor("phone").views("/").signs_in("u1");
    let order = json!({ "order_id": "1", "total": 5 });
    shop.visitor("laptop").views("/").signs_in("u2").at(now_ms()).tracks("Order Completed", order);
    let (one, two) = (shop.profile_id("user_id=u1"), shop.profile_id("user_id=u2"));
    is(&shop, "buyers", two, true);
    let alias = json!({ "type": "alias", "userId": "u2", "previousId": "u1", "messageId": "a1" });
    assert_eq!(shop.server_says(&[alias]).receipt(), (1, 0, 0));
    let whole = shop.profile_id("user_id=u1");
    is(&shop, "buyers", whole, true);
    assert_eq!(shop.members("buyers"), [whole], "of {one} and {two} one is left");
    shop.is_the_same_rebuilt();
}

#[test]
fn lists_and_snapshots_hold_people_whatever_they_are_merged_with() {
    let shop = Shop::open();
    for user in ["u1", "u2", "u3"] {
        let message = json!({ "type": "identify", "userId": user, "messageId": user, "traits": {} });
        assert_eq!(shop.server_says(&[message]).receipt(), (1, 0, 0));
    }
    let ids = ["u1", "u2", "u3"].map(|user| shop.profile_id(&format!("user_id={user}")));
    let made = shop.call("POST", "/api/v1/segments", &json!({ "key": "vips", "name": "VIPs", "list": true }));
    assert_eq!(made.status, 201, "{}", made.body);
    shop.keeps("vip-readers", r#"in segment "vips" and viewed "*" at least once"#);
    let put = shop.call("PUT", "/api/v1/segments/vips/list", &json!({ "user_ids": ["u1", "u2", "nobody", ""] }));
    assert_eq!((&put.json()["found"], &put.json()["unknown"], &put.json()["added"]), (&json!(2), &json!(2), &json!(2)));
    is(&shop, "vips", ids[0], true);
    is(&shop, "vips", ids[1], true);
    changed(&shop, "vips", &[(true, "list"), (true, "list")]);
    let asked = |user: &str| shop.ask(&format!("/api/v1/segments/vips/explain?user_id={user}")).json();
    assert_eq!((&asked("u1")["member"], asked("u1")["since"].is_string()), (&json!(true), true), "{}", asked("u1"));
    assert_eq!((&asked("u3")["member"], &asked("u3")["since"]), (&json!(false), &Value::Null));
    shop.visitor("phone").views("/").signs_in("u1");
    is(&shop, "vip-readers", ids[0], true);
    // Two of the list turn out to be one, and one more joins them.
    let alias = |from: &str, id: &str| {
        let alias = json!({ "type": "alias", "userId": "u3", "previousId": from, "messageId": id });
        assert_eq!(shop.server_says(&[alias]).receipt(), (1, 0, 0));
    };
    let snapshot = shop.call("POST", "/api/v1/segments/vips/snapshot", &json!({ "name": "VIPs of today" }));
    assert_eq!((snapshot.status, &snapshot.json()["kind"]), (201, &json!("list")), "{}", snapshot.body);
    alias("u1", "a1");
    let whole = shop.profile_id("user_id=u3");
    is(&shop, "vips", whole, true);
    let put = shop.call("DELETE", "/api/v1/segments/vips/list", &json!({ "user_ids": ["u1", "u2"] }));
    assert_eq!(put.json()["removed"], 2, "{}", put.body);
    is(&shop, "vips", whole, false);
    is(&shop, "vip-readers", whole, false);
    shop.is_swept();
    is(&shop, "vips-of-today", whole, true);
    assert_eq!(shop.members("vips-of-today").len(), 2);
    let refused = shop.call("PUT", "/api/v1/segments/vip-readers/list", &json!({ "user_ids": ["u1"] }));
    assert_eq!(refused.status, 409, "{}", refused.body);
    shop.is_the_same_rebuilt();
    // The same from the command line.
    let run = |arguments: &[&str]| succeeds(&segments(&shop.database, arguments));
    let told = run(&["segment", "explain", "vip-readers", "--person", "user_id=u3"]);
    assert!(told.starts_with("not in vip-readers:") && told.contains("no   in segment \"vips\""), "{told}");
    let told = run(&["segment", "explain", "vips-of-today", "--person", "user_id=u3"]);
    assert_eq!(told, "in  vips-of-today: on the list\n");
    let told = run(&["segment", "members", "vips-of-today"]);
    assert_eq!(told.lines().count(), 3, "{told}");
    let said = fails(&segments(&shop.database, &["segment", "add", "x", "--says", "ordered at least many times"]));
    assert!(said.contains("ordered at least many times\n") && said.contains('^'), "{said}");
}

#[test]
fn a_rule_that_makes_no_sense_is_refused_with_the_clause_at_fault() {
    let shop = Shop::open();
    let refused = |body: Value| {
        let reply = shop.call("POST", "/api/v1/segments", &body);
        assert_eq!(reply.status, 400, "{body}: {}", reply.body);
        (reply.json()["path"].as_str().unwrap_or("").to_owned(), reply.json()["error"].as_str().unwrap().to_owned())
    };
    let rule = |who: Value| json!({ "name": "x", "rule": { "version": 1, "who": who } });
    let window = json!({ "event": { "of": { "what": { "page": "/" } }, "window": { "ago": ["1 day", "2 days"] },
                                    "is": { "count": { "at_least": 1 } } } });
    let (path, error) = refused(rule(json!({ "all": [{ "segment": "x" }, window] })));
    assert_eq!(path, "/who/all/1/event/window");
    assert!(error.starts_with("impossible"), "{error}");
    let many: Vec<Value> = (0..10_000).map(|n| json!({ "segment": format!("s{n}") })).collect();
    assert!(refused(rule(json!({ "all": many }))).1.contains("200 clauses"));
    let visit = json!({ "event": { "of": { "what": "visit", "with": [{ "property": "mood", "is": { "is": "good" } }] },
                                   "is": { "count": { "at_least": 1 } } } });
    let (path, error) = refused(rule(visit));
    assert_eq!(path, "/who/event/of/with/0/property");
    assert!(error.contains("it has channel, source"), "{error}");
    let (path, error) = refused(json!({ "name": "x", "says": "viewed \"/\" at least 3 times within tomorrow" }));
    assert!(path.starts_with("column ") && !error.is_empty(), "{path} {error}");
    for hostile in ["'; DROP TABLE segments; --", "\u{202e}</script>", &"x".repeat(255)] {
        let made = shop.call(
            "POST",
            "/api/v1/segments",
            &rule(json!({ "trait": { "name": hostile, "is": { "is": hostile } } })),
        );
        assert_eq!(made.status, 201, "{}", made.body);
    }
    shop.is_swept();
    let other = shop.neighbour("other");
    let bearer = format!("Bearer {}", other.secret_key);
    let asked = shop.web.send("GET", "/api/v1/segments/x", &[("authorization", &bearer)], b"");
    assert_eq!(asked.status, 404, "another site's segment is nobody's");
}

#[test]
fn two_workers_and_a_restart_keep_one_truth() {
    let shop = Shop::open();
    shop.keeps("keen", r#"viewed "*" at least 5 times within 1 day"#);
    let second = tests::Server::start(&shop.database, &["--role", "worker"]);
    for n in 0..8 {
        for name in ["a", "b", "c", "d", "e", "f"] {
            shop.visitor(name).at(now_ms()).views(&format!("/{n}"));
        }
    }
    until("all six to be in", SOON, || (shop.members("keen").len() == 6).then_some(()));
    assert!(second.stop().success());
    shop.is_the_same_rebuilt();
    changed(&shop, "keen", &[(true, "event"); 6]);
    let changes = shop.ask("/api/v1/segments/changes").json();
    let next = changes["next"].as_str().expect("a cursor").to_owned();
    shop.visitor("g").tracks("Signed Up", json!({}));
    let told = until("the changes after the cursor", SOON, || {
        let more = shop.ask(&format!("/api/v1/segments/changes?after={next}")).json();
        more["changes"].as_array().filter(|changes| !changes.is_empty()).cloned()
    });
    assert!(told.iter().all(|change| change["segment"] != "keen"), "nothing is told twice: {told:?}");
}

#[test]
fn the_newer_of_two_programs_says_what_the_ready_segments_are() {
    let shop = Shop::open();
    let name = || shop.database.rows("SELECT name FROM segments WHERE key = 'rfm-champions'");
    let named = |expected: &str| name().first().is_some_and(|row| row["name"] == *expected);
    until("the ready segments", SOON, || named("Champions").then_some(()));
    // What a newer program gives stays, whatever this one does meanwhile.
    let newer = "UPDATE segments SET name = 'Heroes' WHERE key = 'rfm-champions'; UPDATE sites SET library_version = ";
    shop.database.run(&format!("{newer} 1000"));
    for n in 0..20 {
        shop.visitor(&format!("v{n}")).views("/").signs_in(&format!("u{n}"));
    }
    let made = "SELECT count(*) FROM segment_models WHERE kind = 'values'";
    until("models", SOON, || (shop.database.number(made) == 1).then_some(()));
    assert!(named("Heroes"), "{:?}", name());
    // What an older one had given is brought up to date.
    shop.database.run(&format!("{newer} 0"));
    until("the definitions of this program", SOON, || named("Champions").then_some(()));
    let version = i64::from(domain::segment::library::VERSION);
    assert_eq!(shop.database.number("SELECT library_version FROM sites"), version);
}

#[test]
fn a_shops_history_is_predicted_and_clustered() {
    let shop = Shop::open();
    let cdnow = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/tests/data/cdnow_sample.csv");
    let map = "customer_id=master_id,ordered_at=date,total=amount";
    succeeds(&segments(&shop.database, &["import", "orders", "--site", "shop", cdnow, "--map", map]));
    shop.is_projected();
    let models = until("the models to know everybody", 3 * SOON, || {
        let models = shop.ask("/api/v1/models").json();
        (models["predictions"]["buyers"] == 2_357).then_some(models)
    });
    shop.is_swept();
    assert_eq!(models["limits"][0]["version"], 1);
    // There is nothing in the last decades to try methods on.
    assert_eq!(models["predictions"]["chosen"]["basis"], "default", "{}", models["predictions"]);
    assert!(models["predictions"]["next_90_days"]["orders"].as_f64().is_some_and(|orders| orders < 50.0));
    let clusters = models["clusters"]["model"]["clusters"].as_array().expect("clusters");
    let sizes = clusters.iter().map(|cluster| cluster["people"].as_u64().unwrap());
    assert!(clusters.len() >= 2 && sizes.sum::<u64>() == 2_357, "{clusters:#?}");
    assert!(clusters.iter().all(|cluster| cluster["name"].as_str().is_some_and(|name| !name.is_empty())));
    // Rules ask for what the models say, and are told the same as the table has.
    let first = clusters[0]["id"].as_i64().unwrap();
    // What would have been on past days, in memory and from the command line.
    let buyers = json!({ "says": "orders at least 2", "days": ["1997-03-31", "1997-09-30"] });
    let tested = until("everybody to be in memory", SOON, || {
        let reply = shop.call("POST", "/api/v1/backtest", &buyers);
        (reply.status == 200).then(|| reply.json())
    });
    let had = |day: &str| {
        shop.database.number(&format!(
            "SELECT count(*) FROM (SELECT FROM orders WHERE ordered_at < '{day}' GROUP BY profile_id HAVING count(*) > 1) AS o"
        ))
    };
    let people = |n: usize| tested["days"][n]["members"]["people"].as_i64();
    assert_eq!((people(0), people(1)), (Some(had("1997-04-01")), Some(had("1997-10-01"))), "{tested}");
    assert_eq!(tested["days"][1]["everybody"]["people"], 2_357);
    let days = "--days=1997-03-31,1997-09-30";
    let told =
        succeeds(&segments(&shop.database, &["segment", "backtest", "--says", "orders at least 2", days, "--json"]));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        (&told[0]["members"], &told[1]["members"]),
        (&tested["days"][0]["members"], &tested["days"][1]["members"])
    );
    shop.keeps("first-cluster", &format!("cluster is {first}"));
    shop.keeps("alive", "probability alive at least 0.05");
    let number = |query: &str| shop.database.number(query) as usize;
    let of_cluster = number(&format!("SELECT count(*) FROM segment_scores WHERE cluster = {first}"));
    assert_eq!(shop.members("first-cluster").len(), of_cluster);
    let alive = number("SELECT count(*) FROM segment_scores WHERE probability_alive >= 0.05");
    assert_eq!(shop.members("alive").len(), alive);
    // Nobody is made better known than they are: nearly thirty years later hardly anybody is a customer.
    assert!(number("SELECT count(*) FROM segment_scores WHERE probability_alive > 0.5") < 50);
    // The grids hold everybody once; the lifecycle's cells are those of the day's book, found in another way. (The book
    // counts calendar days and a rule days of 24 hours: a score's limit may lie between the two until noon.)
    let list = shop.ask("/api/v1/segments").json();
    let size = |key: &str| shop.members(key).len() as u64;
    let (mut lifecycle, mut rfm) = (0, 0);
    for segment in list["segments"].as_array().unwrap() {
        let key = segment["key"].as_str().unwrap();
        if key.starts_with("lifecycle-") {
            assert_eq!(size(key), segment["size"].as_u64().unwrap(), "{key}");
            lifecycle += size(key);
        } else if key.starts_with("rfm-") && !key.starts_with("rfm-r") {
            rfm += size(key);
        }
    }
    assert_eq!((lifecycle, rfm), (2_357, 2_357));
    shop.is_the_same_rebuilt();
}

#[test]
fn what_another_process_has_projected_is_known_to_the_one_that_goes_on() {
    let shop = Shop::open();
    shop.keeps("twice", r#"did "Order Completed" at least 2 times"#);
    let order = json!({ "order_id": "1", "total": 5, "currency": "EUR" });
    let says = |id: &str, message: Value| {
        let mut message = message;
        (message["userId"], message["messageId"]) = (json!("u1"), json!(id));
        assert_eq!(shop.server_says(&[message]).receipt(), (1, 0, 0));
    };
    says("m1", json!({ "type": "track", "event": "Order Completed", "properties": order }));
    let person = shop.profile_id("user_id=u1");
    // The server sleeps while a file brings an order of long ago, which the import projects itself.
    let folder = tests::cluster::Folder::make();
    let file = folder.path().join("orders.csv");
    std::fs::write(&file, "customer,date,amount\nu1,2020-01-01,7.50\n").expect("a file");
    let map = "customer_id=customer,ordered_at=date,total=amount";
    shop.server.signal(rustix::process::Signal::STOP);
    let file = file.to_str().expect("a path of text");
    let imported = segments(&shop.database, &["import", "orders", "--site", "shop", file, "--map", map]);
    shop.server.signal(rustix::process::Signal::CONT);
    succeeds(&imported);
    is(&shop, "twice", person, true);
    // What it does next goes on from what is stored, not from what the server remembers.
    says("m2", json!({ "type": "track", "event": "Something Else" }));
    shop.is_projected();
    assert_eq!(shop.members("twice"), [person]);
    shop.is_the_same_rebuilt();
}
