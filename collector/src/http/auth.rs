//! Who is looking: the session's cookie, log-in and log-out, and the first run.

use super::pages::{self, PageError, Reply, origin, outside};
use super::{State, peer};
use crate::store::Store;
use crate::store::StoreError;
use crate::store::reports::{FirstRun, Settings, SettingsError, Typed};
use crate::store::sites::Site;
use crate::store::sites::{Bots, BrowserOrders};
use crate::store::users::{LogIn, SESSION_DAYS, User};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use dashboard::{LoginForm, LoginProblem, Problem, SetupForm, WelcomeForm};
use std::collections::HashMap;

const COOKIE: &str = "segments_session";
/// Failed log-ins are counted over a quarter of an hour.
const THROTTLED_SECONDS: u64 = 900;

/// A form's fields; of two with one name the last counts.
pub(super) type Fields = web::Form<HashMap<String, String>>;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/").route(web::get().to(home)));
    config.service(web::resource("/login").route(web::get().to(login)).route(web::post().to(log_in)));
    config.service(web::resource("/logout").route(web::post().to(log_out)));
    config.service(web::resource("/welcome").route(web::get().to(welcome)).route(web::post().to(first_run)));
}

/// Somebody who is logged in, and what they may look at.
pub(super) struct LoggedIn {
    pub(super) user: User,
    pub(super) sites: Vec<Site>,
}

/// Who a token belongs to, if it is good.
pub(super) fn who(store: &Store, token: Option<&str>) -> Result<Option<LoggedIn>, StoreError> {
    let Some(token) = token else { return Ok(None) };
    let Some(user) = store.session_user(token)? else { return Ok(None) };
    let sites = store.sites_of(&user)?;
    Ok(Some(LoggedIn { user, sites }))
}

/// The session's token in a request's cookie.
pub(super) fn token(request: &HttpRequest) -> Option<String> {
    super::cookie(request, COOKIE).map(ToOwned::to_owned)
}

/// The cookie that keeps a browser logged in; without a token the one that logs it out.
fn cookie(token: Option<&str>, secure: bool) -> String {
    let seconds = if token.is_some() { i64::from(SESSION_DAYS) * 86_400 } else { 0 };
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", token.unwrap_or(""))
}

fn with_cookie(state: &State, request: &HttpRequest, mut response: HttpResponse, token: Option<&str>) -> HttpResponse {
    let secure = origin(state, request).starts_with("https:");
    if let Ok(value) = header::HeaderValue::from_str(&cookie(token, secure)) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// A path of ours to go on to; anything else is `/`.
pub(super) fn local(next: Option<&str>) -> String {
    let plain = |path: &str| path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    match next {
        Some(path) if path.starts_with('/') && !path.starts_with("//") && plain(path) => path.to_owned(),
        Some(_) | None => "/".to_owned(),
    }
}

/// The log-in page's address, from which the way leads back.
pub(super) fn login_path(next: &str) -> String {
    match local(Some(next)).as_str() {
        "/" => "/login".to_owned(),
        next => {
            let escaped = next.bytes().fold(String::new(), |mut text, byte| {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                        text.push(char::from(byte));
                    }
                    byte => text.push_str(&format!("%{byte:02X}")),
                }
                text
            });
            format!("/login?next={escaped}")
        }
    }
}

/// Whether a form was sent from one of our own pages, as far as the browser says. Before there is a session there is no
/// token that could prove it; programs that are no browsers say nothing, and have nobody's cookies to misuse.
fn is_own_form(state: &State, request: &HttpRequest) -> bool {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let authority = |address: &str| {
        address.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or("").to_ascii_lowercase()
    };
    let own = [authority(&origin(state, request)), text("host").unwrap_or("").to_ascii_lowercase()];
    let is_own = |address: &str| own.contains(&authority(address)) && !authority(address).is_empty();
    match (text("origin"), text("sec-fetch-site"), text("referer")) {
        (Some(origin), _, _) => is_own(origin),
        (None, Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, None, Some(referer)) => is_own(referer),
        (None, None, None) => true,
    }
}

