//! `segments source …`: connected sources from the command line.

use crate::intake::enrich::Enricher;
use crate::intake::webhook::{OrderIds, Settings};
use crate::intake::writer::Writer;
use crate::pull::{self, ConnectorKind, Ended, Reach};
use crate::secrets::Secret;
use crate::store::Store;
use crate::store::sites::{Site, SiteDirectory};
use crate::store::sources::{NewSource, Source, SourceChange, SourceError, SourceKind, SourceReport};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use domain::report::ConnectorState;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// `source pull` waits itself where the other side asks for no more than this.
const PATIENCE: Duration = Duration::from_secs(120);

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
    /// Connects a vendor's webhooks and prints the address to paste there, or a system that is asked.
    Add(Add),
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
        /// What the vendor signs with, or what the other side is asked with.
        #[arg(long, env = "SEGMENTS_SOURCE_SECRET", hide_env_values = true)]
        secret: Option<String>,
        /// The same from a file.
        #[arg(long, value_name = "FILE", conflicts_with = "secret")]
        secret_file: Option<PathBuf>,
        /// Whether what it sends is stored, and whether it is asked.
        #[arg(long, value_parser = ["active", "paused"])]
        state: Option<String>,
    },
    /// Asks a system now for everything it has to tell, and says how that went.
    Pull {
        /// The source's key, for example search-console:shop.
        key: String,
    },
    /// Takes a source away; its events stay.
    Remove {
        /// The source's key.
        key: String,
    },
}

#[derive(Args)]
struct Add {
    /// Whose webhooks they are, or which system is asked.
    #[arg(
            long,
            value_parser = parse_kind,
            value_name = "shopify|woocommerce|stripe|mailchimp|sendgrid|klaviyo|search-console|shopify-admin"
        )]
    kind: SourceKind,
    /// A name for people, for example "Main shop".
    #[arg(long)]
    name: String,
    /// What the vendor signs with, where you tell it to the vendor, one is made up; or what the other side is asked
    /// with: Shopify's access token.
    #[arg(long, env = "SEGMENTS_SOURCE_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// The same from a file: a service account's JSON key for Search Console.
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    secret_file: Option<PathBuf>,
    /// Which property of Search Console is asked, sc-domain:shop.example or https://www.shop.example/.
    #[arg(long)]
    property: Option<String>,
    /// Which shop of Shopify is asked, my-shop.myshopify.com.
    #[arg(long, conflicts_with = "property")]
    shop: Option<String>,
    /// For tests: a port of this machine that is asked instead of the documented hosts.
    #[arg(long, value_name = "URL", hide = true)]
    insecure_base_url: Option<String>,
    /// Put before order and customer ids of a further shop of this site, which has numbers of its own.
    #[arg(long)]
    namespace: Option<String>,
    /// The shop's pages report orders under the number that customers see, not under the system's id.
    #[arg(long)]
    order_numbers: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

fn parse_kind(text: &str) -> Result<SourceKind, String> {
    let known = || SourceKind::all().map(SourceKind::key).collect::<Vec<_>>().join(", ");
    SourceKind::from_key(&text.to_lowercase()).ok_or_else(|| format!("no such kind; known are {}", known()))
}

pub(super) fn run(store: &Store, sources: Sources) -> anyhow::Result<()> {
    let Sources { site, public_url, command } = sources;
    let site = super::segment::site(store, &site)?;
    let origin = public_url.trim_end_matches('/');
    match command {
        Command::Add(asked) => add(store, &site, asked, origin)?,
        Command::List { json } => {
            let reports = store.sources(site.site_id)?;
            if json {
                println!("{}", Value::Array(reports.iter().map(|report| reported(report, origin)).collect()));
                return Ok(());
            }
            for report in reports {
                println!("{}", line(&report));
            }
        }
        Command::Set { key, secret, secret_file, state } => {
            let secret = given(secret, secret_file.as_deref())?;
            if secret.is_none() && state.is_none() {
                bail!("nothing to change; give --secret, --secret-file or --state");
            }
            let is_active = state.map(|state| state == "active");
            store.change_source(site.site_id, &key, SourceChange { secret, is_active })?;
            println!("{key} is changed");
        }
        Command::Pull { key } => pull_now(store, &site, &key)?,
        Command::Remove { key } => {
            store.remove_source(site.site_id, &key)?;
            println!("{key} is removed; its events stay");
        }
    }
    Ok(())
}

