//! Stored events in words and numbers that can be shown.

use crate::store::StoreError;
use crate::store::events::{Kind, flags};
use crate::store::people::{self, EventRow, Texts};
use crate::store::sites::Site;
use crate::store::sql::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text};
use domain::event::{OrderAct, OrderDetails, OrderLine, OrderReport, Trust};
use domain::money::{Currency, Money};
use domain::report::{Happened, OrderChange, OrderStanding, ViewMeasures};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Properties and traits of one event that are shown; the rest can be read by the API.
const PAIRS: usize = 20;
/// Characters of one of them.
const PAIR_CHARS: usize = 200;

/// Lines of an order that are shown.
const LINES: usize = 10;

/// Which orders of which people are known.
pub(super) type Orders = HashMap<(i64, String), OrderRow>;

#[derive(QueryableByName, Clone)]
pub(super) struct OrderRow {
    #[diesel(sql_type = BigInt)]
    profile_id: i64,
    #[diesel(sql_type = Text)]
    order_id: String,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    refunded_minor: Option<i64>,
    #[diesel(sql_type = Nullable<Bool>)]
    cancelled: Option<bool>,
    #[diesel(sql_type = Bool)]
    trusted: bool,
    #[diesel(sql_type = Bool)]
    counted: bool,
}

impl OrderRow {
    fn currency(&self, site: &Site) -> Currency {
        self.currency.parse().unwrap_or(site.currency)
    }
}

/// What is needed to tell what happened: texts, orders, and the page views that other events happened on.
pub(super) struct Teller<'a> {
    site: &'a Site,
    texts: Texts,
    orders: Orders,
    /// Pages by the page view's event.
    pages: HashMap<Uuid, i32>,
}

