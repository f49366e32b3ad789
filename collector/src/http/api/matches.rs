//! People who are probably one, for programs: what waits, what was decided, and deciding.

use super::joins::{SAID_BY, identifier};
use super::{ApiError, with_site};
use crate::http::State;
use crate::intake::clock;
use crate::store::StoreError;
use crate::store::identities::Decided;
use crate::store::sites::Site;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::event::Trust;
use domain::report::{Match, MatchEvidence, MatchPerson};
use serde::Deserialize;
use serde_json::{Value, json};

/// Matches of one answer.
const PER_PAGE: u32 = 100;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/api/v1/matches", web::get().to(book))
        .route("/api/v1/matches/look", web::post().to(look))
        .route("/api/v1/matches/{match_id:\\d{1,18}}/join", web::post().to(join))
        .route("/api/v1/matches/{match_id:\\d{1,18}}/refuse", web::post().to(refuse))
        .route("/api/v1/matches/{match_id:\\d{1,18}}/undo", web::post().to(undo));
}

#[derive(Deserialize)]
struct PageQuery {
    page: Option<u32>,
}

fn person(of: &MatchPerson) -> Value {
    json!({
        "identifier": identifier(&of.identifier),
        "name": of.name,
        "first_seen": of.first_seen,
        "last_seen": of.last_seen,
        "orders": of.orders,
        "revenue": { "minor": of.revenue.minor, "currency": of.revenue.currency },
    })
}

fn evidence(of: &MatchEvidence) -> Value {
    let value =
        |side: &Option<(String, Trust)>| side.as_ref().map(|(text, trust)| json!({ "value": text, "trust": trust }));
    json!({
        "comparison": of.evidence.comparison.key(),
        "level": of.evidence.level.key(),
        "bits": of.evidence.bits,
        "rarity_bits": of.evidence.rarity_bits,
        "one": value(&of.one),
        "other": value(&of.other),
    })
}

fn told(of: &Match) -> Value {
    json!({
        "match_id": of.match_id,
        "state": of.state.key(),
        "probability": of.probability,
        "rests_on": of.rests_on,
        "evidence": of.evidence.iter().map(evidence).collect::<Vec<_>>(),
        "household_bits": of.household_bits,
        "one": person(&of.one),
        "other": person(&of.other),
        "found_at": of.found_at,
        "decided_at": of.decided.as_ref().map(|(at, _)| at),
        "decided_by": of.decided.as_ref().map(|(_, who)| who),
    })
}

async fn book(
    state: web::Data<State>,
    request: HttpRequest,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    let now = crate::store::instant(clock::now_us());
    let page = query.page.unwrap_or(1).clamp(1, 1_000_000);
    let book = with_site(state, &request, move |state, site| {
        Ok(state.store.match_book(site, (page, PER_PAGE), (None, None), now)?)
    })
    .await?;
    Ok(HttpResponse::Ok().json(json!({
        "open": book.open.iter().map(told).collect::<Vec<_>>(),
        "page": book.paging.page,
        "pages": book.paging.pages(),
        "total": book.paging.total,
        "decided": book.decided.iter().map(told).collect::<Vec<_>>(),
        "threshold": book.look.threshold,
        "compared_at": book.look.made_at,
        "is_due": book.look.is_due || book.look.progress.is_some(),
    })))
}

async fn look(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    with_site(state, &request, |state, site| Ok(state.store.ask_for_matches(site.site_id)?)).await?;
    Ok(HttpResponse::Accepted().json(json!({ "is_due": true })))
}

async fn decide(
    state: web::Data<State>,
    request: &HttpRequest,
    decide: impl FnOnce(&State, &Site) -> Result<Decided, StoreError> + Send + 'static,
) -> Result<HttpResponse, ApiError> {
    let people = with_site(state, request, move |state, site| match decide(state, site)? {
        Decided::Now(people) => Ok(people),
        Decided::HeldBack(refusal) => Err(ApiError::Conflict(format!("the two are not joined: {refusal}"))),
        Decided::Gone => Err(ApiError::NotFound("no such match waits for this; it may be decided already".to_owned())),
    });
    Ok(HttpResponse::Ok().json(json!({ "profile_ids": people.await? })))
}

async fn join(
    state: web::Data<State>,
    request: HttpRequest,
    match_id: web::Path<i64>,
) -> Result<HttpResponse, ApiError> {
    decide(state, &request, move |state, site| state.store.join_match(site.site_id, *match_id, SAID_BY)).await
}

async fn refuse(
    state: web::Data<State>,
    request: HttpRequest,
    match_id: web::Path<i64>,
) -> Result<HttpResponse, ApiError> {
    decide(state, &request, move |state, site| state.store.refuse_match(site.site_id, *match_id, SAID_BY)).await
}

async fn undo(
    state: web::Data<State>,
    request: HttpRequest,
    match_id: web::Path<i64>,
) -> Result<HttpResponse, ApiError> {
    decide(state, &request, move |state, site| state.store.undo_match(site.site_id, *match_id, SAID_BY)).await
}
