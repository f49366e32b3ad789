//! What becomes of a person: sessions, identities, orders and facts, event by event and rebuilt.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tests::server::fails;
use tests::speech::{self, identify, now_ms, page, page_from, snapshot, track, visitor_id};
use tests::web::Reply;
use tests::{Shop, segments};
use wire::{Event, Who};

const MINUTE: i64 = 60_000;

fn sessions(shop: &Shop) -> Vec<Value> {
    shop.is_projected();
    shop.database.rows("SELECT views, engaged_ms, channel, orders, revenue_minor FROM sessions ORDER BY started_at")
}

#[test]
fn signing_in_keeps_the_anonymous_visit() {
    let shop = Shop::open();
    shop.visitor("mia").views("/shoes").views("/shoes/red");
    assert_eq!(shop.profile(&shop.visitor("mia").query())["facts"]["signed_up"], false);
    shop.visitor("mia").at(now_ms() + MINUTE).signs_in("u1");
    let profile = shop.profile("user_id=u1");
    assert_eq!((&profile["facts"]["views"], &profile["facts"]["sessions"]), (&json!(2), &json!(1)));
    assert_eq!(profile["facts"]["signed_up"], true);
    let kinds: Vec<&str> =
        profile["identities"].as_array().unwrap().iter().filter_map(|i| i["kind"].as_str()).collect();
    assert_eq!(kinds, ["visitor", "user_id"]);
    let timeline: Vec<&str> = profile["events"].as_array().unwrap().iter().filter_map(|e| e["kind"].as_str()).collect();
    assert_eq!(timeline, ["identify", "page", "page"], "the newest first");
    shop.is_the_same_rebuilt();
}

#[test]
fn a_browser_never_joins_two_known_people_and_a_trusted_source_may() {
    let shop = Shop::open();
    shop.visitor("phone").views("/a").signs_in("u1");
    shop.visitor("laptop").views("/b").signs_in("u2");
    let (first, second) = (shop.profile_id("user_id=u1"), shop.profile_id("user_id=u2"));
    assert_ne!(first, second);
    // The same browser signs in as somebody else: two people share a device.
    shop.visitor("phone").at(now_ms() + MINUTE).signs_in("u2");
    assert_eq!((shop.profile_id("user_id=u1"), shop.profile_id("user_id=u2")), (first, second));
    let alias = json!({ "type": "alias", "userId": "u2", "previousId": "u1", "messageId": "a1" });
    let from_browser = json!({ "writeKey": shop.keys.write_key, "batch": [alias] });
    assert_eq!(shop.web.post_json("/v1/batch", &from_browser).receipt(), (1, 0, 0));
    assert_ne!(shop.profile_id("user_id=u1"), shop.profile_id("user_id=u2"), "nor may it say so by alias");
    let alias = json!({ "type": "alias", "userId": "u2", "previousId": "u1", "messageId": "a2" });
    assert_eq!(shop.server_says(&[alias]).receipt(), (1, 0, 0));
    assert_eq!(shop.profile_id("user_id=u1"), shop.profile_id("user_id=u2"), "the shop knows");
    assert_eq!(shop.profile("user_id=u2")["facts"]["views"], 2);
    let moved = shop.database.number("SELECT count(*) FROM identity_ledger WHERE undone_at IS NULL");
    assert!(moved >= 2, "the ledger has what it takes to undo this: {moved}");
    assert_eq!(shop.database.number("SELECT count(*) FROM profiles"), 1, "nothing is left of the other");
    shop.is_the_same_rebuilt();
}

#[test]
fn placeholders_join_nobody() {
    let shop = Shop::open();
    for (visitor, user_id) in [("a", "null"), ("b", "undefined"), ("c", "0"), ("d", "anonymous"), ("e", "null")] {
        shop.visitor(visitor).views("/").signs_in(user_id);
    }
    shop.is_projected();
    assert_eq!(shop.database.number("SELECT count(*) FROM profiles"), 5);
    assert_eq!(shop.database.number("SELECT count(*) FROM profiles WHERE signed_up"), 0);
}

