//! The tracker on a site's own hosts in headless Chromium: names of the site's own, the identity cookie, and links from one
//! of its domains to the next.
//!
//! Hosts below `localhost` are this machine, and to a browser each is as different from the next as real ones are.

use tests::browser::{Chromium, Tab};
use tests::pages::{Page, Pages};
use tests::{Database, SOON, Server, Shop, Web, shop, until};

/// A shop on two domains, and the server of its pages, which has the tracker in a folder of its own.
fn shop() -> (Shop, Pages) {
    let database = Database::fresh();
    let domains = ["--domain", "shop.localhost", "--domain", "blog.localhost", "--consent", "full"];
    let keys = shop::add_site(&database, "shop", &domains);
    let server = Server::start(&database, &[]);
    let shop = Shop { web: Web::new(&server.origin()), server, keys, database };
    let body = "<a id=\"over\" href=\"/a\">over</a>";
    let pages = [("/a", "data-consent=\"full\""), ("/b", "data-consent=\"full\""), ("/measured", "")];
    let pages = pages.map(|(path, consent)| Page::html(path, &own_tag(&shop, consent), body));
    let port = shop.server.address().port();
    let tag = tag(&shop, &format!("http://stats.shop.localhost:{port}/t.js"), "data-consent=\"full\" data-cookie");
    let elsewhere = Page::html("/elsewhere", &tag, "");
    let pages = pages.into_iter().chain([elsewhere]).collect();
    let pages = Pages::serve_beside(pages, Some(shop.server.address()));
    (shop, pages)
}

fn tag(shop: &Shop, src: &str, more: &str) -> String {
    format!("<script async src=\"{src}\" data-site=\"{}\" {more}></script>", shop.keys.write_key)
}

/// The tag under the shop's own names.
fn own_tag(shop: &Shop, more: &str) -> String {
    tag(shop, "/s/x.js", &format!("data-endpoint=\"e\" data-domains=\"shop.localhost, blog.localhost\" {more}"))
}

/// The address of a page on a host below `localhost`.
fn at(pages: &Pages, host: &str, path: &str) -> String {
    pages.url(path).replace("127.0.0.1", &format!("{host}.localhost"))
}

/// The id of the cookie; empty where there is none.
fn cookie(tab: &Tab<'_>) -> String {
    let cookies = tab.cookies().into_iter();
    let own = cookies.filter(|(name, _)| name.starts_with("segments_id_")).map(|(_, value)| value).next();
    own.unwrap_or_default()
}

/// Waits until the browser has a cookie, and gives back its id.
#[track_caller]
fn has_cookie(tab: &Tab<'_>) -> String {
    until("the cookie", SOON, || Some(cookie(tab)).filter(|id| !id.is_empty()))
}

/// The id in the page's own storage.
#[track_caller]
fn visitor(tab: &Tab<'_>) -> String {
    tab.sees("localStorage['segments.visitor']");
    tab.value("localStorage['segments.visitor']").as_str().expect("an id").to_owned()
}

#[track_caller]
fn goes_on_as(tab: &Tab<'_>, id: &str) {
    tab.sees(&format!("localStorage['segments.visitor'] == '{id}'"));
}

fn who(id: &str) -> String {
    format!("visitor_id={}", id.parse::<uuid::Uuid>().expect("an id"))
}

/// The page views of a visitor's profile, once there are so many.
#[track_caller]
fn has_views(shop: &Shop, id: &str, wanted: u64) {
    until(&format!("{wanted} views"), SOON, || {
        let reply = shop.ask(&format!("/api/v1/profiles?{}", who(id)));
        (reply.status == 200 && reply.json()["facts"]["views"] == wanted).then_some(())
    });
}

#[test]
fn a_browser_whose_storage_is_emptied_stays_one_visitor_on_all_subdomains() {
    let (shop, pages) = shop();
    let chromium = Chromium::start();
    let tab = chromium.tab();
    tab.goes_to(&at(&pages, "www.shop", "/a"));
    let mia = visitor(&tab);
    assert_eq!(has_cookie(&tab), mia);
    assert_eq!(tab.value("document.cookie"), "", "no script reads it");
    tab.value("localStorage.clear()");
    tab.goes_to(&at(&pages, "www.shop", "/b"));
    goes_on_as(&tab, &mia);
    // Another subdomain has never seen this browser.
    tab.goes_to(&at(&pages, "help.shop", "/a"));
    goes_on_as(&tab, &mia);
    // A collector on a subdomain of its own: another origin, and the same cookie.
    tab.value("localStorage.clear()");
    tab.goes_to(&at(&pages, "help.shop", "/elsewhere"));
    goes_on_as(&tab, &mia);
    tab.sees("window.segments");
    let engine = tab.value("new Promise((told) => segments.ready(told)).then((status) => status.engine)");
    assert_eq!(engine, "wasm");
    // What is done from now on is the cookie's visitor's own.
    tab.value("segments.track('Under the first id')");
    tab.leaves();
    has_views(&shop, &mia, 4);
    until("what was done last", SOON, || {
        let own = "SELECT count(*) FROM events e JOIN terms t ON (t.site_id, t.term_id) = (e.site_id, e.name_id)
                   JOIN identities i ON (i.site_id, i.identity_id) = (e.site_id, e.identity_id)";
        let wanted = format!("{own} WHERE t.value = 'Under the first id' AND replace(i.value, '-', '') = '{mia}'");
        (shop.database.number(&wanted) == 1).then_some(())
    });
    assert_eq!(shop.database.number("SELECT count(DISTINCT profile_id) FROM identities WHERE kind = 1"), 1);
    assert!(shop.database.number("SELECT count(*) FROM identities WHERE kind = 1") > 1);
    assert_eq!(tab.console(), Vec::<String>::new(), "the page's console");
    shop.is_the_same_rebuilt();
}

