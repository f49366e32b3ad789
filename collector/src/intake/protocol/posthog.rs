//! Adapter of PostHog's capture API (`/batch/`, `/e/`, `/i/v0/e/`, `/capture/`).
//!
//! PostHog knows people by one kind of id, `distinct_id`, which is a device's own before somebody is identified and the
//! user's afterwards. Which of the two it is, events say (`$is_identified`, `$user_id`, `$process_person_profile`);
//! where they do not, it is a user, as servers send it. `$device_id` survives a reset of the SDK, when another person
//! may sit there, so it names nobody.
//!
//! Event ids (`uuid`) of version 7, as the SDKs of today mint them, are our own event ids: what `$pageleave` says of a
//! page view finds it.

use super::{Key, Outcomes, Parcel, Text};
use crate::intake::fields::{Fields, Properties, properties};
use crate::intake::loose::{Loose, time_us};
use crate::intake::message::{self, Ids, Message, Request, Says, View, Whose, stated_us};
use crate::intake::screen::{self, Fault};
use crate::intake::{Reason, Refusal, body, source};
use crate::store::events::{NewEvent, SnapshotValues};
use base64::Engine;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use uuid::Uuid;

/// What a form or a base64 body holds; JSON is given back as it is.
///
/// # Errors
/// [`Refusal::Unreadable`] when it is none of these, [`Refusal::TooLarge`] when it is too large unpacked.
pub(crate) fn unpack<'a>(body: &'a [u8], query: &'a str) -> Result<Cow<'a, [u8]>, Refusal> {
    let is_json = |bytes: &[u8]| matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
    if is_json(body) {
        return Ok(Cow::Borrowed(body));
    }
    let form = if body.is_empty() { query.as_bytes() } else { body };
    let data = form_urlencoded::parse(form).find(|(name, _)| name == "data").map(|(_, value)| value);
    let packed = match data {
        Some(data) if is_json(data.as_bytes()) => return Ok(Cow::Owned(data.into_owned().into_bytes())),
        // A plus that was not escaped reads as a space.
        Some(data) => data.replace(' ', "+"),
        None => String::from_utf8_lossy(body).into_owned(),
    };
    let lenient = base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent);
    let bytes = base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, lenient)
        .decode(packed.trim())
        .map_err(|_| Refusal::Unreadable("body is neither JSON, nor gzip, nor base64 as data=…".into()))?;
    Ok(Cow::Owned(body::decode(&bytes)?.into_owned()))
}

#[derive(Default, serde::Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    api_key: Loose<'a>,
    #[serde(borrow, default)]
    token: Loose<'a>,
    #[serde(borrow, default)]
    sent_at: Loose<'a>,
    #[serde(borrow, default)]
    batch: Option<&'a RawValue>,
    #[serde(borrow, default)]
    properties: Option<&'a RawValue>,
}

#[derive(Default, serde::Deserialize)]
struct Inner<'a> {
    #[serde(borrow, default)]
    token: Loose<'a>,
}

impl Outer<'_> {
    fn key(&self) -> Option<String> {
        let inner = || self.properties.and_then(|raw| serde_json::from_str::<Inner<'_>>(raw.get()).ok());
        let own = self.api_key.text().or(self.token.text()).map(str::to_owned);
        own.or_else(|| inner()?.token.text().map(str::to_owned))
    }
}

/// The key that a request for flags or a configuration names.
pub(crate) fn key_of(text: &str, query: &str) -> Option<Key> {
    let outer: Option<Outer<'_>> = serde_json::from_str(text).ok();
    let query = Fields::of_query(query).unwrap_or_default();
    let key = outer.and_then(|outer| outer.key());
    key.or_else(|| query.first(&["token", "api_key"]).map(Cow::into_owned)).map(Key::Own)
}

