//! When to write, and when not to. While a site has too few returns for a usual gap, nobody is due or overdue.

use super::words::{all, any, at_least, days, fact, first_within, is, is_number, order};
use super::{Ready, Sets};
use crate::segment::rule::{Clause, Fact, Test};

pub(super) fn ready() -> Vec<Ready> {
    vec![
        Ready {
            key: "timing-just-ordered",
            name: "Just ordered: do not disturb",
            description: "Has ordered in the last 7 days.",
            action: "Leave them out of promotions and send delivery news only.",
            sets: Sets::Commerce,
            who: at_least(1, order(), days(7)),
        },
        Ready {
            key: "timing-new-customers",
            name: "New customers",
            description: "Has made the first order in the last 30 days.",
            action: "Send the welcome series: how to use what they bought, who you are, how returns work.",
            sets: Sets::Commerce,
            who: first_within(order(), 30),
        },
        Ready {
            key: "timing-next-order-this-week",
            name: "Next order due this week",
            description: "Within the next week the usual time between two orders will have passed.",
            action: "Send what goes with the last order now, before they look elsewhere.",
            sets: Sets::Commerce,
            who: fact(Fact::DaysPastUsualGap, Test::Between(-6.0, 0.0)),
        },
        Ready {
            key: "timing-second-order-due",
            name: "Second order due",
            description: "Has ordered once, longer ago than half of those who came back took, and is not at risk yet.",
            action: "Ask for the second order: a recommendation that goes with the first, and no discount yet.",
            sets: Sets::Commerce,
            who: overdue(fact(Fact::Orders, is_number(1))),
        },
        Ready {
            key: "timing-next-order-overdue",
            name: "Next order overdue",
            description: "Has ordered before and again, waits longer than half of such buyers do, and is not at risk yet.",
            action: "Remind them of what they usually buy, with a reorder in one click.",
            sets: Sets::Commerce,
            who: overdue(fact(Fact::Orders, Test::AtLeast(2.0))),
        },
        Ready {
            key: "timing-anniversary",
            name: "Anniversary of the first order",
            description: "The first order will be one, two, three, four or five years old within a week.",
            action: "Congratulate them on the day, with a small present and no minimum order.",
            sets: Sets::Commerce,
            who: any([365, 730, 1_095, 1_461, 1_826].map(in_the_week_before)),
        },
    ]
}

/// Later than half of such orders, and not yet than three of four.
fn overdue(orders: Clause) -> Clause {
    all([orders, fact(Fact::DaysPastUsualGap, Test::AtLeast(1.0)), fact(Fact::Lifecycle, is("active"))])
}

fn in_the_week_before(age_days: u32) -> Clause {
    let age_days = f64::from(age_days);
    fact(Fact::DaysSinceFirstOrder, Test::Between(age_days - 7.0, age_days - 1.0))
}
