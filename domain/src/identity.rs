//! Who is who: the kinds of identities, how their values are written, and when two profiles are one person.
//!
//! A profile is a set of identities. A message names one or more of them; the first is the one that its events belong
//! to, and each further one is a [`Link`] between the two. An identity that was never seen before founds a profile of its
//! own; [`decide()`] answers what a link does to the two profiles.
//!
//! | link between | vouched for by | the first's profile | the second's profile | decision |
//! |---|---|---|---|---|
//! | visitor and user id | browser | anonymous | any | merge, this is what signing in means |
//! | visitor and user id | browser | known | any other | refused: a browser never joins two known people |
//! | visitor and the visitor of the browser's cookie | browser | anonymous | any | merge: the browser's storage was emptied |
//! | visitor and the visitor of the browser's cookie | browser | known | any other | refused: anybody may name a visitor beside a cookie of their own |
//! | anything and e-mail, phone, external id, order | browser | any | any | refused: anybody can type an address |
//! | user id and user id (alias) | browser | any | any | refused |
//! | anything | trusted | one of the two has no user id | | merge |
//! | visitor, phone or order and anything | trusted | has a user id | has another | refused: devices, landlines and orders are shared |
//! | user id or external id and e-mail or external id | trusted | has a user id | has another | merge: the business says that two accounts have one inbox or one customer number |
//! | anything (alias) | trusted | any | any | merge: this is what alias says |
//! | anything (a match, see [`crate::matching`]) | the site's own decision | any | any | merge: a person has looked at both, or the site lets what is this probable be joined |
//! | measured or message id and anything | any | any | any | refused: they name a visit, not a person |
//!
//! Every merge keeps the caps of [`Kind::cap`], whoever asks for it: a value that many people share (a support inbox, a
//! till's customer number) stops at the cap instead of swallowing the customer base.
//!
//! A caller that has checked a claim itself passes it as trusted: a signed identify, or a browser's order that agrees
//! with a trusted one.

mod decide;
mod graph;
mod kind;

pub use decide::{Call, Counts, Decision, Guard, Link, ProfileSummary, Reason, Refusal, Standing, decide};
pub use graph::{Graph, Outcome, Replayed, Statement, UnknownIdentity, replay};
pub use kind::{Invalid, Kind, MAX_VALUE_BYTES, normalise};

#[cfg(test)]
mod tests;
