//! One function that answers for one person at one moment. It allocates nothing, but where a computed trait tells
//! different values apart.

mod computed;

use super::plan::{Channels, EventsNode, FactNode, Frame, Matcher, Measured, Node, Plan, SequenceNode, Site, StepNode};
use super::vocabulary::What;
use super::{Age, BucketClause, Fact, MAX_STEPS, Person, PlacedAt, Scores, Test};
use crate::attribution::Channel;
use crate::segment::lifecycle::{self, Buyers, Stage};
use crate::segment::rfm::{Cell, Scale};
use std::ops::Range;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the person is a member.
    pub member: bool,
    /// What decided it.
    pub because: Because,
    /// The second from which on the answer may be another although nothing happens; `None` when it stays.
    ///
    /// It is never too late: until then the answer is this one. It can be too early; asking again then gives a later
    /// one.
    pub changes_at: Option<u32>,
}

/// What decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Because {
    /// The clause, counted in the order in which the rule is written; the whole is 0.
    pub clause: u16,
    /// How many events it found, where it looks for events.
    pub count: u32,
    /// When the latest of them was, in seconds since 1970; 0 for none.
    pub at: u32,
}

/// A moment, or none: deadlines are added up in 64 bits, so that none of them is cut off at the end of the calendar.
const NEVER: u64 = u64::MAX;
const DAY: u32 = 86_400;

#[derive(Clone, Copy)]
pub(super) struct Answer {
    holds: bool,
    /// Later than the moment that is asked about.
    changes: u64,
    pub(super) because: Because,
}

impl Answer {
    fn of(clause: u16, holds: bool) -> Answer {
        Answer { holds, changes: NEVER, because: Because { clause, count: 0, at: 0 } }
    }
}

impl Plan {
    /// Answers for one person, `as_of` a second since 1970. What happened later is not seen, and somebody who was not
    /// there yet is no member of anything.
    ///
    /// The plan must have been refreshed since the vocabulary learnt the person's words, see [`Plan::refresh`].
    pub fn evaluate(&self, person: &Person<'_>, as_of: u32) -> Verdict {
        self.verdict(&self.root, person, as_of)
    }

    /// [`Plan::evaluate`] for a part of the rule, as if it were the whole.
    pub(super) fn verdict(&self, node: &Node, person: &Person<'_>, as_of: u32) -> Verdict {
        let arrives = person.first_seen().filter(|first| *first > as_of);
        if arrives.is_some() || person.at.is_empty() {
            return Verdict { member: false, because: Because::default(), changes_at: arrives };
        }
        let answer = self.answer::<true>(node, person, as_of);
        let changes = answer.changes.min(person.next_after(as_of).map_or(NEVER, u64::from));
        debug_assert!(changes > u64::from(as_of));
        Verdict { member: answer.holds, because: answer.because, changes_at: u32::try_from(changes).ok() }
    }

    /// Whether the person is a member, and nothing else: [`Plan::evaluate`] for many people.
    pub fn holds(&self, person: &Person<'_>, as_of: u32) -> bool {
        person.first_seen().is_some_and(|first| first <= as_of) && self.answer::<false>(&self.root, person, as_of).holds
    }

