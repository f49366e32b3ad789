//! What may be stored: checks that keep PostgreSQL from refusing a transaction, and owners from reading nonsense.

use super::{EVENT_BYTES, EVENT_DEPTH, Reason};
use crate::store::events::{EventKey, flags};
use crate::store::ingest::Rejection;
use crate::store::sites::Site;
use domain::event::Trust;
use regex::Regex;
use std::sync::{Arc, LazyLock};
use uuid::Uuid;

/// Bytes of an event's name.
const NAME_BYTES: usize = 128;
/// Bytes of a text in the dictionary; its index keys may not exceed 2,700.
pub(crate) const TERM_BYTES: usize = 512;
/// A public key's events may be this old: trackers keep a queue for 7 days.
const OLDEST_US: i64 = 8 * DAY_US;
/// Clocks may be ahead by this.
const NEWEST_US: i64 = DAY_US;
/// Further than this from its id's time an event carries the flag that a search by time looks for.
const SKEW_US: i64 = 2 * DAY_US;
/// A sender's clock that is wrong by less is left alone: the way here takes time too.
const CLOCK_TOLERANCE_US: i64 = 30_000_000;
const DAY_US: i64 = 86_400_000_000;

/// Why one event is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Fault {
        Fault { reason, detail: detail.into() }
    }

    /// Says which line of a file it is about.
    pub(crate) fn at_line(self, line: u64) -> Fault {
        Fault { detail: format!("line {line}: {}", self.detail), ..self }
    }

    /// As it is counted and shown; `sample` is what arrived.
    pub(crate) fn rejection(self, sample: Option<&str>) -> Rejection {
        let keeps_nothing = matches!(self.reason, Reason::NoConsent | Reason::BadSignature | Reason::SourcePaused);
        Rejection {
            reason: self.reason.name(),
            detail: printable(&self.detail, 200),
            sample: sample.filter(|_| !keeps_nothing).map(self::sample),
        }
    }
}

