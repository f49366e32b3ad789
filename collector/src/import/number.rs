//! Amounts as people and programs write them.

use domain::money::{Currency, Money};

/// The sign before the decimals, where a number does not show it: `1.234` is one thing in Vienna and another in London.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Point,
    Comma,
}

/// Currency codes that are known beside a number; any three letters would make an amount of an invoice's number.
const CODES: [&str; 36] = [
    "EUR", "USD", "GBP", "CHF", "JPY", "CNY", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK", "ISK", "PLN", "CZK", "HUF",
    "RON", "BGN", "TRY", "UAH", "ILS", "INR", "BRL", "MXN", "ARS", "CLP", "COP", "ZAR", "AED", "SAR", "SGD", "HKD",
    "TWD", "KRW", "THB", "MYR",
];

/// Signs and short words that stand beside numbers, with the currency where there is only one.
const SIGNS: [(&str, Option<&str>); 14] = [
    ("€", Some("EUR")),
    ("£", Some("GBP")),
    ("₹", Some("INR")),
    ("₩", Some("KRW")),
    ("₺", Some("TRY")),
    ("zł", Some("PLN")),
    ("kč", Some("CZK")),
    ("us$", Some("USD")),
    ("r$", Some("BRL")),
    ("$", None),
    ("¥", None),
    ("kr", None),
    ("fr.", Some("CHF")),
    ("%", None),
];

/// A number taken apart: plain digits with a point, and the currency that stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    /// As [`Money::parse`] reads it.
    pub(crate) plain: String,
    pub(crate) currency: Option<Currency>,
}

/// Reads `1,234.50`, `1.234,50`, `1 234,50`, `1'234.50`, with a currency before or behind; `None` when it is no number.
/// `mark` decides where one sign stands before exactly three digits.
pub(crate) fn read(text: &str, mark: Mark) -> Option<Number> {
    let (core, currency) = without_currency(text.trim());
    let (core, bracketed) = match core.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => (inner, true),
        None => (core, false),
    };
    let (core, behind) = match core.strip_suffix('-') {
        Some(rest) => (rest, true),
        None => (core, false),
    };
    let (core, before) = match core.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (rest, true),
        None => (core.strip_prefix('+').unwrap_or(core), false),
    };
    // `-€ 5` has its sign before the currency.
    let (core, inner) = without_currency(core.trim());
    let digits: String = core.chars().filter(|c| !c.is_whitespace() && !matches!(c, '\'' | '\u{2019}')).collect();
    let plain = plain(&digits, mark)?;
    let sign = if bracketed || behind || before { "-" } else { "" };
    Some(Number { plain: format!("{sign}{plain}"), currency: currency.or(inner) })
}

/// Which mark a number shows by itself; `None` where both readings are possible.
pub(crate) fn shows(text: &str) -> Option<Mark> {
    let (comma, point) = (read(text, Mark::Comma)?.plain, read(text, Mark::Point)?.plain);
    let (core, _) = without_currency(text.trim());
    let last = core.rfind([',', '.'])?;
    (comma == point && comma.contains('.'))
        .then(|| if core[last..].starts_with(',') { Mark::Comma } else { Mark::Point })
}

/// The mark of a column: a comma where numbers show one and none shows a point.
pub(crate) fn mark_of<'a>(column: impl Iterator<Item = &'a str>) -> Mark {
    let mut commas = false;
    for text in column {
        match shows(text) {
            Some(Mark::Point) => return Mark::Point,
            Some(Mark::Comma) => commas = true,
            None => {}
        }
    }
    if commas { Mark::Comma } else { Mark::Point }
}

/// An amount of the currency that stands beside it, else of `currency`.
///
/// # Errors
/// What is wrong with it, without the text itself.
pub(crate) fn amount(text: &str, mark: Mark, currency: Currency) -> Result<Money, String> {
    let Some(number) = read(text, mark) else {
        // JSON's numbers may have an exponent; what is none is told in the words of amounts.
        return Money::parse(text, currency).map_err(|error| error.to_string());
    };
    Money::parse(&number.plain, number.currency.unwrap_or(currency)).map_err(|error| error.to_string())
}

fn without_currency(text: &str) -> (&str, Option<Currency>) {
    let known = CODES.iter().map(|code| (*code, Some(*code))).chain(SIGNS);
    for (sign, code) in known {
        let currency = || code.and_then(|code| code.parse().ok());
        let Some(rest) = cut(text, sign) else { continue };
        return (rest.trim(), currency());
    }
    (text, None)
}

/// The text without a word at its beginning or end, whatever the case of its letters.
fn cut<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let same = |part: &str| part.to_lowercase() == word.to_lowercase();
    if let Some(start) = text.get(..word.len()).filter(|part| same(part)) {
        return text.get(start.len()..);
    }
    let end = text.len().checked_sub(word.len())?;
    text.get(end..).filter(|part| same(part))?;
    text.get(..end)
}

