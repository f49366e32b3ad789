//! Computed traits against a second evaluator that is written from their documentation alone.

use crate::cases;
use crate::naive::{Asked, Did, Done, Properties, Someone, is_meant, number_of, passes};
use crate::world::{matching, row, site, slots, someone, spans_of, test, turns, window};
use domain::segment::rule::{
    Clause, Computed, ComputedPlan, ComputedTraits, Needs, PersonRow, Plan, Rule, Scalar, Site, Take, Taken, Test,
    TraitClause, Version, Vocabulary, WhatHappened, visit,
};
use proptest::prelude::*;
use serde_json::Value;

#[derive(Clone, Debug)]
struct World {
    computed: Computed,
    site: Site,
    someone: Someone,
    is: Test,
}

fn world() -> impl Strategy<Value = World> {
    let take = (0..9_u8, any::<prop::sample::Index>());
    let all = (matching(), window(), take, site(), someone(), test());
    all.prop_map(|(of, window, (take, which), site, someone, is)| {
        let properties: &[&str] = match of.what {
            WhatHappened::Track(_) | WhatHappened::Anything => &["price", "plan"],
            WhatHappened::Order => &["total", "total", "channel"],
            WhatHappened::Visit => &["source", "channel"],
            WhatHappened::Page(_) => &["page"],
            WhatHappened::Identify => &[],
        };
        let takes: [fn(String) -> Take; 8] = [
            Take::Sum,
            Take::Average,
            Take::Smallest,
            Take::Largest,
            Take::First,
            Take::Last,
            Take::MostFrequent,
            Take::Distinct,
        ];
        let taken =
            |take: fn(String) -> Take| Some(take((*properties.get(which.index(properties.len().max(1)))?).into()));
        let take = takes.get(usize::from(take)).and_then(|take| taken(*take)).unwrap_or(Take::Count);
        let computed = Computed { version: Version, take, of, window };
        World { computed, site, someone, is }
    })
    .prop_filter("a number of what has one", |world| world.computed.check().is_ok())
}

