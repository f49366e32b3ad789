//! The tracking plan: the named events of a site, and one of them with what is agreed of it.

use super::{Inside, PageError, Reply, inside, posted, query};
use crate::http::State;
use crate::http::auth::{Fields, field};
use crate::store::plan::PlanChangeError;
use crate::store::reports::sentence;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use dashboard::PlanForm;
use domain::plan::EventPlan;

/// A form with the longest plan is smaller.
const MAX_FORM: usize = 256 * 1024;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let at = |path: &str| {
        web::resource(format!("/s/{{site:\\d{{1,9}}}}/plan{path}")).app_data(web::FormConfig::default().limit(MAX_FORM))
    };
    config
        .service(at("").route(web::get().to(list)))
        .service(at(".csv").route(web::get().to(list_file)))
        .service(at("/block").route(web::post().to(block)))
        .service(at("/event").route(web::get().to(event)).route(web::post().to(pin)))
        .service(at("/unpin").route(web::post().to(unpin)));
}

impl From<PlanChangeError> for PageError {
    fn from(error: PlanChangeError) -> PageError {
        match error {
            PlanChangeError::Unknown(_) => PageError::NotFound,
            PlanChangeError::Store(error) => PageError::Store(error),
            error @ (PlanChangeError::Name | PlanChangeError::Plan(_) | PlanChangeError::TooMany) => {
                PageError::BadRequest(sentence(&error.to_string()))
            }
        }
    }
}

fn address(page: &Inside, name: &str) -> Result<String, PageError> {
    Ok(dashboard::plan_event_path(page.site()?.site_id, name))
}

async fn list(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        let report = page.store.plan_report(page.site()?, page.now)?;
        Ok(Reply::Page(StatusCode::OK, dashboard::plan(&page.shell(), &report)?))
    })
    .await
}

async fn list_file(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        let report = page.store.plan_report(page.site()?, page.now)?;
        Ok(Reply::Csv { file: format!("plan-{}.csv", page.today()?), text: report.csv() })
    })
    .await
}

async fn block(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, form| {
        let site = page.site()?;
        page.store.block_violations(site, field(form, "block") == "yes")?;
        Ok(Reply::To(format!("/s/{}/plan?saved", site.site_id)))
    })
    .await
}

/// The page of one event, with what was typed where it was not taken.
fn show(page: &Inside, status: StatusCode, name: &str, typed: Option<PlanForm>) -> Result<Reply, PageError> {
    let found = page.store.plan_event(page.site()?, name, page.now)?.ok_or(PageError::NotFound)?;
    let form = typed.unwrap_or_else(|| PlanForm::of(&found));
    Ok(Reply::Page(status, dashboard::plan_event(&page.shell(), &found, &form)?))
}

async fn event(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    let name = field(&query(&request), "name").replace('\0', "");
    inside(&state, &request, Some(*site), move |page| show(page, StatusCode::OK, &name, None)).await
}

async fn pin(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, form| {
        let (name, text) = (field(form, "name").replace('\0', ""), field(form, "plan").replace('\0', ""));
        let site = page.site()?;
        let plan = text.parse::<EventPlan>().map_err(PlanChangeError::Plan);
        let pinned = plan.and_then(|plan| page.store.pin_event(site, &name, &plan));
        match pinned {
            Ok(()) => Ok(Reply::To(format!("{}&saved", address(page, &name)?))),
            Err(error @ (PlanChangeError::Plan(_) | PlanChangeError::TooMany | PlanChangeError::Name)) => {
                let problem = Some(sentence(&error.to_string()));
                show(page, StatusCode::UNPROCESSABLE_ENTITY, &name, Some(PlanForm { plan: text, problem }))
            }
            Err(error @ (PlanChangeError::Unknown(_) | PlanChangeError::Store(_))) => Err(error.into()),
        }
    })
    .await
}

async fn unpin(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    posted(&state, &request, Some(*site), form, move |page, form| {
        let name = field(form, "name");
        page.store.unpin_event(page.site()?, &name)?;
        Ok(Reply::To(format!("/s/{}/plan?saved", page.site()?.site_id)))
    })
    .await
}
