//! How it is to use the site, for programs.

use super::{ApiError, with_site};
use crate::http::State;
use crate::intake::clock;
use crate::store::{instant, reports};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::report::{Experience, Period, PeriodError, ViewSums, Vital};
use domain::surroundings::DeviceClass;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Pages that are told.
const PAGES: i64 = 1_000;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/api/v1/reports/experience", web::get().to(experience));
}

#[derive(Deserialize)]
struct Asked {
    period: Option<String>,
    from: Option<String>,
    to: Option<String>,
    device: Option<String>,
}

impl Asked {
    fn device(&self) -> Result<Option<DeviceClass>, ApiError> {
        let Some(key) = self.device.as_deref().filter(|key| !key.is_empty()) else { return Ok(None) };
        let known = Experience::DEVICES.into_iter().find(|device| device.key() == key);
        known.map(Some).ok_or_else(|| {
            ApiError::BadRequest(format!(
                "device is `{key:.20}`; choose {}",
                Experience::DEVICES.map(DeviceClass::key).join(", ")
            ))
        })
    }
}

fn sums(sums: &ViewSums) -> Map<String, Value> {
    let mut told = Map::new();
    told.insert("views".into(), sums.views.into());
    told.insert("troubled_views".into(), sums.troubled.into());
    for (vital, spread) in Vital::ALL.into_iter().zip(&sums.vitals) {
        let p75 = spread.p75.map(|value| match vital {
            Vital::Cls => f64::from(value) / 1_000.0,
            Vital::Lcp | Vital::Inp | Vital::Fcp | Vital::Ttfb => f64::from(value),
        });
        let told_vital = json!({
            "views": spread.views,
            "p75": p75,
            "good": spread.good,
            "needs_improvement": spread.needs_improvement(),
            "poor": spread.poor,
        });
        told.insert(vital.key().into(), told_vital);
    }
    told.insert("errors".into(), sums.errors.into());
    told.insert("rage_clicks".into(), sums.rage_clicks.into());
    told.insert("dead_clicks".into(), sums.dead_clicks.into());
    told
}

async fn experience(
    state: web::Data<State>,
    request: HttpRequest,
    asked: web::Query<Asked>,
) -> Result<HttpResponse, ApiError> {
    let told = with_site(state, &request, move |state, site| {
        let bad = |error: PeriodError| ApiError::BadRequest(error.to_string());
        let now = instant(clock::now_us());
        let today = now.to_zoned_datetime(site.time_zone.clone()).date();
        let period = Period::read(asked.period.as_deref(), asked.from.as_deref(), asked.to.as_deref(), today);
        let period = period.map_err(bad)?;
        if ![period.from, period.to].iter().all(|day| (1970..=2200).contains(&day.year())) {
            return Err(ApiError::BadRequest("the period is outside the calendar".to_owned()));
        }
        let windows = period.windows(now, &site.time_zone).map_err(bad)?;
        let report = reports::experience(&state.store, site, (period, &windows), asked.device()?, PAGES, now)?;
        let pages = report.pages.iter().map(|row| {
            let mut told = sums(&row.sums);
            told.insert("page".into(), row.page.clone().into());
            told
        });
        Ok(json!({
            "from": period.from,
            "to": period.to,
            "device": report.device.map(DeviceClass::key),
            "cut_at": report.cut_at,
            "total": sums(&report.total),
            "pages": pages.collect::<Vec<_>>(),
        }))
    });
    Ok(HttpResponse::Ok().json(told.await?))
}
