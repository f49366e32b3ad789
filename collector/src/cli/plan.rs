//! `segments plan …`: the tracking plan from the command line.

use crate::store::{Store, instant};
use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use domain::plan::EventPlan;
use std::io::Read;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Plans {
    /// The site's name.
    #[arg(long, global = true, env = "SEGMENTS_SITE", default_value = "", hide_default_value = true)]
    site: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the named events of the last 30 days and those that are planned.
    List,
    /// Shows one event: what is agreed, what was seen, where the two differ.
    Show {
        /// The event's name.
        name: String,
    },
    /// Agrees on what an event carries.
    Pin {
        /// The event's name.
        name: String,
        /// A file with a line for each property, such as `price: number, required`; `-` for standard input. Without it
        /// what was seen is agreed on.
        file: Option<PathBuf>,
    },
    /// Agrees on nothing of an event any more.
    Unpin {
        /// The event's name.
        name: String,
    },
    /// Says what becomes of events that are not as agreed.
    Violations {
        /// They are only counted, or kept out.
        #[arg(value_enum)]
        what: What,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// They are stored and counted.
    Count,
    /// They are rejected as plan_violation.
    Block,
}

fn now() -> jiff::Timestamp {
    instant(crate::intake::clock::now_us())
}

pub(super) fn run(store: &Store, arguments: Plans) -> anyhow::Result<()> {
    let site = super::segment::site(store, &arguments.site)?;
    match arguments.command {
        Command::List => {
            let report = store.plan_report(&site, now())?;
            for row in &report.events {
                let pinned = if row.is_pinned { "pinned" } else { "" };
                println!("{:>9}  {:<7} {:>6} violations  {}", row.count, pinned, row.breaches, row.name);
            }
            let what = if report.block { "kept out" } else { "only counted" };
            println!("violations are {what}; {} events were kept out in {} days", report.blocked, report.days);
        }
        Command::Show { name } => {
            let found = store.plan_event(&site, &name, now())?;
            let found = found.context("no event of this name was seen or planned")?;
            println!("{} events in {} days", found.count, found.days);
            for seen in &found.properties {
                let kinds: Vec<String> =
                    seen.kinds.iter().map(|(kind, count)| format!("{} {count}", kind.key())).collect();
                println!("{:>9}  {}  {}", seen.count(), seen.name, kinds.join(", "));
            }
            println!("agreed:\n{}", found.plan.as_deref().unwrap_or("nothing"));
            for row in &found.breaches {
                let (breach, source, sample) = (row.breach.key(), &row.source, &row.sample);
                println!("{:>9}  {} {breach} from {source} {sample}", row.count, row.property);
            }
        }
        Command::Pin { name, file } => {
            let text = match file {
                Some(file) if file.as_os_str() == "-" => {
                    let mut text = String::new();
                    std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
                    text
                }
                Some(file) => {
                    std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?
                }
                None => store.plan_event(&site, &name, now())?.context("no event of this name was seen")?.suggested,
            };
            let plan: EventPlan = text.parse()?;
            store.pin_event(&site, &name, &plan)?;
            println!("{name} is agreed on:\n{plan}");
        }
        Command::Unpin { name } => {
            store.unpin_event(&site, &name)?;
            println!("nothing is agreed of {name} any more");
        }
        Command::Violations { what } => {
            store.block_violations(&site, what == What::Block)?;
            println!("events that are not as agreed are {}", if what == What::Block { "kept out" } else { "counted" });
        }
    }
    Ok(())
}
