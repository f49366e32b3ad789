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

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn site() -> Site {
        let mut site = crate::intake::webhook::tests::site();
        site.secret_key_hash = vec![7; 32];
        site
    }

    #[test]
    fn a_key_holds_on_its_day_and_the_next() {
        let key = of_day(&site(), date(2026, 11, 26));
        assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
        assert!(is_valid(&site(), &key, date(2026, 11, 26)));
        assert!(is_valid(&site(), &key, date(2026, 11, 27)));
        assert!(!is_valid(&site(), &key, date(2026, 11, 28)));
        assert!(!is_valid(&site(), &key, date(2026, 11, 25)), "nor before");
    }

    #[test]
    fn a_key_is_of_one_site_and_ends_with_its_secret_key() {
        let day = date(2026, 11, 26);
        let key = of_day(&site(), day);
        let mut renewed = site();
        renewed.secret_key_hash = vec![8; 32];
        let mut other = site();
        other.write_key = "wk_other".into();
        for wrong in [&renewed, &other] {
            assert!(!is_valid(wrong, &key, day));
        }
        for wrong in ["", "0", &key[..31], &format!("{key}0")] {
            assert!(!is_valid(&site(), wrong, day), "{wrong}");
        }
    }
}
