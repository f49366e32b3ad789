//! The tracker's debugger, in headless Chromium on pages of other origins under a policy that allows the tracker and nothing
//! else.

use serde_json::{Value, json};
use tests::browser::{Chromium, Tab};
use tests::pages::{Page, Pages};
use tests::tag::{engine, says_nothing, shop_elsewhere, tag};
use tests::web::Owner;
use tests::{SOON, Shop, shop, speech, until};
use wire::Who;

/// Keeps the debugger's closed root where a test can look into it.
const LOOK_INSIDE: &str = "
    const attach = Element.prototype.attachShadow;
    Element.prototype.attachShadow = function (options) {
        const root = attach.call(this, options);
        if (this.localName == 'segments-debugger') Object.assign(window, { inside: root, mode: options.mode });
        return root;
    };
    window.row = (name) => [...inside.querySelectorAll('li')].find((li) => li.querySelector('b').textContent == name);
    window.fact = (name) => [...inside.querySelectorAll('dt')].find((dt) => dt.textContent == name).nextSibling.textContent;
    window.press = (name) => [...inside.querySelectorAll('button')].find((b) => (b.ariaLabel || b.textContent) == name).click();";

/// A page under the policy that the README names, with this tag on it.
fn strict(shop: &Shop, path: &str, attributes: &str, body: &str) -> Page {
    let origin = shop.web.origin();
    let policy = format!("default-src 'none'; script-src {origin} 'wasm-unsafe-eval'; connect-src {origin}");
    Page::html(path, &tag(shop, attributes), body).with("content-security-policy", &policy)
}

/// The debugger's parameter, as the set-up page shows it.
fn parameter(shop: &Shop) -> String {
    shop::add_user(&shop.database, "owner@shop.example", "a long enough password");
    let owner = Owner::logs_in(&shop.server, "owner@shop.example", "a long enough password");
    let page = owner.reads(&format!("/s/{}/setup", shop.keys.site_id));
    let start = page.find("http://127.0.0.1/?segments_debug=").expect("a link to the site's own domain");
    page[start..].split(['?', '"']).nth(1).expect("a parameter").to_owned()
}

fn opens<'a>(chromium: &'a Chromium, url: &str) -> Tab<'a> {
    let tab = chromium.tab();
    tab.before_pages(LOOK_INSIDE).goes_to(url);
    tab.sees("window.inside && fact('Engine') != 'starting'");
    tab
}

#[test]
fn who_asks_with_the_key_of_the_day_is_told_of_each_event() {
    let shop = shop_elsewhere("full");
    let key = parameter(&shop).split('=').nth(1).unwrap_or_default().to_owned();
    let bad = speech::track(speech::now_ms(), "Order Completed", json!({ "order_id": "X1", "total": "much" }));
    let events = [speech::page(speech::now_ms(), "http://127.0.0.1/"), bad];
    let batch = speech::batch(&shop.keys.write_key, Who::Visitor(speech::visitor_id("mia")), &events);
    let ids = events.map(|event| speech::written(event.id));
    let told = |query: &str| shop.web.post(&format!("/v1/events{query}"), &batch).json();
    let outcomes = |answer: &Value| -> Vec<Value> {
        let details = answer["details"].as_array().expect("details");
        details.iter().map(|detail| json!([detail["id"], detail["outcome"], detail["reason"]])).collect()
    };

    let first = told(&format!("?debug={key}"));
    assert_eq!(outcomes(&first), [json!([ids[0], "stored", null]), json!([ids[1], "rejected", "bad_order"])]);
    assert_eq!((&first["stored"], &first["rejected"], &first["debug"]), (&json!(1), &json!(1), &json!(true)));
    assert!(first["details"][1]["detail"].as_str().is_some_and(|detail| detail.contains("total")), "{first}");
    let second = told(&format!("?debug={key}"));
    assert_eq!(outcomes(&second)[0], json!([ids[0], "duplicate", null]));

    let wrong = told("?debug=0123456789abcdef0123456789abcdef");
    assert_eq!((&wrong["debug"], &wrong["details"]), (&json!(false), &json!([])));
    assert_eq!((&wrong["duplicate"], &wrong["rejected"]), (&json!(1), &json!(1)), "it works all the same");
    let plain = told("");
    assert_eq!((&plain["debug"], &plain["details"]), (&Value::Null, &Value::Null));
    let outcomes = shop.outcomes();
    assert_eq!((outcomes.stored, outcomes.duplicate, outcomes.rejected["bad_order"]), (1, 3, 4));
}

/// What became of an event, as its row says it.
#[track_caller]
fn becomes(tab: &Tab<'_>, name: &str, state: &str) -> String {
    tab.sees(&format!("row('{name}')?.dataset.state == '{state}'"));
    tab.value(&format!("row('{name}').querySelector('.more').textContent")).as_str().unwrap_or_default().to_owned()
}

