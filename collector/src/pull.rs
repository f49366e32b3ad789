//! Sources that are asked rather than listened to: connectors.
//!
//! A connector reads page by page behind a cursor of its own form. Each page is stored, then its cursor; what is read
//! again after a crash is known again, by message ids or because a row replaces the earlier one, so nothing is lost and
//! nothing doubles. A run ends after some pages, when there is no more, or when the other side wants to be left alone, and
//! says when the next one is due; nothing here sleeps. One process at a time reads a source.

pub(crate) mod backoff;
mod google;
pub(crate) mod http;
pub(crate) mod search_console;
mod shopify;

use crate::intake::enrich::{Address, Enricher, Origin};
use crate::intake::screen::Sender;
use crate::intake::webhook::Told;
use crate::intake::writer::{Unavailable, Writer};
use crate::intake::{clock, plan};
use crate::store::connectors::{Claim, Due};
use crate::store::ingest::SiteBatch;
use crate::store::marketing::SearchPerformance;
use crate::store::sites::SiteDirectory;
use crate::store::sources::{Source, SourceKind};
use crate::store::{Store, StoreError, instant};
use domain::event::Trust;
use http::Client;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use search_console::Cleared;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it is looked whether a connector is due.
const LOOK: Duration = Duration::from_secs(1);
/// Pages of one run; then others have their turn.
const PAGES_AT_ONCE: u32 = 50;
/// When the other side wants to be left alone without saying for how long.
const BUSY: Duration = Duration::from_secs(60);
/// When a source is tried again whose answers cannot be kept.
const REFUSED: Duration = Duration::from_secs(3_600);

/// Which system a connector asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectorKind {
    SearchConsole,
    ShopifyAdmin,
}

impl ConnectorKind {
    pub(crate) const ALL: [ConnectorKind; 2] = [ConnectorKind::SearchConsole, ConnectorKind::ShopifyAdmin];

    /// The stored name.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            ConnectorKind::SearchConsole => "search-console",
            ConnectorKind::ShopifyAdmin => "shopify-admin",
        }
    }

    /// What the system calls itself.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            ConnectorKind::SearchConsole => "Google Search Console",
            ConnectorKind::ShopifyAdmin => "Shopify’s Admin API",
        }
    }

    pub(crate) fn from_key(key: &str) -> Option<ConnectorKind> {
        ConnectorKind::ALL.into_iter().find(|kind| kind.key() == key)
    }

    /// How long after a run that read everything the next one comes.
    const fn every(self) -> Duration {
        match self {
            ConnectorKind::SearchConsole => Duration::from_secs(6 * 3_600),
            ConnectorKind::ShopifyAdmin => Duration::from_secs(5 * 60),
        }
    }

    /// The account as it is kept: a property of Search Console, a shop's own host of Shopify.
    ///
    /// # Errors
    /// How to write it.
    pub(crate) fn check_account(self, text: &str) -> Result<String, &'static str> {
        match self {
            ConnectorKind::SearchConsole => search_console::check_property(text),
            ConnectorKind::ShopifyAdmin => shopify::check_shop(text),
        }
    }

    /// The key as it is kept.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check_secret(self, secret: &str) -> Result<String, &'static str> {
        let secret = secret.trim();
        match self {
            ConnectorKind::SearchConsole => google::ServiceAccount::read(secret).map(|_| secret.to_owned()),
            ConnectorKind::ShopifyAdmin if secret.len() < 8 || !secret.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err("an access token of Shopify begins with shpat_ and has no spaces")
            }
            ConnectorKind::ShopifyAdmin => Ok(secret.to_owned()),
        }
    }

    /// What the owner is to do at the other side.
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            ConnectorKind::SearchConsole => {
                "in Google Cloud, make a service account and a JSON key for it, and enable the Search Console API; in \
                 Search Console, Settings > Users and permissions, add the account's e-mail address with restricted access"
            }
            ConnectorKind::ShopifyAdmin => {
                "in Shopify, make an app for your own shop with the Admin API scopes read_orders, read_all_orders and \
                 read_customers; the access token is its Admin API access token. Without read_all_orders Shopify tells \
                 of the last 60 days alone"
            }
        }
    }
}

/// Where a connector asks; part of its source's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// The property or the shop.
    pub(crate) account: String,
    /// For tests: a port of this machine to ask instead of the documented hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) insecure_base_url: Option<String>,
}

