//! What is found out about events beside what they say: country, device, browser, bot or person, kind of mail address.
//!
//! One step between all adapters and the writer. It happens once and is stored, so that a rebuild gives the same after
//! the lists have changed. What a request's events share (address, agent, device) is looked up once per request, and
//! agents are remembered: no event costs a search of its own.

mod bots;
mod mail;
mod place;

use super::screen;
use crate::store::events::{Kind, NewEvent, Term, flags};
use bots::Crawlers;
use domain::event::Trust;
use domain::identity::Kind as IdentityKind;
use domain::surroundings::{Device, DeviceClass, EmailClass, Software};
pub(crate) use mail::MailDomains;
pub(crate) use place::Address;
use place::Places;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

mod lists {
    include!(concat!(env!("OUT_DIR"), "/lists.rs"));
}

/// Texts that are remembered with what they came to; beyond, it starts afresh.
const REMEMBERED: usize = 20_000;

/// The step and what it has learnt.
pub(crate) struct Enricher {
    places: Places,
    crawlers: Crawlers,
    mail: MailDomains,
    agents: Memory<Agent>,
    devices: Memory<Option<Arc<str>>>,
}

/// Where a request came from: a browser's person, but a trusted sender's own server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) address: Address,
    pub(crate) agent: Option<&'a str>,
}

/// What an agent came to.
#[derive(Clone)]
struct Agent {
    software: Option<Arc<str>>,
    bot_score: u8,
}

impl Enricher {
    /// The step with its built-in lists; countries from a database of the owner's where one is given.
    ///
    /// # Errors
    /// When the owner's database cannot be read.
    pub(crate) fn new(country_database: Option<&Path>) -> anyhow::Result<Enricher> {
        Ok(Enricher {
            places: Places::open(country_database, lists::COUNTRIES)?,
            crawlers: Crawlers::read(lists::CRAWLERS)?,
            mail: MailDomains::built_in(),
            agents: Memory::default(),
            devices: Memory::default(),
        })
    }

    /// Finds out what there is to find out about a request's events. Afterwards no event has an address any more.
    pub(crate) fn enrich(&self, origin: Origin<'_>, events: &mut [NewEvent]) {
        let own_agent = origin.agent.and_then(screen::term);
        let mut places = Last::default();
        let mut agents = Last::default();
        let mut devices = Last::default();
        for event in events {
            let own = event.address.take().map(|address| address.0);
            let address = match event.trust() {
                Trust::Trusted => own,
                // What a browser says of its own address anybody can have made up.
                Trust::Browser => Some(origin.address.0),
            };
            event
                .set(Term::Place, places.of(address, |address| self.places.country(*address).map(Arc::from)).flatten());
            let device = event.text(Term::Device).cloned();
            event.set(Term::Device, devices.of(device, |device| self.device(device)).flatten());
            let agent = event.text(Term::Agent).cloned();
            // The program that a server speaks with is not what its people have.
            let agent = agent.filter(|agent| event.trust() == Trust::Browser || own_agent.as_ref() != Some(agent));
            let agent = agents.of(agent, |agent| self.agent(agent));
            event.bot_score = self.score(event, agent.as_ref());
            event.set(Term::Software, agent.and_then(|agent| agent.software));
            event.email_class = self.mail.email_class(event);
        }
    }

    fn device(&self, text: &Arc<str>) -> Option<Arc<str>> {
        self.devices.of(text, || Device::read(text).text().map(Arc::from))
    }

    fn agent(&self, agent: &Arc<str>) -> Agent {
        self.agents.of(agent, || {
            let bot_score = self.crawlers.score(agent);
            let mut software = Software::of_agent(agent);
            if bot_score >= bots::CERTAIN {
                software = Software { device: Some(DeviceClass::Bot), ..software };
            }
            Agent { software: software.text().map(Arc::from), bot_score }
        })
    }

    fn score(&self, event: &NewEvent, agent: Option<&Agent>) -> u8 {
        if event.trust() == Trust::Trusted {
            return 0;
        }
        let by_agent = agent.map_or(bots::NO_AGENT, |agent| agent.bot_score);
        let is_spam =
            event.text(Term::Referrer).is_some_and(|referrer| domain::attribution::is_referrer_spam(referrer));
        if is_spam { by_agent.max(bots::SPAM_REFERRER) } else { by_agent }
    }
}

impl MailDomains {
    /// The built-in lists.
    pub(crate) fn built_in() -> MailDomains {
        MailDomains::read(lists::FREE_MAIL, lists::DISPOSABLE_MAIL)
    }

    /// The kind of the mail address that an event names: as its own identity, as one that it ties, or as a trait.
    pub(crate) fn email_class(&self, event: &NewEvent) -> Option<EmailClass> {
        // What is only claimed tells nothing of the person.
        if event.flags & flags::CLAIMED != 0 {
            return None;
        }
        let own = match &event.who {
            crate::store::identities::Who::Known { kind: IdentityKind::Email, value } => Some(value),
            _ => None,
        };
        let tied = event.links.iter().find(|link| link.kind == IdentityKind::Email).map(|link| &link.value);
        if let Some(email) = own.or(tied) {
            return self.class(email);
        }
        let said =
            (event.kind == Kind::Identify).then(|| event.properties.as_deref().and_then(mail::trait_of)).flatten();
        said.and_then(|email| self.class(&email))
    }
}

/// What the last text of a request came to: its events share most of them.
struct Last<K, V>(Option<(K, V)>);

impl<K, V> Default for Last<K, V> {
    fn default() -> Self {
        Last(None)
    }
}

impl<K: PartialEq, V: Clone> Last<K, V> {
    fn of(&mut self, key: Option<K>, find: impl FnOnce(&K) -> V) -> Option<V> {
        let key = key?;
        match &self.0 {
            Some((last, found)) if *last == key => Some(found.clone()),
            Some(_) | None => {
                let found = find(&key);
                self.0 = Some((key, found.clone()));
                Some(found)
            }
        }
    }
}

/// What texts came to, shared by all requests.
struct Memory<V>(Mutex<HashMap<Arc<str>, V>>);

impl<V> Default for Memory<V> {
    fn default() -> Self {
        Memory(Mutex::default())
    }
}

impl<V: Clone> Memory<V> {
    fn of(&self, text: &Arc<str>, find: impl FnOnce() -> V) -> V {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
            return known.clone();
        }
        // Not while others wait: a text that is new may take a while.
        let found = find();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(Arc::clone(text), found.clone());
        found
    }
}

#[cfg(test)]
mod tests;
