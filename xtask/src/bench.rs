//! `cargo xtask bench`: the programs `bench-…` of the tests crate, against a release build.

use crate::process::{self, cargo};
use crate::workspace::{Member, Workspace};
use crate::{assets, install};
use anyhow::{Result, bail};
use clap::Args;
use std::process::Command;

/// What comes before a benchmark's name in the name of its program.
const PREFIX: &str = "bench-";

/// What `cargo xtask bench` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// The benchmark: `ingest` runs the program `bench-ingest` of the tests crate. Without a name all are listed.
    name: Option<String>,
    /// Handed to the benchmark as they are.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds the release server and runs one benchmark against it (its path is in `SEGMENTS_BIN`).
///
/// # Errors
/// When the name is unknown, something cannot be built, or the benchmark fails.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let known: Vec<&str> = workspace.members.iter().filter(|member| member.name == "tests").flat_map(benches).collect();
    let Some(name) = &options.name else {
        println!("benchmarks: {}", known.join(", "));
        return Ok(());
    };
    if !known.contains(&name.as_str()) {
        bail!("there is no benchmark {name}; there are: {}", known.join(", "));
    }
    install::for_server(workspace)?;
    assets::build(workspace)?;
    println!("building the release server and the benchmark");
    let program = format!("{PREFIX}{name}");
    // Both in one call: built apart, they would be given dependencies with different features, and those be built twice.
    process::run(cargo(&workspace.root).args([
        "build",
        "--release",
        "--locked",
        "-p",
        "collector",
        "-p",
        "tests",
        "--bins",
    ]))?;
    let release = workspace.target.join("release");
    process::run(
        Command::new(release.join(program)).args(&options.arguments).env("SEGMENTS_BIN", release.join("segments")),
    )
}

fn benches(member: &Member) -> impl Iterator<Item = &str> {
    member.programs.iter().filter_map(|program| program.strip_prefix(PREFIX))
}
