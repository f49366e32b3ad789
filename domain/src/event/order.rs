//! What an event says of an order: Segment's e-commerce vocabulary, read leniently.

use crate::identity::MAX_VALUE_BYTES;
use crate::money::{self, Currency, Money, MoneyError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use uuid::Uuid;

/// The name under which an order is reported when it is placed.
pub const ORDER_COMPLETED: &str = "Order Completed";
/// The name under which a change of an order's amount or lines is reported.
pub const ORDER_UPDATED: &str = "Order Updated";
/// The name under which money that was given back is reported.
pub const ORDER_REFUNDED: &str = "Order Refunded";
/// The name under which it is reported that an order was called off.
pub const ORDER_CANCELLED: &str = "Order Cancelled";

/// Lines of an order that are read; the event itself has all of them.
pub const MAX_ORDER_LINES: usize = 100;

/// Whether events of that name change an order that is there, rather than place one.
pub fn changes_an_order(name: &str) -> bool {
    matches!(name, ORDER_UPDATED | ORDER_REFUNDED | ORDER_CANCELLED)
}

/// What one event reports of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderReport {
    /// The shop's own order id, or the event's id where an order was placed without one. One order per site and id.
    pub order_id: Arc<str>,
    /// What happened to it.
    pub act: OrderAct,
}

/// What happened to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderAct {
    /// It was placed.
    Completed {
        /// What was paid; `None` where the event names no amount.
        total: Option<Money>,
    },
    /// Its amount or its lines changed; that never places an order and never changes when it was placed.
    Updated {
        /// What is paid now; `None` where the event names no amount.
        total: Option<Money>,
        /// It says that the order is not cancelled (`cancelled: false`): if it was called off before, it is in force again.
        in_force: bool,
    },
    /// Money was given back.
    Refunded(Refund),
    /// It was called off.
    Cancelled,
}

/// Money that was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The shop's id of this refund, under which it counts once; without one each report is a refund of its own.
    pub refund_id: Option<Arc<str>>,
    /// How much of the order; `None` is all of it.
    pub amount: Option<Amount>,
}

/// An amount of an order, in the order's currency, which only the order itself may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// In thousandths of the currency's main unit, so that no currency's digits are lost; never negative.
    pub thousandths: i64,
    /// The currency that the event names.
    pub currency: Option<Currency>,
}

/// Digits after the point of [`Amount::thousandths`].
const AMOUNT_DIGITS: u32 = 3;

impl Amount {
    /// The amount in minor units of the order's currency, rounded half up; `None` when it is of another currency.
    pub fn minor(&self, order: Currency) -> Option<i64> {
        let unit = 10_i64.pow(AMOUNT_DIGITS - order.digits().min(AMOUNT_DIGITS));
        self.currency.is_none_or(|own| own == order).then(|| self.thousandths.saturating_add(unit / 2) / unit)
    }
}

impl OrderReport {
    /// Reads what a named event reports of an order; `None` when it is none of the four events about orders.
    ///
    /// Of an order: `order_id` (or `orderId`, `id` where it is placed), `total` (or `revenue`, `value`) and `currency`,
    /// with the site's currency where the event names none. Of a refund: `refund_id`, and `total` (or `amount`, `value`),
    /// else what its `products` cost; without either it is the whole order. The sign of a refund's amount says nothing:
    /// some shops book it as negative.
    ///
    /// # Errors
    /// The property that cannot be read and why.
    pub fn read(
        name: &str,
        properties: &Map<String, Value>,
        event_id: Uuid,
        site_currency: Currency,
    ) -> Result<Option<OrderReport>, OrderError> {
        let properties = Properties(properties);
        let act = match name {
            ORDER_COMPLETED => OrderAct::Completed { total: properties.total(site_currency)? },
            ORDER_UPDATED => OrderAct::Updated {
                total: properties.total(site_currency)?,
                in_force: properties.0.get("cancelled") == Some(&Value::Bool(false)),
            },
            ORDER_REFUNDED => OrderAct::Refunded(properties.refund()?),
            ORDER_CANCELLED => OrderAct::Cancelled,
            _ => return Ok(None),
        };
        let keys: &[&'static str] =
            if name == ORDER_COMPLETED { &["order_id", "orderId", "id"] } else { &["order_id", "orderId"] };
        let order_id = match properties.first(keys) {
            Some((_, order_id)) => order_id,
            None if name == ORDER_COMPLETED => event_id.to_string(),
            None => return Err(OrderError { property: "order_id", reason: OrderFault::Missing }),
        };
        Ok(Some(OrderReport { order_id: order_id.into(), act }))
    }
}

/// An event's properties as they may have been written by anybody.
struct Properties<'a>(&'a Map<String, Value>);

