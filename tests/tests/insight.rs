//! What a segment's page says is special about its people is what the database says, and what changed adds up.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use tests::cluster::Folder;
use tests::web::Owner;
use tests::{Database, SOON, Server, Shop, Web, shop, until};

/// Where each value of a dimension is looked up: people who have it, `profile_id` and `value`.
const DIMENSIONS: [(&str, &str); 7] = [
    ("source", "SELECT profile_id, source AS value FROM sessions WHERE site_id = $site AND source <> ''"),
    ("campaign", "SELECT profile_id, campaign AS value FROM sessions WHERE site_id = $site AND campaign <> ''"),
    ("referrer", "SELECT profile_id, referrer AS value FROM sessions WHERE site_id = $site AND referrer <> ''"),
    (
        "page",
        "SELECT i.profile_id, t.value FROM events e JOIN identities i USING (site_id, identity_id)
         JOIN terms t ON t.site_id = e.site_id AND t.term_id = e.page_id WHERE e.site_id = $site AND e.kind IN (1, 7)",
    ),
    (
        "event",
        "SELECT i.profile_id, t.value FROM events e JOIN identities i USING (site_id, identity_id)
         JOIN terms t ON t.site_id = e.site_id AND t.term_id = e.name_id WHERE e.site_id = $site AND e.kind = 3",
    ),
    (
        "product",
        "SELECT i.profile_id, e.properties->>'name' AS value FROM events e
         JOIN identities i USING (site_id, identity_id)
         JOIN terms t ON t.site_id = e.site_id AND t.term_id = e.name_id
         WHERE e.site_id = $site AND e.kind = 3 AND t.value LIKE 'Product %' AND e.properties ? 'name'",
    ),
    (
        "segment",
        "SELECT m.profile_id, g.name AS value FROM segment_members m JOIN segments g USING (site_id, segment_id)
         WHERE m.site_id = $site AND g.archived_at IS NULL AND g.key <> '$key'",
    ),
];

#[test]
fn what_is_special_about_a_segment_is_what_the_database_says() {
    let folder = Folder::make();
    let server = Server::embedded(folder.path(), &["--demo"]);
    let database = Database::of_folder(folder.path());
    let site = database.number("SELECT site_id FROM sites ORDER BY site_id LIMIT 1");
    let store = collector::store::Store::new(database.url(), 1).expect("a store");
    let secret_key = store.renew_secret_key(i32::try_from(site).unwrap()).expect("a key");
    let web = Web::new(&server.origin());
    let bearer = format!("Bearer {secret_key}");
    let ask = |key: &str| {
        let path = format!("/api/v1/segments/{key}/insight");
        let reply = web.send("GET", &path, &[("authorization", bearer.as_str())], b"");
        (reply.status == 200).then(|| reply.json())
    };
    let is_settled = || {
        database.number("SELECT count(*) FROM journal WHERE NOT projected") == 0
            && database.number("SELECT count(*) FROM segment_sweeps WHERE sweeping_revision IS NOT NULL") == 0
    };
    for key in ["rfm-champions", "acquisition-newsletter"] {
        let members = format!(
            "SELECT m.profile_id FROM segment_members m JOIN segments g USING (site_id, segment_id)
             WHERE m.site_id = {site} AND g.key = '{key}'"
        );
        // Columns follow the projector, and products are read when they are first asked for.
        let mut last = String::new();
        let told = until("the page to say what the database says", 6 * SOON, || {
            let told = ask(key)?;
            let compared = &told["compared"];
            if !is_settled() || compared.is_null() || compared["products_follow"] == true {
                return None;
            }
            let wrong = differences(&database, site, key, &members, compared);
            if wrong != last {
                eprintln!("{key}:\n{wrong}");
                last.clone_from(&wrong);
            }
            wrong.is_empty().then_some(told)
        });
        let traits = told["compared"]["traits"].as_array().expect("traits");
        let of = |dimension: &str| traits.iter().filter(|one| one["dimension"] == dimension).count();
        for (dimension, _) in DIMENSIONS {
            assert!(of(dimension) > 0, "{dimension} of {key}");
        }
        assert!(traits.iter().any(|one| one["says"] == "more"), "something is special about {key}");

        let change = &told["change"];
        let number = |value: &Value| value.as_i64().expect("a number");
        let (entered, left) = (&change["entered"], &change["left"]);
        assert_eq!(
            number(&change["after"]),
            number(&change["before"]) + number(&entered["people"]) - number(&left["people"]),
            "{change}"
        );
        assert_eq!(number(&change["after"]), database.number(&format!("SELECT count(*) FROM ({members}) AS m")));
        let months = told["compared"]["months"].as_array().expect("months");
        assert_eq!(months.len(), 12);
        let sum = |name: &str| months.iter().map(|month| month[name]["minor"].as_i64().unwrap()).sum::<i64>();
        let since = format!(
            "FROM orders o WHERE o.site_id = {site} AND counted AND ordered_at >= (
                SELECT ('{}'::date)::timestamp AT TIME ZONE time_zone FROM sites WHERE site_id = {site})",
            months[0]["month"].as_str().expect("a day")
        );
        let minor = "SELECT COALESCE(sum(total_minor), 0)::bigint";
        assert_eq!(sum("everybody"), database.number(&format!("{minor} {since}")));
        assert_eq!(sum("revenue"), database.number(&format!("{minor} {since} AND profile_id IN ({members})")));
        let suggested = told["compared"]["actions"].as_array().expect("actions").iter();
        let people = suggested.map(|one| number(&one["people"])).sum::<i64>() + number(&told["compared"]["unknown"]);
        assert_eq!(people, number(&change["after"]), "everybody has one action, or nothing is known");
    }
    past_days_are_what_the_database_says(&database, &server, site);
    assert!(server.stop().success());
}

