//! People in memory answer what the database answers, whatever happens to them and to the process.

use serde_json::{Value, json};
use std::path::Path;
use tests::cluster::Folder;
use tests::speech::now_ms;
use tests::{Database, SOON, Server, Shop, Web, until};

/// Rules, each with the same question in SQL of a site `$site`.
const QUESTIONS: [(&str, &str); 7] = [
    (
        r#"{"fact":{"name":"orders","is":{"at_least":1}}}"#,
        "SELECT count(*) FROM profiles WHERE site_id = $site AND orders > 0",
    ),
    (
        r#"{"fact":{"name":"revenue","is":{"at_least":100}}}"#,
        "SELECT count(*) FROM profiles WHERE site_id = $site AND revenue_minor >= 10000",
    ),
    (
        r#"{"fact":{"name":"visits","is":{"at_least":3}}}"#,
        "SELECT count(*) FROM profiles WHERE site_id = $site AND sessions >= 3",
    ),
    (
        r#"{"fact":{"name":"signed_up","is":{"is":"true"}}}"#,
        "SELECT count(*) FROM profiles WHERE site_id = $site AND signed_up",
    ),
    (
        r#"{"event":{"of":{"what":{"page":"*"}},"is":{"count":{"at_least":5}}}}"#,
        "SELECT count(*) FROM profiles WHERE site_id = $site AND views >= 5",
    ),
    (
        r#"{"fact":{"name":"first_channel","is":{"is":"organic_search"}}}"#,
        "SELECT count(*) FROM (SELECT DISTINCT ON (s.profile_id) s.channel FROM sessions s
            JOIN profiles p ON p.site_id = s.site_id AND p.profile_id = s.profile_id
            WHERE s.site_id = $site ORDER BY s.profile_id, s.started_at) AS f WHERE channel = 'organic_search'",
    ),
    (
        r#"{"event":{"of":{"what":{"track":"Product Added"}},"window":{"within":"90 days"},"is":{"count":{"at_least":1}}}}"#,
        "SELECT count(DISTINCT i.profile_id) FROM events e JOIN identities i USING (site_id, identity_id)
            JOIN terms t ON t.site_id = e.site_id AND t.term_id = e.name_id
            JOIN profiles p ON p.site_id = e.site_id AND p.profile_id = i.profile_id
            WHERE e.site_id = $site AND e.kind = 3 AND t.value = 'Product Added'
              AND e.occurred_at > now() - interval '90 days' AND e.occurred_at < now()",
    ),
];

/// A program that asks about a site.
struct Asker<'a> {
    web: Web,
    secret_key: String,
    site_id: i64,
    database: &'a Database,
}

impl Asker<'_> {
    fn asks(&self, method: &str, path: &str, body: &[u8]) -> tests::Reply {
        self.web.send(method, path, &[("authorization", &format!("Bearer {}", self.secret_key))], body)
    }

    fn preview(&self, who: &str) -> Option<Value> {
        let body = format!(r#"{{"rule":{{"version":1,"who":{who}}}}}"#);
        let reply = self.asks("POST", "/api/v1/preview", body.as_bytes());
        match reply.status {
            200 => Some(reply.json()),
            503 => None,
            status => panic!("{status}: {}", reply.body),
        }
    }

    fn coverage(&self) -> Value {
        let reply = self.asks("GET", "/api/v1/analysis", b"");
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["coverage"].clone()
    }

    /// Each question has the database's answer as soon as the columns have caught up.
    #[track_caller]
    fn agrees(&self) {
        for (who, query) in QUESTIONS {
            self.agrees_on(who, &query.replace("$site", &self.site_id.to_string()));
        }
    }

    #[track_caller]
    fn agrees_on(&self, who: &str, query: &str) {
        let mut last = None;
        until(&format!("{who} to agree"), 3 * SOON, || {
            let (preview, count) = (self.preview(who), self.database.number(query));
            let counted = preview.and_then(|preview| preview["count"].as_i64());
            if last != Some((counted, count)) {
                last = Some((counted, count));
                eprintln!("{who}: {counted:?} in memory, {count} in the database");
            }
            (counted == Some(count)).then_some(())
        });
    }
}

fn is_projected(database: &Database) {
    until("the journal to be projected", 6 * SOON, || {
        (database.number("SELECT count(*) FROM journal WHERE NOT projected") == 0).then_some(())
    });
}

