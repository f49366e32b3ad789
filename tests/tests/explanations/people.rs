//! A shop's people: the same stories in every run, told from the moment of the run.

use jiff::civil::Date;
use serde_json::{Value, json};
use tests::Shop;
use tests::shop::Keys;
use tests::speech::{self, visitor_id, written};
use tests::synthetic::Draws;
use wire::{Event, Id, Who};

/// Kinds of stories, and how many people live each of them.
const STORIES: usize = 36;
const PEOPLE_OF_EACH: usize = 10;
const DAY_MS: f64 = 86_400_000.0;
const MINUTE: f64 = 1.0 / 1_440.0;

type Link = (&'static str, &'static str);
const DIRECT: Link = ("", "");
const MAIL: Link = ("?utm_source=letter&utm_medium=email&utm_campaign=autumn", "");
const ADVERT: Link = ("?utm_source=google&utm_medium=cpc&utm_campaign=shoes", "");
const SEARCH: Link = ("", "https://www.google.com/");
const LINKS: [Link; 9] = [
    DIRECT,
    DIRECT,
    MAIL,
    ADVERT,
    SEARCH,
    ("", "https://www.facebook.com/post"),
    ("", "https://www.youtube.com/watch"),
    ("", "https://friends.example/links"),
    ("?utm_source=Partner&utm_medium=affiliate", ""),
];

/// One person and what is said of them.
struct Person {
    name: String,
    visitor: Id,
    user_id: Option<String>,
    now_ms: i64,
    draws: Draws,
    /// By the shop's server, and by the browser.
    server: Vec<Value>,
    browser: Vec<Event<'static>>,
}

impl Person {
    fn new(number: usize, now_ms: i64) -> Person {
        let name = format!("p{number}");
        let visitor = visitor_id(&name);
        let draws = Draws::of(number as u64 + 1);
        Person { name, visitor, user_id: None, now_ms, draws, server: Vec::new(), browser: Vec::new() }
    }

    fn at(&self, days_ago: f64) -> i64 {
        self.now_ms - (days_ago * DAY_MS) as i64
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[((self.draws.uniform() * all.len() as f64) as usize).min(all.len() - 1)]
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.draws.uniform() * (high - low)
    }

    fn says(&mut self, days_ago: f64, mut message: Value) {
        let id = format!("{}-{}", self.name, self.server.len());
        let at = jiff::Timestamp::from_millisecond(self.at(days_ago)).expect("a time of this century");
        message["messageId"] = id.into();
        message["timestamp"] = at.to_string().into();
        message["anonymousId"] = written(self.visitor).into();
        if let Some(user_id) = &self.user_id {
            message["userId"] = user_id.clone().into();
        }
        self.server.push(message);
    }

    fn page(&mut self, days_ago: f64, path: &str, (query, referrer): Link) {
        let url = format!("https://shop.example{path}{query}");
        self.says(days_ago, json!({ "type": "page", "properties": { "url": url, "referrer": referrer } }));
    }

    fn tracks(&mut self, days_ago: f64, name: &str, properties: Value) {
        self.says(days_ago, json!({ "type": "track", "event": name, "properties": properties }));
    }

    fn orders(&mut self, days_ago: f64, total: f64, coupon: Value) {
        let order_id = format!("{}-{}", self.name, self.server.len());
        let total = format!("{total:.2}");
        self.tracks(days_ago, "Order Completed", json!({ "order_id": order_id, "total": total, "coupon": coupon }));
    }

    /// Signs in, with traits.
    fn known(&mut self, days_ago: f64) {
        self.user_id = Some(format!("u-{}", self.name));
        let plan = self.one_of(&["pro", "Pro", "free", "TEAM"]);
        let age = self.between(16.0, 70.0).floor();
        let mut traits = json!({ "plan": plan, "age": age, "city": self.one_of(&["Zürich", "Bern", "zürich-west"]) });
        match self.one_of(&[0, 1, 2, 3, 4]) {
            0 => traits["email"] = format!("{}@example.com", self.name).into(),
            1 => traits["tags"] = json!(["a", "b"]),
            2 => traits["age"] = format!(" {age}.0").into(),
            3 => (traits["plan"], traits["vip"]) = (Value::Null, true.into()),
            _ => traits["tags"] = "x".repeat(300).into(),
        }
        self.says(days_ago, json!({ "type": "identify", "traits": traits }));
    }

