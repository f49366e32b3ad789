//! What a visitor's browser does with the tag: headless Chromium on the demo shop and on pages of other origins.

use chromiumoxide::cdp::browser_protocol::storage::GetCookiesParams;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::browser::Chromium;
use tests::pages::{Page, Pages};
use tests::tag::{engine, kinds, says_nothing, shop_elsewhere, tag, visitor};
use tests::{Database, SOON, Server, Shop, Web, shop, until};

/// How soon after the page was left its events are in the timeline.
const IN_TIME: Duration = Duration::from_secs(2);

/// The demo's shop. Its year of made-up people is not what is tested here: the demo finds its sites old and filled, and
/// loads nothing.
fn demo() -> Shop {
    let database = Database::fresh();
    let domains = ["--domain", "127.0.0.1", "--domain", "localhost", "--currency", "USD", "--consent", "full"];
    let keys = shop::add_site(&database, "Kettle & Crema", &domains);
    let orders = shop::add_site(&database, "CDNOW orders 1997-98 (demo)", &["--domain", "cdnow.test"]);
    database.run(&format!(
        "UPDATE sites SET created_at = now() - interval '2 days', browser_orders = 'always';
         INSERT INTO outcomes VALUES ({}, current_date, 'stored', 0, 6919)",
        orders.site_id
    ));
    let server = Server::start(&database, &["--demo"]);
    Shop { web: Web::new(&server.origin()), server, keys, database }
}

