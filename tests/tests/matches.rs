//! People who are probably one: suggested with their evidence, joined and taken back exactly, refused for good, and
//! joined without asking only by what trusted sources say.

use serde_json::{Value, json};
use tests::speech::{identify, now_ms, page, visitor_id};
use tests::web::Owner;
use tests::{SOON, Shop, segments, server::succeeds, until};
use wire::Who;

const GIVEN: [&str; 6] = ["Oliver", "Charlotte", "Noah", "Amelia", "Lucas", "Henriette"];
const FAMILY: [&str; 6] = ["Brandt", "Okonkwo", "Castellano", "Lindqvist", "Moreau", "Fitzgerald"];
const STREETS: [&str; 6] = ["Mill Lane", "Harbour Road", "Castle Street", "Station Road", "Park Avenue", "Hill Street"];

/// A crowd that has nothing in common but a name or a street.
fn crowd(shop: &Shop) {
    let people: Vec<Value> = (0..36)
        .map(|n| {
            let (given, family) = (GIVEN[n % 6], FAMILY[n / 6]);
            json!({ "type": "identify", "userId": format!("crowd-{n}"), "messageId": format!("crowd-{n}"), "traits": {
                "firstName": given, "lastName": family, "birthday": format!("19{}-0{}-1{}", 50 + n, 1 + n % 9, n % 10),
                "address": { "street": format!("{} {}", n + 3, STREETS[(n * 5) % 6]), "postalCode": format!("10{n:02}"),
                             "city": format!("Town {}", n % 12) } } })
        })
        .collect();
    assert_eq!(shop.server_says(&people).receipt(), (36, 0, 0));
}

/// Mia as the shop knows her.
fn in_the_shop() -> Value {
    json!({ "firstName": "Mia", "lastName": "Harrington", "birthday": "1990-02-03", "email": "mia@mail.example",
            "address": { "street": "12 Rosewood Crescent", "postalCode": "2705", "city": "Leeton" } })
}

/// And as the club's own list has her.
fn in_the_club() -> Value {
    json!({ "name": "Mia Harrington", "date_of_birth": "3.2.1990", "address_1": "12 Rosewood Cresent",
            "postcode": "2705", "city": "Leeton" })
}

/// Mia from two trusted sources, a buyer in one and a visitor in the other.
fn mia_twice(shop: &Shop) {
    let says = [
        json!({ "type": "identify", "userId": "shop-7", "messageId": "a1", "traits": in_the_shop() }),
        json!({ "type": "track", "event": "Order Completed", "userId": "shop-7", "messageId": "a2",
                "properties": { "order_id": "o1", "total": "19.90", "currency": "EUR" } }),
    ];
    assert_eq!(shop.server_says(&says).receipt(), (2, 0, 0));
    let club = json!({ "api_key": shop.keys.secret_key, "batch": [
        { "event": "$identify", "uuid": "p-1", "distinct_id": "club-7", "properties": { "$set": in_the_club() } },
        { "event": "Class Booked", "uuid": "p-2", "distinct_id": "club-7" } ] });
    let reply = shop.web.post_json("/batch", &club);
    assert_eq!(reply.json()["stored"], 2, "{}", reply.body);
    shop.is_projected();
}

/// The matches, once people have been compared anew.
#[track_caller]
fn compared(shop: &Shop) -> Value {
    shop.is_projected();
    let before = shop.ask("/api/v1/matches").json()["compared_at"].clone();
    assert_eq!(shop.call("POST", "/api/v1/matches/look", &json!({})).status, 202);
    until("people to be compared", SOON, || {
        let told = shop.ask("/api/v1/matches").json();
        (told["compared_at"] != before && told["is_due"] == false).then_some(told)
    })
}

fn decide(shop: &Shop, of: &Value, act: &str) -> tests::web::Reply {
    shop.call("POST", &format!("/api/v1/matches/{}/{act}", of["match_id"]), &json!({}))
}

