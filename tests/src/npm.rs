//! Programs for Node.js in `tests/sdk`, with the real SDKs from npm.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

/// The folder of the npm packages, installed as the lock file says.
///
/// # Panics
/// When npm is missing or cannot install them.
pub fn folder() -> PathBuf {
    static INSTALLED: Once = Once::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
    INSTALLED.call_once(|| {
        let changed = |name: &str| folder.join(name).metadata().and_then(|meta| meta.modified()).ok();
        let installed = changed("node_modules/.package-lock.json");
        if installed.is_some() && installed >= changed("package-lock.json") {
            return;
        }
        let output = Command::new("npm").args(["ci", "--silent"]).current_dir(&folder).output();
        let output = output.expect("npm runs; the tests with real SDKs need Node.js 20");
        assert!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
    });
    folder
}

/// A file of a package.
pub fn file(path: &str) -> String {
    let path = folder().join("node_modules").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file of a package that is not installed, because what it depends on is a whole server: only its archive is taken,
/// with the hash that the registry has for it.
///
/// # Panics
/// When npm cannot have it, or it is another one.
pub fn file_of_archive(package: &str, integrity: &str, path: &str) -> Vec<u8> {
    let folder = folder().join("node_modules/.archives");
    std::fs::create_dir_all(&folder).expect("a folder for archives");
    // Once it has been found to be the right one, it is kept under a name of ours.
    let archive = folder.join(format!("{package}.tgz"));
    if !archive.is_file() {
        let pack = ["pack", "--json", "--silent", package];
        let output = Command::new("npm").args(pack).current_dir(&folder).output().expect("npm runs");
        assert!(output.status.success(), "npm pack {package}: {}", String::from_utf8_lossy(&output.stderr));
        let told: Value = serde_json::from_slice(&output.stdout).expect("what npm tells of the archive");
        assert_eq!(told[0]["integrity"], integrity, "{package} is another one");
        let made = folder.join(told[0]["filename"].as_str().expect("the archive's name"));
        std::fs::rename(made, &archive).expect("the archive is kept");
    }
    let output = Command::new("tar").arg("-xOzf").arg(&archive).arg(path).output().expect("tar runs");
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs a program of the folder with these environment variables; what it prints is JSON.
///
/// # Panics
/// When it fails or takes longer than a minute.
#[track_caller]
pub fn run(program: &str, environment: &[(&str, &str)]) -> Value {
    crate::program::run(program, Command::new("node").arg(folder().join(program)).envs(environment.iter().copied()))
}
