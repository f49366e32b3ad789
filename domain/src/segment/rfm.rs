//! Recency, frequency, monetary value: each scored 1 to 5 among all buyers of the site, and the grid of named groups.
//!
//! **Scores.** A customer's score is `1 + ⌊5 · p⌋`, at most 5, where `p = below / (n − 1)` is the share of the other
//! buyers who are strictly below: SQL's `percent_rank` (ISO/IEC 9075-2, window functions). Equal values therefore share
//! one score, which quintiles by `NTILE` do not give, and a tie is always resolved to claim less: nobody is called
//! frequent or big for being like most others. For recency "below" counts those who bought *more* recently and the
//! score is turned over, so that nobody is called lapsed for it either. A fifth may thus hold more or fewer people than
//! 20 %: where 60 % bought once, all of them have F1.
//!
//! **Groups.** The 5 × 5 grid of recency and frequency with ten names is the one that CleverTap published ("RFM analysis
//! for customer segmentation"); the monetary score stands beside it.

use serde::{Deserialize, Serialize};

/// A buyer as the scores need to know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomerOrders {
    /// Days since the last order.
    pub recency_days: u32,
    /// Orders, at least one.
    pub orders: u32,
    /// Their totals in the site's currency, minor units.
    pub spent_minor: i64,
}

/// A buyer's three scores, each from 1 (least) to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scores {
    /// 5: bought most recently.
    pub recency: u8,
    /// 5: bought most often.
    pub frequency: u8,
    /// 5: spent most.
    pub monetary: u8,
}

impl Scores {
    /// The place in the grid.
    pub fn cell(&self) -> Cell {
        Cell { recency: self.recency, frequency: self.frequency }
    }
}

/// A place in the grid of recency and frequency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    recency: u8,
    frequency: u8,
}

impl Cell {
    /// The cell of two scores; `None` where one is not in 1..=5.
    pub fn new(recency: u8, frequency: u8) -> Option<Cell> {
        ((1..=5).contains(&recency) && (1..=5).contains(&frequency)).then_some(Cell { recency, frequency })
    }

    /// All 25, the best first.
    pub fn all() -> impl Iterator<Item = Cell> {
        (1..=5).rev().flat_map(|recency| (1..=5).rev().map(move |frequency| Cell { recency, frequency }))
    }

    /// The recency score, 1..=5.
    pub fn recency(&self) -> u8 {
        self.recency
    }

    /// The frequency score, 1..=5.
    pub fn frequency(&self) -> u8 {
        self.frequency
    }

    /// The named group that the cell is part of.
    pub fn group(&self) -> Group {
        GRID[usize::from(5 - self.recency)][usize::from(self.frequency - 1)]
    }
}

/// A named part of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Bought lately and often.
    Champions,
    /// Buy often.
    Loyal,
    /// Bought lately, and more than once.
    PotentialLoyal,
    /// First order just now.
    New,
    /// First order a little while ago.
    Promising,
    /// In the middle of both scales.
    NeedAttention,
    /// Slipping away after few orders.
    AboutToSleep,
    /// Bought often, but not for long.
    AtRisk,
    /// Bought most often, but not for long.
    CantLose,
    /// Few orders, long ago.
    Hibernating,
}

/// Rows from recency 5 down to 1, columns from frequency 1 up to 5.
const GRID: [[Group; 5]; 5] = {
    use Group::*;
    [
        [New, PotentialLoyal, PotentialLoyal, Champions, Champions],
        [Promising, PotentialLoyal, PotentialLoyal, Loyal, Loyal],
        [AboutToSleep, AboutToSleep, NeedAttention, Loyal, Loyal],
        [Hibernating, Hibernating, AtRisk, AtRisk, CantLose],
        [Hibernating, Hibernating, AtRisk, AtRisk, CantLose],
    ]
};

impl Group {
    /// All ten, the best first.
    pub const ALL: [Group; 10] = [
        Group::Champions,
        Group::Loyal,
        Group::PotentialLoyal,
        Group::New,
        Group::Promising,
        Group::NeedAttention,
        Group::AboutToSleep,
        Group::AtRisk,
        Group::CantLose,
        Group::Hibernating,
    ];

