//! The way of events from a page to the collector: nothing is lost, and nothing is told twice. Headless Chromium, pages
//! of another origin, and what the collector then has.

use serde_json::{Value, json};
use tests::browser::{Chromium, Tab};
use tests::pages::{Page, Pages};
use tests::tag::{KEEPS, engine, named, says_nothing, shop_elsewhere, tag, visitor};
use tests::{SOON, Server, Shop, rounds, until};

/// A site with consent, and a page at `/a` whose head begins with `before`.
fn shop_with_page(before: &str) -> (Shop, Pages) {
    let shop = shop_elsewhere("full");
    let head = format!("{before}{}", tag(&shop, "data-consent=\"full\""));
    let pages =
        Pages::serve(vec![Page::html("/a", &head, "<a id=\"next\" href=\"/b\">Next</a>"), Page::html("/b", &head, "")]);
    (shop, pages)
}

/// A tab on a page whose core runs and whose page view is stored.
#[track_caller]
fn tab_on<'a>(chromium: &'a Chromium, shop: &Shop, url: &str) -> Tab<'a> {
    let before = page_views(shop);
    let tab = chromium.tab();
    tab.goes_to(url);
    assert_eq!(engine(&tab), "wasm", "{:?}", tab.console());
    until("the page view", SOON, || (page_views(shop) > before).then_some(()));
    tab
}

fn page_views(shop: &Shop) -> i64 {
    shop.database.number("SELECT count(*) FROM events WHERE kind = 1")
}

/// Events of a name that are stored more than once under their number.
fn twice(shop: &Shop, name: &str) -> i64 {
    shop.database.number(&format!(
        "SELECT count(*) - count(DISTINCT e.properties) FROM events e
         JOIN terms t ON (t.site_id, t.term_id) = (e.site_id, e.name_id) WHERE t.value = '{name}'"
    ))
}

/// Everything arrived at the first try, and nothing was wrong with it.
#[track_caller]
fn nothing_was_sent_twice(shop: &Shop) {
    let outcomes = shop.outcomes();
    assert_eq!((outcomes.duplicate, outcomes.rejected.len()), (0, 0), "{outcomes:?}");
}

#[test]
fn a_hundred_events_of_a_page_without_network_arrive_once_when_it_has_one_again() {
    let (shop, pages) = shop_with_page("");
    let chromium = Chromium::start();
    let tab = tab_on(&chromium, &shop, &pages.url("/a"));
    tab.is_offline(true);
    tab.value("for (let n = 0; n < 100; n++) segments.track('Offline', { n })");
    tab.sees(KEEPS);
    assert_eq!(named(&shop, "Offline"), 0);
    tab.is_offline(false);
    until("the events of that time", SOON, || (named(&shop, "Offline") >= 100).then_some(()));
    tab.sees(&format!("!({KEEPS})"));
    assert_eq!((named(&shop, "Offline"), twice(&shop, "Offline")), (100, 0));
    nothing_was_sent_twice(&shop);
    says_nothing(&tab);
}

#[test]
fn what_was_done_while_the_collector_was_away_arrives_later_and_once() {
    let (mut shop, pages) = shop_with_page("");
    let chromium = Chromium::start();
    let tab = tab_on(&chromium, &shop, &pages.url("/a"));
    let who = visitor(&tab);
    let listen = shop.server.address().to_string();
    shop.server.kill();
    tab.value("for (let n = 0; n < 25; n++) segments.track('Away', { n })");
    // The page is left while nobody listens: a beacon is no acknowledgement, the queue keeps what it carried.
    tab.sees(KEEPS);
    tab.leaves();
    shop.server = Server::start(&shop.database, &["--listen", &listen]);
    tab.goes_to(&pages.url("/a"));
    engine(&tab);
    until("the events of that time", 2 * SOON, || (named(&shop, "Away") >= 25).then_some(()));
    tab.leaves();
    shop.is_projected();
    assert_eq!((named(&shop, "Away"), twice(&shop, "Away")), (25, 0));
    assert_eq!(shop.profile(&who)["facts"]["views"], 2);
}

/// Events of one tab that is closed.
const BURST: i64 = 5;

