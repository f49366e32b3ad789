//! What is special about a segment's people, what changed, what to do next, and how it would have been on past days: one
//! value each for the page and its file, and for the API where that tells it. Who is a member is read from the database,
//! what they did from memory.

use crate::analysis::{Analysis, Group, Keeping, NO_ROOM, PRODUCT_PROPERTIES, View};
use crate::segments::{book, plans, report_site, today};
use crate::store::customers::end_of;
use crate::store::reports::{InCommon, Moved, sentence};
use crate::store::segments::{Segment, SegmentError};
use crate::store::sites::Site;
use crate::store::{Store, StoreError};
use domain::event::ProfileId;
use domain::report::{
    Afterwards, Compared, InMemory, MonthOfRevenue, NoPast, PastDay, PastPeople, Progress, SegmentInsight, SegmentPast,
    Suggested, Why,
};
use domain::segment::insight::action::{Action, Engagement, KeyFacts, Value, next_action};
use domain::segment::insight::flow;
use domain::segment::insight::traits::compare;
use domain::segment::rule::{Happened, Matcher, Needs, Rule, What, second};
use domain::segment::{Cause, SegmentBook};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use std::collections::{BTreeMap, HashMap};

/// Days that changes are told of.
const DAYS: i64 = 30;
/// Causes that are named.
const CAUSES: usize = 6;
/// Months whose revenue is told.
const MONTHS: i32 = 12;
/// Who visited within so many days is engaged; see [`Engagement`].
const ENGAGED_DAYS: u32 = 30;

/// Looks at a segment.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn insight(
    store: &Store,
    analysis: Option<&Analysis>,
    site: &Site,
    segment: &Segment,
    now: Timestamp,
) -> Result<SegmentInsight, StoreError> {
    let today = today(site);
    let made = segment.created_at.to_zoned_datetime(site.time_zone.clone()).date();
    let month_ago = today.saturating_sub(DAYS.days());
    // Of a segment that is younger, all is told.
    let is_new = made > month_ago;
    let since = if is_new { made } else { month_ago };
    let from = if is_new { segment.created_at } else { end_of(site, since) };
    let view = analysis.and_then(|analysis| analysis.view(site));
    let moves = store.moves(site, segment, from)?;
    // What the rule asks for and the view cannot tell apart is no worse than not known.
    let asked = view.iter().flat_map(|view| {
        let events = segment.rule().map(Rule::events).unwrap_or_default();
        events.into_iter().filter_map(|event| view.matcher(event).ok()).collect::<Vec<_>>()
    });
    let asked: Vec<Matcher> = asked.collect();
    let change = change(&moves.members, &moves.moved, view.as_ref(), &asked)?;
    let compared = match (&view, analysis) {
        (Some(view), Some(analysis)) => {
            let asked = store.in_common(site, segment, moves.population)?;
            Ok(compared(store, analysis, view, site, &moves.members, asked, (now, today))?)
        }
        (None, Some(analysis)) => {
            let progress = analysis.coverage(site.site_id).loading.unwrap_or_default();
            Err(Some(Progress { asked: progress.read, people: progress.of }))
        }
        (_, None) => Err(None),
    };
    Ok(SegmentInsight {
        site: report_site(site),
        now,
        key: segment.key.clone(),
        name: segment.name.clone(),
        population: moves.population,
        since,
        is_new,
        change,
        from: moves.from,
        into: moves.into,
        compared,
    })
}

