//! Who may be told of: waiting for a decision, consent managers, the visitor's own way out, privacy signals. Pages of
//! another origin in headless Chromium, which write down everything that is posted.

use serde_json::{Value, json};
use std::collections::HashSet;
use tests::browser::{Chromium, Tab};
use tests::pages::{Page, Pages};
use tests::tag::{engine, says_nothing, shop_elsewhere, tag};
use tests::{SOON, Shop, until};
use wire::{Batch, Body, Id, Who};

/// Writes down what is posted, by which page, over the pages of a tab.
const RECORDER: &str = r"<script>{
    const keep = (body) => {
        const bytes = typeof body == 'string' ? new TextEncoder().encode(body) : new Uint8Array(body);
        const log = JSON.parse(window.name || '[]');
        log.push([location.pathname, Array.from(bytes)]);
        window.name = JSON.stringify(log);
    };
    const { fetch, Blob } = window;
    window.fetch = function (to, options) {
        if (options?.method == 'POST') keep(options.body);
        return fetch.apply(this, arguments);
    };
    window.Blob = class extends Blob {
        constructor(parts, options) {
            super(parts, options);
            [this.only] = parts;
        }
    };
    const { sendBeacon } = navigator;
    navigator.sendBeacon = function (to, body) {
        keep(body.only);
        return sendBeacon.apply(this, arguments);
    };
}</script>";

/// A consent manager of IAB TCF, as its stub and its script together behave.
const TCF: &str = r"<script>{
    const listeners = [];
    let answer = { gdprApplies: true, eventStatus: 'cmpuishown', purpose: { consents: {} } };
    window.__tcfapi = (command, version, callback) => {
        if (command != 'addEventListener' || version != 2) return callback(null, false);
        listeners.push(callback);
        callback({ ...answer, listenerId: listeners.length }, true);
    };
    window.decides = (next) => {
        answer = { ...answer, ...next };
        listeners.forEach((callback, n) => callback({ ...answer, listenerId: n + 1 }, true));
    };
    window.grants = (...purposes) =>
        decides({ eventStatus: 'useractioncomplete', purpose: { consents: Object.fromEntries(purposes.map((p) => [p, true])) } });
}</script>";

/// Google's snippet, with a default for consent.
const GTAG: &str = "<script>window.dataLayer = window.dataLayer || []; function gtag() { dataLayer.push(arguments); }
    gtag('js', new Date()); gtag('consent', 'default', { ad_storage: 'denied', analytics_storage: 'DEFAULT' });</script>";

const NOTHING: &str =
    "(async () => ({ local: Object.keys(localStorage), session: Object.keys(sessionStorage), cookies: document.cookie,
        databases: (await indexedDB.databases()).length, caches: (await caches.keys()).length }))()";

fn nothing_is_kept(tab: &Tab<'_>) -> bool {
    tab.value(NOTHING) == json!({ "local": [], "session": [], "cookies": "", "databases": 0, "caches": 0 })
}

/// One batch as it was posted.
struct Posted {
    page: String,
    who: Who,
    gpc: bool,
    ids: Vec<Id>,
    kinds: Vec<&'static str>,
}

/// Everything that the pages of this tab have posted so far.
#[track_caller]
fn posted(tab: &Tab<'_>) -> Vec<Posted> {
    let log: Vec<(String, Vec<u8>)> =
        serde_json::from_value(tab.value("JSON.parse(window.name || '[]')")).expect("a log");
    let read = |(page, bytes): &(String, Vec<u8>)| {
        let batch: Batch<'_> = wire::decode(bytes).expect("a batch");
        let events: Vec<_> = batch.records.iter().map(|record| record.as_ref().expect("a record")).collect();
        let mut ids: Vec<Id> = events.iter().flat_map(|event| [Some(event.id), event.view]).flatten().collect();
        let (Who::Visitor(id) | Who::Load(id)) = batch.who;
        ids.push(id);
        Posted {
            page: page.clone(),
            who: batch.who,
            gpc: batch.signals.gpc,
            ids,
            kinds: events.iter().map(|event| kind(&event.body)).collect(),
        }
    };
    log.iter().map(read).collect()
}