/// Reads a post: one event, a list of them, or a batch.
///
/// # Errors
/// [`Refusal::Unreadable`] when it is none of these.
pub(crate) fn open<'a>(text: &'a Text<'_>, query: &str) -> Result<Parcel<'a>, Refusal> {
    let unreadable = |error: serde_json::Error| Refusal::Unreadable(format!("body is no event: {error}"));
    let whole: &RawValue = serde_json::from_str(&text.text).map_err(unreadable)?;
    let outer: Outer<'_> = match whole.get().starts_with('[') {
        true => Outer::default(),
        // What makes the envelope unreadable may be in a single event, which is rejected by itself.
        false => serde_json::from_str(whole.get()).unwrap_or_default(),
    };
    let messages = match outer.batch {
        Some(batch) => super::list(batch.get(), "batch")?,
        None if whole.get().starts_with('[') => super::list(whole.get(), "body")?,
        None if whole.get().starts_with('{') => vec![Cow::Borrowed(whole.get())],
        None => return Err(Refusal::Unreadable("body is neither an event nor a list of events".into())),
    };
    let query = Fields::of_query(query).unwrap_or_default();
    let key = outer
        .key()
        .or_else(|| query.first(&["token", "api_key"]).map(Cow::into_owned))
        .or_else(|| messages.iter().find_map(|raw| serde_json::from_str::<Outer<'_>>(raw).ok()?.key()));
    let sent_at = outer.sent_at.text().map(Cow::Borrowed).or_else(|| query.text("_"));
    Ok(Parcel {
        source: source::POSTHOG,
        key: key.map(Key::Own),
        sent_at_us: sent_at.and_then(|text| time_us(&text).ok()),
        messages,
        repaired: text.repaired,
        read: Box::new(read),
    })
}

/// An event's properties, and whose they are.
struct Captured<'a> {
    fields: &'a Fields,
    own: Fields,
    name: Cow<'a, str>,
    distinct_id: Option<String>,
    message_id: Option<String>,
}

fn read(raw: &str, request: &Request<'_>, outcomes: &mut Outcomes) {
    let fields = match Fields::of_json(raw) {
        Ok(fields) => fields,
        Err(fault) => return outcomes.push(Err(fault)),
    };
    let own = Fields(fields.object("properties").cloned().unwrap_or_default());
    let distinct_id = fields.first(&["distinct_id", "$distinct_id"]).or_else(|| own.text("distinct_id"));
    let message_id = fields.text("uuid").or_else(|| own.text("$insert_id"));
    let captured = Captured {
        distinct_id: distinct_id.map(Cow::into_owned),
        message_id: message_id.map(Cow::into_owned),
        name: fields.text("event").unwrap_or_default(),
        fields: &fields,
        own,
    };
    outcomes.push(captured.event(request));
    // An event that names traits of the person besides says two things.
    if !matches!(captured.name.as_ref(), "$identify" | "$set") {
        let traits = captured.traits();
        if !traits.is_empty() {
            outcomes.push(captured.identify(&traits, request));
        }
    }
}

impl Captured<'_> {
    fn event(&self, request: &Request<'_>) -> Result<NewEvent, Fault> {
        let agent = self.own.first(&["$raw_user_agent", "$useragent"]);
        let address = self.own.text("$ip");
        let message = self.message(self.message_id.as_deref(), agent.as_deref(), request)?;
        let message = Message { address: address.as_deref(), ..message };
        let own = &self.own;
        match self.name.as_ref() {
            "" => Err(Fault::new(Reason::MissingName, "an event has no name")),
            "$pageview" => {
                let url = own.text("$current_url");
                let name = own.first(&["$pathname", "$screen_name"]);
                let title = own.first(&["title", "$title"]).unwrap_or_default();
                let referrer = own.text("$referrer").unwrap_or_default();
                let mut custom = self.custom();
                custom.remove("title");
                custom.retain(|name, _| !name.starts_with("utm_"));
                let view = View {
                    url: url.as_deref(),
                    name: name.as_deref(),
                    title: &title,
                    referrer: &referrer,
                    campaign: None,
                    properties: properties(&custom)?,
                };
                message.event(request, Says::Page(view))
            }
            "$screen" => {
                let name = own.text("$screen_name");
                let view = View { name: name.as_deref(), properties: properties(&self.custom())?, ..View::default() };
                message.event(request, Says::Screen(view))
            }
            "$pageleave" => self.page_leave(message, request),
            "$identify" | "$set" => message.event(request, Says::Identify { traits: properties(&self.traits())? }),
            "$create_alias" | "$merge_dangerously" => message.event(request, Says::Alias),
            "$groupidentify" => {
                let traits = own.object("$group_set").map_or(Ok(None), properties)?;
                let group_id = own.text("$group_key").unwrap_or_default();
                message.event(request, Says::Group { group_id: &group_id, traits })
            }
            "$snapshot" | "$snapshot_items" => Err(Fault::new(Reason::UnknownKind, "session recordings are not kept")),
            name => {
                let custom = self.custom();
                message.event(request, Says::Track { name, properties: properties(&custom)? })
            }
        }
    }

    /// How far down a page was seen. The time that PostHog gives is the time until it was left, looked at or not, so
    /// it is none of engagement.
    fn page_leave(&self, message: Message<'_>, request: &Request<'_>) -> Result<NewEvent, Fault> {
        let own = &self.own;
        let view_id = own.first(&["$prev_pageview_id", "$pageview_id"]).and_then(|id| Uuid::try_parse(&id).ok());
        let view_id = view_id.filter(|id| screen::id_time_us(*id).is_some());
        let (share, seconds) =
            (own.number("$prev_pageview_max_scroll_percentage"), own.number("$prev_pageview_duration"));
        match view_id {
            Some(view_id) if matches!(message.whose, Whose::Of(_)) => {
                let values = SnapshotValues {
                    revision: whole(seconds.unwrap_or(0.0), f64::from(i32::MAX)),
                    engaged_ms: 0,
                    clicks: 0,
                    max_scroll_pct: i16::try_from(whole(share.unwrap_or(0.0) * 100.0, 100.0)).unwrap_or(100),
                };
                message_of(message, view_id).event(request, Says::Snapshot(values))
            }
            Some(_) | None => {
                let told = Properties::default()
                    .number("duration_s", own, "$prev_pageview_duration")
                    .text("page", own.text("$current_url").map(|url| message::link(&url).into()));
                message.event(request, Says::Track { name: "$pageleave", properties: told.checked()? })
            }
        }
    }

    fn identify(&self, traits: &Map<String, Value>, request: &Request<'_>) -> Result<NewEvent, Fault> {
        let message_id = self.message_id.as_ref().map(|id| format!("{id}/set"));
        let message = self.message(message_id.as_deref(), None, request)?;
        message.event(request, Says::Identify { traits: properties(traits)? })
    }

    fn message<'m>(
        &'m self,
        message_id: Option<&'m str>,
        agent: Option<&'m str>,
        request: &Request<'_>,
    ) -> Result<Message<'m>, Fault> {
        let own = &self.own;
        let size = own.text("$screen_width").zip(own.text("$screen_height")).map(|(w, h)| format!("{w}x{h}"));
        Ok(Message {
            whose: self.whose(message_id)?,
            at_us: self.at_us(request)?,
            owns_its_id: true,
            view_id: None,
            agent,
            address: None,
            device: message::device(
                own.text("$browser_language").as_deref(),
                own.text("$timezone").as_deref(),
                size.as_deref(),
            ),
        })
    }

    /// When it happened; older SDKs say how many milliseconds before sending.
    fn at_us(&self, request: &Request<'_>) -> Result<Option<i64>, Fault> {
        if let Some(at_us) = stated_us(self.fields.text("timestamp").as_deref())? {
            return Ok(Some(at_us));
        }
        let sender = request.sender;
        // A trillion milliseconds are 31 years.
        let offset_ms = self.fields.number("offset").filter(|ms| (0.0..1e12).contains(ms));
        Ok(offset_ms.map(|ms| sender.now_us.saturating_sub(sender.clock_us).saturating_sub((ms * 1_000.0) as i64)))
    }

    fn whose<'m>(&'m self, message_id: Option<&'m str>) -> Result<Whose<'m>, Fault> {
        let own = &self.own;
        let distinct_id = self.distinct_id.as_deref();
        if own.says_yes("$cookieless_mode") == Some(true) || distinct_id == Some("$posthog_cookieless") {
            return Ok(Whose::Measured(message_id));
        }
        let Some(distinct_id) = distinct_id else {
            return Err(Fault::new(Reason::MissingIdentity, "an event has no distinct_id"));
        };
        let ids = Ids { message_id, email: self.trait_text(&["email", "$email"]), ..Ids::default() };
        let ids = Ids { phone: self.trait_text(&["phone", "$phone"]), ..ids };
        Ok(Whose::Of(match self.name.as_ref() {
            "$identify" => Ids { visitor: self.own_text("$anon_distinct_id"), user_id: Some(distinct_id), ..ids },
            "$create_alias" | "$merge_dangerously" => {
                Ids { user_id: Some(distinct_id), previous_id: self.own_text("alias"), ..ids }
            }
            // A group's own traits are nobody's event.
            "$groupidentify" if self.is_group(distinct_id) => Ids { message_id, ..Ids::default() },
            _ if self.is_anonymous(distinct_id) => Ids { visitor: Some(distinct_id), ..ids },
            _ => Ids { user_id: Some(distinct_id), ..ids },
        }))
    }

    fn is_group(&self, distinct_id: &str) -> bool {
        let part = |name: &str| self.own_text(name).unwrap_or("");
        distinct_id == format!("${}_{}", part("$group_type"), part("$group_key"))
    }

    fn is_anonymous(&self, distinct_id: &str) -> bool {
        let own = &self.own;
        if own.text("$user_id").is_some() {
            return false;
        }
        match own.says_yes("$is_identified") {
            Some(identified) => !identified,
            None => {
                own.says_yes("$process_person_profile") == Some(false)
                    || own.text("$device_id").as_deref() == Some(distinct_id)
            }
        }
    }

    fn own_text(&self, name: &str) -> Option<&str> {
        self.own.0.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    /// `$set` and, where that is silent, `$set_once`, in the event or beside its properties.
    fn traits(&self) -> Map<String, Value> {
        let mut traits = Map::new();
        for name in ["$set", "$set_once"] {
            for from in [&self.own, self.fields] {
                for (name, value) in from.object(name).into_iter().flatten() {
                    // What the SDK itself notes of the first visit, the projector knows from the events.
                    if !name.starts_with('$') {
                        traits.entry(name.clone()).or_insert_with(|| value.clone());
                    }
                }
            }
        }
        traits
    }

    fn trait_text(&self, names: &[&str]) -> Option<&str> {
        let from = |fields| Fields::object(fields, "$set");
        [from(&self.own), from(self.fields)]
            .into_iter()
            .flatten()
            .find_map(|set| names.iter().find_map(|name| set.get(*name)?.as_str()))
    }

    /// Properties that are the site's own, and the few of PostHog's that say what happened.
    fn custom(&self) -> Map<String, Value> {
        const TELLING: [&str; 4] = ["$event_type", "$el_text", "$feature_flag", "$feature_flag_response"];
        let is_own = |name: &str| !name.starts_with('$') && !matches!(name, "token" | "distinct_id");
        let mut custom = self.own.0.clone();
        custom.retain(|name, _| is_own(name) || TELLING.contains(&name.as_str()));
        if let Some(url) = self.own_text("$external_click_target_url") {
            custom.insert("url".to_owned(), Value::String(message::link(url)));
        }
        custom
    }
}

