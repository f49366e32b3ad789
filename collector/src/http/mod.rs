//! HTTP: which path is whose, and what all requests share.

mod api;
pub(crate) mod assets;
mod auth;
mod demo;
pub mod intake;
mod metrics;
mod pages;
mod touch;
mod webhooks;

use crate::analysis::Analysis;
use crate::intake::enrich::Enricher;
use crate::intake::limits::Buckets;
use crate::intake::measure::Salts;
use crate::intake::writer::Writer;
use crate::serve::Role;
use crate::store::Store;
use crate::store::sites::SiteDirectory;
use actix_web::{HttpRequest, HttpResponse, web};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What every handler can reach.
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) sites: Arc<SiteDirectory>,
    pub(crate) salts: Arc<Salts>,
    pub(crate) enricher: Enricher,
    pub(crate) writer: Writer,
    pub(crate) per_address: Buckets<IpAddr>,
    pub(crate) per_key: Buckets<(i32, domain::event::Trust)>,
    /// Addresses of proxies whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<IpAddr>,
    /// The address that owners and visitors know, where it is not the one that requests name.
    pub(crate) public_url: Option<String>,
    /// The demo's pages are served.
    pub(crate) demo: bool,
    /// What `/metrics` asks for; without it there is no such page.
    pub(crate) metrics_token: Option<String>,
    /// What a file may have that is uploaded to be imported, in MiB.
    pub(crate) import_limit_mib: u64,
    /// Events projected by this process.
    pub(crate) projected: Arc<AtomicU64>,
    /// People in memory, where this process has pages.
    pub(crate) analysis: Option<Analysis>,
}

/// Registers the routes of a role.
pub(crate) fn routes(config: &mut web::ServiceConfig, role: Role) {
    if matches!(role, Role::All | Role::Collector) {
        intake::routes(config);
        touch::routes(config);
        webhooks::routes(config);
        assets::tracker_routes(config);
    }
    if matches!(role, Role::All | Role::Dashboard) {
        api::routes(config);
        assets::page_routes(config);
        auth::routes(config);
        pages::routes(config);
    }
    config.configure(demo::routes);
    config.route("/metrics", web::get().to(metrics::metrics));
    config.route("/healthz", web::get().to(healthz));
    config.route("/readyz", web::get().to(readyz));
}

/// The visitor's address: the peer's, or, behind a proxy that is trusted, what it forwards.
fn peer(state: &State, request: &HttpRequest) -> IpAddr {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical());
    if !state.trusted_proxies.contains(&peer) {
        return peer;
    }
    let lines = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    // From the right: the first that is not one of our own proxies is the last we know not to be made up. What stands
    // left of a hop that cannot be read is not to be believed either.
    for hop in hops.into_iter().rev() {
        let address = hop.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|hop| hop.ip()));
        match address.map(|address| address.to_canonical()) {
            Ok(address) if state.trusted_proxies.contains(&address) => {}
            Ok(address) => return address,
            Err(_) => return peer,
        }
    }
    peer
}

/// How the sender of a request reached this server.
struct Reached<'a> {
    /// With its port, where one is named.
    host: Option<&'a str>,
    is_https: bool,
}

/// As the request says, or, behind a proxy that is trusted, as that one does.
fn reached<'a>(state: &State, request: &'a HttpRequest) -> Reached<'a> {
    let peer = request.peer_addr().map(|address| address.ip().to_canonical());
    let is_proxied = peer.is_some_and(|peer| state.trusted_proxies.contains(&peer));
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let forwarded = |name| text(name).filter(|_| is_proxied).and_then(|value| value.split(',').next()).map(str::trim);
    Reached {
        host: forwarded("x-forwarded-host").or_else(|| text("host")),
        is_https: forwarded("x-forwarded-proto") == Some("https"),
    }
}

/// The value of a cookie; of several with one name the first, which is the one of the longest path.
fn cookie<'a>(request: &'a HttpRequest, wanted: &str) -> Option<&'a str> {
    let lines = request.headers().get_all("cookie").filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == wanted && !value.is_empty()).then_some(value)
    })
}

/// The process is alive.
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "alive": true }))
}

/// The process can store: the database answers and takes writes.
async fn readyz(state: web::Data<State>) -> HttpResponse {
    let store = state.store.clone();
    let ready = web::block(move || store.can_write()).await;
    let away = state.writer.is_away();
    match ready {
        Ok(Ok(())) if !away => HttpResponse::Ok().json(serde_json::json!({ "ready": true })),
        Ok(Ok(())) => unready("the last batch could not be stored"),
        Ok(Err(error)) => unready(&error.to_string()),
        Err(_) => unready("the server is stopping"),
    }
}

fn unready(why: &str) -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header(("Retry-After", "2"))
        .json(serde_json::json!({ "ready": false, "why": why }))
}
