//! Programs for Python in `tests/sdk`, with the real SDKs from PyPI.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

/// The interpreter of an environment that has exactly what `requirements.txt` names, each file with its hash.
///
/// # Panics
/// When Python is missing or cannot install it.
fn python() -> PathBuf {
    static INSTALLED: Once = Once::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
    let environment = folder.join(".venv");
    INSTALLED.call_once(|| {
        let wanted = std::fs::read_to_string(folder.join("requirements.txt")).expect("requirements.txt");
        let stamp = environment.join(".installed-from");
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return;
        }
        let run = |command: &mut Command| {
            let output = command.current_dir(&folder).output();
            let output = output.expect("Python runs; the tests with real SDKs need Python 3.9");
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"];
        run(Command::new(environment.join("bin/python")).args(install).args(["--requirement", "requirements.txt"]));
        std::fs::write(&stamp, wanted).expect("the stamp is written");
    });
    environment.join("bin/python")
}

/// Runs a program of the folder with these environment variables; what it prints is JSON.
///
/// # Panics
/// When it fails or takes longer than a minute.
#[track_caller]
pub fn run(program: &str, environment: &[(&str, &str)]) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk").join(program);
    crate::program::run(program, Command::new(python()).arg(path).envs(environment.iter().copied()))
}
