//! What people did over time: visitors of each day, funnels, retention, ways through the site.

use super::ask::{Among, Days, View, midnight};
use domain::segment::rule::{Happened, Matcher, What};
use jiff::ToSpan;
use jiff::civil::Date;
use std::collections::HashMap;
use std::sync::Arc;

/// Steps of a funnel, at most: each is one bit of a byte whose last one is taken.
pub const MAX_FUNNEL_STEPS: usize = 7;
/// Distinct paths that are told apart while they are counted; what comes later is left out.
const MAX_PATHS: usize = 200_000;

/// Visitors of one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisitorsOfDay {
    /// The day in the site's time zone.
    pub day: Date,
    /// People whose visit began on it, each counted once; measured visitors among them.
    pub visitors: u64,
    /// Those of them who have a profile.
    pub profiles: u64,
}

/// One step of a funnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunnelStep {
    /// People who came this far.
    pub people: u64,
    /// Half of them took so long, or less, from the step before.
    pub median_seconds: Option<u32>,
}

/// What a funnel asks: the first step between two seconds, all others in their order, each a later event, within a
/// window from the first.
#[derive(Clone, Copy)]
pub struct Funnel<'a> {
    /// Up to [`MAX_FUNNEL_STEPS`].
    pub steps: &'a [Matcher],
    /// From this second on.
    pub from: u32,
    /// Up to this one, exclusive.
    pub to: u32,
    /// The last step is at most so long after the first.
    pub window_seconds: u32,
}

/// By what people of a cohort are counted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// Another visit began.
    Visit,
    /// They ordered; cohorts are those of the first order.
    Order,
}

/// People who came in one week or month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cohort {
    /// The first day of the period.
    pub begins: Date,
    /// How many they were.
    pub people: u64,
    /// How many of them were there in the first, second, … period after it.
    pub returned: Vec<u64>,
}

/// The length of a cohort's periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Weeks from Monday.
    Week,
    /// Months of the calendar.
    Month,
}

/// A way through the site and how often it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Host and path of each page; shorter than was asked for where the visit ended.
    pub pages: Vec<Arc<str>>,
    /// Visits that took it.
    pub visits: u64,
}

/// Which of some kinds of event a happening may be; remembered per happening, so that each is asked once.
struct Masks<'a> {
    of: &'a [Matcher],
    /// By the upper bits of a happening, then by its place.
    known: [Vec<u8>; 8],
}

const ASKED: u8 = 1 << 7;

impl<'a> Masks<'a> {
    fn new(of: &'a [Matcher]) -> Masks<'a> {
        Masks { of, known: Default::default() }
    }

    #[inline]
    fn may(&mut self, what: What) -> u8 {
        let place = (what.0 & 0x1fff_ffff) as usize;
        let known = &mut self.known[(what.0 >> 29) as usize];
        match known.get(place) {
            Some(mask) if mask & ASKED != 0 => mask & !ASKED,
            _ => {
                if known.len() <= place {
                    known.resize(place + 1, 0);
                }
                let bits = self.of.iter().enumerate().map(|(bit, of)| u8::from(of.may_match(what)) << bit);
                let mask = bits.fold(0, |mask, bit| mask | bit);
                known[place] = mask | ASKED;
                mask
            }
        }
    }
}

impl View {
    /// Visitors of each day from one to another, both included.
    pub fn visitors(&self, first: Date, last: Date, among: Option<Among<'_>>) -> Vec<VisitorsOfDay> {
        let days = Days::of(&self.time_zone, first, last.max(first));
        let (from, to) = days.bounds();
        let counts = self.fold(
            among,
            || vec![(0_u64, 0_u64); days.len()],
            |counts, person, seen| {
                if seen.last < from || seen.first >= to {
                    return;
                }
                let start = person.at.partition_point(|at| *at < from);
                let mut counted_to = from;
                for (at, what) in person.at[start..].iter().zip(&person.what[start..]) {
                    if *at >= to {
                        break;
                    }
                    if *what == What::VISIT && *at >= counted_to {
                        let day = days.day(*at);
                        counts[day].0 += 1;
                        counts[day].1 += u64::from(seen.is_profile);
                        // Nothing more of this day counts.
                        counted_to = days.starts[day + 1];
                    }
                }
            },
            |mut one, other| {
                one.iter_mut().zip(other).for_each(|(sum, more)| *sum = (sum.0 + more.0, sum.1 + more.1));
                one
            },
        );
        let dates = std::iter::successors(Some(first), |day| day.tomorrow().ok());
        dates.zip(counts).map(|(day, (visitors, profiles))| VisitorsOfDay { day, visitors, profiles }).collect()
    }

