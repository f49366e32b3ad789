//! Computed traits for programs: defined, tried, asked of one person.

use super::{ApiError, with_site};
use crate::http::State;
use crate::intake::clock;
use crate::store::instant;
use crate::store::projection::computed_of;
use crate::store::traits::{TraitDraft, TraitError};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::report::{ComputedTraitRow, TraitPreview};
use domain::segment::rule::{Computed, RuleError, SentenceError};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// A definition with the longest lists is smaller.
const MAX_BODY: usize = 256 * 1024;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/api/v1/traits")
                .app_data(web::PayloadConfig::new(MAX_BODY))
                .route(web::get().to(list))
                .route(web::post().to(add)),
        )
        .service(
            web::resource("/api/v1/traits/preview")
                .app_data(web::PayloadConfig::new(MAX_BODY))
                .route(web::post().to(preview)),
        )
        .service(
            web::resource("/api/v1/traits/{name}")
                .app_data(web::PayloadConfig::new(MAX_BODY))
                .route(web::get().to(show))
                .route(web::put().to(change))
                .route(web::delete().to(remove)),
        )
        .route("/api/v1/traits/{name}/explain", web::get().to(explain));
}

impl From<TraitError> for ApiError {
    fn from(error: TraitError) -> ApiError {
        match error {
            TraitError::Unknown(_) => ApiError::NotFound(error.to_string()),
            TraitError::Definition(RuleError { path, message }) => ApiError::BadRule { path, message },
            TraitError::NameTaken(_) | TraitError::NameSent(_) | TraitError::InUse { .. } => {
                ApiError::Conflict(error.to_string())
            }
            TraitError::Name(_) | TraitError::Description | TraitError::TooMany => {
                ApiError::BadRequest(error.to_string())
            }
            TraitError::Store(error) => error.into(),
        }
    }
}

/// What a program says of a computed trait.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: String,
    /// The definition as JSON.
    #[serde(default)]
    definition: Option<Value>,
    /// The definition as a sentence.
    #[serde(default)]
    says: Option<String>,
}

impl Said {
    fn read(body: &[u8]) -> Result<(Option<String>, TraitDraft), ApiError> {
        let said: Said = serde_json::from_slice(body)
            .map_err(|error| ApiError::BadRequest(format!("the body is no computed trait: {error}")))?;
        let definition = match (said.definition, said.says) {
            (Some(definition), None) => {
                let computed: Computed = serde_json::from_value(definition)
                    .map_err(|error| ApiError::BadRule { path: String::new(), message: error.to_string() })?;
                computed.check().map_err(|RuleError { path, message }| ApiError::BadRule { path, message })?;
                computed
            }
            (None, Some(says)) => says.parse().map_err(|error: SentenceError| ApiError::BadRule {
                path: format!("column {}", error.column),
                message: error.message,
            })?,
            _ => {
                let wanted = "give one of `definition` (JSON) and `says` (a sentence)";
                return Err(ApiError::BadRequest(wanted.to_owned()));
            }
        };
        Ok((said.name, TraitDraft { description: said.description, definition }))
    }
}

/// A computed trait as the API tells it.
fn told(row: &ComputedTraitRow) -> Value {
    let definition = row.json.as_deref().and_then(|json| serde_json::from_str::<Value>(json).ok());
    let mut told = json!({
        "name": row.name,
        "description": row.description,
        "says": row.says,
        "definition": definition,
        "revision": row.revision,
        "updated_at": row.updated_at,
        "people": row.people,
        "spread": row.spread,
        "ready": row.progress.is_none(),
        "asked_by": row.asked_by.iter().map(|(key, _)| key).collect::<Vec<_>>(),
    });
    if let Some(progress) = row.progress {
        told["progress"] = json!({ "asked": progress.asked, "people": progress.people });
    }
    told
}

fn now() -> Timestamp {
    instant(clock::now_us())
}

fn told_one(state: &State, site: &crate::store::sites::Site, name: &str) -> Result<Value, ApiError> {
    let report = state.store.computed_traits_report(site, now())?;
    let row = report.rows.iter().find(|row| row.name == name);
    row.map(told).ok_or_else(|| TraitError::Unknown(name.chars().take(80).collect()).into())
}

