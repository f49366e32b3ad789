//! Protocols of others, message by message: what is stored of what their SDKs send, and what is said to input that
//! makes no sense. `fixtures/protocols/NAME.json` has the requests, `NAME.stored.json` what must come of them; with
//! `SEGMENTS_UPDATE=1` the latter is written anew, and the change read.

use base64::Engine;
use collector::postgres::EmbeddedPostgres;
use serde_json::{Value, json};
use std::path::PathBuf;
use tests::cluster::Folder;
use tests::speech::{mint, now_ms, written};
use tests::web::{basic, gzip};
use tests::{Database, Keys, Reply, SOON, Shop, until};

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
        .replace("{basic}", &basic(&keys.write_key))
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
    let headers: Vec<(&str, String)> =
        headers.iter().map(|(name, value)| (name.as_str(), fill(value.as_str().expect("a header")))).collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
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

/// A request of each protocol that is stored as one event, with a body where it is a POST.
fn one_of_each(key: &str) -> Vec<(&'static str, String, String)> {
    let url = "https%3A%2F%2Fshop.example%2F";
    let post = |path: String, body: Value| ("POST", path, body.to_string());
    let get = |path: String| ("GET", path, String::new());
    let event = json!({ "event": "Seen", "distinct_id": "u1", "api_key": key });
    let visit = json!({ "n": "pageview", "u": "https://shop.example/", "d": key });
    let umami = json!({ "website": key, "hostname": "shop.example", "url": "/" });
    let payload = json!({ "e": "se", "se_ac": "Seen", "aid": key, "uid": "u1" });
    vec![
        post(format!("/beacon/v1/batch?writeKey={key}"), json!({ "batch": [says("rudder")] })),
        post("/batch/".into(), json!({ "api_key": key, "batch": [event] })),
        post("/e/".into(), json!([event])),
        post("/i/v0/e/".into(), event.clone()),
        post("/capture".into(), event),
        post("/com.snowplowanalytics.snowplow/tp2".into(), json!({ "schema": "x", "data": [payload] })),
        get(format!("/i?e=se&se_ac=Seen&uid=u1&aid={key}")),
        post("/api/event".into(), visit),
        post("/api/send".into(), json!({ "type": "event", "payload": umami })),
        get(format!("/matomo.php?rec=1&uid=u1&url={url}&idsite={key}")),
        post("/piwik.php".into(), json!({ "requests": [format!("?rec=1&uid=u1&url={url}&idsite={key}")] })),
        post(
            format!("/mp/collect?measurement_id=G-1&api_secret={key}"),
            json!({ "client_id": "1.2", "events": [{ "name": "seen" }] }),
        ),
        get(format!("/p.gif?e=Seen&id=u1&k={key}")),
    ]
}

fn says(message_id: &str) -> Value {
    json!({ "type": "track", "event": "Seen", "userId": "u1", "messageId": message_id, "channel": "web" })
}