    /// `CHANGES` says whether anybody wants to know when it changes; without, the first part that decides is enough.
    fn answer<const CHANGES: bool>(&self, node: &Node, person: &Person<'_>, as_of: u32) -> Answer {
        match node {
            Node::All { clause, parts } => self.together::<CHANGES>(*clause, parts, true, person, as_of),
            Node::Any { clause, parts } => self.together::<CHANGES>(*clause, parts, false, person, as_of),
            Node::Not { part, .. } => {
                let answer = self.answer::<CHANGES>(part, person, as_of);
                Answer { holds: !answer.holds, ..answer }
            }
            Node::Events { clause, events } if events.of.is_order() => {
                measure::<CHANGES, _>(*clause, events, person.orders, as_of)
            }
            Node::Events { clause, events } => measure::<CHANGES, _>(*clause, events, Stream::of(person), as_of),
            Node::Sequence { clause, sequence } => follow::<CHANGES>(*clause, sequence, person, as_of, |_| ()),
            Node::Trait { clause, slot, values } => {
                let value = person.traits.get(*slot).copied().unwrap_or(super::vocabulary::NO_VALUE);
                Answer::of(*clause, values.has(value))
            }
            Node::Computed { clause, computed } => {
                let found = computed.plan.found(person, as_of);
                let because = Because { clause: *clause, count: found.events, at: found.last_at.unwrap_or(0) };
                Answer { holds: computed.holds(found.held), changes: found.changes, because }
            }
            Node::Fact { clause, fact } => fact_holds(&self.site, *clause, fact, person, as_of),
            Node::Segment { clause, slot } => {
                let word = person.segments.get(*slot as usize / 64).copied().unwrap_or(0);
                Answer::of(*clause, word >> (slot % 64) & 1 == 1)
            }
            Node::Bucket { clause, bucket } => {
                let place = BucketClause::of(&bucket.salt, person.profile_id);
                Answer::of(*clause, (bucket.from..bucket.to).contains(&place))
            }
        }
    }

    /// An `all` (`every`) or an `any`. The whole stays as it is until all parts that decide it have changed.
    fn together<const CHANGES: bool>(
        &self,
        clause: u16,
        parts: &[Node],
        every: bool,
        person: &Person<'_>,
        as_of: u32,
    ) -> Answer {
        let mut whole = Answer::of(clause, every);
        // Of the parts that agree with the whole, and of those that decide against it.
        let (mut soonest, mut latest) = (NEVER, 0);
        for part in parts {
            let answer = self.answer::<CHANGES>(part, person, as_of);
            if answer.holds == every {
                soonest = soonest.min(answer.changes);
                if whole.holds == every && (whole.because.clause == clause || answer.because.at > whole.because.at) {
                    whole.because = answer.because;
                }
            } else {
                if whole.holds == every {
                    whole.because = answer.because;
                }
                whole.holds = !every;
                latest = latest.max(answer.changes);
                if !CHANGES {
                    return whole;
                }
            }
        }
        whole.changes = if whole.holds == every { soonest } else { latest };
        whole
    }
}

/// Things in time order, of which some are meant.
trait Source: Copy {
    fn len(self) -> usize;
    fn at(self, place: usize) -> u32;
    fn is_meant(self, of: &Matcher, place: usize) -> bool;
    fn record(self, place: usize) -> u32;
    /// What happened.
    fn what(self, place: usize) -> What;
    /// What it is worth in minor units; of orders.
    fn minor(self, place: usize) -> i64;
    fn part(self, places: Range<usize>) -> Self;
    /// The first place at or after a second.
    fn place_of(self, second: u64) -> usize;

    /// Those that are meant, the earliest first.
    fn meant(self, of: &Matcher) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.len()).filter(move |place| self.is_meant(of, *place))
    }

    /// How many are meant.
    fn count(self, of: &Matcher) -> usize {
        self.meant(of).count()
    }
}

/// The first place at or after a second among times in order. Most questions are about the end of a history, so it is
/// looked at first; and most histories are short: there, counting the earlier ones has no branch to guess wrong, and
/// is done for several at once.
pub(super) fn place_of(times: &[u32], second: u64) -> usize {
    const SHORT: usize = 32;
    let Ok(second) = u32::try_from(second) else { return times.len() };
    if times.last().is_none_or(|last| *last < second) {
        return times.len();
    }
    let short = times.len().saturating_sub(SHORT);
    if short > 0 && times[short] >= second {
        return times[..short].partition_point(|at| *at < second);
    }
    short + times[short..].iter().map(|at| u32::from(*at < second)).sum::<u32>() as usize
}

#[derive(Clone, Copy)]
struct Stream<'a> {
    at: &'a [u32],
    what: &'a [What],
    record: &'a [u32],
}

