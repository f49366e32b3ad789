//! Ready segments: rules that most shops and services ask for, each with what to do about it.
//!
//! They are ordinary [`Rule`]s and nothing else; a site takes one as it is or begins a segment of its own with it. They
//! name what the analytics.js specifications name ("E-Commerce Events v2", "B2B SaaS Events"), so a site that sends
//! these events gets them filled without any setup, and pages as most sites call them (`/pricing`, `/blog/`).
//!
//! **Fixed spans.** A span that a site's own rhythm gives is taken from there (at risk, churned, usual gap, fifths,
//! percentiles). The others are a marketer's calendar: 7 days is what is still fresh, 14 days what somebody is still
//! weighing up, 30 days a month of use, 90 days a season.

mod acquisition;
mod engagement;
mod grids;
mod predictive;
mod product;
mod sign_up;
mod timing;
mod value;
mod words;

use super::rule::{Clause, Needs, Rule, visit};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::LazyLock;

/// The number of these definitions, one more whenever one of them changes: a site gets them from the program with the
/// highest number. A test holds it together with [`FINGERPRINT`].
pub const VERSION: i32 = 2;

/// What [`fingerprint`] gives for the definitions of this [`VERSION`].
pub const FINGERPRINT: u64 = 0xe5d8_a68c_5ece_edad;

/// A hash of all that a site is given: 64-bit FNV-1a (Fowler, Noll & Vo) of keys, texts and rules.
pub fn fingerprint() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for Entry { key, name, description, action, rule, theme: _, sets: _ } in all() {
        let rule = serde_json::to_string(rule).unwrap_or_default();
        for text in [&**key, name, description, action, &rule] {
            // What no text has keeps neighbours apart.
            for byte in text.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
    }
    hash
}

/// A ready segment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Its name for machines, made of `a-z 0-9 -`; never given to another one.
    pub key: Cow<'static, str>,
    /// Its name as people say it.
    pub name: Cow<'static, str>,
    /// Who is in it, one sentence; of the lifecycle's cells two short ones.
    pub description: Cow<'static, str>,
    /// What to do with them, one sentence.
    pub action: Cow<'static, str>,
    /// What it is about.
    pub theme: Theme,
    /// Which sites have a use for it.
    pub sets: Sets,
    /// Who is a member.
    pub rule: Rule,
}

/// What a ready segment is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// How many orders, and whether the next one is overdue.
    Lifecycle,
    /// How lately and how often somebody orders.
    Rfm,
    /// How much somebody spends.
    Value,
    /// When to write, and when not to.
    Timing,
    /// What somebody does on the site.
    Engagement,
    /// What brought somebody.
    Acquisition,
    /// What somebody did with products: wish lists, coupons, reviews, refunds.
    Product,
    /// What the site's model expects.
    Predictive,
    /// Accounts, trials and subscriptions.
    SignUp,
}

impl Theme {
    /// All of them, in the order in which the library shows them.
    pub const ALL: [Theme; 9] = [
        Theme::Lifecycle,
        Theme::Rfm,
        Theme::Value,
        Theme::Timing,
        Theme::Engagement,
        Theme::Acquisition,
        Theme::Product,
        Theme::Predictive,
        Theme::SignUp,
    ];

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Theme::Lifecycle => "Lifecycle",
            Theme::Rfm => "Recency and frequency",
            Theme::Value => "Value",
            Theme::Timing => "Timing",
            Theme::Engagement => "Engagement",
            Theme::Acquisition => "Acquisition",
            Theme::Product => "Product",
            Theme::Predictive => "Predictive",
            Theme::SignUp => "Sign-up and subscription",
        }
    }
}

/// Which sites have a use for a ready segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sets {
    /// Those with orders.
    Commerce,
    /// Those with accounts, trials or subscriptions.
    SignUp,
    /// All.
    Both,
}

/// All ready segments, theme by theme.
pub fn all() -> &'static [Entry] {
    static ALL: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        let written = [
            (Theme::Value, value::ready()),
            (Theme::Timing, timing::ready()),
            (Theme::Engagement, engagement::ready()),
            (Theme::Acquisition, acquisition::ready()),
            (Theme::Product, product::ready()),
            (Theme::Predictive, predictive::ready()),
            (Theme::SignUp, sign_up::ready()),
        ];
        let written =
            written.into_iter().flat_map(|(theme, list)| list.into_iter().map(move |ready| ready.entry(theme)));
        grids::entries().chain(written).collect()
    });
    &ALL
}

/// The ready segment of that key.
pub fn find(key: &str) -> Option<&'static Entry> {
    all().iter().find(|entry| entry.key == key)
}

/// What a site has to keep so that every ready segment can be compiled: properties and traits, each list sorted.
/// None of them asks for another segment.
pub fn needs() -> Needs {
    let mut needs = Needs::default();
    for of_one in all().iter().map(|entry| entry.rule.needs()) {
        needs.properties.extend(of_one.properties);
        needs.traits.extend(of_one.traits);
        needs.segments.extend(of_one.segments);
    }
    for list in [&mut needs.properties, &mut needs.traits, &mut needs.segments] {
        list.sort_unstable();
        list.dedup();
    }
    // What visits have is kept everywhere.
    needs.properties.retain(|property| !visit::NAMES.contains(&property.as_str()));
    needs
}

/// A ready segment as a theme's file writes it.
struct Ready {
    key: &'static str,
    name: &'static str,
    description: &'static str,
    action: &'static str,
    sets: Sets,
    who: Clause,
}

impl Ready {
    fn entry(self, theme: Theme) -> Entry {
        Entry {
            key: self.key.into(),
            name: self.name.into(),
            description: self.description.into(),
            action: self.action.into(),
            theme,
            sets: self.sets,
            rule: Rule::new(self.who),
        }
    }
}

#[cfg(test)]
mod tests;
