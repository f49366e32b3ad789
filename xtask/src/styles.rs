//! The dashboard's styles and scripts: Sass and esbuild from npm, written under names that carry their content's hash.

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Builds `app.css`, `app.js` and `charts.js` from `dashboard/assets` into `out` and returns, for each, its logical name
/// and the file's name: `("app.css", "app.1f0c….css")`.
///
/// `root` is the workspace, `node_modules` a folder that has bulma, sass, esbuild, htmx.org and echarts. Older builds in
/// `out` are left alone, because pages that are open still ask for them.
///
/// # Errors
/// What npm package or source is missing, or what Sass or esbuild say of a source.
pub fn build(root: &Path, node_modules: &Path, out: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let assets = root.join("dashboard/assets");
    for package in ["bulma", "sass", "esbuild", "htmx.org", "echarts"] {
        if !node_modules.join(package).is_dir() {
            bail!("npm package {package} is missing in {}; run npm ci there", node_modules.display());
        }
    }
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;

    let mut load_path = OsString::from("--load-path=");
    load_path.push(node_modules);
    let css = run(Command::new("node")
        .arg(node_modules.join("sass/sass.js"))
        .args(["--style=compressed", "--no-source-map", "--quiet-deps", "--no-charset"])
        .arg(load_path)
        .arg(assets.join("app.scss")))
    .context("cannot build app.css")?;

    let mut built = vec![write_hashed(out, "app", "css", &css)?];
    for script in ["app", "charts"] {
        // Its own program, or a script that starts it, as npm was allowed to run the package's install script or not.
        let js = run(Command::new(node_modules.join("esbuild/bin/esbuild"))
            .arg(assets.join(format!("{script}.js")))
            .args([
                "--bundle",
                "--minify",
                "--format=iife",
                "--target=es2022",
                "--legal-comments=none",
                "--charset=utf8",
            ])
            // The sources stand outside of the folder that has the packages.
            .env("NODE_PATH", node_modules))
        .with_context(|| format!("cannot build {script}.js"))?;
        built.push(write_hashed(out, script, "js", &js)?);
    }
    Ok(built)
}

/// Standard output of a command that must succeed.
fn run(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {program}; is Node.js installed?"))?;
    if !output.status.success() {
        bail!("{program} failed ({}):\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(output.stdout)
}

fn write_hashed(out: &Path, stem: &str, extension: &str, content: &[u8]) -> anyhow::Result<(String, String)> {
    if content.is_empty() {
        bail!("{stem}.{extension} is empty");
    }
    let hash: String = Sha256::digest(content).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{stem}.{hash}.{extension}");
    let path = out.join(&name);
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((format!("{stem}.{extension}"), name))
}
