//! Vendors' webhooks: signed, read, stored once, and what they come to in the right profile.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use tests::server::{fails, succeeds};
use tests::speech::now_ms;
use tests::web::Reply;
use tests::{Shop, segments};

const SECRET: &str = "whsec_of_this_test";
const MINUTE_S: i64 = 60;

/// A recorded payload with today's moments in it: created an hour ago, updated half an hour ago.
fn payload(file: &str) -> String {
    let path = format!("{}/../collector/src/intake/webhook/samples/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // The same however long a test takes.
    static NOW_S: LazyLock<i64> = LazyLock::new(|| now_ms() / 1_000);
    for (name, minutes) in [("CREATED", 60), ("UPDATED", 30)] {
        let seconds = *NOW_S - minutes * MINUTE_S;
        let at = jiff::Timestamp::from_second(seconds).expect("a moment");
        let civil = at.to_zoned_datetime(jiff::tz::TimeZone::UTC).datetime().to_string();
        text = text
            .replace(&format!("@{name}@"), &at.to_string())
            .replace(&format!("@{name}_UTC@"), &civil)
            .replace(&format!("@{name}_FORM@"), &civil.replace('T', "+").replace(':', "%3A"))
            .replace(&format!("@{name}_S@"), &seconds.to_string());
    }
    text
}

fn changed(file: &str, path: &[&str], value: Value) -> String {
    let mut payload: Value = serde_json::from_str(&payload(file)).expect("JSON");
    let mut place = &mut payload;
    for key in path {
        place = &mut place[*key];
    }
    *place = value;
    payload.to_string()
}

fn hmac(secret: &str, parts: &[&str]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    parts.iter().for_each(|part| mac.update(part.as_bytes()));
    mac.finalize().into_bytes().to_vec()
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A connected source.
struct Source<'a> {
    shop: &'a Shop,
    key: String,
    path: String,
    secret: String,
    signing: SigningKey,
}

impl<'a> Source<'a> {
    fn add(shop: &'a Shop, kind: &str, further: &[&str]) -> Source<'a> {
        let signing = SigningKey::from_slice(&[7; 32]).expect("a key");
        let public = STANDARD.encode(signing.verifying_key().to_public_key_der().expect("DER").as_bytes());
        let secret = if kind == "sendgrid" { public } else { SECRET.to_owned() };
        let mut line = vec!["source", "add", "--site", "shop", "--kind", kind, "--name", "Main shop", "--json"];
        line.extend(["--secret", &secret]);
        line.extend(further);
        let told: Value = serde_json::from_str(&succeeds(&segments(&shop.database, &line))).expect("JSON");
        let address = told["address"].as_str().expect("an address");
        let path = address[address.find("/hooks/").expect("a path")..].to_owned();
        let key = told["key"].as_str().expect("a key").to_owned();
        Source { shop, key, path, secret: told["secret"].as_str().expect("a secret").to_owned(), signing }
    }

    /// The headers of a request that was signed by whoever has this secret, so many seconds ago.
    fn headers(&self, topic: &str, body: &str, secret: &str, age_s: i64) -> Vec<(&'static str, String)> {
        let time = (now_ms() / 1_000 - age_s).to_string();
        match self.key.split(':').next().expect("a kind") {
            "shopify" => vec![
                ("x-shopify-topic", topic.to_owned()),
                ("x-shopify-hmac-sha256", STANDARD.encode(hmac(secret, &[body]))),
            ],
            "woocommerce" => vec![
                ("x-wc-webhook-topic", topic.to_owned()),
                ("x-wc-webhook-signature", STANDARD.encode(hmac(secret, &[body]))),
            ],
            "stripe" => {
                let signature = digits(&hmac(secret, &[&time, ".", body]));
                vec![("stripe-signature", format!("t={time},v1={signature}"))]
            }
            "sendgrid" => {
                let another = SigningKey::from_slice(&[9; 32]).expect("a key");
                let key = if secret == self.secret { &self.signing } else { &another };
                let signature: DerSignature = key.sign(format!("{time}{body}").as_bytes());
                vec![
                    ("x-twilio-email-event-webhook-signature", STANDARD.encode(signature.as_bytes())),
                    ("x-twilio-email-event-webhook-timestamp", time),
                ]
            }
            "klaviyo" => vec![
                ("klaviyo-signature", digits(&hmac(secret, &[body, &time]))),
                ("klaviyo-timestamp", time),
                ("klaviyo-webhook-id", "01H6".to_owned()),
            ],
            "mailchimp" => vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
            other => panic!("{other}"),
        }
    }

    fn send(&self, path: &str, headers: &[(&'static str, String)], body: &str) -> Reply {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.shop.web.send("POST", path, &headers, body.as_bytes())
    }

    /// What the vendor sends, signed as it should be.
    fn tells(&self, topic: &str, body: &str) -> (u64, u64, u64) {
        self.send(&self.path, &self.headers(topic, body, &self.secret, 0), body).receipt()
    }

    /// The same signed with another secret; where the vendor does not sign, the secret in the address is another.
    fn is_forged(&self, topic: &str, body: &str) -> u16 {
        let path = self.path.replace(&self.secret, "another-secret");
        self.send(&path, &self.headers(topic, body, "another-secret", 0), body).status
    }

    /// What `segments source list` says of it.
    fn outcomes(&self) -> BTreeMap<String, i64> {
        let told = succeeds(&segments(&self.shop.database, &["source", "list", "--site", "shop", "--json"]));
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let own = told.as_array().unwrap().iter().find(|source| source["key"] == *self.key).expect("the source");
        assert_eq!(own.get("secret"), None, "a list tells no secrets");
        let mut outcomes = BTreeMap::new();
        for name in ["stored", "duplicate"] {
            outcomes.insert(name.to_owned(), own[name].as_i64().expect("a count"));
        }
        for (reason, count) in own["rejected"].as_object().expect("reasons") {
            outcomes.insert(reason.clone(), count.as_i64().expect("a count"));
        }
        outcomes.retain(|_, count| *count > 0);
        outcomes
    }
}

fn counts<const N: usize>(of: [(&str, i64); N]) -> BTreeMap<String, i64> {
    of.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

fn bought(shop: &Shop, who: &str) -> (i64, i64) {
    let profile = shop.profile(who);
    (profile["facts"]["orders"].as_i64().unwrap(), profile["facts"]["revenue_minor"].as_i64().unwrap())
}

fn names(shop: &Shop, who: &str) -> Vec<String> {
    let profile = shop.profile(who);
    let events = profile["events"].as_array().expect("events");
    let mut names: Vec<String> = events
        .iter()
        .map(|event| event["name"].as_str().or(event["kind"].as_str()).unwrap_or_default().to_owned())
        .collect();
    names.sort();
    names
}

fn identities(shop: &Shop, who: &str) -> Vec<String> {
    let profile = shop.profile(who);
    let of =
        |identity: &Value| format!("{} {}", identity["kind"].as_str().unwrap(), identity["value"].as_str().unwrap());
    let mut all: Vec<String> = profile["identities"].as_array().expect("identities").iter().map(of).collect();
    all.sort();
    all
}

#[test]
fn shopifys_order_refund_and_customer_end_in_one_profile_with_what_was_kept() {
    let shop = Shop::open();
    let source = Source::add(&shop, "shopify", &[]);
    let order = payload("shopify_order.json");
    assert_eq!(source.tells("orders/create", &order), (1, 0, 0));
    assert_eq!(source.tells("orders/create", &order), (0, 1, 0), "sent again");
    assert_eq!(source.is_forged("orders/create", &order), 401);
    let unsigned = source.send(&source.path, &[("x-shopify-topic", "orders/create".into())], &order);
    assert_eq!(unsigned.status, 401, "{}", unsigned.body);
    // Paid and updated are one change of the order that is there.
    assert_eq!(source.tells("orders/paid", &order), (1, 1, 0));
    assert_eq!(source.tells("orders/updated", &order), (0, 2, 0));
    assert_eq!(bought(&shop, "email=mia@example.com"), (1, 4_990));
    let refund = payload("shopify_refund.json");
    assert_eq!(source.tells("refunds/create", &refund), (1, 0, 0));
    assert_eq!(source.tells("refunds/create", &refund), (0, 1, 0));
    // The order's own update has the refund in it: it is the same.
    let with_refund =
        changed("shopify_order.json", &["refunds"], json!([serde_json::from_str::<Value>(&refund).unwrap()]));
    assert_eq!(source.tells("orders/updated", &with_refund), (0, 3, 0));
    assert_eq!(bought(&shop, "email=mia@example.com"), (1, 2_990));
    assert_eq!(source.tells("customers/update", &payload("shopify_customer.json")), (1, 0, 0));
    let profile = shop.profile("email=mia@example.com");
    let traits = &profile["facts"]["traits"];
    assert_eq!(
        (&traits["firstName"], &traits["email_opt_in"], &traits["sms_opt_in"]),
        (&json!("Mia"), &json!(true), &json!(false))
    );
    assert_eq!(
        identities(&shop, "email=mia@example.com"),
        ["email mia@example.com", "external shopify:207119551", "order 1001", "phone +4930901820"]
    );
    let placed = profile["events"].as_array().unwrap().iter().find(|event| event["name"] == "Order Completed").unwrap();
    assert_eq!(placed["properties"]["products"][1]["quantity"], 2);
    assert_eq!(placed["properties"]["coupon"], "AUTUMN");
    let cancelled = changed("shopify_order.json", &["cancelled_at"], json!(jiff::Timestamp::now().to_string()));
    assert_eq!(source.tells("orders/cancelled", &cancelled), (1, 2, 0));
    assert_eq!(bought(&shop, "email=mia@example.com"), (0, 0));
    assert_eq!(source.tells("products/update", "{}"), (0, 0, 1));
    assert_eq!(
        source.outcomes(),
        counts([("stored", 5), ("duplicate", 10), ("bad_signature", 2), ("unknown_kind", 1)])
    );
    // Nothing of what was not believed is kept.
    let kept = "SELECT count(*) FROM rejections WHERE reason = 'bad_signature' AND sample IS NOT NULL";
    assert_eq!(shop.database.number(kept), 0);
    assert_eq!(shop.database.number("SELECT count(*) FROM rejections WHERE reason = 'bad_signature'"), 2);
    shop.is_the_same_rebuilt();
}

#[test]
fn an_order_that_browser_and_webhook_tell_of_is_one_whoever_comes_first() {
    for browser_first in [true, false] {
        let shop = Shop::open();
        let source = Source::add(&shop, "shopify", &[]);
        let thanks = || {
            let order = json!({ "order_id": "1001", "total": 49.9, "currency": "EUR" });
            shop.visitor("mia").views("/thanks").tracks("Order Completed", order);
        };
        if browser_first {
            thanks();
            assert_eq!(bought(&shop, &shop.visitor("mia").query()), (1, 4_990));
        }
        assert_eq!(source.tells("orders/create", &payload("shopify_order.json")), (1, 0, 0));
        if !browser_first {
            thanks();
        }
        assert_eq!(bought(&shop, "email=mia@example.com"), (1, 4_990), "browser first: {browser_first}");
        assert_eq!(bought(&shop, &shop.visitor("mia").query()), (0, 0), "browser first: {browser_first}");
        assert_eq!(shop.database.number("SELECT count(*) FROM orders WHERE counted"), 1);
        assert_eq!(shop.database.number("SELECT sum(revenue_minor)::bigint FROM profiles"), 4_990);
        assert_eq!(source.tells("refunds/create", &payload("shopify_refund.json")), (1, 0, 0));
        shop.is_projected();
        assert_eq!(shop.database.number("SELECT sum(revenue_minor)::bigint FROM profiles"), 2_990);
        shop.is_the_same_rebuilt();
    }
}

#[test]
fn a_second_shop_of_the_site_has_a_namespace_of_its_own() {
    let shop = Shop::open();
    let first = Source::add(&shop, "shopify", &[]);
    let second = Source::add(&shop, "woocommerce", &["--namespace", "second"]);
    assert_eq!(first.tells("orders/create", &payload("shopify_order.json")), (1, 0, 0));
    let same_number = changed("woocommerce_order.json", &["id"], json!(1001));
    assert_eq!(second.tells("order.created", &same_number), (3, 0, 0));
    shop.is_projected();
    assert_eq!(shop.database.number("SELECT count(*) FROM orders"), 2);
    assert_eq!(bought(&shop, "email=joe@example.com"), (1, 1_935));
    assert!(identities(&shop, "email=joe@example.com").contains(&"external second:25".to_owned()));
    shop.is_the_same_rebuilt();
}

#[test]
fn woocommerces_orders_count_once_they_are_placed() {
    let shop = Shop::open();
    let source = Source::add(&shop, "woocommerce", &[]);
    let ping = source.send(&source.path, &[], "webhook_id=17");
    assert_eq!(ping.receipt(), (0, 0, 0), "it would switch itself off otherwise");
    let pending = changed("woocommerce_order.json", &["status"], json!("pending"));
    assert_eq!(source.tells("order.created", &pending), (0, 0, 0));
    let order = payload("woocommerce_order.json");
    assert_eq!(source.tells("order.updated", &order), (3, 0, 0), "placed, changed, refunded");
    assert_eq!(source.tells("order.updated", &order), (0, 3, 0));
    assert_eq!(source.is_forged("order.updated", &order), 401);
    assert_eq!(bought(&shop, "email=joe@example.com"), (1, 1_935));
    assert_eq!(source.tells("customer.updated", &payload("woocommerce_customer.json")), (1, 0, 0));
    let profile = shop.profile("email=joe@example.com");
    assert_eq!(profile["facts"]["traits"]["username"], "joe.doe");
    assert_eq!(source.tells("order.deleted", r#"{"id":727}"#), (1, 0, 0));
    assert_eq!(bought(&shop, "email=joe@example.com"), (0, 0));
    // Called off and taken up again, more than once: the latest word of it counts.
    for (n, (status, orders)) in [("processing", 1), ("cancelled", 0), ("completed", 1)].into_iter().enumerate() {
        let at = jiff::Timestamp::from_millisecond(now_ms() + 1_000 * (n as i64 + 1)).expect("a moment");
        let at = at.to_zoned_datetime(jiff::tz::TimeZone::UTC).datetime().to_string();
        let mut order: Value = serde_json::from_str(&order).unwrap();
        (order["status"], order["date_modified_gmt"]) = (status.into(), at.into());
        source.tells("order.updated", &order.to_string());
        assert_eq!(bought(&shop, "email=joe@example.com").0, orders, "{status}");
    }
    assert_eq!(source.outcomes(), counts([("stored", 8), ("duplicate", 7), ("bad_signature", 1)]));
    shop.is_the_same_rebuilt();
}

#[test]
fn a_payment_of_stripe_is_one_order_whatever_tells_of_it() {
    let shop = Shop::open();
    let source = Source::add(&shop, "stripe", &[]);
    let checkout = payload("stripe_checkout.json");
    assert_eq!(source.tells("", &checkout), (1, 0, 0));
    assert_eq!(source.tells("", &checkout), (0, 1, 0));
    assert_eq!(source.is_forged("", &checkout), 401);
    let old = source.send(&source.path, &source.headers("", &checkout, SECRET, 400), &checkout);
    assert_eq!((old.status, old.body.contains("too old")), (401, true), "{}", old.body);
    assert_eq!(source.tells("", &payload("stripe_charge.json")), (1, 0, 0));
    assert_eq!(bought(&shop, "email=ada@example.com"), (1, 5_500), "the charge is the checkout's");
    assert_eq!(source.tells("", &payload("stripe_charge_refunded.json")), (1, 0, 0));
    assert_eq!(source.tells("", &payload("stripe_refund.json")), (0, 1, 0));
    assert_eq!(bought(&shop, "email=ada@example.com"), (1, 4_000), "two messages of one refund");
    // A refund that is on its way is none yet; the event that tells of its success counts, once.
    let later = |kind: &str, status: &str| {
        let refund = changed("stripe_refund.json", &["data", "object", "id"], json!("re_2"));
        let mut refund: Value = serde_json::from_str(&refund).unwrap();
        refund["type"] = kind.into();
        refund["data"]["object"]["status"] = status.into();
        source.tells("", &refund.to_string())
    };
    assert_eq!(later("refund.created", "pending"), (0, 0, 0));
    assert_eq!(bought(&shop, "email=ada@example.com"), (1, 4_000));
    assert_eq!(later("refund.updated", "succeeded"), (1, 0, 0));
    assert_eq!(later("refund.updated", "succeeded"), (0, 1, 0));
    assert_eq!(bought(&shop, "email=ada@example.com"), (1, 2_500));
    let newer = changed("stripe_charge_refunded.json", &["data", "object", "refunds"], Value::Null);
    assert_eq!(source.tells("", &newer), (0, 0, 1), "it names no refund and would count twice");
    assert_eq!(source.tells("", &payload("stripe_invoice.json")), (1, 0, 0));
    assert_eq!(bought(&shop, "email=ada@example.com"), (2, 4_500));
    let charge = changed("stripe_charge.json", &["data", "object", "invoice"], json!("in_1M"));
    assert_eq!(source.tells("", &charge), (0, 0, 0), "an invoice tells of it");
    assert_eq!(source.tells("", &payload("stripe_customer.json")), (1, 0, 0));
    let profile = shop.profile("email=ada@example.com");
    assert_eq!(profile["facts"]["traits"]["name"], "Ada Byron");
    assert!(identities(&shop, "email=ada@example.com").contains(&"external stripe:cus_9s6".to_owned()));
    assert_eq!(source.outcomes(), counts([("stored", 6), ("duplicate", 3), ("bad_signature", 2), ("unknown_kind", 1)]));
    shop.is_the_same_rebuilt();
}

#[test]
fn mailchimp_tells_who_reads_and_who_has_another_address() {
    let shop = Shop::open();
    let source = Source::add(&shop, "mailchimp", &[]);
    assert_eq!(shop.web.get(&source.path).status, 200, "it asks before it is saved");
    let subscribe = payload("mailchimp_subscribe.txt");
    assert_eq!(source.tells("", &subscribe), (2, 0, 0));
    assert_eq!(source.tells("", &subscribe), (0, 2, 0));
    assert_eq!(source.is_forged("", &subscribe), 401);
    let bare = source.path.split('?').next().unwrap();
    assert_eq!(source.send(bare, &[], &subscribe).status, 401);
    let profile = shop.profile("email=nora@example.com");
    let traits = &profile["facts"]["traits"];
    assert_eq!(
        (&traits["firstName"], &traits["email_opt_in"], &traits["interests"]),
        (&json!("Nora"), &json!(true), &json!("Filter,Espresso"))
    );
    assert_eq!(source.tells("", &payload("mailchimp_upemail.txt")), (1, 0, 0));
    assert_eq!(source.tells("", &payload("mailchimp_unsubscribe.txt")), (2, 0, 0));
    assert_eq!(shop.profile_id("email=nora@example.com"), shop.profile_id("email=nora.new@example.com"));
    let profile = shop.profile("email=nora@example.com");
    assert_eq!(profile["facts"]["traits"]["email_opt_in"], false);
    assert_eq!(
        names(&shop, "email=nora@example.com"),
        ["Subscribed", "Unsubscribed", "identify", "identify", "identify"]
    );
    assert_eq!(source.tells("", &payload("mailchimp_cleaned.txt")), (2, 0, 0));
    assert_eq!(names(&shop, "email=gone@example.com"), ["Email Bounced", "identify"]);
    assert_eq!(source.tells("", &payload("mailchimp_campaign.txt")), (0, 0, 0), "it is about nobody");
    assert_eq!(source.outcomes(), counts([("stored", 7), ("duplicate", 2), ("bad_signature", 2)]));
    shop.is_the_same_rebuilt();
}

#[test]
fn sendgrids_events_are_named_as_e_mail_events_are() {
    let shop = Shop::open();
    let source = Source::add(&shop, "sendgrid", &[]);
    let mut events: Value = serde_json::from_str(&payload("sendgrid_events.json")).expect("JSON");
    let bad =
        json!({ "email": "lea@example.com", "timestamp": now_ms() / 1_000, "event": "telepathy", "sg_event_id": "7" });
    events.as_array_mut().expect("a list").push(bad);
    let events = events.to_string();
    assert_eq!(source.tells("", &events), (7, 0, 1), "a bad one takes no neighbour along");
    assert_eq!(source.tells("", &events), (0, 7, 1));
    assert_eq!(source.is_forged("", &events), 401);
    let old = source.send(&source.path, &source.headers("", &events, &source.secret, 26 * 3_600), &events);
    assert_eq!(old.status, 401, "{}", old.body);
    assert_eq!(
        names(&shop, "email=lea@example.com"),
        ["Email Delivered", "Email Link Clicked", "Email Opened", "Email Sent", "Unsubscribed", "identify"]
    );
    let profile = shop.profile("email=lea@example.com");
    assert_eq!(profile["facts"]["traits"]["email_opt_in"], false);
    let click =
        profile["events"].as_array().unwrap().iter().find(|event| event["name"] == "Email Link Clicked").unwrap();
    assert_eq!(click["properties"]["link_url"], "shop.example/grinders");
    assert_eq!(names(&shop, "email=lost@example.com"), ["Email Bounced"]);
    assert_eq!(source.outcomes(), counts([("stored", 7), ("duplicate", 7), ("unknown_kind", 2), ("bad_signature", 2)]));
    shop.is_the_same_rebuilt();
}

#[test]
fn klaviyos_events_and_profiles_are_one_persons() {
    let shop = Shop::open();
    let source = Source::add(&shop, "klaviyo", &[]);
    let event = payload("klaviyo_event.json");
    assert_eq!(source.tells("", &event), (1, 0, 0));
    assert_eq!(source.tells("", &event), (0, 1, 0));
    assert_eq!(source.is_forged("", &event), 401);
    let old = source.send(&source.path, &source.headers("", &event, SECRET, 25 * 3_600), &event);
    assert_eq!(old.status, 401, "{}", old.body);
    assert_eq!(source.tells("", &payload("klaviyo_profile.json")), (1, 0, 0));
    assert_eq!(names(&shop, "email=kai@example.com"), ["Email Opened", "identify"]);
    let profile = shop.profile("email=kai@example.com");
    let traits = &profile["facts"]["traits"];
    assert_eq!(
        (&traits["lastName"], &traits["roast"], &traits["email_opt_in"]),
        (&json!("Kim"), &json!("dark"), &json!(true))
    );
    assert!(identities(&shop, "email=kai@example.com").contains(&"external klaviyo:01GDDK".to_owned()));
    assert_eq!(source.outcomes(), counts([("stored", 2), ("duplicate", 1), ("bad_signature", 2)]));
    shop.is_the_same_rebuilt();
}

#[test]
fn an_address_is_there_for_its_source_alone() {
    let shop = Shop::open();
    let source = Source::add(&shop, "shopify", &[]);
    assert_eq!(shop.web.get(&source.path).status, 405);
    let order = payload("shopify_order.json");
    let another = source.path.replace("/hooks/1-", "/hooks/2-");
    for path in ["/hooks/x", "/hooks/1-", another.as_str()] {
        assert_eq!(
            source.send(path, &source.headers("orders/create", &order, SECRET, 0), &order).status,
            404,
            "{path}"
        );
    }
    let run = |arguments: &[&str]| {
        let mut line = vec!["source"];
        line.extend(arguments);
        line.extend(["--site", "shop"]);
        segments(&shop.database, &line)
    };
    succeeds(&run(&["set", &source.key, "--state", "paused"]));
    assert_eq!(source.tells("orders/create", &order), (0, 0, 1));
    succeeds(&run(&["set", &source.key, "--state", "active", "--secret", "a newer secret"]));
    assert_eq!(source.is_forged("orders/create", &order), 401);
    let newer = source.headers("orders/create", &order, "a newer secret", 0);
    assert_eq!(source.send(&source.path, &newer, &order).receipt(), (1, 0, 0));
    let told = fails(&run(&["add", "--kind", "shopify", "--name", "Main  Shop!", "--secret", SECRET]));
    assert!(told.contains("shopify:main-shop"), "{told}");
    assert!(
        fails(&run(&["add", "--kind", "sendgrid", "--name", "Mail", "--secret", "no key at all"]))
            .contains("verification key")
    );
    succeeds(&run(&["remove", &source.key]));
    assert_eq!(source.send(&source.path, &newer, &order).status, 404);
    assert!(fails(&run(&["remove", &source.key])).contains("there is no source"));
    assert_eq!(bought(&shop, "email=mia@example.com"), (1, 4_990), "its events stay");
}

#[test]
fn from_a_newsletters_click_to_the_refund_it_is_one_person_and_a_merge_of_it_can_be_undone() {
    let shop = Shop::open();
    let source = Source::add(&shop, "shopify", &[]);
    let hours_ago = |hours: i64| now_ms() - hours * 60 * MINUTE_S * 1_000;
    // The click leads to the blog, with the campaign in the address.
    let mailing =
        json!({ "campaign": "autumn", "urls": ["https://shop.example/blog"], "recipients": ["mia@example.com"] });
    let made = shop.call("POST", "/api/v1/newsletters", &mailing).json();
    let click = made["recipients"]["mia@example.com"]["clicks"]["https://shop.example/blog"].as_str().expect("a link");
    let led = shop.web.get(click.strip_prefix(shop.web.origin()).expect("our own link"));
    let landing = led.header("location").expect("an address").strip_prefix("https://shop.example").expect("the shop's");
    // An anonymous visit, a second device, the sign-up on both.
    shop.visitor("phone").at(hours_ago(5)).views(landing).views("/blog/beans");
    shop.visitor("laptop").at(hours_ago(4)).views("/grinders").signs_in("u1");
    shop.visitor("phone").at(hours_ago(3)).views("/account").signs_in("u1");
    let at = jiff::Timestamp::from_millisecond(hours_ago(2)).expect("a moment").to_string();
    let signed_up = json!({ "type": "identify", "userId": "u1", "messageId": "m1", "timestamp": at,
                            "traits": { "email": "mia@example.com" } });
    assert_eq!(shop.server_says(&[signed_up]).receipt(), (1, 0, 0));
    // The shop tells of the order and of the refund.
    assert_eq!(source.tells("orders/create", &payload("shopify_order.json")), (1, 0, 0));
    assert_eq!(source.tells("refunds/create", &payload("shopify_refund.json")), (1, 0, 0));

    let profile = shop.profile("user_id=u1");
    for who in ["email=mia@example.com", &shop.visitor("phone").query(), &shop.visitor("laptop").query()] {
        assert_eq!(shop.profile_id(who), profile["profile_id"].as_i64().expect("a number"), "{who}");
    }
    let facts = &profile["facts"];
    assert_eq!(
        (&facts["first_channel"], &facts["orders"], &facts["revenue_minor"]),
        (&json!("email"), &json!(1), &json!(2_990))
    );
    let happened: Vec<&str> = profile["events"]
        .as_array()
        .expect("events")
        .iter()
        .rev()
        .map(|event| event["name"].as_str().or(event["kind"].as_str()).expect("a name"))
        .collect();
    let in_order = [
        "page",
        "page",
        "page",
        "identify",
        "page",
        "identify",
        "identify",
        "Order Completed",
        "Order Refunded",
        "Email Link Clicked",
    ];
    assert_eq!(happened, in_order, "the click was made by this test just now");
    shop.is_the_same_rebuilt();

    // It was not her laptop after all.
    let laptop = tests::speech::written(shop.visitor("laptop").id);
    let links = profile["identity"]["links"].as_array().expect("links");
    let wrong = links.iter().find(|link| !link["merged"].is_null() && link["from"]["value"] == *laptop);
    let undone =
        shop.call("POST", &format!("/api/v1/merges/{}/undo", wrong.expect("the merge")["link_id"]), &json!({}));
    assert_eq!(undone.status, 200, "{}", undone.body);
    let (mia, other) = (shop.profile("user_id=u1"), shop.profile(&shop.visitor("laptop").query()));
    assert_ne!(mia["profile_id"], other["profile_id"]);
    assert_eq!((&mia["facts"]["views"], &mia["facts"]["revenue_minor"]), (&json!(3), &json!(2_990)));
    assert_eq!((&other["facts"]["views"], &other["facts"]["orders"]), (&json!(1), &json!(0)));
    assert_eq!(other["identities"].as_array().map(Vec::len), Some(1));
    shop.is_the_same_rebuilt();
}
