//! People who are probably one.

use super::fixtures::{HOSTILE, ago, now, site};
use domain::event::{ProfileId, Trust};
use domain::identity::Kind;
use domain::matching::{Comparison, Evidence, Level};
use domain::report::{Identifier, Match, MatchBook, MatchEvidence, MatchLook, MatchPerson, MatchState, Paging};

fn person(identity_id: i64, kind: Kind, value: &str, name: Option<&str>, orders: u64) -> MatchPerson {
    MatchPerson {
        identifier: Identifier { identity_id, kind, value: value.into(), profile_id: ProfileId(identity_id) },
        name: name.map(str::to_owned),
        first_seen: Some(ago(60 * 24 * 40)),
        last_seen: Some(ago(90)),
        orders,
        revenue: site().money(4_990 * orders as i64),
    }
}

fn evidence(
    comparison: Comparison,
    level: Level,
    (bits, rarity_bits): (f64, f64),
    values: [Option<(&str, Trust)>; 2],
) -> MatchEvidence {
    let [one, other] = values.map(|value| value.map(|(text, trust)| (text.to_owned(), trust)));
    MatchEvidence { evidence: Evidence { comparison, level, bits, rarity_bits }, one, other }
}

fn vouched(match_id: i64, state: MatchState) -> Match {
    let said = |text| Some((text, Trust::Trusted));
    let decided = (state != MatchState::Open).then(|| (ago(match_id), "anna@shop.example".to_owned()));
    Match {
        match_id,
        state,
        probability: 0.9978,
        rests_on: Trust::Trusted,
        evidence: vec![
            evidence(
                Comparison::Address,
                Level::Door,
                (11.2, 0.0),
                [said("12 Rosewood Crescent, 2705, Leeton"), said("12 Rosewood Cresent, 2705, Leeton")],
            ),
            evidence(Comparison::BirthDate, Level::Same, (10.1, 0.0), [said("1990-02-03"), said("3.2.1990")]),
            evidence(Comparison::Surname, Level::Same, (7.9, 1.6), [said("Harrington"), said("Mia Harrington")]),
            evidence(Comparison::Email, Level::Different, (-2.6, 0.0), [said("mia@mail.example"), None]),
            evidence(Comparison::GivenName, Level::Related, (1.1, -1.2), [said("Mia"), said("M. Harrington")]),
        ],
        household_bits: -1.4,
        one: person(37, Kind::UserId, "shop-7", Some("Mia Harrington"), 3),
        other: person(40, Kind::External, "club:7", None, 0),
        found_at: ago(400),
        decided,
    }
}

fn claimed(match_id: i64) -> Match {
    let name = |trust| Some(("Robert Lee", trust));
    Match {
        probability: 0.71,
        rests_on: Trust::Browser,
        evidence: vec![evidence(
            Comparison::Surname,
            Level::Same,
            (8.0, 0.0),
            [name(Trust::Trusted), name(Trust::Browser)],
        )],
        household_bits: -3.4,
        ..vouched(match_id, MatchState::Open)
    }
}

pub(crate) fn matches() -> MatchBook {
    MatchBook {
        site: site(),
        now: now(),
        open: vec![vouched(1, MatchState::Open), claimed(2)],
        paging: Paging { page: 1, per_page: 2, total: 5 },
        decided: vec![
            vouched(3, MatchState::Confirmed),
            vouched(4, MatchState::Applied),
            vouched(5, MatchState::Refused),
            vouched(6, MatchState::Outdated),
        ],
        look: MatchLook {
            threshold: Some(0.995),
            would_join: [12, 1, 0],
            made_at: Some(ago(200)),
            compared: 48_112,
            left_out: 0,
            is_due: false,
            progress: None,
        },
        asked: None,
        just: None,
    }
}

/// Right after a decision, while people are being compared.
pub(crate) fn matches_decided(state: MatchState) -> MatchBook {
    let look = MatchLook { progress: Some((12, 48)), left_out: 1_200, ..matches().look };
    MatchBook { asked: Some(claimed(7)), just: Some(vouched(3, state)), look, ..matches() }
}

pub(crate) fn matches_empty(is_compared: bool) -> MatchBook {
    MatchBook {
        open: Vec::new(),
        decided: Vec::new(),
        paging: Paging { page: 1, per_page: 10, total: 0 },
        look: MatchLook { made_at: is_compared.then(|| ago(5)), is_due: !is_compared, ..MatchLook::default() },
        ..matches()
    }
}

pub(crate) fn matches_hostile() -> MatchBook {
    let mut report = matches_decided(MatchState::Confirmed);
    let MatchBook { open, decided, asked, just, .. } = &mut report;
    for one in open.iter_mut().chain(decided).chain(asked).chain(just) {
        for person in [&mut one.one, &mut one.other] {
            (person.name, person.identifier.value) = (Some(HOSTILE.into()), HOSTILE.into());
        }
        for evidence in &mut one.evidence {
            evidence.one = Some((HOSTILE.into(), Trust::Browser));
            evidence.other = Some((HOSTILE.into(), Trust::Trusted));
        }
        one.decided = one.decided.take().map(|(at, _)| (at, HOSTILE.into()));
    }
    report
}
