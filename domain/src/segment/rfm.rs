//! Recency, frequency, monetary value: each scored 1 to 5 among all buyers of the site, and the grid of named groups.
//!
//! **Scores.** A customer's score is `1 + ⌊5 · p⌋`, at most 5, where `p = below / (n − 1)` is the share of the other
//! buyers who are strictly below: SQL's `percent_rank` (ISO/IEC 9075-2, window functions). Equal values therefore share
//! one score, which quintiles by `NTILE` do not give, and a tie is always resolved to claim less: nobody is called
//! frequent or big for being like most others. For recency "below" counts those who bought *more* recently and the
//! score is turned over, so that nobody is called lapsed for it either. A fifth may thus hold more or fewer people than
//! 20 %: where 60 % bought once, all of them have F1.
//!
//! **Own cuts.** A site that thinks in fixed values ("a regular buys at least five times") sets [`Cuts`] instead, and the
//! scores then mean the same on every day and at every number of buyers.
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

    /// One sentence on what to do with them.
    pub fn action(self) -> &'static str {
        match self {
            Group::Champions => "Give them early access, ask them for reviews and referrals, and leave discounts out.",
            Group::Loyal => {
                "Invite them to the loyalty programme and offer bundles and the better version of what they buy."
            }
            Group::PotentialLoyal => {
                "Recommend what regulars buy next, and make membership worth it with the next order."
            }
            Group::New => "Welcome them, help them enjoy the first purchase, and keep offers for later.",
            Group::Promising => "Bring them to a second order with what goes well with the first.",
            Group::NeedAttention => "Make an offer that ends soon, built on what they bought before.",
            Group::AboutToSleep => {
                "Remind them with bestsellers and news before they forget you, and test a small discount."
            }
            Group::AtRisk => "Send a personal win-back message that names what they used to buy.",
            Group::CantLose => "Reach out in person, ask what changed, and make the offer that brings them back.",
            Group::Hibernating => {
                "Write to them in the high season only, and leave them out of whatever costs money per person."
            }
        }
    }
}

/// Thresholds that a site sets itself, instead of fifths of its buyers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Thresholds", into = "Thresholds")]
pub struct Cuts(Thresholds);

/// [`Cuts`] as they are written; checked on the way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Days since the last order up to which the recency score is 5, 4, 3, 2; later it is 1.
    pub recency_days: [u32; 4],
    /// Orders from which on the frequency score is 2, 3, 4, 5; before it is 1.
    pub orders: [u32; 4],
    /// Money spent in minor units from which on the monetary score is 2, 3, 4, 5; before it is 1.
    pub spent_minor: [i64; 4],
}

/// Thresholds that leave a score without any value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutsError {
    /// A threshold is not above the one before it.
    #[error("{dimension}: {value} follows {before}; each of the four values must be larger than the one before")]
    NotAscending {
        /// `recency_days`, `orders` or `spent_minor`.
        dimension: &'static str,
        /// The threshold before.
        before: i64,
        /// The threshold at fault.
        value: i64,
    },
    /// The first threshold leaves nothing below it.
    #[error(
        "{dimension}: the first value is {value}, at least {least} is needed for a lowest score that somebody can have"
    )]
    TooLow {
        /// `recency_days`, `orders` or `spent_minor`.
        dimension: &'static str,
        /// The threshold at fault.
        value: i64,
        /// The least that makes sense.
        least: i64,
    },
}

impl Cuts {
    /// Takes thresholds that give every score at least one value.
    ///
    /// # Errors
    /// [`CutsError`] at the first threshold that is not above the one before, or too low to be the first: 2 orders, as
    /// everybody who is scored has ordered once, and 1 minor unit.
    pub fn new(thresholds: Thresholds) -> Result<Cuts, CutsError> {
        let check = |dimension, least: i64, values: [i64; 4]| {
            if values[0] < least {
                return Err(CutsError::TooLow { dimension, value: values[0], least });
            }
            match values.windows(2).find(|pair| pair[0] >= pair[1]) {
                Some(pair) => Err(CutsError::NotAscending { dimension, before: pair[0], value: pair[1] }),
                None => Ok(()),
            }
        };
        check("recency_days", 0, thresholds.recency_days.map(i64::from))?;
        check("orders", 2, thresholds.orders.map(i64::from))?;
        check("spent_minor", 1, thresholds.spent_minor)?;
        Ok(Cuts(thresholds))
    }

