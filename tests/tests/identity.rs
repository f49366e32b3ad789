//! Who is who: merges with their reasons, taken back exactly, and the guards that keep people apart.

use serde_json::{Value, json};
use tests::Shop;
use tests::speech::now_ms;

const MINUTE: i64 = 60_000;

/// What is known of a person and of what they did, without the numbers of profiles and identities.
fn known(shop: &Shop, who: &str) -> Value {
    let profile = shop.profile(who);
    let mut identities: Vec<String> = profile["identities"]
        .as_array()
        .expect("identities")
        .iter()
        .map(|one| format!("{} {}", one["kind"].as_str().expect("a kind"), one["value"].as_str().expect("a value")))
        .collect();
    identities.sort();
    let id = &profile["profile_id"];
    let sessions = shop.database.rows(&format!(
        "SELECT started_at, ended_at, views, events, channel, orders, revenue_minor FROM sessions
         WHERE profile_id = {id} ORDER BY started_at"
    ));
    let orders = shop.database.rows(&format!(
        "SELECT order_id, total_minor, counted, channel FROM orders WHERE profile_id = {id} ORDER BY order_id"
    ));
    let segments = shop.database.rows(&format!(
        "SELECT g.key FROM segment_members m JOIN segments g USING (site_id, segment_id)
         WHERE m.profile_id = {id} ORDER BY g.key"
    ));
    json!({ "facts": profile["facts"], "identities": identities, "sessions": sessions, "orders": orders, "segments": segments })
}

/// The merges of a person, newest first.
fn merges(shop: &Shop, who: &str) -> Vec<Value> {
    let links = shop.profile(who)["identity"]["links"].clone();
    links.as_array().expect("links").iter().filter(|link| !link["merged"].is_null()).cloned().collect()
}

