//! Rules: which people a segment holds, as a value that is written once and asked everywhere.
//!
//! A [`Rule`] is JSON on the wire ([`SCHEMA`]) and a sentence on the screen, which can be typed as well. It is compiled
//! against a site's [`Vocabulary`] into a [`Plan`], and one function, [`Plan::evaluate`], answers for one person at one
//! moment: is it a member, why, and when may that change without anything happening. Live membership, previews,
//! backtests, explanations and decisions in the page all call it.
//!
//! **Time** is cut to whole seconds. A rule asked `as_of` a moment sees what had happened by then and nothing later, so
//! that a backtest on a past day cannot know the future; traits, facts that are texts, whether somebody signed up, scores
//! and other segments alone are taken as they are known now, and orders as they were corrected since.
//! A window `within 14 days` holds what is younger than 14 × 24 hours. Ages in days are whole days that have passed.
//!
//! **Nothing known is no.** A test on a value that is not there (the last order of somebody who never ordered) does not
//! hold, whatever it asks; only `exists: false` does.

mod check;
mod computed;
mod evaluate;
mod explain;
mod order;
mod parse;
mod person;
mod plan;
mod references;
mod schema;
mod sentence;
mod vocabulary;
mod words;

pub use check::{MAX_CLAUSES, MAX_DEPTH, MAX_LISTED, MAX_SPAN_DAYS, MAX_STEPS, MAX_TEXT_BYTES, RuleError};
pub use computed::{Computed, ComputedTraits, PAGE_PROPERTY, TOTAL_PROPERTY, Take, Taken};
pub use evaluate::{Because, Verdict};
pub use explain::{Evidence, Explanation};
pub use order::Cycle;
pub use parse::SentenceError;
pub use person::{Person, PersonRow, PlacedAt, Scores, Words, second};
pub use plan::{ComputedPlan, Matcher, Needs, Percentiles, Plan, Site, Slots};
pub use schema::SCHEMA;
pub use vocabulary::{Happened, OTHER_RECORD, RecordId, Vocabulary, What, visit};
pub use words::{Word, nearest};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A rule with the version of its form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The form's number; there is one so far.
    pub version: Version,
    /// Who is a member.
    pub who: Clause,
}

impl Rule {
    /// A rule of the newest form.
    pub fn new(who: Clause) -> Rule {
        Rule { version: Version, who }
    }
}

/// The number of the rules' JSON form. Another number does not deserialise, so that no rule is read wrongly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Version;

impl Version {
    const NUMBER: u16 = 1;
}

impl From<Version> for u16 {
    fn from(_: Version) -> u16 {
        Version::NUMBER
    }
}

impl TryFrom<u16> for Version {
    type Error = String;

    fn try_from(number: u16) -> Result<Version, String> {
        match number {
            Version::NUMBER => Ok(Version),
            other => Err(format!("rule version {other} is unknown, this program reads {}", Version::NUMBER)),
        }
    }
}

/// Something that holds for a person or does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clause {
    /// Each of them holds.
    All(Vec<Clause>),
    /// At least one of them holds.
    Any(Vec<Clause>),
    /// It does not hold.
    Not(Box<Clause>),
    /// What somebody did: how often, how much, when first or last.
    Event(EventClause),
    /// One thing after another.
    Sequence(SequenceClause),
    /// What was said of somebody.
    Trait(TraitClause),
    /// What is known from all that somebody did.
    Fact(FactClause),
    /// Being in another segment, by its key.
    Segment(String),
    /// A random share of all people, the same ones for ever.
    Bucket(BucketClause),
}

/// What somebody did in a window of time, and what of it is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventClause {
    /// Which events.
    pub of: Matching,
    /// When they happened.
    #[serde(default, skip_serializing_if = "Window::is_ever")]
    pub window: Window,
    /// What must hold of them.
    pub is: Measure,
}

