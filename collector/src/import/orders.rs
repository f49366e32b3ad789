//! Orders: each becomes `Order Completed`, with what was given back of it or that it was called off beside it.
//!
//! An order's event has an id that follows from the order's id, or, without one, from customer, time, total, currency
//! and the occurrence number among equal lines; these never change, so that a file of long ago is still known.

use super::fields::{Fields, Form, Kind as Lines, plain};
use super::format::{Cell, Line};
use super::maker::Maker;
use super::number;
use crate::intake::message::set_track;
use crate::intake::screen::{self, Fault};
use crate::intake::{EVENT_BYTES, Reason};
use crate::store::events::{EventKey, Kind, NewEvent, Term};
use domain::event::{ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED};
use domain::identity::{Kind as IdentityKind, normalise};
use domain::money::{Currency, Money};
use serde_json::{Map, Value, json};

/// Lines of one order; what comes after is another line of the file and its products are left out.
const MAX_LINES: usize = 500;

/// Fields of a product of an order, and what they are called in Segment's specification.
const ITEM: [(&str, &str); 7] = [
    ("item_id", "product_id"),
    ("item_sku", "sku"),
    ("item_name", "name"),
    ("item_category", "category"),
    ("item_brand", "brand"),
    ("item_price", "price"),
    ("item_quantity", "quantity"),
];

/// Amounts that an order's event carries beside its total.
const AMOUNTS: [&str; 4] = ["subtotal", "shipping", "tax", "discount"];

const WHO: [(&str, IdentityKind); 2] = [("customer_id", IdentityKind::UserId), ("email", IdentityKind::Email)];
const TIED: [(&str, IdentityKind); 2] = [("email", IdentityKind::Email), ("phone", IdentityKind::Phone)];

/// What has become of an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Placed,
    Cancelled,
    Refunded,
}

/// Several lines are one order where the file has columns of products: each names the order again, or says nothing of
/// the order at all, as Shopify's export does.
pub(super) fn goes_on(maker: &Maker, group: &[Line], line: &Line) -> bool {
    let Some(first) = group.first() else { return false };
    let has_items = ITEM.iter().any(|(field, _)| maker.layout.column(field).is_some());
    if !has_items || group.len() >= MAX_LINES || first.fault.is_some() || line.fault.is_some() {
        return false;
    }
    let says = |field: &str| maker.layout.cell(line, field);
    match (says("order_id"), maker.layout.cell(first, "order_id")) {
        (Some(own), Some(other)) => own == other,
        (None, Some(_)) => says("total").is_none() && ITEM.iter().any(|(field, _)| says(field).is_some()),
        (_, None) => false,
    }
}

pub(super) fn events(maker: &mut Maker, group: &[Line]) -> Result<Vec<NewEvent>, Fault> {
    let Some(line) = group.first() else { return Ok(Vec::new()) };
    maker.needed(line, "customer_id")?;
    let who = maker.who(line, &WHO)?.ok_or_else(|| {
        let fields =
            if maker.layout.column("email").is_some() { "customer_id and email are" } else { "customer_id is" };
        Fault::new(Reason::MissingIdentity, format!("{fields} empty"))
    })?;
    let at_us = maker.read_moment(maker.needed(line, "ordered_at")?, "ordered_at")?;
    let currency = currency(maker, line)?;
    let total = maker.read_amount(maker.needed(line, "total")?, "total", currency)?;
    let order_id = match maker.text(line, "order_id")? {
        "" => None,
        text => Some(
            normalise(IdentityKind::Order, text)
                .map_err(|invalid| Fault::new(Reason::BadOrder, format!("order_id {invalid}")))?,
        ),
    };
    let state = state(maker, line)?;
    let refunded = maker.amount(line, "refunded", total.currency)?.filter(|amount| amount.minor != 0);
    let key = key(maker, (order_id.as_deref(), &who.1), at_us, total);
    let mut new = maker.event(Kind::Track, key, who, at_us);
    maker.tie_all(&mut new, line, &TIED)?;
    new.order_id = order_id.as_deref().map(Into::into);
    new.properties = Some(properties(maker, group, order_id.as_deref(), total)?);
    new.set(Term::Name, Some(ORDER_COMPLETED.into()));
    let change = match (state, refunded) {
        (State::Cancelled, _) => Some(cancelled(maker, line, (order_id.as_deref(), at_us))?),
        (State::Refunded, None) => Some(given_back(maker, line, (order_id.as_deref(), at_us), (total, total))?),
        (State::Placed | State::Refunded, Some(amount)) => {
            Some(given_back(maker, line, (order_id.as_deref(), at_us), (amount, total))?)
        }
        (State::Placed, None) => None,
    };
    Ok([Some(new), change].into_iter().flatten().collect())
}

