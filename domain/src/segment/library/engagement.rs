//! What somebody does on the site.

use super::words::{
    all, at_least, days, days_ago, fact, first_before, last_before, left_for_an_hour, never, never_ordered, order,
    page, track, visit,
};
use super::{Ready, Sets};
use crate::segment::rule::{Fact, Test, Window};

pub(super) fn ready() -> Vec<Ready> {
    vec![
        Ready {
            key: "engagement-visited-30-days",
            name: "Visited in the last 30 days",
            description: "Has been on the site in the last 30 days.",
            action: "Take them as the audience of news and launches: they still know you.",
            sets: Sets::Both,
            who: at_least(1, visit(), days(30)),
        },
        Ready {
            key: "engagement-cart-abandoned",
            name: "Cart abandoned",
            description: "Put something into the cart in the last 7 days, did not order within an hour, and has neither \
                          gone to the checkout nor ordered in these days.",
            action: "Send one reminder with the cart's products after a few hours, and answer the question of delivery.",
            sets: Sets::Commerce,
            who: all([
                left_for_an_hour(track("Product Added"), order(), days(7)),
                never(track("Checkout Started"), days(7)),
                // Who came back and bought must not be reminded.
                never(order(), days(7)),
            ]),
        },
        Ready {
            key: "engagement-checkout-abandoned",
            name: "Checkout abandoned",
            description: "Began the checkout in the last 7 days, did not order within an hour, and has not ordered in these days.",
            action: "Write on the same day, ask what stopped them, and name delivery costs and ways to pay.",
            sets: Sets::Commerce,
            who: all([left_for_an_hour(track("Checkout Started"), order(), days(7)), never(order(), days(7))]),
        },
        Ready {
            key: "engagement-pricing-readers",
            name: "Keeps looking at prices",
            description: "Has viewed the pricing page three times or more in 14 days, and never ordered or subscribed.",
            action: "Offer a call or a comparison of plans, and show what customers like them pay and get.",
            sets: Sets::Both,
            who: all([
                at_least(3, page("*/pricing*"), days(14)),
                never_ordered(),
                never(track("Subscription Started"), Window::Ever),
            ]),
        },
        Ready {
            key: "engagement-looked-never-added",
            name: "Looked, put nothing into the cart",
            description: "Has viewed products three times or more in 14 days, put none into the cart and ordered nothing.",
            action: "Show the products they viewed again, with reviews and the answer to sizes and returns.",
            sets: Sets::Commerce,
            who: all([
                at_least(3, track("Product Viewed"), days(14)),
                never(track("Product Added"), days(14)),
                never(order(), days(14)),
            ]),
        },
        Ready {
            key: "engagement-searching-not-buying",
            name: "Searches and does not buy",
            description: "Has searched for products three times or more in 14 days and ordered nothing.",
            action: "Read what they searched for, add what is missing, and write when it is there.",
            sets: Sets::Commerce,
            who: all([at_least(3, track("Products Searched"), days(14)), never(order(), days(14))]),
        },
        Ready {
            key: "engagement-blog-readers",
            name: "Heavy readers of the blog",
            description: "Has viewed five articles or more in the last 30 days.",
            action: "Invite them to the newsletter, and link the articles to what you sell.",
            sets: Sets::Both,
            who: at_least(5, page("*/blog/*"), days(30)),
        },
        Ready {
            key: "engagement-back-after-a-pause",
            name: "Back after a long pause",
            description: "Has visited in the last 7 days, for the first time after 83 days or more.",
            action: "Greet them with what is new since their last visit while they are here.",
            sets: Sets::Both,
            who: all([at_least(1, visit(), days(7)), never(visit(), days_ago(90, 7)), first_before(visit(), 90)]),
        },
        Ready {
            key: "engagement-lapsed-visitors",
            name: "Lapsed visitors",
            description: "Has come twice or more, not in the last 60 days, and never ordered.",
            action: "Write once with what is new to those with an address, and take the others out of retargeting.",
            sets: Sets::Both,
            who: all([fact(Fact::Visits, Test::AtLeast(2.0)), last_before(visit(), 60), never_ordered()]),
        },
    ]
}
