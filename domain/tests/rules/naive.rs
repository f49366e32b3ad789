//! Rules answered a second time, from their documentation alone: plain loops over a list of what somebody did, with
//! strings and maps. Right before fast; it knows no vocabulary, no columns and no deadlines.

use domain::event::ProfileId;
use domain::segment::lifecycle::{self, Buyers};
use domain::segment::rfm::Cell;
use domain::segment::rule::{
    Age, Amount, BucketClause, Clause, Fact, FactClause, Matching, Measure, Rule, Scalar, Scores, SequenceClause, Site,
    Span, Test, WhatHappened, Window,
};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const DAY: u32 = 86_400;

pub(crate) type Properties = BTreeMap<String, Value>;

/// A person as a story: what they did in its order.
#[derive(Clone, Debug)]
pub(crate) struct Someone {
    pub(crate) profile_id: i64,
    pub(crate) signed_up: bool,
    pub(crate) did: Vec<Done>,
    pub(crate) traits: BTreeMap<String, Value>,
    pub(crate) scores: Scores,
    pub(crate) segments: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Done {
    pub(crate) at: u32,
    pub(crate) what: Did,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Did {
    Visit(Properties),
    /// With what was paid, in minor units.
    Order(Properties, i64),
    Identify,
    Group,
    Page(String),
    Track(String, Properties),
}

pub(crate) fn is_member(rule: &Rule, someone: &Someone, site: &Site, as_of: u32) -> bool {
    let is_there = someone.did.iter().any(|done| done.at <= as_of);
    is_there && Asked { someone, site, as_of }.holds(&rule.who)
}

pub(crate) struct Asked<'a> {
    pub(crate) someone: &'a Someone,
    pub(crate) site: &'a Site,
    pub(crate) as_of: u32,
}

impl Asked<'_> {
    fn holds(&self, clause: &Clause) -> bool {
        match clause {
            Clause::All(parts) => parts.iter().all(|part| self.holds(part)),
            Clause::Any(parts) => parts.iter().any(|part| self.holds(part)),
            Clause::Not(part) => !self.holds(part),
            Clause::Event(event) => {
                let seen = self.seen();
                let meant = seen.iter().filter(|done| self.is_in(event.window, done.at) && is_meant(&event.of, done));
                let meant: Vec<&Done> = meant.copied().collect();
                self.measures(&event.is, &meant)
            }
            Clause::Sequence(sequence) => self.follows(sequence),
            Clause::Trait(asked) => passes(&asked.is, self.someone.traits.get(&asked.name)),
            Clause::Fact(fact) => self.fact_holds(fact),
            Clause::Segment(key) => self.someone.segments.contains(key),
            Clause::Bucket(bucket) => {
                let place = BucketClause::of(&bucket.salt, ProfileId(self.someone.profile_id));
                bucket.from <= place && place < bucket.to
            }
        }
    }

    /// What had happened by then.
    fn seen(&self) -> Vec<&Done> {
        self.someone.did.iter().filter(|done| done.at <= self.as_of).collect()
    }

    pub(crate) fn is_in(&self, window: Window, at: u32) -> bool {
        let ago = self.as_of - at;
        let day = || day_of(at, self.site);
        match window {
            Window::Ever => true,
            Window::Within(span) => ago < span.seconds(),
            Window::Ago(first, second) => ago < first.seconds() && ago >= second.seconds(),
            Window::Before(before) => day() < before,
            Window::Since(since) => day() >= since,
            Window::Between(first, last) => day() >= first && day() <= last,
        }
    }