/// Digits with one point at most, from digits with points and commas.
fn plain(text: &str, mark: Mark) -> Option<String> {
    if !text.bytes().any(|byte| byte.is_ascii_digit())
        || !text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','))
    {
        return None;
    }
    let count = |sign: char| text.matches(sign).count();
    let decimal = match (count('.'), count(',')) {
        (0, 0) => None,
        (1, 0) | (0, 1) => {
            let sign = if text.contains('.') { '.' } else { ',' };
            let (whole, fraction) = text.split_once(sign)?;
            let is_group = fraction.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0');
            let is_mark = sign == if mark == Mark::Point { '.' } else { ',' };
            (!is_group || is_mark).then_some(sign)
        }
        (_, 0) | (0, _) => None,
        (_, _) => text.chars().rev().find(|c| matches!(c, '.' | ',')),
    };
    let (whole, fraction) = match decimal {
        Some(sign) => text.rsplit_once(sign)?,
        None => (text, ""),
    };
    let groups: Vec<&str> = whole.split(['.', ',']).collect();
    let mixed = whole.contains('.') && whole.contains(',');
    let one_mark = decimal.is_none_or(|sign| !whole.contains(sign));
    let grouped =
        groups.len() == 1 || (groups[1..].iter().all(|group| group.len() == 3) && (1..=3).contains(&groups[0].len()));
    if mixed || !one_mark || !grouped {
        return None;
    }
    let whole = groups.concat();
    Some(if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain_of(text: &str, mark: Mark) -> Option<String> {
        read(text, mark).map(|number| number.plain)
    }

    #[test]
    fn numbers_are_read_in_both_manners() {
        for (text, plain) in [
            ("1,234.50", "1234.50"),
            ("1.234,50", "1234.50"),
            ("1\u{a0}234,50", "1234.50"),
            ("1'234.50", "1234.50"),
            ("1.234.567", "1234567"),
            ("12,5", "12.5"),
            ("0,125", "0.125"),
            (".5", ".5"),
            ("-3.20", "-3.20"),
            ("(3.20)", "-3.20"),
            ("3,20-", "-3.20"),
            ("\u{2212}3", "-3"),
            ("$1,234", "1234"),
            ("-$5.10", "-5.10"),
        ] {
            assert_eq!(plain_of(text, Mark::Point).as_deref(), Some(plain), "{text}");
        }
        for text in ["", "ten", "12.3.4", "1,23,456.7", "1,2.3,4", "INV123", "--5", "12 apples", "1e3"] {
            assert_eq!(plain_of(text, Mark::Point), None, "{text}");
        }
    }

    #[test]
    fn three_digits_behind_one_sign_are_what_the_column_says() {
        assert_eq!(plain_of("1.234", Mark::Point).as_deref(), Some("1.234"));
        assert_eq!(plain_of("1.234", Mark::Comma).as_deref(), Some("1234"));
        assert_eq!(plain_of("1,234", Mark::Point).as_deref(), Some("1234"));
        assert_eq!(plain_of("1,234", Mark::Comma).as_deref(), Some("1.234"));
        assert_eq!(mark_of(["1.234", "5", "12,50"].into_iter()), Mark::Comma);
        assert_eq!(mark_of(["1.234", "5", "x"].into_iter()), Mark::Point);
        assert_eq!(mark_of(["12,50", "12.50"].into_iter()), Mark::Point, "a file that does both is read as English");
        assert_eq!(shows("1.234.567,8"), Some(Mark::Comma));
    }

    #[test]
    fn the_currency_beside_an_amount_counts() {
        let read = |text: &str| amount(text, Mark::Point, Currency::USD).map(|money| money.to_string_for_test());
        assert_eq!(read("€ 12,50").as_deref(), Ok("12.50 EUR"));
        assert_eq!(read("12.50 eur").as_deref(), Ok("12.50 EUR"));
        assert_eq!(read("CHF 1'200.00").as_deref(), Ok("1200.00 CHF"));
        assert_eq!(read("$12.50").as_deref(), Ok("12.50 USD"), "dollars are many");
        assert_eq!(read("1.5e2").as_deref(), Ok("150.00 USD"));
        assert!(read("ten").is_err_and(|error| error.contains("decimal number")));
    }

    trait Told {
        fn to_string_for_test(&self) -> String;
    }

    impl Told for Money {
        fn to_string_for_test(&self) -> String {
            format!("{} {}", self.decimal(), self.currency)
        }
    }

    proptest! {
        #[test]
        fn what_is_written_with_groups_is_read_back(minor in 0_i64..1_000_000_000_000, english: bool) {
            let (whole, cents) = (minor / 100, minor % 100);
            let digits = whole.to_string();
            let mut grouped = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at) % 3 == 0 {
                    grouped.push(if english { ',' } else { '.' });
                }
                grouped.push(digit);
            }
            let text = format!("{grouped}{}{cents:02}", if english { '.' } else { ',' });
            for mark in [Mark::Point, Mark::Comma] {
                prop_assert_eq!(amount(&text, mark, Currency::EUR).map(|money| money.minor), Ok(minor), "{}", &text);
            }
        }

        #[test]
        fn plain_decimals_are_what_they_were_before_other_forms_were_read(minor in -1_000_000_i64..1_000_000) {
            let money = Money { minor, currency: Currency::EUR };
            prop_assert_eq!(amount(&money.decimal(), Mark::Point, Currency::EUR), Ok(money));
        }

        #[test]
        fn whatever_stands_there_is_no_panic(text in ".{0,24}") {
            let _ = (read(&text, Mark::Point), shows(&text));
        }
    }
}