/// A value that counts, as a plain one that can be compared: texts and numbers are never the same.
fn plain(value: &Value) -> Option<Value> {
    match value {
        Value::Number(number) => number.as_f64().map(Value::from),
        Value::String(text) => (text.len() <= 256).then(|| value.clone()),
        Value::Bool(_) => Some(value.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn value_of(world: &World, done: &Done) -> Option<Value> {
    let property = world.computed.take.property()?;
    let of = |properties: &Properties| properties.get(property).and_then(plain);
    match &done.what {
        Did::Order(_, minor) if property == "total" => {
            Some((*minor as f64 / if world.site.currency_digits == 2 { 100.0 } else { 1.0 }).into())
        }
        Did::Page(page) => {
            (property == "page" && matches!(world.computed.of.what, WhatHappened::Page(_))).then(|| page.clone().into())
        }
        Did::Visit(properties) | Did::Order(properties, _) | Did::Track(_, properties) => of(properties),
        Did::Identify | Did::Group => None,
    }
}

fn rounded(number: f64) -> Value {
    format!("{number:.6}").parse::<f64>().map(|number| (number + 0.0).into()).unwrap()
}

/// What the documentation says of one moment.
fn naive(world: &World, as_of: u32) -> Option<Value> {
    let World { computed, site, someone, .. } = world;
    let asked = Asked { someone, site, as_of };
    if !someone.did.iter().any(|done| done.at <= as_of) {
        return None;
    }
    let is_seen =
        |done: &&Done| done.at <= as_of && asked.is_in(computed.window, done.at) && is_meant(&computed.of, done);
    let meant: Vec<&Done> = someone.did.iter().filter(is_seen).collect();
    let values: Vec<Value> = meant.iter().filter_map(|done| value_of(world, done)).collect();
    let numbers: Vec<f64> = values.iter().filter_map(number_of).collect();
    let sum: f64 = numbers.iter().sum();
    let number = |number: f64| Value::from(number + 0.0);
    match &computed.take {
        Take::Count => Some(number(meant.len() as f64)),
        Take::Sum(_) => Some(rounded(sum)),
        Take::Average(_) => (!numbers.is_empty()).then(|| rounded(sum / numbers.len() as f64)),
        Take::Smallest(_) => numbers.iter().copied().reduce(f64::min).map(number),
        Take::Largest(_) => numbers.iter().copied().reduce(f64::max).map(number),
        Take::First(_) => values.first().cloned(),
        Take::Last(_) => values.last().cloned(),
        Take::MostFrequent(_) => {
            let often = |value: &Value| values.iter().filter(|other| *other == value).count();
            let most = values.iter().map(often).max()?;
            values.iter().rfind(|value| often(value) == most).cloned()
        }
        Take::Distinct(_) => {
            let is_first = |place: &usize| !values[..*place].contains(&values[*place]);
            Some(number((0..values.len()).filter(is_first).count() as f64))
        }
    }
}

fn json(value: Option<Scalar>) -> Option<Value> {
    value.map(|value| match value {
        Scalar::Bool(flag) => flag.into(),
        Scalar::Number(number) => number.into(),
        Scalar::Text(text) => text.into(),
    })
}

fn vocabulary(computed: &Computed) -> Vocabulary {
    let mut vocabulary = Vocabulary::new();
    for name in computed.properties() {
        assert!(vocabulary.keep_property(&name) || vocabulary.property(&name).is_some());
        assert!(!visit::NAMES.contains(&name.as_str()));
    }
    vocabulary
}

struct Ready {
    plan: ComputedPlan,
    row: PersonRow,
    vocabulary: Vocabulary,
}

impl Ready {
    fn new(world: &World) -> Ready {
        let mut vocabulary = vocabulary(&world.computed);
        let (row, _) = row(&world.someone, &mut vocabulary);
        let plan = ComputedPlan::compile(&world.computed, &vocabulary, &world.site).unwrap();
        Ready { plan, row, vocabulary }
    }

    fn asked(&self, as_of: u32) -> Taken {
        self.plan.evaluate(&self.row.as_person(&[]), as_of)
    }
}

fn moments(world: &World) -> Vec<u32> {
    let mut spans = vec![0];
    spans_of(&world.computed.window, &mut spans);
    turns(&world.someone, &spans)
}

/// A rule that asks for the trait by its name.
fn asking(world: &World) -> (Rule, Site) {
    let name = "computed".to_owned();
    let rule = Rule::new(Clause::Trait(TraitClause { name: name.clone(), is: world.is.clone() }));
    let computed = ComputedTraits::of([(name, world.computed.clone())]);
    (rule, Site { computed, ..world.site.clone() })
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_computed_trait_has_the_naive_value_at_every_moment(world in world()) {
        let ready = Ready::new(&world);
        for as_of in moments(&world) {
            prop_assert_eq!(json(ready.asked(as_of).value), naive(&world, as_of), "at {}", as_of);
        }
    }

    #[test]
    fn until_its_deadline_a_value_stays_and_asking_at_each_comes_to_an_end(world in world()) {
        let ready = Ready::new(&world);
        let moments = moments(&world);
        let (mut as_of, mut asked) = (moments[0], 0);
        loop {
            let Taken { value, changes_at, .. } = ready.asked(as_of);
            let value = json(value);
            prop_assert!(changes_at.is_none_or(|deadline| deadline > as_of));
            let is_covered = |moment: &&u32| **moment >= as_of && changes_at.is_none_or(|deadline| **moment < deadline);
            for moment in moments.iter().filter(is_covered) {
                prop_assert_eq!(&value, &naive(&world, *moment), "asked at {}, told {:?}, at {}", as_of, changes_at, moment);
            }
            asked += 1;
            prop_assert!(asked <= moments.len(), "asked {} times", asked);
            match changes_at {
                Some(deadline) => as_of = deadline,
                None => break,
            }
        }
    }

    #[test]
    fn a_rule_reads_the_value_of_the_moment_and_keeps_its_deadlines(world in world()) {
        let (rule, site) = asking(&world);
        let Needs { properties, traits, .. } = rule.needs().behind(&site.computed);
        prop_assert!(traits.is_empty());
        let Ready { row, vocabulary, .. } = Ready::new(&world);
        prop_assert!(properties.iter().all(|name| vocabulary.property(name).is_some()));
        let plan = Plan::compile(&rule, &vocabulary, &site, &slots()).unwrap();
        let person = row.as_person(&[]);
        let moments = moments(&world);
        let is_there = |as_of: u32| world.someone.did.iter().any(|done| done.at <= as_of);
        let is_member = |as_of: u32| is_there(as_of) && passes(&world.is, naive(&world, as_of).as_ref());
        for (place, as_of) in moments.iter().enumerate() {
            let verdict = plan.evaluate(&person, *as_of);
            prop_assert_eq!(verdict.member, is_member(*as_of), "at {}", as_of);
            prop_assert_eq!(plan.holds(&person, *as_of), verdict.member);
            let later = moments[place..].iter().take_while(|at| verdict.changes_at.is_none_or(|deadline| **at < deadline));
            for at in later {
                prop_assert_eq!(is_member(*at), verdict.member, "asked at {}, told {:?}, at {}", as_of, verdict.changes_at, at);
            }
            prop_assert_eq!(plan.explain(&person, *as_of, &vocabulary).holds, verdict.member);
        }
    }

    #[test]
    fn a_refreshed_computed_plan_equals_a_new_one(world in world()) {
        let mut vocabulary = vocabulary(&world.computed);
        let mut early = ComputedPlan::compile(&world.computed, &vocabulary, &world.site).unwrap();
        let half = world.someone.did.len() / 2;
        row(&Someone { did: world.someone.did[half..].to_vec(), ..world.someone.clone() }, &mut vocabulary);
        early.refresh(&vocabulary);
        let (row, _) = row(&world.someone, &mut vocabulary);
        early.refresh(&vocabulary);
        let fresh = ComputedPlan::compile(&world.computed, &vocabulary, &world.site).unwrap();
        for as_of in moments(&world) {
            prop_assert_eq!(early.evaluate(&row.as_person(&[]), as_of), fresh.evaluate(&row.as_person(&[]), as_of));
        }
    }

    #[test]
    fn a_definition_survives_its_json_and_its_sentence(world in world()) {
        let json = serde_json::to_string(&world.computed).unwrap();
        prop_assert_eq!(Computed::from_json(&json), Ok(world.computed.clone()), "{}", json);
        let says = world.computed.to_string();
        prop_assert_eq!(says.parse(), Ok(world.computed), "{}", says);
    }
}

#[test]
fn definitions_are_written_and_read_as_people_say_them() {
    for says in [
        "number of orders within 90 days",
        "number of visits",
        r#"average "total" of orders"#,
        r#"largest "total" of orders with "channel" is "email", since 2026-01-01"#,
        r#"total "price" of "Product Added" with "category" is "shoes" within 30 days"#,
        r#"most frequent "category" of "Product Viewed" within 30 days"#,
        r#"last "page" of views of "/blog/*""#,
        r#"number of different "sku" of anything from 60 days to 30 days ago"#,
    ] {
        let computed: Computed = says.parse().unwrap_or_else(|error| panic!("{says}: {error}"));
        assert_eq!(computed.to_string().replace(", ", " "), says.replace(", ", " "));
    }
}

#[test]
fn a_definition_that_makes_no_sense_says_where_and_why() {
    for (says, column, message) in [
        ("", 1, "a definition begins with \"number of\""),
        ("number of shoes", 11, "an event's name in quotes"),
        (r#"average "page" of views of "/a""#, 9, "is a text"),
        (r#"total "medium" of orders"#, 7, "an order has no property"),
        (r#"first "x" of identifications"#, 7, "nothing can be taken of it but its number"),
        ("number of orders within 0 days", 18, "no length"),
        ("number of orders at least 3", 18, "or the end"),
    ] {
        let error = says.parse::<Computed>().unwrap_err();
        assert!(error.message.contains(message) && error.column == column, "{says}: {error}");
    }
    let error = Computed::from_json(r#"{"take":"count","of":{"what":{"page":"https://x/"}}}"#).unwrap_err();
    assert_eq!(error.path, "/of/what/page");
    assert!(Computed::from_json(r#"{"take":"sum","of":{"what":"order"}}"#).is_err());
}