    fn measures(&self, measure: &Measure, meant: &[&Done]) -> bool {
        let old_enough = |done: Option<&&Done>, age: &Age| match (done, age) {
            (None, _) => false,
            (Some(done), Age::AtLeast(Span(seconds))) => self.as_of - done.at >= *seconds,
            (Some(done), Age::AtMost(Span(seconds))) => self.as_of - done.at <= *seconds,
        };
        match measure {
            Measure::Count(amount) => is_amount(*amount, meant.len() as f64),
            Measure::Sum { property, is } => {
                let mut minor = 0;
                let mut sum = 0.0;
                for done in meant {
                    match &done.what {
                        Did::Order(_, paid) => minor += paid,
                        Did::Track(_, properties) | Did::Visit(properties) => {
                            sum += properties.get(property).and_then(number_of).unwrap_or(0.0);
                        }
                        Did::Identify | Did::Group | Did::Page(_) => {}
                    }
                }
                let sum: f64 = format!("{sum:.6}").parse().unwrap();
                // One of the two is nothing: what is meant are orders, or events that can have a `total`, too.
                is_amount(*is, self.major(minor as f64) + sum)
            }
            Measure::First(age) => old_enough(meant.first(), age),
            Measure::Last(age) => old_enough(meant.last(), age),
        }
    }

    fn major(&self, minor: f64) -> f64 {
        match self.site.currency_digits {
            0 => minor,
            2 => minor / 100.0,
            digits => panic!("{digits} digits"),
        }
    }

    fn follows(&self, sequence: &SequenceClause) -> bool {
        let seen = self.seen();
        let can_be =
            |place: usize, of: &Matching| self.is_in(sequence.window, seen[place].at) && is_meant(of, seen[place]);
        // Every way to every step, as the places of the latest one.
        let mut ways: BTreeSet<usize> = (0..seen.len()).filter(|place| can_be(*place, &sequence.first)).collect();
        for step in &sequence.then {
            let mut further = BTreeSet::new();
            for before in ways {
                for place in before + 1..seen.len() {
                    let in_time = step.within.is_none_or(|span| seen[place].at - seen[before].at <= span.seconds());
                    let spoilt = step
                        .without
                        .as_ref()
                        .is_some_and(|without| seen[before + 1..place].iter().any(|done| is_meant(without, done)));
                    if can_be(place, &step.of) && in_time && !spoilt {
                        further.insert(place);
                    }
                }
            }
            ways = further;
        }
        ways.into_iter().any(|last| match &sequence.never {
            None => true,
            Some(never) => {
                let in_time = |done: &&&Done| done.at - seen[last].at <= never.within.seconds();
                let followed = seen[last + 1..].iter().filter(in_time).any(|done| is_meant(&never.of, done));
                self.as_of - seen[last].at > never.within.seconds() && !followed
            }
        })
    }

    fn fact_holds(&self, clause: &FactClause) -> bool {
        match self.fact(clause.name) {
            Value::Null => clause.is == Test::Exists(false),
            value => passes(&clause.is, Some(&value)),
        }
    }

    fn days_since(&self, at: u32) -> u32 {
        (self.as_of - at) / DAY
    }

