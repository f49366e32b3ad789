//! What is found out about events at intake, and what becomes of bots.

use serde_json::{Value, json};
use tests::shop::{Shop, add_user};
use tests::speech::{batch, identify, mint, now_ms, page, page_from, visitor_id, written};
use tests::web::{Owner, Reply};
use tests::{Database, SOON, until};
use wire::{Event, Who};

const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:125.0) Gecko/20100101 Firefox/125.0";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Mobile/15E148 Safari/604.1";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

/// A shop behind a proxy.
fn behind_a_proxy() -> Shop {
    Shop::with(&["--trusted-proxy", "127.0.0.1"])
}

/// Somebody's browser, at an address, says something that is stored.
#[track_caller]
fn says(shop: &Shop, name: &str, agent: &str, address: &str, events: &[Event<'static>]) {
    let body = batch(&shop.keys.write_key, Who::Visitor(visitor_id(name)), events);
    let headers = [("x-forwarded-for", address), ("user-agent", agent)];
    let reply = shop.web.send("POST", "/v1/events", &headers, &body);
    assert_eq!(reply.receipt(), (events.len() as u64, 0, 0), "{}", reply.body);
}

fn of(name: &str) -> String {
    format!("visitor_id={}", written(visitor_id(name)))
}

fn owner(shop: &Shop) -> Owner {
    let (email, password) = ("owner@shop.example", "a long enough password");
    add_user(&shop.database, email, password);
    Owner::logs_in(&shop.server, email, password)
}

/// Saves the settings with these of the bots.
#[track_caller]
fn bots(shop: &Shop, owner: &Owner, bots: &str, limit: &str) -> Reply {
    let fields = [
        ("name", "shop"),
        ("domains", "shop.example"),
        ("currency", "EUR"),
        ("time_zone", "UTC"),
        ("consent", "full"),
        ("browser_orders", "auto"),
        ("bots", bots),
        ("bot_limit", limit),
    ];
    owner.posts(&format!("/s/{}/setup", shop.keys.site_id), &fields)
}

/// A file of the overview of the last 30 days.
fn file(shop: &Shop, owner: &Owner, table: &str) -> String {
    owner.reads(&format!("/s/{}/overview/{table}.csv", shop.keys.site_id))
}

#[test]
fn an_address_gives_its_country_and_leaves_no_trace() {
    let shop = behind_a_proxy();
    let now = now_ms();
    says(
        &shop,
        "a1",
        FIREFOX,
        "1.1.1.1",
        &[page(now, "https://shop.example/"), page(now + 1, "https://shop.example/a")],
    );
    says(&shop, "a2", IPHONE, "2a01:cb00:1234:5678::9abc", &[page(now, "https://shop.example/")]);
    says(&shop, "a3", IPHONE, "10.11.12.13", &[page(now, "https://shop.example/")]);
    let measured = Who::Load(mint(now));
    let body = batch(&shop.keys.write_key, measured, &[page(now, "https://shop.example/")]);
    let headers = [("x-forwarded-for", "80.187.99.98"), ("user-agent", FIREFOX)];
    assert_eq!(shop.web.send("POST", "/v1/events", &headers, &body).receipt(), (1, 0, 0));

    let facts = &shop.profile(&of("a1"))["facts"];
    assert_eq!(
        [&facts["country"], &facts["device"], &facts["browser"], &facts["system"]],
        ["AU", "desktop", "Firefox", "Windows"],
        "{facts}"
    );
    let facts = &shop.profile(&of("a2"))["facts"];
    assert_eq!([&facts["country"], &facts["device"], &facts["browser"]], ["FR", "mobile", "Safari"], "{facts}");
    assert_eq!(shop.profile(&of("a3"))["facts"]["country"], Value::Null, "no public address");
    let owner = owner(&shop);
    let countries = file(&shop, &owner, "countries");
    for row in ["AU,Australia,1,0", "FR,France,1,0", "DE,Germany,1,0", ",,1,0"] {
        assert!(countries.lines().any(|line| line == row), "{row}: {countries}");
    }
    assert!(file(&shop, &owner, "devices").contains("mobile,Mobile,2,0"));
    let site = shop.keys.site_id;
    let overview = owner.reads(&format!("/s/{site}/overview"));
    assert!(overview.contains("Australia") && overview.contains("IP Geolocation by DB-IP"), "{overview}");

    let kept = shop.database.dump() + &shop.server.log();
    assert!(kept.contains("Firefox") && kept.contains("COPY public.events"), "the dump holds what is stored");
    for trace in ["1.1.1.", "2a01:cb00", "10.11.12", "80.187.99", "01010101", "50bb6362", "2a01cb00"] {
        assert!(!kept.contains(trace), "{trace} is kept");
    }
    shop.is_the_same_rebuilt();
}

#[test]
fn a_server_tells_where_its_people_are_and_is_not_one_of_them() {
    let shop = behind_a_proxy();
    let message = |id: &str, context: Value| json!({ "type": "track", "event": "Signed Up", "messageId": id, "userId": id, "context": context });
    let told = json!({ "ip": "8.8.8.8", "userAgent": IPHONE, "locale": "de_AT", "timezone": "Europe/Vienna" });
    let body = json!({
        "writeKey": shop.keys.secret_key,
        "batch": [message("u1", told), message("u2", json!({})), message("u3", json!({ "userAgent": GOOGLEBOT }))],
    });
    let headers = [("x-forwarded-for", "1.1.1.1"), ("user-agent", "curl/8.7.1"), ("content-type", "application/json")];
    let reply = shop.web.send("POST", "/v1/batch", &headers, body.to_string().as_bytes());
    assert_eq!(reply.receipt(), (3, 0, 0));
    let facts = &shop.profile("user_id=u1")["facts"];
    assert_eq!(
        [&facts["country"], &facts["device"], &facts["language"], &facts["time_zone"]],
        ["US", "mobile", "de", "Europe/Vienna"],
        "{facts}"
    );
    let facts = &shop.profile("user_id=u2")["facts"];
    assert_eq!([&facts["country"], &facts["device"]], [&Value::Null, &Value::Null], "the server's own: {facts}");
    assert_eq!(shop.profile("user_id=u3")["facts"]["events"], 1, "a trusted sender's people are no bots");
    assert!(!shop.database.dump().contains("8.8.8"));
    shop.is_the_same_rebuilt();
}

#[test]
fn a_bots_views_are_stored_and_left_out_until_the_site_includes_them() {
    let shop = behind_a_proxy();
    let owner = owner(&shop);
    shop.keeps("viewed", "viewed \"/sale\" at least once");
    shop.keeps("never", "never ordered");
    let now = now_ms();
    says(&shop, "mia", FIREFOX, "1.1.1.1", &[page(now, "https://shop.example/sale")]);
    says(&shop, "bot", GOOGLEBOT, "66.249.66.1", &[page(now, "https://shop.example/sale")]);
    let mia = shop.profile_id(&of("mia"));
    shop.is_projected();
    assert_eq!(shop.stored(), 2);
    assert_eq!(shop.database.number("SELECT bot_score::bigint FROM events WHERE bot_score IS NOT NULL"), 100);
    let site = shop.keys.site_id;
    let sees_bot = || {
        let views = file(&shop, &owner, "pages");
        let live = owner.reads(&format!("/s/{site}/live"));
        let people = owner.reads(&format!("/s/{site}/people"));
        (views.contains("shop.example/sale,Title of https://shop.example/sale,2,2"), live, people)
    };
    let bot_profile = || shop.ask(&format!("/api/v1/profiles?{}", of("bot"))).json()["facts"].clone();
    assert!(!sees_bot().0, "in no report");
    assert_eq!(bot_profile(), Value::Null);
    assert_eq!((shop.members("viewed"), shop.members("never")), (vec![mia], vec![mia]), "in no segment");
    assert!(!file(&shop, &owner, "devices").contains("bot"));
    shop.is_the_same_rebuilt();

    assert_eq!(bots(&shop, &owner, "include", "50").status, 303);
    shop.is_projected();
    assert!(sees_bot().0, "{}", file(&shop, &owner, "pages"));
    assert_eq!((&bot_profile()["views"], &bot_profile()["device"]), (&json!(1), &json!("bot")));
    assert_eq!((shop.members("viewed").len(), shop.members("never").len()), (2, 2));
    shop.is_the_same_rebuilt();

    assert_eq!(bots(&shop, &owner, "exclude", "50").status, 303);
    shop.is_projected();
    assert!(!sees_bot().0);
    assert_eq!(bot_profile(), Value::Null);
    assert_eq!((shop.members("viewed"), shop.members("never")), (vec![mia], vec![mia]));
    shop.is_the_same_rebuilt();
    assert_eq!(bots(&shop, &owner, "exclude", "0").status, 422, "no limit of no score");
}

#[test]
fn a_limit_that_is_moved_moves_what_counts() {
    let shop = behind_a_proxy();
    let owner = owner(&shop);
    let now = now_ms();
    says(&shop, "curl", "curl/8.7.1", "1.1.1.1", &[page(now, "https://shop.example/")]);
    assert_eq!(shop.profile(&of("curl"))["facts"]["views"], 1, "a library is no bot by itself");
    assert_eq!(bots(&shop, &owner, "exclude", "40").status, 303);
    shop.is_projected();
    assert_eq!(shop.profile(&of("curl"))["facts"], Value::Null);
    // What comes from now on follows the same limit.
    says(&shop, "curl", "curl/8.7.1", "1.1.1.1", &[page(now + 5, "https://shop.example/")]);
    assert_eq!(shop.profile(&of("curl"))["facts"], Value::Null);
    says(&shop, "curl", FIREFOX, "1.1.1.1", &[page(now + 9, "https://shop.example/")]);
    assert_eq!(shop.profile(&of("curl"))["facts"]["views"], 1);
    shop.is_the_same_rebuilt();
}

#[test]
fn a_referrer_that_advertises_itself_is_a_bots_and_no_source() {
    let shop = behind_a_proxy();
    let owner = owner(&shop);
    let now = now_ms();
    let spam = page_from(now, "https://shop.example/", "https://semalt.semalt.com/crawler.php");
    says(&shop, "spam", FIREFOX, "1.1.1.1", &[spam]);
    says(&shop, "mia", FIREFOX, "1.1.1.1", &[page_from(now, "https://shop.example/", "https://chatgpt.com/")]);
    shop.is_projected();
    assert_eq!(shop.database.number("SELECT max(bot_score)::bigint FROM events"), 100);
    let channels = file(&shop, &owner, "channels");
    assert!(channels.contains("AI assistant,1,1") && !channels.contains("Direct"), "{channels}");
    assert_eq!(bots(&shop, &owner, "include", "50").status, 303);
    shop.is_projected();
    let channels = file(&shop, &owner, "channels");
    assert!(channels.contains("Direct,1,1") && !channels.contains("Referral"), "{channels}");
    assert_eq!(shop.database.number("SELECT count(*) FROM sessions WHERE source LIKE '%semalt%'"), 0);
    shop.is_the_same_rebuilt();
}

#[test]
fn the_kind_of_mail_address_and_the_country_are_facts_that_rules_ask_for() {
    let shop = behind_a_proxy();
    shop.keeps("work", "email class is \"company\" and country is one of \"AU\", \"NZ\"");
    shop.keeps("phones", "device is \"mobile\" and language is \"de\"");
    let now = now_ms();
    says(&shop, "mia", IPHONE, "1.1.1.1", &[identify(now, "u1", json!({ "email": "mia@shop.example" }))]);
    says(&shop, "tom", FIREFOX, "1.1.1.1", &[identify(now, "u2", json!({ "email": "tom@gmail.com" }))]);
    let told =
        json!({ "type": "identify", "userId": "u3", "messageId": "m1", "traits": { "email": "x@mailinator.com" } });
    assert_eq!(shop.server_says(&[told]).receipt(), (1, 0, 0));
    let class = |who: &str| shop.profile(who)["facts"]["email_class"].clone();
    assert_eq!([class("user_id=u1"), class("user_id=u2"), class("user_id=u3")], ["company", "free", "disposable"]);
    let mia = shop.profile_id("user_id=u1");
    assert_eq!((shop.members("work"), shop.members("phones")), (vec![mia], vec![mia]));
    let owner = owner(&shop);
    let page = owner.reads(&format!("/s/{}/people/{mia}", shop.keys.site_id));
    for shown in ["Company or own domain", "Australia", "Mobile, iOS", "Safari"] {
        assert!(page.contains(shown), "{shown}");
    }
    // Columns in memory tell the same as the projector.
    let says = json!({ "says": "country is \"AU\" and email class is \"free\"" });
    until("the people to be in memory", SOON, || {
        let reply = shop.call("POST", "/api/v1/preview", &says);
        (reply.status == 200 && reply.json()["count"] == 1).then_some(())
    });
    shop.is_the_same_rebuilt();
}

#[test]
fn a_database_of_the_owners_that_is_none_stops_the_start() {
    let database = Database::fresh();
    let output = tests::server::segments(&database, &["serve", "--country-database", "/nowhere/countries.mmdb"]);
    let said = tests::server::fails(&output);
    assert!(said.contains("/nowhere/countries.mmdb"), "{said}");
}