/// Which events are meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matching {
    /// What happened.
    pub what: WhatHappened,
    /// What must hold of the event's properties; all of it.
    #[serde(default, rename = "with", skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<PropertyTest>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhatHappened {
    /// A page was viewed: `/pricing`, `/blog/*`, or with the host `shop.example/pricing`; `*` stands for any text. What
    /// begins with a slash or a star is looked for in the path, on any host. An app's screen has a name in place of both.
    Page(String),
    /// A named event.
    Track(String),
    /// An order that counts. Properties: `channel`, `source`, `campaign` of what it is attributed to.
    Order,
    /// A visit began. Properties: `channel`, `source`, `medium`, `campaign`, `referrer`.
    Visit,
    /// Somebody said who they are.
    Identify,
    /// A page view or a named event of any name.
    Anything,
}

/// A test on one property of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PropertyTest {
    /// The property's name; nested ones are not looked into.
    pub property: String,
    /// What must hold of it.
    pub is: Test,
}

/// A test on a value. Texts are compared without regard to case. A text that is a number is one where it meets a
/// number; two texts are the same only letter by letter, so that `01234` and `1234` are two postcodes. Lists, objects
/// and texts beyond [`MAX_TEXT_BYTES`] are known to exist, and no other test holds of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Equals it.
    Is(Scalar),
    /// Is known and something else.
    IsNot(Scalar),
    /// Equals one of them.
    OneOf(Vec<Scalar>),
    /// Is a number, this or larger.
    AtLeast(f64),
    /// Is a number, this or smaller.
    AtMost(f64),
    /// Is a number between the two, both included.
    Between(f64, f64),
    /// Is a text, or a number as it is written, that holds this.
    Contains(String),
    /// Is a text, or a number as it is written, that begins so.
    StartsWith(String),
    /// Is known at all, or is not.
    Exists(bool),
}

/// A plain value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a text, a number, true or false")]
pub enum Scalar {
    /// Yes or no.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// A text.
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Bool(value) => write!(f, "{value}"),
            Scalar::Number(value) => write!(f, "{value}"),
            Scalar::Text(value) => f.write_str(value),
        }
    }
}

impl Scalar {
    /// The number that it is or spells.
    pub fn number(&self) -> Option<f64> {
        match self {
            Scalar::Number(value) => Some(*value),
            Scalar::Text(text) => text.trim().parse().ok().filter(|value: &f64| value.is_finite()),
            Scalar::Bool(_) => None,
        }
    }

    /// Whether two values are the same in the sense of [`Test`].
    pub fn is_same(&self, other: &Scalar) -> bool {
        match (self, other) {
            (Scalar::Bool(one), Scalar::Bool(other)) => one == other,
            (Scalar::Bool(flag), Scalar::Text(text)) | (Scalar::Text(text), Scalar::Bool(flag)) => {
                text.eq_ignore_ascii_case(if *flag { "true" } else { "false" })
            }
            (Scalar::Text(one), Scalar::Text(other)) => one == other || one.to_lowercase() == other.to_lowercase(),
            (Scalar::Number(_), _) | (_, Scalar::Number(_)) => {
                self.number().zip(other.number()).is_some_and(|(one, other)| one == other)
            }
        }
    }
}

impl Test {
    /// Whether it holds of a value; `None` is a value that is not known.
    pub fn holds(&self, value: Option<&Scalar>) -> bool {
        let Some(value) = value else { return matches!(self, Test::Exists(false)) };
        let number = || value.number();
        let text = || match value {
            Scalar::Text(text) => text.to_lowercase(),
            Scalar::Bool(_) | Scalar::Number(_) => value.to_string(),
        };
        match self {
            Test::Is(wanted) => value.is_same(wanted),
            Test::IsNot(unwanted) => !value.is_same(unwanted),
            Test::OneOf(wanted) => wanted.iter().any(|wanted| value.is_same(wanted)),
            Test::AtLeast(_) | Test::AtMost(_) | Test::Between(..) => {
                number().is_some_and(|number| self.holds_of_number(number))
            }
            Test::Contains(part) => text().contains(&part.to_lowercase()),
            Test::StartsWith(beginning) => text().starts_with(&beginning.to_lowercase()),
            Test::Exists(exists) => *exists,
        }
    }