    pub(crate) fn fact(&self, fact: Fact) -> Value {
        let seen = self.seen();
        let orders: Vec<(u32, i64)> = seen
            .iter()
            .filter_map(|done| match done.what {
                Did::Order(_, minor) => Some((done.at, minor)),
                _ => None,
            })
            .collect();
        let count = orders.len();
        let spent: i64 = orders.iter().map(|(_, minor)| minor).sum();
        let channel = |done: &&Done| match &done.what {
            Did::Visit(properties) => Some(properties["channel"].clone()),
            _ => None,
        };
        let channels: Vec<Value> = seen.iter().filter_map(channel).collect();
        let is_customer = self.someone.signed_up || count > 0;
        let buyers = Buyers::after(u32::try_from(count).unwrap());
        let days = |at: Option<u32>| at.map_or(Value::Null, |at| self.days_since(at).into());
        let recency = |at: u32| self.site.scales.recency_days.place(self.days_since(at).into()).unwrap_or(1);
        let frequency = || self.site.scales.orders.place(count as i64).unwrap_or(1);
        let known = |number: f32| if number.is_nan() { Value::Null } else { f64::from(number).into() };
        let share = |share: Option<f64>| share.map_or(Value::Null, Value::from);
        match fact {
            Fact::Orders => count.into(),
            Fact::Revenue => self.major(spent as f64).into(),
            Fact::AverageOrderValue if count == 0 => Value::Null,
            Fact::AverageOrderValue => self.major(spent as f64 / count as f64).into(),
            Fact::Visits => channels.len().into(),
            Fact::PageViews => seen.iter().filter(|done| matches!(done.what, Did::Page(_))).count().into(),
            Fact::DaysSinceFirstSeen => days(seen.first().map(|done| done.at)),
            Fact::DaysSinceLastSeen => days(seen.last().map(|done| done.at)),
            Fact::DaysSinceFirstOrder => days(orders.first().map(|order| order.0)),
            Fact::DaysSinceLastOrder => days(orders.last().map(|order| order.0)),
            Fact::DaysPastUsualGap => match (orders.last(), self.site.usual_gap_days[buyers as usize]) {
                (Some(last), Some(gap)) => (i64::from(self.days_since(last.0)) - i64::from(gap)).into(),
                (None, _) | (_, None) => Value::Null,
            },
            Fact::SignedUp => self.someone.signed_up.to_string().into(),
            Fact::Lifecycle if is_customer => {
                let since = orders.last().map_or(seen[0].at, |last| last.0);
                lifecycle::stage(&self.site.limits[buyers as usize], self.days_since(since)).key().into()
            }
            Fact::Buyers if is_customer => buyers.key().into(),
            Fact::RfmGroup if count > 0 => {
                let cell = Cell::new(recency(orders[count - 1].0), frequency()).unwrap();
                cell.group().key().into()
            }
            Fact::RecencyScore if count > 0 => recency(orders[count - 1].0).into(),
            Fact::FrequencyScore if count > 0 => frequency().into(),
            Fact::MonetaryScore if count > 0 => self.site.scales.spent_minor.place(spent).unwrap_or(1).into(),
            Fact::RevenuePercentile if count > 0 => share(self.site.revenue.below(spent as f64)),
            Fact::OrderValuePercentile if count > 0 => share(self.site.order_value.below(spent as f64 / count as f64)),
            Fact::Lifecycle
            | Fact::Buyers
            | Fact::RfmGroup
            | Fact::RecencyScore
            | Fact::FrequencyScore
            | Fact::MonetaryScore
            | Fact::RevenuePercentile
            | Fact::OrderValuePercentile => Value::Null,
            Fact::FirstChannel => channels.first().cloned().unwrap_or(Value::Null),
            Fact::LastChannel => {
                let brought = channels.iter().rfind(|channel| **channel != "direct");
                brought.or(channels.last()).cloned().unwrap_or(Value::Null)
            }
            Fact::ProbabilityAlive => known(self.someone.scores.probability_alive),
            Fact::ExpectedOrders => known(self.someone.scores.expected_orders),
            Fact::ExpectedRevenue => known(self.someone.scores.expected_revenue),
            Fact::ExpectedRevenuePercentile => {
                share(self.site.expected_revenue.below(f64::from(self.someone.scores.expected_revenue)))
            }
            Fact::ProbabilityOfReturn => known(self.someone.scores.probability_of_return),
            Fact::ProbabilityOfSignUp if self.someone.signed_up => Value::Null,
            Fact::ProbabilityOfSignUp => known(self.someone.scores.probability_of_sign_up),
            Fact::Cluster if self.someone.scores.cluster == Scores::NO_CLUSTER => Value::Null,
            Fact::Cluster => self.someone.scores.cluster.into(),
            Fact::Country
            | Fact::Language
            | Fact::TimeZone
            | Fact::Currency
            | Fact::Device
            | Fact::Browser
            | Fact::System
            | Fact::EmailClass => {
                let name = format!("fact:{}", fact.key());
                self.someone.traits.get(&name).cloned().unwrap_or(Value::Null)
            }
        }
    }
}

