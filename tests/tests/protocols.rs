//! Protocols of others, message by message: what is stored of what their SDKs send, and what is said to input that
//! makes no sense. `fixtures/protocols/NAME.json` has the requests, `NAME.stored.json` what must come of them; with
//! `SEGMENTS_UPDATE=1` the latter is written anew, and the change read.

use base64::Engine;
use serde_json::{Value, json};
use std::path::PathBuf;
use tests::speech::{mint, now_ms, written};
use tests::web::{basic, gzip};
use tests::{Keys, Reply, SOON, Shop, until};

/// The names of the fixtures, which are those of the sources.
const NAMES: [&str; 8] = ["rudderstack", "posthog", "snowplow", "plausible", "umami", "matomo", "ga4", "pixel"];

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/protocols").join(name)
}

/// A text of a fixture with the keys and times of this run.
fn filled(text: &str, keys: &Keys, at_ms: i64, ids: &[String]) -> String {
    let now = jiff::Timestamp::from_millisecond(at_ms).expect("a moment").to_string();
    let mut text = text
        .replace("{write_key}", &keys.write_key)
        .replace("{secret_key}", &keys.secret_key)
        .replace("{now_ms}", &at_ms.to_string())
        .replace("{now}", &now);
    for (n, id) in ids.iter().enumerate() {
        text = text.replace(&format!("{{v7:{n}}}"), id);
    }
    text
}

/// Sends a request of a fixture, and holds the answer against what it expects.
#[track_caller]
fn send(shop: &Shop, request: &Value, fill: &dyn Fn(&str) -> String) -> Reply {
    let path = fill(request["path"].as_str().expect("a path"));
    let headers = request["headers"].as_object().expect("headers");
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str().expect("a header"))).collect();
    let body = match (&request["form_base64"], &request["body"]) {
        (Value::Null, Value::Null) => String::new(),
        (Value::Null, Value::String(form)) => fill(form),
        (Value::Null, json) => fill(&json.to_string()),
        (json, _) => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(fill(&json.to_string()));
            format!("data={}", encoded.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"))
        }
    };
    let reply = shop.web.send(request["method"].as_str().expect("a method"), &path, &headers, body.as_bytes());
    let answer = &request["answer"];
    assert_eq!(reply.status, answer["status"], "{path}: {}", reply.body);
    assert!(reply.header("cache-control").is_some_and(|value| value.contains("no-store")), "{path}");
    if answer["picture"] == true {
        assert_eq!(reply.header("content-type"), Some("image/gif"), "{path}");
        assert!(reply.body.starts_with("GIF89a"), "{path}");
    }
    if let Some(text) = answer["text"].as_str() {
        assert_eq!(reply.body, text, "{path}");
    }
    for (name, value) in answer["json"].as_object().into_iter().flatten() {
        assert_eq!(&reply.json()[name], value, "{path}: {}", reply.body);
    }
    reply
}

/// All that is stored of a site, and what was rejected.
fn stored(shop: &Shop, site_id: i32) -> Value {
    let events = shop.database.rows(&format!(
        "SELECT e.kind, n.value AS name, p.value AS page, t.value AS title, r.value AS referrer, c.value AS campaign,
            CASE WHEN a.value NOT LIKE 'ureq/%' THEN a.value END AS agent, d.value AS device, s.value AS source, e.flags, e.properties, e.max_scroll_pct,
            e.view_id IS NOT NULL AS of_a_view,
            CASE i.kind WHEN 7 THEN 'message' WHEN 8 THEN 'measured' ELSE i.kind || ' ' || i.value END AS who,
            CASE WHEN i.kind = 8 THEN NULL ELSE dense_rank() OVER (ORDER BY i.profile_id) END AS person
         FROM events e JOIN identities i USING (site_id, identity_id)
         LEFT JOIN terms n ON (n.site_id, n.term_id) = (e.site_id, e.name_id)
         LEFT JOIN terms p ON (p.site_id, p.term_id) = (e.site_id, e.page_id)
         LEFT JOIN terms t ON (t.site_id, t.term_id) = (e.site_id, e.title_id)
         LEFT JOIN terms r ON (r.site_id, r.term_id) = (e.site_id, e.referrer_id)
         LEFT JOIN terms c ON (c.site_id, c.term_id) = (e.site_id, e.campaign_id)
         LEFT JOIN terms a ON (a.site_id, a.term_id) = (e.site_id, e.agent_id)
         LEFT JOIN terms d ON (d.site_id, d.term_id) = (e.site_id, e.device_id)
         LEFT JOIN terms s ON (s.site_id, s.term_id) = (e.site_id, e.source_id)
         WHERE e.site_id = {site_id} ORDER BY e.kind, name, page, e.properties::text, who"
    ));
    let rejected = shop.database.rows(&format!(
        "SELECT source, reason, detail, sample FROM rejections WHERE site_id = {site_id} ORDER BY reason, detail, sample"
    ));
    let bare = |rows: Vec<Value>| -> Value {
        let of_row = |row: Value| match row {
            Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            other => other,
        };
        rows.into_iter().map(of_row).collect()
    };
    json!({ "events": bare(events), "rejected": bare(rejected) })
}

#[test]
fn each_protocols_messages_become_the_events_that_the_fixtures_name() {
    let shop = Shop::open();
    for name in NAMES {
        let keys = shop.neighbour(name);
        let text = std::fs::read_to_string(fixture(&format!("{name}.json"))).expect("a fixture");
        let requests: Value = serde_json::from_str(&text).expect("JSON");
        let at_ms = now_ms();
        let ids: Vec<String> = (0..10).map(|_| written(mint(at_ms))).collect();
        let fill = |text: &str| filled(text, &keys, at_ms, &ids);
        for request in requests["requests"].as_array().expect("requests") {
            send(&shop, request, &fill);
        }
        shop.is_projected();
        let told = serde_json::to_string_pretty(&stored(&shop, keys.site_id)).expect("JSON") + "\n";
        assert!(!told.contains(&keys.secret_key), "{name}: no sample shows the secret key");
        assert!(!told.contains("mail.example"), "{name}: an address in a link is not kept");
        let told = told.replace(&keys.write_key, "{write_key}").replace(&at_ms.to_string(), "{now_ms}");
        let told = ids.iter().enumerate().fold(told, |told, (n, id)| told.replace(id, &format!("{{v7:{n}}}")));
        let path = fixture(&format!("{name}.stored.json"));
        if std::env::var_os("SEGMENTS_UPDATE").is_some() {
            std::fs::write(&path, &told).expect("the expectation is written");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(told == expected, "{name}: {} differs; stored is now\n{told}", path.display());
    }
    shop.is_the_same_rebuilt();
}
