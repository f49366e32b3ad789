use super::*;
use crate::event::{ProfileId, Trust};
use proptest::prelude::*;

fn profile(number: i64, identities: &[(Kind, u32)]) -> ProfileSummary {
    ProfileSummary { profile_id: ProfileId(number), counts: identities.iter().copied().collect() }
}

fn anonymous(number: i64) -> ProfileSummary {
    profile(number, &[(Kind::Visitor, 1)])
}

fn user(number: i64) -> ProfileSummary {
    profile(number, &[(Kind::UserId, 1)])
}

fn signed_in(number: i64) -> ProfileSummary {
    profile(number, &[(Kind::Visitor, 1), (Kind::UserId, 1)])
}

fn mail(number: i64) -> ProfileSummary {
    profile(number, &[(Kind::Email, 1)])
}

fn link(trust: Trust, from: Kind, to: Kind) -> Link {
    Link { standing: trust.into(), call: Call::Together, from, to }
}

fn alias(trust: Trust, from: Kind, to: Kind) -> Link {
    Link { call: Call::Alias, ..link(trust, from, to) }
}

fn merge(from: i64, into: i64, reason: Reason) -> Decision {
    Decision::Merge { from: ProfileId(from), into: ProfileId(into), reason }
}

#[test]
fn signing_in_joins_the_anonymous_visit_to_the_user() {
    let claim = link(Trust::Browser, Kind::Visitor, Kind::UserId);
    assert_eq!(decide(&claim, &anonymous(1), &user(2)), merge(1, 2, Reason::SignedIn));
    // A second device of the same user, whose profile is known by then.
    assert_eq!(decide(&claim, &anonymous(7), &signed_in(2)), merge(7, 2, Reason::SignedIn));
    assert_eq!(decide(&claim, &signed_in(2), &signed_in(2)), Decision::Same);
}

#[test]
fn a_browser_never_joins_two_known_people() {
    let claim = link(Trust::Browser, Kind::Visitor, Kind::UserId);
    assert_eq!(decide(&claim, &signed_in(1), &user(2)), Decision::Refuse(Refusal::AlreadyKnown));
    let by_mail = profile(1, &[(Kind::Visitor, 1), (Kind::Email, 1)]);
    assert_eq!(decide(&claim, &by_mail, &user(2)), Decision::Refuse(Refusal::AlreadyKnown));
    let aliased = alias(Trust::Browser, Kind::UserId, Kind::UserId);
    assert_eq!(decide(&aliased, &user(1), &user(2)), Decision::Refuse(Refusal::Unverified(Kind::UserId)));
    let visitors = alias(Trust::Browser, Kind::Visitor, Kind::Visitor);
    assert_eq!(decide(&visitors, &signed_in(1), &signed_in(2)), Decision::Refuse(Refusal::AlreadyKnown));
    assert_eq!(decide(&visitors, &anonymous(1), &signed_in(2)), merge(1, 2, Reason::SignedIn));
}

#[test]
fn a_browsers_cookie_takes_in_its_anonymous_visits_and_never_a_known_person() {
    let cookie = Link { call: Call::SameBrowser, ..link(Trust::Browser, Kind::Visitor, Kind::Visitor) };
    for (batch, kept) in [(anonymous(7), anonymous(2)), (anonymous(7), signed_in(2)), (anonymous(1), signed_in(2))] {
        assert_eq!(decide(&cookie, &batch, &kept), merge(batch.profile_id.0, 2, Reason::SameBrowser));
    }
    // A stranger who has a visitor's id and a cookie of its own.
    for stranger in [anonymous(2), signed_in(2)] {
        assert_eq!(decide(&cookie, &signed_in(1), &stranger), Decision::Refuse(Refusal::AlreadyKnown));
    }
    let named = Link { to: Kind::Email, ..cookie };
    assert_eq!(decide(&named, &anonymous(1), &mail(2)), Decision::Refuse(Refusal::Unverified(Kind::Email)));
    assert_eq!(Reason::from_key(Reason::SameBrowser.key()), Some(Reason::SameBrowser));
}