    /// The name for machines.
    pub fn key(self) -> &'static str {
        match self {
            Group::Champions => "champions",
            Group::Loyal => "loyal",
            Group::PotentialLoyal => "potential-loyal",
            Group::New => "new",
            Group::Promising => "promising",
            Group::NeedAttention => "need-attention",
            Group::AboutToSleep => "about-to-sleep",
            Group::AtRisk => "at-risk",
            Group::CantLose => "cant-lose",
            Group::Hibernating => "hibernating",
        }
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Group::Champions => "Champions",
            Group::Loyal => "Loyal",
            Group::PotentialLoyal => "Potential loyal",
            Group::New => "New",
            Group::Promising => "Promising",
            Group::NeedAttention => "Need attention",
            Group::AboutToSleep => "About to sleep",
            Group::AtRisk => "At risk",
            Group::CantLose => "Can't lose",
            Group::Hibernating => "Hibernating",
        }
    }

    /// One sentence on who is in it.
    pub fn description(self) -> &'static str {
        match self {
            Group::Champions => "Ordered most recently (R5) and often (F4 or F5).",
            Group::Loyal => "Order often (F4 or F5) and did so lately (R3 or R4).",
            Group::PotentialLoyal => "Ordered recently (R4 or R5), and more often than the least (F2 or F3).",
            Group::New => "Ordered most recently (R5), with the fewest orders (F1).",
            Group::Promising => "Ordered recently (R4), with the fewest orders (F1).",
            Group::NeedAttention => "In the middle of both scales (R3, F3).",
            Group::AboutToSleep => "Few orders (F1 or F2), and not lately (R3).",
            Group::AtRisk => "Ordered several times (F3 or F4), but not for long (R1 or R2).",
            Group::CantLose => "Ordered most often (F5), but not for long (R1 or R2).",
            Group::Hibernating => "Few orders (F1 or F2), and long ago (R1 or R2).",
        }
    }
}

/// The values behind the scores: for each of the three, the lowest and the highest value at each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scales {
    /// Days since the last order, by recency score.
    pub recency_days: Scale,
    /// Orders, by frequency score.
    pub orders: Scale,
    /// Money spent in minor units, by monetary score.
    pub spent_minor: Scale,
}

/// The lowest and the highest value of the scores 1 to 5; `None` for a score that nobody has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scale([Option<(i64, i64)>; 5]);

impl Scale {
    /// The lowest and the highest value with that score.
    pub fn range(&self, score: u8) -> Option<(i64, i64)> {
        self.0.get(usize::from(score).checked_sub(1)?).copied().flatten()
    }

    /// The score of any value, also of one that nobody had when the scale was made: the one whose values lie next to
    /// it, on the side that claims less. `None` where there is no scale.
    pub fn place(&self, value: i64) -> Option<u8> {
        let ranges = || (1_u8..).zip(&self.0).filter_map(|(score, range)| range.map(|range| (score, range)));
        let ascending = ranges().map(|(_, (low, _))| low).is_sorted();
        let reached = ranges().filter(|(_, (low, high))| if ascending { *low <= value } else { *high >= value });
        reached.map(|(score, _)| score).max().or_else(|| ranges().map(|(score, _)| score).min())
    }

    /// Scores by the share of the others who are strictly below.
    fn ascending(mut values: Vec<i64>) -> Scale {
        values.sort_unstable();
        let others = values.len().saturating_sub(1).max(1);
        let mut scale = Scale::default();
        let mut below = 0;
        for ties in values.chunk_by(|a, b| a == b) {
            let level = &mut scale.0[(5 * below / others).min(4)];
            *level = Some((level.map_or(ties[0], |(low, _)| low), ties[0]));
            below += ties.len();
        }
        scale
    }

    fn turned_over(mut self) -> Scale {
        self.0.reverse();
        self
    }

    fn score(&self, value: i64) -> u8 {
        let holds = |range: &Option<(i64, i64)>| range.is_some_and(|(low, high)| (low..=high).contains(&value));
        (1..).zip(&self.0).find(|(_, range)| holds(range)).map_or(1, |(score, _)| score)
    }
}

impl Scales {
    /// The scales of all buyers.
    pub fn of(buyers: &[CustomerOrders]) -> Scales {
        let scale = |value: fn(&CustomerOrders) -> i64| Scale::ascending(buyers.iter().map(value).collect());
        Scales {
            recency_days: scale(|buyer| buyer.recency_days.into()).turned_over(),
            orders: scale(|buyer| buyer.orders.into()),
            spent_minor: scale(|buyer| buyer.spent_minor),
        }
    }

    /// The scores of one of the buyers that the scales were made of.
    pub fn scores(&self, buyer: &CustomerOrders) -> Scores {
        Scores {
            recency: self.recency_days.score(buyer.recency_days.into()),
            frequency: self.orders.score(buyer.orders.into()),
            monetary: self.spent_minor.score(buyer.spent_minor),
        }
    }

    /// Why somebody has these scores, one sentence.
    pub fn because(&self, scores: &Scores, recency_days: u32, orders: u32) -> String {
        let range = |scale: &Scale, score| match scale.range(score) {
            Some((low, high)) if low == high => low.to_string(),
            Some((low, high)) => format!("{low} to {high}"),
            None => "nobody".to_owned(),
        };
        format!(
            "Last order {} (R{}: {} days) and {} (F{}: {}).",
            super::lifecycle::ago(recency_days),
            scores.recency,
            range(&self.recency_days, scores.recency),
            super::lifecycle::counted(orders, "order"),
            scores.frequency,
            range(&self.orders, scores.frequency),
        )
    }
}