impl<'a> Stream<'a> {
    fn of(person: &Person<'a>) -> Stream<'a> {
        Stream { at: person.at, what: person.what, record: person.record }
    }
}

impl Source for Stream<'_> {
    fn len(self) -> usize {
        self.at.len()
    }

    fn at(self, place: usize) -> u32 {
        self.at[place]
    }

    fn is_meant(self, of: &Matcher, place: usize) -> bool {
        of.matches(self.what[place], || self.record[place])
    }

    fn record(self, place: usize) -> u32 {
        self.record[place]
    }

    fn what(self, place: usize) -> What {
        self.what[place]
    }

    fn minor(self, _: usize) -> i64 {
        0
    }

    fn part(self, places: Range<usize>) -> Self {
        Stream { at: &self.at[places.clone()], what: &self.what[places.clone()], record: &self.record[places] }
    }

    fn place_of(self, second: u64) -> usize {
        place_of(self.at, second)
    }

    fn count(self, of: &Matcher) -> usize {
        of.count(self.what, self.record)
    }
}

impl Source for &[PlacedAt] {
    fn len(self) -> usize {
        <[PlacedAt]>::len(self)
    }

    fn at(self, place: usize) -> u32 {
        self[place].at
    }

    fn is_meant(self, of: &Matcher, place: usize) -> bool {
        of.matches(What::ORDER, || self[place].record)
    }

    fn record(self, place: usize) -> u32 {
        self[place].record
    }

    fn what(self, _: usize) -> What {
        What::ORDER
    }

    fn minor(self, place: usize) -> i64 {
        self[place].minor
    }

    fn part(self, places: Range<usize>) -> Self {
        &self[places]
    }

    fn place_of(self, second: u64) -> usize {
        self.partition_point(|order| u64::from(order.at) < second)
    }
}

/// The first second inside a window and the first one behind it.
pub(super) fn bounds(window: Frame, as_of: u32) -> (u64, u64) {
    let behind_now = u64::from(as_of) + 1;
    // Younger than a span: later than the moment so long ago.
    let younger = |span: u32| behind_now.saturating_sub(span.into());
    match window {
        Frame::Ever => (0, behind_now),
        Frame::Within(span) => (younger(span), behind_now),
        Frame::Ago(from, to) => (younger(from), younger(to)),
        Frame::Fixed(from, to) => (from, to.min(behind_now)),
    }
}

/// When something of that time leaves a window.
fn leaves(window: Frame, at: u32) -> u64 {
    match window {
        Frame::Within(span) | Frame::Ago(span, _) => u64::from(at) + u64::from(span),
        Frame::Ever | Frame::Fixed(..) => NEVER,
    }
}

