//! What the tracker tells of a page by itself: pages of another origin, headless Chromium, a real collector, and what its
//! API then knows.

use chromiumoxide::cdp::browser_protocol::page::NavigateParams;
use serde_json::{Value, json};
use tests::browser::{Chromium, Tab};
use tests::pages::{Page, Pages};
use tests::tag::{engine, says_nothing, shop_elsewhere, tag, visitor};
use tests::{SOON, Shop, until};

/// A browser on a page that the tracker has seen.
struct Visit<'a> {
    shop: &'a Shop,
    tab: Tab<'a>,
    who: String,
}

impl<'a> Visit<'a> {
    #[track_caller]
    fn of(shop: &'a Shop, chromium: &'a Chromium, url: &str) -> Visit<'a> {
        let tab = chromium.tab();
        tab.goes_to(url);
        assert_eq!(engine(&tab), "wasm", "{:?}", tab.console());
        let who = visitor(&tab);
        Visit { shop, tab, who }
    }

    /// The events so far, the oldest first.
    fn events(&self) -> Vec<Value> {
        let reply = self.shop.ask(&format!("/api/v1/profiles?{}", self.who));
        if reply.status != 200 {
            return Vec::new();
        }
        let mut events = reply.json()["events"].as_array().cloned().unwrap_or_default();
        events.sort_by_key(|event| event["event_id"].to_string());
        events
    }

    /// The properties of the events of a name, once so many have arrived.
    #[track_caller]
    fn told(&self, name: &str, count: usize) -> Vec<Value> {
        until(name, SOON, || {
            let events = self.events();
            let named = events.iter().filter(|event| event["name"] == name).map(|event| event["properties"].clone());
            let named: Vec<Value> = named.collect();
            (named.len() >= count).then_some(named)
        })
    }

    /// The names of everything that was told, once `last` was.
    #[track_caller]
    fn names_until(&self, last: &str) -> Vec<String> {
        self.told(last, 1);
        self.events().iter().filter_map(|event| event["name"].as_str().map(str::to_owned)).collect()
    }

    /// A call that comes after everything before it.
    fn ends(&self) -> Vec<String> {
        self.tab.value("segments.track('End')");
        self.names_until("End").into_iter().filter(|name| name != "End").collect()
    }
}

/// Keeps the page where it is, as pages do that load what comes next by themselves.
const STAYS: &str = "<script>addEventListener('click', (event) => event.preventDefault());
    addEventListener('submit', (event) => event.preventDefault())</script>";

#[test]
fn links_files_and_buttons_are_told_by_what_is_written_on_them() {
    let shop = shop_elsewhere("full");
    let body = "<nav id=\"menu\"><a href=\"/inside\">Inside</a> <a href=\"/two\">Two  <b>words</b></a></nav>
        <a id=\"out\" href=\"https://partner.example/deal?ref=1&token=abc#top\">To the partner</a>
        <a id=\"sub\" href=\"https://help.shop.example/faq\">Our help</a>
        <a id=\"file\" href=\"/files/Prices%202026.PDF?mail=mia@mail.example\">Prices</a>
        <a id=\"saved\" download href=\"/export\">Save</a>
        <a id=\"mail\" href=\"mailto:mia@mail.example\">mia@mail.example</a>
        <button id=\"buy\"><span>Buy</span> now</button>
        <div data-segments-private><button id=\"secret\">Mia Miller</button></div>
        <div id=\"text\">Only text</div>
        <div role=\"listbox\"><div role=\"option\" id=\"chosen\">Miller Street 12</div></div>
        <a id=\"marked\" href=\"https://partner.example/\" data-segments-event=\"Plan Chosen\"
            data-segments-prop-plan=\"pro\" data-segments-prop-billing-period=\"year\"><i>Pro</i></a>";
    let head = format!("{STAYS}{}", tag(&shop, "data-consent=\"full\" data-domains=\"shop.example\""));
    let pages = Pages::serve(vec![Page::html("/a", &head, body)]);
    let chromium = Chromium::start();
    let visit = Visit::of(&shop, &chromium, &pages.url("/a"));
    for element in [
        "#menu a:nth-of-type(2)",
        "#out",
        "#sub",
        "#file",
        "#saved",
        "#mail",
        "#buy span",
        "#secret",
        "#text",
        "#chosen",
        "#marked i",
    ] {
        visit.tab.clicks(element);
    }
    let names = visit.ends();
    assert_eq!(names.len(), 8, "{names:?}");
    assert_eq!(
        visit.told("Outbound Link Clicked", 1),
        [json!({ "url": "https://partner.example/deal?ref=1&token=*", "text": "To the partner" })]
    );
    let files = visit.told("File Downloaded", 2);
    let origin = pages.origin();
    assert_eq!(
        files,
        [
            json!({ "url": format!("{origin}/files/Prices%202026.PDF?mail=*"), "file_type": "pdf", "text": "Prices" }),
            json!({ "url": format!("{origin}/export"), "file_type": "", "text": "Save" }),
        ]
    );
    let clicks = visit.told("Element Clicked", 4);
    assert_eq!(
        clicks,
        [
            json!({ "element": "nav#menu>a:nth-of-type(2)", "text": "Two words" }),
            json!({ "element": "a#sub", "text": "Our help" }),
            json!({ "element": "a#mail", "text": "*" }),
            json!({ "element": "button#buy", "text": "Buy now" }),
        ]
    );
    assert_eq!(visit.told("Plan Chosen", 1), [json!({ "plan": "pro", "billing_period": "year" })]);
    let named = "SELECT count(*) FROM events WHERE properties::text ~ 'Miller|mail.example|abc'";
    assert_eq!(shop.database.number(named), 0);
    says_nothing(&visit.tab);
}