    /// A visit of a few pages, and what is done on them.
    fn visits(&mut self, days_ago: f64, link: Link) {
        let pages = ["/", "/shoes", "/shoes/red", "/pricing", "/pricing/teams", "/blog/a", "/blog/b?x=1", "/help"];
        let landing = self.one_of(&pages);
        // A query of its own would be broken by the campaign's.
        self.page(days_ago, landing.split('?').next().unwrap_or("/"), link);
        let mut at = days_ago;
        for _ in 0..self.one_of(&[0, 0, 1, 2, 3]) {
            at -= self.between(0.05, 9.0) * MINUTE;
            if at <= 0.0 {
                return;
            }
            match self.one_of(&[0, 1, 2, 3]) {
                0 | 1 => {
                    let path = self.one_of(&pages);
                    self.page(at, path, DIRECT);
                }
                2 => self.looks(at),
                _ => self.tracks(at, "Products Searched", json!({ "query": "red" })),
            }
        }
    }

    fn looks(&mut self, days_ago: f64) {
        let category =
            self.one_of(&[json!("shoes"), json!("Shoes"), json!("hats"), Value::Null, json!(7)].map(Kept::of));
        let price = self.one_of(&[json!(4.35), json!("19.90"), json!(" 5"), json!("n/a"), json!(120)].map(Kept::of));
        self.tracks(days_ago, "Product Viewed", json!({ "category": category.value(), "price": price.value() }));
    }

    /// Some visits anywhere in the last `days`.
    fn comes(&mut self, times: usize, from: f64, to: f64) {
        for _ in 0..times {
            let (days_ago, link) = (self.between(to, from), self.one_of(&LINKS));
            self.visits(days_ago, link);
        }
    }

    fn buys(&mut self, times: usize, from: f64, to: f64) {
        for _ in 0..times {
            let (days_ago, total) = (self.between(to, from), self.between(5.0, 90.0));
            let coupon = self.one_of(&[Kept::of(Value::Null), Kept::of(json!("")), Kept::of(json!("TEN"))]).value();
            self.orders(days_ago, total, coupon);
        }
    }

    /// In the browser, minutes after one another, from so many days ago on.
    fn browses(&mut self, days_ago: f64, steps: &[&str], link: Link) {
        let mut at_ms = self.at(days_ago);
        for (number, step) in steps.iter().enumerate() {
            let event = match (step.strip_prefix('/'), *step) {
                (Some(_), path) => {
                    let (query, referrer) = if number == 0 { link } else { DIRECT };
                    speech::page_from(at_ms, &format!("https://shop.example{path}{query}"), referrer)
                }
                (None, "identify") => {
                    let user_id = format!("u-{}", self.name);
                    speech::identify(at_ms, &user_id, json!({ "plan": "pro", "age": 33 }))
                }
                (None, "order") => {
                    let order_id = format!("b-{}-{number}", self.name);
                    speech::track(
                        at_ms,
                        "Order Completed",
                        json!({ "order_id": order_id, "total": 30, "currency": "EUR" }),
                    )
                }
                (None, name) => speech::track(at_ms, name, json!({ "category": "shoes", "price": 10 + number })),
            };
            self.browser.push(event);
            at_ms += (self.between(0.2, 12.0) * MINUTE * DAY_MS) as i64;
        }
    }