/// What is known of somebody, with the number of the profile itself, but for what a join leaves in the ledger, and for the
/// segments of models, which are made meanwhile.
fn known(shop: &Shop, who: &str) -> Value {
    let mut told = shop.profile(who);
    let id = told["profile_id"].clone();
    told["identity"] = Value::Null;
    told["sessions"] =
        shop.database.rows(&format!("SELECT * FROM sessions WHERE profile_id = {id} ORDER BY 1, 2, 3")).into();
    told["orders"] =
        shop.database.rows(&format!("SELECT * FROM orders WHERE profile_id = {id} ORDER BY 1, 2, 3")).into();
    told["members"] = shop
        .database
        .rows(&format!(
            "SELECT g.key FROM segment_members m JOIN segments g USING (site_id, segment_id)
             WHERE profile_id = {id} AND g.key !~ '^(rfm|predictive)' ORDER BY 1"
        ))
        .into();
    told["segments"] = Value::Null;
    told
}

/// The user ids of a match's two people.
fn who(of: &Value) -> [&str; 2] {
    let mut both = ["one", "other"].map(|side| of[side]["identifier"]["value"].as_str().expect("an identifier"));
    both.sort_unstable();
    both
}

#[test]
fn people_of_two_sources_are_suggested_joined_and_taken_back_exactly() {
    let shop = Shop::open();
    crowd(&shop);
    mia_twice(&shop);
    let told = compared(&shop);
    let open = told["open"].as_array().expect("matches");
    assert_eq!(open.len(), 1, "{told}");
    let found = &open[0];
    assert_eq!((who(found), &found["rests_on"]), (["club-7", "shop-7"], &json!("trusted")), "{found}");
    assert!(found["probability"].as_f64() > Some(0.99), "{found}");
    let evidence = |comparison: &str| {
        let all = found["evidence"].as_array().expect("evidence");
        all.iter()
            .find(|one| one["comparison"] == comparison)
            .cloned()
            .unwrap_or_else(|| panic!("{comparison}: {found}"))
    };
    assert_eq!(evidence("date_of_birth")["level"], "same");
    assert_eq!(evidence("address")["level"], "door");
    assert!(evidence("address")["bits"].as_f64() > Some(4.0), "{found}");
    let values = ["one", "other"].map(|side| evidence("surname")[side]["value"].clone());
    assert!(values.contains(&json!("Harrington")) && values.contains(&json!("Mia Harrington")), "{values:?}");
    let stored = shop.database.rows("SELECT m::text AS row FROM match_suggestions m");
    assert!(!stored[0]["row"].as_str().expect("a row").contains("arrington"), "no value is kept: {stored:?}");

    let before = ["user_id=shop-7", "user_id=club-7"].map(|who| known(&shop, who));
    assert_ne!(before[0]["profile_id"], before[1]["profile_id"]);
    assert_eq!(decide(&shop, found, "join").status, 200);
    let joined = shop.profile("user_id=club-7");
    assert_eq!(joined["profile_id"], shop.profile("user_id=shop-7")["profile_id"]);
    assert_eq!((&joined["facts"]["revenue_minor"], &joined["facts"]["orders"]), (&json!(1_990), &json!(1)));
    let link = joined["identity"]["links"].as_array().expect("links").iter().find(|link| link["merged"] == "confirmed");
    let link = link.unwrap_or_else(|| panic!("the join is a statement: {joined}"));
    assert_eq!((&link["decided_by"], &link["probability"]), (&json!("the API"), &found["probability"]));
    shop.is_the_same_rebuilt();
    assert_eq!(decide(&shop, found, "join").status, 404, "it is decided");
    assert_eq!(compared(&shop)["open"], json!([]), "and not suggested again");

    assert_eq!(decide(&shop, found, "undo").status, 200);
    assert_eq!(["user_id=shop-7", "user_id=club-7"].map(|who| known(&shop, who)), before, "both as they were");
    shop.is_the_same_rebuilt();
    let told = compared(&shop);
    assert_eq!((&told["open"], &told["decided"][0]["state"]), (&json!([]), &json!("refused")), "it does not come back");
    // Nor by way of the statement itself: nobody joins the two any more until it is allowed again.
    let alias = json!({ "type": "alias", "previousId": "club-7", "userId": "shop-7", "messageId": "a3" });
    assert_eq!(shop.server_says(&[alias]).receipt(), (1, 0, 0));
    assert_ne!(shop.profile_id("user_id=club-7"), shop.profile_id("user_id=shop-7"));
    assert_eq!(decide(&shop, found, "undo").status, 200, "allowed again, what was said counts");
    assert_eq!(shop.profile_id("user_id=club-7"), shop.profile_id("user_id=shop-7"));
    shop.is_the_same_rebuilt();
}