fn sends(shop: &Shop, (method, path, body): &(&'static str, String, String), headers: &[(&str, &str)]) -> Reply {
    let headers = [&[("content-type", "text/plain")], headers].concat();
    shop.web.send(method, path, &headers, body.as_bytes())
}

#[test]
fn each_route_asks_for_a_known_key_and_answers_pages_of_the_site_alone() {
    let shop = Shop::open();
    for request in one_of_each("wk_nobody") {
        let reply = sends(&shop, &request, &[]);
        assert_eq!(reply.status, 401, "{} {}: {}", request.0, request.1, reply.body);
    }
    for (n, request) in one_of_each(&shop.keys.write_key).iter().enumerate() {
        let (method, path, _) = request;
        let at_home = sends(&shop, request, &[("origin", "https://shop.example")]);
        assert!(matches!(at_home.status, 200 | 202), "{method} {path}: {} {}", at_home.status, at_home.body);
        assert_eq!(at_home.header("access-control-allow-origin"), Some("https://shop.example"), "{path}");
        assert_eq!(shop.stored(), n as i64 + 1, "{path} stored one: {:?}", shop.outcomes());
        let elsewhere = sends(&shop, request, &[("origin", "https://evil.example")]);
        assert_eq!(elsewhere.status, 403, "{path}: {}", elsewhere.body);
        let bare = path.split('?').next().expect("a path");
        let asks = [("origin", "https://shop.example"), ("access-control-request-headers", "x-own")];
        let preflight = shop.web.send("OPTIONS", bare, &asks, b"");
        assert_eq!(
            (preflight.status, preflight.header("access-control-allow-headers")),
            (200, Some("x-own")),
            "{bare}"
        );
        let with_cookies = preflight.header("access-control-allow-credentials") == Some("true");
        assert_eq!(with_cookies, matches!(bare, "/i" | "/com.snowplowanalytics.snowplow/tp2"), "{bare}");
        assert_eq!(sends(&shop, &("PUT", path.clone(), String::new()), &[]).status, 405, "{path}");
    }
}

#[test]
fn a_body_that_cannot_be_read_is_400_one_that_is_too_large_413_and_gzip_is_opened_everywhere() {
    let shop = Shop::open();
    let posts: Vec<_> =
        one_of_each(&shop.keys.secret_key).into_iter().filter(|(method, ..)| *method == "POST").collect();
    for (n, (method, path, body)) in posts.iter().enumerate() {
        for broken in ["{\"batch\":[{]}", "{", "[1,2"] {
            let reply = sends(&shop, &(method, path.clone(), broken.to_owned()), &[]);
            // What begins like no bulk is parameters to Matomo, which then name no site.
            let expected = if path == "/piwik.php" && !broken.starts_with('{') { 401 } else { 400 };
            assert_eq!(reply.status, expected, "{path} {broken}: {}", reply.body);
        }
        let large = shop.web.post(path, &vec![b' '; (2 << 20) + 1]);
        assert_eq!(large.status, 413, "{path}: {}", large.body);
        let reply = shop.web.post(path, &gzip(body.as_bytes()));
        assert!(matches!(reply.status, 200 | 202), "{path}: {}", reply.body);
        assert_eq!(shop.stored(), n as i64 + 1, "{path} in gzip: {:?}", shop.outcomes());
    }
    let many: Vec<Value> = (0..2_501).map(|_| json!({ "event": "Seen", "distinct_id": "u1" })).collect();
    let reply = shop.web.post_json("/batch/", &json!({ "api_key": shop.keys.secret_key, "batch": many }));
    assert_eq!(reply.status, 413, "{}", reply.body);
}

/// Members of a JSON object that no event may have, as no JSON library writes them, and the reason for which it is
/// rejected.
fn bad_members() -> Vec<(&'static str, Vec<u8>)> {
    let deep = format!("\"x\":{}1{}", "[".repeat(64), "]".repeat(64));
    let large = format!("\"x\":\"{}\"", "x".repeat(33 << 10));
    vec![
        ("nul_character", br#""x":"a\u0000b""#.to_vec()),
        ("bad_text", br#""x":"\ud800""#.to_vec()),
        ("bad_text", b"\"x\":\"\xff\xfe\"".to_vec()),
        ("number_out_of_range", br#""x":1e400"#.to_vec()),
        ("too_deep", deep.into_bytes()),
        ("too_large", large.into_bytes()),
    ]
}

#[test]
fn a_bad_event_of_a_batch_spares_its_neighbours_in_every_protocol() {
    let shop = Shop::open();
    let key = &shop.keys.secret_key;
    // What stands before and after the list, and an event to which one more member can be added.
    let protocols = [
        (
            "posthog",
            "/batch/",
            format!(r#"{{"api_key":"{key}","batch":["#),
            "]}",
            r#"{"event":"Seen","distinct_id":"u1","properties":{MEMBER}}"#,
        ),
        ("snowplow", "/com.snowplowanalytics.snowplow/tp2", r#"{"data":["#.to_owned(), "]}", SNOWPLOW_EVENT),
        (
            "ga4",
            "/mp/collect?api_secret=KEY",
            r#"{"client_id":"1.2","events":["#.to_owned(),
            "]}",
            r#"{"name":"seen","params":{MEMBER}}"#,
        ),
        (
            "rudderstack",
            "/v1/batch",
            format!(r#"{{"writeKey":"{key}","batch":["#),
            "]}",
            r#"{"channel":"server","type":"track","event":"Seen","userId":"u1","properties":{MEMBER}}"#,
        ),
        (
            "matomo",
            "/matomo.php",
            format!(r#"{{"token_auth":"{key}","requests":["#),
            "]}",
            r#"{"idsite":"KEY","uid":"u1","url":"https://shop.example/","dimension1":{MEMBER}}"#,
        ),
    ];
    for (source, path, before, after, event) in protocols {
        let stored = shop.stored();
        let mut body = before.into_bytes();
        let with = |member: &[u8]| {
            let event = event.replace("KEY", key);
            let (front, back) = event.split_once("MEMBER").expect("a place for a member");
            [front.as_bytes(), member, back.as_bytes()].concat()
        };
        body.extend(with(b""));
        for (_, bad) in bad_members() {
            for member in [&bad[..], b"\"fine\":1"] {
                body.push(b',');
                body.extend(with(member));
            }
        }
        body.extend_from_slice(after.as_bytes());
        let reply = shop.web.post(&path.replace("KEY", key), &body);
        assert_eq!(reply.status, 200, "{source}: {}", reply.body);
        // A parameter of Matomo's is text, in which these are nothing but characters.
        let is_harmless = |reason: &str| source == "matomo" && matches!(reason, "nul_character" | "too_deep");
        let harmless = bad_members().iter().filter(|(reason, _)| is_harmless(reason)).count();
        let good = bad_members().len() + 1 + harmless;
        assert_eq!(shop.stored() - stored, good as i64, "{source}: {:?}", shop.rejected());
        for reason in bad_members().iter().map(|(reason, _)| reason).filter(|reason| !is_harmless(reason)) {
            let counted = format!("SELECT count(*) FROM rejections WHERE source = '{source}' AND reason = '{reason}'");
            let expected = bad_members().iter().filter(|(other, _)| other == reason).count() as i64;
            assert_eq!(shop.database.number(&counted), expected, "{source}: {reason}");
        }
    }
}

const SNOWPLOW_EVENT: &str = r#"{"aid":"KEY","e":"pv","uid":"u1","url":"https://shop.example/","x":{MEMBER}}"#;

#[test]
fn posthogs_packings_are_all_opened() {
    let shop = Shop::open();
    let event = |n: usize| {
        json!([{ "event": format!("Packed {n}"), "properties": { "token": shop.keys.write_key, "distinct_id": "u1" } }])
            .to_string()
    };
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let escape = |text: &str| text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let form = format!("data={}", escape(&encode(event(0).as_bytes())));
    let unescaped = format!("data={}", encode(event(1).as_bytes()));
    let zipped = format!("compression=gzip-js&data={}", escape(&encode(&gzip(event(2).as_bytes()))));
    let plain = format!("data={}", event(3).replace('{', "%7B").replace('"', "%22"));
    let bodies: [(&str, Vec<u8>); 6] = [
        ("/e/?compression=base64", form.into_bytes()),
        ("/e/?compression=base64", unescaped.into_bytes()),
        ("/e/", zipped.into_bytes()),
        ("/e/", plain.into_bytes()),
        ("/i/v0/e/?compression=gzip-js", gzip(event(4).as_bytes())),
        ("/e/?compression=base64", encode(event(5).as_bytes()).into_bytes()),
    ];
    for (n, (path, body)) in bodies.iter().enumerate() {
        let reply = shop.web.post(path, body);
        assert_eq!(reply.status, 200, "{n}: {}", reply.body);
        assert_eq!(reply.json()["stored"], 1, "{n}: {}", reply.body);
    }
    let by_get = shop.web.get(&format!("/e/?data={}", escape(&encode(event(6).as_bytes()))));
    assert_eq!((by_get.status, &by_get.json()["stored"]), (200, &json!(1)), "{}", by_get.body);
    assert_eq!(shop.web.post("/e/?compression=lz64", b"data=N4Ig5gpgTghgNjEA").status, 400, "none that we open");
    let bomb = format!("data={}", escape(&encode(&gzip(&vec![b' '; 200 << 20]))));
    assert_eq!(shop.web.post("/e/", bomb.as_bytes()).status, 413);
    let flags = shop.web.post_json("/flags/?v=2", &json!({ "token": shop.keys.write_key, "distinct_id": "u1" }));
    assert_eq!((flags.status, &flags.json()["flags"]), (200, &json!({})), "{}", flags.body);
    let decided = shop.web.post_json("/decide/?v=3", &json!({ "api_key": shop.keys.write_key }));
    assert_eq!(decided.json()["featureFlags"], json!({}));
    let hostile = shop.web.get("/array/%22);alert(1);(%22/config.js");
    assert_eq!(hostile.status, 401, "no key is written into a script that is not one: {}", hostile.body);
}

#[test]
fn visitors_without_ids_are_told_apart_by_the_address_that_a_trusted_proxy_gives() {
    let shop = Shop::with(&["--trusted-proxy", "127.0.0.1"]);
    let visit = |address: &str, agent: &str| {
        let body = json!({ "n": "pageview", "u": "https://shop.example/", "d": "Shop.Example" }).to_string();
        let headers = [("x-forwarded-for", address), ("user-agent", agent)];
        let reply = shop.web.send("POST", "/api/event", &headers, body.as_bytes());
        assert_eq!((reply.status, reply.body.as_str()), (202, "ok"));
    };
    for (address, agent) in [("203.0.113.7", "A"), ("203.0.113.7", "A"), ("203.0.113.8", "A"), ("203.0.113.7", "B")] {
        visit(address, agent);
    }
    visit("198.51.100.1, 203.0.113.7", "A");
    shop.is_projected();
    let views = shop.database.rows("SELECT views FROM sessions ORDER BY views");
    let views: Vec<i64> = views.iter().filter_map(|row| row["views"].as_i64()).collect();
    assert_eq!(views, [1, 1, 3], "what stands before the proxy's own word is made up");
    assert_eq!(shop.database.number("SELECT count(*) FROM measured_loads"), 3, "one row for a visitor's day");
    // Where two sites have the domain, it says nothing.
    let other = shop.neighbour("other");
    shop.database.run(&format!("UPDATE sites SET domains = '{{shop.example}}' WHERE site_id = {}", other.site_id));
    until("the server to know", SOON, || {
        let body = json!({ "n": "pageview", "u": "https://shop.example/", "d": "shop.example" });
        (shop.web.post_json("/api/event", &body).status == 401).then_some(())
    });
}

#[test]
fn a_browser_that_asks_for_privacy_is_measured_whatever_its_library_knows() {
    let shop = Shop::open();
    for signal in [("sec-gpc", "1"), ("dnt", "1")] {
        for request in one_of_each(&shop.keys.write_key) {
            if request.1.starts_with("/mp/collect") {
                continue;
            }
            sends(&shop, &request, &[signal]);
        }
    }
    let message =
        json!({ "type": "identify", "userId": "u1", "messageId": "who", "traits": { "email": "m@mail.example" } });
    let batch = json!({ "writeKey": shop.keys.write_key, "batch": [message, says("once"), says("once")] });
    let reply = shop.web.send("POST", "/v1/batch", &[("sec-gpc", "1")], batch.to_string().as_bytes());
    assert_eq!(reply.receipt(), (1, 1, 1), "known again by its id; nobody is told who it is");
    assert_eq!(shop.rejected().get("no_consent"), Some(&1));
    shop.is_projected();
    let kinds = shop.database.number("SELECT count(*) FROM identities WHERE kind <> 8");
    assert_eq!((kinds, shop.database.number("SELECT count(*) FROM profiles")), (0, 0));
    assert_eq!(shop.ask("/api/v1/profiles?user_id=u1").status, 404);
    // A server's own headers say nothing of its customers.
    let (path, key) = ("/v1/track", basic(&shop.keys.secret_key));
    let headers = [("authorization", key.as_str()), ("dnt", "1")];
    assert_eq!(shop.web.send("POST", path, &headers, says("server").to_string().as_bytes()).receipt(), (1, 0, 0));
    shop.is_projected();
    assert!(shop.profile_id("user_id=u1") > 0);
}

#[test]
fn trust_and_message_ids_mean_the_same_in_every_protocol() {
    let shop = Shop::open();
    let identify = |key: &str, uuid: &str| {
        let event = json!({
            "event": "$identify", "uuid": uuid, "distinct_id": "u1", "properties": { "$set": { "email": "mia@mail.example" } },
        });
        shop.web.post_json("/batch/", &json!({ "api_key": key, "batch": [event] }))
    };
    assert_eq!(identify(&shop.keys.write_key, "p-1").json()["stored"], 1);
    shop.is_projected();
    assert_eq!(shop.ask("/api/v1/profiles?email=mia@mail.example").status, 404, "anybody can type an address");
    assert_eq!(identify(&shop.keys.secret_key, "p-1").json()["stored"], 1, "a public key cannot take a server's id");
    assert_eq!(identify(&shop.keys.secret_key, "p-1").json()["duplicate"], 1);
    assert_eq!(shop.profile_id("email=mia@mail.example"), shop.profile_id("user_id=u1"));
    // The same message by another route of the same protocol, in a list, alone, and with the key in Basic auth.
    let message = says("r-1");
    let key = [("authorization", basic(&shop.keys.secret_key))];
    let key: Vec<(&str, &str)> = key.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let alone = shop.web.send("POST", "/v1/track", &key, message.to_string().as_bytes());
    let batch = json!({ "batch": [message] }).to_string();
    assert_eq!(alone.receipt(), (1, 0, 0));
    assert_eq!(shop.web.send("POST", "/v1/batch", &key, batch.as_bytes()).receipt(), (0, 1, 0));
    assert_eq!(shop.web.send("POST", "/beacon/v1/batch", &key, batch.as_bytes()).receipt(), (0, 1, 0));
    assert_eq!(shop.brought("rudderstack"), [("Seen".to_owned(), 1)].into());
}

#[test]
fn a_flood_of_pictures_is_429_with_its_time() {
    let shop = Shop::with(&["--address-rate", "5"]);
    let ask = || shop.web.get(&format!("/p.gif?e=Seen&k={}", shop.keys.write_key));
    let refused = (0..400).map(|_| ask()).find(|reply| reply.status != 200).expect("a limit");
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert!(refused.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()));
}

#[test]
fn while_nothing_can_be_stored_every_protocol_is_told_to_come_again() {
    let folder = Folder::make();
    let postgres = EmbeddedPostgres::claim(folder.path()).expect("PostgreSQL");
    let shop = Shop::on(Database::of_folder(folder.path()), &[]);
    let requests = one_of_each(&shop.keys.write_key);
    assert_eq!(sends(&shop, &requests[0], &[]).status, 200);
    drop(postgres);
    for request in &requests {
        let reply = sends(&shop, request, &[]);
        assert_eq!(reply.status, 503, "{}: {}", request.1, reply.body);
        assert!(reply.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()), "{}", request.1);
    }
    let postgres = EmbeddedPostgres::claim(folder.path()).expect("PostgreSQL again");
    until("events to be stored again", SOON, || (sends(&shop, &requests[1], &[]).status == 200).then_some(()));
    drop(shop);
    drop(postgres);
}
