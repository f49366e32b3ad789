//! A year of one shop's customers, person by person.
//!
//! Each person arrives through a channel, reads, compares, perhaps subscribes, perhaps buys. Buyers order at a rate of
//! their own and one day stop for good: rates are Gamma and dropouts Beta distributed over people, as in the BG/NBD
//! model (Fader, Hardie & Lee 2005), so that predictions on the demo have something to find.

use super::calendar::{CHANNELS, Channel, DAY, HOUR, MINUTE, Year, local};
use super::catalogue::{ARTICLES, PRODUCTS};
use super::random::Random;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Something that one person did, or that was sent to them.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) at: i64,
    pub(super) who: Arc<Identity>,
    /// Counts the person's events.
    pub(super) number: u32,
    /// The device it happened on; `None` for what the mail system reports.
    pub(super) device: Option<u8>,
    /// The device knows whose it is.
    pub(super) known: bool,
    pub(super) what: What,
    /// How the visit came about, on its first page.
    pub(super) arrival: Option<Arc<Arrival>>,
    /// The page it happened on.
    pub(super) page: Page,
}

/// What happened.
#[derive(Clone, Debug)]
pub(super) enum What {
    Viewed,
    Identified { customer: bool },
    ListViewed,
    Product { name: &'static str, quantity: u8 },
    Cart { name: &'static str, basket: Arc<Basket> },
    Ordered(Arc<Basket>),
    Subscribed,
    SignedUp,
    SignedIn,
    Mail { name: &'static str, issue: i64 },
}

/// A page of the shop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Page {
    Fixed(&'static str),
    Product(usize),
    Article(usize),
}

/// Who somebody is.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) index: u32,
    pub(super) first_name: &'static str,
    pub(super) last_name: &'static str,
    pub(super) city: &'static str,
    /// Index of the browser on each device, the usual one first.
    pub(super) browsers: [u8; 2],
}

/// What led to a visit.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Arrival {
    pub(super) referrer: String,
    pub(super) source: &'static str,
    pub(super) medium: &'static str,
    pub(super) campaign: String,
    pub(super) term: &'static str,
    pub(super) content: &'static str,
}

/// What somebody buys.
#[derive(Debug)]
pub(super) struct Basket {
    /// Products by index, with their quantity.
    pub(super) lines: Vec<(usize, u8)>,
    pub(super) shipping_minor: i64,
    pub(super) discount_minor: i64,
    pub(super) coupon: Option<&'static str>,
}

impl Basket {
    pub(super) fn products_minor(&self) -> i64 {
        self.lines.iter().map(|&(product, quantity)| PRODUCTS[product].price_minor * i64::from(quantity)).sum()
    }