impl Properties<'_> {
    /// The first of these properties that says something, as text.
    fn first(&self, keys: &[&'static str]) -> Option<(&'static str, String)> {
        keys.iter().find_map(|&key| self.0.get(key).and_then(text).map(|value| (key, value)))
    }

    fn currency(&self) -> Result<Option<Currency>, OrderError> {
        let named = self.first(&["currency"]);
        named.map(|(property, value)| value.parse().map_err(at(property))).transpose()
    }

    fn total(&self, site_currency: Currency) -> Result<Option<Money>, OrderError> {
        let currency = self.currency()?.unwrap_or(site_currency);
        let named = self.first(&["total", "revenue", "value"]);
        named.map(|(property, value)| Money::parse(&value, currency).map_err(at(property))).transpose()
    }

    fn refund(&self) -> Result<Refund, OrderError> {
        let currency = self.currency()?;
        let thousandths = match self.first(&["total", "amount", "revenue", "value"]) {
            Some((property, value)) => Some(money::scaled(&value, AMOUNT_DIGITS).map_err(at(property))?),
            None => self.lines_cost()?,
        };
        let refund_id = self.first(&["refund_id", "refundId"]).map(|(_, id)| id);
        if refund_id.as_ref().is_some_and(|id| id.len() > MAX_VALUE_BYTES) {
            return Err(OrderError { property: "refund_id", reason: OrderFault::TooLong });
        }
        let amount = thousandths.map(|thousandths| Amount { thousandths: thousandths.saturating_abs(), currency });
        Ok(Refund { refund_id: refund_id.map(Into::into), amount })
    }

    /// What the lines cost, in thousandths; `None` where there are none.
    fn lines_cost(&self) -> Result<Option<i64>, OrderError> {
        let lines = match self.0.get("products") {
            Some(Value::Array(lines)) if !lines.is_empty() => lines,
            _ => return Ok(None),
        };
        let mut sum = 0_i64;
        for line in lines {
            let line = line.as_object().map(Properties);
            let Some((_, price)) = line.as_ref().and_then(|line| line.first(&["price"])) else {
                return Err(OrderError { property: "products", reason: OrderFault::NoPrice });
            };
            let price = money::scaled(&price, AMOUNT_DIGITS).map_err(at("products"))?;
            let quantity = line.map_or(Ok(1_000), |line| line.quantity()).map_err(at("products"))?;
            let cost = i128::from(price) * i128::from(quantity) / 1_000;
            sum = i64::try_from(cost)
                .ok()
                .and_then(|cost| sum.checked_add(cost))
                .ok_or(OrderError { property: "products", reason: OrderFault::Money(MoneyError::Range) })?;
        }
        Ok(Some(sum))
    }

    /// In thousandths; one where the line says nothing.
    fn quantity(&self) -> Result<i64, MoneyError> {
        self.first(&["quantity"]).map_or(Ok(1_000), |(_, quantity)| money::scaled(&quantity, 3))
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn at(property: &'static str) -> impl Fn(MoneyError) -> OrderError {
    move |reason| OrderError { property, reason: OrderFault::Money(reason) }
}

/// Why an event about an order makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{property}: {reason}")]
pub struct OrderError {
    /// The property at fault.
    pub property: &'static str,
    /// What is wrong with it.
    pub reason: OrderFault,
}

/// What is wrong with a property of an event about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderFault {
    /// It is no amount or currency.
    #[error(transparent)]
    Money(MoneyError),
    /// It is not there.
    #[error("is missing; name the order that has changed")]
    Missing,
    /// It is too long to be kept.
    #[error("is longer than {MAX_VALUE_BYTES} bytes")]
    TooLong,
    /// A line that is given back does not say what it cost.
    #[error("a line that is given back has no price; name each line's price, or the refund's amount")]
    NoPrice,
}

/// What an event says of an order's inside. It is read to be shown, so what cannot be read is left out; the fold needs
/// none of it and keeps none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderDetails {
    /// The first [`MAX_ORDER_LINES`] lines.
    pub lines: Vec<OrderLine>,
    /// How many lines there are.
    pub line_count: usize,
    /// The lines' sum, before shipping and tax.
    pub subtotal: Option<Money>,
    /// What shipping cost.
    pub shipping: Option<Money>,
    /// Tax.
    pub tax: Option<Money>,
    /// What was taken off.
    pub discount: Option<Money>,
    /// The code it was taken off with.
    pub coupon: Option<String>,
}

