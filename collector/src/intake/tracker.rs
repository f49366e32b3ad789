//! Adapter of our own tracker: a wire batch becomes events.

use super::Reason;
use super::measure::Salts;
use super::message::{group, needs_consent, set_page, set_track, tie};
use super::screen::{self, Fault, Sender};
use crate::store::events::{EventKey, Kind, NewEvent, SnapshotValues, Term, flags};
use crate::store::identities::Who;
use crate::store::ingest::Rejection;
use domain::event::Trust;
use domain::identity::{Call, Kind as IdentityKind, normalise};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// What one page view can have at most; more is made up.
const ENGAGED_MS: u32 = 86_400_000;
/// A page load lasts no longer than events are accepted, in µs.
const LOAD_US: i64 = 8 * 86_400_000_000;
/// See [`ENGAGED_MS`].
const CLICKS: u32 = 100_000;
/// The longest time of a vital: somebody who waits ten minutes for a page is not there any more.
const VITAL_MS: u32 = 600_000;
/// The largest layout shift, in thousandths: a hundred times the whole screen.
const SHIFT_MILLIS: u32 = 100_000;

/// The measures of a snapshot in the order of [`wire::Measures::values`]: the names under which they are stored, and
/// what they can be at most.
const MEASURES: [(&str, u32); wire::Measures::COUNT] = [
    ("rage_clicks", CLICKS),
    ("dead_clicks", CLICKS),
    ("errors", CLICKS),
    ("copies", CLICKS),
    ("fields", CLICKS),
    ("lcp_ms", VITAL_MS),
    ("fcp_ms", VITAL_MS),
    ("ttfb_ms", VITAL_MS),
    ("inp_ms", VITAL_MS),
    ("cls_millis", SHIFT_MILLIS),
];

/// The events of a batch, and what was wrong with the others.
pub(crate) fn read(
    batch: &wire::Batch<'_>,
    sender: &Sender,
    salts: &Salts,
    address: IpAddr,
) -> (Vec<NewEvent>, Vec<Rejection>) {
    let device = device(&batch.device);
    let visitor = match batch.who {
        wire::Who::Visitor(visitor) => visitor_id(visitor).map(Some),
        wire::Who::Load(_) => Ok(None),
    };
    let reader = Reader { batch, sender, salts, address, device, visitor };
    let mut events = Vec::with_capacity(batch.records.len());
    let mut rejections = Vec::new();
    for record in &batch.records {
        match record.as_ref().map_err(record_fault).and_then(|event| reader.event(event)) {
            Ok(event) => events.push(event),
            Err(fault) => {
                let sample = record.as_ref().ok().map(|event| format!("{:?}", event.body));
                rejections.push(fault.rejection(sample.as_deref()));
            }
        }
    }
    (events, rejections)
}

fn record_fault(error: &wire::RecordError) -> Fault {
    match error.fault {
        wire::Fault::UnknownKind => Fault::new(Reason::UnknownKind, "a kind of record that this version does not know"),
        wire::Fault::Malformed => {
            Fault::new(Reason::Unreadable, "a record is cut off or has a field of the wrong type")
        }
        wire::Fault::BadText => Fault::new(Reason::BadText, "text is not valid Unicode"),
    }
}

fn device(device: &wire::Device<'_>) -> Option<Arc<str>> {
    let (width, height) = (device.screen_width, device.screen_height);
    if device.language.is_empty() && device.time_zone.is_empty() && width == 0 {
        return None;
    }
    screen::term(&format!("{}|{}|{width}x{height}", device.language, device.time_zone))
}

struct Reader<'a> {
    batch: &'a wire::Batch<'a>,
    sender: &'a Sender,
    salts: &'a Salts,
    address: IpAddr,
    device: Option<Arc<str>>,
    /// The batch's visitor, or what is wrong with its id; `None` for a page load without consent.
    visitor: Result<Option<Arc<str>>, Fault>,
}

pub(crate) fn visitor_id(id: wire::Id) -> Result<Arc<str>, Fault> {
    normalise(IdentityKind::Visitor, &Uuid::from_bytes(id).to_string())
        .map(Into::into)
        .map_err(|invalid| Fault::new(Reason::MissingIdentity, invalid.to_string()))
}