#[test]
fn previews_agree_with_the_database_on_the_demo_and_over_restarts() {
    let folder = Folder::make();
    let data = folder.path();
    let server = Server::embedded(data, &["--demo"]);
    let database = Database::of_folder(data);
    is_projected(&database);
    let site_id = database.number("SELECT site_id FROM sites ORDER BY site_id LIMIT 1");
    let store = collector::store::Store::new(database.url(), 1).expect("a store");
    let secret_key = store.renew_secret_key(i32::try_from(site_id).unwrap()).expect("a key");
    let ask = |server: &Server| Asker {
        web: Web::new(&server.origin()),
        secret_key: secret_key.clone(),
        site_id,
        database: &database,
    };
    until("the key to be known", SOON, || {
        (ask(&server).asks("GET", "/api/v1/analysis", b"").status == 200).then_some(())
    });
    ask(&server).agrees();
    assert_eq!(ask(&server).coverage()["complete"], true);
    let preview = ask(&server).preview(QUESTIONS[0].0).expect("a preview");
    assert_eq!(preview["sample"].as_array().map(Vec::len), Some(20));
    let bars =
        |name: &str| preview[name].as_array().unwrap().iter().filter_map(|bar| bar["people"].as_u64()).sum::<u64>();
    for name in ["orders", "revenue", "last_seen_days"] {
        assert_eq!(bars(name), preview["count"].as_u64().unwrap(), "{name} of {preview}");
    }
    assert!(server.stop().success());

    let server = Server::embedded(data, &[]);
    ask(&server).agrees();
    assert!(server.log().contains("columns are taken from disk"), "{}", server.log());
    assert!(server.stop().success());
    rebuilt_says(data, true, "in columns, all the same");

    // What the journal does not name, nobody reads again.
    let server = Server::embedded(data, &[]);
    database.run(
        "WITH one AS (SELECT * FROM events WHERE kind = 3 ORDER BY site_id, occurred_at LIMIT 1),
            other AS (SELECT e.name_id FROM events e JOIN one USING (site_id, kind)
                WHERE e.name_id <> one.name_id LIMIT 1)
         UPDATE events e SET name_id = other.name_id FROM one, other
         WHERE e.site_id = one.site_id AND e.identity_id = one.identity_id AND e.event_id = one.event_id",
    );
    assert!(server.stop().success());
    rebuilt_says(data, false, "1 people in columns differ");

    let file = data.join(format!("analysis/columns-{site_id}.bin"));
    let mut bytes = std::fs::read(&file).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&file, &bytes).expect("the file");
    let server = Server::embedded(data, &[]);
    ask(&server).agrees();
    assert!(server.log().contains("is left aside"), "{}", server.log());
    assert!(server.stop().success());

    std::fs::remove_dir_all(data.join("analysis")).expect("the files");
    let server = Server::embedded(data, &["--analysis-memory", "1"]);
    ask(&server).agrees_on(QUESTIONS[0].0, &QUESTIONS[0].1.replace("$site", &site_id.to_string()));
    ask(&server).agrees_on(QUESTIONS[2].0, &QUESTIONS[2].1.replace("$site", &site_id.to_string()));
    let coverage = ask(&server).coverage();
    assert!(coverage["complete"] == false && coverage["from"].is_string(), "{coverage}");
    assert!(server.stop().success());
}