fn kind(body: &Body<'_>) -> &'static str {
    match body {
        Body::Page { .. } => "page",
        Body::Snapshot { .. } => "snapshot",
        Body::Track { .. } => "track",
        Body::Identify { .. } => "identify",
        Body::Group { .. } => "group",
        Body::Alias { .. } => "alias",
    }
}

fn is_visitor(who: Who) -> bool {
    match who {
        Who::Visitor(_) => true,
        Who::Load(_) => false,
    }
}

/// A shop elsewhere, its pages with a head each, and a browser.
struct Stage {
    shop: Shop,
    pages: Pages,
    chromium: Chromium,
}

impl Stage {
    /// `pages` are paths, what stands before the tag, and the tag's attributes.
    fn set(pages: &[(&str, &str, &str)]) -> Stage {
        let shop = shop_elsewhere("measure");
        let body =
            "<p>Read me</p><a href=\"#segments-opt-out\" data-segments-opt-out=\"Count me again\">Do not count me</a>
                    <button type=\"button\" data-segments-opt-out>Not me</button>";
        let page = |&(path, head, more): &(&str, &str, &str)| {
            Page::html(path, &format!("{RECORDER}{head}{}", tag(&shop, more)), body)
        };
        let pages = Pages::serve(pages.iter().map(page).collect());
        Stage { chromium: Chromium::start(), pages, shop }
    }

    fn tab(&self, path: &str) -> Tab<'_> {
        let tab = self.chromium.tab();
        tab.goes_to(&self.pages.url(path)).sees("window.segments && segments.ready");
        tab
    }

    /// How many events of a name there are, or of a kind where the name is empty.
    fn named(&self, name: &str) -> i64 {
        self.shop.database.number(&format!(
            "SELECT count(*) FROM events e JOIN terms t ON t.term_id = e.name_id WHERE t.value = '{name}'"
        ))
    }

    fn views(&self) -> i64 {
        self.shop.database.number("SELECT count(*) FROM events WHERE kind = 1")
    }

    #[track_caller]
    fn arrives(&self, name: &str) {
        until(name, SOON, || (self.named(name) == 1).then_some(()));
    }
}

/// What a page that waits has seen before anybody decides.
fn does_something(tab: &Tab<'_>) {
    tab.value("segments.track('Held', { n: 1 }); segments.identify('u1', { plan: 'pro' })");
    tab.clicks("p");
    tab.sees("document.querySelector('script[src*=\"/capture.\"]')");
    assert_eq!(posted(tab).len(), 0, "nothing is sent");
    assert!(nothing_is_kept(tab), "nothing is kept");
}

#[test]
fn a_page_that_waits_sends_what_it_held_once_visitors_agree() {
    let stage = Stage::set(&[("/a", "", "data-consent=\"wait\"")]);
    let tab = stage.tab("/a");
    does_something(&tab);
    tab.value("segments.consent('full')");
    tab.sees("localStorage['segments.visitor']");
    tab.value("segments.track('Later')");
    tab.sees("document.querySelector('script[src*=\"/capture.\"]')");
    stage.arrives("Later");
    tab.value("history.pushState({}, '', '/a/inside')");
    until("the next view", SOON, || (stage.views() == 2).then_some(()));
    assert_eq!(stage.named("Held"), 1);
    let sent = posted(&tab);
    assert!(sent.iter().all(|batch| is_visitor(batch.who)), "all under the visitor's id");
    let pages = sent.iter().flat_map(|batch| &batch.kinds).filter(|kind| **kind == "page").count();
    assert_eq!(pages, 2, "the page that was held counts once, and the one within it");
    stage.shop.is_projected();
    assert_eq!(stage.shop.profile("user_id=u1")["facts"]["views"], 2);
    // The core goes on from there.
    until("the core", SOON, || {
        let status = tab.value("new Promise((told) => segments.ready(told))");
        (status["engine"] == "wasm").then_some(())
    });
    tab.value("segments.track('By the core')");
    stage.arrives("By the core");
    assert_eq!(stage.shop.outcomes().rejected.len(), 0, "{:?}", stage.shop.outcomes());
    says_nothing(&tab);
}

#[test]
fn a_page_that_waits_sends_nothing_of_who_somebody_is_where_they_are_measured() {
    let stage = Stage::set(&[("/a", "", "data-consent=\"wait\"")]);
    let tab = stage.tab("/a");
    does_something(&tab);
    tab.value("segments.consent('measure')");
    stage.arrives("Held");
    let sent = posted(&tab);
    assert!(sent.iter().all(|batch| !is_visitor(batch.who) && !batch.kinds.contains(&"identify")));
    assert!(nothing_is_kept(&tab));
    stage.shop.is_projected();
    assert_eq!((stage.views(), stage.shop.database.number("SELECT count(*) FROM profiles")), (1, 0));
    says_nothing(&tab);
}