async fn list(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let told = with_site(state, &request, |state, site| {
        let report = state.store.computed_traits_report(site, now())?;
        Ok(json!({ "people": report.people, "traits": report.rows.iter().map(told).collect::<Vec<_>>() }))
    });
    Ok(HttpResponse::Ok().json(told.await?))
}

async fn add(state: web::Data<State>, request: HttpRequest, body: web::Bytes) -> Result<HttpResponse, ApiError> {
    let (name, draft) = Said::read(&body)?;
    let name = name.ok_or_else(|| ApiError::BadRequest("give the trait a `name`".to_owned()))?;
    let made = with_site(state, &request, move |state, site| {
        state.store.add_computed_trait(site, &name, &draft)?;
        told_one(state, site, &name)
    });
    Ok(HttpResponse::Created().json(made.await?))
}

async fn show(
    state: web::Data<State>,
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let told = with_site(state, &request, move |state, site| told_one(state, site, &name));
    Ok(HttpResponse::Ok().json(told.await?))
}

async fn change(
    state: web::Data<State>,
    request: HttpRequest,
    name: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    let (said, draft) = Said::read(&body)?;
    if said.is_some_and(|said| said != *name) {
        let message = "a computed trait keeps its name; make another one and remove this".to_owned();
        return Err(ApiError::BadRequest(message));
    }
    let changed = with_site(state, &request, move |state, site| {
        state.store.change_computed_trait(site, &name, &draft)?;
        told_one(state, site, &name)
    });
    Ok(HttpResponse::Ok().json(changed.await?))
}

async fn remove(
    state: web::Data<State>,
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let removed = with_site(state, &request, move |state, site| {
        state.store.remove_computed_trait(site, &name)?;
        Ok(json!({ "name": *name, "removed": true }))
    });
    Ok(HttpResponse::Ok().json(removed.await?))
}

fn preview_told(preview: &TraitPreview) -> Value {
    let sample = preview.sample.iter().map(|person| {
        json!({
            "profile_id": person.profile_id,
            "name": person.name,
            "value": person.value,
            "events": person.events,
            "last_at": person.last_at,
            "changes_at": person.changes_at,
        })
    });
    json!({
        "people": preview.people,
        "asked": preview.asked,
        "known": preview.known,
        "spread": preview.spread,
        "sample": sample.collect::<Vec<_>>(),
    })
}

/// What a definition that is not kept would come to.
async fn preview(state: web::Data<State>, request: HttpRequest, body: web::Bytes) -> Result<HttpResponse, ApiError> {
    let (_, draft) = Said::read(&body)?;
    let told = with_site(state, &request, move |state, site| {
        Ok(preview_told(&crate::traits::preview(&state.store, site, &draft.definition)?))
    });
    Ok(HttpResponse::Ok().json(told.await?))
}

/// What a computed trait is of one person at this moment, and from which events.
async fn explain(
    state: web::Data<State>,
    request: HttpRequest,
    name: web::Path<String>,
    query: web::Query<super::ProfileQuery>,
) -> Result<HttpResponse, ApiError> {
    let told = with_site(state, &request, move |state, site| {
        let profile_id = super::find_profile(state, site, query.into_inner())?;
        let known = state.store.computed_trait(site, &name)?;
        let unreadable = || ApiError::Conflict("this version cannot read the definition".to_owned());
        let definition = known.definition.ok_or_else(unreadable)?;
        let taken = computed_of(&state.store, site, &definition, profile_id)?;
        let moment = |second: u32| instant(i64::from(second) * 1_000_000);
        let taken = taken.as_ref();
        Ok(json!({
            "profile_id": profile_id,
            "name": known.name,
            "says": definition.to_string(),
            "value": taken.and_then(|taken| taken.value.as_ref()),
            "events": taken.map_or(0, |taken| taken.events),
            "first_at": taken.and_then(|taken| taken.first_at).map(moment),
            "last_at": taken.and_then(|taken| taken.last_at).map(moment),
            "changes_at": taken.and_then(|taken| taken.changes_at).map(moment),
        }))
    });
    Ok(HttpResponse::Ok().json(told.await?))
}
