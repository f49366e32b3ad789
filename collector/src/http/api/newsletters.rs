//! Links and pixels for newsletters that anybody sends.

use super::{ApiError, with_site};
use crate::http::State;
use crate::intake::touch::Token;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::identity::{Kind, normalise};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Recipients of one call; a mailing is prepared in as many as it takes.
const RECIPIENTS: usize = 1_000;
/// Addresses of one mailing.
const URLS: usize = 100;
/// Room for both, with addresses of two thousand bytes.
const BODY: usize = 1 << 20;
/// Recipients times addresses: each is a link of the answer.
const LINKS: usize = 20_000;
const URL_BYTES: usize = 2_000;
const NAME_BYTES: usize = 100;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/api/v1/newsletters").app_data(web::PayloadConfig::new(BODY)).route(web::post().to(prepare)),
    );
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mailing {
    /// Its name, which becomes `utm_campaign`.
    campaign: String,
    /// What sends it, which becomes `utm_source`.
    #[serde(default = "newsletter")]
    source: String,
    /// Where its links lead.
    #[serde(default)]
    urls: Vec<String>,
    /// Whom it is for; without any, the links are for nobody in particular.
    #[serde(default)]
    recipients: Vec<String>,
}

fn newsletter() -> String {
    "newsletter".to_owned()
}

fn check(mailing: &Mailing) -> Result<(), ApiError> {
    let bad = |text: String| Err(ApiError::BadRequest(text));
    for (what, text) in [("campaign", &mailing.campaign), ("source", &mailing.source)] {
        if text.trim().is_empty() || text.len() > NAME_BYTES || text.contains(char::is_control) {
            return bad(format!("{what} has 1 to {NAME_BYTES} bytes"));
        }
    }
    if mailing.urls.len() * mailing.recipients.len() > LINKS {
        return bad(format!("at most {LINKS} links in one call; ask for fewer recipients at once"));
    }
    if mailing.urls.len() > URLS || mailing.recipients.len() > RECIPIENTS {
        return bad(format!("at most {URLS} urls and {RECIPIENTS} recipients in one call"));
    }
    for url in &mailing.urls {
        let is_http = url.starts_with("https://") || url.starts_with("http://");
        if !is_http || url.len() > URL_BYTES || url.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return bad(format!("{url:.60} is no http address of at most {URL_BYTES} bytes"));
        }
    }
    Ok(())
}

/// Makes the links and the pixel of a mailing, for each recipient or for nobody in particular.
async fn prepare(state: web::Data<State>, request: HttpRequest, body: web::Bytes) -> Result<HttpResponse, ApiError> {
    let mailing: Mailing =
        serde_json::from_slice(&body).map_err(|error| ApiError::BadRequest(format!("body: {error}")))?;
    let origin = crate::http::pages::origin(&state, &request);
    let told = with_site(state, &request, move |state, site| {
        check(&mailing)?;
        let mut urls = mailing.urls.clone();
        // The pixel's own row.
        urls.push(String::new());
        urls.sort();
        urls.dedup();
        let links = state.store.touch_links(site.site_id, (mailing.campaign.trim(), mailing.source.trim()), &urls)?;
        let key = state.store.touch_key(site.site_id)?.ok_or(ApiError::Fault)?;
        let made = |identity_id: i64| {
            let token = |url: &str| {
                let link_id = links.get(url).copied().unwrap_or_default();
                Token { site_id: site.site_id, link_id, identity_id }.write(&key)
            };
            let clicks: Map<String, Value> =
                mailing.urls.iter().map(|url| (url.clone(), format!("{origin}/c/{}", token(url)).into())).collect();
            json!({ "open": format!("{origin}/o/{}.gif", token("")), "clicks": clicks })
        };
        if mailing.recipients.is_empty() {
            return Ok(json!({ "campaign": mailing.campaign, "everybody": made(0) }));
        }
        let mut known: BTreeMap<String, &str> = BTreeMap::new();
        let mut unreadable = Vec::new();
        for recipient in &mailing.recipients {
            match normalise(Kind::Email, recipient) {
                Ok(email) => {
                    known.insert(email, recipient);
                }
                Err(invalid) => unreadable.push(json!({ "recipient": recipient, "error": invalid.to_string() })),
            }
        }
        let emails: Vec<String> = known.keys().cloned().collect();
        let numbers = state.store.touch_recipients(site.site_id, &emails)?;
        let recipients: Map<String, Value> = known
            .iter()
            // One who has been forgotten gets links that tell of nobody.
            .map(|(email, given)| ((*given).to_owned(), made(numbers.get(email).copied().unwrap_or_default())))
            .collect();
        Ok(json!({ "campaign": mailing.campaign, "recipients": recipients, "unreadable": unreadable }))
    });
    Ok(HttpResponse::Ok().json(told.await?))
}
