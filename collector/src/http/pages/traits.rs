//! Computed traits: all of them, and the form in which one is written.

use super::{Inside, PageError, Reply, inside, posted, query};
use crate::http::State;
use crate::http::auth::{Fields, field};
use crate::segments::report_site;
use crate::store::reports::sentence;
use crate::store::traits::{TraitDraft, TraitError};
use crate::traits;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use dashboard::TraitForm;
use domain::report::{ComputedTraits, TriedTrait};
use domain::segment::rule::Computed;
use std::collections::HashMap;

/// Characters of a field that an address fills in: links of ours are far shorter.
const OFFERED_CHARS: usize = 1_000;
/// A form with the longest definition that can be read is smaller.
const MAX_FORM: usize = 256 * 1024;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = |path: &str| {
        web::resource(format!("/s/{{site:\\d{{1,9}}}}/traits{path}"))
            .app_data(web::FormConfig::default().limit(MAX_FORM))
    };
    config
        .service(at("").route(web::get().to(list)))
        .service(at(".csv").route(web::get().to(list_file)))
        .service(at("/progress").route(web::get().to(progress)))
        .service(at("/preview").route(web::post().to(preview)))
        .service(at("/new").route(web::get().to(new)).route(web::post().to(add)))
        .service(at("/{name}").route(web::get().to(edit)).route(web::post().to(change)))
        .service(at("/{name}/remove").route(web::post().to(remove)));
}

impl From<TraitError> for PageError {
    fn from(error: TraitError) -> PageError {
        match error {
            TraitError::Unknown(_) => PageError::NotFound,
            TraitError::Store(error) => PageError::Store(error),
            error @ (TraitError::Name(_)
            | TraitError::NameTaken(_)
            | TraitError::NameSent(_)
            | TraitError::Description
            | TraitError::Definition(_)
            | TraitError::InUse { .. }
            | TraitError::TooMany) => PageError::BadRequest(sentence(&error.to_string())),
        }
    }
}

fn report(page: &Inside) -> Result<ComputedTraits, PageError> {
    Ok(page.store.computed_traits_report(page.site()?, page.now)?)
}

async fn list(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        Ok(Reply::Page(StatusCode::OK, dashboard::traits(&page.shell(), &report(page)?)?))
    })
    .await
}

async fn list_file(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        Ok(Reply::Csv { file: format!("traits-{}.csv", page.today()?), text: report(page)?.csv() })
    })
    .await
}

async fn progress(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        let site = page.site()?;
        Ok(Reply::Part(dashboard::traits_progress(site.site_id, page.store.traits_progress(site)?)?))
    })
    .await
}

/// The form as it was typed.
fn typed(form: &HashMap<String, String>) -> TraitForm {
    // What the database cannot store is nothing that anybody types.
    let text = |name| field(form, name).replace('\0', "");
    TraitForm {
        name: text("name").trim().to_owned(),
        description: text("description"),
        // As it was typed, but for the line ends: the places of mistakes are counted in what is shown again.
        says: text("says").replace("\r\n", "\n"),
        problems: Vec::new(),
    }
}

fn try_definition(page: &Inside, says: &str) -> Result<TriedTrait, PageError> {
    if says.trim().is_empty() {
        return Ok(TriedTrait::Nothing);
    }
    let definition: Computed = match says.parse() {
        Ok(definition) => definition,
        Err(error) => return Ok(TriedTrait::Unreadable(error)),
    };
    let preview = traits::preview(&page.store, page.site()?, &definition)?;
    Ok(TriedTrait::Made { says: definition.to_string(), preview })
}

/// The form, of the trait of this name where there is one already.
fn show_form(
    page: &Inside,
    status: StatusCode,
    name: Option<&str>,
    form: &TraitForm,
    tried: &TriedTrait,
) -> Result<Reply, PageError> {
    let report = report(page)?;
    let known = match name {
        Some(name) => Some(report.rows.iter().find(|row| row.name == name).ok_or(PageError::NotFound)?),
        None => None,
    };
    let words = page.store.known_words(page.site()?)?;
    Ok(Reply::Page(status, dashboard::trait_form(&page.shell(), &report, known, form, tried, &words)?))
}

async fn preview(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, form| {
        let typed = typed(form);
        let tried = try_definition(page, &typed.says)?;
        Ok(Reply::Part(dashboard::trait_preview(&report_site(page.site()?), page.now, &typed.says, &tried)?))
    })
    .await
}

async fn new(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let offered =
            |name: &str| -> String { field(&query, name).chars().filter(|c| *c != '\0').take(OFFERED_CHARS).collect() };
        let form = TraitForm { name: offered("name"), says: offered("says"), ..TraitForm::default() };
        show_form(page, StatusCode::OK, None, &form, &TriedTrait::Nothing)
    })
    .await
}

async fn edit(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, name) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        let known = page.store.computed_trait(page.site()?, &name)?;
        let says = known.definition.map(|definition| definition.to_string()).unwrap_or_default();
        let form = TraitForm { name: known.name, description: known.description, says, problems: Vec::new() };
        show_form(page, StatusCode::OK, Some(&name), &form, &TriedTrait::Nothing)
    })
    .await
}

/// Saves what was sent, or shows it again with what is wrong.
fn save(
    page: &Inside,
    form: &HashMap<String, String>,
    name: Option<&str>,
    store: impl FnOnce(&TraitForm, &TraitDraft) -> Result<(), TraitError>,
) -> Result<Reply, PageError> {
    let mut typed = typed(form);
    if field(form, "do") == "preview" {
        return show_form(page, StatusCode::OK, name, &typed, &try_definition(page, &typed.says)?);
    }
    let (tried, problem) = match typed.says.parse::<Computed>() {
        Err(error) => (TriedTrait::Unreadable(error), "The definition cannot be read; see below.".to_owned()),
        Ok(definition) => {
            let draft = TraitDraft { description: typed.description.clone(), definition };
            match store(&typed, &draft) {
                Ok(()) => return Ok(Reply::To(format!("/s/{}/traits", page.site()?.site_id))),
                Err(error @ (TraitError::Unknown(_) | TraitError::Store(_))) => return Err(error.into()),
                Err(
                    error @ (TraitError::Name(_)
                    | TraitError::NameTaken(_)
                    | TraitError::NameSent(_)
                    | TraitError::Description
                    | TraitError::Definition(_)
                    | TraitError::InUse { .. }
                    | TraitError::TooMany),
                ) => (TriedTrait::Nothing, sentence(&error.to_string())),
            }
        }
    };
    typed.problems.push(problem);
    show_form(page, StatusCode::UNPROCESSABLE_ENTITY, name, &typed, &tried)
}

async fn add(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, form| {
        let site = page.site()?;
        save(page, form, None, |typed, draft| page.store.add_computed_trait(site, &typed.name, draft).map(drop))
    })
    .await
}

async fn change(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, String)>,
    form: Fields,
) -> HttpResponse {
    let (site_id, name) = path.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, form| {
        let site = page.site()?;
        save(page, form, Some(&name), |_, draft| page.store.change_computed_trait(site, &name, draft).map(drop))
    })
    .await
}

async fn remove(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, String)>,
    form: Fields,
) -> HttpResponse {
    let (site_id, name) = path.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, _| {
        page.store.remove_computed_trait(page.site()?, &name)?;
        Ok(Reply::To(format!("/s/{site_id}/traits")))
    })
    .await
}
