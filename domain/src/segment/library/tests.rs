//! Every ready segment has a story of somebody who is in it and one of somebody who just is not.

use super::*;
use crate::attribution::Channel;
use crate::event::{ProfileId, TermId};
use crate::segment::lifecycle::{Basis, Buyers, Limits};
use crate::segment::rfm::{Cuts, Scales, Thresholds};
use crate::segment::rule::{Fact, Percentiles, PersonRow, PlacedAt, Plan, Site, Slots, Vocabulary, What};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The moment of all stories, in seconds since 1970.
const NOW: u32 = 20_000 * 86_400;

/// A site where half of those who order again do so within 30 days, where at risk begins after 60 days and churned
/// after 120, and where a hundred buyers have spent 10, 20, … 1,000, at 1, 2, … 100 per order.
fn site() -> Site {
    let limits = |buyers| Limits { buyers, at_risk_days: 60, churned_days: 120, basis: Basis::Own, returns: 100 };
    let cuts = Cuts::new(Thresholds {
        recency_days: [15, 45, 90, 180],
        orders: [2, 3, 5, 8],
        spent_minor: [5_000, 10_000, 20_000, 50_000],
    });
    let hundred = |step: f64| Percentiles::of((1..=100).map(|n| f64::from(n) * step).collect());
    Site {
        limits: Buyers::ALL.map(limits),
        usual_gap_days: [None, Some(30), Some(30), Some(30)],
        scales: Scales::from_cuts(&cuts.unwrap()),
        revenue: hundred(1_000.0),
        order_value: hundred(100.0),
        expected_revenue: hundred(10.0),
        ..Site::new(TimeZone::UTC, 2)
    }
}

struct Shop {
    vocabulary: Vocabulary,
    site: Site,
}

impl Shop {
    fn open() -> Shop {
        let mut vocabulary = Vocabulary::new();
        let needs = needs();
        for name in &needs.properties {
            vocabulary.keep_property(name);
        }
        for name in &needs.traits {
            vocabulary.keep_trait(name);
        }
        Shop { vocabulary, site: site() }
    }

    /// Reads a story, `known; 9d visit email; 3x 5d order 20; 2h Product Reviewed rating=2`: what somebody did and how
    /// long ago, in any order. `known` has an account; `alive`, `buys`, `worth`, `returns` and `signs` are what the
    /// models say.
    fn person(&mut self, story: &str) -> PersonRow {
        let mut row = PersonRow::new(ProfileId(1), false);
        let mut did = Vec::new();
        for part in story.split("; ") {
            let mut words: Vec<&str> = part.split(' ').collect();
            if let [said] = words[..] {
                match said.split_once('=') {
                    Some(("alive", value)) => row.scores.probability_alive = value.parse().unwrap(),
                    Some(("buys", value)) => row.scores.expected_orders = value.parse().unwrap(),
                    Some(("returns", value)) => row.scores.probability_of_return = value.parse().unwrap(),
                    Some(("signs", value)) => row.scores.probability_of_sign_up = value.parse().unwrap(),
                    Some(("worth", value)) => row.scores.expected_revenue = value.parse().unwrap(),
                    _ => {
                        assert_eq!(said, "known");
                        row.signed_up = true;
                    }
                }
                continue;
            }
            let times = words[0].strip_suffix('x').map_or(1, |times| times.parse().unwrap());
            if words[0].ends_with('x') {
                words.remove(0);
            }
            let (count, unit) = words[0].split_at(words[0].len() - 1);
            let seconds = count.parse::<u32>().unwrap() * if unit == "d" { 86_400 } else { 3_600 };
            let happened = self.happened(&words[1..]);
            (0..times).for_each(|_| did.push((NOW - seconds, happened)));
        }
        did.sort_by_key(|(at, _)| *at);
        for (at, (what, record, minor)) in did {
            row.at.push(at);
            row.what.push(what);
            row.record.push(record);
            if what == What::ORDER {
                row.orders.push(PlacedAt { at, record, minor });
            }
        }
        row
    }

