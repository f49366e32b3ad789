//! What a command needs and this machine lacks: it is named, installed when we may, and spelled out when we may not.

use crate::process::{self, find_program};
use crate::workspace::Workspace;
use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest Node.js the bundlers run on; Debian 12 ships 18.
const OLDEST_NODE: u32 = 18;

/// Holds `create_main_cluster` while PostgreSQL is installed: without it Debian starts a server of its own, which
/// nobody asked for. A file of ours in this folder, not an edit of the package's own configuration.
const CLUSTER_SETTINGS: &str = "/etc/postgresql-common/createcluster.d/segments-install.conf";

/// A system package that is missing: its Debian name and what we want it for.
type Missing = (&'static str, &'static str);

/// What the assets are built with: the wasm target, Node.js and the npm packages.
///
/// # Errors
/// When something is missing and cannot be installed; the message holds the commands to type.
pub(crate) fn for_assets(workspace: &Workspace) -> Result<()> {
    wasm_target(workspace)?;
    system_packages(&node())?;
    old_node()?;
    npm_packages(&workspace.npm())
}

/// What the server is built with and runs on, beside the assets.
///
/// # Errors
/// As [`for_assets`].
pub(crate) fn for_server(workspace: &Workspace) -> Result<()> {
    let mut missing = node();
    missing.extend(libpq());
    if std::env::var_os("DATABASE_URL").is_none() {
        missing.extend(postgresql());
    }
    // One call of apt for all of it.
    system_packages(&missing)?;
    for_assets(workspace)
}

/// What the tests need, which is everything: they start PostgreSQL themselves and drive a browser.
///
/// # Errors
/// As [`for_assets`].
pub(crate) fn for_tests(workspace: &Workspace) -> Result<()> {
    let mut missing = node();
    missing.extend(libpq());
    missing.extend(postgresql());
    missing.extend(chromium());
    missing.extend(python());
    system_packages(&missing)?;
    for_assets(workspace)?;
    let sdks = workspace.root.join("tests/sdk");
    if sdks.join("package-lock.json").is_file() { npm_packages(&sdks) } else { Ok(()) }
}

/// Whether the compiler's own sources are here, from which the tracker's core gets a standard library built for size.
pub(crate) fn has_rust_source(workspace: &Workspace) -> Result<bool> {
    Ok(sysroot(workspace)?.join("lib/rustlib/src/rust/library/Cargo.lock").is_file())
}

fn wasm_target(workspace: &Workspace) -> Result<()> {
    let rustup = |arguments: &[&str]| {
        let mut command = Command::new("rustup");
        command.current_dir(&workspace.root).args(arguments);
        command
    };
    if !sysroot(workspace)?.join("lib/rustlib/wasm32-unknown-unknown/lib").is_dir() {
        say("Rust's wasm32-unknown-unknown target", "the tracker's core is compiled for it");
        if find_program("rustup").is_none() {
            bail!("rustup is not installed; add the wasm32-unknown-unknown target of this Rust by hand");
        }
        process::quiet("rustup target add", &mut rustup(&["target", "add", "wasm32-unknown-unknown"]))?;
    }
    if !has_rust_source(workspace)? {
        say("Rust's sources (rust-src)", "with them the tracker gets a fifth smaller");
        if let Err(error) = process::quiet("rustup component add", &mut rustup(&["component", "add", "rust-src"])) {
            eprintln!(
                "   without them, as it seems: the tracker is built on the standard library as shipped ({error:#})"
            );
        }
    }
    Ok(())
}

fn sysroot(workspace: &Workspace) -> Result<PathBuf> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let answer = process::output(rustc.current_dir(&workspace.root).args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(answer.trim_end()))
}

fn node() -> Vec<Missing> {
    let mut missing = Vec::new();
    if find_program("node").is_none() {
        missing.push(("nodejs", "Node.js runs the bundlers of styles and scripts"));
    }
    if find_program("npm").is_none() {
        missing.push(("npm", "npm installs the bundlers, Bulma, htmx and ECharts"));
    }
    missing
}

/// A clear word now is better than a syntax error from the middle of a bundler.
fn old_node() -> Result<()> {
    let version = process::output(Command::new("node").arg("--version"))?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= OLDEST_NODE => Ok(()),
        _ => bail!("Node.js is {}, the bundlers need {OLDEST_NODE} or later; install a newer one", version.trim_end()),
    }
}

fn libpq() -> Option<Missing> {
    let has_library = |folder: &str| {
        ["libpq.so", "libpq.dylib", "libpq.a"].iter().any(|name| Path::new(folder.trim()).join(name).is_file())
    };
    let configured = std::env::var_os("PQ_LIB_DIR").is_some();
    let by_pkg_config = || process::output(Command::new("pkg-config").args(["--exists", "libpq"])).is_ok();
    let by_pg_config = || process::output(Command::new("pg_config").arg("--libdir")).is_ok_and(|dir| has_library(&dir));
    let found = configured || by_pkg_config() || by_pg_config();
    (!found).then_some(("libpq-dev", "the server is linked with PostgreSQL's client library"))
}

fn postgresql() -> Option<Missing> {
    let server = |folder: &Path| folder.join("postgres").is_file() && folder.join("initdb").is_file();
    let by_config = || process::output(Command::new("pg_config").arg("--bindir")).ok().map(|dir| dir.trim().into());
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = std::env::var_os("SEGMENTS_PG_BIN").map(PathBuf::from).is_some_and(|folder| server(&folder))
        || debian.map(|version| version.path().join("bin")).any(|folder| server(&folder))
        || by_config().is_some_and(|folder: PathBuf| server(&folder))
        || find_program("postgres").zip(find_program("initdb")).is_some();
    (!found).then_some(("postgresql", "Segments keeps everything in a PostgreSQL that it runs itself"))
}

