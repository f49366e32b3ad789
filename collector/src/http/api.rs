//! The API for programs: `Authorization: Bearer` with the site's secret key; described by `openapi.json` beside this
//! file.

mod analysis;
mod experience;
mod joins;
mod matches;
mod newsletters;
mod plan;
mod segments;
mod traits;

use super::State;
use crate::segments as book;
use crate::store::StoreError;
use crate::store::sites::Site;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::event::Trust;
use domain::identity::{Kind, normalise};
use domain::report::Member;
use domain::segment::{SegmentBook, SegmentKey, definition};
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Latest events of a profile.
const EVENTS: usize = 100;
/// Latest rejected events.
const REJECTED: i64 = 20;

const OPENAPI: &str = include_str!("openapi.json");

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/api/v1/openapi.json", web::get().to(openapi))
        .route("/api/v1/analysis", web::get().to(analysis::state))
        .route("/api/v1/preview", web::post().to(analysis::preview))
        .route("/api/v1/backtest", web::post().to(analysis::backtest))
        .route("/api/v1/outcomes", web::get().to(outcomes))
        .route("/api/v1/profiles", web::get().to(profile))
        .route("/api/v1/profiles", web::delete().to(erase))
        .route("/api/v1/profiles/export", web::get().to(export))
        .configure(experience::routes)
        .configure(joins::routes)
        .configure(matches::routes)
        .configure(newsletters::routes)
        .configure(segments::routes)
        .configure(traits::routes)
        .configure(plan::routes);
}

/// Why a call is not answered.
#[derive(Debug, thiserror::Error)]
enum ApiError {
    #[error("send the site's secret key: Authorization: Bearer sk_…")]
    NoKey,
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{path}: {message}")]
    BadRule {
        /// Where in the rule: a JSON pointer, or a column of the sentence.
        path: String,
        message: String,
    },
    #[error("{0}")]
    NotYet(String),
    #[error("the database is away; try again")]
    Away,
    #[error("something is wrong on this server; its log says what")]
    Fault,
}

impl actix_web::ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            ApiError::NoKey => StatusCode::UNAUTHORIZED,
            ApiError::BadRequest(_) | ApiError::BadRule { .. } => StatusCode::BAD_REQUEST,
            ApiError::NotFound(_) => StatusCode::NOT_FOUND,
            ApiError::Conflict(_) => StatusCode::CONFLICT,
            ApiError::NotYet(_) | ApiError::Away => StatusCode::SERVICE_UNAVAILABLE,
            ApiError::Fault => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if matches!(self, ApiError::Away | ApiError::NotYet(_)) {
            response.insert_header((header::RETRY_AFTER, "2"));
        }
        match self {
            ApiError::BadRule { path, message } => response.json(json!({ "error": message, "path": path })),
            _ => response.json(json!({ "error": self.to_string() })),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "an API call failed");
        match error {
            StoreError::Away(_) | StoreError::Full(_) | StoreError::Contended(_) => ApiError::Away,
            StoreError::AlreadyThere | StoreError::Refused(_) => ApiError::Fault,
        }
    }
}

/// Runs a store call off the event loop for the site of the request's secret key.
async fn with_site<T: Send + 'static>(
    state: web::Data<State>,
    request: &HttpRequest,
    call: impl FnOnce(&State, &Arc<Site>) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = authorization.and_then(|text| text.strip_prefix("Bearer ")).map(|key| key.trim().to_owned());
    let key = key.ok_or(ApiError::NoKey)?;
    let done = web::block(move || match state.sites.by_key(&key)? {
        Some((site, Trust::Trusted)) => call(&state, &site),
        Some((_, Trust::Browser)) | None => Err(ApiError::NoKey),
    });
    done.await.map_err(|_| ApiError::Away)?
}

async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(OPENAPI)
}

async fn outcomes(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let outcomes = with_site(state, &request, |state, site| Ok(state.store.outcomes(site.site_id, REJECTED)?)).await?;
    Ok(HttpResponse::Ok().json(outcomes))
}

#[derive(Deserialize)]
struct ProfileQuery {
    user_id: Option<String>,
    email: Option<String>,
    visitor_id: Option<String>,
}

/// The profile of one identifier.
fn find_profile(state: &State, site: &Site, query: ProfileQuery) -> Result<i64, ApiError> {
    let (kind, value) = match (query.user_id, query.email, query.visitor_id) {
        (Some(value), None, None) => (Kind::UserId, value),
        (None, Some(value), None) => (Kind::Email, value),
        (None, None, Some(value)) => (Kind::Visitor, value),
        _ => return Err(ApiError::BadRequest("give one of user_id, email, visitor_id".into())),
    };
    let value = normalise(kind, &value).map_err(|invalid| ApiError::BadRequest(invalid.to_string()))?;
    let unknown = || ApiError::NotFound(format!("no profile has this {}", kind.name()));
    let find = |value: &str| state.store.profile_of(site.site_id, kind, value);
    // The browser keeps our own visitor ids without hyphens.
    let hyphened = || value.parse::<uuid::Uuid>().ok().filter(|_| kind == Kind::Visitor).map(|id| id.to_string());
    let found = match find(&value)? {
        Some(found) => Some(found),
        None => hyphened().map(|value| find(&value)).transpose()?.flatten(),
    };
    found.ok_or_else(unknown)
}