fn measure<const CHANGES: bool, S: Source>(clause: u16, events: &EventsNode, source: S, as_of: u32) -> Answer {
    let EventsNode { of, window, measure } = events;
    let (from, behind) = bounds(*window, as_of);
    let end = source.place_of(behind);
    let start = source.part(0..end).place_of(from);
    let seen = source.part(start..end);
    let mut answer = Answer::of(clause, false);
    let leaves = |place: usize| leaves(*window, seen.at(place));
    match measure {
        Measured::Count { least, most } => {
            let count = seen.count(of) as u64;
            answer.holds = (*least..=*most).contains(&count);
            answer.because.count = u32::try_from(count).unwrap_or(u32::MAX);
            if CHANGES && window.moves() {
                let mut left = count;
                answer.changes = first_turn(seen, events, |_| {
                    left -= 1;
                    (*least..=*most).contains(&left) != answer.holds
                });
            }
        }
        Measured::Total { is, minor_in_major } => {
            let holds = |sum: i128| is.holds(sum as f64 / minor_in_major);
            let mut sum: i128 = seen.meant(of).map(|place| i128::from(seen.minor(place))).sum();
            answer.holds = holds(sum);
            if CHANGES && window.moves() {
                answer.changes = first_turn(seen, events, |place| {
                    sum -= i128::from(seen.minor(place));
                    holds(sum) != answer.holds
                });
            }
        }
        Measured::Sum { numbers, least, most, .. } => {
            let number = |place: usize| numbers.get(seen.record(place) as usize).copied().unwrap_or(0.0);
            let sum = to_a_millionth(seen.meant(of).map(number).sum());
            answer.holds = (*least..=*most).contains(&sum);
            if CHANGES {
                // Fractions taken out one by one are not what is left when added up anew: the first that leaves.
                answer.changes = seen.meant(of).next().map_or(NEVER, leaves);
            }
        }
        Measured::Age { last, age } => {
            let found = if *last { seen.meant(of).next_back() } else { seen.meant(of).next() };
            if let Some(place) = found {
                let at = seen.at(place);
                let turn = Turn::of(*age, at);
                answer.holds = turn.holds(as_of.into());
                answer.because = Because { clause, count: 1, at };
                if CHANGES {
                    let mut now = u64::from(as_of) + 1;
                    // One after the other is the first there is, until it leaves.
                    for place in seen.part(place..seen.len()).meant(of).map(|further| place + further) {
                        let turn = Turn::of(*age, seen.at(place));
                        let turns = turn.turns_between(now, leaves(place), answer.holds);
                        if turns != NEVER || leaves(place) == NEVER {
                            answer.changes = turns;
                            now = NEVER;
                            break;
                        }
                        now = now.max(leaves(place));
                    }
                    if now != NEVER && answer.holds {
                        answer.changes = now;
                    }
                }
            }
        }
    }
    if CHANGES {
        if let Frame::Ago(_, to) = window {
            let later = source.part(end..source.len());
            if let Some(entering) = later.meant(of).next() {
                answer.changes = answer.changes.min(u64::from(later.at(entering)) + u64::from(*to));
            }
        }
        if let Measured::Total { .. } | Measured::Sum { .. } = measure {
            answer.because.count = u32::try_from(seen.count(of)).unwrap_or(u32::MAX);
        }
        if answer.because.at == 0 && answer.because.count > 0 {
            answer.because.at = seen.meant(of).next_back().map_or(0, |place| seen.at(place));
        }
    }
    answer
}

/// The first second at which an answer turns as those that are meant leave the window one after the other, all of a
/// second at once. `turns` is told who left and says whether the answer is another one without them.
fn first_turn<S: Source>(seen: S, events: &EventsNode, mut turns: impl FnMut(usize) -> bool) -> u64 {
    let mut leaving = seen.meant(&events.of).peekable();
    while let Some(place) = leaving.next() {
        let at = seen.at(place);
        if turns(place) && leaving.peek().is_none_or(|next| seen.at(*next) != at) {
            return leaves(events.window, at);
        }
    }
    NEVER
}

/// Fractions like 4.35 are not kept exactly: three of them are less than the 13.05 that somebody asks for.
pub(super) fn to_a_millionth(sum: f64) -> f64 {
    /// Whole numbers up to 2^53 are exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let millionths = sum * 1e6;
    if millionths.abs() < EXACT { millionths.round() / 1e6 } else { sum }
}

/// The second at which an age becomes large enough, or too large.
#[derive(Clone, Copy)]
struct Turn {
    at: u64,
    to: bool,
}

impl Turn {
    fn of(age: Age, at: u32) -> Turn {
        match age {
            Age::AtLeast(span) => Turn { at: u64::from(at) + u64::from(span.seconds()), to: true },
            Age::AtMost(span) => Turn { at: u64::from(at) + u64::from(span.seconds()) + 1, to: false },
        }
    }

    fn holds(self, second: u64) -> bool {
        (second >= self.at) == self.to
    }

    /// The first second from `now` on and before `end` at which it is not as it was.
    fn turns_between(self, now: u64, end: u64, was: bool) -> u64 {
        let turns = if self.holds(now) == was { self.at.max(now) } else { now };
        if turns < end && self.holds(turns) != was { turns } else { NEVER }
    }
}

