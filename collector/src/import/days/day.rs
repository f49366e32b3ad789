//! Days as exports write them.

use super::super::format::Line;
use super::super::maker::{Maker, moment};
use crate::intake::Reason;
use crate::intake::screen::Fault;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// How days with the name of their month are written.
const NAMED: [&str; 4] = ["%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y"];

/// A day: `2026-11-23`, `20261123`, `23.11.2026`, `Nov 23, 2026`; of a moment with an offset the day of the time zone.
/// `11/23/2026` is no day: without the other lines nobody can tell it from `23/11/2026`.
pub(in crate::import) fn day(text: &str, time_zone: &TimeZone) -> Option<Date> {
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Date::strptime("%Y%m%d", text).ok();
    }
    if let Some(day) = NAMED.iter().find_map(|form| Date::strptime(form, text).ok()) {
        return Some(day);
    }
    let us = moment(text, time_zone)?;
    Some(crate::store::instant(us).to_zoned_datetime(time_zone.clone()).date())
}

/// A line's day.
pub(super) fn needed(maker: &Maker, line: &Line) -> Result<Date, Fault> {
    read(maker, maker.needed(line, "date")?, "date")
}

pub(super) fn read(maker: &Maker, text: &str, field: &str) -> Result<Date, Fault> {
    let out = |detail: String| Fault::new(Reason::DateOutOfRange, detail);
    let day = day(text, &maker.site.time_zone)
        .ok_or_else(|| out(format!("{field} {text:.40?} is no day; write 2026-11-23 or 20261123")))?;
    let today = crate::store::instant(maker.now_us).to_zoned_datetime(maker.site.time_zone.clone()).date();
    if day.year() < 1970 || day > today.tomorrow().unwrap_or(today) {
        return Err(out(format!("{field} {text:.40?} is before 1970 or in the future")));
    }
    Ok(day)
}