    /// Whether it holds of a number; allocates nothing.
    pub fn holds_of_number(&self, number: f64) -> bool {
        let same = |wanted: &Scalar| matches!(wanted, Scalar::Number(wanted) if *wanted == number);
        match self {
            Test::Is(wanted) => same(wanted),
            Test::IsNot(unwanted) => !same(unwanted),
            Test::OneOf(wanted) => wanted.iter().any(same),
            Test::AtLeast(least) => number >= *least,
            Test::AtMost(most) => number <= *most,
            Test::Between(least, most) => (*least..=*most).contains(&number),
            Test::Contains(_) | Test::StartsWith(_) => false,
            Test::Exists(exists) => *exists,
        }
    }
}

/// When something happened, seen from the moment that is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// At any time before.
    #[default]
    Ever,
    /// Less than so long ago.
    Within(Span),
    /// Less than the first, and at least the second span ago.
    Ago(Span, Span),
    /// Before the day began in the site's time zone.
    Before(Date),
    /// On that day or later.
    Since(Date),
    /// From the first day to the second, both included.
    Between(Date, Date),
}

impl Window {
    fn is_ever(&self) -> bool {
        *self == Window::Ever
    }
}

/// A length of time in whole seconds; written as `14 days`, in the largest unit that is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub u32);

const UNITS: [(&str, u32); 5] = [("week", 7 * 86_400), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)];

impl Span {
    /// So many days of 24 hours.
    pub const fn days(days: u32) -> Span {
        Span(days.saturating_mul(86_400))
    }

    /// So many hours.
    pub const fn hours(hours: u32) -> Span {
        Span(hours.saturating_mul(3_600))
    }

    /// Its length in seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Weeks are read, and never written: `14 days` is what everybody says.
        let exact = UNITS[1..].iter().find(|(_, seconds)| self.0 > 0 && self.0.is_multiple_of(*seconds));
        let (unit, seconds) = exact.copied().unwrap_or(("second", 1));
        let count = self.0 / seconds;
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no length of time; write it as `14 days`, `2 weeks`, `1 hour`, `30 minutes` or `10 seconds`")]
pub struct NoSpan(pub String);

impl FromStr for Span {
    type Err = NoSpan;

    fn from_str(text: &str) -> Result<Span, NoSpan> {
        let wrong = || NoSpan(text.chars().take(40).collect());
        let (count, unit) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let unit = unit.trim();
        let unit = unit.strip_suffix('s').unwrap_or(unit);
        let seconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds).ok_or_else(wrong)?;
        let count: u32 = count.parse().map_err(|_| wrong())?;
        count.checked_mul(seconds).map(Span).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Span {
    type Error = NoSpan;

    fn try_from(text: String) -> Result<Span, NoSpan> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

/// What is asked of the events in a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// How many they are.
    Count(Amount),
    /// What a property of theirs adds up to; of orders, `total` in the site's currency. Values that are no number count
    /// as nothing; sums are rounded to a millionth, so that three times 4.35 is 13.05.
    Sum {
        /// The property.
        property: String,
        /// What must hold of the sum. Where nothing happened the sum is 0.
        is: Amount,
    },
    /// How long ago the first of them was.
    First(Age),
    /// How long ago the last of them was.
    Last(Age),
}

/// What must hold of a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Just this.
    Exactly(f64),
    /// Between the two, both included.
    Between(f64, f64),
}

impl Amount {
    /// The lowest and the highest number that it holds of.
    pub fn range(self) -> (f64, f64) {
        match self {
            Amount::AtLeast(least) => (least, f64::INFINITY),
            Amount::AtMost(most) => (f64::NEG_INFINITY, most),
            Amount::Exactly(number) => (number, number),
            Amount::Between(least, most) => (least, most),
        }
    }

    /// Whether it holds of a number.
    pub fn holds(self, number: f64) -> bool {
        let (least, most) = self.range();
        (least..=most).contains(&number)
    }
}

/// How long ago something was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Age {
    /// So long or longer ago.
    AtLeast(Span),
    /// So long or less ago.
    AtMost(Span),
}

