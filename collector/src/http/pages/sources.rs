//! Where events come from: the sources of a site, and each of them with its state, its errors and a way to try it.

use super::{Inside, PageError, Reply, inside, posted};
use crate::http::State;
use crate::http::auth::{Fields, field};
use crate::intake::screen::Sender;
use crate::intake::webhook::{self, OrderIds, Vendor};
use crate::pull::{ConnectorKind, Reach};
use crate::secrets::Secret;
use crate::store::reports::sentence;
use crate::store::sources::{NewSource, Source, SourceChange, SourceError, SourceKind};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use dashboard::{SourceForm, SourceNotes};
use domain::event::Trust;
use domain::report::{SourcePage, SourceTrial};
use std::sync::Arc;

/// Bytes of a body that somebody tries.
const TRIED_BYTES: usize = 200_000;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = |path: &str| web::resource(format!("/s/{{site:\\d{{1,9}}}}/sources{path}"));
    config
        .service(at("").route(web::get().to(book)).route(web::post().to(add)))
        .service(at(".csv").route(web::get().to(book_file)))
        .service(at("/{key}").route(web::get().to(show)))
        .service(at("/{key}/days.csv").route(web::get().to(days_file)))
        .service(at("/{key}/rejected.csv").route(web::get().to(rejected_file)))
        .service(at("/{key}/arrivals").route(web::get().to(arrivals)))
        .service(at("/{key}/secret").route(web::post().to(secret)))
        .service(at("/{key}/state").route(web::post().to(pause)))
        .service(at("/{key}/remove").route(web::post().to(remove)))
        .service(at("/{key}/try").route(web::post().to(try_out)));
}

async fn book(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| listed(page, StatusCode::OK, &SourceForm::default())).await
}

fn listed(page: &Inside, status: StatusCode, form: &SourceForm) -> Result<Reply, PageError> {
    let report = page.store.source_book(page.site()?, page.now)?;
    let vendors = Vendor::ALL.map(|vendor| (vendor.key(), vendor.label()));
    let asked = ConnectorKind::ALL.map(|kind| (kind.key(), kind.label()));
    Ok(Reply::Page(status, dashboard::sources(&page.shell(), &report, (&vendors, &asked), form)?))
}

async fn book_file(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        let report = page.store.source_book(page.site()?, page.now)?;
        Ok(Reply::Csv { file: "sources.csv".to_owned(), text: report.csv() })
    })
    .await
}

/// Connects a vendor's webhooks, or a system that is asked.
async fn add(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, form| {
        let text = |name: &str| field(form, name).trim().to_owned();
        let typed = SourceForm {
            kind: text("kind"),
            name: text("name"),
            namespace: text("namespace"),
            order_numbers: form.contains_key("order_numbers"),
            account: text("account"),
            problem: None,
        };
        let kind = SourceKind::from_key(&typed.kind).ok_or(PageError::NotFound)?;
        let namespace = Some(typed.namespace.clone()).filter(|namespace| !namespace.is_empty());
        let order_ids = if typed.order_numbers { OrderIds::Number } else { OrderIds::Id };
        let site_id = page.site()?.site_id;
        let secret = Some(text("secret")).filter(|secret| !secret.is_empty()).map(Secret::new);
        let made = reach(kind, &typed.account).and_then(|reach| {
            let settings = webhook::Settings::new(namespace, order_ids, reach).map_err(SourceError::Namespace)?;
            page.store.add_source(site_id, NewSource { kind, name: typed.name.clone(), secret, settings })
        });
        match made {
            Ok(source) => Ok(Reply::To(at(source.site_id, &source.key))),
            Err(error) => {
                let problem = Some(said(error)?);
                listed(page, StatusCode::UNPROCESSABLE_ENTITY, &SourceForm { problem, ..typed })
            }
        }
    })
    .await
}

/// Where a connector asks; nothing of a webhook.
fn reach(kind: SourceKind, account: &str) -> Result<Option<Reach>, SourceError> {
    match kind {
        SourceKind::Webhook(_) => Ok(None),
        SourceKind::Connector(kind) => {
            let account = kind.check_account(account).map_err(SourceError::Account)?;
            Ok(Some(Reach { account, insecure_base_url: None }))
        }
    }
}

/// A source's page.
fn at(site_id: i32, key: &str) -> String {
    format!("/s/{site_id}/sources/{}", dashboard::path_part(key))
}

/// What is wrong with what somebody typed, as a sentence.
fn said(error: SourceError) -> Result<String, PageError> {
    match error {
        SourceError::Unknown(_) => Err(PageError::NotFound),
        SourceError::Store(error) => Err(PageError::Store(error)),
        error @ (SourceError::Name
        | SourceError::NameTaken(_)
        | SourceError::Namespace(_)
        | SourceError::OrderIds(_)
        | SourceError::Account(_)
        | SourceError::Secret(_)) => Ok(sentence(&error.to_string())),
    }
}

