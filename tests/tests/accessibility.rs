//! The dashboard's pages in a real browser: usable by everybody, on every screen, and quiet on the console.

use serde_json::{Value, json};
use std::path::Path;
use tests::browser::{Chromium, Tab};
use tests::server::succeeds;
use tests::speech::{identify, now_ms, page_from, snapshot, track, visitor_id};
use tests::web::Owner;
use tests::{SOON, Shop, npm, segments, shop, until};
use wire::Who;

const EMAIL: &str = "owner@shop.example";
const PASSWORD: &str = "a long enough password";

/// A shop with people, orders of a file, a rejected event, and its owner.
fn busy_shop() -> Shop {
    let shop = Shop::open();
    let cdnow = Path::new(env!("CARGO_MANIFEST_DIR")).join("../domain/tests/data/cdnow_sample.csv");
    let line = ["import", "orders", "--site", "shop", cdnow.to_str().expect("a path of text")];
    succeeds(&segments(&shop.database, &line));
    for n in 0..12 {
        let now = now_ms() - 60_000 * n;
        let home = page_from(now, &format!("https://shop.example/{n}?utm_source=letter"), "https://www.google.com/");
        let order = json!({ "order_id": format!("A{n}"), "total": 19.9, "currency": "EUR" });
        let events = [
            snapshot(now + 1, home.id, 1, 12_000),
            identify(now + 2, &format!("u{n}"), json!({ "name": "<b>Mia</b> & Co", "email": "mia@mail.example" })),
            track(now + 3, "Order Completed", order),
            home,
        ];
        assert_eq!(shop.post(Who::Visitor(visitor_id(&format!("v{n}"))), &events).receipt(), (4, 0, 0));
    }
    let reply =
        shop.post(Who::Visitor(visitor_id("v1")), &[track(now_ms(), "<img src=x onerror=alert(1)>\0", json!({}))]);
    assert_eq!(reply.receipt(), (0, 0, 1));
    // One who is there twice, and says so by markup.
    let twin = |n: u32| {
        json!({ "type": "identify", "userId": format!("twin-{n}"), "messageId": format!("twin-{n}"), "traits": {
            "name": "Mia Harrington</td>", "birthday": "1990-02-03", "address": "12 Rosewood Crescent, <b>Leeton</b>" } })
    };
    assert_eq!(shop.server_says(&[twin(1), twin(2)]).receipt(), (2, 0, 0));
    shop.is_projected();
    assert_eq!(shop.call("POST", "/api/v1/matches/look", &json!({})).status, 202);
    until("the two to be found", SOON, || {
        shop.ask("/api/v1/matches").json()["total"].as_u64().filter(|found| *found > 0)
    });
    let keen = json!({ "key": "keen", "name": "Keen", "says": "visited at least once", "action": "Call them." });
    assert_eq!(shop.call("POST", "/api/v1/segments", &keen).status, 201);
    let old = json!({ "key": "old", "name": "Old", "says": "never ordered" });
    assert_eq!(shop.call("POST", "/api/v1/segments", &old).status, 201);
    assert_eq!(shop.call("DELETE", "/api/v1/segments/old", &Value::Null).status, 200);
    let shopify = ["source", "add", "--site", "shop", "--kind", "shopify", "--name", "Main shop"];
    succeeds(&segments(&shop.database, &shopify));
    let orders = json!({ "name": "orders_90_days", "says": "number of orders within 90 days" });
    assert_eq!(shop.call("POST", "/api/v1/traits", &orders).status, 201);
    let agreed = json!({ "says": "total: text, required" });
    assert_eq!(shop.call("PUT", "/api/v1/plan/events/Order%20Completed", &agreed).status, 200);
    shop.is_projected();
    shop.is_swept();
    shop
}

