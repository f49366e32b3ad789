//! Acquisition and its files.

use super::{Inside, PageError, Reply, inside, period, query};
use crate::http::State;
use crate::store::reports;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::report::{Acquisition, AcquisitionTable};
use std::collections::HashMap;

/// Campaigns, queries and pages that are read for the page, which shows some and says how many more there are.
const LOOKED_AT: i64 = 200;
/// The same for a file.
const IN_FILE: i64 = 10_000;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/s/{site:\\d{1,9}}/acquisition").route(web::get().to(acquisition)));
    config.service(web::resource("/s/{site:\\d{1,9}}/acquisition/{table}.csv").route(web::get().to(file)));
}

fn report(page: &Inside, query: &HashMap<String, String>, limit: i64) -> Result<Acquisition, PageError> {
    let (period, windows) = period(page, query)?;
    Ok(reports::acquisition(&page.store, page.site()?, period, &windows, limit, page.now)?)
}

async fn acquisition(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let report = report(page, &query, LOOKED_AT)?;
        Ok(Reply::Page(StatusCode::OK, dashboard::acquisition(&page.shell(), &report)?))
    })
    .await
}

async fn file(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, table) = path.into_inner();
    let query = query(&request);
    inside(&state, &request, Some(site_id), move |page| {
        let table = AcquisitionTable::from_key(&table).ok_or(PageError::NotFound)?;
        let report = report(page, &query, IN_FILE)?;
        let file = format!("{}-{}-{}.csv", table.key(), report.period.from, report.period.to);
        Ok(Reply::Csv { file, text: report.csv(table) })
    })
    .await
}