#[test]
fn sessions_end_after_30_idle_minutes_and_with_a_new_campaign() {
    let shop = Shop::open();
    let start = now_ms() - 300 * MINUTE;
    let mia = Who::Visitor(visitor_id("mia"));
    let view = |minute: i64, query: &str| page(start + minute * MINUTE, &format!("https://shop.example/{query}"));
    let first = page_from(start, "https://shop.example/", "https://www.google.com/");
    let events = [
        first.clone(),
        snapshot(start + MINUTE, first.id, 1, 20_000),
        snapshot(start + 2 * MINUTE, first.id, 2, 45_000),
        view(29, "a"),
        view(58, "b"),
        view(89, "c"),
        view(90, "?utm_source=letter&utm_medium=email&utm_campaign=autumn"),
        track(start + 91 * MINUTE, "Order Completed", json!({ "order_id": "o1", "total": "19.90", "currency": "EUR" })),
    ];
    assert_eq!(shop.post(mia, &events).receipt(), (8, 0, 0));
    let sessions = sessions(&shop);
    let told: Vec<(i64, i64, &str, i64)> = sessions
        .iter()
        .map(|s| {
            let number = |name: &str| s[name].as_i64().unwrap();
            (number("views"), number("engaged_ms"), s["channel"].as_str().unwrap(), number("revenue_minor"))
        })
        .collect();
    assert_eq!(told.len(), 3, "{sessions:#?}");
    assert_eq!((told[0].0, told[0].1), (3, 45_000), "the highest revision of a snapshot counts: {sessions:#?}");
    assert_eq!((told[1].0, told[1].1), (1, 0));
    assert_eq!((told[2].0, told[2].2, told[2].3), (1, "email", 1_990), "{sessions:#?}");
    shop.is_the_same_rebuilt();
}

#[test]
fn late_events_are_folded_where_they_belong() {
    let shop = Shop::open();
    let start = now_ms() - 200 * MINUTE;
    let mia = Who::Visitor(visitor_id("mia"));
    let view = |minute: i64| page(start + minute * MINUTE, &format!("https://shop.example/{minute}"));
    // Two visits an hour apart; then what the browser kept offline fills the gap.
    assert_eq!(shop.post(mia, &[view(60)]).receipt(), (1, 0, 0));
    assert_eq!(sessions(&shop).len(), 1);
    assert_eq!(shop.post(mia, &[view(0)]).receipt(), (1, 0, 0));
    assert_eq!(sessions(&shop).len(), 2);
    assert_eq!(shop.post(mia, &[view(40), view(20)]).receipt(), (2, 0, 0));
    let joined = sessions(&shop);
    assert_eq!((joined.len(), joined[0]["views"].as_i64()), (1, Some(4)), "{joined:#?}");
    shop.is_the_same_rebuilt();
}

#[test]
fn an_order_is_counted_once_whoever_reports_it() {
    let shop = Shop::open();
    let now = now_ms();
    let order = |total: &str| json!({ "order_id": "o1", "total": total, "currency": "EUR" });
    shop.visitor("mia").at(now - MINUTE).views("/").signs_in("u1").tracks("Order Completed", order("20.00"));
    let facts = |shop: &Shop| {
        let profile = shop.profile("user_id=u1");
        (profile["facts"]["orders"].as_i64().unwrap(), profile["facts"]["revenue_minor"].as_i64().unwrap())
    };
    assert_eq!(facts(&shop), (1, 2_000), "a shop without a server counts what its pages report");
    shop.visitor("mia").at(now - 1_000).tracks("Order Completed", order("20.00"));
    assert_eq!(facts(&shop), (1, 2_000), "the thank-you page was loaded again");
    let confirmed = json!({
        "type": "track", "event": "Order Completed", "userId": "u1", "messageId": "o1", "properties": order("18.50"),
    });
    assert_eq!(shop.server_says(&[confirmed]).receipt(), (1, 0, 0));
    assert_eq!(facts(&shop), (1, 1_850), "the shop's own word replaces it");
    // From now on the pages' orders are unconfirmed until the server reports them.
    shop.visitor("mia").at(now).tracks("Order Completed", json!({ "order_id": "o2", "total": 5, "currency": "EUR" }));
    assert_eq!(facts(&shop), (1, 1_850));
    // Another browser claims the same order: it is not that visitor's.
    shop.visitor("eve").views("/").tracks("Order Completed", order("20.00"));
    assert_eq!(facts(&shop), (1, 1_850));
    let eve = shop.profile(&shop.visitor("eve").query());
    assert_eq!(eve["facts"]["orders"], 0);
    assert_eq!(shop.database.number("SELECT count(*) FROM orders WHERE order_id = 'o1'"), 1);
    shop.is_the_same_rebuilt();
}

