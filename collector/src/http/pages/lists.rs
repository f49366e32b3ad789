//! Lists: fixed sets of people, written by hand or taken from a file, or made of those who are in a segment now.

use super::{Inside, PageError, Reply, inside, posted};
use crate::http::State;
use crate::http::auth::{Fields, field};
use crate::store::lists::{Edit, Edited, MAX_LISTED, read_identifiers};
use crate::store::reports::sentence;
use crate::store::segments::{Draft, Kind, Segment, SegmentError};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use dashboard::ListForm;
use domain::identity::Kind as IdentityKind;
use domain::report::Listed;

/// Room for [`MAX_LISTED`] identifiers of forty letters, as a form writes them.
const MAX_FORM: usize = 6 * 1024 * 1024;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = |path: &str| web::resource(format!("/s/{{site:\\d{{1,9}}}}/segments{path}"));
    let form = || web::FormConfig::default().limit(MAX_FORM);
    config
        .service(at("/new-list").app_data(form()).route(web::get().to(new)).route(web::post().to(add)))
        .service(at("/{key}/people").app_data(form()).route(web::get().to(people)).route(web::post().to(change)))
        .service(at("/{key}/snapshot").route(web::post().to(snapshot)));
}

fn show(
    page: &Inside,
    status: StatusCode,
    list: Option<&Segment>,
    form: &ListForm,
    listed: Option<&Edited>,
) -> Result<Reply, PageError> {
    let told = listed.map(|edited| Listed {
        added: edited.added as u64,
        removed: edited.removed as u64,
        unknown: edited.unknown as u64,
        first_unknown: edited.first_unknown.clone(),
    });
    let list = list.map(|list| (list.key.as_str(), list.name.as_str()));
    let html = dashboard::list_form(&page.shell(), page.site()?.site_id, list, form, told.as_ref())?;
    Ok(Reply::Page(status, html))
}

/// Who is meant, or why that cannot be read.
fn identifiers(text: &str) -> Result<Vec<(IdentityKind, String)>, String> {
    let found = read_identifiers(text.as_bytes()).map_err(|error| sentence(&error.to_string()))?;
    match found.len() {
        0 => Err("Write whom to take: an e-mail address or a user id in each line.".to_owned()),
        count if count > MAX_LISTED => {
            Err(format!("{count} identifiers, limit {MAX_LISTED}; do it in parts, or with: segments segment set-list"))
        }
        _ => Ok(found),
    }
}

/// The list of that key.
fn list(page: &Inside, key: &str) -> Result<Segment, PageError> {
    let segment = page.store.segment_named(page.site()?, key)?;
    if segment.kind == Kind::List { Ok(segment) } else { Err(PageError::NotFound) }
}

async fn new(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| show(page, StatusCode::OK, None, &ListForm::default(), None)).await
}

async fn add(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, form| {
        let typed = ListForm { name: field(form, "name"), people: field(form, "people"), ..ListForm::default() };
        let refused = |problem: String| {
            let form = ListForm { problem: Some(problem), ..typed.clone() };
            show(page, StatusCode::UNPROCESSABLE_ENTITY, None, &form, None)
        };
        let found = match identifiers(&typed.people) {
            Ok(found) => found,
            Err(problem) => return refused(problem),
        };
        let site = page.site()?;
        let draft =
            Draft { name: typed.name.clone(), description: String::new(), action: String::new(), kind: Kind::List };
        let made = match page.store.add_segment(site, None, &draft) {
            Ok(made) => made,
            Err(error @ (SegmentError::Name | SegmentError::TooMany)) => return refused(sentence(&error.to_string())),
            Err(error) => return Err(error.into()),
        };
        let edited = page.store.edit_list(site, &made.key, Edit::Add, &found)?;
        show(page, StatusCode::OK, Some(&made), &ListForm::default(), Some(&edited))
    })
    .await
}

async fn people(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        show(page, StatusCode::OK, Some(&list(page, &key)?), &ListForm::default(), None)
    })
    .await
}

async fn change(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, String)>,
    form: Fields,
) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, form| {
        let list = list(page, &key)?;
        let typed = ListForm { people: field(form, "people"), mode: field(form, "mode"), ..ListForm::default() };
        let edit = match typed.mode.as_str() {
            "replace" => Edit::Replace,
            "remove" => Edit::Remove,
            _ => Edit::Add,
        };
        let refused = |problem: String| {
            let form = ListForm { problem: Some(problem), ..typed.clone() };
            show(page, StatusCode::UNPROCESSABLE_ENTITY, Some(&list), &form, None)
        };
        let found = match identifiers(&typed.people) {
            Ok(found) => found,
            Err(problem) => return refused(problem),
        };
        match page.store.edit_list(page.site()?, &key, edit, &found) {
            Ok(edited) => show(page, StatusCode::OK, Some(&list), &ListForm::default(), Some(&edited)),
            Err(error @ SegmentError::NobodyKnown(_)) => refused(sentence(&error.to_string())),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

async fn snapshot(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, String)>,
    form: Fields,
) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, form| {
        let made = page.store.snapshot_segment(page.site()?, &key, &field(form, "name"))?;
        Ok(Reply::To(format!("/s/{site_id}/segments/{}", made.key)))
    })
    .await
}
