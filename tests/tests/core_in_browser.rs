//! The core's unit tests where the core runs: compiled for WebAssembly, bound, and run in headless Chromium.
//!
//! It is what `wasm-bindgen-test-runner` does, with the bindings and the browser that are here anyway: that program takes
//! two minutes to build and a chromedriver to run.

use std::path::{Path, PathBuf};
use std::process::Command;
use tests::browser::Chromium;
use tests::cluster::Folder;
use tests::pages::{Page, Pages};
use wasm_bindgen_cli_support::Bindgen;

/// Runs the tests, whose exports begin as `#[wasm_bindgen_test]` names them, and leaves `[passed, report]` behind.
const RUN: &str = r#"
import init, { WasmBindgenTestContext } from './core.js';
// Through JavaScript, so that a trap comes back as an exception.
window.__wbg_test_invoke = (test) => test();
const report = () => document.getElementById('output').textContent;
try {
    const exports = await init({ module_or_path: './core_bg.wasm' });
    const tests = Object.keys(exports).filter((name) => name.startsWith('__wbgt_')).map((name) => exports[name]);
    const passed = await new WasmBindgenTestContext(false).run(tests);
    window.result = [passed, report()];
} catch (error) {
    window.result = [false, `${report()}\n${error.stack}`];
}
"#;

/// The core's unit tests as a module, with a target folder of its own: the workspace's may be locked by whoever runs
/// this.
fn compiled() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(&root)
        .args(["test", "--no-run", "--locked", "--quiet", "--package", "tracker-wasm", "--lib"])
        .args(["--target", "wasm32-unknown-unknown", "--message-format", "json-render-diagnostics"])
        .arg("--target-dir")
        .arg(root.join("target/tracker/tests"))
        // Nobody debugs in here, and binding goes over every byte.
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let told = String::from_utf8(build.stdout).expect("cargo's messages");
    let messages = told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a message"));
    let module = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    module.expect("cargo names the module")
}

#[test]
fn the_cores_unit_tests_pass_in_a_real_browser() {
    let bound = Folder::make();
    let mut bindgen = Bindgen::new();
    bindgen.input_path(compiled()).web(true).expect("bindings for the web").typescript(false).out_name("core");
    bindgen.generate(bound.path()).expect("bindings");
    let read = |file: &str| std::fs::read(bound.path().join(file)).expect("what was bound");
    let pages = Pages::serve(vec![
        Page::html("/", "<script type=\"module\" src=\"/run.js\"></script>", "<pre id=\"output\"></pre>"),
        Page::file("/run.js", "text/javascript", RUN.into()),
        Page::file("/core.js", "text/javascript", read("core.js")),
        Page::file("/core_bg.wasm", "application/wasm", read("core_bg.wasm")),
    ]);
    let chromium = Chromium::start();
    let tab = chromium.tab();
    tab.goes_to(&pages.url("/")).sees("window.result");
    let result = tab.value("window.result");
    let report = result[1].as_str().expect("a report");
    assert_eq!(result[0], true, "{report}\n{:#?}", tab.console());
    // No tests at all would pass as well.
    for module in ["browser", "engagement", "measures", "queue"] {
        let passed = |line: &str| line.contains(&format!("{module}::tests::")) && line.ends_with("ok");
        assert!(report.lines().any(passed), "no test of {module} in:\n{report}");
    }
}
