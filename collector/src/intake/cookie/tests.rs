use super::*;
use crate::store::sites::tests::site_on;

/// An id of the tracker's, minted at `ms`.
fn id(ms: u64, mark: u8, rest: u8) -> Uuid {
    let mut bytes = [rest; 16];
    bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    bytes[6] = 0x70;
    bytes[8] = mark << 4;
    Uuid::from_bytes(bytes)
}

fn decided(batch: Uuid, kept: Uuid) -> Verdict {
    decide(Says::Visitor(batch), Some(&kept.as_simple().to_string()))
}

const PLAIN: u8 = 0x8;
const MARKED: u8 = 0xb;

#[test]
fn the_first_visitor_is_given_the_cookie_and_it_holds_over_the_next_one() {
    let (first, second) = (id(1_000, PLAIN, 1), id(2_000, PLAIN, 2));
    assert_eq!(decide(Says::Visitor(first), None), Verdict::Give(first));
    assert_eq!(decided(first, first), Verdict::Keep);
    assert_eq!(decided(second, first), Verdict::Holds { visitor: first, joined: true });
    // Another subdomain's storage is older than the cookie.
    assert_eq!(decided(first, second), Verdict::Holds { visitor: second, joined: true });
}

#[test]
fn a_reset_wins_over_what_was_before_and_joins_nothing_to_it() {
    let (before, reset, after) = (id(1_000, PLAIN, 1), id(2_000, MARKED, 2), id(3_000, PLAIN, 3));
    assert_eq!(decided(reset, before), Verdict::Give(reset));
    // What another subdomain still has from before is the person's who has gone.
    assert_eq!(decided(before, reset), Verdict::Holds { visitor: reset, joined: false });
    assert_eq!(decided(after, reset), Verdict::Holds { visitor: reset, joined: true });
    // Of two resets the later one counts.
    let later = id(4_000, MARKED, 4);
    assert_eq!(decided(reset, later), Verdict::Holds { visitor: later, joined: false });
    assert_eq!(decided(later, reset), Verdict::Give(later));
}

#[test]
fn whoever_is_only_measured_has_no_cookie_and_loses_the_one_there_is() {
    assert_eq!(decide(Says::Nobody, None), Verdict::Keep);
    for value in ["", "anything", &id(1_000, PLAIN, 1).as_simple().to_string()] {
        assert_eq!(decide(Says::Nobody, Some(value)), Verdict::End, "{value}");
    }
}

#[test]
fn a_cookie_is_one_of_our_ids_or_nothing() {
    let good = id(1_000, PLAIN, 1).as_simple().to_string();
    assert_eq!(read(&good), Some(id(1_000, PLAIN, 1)));
    let (mut old, mut variant) = (good.clone(), good.clone());
    old.replace_range(12..13, "4");
    variant.replace_range(16..17, "0");
    let hyphens = id(1_000, PLAIN, 1).to_string();
    for bad in
        ["", "null", &good[..31], &format!("{good}0"), &good.to_uppercase().replace('0', "A"), &hyphens, &old, &variant]
    {
        assert_eq!(read(bad), None, "{bad}");
        assert_eq!(decide(Says::Visitor(id(5, PLAIN, 5)), Some(bad)), Verdict::Give(id(5, PLAIN, 5)), "{bad}");
    }
    assert_eq!(decide(Says::Visitor(Uuid::from_bytes([0x5e; 16])), None), Verdict::Keep, "no id of our tracker");
}

#[test]
fn the_cookie_lives_on_the_widest_domain_that_page_and_collector_share() {
    let site = site_on(&["shop.example", "blog.shop.example", "other.example", "localhost", "127.0.0.1"]);
    let lines = |host: &str, origin: &str, is_https| {
        place(&site, host, origin, is_https).map(|place| place.lines("c", Verdict::Give(id(1, PLAIN, 0))))
    };
    let value = id(1, PLAIN, 0).as_simple().to_string();
    let secure = format!("c={value}; Path=/; Max-Age=34214400; HttpOnly; SameSite=Lax; Secure; Domain=shop.example");
    for (host, origin) in [
        ("stats.shop.example", "https://shop.example"),
        ("shop.example:443", "https://www.shop.example"),
        ("s.blog.shop.example", "https://blog.shop.example:8443"),
        ("STATS.shop.example.", "https://shop.example"),
    ] {
        assert_eq!(lines(host, origin, true), Some(vec![secure.clone()]), "{host} {origin}");
        assert_eq!(lines(host, origin, false), None, "it could be read on its way: {host}");
    }
    for (host, origin) in [
        ("s.example", "https://shop.example"),
        ("stats.shop.example", "https://other.example"),
        ("stats.shop.example", "https://evil.example"),
        ("stats.shop.example", "null"),
        ("evilshop.example", "https://shop.example"),
        ("", "https://shop.example"),
    ] {
        assert_eq!(lines(host, origin, true), None, "{host} {origin}");
    }
    let own = format!("c={value}; Path=/; Max-Age=34214400; HttpOnly; SameSite=Lax");
    assert_eq!(lines("127.0.0.1:8080", "http://127.0.0.1:9000", false), Some(vec![own.clone()]));
    assert_eq!(lines("localhost:8080", "http://localhost", false), Some(vec![own]));
}

#[test]
fn an_ended_cookie_is_ended_on_every_domain_that_it_may_be_on() {
    let site = site_on(&["blog.shop.example", "shop.example"]);
    let place = place(&site, "s.blog.shop.example", "https://blog.shop.example", true).unwrap();
    let ended = |domain| format!("c=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure; Domain={domain}");
    assert_eq!(place.lines("c", Verdict::End), [ended("shop.example"), ended("blog.shop.example")]);
    assert_eq!(place.lines("c", Verdict::Keep), [""; 0]);
}

#[test]
fn two_sites_have_two_cookies() {
    let (one, other) = (site_on(&["shop.example"]), site_on(&["shop.example"]));
    assert_ne!(name(&one), name(&other));
    assert_eq!(name(&one).len(), "segments_id_".len() + 12);
}
