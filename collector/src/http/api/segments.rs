//! Segments for programs: made, changed, asked and followed.

use super::{ApiError, with_site};
use crate::http::State;
use crate::intake::clock;
use crate::store::lists::{Edit, MAX_LISTED};
use crate::store::membership::{
    Cause, ChangeRow, Cursor, MemberOf, Sizes, read_changes, read_listed, read_members, read_sizes,
};
use crate::store::projection::{explain, memberships};
use crate::store::segments::{Draft, Kind, Segment, SegmentError};
use crate::store::sites::Site;
use crate::store::{Store, from_timestamp, instant};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::identity::Kind as IdentityKind;
use domain::segment::SegmentKey;
use domain::segment::rule::{self, Rule, RuleError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Changes of one answer.
const CHANGES: i64 = 1_000;
/// Members of one answer.
const MEMBERS: i64 = 1_000;
/// A body with a rule of the most clauses is far smaller.
const MAX_BODY: usize = 256 * 1024;
/// Room for [`MAX_LISTED`] identifiers of a hundred bytes.
const MAX_LIST_BODY: usize = 10 * 1024 * 1024;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/api/v1/segments")
                .app_data(web::PayloadConfig::new(MAX_BODY))
                .route(web::get().to(super::segment_list))
                .route(web::post().to(add)),
        )
        .route("/api/v1/segments/changes", web::get().to(changes))
        .route("/api/v1/models", web::get().to(models))
        .route("/api/v1/models/clusters/accept", web::post().to(accept_clusters))
        .route("/api/v1/segments/rule.schema.json", web::get().to(schema))
        .service(
            web::resource("/api/v1/segments/{key}")
                .app_data(web::PayloadConfig::new(MAX_BODY))
                .route(web::get().to(show))
                .route(web::put().to(change))
                .route(web::delete().to(archive)),
        )
        .route("/api/v1/segments/{key}/restore", web::post().to(restore))
        .route("/api/v1/segments/{key}/snapshot", web::post().to(snapshot))
        .service(
            web::resource("/api/v1/segments/{key}/list")
                .app_data(web::PayloadConfig::new(MAX_LIST_BODY))
                .route(web::put().to(replace_list))
                .route(web::post().to(add_to_list))
                .route(web::delete().to(remove_from_list)),
        )
        .route("/api/v1/segments/{key}/explain", web::get().to(explained))
        .route("/api/v1/segments/{key}/insight", web::get().to(insight))
        .route("/api/v1/segments/{key}/members", web::get().to(members));
}

impl From<SegmentError> for ApiError {
    fn from(error: SegmentError) -> ApiError {
        match error {
            SegmentError::Unknown(_) => ApiError::NotFound(error.to_string()),
            SegmentError::Rule(RuleError { path, message }) => ApiError::BadRule { path, message },
            SegmentError::KeyTaken(_) | SegmentError::InUse { .. } | SegmentError::NoList(_) => {
                ApiError::Conflict(error.to_string())
            }
            SegmentError::Key(_) | SegmentError::Name | SegmentError::NobodyKnown(_) | SegmentError::TooMany => {
                ApiError::BadRequest(error.to_string())
            }
            SegmentError::Store(error) => error.into(),
        }
    }
}

async fn schema() -> HttpResponse {
    HttpResponse::Ok().content_type("application/schema+json").body(rule::SCHEMA)
}

/// A segment as the API tells it.
fn told(segment: &Segment, sizes: &Sizes) -> Value {
    let (entered, left) = sizes.moved.get(&segment.segment_id).copied().unwrap_or_default();
    let progress = sizes.sweep.progress(segment);
    let mut told = json!({
        "key": segment.key,
        "name": segment.name,
        "description": segment.description,
        "action": segment.action,
        "kind": match segment.kind { Kind::Rule(_) | Kind::Unreadable => "rule", Kind::List => "list" },
        "from_library": segment.from_library,
        "revision": segment.revision,
        "created_at": segment.created_at,
        "updated_at": segment.updated_at,
        "size": sizes.members.get(&segment.segment_id).copied().unwrap_or(0),
        "entered_7_days": entered,
        "left_7_days": left,
        "ready": progress.is_none(),
    });
    if let Some(progress) = progress {
        told["progress"] = json!({ "asked": progress.asked, "people": progress.people });
    }
    if let Some(rule) = segment.rule() {
        told["rule"] = json!(rule);
        told["says"] = json!(rule.to_string());
    }
    told
}