/// `segments rebuild` ends well or not, and says something.
#[track_caller]
fn rebuilt_says(data: &Path, ends_well: bool, says: &str) {
    let output = tests::server::command().arg("--data").arg(data).arg("rebuild").output().expect("the program runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains(says), "{says} in {told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.success(), ends_well, "{told}");
}

#[test]
fn what_happens_now_is_in_the_next_preview_and_merged_people_are_one() {
    let shop = Shop::open();
    let asker = Asker {
        web: Web::new(&shop.server.origin()),
        secret_key: shop.keys.secret_key.clone(),
        site_id: shop.keys.site_id.into(),
        database: &shop.database,
    };
    let viewed = r#"{"event":{"of":{"what":{"page":"/shoes"}},"is":{"count":{"at_least":1}}}}"#;
    let counts = |who: &str, expected: i64| {
        until(&format!("{expected} of {who}"), SOON, || {
            let preview = asker.preview(who)?;
            (preview["count"].as_i64() == Some(expected)).then_some(())
        });
    };
    counts(viewed, 0);
    shop.visitor("phone").views("/shoes").signs_in("u1");
    shop.visitor("laptop").views("/shoes").signs_in("u2");
    shop.visitor("other").views("/hats");
    counts(viewed, 2);
    let alias = json!({ "type": "alias", "userId": "u2", "previousId": "u1", "messageId": "a1" });
    assert_eq!(shop.server_says(&[alias]).receipt(), (1, 0, 0));
    counts(viewed, 1);
    let both = r#"{"event":{"of":{"what":{"page":"/shoes"}},"is":{"count":{"at_least":2}}}}"#;
    counts(both, 1);

    // A property that nobody has asked for yet is read in, and from then on kept.
    shop.visitor("phone").at(now_ms()).tracks("Plan Chosen", json!({ "plan": "pro", "seats": 5 }));
    let pro = r#"{"event":{"of":{"what":{"track":"Plan Chosen"},"with":[{"property":"plan","is":{"is":"Pro"}}]},
        "is":{"count":{"at_least":1}}}}"#;
    counts(pro, 1);
    shop.visitor("other").tracks("Plan Chosen", json!({ "plan": "pro" }));
    counts(pro, 2);
    asker.agrees();

    let wrong = asker.asks("POST", "/api/v1/preview", br#"{"rule":{"version":1,"who":{"segment":"nobody"}}}"#);
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    let wrong = asker.asks("POST", "/api/v1/preview", br#"{"rule":{"version":2}}"#);
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    let stranger = asker.web.send("POST", "/api/v1/preview", &[], b"{}");
    assert_eq!(stranger.status, 401, "{}", stranger.body);
    let reader = shop.database.number("SELECT count(*) FROM journal_cursors");
    assert_eq!(reader, 1, "the journal knows its reader");
}

#[test]
fn rules_that_ask_for_computed_traits_agree_in_memory_and_in_the_database() {
    let shop = Shop::open();
    let asker = Asker {
        web: Web::new(&shop.server.origin()),
        secret_key: shop.keys.secret_key.clone(),
        site_id: shop.keys.site_id.into(),
        database: &shop.database,
    };
    let define = |name: &str, says: &str| {
        let made = shop.call("POST", "/api/v1/traits", &json!({ "name": name, "says": says }));
        assert_eq!(made.status, 201, "{}", made.body);
    };
    define("views_5s", r#"number of views of "/shoes" within 5 seconds"#);
    define("seats", r#"largest "seats" of "Plan Chosen""#);
    define("plan_mode", r#"most frequent "plan" of "Plan Chosen" within 30 days"#);
    shop.visitor("mia")
        .at(now_ms())
        .views("/shoes")
        .views("/shoes")
        .tracks("Plan Chosen", json!({ "plan": "pro", "seats": "7" }));
    shop.visitor("tom").at(now_ms()).views("/shoes").tracks("Plan Chosen", json!({ "plan": "free", "seats": 3 }));
    shop.is_swept();
    let with = |name: &str, of: &str| {
        format!(
            "SELECT count(*) FROM trait_values v JOIN computed_traits t USING (site_id, trait_id)
                 WHERE t.name = '{name}' AND {of}"
        )
    };
    let asks = |name: &str, test: &str| format!(r#"{{"trait":{{"name":"{name}","is":{test}}}}}"#);
    asker.agrees_on(&asks("seats", r#"{"at_least":5}"#), &with("seats", "value::text::float8 >= 5"));
    asker.agrees_on(&asks("plan_mode", r#"{"is":"PRO"}"#), &with("plan_mode", "value = '\"pro\"'"));
    asker.agrees_on(&asks("views_5s", r#"{"at_least":2}"#), &with("views_5s", "value::text::int >= 2"));
    // Time takes it away in both, without anything being read again.
    asker.agrees_on(&asks("views_5s", r#"{"is":0}"#), "SELECT count(*) FROM profiles");
    until("the stored values to go", SOON, || (shop.database.number(&with("views_5s", "true")) == 0).then_some(()));
    // On a past day a rule has the values of that day.
    let yesterday = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24);
    let body = json!({ "rule": { "version": 1, "who": serde_json::from_str::<Value>(&asks("seats", r#"{"at_least":1}"#)).unwrap() },
                       "days": [yesterday.strftime("%Y-%m-%d").to_string()] });
    let tested = shop.call("POST", "/api/v1/backtest", &body);
    assert_eq!((tested.status, &tested.json()["days"][0]["members"]["people"]), (200, &json!(0)), "{}", tested.body);
}

#[test]
fn a_reader_that_the_journal_has_forgotten_reads_everybody_again() {
    let shop = Shop::open();
    let asker = Asker {
        web: Web::new(&shop.server.origin()),
        secret_key: shop.keys.secret_key.clone(),
        site_id: shop.keys.site_id.into(),
        database: &shop.database,
    };
    shop.visitor("mia").views("/shoes");
    asker.agrees();
    shop.database.run("DELETE FROM journal_cursors");
    // It notices when it next notes its place.
    until("the reader to be there again", SOON, || {
        (shop.database.number("SELECT count(*) FROM journal_cursors") == 1).then_some(())
    });
    shop.visitor("tom").views("/shoes");
    asker.agrees();
}
