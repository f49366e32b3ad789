//! The named events of shops.

use super::{Kind, NamedEvent, Property};

const fn must(name: &'static str, kind: Kind) -> Property {
    Property { name, kind, required: true }
}

const fn may(name: &'static str, kind: Kind) -> Property {
    Property { name, kind, required: false }
}

const fn event(name: &'static str, about: &'static str, properties: &'static [&'static [Property]]) -> NamedEvent {
    NamedEvent { name, about, properties }
}

/// What a product is told by, in a list or as what an event is about.
pub const PRODUCT: &[Property] = &[
    must("product_id", Kind::Id),
    may("sku", Kind::Id),
    may("name", Kind::Text),
    may("category", Kind::Text),
    may("brand", Kind::Text),
    may("variant", Kind::Text),
    may("price", Kind::Amount),
    may("quantity", Kind::Number),
    may("coupon", Kind::Text),
    may("currency", Kind::Currency),
    may("position", Kind::Count),
    may("url", Kind::Url),
    may("image_url", Kind::Url),
];

const PRODUCTS: &[Property] = &[may("products", Kind::Products)];
const CART: &[Property] = &[may("cart_id", Kind::Id)];
const LIST: &[Property] = &[may("list_id", Kind::Id), may("category", Kind::Text)];
const WISHLIST: &[Property] = &[may("wishlist_id", Kind::Id), may("wishlist_name", Kind::Text)];
const SHARE: &[Property] =
    &[may("share_via", Kind::Text), may("share_message", Kind::Text), may("recipient", Kind::Text)];
const PROMOTION: &[Property] = &[
    must("promotion_id", Kind::Id),
    may("creative", Kind::Text),
    may("name", Kind::Text),
    may("position", Kind::Text),
];

/// What is paid, of a cart or an order: `total` is everything, `revenue` what analytics.js users tell instead of it.
const MONEY: &[Property] = &[
    may("total", Kind::Amount),
    may("revenue", Kind::Amount),
    may("value", Kind::Amount),
    may("subtotal", Kind::Amount),
    may("shipping", Kind::Amount),
    may("tax", Kind::Amount),
    may("discount", Kind::Amount),
    may("coupon", Kind::Text),
    may("currency", Kind::Currency),
];
const ORDER: &[Property] = &[must("order_id", Kind::Id), may("checkout_id", Kind::Id), may("affiliation", Kind::Text)];
const BEFORE_ORDER: &[Property] =
    &[may("order_id", Kind::Id), may("checkout_id", Kind::Id), may("affiliation", Kind::Text)];
const STEP: &[Property] = &[
    may("checkout_id", Kind::Id),
    may("order_id", Kind::Id),
    may("step", Kind::Count),
    may("shipping_method", Kind::Text),
    may("payment_method", Kind::Text),
];
const COUPON: &[Property] =
    &[may("order_id", Kind::Id), may("cart_id", Kind::Id), must("coupon_id", Kind::Id), may("coupon_name", Kind::Text)];
const DISCOUNT: &[Property] = &[may("discount", Kind::Amount), may("currency", Kind::Currency)];

/// All of them, in the order in which a visit meets them.
pub const EVENTS: &[NamedEvent] = &[
    event("Products Searched", "Products were searched for.", &[&[must("query", Kind::Text)]]),
    event("Product List Viewed", "A list or category of products was seen.", &[LIST, PRODUCTS]),
    event(
        "Product List Filtered",
        "A list of products was narrowed or put in another order.",
        &[LIST, &[may("filters", Kind::Choices), may("sorts", Kind::Choices)], PRODUCTS],
    ),
    event("Promotion Viewed", "A promotion of the site's own was seen.", &[PROMOTION]),
    event("Promotion Clicked", "A promotion of the site's own was clicked.", &[PROMOTION]),
    event("Product Clicked", "A product was chosen from a list.", &[PRODUCT]),
    event("Product Viewed", "A product's own page was seen.", &[PRODUCT]),
    event("Product Added", "A product was put into the cart.", &[PRODUCT, CART]),
    event("Product Removed", "A product was taken out of the cart.", &[PRODUCT, CART]),
    event("Cart Viewed", "The cart was seen.", &[CART, PRODUCTS]),
    event("Checkout Started", "The way to the order has begun.", &[BEFORE_ORDER, MONEY, PRODUCTS]),
    event("Checkout Step Viewed", "A step on the way to the order was seen.", &[STEP]),
    event("Checkout Step Completed", "A step on the way to the order is done.", &[STEP]),
    event("Payment Info Entered", "How to pay is settled.", &[STEP]),
    event(
        "Order Completed",
        "An order was placed. `total` is what was paid; without a `currency` it is the site's own.",
        &[ORDER, MONEY, PRODUCTS],
    ),
    event(
        "Order Updated",
        "An order is another one than it was; `cancelled: false` takes a cancellation back.",
        &[ORDER, MONEY, &[may("cancelled", Kind::Flag)], PRODUCTS],
    ),
    event(
        "Order Refunded",
        "An order was paid back: `amount` of it, or all without one. A refund counts once by its `refund_id`.",
        &[ORDER, &[may("refund_id", Kind::Id), may("amount", Kind::Amount)], MONEY, PRODUCTS],
    ),
    event("Order Cancelled", "An order is none any more.", &[ORDER, MONEY, PRODUCTS]),
    event("Coupon Entered", "A coupon was typed in.", &[COUPON]),
    event("Coupon Applied", "A coupon has made something cheaper.", &[COUPON, DISCOUNT]),
    event("Coupon Denied", "A coupon was not taken.", &[COUPON, &[may("reason", Kind::Text)]]),
    event("Coupon Removed", "A coupon was taken off again.", &[COUPON, DISCOUNT]),
    event("Product Added to Wishlist", "A product was put on a wish list.", &[WISHLIST, PRODUCT]),
    event("Product Removed from Wishlist", "A product was taken off a wish list.", &[WISHLIST, PRODUCT]),
    event(
        "Wishlist Product Added to Cart",
        "A product went from a wish list into the cart.",
        &[WISHLIST, CART, PRODUCT],
    ),
    event("Product Shared", "A product was shown to somebody else.", &[SHARE, PRODUCT]),
    event("Cart Shared", "A cart was shown to somebody else.", &[SHARE, CART, PRODUCTS]),
    event(
        "Product Reviewed",
        "A product was reviewed.",
        &[&[
            must("product_id", Kind::Id),
            may("review_id", Kind::Id),
            may("review_body", Kind::Text),
            may("rating", Kind::Number),
        ]],
    ),
];
