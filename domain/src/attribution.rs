//! Where a visit came from: what a landing address and a referrer say, and the channel that follows.

mod hosts;
mod spam;
mod url;

pub use url::{Landing, MAX_PAGE_BYTES, read_referrer, read_url};

use crate::event::Campaign;
use hosts::Category;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a visitor was reached.
///
/// Source: the default channel group of Google Analytics 4 as its help documents it ("Default channel group" of GA4,
/// support.google.com/analytics/answer/9756891), tested in that article's order, with the AI assistants that were added
/// on 13 May 2026 (medium `ai-assistant`, given to their referrers). Ours differs in five points: click ids decide where
/// the address names no medium; a medium or source called `newsletter`, and mail readers' hosts, are
/// [`Channel::Email`]; a mail's medium is looked at before the organic groups, so that a newsletter about a shopping
/// campaign stays one; an assistant that names itself as `utm_source` and no medium is one, too; and referrers that only
/// advertise themselves in statistics ([`is_referrer_spam`]) are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Typed, from a bookmark, or from somewhere that names no referrer.
    Direct,
    /// A search engine's unpaid results.
    OrganicSearch,
    /// A search engine's ads.
    PaidSearch,
    /// A link on a social network.
    OrganicSocial,
    /// A social network's ads.
    PaidSocial,
    /// A link in an e-mail; shown as "Newsletter".
    Email,
    /// A partner who is paid for sales.
    Affiliates,
    /// A link on another site.
    Referral,
    /// Banner advertising.
    Display,
    /// A market place's or price comparison's unpaid links.
    OrganicShopping,
    /// Their ads.
    PaidShopping,
    /// A link on a video site.
    OrganicVideo,
    /// A video site's ads.
    PaidVideo,
    /// Paid, on a platform that is in no list.
    PaidOther,
    /// Campaigns that run over several of Google's networks.
    CrossNetwork,
    /// Advertising in podcasts and radio.
    Audio,
    /// A link in a text message.
    Sms,
    /// A push notification.
    MobilePush,
    /// A link in an AI assistant's answer.
    AiAssistant,
    /// A campaign whose parameters fit no channel.
    Unassigned,
}

impl Channel {
    /// All channels, in the order in which lists show them.
    pub const ALL: [Channel; 20] = [
        Channel::Direct,
        Channel::OrganicSearch,
        Channel::PaidSearch,
        Channel::OrganicSocial,
        Channel::PaidSocial,
        Channel::Email,
        Channel::Affiliates,
        Channel::Referral,
        Channel::Display,
        Channel::OrganicShopping,
        Channel::PaidShopping,
        Channel::OrganicVideo,
        Channel::PaidVideo,
        Channel::PaidOther,
        Channel::CrossNetwork,
        Channel::Audio,
        Channel::Sms,
        Channel::MobilePush,
        Channel::AiAssistant,
        Channel::Unassigned,
    ];

    /// The name for machines: stored, and part of addresses.
    pub fn key(self) -> &'static str {
        match self {
            Channel::Direct => "direct",
            Channel::OrganicSearch => "organic_search",
            Channel::PaidSearch => "paid_search",
            Channel::OrganicSocial => "organic_social",
            Channel::PaidSocial => "paid_social",
            Channel::Email => "email",
            Channel::Affiliates => "affiliates",
            Channel::Referral => "referral",
            Channel::Display => "display",
            Channel::OrganicShopping => "organic_shopping",
            Channel::PaidShopping => "paid_shopping",
            Channel::OrganicVideo => "organic_video",
            Channel::PaidVideo => "paid_video",
            Channel::PaidOther => "paid_other",
            Channel::CrossNetwork => "cross_network",
            Channel::Audio => "audio",
            Channel::Sms => "sms",
            Channel::MobilePush => "mobile_push",
            Channel::AiAssistant => "ai_assistant",
            Channel::Unassigned => "unassigned",
        }
    }

    /// The channel of that [`Channel::key`].
    pub fn from_key(key: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.key() == key)
    }

    /// The name for people.
    pub fn label(self) -> &'static str {
        match self {
            Channel::Direct => "Direct",
            Channel::OrganicSearch => "Organic search",
            Channel::PaidSearch => "Paid search",
            Channel::OrganicSocial => "Organic social",
            Channel::PaidSocial => "Paid social",
            Channel::Email => "Newsletter",
            Channel::Affiliates => "Affiliates",
            Channel::Referral => "Referral",
            Channel::Display => "Display",
            Channel::OrganicShopping => "Organic shopping",
            Channel::PaidShopping => "Paid shopping",
            Channel::OrganicVideo => "Organic video",
            Channel::PaidVideo => "Paid video",
            Channel::PaidOther => "Other paid",
            Channel::CrossNetwork => "Cross-network",
            Channel::Audio => "Audio",
            Channel::Sms => "Text message",
            Channel::MobilePush => "Push notification",
            Channel::AiAssistant => "AI assistant",
            Channel::Unassigned => "Unassigned",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// What brought a visit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Touch {
    /// The channel.
    pub channel: Channel,
    /// Who sent the visitor: `utm_source`, the platform of a click id, a known place's name, the referrer's host, or
    /// `(direct)`.
    pub source: String,
    /// By what means: `utm_medium`, or what click id and referrer stand for, or `(none)`.
    pub medium: String,
    /// `utm_campaign`; empty when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub campaign: String,
    /// The referrer's host, when there is a referrer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer_host: Option<String>,
}

impl Touch {
    /// A visit that names nobody who brought it.
    pub fn direct() -> Touch {
        Touch {
            channel: Channel::Direct,
            source: "(direct)".into(),
            medium: "(none)".into(),
            campaign: String::new(),
            referrer_host: None,
        }
    }

