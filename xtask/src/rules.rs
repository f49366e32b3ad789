//! Who may know whom: the crates' own borders, proven with `cargo tree`, the manifests and the sources.

use crate::process::{self, cargo};
use crate::workspace::Workspace;
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What each crate of the workspace may depend on among the others, tests and build scripts included.
const MAY_KNOW: [(&str, &[&str]); 7] = [
    ("wire", &[]),
    ("domain", &[]),
    ("dashboard", &["domain"]),
    ("tracker-wasm", &["domain", "wire"]),
    ("collector", &["dashboard", "domain", "wire"]),
    ("tests", &["collector", "dashboard", "domain", "wire"]),
    ("xtask", &["wire"]),
];

/// The crates that are values and functions only.
const PURE: [&str; 3] = ["wire", "domain", "dashboard"];

/// Starts of the names of crates that bring a database, a runtime or the network.
const IMPURE_CRATES: [&str; 16] = [
    "actix",
    "async-std",
    "diesel",
    "futures-timer",
    "hyper",
    "lettre",
    "libpq",
    "mio",
    "openssl",
    "pq-sys",
    "reqwest",
    "rustls",
    "socket2",
    "sqlx",
    "tokio",
    "ureq",
];

/// What reads the clock, draws lots or leaves the process. `cargo tree` cannot see these, the standard library has them.
const IMPURE_CALLS: [&str; 9] = [
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "TimeZone::system",
    "std::net",
    "std::process",
    "std::env::",
    "getrandom",
];

/// Checks all borders.
///
/// # Errors
/// When one is crossed; each crossing is named.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut broken = members(workspace);
    for name in PURE {
        broken.extend(reached(name, &tree(workspace, name)?));
        sources(&workspace.root.join(name).join("src"), &mut |path, text| {
            broken.extend(impure_lines(text).map(|line| format!("{}:{line}", path.display())));
        })?;
    }
    if !broken.is_empty() {
        bail!("borders between crates are crossed:\n  {}", broken.join("\n  "));
    }
    println!("borders: {} reach no database, no clock and no network", PURE.join(", "));
    Ok(())
}

/// The workspace's own crates against [`MAY_KNOW`].
fn members(workspace: &Workspace) -> Vec<String> {
    let mut broken = Vec::new();
    for member in &workspace.members {
        match MAY_KNOW.iter().find(|(name, _)| *name == member.name) {
            None => broken.push(format!("{} is in no rule; say in xtask/src/rules.rs whom it may know", member.name)),
            Some((name, may_know)) => broken.extend(
                member
                    .knows
                    .iter()
                    .filter(|known| !may_know.contains(&known.as_str()))
                    .map(|known| format!("{name} depends on {known}")),
            ),
        }
    }
    broken
}

/// The names of all crates that one crate is built with (not those of its tests).
fn tree(workspace: &Workspace, name: &str) -> Result<BTreeSet<String>> {
    let listing = process::output(cargo(&workspace.root).args([
        "tree",
        "--locked",
        "--package",
        name,
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{lib}",
    ]))?;
    // A library's name has underscores where its package's has hyphens.
    let names: BTreeSet<String> = listing
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(|library| library.replace('_', "-"))
        .collect();
    // A rule over an empty list would hold for ever.
    if !names.contains(name) { bail!("`cargo tree` of {name} does not list {name} itself") } else { Ok(names) }
}

fn reached(name: &str, tree: &BTreeSet<String>) -> Vec<String> {
    tree.iter()
        .filter(|known| IMPURE_CRATES.iter().any(|impure| known.starts_with(impure)))
        .map(|known| format!("{name} reaches {known}; `cargo tree -p {name} -i {known}` shows how"))
        .collect()
}

/// Hands each Rust file of a folder to `look`.
fn sources(folder: &Path, look: &mut dyn FnMut(&Path, &str)) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if path.is_dir() {
            sources(&path, look)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            look(&path, &text);
        }
    }
    Ok(())
}

/// The lines, comments aside, that call what a pure crate must be given as an argument.
fn impure_lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let code = line.split("//").next().unwrap_or_default();
        let call = IMPURE_CALLS.iter().find(|call| code.contains(*call))?;
        Some(format!("{} calls {call}; take it as an argument", index + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Member;
    use std::path::PathBuf;

    fn workspace(name: &str, knows: &[&str]) -> Workspace {
        let knows = knows.iter().map(|&known| known.to_owned()).collect();
        let member = Member { name: name.to_owned(), knows, tests: Vec::new(), programs: Vec::new() };
        Workspace { root: PathBuf::new(), target: PathBuf::new(), members: vec![member] }
    }

    #[test]
    fn a_dependency_that_no_rule_grants_is_named() {
        assert_eq!(members(&workspace("dashboard", &["domain"])), [] as [&str; 0]);
        assert_eq!(members(&workspace("domain", &["wire"])), ["domain depends on wire"]);
        assert_eq!(members(&workspace("mailer", &[])).len(), 1, "a new crate has to be given a rule");
    }

    #[test]
    fn a_database_anywhere_below_a_pure_crate_is_named() {
        let tree = ["domain", "serde", "diesel-derives", "tokio"].map(str::to_owned).into();
        let found = reached("domain", &tree);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn reading_the_clock_is_seen_and_speaking_of_it_is_not() {
        let text = "// Instant::now is the caller's\nlet now = jiff::Timestamp::now();\n";
        assert_eq!(impure_lines(text).collect::<Vec<_>>(), ["2 calls Timestamp::now; take it as an argument"]);
    }
}