fn message_of(message: Message<'_>, view_id: Uuid) -> Message<'_> {
    Message { view_id: Some(view_id), ..message }
}

/// A number that is made up counts as the limit.
fn whole(number: f64, most: f64) -> i32 {
    number.clamp(0.0, most) as i32
}

/// What SDKs ask for before they send: nothing that PostHog has beside events is on. They are to ask for flags all the
/// same, of which there are none: a page that waits for the answer goes on with its defaults, and would not without one.
pub(crate) fn configuration(key: &str) -> Value {
    json!({
        "token": key,
        "supportedCompression": ["gzip", "gzip-js"],
        "hasFeatureFlags": true,
        "captureDeadClicks": false,
        "capturePerformance": false,
        "autocapture_opt_out": false,
        "autocaptureExceptions": false,
        "analytics": { "endpoint": "/i/v0/e/" },
        "elementsChainAsString": true,
        "sessionRecording": false,
        "heatmaps": false,
        "conversations": false,
        "logs": { "captureConsoleLogs": false },
        "errorTracking": { "autocaptureExceptions": false, "suppressionRules": [] },
        "surveys": false,
        "productTours": false,
        "defaultIdentifiedOnly": true,
        "siteApps": [],
    })
}

/// The answer to a question about feature flags: there are none.
pub(crate) fn flags(key: &str) -> Value {
    let mut told = configuration(key);
    if let Some(told) = told.as_object_mut() {
        told.insert("flags".into(), json!({}));
        told.insert("featureFlags".into(), json!({}));
        told.insert("featureFlagPayloads".into(), json!({}));
        told.insert("errorsWhileComputingFlags".into(), false.into());
        told.insert("requestId".into(), Uuid::from_bytes(crate::secrets::random()).to_string().into());
    }
    told
}
