//! Rules and people made by chance, from few names and small times so that they meet.

use crate::naive::{DAY, Did, Done, Properties, Someone};
use domain::event::{ProfileId, TermId};
use domain::segment::lifecycle::{Buyers, Limits};
use domain::segment::rfm::{CustomerOrders, Scales};
use domain::segment::rule::{
    Age, Amount, BucketClause, Clause, EventClause, Fact, FactClause, MAX_SPAN_DAYS, Matching, Measure, Never,
    Percentiles, PersonRow, PlacedAt, Plan, PropertyTest, Rule, Scalar, Scores, SequenceClause, Site, Slots, Span,
    Step, Test, TraitClause, Vocabulary, What, WhatHappened, Window, visit,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// The 26th of October 2024; clocks went back in Berlin in the night after it.
pub(crate) const START: u32 = 20_022 * DAY;

/// What facts that are texts can be: of each kind something.
const TEXTS: [&str; 5] = ["AT", "DE", "desktop", "free", "tv"];
const PAGES: [&str; 6] = [
    "shop.example/",
    "shop.example/pricing",
    "shop.example/blog/a",
    "shop.example/blog/a/b",
    "other.example/pricing",
    "other.example/a",
];
const PATTERNS: [&str; 12] = [
    "/",
    "/pricing",
    "/blog/*",
    "*",
    "shop.example/*",
    "*/a",
    "/blog/*/b",
    "*blog*",
    "other.example/pricing",
    "/never",
    "*/a*a",
    "shop.example/*a*",
];
const TRACKS: [&str; 3] = ["Added", "Played", "Order Completed"];
const CHANNELS: [&str; 3] = ["direct", "email", "paid_search"];
/// More than one word of bits.
const SEGMENTS: [&str; 3] = ["segment 0", "segment 63", "segment 64"];
const SPANS: [u32; 11] = [1, 2, 3, 3_599, 3_600, DAY - 1, DAY, DAY + 1, 2 * DAY, 3 * DAY, MAX_SPAN_DAYS * DAY];

/// A rule and somebody whom it is asked of.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) rule: Rule,
    pub(crate) site: Site,
    pub(crate) someone: Someone,
}

pub(crate) fn slots() -> Slots {
    let keys: Vec<String> = (0..70).map(|number| format!("segment {number}")).collect();
    Slots::of(keys.iter().map(String::as_str))
}

/// A vocabulary that keeps what a rule needs and knows nothing else.
pub(crate) fn vocabulary(rule: &Rule) -> Vocabulary {
    let mut vocabulary = Vocabulary::new();
    let needs = rule.needs();
    needs.properties.iter().for_each(|name| assert!(vocabulary.keep_property(name) || visit::NAMES.contains(&&**name)));
    needs.traits.iter().for_each(|name| assert!(vocabulary.keep_trait(name)));
    vocabulary
}

/// Somebody in columns, with the bits of their segments.
pub(crate) fn row(someone: &Someone, vocabulary: &mut Vocabulary) -> (PersonRow, Vec<u64>) {
    let mut row = PersonRow::new(ProfileId(someone.profile_id), someone.signed_up);
    row.scores = someone.scores;
    for done in &someone.did {
        let (what, record) = match &done.what {
            Did::Visit(properties) => (What::VISIT, vocabulary.touch(&texts(properties))),
            Did::Order(properties, minor) => {
                let record = vocabulary.touch(&texts(properties)[..4]);
                row.orders.push(PlacedAt { at: done.at, record, minor: *minor });
                (What::ORDER, record)
            }
            Did::Identify => (What::IDENTIFY, 0),
            Did::Group => (What::GROUP, 0),
            Did::Page(page) => {
                let term = PAGES.iter().position(|known| known == page).unwrap();
                (vocabulary.page(TermId(i32::try_from(term).unwrap()), || page.as_str().into()), 0)
            }
            Did::Track(name, properties) => {
                let properties: Map<String, Value> = properties.clone().into_iter().collect();
                (vocabulary.track(&name.as_str().into()), vocabulary.record(&properties))
            }
        };
        row.at.push(done.at);
        row.what.push(what);
        row.record.push(record);
    }
    let names = vocabulary.traits().to_vec();
    row.traits =
        names.iter().map(|name| someone.traits.get(&**name).map_or(0, |value| vocabulary.value(value))).collect();
    let mut bits = vec![0; 2];
    for slot in someone.segments.iter().map(|key| slots().slot(key).unwrap()) {
        bits[slot as usize / 64] |= 1 << (slot % 64);
    }
    (row, bits)
}