/// The tracker's own files that the page has loaded, without their hashes.
fn files(tab: &Tab<'_>) -> Vec<String> {
    let names = tab.value("performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)");
    let names = names.as_array().expect("resources").iter().filter_map(Value::as_str);
    let mut files: Vec<String> = names
        .filter(|name| name.ends_with(".js") || name.ends_with(".wasm"))
        .map(|name| name.split('.').next().unwrap_or_default().to_owned())
        .collect();
    files.sort_unstable();
    files
}

#[test]
fn nothing_of_the_debugger_is_loaded_until_somebody_asks() {
    let shop = shop_elsewhere("full");
    let pages = Pages::serve(vec![strict(&shop, "/a", "data-consent=\"full\"", "")]);
    let chromium = Chromium::start();
    let tab = chromium.tab();
    tab.before_pages(LOOK_INSIDE).goes_to(&pages.url("/a"));
    assert_eq!(engine(&tab), "wasm");
    tab.value("segments.track('Order Complete', { total: 'much' })");
    until("the event", SOON, || {
        (shop.database.number("SELECT count(*) FROM events WHERE kind = 3") == 1).then_some(())
    });
    assert_eq!(files(&tab), ["/capture", "/core", "/t"]);
    assert_eq!(tab.value("[window.inside, document.querySelector('segments-debugger')]"), json!([null, null]));
    says_nothing(&tab);
    tab.closes();

    let tab = opens(&chromium, &pages.url("/a?segments_debug"));
    assert_eq!(files(&tab), ["/capture", "/core", "/debug", "/t"]);
    assert_eq!(
        tab.value("[window.mode, document.querySelector('segments-debugger').shadowRoot]"),
        json!(["closed", null])
    );
    // The first page view was told before the debugger was there.
    until("the first page view's outcome", SOON, || {
        let state = tab.value(
            "[...inside.querySelectorAll('li')].find((li) => li.textContent.includes('Page view'))?.dataset.state",
        );
        (state == "stored").then_some(())
    });
    says_nothing(&tab);
}

#[test]
fn an_owner_follows_an_event_from_the_call_to_its_outcome_and_its_reason() {
    let shop = shop_elsewhere("full");
    let pages = Pages::serve(vec![strict(&shop, "/a", "data-consent=\"full\"", "")]);
    let chromium = Chromium::start();
    let parameter = parameter(&shop);
    let bad_order = "segments.track('Order Completed', { order_id: 'X1', total: 'much', currency: 'EUR' })";

    let tab = opens(&chromium, &pages.url(&format!("/a?{parameter}")));
    tab.value("segments.track('Lesson Finished', { n: 1 })");
    tab.value(bad_order);
    let told = becomes(&tab, "Lesson Finished", "stored");
    let steps = ["captured", "queued", "sent", "stored"].map(|step| told.find(step));
    assert!(steps.iter().all(Option::is_some) && steps.is_sorted(), "{told}");
    let told = becomes(&tab, "Order Completed", "rejected");
    assert!(told.contains("bad_order: total"), "{told}");
    assert_eq!(tab.value("fact('Details')"), "told, event by event");
    assert!(tab.value("fact('In all')").as_str().unwrap_or_default().contains("1 rejected (bad_order 1)"));
    assert_eq!(tab.value("fact('Consent')"), "full");
    tab.closes();

    let wrong = if parameter.ends_with('0') { "1" } else { "0" };
    let tab = opens(&chromium, &pages.url(&format!("/a?{}{wrong}", &parameter[..parameter.len() - 1])));
    tab.sees("fact('Details').includes('wrong or has expired')");
    tab.value(bad_order);
    let told = becomes(&tab, "Order Completed", "rejected");
    assert!(!told.contains("bad_order") && told.contains("does not tell everybody"), "{told}");
    tab.closes();

    let key = parameter.split('=').nth(1).unwrap_or_default();
    let terms = shop.database.rows("SELECT value FROM terms");
    assert!(!terms.iter().any(|term| term.to_string().contains(key)), "the key does not leave the page: {terms:?}");
    assert_eq!(shop.outcomes().rejected["bad_order"], 2);
}