    /// What this person does, by the kind of story; `turn` counts those of one kind.
    fn lives(&mut self, story: usize, turn: usize) {
        let spread = turn as f64;
        match story {
            0 => {
                self.comes(3, 120.0, 1.0);
                // An order is one person's, however many report it.
                self.tracks(30.0 + spread, "Order Completed", json!({ "order_id": "everybodys", "total": 44 }));
            }
            1 => self.comes(7, 28.0, 0.5),
            2 => self.browses(1.0 + spread / 2.0, &["/shoes", "/shoes/red"], ADVERT),
            3 => {
                let steps =
                    ["/pricing", "Product Viewed", "/pricing/teams", "Product Viewed", "/pricing", "Product Viewed"];
                self.browses(0.1 + spread / 2.0, &steps, SEARCH);
            }
            4 => self.browses(0.01 + spread * 0.7, &["/shoes", "Product Viewed", "Product Added", "/cart"], MAIL),
            5 => {
                let steps = ["/cart", "Product Added", "Checkout Started", "/checkout", "Checkout Started"];
                self.browses(0.005 + spread * 0.75, &steps, DIRECT);
            }
            6 => {
                let steps = ["/", "Products Searched", "Products Searched", "/shoes", "Products Searched"];
                self.browses(0.2 + spread * 0.7, &steps, LINKS[turn % LINKS.len()]);
            }
            7 => {
                for read in 0..6 {
                    let (days_ago, link) = (f64::from(read) * 3.1 + spread + 0.5, self.one_of(&LINKS));
                    self.page(days_ago, "/blog/2026/story", link);
                }
            }
            8 => {
                self.comes(2, 118.0, 92.0);
                self.comes(1, 6.5, 0.2);
            }
            9 => self.comes(3, 119.0, 61.0),
            10 => {
                for visit in 0..3 {
                    self.visits(f64::from(visit) * 20.0 + spread + 1.0, MAIL);
                }
            }
            11 => {
                self.visits(40.0 + spread, SEARCH);
                self.tracks(39.99 + spread, "Product Added to Wishlist", json!({ "product_id": "1" }));
            }
            12 => {
                self.visits(spread * 0.9 + 0.3, SEARCH);
                for days_ago in [6.9, 5.5, 1.2] {
                    self.page(days_ago + spread / 50.0, "/shoes", DIRECT);
                }
                self.tracks(spread * 0.9 + 0.29, "Product Removed", json!({ "product_id": "1" }));
            }
            13 => {
                self.known(100.0);
                self.orders(20.0 + spread, 25.0 + spread, json!("TEN"));
                self.orders(80.0 + spread, 35.0, json!("WELCOME"));
                self.orders(90.0, 15.0, json!(""));
            }
            14 => {
                self.known(60.0);
                self.visits(21.0 + spread, MAIL);
                self.orders(20.9 + spread, 60.0, Value::Null);
            }
            15 | 16 => {
                self.known(80.0);
                self.buys(2, 80.0, 31.0);
                let stars = if story == 15 { json!("4.5") } else { json!(1 + turn % 3) };
                self.tracks(3.0 + spread * 4.0, "Product Reviewed", json!({ "rating": stars, "product_id": turn }));
            }
            17 => {
                self.known(70.0);
                self.buys(1, 60.0, 20.0);
                self.tracks(1.0 + spread * 5.0, "Return Announced", json!({ "total": 20 }));
            }
            18 => {
                self.user_id = Some(format!("u-{}", self.name));
                self.tracks(3.2 + spread * 2.5, "Signed Up", json!({}));
            }
            19 => {
                self.known(12.8);
                self.tracks(11.2 + spread * 0.25, "Trial Started", json!({}));
            }
            20 => {
                self.known(50.0);
                self.tracks(15.0 + spread * 4.0, "Trial Started", json!({}));
            }
            21 => {
                self.known(55.0);
                self.tracks(45.0, "Trial Started", json!({}));
                self.tracks(29.0 - spread * 2.0, "Subscription Started", json!({ "price": 19 }));
            }
            22 => {
                self.known(30.0);
                for login in 0..14 {
                    self.tracks(f64::from(login) * 2.0 + spread / 20.0 + 0.1, "Logged In", json!({}));
                }
            }
            23 => {
                self.known(44.0);
                for _ in 0..14 {
                    let days_ago = self.between(14.1, 43.5);
                    self.tracks(days_ago, "Report Made", json!({ "price": 1.1 }));
                }
            }
            24 => {
                self.known(40.0);
                let name = if turn.is_multiple_of(2) { "Invited" } else { "Invite Sent" };
                self.tracks(spread * 6.0 + 2.0, name, json!({}));
            }
            25 | 26 => {
                self.known(115.0);
                self.tracks(114.0, "Subscription Started", json!({ "price": 19 }));
                self.tracks(60.0 + spread, "Subscription Cancelled", json!({}));
                if story == 26 {
                    self.comes(2, 13.0, 0.5);
                }
                if turn == 9 {
                    self.tracks(3.0, "Subscription Started", json!({ "price": 19 }));
                }
            }
            27 => {
                self.known(119.0);
                self.comes(4, 119.0, 0.3);
                self.buys(4, 118.0, 1.0);
                // Just before its first anniversary; and two things in one second.
                self.orders(364.7 - spread * 0.8, 55.0, Value::Null);
                self.orders(2.5 + spread, 20.0, Value::Null);
                self.looks(2.5 + spread);
                self.page(2.5 + spread, "/shoes", MAIL);
                self.orders(2.5 + spread, 20.0, json!("TEN"));
            }
            28 => {
                self.known(119.0);
                self.comes(2, 100.0, 0.3);
                self.buys(2, 100.0 - spread * 8.0, 1.0);
            }
            29 => {
                self.known(700.0);
                let days_ago = [2.0, 20.0, 45.0, 70.0, 100.0, 150.0, 250.0, 364.0, 500.0, 650.0][turn % 10];
                self.orders(days_ago, 12.0 + 13.0 * spread, json!("TEN"));
            }
            30 => self.known([1.0, 10.0, 50.0, 89.0, 95.0, 120.0, 185.0, 250.0, 400.0, 600.0][turn % 10]),
            31 => {
                self.known(60.0);
                self.visits(5.0 + spread, ADVERT);
                self.orders(4.99 + spread, 400.0 + spread, Value::Null);
            }
            32 => {
                let steps =
                    ["/shoes", "Product Viewed", "Product Added", "Checkout Started", "order", "/thanks", "identify"];
                self.browses(0.1 + spread * 0.7, &steps, LINKS[turn % LINKS.len()]);
            }
            33 => {
                self.known(300.0);
                self.buys(3, 300.0, 130.0);
                self.says(100.0, json!({ "type": "group", "groupId": "g1", "traits": { "plan": "group" } }));
                let dollars = json!({ "order_id": format!("usd-{turn}"), "total": 99, "currency": "USD" });
                self.tracks(20.0 + spread, "Order Completed", dollars);
            }
            34 => {
                // An app: its screens have names and no address.
                let screen = self.one_of(&["Home", "Cart", "Settings"]);
                self.says(spread * 3.0 + 0.2, json!({ "type": "screen", "name": screen }));
                self.tracks(spread * 3.0 + 0.19, "Product Viewed", json!({ "price": "1e2" }));
            }
            _ => {
                // Everything at once.
                if turn.is_multiple_of(2) {
                    self.known(119.0);
                }
                self.comes(9, 119.0, 0.1);
                self.buys(turn % 4, 118.0, 0.2);
                for name in ["Product Added", "Checkout Started", "Product Removed", "Logged In", "Trial Started"] {
                    let days_ago = self.between(0.1, 60.0);
                    self.tracks(days_ago, name, json!({ "price": 3.3, "category": "hats" }));
                }
            }
        }
    }
}