    pub(super) fn total_minor(&self) -> i64 {
        self.products_minor() + self.shipping_minor - self.discount_minor
    }
}

const FIRST_NAMES: [&str; 40] = [
    "Mia", "Noah", "Ada", "Liam", "Zoe", "Elias", "Nora", "Theo", "Ines", "Jonas", "Clara", "Oscar", "Leila", "Hugo",
    "Maya", "Felix", "Ruth", "Samir", "Olga", "Pablo", "Yuki", "Amara", "Ben", "Greta", "Ivan", "Jun", "Kofi", "Lena",
    "Marek", "Nina", "Omar", "Petra", "Quinn", "Rosa", "Sven", "Tara", "Uma", "Viktor", "Wren", "Xenia",
];
const LAST_NAMES: [&str; 40] = [
    "Abbott",
    "Baker",
    "Castillo",
    "Dahl",
    "Eriksen",
    "Fischer",
    "Garner",
    "Haddad",
    "Ivanova",
    "Jansen",
    "Keller",
    "Lindqvist",
    "Moreau",
    "Novak",
    "Okafor",
    "Petrov",
    "Quist",
    "Rossi",
    "Sato",
    "Tanaka",
    "Ueda",
    "Vargas",
    "Weber",
    "Xu",
    "Young",
    "Zimmer",
    "Archer",
    "Brandt",
    "Cole",
    "Duarte",
    "Ellis",
    "Farrow",
    "Gupta",
    "Hale",
    "Irwin",
    "Joshi",
    "Kaya",
    "Lund",
    "Mbeki",
    "Nolan",
];
const CITIES: [&str; 10] =
    ["Boston", "Portland", "Albany", "Richmond", "Savannah", "Buffalo", "Newark", "Hartford", "Raleigh", "Burlington"];

/// Products by the place they have in a basket.
const BEANS: [usize; 3] = [0, 1, 2];
const TOOLS: [usize; 4] = [3, 4, 5, 6];
const FILTERS: usize = 7;
/// The article that the search results have found.
const LOW_ACID: usize = 0;

/// Everything one person does in the year, in order; nothing after its end.
pub(super) fn story(seed: u64, index: u32, year: Year) -> Vec<Event> {
    let mut random = Random::new(seed, u64::from(index) + 1);
    let (first, channel) = year.first_visit(&mut random);
    let phone_first = random.chance(if channel == Channel::PaidSocial { 0.85 } else { 0.55 });
    let (phone, desktop) = (random.below(2) as u8, 2 + random.below(2) as u8);
    let who = Identity {
        index,
        first_name: random.pick(&FIRST_NAMES),
        last_name: random.pick(&LAST_NAMES),
        city: random.pick(&CITIES),
        browsers: if phone_first { [phone, desktop] } else { [desktop, phone] },
    };
    let mut person = Person {
        year,
        who: Arc::new(who),
        two_devices: random.chance(0.4),
        // From fans to those who hardly open a mail; where they came from says something about that.
        opens: random.beta(2.0, 3.2),
        favourite: if channel == Channel::Organic && random.chance(0.4) { 2 } else { random.pick(&BEANS) },
        known: [false; 2],
        account: false,
        subscribed: false,
        gone: false,
        orders: 0,
        free_from: first,
        events: Vec::new(),
        random,
    };
    person.live(first, channel);
    person.events.retain(|event| event.at <= year.end);
    person.events.sort_by_key(|event| (event.at, event.number));
    person.events
}

/// What a person means to do on a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Plan {
    Read,
    Browse,
    FillCart,
    Buy,
}

/// What lies ahead of a person, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ahead {
    Visit(Plan, usize),
    Mail,
}

struct Person {
    random: Random,
    year: Year,
    who: Arc<Identity>,
    two_devices: bool,
    opens: f64,
    favourite: usize,
    known: [bool; 2],
    account: bool,
    subscribed: bool,
    /// Will not buy again.
    gone: bool,
    orders: u32,
    /// The earliest time for a next visit, so that visits do not overlap.
    free_from: i64,
    events: Vec<Event>,
}

impl Person {
    fn live(&mut self, first: i64, channel: Channel) {
        let buys = match channel {
            Channel::Organic => 0.27,
            Channel::PaidSearch => 0.32,
            Channel::PaidSocial => 0.15,
            Channel::Direct => 0.38,
            Channel::Referral => 0.33,
            Channel::Newsletter => 0.42,
        };
        let buyer = self.random.chance(buys);
        let days_between_orders = 1.0 / self.random.gamma(1.3, 1.0 / 52.0).max(1.0 / 400.0);
        let dropout = self.random.beta(0.9, 2.4);
        let first_plan = match (buyer, channel) {
            (true, _) if self.random.chance(0.3) => Plan::Buy,
            (_, Channel::Organic | Channel::Newsletter) if self.random.chance(0.6) => Plan::Read,
            _ if self.random.chance(0.24) => Plan::FillCart,
            _ => Plan::Browse,
        };
        let mut ahead = BinaryHeap::new();
        ahead.push(Reverse((first, Ahead::Visit(first_plan, index_of(channel)))));
        ahead.extend(self.year.sends().filter(|&at| at > first).map(|at| Reverse((at, Ahead::Mail))));
        // Those who only look come back a few times, then no more.
        let mut at = first;
        let mut plan = first_plan;
        loop {
            let wait = match (buyer, plan) {
                (false, _) if !self.random.chance(0.42) => break,
                (false, _) => self.random.exponential(9.0),
                (true, Plan::Buy) => {
                    if self.random.chance(dropout) {
                        // One last look, perhaps.
                        if self.random.chance(0.4) {
                            let later = self.random.exponential(20.0);
                            let at = self.year.at_an_hour(at + days(later + 1.0), &mut self.random);
                            ahead.push(Reverse((at, Ahead::Visit(Plan::Browse, self.returns_by(at)))));
                        }
                        break;
                    }
                    self.random.exponential(days_between_orders)
                }
                (true, _) => self.random.exponential(4.0),
            };
            let next = at + days(wait);
            let next = self.year.at_an_hour(next.max(at + HOUR), &mut self.random).max(at + HOUR);
            // A slow season delays.
            let next = if self.random.chance(self.year.interest(next) + 0.25) { next } else { next + 5 * DAY };
            if next > self.year.end {
                break;
            }
            // Between orders they look in, more often the more they buy.
            if buyer && plan == Plan::Buy && wait > 6.0 && self.random.chance(0.75) {
                let between = at + ((next - at) as f64 * (0.2 + 0.6 * self.random.unit())) as i64;
                let between = self.year.at_an_hour(between, &mut self.random);
                let look = if self.random.chance(0.34) { Plan::FillCart } else { Plan::Browse };
                ahead.push(Reverse((between.max(at + HOUR), Ahead::Visit(look, self.returns_by(between)))));
            }
            at = next;
            plan = match (buyer, plan) {
                (false, _) => self.random.pick(&[Plan::Browse, Plan::Browse, Plan::Read, Plan::FillCart]),
                (true, Plan::Buy) => Plan::Buy,
                (true, _) if self.random.chance(0.55) => Plan::Buy,
                (true, _) => self.random.pick(&[Plan::Browse, Plan::FillCart]),
            };
            ahead.push(Reverse((at, Ahead::Visit(plan, self.returns_by(at)))));
        }
        let last_planned = at;
        while let Some(Reverse((at, next))) = ahead.pop() {
            match next {
                Ahead::Visit(plan, channel) => self.visit(at, plan, CHANNELS[channel], at),
                Ahead::Mail => {
                    self.gone = at > last_planned + 30 * DAY;
                    if let Some((click, plan)) = self.mail(at, buyer) {
                        self.visit(click, plan, Channel::Newsletter, at);
                    }
                }
            }
        }
    }