#[test]
fn a_page_that_waits_forgets_what_it_held_when_visitors_refuse_or_leave() {
    let stage = Stage::set(&[("/a", "", "data-consent=\"wait\""), ("/end", "", "")]);
    let tab = stage.tab("/a");
    does_something(&tab);
    tab.value("segments.consent('off')");
    tab.clicks("p");
    tab.goes_to(&stage.pages.url("/a")).sees("window.segments && segments.ready");
    does_something(&tab);
    // Undecided.
    tab.goes_to(&stage.pages.url("/end"));
    engine(&tab);
    tab.value("segments.track('End')");
    stage.arrives("End");
    let sent = posted(&tab);
    assert!(!sent.is_empty() && sent.iter().all(|batch| batch.page == "/end"), "neither of them has sent anything");
    assert!(nothing_is_kept(&tab));
    assert_eq!((stage.views(), stage.named("Held")), (1, 0));
    says_nothing(&tab);
}

#[test]
fn a_refusal_that_is_taken_back_counts_the_page_from_then_on() {
    let stage = Stage::set(&[("/a", "", "data-consent=\"wait\"")]);
    let tab = stage.tab("/a");
    does_something(&tab);
    tab.value("segments.consent('off'); segments.consent('full'); segments.track('After')");
    stage.arrives("After");
    assert_eq!((stage.views(), stage.named("Held")), (1, 0));
    says_nothing(&tab);
}

#[test]
fn iab_tcf_decides_for_tags_that_name_it() {
    let waits = "data-consent=\"wait\" data-consent-from=\"tcf\"";
    let stage = Stage::set(&[("/a", TCF, waits), ("/off", TCF, &format!("{waits} data-refused=\"off\""))]);
    let tab = stage.tab("/a");
    does_something(&tab);
    tab.value("grants(1, 5, 8)");
    tab.sees("localStorage['segments.visitor']");
    stage.arrives("Held");
    // Taken back.
    tab.value("grants(8)");
    tab.sees("!localStorage['segments.visitor']");
    assert!(nothing_is_kept(&tab));
    tab.closes();

    let refuses = stage.tab("/a");
    does_something(&refuses);
    refuses.value("grants(2, 8)");
    until("what was held", SOON, || (stage.named("Held") == 2).then_some(()));
    assert!(posted(&refuses).iter().all(|batch| !is_visitor(batch.who)));
    assert!(nothing_is_kept(&refuses));
    refuses.closes();

    let free = stage.tab("/a");
    free.value("decides({ gdprApplies: false })");
    free.sees("localStorage['segments.visitor']");
    free.value("segments.consent('measure')");
    free.closes();

    let off = stage.tab("/off");
    does_something(&off);
    off.sees("document.querySelector('script[src*=\"/consent.\"]')");
    off.value("grants()");
    off.value("segments.track('Refused')");
    off.value("grants(1, 5, 8)");
    off.sees("localStorage['segments.visitor']");
    off.value("segments.track('Agreed')");
    stage.arrives("Agreed");
    assert_eq!((stage.named("Refused"), stage.named("Held")), (0, 2), "a refusal forgets");
    says_nothing(&off);
}

#[test]
fn a_consent_manager_that_comes_late_is_found() {
    let stage = Stage::set(&[("/a", "", "data-consent=\"wait\" data-consent-from=\"tcf gtag\"")]);
    let tab = stage.tab("/a");
    does_something(&tab);
    tab.sees("document.querySelector('script[src*=\"/consent.\"]')");
    tab.value("window.__tcfapi = (command, version, tell) => tell({ gdprApplies: true, eventStatus: 'tcloaded', purpose: { consents: { 1: true, 5: true, 8: true } } }, true)");
    tab.sees("localStorage['segments.visitor']");
    stage.arrives("Held");
    // One that says less is believed too.
    tab.value("window.dataLayer = [['consent', 'update', { analytics_storage: 'denied' }]]");
    tab.sees("!localStorage['segments.visitor']");
    says_nothing(&tab);
}

