//! Commerce in Segment's words (its spec "V2 Ecommerce Events"), which every protocol's are translated to.

use domain::event::ORDER_COMPLETED;
use serde_json::{Map, Value};

/// An order that was paid back, in part or in full.
pub(crate) const ORDER_REFUNDED: &str = "Order Refunded";
pub(crate) const PRODUCT_VIEWED: &str = "Product Viewed";
pub(crate) const PRODUCT_LIST_VIEWED: &str = "Product List Viewed";
pub(crate) const PRODUCT_CLICKED: &str = "Product Clicked";
pub(crate) const PRODUCT_ADDED: &str = "Product Added";
pub(crate) const PRODUCT_REMOVED: &str = "Product Removed";
pub(crate) const CHECKOUT_STARTED: &str = "Checkout Started";
pub(crate) const CHECKOUT_STEP: &str = "Checkout Step Completed";
pub(crate) const PROMOTION_VIEWED: &str = "Promotion Viewed";
pub(crate) const PROMOTION_CLICKED: &str = "Promotion Clicked";
pub(crate) const PRODUCTS_SEARCHED: &str = "Products Searched";

/// Our name of one of theirs.
pub(crate) fn name_of<'a>(names: &[(&str, &'a str)], theirs: &str) -> Option<&'a str> {
    names.iter().find(|(name, _)| *name == theirs).map(|(_, ours)| *ours)
}

/// An object whose properties have our names where they are in the table, and their own where they are not.
pub(crate) fn renamed(object: &Map<String, Value>, names: &[(&str, &str)]) -> Map<String, Value> {
    let ours = |name: &str| name_of(names, name).unwrap_or(name).to_owned();
    object.iter().map(|(name, value)| (ours(name), value.clone())).collect()
}

/// Adds the products of an event: an order lists them, what is done with a single one names its properties itself.
pub(crate) fn add_products(event: &str, properties: &mut Map<String, Value>, products: Vec<Map<String, Value>>) {
    let lists = [ORDER_COMPLETED, ORDER_REFUNDED, PRODUCT_LIST_VIEWED, CHECKOUT_STARTED].contains(&event);
    match <[Map<String, Value>; 1]>::try_from(products) {
        Ok([product]) if !lists => {
            for (name, value) in product {
                properties.entry(name).or_insert(value);
            }
        }
        Ok([product]) => {
            properties.insert("products".to_owned(), Value::Array(vec![Value::Object(product)]));
        }
        Err(products) if !products.is_empty() => {
            let products = products.into_iter().map(Value::Object).collect();
            properties.insert("products".to_owned(), Value::Array(products));
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::{ORDER_CANCELLED, ORDER_UPDATED};

    #[test]
    fn what_other_protocols_become_is_in_the_trackers_vocabulary() {
        let named = [
            ORDER_COMPLETED,
            ORDER_UPDATED,
            ORDER_REFUNDED,
            ORDER_CANCELLED,
            PRODUCT_VIEWED,
            PRODUCT_LIST_VIEWED,
            PRODUCT_CLICKED,
            PRODUCT_ADDED,
            PRODUCT_REMOVED,
            CHECKOUT_STARTED,
            CHECKOUT_STEP,
            PROMOTION_VIEWED,
            PROMOTION_CLICKED,
            PRODUCTS_SEARCHED,
        ];
        for name in named {
            assert!(wire::vocabulary::event(name).is_some(), "{name}");
        }
    }
}
