//! `segments serve`: everything that runs, from start to drained.

use crate::analysis;
use crate::http::{self, State};
use crate::intake::clock;
use crate::intake::enrich::Enricher;
use crate::intake::limits::{Buckets, Rate};
use crate::intake::measure::Salts;
use crate::intake::writer::Writer;
use crate::projector;
use crate::pull;
use crate::store::Store;
use crate::store::sites::SiteDirectory;
use actix_web::{App, HttpServer, web};
use anyhow::Context;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Which of the server's parts a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Intake, pages and projector.
    All,
    /// Intake only.
    Collector,
    /// Pages and the API only.
    Dashboard,
    /// The projector, models and connectors only, with their health.
    Worker,
}

/// How a server is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its parts.
    pub role: Role,
    /// Limit per address with a public key.
    pub address_rate: Rate,
    /// Limit per key.
    pub key_rate: Rate,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// A database of countries (MaxMind DB) instead of the built-in one.
    pub country_database: Option<PathBuf>,
    /// The address that owners and visitors know, where it is not the one that requests name.
    pub public_url: Option<String>,
    /// The demo's pages are served.
    pub demo: bool,
    /// What `/metrics` asks for; without it there is no such page.
    pub metrics_token: Option<String>,
    /// What a file may have that is uploaded to be imported, in MiB.
    pub import_limit_mib: u64,
    /// How people are kept in memory, where there are pages.
    pub analysis: analysis::Settings,
}

/// Database connections of the pool: pages, API, log-in. The writers and the projector have their own.
const POOL: u32 = 12;
/// How often the day's salts and what is past its time are seen to.
const UPKEEP: Duration = Duration::from_secs(60);
/// How often it is looked whether somebody is to be forgotten; it is promised within a minute.
const ERASURES: Duration = Duration::from_secs(2);
/// How often it is looked whether a site's people are to be compared.
const MATCHES: Duration = Duration::from_secs(5);
/// How often it is looked whether a file is to be imported.
const IMPORTS: Duration = Duration::from_secs(1);
/// How often it is looked whether a site's models are to be made anew.
const MODELS: Duration = Duration::from_secs(5);
/// How long requests under way may take to end after SIGTERM, in seconds.
const DRAIN_SECONDS: u64 = 20;

/// Opens the store of a database, with its schema at this version.
///
/// # Errors
/// What keeps the database from being used.
pub fn open(url: &str) -> anyhow::Result<Store> {
    let store = Store::new(url, POOL)?;
    store.migrate().context("the database's schema could not be brought to this version")?;
    let today = today();
    store.ensure_months(today, []).context("the months for events could not be made")?;
    Ok(store)
}

/// Today, UTC.
pub(crate) fn today() -> jiff::civil::Date {
    crate::store::instant(clock::now_us()).to_zoned_datetime(jiff::tz::TimeZone::UTC).date()
}

/// Runs a server until it is told to stop by SIGTERM or SIGINT; `ready` is called with the address once it takes
/// requests. What was accepted is finished before this returns.
///
/// # Errors
/// What keeps it from starting.
pub fn serve(store: &Store, settings: Settings, ready: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    if settings.role != Role::Worker {
        http::assets::check().map_err(anyhow::Error::msg)?;
    }
    let enricher = Enricher::new(settings.country_database.as_deref())?;
    let listener = TcpListener::bind(settings.listen)
        .with_context(|| format!("cannot listen on {}; choose another with --listen", settings.listen))?;
    let address = listener.local_addr()?;
    let sites = Arc::new(SiteDirectory::new(store.clone()));
    sites.refresh()?;
    let salts = Arc::new(Salts::new(store.clone()));
    salts.turn(today())?;
    let runs = |role| settings.role == Role::All || settings.role == role;
    let projector = runs(Role::Worker).then(|| projector::start(store.clone())).transpose()?;
    let waker = projector.as_ref().map(projector::Running::waker);
    let stored = Arc::new(move || {
        if let Some(waker) = &waker {
            waker.wake();
        }
    });
    let (writer, writers) = Writer::start(store, stored)?;
    let upkeep = upkeep(store.clone(), Arc::clone(&sites), Arc::clone(&salts))?;
    let models = runs(Role::Worker).then(|| models(store.clone())).transpose()?;
    let matches = runs(Role::Worker).then(|| matches(store.clone())).transpose()?;
    let erasures = runs(Role::Worker).then(|| erasures(store.clone())).transpose()?;
    let imports = runs(Role::Worker).then(|| imports(store.clone())).transpose()?;
    let columns =
        runs(Role::Dashboard).then(|| analysis::start(store.clone(), settings.analysis.clone())).transpose()?;
    let state = web::Data::new(State {
        store: store.clone(),
        sites,
        salts,
        enricher,
        writer,
        per_address: Buckets::new(settings.address_rate),
        per_key: Buckets::new(settings.key_rate),
        trusted_proxies: settings.trusted_proxies.clone(),
        public_url: settings.public_url.clone(),
        demo: settings.demo,
        metrics_token: settings.metrics_token.clone(),
        import_limit_mib: settings.import_limit_mib,
        projected: projector.as_ref().map(|projector| Arc::clone(&projector.events)).unwrap_or_default(),
        analysis: columns.as_ref().map(analysis::Running::analysis),
    });
    let connectors = runs(Role::Worker).then(|| connectors(&state)).transpose()?;
    let (role, shared) = (settings.role, state.clone());
    actix_web::rt::System::new().block_on(async move {
        let server =
            HttpServer::new(move || App::new().app_data(shared.clone()).configure(|config| http::routes(config, role)))
                .workers(std::thread::available_parallelism().map_or(2, usize::from))
                .shutdown_timeout(DRAIN_SECONDS)
                .listen(listener)?
                .run();
        ready(address);
        server.await
    })?;
    tracing::info!("draining");
    drop(upkeep);
    drop(models);
    drop(erasures);
    drop(connectors);
    if let Some(matches) = matches {
        matches.leave();
    }
    drop(imports);
    // The last front of the writers goes with the state: they store what is queued and end.
    drop(state);
    for writer in writers {
        if writer.join().is_err() {
            tracing::error!("a writer ended by a panic");
        }
    }
    drop(projector);
    drop(columns);
    Ok(())
}