/// How far a sequence has come: when it began, its latest step's time and place.
#[derive(Clone, Copy)]
pub(super) struct Partial {
    pub(super) start: u32,
    pub(super) at: u32,
    pub(super) place: usize,
}

/// Of all ways to a step the latest is kept: it has the latest beginning, and whatever kills it kills the earlier ones.
/// Each completion is told to `completed`, whether it counts or not; with `CHANGES` all of them are.
pub(super) fn follow<const CHANGES: bool>(
    clause: u16,
    sequence: &SequenceNode,
    person: &Person<'_>,
    as_of: u32,
    mut completed: impl FnMut(Partial),
) -> Answer {
    let (from, behind) = bounds(sequence.window, as_of);
    let stream = Stream::of(person);
    let end = stream.place_of(u64::from(as_of) + 1);
    let start = stream.part(0..end).place_of(from);
    let steps = sequence.then.len() + 1;
    let mut reached: [Option<Partial>; MAX_STEPS] = [None; MAX_STEPS];
    // Complete ones: the latest that counts, and of those that still wait the oldest and the latest.
    let mut complete: Option<Partial> = None;
    let mut waiting: Option<(Partial, Partial)> = None;
    let mut answer = Answer::of(clause, false);
    let confirm = |waiting: &mut Option<(Partial, Partial)>, complete: &mut Option<Partial>, span: u32, now: u32| {
        if let Some((oldest, latest)) = waiting {
            if now - latest.at > span {
                *complete = Some(*latest);
                *waiting = None;
            } else if now - oldest.at > span {
                *complete = Some(*oldest);
                *oldest = *latest;
            }
        }
    };
    for place in start..end {
        let at = stream.at[place];
        let is_meant = |of: &Matcher| stream.is_meant(of, place);
        if let Some((never, span)) = &sequence.never
            && waiting.is_some()
        {
            confirm(&mut waiting, &mut complete, *span, at);
            if is_meant(never) {
                waiting = None;
            }
        }
        if u64::from(at) < behind {
            for (step, StepNode { of, within, .. }) in sequence.then.iter().enumerate().rev() {
                let before = reached[step].filter(|before| within.is_none_or(|within| at - before.at <= within));
                if let Some(before) = before.filter(|_| is_meant(of)) {
                    reached[step + 1] = Some(Partial { start: before.start, at, place });
                }
            }
            if is_meant(&sequence.first) {
                reached[0] = Some(Partial { start: at, at, place });
            }
            if let Some(done) = reached[steps - 1].filter(|done| done.place == place) {
                completed(done);
                answer.because.count += 1;
                answer.because.at = at;
                match (&sequence.never, &mut waiting) {
                    (None, _) if !CHANGES => return Answer::of(clause, true),
                    (None, _) => complete = Some(done),
                    (Some(_), Some((_, latest))) => *latest = done,
                    (Some(_), None) => waiting = Some((done, done)),
                }
            }
        }
        for (step, node) in sequence.then.iter().enumerate() {
            if let Some(without) = &node.without
                && reached[step].is_some_and(|partial| partial.place != place)
                && is_meant(without)
            {
                reached[step] = None;
            }
        }
    }
    if let Some((_, span)) = &sequence.never {
        confirm(&mut waiting, &mut complete, *span, as_of);
    }
    answer.holds = complete.is_some();
    if let Some(done) = complete {
        answer.because.at = done.at;
        answer.changes = leaves(sequence.window, done.start);
    } else if let (Some((_, span)), Some((oldest, _))) = (&sequence.never, waiting) {
        answer.changes = u64::from(oldest.at) + u64::from(*span) + 1;
    }
    if let Frame::Ago(_, to) = sequence.window
        && let Some(entering) = stream.at.get(stream.place_of(behind))
    {
        answer.changes = answer.changes.min(u64::from(*entering) + u64::from(to));
    }
    answer
}

