//! Numbers, amounts, days and moments as people read them.

use domain::money::Money;
use domain::report::{Did, Moved, PeopleFilter, Period, Site};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt::Write;

/// Keeps a number and its unit on one line.
const NBSP: char = '\u{a0}';
const MINUS: char = '\u{2212}';

/// Formats for one site: its time zone, and the year that need not be said.
pub(crate) struct Format {
    time_zone: TimeZone,
    year: i16,
}

impl Format {
    pub(crate) fn of(site: &Site, now: Timestamp) -> Format {
        Format { time_zone: site.time_zone.clone(), year: site.day(now).year() }
    }

    pub(crate) fn on(site: &Site, today: Date) -> Format {
        Format { time_zone: site.time_zone.clone(), year: today.year() }
    }

    /// `4 Nov 09:12`, with its year when that is another one.
    pub(crate) fn moment(&self, at: &Timestamp) -> String {
        let zoned = at.to_zoned_datetime(self.time_zone.clone());
        format!("{}{NBSP}{:02}:{:02}", self.day(&zoned.date()), zoned.hour(), zoned.minute())
    }

    /// `09:12:31`
    pub(crate) fn clock(&self, at: &Timestamp) -> String {
        let zoned = at.to_zoned_datetime(self.time_zone.clone());
        format!("{:02}:{:02}:{:02}", zoned.hour(), zoned.minute(), zoned.second())
    }

    /// `09:12`
    pub(crate) fn minute(&self, at: &Timestamp) -> String {
        let zoned = at.to_zoned_datetime(self.time_zone.clone());
        format!("{:02}:{:02}", zoned.hour(), zoned.minute())
    }

    /// The day of a moment.
    pub(crate) fn day_of(&self, at: &Timestamp) -> String {
        self.day(&at.to_zoned_datetime(self.time_zone.clone()).date())
    }

    /// `4 Nov`, with its year when that is another one.
    pub(crate) fn day(&self, day: &Date) -> String {
        if day.year() == self.year { short_day(*day) } else { full_day(day) }
    }

    /// `1–30 Nov` or `25 Oct – 23 Nov 2025`.
    pub(crate) fn span(&self, from: &Date, to: &Date) -> String {
        let last = self.day(to);
        if from == to {
            last
        } else if (from.year(), from.month()) == (to.year(), to.month()) {
            format!("{}–{last}", from.day())
        } else if from.year() == to.year() {
            format!("{} – {last}", short_day(*from))
        } else {
            format!("{} – {}", full_day(from), full_day(to))
        }
    }
}

fn month(day: Date) -> &'static str {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    usize::try_from(day.month()).ok().and_then(|month| NAMES.get(month - 1)).copied().unwrap_or("?")
}

fn short_day(day: Date) -> String {
    format!("{}{NBSP}{}", day.day(), month(day))
}

/// `4 Nov 2026`
pub(crate) fn full_day(day: &Date) -> String {
    format!("{}{NBSP}{}", short_day(*day), day.year())
}

