//! Computed traits: values of people that follow from what they did, kept up to date by events and by time.

use serde_json::{Value, json};
use tests::server::{fails, succeeds};
use tests::speech::now_ms;
use tests::web::Owner;
use tests::{SOON, Shop, segments, shop, until};

const MINUTE: i64 = 60_000;

/// Defines a trait, and waits until everybody has been asked.
#[track_caller]
fn computes(shop: &Shop, name: &str, says: &str) {
    let made = shop.call("POST", "/api/v1/traits", &json!({ "name": name, "says": says }));
    assert_eq!(made.status, 201, "{}", made.body);
    shop.is_swept();
}

/// What is computed of a person, once everything is projected.
fn computed(shop: &Shop, who: &str) -> Value {
    shop.profile(who)["computed_traits"].clone()
}

/// Waits until a person's trait has this value.
#[track_caller]
fn has(shop: &Shop, who: &str, name: &str, value: &Value) {
    until(&format!("{name} of {who} to be {value}"), SOON, || (computed(shop, who)[name] == *value).then_some(()));
}

#[track_caller]
fn says(shop: &Shop, user: &str, id: &str, event: &str, properties: Value) {
    let message = json!({ "type": "track", "event": event, "userId": user, "messageId": id, "properties": properties });
    assert_eq!(shop.server_says(&[message]).receipt(), (1, 0, 0));
}