#[test]
fn a_link_that_leaves_the_site_is_told_of_before_the_page_is_gone() {
    let shop = shop_elsewhere("full");
    let pages = Pages::serve(vec![Page::html("/there", "", "")]);
    let away = pages.url("/there").replace("127.0.0.1", "localhost");
    let own = Pages::serve(vec![Page::html(
        "/a",
        &tag(&shop, "data-consent=\"full\""),
        &format!("<a href=\"{away}\">Away</a>"),
    )]);
    let chromium = Chromium::start();
    let visit = Visit::of(&shop, &chromium, &own.url("/a"));
    visit.tab.clicks("a").sees("location.pathname == '/there'");
    assert_eq!(visit.told("Outbound Link Clicked", 1), [json!({ "url": away, "text": "Away" })]);
}

#[test]
fn forms_are_told_as_begun_sent_and_given_up_and_never_what_was_typed() {
    let shop = shop_elsewhere("full");
    let body = "<form id=\"login\"><input name=\"email\" type=\"email\"><input name=\"password\" type=\"password\">
            <button>Log in</button></form>
        <form name=\"checkout\"><input name=\"first_name\"><input name=\"iban\"><textarea name=\"note\"></textarea></form>
        <form id=\"quiet\" data-segments-private><input name=\"diagnosis\"></form>
        <form id=\"letter\" data-segments-event=\"Newsletter Joined\" data-segments-prop-list=\"weekly\"><button>Join</button></form>";
    let pages = Pages::serve(vec![Page::html("/a", &format!("{STAYS}{}", tag(&shop, "data-consent=\"full\"")), body)]);
    let chromium = Chromium::start();
    let visit = Visit::of(&shop, &chromium, &pages.url("/a"));
    let tab = &visit.tab;
    tab.types("[name=email]", "mia@secret.example").types("[name=password]", "hunter22").types("[name=email]", "x");
    tab.value("document.querySelector('#login').requestSubmit()");
    tab.types("[name=first_name]", "Hunter22")
        .types("[name=iban]", "DE00hunter22")
        .types("[name=diagnosis]", "hunter22");
    tab.value("document.querySelector('#letter').requestSubmit()");
    visit.tab.leaves();
    assert_eq!(
        visit.told("Form Abandoned", 1),
        [json!({ "form": "checkout", "last_field": "iban", "fields": ["first_name", "iban"] })]
    );
    assert_eq!(
        visit.told("Form Started", 2),
        [json!({ "form": "login", "field": "email" }), json!({ "form": "checkout", "field": "first_name" })]
    );
    assert_eq!(
        visit.told("Form Submitted", 2),
        [json!({ "form": "login", "fields": ["email", "password"] }), json!({ "form": "letter", "fields": [] })]
    );
    assert_eq!(visit.told("Newsletter Joined", 1), [json!({ "list": "weekly" })]);
    let typed = "SELECT count(*) FROM events WHERE properties::text ~* 'hunter22|secret|diagnosis|DE00'";
    assert_eq!(shop.database.number(typed), 0);
}

