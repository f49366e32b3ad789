//! The live page, what it asks for every two seconds, and its files.

use super::{PageError, Reply, inside, query};
use crate::http::State;
use crate::store::reports::LiveRange;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

/// Events of the page when it is opened: as many as it keeps.
const SHOWN: i64 = 50;
/// Events of a file.
const IN_FILE: i64 = 1_000;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/s/{site:\\d{1,9}}/live").route(web::get().to(live)));
    config.service(web::resource("/s/{site:\\d{1,9}}/live/events").route(web::get().to(events)));
    config.service(web::resource("/s/{site:\\d{1,9}}/live/{table}.csv").route(web::get().to(file)));
}

async fn live(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        let report = page.store.live(page.site()?, LiveRange::Latest(SHOWN), page.now)?;
        Ok(Reply::Page(StatusCode::OK, dashboard::live(&page.shell(), &report)?))
    })
    .await
}

async fn events(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let cursor = query(&request).get("after").and_then(|cursor| cursor.parse().ok());
    inside(&state, &request, Some(*site), move |page| {
        let unknown = || PageError::BadRequest("`after` is no cursor; reload the live page.".to_owned());
        let cursor: u64 = cursor.filter(|cursor| i64::try_from(*cursor).is_ok()).ok_or_else(unknown)?;
        let report = page.store.live(page.site()?, LiveRange::After(cursor), page.now)?;
        Ok(Reply::Part(dashboard::live_fragment(&report)?))
    })
    .await
}

async fn file(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, table) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        let live = || page.store.live(page.site()?, LiveRange::Latest(IN_FILE), page.now).map_err(PageError::from);
        let text = match table.as_str() {
            "events" => live()?.csv(),
            "rejected" => live()?.rejected_csv(),
            "outcomes" => live()?.outcomes.csv(),
            _ => return Err(PageError::NotFound),
        };
        Ok(Reply::Csv { file: format!("{table}.csv"), text })
    })
    .await
}
