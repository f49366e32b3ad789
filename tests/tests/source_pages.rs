//! Sources on the dashboard: connected, watched, tried, paused and taken away, and a timeline that is sieved by them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tests::speech::now_ms;
use tests::web::{Owner, Reply};
use tests::{Shop, shop};

const EMAIL: &str = "owner@shop.example";
const PASSWORD: &str = "a long enough password";
const SECRET: &str = "shpss_of_this_test";

struct Open {
    shop: Shop,
    owner: Owner,
    /// The list of sources.
    list: String,
}

impl Open {
    fn new() -> Open {
        let shop = Shop::open();
        shop::add_user(&shop.database, EMAIL, PASSWORD);
        let owner = Owner::logs_in(&shop.server, EMAIL, PASSWORD);
        let list = format!("/s/{}/sources", shop.keys.site_id);
        Open { shop, owner, list }
    }

    /// Connects Shopify and gives the path of its address.
    fn connects(&self, secret: &str) -> String {
        let fields = [("kind", "shopify"), ("name", "Main shop"), ("secret", secret)];
        let made = self.owner.posts(&self.list, &fields);
        let page = format!("{}/shopify:main-shop", self.list);
        assert_eq!((made.status, made.header("location")), (303, Some(page.as_str())), "{}", made.body);
        let page = self.owner.reads(&page);
        let from = page.find("/hooks/").unwrap_or_else(|| panic!("an address in {page}"));
        page[from..].split('<').next().expect("a path").to_owned()
    }

