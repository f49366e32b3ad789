//! Who comes back, and who signs up: from the days on which people visited.
//!
//! A person who comes now and then, until they silently do not any more, is what the buy-till-you-die family is about,
//! whether they order or not. So the family is fitted on visit days as on order days, chosen by the same trials, and the
//! probability of a return is that of at least one visit day within [`AHEAD_DAYS`]. How many visits are how probable
//! tells, together with [`SignUps`], who signs up in that time. Signing up and how often somebody comes are taken to be
//! independent given the number of visits so far.
//!
//! **Bounds.** Only the visits of the last [`SEEN_DAYS`] count: of who was not there in that time nothing is said, and of
//! the others the first visit in it is taken for their first. As long as somebody comes, visits come at random, so what
//! follows one of them does not depend on what was before; only the mixture of people is another, and one gamma
//! distribution has to do for both. Simulated, a site in its first year was told within two hundredths of the truth in each
//! tenth of people, one four years old up to five hundredths too much in the middle (52 % where 47 % came). Of each person
//! a summary is kept (40 bytes); whole histories are those of the trials, 20,000 to 40,000 people. A million people took
//! 7 to 12 s to fit, 1 to 2 s to score and 160 MB, and reading their 4 million visits from PostgreSQL 6 s.
//!
//! Visits of one day are one: who comes in the morning and in the evening has not come back.

use super::choose::{Chosen, MOST_TRIED, choose_by, uniform};
use super::{Occasion, PurchaseHistory, SignUps, Summary};
use serde::{Deserialize, Serialize};

/// How far ahead a return and a sign-up are predicted.
pub const AHEAD_DAYS: u32 = 30;

/// Visits further back are not looked at.
pub const SEEN_DAYS: u32 = 365;

/// Whether and when a visitor signed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// Not yet.
    None,
    /// On this visit day or between it and the next, counted from 1.
    AtVisit(u32),
    /// Before the first visit that counts: they say nothing about at which visit people sign up.
    Before,
}

/// Somebody who visited.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Visitor {
    /// Of their visit days.
    summary: Summary,
    account: Account,
}

/// The visitors of a site, taken in one by one.
#[derive(Clone, Debug)]
pub struct Visitors {
    end_day: i32,
    seed: u64,
    all: Vec<Visitor>,
    /// Those of the trials, each with the number that decides who stays.
    tried: Vec<(f64, PurchaseHistory)>,
    /// Those whose number is below are in the trials.
    share: f64,
}

/// What a visitor is expected to do within [`AHEAD_DAYS`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct VisitorPrediction {
    /// The probability of at least one visit day.
    pub p_return: f64,
    /// The probability of signing up; `None` for those who have.
    pub p_sign_up: Option<f64>,
}

/// How the visitors of a site come back and sign up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Returning {
    /// How visit days follow one another.
    pub chosen: Chosen,
    /// At which visit people sign up.
    pub sign_ups: SignUps,
}

impl Visitors {
    /// Nobody yet, as of the end of a day; `seed` decides who is in the trials where there are more than 20,000 people.
    pub fn new(end_day: i32, seed: u64) -> Visitors {
        Visitors { end_day, seed, all: Vec::new(), tried: Vec::new(), share: 1.0 }
    }

    /// The first day that is looked at.
    pub fn first_day(&self) -> i32 {
        self.end_day.saturating_sub_unsigned(SEEN_DAYS - 1)
    }