impl<'a> Teller<'a> {
    /// Reads what these events need to be told. `profile_of` knows the person of an identity.
    pub(super) fn read(
        connection: &mut PgConnection,
        site: &'a Site,
        rows: &[EventRow],
        profile_of: &HashMap<i64, i64>,
    ) -> Result<Teller<'a>, StoreError> {
        let own: HashMap<Uuid, i32> = rows.iter().filter_map(|row| Some((row.event_id, row.page_id?))).collect();
        let elsewhere: Vec<(i64, Uuid)> = rows
            .iter()
            .filter(|row| row.page_id.is_none())
            .filter_map(|row| Some((row.identity_id, row.view_id.filter(|view| !own.contains_key(view))?)))
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        let mut pages = own;
        for view in people::events_by_key(connection, site.site_id, &elsewhere)? {
            pages.extend(view.page_id.map(|page| (view.event_id, page)));
        }
        let mut texts = Texts::default();
        let shown = rows.iter().flat_map(|row| [row.page_id, row.title_id]).flatten().chain(pages.values().copied());
        texts.read(connection, site.site_id, people::needed_texts(rows).chain(shown))?;
        let mut teller = Teller { site, texts, orders: Orders::new(), pages };
        let placed: Vec<(i64, String)> = rows
            .iter()
            .filter_map(|row| {
                let order = teller.placed(row)?;
                Some((*profile_of.get(&row.identity_id)?, order.order_id.to_string()))
            })
            .collect();
        teller.orders = known_orders(connection, site, &placed)?;
        Ok(teller)
    }

    fn text(&self, id: Option<i32>) -> Option<String> {
        id.and_then(|id| self.texts.get(self.site.site_id, id)).map(|text| text.to_string())
    }

    /// The order that an event reports, whoever it belongs to.
    fn placed(&self, row: &EventRow) -> Option<OrderReport> {
        if row.kind != Kind::Track as i16 {
            return None;
        }
        let name = self.text(row.name_id)?;
        let nothing = Map::new();
        let properties = row.properties.as_ref().and_then(Value::as_object).unwrap_or(&nothing);
        // What the screen let in can be read; an event of an older rule is a named event like any other.
        OrderReport::read(&name, properties, row.event_id, self.site.currency).ok().flatten()
    }

    /// What happened in this event of this person. `unprojected` says whether an order counts that is not in the
    /// projections; `None` means that it is nobody's order then, and a named event.
    pub(super) fn tell(&self, row: &EventRow, profile_id: i64, unprojected: Option<bool>) -> Happened {
        let number = |value: Option<i32>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
        let page = row.page_id.or_else(|| self.pages.get(&row.view_id?).copied());
        let page = self.text(page);
        let object = || row.properties.as_ref().and_then(Value::as_object);
        match Kind::from_code(row.kind) {
            Some(Kind::Page | Kind::Screen) => Happened::Page {
                page: page.unwrap_or_default(),
                title: self.text(row.title_id),
                engaged_ms: None,
                max_scroll_pct: None,
                clicks: None,
                measures: ViewMeasures::default(),
            },
            Some(Kind::Snapshot) => Happened::Snapshot {
                page,
                engaged_ms: number(row.engaged_ms),
                max_scroll_pct: row.max_scroll_pct.and_then(|pct| u8::try_from(pct).ok()).unwrap_or(0),
                clicks: number(row.clicks),
                measures: row.properties.as_ref().map(measures).unwrap_or_default(),
            },
            Some(Kind::Identify) if row.flags & flags::CLAIMED != 0 => {
                Happened::Claim { traits: object().map(pairs).unwrap_or_default() }
            }
            Some(Kind::Identify) => Happened::Identify { traits: object().map(pairs).unwrap_or_default() },
            Some(Kind::Group) => Happened::Group {
                group_id: object()
                    .and_then(|map| map.get("group_id"))
                    .and_then(Value::as_str)
                    .map(short)
                    .unwrap_or_default(),
            },
            Some(Kind::Alias) => Happened::Alias,
            Some(Kind::Track) | None => self.order(row, profile_id, unprojected).unwrap_or_else(|| Happened::Track {
                name: self.text(row.name_id).unwrap_or_default(),
                page,
                properties: object().map(pairs).unwrap_or_default(),
            }),
        }
    }

    /// What an event says of an order of this person, where it does.
    fn order(&self, row: &EventRow, profile_id: i64, unprojected: Option<bool>) -> Option<Happened> {
        let report = self.placed(row)?;
        let known = self.orders.get(&(profile_id, report.order_id.to_string()));
        let order_id = short(&report.order_id);
        let change = match report.act {
            OrderAct::Completed { total } => {
                let properties = row.properties.as_ref().and_then(Value::as_object);
                let refunded = known.and_then(|known| {
                    let minor = known.refunded_minor.filter(|minor| *minor > 0)?;
                    Some(Money { minor, currency: known.currency(self.site) })
                });
                return Some(Happened::Order {
                    order_id,
                    total,
                    counted: known.map(|known| known.counted).or(unprojected)?,
                    cancelled: known.is_some_and(|known| known.cancelled == Some(true)),
                    refunded,
                    lines: properties.map(|properties| lines(properties, self.site)).unwrap_or_default(),
                });
            }
            OrderAct::Updated { total, in_force: _ } => OrderChange::Updated { total },
            OrderAct::Refunded(refund) => {
                let currency = known.map_or(self.site.currency, |known| known.currency(self.site));
                let of = |currency| {
                    let minor = refund.amount.and_then(|amount| amount.minor(currency));
                    minor.map(|minor| Money { minor, currency })
                };
                let own = refund.amount.and_then(|amount| amount.currency);
                if let Some(foreign) = own.filter(|own| *own != currency) {
                    let (amount, standing) = (of(foreign), OrderStanding::Ignored);
                    return Some(Happened::OrderChanged {
                        order_id,
                        change: OrderChange::Refunded { amount },
                        standing,
                    });
                }
                OrderChange::Refunded { amount: of(currency) }
            }
            OrderAct::Cancelled => OrderChange::Cancelled,
        };
        let standing = match (known, trust(row)) {
            (Some(known), Trust::Browser) if known.trusted => OrderStanding::Ignored,
            (Some(_), Trust::Browser | Trust::Trusted) => OrderStanding::Applies,
            (None, Trust::Trusted) => OrderStanding::Waits,
            // Of an order that is somebody else's, or nobody's.
            (None, Trust::Browser) => return None,
        };
        Some(Happened::OrderChanged { order_id, change, standing })
    }
}

