//! What the ingest routes take, what they refuse, and what they say of it.

use serde_json::{Value, json};
use tests::speech::{self, batch, now_ms, page, track, visitor_id};
use tests::web::{basic, gzip};
use tests::{SOON, Shop, Web, until};
use wire::Who;

const MIA: Who = Who::Visitor(*b"mia\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e");

/// A Segment message of somebody.
fn says(n: usize, rest: Value) -> Value {
    let mut message = json!({ "type": "track", "event": "Seen", "userId": "u1", "messageId": format!("m{n}") });
    message.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    message
}

/// The body of a batch whose messages are given as text, because no JSON library writes what is sent here.
fn raw_batch(key: &str, messages: &[String]) -> String {
    format!("{{\"writeKey\":\"{key}\",\"batch\":[{}]}}", messages.join(","))
}

#[test]
fn one_unstorable_event_of_500_is_rejected_and_the_others_are_stored() {
    let shop = Shop::open();
    let mut messages: Vec<String> = (0..500).map(|n| says(n, json!({})).to_string()).collect();
    messages[250] = says(250, json!({ "properties": { "note": "a\0b" } })).to_string();
    assert!(messages[250].contains("\\u0000"));
    let reply = shop.web.post("/v1/batch", raw_batch(&shop.keys.secret_key, &messages).as_bytes());
    assert_eq!(reply.receipt(), (499, 0, 1));
    assert_eq!(shop.stored(), 499);
    let outcomes = shop.outcomes();
    assert_eq!((outcomes.stored, outcomes.rejected["nul_character"]), (499, 1));
    let [rejected] = &outcomes.latest_rejected[..] else { panic!("{outcomes:?}") };
    assert_eq!(rejected["reason"], "nul_character");
    assert!(rejected["sample"].as_str().unwrap().contains("m250"), "the owner can look at it: {rejected}");
}