/// The secret that was given, on the line or in a file.
fn given(secret: Option<String>, file: Option<&Path>) -> anyhow::Result<Option<Secret>> {
    let Some(file) = file else { return Ok(secret.map(Secret::new)) };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Some(Secret::new(text)))
}

/// Where a connector asks; `None` of a webhook.
fn reach(asked: &Add) -> anyhow::Result<Option<Reach>> {
    let SourceKind::Connector(kind) = asked.kind else { return Ok(None) };
    let (account, flag) = match kind {
        ConnectorKind::SearchConsole => (&asked.property, "--property"),
        ConnectorKind::ShopifyAdmin => (&asked.shop, "--shop"),
    };
    let account = account.as_deref().with_context(|| format!("say which account is asked, with {flag}"))?;
    let account = kind.check_account(account).map_err(anyhow::Error::msg)?;
    if asked.insecure_base_url.as_deref().is_some_and(|base| !pull::http::is_loopback(base)) {
        bail!("--insecure-base-url is a port of this machine, for example http://127.0.0.1:9000");
    }
    Ok(Some(Reach { account, insecure_base_url: asked.insecure_base_url.clone() }))
}

fn add(store: &Store, site: &Site, asked: Add, origin: &str) -> anyhow::Result<()> {
    let reach = reach(&asked)?;
    let order_ids = if asked.order_numbers { OrderIds::Number } else { OrderIds::Id };
    let settings = Settings::new(asked.namespace, order_ids, reach).map_err(SourceError::Namespace)?;
    let secret = given(asked.secret, asked.secret_file.as_deref())?;
    let is_given = secret.is_some();
    let source = store.add_source(site.site_id, NewSource { kind: asked.kind, name: asked.name, secret, settings })?;
    let is_connector = matches!(source.kind, SourceKind::Connector(_));
    if asked.json {
        let mut told = told(&source, origin);
        if !is_connector {
            told["secret"] = source.secret.expose().into();
        }
        println!("{told}");
        return Ok(());
    }
    println!("source   {}", source.key);
    if !is_connector {
        println!("address  {}", source.posted_to(origin));
    }
    match (is_given, source.secret.is_empty()) {
        (true, _) => {}
        (false, false) => println!("secret   {}", source.secret.expose()),
        (false, true) => println!(
            "secret   none yet; set it with `segments source set --site {:?} {} --secret …`, until then nothing is believed",
            site.name, source.key
        ),
    }
    println!("{}", source.kind.advice());
    if is_connector {
        println!("a running server asks by itself; `segments source pull {}` asks now", source.key);
    }
    Ok(())
}

