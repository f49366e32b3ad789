//! From lines to events: what all kinds have in common.

use super::days::{self, Days};
use super::fields::{Fields, Kind};
use super::format::{Cell, Line};
use super::mapping::{Layout, Mapping};
use super::number::{self, Mark};
use super::{customers, newsletter, orders};
use crate::intake::Reason;
use crate::intake::message::tie;
use crate::intake::screen::{self, Fault};
use crate::store::events::{self, EventKey, NewEvent, flags};
use crate::store::identities::Who;
use crate::store::sites::Site;
use domain::identity::{Call, Kind as IdentityKind, normalise};
use domain::money::{Currency, Money};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// An identifier, in its normal form.
pub(super) type Named = (IdentityKind, Arc<str>);

/// A moment may be this far ahead of our clock.
const AHEAD_US: i64 = 86_400_000_000;

/// Makes the events of one file's lines.
pub(crate) struct Maker {
    pub(super) site: Arc<Site>,
    pub(super) source: Arc<str>,
    pub(super) kind: Kind,
    pub(super) layout: Layout,
    /// What the whole file of a newsletter tells.
    pub(super) event: Option<String>,
    /// By field: how its amounts are written.
    marks: BTreeMap<&'static str, Mark>,
    /// Whether the rates of a file by day are of a hundred.
    pub(super) has_percents: bool,
    pub(super) now_us: i64,
    equal: Equal,
    /// The sums of a file by day.
    days: Days,
}

/// How often equal lines have been met. Most are met once: a set of 8 bytes each, and counts of the others.
#[derive(Default)]
struct Equal {
    once: HashSet<u64>,
    more: HashMap<u64, u32>,
}

impl Equal {
    /// Which occurrence of a line this is, 1 is the first.
    fn next(&mut self, line: Uuid) -> u32 {
        // Half of a hash tells the lines of a file apart; 1 in 30 million files of a million lines has two alike.
        let key = (line.as_u128() >> 64) as u64 ^ line.as_u128() as u64;
        if self.once.insert(key) {
            return 1;
        }
        let count = self.more.entry(key).or_insert(1);
        *count += 1;
        *count
    }
}

impl Maker {
    /// `sample` is the first lines of the file: they show how its amounts are written.
    pub(crate) fn new(
        (site, source): (&Arc<Site>, &Arc<str>),
        (kind, layout): (Kind, Layout),
        mapping: &Mapping,
        sample: &[Line],
        now_us: i64,
    ) -> Maker {
        let mut marks = BTreeMap::new();
        for field in kind.fields().iter().filter(|field| layout.column(field.name).is_some()) {
            let texts = sample.iter().filter_map(|line| match layout.cell(line, field.name) {
                Some(Cell::Text(text)) => Some(text.as_str()),
                Some(Cell::Empty | Cell::NoText(_) | Cell::List(_)) | None => None,
            });
            marks.insert(field.name, number::mark_of(texts));
        }
        let rates = marks.get("bounce_rate").copied().unwrap_or(Mark::Point);
        let has_percents = days::has_percents(&layout, rates, sample);
        let event = mapping.event.clone();
        let (site, source) = (Arc::clone(site), Arc::clone(source));
        let days = Days::new(layout.from.as_deref());
        Maker { site, source, kind, layout, event, marks, has_percents, now_us, equal: Equal::default(), days }
    }

    /// Whether a line goes on with what the one before has begun: another product of the same order.
    pub(crate) fn goes_on(&self, group: &[Line], line: &Line) -> bool {
        match self.kind {
            Kind::Orders => orders::goes_on(self, group, line),
            Kind::Customers | Kind::Newsletter | Kind::AdSpend | Kind::SearchConsole | Kind::WebHistory => false,
        }
    }