/// The beginning of what arrived, made printable.
pub(crate) fn sample(text: &str) -> String {
    // Network addresses and other systems' credentials are kept of nobody, not even where something is wrong.
    static HIDDEN: LazyLock<[Regex; 2]> = LazyLock::new(|| {
        let names = r"\$?ip|cip|ip_override|browser_ip|customer_ip_address|token_auth|api_secret";
        [format!(r#"(?i)("(?:{names})"\s*:\s*)"[^"]*"?"#), format!(r#"(?i)((?:^|[?&"])(?:{names})=)[^&\s"]*"#)]
            .map(|pattern| Regex::new(&pattern).expect("a pattern of ours"))
    });
    let [json, query] = &*HIDDEN;
    let start: String = text.chars().take(SAMPLE_CHARS).collect();
    printable(&query.replace_all(&json.replace_all(&start, "${1}\"…\""), "${1}…"), SAMPLE_CHARS)
}

/// Characters of a sample.
const SAMPLE_CHARS: usize = 1_000;

fn printable(text: &str, limit: usize) -> String {
    text.chars().take(limit).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Whose request it is: what all its events share.
pub(crate) struct Sender {
    pub(crate) site: Arc<Site>,
    /// The key of the source.
    pub(crate) source: Arc<str>,
    pub(crate) trust: Trust,
    pub(crate) now_us: i64,
    /// What to add to the sender's clock.
    pub(crate) clock_us: i64,
    /// The user agent of the request.
    pub(crate) agent: Option<Arc<str>>,
}

impl Sender {
    /// `sent_at_us` is the sender's clock at sending, if it told.
    pub(crate) fn new(
        site: Arc<Site>,
        source: &str,
        trust: Trust,
        now_us: i64,
        sent_at_us: Option<i64>,
        agent: Option<&str>,
    ) -> Sender {
        let skew = sent_at_us.map_or(0, |sent| now_us.saturating_sub(sent));
        let clock_us = if skew.saturating_abs() > CLOCK_TOLERANCE_US { skew } else { 0 };
        Sender { site, source: source.into(), trust, now_us, clock_us, agent: agent.and_then(term) }
    }

    /// When it happened by our clock, and the flags that go with it. `id_us` is the time in the event's own id.
    ///
    /// # Errors
    /// [`Reason::ClockOutOfRange`] for public keys, [`Reason::DateOutOfRange`] for trusted ones.
    pub(crate) fn moment(&self, at_us: i64, id_us: Option<i64>) -> Result<(i64, i16), Fault> {
        let occurred_us = at_us.saturating_add(self.clock_us);
        let newest = self.now_us + NEWEST_US;
        let mut bits = 0;
        match self.trust {
            Trust::Browser => {
                let oldest = self.now_us - OLDEST_US;
                if [Some(occurred_us), id_us].into_iter().flatten().any(|us| us < oldest || us > newest) {
                    let detail = "happened more than 8 days ago or a day ahead; is the device's clock right?";
                    return Err(Fault::new(Reason::ClockOutOfRange, detail));
                }
            }
            Trust::Trusted => {
                if occurred_us < 0 || occurred_us > newest {
                    let detail = "timestamp is before 1970 or more than a day ahead";
                    return Err(Fault::new(Reason::DateOutOfRange, detail));
                }
                bits |= flags::TRUSTED;
            }
        }
        let occurred_us = occurred_us.min(self.now_us);
        if id_us.is_some_and(|id_us| (occurred_us - id_us).abs() > SKEW_US) {
            bits |= flags::SKEWED;
        }
        Ok((occurred_us, bits))
    }
}

/// The time in a uuid v7, in µs since 1970; `None` for other uuids.
pub(crate) fn id_time_us(id: Uuid) -> Option<i64> {
    if id.get_version_num() != 7 {
        return None;
    }
    let ms = i64::try_from(id.as_u128() >> 80).ok()?;
    ms.checked_mul(1_000)
}

/// A uuid v7 of this moment with the given random bits.
pub(crate) fn uuid_v7(at_us: i64, random: [u8; 16]) -> Uuid {
    let mut bytes = random;
    let ms = u64::try_from(at_us / 1_000).unwrap_or(0);
    bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    Uuid::from_bytes(bytes)
}

/// The key of an event that its source knows by `message_id`, or by nothing.
pub(crate) fn foreign_key(sender: &Sender, message_id: Option<&str>, occurred_us: i64) -> EventKey {
    let minted = uuid_v7(occurred_us, crate::secrets::random());
    match message_id {
        Some(id) => EventKey::Foreign { message_hash: message_hash(sender.site.site_id, sender.trust, id), minted },
        None => EventKey::Unnamed { minted },
    }
}

/// Under what a foreign message id is known again. Who holds only the public key cannot take a trusted message's id.
pub(crate) fn message_hash(site_id: i32, trust: Trust, message_id: &str) -> Uuid {
    let trusted = [u8::from(trust == Trust::Trusted)];
    crate::secrets::hash_id(&[&site_id.to_be_bytes(), &trusted, message_id.as_bytes()])
}

/// A text that PostgreSQL can store.
///
/// # Errors
/// [`Reason::NulCharacter`]
pub(crate) fn clean<'a>(text: &'a str, what: &str) -> Result<&'a str, Fault> {
    if text.contains('\0') {
        return Err(Fault::new(Reason::NulCharacter, format!("{what} has the character NUL")));
    }
    Ok(text)
}

/// A named event's name.
///
/// # Errors
/// [`Reason::MissingName`], [`Reason::TooLarge`], [`Reason::NulCharacter`]
pub(crate) fn name(text: &str) -> Result<Arc<str>, Fault> {
    let text = clean(text.trim(), "name")?;
    if text.is_empty() {
        return Err(Fault::new(Reason::MissingName, "a track event has no name"));
    }
    if text.len() > NAME_BYTES {
        return Err(Fault::new(Reason::TooLarge, format!("name is {} bytes, limit {NAME_BYTES}", text.len())));
    }
    Ok(text.into())
}

/// A descriptive text for the dictionary: cut to size, without control characters; `None` when nothing is left.
pub(crate) fn term(text: &str) -> Option<Arc<str>> {
    let text = text.trim();
    let mut end = text.len().min(TERM_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text[..end].trim_end();
    match text {
        "" => None,
        text if text.contains(char::is_control) => Some(text.replace(char::is_control, " ").into()),
        text => Some(text.into()),
    }
}

/// Checks one event's JSON text, which is grammatical: size, depth, NUL, lone surrogates, numbers.
///
/// # Errors
/// The first thing in it that cannot be stored.
pub(crate) fn json(text: &str) -> Result<(), Fault> {
    if text.len() > EVENT_BYTES {
        return Err(Fault::new(Reason::TooLarge, format!("event is {} bytes, limit {EVENT_BYTES}", text.len())));
    }
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    // PostgreSQL keeps 1e308 in a few bytes and writes it out in 309: what it writes out is what counts.
    let mut written = text.len();
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string(bytes, at + 1)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > EVENT_DEPTH {
                    return Err(Fault::new(Reason::TooDeep, format!("event is nested deeper than {EVENT_DEPTH}")));
                }
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let start = at;
                while at < bytes.len() && matches!(bytes[at], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
                    at += 1;
                }
                written += number(&text[start..at])?;
                if written > EVENT_BYTES {
                    let detail = format!("event is more than {EVENT_BYTES} bytes with its numbers written out");
                    return Err(Fault::new(Reason::TooLarge, detail));
                }
            }
            _ => at += 1,
        }
    }
    Ok(())
}

