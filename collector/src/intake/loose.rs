//! Reading what SDKs send: they differ in what they leave out and in the types they use, so a value is taken where it
//! can be understood, and counts as absent where it cannot.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Text, or a number written as text; anything else counts as absent.
#[derive(Debug, Default)]
pub(crate) struct Loose<'a>(Option<Cow<'a, str>>);

impl Loose<'_> {
    /// The text, trimmed; `None` when there is none.
    pub(crate) fn text(&self) -> Option<&str> {
        self.0.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lenient;
        impl<'de> Visitor<'de> for Lenient {
            type Value = Loose<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Loose<'de>, E> {
                Ok(Loose(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Loose<'de>, E> {
                Ok(Loose(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Loose<'de>, E> {
                Ok(Loose(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Loose<'de>, E> {
                Ok(Loose(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Loose<'de>, E> {
                Ok(Loose(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Loose<'de>, E> {
                Ok(Loose(None))
            }
            fn visit_unit<E>(self) -> Result<Loose<'de>, E> {
                Ok(Loose(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose(None))
            }
        }
        deserializer.deserialize_any(Lenient)
    }
}

/// An ISO 8601 moment, or seconds or milliseconds since 1970, in µs.
pub(crate) fn time_us(text: &str) -> Result<i64, jiff::Error> {
    if let Ok(number) = text.parse::<i64>() {
        // Below 1e11 it can only be seconds: as milliseconds it would be before 1974.
        return Ok(number.saturating_mul(if number.unsigned_abs() < 100_000_000_000 { 1_000_000 } else { 1_000 }));
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(moment) => Ok(moment.as_microsecond()),
        // Some SDKs leave the offset out and mean UTC.
        Err(error) => match text.parse::<jiff::civil::DateTime>() {
            Ok(civil) => Ok(civil.to_zoned_datetime(jiff::tz::TimeZone::UTC)?.timestamp().as_microsecond()),
            Err(_) => Err(error),
        },
    }
}