    /// The events of lines that belong together.
    ///
    /// # Errors
    /// What is wrong with them; none of their events is made then.
    pub(crate) fn events(&mut self, group: &[Line]) -> Result<Vec<NewEvent>, Fault> {
        let Some(first) = group.first() else { return Ok(Vec::new()) };
        if let Some(fault) = group.iter().find_map(|line| line.fault.as_ref()) {
            return Err(Fault::new(Reason::Unreadable, fault.clone()));
        }
        match self.kind {
            Kind::Customers => customers::events(self, first),
            Kind::Orders => orders::events(self, group),
            Kind::Newsletter => newsletter::events(self, first),
            Kind::AdSpend | Kind::SearchConsole | Kind::WebHistory => {
                // The sums are no part of the maker while a line is read by it.
                let mut sums = std::mem::take(&mut self.days);
                let taken = days::take(self, first, &mut sums);
                self.days = sums;
                taken.map(|()| Vec::new())
            }
        }
    }

    /// The sums of a file by day, once all its lines have been read.
    pub(super) fn take_days(&mut self) -> Days {
        std::mem::take(&mut self.days)
    }

    /// A field's text; empty where the line says nothing.
    pub(super) fn text<'l>(&self, line: &'l Line, field: &str) -> Result<&'l str, Fault> {
        match self.layout.cell(line, field) {
            Some(Cell::Text(text)) => screen::clean(text, field),
            Some(Cell::NoText(_)) => {
                let detail = format!("{field} is not valid UTF-8; save the file as UTF-8");
                Err(Fault::new(Reason::BadText, detail))
            }
            Some(Cell::List(_)) => Err(Fault::new(Reason::Unreadable, format!("{field} is a list"))),
            Some(Cell::Empty) | None => Ok(""),
        }
    }

    /// A field's text that must be there.
    pub(super) fn needed<'l>(&self, line: &'l Line, field: &str) -> Result<&'l str, Fault> {
        if self.layout.ends_before(line, field) {
            return Err(Fault::new(Reason::Unreadable, format!("the line has no {field}")));
        }
        self.text(line, field)
    }

    /// A field's moment, in µs since 1970; `None` where the line says nothing.
    pub(super) fn moment(&self, line: &Line, field: &str) -> Result<Option<i64>, Fault> {
        let text = self.text(line, field)?;
        if text.is_empty() { Ok(None) } else { self.read_moment(text, field).map(Some) }
    }

    pub(super) fn read_moment(&self, text: &str, field: &str) -> Result<i64, Fault> {
        let us = moment(text, &self.site.time_zone).ok_or_else(|| {
            let detail = format!("{field} {text:.60?} is no date; write 2026-11-23 or 2026-11-23T18:30:00Z");
            Fault::new(Reason::DateOutOfRange, detail)
        })?;
        if us < 0 || us > self.now_us + AHEAD_US {
            let detail = format!("{field} {text:.60?} is before 1970 or in the future");
            return Err(Fault::new(Reason::DateOutOfRange, detail));
        }
        Ok(us)
    }

    /// A field's amount; `None` where the line says nothing.
    pub(super) fn amount(&self, line: &Line, field: &str, currency: Currency) -> Result<Option<Money>, Fault> {
        let text = self.text(line, field)?;
        if text.is_empty() { Ok(None) } else { self.read_amount(text, field, currency).map(Some) }
    }

    pub(super) fn read_amount(&self, text: &str, field: &str, currency: Currency) -> Result<Money, Fault> {
        number::amount(text, self.mark(field), currency)
            .map_err(|error| Fault::new(Reason::BadOrder, format!("{field} {text:.60?}: {error}")))
    }

    /// How the amounts of a field are written.
    pub(super) fn mark(&self, field: &str) -> Mark {
        self.marks.get(field).copied().unwrap_or(Mark::Point)
    }

    /// The event's own identity: the first of these fields that names somebody.
    pub(super) fn who(&self, line: &Line, fields: &[(&str, IdentityKind)]) -> Result<Option<Named>, Fault> {
        for (field, kind) in fields {
            let text = self.text(line, field)?;
            if text.is_empty() {
                continue;
            }
            let value = normalise(*kind, text).map_err(|invalid| {
                Fault::new(Reason::MissingIdentity, invalid.to_string().replacen(kind.name(), field, 1))
            })?;
            return Ok(Some((*kind, value.into())));
        }
        Ok(None)
    }

    /// Ties the other identifiers of a line to the event's own.
    pub(super) fn tie_all(
        &self,
        new: &mut NewEvent,
        line: &Line,
        fields: &[(&str, IdentityKind)],
    ) -> Result<(), Fault> {
        for (field, kind) in fields {
            let text = self.text(line, field)?;
            if !text.is_empty() {
                tie(new, *kind, text, Call::Together)?;
            }
        }
        if let Who::Known { kind, value } = &new.who {
            let own = (*kind, Arc::clone(value));
            new.links.retain(|link| (link.kind, &link.value) != (own.0, &own.1));
        }
        Ok(())
    }

    /// An event of a file.
    pub(super) fn event(&self, kind: events::Kind, key: EventKey, (own, value): Named, at_us: i64) -> NewEvent {
        let who = Who::Known { kind: own, value };
        NewEvent::new(&self.source, kind, key, who, (at_us.min(self.now_us), flags::TRUSTED | flags::IMPORTED))
    }

    /// The id of an event at that moment that follows from what is said.
    pub(super) fn own_key(&self, at_us: i64, says: &[&[u8]]) -> EventKey {
        EventKey::Own(screen::uuid_v7(at_us, *self.hash(says).as_bytes()))
    }

    pub(super) fn hash(&self, says: &[&[u8]]) -> Uuid {
        crate::secrets::hash_id(says)
    }

    /// Which occurrence of equal lines this is.
    pub(super) fn occurrence(&mut self, line: Uuid) -> u32 {
        self.equal.next(line)
    }
}

