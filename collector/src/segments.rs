//! Who is in which segment on which day: one value for the page, its CSV and the API.

use crate::analysis::View;
use crate::store::models;
use crate::store::segments::{Segment, SegmentError};
use crate::store::sites::Site;
use crate::store::{Store, StoreError};
use domain::event::ProfileId;
use domain::money::Money;
use domain::report::{Members, Paging, SegmentRow};
use domain::segment::rule::{self, Plan, Rule, RuleError, Slots};
use domain::segment::{SegmentBook, SegmentKey, definition};
use jiff::Timestamp;
use jiff::civil::Date;
use std::sync::Arc;

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
    let second = rule::second(as_of);
    let values = if as_of == now {
        models::read_values(&mut *store.lend()?, site)?
    } else {
        let mut values = view.population(second);
        let day = as_of.to_zoned_datetime(site.time_zone.clone()).date();
        if let Some(rhythm) = models::read_settings(&mut *store.lend()?, site, day)?.rhythm {
            (values.limits, values.usual_gap_days) = (rhythm.limits, rhythm.usual_gap_days);
        }
        values
    };
    let rules = order.iter().map(|place| &asked[*place].1).chain([rule]);
    rules.map(|rule| Ok(view.plan(rule, &slots, &values)?)).collect()
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
