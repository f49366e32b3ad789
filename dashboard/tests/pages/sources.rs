//! Where events come from.

use super::fixtures::{HOSTILE, ago, now, site};
use domain::event::{ProfileId, Trust};
use domain::report::*;
use jiff::ToSpan;
use uuid::Uuid;

fn line(key: &str, name: Option<&str>, state: SourceState, last_at: Option<i64>, counts: [u64; 3]) -> SourceLine {
    let [stored, duplicate, rejected] = counts;
    SourceLine {
        key: key.into(),
        name: name.map(str::to_owned),
        state,
        last_at: last_at.map(ago),
        counts: SourceCounts { stored, duplicate, rejected },
    }
}

pub(crate) fn book() -> SourceBook {
    SourceBook {
        site: site(),
        now: now(),
        sources: vec![
            line("tracker", None, SourceState::Receiving, Some(1), [84_210, 1_204, 37]),
            line("shopify:main-shop", Some("Main shop"), SourceState::Receiving, Some(14), [2_310, 2_290, 0]),
            line("stripe:payments", Some("Payments"), SourceState::Failing, Some(40), [0, 0, 61]),
            line("mailchimp:letter", Some("Letter"), SourceState::Paused, Some(9_000), [410, 0, 12]),
            line("segment", None, SourceState::Quiet, Some(20_000), [12, 0, 0]),
            line("klaviyo:flows", Some("Flows"), SourceState::NeedsSecret, None, [0, 0, 0]),
        ],
        privacy: PrivacySignals { gpc: 3_120, dnt: 418 },
    }
}

pub(crate) fn empty() -> SourceBook {
    SourceBook { sources: Vec::new(), privacy: PrivacySignals::default(), ..book() }
}

pub(crate) fn book_hostile() -> SourceBook {
    let hostile = line(HOSTILE, Some(HOSTILE), SourceState::Waiting, None, [0, 0, 0]);
    SourceBook { sources: vec![hostile], ..book() }
}

fn days() -> Vec<SourceDay> {
    let today = site().day(now());
    let day = |n: i64| SourceDay {
        day: today - (29 - n).days(),
        counts: SourceCounts {
            stored: (n as u64 * 7919) % 90,
            duplicate: n as u64 % 5,
            rejected: if n == 12 { 30 } else { 0 },
        },
    };
    (0..30).map(day).collect()
}

fn rejection(text: &str) -> Rejection {
    Rejection { at: ago(40), reason: "bad_signature".into(), detail: text.into(), sample: Some(text.into()) }
}

pub(crate) fn tracker() -> SourcePage {
    SourcePage {
        site: site(),
        now: now(),
        origin: "https://s.shop.example".into(),
        write_key: "wk_5e0a".into(),
        line: book().sources.remove(0),
        days: days(),
        reasons: vec![RejectedReason { reason: "clock_out_of_range".into(), count: 37 }],
        latest_rejected: vec![rejection("happened more than 8 days ago")],
        events: vec![LiveEvent {
            event_id: Uuid::from_u128(7),
            at: ago(1),
            what: Happened::Track { name: "Product Added".into(), page: None, properties: Vec::new() },
            person: PersonName { profile_id: Some(ProfileId(41)), name: Some("Mia Example".into()) },
            channel: None,
            consent: Consent::Full,
            trust: Trust::Browser,
        }],
        hook: None,
        connector: None,
    }
}

/// A system that is asked, and says no.
pub(crate) fn connector(error: &str) -> SourcePage {
    SourcePage {
        line: line("search-console:google", Some("Google"), SourceState::Failing, Some(30), [0, 0, 0]),
        connector: Some(Connector {
            system: "Google Search Console".into(),
            account: if error == HOSTILE { HOSTILE.into() } else { "sc-domain:shop.example".into() },
            advice: "in Google Cloud, make a service account and a JSON key for it",
            created_at: ago(90_000),
            report: ConnectorReport {
                key: "search-console:google".into(),
                state: ConnectorState::Ready,
                next_at: ago(-12),
                last_at: Some(ago(30)),
                last_ok_at: Some(ago(400)),
                last_error: Some(error.into()),
                pages: 12,
                rows: 31_004,
            },
        }),
        ..waiting()
    }
}

/// A library that has not been heard yet.
pub(crate) fn waiting() -> SourcePage {
    let none = SourceCounts::default();
    SourcePage {
        line: line("segment", None, SourceState::Waiting, None, [0, 0, 0]),
        days: days().into_iter().map(|day| SourceDay { counts: none, ..day }).collect(),
        reasons: Vec::new(),
        latest_rejected: Vec::new(),
        events: Vec::new(),
        ..tracker()
    }
}

pub(crate) fn shopify(secret: HookSecret) -> SourcePage {
    SourcePage {
        line: book().sources.remove(1),
        reasons: Vec::new(),
        latest_rejected: Vec::new(),
        hook: Some(Hook {
            vendor: "Shopify".into(),
            address: "https://s.shop.example/hooks/1-9f8e7d6c5b4a39281706f5e4d3c2b1a0".into(),
            secret,
            advice: "in Shopify, Settings > Notifications > Webhooks, add this address for orders/create, in JSON",
            namespace: Some("second".into()),
            order_numbers: true,
            created_at: ago(50_000),
            mapping: &[("orders/create", "Order Completed, with its lines"), ("refunds/create", "Order Refunded")],
            samples: vec![
                HookSample { topic: "orders/create", body: "{\"id\":1001}".into() },
                HookSample { topic: "refunds/create", body: "{\"id\":9,\"order_id\":1001}".into() },
            ],
        }),
        ..tracker()
    }
}

pub(crate) fn hostile() -> SourcePage {
    let mut report = shopify(HookSecret::Told(HOSTILE.into()));
    report.line = book_hostile().sources.remove(0);
    report.latest_rejected = vec![rejection(HOSTILE)];
    report.events = tracker().events;
    report.events[0].what = Happened::Group { group_id: HOSTILE.into() };
    report.events[0].person.name = Some(HOSTILE.into());
    report.write_key = HOSTILE.into();
    report
}

pub(crate) fn trial(text: &str) -> SourceTrial {
    SourceTrial {
        topic: text.into(),
        body: text.into(),
        events: vec![WouldBe {
            name: text.into(),
            who: vec![format!("external {text}"), "email mia@example.com".into()],
            at: ago(60),
            properties: format!("{{\"order_id\":{text:?}}}"),
        }],
        faults: vec![("bad_order".into(), text.into())],
    }
}
