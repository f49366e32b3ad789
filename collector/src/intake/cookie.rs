//! The identity cookie: a browser whose storage is emptied is known again.
//!
//! Safari forgets what scripts have written after seven days, and one subdomain's storage is not the next one's. So a
//! browser that has agreed is given its visitor id a second time, as a cookie that only the server writes, where the
//! collector is reached under a host of the site itself. From then on the cookie says who the browser is: a batch of
//! another visitor is told so, and its events, which stay their own visitor's, say that the two are one browser
//! ([`Call::SameBrowser`]).
//!
//! What is decided here follows from the two ids alone. Nothing is looked up, so that nobody learns anything by sending
//! what is not theirs, and every retry is decided alike.
//!
//! **A reset** begins a new person in the same browser. The tracker marks the id that it mints then: its variant digit is
//! `b` (`8` otherwise). A marked id wins over a cookie that is older than it, and a visitor from before a marked cookie
//! takes that cookie over without being joined to it.

use super::screen::id_time_us;
use super::tracker::visitor_id;
use crate::store::events::NewEvent;
use crate::store::identities::{NewLink, Who};
use crate::store::sites::{Site, host_of};
use domain::identity::{Call, Kind, Standing};
use std::net::IpAddr;
use uuid::Uuid;

/// 13 months, the longest that European regulators let an identifier live; it is not written again meanwhile, so that no
/// visit prolongs it.
const MAX_AGE_S: u32 = 396 * 86_400;

/// The name of a site's cookie: two sites may share a domain.
pub(crate) fn name(site: &Site) -> String {
    let key = site.write_key.trim_start_matches("wk_");
    format!("segments_id_{}", key.get(..12).unwrap_or(key))
}

/// Reads a cookie's value: a visitor id as the tracker mints them, 32 hexadecimal digits.
pub(crate) fn read(value: &str) -> Option<Uuid> {
    let digits = value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (value.len() == 32 && digits).then(|| Uuid::try_parse(value).ok()).flatten().filter(|id| is_visitor(*id))
}

/// Whether an id can be a cookie's: a uuid v7, so that it says when it began.
fn is_visitor(id: Uuid) -> bool {
    id.get_variant() == uuid::Variant::RFC4122 && id_time_us(id).is_some()
}

/// Whether it was minted by a reset.
fn is_marked(id: Uuid) -> bool {
    id.as_bytes()[8] >> 4 == 0xb
}

/// What a batch says of the browser that sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// It may be recognised, as this visitor.
    Visitor(Uuid),
    /// It may not: consent `measure`, or a privacy signal.
    Nobody,
}

/// What becomes of the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is as it should be, or there is none and none is to be.
    #[default]
    Keep,
    /// The browser gets this visitor's.
    Give(Uuid),
    /// It goes.
    End,
    /// It holds, and the batch is another visitor's: the browser goes on as this one. Where they are `joined`, that is
    /// said of the two.
    Holds { visitor: Uuid, joined: bool },
}

/// What becomes of the cookie of a browser that sends a batch; `value` is the cookie's.
pub(crate) fn decide(says: Says, value: Option<&str>) -> Verdict {
    let batch = match (says, value) {
        (Says::Nobody, None) => return Verdict::Keep,
        (Says::Nobody, Some(_)) => return Verdict::End,
        // An id that says nothing of its time is none of our tracker's.
        (Says::Visitor(id), _) if !is_visitor(id) => return Verdict::Keep,
        (Says::Visitor(id), _) => id,
    };
    match value.and_then(read) {
        None => Verdict::Give(batch),
        Some(kept) if kept == batch => Verdict::Keep,
        Some(kept) if is_marked(batch) && id_time_us(batch) > id_time_us(kept) => Verdict::Give(batch),
        Some(kept) => {
            let joined = !(is_marked(kept) && id_time_us(batch) < id_time_us(kept));
            Verdict::Holds { visitor: kept, joined }
        }
    }
}

/// Says of a batch's events that their visitor and the cookie's are one browser.
pub(crate) fn join(events: &mut [NewEvent], visitor: Uuid) {
    let Ok(value) = visitor_id(visitor.into_bytes()) else { return };
    for event in events {
        if matches!(event.who, Who::Known { kind: Kind::Visitor, .. }) {
            let value = value.clone();
            // Whatever else is known of the sender, this is a browser's word.
            let (kind, call, standing) = (Kind::Visitor, Call::SameBrowser, Standing::Browser);
            event.links.push(NewLink { kind, value, call, standing });
        }
    }
}

/// Where the cookie of a browser lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The site's domains that both the page and the collector are in, the widest first; none where the host has no
    /// name that could be shared.
    domains: Vec<String>,
    is_https: bool,
}

/// Where a page of `origin` and a collector that it reaches under `host` may share a cookie; `None` where they are not
/// both of the site's one domain, or where it could be read on its way.
pub(crate) fn place(site: &Site, host: &str, origin: &str, is_https: bool) -> Option<Place> {
    let (host, page) = (host_of(host)?, host_of(origin)?);
    let mut shared: Vec<&str> =
        site.domains_of(&host).filter(|domain| site.domains_of(&page).any(|own| own == *domain)).collect();
    if shared.is_empty() || !(is_https || is_this_machine(&host)) {
        return None;
    }
    shared.sort_unstable_by_key(|domain| domain.len());
    // A name without a dot is shared by strangers, and an address by nobody: both are the host's own, without `Domain`.
    let is_name = |domain: &&str| domain.contains('.') && domain.parse::<IpAddr>().is_err();
    Some(Place { domains: shared.into_iter().filter(is_name).map(ToOwned::to_owned).collect(), is_https })
}

/// Whether a host is the browser's own machine, where nobody listens on the way.
fn is_this_machine(host: &str) -> bool {
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(is_loopback)
}

impl Place {
    /// The values of `Set-Cookie` that carry out a verdict.
    pub(crate) fn lines(&self, name: &str, verdict: Verdict) -> Vec<String> {
        let widest = self.domains.first().map(String::as_str);
        match verdict {
            Verdict::Keep | Verdict::Holds { .. } => Vec::new(),
            Verdict::Give(id) => vec![self.line(name, &id.as_simple().to_string(), MAX_AGE_S, widest)],
            Verdict::End => {
                // Also those of an earlier list of domains.
                let all = self.domains.iter().map(|domain| Some(domain.as_str()));
                let own = self.domains.is_empty().then_some(None);
                all.chain(own).map(|domain| self.line(name, "", 0, domain)).collect()
            }
        }
    }

    fn line(&self, name: &str, value: &str, max_age_s: u32, domain: Option<&str>) -> String {
        let domain = domain.map_or_else(String::new, |domain| format!("; Domain={domain}"));
        let secure = if self.is_https { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}{domain}")
    }
}

#[cfg(test)]
mod tests;