#[test]
fn a_refused_pair_does_not_come_back_whoever_they_become() {
    let shop = Shop::open();
    crowd(&shop);
    mia_twice(&shop);
    let found = compared(&shop)["open"][0].clone();
    assert_eq!(decide(&shop, &found, "refuse").status, 200);
    assert_eq!(compared(&shop)["open"], json!([]));
    // The profile becomes another one by a merge, and is known by another identity.
    let club = json!({ "type": "alias", "previousId": "club-7", "userId": "crowd-1", "messageId": "r1" });
    assert_eq!(shop.server_says(&[club]).receipt(), (1, 0, 0));
    let told = compared(&shop);
    assert_eq!((&told["open"], &told["decided"][0]["state"]), (&json!([]), &json!("refused")), "{told}");
    // Taken back it is a question again.
    assert_eq!(decide(&shop, &found, "undo").status, 200);
    assert_eq!(shop.ask("/api/v1/matches").json()["open"][0]["match_id"], found["match_id"]);
    shop.is_the_same_rebuilt();
}

#[test]
fn people_are_joined_without_asking_only_above_the_sites_threshold_and_by_trusted_values() {
    let shop = Shop::open();
    crowd(&shop);
    mia_twice(&shop);
    // A stranger writes all that is to be known of Mia into forms, under a user id and without one.
    let stranger = |name: &str, user: Option<&str>| {
        let mut events = vec![page(now_ms(), "https://shop.example/account")];
        events.extend(user.map(|user| identify(now_ms(), user, in_the_shop())));
        let reply = shop.post(Who::Visitor(visitor_id(name)), &events);
        assert_eq!(reply.receipt().2, 0, "{}", reply.body);
    };
    stranger("known", Some("evil-1"));
    for n in 0..5 {
        let says = json!({ "type": "identify", "anonymousId": format!("evil-{n}"), "messageId": format!("e{n}"), "traits": in_the_club() });
        let reply = shop.web.post_json("/v1/batch", &json!({ "writeKey": shop.keys.write_key, "batch": [says] }));
        assert_eq!(reply.receipt(), (1, 0, 0));
    }
    let told = compared(&shop);
    let vouched: Vec<&Value> =
        told["open"].as_array().expect("matches").iter().filter(|one| one["rests_on"] == "trusted").collect();
    assert_eq!(vouched.len(), 1, "{told}");
    let claimed = told["open"].as_array().expect("matches").iter().filter(|one| one["rests_on"] == "browser").count();
    assert!(claimed > 0, "what strangers write is shown, and marked: {told}");
    assert_eq!(told["open"][0]["rests_on"], "trusted", "and stands behind what is vouched for");
    assert_ne!(shop.profile_id("user_id=shop-7"), shop.profile_id("user_id=club-7"), "nothing is joined by default");

    tests::shop::add_user(&shop.database, "anna@shop.example", "correct horse battery");
    let owner = Owner::logs_in(&shop.server, "anna@shop.example", "correct horse battery");
    let matches = format!("/s/{}/matches", shop.keys.site_id);
    let read = owner.reads(&matches);
    assert!(read.contains("1\u{a0}pair would be joined now"), "{read}");
    let profiles = shop.database.number("SELECT count(*) FROM profiles");
    assert_eq!(owner.posts(&format!("{matches}/threshold"), &[("threshold", "0.2")]).status, 400);
    assert_eq!(owner.posts(&format!("{matches}/threshold"), &[("threshold", "0.99")]).status, 303);
    until("the two to be joined", SOON, || {
        (shop.profile_id("user_id=shop-7") == shop.profile_id("user_id=club-7")).then_some(())
    });
    compared(&shop);
    assert_eq!(shop.database.number("SELECT count(*) FROM profiles"), profiles - 1, "those two, and nobody else");
    let mia = shop.profile("user_id=shop-7");
    let identities = mia["identities"].as_array().expect("identities");
    assert!(!identities.iter().any(|one| one["value"].as_str().is_some_and(|value| value.contains("evil"))), "{mia}");
    shop.is_the_same_rebuilt();

    let told = shop.ask("/api/v1/matches").json();
    let applied = told["decided"][0].clone();
    assert_eq!((&applied["state"], &applied["decided_by"]), (&json!("applied"), &json!("your threshold")), "{told}");
    assert!(owner.reads(&matches).contains("joined without asking"));
    assert_eq!(owner.posts(&format!("{matches}/{}/undo", applied["match_id"]), &[]).status, 303);
    compared(&shop);
    assert_ne!(shop.profile_id("user_id=shop-7"), shop.profile_id("user_id=club-7"), "a person's word stands above it");
    shop.is_the_same_rebuilt();
}

