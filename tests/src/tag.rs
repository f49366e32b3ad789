//! Pages that carry the script tag, and what their visitors' browsers know.

use crate::browser::Tab;
use crate::{Database, Server, Shop, Web, shop};
use serde_json::Value;

/// A shop whose own pages are on another origin than the collector, with this consent.
pub fn shop_elsewhere(consent: &str) -> Shop {
    let database = Database::fresh();
    let keys = shop::add_site(&database, "shop", &["--domain", "127.0.0.1", "--consent", consent]);
    let server = Server::start(&database, &[]);
    Shop { web: Web::new(&server.origin()), server, keys, database }
}

/// The script tag with these attributes more.
pub fn tag(shop: &Shop, more: &str) -> String {
    format!("<script async src=\"{}/t.js\" data-site=\"{}\" {more}></script>", shop.web.origin(), shop.keys.write_key)
}

/// The id that this browser keeps, as the API takes it.
#[track_caller]
pub fn visitor(tab: &Tab<'_>) -> String {
    tab.sees("localStorage['segments.visitor']");
    let id = tab.value("localStorage['segments.visitor']");
    format!("visitor_id={}", id.as_str().unwrap_or_default().parse::<uuid::Uuid>().expect("an id"))
}

/// Which engine the tracker runs on, once that is clear: `wasm` or `js`.
#[track_caller]
pub fn engine(tab: &Tab<'_>) -> Value {
    tab.sees("window.segments && segments.ready");
    tab.value("new Promise((told) => segments.ready(told)).then((status) => status.engine)")
}

/// The events of a profile as the API tells them, each by its own name or its kind.
#[track_caller]
pub fn kinds(profile: &Value) -> Vec<String> {
    let events = profile["events"].as_array().expect("events");
    let kind = |event: &Value| event["name"].as_str().or(event["kind"].as_str()).expect("a kind").to_owned();
    events.iter().map(kind).collect()
}

/// An expression that is true while a page has something in the browser's storage that is not delivered.
pub const KEEPS: &str = "Object.keys(localStorage).some((name) => name.startsWith('segments.queue'))";

/// How many events of a name are stored.
#[track_caller]
pub fn named(shop: &Shop, name: &str) -> i64 {
    shop.database.number(&format!(
        "SELECT count(*) FROM events e JOIN terms t ON (t.site_id, t.term_id) = (e.site_id, e.name_id)
         WHERE t.value = '{name}'"
    ))
}

/// Fails if anything was written to the page's console.
#[track_caller]
pub fn says_nothing(tab: &Tab<'_>) {
    assert_eq!(tab.console(), Vec::<String>::new(), "the page's console");
}
