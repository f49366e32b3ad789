//! `cargo xtask`: everything a person or CI does with this repository, in one program.
//!
//! It needs nothing but Rust, git and a C compiler; what else a command needs it installs (see [`install`]) and says so.

mod assets;
mod bench;
mod install;
mod licences;
mod lists;
mod package;
mod process;
mod rules;
mod run;
mod test;
mod workspace;

// Public like what they offer: a public item of a private module is an unreachable one, says the lint.
pub mod styles;
pub mod tracker;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use workspace::Workspace;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything and start Segments with its demo.
    Run(run::Options),
    /// Run every check: formatting, dependency rules, assets and size budgets, lints, tests, browser tests.
    Test(test::Options),
    /// Build the tracker, styles and scripts into target/assets.
    Assets(assets::Options),
    /// Measure: builds the release binary and runs a benchmark against it.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = Workspace::read().and_then(|workspace| match arguments.command {
        Task::Run(options) => run::run(&workspace, &options),
        Task::Test(options) => test::run(&workspace, &options),
        Task::Assets(options) => assets::run(&workspace, &options),
        Task::Bench(options) => bench::run(&workspace, &options),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
