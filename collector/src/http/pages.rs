//! The dashboard's pages: who may see what, the report from the store, and its page from the `dashboard` crate.
//!
//! A handler names the site and the report; [`inside`] finds out who is asking, off the event loop, and turns whatever
//! comes of it into an answer.

mod acquisition;
mod experience;
mod file;
mod imports;
mod joins;
mod lists;
mod live;
mod matches;
mod overview;
mod people;
mod plan;
mod predictions;
mod segments;
mod setup;
mod sources;
mod traits;

use super::auth::{self, Fields, LoggedIn};
use super::{State, assets};
use crate::analysis::Analysis;
use crate::store::reports::sentence;
use crate::store::sites::Site;
use crate::store::users::User;
use crate::store::{Store, StoreError};
use crate::{intake::clock, secrets};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use dashboard::{Flash, FlashKind, Outside, Problem, RenderError, Shell, SiteLink};
use domain::report::{Period, Setup, Windows};
use file::Rows;
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::HashMap;

/// Rows of one page of a long list.
const PER_PAGE: u32 = 50;
/// Seconds after which a page that could not be made may work.
const RETRY_AFTER: &str = "2";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    overview::routes(config);
    acquisition::routes(config);
    experience::routes(config);
    live::routes(config);
    // Before the segments, whose keys would be taken for them.
    lists::routes(config);
    segments::routes(config);
    predictions::routes(config);
    // Before the people, whose files would be taken for it.
    joins::routes(config);
    matches::routes(config);
    people::routes(config);
    imports::routes(config);
    setup::routes(config);
    sources::routes(config);
    traits::routes(config);
    plan::routes(config);
    config.service(web::resource("/definitions").route(web::get().to(definitions)));
    config.default_service(web::to(nothing_here));
}

/// What a handler answers with.
pub(super) enum Reply {
    /// A whole page.
    Page(StatusCode, String),
    /// A part of one, for a page that asks by script.
    Part(String),
    /// A JSON document as a file of this name.
    Json { file: String, text: String },
    /// A table as a file of this name.
    Csv { file: String, text: String },
    /// A long table as a file of this name, read while it is sent.
    File { file: String, rows: Box<dyn Rows> },
    /// Another address of ours.
    To(String),
}

/// Why there is no page.
#[derive(Debug)]
pub(super) enum PageError {
    /// No such page, or not for this user: nobody is told which.
    NotFound,
    /// There is no site to look at.
    NoSite,
    /// What was asked makes no sense; says what to write instead.
    BadRequest(String),
    /// The form's token is not the session's.
    StaleForm,
    /// See [`StoreError`].
    Store(StoreError),
    /// A page could not be written.
    Render(RenderError),
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> PageError {
        PageError::Store(error)
    }
}

impl From<RenderError> for PageError {
    fn from(error: RenderError) -> PageError {
        PageError::Render(error)
    }
}

impl PageError {
    /// What is shown, and what the log is told: a visitor of the dashboard never reads the database's own words.
    fn problem(&self) -> (StatusCode, Problem) {
        match self {
            PageError::NotFound => (StatusCode::NOT_FOUND, Problem::NotFound),
            PageError::NoSite => (
                StatusCode::NOT_FOUND,
                Problem::BadRequest(
                    "There is no site you may look at. Whoever runs the server makes one: \
                     segments site add NAME --domain DOMAIN"
                        .to_owned(),
                ),
            ),
            PageError::BadRequest(text) => (StatusCode::BAD_REQUEST, Problem::BadRequest(text.clone())),
            PageError::StaleForm => (StatusCode::FORBIDDEN, Problem::StaleForm),
            PageError::Store(error @ (StoreError::Away(_) | StoreError::Full(_) | StoreError::Contended(_))) => {
                tracing::warn!(%error, "a page has to wait");
                (StatusCode::SERVICE_UNAVAILABLE, Problem::Unavailable)
            }
            PageError::Store(error @ (StoreError::AlreadyThere | StoreError::Refused(_))) => {
                tracing::error!(%error, "a page failed");
                (StatusCode::INTERNAL_SERVER_ERROR, Problem::Failure)
            }
            PageError::Render(error) => {
                tracing::error!(%error, "a page could not be written");
                (StatusCode::INTERNAL_SERVER_ERROR, Problem::Failure)
            }
        }
    }
}