#[test]
fn a_browsers_email_phone_and_order_join_nobody() {
    for kind in [Kind::Email, Kind::Phone, Kind::External, Kind::Order] {
        for from in [Kind::Visitor, Kind::UserId] {
            let claim = link(Trust::Browser, from, kind);
            let refused = Refusal::Unverified(kind);
            assert_eq!(decide(&claim, &anonymous(1), &profile(2, &[(kind, 1)])), Decision::Refuse(refused));
        }
    }
}

#[test]
fn a_trusted_source_joins_what_is_known_apart() {
    let trusted = |from, to| link(Trust::Trusted, from, to);
    let linked = Reason::TrustedLink;
    assert_eq!(decide(&trusted(Kind::Visitor, Kind::Email), &anonymous(1), &mail(2)), merge(1, 2, linked));
    assert_eq!(decide(&trusted(Kind::UserId, Kind::Email), &user(5), &mail(2)), merge(2, 5, linked));
    assert_eq!(decide(&trusted(Kind::UserId, Kind::Email), &user(5), &user(2)), merge(5, 2, linked));
    assert_eq!(
        decide(&trusted(Kind::Order, Kind::UserId), &profile(1, &[(Kind::Order, 1)]), &user(2)),
        merge(1, 2, linked)
    );
}

#[test]
fn a_match_joins_two_users_but_no_more_than_one_person_has_and_nobody_by_a_browsers_word() {
    let matched = |trust, call| Link { call, ..link(trust, Kind::UserId, Kind::Visitor) };
    for (call, reason) in [(Call::Confirmed, Reason::Confirmed), (Call::Matched, Reason::Matched)] {
        let trusted = matched(Trust::Trusted, call);
        assert_eq!(decide(&trusted, &user(1), &signed_in(2)), merge(2, 1, reason));
        let limit = Kind::UserId.cap().unwrap();
        let many = profile(2, &[(Kind::UserId, limit)]);
        let refusal = Refusal::TooMany { kind: Kind::UserId, count: limit + 1, limit };
        assert_eq!(decide(&trusted, &user(1), &many), Decision::Refuse(refusal));
        let typed = matched(Trust::Browser, call);
        assert_eq!(decide(&typed, &user(1), &signed_in(2)), Decision::Refuse(Refusal::AlreadyKnown));
        assert_eq!(Reason::from_key(reason.key()), Some(reason));
        let nameless = Link { to: Kind::Message, ..trusted };
        assert_eq!(decide(&nameless, &user(1), &anonymous(2)), Decision::Refuse(Refusal::NamesNobody(Kind::Message)));
    }
}

#[test]
fn what_people_share_never_makes_two_users_one() {
    for shared in [Kind::Visitor, Kind::Phone, Kind::Order] {
        let a = profile(1, &[(shared, 1), (Kind::UserId, 1)]);
        let said = link(Trust::Trusted, shared, Kind::UserId);
        assert_eq!(decide(&said, &a, &user(2)), Decision::Refuse(Refusal::TwoUsers(shared)));
        // Nor in the other direction, nor by way of the mail that the second one has.
        let said = link(Trust::Trusted, Kind::UserId, shared);
        assert_eq!(decide(&said, &user(2), &a), Decision::Refuse(Refusal::TwoUsers(shared)));
        let with_mail = profile(2, &[(Kind::Email, 1), (Kind::UserId, 1)]);
        let said = link(Trust::Trusted, shared, Kind::Email);
        assert_eq!(decide(&said, &a, &with_mail), Decision::Refuse(Refusal::TwoUsers(shared)));
    }
}

#[test]
fn a_trusted_alias_joins_two_users() {
    let said = alias(Trust::Trusted, Kind::UserId, Kind::UserId);
    assert_eq!(decide(&said, &user(2), &user(1)), merge(2, 1, Reason::TrustedAlias));
    let said = alias(Trust::Trusted, Kind::Visitor, Kind::UserId);
    assert_eq!(decide(&said, &signed_in(1), &user(2)), merge(2, 1, Reason::TrustedAlias));
}

#[test]
fn measured_visits_and_nameless_messages_are_linked_to_nobody() {
    for trust in [Trust::Browser, Trust::Trusted] {
        for kind in [Kind::Measured, Kind::Message] {
            for call in [link(trust, kind, Kind::UserId), alias(trust, Kind::UserId, kind)] {
                let nobody = profile(1, &[(kind, 1)]);
                assert_eq!(decide(&call, &nobody, &user(2)), Decision::Refuse(Refusal::NamesNobody(kind)));
            }
        }
    }
}