    /// How somebody who knows the shop comes back.
    fn returns_by(&mut self, at: i64) -> usize {
        let pull = self.year.pull(at);
        let ads = if pull[index_of(Channel::PaidSocial)] > 20.0 { 0.16 } else { 0.05 };
        // Organic, paid search, paid social, direct, referral; the newsletter brings people by itself.
        self.random.weighted(&[0.3, 0.1, ads, 0.47, 0.05])
    }

    /// The newsletter of a Sunday; gives the visit it leads to.
    fn mail(&mut self, issue: i64, buyer: bool) -> Option<(i64, Plan)> {
        if !self.subscribed {
            return None;
        }
        let sent = issue + self.random.below(20 * 60_000) as i64;
        self.report(sent, "Email Delivered", issue);
        let interest = if self.gone { 0.35 } else { 1.0 };
        if !self.random.chance(self.opens * interest) {
            if self.gone && self.random.chance(0.04) {
                self.report(sent + 2 * HOUR, "Email Unsubscribed", issue);
                self.subscribed = false;
            }
            return None;
        }
        let opened = sent + days(self.random.exponential(0.35).min(5.0)) + MINUTE;
        self.report(opened, "Email Opened", issue);
        if !self.random.chance(0.16) {
            return None;
        }
        let clicked = opened + 20_000 + self.random.below(90_000) as i64;
        self.report(clicked, "Email Link Clicked", issue);
        let plan = match self.random.unit() {
            p if p < 0.2 && buyer && !self.gone => Plan::Buy,
            p if p < 0.5 => Plan::Read,
            p if p < 0.6 => Plan::FillCart,
            _ => Plan::Browse,
        };
        Some((clicked + 1_500, plan))
    }

    fn report(&mut self, at: i64, name: &'static str, issue: i64) {
        let number = self.events.len() as u32;
        let what = What::Mail { name, issue };
        let page = Page::Fixed("/");
        let who = Arc::clone(&self.who);
        self.events.push(Event { at, who, number, device: None, known: true, what, arrival: None, page });
    }

    fn visit(&mut self, at: i64, plan: Plan, channel: Channel, issue: i64) {
        let start = at.max(self.free_from);
        let device = usize::from(self.two_devices && self.random.chance(0.3));
        let arrival = Arc::new(self.arrival(channel, issue));
        let landing = match (channel, plan) {
            (Channel::Organic, _) if self.orders == 0 && self.random.chance(0.55) => {
                let low_acid = self.year.pull(start)[0] > 30.0 && self.random.chance(0.6);
                Page::Article(if low_acid { LOW_ACID } else { self.random.below(ARTICLES.len()) })
            }
            (_, Plan::Read) => Page::Article(self.random.below(ARTICLES.len())),
            (Channel::PaidSearch | Channel::PaidSocial, _) => Page::Product(self.random.pick(&TOOLS)),
            (Channel::Newsletter, _) => Page::Product(self.favourite),
            (Channel::Direct | Channel::Organic | Channel::Referral, _) => Page::Fixed("/"),
        };
        let mut visit = Visit { person: self, at: start, device, arrival: Some(arrival), page: landing };
        visit.go(landing);
        visit.follow(plan, channel);
        let end = visit.at;
        self.free_from = end + 31 * MINUTE;
    }

