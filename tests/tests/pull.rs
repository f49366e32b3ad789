//! Sources that are asked: everything once, whatever happens in between.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::LazyLock;
use tests::cluster::Folder;
use tests::server::{fails, succeeds};
use tests::speech::now_ms;
use tests::vendor::{Trouble, Vendor};
use tests::{SOON, Server, Shop, segments, until};

/// The same however long a test takes.
static NOW_S: LazyLock<i64> = LazyLock::new(|| now_ms() / 1_000);
const MINUTE_S: i64 = 60;
const DAY_S: i64 = 86_400;

fn ago(seconds: i64) -> String {
    jiff::Timestamp::from_second(*NOW_S - seconds).expect("a moment").to_string()
}

/// A recorded answer or webhook with today's moments in it, as the tests of webhooks have them.
fn fixture(file: &str) -> Value {
    let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let text = text.replace("@CREATED@", &ago(60 * MINUTE_S)).replace("@UPDATED@", &ago(30 * MINUTE_S));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// An order of a person of its own over 10.00, placed and changed so long ago.
fn order(number: i64, age_s: i64) -> Value {
    let mut order = fixture("tests/fixtures/pull/shopify_order.json");
    order["legacyResourceId"] = number.to_string().into();
    order["name"] = format!("#{number}").into();
    order["email"] = format!("p{number}@example.com").into();
    order["phone"] = Value::Null;
    order["customer"] = json!({
        "legacyResourceId": (900_000 + number).to_string(),
        "defaultEmailAddress": { "emailAddress": format!("p{number}@example.com") },
        "defaultPhoneNumber": null,
    });
    order["createdAt"] = ago(age_s).into();
    order["updatedAt"] = ago(age_s).into();
    order["totalPriceSet"]["shopMoney"]["amount"] = "10.0".into();
    order["refunds"] = json!([]);
    order
}

/// A shop whose orders go back for more than a year, with one refund and one customer.
fn filled(vendor: &Vendor, orders: i64) {
    let mut books = vendor.books();
    books.orders = (1..=orders).map(|number| order(2_000 + number, number * 13 * DAY_S)).collect();
    books.orders.push(fixture("tests/fixtures/pull/shopify_order.json"));
    books.customers = vec![fixture("tests/fixtures/pull/shopify_customer.json")];
}

fn add_shopify(shop: &Shop, vendor: &Vendor, secret: &str) {
    let line = [
        "source",
        "add",
        "--site",
        "shop",
        "--kind",
        "shopify-admin",
        "--name",
        "Main shop",
        "--shop",
        "main",
        "--secret",
        secret,
        "--insecure-base-url",
        &vendor.origin(),
    ];
    succeeds(&segments(&shop.database, &line));
}

const SHOPIFY: &str = "shopify-admin:main-shop";
const TOKEN: &str = "shpat_0123456789";

/// How a connector stands, as `source list` tells.
fn standing(shop: &Shop, key: &str) -> Value {
    let told = succeeds(&segments(&shop.database, &["source", "list", "--site", "shop", "--json"]));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    told.as_array().unwrap().iter().find(|source| source["key"] == *key).expect("the source")["connector"].clone()
}

#[track_caller]
fn has_read_everything(shop: &Shop, key: &str) {
    let query = format!("SELECT count(*) FROM connectors WHERE key = '{key}' AND last_ok_at IS NOT NULL");
    until("everything to be read", 3 * SOON, || (shop.database.number(&query) == 1).then_some(()));
}

/// Orders that count, what they brought net, and how many events say that one was placed.
fn counted(shop: &Shop) -> (i64, i64, i64) {
    shop.is_projected();
    let number = |query: &str| shop.database.number(query);
    (
        number("SELECT count(*) FROM orders WHERE counted"),
        number("SELECT sum(total_minor - coalesce(refunded_minor, 0))::bigint FROM orders WHERE counted"),
        number(
            "SELECT count(*) FROM events e JOIN terms n ON n.site_id = e.site_id AND n.term_id = e.name_id WHERE n.value = 'Order Completed'",
        ),
    )
}

#[test]
fn every_order_comes_once_through_limits_faults_and_cut_connections() {
    let vendor = Vendor::open();
    filled(&vendor, 34);
    vendor.books().troubles = [
        Trouble::Pass,
        Trouble::Status(429, Some("1.0")),
        Trouble::TooDear,
        Trouble::Pass,
        Trouble::Status(500, None),
        Trouble::Throttled,
        Trouble::Cut,
        Trouble::Pass,
    ]
    .into();
    let shop = Shop::open();
    add_shopify(&shop, &vendor, TOKEN);
    has_read_everything(&shop, SHOPIFY);
    assert_eq!(counted(&shop), (35, 34 * 1_000 + 2_990, 35));
    let told = standing(&shop, SHOPIFY);
    assert_eq!((&told["state"], &told["last_error"]), (&json!("ready"), &Value::Null));
    assert!(vendor.books().troubles.is_empty());
    let sizes: Vec<u64> =
        vendor.books().asked.iter().filter_map(|asked| asked.body["variables"]["first"].as_u64()).collect();
    assert!(sizes.contains(&4) && sizes.contains(&2), "what is too dear is asked for in halves: {sizes:?}");
    let profile = shop.profile("email=mia@example.com");
    assert_eq!(profile["facts"]["traits"]["email_opt_in"], true);
    // Asked again: what was changed last comes again and is known.
    let events = shop.stored();
    let again = succeeds(&segments(&shop.database, &["source", "pull", "--site", "shop", SHOPIFY]));
    assert!(again.contains("has told everything"), "{again}");
    assert_eq!((counted(&shop), shop.stored()), ((35, 36_990, 35), events));
    assert!(!shop.server.log().contains(TOKEN), "no key in the log");
    shop.is_the_same_rebuilt();
}

#[test]
fn a_server_that_is_killed_between_pages_goes_on_where_it_was() {
    let vendor = Vendor::open();
    filled(&vendor, 34);
    vendor.books().troubles = [Trouble::Pass, Trouble::Hold].into();
    let mut shop = Shop::open();
    add_shopify(&shop, &vendor, TOKEN);
    until("the second page to be asked for", SOON, || vendor.holds().then_some(()));
    let other = segments(&shop.database, &["source", "pull", "--site", "shop", SHOPIFY]);
    assert!(fails(&other).contains("another process is asking"), "one process at a time reads a source");
    shop.server.kill();
    vendor.lets_go();
    let before = vendor.books().asked.len();
    shop.server = Server::start(&shop.database, &[]);
    shop.web = tests::Web::new(&shop.server.origin());
    has_read_everything(&shop, SHOPIFY);
    assert!(vendor.books().asked[before].body["variables"]["after"].is_string(), "not from the beginning");
    assert_eq!(counted(&shop), (35, 36_990, 35));
    shop.is_the_same_rebuilt();
}

#[test]
fn a_page_that_was_stored_before_its_cursor_is_read_again_without_doubling() {
    let vendor = Vendor::open();
    filled(&vendor, 34);
    let shop = Shop::open();
    add_shopify(&shop, &vendor, TOKEN);
    has_read_everything(&shop, SHOPIFY);
    let (before, events) = (counted(&shop), shop.stored());
    // As after a crash between the two, of the first page and of every other one.
    shop.database.run("UPDATE connectors SET cursor = '{}', last_ok_at = NULL, next_at = now()");
    has_read_everything(&shop, SHOPIFY);
    assert_eq!((counted(&shop), shop.stored()), (before, events));
}

#[test]
fn an_order_that_webhook_and_api_tell_of_is_one_with_one_message() {
    for webhook_first in [true, false] {
        let shop = Shop::open();
        let vendor = Vendor::open();
        vendor.books().orders = vec![fixture("tests/fixtures/pull/shopify_order.json")];
        let add = [
            "source",
            "add",
            "--site",
            "shop",
            "--kind",
            "shopify",
            "--name",
            "Hooks",
            "--secret",
            "a hook's secret",
            "--json",
        ];
        let tells = || {
            let told: Value = serde_json::from_str(&succeeds(&segments(&shop.database, &add))).expect("JSON");
            let address = told["address"].as_str().expect("an address");
            let mut body = fixture("collector/src/intake/webhook/samples/shopify_order.json");
            body["refunds"] = json!([fixture("collector/src/intake/webhook/samples/shopify_refund.json")]);
            let body = body.to_string();
            let mut mac = Hmac::<Sha256>::new_from_slice(b"a hook's secret").expect("any length");
            mac.update(body.as_bytes());
            let signature = STANDARD.encode(mac.finalize().into_bytes());
            let headers = [("x-shopify-topic", "orders/updated"), ("x-shopify-hmac-sha256", signature.as_str())];
            shop.web
                .send("POST", &address[address.find("/hooks/").expect("a path")..], &headers, body.as_bytes())
                .receipt()
        };
        let pulls = || {
            add_shopify(&shop, &vendor, TOKEN);
            has_read_everything(&shop, SHOPIFY);
        };
        if webhook_first {
            assert_eq!(tells(), (3, 0, 0), "placed, changed, refunded");
            pulls();
        } else {
            pulls();
            assert_eq!(tells(), (0, 3, 0), "all of it was known");
        }
        assert_eq!((counted(&shop), shop.stored()), ((1, 2_990, 1), 3), "webhook first: {webhook_first}");
        shop.is_the_same_rebuilt();
    }
}

#[test]
fn an_order_that_a_webhook_told_of_long_ago_is_not_placed_a_second_time() {
    let shop = Shop::open();
    let vendor = Vendor::open();
    vendor.books().orders = vec![order(2_001, 40 * DAY_S)];
    // As it came while it was new: under an id that has been forgotten since.
    let placed = json!({ "type": "track", "event": "Order Completed", "userId": "u1", "timestamp": ago(40 * DAY_S),
        "properties": { "order_id": "2001", "total": 10, "currency": "EUR" } });
    assert_eq!(shop.server_says(&[placed]).receipt(), (1, 0, 0));
    shop.is_projected();
    add_shopify(&shop, &vendor, TOKEN);
    has_read_everything(&shop, SHOPIFY);
    assert_eq!(counted(&shop), (1, 1_000, 1));
}

#[test]
fn a_refused_token_stops_a_connector_until_there_is_another_one() {
    let vendor = Vendor::open();
    filled(&vendor, 3);
    let shop = Shop::open();
    add_shopify(&shop, &vendor, "shpat_wrong_one");
    until("the state to be told", SOON, || (standing(&shop, SHOPIFY)["state"] == "needs_key").then_some(()));
    let told = standing(&shop, SHOPIFY);
    assert!(told["last_error"].as_str().unwrap().contains("401: [API] Invalid API key"), "{told}");
    let listed = succeeds(&segments(&shop.database, &["source", "list", "--site", "shop"]));
    assert!(listed.contains("needs a new key") && !listed.contains("shpat"), "{listed}");
    assert_eq!(vendor.books().asked.len(), 1, "asked once and not again");
    let due = "SELECT count(*) FROM connectors WHERE state = 'ready'";
    assert_eq!(shop.database.number(due), 0, "nothing is due");
    succeeds(&segments(&shop.database, &["source", "set", "--site", "shop", SHOPIFY, "--secret", TOKEN]));
    has_read_everything(&shop, SHOPIFY);
    assert_eq!(counted(&shop), (4, 3 * 1_000 + 2_990, 4));
}

const SEARCH: &str = "search-console:search";

fn add_search(shop: &Shop, vendor: &Vendor) {
    let folder = Folder::make();
    let file = folder.path().join("key.json");
    std::fs::write(&file, &vendor.key_file).expect("a key file");
    let line = [
        "source",
        "add",
        "--site",
        "shop",
        "--kind",
        "search-console",
        "--name",
        "Search",
        "--property",
        "sc-domain:shop.example",
        "--secret-file",
        file.to_str().expect("a path"),
        "--insecure-base-url",
        &vendor.origin(),
    ];
    succeeds(&segments(&shop.database, &line));
}

/// Google's day so many days ago.
fn day(ago: i64) -> String {
    let pacific = jiff::tz::TimeZone::get("America/Los_Angeles").expect("a zone");
    let now = jiff::Timestamp::from_second(*NOW_S - ago * DAY_S).expect("a moment");
    now.to_zoned_datetime(pacific).date().to_string()
}

/// Rows, clicks and impressions that are kept of a cut.
fn kept(shop: &Shop, cut: &str) -> (i64, i64, i64) {
    let row = &shop.database.rows(&format!(
        "SELECT count(*) AS rows, coalesce(sum(clicks), 0)::bigint AS clicks, coalesce(sum(impressions), 0)::bigint AS impressions
         FROM search_performance WHERE {cut}"
    ))[0];
    let number = |key: &str| row[key].as_i64().expect("a number");
    (number("rows"), number("clicks"), number("impressions"))
}

const QUERIES: &str = "query <> ''";
const PAGES: &str = "page <> ''";
const TOTALS: &str = "query = '' AND page = ''";

#[test]
fn searches_come_in_pages_of_rows_and_late_figures_replace_early_ones() {
    let vendor = Vendor::open();
    {
        let mut books = vendor.books();
        let row = fixture("tests/fixtures/pull/search_row.json");
        let many = |n: u64| (0..n).map(|n| (format!("query {n}"), 1, 10, 4.0)).collect();
        books.rows.insert(("query", day(100)), many(25_003));
        books.rows.insert(("page", day(100)), vec![("https://shop.example/".into(), 40, 900, 3.0)]);
        let key = row["keys"][0].as_str().expect("a query").to_owned();
        books.rows.insert(("query", day(1)), vec![(key, 12, 340, 6.5), ("gone tomorrow".into(), 1, 2, 9.0)]);
        books.rows.insert(("page", day(1)), vec![("https://shop.example/kettle".into(), 13, 342, 6.5)]);
        books.troubles = [Trouble::Pass, Trouble::Status(503, Some("1")), Trouble::Pass, Trouble::Cut].into();
    }
    let shop = Shop::open();
    add_search(&shop, &vendor);
    has_read_everything(&shop, SEARCH);
    assert_eq!(kept(&shop, QUERIES), (25_005, 25_003 + 13, 250_030 + 342));
    assert_eq!(kept(&shop, PAGES), (2, 53, 1_242));
    assert_eq!(kept(&shop, TOTALS), (2, 55, 1_244), "with what is kept secret");
    assert_eq!(vendor.books().granted.len(), 1 + 2, "a token for each run, not for each question");
    let position = "SELECT (position_sum / impressions * 10)::bigint AS n FROM search_performance WHERE query = 'gooseneck kettle'";
    assert_eq!(shop.database.number(position), 65);
    let first = vendor.books().asked[0].body.clone();
    assert!(first["startDate"].as_str().unwrap() < day(480).as_str(), "16 months: {first}");
    // The figures settle.
    vendor.books().rows.insert(("query", day(1)), vec![("gooseneck kettle".into(), 14, 360, 6.0)]);
    vendor.books().asked.clear();
    succeeds(&segments(&shop.database, &["source", "pull", "--site", "shop", SEARCH]));
    assert_eq!(kept(&shop, QUERIES), (25_004, 25_003 + 14, 250_030 + 360), "in its place, and what is gone is gone");
    let asked: Vec<String> =
        vendor.books().asked.iter().map(|asked| asked.body["startDate"].as_str().unwrap().to_owned()).collect();
    assert!(asked.iter().all(|from| *from > day(5)), "only the last days are asked for again: {asked:?}");
    assert!(!shop.server.log().contains("ya29"), "no token in the log");
}

#[test]
fn a_service_account_that_is_refused_needs_a_new_key() {
    let vendor = Vendor::open();
    vendor.books().refuses_key = true;
    let shop = Shop::open();
    add_search(&shop, &vendor);
    until("the state to be told", SOON, || (standing(&shop, SEARCH)["state"] == "needs_key").then_some(()));
    assert!(standing(&shop, SEARCH)["last_error"].as_str().unwrap().contains("invalid_grant"));
    assert!(vendor.books().asked.is_empty(), "nothing is asked without a token");
    let said = fails(&segments(&shop.database, &["source", "pull", "--site", "shop", SEARCH]));
    assert!(said.contains("needs a new key"), "{said}");
}

#[test]
fn what_cannot_be_a_key_an_account_or_a_test_server_is_refused_at_once() {
    let shop = Shop::open();
    let add = |further: &[&str]| {
        let mut line = vec!["source", "add", "--site", "shop", "--name", "x"];
        line.extend(further);
        fails(&segments(&shop.database, &line))
    };
    let search = ["--kind", "search-console", "--secret", "{}"];
    let with = |further: &[&'static str]| [&search[..], further].concat();
    assert!(add(&with(&[])).contains("--property"));
    assert!(add(&with(&["--property", "shop.example"])).contains("sc-domain:"));
    assert!(add(&with(&["--property", "sc-domain:shop.example"])).contains("no service account key"));
    let elsewhere = [
        "--kind",
        "shopify-admin",
        "--shop",
        "main",
        "--secret",
        TOKEN,
        "--insecure-base-url",
        "http://evil.example:80",
    ];
    assert!(add(&elsewhere).contains("a port of this machine"));
    assert!(add(&["--kind", "shopify-admin", "--shop", "evil.example/x", "--secret", TOKEN]).contains("myshopify.com"));
    assert_eq!(shop.database.number("SELECT count(*) FROM sources"), 0);
    // Nothing is posted to a connector.
    succeeds(&segments(
        &shop.database,
        &[
            "source",
            "add",
            "--site",
            "shop",
            "--name",
            "x",
            "--kind",
            "shopify-admin",
            "--shop",
            "main",
            "--secret",
            TOKEN,
            "--insecure-base-url",
            "http://127.0.0.1:1",
        ],
    ));
    assert_eq!(shop.web.post_json("/hooks/shopify-admin:x", &json!({})).status, 404);
}
