//! What the tracker's debugger is told of each event.
//!
//! Everybody is told how many events of a batch were stored; who asks with the site's debug key
//! ([`crate::intake::debug_key`]) is told which, and why the others were not.

use super::identity::Identity;
use super::{Answer, State, peer, screened, told, write};
use crate::intake::screen::Sender;
use crate::intake::{Refusal, debug_key, tracker};
use crate::store::ingest::{Receipt, Rejection, SiteBatch};
use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// Events of a batch that are told of one by one; each costs a commit of its own. A page that is looked at sends a
/// handful.
const MOST_EVENTS: usize = 100;

/// What was rejected by the store itself, which counts and does not say which.
const REFUSED_BY_STORE: &str = "refused while it was stored; the dashboard's Live page counts it with its reason";

#[derive(Deserialize)]
struct Asked {
    debug: Option<String>,
}

/// What became of one event.
#[derive(Debug, Serialize)]
struct Detail {
    /// `None` where the record was too broken to have one.
    id: Option<Uuid>,
    /// `stored`, `duplicate` or `rejected`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Somebody who looks at a request's events one by one, or nobody.
pub(super) struct Watch {
    /// The debug key of the address, `/v1/events?debug=…`.
    key: Option<String>,
    /// Whether it is the site's; `None` until the site is known.
    is_valid: Option<bool>,
    details: Vec<Detail>,
}

impl Watch {
    /// Who watches this request.
    pub(super) fn of(request: &HttpRequest) -> Watch {
        let asked = web::Query::<Asked>::from_query(request.query_string());
        Watch { key: asked.ok().and_then(|asked| asked.into_inner().debug), is_valid: None, details: Vec::new() }
    }

    /// Whether a batch of so many events is told of one by one.
    pub(super) fn is_due(&mut self, sender: &Sender, events: usize) -> bool {
        let Some(key) = &self.key else { return false };
        let today = crate::store::instant(sender.now_us).to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
        let is_valid = debug_key::is_valid(&sender.site, key, today);
        self.is_valid = Some(is_valid);
        is_valid && events <= MOST_EVENTS
    }

    /// Stores the events of a batch one after the other: the store tells how many of a request it took.
    ///
    /// # Errors
    /// As for a whole batch. Events before the one that failed are stored; sent again, they are duplicates.
    pub(super) async fn store_each(
        &mut self,
        state: &web::Data<State>,
        request: &HttpRequest,
        batch: &wire::Batch<'_>,
        sender: &Sender,
        identity: &Identity,
    ) -> Result<Answer, Refusal> {
        let mut sum = Answer::default();
        let mut one = wire::Batch { records: Vec::new(), ..batch.clone() };
        for record in &batch.records {
            one.records = vec![record.clone()];
            let (mut events, rejections) = tracker::read(&one, sender, &state.salts, peer(state, request));
            identity.join(&mut events);
            let (site, source) = (Arc::clone(&sender.site), Arc::clone(&sender.source));
            let screened = screened(state, request, SiteBatch { site, source, events, rejections });
            let known = screened.rejections.first().cloned();
            let Answer { receipt, clock } = write(state, screened, 0).await?;
            let id = record.as_ref().map_or_else(|error| error.id, |event| Some(event.id));
            self.details.push(detail(id.map(Uuid::from_bytes), receipt, known));
            sum.receipt.stored += receipt.stored;
            sum.receipt.duplicate += receipt.duplicate;
            sum.receipt.rejected += receipt.rejected;
            sum.clock |= clock;
        }
        Ok(sum)
    }

    /// As everybody is told, and for who asked whether the key is right and what it opens.
    pub(super) fn told(self, answer: &Answer) -> serde_json::Value {
        let mut told = told(answer);
        if let Some(is_valid) = self.is_valid {
            told["debug"] = is_valid.into();
            told["details"] = serde_json::json!(self.details);
        }
        told
    }
}

fn detail(id: Option<Uuid>, receipt: Receipt, known: Option<Rejection>) -> Detail {
    let told = |outcome| Detail { id, outcome, reason: None, detail: None };
    match known {
        Some(rejection) => {
            Detail { reason: Some(rejection.reason), detail: Some(rejection.detail), ..told("rejected") }
        }
        None if receipt.stored > 0 => told("stored"),
        None if receipt.duplicate > 0 => told("duplicate"),
        None => Detail { detail: Some(REFUSED_BY_STORE.to_owned()), ..told("rejected") },
    }
}
