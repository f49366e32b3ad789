//! All segments of a site on one day.

use super::moment;
use crate::store::customers::end_of;
use crate::store::sites::Site;
use crate::store::sql::sql;
use crate::store::{Store, StoreError};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text, Timestamptz};
use domain::event::ProfileId;
use domain::money::Money;
use domain::report::{
    Lifecycle, LifecycleCell, LifecycleLimits, Rfm, RfmCell, RfmCuts, ScoreRange, SegmentRow, Segments,
};
use domain::segment::lifecycle::{Basis, Buyers, Limits, MIN_RETURNS, Standing};
use domain::segment::rfm::{Cell, Group, Scale};
use domain::segment::{SegmentBook, SegmentKey, definition};
use jiff::civil::Date;
use std::collections::HashMap;

#[derive(QueryableByName)]
struct SpentRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = BigInt)]
    minor: i64,
}

impl Store {
    /// The segments of the book's day.
    pub(crate) fn segments(&self, site: &Site, book: &SegmentBook, today: Date) -> Result<Segments, StoreError> {
        let spent = self.spent(site, book.day())?;
        let mut report = segments(site, book, &spent, today);
        if let Some(rfm) = &mut report.rfm {
            rfm.own_cuts = self.own_cuts(site)?.map(|cuts| cuts.thresholds());
        }
        if let Some(grid) = &mut report.lifecycle {
            grid.curves = self.lifecycle_curves(site, book.day())?.to_vec();
            grid.versions = self.limits_versions(site)?;
        }
        Ok(report)
    }

    /// What each person has spent by the end of a day, in minor units of the site's currency.
    fn spent(&self, site: &Site, as_of: Date) -> Result<HashMap<ProfileId, i64>, StoreError> {
        // One row per person with a counted order in the site's currency before the day's end.
        let rows: Vec<SpentRow> = self.read(|connection| {
            Ok(sql("SELECT profile_id, LEAST(GREATEST(sum(total_minor - COALESCE(refunded_minor, 0)), -9e18), 9e18)::bigint AS minor FROM orders
                 WHERE site_id = $1 AND ordered_at < $2 AND counted AND currency = $3 AND total_minor IS NOT NULL
                 GROUP BY profile_id")
            .bind::<Integer, _>(site.site_id)
            .bind::<Timestamptz, _>(moment(end_of(site, as_of)))
            .bind::<Text, _>(site.currency.code().to_owned())
            .load(connection)?)
        })?;
        Ok(rows.into_iter().map(|row| (ProfileId(row.profile_id), row.minor)).collect())
    }
}

fn segments(site: &Site, book: &SegmentBook, spent: &HashMap<ProfileId, i64>, today: Date) -> Segments {
    let money = |minor| Money { minor, currency: site.currency };
    let mut by_cell: HashMap<Cell, i64> = HashMap::new();
    let mut by_standing: HashMap<(Buyers, usize), i64> = HashMap::new();
    let mut whole = 0_i64;
    let mut customers = 0_u64;
    for person in book.people() {
        let minor = spent.get(&person.profile_id).copied().unwrap_or(0);
        let add = |sum: &mut i64| *sum = sum.saturating_add(minor);
        if let Some(scores) = person.rfm {
            customers += 1;
            add(by_cell.entry(scores.cell()).or_default());
        }
        add(by_standing.entry((person.lifecycle.buyers, person.lifecycle.stage as usize)).or_default());
        add(&mut whole);
    }
    let row = |key: SegmentKey| {
        let definition = definition(key);
        let of_cell = |cell: &Cell| by_cell.get(cell).copied().unwrap_or(0);
        let minor = match key {
            SegmentKey::Rfm(group) => Cell::all()
                .filter(|cell| cell.group() == group)
                .fold(0_i64, |sum, cell| sum.saturating_add(of_cell(&cell))),
            SegmentKey::RfmCell(cell) => of_cell(&cell),
            SegmentKey::Lifecycle(standing) => {
                by_standing.get(&(standing.buyers, standing.stage as usize)).copied().unwrap_or(0)
            }
        };
        SegmentRow {
            key: key.to_string(),
            name: definition.name,
            description: definition.description,
            size: book.size(key) as u64,
            revenue: money(minor),
        }
    };
    let rfm = (customers > 0).then(|| Rfm {
        groups: Group::ALL.into_iter().map(|group| row(SegmentKey::Rfm(group))).collect(),
        cells: Cell::all()
            .map(|cell| RfmCell {
                recency: cell.recency(),
                frequency: cell.frequency(),
                segment: row(SegmentKey::RfmCell(cell)),
                group: cell.group().name().to_owned(),
            })
            .collect(),
        cuts: RfmCuts {
            recency_days: ranges(&book.scales().recency_days),
            orders: ranges(&book.scales().orders),
            spent_minor: ranges(&book.scales().spent_minor),
        },
        own_cuts: None,
    });
    let lifecycle = (!book.people().is_empty()).then(|| Lifecycle {
        cells: Standing::all()
            .map(|standing| LifecycleCell {
                buyers: standing.buyers as u8,
                stage: standing.stage as u8,
                segment: row(SegmentKey::Lifecycle(standing)),
            })
            .collect(),
        limits: book.limits().iter().map(limits).collect(),
        curves: Vec::new(),
        versions: Vec::new(),
    });
    Segments {
        site: crate::segments::report_site(site),
        today,
        as_of: book.day(),
        people: book.people().len() as u64,
        customers,
        revenue: money(whole),
        rfm,
        lifecycle,
    }
}

fn ranges(scale: &Scale) -> Vec<ScoreRange> {
    (1..=5).filter_map(|score| scale.range(score).map(|(low, high)| ScoreRange { score, low, high })).collect()
}

/// The limits of one row of the grid, with where they come from.
fn limits(limits: &Limits) -> LifecycleLimits {
    let basis = match limits.basis {
        Basis::Own => format!("From {} of this row’s own here.", returns(limits.returns)),
        Basis::AllBuyers => format!("From {} of all buyers here; this row has too few.", returns(limits.returns)),
        Basis::Default => {
            format!("General ones, until {MIN_RETURNS} people have come back here; so far it is {}.", limits.returns)
        }
    };
    LifecycleLimits {
        buyers: limits.buyers as u8,
        active_days: limits.at_risk_days,
        at_risk_days: limits.churned_days,
        basis,
    }
}

fn returns(count: u32) -> String {
    if count == 1 { "1 return".to_owned() } else { format!("{count} returns") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_with_their_source() {
        let of = |basis, returns| {
            limits(&Limits { buyers: Buyers::Repeats, at_risk_days: 40, churned_days: 120, basis, returns })
        };
        let own = of(Basis::Own, 640);
        assert_eq!((own.buyers, own.active_days, own.at_risk_days), (2, 40, 120));
        assert_eq!(own.basis, "From 640 returns of this row’s own here.");
        assert_eq!(of(Basis::AllBuyers, 70).basis, "From 70 returns of all buyers here; this row has too few.");
        let general = "General ones, until 30 people have come back here; so far it is 3.";
        assert_eq!(of(Basis::Default, 3).basis, general);
    }
}
