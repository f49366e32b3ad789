//! What a former tool counted: a line of a day, of the whole site or of a page, source, country or device.

use super::super::format::{Cell, Line};
use super::super::maker::Maker;
use super::super::mapping::{Layout, Mapping, MappingError};
use super::super::number;
use super::{Days, HistoryKey, Visited, count, day, decimal, is_remark, page, real};
use crate::intake::Reason;
use crate::intake::screen::Fault;
use crate::store::marketing::value;
use domain::attribution::read_url;

/// Tools by the words that owners use for them, and the names that they are kept under.
const TOOLS: [(&str, &str); 6] = [
    ("plausible", "plausible"),
    ("ga4", "google-analytics"),
    ("google-analytics", "google-analytics"),
    ("ga", "google-analytics"),
    ("umami", "umami"),
    ("matomo", "matomo"),
];

/// Fields that say what a line is about, where it is not the whole site.
const DIMENSIONS: [&str; 8] =
    ["page", "entry_page", "exit_page", "source", "country", "device", "browser", "operating_system"];

/// Those of them that are addresses.
const PAGES: [&str; 3] = ["page", "entry_page", "exit_page"];

/// Fields of which a file needs one.
const COUNTS: [&str; 4] = ["visitors", "visits", "views", "events"];

/// The tool of that name; `None` where it is not known.
pub(super) fn tool(word: &str) -> Option<&'static str> {
    TOOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word.trim())).map(|(_, kept)| *kept)
}

/// The tool that the headings of an export show.
pub(super) fn shown_by(plain: &[String]) -> Option<&'static str> {
    let has = |heading: &str| plain.iter().any(|own| own == heading);
    let google = ["total_users", "active_users", "engaged_sessions", "screen_page_views", "session_source_medium"];
    if plain.iter().any(|heading| heading.starts_with("nb_")) {
        Some("matomo")
    } else if google.into_iter().any(has) || (has("sessions") && has("views")) {
        Some("google-analytics")
    } else if has("visitors") && ["pageviews", "visit_duration", "entrances", "exits"].into_iter().any(has) {
        Some("plausible")
    } else {
        None
    }
}

/// Whether the headings are those of Umami's table of single events.
pub(in crate::import) fn tells_events(plain: &[String]) -> bool {
    let has = |heading: &str| plain.iter().any(|own| own == heading);
    has("session_id") && (has("website_id") || has("event_type") || has("visit_id"))
}

pub(super) fn missing(layout: &Layout, mapping: &Mapping) -> Vec<MappingError> {
    if layout.tells_events {
        return vec![MappingError::Events];
    }
    let mut missing = Vec::new();
    if layout.from.is_none() {
        missing.push(match mapping.from.as_deref().filter(|from| !from.trim().is_empty()) {
            Some(from) => MappingError::UnknownTool(from.to_owned()),
            None => MappingError::NoTool,
        });
    }
    let mut dimensions = DIMENSIONS.into_iter().filter(|field| layout.column(field).is_some());
    if let (Some(one), Some(other)) = (dimensions.next(), dimensions.next()) {
        missing.push(MappingError::TwoCuts(one.to_owned(), other.to_owned()));
    }
    if !COUNTS.iter().any(|field| layout.column(field).is_some()) {
        missing.push(MappingError::Missing(COUNTS.join(" or "), "visitors".to_owned()));
    }
    missing
}

pub(super) fn take(maker: &Maker, line: &Line, days: &mut Days) -> Result<(), Fault> {
    let day = match day::needed(maker, line) {
        Err(_) if is_remark(line) => return Ok(()),
        day => day?,
    };
    let dimension = DIMENSIONS.into_iter().find(|field| maker.layout.column(field).is_some());
    let text = match dimension {
        Some(field) if PAGES.contains(&field) => page(maker.text(line, field)?),
        // A source may be an address, and tells no more than a page.
        Some(field) => {
            let text = maker.text(line, field)?;
            if read_url(text).is_some() { page(text) } else { value(text) }
        }
        None => String::new(),
    };
    let key: HistoryKey = match dimension {
        // Visits that came from nowhere have an empty source.
        Some(field) if text.is_empty() => (day, field, "(none)".to_owned()),
        Some(field) => (day, field, text),
        None => (day, "total", text),
    };
    let visited = visited(maker, line)?;
    if let Some((first, known)) = days.history.get_mut(&key) {
        if dimension.is_none() {
            let detail = format!("line {first} is about the same day; visitors of finer lines cannot be added up");
            return Err(Fault::new(Reason::Unreadable, detail));
        }
        known.add(&visited);
        return Ok(());
    }
    days.make_room(key.2.len())?;
    days.history.insert(key, (line.number, visited));
    Ok(())
}

/// Whether a file writes its rates of a hundred: Google writes 0.45, others 45 or 45 %.
pub(in crate::import) fn has_percents(layout: &Layout, mark: number::Mark, sample: &[Line]) -> bool {
    sample.iter().any(|line| match layout.cell(line, "bounce_rate") {
        Some(Cell::Text(text)) => text.ends_with('%') || real(text, mark).is_some_and(|rate| rate > 1.0),
        Some(Cell::Empty | Cell::NoText(_) | Cell::List(_)) | None => false,
    })
}

fn visited(maker: &Maker, line: &Line) -> Result<Visited, Fault> {
    let visits = count(maker, line, "visits")?;
    let engaged = count(maker, line, "engaged_visits")?;
    let by_rate = match (decimal(maker, line, "bounce_rate")?, visits) {
        (Some((rate, is_percent)), Some(visits)) => {
            let share = if is_percent || maker.has_percents || rate > 1.0 { rate / 100.0 } else { rate };
            Some((share.min(1.0) * visits as f64).round() as i64)
        }
        (Some(_) | None, _) => None,
    };
    let by_engaged = visits.zip(engaged).map(|(visits, engaged)| (visits - engaged).max(0));
    let whole = decimal(maker, line, "visit_seconds")?.map(|(seconds, _)| seconds.round() as i64);
    let average = decimal(maker, line, "average_seconds")?;
    let by_average = average.zip(visits).map(|((seconds, _), visits)| (seconds * visits as f64).round() as i64);
    Ok(Visited {
        visitors: count(maker, line, "visitors")?,
        visits,
        views: count(maker, line, "views")?,
        bounces: count(maker, line, "bounces")?.or(by_engaged).or(by_rate),
        visit_seconds: whole.or(by_average),
        events: count(maker, line, "events")?,
    })
}

impl Visited {
    fn add(&mut self, other: &Visited) {
        let sum = |one: &mut Option<i64>, other: Option<i64>| {
            if let Some(other) = other {
                *one = Some(one.unwrap_or(0).saturating_add(other));
            }
        };
        sum(&mut self.visitors, other.visitors);
        sum(&mut self.visits, other.visits);
        sum(&mut self.views, other.views);
        sum(&mut self.bounces, other.bounces);
        sum(&mut self.visit_seconds, other.visit_seconds);
        sum(&mut self.events, other.events);
    }
}
