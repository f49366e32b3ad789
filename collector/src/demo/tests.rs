//! The generated year: repeatable, in order, well formed, and a story that holds together.

use super::*;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

const SEED: u64 = 7;
const PEOPLE: usize = 3_000;

fn end() -> jiff::Timestamp {
    "2026-11-20T15:30:00Z".parse().unwrap()
}

/// Made once for all tests.
fn whole_year() -> &'static [Value] {
    static YEAR: LazyLock<Vec<Value>> = LazyLock::new(|| messages(SEED, end(), PEOPLE).collect());
    &YEAR
}

fn time(message: &Value) -> jiff::Timestamp {
    message["timestamp"].as_str().unwrap().parse().unwrap()
}

fn cents(value: &Value) -> i64 {
    (value.as_f64().unwrap() * 100.0).round() as i64
}

/// Whose message it is: the seed's people are told apart by their ids' number.
fn person(message: &Value) -> u32 {
    message["messageId"].as_str().unwrap().split('-').nth(2).unwrap().parse().unwrap()
}

#[test]
fn the_same_arguments_give_the_same_year_and_more_people_only_add_to_it() {
    let year: Vec<Value> = messages(SEED, end(), 200).collect();
    assert!(messages(SEED, end(), 200).eq(year.iter().cloned()));
    assert!(!messages(SEED + 1, end(), 200).eq(year.iter().cloned()));
    let ids = |people, end| -> HashSet<String> {
        messages(SEED, end, people).map(|message| message["messageId"].as_str().unwrap().to_owned()).collect()
    };
    let few = ids(200, end());
    assert!(few.is_subset(&ids(300, end())));
    assert_eq!(few.len(), year.len());
}

#[test]
fn the_year_is_in_order_and_inside_its_bounds() {
    let year = whole_year();
    let times: Vec<_> = year.iter().map(time).collect();
    assert!(times.is_sorted());
    assert!(*times.last().unwrap() <= end());
    let span = end().duration_since(times[0]).as_hours();
    assert!((355 * 24..=365 * 24).contains(&span), "{span} h");
    // The last day is not empty: the demo is alive when it opens.
    assert!(times.iter().filter(|at| end().duration_since(**at).as_hours() < 24).count() > 50);
}

#[test]
fn messages_have_the_shape_of_the_api() {
    let mut ids = HashSet::new();
    for message in whole_year() {
        let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
        assert!(ids.insert(text("/messageId").unwrap().to_owned()), "{message}");
        assert!(text("/anonymousId").is_some() || text("/userId").is_some(), "{message}");
        match text("/type").unwrap() {
            "page" => {
                let url = text("/properties/url").unwrap();
                assert!(url.starts_with("https://kettle-crema.example/"), "{url}");
                assert_eq!(message["properties"], message["context"]["page"]);
            }
            "track" => assert!(message["properties"].is_object() && !text("/event").unwrap().is_empty()),
            "identify" => {
                assert!(text("/userId").is_some() && text("/traits/email").unwrap().ends_with("@example.com"));
            }
            other => panic!("type {other}"),
        }
        if text("/context/campaign/name").is_some() {
            assert!(text("/context/page/search").unwrap().contains("utm_campaign="), "{message}");
        }
        assert!(message.to_string().len() < 4_096, "{message}");
    }
}

#[test]
fn every_generated_page_can_be_opened_in_the_shop() {
    for message in whole_year() {
        if let Some(path) = message["context"]["page"]["path"].as_str() {
            assert!(shop::page(path.trim_start_matches('/'), "k").is_some(), "{path}");
        }
    }
}

#[test]
fn orders_add_up_and_have_a_number_of_their_own() {
    let mut numbers = HashSet::new();
    for message in whole_year().iter().filter(|message| message["event"] == "Order Completed") {
        let order = &message["properties"];
        assert!(numbers.insert(order["order_id"].as_str().unwrap().to_owned()), "{order}");
        let products: i64 = order["products"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| cents(&line["price"]) * line["quantity"].as_i64().unwrap())
            .sum();
        let extra = |name: &str| order.get(name).map_or(0, cents);
        assert!(products > 0);
        assert_eq!(cents(&order["total"]), products + extra("shipping") - extra("discount"), "{order}");
        assert_eq!(order["currency"], CURRENCY);
        assert!(message["userId"].is_string() && message["anonymousId"].is_string());
    }
    assert!(numbers.len() > 1_500, "{}", numbers.len());
}

