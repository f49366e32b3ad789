use super::*;
use domain::event::Trust;
use std::collections::HashMap;

const NOW_US: i64 = 1_795_000_000_000_000;
const SECRET: &str = "a test's secret";

pub(in crate::intake) fn site() -> crate::store::sites::Site {
    crate::store::sites::Site {
        site_id: 1,
        name: "shop".into(),
        domains: vec!["shop.example".into()],
        currency: domain::money::Currency::EUR,
        time_zone: jiff::tz::TimeZone::UTC,
        write_key: String::new(),
        secret_key_hash: Vec::new(),
        tag_consent: crate::store::sites::TagConsent::Measure,
        browser_orders: crate::store::sites::BrowserOrders::Auto,
        trusted_orders_seen: false,
        identity_secret: String::new(),
        signed_identify: false,
        plan: Arc::default(),
        bots: crate::store::sites::Bots::Exclude,
        bot_limit: 50,
    }
}

/// What a vendor's request with these headers tells.
fn told(
    vendor: Vendor,
    settings: &Settings,
    headers: &[(&str, String)],
    query: &str,
    body: &str,
) -> Result<Told, Unsigned> {
    let headers: HashMap<&str, &String> = headers.iter().map(|(name, value)| (*name, value)).collect();
    let request =
        Request { header: &|name| headers.get(name).map(|value| (*value).clone()), query, body: body.as_bytes() };
    let sender = Sender::new(Arc::new(site()), "vendor:test", Trust::Trusted, NOW_US, None, None);
    read(vendor, SECRET, settings, &request, &sender)
}