/// The first page: whatever there is for whoever comes.
async fn home(state: web::Data<State>, request: HttpRequest) -> HttpResponse {
    let token = token(&request);
    pages::block(&state, move |store| {
        Ok(Reply::To(match who(store, token.as_deref())? {
            Some(LoggedIn { sites, .. }) => match sites.first() {
                Some(site) => format!("/s/{}/overview", site.site_id),
                None => return Err(PageError::NoSite),
            },
            None if store.has_users()? => "/login".to_owned(),
            None => "/welcome".to_owned(),
        }))
    })
    .await
}

async fn login(state: web::Data<State>, request: HttpRequest) -> HttpResponse {
    let token = token(&request);
    let next = local(pages::query(&request).get("next").map(String::as_str));
    pages::block(&state, move |store| {
        if who(store, token.as_deref())?.is_some() {
            return Ok(Reply::To(next));
        }
        if !store.has_users()? {
            return Ok(Reply::To("/welcome".to_owned()));
        }
        let form = LoginForm { email: String::new(), next, problem: None };
        Ok(Reply::Page(StatusCode::OK, dashboard::login(&outside(), &form)?))
    })
    .await
}

async fn log_in(state: web::Data<State>, request: HttpRequest, form: Fields) -> HttpResponse {
    if !is_own_form(&state, &request) {
        return pages::outside_problem(StatusCode::FORBIDDEN, &Problem::StaleForm);
    }
    let address = peer(&state, &request);
    let (email, password) = (field(&form, "email"), field(&form, "password"));
    let next = local(form.get("next").map(String::as_str));
    let store = state.store.clone();
    let (email_tried, password) = (email.clone(), password);
    let tried = web::block(move || store.log_in(&email_tried, &password, address)).await;
    let (status, problem) = match tried {
        Ok(Ok(LogIn::Done { token })) => {
            return with_cookie(&state, &request, pages::redirect(&next), Some(&token));
        }
        Ok(Ok(LogIn::Wrong)) => (StatusCode::UNAUTHORIZED, LoginProblem::Wrong),
        Ok(Ok(LogIn::Throttled)) => {
            (StatusCode::TOO_MANY_REQUESTS, LoginProblem::Throttled { retry_after_seconds: THROTTLED_SECONDS })
        }
        Ok(Err(error)) => return pages::outside_error(&PageError::Store(error)),
        Err(_) => return pages::outside_problem(StatusCode::SERVICE_UNAVAILABLE, &Problem::Unavailable),
    };
    let page = dashboard::login(&outside(), &LoginForm { email, next, problem: Some(problem) });
    let mut response = pages::rendered(status, page);
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, THROTTLED_SECONDS.into());
    }
    response
}

async fn log_out(state: web::Data<State>, request: HttpRequest, form: Fields) -> HttpResponse {
    let token = token(&request);
    let response = pages::block(&state, move |store| {
        if let Some(there) = who(store, token.as_deref())? {
            pages::same_token(&there.user, &form)?;
            token.map(|token| store.end_session(&token)).transpose()?;
        }
        Ok(Reply::To("/login".to_owned()))
    })
    .await;
    if response.status().is_redirection() { with_cookie(&state, &request, response, None) } else { response }
}

async fn welcome(state: web::Data<State>) -> HttpResponse {
    pages::block(&state, |store| {
        if store.has_users()? {
            return Ok(Reply::To("/".to_owned()));
        }
        Ok(Reply::Page(StatusCode::OK, dashboard::welcome(&outside(), &WelcomeForm::default())?))
    })
    .await
}