#[test]
fn googles_consent_mode_decides_for_tags_that_name_it() {
    let waits = "data-consent=\"wait\" data-consent-from=\"gtag\"";
    let (denied, granted) = (GTAG.replace("DEFAULT", "denied"), GTAG.replace("DEFAULT", "granted"));
    let stage = Stage::set(&[("/denied", &denied, waits), ("/granted", &granted, waits)]);
    let tab = stage.tab("/denied");
    does_something(&tab);
    tab.sees("dataLayer.push != Array.prototype.push");
    // Another tool puts its own function there, and what the page pushes is in the layer as before.
    tab.value("{ const { push } = dataLayer; dataLayer.push = (...entries) => push.apply(dataLayer, entries) }");
    assert_eq!(tab.value("dataLayer.push({ event: 'x' })"), 3);
    assert_eq!(posted(&tab).len(), 0, "a refusal by default is nobody's decision");
    tab.value("gtag('consent', 'update', { analytics_storage: 'granted' })");
    tab.sees("localStorage['segments.visitor']");
    stage.arrives("Held");
    tab.value("gtag('consent', 'update', { analytics_storage: 'denied' })");
    tab.sees("!localStorage['segments.visitor']");
    says_nothing(&tab);
    tab.closes();

    let free = stage.tab("/granted");
    free.sees("localStorage['segments.visitor']");
    says_nothing(&free);
}

#[test]
fn a_consent_manager_that_the_tag_does_not_name_raises_nothing() {
    let granted = format!("{TCF}<script>grants(1, 5, 8)</script>{}", GTAG.replace("DEFAULT", "granted"));
    let stage = Stage::set(&[("/a", &granted, ""), ("/wait", &granted, "data-consent=\"wait\"")]);
    let tab = stage.tab("/a");
    engine(&tab);
    tab.value("grants(1, 5, 8); gtag('consent', 'update', { analytics_storage: 'granted' }); segments.track('Seen')");
    stage.arrives("Seen");
    assert!(posted(&tab).iter().all(|batch| !is_visitor(batch.who)));
    assert!(nothing_is_kept(&tab));
    assert_eq!(tab.value("Boolean(document.querySelector('script[src*=\"/consent.\"]'))"), false);
    tab.closes();
    let waits = stage.tab("/wait");
    does_something(&waits);
    says_nothing(&waits);
}

#[test]
fn visitors_leave_the_count_by_their_own_click_and_come_back_by_it() {
    let stage = Stage::set(&[("/a", "", "data-consent=\"full\""), ("/b", "", "data-consent=\"full\"")]);
    let tab = stage.tab("/a");
    assert_eq!(engine(&tab), "wasm");
    tab.sees("localStorage['segments.visitor']");
    tab.sees("document.querySelector('button').ariaPressed == 'false'");
    tab.clicks("a");
    assert_eq!(tab.value("({ ...localStorage })"), json!({ "segments.off": "1" }), "a mark without an id, and no more");
    assert_eq!(tab.value("location.hash"), "", "the link leads nowhere");
    assert_eq!(tab.value("document.querySelector('a').textContent"), "Count me again");
    assert_eq!(tab.value("document.querySelector('button').ariaPressed"), "true");
    tab.value("segments.track('Out'); segments.consent('full'); segments.track('Still out')");
    let before = posted(&tab).len();
    // On the next page, too, before anything else.
    tab.goes_to(&stage.pages.url("/b")).sees("document.querySelector('a').textContent == 'Count me again'");
    tab.value("segments.track('Out'); segments.consent('full'); segments.track('Out')");
    tab.clicks("p");
    assert_eq!(tab.value("segments.optOut()"), true);
    assert!(posted(&tab)[before..].iter().all(|batch| batch.page == "/a"), "the second page has sent nothing");
    assert_eq!(tab.value("({ ...localStorage })"), json!({ "segments.off": "1" }));
    tab.clicks("button");
    tab.sees("localStorage['segments.visitor'] && !localStorage['segments.off']");
    assert_eq!(tab.value("document.querySelector('a').textContent"), "Do not count me");
    tab.value("segments.track('Back')");
    stage.arrives("Back");
    assert_eq!((stage.named("Out"), stage.named("Still out")), (0, 0));
    says_nothing(&tab);
}

#[test]
fn who_leaves_in_one_tab_has_left_in_the_others() {
    let stage = Stage::set(&[("/a", "", "data-consent=\"full\"")]);
    let (one, other) = (stage.tab("/a"), stage.tab("/a"));
    for tab in [&one, &other] {
        engine(tab);
        tab.sees("document.querySelector('button').ariaPressed == 'false'");
    }
    // A tab in the background takes no mouse.
    one.value("document.querySelector('button').click()");
    other.sees("document.querySelector('button').ariaPressed == 'true'");
    other.value("segments.track('Out')");
    other.leaves();
    one.value("document.querySelector('button').click()");
    one.sees("localStorage['segments.visitor']");
    one.value("segments.track('Back')");
    stage.arrives("Back");
    assert_eq!(stage.named("Out"), 0);
}

