//! `cargo xtask assets`: everything a browser loads, ready to be embedded by `collector/build.rs`.
//!
//! `target/assets` holds each file, its brotli form beside it (`t.js.br`), `manifest.json` for programs that read, and
//! `assets.rs`, the same table as a Rust expression for the server's build. The tracker, the dashboard's files and the
//! lists that the server looks things up in (`target/assets/lists`, which no browser loads) are parts, built apart and
//! only when something they are made of has changed.

use crate::process;
use crate::workspace::Workspace;
use crate::{install, lists, package, styles, tracker};
use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use clap::Args;
use serde_json::json;
use sha2::{Digest as _, Sha256, Sha384};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What `cargo xtask assets` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Build again even if nothing has changed.
    #[arg(long)]
    force: bool,
}

/// One file that browsers load.
pub(crate) struct Asset {
    /// What the server's code calls it, `app.css`.
    name: String,
    /// What it is called in URLs, `app.1f2e3d4c5b6a.css` when it may be cached for ever.
    file: String,
    /// For `Content-Type`.
    content_type: &'static str,
    /// For `integrity=`: `sha384-…`.
    integrity: String,
    bytes: usize,
    brotli_bytes: usize,
}

impl Asset {
    /// Whether the name changes with the content.
    fn immutable(&self) -> bool {
        self.name != self.file
    }
}

/// All that was built.
pub(crate) struct Assets {
    /// By name.
    files: Vec<Asset>,
    /// One sentence for each size budget that is exceeded.
    over_budget: Vec<String>,
}

/// A part as it was built: kept as JSON until its inputs change.
struct Built {
    /// Each file's name for the server's code and in URLs.
    files: Vec<(String, String)>,
    over_budget: Vec<String>,
}

/// The independent parts of the assets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Tracker,
    Dashboard,
    Lists,
}

impl Part {
    const ALL: [Part; 3] = [Part::Tracker, Part::Dashboard, Part::Lists];

    fn name(self) -> &'static str {
        match self {
            Part::Tracker => "tracker",
            Part::Dashboard => "dashboard",
            Part::Lists => "server",
        }
    }

    /// What it is made of: files, and folders with all they hold.
    fn inputs(self) -> &'static [&'static str] {
        match self {
            Part::Tracker => &[
                "Cargo.lock",
                "Cargo.toml",
                "rust-toolchain.toml",
                "tracker-wasm/Cargo.toml",
                "tracker-wasm/loader",
                "tracker-wasm/src",
                "wire/Cargo.toml",
                "wire/src",
                "xtask/npm/package-lock.json",
                "xtask/src/assets.rs",
                "xtask/src/tracker.rs",
            ],
            Part::Dashboard => &[
                "dashboard/assets",
                "dashboard/src",
                "dashboard/templates",
                "xtask/npm/package-lock.json",
                "xtask/src/assets.rs",
                "xtask/src/styles.rs",
            ],
            Part::Lists => &["xtask/npm/package-lock.json", "xtask/src/assets.rs", "xtask/src/lists.rs"],
        }
    }

    /// Builds it into `folder`.
    fn build(self, workspace: &Workspace, folder: &Path) -> Result<Built> {
        let node_modules = workspace.npm().join("node_modules");
        match self {
            Part::Tracker => {
                let built = tracker::build(&workspace.root, &node_modules, folder)?;
                for file in [&built.loader, &built.capture, &built.consent, &built.core, &built.debugger] {
                    println!("   {}: {} bytes, {} brotli, {}", file.name, file.raw, file.brotli, file.integrity);
                }
                let files = vec![
                    ("t.js".to_owned(), built.loader.name.clone()),
                    ("capture.js".to_owned(), built.capture.name.clone()),
                    ("consent.js".to_owned(), built.consent.name.clone()),
                    ("core.wasm".to_owned(), built.core.name.clone()),
                    ("debug.js".to_owned(), built.debugger.name.clone()),
                ];
                Ok(Built { files, over_budget: built.over_budget() })
            }
            Part::Dashboard => {
                let files = styles::build(&workspace.root, &node_modules, folder)?;
                Ok(Built { files, over_budget: Vec::new() })
            }
            Part::Lists => {
                lists::build(&node_modules, folder)?;
                Ok(Built { files: Vec::new(), over_budget: Vec::new() })
            }
        }
    }
}