    /// Takes in a person with the days of their visits, in any order, and the day on which they signed up. Gives whether
    /// they were there in the days that are looked at; others are not taken in.
    pub fn add(&mut self, visit_days: &[i32], signed_up_day: Option<i32>) -> bool {
        let looked_at = self.first_day()..=self.end_day;
        let days = visit_days.iter().filter(|day| looked_at.contains(day));
        let history = PurchaseHistory::new(days.map(|day| Occasion { day: *day, spend: 0.0 }));
        let Some(summary) = history.summary(self.end_day) else { return false };
        let account = match signed_up_day.filter(|day| *day <= self.end_day) {
            None => Account::None,
            Some(day) => match history.occasions().partition_point(|visit| visit.day <= day) {
                0 => Account::Before,
                visit => Account::AtVisit(u32::try_from(visit).unwrap_or(u32::MAX)),
            },
        };
        let number = uniform(self.seed, self.all.len() as u64);
        self.all.push(Visitor { summary, account });
        if number < self.share {
            self.tried.push((number, history));
            if self.tried.len() > 2 * MOST_TRIED {
                self.share /= 2.0;
                let share = self.share;
                self.tried.retain(|(number, _)| *number < share);
            }
        }
        true
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Fits how they come back and sign up.
    pub fn fit(&self) -> Returning {
        let summaries: Vec<Summary> = self.all.iter().map(|visitor| visitor.summary).collect();
        let tried: Vec<&PurchaseHistory> = self.tried.iter().map(|(_, history)| history).collect();
        let chosen = choose_by(&tried, &summaries, self.end_day);
        Returning { chosen, sign_ups: SignUps::fit(&self.by_visit()) }
    }

    /// How many signed up at their 1st, 2nd, … visit, and how many had that visit without.
    fn by_visit(&self) -> Vec<(u64, u64)> {
        let mut by_visit: Vec<(u64, u64)> = Vec::new();
        for visitor in &self.all {
            let (visits, signed) = match visitor.account {
                Account::Before => continue,
                Account::None => (visitor.summary.repeats as usize + 1, false),
                Account::AtVisit(visit) => (visit as usize, true),
            };
            if by_visit.len() < visits {
                by_visit.resize(visits, (0, 0));
            }
            // For now at their last alone; below everybody had all visits before as well.
            let last = &mut by_visit[visits - 1];
            if signed { last.0 += 1 } else { last.1 += 1 }
        }
        let mut later = 0;
        for (signed, not) in by_visit.iter_mut().rev() {
            let ended_here = *signed + *not;
            *not += later;
            later += ended_here;
        }
        by_visit
    }

    /// What everybody is expected to do, in the order in which they were taken in.
    ///
    /// A million take a few seconds on one core.
    pub fn score(&self, returning: &Returning) -> Vec<VisitorPrediction> {
        let summaries: Vec<Summary> = self.all.iter().map(|visitor| visitor.summary).collect();
        let Returning { chosen, sign_ups } = returning;
        let means = chosen.mean_gains(&summaries, AHEAD_DAYS, |repeats, most| {
            let mut out = 1.0;
            let mut gains = vec![[0.0; 2]];
            for more in 1..u32::try_from(most).unwrap_or(u32::MAX).max(2) {
                out *= 1.0 - sign_ups.at_visit(repeats.saturating_add(1).saturating_add(more));
                gains.push([1.0, 1.0 - out]);
            }
            gains
        });
        let prediction = |(visitor, [p_return, p_sign_up]): (&Visitor, [f64; 2])| VisitorPrediction {
            p_return: p_return.clamp(0.0, 1.0),
            p_sign_up: match visitor.account {
                Account::None => Some(p_sign_up.clamp(0.0, 1.0)),
                Account::AtVisit(_) | Account::Before => None,
            },
        };
        self.all.iter().zip(means).map(prediction).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitors(people: &[(&[i32], Option<i32>)]) -> Visitors {
        let mut visitors = Visitors::new(1_000, 1);
        for (days, signed_up) in people {
            visitors.add(days, *signed_up);
        }
        visitors
    }

    #[test]
    fn each_visit_counts_until_the_one_at_which_somebody_signs_up() {
        let visitors = visitors(&[
            (&[900, 910, 910, 920], None),
            (&[930, 900, 910], Some(910)),
            // Between two visits: at the one before.
            (&[900, 910], Some(905)),
            // Before the first, and long before what is looked at.
            (&[950], Some(949)),
            (&[950], Some(3)),
            // In the future nothing has happened yet.
            (&[999, 1_001], Some(1_001)),
        ]);
        assert_eq!(visitors.by_visit(), [(1, 3), (1, 1), (0, 1)]);
    }

    #[test]
    fn who_was_not_there_in_a_year_is_not_taken_in() {
        let mut visitors = Visitors::new(1_000, 1);
        assert_eq!(visitors.first_day(), 636);
        assert!(!visitors.add(&[], None) && !visitors.add(&[635, 1_001], None));
        assert!(visitors.add(&[600, 636, 640], None));
        assert_eq!((visitors.count(), visitors.all[0].summary.repeats), (1, 1));
        assert!(visitors.all[0].summary.age_weeks == 52.0);
    }

    #[test]
    fn a_probability_of_return_is_that_of_any_visit_and_falls_with_silence() {
        let days: Vec<Vec<i32>> = (0..50).map(|n| (900..=(950 + n)).step_by(7).collect()).collect();
        let mut visitors = Visitors::new(1_000, 1);
        for days in &days {
            assert!(visitors.add(days, None));
        }
        let returning = visitors.fit();
        let predictions = visitors.score(&returning);
        for (visitor, prediction) in visitors.all.iter().zip(&predictions) {
            let ahead = returning.chosen.score(&visitor.summary).ahead[0];
            assert_eq!(ahead.days, AHEAD_DAYS);
            assert!((prediction.p_return - ahead.p_any).abs() < 1e-9, "{prediction:?} {ahead:?}");
            // Signing up needs a visit.
            assert!(prediction.p_sign_up.is_some_and(|p| p > 0.0 && p < prediction.p_return), "{prediction:?}");
            let counts = returning.chosen.counts(&visitor.summary, AHEAD_DAYS);
            let over = returning.sign_ups.over(visitor.summary.repeats + 1, &counts);
            assert!(prediction.p_sign_up.is_some_and(|p| (p - over).abs() < 1e-3), "{prediction:?} {over}");
        }
        assert!(predictions[49].p_return > predictions[0].p_return);
    }

    #[test]
    fn nobody_and_one_visitor_have_predictions_too() {
        let nobody = visitors(&[]);
        assert_eq!(nobody.score(&nobody.fit()), []);
        let one = visitors(&[(&[1_000], Some(1_000))]);
        let predictions = one.score(&one.fit());
        assert!(predictions[0].p_sign_up.is_none() && (0.0..=1.0).contains(&predictions[0].p_return));
    }

    #[test]
    fn of_many_people_a_random_part_is_tried() {
        let mut visitors = Visitors::new(1_000, 1);
        (0..100_000).for_each(|n| assert!(visitors.add(&[700 + n % 300], None)));
        assert!((MOST_TRIED..=2 * MOST_TRIED).contains(&visitors.tried.len()), "{}", visitors.tried.len());
        let below = visitors.tried.iter().filter(|(_, history)| history.occasions()[0].day < 850).count();
        let share = below as f64 / visitors.tried.len() as f64;
        assert!((share - 0.5).abs() < 0.02, "{share}");
    }
}