fn fact_holds(site: &Site, clause: u16, node: &FactNode, person: &Person<'_>, as_of: u32) -> Answer {
    let mut answer = Answer::of(clause, false);
    match node {
        FactNode::Number { fact, test } => match number(site, *fact, person, as_of) {
            Known::Nothing => answer.holds = test.holds(None),
            Known::Number(number) => answer.holds = test.holds_of_number(number),
            Known::Days { since, less } => {
                let days = (as_of - since) / DAY;
                let holds = |days: u32| test.holds_of_number(f64::from(days) - f64::from(less));
                answer.holds = holds(days);
                answer.because.at = since;
                answer.changes = next_day(test_days(test, less), days, since, |days| holds(days) != answer.holds);
            }
            Known::Recency { since } => {
                let days = (as_of - since) / DAY;
                let score = |days: u32| site.scales.recency_days.place(days.into()).unwrap_or(1);
                answer.holds = test.holds_of_number(score(days).into());
                answer.because.at = since;
                answer.changes = next_day(scale_days(&site.scales.recency_days), days, since, |days| {
                    test.holds_of_number(score(days).into()) != answer.holds
                });
            }
        },
        FactNode::Word { fact, words, if_unknown } => {
            let has = |word: usize| words >> word & 1 == 1;
            match word(site, *fact, person, as_of) {
                Word::Nothing => answer.holds = *if_unknown,
                Word::Is(word) => answer.holds = has(word),
                Word::Stage { since, limits } => {
                    let days = (as_of - since) / DAY;
                    let stage = |days: u32| lifecycle::stage(limits, days) as usize;
                    answer.holds = has(stage(days));
                    answer.because.at = since;
                    let turns =
                        [limits.at_risk_days, limits.churned_days].into_iter().map(|last| last.saturating_add(1));
                    answer.changes = next_day(turns, days, since, |days| has(stage(days)) != answer.holds);
                }
                Word::Group { since, frequency } => {
                    let days = (as_of - since) / DAY;
                    let group = |days: u32| {
                        let recency = site.scales.recency_days.place(days.into()).unwrap_or(1);
                        Cell::new(recency, frequency).map_or(0, |cell| cell.group() as usize)
                    };
                    answer.holds = has(group(days));
                    answer.because.at = since;
                    answer.changes = next_day(scale_days(&site.scales.recency_days), days, since, |days| {
                        has(group(days)) != answer.holds
                    });
                }
            }
        }
        FactNode::Channel { last, words, channels, if_unknown } => match visit_of(*last, channels, person, as_of) {
            Some(place) => {
                answer.holds = channels.of(person.record[place]).is_some_and(|word| words >> word & 1 == 1);
                answer.because.at = person.at[place];
            }
            None => answer.holds = *if_unknown,
        },
    }
    answer
}

/// The visit that [`Fact::FirstChannel`] or [`Fact::LastChannel`] is taken from.
pub(super) fn visit_of(last: bool, channels: &Channels, person: &Person<'_>, as_of: u32) -> Option<usize> {
    let mut visits = (0..place_of(person.at, u64::from(as_of) + 1)).filter(|place| person.what[*place] == What::VISIT);
    if !last {
        return visits.next();
    }
    // The last one that somebody brought about; a direct one only while there is no other.
    let is_brought = |place: &usize| channels.of(person.record[*place]) != Some(Channel::Direct as usize);
    visits.clone().rev().find(is_brought).or_else(|| visits.next_back())
}

/// The first second at which one of these numbers of days has passed and something turns. Candidates may come in any
/// order.
fn next_day(candidates: impl Iterator<Item = u32>, days: u32, since: u32, turns: impl Fn(u32) -> bool) -> u64 {
    let next = candidates.filter(|candidate| *candidate > days && turns(*candidate)).min();
    next.map_or(NEVER, |days| u64::from(since) + u64::from(days) * u64::from(DAY))
}

