//! When people come: growth over the year, the season, the day of the week and the hour, and what the shop did.

use super::random::Random;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

pub(super) const MINUTE: i64 = 60_000;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// The shop's customers live by eastern standard time; nobody's story hangs on an hour of summer time.
const OFFSET_HOURS: i8 = -5;

/// Visits by month, January first: gifts before Christmas, little in high summer.
const SEASON: [f64; 12] = [0.85, 0.9, 0.95, 1.0, 1.0, 0.9, 0.8, 0.8, 1.0, 1.1, 1.35, 1.45];

/// Visits by weekday, Monday first.
const WEEK: [f64; 7] = [1.05, 1.0, 1.0, 0.98, 0.9, 0.92, 1.15];

/// Visits by local hour: breakfast, lunch and the sofa.
const HOURS: [f64; 24] = [
    0.6, 0.3, 0.2, 0.1, 0.15, 0.5, 1.5, 3.2, 3.8, 3.0, 2.5, 2.6, 3.4, 3.0, 2.4, 2.3, 2.5, 3.0, 3.4, 4.2, 5.0, 4.6, 2.8,
    1.3,
];

/// How somebody came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Channel {
    Organic,
    PaidSearch,
    PaidSocial,
    Direct,
    Referral,
    Newsletter,
}

pub(super) const CHANNELS: [Channel; 6] = [
    Channel::Organic,
    Channel::PaidSearch,
    Channel::PaidSocial,
    Channel::Direct,
    Channel::Referral,
    Channel::Newsletter,
];

/// The year that ends at `end`, in ms since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Year {
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Year {
    pub(super) fn ending(end: Timestamp) -> Self {
        let end = end.as_millisecond();
        Year { start: end - 365 * DAY, end }
    }

    fn days_left(&self, at: i64) -> f64 {
        (self.end - at) as f64 / DAY as f64
    }

    /// How many new people each channel brings at a time, relative to the others and to other times.
    pub(super) fn pull(&self, at: i64) -> [f64; 6] {
        let left = self.days_left(at);
        // The article on low-acid coffee appeared a hundred days ago and climbs in the search results ever since.
        let article = 16.0 * ((100.0 - left) / 100.0).max(0.0);
        // Two bursts of ads, and a portrait of the shop in a magazine.
        let ads = if left < 24.0 || (150.0..172.0).contains(&left) { 15.0 } else { 0.0 };
        let press = if (40.0..45.0).contains(&left) { 26.0 } else { 0.0 };
        [29.0 + article, 15.0, 11.0 + ads, 13.0, 7.0 + press, 3.0]
    }

    /// Interest in coffee at a time, in 0..=1: the season and the day of the week.
    pub(super) fn interest(&self, at: i64) -> f64 {
        let local = local(at);
        let month = usize::try_from(local.month()).map_or(0, |month| month - 1);
        let weekday = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
        SEASON[month] * WEEK[weekday] / (1.45 * 1.15)
    }

    /// When a new person comes for the first time, and how.
    pub(super) fn first_visit(&self, random: &mut Random) -> (i64, Channel) {
        loop {
            let at = self.at_an_hour(self.start + (random.unit() * (self.end - self.start) as f64) as i64, random);
            let pull = self.pull(at);
            let total: f64 = pull.iter().sum();
            let growth = 0.65 + 0.35 * (at - self.start) as f64 / (self.end - self.start) as f64;
            let accept = growth * self.interest(at) * total / 130.0;
            if (self.start..self.end).contains(&at) && random.chance(accept) {
                return (at, CHANNELS[random.weighted(&pull)]);
            }
        }
    }

    /// Moves a time to an hour of its local day at which people shop.
    pub(super) fn at_an_hour(&self, at: i64, random: &mut Random) -> i64 {
        let shift = i64::from(OFFSET_HOURS) * HOUR;
        let midnight = (at + shift).div_euclid(DAY) * DAY - shift;
        midnight + random.weighted(&HOURS) as i64 * HOUR + (random.unit() * HOUR as f64) as i64
    }

    /// The mornings on which the newsletter goes out: every other Sunday at nine.
    pub(super) fn sends(&self) -> impl Iterator<Item = i64> + use<> {
        let shift = i64::from(OFFSET_HOURS) * HOUR;
        // 1970-01-04 was a Sunday.
        let first = (self.start + shift - 3 * DAY).div_euclid(14 * DAY) * 14 * DAY + 3 * DAY + 9 * HOUR - shift;
        let (start, end) = (self.start, self.end);
        (0..=27).map(move |fortnight| first + fortnight * 14 * DAY).filter(move |at| (start..end).contains(at))
    }
}

/// The local day and time.
pub(super) fn local(at: i64) -> DateTime {
    Offset::constant(OFFSET_HOURS).to_datetime(Timestamp::from_millisecond(at).unwrap_or_default())
}
