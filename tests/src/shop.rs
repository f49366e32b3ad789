//! A shop with its tag: a server, its database, a site, and the people who come.

use crate::cluster::Database;
use crate::server::{Server, command, segments, succeeds};
use crate::speech;
use crate::web::{Reply, Web};
use crate::{SOON, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;
use wire::{Event, Id, Who};

/// A site's number and keys, as `segments site add --json` prints them.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Keys {
    /// The site's number.
    pub site_id: i32,
    /// The public key.
    pub write_key: String,
    /// The server's key.
    pub secret_key: String,
    /// What to paste.
    pub script_tag: String,
}

/// Makes a site.
#[track_caller]
pub fn add_site(database: &Database, name: &str, arguments: &[&str]) -> Keys {
    let mut line = vec!["site", "add", name, "--json"];
    line.extend(arguments);
    let told = succeeds(&segments(database, &line));
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// Makes a log-in that sees all sites.
#[track_caller]
pub fn add_user(database: &Database, email: &str, password: &str) {
    let mut add = command()
        .args(["user", "add", email, "--password-stdin"])
        .env("DATABASE_URL", database.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("segments runs");
    writeln!(add.stdin.take().expect("standard input"), "{password}").expect("a password is read");
    assert!(add.wait().expect("its end").success(), "no user {email}");
}

/// What the API says of a site's outcomes.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub struct Outcomes {
    /// Stored events.
    pub stored: u64,
    /// Events that were there.
    pub duplicate: u64,
    /// Rejected ones by reason.
    pub rejected: BTreeMap<String, u64>,
    /// The latest of them.
    pub latest_rejected: Vec<Value>,
}

/// A server with one site, `shop`, on `shop.example`.
pub struct Shop {
    /// The running server; before the database, which goes after it.
    pub server: Server,
    /// A client.
    pub web: Web,
    /// The site.
    pub keys: Keys,
    /// Everything that is stored.
    pub database: Database,
}

impl Shop {
    /// Opens one.
    pub fn open() -> Shop {
        Shop::with(&[])
    }

    /// Opens one whose server has these arguments.
    pub fn with(arguments: &[&str]) -> Shop {
        Shop::on(Database::fresh(), arguments)
    }

    /// Opens one in a database that is there.
    pub fn on(database: Database, arguments: &[&str]) -> Shop {
        let keys = add_site(&database, "shop", &["--domain", "shop.example"]);
        let server = Server::start(&database, arguments);
        Shop { web: Web::new(&server.origin()), server, keys, database }
    }

    /// Another site of the same server, on `<name>.example`. A server that runs learns of it within a moment.
    #[track_caller]
    pub fn neighbour(&self, name: &str) -> Keys {
        let keys = add_site(&self.database, name, &["--domain", &format!("{name}.example")]);
        let settings = format!("/v1/projects/{}/settings", keys.write_key);
        until("the server to know the new site", SOON, || (self.web.get(&settings).status == 200).then_some(()));
        keys
    }

    /// A person with a browser that keeps its id.
    pub fn visitor(&self, name: &str) -> Visitor<'_> {
        Visitor { shop: self, id: speech::visitor_id(name), at_ms: speech::now_ms() }
    }

    /// Sends a batch with the shop's public key.
    pub fn post(&self, who: Who, events: &[Event<'static>]) -> Reply {
        self.web.post("/v1/events", &speech::batch(&self.keys.write_key, who, events))
    }

    /// Sends Segment messages with the secret key.
    pub fn server_says(&self, messages: &[Value]) -> Reply {
        self.web.post_json("/v1/batch", &json!({ "writeKey": self.keys.secret_key, "batch": messages }))
    }

    /// Asks the API for programs.
    pub fn ask(&self, path: &str) -> Reply {
        self.web.send("GET", path, &[("authorization", &format!("Bearer {}", self.keys.secret_key))], b"")
    }

    /// Calls the API for programs with a body.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Reply {
        let bearer = format!("Bearer {}", self.keys.secret_key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.web.send(method, path, &headers, body.to_string().as_bytes())
    }

    /// Makes a segment of people of whom a sentence holds, and waits until everybody has been asked.
    #[track_caller]
    pub fn keeps(&self, key: &str, says: &str) {
        let made = self.call("POST", "/api/v1/segments", &json!({ "key": key, "name": key, "says": says }));
        assert_eq!(made.status, 201, "{}", made.body);
        self.is_swept();
    }

    /// Waits until everybody has been asked about all segments.
    #[track_caller]
    pub fn is_swept(&self) {
        let behind = "SELECT count(*) FROM sites s LEFT JOIN segment_sweeps w USING (site_id)
                      WHERE s.segments_revision > COALESCE(w.swept_revision, 0)";
        until("everybody to be asked", SOON, || (self.database.number(behind) == 0).then_some(()));
    }

    /// The people in a segment now, by profile number.
    pub fn members(&self, key: &str) -> Vec<i64> {
        let rows = self.database.rows(&format!(
            "SELECT profile_id FROM segment_members m JOIN segments g USING (site_id, segment_id)
             WHERE g.key = '{key}' ORDER BY profile_id"
        ));
        rows.iter().filter_map(|row| row["profile_id"].as_i64()).collect()
    }

    /// What became of everything that arrived.
    #[track_caller]
    pub fn outcomes(&self) -> Outcomes {
        let reply = self.ask("/api/v1/outcomes");
        assert_eq!(reply.status, 200, "{}", reply.body);
        serde_json::from_value(reply.json()).expect("outcomes")
    }

    /// The rejected events by reason.
    #[track_caller]
    pub fn rejected(&self) -> BTreeMap<String, u64> {
        self.outcomes().rejected
    }

    /// Stored events, counted in the table itself.
    #[track_caller]
    pub fn stored(&self) -> i64 {
        self.database.number("SELECT count(*) FROM events")
    }

    /// What a source has brought and how often: `page shop.example/`, `screen Home`, `Order Completed`, `identify`, …
    #[track_caller]
    pub fn brought(&self, source: &str) -> BTreeMap<String, i64> {
        self.count_events(&format!("s.value = '{source}'"))
    }

    /// What is known of somebody, whoever brought it, as [`Shop::brought`] tells it.
    #[track_caller]
    pub fn did(&self, who: &str) -> BTreeMap<String, i64> {
        let profile_id = self.profile_id(who);
        self.count_events(&format!("i.profile_id = {profile_id}"))
    }

    fn count_events(&self, condition: &str) -> BTreeMap<String, i64> {
        let rows = self.database.rows(&format!(
            "SELECT CASE e.kind WHEN 1 THEN 'page ' || p.value WHEN 2 THEN 'snapshot' WHEN 3 THEN n.value
                WHEN 4 THEN 'identify' WHEN 5 THEN 'group' WHEN 6 THEN 'alias' ELSE 'screen ' || p.value END AS what,
                count(*) AS n
             FROM events e JOIN identities i USING (site_id, identity_id)
             LEFT JOIN terms n ON (n.site_id, n.term_id) = (e.site_id, e.name_id)
             LEFT JOIN terms p ON (p.site_id, p.term_id) = (e.site_id, e.page_id)
             LEFT JOIN terms s ON (s.site_id, s.term_id) = (e.site_id, e.source_id)
             WHERE {condition} GROUP BY 1"
        ));
        let pair = |row: &Value| Some((row["what"].as_str()?.to_owned(), row["n"].as_i64()?));
        rows.iter().map(|row| pair(row).expect("a name and a number")).collect()
    }

    /// Waits until nothing is left to project.
    #[track_caller]
    pub fn is_projected(&self) {
        until("the journal to be projected", SOON, || {
            (self.database.number("SELECT count(*) FROM journal WHERE NOT projected") == 0).then_some(())
        });
    }

    /// A profile as the API tells it, once everything is projected; `who` is for example `user_id=u1`.
    #[track_caller]
    pub fn profile(&self, who: &str) -> Value {
        self.is_projected();
        let reply = self.ask(&format!("/api/v1/profiles?{who}"));
        assert_eq!(reply.status, 200, "{who}: {}", reply.body);
        reply.json()
    }

    /// The number of the profile that an identifier belongs to.
    #[track_caller]
    pub fn profile_id(&self, who: &str) -> i64 {
        self.profile(who)["profile_id"].as_i64().expect("a number")
    }

    /// `segments rebuild` finds nothing to change.
    #[track_caller]
    pub fn is_the_same_rebuilt(&self) {
        self.is_projected();
        rebuild_changes_nothing(&self.database);
    }
}

/// `segments rebuild` finds nothing to change.
#[track_caller]
pub fn rebuild_changes_nothing(database: &Database) {
    let output = segments(database, &["rebuild"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(told.lines().last(), Some("no difference"), "{told}");
}

/// A person with a browser, who does one thing after the other, a second apart.
pub struct Visitor<'a> {
    shop: &'a Shop,
    /// The id that the browser keeps.
    pub id: Id,
    at_ms: i64,
}

impl Visitor<'_> {
    /// What follows happened at this moment.
    pub fn at(mut self, at_ms: i64) -> Self {
        self.at_ms = at_ms;
        self
    }

    /// As the API takes it.
    pub fn query(&self) -> String {
        format!("visitor_id={}", speech::written(self.id))
    }

    /// Views a page of the shop.
    #[track_caller]
    pub fn views(self, path: &str) -> Self {
        let event = speech::page(self.at_ms, &format!("https://shop.example{path}"));
        self.does(event)
    }

    /// Calls `segments.track`.
    #[track_caller]
    pub fn tracks(self, name: &str, properties: Value) -> Self {
        let event = speech::track(self.at_ms, name, properties);
        self.does(event)
    }

    /// Calls `segments.identify`.
    #[track_caller]
    pub fn signs_in(self, user_id: &str) -> Self {
        let event = speech::identify(self.at_ms, user_id, json!({}));
        self.does(event)
    }

    /// Does anything, which must be stored.
    #[track_caller]
    pub fn does(mut self, event: Event<'static>) -> Self {
        let reply = self.shop.post(Who::Visitor(self.id), &[event]);
        assert_eq!(reply.receipt(), (1, 0, 0), "{}", reply.body);
        self.at_ms += 1_000;
        self
    }
}
