//! What somebody did with products.

use super::words::{all, at_least, days, days_ago, never, order, track, with};
use super::{Ready, Sets};
use crate::segment::rule::{Matching, Scalar, Test};

pub(super) fn ready() -> Vec<Ready> {
    vec![
        Ready {
            key: "product-wish-list",
            name: "Wishes, not bought",
            description: "Put something on the wish list in the last 60 days and has not ordered in these days.",
            action: "Write when something on the list is cheaper or nearly sold out.",
            sets: Sets::Commerce,
            who: all([at_least(1, track("Product Added to Wishlist"), days(60)), never(order(), days(60))]),
        },
        Ready {
            key: "product-second-thoughts",
            name: "Second thoughts",
            description: "Took something out of the cart in the last 7 days and has not ordered in these days.",
            action: "Suggest cheaper or better rated products of the same kind.",
            sets: Sets::Commerce,
            who: all([at_least(1, track("Product Removed"), days(7)), never(order(), days(7))]),
        },
        Ready {
            key: "product-coupon-buyers",
            name: "Buys with coupons",
            description: "Has ordered with a coupon twice or more in a year.",
            action: "Tell them of sales first, and test whether a smaller discount does as well.",
            sets: Sets::Commerce,
            // Many shops send an empty text where there was no coupon.
            who: at_least(
                2,
                with(track("Order Completed"), "coupon", Test::IsNot(Scalar::Text(String::new()))),
                days(365),
            ),
        },
        Ready {
            key: "product-review-due",
            name: "Ask for a review",
            description: "Ordered two weeks to a month ago and has not reviewed anything in this month.",
            action: "Ask for a review of what they bought, with one click to the stars.",
            sets: Sets::Commerce,
            who: all([at_least(1, order(), days_ago(30, 14)), never(track("Product Reviewed"), days(30))]),
        },
        Ready {
            key: "product-happy-reviewers",
            name: "Happy reviewers",
            description: "Has given four stars or more in half a year, and no two stars or fewer.",
            action: "Ask them to recommend you, and quote them with their consent.",
            sets: Sets::Commerce,
            who: all([at_least(1, rated(Test::AtLeast(4.0)), days(180)), never(rated(Test::AtMost(2.0)), days(180))]),
        },
        Ready {
            key: "product-unhappy-reviewers",
            name: "Unhappy reviewers",
            description: "Has given two stars or fewer in the last 90 days.",
            action: "Have support write first, and leave them out of promotions until it is settled.",
            sets: Sets::Commerce,
            who: at_least(1, rated(Test::AtMost(2.0)), days(90)),
        },
        Ready {
            key: "product-refunded",
            name: "Sent something back",
            description: "Got money back for an order in the last 90 days.",
            action: "Ask what was wrong and suggest what fits better; ask for no review.",
            sets: Sets::Commerce,
            who: at_least(1, track("Order Refunded"), days(90)),
        },
    ]
}

fn rated(stars: Test) -> Matching {
    with(track("Product Reviewed"), "rating", stars)
}
