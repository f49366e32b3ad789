//! The experience page and its files.

use super::{Inside, PageError, Reply, inside, period, query};
use crate::http::State;
use crate::store::reports;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::report::Experience;
use domain::surroundings::DeviceClass;
use std::collections::HashMap;

/// Pages of a site that are read for the page, which shows some and says how many more there are.
const LOOKED_AT: i64 = 200;
/// The same for a file.
const IN_FILE: i64 = 10_000;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/s/{site:\\d{1,9}}/experience").route(web::get().to(experience)));
    config.service(web::resource("/s/{site:\\d{1,9}}/experience/{table}.csv").route(web::get().to(file)));
}

fn report(page: &Inside, query: &HashMap<String, String>, limit: i64) -> Result<Experience, PageError> {
    let (period, windows) = period(page, query)?;
    // What is no kind of device, as an empty choice, is all of them.
    let device = query.get("device").and_then(|key| DeviceClass::from_key(key));
    Ok(reports::experience(&page.store, page.site()?, (period, &windows), device, limit, page.now)?)
}

async fn experience(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let report = report(page, &query, LOOKED_AT)?;
        Ok(Reply::Page(StatusCode::OK, dashboard::experience(&page.shell(), &report)?))
    })
    .await
}

async fn file(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, table) = path.into_inner();
    let query = query(&request);
    inside(&state, &request, Some(site_id), move |page| {
        let csv = match table.as_str() {
            "vitals" => Experience::vitals_csv,
            "pages" => Experience::pages_csv,
            _ => return Err(PageError::NotFound),
        };
        let report = report(page, &query, IN_FILE)?;
        let file = format!("experience-{table}-{}-{}.csv", report.period.from, report.period.to);
        Ok(Reply::Csv { file, text: csv(&report) })
    })
    .await
}