    fn happened(&mut self, words: &[&str]) -> (What, u32, i64) {
        let properties: Map<String, Value> = words
            .iter()
            .filter_map(|word| word.split_once('='))
            .map(|(name, value)| (name.to_owned(), Value::String(value.to_owned())))
            .collect();
        let name: Vec<&str> = words.iter().filter(|word| !word.contains('=')).copied().collect();
        match name[..] {
            ["order", amount] => (What::ORDER, 0, amount.parse::<i64>().unwrap() * 100),
            ["visit"] => (What::VISIT, self.vocabulary.touch(&["direct"]), 0),
            ["visit", channel] => {
                assert!(Channel::from_key(channel).is_some(), "{channel}");
                (What::VISIT, self.vocabulary.touch(&[channel]), 0)
            }
            [page] if page.starts_with('/') => {
                let term = page.bytes().fold(0_i32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
                (self.vocabulary.page(TermId(term), || format!("shop.example{page}").into()), 0, 0)
            }
            _ => (self.vocabulary.track(&name.join(" ").into()), self.vocabulary.record(&properties), 0),
        }
    }

    /// The keys of the ready segments that the person of a story is in.
    fn segments_of(&mut self, story: &str) -> BTreeSet<&'static str> {
        let row = self.person(story);
        let is_in = |entry: &&Entry| {
            let plan = Plan::compile(&entry.rule, &self.vocabulary, &self.site, &Slots::default());
            let plan = plan.unwrap_or_else(|error| panic!("{}: {error}", entry.key));
            let verdict = plan.evaluate(&row.as_person(&[]), NOW);
            assert_eq!(verdict.member, plan.holds(&row.as_person(&[]), NOW), "{}", entry.key);
            verdict.member
        };
        all().iter().filter(is_in).map(|entry| &*entry.key).collect()
    }
}

