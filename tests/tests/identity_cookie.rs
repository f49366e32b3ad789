//! The identity cookie: who is given one, what it says of who a browser is, and what a stranger makes of it.

use serde_json::json;
use tests::shop::{Keys, add_site};
use tests::speech::{self, batch, identify, now_ms, page, written};
use tests::{Reply, SOON, Shop, until};
use wire::{Event, Id, Who};

const PAGE: &str = "https://www.shop.example";
const COLLECTOR: &str = "stats.shop.example";

/// A shop behind a proxy that is trusted, as in `deploy/`.
fn shop() -> Shop {
    Shop::with(&["--trusted-proxy", "127.0.0.1"])
}

/// The cookie of a site's browsers.
fn name(keys: &Keys) -> String {
    format!("segments_id_{}", &keys.write_key["wk_".len()..][..12])
}

fn digits(id: Id) -> String {
    written(id).replace('-', "")
}

/// An id as the tracker mints it when nothing else has happened.
fn mint(at_ms: i64) -> Id {
    let mut id = speech::mint(at_ms);
    id[8] = 0x80 | (id[8] & 0x0f);
    id
}

/// An id that a reset has minted.
fn marked(mut id: Id) -> Id {
    id[8] = 0xb0 | (id[8] & 0x0f);
    id
}

fn view() -> Event<'static> {
    page(now_ms(), &format!("{PAGE}/shoes"))
}