#[test]
fn values_follow_what_people_do_and_did_before_the_definition() {
    let shop = Shop::open();
    says(&shop, "u1", "m1", "Product Viewed", json!({ "category": "shoes", "price": "19.90" }));
    says(&shop, "u1", "m2", "Product Viewed", json!({ "category": "hats", "price": 5 }));
    says(&shop, "u1", "m3", "Order Completed", json!({ "order_id": "1", "total": "12.50", "currency": "EUR" }));
    shop.visitor("other").views("/a");
    computes(&shop, "orders_90", "number of orders within 90 days");
    computes(&shop, "favourite", r#"most frequent "category" of "Product Viewed" within 30 days"#);
    computes(&shop, "seen_for", r#"total "price" of "Product Viewed" with "category" is one of "shoes", "hats""#);
    computes(&shop, "order_average", r#"average "total" of orders"#);
    computes(&shop, "last_page", r#"last "page" of views of "*""#);
    let expected = json!({ "orders_90": 1, "favourite": "hats", "seen_for": 24.9, "order_average": 12.5 });
    assert_eq!(computed(&shop, "user_id=u1"), expected, "what was before is asked, too");
    let other = shop.visitor("other").query();
    let others = json!({ "orders_90": 0, "seen_for": 0, "last_page": "shop.example/a" });
    assert_eq!(computed(&shop, &other), others, "nothing comes to 0 or is not known");
    let rows = shop.database.number("SELECT count(*) FROM trait_values");
    assert_eq!(rows, 5, "a 0 of nothing takes no row");

    says(&shop, "u1", "m4", "Product Viewed", json!({ "category": "shoes", "price": "n/a" }));
    has(&shop, "user_id=u1", "favourite", &json!("shoes"));
    says(&shop, "u1", "m5", "Order Completed", json!({ "order_id": "2", "total": 7.5, "currency": "EUR" }));
    has(&shop, "user_id=u1", "order_average", &json!(10));
    says(&shop, "u1", "m6", "Order Cancelled", json!({ "order_id": "1" }));
    has(&shop, "user_id=u1", "order_average", &json!(7.5));
    has(&shop, "user_id=u1", "orders_90", &json!(1));

    let told = shop.ask("/api/v1/traits/favourite/explain?user_id=u1").json();
    assert_eq!((&told["value"], &told["events"]), (&json!("shoes"), &json!(3)), "{told}");
    assert!(told["changes_at"].is_string() && told["last_at"].is_string(), "{told}");
    let listed = shop.ask("/api/v1/traits").json();
    let row = listed["traits"].as_array().expect("traits").iter().find(|row| row["name"] == "favourite").cloned();
    let row = row.expect("the trait");
    assert_eq!(
        (&row["people"], &row["ready"], &row["spread"]),
        (&json!(1), &json!(true), &json!({ "values": [["shoes", 1]] }))
    );
    let try_it = json!({ "says": "number of different \"category\" of \"Product Viewed\"" });
    let preview = shop.call("POST", "/api/v1/traits/preview", &try_it).json();
    assert_eq!(
        (&preview["asked"], &preview["known"], &preview["sample"][0]["value"]),
        (&json!(2), &json!(1), &json!(2.0))
    );
    shop.is_the_same_rebuilt();
}

#[test]
fn numbers_that_add_up_to_more_than_there_is_hold_up_nobody() {
    let shop = Shop::open();
    computes(&shop, "spent", r#"total "value" of "Bid""#);
    computes(&shop, "usual", r#"average "value" of "Bid""#);
    computes(&shop, "most", r#"largest "value" of "Bid""#);
    let huge = json!({ "value": 1.7e308 });
    shop.visitor("mia").tracks("Bid", huge.clone()).tracks("Bid", huge).views("/a").signs_in("mia");
    shop.is_projected();
    let values = computed(&shop, "user_id=mia");
    for name in ["spent", "usual", "most"] {
        assert!(values[name].as_f64() >= Some(1e300), "{name}: {values}");
    }
    assert_eq!(shop.database.number("SELECT count(*) FROM sessions"), 1, "the rest of her is projected");
    shop.is_the_same_rebuilt();
}

#[test]
fn a_value_changes_on_its_deadline_and_so_does_every_rule_that_asks_for_it() {
    let shop = Shop::open();
    computes(&shop, "recent", r#"number of views of "*" within 3 seconds"#);
    computes(&shop, "latest", r#"last "page" of views of "*" within 3 seconds"#);
    shop.keeps("here", r#"trait "recent" is at least 1"#);
    shop.keeps("silent", r#"trait "latest" is not known"#);
    shop.visitor("mia").views("/");
    let mia = shop.profile_id(&shop.visitor("mia").query());
    until("mia to be here", SOON, || shop.members("here").contains(&mia).then_some(()));
    let values = "SELECT count(*) FROM trait_values";
    assert_eq!((shop.database.number(values), shop.members("silent").len()), (2, 0));
    until("both values to go", SOON, || (shop.database.number(values) == 0).then_some(()));
    assert_eq!((shop.members("here").len(), shop.members("silent")), (0, vec![mia]), "in the same transaction");
    let late = "SELECT max(extract(epoch FROM c.at - date_trunc('second', e.occurred_at)) * 1000)::bigint
                FROM segment_changes c JOIN segments USING (site_id, segment_id), events e
                WHERE NOT c.entered AND c.cause = 2 AND key = 'here'";
    let after_ms = shop.database.number(late);
    eprintln!("gone {after_ms} ms after the page view, 3,000 by the definition");
    assert!(after_ms >= 3_000, "never early: {after_ms}");
    assert_eq!(computed(&shop, &shop.visitor("mia").query()), json!({ "recent": 0 }));
    shop.is_the_same_rebuilt();
}

#[test]
fn merged_people_have_one_value_and_a_merge_taken_back_gives_both_theirs_again() {
    let shop = Shop::open();
    computes(&shop, "pages", r#"number of different "page" of views of "*""#);
    computes(&shop, "first_page", r#"first "page" of views of "*""#);
    let start = now_ms() - 60 * MINUTE;
    shop.visitor("phone").at(start).views("/a").views("/b");
    shop.visitor("laptop").at(start + MINUTE).views("/b").views("/c").signs_in("u1");
    let phone = shop.visitor("phone").query();
    let (own, other) = (computed(&shop, &phone), computed(&shop, "user_id=u1"));
    assert_eq!((&own["pages"], &other["pages"]), (&json!(2), &json!(2)));
    shop.visitor("phone").at(start + 2 * MINUTE).signs_in("u1");
    has(&shop, "user_id=u1", "pages", &json!(3));
    assert_eq!(computed(&shop, "user_id=u1")["first_page"], "shop.example/a");
    assert_eq!(shop.database.number("SELECT count(*) FROM trait_values"), 2, "of two people one is left");
    shop.is_the_same_rebuilt();
    let links = shop.profile("user_id=u1")["identity"]["links"].clone();
    let merge = links.as_array().expect("links").iter().find(|link| !link["merged"].is_null()).cloned();
    let undo = format!("/api/v1/merges/{}/undo", merge.expect("a merge")["link_id"]);
    assert_eq!(shop.call("POST", &undo, &json!({})).status, 200);
    until("both to be as before", SOON, || {
        (computed(&shop, &phone) == own && computed(&shop, "user_id=u1") == other).then_some(())
    });
    shop.is_the_same_rebuilt();
}

#[test]
fn what_is_computed_is_never_sent_and_what_is_sent_is_never_computed() {
    let shop = Shop::open();
    let sends = |id: &str, traits: Value| {
        let message = json!({ "type": "identify", "userId": "u1", "traits": traits, "messageId": id });
        assert_eq!(shop.server_says(&[message]).receipt(), (1, 0, 0));
    };
    sends("m1", json!({ "plan": "pro" }));
    shop.is_projected();
    let define = |name: &str, says: &str| shop.call("POST", "/api/v1/traits", &json!({ "name": name, "says": says }));
    assert_eq!(define("plan", "number of orders").status, 409, "somebody sends it");
    computes(&shop, "visits", "number of visits");
    assert_eq!(define("visits", "number of orders").status, 409);
    assert_eq!(define("a b", "number of orders").status, 400);
    let wrong = define("x", "number of orders within soon");
    assert_eq!((wrong.status, wrong.json()["path"].as_str()), (400, Some("column 25")), "{}", wrong.body);
    shop.keeps("none", r#"trait "visits" is 0"#);
    shop.keeps("many", r#"trait "visits" is at least 9"#);
    let person = shop.profile_id("user_id=u1");
    assert_eq!(shop.members("none"), [person]);
    sends("m2", json!({ "visits": 10 }));
    shop.is_projected();
    assert_eq!((shop.members("none"), shop.members("many").len()), (vec![person], 0), "the computed one is read");
    assert_eq!(computed(&shop, "user_id=u1")["visits"], 0);

    let refused = shop.call("DELETE", "/api/v1/traits/visits", &Value::Null);
    assert!(refused.status == 409 && refused.body.contains("none, many"), "{}", refused.body);
    for key in ["none", "many"] {
        assert_eq!(shop.call("DELETE", &format!("/api/v1/segments/{key}"), &Value::Null).status, 200);
    }
    assert_eq!(shop.call("DELETE", "/api/v1/traits/visits", &Value::Null).status, 200);
    assert_eq!(shop.ask("/api/v1/traits/visits").status, 404);
    let neighbour = shop.neighbour("other");
    computes(&shop, "mine", "number of anything");
    let bearer = format!("Bearer {}", neighbour.secret_key);
    let asked = shop.web.send("GET", "/api/v1/traits/mine", &[("authorization", &bearer)], b"");
    assert_eq!(asked.status, 404, "another site's trait is nobody's");
}

#[test]
fn another_definition_is_asked_of_everybody_and_a_removed_one_leaves_nothing() {
    let shop = Shop::open();
    for n in 0..5 {
        shop.visitor(&format!("v{n}")).views("/a").views("/b");
    }
    computes(&shop, "views", r#"number of views of "*""#);
    let values =
        || shop.database.rows("SELECT value, revision, count(*) AS people FROM trait_values GROUP BY 1, 2 ORDER BY 1");
    assert_eq!(values(), [json!({ "value": 2, "revision": 1, "people": 5 })]);
    let changed = shop.call("PUT", "/api/v1/traits/views", &json!({ "says": r#"number of views of "/a""# }));
    assert_eq!((changed.status, &changed.json()["revision"]), (200, &json!(2)), "{}", changed.body);
    shop.is_swept();
    assert_eq!(values(), [json!({ "value": 1, "revision": 2, "people": 5 })]);
    let described = json!({ "says": r#"number of views of "/a""#, "description": "Of the first page." });
    assert_eq!(shop.call("PUT", "/api/v1/traits/views", &described).json()["revision"], 2, "the same definition");
    shop.is_the_same_rebuilt();

    let run = |arguments: &[&str]| succeeds(&segments(&shop.database, arguments));
    let told = run(&["trait", "add", "last", "--says", r#"last "page" of views of "*""#]);
    assert!(told.contains("last \"page\" of views of \"*\""), "{told}");
    shop.is_swept();
    let listed: Value = serde_json::from_str(&run(&["trait", "list", "--json"])).expect("JSON");
    assert_eq!((&listed[0]["name"], &listed[0]["people"]), (&json!("last"), &json!(5)), "{listed}");
    assert!(run(&["trait", "list"]).contains("shop.example/b (5)"));
    let said = fails(&segments(&shop.database, &["trait", "add", "x", "--says", "number of things"]));
    assert!(said.contains("number of things\n") && said.contains('^'), "{said}");
    run(&["trait", "change", "last", "--says", r#"first "page" of views of "*""#]);
    shop.is_swept();
    assert!(run(&["trait", "list"]).contains("shop.example/a (5)"));
    run(&["trait", "remove", "last"]);
    run(&["trait", "remove", "views"]);
    shop.is_swept();
    assert_eq!(shop.database.number("SELECT count(*) FROM trait_values"), 0);
    shop.is_the_same_rebuilt();
}

#[test]
fn an_owner_writes_a_trait_sees_who_has_it_and_removes_it() {
    let shop = Shop::open();
    shop::add_user(&shop.database, "owner@shop.example", "a long enough password");
    let owner = Owner::logs_in(&shop.server, "owner@shop.example", "a long enough password");
    let list = format!("/s/{}/traits", shop.keys.site_id);
    assert!(owner.reads(&list).contains("No computed traits yet"));
    says(&shop, "mia", "m1", "Product Viewed", json!({ "category": "<b>shoes</b>" }));
    let message = json!({ "type": "identify", "userId": "mia", "messageId": "m2", "traits": { "plan": "pro" } });
    assert_eq!(shop.server_says(&[message]).receipt(), (1, 0, 0));
    let mia = shop.profile_id("user_id=mia");
    let definition = "most frequent \"category\" of \"Product Viewed\"";
    let preview = owner.posts(&format!("{list}/preview"), &[("says", definition)]);
    assert!(preview.status == 200 && preview.body.contains("1 of 1\u{a0}person"), "{}", preview.body);
    assert!(preview.body.contains("&#60;b&#62;shoes"), "{}", preview.body);
    let wrong = owner.posts(&format!("{list}/new"), &[("name", "x"), ("says", "number of"), ("do", "save")]);
    assert!(wrong.status == 422 && wrong.body.contains("Not saved"), "{}", wrong.body);
    let made = owner.posts(&format!("{list}/new"), &[("name", "favourite"), ("says", definition), ("do", "save")]);
    assert_eq!((made.status, made.header("location")), (303, Some(list.as_str())));
    shop.is_swept();
    let page = owner.reads(&list);
    assert!(page.contains("favourite") && page.contains("&#60;b&#62;shoes"), "{page}");
    let profile = owner.reads(&format!("/s/{}/people/{mia}", shop.keys.site_id));
    assert!(profile.contains("computed: most frequent"), "{profile}");
    assert!(profile.contains("said by Segment’s libraries on"), "{profile}");
    assert!(owner.reads(&format!("{list}.csv")).contains("favourite,"));
    assert!(owner.reads(&format!("{list}/favourite")).contains("Remove favourite"));
    let without_token = owner.reads(&format!("{list}/new?name=x&says=number+of+visits"));
    assert!(without_token.contains("number of visits"), "{without_token}");
    let removed = owner.posts(&format!("{list}/favourite/remove"), &[]);
    assert_eq!(removed.status, 303);
    assert!(owner.reads(&list).contains("No computed traits yet"));
}