/// The profile as soon as its timeline has everything that `wanted` names; panics when that takes longer than allowed
/// from `left` on.
#[track_caller]
fn told_in_time(shop: &Shop, who: &str, left: Instant, wanted: &[&str]) -> Value {
    let path = format!("/api/v1/profiles?{who}");
    let mut seen = Vec::new();
    loop {
        let reply = shop.ask(&path);
        let took = left.elapsed();
        if reply.status == 200 {
            let profile = reply.json();
            seen = kinds(&profile);
            if wanted.iter().all(|kind| seen.iter().any(|own| own == kind)) {
                eprintln!("{wanted:?} in the timeline {took:?} after leaving");
                assert!(took <= IN_TIME, "{took:?}");
                return profile;
            }
        }
        assert!(took < IN_TIME, "after {took:?} the timeline has {seen:?}, wanted {wanted:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The page views of a visitor so far.
#[track_caller]
fn views(shop: &Shop, who: &str) -> u64 {
    shop.is_projected();
    let reply = shop.ask(&format!("/api/v1/profiles?{who}"));
    if reply.status == 404 { 0 } else { reply.json()["facts"]["views"].as_u64().unwrap_or(0) }
}

#[test]
fn an_order_in_the_demo_shop_is_in_the_timeline_two_seconds_after_leaving() {
    let shop = demo();
    let chromium = Chromium::start();
    let tab = chromium.tab();
    let page = |path: &str| format!("{}/demo/{path}", shop.web.origin());
    tab.goes_to(&page("")).goes_to(&page("shop/hand-grinder"));
    let who = visitor(&tab);
    assert_eq!(engine(&tab), "wasm");
    tab.clicks("form[data-form=add] button").sees("document.getElementById('cart-count').textContent == 1");
    tab.goes_to(&page("checkout")).types("#name", "Mia").types("#email", "mia@mail.example");
    tab.clicks("form[data-form=checkout] button").sees("location.pathname == '/demo/thank-you'");
    tab.sees("document.getElementById('order-line')?.textContent.includes('KC-')");
    // Something to sum up: a click on the thank-you page.
    tab.clicks("h1");
    let left = Instant::now();
    tab.leaves();
    let wanted = ["page", "snapshot", "Product Added", "Checkout Started", "identify", "Order Completed"];
    let profile = told_in_time(&shop, &who, left, &wanted);
    let count = |kind: &str| kinds(&profile).iter().filter(|own| *own == kind).count();
    assert_eq!((count("page"), count("Order Completed")), (4, 1), "{:?}", kinds(&profile));
    shop.is_projected();
    let facts = shop.profile(&who)["facts"].clone();
    assert_eq!((&facts["orders"], &facts["views"], &facts["sessions"]), (&json!(1), &json!(4), &json!(1)), "{facts}");
    assert!(facts["engaged_ms"].as_i64() > Some(0), "{facts}");
    assert_eq!(shop.outcomes().rejected.len(), 0, "{:?}", shop.outcomes());
    says_nothing(&tab);
    shop.is_the_same_rebuilt();
}

#[test]
fn every_page_of_the_demo_shop_is_viewed_and_says_nothing_on_its_console() {
    let shop = demo();
    let chromium = Chromium::start();
    let tab = chromium.tab();
    let paths = [
        "",
        "beans",
        "gear",
        "club",
        "blog",
        "account",
        "cart",
        "checkout",
        "newsletter",
        "thank-you",
        "shop/morning-blend",
        "blog/water-temperature",
    ];
    for path in paths {
        tab.goes_to(&format!("{}/demo/{path}", shop.web.origin())).sees("window.segments");
    }
    let who = visitor(&tab);
    tab.leaves();
    until("all the page views", SOON, || (views(&shop, &who) == paths.len() as u64).then_some(()));
    says_nothing(&tab);
}

#[test]
fn a_page_that_forbids_webassembly_is_told_of_by_the_loader_alone() {
    let shop = shop_elsewhere("full");
    let origin = shop.web.origin();
    let policy = format!("default-src 'none'; script-src {origin} 'nonce-abc'; connect-src {origin}");
    let queued = "<script nonce=\"abc\">window.segments = [['load', 'of another script'], ['track', 'Queued', { n: 1 }], ['identify', 'u1', { plan: 'pro' }]]</script>";
    let head = format!("{queued}{}", tag(&shop, "data-consent=\"full\" data-wasm=\"off\""));
    let pages = Pages::serve(vec![
        Page::html("/probed", &format!("{queued}{}", tag(&shop, "data-consent=\"full\"")), "")
            .with("content-security-policy", &policy),
        Page::html("/off", &head, "").with("content-security-policy", &policy),
        // Such a page lets no script bring another one.
        Page::html("/typed", &head, "").with("content-security-policy", "require-trusted-types-for 'script'"),
    ]);
    let chromium = Chromium::start();
    for path in ["/off", "/probed", "/typed"] {
        let tab = chromium.tab();
        tab.goes_to(&pages.url(path));
        assert_eq!(engine(&tab), "js");
        let who = visitor(&tab);
        tab.value("segments.track('Later', { n: 2 })");
        tab.clicks("h1");
        let left = Instant::now();
        tab.leaves();
        let profile = told_in_time(&shop, &who, left, &["page", "Queued", "identify", "Later", "snapshot"]);
        assert_eq!(profile["identities"].as_array().unwrap().iter().filter(|i| i["value"] == "u1").count(), 1);
        let console = tab.console();
        if path == "/off" {
            assert_eq!(console, Vec::<String>::new(), "with the probe switched off nothing is said");
        } else {
            // A browser reports the try itself under such policies; that line is the documented one and the only one.
            assert!(console.len() <= 1, "{console:#?}");
            let tried = ["wasm", "WebAssembly", "TrustedScriptURL"];
            assert!(console.iter().all(|line| tried.iter().any(|word| line.contains(word))), "{console:#?}");
        }
        tab.closes();
    }
    assert_eq!(shop.outcomes().rejected.len(), 0, "{:?}", shop.outcomes());
}

#[test]
fn pages_of_another_origin_work_also_under_the_strictest_policy() {
    let shop = shop_elsewhere("full");
    let origin = shop.web.origin();
    let policy = format!("default-src 'none'; script-src {origin} 'wasm-unsafe-eval'; connect-src {origin}");
    let head = tag(&shop, "data-consent=\"full\"");
    let pages = Pages::serve(vec![
        Page::html("/open", &head, "<p style=\"height:3000px\">Long</p>"),
        Page::html("/strict", &head, "<a href=\"/open\">Next</a>").with("content-security-policy", &policy),
    ]);
    assert_ne!(pages.origin(), origin);
    let chromium = Chromium::start();
    for (n, path) in ["/open", "/strict"].into_iter().enumerate() {
        let tab = chromium.tab();
        tab.goes_to(&format!("{}?utm_source=letter&utm_medium=email&email=mia@mail.example", pages.url(path)));
        assert_eq!(engine(&tab), "wasm", "{:?}", tab.console());
        tab.value("segments.track('Order Completed', { order_id: 'X' + Math.random(), total: 5, currency: 'EUR' })");
        tab.value("history.pushState({}, '', location.pathname + '/inside')");
        tab.clicks("h1");
        let who = visitor(&tab);
        until("the page view of a navigation by history", SOON, || {
            (views(&shop, &who) == 2 * (n as u64 + 1)).then_some(())
        });
        tab.clicks("h1");
        let left = Instant::now();
        tab.leaves();
        let profile = told_in_time(&shop, &who, left, &["page", "snapshot", "Order Completed"]);
        let page = profile["events"].as_array().unwrap().iter().find(|e| !e["campaign"].is_null()).expect("a campaign");
        assert_eq!(page["campaign"]["source"], "letter", "{page}");
        says_nothing(&tab);
        tab.closes();
    }
    let terms = shop.database.rows("SELECT value FROM terms");
    assert!(!terms.iter().any(|term| term.to_string().contains("mail.example")), "addresses are stripped: {terms:?}");
    assert_eq!(shop.outcomes().rejected.len(), 0, "{:?}", shop.outcomes());
}

#[test]
fn measure_mode_leaves_nothing_on_the_device() {
    let shop = shop_elsewhere("measure");
    let pages = Pages::serve(vec![Page::html("/a", &tag(&shop, ""), ""), Page::html("/b", &tag(&shop, ""), "")]);
    let chromium = Chromium::start();
    let tab = chromium.tab();
    tab.goes_to(&pages.url("/a"));
    engine(&tab);
    tab.value("segments.identify('u1', { plan: 'pro' }); segments.track('Seen')");
    tab.clicks("h1").goes_to(&pages.url("/b"));
    engine(&tab);
    let kept = tab.value(
        "(async () => ({ local: Object.keys(localStorage), session: Object.keys(sessionStorage), cookies: document.cookie,
            databases: (await indexedDB.databases()).length, caches: (await caches.keys()).length }))()",
    );
    assert_eq!(kept, json!({ "local": [], "session": [], "cookies": "", "databases": 0, "caches": 0 }));
    let cookies = tab.commands(GetCookiesParams::default()).cookies;
    assert!(cookies.is_empty(), "no host has one, not even one that scripts cannot read: {cookies:?}");
    tab.leaves();
    until("two page views and an event", SOON, || {
        (shop.database.number("SELECT count(*) FROM events WHERE kind IN (1, 3)") == 3).then_some(())
    });
    shop.is_projected();
    assert_eq!(shop.database.number("SELECT count(*) FROM events WHERE flags & 2 = 0"), 0, "all measured");
    assert_eq!(shop.database.number("SELECT count(DISTINCT identity_id) FROM events"), 1, "one visitor of the day");
    assert_eq!(shop.database.number("SELECT count(*) FROM profiles"), 0);
    assert_eq!(shop.ask("/api/v1/profiles?user_id=u1").status, 404);
    says_nothing(&tab);
}