    /// How many people took each step. Steps beyond [`MAX_FUNNEL_STEPS`] are left out.
    pub fn funnel(&self, funnel: Funnel<'_>, among: Option<Among<'_>>) -> Vec<FunnelStep> {
        let steps = &funnel.steps[..funnel.steps.len().min(MAX_FUNNEL_STEPS)];
        let end = funnel.to.saturating_add(funnel.window_seconds);
        let make = || (Masks::new(steps), vec![Vec::<u32>::new(); steps.len()]);
        let sum = self.fold(
            among,
            make,
            |(masks, gaps), person, seen| {
                if seen.last < funnel.from || seen.first >= funnel.to {
                    return;
                }
                // For each step the way that began last, as its beginning and its latest time: it lasts longest.
                let mut reached = [None::<(u32, u32)>; MAX_FUNNEL_STEPS];
                let mut deepest = 0;
                let start = person.at.partition_point(|at| *at < funnel.from);
                for place in start..person.at.len() {
                    let (at, what) = (person.at[place], person.what[place]);
                    if at > end || deepest == steps.len() {
                        break;
                    }
                    let may = masks.may(what);
                    if may == 0 {
                        continue;
                    }
                    for step in (0..steps.len()).rev() {
                        if may >> step & 1 == 0 || !steps[step].matches(what, || person.record[place]) {
                            continue;
                        }
                        let before = match step.checked_sub(1) {
                            None => (at < funnel.to).then_some((at, at)),
                            Some(before) => reached[before].filter(|(began, _)| at - began <= funnel.window_seconds),
                        };
                        if let Some((began, latest)) = before {
                            reached[step] = Some((began, at));
                            if deepest == step {
                                deepest += 1;
                                gaps[step].push(at - latest);
                            }
                        }
                    }
                }
            },
            |(masks, mut one), (_, other)| {
                one.iter_mut().zip(other).for_each(|(sum, mut more)| sum.append(&mut more));
                (masks, one)
            },
        );
        sum.1
            .into_iter()
            .enumerate()
            .map(|(step, mut gaps)| FunnelStep {
                people: gaps.len() as u64,
                median_seconds: (step > 0 && !gaps.is_empty()).then(|| {
                    let middle = (gaps.len() - 1) / 2;
                    *gaps.select_nth_unstable(middle).1
                }),
            })
            .collect()
    }