/// Why a page could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PullError {
    /// The other side does not believe the key, or it does not open what is asked for; asking again cannot help.
    #[error("the key is refused; {0}")]
    NeedsKey(String),
    /// It wants to be left alone for a while.
    #[error("the other side asks to come again later")]
    Busy {
        /// For how long, where it says so.
        retry_after: Option<Duration>,
    },
    /// It cannot be reached, broke off, or has a fault of its own.
    #[error("the other side is away: {0}")]
    Away(String),
    /// It answers in a way that is not documented.
    #[error("the answer is not understood: {0}")]
    Odd(String),
}

/// What a page brings.
pub(crate) enum Brings {
    /// Events, as a webhook would have told them.
    Messages(Told),
    /// Rows of search, and what they take the place of.
    Search { rows: Vec<SearchPerformance>, cleared: Option<Cleared> },
}

/// One page.
pub(crate) struct Page {
    /// The cursor behind it.
    pub(crate) cursor: Value,
    pub(crate) brings: Brings,
    /// Whether there is another one now.
    pub(crate) more: bool,
    /// How long the other side wants to be left alone before the next one.
    pub(crate) wait: Option<Duration>,
}

/// A system that is asked page by page.
pub(crate) trait Connector {
    /// The page after a cursor; `{}` is the beginning.
    ///
    /// # Errors
    /// [`PullError`]; the cursor stands where it stood.
    fn page(&mut self, client: &Client, cursor: &Value, now: Timestamp) -> Result<Page, PullError>;
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything there is has been read.
    Done,
    /// There is more, and it can be asked for at once.
    More,
    /// There is more, and the other side wants to be left alone for so long first.
    Waits(Duration),
    /// The key is refused.
    NeedsKey(String),
    /// Something went wrong; it is tried again after so long.
    Failed(String, Duration),
    /// The source has been taken away meanwhile.
    Gone,
}

/// What a run needs of the server.
pub(crate) struct Tools<'a> {
    pub(crate) store: &'a Store,
    pub(crate) sites: &'a SiteDirectory,
    pub(crate) writer: &'a Writer,
    pub(crate) enricher: &'a Enricher,
}

/// Reads a claimed source for some pages, and notes how that ended and when it is due again.
///
/// # Errors
/// [`StoreError`]: the database is away; what was committed stays.
pub(crate) fn run(tools: &Tools<'_>, claim: &mut Claim, stop: &AtomicBool) -> Result<Ended, StoreError> {
    let Some((source, cursor)) = claim.read()? else { return Ok(Ended::Gone) };
    let SourceKind::Connector(kind) = source.kind else { return Ok(Ended::Gone) };
    let ended = match pages(tools, claim, (&source, kind), cursor, stop) {
        Ok(ended) => ended,
        Err(Stopped::Store(error)) => return Err(error),
        Err(Stopped::Pull(PullError::NeedsKey(why))) => Ended::NeedsKey(why),
        Err(Stopped::Pull(PullError::Busy { retry_after })) => Ended::Waits(retry_after.unwrap_or(BUSY)),
        Err(Stopped::Pull(error @ (PullError::Away(_) | PullError::Odd(_)))) => {
            let [byte] = crate::secrets::random::<1>();
            let wait = backoff::wait(claim.failures()?.saturating_add(1), f64::from(byte) / 255.0);
            Ended::Failed(error.to_string(), wait)
        }
    };
    claim.settle(&ended, kind.every())?;
    match &ended {
        Ended::NeedsKey(why) => tracing::warn!(source = source.key, why, "a connector needs a new key"),
        Ended::Failed(why, wait) => tracing::warn!(source = source.key, why, ?wait, "a connector is tried again"),
        Ended::Done | Ended::More | Ended::Waits(_) | Ended::Gone => {}
    }
    Ok(ended)
}

/// Why pages end before their time.
enum Stopped {
    Store(StoreError),
    Pull(PullError),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Stopped::Store(error)
    }
}

impl From<PullError> for Stopped {
    fn from(error: PullError) -> Self {
        Stopped::Pull(error)
    }
}

