//! Events as messages of Segment's public HTTP API.

use super::calendar::local;
use super::catalogue::{ARTICLES, BEANS, GEAR, PRODUCTS, decimal};
use super::year::{Arrival, Basket, Event, Page, What};
use super::{CURRENCY, DOMAIN, SHOP_NAME};
use jiff::Timestamp;
use serde_json::{Map, Number, Value, json};

/// Two phones, two desktops.
const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
];

/// The first order's number; they count up through the year.
const FIRST_ORDER: u32 = 10_001;

/// The messages of events that are in order.
pub(super) fn write(seed: u64, events: Vec<Event>) -> impl Iterator<Item = Value> {
    let mut next_order = FIRST_ORDER;
    events.into_iter().map(move |event| {
        let order = next_order;
        if matches!(event.what, What::Ordered(_)) {
            next_order += 1;
        }
        message(seed, &event, order)
    })
}

fn message(seed: u64, event: &Event, order: u32) -> Value {
    let (kind, name, body) = body(event, order);
    let mut message = Map::new();
    message.insert("type".into(), kind.into());
    message.insert("messageId".into(), format!("demo-{seed:x}-{}-{}", event.who.index, event.number).into());
    let at = Timestamp::from_millisecond(event.at).unwrap_or_default();
    message.insert("timestamp".into(), format!("{at:.3}").into());
    if let Some(device) = event.device {
        message.insert("anonymousId".into(), format!("demo-{seed:x}-{}-{device}", event.who.index).into());
    }
    if event.known {
        message.insert("userId".into(), format!("kc-{}", 10_000 + event.who.index).into());
    }
    if let Some(name) = name {
        message.insert(if kind == "track" { "event" } else { "name" }.into(), name.into());
    }
    message.insert(if kind == "identify" { "traits" } else { "properties" }.into(), body);
    message.insert("context".into(), context(event));
    Value::Object(message)
}

/// The message's type, its event's or page's name, and its properties or traits.
fn body(event: &Event, order: u32) -> (&'static str, Option<&'static str>, Value) {
    let track = |name, properties| ("track", Some(name), properties);
    match &event.what {
        What::Viewed => ("page", None, page(event)),
        What::Identified { customer } => ("identify", None, traits(event, *customer)),
        What::ListViewed => {
            let shelf = if event.page == Page::Fixed("/beans") { &BEANS } else { &GEAR };
            track("Product List Viewed", json!({ "list_id": shelf.path, "category": shelf.title }))
        }
        What::Product { name, quantity } => {
            let Page::Product(product) = event.page else { return track(name, json!({})) };
            let mut properties = line(product, *quantity);
            properties.insert("currency".into(), CURRENCY.into());
            track(name, Value::Object(properties))
        }
        What::Cart { name, basket } => track(name, Value::Object(cart(basket))),
        What::Ordered(basket) => {
            let mut properties = cart(basket);
            properties.insert("order_id".into(), format!("KC-{order}").into());
            track("Order Completed", Value::Object(properties))
        }
        What::Subscribed => track("Newsletter Subscribed", json!({ "list": "sunday-pour" })),
        What::SignedUp => track("Signed Up", json!({ "method": "checkout" })),
        What::SignedIn => track("Signed In", json!({ "method": "email" })),
        What::Mail { name, issue } => {
            // The mailing is a property and no campaign of a visit: being sent a letter is not a visit.
            let date = local(*issue).date();
            track(name, json!({ "list": "sunday-pour", "email_id": format!("sunday-pour-{date}") }))
        }
    }
}

fn traits(event: &Event, customer: bool) -> Value {
    let who = &event.who;
    let email = format!("{}.{}.{}@example.com", who.first_name, who.last_name, who.index).to_lowercase();
    let mut traits = Map::new();
    traits.insert("email".into(), email.into());
    traits.insert("first_name".into(), who.first_name.into());
    if customer {
        traits.insert("name".into(), format!("{} {}", who.first_name, who.last_name).into());
        traits.insert("address".into(), json!({ "city": who.city, "country": "US" }));
    }
    Value::Object(traits)
}