/// A segment as it would have been at the end of past days.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn past(
    store: &Store,
    analysis: Option<&Analysis>,
    site: &Site,
    segment: &Segment,
    days: &[Date],
    now: Timestamp,
) -> Result<SegmentPast, StoreError> {
    let mut past = SegmentPast {
        site: report_site(site),
        now,
        key: segment.key.clone(),
        name: segment.name.clone(),
        asks_models: segment.rule().is_some_and(Rule::asks_models),
        detail_from: None,
        is_crowded: false,
        days: Err(NoPast::List),
    };
    let Some(rule) = segment.rule() else { return Ok(past) };
    let Some(analysis) = analysis else {
        past.days = Err(NoPast::Away);
        return Ok(past);
    };
    let view = match analysis.keep(site.site_id, &store.needs(site, rule)?) {
        Keeping::Kept => analysis.view(site),
        Keeping::Later => None,
        Keeping::Never => {
            past.days = Err(NoPast::Refused(sentence(NO_ROOM)));
            return Ok(past);
        }
    };
    let Some(view) = view else {
        let progress = analysis.coverage(site.site_id).loading.unwrap_or_default();
        past.days = Err(NoPast::Reading(Progress { asked: progress.read, people: progress.of }));
        return Ok(past);
    };
    past.detail_from = view.coverage().from.map(|from| day_of(site, from));
    past.is_crowded = view.coverage().crowded;
    let mut told = Vec::with_capacity(days.len());
    for day in days {
        let as_of = end_of(site, *day) - jiff::SignedDuration::from_secs(1);
        // Each day has limits and scales of its own.
        let plans = match plans(store, site, &view, rule, as_of, now) {
            Ok(plans) => plans,
            Err(SegmentError::Store(error)) => return Err(error),
            Err(
                error @ (SegmentError::Rule(_)
                | SegmentError::Unknown(_)
                | SegmentError::KeyTaken(_)
                | SegmentError::Key(_)
                | SegmentError::Name
                | SegmentError::NoList(_)
                | SegmentError::InUse { .. }
                | SegmentError::NobodyKnown(_)
                | SegmentError::TooMany),
            ) => {
                past.days = Err(NoPast::Refused(sentence(&error.to_string())));
                return Ok(past);
            }
        };
        let tested = view.backtest(&plans, &[second(as_of)]);
        told.extend(tested.iter().map(|tested| PastDay {
            day: *day,
            members: past_people(site, &tested.members, as_of, now),
            everybody: past_people(site, &tested.everybody, as_of, now),
        }));
    }
    past.days = Ok(told);
    Ok(past)
}

fn past_people(site: &Site, group: &Group, as_of: Timestamp, now: Timestamp) -> PastPeople {
    let site = report_site(site);
    let after = |days: i64, ordered: u64, minor: i64| {
        let is_over = now.duration_since(as_of) >= jiff::SignedDuration::from_hours(24 * days);
        is_over.then(|| Afterwards { ordered, revenue: site.money(minor) })
    };
    PastPeople {
        people: group.people,
        revenue: site.money(group.revenue_minor),
        in_30_days: after(30, group.ordered_30, group.revenue_30_minor),
        in_90_days: after(90, group.ordered_90, group.revenue_90_minor),
    }
}

fn day_of(site: &Site, second: u32) -> Date {
    report_site(site).day(crate::store::instant(i64::from(second) * 1_000_000))
}

/// Takes the change in size apart.
fn change(
    members: &[ProfileId],
    moved: &[Moved],
    view: Option<&View>,
    asked: &[Matcher],
) -> Result<flow::Change<Why>, StoreError> {
    let moved: BTreeMap<ProfileId, &Moved> = moved.iter().map(|moved| (moved.profile_id, moved)).collect();
    let stayed = members.iter().filter(|member| moved.get(member).is_none_or(|moved| !moved.entered));
    let left = moved.values().filter(|moved| !moved.entered).map(|moved| &moved.profile_id);
    let mut before: Vec<ProfileId> = stayed.chain(left).copied().collect();
    before.sort_unstable();
    // Whoever left is no member; should the log ever say otherwise, the page must not fail over it.
    before.dedup();
    let why = |profile_id: ProfileId, _| {
        let moved = moved.get(&profile_id);
        let cause = moved.and_then(|moved| moved.cause);
        let at = moved.and_then(|moved| moved.evidence_at).filter(|_| cause == Some(Cause::Event));
        let happened = view.zip(at).and_then(|(view, at)| view.did_at(profile_id, second(at), asked));
        Why { cause, did: happened.map(did) }
    };
    flow::change(&before, members, CAUSES, why).map_err(|error| StoreError::Refused(error.to_string()))
}

