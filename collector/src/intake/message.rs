//! One message, whatever protocol it came by: what an adapter has read of it becomes the event that is stored.

use super::enrich::Address;
use super::measure::Salts;
use super::screen::{self, Fault, Sender};
use super::{Reason, loose};
use crate::store::events::{EventKey, Kind, NewEvent, SnapshotValues, Term, flags};
use crate::store::identities::{NewLink, Who};
use domain::attribution::{read_referrer, read_url};
use domain::event::{Campaign, OrderReport, Trust, changes_an_order};
use domain::identity::{Call, Invalid, Kind as IdentityKind, normalise};
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// The earliest time in a foreign uuid v7 that is taken for one: the version was drafted in 2021.
const FIRST_UUID_V7_US: i64 = 1_577_836_800_000_000;
const DAY_US: i64 = 86_400_000_000;

/// What all messages of a request share.
pub(crate) struct Request<'a> {
    /// Whose it is.
    pub(crate) sender: &'a Sender,
    /// For visitors who are measured.
    pub(crate) salts: &'a Salts,
    /// The visitor's address.
    pub(crate) address: IpAddr,
    /// [`flags::GPC`] and [`flags::DNT`], where the browser has sent them.
    pub(crate) signals: i16,
}

impl<'a> Request<'a> {
    /// The request as of the address that its message names: only a trusted sender may speak for another one.
    pub(crate) fn as_of(&self, named: Option<&str>) -> Request<'a> {
        let address = named.filter(|_| self.is_trusted()).and_then(|address| address.parse().ok());
        Request { address: address.unwrap_or(self.address), ..*self }
    }

    pub(crate) fn is_trusted(&self) -> bool {
        self.sender.trust == Trust::Trusted
    }

    /// The browser asks not to be followed. A server's own headers say nothing of its customers.
    fn asks_for_privacy(&self) -> bool {
        self.signals != 0 && !self.is_trusted()
    }
}

/// What a message says of whom it is about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ids<'a> {
    pub(crate) visitor: Option<&'a str>,
    pub(crate) user_id: Option<&'a str>,
    /// Another id of the same user, which an alias call names.
    pub(crate) previous_id: Option<&'a str>,
    pub(crate) email: Option<&'a str>,
    pub(crate) phone: Option<&'a str>,
    /// Under what its source knows the message again.
    pub(crate) message_id: Option<&'a str>,
    /// The order that a trusted source says something of, where it names nobody.
    pub(crate) order_id: Option<&'a str>,
}