fn pages(
    tools: &Tools<'_>,
    claim: &mut Claim,
    (source, kind): (&Source, ConnectorKind),
    mut cursor: Value,
    stop: &AtomicBool,
) -> Result<Ended, Stopped> {
    let odd = || PullError::Odd("the source's settings say nothing of where to ask".to_owned());
    let reach = source.settings.reach.as_ref().ok_or_else(odd)?;
    let client = Client::new(reach.insecure_base_url.as_deref())?;
    let mut connector: Box<dyn Connector> = match kind {
        ConnectorKind::SearchConsole => {
            Box::new(search_console::SearchConsole::new(source.secret.expose(), &reach.account)?)
        }
        ConnectorKind::ShopifyAdmin => {
            let Some(site) = tools.sites.by_number(source.site_id)? else { return Ok(Ended::Gone) };
            Box::new(shopify::ShopifyAdmin::new(tools.store.clone(), site, source, &reach.account))
        }
    };
    for _ in 0..PAGES_AT_ONCE {
        if stop.load(Ordering::Acquire) {
            return Ok(Ended::More);
        }
        let page = connector.page(&client, &cursor, now())?;
        let rows = match page.brings {
            Brings::Messages(told) => keep_messages(tools, source, told)?,
            Brings::Search { rows, cleared } => claim.keep_search(rows, cleared)?,
        };
        if !claim.keep_cursor(&page.cursor, rows)? {
            return Ok(Ended::Gone);
        }
        cursor = page.cursor;
        match (page.more, page.wait) {
            (false, _) => return Ok(Ended::Done),
            (true, Some(wait)) => return Ok(Ended::Waits(wait)),
            (true, None) => {}
        }
    }
    Ok(Ended::More)
}

/// Stores a page's events as intake does, and gives how many there were. When this returns, they are committed.
fn keep_messages(tools: &Tools<'_>, source: &Source, told: Told) -> Result<u64, Stopped> {
    let Told { events, mut rejections } = told;
    let count = (events.len() + rejections.len()) as u64;
    let Some(site) = tools.sites.by_number(source.site_id)? else { return Ok(0) };
    let mut events = plan::screen(&site, events, &mut rejections);
    if count == 0 {
        return Ok(0);
    }
    let day = |at_us| instant(at_us).to_zoned_datetime(TimeZone::UTC).date();
    let months: std::collections::BTreeSet<_> =
        events.iter().map(|event| day(event.occurred_at_us).first_of_month()).collect();
    tools.store.ensure_months(crate::serve::today(), months)?;
    let nowhere = Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    tools.enricher.enrich(Origin { address: nowhere, agent: None }, &mut events);
    let batch = SiteBatch { site, source: Arc::from(source.key.as_str()), events, rejections };
    tools.writer.store_and_wait(batch).map_err(|error| match error {
        // Browsers come first.
        Unavailable::Busy => Stopped::Pull(PullError::Busy { retry_after: Some(BUSY) }),
        Unavailable::Away | Unavailable::Full | Unavailable::Stopping => {
            Stopped::Store(StoreError::Away(error.to_string()))
        }
    })?;
    Ok(count)
}

fn now() -> Timestamp {
    instant(clock::now_us())
}

/// Whose events a connector's are.
fn sender(site: &Arc<crate::store::sites::Site>, source_key: &str, now: Timestamp) -> Sender {
    Sender::new(Arc::clone(site), source_key, Trust::Trusted, now.as_microsecond(), None, None)
}

/// The running worker; dropping it lets the page under way end.
pub(crate) struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the connectors' thread ended by a panic");
            }
        }
    }
}

/// Starts the worker, which reads whatever is due; `with` lends it what it needs.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn start(with: impl Fn(&mut dyn FnMut(&Tools<'_>)) + Send + 'static) -> std::io::Result<Running> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::Builder::new().name("connectors".to_owned()).spawn(move || {
        while !stopped.load(Ordering::Acquire) {
            with(&mut |tools| {
                if let Err(error) = step(tools, &stopped) {
                    tracing::warn!(%error, "connectors are looked after later");
                }
            });
            std::thread::park_timeout(LOOK);
        }
    })?;
    Ok(Running { stop, thread: Some(thread) })
}

/// Reads every source that is due and that no other process reads.
fn step(tools: &Tools<'_>, stop: &AtomicBool) -> Result<(), StoreError> {
    for Due { site_id, key } in tools.store.due_connectors()? {
        if stop.load(Ordering::Acquire) {
            return Ok(());
        }
        let Some(mut claim) = tools.store.claim_connector(site_id, &key)? else { continue };
        // Another process may have read it since it was found due.
        if !claim.is_due()? {
            continue;
        }
        match run(tools, &mut claim, stop) {
            Ok(_) => {}
            // What one source brings or is must not keep the others waiting.
            Err(error @ StoreError::Refused(_)) => {
                tracing::error!(source = key, %error, "a connector is tried again");
                let why = "what it says cannot be kept; the server's log says why".to_owned();
                claim.settle(&Ended::Failed(why, REFUSED), REFUSED)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