/// What happened, after “they”.
fn did(happened: Happened) -> String {
    match happened {
        Happened::Visit => "came by".to_owned(),
        Happened::Order => "ordered".to_owned(),
        Happened::Identify => "said who they are".to_owned(),
        Happened::Group => "joined a group".to_owned(),
        Happened::Alias => "came under another id".to_owned(),
        Happened::Page(page) => format!("viewed {page}"),
        Happened::Track(name) => format!("did “{name}”"),
    }
}

fn compared(
    store: &Store,
    analysis: &Analysis,
    view: &View,
    site: &Site,
    members: &[ProfileId],
    asked: InCommon,
    (now, today): (Timestamp, Date),
) -> Result<Compared, StoreError> {
    let common = view.common(members);
    let lacks_traits = asked.traits.is_none();
    // From the next reading on; this view goes on without them, also when that has just ended.
    let properties = || PRODUCT_PROPERTIES.map(str::to_owned).to_vec();
    let products_follow = common.lacks_products
        && analysis.keep(site.site_id, &Needs { properties: properties(), ..Needs::default() }) != Keeping::Never;
    let counts = asked.segments.into_iter().chain(asked.traits.into_iter().flatten()).chain(common.counts);
    let book = book(store, site, today)?;
    let (actions, unknown) = suggested(view, &book, members, second(now));
    let coverage = view.coverage();
    let memory = match coverage.from {
        Some(from) => InMemory::Since(day_of(site, from)),
        None if coverage.crowded => InMemory::Crowded,
        None => InMemory::Whole,
    };
    Ok(Compared {
        traits: compare(counts.collect()),
        lacks_traits,
        months: months(view, site, members, today),
        actions,
        unknown,
        memory,
        products_follow,
    })
}

fn months(view: &View, site: &Site, members: &[ProfileId], today: Date) -> Vec<MonthOfRevenue> {
    let first = today.first_of_month();
    let begins: Vec<Date> = (0..=MONTHS).map(|month| first.saturating_sub((MONTHS - 1 - month).months())).collect();
    let starts: Vec<u32> = begins.iter().map(|day| second(end_of(site, day.saturating_sub(1.day())))).collect();
    let money = |minor| report_site(site).money(minor);
    let ordered = view.ordered(members, &starts);
    begins
        .into_iter()
        .zip(ordered)
        .map(|(month, ordered)| MonthOfRevenue {
            month,
            orders: ordered.orders,
            revenue: money(ordered.minor),
            everybody: money(ordered.everybody_minor),
        })
        .collect()
}

/// The members' next best actions, and of how many nothing is known that suggests one.
fn suggested(view: &View, book: &SegmentBook, members: &[ProfileId], now: u32) -> (Vec<Suggested>, u64) {
    let mut people: HashMap<Action, u64> = HashMap::new();
    let mut unknown = 0;
    for member in members {
        let Some(assigned) = book.person(*member) else {
            unknown += 1;
            continue;
        };
        let seen = view.person(*member, |person| {
            let last = person.what.iter().rposition(|what| *what == What::VISIT).map(|place| person.at[place]);
            (last, person.scores.probability_alive)
        });
        let (last, p_alive) = seen.unwrap_or((None, f32::NAN));
        let facts = KeyFacts {
            standing: assigned.lifecycle,
            value: match assigned.rfm.map(|scores| scores.monetary) {
                Some(5) => Value::High,
                Some(1) => Value::Low,
                Some(_) | None => Value::Middle,
            },
            engagement: match last {
                Some(last) if now.saturating_sub(last) <= ENGAGED_DAYS * 86_400 => Engagement::Engaged,
                Some(_) | None => Engagement::Quiet,
            },
            p_alive: Some(f64::from(p_alive)),
        };
        *people.entry(next_action(&facts).action).or_default() += 1;
    }
    let mut actions: Vec<Suggested> = people.into_iter().map(|(action, people)| Suggested { action, people }).collect();
    actions.sort_unstable_by_key(|suggested| (std::cmp::Reverse(suggested.people), suggested.action));
    (actions, unknown)
}
