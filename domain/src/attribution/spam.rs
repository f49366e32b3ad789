//! Referrers that visit, or only pretend to, so that somebody looks them up in their statistics.
//!
//! No list of them is in a package registry, so these are the families that come again and again under new endings and
//! numbers, told by what their names have in common. What is missing here is one more source in a report; what is wrong
//! here would hide a visitor's true origin, so only names that nobody else bears are in it.

/// Parts of a host's name that give a family away.
const FAMILIES: &[&str] = &[
    "100dollars-seo",
    "4webmasters",
    "anticrawler",
    "best-seo-offer",
    "best-seo-software",
    "best-seo-solution",
    "blackhatworth",
    "bottraffic",
    "buttons-for-website",
    "buttons-for-your-website",
    "buy-cheap-online",
    "cheap-trusted-backlinks",
    "cookie-law-enforcement",
    "copyrightclaims",
    "darodar",
    "dominateforex",
    "event-tracking",
    "floating-share-buttons",
    "free-fb-traffic",
    "free-fbook-traffic",
    "free-floating-buttons",
    "free-share-buttons",
    "free-social-buttons",
    "free-video-tool",
    "free-website-traffic",
    "get-free-social-traffic",
    "get-free-traffic",
    "googlsucks",
    "guardlink",
    "hulfingtonpost",
    "humanorightswatch",
    "ilovevitaly",
    "iloveitaly",
    "kambasoft",
    "keywords-monitoring",
    "law-enforcement-bot",
    "law-enforcement-check",
    "makemoneyonline",
    "o-o-11-o-o",
    "o-o-6-o-o",
    "o-o-8-o-o",
    "pornhub-forum",
    "ranksonic",
    "reasons-for-seo",
    "resell-seo-services",
    "savetubevideo",
    "semalt",
    "seo-services-b2b",
    "share-buttons-for-free",
    "simple-share-buttons",
    "success-seo",
    "theguardlan",
    "traffic2cash",
    "traffic2money",
    "trafficbot",
    "trafficgenius",
    "trafficmonetize",
    "videos-for-your-business",
    "webmonetizer",
];

/// Hosts that have no family.
const HOSTS: &[&str] = &[
    "0n-line.tv",
    "7makemoneyonline.com",
    "acunetix-referrer.com",
    "burger-imperia.com",
    "cenokos.ru",
    "cenoval.ru",
    "econom.co",
    "get-clickize.info",
    "pizza-imperia.com",
    "pizza-tycoon.com",
    "priceg.com",
    "rank-checker.online",
    "responsive-test.net",
    "sharebutton.net",
    "sharebutton.to",
    "site-auditor.online",
    "slow-website.xyz",
    "social-buttons.com",
    "speedup-my.site",
    "topseoservices.co",
];

/// Whether a host is one of them.
pub(super) fn is_spam(host: &str) -> bool {
    let within = |known: &str| host.strip_suffix(known).is_some_and(|front| front.is_empty() || front.ends_with('.'));
    // The public ending, where anything may stand, is not the name.
    let name = host.rsplit_once('.').map_or(host, |(name, _)| name);
    FAMILIES.iter().any(|family| name.contains(family)) || HOSTS.iter().any(|known| within(known))
}