/// The past of a rule that can be asked in SQL, too.
fn past_days_are_what_the_database_says(database: &Database, server: &Server, site: i64) {
    shop::add_user(database, "owner@shop.example", "a long enough password");
    let owner = Owner::logs_in(server, "owner@shop.example", "a long enough password");
    let web = Web::new(&server.origin());
    let store = collector::store::Store::new(database.url(), 1).expect("a store");
    let secret_key = store.renew_secret_key(i32::try_from(site).unwrap()).expect("a key");
    let body = json!({ "key": "repeats", "name": "Repeats", "says": "orders is at least 2" }).to_string();
    let made = until("the new key to be known", SOON, || {
        let bearer = format!("Bearer {secret_key}");
        let reply = web.send("POST", "/api/v1/segments", &[("authorization", &bearer)], body.as_bytes());
        (reply.status != 401).then_some(reply)
    });
    assert_eq!(made.status, 201, "{}", made.body);
    let file = owner.reads(&format!("/s/{site}/segments/repeats/past.csv?day=2026-10-05"));
    let rows: Vec<Vec<&str>> = file.lines().map(|line| line.trim_end().split(',').collect()).collect();
    assert_eq!(rows.len(), 14, "a header, twelve ends of months and the day that was asked for: {file}");
    let mut told = 0;
    for row in rows.iter().skip(1) {
        let end = format!(
            "((('{}'::date + 1)::timestamp) AT TIME ZONE (SELECT time_zone FROM sites WHERE site_id = {site}))",
            row[1]
        );
        let members = format!(
            "SELECT profile_id FROM orders WHERE site_id = {site} AND counted AND ordered_at < {end}
             GROUP BY profile_id HAVING count(*) >= 2"
        );
        assert_eq!(row[2], database.number(&format!("SELECT count(*) FROM ({members}) AS m")).to_string(), "{row:?}");
        if row[4].is_empty() {
            continue;
        }
        told += 1;
        let ordered = format!(
            "SELECT count(DISTINCT profile_id) FROM orders WHERE site_id = {site} AND counted
             AND profile_id IN ({members}) AND ordered_at >= {end} AND ordered_at < {end} + interval '720 hours'"
        );
        assert_eq!(row[4], database.number(&ordered).to_string(), "{row:?}");
    }
    assert!(told >= 10, "{file}");
    let page = owner.reads(&format!("/s/{site}/segments/repeats/past"));
    assert!(page.contains("Had it existed") && page.contains("at the end of"), "{page}");
    let wrong = owner.gets(&format!("/s/{site}/segments/repeats/past?day=never"));
    assert_eq!(wrong.status, 400);
}