#[test]
fn somebody_decides_on_the_page_and_on_no_other_sites() {
    let shop = Shop::open();
    crowd(&shop);
    mia_twice(&shop);
    let found = compared(&shop)["open"][0].clone();
    let id = found["match_id"].as_i64().expect("a number");
    let neighbour = shop.neighbour("other");
    for act in ["join", "refuse", "undo"] {
        let bearer = format!("Bearer {}", neighbour.secret_key);
        let strange =
            shop.web.send("POST", &format!("/api/v1/matches/{id}/{act}"), &[("authorization", bearer.as_str())], b"");
        assert_eq!(strange.status, 404, "{act}: {}", strange.body);
    }
    let public = format!("Bearer {}", shop.keys.write_key);
    assert_eq!(shop.web.send("GET", "/api/v1/matches", &[("authorization", &public)], b"").status, 401);

    tests::shop::add_user(&shop.database, "anna@shop.example", "correct horse battery");
    let owner = Owner::logs_in(&shop.server, "anna@shop.example", "correct horse battery");
    let (own, others) = (format!("/s/{}/matches", shop.keys.site_id), format!("/s/{}/matches", neighbour.site_id));
    assert_eq!(owner.posts(&format!("{others}/{id}/join"), &[]).status, 400, "not among that site's");
    assert_eq!(owner.posts_bare(&format!("{own}/{id}/join"), &[]).status, 403, "another page's form");
    assert_ne!(shop.profile_id("user_id=shop-7"), shop.profile_id("user_id=club-7"));
    let read = owner.reads(&own);
    assert!(read.contains("12 Rosewood Crescent") && read.contains("speaks strongly for it"), "{read}");
    assert!(owner.reads(&format!("/s/{}/identities", shop.keys.site_id)).contains("1\u{a0}pair of people"));
    let person = format!("/s/{}/people/{}", shop.keys.site_id, shop.profile_id("user_id=club-7"));
    assert!(owner.reads(&person).contains(&format!("matches?match={id}\">decide")));
    assert!(owner.reads(&format!("{own}?match={id}")).contains("The pair that you came from"));
    assert!(!owner.reads(&format!("{others}?match={id}&just={id}")).contains("Rosewood"), "not on another site's page");
    assert_eq!(owner.posts(&format!("{own}/{id}/later"), &[]).status, 303);
    let to = owner.posts(&format!("{own}/{id}/join"), &[("page", "1")]);
    let to = to.header("location").expect("where to").to_owned();
    assert!(owner.reads(&to).contains("are one person now"), "{to}");
    let joined = format!("/s/{}/people/{}", shop.keys.site_id, shop.profile_id("user_id=club-7"));
    assert!(!owner.reads(&joined).contains("May be the same person as"));
    assert_eq!(owner.posts(&format!("{own}/{id}/undo"), &[]).status, 303);
    assert_ne!(shop.profile_id("user_id=shop-7"), shop.profile_id("user_id=club-7"));
    let refused = &shop.ask("/api/v1/matches").json()["decided"][0];
    assert_eq!((&refused["state"], &refused["decided_by"]), (&json!("refused"), &json!("anna@shop.example")));
}

#[test]
fn whoever_is_forgotten_is_in_no_match_and_reads_of_theirs_before() {
    let shop = Shop::open();
    crowd(&shop);
    mia_twice(&shop);
    assert_eq!(compared(&shop)["open"].as_array().map(Vec::len), Some(1));
    let told = shop.ask("/api/v1/profiles/export?user_id=club-7").json();
    assert_eq!(told["matches"][0]["state"], "open", "{told}");
    assert!(!told["matches"].to_string().contains("shop-7"), "another person is not told of: {told}");
    succeeds(&segments(&shop.database, &["person", "erase", "--site", "shop", "--user-id", "club-7"]));
    assert_eq!(shop.database.number("SELECT count(*) FROM match_suggestions"), 0);
    assert_eq!(compared(&shop)["open"], json!([]));
}
