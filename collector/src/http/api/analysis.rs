//! Questions about everybody, answered from memory.

use super::segments::{read_rule, read_sentence};
use super::{ApiError, State, day, with_site};
use crate::analysis::{Among, Coverage, Distribution, Keeping, NO_ROOM, View};
use crate::store::customers::end_of;
use crate::store::sites::Site;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::segment::rule::Rule;
use jiff::Timestamp;
use serde::Deserialize;
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

/// A rule in one of its two forms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    rule: Option<Value>,
    says: Option<String>,
    as_of: Option<String>,
    /// Past days, of a backtest.
    days: Option<Vec<String>>,
}

impl Asked {
    fn read(body: &[u8]) -> Result<Asked, ApiError> {
        serde_json::from_slice(body).map_err(|error| ApiError::BadRequest(error.to_string()))
    }

    fn rule(&self) -> Result<Rule, ApiError> {
        match (&self.rule, &self.says) {
            (Some(rule), None) => read_rule(rule.clone()),
            (None, Some(says)) => read_sentence(says),
            _ => Err(ApiError::BadRequest("give one of `rule` (JSON) and `says` (a sentence)".to_owned())),
        }
    }
}

/// The last second of a day, today the second that it is now.
fn moment(site: &Site, text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    Ok((end_of(site, day(text)?) - jiff::SignedDuration::from_secs(1)).min(now))
}

/// The columns, with everything in them that a rule asks for.
fn view_for(state: &State, site: &Site, rule: &Rule) -> Result<View, ApiError> {
    let view = view(state, site)?;
    let needs = state.store.needs(site, rule)?;
    match state.analysis.as_ref().map(|analysis| analysis.keep(site.site_id, &needs)) {
        Some(Keeping::Later) => {
            Err(ApiError::NotYet("what the rule asks for is being read into memory; try again".into()))
        }
        Some(Keeping::Never) => Err(ApiError::BadRequest(NO_ROOM.to_owned())),
        // Taken anew: the view from before may lack what has just been read.
        Some(Keeping::Kept) => self::view(state, site),
        None => Ok(view),
    }
}

/// Who a rule would hold.
pub(super) async fn preview(
    state: web::Data<State>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    let asked = Asked::read(&body)?;
    let told = with_site(state, &request, move |state, site| {
        let rule = asked.rule()?;
        let now = crate::store::instant(crate::intake::clock::now_us());
        let as_of = asked.as_of.as_deref().map_or(Ok(now), |text| moment(site, text, now))?;
        let view = view_for(state, site, &rule)?;
        let plans = crate::segments::plans(&state.store, site, &view, &rule, as_of, now)?;
        let second = domain::segment::rule::second(as_of);
        let preview = view.preview(Among { plans: &plans, as_of: second }, SAMPLE, 0);
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

/// Days of one backtest.
const MAX_DAYS: usize = 100;

/// How large a segment would have been on past days, and what its people did afterwards, beside everybody.
pub(super) async fn backtest(
    state: web::Data<State>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    let asked = Asked::read(&body)?;
    let told = with_site(state, &request, move |state, site| {
        let rule = asked.rule()?;
        let days = asked.days.as_deref().unwrap_or_default();
        if days.is_empty() || days.len() > MAX_DAYS {
            return Err(ApiError::BadRequest(format!("give 1 to {MAX_DAYS} `days`, for example [\"2026-06-30\"]")));
        }
        let now = crate::store::instant(crate::intake::clock::now_us());
        let view = view_for(state, site, &rule)?;
        let mut tested = Vec::with_capacity(days.len());
        for text in days {
            let as_of = moment(site, text, now)?;
            // Each day has limits and scales of its own.
            let plans = crate::segments::plans(&state.store, site, &view, &rule, as_of, now)?;
            for day in view.backtest(&plans, &[domain::segment::rule::second(as_of)]) {
                tested.push(json!({ "day": text, "members": day.members, "everybody": day.everybody }));
            }
        }
        Ok(json!({ "currency": site.currency, "days": tested, "coverage": coverage(view.coverage()) }))
    });
    Ok(HttpResponse::Ok().json(told.await?))
}