/// What a shop's server says of an order, naming nobody.
fn of_order(shop: &Shop, name: &str, message_id: &str, properties: Value) -> Reply {
    let properties = properties.as_object().expect("properties").clone();
    shop.server_says(&[json!({ "type": "track", "event": name, "messageId": message_id, "properties": properties })])
}

/// Orders that count and revenue of somebody.
fn bought(shop: &Shop, who: &str) -> (i64, i64) {
    let profile = shop.profile(who);
    (profile["facts"]["orders"].as_i64().unwrap(), profile["facts"]["revenue_minor"].as_i64().unwrap())
}

#[test]
fn a_refund_that_names_only_its_order_reaches_whoever_holds_it() {
    let shop = Shop::open();
    let order = json!({ "order_id": "1001", "total": "40.00", "currency": "EUR" });
    let placed =
        json!({ "type": "track", "event": "Order Completed", "userId": "u1", "messageId": "o", "properties": order });
    assert_eq!(shop.server_says(&[placed]).receipt(), (1, 0, 0));
    let refund = json!({ "order_id": "1001", "refund_id": "r1", "amount": "15.00", "currency": "EUR" });
    assert_eq!(of_order(&shop, "Order Refunded", "m1", refund.clone()).receipt(), (1, 0, 0));
    assert_eq!(bought(&shop, "user_id=u1"), (1, 2_500));
    // The shop tells it again in another message: it is the same refund.
    assert_eq!(of_order(&shop, "Order Refunded", "m2", refund).receipt(), (1, 0, 0));
    assert_eq!(bought(&shop, "user_id=u1"), (1, 2_500));
    let row = shop.database.rows("SELECT total_minor, refunded_minor, cancelled, counted FROM orders");
    assert_eq!(row, [json!({ "total_minor": 4_000, "refunded_minor": 1_500, "cancelled": false, "counted": true })]);
    // A message about a refund that names somebody else does not take the order from its holder.
    let by_desk = json!({
        "type": "track", "event": "Order Refunded", "userId": "desk", "messageId": "m3",
        "properties": { "order_id": "1001", "amount": 5 },
    });
    assert_eq!(shop.server_says(&[by_desk]).receipt(), (1, 0, 0));
    assert_eq!(bought(&shop, "user_id=u1"), (1, 2_000));
    assert_eq!(of_order(&shop, "Order Cancelled", "m4", json!({ "order_id": "1001" })).receipt(), (1, 0, 0));
    assert_eq!(bought(&shop, "user_id=u1"), (0, 0));
    let timeline = shop.profile("user_id=u1");
    let names: Vec<&str> = timeline["events"].as_array().unwrap().iter().filter_map(|e| e["name"].as_str()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    shop.is_the_same_rebuilt();
}

#[test]
fn a_refund_that_comes_before_its_order_waits_and_is_applied_when_it_comes() {
    let shop = Shop::open();
    let refund = json!({ "order_id": "1001", "refund_id": "r1", "amount": 15, "currency": "EUR" });
    assert_eq!(of_order(&shop, "Order Refunded", "m1", refund).receipt(), (1, 0, 0));
    shop.is_projected();
    assert_eq!(shop.database.number("SELECT count(*) FROM orders"), 0);
    shop.is_the_same_rebuilt();
    // The thank-you page is loaded, then the shop tells of the order and whose it is.
    let order = json!({ "order_id": "1001", "total": 40, "currency": "EUR" });
    let mia = shop.visitor("mia").views("/thanks").tracks("Order Completed", order.clone());
    assert_eq!(bought(&shop, &mia.query()), (1, 2_500));
    assert_eq!(shop.database.number("SELECT count(*) FROM profiles"), 1, "the order is nobody by itself any more");
    shop.is_the_same_rebuilt();
    let placed =
        json!({ "type": "track", "event": "Order Completed", "userId": "u1", "messageId": "o", "properties": order });
    assert_eq!(shop.server_says(&[placed]).receipt(), (1, 0, 0));
    assert_eq!((bought(&shop, "user_id=u1"), bought(&shop, &mia.query())), ((1, 2_500), (0, 0)));
    shop.is_the_same_rebuilt();
}

#[test]
fn an_order_that_a_shop_tells_without_a_person_counts_and_is_given_to_whoever_is_known_to_have_it() {
    let shop = Shop::open();
    let order = json!({ "order_id": "1001", "total": 40, "currency": "EUR" });
    let placed = json!({ "type": "track", "event": "Order Completed", "properties": order });
    assert_eq!(shop.server_says(&[placed]).receipt(), (1, 0, 0), "it needs neither person nor message id");
    shop.is_projected();
    assert_eq!(shop.database.number("SELECT sum(revenue_minor)::bigint FROM profiles"), 4_000);
    let mia = shop.visitor("mia").views("/thanks").tracks("Order Completed", order);
    assert_eq!(bought(&shop, &mia.query()), (1, 4_000));
    assert_eq!(shop.database.number("SELECT sum(revenue_minor)::bigint FROM profiles"), 4_000);
    shop.is_the_same_rebuilt();
}

#[test]
fn browsers_refund_and_cancel_nothing_but_their_own_unconfirmed_orders() {
    let shop = Shop::open();
    let now = now_ms();
    let order = |id: &str| json!({ "order_id": id, "total": 40, "currency": "EUR" });
    shop.visitor("joe").at(now - MINUTE).tracks("Order Completed", order("joes"));
    let joe = shop.visitor("joe").query();
    // Eve guesses the number of joe's order, and joe calls it off himself.
    let eve = shop.visitor("eve").at(now - 50_000).tracks("Order Refunded", json!({ "order_id": "joes" }));
    eve.tracks("Order Cancelled", json!({ "order_id": "joes" }));
    assert_eq!(bought(&shop, &joe), (1, 4_000));
    shop.visitor("joe").at(now - 40_000).tracks("Order Refunded", json!({ "order_id": "joes", "amount": 10 }));
    assert_eq!(bought(&shop, &joe), (1, 3_000));
    let mia = json!({ "type": "track", "event": "Order Completed", "userId": "mia", "messageId": "o", "properties": order("mias") });
    assert_eq!(shop.server_says(&[mia]).receipt(), (1, 0, 0));
    shop.visitor("mia").at(now).signs_in("mia").tracks("Order Refunded", json!({ "order_id": "mias" }));
    shop.visitor("mia").at(now).tracks("Order Cancelled", json!({ "order_id": "mias" }));
    assert_eq!(bought(&shop, "user_id=mia"), (1, 4_000));
    shop.is_the_same_rebuilt();
}

#[test]
fn a_refund_that_cannot_be_is_told_to_its_sender() {
    let shop = Shop::open();
    let order = json!({ "order_id": "1001", "total": 40, "currency": "EUR" });
    assert_eq!(of_order(&shop, "Order Completed", "o", order).receipt(), (1, 0, 0));
    shop.is_projected();
    let dollars = json!({ "order_id": "1001", "amount": 5, "currency": "USD" });
    assert_eq!(of_order(&shop, "Order Refunded", "m1", dollars).receipt(), (0, 0, 1));
    assert_eq!(
        of_order(&shop, "Order Refunded", "m2", json!({ "order_id": "1001", "amount": "5,00" })).receipt(),
        (0, 0, 1)
    );
    assert_eq!(of_order(&shop, "Order Cancelled", "m3", json!({})).receipt(), (0, 0, 1));
    assert_eq!(shop.rejected().get("bad_order"), Some(&3));
    // Sent again as it should be, under the same id, it is taken.
    let euros = json!({ "order_id": "1001", "amount": 5, "currency": "EUR" });
    assert_eq!(of_order(&shop, "Order Refunded", "m1", euros).receipt(), (1, 0, 0));
    shop.is_projected();
    assert_eq!(shop.database.number("SELECT sum(revenue_minor)::bigint FROM profiles"), 3_500);
    shop.is_the_same_rebuilt();
}

/// One thing that happens in a made-up story. Few people, names and orders, so that they meet.
#[derive(Clone, Debug)]
enum Scene {
    View {
        visitor: u8,
        minute: i64,
        campaign: Option<u8>,
    },
    SignIn {
        visitor: u8,
        minute: i64,
        user: u8,
    },
    Order {
        visitor: u8,
        minute: i64,
        order: u8,
        cents: u16,
    },
    ServerOrder {
        user: u8,
        minute: i64,
        order: u8,
        cents: u16,
    },
    ServerKnows {
        user: u8,
        minute: i64,
        email: u8,
    },
    /// 0: refunded in part, 1: as a whole, 2: cancelled, 3: updated; a server where no visitor says it.
    Changed {
        visitor: Option<u8>,
        minute: i64,
        order: u8,
        how: u8,
        cents: u16,
    },
    Alias {
        minute: i64,
        from: u8,
        to: u8,
    },
}

fn scene() -> impl Strategy<Value = Scene> {
    // Minutes in any order: half of all events are late.
    let minute = 0..2_000_i64;
    prop_oneof![
        6 => (0..6_u8, minute.clone(), proptest::option::of(0..3_u8))
            .prop_map(|(visitor, minute, campaign)| Scene::View { visitor, minute, campaign }),
        2 => (0..6_u8, minute.clone(), 0..5_u8).prop_map(|(visitor, minute, user)| Scene::SignIn { visitor, minute, user }),
        2 => (0..6_u8, minute.clone(), 0..8_u8, any::<u16>())
            .prop_map(|(visitor, minute, order, cents)| Scene::Order { visitor, minute, order, cents }),
        1 => (0..5_u8, minute.clone(), 0..8_u8, any::<u16>())
            .prop_map(|(user, minute, order, cents)| Scene::ServerOrder { user, minute, order, cents }),
        2 => (0..5_u8, minute.clone(), 0..3_u8).prop_map(|(user, minute, email)| Scene::ServerKnows { user, minute, email }),
        2 => (proptest::option::of(0..6_u8), minute.clone(), 0..8_u8, 0..4_u8, any::<u16>())
            .prop_map(|(visitor, minute, order, how, cents)| Scene::Changed { visitor, minute, order, how, cents }),
        1 => (minute, 0..5_u8, 0..5_u8).prop_map(|(minute, from, to)| Scene::Alias { minute, from, to }),
    ]
}

/// Plays a scene; gives how many events it was.
fn play(shop: &Shop, start: i64, n: usize, scene: &Scene) {
    let browser = |visitor: u8, event: Event<'static>| {
        let reply = shop.post(Who::Visitor(visitor_id(&format!("v{visitor}"))), &[event]);
        assert_eq!(reply.receipt(), (1, 0, 0), "{scene:?}");
    };
    let server = |minute: i64, mut message: Value| {
        let at = jiff::Timestamp::from_millisecond(start + minute * MINUTE).expect("a moment");
        message["timestamp"] = json!(at.to_string());
        message["messageId"] = json!(format!("m{n}"));
        assert_eq!(shop.server_says(&[message]).receipt(), (1, 0, 0), "{scene:?}");
    };
    let at = |minute: i64| start + minute * MINUTE;
    let order = |order: u8, cents: u16| json!({ "order_id": format!("o{order}"), "total": f64::from(cents) / 100.0, "currency": "EUR" });
    match *scene {
        Scene::View { visitor, minute, campaign } => {
            let query = campaign.map(|c| format!("?utm_source=letter&utm_campaign=c{c}")).unwrap_or_default();
            browser(visitor, page(at(minute), &format!("https://shop.example/{}{query}", minute % 7)));
        }
        Scene::SignIn { visitor, minute, user } => {
            browser(visitor, identify(at(minute), &format!("u{user}"), json!({ "plan": minute % 3 })));
        }
        Scene::Order { visitor, minute, order: id, cents } => {
            browser(visitor, track(at(minute), "Order Completed", order(id, cents)));
        }
        Scene::ServerOrder { user, minute, order: id, cents } => {
            let properties = order(id, cents);
            let user = format!("u{user}");
            server(
                minute,
                json!({ "type": "track", "event": "Order Completed", "userId": user, "properties": properties }),
            );
        }
        Scene::ServerKnows { user, minute, email } => {
            let traits = json!({ "email": format!("e{email}@mail.example"), "plan": minute % 5 });
            server(minute, json!({ "type": "identify", "userId": format!("u{user}"), "traits": traits }));
        }
        Scene::Changed { visitor, minute, order: id, how, cents } => {
            let (name, properties) = match how {
                0 => ("Order Refunded", order(id, cents)),
                1 => ("Order Refunded", json!({ "order_id": format!("o{id}"), "refund_id": "r" })),
                2 => ("Order Cancelled", json!({ "order_id": format!("o{id}") })),
                _ => ("Order Updated", order(id, cents)),
            };
            match visitor {
                Some(visitor) => browser(visitor, track(at(minute), name, properties)),
                None => server(minute, json!({ "type": "track", "event": name, "properties": properties })),
            }
        }
        Scene::Alias { minute, from, to } => {
            server(minute, json!({ "type": "alias", "userId": format!("u{to}"), "previousId": format!("u{from}") }));
        }
    }
}