/// A request of somebody who is logged in, about a site that they may see.
pub(super) struct Inside {
    pub(super) store: Store,
    /// Everybody in memory, where this process keeps them.
    pub(super) analysis: Option<Analysis>,
    /// The moment of the request.
    pub(super) now: Timestamp,
    /// Where the collector is reached.
    origin: String,
    user: User,
    sites: Vec<Site>,
    /// Which of the sites, on a page about one.
    chosen: Option<usize>,
    /// A message about what was just done.
    pub(super) flash: Option<&'static str>,
}

impl Inside {
    /// The site of this page.
    ///
    /// # Errors
    /// [`PageError::NotFound`] on a page about none.
    pub(super) fn site(&self) -> Result<&Site, PageError> {
        self.chosen.and_then(|index| self.sites.get(index)).ok_or(PageError::NotFound)
    }

    /// Today in the site's time zone.
    pub(super) fn today(&self) -> Result<Date, PageError> {
        Ok(self.now.to_zoned_datetime(self.site()?.time_zone.clone()).date())
    }

    /// What surrounds the page.
    pub(super) fn shell(&self) -> Shell {
        let link = |site: &Site| SiteLink { id: site.site_id, name: site.name.clone() };
        Shell {
            assets: assets::names(),
            user_email: self.user.email.clone(),
            csrf_token: self.user.csrf_token.clone(),
            sites: self.sites.iter().map(link).collect(),
            site: self.chosen.and_then(|index| self.sites.get(index)).map(link),
            flash: self.flash.map(|text| Flash { kind: FlashKind::Done, text: text.to_owned() }),
        }
    }

    /// Who is logged in.
    pub(super) fn user_email(&self) -> &str {
        &self.user.email
    }

    /// Where the collector is reached, without a slash at the end.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The site's set-up.
    pub(super) fn setup(&self) -> Result<Setup, PageError> {
        Ok(self.store.setup(self.site()?, &self.origin, self.now)?)
    }

    /// Refuses a form that another page has sent in the user's name.
    fn check(&self, form: &HashMap<String, String>) -> Result<(), PageError> {
        same_token(&self.user, form)
    }

    fn reply(&self, work: impl FnOnce(&Inside) -> Result<Reply, PageError>) -> Result<Reply, Wrong> {
        work(self).map_err(|error| {
            let (status, problem) = error.problem();
            Wrong { status, page: dashboard::problem(&self.shell(), &problem) }
        })
    }
}

/// Refuses a form whose token is not the session's.
pub(super) fn same_token(user: &User, form: &HashMap<String, String>) -> Result<(), PageError> {
    let sent = form.get("csrf_token").map_or("", String::as_str);
    if secrets::same(sent, &user.csrf_token) { Ok(()) } else { Err(PageError::StaleForm) }
}

/// A page that says what went wrong.
struct Wrong {
    status: StatusCode,
    page: dashboard::Rendered,
}

/// What came of a request to the inside.
enum Came {
    Reply(Reply),
    Wrong(Wrong),
    /// Nobody is logged in.
    Stranger,
}

/// Answers somebody who is logged in, about a site of theirs where one is named; all others are led to the log-in, or
/// told that there is nothing.
pub(super) async fn inside(
    state: &web::Data<State>,
    request: &HttpRequest,
    site_id: Option<i32>,
    work: impl FnOnce(&Inside) -> Result<Reply, PageError> + Send + 'static,
) -> HttpResponse {
    inside_as(state, request, auth::token(request), site_id, work).await
}

/// As [`inside`], for a form that changes something: one that another page has sent in the user's name changes nothing.
pub(super) async fn posted(
    state: &web::Data<State>,
    request: &HttpRequest,
    site_id: Option<i32>,
    form: Fields,
    work: impl FnOnce(&Inside, &HashMap<String, String>) -> Result<Reply, PageError> + Send + 'static,
) -> HttpResponse {
    inside(state, request, site_id, move |page| {
        page.check(&form)?;
        work(page, &form)
    })
    .await
}

