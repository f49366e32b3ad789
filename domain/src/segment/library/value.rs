//! How much somebody spends.

use super::words::{all, fact, is, is_number, one_of};
use super::{Ready, Sets};
use crate::segment::rule::{Fact, Test};

pub(super) fn ready() -> Vec<Ready> {
    vec![
        Ready {
            key: "value-top-10-percent",
            name: "Top 10 % by revenue",
            description: "The tenth of all buyers who have spent most so far.",
            action: "Give them a contact person, early access and free delivery instead of discounts.",
            sets: Sets::Commerce,
            who: fact(Fact::RevenuePercentile, Test::AtLeast(90.0)),
        },
        Ready {
            key: "value-big-baskets",
            name: "Big baskets",
            description: "The fifth of all buyers who spend most per order.",
            action: "Show them premium products and sets, and put the free-delivery threshold above the usual basket.",
            sets: Sets::Commerce,
            who: fact(Fact::OrderValuePercentile, Test::AtLeast(80.0)),
        },
        Ready {
            key: "value-big-first-order",
            name: "Big first order",
            description: "Has ordered once, for as much as the biggest fifth of buyers spend per order, and is not churned.",
            action: "Thank them personally, make sure all went well, and suggest what completes the order.",
            sets: Sets::Commerce,
            who: all([
                fact(Fact::Orders, is_number(1)),
                fact(Fact::OrderValuePercentile, Test::AtLeast(80.0)),
                fact(Fact::Lifecycle, one_of(["active", "at-risk"])),
            ]),
        },
        Ready {
            key: "value-many-small-orders",
            name: "Many small orders",
            description: "Has ordered three times or more, for no more per order than three of five buyers spend.",
            action: "Offer bundles, subscriptions and free delivery from a basket a little above their usual one.",
            sets: Sets::Commerce,
            who: all([fact(Fact::Buyers, is("loyals")), fact(Fact::OrderValuePercentile, Test::AtMost(40.0))]),
        },
        Ready {
            key: "value-best-slipping-away",
            name: "Big spenders slipping away",
            description: "The fifth of all buyers who have spent most, when their next order is overdue.",
            action: "Have somebody write or call before a campaign does, with an offer worth their past orders.",
            sets: Sets::Commerce,
            who: all([fact(Fact::RevenuePercentile, Test::AtLeast(80.0)), fact(Fact::Lifecycle, is("at-risk"))]),
        },
        Ready {
            key: "value-best-lost",
            name: "Big spenders lost",
            description: "The fifth of all buyers who have spent most, when they are hardly expected back.",
            action: "Spend the win-back budget here first: one strong offer, and the question of what went wrong.",
            sets: Sets::Commerce,
            who: all([fact(Fact::RevenuePercentile, Test::AtLeast(80.0)), fact(Fact::Lifecycle, is("churned"))]),
        },
    ]
}
