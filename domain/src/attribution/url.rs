//! What an address says: the page, normalised so that a site has few of them, and the campaign that led there.

use super::hosts;
use crate::event::Campaign;

/// A page's name (host and path) is cut here, at a character's boundary.
pub const MAX_PAGE_BYTES: usize = 512;

/// Longer addresses are cut before they are read: browsers go further, pages don't.
const MAX_URL_BYTES: usize = 16_384;

/// A campaign parameter's value is cut here.
const MAX_PARAMETER_BYTES: usize = 128;

/// A click id's value is cut here; the longest ones seen (`fbclid`, `gclid`) stay under 200.
const MAX_CLICK_ID_BYTES: usize = 256;

/// What a landing address says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    /// Host and path, `shop.example/shoes`: ids, hashes, tokens and e-mail addresses in the path are replaced by
    /// `:id`, `:hash`, `:token` and `:email`. At most [`MAX_PAGE_BYTES`].
    pub page: String,
    /// The campaign, when the address names one or carries a click id.
    pub campaign: Option<Campaign>,
    /// The click id's name and value.
    pub click_id: Option<(String, String)>,
}

impl Landing {
    /// The page's host, with its port when that is not the scheme's own.
    pub fn host(&self) -> &str {
        host_of(&self.page)
    }
}

/// Reads a page's address: `None` when it is no `http` or `https` address with a host.
///
/// The host becomes lower case and loses the scheme's own port; `www.` stays. The query goes, but for the campaign;
/// the fragment and a user name before the host go.
pub fn read_url(url: &str) -> Option<Landing> {
    let parts = split(url, &["http", "https"])?;
    let (campaign, click_id) = read_query(parts.query);
    Some(Landing { page: page(&parts), campaign, click_id })
}

/// Reads a referrer's address into host and path: `None` when there is none to speak of, that is when it is no
/// address, or its host is the page's own or one of the site's (`shop.example` covers `blog.shop.example`).
pub fn read_referrer(referrer: &str, own_hosts: &[String], page_host: &str) -> Option<String> {
    let parts = split(referrer, &["http", "https", "android-app"])?;
    let bare = |host: &str| {
        let host = host.trim().to_lowercase();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            Some(_) | None => host.as_str(),
        };
        name.strip_prefix("www.").unwrap_or(name).to_owned()
    };
    let host = bare(&parts.host);
    let is_own = |own: &str| {
        let own = bare(own);
        !own.is_empty() && host.strip_suffix(&own).is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    if host == bare(page_host) || own_hosts.iter().any(|own| is_own(own)) {
        return None;
    }
    Some(page(&parts))
}

fn host_of(page: &str) -> &str {
    page.split('/').next().unwrap_or(page)
}

struct Parts<'a> {
    /// Lower case, with a port that is not the scheme's own.
    host: String,
    path: &'a str,
    query: &'a str,
}

fn split<'a>(url: &'a str, schemes: &[&str]) -> Option<Parts<'a>> {
    let url = cut(url.trim(), MAX_URL_BYTES);
    let (scheme, rest) = url.split_once("//")?;
    let scheme = match scheme.strip_suffix(':') {
        Some(scheme) => scheme,
        // `//shop.example/a`: as the page that says so, which today is https.
        None if scheme.is_empty() => "https",
        None => return None,
    };
    if !schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return None;
    }
    let (rest, _fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
    // Browsers read a backslash as a slash.
    let (authority, path) = location.find(['/', '\\']).map_or((location, ""), |at| location.split_at(at));
    let host = authority.rsplit('@').next().unwrap_or(authority).to_lowercase();
    let (name, port) = match host.rsplit_once(':') {
        // The colons of an IPv6 address stand within brackets.
        Some((name, port)) if !port.ends_with(']') => (name, port),
        Some(_) | None => (host.as_str(), ""),
    };
    let name = name.trim_end_matches('.');
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\'' | '`' | '%' | '\\');
    let colons = name.contains(':') && !(name.starts_with('[') && name.ends_with(']'));
    let no_port = port.len() > 5 || !port.bytes().all(|b| b.is_ascii_digit());
    if name.is_empty() || name.len() > 253 || name.contains(odd) || colons || no_port {
        return None;
    }
    let own_port = if scheme.eq_ignore_ascii_case("http") { "80" } else { "443" };
    let host = if port.is_empty() || port == own_port { name.to_owned() } else { format!("{name}:{port}") };
    Some(Parts { host, path, query })
}

fn page(parts: &Parts<'_>) -> String {
    let mut page = parts.host.clone();
    // Only what fits is looked at; a segment more, because replacing ids makes segments shorter.
    for segment in parts.path.split(['/', '\\']).filter(|segment| !segment.is_empty()) {
        if page.len() >= MAX_PAGE_BYTES {
            break;
        }
        page.push('/');
        page.push_str(&normal_segment(segment));
    }
    if !page.contains('/') {
        page.push('/');
    }
    page.truncate(cut(&page, MAX_PAGE_BYTES).len());
    page
}