/// Reads a source until there is no more, in this process.
fn pull_now(store: &Store, site: &Site, key: &str) -> anyhow::Result<()> {
    let known = store.sources(site.site_id)?.into_iter().find(|report| report.source.key == key);
    match known.filter(|report| report.connector.is_some()) {
        None => bail!("{key} is no source that is asked; `segments source list` shows those there are"),
        Some(report) if !report.source.is_active => bail!("{key} is paused; set it going with `segments source set`"),
        Some(_) => {}
    }
    let busy = || format!("another process is asking {key} just now");
    let mut claim = store.claim_connector(site.site_id, key)?.with_context(busy)?;
    let sites = SiteDirectory::new(store.clone());
    sites.refresh()?;
    let enricher = Enricher::new(None)?;
    let (writer, writers) = Writer::start(store, Arc::new(|| ()))?;
    let tools = pull::Tools { store, sites: &sites, writer: &writer, enricher: &enricher };
    let ended = read_all(&tools, &mut claim);
    drop(writer);
    for writer in writers {
        if writer.join().is_err() {
            bail!("a writer ended by a panic; see the log");
        }
    }
    match ended? {
        Ended::Done => {
            let report = store.connectors(site.site_id)?.into_iter().find(|connector| connector.key == key);
            let (pages, rows) = report.map_or((0, 0), |report| (report.pages, report.rows));
            println!("{key} has told everything; {rows} rows in {pages} pages so far");
            Ok(())
        }
        Ended::NeedsKey(why) => {
            bail!("{key} needs a new key, {why}; give one with `segments source set {key} --secret …`")
        }
        Ended::Failed(why, wait) => bail!("{key}: {why}; the server tries again in {} s", wait.as_secs().max(1)),
        Ended::Waits(wait) => bail!("{key} asks to come again in {} s; the server does so", wait.as_secs()),
        Ended::Gone | Ended::More => bail!("{key} has been taken away meanwhile"),
    }
}

/// Runs until there is nothing more to read now.
fn read_all(tools: &pull::Tools<'_>, claim: &mut crate::store::connectors::Claim) -> anyhow::Result<Ended> {
    let never = AtomicBool::new(false);
    loop {
        match pull::run(tools, claim, &never)? {
            Ended::More => {}
            Ended::Waits(wait) if wait <= PATIENCE => std::thread::sleep(wait),
            ended => return Ok(ended),
        }
    }
}

/// One line of the list.
fn line(report: &SourceReport) -> String {
    let source = &report.source;
    let rejected: i64 = report.rejected.values().sum();
    let at = |at: Option<jiff::Timestamp>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let counts = format!("{} stored\t{} duplicate\t{rejected} rejected", report.stored, report.duplicate);
    let start = format!("{}\t{}\t{}", source.key, state(source), source.name);
    let Some(connector) = &report.connector else { return format!("{start}\t{counts}\tlast {}", at(report.last_at)) };
    let next = match connector.state {
        ConnectorState::Ready => format!("next {}", connector.next_at),
        ConnectorState::NeedsKey => connector.state.label().to_owned(),
    };
    let error = connector.last_error.as_deref().map_or_else(String::new, |error| format!("\tlast error: {error}"));
    format!(
        "{start}\t{counts}\t{} rows\tlast {}\tall read {}\t{next}{error}",
        connector.rows,
        at(connector.last_at),
        at(connector.last_ok_at)
    )
}

fn state(source: &Source) -> &'static str {
    if source.is_active { "active" } else { "paused" }
}

fn told(source: &Source, origin: &str) -> Value {
    let mut told = json!({
        "key": source.key,
        "kind": source.kind.key(),
        "name": source.name,
        "state": state(source),
        "created_at": source.created_at.to_string(),
    });
    match (source.kind, &source.settings.reach) {
        (SourceKind::Webhook(_), _) => told["address"] = source.posted_to(origin).into(),
        (SourceKind::Connector(_), reach) => told["account"] = json!(reach.as_ref().map(|reach| &reach.account)),
    }
    told
}

fn reported(report: &SourceReport, origin: &str) -> Value {
    let mut told = told(&report.source, origin);
    told["last_at"] = json!(report.last_at.map(|at| at.to_string()));
    told["stored"] = report.stored.into();
    told["duplicate"] = report.duplicate.into();
    told["rejected"] = json!(report.rejected);
    if let Some(connector) = &report.connector {
        let text = |at: Option<jiff::Timestamp>| json!(at.map(|at| at.to_string()));
        told["connector"] = json!({
            "state": connector.state.key(),
            "next_at": connector.next_at.to_string(),
            "last_at": text(connector.last_at),
            "last_ok_at": text(connector.last_ok_at),
            "last_error": connector.last_error,
            "pages": connector.pages,
            "rows": connector.rows,
        });
    }
    told
}