/// What was bought, a text for each line.
fn lines(properties: &Map<String, Value>, site: &Site) -> Vec<String> {
    let details = OrderDetails::read(properties, site.currency);
    let line = |line: &OrderLine| {
        let name = line.name.as_deref().or(line.product_id.as_deref())?;
        let name = [Some(name), line.variant.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(", ");
        Some(match (line.quantity_thousandths / 1_000, line.quantity_thousandths % 1_000) {
            (1, 0) => short(&name),
            (whole, 0) => format!("{whole} × {}", short(&name)),
            (whole, thousandths) => {
                let part = format!("{:03}", thousandths.unsigned_abs());
                format!("{whole}.{} × {}", part.trim_end_matches('0'), short(&name))
            }
        })
    };
    let mut lines: Vec<String> = details.lines.iter().filter_map(line).take(LINES).collect();
    if details.line_count > LINES {
        lines.push(format!("and {} more", details.line_count - LINES));
    }
    lines
}

/// Who vouches for a stored event.
pub(super) fn trust(row: &EventRow) -> Trust {
    if row.flags & flags::TRUSTED != 0 { Trust::Trusted } else { Trust::Browser }
}

fn known_orders(connection: &mut PgConnection, site: &Site, placed: &[(i64, String)]) -> Result<Orders, StoreError> {
    if placed.is_empty() {
        return Ok(Orders::new());
    }
    // One row per order of these people that is in the projections.
    let rows: Vec<OrderRow> =
        sql("SELECT o.profile_id, o.order_id, o.currency, o.refunded_minor, o.cancelled, o.trusted,
                o.counted
         FROM unnest($1, $2) AS k (profile_id, order_id)
         JOIN orders o ON o.site_id = $3 AND o.profile_id = k.profile_id AND o.order_id = k.order_id")
        .bind::<Array<BigInt>, _>(placed.iter().map(|key| key.0).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(placed.iter().map(|key| key.1.clone()).collect::<Vec<_>>())
        .bind::<Integer, _>(site.site_id)
        .load(connection)?;
    Ok(rows.into_iter().map(|row| ((row.profile_id, row.order_id.clone()), row)).collect())
}

/// What a snapshot's properties say was measured.
pub(super) fn measures(properties: &Value) -> ViewMeasures {
    ViewMeasures::deserialize(properties).unwrap_or_default()
}

/// Properties or traits as text.
pub(super) fn pairs(map: &Map<String, Value>) -> Vec<(String, String)> {
    map.iter().filter_map(|(key, value)| Some((short(key), value_text(value)?))).take(PAIRS).collect()
}

/// A JSON value as people read it; `None` for what says nothing.
pub(super) fn value_text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    (!text.is_empty()).then(|| short(&text))
}

/// The beginning of a text that a visitor may have made as long as they like.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(PAIR_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_visitors_send_is_cut_to_what_fits_a_line() {
        let Value::Object(map) = serde_json::json!({
            "a": "x".repeat(1_000), "b": null, "c": "", "d": 1.5, "e": {"f": [1]}, "g": true,
        }) else {
            panic!("an object")
        };
        let shown = pairs(&map);
        assert_eq!(shown[0].1.chars().count(), PAIR_CHARS + 1);
        assert_eq!(shown[1..], [("d", "1.5"), ("e", "{\"f\":[1]}"), ("g", "true")].map(|(k, v)| (k.into(), v.into())));
        let many: Map<String, Value> = (0..100).map(|i| (i.to_string(), Value::from(i))).collect();
        assert_eq!(pairs(&many).len(), PAIRS);
    }
}