/// The segments in use that are no part of the day's book, for the list of all.
pub(super) fn list(store: &Store, site: &Site, is_told: impl Fn(&str) -> bool) -> Result<Vec<Value>, ApiError> {
    let segments = store.segments_in_use(site)?;
    let ids = segments.iter().map(|segment| segment.segment_id);
    let sizes = read_sizes(&mut *store.lend()?, site.site_id, ids)?;
    Ok(segments.iter().filter(|segment| !is_told(&segment.key)).map(|segment| told(segment, &sizes)).collect())
}

/// The segments that a person is in now, each with its reason.
pub(super) fn of_person(store: &Store, site: &Site, profile_id: i64) -> Result<Value, ApiError> {
    let segments: HashMap<i32, Segment> =
        store.segments_in_use(site)?.into_iter().map(|segment| (segment.segment_id, segment)).collect();
    let explained = explain(store, site, &[profile_id], |_| true)?.into_iter().flat_map(|(_, explained)| explained);
    let told = explained.filter(|explained| explained.member).filter_map(|explained| {
        let segment = segments.get(&explained.segment_id)?;
        let because = explained.because(site);
        Some(json!({ "key": segment.key, "name": segment.name, "since": explained.since, "because": because }))
    });
    let mut told: Vec<Value> = told.collect();
    let listed = read_listed(&mut *store.lend()?, site.site_id, &[profile_id])?;
    told.extend(listed.iter().filter_map(|(_, segment_id)| {
        let segment = segments.get(segment_id)?;
        Some(json!({ "key": segment.key, "name": segment.name, "since": null, "because": "Is in the list." }))
    }));
    Ok(Value::from(told))
}

fn told_one(store: &Store, site: &Site, segment: &Segment) -> Result<Value, ApiError> {
    Ok(told(segment, &read_sizes(&mut *store.lend()?, site.site_id, [segment.segment_id])?))
}

/// What a program says of a segment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    #[serde(default)]
    key: Option<String>,
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    action: String,
    /// The rule as JSON.
    #[serde(default)]
    rule: Option<Value>,
    /// The rule as a sentence.
    #[serde(default)]
    says: Option<String>,
    /// A fixed set of people, which begins empty.
    #[serde(default)]
    list: bool,
}

impl Said {
    fn read(body: &[u8]) -> Result<Said, ApiError> {
        serde_json::from_slice(body).map_err(|error| ApiError::BadRequest(format!("the body is no segment: {error}")))
    }

    fn draft(self) -> Result<(Option<String>, Draft), ApiError> {
        let kind = match (self.rule, self.says, self.list) {
            (Some(rule), None, false) => Kind::Rule(read_rule(rule)?),
            (None, Some(says), false) => Kind::Rule(read_sentence(&says)?),
            (None, None, true) => Kind::List,
            _ => {
                let wanted = "give one of `rule` (JSON), `says` (a sentence) and `list` (true)";
                return Err(ApiError::BadRequest(wanted.to_owned()));
            }
        };
        let Said { key, name, description, action, .. } = self;
        Ok((key, Draft { name, description, action, kind }))
    }
}

/// Reads a rule from JSON.
pub(super) fn read_rule(rule: Value) -> Result<Rule, ApiError> {
    let rule: Rule = serde_json::from_value(rule)
        .map_err(|error| ApiError::BadRule { path: String::new(), message: error.to_string() })?;
    rule.check().map_err(|RuleError { path, message }| ApiError::BadRule { path, message })?;
    Ok(rule)
}

/// Reads a rule from its sentence.
pub(super) fn read_sentence(says: &str) -> Result<Rule, ApiError> {
    says.parse().map_err(|error: rule::SentenceError| ApiError::BadRule {
        path: format!("column {}", error.column),
        message: error.message,
    })
}

async fn add(state: web::Data<State>, request: HttpRequest, body: web::Bytes) -> Result<HttpResponse, ApiError> {
    let (key, draft) = Said::read(&body)?.draft()?;
    let made = with_site(state, &request, move |state, site| {
        let segment = state.store.add_segment(site, key.as_deref(), &draft)?;
        told_one(&state.store, site, &segment)
    });
    Ok(HttpResponse::Created().json(made.await?))
}

async fn show(state: web::Data<State>, request: HttpRequest, key: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let found = with_site(state, &request, move |state, site| {
        let segment = state.store.segment_named(site, &key)?;
        told_one(&state.store, site, &segment)
    });
    Ok(HttpResponse::Ok().json(found.await?))
}

