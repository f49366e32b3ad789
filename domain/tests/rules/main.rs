//! Rules against a second evaluator that is written from their documentation alone (`naive.rs`).

mod computed;
mod hostile;
mod naive;
mod rows;
mod world;

use domain::segment::rule::{Clause, Explanation, Measure, Plan, Rule, Verdict, Vocabulary, WhatHappened, Window};
use naive::{Someone, is_member};
use proptest::prelude::*;
use proptest::sample::Index;
use world::{World, compiled, moments, moved, row, small_worlds, vocabulary, world};

/// So many cases, or as many as `PROPTEST_CASES` says: few in everyday runs, many when the evaluator has changed.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A world whose rule was compiled for the person that is in it.
struct Ready {
    plan: Plan,
    row: domain::segment::rule::PersonRow,
    segments: Vec<u64>,
    vocabulary: Vocabulary,
}

impl Ready {
    fn new(world: &World) -> Ready {
        let mut vocabulary = vocabulary(&world.rule);
        let (row, segments) = row(&world.someone, &mut vocabulary);
        Ready { plan: compiled(&world.rule, &vocabulary, &world.site), row, segments, vocabulary }
    }

    fn asked(&self, as_of: u32) -> Verdict {
        self.plan.evaluate(&self.row.as_person(&self.segments), as_of)
    }

    fn holds(&self, as_of: u32) -> bool {
        self.plan.holds(&self.row.as_person(&self.segments), as_of)
    }
}

fn until(someone: &Someone, as_of: u32) -> Someone {
    Someone { did: someone.did.iter().filter(|done| done.at <= as_of).cloned().collect(), ..someone.clone() }
}

/// Clauses in the order in which a rule is written.
fn written<'c>(clause: &'c Clause, list: &mut Vec<&'c Clause>) {
    list.push(clause);
    match clause {
        Clause::All(parts) | Clause::Any(parts) => parts.iter().for_each(|part| written(part, list)),
        Clause::Not(part) => written(part, list),
        _ => {}
    }
}

fn explained<'e>(explanation: &'e Explanation, list: &mut Vec<&'e Explanation>) {
    list.push(explanation);
    explanation.parts.iter().for_each(|part| explained(part, list));
}

fn turned_round(clause: &Clause) -> Clause {
    let round = |parts: &[Clause]| parts.iter().rev().map(turned_round).collect();
    match clause {
        Clause::All(parts) => Clause::All(round(parts)),
        Clause::Any(parts) => Clause::Any(round(parts)),
        Clause::Not(part) => Clause::Not(Box::new(turned_round(part))),
        leaf => leaf.clone(),
    }
}

/// Whether a deadline is promised to be the very second of the change where nothing more happens.
fn is_exact(clause: &Clause) -> bool {
    let is_ago = |window: Window| matches!(window, Window::Ago(..));
    match clause {
        // Sums of fractions are asked when the first leaves, and what waits for a `never` may leave the window before.
        Clause::Event(event) => {
            let is_total = event.of.what == WhatHappened::Order;
            !is_ago(event.window) && (is_total || !matches!(event.is, Measure::Sum { .. }))
        }
        Clause::Sequence(sequence) => !is_ago(sequence.window) && sequence.never.is_none(),
        _ => true,
    }
}