    fn arrival(&mut self, channel: Channel, at: i64) -> Arrival {
        let date = local(at).date();
        let quarter = (date.month() - 1) / 3 + 1;
        match channel {
            Channel::Organic => Arrival {
                referrer: self
                    .random
                    .pick(&[
                        "https://www.google.com/",
                        "https://www.google.com/",
                        "https://duckduckgo.com/",
                        "https://www.bing.com/",
                    ])
                    .to_owned(),
                ..Arrival::default()
            },
            Channel::PaidSearch => Arrival {
                referrer: "https://www.google.com/".to_owned(),
                source: "google",
                medium: "cpc",
                campaign: format!("{}-{}-q{quarter}", self.random.pick(&["brand", "kettles", "grinders"]), date.year()),
                term: self.random.pick(&[
                    "gooseneck kettle",
                    "hand coffee grinder",
                    "kettle and crema",
                    "coffee scale",
                ]),
                content: "",
            },
            Channel::PaidSocial => Arrival {
                referrer: "https://l.instagram.com/".to_owned(),
                source: self.random.pick(&["instagram", "instagram", "facebook"]),
                medium: "paid_social",
                campaign: format!("{}-{}-q{quarter}", self.random.pick(&["slow-mornings", "gift-guide"]), date.year()),
                term: "",
                content: self.random.pick(&["video-pour", "carousel-tools"]),
            },
            Channel::Direct => Arrival::default(),
            Channel::Referral => Arrival {
                referrer: self
                    .random
                    .pick(&[
                        "https://slowcoffee.example/best-kettles",
                        "https://slowcoffee.example/best-kettles",
                        "https://magazine.example/kettle-and-crema",
                        "https://forum.example/t/decaf",
                    ])
                    .to_owned(),
                ..Arrival::default()
            },
            Channel::Newsletter => Arrival {
                source: "newsletter",
                medium: "email",
                campaign: format!("sunday-pour-{date}"),
                content: self.random.pick(&["lead-story", "roast-of-the-month"]),
                ..Arrival::default()
            },
        }
    }

    fn basket(&mut self, channel: Channel) -> Basket {
        let mut lines: Vec<(usize, u8)> = Vec::new();
        let starts = self.orders == 0;
        if self.random.chance(if starts { 0.5 } else { 0.12 }) {
            lines.push((self.random.pick(&TOOLS), 1));
        }
        if lines.is_empty() || self.random.chance(0.45) {
            let beans = if self.random.chance(0.8) { self.favourite } else { self.random.pick(&BEANS) };
            lines.push((beans, if self.random.chance(if starts { 0.1 } else { 0.3 }) { 2 } else { 1 }));
        }
        if self.random.chance(0.28) {
            lines.push((FILTERS, 1 + self.random.below(2) as u8));
        }
        let mut basket = Basket { lines, shipping_minor: 0, discount_minor: 0, coupon: None };
        let products = basket.products_minor();
        basket.shipping_minor = if products < 4_000 { 490 } else { 0 };
        if channel == Channel::Newsletter && self.random.chance(0.35) {
            basket.coupon = Some("SUNDAY10");
            basket.discount_minor = products / 10;
        }
        basket
    }
}

/// One visit as it goes on.
struct Visit<'a> {
    person: &'a mut Person,
    at: i64,
    device: usize,
    /// Until the second page.
    arrival: Option<Arc<Arrival>>,
    page: Page,
}