fn texts(properties: &Properties) -> [&str; 5] {
    visit::NAMES.map(|name| properties.get(name).map_or("", |value| value.as_str().unwrap()))
}

pub(crate) fn compiled(rule: &Rule, vocabulary: &Vocabulary, site: &Site) -> Plan {
    Plan::compile(rule, vocabulary, site, &slots()).unwrap()
}

/// All seconds at which the answer can turn, and their neighbours.
pub(crate) fn moments(world: &World) -> Vec<u32> {
    let mut spans = vec![0];
    add_spans(&world.rule.who, &mut spans);
    turns(&world.someone, &spans)
}

/// The seconds of what somebody did, each of these spans later, and their neighbours.
pub(crate) fn turns(someone: &Someone, spans: &[u32]) -> Vec<u32> {
    let did = &someone.did;
    let turns = did.iter().flat_map(|done| spans.iter().map(|span| i64::from(done.at) + i64::from(*span)));
    let mut moments: Vec<i64> = turns.flat_map(|turn| [turn - 1, turn, turn + 1]).collect();
    let (first, last) = (did.first().map_or(START, |done| done.at), did.last().map_or(START, |done| done.at));
    moments.extend([i64::from(first) - i64::from(DAY), i64::from(last) + 30 * i64::from(DAY), i64::from(u32::MAX)]);
    moments.sort_unstable();
    moments.dedup();
    moments.into_iter().filter_map(|moment| u32::try_from(moment).ok()).collect()
}

/// The same story, told at another time: from that second on, or up to it.
pub(crate) fn moved(world: &World, begins: bool, second: u32) -> World {
    let mut world = world.clone();
    let did = &mut world.someone.did;
    let edge = if begins { did.first() } else { did.last() }.map_or(0, |done| done.at);
    did.iter_mut().for_each(|done| done.at = second.wrapping_add(done.at.wrapping_sub(edge)));
    world
}

pub(crate) fn spans_of(window: &Window, spans: &mut Vec<u32>) {
    match window {
        Window::Within(span) => spans.push(span.seconds()),
        Window::Ago(from, to) => spans.extend([from.seconds(), to.seconds()]),
        Window::Ever | Window::Before(_) | Window::Since(_) | Window::Between(..) => {}
    }
}

fn add_spans(clause: &Clause, spans: &mut Vec<u32>) {
    match clause {
        Clause::All(parts) | Clause::Any(parts) => parts.iter().for_each(|part| add_spans(part, spans)),
        Clause::Not(part) => add_spans(part, spans),
        Clause::Event(event) => {
            spans_of(&event.window, spans);
            if let Measure::First(Age::AtLeast(span) | Age::AtMost(span))
            | Measure::Last(Age::AtLeast(span) | Age::AtMost(span)) = &event.is
            {
                spans.push(span.seconds());
            }
        }
        Clause::Sequence(sequence) => {
            spans_of(&sequence.window, spans);
            spans.extend(sequence.never.iter().map(|never| never.within.seconds()));
        }
        // Numbers of days in tests, limits and scales, and up to a usual gap more.
        Clause::Fact(_) => {
            spans.extend((1..15).chain(19..25).chain(29..36).chain(50..56).chain(2_990..2_996).map(|days| days * DAY))
        }
        Clause::Trait(_) | Clause::Segment(_) | Clause::Bucket(_) => {}
    }
}

// People.

fn plain_value() -> impl Strategy<Value = Value> {
    select(vec![
        json!("pro"),
        json!("PRO"),
        json!("Ökö"),
        json!("5"),
        json!(" 5.0"),
        json!(5),
        json!(2.5),
        json!(4.35),
        json!(-1),
        json!("nan"),
        json!(true),
        json!("False"),
        json!(""),
        json!(null),
        json!(["pro"]),
        json!({"pro": 5}),
        json!("pro".repeat(100)),
    ])
}

fn properties() -> impl Strategy<Value = Properties> {
    btree_map(select(vec!["plan", "price", "channel", "other"]).prop_map(str::to_owned), plain_value(), 0..3)
}

fn touch(names: usize) -> impl Strategy<Value = Properties> {
    let text = select(vec!["", "google", "News", "5"]);
    (select(CHANNELS.to_vec()), vec(text, 4)).prop_map(move |(channel, texts)| {
        let others = visit::NAMES[1..names].iter().zip(texts).filter(|(_, text)| !text.is_empty());
        let others = others.map(|(name, text)| ((*name).to_owned(), json!(text)));
        others.chain([("channel".to_owned(), json!(channel))]).collect()
    })
}

