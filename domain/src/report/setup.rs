//! What the set-up page shows: the tag, whether it works, and the site's settings.

use super::Site;
use jiff::Timestamp;

/// Which consent mode the tag starts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagConsent {
    /// Nothing is kept on the visitor's device and no profile is made until the page says so.
    Measure,
    /// Nothing is sent either until the page says so.
    Wait,
    /// Nothing is sent until a consent manager says so, by IAB TCF or Google's consent mode.
    Manager,
    /// The visitor is recognised again; the site has asked already, or need not.
    Full,
}

impl TagConsent {
    /// The word in forms, in the tag and in the store.
    pub fn key(self) -> &'static str {
        match self {
            TagConsent::Measure => "measure",
            TagConsent::Wait => "wait",
            TagConsent::Manager => "manager",
            TagConsent::Full => "full",
        }
    }

    /// Reads [`TagConsent::key`] back.
    pub fn from_key(key: &str) -> Option<TagConsent> {
        [TagConsent::Measure, TagConsent::Wait, TagConsent::Manager, TagConsent::Full]
            .into_iter()
            .find(|mode| mode.key() == key)
    }
}

/// Whether orders that only a browser reported count as revenue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrowserOrders {
    /// Until a trusted source reports orders.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl BrowserOrders {
    /// The word in forms and in the store.
    pub fn key(self) -> &'static str {
        match self {
            BrowserOrders::Auto => "auto",
            BrowserOrders::Always => "always",
            BrowserOrders::Never => "never",
        }
    }

    /// Reads [`BrowserOrders::key`] back.
    pub fn from_key(key: &str) -> Option<BrowserOrders> {
        [BrowserOrders::Auto, BrowserOrders::Always, BrowserOrders::Never].into_iter().find(|rule| rule.key() == key)
    }
}

/// Whether events of bots are in profiles, segments and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bots {
    /// They are stored and left out.
    Exclude,
    /// They are as anybody's.
    Include,
}

impl Bots {
    /// The word in forms and in the store.
    pub fn key(self) -> &'static str {
        match self {
            Bots::Exclude => "exclude",
            Bots::Include => "include",
        }
    }

    /// Reads [`Bots::key`] back.
    pub fn from_key(key: &str) -> Option<Bots> {
        [Bots::Exclude, Bots::Include].into_iter().find(|bots| bots.key() == key)
    }
}

/// The score from which on a new site takes an event for a bot's: known crawlers and browsers that programs drive are
/// beyond it, libraries that speak HTTP and senders without a user agent are not.
pub const BOT_LIMIT: u8 = 50;

/// The set-up of one site.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// The site.
    pub site: Site,
    /// Hosts whose pages may send events; a host stands for its subdomains too.
    pub domains: Vec<String>,
    /// The public key that stands in the tag.
    pub write_key: String,
    /// Scheme and host where the collector is reached, without a slash at the end: `https://s.shop.example`.
    pub origin: String,
    /// Which consent mode the tag starts in.
    pub consent: TagConsent,
    /// Whether browsers' orders count.
    pub browser_orders: BrowserOrders,
    /// A trusted source has reported an order.
    pub trusted_orders_seen: bool,
    /// Whether bots count.
    pub bots: Bots,
    /// The score from which on an event is a bot's, 1 to 100.
    pub bot_limit: u8,
    /// What the site's server signs user ids with; `None` until the owner asks for it.
    pub identity_secret: Option<String>,
    /// Whether a browser's identify has to be signed.
    pub signed_identify: bool,
    /// With this in a page's address its events are told of one by one; another one every day.
    pub debug_key: String,
    /// When the last event of this site was stored; `None` until the first one.
    pub last_event_at: Option<Timestamp>,
    /// The moment of this report.
    pub now: Timestamp,
}

impl Setup {
    /// The script tag for the site's pages, in the given consent mode.
    ///
    /// It is one line, because owners paste it into fields of shop systems that break lines.
    pub fn tag(&self, consent: TagConsent) -> String {
        script_tag(&self.origin, &self.write_key, consent)
    }

    /// The parameter that opens the tracker's debugger on a page, without `?`.
    pub fn debug_parameter(&self) -> String {
        format!("segments_debug={}", self.debug_key)
    }

    /// The first page of one of the site's domains with the debugger on it; `None` for what is no host. Hosts of one's own
    /// machine have no HTTPS.
    pub fn debug_url(&self, domain: &str) -> Option<String> {
        let is_host = domain.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':'));
        let is_local =
            domain == "localhost" || domain.ends_with(".localhost") || domain.starts_with("127.") || domain == "::1";
        let scheme = if is_local { "http" } else { "https" };
        let host = if domain.contains(':') { format!("[{domain}]") } else { domain.to_owned() };
        is_host.then(|| format!("{scheme}://{host}/?{}", self.debug_parameter()))
    }

    /// What a page with a strict Content-Security-Policy has to allow.
    pub fn csp(&self) -> String {
        format!("script-src {0} 'wasm-unsafe-eval'; connect-src {0}", self.origin)
    }
}

/// What an owner pastes into the privacy page, so that visitors can leave the count and come back.
pub const OPT_OUT: &str =
    "<button type=\"button\" data-segments-opt-out=\"You are not counted. Count me again\">Do not count me</button>";

/// The script tag of a site: `origin` is where the collector is reached.
pub fn script_tag(origin: &str, write_key: &str, consent: TagConsent) -> String {
    // Keys and origins are ours, but a quote in a mistyped origin must not end the attribute.
    let clean = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let consent = match consent {
        TagConsent::Measure => "",
        TagConsent::Wait => " data-consent=\"wait\"",
        TagConsent::Manager => " data-consent=\"wait\" data-consent-from=\"tcf gtag\"",
        TagConsent::Full => " data-consent=\"full\"",
    };
    format!(
        "<script async src=\"{}/t.js\" data-site=\"{}\"{consent}></script>",
        clean(origin.trim_end_matches('/')),
        clean(write_key)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_consent_mode_writes_its_own_tag() {
        let attributes = |consent| script_tag("https://s.shop.example/", "wk_1", consent);
        let tag = |more: &str| {
            format!("<script async src=\"https://s.shop.example/t.js\" data-site=\"wk_1\"{more}></script>")
        };
        assert_eq!(attributes(TagConsent::Measure), tag(""));
        assert_eq!(attributes(TagConsent::Wait), tag(" data-consent=\"wait\""));
        assert_eq!(attributes(TagConsent::Manager), tag(" data-consent=\"wait\" data-consent-from=\"tcf gtag\""));
        assert_eq!(attributes(TagConsent::Full), tag(" data-consent=\"full\""));
        for consent in [TagConsent::Measure, TagConsent::Wait, TagConsent::Manager, TagConsent::Full] {
            assert_eq!(TagConsent::from_key(consent.key()), Some(consent));
        }
    }
}