/// One line of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderLine {
    /// `product_id`, else `sku`.
    pub product_id: Option<String>,
    /// The product's name.
    pub name: Option<String>,
    /// Its category.
    pub category: Option<String>,
    /// Its brand.
    pub brand: Option<String>,
    /// Which variant of it.
    pub variant: Option<String>,
    /// What one costs.
    pub price: Option<Money>,
    /// How many, in thousandths: goods are sold by weight, too.
    pub quantity_thousandths: i64,
    /// The code that made it cheaper.
    pub coupon: Option<String>,
}

impl OrderDetails {
    /// Reads the inside of an order whose currency is that of the event, else the site's.
    pub fn read(properties: &Map<String, Value>, site_currency: Currency) -> OrderDetails {
        let own = Properties(properties);
        let currency = own.currency().ok().flatten().unwrap_or(site_currency);
        let money = |of: &Properties<'_>, key: &'static str| {
            of.first(&[key]).and_then(|(_, amount)| Money::parse(&amount, currency).ok())
        };
        let lines = match properties.get("products") {
            Some(Value::Array(lines)) => lines.as_slice(),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) | None => &[],
        };
        let line = |line: &Map<String, Value>| {
            let line = Properties(line);
            let word = |keys: &[&'static str]| line.first(keys).map(|(_, word)| word);
            OrderLine {
                product_id: word(&["product_id", "productId", "sku"]),
                name: word(&["name"]),
                category: word(&["category"]),
                brand: word(&["brand"]),
                variant: word(&["variant"]),
                price: money(&line, "price"),
                quantity_thousandths: line.quantity().unwrap_or(1_000),
                coupon: word(&["coupon"]),
            }
        };
        OrderDetails {
            lines: lines.iter().filter_map(Value::as_object).take(MAX_ORDER_LINES).map(line).collect(),
            line_count: lines.len(),
            subtotal: money(&own, "subtotal"),
            shipping: money(&own, "shipping"),
            tax: money(&own, "tax"),
            discount: money(&own, "discount"),
            coupon: own.first(&["coupon"]).map(|(_, coupon)| coupon),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Trust;
    use serde_json::json;

    const EVENT_ID: Uuid = Uuid::from_u128(7);

    fn told(name: &str, properties: Value) -> Result<Option<OrderReport>, OrderError> {
        let Value::Object(properties) = properties else { panic!("properties are an object") };
        OrderReport::read(name, &properties, EVENT_ID, Currency::EUR)
    }

    fn read(properties: Value) -> Result<Option<OrderReport>, OrderError> {
        told(ORDER_COMPLETED, properties)
    }

    fn order(order_id: &str, total: Option<(i64, Currency)>) -> Result<Option<OrderReport>, OrderError> {
        let total = total.map(|(minor, currency)| Money { minor, currency });
        Ok(Some(OrderReport { order_id: order_id.into(), act: OrderAct::Completed { total } }))
    }

    fn refund(properties: Value) -> Refund {
        match told(ORDER_REFUNDED, properties).unwrap().unwrap().act {
            OrderAct::Refunded(refund) => refund,
            other => panic!("{other:?}"),
        }
    }

    fn thousandths(properties: Value) -> Option<i64> {
        refund(properties).amount.map(|amount| amount.thousandths)
    }

    #[test]
    fn an_order_is_read_from_the_words_that_shops_use() {
        let euros = Some((2_933, Currency::EUR));
        assert_eq!(read(json!({"order_id": "A1", "total": 29.33})), order("A1", euros));
        assert_eq!(read(json!({"orderId": 1001, "revenue": "29.33"})), order("1001", euros));
        assert_eq!(
            read(json!({"id": " A1 ", "value": 29.33, "currency": "usd"})),
            order("A1", Some((2_933, Currency::USD)))
        );
        // The specification's own word before its neighbours.
        assert_eq!(read(json!({"id": "no", "order_id": "A1", "value": 1, "total": 29.33})), order("A1", euros));
    }

    #[test]
    fn what_an_order_leaves_out_is_filled_in_or_left_open() {
        assert_eq!(read(json!({})), order(&EVENT_ID.to_string(), None));
        let blank = json!({"order_id": "", "orderId": null, "id": "A1", "total": " ", "currency": null});
        assert_eq!(read(blank), order("A1", None));
        assert_eq!(read(json!({"order_id": "A1", "total": 0})), order("A1", Some((0, Currency::EUR))));
    }

    #[test]
    fn an_amount_or_currency_that_is_none_is_named() {
        let error = read(json!({"order_id": "A1", "revenue": "much"})).unwrap_err();
        assert_eq!((error.property, error.reason), ("revenue", OrderFault::Money(MoneyError::Amount)));
        assert_eq!(error.to_string(), "revenue: an amount is a decimal number, for example 19.90");
        assert_eq!(read(json!({"total": 1e300})).unwrap_err().reason, OrderFault::Money(MoneyError::Range));
        let error = read(json!({"total": 1, "currency": "Euro"})).unwrap_err();
        assert_eq!((error.property, error.reason), ("currency", OrderFault::Money(MoneyError::Currency)));
    }

    #[test]
    fn other_events_report_no_order() {
        assert_eq!(told("order completed", json!({"order_id": "A1", "total": "much"})), Ok(None));
        assert_eq!(told("Product Added", json!({"order_id": "A1"})), Ok(None));
        assert!(!changes_an_order(ORDER_COMPLETED) && changes_an_order(ORDER_CANCELLED));
    }

    #[test]
    fn a_refund_names_its_amount_or_its_lines_or_is_the_whole_order() {
        let by = |word: &str| refund(json!({ "order_id": "A1", word: 10 })).amount.map(|amount| amount.thousandths);
        assert_eq!(["total", "amount", "revenue", "value"].map(by), [Some(10_000); 4], "whatever the word for it");
        let part = refund(json!({"order_id": "A1", "refund_id": 7, "amount": "5.50", "currency": "EUR"}));
        assert_eq!(part.refund_id.as_deref(), Some("7"));
        assert_eq!(part.amount, Some(Amount { thousandths: 5_500, currency: Some(Currency::EUR) }));
        assert_eq!(thousandths(json!({"order_id": "A1", "value": -5.5})), Some(5_500), "some book it as negative");
        let lines = json!([{"price": "2.50", "quantity": 2}, {"price": 1}, {"price": 4, "quantity": "0.25"}]);
        assert_eq!(thousandths(json!({"order_id": "A1", "products": lines})), Some(7_000));
        assert_eq!(thousandths(json!({"order_id": "A1", "total": 3, "products": lines})), Some(3_000));
        assert_eq!(thousandths(json!({"order_id": "A1", "products": [], "total": null})), None);
    }

    #[test]
    fn what_changes_an_order_names_it() {
        for name in [ORDER_UPDATED, ORDER_REFUNDED, ORDER_CANCELLED] {
            let error = told(name, json!({"id": "r1", "order_id": " "})).unwrap_err();
            assert_eq!(error.to_string(), "order_id: is missing; name the order that has changed", "{name}");
        }
        let cancelled = told(ORDER_CANCELLED, json!({"orderId": 5})).unwrap().unwrap();
        assert_eq!((&*cancelled.order_id, cancelled.act), ("5", OrderAct::Cancelled));
        let updated = told(ORDER_UPDATED, json!({"order_id": "5", "revenue": 2})).unwrap().unwrap();
        let total = Some(Money { minor: 200, currency: Currency::EUR });
        assert_eq!(updated.act, OrderAct::Updated { total, in_force: false });
        let restored = told(ORDER_UPDATED, json!({"order_id": "A1", "cancelled": false})).unwrap().unwrap();
        assert_eq!(restored.act, OrderAct::Updated { total: None, in_force: true });
    }

    #[test]
    fn a_refund_that_says_nothing_clear_is_told_to_its_sender() {
        let fault = |properties| told(ORDER_REFUNDED, properties).unwrap_err();
        let error = fault(json!({"order_id": "A1", "products": [{"product_id": "p"}]}));
        assert_eq!((error.property, error.reason), ("products", OrderFault::NoPrice));
        assert_eq!(fault(json!({"order_id": "A1", "products": [3]})).reason, OrderFault::NoPrice);
        let error = fault(json!({"order_id": "A1", "amount": "half"}));
        assert_eq!((error.property, error.reason), ("amount", OrderFault::Money(MoneyError::Amount)));
        assert_eq!(fault(json!({"order_id": "A1", "refund_id": "x".repeat(257)})).reason, OrderFault::TooLong);
        let much = json!([{"price": 9e14, "quantity": 9e11}]);
        assert_eq!(fault(json!({"order_id": "A1", "products": much})).reason, OrderFault::Money(MoneyError::Range));
    }

    #[test]
    fn an_amount_is_of_the_orders_currency() {
        let of = |thousandths, currency| Amount { thousandths, currency };
        let yen: Currency = "JPY".parse().unwrap();
        assert_eq!(of(5_505, None).minor(Currency::EUR), Some(551));
        assert_eq!(of(5_505, None).minor(yen), Some(6));
        assert_eq!(of(5_505, None).minor("KWD".parse().unwrap()), Some(5_505));
        assert_eq!(of(5_505, Some(Currency::USD)).minor(Currency::EUR), None);
    }

    #[test]
    fn an_orders_inside_is_read_as_far_as_it_can_be() {
        let Value::Object(properties) = json!({
            "currency": "USD", "subtotal": 22.5, "shipping": "3", "tax": "none", "discount": 2.5, "coupon": "MAY",
            "products": [
                {"product_id": 507, "sku": "G-32", "name": "Kettle", "category": "Home", "brand": "Hario",
                 "variant": "black", "price": 19, "quantity": 2, "coupon": "MAY"},
                "nonsense",
                {"sku": "F-1", "price": "free"},
            ],
        }) else {
            panic!("an object")
        };
        let details = OrderDetails::read(&properties, Currency::EUR);
        let usd = |minor| Some(Money { minor, currency: Currency::USD });
        assert_eq!((details.subtotal, details.shipping, details.tax), (usd(2_250), usd(300), None));
        assert_eq!((details.discount, details.coupon.as_deref()), (usd(250), Some("MAY")));
        assert_eq!((details.lines.len(), details.line_count), (2, 3));
        let kettle = &details.lines[0];
        assert_eq!(
            (kettle.product_id.as_deref(), kettle.price, kettle.quantity_thousandths),
            (Some("507"), usd(1_900), 2_000)
        );
        assert_eq!((kettle.brand.as_deref(), kettle.variant.as_deref()), (Some("Hario"), Some("black")));
        assert_eq!((details.lines[1].product_id.as_deref(), details.lines[1].price), (Some("F-1"), None));
    }

    #[test]
    fn a_trusted_word_outranks_a_browsers() {
        assert!(Trust::Trusted > Trust::Browser);
        assert_eq!(serde_json::to_value(Trust::Browser).unwrap(), json!("browser"));
    }
}
