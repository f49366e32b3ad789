//! How identifiers came together.

use super::fixtures::{HOSTILE, ago, now, site};
use domain::event::{ProfileId, Trust};
use domain::identity::{Call, Guard, Kind, Reason, Standing};
use domain::report::{BlockedValue, Identifier, IdentityBook, JoinLink, JoinNode, Joins, KeptApart, RefusedJoins};

fn identifier(identity_id: i64, kind: Kind, value: &str) -> Identifier {
    Identifier {
        identity_id,
        kind,
        value: value.into(),
        profile_id: ProfileId(if identity_id < 50 { 41 } else { identity_id }),
    }
}

fn node(identifier: Identifier, minutes: i64, trust: Trust, source: Option<&str>) -> JoinNode {
    JoinNode { identifier, first_seen: ago(minutes), trust, source: source.map(str::to_owned) }
}

fn link(link_id: i64, from: Identifier, to: Identifier, standing: Standing, merged: Option<Reason>) -> JoinLink {
    let source = Some(if standing == Standing::Trusted { "segment" } else { "tracker" }.to_owned());
    JoinLink { link_id, at: ago(60 - link_id), from, to, call: Call::Together, standing, source, merged, decided: None }
}

pub(crate) fn joins() -> Joins {
    let phone = || identifier(7, Kind::Visitor, "0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b");
    let laptop = || identifier(9, Kind::Visitor, "0197a1b2-7c3d-7e4f-8a5b-000000000002");
    let user = || identifier(41, Kind::UserId, "user-9");
    let mail = || identifier(42, Kind::Email, "mia@example.com");
    Joins {
        site: site(),
        now: now(),
        profile_id: ProfileId(41),
        name: Some("Mia Example".into()),
        nodes: vec![
            node(phone(), 90, Trust::Browser, Some("tracker")),
            node(laptop(), 80, Trust::Browser, None),
            node(user(), 60, Trust::Trusted, Some("tracker")),
            node(mail(), 30, Trust::Trusted, Some("shopify:main")),
        ],
        all_nodes: 4,
        links: vec![
            JoinLink {
                call: Call::Confirmed,
                source: None,
                decided: Some(("anna@shop.example".into(), 0.9973)),
                ..link(5, mail(), identifier(43, Kind::External, "club:7"), Standing::Trusted, Some(Reason::Confirmed))
            },
            link(4, laptop(), user(), Standing::Browser, None),
            link(3, user(), mail(), Standing::Trusted, Some(Reason::TrustedLink)),
            link(2, laptop(), user(), Standing::Browser, Some(Reason::SignedIn)),
            link(1, phone(), user(), Standing::Browser, Some(Reason::SignedIn)),
        ],
        refused: vec![RefusedJoins {
            guard: Guard::Unsigned,
            named: user(),
            by: identifier(60, Kind::Visitor, "stranger"),
            count: 3,
            last_at: ago(10),
        }],
        apart: vec![KeptApart {
            one: mail(),
            other: identifier(77, Kind::UserId, "user-10"),
            said_by: "anna@shop.example".into(),
            at: ago(20),
        }],
    }
}

pub(crate) fn joins_hostile() -> Joins {
    let mut report = joins();
    report.name = Some(HOSTILE.into());
    for node in &mut report.nodes {
        node.identifier.value = HOSTILE.into();
        node.source = Some(HOSTILE.into());
    }
    for link in &mut report.links {
        (link.from.value, link.to.value, link.source) = (HOSTILE.into(), HOSTILE.into(), Some(HOSTILE.into()));
        link.decided = link.decided.take().map(|(_, probability)| (HOSTILE.into(), probability));
    }
    report.refused[0].named.value = HOSTILE.into();
    report.refused[0].by.value = HOSTILE.into();
    report.apart[0].said_by = HOSTILE.into();
    report.apart[0].one.value = HOSTILE.into();
    report.all_nodes = 1_000;
    report
}

pub(crate) fn identities() -> IdentityBook {
    let person = joins();
    let mut refused: Vec<RefusedJoins> =
        Guard::ALL.into_iter().map(|guard| RefusedJoins { guard, ..person.refused[0].clone() }).collect();
    refused[4].count = 9_000;
    IdentityBook {
        site: site(),
        now: now(),
        merges: person.links.into_iter().filter(|link| link.merged.is_some()).collect(),
        refused,
        blocked: vec![BlockedValue {
            kind: Kind::UserId,
            value: "null".into(),
            source: "tracker".into(),
            count: 12_345,
            last_at: ago(1),
        }],
        apart: person.apart,
        matches_waiting: 3,
    }
}

pub(crate) fn identities_empty() -> IdentityBook {
    IdentityBook {
        merges: Vec::new(),
        refused: Vec::new(),
        blocked: Vec::new(),
        apart: Vec::new(),
        matches_waiting: 0,
        ..identities()
    }
}
