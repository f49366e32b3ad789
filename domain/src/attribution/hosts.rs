//! The tables behind attribution: which hosts are search engines, social networks, video or shopping sites and
//! mail readers, and which address parameters advertising platforms add to a click.

use super::Channel;

/// What kind of place a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Category {
    Search,
    Social,
    Video,
    Shopping,
    Mail,
    Assistant,
}

/// `(pattern, name, category)`. A pattern is a domain that covers its subdomains; `google.*` covers `google` under
/// every country's ending. The first row that fits decides, so a service stands before the house it belongs to.
const PLACES: &[(&str, &str, Category)] = &[
    ("mail.google.com", "gmail", Category::Mail),
    ("com.google.android.gm", "gmail", Category::Mail),
    ("outlook.live.com", "outlook", Category::Mail),
    ("outlook.office.com", "outlook", Category::Mail),
    ("outlook.office365.com", "outlook", Category::Mail),
    ("mail.yahoo.com", "yahoo mail", Category::Mail),
    ("mail.aol.com", "aol mail", Category::Mail),
    ("mail.proton.me", "proton mail", Category::Mail),
    ("mail.ru", "mail.ru", Category::Mail),
    ("mail.yandex.ru", "yandex mail", Category::Mail),
    ("webmail.freenet.de", "freenet", Category::Mail),
    ("navigator.gmx.net", "gmx", Category::Mail),
    ("navigator.web.de", "web.de", Category::Mail),
    ("shopping.google.com", "google shopping", Category::Shopping),
    ("shopping.yahoo.com", "yahoo shopping", Category::Shopping),
    ("com.google.android.googlequicksearchbox", "google", Category::Search),
    ("com.google.android.youtube", "youtube", Category::Video),
    ("com.linkedin.android", "linkedin", Category::Social),
    ("com.pinterest", "pinterest", Category::Social),
    ("com.slack", "slack", Category::Social),
    ("org.telegram.messenger", "telegram", Category::Social),
    // Google names ChatGPT, Gemini, Claude, Copilot, Grok and DeepSeek, and publishes no list of hosts; the others answer
    // in the same way.
    ("chatgpt.com", "chatgpt", Category::Assistant),
    ("chat.openai.com", "chatgpt", Category::Assistant),
    ("com.openai.chatgpt", "chatgpt", Category::Assistant),
    ("gemini.google.com", "gemini", Category::Assistant),
    ("bard.google.com", "gemini", Category::Assistant),
    ("claude.ai", "claude", Category::Assistant),
    ("copilot.microsoft.com", "copilot", Category::Assistant),
    ("copilot.com", "copilot", Category::Assistant),
    ("grok.com", "grok", Category::Assistant),
    ("chat.deepseek.com", "deepseek", Category::Assistant),
    ("deepseek.com", "deepseek", Category::Assistant),
    ("perplexity.ai", "perplexity", Category::Assistant),
    ("chat.mistral.ai", "mistral", Category::Assistant),
    ("meta.ai", "meta ai", Category::Assistant),
    ("poe.com", "poe", Category::Assistant),
    ("you.com", "you.com", Category::Assistant),
    // Google's, Yahoo's and Yandex's other services are neither search nor social: they fall through to referral.
    ("google.*", "google", Category::Search),
    ("images.google.*", "google", Category::Search),
    ("bing.com", "bing", Category::Search),
    ("search.yahoo.com", "yahoo", Category::Search),
    ("search.yahoo.co.jp", "yahoo", Category::Search),
    ("yahoo.com", "yahoo", Category::Search),
    ("duckduckgo.com", "duckduckgo", Category::Search),
    ("ecosia.org", "ecosia", Category::Search),
    ("qwant.com", "qwant", Category::Search),
    ("startpage.com", "startpage", Category::Search),
    ("search.brave.com", "brave", Category::Search),
    ("kagi.com", "kagi", Category::Search),
    ("mojeek.com", "mojeek", Category::Search),
    ("baidu.com", "baidu", Category::Search),
    ("yandex.*", "yandex", Category::Search),
    ("ya.ru", "yandex", Category::Search),
    ("go.mail.ru", "mail.ru", Category::Search),
    ("naver.com", "naver", Category::Search),
    ("daum.net", "daum", Category::Search),
    ("sogou.com", "sogou", Category::Search),
    ("so.com", "so.com", Category::Search),
    ("seznam.cz", "seznam", Category::Search),
    ("ask.com", "ask", Category::Search),
    ("aol.com", "aol", Category::Search),
    ("search.aol.com", "aol", Category::Search),
    ("dogpile.com", "dogpile", Category::Search),
    ("metager.org", "metager", Category::Search),
    ("metager.de", "metager", Category::Search),
    ("swisscows.com", "swisscows", Category::Search),
    ("lycos.com", "lycos", Category::Search),
    ("t-online.de", "t-online", Category::Search),
    ("youtube.com", "youtube", Category::Video),
    ("youtu.be", "youtube", Category::Video),
    ("vimeo.com", "vimeo", Category::Video),
    ("dailymotion.com", "dailymotion", Category::Video),
    ("twitch.tv", "twitch", Category::Video),
    ("netflix.com", "netflix", Category::Video),
    ("hulu.com", "hulu", Category::Video),
    ("disneyplus.com", "disneyplus", Category::Video),
    ("iqiyi.com", "iqiyi", Category::Video),
    ("youku.com", "youku", Category::Video),
    ("bilibili.com", "bilibili", Category::Video),
    ("utreon.com", "utreon", Category::Video),
    ("veoh.com", "veoh", Category::Video),
    ("ted.com", "ted", Category::Video),
    ("wistia.com", "wistia", Category::Video),
    ("facebook.com", "facebook", Category::Social),
    ("fb.com", "facebook", Category::Social),
    ("fb.me", "facebook", Category::Social),
    ("messenger.com", "facebook", Category::Social),
    ("instagram.com", "instagram", Category::Social),
    ("threads.net", "threads", Category::Social),
    ("threads.com", "threads", Category::Social),
    ("whatsapp.com", "whatsapp", Category::Social),
    ("wa.me", "whatsapp", Category::Social),
    ("twitter.com", "x", Category::Social),
    ("x.com", "x", Category::Social),
    ("t.co", "x", Category::Social),
    ("linkedin.com", "linkedin", Category::Social),
    ("lnkd.in", "linkedin", Category::Social),
    ("xing.com", "xing", Category::Social),
    ("tiktok.com", "tiktok", Category::Social),
    ("snapchat.com", "snapchat", Category::Social),
    ("reddit.com", "reddit", Category::Social),
    ("redd.it", "reddit", Category::Social),
    ("pinterest.*", "pinterest", Category::Social),
    ("pin.it", "pinterest", Category::Social),
    ("tumblr.com", "tumblr", Category::Social),
    ("quora.com", "quora", Category::Social),
    ("discord.com", "discord", Category::Social),
    ("t.me", "telegram", Category::Social),
    ("telegram.org", "telegram", Category::Social),
    ("bsky.app", "bluesky", Category::Social),
    ("mastodon.social", "mastodon", Category::Social),
    ("news.ycombinator.com", "hacker news", Category::Social),
    ("lobste.rs", "lobsters", Category::Social),
    ("producthunt.com", "product hunt", Category::Social),
    ("medium.com", "medium", Category::Social),
    ("substack.com", "substack", Category::Social),
    ("meetup.com", "meetup", Category::Social),
    ("nextdoor.com", "nextdoor", Category::Social),
    ("vk.com", "vk", Category::Social),
    ("ok.ru", "ok.ru", Category::Social),
    ("weibo.com", "weibo", Category::Social),
    ("wechat.com", "wechat", Category::Social),
    ("line.me", "line", Category::Social),
    ("xiaohongshu.com", "xiaohongshu", Category::Social),
    ("tripadvisor.*", "tripadvisor", Category::Social),
    ("yelp.com", "yelp", Category::Social),
    ("trustpilot.com", "trustpilot", Category::Social),
    ("amazon.*", "amazon", Category::Shopping),
    ("ebay.*", "ebay", Category::Shopping),
    ("etsy.com", "etsy", Category::Shopping),
    ("walmart.com", "walmart", Category::Shopping),
    ("alibaba.com", "alibaba", Category::Shopping),
    ("aliexpress.com", "aliexpress", Category::Shopping),
    ("shopzilla.com", "shopzilla", Category::Shopping),
    ("mercadolibre.*", "mercadolibre", Category::Shopping),
    ("rakuten.*", "rakuten", Category::Shopping),
    ("zalando.*", "zalando", Category::Shopping),
    ("otto.de", "otto", Category::Shopping),
    ("idealo.*", "idealo", Category::Shopping),
    ("shop.app", "shop app", Category::Shopping),
];

