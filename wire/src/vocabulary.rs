//! What a site may say: the tracker's calls, its consent words, and the named events of shops with their properties.
//!
//! One table for all who need it: the types of the npm package are written from it (`cargo xtask assets`), and
//! [`events_json`] gives it to scripts. Names and properties are those of Segment's specification "V2 Ecommerce Events",
//! so that what was written for analytics.js is right here too; `refund_id`, `amount` and `cancelled` are this
//! collector's own. A site's own events and further properties are always welcome; nothing here refuses any.

mod shop;

pub use shop::{EVENTS, PRODUCT};

/// How much may be told: consent's words, the least first.
pub const CONSENT: [&str; 4] = ["off", "measure", "full", "wait"];

/// What a value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An id: text that is not empty, or a number.
    Id,
    /// Text.
    Text,
    /// An amount or price in the currency's main unit: a number, or one written as text.
    Amount,
    /// A whole number, 0 or more.
    Count,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// Three letters of ISO 4217.
    Currency,
    /// An address, absolute or not.
    Url,
    /// A list of products; each has [`PRODUCT`]'s properties.
    Products,
    /// A list of `{ type, value }`, such as the filters of a list.
    Choices,
}

impl Kind {
    /// Its letter in [`events_json`].
    pub const fn letter(self) -> char {
        match self {
            Kind::Id => 'i',
            Kind::Text => 't',
            Kind::Amount => 'a',
            Kind::Count => 'c',
            Kind::Number => 'n',
            Kind::Flag => 'f',
            Kind::Currency => 'm',
            Kind::Url => 'u',
            Kind::Products => 'p',
            Kind::Choices => 'l',
        }
    }
}

/// A property of a named event.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// What its value has to be.
    pub kind: Kind,
    /// Without it the event says too little to be of use.
    pub required: bool,
}

/// A named event that has a meaning.
#[derive(Clone, Copy, Debug)]
pub struct NamedEvent {
    /// Its name, in its one spelling.
    pub name: &'static str,
    /// When it is told.
    pub about: &'static str,
    /// Its properties, in groups.
    pub properties: &'static [&'static [Property]],
}

impl NamedEvent {
    /// All its properties.
    pub fn properties(&self) -> impl Iterator<Item = &'static Property> {
        self.properties.iter().copied().flatten()
    }
}

/// The event of that name.
pub fn event(name: &str) -> Option<&'static NamedEvent> {
    EVENTS.iter().find(|event| event.name == name)
}

/// What an argument of a call has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A number or text that names somebody or a group.
    Id,
    /// An object of values.
    Properties,
    /// One of [`CONSENT`], or what consent managers keep.
    Consent,
    /// True or false.
    Flag,
    /// A function that is told how the tracker runs.
    Listener,
    /// An event's name and what [`EVENTS`] says of its properties: the two arguments of `track`.
    Event,
}

/// An argument.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// What it is called.
    pub name: &'static str,
    /// What it has to be.
    pub takes: Takes,
    /// May be left out.
    pub optional: bool,
}

/// A call of `window.segments`, and of the npm package.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// The arguments of each way to call it.
    pub ways: &'static [&'static [Argument]],
}

const fn needs(name: &'static str, takes: Takes) -> Argument {
    Argument { name, takes, optional: false }
}

const fn may_have(name: &'static str, takes: Takes) -> Argument {
    Argument { name, takes, optional: true }
}

/// All calls.
pub const CALLS: [Call; 9] = [
    Call {
        name: "page",
        about: "Counts a page view now. The first one and those by history navigation are counted anyway.",
        ways: &[&[]],
    },
    Call {
        name: "track",
        about: "Tells of a named event: one of a shop, whose properties are known, or one of the site's own.",
        ways: &[&[needs("name", Takes::Event)]],
    },
    Call {
        name: "identify",
        about: "Says who the visitor is, or more of them. Needs consent `full`.",
        ways: &[
            &[needs("userId", Takes::Id), may_have("traits", Takes::Properties)],
            &[needs("traits", Takes::Properties)],
        ],
    },
    Call {
        name: "group",
        about: "Says which group, such as a company, the visitor belongs to. Needs consent `full`.",
        ways: &[&[needs("groupId", Takes::Id), may_have("traits", Takes::Properties)]],
    },
    Call {
        name: "alias",
        about: "Says that two user ids are one person. Needs consent `full`.",
        ways: &[&[needs("userId", Takes::Id), may_have("previousId", Takes::Id)]],
    },
    Call { name: "reset", about: "Forgets the visitor, as at log-out: a new one begins.", ways: &[&[]] },
    Call {
        name: "consent",
        about: "How much may be told from now on. Not remembered: call it on every page.",
        ways: &[&[needs("wanted", Takes::Consent)]],
    },
    Call {
        name: "optOut",
        about: "The visitor's own word, remembered: not to be told of, or again. Call it for a visitor's click only.",
        ways: &[&[needs("out", Takes::Flag)]],
    },
    Call {
        name: "ready",
        about: "Calls back once it is clear how the tracker runs; never on a server.",
        ways: &[&[needs("callback", Takes::Listener)]],
    },
];