/// The pages that an owner sees, and what each must show before it is looked at.
fn pages(shop: &Shop) -> Vec<String> {
    let site = shop.keys.site_id;
    let profile = shop.profile_id("user_id=u1");
    vec![
        format!("/s/{site}/overview"),
        format!("/s/{site}/acquisition"),
        format!("/s/{site}/experience"),
        format!("/s/{site}/live"),
        format!("/s/{site}/segments"),
        format!("/s/{site}/segments?as_of=1997-09-30"),
        format!("/s/{site}/segments/rfm-champions?as_of=1997-09-30"),
        format!("/s/{site}/segments?q=keen"),
        format!("/s/{site}/segments/keen"),
        format!("/s/{site}/segments/keen/insight"),
        format!("/s/{site}/segments/keen/past"),
        format!("/s/{site}/segments/new-list"),
        format!("/s/{site}/segments/keen/edit"),
        format!("/s/{site}/segments/lifecycle-loyals-churned"),
        format!("/s/{site}/segments/new"),
        format!("/s/{site}/segments/archived"),
        format!("/s/{site}/predictions"),
        format!("/s/{site}/people"),
        format!("/s/{site}/people/{profile}"),
        format!("/s/{site}/people/{profile}/joins"),
        format!("/s/{site}/identities"),
        format!("/s/{site}/sources"),
        format!("/s/{site}/sources/tracker"),
        format!("/s/{site}/sources/posthog"),
        format!("/s/{site}/sources/shopify:main-shop"),
        format!("/s/{site}/people/{profile}?kind=orders&source=tracker"),
        format!("/s/{site}/traits"),
        format!("/s/{site}/traits/new"),
        format!("/s/{site}/traits/orders_90_days"),
        format!("/s/{site}/matches"),
        format!("/s/{site}/plan"),
        format!("/s/{site}/plan/event?name=Order%20Completed"),
        format!("/s/{site}/setup"),
        format!("/s/{site}/imports"),
        format!("/s/{site}/imports/{}", shop.database.number("SELECT max(import_id) FROM imports")),
        "/definitions".to_owned(),
        format!("/s/{site}/nothing-here"),
    ]
}

/// What axe finds that keeps somebody from using the page.
#[track_caller]
fn barriers(tab: &Tab<'_>, axe: &str) -> Vec<String> {
    tab.value(&format!("{axe}; 0"));
    let found = tab.value(
        "axe.run(document, { resultTypes: ['violations'] }).then(({ violations, passes }) => ({
            passed: passes.length,
            barriers: violations
                .filter(({ impact }) => impact === 'serious' || impact === 'critical')
                .flatMap(({ id, nodes }) =>
                    nodes.map(({ html, any }) => `${id}: ${html.slice(0, 160)} ${any[0]?.message ?? ''}`)),
        }))",
    );
    assert!(found["passed"].as_u64() > Some(10), "the rules were applied: {found}");
    let barriers = found["barriers"].as_array().expect("barriers");
    barriers.iter().map(|barrier| barrier.as_str().unwrap_or("?").to_owned()).collect()
}

#[test]
fn every_page_is_accessible_in_light_and_dark_and_fits_a_phone() {
    let shop = busy_shop();
    let axe = npm::file("axe-core/axe.min.js");
    let chromium = Chromium::start();
    let tab = chromium.tab();
    let url = |path: &str| format!("{}{path}", shop.web.origin());
    let mut wrong = Vec::new();
    let mut look = |path: &str| {
        for scheme in ["light", "dark"] {
            for width in [360, 1_280] {
                tab.prefers(scheme).is_wide(width).goes_to(&url(path));
                tab.sees("document.readyState === 'complete' && document.querySelector('h1')");
                assert_eq!(tab.value("location.pathname + location.search"), path, "not sent elsewhere");
                wrong.extend(barriers(&tab, &axe).iter().map(|what| format!("{path} {scheme} {width}: {what}")));
                let wide = tab.value("document.documentElement.scrollWidth");
                if wide.as_i64() > Some(width) {
                    wrong.push(format!("{path} {scheme}: {wide} pixels wide on a screen of {width}"));
                }
            }
        }
    };
    look("/welcome");
    shop::add_user(&shop.database, EMAIL, PASSWORD);
    look("/login");
    tab.goes_to(&url("/login")).types("#email", EMAIL).types("#password", PASSWORD).clicks("button[type=submit]");
    tab.sees("location.pathname.endsWith('/overview')");
    let owner = Owner::logs_in(&shop.server, EMAIL, PASSWORD);
    let file = b"email,date,total,plan\nmia@mail.example,2026-01-05,1,gold\nbroken,soon,x,\n";
    let list = format!("/s/{}/imports", shop.keys.site_id);
    assert_eq!(owner.uploads(&list, &[("kind", "orders")], "orders.csv", file).status, 303);
    for path in pages(&shop) {
        look(&path);
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{} barriers: {wrong:#?}", wrong.len());
    let console: Vec<String> = tab.console().into_iter().filter(|line| !line.contains("nothing-here")).collect();
    assert_eq!(console, Vec::<String>::new(), "the pages' console");
    assert_eq!(tab.value("document.querySelectorAll('img[src=x]').length"), 0);
}
