//! What a user agent says: the kind of device, the browser and the system.
//!
//! Browsers have frozen most of what they say there (a Windows 11 says 10.0, an iPad says Macintosh), so a short table of
//! the marks that still tell them apart reads as much as there is to read, and no more.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// What kind of device something happened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceClass {
    /// A computer. iPads are among them where they say that they are Macs, as they do by default.
    Desktop,
    /// A phone.
    Mobile,
    /// A tablet.
    Tablet,
    /// A television, a box beside one, or a console.
    Tv,
    /// A program that names itself.
    Bot,
}

impl DeviceClass {
    /// All of them, in the order in which lists show them.
    pub const ALL: [DeviceClass; 5] =
        [DeviceClass::Desktop, DeviceClass::Mobile, DeviceClass::Tablet, DeviceClass::Tv, DeviceClass::Bot];

    /// The name for machines.
    pub fn key(self) -> &'static str {
        match self {
            DeviceClass::Desktop => "desktop",
            DeviceClass::Mobile => "mobile",
            DeviceClass::Tablet => "tablet",
            DeviceClass::Tv => "tv",
            DeviceClass::Bot => "bot",
        }
    }

    /// The class of that [`DeviceClass::key`].
    pub fn from_key(key: &str) -> Option<DeviceClass> {
        DeviceClass::ALL.into_iter().find(|class| class.key() == key)
    }

    /// The name for people.
    pub fn label(self) -> &'static str {
        match self {
            DeviceClass::Desktop => "Desktop",
            DeviceClass::Mobile => "Mobile",
            DeviceClass::Tablet => "Tablet",
            DeviceClass::Tv => "TV",
            DeviceClass::Bot => "Bot",
        }
    }
}

/// What an agent is: `None` where it does not tell. Stored as `desktop|Firefox|124|Windows`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Software<'a> {
    /// The kind of device.
    pub device: Option<DeviceClass>,
    /// The browser's family.
    pub browser: Option<&'a str>,
    /// Its major version.
    pub browser_version: Option<u16>,
    /// The system's family.
    pub system: Option<&'a str>,
}