async fn first_run(state: web::Data<State>, request: HttpRequest, form: Fields) -> HttpResponse {
    if !is_own_form(&state, &request) {
        return pages::outside_problem(StatusCode::FORBIDDEN, &Problem::StaleForm);
    }
    let text = |name| field(&form, name);
    let typed = WelcomeForm {
        email: text("email"),
        site_name: text("site_name"),
        domains: text("domains"),
        currency: text("currency"),
        time_zone: text("time_zone"),
        consent: text("consent"),
        problems: Vec::new(),
    };
    let (password, store) = (text("password"), state.store.clone());
    let made = web::block(move || {
        let site = Settings::check(&Typed {
            name: &typed.site_name,
            domains: &typed.domains,
            currency: &typed.currency,
            time_zone: &typed.time_zone,
            consent: &typed.consent,
            browser_orders: BrowserOrders::Auto.key(),
            bots: Bots::Exclude.key(),
            bot_limit: &domain::report::BOT_LIMIT.to_string(),
        });
        if store.has_users()? {
            return Ok(FirstRun::TooLate);
        }
        store.first_run(&typed.email, &password, site).map_err(|error| match error {
            SettingsError::Problems(problems) => NotYet::Problems(Box::new(WelcomeForm { problems, ..typed })),
            SettingsError::Store(error) => NotYet::Store(error),
        })
    })
    .await;
    let (token, site_id, secret_key) = match made {
        Ok(Ok(FirstRun::Done { token, site_id, secret_key })) => (token, site_id, secret_key),
        Ok(Ok(FirstRun::TooLate)) => return pages::redirect("/"),
        Ok(Err(NotYet::Problems(form))) => {
            return pages::rendered(StatusCode::UNPROCESSABLE_ENTITY, dashboard::welcome(&outside(), &form));
        }
        Ok(Err(NotYet::Store(error))) => return pages::outside_error(&PageError::Store(error)),
        Err(_) => return pages::outside_problem(StatusCode::SERVICE_UNAVAILABLE, &Problem::Unavailable),
    };
    let shown = token.clone();
    let response = pages::inside_as(&state, &request, Some(shown), Some(site_id), move |page| {
        let report = page.setup()?;
        let shell = page.shell();
        let html = dashboard::setup(&shell, &report, &SetupForm::of(&report), Some(&secret_key))?;
        Ok(Reply::Page(StatusCode::OK, html))
    })
    .await;
    with_cookie(&state, &request, response, Some(&token))
}

/// Why the first run is not done yet.
enum NotYet {
    Problems(Box<WelcomeForm>),
    Store(StoreError),
}

impl From<StoreError> for NotYet {
    fn from(error: StoreError) -> NotYet {
        NotYet::Store(error)
    }
}

/// A field of a form; what is missing is empty.
pub(super) fn field(form: &HashMap<String, String>, name: &str) -> String {
    form.get(name).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn the_way_after_logging_in_stays_on_this_site() {
        assert_eq!(local(Some("/s/1/people?q=a%20b&page=2")), "/s/1/people?q=a%20b&page=2");
        for elsewhere in ["//evil.example", "/\\evil.example", "https://evil.example", "", "s/1", "/a\r\nb", "/\u{e9}"]
        {
            assert_eq!(local(Some(elsewhere)), "/", "{elsewhere:?}");
        }
        assert_eq!(login_path("/s/1/people?q=a"), "/login?next=/s/1/people%3Fq%3Da");
        assert_eq!(login_path("/"), "/login");
    }

    #[test]
    fn the_cookie_is_kept_from_scripts_and_other_sites() {
        assert_eq!(
            cookie(Some("abc"), true),
            "segments_session=abc; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(cookie(None, false), "segments_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn the_token_is_found_among_other_cookies() {
        let with = |line: &str| token(&TestRequest::default().insert_header(("cookie", line)).to_http_request());
        assert_eq!(with("a=b; segments_session=t1; c=d").as_deref(), Some("t1"));
        assert_eq!(with("xsegments_session=t1; segments_session="), None);
    }
}
