//! Embeds what browsers load: the assets that `cargo xtask assets` built, or none, so that `cargo check` works at once.
//!
//! `$OUT_DIR/assets.rs` gets `pub static ASSETS: &[Asset]`; the `Asset` that it speaks of is the server's own type with
//! the fields `name`, `file`, `content_type`, `immutable`, `integrity`, `bytes` and `brotli`.
//!
//! `$OUT_DIR/lists.rs` gets the lists that intake looks things up in, each empty where it was not built.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The lists: the constant that holds it, whether it is text, and its file in the assets' folder.
const LISTS: [(&str, bool, &str); 4] = [
    ("COUNTRIES", false, "countries.mmdb"),
    ("CRAWLERS", true, "crawlers.txt"),
    ("DISPOSABLE_MAIL", true, "mail_disposable.txt"),
    ("FREE_MAIL", true, "mail_free.txt"),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SEGMENTS_ASSETS");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package lies in its workspace");
    // A relative folder counts from the workspace's root, wherever cargo was started.
    let assets = root.join(std::env::var_os("SEGMENTS_ASSETS").map_or_else(|| "target/assets".into(), PathBuf::from));
    let table_file = assets.join("assets.rs");
    // Of a file that is not there cargo says "changed" at every build: so the first `cargo xtask assets` is noticed.
    println!("cargo::rerun-if-changed={}", table_file.display());
    let table = match std::fs::read_to_string(&table_file) {
        Ok(table) => table,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "&[]".to_owned(),
        Err(error) => panic!("cannot read {}: {error}", table_file.display()),
    };
    println!("cargo::rustc-env=SEGMENTS_ASSETS_FOLDER={}", assets.display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    write(
        &out.join("assets.rs"),
        &format!("/// Every embedded file, by name.\npub static ASSETS: &[Asset] = {table};\n"),
    );
    write(&out.join("lists.rs"), &lists(&assets.join("lists")));
}

fn lists(folder: &Path) -> String {
    let mut code = String::new();
    for (name, is_text, file) in LISTS {
        let path = folder.join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let content = match (path.is_file(), is_text) {
            (true, true) => format!("include_str!({path:?})"),
            (true, false) => format!("include_bytes!({path:?})"),
            (false, true) => "\"\"".to_owned(),
            (false, false) => "&[]".to_owned(),
        };
        let kind = if is_text { "str" } else { "[u8]" };
        // Writing to a String cannot fail.
        let _ = writeln!(code, "pub(super) static {name}: &{kind} = {content};");
    }
    code
}

fn write(path: &Path, code: &str) {
    std::fs::write(path, code).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}
