//! Who is in which segment, and why: one value for the page, its CSV and the API.

use crate::analysis::{self, Among, Analysis, Distribution, Keeping, View, compares};
use crate::store::models;
use crate::store::projection::{self, Explained};
use crate::store::reports::{Whole, kept_by, theme};
use crate::store::segments::{Kind, Segment, SegmentError};
use crate::store::sites::Site;
use crate::store::traits::read_computed;
use crate::store::{Store, StoreError};
use domain::event::ProfileId;
use domain::money::Money;
use domain::report::{
    Belonging, Member, Members, Paging, Preview, PreviewPerson, SegmentReport, SegmentRow, Shape, Unheard,
};
use domain::segment::rule::{self, Plan, Rule, RuleError, Slots, Word};
use domain::segment::{SegmentBook, SegmentKey, definition};
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::HashMap;
use std::sync::Arc;

/// People of a preview who are shown.
const SAMPLE: usize = 10;

/// The book of a day of the site; at most a few seconds old.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn book(store: &Store, site: &Site, as_of: Date) -> Result<Arc<SegmentBook>, StoreError> {
    store.segment_book(site, as_of)
}

/// A rule made ready for the columns as of a moment, behind the rules of the segments that it asks for, directly or
/// through others: what [`crate::analysis::Among`] takes. Today it is asked with the values that the site's live segments
/// are asked with, of a past day with those of that day.
///
/// # Errors
/// [`SegmentError`]: what is wrong with the rule, and a list that it asks for, which has no past.
pub(crate) fn plans(
    store: &Store,
    site: &Site,
    view: &View,
    rule: &Rule,
    as_of: Timestamp,
    now: Timestamp,
) -> Result<Vec<Plan>, SegmentError> {
    rule.check()?;
    let known = store.segments_in_use(site)?;
    rule.knows(|key| known.iter().any(|segment| segment.key == key))?;
    // Those that are asked for, each once.
    let mut asked: Vec<(String, Rule)> = Vec::new();
    let mut open = rule.needs().segments;
    while let Some(key) = open.pop() {
        if asked.iter().any(|(known, _)| *known == key) {
            continue;
        }
        let segment = known.iter().find(|segment| segment.key == key);
        let Some(rule) = segment.and_then(Segment::rule) else {
            let message =
                format!("{key:?} is a list; who was in it on which day is not known, so it cannot be asked here");
            return Err(RuleError { path: "/who".to_owned(), message }.into());
        };
        open.extend(rule.needs().segments);
        asked.push((key, rule.clone()));
    }
    let order =
        Rule::order(&asked).map_err(|cycle| RuleError { path: "/who".to_owned(), message: cycle.to_string() })?;
    let slots = Slots::of(order.iter().map(|place| asked[*place].0.as_str()));
    let rules = || order.iter().map(|place| &asked[*place].1).chain([rule]);
    let values = if as_of == now {
        models::read_values(&mut *store.lend()?, site)?
    } else if rules().any(|rule| compares(&rule.who)) {
        let mut values = view.population(rule::second(as_of));
        values.computed = read_computed(&mut *store.lend()?, site.site_id)?;
        let day = as_of.to_zoned_datetime(site.time_zone.clone()).date();
        if let Some(rhythm) = models::read_settings(&mut *store.lend()?, site, day)?.rhythm {
            (values.limits, values.usual_gap_days) = (rhythm.limits, rhythm.usual_gap_days);
        }
        values
    } else {
        let computed = read_computed(&mut *store.lend()?, site.site_id)?;
        rule::Site { computed, ..rule::Site::new(site.time_zone.clone(), site.currency.digits()) }
    };
    rules().map(|rule| Ok(view.plan(rule, &slots, &values)?)).collect()
}

/// Today in the site's time zone.
pub(crate) fn today(site: &Site) -> Date {
    crate::store::instant(crate::intake::clock::now_us()).to_zoned_datetime(site.time_zone.clone()).date()
}

/// The site as reports carry it.
pub(crate) fn report_site(site: &Site) -> domain::report::Site {
    domain::report::Site {
        id: site.site_id,
        name: site.name.clone(),
        currency: site.currency,
        time_zone: site.time_zone.clone(),
    }
}

