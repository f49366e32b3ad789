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

/// Runs a program of the folder with these environment variables; what it prints is JSON.
///
/// # Panics
/// When it fails or takes longer than a minute.
#[track_caller]
pub fn run(program: &str, environment: &[(&str, &str)]) -> Value {
    crate::program::run(program, Command::new("node").arg(folder().join(program)).envs(environment.iter().copied()))
}
