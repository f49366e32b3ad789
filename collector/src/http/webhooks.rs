//! Where vendors' webhooks come in: `/hooks/<address>`, an address that nobody can guess for each source.

use super::intake::{self, Answer, answer, header_text, receipt};
use super::{State, peer};
use crate::intake::screen::{Fault, Sender};
use crate::intake::webhook::{self, Request, Told, Vendor};
use crate::intake::writer::Unavailable;
use crate::intake::{Reason, Refusal, body, clock};
use crate::store::sites::Site;
use crate::store::sources::{Source, SourceKind};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::event::Trust;
use std::sync::Arc;
use std::time::Instant;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/hooks/{address}").route(web::post().to(post)).route(web::get().to(get)));
}

/// Some vendors look whether the address is there before they send anything to it.
async fn get(state: web::Data<State>, request: HttpRequest, address: web::Path<String>) -> HttpResponse {
    match source(&state, &request, &address).await {
        Ok(Some((_, vendor, _))) if vendor.asks_first() => HttpResponse::Ok().finish(),
        Ok(Some(_)) => HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "POST")).finish(),
        Ok(None) => HttpResponse::NotFound().finish(),
        Err(refusal) => answer(&request, Err(refusal), receipt),
    }
}

async fn post(
    state: web::Data<State>,
    request: HttpRequest,
    address: web::Path<String>,
    payload: web::Payload,
) -> HttpResponse {
    let found = match source(&state, &request, &address).await {
        Ok(found) => found,
        Err(refusal) => return answer(&request, Err(refusal), receipt),
    };
    let Some((source, vendor, site)) = found else { return HttpResponse::NotFound().finish() };
    answer(&request, take(&state, &request, payload, (&source, vendor), site).await, receipt)
}

/// The source of an address, whose webhooks it takes, and its site. Whoever tries addresses is slowed down.
async fn source(
    state: &web::Data<State>,
    request: &HttpRequest,
    address: &str,
) -> Result<Option<(Source, Vendor, Arc<Site>)>, Refusal> {
    let flood = |retry_after| Refusal::Flood { retry_after };
    state.per_address.take(peer(state, request), 1, Instant::now()).map_err(flood)?;
    let (sites, store, address) = (Arc::clone(&state.sites), state.store.clone(), address.to_owned());
    let found = web::block(move || {
        let Some(source) = store.source_at(&address)? else { return Ok(None) };
        // Nothing is posted to a connector.
        let SourceKind::Webhook(vendor) = source.kind else { return Ok(None) };
        Ok::<_, crate::store::StoreError>(sites.by_number(source.site_id)?.map(|site| (source, vendor, site)))
    });
    match found.await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(_)) | Err(_) => Err(Refusal::Unavailable(Unavailable::Away)),
    }
}

async fn take(
    state: &web::Data<State>,
    request: &HttpRequest,
    payload: web::Payload,
    (source, vendor): (&Source, Vendor),
    site: Arc<Site>,
) -> Result<Answer, Refusal> {
    let raw = intake::read(payload).await?;
    let bytes = body::decode(&raw)?;
    let agent = header_text(request, header::USER_AGENT);
    let sender = Sender::new(Arc::clone(&site), &source.key, Trust::Trusted, clock::now_us(), None, agent);
    let posted = Request {
        header: &|name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned),
        query: request.query_string(),
        body: &bytes,
    };
    let told = webhook::read(vendor, source.secret.expose(), &source.settings, &posted, &sender);
    let refusal = told.as_ref().err().copied();
    let told = match told {
        Err(unsigned) => refused(Reason::BadSignature, unsigned.to_string()),
        Ok(_) if !source.is_active => refused(Reason::SourcePaused, "the source is paused".to_owned()),
        Ok(told) => told,
    };
    let events = told.events.len() + told.rejections.len();
    let flood = |retry_after| Refusal::Flood { retry_after };
    state.per_key.take((site.site_id, Trust::Trusted), events, Instant::now()).map_err(flood)?;
    let kept = intake::store(state, request, &site, sender.source, told.events, told.rejections, bytes.len()).await?;
    match refusal {
        Some(unsigned) => Err(Refusal::Unsigned(unsigned)),
        None => Ok(kept),
    }
}

fn refused(reason: Reason, detail: String) -> Told {
    Told { events: Vec::new(), rejections: vec![Fault::new(reason, detail).rejection(None)] }
}
