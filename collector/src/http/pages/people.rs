//! Lists of people, and one person.

use super::{Inside, PER_PAGE, PageError, Reply, inside, page_number, period, posted, query};
use crate::http::State;
use crate::http::auth::{Fields, field};
use crate::segments;
use crate::store::reports::{Found, channel_name};
use crate::store::sites::Site;
use crate::store::{Store, StoreError};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::report::{Did, Paging, People, PeopleFilter, Profile, ProfileTable, TimelineFilter, TimelineKind};
use std::collections::HashMap;
use std::ops::Range;

/// Entries of a timeline on one page.
const ENTRIES: u32 = 25;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/s/{site:\\d{1,9}}/people").route(web::get().to(people)));
    config.service(web::resource("/s/{site:\\d{1,9}}/people.csv").route(web::get().to(people_file)));
    config.service(web::resource("/s/{site:\\d{1,9}}/people/{id:\\d{1,18}}").route(web::get().to(profile)));
    let one = |path: &str| web::resource(format!("/s/{{site:\\d{{1,9}}}}/people/{{id:\\d{{1,18}}}}/{path}"));
    config.service(one("export.json").route(web::get().to(export)));
    config.service(one("erase").route(web::post().to(erase)));
    let tables = "/s/{site:\\d{1,9}}/people/{id:\\d{1,18}}/{table}.csv";
    config.service(web::resource(tables).route(web::get().to(profile_file)));
}

fn filter(page: &Inside, query: &HashMap<String, String>) -> Result<PeopleFilter, PageError> {
    let given = |name: &str| query.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    let did = match given("did") {
        None => None,
        Some(key) => {
            let unknown = || PageError::BadRequest("`did` is visited, arrived or ordered.".to_owned());
            let did = Did::from_key(key).ok_or_else(unknown)?;
            Some((did, period(page, query)?.0))
        }
    };
    Ok(PeopleFilter {
        search: given("q").map(str::to_owned),
        // Both say something of what was done: without it they say nothing.
        channel: given("channel").filter(|_| did.is_some()).map(|key| key.replace('\0', "")),
        viewed: given("viewed").filter(|_| matches!(did, Some((Did::Visited, _)))).map(str::to_owned),
        did,
    })
}

async fn people(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let filter = filter(page, &query)?;
        let channel = filter.channel.as_deref().map(channel_name);
        let report = page.store.people(page.site()?, filter, (page_number(&query), PER_PAGE), page.now)?;
        let html = dashboard::people(&page.shell(), &report, channel.as_deref(), page.now)?;
        Ok(Reply::Page(StatusCode::OK, html))
    })
    .await
}

async fn people_file(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let filter = filter(page, &query)?;
        let profile_ids = page.store.people_ids(page.site()?, &filter, page.now)?;
        let (store, site) = (page.store.clone(), page.site()?.clone());
        let rows = Box::new(PeopleFile { store, site, filter, profile_ids });
        Ok(Reply::File { file: "people.csv".to_owned(), rows })
    })
    .await
}

/// A list of people as a file: only their numbers are held.
struct PeopleFile {
    store: Store,
    site: Site,
    filter: PeopleFilter,
    profile_ids: Vec<i64>,
}

impl super::Rows for PeopleFile {
    fn len(&self) -> usize {
        self.profile_ids.len()
    }

    fn part(&self, range: Range<usize>) -> Result<String, StoreError> {
        let rows = self.store.people_rows(&self.site, &self.profile_ids[range])?;
        let paging = Paging { page: 1, per_page: u32::MAX, total: self.profile_ids.len() as u64 };
        Ok(People { site: segments::report_site(&self.site), filter: self.filter.clone(), rows, paging }.csv())
    }
}

/// What of a timeline is asked for; a kind that there is not is none.
fn timeline_filter(query: &HashMap<String, String>) -> TimelineFilter {
    let given = |name: &str| query.get(name).filter(|text| !text.is_empty());
    TimelineFilter {
        source: given("source").map(|key| key.replace('\0', "")),
        kind: given("kind").and_then(|key| TimelineKind::from_key(key)),
    }
}

/// The person, or where to look instead.
fn report(
    page: &Inside,
    profile_id: i64,
    part: (u32, u32),
    filter: TimelineFilter,
) -> Result<Result<Box<Profile>, Reply>, PageError> {
    let site = page.site()?;
    let belongings = segments::belongings(&page.store, site, profile_id)?;
    match page.store.profile(site, profile_id, part, filter, belongings, page.now)? {
        Found::Profile(profile) => Ok(Ok(profile)),
        Found::MovedTo(now) => Ok(Err(Reply::To(format!("/s/{}/people/{now}", site.site_id)))),
        Found::Nobody => Err(PageError::NotFound),
    }
}

async fn profile(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, i64)>) -> HttpResponse {
    let (site_id, profile_id) = path.into_inner();
    let query = query(&request);
    let (part, filter) = ((page_number(&query), ENTRIES), timeline_filter(&query));
    inside(&state, &request, Some(site_id), move |page| match report(page, profile_id, part, filter)? {
        Ok(profile) => Ok(Reply::Page(StatusCode::OK, dashboard::profile(&page.shell(), &profile)?)),
        Err(elsewhere) => Ok(elsewhere),
    })
    .await
}

async fn profile_file(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, i64, String)>,
) -> HttpResponse {
    let (site_id, profile_id, table) = path.into_inner();
    let filter = timeline_filter(&query(&request));
    inside(&state, &request, Some(site_id), move |page| {
        let table = ProfileTable::from_key(&table).ok_or(PageError::NotFound)?;
        match report(page, profile_id, (1, u32::MAX), filter)? {
            Ok(profile) => {
                Ok(Reply::Csv { file: format!("{}-{profile_id}.csv", table.key()), text: profile.csv(table) })
            }
            // A file has one address.
            Err(_) => Err(PageError::NotFound),
        }
    })
    .await
}

/// Everything that is kept of a person, as a file.
async fn export(state: web::Data<State>, request: HttpRequest, path: web::Path<(i32, i64)>) -> HttpResponse {
    let (site_id, profile_id) = path.into_inner();
    inside(&state, &request, Some(site_id), move |page| {
        let told = page.store.export_person(page.site()?, profile_id)?.ok_or(PageError::NotFound)?;
        Ok(Reply::Json { file: format!("person-{profile_id}.json"), text: format!("{told:#}") })
    })
    .await
}

/// Forgets a person, once it was confirmed.
async fn erase(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, i64)>,
    form: Fields,
) -> HttpResponse {
    let (site_id, profile_id) = path.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, form| {
        if field(form, "confirm") != "erase" {
            return Err(PageError::BadRequest("Write “erase” to confirm; nothing has been deleted.".to_owned()));
        }
        match page.store.erase(page.site()?, profile_id, page.user_email())? {
            Some(_) => Ok(Reply::To(format!("/s/{site_id}/people?erased"))),
            None => Err(PageError::NotFound),
        }
    })
    .await
}
