//! The demo: a shop to click through, and a generated year of its customers.
//!
//! Everything is invented; e-mail addresses end in `example.com`. The generated messages have the shape of Segment's
//! public HTTP API and are meant for the real intake, with the site's secret key.

mod calendar;
mod catalogue;
pub(crate) mod load;
mod marketing;
mod measures;
mod message;
mod random;
pub mod shop;
#[cfg(test)]
mod tests;
mod year;

use calendar::Year;
use serde_json::Value;

/// The shop's name.
pub const SHOP_NAME: &str = "Kettle & Crema";

/// The domain of the generated pages.
pub const DOMAIN: &str = "kettle-crema.example";

/// What it is paid in.
pub const CURRENCY: &str = "USD";

/// Where its customers live.
pub const TIME_ZONE: &str = "America/New_York";

/// Real orders of another shop: 6,919 orders of 2,357 people in 1997 and 1998. Where they come from is said beside the
/// file.
pub const CDNOW_ORDERS: &[u8] = include_bytes!("../../../domain/tests/data/cdnow_sample.csv");

/// The year that ends at `end`, of about `people` visitors, as messages in order of time.
///
/// The same arguments give the same messages under the same ids: what is sent again is recognised, as long as the seed
/// and the end are the site's own. More people only add to the story. 3,000 people make some 75,000 messages.
pub fn messages(seed: u64, end: jiff::Timestamp, people: usize) -> impl Iterator<Item = Value> {
    let year = Year::ending(end);
    let people = u32::try_from(people).unwrap_or(u32::MAX);
    let mut events: Vec<year::Event> = (0..people).flat_map(|index| year::story(seed, index, year)).collect();
    events.sort_by_key(|event| (event.at, event.who.index, event.number));
    message::write(seed, events)
}
