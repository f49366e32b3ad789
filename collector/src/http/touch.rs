//! The pixel and the links of newsletters.
//!
//! A click is led on whatever becomes of its event: the person in front of it has done nothing wrong. Only an address
//! that stands in the store can be led to.

use super::State;
use super::intake::{Arrival, picture, take};
use crate::intake::touch::{Act, Token, event, landing};
use crate::intake::{Refusal, source};
use crate::store::sites::{Site, SiteDirectory};
use crate::store::touch::TouchLink;
use crate::store::{Store, StoreError};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::event::Trust;
use std::sync::Arc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/o/{token}.gif", web::get().to(opened));
    config.route("/o/{token}.gif", web::head().to(picture_alone));
    config.route("/c/{token}", web::get().to(clicked));
    config.route("/c/{token}", web::head().to(led_on));
}

/// What a token with a right signature names.
struct Touch {
    site: Arc<Site>,
    token: Token,
    link: TouchLink,
    /// The recipient's address; `None` of a mail for nobody in particular, and of a recipient who is forgotten.
    email: Option<String>,
}

fn find(store: &Store, text: &str, sites: &SiteDirectory) -> Result<Option<Touch>, StoreError> {
    let Some(token) = Token::read(text) else { return Ok(None) };
    if !store.touch_key(token.site_id)?.is_some_and(|key| token.is_signed(text, &key)) {
        return Ok(None);
    }
    let (Some(site), Some(link)) = (sites.by_number(token.site_id)?, store.touch_link(token.site_id, token.link_id)?)
    else {
        return Ok(None);
    };
    let email = match token.identity_id {
        0 => None,
        identity_id => store.touch_recipient(token.site_id, identity_id)?,
    };
    Ok(Some(Touch { site, token, link, email }))
}

async fn look_up(state: &web::Data<State>, text: String) -> Result<Option<Touch>, ()> {
    let (store, sites) = (state.store.clone(), Arc::clone(&state.sites));
    let found = web::block(move || find(&store, &text, &sites)).await;
    match found {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a newsletter's link cannot be looked up");
            Err(())
        }
        Err(_) => Err(()),
    }
}

/// Stores what the recipient did, as far as it can be.
async fn keep(state: &web::Data<State>, request: &HttpRequest, act: Act, touch: &Touch) {
    let Some(email) = &touch.email else { return };
    let arrival = Arrival { site: &touch.site, source: source::NEWSLETTER, trust: Trust::Trusted };
    let kept = take(state, request, &arrival, |sender| event(sender, act, touch.token, email, &touch.link)).await;
    match kept {
        Ok(()) => {}
        // A mail program asks again by itself at most for the pixel: what is lost here is lost, and told.
        Err(refusal @ (Refusal::Flood { .. } | Refusal::Unavailable(_))) => {
            tracing::warn!(site = touch.site.site_id, %refusal, "an opening or click of a newsletter is lost");
        }
        Err(refusal) => tracing::error!(site = touch.site.site_id, %refusal, "an opening or click is not taken"),
    }
}

async fn opened(state: web::Data<State>, request: HttpRequest, text: web::Path<String>) -> HttpResponse {
    if let Ok(Some(touch)) = look_up(&state, text.into_inner()).await {
        keep(&state, &request, Act::Opened, &touch).await;
    }
    // Whoever shows a mail sees no broken picture, whatever the token.
    picture()
}

async fn picture_alone() -> HttpResponse {
    picture()
}

async fn clicked(state: web::Data<State>, request: HttpRequest, text: web::Path<String>) -> HttpResponse {
    match look_up(&state, text.into_inner()).await {
        Ok(Some(touch)) if !touch.link.url.is_empty() => {
            keep(&state, &request, Act::Clicked, &touch).await;
            lead_to(&touch.link)
        }
        Ok(_) => nowhere(),
        Err(()) => HttpResponse::ServiceUnavailable().insert_header((header::RETRY_AFTER, "2")).finish(),
    }
}

/// Programs that look where a link leads before anybody clicks are told, and counted nowhere.
async fn led_on(state: web::Data<State>, text: web::Path<String>) -> HttpResponse {
    match look_up(&state, text.into_inner()).await {
        Ok(Some(touch)) if !touch.link.url.is_empty() => lead_to(&touch.link),
        Ok(_) => nowhere(),
        Err(()) => HttpResponse::ServiceUnavailable().insert_header((header::RETRY_AFTER, "2")).finish(),
    }
}

fn lead_to(link: &TouchLink) -> HttpResponse {
    HttpResponse::Found()
        .insert_header((header::LOCATION, landing(link)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .finish()
}

fn nowhere() -> HttpResponse {
    HttpResponse::NotFound()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("text/plain; charset=utf-8")
        .body("This link is not valid any more. Please open the mail again, or visit the sender's own site.\n")
}
