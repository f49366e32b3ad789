//! Sentences that say what changed, from the report's own numbers.

use crate::format::{count, counted, full_day, money_short, people_url, percent};
use domain::report::{Change, Did, Direction, Measure, Moved, Overview, PeopleFilter, Period, PeriodChoice, Site};

/// One sentence of "What changed".
pub(crate) struct Sentence {
    /// `up`, `dn` or `same`, for the dot.
    pub(crate) tone: &'static str,
    /// The sentence's first, strong part.
    pub(crate) strong: String,
    /// Its rest.
    pub(crate) rest: String,
    /// The numbers behind it.
    pub(crate) detail: String,
    /// Where the people behind it are.
    pub(crate) people: String,
}

/// The name of a measure.
pub(crate) fn measure_name(measure: Measure) -> &'static str {
    match measure {
        Measure::Visitors => "Visitors",
        Measure::Sessions => "Sessions",
        Measure::Orders => "Orders",
        Measure::Revenue => "Revenue",
    }
}

/// A measure's value as text.
pub(crate) fn measure_value(site: &Site, measure: Measure, value: i64) -> String {
    match measure {
        Measure::Revenue => money_short(&site.money(value)),
        Measure::Visitors | Measure::Sessions | Measure::Orders => count(&u64::try_from(value).unwrap_or(0)),
    }
}

/// What people behind a measure did.
pub(crate) fn measure_did(measure: Measure) -> Did {
    match measure {
        Measure::Visitors | Measure::Sessions => Did::Visited,
        Measure::Orders | Measure::Revenue => Did::Ordered,
    }
}

/// `the 30 days before`
pub(crate) fn days_before(period: &Period) -> String {
    match period.days() {
        1 => "the day before".to_owned(),
        days => format!("the {days} days before"),
    }
}

/// `Last 30 days`
pub(crate) fn period_name(period: &Period, span: String) -> String {
    match period.choice {
        PeriodChoice::Last(days) => format!("Last {days} days"),
        PeriodChoice::ThisMonth => "This month".to_owned(),
        PeriodChoice::LastMonth => "Last month".to_owned(),
        PeriodChoice::Custom => span,
    }
}

fn tone(moved: Moved) -> &'static str {
    match moved.direction() {
        Some(Direction::Up) => "up",
        Some(Direction::Down) => "dn",
        None => "same",
    }
}

fn up_or_down(moved: Moved) -> &'static str {
    match moved.direction() {
        Some(Direction::Up) => "up",
        Some(Direction::Down) => "down",
        None => "unchanged",
    }
}

fn by_percent(moved: Moved) -> String {
    moved.percent().map(percent).unwrap_or_default()
}

/// Everything that changed enough to be said.
pub(crate) fn what_changed(report: &Overview) -> Vec<Sentence> {
    let site = &report.site;
    let before = days_before(&report.period);
    let sentence = |change: Change| match change {
        Change::Measure { measure, moved, certain, driver } => {
            let verb = if matches!(measure, Measure::Revenue) { "is" } else { "are" };
            let strong = format!("{} {verb} {} {}", measure_name(measure), up_or_down(moved), by_percent(moved));
            let mut detail = format!(
                "{} against {} in {before}.",
                measure_value(site, measure, moved.now),
                measure_value(site, measure, moved.before)
            );
            let mut rest = String::new();
            if let Some(driver) = &driver {
                let unit = match measure {
                    Measure::Visitors | Measure::Sessions => Measure::Sessions,
                    Measure::Orders | Measure::Revenue => measure,
                };
                rest = format!(", mostly from {}", driver.name);
                detail.push_str(&format!(
                    " {}: {} against {}{}.",
                    driver.name,
                    measure_value(site, unit, driver.moved.now),
                    measure_value(site, unit, driver.moved.before),
                    if measure == Measure::Visitors { " sessions" } else { "" }
                ));
            }
            if !certain {
                rest.push_str("; not beyond chance yet");
            }
            Sentence {
                tone: if certain { tone(moved) } else { "same" },
                strong,
                rest: format!("{rest}."),
                detail,
                people: people_url(
                    site,
                    measure_did(measure),
                    &report.period,
                    driver.as_ref().map(|driver| driver.key.as_str()),
                    None,
                ),
            }
        }
        Change::Page { page, moved } => Sentence {
            tone: tone(moved),
            strong: format!(
                "{page} was viewed {} {}",
                by_percent(moved),
                if moved.direction() == Some(Direction::Down) { "less" } else { "more" }
            ),
            rest: ", beyond what the site’s own traffic explains.".to_owned(),
            detail: format!(
                "{} against {} in {before}.",
                counted(&u64::try_from(moved.now).unwrap_or(0), "view", "views"),
                count(&u64::try_from(moved.before).unwrap_or(0))
            ),
            people: people_url(site, Did::Visited, &report.period, None, Some(&page)),
        },
    };
    report.changes().into_iter().map(sentence).collect()
}

/// Says which people a filter finds, as a heading's second half; `None` for everybody.
pub(crate) fn filter_sentence(filter: &PeopleFilter, channel: Option<&str>) -> Option<String> {
    let mut words = Vec::new();
    if let Some((did, period)) = &filter.did {
        let verb = match did {
            Did::Visited => "Visited",
            Did::Arrived => "Seen for the first time",
            Did::Ordered => "Ordered",
        };
        let days = if period.from == period.to {
            format!("on {}", full_day(&period.from))
        } else {
            format!("from {} to {}", full_day(&period.from), full_day(&period.to))
        };
        words.push(format!("{verb} {days}"));
    }
    if let Some(page) = &filter.viewed {
        words.push(format!("viewed {page}"));
    }
    if let Some(channel) = channel {
        words.push(format!("by way of {channel}"));
    }
    if let Some(search) = &filter.search {
        words.push(format!("matching “{search}”"));
    }
    (!words.is_empty()).then(|| capitalised(&words.join(", ")))
}

/// A reason's key in words: what it means for the owner.
pub(crate) fn reason_words(reason: &str) -> String {
    capitalised(&reason.replace('_', " "))
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
