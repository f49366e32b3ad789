use super::*;
use crate::event::Trust;
use proptest::prelude::*;

const V1: IdentityId = IdentityId(1);
const V2: IdentityId = IdentityId(2);
const USER: IdentityId = IdentityId(3);
const MAIL: IdentityId = IdentityId(4);
const ORDER: IdentityId = IdentityId(5);

const PEOPLE: [(IdentityId, Kind); 5] =
    [(V1, Kind::Visitor), (V2, Kind::Visitor), (USER, Kind::UserId), (MAIL, Kind::Email), (ORDER, Kind::Order)];

fn said(trust: Trust, from: IdentityId, to: IdentityId) -> Statement {
    Statement { from, to, call: Call::Together, standing: trust.into() }
}

fn ordered(trust: Trust, from: IdentityId, to: IdentityId) -> Statement {
    Statement { call: Call::Order, ..said(trust, from, to) }
}

fn profiles(statements: &[Statement], apart: &[(IdentityId, IdentityId)]) -> Vec<i64> {
    replay(&PEOPLE, statements, apart).profiles.values().map(|profile| profile.0).collect()
}

#[test]
fn an_undone_merge_leaves_both_as_if_it_had_never_been() {
    let story = [
        said(Trust::Browser, V1, USER),
        said(Trust::Browser, V2, USER),
        // The mail came by way of the first device, the order by way of the second.
        said(Trust::Trusted, V1, MAIL),
        ordered(Trust::Browser, V2, ORDER),
    ];
    assert_eq!(profiles(&story, &[]), [3, 3, 3, 3, 3]);
    assert_eq!(profiles(&story, &[(V1, USER)]), [4, 3, 3, 4, 3]);
    let without = [story[1], story[2], story[3]];
    assert_eq!(profiles(&story, &[(V1, USER)]), profiles(&without, &[]));
}

#[test]
fn whatever_else_would_join_the_two_is_refused_too() {
    let story = [said(Trust::Browser, V1, USER), said(Trust::Trusted, V1, MAIL), said(Trust::Trusted, USER, MAIL)];
    assert_eq!(profiles(&story, &[(V1, USER)])[..4], [4, 2, 3, 4], "the mail was the first device's before");
    let mut graph = Graph::default();
    for (identity_id, kind) in PEOPLE {
        graph.add_profile(ProfileId(identity_id.0), Counts::from_iter([(kind, 1)]));
        graph.add_identity(identity_id, kind, ProfileId(identity_id.0));
    }
    graph.keep_apart(ProfileId(V1.0), ProfileId(USER.0));
    assert_eq!(graph.tell(&story[0]), Ok(Outcome::Refused(Refusal::KeptApart)));
    assert!(matches!(graph.tell(&story[1]), Ok(Outcome::Merged { .. })));
    assert_eq!(graph.tell(&story[2]), Ok(Outcome::Refused(Refusal::KeptApart)));
    let stranger = Statement { from: IdentityId(99), ..story[0] };
    assert_eq!(graph.tell(&stranger), Err(UnknownIdentity(IdentityId(99))));
}

#[test]
fn a_match_that_is_undone_stays_undone_through_every_way_between_the_two() {
    let matched = |call, from, to| Statement { call, ..said(Trust::Trusted, from, to) };
    let story = [
        said(Trust::Browser, V1, USER),
        matched(Call::Confirmed, USER, MAIL),
        matched(Call::Matched, V1, MAIL),
        ordered(Trust::Browser, V2, ORDER),
        matched(Call::Matched, V2, MAIL),
    ];
    assert_eq!(profiles(&story, &[]), [3, 3, 3, 3, 3]);
    // V2 goes with whom it is like, and takes its order along; the further match of the two is refused, too.
    assert_eq!(profiles(&story, &[(USER, MAIL)]), [3, 4, 3, 4, 4]);
}

#[test]
fn an_order_follows_its_first_report_and_then_the_latest_trusted_one() {
    let browser = |from| ordered(Trust::Browser, from, ORDER);
    let trusted = |from| ordered(Trust::Trusted, from, ORDER);
    assert_eq!(profiles(&[browser(V1), browser(V2)], &[])[4], V1.0);
    assert_eq!(profiles(&[browser(V1), trusted(USER), browser(V2)], &[])[4], USER.0);
    assert_eq!(profiles(&[trusted(USER), trusted(MAIL)], &[])[4], MAIL.0);
    let claimed = Statement { standing: Standing::Claimed, ..browser(V1) };
    assert_eq!(profiles(&[claimed], &[])[4], ORDER.0);
}

#[test]
fn a_claim_without_the_signature_that_a_site_asks_for_joins_nobody() {
    let claimed = Statement { standing: Standing::Claimed, ..said(Trust::Browser, V1, USER) };
    assert_eq!(profiles(&[claimed], &[])[..3], [1, 2, 3]);
    assert_eq!(profiles(&[claimed, said(Trust::Trusted, V1, USER)], &[])[..3], [3, 2, 3]);
}

