//! The command line.

mod plan;
mod segment;
mod source;
mod traits;

use crate::analysis;
use crate::demo::load as demo;
use crate::http::intake::{ADDRESS_RATE, KEY_RATE};
use crate::import::{Kind as ImportKind, command as import};
use crate::intake::limits::Rate;
use crate::postgres::{self, EmbeddedPostgres};
use crate::serve::{self, Role, Settings};
use crate::store::Store;
use crate::store::sites::{NewSite, Site, TagConsent};
use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use domain::identity::{Kind, normalise};
use jiff::civil::Date;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// One profile per person, every profile in its segments: the whole server beside PostgreSQL.
#[derive(Parser)]
#[command(name = "segments", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    database: Database,
    #[command(subcommand)]
    command: Command,
}

/// Where the data is. With neither, the embedded PostgreSQL in the default data folder is used.
#[derive(Args)]
struct Database {
    /// Data folder of the embedded PostgreSQL.
    #[arg(long, global = true, env = "SEGMENTS_DATA", value_name = "DIR", conflicts_with = "database_url")]
    data: Option<PathBuf>,
    /// PostgreSQL 14 or newer to use instead of the embedded one, as a libpq URL.
    #[arg(long, global = true, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server until it is stopped by SIGTERM or Ctrl-C.
    Serve(Serve),
    /// Brings the database's schema to this version; `serve` does so by itself.
    Migrate,
    /// Sites: a business's pages, shop and newsletter, whose people are one population.
    #[command(subcommand)]
    Site(SiteCommand),
    /// People who may log in to the dashboard.
    #[command(subcommand)]
    User(UserCommand),
    /// Brings data in from files.
    #[command(subcommand)]
    Import(ImportCommand),
    /// One person: everything that is kept of them, and forgetting them.
    #[command(subcommand)]
    Person(PersonCommand),
    /// Segments: who is in them, why, and what keeps them.
    Segment(segment::Segments),
    /// Computed traits: values of people that follow from what they did.
    Trait(traits::Traits),
    /// The tracking plan: what named events carry, and what they are agreed to carry.
    Plan(plan::Plans),
    /// Sources: the shops and mailers whose webhooks come in.
    Source(source::Sources),
    /// Computes every projection anew from the events and reports what was different.
    Rebuild(Rebuild),
    /// Predictions from a file of orders, without any database.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Finds who is there twice in a file of people, without any database.
    Match(crate::matching::Options),
}

#[derive(Args)]
struct Serve {
    /// Address and port to listen on.
    #[arg(long, env = "SEGMENTS_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Port to listen on, on all addresses, as platforms that run containers set it.
    #[arg(long, env = "PORT", conflicts_with = "listen")]
    port: Option<u16>,
    /// Which parts to run.
    #[arg(long, env = "SEGMENTS_ROLE", value_enum, default_value = "all")]
    role: Role,
    /// The server's address as visitors know it, for example https://s.shop.example.
    #[arg(long, env = "SEGMENTS_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Proxy in front of the server whose X-Forwarded-For is believed; can be given several times.
    #[arg(long, env = "SEGMENTS_TRUSTED_PROXY", value_name = "ADDRESS", value_delimiter = ',')]
    trusted_proxy: Vec<IpAddr>,
    /// Database of countries in MaxMind's format (.mmdb) to use instead of the built-in one.
    #[arg(long, env = "SEGMENTS_COUNTRY_DATABASE", value_name = "FILE")]
    country_database: Option<PathBuf>,
    /// Events per second that one address may send with a public key; 0 for no limit.
    #[arg(long, env = "SEGMENTS_ADDRESS_RATE", default_value_t = ADDRESS_RATE.per_second)]
    address_rate: u32,
    /// Events per second that one key may send; 0 for no limit.
    #[arg(long, env = "SEGMENTS_KEY_RATE", default_value_t = KEY_RATE.per_second)]
    key_rate: u32,
    /// Serves /metrics to Prometheus to those who send this token as Bearer.
    #[arg(long, env = "SEGMENTS_METRICS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    metrics_token: Option<String>,
    /// Memory in MiB that people of all sites may take for questions about everybody; older page views stay out of it.
    #[arg(long, env = "SEGMENTS_ANALYSIS_MEMORY", value_name = "MIB", default_value_t = analysis::Settings::MEMORY_MIB)]
    analysis_memory: u64,
    /// Size in MiB that a file may have that is uploaded on the dashboard to be imported.
    #[arg(long, env = "SEGMENTS_IMPORT_LIMIT", value_name = "MIB", default_value_t = 512)]
    import_limit: u64,
    /// Folder for files that let the next start go on without reading everybody again; by default in the data folder.
    #[arg(long, env = "SEGMENTS_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Loads the demo on first start and serves its shop at /demo/.
    #[arg(long)]
    demo: bool,
}

