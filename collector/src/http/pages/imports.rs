//! Files that are imported: the list, the upload, which column is what, and how far an import is.

mod upload;

use super::{Inside, PageError, Reply, inside, posted};
use crate::http::State;
use crate::http::auth::Fields;
use crate::import::{self, Fields as _, Mapping};
use crate::store::imports::Filed;
use crate::store::reports::sentence;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::report::{ImportKind, ImportPreview, ImportState};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = |path: &str| web::resource(format!("/s/{{site:\\d{{1,9}}}}/imports{path}"));
    let one = |path: &str| at(&format!("/{{id:\\d{{1,18}}}}{path}"));
    config
        .service(at("").route(web::get().to(list)).route(web::post().to(upload::upload)))
        .service(at(".csv").route(web::get().to(list_file)))
        .service(one("").route(web::get().to(show)))
        .service(one("/progress").route(web::get().to(progress)))
        .service(one("/rejected.csv").route(web::get().to(rejected)))
        .service(one("/map").route(web::post().to(map)))
        .service(one("/start").route(web::post().to(start)))
        .service(one("/pause").route(web::post().to(pause)))
        .service(one("/resume").route(web::post().to(resume)))
        .service(one("/cancel").route(web::post().to(cancel)))
        .service(one("/remove").route(web::post().to(remove)));
}

/// A site and one of its imports.
type Which = web::Path<(i32, i64)>;

async fn list(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let limit_mib = state.import_limit_mib;
    inside(&state, &request, Some(*site), move |page| list_page(page, limit_mib, StatusCode::OK, None)).await
}

fn list_page(page: &Inside, limit_mib: u64, status: StatusCode, problem: Option<&str>) -> Result<Reply, PageError> {
    let report = page.store.imports(page.site()?, page.now, limit_mib)?;
    Ok(Reply::Page(status, dashboard::imports(&page.shell(), &report, problem)?))
}

async fn list_file(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let limit_mib = state.import_limit_mib;
    inside(&state, &request, Some(*site), move |page| {
        let report = page.store.imports(page.site()?, page.now, limit_mib)?;
        Ok(Reply::Csv { file: "imports.csv".to_owned(), text: report.csv() })
    })
    .await
}

/// The import of that number.
fn filed(page: &Inside, import_id: i64) -> Result<Filed, PageError> {
    page.store.filed(page.site()?.site_id, import_id)?.ok_or(PageError::NotFound)
}

/// What would become of a file that has not been started.
fn look(page: &Inside, filed: &Filed) -> Result<Result<ImportPreview, String>, PageError> {
    let site = Arc::new(page.site()?.clone());
    let file = page.store.import_file(site.site_id, &filed.import);
    let looked = import::preview(&site, (filed.import.kind, &filed.mapping), Box::new(file));
    Ok(looked.map_err(|error| sentence(&error.to_string())))
}

fn page_of(page: &Inside, import_id: i64, status: StatusCode, problem: Option<String>) -> Result<Reply, PageError> {
    let report = page.store.import_report(page.site()?, import_id, page.now)?.ok_or(PageError::NotFound)?;
    let looked = match report.import.state {
        ImportState::Ready => Some(look(page, &filed(page, import_id)?)?),
        ImportState::Uploading
        | ImportState::Running
        | ImportState::Paused
        | ImportState::Done
        | ImportState::Cancelled
        | ImportState::Failed
        | ImportState::Expired => None,
    };
    let (preview, unreadable) = match looked {
        Some(Ok(preview)) => (Some(preview), None),
        Some(Err(why)) => (None, Some(why)),
        None => (None, None),
    };
    let problem = problem.or(unreadable);
    let html = dashboard::import(&page.shell(), &report, preview.as_ref(), problem.as_deref())?;
    Ok(Reply::Page(status, html))
}

async fn show(state: web::Data<State>, request: HttpRequest, which: Which) -> HttpResponse {
    let (site_id, import_id) = which.into_inner();
    inside(&state, &request, Some(site_id), move |page| page_of(page, import_id, StatusCode::OK, None)).await
}

async fn progress(state: web::Data<State>, request: HttpRequest, which: Which) -> HttpResponse {
    let (site_id, import_id) = which.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        let report = page.store.import_report(page.site()?, import_id, page.now)?.ok_or(PageError::NotFound)?;
        Ok(Reply::Part(dashboard::import_progress(&report)?))
    })
    .await
}

async fn rejected(state: web::Data<State>, request: HttpRequest, which: Which) -> HttpResponse {
    let (site_id, import_id) = which.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        let text = page.store.rejected_lines(site_id, &filed(page, import_id)?)?;
        Ok(Reply::Csv { file: format!("import-{import_id}-rejected.csv"), text })
    })
    .await
}