#[test]
fn a_value_that_many_share_stops_at_the_cap() {
    let said = link(Trust::Trusted, Kind::UserId, Kind::Email);
    let limit = Kind::UserId.cap().unwrap();
    let full = profile(1, &[(Kind::Email, 1), (Kind::UserId, limit)]);
    let refused = Refusal::TooMany { kind: Kind::UserId, count: limit + 1, limit };
    assert_eq!(decide(&said, &user(2), &full), Decision::Refuse(refused));
    assert_eq!(refused.to_string(), "the person would have 6 identities of kind user_id, limit 5");
    let room = profile(1, &[(Kind::Email, 1), (Kind::UserId, limit - 1)]);
    assert_eq!(decide(&said, &user(2), &room), merge(2, 1, Reason::TrustedLink));
    // Who has too many of one kind already still gets others.
    let crowd = profile(1, &[(Kind::Visitor, 5_000), (Kind::UserId, 1)]);
    assert_eq!(decide(&said, &crowd, &mail(2)), merge(2, 1, Reason::TrustedLink));
    let browsers = profile(1, &[(Kind::Visitor, Kind::Visitor.cap().unwrap()), (Kind::UserId, 1)]);
    let claim = link(Trust::Browser, Kind::Visitor, Kind::UserId);
    assert!(matches!(decide(&claim, &anonymous(2), &browsers), Decision::Refuse(Refusal::TooMany { .. })));
}

#[test]
fn codes_and_names_are_fixed() {
    let all: Vec<_> = Kind::ALL.into_iter().map(|kind| (kind.code(), kind.name())).collect();
    assert_eq!(
        all,
        [
            (1, "visitor"),
            (2, "user_id"),
            (3, "email"),
            (4, "phone"),
            (5, "external"),
            (6, "order"),
            (7, "message"),
            (8, "measured")
        ]
    );
    for kind in Kind::ALL {
        assert_eq!((Kind::from_code(kind.code()), Kind::from_name(kind.name())), (Some(kind), Some(kind)));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
    }
    for guard in Guard::ALL {
        assert_eq!(Guard::from_key(guard.key()), Some(guard));
    }
    assert!(Call::ALL.into_iter().all(|call| Call::from_code(call.code()) == Some(call)));
    assert!(Standing::ALL.into_iter().all(|standing| Standing::from_code(standing.code()) == Some(standing)));
    assert_eq!((Kind::from_code(0), Kind::from_code(9), Kind::from_name("Email")), (None, None, None));
}

#[test]
fn values_are_written_one_way() {
    let good = [
        (Kind::Email, " Mia@Example.COM ", "mia@example.com"),
        (Kind::Email, "o'brien+shop@mail.example.co.uk", "o'brien+shop@mail.example.co.uk"),
        (Kind::Email, "jürgen@müller.example", "jürgen@müller.example"),
        (Kind::Phone, "+49 (30) 901-820", "+4930901820"),
        (Kind::Phone, "0049 30/901820", "+4930901820"),
        (Kind::UserId, " 42 ", "42"),
        (Kind::UserId, "Mia", "Mia"),
        (Kind::UserId, "test", "test"),
        (Kind::Visitor, "c0ffee", "c0ffee"),
        (Kind::External, "stripe:cus_1", "stripe:cus_1"),
        (Kind::Order, "shop:1001", "shop:1001"),
    ];
    for (kind, value, written) in good {
        assert_eq!(normalise(kind, value).as_deref(), Ok(written), "{kind} {value}");
    }
}

#[test]
fn placeholders_name_nobody() {
    let placeholders = [
        "null",
        "NULL",
        "Undefined",
        "0",
        "000",
        "-1",
        "NaN",
        "anonymous",
        "Guest",
        "none",
        "[object Object]",
        "{}",
        "-",
        "00000000-0000-0000-0000-000000000000",
        "n/a",
        "user_id",
        "TRUE",
    ];
    for value in placeholders {
        for kind in [Kind::Visitor, Kind::UserId, Kind::External, Kind::Order] {
            assert_eq!(normalise(kind, value), Err(Invalid::Blocked { kind }), "{kind} {value}");
        }
        let external = format!("crm:{value}");
        assert_eq!(normalise(Kind::External, &external), Err(Invalid::Blocked { kind: Kind::External }), "{external}");
    }
    for value in ["noreply@shop.example", "No-Reply@shop.example", "undefined@shop.example"] {
        assert_eq!(normalise(Kind::Email, value), Err(Invalid::Blocked { kind: Kind::Email }), "{value}");
    }
    assert_eq!(normalise(Kind::External, "crm:"), Err(Invalid::Blocked { kind: Kind::External }));
}

