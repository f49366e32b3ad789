//! Who is who: how one person's identifiers came together, and what the guards of a site held back.

use super::{Inside, PageError, Reply, inside, posted};
use crate::http::State;
use crate::http::auth::{Fields, field};
use crate::store::identities::Undone;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use std::collections::HashMap;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = |path: &str| web::resource(format!("/s/{{site:\\d{{1,9}}}}{path}"));
    config
        .service(at("/people/{id:\\d{1,18}}/joins").route(web::get().to(person)))
        .service(at("/people/{id:\\d{1,18}}/joins.csv").route(web::get().to(person_file)))
        .service(at("/identities").route(web::get().to(book)))
        .service(at("/identities/merges.csv").route(web::get().to(book_file)))
        .service(at("/identities/undo").route(web::post().to(undo)))
        .service(at("/identities/allow").route(web::post().to(allow)));
}

async fn person(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, i64)>) -> HttpResponse {
    let (site_id, profile_id) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        let report = page.store.joins(page.site()?, profile_id, page.now)?.ok_or(PageError::NotFound)?;
        Ok(Reply::Page(StatusCode::OK, dashboard::joins(&page.shell(), &report)?))
    })
    .await
}

async fn person_file(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, i64)>) -> HttpResponse {
    let (site_id, profile_id) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        let report = page.store.joins(page.site()?, profile_id, page.now)?.ok_or(PageError::NotFound)?;
        Ok(Reply::Csv { file: format!("joins-{profile_id}.csv"), text: report.links_csv() })
    })
    .await
}

async fn book(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        let report = page.store.identity_book(page.site()?, page.now)?;
        Ok(Reply::Page(StatusCode::OK, dashboard::identities(&page.shell(), &report)?))
    })
    .await
}

async fn book_file(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        let report = page.store.identity_book(page.site()?, page.now)?;
        Ok(Reply::Csv { file: "merges.csv".to_owned(), text: report.merges_csv() })
    })
    .await
}

/// A number of a form's hidden field.
fn number(form: &HashMap<String, String>, name: &str) -> Result<i64, PageError> {
    field(form, name).parse().map_err(|_| PageError::NotFound)
}

/// Leads to the one person that there is now, or to the page on which both can be seen.
fn after(page: &Inside, undone: Undone) -> Result<Reply, PageError> {
    let site_id = page.site()?.site_id;
    match undone {
        Undone::Now(people) => match people.first() {
            Some(profile_id) => Ok(Reply::To(format!("/s/{site_id}/people/{profile_id}/joins"))),
            None => Ok(Reply::To(format!("/s/{site_id}/identities"))),
        },
        Undone::Nothing => Err(PageError::BadRequest(
            "That merge is no longer there: somebody may have undone it a moment ago.".to_owned(),
        )),
    }
}

async fn undo(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, form| {
        let undone = page.store.undo_merge(page.site()?.site_id, number(form, "link")?, page.user_email())?;
        after(page, undone)
    })
    .await
}

async fn allow(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, form| {
        let (one, other) = (number(form, "one")?, number(form, "other")?);
        after(page, page.store.allow_again(page.site()?.site_id, (one, other), page.user_email())?)
    })
    .await
}