/// That of the line, else that which stands beside its total, else the site's.
fn currency(maker: &Maker, line: &Line) -> Result<Currency, Fault> {
    match maker.text(line, "currency")? {
        "" => Ok(maker.site.currency),
        text => text.parse().map_err(|error| Fault::new(Reason::BadOrder, format!("currency: {error}"))),
    }
}

/// The event's id. What it is made of must stay what it is.
fn key(maker: &mut Maker, (order_id, customer): (Option<&str>, &str), at_us: i64, total: Money) -> EventKey {
    let site_id = maker.site.site_id.to_be_bytes();
    if let Some(order_id) = order_id {
        return maker.own_key(at_us, &[b"order", &site_id, order_id.as_bytes()]);
    }
    let (at, minor) = (at_us.to_be_bytes(), total.minor.to_be_bytes());
    let says = [b"line", &site_id[..], customer.as_bytes(), &at, &minor, total.currency.code().as_bytes()];
    let equal = maker.hash(&says);
    let occurrence = maker.occurrence(equal);
    maker.own_key(at_us, &[equal.as_bytes(), &occurrence.to_be_bytes()])
}

/// What the line says of the order's state. A payment that failed is an order that was never made.
fn state(maker: &Maker, line: &Line) -> Result<State, Fault> {
    if maker.moment(line, "cancelled_at")?.is_some() {
        return Ok(State::Cancelled);
    }
    let word = plain(maker.text(line, "status")?);
    Ok(match word.strip_prefix("wc_").unwrap_or(&word) {
        "cancelled" | "canceled" | "cancel" | "void" | "voided" | "failed" | "storniert" | "annulliert" => {
            State::Cancelled
        }
        "refunded" | "refund" | "erstattet" => State::Refunded,
        _ => State::Placed,
    })
}

fn changed(order_id: Option<&str>, what: &str) -> Result<String, Fault> {
    order_id.map(str::to_owned).ok_or_else(|| {
        let detail = format!("the order is {what}, and has no order_id by which that could be told of it");
        Fault::new(Reason::BadOrder, detail)
    })
}

fn change(maker: &Maker, name: &str, key: EventKey, at_us: i64, properties: &Value) -> Result<NewEvent, Fault> {
    // Whose it is follows from the order alone.
    let who = (IdentityKind::Message, key.event_id().to_string().into());
    let mut new = maker.event(Kind::Track, key, who, at_us);
    set_track(&mut new, &maker.site, name, screen::object(&properties.to_string(), "properties")?)?;
    Ok(new)
}

fn cancelled(maker: &Maker, line: &Line, (order_id, at_us): (Option<&str>, i64)) -> Result<NewEvent, Fault> {
    let order_id = changed(order_id, "cancelled")?;
    let at_us = maker.moment(line, "cancelled_at")?.unwrap_or(at_us).max(at_us);
    let key = maker.own_key(at_us, &[b"cancelled", &maker.site.site_id.to_be_bytes(), order_id.as_bytes()]);
    change(maker, ORDER_CANCELLED, key, at_us, &json!({ "order_id": order_id }))
}

/// A file tells how much has been given back of an order in all: one refund, under one id. A later file that tells of
/// more is a later word on it.
fn given_back(
    maker: &Maker,
    line: &Line,
    (order_id, at_us): (Option<&str>, i64),
    (amount, total): (Money, Money),
) -> Result<NewEvent, Fault> {
    let order_id = changed(order_id, "refunded")?;
    let at_us = maker.moment(line, "refunded_at")?.unwrap_or(at_us).max(at_us);
    let minor = amount.minor.unsigned_abs();
    let hash = maker.hash(&[b"refunded", &maker.site.site_id.to_be_bytes(), order_id.as_bytes()]);
    let key = EventKey::Own(ordered_id(at_us, minor, *hash.as_bytes()));
    let amount = Money { minor: i64::try_from(minor).unwrap_or(total.minor), ..amount };
    let says = json!({
        "order_id": order_id,
        "refund_id": format!("import:{order_id}"),
        "amount": amount.decimal(),
        "currency": amount.currency.code(),
    });
    change(maker, ORDER_REFUNDED, key, at_us, &says)
}

