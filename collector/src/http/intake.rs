//! The ingest routes: our tracker's, and what all of them share: who is let in, and what a sender is told.

mod identity;
mod protocols;
mod watched;

use super::{State, peer};
use crate::intake::enrich::{Address, Origin};
use crate::intake::limits::Rate;
use crate::intake::message::Request;
use crate::intake::protocol::{Key, Parcel};
use crate::intake::writer::Unavailable;
use crate::intake::{BATCH_BYTES, Reason, Refusal, body, clock, plan, proof, screen, source, tracker};
use crate::store::events::{NewEvent, flags};
use crate::store::ingest::{Receipt, Rejection, SiteBatch};
use crate::store::sites::Site;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use domain::event::Trust;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Events per second and burst of one address with a public key. A page sends a handful; an office or a mobile
/// carrier shares an address among hundreds.
pub const ADDRESS_RATE: Rate = Rate { per_second: 500, burst: 10_000 };
/// Events per second and burst of one key.
pub const KEY_RATE: Rate = Rate { per_second: 20_000, burst: 200_000 };

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(resource("/v1/events").route(web::post().to(events)));
    protocols::routes(config);
}

/// An ingest route answers preflights of any page.
fn resource(path: &str) -> actix_web::Resource {
    web::resource(path).route(web::method(actix_web::http::Method::OPTIONS).to(preflight))
}

async fn preflight(request: HttpRequest) -> HttpResponse {
    let mut response = HttpResponse::Ok().finish();
    allow_origin(request.headers(), response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    if let Some(wanted) = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}

fn allow_origin(request: &HeaderMap, response: &mut HeaderMap) {
    if let Some(origin) = request.get(header::ORIGIN) {
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.append(header::VARY, HeaderValue::from_static("Origin"));
        // Without this a page's script cannot read when to come back.
        response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    }
}

/// What became of a request's events.
#[derive(Clone, Copy, Default)]
pub(super) struct Answer {
    pub(super) receipt: Receipt,
    /// An event was rejected for its clock: the tracker mints it anew by our time.
    pub(super) clock: bool,
}

/// What our tracker and the SDKs of Segment are told.
pub(super) fn receipt(answer: &Answer) -> HttpResponse {
    HttpResponse::Ok().json(told(answer))
}

fn told(answer: &Answer) -> serde_json::Value {
    let receipt = answer.receipt;
    let mut told = serde_json::json!({
        "success": true,
        "stored": receipt.stored,
        "duplicate": receipt.duplicate,
        "rejected": receipt.rejected,
        "server_time_ms": clock::now_us() / 1_000,
    });
    if answer.clock {
        told["clock"] = true.into();
    }
    told
}

/// The answer of an ingest route; `told` is what its protocol calls success.
pub(super) fn answer(
    request: &HttpRequest,
    result: Result<Answer, Refusal>,
    told: impl FnOnce(&Answer) -> HttpResponse,
) -> HttpResponse {
    let mut response = match result {
        Ok(answer) => told(&answer),
        Err(refusal) => refuse(&refusal),
    };
    allow_origin(request.headers(), response.headers_mut());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refuse(refusal: &Refusal) -> HttpResponse {
    let retry_after = |status: StatusCode, after: Duration| {
        let mut response = HttpResponse::build(status);
        response.insert_header((header::RETRY_AFTER, after.as_secs().max(1).to_string()));
        response
    };
    let mut response = match refusal {
        Refusal::Unreadable(_) => HttpResponse::BadRequest(),
        Refusal::UnknownKey | Refusal::Unsigned(_) => HttpResponse::Unauthorized(),
        Refusal::TooLarge(_) => HttpResponse::PayloadTooLarge(),
        Refusal::Origin { .. } => HttpResponse::Forbidden(),
        Refusal::Flood { retry_after: after } => {
            retry_after(StatusCode::TOO_MANY_REQUESTS, *after + Duration::from_millis(999))
        }
        Refusal::Unavailable(why) => {
            let after = if *why == Unavailable::Full { 30 } else { 2 };
            retry_after(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(after))
        }
    };
    response.json(serde_json::json!({ "success": false, "error": refusal.to_string() }))
}

pub(super) async fn read(payload: web::Payload) -> Result<web::Bytes, Refusal> {
    match payload.to_bytes_limited(BATCH_BYTES).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(Refusal::Unreadable(format!("body broke off: {error}"))),
        Err(_) => Err(body::too_large()),
    }
}

pub(super) fn header_text(request: &HttpRequest, name: header::HeaderName) -> Option<&str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// The site of a key. A key that is not known is looked up off the event loop.
async fn site_of(state: &web::Data<State>, key: &str) -> Result<(Arc<Site>, Trust), Refusal> {
    if let Some(found) = state.sites.known(key) {
        return Ok(found);
    }
    let (sites, key) = (Arc::clone(&state.sites), key.to_owned());
    let found = web::block(move || sites.by_key(&key)).await;
    match found {
        Ok(Ok(Some(found))) => Ok(found),
        Ok(Ok(None)) => Err(Refusal::UnknownKey),
        Ok(Err(_)) | Err(_) => Err(Refusal::Unavailable(Unavailable::Away)),
    }
}

/// Token buckets and, for public keys, the page's domain. A refused origin is counted event by event.
async fn admit(
    state: &web::Data<State>,
    request: &HttpRequest,
    site: &Arc<Site>,
    source: &str,
    trust: Trust,
    events: usize,
) -> Result<(), Refusal> {
    let now = Instant::now();
    let flood = |retry_after| Refusal::Flood { retry_after };
    if trust == Trust::Browser {
        state.per_address.take(peer(state, request), events, now).map_err(flood)?;
    }
    state.per_key.take((site.site_id, trust), events, now).map_err(flood)?;
    if let Err(host) = tracker::origin_allowed(site, trust, header_text(request, header::ORIGIN)) {
        let fault = || screen::Fault::new(Reason::OriginNotAllowed, format!("posted from a page of {host}"));
        let rejections = (0..events).map(|_| fault().rejection(None)).collect();
        store(state, request, site, source.into(), Vec::new(), rejections, 0).await?;
        return Err(Refusal::Origin { host });
    }
    Ok(())
}

/// The way of every adapter's events into the store: what is found out about them comes in between.
pub(super) async fn store(
    state: &web::Data<State>,
    request: &HttpRequest,
    site: &Arc<Site>,
    source: Arc<str>,
    events: Vec<NewEvent>,
    rejections: Vec<Rejection>,
    bytes: usize,
) -> Result<Answer, Refusal> {
    let batch = screened(state, request, SiteBatch { site: Arc::clone(site), source, events, rejections });
    write(state, batch, bytes).await
}

/// A batch after the steps that all adapters' events take.
fn screened(state: &web::Data<State>, request: &HttpRequest, mut batch: SiteBatch) -> SiteBatch {
    let events = proof::settle(&batch.site, batch.events, &mut batch.rejections);
    batch.events = plan::screen(&batch.site, events, &mut batch.rejections);
    let agent = header_text(request, header::USER_AGENT);
    state.enricher.enrich(Origin { address: Address(peer(state, request)), agent }, &mut batch.events);
    batch
}

async fn write(state: &web::Data<State>, batch: SiteBatch, bytes: usize) -> Result<Answer, Refusal> {
    let clock = batch.rejections.iter().any(|rejection| rejection.reason == Reason::ClockOutOfRange.name());
    if batch.events.is_empty() && batch.rejections.is_empty() {
        return Ok(Answer { receipt: Receipt::default(), clock });
    }
    let receipt = state.writer.store(batch, bytes).await?;
    Ok(Answer { receipt, clock })
}

/// Whose event comes in by a route of another module.
pub(super) struct Arrival<'a> {
    pub(super) site: &'a Arc<Site>,
    /// The source's key.
    pub(super) source: &'static str,
    pub(super) trust: Trust,
}