/// Runs a store call for the person of one identifier; `None` from it means that there is no such profile any more.
async fn with_person<T: Send + 'static>(
    state: web::Data<State>,
    request: &HttpRequest,
    query: web::Query<ProfileQuery>,
    call: impl FnOnce(&State, &Site, i64) -> Result<Option<T>, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let query = query.into_inner();
    with_site(state, request, move |state, site| {
        let profile_id = find_profile(state, site, query)?;
        call(state, site, profile_id)?.ok_or_else(|| ApiError::NotFound("there is no such profile".to_owned()))
    })
    .await
}

async fn profile(
    state: web::Data<State>,
    request: HttpRequest,
    query: web::Query<ProfileQuery>,
) -> Result<HttpResponse, ApiError> {
    let person = with_person(state, &request, query, |state, site, profile_id| {
        let Some(person) = state.store.person(site, profile_id, EVENTS)? else { return Ok(None) };
        let mut told = serde_json::to_value(person).map_err(|_| ApiError::Fault)?;
        told["identity"] = joins::of_person(&state.store, site, profile_id)?;
        told["computed_traits"] = state.store.computed_of_person(site, profile_id)?.into();
        told["segments"] = segments::of_person(&state.store, site, profile_id)?;
        Ok(Some(told))
    });
    Ok(HttpResponse::Ok().json(person.await?))
}

/// Everything that is kept of a person.
async fn export(
    state: web::Data<State>,
    request: HttpRequest,
    query: web::Query<ProfileQuery>,
) -> Result<HttpResponse, ApiError> {
    let told = with_person(state, &request, query, |state, site, profile_id| {
        Ok(state.store.export_person(site, profile_id)?)
    });
    Ok(HttpResponse::Ok().json(told.await?))
}

/// Forgets a person. They are gone from sight at once; what is left of them is deleted within a minute.
async fn erase(
    state: web::Data<State>,
    request: HttpRequest,
    query: web::Query<ProfileQuery>,
) -> Result<HttpResponse, ApiError> {
    let told = with_person(state, &request, query, |state, site, profile_id| {
        let erased = state.store.erase(site, profile_id, "the API")?;
        Ok(erased.map(|erasure_id| json!({ "erasure_id": erasure_id, "profile_id": profile_id })))
    });
    Ok(HttpResponse::Accepted().json(told.await?))
}

#[derive(Deserialize)]
struct AsOf {
    as_of: Option<String>,
}

impl AsOf {
    fn day(&self, site: &Site) -> Result<Date, ApiError> {
        match &self.as_of {
            None => Ok(book::today(site)),
            Some(text) => day(text),
        }
    }
}

fn day(text: &str) -> Result<Date, ApiError> {
    let day = text.parse().ok().filter(|day: &Date| (1970..=2200).contains(&day.year()));
    day.ok_or_else(|| ApiError::BadRequest(format!("as_of {text:.20} is no day, for example 2026-11-23")))
}

fn segment(book: &SegmentBook, key: SegmentKey) -> Value {
    let definition = definition(key);
    json!({
        "key": key,
        "name": definition.name,
        "description": definition.description,
        "size": book.size(key),
    })
}

async fn segment_list(
    state: web::Data<State>,
    request: HttpRequest,
    query: web::Query<AsOf>,
) -> Result<HttpResponse, ApiError> {
    let list = with_site(state, &request, move |state, site| {
        let as_of = query.day(site)?;
        let book = book::book(&state.store, site, as_of)?;
        let mut segments: Vec<Value> = SegmentKey::all().map(|key| segment(&book, key)).collect();
        if as_of == book::today(site) {
            segments.extend(self::segments::list(&state.store, site, |key| key.parse::<SegmentKey>().is_ok())?);
        }
        Ok(json!({ "as_of": as_of, "people": book.people().len(), "segments": segments }))
    });
    Ok(HttpResponse::Ok().json(list.await?))
}

/// The people of a segment of a day's book.
async fn book_members(
    state: web::Data<State>,
    request: HttpRequest,
    key: web::Path<String>,
    as_of: Option<String>,
) -> Result<HttpResponse, ApiError> {
    let query = AsOf { as_of };
    let wants_csv = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/csv"));
    let members = with_site(state, &request, move |state, site| {
        let key: SegmentKey =
            key.parse().map_err(|unknown: domain::segment::UnknownSegment| ApiError::NotFound(unknown.to_string()))?;
        Ok(book::members(&state.store, site, key, query.day(site)?, None)?)
    })
    .await?;
    if wants_csv {
        return Ok(HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(members.csv()));
    }
    Ok(HttpResponse::Ok().json(json!({
        "as_of": members.as_of,
        "key": members.segment.key,
        "name": members.segment.name,
        "description": members.segment.description,
        "size": members.segment.size,
        "members": members.rows.iter().map(member).collect::<Vec<_>>(),
    })))
}

fn member(row: &Member) -> Value {
    json!({
        "profile_id": row.profile_id,
        "name": row.name,
        "orders": row.orders,
        "revenue": { "minor": row.revenue.minor, "currency": row.revenue.currency },
        "first_order": row.first_order,
        "last_order": row.last_order,
        "last_seen": row.last_seen,
        "because": row.because,
    })
}