/// An id of that moment which is larger for a larger amount: of two reports of one moment the fold takes the later, and
/// what has been given back of an order never becomes less.
fn ordered_id(at_us: i64, minor: u64, mut random: [u8; 16]) -> uuid::Uuid {
    // 42 bits behind the time and the version, of which the variant takes none.
    let minor = minor.min((1 << 42) - 1);
    random[6] = (minor >> 38) as u8 & 0x0f;
    random[7] = (minor >> 30) as u8;
    random[8] = (minor >> 24) as u8 & 0x3f;
    random[9..12].copy_from_slice(&(minor as u32).to_be_bytes()[1..]);
    screen::uuid_v7(at_us, random)
}

fn properties(maker: &Maker, group: &[Line], order_id: Option<&str>, total: Money) -> Result<Box<str>, Fault> {
    let mut said = Map::new();
    said.insert("total".to_owned(), total.decimal().into());
    said.insert("currency".to_owned(), total.currency.code().into());
    if let Some(order_id) = order_id {
        said.insert("order_id".to_owned(), order_id.into());
    }
    let Some(line) = group.first() else { return Ok(Value::Object(said).to_string().into()) };
    for field in AMOUNTS {
        if let Some(amount) = maker.amount(line, field, total.currency)? {
            said.insert(field.to_owned(), amount.decimal().into());
        }
    }
    for (field, property) in [("coupon", "coupon"), ("status", "payment_status")] {
        let text = maker.text(line, field)?;
        if !text.is_empty() {
            said.insert(property.to_owned(), text.into());
        }
    }
    let products = products(maker, group)?;
    if !products.is_empty() {
        said.insert("products".to_owned(), products.into());
    }
    let mut text = Value::Object(said.clone()).to_string();
    // An order counts whatever was in it: where its lines are too many for one event, it goes without them.
    if text.len() > EVENT_BYTES && said.remove("products").is_some() {
        said.insert("products_left_out".to_owned(), true.into());
        text = Value::Object(said).to_string();
    }
    screen::json(&text)?;
    Ok(text.into())
}

fn products(maker: &Maker, group: &[Line]) -> Result<Vec<Value>, Fault> {
    let mut products = Vec::new();
    for line in group {
        let mut product = Map::new();
        for (field, property) in ITEM {
            let text = maker.text(line, field)?;
            let value = item_value(maker, field, text);
            product.extend(value.map(|value| (property.to_owned(), value)));
        }
        // A quantity alone is no product.
        if product.keys().any(|key| key != "quantity") {
            products.push(Value::Object(product));
        }
    }
    match group.first().and_then(|line| maker.layout.cell(line, "items")) {
        Some(Cell::List(list)) => products.extend(list.iter().filter_map(|item| listed(maker, item))),
        Some(Cell::Text(_) | Cell::NoText(_) | Cell::Empty) | None => {}
    }
    Ok(products)
}

/// A product's price and quantity are numbers as others are; what is none stays as it is and is shown as it is.
fn item_value(maker: &Maker, field: &str, text: &str) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    let is_amount = Lines::Orders.field(field).is_some_and(|field| field.form == Form::Amount);
    let number = is_amount.then(|| number::read(text, maker.mark(field))).flatten();
    Some(number.map_or_else(|| text.into(), |number| number.plain.into()))
}

/// An object of a list, under the same headings as columns.
fn listed(maker: &Maker, item: &Value) -> Option<Value> {
    let Value::Object(item) = item else { return None };
    let mut product = Map::new();
    for (field, property) in ITEM {
        let Some(field) = Lines::Orders.field(field) else { continue };
        let own = [property, "title", "id"].into_iter().filter(|own| match *own {
            "title" => property == "name",
            "id" => property == "product_id",
            _ => true,
        });
        let names = own.chain(field.synonyms.iter().copied());
        let named = names.into_iter().find_map(|name| item.iter().find(|(key, _)| plain(key) == name));
        let text = match named.map(|(_, value)| value) {
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => continue,
        };
        product.extend(item_value(maker, field.name, &text).map(|value| (property.to_owned(), value)));
    }
    (!product.is_empty()).then_some(Value::Object(product))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_refund_has_the_later_id_and_the_same_one_the_same() {
        let random = [0xab; 16];
        let id = |minor| ordered_id(1_700_000_000_000_000, minor, random);
        let amounts = [0, 1, 255, 256, 1 << 24, (1 << 24) + 1, 1 << 30, 1 << 38, (1 << 42) - 1];
        assert!(amounts.windows(2).all(|pair| id(pair[0]) < id(pair[1])));
        assert_eq!(id(1_250), id(1_250));
        assert_eq!(id(7).get_version_num(), 7);
        assert_eq!(screen::id_time_us(id(7)), Some(1_700_000_000_000_000));
    }
}
