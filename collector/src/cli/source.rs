//! `segments source …`: connected sources from the command line.

use crate::intake::webhook::{OrderIds, Settings, Vendor};
use crate::store::Store;
use crate::store::sources::{NewSource, Source, SourceChange, SourceError, SourceReport};
use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

#[derive(Args)]
pub(super) struct Sources {
    /// The site's name.
    #[arg(long, global = true, env = "SEGMENTS_SITE", default_value = "", hide_default_value = true)]
    site: String,
    /// The server's address as the vendor reaches it, for the address to paste.
    #[arg(
        long,
        global = true,
        env = "SEGMENTS_PUBLIC_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    public_url: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Connects a vendor's webhooks and prints the address to paste there.
    Add {
        /// Whose webhooks they are.
        #[arg(long, value_parser = parse_vendor, value_name = "shopify|woocommerce|stripe|mailchimp|sendgrid|klaviyo")]
        kind: Vendor,
        /// A name for people, for example "Main shop".
        #[arg(long)]
        name: String,
        /// What the vendor signs with; where you tell it to the vendor, one is made up.
        #[arg(long, env = "SEGMENTS_SOURCE_SECRET", hide_env_values = true)]
        secret: Option<String>,
        /// Put before order and customer ids of a further shop of this site, which has numbers of its own.
        #[arg(long)]
        namespace: Option<String>,
        /// The shop's pages report orders under the number that customers see, not under the system's id.
        #[arg(long)]
        order_numbers: bool,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists the sources with what they have brought.
    List {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Changes a source's secret, or pauses it.
    Set {
        /// The source's key, for example shopify:main-shop.
        key: String,
        /// What the vendor signs with.
        #[arg(long, env = "SEGMENTS_SOURCE_SECRET", hide_env_values = true)]
        secret: Option<String>,
        /// Whether what it sends is stored.
        #[arg(long, value_parser = ["active", "paused"])]
        state: Option<String>,
    },
    /// Takes a source away; its events stay.
    Remove {
        /// The source's key.
        key: String,
    },
}

fn parse_vendor(text: &str) -> Result<Vendor, String> {
    let known = || Vendor::ALL.map(Vendor::key).join(", ");
    Vendor::from_key(&text.to_lowercase()).ok_or_else(|| format!("no such vendor; known are {}", known()))
}

pub(super) fn run(store: &Store, sources: Sources) -> anyhow::Result<()> {
    let Sources { site, public_url, command } = sources;
    let site = super::segment::site(store, &site)?;
    let origin = public_url.trim_end_matches('/');
    match command {
        Command::Add { kind, name, secret, namespace, order_numbers, json } => {
            let order_ids = if order_numbers { OrderIds::Number } else { OrderIds::Id };
            let settings = Settings::new(namespace, order_ids).map_err(SourceError::Namespace)?;
            let is_given = secret.is_some();
            let source = store.add_source(site.site_id, NewSource { vendor: kind, name, secret, settings })?;
            if json {
                let mut told = told(&source, origin);
                told["secret"] = source.secret.as_str().into();
                println!("{told}");
                return Ok(());
            }
            println!("source   {}\naddress  {}", source.key, source.posted_to(origin));
            match (is_given, source.secret.is_empty()) {
                (true, _) => {}
                (false, false) => println!("secret   {}", source.secret),
                (false, true) => println!(
                    "secret   none yet; set it with `segments source set --site {:?} {} --secret …`, until then nothing is believed",
                    site.name, source.key
                ),
            }
            println!("{}", kind.advice());
        }
        Command::List { json } => {
            let reports = store.sources(site.site_id)?;
            if json {
                println!("{}", Value::Array(reports.iter().map(|report| reported(report, origin)).collect()));
                return Ok(());
            }
            for report in reports {
                let last = report.last_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
                let rejected: i64 = report.rejected.values().sum();
                println!(
                    "{}\t{}\t{}\t{} stored\t{} duplicate\t{rejected} rejected\tlast {last}",
                    report.source.key,
                    state(&report.source),
                    report.source.name,
                    report.stored,
                    report.duplicate
                );
            }
        }
        Command::Set { key, secret, state } => {
            if secret.is_none() && state.is_none() {
                bail!("nothing to change; give --secret or --state");
            }
            let is_active = state.map(|state| state == "active");
            store.change_source(site.site_id, &key, SourceChange { secret, is_active })?;
            println!("{key} is changed");
        }
        Command::Remove { key } => {
            store.remove_source(site.site_id, &key)?;
            println!("{key} is removed; its events stay");
        }
    }
    Ok(())
}

fn state(source: &Source) -> &'static str {
    if source.is_active { "active" } else { "paused" }
}

fn told(source: &Source, origin: &str) -> Value {
    json!({
        "key": source.key,
        "kind": source.vendor.key(),
        "name": source.name,
        "address": source.posted_to(origin),
        "state": state(source),
        "created_at": source.created_at.to_string(),
    })
}

fn reported(report: &SourceReport, origin: &str) -> Value {
    let mut told = told(&report.source, origin);
    told["last_at"] = json!(report.last_at.map(|at| at.to_string()));
    told["stored"] = report.stored.into();
    told["duplicate"] = report.duplicate.into();
    told["rejected"] = json!(report.rejected);
    told
}