#[test]
fn what_is_no_identity_says_what_is_wrong() {
    let of = |kind, value: &str| normalise(kind, value).unwrap_err().to_string();
    assert_eq!(of(Kind::UserId, "  "), "user_id is empty");
    assert_eq!(of(Kind::UserId, &"x".repeat(257)), "user_id is 257 bytes, limit 256");
    assert_eq!(of(Kind::UserId, "a\u{0}b"), "user_id has control characters");
    assert_eq!(of(Kind::UserId, "null"), "user_id is a placeholder that names nobody; leave it out instead");
    assert_eq!(of(Kind::Email, "mia"), "email has no @");
    for value in ["@b.example", "a@", "a@b", "a@b.", "a@.b", "a@b..c", ".a@b.c", "a..b@c.d", "a@b@c.d", "a@-b.c"] {
        assert!(of(Kind::Email, value).contains("proper"), "{value}");
    }
    for value in ["a b@c.example", "<a@b.example>", "a@b.example,c@d.example", "mailto:a@b.example"] {
        assert_eq!(of(Kind::Email, value), "email has characters that no address has", "{value}");
    }
    assert!(of(Kind::Phone, "030 901820").contains("country code"));
    for value in ["+4912", "+49abc30901820", "+1234567890123456", "+0301234567"] {
        assert!(of(Kind::Phone, value).contains("8 to 15 digits"), "{value}");
    }
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

fn any_profile(number: i64) -> impl Strategy<Value = ProfileSummary> {
    prop::collection::vec((any_kind(), 0..4_u32), 0..5).prop_map(move |identities| profile(number, &identities))
}

proptest! {
    #[test]
    fn normalising_twice_is_normalising_once(kind in any_kind(), value in "\\PC{0,40}|[+0-9 ]{8,20}|[a-zA-Z0-9.]{1,9}@[a-z.]{3,9}") {
        if let Ok(once) = normalise(kind, &value) {
            prop_assert!(once.len() <= MAX_VALUE_BYTES + 2);
            prop_assert_eq!(normalise(kind, &once), Ok(once.clone()));
        }
    }

    #[test]
    fn a_decision_does_not_depend_on_the_order_of_the_two_and_holds_the_guards(
        trusted in prop::bool::ANY,
        aliased in prop::bool::ANY,
        from in any_kind(),
        to in any_kind(),
        a in any_profile(1),
        b in any_profile(2),
    ) {
        let trust = if trusted { Trust::Trusted } else { Trust::Browser };
        let call = if aliased { Call::Alias } else { Call::Together };
        let said = Link { standing: trust.into(), call, from, to };
        let decision = decide(&said, &a, &b);
        let turned = decide(&Link { from: to, to: from, ..said }, &b, &a);
        prop_assert_eq!(matches!(decision, Decision::Refuse(_)), matches!(turned, Decision::Refuse(_)));
        if let Decision::Merge { from: goes, into, .. } = decision {
            prop_assert_eq!(turned, decision);
            prop_assert_ne!(goes, into);
            prop_assert!(trusted || !(a.is_known() && b.is_known()));
            // What one of them had too many of already is none of the merge's doing.
            let grows = |kind| a.counts.of(kind).min(b.counts.of(kind)) > 0;
            let fits = |kind, cap| !grows(kind) || a.counts.of(kind) + b.counts.of(kind) <= cap;
            let all_fit = Kind::ALL.into_iter().all(|kind| kind.cap().is_none_or(|cap| fits(kind, cap)));
            prop_assert!(all_fit, "{:?} {:?}", a, b);
            let (stays, gone) = if into == a.profile_id { (a, b) } else { (b, a) };
            prop_assert!(stays.is_known() || !gone.is_known());
        }
    }
}