/// Whose event a message becomes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose<'a> {
    /// The first of these that names somebody.
    Of(Ids<'a>),
    /// The day's visitor with this address and agent, who is not recognised later. Where the source knows the message
    /// again, by this id.
    Measured(Option<&'a str>),
}

/// What a message says, but for what happened.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) whose: Whose<'a>,
    /// When it happened by the sender's clock, in µs since 1970; `None` where that is now.
    pub(crate) at_us: Option<i64>,
    /// A message id that is a uuid v7 is the event's own id, as our tracker's is, so that what is said of a page view
    /// finds it.
    pub(crate) owns_its_id: bool,
    /// The page view it belongs to.
    pub(crate) view_id: Option<Uuid>,
    /// The visitor's user agent, where it is not the request's own.
    pub(crate) agent: Option<&'a str>,
    /// `language|time zone|screen`, as our tracker writes it.
    pub(crate) device: Option<Arc<str>>,
    /// The person's address, where the message names it. It is believed of trusted sources alone, and kept of nobody.
    pub(crate) address: Option<&'a str>,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Says<'a> {
    Page(View<'a>),
    Screen(View<'a>),
    /// What was done on the page view that the message names.
    Snapshot(SnapshotValues),
    Track {
        name: &'a str,
        properties: Option<Box<str>>,
    },
    Identify {
        traits: Option<Box<str>>,
    },
    Group {
        group_id: &'a str,
        traits: Option<Box<str>>,
    },
    Alias,
}

/// A page or a screen.
#[derive(Debug, Default)]
pub(crate) struct View<'a> {
    pub(crate) url: Option<&'a str>,
    /// What it is called where it has no address.
    pub(crate) name: Option<&'a str>,
    pub(crate) title: &'a str,
    pub(crate) referrer: &'a str,
    /// Said beside the address; what the address itself says wins.
    pub(crate) campaign: Option<Campaign>,
    pub(crate) properties: Option<Box<str>>,
}

impl<'a> Message<'a> {
    /// A message of these ids, now.
    pub(crate) fn of(ids: Ids<'a>) -> Message<'a> {
        Message {
            whose: Whose::Of(ids),
            at_us: None,
            owns_its_id: false,
            view_id: None,
            agent: None,
            device: None,
            address: None,
        }
    }

    /// A message of a visitor who is measured, now.
    pub(crate) fn measured() -> Message<'a> {
        Message { whose: Whose::Measured(None), ..Message::of(Ids::default()) }
    }

    /// The event that it becomes.
    ///
    /// # Errors
    /// What in it cannot be stored or means nothing.
    pub(crate) fn event(self, request: &Request<'_>, says: Says<'_>) -> Result<NewEvent, Fault> {
        let sender = request.sender;
        let whose = match self.whose {
            // Whatever the SDK knows of the visitor, the browser has asked that nobody is recognised.
            Whose::Of(ids) if request.asks_for_privacy() => Whose::Measured(ids.message_id),
            whose => whose,
        };
        let own_id = match whose {
            Whose::Of(ids) if self.owns_its_id => ids.message_id.and_then(own_id),
            Whose::Of(_) | Whose::Measured(_) => None,
        };
        let (at_us, mut bits) = match (self.at_us, own_id) {
            (None, None) => (sender.now_us, if request.is_trusted() { flags::TRUSTED } else { 0 }),
            (at_us, id) => sender.moment(at_us.unwrap_or(sender.now_us), id.map(|(_, id_us)| id_us))?,
        };
        bits |= if request.is_trusted() { 0 } else { request.signals };
        let (key, who) = match whose {
            Whose::Of(ids) => (key(sender, own_id, ids.message_id, at_us)?, ids.first()?),
            Whose::Measured(message_id) => {
                bits |= flags::MEASURED;
                (screen::foreign_key(sender, message_id, at_us), visitor_of_the_day(request, self.agent, at_us))
            }
        };
        let mut new = NewEvent::new(&sender.source, Kind::Track, key, who, (at_us, bits));
        new.view_id = self.view_id;
        new.set(Term::Agent, self.agent.and_then(screen::term).or_else(|| sender.agent.clone()));
        new.set(Term::Device, self.device);
        new.address = self.address.and_then(Address::parse);
        if let Whose::Of(ids) = whose {
            ids.link(&mut new, sender.trust)?;
        }
        says.fill(&mut new, sender)?;
        Ok(new)
    }
}

/// A message id that is a uuid v7, with its time in µs.
fn own_id(message_id: &str) -> Option<(Uuid, i64)> {
    let id = Uuid::try_parse(message_id).ok()?;
    let id_us = screen::id_time_us(id).filter(|us| *us >= FIRST_UUID_V7_US)?;
    Some((id, id_us))
}

fn key(sender: &Sender, own_id: Option<(Uuid, i64)>, message_id: Option<&str>, at_us: i64) -> Result<EventKey, Fault> {
    match own_id {
        Some((_, id_us)) if id_us > sender.now_us + DAY_US => {
            Err(Fault::new(Reason::DateOutOfRange, "the time in the event's own id is more than a day ahead"))
        }
        Some((id, _)) => Ok(EventKey::Own(id)),
        None => Ok(screen::foreign_key(sender, message_id, at_us)),
    }
}

/// A visitor without an id of any kind. All of a visitor's day share one page load, which stands for the day.
fn visitor_of_the_day(request: &Request<'_>, agent: Option<&str>, at_us: i64) -> Who {
    let sender = request.sender;
    let day = crate::store::instant(at_us).to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
    let agent = agent.or(sender.agent.as_deref()).unwrap_or("");
    let alone = Uuid::from_bytes(crate::secrets::random());
    let visitor = request.salts.visitor(sender.site.site_id, day, request.address, agent, alone);
    let id = Uuid::try_parse(&visitor).unwrap_or(alone);
    Who::Measured { load_id: screen::uuid_v7(at_us - at_us.rem_euclid(DAY_US), *id.as_bytes()), visitor }
}

impl Ids<'_> {
    /// The first that names somebody: visitor, else user id, else e-mail, else the message itself, else its order.
    fn first(&self) -> Result<Who, Fault> {
        let candidates = [
            (IdentityKind::Visitor, self.visitor),
            (IdentityKind::UserId, self.user_id),
            (IdentityKind::UserId, self.previous_id),
            (IdentityKind::Email, self.email),
            (IdentityKind::Message, self.message_id),
            (IdentityKind::Order, self.order_id),
        ];
        let named = candidates.into_iter().find_map(|(kind, value)| Some((kind, normalise(kind, value?).ok()?)));
        match named {
            Some((kind, value)) => Ok(Who::Known { kind, value: value.into() }),
            None => Err(Fault::new(
                Reason::MissingIdentity,
                "a message names no visitor, user or e-mail, and has no id of its own",
            )),
        }
    }

    fn link(&self, new: &mut NewEvent, trust: Trust) -> Result<(), Fault> {
        let call = if self.previous_id.is_some() { Call::Alias } else { Call::Together };
        let own = match &new.who {
            Who::Known { kind, value } => (*kind, Arc::clone(value)),
            Who::Measured { .. } => return Ok(()),
        };
        if let Some(user_id) = self.user_id {
            tie(new, IdentityKind::UserId, user_id, call)?;
        }
        if let Some(previous) = self.previous_id.filter(|previous| Some(*previous) != self.visitor) {
            tie(new, IdentityKind::UserId, previous, call)?;
        }
        // A browser's e-mail or phone is an unverified trait: it ties nothing.
        if trust == Trust::Trusted {
            if let Some(email) = self.email {
                tie(new, IdentityKind::Email, email, Call::Together)?;
            }
            if let Some(phone) = self.phone {
                tie(new, IdentityKind::Phone, phone, Call::Together)?;
            }
        }
        new.links.retain(|link| (link.kind, &link.value) != (own.0, &own.1));
        Ok(())
    }
}

impl Says<'_> {
    fn fill(self, new: &mut NewEvent, sender: &Sender) -> Result<(), Fault> {
        match self {
            Says::Page(view) => {
                new.kind = Kind::Page;
                view.fill(new, sender)
            }
            Says::Screen(view) => {
                new.kind = Kind::Screen;
                View { url: None, ..view }.fill(new, sender)
            }
            Says::Snapshot(values) => {
                new.kind = Kind::Snapshot;
                new.snapshot = Some(values);
                Ok(())
            }
            Says::Track { name, properties } => {
                new.kind = Kind::Track;
                set_track(new, &sender.site, name, properties)
            }
            Says::Identify { traits } => {
                new.kind = Kind::Identify;
                needs_consent(new)?;
                new.properties = traits;
                Ok(())
            }
            Says::Group { group_id, traits } => {
                new.kind = Kind::Group;
                needs_consent(new)?;
                new.properties = Some(group(group_id, traits)?);
                Ok(())
            }
            Says::Alias => {
                new.kind = Kind::Alias;
                needs_consent(new)
            }
        }
    }
}