#[test]
fn pages_that_were_not_found_searches_and_products_are_told_as_such() {
    let shop = shop_elsewhere("full");
    let head = tag(&shop, "data-consent=\"full\"");
    let product = "<script type=\"application/ld+json\">{ \"@context\": \"https://schema.org\", \"@graph\": [
        { \"@type\": \"BreadcrumbList\" },
        { \"@type\": \"Product\", \"sku\": \"KC-7\", \"name\": \"Hand grinder\", \"brand\": { \"@type\": \"Brand\", \"name\": \"Kettle\" },
          \"offers\": [{ \"@type\": \"Offer\", \"price\": \"89.50\", \"priceCurrency\": \"EUR\" }] }] }</script>";
    let two = "<script type=\"application/ld+json\">[{ \"@type\": \"Product\", \"name\": \"A\" }, { \"@type\": \"Product\", \"name\": \"B\" }]</script>
        <script type=\"application/ld+json\">{ broken</script>";
    let own = "<script>window.segments = [['track', 'Product Viewed', { product_id: 'own' }]]</script>";
    let pages = Pages::serve(vec![
        Page::html("/lost", &head, "").status("404 Not Found"),
        Page::html("/search", &head, ""),
        Page::html("/gone", &tag(&shop, "data-consent=\"full\" data-404"), ""),
        Page::html("/find", &tag(&shop, "data-consent=\"full\" data-search=\"find, begriff\""), ""),
        Page::html("/product", &format!("{product}{head}"), ""),
        Page::html("/list", &format!("{two}{head}"), ""),
        Page::html("/own", &format!("{own}{product}{head}"), ""),
    ]);
    let chromium = Chromium::start();
    let visit = Visit::of(&shop, &chromium, &pages.url("/lost?mail=mia@mail.example"));
    assert_eq!(visit.told("Page Not Found", 1), [json!({ "path": "/lost", "referrer": "" })]);
    visit.tab.goes_to(&pages.url("/search?q=red%20%20shoes&page=2"));
    assert_eq!(visit.told("Site Searched", 1), [json!({ "query": "red shoes" })]);
    visit.tab.goes_to(&pages.url("/product"));
    let grinder =
        json!({ "product_id": "KC-7", "name": "Hand grinder", "brand": "Kettle", "price": 89.5, "currency": "EUR" });
    assert_eq!(visit.told("Product Viewed", 1), std::slice::from_ref(&grinder));
    for path in ["/list", "/own"] {
        visit.tab.goes_to(&pages.url(path));
        engine(&visit.tab);
        // The time has passed after which the page is read.
        visit.tab.sees("performance.now() > 2500");
    }
    assert_eq!(visit.told("Product Viewed", 2), [grinder, json!({ "product_id": "own" })]);
    // What a navigation by history shows is another page, which was found.
    visit.tab.value("history.pushState({}, '', '/search?query=blue')");
    assert_eq!(visit.told("Site Searched", 2)[1], json!({ "query": "blue" }));
    visit.tab.goes_to(&pages.url("/gone"));
    assert_eq!(visit.told("Page Not Found", 2)[1]["path"], "/gone");
    visit.tab.goes_to(&pages.url("/find?q=no&begriff=Schuhe"));
    assert_eq!(visit.told("Site Searched", 3)[2], json!({ "query": "Schuhe" }));
    assert_eq!(
        visit.ends().iter().filter(|name| *name == "Product Viewed").count(),
        2,
        "what is left is not told again"
    );
}

#[test]
fn navigation_by_history_is_a_page_view_and_by_the_fragment_where_the_owner_says_so() {
    let shop = shop_elsewhere("full");
    let head = tag(&shop, "data-consent=\"full\"");
    let by_fragment = tag(&shop, "data-consent=\"full\" data-hash");
    let pages = Pages::serve(vec![Page::html("/a", &head, ""), Page::html("/app", &by_fragment, "")]);
    let chromium = Chromium::start();
    let visit = Visit::of(&shop, &chromium, &pages.url("/a"));
    visit.tab.value("history.pushState({}, '', '/a/one?x=1')");
    let host = pages.origin().replace("http://", "");
    let viewed = |path: &str| {
        let page = format!("{host}{path}");
        let is_viewed = || visit.events().iter().any(|event| event["kind"] == "page" && event["page"] == page);
        until(path, SOON, || is_viewed().then_some(()));
    };
    viewed("/a/one");
    visit.tab.value("history.replaceState({}, '', '/a/two')");
    viewed("/a/two");
    visit.tab.value("location.hash = '#section'");
    visit.tab.value("history.back()");
    visit.tab.sees("location.pathname == '/a/two' && !location.hash");
    visit.tab.goes_to(&pages.url("/app?utm_source=letter#/cart"));
    viewed("/app/cart");
    visit.tab.value("location.hash = '#!/checkout?step=2'");
    viewed("/app/checkout");
    // No place of the page's, and nothing that may be told.
    visit.tab.value("location.hash = '#/access_token=ya29abc&expires_in=3599'");
    viewed("/app");
    visit.ends();
    let events = visit.events();
    let views: Vec<&str> =
        events.iter().filter(|event| event["kind"] == "page").filter_map(|event| event["page"].as_str()).collect();
    let paths = ["/a", "/a/one", "/a/two", "/app/cart", "/app/checkout", "/app"];
    assert_eq!(views, paths.map(|path| format!("{host}{path}")));
    let landing = events.iter().find(|event| event["page"] == format!("{host}/app/cart")).expect("a view");
    assert_eq!(landing["campaign"]["source"], "letter");
    assert!(!events.iter().any(|event| event.to_string().contains("ya29")), "{events:?}");
}

/// Silence of so many seconds, as a file that a video element plays.
fn silence(seconds: u32) -> Vec<u8> {
    let rate = 8_000_u32;
    let samples = rate * seconds;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + samples).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(rate.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend(b"\x01\0\x08\0data");
    file.extend(samples.to_le_bytes());
    file.resize(file.len() + samples as usize, 128);
    file
}

#[test]
fn videos_are_told_by_the_quarters_that_were_played() {
    let shop = shop_elsewhere("full");
    let video = "<video id=\"tour\" src=\"/tour.wav\"></video>";
    let pages = Pages::serve(vec![
        Page::html("/a", &tag(&shop, "data-consent=\"full\""), video),
        Page::file("/tour.wav", "audio/wav", silence(2)),
    ]);
    let chromium = Chromium::start();
    let visit = Visit::of(&shop, &chromium, &pages.url("/a"));
    visit.tab.clicks("h1").value("document.querySelector('video').play()");
    assert_eq!(visit.told("Video Completed", 1), [json!({ "video": "tour", "seconds": 2 })]);
    assert_eq!(visit.told("Video Played", 1), [json!({ "video": "tour", "seconds": 2 })]);
    let percents: Vec<Value> = visit.told("Video Progressed", 3).iter().map(|told| told["percent"].clone()).collect();
    assert_eq!(percents, [25, 50, 75]);
    visit.tab.value("document.querySelector('video').play()");
    visit.tab.sees("document.querySelector('video').currentTime > 0.7 && !document.querySelector('video').ended");
    assert_eq!(visit.ends().iter().filter(|name| name.starts_with("Video")).count(), 5, "a second time is not told");
}

/// A page that jumps once, and buttons that answer nothing, slowly, and at once.
const RESTLESS: &str = "<h1>Shoes</h1><div id=\"late\"></div><p id=\"text\">Water at ninety-three degrees.</p>
    <button id=\"dead\">Nothing</button><button id=\"slow\">Slow</button><input id=\"name\" name=\"name\">
    <div style=\"height: 3000px\">Below</div>
    <script>
        setTimeout(() => (document.querySelector('#late').style.height = '250px'), 100);
        document.querySelector('#slow').onclick = ({ target }) => {
            for (const end = performance.now() + 120; performance.now() < end; );
            target.textContent = 'Done';
        };
    </script>";

/// Does all that is counted, and gives what the API knows of it.
fn counted(visit: &Visit<'_>) -> Value {
    let tab = &visit.tab;
    tab.sees("document.querySelector('#late').offsetHeight == 250 && performance.now() > 700");
    tab.clicks("#dead").value("void (window.clicked = performance.now())");
    tab.sees("performance.now() > clicked + 1200");
    tab.clicks("#text").clicks("#text").clicks("#text").clicks("#slow").sees("slow.textContent == 'Done'");
    tab.value("getSelection().selectAllChildren(text); document.execCommand('copy')");
    tab.value("for (let n = 0; n < 2; n++) setTimeout(() => { throw new Error('broken') })");
    tab.types("#name", "Mia").value("scrollTo(0, document.documentElement.scrollHeight)");
    tab.value("new Promise((done) => requestIdleCallback(() => requestIdleCallback(done)))");
    tab.leaves();
    let newest = || {
        let events = visit.events();
        let snapshots = events.iter().map(|event| event["snapshot"].clone()).filter(|snapshot| snapshot["clicks"] == 6);
        snapshots.max_by_key(|snapshot| snapshot["revision"].as_i64())
    };
    until("what the page was like", SOON, newest)
}

#[test]
fn a_page_view_is_summed_up_by_what_was_done_on_it_and_how_it_did() {
    let shop = shop_elsewhere("full");
    let pages = Pages::serve(vec![Page::html("/a", &tag(&shop, "data-consent=\"full\""), RESTLESS)]);
    let chromium = Chromium::start();
    let told = counted(&Visit::of(&shop, &chromium, &pages.url("/a")));
    let number = |name: &str| told[name].as_i64().unwrap_or_default();
    let counts = ["max_scroll_pct", "rage_clicks", "dead_clicks", "errors", "copies", "fields"].map(number);
    assert_eq!(counts, [100, 1, 1, 2, 1, 1], "{told}");
    for measured in ["engaged_ms", "lcp_ms", "fcp_ms", "ttfb_ms", "cls_millis"] {
        assert!(number(measured) > 0, "{measured} in {told}");
    }
    assert!(number("inp_ms") >= 120, "{told}");
    let report = shop.ask("/api/v1/reports/experience").json();
    let sums = &report["total"];
    assert_eq!((&sums["errors"], &sums["rage_clicks"], &sums["dead_clicks"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(sums["lcp_ms"]["p75"].as_f64(), told["lcp_ms"].as_f64());
}

#[test]
fn a_page_view_is_summed_up_without_what_an_owner_has_switched_off() {
    let shop = shop_elsewhere("full");
    let off = ["engagement", "scroll", "vitals", "errors", "copies", "rage-clicks", "dead-clicks"];
    let off = off.map(|name| format!("data-{name}=\"off\"")).join(" ");
    let head = tag(&shop, &format!("data-consent=\"full\" {off}"));
    let pages = Pages::serve(vec![Page::html("/a", &head, RESTLESS)]);
    let chromium = Chromium::start();
    let told = counted(&Visit::of(&shop, &chromium, &pages.url("/a")));
    let revision = told["revision"].clone();
    assert_eq!(
        told,
        json!({ "revision": revision, "engaged_ms": 0, "max_scroll_pct": 0, "clicks": 6, "fields": 1 }),
        "what is left is counted"
    );
}

#[test]
fn where_visitors_come_from_is_kept_with_the_page_they_land_on() {
    let shop = shop_elsewhere("full");
    let pages = Pages::serve(vec![Page::html("/a", &tag(&shop, "data-consent=\"full\""), "")]);
    let chromium = Chromium::start();
    let lands = |query: &str, referrer: &str| {
        let tab = chromium.newcomer();
        tab.commands(
            NavigateParams::builder().url(pages.url(&format!("/a{query}"))).referrer(referrer).build().expect("a URL"),
        );
        tab.sees("window.segments?.ready");
        let visit = Visit { shop: &shop, who: visitor(&tab), tab };
        visit.ends();
        shop.is_projected();
        let person = shop.ask(&format!("/api/v1/profiles/export?{}", visit.who)).json();
        visit.tab.closes();
        let landed = &person["visits"][0];
        ["channel", "source", "medium", "campaign"].map(|name| landed[name].as_str().unwrap_or("?").to_owned())
    };
    assert_eq!(lands("", "http://www.google.com/"), ["organic_search", "google", "organic", ""]);
    assert_eq!(lands("?gclid=EAIaIQobChMI", "http://www.google.com/"), ["paid_search", "google", "cpc", ""]);
    assert_eq!(
        lands("?utm_source=letter&utm_medium=email&utm_campaign=spring&token=abc", ""),
        ["email", "letter", "email", "spring"]
    );
    assert_eq!(lands("?fbclid=IwAR0abc", "http://l.facebook.com/"), ["organic_social", "facebook", "social", ""]);
    assert_eq!(lands("", "http://blog.example/post"), ["referral", "blog.example", "referral", ""]);
}

#[test]
fn what_an_owner_has_switched_off_is_not_told() {
    let shop = shop_elsewhere("full");
    let off = ["clicks", "outbound", "downloads", "forms", "search", "products", "video", "404", "history"];
    let off: Vec<String> = off.iter().map(|name| format!("data-{name}=\"off\"")).collect();
    let head = format!("{STAYS}{}", tag(&shop, &format!("data-consent=\"full\" {}", off.join(" "))));
    let body = "<a id=\"out\" href=\"https://partner.example/\">Out</a><a id=\"file\" href=\"/a.pdf\">File</a>
        <button id=\"buy\">Buy</button><form><input name=\"email\"></form>";
    let pages = Pages::serve(vec![Page::html("/a", &head, body).status("404 Not Found")]);
    let chromium = Chromium::start();
    let visit = Visit::of(&shop, &chromium, &pages.url("/a?q=shoes"));
    for element in ["#out", "#file", "#buy"] {
        visit.tab.clicks(element);
    }
    visit.tab.types("[name=email]", "x").value("document.querySelector('form').requestSubmit()");
    visit.tab.value("history.pushState({}, '', '/b')");
    assert_eq!(visit.ends(), Vec::<String>::new());
    assert_eq!(shop.database.number("SELECT count(*) FROM events WHERE kind = 1"), 1, "page views");
}
