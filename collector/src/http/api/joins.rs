//! Who is who for programs: how identifiers came together, merges taken back and allowed again.

use super::{ApiError, with_site};
use crate::http::State;
use crate::intake::clock;
use crate::store::Store;
use crate::store::identities::Undone;
use crate::store::sites::Site;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::identity::Reason;
use domain::report::{Identifier, JoinLink, KeptApart, RefusedJoins};
use serde_json::{Value, json};

/// Who is noted as having asked for it.
pub(super) const SAID_BY: &str = "the API";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/api/v1/identities", web::get().to(book))
        .route("/api/v1/merges/{link_id:\\d{1,18}}/undo", web::post().to(undo))
        .route("/api/v1/apart/{one:\\d{1,18}}/{other:\\d{1,18}}", web::delete().to(allow));
}

pub(super) fn identifier(of: &Identifier) -> Value {
    json!({ "identity_id": of.identity_id, "kind": of.kind, "value": of.value, "profile_id": of.profile_id })
}

fn link(link: &JoinLink) -> Value {
    json!({
        "link_id": link.link_id,
        "at": link.at,
        "from": identifier(&link.from),
        "to": identifier(&link.to),
        "call": link.call,
        "source": link.source,
        "merged": link.merged.map(Reason::key),
        "decided_by": link.decided.as_ref().map(|(who, _)| who),
        "probability": link.decided.as_ref().map(|(_, probability)| probability),
    })
}

fn refused(refused: &RefusedJoins) -> Value {
    json!({
        "guard": refused.guard.key(),
        "named": identifier(&refused.named),
        "by": identifier(&refused.by),
        "count": refused.count,
        "last_at": refused.last_at,
    })
}

fn apart(pair: &KeptApart) -> Value {
    json!({ "one": identifier(&pair.one), "other": identifier(&pair.other), "said_by": pair.said_by, "at": pair.at })
}

fn list<T>(rows: &[T], told: fn(&T) -> Value) -> Value {
    rows.iter().map(told).collect()
}

/// How the identifiers of one person came together.
pub(super) fn of_person(store: &Store, site: &Site, profile_id: i64) -> Result<Value, ApiError> {
    let now = crate::store::instant(clock::now_us());
    Ok(match store.joins(site, profile_id, now)? {
        None => Value::Null,
        Some(joins) => json!({
            "links": list(&joins.links, link),
            "refused": list(&joins.refused, refused),
            "kept_apart": list(&joins.apart, apart),
        }),
    })
}

async fn book(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let now = crate::store::instant(clock::now_us());
    let book = with_site(state, &request, move |state, site| Ok(state.store.identity_book(site, now)?)).await?;
    let blocked: Vec<Value> = book
        .blocked
        .iter()
        .map(|row| {
            json!({ "kind": row.kind, "value": row.value, "source": row.source, "count": row.count, "last_at": row.last_at })
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({
        "merges": list(&book.merges, link),
        "refused": list(&book.refused, refused),
        "blocked": blocked,
        "kept_apart": list(&book.apart, apart),
    })))
}

fn told(undone: Undone) -> Result<Value, ApiError> {
    match undone {
        Undone::Now(profile_ids) => Ok(json!({ "profile_ids": profile_ids })),
        Undone::Nothing => {
            Err(ApiError::NotFound("there is no such merge or pair; it may be undone already".to_owned()))
        }
    }
}

async fn undo(
    state: web::Data<State>,
    request: HttpRequest,
    link_id: web::Path<i64>,
) -> Result<HttpResponse, ApiError> {
    let done =
        with_site(state, &request, move |state, site| told(state.store.undo_merge(site.site_id, *link_id, SAID_BY)?));
    Ok(HttpResponse::Ok().json(done.await?))
}

async fn allow(
    state: web::Data<State>,
    request: HttpRequest,
    pair: web::Path<(i64, i64)>,
) -> Result<HttpResponse, ApiError> {
    let (one, other) = pair.into_inner();
    let done = with_site(state, &request, move |state, site| {
        told(state.store.allow_again(site.site_id, (one, other), SAID_BY)?)
    });
    Ok(HttpResponse::Ok().json(done.await?))
}