impl Visit<'_> {
    fn happens(&mut self, what: What) {
        let person = &mut *self.person;
        person.events.push(Event {
            at: self.at,
            who: Arc::clone(&person.who),
            number: person.events.len() as u32,
            device: Some(self.device as u8),
            known: person.known[self.device],
            what,
            arrival: self.arrival.clone(),
            page: self.page,
        });
    }

    /// Some seconds on the page.
    fn stays(&mut self, seconds: f64) {
        self.at += (self.person.random.lognormal(seconds, 0.7).clamp(1.0, 1_200.0) * 1_000.0) as i64;
    }

    /// Opens a page; what the shop's script reports of it follows at once.
    fn go(&mut self, page: Page) {
        self.page = page;
        self.happens(What::Viewed);
        self.at += 120 + self.person.random.below(300) as i64;
        match page {
            Page::Product(_) => self.happens(What::Product { name: "Product Viewed", quantity: 1 }),
            Page::Fixed("/beans" | "/gear") => self.happens(What::ListViewed),
            Page::Fixed(_) | Page::Article(_) => {}
        }
    }

    fn next(&mut self, page: Page, seconds: f64) {
        self.stays(seconds);
        self.arrival = None;
        self.go(page);
    }

    fn follow(&mut self, plan: Plan, channel: Channel) {
        // On a device that does not know them yet, customers often sign in.
        if self.person.account && !self.person.known[self.device] && self.person.random.chance(0.45) {
            self.next(Page::Fixed("/account"), 20.0);
            self.stays(15.0);
            self.introduces(What::SignedIn);
        }
        match plan {
            Plan::Read => {
                while self.person.random.chance(0.35) {
                    let article = Page::Article(self.person.random.below(ARTICLES.len()));
                    self.next(article, 80.0);
                }
                if self.person.random.chance(0.35) {
                    let product = Page::Product(self.person.random.below(PRODUCTS.len()));
                    self.next(product, 70.0);
                }
            }
            Plan::Browse => self.browses(0.55),
            Plan::FillCart => {
                self.browses(0.4);
                let basket = Arc::new(self.person.basket(channel));
                self.fills(&basket);
                if self.person.random.chance(0.5) {
                    self.checks_out(&basket);
                }
            }
            Plan::Buy => {
                if self.person.orders == 0 || self.person.random.chance(0.4) {
                    self.browses(0.45);
                }
                let basket = Arc::new(self.person.basket(channel));
                self.fills(&basket);
                self.checks_out(&basket);
                self.orders(basket);
            }
        }
        let wants_mail = if plan == Plan::Buy { 0.3 } else { 0.075 };
        if !self.person.subscribed && !self.person.gone && self.person.random.chance(wants_mail) {
            self.next(Page::Fixed("/newsletter"), 25.0);
            self.stays(12.0);
            self.person.subscribed = true;
            self.introduces(What::Subscribed);
        }
    }

    /// Goes on looking at things with probability `more` after each.
    fn browses(&mut self, more: f64) {
        loop {
            let page = match self.person.random.below(8) {
                0 => Page::Fixed("/beans"),
                1 => Page::Fixed("/gear"),
                2 => Page::Fixed("/club"),
                3 => Page::Product(self.person.favourite),
                _ => Page::Product(self.person.random.below(PRODUCTS.len())),
            };
            self.next(page, 28.0);
            if !self.person.random.chance(more) {
                break;
            }
        }
    }

    fn fills(&mut self, basket: &Arc<Basket>) {
        for &(product, quantity) in &basket.lines {
            if self.page != Page::Product(product) {
                self.next(Page::Product(product), 22.0);
            }
            self.stays(20.0);
            self.happens(What::Product { name: "Product Added", quantity });
        }
    }

    fn checks_out(&mut self, basket: &Arc<Basket>) {
        self.next(Page::Fixed("/cart"), 15.0);
        self.next(Page::Fixed("/checkout"), 15.0);
        self.happens(What::Cart { name: "Checkout Started", basket: Arc::clone(basket) });
    }

    fn orders(&mut self, basket: Arc<Basket>) {
        self.stays(60.0);
        if !self.person.account {
            self.person.account = true;
            self.introduces(What::SignedUp);
        } else if !self.person.known[self.device] {
            self.introduces(What::SignedIn);
        }
        self.person.orders += 1;
        self.next(Page::Fixed("/thank-you"), 4.0);
        self.happens(What::Ordered(basket));
    }

    /// Says who they are; the device knows it from then on.
    fn introduces(&mut self, why: What) {
        self.person.known[self.device] = true;
        self.happens(What::Identified { customer: self.person.account });
        self.at += 40;
        self.happens(why);
    }
}

fn index_of(channel: Channel) -> usize {
    channel as usize
}

fn days(days: f64) -> i64 {
    (days * DAY as f64) as i64
}
