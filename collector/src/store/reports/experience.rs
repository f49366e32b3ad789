//! What page views measured: how fast pages are on people's own devices, and what goes wrong on them.

use super::{count, moment};
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{Store, StoreError};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz};
use domain::report::{Experience, PageExperience, Period, ViewSums, Vital, VitalSpread, Windows};
use domain::surroundings::DeviceClass;
use jiff::Timestamp;

/// Latest snapshots of the period that are read: as many as are told in about a second.
const SNAPSHOTS: i64 = 200_000;

#[derive(QueryableByName)]
struct SumsRow {
    #[diesel(sql_type = Bool)]
    is_all: bool,
    #[diesel(sql_type = Nullable<Text>)]
    page: Option<String>,
    #[diesel(sql_type = BigInt)]
    views: i64,
    #[diesel(sql_type = BigInt)]
    troubled: i64,
    #[diesel(sql_type = BigInt)]
    errors: i64,
    #[diesel(sql_type = BigInt)]
    rage_clicks: i64,
    #[diesel(sql_type = BigInt)]
    dead_clicks: i64,
    #[diesel(sql_type = Array<BigInt>)]
    known: Vec<i64>,
    #[diesel(sql_type = Array<Nullable<Integer>>)]
    p75: Vec<Option<i32>>,
    #[diesel(sql_type = Array<BigInt>)]
    good: Vec<i64>,
    #[diesel(sql_type = Array<BigInt>)]
    poor: Vec<i64>,
    #[diesel(sql_type = BigInt)]
    told: i64,
}

/// The experience of `period`, whose moments are `windows`, of one kind of device or of all; at most `limit` pages.
pub(crate) fn experience(
    store: &Store,
    site: &Site,
    (period, windows): (Period, &Windows),
    asked: Option<DeviceClass>,
    limit: i64,
    now: Timestamp,
) -> Result<Experience, StoreError> {
    let device = asked.map_or("", DeviceClass::key);
    let limits = Vital::ALL.map(Vital::limits);
    let of = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let rows: Vec<SumsRow> = store.read(|connection| {
        Ok(sql(include_str!("experience.sql"))
            .bind::<Array<Integer>, _>(limits.map(|(good, _)| of(good)).to_vec())
            .bind::<Array<Integer>, _>(limits.map(|(_, poor)| of(poor)).to_vec())
            .bind::<Integer, _>(site.site_id)
            .bind::<Timestamptz, _>(moment(windows.current.start))
            .bind::<Timestamptz, _>(moment(windows.current.end))
            .bind::<SmallInt, _>(site.bots_from())
            .bind::<Text, _>(device.to_owned())
            .bind::<Integer, _>(site.site_id)
            .bind::<Text, _>(device.to_owned())
            .bind::<BigInt, _>(SNAPSHOTS)
            .bind::<Integer, _>(site.site_id)
            .bind::<BigInt, _>(limit)
            .load(connection)?)
    })?;
    let is_cut = rows.first().is_some_and(|row| row.told >= SNAPSHOTS);
    let mut report = Experience {
        site: crate::segments::report_site(site),
        period,
        now,
        device: asked,
        total: ViewSums::default(),
        pages: Vec::with_capacity(rows.len()),
        cut_at: is_cut.then(|| count(SNAPSHOTS)),
    };
    for row in rows {
        let sums = sums(&row);
        match row.page {
            _ if row.is_all => report.total = sums,
            Some(page) => report.pages.push(PageExperience { page, sums }),
            // The text of a page that an erasure took away in this moment.
            None => {}
        }
    }
    Ok(report)
}

fn sums(row: &SumsRow) -> ViewSums {
    let at = |list: &[i64], place: usize| list.get(place).copied().map(count).unwrap_or_default();
    let mut vitals = [VitalSpread::default(); Vital::COUNT];
    for (place, spread) in vitals.iter_mut().enumerate() {
        let p75 = row.p75.get(place).copied().flatten();
        *spread = VitalSpread {
            views: at(&row.known, place),
            p75: p75.and_then(|value| u32::try_from(value).ok()),
            good: at(&row.good, place),
            poor: at(&row.poor, place),
        };
    }
    ViewSums {
        views: count(row.views),
        troubled: count(row.troubled),
        vitals,
        errors: count(row.errors),
        rage_clicks: count(row.rage_clicks),
        dead_clicks: count(row.dead_clicks),
    }
}