    fn delivers(&self, path: &str, topic: &str, body: &Value, secret: &str) -> Reply {
        let body = body.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
        mac.update(body.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let headers = [("x-shopify-topic", topic), ("x-shopify-hmac-sha256", signature.as_str())];
        self.shop.web.send("POST", path, &headers, body.as_bytes())
    }

    fn reads(&self, key: &str) -> String {
        self.owner.reads(&format!("{}/{key}", self.list))
    }
}

fn order(id: u64) -> Value {
    let at = jiff::Timestamp::from_millisecond(now_ms() - 60_000).expect("a moment").to_string();
    json!({
        "id": id, "email": "mia@example.com", "created_at": at, "updated_at": at, "total_price": "40.00",
        "currency": "EUR", "customer": { "id": 77 },
    })
}

#[test]
fn an_owner_connects_a_shop_watches_it_pauses_it_and_takes_it_away() {
    let open = Open::new();
    assert!(open.owner.reads(&open.list).contains("Nothing has arrived yet"), "the empty state");
    let path = open.connects(SECRET);
    assert!(open.reads("shopify:main-shop").contains("waiting for its first message"));

    assert_eq!(open.delivers(&path, "orders/create", &order(5001), SECRET).status, 200);
    assert_eq!(open.delivers(&path, "orders/create", &order(5002), "somebody else").status, 401);
    open.shop.is_projected();
    let page = open.reads("shopify:main-shop");
    for shown in
        ["receiving", "Order 5001, €40.00", "1 stored, 0 sent again, 1 rejected", "signature is not that of this"]
    {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(!page.contains(SECRET), "what the vendor gave is not shown again");
    let part = open.reads("shopify:main-shop/arrivals");
    assert!(part.starts_with("<div id=\"arrivals\"") && part.contains("Order 5001"), "{part}");
    let listed = open.owner.reads(&format!("{}.csv", open.list));
    assert!(listed.contains("shopify:main-shop,Main shop,receiving,"), "{listed}");
    let days = open.reads("shopify:main-shop/days.csv");
    assert_eq!(days.lines().count(), 31, "{days}");
    assert!(days.lines().last().is_some_and(|today| today.trim_end().ends_with(",1,0,1")), "{days}");
    assert!(open.reads("shopify:main-shop/rejected.csv").contains("bad_signature"));

    let change = |what: &str, fields: &[(&str, &str)]| {
        open.owner.posts(&format!("{}/shopify:main-shop/{what}", open.list), fields)
    };
    assert_eq!(change("state", &[("do", "pause")]).status, 303);
    assert!(open.reads("shopify:main-shop").contains("While it is paused"));
    open.delivers(&path, "orders/create", &order(5003), SECRET);
    assert_eq!(open.shop.rejected().get("source_paused"), Some(&1));
    assert_eq!(change("state", &[("do", "resume")]).status, 303);
    assert_eq!(change("secret", &[("secret", "short")]).status, 422);
    assert_eq!(change("secret", &[("secret", "another secret")]).status, 303);
    assert_eq!(open.delivers(&path, "orders/create", &order(5004), "another secret").status, 200);

    assert_eq!(change("remove", &[("confirm", "yes")]).status, 400);
    assert_eq!(open.delivers(&path, "orders/create", &order(5005), "another secret").status, 200);
    assert_eq!(change("remove", &[("confirm", "remove")]).status, 303);
    assert_eq!(open.delivers(&path, "orders/create", &order(5006), "another secret").status, 404);
    assert!(open.owner.reads(&open.list).contains("shopify:main-shop"), "its events stay, and so does what it sent");
}

#[test]
fn a_request_is_tried_without_a_signature_and_without_a_trace() {
    let open = Open::new();
    open.connects("");
    let page = open.reads("shopify:main-shop");
    assert!(page.contains("needs its secret") && page.contains("It has no secret yet"), "{page}");
    let tries = |topic: &str, body: &str| {
        let path = format!("{}/shopify:main-shop/try", open.list);
        open.owner.posts(&path, &[("topic", topic), ("body", body)])
    };
    let tried = tries("orders/create", &order(5001).to_string());
    assert_eq!(tried.status, 200);
    for shown in ["nothing was stored", "Order Completed", "external shopify:77 · email mia@example.com", "40.00"] {
        assert!(tried.body.contains(shown), "{shown} in {}", tried.body);
    }
    let wrong = tries("products/update", "{\"id\":\"<b>\"}");
    assert!(wrong.body.contains("topic products/update is not read"), "{}", wrong.body);
    assert!(!wrong.body.contains("<b>"), "escaped");
    assert_eq!((open.shop.stored(), open.shop.rejected().len()), (0, 0));
    assert_eq!(open.shop.database.number("SELECT count(*) FROM identities"), 0);
}

#[test]
fn what_cannot_be_connected_says_why_and_nothing_typed_is_lost() {
    let open = Open::new();
    open.connects(SECRET);
    let refused = |fields: &[(&str, &str)], why: &str| {
        let reply = open.owner.posts(&open.list, fields);
        assert_eq!(reply.status, 422, "{}", reply.body);
        assert!(reply.body.contains(why), "{why} in {}", reply.body);
        reply.body
    };
    refused(&[("kind", "shopify"), ("name", "Main  shop")], "choose another name");
    refused(&[("kind", "shopify"), ("name", "!?")], "1 to 60 characters");
    let other_ids = [("kind", "shopify"), ("name", "Again"), ("order_numbers", "on")];
    refused(&other_ids, "knows its orders by the other id");
    refused(&[("kind", "stripe"), ("name", "Pay"), ("secret", "short")], "8 characters or more");
    let kept = refused(&[("kind", "stripe"), ("name", "<Pay>"), ("namespace", "a b")], "letters, digits and hyphens");
    assert!(kept.contains("value=\"&#60;Pay&#62;\"") && kept.contains("value=\"stripe\" selected"), "{kept}");
    assert_eq!(open.owner.posts(&open.list, &[("kind", "nobody"), ("name", "x")]).status, 404);
}

#[test]
fn sources_that_need_no_making_have_a_page_and_all_others_have_none() {
    let open = Open::new();
    let page = open.reads("posthog");
    assert!(page.contains(open.shop.web.origin()) && page.contains("/batch/"), "{page}");
    for unknown in ["nothing", "shopify:main-shop", "%00", "..%2Fsetup"] {
        assert_eq!(open.owner.gets(&format!("{}/{unknown}", open.list)).status, 404, "{unknown}");
    }
    open.connects(SECRET);
    let other = open.shop.neighbour("other");
    for path in ["shopify:main-shop", "shopify:main-shop/arrivals", "shopify:main-shop/days.csv"] {
        let there = open.owner.gets(&format!("/s/{}/sources/{path}", other.site_id));
        assert_eq!(there.status, 404, "{path} of another site");
    }
}

#[test]
fn a_timeline_is_sieved_by_source_and_kind() {
    let open = Open::new();
    let path = open.connects(SECRET);
    open.shop.visitor("mia").views("/beans").tracks("Product Added", json!({})).signs_in("mia");
    let ties = json!({
        "type": "identify", "userId": "mia", "messageId": "m1", "traits": { "email": "mia@example.com" },
    });
    assert_eq!(open.shop.server_says(&[ties]).status, 200);
    assert_eq!(open.delivers(&path, "orders/create", &order(5001), SECRET).status, 200);
    open.shop.is_projected();
    let person = format!("/s/{}/people/{}", open.shop.keys.site_id, open.shop.profile_id("user_id=mia"));
    let seen = |query: &str| {
        let file = open.owner.reads(&format!("{person}/timeline.csv{query}"));
        let mut names: Vec<String> =
            file.lines().skip(1).filter_map(|line| line.split(',').nth(1)).map(str::to_owned).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(seen("").len(), 5, "page view, cart, two identifies, order");
    assert_eq!(seen("?source=shopify:main-shop"), ["Placed an order"]);
    assert_eq!(seen("?source=tracker&kind=pages"), ["Viewed a page"]);
    assert_eq!(seen("?source=tracker&kind=orders"), [""; 0]);
    assert_eq!(seen("?kind=events"), ["Product Added"]);
    assert_eq!(seen("?kind=identity").len(), 2);
    assert_eq!(seen("?kind=nonsense").len(), 5, "what is no kind sieves nothing");
    let page = open.owner.reads(&format!("{person}?source=shopify:main-shop"));
    assert!(page.contains("<option value=\"shopify:main-shop\" selected>"), "{page}");
    assert!(page.contains("Order 5001") && !page.contains("Product Added"), "{page}");
    let nothing = open.owner.reads(&format!("{person}?source=tracker&kind=orders"));
    assert!(nothing.contains("Nothing of that kind happened."), "{nothing}");
}