#[test]
fn each_event_that_cannot_be_stored_has_its_reason_and_spares_its_neighbours() {
    let shop = Shop::open();
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let with = |properties: &str| {
        format!(r#"{{"type":"track","event":"Bad","userId":"u1","properties":{{"a":{properties}}}}}"#)
    };
    // A message nests its properties two levels deep itself.
    let cases: Vec<(&str, String)> = vec![
        ("nul_character", with(r#""\u0000""#)),
        ("nul_character", r#"{"type":"track","event":"a\u0000","userId":"u1"}"#.to_owned()),
        ("nul_character", r#"{"type":"track","event":"a","userId":"u\u0000"}"#.to_owned()),
        ("bad_text", with(r#""\ud800""#)),
        ("bad_text", with(r#""\udc00 alone""#)),
        ("number_out_of_range", with("1e400")),
        ("number_out_of_range", with("-1e999")),
        ("too_deep", with(&deep(63))),
        ("too_large", with(&format!("\"{}\"", "x".repeat(33 << 10)))),
        ("missing_name", r#"{"type":"track","userId":"u1"}"#.to_owned()),
        ("missing_name", r#"{"type":"track","event":"  ","userId":"u1"}"#.to_owned()),
        ("missing_name", r#"{"type":"page","userId":"u1"}"#.to_owned()),
        ("missing_identity", r#"{"type":"track","event":"Seen"}"#.to_owned()),
        ("missing_identity", r#"{"type":"track","event":"Seen","userId":"null","anonymousId":"undefined"}"#.to_owned()),
        ("unknown_kind", r#"{"type":"telepathy","userId":"u1"}"#.to_owned()),
        ("unknown_kind", r#"{"event":"Seen","userId":"u1"}"#.to_owned()),
        ("date_out_of_range", r#"{"type":"track","event":"Seen","userId":"u1","timestamp":"yesterday"}"#.to_owned()),
        (
            "date_out_of_range",
            r#"{"type":"track","event":"Seen","userId":"u1","timestamp":"2026-02-30T00:00:00Z"}"#.to_owned(),
        ),
        (
            "date_out_of_range",
            r#"{"type":"track","event":"Seen","userId":"u1","timestamp":"+99999-01-01T00:00:00Z"}"#.to_owned(),
        ),
        (
            "date_out_of_range",
            r#"{"type":"track","event":"Seen","userId":"u1","timestamp":"1969-12-31T23:59:59Z"}"#.to_owned(),
        ),
        (
            "bad_order",
            r#"{"type":"track","event":"Order Completed","userId":"u1","properties":{"order_id":"o","total":"free"}}"#
                .to_owned(),
        ),
        ("unreadable", "17".to_owned()),
    ];
    let mut messages = vec![says(0, json!({})).to_string()];
    for (n, (_, bad)) in cases.iter().enumerate() {
        messages.push(bad.clone());
        messages.push(says(n + 1, json!({})).to_string());
    }
    let reply = shop.web.post("/v1/batch", raw_batch(&shop.keys.secret_key, &messages).as_bytes());
    let good = messages.len() - cases.len();
    assert_eq!(reply.receipt(), (good as u64, 0, cases.len() as u64), "{}", reply.body);
    let mut expected = std::collections::BTreeMap::new();
    for (reason, _) in &cases {
        *expected.entry((*reason).to_owned()).or_insert(0) += 1;
    }
    assert_eq!(shop.rejected(), expected);
    assert_eq!(shop.stored(), good as i64);
}

#[test]
fn the_limits_themselves_are_still_stored() {
    let shop = Shop::open();
    let nested = format!("{}1{}", "[".repeat(62), "]".repeat(62));
    let deepest = format!(r#"{{"type":"track","event":"Deep","userId":"u1","properties":{{"a":{nested}}}}}"#);
    let frame = r#"{"type":"track","event":"Big","userId":"u1","properties":{"a":""}}"#.len();
    let largest = format!(
        r#"{{"type":"track","event":"Big","userId":"u1","properties":{{"a":"{}"}}}}"#,
        "x".repeat((32 << 10) - frame)
    );
    let widest =
        r#"{"type":"track","event":"Wide","userId":"u1","properties":{"a":1.7e308,"b":-1e-300,"c":"😀\ud83d\ude00"}}"#;
    let longest = says(1, json!({ "event": "n".repeat(128) })).to_string();
    let messages = [deepest, largest, widest.to_owned(), longest];
    let reply = shop.web.post("/v1/batch", raw_batch(&shop.keys.secret_key, &messages).as_bytes());
    assert_eq!(reply.receipt(), (4, 0, 0), "{:?}", shop.outcomes());
}

#[test]
fn hostile_records_of_the_binary_form_are_rejected_alone() {
    let shop = Shop::open();
    let now = now_ms();
    let day = 86_400_000;
    let mut not_v7 = track(now, "Seen", json!({}));
    not_v7.id = [0xff; 16];
    let mut no_json = track(now, "Seen", json!({}));
    no_json.body = wire::Body::Track { name: "Seen".into(), properties: "{not json".into() };
    let mut nul = track(now, "Seen", json!({}));
    nul.body = wire::Body::Track { name: "Seen".into(), properties: "{\"a\":\"\\u0000\"}".into() };
    let events = [
        page(now, "https://shop.example/"),
        track(now, "with\0nul", Value::Null),
        nul,
        no_json,
        not_v7,
        page(now, "https://shop.example/\0"),
        page(now, "no address"),
        track(now, "", Value::Null),
        track(now, &"n".repeat(129), Value::Null),
        track(now, "Seen", json!({ "a": "x".repeat(33 << 10) })),
        page(now - 9 * day, "https://shop.example/old"),
        page(now + 2 * day, "https://shop.example/ahead"),
        track(now, "Order Completed", json!({ "order_id": "o", "total": "1,2,3" })),
        page(now, "https://shop.example/last"),
    ];
    let reply = shop.post(MIA, &events);
    assert_eq!(reply.receipt(), (2, 0, 12), "{}", reply.body);
    assert_eq!(reply.json()["clock"], true, "the tracker is told to mint anew");
    let rejected = shop.rejected();
    let count = |reason: &str| rejected.get(reason).copied().unwrap_or(0);
    assert_eq!(count("nul_character"), 3, "{rejected:?}");
    assert_eq!(count("unreadable"), 3, "{rejected:?}");
    assert_eq!(count("missing_name"), 1, "{rejected:?}");
    assert_eq!(count("too_large"), 2, "{rejected:?}");
    assert_eq!(count("clock_out_of_range"), 2, "{rejected:?}");
    assert_eq!(count("bad_order"), 1, "{rejected:?}");
}

#[test]
fn a_cut_off_binary_body_keeps_what_came_before_the_cut() {
    let shop = Shop::open();
    let now = now_ms();
    let events = [page(now, "https://shop.example/1"), page(now, "https://shop.example/2")];
    let body = batch(&shop.keys.write_key, MIA, &events);
    let reply = shop.web.post("/v1/events", &body[..body.len() - 5]);
    assert_eq!(reply.receipt(), (1, 0, 1), "{}", reply.body);
}

#[test]
fn the_json_form_of_the_wire_isolates_bad_records_too() {
    let shop = Shop::open();
    let now = now_ms();
    let id = || speech::written(speech::mint(now));
    let body = format!(
        r#"{{"v":1,"key":"{}","sent":{now},"visitor":"{}","events":[
        {{"kind":"page","id":"{}","at":{now},"url":"https://shop.example/"}},
        {{"kind":"track","id":"{}","at":{now},"name":"x\ud800"}},
        {{"kind":"track","id":"{}","at":{now},"name":"x","properties":{{"a":1e400}}}},
        {{"kind":"telepathy","id":"{}","at":{now}}},
        {{"kind":"track","id":"{}","at":{now},"name":"fine","properties":{{"a":"ä"}}}}]}}"#,
        shop.keys.write_key,
        speech::written(visitor_id("mia")),
        id(),
        id(),
        id(),
        id(),
        id(),
    );
    let reply = shop.web.post("/v1/events", body.as_bytes());
    assert_eq!(reply.receipt(), (2, 0, 3), "{}", reply.body);
    let mut broken = body.into_bytes();
    let at = broken.windows(2).position(|two| two == "ä".as_bytes()).unwrap();
    broken[at] = 0xff;
    let reply = shop.web.post("/v1/events", &broken);
    assert_eq!(reply.receipt(), (0, 1, 4), "bytes that are no UTF-8 spoil their own record only: {}", reply.body);
}

#[test]
fn a_body_that_cannot_be_read_at_all_is_400_and_says_what_and_where() {
    let shop = Shop::open();
    let mut header_only = batch(&shop.keys.write_key, MIA, &[]);
    header_only.truncate(10);
    let cases: [(&str, &[u8], &str); 7] = [
        ("/v1/events", b"", "byte 0"),
        ("/v1/events", b"hello", "byte 0"),
        ("/v1/events", &header_only, "byte"),
        ("/v1/events", b"{\"v\":2}", "byte"),
        ("/v1/batch", b"{\"batch\":[{]}", "column"),
        ("/v1/batch", b"{\"writeKey\":\"x\"}", "no batch"),
        ("/v1/track", b"[1,2", "column"),
    ];
    for (path, body, place) in cases {
        let reply = shop.web.post(path, body);
        assert_eq!(reply.status, 400, "{path} {body:?}: {}", reply.body);
        let error = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(place), "{path} {body:?}: {error}");
    }
    let mut cut = gzip(&batch(&shop.keys.write_key, MIA, &[page(now_ms(), "https://shop.example/")]));
    cut.truncate(cut.len() - 9);
    assert_eq!(shop.web.post("/v1/events", &cut).status, 400);
}

#[test]
fn keys_and_methods_are_checked() {
    let shop = Shop::open();
    let event = [page(now_ms(), "https://shop.example/")];
    let reply = shop.web.post("/v1/events", &batch("wk_nobody", MIA, &event));
    assert_eq!(reply.status, 401);
    assert!(reply.json()["error"].as_str().unwrap().contains("write key"), "{}", reply.body);
    let message = json!({ "batch": [says(1, json!({}))] });
    assert_eq!(shop.web.post_json("/v1/batch", &message).status, 401, "no key at all");
    let secret = shop.keys.secret_key.replace("sk_", "sk_x");
    assert_eq!(
        shop.web
            .send("POST", "/v1/batch", &[("authorization", &basic(&secret))], message.to_string().as_bytes())
            .status,
        401
    );
    for path in ["/v1/events", "/v1/batch", "/v1/track", "/v1/t"] {
        for method in ["GET", "PUT", "DELETE", "PATCH"] {
            let reply = shop.web.send(method, path, &[], b"");
            assert_eq!(reply.status, 405, "{method} {path}: {}", reply.body);
        }
    }
    assert_eq!(shop.web.post("/v1/nothing", b"{}").status, 404);
    assert_eq!(shop.stored(), 0);
    assert_eq!(shop.ask("/api/v1/outcomes").status, 200);
    for key in [shop.keys.write_key.as_str(), "sk_nobody", ""] {
        let reply = shop.web.send("GET", "/api/v1/outcomes", &[("authorization", &format!("Bearer {key}"))], b"");
        assert_eq!(reply.status, 401, "{key:?} is no secret key");
    }
}

#[test]
fn what_is_too_large_is_413_and_stores_nothing() {
    let shop = Shop::open();
    let event = |n: usize| page(now_ms(), &format!("https://shop.example/{n}"));
    let many: Vec<_> = (0..2_501).map(event).collect();
    let reply = shop.post(MIA, &many);
    assert_eq!(reply.status, 413, "{}", reply.body);
    assert!(reply.body.contains("2501") && reply.body.contains("2500"), "value and limit: {}", reply.body);
    let messages: Vec<Value> = (0..2_501).map(|n| says(n, json!({}))).collect();
    assert_eq!(shop.server_says(&messages).status, 413);
    let large = raw_batch(&shop.keys.secret_key, &[says(1, json!({ "pad": "x".repeat(2 << 20) })).to_string()]);
    assert_eq!(shop.web.post("/v1/batch", large.as_bytes()).status, 413);
    let bomb = gzip(&vec![b' '; 200 << 20]);
    assert!(bomb.len() < 1 << 20, "a small body");
    for path in ["/v1/events", "/v1/batch", "/v1/track"] {
        assert_eq!(shop.web.post(path, &bomb).status, 413, "{path}");
    }
    assert_eq!(shop.stored(), 0);
    assert_eq!(shop.post(MIA, &many[..2_500]).receipt(), (2_500, 0, 0), "the limit itself is stored");
}

#[test]
fn gzip_is_opened_whatever_the_content_type_says() {
    let shop = Shop::open();
    let types = ["text/plain", "application/json", "application/x-www-form-urlencoded", "application/octet-stream"];
    for (n, kind) in types.into_iter().enumerate() {
        let body = json!({ "writeKey": shop.keys.secret_key, "batch": [says(n, json!({}))] }).to_string();
        let headers = [("content-type", kind), ("content-encoding", "gzip")];
        let told = shop.web.send("POST", "/v1/batch", &headers, &gzip(body.as_bytes()));
        assert_eq!(told.receipt(), (1, 0, 0), "{kind}");
        let untold = shop.web.send("POST", "/v1/batch", &headers[..1], &gzip(body.as_bytes()));
        assert_eq!(untold.receipt(), (0, 1, 0), "{kind}, not named in a header");
        let lie = shop.web.send("POST", "/v1/batch", &headers, body.as_bytes());
        assert_eq!(lie.receipt(), (0, 1, 0), "{kind}, named but plain");
    }
    let event = [page(now_ms(), "https://shop.example/")];
    let body = batch(&shop.keys.write_key, MIA, &event);
    assert_eq!(shop.web.post("/v1/events", &gzip(&body)).receipt(), (1, 0, 0));
    assert_eq!(shop.web.post("/v1/events", &body).receipt(), (0, 1, 0));
}

#[test]
fn every_message_route_takes_its_kind_and_the_key_in_basic_auth_or_in_the_body() {
    let shop = Shop::open();
    let key = basic(&shop.keys.secret_key);
    let routes = [
        ("track", json!({ "event": "Seen" })),
        ("identify", json!({ "traits": { "plan": "pro" } })),
        ("page", json!({ "properties": { "url": "https://shop.example/x" } })),
        ("screen", json!({ "name": "Home" })),
        ("group", json!({ "groupId": "g1" })),
        ("alias", json!({ "previousId": "u0" })),
        ("t", json!({ "event": "Seen" })),
        ("i", json!({})),
        ("p", json!({ "name": "Home" })),
        ("s", json!({ "name": "Home" })),
        ("g", json!({ "groupId": "g1" })),
        ("a", json!({ "previousId": "u0" })),
    ];
    for (n, (route, rest)) in routes.iter().enumerate() {
        let mut message = json!({ "userId": "u1", "messageId": format!("basic-{n}") });
        message.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let path = format!("/v1/{route}");
        let reply = shop.web.send("POST", &path, &[("authorization", &key)], message.to_string().as_bytes());
        assert_eq!(reply.receipt(), (1, 0, 0), "{route}: {} {:?}", reply.body, shop.outcomes().latest_rejected);
        message["messageId"] = json!(format!("body-{n}"));
        message["writeKey"] = json!(shop.keys.secret_key);
        assert_eq!(shop.web.post_json(&path, &message).receipt(), (1, 0, 0), "{route}");
    }
    for (n, route) in ["batch", "b", "import"].into_iter().enumerate() {
        let body = json!({ "batch": [says(100 + n, json!({}))] }).to_string();
        let reply = shop.web.send("POST", &format!("/v1/{route}"), &[("authorization", &key)], body.as_bytes());
        assert_eq!(reply.receipt(), (1, 0, 0), "{route}");
    }
    let kinds = shop.database.rows("SELECT kind, count(*) AS n FROM events GROUP BY kind ORDER BY kind");
    let kinds: Vec<(i64, i64)> =
        kinds.iter().map(|k| (k["kind"].as_i64().unwrap(), k["n"].as_i64().unwrap())).collect();
    assert_eq!(kinds, [(1, 4), (3, 7), (4, 4), (5, 4), (6, 4), (7, 4)]);
}

#[test]
fn a_public_key_is_taken_from_the_sites_own_pages_only() {
    let shop = Shop::open();
    let send = |origin: &str, n: usize| {
        let event = [page(now_ms(), &format!("https://shop.example/{n}"))];
        let body = batch(&shop.keys.write_key, MIA, &event);
        shop.web.send("POST", "/v1/events", &[("origin", origin)], &body)
    };
    for (n, origin) in
        ["https://shop.example", "https://www.shop.example", "http://shop.example:8080"].iter().enumerate()
    {
        assert_eq!(send(origin, n).receipt(), (1, 0, 0), "{origin}");
    }
    for (n, origin) in ["https://evil.example", "https://notshop.example", "https://shop.example.evil.example", "null"]
        .iter()
        .enumerate()
    {
        let reply = send(origin, 10 + n);
        assert_eq!(reply.status, 403, "{origin}: {}", reply.body);
        assert_eq!(reply.header("access-control-allow-origin"), Some(*origin), "its script can read why");
    }
    assert_eq!((shop.stored(), shop.rejected()["origin_not_allowed"]), (3, 4));
    // Servers have no origin, and are trusted by their key wherever they are.
    let body = json!({ "batch": [says(1, json!({}))] }).to_string();
    let headers = [("authorization", basic(&shop.keys.secret_key)), ("origin", "https://evil.example".to_owned())];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(shop.web.send("POST", "/v1/batch", &headers, body.as_bytes()).receipt(), (1, 0, 0));
}

#[test]
fn trust_comes_from_the_key_not_from_the_route() {
    let shop = Shop::open();
    let message = |n: usize| says(n, json!({ "type": "identify", "traits": { "email": "mia@mail.example" } }));
    let public = json!({ "writeKey": shop.keys.write_key, "batch": [message(1)] });
    assert_eq!(shop.web.post_json("/v1/batch", &public).receipt(), (1, 0, 0));
    shop.is_projected();
    let by_mail = "/api/v1/profiles?email=mia@mail.example";
    assert_eq!(shop.ask(by_mail).status, 404, "anybody can type an address");
    assert_eq!(shop.server_says(&[message(2)]).receipt(), (1, 0, 0));
    shop.is_projected();
    assert_eq!(shop.profile_id("email=mia@mail.example"), shop.profile_id("user_id=u1"));
}

#[test]
fn ingest_routes_answer_preflights_of_any_page_and_other_routes_of_none() {
    let shop = Shop::open();
    let asks = [
        ("origin", "https://anywhere.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type, x-own"),
    ];
    for path in ["/v1/events", "/v1/batch", "/v1/t", "/v1/m", &format!("/v1/projects/{}/settings", shop.keys.write_key)]
    {
        let reply = shop.web.send("OPTIONS", path, &asks, b"");
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("https://anywhere.example"), "{path}");
        assert_eq!(reply.header("access-control-allow-headers"), Some("content-type, x-own"), "{path}");
        let age: u32 = reply.header("access-control-max-age").unwrap().parse().unwrap();
        assert!(age >= 600, "{path}: {age}");
    }
    for path in ["/api/v1/outcomes", "/api/v1/segments", "/healthz", "/", "/login"] {
        for method in ["OPTIONS", "GET"] {
            let reply = shop.web.send(method, path, &asks, b"");
            let allows: Vec<_> = reply.headers.iter().filter(|(name, _)| name.starts_with("access-control-")).collect();
            assert!(allows.is_empty(), "{method} {path}: {allows:?}");
        }
    }
    let settings = shop.web.get(&format!("/v1/projects/{}/settings", shop.keys.write_key));
    assert_eq!(settings.json()["integrations"]["Segment.io"]["apiKey"], shop.keys.write_key);
    assert_eq!(shop.web.get("/v1/projects/wk_nobody/settings").status, 401);
}

#[test]
fn a_flood_from_one_address_is_429_with_its_time_and_is_not_felt_by_others() {
    let shop = Shop::with(&["--address-rate", "5", "--trusted-proxy", "127.0.0.1"]);
    let send = |address: &str, n: usize| {
        let event = [page(now_ms(), &format!("https://shop.example/{n}"))];
        let body = batch(&shop.keys.write_key, MIA, &event);
        shop.web.send("POST", "/v1/events", &[("x-forwarded-for", address)], &body)
    };
    let refused = (0..400).map(|n| send("203.0.113.7", n)).find(|reply| reply.status != 200).expect("a limit");
    assert_eq!(refused.status, 429, "{}", refused.body);
    let after: u64 = refused.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=60).contains(&after), "{after}");
    assert_eq!(send("203.0.113.8", 1_000).status, 200, "another address");
    // An address of its own would have a burst of 100 before it.
    assert!(
        (0..50).any(|n| send("203.0.113.9, 203.0.113.7", 1_001 + n).status == 429),
        "what a client claims before the proxy is no way out"
    );
    assert_eq!(shop.server_says(&[says(1, json!({}))]).receipt(), (1, 0, 0), "the secret key has no address limit");
    until("the refused batch to be taken later", SOON, || (send("203.0.113.7", 2_000).status == 200).then_some(()));
}

#[test]
fn one_sites_flood_is_not_felt_by_another() {
    let shop = Shop::with(&["--key-rate", "5"]);
    let other = shop.neighbour("other");
    let send = |key: &str, n: usize| {
        let message = json!({ "writeKey": key, "batch": [says(n, json!({}))] });
        shop.web.post_json("/v1/batch", &message)
    };
    let refused = (0..400).map(|n| send(&shop.keys.secret_key, n)).find(|reply| reply.status != 200).expect("a limit");
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(send(&other.secret_key, 1).status, 200);
}

#[test]
fn measured_visitors_have_no_profile_and_may_not_say_who_they_are() {
    let shop = Shop::open();
    let load = Who::Load(speech::mint(now_ms()));
    let events =
        [page(now_ms(), "https://shop.example/"), speech::identify(now_ms(), "u1", json!({ "email": "a@b.example" }))];
    let reply = shop.post(load, &events);
    assert_eq!(reply.receipt(), (1, 0, 1));
    let outcomes = shop.outcomes();
    assert_eq!(outcomes.rejected["no_consent"], 1);
    assert_eq!(outcomes.latest_rejected[0]["sample"], Value::Null, "nothing of it is kept");
    shop.is_projected();
    assert_eq!(shop.ask("/api/v1/profiles?user_id=u1").status, 404);
    assert_eq!(shop.database.number("SELECT count(*) FROM profiles"), 0);
    assert_eq!(shop.database.number("SELECT count(*) FROM sessions"), 1, "but their visit is counted");
}

#[test]
fn a_browsers_wrong_clock_is_corrected_and_one_that_cannot_be_is_told() {
    let shop = Shop::open();
    let day = 86_400_000;
    let their_now = now_ms() - 3 * day;
    let event = [page(their_now - 60_000, "https://shop.example/slow-clock")];
    let body = speech::batch_at(their_now, &shop.keys.write_key, MIA, &event);
    assert_eq!(shop.web.post("/v1/events", &body).receipt(), (1, 0, 0));
    let age = shop.database.number("SELECT extract(epoch FROM now() - occurred_at)::bigint FROM events");
    assert!((60..600).contains(&age), "it happened a minute before it was sent: {age} s");
    assert_eq!(shop.database.number("SELECT flags & 4 FROM events"), 4, "and is found by searches by time");
    let their_now = now_ms() - 30 * day;
    let body = speech::batch_at(their_now, &shop.keys.write_key, MIA, &[page(their_now, "https://shop.example/1996")]);
    let reply = shop.web.post("/v1/events", &body);
    assert_eq!(reply.receipt(), (0, 0, 1));
    let server_ms = reply.json()["server_time_ms"].as_i64().unwrap();
    assert!(reply.json()["clock"] == true && (now_ms() - server_ms).abs() < 60_000, "{}", reply.body);
}

#[test]
fn another_tenants_data_is_not_there() {
    let shop = Shop::open();
    let other = shop.neighbour("other");
    shop.visitor("mia").views("/").signs_in("u1");
    shop.is_projected();
    let ask = |key: &str, path: &str| {
        Web::new(&shop.server.origin()).send("GET", path, &[("authorization", &format!("Bearer {key}"))], b"")
    };
    assert_eq!(ask(&shop.keys.secret_key, "/api/v1/profiles?user_id=u1").status, 200);
    assert_eq!(ask(&other.secret_key, "/api/v1/profiles?user_id=u1").status, 404);
    assert_eq!(ask(&other.secret_key, "/api/v1/outcomes").json()["stored"], 0);
}
