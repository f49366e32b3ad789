//! SDKs for browsers, in Chromium, on pages of another origin than the collector's.

use super::{nothing_was_rejected, once, troubles};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tests::browser::{Chromium, Tab};
use tests::pages::{Page, Pages};
use tests::proxy::{Proxy, Trouble};
use tests::{Database, SOON, Server, Shop, Web, npm, shop, until};

/// A shop whose pages are served from this machine.
fn shop_on_this_machine() -> Shop {
    let database = Database::fresh();
    let keys = shop::add_site(&database, "shop", &["--domain", "127.0.0.1"]);
    let server = Server::start(&database, &[]);
    Shop { web: Web::new(&server.origin()), server, keys, database }
}

/// The SDK's file as its owner would host it.
fn script(path: &str, file: &str) -> Page {
    Page::file(path, "text/javascript", npm::file(file).into_bytes())
}

/// Waits until that many events are stored.
#[track_caller]
fn has_stored(shop: &Shop, tab: &Tab<'_>, events: i64) {
    let start = std::time::Instant::now();
    until("the events of the page", SOON, || {
        if start.elapsed() > SOON - SOON / 10 {
            panic!("{} of {events} stored; {:?} {:?}", shop.stored(), shop.outcomes(), tab.console());
        }
        (shop.stored() >= events).then_some(())
    });
    assert_eq!(shop.stored(), events, "{:?}", shop.outcomes());
}

/// Waits until all troubles were met, and what was cut off has come again: once more it is a duplicate.
#[track_caller]
fn has_come_through(shop: &Shop, proxy: &Proxy, troubles: &[Trouble], duplicates_before: u64) {
    let cut = troubles.iter().filter(|trouble| **trouble == Trouble::Cut).count() as u64;
    until("the SDK to send again", 3 * SOON, || {
        (proxy.left() == 0 && shop.outcomes().duplicate >= duplicates_before + cut).then_some(())
    });
}

#[test]
fn analytics_next_runs_in_a_browser_with_the_collector_as_its_cdn() {
    let shop = shop_on_this_machine();
    let umd = npm::folder().join("node_modules/@segment/analytics-next/dist/umd");
    let mut pages: Vec<Page> = std::fs::read_dir(umd)
        .expect("the SDK's bundles")
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "js"))
        .map(|entry| {
            let path = format!("/umd/{}", entry.file_name().to_string_lossy());
            Page::file(&path, "text/javascript", std::fs::read(entry.path()).expect("a bundle"))
        })
        .collect();
    pages.push(Page::html("/shop", "<script src=\"/umd/index.js\"></script>", ""));
    let pages = Pages::serve(pages);
    let chromium = Chromium::start();
    for (n, troubles) in troubles().into_iter().enumerate() {
        let tab = chromium.tab();
        let proxy = Proxy::before(shop.server.address(), "/v1/t", &troubles);
        let duplicates = shop.outcomes().duplicate;
        tab.goes_to(&pages.url("/shop"));
        // Nobody of the round before.
        tab.value(
            "localStorage.clear(); document.cookie.split('; ').forEach((cookie) => {
            document.cookie = `${cookie.split('=')[0]}=; path=/; max-age=0`;
        })",
        );
        tab.goes_to(&pages.url("/shop"));
        let person = format!("next-{n}");
        let called = tab.value(&format!(
            r#"(async () => {{
                const {{ AnalyticsBrowser }} = window.AnalyticsNext;
                const analytics = AnalyticsBrowser.load(
                    {{ writeKey: {key:?}, cdnURL: {origin:?} }},
                    {{ integrations: {{ 'Segment.io': {{ apiHost: {host:?}, protocol: 'http' }} }} }},
                );
                await analytics.page();
                await analytics.identify({person:?}, {{ plan: 'pro' }});
                return Boolean(await analytics.track('Clicked', {{ n: 1 }}));
            }})()"#,
            key = shop.keys.write_key,
            origin = proxy.origin(),
            host = format!("{}/v1", proxy.address()),
        ));
        assert_eq!(called, true, "{:?}", tab.console());
        has_come_through(&shop, &proxy, &troubles, duplicates);
        has_stored(&shop, &tab, 3 * (n as i64 + 1));
        let page = format!("page {}/shop", pages.origin().trim_start_matches("http://"));
        assert_eq!(shop.did(&format!("user_id={person}")), once(&[&page, "identify", "Clicked"]));
        tab.closes();
    }
    nothing_was_rejected(&shop);
}

