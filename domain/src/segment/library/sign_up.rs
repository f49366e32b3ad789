//! Accounts, trials and subscriptions.

use super::words::{
    all, any, anything, at_least, days, days_ago, fact, first_within, followed, is, never, not, track, visit,
};
use super::{Ready, Sets};
use crate::segment::rule::{Clause, Fact, Test, Window};

pub(super) fn ready() -> Vec<Ready> {
    vec![
        Ready {
            key: "sign-up-never-back",
            name: "Signed up, never came back",
            description: "Signed up 3 to 30 days ago and has not visited since.",
            action: "Send the one step that shows the benefit, and offer to set it up with them.",
            sets: Sets::SignUp,
            who: all([
                at_least(1, track("Signed Up"), days_ago(30, 3)),
                not(followed(track("Signed Up"), visit(), days(30))),
            ]),
        },
        Ready {
            key: "sign-up-regulars-without-account",
            name: "Regulars without an account",
            description: "Has visited five times or more in 30 days, and neither name nor address is known.",
            action: "Show what an account is good for: saved carts, alerts, members' prices.",
            sets: Sets::Both,
            who: all([at_least(5, visit(), days(30)), fact(Fact::SignedUp, is("false"))]),
        },
        Ready {
            key: "sign-up-likely",
            name: "Likely to sign up",
            description: "Has not signed up, and does so within 30 days with a probability of 10 % or more.",
            action: "Ask them to sign up while they are here, in one step, and say what they get at once.",
            sets: Sets::Both,
            who: fact(Fact::ProbabilityOfSignUp, Test::AtLeast(0.1)),
        },
        Ready {
            key: "sign-up-likely-back",
            name: "Likely to come back",
            description: "Visits again within 30 days with a probability of 70 % or more.",
            action: "Spend nothing on bringing them back, and show them what is new when they come.",
            sets: Sets::Both,
            who: fact(Fact::ProbabilityOfReturn, Test::AtLeast(0.7)),
        },
        Ready {
            key: "sign-up-unlikely-back",
            name: "Signed up, unlikely to come back",
            description: "Has an account, and visits again within 30 days with a probability of 20 % or less.",
            action: "Write to them about the one thing they used most; the site will not get to see them otherwise.",
            sets: Sets::Both,
            who: all([fact(Fact::SignedUp, is("true")), fact(Fact::ProbabilityOfReturn, Test::AtMost(0.2))]),
        },
        Ready {
            key: "sign-up-trial-ending",
            name: "Trial ending",
            description: "Started a trial 11 to 14 days ago and has not subscribed in these days.",
            action: "Show what they achieved in the trial and what they would lose, and offer help or an extension.",
            sets: Sets::SignUp,
            who: all([
                at_least(1, track("Trial Started"), days_ago(14, 11)),
                never(track("Subscription Started"), days(14)),
            ]),
        },
        Ready {
            key: "sign-up-trial-lapsed",
            name: "Trial over, no subscription",
            description: "Started a trial 14 to 60 days ago, none since, and has not subscribed in these days.",
            action: "Ask what was missing, and come back when it is there.",
            sets: Sets::SignUp,
            who: all([
                at_least(1, track("Trial Started"), days_ago(60, 14)),
                never(track("Trial Started"), days(14)),
                never(track("Subscription Started"), days(60)),
            ]),
        },
        Ready {
            key: "sign-up-upgraded",
            name: "Upgraded from trial",
            description: "Subscribed for the first time in the last 30 days, after a trial.",
            action: "Welcome them as customers, set up the next feature with them, and offer the yearly plan later.",
            sets: Sets::SignUp,
            who: all([
                first_within(track("Subscription Started"), 30),
                followed(track("Trial Started"), track("Subscription Started"), Window::Ever),
            ]),
        },
        Ready {
            key: "sign-up-power-users",
            name: "Power users",
            description: "Has an account and came or logged in twelve times or more in the last 30 days.",
            action: "Ask them for a case study, show them the larger plan, and let them try features first.",
            sets: Sets::SignUp,
            who: all([
                fact(Fact::SignedUp, is("true")),
                any([at_least(12, visit(), days(30)), at_least(12, track("Logged In"), days(30))]),
            ]),
        },
        Ready {
            key: "sign-up-gone-quiet",
            name: "Gone quiet",
            description: "Has an account, did ten things or more in the month before, and nothing in the last 14 days.",
            action: "Ask what changed while they still pay, and point to what they used most.",
            sets: Sets::SignUp,
            who: all([
                fact(Fact::SignedUp, is("true")),
                at_least(10, anything(), days_ago(44, 14)),
                never(anything(), days(14)),
            ]),
        },
        Ready {
            key: "sign-up-invited-others",
            name: "Invites others",
            description: "Has invited somebody in the last 90 days.",
            action: "Thank them, reward the invitations that were accepted, and offer the team plan.",
            sets: Sets::SignUp,
            who: any([at_least(1, track("Invited"), days(90)), at_least(1, track("Invite Sent"), days(90))]),
        },
        Ready {
            key: "sign-up-cancelled",
            name: "Cancelled",
            description: "Cancelled the subscription in the last 90 days and has not subscribed again.",
            action: "Ask for the reason in one question, and write again when it is gone.",
            sets: Sets::SignUp,
            who: all([at_least(1, track("Subscription Cancelled"), days(90)), not(subscribed_again(90))]),
        },
        Ready {
            key: "sign-up-back-after-cancelling",
            name: "Looks again after cancelling",
            description: "Cancelled the subscription within a year, has visited again since and in the last 14 days, and \
                          not subscribed again.",
            action: "Offer the way back while they look: their data is still there, the first month at half price.",
            sets: Sets::SignUp,
            who: all([
                followed(track("Subscription Cancelled"), visit(), days(365)),
                at_least(1, visit(), days(14)),
                not(subscribed_again(365)),
            ]),
        },
    ]
}

/// Both in the last so many days, so that who cancels for a second time after years is found.
fn subscribed_again(in_days: u32) -> Clause {
    followed(track("Subscription Cancelled"), track("Subscription Started"), days(in_days))
}
