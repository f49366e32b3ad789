//! Puts the demo where a newcomer finds it: a log-in, the shop's year through the real intake, and the CDNOW orders.
//!
//! Everything has ids that follow from the seed and from when the site was made, so that a load that was cut off goes
//! on at the next start and stores nothing twice.

use crate::cli::say;
use crate::intake::tracker::stored_measures;
use crate::intake::{clock, source};
use crate::secrets;
use crate::serve::today;
use crate::store::Store;
use crate::store::events::{EventKey, Kind, NewEvent, Term, flags};
use crate::store::identities::Who;
use crate::store::ingest::{Ingest, SiteBatch};
use crate::store::sites::{BrowserOrders, NewSite, Site, SiteError, TagConsent};
use crate::store::views::PageView;
use anyhow::{Context, bail};
use base64::Engine;
use domain::money::Currency;
use jiff::{Timestamp, ToSpan};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The demo shop's site.
pub(crate) const SHOP: &str = super::SHOP_NAME;
/// The site of the CDNOW orders.
const CDNOW: &str = "CDNOW orders 1997-98 (demo)";
const CDNOW_LINES: i64 = 6_919;
const EMAIL: &str = "demo@segments.test";
/// Where the log-in is kept in the data folder, readable by its owner alone.
const LOGIN_FILE: &str = "demo-login";
const SEED: u64 = 20_261_123;
const PEOPLE: usize = 3_000;
/// Days before the year's end of which page views are measured: the report's usual month and the one before.
const MEASURED_DAYS: i64 = 60;
/// Messages of one request.
const BATCH: usize = 500;

/// What is told of the log-in, and what is still to be loaded.
pub(crate) struct Prepared {
    login: String,
    shop: Option<Shop>,
    cdnow: Option<Arc<Site>>,
}

struct Shop {
    site: Site,
    secret_key: String,
    end: Timestamp,
}

/// Makes the demo's log-in and sites where they are missing.
///
/// # Errors
/// What keeps the database or the data folder from being used.
pub(crate) fn prepare(store: &Store, data: Option<&Path>) -> anyhow::Result<Prepared> {
    Ok(Prepared { login: login(store, data)?, shop: shop(store)?, cdnow: cdnow(store)? })
}

fn login(store: &Store, data: Option<&Path>) -> anyhow::Result<String> {
    let file = data.map(|data| data.join(LOGIN_FILE));
    if !store.has_users()? {
        let password = secrets::token("");
        if let Some(file) = &file {
            let written = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(file)
                .and_then(|mut out| out.write_all(password.as_bytes()));
            written.with_context(|| format!("cannot write {}", file.display()))?;
        }
        // After the file: a kill in between leaves a password that is not used yet, not a user whom nobody can be.
        store.add_user(EMAIL, &password, true, &[])?;
        return Ok(format!("log in as {EMAIL} with {password}"));
    }
    Ok(match file.and_then(|file| std::fs::read_to_string(file).ok()) {
        Some(password) => format!("log in as {EMAIL} with {}", password.trim()),
        None => "log in with your e-mail address".to_owned(),
    })
}

fn shop(store: &Store) -> anyhow::Result<Option<Shop>> {
    let new = NewSite {
        name: SHOP.to_owned(),
        domains: vec!["127.0.0.1".into(), "localhost".into(), super::DOMAIN.into()],
        currency: super::CURRENCY.parse()?,
        time_zone: super::TIME_ZONE.into(),
        tag_consent: TagConsent::Full,
    };
    let (mut site, secret_key) = match store.add_site(&new) {
        Ok(made) => made,
        Err(SiteError::NameTaken(_)) => {
            let site = store.site_named(SHOP)?;
            let made_at = store.site_made_at(site.site_id)?;
            // The year's last message tells that all is there; after a day the ids of messages may be forgotten soon.
            let last = super::messages(SEED, end_of_year(made_at), PEOPLE).last();
            let last = last.as_ref().and_then(|message| message["messageId"].as_str()).unwrap_or("").to_owned();
            let is_old = made_at.duration_until(crate::store::instant(crate::intake::clock::now_us())).as_hours() >= 24;
            if is_old || store.knows_message(site.site_id, &last)? {
                return Ok(None);
            }
            let secret_key = store.renew_secret_key(site.site_id)?;
            (site, secret_key)
        }
        Err(error) => return Err(error.into()),
    };
    // The demo's history comes from a server, the newcomer's own orders from a browser: both are to count.
    site.browser_orders = BrowserOrders::Always;
    store.update_site(&site)?;
    let end = end_of_year(store.site_made_at(site.site_id)?);
    Ok(Some(Shop { site, secret_key, end }))
}

/// The year ends an hour before the site was made, so that nothing of it lies in the future.
fn end_of_year(made_at: Timestamp) -> Timestamp {
    made_at.checked_sub(1.hour()).unwrap_or(made_at)
}

fn cdnow(store: &Store) -> anyhow::Result<Option<Arc<Site>>> {
    let new = NewSite {
        name: CDNOW.to_owned(),
        domains: vec!["cdnow.test".into()],
        currency: Currency::USD,
        time_zone: "America/New_York".into(),
        tag_consent: TagConsent::Measure,
    };
    let site = match store.add_site(&new) {
        Ok((site, _)) => site,
        Err(SiteError::NameTaken(_)) => store.site_named(CDNOW)?,
        Err(error) => return Err(error.into()),
    };
    let is_loaded = store.outcomes(site.site_id, 0)?.stored >= CDNOW_LINES;
    Ok((!is_loaded).then(|| Arc::new(site)))
}