#[test]
fn tabs_that_are_closed_in_the_middle_of_a_batch_lose_nothing() {
    let (shop, pages) = shop_with_page("");
    let chromium = Chromium::start();
    let count = rounds(12, 100);
    for round in 0..count {
        let tab = chromium.tab();
        tab.goes_to(&pages.url("/a")).sees("window.segments?.track");
        // With the core and before it, and with a post that is on its way already.
        if round % 3 != 0 {
            engine(&tab);
        }
        if round % 3 == 2 {
            tab.value("segments.track('First'); dispatchEvent(new Event('online'))");
        }
        tab.value(&format!("for (let n = 0; n < {BURST}; n++) segments.track('Closing', {{ round: {round}, n }})"));
        tab.closes();
    }
    let told = i64::from(count) * BURST;
    // What is still under way by itself has a moment; the rest is for the browser's next page.
    let start = std::time::Instant::now();
    let alone = until("what leaves with its page", 2 * SOON, || {
        let arrived = named(&shop, "Closing");
        (arrived == told || start.elapsed() > SOON / 5).then_some(arrived)
    });
    let tab = chromium.tab();
    tab.goes_to(&pages.url("/a"));
    engine(&tab);
    let least = (told * 99 + 99) / 100;
    let start = std::time::Instant::now();
    let arrived = until("what the browser's next page sends", 2 * SOON, || {
        let arrived = named(&shop, "Closing");
        (arrived == told || start.elapsed() > SOON / 2).then_some(arrived)
    });
    eprintln!("of {told} events of {count} closed tabs {alone} arrived with their page, {arrived} with the next one");
    let lost = format!(
        "SELECT round, stored FROM generate_series(0, {count} - 1) AS round CROSS JOIN LATERAL (
             SELECT count(*) AS stored FROM events WHERE (properties->>'round')::int = round) AS of_round
         WHERE stored < {BURST} ORDER BY 1"
    );
    let outcomes = shop.outcomes();
    assert!(arrived >= least, "{arrived} of {told}; {outcomes:?}; incomplete: {:?}", shop.database.rows(&lost));
    assert_eq!(twice(&shop, "Closing"), 0);
    let views = page_views(&shop);
    assert!(views > i64::from(count) * 99 / 100, "{views} page views of {count} tabs and one");
    assert_eq!(shop.outcomes().rejected.len(), 0);
}

/// Two tabs start at once on a browser that keeps what a page that is gone could not deliver, while a third one waits to
/// deliver its own.
fn two_tabs_start_at_once(before: &str) {
    let (mut shop, pages) = shop_with_page(before);
    let chromium = Chromium::start();
    let gone = tab_on(&chromium, &shop, &pages.url("/a"));
    let waits = tab_on(&chromium, &shop, &pages.url("/a"));
    let listen = shop.server.address().to_string();
    shop.server.kill();
    let tracks = |tab: &Tab<'_>, name: &str| {
        tab.value(&format!("for (let n = 0; n < 20; n++) segments.track('{name}', {{ n }})"));
    };
    tracks(&gone, "Gone");
    gone.sees(KEEPS).leaves();
    tracks(&waits, "Waiting");
    // It may have taken over what the other one left, when it got the focus.
    waits.sees("Object.entries(localStorage).some(([name, text]) => name.startsWith('segments.queue') && text.includes('Waiting'))");
    let (one, other) = (chromium.tab(), chromium.tab());
    shop.server = Server::start(&shop.database, &["--listen", &listen]);
    for tab in [&one, &other] {
        tab.value(&format!("void (location.href = '{}')", pages.url("/a")));
    }
    for tab in [&one, &other] {
        assert_eq!(engine(tab), "wasm");
    }
    until("what the page that is gone has left", SOON, || (named(&shop, "Gone") >= 20).then_some(()));
    waits.value("void dispatchEvent(new Event('online'))");
    until("what the third page has kept", SOON, || (named(&shop, "Waiting") >= 20).then_some(()));
    until("the page views", SOON, || (page_views(&shop) == 4).then_some(()));
    for tab in [&one, &other, &waits] {
        tab.sees(&format!("!({KEEPS})"));
    }
    assert_eq!((named(&shop, "Gone"), named(&shop, "Waiting")), (20, 20));
    nothing_was_sent_twice(&shop);
    // The one that has taken over goes away; what it leaves is the other's.
    shop.server.kill();
    tracks(&one, "Last");
    one.sees(KEEPS);
    one.closes();
    shop.server = Server::start(&shop.database, &["--listen", &listen]);
    other.value("void dispatchEvent(new Event('online'))");
    until("what the closed tab has left", SOON, || (named(&shop, "Last") >= 20).then_some(()));
    nothing_was_sent_twice(&shop);
}