fn did() -> impl Strategy<Value = Did> {
    prop_oneof![
        3 => select(PAGES.to_vec()).prop_map(|page| Did::Page(page.to_owned())),
        3 => (select(TRACKS.to_vec()), properties()).prop_map(|(name, properties)| Did::Track(name.to_owned(), properties)),
        2 => (touch(4), select(vec![-500, 0, 1_000, 2_990])).prop_map(|(touch, minor)| Did::Order(touch, minor)),
        2 => touch(5).prop_map(Did::Visit),
        1 => Just(Did::Identify),
        1 => Just(Did::Group),
    ]
}

pub(crate) fn someone() -> impl Strategy<Value = Someone> {
    let gap = select(vec![0, 0, 0, 1, 1, 2, 3, 3_599, 3_600, 3_601, DAY - 1, DAY, DAY + 1, 2 * DAY]);
    let did = vec((gap, did()), 0..10).prop_map(|steps| {
        let mut at = START;
        let done = |(gap, what)| {
            at += gap;
            Done { at, what }
        };
        steps.into_iter().map(done).collect()
    });
    let traits = btree_map(select(vec!["plan", "age"]).prop_map(str::to_owned), plain_value(), 0..3);
    let texts = btree_map(select(Fact::ALL.to_vec()), select(TEXTS.to_vec()), 0..20);
    let traits = (traits, texts).prop_map(|(mut traits, texts)| {
        let known = texts.into_iter().filter_map(|(fact, text)| Some((fact.trait_name()?.to_owned(), text.into())));
        traits.extend(known);
        traits
    });
    let score = || select(vec![f32::NAN, 0.0, 0.25, 0.75, 5.0]);
    let scores = (score(), score(), score(), score(), score(), select(vec![Scores::NO_CLUSTER, 0, 1, 5]));
    let segments = btree_set(select(SEGMENTS.to_vec()).prop_map(str::to_owned), 0..3);
    (0..1_000_i64, any::<bool>(), did, traits, scores, segments).prop_map(
        |(profile_id, signed_up, did, traits, scores, segments)| {
            let (
                probability_alive,
                expected_orders,
                expected_revenue,
                probability_of_return,
                probability_of_sign_up,
                cluster,
            ) = scores;
            let scores = Scores {
                probability_alive,
                expected_orders,
                expected_revenue,
                probability_of_return,
                probability_of_sign_up,
                cluster,
            };
            Someone { profile_id, signed_up, did, traits, scores, segments }
        },
    )
}

pub(crate) fn site() -> impl Strategy<Value = Site> {
    let zone = select(vec!["UTC", "Europe/Berlin", "Pacific/Auckland", "America/St_Johns"]);
    let limits = vec((1..4_u32, 1..4_u32), 4);
    let gaps = vec(option::of(0..4_u32), 4);
    let buyer = (0..6_u32, 1..5_u32, -500..5_000_i64);
    let buyer =
        buyer.prop_map(|(recency_days, orders, spent_minor)| CustomerOrders { recency_days, orders, spent_minor });
    let values = || vec(-500.0..5_000.0_f64, 0..5).prop_map(Percentiles::of);
    (zone, select(vec![0, 2]), limits, gaps, vec(buyer, 0..8), values(), values(), values()).prop_map(
        |(zone, digits, limits, gaps, buyers, revenue, order_value, expected_revenue)| {
            let mut site = Site::new(TimeZone::get(zone).unwrap(), digits);
            for buyers in Buyers::ALL {
                let (active, further) = limits[buyers as usize];
                let limits = &mut site.limits[buyers as usize];
                *limits = Limits { at_risk_days: active, churned_days: active + further, ..*limits };
                site.usual_gap_days[buyers as usize] = gaps[buyers as usize];
            }
            site.scales = Scales::of(&buyers);
            Site { revenue, order_value, expected_revenue, ..site }
        },
    )
}

// Rules.

fn span() -> impl Strategy<Value = Span> {
    select(SPANS.to_vec()).prop_map(Span)
}

fn day() -> impl Strategy<Value = Date> {
    (24..=31_i8).prop_map(|day| Date::new(2024, 10, day).unwrap())
}

pub(crate) fn window() -> impl Strategy<Value = Window> {
    prop_oneof![
        3 => Just(Window::Ever),
        4 => span().prop_map(Window::Within),
        3 => (span(), select(vec![0, 1, 2, 3_600, DAY, 2 * DAY])).prop_filter_map("the longer first", |(from, to)| {
            (to < from.seconds()).then_some(Window::Ago(from, Span(to)))
        }),
        1 => day().prop_map(Window::Before),
        1 => day().prop_map(Window::Since),
        1 => (day(), day()).prop_map(|(one, other)| Window::Between(one.min(other), one.max(other))),
    ]
}