    /// The thresholds.
    pub fn thresholds(&self) -> Thresholds {
        self.0
    }
}

impl TryFrom<Thresholds> for Cuts {
    type Error = CutsError;

    fn try_from(thresholds: Thresholds) -> Result<Cuts, CutsError> {
        Cuts::new(thresholds)
    }
}

impl From<Cuts> for Thresholds {
    fn from(cuts: Cuts) -> Thresholds {
        cuts.0
    }
}

/// The values behind the scores: for each of the three, the lowest and the highest value at each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scales {
    /// Days since the last order, by recency score.
    pub recency_days: Scale,
    /// Orders, by frequency score.
    pub orders: Scale,
    /// Money spent in minor units, by monetary score.
    pub spent_minor: Scale,
}

/// The lowest and the highest value of the scores 1 to 5; `None` for a score that nobody has. Where a score is open
/// above, as with [`Cuts`], the highest is [`i64::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale([Option<(i64, i64)>; 5]);

impl Scale {
    /// The lowest and the highest value with that score.
    pub fn range(&self, score: u8) -> Option<(i64, i64)> {
        self.0.get(usize::from(score).checked_sub(1)?).copied().flatten()
    }

    /// The score of any value, also of one that nobody had when the scale was made: the one whose values lie next to
    /// it, on the side that claims less. `None` where there is no scale.
    pub fn place(&self, value: i64) -> Option<u8> {
        let ranges = || (1_u8..).zip(&self.0).filter_map(|(score, range)| Some((score, (*range)?)));
        let (lowest, (low_of_lowest, _)) = ranges().next()?;
        // Scores rise with the value, or, for days since the last order, fall.
        let ascending = ranges().all(|(_, (low, _))| low >= low_of_lowest);
        let reached = |(low, high): (i64, i64)| if ascending { low <= value } else { high >= value };
        Some(ranges().filter(|(_, range)| reached(*range)).last().map_or(lowest, |(score, _)| score))
    }

    /// `0 to 99 days`, `1 day`, `366 days and more`; without a noun the numbers alone.
    fn said(&self, score: u8, noun: &str) -> String {
        let unit = |count: i64| match noun {
            "" => String::new(),
            _ if count == 1 => format!(" {noun}"),
            _ => format!(" {noun}s"),
        };
        match self.range(score) {
            Some((low, high)) if low == high => format!("{low}{}", unit(low)),
            Some((low, i64::MAX)) => format!("{low}{} and more", unit(low)),
            Some((low, high)) => format!("{low} to {high}{}", unit(high)),
            None => "nobody".to_owned(),
        }
    }

    /// From the lowest value there is, and the values at which the scores 2, 3, 4, 5 begin.
    fn cut(lowest: i64, [two, three, four, five]: [i64; 4]) -> Scale {
        Scale([
            Some((lowest, two - 1)),
            Some((two, three - 1)),
            Some((three, four - 1)),
            Some((four, five - 1)),
            Some((five, i64::MAX)),
        ])
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

    /// The scales of a site that sets its own thresholds.
    pub fn from_cuts(cuts: &Cuts) -> Scales {
        let Thresholds { recency_days, orders, spent_minor } = cuts.0;
        Scales {
            recency_days: Scale::cut(0, recency_days.map(|last| i64::from(last) + 1)).turned_over(),
            orders: Scale::cut(1, orders.map(i64::from)),
            spent_minor: Scale::cut(0, spent_minor),
        }
    }

    /// The scores of a buyer, see [`Scale::place`]; 1 where there is no scale.
    pub fn scores(&self, buyer: &CustomerOrders) -> Scores {
        Scores {
            recency: self.recency_days.place(buyer.recency_days.into()).unwrap_or(1),
            frequency: self.orders.place(buyer.orders.into()).unwrap_or(1),
            monetary: self.spent_minor.place(buyer.spent_minor).unwrap_or(1),
        }
    }

    /// Why somebody has these scores, one sentence.
    pub fn because(&self, scores: &Scores, recency_days: u32, orders: u32) -> String {
        format!(
            "Last order {} (R{}: {}) and {} (F{}: {}).",
            super::lifecycle::ago(recency_days),
            scores.recency,
            self.recency_days.said(scores.recency, "day"),
            super::lifecycle::counted(orders, "order"),
            scores.frequency,
            self.orders.said(scores.frequency, ""),
        )
    }
}
