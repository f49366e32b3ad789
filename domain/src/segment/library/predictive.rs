//! What the site's model expects. Nobody is in these segments while a site has no model.
//!
//! "Likely to churn" and "alive, but silent" share nobody: one asks for even odds or less of being a customer still, the
//! other for seven in ten or more.

use super::words::{all, fact, one_of};
use super::{Ready, Sets};
use crate::segment::rule::{Fact, Test};

pub(super) fn ready() -> Vec<Ready> {
    vec![
        Ready {
            key: "predictive-likely-to-buy",
            name: "Likely to buy",
            description: "Still a customer with seven chances in ten or more, and half an order or more is expected of \
                          them in the next 90 days.",
            action: "Show them new products at full price: a discount would be given away.",
            sets: Sets::Commerce,
            who: all([
                fact(Fact::ProbabilityAlive, Test::AtLeast(0.7)),
                fact(Fact::ExpectedOrders, Test::AtLeast(0.5)),
            ]),
        },
        Ready {
            key: "predictive-likely-to-churn",
            name: "Likely to churn",
            description: "Still a customer with even odds at best, although not churned by the calendar.",
            action: "Act before the calendar does: a personal message with a reason to come back.",
            sets: Sets::Commerce,
            who: all([
                fact(Fact::ProbabilityAlive, Test::AtMost(0.5)),
                fact(Fact::Lifecycle, one_of(["active", "at-risk"])),
            ]),
        },
        Ready {
            key: "predictive-top-10-percent",
            name: "High predicted value",
            description: "The tenth of all buyers of whom most revenue is expected in the coming year.",
            action: "Take them as the seed of lookalike audiences and serve them first when stock is short.",
            sets: Sets::Commerce,
            who: fact(Fact::ExpectedRevenuePercentile, Test::AtLeast(90.0)),
        },
        Ready {
            key: "predictive-rising",
            name: "Rising customers",
            description: "The fifth of all buyers of whom most revenue is expected, when they have not yet spent more than \
                          three of five.",
            action: "Invest early: loyalty programme, service and recommendations as for the best customers.",
            sets: Sets::Commerce,
            who: all([
                fact(Fact::ExpectedRevenuePercentile, Test::AtLeast(80.0)),
                fact(Fact::RevenuePercentile, Test::AtMost(60.0)),
            ]),
        },
        Ready {
            key: "predictive-alive-but-silent",
            name: "Alive, but silent",
            description: "At risk or churned by the calendar, yet still a customer with seven chances in ten or more.",
            action: "Send a friendly reminder without a discount: they buy rarely and have not left.",
            sets: Sets::Commerce,
            who: all([
                fact(Fact::ProbabilityAlive, Test::AtLeast(0.7)),
                fact(Fact::Lifecycle, one_of(["at-risk", "churned"])),
            ]),
        },
    ]
}