/// One thing after another: the first step, then the others in their order, each one a later event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceClause {
    /// The first event.
    pub first: Matching,
    /// What follows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Step>,
    /// What did not follow the last of them, although there was time for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never: Option<Never>,
    /// When all of it happened.
    #[serde(default, skip_serializing_if = "Window::is_ever")]
    pub window: Window,
}

/// A later step of a sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The event.
    pub of: Matching,
    /// At most so long after the step before; without it at any later time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// What did not happen between the step before and this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<Matching>,
}

/// What did not follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Never {
    /// The event.
    pub of: Matching,
    /// It was waited for so long: the sequence holds from the moment this time has passed.
    pub within: Span,
}

/// A test on what was said of somebody, or on what is computed ([`Computed`]) where the site has such a definition of
/// that name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraitClause {
    /// The trait's name.
    pub name: String,
    /// What must hold of it.
    pub is: Test,
}

/// A test on a fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactClause {
    /// The fact.
    pub name: Fact,
    /// What must hold of it. Facts that are words take `is`, `is_not`, `one_of` and `exists`.
    pub is: Test,
}

/// What is known of a person from all that they did. Amounts are in the site's currency and its major unit (29.90).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// Orders that count.
    Orders,
    /// What they add up to.
    Revenue,
    /// Revenue by order.
    AverageOrderValue,
    /// Visits.
    Visits,
    /// Page views.
    PageViews,
    /// Whole days since the first event of any kind.
    DaysSinceFirstSeen,
    /// Whole days since the last event of any kind.
    DaysSinceLastSeen,
    /// Whole days since the first order.
    DaysSinceFirstOrder,
    /// Whole days since the last order.
    DaysSinceLastOrder,
    /// Whole days by which the next order is later than half of such orders on this site are; negative before.
    DaysPastUsualGap,
    /// Whether a user id or an e-mail address is known: `true` or `false`.
    SignedUp,
    /// The stage of the lifecycle: `active`, `at-risk`, `churned`; of people who signed up or ordered.
    Lifecycle,
    /// The number of orders in words: `new-sign-ups`, `one-timers`, `repeats`, `loyals`; of people who signed up or
    /// ordered.
    Buyers,
    /// The named group of recency and frequency: `champions`, …; of people who ordered.
    RfmGroup,
    /// The score of the last order's time, 1 to 5.
    RecencyScore,
    /// The score of the number of orders, 1 to 5.
    FrequencyScore,
    /// The score of the money spent, 1 to 5.
    MonetaryScore,
    /// Share in percent of the site's buyers who have spent less.
    RevenuePercentile,
    /// Share in percent of the site's buyers whose orders are smaller on average.
    OrderValuePercentile,
    /// What brought the first visit, as a channel's key.
    FirstChannel,
    /// What brought the last visit that was not direct; a direct one only while there is no other.
    LastChannel,
    /// Probability of still being a customer, 0 to 1, from the site's own model.
    ProbabilityAlive,
    /// Orders expected in the next 90 days.
    ExpectedOrders,
    /// Revenue expected in the next 365 days.
    ExpectedRevenue,
    /// Share in percent of the site's buyers from whom less revenue is expected.
    ExpectedRevenuePercentile,
    /// Probability of a visit in the next 30 days, 0 to 1; of people who visited in the last 365 days.
    ProbabilityOfReturn,
    /// Probability of signing up in the next 30 days, 0 to 1; of those among them who have not signed up.
    ProbabilityOfSignUp,
    /// The number of the cluster.
    Cluster,
    /// Where the person was last: the country's code of ISO 3166-1, `AT`.
    Country,
    /// The browser's first language, `de`.
    Language,
    /// The device's time zone, `Europe/Vienna`.
    TimeZone,
    /// The currency of the latest order, `EUR`.
    Currency,
    /// The latest device: `desktop`, `mobile`, `tablet`, `tv`, or `bot`.
    Device,
    /// The latest browser, `Firefox`.
    Browser,
    /// The latest device's system, `Windows`.
    System,
    /// The kind of mail address: `company`, `free`, `disposable`.
    EmailClass,
}

impl Fact {
    /// What every [`Fact::trait_name`] begins with.
    pub const TRAIT_PREFIX: &str = "fact:";