    /// Whether nobody is named who brought the visit.
    pub fn is_direct(&self) -> bool {
        self.channel == Channel::Direct
    }
}

/// What brought a visit that landed with this campaign and came from this page (host and path, not the site's own).
pub fn channel(campaign: Option<&Campaign>, referrer: Option<&str>) -> Touch {
    let none = Campaign::default();
    let campaign = campaign.unwrap_or(&none);
    let referrer_host = referrer.map(|page| page.split('/').next().unwrap_or(page));
    let referrer_host = referrer_host.filter(|host| !host.is_empty() && !spam::is_spam(host));
    if *campaign == none && referrer_host.is_none() {
        return Touch::direct();
    }
    let click = hosts::click_id(&campaign.click_id);
    let place = referrer_host.and_then(hosts::place);
    let source = first_filled([
        campaign.source.as_str(),
        click.map_or("", |id| id.source),
        place.map_or("", |(name, _)| name),
        referrer_host.unwrap_or(""),
    ])
    .unwrap_or("(not set)");
    // Without any `utm_…` the referrer says how the visitor came; with one of them, an absent medium stays unknown.
    let tagged = !(campaign.source.is_empty() && campaign.medium.is_empty() && campaign.name.is_empty());
    let by_referrer = match place {
        _ if tagged || referrer_host.is_none() => "",
        Some((_, Category::Search)) => "organic",
        Some((_, Category::Social)) => "social",
        Some((_, Category::Video)) => "video",
        Some((_, Category::Mail)) => "email",
        Some((_, Category::Assistant)) => "ai-assistant",
        Some((_, Category::Shopping)) | None => "referral",
    };
    let medium = first_filled([campaign.medium.as_str(), click.map_or("", |id| id.medium), by_referrer]);
    let channel = match click {
        Some(id) if campaign.medium.is_empty() => id.channel,
        _ => group(source, medium.unwrap_or(""), &campaign.name.to_lowercase()),
    };
    Touch {
        channel,
        source: source.to_owned(),
        medium: medium.unwrap_or("(not set)").to_owned(),
        campaign: campaign.name.clone(),
        referrer_host: referrer_host.map(str::to_owned),
    }
}

/// Whether a referrer (host and path) is one of those that visit, or pretend to, only to be seen in statistics.
pub fn is_referrer_spam(referrer: &str) -> bool {
    spam::is_spam(referrer.split('/').next().unwrap_or(referrer))
}

fn first_filled<const N: usize>(texts: [&str; N]) -> Option<&str> {
    texts.into_iter().find(|text| !text.is_empty())
}

/// GA4's definitions in their order, on lower-case values. Its expressions are written out: `^(.*cp.*|ppc|retargeting|
/// paid.*)$` is [`is_paid`], `^(.*(([^a-df-z]|^)shop|shopping).*)$` is [`names_a_shop`].
fn group(source: &str, medium: &str, campaign: &str) -> Channel {
    let category = hosts::source_category(source);
    let shop = category == Some(Category::Shopping) || names_a_shop(campaign);
    let paid = is_paid(medium);
    if source == "(direct)" && matches!(medium, "" | "(none)" | "(not set)") {
        return Channel::Direct;
    }
    if campaign.contains("cross-network") {
        return Channel::CrossNetwork;
    }
    if paid {
        match category {
            _ if shop => return Channel::PaidShopping,
            Some(Category::Search) => return Channel::PaidSearch,
            Some(Category::Social) => return Channel::PaidSocial,
            Some(Category::Video) => return Channel::PaidVideo,
            Some(Category::Shopping | Category::Mail | Category::Assistant) | None => {}
        }
    }
    let is_mail = |text: &str| matches!(text, "email" | "e-mail" | "e_mail" | "e mail" | "newsletter");
    match medium {
        "display" | "banner" | "expandable" | "interstitial" | "cpm" => Channel::Display,
        _ if paid => Channel::PaidOther,
        // Before the organic groups, unlike GA4, which puts a newsletter about a shopping campaign into shopping.
        _ if is_mail(medium) => Channel::Email,
        "ai-assistant" => Channel::AiAssistant,
        "" if category == Some(Category::Assistant) => Channel::AiAssistant,
        _ if shop => Channel::OrganicShopping,
        "social" | "social-network" | "social-media" | "sm" | "social network" | "social media" => {
            Channel::OrganicSocial
        }
        _ if category == Some(Category::Social) => Channel::OrganicSocial,
        _ if category == Some(Category::Video) || medium.contains("video") => Channel::OrganicVideo,
        _ if category == Some(Category::Search) || medium == "organic" => Channel::OrganicSearch,
        "referral" | "app" | "link" => Channel::Referral,
        _ if is_mail(source) || category == Some(Category::Mail) => Channel::Email,
        "affiliate" | "affiliates" => Channel::Affiliates,
        "audio" => Channel::Audio,
        _ if source == "sms" || medium == "sms" => Channel::Sms,
        _ if medium.ends_with("push")
            || medium.contains("mobile")
            || medium.contains("notification")
            || source == "firebase" =>
        {
            Channel::MobilePush
        }
        _ => Channel::Unassigned,
    }
}

fn is_paid(medium: &str) -> bool {
    medium.contains("cp") || medium == "ppc" || medium == "retargeting" || medium.starts_with("paid")
}

/// `shopping` anywhere, or `shop` where no letter but an `e` stands before it (so `eshop`, but not `workshop`).
fn names_a_shop(campaign: &str) -> bool {
    campaign.contains("shopping")
        || campaign.match_indices("shop").any(|(at, _)| {
            campaign[..at].chars().next_back().is_none_or(|before| !before.is_ascii_lowercase() || before == 'e')
        })
}

#[cfg(test)]
mod tests;