#[test]
fn of_two_tabs_one_sends_what_a_third_has_left() {
    two_tabs_start_at_once("");
}

#[test]
fn of_two_tabs_one_sends_what_a_third_has_left_also_without_locks() {
    two_tabs_start_at_once("<script>delete Navigator.prototype.locks</script>");
}

#[test]
fn going_back_is_no_page_view_and_the_view_goes_on() {
    let (shop, pages) =
        shop_with_page("<script>addEventListener('pageshow', (event) => (window.kept = event.persisted))</script>");
    let chromium = Chromium::start();
    let tab = tab_on(&chromium, &shop, &pages.url("/a"));
    let who = visitor(&tab);
    tab.clicks("h1").clicks("#next").sees("location.pathname == '/b'");
    engine(&tab);
    // What the page before left is taken over and delivered; a page that is busy with that is not kept.
    until("both page views", SOON, || (page_views(&shop) == 2).then_some(()));
    tab.sees(&format!("!({KEEPS})"));
    tab.value("void history.back()");
    tab.sees("location.pathname == '/a'");
    tab.sees("window.kept");
    // Not by the driver's mouse, which looks for the page that was there before.
    tab.value("document.querySelector('h1').click(); segments.track('Back')");
    until("the call on the page that was kept", SOON, || (named(&shop, "Back") == 1).then_some(()));
    tab.value("void history.forward()");
    tab.sees("location.pathname == '/b'");
    tab.sees("window.kept");
    let clicks = "SELECT COALESCE(max(clicks), 0) FROM events WHERE kind = 2";
    // Both clicks on headings and the one on the link.
    until("the snapshot of the view that went on", SOON, || (shop.database.number(clicks) == 3).then_some(()));
    tab.value("segments.track('End')");
    until("the end", SOON, || (named(&shop, "End") == 1).then_some(()));
    shop.is_projected();
    assert_eq!(shop.profile(&who)["facts"]["views"], 2);
    assert_eq!(page_views(&shop), 2);
    let views = "SELECT count(DISTINCT view_id) FROM events WHERE kind = 2 AND clicks > 0";
    assert_eq!(shop.database.number(views), 1, "one view was clicked in, before and after");
    assert_eq!(shop.outcomes().rejected.len(), 0);
    says_nothing(&tab);
}

#[test]
fn a_page_that_is_frozen_has_told_everything_and_goes_on_later() {
    let (shop, pages) = shop_with_page("");
    let chromium = Chromium::start();
    let tab = tab_on(&chromium, &shop, &pages.url("/a"));
    tab.value("segments.track('Before')");
    tab.is_frozen(true);
    until("what was done before", SOON, || (named(&shop, "Before") == 1).then_some(()));
    tab.is_frozen(false);
    tab.value("segments.track('After')");
    until("what was done after", SOON, || (named(&shop, "After") == 1).then_some(()));
    tab.sees(&format!("!({KEEPS})"));
    assert_eq!(page_views(&shop), 1);
    // By beacon and again by fetch, where the first post was not answered yet when the page was frozen; stored once.
    assert_eq!((named(&shop, "Before"), named(&shop, "After"), shop.outcomes().rejected.len()), (1, 1, 0));
    says_nothing(&tab);
}

#[test]
fn a_page_that_goes_without_having_been_hidden_tells_everything() {
    // As Safari does: `pagehide`, and no `visibilitychange` before.
    let quiet =
        "<script>addEventListener('visibilitychange', (event) => event.stopImmediatePropagation(), true)</script>";
    let (shop, pages) = shop_with_page(quiet);
    let chromium = Chromium::start();
    let tab = tab_on(&chromium, &shop, &pages.url("/a"));
    tab.value("segments.track('Parting')");
    tab.leaves();
    until("what was done last", SOON, || (named(&shop, "Parting") == 1).then_some(()));
}

