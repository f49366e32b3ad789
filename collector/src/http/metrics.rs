//! `/metrics` for Prometheus, behind a token: how much arrives, what waits, how far behind the projector is.

use super::State;
use crate::secrets;
use crate::store::StoreError;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use std::fmt::Write;
use std::sync::atomic::Ordering;

pub(super) async fn metrics(state: web::Data<State>, request: HttpRequest) -> HttpResponse {
    let Some(token) = &state.metrics_token else { return HttpResponse::NotFound().finish() };
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or("");
    if !secrets::same(given, token) {
        return HttpResponse::Unauthorized().finish();
    }
    let shared = state.clone();
    let asked = web::block(move || {
        let lag = shared.analysis.as_ref().and_then(|analysis| analysis.lag_seconds().ok());
        (shared.store.journal_backlog().ok(), lag)
    });
    let (journal, lag) = asked.await.unwrap_or_default();
    let text = page(&state, journal, lag);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

/// Journal rows that wait, and the age of the oldest in seconds.
pub(crate) type Backlog = (i64, f64);

fn page(state: &State, backlog: Option<Backlog>, lag: Option<f64>) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, values: &[(&str, f64)]| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP segments_{name} {help}\n# TYPE segments_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(text, "segments_{name}{labels} {value}");
        }
    };
    let gauge = state.writer.gauge();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed) as f64;
    metric(
        "events_total",
        "counter",
        "Events that ended in this outcome, by this process.",
        &[
            ("{outcome=\"stored\"}", count(&gauge.stored)),
            ("{outcome=\"duplicate\"}", count(&gauge.duplicate)),
            ("{outcome=\"rejected\"}", count(&gauge.rejected)),
        ],
    );
    metric("commits_total", "counter", "Ingest transactions committed.", &[("", count(&gauge.commits))]);
    metric("queued_bytes", "gauge", "Bytes of bodies that wait to be stored.", &[("", gauge.queued_bytes() as f64)]);
    metric(
        "store_away",
        "gauge",
        "1 when the last batch could not be stored.",
        &[("", f64::from(state.writer.is_away()))],
    );
    metric("projected_total", "counter", "Events projected by this process.", &[("", count(&state.projected))]);
    if let Some((rows, age)) = backlog {
        metric("journal_rows", "gauge", "Journal rows that are not projected yet.", &[("", rows as f64)]);
        metric("journal_age_seconds", "gauge", "Age of the oldest of them.", &[("", age)]);
    }
    if let Some(analysis) = &state.analysis {
        let figures = analysis.figures();
        metric("analysis_people", "gauge", "People in analysis columns.", &[("", figures.people as f64)]);
        metric("analysis_events", "gauge", "Their events, visits and orders.", &[("", figures.events as f64)]);
        metric("analysis_bytes", "gauge", "What the columns take in memory.", &[("", figures.bytes as f64)]);
        metric("analysis_loading_rows", "gauge", "Rows that are being read in.", &[("", figures.loading.of as f64)]);
        metric("analysis_loaded_rows", "gauge", "How many of them are.", &[("", figures.loading.read as f64)]);
    }
    if let Some(lag) = lag {
        metric("analysis_lag_seconds", "gauge", "Age of the oldest event that the columns lack.", &[("", lag)]);
    }
    text
}

impl crate::store::Store {
    /// What the projector has before it.
    fn journal_backlog(&self) -> Result<Backlog, StoreError> {
        crate::store::projection::backlog(&mut *self.lend()?)
    }
}
