use super::*;
use crate::attribution::{Channel, Touch};
use crate::event::{Amount, Campaign, IdentityId, OrderAct, OrderReport, Refund, TermId};
use crate::money::Money;
use crate::surroundings::{EmailClass, Found, Surroundings};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const RULES: Rules = Rules { site_currency: Currency::EUR, browser_orders_count: true, bot_limit: Some(50) };
const TRUSTED_COUNT_ALONE: Rules =
    Rules { site_currency: Currency::EUR, browser_orders_count: false, bot_limit: Some(50) };

/// A person's day, told in minutes.
struct Story {
    rules: Rules,
    events: Vec<Event>,
}

impl Story {
    fn new() -> Story {
        Story { rules: RULES, events: Vec::new() }
    }

    fn under(rules: Rules) -> Story {
        Story { rules, ..Story::new() }
    }

    fn event(mut self, minute: i64, trust: Trust, detail: Detail) -> Story {
        let event_id = id(self.events.len());
        self.events.push(Event {
            identity_id: IdentityId(1),
            event_id,
            occurred_at: minutes(minute),
            trust,
            detail,
            found: Found::default(),
        });
        self
    }

    fn views(self, minute: i64, page: i32) -> Story {
        self.event(minute, Trust::Browser, view(page, None, None))
    }

    fn lands(self, minute: i64, page: i32, campaign: &str) -> Story {
        self.event(minute, Trust::Browser, view(page, Some(campaign), None))
    }

    fn tracks(self, minute: i64, trust: Trust) -> Story {
        self.event(minute, trust, track(None))
    }

    fn orders(self, minute: i64, trust: Trust, order_id: &str, euros: i64) -> Story {
        self.event(minute, trust, track(Some((order_id, euros))))
    }

    fn says_of(self, minute: i64, trust: Trust, order_id: &str, act: OrderAct) -> Story {
        self.event(minute, trust, reports(order_id, act))
    }

    fn snapshot(self, minute: i64, view: usize, revision: u32, engaged_ms: u32) -> Story {
        let snapshot =
            Snapshot { view_id: id(view), revision, engaged_ms, max_scroll_pct: 50, clicks: engaged_ms / 1_000 };
        self.event(minute, Trust::Browser, Detail::Snapshot(snapshot))
    }

    fn says(self, minute: i64, trust: Trust, traits: Value) -> Story {
        let Value::Object(traits) = traits else { panic!("traits are an object") };
        self.event(minute, trust, Detail::Identify { traits })
    }

    fn told(&self) -> (History, Vec<Session>) {
        replay(self.rules, &self.events).unwrap()
    }

    fn sessions(&self) -> Vec<Session> {
        self.told().1
    }

    fn order(&self, order_id: &str) -> Order {
        self.told().0.orders().find(|order| &*order.order_id == order_id).cloned().unwrap()
    }
}

