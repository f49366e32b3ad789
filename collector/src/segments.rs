//! Who is in which segment on which day: one value for the page, its CSV and the API.

use crate::store::sites::Site;
use crate::store::{Store, StoreError};
use domain::event::ProfileId;
use domain::money::Money;
use domain::report::{Members, Paging, SegmentRow};
use domain::segment::{SegmentBook, SegmentKey, definition};
use jiff::civil::Date;
use std::sync::Arc;

/// The book of a day of the site; at most a few seconds old.
///
/// # Errors
/// [`StoreError`]
pub(crate) fn book(store: &Store, site: &Site, as_of: Date) -> Result<Arc<SegmentBook>, StoreError> {
    store.segment_book(site, as_of)
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