#[test]
fn development_mode_says_what_is_probably_a_mistake_once() {
    let shop = shop_elsewhere("measure");
    let pages = Pages::serve(vec![strict(&shop, "/a", "data-debug", ""), strict(&shop, "/quiet", "", "")]);
    let calls = "for (let n = 0; n < 2; n++) {
        segments.track('Order Complete', {});
        segments.track('Order Completed', { order_id: 'X' + n, total: true });
        segments.track('Product Viewed', { price: 5, currency: 'EUR' });
        segments.identify('u1');
    }";
    let chromium = Chromium::start();
    let tab = opens(&chromium, &pages.url("/a"));
    assert_eq!(
        tab.value("inside.querySelector('.fold').getAttribute('aria-expanded')"),
        "false",
        "it does not cover the page"
    );
    tab.value(calls);
    let told = becomes(&tab, "identify u1", "dropped");
    assert!(told.contains("consent is measure"), "{told}");
    until("the warnings", SOON, || (tab.console().len() >= 5).then_some(()));
    let console = tab.console();
    for text in [
        "did you mean `Order Completed`?",
        "`total` of `Order Completed` is true, a number is wanted",
        "`Order Completed` has `total` without `currency`",
        "`Product Viewed` has no `product_id`",
        "`identify` is dropped: consent is measure",
    ] {
        assert_eq!(console.iter().filter(|line| line.contains(text)).count(), 1, "{text}: {console:#?}");
    }
    assert_eq!(console.len(), 5, "{console:#?}");
    tab.closes();

    let tab = chromium.tab();
    tab.goes_to(&pages.url("/quiet"));
    engine(&tab);
    tab.value(calls);
    tab.leaves();
    says_nothing(&tab);
}

#[test]
fn the_panel_is_no_part_of_the_page_and_works_with_keys_and_on_a_phone() {
    let shop = shop_elsewhere("full");
    let pages = Pages::serve(vec![strict(&shop, "/a", "data-consent=\"full\"", "")]);
    let chromium = Chromium::start();
    let tab = opens(&chromium, &pages.url("/a?segments_debug"));
    tab.value("segments.track('First', { n: 1 }); segments.track('Second', { n: 2 })");
    becomes(&tab, "Second", "stored");

    // Every control has a role and a name.
    let unnamed = "[...inside.querySelectorAll('button, input, summary, pre, section, ol')]
        .filter((one) => !(one.ariaLabel || one.textContent.trim())).length";
    assert_eq!(tab.value(unnamed), 0);
    assert_eq!(tab.value("inside.querySelector('[role=status]') != null"), true);
    assert_eq!(
        tab.value("document.getElementById(inside.querySelector('.fold').getAttribute('aria-controls'))"),
        Value::Null
    );
    assert_eq!(
        tab.value("inside.getElementById(inside.querySelector('.fold').getAttribute('aria-controls')) != null"),
        true
    );

    for width in [360, 400, 1360] {
        tab.is_wide(width);
        let fits = "document.documentElement.scrollWidth <= innerWidth && (({ left, right, top }) =>
            left >= 0 && right <= innerWidth && top >= 0)(inside.querySelector('section').getBoundingClientRect())
            && inside.querySelector('#body').scrollWidth <= inside.querySelector('#body').clientWidth";
        assert_eq!(tab.value(fits), true, "{width} px");
    }

    let shown =
        "[...inside.querySelectorAll('li')].filter((li) => !li.hidden).map((li) => li.querySelector('b').textContent)";
    let filter = |text: &str| {
        tab.value(&format!(
            "(() => {{ const field = inside.querySelector('input'); field.value = '{text}'; field.dispatchEvent(new Event('input')); }})()"
        ))
    };
    filter("second");
    assert_eq!(tab.value(shown), json!(["Second"]));
    filter("");

    // The page hears no keys that are typed into the panel.
    tab.value("window.heard = 0; addEventListener('keydown', () => heard++)");
    let key = "new KeyboardEvent('keydown', { key: 'Escape', bubbles: true, composed: true })";
    tab.value(&format!("inside.querySelector('input').dispatchEvent({key})"));
    assert_eq!(tab.value("[heard, inside.querySelector('.fold').getAttribute('aria-expanded')]"), json!([0, "false"]));
    tab.value("inside.querySelector('.fold').click()");
    assert_eq!(tab.value("inside.querySelector('#body').hidden"), false);

    tab.value("press('Clear')");
    tab.sees("inside.querySelectorAll('li').length == 0");
    tab.value("press('Close the debugger')");
    tab.sees("!document.querySelector('segments-debugger')");
    tab.value("segments.track('Third')");
    tab.leaves();
    let named = "SELECT count(*) FROM events e JOIN terms t ON t.term_id = e.name_id WHERE t.value";
    until("what was told after it was closed", SOON, || {
        (shop.database.number(&format!("{named} = 'Third'")) == 1).then_some(())
    });
    let clicks = "SELECT COALESCE(max(clicks), 0) FROM events WHERE kind = 2";
    assert_eq!(shop.database.number(clicks), 0, "clicks on the panel are not the visitor's");
    assert_eq!(shop.database.number(&format!("{named} LIKE 'Element%' OR t.value LIKE 'Form%'")), 0);
    says_nothing(&tab);
}
