//! What intake asks of orders that are there.

use super::events::{NewEvent, Term};
use super::ingest::{Rejection, SiteBatch};
use super::sql::sql;
use super::{Store, StoreError};
use diesel::prelude::*;
use diesel::sql_types::{Array, Integer, SmallInt, Text};
use domain::event::{Amount, ORDER_REFUNDED, OrderAct, OrderReport};
use domain::identity::Kind as IdentityKind;
use domain::money::Currency;
use serde_json::Map;
use std::collections::{BTreeSet, HashMap, HashSet};

#[derive(QueryableByName)]
struct OrderRow {
    #[diesel(sql_type = Integer)]
    site_id: i32,
    #[diesel(sql_type = Text)]
    order_id: String,
    #[diesel(sql_type = Text)]
    currency: String,
}

/// A refund that names its currency: of which order of which site.
struct Named {
    site_id: i32,
    order_id: String,
    currency: Currency,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = Text)]
    order_id: String,
}

impl Store {
    /// Those of these orders of which a trusted source has told, as far as they are projected.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn trusted_orders(&self, site_id: i32, order_ids: &[String]) -> Result<HashSet<String>, StoreError> {
        let rows: Vec<IdRow> = sql("SELECT o.order_id FROM identities i
             JOIN orders o ON o.site_id = i.site_id AND o.profile_id = i.profile_id AND o.order_id = i.value
             WHERE i.site_id = $1 AND i.kind = $2 AND i.value = ANY($3) AND o.trusted")
        .bind::<Integer, _>(site_id)
        .bind::<SmallInt, _>(IdentityKind::Order.code())
        .bind::<Array<Text>, _>(order_ids.to_vec())
        .load(&mut *self.lend()?)?;
        Ok(rows.into_iter().map(|row| row.order_id).collect())
    }
}

/// Turns refunds that name another currency than their order into rejections of `reason`. The currency of an order that
/// is not projected yet is not known; such a refund is stored, and takes nothing off.
///
/// # Errors
/// [`StoreError`]; nothing has changed then.
pub(crate) fn refuse_foreign_refunds(
    connection: &mut PgConnection,
    group: &mut [SiteBatch],
    reason: &'static str,
) -> Result<(), StoreError> {
    let named: Vec<Named> = group
        .iter()
        .flat_map(|batch| batch.events.iter().filter_map(|event| named(batch.site.site_id, batch.site.currency, event)))
        .collect();
    if named.is_empty() {
        return Ok(());
    }
    // One row per order of these that is there, with its currency where it has an amount.
    let known: Vec<OrderRow> = sql("SELECT o.site_id, o.order_id, o.currency
         FROM unnest($1, $2) AS k (site_id, order_id)
         JOIN identities i ON i.site_id = k.site_id AND i.kind = $3 AND i.value = k.order_id
         JOIN orders o ON o.site_id = i.site_id AND o.profile_id = i.profile_id AND o.order_id = i.value
         WHERE o.total_minor IS NOT NULL")
    .bind::<Array<Integer>, _>(named.iter().map(|named| named.site_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(named.iter().map(|named| named.order_id.clone()).collect::<Vec<_>>())
    .bind::<SmallInt, _>(IdentityKind::Order.code())
    .load(connection)?;
    let known: HashMap<(i32, String), String> =
        known.into_iter().map(|row| ((row.site_id, row.order_id), row.currency)).collect();
    for batch in group {
        let site = &batch.site;
        let mut foreign = BTreeSet::new();
        for (place, event) in batch.events.iter().enumerate() {
            let Some(named) = self::named(site.site_id, site.currency, event) else { continue };
            let Some(own) = known.get(&(site.site_id, named.order_id)).filter(|own| **own != named.currency.code())
            else {
                continue;
            };
            foreign.insert(place);
            batch.rejections.push(Rejection {
                reason,
                detail: format!("currency: the refund is in {}, its order in {own}", named.currency),
                sample: event.properties.as_deref().map(crate::intake::screen::sample),
            });
        }
        let mut place = 0;
        batch.events.retain(|_| {
            place += 1;
            !foreign.contains(&(place - 1))
        });
    }
    Ok(())
}

fn named(site_id: i32, site_currency: Currency, event: &NewEvent) -> Option<Named> {
    event.text(Term::Name).filter(|name| ***name == *ORDER_REFUNDED)?;
    let properties: Map<String, serde_json::Value> = serde_json::from_str(event.properties.as_deref()?).ok()?;
    let report = OrderReport::read(ORDER_REFUNDED, &properties, event.key.event_id(), site_currency).ok()??;
    match report.act {
        OrderAct::Refunded(refund) => {
            let Amount { currency, .. } = refund.amount?;
            Some(Named { site_id, order_id: report.order_id.to_string(), currency: currency? })
        }
        OrderAct::Completed { .. } | OrderAct::Updated { .. } | OrderAct::Cancelled => None,
    }
}