fn number() -> impl Strategy<Value = f64> {
    select(vec![-5.0, -1.0, 0.0, 1.0, 2.0, 2.5, 3.0, 5.0, 10.0, 19.95, 29.9, 30.0, 50.0, 2_990.0])
}

fn ordered<T: PartialOrd + Copy>((one, other): (T, T)) -> (T, T) {
    if one <= other { (one, other) } else { (other, one) }
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        number().prop_map(Scalar::Number),
        any::<bool>().prop_map(Scalar::Bool),
        select(vec!["Pro", "öKÖ", "5", "5.0", "true", "email", "DIRECT", "google", "news", ""])
            .prop_map(|text| Scalar::Text(text.to_owned())),
    ]
}

pub(crate) fn test() -> impl Strategy<Value = Test> {
    let text = || select(vec!["p", "RO", "ö", "5", "e", "pro"]).prop_map(str::to_owned);
    prop_oneof![
        scalar().prop_map(Test::Is),
        scalar().prop_map(Test::IsNot),
        vec(scalar(), 1..3).prop_map(Test::OneOf),
        number().prop_map(Test::AtLeast),
        number().prop_map(Test::AtMost),
        (number(), number()).prop_map(ordered).prop_map(|(least, most)| Test::Between(least, most)),
        text().prop_map(Test::Contains),
        text().prop_map(Test::StartsWith),
        any::<bool>().prop_map(Test::Exists),
    ]
}

fn tested(names: &'static [&'static str]) -> impl Strategy<Value = Vec<PropertyTest>> {
    let test = (select(names), test()).prop_map(|(name, is)| PropertyTest { property: name.to_owned(), is });
    prop_oneof![2 => Just(Vec::new()), 1 => vec(test, 1..3)]
}

pub(crate) fn matching() -> impl Strategy<Value = Matching> {
    const OWN: &[&str] = &["plan", "price", "channel"];
    let of = |what: WhatHappened, properties| Matching { what, properties };
    prop_oneof![
        4 => select(PATTERNS.to_vec()).prop_map(move |page| of(WhatHappened::Page(page.to_owned()), Vec::new())),
        4 => (select(vec!["Added", "Played", "Order Completed", "Unheard"]), tested(OWN))
            .prop_map(move |(name, tests)| of(WhatHappened::Track(name.to_owned()), tests)),
        2 => tested(&visit::NAMES[..4]).prop_map(move |tests| of(WhatHappened::Order, tests)),
        2 => tested(&visit::NAMES).prop_map(move |tests| of(WhatHappened::Visit, tests)),
        1 => Just(of(WhatHappened::Identify, Vec::new())),
        4 => tested(OWN).prop_map(move |tests| of(WhatHappened::Anything, tests)),
    ]
}

fn amount(number: impl Strategy<Value = f64> + Clone) -> impl Strategy<Value = Amount> {
    prop_oneof![
        number.clone().prop_map(Amount::AtLeast),
        number.clone().prop_map(Amount::AtMost),
        number.clone().prop_map(Amount::Exactly),
        (number.clone(), number).prop_map(ordered).prop_map(|(least, most)| Amount::Between(least, most)),
    ]
}

fn age() -> impl Strategy<Value = Age> {
    (any::<bool>(), span()).prop_map(|(least, span)| if least { Age::AtLeast(span) } else { Age::AtMost(span) })
}

fn event() -> impl Strategy<Value = EventClause> {
    let count = select(vec![0.0, 1.0, 2.0, 3.0]);
    let sums = select(vec![-10.0, 0.0, 5.0, 9.99, 10.0, 29.9, 59.8, 8.7, 13.05, 1_000.0, 2_990.0, 99.5, 0.004]);
    let measure = prop_oneof![
        3 => amount(count).prop_map(Measure::Count),
        2 => amount(sums).prop_map(|is| Measure::Sum { property: String::new(), is }),
        1 => age().prop_map(Measure::First),
        1 => age().prop_map(Measure::Last),
    ];
    (matching(), window(), measure).prop_map(|(of, window, mut is)| {
        if let Measure::Sum { property, is: amount } = &is {
            assert!(property.is_empty());
            let property = match of.what {
                WhatHappened::Order => "total",
                WhatHappened::Visit => "source",
                WhatHappened::Track(_) | WhatHappened::Anything => "price",
                WhatHappened::Page(_) | WhatHappened::Identify => "",
            };
            is = match property {
                "" => Measure::Count(Amount::AtLeast(1.0)),
                _ => Measure::Sum { property: property.to_owned(), is: *amount },
            };
        }
        EventClause { of, window, is }
    })
}