/// From deadline to deadline the answer stays what it is, until it stays for ever.
fn keeps_its_deadlines(world: &World) -> Result<(), TestCaseError> {
    let ready = Ready::new(world);
    let moments = moments(world);
    let mut as_of = moments[0];
    let mut asked = 0;
    loop {
        let Verdict { member, changes_at, .. } = ready.asked(as_of);
        prop_assert!(changes_at.is_none_or(|deadline| deadline > as_of));
        let is_covered = |moment: &&u32| **moment >= as_of && changes_at.is_none_or(|deadline| **moment < deadline);
        for moment in moments.iter().filter(is_covered) {
            let naive = is_member(&world.rule, &world.someone, &world.site, *moment);
            prop_assert_eq!(member, naive, "asked at {}, told {:?}, wrong at {}", as_of, changes_at, moment);
        }
        asked += 1;
        prop_assert!(asked <= moments.len(), "asked {} times", asked);
        match changes_at {
            Some(deadline) => as_of = deadline,
            None => return Ok(()),
        }
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn the_evaluator_agrees_with_a_naive_one_at_every_moment(world in world()) {
        let ready = Ready::new(&world);
        for as_of in moments(&world) {
            let member = is_member(&world.rule, &world.someone, &world.site, as_of);
            prop_assert_eq!(ready.asked(as_of).member, member, "evaluate at {}", as_of);
            prop_assert_eq!(ready.holds(as_of), member, "holds at {}", as_of);
        }
    }

    #[test]
    fn until_a_deadline_nothing_changes_and_asking_at_each_comes_to_an_end(world in world()) {
        keeps_its_deadlines(&world)?;
    }

    #[test]
    fn neither_end_of_the_calendar_changes_an_answer_or_a_deadline(world in world(), off in 0..3_u32) {
        for (begins, second) in [(true, off), (false, u32::MAX - off)] {
            keeps_its_deadlines(&moved(&world, begins, second))?;
        }
    }

    #[test]
    fn a_clause_alone_keeps_its_deadlines(worlds in small_worlds()) {
        worlds.iter().try_for_each(keeps_its_deadlines)?;
    }

    #[test]
    fn a_deadline_of_one_clause_is_the_second_of_the_change(worlds in small_worlds(), later in any::<Index>()) {
        for world in worlds {
            let ready = Ready::new(&world);
            let last = world.someone.did.last().map_or(0, |done| done.at);
            let moments = moments(&world);
            let as_of = moments[later.index(moments.len())];
            let Verdict { member, changes_at, .. } = ready.asked(as_of);
            if let Some(deadline) = changes_at {
                prop_assert!(moments.contains(&deadline), "at {} nothing can change: {:?}", deadline, world.rule);
                if as_of >= last && is_exact(&world.rule.who) {
                    prop_assert_ne!(ready.asked(deadline).member, member, "at {}: {:?}", as_of, world.rule);
                }
            }
        }
    }

    #[test]
    fn what_happens_later_changes_nothing(world in world()) {
        let ready = Ready::new(&world);
        let moments = moments(&world);
        for done in &world.someone.did {
            for as_of in [done.at - 1, done.at, done.at + 1] {
                let past = Ready::new(&World { someone: until(&world.someone, as_of), ..world.clone() });
                let (then, now) = (past.asked(as_of), ready.asked(as_of));
                prop_assert_eq!((then.member, then.because), (now.member, now.because), "at {}", as_of);
                prop_assert_eq!(past.holds(as_of), now.member);
            }
        }
        prop_assert!(!ready.holds(moments[0]));
    }

    #[test]
    fn the_order_of_clauses_does_not_matter(world in world()) {
        let ready = Ready::new(&world);
        let round = Ready::new(&World { rule: Rule::new(turned_round(&world.rule.who)), ..world.clone() });
        for as_of in moments(&world) {
            let (one, other) = (ready.asked(as_of), round.asked(as_of));
            prop_assert_eq!((one.member, one.changes_at), (other.member, other.changes_at));
            prop_assert_eq!(ready.holds(as_of), round.holds(as_of));
        }
    }

    #[test]
    fn an_explanation_has_every_clause_as_it_stands_alone(world in world(), later in any::<Index>()) {
        let ready = Ready::new(&world);
        let moments = moments(&world);
        let as_of = moments[later.index(moments.len())];
        let explanation = ready.plan.explain(&ready.row.as_person(&ready.segments), as_of, &ready.vocabulary);
        let (mut clauses, mut explanations) = (Vec::new(), Vec::new());
        written(&world.rule.who, &mut clauses);
        explained(&explanation, &mut explanations);
        prop_assert_eq!(clauses.len(), explanations.len());
        for (number, (clause, explanation)) in clauses.into_iter().zip(explanations).enumerate() {
            prop_assert_eq!(usize::from(explanation.clause), number);
            let alone = Ready::new(&World { rule: Rule::new(clause.clone()), ..world.clone() }).asked(as_of);
            prop_assert_eq!((explanation.holds, explanation.changes_at), (alone.member, alone.changes_at), "{:?}", clause);
        }
    }

    #[test]
    fn a_refreshed_plan_equals_a_new_one(world in world()) {
        let mut vocabulary = vocabulary(&world.rule);
        let mut early = compiled(&world.rule, &vocabulary, &world.site);
        // Half a life, then the whole of it, each with words that are new.
        let half = world.someone.did.len() / 2;
        row(&Someone { did: world.someone.did[..half].to_vec(), ..world.someone.clone() }, &mut vocabulary);
        early.refresh(&vocabulary);
        let (row, segments) = row(&world.someone, &mut vocabulary);
        early.refresh(&vocabulary);
        let fresh = compiled(&world.rule, &vocabulary, &world.site);
        let person = row.as_person(&segments);
        for as_of in moments(&world) {
            prop_assert_eq!(early.evaluate(&person, as_of), fresh.evaluate(&person, as_of));
            let explained = |plan: &Plan| plan.explain(&person, as_of, &vocabulary);
            prop_assert_eq!(explained(&early), explained(&fresh));
        }
    }

    #[test]
    fn a_rule_survives_its_json(world in world()) {
        let json = serde_json::to_string(&world.rule).unwrap();
        prop_assert_eq!(Rule::from_json(&json), Ok(world.rule), "{}", json);
    }
}