fn hmac(parts: &[&str]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    parts.iter().for_each(|part| mac.update(part.as_bytes()));
    mac.finalize().into_bytes().to_vec()
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shopify(topic: &str, settings: &Settings, body: &Value) -> Told {
    let body = body.to_string();
    let signature = STANDARD.encode(hmac(&[&body]));
    let headers = [("x-shopify-hmac-sha256", signature), ("x-shopify-topic", topic.to_owned())];
    told(Vendor::Shopify, settings, &headers, "", &body).unwrap()
}

fn names(told: &Told) -> Vec<(String, String)> {
    let who = |event: &NewEvent| match &event.who {
        Who::Known { kind, value } => format!("{kind} {value}"),
        Who::Measured { .. } => "measured".to_owned(),
    };
    let name = |event: &NewEvent| {
        event.text(crate::store::events::Term::Name).map_or_else(|| event.kind.label().to_owned(), ToString::to_string)
    };
    told.events.iter().map(|event| (name(event), who(event))).collect()
}

fn message_hashes(told: &Told) -> Vec<crate::store::events::EventKey> {
    use crate::store::events::EventKey;
    let hash = |key: EventKey| match key {
        EventKey::Foreign { message_hash, .. } => EventKey::Own(message_hash),
        key => key,
    };
    told.events.iter().map(|event| hash(event.key)).collect()
}

fn order() -> Value {
    serde_json::json!({
        "id": 5001, "order_number": 1001, "email": "mia@example.com", "created_at": "2026-11-15T10:00:00+01:00",
        "updated_at": "2026-11-15T10:05:00+01:00", "total_price": "40.00", "currency": "EUR",
        "customer": {"id": 77}, "refunds": [{
            "id": 9, "created_at": "2026-11-16T10:00:00+01:00", "transactions": [
                {"kind": "refund", "status": "success", "amount": "10.00", "currency": "EUR"},
                {"kind": "refund", "status": "failure", "amount": "30.00", "currency": "EUR"},
                {"kind": "void", "status": "success", "amount": "30.00", "currency": "EUR"},
            ]}],
    })
}

#[test]
fn a_signature_is_checked_before_anything_is_read() {
    let shopify = |signature: Option<String>| {
        let headers: Vec<_> = signature.map(|given| ("x-shopify-hmac-sha256", given)).into_iter().collect();
        told(Vendor::Shopify, &Settings::default(), &headers, "", "no JSON at all").map(|told| told.rejections.len())
    };
    assert_eq!(shopify(None), Err(Unsigned::Missing));
    assert_eq!(shopify(Some("no base64".into())), Err(Unsigned::Wrong));
    assert_eq!(shopify(Some(STANDARD.encode(hmac(&["another body"])))), Err(Unsigned::Wrong));
    assert_eq!(shopify(Some(STANDARD.encode(hmac(&["no JSON at all"])))), Ok(1));
    let request = Request { header: &|_| None, query: "", body: b"" };
    let sender = Sender::new(Arc::new(site()), "vendor:test", Trust::Trusted, NOW_US, None, None);
    for vendor in Vendor::ALL {
        let unset = read(vendor, "", &Settings::default(), &request, &sender).map(|told| told.events.len());
        assert_eq!(unset, Err(Unsigned::NoSecret), "{vendor:?}");
    }
}

#[test]
fn stripes_signature_is_of_its_time_and_may_be_five_minutes_old() {
    let body = r#"{"id":"evt_1","type":"product.created","created":1795000000,"data":{"object":{}}}"#;
    let sent = |age_s: i64, further: &str| {
        let time = (NOW_US / 1_000_000 - age_s).to_string();
        let header = format!("t={time},{further}v1={}", digits(&hmac(&[&time, ".", body])));
        told(Vendor::Stripe, &Settings::default(), &[("stripe-signature", header)], "", body)
            .map(|told| told.rejections.len())
    };
    assert_eq!(sent(0, ""), Ok(1), "a kind of event that is not read");
    assert_eq!(sent(300, "v1=00ff,v0=abc,"), Ok(1), "one of several signatures is right");
    assert_eq!(sent(301, ""), Err(Unsigned::TooOld));
    assert_eq!(sent(-301, ""), Err(Unsigned::TooOld));
    // The time is signed: it cannot be made younger.
    let header = format!("t={},v1={}", NOW_US / 1_000_000, digits(&hmac(&["1700000000", ".", body])));
    let younger = told(Vendor::Stripe, &Settings::default(), &[("stripe-signature", header)], "", body);
    assert_eq!(younger.err(), Some(Unsigned::Wrong));
}

#[test]
fn klaviyos_time_is_read_in_every_way_it_is_written() {
    let body = r#"{"data":[],"meta":{"klaviyo_webhook_id":"w1"}}"#;
    let sent = |time: &str, id: &str| {
        let headers = [
            ("klaviyo-signature", digits(&hmac(&[body, time]))),
            ("klaviyo-timestamp", time.to_owned()),
            ("klaviyo-webhook-id", id.to_owned()),
        ];
        told(Vendor::Klaviyo, &Settings::default(), &headers, "", body).map(|_| ())
    };
    let now = jiff::Timestamp::from_microsecond(NOW_US).unwrap();
    let mail = jiff::fmt::rfc2822::to_string(&now.to_zoned_datetime(jiff::tz::TimeZone::UTC)).unwrap();
    for time in [now.as_second().to_string(), now.to_string(), mail] {
        assert_eq!(sent(&time, "w1"), Ok(()), "{time}");
    }
    assert_eq!(sent("2026-01-01T00:00:00Z", "w1"), Err(Unsigned::TooOld));
    assert_eq!(sent("some day", "w1"), Err(Unsigned::Wrong));
    assert_eq!(sent(&now.to_string(), "w2"), Err(Unsigned::Wrong), "the body names another webhook");
}

#[test]
fn an_order_has_one_message_id_for_its_placing_whatever_topic_tells_of_it() {
    let created = shopify("orders/create", &Settings::default(), &order());
    let updated = shopify("orders/updated", &Settings::default(), &order());
    let named = names(&created);
    assert_eq!(named[0], ("Order Completed".into(), "external shopify:77".into()));
    assert_eq!(named[1], ("Order Refunded".into(), "order 5001".into()));
    let kinds: Vec<String> = names(&updated).into_iter().map(|(name, _)| name).collect();
    assert_eq!(kinds, ["Order Completed", "Order Updated", "Order Refunded"]);
    let (created, updated) = (message_hashes(&created), message_hashes(&updated));
    assert_eq!((created[0], created[1]), (updated[0], updated[2]));
    // Long after, the message id of its placing is forgotten: only what changed is told.
    let mut old = order();
    old["created_at"] = "2026-10-01T10:00:00Z".into();
    let old = names(&shopify("orders/updated", &Settings::default(), &old));
    assert_eq!(old[0], ("Order Updated".into(), "order 5001".into()));
}

#[test]
fn a_refund_is_what_its_successful_transactions_gave_back() {
    let told = shopify("orders/create", &Settings::default(), &order());
    let said: Value = serde_json::from_str(told.events[1].properties.as_deref().unwrap()).unwrap();
    assert_eq!((&said["amount"], &said["refund_id"]), (&"10.00".into(), &"9".into()));
    let restocked = serde_json::json!({"id": 10, "order_id": 5001, "transactions": []});
    assert_eq!(names(&shopify("refunds/create", &Settings::default(), &restocked)), []);
}

#[test]
fn an_order_of_too_many_lines_for_one_event_goes_without_them() {
    let mut large = order();
    let line = serde_json::json!({"title": "x".repeat(250), "price": "1.00", "quantity": 1});
    large["line_items"] = vec![line; 200].into();
    let told = shopify("orders/create", &Settings::default(), &large);
    let said: Value = serde_json::from_str(told.events[0].properties.as_deref().unwrap()).unwrap();
    assert_eq!((&said["total"], &said["products_left_out"]), (&"40.00".into(), &true.into()));
}

#[test]
fn a_further_shop_has_order_and_customer_numbers_of_its_own() {
    let settings = Settings { namespace: Some("second".into()), order_ids: OrderIds::Number, ..Settings::default() };
    let named = names(&shopify("orders/create", &settings, &order()));
    assert_eq!(named[0].1, "external second:77");
    assert_eq!(named[1].1, "order second:1001");
    // A refund by itself knows the system's id of its order alone.
    let refund = &order()["refunds"][0];
    assert_eq!(names(&shopify("refunds/create", &settings, refund)), []);
}

#[test]
fn a_ping_of_woocommerce_is_answered_and_nothing_else_goes_unsigned() {
    let ping =
        |body: &str| told(Vendor::WooCommerce, &Settings::default(), &[], "", body).map(|told| told.events.len());
    assert_eq!(ping("webhook_id=17"), Ok(0));
    assert_eq!(ping("webhook_id=17&status=completed"), Err(Unsigned::Missing));
    assert_eq!(ping("{}"), Err(Unsigned::Missing));
}

#[test]
fn settings_are_kept_as_they_were_said() {
    let all = Settings { namespace: Some("second".into()), order_ids: OrderIds::Number, ..Settings::default() };
    let kept = serde_json::to_value(&all).unwrap();
    assert_eq!(kept, serde_json::json!({"namespace": "second", "order_ids": "number"}));
    assert_eq!(serde_json::from_value::<Settings>(kept).unwrap(), all);
    assert_eq!(serde_json::to_value(Settings::default()).unwrap(), serde_json::json!({}));
}