#[test]
fn a_visitor_of_a_page_that_first_measures_is_known_again_once_there_is_consent() {
    let (shop, pages) = shop();
    let chromium = Chromium::start();
    let tab = chromium.tab();
    tab.goes_to(&at(&pages, "www.shop", "/measured")).sees("window.segments");
    until("the measured view", SOON, || (shop.stored() >= 1).then_some(()));
    assert_eq!((cookie(&tab), tab.value("localStorage.length")), (String::new(), 0.into()), "measuring keeps nothing");
    tab.value("segments.consent('full')");
    let mia = visitor(&tab);
    assert_eq!(has_cookie(&tab), mia);
    tab.value("localStorage.clear()");
    // As consent managers do: the page begins without, and soon after it is told what was agreed before.
    tab.goes_to(&at(&pages, "www.shop", "/measured")).sees("window.segments");
    tab.value("new Promise((told) => segments.ready(told))");
    tab.value("segments.consent('full')");
    goes_on_as(&tab, &mia);
    assert_eq!(cookie(&tab), mia);
    assert_eq!(tab.console(), Vec::<String>::new(), "the page's console");
}

#[test]
fn whoever_resets_or_takes_consent_back_is_not_known_again() {
    let (shop, pages) = shop();
    let chromium = Chromium::start();
    let tab = chromium.tab();
    let page = at(&pages, "www.shop", "/a");
    tab.goes_to(&page).sees("window.segments");
    let mia = visitor(&tab);
    assert_eq!(has_cookie(&tab), mia);
    tab.value("segments.reset()");
    let max = visitor(&tab);
    assert_ne!(max, mia);
    tab.value("segments.track('As somebody else')");
    until("the next visitor's cookie", SOON, || (cookie(&tab) == max).then_some(()));
    tab.value("localStorage.clear()");
    tab.goes_to(&page);
    goes_on_as(&tab, &max);

    tab.value("segments.consent('off')");
    until("the end of the cookie", SOON, || cookie(&tab).is_empty().then_some(()));
    assert_eq!(tab.value("localStorage.length"), 0);
    tab.goes_to(&page);
    let eve = visitor(&tab);
    assert_eq!(has_cookie(&tab), eve);
    tab.leaves();
    has_views(&shop, &eve, 1);
    for (one, other) in [(&mia, &max), (&max, &eve), (&mia, &eve)] {
        assert_ne!(shop.profile_id(&who(one)), shop.profile_id(&who(other)));
    }
    assert_eq!(tab.console(), Vec::<String>::new(), "the page's console");
}

#[test]
fn a_link_to_another_domain_of_the_owner_takes_the_visitor_along_and_is_not_seen_afterwards() {
    let (shop, pages) = shop();
    let chromium = Chromium::start();
    let tab = chromium.tab();
    tab.goes_to(&at(&pages, "www.shop", "/a")).sees("window.segments");
    let mia = visitor(&tab);
    tab.value("new Promise((told) => segments.ready(told))");
    let over = format!("{}?colour=red#part", at(&pages, "blog", "/b"));
    tab.value(&format!("document.getElementById('over').href = '{over}'"));
    // The page finds its link as it was.
    tab.value(
        "addEventListener('pagehide', () => (window.name = document.getElementById('over').getAttribute('href')))",
    );
    tab.clicks("#over").sees("location.hostname == 'blog.localhost' && window.segments");
    assert_eq!(visitor(&tab), mia);
    assert_eq!(tab.value("location.href"), over, "the address is the link's own");
    tab.leaves();
    has_views(&shop, &mia, 2);
    assert_eq!(shop.database.number("SELECT count(*) FROM terms WHERE value LIKE '%segments_v%'"), 0);
    assert_eq!(tab.console(), Vec::<String>::new(), "the page's console");
}

#[test]
fn a_link_that_is_old_broken_or_a_strangers_names_nobody() {
    let (_shop, pages) = shop();
    let chromium = Chromium::start();
    let id = "0193b0c42f007abc8def0123456789ab";
    let now = |tab: &Tab<'_>, ago_ms: i64| {
        let time = tab.value(&format!("(Date.now() - {ago_ms}).toString(36)"));
        time.as_str().expect("a time").to_owned()
    };
    let tab = chromium.tab();
    // From a page of the owner's, as a click would, but with another value; `from` is where the click is.
    let lands = |from: &str, value: &str| {
        let link = format!("{}?segments_v={value}&x=1", at(&pages, "blog", "/b"));
        tab.goes_to(&at(&pages, "blog", "/b")).sees("window.segments");
        has_cookie(&tab);
        tab.value("segments.consent('off')");
        until("the end of the cookie", SOON, || cookie(&tab).is_empty().then_some(()));
        tab.goes_to(from).value(&format!("location.href = '{link}'; 1"));
        tab.sees("location.hostname == 'blog.localhost' && location.search == '?x=1' && window.segments");
        visitor(&tab) == id
    };
    let own = at(&pages, "www.shop", "/a");
    tab.goes_to(&own);
    assert!(lands(&own, &format!("{id}.{}", now(&tab, 0))), "the test's own link is good");
    for (why, value) in [
        ("old", format!("{id}.{}", now(&tab, 130_000))),
        ("from the future", format!("{id}.{}", now(&tab, -130_000))),
        ("broken", format!("{}.{}", &id[1..], now(&tab, 0))),
        ("without a time", id.to_owned()),
    ] {
        assert!(!lands(&own, &value), "{why}");
    }
    let stranger = at(&pages, "stranger", "/a");
    assert!(!lands(&stranger, &format!("{id}.{}", now(&tab, 0))), "anybody can write a link");
}