/// As [`inside`], for the session of that token.
pub(super) async fn inside_as(
    state: &web::Data<State>,
    request: &HttpRequest,
    token: Option<String>,
    site_id: Option<i32>,
    work: impl FnOnce(&Inside) -> Result<Reply, PageError> + Send + 'static,
) -> HttpResponse {
    let (store, analysis, origin) = (state.store.clone(), state.analysis.clone(), origin(state, request));
    let asked = query(request);
    let flash = match (asked.contains_key("saved"), asked.contains_key("erased")) {
        (true, _) => Some("The settings are saved."),
        (_, true) => Some("The person is forgotten. What is left of them is deleted within a minute."),
        (false, false) => None,
    };
    let done = web::block(move || {
        let Some(LoggedIn { user, sites }) = auth::who(&store, token.as_deref())? else { return Ok(Came::Stranger) };
        let chosen = site_id.and_then(|id| sites.iter().position(|site| site.site_id == id));
        let is_hidden = site_id.is_some() && chosen.is_none();
        let now = crate::store::instant(clock::now_us());
        let page = Inside { store, analysis, now, origin, user, sites, chosen, flash };
        let reply = if is_hidden { page.reply(|_| Err(PageError::NotFound)) } else { page.reply(work) };
        Ok(reply.map_or_else(Came::Wrong, Came::Reply))
    })
    .await;
    match done {
        Ok(Ok(Came::Reply(reply))) => answer(reply),
        Ok(Ok(Came::Wrong(wrong))) => rendered(wrong.status, wrong.page),
        Ok(Ok(Came::Stranger)) => stranger(request),
        Ok(Err(error)) => outside_error(&PageError::Store(error)),
        Err(_) => outside_problem(StatusCode::SERVICE_UNAVAILABLE, &Problem::Unavailable),
    }
}

/// Answers somebody who need not be logged in.
pub(super) async fn block(
    state: &web::Data<State>,
    work: impl FnOnce(&Store) -> Result<Reply, PageError> + Send + 'static,
) -> HttpResponse {
    let store = state.store.clone();
    match web::block(move || work(&store)).await {
        Ok(Ok(reply)) => answer(reply),
        Ok(Err(error)) => outside_error(&error),
        Err(_) => outside_problem(StatusCode::SERVICE_UNAVAILABLE, &Problem::Unavailable),
    }
}

/// Leads to the log-in, and back here afterwards. A script that asks for a part of a page leads the page there.
fn stranger(request: &HttpRequest) -> HttpResponse {
    let path = |address: &str| {
        let path = address.split_once("://").map_or(address, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
        auth::login_path(path)
    };
    if request.headers().contains_key("hx-request") {
        let from = request.headers().get("hx-current-url").and_then(|value| value.to_str().ok()).unwrap_or("/");
        let mut response = secured(HttpResponse::Unauthorized().finish());
        if let Ok(to) = HeaderValue::from_str(&path(from)) {
            response.headers_mut().insert(header::HeaderName::from_static("hx-redirect"), to);
        }
        return response;
    }
    let here = request.uri().path_and_query().map_or("/", |path| path.as_str());
    redirect(if request.method() == actix_web::http::Method::GET { path(here) } else { path("/") })
}

fn answer(reply: Reply) -> HttpResponse {
    match reply {
        Reply::Page(status, html) => page(status, html),
        Reply::Part(html) => page(StatusCode::OK, html),
        Reply::Csv { file, text } => attachment(&file, "text/csv; charset=utf-8").body(text),
        Reply::Json { file, text } => attachment(&file, "application/json").body(text),
        Reply::File { file, rows } => attachment(&file, "text/csv; charset=utf-8").streaming(file::stream(rows)),
        Reply::To(path) => redirect(path),
    }
}

/// A page of ours as a response.
pub(super) fn page(status: StatusCode, html: String) -> HttpResponse {
    secured(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html))
}

/// A page, or the failure to write it.
pub(super) fn rendered(status: StatusCode, html: dashboard::Rendered) -> HttpResponse {
    match html {
        Ok(html) => {
            let mut response = page(status, html);
            if status == StatusCode::SERVICE_UNAVAILABLE {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            }
            response
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            secured(HttpResponse::InternalServerError().body("something is wrong on this server; its log says what"))
        }
    }
}

/// An address of ours instead of a page.
pub(super) fn redirect(path: impl AsRef<str>) -> HttpResponse {
    secured(HttpResponse::SeeOther().insert_header((header::LOCATION, path.as_ref())).finish())
}

fn attachment(file: &str, content_type: &str) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type(content_type)
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\"")))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((header::CACHE_CONTROL, "private, no-store"));
    response
}