pub(crate) fn day_of(at: u32, site: &Site) -> Date {
    site.time_zone.to_datetime(Timestamp::from_second(at.into()).unwrap()).date()
}

fn is_amount(amount: Amount, number: f64) -> bool {
    match amount {
        Amount::AtLeast(least) => number >= least,
        Amount::AtMost(most) => number <= most,
        Amount::Exactly(just) => number == just,
        Amount::Between(least, most) => number >= least && number <= most,
    }
}

pub(crate) fn is_meant(of: &Matching, done: &Done) -> bool {
    let nothing = Properties::new();
    let (is_meant, properties) = match (&of.what, &done.what) {
        (WhatHappened::Page(pattern), Did::Page(page)) => (is_page(pattern, page), &nothing),
        (WhatHappened::Track(wanted), Did::Track(name, properties)) => (wanted == name, properties),
        (WhatHappened::Order, Did::Order(properties, _)) | (WhatHappened::Visit, Did::Visit(properties)) => {
            (true, properties)
        }
        (WhatHappened::Identify, Did::Identify) | (WhatHappened::Anything, Did::Page(_)) => (true, &nothing),
        (WhatHappened::Anything, Did::Track(_, properties)) => (true, properties),
        _ => (false, &nothing),
    };
    is_meant && of.properties.iter().all(|test| passes(&test.is, properties.get(&test.property)))
}

/// `page` is host and path, or the name of what has no address.
fn is_page(pattern: &str, page: &str) -> bool {
    let path = page.find('/').map_or(page, |slash| &page[slash..]);
    // A path alone, or with a star before it, is one of any host.
    is_like(pattern.as_bytes(), if pattern.starts_with(['/', '*']) { path } else { page }.as_bytes())
}

fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', pattern)), _) => (0..=text.len()).any(|skip| is_like(pattern, &text[skip..])),
        (Some((one, pattern)), Some((other, text))) => one == other && is_like(pattern, text),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// The number that a plain value is or spells.
pub(crate) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok().filter(|number| number.is_finite()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(crate) fn passes(test: &Test, value: Option<&Value>) -> bool {
    let value = match value {
        None | Some(Value::Null) => return *test == Test::Exists(false),
        Some(Value::Array(_) | Value::Object(_)) => return *test == Test::Exists(true),
        Some(Value::String(text)) if text.len() > 256 => return *test == Test::Exists(true),
        Some(value) => value,
    };
    let text = match value {
        Value::Number(number) => number.as_f64().unwrap().to_string(),
        Value::String(text) => text.to_lowercase(),
        _ => value.to_string(),
    };
    let equals = |wanted: &Scalar| match (wanted, value) {
        (Scalar::Bool(wanted), _) => text == wanted.to_string(),
        (Scalar::Text(wanted), Value::String(_) | Value::Bool(_)) => text == wanted.to_lowercase(),
        (Scalar::Text(wanted), _) => number_of(value) == number_of(&Value::String(wanted.clone())),
        (Scalar::Number(wanted), _) => number_of(value) == Some(*wanted),
    };
    match test {
        Test::Is(wanted) => equals(wanted),
        Test::IsNot(unwanted) => !equals(unwanted),
        Test::OneOf(wanted) => wanted.iter().any(equals),
        Test::AtLeast(least) => number_of(value).is_some_and(|number| number >= *least),
        Test::AtMost(most) => number_of(value).is_some_and(|number| number <= *most),
        Test::Between(least, most) => number_of(value).is_some_and(|number| number >= *least && number <= *most),
        Test::Contains(part) => text.contains(&part.to_lowercase()),
        Test::StartsWith(beginning) => text.starts_with(&beginning.to_lowercase()),
        Test::Exists(exists) => *exists,
    }
}