fn line(product: usize, quantity: u8) -> Map<String, Value> {
    let product = &PRODUCTS[product];
    let mut line = Map::new();
    line.insert("product_id".into(), product.id.into());
    line.insert("name".into(), product.name.into());
    line.insert("category".into(), product.shelf.title.into());
    line.insert("price".into(), amount(product.price_minor));
    line.insert("quantity".into(), quantity.into());
    line
}

fn cart(basket: &Basket) -> Map<String, Value> {
    let mut cart = Map::new();
    cart.insert("total".into(), amount(basket.total_minor()));
    cart.insert("currency".into(), CURRENCY.into());
    if basket.shipping_minor > 0 {
        cart.insert("shipping".into(), amount(basket.shipping_minor));
    }
    if let Some(coupon) = basket.coupon {
        cart.insert("coupon".into(), coupon.into());
        cart.insert("discount".into(), amount(basket.discount_minor));
    }
    let products = basket.lines.iter().map(|&(product, quantity)| Value::Object(line(product, quantity))).collect();
    cart.insert("products".into(), Value::Array(products));
    cart
}

/// Cents as a JSON number of dollars; the decimal has two digits, so that it reads back exactly.
fn amount(minor: i64) -> Value {
    decimal(minor).parse::<f64>().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

fn context(event: &Event) -> Value {
    let mut context = Map::new();
    let Some(device) = event.device else {
        context.insert("library".into(), json!({ "name": "sunday-pour-mailer" }));
        return Value::Object(context);
    };
    context.insert("page".into(), page(event));
    let browser = event.who.browsers[usize::from(device)];
    context.insert("userAgent".into(), BROWSERS[usize::from(browser)].into());
    context.insert("locale".into(), "en-US".into());
    if let Some(arrival) = event.arrival.as_deref().filter(|arrival| !arrival.campaign.is_empty()) {
        let campaign = campaign(arrival).into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        context.insert("campaign".into(), Value::Object(campaign.collect()));
    }
    Value::Object(context)
}

/// What a campaign says, under the names that messages use; an address has `utm_` before them.
fn campaign(arrival: &Arrival) -> Vec<(&'static str, &str)> {
    [
        ("source", arrival.source),
        ("medium", arrival.medium),
        ("name", arrival.campaign.as_str()),
        ("term", arrival.term),
        ("content", arrival.content),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect()
}

fn page(event: &Event) -> Value {
    let (path, title) = match event.page {
        Page::Fixed(path) => (path.to_owned(), title(path).to_owned()),
        Page::Product(product) => (format!("/shop/{}", PRODUCTS[product].id), PRODUCTS[product].name.to_owned()),
        Page::Article(article) => (format!("/blog/{}", ARTICLES[article].slug), ARTICLES[article].title.to_owned()),
    };
    let search = event.arrival.as_deref().map_or_else(String::new, |arrival| {
        let pairs: Vec<String> = campaign(arrival)
            .into_iter()
            .map(|(name, value)| {
                let name = if name == "name" { "campaign" } else { name };
                format!("utm_{name}={}", value.replace(' ', "+"))
            })
            .collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    });
    let referrer = event.arrival.as_deref().map_or("", |arrival| &arrival.referrer);
    json!({
        "url": format!("https://{DOMAIN}{path}{search}"),
        "path": path,
        "search": search,
        "title": format!("{title} · {SHOP_NAME}"),
        "referrer": referrer,
    })
}

fn title(path: &str) -> &'static str {
    match path {
        "/beans" => BEANS.title,
        "/gear" => GEAR.title,
        "/club" => "Brew Club",
        "/newsletter" => "The Sunday Pour",
        "/account" => "Your account",
        "/cart" => "Your cart",
        "/checkout" => "Checkout",
        "/thank-you" => "Thank you",
        _ => "Better mornings",
    }
}
