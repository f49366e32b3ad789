//! What is expected of the buyers, how it is predicted, and their clusters.

use super::{Inside, PageError, Reply, inside, posted};
use crate::http::State;
use crate::http::auth::Fields;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::report::{Predictions, PredictionsTable};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = |path: &str| web::resource(format!("/s/{{site:\\d{{1,9}}}}/predictions{path}"));
    config
        .service(at("").route(web::get().to(predictions)))
        .service(at("/due").route(web::get().to(due)))
        .service(at("/clusters").route(web::post().to(take_clusters)))
        .service(at("/{table}.csv").route(web::get().to(file)));
}

fn report(page: &Inside) -> Result<Predictions, PageError> {
    Ok(page.store.predictions(page.site()?, page.now)?)
}

async fn predictions(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        Ok(Reply::Page(StatusCode::OK, dashboard::predictions(&page.shell(), &report(page)?)?))
    })
    .await
}

async fn due(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        let site = page.site()?;
        Ok(Reply::Part(dashboard::predictions_due(site.site_id, page.store.models_are_due(site)?)?))
    })
    .await
}

async fn take_clusters(
    state: web::Data<State>,
    request: HttpRequest,
    site: web::Path<i32>,
    form: Fields,
) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, _| {
        let site = page.site()?;
        // Where there is no proposal any more somebody else was quicker: the page shows what has come of it.
        page.store.accept_clusters(site, page.today()?)?;
        Ok(Reply::To(format!("/s/{}/predictions#clusters", site.site_id)))
    })
    .await
}

async fn file(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, table) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        let table = PredictionsTable::from_key(&table).ok_or(PageError::NotFound)?;
        let file = format!("predictions-{}-{}.csv", table.key(), page.today()?);
        Ok(Reply::Csv { file, text: report(page)?.csv(table) })
    })
    .await
}