impl Prepared {
    /// Loads what is missing into the server that runs at `url`, then says that it is ready; on a thread of its own.
    pub(crate) fn load_then_announce(self, store: Store, url: String) {
        let started = std::thread::Builder::new().name("demo".to_owned()).spawn(move || {
            if let Err(error) = self.load(&store, &url) {
                tracing::error!("the demo is not complete; start again to go on: {error:#}");
            }
            say(&format!("ready: {url} {}", self.login));
        });
        if let Err(error) = started {
            tracing::error!(%error, "the demo cannot be loaded");
        }
    }

    fn load(&self, store: &Store, url: &str) -> anyhow::Result<()> {
        if let Some(cdnow) = &self.cdnow {
            eprintln!("demo: loading the CDNOW orders …");
            crate::import::orders(store, cdnow, super::CDNOW_ORDERS)?;
        }
        if let Some(shop) = &self.shop {
            shop.load(store, url)?;
        }
        if self.cdnow.is_some() || self.shop.is_some() {
            eprintln!("demo: projecting …");
            crate::projector::drain(store)?;
        }
        Ok(())
    }
}

impl Shop {
    fn load(&self, store: &Store, url: &str) -> anyhow::Result<()> {
        let end = self.end.to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
        let months: Vec<_> = (0..=13).map(|ago| end.checked_sub(ago.months())).collect::<Result<_, _>>()?;
        store.ensure_months(today(), months)?;
        self.tell_marketing(store, end)?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let key = base64::engine::general_purpose::STANDARD.encode(format!("{}:", self.secret_key));
        let (mut sent, mut told) = (0_usize, Instant::now());
        let mut batch = Vec::with_capacity(BATCH);
        let mut messages = super::messages(SEED, self.end, PEOPLE).peekable();
        while let Some(message) = messages.next() {
            batch.push(message);
            if batch.len() < BATCH && messages.peek().is_some() {
                continue;
            }
            if messages.peek().is_none() {
                // The last message tells the next start that all is there, so this comes before it.
                self.tell_measures(store)?;
            }
            sent += batch.len();
            post(&agent, &format!("{url}v1/batch"), &key, std::mem::take(&mut batch))?;
            if told.elapsed() >= Duration::from_secs(1) {
                told = Instant::now();
                eprintln!("demo: {sent} events of {} sent …", self.site.name);
            }
        }
        eprintln!("demo: {sent} events of {} sent", self.site.name);
        Ok(())
    }
}

impl Shop {
    /// What was measured on the page views of the last weeks, told by the newest snapshot of each. Its id follows from
    /// the view's, so that one that is told again is known.
    fn tell_measures(&self, store: &Store) -> anyhow::Result<()> {
        let site = Arc::new(self.site.clone());
        let source: Arc<str> = source::SEGMENT.into();
        let since = self.end.checked_sub(jiff::SignedDuration::from_hours(24 * MEASURED_DAYS))?;
        let views = store.page_views(site.site_id, since)?;
        let mut connection = store.connect()?;
        let mut ingest = Ingest::new();
        for views in views.chunks(BATCH) {
            let events = views.iter().map(|view| measured(&source, view)).collect();
            let batch =
                SiteBatch { site: Arc::clone(&site), source: Arc::clone(&source), events, rejections: Vec::new() };
            ingest.store(&mut connection, &[batch], clock::now_us(), || {})?;
        }
        eprintln!("demo: {} page views of {} measured", views.len(), self.site.name);
        Ok(())
    }

    /// What others counted; told again it replaces itself.
    fn tell_marketing(&self, store: &Store, end: jiff::civil::Date) -> anyhow::Result<()> {
        let site_id = self.site.site_id;
        store.put_ad_spend(site_id, "import:demo", super::marketing::spend(SEED, end))?;
        store.put_search_performance(site_id, "import:demo", super::marketing::searches(SEED, end, super::DOMAIN))?;
        store.put_web_history(site_id, super::marketing::history(SEED, end))?;
        Ok(())
    }
}

/// The snapshot of a page view, as a server's copy of what the browser said.
fn measured(source: &Arc<str>, view: &PageView) -> NewEvent {
    let (.., low) = view.event_id.as_u64_pair();
    let mut random = super::random::Random::new(SEED, low);
    let path = view.page.find('/').map_or("/", |at| &view.page[at..]);
    let software = view.software.as_deref().unwrap_or("");
    let (values, measures, after_ms) = super::measures::snapshot(&mut random, path, software);
    let mut id = view.event_id.into_bytes();
    wire::shift_id(&mut id, after_ms);
    let key = EventKey::Own(uuid::Uuid::from_bytes(id));
    let who = Who::Known { kind: domain::identity::Kind::Visitor, value: view.visitor.as_str().into() };
    let moment = (view.occurred_at_us + after_ms * 1_000, flags::TRUSTED);
    let mut event = NewEvent::new(source, Kind::Snapshot, key, who, moment);
    event.view_id = Some(view.event_id);
    event.snapshot = Some(values);
    event.properties = stored_measures(&measures);
    event.set(Term::Software, view.software.as_deref().map(Arc::from));
    event
}

fn post(agent: &ureq::Agent, url: &str, key: &str, batch: Vec<serde_json::Value>) -> anyhow::Result<()> {
    let body = serde_json::json!({ "batch": batch });
    for _ in 0..20 {
        let mut response = agent.post(url).header("Authorization", &format!("Basic {key}")).send_json(&body)?;
        let status = response.status().as_u16();
        if status == 503 || status == 429 {
            std::thread::park_timeout(Duration::from_millis(500));
            continue;
        }
        let told: serde_json::Value = response.body_mut().read_json().context("the server's answer is no JSON")?;
        if status != 200 || told["rejected"] != 0 {
            bail!("the server answered {status} {told}");
        }
        return Ok(());
    }
    bail!("the server has been busy for too long")
}