/// The command: installs what is missing, builds, and prints what each file weighs.
///
/// # Errors
/// When something cannot be installed or built, or a size budget is exceeded.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    install::for_assets(workspace)?;
    if options.force {
        for part in Part::ALL {
            match fs::remove_file(stamp_file(workspace, part)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).context("cannot forget what was built");
                }
                _ => {}
            }
        }
    }
    package::write_types(&workspace.root)?;
    report(&build(workspace)?)
}

/// Builds what has changed; what is needed for that must be installed.
///
/// # Errors
/// When a part cannot be built or a file not written.
pub(crate) fn build(workspace: &Workspace) -> Result<Assets> {
    fs::create_dir_all(workspace.assets()).context("cannot create target/assets")?;
    // Two commands at once would write the same files.
    let lock = File::create(workspace.root.join("target/assets.lock")).context("cannot create target/assets.lock")?;
    if lock.try_lock().is_err() {
        println!("waiting for another `cargo xtask` that builds the assets");
        lock.lock().context("cannot lock target/assets.lock")?;
    }
    let mut assets = Vec::new();
    let mut over_budget = Vec::new();
    for part in Part::ALL {
        let folder = workspace.root.join("target/assets-parts").join(part.name());
        let built = up_to_date(workspace, part, &folder)?;
        over_budget.extend(built.over_budget);
        for (name, file) in built.files {
            assets.push(publish(workspace, &folder, name, file)?);
        }
        if part == Part::Tracker {
            // For owners who pin the loader with `integrity=`: the same file under a name that never changes meaning.
            let loader = fs::read(folder.join("t.js")).context("the tracker was built without t.js")?;
            let file = format!("t.{}.js", &hex(&Sha256::digest(&loader))[..12]);
            fs::copy(folder.join("t.js"), folder.join(&file)).context("cannot copy t.js")?;
            assets.push(publish(workspace, &folder, "t.pinned.js".to_owned(), file)?);
        }
        if part == Part::Lists {
            lay_lists(workspace, &folder)?;
        }
    }
    over_budget.extend(package::over_budget(&workspace.root, &workspace.npm().join("node_modules"))?);
    assets.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(twins) = assets.windows(2).find(|pair| pair[0].name == pair[1].name) {
        bail!("two assets are named {}", twins[0].name);
    }
    write_tables(workspace, &assets)?;
    remove_leftovers(workspace, &assets)?;
    Ok(Assets { files: assets, over_budget })
}

/// Prints each file's sizes and holds the budgets.
///
/// # Errors
/// When a budget is exceeded; all of them are named.
pub(crate) fn report(assets: &Assets) -> Result<()> {
    println!("{:<44} {:>10} {:>10}", "asset", "bytes", "brotli");
    for asset in &assets.files {
        println!("{:<44} {:>10} {:>10}", asset.file, asset.bytes, asset.brotli_bytes);
    }
    if assets.over_budget.is_empty() {
        println!("all size budgets are held");
        Ok(())
    } else {
        bail!("size budgets are exceeded: {}", assets.over_budget.join("; "))
    }
}

