//! Money as integers: minor units beside an ISO 4217 currency.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An ISO 4217 code, for example `EUR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// An amount of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Amount in the currency's minor unit (cents; yen for JPY), net of nothing.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

/// Why a text is no amount or currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not three ASCII letters.
    #[error("a currency is three letters of ISO 4217, for example EUR")]
    Currency,
    /// Not a decimal number.
    #[error("an amount is a decimal number, for example 19.90")]
    Amount,
    /// More than [`Money::MAX_MINOR`] in size.
    #[error("amount is out of range")]
    Range,
}

impl Currency {
    /// US dollar.
    pub const USD: Currency = Currency(*b"USD");
    /// Euro.
    pub const EUR: Currency = Currency(*b"EUR");

    /// The code's three letters.
    pub fn code(&self) -> &str {
        // Three ASCII letters by construction; XXX is what ISO 4217 gives to no currency.
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Digits after the point, as ISO 4217 lists them: 2 for most, 0 for JPY, 3 for KWD.
    pub fn digits(&self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF" | b"UGX"
            | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match <[u8; 3]>::try_from(text.trim().as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_alphabetic) => Ok(Currency(code.map(|c| c.to_ascii_uppercase()))),
            _ => Err(MoneyError::Currency),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A decimal number in units of its last kept digit; digits beyond are rounded half away from zero.
///
/// # Errors
/// As [`Money::parse`].
pub(crate) fn scaled(text: &str, digits_kept: u32) -> Result<i64, MoneyError> {
    let text = text.trim();
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| MoneyError::Amount)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if whole.len() + fraction.len() == 0 || !digits().all(|b| b.is_ascii_digit()) {
        return Err(MoneyError::Amount);
    }
    // The value is 0.d1d2d3… × 10^point; the first `keep` digits are kept, the next one rounds.
    let point = i64::try_from(whole.len()).map_err(|_| MoneyError::Range)? + i64::from(exponent);
    let keep = point + i64::from(digits_kept);
    let mut minor: i64 = 0;
    let mut position: i64 = 0;
    for digit in digits().map(|b| i64::from(b - b'0')) {
        if position < keep {
            minor = minor.checked_mul(10).and_then(|m| m.checked_add(digit)).ok_or(MoneyError::Range)?;
        } else if position == keep && digit >= 5 {
            minor += 1;
        }
        position += 1;
        if minor > Money::MAX_MINOR {
            return Err(MoneyError::Range);
        }
    }
    while position < keep && minor != 0 {
        minor = minor.checked_mul(10).ok_or(MoneyError::Range)?;
        position += 1;
    }
    if minor > Money::MAX_MINOR {
        return Err(MoneyError::Range);
    }
    Ok(if negative { -minor } else { minor })
}

impl Money {
    /// The largest amount that is stored, in minor units: ten trillion of a currency with two digits. Sums of a
    /// site's orders stay far inside an `i64`.
    pub const MAX_MINOR: i64 = 1_000_000_000_000_000;

    /// Reads a decimal amount; digits beyond the currency's are rounded half away from zero.
    ///
    /// Accepts an optional sign and an exponent as JSON numbers have them (`1.5e2`).
    ///
    /// # Errors
    /// [`MoneyError::Amount`] when it is no decimal number, [`MoneyError::Range`] beyond [`Money::MAX_MINOR`].
    pub fn parse(text: &str, currency: Currency) -> Result<Money, MoneyError> {
        Ok(Money { minor: scaled(text, currency.digits())?, currency })
    }

    /// The amount as a plain decimal, for example `1234.50`.
    pub fn decimal(&self) -> String {
        let digits = self.currency.digits() as usize;
        let sign = if self.minor < 0 { "-" } else { "" };
        let minor = self.minor.unsigned_abs();
        if digits == 0 {
            return format!("{sign}{minor}");
        }
        let unit = 10_u64.pow(self.currency.digits());
        format!("{sign}{}.{:0digits$}", minor / unit, minor % unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usd(text: &str) -> Result<i64, MoneyError> {
        Money::parse(text, Currency::USD).map(|m| m.minor)
    }

    #[test]
    fn amounts_become_minor_units_rounded_half_away_from_zero() {
        assert_eq!(usd("29.33"), Ok(2933));
        assert_eq!(usd("0"), Ok(0));
        assert_eq!(usd(".5"), Ok(50));
        assert_eq!(usd("5."), Ok(500));
        assert_eq!(usd("1.005"), Ok(101));
        assert_eq!(usd("-1.005"), Ok(-101));
        assert_eq!(usd("0.004"), Ok(0));
        assert_eq!(usd("0.005"), Ok(1));
        assert_eq!(usd("1.5e2"), Ok(15000));
        assert_eq!(usd("1e-2"), Ok(1));
        assert_eq!(usd("5e-3"), Ok(1));
        assert_eq!(usd("9e-9"), Ok(0));
        assert_eq!(Money::parse("1999.5", "JPY".parse().unwrap()).unwrap().minor, 2000);
        assert_eq!(Money::parse("1.2345", "KWD".parse().unwrap()).unwrap().minor, 1235);
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "-", "NaN", "inf", "1,50", "0x10", "1e", "1e99999999999", "--1", "1.2.3"] {
            assert_eq!(usd(text), Err(MoneyError::Amount), "{text}");
        }
        for text in ["1e300", "99999999999999999999", "1e999999999"] {
            assert_eq!(usd(text), Err(MoneyError::Range), "{text}");
        }
    }

    #[test]
    fn decimals_read_back() {
        for text in ["0.00", "0.05", "-12.30", "1234567.89"] {
            assert_eq!(Money::parse(text, Currency::USD).unwrap().decimal(), text);
        }
    }

    #[test]
    fn amounts_end_at_the_limit() {
        assert_eq!(usd("10000000000000"), Ok(Money::MAX_MINOR));
        assert_eq!(usd("-10000000000000.00"), Ok(-Money::MAX_MINOR));
        assert_eq!(usd("10000000000000.01"), Err(MoneyError::Range));
        assert_eq!(usd("9999999999999.995"), Ok(Money::MAX_MINOR));
    }

    #[test]
    fn a_currency_is_three_letters() {
        assert_eq!(" eur ".parse(), Ok(Currency::EUR));
        assert_eq!(Currency::EUR.to_string(), "EUR");
        for text in ["", "EU", "EURO", "E1R", "€", "E R"] {
            assert_eq!(text.parse::<Currency>(), Err(MoneyError::Currency), "{text}");
        }
        assert_eq!(serde_json::to_string(&Currency::USD).unwrap(), "\"USD\"");
        assert_eq!(serde_json::from_str::<Currency>("\"usd\"").unwrap(), Currency::USD);
        assert!(serde_json::from_str::<Currency>("\"dollar\"").is_err());
    }

    proptest! {
        #[test]
        fn every_amount_reads_back_in_every_currency(
            minor in -Money::MAX_MINOR..=Money::MAX_MINOR,
            code in prop::sample::select(vec!["USD", "JPY", "KWD"]),
        ) {
            let money = Money { minor, currency: code.parse().unwrap() };
            prop_assert_eq!(Money::parse(&money.decimal(), money.currency), Ok(money));
        }

        #[test]
        fn an_amount_is_what_long_arithmetic_makes_of_it(
            whole in 0..1_000_000_i128,
            fraction in 0..100_000_i128,
            exponent in -8..=3_i32,
            negative in prop::bool::ANY,
        ) {
            // whole.fraction × 10^exponent, in millionths of a billionth of a cent.
            let unit = 10_i128.pow(15);
            let parts = (whole * 100_000 + fraction) * unit * 100 / 100_000;
            let cents = if exponent < 0 { parts / 10_i128.pow(-exponent as u32) } else { parts * 10_i128.pow(exponent as u32) };
            let rounded = i64::try_from((cents + unit / 2) / unit).unwrap();
            let sign = if negative { "-" } else { "" };
            let expected = if negative { -rounded } else { rounded };
            prop_assert_eq!(usd(&format!("{sign}{whole}.{fraction:05}e{exponent}")), Ok(expected));
        }

        #[test]
        fn any_text_is_an_amount_or_an_error(text in "[-+0-9.eE ]{0,40}|\\PC{0,20}") {
            if let Ok(minor) = usd(&text) {
                prop_assert!(minor.abs() <= Money::MAX_MINOR);
            }
        }
    }
}
