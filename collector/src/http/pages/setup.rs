//! Set-up: the tag, whether it works, keys and settings.

use super::{PageError, Reply, inside, posted};
use crate::http::State;
use crate::http::auth::{Fields, field};
use crate::store::reports::{Settings, SettingsError, Typed};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use dashboard::SetupForm;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let setup = web::resource("/s/{site:\\d{1,9}}/setup");
    config.service(setup.route(web::get().to(show)).route(web::post().to(save)));
    config.service(web::resource("/s/{site:\\d{1,9}}/setup/state").route(web::get().to(tag_state)));
    config.service(web::resource("/s/{site:\\d{1,9}}/setup/secret-key").route(web::post().to(renew)));
    config.service(web::resource("/s/{site:\\d{1,9}}/setup/signatures").route(web::post().to(signatures)));
}

async fn show(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| {
        let report = page.setup()?;
        let html = dashboard::setup(&page.shell(), &report, &SetupForm::of(&report), None)?;
        Ok(Reply::Page(StatusCode::OK, html))
    })
    .await
}

async fn tag_state(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>) -> HttpResponse {
    inside(&state, &request, Some(*site), |page| Ok(Reply::Part(dashboard::setup_state(&page.setup()?)?))).await
}

async fn save(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    let directory = state.sites.clone();
    posted(&state, &request, Some(*site), form, move |page, form| {
        let text = |name| field(form, name);
        let typed = SetupForm {
            name: text("name"),
            domains: text("domains"),
            currency: text("currency"),
            time_zone: text("time_zone"),
            consent: text("consent"),
            browser_orders: text("browser_orders"),
            bots: text("bots"),
            bot_limit: text("bot_limit"),
            problems: Vec::new(),
        };
        let site_id = page.site()?.site_id;
        let saved = Settings::check(&Typed {
            name: &typed.name,
            domains: &typed.domains,
            currency: &typed.currency,
            time_zone: &typed.time_zone,
            consent: &typed.consent,
            browser_orders: &typed.browser_orders,
            bots: &typed.bots,
            bot_limit: &typed.bot_limit,
        })
        .and_then(|settings| page.store.save_settings(site_id, &settings));
        match saved {
            Ok(()) => {
                // Other processes follow within seconds; this one need not wait.
                directory.refresh()?;
                Ok(Reply::To(format!("/s/{site_id}/setup?saved")))
            }
            Err(SettingsError::Problems(problems)) => {
                let form = SetupForm { problems, ..typed };
                let html = dashboard::setup(&page.shell(), &page.setup()?, &form, None)?;
                Ok(Reply::Page(StatusCode::UNPROCESSABLE_ENTITY, html))
            }
            Err(SettingsError::Store(error)) => Err(PageError::Store(error)),
        }
    })
    .await
}

async fn renew(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    let directory = state.sites.clone();
    posted(&state, &request, Some(*site), form, move |page, _| {
        let secret_key = page.store.renew_secret_key(page.site()?.site_id)?;
        directory.refresh()?;
        let report = page.setup()?;
        let html = dashboard::setup(&page.shell(), &report, &SetupForm::of(&report), Some(&secret_key))?;
        Ok(Reply::Page(StatusCode::OK, html))
    })
    .await
}

/// Whether browsers have to prove who signs in; the secret for it is made with the first answer.
async fn signatures(state: web::Data<State>, request: HttpRequest, site: web::Path<i32>, form: Fields) -> HttpResponse {
    let directory = state.sites.clone();
    posted(&state, &request, Some(*site), form, move |page, form| {
        let site = page.site()?;
        let (ask, renew) = match field(form, "do").as_str() {
            "ask" => (true, false),
            "stop" => (false, false),
            "renew" => (site.signed_identify, true),
            _ => return Err(PageError::NotFound),
        };
        page.store.ask_for_signatures(site.site_id, ask, renew)?;
        directory.refresh()?;
        Ok(Reply::To(format!("/s/{}/setup?saved#signatures", site.site_id)))
    })
    .await
}
