//! SDKs for browsers, in Chromium.

use super::{nothing_was_rejected, once, troubles};
use tests::browser::Chromium;
use tests::pages::{Page, Pages};
use tests::proxy::Proxy;
use tests::{SOON, Shop, npm, until};

#[test]
fn analytics_next_runs_in_a_browser_with_the_collector_as_its_cdn() {
    let shop = Shop::on(tests::Database::fresh(), &[]);
    shop.database.run("UPDATE sites SET domains = '{127.0.0.1}'");
    // The SDK as its owner would host it; its settings come from the collector.
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
    let tab = chromium.tab();
    until("the server to know the new domain", SOON, || {
        let told = shop.web.send(
            "POST",
            "/v1/t",
            &[("origin", &pages.origin())],
            format!(r#"{{"writeKey":"{}","event":"Probe","anonymousId":"probe"}}"#, shop.keys.write_key).as_bytes(),
        );
        (told.status == 200).then_some(())
    });
    let before = shop.stored();
    tab.goes_to(&pages.url("/shop"));
    let delivered = tab.value(&format!(
        r#"(async () => {{
            const {{ AnalyticsBrowser }} = window.AnalyticsNext;
            const analytics = AnalyticsBrowser.load(
                {{ writeKey: {key:?}, cdnURL: {origin:?} }},
                {{ integrations: {{ 'Segment.io': {{ apiHost: {host:?}, protocol: 'http' }} }} }},
            );
            await analytics.page();
            await analytics.identify('next-user', {{ plan: 'pro' }});
            const context = await analytics.track('Clicked', {{ n: 1 }});
            return context.attempts !== undefined && !context.failedDelivery();
        }})()"#,
        key = shop.keys.write_key,
        origin = shop.web.origin(),
        host = format!("{}/v1", shop.server.address()),
    ));
    assert_eq!(delivered, true, "{:?}", tab.console());
    until("its three calls", SOON, || (shop.stored() == before + 3).then_some(()));
    let profile = shop.profile("user_id=next-user");
    assert_eq!(profile["facts"]["views"], 1);
    let outcomes = shop.outcomes();
    assert!(outcomes.rejected.keys().all(|reason| reason == "origin_not_allowed"), "{outcomes:?}");
}
