//! `cargo xtask test`: every check there is, one named step after the other, with the time that each one took.
//!
//! All steps build with one profile and for the whole workspace (`--workspace`, then only certain targets): another
//! choice of packages would give shared dependencies other features and compile half of them again.

use crate::process::{self, cargo};
use crate::workspace::Workspace;
use crate::{assets, install, licences, rules};
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use std::time::{Duration, Instant};

/// What `cargo xtask test` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Run the long counts too: every round of the crash tests.
    #[arg(long)]
    full: bool,
    /// Run only these steps.
    #[arg(long, value_enum, value_name = "STEP", num_args = 1..)]
    only: Vec<Step>,
}

/// The checks in the order in which they run: the quick ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Missing tools and packages are installed.
    Install,
    /// The code is formatted.
    Format,
    /// Borders between crates, licences.
    Rules,
    /// Tracker, styles and scripts are built; size budgets.
    Assets,
    /// Clippy on everything, the tracker for the browser too.
    Lints,
    /// Unit and HTTP tests.
    Unit,
    /// Documentation without broken links.
    Docs,
    /// A real server, a real PostgreSQL, a real browser.
    EndToEnd,
}

impl Step {
    fn what(self) -> &'static str {
        match self {
            Step::Install => "what the tests need",
            Step::Format => "formatting",
            Step::Rules => "borders between crates, and licences",
            Step::Assets => "assets and size budgets",
            Step::Lints => "lints",
            Step::Unit => "unit and HTTP tests",
            Step::Docs => "documentation",
            Step::EndToEnd => "end to end: server, PostgreSQL, browser",
        }
    }

    /// Steps that must have passed for this one to say anything.
    fn needs(self) -> &'static [Step] {
        match self {
            Step::Install | Step::Format | Step::Rules => &[],
            Step::Assets | Step::Lints | Step::Unit | Step::Docs => &[Step::Install],
            // Without assets the server does not start.
            Step::EndToEnd => &[Step::Install, Step::Assets],
        }
    }

    fn run(self, workspace: &Workspace, full: bool) -> Result<()> {
        let root = &workspace.root;
        match self {
            Step::Install => install::for_tests(workspace),
            Step::Format => process::run(cargo(root).args(["fmt", "--all", "--", "--check", "--files-with-diff"]))
                .context("files that `cargo fmt` would change are listed above"),
            Step::Rules => both(rules::check(workspace), licences::check(workspace)),
            Step::Assets => {
                let assets = assets::build(workspace)?;
                both(assets::report(&assets), assets::report_plain_tracker(workspace, &assets))
            }
            Step::Lints => {
                println!("a first time compiles all dependencies");
                let strict = ["--", "-D", "warnings"];
                let all = ["clippy", "--locked", "--keep-going", "--all-targets", "--workspace"];
                let browser = ["clippy", "--locked", "--package", "tracker-wasm", "--target", "wasm32-unknown-unknown"];
                let for_us = process::run(cargo(root).args(all).args(strict));
                both(for_us, process::run(cargo(root).args(browser).args(strict)))
            }
            Step::Unit => {
                println!("a first time compiles all dependencies");
                let mut tests = cargo(root);
                tests.args(["test", "--locked", "--workspace", "--no-fail-fast", "--lib", "--bins"]);
                tests.args(integration_tests(workspace, |member| member != "tests")?);
                let examples = ["test", "--locked", "--workspace", "--no-fail-fast", "--doc"];
                both(process::run(&mut tests), process::run(cargo(root).args(examples)))
            }
            Step::Docs => process::run(
                cargo(root)
                    .args(["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"])
                    // Docs of programs link to private things, and clap prints theirs as plain text.
                    .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links -A rustdoc::bare_urls"),
            ),
            Step::EndToEnd => {
                println!("building the server that is tested");
                process::run(cargo(root).args(["build", "--locked", "--workspace", "--bins"]))?;
                let chosen = integration_tests(workspace, |member| member == "tests")?;
                if chosen.is_empty() {
                    bail!("the tests crate has no test");
                }
                let mut tests = cargo(root);
                tests.args(["test", "--locked", "--workspace", "--no-fail-fast"]).args(chosen);
                tests.env("SEGMENTS_BIN", workspace.target.join("debug/segments"));
                if full {
                    tests.env("SEGMENTS_FULL", "1");
                }
                process::run(&mut tests)
            }
        }
    }
}

/// How a step ended.
enum Outcome {
    Passed,
    Failed(anyhow::Error),
    /// Could not say anything because of the named step.
    NotRun(Step),
}

