//! The table of calls and events, as those who write types and scripts from it rely on it.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use wire::vocabulary::{CALLS, CONSENT, EVENTS, PRODUCT, event, events_json};

#[test]
fn scripts_get_the_whole_table() {
    let table: Value = serde_json::from_str(&events_json()).expect("JSON");
    assert_eq!(table["events"].as_object().map(|events| events.len()), Some(EVENTS.len()));
    assert_eq!(table["product"].as_object().map(|product| product.len()), Some(PRODUCT.len()));
    assert_eq!(table["events"]["Products Searched"], json!({ "query": "t!" }));
    let order = &table["events"]["Order Completed"];
    assert_eq!((&order["order_id"], &order["total"], &order["products"]), (&json!("i!"), &json!("a"), &json!("p")));
    assert_eq!((&order["currency"], &order["cancelled"]), (&json!("m"), &Value::Null));
}

#[test]
fn names_are_plain_and_stand_once() {
    let plain = |name: &str| name.chars().all(|letter| letter.is_ascii_alphanumeric() || " _".contains(letter));
    let names: BTreeSet<&str> = EVENTS.iter().map(|event| event.name).chain(CALLS.map(|call| call.name)).collect();
    assert_eq!(names.len(), EVENTS.len() + CALLS.len());
    assert!(names.iter().all(|name| plain(name)), "{names:?}");
    for event in EVENTS {
        let properties: Vec<&str> = event.properties().map(|property| property.name).collect();
        let once: BTreeSet<&str> = properties.iter().copied().collect();
        assert_eq!(once.len(), properties.len(), "{}: {properties:?}", event.name);
        assert!(properties.iter().all(|name| plain(name)), "{}: {properties:?}", event.name);
    }
}

#[test]
fn what_orders_are_known_by_is_required() {
    for name in ["Order Completed", "Order Updated", "Order Refunded", "Order Cancelled"] {
        let order = event(name).unwrap_or_else(|| panic!("no {name}"));
        let required: Vec<&str> = order.properties().filter(|property| property.required).map(|own| own.name).collect();
        assert_eq!(required, ["order_id"], "{name}");
    }
    assert!(event("order completed").is_none(), "one spelling");
    assert_eq!(CONSENT, ["off", "measure", "full", "wait"], "the tracker's numbers for them are their places");
}