/// The kind and mapping of a form. A kind that has changed has its columns found anew.
fn typed(form: &HashMap<String, String>, before: ImportKind) -> (ImportKind, Mapping) {
    let kind = form.get("kind").and_then(|kind| ImportKind::from_key(kind)).unwrap_or(before);
    let mut mapping = Mapping::default();
    if kind == before {
        for field in kind.fields() {
            if let Some(column) = form.get(&format!("field.{}", field.name)) {
                mapping.fields.insert(field.name.to_owned(), column.clone());
            }
        }
        let traits = form.iter().filter(|(name, column)| name.starts_with("trait.") && !column.is_empty());
        mapping.traits.extend(traits.map(|(_, column)| (import::trait_name(column), column.clone())));
    }
    if kind == before {
        // PostgreSQL keeps no NUL.
        mapping.from = form.get("from").map(|from| from.replace('\0', "")).filter(|from| !from.trim().is_empty());
    }
    mapping.event = form.get("event").filter(|event| !event.is_empty()).cloned();
    (kind, mapping)
}

/// Keeps what the form says, where the import has not been started.
fn save(page: &Inside, import_id: i64, form: &HashMap<String, String>) -> Result<bool, PageError> {
    let site_id = page.site()?.site_id;
    let filed = filed(page, import_id)?;
    let (kind, mapping) = typed(form, filed.import.kind);
    // A file that cannot be read has no headings; its page says so.
    let columns = import::headings(kind, page.store.import_file(site_id, &filed.import)).unwrap_or_default();
    Ok(page.store.set_mapping((site_id, import_id), kind, &mapping, &columns)?)
}

async fn map(state: web::Data<State>, request: HttpRequest, which: Which, form: Fields) -> HttpResponse {
    let (site_id, import_id) = which.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, form| {
        save(page, import_id, form)?;
        Ok(Reply::To(format!("/s/{site_id}/imports/{import_id}")))
    })
    .await
}

async fn start(state: web::Data<State>, request: HttpRequest, which: Which, form: Fields) -> HttpResponse {
    let (site_id, import_id) = which.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, form| {
        if save(page, import_id, form)? {
            let problem = match look(page, &filed(page, import_id)?)? {
                Ok(preview) if preview.missing.is_empty() => None,
                Ok(_) => Some("It has not been started: some columns are not known yet.".to_owned()),
                Err(why) => Some(why),
            };
            if problem.is_some() {
                return page_of(page, import_id, StatusCode::UNPROCESSABLE_ENTITY, problem);
            }
            page.store.move_import(site_id, import_id, &[ImportState::Ready], ImportState::Running)?;
        }
        Ok(Reply::To(format!("/s/{site_id}/imports/{import_id}")))
    })
    .await
}

/// Moves an import and shows it; where it is in another state by now, its page says in which.
async fn moves(
    (state, request): (web::Data<State>, HttpRequest),
    (site_id, import_id): (i32, i64),
    form: Fields,
    (from, to): (&'static [ImportState], ImportState),
) -> HttpResponse {
    posted(&state, &request, Some(site_id), form, move |page, _| {
        filed(page, import_id)?;
        page.store.move_import(site_id, import_id, from, to)?;
        Ok(Reply::To(format!("/s/{site_id}/imports/{import_id}")))
    })
    .await
}

async fn pause(state: web::Data<State>, request: HttpRequest, which: Which, form: Fields) -> HttpResponse {
    let change = (&[ImportState::Running][..], ImportState::Paused);
    moves((state, request), which.into_inner(), form, change).await
}

async fn resume(state: web::Data<State>, request: HttpRequest, which: Which, form: Fields) -> HttpResponse {
    let change = (&[ImportState::Paused][..], ImportState::Running);
    moves((state, request), which.into_inner(), form, change).await
}

async fn cancel(state: web::Data<State>, request: HttpRequest, which: Which, form: Fields) -> HttpResponse {
    let change = (&[ImportState::Running, ImportState::Paused][..], ImportState::Cancelled);
    moves((state, request), which.into_inner(), form, change).await
}

async fn remove(state: web::Data<State>, request: HttpRequest, which: Which, form: Fields) -> HttpResponse {
    let (site_id, import_id) = which.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, _| {
        filed(page, import_id)?;
        let is_gone = page.store.remove_import(site_id, import_id)?;
        let rest = if is_gone { String::new() } else { format!("/{import_id}") };
        Ok(Reply::To(format!("/s/{site_id}/imports{rest}")))
    })
    .await
}