    /// All of them.
    pub const ALL: [Fact; 36] = [
        Fact::Orders,
        Fact::Revenue,
        Fact::AverageOrderValue,
        Fact::Visits,
        Fact::PageViews,
        Fact::DaysSinceFirstSeen,
        Fact::DaysSinceLastSeen,
        Fact::DaysSinceFirstOrder,
        Fact::DaysSinceLastOrder,
        Fact::DaysPastUsualGap,
        Fact::SignedUp,
        Fact::Lifecycle,
        Fact::Buyers,
        Fact::RfmGroup,
        Fact::RecencyScore,
        Fact::FrequencyScore,
        Fact::MonetaryScore,
        Fact::RevenuePercentile,
        Fact::OrderValuePercentile,
        Fact::FirstChannel,
        Fact::LastChannel,
        Fact::ProbabilityAlive,
        Fact::ExpectedOrders,
        Fact::ExpectedRevenue,
        Fact::ExpectedRevenuePercentile,
        Fact::ProbabilityOfReturn,
        Fact::ProbabilityOfSignUp,
        Fact::Cluster,
        Fact::Country,
        Fact::Language,
        Fact::TimeZone,
        Fact::Currency,
        Fact::Device,
        Fact::Browser,
        Fact::System,
        Fact::EmailClass,
    ];