/// Prints what the tracker weighs where only the toolchain's own standard library is at hand, and holds its budget.
///
/// # Errors
/// When it cannot be built or is too large.
pub(crate) fn report_plain_tracker(workspace: &Workspace, assets: &Assets) -> Result<()> {
    let core = tracker::plain_core_size(&workspace.root, &workspace.npm().join("node_modules"))?;
    let scripts: usize = assets
        .files
        .iter()
        .filter(|asset| ["t.js", "capture.js"].contains(&&*asset.name))
        .map(|a| a.brotli_bytes)
        .sum();
    let (total, limit) = (scripts + core, tracker::PLAIN_TOTAL_BUDGET);
    println!("on the toolchain's own std: core {core} bytes brotli, together {total}, limit {limit}");
    ensure!(total <= limit, "size budgets are exceeded: the tracker on the toolchain's own std");
    Ok(())
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Builds a part into `folder` unless its inputs are what they were.
fn up_to_date(workspace: &Workspace, part: Part, folder: &Path) -> Result<Built> {
    let inputs = inputs_hash(workspace, part)?;
    if let Some(built) = built_before(workspace, part, folder, &inputs) {
        return Ok(built);
    }
    println!("building the {}'s assets", part.name());
    let start = Instant::now();
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let built = part.build(workspace, folder).with_context(|| format!("cannot build the {}'s assets", part.name()))?;
    // The hash is of the inputs as they were before: an edit during the build makes the next one build again.
    let stamp = json!({ "inputs": inputs, "files": built.files, "over_budget": built.over_budget });
    write(&stamp_file(workspace, part), stamp.to_string().as_bytes())?;
    println!("   built in {:.1} s", start.elapsed().as_secs_f64());
    Ok(built)
}

/// An earlier build from the same inputs whose files are all still there.
fn built_before(workspace: &Workspace, part: Part, folder: &Path, inputs: &str) -> Option<Built> {
    let stamp = fs::read(stamp_file(workspace, part)).ok()?;
    let mut stamp: serde_json::Value = serde_json::from_slice(&stamp).ok()?;
    if stamp["inputs"] != inputs {
        return None;
    }
    let files: Vec<(String, String)> = serde_json::from_value(stamp["files"].take()).ok()?;
    let over_budget = serde_json::from_value(stamp["over_budget"].take()).ok()?;
    let lists: &[&str] = if part == Part::Lists { &lists::FILES } else { &[] };
    let mut names = files.iter().map(|(_, file)| file.as_str()).chain(lists.iter().copied());
    names.all(|file| folder.join(file).is_file()).then_some(Built { files, over_budget })
}

fn stamp_file(workspace: &Workspace, part: Part) -> PathBuf {
    workspace.root.join(format!("target/assets-parts/{}.json", part.name()))
}

/// One hash over the names and contents of all that a part is made of.
fn inputs_hash(workspace: &Workspace, part: Part) -> Result<String> {
    let mut hash = Sha256::new();
    if part == Part::Tracker {
        hash.update(process::output(process::cargo(&workspace.root).arg("--version"))?);
        hash.update([u8::from(install::has_rust_source(workspace)?)]);
    }
    for input in part.inputs() {
        let path = workspace.root.join(input);
        if path.exists() {
            hash_tree(&workspace.root, &path, &mut hash)?;
        }
    }
    Ok(hex(&hash.finalize()))
}

fn hash_tree(root: &Path, path: &Path, hash: &mut Sha256) -> Result<()> {
    if path.is_dir() {
        if path.ends_with("node_modules") {
            return Ok(());
        }
        let mut entries = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>())
            .with_context(|| format!("cannot list {}", path.display()))?;
        entries.sort();
        return entries.iter().try_for_each(|entry| hash_tree(root, entry, hash));
    }
    let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
    // The length between them keeps a name from running over into a content.
    hash.update(name.as_bytes());
    hash.update((content.len() as u64).to_be_bytes());
    hash.update(&content);
    Ok(())
}

/// Lays a built file and its brotli form into `target/assets`.
fn publish(workspace: &Workspace, folder: &Path, name: String, file: String) -> Result<Asset> {
    let bytes = fs::read(folder.join(&file)).with_context(|| format!("cannot read the built {file}"))?;
    let place = workspace.assets().join(&file);
    let compressed_place = workspace.assets().join(format!("{file}.br"));
    // Compressing at level 11 takes seconds for the charts: only what has changed.
    let compressed = match fs::read(&compressed_place) {
        Ok(compressed) if fs::read(&place).is_ok_and(|published| published == bytes) => compressed,
        _ => {
            let compressed = brotli(&bytes).with_context(|| format!("cannot compress {file}"))?;
            // The file itself last: it vouches for its compressed form.
            write(&compressed_place, &compressed)?;
            write(&place, &bytes)?;
            compressed
        }
    };
    Ok(Asset {
        content_type: content_type(&file)?,
        integrity: format!("sha384-{}", base64::engine::general_purpose::STANDARD.encode(Sha384::digest(&bytes))),
        bytes: bytes.len(),
        brotli_bytes: compressed.len(),
        name,
        file,
    })
}

/// Lays the lists beside what browsers load; one that has not changed keeps its date, and with it the server its build.
fn lay_lists(workspace: &Workspace, folder: &Path) -> Result<()> {
    let lists = workspace.assets().join("lists");
    fs::create_dir_all(&lists).with_context(|| format!("cannot create {}", lists.display()))?;
    for file in lists::FILES {
        let content = fs::read(folder.join(file)).with_context(|| format!("cannot read the built {file}"))?;
        write_if_changed(&lists.join(file), &content)?;
    }
    Ok(())
}

fn brotli(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    // Level 11 with a window of 4 MiB, larger than any of our files.
    let mut compressor = brotli::CompressorWriter::new(Vec::new(), 64 * 1024, 11, 22);
    compressor.write_all(bytes)?;
    Ok(compressor.into_inner())
}

fn content_type(file: &str) -> Result<&'static str> {
    Ok(match file.rsplit('.').next().unwrap_or_default() {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => bail!("no content type is known for {file}; add its ending to xtask/src/assets.rs"),
    })
}

