//! What brought somebody.

use super::words::{all, at_least, days, fact, first_within, is, is_number, never_ordered, one_of, visit, with};
use super::{Ready, Sets};
use crate::segment::rule::{Clause, Fact, Test};

pub(super) fn ready() -> Vec<Ready> {
    vec![
        Ready {
            key: "acquisition-organic",
            name: "Found by search",
            description: "Came first through an unpaid search result.",
            action: "See which pages they came in on, and write more that answers the same question.",
            sets: Sets::Both,
            who: came_through(one_of(["organic_search", "organic_shopping"])),
        },
        Ready {
            key: "acquisition-paid",
            name: "Won by advertising",
            description: "Came first through an advertisement that is paid for.",
            action: "Compare what they spend with what they cost, campaign by campaign.",
            sets: Sets::Both,
            who: came_through(paid()),
        },
        Ready {
            key: "acquisition-newsletter",
            name: "Won by the newsletter",
            description: "Came first through a link in an e-mail.",
            action: "Keep talking to them there, and ask them to pass the newsletter on.",
            sets: Sets::Both,
            who: came_through(is("email")),
        },
        Ready {
            key: "acquisition-social",
            name: "Won on social networks",
            description: "Came first through an unpaid post or video on a social network.",
            action: "Post more of what brought them, and ask them for pictures of what they bought.",
            sets: Sets::Both,
            who: came_through(one_of(["organic_social", "organic_video"])),
        },
        Ready {
            key: "acquisition-referral",
            name: "Sent by others",
            description: "Came first through a link on another site or from a partner.",
            action: "Thank the sites that send buyers, and make them partners.",
            sets: Sets::Both,
            who: came_through(one_of(["referral", "affiliates"])),
        },
        Ready {
            key: "acquisition-direct",
            name: "Came directly",
            description: "Came first by typing the address or from where nothing can be seen.",
            action: "Ask at sign-up how they heard of you: most of it is word of mouth.",
            sets: Sets::Both,
            who: came_through(is("direct")),
        },
        Ready {
            key: "acquisition-newsletter-never-ordered",
            name: "Reads the newsletter, never ordered",
            description: "Has come through a newsletter twice or more in 90 days and never ordered.",
            action: "Make a first-order offer that only the newsletter has.",
            sets: Sets::Commerce,
            who: all([at_least(2, with(visit(), "channel", is("email")), days(90)), never_ordered()]),
        },
        Ready {
            key: "acquisition-paid-came-once",
            name: "Paid for, came once",
            description: "Came through an advertisement in the last 30 days, was never back and did not order.",
            action: "Retarget them for two weeks with what they looked at, and no longer.",
            sets: Sets::Both,
            who: all([
                came_through(paid()),
                first_within(visit(), 30),
                fact(Fact::Visits, is_number(1)),
                never_ordered(),
            ]),
        },
    ]
}

fn came_through(channel: Test) -> Clause {
    fact(Fact::FirstChannel, channel)
}

fn paid() -> Test {
    one_of([
        "paid_search",
        "paid_social",
        "paid_shopping",
        "paid_video",
        "paid_other",
        "display",
        "cross_network",
        "audio",
    ])
}