/// Key, who is in it, who just is not.
const STORIES: &[(&str, &str, &str)] = &[
    ("lifecycle-new-sign-ups-active", "known; 60d visit", "known; 61d visit"),
    ("lifecycle-new-sign-ups-at-risk", "known; 61d visit; 1d visit", "61d visit; 1d visit"),
    ("lifecycle-new-sign-ups-churned", "known; 121d visit", "known; 120d visit"),
    ("lifecycle-one-timers-active", "90d visit; 60d order 20", "60d order 20; 59d order 20"),
    ("lifecycle-one-timers-at-risk", "61d order 20", "60d order 20"),
    ("lifecycle-one-timers-churned", "121d order 20", "121d order 20; 119d order 20"),
    ("lifecycle-repeats-active", "90d order 20; 60d order 20", "90d order 20; 61d order 20"),
    ("lifecycle-repeats-at-risk", "2x 120d order 20", "3x 120d order 20"),
    ("lifecycle-repeats-churned", "2x 121d order 20", "2x 120d order 20"),
    ("lifecycle-loyals-active", "9x 200d order 20; 2d order 5", "200d order 20; 2d order 5"),
    ("lifecycle-loyals-at-risk", "3x 61d order 20", "3x 60d order 20"),
    ("lifecycle-loyals-churned", "3x 121d order 20", "3x 121d order 20; 1d order 20"),
    ("rfm-champions", "5x 15d order 20", "5x 16d order 20"),
    ("rfm-loyal", "5x 90d order 20", "5x 91d order 20"),
    ("rfm-potential-loyal", "2x 45d order 20", "45d order 20"),
    ("rfm-new", "15d order 20", "16d order 20"),
    ("rfm-promising", "16d order 20", "46d order 20"),
    ("rfm-need-attention", "3x 90d order 20", "2x 90d order 20"),
    ("rfm-about-to-sleep", "2x 46d order 20", "2x 45d order 20"),
    ("rfm-at-risk", "7x 91d order 20", "8x 91d order 20"),
    ("rfm-cant-lose", "8x 300d order 20", "8x 90d order 20"),
    ("rfm-hibernating", "91d order 20", "3x 91d order 20"),
    ("value-top-10-percent", "500d order 910", "500d order 900"),
    ("value-big-baskets", "9d order 70; 5d order 92", "9d order 70; 5d order 90"),
    ("value-big-first-order", "120d order 81", "121d order 81"),
    ("value-many-small-orders", "3x 9d order 41", "2x 9d order 41"),
    ("value-best-slipping-away", "61d order 810", "60d order 810"),
    ("value-best-lost", "121d order 810", "121d order 800"),
    ("timing-just-ordered", "167h order 20", "7d order 20"),
    ("timing-new-customers", "30d order 20; 1d order 20", "31d order 20; 1d order 20"),
    ("timing-next-order-this-week", "24d order 20", "23d order 20"),
    ("timing-second-order-due", "31d order 20", "30d order 20"),
    ("timing-next-order-overdue", "2x 60d order 20", "2x 61d order 20"),
    ("timing-anniversary", "729d order 20; 5d order 20", "730d order 20; 5d order 20"),
    ("engagement-visited-30-days", "29d visit", "30d visit"),
    ("engagement-cart-abandoned", "2h visit; 2h Product Added", "2h Product Added; 1h order 20"),
    ("engagement-checkout-abandoned", "3d Product Added; 3d Checkout Started", "3d Checkout Started; 1d order 20"),
    ("engagement-pricing-readers", "2x 9d /pricing; 1d /en/pricing/teams", "3x 9d /pricing; 1d Subscription Started"),
    ("engagement-looked-never-added", "3x 2d Product Viewed", "3x 2d Product Viewed; 1d Product Added"),
    ("engagement-searching-not-buying", "3x 2d Products Searched", "3x 2d Products Searched; 1d order 20"),
    ("engagement-blog-readers", "5x 20d /blog/shoes", "4x 20d /blog/shoes; 1d /blog"),
    ("engagement-back-after-a-pause", "90d visit; 1d visit", "90d visit; 89d visit; 1d visit"),
    ("engagement-lapsed-visitors", "80d visit; 60d visit", "80d visit; 59d visit"),
    (
        "acquisition-organic",
        "9d visit organic_search; 1d visit paid_search",
        "9d visit paid_search; 1d visit organic_search",
    ),
    ("acquisition-paid", "9d visit display", "9d visit; 1d visit display"),
    ("acquisition-newsletter", "9d visit email", "9d visit sms"),
    ("acquisition-social", "9d visit organic_social", "9d visit paid_social"),
    ("acquisition-referral", "9d visit affiliates", "9d visit organic_search"),
    ("acquisition-direct", "9d visit; 8d visit email", "9d visit email; 8d visit"),
    (
        "acquisition-newsletter-never-ordered",
        "90d visit; 2x 80d visit email",
        "90d visit; 2x 80d visit email; 1d order 9",
    ),
    ("acquisition-paid-came-once", "30d visit paid_search", "30d visit paid_search; 2d visit"),
    ("product-wish-list", "59d Product Added to Wishlist", "59d Product Added to Wishlist; 1d order 20"),
    ("product-second-thoughts", "1d Product Added; 1d Product Removed", "1d Product Added"),
    (
        "product-coupon-buyers",
        "2x 9d Order Completed coupon=MAY",
        "9d Order Completed coupon=MAY; 8d Order Completed coupon=",
    ),
    ("product-review-due", "14d order 20", "14d order 20; 2d Product Reviewed rating=5"),
    (
        "product-happy-reviewers",
        "9d Product Reviewed rating=4",
        "9d Product Reviewed rating=5; 1d Product Reviewed rating=2",
    ),
    ("product-unhappy-reviewers", "9d Product Reviewed rating=2", "9d Product Reviewed rating=3"),
    ("product-refunded", "95d order 20; 89d Order Refunded", "95d order 20; 90d Order Refunded"),
    ("predictive-likely-to-buy", "9d order 20; alive=0.75; buys=0.5", "9d order 20; alive=0.75; buys=0.25"),
    ("predictive-likely-to-churn", "9d order 20; alive=0.5", "121d order 20; alive=0.5"),
    ("predictive-top-10-percent", "9d order 20; worth=910", "9d order 20; worth=900"),
    ("predictive-rising", "9d order 20; worth=810", "9d order 900; worth=810"),
    ("predictive-alive-but-silent", "61d order 20; alive=0.75", "60d order 20; alive=0.75"),
    ("sign-up-never-back", "known; 3d visit; 3d Signed Up", "known; 3d visit; 3d Signed Up; 1d visit"),
    ("sign-up-regulars-without-account", "5x 9d visit", "known; 5x 9d visit"),
    ("sign-up-likely", "9d visit; signs=0.125", "known; 9d visit; signs=0.125"),
    ("sign-up-likely-back", "9d visit; returns=0.75", "9d visit; returns=0.5"),
    ("sign-up-unlikely-back", "known; 9d visit; returns=0.125", "9d visit; returns=0.125"),
    ("sign-up-trial-ending", "13d Trial Started", "13d Trial Started; 2d Subscription Started"),
    ("sign-up-trial-lapsed", "14d Trial Started", "13d Trial Started"),
    ("sign-up-upgraded", "20d Trial Started; 9d Subscription Started", "9d Subscription Started"),
    ("sign-up-power-users", "known; 12x 9d Logged In", "known; 11x 9d Logged In; 11x 9d visit"),
    ("sign-up-gone-quiet", "known; 10x 20d /app", "known; 10x 20d /app; 13d /app"),
    ("sign-up-invited-others", "89d Invited", "90d Invited"),
    ("sign-up-cancelled", "89d Subscription Cancelled", "89d Subscription Cancelled; 1d Subscription Started"),
    ("sign-up-back-after-cancelling", "89d Subscription Cancelled; 1d visit", "1d visit; 1d Subscription Cancelled"),
];