/// What an attribute of the tag may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// Any text.
    Text,
    /// A whole number.
    Count,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Nothing: it is there or not.
    Presence,
    /// Nothing, or `off`.
    PresenceOrOff,
}

/// A `data-` attribute of the tag, and an option of the npm package's `init`.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Its name without `data-`.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// What it may say.
    pub says: Says,
    /// A tag without it does nothing.
    pub required: bool,
}

const fn attribute(name: &'static str, says: Says, about: &'static str) -> Attribute {
    Attribute { name, about, says, required: false }
}

const OFF: Says = Says::Word(&["off"]);

/// All attributes.
pub const ATTRIBUTES: &[Attribute] = &[
    Attribute { required: true, ..attribute("site", Says::Text, "The site's public write key, `wk_…`.") },
    attribute("consent", Says::Word(&CONSENT), "How much may be told before anybody asks; `measure` if missing."),
    attribute("consent-from", Says::Text, "The consent managers that are asked, by their names, separated by spaces."),
    attribute("refused", OFF, "Who refuses there is not measured either."),
    attribute("api", Says::Text, "The collector's origin; of the tag, if missing, where the script came from."),
    attribute(
        "cookie",
        Says::Presence,
        "The collector keeps the visitor in a cookie of its own, also where it is on another host of the site.",
    ),
    attribute("sample", Says::Count, "Only so many percent of the visitors are told of, 1 to 99."),
    attribute("wasm", OFF, "Never try WebAssembly, for pages whose policy forbids it and reports the attempt."),
    attribute(
        "domains",
        Says::Text,
        "Further hosts of the site's own, separated by commas: links there do not lead away, and take a visitor with \
         consent `full` along.",
    ),
    attribute(
        "search",
        Says::Text,
        "The query parameters that hold what was searched for, separated by commas, or `off`.",
    ),
    attribute("404", Says::PresenceOrOff, "This page says that there is none."),
    attribute("endpoint", Says::Text, "The name of what takes events beside the script; `v1/events` if missing."),
    attribute("debug", Says::Text, "Development mode on this machine, private addresses and the hosts that are named."),
    attribute("hash", Says::Presence, "The part of an address behind `#` tells pages apart."),
    attribute("history", OFF, "No page views by the page's own navigation."),
    attribute("engagement", OFF, "The time that visitors look at the page is not measured."),
    attribute("scroll", OFF, "How far visitors scroll is not measured."),
    attribute("clicks", OFF, "No events of clicks on buttons and links."),
    attribute("outbound", OFF, "No events of links that lead away."),
    attribute("downloads", OFF, "No events of downloads."),
    attribute("forms", OFF, "No events of forms."),
    attribute("products", OFF, "No events of products that the page describes for search engines."),
    attribute("video", OFF, "No events of videos."),
    attribute("errors", OFF, "JavaScript errors are not counted."),
    attribute("copies", OFF, "Copied text is not counted."),
    attribute("rage-clicks", OFF, "Clicks on one place again and again are not counted."),
    attribute("dead-clicks", OFF, "Clicks into nothing are not counted."),
    attribute("vitals", OFF, "The page's speed is not measured."),
];

/// The shops' table for a script, as compact JSON:
/// `{"product":{"price":"a",…},"events":{"Order Completed":{"order_id":"i!",…},…}}`. A property's value is its
/// [`Kind::letter`], with `!` where it is required.
pub fn events_json() -> String {
    let events = EVENTS.iter().map(|event| format!("\"{}\":{}", event.name, object(event.properties())));
    let events: Vec<String> = events.collect();
    format!("{{\"product\":{},\"events\":{{{}}}}}", object(PRODUCT.iter()), events.join(","))
}

/// Names need no escapes; a test says so.
fn object(properties: impl Iterator<Item = &'static Property>) -> String {
    let member = |property: &Property| {
        let required = if property.required { "!" } else { "" };
        format!("\"{}\":\"{}{required}\"", property.name, property.kind.letter())
    };
    let members: Vec<String> = properties.map(member).collect();
    format!("{{{}}}", members.join(","))
}
