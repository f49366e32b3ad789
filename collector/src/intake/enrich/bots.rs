//! How much speaks for a program instead of a person behind a user agent, 0 to 100.

use anyhow::Context as _;
use regex::{Regex, RegexBuilder};

/// It says so itself, or is in the list of crawlers.
pub(super) const CERTAIN: u8 = 90;
/// A known crawler.
const CRAWLER: u8 = 100;
/// A browser that a program drives.
const DRIVEN: u8 = 95;
/// A word that crawlers use of themselves, in an agent that is in no list.
const CALLS_ITSELF_ONE: u8 = 90;
/// A library that programs speak HTTP with: a crawler, or an app or a server that sends with a public key. Below the
/// limit that sites begin with, because the second is a customer.
const LIBRARY: u8 = 40;
/// No agent at all. Every browser has one; apps and servers need not.
pub(super) const NO_AGENT: u8 = 30;
/// Shorter than any browser's, and no word of it is known.
const SHORT: u8 = 20;
/// It came from a referrer that only wants to be seen in statistics.
pub(super) const SPAM_REFERRER: u8 = 100;

/// No browser's agent is shorter.
const SHORTEST_AGENT: usize = 24;

/// Marks of browsers that programs drive, in small letters.
const DRIVERS: [&str; 8] =
    ["headless", "phantomjs", "puppeteer", "playwright", "selenium", "webdriver", "cypress", "jsdom"];

/// Words that crawlers use of themselves, in small letters. Each has to end there: `bot` is none in `bottom`, and Cubot
/// builds phones.
const NAMES: [&str; 5] = ["bot", "crawler", "spider", "scraper", "slurp"];

/// The published list of crawlers.
pub(super) struct Crawlers {
    crawlers: Option<Regex>,
    libraries: Option<Regex>,
}

impl Crawlers {
    /// Reads the list as `cargo xtask assets` writes it: `crawler` or `library`, a tab, a regular expression, by line.
    pub(super) fn read(list: &str) -> anyhow::Result<Crawlers> {
        let of = |kind: &str| {
            let patterns: Vec<String> = list
                .lines()
                .filter_map(|line| line.split_once('\t'))
                .filter(|(known, _)| *known == kind)
                // JavaScript's expressions escape slashes, which are nothing special here.
                .map(|(_, pattern)| format!("(?:{})", pattern.replace("\\/", "/")))
                .collect();
            if patterns.is_empty() {
                return Ok(None);
            }
            let regex = RegexBuilder::new(&patterns.join("|")).size_limit(64 << 20).dfa_size_limit(8 << 20).build();
            regex.map(Some).with_context(|| format!("the list of crawlers ({kind}) cannot be read"))
        };
        Ok(Crawlers { crawlers: of("crawler")?, libraries: of("library")? })
    }

    /// The score of an agent. A search through the whole list: to be asked once per agent, not per event.
    pub(super) fn score(&self, agent: &str) -> u8 {
        let small = agent.to_ascii_lowercase();
        let matches = |list: &Option<Regex>| list.as_ref().is_some_and(|list| list.is_match(agent));
        if DRIVERS.iter().any(|mark| small.contains(mark)) {
            DRIVEN
        } else if matches(&self.crawlers) {
            CRAWLER
        } else if calls_itself_one(&small) {
            CALLS_ITSELF_ONE
        } else if matches(&self.libraries) {
            LIBRARY
        } else if agent.len() < SHORTEST_AGENT {
            SHORT
        } else {
            0
        }
    }
}

fn calls_itself_one(small: &str) -> bool {
    NAMES.iter().any(|name| {
        small.match_indices(name).any(|(at, _)| {
            let behind = small[at + name.len()..].chars().next();
            let is_phone = *name == "bot" && small[..at].ends_with("cu");
            behind.is_none_or(|c| !c.is_ascii_alphabetic()) && !is_phone
        })
    })
}