#[test]
fn everybody_in_the_stories_is_where_the_story_says() {
    let mut shop = Shop::open();
    let mut wrong = Vec::new();
    for (key, is_in, is_not) in STORIES {
        for (story, expected) in [(is_in, true), (is_not, false)] {
            if shop.segments_of(story).contains(key) != expected {
                wrong.push(format!("{key}: {story} should{} be in it", if expected { "" } else { " not" }));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_ready_segment_has_a_story() {
    let told: Vec<_> = STORIES.iter().map(|(key, ..)| *key).collect();
    let ready: Vec<_> = all().iter().map(|entry| &*entry.key).collect();
    assert_eq!(told, ready);
}

#[test]
fn keys_and_names_are_unique_and_keys_are_made_of_few_letters() {
    assert!(all().len() >= 40, "{}", all().len());
    let keys: BTreeSet<_> = all().iter().map(|entry| &entry.key).collect();
    let names: BTreeSet<_> = all().iter().map(|entry| (entry.theme == Theme::Rfm, &entry.name)).collect();
    assert_eq!((keys.len(), names.len()), (all().len(), all().len()));
    for entry in all() {
        assert!(entry.key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{}", entry.key);
        assert!(entry.description.ends_with('.') && entry.action.ends_with('.'), "{}", entry.key);
        assert!(entry.name.len() <= 40 && entry.action.len() <= 120, "{}", entry.key);
        assert_eq!(find(&entry.key), Some(entry));
    }
    assert_eq!(find("lifecycle-repeats-at-risk").unwrap().name, "Repeats, at risk");
    assert_eq!(find("rfm-champions").unwrap().theme, Theme::Rfm);
    assert_eq!(find("nothing"), None);
}

#[test]
fn every_rule_is_sound_and_reads_back_from_its_json() {
    for entry in all() {
        let json = serde_json::to_string(&entry.rule).unwrap();
        assert_eq!(crate::segment::rule::Rule::from_json(&json).as_ref(), Ok(&entry.rule), "{}", entry.key);
    }
}

#[test]
fn a_site_keeps_two_properties_for_the_whole_library() {
    let needs = needs();
    assert_eq!(needs.properties, ["coupon", "rating"]);
    assert_eq!((needs.traits.len(), needs.segments.len()), (0, 0));
}

#[test]
fn segments_that_call_for_opposite_actions_share_nobody() {
    let opposite = [
        ("engagement-cart-abandoned", "engagement-checkout-abandoned"),
        ("engagement-cart-abandoned", "timing-just-ordered"),
        ("engagement-checkout-abandoned", "timing-just-ordered"),
        ("timing-second-order-due", "timing-next-order-overdue"),
        ("timing-second-order-due", "timing-next-order-this-week"),
        ("timing-second-order-due", "lifecycle-one-timers-at-risk"),
        ("predictive-likely-to-churn", "predictive-alive-but-silent"),
        ("value-best-slipping-away", "value-best-lost"),
        ("product-happy-reviewers", "product-unhappy-reviewers"),
        ("sign-up-trial-ending", "sign-up-trial-lapsed"),
        ("sign-up-regulars-without-account", "sign-up-power-users"),
        ("sign-up-likely-back", "sign-up-unlikely-back"),
        ("sign-up-likely", "sign-up-power-users"),
    ];
    let mut shop = Shop::open();
    for (_, is_in, is_not) in STORIES {
        for story in [is_in, is_not] {
            let segments = shop.segments_of(story);
            for (one, other) in opposite {
                assert!(!(segments.contains(one) && segments.contains(other)), "{story}: {one} and {other}");
            }
        }
    }
}

#[test]
fn a_channel_belongs_to_one_acquisition_segment() {
    let mut shop = Shop::open();
    for channel in Channel::ALL {
        let segments = shop.segments_of(&format!("400d visit {}; 300d visit", channel.key()));
        let won = segments.iter().filter(|key| key.starts_with("acquisition-")).count();
        let none = matches!(channel, Channel::Sms | Channel::MobilePush | Channel::AiAssistant | Channel::Unassigned);
        assert_eq!(won, usize::from(!none), "{channel:?}: {segments:?}");
    }
}

#[test]
fn all_definitions() {
    let mut text = String::new();
    for theme in Theme::ALL {
        for entry in all().iter().filter(|entry| entry.theme == theme) {
            let Entry { key, name, description, action, sets, .. } = entry;
            let rule = serde_json::to_string(&entry.rule.who).unwrap();
            text += &format!("{key} | {name} | {} | {sets:?}\n", theme.name());
            text += &format!("    who    {description}\n    do     {action}\n    rule   {rule}\n");
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn definitions_change_with_their_number() {
    let found = fingerprint();
    assert_eq!(
        found, FINGERPRINT,
        "the definitions have changed: raise library::VERSION by one, and set FINGERPRINT to {found:#018x}"
    );
}

#[test]
fn the_grids_are_rules_of_two_facts_and_of_one() {
    let fact = |name, word| words::fact(name, words::is(word));
    let repeats = Clause::All(vec![fact(Fact::Buyers, "repeats"), fact(Fact::Lifecycle, "at-risk")]);
    assert_eq!(find("lifecycle-repeats-at-risk").unwrap().rule.who, repeats);
    assert_eq!(find("rfm-cant-lose").unwrap().rule.who, fact(Fact::RfmGroup, "cant-lose"));
}