/// What every answer with people's data says to the browser.
fn secured(mut response: HttpResponse) -> HttpResponse {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, dashboard::CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "private, no-store"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What surrounds a page for somebody who is not logged in. Its forms are known by where they were sent from.
pub(super) fn outside() -> Outside {
    Outside { assets: assets::names(), csrf_token: String::new() }
}

pub(super) fn outside_problem(status: StatusCode, problem: &Problem) -> HttpResponse {
    rendered(status, dashboard::problem_outside(&outside(), problem))
}

pub(super) fn outside_error(error: &PageError) -> HttpResponse {
    let (status, problem) = error.problem();
    outside_problem(status, &problem)
}

/// Scheme and host where this server is reached, without a slash at the end: as its operator says, else as the request
/// does.
pub(super) fn origin(state: &State, request: &HttpRequest) -> String {
    if let Some(url) = &state.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let reached = super::reached(state, request);
    let scheme = if reached.is_https { "https" } else { "http" };
    let host = reached.host.unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// A request's query; of two with one name the last counts.
pub(super) fn query(request: &HttpRequest) -> HashMap<String, String> {
    web::Query::from_query(request.query_string()).map(web::Query::into_inner).unwrap_or_default()
}

/// A list's page from the query, 1 is the first; what is none is the first, too.
fn page_number(query: &HashMap<String, String>) -> u32 {
    query.get("page").and_then(|page| page.parse().ok()).unwrap_or(1).clamp(1, 1_000_000)
}

/// The period that a query asks for, and its moments.
fn period(page: &Inside, query: &HashMap<String, String>) -> Result<(Period, Windows), PageError> {
    let given = |name: &str| query.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    let bad = |error: domain::report::PeriodError| PageError::BadRequest(sentence(&error.to_string()));
    let period = Period::read(given("period"), given("from"), given("to"), page.today()?).map_err(bad)?;
    sensible(period.from)?;
    sensible(period.to)?;
    let windows = period.windows(page.now, &page.site()?.time_zone).map_err(bad)?;
    Ok((period, windows))
}

/// A day that PostgreSQL and the pages can compute with.
fn sensible(day: Date) -> Result<Date, PageError> {
    if (1900..=9000).contains(&day.year()) {
        return Ok(day);
    }
    Err(PageError::BadRequest(format!("{day} is outside the calendar; choose a day from 1900-01-01 on.")))
}

async fn definitions(state: web::Data<State>, request: HttpRequest) -> HttpResponse {
    inside(&state, &request, None, |page| Ok(Reply::Page(StatusCode::OK, dashboard::definitions(&page.shell())?))).await
}

/// Any other address.
async fn nothing_here(state: web::Data<State>, request: HttpRequest) -> HttpResponse {
    let path = request.path();
    if path.starts_with("/api/") || path.starts_with("/v1/") {
        return HttpResponse::NotFound().json(serde_json::json!({ "error": "there is no such route" }));
    }
    if auth::token(&request).is_none() {
        return outside_problem(StatusCode::NOT_FOUND, &Problem::NotFound);
    }
    inside(&state, &request, None, |_| Err(PageError::NotFound)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_list_has_a_first_page_whatever_is_asked() {
        let page = |text: &str| page_number(&HashMap::from([("page".to_owned(), text.to_owned())]));
        assert_eq!(["3", "0", "-1", "x", ""].map(page), [3, 1, 1, 1, 1]);
        assert_eq!(page("4294967295"), 1_000_000);
    }

    #[test]
    fn strangers_are_led_to_the_log_in_and_back() {
        let to = |request: TestRequest, name: &str| {
            let response = stranger(&request.to_http_request());
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        let location = to(TestRequest::get().uri("/s/1/people?q=a"), "location");
        assert_eq!(location.as_deref(), Some("/login?next=/s/1/people%3Fq%3Da"));
        assert_eq!(to(TestRequest::post().uri("/s/1/setup"), "location").as_deref(), Some("/login"));
        let poll = TestRequest::get()
            .uri("/s/1/live/events?after=1")
            .insert_header(("hx-request", "true"))
            .insert_header(("hx-current-url", "https://s.example/s/1/live"));
        assert_eq!(to(poll, "hx-redirect").as_deref(), Some("/login?next=/s/1/live"));
    }

    #[test]
    fn the_databases_words_stay_inside() {
        let (status, problem) = PageError::Store(StoreError::Refused("column secret".into())).problem();
        assert_eq!((status, problem), (StatusCode::INTERNAL_SERVER_ERROR, Problem::Failure));
        let (status, _) = PageError::Store(StoreError::Away("password".into())).problem();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