/// The people of a segment at the end of a day, most valuable first. `page` is a page's number and length; without it
/// all of them.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn members(
    store: &Store,
    site: &Site,
    key: SegmentKey,
    as_of: Date,
    page: Option<(u32, u32)>,
) -> Result<Members, StoreError> {
    let book = book(store, site, as_of)?;
    let profile_ids: Vec<ProfileId> = book.members(key).collect();
    let mut rows = store.members(site, &book, &profile_ids, key)?;
    let total = rows.len() as u64;
    let revenue = Money {
        minor: rows.iter().fold(0_i64, |sum, row| sum.saturating_add(row.revenue.minor)),
        currency: site.currency,
    };
    let (page, per_page) = page.unwrap_or((1, u32::try_from(total.max(1)).unwrap_or(u32::MAX)));
    let paging = Paging { page, per_page, total };
    rows = rows.into_iter().skip(paging.offset() as usize).take(per_page as usize).collect();
    let is_buyer = |person: &&domain::segment::Assigned| person.rfm.is_some();
    let population = match key {
        SegmentKey::Rfm(_) | SegmentKey::RfmCell(_) => book.people().iter().filter(is_buyer).count(),
        SegmentKey::Lifecycle(_) => book.people().len(),
    };
    let definition = definition(key);
    Ok(Members {
        site: report_site(site),
        today: today(site),
        as_of,
        segment: SegmentRow {
            key: key.to_string(),
            name: definition.name,
            description: definition.description,
            size: total,
            revenue,
        },
        population: population as u64,
        rows,
        paging,
    })
}

/// Why people are in segments that keep themselves. The day's book tells more of its own segments than their rules do.
pub(crate) struct Reasons {
    book: Option<Arc<SegmentBook>>,
    explained: HashMap<(i64, i32), Explained>,
}

/// The key under which the day's book has a segment, as long as that is the ready-made one.
fn book_key(segment: &Segment) -> Option<SegmentKey> {
    segment.key.parse().ok().filter(|_| segment.from_library)
}

impl Reasons {
    /// Asks about some people; `of` is one segment, or none for all.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn read(
        store: &Store,
        site: &Site,
        profile_ids: &[i64],
        of: Option<&Segment>,
    ) -> Result<Reasons, StoreError> {
        let needs_book = of.is_none_or(|segment| book_key(segment).is_some());
        let book = needs_book.then(|| book(store, site, today(site))).transpose()?;
        let is_wanted = |segment_id| of.is_none_or(|segment| segment.segment_id == segment_id);
        let all = projection::explain(store, site, profile_ids, is_wanted)?;
        let explained = all
            .into_iter()
            .flat_map(|(profile_id, explained)| explained.into_iter().map(move |one| (profile_id, one)))
            .map(|(profile_id, one)| ((profile_id, one.segment_id), one))
            .collect();
        Ok(Reasons { book, explained })
    }

    /// Why a person is in a segment, a sentence; empty where the answer has changed this very moment.
    pub(crate) fn because(&self, site: &Site, profile_id: i64, segment: &Segment) -> String {
        let by_book = book_key(segment).zip(self.book.as_ref()).and_then(|(key, book)| {
            let memberships = book.segments_of(ProfileId(profile_id));
            memberships.into_iter().find(|membership| membership.key == key)
        });
        match (by_book, self.explained.get(&(profile_id, segment.segment_id)), &segment.kind) {
            (Some(membership), _, _) => membership.because,
            (None, Some(explained), _) if explained.member => explained.because(site),
            (None, _, Kind::List) => "Somebody put them into this list.".to_owned(),
            (None, _, Kind::Rule(_) | Kind::Unreadable) => String::new(),
        }
    }
}

/// The segments in use that a person is in, the site's own first.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn belongings(store: &Store, site: &Site, profile_id: i64) -> Result<Vec<Belonging>, StoreError> {
    let since = projection::memberships(store, site, profile_id)?;
    if since.is_empty() {
        return Ok(Vec::new());
    }
    let mut segments = store.segments_in_use(site)?;
    segments.sort_by_key(theme);
    let reasons = Reasons::read(store, site, &[profile_id], None)?;
    let belonging = |segment: &Segment| {
        Some(Belonging {
            since: Some(*since.get(&segment.segment_id)?),
            because: reasons.because(site, profile_id, segment).trim_end_matches('.').to_owned(),
            key: segment.key.clone(),
            name: segment.name.clone(),
        })
    };
    Ok(segments.iter().filter_map(belonging).collect())
}

/// People of a segment that keeps itself as rows, each with the reason.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn live_rows(
    store: &Store,
    site: &Site,
    segment: &Segment,
    profile_ids: &[ProfileId],
    now: Timestamp,
) -> Result<Vec<Member>, StoreError> {
    let mut rows = store.member_rows(site, profile_ids, now)?;
    let ids: Vec<i64> = profile_ids.iter().map(|id| id.0).collect();
    let reasons = Reasons::read(store, site, &ids, Some(segment))?;
    for row in &mut rows {
        row.because = reasons.because(site, row.profile_id.0, segment);
    }
    Ok(rows)
}

