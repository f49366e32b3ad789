//! An event is stored once per site, however often and in whatever grouping it is sent again.

use serde_json::{Value, json};
use tests::speech::{self, batch, identify, mint, now_ms, page, track, visitor_id};
use tests::{Database, Shop};
use wire::Who;

/// How often each event id is stored; nothing but ones is right.
#[track_caller]
fn is_stored_once(shop: &Shop, events: usize) {
    let row = &shop.database.rows("SELECT count(*) AS rows, count(DISTINCT event_id) AS ids FROM events")[0];
    assert_eq!((row["rows"].as_u64(), row["ids"].as_u64()), (Some(events as u64), Some(events as u64)));
}

fn message(id: &str, rest: Value) -> Value {
    let mut message = json!({ "type": "track", "event": "Seen", "userId": "u1", "messageId": id });
    message.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    message
}

#[test]
fn the_same_events_in_other_groupings_are_stored_once() {
    let shop = Shop::open();
    let mia = Who::Visitor(visitor_id("mia"));
    let now = now_ms();
    let events: Vec<_> = (0..60).map(|n| track(now + n, "Seen", json!({ "n": n }))).collect();
    assert_eq!(shop.post(mia, &events[..20]).receipt(), (20, 0, 0));
    assert_eq!(shop.post(mia, &events[..20]).receipt(), (0, 20, 0), "the same again");
    assert_eq!(shop.post(mia, &events[10..30]).receipt(), (10, 10, 0), "half of it new");
    let mut backwards = events.clone();
    backwards.reverse();
    assert_eq!(shop.post(mia, &backwards).receipt(), (30, 30, 0));
    let mut twice = vec![track(now, "Twice", Value::Null)];
    twice.push(twice[0].clone());
    assert_eq!(shop.post(mia, &twice).receipt(), (1, 1, 0), "twice in one batch");
    for event in &events {
        assert_eq!(shop.post(mia, std::slice::from_ref(event)).receipt(), (0, 1, 0));
    }
    is_stored_once(&shop, 61);
    let outcomes = shop.outcomes();
    assert_eq!((outcomes.stored, outcomes.duplicate), (61, 20 + 10 + 30 + 1 + 60));
    shop.is_the_same_rebuilt();
}

#[test]
fn an_identify_between_two_tries_stores_nothing_twice() {
    let shop = Shop::open();
    let mia = Who::Visitor(visitor_id("mia"));
    let now = now_ms();
    let before = [page(now, "https://shop.example/a"), page(now + 1, "https://shop.example/b")];
    assert_eq!(shop.post(mia, &before).receipt(), (2, 0, 0));
    // The user is known from another browser, so that the identify moves this visitor to another profile.
    shop.visitor("phone").signs_in("u1");
    let profile = shop.profile_id("user_id=u1");
    assert_eq!(shop.post(mia, &[identify(now + 2, "u1", json!({}))]).receipt(), (1, 0, 0));
    assert_eq!(shop.profile_id("user_id=u1"), profile);
    assert_eq!(shop.profile_id(&shop.visitor("mia").query()), profile, "one person now");
    let again = [before[0].clone(), page(now + 3, "https://shop.example/c"), before[1].clone()];
    assert_eq!(shop.post(mia, &again).receipt(), (1, 2, 0));
    is_stored_once(&shop, 5);
    assert_eq!(shop.profile("user_id=u1")["facts"]["views"], 3);
    shop.is_the_same_rebuilt();
}

#[test]
fn a_measured_event_sent_again_after_midnight_from_another_network_is_stored_once() {
    let database = Database::fresh();
    // The server already ran yesterday: its salt of that day is there.
    database.run(
        "INSERT INTO salts (day, salt) VALUES ((now() AT TIME ZONE 'UTC')::date - 1, decode(repeat('5a', 32), 'hex'))",
    );
    let shop = Shop::on(database, &["--trusted-proxy", "127.0.0.1"]);
    let day = 86_400_000;
    let midnight = now_ms() / day * day;
    let load = Who::Load(mint(midnight - 4_000));
    let before = [page(midnight - 3_000, "https://shop.example/late"), track(midnight - 2, "Late", json!({}))];
    // Never ahead of the clock by more than a test just after midnight is.
    let after = [track(midnight + 1, "Early", json!({})), page(midnight + 2, "https://shop.example/early")];
    let from = |address: &str, agent: &str, events: &[wire::Event<'static>]| {
        let body = batch(&shop.keys.write_key, load, events);
        let reply = shop.web.send("POST", "/v1/events", &[("x-forwarded-for", address), ("user-agent", agent)], &body);
        reply.receipt()
    };
    assert_eq!(from("203.0.113.7", "Tram/1", &before), (2, 0, 0));
    assert_eq!(from("198.51.100.9", "Tram/1", &before), (0, 2, 0), "another network");
    assert_eq!(from("2001:db8::1", "Tram/2", &before), (0, 2, 0), "and a browser that was updated");
    let both = [before[1].clone(), after[0].clone(), after[1].clone(), before[0].clone()];
    assert_eq!(from("198.51.100.9", "Tram/1", &both), (2, 2, 0), "midnight lies within one batch");
    assert_eq!(from("203.0.113.7", "Tram/1", &after), (0, 2, 0));
    is_stored_once(&shop, 4);
    let people = "SELECT count(DISTINCT identity_id) FROM events";
    assert_eq!(shop.database.number(people), 1, "one page load is one visitor");
    // A second page of the same evening, from the first network, is the same visitor by the salt of that day alone.
    let next_load = Who::Load(mint(midnight - 1_000));
    let body = batch(&shop.keys.write_key, next_load, &[page(midnight - 1_000, "https://shop.example/next")]);
    let headers = [("x-forwarded-for", "203.0.113.7"), ("user-agent", "Tram/1")];
    assert_eq!(shop.web.send("POST", "/v1/events", &headers, &body).receipt(), (1, 0, 0));
    assert_eq!(shop.database.number(people), 1, "known again within the day");
    let next_day = Who::Load(mint(midnight + 3));
    let body = batch(&shop.keys.write_key, next_day, &[page(midnight + 3, "https://shop.example/next")]);
    assert_eq!(shop.web.send("POST", "/v1/events", &headers, &body).receipt(), (1, 0, 0));
    assert_eq!(shop.database.number(people), 2, "and not beyond");
    shop.is_the_same_rebuilt();
}

