//! The overview and its files.

use super::{Inside, PageError, Reply, inside, period, query};
use crate::http::State;
use crate::store::reports;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::report::{Measure, Overview, OverviewTable};
use std::collections::HashMap;

/// Pages of a site on the overview.
const SHOWN: i64 = 10;
/// Pages of a site in a file.
const IN_FILE: i64 = 1_000;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/s/{site:\\d{1,9}}/overview").route(web::get().to(overview)));
    config.service(web::resource("/s/{site:\\d{1,9}}/overview/{table}.csv").route(web::get().to(file)));
}

fn report(page: &Inside, query: &HashMap<String, String>, pages: i64) -> Result<Overview, PageError> {
    let (period, windows) = period(page, query)?;
    Ok(reports::overview(&page.store, page.site()?, period, &windows, pages, page.now)?)
}

async fn overview(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let report = report(page, &query, SHOWN)?;
        let key = query.get("metric").map(String::as_str);
        let measure = Measure::ALL.into_iter().find(|measure| Some(measure.key()) == key);
        let waiting = if report.first_event_at.is_none() { Some(page.setup()?) } else { None };
        let measure = measure.unwrap_or(Measure::Visitors);
        Ok(Reply::Page(StatusCode::OK, dashboard::overview(&page.shell(), &report, measure, waiting.as_ref())?))
    })
    .await
}

async fn file(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, table) = path.into_inner();
    let query = query(&request);
    inside(&state, &request, Some(site_id), move |page| {
        let table = OverviewTable::from_key(&table).ok_or(PageError::NotFound)?;
        let report = report(page, &query, IN_FILE)?;
        let file = format!("{}-{}-{}.csv", table.key(), report.period.from, report.period.to);
        Ok(Reply::Csv { file, text: report.csv(table) })
    })
    .await
}