/// Runs the steps, all of them, and then a summary.
///
/// # Errors
/// When a step failed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let steps: Vec<Step> = Step::value_variants()
        .iter()
        .copied()
        .filter(|step| options.only.is_empty() || options.only.contains(step))
        .collect();
    let start = Instant::now();
    let mut results: Vec<(Step, Outcome, Duration)> = Vec::new();
    for (index, &step) in steps.iter().enumerate() {
        println!("\n── {} of {}: {} ──", index + 1, steps.len(), step.what());
        let blocked =
            step.needs().iter().copied().find(|need| {
                results.iter().any(|(done, outcome, _)| done == need && !matches!(outcome, Outcome::Passed))
            });
        let begun = Instant::now();
        let outcome = match blocked {
            Some(need) => Outcome::NotRun(need),
            None => step.run(workspace, options.full).map_or_else(Outcome::Failed, |()| Outcome::Passed),
        };
        match &outcome {
            Outcome::Passed => println!("   passed in {}", seconds(begun.elapsed())),
            // Why is said at the end, where it is not drowned by the steps that follow.
            Outcome::Failed(_) => println!("   failed after {}", seconds(begun.elapsed())),
            Outcome::NotRun(need) => println!("   not run, because it needs: {}", need.what()),
        }
        results.push((step, outcome, begun.elapsed()));
    }

    println!("\n── summary ──");
    for (step, outcome, took) in &results {
        let verdict = match outcome {
            Outcome::Passed => "passed",
            Outcome::Failed(_) => "FAILED",
            Outcome::NotRun(_) => "not run",
        };
        println!("{verdict:<8} {:>8}  {}", seconds(*took), step.what());
    }
    println!("{:<8} {:>8}", "in all", seconds(start.elapsed()));
    for (step, outcome, _) in &results {
        if let Outcome::Failed(error) = outcome {
            println!("\n{} failed: {error:#}", step.what());
        }
    }
    let missed = results.iter().filter(|(_, outcome, _)| !matches!(outcome, Outcome::Passed)).count();
    if missed > 0 {
        bail!("{missed} of {} steps did not pass", results.len());
    }
    Ok(())
}

/// Tells of two failures, so that nobody repairs one only to meet the other.
fn both(one: Result<()>, other: Result<()>) -> Result<()> {
    match (one, other) {
        (Err(one), Err(other)) => bail!("{one:#}\n{other:#}"),
        (one, other) => one.and(other),
    }
}

/// `--test NAME` for each integration test of the members that `wanted` accepts.
fn integration_tests(workspace: &Workspace, wanted: fn(&str) -> bool) -> Result<Vec<&str>> {
    let all = || workspace.members.iter().flat_map(|member| member.tests.iter().map(move |test| (member, test)));
    if let Some((member, test)) = all().find(|(_, test)| all().filter(|(_, other)| other == test).count() > 1) {
        bail!(
            "{} has a test {test}, and so has another crate: cargo tells tests by name, give it another",
            member.name
        );
    }
    let chosen = all().filter(|(member, _)| wanted(&member.name));
    Ok(chosen.flat_map(|(_, test)| ["--test", test]).collect())
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Member;
    use std::path::PathBuf;

    fn workspace(members: &[(&str, &[&str])]) -> Workspace {
        let member = |&(name, tests): &(&str, &[&str])| Member {
            name: name.to_owned(),
            knows: Vec::new(),
            tests: tests.iter().map(|&test| test.to_owned()).collect(),
            programs: Vec::new(),
        };
        Workspace { root: PathBuf::new(), target: PathBuf::new(), members: members.iter().map(member).collect() }
    }

    #[test]
    fn each_integration_test_runs_in_one_of_the_two_steps() {
        let workspace = workspace(&[("wire", &["golden", "hostile"]), ("tests", &["browser"])]);
        let unit = integration_tests(&workspace, |member| member != "tests").unwrap();
        assert_eq!(unit, ["--test", "golden", "--test", "hostile"]);
        let end_to_end = integration_tests(&workspace, |member| member == "tests").unwrap();
        assert_eq!(end_to_end, ["--test", "browser"]);
    }

    #[test]
    fn two_tests_of_one_name_are_told_apart_by_their_authors() {
        let workspace = workspace(&[("dashboard", &["pages"]), ("tests", &["pages"])]);
        let error = integration_tests(&workspace, |member| member == "tests").unwrap_err();
        assert!(error.to_string().starts_with("dashboard has a test pages"), "{error}");
    }

    #[test]
    fn what_a_step_needs_runs_before_it() {
        let steps = Step::value_variants();
        for (index, step) in steps.iter().enumerate() {
            assert!(step.needs().iter().all(|need| steps[..index].contains(need)), "{step:?}");
        }
    }
}