fn id(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

fn minutes(minute: i64) -> Timestamp {
    "2026-03-01T22:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

fn view(page: i32, campaign: Option<&str>, referrer: Option<&str>) -> Detail {
    let campaign = campaign.map(|source| Arc::new(Campaign { source: source.into(), ..Campaign::default() }));
    Detail::Page(Page { page: TermId(page), title: None, referrer: referrer.map(Arc::from), campaign })
}

fn track(order: Option<(&str, i64)>) -> Detail {
    match order {
        Some((order_id, euros)) => reports(order_id, OrderAct::Completed { total: euros_of(euros) }),
        None => Detail::Track(Track { name: "anything".into(), view_id: None, properties: Map::new(), order: None }),
    }
}

fn reports(order_id: &str, act: OrderAct) -> Detail {
    let order = Some(OrderReport { order_id: order_id.into(), act });
    Detail::Track(Track { name: "anything".into(), view_id: None, properties: Map::new(), order })
}

fn euros_of(euros: i64) -> Option<Money> {
    Some(Money { minor: euros * 100, currency: Currency::EUR })
}

/// A refund of so many euros, or of everything.
fn refund(refund_id: Option<&str>, euros: Option<i64>) -> OrderAct {
    let amount = euros.map(|euros| Amount { thousandths: euros * 1_000, currency: None });
    OrderAct::Refunded(Refund { refund_id: refund_id.map(Into::into), amount })
}

fn pages(session: &Session) -> Vec<i32> {
    session.pages.iter().map(|page| page.0).collect()
}

#[test]
fn half_an_hour_without_activity_ends_a_session_and_midnight_does_not() {
    // 22:00 to 00:30 in half-hour steps, then a minute too late.
    let story =
        Story::new().views(0, 1).views(30, 2).views(60, 3).views(90, 4).views(120, 5).views(150, 6).views(181, 7);
    let sessions = story.sessions();
    assert_eq!(sessions.iter().map(pages).collect::<Vec<_>>(), [vec![1, 2, 3, 4, 5, 6], vec![7]]);
    assert_eq!((sessions[0].started_at, sessions[0].ended_at), (minutes(0), minutes(150)));
    assert_eq!((sessions[0].entry, sessions[0].exit), (Some(TermId(1)), Some(TermId(6))));
    assert_eq!((sessions[0].session_id, sessions[1].session_id), (id(0), id(6)));
}

#[test]
fn another_campaign_starts_a_session_and_the_same_one_does_not() {
    let story = Story::new().lands(0, 1, "newsletter").views(1, 2).lands(2, 3, "newsletter").lands(3, 4, "google");
    let sessions = story.sessions();
    assert_eq!(sessions.iter().map(pages).collect::<Vec<_>>(), [vec![1, 2, 3], vec![4]]);
    assert_eq!(sessions[0].touch.channel, Channel::Email);
    assert_eq!(sessions[1].touch.channel, Channel::OrganicSearch);
    // A direct visit is left for a campaign as well, but an empty campaign is none.
    let sessions = Story::new().views(0, 1).lands(1, 2, "").lands(2, 3, "google").sessions();
    assert_eq!(sessions.iter().map(pages).collect::<Vec<_>>(), [vec![1, 2], vec![3]]);
}

#[test]
fn a_session_that_begins_with_an_event_takes_its_touch_from_its_first_page() {
    let story = Story::new().tracks(0, Trust::Browser).lands(1, 1, "newsletter");
    let (history, sessions) = story.told();
    assert_eq!(sessions.len(), 1);
    assert_eq!((sessions[0].session_id, sessions[0].events, sessions[0].views), (id(0), 2, 1));
    assert_eq!(sessions[0].touch.channel, Channel::Email);
    assert_eq!(history.facts().first_touch.as_ref().unwrap().touch, sessions[0].touch);
}

#[test]
fn what_servers_and_imports_report_neither_starts_nor_extends_a_session() {
    assert_eq!(Story::new().tracks(0, Trust::Trusted).sessions(), []);
    let story = Story::new().views(0, 1).tracks(20, Trust::Trusted).says(25, Trust::Browser, json!({})).views(40, 2);
    assert_eq!(story.sessions().len(), 2);
    let story = Story::new().views(0, 1).tracks(20, Trust::Browser).views(40, 2);
    assert_eq!(story.sessions().len(), 1);
    assert_eq!(story.sessions()[0].events, 3);
    // A server's event that names its page view happened in the browser.
    let seen = |minute| {
        let track = Track { name: "x".into(), view_id: Some(id(0)), properties: Map::new(), order: None };
        Story::new().views(0, 1).event(minute, Trust::Trusted, Detail::Track(track)).views(45, 2).sessions().len()
    };
    assert_eq!((seen(20), seen(10)), (1, 2));
}

#[test]
fn the_highest_revision_of_a_views_snapshots_counts() {
    let story = Story::new().views(0, 1).views(1, 2).snapshot(2, 0, 1, 5_000).snapshot(3, 1, 3, 7_000);
    let story = story.snapshot(4, 1, 2, 90_000).snapshot(5, 0, 2, 6_000).snapshot(6, 77, 9, 1_000);
    // Not even the same revision again changes anything.
    let story = story.snapshot(7, 0, 2, 80_000);
    let (history, sessions) = story.told();
    assert_eq!((sessions[0].engaged_ms, sessions[0].clicks), (13_000, 13));
    assert_eq!(history.facts().engaged_ms, 13_000);
    assert_eq!((history.facts().events, history.facts().views), (2, 2));
}

#[test]
fn a_sessions_depth_is_the_deepest_of_its_pages() {
    let scrolled = |view, max_scroll_pct| {
        Detail::Snapshot(Snapshot { view_id: id(view), revision: 1, engaged_ms: 0, max_scroll_pct, clicks: 0 })
    };
    let story = Story::new().views(0, 1).views(1, 2);
    let story = story.event(2, Trust::Browser, scrolled(0, 90)).event(3, Trust::Browser, scrolled(1, 20));
    assert_eq!(story.sessions()[0].max_scroll_pct, 90);
}

#[test]
fn a_snapshot_extends_the_session_of_its_view_and_starts_none() {
    assert_eq!(Story::new().snapshot(0, 5, 1, 100).sessions(), []);
    let extended = Story::new().views(0, 1).snapshot(25, 0, 1, 1_000).views(50, 2).sessions();
    assert_eq!((extended.len(), extended[0].ended_at), (1, minutes(50)));
    // One that comes too late tells what was done, but the visit was over.
    let late = Story::new().views(0, 1).snapshot(60, 0, 1, 1_000).views(61, 2).sessions();
    assert_eq!((late.len(), late[0].ended_at, late[0].engaged_ms), (2, minutes(0), 1_000));
    // A view of a finished session is final.
    let over = Story::new().views(0, 1).lands(1, 2, "google").snapshot(2, 0, 1, 1_000).sessions();
    assert_eq!((over[0].engaged_ms, over[1].engaged_ms, over[1].ended_at), (0, 0, minutes(1)));
}

#[test]
fn an_order_counts_once_and_for_the_session_it_was_made_in() {
    let story = Story::new().lands(0, 1, "newsletter").orders(5, Trust::Browser, "A1", 30);
    let story = story.orders(6, Trust::Browser, "A1", 30).orders(7, Trust::Trusted, "A1", 35).views(8, 2);
    let (history, sessions) = story.told();
    assert_eq!((sessions[0].orders, sessions[0].revenue_minor), (1, 3_500));
    let facts = history.facts();
    assert_eq!((facts.orders, facts.revenue_minor, facts.unconfirmed_orders), (1, 3_500, 0));
    assert_eq!((facts.first_order_at, facts.last_order_at), (Some(minutes(7)), Some(minutes(7))));
    let order = story.order("A1");
    assert!(order.confirmed() && order.counted);
    assert_eq!((order.ordered_at, order.event_id), (minutes(7), id(3)));
    assert_eq!((order.session_id, order.touch.channel), (Some(id(0)), Channel::Email));
}

#[test]
fn a_trusted_order_within_the_idle_limit_belongs_to_the_open_session() {
    let within = Story::new().views(0, 1).orders(30, Trust::Trusted, "A1", 30);
    assert_eq!(within.sessions()[0].revenue_minor, 3_000);
    assert_eq!(within.sessions()[0].ended_at, minutes(0));
    assert_eq!(within.order("A1").session_id, Some(id(0)));
    let after = Story::new().views(0, 1).orders(31, Trust::Trusted, "A1", 30);
    assert_eq!(after.sessions()[0].revenue_minor, 0);
    assert_eq!(after.order("A1").session_id, None);
    assert_eq!(after.told().0.facts().revenue_minor, 3_000);
}

#[test]
fn where_a_trusted_source_reports_orders_a_browsers_word_alone_does_not_count() {
    let story = Story::under(TRUSTED_COUNT_ALONE).views(0, 1).orders(1, Trust::Browser, "A1", 30);
    let (history, sessions) = story.told();
    assert_eq!((sessions[0].orders, sessions[0].revenue_minor), (0, 0));
    assert_eq!((history.facts().orders, history.facts().unconfirmed_orders), (0, 1));
    assert_eq!(history.facts().first_order_at, None);
    let story = story.orders(2, Trust::Trusted, "A1", 31);
    let (history, sessions) = story.told();
    assert_eq!((sessions[0].orders, sessions[0].revenue_minor), (1, 3_100));
    assert_eq!((history.facts().orders, history.facts().unconfirmed_orders), (1, 0));
    // And what a browser says afterwards changes nothing any more.
    assert_eq!(story.orders(3, Trust::Browser, "A1", 1).order("A1").total.unwrap().minor, 3_100);
}

#[test]
fn a_correction_after_the_session_changes_the_order_and_the_facts_but_not_the_finished_session() {
    let story = Story::new().views(0, 1).orders(1, Trust::Browser, "A1", 30).views(60, 2);
    let story = story.orders(61, Trust::Trusted, "A1", 25).orders(62, Trust::Trusted, "A1", 20);
    let (history, sessions) = story.told();
    assert_eq!((sessions[0].orders, sessions[0].revenue_minor), (1, 3_000));
    assert_eq!((sessions[1].orders, sessions[1].revenue_minor), (0, 0));
    assert_eq!(history.facts().revenue_minor, 2_000);
    let order = story.order("A1");
    assert_eq!((order.session_id, order.ordered_at), (Some(id(0)), minutes(61)));
}

#[test]
fn a_trusted_report_that_names_no_total_keeps_the_one_known() {
    let shipped = OrderAct::Completed { total: None };
    let story = Story::new().orders(0, Trust::Trusted, "A1", 30).says_of(9, Trust::Trusted, "A1", shipped);
    assert_eq!(story.order("A1").total.unwrap().minor, 3_000);
    assert_eq!((story.order("A1").ordered_at, story.told().0.facts().revenue_minor), (minutes(0), 3_000));
}

#[test]
fn a_correction_reaches_the_latest_session_however_late_it_comes() {
    let story = Story::new().views(0, 1).orders(1, Trust::Browser, "A1", 30).orders(300, Trust::Trusted, "A1", 25);
    let sessions = story.sessions();
    assert_eq!((sessions[0].orders, sessions[0].revenue_minor, sessions[0].ended_at), (1, 2_500, minutes(1)));
    // A new order that late is none of it.
    assert_eq!(story.orders(301, Trust::Trusted, "A2", 5).sessions()[0].orders, 1);
}

#[test]
fn an_imported_order_that_knows_the_day_alone_finds_its_session_through_the_browsers_report() {
    // The import says midnight, twelve hours before the visit.
    let story = Story::new().orders(-720, Trust::Trusted, "A1", 30).lands(0, 1, "newsletter");
    let story = story.orders(5, Trust::Browser, "A1", 99);
    let order = story.order("A1");
    assert_eq!((order.session_id, order.touch.channel), (Some(id(1)), Channel::Email));
    assert_eq!((order.total.unwrap().minor, order.ordered_at), (3_000, minutes(-720)));
    assert_eq!(story.sessions()[0].revenue_minor, 3_000);
    assert_eq!(story.told().0.facts().orders, 1);
    // A thank-you page that is opened again weeks later is no order of that visit.
    let story = Story::new().orders(-60_000, Trust::Trusted, "A1", 30).views(0, 1).orders(5, Trust::Browser, "A1", 30);
    assert_eq!((story.order("A1").session_id, story.sessions()[0].orders), (None, 0));
}

#[test]
fn an_order_is_owed_to_the_last_touch_that_was_not_direct_within_ninety_days() {
    let day = 24 * 60;
    let after = |days: i64| {
        let story = Story::new().lands(0, 1, "newsletter").views(10 * day, 2);
        story.views(days * day, 3).orders(days * day, Trust::Browser, "A1", 1).order("A1").touch.channel
    };
    assert_eq!((after(20), after(90), after(91)), (Channel::Email, Channel::Email, Channel::Direct));
    let bought_first = Story::new().orders(0, Trust::Trusted, "A1", 1).lands(1, 1, "newsletter");
    assert_eq!(bought_first.order("A1").touch, Touch::direct());
}

#[test]
fn revenue_in_other_currencies_stands_beside_the_sites() {
    let dollars = OrderAct::Completed { total: Some(Money { minor: 700, currency: Currency::USD }) };
    let story = Story::new().views(0, 1).orders(1, Trust::Browser, "A", 5).says_of(2, Trust::Browser, "B", dollars);
    let (history, sessions) = story.told();
    assert_eq!((history.facts().orders, history.facts().revenue_minor), (2, 500));
    assert_eq!(history.facts().other_revenue_minor, BTreeMap::from([(Currency::USD, 700)]));
    assert_eq!((sessions[0].orders, sessions[0].revenue_minor), (2, 500));
    // Corrected into the site's currency, nothing of the dollars is left.
    let facts = story.orders(3, Trust::Trusted, "B", 6).told().0.facts().clone();
    assert_eq!((facts.revenue_minor, facts.other_revenue_minor), (1_100, BTreeMap::new()));
}

#[test]
fn a_refund_takes_its_part_off_the_revenue_of_the_order_its_session_and_its_person() {
    let story = Story::new().views(0, 1).orders(1, Trust::Trusted, "A1", 30).orders(2, Trust::Trusted, "A2", 10);
    let story = story.says_of(9_000, Trust::Trusted, "A1", refund(Some("r1"), Some(12)));
    let (history, sessions) = story.told();
    let order = story.order("A1");
    assert_eq!((order.total, order.refunded_minor, order.net()), (euros_of(30), 1_200, euros_of(18)));
    assert_eq!((history.facts().orders, history.facts().revenue_minor), (2, 2_800));
    assert_eq!((sessions[0].orders, sessions[0].revenue_minor), (2, 2_800));
    assert_eq!((order.ordered_at, order.counted), (minutes(1), true));
}

#[test]
fn a_refund_counts_once_by_its_id_and_never_takes_more_than_was_paid() {
    let story = Story::new().orders(0, Trust::Trusted, "A1", 30);
    let story = story.says_of(1, Trust::Trusted, "A1", refund(Some("r1"), Some(12)));
    let story = story.says_of(2, Trust::Trusted, "A1", refund(Some("r1"), Some(12)));
    assert_eq!(story.order("A1").refunded_minor, 1_200);
    // Without an id each report is a refund of its own.
    let story = story.says_of(3, Trust::Trusted, "A1", refund(None, Some(5)));
    let story = story.says_of(4, Trust::Trusted, "A1", refund(None, Some(5)));
    assert_eq!(story.order("A1").refunded_minor, 2_200);
    let story = story.says_of(5, Trust::Trusted, "A1", refund(Some("r2"), Some(100)));
    assert_eq!((story.order("A1").refunded_minor, story.told().0.facts().revenue_minor), (3_000, 0));
}

#[test]
fn an_order_that_is_given_back_counts_with_nothing_and_a_cancelled_one_does_not_count() {
    let bought = || Story::new().views(0, 1).orders(1, Trust::Trusted, "A1", 30).orders(9, Trust::Trusted, "A2", 10);
    let given_back = bought().says_of(50, Trust::Trusted, "A2", refund(None, None));
    let facts = given_back.told().0.facts().clone();
    assert_eq!((facts.orders, facts.revenue_minor, facts.last_order_at), (2, 3_000, Some(minutes(9))));
    assert_eq!(given_back.sessions()[0].revenue_minor, 3_000);
    let cancelled = bought().says_of(50, Trust::Trusted, "A2", OrderAct::Cancelled);
    let facts = cancelled.told().0.facts().clone();
    assert_eq!((facts.orders, facts.revenue_minor, facts.last_order_at), (1, 3_000, Some(minutes(1))));
    assert_eq!((cancelled.sessions()[0].orders, cancelled.sessions()[0].revenue_minor), (1, 3_000));
    let order = cancelled.order("A2");
    assert!(order.cancelled && !order.counted && order.confirmed());
    let restored = OrderAct::Updated { total: None, in_force: true };
    let again =
        bought().says_of(50, Trust::Trusted, "A2", OrderAct::Cancelled).says_of(51, Trust::Trusted, "A2", restored);
    assert!(again.order("A2").counted, "the latest word of it counts");
    // What is given back of a cancelled order takes off nothing more.
    let both = cancelled.says_of(51, Trust::Trusted, "A2", refund(None, None));
    assert_eq!((both.told().0.facts().orders, both.told().0.facts().revenue_minor), (1, 3_000));
}

#[test]
fn what_is_said_of_an_order_before_it_is_placed_waits_for_it() {
    let story = Story::new().says_of(0, Trust::Trusted, "A1", refund(Some("r1"), Some(12))).says_of(
        1,
        Trust::Trusted,
        "A1",
        OrderAct::Updated { total: euros_of(28), in_force: false },
    );
    assert_eq!(story.told().0.orders().count(), 0);
    assert_eq!(story.told().0.facts().revenue_minor, 0);
    let story = story.says_of(2, Trust::Trusted, "A1", OrderAct::Completed { total: None });
    assert_eq!((story.order("A1").total, story.order("A1").net()), (euros_of(28), euros_of(16)));
    // What its placing names is newer than what waited.
    let named = Story::new()
        .says_of(1, Trust::Trusted, "A1", OrderAct::Updated { total: euros_of(28), in_force: false })
        .orders(2, Trust::Trusted, "A1", 30);
    assert_eq!(named.order("A1").total, euros_of(30));
    let cancelled =
        Story::new().says_of(0, Trust::Trusted, "A1", OrderAct::Cancelled).orders(1, Trust::Trusted, "A1", 30);
    assert!(!cancelled.order("A1").counted);
}

#[test]
fn an_update_changes_the_amount_and_not_the_time() {
    let story = Story::new().views(0, 1).orders(1, Trust::Browser, "A1", 30);
    let story = story.says_of(5, Trust::Browser, "A1", OrderAct::Updated { total: euros_of(25), in_force: false });
    assert_eq!((story.order("A1").total, story.order("A1").trust), (euros_of(25), Trust::Browser));
    let story = story.says_of(6, Trust::Trusted, "A1", OrderAct::Updated { total: euros_of(20), in_force: false });
    let order = story.order("A1");
    assert_eq!((order.total, order.ordered_at, order.trust), (euros_of(20), minutes(1), Trust::Trusted));
    // The shop knows of the order by now, and says later when it was placed.
    let order = story.orders(7, Trust::Trusted, "A1", 21).order("A1");
    assert_eq!((order.total, order.ordered_at, order.session_id), (euros_of(21), minutes(7), Some(id(0))));
}

#[test]
fn a_browser_changes_no_order_but_a_browsers() {
    let hostile = |story: Story| {
        story
            .says_of(10, Trust::Browser, "A1", refund(None, None))
            .says_of(11, Trust::Browser, "A1", OrderAct::Updated { total: euros_of(1), in_force: false })
            .says_of(12, Trust::Browser, "A1", OrderAct::Cancelled)
    };
    let trusted = hostile(Story::new().orders(0, Trust::Trusted, "A1", 30));
    assert_eq!((trusted.order("A1").net(), trusted.order("A1").counted), (euros_of(30), true));
    let own = hostile(Story::new().orders(0, Trust::Browser, "A1", 30));
    assert_eq!((own.order("A1").counted, own.told().0.facts().orders), (false, 0));
    // What the shop says of it afterwards is all there is to it.
    let confirmed = own.orders(13, Trust::Trusted, "A1", 30);
    assert_eq!((confirmed.order("A1").net(), confirmed.told().0.facts().revenue_minor), (euros_of(30), 3_000));
    // Before it, too.
    let early = hostile(Story::new()).orders(13, Trust::Trusted, "A1", 30);
    assert_eq!((early.order("A1").net(), early.order("A1").counted), (euros_of(30), true));
}

#[test]
fn a_shops_refund_of_a_browsers_order_counts_and_confirms_nothing() {
    let refunded = |rules| {
        let story = Story::under(rules).orders(0, Trust::Browser, "A1", 30);
        story.says_of(1, Trust::Browser, "A1", refund(None, Some(3))).says_of(
            2,
            Trust::Trusted,
            "A1",
            refund(None, Some(10)),
        )
    };
    let counting = refunded(RULES);
    assert_eq!((counting.order("A1").net(), counting.told().0.facts().revenue_minor), (euros_of(20), 2_000));
    assert!(!counting.order("A1").confirmed());
    assert_eq!(refunded(TRUSTED_COUNT_ALONE).told().0.facts().orders, 0);
}

#[test]
fn a_refund_in_another_currency_than_its_order_takes_nothing_off() {
    let dollars = Amount { thousandths: 5_000, currency: Some(Currency::USD) };
    let act = OrderAct::Refunded(Refund { refund_id: None, amount: Some(dollars) });
    let story = Story::new().orders(0, Trust::Trusted, "A1", 30).says_of(1, Trust::Trusted, "A1", act.clone());
    assert_eq!(story.order("A1").net(), euros_of(30));
    let total = Some(Money { minor: 3_000, currency: Currency::USD });
    let story = Story::new().says_of(0, Trust::Trusted, "A1", OrderAct::Completed { total });
    let story = story.says_of(1, Trust::Trusted, "A1", act);
    assert_eq!(story.order("A1").refunded_minor, 500);
    assert_eq!(story.told().0.facts().other_revenue_minor, BTreeMap::from([(Currency::USD, 2_500)]));
}

#[test]
fn an_order_without_an_amount_can_be_given_back_and_cancelled() {
    let story = Story::new().says_of(0, Trust::Trusted, "A1", OrderAct::Completed { total: None });
    let story = story.says_of(1, Trust::Trusted, "A1", refund(None, Some(10)));
    assert_eq!((story.order("A1").refunded_minor, story.order("A1").net()), (0, None));
    // Known at last, the amount loses what was given back before.
    let story = story.says_of(2, Trust::Trusted, "A1", OrderAct::Updated { total: euros_of(30), in_force: false });
    assert_eq!(story.order("A1").net(), euros_of(20));
    assert!(!story.says_of(3, Trust::Trusted, "A1", OrderAct::Cancelled).order("A1").counted);
}

#[test]
fn what_is_kept_of_an_order_is_bounded() {
    let mut story = Story::new().orders(0, Trust::Trusted, "A1", 1_000).orders(0, Trust::Browser, "B1", 1_000);
    for minute in 1..=(MAX_REFUNDS as i64 + 10) {
        story = story.says_of(minute, Trust::Trusted, "A1", refund(None, Some(1)));
        story = story.says_of(minute, Trust::Browser, "B1", refund(None, Some(1)));
    }
    assert_eq!(story.order("A1").refunded_minor, MAX_REFUNDS as i64 * 100);
    assert_eq!(story.order("B1").refunded_minor, MAX_BROWSER_REFUNDS as i64 * 100);
    // What browsers say of orders that nobody has placed is not kept for ever.
    let mut story = Story::new();
    for number in 0..=MAX_WAITING_ORDERS {
        story = story.says_of(0, Trust::Browser, &format!("C{number}"), OrderAct::Cancelled);
    }
    let over = format!("C{MAX_WAITING_ORDERS}");
    let story = story.orders(1, Trust::Browser, "C0", 5).orders(1, Trust::Browser, &over, 5);
    assert_eq!((story.order("C0").counted, story.order(&over).counted), (false, true));
}

#[test]
fn the_first_touch_stays_and_a_direct_visit_does_not_replace_the_last() {
    let story = Story::new().views(0, 1).lands(100, 1, "google").lands(200, 1, "newsletter").views(300, 1);
    let facts = story.told().0.facts().clone();
    assert_eq!(facts.first_touch.unwrap().touch.channel, Channel::Direct);
    let last = facts.last_touch.unwrap();
    assert_eq!((last.touch.channel, last.at), (Channel::Email, minutes(200)));
    let only_direct = Story::new().views(0, 1).views(100, 1).told().0.facts().last_touch.clone().unwrap();
    assert_eq!((only_direct.touch.channel, only_direct.at), (Channel::Direct, minutes(100)));
}

#[test]
fn a_browser_never_changes_what_a_trusted_source_has_said() {
    let story = Story::new()
        .says(0, Trust::Browser, json!({"city": "Bonn", "plan": "free", "age": 3}))
        .says(1, Trust::Trusted, json!({"plan": "pro"}))
        .says(2, Trust::Browser, json!({"plan": "gold", "city": "Ulm", "age": null}))
        .says(3, Trust::Browser, json!({"plan": null}));
    let facts = story.told().0.facts().clone();
    let said: Vec<_> = facts.traits.iter().map(|(name, said)| (name.as_str(), &said.value, said.trust)).collect();
    assert_eq!(said, [("city", &json!("Ulm"), Trust::Browser), ("plan", &json!("pro"), Trust::Trusted)]);
    assert_eq!(facts.traits["city"].at, minutes(2));
    let gone = story.says(4, Trust::Trusted, json!({"plan": null}));
    assert!(!gone.told().0.facts().traits.contains_key("plan"));
}

#[test]
fn traits_and_groups_are_bounded_and_nobody_crowds_out_the_trusted_ones() {
    let many = |prefix: &str| (0..2 * MAX_TRAITS).map(|n| (format!("{prefix}{n}"), json!(n))).collect::<Map<_, _>>();
    let long = json!({"long": "x".repeat(MAX_TRAIT_BYTES), "n".repeat(MAX_TRAIT_NAME_BYTES + 1): 1});
    let story = Story::new().says(0, Trust::Browser, long).says(1, Trust::Browser, Value::Object(many("b")));
    assert_eq!(story.told().0.facts().traits.len(), MAX_TRAITS);
    assert!(story.told().0.facts().traits.keys().all(|name| name.starts_with('b')));
    let story = story.says(2, Trust::Trusted, json!({"plan": "pro"})).says(3, Trust::Browser, json!({"z": 1}));
    let traits = story.told().0.facts().traits.clone();
    assert_eq!((traits.len(), traits.contains_key("plan"), traits.contains_key("z")), (MAX_TRAITS, true, false));
    let full = story.says(4, Trust::Trusted, Value::Object(many("t"))).told().0.facts().traits.clone();
    assert!(full.len() == MAX_TRAITS && full.values().all(|said| said.trust == Trust::Trusted));

    let mut story = Story::new();
    for n in 0..2 * MAX_GROUPS {
        let detail = Detail::Group { group_id: format!("g{n}").into(), traits: Map::new() };
        story = story.event(n as i64, Trust::Browser, detail);
    }
    let club = Detail::Group { group_id: "club".into(), traits: Map::new() };
    let story = story.event(500, Trust::Trusted, club.clone()).event(501, Trust::Browser, club);
    let groups = story.told().0.facts().groups.clone();
    assert_eq!(groups.len(), MAX_GROUPS);
    // The oldest made room.
    assert!(!groups.contains_key("g0") && groups.contains_key("g1"));
    assert_eq!(groups["club"], GroupMember { at: minutes(501), trust: Trust::Trusted });
}

#[test]
fn a_robots_session_and_a_forgers_orders_stay_small() {
    let mut story = Story::under(TRUSTED_COUNT_ALONE);
    for n in 0..2_000 {
        story = story.views(0, n).orders(0, Trust::Browser, &format!("forged {n}"), 1);
    }
    let story = story.orders(1, Trust::Trusted, "real", 1);
    let (history, sessions) = story.told();
    assert_eq!((sessions[0].views, sessions[0].pages.len()), (2_000, MAX_SESSION_PAGES));
    assert_eq!(sessions[0].exit, Some(TermId(1_999)));
    assert_eq!(history.facts().unconfirmed_orders, MAX_UNCONFIRMED_ORDERS);
    assert_eq!((history.facts().orders, history.facts().revenue_minor), (1, 100));
    let bytes = serde_json::to_vec(&history).unwrap().len();
    assert!(bytes < 500_000, "the checkpoint has {bytes} bytes");
}

#[test]
fn an_event_that_is_not_after_the_last_one_is_refused_and_changes_nothing() {
    let story = Story::new().views(0, 1).views(10, 2);
    let (mut history, _) = story.told();
    let before = history.clone();
    for late in [&story.events[0], &story.events[1]] {
        let refused = history.apply(late).unwrap_err();
        assert_eq!((refused.event_id, refused.position), (late.event_id, (minutes(10), id(1))));
        assert_eq!(history, before);
    }
    let message = history.apply(&story.events[0]).unwrap_err().to_string();
    assert!(message.ends_with("replay the person"), "{message}");
}

#[test]
fn a_checkpoint_of_another_format_asks_for_a_replay() {
    let (history, _) = Story::new().views(0, 1).told();
    let mut checkpoint = serde_json::to_value(&history).unwrap();
    checkpoint["format"] = json!(Format::NUMBER + 1);
    let refused = serde_json::from_value::<History>(checkpoint).unwrap_err().to_string();
    assert!(refused.contains("replay"), "{refused}");
}

#[test]
fn the_checkpoint_of_a_small_person_is_small() {
    let story = Story::new().lands(0, 1, "newsletter").views(1, 2).orders(5, Trust::Browser, "A1", 30);
    insta::assert_json_snapshot!(story.told().0);
}

/// Anything that can happen to an order, placed more often than changed.
fn any_act(money: impl Strategy<Value = Option<Money>> + Clone + 'static) -> impl Strategy<Value = OrderAct> {
    let amount =
        prop::option::of((0..5_000_i64, prop::option::of(prop::sample::select(vec![Currency::EUR, Currency::USD]))))
            .prop_map(|amount| amount.map(|(thousandths, currency)| Amount { thousandths, currency }));
    let refund = (prop::option::of("[a-c]"), amount)
        .prop_map(|(id, amount)| OrderAct::Refunded(Refund { refund_id: id.map(Into::into), amount }));
    prop_oneof![
        4 => money.clone().prop_map(|total| OrderAct::Completed { total }),
        1 => money.prop_map(|total| OrderAct::Updated { total, in_force: total.is_none() }),
        2 => refund,
        1 => Just(OrderAct::Cancelled),
    ]
}

/// Any event a person can have, from few ids, so that they meet.
fn any_detail() -> impl Strategy<Value = Detail> {
    let money = prop::option::of((0..500_i64, prop::bool::ANY)).prop_map(|total| {
        total.map(|(minor, euro)| Money { minor, currency: if euro { Currency::EUR } else { Currency::USD } })
    });
    let order = prop::option::of((0..4_u8, any_act(money)));
    let campaign = prop::option::of(prop::sample::select(vec!["", "google", "newsletter"]));
    let referrer = prop::option::of(prop::sample::select(vec!["www.google.com/", "blog.example/post"]));
    let traits =
        prop::collection::btree_map("[a-c]", prop_oneof![Just(json!(null)), Just(json!(1.5)), Just(json!("x"))], 0..3);
    prop_oneof![
        4 => (0..5, campaign, referrer).prop_map(|(page, campaign, referrer)| view(page, campaign, referrer)),
        3 => (0..20_usize, 0..4_u32, 0..9_000_u32, 0..=100_u8, 0..9_u32).prop_map(|(view, revision, engaged_ms, max_scroll_pct, clicks)| {
            Detail::Snapshot(Snapshot { view_id: id(view), revision, engaged_ms, max_scroll_pct, clicks })
        }),
        4 => (order, prop::option::of(0..20_usize)).prop_map(|(order, view)| Detail::Track(Track {
            name: "anything".into(),
            view_id: view.map(id),
            properties: Map::new(),
            order: order.map(|(number, act)| OrderReport { order_id: format!("A{number}").into(), act }),
        })),
        1 => traits.prop_map(|traits| Detail::Identify { traits: traits.into_iter().collect() }),
        1 => "[a-c]".prop_map(|group| Detail::Group { group_id: group.into(), traits: Map::new() }),
        1 => Just(Detail::Alias),
    ]
}

/// Reports of one order: what each trust says it came to is one amount, for of several the latest holds.
fn any_reports() -> impl Strategy<Value = (Rules, Vec<(Uuid, Trust, OrderAct)>)> {
    let trust = prop_oneof![Just(Trust::Browser), Just(Trust::Trusted)];
    let act = prop_oneof![
        2 => prop::bool::ANY.prop_map(|named| OrderAct::Completed { total: euros_of(30).filter(|_| named) }),
        1 => prop::bool::ANY.prop_map(|named| OrderAct::Updated { total: euros_of(30).filter(|_| named), in_force: false }),
        2 => prop::sample::select(vec![("a", 4), ("b", 9), ("c", 40)]).prop_map(|(id, euros)| refund(Some(id), Some(euros))),
        1 => (1..9_i64).prop_map(|euros| refund(None, Some(euros))),
        1 => Just(refund(None, None)),
        1 => Just(OrderAct::Cancelled),
    ];
    // A browser has another amount in mind than the shop, and updates it to a third.
    let told = |(trust, act): (Trust, OrderAct)| match (trust, act) {
        (Trust::Browser, OrderAct::Completed { total }) => {
            (trust, OrderAct::Completed { total: total.and(euros_of(33)) })
        }
        (Trust::Browser, OrderAct::Updated { total, in_force }) => {
            (trust, OrderAct::Updated { total: total.and(euros_of(21)), in_force })
        }
        other => other,
    };
    // Few enough that no limit is reached: beyond it those count that come first.
    let reports = prop::collection::vec((trust, act).prop_map(told), 1..=MAX_BROWSER_REFUNDS + 1);
    let numbered = reports.prop_map(|reports| {
        reports.into_iter().enumerate().map(|(number, (trust, act))| (id(number), trust, act)).collect()
    });
    (prop_oneof![Just(RULES), Just(TRUSTED_COUNT_ALONE)], numbered)
}

fn any_story() -> impl Strategy<Value = (Rules, Vec<Event>)> {
    let gap_s = prop::sample::select(vec![0, 1, 60, 1_799, 1_800, 1_801, 7_200, 200_000, 91 * 86_400]);
    let trust = prop_oneof![3 => Just(Trust::Browser), 1 => Just(Trust::Trusted)];
    let events = prop::collection::vec((gap_s, trust, any_detail()), 0..40).prop_map(|steps| {
        let mut at = minutes(0);
        let event = |(number, (gap_s, trust, detail))| {
            at += SignedDuration::from_secs(gap_s);
            Event {
                identity_id: IdentityId(1),
                event_id: id(number),
                occurred_at: at,
                trust,
                detail,
                found: Found::default(),
            }
        };
        steps.into_iter().enumerate().map(event).collect::<Vec<_>>()
    });
    (prop_oneof![Just(RULES), Just(TRUSTED_COUNT_ALONE)], events)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_history_taken_up_from_checkpoints_equals_one_replay(
        (rules, events) in any_story(),
        cuts in prop::collection::vec(prop::bool::ANY, 40),
    ) {
        let (replayed, sessions) = replay(rules, &events).unwrap();
        let mut history = History::new(rules);
        let mut closed = Vec::new();
        for (event, cut) in events.iter().zip(cuts) {
            closed.extend(history.apply(event).unwrap());
            if cut {
                // As the store has it: text, and an object whose keys another program may have put in order.
                let checkpoint: Value = serde_json::from_str(&serde_json::to_string(&history).unwrap()).unwrap();
                history = serde_json::from_value(checkpoint).unwrap();
            }
        }
        closed.extend(history.open_session());
        prop_assert_eq!(history, replayed);
        prop_assert_eq!(closed, sessions);
    }

    #[test]
    fn the_facts_are_what_sessions_and_orders_add_up_to((rules, events) in any_story()) {
        let (history, sessions) = replay(rules, &events).unwrap();
        let facts = history.facts();
        prop_assert_eq!(facts.sessions, sessions.len() as u64);
        prop_assert_eq!(facts.views, sessions.iter().map(|session| u64::from(session.views)).sum::<u64>());
        prop_assert_eq!(facts.engaged_ms, sessions.iter().map(|session| session.engaged_ms).sum::<u64>());
        prop_assert_eq!(facts.first_seen, events.first().map(|event| event.occurred_at));
        prop_assert_eq!(facts.last_seen, events.last().map(|event| event.occurred_at));
        let views = events.iter().filter(|event| matches!(event.detail, Detail::Page(_))).count() as u64;
        let snapshots = events.iter().filter(|event| matches!(event.detail, Detail::Snapshot(_))).count();
        prop_assert_eq!(facts.views, views);
        prop_assert_eq!(facts.events, (events.len() - snapshots) as u64);

        let counted = || history.orders().filter(|order| order.counted);
        let in_currency = |currency| {
            let nets = counted().filter_map(Order::net).filter(move |net| net.currency == currency);
            nets.map(|net| net.minor).sum::<i64>()
        };
        prop_assert_eq!(facts.orders, counted().count() as u64);
        prop_assert_eq!(facts.revenue_minor, in_currency(Currency::EUR));
        prop_assert_eq!(facts.other_revenue_minor.values().sum::<i64>(), in_currency(Currency::USD));
        prop_assert_eq!(facts.first_order_at, counted().map(|order| order.ordered_at).min());
        prop_assert_eq!(facts.last_order_at, counted().map(|order| order.ordered_at).max());
        let unconfirmed = history.orders().filter(|order| !order.confirmed()).count() as u64;
        prop_assert_eq!(facts.unconfirmed_orders, unconfirmed);
        for order in history.orders() {
            prop_assert_eq!(order.counted, !order.cancelled && (order.confirmed() || rules.browser_orders_count));
            prop_assert!((0..=order.total.map_or(0, |total| total.minor)).contains(&order.refunded_minor));
            let session = order.session_id.map(|id| sessions.iter().find(|session| session.session_id == id));
            prop_assert!(session.is_none_or(|session| session.is_some()));
        }
        // The open session knows its orders as they are now.
        if let Some(open) = history.open_session() {
            let mine = || counted().filter(|order| order.session_id == Some(open.session_id));
            prop_assert_eq!(open.orders as usize, mine().count());
            let euros = mine().filter_map(Order::net).filter(|net| net.currency == Currency::EUR);
            prop_assert_eq!(open.revenue_minor, euros.map(|total| total.minor).sum::<i64>());
        }
    }

    #[test]
    fn the_reports_of_an_order_give_the_same_order_whatever_order_they_come_in(
        (rules, reports) in any_reports(),
        seed in any::<u64>(),
    ) {
        let told = |reports: &[(Uuid, Trust, OrderAct)]| {
            let mut story = Story::under(rules);
            for (minute, (event_id, trust, act)) in reports.iter().enumerate() {
                story = story.says_of(minute as i64, *trust, "A1", act.clone());
                story.events[minute].event_id = *event_id;
            }
            let history = story.told().0;
            let order = history.orders().next().cloned();
            let what = order.map(|order| {
                (order.total, order.refunded_minor, order.cancelled, order.trust, order.counted)
            });
            (what, history.facts().orders, history.facts().revenue_minor, history.facts().unconfirmed_orders)
        };
        let mut other = reports.clone();
        // Fisher and Yates with a small generator, so that any permutation comes up.
        let mut random = seed;
        for place in (1..other.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            other.swap(place, (random >> 33) as usize % (place + 1));
        }
        prop_assert_eq!(told(&reports), told(&other));
    }

    #[test]
    fn sessions_follow_one_another_and_are_never_idle_for_long((rules, events) in any_story()) {
        let (_, sessions) = replay(rules, &events).unwrap();
        for session in &sessions {
            prop_assert!(session.started_at <= session.ended_at);
            let active: Vec<_> = events
                .iter()
                .filter(|event| matches!(event.detail, Detail::Page(_) | Detail::Snapshot(_)) || is_activity(event))
                .map(|event| event.occurred_at)
                .filter(|at| (session.started_at..=session.ended_at).contains(at))
                .collect();
            prop_assert!(active.windows(2).all(|pair| pair[1].duration_since(pair[0]) <= IDLE_LIMIT));
            prop_assert_eq!(session.entry, session.pages.first().copied());
            prop_assert_eq!(session.exit, session.pages.last().copied());
            prop_assert_eq!(session.pages.len(), session.views as usize);
        }
        for pair in sessions.windows(2) {
            prop_assert!(pair[0].ended_at <= pair[1].started_at);
            let idle = pair[1].started_at.duration_since(pair[0].ended_at) > IDLE_LIMIT;
            prop_assert!(idle || pair[1].touch.channel != Channel::Direct, "only a campaign cuts a visit short");
        }
    }
}

fn is_activity(event: &Event) -> bool {
    match &event.detail {
        Detail::Track(track) => event.trust == Trust::Browser || track.view_id.is_some(),
        Detail::Page(_) | Detail::Snapshot(_) | Detail::Identify { .. } | Detail::Group { .. } | Detail::Alias => false,
    }
}

/// An event of which intake found out something.
fn found(mut story: Story, found: Found) -> Story {
    if let Some(event) = story.events.last_mut() {
        event.found = found;
    }
    story
}

fn scored(bot_score: u8) -> Found {
    Found { bot_score, ..Found::default() }
}

fn at(country: &str, software: &str) -> Found {
    let surroundings = Surroundings::read(Some(country), Some(software), None);
    Found { surroundings: Some(surroundings.into()), ..Found::default() }
}

#[test]
fn a_bot_leaves_nothing_behind_but_its_place_until_the_site_wants_to_see_it() {
    let with_bots = |rules| {
        let story = found(Story::under(rules).views(0, 1), scored(49));
        let story = found(story.views(1, 2), scored(50));
        found(story.orders(2, Trust::Browser, "A1", 30), scored(100)).views(3, 3)
    };
    let (history, sessions) = with_bots(RULES).told();
    assert_eq!((history.facts().views, history.facts().events, history.facts().orders), (2, 2, 0));
    assert_eq!((sessions.len(), sessions[0].views), (1, 2));
    assert_eq!(history.position().map(|position| position.0), Some(minutes(3)));
    let (history, sessions) = with_bots(Rules { bot_limit: None, ..RULES }).told();
    assert_eq!((history.facts().views, history.facts().orders, sessions[0].views), (3, 1, 3));
    // Nothing but bots: nobody was there.
    let (history, sessions) = found(Story::new().views(0, 1), scored(100)).told();
    assert_eq!((history.facts().first_seen, sessions.len()), (None, 0));
    assert!(history.position().is_some());
}

#[test]
fn a_session_knows_its_first_surroundings_and_the_person_the_first_and_the_latest() {
    let story = found(Story::new().views(0, 1), at("AT", "mobile|Safari|17|iOS"));
    let story = found(story.views(1, 1), Found::default());
    let story = found(story.views(2, 1), at("DE", "mobile|Safari|17|iOS"));
    let story = found(story.views(600, 1), at("DE", "desktop|Firefox|125|Windows"));
    let (history, sessions) = story.told();
    let first = Surroundings::read(Some("AT"), Some("mobile|Safari|17|iOS"), None);
    let latest = Surroundings::read(Some("DE"), Some("desktop|Firefox|125|Windows"), None);
    assert_eq!(sessions.iter().map(|session| &session.surroundings).collect::<Vec<_>>(), [&first, &latest]);
    assert_eq!((&history.facts().first_surroundings, &history.facts().surroundings), (&first, &latest));
    let texts = history.facts().texts(history.currency());
    assert!(texts.contains(&("fact:country", json!("DE"))) && texts.contains(&("fact:browser", json!("Firefox"))));
}

#[test]
fn a_browser_never_changes_the_kind_of_mail_address_that_a_trusted_source_told() {
    let says = |story: Story, minute, trust, class| {
        let said = Found { email_class: Some(class), ..Found::default() };
        found(story.says(minute, trust, json!({ "plan": "x" })), said)
    };
    let story = says(Story::new(), 0, Trust::Browser, EmailClass::Free);
    let story = says(story, 1, Trust::Trusted, EmailClass::Company);
    let story = says(story, 2, Trust::Browser, EmailClass::Disposable);
    assert_eq!(story.told().0.facts().email_class, Some((EmailClass::Company, Trust::Trusted)));
}

#[test]
fn the_currency_is_that_of_the_latest_order_that_counts() {
    let story = Story::new().orders(0, Trust::Trusted, "A1", 30);
    assert_eq!(story.told().0.currency(), Some(Currency::EUR));
    assert_eq!(Story::new().views(0, 1).told().0.currency(), None);
}