#[test]
fn a_repeated_message_id_is_stored_once_whatever_else_changed() {
    let shop = Shop::open();
    assert_eq!(shop.server_says(&[message("m1", json!({}))]).receipt(), (1, 0, 0));
    let changed = json!({ "userId": "u2", "timestamp": "2026-01-01T00:00:00Z", "properties": { "n": 2 } });
    assert_eq!(shop.server_says(&[message("m1", changed)]).receipt(), (0, 1, 0));
    let group = [message("m2", json!({})), message("m1", json!({})), message("m2", json!({}))];
    assert_eq!(shop.server_says(&group).receipt(), (1, 2, 0));
    let single = json!({ "writeKey": shop.keys.secret_key, "userId": "u1", "event": "Seen", "messageId": "m2" });
    assert_eq!(shop.web.post_json("/v1/track", &single).receipt(), (0, 1, 0), "over another route");
    is_stored_once(&shop, 2);
    // A site's message ids are its own.
    let other = shop.neighbour("other");
    let body = json!({ "writeKey": other.secret_key, "batch": [message("m1", json!({}))] });
    assert_eq!(shop.web.post_json("/v1/batch", &body).receipt(), (1, 0, 0));
    // A source without ids is stored as it arrives.
    let unnamed = json!({ "type": "track", "event": "Seen", "userId": "u1" });
    assert_eq!(shop.server_says(&[unnamed.clone(), unnamed]).receipt(), (2, 0, 0));
}

#[test]
fn senders_of_the_same_batch_at_the_same_time_store_it_once() {
    let shop = Shop::open();
    let now = now_ms();
    let senders = 8;
    for round in 0..5 {
        let name = format!("v{round}");
        let who = Who::Visitor(visitor_id(&name));
        let events: Vec<_> = (0..50)
            .map(|n| match n {
                25 => identify(now + n, &format!("user-{round}"), json!({})),
                n => track(now + n, "Seen", json!({ "n": n })),
            })
            .collect();
        let wire = batch(&shop.keys.write_key, who, &events);
        let messages: Vec<Value> = (0..50).map(|n| message(&format!("{round}-{n}"), json!({}))).collect();
        let segment = json!({ "writeKey": shop.keys.secret_key, "batch": messages }).to_string();
        let receipts = std::thread::scope(|scope| {
            let sending: Vec<_> = (0..senders)
                .map(|_| {
                    let web = tests::Web::new(&shop.server.origin());
                    let (wire, segment) = (&wire, &segment);
                    scope.spawn(move || {
                        (web.post("/v1/events", wire).receipt(), web.post("/v1/batch", segment.as_bytes()).receipt())
                    })
                })
                .collect();
            sending.into_iter().map(|thread| thread.join().expect("a sender")).collect::<Vec<_>>()
        });
        let stored: (u64, u64) = receipts.iter().fold((0, 0), |sum, r| (sum.0 + r.0.0, sum.1 + r.1.0));
        let duplicate: (u64, u64) = receipts.iter().fold((0, 0), |sum, r| (sum.0 + r.0.1, sum.1 + r.1.1));
        assert_eq!(stored, (50, 50), "round {round}: {receipts:?}");
        assert_eq!(duplicate, (50 * (senders - 1), 50 * (senders - 1)), "round {round}: {receipts:?}");
    }
    is_stored_once(&shop, 5 * 100);
    shop.is_the_same_rebuilt();
}

#[test]
fn one_event_id_may_be_used_by_two_sites_and_by_two_visitors() {
    let shop = Shop::open();
    let other = shop.neighbour("other");
    let event = [page(now_ms(), "https://shop.example/")];
    let mia = Who::Visitor(visitor_id("mia"));
    assert_eq!(shop.post(mia, &event).receipt(), (1, 0, 0));
    let body = batch(&other.write_key, mia, &event);
    assert_eq!(shop.web.post("/v1/events", &body).receipt(), (1, 0, 0));
    // Nobody can keep another visitor's events out by guessing their ids.
    assert_eq!(shop.post(Who::Visitor(visitor_id("eve")), &event).receipt(), (1, 0, 0));
    assert_eq!(speech::written(event[0].id).as_bytes()[14], b'7');
}