/// A post of a page of the shop to the shop's own collector over HTTPS, with this cookie.
fn posts(shop: &Shop, who: Who, events: &[Event<'static>], cookie: Option<Id>) -> Reply {
    let cookie = cookie.map(|id| format!("theme=dark; {}={}", name(&shop.keys), digits(id)));
    let mut headers = vec![
        ("content-type", "text/plain"),
        ("origin", PAGE),
        ("x-forwarded-host", COLLECTOR),
        ("x-forwarded-proto", "https"),
    ];
    headers.extend(cookie.as_deref().map(|cookie| ("cookie", cookie)));
    shop.web.send("POST", "/v1/events", &headers, &batch(&shop.keys.write_key, who, events))
}

fn who(id: Id) -> String {
    format!("visitor_id={}", written(id))
}

/// What of an answer concerns the identity: the cookie, and the visitor that the page goes on as.
#[track_caller]
fn identity(reply: &Reply) -> (Option<String>, Option<String>) {
    assert_eq!(reply.status, 200, "{}", reply.body);
    (reply.header("set-cookie").map(ToOwned::to_owned), reply.json()["visitor"].as_str().map(ToOwned::to_owned))
}

fn given(keys: &Keys, id: Id) -> String {
    let name = name(keys);
    format!("{name}={}; Path=/; Max-Age=34214400; HttpOnly; SameSite=Lax; Secure; Domain=shop.example", digits(id))
}

fn ended(keys: &Keys) -> String {
    format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure; Domain=shop.example", name(keys))
}

#[test]
fn only_a_page_and_a_collector_of_the_site_itself_make_a_cookie() {
    let shop = shop();
    let mia = mint(now_ms());
    let body = || batch(&shop.keys.write_key, Who::Visitor(mia), &[view()]);
    let with = |headers: &[(&str, &str)]| shop.web.send("POST", "/v1/events", headers, &body());
    let own = [("origin", PAGE), ("x-forwarded-host", COLLECTOR), ("x-forwarded-proto", "https")];
    assert_eq!(identity(&with(&own)), (Some(given(&shop.keys, mia)), None));
    for (why, headers) in [
        ("another host", [own[0], ("x-forwarded-host", "collector.example"), own[2]]),
        ("a host that ends alike", [own[0], ("x-forwarded-host", "evilshop.example"), own[2]]),
        ("it could be read on its way", [own[0], own[1], ("x-forwarded-proto", "http")]),
        ("nobody says which page", [("x-other", "1"), own[1], own[2]]),
    ] {
        assert_eq!(identity(&with(&headers)), (None, None), "{why}");
    }
    let strange = with(&[("origin", "https://evil.example"), own[1], own[2]]);
    assert_eq!((strange.status, strange.header("set-cookie")), (403, None), "a page of nobody's");
    assert_eq!(strange.header("access-control-allow-credentials"), None);
    // Without a trusted proxy nothing that is forwarded counts.
    let bare = Shop::open();
    let reply = bare.web.send("POST", "/v1/events", &own, &batch(&bare.keys.write_key, Who::Visitor(mia), &[view()]));
    assert_eq!(identity(&reply), (None, None));
    // An id that is none of our tracker's is no cookie's.
    assert_eq!(identity(&posts(&shop, Who::Visitor(*b"mia^^^^^^^^^^^^^"), &[view()], None)), (None, None));
}

#[test]
fn the_sites_own_pages_read_answers_to_requests_with_cookies() {
    let shop = shop();
    let reply = posts(&shop, Who::Visitor(mint(now_ms())), &[view()], None);
    assert_eq!(reply.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
    // Also what a batch of too many events is told, so that it is not sent for ever.
    let many: Vec<_> = (0..2_501).map(|_| view()).collect();
    let cases: [(&str, &[Event<'static>], u16, Option<&str>); 2] =
        [(&shop.keys.write_key, &many[..10], 200, Some("true")), ("wk_nobody", &many[..1], 401, None)];
    for (key, events, status, allowed) in cases {
        let body = batch(key, Who::Visitor(mint(now_ms())), events);
        let reply = shop.web.send("POST", "/v1/events", &[("origin", PAGE)], &body);
        assert_eq!((reply.status, reply.header("access-control-allow-credentials")), (status, allowed));
    }
}

#[test]
fn a_browser_whose_storage_was_emptied_is_known_again() {
    let shop = shop();
    let now = now_ms();
    let (first, second) = (mint(now - 1_000), mint(now));
    let signs_in = || identify(now_ms(), "u1", json!({}));
    assert_eq!(
        identity(&posts(&shop, Who::Visitor(first), &[view(), signs_in()], None)).0,
        Some(given(&shop.keys, first))
    );
    assert_eq!(
        identity(&posts(&shop, Who::Visitor(first), &[view()], Some(first))),
        (None, None),
        "it is not prolonged"
    );
    let told = identity(&posts(&shop, Who::Visitor(second), &[view()], Some(first)));
    assert_eq!(told, (None, Some(digits(first))), "the cookie wins over the storage");
    assert_eq!(shop.profile_id(&who(second)), shop.profile_id("user_id=u1"));
    let profile = shop.profile("user_id=u1");
    assert_eq!(profile["facts"]["views"], 3);
    let links = profile["identity"]["links"].as_array().expect("links").clone();
    let joined = links.iter().find(|link| link["merged"] == "same_browser").expect("the ledger says why");
    assert_eq!((&joined["call"], &joined["source"]), (&json!("same_browser"), &json!("tracker")), "{joined}");
    shop.is_the_same_rebuilt();
    // As any other merge it can be taken back.
    let undone = shop.call("POST", &format!("/api/v1/merges/{}/undo", joined["link_id"]), &json!({}));
    assert_eq!(undone.status, 200, "{}", undone.body);
    assert_ne!(shop.profile_id(&who(second)), shop.profile_id("user_id=u1"));
    posts(&shop, Who::Visitor(second), &[view()], Some(first));
    assert_ne!(shop.profile_id(&who(second)), shop.profile_id("user_id=u1"));
    shop.is_the_same_rebuilt();
}

#[test]
fn an_event_is_stored_once_whether_or_not_its_batch_comes_with_the_cookie() {
    let shop = shop();
    let now = now_ms();
    let (kept, batch) = (mint(now - 1_000), mint(now));
    posts(&shop, Who::Visitor(kept), &[view()], None);
    let (one, other) = ([view()], [view()]);
    assert_eq!(posts(&shop, Who::Visitor(batch), &one, None).receipt(), (1, 0, 0));
    let again = posts(&shop, Who::Visitor(batch), &one, Some(kept));
    assert_eq!(again.receipt(), (0, 1, 0));
    assert_eq!(identity(&again), (None, None), "nothing that is stored says that both are one browser");
    for receipt in [(1, 0, 0), (0, 1, 0)] {
        assert_eq!(posts(&shop, Who::Visitor(batch), &other, Some(kept)).receipt(), receipt);
    }
    assert_eq!(posts(&shop, Who::Visitor(batch), &other, None).receipt(), (0, 1, 0));
    assert_eq!((shop.stored(), shop.profile_id(&who(batch))), (3, shop.profile_id(&who(kept))));
    assert_eq!(shop.profile(&who(batch))["facts"]["views"], 3);
    shop.is_the_same_rebuilt();
}

#[test]
fn a_stranger_who_names_a_known_visitor_beside_an_own_cookie_learns_and_joins_nothing() {
    let shop = shop();
    let now = now_ms();
    let (mia, stranger, thief) = (mint(now - 3_000), mint(now - 2_000), mint(now - 1_000));
    posts(&shop, Who::Visitor(mia), &[view(), identify(now, "u1", json!({ "plan": "gold" }))], None);
    posts(&shop, Who::Visitor(stranger), &[view()], None);
    posts(&shop, Who::Visitor(thief), &[view(), identify(now, "u2", json!({}))], None);
    let before = shop.profile("user_id=u1")["identities"].clone();
    for own in [stranger, thief] {
        let reply = posts(&shop, Who::Visitor(mia), &[view()], Some(own));
        assert_eq!(identity(&reply), (None, Some(digits(own))), "what it brought itself, and nothing else");
        assert!(!reply.body.contains("gold") && !reply.body.contains("u1"), "{}", reply.body);
        assert_ne!(shop.profile_id(&who(own)), shop.profile_id("user_id=u1"));
    }
    let profile = shop.profile("user_id=u1");
    assert_eq!(profile["identities"], before);
    let refused = profile["identity"]["refused"].as_array().expect("refusals").clone();
    assert!(refused.iter().any(|one| one["guard"] == "already_known"), "{refused:?}");
    // Nor the other way round, where the stranger is somebody already.
    posts(&shop, Who::Visitor(thief), &[view()], Some(mia));
    assert_ne!(shop.profile_id("user_id=u2"), shop.profile_id("user_id=u1"));
    // What is no id of ours is nobody's.
    let cookie = format!("{}=u1", name(&shop.keys));
    let headers = [
        ("origin", PAGE),
        ("x-forwarded-host", COLLECTOR),
        ("x-forwarded-proto", "https"),
        ("cookie", cookie.as_str()),
    ];
    let body = batch(&shop.keys.write_key, Who::Visitor(stranger), &[view()]);
    let reply = shop.web.send("POST", "/v1/events", &headers, &body);
    assert_eq!(identity(&reply), (Some(given(&shop.keys, stranger)), None));
    shop.is_the_same_rebuilt();
}

#[test]
fn two_sites_on_one_domain_have_a_cookie_each() {
    let shop = shop();
    let other = add_site(&shop.database, "other", &["--domain", "shop.example"]);
    let settings = format!("/v1/projects/{}/settings", other.write_key);
    until("the server to know the new site", SOON, || (shop.web.get(&settings).status == 200).then_some(()));
    let (mia, max) = (mint(now_ms() - 1_000), mint(now_ms()));
    assert_ne!(name(&shop.keys), name(&other));
    let cookie = format!("{}={}", name(&shop.keys), digits(mia));
    let headers = [
        ("origin", PAGE),
        ("x-forwarded-host", COLLECTOR),
        ("x-forwarded-proto", "https"),
        ("cookie", cookie.as_str()),
    ];
    let reply = shop.web.send("POST", "/v1/events", &headers, &batch(&other.write_key, Who::Visitor(max), &[view()]));
    assert_eq!(identity(&reply), (Some(given(&other, max)), None));
    let measured = batch(&other.write_key, Who::Load(mint(now_ms())), &[view()]);
    assert_eq!(identity(&shop.web.send("POST", "/v1/events", &headers, &measured)), (None, None));
}

#[test]
fn measuring_and_privacy_signals_end_the_cookie_and_never_make_one() {
    let shop = shop();
    let mia = mint(now_ms());
    let load = || Who::Load(mint(now_ms()));
    assert_eq!(identity(&posts(&shop, load(), &[view()], None)), (None, None));
    assert_eq!(identity(&posts(&shop, load(), &[view()], Some(mia))), (Some(ended(&shop.keys)), None));
    let nothing = posts(&shop, load(), &[], Some(mia));
    assert_eq!(
        (nothing.receipt(), identity(&nothing).0),
        ((0, 0, 0), Some(ended(&shop.keys))),
        "an empty batch says it, too"
    );
    let cookie = format!("{}={}", name(&shop.keys), digits(mia));
    let own = [("origin", PAGE), ("x-forwarded-host", COLLECTOR), ("x-forwarded-proto", "https")];
    let body = |signals: &str| {
        let (now, id) = (now_ms(), written(mia));
        format!(r#"{{"v":1,"key":"{}","sent":{now},"visitor":"{id}"{signals},"events":[]}}"#, shop.keys.write_key)
    };
    for (header, signals) in
        [(("sec-gpc", "1"), ""), (("dnt", "1"), ""), (("x", "1"), r#","gpc":true"#), (("x", "1"), r#","dnt":true"#)]
    {
        let bare = shop.web.send("POST", "/v1/events", &[&own[..], &[header]].concat(), body(signals).as_bytes());
        assert_eq!(identity(&bare), (None, None), "{header:?}{signals}");
        let headers = [&own[..], &[header, ("cookie", cookie.as_str())]].concat();
        let kept = shop.web.send("POST", "/v1/events", &headers, body(signals).as_bytes());
        assert_eq!(identity(&kept), (Some(ended(&shop.keys)), None), "{header:?}{signals}");
    }
    assert_eq!(shop.database.number("SELECT count(*) FROM identities WHERE kind = 1"), 0);
}

#[test]
fn a_reset_begins_somebody_new_on_every_subdomain() {
    let shop = shop();
    let now = now_ms();
    let (mia, max, later) = (mint(now - 3_000), marked(mint(now - 2_000)), mint(now - 1_000));
    posts(&shop, Who::Visitor(mia), &[view(), identify(now, "mia", json!({}))], None);
    let told = identity(&posts(&shop, Who::Visitor(max), &[view()], Some(mia)));
    assert_eq!(told, (Some(given(&shop.keys, max)), None), "the reset has the last word");
    // Another subdomain still knows the one who has gone.
    assert_eq!(identity(&posts(&shop, Who::Visitor(mia), &[view()], Some(max))), (None, Some(digits(max))));
    // And a third one meets the browser for the first time.
    assert_eq!(identity(&posts(&shop, Who::Visitor(later), &[view()], Some(max))), (None, Some(digits(max))));
    assert_ne!(shop.profile_id(&who(max)), shop.profile_id("user_id=mia"));
    assert_eq!(shop.profile_id(&who(later)), shop.profile_id(&who(max)));
    shop.is_the_same_rebuilt();
}