#[test]
fn a_merge_bomb_stops_at_the_cap() {
    let limit = i64::from(Kind::Visitor.cap().unwrap());
    let user = IdentityId(0);
    let identities: Vec<(IdentityId, Kind)> =
        [(user, Kind::UserId)].into_iter().chain((1..=10_000).map(|n| (IdentityId(n), Kind::Visitor))).collect();
    let statements: Vec<Statement> = (1..=10_000).map(|n| said(Trust::Browser, IdentityId(n), user)).collect();
    let profiles = replay(&identities, &statements, &[]).profiles;
    let joined = profiles.values().filter(|profile| profile.0 == user.0).count();
    assert_eq!(joined as i64, limit + 1);
}

fn statement(people: i64) -> impl Strategy<Value = Statement> {
    let call = prop::sample::select([&Call::ALL[..], &[Call::Together]].concat());
    (0..people, 0..people, call, prop::sample::select(Standing::ALL.to_vec()))
        .prop_map(|(from, to, call, standing)| Statement { from: IdentityId(from), to: IdentityId(to), call, standing })
}

/// Twelve identities of all kinds; an order is only ever the second of a statement that reports it.
fn world() -> Vec<(IdentityId, Kind)> {
    (0..12).map(|n| (IdentityId(n), Kind::ALL[n as usize % 6])).collect()
}

fn makes_sense(statement: &Statement) -> bool {
    let kind = |id: IdentityId| Kind::ALL[id.0 as usize % 6];
    statement.from != statement.to
        && kind(statement.from) != Kind::Order
        && (statement.call == Call::Order) == (kind(statement.to) == Kind::Order)
}

proptest! {
    #[test]
    fn told_in_parts_it_comes_to_the_same_as_told_at_once(
        statements in prop::collection::vec(statement(12).prop_filter("sense", makes_sense), 0..60),
        parts in 1..7_usize,
    ) {
        let world = world();
        let mut now: BTreeMap<IdentityId, ProfileId> = world.iter().map(|(id, _)| (*id, ProfileId(id.0))).collect();
        for part in statements.chunks(statements.len() / parts + 1) {
            // As a writer does it: only what is touched is read, with its profiles counted.
            let mut graph = Graph::default();
            for statement in part {
                for id in [statement.from, statement.to] {
                    let profile = now[&id];
                    let members = world.iter().filter(|(other, _)| now[other] == profile);
                    graph.add_profile(profile, members.map(|(_, kind)| (*kind, 1)).collect());
                    graph.add_identity(id, world[id.0 as usize].1, profile);
                }
            }
            let before = now.clone();
            for statement in part {
                match graph.tell(statement).unwrap() {
                    Outcome::Merged { from, into, .. } => {
                        now.values_mut().filter(|profile| **profile == from).for_each(|profile| *profile = into);
                    }
                    Outcome::Ordered { from, into } => {
                        prop_assert_eq!(now[&statement.to], from);
                        now.insert(statement.to, into);
                    }
                    Outcome::Same | Outcome::Refused(_) => {}
                }
            }
            for id in before.keys().filter(|id| part.iter().any(|s| s.from == **id || s.to == **id)) {
                prop_assert_eq!(graph.profile_of(*id), Ok(now[id]));
            }
        }
        prop_assert_eq!(replay(&world, &statements, &[]).profiles, now);
    }

    #[test]
    fn undoing_and_allowing_again_gives_back_what_was(
        statements in prop::collection::vec(statement(12).prop_filter("sense", makes_sense), 1..60),
        which in prop::sample::select((0..12_i64).collect::<Vec<_>>()),
    ) {
        let world = world();
        let joined = replay(&world, &statements, &[]).profiles;
        let mut graph = Graph::default();
        for (id, kind) in &world {
            graph.add_profile(ProfileId(id.0), Counts::from_iter([(*kind, 1)]));
            graph.add_identity(*id, *kind, ProfileId(id.0));
        }
        let merges: Vec<Statement> = statements
            .iter()
            .filter(|statement| matches!(graph.tell(statement), Ok(Outcome::Merged { .. })))
            .copied()
            .collect();
        prop_assume!(!merges.is_empty());
        let undone = merges[which as usize % merges.len()];
        let profile = joined[&undone.from];
        // Only the profile that is taken apart is told again.
        let inside: Vec<(IdentityId, Kind)> = world.iter().filter(|(id, _)| joined[id] == profile).copied().collect();
        let apart = replay(&inside, &statements, &[(undone.from, undone.to)]).profiles;
        prop_assert_ne!(apart[&undone.from], apart[&undone.to]);
        prop_assert!(apart.values().all(|profile| inside.iter().any(|(id, _)| id.0 == profile.0)), "nobody joins another");
        // Each part is named by one of its own.
        prop_assert!(apart.values().all(|profile| apart[&IdentityId(profile.0)] == *profile || world[profile.0 as usize].1 == Kind::Order));
        let again = replay(&inside, &statements, &[]).profiles;
        prop_assert!(again.values().all(|one| *one == profile), "{:?}", again);
    }
}
