//! Kinds of mail addresses by their domain, from lists of providers.

use domain::surroundings::EmailClass;
use std::borrow::Cow;
use std::collections::HashSet;

/// Providers that the list does not have (yet): those whose address is known to be free, by their own words.
const MORE_FREE: [&str; 9] =
    ["duck.com", "hey.com", "mailbox.org", "pm.me", "proton.me", "tuta.com", "tuta.io", "tutanota.com", "zohomail.eu"];

/// The lists.
pub(crate) struct MailDomains {
    free: HashSet<&'static str>,
    disposable: HashSet<&'static str>,
}

impl MailDomains {
    /// Reads the lists, one domain a line.
    pub(super) fn read(free: &'static str, disposable: &'static str) -> MailDomains {
        MailDomains { free: free.lines().chain(MORE_FREE).collect(), disposable: disposable.lines().collect() }
    }

    /// The kind of an address; `None` when it is none, or nothing can be known because this binary has no lists.
    pub(super) fn class(&self, email: &str) -> Option<EmailClass> {
        let (local, domain) = email.trim().rsplit_once('@')?;
        let domain = domain.trim_end_matches('.').to_lowercase();
        if local.is_empty() || !domain.contains('.') || self.disposable.is_empty() {
            return None;
        }
        // Throw-away providers give out subdomains, too.
        let is_in = |list: &HashSet<&'static str>| {
            let mut name = domain.as_str();
            while name.contains('.') {
                if list.contains(name) {
                    return true;
                }
                name = name.split_once('.').map_or("", |(_, rest)| rest);
            }
            false
        };
        Some(if is_in(&self.disposable) {
            EmailClass::Disposable
        } else if self.free.contains(domain.as_str()) {
            EmailClass::Free
        } else {
            EmailClass::Company
        })
    }
}

/// The trait `email` of an identify call.
pub(super) fn trait_of(traits: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Traits<'a> {
        #[serde(borrow, default)]
        email: Option<Cow<'a, str>>,
    }
    // An e-mail of another type is no e-mail.
    serde_json::from_str::<Traits<'_>>(traits).ok()?.email.map(Cow::into_owned)
}