/// Keeps sites fresh, turns salts and tidies up.
fn upkeep(store: Store, sites: Arc<SiteDirectory>, salts: Arc<Salts>) -> std::io::Result<Periodic> {
    let mut tidied: Option<Instant> = None;
    Periodic::start("upkeep", SiteDirectory::REFRESH, move |_| {
        if let Err(error) = sites.refresh() {
            tracing::warn!(%error, "sites are read again later");
        } else if tidied.is_none_or(|at| at.elapsed() > UPKEEP) {
            tidied = Some(Instant::now());
            let done = salts.turn(today()).and_then(|()| store.ensure_months(today(), [])).and_then(|()| store.tidy());
            if let Err(error) = done {
                tracing::warn!(%error, "upkeep is done later");
            }
        }
    })
}

/// Sees to the models of all sites.
fn models(store: Store) -> std::io::Result<Periodic> {
    Periodic::start("models", MODELS, move |_| {
        let now = crate::store::instant(clock::now_us());
        match store.sites() {
            Ok(sites) => {
                for site in sites {
                    if let Err(error) = store.tend_models(&site, now) {
                        tracing::warn!(site = site.site_id, %error, "models are made later");
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "models are made later"),
        }
    })
}

/// Reads the sources that are asked rather than listened to.
fn connectors(state: &web::Data<State>) -> std::io::Result<pull::Running> {
    let state = state.clone();
    pull::start(move |work| {
        let State { store, sites, writer, enricher, .. } = &**state;
        work(&pull::Tools { store, sites, writer, enricher });
    })
}

/// Compares the people of all sites.
fn matches(store: Store) -> std::io::Result<Periodic> {
    Periodic::start("matches", MATCHES, move |_| {
        let now = crate::store::instant(clock::now_us());
        let sites = match store.sites() {
            Ok(sites) => sites,
            Err(error) => return tracing::warn!(%error, "people are compared later"),
        };
        for site in sites {
            if let Err(error) = store.tend_matches(&site, now) {
                tracing::warn!(site = site.site_id, %error, "people are compared later");
            }
        }
    })
}

/// Deletes what is left of people who were forgotten.
fn erasures(store: Store) -> std::io::Result<Periodic> {
    Periodic::start("erasures", ERASURES, move |_| {
        let sites = match store.sites() {
            Ok(sites) => sites,
            Err(error) => return tracing::warn!(%error, "people are forgotten later"),
        };
        for site in sites {
            match store.finish_erasures(site.site_id) {
                Ok(0) => {}
                Ok(done) => tracing::info!(site = site.site_id, people = done, "people are forgotten"),
                Err(error) => tracing::warn!(site = site.site_id, %error, "people are forgotten later"),
            }
        }
    })
}

/// Imports files that were uploaded.
fn imports(store: Store) -> std::io::Result<Periodic> {
    Periodic::start("imports", IMPORTS, move |stop| {
        if let Err(error) = crate::import::worker::run(&store, stop) {
            tracing::warn!(%error, "imports go on later");
        }
    })
}

/// A thread that does the same again and again; dropping it lets the work under way end. Long work looks at the flag.
struct Periodic {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Periodic {
    fn start(
        name: &str,
        every: Duration,
        mut work: impl FnMut(&AtomicBool) + Send + 'static,
    ) -> std::io::Result<Periodic> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                work(&stopped);
                std::thread::park_timeout(every);
            }
        })?;
        Ok(Periodic { stop, thread: Some(thread) })
    }
}

impl Periodic {
    /// Ends it without waiting for the work under way, which may take minutes and can be cut off anywhere.
    fn leave(mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
        }
    }
}

impl Drop for Periodic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let name = thread.thread().name().unwrap_or("a thread").to_owned();
            if thread.join().is_err() {
                tracing::error!("{name} ended by a panic");
            }
        }
    }
}
