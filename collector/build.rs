//! Embeds what browsers load: the assets that `cargo xtask assets` built, or none, so that `cargo check` works at once.
//!
//! `$OUT_DIR/assets.rs` gets `pub static ASSETS: &[Asset]`; the `Asset` that it speaks of is the server's own type with
//! the fields `name`, `file`, `content_type`, `immutable`, `integrity`, `bytes` and `brotli`.

use std::path::{Path, PathBuf};

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
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("assets.rs");
    let code = format!("/// Every embedded file, by name.\npub static ASSETS: &[Asset] = {table};\n");
    std::fs::write(&out, code).unwrap_or_else(|error| panic!("cannot write {}: {error}", out.display()));
}
