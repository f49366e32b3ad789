//! `segments trait …`: computed traits from the command line.

use crate::store::traits::TraitDraft;
use crate::store::{Store, instant};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use domain::report::{ComputedTraitRow, Spread};
use domain::segment::rule::{Computed, SentenceError};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Traits {
    /// The site's name.
    #[arg(long, global = true, env = "SEGMENTS_SITE", default_value = "", hide_default_value = true)]
    site: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the computed traits with how many people have them.
    List {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Makes a computed trait.
    Add {
        /// Its name in rules: letters, digits, _, - and .
        name: String,
        #[command(flatten)]
        definition: DefinitionArgs,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Gives a computed trait another definition.
    Change {
        /// Its name.
        name: String,
        #[command(flatten)]
        definition: DefinitionArgs,
    },
    /// Removes a computed trait with everybody's values; the events that they come from stay.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Args)]
struct DefinitionArgs {
    /// The definition as a sentence, for example: number of orders within 90 days
    #[arg(long, conflicts_with = "definition")]
    says: Option<String>,
    /// A file with the definition as JSON.
    #[arg(long, value_name = "FILE")]
    definition: Option<PathBuf>,
}

impl DefinitionArgs {
    fn read(&self) -> anyhow::Result<Computed> {
        match (&self.says, &self.definition) {
            (Some(says), _) => says.parse().map_err(|error: SentenceError| {
                let mark = " ".repeat(error.column.saturating_sub(1));
                anyhow::anyhow!("{error}\n  {says}\n  {mark}^")
            }),
            (None, Some(file)) => {
                let text =
                    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
                Ok(Computed::from_json(&text)?)
            }
            (None, None) => bail!("give the definition with --says SENTENCE or --definition FILE"),
        }
    }
}

pub(super) fn run(store: &Store, arguments: Traits) -> anyhow::Result<()> {
    let site = super::segment::site(store, &arguments.site)?;
    match arguments.command {
        Command::List { json } => {
            let report = store.computed_traits_report(&site, instant(crate::intake::clock::now_us()))?;
            if json {
                println!("{:#}", Value::from(report.rows.iter().map(told).collect::<Vec<_>>()));
                return Ok(());
            }
            for row in &report.rows {
                let state = if row.progress.is_none() { "" } else { "  (being computed)" };
                let says = row.says.as_deref().unwrap_or("written by a newer version");
                println!("{:>9}  {:<32} {says}{}{state}", row.people, row.name, spread(row));
            }
            Ok(())
        }
        Command::Add { name, definition, description } => {
            let draft = TraitDraft { description, definition: definition.read()? };
            store.add_computed_trait(&site, &name, &draft)?;
            tell(&name, &draft.definition);
            Ok(())
        }
        Command::Change { name, definition } => {
            let known = store.computed_trait(&site, &name)?;
            let draft = TraitDraft { description: known.description, definition: definition.read()? };
            store.change_computed_trait(&site, &name, &draft)?;
            tell(&name, &draft.definition);
            Ok(())
        }
        Command::Remove { name } => {
            store.remove_computed_trait(&site, &name)?;
            println!("{name} is removed; the events that it was computed from stay");
            Ok(())
        }
    }
}

fn tell(name: &str, definition: &Computed) {
    println!("{name}  {definition}\neverybody is asked about it while `segments serve` runs");
}

/// The middle of what people have, in a few words.
fn spread(row: &ComputedTraitRow) -> String {
    match &row.spread {
        Some(Spread::Numbers([least, _, middle, _, most])) => format!("  {least} … {middle} … {most}"),
        Some(Spread::Values(values)) => {
            let told: Vec<String> = values.iter().map(|(value, people)| format!("{value} ({people})")).collect();
            format!("  {}", told.join(", "))
        }
        None => String::new(),
    }
}

fn told(row: &ComputedTraitRow) -> Value {
    json!({
        "name": row.name, "description": row.description, "says": row.says, "people": row.people,
        "spread": row.spread, "ready": row.progress.is_none(), "revision": row.revision,
    })
}
