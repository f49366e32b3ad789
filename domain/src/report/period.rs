//! The days a report is about, and the days it is compared with.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use std::ops::Range;

/// Days of a report, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// How it was chosen.
    pub choice: PeriodChoice,
    /// First day.
    pub from: Date,
    /// Last day.
    pub to: Date,
}

/// How a period was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodChoice {
    /// The last so many days, today among them.
    Last(u16),
    /// From the first of this month until today.
    ThisMonth,
    /// The whole month before this one.
    LastMonth,
    /// Two given days.
    Custom,
}

/// A period and the one before it, as moments: `start..end`, the end excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The period; it ends now when its last day is not over.
    pub current: Range<Timestamp>,
    /// As many days directly before, cut at the same time of day, so that an unfinished today is compared with an
    /// unfinished day.
    pub previous: Range<Timestamp>,
}

/// Why a period cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// No such choice.
    #[error("period is `{0}`; choose 7d, 30d, 90d, 365d, month or last-month, or give from and to")]
    Unknown(String),
    /// Not a day.
    #[error("`{0}` is not a day; write it as 2026-11-23")]
    Day(String),
    /// The last day is before the first.
    #[error("the period ends on {to}, before it begins on {from}")]
    Backwards {
        /// First day.
        from: Date,
        /// Last day.
        to: Date,
    },
    /// More than [`Period::MAX_DAYS`].
    #[error("the period has {0} days, limit {max}; choose a shorter one", max = Period::MAX_DAYS)]
    TooLong(i32),
    /// Beyond the calendar that can be computed with.
    #[error("the period is outside the calendar")]
    OutOfRange,
}

impl Period {
    /// Ten years: a chart of more days cannot be read.
    pub const MAX_DAYS: i32 = 3_660;
    /// What a page shows when nothing is chosen.
    pub const DEFAULT: PeriodChoice = PeriodChoice::Last(30);
    /// The lengths that the period picker offers, in days.
    pub const LENGTHS: [u16; 4] = [7, 30, 90, 365];

    /// Reads a page's query: `from` and `to` (or one of them, then the other is today or the same day) win over `period`,
    /// nothing at all means [`Period::DEFAULT`]. Empty values count as absent, as an unfilled form sends them.
    ///
    /// # Errors
    /// [`PeriodError`] says what is wrong and what to write instead.
    pub fn read(
        period: Option<&str>,
        from: Option<&str>,
        to: Option<&str>,
        today: Date,
    ) -> Result<Period, PeriodError> {
        let given = |value: Option<&str>| value.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let day = |text: String| text.parse::<Date>().map_err(|_| PeriodError::Day(text));
        let (from, to) = (given(from).map(day).transpose()?, given(to).map(day).transpose()?);
        if from.is_some() || to.is_some() {
            let from = from.or(to).unwrap_or(today);
            return Period { choice: PeriodChoice::Custom, from, to: to.unwrap_or(today.max(from)) }.checked();
        }
        match given(period).as_deref() {
            None => Period::choose(Period::DEFAULT, today),
            Some("7d") => Period::choose(PeriodChoice::Last(7), today),
            Some("30d") => Period::choose(PeriodChoice::Last(30), today),
            Some("90d") => Period::choose(PeriodChoice::Last(90), today),
            Some("365d") => Period::choose(PeriodChoice::Last(365), today),
            Some("month") => Period::choose(PeriodChoice::ThisMonth, today),
            Some("last-month") => Period::choose(PeriodChoice::LastMonth, today),
            Some(other) => Err(PeriodError::Unknown(other.to_owned())),
        }
    }

    /// The period of a choice; [`PeriodChoice::Custom`] means today alone.
    ///
    /// # Errors
    /// [`PeriodError::OutOfRange`] at the ends of the calendar.
    pub fn choose(choice: PeriodChoice, today: Date) -> Result<Period, PeriodError> {
        let (from, to) = match choice {
            PeriodChoice::Last(days) => (minus_days(today, i32::from(days) - 1)?, today),
            PeriodChoice::ThisMonth => (today.first_of_month(), today),
            PeriodChoice::LastMonth => {
                let last = minus_days(today.first_of_month(), 1)?;
                (last.first_of_month(), last)
            }
            PeriodChoice::Custom => (today, today),
        };
        Period { choice, from, to }.checked()
    }

    fn checked(self) -> Result<Period, PeriodError> {
        if self.to < self.from {
            return Err(PeriodError::Backwards { from: self.from, to: self.to });
        }
        match self.days() {
            days if days > Period::MAX_DAYS => Err(PeriodError::TooLong(days)),
            _ => Ok(self),
        }
    }

    /// How many days, at least 1.
    pub fn days(&self) -> i32 {
        (self.to - self.from).get_days() + 1
    }

    /// As many days directly before.
    ///
    /// # Errors
    /// [`PeriodError::OutOfRange`] at the beginning of the calendar.
    pub fn previous(&self) -> Result<Period, PeriodError> {
        let days = self.days();
        Ok(Period { choice: PeriodChoice::Custom, from: minus_days(self.from, days)?, to: minus_days(self.to, days)? })
    }