/// `12,345`
pub(crate) fn count(value: &u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 order`, `12,345 orders`
pub(crate) fn counted(value: &u64, one: &str, many: &str) -> String {
    format!("{}{NBSP}{}", count(value), if *value == 1 { one } else { many })
}

/// An expected number: `0.4`, `12`, `1,235`; never `0` for something that may be.
pub(crate) fn expected(value: &f64) -> String {
    match *value {
        value if value <= 0.0 => "0".to_owned(),
        value if value < 0.05 => format!("<{NBSP}0.1"),
        value if value < 9.95 => format!("{value:.1}"),
        value => count(&(value.round() as u64)),
    }
}

/// A probability in per cent, without claiming what no model can know.
pub(crate) fn probability(value: &f64) -> String {
    match *value {
        value if value < 0.01 => format!("<{NBSP}1{NBSP}%"),
        value if value > 0.99 => format!(">{NBSP}99{NBSP}%"),
        value => format!("{:.0}{NBSP}%", value * 100.0),
    }
}

/// The exact amount, `$1,234.50` or `CHF 1,234.50`.
pub(crate) fn money(value: &Money) -> String {
    let decimal = value.decimal();
    let unsigned = decimal.trim_start_matches('-');
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), |number: u64| count(&number));
    let mut text = String::new();
    if value.minor < 0 {
        text.push(MINUS);
    }
    match value.currency.code() {
        "USD" => text.push('$'),
        "EUR" => text.push('€'),
        "GBP" => text.push('£'),
        "JPY" => text.push('¥'),
        "INR" => text.push('₹'),
        code => {
            text.push_str(code);
            text.push(NBSP);
        }
    }
    text.push_str(&whole);
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

/// The amount for a large figure: without its fraction from a thousand on.
pub(crate) fn money_short(value: &Money) -> String {
    let unit = 10_i64.pow(value.currency.digits());
    let text = money(&Money { minor: (value.minor as f64 / unit as f64).round() as i64 * unit, ..*value });
    match text.split_once('.') {
        Some((whole, _)) if value.minor.abs() >= 1_000 * unit => whole.to_owned(),
        Some(_) | None => money(value),
    }
}

/// `12.4 %`; whole numbers from 100 on, and never `0 %` for something that is there.
pub(crate) fn share(part: u64, whole: u64) -> String {
    match (part, whole) {
        (_, 0) | (0, _) => format!("0{NBSP}%"),
        (part, whole) => {
            let percent = part as f64 / whole as f64 * 100.0;
            if percent < 0.1 { format!("<{NBSP}0.1{NBSP}%") } else { format!("{percent:.1}{NBSP}%") }
        }
    }
}

/// `12.4 %` of an amount of money.
pub(crate) fn share_of_money(part: &Money, whole: &Money) -> String {
    let positive = |money: &Money| u64::try_from(money.minor).unwrap_or(0);
    share(positive(part), positive(whole))
}

/// A percentage without its sign.
pub(crate) fn percent(value: f64) -> String {
    let value = value.abs();
    if value >= 100.0 { format!("{value:.0}{NBSP}%") } else { format!("{value:.1}{NBSP}%") }
}

/// `6 min`, `45 s`, `1 h 20 min`
pub(crate) fn duration(ms: &u64) -> String {
    let seconds = ms.div_ceil(1_000);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{NBSP}s"),
        (0, minutes) => format!("{minutes}{NBSP}min"),
        (hours, 0) => format!("{hours}{NBSP}h"),
        (hours, minutes) => format!("{hours}{NBSP}h {minutes}{NBSP}min"),
    }
}

/// The host that all of these pages (host and path) have: it need not be said of each.
pub(crate) fn common_host<'a>(mut pages: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let host = |page: &'a str| page.split('/').next().unwrap_or("");
    let first = host(pages.next()?);
    pages.all(|page| host(page) == first).then_some(first)
}

/// A page without the host that it shares with the others.
pub(crate) fn page_name<'a>(page: &'a str, common_host: Option<&str>) -> &'a str {
    common_host.and_then(|host| page.strip_prefix(host)).filter(|path| !path.is_empty()).unwrap_or(page)
}

/// How a number moved, as a small coloured chip.
pub(crate) struct Delta {
    pub(crate) text: String,
    /// `up`, `dn` or `same`
    pub(crate) class: &'static str,
}

impl Delta {
    pub(crate) fn of(moved: Moved) -> Delta {
        let Some(change) = moved.percent() else {
            return match moved.now {
                0 => Delta { text: "none yet".to_owned(), class: "same" },
                _ => Delta { text: "new".to_owned(), class: "up" },
            };
        };
        // Judged as it is shown: a rise of 0.04 % is no rise to the reader.
        let shown = (change * 10.0).round();
        match shown {
            0.0 => Delta { text: format!("±0{NBSP}%"), class: "same" },
            shown if shown > 0.0 => Delta { text: format!("+{}", percent(change)), class: "up" },
            _ => Delta { text: format!("{MINUS}{}", percent(change)), class: "dn" },
        }
    }
}

/// A value of a URL's query.
pub(crate) fn query_value(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            // Writing to a String cannot fail.
            byte => write!(escaped, "%{byte:02X}").unwrap_or_default(),
        }
    }
    escaped
}

/// The query that finds the people of a filter again, without a page; empty for everybody.
pub(crate) fn people_query(filter: &PeopleFilter) -> String {
    let mut parts = Vec::new();
    if let Some(search) = &filter.search {
        parts.push(format!("q={}", query_value(search)));
    }
    if let Some((did, period)) = &filter.did {
        parts.push(format!("did={}&{}", did.key(), period.dates_query()));
    }
    if let Some(channel) = &filter.channel {
        parts.push(format!("channel={}", query_value(channel)));
    }
    if let Some(page) = &filter.viewed {
        parts.push(format!("viewed={}", query_value(page)));
    }
    parts.join("&")
}

/// The page of the people who did something in a period.
pub(crate) fn people_url(
    site: &Site,
    did: Did,
    period: &Period,
    channel: Option<&str>,
    viewed: Option<&str>,
) -> String {
    let filter = PeopleFilter {
        search: None,
        did: Some((did, *period)),
        channel: channel.map(str::to_owned),
        viewed: viewed.map(str::to_owned),
    };
    format!("/s/{}/people?{}", site.id, people_query(&filter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::money::Currency;

    fn usd(minor: i64) -> Money {
        Money { minor, currency: Currency::USD }
    }

    #[test]
    fn counts_and_amounts_have_their_separators() {
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0, 999, 1_000, 1_234_567].map(|n: u64| count(&n)).as_slice());
        assert_eq!(money(&usd(123_450)), "$1,234.50");
        assert_eq!(money(&usd(-5)), "−$0.05");
        assert_eq!(money(&Money { minor: 1_500, currency: "JPY".parse().unwrap() }), "¥1,500");
        assert_eq!(money(&Money { minor: 1_500, currency: "CHF".parse().unwrap() }), "CHF\u{a0}15.00");
        assert_eq!(money_short(&usd(4_821_050)), "$48,211");
        assert_eq!(money_short(&usd(99_950)), "$999.50");
    }

    #[test]
    fn shares_are_never_nothing_for_something() {
        assert_eq!(share(0, 0), "0\u{a0}%");
        assert_eq!(share(1, 100_000), "<\u{a0}0.1\u{a0}%");
        assert_eq!(share(1, 3), "33.3\u{a0}%");
    }

    #[test]
    fn what_is_expected_claims_no_more_than_is_known() {
        let plain = |text: String| text.replace('\u{a0}', " ");
        let numbers = [0.0, 0.001, 0.35, 9.94, 9.96, 1_234.5].map(|value| plain(expected(&value)));
        assert_eq!(numbers, ["0", "< 0.1", "0.3", "9.9", "10", "1,235"]);
        let chances = [0.0, 0.004, 0.5, 0.873, 0.999].map(|value| plain(probability(&value)));
        assert_eq!(chances, ["< 1 %", "< 1 %", "50 %", "87 %", "> 99 %"]);
    }

    #[test]
    fn deltas_are_judged_as_they_are_shown() {
        let delta = |before, now| Delta::of(Moved { before, now });
        assert_eq!((delta(1000, 1124).text.as_str(), delta(1000, 1124).class), ("+12.4\u{a0}%", "up"));
        assert_eq!((delta(1000, 982).text.as_str(), delta(1000, 982).class), ("−1.8\u{a0}%", "dn"));
        assert_eq!(delta(10_000, 10_001).class, "same");
        assert_eq!((delta(0, 5).class, delta(0, 0).class), ("up", "same"));
    }

    #[test]
    fn query_values_cannot_leave_their_place() {
        assert_eq!(query_value("a b&c=\"<é"), "a%20b%26c%3D%22%3C%C3%A9");
    }

    #[test]
    fn durations_round_up_so_that_a_glance_is_no_zero() {
        assert_eq!(
            [1, 45_000, 360_000, 4_800_000].map(|ms| duration(&ms).replace('\u{a0}', " ")),
            ["1 s", "45 s", "6 min", "1 h 20 min"]
        );
    }
}