/// A segment that keeps itself, with one page of its people.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn live(
    store: &Store,
    site: &Site,
    segment: &Segment,
    (page, per_page): (u32, u32),
    now: Timestamp,
) -> Result<SegmentReport, StoreError> {
    let today = today(site);
    let Whole { size, population, orders, spent_minor, sweep, profile_ids, history, moves, shared } =
        store.whole(site, segment, (page, per_page), today)?;
    let rows = live_rows(store, site, segment, &profile_ids, now)?;
    let report_site = report_site(site);
    let row = SegmentRow {
        key: segment.key.clone(),
        name: segment.name.clone(),
        description: segment.description.clone(),
        size,
        revenue: report_site.money(spent_minor),
    };
    let paging = Paging { page, per_page, total: size };
    Ok(SegmentReport {
        now,
        members: Members { today, as_of: today, segment: row, population, rows, paging, site: report_site },
        action: segment.action.clone(),
        kept_by: kept_by(segment)?,
        theme: theme(segment),
        progress: sweep.progress(segment),
        orders,
        history,
        moves,
        shared,
        has_days: book_key(segment).is_some(),
    })
}

/// A rule asked of everybody in memory: how many it holds of now, of how many, some of them and what they are like; `None`
/// where they are not there (yet), or the rule asks for something that is not kept with them.
fn counted(store: &Store, analysis: &Analysis, site: &Site, rule: &Rule) -> Option<analysis::Preview> {
    let needs = store.needs(site, rule).ok()?;
    if analysis.keep(site.site_id, &needs) != Keeping::Kept {
        return None;
    }
    let view = analysis.view(site).filter(|view| view.coverage().complete)?;
    let now = crate::store::instant(crate::intake::clock::now_us());
    // A list, or what went wrong: the people who are asked one by one say so, too.
    let plans = plans(store, site, &view, rule, now, now).ok()?;
    Some(view.preview(Among { plans: &plans, as_of: rule::second(now) }, SAMPLE, 0))
}

fn shape(site: &Site, of: &Distribution) -> Shape {
    let bars = |least: &[u32], people: &[u64]| least.iter().copied().zip(people.iter().copied()).collect();
    Shape {
        orders: bars(&Distribution::ORDERS, &of.orders),
        revenue: bars(&Distribution::REVENUE, &of.revenue),
        currency: site.currency,
        last_seen_days: bars(&Distribution::LAST_SEEN_DAYS, &of.last_seen),
    }
}

/// Whom a rule would take in now. It must be checked, and name no segment that is not there. Of many people a part is
/// asked one by one; all are counted where they are in memory, as they were a moment ago.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn preview(
    store: &Store,
    analysis: Option<&Analysis>,
    site: &Site,
    rule: &Rule,
) -> Result<Preview, StoreError> {
    let mut previewed = projection::preview(store, site, rule, None)?;
    let is_part = previewed.asked < previewed.people;
    let in_memory = analysis.and_then(|analysis| counted(store, analysis, site, rule));
    let shape = in_memory.as_ref().map(|known| shape(site, &known.distribution));
    let counted = in_memory.filter(|_| is_part);
    if let Some(known) = counted.as_ref().filter(|known| known.count > 0 && previewed.found.is_empty()) {
        // None of those who were asked: show some of the others.
        let sample: Vec<i64> = known.sample.iter().map(|profile_id| profile_id.0).collect();
        previewed.found = projection::preview(store, site, rule, Some(&sample))?.found;
    }
    let among = is_part.then_some(previewed.asked);
    let arrived = store.never_arrived(site, rule.words())?;
    let by_name = arrived.into_iter().map(|(word, nearest)| Unheard { word, nearest, among: None });
    let mut unheard: Vec<Unheard> = by_name.collect();
    if !previewed.unheard.is_empty() {
        let known = store.known_words(site)?;
        let properties = || known.events.iter().flat_map(|event| &event.properties).map(String::as_str);
        let traits = || known.traits.iter().map(|known| known.word.as_str());
        unheard.extend(previewed.unheard.into_iter().map(|word| {
            let nearest = match &word {
                Word::Property(name) => domain::segment::rule::nearest(name, properties()),
                Word::Trait(name) => domain::segment::rule::nearest(name, traits()),
                Word::Event(_) | Word::Page(_) => None,
            };
            Unheard { nearest: nearest.map(str::to_owned), word, among }
        }));
    }
    let (found, asked, people) = match counted {
        Some(known) => (known.count, known.of, known.of),
        None => (previewed.found.len() as u64, previewed.asked, previewed.people),
    };
    let shown: Vec<i64> = previewed.found.iter().take(SAMPLE).map(|(profile_id, _)| *profile_id).collect();
    let mut names: HashMap<i64, Option<String>> =
        store.people_rows(site, &shown)?.into_iter().map(|row| (row.profile_id.0, row.name)).collect();
    let person = |(profile_id, explained): &(i64, Explained)| PreviewPerson {
        profile_id: ProfileId(*profile_id),
        name: names.remove(profile_id).flatten(),
        because: explained.because(site),
    };
    let sample = previewed.found.iter().take(SAMPLE).map(person).collect();
    Ok(Preview { people, asked, found, sample, shape, unheard })
}
