//! The tracking plan for programs.

use super::{ApiError, with_site};
use crate::http::State;
use crate::intake::clock;
use crate::store::instant;
use crate::store::plan::PlanChangeError;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::plan::EventPlan;
use domain::report::{Plan, PlanEvent};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A body with the longest plan is smaller.
const MAX_BODY: usize = 256 * 1024;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/api/v1/plan").route(web::get().to(show)).route(web::put().to(change))).service(
        web::resource("/api/v1/plan/events/{name}")
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .route(web::get().to(event))
            .route(web::put().to(pin))
            .route(web::delete().to(unpin)),
    );
}

impl From<PlanChangeError> for ApiError {
    fn from(error: PlanChangeError) -> ApiError {
        match error {
            PlanChangeError::Unknown(_) => ApiError::NotFound(error.to_string()),
            PlanChangeError::Name | PlanChangeError::Plan(_) | PlanChangeError::TooMany => {
                ApiError::BadRequest(error.to_string())
            }
            PlanChangeError::Store(error) => error.into(),
        }
    }
}

fn told(report: &Plan) -> Value {
    let events = report.events.iter().map(|row| {
        json!({
            "name": row.name,
            "count": row.count,
            "last_at": row.last_at,
            "properties": row.properties,
            "pinned": row.is_pinned,
            "violations": row.breaches,
        })
    });
    json!({
        "days": report.days,
        "block": report.block,
        "blocked": report.blocked,
        "events": events.collect::<Vec<_>>(),
        "other": report.other,
    })
}

fn told_event(report: &PlanEvent, plan: Option<&EventPlan>) -> Value {
    let properties = report.properties.iter().map(|seen| {
        let kinds: BTreeMap<&str, u64> = seen.kinds.iter().map(|(kind, count)| (kind.key(), *count)).collect();
        json!({ "name": seen.name, "count": seen.count(), "kinds": kinds, "expected": seen.expected })
    });
    let violations = report.breaches.iter().map(|row| {
        json!({
            "property": row.property,
            "breach": row.breach.key(),
            "source": row.source,
            "count": row.count,
            "last_at": row.last_at,
            "sample": row.sample,
        })
    });
    json!({
        "name": report.name,
        "days": report.days,
        "count": report.count,
        "plan": plan,
        "says": report.plan,
        "suggested": report.suggested,
        "properties": properties.collect::<Vec<_>>(),
        "violations": violations.collect::<Vec<_>>(),
    })
}

async fn show(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let told =
        with_site(state, &request, |state, site| Ok(told(&state.store.plan_report(site, instant(clock::now_us()))?)));
    Ok(HttpResponse::Ok().json(told.await?))
}

/// What a program says of the plan as a whole.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    /// Events that are not as agreed are kept out.
    block: bool,
}

async fn change(state: web::Data<State>, request: HttpRequest, body: web::Bytes) -> Result<HttpResponse, ApiError> {
    let said: Said = serde_json::from_slice(&body)
        .map_err(|error| ApiError::BadRequest(format!("give `block`, true or false: {error}")))?;
    let told = with_site(state, &request, move |state, site| {
        state.store.block_violations(site, said.block)?;
        Ok(told(&state.store.plan_report(site, instant(clock::now_us()))?))
    });
    Ok(HttpResponse::Ok().json(told.await?))
}

fn read_event(state: &State, site: &crate::store::sites::Site, name: &str) -> Result<Value, ApiError> {
    let found = state.store.plan_event(site, name, instant(clock::now_us()))?;
    let unknown = || ApiError::NotFound("no event of this name was seen or planned".to_owned());
    let plan = state.store.tracking_plan(site)?;
    Ok(told_event(&found.ok_or_else(unknown)?, plan.events.get(name)))
}

async fn event(
    state: web::Data<State>,
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let told = with_site(state, &request, move |state, site| read_event(state, site, &name));
    Ok(HttpResponse::Ok().json(told.await?))
}

/// What a program agrees on for one event.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Agreed {
    /// As JSON, by property.
    #[serde(default)]
    plan: Option<EventPlan>,
    /// Or in lines.
    #[serde(default)]
    says: Option<String>,
}

async fn pin(
    state: web::Data<State>,
    request: HttpRequest,
    name: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    let agreed: Agreed = serde_json::from_slice(&body)
        .map_err(|error| ApiError::BadRequest(format!("the body agrees on nothing: {error}")))?;
    let plan = match (agreed.plan, agreed.says) {
        (Some(plan), None) => plan,
        (None, Some(says)) => says.parse().map_err(PlanChangeError::Plan)?,
        _ => return Err(ApiError::BadRequest("give one of `plan` (JSON) and `says` (lines)".to_owned())),
    };
    let told = with_site(state, &request, move |state, site| {
        state.store.pin_event(site, &name, &plan)?;
        read_event(state, site, &name)
    });
    Ok(HttpResponse::Ok().json(told.await?))
}

async fn unpin(
    state: web::Data<State>,
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let told = with_site(state, &request, move |state, site| {
        state.store.unpin_event(site, &name)?;
        Ok(json!({ "name": *name, "pinned": false }))
    });
    Ok(HttpResponse::Ok().json(told.await?))
}
