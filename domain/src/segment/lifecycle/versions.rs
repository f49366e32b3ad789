//! Limits over time: kept until new ones are worth a change, and found again for a day that has passed.

use super::{Basis, Buyers, Limits, Rhythm, counted};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Limits and gaps that moved by this share or less stay as they are: a tenth is what the median of 200 waiting times is
/// uncertain by (their standard error where they are exponential, `1 / (ln 2 · √n)` of it).
pub const GAP_TOLERANCE_SHARE: f64 = 0.10;

/// Limits and gaps that moved by so many days or fewer stay as they are, however short they are.
pub const GAP_TOLERANCE_DAYS: u32 = 2;

/// The limits that a site has had from a day on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsVersion {
    /// 1 for the first, and one more for each after it.
    pub version: u32,
    /// The first day that they hold for, in the site's time zone.
    pub valid_from: Date,
    /// The limits, each with its basis, and the usual gaps.
    #[serde(flatten)]
    pub rhythm: Rhythm,
    /// What changed and why, a sentence for each group that changed.
    pub because: String,
}

impl LimitsVersion {
    /// A site's first limits.
    pub fn first(rhythm: Rhythm, valid_from: Date) -> LimitsVersion {
        let because = "The site's first limits.".to_owned();
        LimitsVersion { version: 1, valid_from, rhythm, because }
    }
}

/// The version to follow the current one from `today` on; `None` where nothing is worth a change.
///
/// Each group of buyers is looked at by itself. It takes the fresh values when they rest on something better than before
/// (returns of its own before those of all buyers, these before general limits), or when on the same basis one of them
/// moved by more than [`GAP_TOLERANCE_SHARE`] and by more than [`GAP_TOLERANCE_DAYS`]. What rests on something worse is
/// never taken. A day before the current version's changes nothing, so that days only ever go up.
pub fn revise(current: &LimitsVersion, fresh: &Rhythm, today: Date) -> Option<LimitsVersion> {
    if today < current.valid_from {
        return None;
    }
    let mut rhythm = current.rhythm;
    let mut changes = Vec::new();
    for buyers in Buyers::ALL {
        let place = buyers as usize;
        let known = Values::of(&current.rhythm, place);
        let new = Values::of(fresh, place);
        if new.is_worth_a_change(&known) {
            rhythm.limits[place] = new.limits;
            rhythm.usual_gap_days[place] = new.usual_gap_days;
            changes.push(new.change(&known));
        }
    }
    let version = current.version.saturating_add(1);
    (!changes.is_empty()).then(|| LimitsVersion { version, valid_from: today, rhythm, because: changes.join(" ") })
}

/// The version that held on a day; `None` before the first one. Versions may come in any order.
pub fn at(versions: &[LimitsVersion], day: Date) -> Option<&LimitsVersion> {
    let by_then = versions.iter().filter(|version| version.valid_from <= day);
    by_then.max_by_key(|version| (version.valid_from, version.version))
}

/// What one group has.
struct Values {
    limits: Limits,
    usual_gap_days: Option<u32>,
}

impl Values {
    fn of(rhythm: &Rhythm, place: usize) -> Values {
        Values { limits: rhythm.limits[place], usual_gap_days: rhythm.usual_gap_days[place] }
    }

    /// Each of its numbers of days, with what it is.
    fn days(&self) -> [(&'static str, Option<u32>); 3] {
        [
            ("at risk after", Some(self.limits.at_risk_days)),
            ("churned after", Some(self.limits.churned_days)),
            ("the usual gap is", self.usual_gap_days),
        ]
    }

    fn is_worth_a_change(&self, known: &Values) -> bool {
        let rank = |values: &Values| match values.limits.basis {
            Basis::Default => 0,
            Basis::AllBuyers => 1,
            Basis::Own => 2,
        };
        if rank(self) != rank(known) {
            return rank(self) > rank(known);
        }
        let moved = |(new, old): (Option<u32>, Option<u32>)| match (new, old) {
            (Some(new), Some(old)) => {
                let by = new.abs_diff(old);
                by > GAP_TOLERANCE_DAYS && f64::from(by) > GAP_TOLERANCE_SHARE * f64::from(old)
            }
            (new, old) => new != old,
        };
        self.days().into_iter().zip(known.days()).any(|((_, new), (_, old))| moved((new, old)))
    }

    /// `Repeats: at risk after 40 days (was 30), churned after 90 days (was 80), as 120 returns of their own are known,
    /// 80 when the limits were last set.`
    fn change(&self, known: &Values) -> String {
        let changed = self.days().into_iter().zip(known.days()).filter(|((_, new), (_, old))| new != old);
        let said: Vec<String> = changed
            .filter_map(|((what, new), (_, old))| {
                let was = old.map_or_else(|| "unknown".to_owned(), |old| old.to_string());
                Some(format!("{what} {} (was {was})", counted(new?, "day")))
            })
            .collect();
        let days = if said.is_empty() { "the limits stay".to_owned() } else { said.join(", ") };
        let returns = counted(self.limits.returns, "return");
        let of = match self.limits.basis {
            Basis::Own => format!("{returns} of their own are known"),
            Basis::AllBuyers => format!("{returns} of all buyers are known"),
            Basis::Default => format!("only {returns} of their own are known"),
        };
        let before = match (known.limits.basis, self.limits.basis) {
            (Basis::Default, Basis::Own | Basis::AllBuyers) => "enough to take the place of general limits".to_owned(),
            (Basis::AllBuyers, Basis::Own) => "enough to take the place of all buyers'".to_owned(),
            _ => format!("{} when the limits were last set", known.limits.returns),
        };
        format!("{}: {days}, as {of}, {before}.", self.limits.buyers.name())
    }
}
