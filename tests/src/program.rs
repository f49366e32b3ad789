//! Programs beside the tests, in the languages of the SDKs that they use.

use crate::until;
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs a program to its end; what it prints is JSON, and little.
///
/// # Panics
/// When it fails, or has not ended after a minute.
#[track_caller]
pub(crate) fn run(name: &str, command: &mut Command) -> Value {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(name, Duration::from_secs(60), || child.try_wait().expect("its status"))
    }));
    if ended.is_err() {
        // It would go on for ever.
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("its output");
    let (told, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {told}{said}");
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{name}: {error}: {told}{said}"))
}