/// Steps over a string's inside; gives the offset after its closing quote.
fn string(bytes: &[u8], mut at: usize) -> Result<usize, Fault> {
    let lone = || Fault::new(Reason::BadText, "text has half a surrogate pair");
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return Ok(at + 1),
            b'\\' if bytes.get(at + 1) == Some(&b'u') => match hex(bytes, at + 2) {
                Some(0) => return Err(Fault::new(Reason::NulCharacter, "text has the character NUL (\\u0000)")),
                Some(0xD800..=0xDBFF) => {
                    let low = (bytes.get(at + 6..at + 8) == Some(b"\\u")).then(|| hex(bytes, at + 8)).flatten();
                    if !matches!(low, Some(0xDC00..=0xDFFF)) {
                        return Err(lone());
                    }
                    at += 12;
                }
                Some(0xDC00..=0xDFFF) => return Err(lone()),
                Some(_) => at += 6,
                None => return Err(Fault::new(Reason::BadText, "text has a broken \\u escape")),
            },
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Ok(at)
}

fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = std::str::from_utf8(bytes.get(at..at + 4)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// The largest number that is let in. PostgreSQL writes numbers out digit by digit, and of what is nearer to the end of a
/// double's range the way back leads beyond it: the event could be stored and never read again.
const LARGEST_NUMBER: f64 = 1.7e308;

/// How many more digits a number has when it is written out.
fn number(text: &str) -> Result<usize, Fault> {
    let is_held = |text: &str| text.parse::<f64>().is_ok_and(|number| number.abs() <= LARGEST_NUMBER);
    let exponent = text.find(['e', 'E']).map(|at| text[at + 1..].parse::<i32>().map_or(u32::MAX, i32::unsigned_abs));
    // Up to 300 digits without an exponent fit a double.
    let fits = match exponent {
        None => text.len() <= 300 || is_held(text),
        Some(exponent) => exponent <= 308 && text.len() <= 300 && is_held(text),
    };
    if fits {
        return Ok(exponent.unwrap_or(0) as usize);
    }
    Err(Fault::new(Reason::NumberOutOfRange, format!("number {:.20} is beyond what a double holds", text)))
}

/// A JSON object given as text, checked; `None` when it is empty or null.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn object(text: &str, what: &str) -> Result<Option<Box<str>>, Fault> {
    let text = text.trim();
    if text.is_empty() || text == "null" || text == "{}" {
        return Ok(None);
    }
    if text.len() > EVENT_BYTES {
        return Err(Fault::new(Reason::TooLarge, format!("{what} is {} bytes, limit {EVENT_BYTES}", text.len())));
    }
    let grammatical = serde_json::from_str::<&serde_json::value::RawValue>(text);
    let raw = grammatical.map_err(|error| Fault::new(Reason::Unreadable, format!("{what}: {error}")))?;
    if !raw.get().starts_with('{') {
        return Err(Fault::new(Reason::Unreadable, format!("{what} is not an object")));
    }
    json(raw.get())?;
    Ok(Some(raw.get().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reason(text: &str) -> Option<Reason> {
        json(text).err().map(|fault| fault.reason)
    }

    #[test]
    fn what_postgresql_cannot_store_is_found() {
        assert_eq!(reason(r#"{"a":"x\u0000y"}"#), Some(Reason::NulCharacter));
        assert_eq!(reason(r#"{"a":"\ud800"}"#), Some(Reason::BadText));
        assert_eq!(reason(r#"{"a":"\udc00x"}"#), Some(Reason::BadText));
        assert_eq!(reason(r#"{"a":"\ud83d\ude00"}"#), None);
        assert_eq!(reason(r#"{"a":"\\u0000"}"#), None, "an escaped backslash, not NUL");
        assert_eq!(reason(r#"{"a":1e400}"#), Some(Reason::NumberOutOfRange));
        assert_eq!(reason(r#"{"a":-1.5e-400}"#), Some(Reason::NumberOutOfRange));
        assert_eq!(reason(r#"{"a":[1e-16000]}"#), Some(Reason::NumberOutOfRange));
        assert_eq!(reason(r#"{"a":[1.7976931348623157e308]}"#), Some(Reason::NumberOutOfRange), "is not read back");
        assert_eq!(reason(r#"{"a":[-1.7e308]}"#), None);
        assert_eq!(reason(r#"{"a":-1.5e-300}"#), None);
        assert_eq!(reason(&format!("[{}1]", "1e-300,".repeat(200))), Some(Reason::TooLarge), "60 KB written out");
        assert_eq!(reason(&format!("{{\"a\":{}}}", "9".repeat(400))), Some(Reason::NumberOutOfRange));
        assert_eq!(reason(&format!("{}{}", "[".repeat(64), "]".repeat(64))), None);
        assert_eq!(reason(&format!("{}{}", "[".repeat(65), "]".repeat(65))), Some(Reason::TooDeep));
        assert_eq!(reason(&format!("\"{}\"", "x".repeat(EVENT_BYTES))), Some(Reason::TooLarge));
    }

    #[test]
    fn minted_ids_carry_their_time_and_version() {
        let id = uuid_v7(1_700_000_000_123_456, [0xff; 16]);
        assert_eq!((id.get_version_num(), id_time_us(id)), (7, Some(1_700_000_000_123_000)));
        assert_eq!(id_time_us(Uuid::from_u128(0)), None);
    }

    #[test]
    fn samples_have_no_addresses_and_no_credentials() {
        let text = r#"{"$ip":"203.0.113.9","context":{"ip" : "2001:db8::1"},"trip":"a","token_auth":"0123"#;
        assert_eq!(sample(text), r#"{"$ip":"…","context":{"ip" : "…"},"trip":"a","token_auth":"…""#);
        assert_eq!(sample("?idsite=1&cip=203.0.113.9&token_auth=0123&ship=1"), "?idsite=1&cip=…&token_auth=…&ship=1");
    }

    #[test]
    fn terms_are_cut_at_a_character() {
        assert_eq!(term(&"ä".repeat(400)).unwrap().len(), 512);
        assert_eq!(term(&format!("x{}", "ä".repeat(400))).unwrap().len(), 511);
        assert_eq!(term(" \t "), None);
        assert_eq!(term("a\0b").as_deref(), Some("a b"));
    }

    proptest! {
        #[test]
        fn the_scanner_agrees_with_a_parser(text in r#"\{"[a-z]{1,3}":("(\\u[0-9a-f]{4}|[a-z]|\\\\|\\")*"|-?[0-9]{1,3}(e[0-2][0-9]{1,2})?)\}"#) {
            let parsed = serde_json::from_str::<serde_json::Value>(&text);
            let holds_nul = parsed.as_ref().is_ok_and(|value| value.to_string().contains("\\u0000"));
            prop_assume!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok());
            prop_assert_eq!(json(&text).is_ok(), parsed.is_ok() && !holds_nul);
        }
    }
}