/// A date, a date and time in the site's time zone, or a moment with its offset, in µs since 1970.
///
/// ISO 8601, also with a blank before the offset and `UTC` behind; `23.11.2026 18:30`; seconds or milliseconds since
/// 1970 of ten or thirteen digits.
pub(crate) fn moment(text: &str, time_zone: &TimeZone) -> Option<i64> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_microsecond());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) && matches!(text.len(), 10 | 13) {
        return text.parse::<i64>().ok()?.checked_mul(if text.len() == 10 { 1_000_000 } else { 1_000 });
    }
    let spaced = text.strip_suffix(" UTC").map(|rest| format!("{rest}Z")).or_else(|| {
        let (rest, offset) = text.rsplit_once(' ')?;
        offset.starts_with(['+', '-']).then(|| format!("{rest}{offset}"))
    });
    if let Some(Ok(moment)) = spaced.map(|text| text.parse::<jiff::Timestamp>()) {
        return Some(moment.as_microsecond());
    }
    let dotted = dotted(text);
    let text = dotted.as_deref().unwrap_or(text);
    let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0))).ok()?;
    Some(civil.to_zoned_datetime(time_zone.clone()).ok()?.timestamp().as_microsecond())
}

/// `23.11.2026 18:30` as ISO 8601 writes it.
fn dotted(text: &str) -> Option<String> {
    let (day, time) = text.split_once(' ').unwrap_or((text, ""));
    let mut parts = day.splitn(3, '.');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !is_number(day, 1..=2) || !is_number(month, 1..=2) || !is_number(year, 4..=4) {
        return None;
    }
    let date = format!("{year}-{month:0>2}-{day:0>2}");
    Some(if time.is_empty() { date } else { format!("{date}T{time}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_exports_write_them() {
        let vienna = TimeZone::get("Europe/Vienna").unwrap();
        let noon = moment("2026-11-23T12:00:00Z", &vienna).unwrap();
        for text in [
            "2026-11-23T13:00:00+01:00",
            "2026-11-23 13:00:00 +0100",
            "2026-11-23 12:00:00 UTC",
            "2026-11-23 13:00",
            "2026-11-23T13:00:00",
            "23.11.2026 13:00",
            "1795435200",
            "1795435200000",
        ] {
            assert_eq!(moment(text, &vienna), Some(noon), "{text}");
        }
        assert_eq!(moment("3.1.2026", &vienna), moment("2026-01-03", &vienna));
        for text in ["", "11/23/2026", "2026-02-30", "30.2.2026", "12.50", "soon", "20261"] {
            assert_eq!(moment(text, &vienna), None, "{text}");
        }
    }

    #[test]
    fn equal_lines_are_counted_from_the_first() {
        let mut equal = Equal::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!([one, one, other, one, other].map(|line| equal.next(line)), [1, 2, 1, 3, 2]);
    }
}