/// The report of a source that is known: made by an owner, heard of, or one of those that nobody has to make.
fn report(page: &Inside, key: &str) -> Result<SourcePage, PageError> {
    // PostgreSQL has no text with it.
    if key.contains('\0') {
        return Err(PageError::NotFound);
    }
    let report = page.store.source_page(page.site()?, key, page.origin(), page.now)?;
    let is_known = report.hook.is_some()
        || report.connector.is_some()
        || report.line.last_at.is_some()
        || dashboard::has_source_guide(key);
    if is_known { Ok(report) } else { Err(PageError::NotFound) }
}

fn shown(page: &Inside, status: StatusCode, key: &str, notes: &SourceNotes) -> Result<Reply, PageError> {
    Ok(Reply::Page(status, dashboard::source(&page.shell(), &report(page, key)?, notes)?))
}

async fn show(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| shown(page, StatusCode::OK, &key, &SourceNotes::default()))
        .await
}

async fn days_file(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        Ok(Reply::Csv { file: "source-days.csv".to_owned(), text: report(page, &key)?.days_csv() })
    })
    .await
}

async fn rejected_file(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        Ok(Reply::Csv { file: "source-rejected.csv".to_owned(), text: report(page, &key)?.rejected_csv() })
    })
    .await
}

/// State and latest events alone, as the page asks for them while somebody tries it.
async fn arrivals(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        Ok(Reply::Part(dashboard::source_arrivals(&report(page, &key)?)?))
    })
    .await
}

fn made(page: &Inside, key: &str) -> Result<Source, PageError> {
    let known = page.store.connected(page.site()?.site_id)?;
    known.into_iter().find(|source| source.key == key).ok_or(PageError::NotFound)
}

fn changed(page: &Inside, key: &str, change: SourceChange) -> Result<Reply, PageError> {
    let site_id = page.site()?.site_id;
    match page.store.change_source(site_id, key, change) {
        Ok(()) => Ok(Reply::To(format!("{}?saved", at(site_id, key)))),
        Err(error) => {
            let notes = SourceNotes { problem: Some(said(error)?), ..SourceNotes::default() };
            shown(page, StatusCode::UNPROCESSABLE_ENTITY, key, &notes)
        }
    }
}

async fn secret(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, String)>,
    form: Fields,
) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, form| {
        changed(page, &key, SourceChange { secret: Some(Secret::new(field(form, "secret"))), is_active: None })
    })
    .await
}

async fn pause(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, String)>,
    form: Fields,
) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, form| {
        let is_active = match field(form, "do").as_str() {
            "pause" => Some(false),
            "resume" => Some(true),
            // A connector is asked when something of it changes.
            "ask" => None,
            _ => return Err(PageError::NotFound),
        };
        changed(page, &key, SourceChange { secret: None, is_active })
    })
    .await
}

async fn remove(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, String)>,
    form: Fields,
) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, form| {
        if field(form, "confirm") != "remove" {
            let problem = "Write “remove” to confirm; the source is still connected.".to_owned();
            return Err(PageError::BadRequest(problem));
        }
        match page.store.remove_source(site_id, &made(page, &key)?.key) {
            Ok(()) => Ok(Reply::To(format!("/s/{site_id}/sources?saved"))),
            Err(error) => Err(PageError::BadRequest(said(error)?)),
        }
    })
    .await
}

/// What a request would become, without storing anything of it.
async fn try_out(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, String)>,
    form: Fields,
) -> HttpResponse {
    let (site_id, key) = path.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, form| {
        let (source, body) = (made(page, &key)?, field(form, "body"));
        if body.len() > TRIED_BYTES {
            return Err(PageError::BadRequest(format!("A body to try has {TRIED_BYTES} bytes at most.")));
        }
        let SourceKind::Webhook(vendor) = source.kind else { return Err(PageError::NotFound) };
        let trial = trial(page, &source, vendor, field(form, "topic").trim(), &body)?;
        shown(page, StatusCode::OK, &key, &SourceNotes { trial: Some(trial), problem: None })
    })
    .await
}

fn trial(page: &Inside, source: &Source, vendor: Vendor, topic: &str, body: &str) -> Result<SourceTrial, PageError> {
    let site = Arc::new(page.site()?.clone());
    let sender = Sender::new(site, &source.key, Trust::Trusted, page.now.as_microsecond(), None, None);
    Ok(webhook::try_out(vendor, &source.settings, topic, body, &sender))
}