async fn change(
    state: web::Data<State>,
    request: HttpRequest,
    key: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    let (_, draft) = Said::read(&body)?.draft()?;
    let changed = with_site(state, &request, move |state, site| {
        let segment = state.store.change_segment(site, &key, &draft)?;
        told_one(&state.store, site, &segment)
    });
    Ok(HttpResponse::Ok().json(changed.await?))
}

async fn archive(
    state: web::Data<State>,
    request: HttpRequest,
    key: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let archived = with_site(state, &request, move |state, site| {
        state.store.archive_segment(site, &key)?;
        Ok(json!({ "key": *key, "archived": true }))
    });
    Ok(HttpResponse::Ok().json(archived.await?))
}

async fn restore(
    state: web::Data<State>,
    request: HttpRequest,
    key: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let restored = with_site(state, &request, move |state, site| {
        let segment = state.store.restore_segment(site, &key)?;
        told_one(&state.store, site, &segment)
    });
    Ok(HttpResponse::Ok().json(restored.await?))
}

/// People of a list, by the identifiers that they are known by.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default)]
    user_ids: Vec<String>,
    #[serde(default)]
    emails: Vec<String>,
}

async fn edit_list(
    state: web::Data<State>,
    request: &HttpRequest,
    key: String,
    edit: Edit,
    body: &[u8],
) -> Result<HttpResponse, ApiError> {
    let Listed { user_ids, emails } = serde_json::from_slice(body)
        .map_err(|error| ApiError::BadRequest(format!("the body is no list of user_ids and emails: {error}")))?;
    if user_ids.len() + emails.len() > MAX_LISTED {
        let count = user_ids.len() + emails.len();
        let message = format!("{count} identifiers, limit {MAX_LISTED}; send the rest with POST");
        return Err(ApiError::BadRequest(message));
    }
    let user_ids = user_ids.into_iter().map(|value| (IdentityKind::UserId, value));
    let identifiers: Vec<_> = user_ids.chain(emails.into_iter().map(|value| (IdentityKind::Email, value))).collect();
    let edited =
        with_site(state, request, move |state, site| Ok(state.store.edit_list(site, &key, edit, &identifiers)?));
    Ok(HttpResponse::Ok().json(edited.await?))
}

async fn replace_list(
    state: web::Data<State>,
    request: HttpRequest,
    key: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    edit_list(state, &request, key.into_inner(), Edit::Replace, &body).await
}

async fn add_to_list(
    state: web::Data<State>,
    request: HttpRequest,
    key: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    edit_list(state, &request, key.into_inner(), Edit::Add, &body).await
}

async fn remove_from_list(
    state: web::Data<State>,
    request: HttpRequest,
    key: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    edit_list(state, &request, key.into_inner(), Edit::Remove, &body).await
}

/// The name of a snapshot.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SnapshotSaid {
    name: String,
}

async fn snapshot(
    state: web::Data<State>,
    request: HttpRequest,
    key: web::Path<String>,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    let SnapshotSaid { name } = serde_json::from_slice(&body)
        .map_err(|error| ApiError::BadRequest(format!("the body is no {{\"name\": …}}: {error}")))?;
    let made = with_site(state, &request, move |state, site| {
        let list = state.store.snapshot_segment(site, &key, &name)?;
        told_one(&state.store, site, &list)
    });
    Ok(HttpResponse::Created().json(made.await?))
}

/// What is special about a segment's people, what changed, and what to do next.
async fn insight(
    state: web::Data<State>,
    request: HttpRequest,
    key: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let told = with_site(state, &request, move |state, site| {
        let segment = state.store.segment_named(site, &key)?;
        let now = instant(clock::now_us());
        Ok(crate::insight::insight(&state.store, state.analysis.as_ref(), site, &segment, now)?)
    });
    Ok(HttpResponse::Ok().json(told.await?))
}

