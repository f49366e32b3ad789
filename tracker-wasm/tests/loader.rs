//! The loader's own tests, which are JavaScript: scrubbing against its corpus, ids, text, what is held until somebody
//! decides.

use std::path::Path;
use std::process::Command;

#[test]
fn the_loader_passes_its_tests_under_node() {
    passes("loader.test.mjs", 10);
}

#[test]
fn consent_passes_its_tests_under_node() {
    passes("consent.test.mjs", 7);
}

#[track_caller]
fn passes(file: &str, tests: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("loader").join(file);
    let output = Command::new("node")
        .arg("--test")
        .arg(&path)
        // Set by a node that runs this test itself, and then makes the inner one report to nobody.
        .env_remove("NODE_TEST_CONTEXT")
        .output()
        .expect("cannot run node; install Node.js 20 or newer");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.contains(&format!("pass {tests}")), "expected {tests} tests to run:\n{report}");
}
