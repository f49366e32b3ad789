//! What intake finds out about an event beside what it says itself: the country, the language, the device, and how much
//! speaks for a program instead of a person.
//!
//! Each is stored with the event, so that a rebuild gives the same after the lists and the reading of user agents have
//! changed. The address that the country follows from is not.

mod agent;
mod country;
mod device;

pub use agent::{DeviceClass, Software};
pub use country::Country;
pub use device::Device;

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What was found out about one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Where and with what it happened; `None` when nothing of that is known.
    pub surroundings: Option<Arc<Surroundings>>,
    /// How much speaks for a program, 0 to 100. What a trusted source brings is 0.
    pub bot_score: u8,
    /// What kind of mail address it named.
    pub email_class: Option<EmailClass>,
}

/// Where and with what somebody is; `None` is what is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Surroundings {
    /// The country that the network address belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// The browser's first language, without its region: `de`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Arc<str>>,
    /// The device's time zone, `Europe/Vienna`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Arc<str>>,
    /// What kind of device it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceClass>,
    /// The browser's family, `Firefox`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser: Option<Arc<str>>,
    /// The browser's major version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser_version: Option<u16>,
    /// The operating system's family, `Windows`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<Arc<str>>,
}

impl Surroundings {
    /// What the stored texts of an event say together.
    pub fn read(country: Option<&str>, software: Option<&str>, device: Option<&str>) -> Surroundings {
        let software = software.map(Software::read).unwrap_or_default();
        let device = device.map(Device::read).unwrap_or_default();
        Surroundings {
            country: country.and_then(Country::from_code),
            language: device.main_language().map(Arc::from),
            time_zone: (!device.time_zone.is_empty()).then(|| device.time_zone.into()),
            device: software.device,
            browser: software.browser.map(Arc::from),
            browser_version: software.browser_version,
            system: software.system.map(Arc::from),
        }
    }

    /// Nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Surroundings::default()
    }

    /// Takes over what a later event knows; what it does not know stays. A browser goes with its version.
    pub fn follow(&mut self, later: &Surroundings) {
        fn take<T: Clone>(known: &mut Option<T>, later: &Option<T>) {
            if later.is_some() {
                known.clone_from(later);
            }
        }
        take(&mut self.country, &later.country);
        take(&mut self.language, &later.language);
        take(&mut self.time_zone, &later.time_zone);
        take(&mut self.device, &later.device);
        take(&mut self.system, &later.system);
        if later.browser.is_some() {
            self.browser.clone_from(&later.browser);
            self.browser_version = later.browser_version;
        }
    }

    /// Fills in what is not known yet from a later event.
    pub fn fill_in(&mut self, later: &Surroundings) {
        let earlier = std::mem::replace(self, later.clone());
        self.follow(&earlier);
    }
}

/// What kind of mail address somebody has, by lists of providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(i16)]
pub enum EmailClass {
    /// With a provider where anybody gets an address.
    Free = 1,
    /// Under a domain that is in neither list: a company's, an institution's, or somebody's own.
    Company = 2,
    /// With a provider of addresses that are thrown away.
    Disposable = 3,
}

impl EmailClass {
    /// All of them, in the order in which lists show them.
    pub const ALL: [EmailClass; 3] = [EmailClass::Company, EmailClass::Free, EmailClass::Disposable];

    /// The stored number.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The class of that [`EmailClass::code`].
    pub fn from_code(code: i16) -> Option<EmailClass> {
        EmailClass::ALL.into_iter().find(|class| class.code() == code)
    }

    /// The name for machines.
    pub fn key(self) -> &'static str {
        match self {
            EmailClass::Free => "free",
            EmailClass::Company => "company",
            EmailClass::Disposable => "disposable",
        }
    }

    /// The class of that [`EmailClass::key`].
    pub fn from_key(key: &str) -> Option<EmailClass> {
        EmailClass::ALL.into_iter().find(|class| class.key() == key)
    }

    /// The name for people.
    pub fn label(self) -> &'static str {
        match self {
            EmailClass::Free => "Free mail",
            EmailClass::Company => "Company or own domain",
            EmailClass::Disposable => "Disposable",
        }
    }
}

#[cfg(test)]
mod tests;