#[test]
fn each_story_holds_together() {
    let mut people: HashMap<u32, Vec<&Value>> = HashMap::new();
    for message in whole_year() {
        people.entry(person(message)).or_default().push(message);
    }
    // Somebody who would first have come after the year's end is not there; nobody else is missing.
    assert!(people.len() > PEOPLE * 99 / 100, "{}", people.len());
    for story in people.values() {
        assert_eq!(story[0]["type"], "page", "a story begins with a visit: {}", story[0]);
        let (mut seen, mut subscribed, mut delivered, mut opened) = (HashSet::new(), false, None, None);
        let mut added = 0;
        let mut users = HashSet::new();
        let mut known: HashSet<&str> = HashSet::new();
        for message in story {
            let device = message["anonymousId"].as_str();
            if let Some(user) = message["userId"].as_str() {
                users.insert(user);
            }
            match device {
                // A device says whose it is from its identify on, not before and ever after.
                Some(device) => {
                    if message["type"] == "identify" {
                        known.insert(device);
                    }
                    assert_eq!(message["userId"].is_string(), known.contains(device), "{message}");
                }
                None => assert!(subscribed, "mail without a subscription: {message}"),
            }
            let email = message["properties"]["email_id"].as_str();
            match message["event"].as_str() {
                Some("Product Viewed") => {
                    seen.insert(message["properties"]["product_id"].as_str().unwrap());
                }
                Some("Product Added") => {
                    assert!(seen.contains(message["properties"]["product_id"].as_str().unwrap()), "{message}");
                    added += 1;
                }
                Some("Order Completed") => {
                    let lines = message["properties"]["products"].as_array().unwrap().len();
                    assert!(added >= lines, "ordered without having added: {message}");
                    added = 0;
                }
                Some("Newsletter Subscribed") => subscribed = true,
                Some("Email Unsubscribed") => subscribed = false,
                Some("Email Delivered") => delivered = email,
                Some("Email Opened") => {
                    assert_eq!(email, delivered);
                    opened = email;
                }
                Some("Email Link Clicked") => assert_eq!(email, opened),
                _ => {}
            }
        }
        assert!(users.len() <= 1, "{users:?}");
    }
}

#[test]
fn visits_of_one_device_do_not_overlap_and_pages_follow_within_a_session() {
    let mut last: HashMap<u32, (jiff::Timestamp, String)> = HashMap::new();
    for message in whole_year() {
        let Some(device) = message["anonymousId"].as_str() else { continue };
        let landing = message["type"] == "page" && !message["context"]["campaign"].is_null();
        let before = last.insert(person(message), (time(message), device.to_owned()));
        if let Some((before, other)) = before {
            let gap = time(message).duration_since(before);
            if landing || other != device {
                assert!(gap.as_mins() >= 30, "{gap:?} before {message}");
            }
        }
    }
}

#[test]
fn the_year_looks_like_a_shop() {
    let year = whole_year();
    assert!((60_000..=100_000).contains(&year.len()), "{} messages", year.len());
    let count = |name: &str| year.iter().filter(|message| message["event"] == name).count();
    let orders: Vec<&Value> = year.iter().filter(|message| message["event"] == "Order Completed").collect();
    let mut by_customer: HashMap<&str, usize> = HashMap::new();
    for order in &orders {
        *by_customer.entry(order["userId"].as_str().unwrap()).or_default() += 1;
    }
    let revenue: i64 = orders.iter().map(|order| cents(&order["properties"]["total"])).sum();
    let repeat = by_customer.values().filter(|&&n| n > 1).count() as f64 / by_customer.len() as f64;
    let mean = revenue as f64 / orders.len() as f64 / 100.0;
    let opens = count("Email Opened") as f64 / count("Email Delivered") as f64;
    let abandoned = 1.0 - orders.len() as f64 / count("Checkout Started") as f64;

    // The first campaign, or else the first referrer, of each person that ordered.
    let mut channel: HashMap<u32, String> = HashMap::new();
    for message in year.iter().filter(|message| message["type"] == "page") {
        let context = &message["context"];
        let medium = context["campaign"]["medium"].as_str();
        let referrer = context["page"]["referrer"].as_str().unwrap();
        channel.entry(person(message)).or_insert_with(|| match (medium, referrer) {
            (Some(medium), _) => medium.to_owned(),
            (None, "") => "direct".to_owned(),
            (None, search) if search.ends_with(".com/") => "organic".to_owned(),
            (None, _) => "referral".to_owned(),
        });
    }
    let mut by_channel: HashMap<&str, i64> = HashMap::new();
    for order in &orders {
        *by_channel.entry(&channel[&person(order)]).or_default() += cents(&order["properties"]["total"]);
    }
    println!(
        "{} messages, {} orders of {} customers, {repeat:.3} repeat, mean {mean:.2}, revenue {}, {} subscribers, \
         {} delivered, {opens:.3} opened, {abandoned:.3} abandoned; {by_channel:?}",
        year.len(),
        orders.len(),
        by_customer.len(),
        revenue / 100,
        count("Newsletter Subscribed"),
        count("Email Delivered"),
    );
    assert!((600..1_200).contains(&by_customer.len()));
    assert!((0.35..0.7).contains(&repeat), "{repeat}");
    assert!((40.0..80.0).contains(&mean), "{mean}");
    assert!((0.25..0.5).contains(&opens), "{opens}");
    assert!((0.05..0.6).contains(&abandoned), "{abandoned}");
    for (name, share) in [("organic", 0.2), ("direct", 0.08), ("cpc", 0.06), ("paid_social", 0.03), ("referral", 0.03)]
    {
        let part = by_channel[name] as f64 / revenue as f64;
        assert!(part > share && part < 0.6, "{name} brings {part}");
    }
    assert!(by_customer.values().any(|&n| n >= 10), "nobody is a regular");
}

#[test]
fn the_real_orders_are_all_there() {
    let mut reader = csv::Reader::from_reader(CDNOW_ORDERS);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 6_919);
    let column = reader.headers().unwrap().iter().position(|name| name == "customer_id").unwrap();
    let customers: HashSet<&str> = rows.iter().map(|row| &row[column]).collect();
    assert_eq!(customers.len(), 2_357);
}
