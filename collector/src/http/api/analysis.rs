//! Questions about everybody, answered from memory.

use super::{ApiError, State, day, with_site};
use crate::analysis::{Among, Coverage, Distribution, View};
use crate::store::customers::end_of;
use crate::store::sites::Site;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::segment::rule::{Rule, RuleError, Slots};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// People of a preview's sample.
const SAMPLE: usize = 20;

fn coverage(coverage: &Coverage) -> Value {
    let from = coverage.from.map(|from| crate::store::instant(i64::from(from) * 1_000_000));
    json!({
        "from": from,
        "complete": coverage.complete,
        "crowded": coverage.crowded,
        "loading": coverage.loading,
    })
}

fn view(state: &State, site: &Site) -> Result<View, ApiError> {
    let Some(analysis) = &state.analysis else {
        return Err(ApiError::NotYet("this process keeps nobody in memory; ask one with pages".into()));
    };
    analysis.view(site).ok_or_else(|| {
        let progress = analysis.coverage(site.site_id).loading.unwrap_or_default();
        ApiError::NotYet(format!("the site is being read into memory, {} of {} so far", progress.read, progress.of))
    })
}

/// What is in memory of the site.
pub(super) async fn state(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let told = with_site(state, &request, |state, site| {
        let Some(analysis) = &state.analysis else {
            return Err(ApiError::NotYet("this process keeps nobody in memory; ask one with pages".into()));
        };
        let counts = analysis.view(site).map(|view| view.counts());
        Ok(json!({
            "people": counts.map(|(people, _)| people),
            "events": counts.map(|(_, events)| events),
            "coverage": coverage(&analysis.coverage(site.site_id)),
        }))
    });
    Ok(HttpResponse::Ok().json(told.await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    rule: Box<RawValue>,
    as_of: Option<String>,
}

/// Who a rule would hold.
pub(super) async fn preview(
    state: web::Data<State>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    let told = with_site(state, &request, move |state, site| {
        let asked: Asked = serde_json::from_slice(&body).map_err(|error| ApiError::BadRequest(error.to_string()))?;
        let wrong = |error: RuleError| ApiError::BadRequest(format!("rule{}: {}", error.path, error.message));
        let rule = Rule::from_json(asked.rule.get()).map_err(wrong)?;
        let now = crate::store::instant(crate::intake::clock::now_us());
        let as_of = match &asked.as_of {
            // A day ends one second before the next begins, and today has not ended yet.
            Some(text) => (end_of(site, day(text)?) - jiff::SignedDuration::from_secs(1)).min(now),
            None => now,
        };
        let view = view(state, site)?;
        let needs = rule.needs();
        if state.analysis.as_ref().is_some_and(|analysis| !analysis.keep(site.site_id, &needs)) {
            return Err(ApiError::NotYet("what the rule asks for is being read into memory; try again".into()));
        }
        let second = domain::segment::rule::second(as_of);
        let plan = view.plan_at(&rule, &Slots::default(), second).map_err(wrong)?;
        let preview = view.preview(Among { plans: &[plan], as_of: second }, SAMPLE, 0);
        let bars = |least: &[u32], people: &[u64]| -> Vec<Value> {
            least.iter().zip(people).map(|(least, people)| json!({ "from": least, "people": people })).collect()
        };
        let Distribution { orders, revenue, last_seen } = preview.distribution;
        Ok(json!({
            "as_of": as_of,
            "count": preview.count,
            "of": preview.of,
            "sample": preview.sample,
            "orders": bars(&Distribution::ORDERS, &orders),
            "revenue": bars(&Distribution::REVENUE, &revenue),
            "last_seen_days": bars(&Distribution::LAST_SEEN_DAYS, &last_seen),
            "coverage": coverage(view.coverage()),
        }))
    });
    Ok(HttpResponse::Ok().json(told.await?))
}