/// A value to be chosen by chance.
#[derive(Clone, Copy)]
enum Kept {
    Nothing,
    Text(&'static str),
    Number(f64),
}

impl Kept {
    fn of(value: Value) -> Kept {
        match value {
            Value::String(text) => Kept::Text(text.leak()),
            Value::Number(number) => Kept::Number(number.as_f64().unwrap_or(0.0)),
            _ => Kept::Nothing,
        }
    }

    fn value(self) -> Value {
        match self {
            Kept::Nothing => Value::Null,
            Kept::Text(text) => text.into(),
            Kept::Number(number) => number.into(),
        }
    }
}

/// Segments of the shop's own, of every kind of clause: `vips` is a list beside them. `day` is so many days ago.
pub(crate) fn own_segments(day: impl Fn(i64) -> Date) -> Vec<(&'static str, String)> {
    let fixed = [
        (
            "steps",
            r#"did "Product Viewed" then did "Product Added" within 2 hours then did "Checkout Started" within 1 day, within 30 days"#,
        ),
        ("steps-without", r#"viewed "/pricing*" then did anything without viewed "/blog/*" within 20 days"#),
        ("steps-never", r#"did "Checkout Started" never followed by ordered within 20 minutes, within 7 days"#),
        ("read-and-left", r#"viewed "/shoes*" never followed by did "Product Added" within 3 days"#),
        ("shoes-priced", r#"total "price" of "Product Viewed" with "category" is "shoes", at least 15 within 8 days"#),
        ("spent-much", "ordered for at least 60 in total from 110 days to 3 days ago"),
        ("spent-little", "ordered for at most 25 in total within 40 days"),
        ("new-reader", r#"first viewed "/blog/*" at most 30 days ago"#),
        ("mailed", r#"last visited with "channel" is "email", at least 10 days ago, from 100 days to 5 days ago"#),
        ("busy-month", "did anything between 2 and 6 times from 60 days to 20 days ago"),
        ("lately", "visited at least once within 11999 seconds"),
        ("young-pros", r#"trait "plan" is one of "pro", "team" and trait "age" is between 20 and 45"#),
        ("locals", r#"(trait "city" contains "ÜR" or trait "tags" is known) and not (trait "vip" is true)"#),
        ("a-third", r#"in bucket 0 to 3333 of "spring""#),
        ("chosen", r#"(in segment "spent-much" or in segment "vips") and not in segment "a-third""#),
        ("twice-chosen", r#"in segment "chosen" and orders is at least 1"#),
        (
            "good-baskets",
            "average order value is at least 40 and orders is at least 2 and days since last seen is at least 2",
        ),
        (
            "through-mail",
            r#"last channel is one of "email", "paid_search" and visits is between 1 and 4 and not (first channel is "email")"#,
        ),
        ("scores", "recency score is at least 3 and monetary score is at most 4 and frequency score is known"),
        ("may-return", "probability of return is at least 0.5 or probability of sign up is between 0.01 and 0.2"),
        ("front-page", r#"viewed "/" at least once and page views is at most 8"#),
        ("said-who", "identified at least once within 100 days and days since first seen is at least 20"),
    ];
    let dated = [
        ("before-a-day", format!("ordered at least once before {}", day(60))),
        ("between-days", format!("visited at least once from {} to {}", day(40), day(10))),
        ("since-a-day", format!(r#"never did "Product Reviewed" with "rating" is at least 4, since {}"#, day(30))),
    ];
    fixed.into_iter().map(|(key, says)| (key, says.to_owned())).chain(dated).collect()
}

/// Segments of the imported site's own.
pub(crate) const IMPORTED: [(&str, &str); 8] = [
    ("likely", "probability alive is at least 0.5 and expected orders is at least 0.2"),
    ("worth-it", "expected revenue is at least 20 and expected revenue percentile is between 30 and 95"),
    ("cluster-one", "cluster is one of 1, 3"),
    ("soon-again", "ordered then ordered within 30 days, within 500 days"),
    ("not-again", "ordered never followed by ordered within 60 days, within 400 days"),
    ("a-tenth", r#"in bucket 9000 to 10000 of "autumn""#),
    ("spent", r#"total "total" of "Order Completed" between 50 and 200 within 540 days"#),
    ("likely-tenth", r#"in segment "likely" and not in segment "a-tenth""#),
];

/// Has the people live their stories. Between waves, `pause` waits until all is folded.
pub(crate) fn live(shop: &Shop, now_ms: i64, pause: impl Fn(&str)) {
    let mut people: Vec<Person> = (0..STORIES * PEOPLE_OF_EACH).map(|number| Person::new(number, now_ms)).collect();
    for (number, person) in people.iter_mut().enumerate() {
        person.lives(number % STORIES, number / STORIES);
    }
    // First the browsers: as long as no server has reported an order, their own count.
    for person in people.iter_mut().filter(|person| !person.browser.is_empty()) {
        // One event of some comes hours after the others.
        let late = person.browser.len() > 4;
        let kept = if late { person.browser.remove(2) } else { person.browser[0].clone() };
        let events = person.browser.len() as u64;
        assert_eq!(shop.post(Who::Visitor(person.visitor), &person.browser).receipt(), (events, 0, 0));
        person.browser = if late { vec![kept] } else { Vec::new() };
    }
    pause("browsers have spoken");
    // Somebody without consent is nobody's profile.
    let load = Who::Load(speech::mint(now_ms));
    assert_eq!(shop.post(load, &[speech::page(now_ms, "https://shop.example/")]).receipt(), (1, 0, 0));
    let messages: Vec<Value> = people.iter_mut().flat_map(|person| std::mem::take(&mut person.server)).collect();
    // Every seventh message comes late, so that people are folded anew.
    let (late, at_once): (Vec<_>, Vec<_>) = messages.into_iter().enumerate().partition(|(number, _)| number % 7 == 3);
    let say = |messages: Vec<(usize, Value)>| {
        for part in messages.chunks(400) {
            let part: Vec<Value> = part.iter().map(|(_, message)| message.clone()).collect();
            assert_eq!(shop.server_says(&part).receipt(), (part.len() as u64, 0, 0));
        }
    };
    say(at_once);
    pause("the server has spoken");
    say(late);
    for person in people.iter().filter(|person| !person.browser.is_empty()) {
        assert_eq!(shop.post(Who::Visitor(person.visitor), &person.browser).receipt(), (1, 0, 0));
    }
    pause("the late have spoken");
    // Half of the browsers' orders are confirmed, one for another amount; and some people turn out to be one.
    let named = |story: usize, turn: usize| &people[turn * STORIES + story];
    let mut last = Vec::new();
    for turn in 0..5 {
        let person = named(32, turn);
        let properties = json!({ "order_id": format!("b-{}-4", person.name), "total": 30 + turn, "currency": "EUR" });
        last.push(json!({ "type": "track", "event": "Order Completed", "messageId": format!("confirmed-{turn}"),
            "userId": format!("u-{}", person.name), "properties": properties }));
        let (one, other) = (named(27, turn), named(28, turn));
        last.push(json!({ "type": "alias", "messageId": format!("one-{turn}"),
            "userId": format!("u-{}", one.name), "previousId": format!("u-{}", other.name) }));
        let (one, other) = (named(35, turn), named(29, turn));
        last.push(json!({ "type": "identify", "messageId": format!("joined-{turn}"), "traits": { "plan": "pro" },
            "anonymousId": written(one.visitor), "userId": format!("u-{}", other.name) }));
    }
    say(last.into_iter().enumerate().collect());
    let vips: Vec<String> =
        (0..PEOPLE_OF_EACH).map(|turn| format!("u-{}", named([13, 27, 30][turn % 3], turn).name)).collect();
    let put = shop.call("PUT", "/api/v1/segments/vips/list", &json!({ "user_ids": vips }));
    assert_eq!(put.json()["found"], vips.len(), "{}", put.body);
}

/// Makes the segments of a site.
pub(crate) fn keep(shop: &Shop, keys: &Keys, segments: &[(&str, String)]) {
    for (key, says) in segments {
        let body = json!({ "key": key, "name": key, "says": says }).to_string();
        let bearer = format!("Bearer {}", keys.secret_key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let made = shop.web.send("POST", "/api/v1/segments", &headers, body.as_bytes());
        assert_eq!(made.status, 201, "{says}: {}", made.body);
    }
}