    /// How many of those who came in each period came again. `first` is moved to the beginning of its period; there
    /// are as many cohorts as periods.
    pub fn retention(
        &self,
        period: Period,
        first: Date,
        periods: usize,
        by: Return,
        among: Option<Among<'_>>,
    ) -> Vec<Cohort> {
        let first = match period {
            Period::Week => {
                let monday = i64::from(first.weekday().to_monday_zero_offset());
                first.saturating_sub(monday.days())
            }
            Period::Month => first.first_of_month(),
        };
        let next = |day: &Date| match period {
            Period::Week => day.checked_add(1.week()).ok(),
            Period::Month => day.checked_add(1.month()).ok(),
        };
        let begins: Vec<Date> = std::iter::successors(Some(first), next).take(periods + 1).collect();
        let starts: Vec<u32> = begins.iter().map(|day| midnight(&self.time_zone, *day)).collect();
        let count = starts.len() - 1;
        let at_of = |at: u32| starts.partition_point(|start| *start <= at).checked_sub(1);
        let sums = self.fold(
            among,
            || vec![vec![0_u64; count]; count],
            |sums, person, seen| {
                // A measured visitor is another person every day.
                if !seen.is_profile {
                    return;
                }
                let mut mark = |times: &mut dyn Iterator<Item = u32>| {
                    let mut cohort = None;
                    let mut counted = None;
                    for at in times {
                        let Some(place) = at_of(at) else {
                            // Somebody who came before all cohorts is in none.
                            if cohort.is_none() {
                                return;
                            }
                            continue;
                        };
                        if place >= count {
                            return;
                        }
                        let cohort = *cohort.get_or_insert(place);
                        if counted.is_none_or(|counted| counted < place) {
                            counted = Some(place);
                            sums[cohort][place - cohort] += 1;
                        }
                    }
                };
                match by {
                    Return::Visit => {
                        let entries = person.at.iter().zip(person.what);
                        mark(&mut entries.filter(|(_, what)| **what == What::VISIT).map(|(at, _)| *at));
                    }
                    Return::Order => mark(&mut person.orders.iter().map(|order| order.at)),
                }
            },
            |mut one, other| {
                for (sum, more) in one.iter_mut().flatten().zip(other.into_iter().flatten()) {
                    *sum += more;
                }
                one
            },
        );
        begins
            .into_iter()
            .zip(sums)
            .enumerate()
            .map(|(place, (begins, sums))| Cohort {
                begins,
                people: sums[0],
                returned: sums[1..count - place].to_vec(),
            })
            .collect()
    }

    /// The most frequent ways of `length` pages through visits between two seconds: from where they are entered, or
    /// from wherever `after` is viewed.
    pub fn paths(
        &self,
        after: Option<&Matcher>,
        (from, to): (u32, u32),
        length: usize,
        most: usize,
        among: Option<Among<'_>>,
    ) -> Vec<Path> {
        const LONGEST: usize = 5;
        let length = length.clamp(1, LONGEST);
        // 0 is a visit, and so no page.
        type Way = [u32; LONGEST];
        let counts = self.fold(
            among,
            HashMap::<Way, u64>::new,
            |counts, person, _| {
                let start = person.at.partition_point(|at| *at < from);
                let end = person.at.partition_point(|at| *at < to);
                let mut way = [0; LONGEST];
                let mut taken = 0;
                let mut is_open = false;
                let mut close = |way: &mut Way, taken: &mut usize| {
                    if *taken > 0 && (counts.len() < MAX_PATHS || counts.contains_key(way)) {
                        *counts.entry(*way).or_default() += 1;
                    }
                    (*way, *taken) = ([0; LONGEST], 0);
                };
                for place in start..end {
                    let what = person.what[place];
                    if what == What::VISIT {
                        close(&mut way, &mut taken);
                        is_open = after.is_none();
                    } else if what.is_page() {
                        let begins = after.is_some_and(|after| after.matches(what, || person.record[place]));
                        if taken == 0 && (begins || is_open) {
                            (way[0], taken, is_open) = (what.0, 1, false);
                        } else if taken > 0 && way[taken - 1] != what.0 {
                            way[taken] = what.0;
                            taken += 1;
                        }
                        if taken == length {
                            close(&mut way, &mut taken);
                        }
                    }
                }
                close(&mut way, &mut taken);
            },
            |mut one, other| {
                for (way, visits) in other {
                    *one.entry(way).or_default() += visits;
                }
                one
            },
        );
        let mut ways: Vec<(Way, u64)> = counts.into_iter().collect();
        ways.sort_unstable_by_key(|(way, visits)| (std::cmp::Reverse(*visits), *way));
        ways.truncate(most);
        let vocabulary = self.words();
        let text = |what: u32| match vocabulary.happened(What(what)) {
            Some(Happened::Page(page)) => Some(page),
            _ => None,
        };
        ways.into_iter()
            .map(|(way, visits)| Path { pages: way.into_iter().filter_map(text).collect(), visits })
            .collect()
    }
}
