//! Real SDKs of others, unmodified, pointed at the collector by their documented options: each event is stored once, in
//! the right profile, also when the first answers are 503 and when the connection ends before an answer is through.

#[path = "sdk/browsers.rs"]
mod browsers;
#[path = "sdk/servers.rs"]
mod servers;

use std::collections::BTreeMap;
use tests::proxy::Trouble;
use tests::{Shop, is_full};

/// What SDKs that send again go through: both troubles in a row, and in a full run each for itself.
fn troubles() -> Vec<Vec<Trouble>> {
    use Trouble::{Cut, Refuse};
    let mut all = vec![vec![], vec![Refuse, Cut]];
    if is_full() {
        all.extend([vec![Refuse], vec![Refuse, Refuse], vec![Cut], vec![Cut, Cut], vec![Cut, Refuse]]);
    }
    all
}

/// As [`Shop::brought`] tells it, each once.
fn once(what: &[&str]) -> BTreeMap<String, i64> {
    what.iter().map(|what| ((*what).to_owned(), 1)).collect()
}

/// Everything that arrived was stored, or was there already.
#[track_caller]
fn nothing_was_rejected(shop: &Shop) {
    let outcomes = shop.outcomes();
    assert!(outcomes.rejected.is_empty(), "{outcomes:?}");
}