/// `(mark, family)`: the first mark that the agent holds names the browser, and the number behind the mark its version.
/// Whoever builds on another browser keeps that one's marks, so builders stand before what they build on.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("OPiOS/", "Opera"),
    ("Opera Mini/", "Opera"),
    ("Opera/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("YaBrowser/", "Yandex Browser"),
    ("Vivaldi/", "Vivaldi"),
    ("UCBrowser/", "UC Browser"),
    ("Whale/", "Whale"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("MiuiBrowser/", "MIUI Browser"),
    ("HuaweiBrowser/", "Huawei Browser"),
    ("QQBrowser/", "QQ Browser"),
    ("Silk/", "Amazon Silk"),
    ("MicroMessenger/", "WeChat"),
    ("FBAV/", "Facebook app"),
    ("FBAN/", "Facebook app"),
    ("FB_IAB/", "Facebook app"),
    ("Instagram ", "Instagram app"),
    ("LinkedInApp", "LinkedIn app"),
    ("Snapchat/", "Snapchat app"),
    ("Pinterest/", "Pinterest app"),
    ("BytedanceWebview", "TikTok app"),
    ("musical_ly", "TikTok app"),
    ("Line/", "LINE app"),
    ("GSA/", "Google app"),
    ("FxiOS/", "Firefox"),
    ("Focus/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("; wv)", "Android WebView"),
    ("Chromium/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("MSIE ", "Internet Explorer"),
    ("Trident/", "Internet Explorer"),
    // Safari's own version stands behind `Version/`; what is named Safari and is none has matched before.
    ("Version/", "Safari"),
    ("Safari/", "Safari"),
];

/// `(mark, family)`, the telling ones first.
const SYSTEMS: &[(&str, &str)] = &[
    ("Windows Phone", "Windows Phone"),
    ("Xbox", "Xbox"),
    ("Windows", "Windows"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("iPod", "iOS"),
    ("Apple TV", "tvOS"),
    ("AppleTV", "tvOS"),
    ("Tizen", "Tizen"),
    ("Web0S", "webOS"),
    ("webOS", "webOS"),
    ("KAIOS", "KaiOS"),
    ("HarmonyOS", "HarmonyOS"),
    ("OpenHarmony", "HarmonyOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("PlayStation", "PlayStation"),
    ("Nintendo", "Nintendo"),
    ("Linux", "Linux"),
    ("X11", "Linux"),
];

const TELEVISIONS: &[&str] = &[
    "SmartTV",
    "SMART-TV",
    "Smart TV",
    "Web0S",
    "AppleTV",
    "Apple TV",
    "Android TV",
    "GoogleTV",
    "Google TV",
    "BRAVIA",
    "HbbTV",
    "CrKey",
    "Roku",
    "AFTT",
    "AFTM",
    "AFTS",
    "AFTB",
    "AFTN",
    "AFTR",
    "AFTK",
    "PlayStation",
    "Xbox",
    "Nintendo",
];

impl<'a> Software<'a> {
    /// Reads a user agent.
    pub fn of_agent(agent: &str) -> Software<'static> {
        let browser = BROWSERS.iter().find_map(|&(mark, name)| Some((mark, name, agent.find(mark)?)));
        Software {
            device: device(agent),
            browser: browser.map(|(_, name, _)| name),
            browser_version: browser.and_then(|(mark, _, at)| version(agent, mark, at)),
            system: SYSTEMS.iter().find(|(mark, _)| agent.contains(mark)).map(|&(_, name)| name),
        }
    }

    /// Reads the stored form; what is not understood is not known.
    pub fn read(text: &'a str) -> Software<'a> {
        let mut parts = text.split('|');
        let mut next = || parts.next().unwrap_or("").trim();
        let known = |part: &'a str| (!part.is_empty()).then_some(part);
        let (class, browser, version, system) = (next(), next(), next(), next());
        Software {
            device: DeviceClass::from_key(class),
            browser: known(browser),
            browser_version: version.parse().ok(),
            system: known(system),
        }
    }

    /// The stored form; `None` when nothing is known.
    pub fn text(&self) -> Option<String> {
        if *self == Software::default() {
            return None;
        }
        let mut text = String::new();
        let version = self.browser_version.map(|version| version.to_string()).unwrap_or_default();
        let class = self.device.map_or("", DeviceClass::key);
        // Writing to a String cannot fail.
        let _ = write!(text, "{class}|{}|{version}|{}", self.browser.unwrap_or(""), self.system.unwrap_or(""));
        Some(text)
    }
}

fn device(agent: &str) -> Option<DeviceClass> {
    let says = |mark: &str| agent.contains(mark);
    let is_television = TELEVISIONS.iter().any(|mark| says(mark)) || says("Tizen") && says(" TV");
    if is_television {
        Some(DeviceClass::Tv)
    } else if says("iPad") || says("Tablet") || says("Kindle") || says("Silk/") && !says("Mobile") {
        Some(DeviceClass::Tablet)
    } else if says("iPhone") || says("iPod") || says("Mobi") || says("KAIOS") || says("Windows Phone") {
        Some(DeviceClass::Mobile)
    } else if says("Android") {
        // Phones say `Mobile`: that is how Android's browsers tell tablets from them.
        Some(DeviceClass::Tablet)
    } else if says("Windows") || says("Macintosh") || says("X11") || says("CrOS") || says("Linux") {
        Some(DeviceClass::Desktop)
    } else {
        None
    }
}

fn version(agent: &str, mark: &str, at: usize) -> Option<u16> {
    let behind = |mark: &str, at: usize| {
        let digits = agent.get(at + mark.len()..)?;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok()
    };
    let elsewhere = |mark: &str| behind(mark, agent.find(mark)?);
    match mark {
        // Internet Explorer 11 says its version elsewhere than its name, and so do Opera's last own engine and WebViews.
        "Trident/" => elsewhere("rv:"),
        "Opera/" => elsewhere("Version/").or_else(|| behind(mark, at)),
        "; wv)" => elsewhere("Chrome/"),
        // Safari without a version of its own: the number behind it is its engine's.
        "Safari/" => None,
        mark => behind(mark, at),
    }
}