    /// The name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Fact::Orders => "orders",
            Fact::Revenue => "revenue",
            Fact::AverageOrderValue => "average_order_value",
            Fact::Visits => "visits",
            Fact::PageViews => "page_views",
            Fact::DaysSinceFirstSeen => "days_since_first_seen",
            Fact::DaysSinceLastSeen => "days_since_last_seen",
            Fact::DaysSinceFirstOrder => "days_since_first_order",
            Fact::DaysSinceLastOrder => "days_since_last_order",
            Fact::DaysPastUsualGap => "days_past_usual_gap",
            Fact::SignedUp => "signed_up",
            Fact::Lifecycle => "lifecycle",
            Fact::Buyers => "buyers",
            Fact::RfmGroup => "rfm_group",
            Fact::RecencyScore => "recency_score",
            Fact::FrequencyScore => "frequency_score",
            Fact::MonetaryScore => "monetary_score",
            Fact::RevenuePercentile => "revenue_percentile",
            Fact::OrderValuePercentile => "order_value_percentile",
            Fact::FirstChannel => "first_channel",
            Fact::LastChannel => "last_channel",
            Fact::ProbabilityAlive => "probability_alive",
            Fact::ExpectedOrders => "expected_orders",
            Fact::ExpectedRevenue => "expected_revenue",
            Fact::ExpectedRevenuePercentile => "expected_revenue_percentile",
            Fact::ProbabilityOfReturn => "probability_of_return",
            Fact::ProbabilityOfSignUp => "probability_of_sign_up",
            Fact::Cluster => "cluster",
            Fact::Country => "country",
            Fact::Language => "language",
            Fact::TimeZone => "time_zone",
            Fact::Currency => "currency",
            Fact::Device => "device",
            Fact::Browser => "browser",
            Fact::System => "system",
            Fact::EmailClass => "email_class",
        }
    }

    /// Reads [`Fact::key`] back.
    pub fn from_key(key: &str) -> Option<Fact> {
        Fact::ALL.into_iter().find(|fact| fact.key() == key)
    }

    /// The words that it can be; `None` where it is a number.
    pub fn words(self) -> Option<Vec<&'static str>> {
        use super::lifecycle::{Buyers, Stage};
        use super::rfm::Group;
        match self {
            Fact::SignedUp => Some(vec!["true", "false"]),
            Fact::Lifecycle => Some(Stage::ALL.into_iter().map(Stage::key).collect()),
            Fact::Buyers => Some(Buyers::ALL.into_iter().map(Buyers::key).collect()),
            Fact::RfmGroup => Some(Group::ALL.into_iter().map(Group::key).collect()),
            Fact::FirstChannel | Fact::LastChannel => {
                Some(crate::attribution::Channel::ALL.into_iter().map(|channel| channel.key()).collect())
            }
            Fact::Orders
            | Fact::Revenue
            | Fact::AverageOrderValue
            | Fact::Visits
            | Fact::PageViews
            | Fact::DaysSinceFirstSeen
            | Fact::DaysSinceLastSeen
            | Fact::DaysSinceFirstOrder
            | Fact::DaysSinceLastOrder
            | Fact::DaysPastUsualGap
            | Fact::RecencyScore
            | Fact::FrequencyScore
            | Fact::MonetaryScore
            | Fact::RevenuePercentile
            | Fact::OrderValuePercentile
            | Fact::ProbabilityAlive
            | Fact::ExpectedOrders
            | Fact::ExpectedRevenue
            | Fact::ExpectedRevenuePercentile
            | Fact::ProbabilityOfReturn
            | Fact::ProbabilityOfSignUp
            | Fact::Cluster
            | Fact::Country
            | Fact::Language
            | Fact::TimeZone
            | Fact::Currency
            | Fact::Device
            | Fact::Browser
            | Fact::System
            | Fact::EmailClass => None,
        }
    }

    /// Under what name a fact that is any text is read beside a person's traits and, as they are, as it is now. `None`
    /// where it is a number or one of [`Fact::words`]. A trait that somebody gives such a name is not seen.
    pub fn trait_name(self) -> Option<&'static str> {
        match self {
            Fact::Country => Some("fact:country"),
            Fact::Language => Some("fact:language"),
            Fact::TimeZone => Some("fact:time_zone"),
            Fact::Currency => Some("fact:currency"),
            Fact::Device => Some("fact:device"),
            Fact::Browser => Some("fact:browser"),
            Fact::System => Some("fact:system"),
            Fact::EmailClass => Some("fact:email_class"),
            Fact::SignedUp
            | Fact::Lifecycle
            | Fact::Buyers
            | Fact::RfmGroup
            | Fact::FirstChannel
            | Fact::LastChannel
            | Fact::Orders
            | Fact::Revenue
            | Fact::AverageOrderValue
            | Fact::Visits
            | Fact::PageViews
            | Fact::DaysSinceFirstSeen
            | Fact::DaysSinceLastSeen
            | Fact::DaysSinceFirstOrder
            | Fact::DaysSinceLastOrder
            | Fact::DaysPastUsualGap
            | Fact::RecencyScore
            | Fact::FrequencyScore
            | Fact::MonetaryScore
            | Fact::RevenuePercentile
            | Fact::OrderValuePercentile
            | Fact::ProbabilityAlive
            | Fact::ExpectedOrders
            | Fact::ExpectedRevenue
            | Fact::ExpectedRevenuePercentile
            | Fact::ProbabilityOfReturn
            | Fact::ProbabilityOfSignUp
            | Fact::Cluster => None,
        }
    }

    /// Whether a text can be this fact's at all: a country has a code, a device is of a kind.
    pub(super) fn can_be(self, text: &str) -> bool {
        use crate::surroundings::{DeviceClass, EmailClass};
        match self {
            Fact::Country => text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()),
            Fact::Device => DeviceClass::from_key(text).is_some(),
            Fact::EmailClass => EmailClass::from_key(text).is_some(),
            _ => true,
        }
    }
}

/// A random share of all people: those whose hash with `salt` falls between two hundredths of a percent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketClause {
    /// Another salt is another independent choice.
    pub salt: String,
    /// From this ten-thousandth on.
    pub from: u16,
    /// Up to this one, exclusive; at most 10,000.
    pub to: u16,
}

impl BucketClause {
    /// Ten-thousandths of all people.
    pub const WHOLE: u16 = 10_000;

    /// The ten-thousandth of a person, 0 to 9,999: 64-bit FNV-1a of salt and number, finished as in SplitMix64, so
    /// that neighbours fall far apart (Fowler, Noll & Vo; Steele, Lea & Flood 2014).
    pub fn of(salt: &str, profile_id: crate::event::ProfileId) -> u16 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in salt.bytes().chain(profile_id.0.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
        // The product's upper half maps the hash evenly onto the buckets.
        ((u128::from(hash) * u128::from(BucketClause::WHOLE)) >> 64) as u16
    }
}

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod tests;