/// Short names that people write into `utm_source`, beside the names and domains of [`PLACES`].
const NICKNAMES: &[(&str, Category)] = &[
    ("fb", Category::Social),
    ("ig", Category::Social),
    ("meta", Category::Social),
    ("twitter", Category::Social),
    ("yt", Category::Video),
    ("adwords", Category::Search),
    ("google-ads", Category::Search),
    ("googleads", Category::Search),
];

/// What a click id in the landing address says of the click.
#[derive(Debug)]
pub(super) struct ClickId {
    /// The address parameter, lower case.
    pub parameter: &'static str,
    /// The platform that adds it.
    pub source: &'static str,
    /// The medium it stands for where the address names none.
    pub medium: &'static str,
    /// The channel it decides where the address names no medium.
    pub channel: Channel,
}

/// Every click id that is read, the telling ones first: the first row that the address carries counts.
///
/// `fbclid`, `igshid` and `epik` are added to every outgoing link, paid or not, so they name the network and no
/// payment; the others are added by the platforms' advertising alone (or, at the end, by mail and affiliate tools).
pub(super) const CLICK_IDS: &[ClickId] = &[
    click("gclid", "google", "cpc", Channel::PaidSearch),
    click("gbraid", "google", "cpc", Channel::PaidSearch),
    click("wbraid", "google", "cpc", Channel::PaidSearch),
    click("dclid", "google", "display", Channel::Display),
    click("msclkid", "bing", "cpc", Channel::PaidSearch),
    click("yclid", "yandex", "cpc", Channel::PaidSearch),
    click("ttclid", "tiktok", "cpc", Channel::PaidSocial),
    click("twclid", "x", "cpc", Channel::PaidSocial),
    click("li_fat_id", "linkedin", "cpc", Channel::PaidSocial),
    click("sccid", "snapchat", "cpc", Channel::PaidSocial),
    click("rdt_cid", "reddit", "cpc", Channel::PaidSocial),
    click("qclid", "quora", "cpc", Channel::PaidSocial),
    click("tblci", "taboola", "display", Channel::Display),
    click("dicbo", "outbrain", "display", Channel::Display),
    click("awc", "awin", "affiliate", Channel::Affiliates),
    click("irclickid", "impact", "affiliate", Channel::Affiliates),
    click("cjevent", "cj", "affiliate", Channel::Affiliates),
    click("sscid", "shareasale", "affiliate", Channel::Affiliates),
    click("mc_cid", "mailchimp", "email", Channel::Email),
    click("_kx", "klaviyo", "email", Channel::Email),
    click("_hsmi", "hubspot", "email", Channel::Email),
    click("srsltid", "google shopping", "organic", Channel::OrganicShopping),
    click("fbclid", "facebook", "social", Channel::OrganicSocial),
    click("igshid", "instagram", "social", Channel::OrganicSocial),
    click("epik", "pinterest", "social", Channel::OrganicSocial),
];