/// Where the counts are not what the database counts.
fn differences(database: &Database, site: i64, key: &str, members: &str, compared: &Value) -> String {
    let mut wrong = String::new();
    for (dimension, have) in DIMENSIONS {
        let have = have.replace("$site", &site.to_string()).replace("$key", key);
        let rows = database.rows(&format!(
            "SELECT value, count(DISTINCT profile_id) FILTER (WHERE profile_id IN ({members})) AS inside,
                count(DISTINCT profile_id) AS whole
             FROM ({have}) AS have JOIN profiles p USING (profile_id) WHERE p.site_id = {site} GROUP BY value"
        ));
        let counted: BTreeMap<String, (u64, u64)> = rows
            .iter()
            .map(|row| {
                let (inside, whole) = (row["inside"].as_u64().unwrap(), row["whole"].as_u64().unwrap());
                (row["value"].as_str().unwrap().to_owned(), (inside, whole - inside))
            })
            .collect();
        let traits = compared["traits"].as_array().expect("traits").iter();
        let told: BTreeMap<String, (u64, u64)> = traits
            .filter(|one| one["dimension"] == dimension)
            .map(|one| {
                let with = |side: &str| one[side]["with"].as_u64().unwrap();
                (one["value"].as_str().expect("a value").to_owned(), (with("inside"), with("outside")))
            })
            .collect();
        // What fewer than five have is not looked at.
        let looked_at: BTreeMap<String, (u64, u64)> =
            counted.into_iter().filter(|(_, (inside, outside))| inside + outside >= 5).collect();
        for value in told.keys().chain(looked_at.keys()) {
            if told.get(value) != looked_at.get(value) {
                let (told, counted) = (told.get(value), looked_at.get(value));
                wrong.push_str(&format!("{dimension} {value}: told {told:?}, counted {counted:?}\n"));
            }
        }
    }
    wrong
}

#[test]
fn who_came_and_why_is_told_with_what_they_did() {
    let shop = Shop::open();
    shop::add_user(&shop.database, "owner@shop.example", "a long enough password");
    let owner = Owner::logs_in(&shop.server, "owner@shop.example", "a long enough password");
    shop.keeps("pricing", "viewed \"/pricing\" at least once");
    shop.is_swept();
    shop.visitor("mia").views("/pricing").signs_in("mia");
    shop.visitor("leo").views("/pricing");
    shop.visitor("ann").views("/shoes");
    let told = until("both to be told", SOON, || {
        let reply = shop.ask("/api/v1/segments/pricing/insight");
        assert_eq!(reply.status, 200, "{}", reply.body);
        let told = reply.json();
        let causes = &told["change"]["entered"]["causes"];
        // What they did is known when the columns have followed.
        let is_told = told["change"]["after"] == 2 && causes[0]["cause"]["did"].is_string() && causes[1].is_null();
        // Leo has not signed up; that mia has, the day's book knows some seconds later.
        let is_told = is_told && told["compared"]["unknown"] == 1;
        is_told.then_some(told)
    });
    assert_eq!(told["change"]["before"], 0);
    let causes = json!([{ "cause": { "cause": "event", "did": "viewed shop.example/pricing" }, "people": 2 }]);
    assert_eq!(told["change"]["entered"]["causes"], causes);

    let base = format!("/s/{}/segments/pricing", shop.keys.site_id);
    let page = owner.reads(&format!("{base}/insight"));
    for shown in
        ["All who came: they viewed shop.example/pricing.", "It takes 30 people", "aria-current=\"page\">Insight"]
    {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(owner.reads(&base).contains(&format!("href=\"{base}/insight\"")));
    assert!(owner.reads(&format!("{base}/insight.csv")).starts_with("segment,dimension,value,inside_with"));
    assert_eq!(owner.gets(&format!("/s/{}/segments/nobody/insight", shop.keys.site_id)).status, 404);
    let neighbour = shop.neighbour("other.example");
    assert_eq!(owner.gets(&format!("/s/{}/segments/pricing/insight", neighbour.site_id)).status, 404);
}