    /// The moments of this period and of the one before.
    ///
    /// # Errors
    /// [`PeriodError::OutOfRange`] at the ends of the calendar.
    pub fn windows(&self, now: Timestamp, time_zone: &TimeZone) -> Result<Windows, PeriodError> {
        let midnight = |day: Date| {
            day.to_zoned_datetime(time_zone.clone()).map(|at| at.timestamp()).map_err(|_| PeriodError::OutOfRange)
        };
        let previous = self.previous()?;
        let end = midnight(minus_days(self.to, -1)?)?;
        let start = midnight(self.from)?;
        let previous_start = midnight(previous.from)?;
        if now >= end || now < start {
            return Ok(Windows { current: start..end, previous: previous_start..start });
        }
        // The same time of day so many days ago: civil days, because a day with a clock change has no 24 hours.
        let then = now
            .to_zoned_datetime(time_zone.clone())
            .checked_sub(self.days().days())
            .map_err(|_| PeriodError::OutOfRange)?
            .timestamp();
        Ok(Windows { current: start..now, previous: previous_start..then.min(start) })
    }

    /// The query that leads to this period, for example `period=30d`; safe in a URL as it stands.
    pub fn query(&self) -> String {
        match self.choice {
            PeriodChoice::Last(days) if Period::LENGTHS.contains(&days) => format!("period={days}d"),
            PeriodChoice::ThisMonth => "period=month".to_owned(),
            PeriodChoice::LastMonth => "period=last-month".to_owned(),
            PeriodChoice::Last(_) | PeriodChoice::Custom => self.dates_query(),
        }
    }

    /// The query that names the two days themselves; it means the same tomorrow.
    pub fn dates_query(&self) -> String {
        format!("from={}&to={}", self.from, self.to)
    }
}

fn minus_days(day: Date, days: i32) -> Result<Date, PeriodError> {
    day.checked_sub(Span::new().try_days(days).map_err(|_| PeriodError::OutOfRange)?)
        .map_err(|_| PeriodError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const TODAY: Date = date(2026, 11, 23);

    fn read(period: &str, from: &str, to: &str) -> Result<Period, PeriodError> {
        Period::read(Some(period), Some(from), Some(to), TODAY)
    }

    #[test]
    fn the_last_days_include_today() {
        let week = read("7d", "", "").unwrap();
        assert_eq!((week.from, week.to, week.days()), (date(2026, 11, 17), TODAY, 7));
        let before = week.previous().unwrap();
        assert_eq!((before.from, before.to), (date(2026, 11, 10), date(2026, 11, 16)));
        assert_eq!(Period::read(None, None, None, TODAY).unwrap().days(), 30);
    }

    #[test]
    fn months_are_calendar_months() {
        let this = read("month", "", "").unwrap();
        assert_eq!((this.from, this.to), (date(2026, 11, 1), TODAY));
        let last = read("last-month", "", "").unwrap();
        assert_eq!((last.from, last.to), (date(2026, 10, 1), date(2026, 10, 31)));
    }

    #[test]
    fn given_days_win_and_one_of_them_is_enough() {
        let custom = read("30d", "1997-01-01", "1997-09-30").unwrap();
        assert_eq!(custom.query(), "from=1997-01-01&to=1997-09-30");
        assert_eq!(read("", "2026-11-20", "").unwrap().to, TODAY);
        assert_eq!(read("", "", "2026-11-20").unwrap().from, date(2026, 11, 20));
        assert_eq!(read("", "2026-12-20", "").unwrap().days(), 1);
    }

    #[test]
    fn what_is_no_period_says_what_to_write() {
        assert_eq!(read("12", "", ""), Err(PeriodError::Unknown("12".into())));
        assert_eq!(read("", "yesterday", ""), Err(PeriodError::Day("yesterday".into())));
        assert!(matches!(read("", "2026-02-02", "2026-02-01"), Err(PeriodError::Backwards { .. })));
        assert_eq!(read("", "1900-01-01", "2026-01-01"), Err(PeriodError::TooLong(46_022)));
        assert!(read("", "-009999-01-01", "-009999-01-05").unwrap().previous().is_err());
    }

    #[test]
    fn an_unfinished_today_is_compared_with_an_unfinished_day() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let week = read("7d", "", "").unwrap();
        let now = "2026-11-23T14:00:00Z".parse().unwrap();
        let windows = week.windows(now, &berlin).unwrap();
        assert_eq!(windows.current.start.to_string(), "2026-11-16T23:00:00Z");
        assert_eq!(windows.current.end, now);
        assert_eq!(windows.previous.end.to_string(), "2026-11-16T14:00:00Z");
        // Over the end of summer time the civil hour stays.
        let month = read("30d", "", "").unwrap().windows(now, &berlin).unwrap();
        assert_eq!(month.previous.end.to_string(), "2026-10-24T13:00:00Z");
        // A period that is over is whole, and so is the one before.
        let past = read("", "2026-11-01", "2026-11-07").unwrap().windows(now, &berlin).unwrap();
        assert_eq!(past.previous.end, past.current.start);
    }
}
