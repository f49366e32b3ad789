//! Events that are not as the site's tracking plan agrees, kept out where the site wants that.

use super::Reason;
use super::screen::Fault;
use crate::store::events::{Kind, NewEvent, Term};
use crate::store::ingest::Rejection;
use crate::store::sites::Site;
use serde_json::{Map, Value};

/// Takes out events that are not as agreed. Where nothing is kept out, which is the rule, nothing is read here.
pub(crate) fn screen(site: &Site, events: Vec<NewEvent>, rejections: &mut Vec<Rejection>) -> Vec<NewEvent> {
    if !site.plan.block || site.plan.events.is_empty() {
        return events;
    }
    let mut kept = Vec::with_capacity(events.len());
    for event in events {
        match fault(site, &event) {
            None => kept.push(event),
            Some(fault) => rejections.push(fault.rejection(event.properties.as_deref())),
        }
    }
    kept
}

fn fault(site: &Site, event: &NewEvent) -> Option<Fault> {
    let name = event.text(Term::Name).filter(|_| event.kind == Kind::Track)?;
    let plan = site.plan.events.get(&**name)?;
    // Checked before: what is no object has no properties.
    let properties: Map<String, Value> =
        event.properties.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let violations = plan.violations(&properties);
    if violations.is_empty() {
        return None;
    }
    let told: Vec<String> = violations.iter().map(ToString::to_string).collect();
    Some(Fault::new(Reason::PlanViolation, format!("{name:?}: {}", told.join("; "))))
}
