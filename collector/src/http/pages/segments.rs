//! The segments of a day, and the people of one.

use super::{Inside, PER_PAGE, PageError, Reply, inside, page_number, query, sensible};
use crate::http::State;
use crate::segments;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::segment::SegmentKey;
use jiff::civil::Date;
use std::collections::HashMap;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/s/{site:\\d{1,9}}/segments").route(web::get().to(list)));
    config.service(web::resource("/s/{site:\\d{1,9}}/segments.csv").route(web::get().to(list_file)));
    config.service(web::resource("/s/{site:\\d{1,9}}/segments/{key}.csv").route(web::get().to(members_file)));
    config.service(web::resource("/s/{site:\\d{1,9}}/segments/{key}").route(web::get().to(members)));
}

/// The day at whose end people are looked at: today, or the one that is asked for.
fn as_of(page: &Inside, query: &HashMap<String, String>) -> Result<Date, PageError> {
    let today = page.today()?;
    let Some(text) = query.get("as_of").map(|text| text.trim()).filter(|text| !text.is_empty()) else {
        return Ok(today);
    };
    let day: Date =
        text.parse().map_err(|_| PageError::BadRequest(format!("`{text:.20}` is not a day; write it as {today}.")))?;
    if day > today {
        return Err(PageError::BadRequest(format!("{day} is still to come; choose {today} or a day before.")));
    }
    sensible(day)
}

fn key(text: &str) -> Result<SegmentKey, PageError> {
    text.parse().map_err(|_| PageError::NotFound)
}

fn report(page: &Inside, query: &HashMap<String, String>) -> Result<domain::report::Segments, PageError> {
    let site = page.site()?;
    let book = segments::book(&page.store, site, as_of(page, query)?)?;
    Ok(page.store.segments(site, &book, page.today()?)?)
}

async fn list(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let html = dashboard::segments(&page.shell(), &report(page, &query)?)?;
        Ok(Reply::Page(StatusCode::OK, html))
    })
    .await
}

async fn list_file(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let report = report(page, &query)?;
        Ok(Reply::Csv { file: format!("segments-{}.csv", report.as_of), text: report.csv() })
    })
    .await
}

async fn members(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, segment) = path.into_inner();
    let query = query(&request);
    inside(&state, &request, Some(site_id), move |page| {
        let part = Some((page_number(&query), PER_PAGE));
        let report = segments::members(&page.store, page.site()?, key(&segment)?, as_of(page, &query)?, part)?;
        Ok(Reply::Page(StatusCode::OK, dashboard::members(&page.shell(), &report)?))
    })
    .await
}

async fn members_file(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, String)>) -> HttpResponse {
    let (site_id, segment) = path.into_inner();
    let query = query(&request);
    inside(&state, &request, Some(site_id), move |page| {
        let report = segments::members(&page.store, page.site()?, key(&segment)?, as_of(page, &query)?, None)?;
        Ok(Reply::Csv { file: format!("{}-{}.csv", report.segment.key, report.as_of), text: report.csv() })
    })
    .await
}