#[test]
fn any_story_in_any_order_projects_to_what_a_rebuild_gives() {
    let stories = if tests::is_full() { 20 } else { 3 };
    for seed in 0..stories {
        let config = Config { failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
        let story = proptest::collection::vec(scene(), 60..160).new_tree(&mut runner).expect("a story").current();
        let shop = Shop::open();
        let start = now_ms() - 2_100 * MINUTE;
        for (n, scene) in story.iter().enumerate() {
            play(&shop, start, n, scene);
        }
        let stored = shop.stored();
        assert_eq!(stored as usize, story.len(), "seed {seed}");
        shop.is_the_same_rebuilt();
        // An order is one person's, and revenue is its total once.
        let doubled = "SELECT count(*) FROM (SELECT order_id FROM orders GROUP BY order_id HAVING count(*) > 1) AS o";
        assert_eq!(shop.database.number(doubled), 0, "seed {seed}");
        let sums = "SELECT (SELECT coalesce(sum(revenue_minor), 0) FROM profiles)::bigint
                         - (SELECT coalesce(sum(total_minor - refunded_minor), 0) FROM orders WHERE counted)::bigint";
        assert_eq!(shop.database.number(sums), 0, "seed {seed}");
        let events = "SELECT coalesce(sum(events), 0)::bigint FROM profiles";
        eprintln!("seed {seed}: {stored} events, {} in facts", shop.database.number(events));
    }
}

#[test]
fn a_rebuild_reports_what_differs_and_mends_it() {
    let shop = Shop::open();
    shop.visitor("mia").views("/a").signs_in("u1");
    shop.visitor("joe").views("/b");
    shop.is_projected();
    shop.database.run("UPDATE profiles SET views = views + 1 WHERE signed_up; DELETE FROM sessions WHERE views = 1");
    let said = fails(&segments(&shop.database, &["rebuild"]));
    assert!(said.contains("2 people"), "{said}");
    assert_eq!(shop.profile("user_id=u1")["facts"]["views"], 1);
    shop.is_the_same_rebuilt();
}

#[test]
fn the_newest_release_reads_what_was_spoken_before() {
    // The golden bytes of every shipped version are in the wire crate; here one of them goes the whole way.
    let shop = Shop::open();
    let golden = include_str!("../../wire/tests/golden/batch.json");
    let mut batch: Value = serde_json::from_str(&golden.replace("\\ud800", "%ff")).expect("JSON");
    let now = now_ms();
    batch["key"] = json!(shop.keys.write_key);
    batch["sent"] = json!(now);
    batch["load"] = json!(speech::written(speech::mint(now)));
    for (n, event) in batch["events"].as_array_mut().unwrap().iter_mut().enumerate() {
        event["id"] = json!(speech::written(speech::mint(now + n as i64)));
        event["at"] = json!(now + n as i64);
    }
    let reply = shop.web.post("/v1/events", batch.to_string().as_bytes());
    // Measured: a page, an order, a snapshot and the last page; who somebody is may not be told, telepathy is unknown.
    assert_eq!(reply.receipt(), (4, 0, 4), "{} {:?}", reply.body, shop.outcomes().latest_rejected);
}

#[test]
fn a_newsletters_links_lead_only_where_its_sender_said_and_tell_who_opened_it() {
    let shop = Shop::open();
    let mailing = json!({ "campaign": "autumn", "urls": ["https://shop.example/new"], "recipients": ["Mia@mail.example", "no address"] });
    let made = shop.call("POST", "/api/v1/newsletters", &mailing);
    assert_eq!(made.status, 200, "{}", made.body);
    let made = made.json();
    assert_eq!(made["unreadable"][0]["recipient"], "no address");
    let path = |address: &Value| {
        let address = address.as_str().expect("an address").to_owned();
        address.strip_prefix(shop.web.origin()).expect("our own address").to_owned()
    };
    let mia = &made["recipients"]["Mia@mail.example"];
    let (open, click) = (path(&mia["open"]), path(&mia["clicks"]["https://shop.example/new"]));
    let opened = shop.web.get(&open);
    assert_eq!((opened.status, opened.header("content-type")), (200, Some("image/gif")));
    let clicked = shop.web.get(&click);
    let landing = "https://shop.example/new?utm_source=newsletter&utm_medium=email&utm_campaign=autumn";
    assert_eq!((clicked.status, clicked.header("location")), (302, Some(landing)));
    assert_eq!(shop.web.send("HEAD", &click, &[], b"").header("location"), Some(landing), "a scanner looks");
    let profile = shop.profile("email=mia@mail.example");
    let names: Vec<&str> = profile["events"].as_array().unwrap().iter().filter_map(|e| e["name"].as_str()).collect();
    assert_eq!(names, ["Email Link Clicked", "Email Opened"]);
    assert_eq!(profile["facts"]["sessions"], 0, "a mail is no visit");
    // Whoever follows the link is not the recipient because of it: mails are forwarded.
    shop.visitor("reader").views("/new?utm_source=newsletter&utm_medium=email&utm_campaign=autumn");
    assert_ne!(shop.profile_id(&shop.visitor("reader").query()), shop.profile_id("email=mia@mail.example"));
    assert_eq!(shop.profile(&shop.visitor("reader").query())["facts"]["first_channel"], "email");
    // A changed token, another site's key, an address of one's own: nobody is led anywhere.
    let mut forged = click.clone().into_bytes();
    let last = forged.len() - 1;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    for wrong in [
        String::from_utf8(forged).unwrap(),
        "/c/https://evil.example".to_owned(),
        format!("{click}AAAA"),
        "/c/x".to_owned(),
    ] {
        let reply = shop.web.get(&wrong);
        assert_eq!((reply.status, reply.header("location")), (404, None), "{wrong}");
    }
    assert_eq!(shop.web.get("/o/nonsense.gif").status, 200, "a mail shows no broken picture");
    for urls in [json!(["javascript:alert(1)"]), json!(["//evil.example"]), json!(["https://a.example/\nLocation: x"])]
    {
        let refused = shop.call("POST", "/api/v1/newsletters", &json!({ "campaign": "x", "urls": urls }));
        assert_eq!(refused.status, 400, "{}", refused.body);
    }
    assert_eq!(shop.stored(), 3);
    shop.is_the_same_rebuilt();
}