impl View<'_> {
    fn fill(self, new: &mut NewEvent, sender: &Sender) -> Result<(), Fault> {
        match (self.url, self.name) {
            (Some(url), _) => set_page(new, &sender.site, url, self.title, self.referrer)?,
            (None, Some(name)) => {
                new.set(Term::Page, screen::term(name));
                new.set(Term::Title, screen::term(name));
            }
            (None, None) => {
                return Err(Fault::new(Reason::MissingName, "a page or screen has neither address nor name"));
            }
        }
        if let Some(campaign) = self.campaign.filter(|campaign| *campaign != Campaign::default())
            && new.text(Term::Campaign).is_none()
        {
            set_campaign(new, &campaign)?;
        }
        if new.properties.is_none() {
            new.properties = self.properties;
        }
        Ok(())
    }
}

/// An identify, group or alias of somebody who is only measured is refused.
pub(crate) fn needs_consent(new: &NewEvent) -> Result<(), Fault> {
    if new.flags & flags::MEASURED != 0 {
        return Err(Fault::new(Reason::NoConsent, "an identify, group or alias without consent"));
    }
    Ok(())
}

/// When something happened, as a message says it.
///
/// # Errors
/// [`Reason::DateOutOfRange`] when it cannot be read.
pub(crate) fn stated_us(text: Option<&str>) -> Result<Option<i64>, Fault> {
    let Some(text) = text else { return Ok(None) };
    loose::time_us(text)
        .map(Some)
        .map_err(|error| Fault::new(Reason::DateOutOfRange, format!("timestamp {text:.40} cannot be read: {error}")))
}

/// `language|time zone|screen`, as our tracker writes it; `None` when nothing is known.
pub(crate) fn device(language: Option<&str>, time_zone: Option<&str>, screen: Option<&str>) -> Option<Arc<str>> {
    if language.is_none() && time_zone.is_none() && screen.is_none() {
        return None;
    }
    let part = |part: Option<&str>| part.unwrap_or("").replace('|', " ");
    screen::term(&format!("{}|{}|{}", part(language), part(time_zone), part(screen)))
}

/// A campaign whose parameters a message names one by one: source, medium, name, term, content.
pub(crate) fn campaign(parameters: [Option<&str>; 5]) -> Option<Campaign> {
    let [source, medium, name, term, content] = parameters.map(|text| text.unwrap_or("").to_owned());
    let (source, medium) = (source.to_lowercase(), medium.to_lowercase());
    let campaign = Campaign { source, medium, name, term, content, click_id: String::new() };
    (campaign != Campaign::default()).then_some(campaign)
}

/// A link that was followed, without what it says of anybody: host and path.
pub(crate) fn link(url: &str) -> String {
    read_url(url).map_or_else(|| "(no http address)".to_owned(), |landing| landing.page)
}