#[test]
fn global_privacy_control_caps_whatever_is_said_and_is_counted() {
    let asks = "<script>Object.defineProperty(navigator, 'globalPrivacyControl', { value: true })</script>";
    let managed = format!("{asks}{TCF}<script>grants(1, 5, 8)</script>{}", GTAG.replace("DEFAULT", "granted"));
    let stage = Stage::set(&[
        ("/full", asks, "data-consent=\"full\""),
        ("/wait", asks, "data-consent=\"wait\""),
        ("/managed", &managed, "data-consent=\"wait\" data-consent-from=\"tcf gtag\""),
    ]);
    let tab = stage.tab("/full");
    engine(&tab);
    tab.value("segments.consent('full'); segments.identify('u1'); segments.track('One')");
    stage.arrives("One");
    assert!(nothing_is_kept(&tab));
    tab.goes_to(&stage.pages.url("/wait")).sees("window.segments && segments.ready");
    let before = posted(&tab).len();
    does_nothing_more(&tab, before);
    tab.value("segments.consent('full'); segments.track('Two')");
    stage.arrives("Two");
    assert!(nothing_is_kept(&tab));
    tab.goes_to(&stage.pages.url("/managed"));
    tab.sees("JSON.parse(window.name).some(([page]) => page == '/managed')");
    assert!(nothing_is_kept(&tab));
    assert!(posted(&tab).iter().all(|batch| !is_visitor(batch.who) && batch.gpc && !batch.kinds.contains(&"identify")));
    until("three page views", SOON, || (stage.views() == 3).then_some(()));
    stage.shop.is_projected();
    assert_eq!(stage.shop.database.number("SELECT count(*) FROM profiles"), 0);
    let counted: Value = stage.shop.ask("/api/v1/outcomes").json()["privacy_signals"].clone();
    assert_eq!(counted, json!({ "gpc": 3, "dnt": 0 }));
    says_nothing(&tab);
}

/// A page that waits sends nothing, whatever the browser asks for.
fn does_nothing_more(tab: &Tab<'_>, before: usize) {
    tab.value("segments.track('Held')");
    tab.clicks("p").sees("document.querySelector('script[src*=\"/capture.\"]')");
    assert_eq!(posted(tab).len(), before, "nothing is sent before somebody decides");
}

#[test]
fn no_id_that_is_sent_in_measure_mode_outlives_its_page() {
    let stage = Stage::set(&[("/a", "", ""), ("/b", "", "data-wasm=\"off\""), ("/c", "", "")]);
    let tab = stage.tab("/a");
    let mut seen: HashSet<Id> = HashSet::new();
    for path in ["/a", "/b", "/c"] {
        tab.goes_to(&stage.pages.url(path));
        engine(&tab);
        tab.value("segments.identify('u1', { plan: 'pro' }); segments.track('Seen')");
        tab.clicks("p");
        // As when another tab is chosen, so that the page is summed up while its posts are still written down.
        tab.value(
            "Object.defineProperty(document, 'hidden', { value: true, configurable: true });
             document.dispatchEvent(new Event('visibilitychange')); delete document.hidden",
        );
        assert!(nothing_is_kept(&tab), "{path}");
    }
    tab.goes_to(&stage.pages.url("/a"));
    engine(&tab);
    let sent = posted(&tab);
    assert!(sent.iter().all(|batch| !is_visitor(batch.who)));
    let kinds: HashSet<&str> = sent.iter().flat_map(|batch| batch.kinds.iter().copied()).collect();
    assert_eq!(kinds, HashSet::from(["page", "snapshot", "track"]), "a page, a summary, an event; nobody's name");
    // Each load of a page, in the order in which they came; ids within one of them may come again.
    let mut loads: Vec<(Id, HashSet<Id>)> = Vec::new();
    for batch in &sent {
        let (Who::Visitor(load) | Who::Load(load)) = batch.who;
        match loads.iter_mut().find(|(known, _)| *known == load) {
            Some((_, ids)) => ids.extend(&batch.ids),
            None => loads.push((load, batch.ids.iter().copied().collect())),
        }
    }
    assert_eq!(loads.len(), 5, "one id for each load of a page");
    for (_, ids) in &loads {
        assert!(ids.is_disjoint(&seen), "an id of one page load is met again on another");
        seen.extend(ids);
    }
    says_nothing(&tab);
}
