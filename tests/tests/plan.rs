//! The tracking plan: what named events carry, what they are agreed to carry, and what becomes of those that differ.

use serde_json::{Value, json};
use tests::server::{fails, succeeds};
use tests::speech::now_ms;
use tests::web::Owner;
use tests::{SOON, Shop, segments, shop, until};

/// What the API tells of an event.
#[track_caller]
fn event(shop: &Shop, name: &str) -> Value {
    let reply = shop.ask(&format!("/api/v1/plan/events/{}", name.replace(' ', "%20")));
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

/// Waits until an event was counted so often.
#[track_caller]
fn counted(shop: &Shop, name: &str, count: u64) -> Value {
    shop.is_projected();
    let told = event(shop, name);
    assert_eq!(told["count"], count, "{told}");
    told
}

#[track_caller]
fn agrees(shop: &Shop, name: &str, says: &str) {
    let path = format!("/api/v1/plan/events/{}", name.replace(' ', "%20"));
    let reply = shop.call("PUT", &path, &json!({ "says": says }));
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[test]
fn what_events_carry_is_counted_once_and_differences_by_their_source() {
    let shop = Shop::open();
    let visitor = || shop.visitor("mia").at(now_ms());
    visitor().tracks("Product Added", json!({ "price": 19.9, "category": "shoes", "tags": ["new"], "note": null }));
    visitor().tracks("Product Added", json!({ "price": "n/a", "category": "hats" }));
    visitor().views("/");
    let told = counted(&shop, "Product Added", 2);
    let kinds = |told: &Value, name: &str| {
        let properties = told["properties"].as_array().expect("properties");
        properties.iter().find(|one| one["name"] == name).map(|one| one["kinds"].clone())
    };
    assert_eq!(kinds(&told, "price"), Some(json!({ "number": 1, "text": 1 })));
    assert_eq!((kinds(&told, "tags"), kinds(&told, "note")), (Some(json!({ "list": 1 })), None), "null is not there");
    assert_eq!(told["suggested"], "category: text, required\nprice: text or number, required\ntags: list");

    agrees(&shop, "Product Added", "price: number, required\ncategory: text, one of \"shoes\", \"hats\"");
    visitor().tracks("Product Added", json!({ "price": 5, "category": "Hats" }));
    visitor().tracks("Product Added", json!({ "price": "free", "category": "bags" }));
    let message =
        json!({ "type": "track", "event": "Product Added", "userId": "u1", "messageId": "m1", "properties": {} });
    assert_eq!(shop.server_says(std::slice::from_ref(&message)).receipt(), (1, 0, 0));
    assert_eq!(shop.server_says(&[message]).receipt(), (0, 1, 0));
    let told = counted(&shop, "Product Added", 5);
    let violations = told["violations"].as_array().expect("violations");
    let row = |property: &str, breach: &str, source: &str| {
        let is_it = |row: &&Value| row["property"] == property && row["breach"] == breach && row["source"] == source;
        violations
            .iter()
            .find(is_it)
            .map(|row| (row["count"].as_i64(), row["sample"].as_str().unwrap_or("").to_owned()))
    };
    assert_eq!(row("price", "wrong_kind", "tracker"), Some((Some(1), "\"free\"".to_owned())), "{told}");
    assert_eq!(row("category", "other_value", "tracker"), Some((Some(1), "\"bags\"".to_owned())), "{told}");
    assert_eq!(row("price", "missing", "segment"), Some((Some(1), String::new())), "{told}");
    assert_eq!(violations.len(), 3, "what came before was not agreed on: {told}");
    assert!(shop.rejected().is_empty(), "they are only counted");

    // Nothing is counted again by folding anew.
    shop.is_the_same_rebuilt();
    counted(&shop, "Product Added", 5);
    let list = shop.ask("/api/v1/plan").json();
    let first = &list["events"][0];
    assert_eq!(
        (&first["name"], &first["pinned"], &first["violations"]),
        (&json!("Product Added"), &json!(true), &json!(3))
    );
}

#[test]
fn where_the_site_wants_it_events_that_differ_are_kept_out_each_with_its_outcome() {
    let shop = Shop::open();
    agrees(&shop, "Product Added", "price: number, required");
    let sends = |id: &str, event: &str, properties: Value| {
        let message =
            json!({ "type": "track", "event": event, "userId": "u1", "messageId": id, "properties": properties });
        shop.server_says(&[message]).receipt()
    };
    assert_eq!(sends("m1", "Product Added", json!({})), (1, 0, 0), "not asked for yet");
    let block = shop.call("PUT", "/api/v1/plan", &json!({ "block": true }));
    assert_eq!((block.status, &block.json()["block"]), (200, &json!(true)), "{}", block.body);
    // Intake learns of it within its two seconds.
    let mut tries = 1;
    until("the plan to be known", SOON, || {
        tries += 1;
        (sends(&format!("t{tries}"), "Product Added", json!({ "price": "5" })) == (0, 0, 1)).then_some(())
    });
    let good = json!({ "type": "track", "event": "Product Added", "userId": "u1", "messageId": "g1", "properties": { "price": 5 } });
    let bad = json!({ "type": "track", "event": "Product Added", "userId": "u1", "messageId": "g2", "properties": { "cost": 5 } });
    let free =
        json!({ "type": "track", "event": "Something Else", "userId": "u1", "messageId": "g3", "properties": {} });
    assert_eq!(shop.server_says(&[good, bad, free]).receipt(), (2, 0, 1), "its neighbours go on");
    let refused = shop.post(
        wire::Who::Visitor(tests::speech::visitor_id("mia")),
        &[tests::speech::track(now_ms(), "Product Added", json!({ "price": null }))],
    );
    assert_eq!(refused.receipt(), (0, 0, 1));
    assert_eq!(shop.rejected()["plan_violation"], 3);
    let latest = &shop.outcomes().latest_rejected[0];
    assert_eq!(
        (&latest["reason"], &latest["detail"]),
        (&json!("plan_violation"), &json!("\"Product Added\": \"price\" is missing"))
    );
    assert_eq!(shop.ask("/api/v1/plan").json()["blocked"], 3);
    shop.call("DELETE", "/api/v1/plan/events/Product%20Added", &Value::Null);
    until("it to be taken again", SOON, || {
        tries += 1;
        (sends(&format!("t{tries}"), "Product Added", json!({})) == (1, 0, 0)).then_some(())
    });
}

#[test]
fn made_up_names_and_properties_do_not_make_rows_without_end() {
    let shop = Shop::open();
    // What was told apart first stays so, whatever comes after it.
    let properties: serde_json::Map<String, Value> = (0..300).map(|n| (format!("p{n}"), json!(n))).collect();
    let wide = json!({ "type": "track", "event": "Made up 000", "userId": "u1", "messageId": "wide", "properties": properties });
    assert_eq!(shop.server_says(&[wide]).receipt(), (1, 0, 0));
    counted(&shop, "Made up 000", 1);
    let many: Vec<Value> = (0..400)
        .map(|n| {
            let properties = json!({ "n": n });
            json!({ "type": "track", "event": format!("Made up {n:03}"), "userId": "u1", "messageId": format!("m{n}"), "properties": properties })
        })
        .collect();
    assert_eq!(shop.server_says(&many).receipt(), (400, 0, 0));
    shop.is_projected();
    assert_eq!(shop.database.number("SELECT count(DISTINCT name) FROM plan_seen WHERE name <> ''"), 300);
    assert_eq!(shop.ask("/api/v1/plan").json()["other"], 100);
    assert_eq!(event(&shop, "Made up 000")["count"], 2);
    assert_eq!(
        shop.database
            .number("SELECT max(n) FROM (SELECT count(DISTINCT property) AS n FROM plan_seen WHERE property <> '' GROUP BY name) AS p"),
        100
    );
}

#[test]
fn an_owner_pins_what_was_seen_and_changes_it() {
    let shop = Shop::open();
    shop::add_user(&shop.database, "owner@shop.example", "a long enough password");
    let owner = Owner::logs_in(&shop.server, "owner@shop.example", "a long enough password");
    let list = format!("/s/{}/plan", shop.keys.site_id);
    assert!(owner.reads(&list).contains("No named events yet"));
    shop.visitor("mia").tracks("<b>Added</b> & more", json!({ "<i>price</i>": "<script>" }));
    shop.is_projected();
    let page = owner.reads(&list);
    assert!(page.contains("&#60;b&#62;Added") && !page.contains("<b>Added"), "{page}");
    let address = format!("{list}/event?name=%3Cb%3EAdded%3C%2Fb%3E%20%26%20more");
    assert!(owner.reads(&address).contains("&#60;i&#62;price&#60;/i&#62;: text, required"));
    let name = ("name", "<b>Added</b> & more");
    let wrong = owner.posts(&format!("{list}/event"), &[name, ("plan", "price: money")]);
    assert!(
        wrong.status == 422 && wrong.body.contains("Line 1: ") && wrong.body.contains("price: money"),
        "{}",
        wrong.body
    );
    let pinned = owner.posts(&format!("{list}/event"), &[name, ("plan", "<i>price</i>: number\r\nsize: any")]);
    assert_eq!(pinned.status, 303, "{}", pinned.body);
    shop.visitor("mia").at(now_ms()).tracks("<b>Added</b> & more", json!({ "<i>price</i>": "<script>" }));
    shop.is_projected();
    let page = owner.reads(&address);
    assert!(page.contains("is of another kind") && page.contains("&#60;script&#62;"), "{page}");
    assert!(owner.reads(&format!("{list}.csv")).contains(",yes,1"));
    assert_eq!(owner.posts(&format!("{list}/block"), &[("block", "yes")]).status, 303);
    assert!(owner.reads(&list).contains("Store them again"));
    assert_eq!(owner.posts(&format!("{list}/unpin"), &[name]).status, 303);
    assert_eq!(owner.posts(&format!("{list}/unpin"), &[name]).status, 404);

    let run = |arguments: &[&str]| succeeds(&segments(&shop.database, arguments));
    assert!(run(&["plan", "list"]).contains("violations are kept out"));
    run(&["plan", "violations", "count"]);
    assert!(run(&["plan", "pin", "<b>Added</b> & more"]).contains("<i>price</i>: text, required"));
    let shown = run(&["plan", "show", "<b>Added</b> & more"]);
    assert!(shown.contains("2 events in 30 days") && shown.contains("text 2"), "{shown}");
    run(&["plan", "unpin", "<b>Added</b> & more"]);
    let said = fails(&segments(&shop.database, &["plan", "show", "Nothing"]));
    assert!(said.contains("no event of this name"), "{said}");
}
