//! The key with which a site's owner asks what became of each single event.
//!
//! It is derived from what only the server knows of the site, and from the day: nothing is stored for it, it expires by
//! itself, and a new secret key of the site ends it at once. It lets in nothing: whoever has it and the public key learns
//! why events were rejected that they sent themselves.

use crate::store::sites::Site;
use hmac::{Hmac, KeyInit, Mac};
use jiff::ToSpan;
use jiff::civil::Date;
use sha2::Sha256;

/// The key of a day (UTC), 32 hexadecimal digits: so long that the tracker takes it out of addresses.
pub(crate) fn of_day(site: &Site, day: Date) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&site.secret_key_hash) else { return String::new() };
    mac.update(format!("segments debugger {} {day}", site.write_key).as_bytes());
    mac.finalize().into_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `given` is the key of `today` (UTC) or of the day before: each holds for 24 to 48 hours.
pub(crate) fn is_valid(site: &Site, given: &str, today: Date) -> bool {
    let yesterday = today.checked_sub(1.day()).unwrap_or(today);
    !given.is_empty() && [today, yesterday].into_iter().any(|day| crate::secrets::same(&of_day(site, day), given))
}