#[test]
fn consent_given_later_keeps_the_visitor_from_then_on_and_withdrawn_forgets() {
    let shop = shop_elsewhere("measure");
    let pages = Pages::serve(vec![
        Page::html("/a", &tag(&shop, ""), ""),
        Page::html("/off", &tag(&shop, "data-consent=\"off\""), ""),
    ]);
    let chromium = Chromium::start();
    let tab = chromium.tab();
    tab.goes_to(&pages.url("/a"));
    engine(&tab);
    tab.value("segments.consent('full'); segments.track('After')");
    let who = visitor(&tab);
    until("what came after consent", SOON, || {
        let reply = shop.ask(&format!("/api/v1/profiles?{who}"));
        (reply.status == 200 && kinds(&reply.json()).contains(&"After".to_owned())).then_some(())
    });
    let linked = "SELECT count(*) FROM identities WHERE kind = 8 AND profile_id IN
                  (SELECT profile_id FROM identities WHERE kind <> 8)";
    assert_eq!(shop.database.number(linked), 0, "consent does not link what was measured before");
    tab.value("segments.consent('measure')");
    assert_eq!(tab.value("Object.keys(localStorage)"), json!([]), "nothing is left");
    shop.is_projected();
    let before = shop.stored();
    tab.goes_to(&pages.url("/off")).sees("window.segments");
    tab.value("segments.track('Refused'); new Promise((told) => segments.ready(() => told(1)))");
    tab.clicks("h1").leaves();
    // What a page that is off would have sent is sent by the next one that is not; only that one arrives.
    tab.goes_to(&pages.url("/a"));
    engine(&tab);
    tab.value("segments.track('Last')");
    tab.leaves();
    until("the last page's event", SOON, || {
        let named = "SELECT count(*) FROM events e JOIN terms t ON t.term_id = e.name_id WHERE t.value = 'Last'";
        (shop.database.number(named) == 1).then_some(())
    });
    assert!(shop.stored() > before);
    assert_eq!(shop.database.number("SELECT count(*) FROM terms WHERE value = 'Refused'"), 0);
    says_nothing(&tab);
}