#[test]
fn posthog_js_is_served_from_configuration_to_the_beacon_of_a_page_that_is_left() {
    let shop = shop_on_this_machine();
    let pages = Pages::serve(vec![
        script("/posthog.js", "posthog-js/dist/module.js"),
        Page::html("/shop", "", "<button id=\"more\">Tell me more</button>"),
    ]);
    let chromium = Chromium::start();
    for (n, troubles) in troubles().into_iter().enumerate() {
        let tab = chromium.tab();
        let proxy = Proxy::before(shop.server.address(), "/e/", &troubles);
        let duplicates = shop.outcomes().duplicate;
        let person = format!("posthog-{n}");
        tab.goes_to(&pages.url("/shop"));
        tab.value(&format!(
            r#"(async () => {{
                const {{ default: posthog }} = await import('/posthog.js');
                window.posthog = posthog;
                await new Promise((loaded) => posthog.init({key:?}, {{
                    api_host: {origin:?}, persistence: 'memory', opt_out_useragent_filter: true, loaded,
                }}));
                await new Promise((answered) => posthog.onFeatureFlags(answered));
                posthog.capture('Anonymous', {{ $set_once: {{ first_seen: 'here' }} }});
            }})()"#,
            key = shop.keys.write_key,
            origin = proxy.origin(),
        ));
        tab.clicks("#more");
        let anonymous = tab.value("posthog.get_distinct_id()");
        tab.value(&format!(
            r#"posthog.identify({person:?}, {{ plan: 'pro' }});
               posthog.capture('Order Completed', {{ order_id: 'J-{n}', total: 42.5, currency: 'EUR' }})"#
        ));
        let page = format!("page {}/shop", pages.origin().trim_start_matches("http://"));
        let mut expected = once(&[&page, "Anonymous", "$autocapture", "Order Completed"]);
        expected.insert("identify".to_owned(), 2);
        let sum: i64 = expected.values().sum();
        has_come_through(&shop, &proxy, &troubles, duplicates);
        // One more for the page that was left in each round before.
        has_stored(&shop, &tab, sum + (sum + 1) * n as i64);
        tab.leaves();
        has_stored(&shop, &tab, (sum + 1) * (n as i64 + 1));
        expected.insert("snapshot".to_owned(), 1);
        let who = format!("user_id={person}");
        assert_eq!(shop.did(&who), expected);
        assert_eq!(shop.profile_id(&format!("visitor_id={}", anonymous.as_str().unwrap())), shop.profile_id(&who));
        let facts = &shop.profile(&who)["facts"];
        assert_eq!((&facts["traits"]["plan"], &facts["traits"]["first_seen"]), (&json!("pro"), &json!("here")));
        tab.closes();
    }
    nothing_was_rejected(&shop);
    let unseen = "SELECT count(*) FROM events s WHERE s.kind = 2 AND NOT EXISTS (
        SELECT FROM events p WHERE p.kind = 1 AND (p.site_id, p.event_id) = (s.site_id, s.view_id))";
    assert_eq!(shop.database.number(unseen), 0, "what is said of a page view finds it");
    shop.is_the_same_rebuilt();
}

