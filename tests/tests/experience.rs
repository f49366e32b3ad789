//! What browsers measure, from the wire to the owner's page.

use serde_json::{Value, json};
use tests::speech::{measured, mint, now_ms, page, snapshot, visitor_id, written};
use tests::web::Owner;
use tests::{Shop, shop};
use wire::{Measures, Who};

const EMAIL: &str = "owner@shop.example";
const PASSWORD: &str = "a long enough password";

fn mia() -> Who {
    Who::Visitor(visitor_id("mia"))
}

#[track_caller]
fn report(shop: &Shop, query: &str) -> Value {
    let reply = shop.ask(&format!("/api/v1/reports/experience{query}"));
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

/// Of a page in the report.
#[track_caller]
fn of_page(report: &Value, page: &str) -> Value {
    let pages = report["pages"].as_array().expect("pages");
    pages.iter().find(|row| row["page"] == page).unwrap_or_else(|| panic!("no {page} in {report}")).clone()
}

#[test]
fn a_views_newest_snapshot_tells_its_measures_in_whatever_order_they_arrive() {
    let shop = Shop::open();
    let now = now_ms() - 10_000;
    let view = page(now, "https://shop.example/shoes");
    let first = Measures { lcp_ms: 2_000, errors: 1, ..Measures::default() };
    let second =
        Measures { lcp_ms: 4_100, inp_ms: 250, errors: 3, cls_millis: 1, rage_clicks: 1, ..Measures::default() };
    let events =
        [measured(now + 2_000, view.id, 2, 2_000, second), measured(now + 1_000, view.id, 1, 900, first), view];
    assert_eq!(shop.post(mia(), &events).receipt(), (3, 0, 0));
    shop.is_projected();
    let report = report(&shop, "");
    for sums in [&report["total"], &of_page(&report, "shop.example/shoes")] {
        assert_eq!((&sums["views"], &sums["troubled_views"]), (&json!(1), &json!(1)), "{report}");
        assert_eq!((&sums["errors"], &sums["rage_clicks"], &sums["dead_clicks"]), (&json!(3), &json!(1), &json!(0)));
        let lcp = json!({ "views": 1, "p75": 4_100.0, "good": 0, "needs_improvement": 0, "poor": 1 });
        assert_eq!(sums["lcp_ms"], lcp);
        assert_eq!(sums["inp_ms"]["needs_improvement"], 1);
        assert_eq!(sums["cls"], json!({ "views": 1, "p75": 0.001, "good": 1, "needs_improvement": 0, "poor": 0 }));
        assert_eq!(sums["fcp_ms"], json!({ "views": 0, "p75": null, "good": 0, "needs_improvement": 0, "poor": 0 }));
    }
    let person = shop.ask(&format!("/api/v1/profiles?visitor_id={}", written(visitor_id("mia")))).json();
    let told = person["events"].as_array().expect("events").iter().find(|event| event["snapshot"]["revision"] == 2);
    let told = told.expect("the second snapshot");
    assert_eq!((&told["snapshot"]["errors"], &told["snapshot"]["lcp_ms"]), (&json!(3), &json!(4_100)));
    assert!(told.get("properties").is_none() && told["snapshot"].get("fcp_ms").is_none(), "{told}");
}

#[test]
fn pages_with_the_most_trouble_come_first_and_what_three_in_four_had_is_told() {
    let shop = Shop::open();
    shop::add_user(&shop.database, EMAIL, PASSWORD);
    let now = now_ms() - 60_000;
    // Ten views, the eighth of which is the 75th percentile; a page with fewer views and more trouble.
    for n in 0..10 {
        let view = page(now + n, "https://shop.example/calm");
        let lcp_ms = 1_000 + 200 * u32::try_from(n).expect("a small number");
        let told = measured(now + 100 + n, view.id, 1, 100, Measures { lcp_ms, cls_millis: 50, ..Measures::default() });
        assert_eq!(shop.post(Who::Load(mint(now)), &[view, told]).receipt(), (2, 0, 0));
    }
    for n in 0..2 {
        let view = page(now + n, "https://shop.example/<b>checkout</b>");
        let told = measured(now + 200 + n, view.id, 1, 100, Measures { dead_clicks: 2, ..Measures::default() });
        assert_eq!(shop.post(mia(), &[view, told]).receipt(), (2, 0, 0));
    }
    // Nothing was measured there.
    let view = page(now, "https://shop.example/old");
    assert_eq!(shop.post(mia(), &[snapshot(now + 1, view.id, 1, 100), view]).receipt(), (2, 0, 0));
    shop.is_projected();
    let report = report(&shop, "?period=7d");
    assert_eq!(report["total"]["views"], 12, "measured visitors count as well: {report}");
    let pages: Vec<&str> =
        report["pages"].as_array().unwrap().iter().map(|row| row["page"].as_str().unwrap()).collect();
    assert_eq!(pages.len(), 2, "{pages:?}");
    assert!(pages[0].contains("checkout") && pages[1] == "shop.example/calm", "{pages:?}");
    let calm = of_page(&report, "shop.example/calm");
    let lcp = json!({ "views": 10, "p75": 2_400.0, "good": 8, "needs_improvement": 2, "poor": 0 });
    assert_eq!((&calm["lcp_ms"], &calm["cls"]["p75"]), (&lcp, &json!(0.05)));

    let owner = Owner::logs_in(&shop.server, EMAIL, PASSWORD);
    let site = shop.keys.site_id;
    let html = owner.reads(&format!("/s/{site}/experience?period=7d"));
    assert!(html.contains("Measured on 12\u{a0}page views, 2 of them with trouble"), "{html}");
    assert!(html.contains("2.40\u{a0}s") && !html.contains("<b>checkout"), "{html}");
    let csv = owner.reads(&format!("/s/{site}/experience/pages.csv?period=7d"));
    assert!(csv.lines().any(|line| line == "shop.example/calm,10,0,2400,,0.050,,,0,0,0"), "{csv}");
    assert!(owner.reads(&format!("/s/{site}/experience/vitals.csv")).contains("lcp_ms,10,2400,2500,4000,8,2,0"));
    assert_eq!(owner.gets(&format!("/s/{site}/experience/nothing.csv")).status, 404);
    let profile = shop.profile_id(&format!("visitor_id={}", written(visitor_id("mia"))));
    let timeline = owner.reads(&format!("/s/{site}/people/{profile}"));
    assert!(timeline.contains("2\u{a0}dead clicks"), "{timeline}");
}

#[test]
fn devices_are_told_apart_and_bots_are_left_out() {
    let shop = Shop::open();
    let phone = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36";
    let desktop = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
    let bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    let now = now_ms() - 10_000;
    for (n, (agent, lcp_ms)) in [(phone, 3_000), (desktop, 1_000), (bot, 9_000)].into_iter().enumerate() {
        let view = page(now, "https://shop.example/");
        let told = measured(now + 1, view.id, 1, 100, Measures { lcp_ms, ..Measures::default() });
        let body =
            tests::speech::batch(&shop.keys.write_key, Who::Visitor(visitor_id(&format!("v{n}"))), &[view, told]);
        let reply = shop.web.send("POST", "/v1/events", &[("user-agent", agent)], &body);
        assert_eq!(reply.receipt(), (2, 0, 0));
    }
    shop.is_projected();
    let told = |query: &str| {
        let total = report(&shop, query)["total"].clone();
        (total["views"].as_u64(), total["lcp_ms"]["p75"].as_f64())
    };
    assert_eq!(told(""), (Some(2), Some(3_000.0)));
    assert_eq!(told("?device=mobile"), (Some(1), Some(3_000.0)));
    assert_eq!(told("?device=desktop"), (Some(1), Some(1_000.0)));
    assert_eq!(told("?device=tablet"), (Some(0), None));
    for query in ["?device=toaster", "?period=ever", "?from=yesterday", "?from=9999-01-01"] {
        assert_eq!(shop.ask(&format!("/api/v1/reports/experience{query}")).status, 400, "{query}");
    }
}

#[test]
fn hostile_measures_are_cut_in_both_forms_and_what_is_no_measure_is_rejected_alone() {
    let shop = Shop::open();
    let now = now_ms() - 10_000;
    let view = page(now, "https://shop.example/");
    let most = Measures::from([u32::MAX; Measures::COUNT]);
    assert_eq!(shop.post(mia(), &[measured(now + 1, view.id, 1, 1, most), view.clone()]).receipt(), (2, 0, 0));
    let other = page(now, "https://shop.example/json");
    let event = |at: i64, more: Value| {
        let mut event =
            json!({ "kind": "snapshot", "id": written(mint(at)), "at": at, "view": written(other.id), "revision": 1 });
        event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        event
    };
    let body = json!({
        "v": 1, "key": shop.keys.write_key, "sent": now_ms(), "visitor": written(visitor_id("mia")),
        "events": [
            { "kind": "page", "id": written(other.id), "at": now, "url": "https://shop.example/json" },
            event(now + 1, json!({ "lcp_ms": "<script>" })),
            event(now + 2, json!({ "cls_millis": -1 })),
            event(now + 3, json!({ "errors": 4_294_967_295_u32, "cls_millis": 4_294_967_295_u32, "lcp_ms": 4_294_967_295_u32, "made_up": { "a": 1 } })),
        ],
    });
    assert_eq!(shop.web.post("/v1/events", body.to_string().as_bytes()).receipt(), (2, 0, 2));
    shop.is_projected();
    let report = report(&shop, "");
    for page in ["shop.example/", "shop.example/json"] {
        let sums = of_page(&report, page);
        assert_eq!((&sums["lcp_ms"]["p75"], &sums["cls"]["p75"]), (&json!(600_000.0), &json!(100.0)), "{page}");
        assert_eq!(sums["errors"], 100_000, "{page}");
    }
    let stored =
        shop.database.rows("SELECT properties FROM events WHERE kind = 2 AND properties ? 'errors' ORDER BY event_id");
    let count = |row: &Value| row["properties"].as_object().expect("an object").len();
    assert_eq!(stored.iter().map(count).max(), Some(10));
    assert!(stored.iter().all(|row| row["properties"].get("made_up").is_none()), "{stored:?}");
}

#[test]
fn another_sites_measures_are_not_told() {
    let shop = Shop::open();
    let other = shop.neighbour("other");
    let now = now_ms() - 10_000;
    let view = page(now, "https://other.example/");
    let told = measured(now + 1, view.id, 1, 1, Measures { errors: 1, ..Measures::default() });
    let body = tests::speech::batch(&other.write_key, mia(), &[view, told]);
    assert_eq!(shop.web.post("/v1/events", &body).receipt(), (2, 0, 0));
    shop.is_projected();
    assert_eq!(report(&shop, "")["total"]["views"], 0);
    let stranger = shop.web.send("GET", "/api/v1/reports/experience", &[], b"");
    assert_eq!(stranger.status, 401);
}