#[track_caller]
fn undo(shop: &Shop, merge: &Value) -> Value {
    let reply = shop.call("POST", &format!("/api/v1/merges/{}/undo", merge["link_id"]), &json!({}));
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

/// Two devices, of which the first signs in; then both buy something and a mail becomes known by the first one.
fn story(shop: &Shop, signs_in: &str, start: i64) {
    let phone = || shop.visitor("phone");
    phone().at(start).views("/a?utm_source=letter&utm_medium=email").views("/b");
    shop.visitor("laptop").at(start + MINUTE).views("/c").signs_in("u1");
    phone().at(start + 2 * MINUTE).signs_in(signs_in);
    phone().at(start + 3 * MINUTE).views("/thanks");
    let at = |minute: i64| jiff::Timestamp::from_millisecond(start + minute * MINUTE).expect("a moment").to_string();
    let says = [
        json!({ "type": "track", "event": "Order Completed", "anonymousId": phone_id(shop), "messageId": "m0",
                "timestamp": at(3), "properties": { "order_id": "o1", "total": "19.90", "currency": "EUR" } }),
        json!({ "type": "identify", "anonymousId": phone_id(shop), "messageId": "m1",
                "timestamp": at(4), "traits": { "email": "mia@mail.example" } }),
        json!({ "type": "track", "event": "Order Completed", "userId": "u1", "messageId": "m2", "timestamp": at(5),
                "properties": { "order_id": "o2", "total": "5", "currency": "EUR" } }),
    ];
    assert_eq!(shop.server_says(&says).receipt(), (3, 0, 0));
}

#[test]
fn an_undone_merge_leaves_both_people_as_they_would_have_been() {
    let (shop, control) = (Shop::open(), Shop::open());
    let start = now_ms() - 60 * MINUTE;
    story(&shop, "u1", start);
    // Nobody is named by a placeholder, so here the two stay two.
    story(&control, "null", start);
    let joined = known(&shop, "user_id=u1");
    assert_eq!(joined["facts"]["revenue_minor"], 2_490);
    assert_eq!(shop.profile_id("email=mia@mail.example"), shop.profile_id("user_id=u1"));
    shop.is_the_same_rebuilt();

    let told = merges(&shop, "user_id=u1");
    let wrong = told.iter().find(|merge| merge["from"]["value"] == phone_id(&shop) && merge["to"]["value"] == "u1");
    let wrong = wrong.expect("the merge of the phone");
    assert_eq!((&wrong["merged"], &wrong["source"]), (&json!("signed_in"), &json!("tracker")), "{wrong}");
    assert_eq!(undo(&shop, wrong)["profile_ids"].as_array().expect("people").len(), 2);
    for who in ["email=mia@mail.example", "user_id=u1"] {
        let (mut is, mut would_be) = (known(&shop, who), known(&control, who));
        // The call itself was made; its event is part of either story.
        for one in [&mut is, &mut would_be] {
            one["sessions"].as_array_mut().expect("sessions").retain(|session| session["views"] != 0);
        }
        assert_eq!(is, would_be, "{who}");
    }
    shop.is_the_same_rebuilt();
    let apart = &shop.profile("user_id=u1")["identity"]["kept_apart"][0];
    assert_eq!((&apart["said_by"], &apart["other"]["value"]), (&json!("the API"), &json!("u1")), "{apart}");

    // Nobody joins them any more, whoever says so; the refusal is told.
    shop.visitor("phone").at(start + 6 * MINUTE).signs_in("u1");
    let says =
        json!({ "type": "identify", "userId": "u1", "messageId": "m3", "traits": { "email": "mia@mail.example" } });
    assert_eq!(shop.server_says(&[says]).receipt(), (1, 0, 0));
    assert_ne!(shop.profile_id("email=mia@mail.example"), shop.profile_id("user_id=u1"));
    let refused = shop.profile("user_id=u1")["identity"]["refused"].clone();
    assert!(refused.as_array().expect("refusals").iter().any(|one| one["guard"] == "kept_apart"), "{refused}");
    let again = shop.call("POST", &format!("/api/v1/merges/{}/undo", wrong["link_id"]), &json!({}));
    assert_eq!(again.status, 404, "it is undone already: {}", again.body);

    // Allowed again, everything that was said counts.
    let pair = format!("/api/v1/apart/{}/{}", apart["one"]["identity_id"], apart["other"]["identity_id"]);
    let allowed = shop.call("DELETE", &pair, &json!({}));
    assert_eq!((allowed.status, allowed.json()["profile_ids"].as_array().map(Vec::len)), (200, Some(1)));
    let rejoined = known(&shop, "user_id=u1");
    assert_eq!(rejoined["identities"], joined["identities"]);
    assert_eq!(rejoined["orders"], joined["orders"]);
    assert_eq!(rejoined["facts"]["revenue_minor"], 2_490);
    shop.is_the_same_rebuilt();
    let neighbour = shop.neighbour("other");
    let strange = shop.web.send(
        "POST",
        &format!("/api/v1/merges/{}/undo", wrong["link_id"]),
        &[("authorization", &format!("Bearer {}", neighbour.secret_key))],
        b"",
    );
    assert_eq!(strange.status, 404, "another site's merge");
}

fn phone_id(shop: &Shop) -> String {
    tests::speech::written(shop.visitor("phone").id)
}

#[test]
fn ten_thousand_browsers_with_one_user_id_end_at_a_guard_that_says_so() {
    // All of them from one address, faster than a limit of the server lets one.
    let shop = Shop::with(&["--address-rate", "0"]);
    let count = if tests::is_full() { 10_000 } else { 3_000 };
    let visitors: Vec<String> = (0..count).map(|n| format!("visitor-{n}")).collect();
    for part in visitors.chunks(1_000) {
        let batch: Vec<Value> = part
            .iter()
            .flat_map(|visitor| {
                [
                    json!({ "type": "identify", "anonymousId": visitor, "userId": "shared", "messageId": format!("{visitor}-a") }),
                    json!({ "type": "identify", "anonymousId": visitor, "userId": "null", "messageId": format!("{visitor}-b") }),
                ]
            })
            .collect();
        let body = json!({ "writeKey": shop.keys.write_key, "batch": batch });
        assert_eq!(shop.web.post_json("/v1/batch", &body).receipt(), (2 * part.len() as u64, 0, 0));
    }
    shop.is_projected();
    let largest = "SELECT max(n) FROM (SELECT count(*) AS n FROM identities GROUP BY profile_id) AS sizes";
    assert_eq!(shop.database.number(largest), 1_001, "a thousand browsers and the user");
    assert_eq!(shop.database.number("SELECT count(*) FROM profiles"), count - 1_000 + 1);
    let told = shop.ask("/api/v1/identities").json();
    let refused = &told["refused"][0];
    assert_eq!((&refused["guard"], &refused["named"]["value"]), (&json!("too_many"), &json!("shared")), "{refused}");
    assert_eq!(refused["count"], json!(count - 1_000));
    let blocked = &told["blocked"][0];
    assert_eq!((&blocked["value"], &blocked["count"]), (&json!("null"), &json!(count)), "{blocked}");
    assert_eq!(blocked["source"], "segment");
    shop.is_the_same_rebuilt();
}

#[test]
fn a_stranger_who_claims_a_known_person_learns_and_changes_nothing() {
    let shop = Shop::open();
    tests::shop::add_user(&shop.database, "anna@shop.example", "correct horse battery");
    let owner = tests::web::Owner::logs_in(&shop.server, "anna@shop.example", "correct horse battery");
    let knows = json!({ "type": "identify", "userId": "u1", "messageId": "k1",
                        "traits": { "email": "mia@mail.example", "plan": "gold" } });
    assert_eq!(shop.server_says(&[knows]).receipt(), (1, 0, 0));
    let setup = format!("/s/{}/setup", shop.keys.site_id);
    assert_eq!(owner.posts(&format!("{setup}/signatures"), &[("do", "ask")]).status, 303);
    let page = owner.reads(&setup);
    let secret =
        page.split("id=\"identity-secret\">").nth(1).and_then(|rest| rest.split('<').next()).expect("a secret");
    let before = known(&shop, "user_id=u1");

    // By the tag, by an SDK, with an anonymous id and without, by mail, by alias.
    let posts = |messages: Value| {
        let reply = shop.web.post_json("/v1/batch", &json!({ "writeKey": shop.keys.write_key, "batch": messages }));
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert!(!reply.body.contains("mia") && !reply.body.contains("gold"), "{}", reply.body);
        reply.receipt()
    };
    shop.visitor("stranger").views("/a").signs_in("u1");
    let traits = json!({ "plan": "evil", "email": "mia@mail.example", "user_hash": "00" });
    let told = posts(json!([
        { "type": "identify", "anonymousId": "s2", "userId": "u1", "traits": traits, "messageId": "s1" },
        { "type": "track", "event": "Bought", "anonymousId": "s2", "userId": "u1", "messageId": "s2" },
        { "type": "alias", "previousId": "s2", "userId": "u1", "anonymousId": "s2", "messageId": "s3" },
        { "type": "identify", "traits": traits, "messageId": "s4" },
        { "type": "track", "event": "Bought", "userId": "u1", "messageId": "s5" },
    ]));
    assert_eq!(told, (4, 0, 1), "an event of nobody but the user is refused: {:?}", shop.outcomes().latest_rejected);
    assert_eq!(shop.rejected()["unsigned_identity"], 1);
    assert_eq!(known(&shop, "user_id=u1"), before);
    assert_eq!(known(&shop, "email=mia@mail.example"), before);
    let stranger = shop.profile("visitor_id=s2");
    assert_eq!((&stranger["facts"]["traits"], &stranger["facts"]["signed_up"]), (&json!({}), &json!(false)));
    let refused = shop.profile("user_id=u1")["identity"]["refused"].clone();
    let claim = refused.as_array().expect("refusals").iter().find(|one| one["guard"] == "unsigned").cloned();
    assert_eq!(claim.expect("the claims are shown apart")["count"], 2, "{refused}");
    shop.is_the_same_rebuilt();

    // With the server's signature it is the server's word.
    let signed = json!([{ "type": "identify", "anonymousId": "s2", "userId": "u1", "messageId": "s6",
                          "traits": { "user_hash": signature(secret, "u1"), "plan": "silver" } }]);
    assert_eq!(posts(signed), (1, 0, 0));
    assert_eq!(shop.profile_id("visitor_id=s2"), shop.profile_id("user_id=u1"));
    let traits = shop.profile("user_id=u1")["facts"]["traits"].clone();
    assert_eq!(traits.get("user_hash"), None, "the signature is no trait: {traits}");
    assert_ne!(shop.profile_id(&shop.visitor("stranger").query()), shop.profile_id("user_id=u1"));
    // A signature says who is signed in; it does not make two accounts one, whatever else the call names.
    assert_eq!(
        shop.server_says(&[json!({ "type": "identify", "userId": "victim", "messageId": "k2" })]).receipt(),
        (1, 0, 0)
    );
    let shared = json!([
        { "type": "identify", "anonymousId": "s3", "userId": "victim", "messageId": "s7",
          "traits": { "user_hash": signature(secret, "victim") } },
        { "type": "identify", "anonymousId": "s3", "userId": "u1", "previousId": "x", "messageId": "s8",
          "traits": { "user_hash": signature(secret, "u1") } },
    ]);
    assert_eq!(posts(shared), (2, 0, 0));
    assert_ne!(shop.profile_id("user_id=victim"), shop.profile_id("user_id=u1"), "two people share a device");
    let joins = owner.reads(&format!("/s/{}/people/{}/joins", shop.keys.site_id, shop.profile_id("user_id=u1")));
    assert!(joins.contains("claimed it without your signature"), "{joins}");
    shop.is_the_same_rebuilt();
}

/// As a site's server makes it.
fn signature(secret: &str, user_id: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(user_id.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
