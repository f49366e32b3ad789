//! A person's columns as they grow with their events.

use domain::attribution::Touch;
use domain::event::{
    Amount, Campaign, Detail, Event, IdentityId, OrderAct, OrderReport, Page, ProfileId, Refund, Snapshot, TermId,
    Track, Trust,
};
use domain::history::{History, Rules, Session, replay};
use domain::money::{Currency, Money};
use domain::segment::rule::{PersonRow, Vocabulary, What, Words, second};
use domain::surroundings::Found;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, json};
use std::sync::Arc;
use uuid::Uuid;

fn id(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

fn money() -> impl Strategy<Value = Option<Money>> {
    let money = (0..500_i64, any::<bool>())
        .prop_map(|(minor, euro)| Money { minor, currency: if euro { Currency::EUR } else { Currency::USD } });
    prop::option::of(money)
}

fn detail() -> impl Strategy<Value = (Trust, Detail)> {
    let campaign = prop::option::of(select(vec!["", "google", "newsletter"]));
    let referrer = prop::option::of(select(vec!["www.google.com/", "blog.example/post"]));
    let page = (0..4, campaign, referrer).prop_map(|(page, campaign, referrer)| {
        let campaign = campaign.map(|source| Arc::new(Campaign { source: source.into(), ..Campaign::default() }));
        Detail::Page(Page { page: TermId(page), title: None, referrer: referrer.map(Arc::from), campaign })
    });
    let refund = (0..900_i64).prop_map(|thousandths| Amount { thousandths, currency: None });
    let act = prop_oneof![
        4 => money().prop_map(|total| OrderAct::Completed { total }),
        1 => money().prop_map(|total| OrderAct::Updated { total, in_force: total.is_none() }),
        1 => refund.prop_map(|amount| OrderAct::Refunded(Refund { refund_id: None, amount: Some(amount) })),
        1 => Just(OrderAct::Cancelled),
    ];
    let order = prop::option::of((0..4_u8, act))
        .prop_map(|order| order.map(|(number, act)| OrderReport { order_id: format!("A{number}").into(), act }));
    let track = (order, select(vec![json!(1), json!("pro"), json!(null)]), prop::option::of(0..9_usize)).prop_map(
        |(order, plan, view)| {
            let properties = Map::from_iter([("plan".to_owned(), plan)]);
            Detail::Track(Track { name: "anything".into(), view_id: view.map(id), properties, order })
        },
    );
    let said = select(vec![json!(null), json!("x"), json!(1)])
        .prop_map(|value| Detail::Identify { traits: Map::from_iter([("plan".to_owned(), value)]) });
    let snapshot = (0..9_usize).prop_map(|view| {
        Detail::Snapshot(Snapshot { view_id: id(view), revision: 1, engaged_ms: 5, max_scroll_pct: 5, clicks: 1 })
    });
    let trust = prop_oneof![3 => Just(Trust::Browser), 1 => Just(Trust::Trusted)];
    let group = Just(Detail::Group { group_id: "g".into(), traits: Map::new() });
    (trust, prop_oneof![5 => page, 4 => track, 1 => said, 1 => snapshot, 1 => group, 1 => Just(Detail::Alias)])
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let gap_ms = select(vec![0, 1, 400, 400, 999, 1_000, 60_000, 1_800_000, 1_800_001, 7_200_000, 200_000_000]);
    prop::collection::vec((gap_ms, detail()), 0..25).prop_map(|steps| {
        let mut occurred_at = "2026-03-01T22:00:00Z".parse::<Timestamp>().unwrap();
        let event = |(number, (gap_ms, (trust, detail)))| {
            occurred_at += SignedDuration::from_millis(gap_ms);
            Event {
                identity_id: IdentityId(1),
                event_id: id(number),
                occurred_at,
                trust,
                detail,
                found: Found::default(),
            }
        };
        steps.into_iter().enumerate().map(event).collect()
    })
}

fn page(term: TermId) -> Arc<str> {
    format!("shop.example/{}", term.0).into()
}

fn add(row: &mut PersonRow, vocabulary: &mut Vocabulary, events: &[Event], sessions: &[Session], history: &History) {
    let traits = |name: &str| history.facts().traits.get(name).map(|said| &said.value);
    let mut words = Words { vocabulary, page: &page, currency: Currency::EUR };
    row.add(events, sessions, history.orders(), &traits, &mut words);
}

/// The person's columns from a group of events at a time; `cuts` says after which one a group ends.
fn grown(rules: Rules, events: &[Event], cuts: &[bool], vocabulary: &mut Vocabulary) -> PersonRow {
    let mut row = PersonRow::new(ProfileId(1), false);
    let mut history = History::new(rules);
    let (mut group, mut sessions) = (Vec::new(), Vec::new());
    for (event, cut) in events.iter().zip(cuts) {
        sessions.extend(history.apply(event).unwrap());
        group.push(event.clone());
        if *cut {
            sessions.extend(history.open_session());
            add(&mut row, vocabulary, &group, &sessions, &history);
            group.clear();
            sessions.clear();
        }
    }
    sessions.extend(history.open_session());
    add(&mut row, vocabulary, &group, &sessions, &history);
    row
}

/// What the columns must hold, from the whole history.
fn expected(rules: Rules, events: &[Event], vocabulary: &mut Vocabulary) -> Vec<(u32, What, u32)> {
    let (history, sessions) = replay(rules, events).unwrap();
    let touch_of = |touch: &Touch, referrer: bool| {
        let referrer = touch.referrer_host.clone().filter(|_| referrer).unwrap_or_default();
        [touch.channel.key().to_owned(), touch.source.clone(), touch.medium.clone(), touch.campaign.clone(), referrer]
    };
    let mut all: Vec<(u32, u8, What, u32)> = Vec::new();
    for session in &sessions {
        let texts = touch_of(&session.touch, true);
        let record = vocabulary.touch(&texts.each_ref().map(String::as_str));
        all.push((second(session.started_at), 0, What::VISIT, record));
    }
    for event in events {
        let at = second(event.occurred_at);
        match &event.detail {
            Detail::Page(view) => all.push((at, 1, vocabulary.page(view.page, || page(view.page)), 0)),
            Detail::Track(track) => {
                all.push((at, 1, vocabulary.track(&track.name), vocabulary.record(&track.properties)));
            }
            Detail::Identify { .. } => all.push((at, 1, What::IDENTIFY, 0)),
            Detail::Group { .. } => all.push((at, 1, What::GROUP, 0)),
            Detail::Alias => all.push((at, 1, What::ALIAS, 0)),
            Detail::Snapshot(_) => {}
        }
    }
    let mut orders = Vec::new();
    for order in history.orders().filter(|order| order.counted) {
        let texts = touch_of(&order.touch, false);
        let record = vocabulary.touch(&texts.each_ref().map(String::as_str)[..4]);
        let euros = order.net().filter(|net| net.currency == Currency::EUR).map_or(0, |net| net.minor);
        orders.push((second(order.ordered_at), euros, record));
    }
    orders.sort_unstable();
    all.extend(orders.into_iter().map(|(at, _, record)| (at, 2, What::ORDER, record)));
    all.sort_by_key(|entry| (entry.0, entry.1));
    all.into_iter().map(|(at, _, what, record)| (at, what, record)).collect()
}

fn columns(row: &PersonRow) -> Vec<(u32, What, u32)> {
    let columns = row.at.iter().zip(&row.what).zip(&row.record);
    columns.map(|((at, what), record)| (*at, *what, *record)).collect()
}

fn kept() -> Vocabulary {
    let mut vocabulary = Vocabulary::new();
    assert!(vocabulary.keep_property("plan") && vocabulary.keep_trait("plan"));
    vocabulary
}

proptest! {
    #![proptest_config(crate::cases(200))]

    #[test]
    fn a_person_grows_to_the_same_columns_however_their_events_come(
        events in events(),
        browser_orders_count in any::<bool>(),
        cuts in prop::collection::vec(any::<bool>(), 25),
    ) {
        let rules = Rules { site_currency: Currency::EUR, browser_orders_count, bot_limit: None };
        let mut vocabulary = kept();
        let whole = grown(rules, &events, &[false; 25], &mut vocabulary);
        prop_assert_eq!(columns(&whole), expected(rules, &events, &mut vocabulary));
        prop_assert_eq!(&grown(rules, &events, &[true; 25], &mut vocabulary), &whole);
        prop_assert_eq!(&grown(rules, &events, &cuts, &mut vocabulary), &whole);
    }
}

fn lands(number: usize, ms: i64, campaign: &str) -> Event {
    let campaign = Some(Arc::new(Campaign { source: campaign.into(), ..Campaign::default() }));
    Event {
        identity_id: IdentityId(1),
        event_id: id(number),
        occurred_at: "2026-03-01T22:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_millis(ms),
        trust: Trust::Browser,
        detail: Detail::Page(Page { page: TermId(1), title: None, referrer: None, campaign }),
        found: Found::default(),
    }
}

#[test]
fn three_landings_in_one_second_are_three_visits_however_they_come() {
    let events = [lands(0, 0, "google"), lands(1, 100, "newsletter"), lands(2, 200, "google")];
    let rules = Rules { site_currency: Currency::EUR, browser_orders_count: true, bot_limit: Some(50) };
    for cuts in [[true, true, true], [false, true, true], [true, false, true], [false, false, false]] {
        let row = grown(rules, &events, &cuts, &mut kept());
        let visits = row.what.iter().filter(|what| **what == What::VISIT).count();
        assert_eq!(visits, 3, "groups ended {cuts:?}");
    }
}