fn normal_segment(segment: &str) -> String {
    let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '\\' | '?' | '#' | '%');
    let text = match decode(segment, false) {
        // What would read as another address when decoded stays as it was written.
        decoded if decoded.contains(odd) => segment.chars().filter(|c| !c.is_control()).collect(),
        decoded => decoded,
    };
    if is_email_like(&text) {
        return ":email".to_owned();
    }
    let mut normal = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        if is_uuid(rest) {
            normal.push_str(":id");
            rest = &rest[36..];
        } else if first.is_ascii_alphanumeric() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            normal_run(&rest[..end], &mut normal);
            rest = &rest[end..];
        } else {
            normal.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    normal
}

/// A run of letters and digits: a hash, a token, or a word in which long numbers are replaced.
fn normal_run(run: &str, normal: &mut String) {
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    if run.len() >= 16 && digits > 0 && digits < run.len() && run.bytes().all(|b| b.is_ascii_hexdigit()) {
        return normal.push_str(":hash");
    }
    if is_token(run) {
        return normal.push_str(":token");
    }
    let mut rest = run;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        normal.push_str(if number >= 6 { ":id" } else { &rest[..number] });
        let word = rest[number..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - number);
        normal.push_str(&rest[number..number + word]);
        rest = &rest[number + word..];
    }
}

/// Random text in base 36, 62 or 64: 16 characters and more of which every fourth begins a number, ends one or is a
/// capital after a small letter. Words change far less, even with a number or CamelCase in them.
fn is_token(run: &str) -> bool {
    let changes = run.as_bytes().windows(2).filter(|pair| {
        pair[0].is_ascii_digit() != pair[1].is_ascii_digit()
            || (pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
    });
    run.len() >= 16 && changes.count() * 4 >= run.len()
}

fn is_uuid(text: &str) -> bool {
    let Some(uuid) = text.as_bytes().get(..36) else { return false };
    let ends = text.as_bytes().get(36).is_none_or(|b| !b.is_ascii_alphanumeric());
    ends && uuid.iter().enumerate().all(|(at, b)| match at {
        8 | 13 | 18 | 23 => *b == b'-',
        _ => b.is_ascii_hexdigit(),
    })
}

fn is_email_like(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.split_once('.').is_some_and(|(name, ending)| !name.is_empty() && ending.len() >= 2)
    })
}

fn read_query(query: &str) -> (Option<Campaign>, Option<(String, String)>) {
    let mut campaign = Campaign::default();
    let mut campaign_id = String::new();
    let mut click: Option<(usize, String)> = None;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name, true).trim().to_ascii_lowercase();
        if let Some(rank) = hosts::CLICK_IDS.iter().position(|row| row.parameter == name) {
            let value = clean(value, MAX_CLICK_ID_BYTES);
            if !value.is_empty() && click.as_ref().is_none_or(|(known, _)| rank < *known) {
                click = Some((rank, value));
            }
            continue;
        }
        let field = match name.as_str() {
            "utm_source" => &mut campaign.source,
            "utm_medium" => &mut campaign.medium,
            "utm_campaign" => &mut campaign.name,
            "utm_id" => &mut campaign_id,
            "utm_term" => &mut campaign.term,
            "utm_content" => &mut campaign.content,
            _ => continue,
        };
        if field.is_empty() {
            *field = clean(value, MAX_PARAMETER_BYTES);
            if matches!(name.as_str(), "utm_source" | "utm_medium") {
                *field = cut(&field.to_lowercase(), MAX_PARAMETER_BYTES).to_owned();
            }
        }
    }
    if campaign.name.is_empty() {
        campaign.name = campaign_id;
    }
    let click = click.map(|(rank, value)| (hosts::CLICK_IDS[rank].parameter.to_owned(), value));
    if let Some((name, _)) = &click {
        campaign.click_id.clone_from(name);
    }
    (Some(campaign).filter(|campaign| *campaign != Campaign::default()), click)
}

/// A parameter's value: decoded, without control characters, trimmed and cut; `:email` where somebody's address was
/// put into it.
fn clean(value: &str, limit: usize) -> String {
    let value: String = decode(value, true).chars().filter(|c| !c.is_control()).collect();
    let value = value.trim();
    if is_email_like(value) { ":email".to_owned() } else { cut(value, limit).trim_end().to_owned() }
}

/// Undoes percent-encoding (and `+` for a space in queries). A `%` that starts no byte stays; bytes that are no UTF-8
/// become U+FFFD.
fn decode(text: &str, plus_is_space: bool) -> String {
    let encoded = |b: u8| b == b'%' || (plus_is_space && b == b'+');
    if !text.bytes().any(encoded) {
        return text.to_owned();
    }
    let hex = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let source = text.as_bytes();
    let mut bytes = Vec::with_capacity(source.len());
    let mut at = 0;
    while at < source.len() {
        let encoded = match source[at..] {
            [b'%', high, low, ..] => hex(high).zip(hex(low)),
            _ => None,
        };
        match (source[at], encoded) {
            (_, Some((high, low))) => {
                bytes.push(high << 4 | low);
                at += 2;
            }
            (b'+', None) if plus_is_space => bytes.push(b' '),
            (other, None) => bytes.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The longest beginning of at most that many bytes.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}