/// Takes in one event of another module's route.
pub(super) async fn take(
    state: &web::Data<State>,
    request: &HttpRequest,
    arrival: &Arrival<'_>,
    read: impl FnOnce(&screen::Sender) -> Result<NewEvent, screen::Fault>,
) -> Result<(), Refusal> {
    admit(state, request, arrival.site, arrival.source, arrival.trust, 1).await?;
    let agent = header_text(request, header::USER_AGENT);
    let (site, trust) = (Arc::clone(arrival.site), arrival.trust);
    let sender = screen::Sender::new(site, arrival.source, trust, clock::now_us(), None, agent);
    let (events, rejections) = match read(&sender) {
        Ok(event) => (vec![event], Vec::new()),
        Err(fault) => (Vec::new(), vec![fault.rejection(None)]),
    };
    store(state, request, arrival.site, sender.source, events, rejections, 0).await?;
    Ok(())
}

/// A picture of one transparent point.
pub(super) fn picture() -> HttpResponse {
    let mut response = protocols::gif(&Answer::default());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn events(state: web::Data<State>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let mut watch = watched::Watch::of(&request);
    let mut identity = identity::Identity::default();
    let result = wire_batch(&state, &request, payload, &mut watch, &mut identity).await;
    let mut response = answer(&request, result, |answer| identity.tell(answer, watch.told(answer)));
    identity.allow(response.headers_mut());
    response
}

async fn wire_batch(
    state: &web::Data<State>,
    request: &HttpRequest,
    payload: web::Payload,
    watch: &mut watched::Watch,
    identity: &mut identity::Identity,
) -> Result<Answer, Refusal> {
    let raw = read(payload).await?;
    let decoded = body::decode(&raw)?;
    let batch = wire::decode(&decoded).map_err(|error| {
        Refusal::Unreadable(format!("body is no batch: expected {} at byte {}", error.expected, error.at))
    })?;
    if batch.records.len() > crate::intake::BATCH_EVENTS {
        let limit = crate::intake::BATCH_EVENTS;
        return Err(Refusal::TooLarge(format!("batch has {} events, limit {limit}", batch.records.len())));
    }
    let (site, trust) = site_of(state, &batch.write_key).await?;
    *identity = identity::Identity::of(state, request, (&site, trust), &batch);
    admit(state, request, &site, source::TRACKER, trust, batch.records.len()).await?;
    let agent = header_text(request, header::USER_AGENT);
    let sent_at_us = Some(batch.sent_at_ms.saturating_mul(1_000)).filter(|us| *us > 0);
    let sender = screen::Sender::new(Arc::clone(&site), source::TRACKER, trust, clock::now_us(), sent_at_us, agent);
    if watch.is_due(&sender, batch.records.len()) {
        return watch.store_each(state, request, &batch, &sender, identity).await;
    }
    let (mut events, rejections) = tracker::read(&batch, &sender, &state.salts, peer(state, request));
    identity.join(&mut events);
    store(state, request, &site, sender.source, events, rejections, decoded.len()).await
}

/// The site that a request of another protocol is for.
async fn site_named(state: &web::Data<State>, key: Option<&Key>) -> Result<(Arc<Site>, Trust), Refusal> {
    match key {
        Some(Key::Own(key)) => site_of(state, key).await,
        Some(Key::Domain(domain)) => {
            if let Some(site) = state.sites.known_by_domain(domain) {
                return Ok((site, Trust::Browser));
            }
            let (sites, domain) = (Arc::clone(&state.sites), domain.clone());
            match web::block(move || sites.by_domain(&domain)).await {
                Ok(Ok(Some(site))) => Ok((site, Trust::Browser)),
                Ok(Ok(None)) => Err(Refusal::UnknownKey),
                Ok(Err(_)) | Err(_) => Err(Refusal::Unavailable(Unavailable::Away)),
            }
        }
        None => Err(Refusal::UnknownKey),
    }
}

/// Whose a request of another protocol is, with the trust that its key gives.
async fn sender_of(
    state: &web::Data<State>,
    request: &HttpRequest,
    parcel: &Parcel<'_>,
) -> Result<screen::Sender, Refusal> {
    let (site, trust) = site_named(state, parcel.key.as_ref()).await?;
    let agent = header_text(request, header::USER_AGENT);
    // A trusted sender's clock is taken at its word: an old timestamp is meant.
    let sent_at_us = parcel.sent_at_us.filter(|_| trust == Trust::Browser);
    Ok(screen::Sender::new(site, parcel.source, trust, clock::now_us(), sent_at_us, agent))
}

/// Lets a request of another protocol in, reads its messages and stores them; `bytes` is its size unpacked.
async fn deliver(
    state: &web::Data<State>,
    request: &HttpRequest,
    parcel: Parcel<'_>,
    bytes: usize,
) -> Result<Answer, Refusal> {
    parcel.check()?;
    let sender = sender_of(state, request, &parcel).await?;
    admit(state, request, &sender.site, parcel.source, sender.trust, parcel.messages.len()).await?;
    let (events, rejections) = parcel.read(&around(state, request, &sender));
    store(state, request, &sender.site, Arc::clone(&sender.source), events, rejections, bytes).await
}

/// Whether a header says yes as `Sec-GPC` and `DNT` do.
fn is_on(request: &HttpRequest, name: &str) -> bool {
    request.headers().get(name).is_some_and(|value| value.as_bytes() == b"1")
}

fn around<'a>(state: &'a State, request: &HttpRequest, sender: &'a screen::Sender) -> Request<'a> {
    let bit = |name: &str, bit: i16| if is_on(request, name) { bit } else { 0 };
    let signals = bit("sec-gpc", flags::GPC) | bit("dnt", flags::DNT);
    Request { sender, salts: &state.salts, address: peer(state, request), signals }
}

/// The user name of Basic auth, where Segment's SDKs put the key.
fn basic_key(request: &HttpRequest) -> Option<String> {
    let encoded = header_text(request, header::AUTHORIZATION)?.strip_prefix("Basic ")?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let key = text.split(':').next().unwrap_or("").trim();
    (!key.is_empty()).then(|| key.to_owned())
}
