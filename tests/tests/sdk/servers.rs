//! SDKs for servers.

use super::{nothing_was_rejected, once, troubles};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tests::proxy::{Proxy, Trouble};
use tests::{Shop, npm, pypi};

/// Runs a program of an SDK that sends again, behind a proxy in each kind of trouble; gives back what it told, and for
/// whom.
#[track_caller]
fn through_trouble(shop: &Shop, path: &str, run: impl Fn(&[(&str, &str)]) -> Value, check: impl Fn(&str, &Value)) {
    for (n, troubles) in troubles().into_iter().enumerate() {
        let proxy = Proxy::before(shop.server.address(), path, &troubles);
        let person = format!("person-{n}");
        let origin = proxy.origin();
        let told =
            run(&[("SEGMENTS_HOST", &origin), ("SEGMENTS_KEY", &shop.keys.secret_key), ("SEGMENTS_PERSON", &person)]);
        assert_eq!(proxy.left(), 0, "{troubles:?} were met: {told}");
        check(&person, &told);
    }
    nothing_was_rejected(shop);
    shop.is_the_same_rebuilt();
}

const SEGMENT_CALLS: [&str; 6] =
    ["identify", "group", "page shop.example/pricing", "screen Home", "Order Completed", "alias"];

#[track_caller]
fn made_segments_calls(shop: &Shop, person: &str) {
    let who = format!("user_id={person}");
    assert_eq!(shop.did(&who), once(&SEGMENT_CALLS), "{person}");
    assert_eq!(shop.did(&format!("visitor_id={person}-device")), once(&["Anonymous"]));
    let profile = shop.profile(&who);
    assert_eq!(profile["facts"]["traits"]["plan"], "pro");
    assert_eq!((&profile["facts"]["orders"], &profile["facts"]["revenue_minor"]), (&1.into(), &4_250.into()));
    assert_eq!(shop.profile_id(&format!("email={person}@mail.example")), shop.profile_id(&who));
    assert_eq!(shop.profile_id(&format!("user_id={person}-before")), shop.profile_id(&who), "alias");
}

#[test]
fn analytics_node_is_served_and_each_event_is_stored_once() {
    let shop = Shop::open();
    for (n, troubles) in troubles().into_iter().enumerate() {
        let before = shop.stored();
        let proxy = Proxy::before(shop.server.address(), "/v1/batch", &troubles);
        let origin = proxy.origin();
        let told = npm::run("node.mjs", &[("SEGMENTS_HOST", &origin), ("SEGMENTS_KEY", &shop.keys.secret_key)]);
        assert_eq!((&told["failed"], &told["errors"]), (&json!([]), &json!([])));
        assert_eq!(told["delivered"], told["calls"], "{told}");
        assert_eq!(proxy.left(), 0, "{troubles:?} were met");
        // 7 calls, 40 numbered ones, and one of the three that are the same, which stays the same in the next run.
        assert_eq!(shop.stored() - before, if n == 0 { 48 } else { 47 }, "{troubles:?}");
    }
    nothing_was_rejected(&shop);
    let profile = shop.profile("user_id=node-user");
    assert_eq!(profile["facts"]["traits"]["plan"], "pro");
    assert_eq!((&profile["facts"]["orders"], &profile["facts"]["revenue_minor"]), (&1.into(), &4_250.into()));
    assert_eq!(shop.profile_id("email=node@mail.example"), shop.profile_id("user_id=node-user"));
    assert_eq!(shop.profile_id("user_id=node-user-before"), shop.profile_id("user_id=node-user"), "alias");
    shop.is_the_same_rebuilt();
}

#[test]
fn analytics_python_is_served_and_each_event_is_stored_once() {
    let shop = Shop::open();
    through_trouble(
        &shop,
        "/v1/batch",
        |environment| pypi::run("segment_python.py", environment),
        |person, told| {
            assert_eq!(told["failed"], json!([]), "{person}");
            made_segments_calls(&shop, person);
        },
    );
    assert_eq!(shop.brought("segment").values().sum::<i64>(), shop.stored());
}

#[test]
fn rudderstack_node_is_served_and_each_event_is_stored_once() {
    let shop = Shop::open();
    through_trouble(
        &shop,
        "/v1/batch",
        |environment| npm::run("rudderstack.mjs", environment),
        |person, told| {
            assert_eq!((&told["failed"], &told["delivered"]), (&json!([]), &told["calls"]), "{person}");
            made_segments_calls(&shop, person);
        },
    );
    assert_eq!(shop.brought("rudderstack").values().sum::<i64>(), shop.stored(), "and known for what it is");
}

#[test]
fn posthog_node_is_served_and_each_event_is_stored_once() {
    let shop = Shop::open();
    through_trouble(
        &shop,
        "/batch/",
        |environment| npm::run("posthog.mjs", environment),
        |person, told| {
            assert_eq!((&told["errors"], &told["flag"]), (&json!([]), &Value::Null), "{person}");
            let who = format!("user_id={person}");
            let calls = ["group", "page shop.example/pricing", "Order Completed", "alias", "$feature_flag_called"];
            let mut expected = once(&calls);
            expected.insert("identify".to_owned(), 2);
            assert_eq!(shop.did(&who), expected, "an event that sets traits is two");
            assert_eq!(shop.did(&format!("visitor_id={person}-device")), once(&["Anonymous"]));
            let facts = &shop.profile(&who)["facts"];
            assert_eq!((&facts["traits"]["plan"], &facts["traits"]["city"]), (&json!("pro"), &json!("Bern")));
            assert_eq!((&facts["orders"], &facts["revenue_minor"]), (&1.into(), &4_250.into()));
            assert_eq!(shop.profile_id(&format!("email={person}@mail.example")), shop.profile_id(&who));
            assert_eq!(shop.profile_id(&format!("user_id={person}-before")), shop.profile_id(&who), "alias");
        },
    );
}