impl Reader<'_> {
    fn event(&self, event: &wire::Event<'_>) -> Result<NewEvent, Fault> {
        let id = Uuid::from_bytes(event.id);
        let id_us = screen::id_time_us(id)
            .ok_or_else(|| Fault::new(Reason::Unreadable, "the event's id is no uuid of version 7"))?;
        let (occurred_at_us, mut bits) = self.sender.moment(event.at_ms.saturating_mul(1_000), Some(id_us))?;
        let signals = self.batch.signals;
        bits |= if signals.gpc { flags::GPC } else { 0 } | if signals.dnt { flags::DNT } else { 0 };
        let who = match (self.batch.who, &self.visitor) {
            (wire::Who::Visitor(_), Ok(Some(value))) => {
                Who::Known { kind: IdentityKind::Visitor, value: Arc::clone(value) }
            }
            (_, Err(fault)) => return Err(fault.clone()),
            (wire::Who::Load(load) | wire::Who::Visitor(load), Ok(_)) => {
                bits |= flags::MEASURED;
                let load_id = Uuid::from_bytes(load);
                // Its time says when it may be forgotten, so it has to be one, and near the event's own.
                let near = |load_us: i64| (id_us - load_us).abs() <= LOAD_US;
                if !screen::id_time_us(load_id).is_some_and(near) {
                    return Err(Fault::new(
                        Reason::Unreadable,
                        "the page load's id is no uuid of version 7 of its time",
                    ));
                }
                let agent = self.sender.agent.as_deref().unwrap_or("");
                let day = crate::store::instant(id_us).to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
                let visitor = self.salts.visitor(self.sender.site.site_id, day, self.address, agent, load_id);
                Who::Measured { load_id, visitor }
            }
        };
        let moment = (occurred_at_us, bits);
        let mut new = NewEvent::new(&self.sender.source, Kind::Page, EventKey::Own(id), who, moment);
        new.view_id = event.view.map(Uuid::from_bytes);
        new.set(Term::Agent, self.sender.agent.clone());
        new.set(Term::Device, self.device.clone());
        self.body(&event.body, &mut new)?;
        Ok(new)
    }

    fn body(&self, body: &wire::Body<'_>, new: &mut NewEvent) -> Result<(), Fault> {
        let site = &self.sender.site;
        match body {
            wire::Body::Page { url, title, referrer } => {
                new.kind = Kind::Page;
                set_page(new, site, url, title, referrer)?;
            }
            wire::Body::Snapshot { revision, engaged_ms, max_scroll_pct, clicks, measures } => {
                new.kind = Kind::Snapshot;
                if new.view_id.is_none() {
                    return Err(Fault::new(Reason::Unreadable, "a snapshot names no page view"));
                }
                let number = |value: u32, most: u32| i32::try_from(value.min(most)).unwrap_or(i32::MAX);
                new.snapshot = Some(SnapshotValues {
                    revision: number(*revision, u32::MAX),
                    engaged_ms: number(*engaged_ms, ENGAGED_MS),
                    clicks: number(*clicks, CLICKS),
                    max_scroll_pct: i16::from(*max_scroll_pct).min(100),
                });
                new.properties = stored_measures(measures);
            }
            wire::Body::Track { name, properties } => {
                new.kind = Kind::Track;
                set_track(new, site, name, screen::object(properties, "properties")?)?;
            }
            wire::Body::Identify { user_id, traits } => {
                new.kind = Kind::Identify;
                needs_consent(new)?;
                new.properties = screen::object(traits, "traits")?;
                tie(new, IdentityKind::UserId, user_id, Call::Together)?;
            }
            wire::Body::Group { group_id, traits } => {
                new.kind = Kind::Group;
                needs_consent(new)?;
                new.properties = Some(group(group_id, screen::object(traits, "traits")?)?);
            }
            wire::Body::Alias { user_id, previous_id } => {
                new.kind = Kind::Alias;
                needs_consent(new)?;
                tie(new, IdentityKind::UserId, user_id, Call::Alias)?;
                tie(new, IdentityKind::UserId, previous_id, Call::Alias)?;
            }
        }
        Ok(())
    }
}

/// Measures as a JSON object of those that are not zero; `None` where all are, as most snapshots of old trackers.
pub(crate) fn stored_measures(measures: &wire::Measures) -> Option<Box<str>> {
    let mut object = String::new();
    for ((name, most), value) in MEASURES.iter().zip(measures.values()).filter(|(_, value)| *value > 0) {
        object.push(if object.is_empty() { '{' } else { ',' });
        // Writing to a String cannot fail.
        let _ = write!(object, "\"{name}\":{}", value.min(*most));
    }
    (!object.is_empty()).then(|| (object + "}").into())
}

/// Whether a key may be used from a page of this origin.
pub(crate) fn origin_allowed(
    site: &crate::store::sites::Site,
    trust: Trust,
    origin: Option<&str>,
) -> Result<(), String> {
    let Some(origin) = origin.filter(|_| trust == Trust::Browser) else { return Ok(()) };
    match crate::store::sites::host_of(origin) {
        Some(host) if site.has_host(&host) => Ok(()),
        Some(host) => Err(host),
        None => Err("a page without a host".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_stored_where_there_are_any_and_no_larger_than_can_be() {
        let stored = |values: [u32; wire::Measures::COUNT]| stored_measures(&values.into());
        assert_eq!(stored([0; 10]), None);
        assert_eq!(stored([0, 0, 2, 0, 0, 2_431, 0, 0, 0, 0]).as_deref(), Some(r#"{"errors":2,"lcp_ms":2431}"#));
        let all = stored([u32::MAX; 10]).expect("measures");
        let read: std::collections::BTreeMap<&str, u32> = serde_json::from_str(&all).expect("an object of numbers");
        let most = |names: &[&str]| names.iter().map(|name| read[name]).max();
        assert_eq!(most(&["lcp_ms", "fcp_ms", "ttfb_ms", "inp_ms"]), Some(600_000));
        assert_eq!(most(&["rage_clicks", "dead_clicks", "errors", "copies", "fields", "cls_millis"]), Some(100_000));
        assert_eq!(read.len(), 10);
    }

    #[test]
    fn what_is_stored_is_read_back_under_the_same_names() {
        let values: [u32; wire::Measures::COUNT] = std::array::from_fn(|place| place as u32 + 1);
        let stored = stored_measures(&values.into()).expect("measures");
        let read: domain::report::ViewMeasures = serde_json::from_str(&stored).expect("measures");
        assert_eq!(read, domain::report::ViewMeasures::from(values));
    }
}