/// Of few kinds of events, so that one is a step, spoils another and is waited for at the same time.
fn sequence() -> impl Strategy<Value = SequenceClause> {
    let kind = || 0..3_usize;
    let steps = vec((kind(), option::of(span()), option::of(kind())), 0..4);
    let never = option::of((kind(), span()));
    (vec(matching(), 3), kind(), steps, never, window()).prop_filter_map(
        "a second step",
        |(kinds, first, steps, never, window)| {
            let of = |kind: usize| kinds[kind].clone();
            let step = |(kind, within, without): (usize, _, Option<usize>)| Step {
                of: of(kind),
                within,
                without: without.map(of),
            };
            let then: Vec<Step> = steps.into_iter().map(step).collect();
            let never = never.map(|(kind, within)| Never { of: of(kind), within });
            (!then.is_empty() || never.is_some()).then_some(SequenceClause { first: of(first), then, never, window })
        },
    )
}

fn fact() -> impl Strategy<Value = FactClause> {
    (select(Fact::ALL.to_vec()), number(), number(), 0..7, any::<prop::sample::Index>()).prop_map(
        |(name, one, other, kind, word)| {
            let (least, most) = ordered((one, other));
            let texts = match name {
                Fact::Country => vec!["AT", "DE"],
                Fact::Device => vec!["desktop", "tv"],
                Fact::EmailClass => vec!["free", "company"],
                _ => TEXTS.to_vec(),
            };
            let is = match name.words().or_else(|| name.trait_name().map(|_| texts)) {
                Some(words) => {
                    let word = |offset: usize| {
                        Scalar::Text(words[(word.index(words.len()) + offset) % words.len()].to_owned())
                    };
                    match kind {
                        0 | 1 => Test::Is(word(0)),
                        2 => Test::IsNot(word(0)),
                        3 | 4 => Test::OneOf(vec![word(0), word(1)]),
                        _ => Test::Exists(kind == 5),
                    }
                }
                None => match kind {
                    0 => Test::Is(Scalar::Number(one)),
                    1 => Test::IsNot(Scalar::Number(one)),
                    2 => Test::OneOf(vec![Scalar::Number(one), Scalar::Number(other)]),
                    3 => Test::AtLeast(one),
                    4 => Test::AtMost(one),
                    5 => Test::Between(least, most),
                    _ => Test::Exists(one > 0.0),
                },
            };
            FactClause { name, is }
        },
    )
}

/// A clause without parts.
fn leaf() -> impl Strategy<Value = Clause> {
    let bucket = (select(vec!["a", "b"]), 0..10_000_u16, 1..5_000_u16).prop_map(|(salt, from, length)| {
        Clause::Bucket(BucketClause { salt: salt.to_owned(), from, to: (from + length).min(BucketClause::WHOLE) })
    });
    prop_oneof![
        6 => event().prop_map(Clause::Event),
        5 => sequence().prop_map(Clause::Sequence),
        1 => (select(vec!["plan", "age"]), test())
            .prop_map(|(name, is)| Clause::Trait(TraitClause { name: name.to_owned(), is })),
        4 => fact().prop_map(Clause::Fact),
        1 => select(SEGMENTS.to_vec()).prop_map(|key| Clause::Segment(key.to_owned())),
        1 => bucket,
    ]
}

fn clause() -> impl Strategy<Value = Clause> {
    leaf().prop_recursive(3, 10, 3, |part| {
        prop_oneof![
            3 => vec(part.clone(), 1..4).prop_map(Clause::All),
            3 => vec(part.clone(), 1..4).prop_map(Clause::Any),
            2 => part.prop_map(|part| Clause::Not(Box::new(part))),
        ]
    })
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    (clause(), site(), someone()).prop_map(|(who, site, someone)| World { rule: Rule::new(who), site, someone })
}

/// Worlds of the same people, each with a rule of a single clause.
pub(crate) fn small_worlds() -> impl Strategy<Value = Vec<World>> {
    (vec(leaf(), 12), site(), someone()).prop_map(|(clauses, site, someone)| {
        let world = |who| World { rule: Rule::new(who), site: site.clone(), someone: someone.clone() };
        clauses.into_iter().map(world).collect()
    })
}