const fn click(parameter: &'static str, source: &'static str, medium: &'static str, channel: Channel) -> ClickId {
    ClickId { parameter, source, medium, channel }
}

/// The click id of that name, lower case.
pub(super) fn click_id(parameter: &str) -> Option<&'static ClickId> {
    CLICK_IDS.iter().find(|row| row.parameter == parameter)
}

/// The known place behind a host name: its short name and category.
pub(super) fn place(host: &str) -> Option<(&'static str, Category)> {
    PLACES.iter().find(|(pattern, ..)| covers(pattern, host)).map(|&(_, name, category)| (name, category))
}

/// The category of what somebody wrote into `utm_source`, lower case: a name, a nickname or a domain.
pub(super) fn source_category(source: &str) -> Option<Category> {
    let by_name = PLACES.iter().find(|(_, name, _)| *name == source).map(|&(.., category)| category);
    let by_nickname = || NICKNAMES.iter().find(|(name, _)| *name == source).map(|&(_, category)| category);
    by_name.or_else(by_nickname).or_else(|| place(source).map(|(_, category)| category))
}

fn covers(pattern: &str, host: &str) -> bool {
    if let Some(brand) = pattern.strip_suffix("*") {
        // `google.` must be what the host is up to its public ending: `www.google.co.uk` yes, `google.evil.example` no,
        // and `docs.google.com` no: a wildcard covers no services, only `www.` and the mobile page.
        let bare = host.strip_prefix("www.").or_else(|| host.strip_prefix("m.")).unwrap_or(host);
        return bare.strip_prefix(brand).or_else(|| host.strip_prefix(brand)).is_some_and(is_public_ending);
    }
    host.strip_suffix(pattern).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

/// `com`, `de`, `co.uk`, `com.au`: one short label, or a registry's label before a country's.
fn is_public_ending(ending: &str) -> bool {
    match ending.split_once('.') {
        None => (2..=3).contains(&ending.len()),
        Some((registry, country)) => matches!(registry, "co" | "com" | "org" | "net") && country.len() == 2,
    }
}