#[test]
fn snowplow_node_is_served_and_each_event_is_stored_once() {
    for (method, base64, path) in [("post", "yes", "/tp2"), ("get", "no", "/i?")] {
        let run = |environment: &[(&str, &str)]| {
            let more = [("SEGMENTS_METHOD", method), ("SEGMENTS_BASE64", base64)];
            npm::run("snowplow.mjs", &[environment, &more].concat())
        };
        let shop = Shop::open();
        through_trouble(&shop, path, run, |person, told| {
            assert_eq!((&told["lost"], &told["delivered"]), (&json!([]), &told["calls"]), "{method} {person}: {told}");
            let who = format!("user_id={person}");
            let calls = ["page shop.example/pricing", "Play", "Link Clicked", "Order Completed", "Order Item"];
            assert_eq!(shop.did(&who), once(&calls), "{method}");
            assert_eq!(shop.profile_id(&format!("visitor_id={person}-device")), shop.profile_id(&who));
            let facts = &shop.profile(&who)["facts"];
            assert_eq!((&facts["orders"], &facts["revenue_minor"]), (&1.into(), &4_250.into()));
        });
        let mails = "SELECT count(*) FROM events WHERE properties::text LIKE '%mail.example%'";
        assert_eq!(shop.database.number(mails), 0, "an address in a link is not kept");
    }
}

#[test]
fn umami_node_sees_what_became_of_each_call_and_nothing_is_doubled() {
    let shop = Shop::open();
    let run = |origin: &str, key: &str| {
        npm::run("umami.mjs", &[("SEGMENTS_HOST", origin), ("SEGMENTS_KEY", key), ("SEGMENTS_PERSON", "mia")])
    };
    let answers = run(shop.web.origin(), &shop.keys.write_key);
    for answer in answers.as_array().expect("answers") {
        assert_eq!(answer["status"], 200, "{answers}");
        assert!(answer["told"]["sessionId"].is_string() && answer["told"]["cache"].is_string(), "{answer}");
    }
    let events = once(&["page shop.example/pricing", "Signed Up", "Named by mia"]);
    assert_eq!(shop.brought("umami"), events);
    // Who is only measured may not say who they are.
    assert_eq!(shop.rejected(), BTreeMap::from([("no_consent".to_owned(), 1)]));
    shop.is_projected();
    assert_eq!(shop.database.number("SELECT count(*) FROM profiles"), 0);
    assert_eq!(shop.database.number("SELECT count(*) FROM sessions"), 1, "one visitor of the day");
    // It does not send again: what was refused is lost, what was cut off is stored, and its user sees both.
    let proxy = Proxy::before(shop.server.address(), "/api/send", &[Trouble::Refuse, Trouble::Cut]);
    let answers = run(&proxy.origin(), &shop.keys.write_key);
    // A refusal has no body to read.
    assert!(answers[0]["failed"].is_string() && answers[1]["failed"].is_string(), "{answers}");
    assert_eq!((&answers[2]["status"], &answers[3]["status"]), (&200.into(), &200.into()), "{answers}");
    let twice = BTreeMap::from([
        ("page shop.example/pricing".to_owned(), 1),
        ("Signed Up".to_owned(), 2),
        ("Named by mia".to_owned(), 2),
    ]);
    assert_eq!(shop.brought("umami"), twice);
}

#[test]
fn matomo_tracker_is_served_alone_and_in_bulk_and_sees_what_is_lost() {
    let shop = Shop::open();
    let run = |origin: &str, visitor: &str, person: &str| {
        npm::run(
            "matomo.mjs",
            &[
                ("SEGMENTS_HOST", origin),
                ("SEGMENTS_KEY", &shop.keys.write_key),
                ("SEGMENTS_PERSON", person),
                ("SEGMENTS_VISITOR", visitor),
            ],
        )
    };
    let told = run(shop.web.origin(), "0123456789abcdef", "mia");
    assert_eq!(told["errors"], json!([]));
    let bulk: Value = serde_json::from_str(told["bulk"].as_str().expect("an answer")).expect("JSON");
    assert_eq!(bulk, json!({ "status": "success", "tracked": 2, "invalid": 0 }));
    let calls = ["page shop.example/pricing", "Play", "Order Completed", "Products Searched"];
    assert_eq!(shop.did("user_id=mia"), once(&calls));
    assert_eq!(shop.profile_id("visitor_id=0123456789abcdef"), shop.profile_id("user_id=mia"));
    assert_eq!(shop.profile("user_id=mia")["facts"]["revenue_minor"], 4_250);
    // It does not send again: the first is refused, the second stored without an answer, and it tells of both.
    let proxy = Proxy::before(shop.server.address(), "/matomo.php", &[Trouble::Refuse, Trouble::Cut]);
    let told = run(&proxy.origin(), "fedcba9876543210", "ben");
    assert_eq!(told["errors"].as_array().map(Vec::len), Some(2), "{told}");
    assert_eq!(told["errors"][0], "503");
    assert!(told["bulk"].is_string(), "{told}");
    assert_eq!(shop.did("user_id=ben"), once(&calls[1..]));
    nothing_was_rejected(&shop);
}
