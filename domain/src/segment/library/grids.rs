//! The lifecycle grid and the RFM groups as rules, under the keys and names they have as segments of every site.

use super::words::{all, fact, is};
use super::{Entry, Sets, Theme};
use crate::segment::lifecycle::Standing;
use crate::segment::rfm::Group;
use crate::segment::rule::{Clause, Fact, Rule};
use crate::segment::{SegmentKey, definition};

pub(super) fn entries() -> impl Iterator<Item = Entry> {
    let standings = Standing::all().map(|standing| {
        let who = all([fact(Fact::Buyers, is(standing.buyers.key())), fact(Fact::Lifecycle, is(standing.stage.key()))]);
        entry(SegmentKey::Lifecycle(standing), Theme::Lifecycle, who)
    });
    let groups = Group::ALL
        .into_iter()
        .map(|group| entry(SegmentKey::Rfm(group), Theme::Rfm, fact(Fact::RfmGroup, is(group.key()))));
    standings.chain(groups)
}

fn entry(key: SegmentKey, theme: Theme, who: Clause) -> Entry {
    let definition = definition(key);
    Entry {
        key: key.to_string().into(),
        name: definition.name.into(),
        description: definition.description.into(),
        action: definition.action.into(),
        theme,
        // Stages are told by orders: without any, everybody who signed up would churn.
        sets: Sets::Commerce,
        rule: Rule::new(who),
    }
}
