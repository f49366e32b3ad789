//! What a device says of itself beside its user agent: language, time zone, screen.

/// A device's own words. Stored as `de-AT|Europe/Vienna|1920x1080`; what is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// A language tag in its usual spelling, `de-AT`, `zh-Hant-TW`.
    pub language: String,
    /// An IANA name.
    pub time_zone: String,
    /// Width and height in pixels of the page's own measure.
    pub screen: Option<(u32, u32)>,
}

/// Longer is no language tag that browsers send.
const LANGUAGE_BYTES: usize = 35;
/// The longest name in the IANA database has 32.
const TIME_ZONE_BYTES: usize = 40;

impl Device {
    /// Reads the stored form, of this version or an older one: those wrote what senders said, `de_at||0x0` among it.
    pub fn read(text: &str) -> Device {
        let mut parts = text.split('|').map(str::trim);
        let mut next = || parts.next().unwrap_or("");
        let (language, zone, screen) = (next(), next(), next());
        Device {
            language: language_tag(language).unwrap_or_default(),
            time_zone: if is_time_zone(zone) { zone.to_owned() } else { String::new() },
            screen: screen.split_once('x').and_then(|(width, height)| {
                let (width, height) = (width.parse().ok()?, height.parse().ok()?);
                (width > 0 && height > 0).then_some((width, height))
            }),
        }
    }

    /// The stored form; `None` when nothing is known.
    pub fn text(&self) -> Option<String> {
        if *self == Device::default() {
            return None;
        }
        let screen = self.screen.map(|(width, height)| format!("{width}x{height}")).unwrap_or_default();
        Some(format!("{}|{}|{screen}", self.language, self.time_zone))
    }

    /// The language without script and region.
    pub fn main_language(&self) -> Option<&str> {
        self.language.split('-').next().filter(|language| !language.is_empty())
    }
}

/// A language tag in its usual spelling: language small, script capitalised, region in capitals. POSIX's `de_AT.UTF-8`
/// is understood.
fn language_tag(text: &str) -> Option<String> {
    let text = text.split(['.', '@', ',', ';']).next().unwrap_or("");
    if text.is_empty() || text.len() > LANGUAGE_BYTES {
        return None;
    }
    let mut tag = String::with_capacity(text.len());
    for (place, part) in text.split(['-', '_']).enumerate() {
        let is_word = !part.is_empty() && part.len() <= 8 && part.bytes().all(|b| b.is_ascii_alphanumeric());
        let is_language = (2..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic());
        if !is_word || (place == 0 && !is_language) {
            return None;
        }
        if place > 0 {
            tag.push('-');
        }
        match (place, part.len()) {
            (1.., 2) => tag.push_str(&part.to_ascii_uppercase()),
            (1.., 4) => {
                tag.push_str(&part[..1].to_ascii_uppercase());
                tag.push_str(&part[1..].to_ascii_lowercase());
            }
            _ => tag.push_str(&part.to_ascii_lowercase()),
        }
    }
    Some(tag)
}

fn is_time_zone(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+');
    let named = text.contains('/') || matches!(text, "UTC" | "GMT" | "EST" | "MST" | "HST" | "CET" | "EET" | "WET");
    named
        && text.len() <= TIME_ZONE_BYTES
        && text.bytes().all(allowed)
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
}