fn chromium() -> Option<Missing> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let found = names.iter().any(|name| find_program(name).is_some());
    (!found).then_some(("chromium", "the end-to-end tests look at the pages with a real browser"))
}

/// Debian keeps what makes an environment apart from Python itself.
fn python() -> Option<Missing> {
    let makes_environments = process::output(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_ok();
    (!makes_environments).then_some(("python3-venv", "the tests drive SDKs for Python, in an environment of their own"))
}

/// Installs what is missing through apt, as root; otherwise tells what to type.
fn system_packages(missing: &[Missing]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|(package, _)| *package).collect();
    let wants: Vec<String> = missing.iter().map(|(package, why)| format!("  {package}: {why}")).collect();
    let is_root = process::output(Command::new("id").arg("-u"))?.trim_end() == "0";
    if find_program("apt-get").is_none() {
        bail!(
            "missing on this machine:\n{}\ninstall what your system calls these Debian packages, and run this again",
            wants.join("\n")
        );
    }
    if !is_root {
        bail!("missing on this machine:\n{}\n{}", wants.join("\n"), commands_to_type(&packages));
    }
    for (package, why) in missing {
        say(&format!("the system package {package}"), why);
    }
    let _settings = packages.contains(&"postgresql").then(ClusterSettings::write).transpose()?;
    apt(&["update"], None)?;
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(&packages);
    if let Err(error) = apt(&install, None) {
        // A maintainer script that cannot run programs in /tmp leaves dpkg half-way; another folder lets it finish.
        eprintln!("   {error:#}; once more with TMPDIR=/var/tmp");
        let elsewhere = Some(Path::new("/var/tmp"));
        apt(&["install", "--fix-broken", "--yes"], elsewhere)?;
        apt(&install, elsewhere)?;
    }
    Ok(())
}

/// The commands for someone who is not root.
fn commands_to_type(packages: &[&str]) -> String {
    let mut text = "you are not root, so install it yourself and run this again:\n".to_owned();
    if packages.contains(&"postgresql") {
        let folder = Path::new(CLUSTER_SETTINGS).parent().unwrap_or(Path::new("/")).display();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  sudo mkdir -p {folder}");
        let _ = writeln!(text, "  echo 'create_main_cluster = false' | sudo tee {CLUSTER_SETTINGS}");
    }
    let _ = write!(
        text,
        "  sudo apt-get update && sudo apt-get install --yes --no-install-recommends {}",
        packages.join(" ")
    );
    if packages.contains(&"postgresql") {
        let _ = write!(text, "\n  sudo rm {CLUSTER_SETTINGS}");
    }
    text
}

fn apt(arguments: &[&str], temporary: Option<&Path>) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.arg("--quiet").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    if let Some(folder) = temporary {
        command.env("TMPDIR", folder);
    }
    process::quiet(&format!("apt-get {}", arguments[0]), &mut command)
}

/// The setting that keeps Debian from starting a cluster of its own, for as long as we install.
struct ClusterSettings;

impl ClusterSettings {
    fn write() -> Result<Self> {
        let path = Path::new(CLUSTER_SETTINGS);
        let folder = path.parent().context("the settings have no folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        std::fs::write(path, "create_main_cluster = false\n")
            .with_context(|| format!("cannot write {CLUSTER_SETTINGS}"))?;
        Ok(ClusterSettings)
    }
}

impl Drop for ClusterSettings {
    fn drop(&mut self) {
        // Whoever installs another PostgreSQL later shall find Debian's own ways.
        if let Err(error) = std::fs::remove_file(CLUSTER_SETTINGS) {
            eprintln!("cannot remove {CLUSTER_SETTINGS}: {error}; it keeps Debian from making a cluster");
        }
    }
}

/// Installs exactly what the lock file says, unless that is what is there.
fn npm_packages(folder: &Path) -> Result<()> {
    let lock_file = folder.join("package-lock.json");
    let lock = std::fs::read(&lock_file).with_context(|| format!("cannot read {}", lock_file.display()))?;
    let wanted = crate::assets::hex(&Sha256::digest(&lock));
    let stamp = folder.join("node_modules/.installed-from");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let name = folder.strip_prefix(std::env::current_dir().unwrap_or_default()).unwrap_or(folder).display();
    say(&format!("the npm packages of {name}"), "as its package-lock.json names them");
    process::quiet("npm ci", Command::new("npm").arg("ci").current_dir(folder))?;
    std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// One line for each thing that gets installed: what, and why.
fn say(what: &str, why: &str) {
    eprintln!("installing {what}: {why}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_install_is_told_the_commands_for_exactly_what_is_missing() {
        let text = commands_to_type(&["libpq-dev", "nodejs"]);
        assert!(text.ends_with("--no-install-recommends libpq-dev nodejs"), "{text}");
        assert!(!text.contains("create_main_cluster"), "{text}");
    }

    #[test]
    fn postgresql_is_never_installed_without_the_setting_that_keeps_debian_from_starting_it() {
        let text = commands_to_type(&["postgresql"]);
        let setting = text.find("create_main_cluster = false").expect("the setting");
        assert!(setting < text.find("apt-get install").expect("the installation"), "{text}");
    }
}