/// Which person of which site.
#[derive(Args)]
struct PersonArgs {
    /// The site's name.
    #[arg(long)]
    site: String,
    #[command(flatten)]
    by: PersonBy,
}

/// By what the person is known.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct PersonBy {
    /// The site's own id of the person.
    #[arg(long)]
    user_id: Option<String>,
    /// An e-mail address.
    #[arg(long)]
    email: Option<String>,
    /// A browser's id.
    #[arg(long)]
    visitor_id: Option<String>,
}

#[derive(Subcommand)]
enum PersonCommand {
    /// Prints everything that is kept of a person, as JSON.
    Export(PersonArgs),
    /// Forgets a person: deletes every trace and keeps a hash, so that nothing brings them back.
    Erase(PersonArgs),
}

#[derive(Subcommand)]
enum SiteCommand {
    /// Makes a site and prints its keys and its script tag.
    Add {
        /// A name of 1 to 100 characters.
        name: String,
        /// A host whose pages carry the tag; subdomains are included. Can be given several times.
        #[arg(long = "domain", value_name = "DOMAIN", required = true)]
        domains: Vec<String>,
        /// The currency that reports add up, ISO 4217.
        #[arg(long, default_value = "EUR")]
        currency: String,
        /// The time zone that reports cut days in, an IANA name.
        #[arg(long, default_value = "UTC", value_name = "TZ")]
        timezone: String,
        /// The consent mode that the tag asks for.
        #[arg(long, default_value = "measure", value_parser = ["measure", "wait", "manager", "full"])]
        consent: String,
        /// The server's address as visitors know it, for the tag.
        #[arg(long, env = "SEGMENTS_PUBLIC_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
        public_url: String,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists the sites.
    List {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum UserCommand {
    /// Makes a log-in; the password is read from standard input, or made up and printed.
    Add {
        /// The e-mail address to log in with.
        email: String,
        /// A site they may see, by name; can be given several times. Without it they see and manage all.
        #[arg(long = "site", value_name = "NAME")]
        sites: Vec<String>,
        /// Reads the password's line from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
}

#[derive(Subcommand)]
enum ImportCommand {
    /// Customers with what is known of them; can be run again without storing anything twice.
    Customers(import::Options),
    /// Orders with their products, refunds and cancellations; can be run again without storing anything twice.
    Orders(import::Options),
    /// What happened to newsletters: sent, opened, clicked, …; can be run again without storing anything twice.
    Newsletter(import::Options),
    /// What campaigns cost by day; the same file again replaces what it said before.
    AdSpend(import::Options),
    /// What Google's search showed and led here by day; the same file again replaces what it said before.
    SearchConsole(import::Options),
    /// What a former tool counted by day; the same file again replaces what it said before.
    WebHistory(import::Options),
}

#[derive(Subcommand)]
enum ModelCommand {
    /// Fits all models to the orders and chooses a method for them.
    Fit {
        #[command(flatten)]
        orders: OrdersFile,
        /// The last day whose orders count; by default that of the last order.
        #[arg(long, value_name = "DATE")]
        calibration_end: Option<Date>,
    },
    /// Chooses a method on the orders until a day and compares its predictions with what came after it.
    Evaluate {
        #[command(flatten)]
        orders: OrdersFile,
        /// The last day whose orders are known to the method.
        #[arg(long, value_name = "DATE")]
        calibration_end: Date,
    },
}

#[derive(Args)]
struct OrdersFile {
    /// A CSV file with a header line, or `-` for standard input.
    #[arg(long = "orders", value_name = "FILE")]
    path: PathBuf,
    /// Which columns hold what, for example customer_id=master_id,ordered_at=date,total=amount.
    #[arg(long, value_name = "FIELD=COLUMN,…")]
    map: Option<String>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Rebuild {
    /// One site's name; without it all sites.
    #[arg(long)]
    site: Option<String>,
    /// Folder of the files that let a start go on without reading everybody; by default in the data folder.
    #[arg(long, env = "SEGMENTS_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// Runs the command that the process was called with.
///
/// # Errors
/// What went wrong and what to do, for the last line that the caller prints.
pub fn run() -> anyhow::Result<()> {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("SEGMENTS_LOG").unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    let open = || Opened::open(&cli.database);
    match cli.command {
        Command::Serve(serve) => open()?.serve(serve),
        Command::Migrate => {
            open()?;
            println!("the schema is at this version");
            Ok(())
        }
        Command::Site(command) => site(&open()?.store, command),
        Command::User(command) => user(&open()?.store, command),
        Command::Import(command) => {
            let (kind, options) = match &command {
                ImportCommand::Customers(options) => (ImportKind::Customers, options),
                ImportCommand::Orders(options) => (ImportKind::Orders, options),
                ImportCommand::Newsletter(options) => (ImportKind::Newsletter, options),
                ImportCommand::AdSpend(options) => (ImportKind::AdSpend, options),
                ImportCommand::SearchConsole(options) => (ImportKind::SearchConsole, options),
                ImportCommand::WebHistory(options) => (ImportKind::WebHistory, options),
            };
            import::run(&open()?.store, kind, options)
        }
        Command::Rebuild(Rebuild { site, cache }) => {
            let opened = open()?;
            let folder = cache_folder(cache, opened.data.as_deref());
            rebuild(&opened.store, folder.as_deref(), site.as_deref())
        }
        Command::Model(ModelCommand::Fit { orders: OrdersFile { path, map, json }, calibration_end }) => {
            crate::model::fit(&path, map.as_deref(), calibration_end, json)
        }
        Command::Model(ModelCommand::Evaluate { orders: OrdersFile { path, map, json }, calibration_end }) => {
            crate::model::evaluate(&path, map.as_deref(), calibration_end, json)
        }
        Command::Person(command) => person(&open()?.store, command),
        Command::Match(options) => crate::matching::run(&options),
        Command::Segment(arguments) => segment::run(&open()?.store, arguments),
        Command::Trait(arguments) => traits::run(&open()?.store, arguments),
        Command::Plan(arguments) => plan::run(&open()?.store, arguments),
        Command::Source(arguments) => source::run(&open()?.store, arguments),
    }
}

/// The store, and the embedded PostgreSQL that it may be on: the last field to be dropped.
struct Opened {
    store: Store,
    postgres: Option<EmbeddedPostgres>,
    data: Option<PathBuf>,
}

impl Opened {
    fn open(database: &Database) -> anyhow::Result<Opened> {
        if let Some(url) = &database.database_url {
            let store = serve::open(url).context(
                "DATABASE_URL cannot be used; check that PostgreSQL runs there, or unset it to use the embedded one",
            )?;
            return Ok(Opened { store, postgres: None, data: None });
        }
        let data = match &database.data {
            Some(data) => data.clone(),
            None => postgres::default_data_dir()?,
        };
        let claim = EmbeddedPostgres::claim(&data)?;
        let store = serve::open(&claim.url())?;
        Ok(Opened { store, postgres: Some(claim), data: Some(data) })
    }

    fn serve(&mut self, serve: Serve) -> anyhow::Result<()> {
        if let Some(postgres) = &mut self.postgres {
            postgres.supervise()?;
        }
        let listen = match serve.port {
            Some(port) => SocketAddr::from(([0, 0, 0, 0], port)),
            None => serve.listen,
        };
        let burst = |per_second: u32, standard: Rate| {
            let times = standard.burst / standard.per_second;
            Rate { per_second, burst: per_second.saturating_mul(times) }
        };
        let settings = Settings {
            listen,
            role: serve.role,
            address_rate: burst(serve.address_rate, ADDRESS_RATE),
            key_rate: burst(serve.key_rate, KEY_RATE),
            trusted_proxies: serve.trusted_proxy,
            country_database: serve.country_database,
            public_url: serve.public_url.map(|url| url.trim_end_matches('/').to_owned()),
            demo: serve.demo,
            metrics_token: serve.metrics_token,
            import_limit_mib: serve.import_limit,
            analysis: analysis::Settings {
                memory_bytes: serve.analysis_memory.saturating_mul(1 << 20),
                cache: cache_folder(serve.cache, self.data.as_deref()),
            },
        };
        let demo = serve.demo.then(|| demo::prepare(&self.store, self.data.as_deref())).transpose()?;
        let store = self.store.clone();
        serve::serve(&self.store, settings, move |address| {
            let url = format!("http://{address}/");
            match demo {
                Some(demo) => demo.load_then_announce(store, url),
                None => announce(&store, &url),
            }
        })
    }
}

/// The one line that says that the server is ready.
fn announce(store: &Store, url: &str) {
    let how = match store.has_users() {
        Ok(true) => "log in with your e-mail address".to_owned(),
        Ok(false) => "open it to create the first user".to_owned(),
        Err(error) => format!("({error})"),
    };
    say(&format!("ready: {url} {how}"));
}

/// Prints a line at once, also into a pipe.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody reading is no reason to stop.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn site(store: &Store, command: SiteCommand) -> anyhow::Result<()> {
    match command {
        SiteCommand::Add { name, domains, currency, timezone, consent, public_url, json } => {
            let currency = currency.parse().with_context(|| format!("--currency {currency}"))?;
            let tag_consent = TagConsent::from_key(&consent).context("--consent is measure, wait, manager or full")?;
            let (site, secret_key) =
                store.add_site(&NewSite { name, domains, currency, time_zone: timezone, tag_consent })?;
            let tag = site.script_tag(&public_url);
            if json {
                let told = serde_json::json!({
                    "site_id": site.site_id,
                    "name": site.name,
                    "write_key": site.write_key,
                    "secret_key": secret_key,
                    "script_tag": tag,
                });
                println!("{told:#}");
            } else {
                println!("site_id     {}", site.site_id);
                println!("write_key   {}  (public: in your pages)", site.write_key);
                println!("secret_key  {secret_key}  (for your servers; shown only now)");
                println!("script tag  {tag}");
            }
        }
        SiteCommand::List { json } => {
            let sites = store.sites()?;
            if json {
                let list: Vec<_> = sites
                    .iter()
                    .map(|site| {
                        serde_json::json!({
                            "site_id": site.site_id,
                            "name": site.name,
                            "domains": site.domains,
                            "currency": site.currency.code(),
                            "time_zone": site.time_zone.iana_name(),
                            "write_key": site.write_key,
                        })
                    })
                    .collect();
                println!("{:#}", serde_json::Value::from(list));
            } else if sites.is_empty() {
                println!("no site yet; make one with: segments site add NAME --domain DOMAIN");
            }
            for site in sites.iter().filter(|_| !json) {
                println!("{:>4}  {}  {}  {}", site.site_id, site.write_key, site.name, site.domains.join(" "));
            }
        }
    }
    Ok(())
}

fn person(store: &Store, command: PersonCommand) -> anyhow::Result<()> {
    let (PersonCommand::Export(PersonArgs { site, by }) | PersonCommand::Erase(PersonArgs { site, by })) = &command;
    let site = store.site_named(site)?;
    let known = [(Kind::UserId, &by.user_id), (Kind::Email, &by.email), (Kind::Visitor, &by.visitor_id)];
    let (kind, value) = known
        .into_iter()
        .find_map(|(kind, value)| Some((kind, value.as_deref()?)))
        .context("name the person by --user-id, --email or --visitor-id")?;
    let value = normalise(kind, value)?;
    let found = store.profile_of(site.site_id, kind, &value)?;
    let profile_id = found.with_context(|| format!("nobody of {} has this {kind}", site.name))?;
    match command {
        PersonCommand::Export(_) => {
            let told = store.export_person(&site, profile_id)?.context("there is no such person any more")?;
            println!("{told:#}");
        }
        PersonCommand::Erase(_) => {
            store.erase(&site, profile_id, "the command line")?.context("there is no such person any more")?;
            crate::projector::drain(store)?;
            store.finish_erasures(site.site_id)?;
            println!("profile {profile_id} is forgotten; later events of this person are not stored");
        }
    }
    Ok(())
}

fn user(store: &Store, command: UserCommand) -> anyhow::Result<()> {
    let UserCommand::Add { email, sites, password_stdin } = command;
    let (password, made_up) = if password_stdin {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).context("the password could not be read from standard input")?;
        (line.trim_end_matches(['\r', '\n']).to_owned(), false)
    } else {
        (crate::secrets::token(""), true)
    };
    let site_ids = sites.iter().map(|name| Ok(store.site_named(name)?.site_id)).collect::<anyhow::Result<Vec<_>>>()?;
    store.add_user(&email, &password, sites.is_empty(), &site_ids)?;
    println!("{email} can log in{}", if sites.is_empty() { " and sees all sites" } else { "" });
    if made_up {
        println!("password  {password}  (shown only now)");
    }
    Ok(())
}

/// Where columns are kept between starts, if anywhere.
fn cache_folder(given: Option<PathBuf>, data: Option<&Path>) -> Option<PathBuf> {
    given.or_else(|| data.map(|data| data.join("analysis")))
}

fn rebuild(store: &Store, cache: Option<&Path>, only: Option<&str>) -> anyhow::Result<()> {
    let sites = match only {
        Some(name) => vec![store.site_named(name)?],
        None => store.sites()?,
    };
    eprintln!("projecting what waits …");
    crate::projector::drain(store)?;
    let (mut different, mut in_columns) = (0, 0);
    for site in sites {
        let mut told = 0;
        let rebuilt = crate::store::projection::rebuild(store, &site, |people| {
            if people >= told + 10_000 {
                told = people;
                eprintln!("{}: {people} people …", site.name);
            }
        })?;
        println!("{}: {} people rebuilt, {} different", site.name, rebuilt.people, rebuilt.different);
        for example in &rebuilt.examples {
            println!("  {example}");
        }
        different += rebuilt.different;
        if let Some(folder) = cache {
            in_columns += hold_columns(store, folder, &site)?;
        }
    }
    match (different, in_columns) {
        (0, 0) => println!("no difference"),
        (different, 0) => bail!("{different} people's projections differed and have been replaced"),
        (0, in_columns) => bail!("{in_columns} people differed in columns alone and are read again"),
        (different, in_columns) => bail!(
            "{different} people's projections differed and have been replaced; {in_columns} people differed in columns \
             and are read again"
        ),
    }
    Ok(())
}

/// Holds the columns of the last run against the database; gives how many people differ.
fn hold_columns(store: &Store, folder: &Path, site: &Site) -> anyhow::Result<u64> {
    match analysis::hold(store, folder, site)? {
        analysis::Held::NoFile => println!("{}: no columns on disk", site.name),
        analysis::Held::LeftAside(why) => println!("{}: the columns on disk are not compared: {why}", site.name),
        analysis::Held::Same(people) => println!("{}: {people} people in columns, all the same", site.name),
        analysis::Held::Different(people) => {
            let some: Vec<String> = people.iter().take(5).map(|person| person.0.to_string()).collect();
            println!("{}: {} people in columns differ, among them {}", site.name, people.len(), some.join(", "));
            return Ok(people.len() as u64);
        }
    }
    Ok(0)
}