async fn explained(
    state: web::Data<State>,
    request: HttpRequest,
    key: web::Path<String>,
    query: web::Query<super::ProfileQuery>,
) -> Result<HttpResponse, ApiError> {
    let explained = with_site(state, &request, move |state, site| {
        let profile_id = super::find_profile(state, site, query.into_inner())?;
        let segment = state.store.segment_named(site, &key)?;
        let all = explain(&state.store, site, &[profile_id], |segment_id| segment_id == segment.segment_id)?;
        let found = all.into_iter().flat_map(|(_, explained)| explained).next();
        // A list has no rule that could be taken apart: it says itself who is in it.
        let since = match &found {
            Some(found) => found.since,
            None => memberships(&state.store, site, profile_id)?.get(&segment.segment_id).copied(),
        };
        let on_list = if since.is_some() { "On the list." } else { "Not on the list." };
        let now = || instant(clock::now_us());
        Ok(json!({
            "profile_id": profile_id,
            "segment": segment.key,
            "says": segment.rule().map(ToString::to_string),
            "member": found.as_ref().map_or(since.is_some(), |found| found.member),
            "since": since,
            "as_of": found.as_ref().map_or_else(now, |found| found.as_of),
            "because": found.as_ref().map_or_else(|| on_list.to_owned(), |found| found.because(site)),
            "explanation": found.as_ref().map(|found| &found.explanation),
        }))
    });
    Ok(HttpResponse::Ok().json(explained.await?))
}

/// Members now, by profile number, a part at a time. A segment of the day's book is told as of a day, too.
async fn members(
    state: web::Data<State>,
    request: HttpRequest,
    key: web::Path<String>,
    query: web::Query<HashMap<String, String>>,
) -> Result<HttpResponse, ApiError> {
    if key.parse::<SegmentKey>().is_ok() && !query.contains_key("after") {
        return super::book_members(state, request, key, query.get("as_of").cloned()).await;
    }
    if query.contains_key("as_of") {
        let message = "as_of is for rfm-… and lifecycle-… segments; others are told as they are now".to_owned();
        return Err(ApiError::BadRequest(message));
    }
    let after = match query.get("after").map(|after| after.parse::<i64>()) {
        None => i64::MIN,
        Some(Ok(after)) => after,
        Some(Err(_)) => return Err(ApiError::BadRequest("after is the `next` of an earlier answer".to_owned())),
    };
    let told = with_site(state, &request, move |state, site| {
        let segment = state.store.segment_named(site, &key)?;
        let connection = &mut *state.store.lend()?;
        let rows = read_members(connection, site.site_id, segment.segment_id, after, MEMBERS)?;
        let next = rows.last().filter(|_| rows.len() as i64 == MEMBERS).map(|row| row.profile_id);
        let member = |row: &MemberOf| {
            json!({
                "profile_id": row.profile_id,
                "since": from_timestamp(row.entered_at),
                "user_id": row.user_id,
                "email": row.email,
                "orders": row.orders,
                "revenue": { "minor": row.revenue_minor, "currency": site.currency },
                "last_seen": from_timestamp(row.last_seen),
            })
        };
        Ok(json!({ "key": segment.key, "members": rows.iter().map(member).collect::<Vec<_>>(), "next": next }))
    });
    Ok(HttpResponse::Ok().json(told.await?))
}

async fn models(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let told = with_site(state, &request, |state, site| Ok(state.store.models_told(site)?)).await?;
    Ok(HttpResponse::Ok().json(told))
}

async fn accept_clusters(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let taken = with_site(state, &request, |state, site| {
        match state.store.accept_clusters(site, crate::segments::today(site))? {
            true => Ok(json!({ "accepted": true })),
            false => Err(ApiError::NotFound("no new clusters are proposed".to_owned())),
        }
    });
    Ok(HttpResponse::Ok().json(taken.await?))
}

async fn changes(
    state: web::Data<State>,
    request: HttpRequest,
    query: web::Query<HashMap<String, String>>,
) -> Result<HttpResponse, ApiError> {
    let after: Cursor = match query.get("after").filter(|after| !after.is_empty()) {
        None => Cursor::default(),
        Some(after) => after.parse().map_err(|()| {
            ApiError::BadRequest("after is no cursor; send the `next` of an earlier answer, or nothing".to_owned())
        })?,
    };
    let told = with_site(state, &request, move |state, site| {
        let rows = read_changes(&mut *state.store.lend()?, site.site_id, &after, CHANGES)?;
        let next =
            rows.last().map_or(after, |row| Cursor { tx: row.tx.parse().unwrap_or(0), change_id: row.change_id });
        Ok(json!({
            "changes": rows.iter().map(change_told).collect::<Vec<_>>(),
            "next": next.to_string(),
            "more": rows.len() as i64 == CHANGES,
        }))
    });
    Ok(HttpResponse::Ok().json(told.await?))
}

fn change_told(row: &ChangeRow) -> Value {
    json!({
        "at": from_timestamp(row.at),
        "profile_id": row.profile_id,
        "segment": row.segment,
        "entered": row.entered,
        "cause": Cause::from_code(row.cause).map(Cause::key),
        "event_at": row.evidence_at.map(from_timestamp),
    })
}