/// Numbers of days at which a test on days, less so many, can turn.
fn test_days(test: &Test, less: u32) -> impl Iterator<Item = u32> + '_ {
    let turns = move |test: &Test| -> [f64; 2] {
        match test {
            Test::AtLeast(least) => [least.ceil(), f64::NAN],
            Test::AtMost(most) => [f64::NAN, most.floor() + 1.0],
            Test::Between(least, most) => [least.ceil(), most.floor() + 1.0],
            Test::Is(value) | Test::IsNot(value) => value.number().map_or([f64::NAN; 2], |value| [value, value + 1.0]),
            Test::OneOf(_) | Test::Contains(_) | Test::StartsWith(_) | Test::Exists(_) => [f64::NAN; 2],
        }
    };
    let listed: &[super::Scalar] = match test {
        Test::OneOf(values) => values,
        _ => &[],
    };
    let listed = listed.iter().filter_map(super::Scalar::number).flat_map(|value| [value, value + 1.0]);
    // A cast of not-a-number is 0, which is no later day.
    turns(test).into_iter().chain(listed).map(move |days| (days + f64::from(less)).ceil() as u32)
}

/// Numbers of days at which a score turns.
fn scale_days(scale: &Scale) -> impl Iterator<Item = u32> + '_ {
    let ranges = (1..=5).filter_map(|score| scale.range(score));
    ranges.flat_map(|(low, high)| [low, high.saturating_add(1)]).map(|days| u32::try_from(days).unwrap_or(0))
}

/// A fact that is a number.
pub(super) enum Known {
    Nothing,
    Number(f64),
    /// Whole days since a second, less so many.
    Days {
        since: u32,
        less: u32,
    },
    /// The recency score of a last order.
    Recency {
        since: u32,
    },
}

pub(super) fn number(site: &Site, fact: Fact, person: &Person<'_>, as_of: u32) -> Known {
    let orders = person.orders_by(as_of);
    let minor = || orders.iter().fold(0_i64, |sum, order| sum.saturating_add(order.minor));
    let major = |minor: f64| minor / site.minor_in_major();
    let seen = || &person.at[..person.at.partition_point(|at| *at <= as_of)];
    let known = |number: Option<f64>| number.map_or(Known::Nothing, Known::Number);
    let since = |at: Option<u32>| at.map_or(Known::Nothing, |since| Known::Days { since, less: 0 });
    let buyer = |number: f64| known((!orders.is_empty()).then_some(number));
    let finite = |score: f32| known(Some(f64::from(score)).filter(|score| score.is_finite()));
    match fact {
        Fact::Orders => Known::Number(orders.len() as f64),
        Fact::Revenue => Known::Number(major(minor() as f64)),
        Fact::AverageOrderValue => buyer(major(minor() as f64 / orders.len() as f64)),
        Fact::Visits => Known::Number(visits(person, seen().len()) as f64),
        Fact::PageViews => {
            let views = person.what[..seen().len()].iter().filter(|what| what.is_page());
            Known::Number(views.count() as f64)
        }
        Fact::DaysSinceFirstSeen => since(seen().first().copied()),
        Fact::DaysSinceLastSeen => since(seen().last().copied()),
        Fact::DaysSinceFirstOrder => since(orders.first().map(|order| order.at)),
        Fact::DaysSinceLastOrder => since(orders.last().map(|order| order.at)),
        Fact::DaysPastUsualGap => {
            let buyers = Buyers::after(u32::try_from(orders.len()).unwrap_or(u32::MAX));
            match (orders.last(), site.usual_gap_days[buyers as usize]) {
                (Some(last), Some(less)) => Known::Days { since: last.at, less },
                (None, _) | (_, None) => Known::Nothing,
            }
        }
        Fact::RecencyScore => orders.last().map_or(Known::Nothing, |last| Known::Recency { since: last.at }),
        Fact::FrequencyScore => buyer(site.scales.orders.place(orders.len() as i64).unwrap_or(1).into()),
        Fact::MonetaryScore => buyer(site.scales.spent_minor.place(minor()).unwrap_or(1).into()),
        Fact::RevenuePercentile if !orders.is_empty() => known(site.revenue.below(minor() as f64)),
        Fact::OrderValuePercentile if !orders.is_empty() => {
            known(site.order_value.below(minor() as f64 / orders.len() as f64))
        }
        Fact::RevenuePercentile | Fact::OrderValuePercentile => Known::Nothing,
        Fact::ProbabilityAlive => finite(person.scores.probability_alive),
        Fact::ExpectedOrders => finite(person.scores.expected_orders),
        Fact::ExpectedRevenue => finite(person.scores.expected_revenue),
        Fact::ExpectedRevenuePercentile => {
            known(site.expected_revenue.below(f64::from(person.scores.expected_revenue)))
        }
        Fact::ProbabilityOfReturn => finite(person.scores.probability_of_return),
        // Whoever signs up has: the models say so only when they are made again.
        Fact::ProbabilityOfSignUp if person.signed_up => Known::Nothing,
        Fact::ProbabilityOfSignUp => finite(person.scores.probability_of_sign_up),
        Fact::Cluster => known((person.scores.cluster != Scores::NO_CLUSTER).then(|| person.scores.cluster.into())),
        Fact::SignedUp
        | Fact::Lifecycle
        | Fact::Buyers
        | Fact::RfmGroup
        | Fact::FirstChannel
        | Fact::LastChannel
        // These are read beside the traits.
        | Fact::Country
        | Fact::Language
        | Fact::TimeZone
        | Fact::Currency
        | Fact::Device
        | Fact::Browser
        | Fact::System
        | Fact::EmailClass => Known::Nothing,
    }
}

