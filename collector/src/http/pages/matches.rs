//! People who are probably one: the queue of pairs, what somebody decides about each, and from where on nobody is asked.

use super::{Inside, PageError, Reply, inside, page_number, posted, query};
use crate::http::State;
use crate::http::auth::{Fields, field};
use crate::store::StoreError;
use crate::store::identities::Decided;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::report::{MATCH_THRESHOLDS, matches_csv};

/// Pairs of one page: each is read, not skimmed.
const PER_PAGE: u32 = 10;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = |path: &str| web::resource(format!("/s/{{site:\\d{{1,9}}}}/matches{path}"));
    config
        .service(at("").route(web::get().to(book)))
        .service(at("/decided.csv").route(web::get().to(decided_file)))
        .service(at("/threshold").route(web::post().to(threshold)))
        .service(at("/look").route(web::post().to(look)))
        .service(at("/{id:\\d{1,18}}/{act:join|refuse|later|undo}").route(web::post().to(decide)));
}

async fn book(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let query = query(&request);
    inside(&state, &request, Some(*site), move |page| {
        let number = |name: &str| query.get(name).and_then(|id| id.parse().ok());
        let named = (number("match"), number("just"));
        let report = page.store.match_book(page.site()?, (page_number(&query), PER_PAGE), named, page.now)?;
        Ok(Reply::Page(StatusCode::OK, dashboard::matches(&page.shell(), &report)?))
    })
    .await
}

async fn decided_file(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        let decided = page.store.matches_decided(page.site()?)?;
        Ok(Reply::Csv { file: "matches-decided.csv".to_owned(), text: matches_csv(&decided) })
    })
    .await
}

async fn threshold(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, form| {
        let site_id = page.site()?.site_id;
        page.store.set_match_threshold(site_id, chosen(&field(form, "threshold"))?)?;
        Ok(Reply::To(format!("/s/{site_id}/matches?saved=1")))
    })
    .await
}

/// One of the thresholds that there are, or never.
fn chosen(text: &str) -> Result<Option<f64>, PageError> {
    if text == "never" {
        return Ok(None);
    }
    let found = MATCH_THRESHOLDS.into_iter().find(|threshold| threshold.to_string() == text);
    found
        .map(Some)
        .ok_or_else(|| PageError::BadRequest("Choose one of the thresholds that the page offers.".to_owned()))
}

async fn look(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, _| {
        let site_id = page.site()?.site_id;
        page.store.ask_for_matches(site_id)?;
        Ok(Reply::To(format!("/s/{site_id}/matches")))
    })
    .await
}

async fn decide(
    state: web::Data<State>,
    request: HttpRequest,
    path: web::Path<(i32, i64, String)>,
    form: Fields,
) -> HttpResponse {
    let (site_id, match_id, act) = path.into_inner();
    posted(&state, &request, Some(site_id), form, move |page, form| match done(page, match_id, &act)? {
        Decided::Now(_) => {
            let number = page_number(form);
            Ok(Reply::To(format!("/s/{site_id}/matches?page={number}&just={match_id}")))
        }
        Decided::HeldBack(refusal) => {
            Err(PageError::BadRequest(format!("The two are not joined: {refusal}. Nothing has changed.")))
        }
        Decided::Gone => Err(PageError::BadRequest(
            "That pair no longer waits for this: somebody may have decided it a moment ago.".to_owned(),
        )),
    })
    .await
}

fn done(page: &Inside, match_id: i64, act: &str) -> Result<Decided, PageError> {
    let (store, site_id, said_by) = (&page.store, page.site()?.site_id, page.user_email());
    let postponed = |done| if done { Decided::Now(Default::default()) } else { Decided::Gone };
    let decided: Result<Decided, StoreError> = match act {
        "join" => store.join_match(site_id, match_id, said_by),
        "refuse" => store.refuse_match(site_id, match_id, said_by),
        "undo" => store.undo_match(site_id, match_id, said_by),
        "later" => store.postpone_match(site_id, match_id).map(postponed),
        _ => return Err(PageError::NotFound),
    };
    Ok(decided?)
}