/// Fills in a page view from the addresses that came with it.
pub(crate) fn set_page(
    new: &mut NewEvent,
    site: &crate::store::sites::Site,
    url: &str,
    title: &str,
    referrer: &str,
) -> Result<(), Fault> {
    screen::clean(url, "url")?;
    let landing = read_url(url).ok_or_else(|| Fault::new(Reason::Unreadable, "url is no http address"))?;
    let page_host = landing.page.split('/').next().unwrap_or("");
    let referrer = read_referrer(referrer, &site.domains, page_host);
    new.set(Term::Referrer, referrer.as_deref().and_then(screen::term));
    new.set(Term::Title, screen::term(title));
    if let Some(campaign) = &landing.campaign {
        set_campaign(new, campaign)?;
    }
    if let Some((name, value)) = &landing.click_id {
        let click = serde_json::json!({ name: value }).to_string();
        new.properties = screen::object(&click, "click id")?;
    }
    new.set(Term::Page, screen::term(&landing.page));
    Ok(())
}

pub(crate) fn set_campaign(new: &mut NewEvent, campaign: &domain::event::Campaign) -> Result<(), Fault> {
    let text = serde_json::to_string(campaign).map_err(|error| Fault::new(Reason::Unreadable, error.to_string()))?;
    screen::json(&text)?;
    // A cut campaign would no longer be JSON; one that is too long says little anyway.
    if text.len() <= screen::TERM_BYTES {
        new.set(Term::Campaign, Some(text.into()));
    }
    Ok(())
}

/// Fills in a named event; an order is read, so that one that makes no sense is told to its sender's owner now.
///
/// What a trusted source says of an order without naming a person, and all that it says of changes of one, belongs to the
/// order itself: whoever holds the order is given it, and nobody comes to hold it by that.
pub(crate) fn set_track(
    new: &mut NewEvent,
    site: &crate::store::sites::Site,
    name: &str,
    properties: Option<Box<str>>,
) -> Result<(), Fault> {
    let name = screen::name(name)?;
    let is_change = changes_an_order(&name);
    if is_change || &*name == domain::event::ORDER_COMPLETED {
        let map = match &properties {
            Some(text) => serde_json::from_str(text)
                .map_err(|error| Fault::new(Reason::Unreadable, format!("properties: {error}")))?,
            None => serde_json::Map::new(),
        };
        let report = OrderReport::read(&name, &map, new.key.event_id(), site.currency)
            .map_err(|error| Fault::new(Reason::BadOrder, error.to_string()))?;
        // An order without an id of its own is known by its event and needs no claim.
        let is_named = is_change || ["order_id", "orderId", "id"].iter().any(|key| map.contains_key(*key));
        if let Some(report) = report.filter(|_| is_named) {
            let order_id: Arc<str> = normalise(IdentityKind::Order, &report.order_id)
                .map_err(|invalid| Fault::new(Reason::BadOrder, format!("order_id: {invalid}")))?
                .into();
            let names_a_person = matches!(&new.who, Who::Known { kind, .. } if *kind != IdentityKind::Message);
            if new.trust() == Trust::Trusted && (is_change || !names_a_person) {
                // An order is known from day to day, whoever reports it.
                new.flags &= !flags::MEASURED;
                new.who = Who::Known { kind: IdentityKind::Order, value: Arc::clone(&order_id) };
                new.links.clear();
            }
            new.order_id = Some(order_id).filter(|_| !is_change);
        }
    }
    new.set(Term::Name, Some(name));
    new.properties = properties;
    Ok(())
}

/// Ties another identity to the event's own. What names nobody (`null`, `undefined`, …) ties nothing and is counted.
pub(crate) fn tie(new: &mut NewEvent, kind: IdentityKind, value: &str, call: Call) -> Result<(), Fault> {
    screen::clean(value, kind.name())?;
    match normalise(kind, value) {
        Ok(value) => new.links.push(NewLink { kind, value: value.into(), call, standing: new.trust().into() }),
        Err(Invalid::Blocked { kind }) => new.blocked.push((kind, value.trim().to_lowercase().into())),
        // An address or number of another form is kept among the traits and known by nobody.
        Err(Invalid::Empty { .. } | Invalid::TooLong { .. } | Invalid::Malformed { .. }) => {}
    }
    Ok(())
}

/// A group call's stored form: `{"group_id": …, "traits": {…}}`.
pub(crate) fn group(group_id: &str, traits: Option<Box<str>>) -> Result<Box<str>, Fault> {
    let group_id = screen::clean(group_id.trim(), "group id")?;
    if group_id.is_empty() || group_id.len() > 256 {
        return Err(Fault::new(Reason::MissingName, "a group's id has 1 to 256 bytes"));
    }
    let group_id = serde_json::Value::from(group_id);
    Ok(format!("{{\"group_id\":{group_id},\"traits\":{}}}", traits.as_deref().unwrap_or("{}")).into())
}