fn visits(person: &Person<'_>, end: usize) -> usize {
    person.what[..end].iter().filter(|what| **what == What::VISIT).count()
}

/// A fact that is a word: its place in [`Fact::words`].
enum Word<'s> {
    Nothing,
    Is(usize),
    /// A stage of the lifecycle, which turns with the days since a second.
    Stage {
        since: u32,
        limits: &'s lifecycle::Limits,
    },
    /// A group of the RFM grid, which turns with the days since the last order.
    Group {
        since: u32,
        frequency: u8,
    },
}

fn word<'s>(site: &'s Site, fact: Fact, person: &Person<'_>, as_of: u32) -> Word<'s> {
    let orders = person.orders_by(as_of);
    // Who neither bought nor signed up is in no lifecycle.
    let is_known = !orders.is_empty() || person.signed_up;
    match fact {
        Fact::SignedUp => Word::Is(usize::from(!person.signed_up)),
        Fact::Buyers if is_known => Word::Is(Buyers::after(u32::try_from(orders.len()).unwrap_or(u32::MAX)) as usize),
        Fact::Lifecycle if is_known => match orders.last().map(|last| last.at).or(person.first_seen()) {
            Some(since) => Word::Stage { since, limits: site.limits_after(orders.len()) },
            None => Word::Nothing,
        },
        Fact::RfmGroup => match orders.last() {
            Some(last) => {
                let frequency = site.scales.orders.place(orders.len() as i64).unwrap_or(1);
                Word::Group { since: last.at, frequency }
            }
            None => Word::Nothing,
        },
        _ => Word::Nothing,
    }
}

/// The word that a fact is, as its place in [`Fact::words`].
pub(super) fn word_now(site: &Site, fact: Fact, person: &Person<'_>, as_of: u32) -> Option<usize> {
    match word(site, fact, person, as_of) {
        Word::Nothing => None,
        Word::Is(word) => Some(word),
        Word::Stage { since, limits } => Some(lifecycle::stage(limits, (as_of - since) / DAY) as usize),
        Word::Group { since, frequency } => {
            let recency = site.scales.recency_days.place(((as_of - since) / DAY).into()).unwrap_or(1);
            Cell::new(recency, frequency).map(|cell| cell.group() as usize)
        }
    }
}

// Stages, groups and channels are looked up by their place among the words.
const _: () = assert!(Stage::ALL.len() == 3);