/// Writes `manifest.json`, and `assets.rs` for the server's build.
fn write_tables(workspace: &Workspace, assets: &[Asset]) -> Result<()> {
    let manifest: serde_json::Map<String, serde_json::Value> = assets
        .iter()
        .map(|asset| {
            let entry = json!({
                "file": asset.file,
                "type": asset.content_type,
                "immutable": asset.immutable(),
                "integrity": asset.integrity,
                "bytes": asset.bytes,
                "brotli_bytes": asset.brotli_bytes,
            });
            (asset.name.clone(), entry)
        })
        .collect();
    let manifest = serde_json::to_string_pretty(&manifest).context("cannot write the manifest as JSON")?;
    write_if_changed(&workspace.assets().join("manifest.json"), manifest.as_bytes())?;

    // `collector/build.rs` takes this as it is, so that the build script needs no JSON parser.
    let mut table = "&[\n".to_owned();
    for asset in assets {
        // Writing to a String cannot fail; `{:?}` of these texts is a Rust literal.
        let _ = writeln!(
            table,
            "    Asset {{ name: {:?}, file: {:?}, content_type: {:?}, immutable: {:?}, integrity: {:?}, \
             bytes: include_bytes!(concat!(env!(\"SEGMENTS_ASSETS_FOLDER\"), \"/\", {:?})), \
             brotli: include_bytes!(concat!(env!(\"SEGMENTS_ASSETS_FOLDER\"), \"/\", {:?})) }},",
            asset.name,
            asset.file,
            asset.content_type,
            asset.immutable(),
            asset.integrity,
            asset.file,
            format!("{}.br", asset.file),
        );
    }
    table.push_str("]\n");
    write_if_changed(&workspace.assets().join("assets.rs"), table.as_bytes())
}

/// Files of earlier builds go, so that what is embedded is what was built.
fn remove_leftovers(workspace: &Workspace, assets: &[Asset]) -> Result<()> {
    let mut expected: BTreeSet<String> = ["manifest.json".to_owned(), "assets.rs".to_owned()].into();
    expected.extend(assets.iter().flat_map(|asset| [asset.file.clone(), format!("{}.br", asset.file)]));
    let folder = workspace.assets();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        let is_expected = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| expected.contains(name));
        if path.is_file() && !is_expected {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// An unchanged table keeps its date, and with it the server its build.
fn write_if_changed(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) { Ok(()) } else { write(path, content) }
}

/// Writes beside and renames, so that a build going on at the same time never reads half a file.
fn write(path: &Path, content: &[u8]) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, content)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exceeded_budget_is_an_error_that_names_it() {
        let assets = |over_budget| Assets { files: Vec::new(), over_budget };
        report(&assets(Vec::new())).expect("nothing is too large");
        let error = report(&assets(vec!["t.js: 3585 bytes brotli, limit 3584".to_owned()])).unwrap_err();
        assert_eq!(error.to_string(), "size budgets are exceeded: t.js: 3585 bytes brotli, limit 3584");
    }

    #[test]
    fn a_part_is_built_again_when_a_file_of_it_changes_its_name_or_content() {
        let folder = std::env::temp_dir().join(format!("segments-inputs-{}", std::process::id()));
        fs::create_dir_all(folder.join("a/node_modules")).unwrap();
        let hash = || {
            let mut hash = Sha256::new();
            hash_tree(&folder, &folder, &mut hash).unwrap();
            hex(&hash.finalize())
        };
        fs::write(folder.join("a/one.js"), "1").unwrap();
        let first = hash();
        fs::write(folder.join("a/node_modules/other.js"), "2").unwrap();
        assert_eq!(hash(), first, "npm's folder is described by the lock file");
        fs::write(folder.join("a/one.js"), "2").unwrap();
        let second = hash();
        assert_ne!(second, first);
        fs::rename(folder.join("a/one.js"), folder.join("a/two.js")).unwrap();
        assert_ne!(hash(), second);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_compressed_file_is_the_file() {
        let text = b"segments ".repeat(1_000);
        let compressed = brotli(&text).unwrap();
        assert!(compressed.len() < 100, "{}", compressed.len());
        let mut back = Vec::new();
        brotli::BrotliDecompress(&mut compressed.as_slice(), &mut back).unwrap();
        assert_eq!(back, text);
    }

    #[test]
    fn an_unknown_ending_is_not_guessed() {
        assert_eq!(content_type("core.1f2e.wasm").unwrap(), "application/wasm");
        assert!(content_type("notes.docx").is_err());
    }
}