#[test]
fn plausibles_tracker_is_told_what_became_of_each_event_and_doubles_nothing() {
    let shop = shop_on_this_machine();
    let pages = Pages::serve(vec![
        script("/plausible.js", "@plausible-analytics/tracker/plausible.js"),
        Page::html("/shop", "", ""),
    ]);
    let chromium = Chromium::start();
    let tab = chromium.tab();
    let proxy = Proxy::before(shop.server.address(), "/api/event", &[]);
    let says = |origin: &str| {
        tab.goes_to(&pages.url("/shop"));
        tab.value(&format!(
            r#"(async () => {{
                const {{ init, track }} = await import('/plausible.js');
                init({{
                    domain: '127.0.0.1', endpoint: '{origin}/api/event',
                    captureOnLocalhost: true, autoCapturePageviews: false,
                }});
                const told = (name, options) => new Promise((callback) => track(name, {{ ...options, callback }}));
                const all = [
                    await told('pageview', {{ props: {{ kind: 'shop' }} }}),
                    await told('Signed Up', {{ props: {{ plan: 'pro' }} }}),
                    await told('Purchase', {{ revenue: {{ amount: 42.5, currency: 'EUR' }} }}),
                ];
                return all.map((result) => result.status ?? String(result.error));
            }})()"#
        ))
    };
    assert_eq!(says(&proxy.origin()), json!([202, 202, 202]), "{:?}", tab.console());
    let page = format!("page {}/shop", pages.origin().trim_start_matches("http://"));
    let mut expected = once(&[&page, "Signed Up", "Order Completed"]);
    let without_engagement = |shop: &Shop| -> BTreeMap<String, i64> {
        shop.brought("plausible").into_iter().filter(|(what, _)| what != "Page Engagement").collect()
    };
    assert_eq!(without_engagement(&shop), expected);
    tab.leaves();
    until("what was done on the page", SOON, || shop.brought("plausible").get("Page Engagement").copied());
    shop.is_projected();
    assert_eq!(shop.database.number("SELECT count(*) FROM profiles"), 0);
    assert_eq!(shop.database.number("SELECT count(DISTINCT identity_id) FROM events"), 1, "one visitor of the day");
    // It does not send again: the page view is refused, what comes next is stored without an answer.
    let proxy = Proxy::before(shop.server.address(), "/api/event", &[Trouble::Refuse, Trouble::Cut]);
    let told = says(&proxy.origin());
    assert_eq!((&told[0], &told[2]), (&json!(503), &json!(202)), "{told}");
    assert!(told[1].as_str().is_some_and(|error| error.contains("fetch")), "{told}");
    for what in ["Signed Up", "Order Completed"] {
        expected.insert(what.to_owned(), 2);
    }
    assert_eq!(without_engagement(&shop), expected);
    nothing_was_rejected(&shop);
}

#[test]
fn umamis_script_counts_its_pages() {
    // Its package is the whole of Umami; the script's source is what is run here, as no build has to change it.
    const UMAMI: &str =
        "sha512-+lmrnV0751R6U2rkIgVAlE1nWI7yZawlMlJDguW9tlFacCKhnGeCyc7tCMIhNNYIiGIQy4DEX5IzJhm4b3+dPA==";
    let source = npm::file_of_archive("umami@2.10.0", UMAMI, "package/src/tracker/index.js");
    let shop = shop_on_this_machine();
    let tag = format!(
        "<script src=\"/script.js\" data-website-id=\"{}\" data-host-url=\"{}\"></script>",
        shop.keys.write_key,
        shop.web.origin()
    );
    let pages = Pages::serve(vec![Page::file("/script.js", "text/javascript", source), Page::html("/shop", &tag, "")]);
    let chromium = Chromium::start();
    let tab = chromium.tab();
    tab.goes_to(&pages.url("/shop?utm_source=nl"));
    has_stored(&shop, &tab, 1);
    let told = tab.value("umami.track('Signed Up', { plan: 'pro' }).then(JSON.parse)");
    assert!(told["sessionId"].is_string(), "{told}");
    tab.value("history.pushState({}, '', '/shop/next')");
    has_stored(&shop, &tab, 3);
    let refused = tab.value("umami.identify({ plan: 'pro' }).then(JSON.parse)");
    assert!(refused["sessionId"].is_string(), "{refused}");
    // The script sends the host without its port.
    let counted = once(&["page 127.0.0.1/shop", "page 127.0.0.1/shop/next", "Signed Up"]);
    assert_eq!(shop.brought("umami"), counted);
    assert_eq!(shop.rejected(), BTreeMap::from([("no_consent".to_owned(), 1)]));
    let rows = shop.database.rows("SELECT DISTINCT t.value FROM events e JOIN terms t ON t.term_id = e.title_id");
    assert_eq!(rows.first().map(|row| &row["value"]), Some(&Value::from("/shop")), "titles are decoded: {rows:?}");
    assert_eq!(shop.database.number("SELECT count(DISTINCT identity_id) FROM events"), 1, "one visitor of the day");
}