#[test]
fn a_page_that_is_made_ready_is_no_page_view_before_it_is_visited() {
    // Headless Chromium makes no page ready under a driver, so the page plays it by the names of the standard.
    let plays = "<script>
        window.ready = true;
        Object.defineProperty(document, 'prerendering', { get: () => window.ready });
        window.visit = () => { window.ready = false; document.dispatchEvent(new Event('prerenderingchange')) };
    </script>";
    let (shop, pages) = shop_with_page(plays);
    let chromium = Chromium::start();
    let tab = chromium.tab();
    tab.goes_to(&pages.url("/a")).sees("document.readyState == 'complete'");
    tab.clicks("h1").goes_to(&pages.url("/b"));
    assert_eq!(tab.value("typeof segments"), "undefined");
    assert_eq!(tab.value("Object.keys(localStorage)"), json!([]));
    tab.value("visit()");
    assert_eq!(engine(&tab), "wasm");
    until("the page that is visited", SOON, || (page_views(&shop) >= 1).then_some(()));
    tab.value("segments.track('Seen')");
    until("an event of it", SOON, || (named(&shop, "Seen") == 1).then_some(()));
    assert_eq!(page_views(&shop), 1);
    nothing_was_sent_twice(&shop);
}

#[test]
fn more_than_a_beacon_takes_arrives_with_the_next_page() {
    let (shop, pages) = shop_with_page("");
    let chromium = Chromium::start();
    let tab = tab_on(&chromium, &shop, &pages.url("/a"));
    // Three of 20 KB: a post takes two of them, and together they are near the 64 KB that a page may leave behind.
    tab.value("for (let n = 0; n < 3; n++) segments.track('Large', { n, text: 'x'.repeat(20000) })");
    tab.leaves();
    tab.goes_to(&pages.url("/b"));
    engine(&tab);
    until("all of it", SOON, || (named(&shop, "Large") == 3).then_some(()));
    tab.sees(&format!("!({KEEPS})"));
    assert_eq!(twice(&shop, "Large"), 0);
}

/// What pages have done to the browser before the tracker came, and whether the core can run there.
const HOSTILE: [(&str, &str, &str); 7] = [
    ("/stringify-lies", "JSON.stringify = () => '{}'", "wasm"),
    ("/json-throws", "JSON.stringify = JSON.parse = () => { throw new Error('mine') }", "wasm"),
    ("/to-json", "Array.prototype.toJSON = function () { return 'mine' }", "wasm"),
    (
        "/arrays",
        "for (const name of ['map', 'push', 'forEach', 'join', 'filter', 'find', 'findIndex', 'slice', 'concat', 'indexOf',
            'includes', 'some', 'every', 'reduce', 'pop', 'shift', 'unshift', 'splice', 'sort', 'flat', 'at', 'fill'])
            Array.prototype[name] = function () { throw new Error('mine') }",
        "wasm",
    ),
    ("/fetch-throws", "window.fetch = () => { throw new Error('mine') }", "js"),
    ("/fetch-lies", "window.fetch = async () => ({ ok: true, status: 200, headers: new Headers(), json: async () => ({}) })", "js"),
    ("/history", "history.pushState = () => { throw new Error('mine') }", "wasm"),
];

#[test]
fn on_a_page_that_breaks_the_browser_the_page_works_and_events_arrive_once() {
    let shop = shop_elsewhere("full");
    let page = |(path, script, _): &(&str, &str, &str)| {
        let head = format!("<script>{script}</script>{}", tag(&shop, "data-consent=\"full\""));
        let works = "<button onclick=\"window.clicked = 1\">Works</button>";
        Page::html(path, &head, works)
    };
    let pages = Pages::serve(HOSTILE.iter().map(page).collect());
    let chromium = Chromium::start();
    for (path, _, engine) in HOSTILE {
        let tab = chromium.tab();
        tab.goes_to(&pages.url(path)).sees("window.segments?.track");
        tab.value("void segments.ready((status) => (window.engine = status.engine))");
        tab.sees("window.engine");
        assert_eq!(tab.value("engine"), engine, "{path}: {:?}", tab.console());
        let thrown = tab.value(&format!(
            "(() => {{ try {{ history.pushState(0, '', '{path}'); return '' }} catch (error) {{ return error.message }} }})()"
        ));
        assert_eq!(thrown, if path == "/history" { "mine" } else { "" }, "what the page throws reaches the page");
        tab.value(&format!("segments.track('On {path}')"));
        tab.clicks("button").sees("window.clicked");
        assert_eq!(tab.console(), Vec::<String>::new(), "{path}");
        tab.leaves();
        // By itself: another page of the site would deliver the rest.
        until(path, SOON, || (named(&shop, &format!("On {path}")) == 1).then_some(()));
        let viewed = format!(
            "SELECT count(*) FROM events e JOIN terms t ON t.term_id = e.page_id WHERE e.kind = 1 AND t.value LIKE '%{path}'"
        );
        until(path, SOON, || (shop.database.number(&viewed) == 1).then_some(()));
        tab.closes();
    }
    assert_eq!(page_views(&shop), HOSTILE.len() as i64);
    assert_eq!(shop.outcomes().rejected.len(), 0, "{:?}", shop.outcomes());
}

/// Whether a page says that its visitor is of the sample.
#[track_caller]
fn is_sampled(tab: &Tab<'_>) -> bool {
    tab.sees("window.segments?.ready");
    tab.value("new Promise((told) => segments.ready(told)).then((status) => status.sampled)") == true
}

#[test]
fn visitors_outside_the_sample_send_nothing_and_stay_outside() {
    let shop = shop_elsewhere("full");
    let head = tag(&shop, "data-consent=\"full\" data-sample=\"10\"");
    let pages = Pages::serve(vec![Page::html("/a", &head, ""), Page::html("/plain", "", "")]);
    let chromium = Chromium::start();
    let tab = chromium.tab();
    let known = |end: &str| format!("0193b0c42f007abc8def012345{end}");
    // By what the id ends with: 10 of 100 are 0 to 9.
    for (end, inside) in [("000009", true), ("00000a", false)] {
        tab.goes_to(&pages.url("/plain"));
        tab.value(&format!("localStorage.clear(); void (localStorage['segments.visitor'] = '{}')", known(end)));
        for _ in 0..2 {
            tab.goes_to(&pages.url("/a"));
            assert_eq!(is_sampled(&tab), inside, "{end}");
            tab.value("segments.track('Done'); segments.identify('u1', {}); segments.page()");
            tab.clicks("h1").leaves();
        }
        tab.goes_to(&pages.url("/plain"));
        assert_eq!(tab.value("localStorage['segments.visitor']"), known(end).as_str());
        if !inside {
            assert_eq!(
                tab.value("Object.keys(localStorage)"),
                json!(["segments.visitor"]),
                "what makes it stable alone"
            );
        }
        until("the events of the one inside", SOON, || (named(&shop, "Done") == 2).then_some(()));
    }
    shop.is_projected();
    assert_eq!(page_views(&shop), 4);
    assert_eq!(shop.database.number("SELECT count(*) FROM profiles"), 1);
    says_nothing(&tab);
}

#[test]
fn without_consent_each_page_load_is_drawn_by_itself() {
    let shop = shop_elsewhere("measure");
    let pages = Pages::serve(vec![Page::html("/a", &tag(&shop, "data-sample=\"50\" data-wasm=\"off\""), "")]);
    let chromium = Chromium::start();
    let tab = chromium.tab();
    let loads = 24;
    let mut inside = 0;
    for _ in 0..loads {
        tab.goes_to(&pages.url("/a"));
        inside += i64::from(is_sampled(&tab));
    }
    assert_eq!(tab.value("Object.keys(localStorage)"), json!([]));
    // All or none of them once in eight million runs.
    assert!((1..loads).contains(&inside), "{inside} of {loads}");
    until("the page loads inside", SOON, || (page_views(&shop) == inside).then_some(()));
    tab.leaves();
    assert_eq!(page_views(&shop), inside);
}

#[test]
fn an_owner_sees_that_browsers_which_ask_for_privacy_are_only_measured() {
    let (shop, pages) = shop_with_page("");
    let chromium = Chromium::start();
    let asks = chromium.tab();
    asks.runs_before_pages("Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true })");
    asks.goes_to(&pages.url("/a"));
    assert_eq!(engine(&asks), "wasm");
    asks.value("segments.identify('u1', { plan: 'pro' }); segments.consent('full'); segments.track('Asked')");
    assert_eq!(asks.value("Object.keys(localStorage)"), json!([]));
    until("what is measured", SOON, || (named(&shop, "Asked") == 1).then_some(()));
    tab_on(&chromium, &shop, &pages.url("/a"));
    until("both page views", SOON, || (page_views(&shop) == 2).then_some(()));
    let told: Value = shop.ask("/api/v1/outcomes").json();
    assert_eq!(told["privacy_signals"], json!({ "gpc": 1, "dnt": 0 }));
    assert_eq!(shop.ask("/api/v1/profiles?user_id=u1").status, 404);
}
