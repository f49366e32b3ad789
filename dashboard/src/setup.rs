//! The set-up page: the tag, whether it works, keys and settings.

use crate::Rendered;
use crate::format::Format;
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::report::{Bots, BrowserOrders, Setup, TagConsent};

/// What stands in the settings form: the site's settings, or what the user has typed when that could not be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupForm {
    /// The site's name.
    pub name: String,
    /// Hosts, one a line.
    pub domains: String,
    /// ISO 4217 code.
    pub currency: String,
    /// IANA name.
    pub time_zone: String,
    /// [`TagConsent::key`]
    pub consent: String,
    /// [`BrowserOrders::key`]
    pub browser_orders: String,
    /// [`Bots::key`]
    pub bots: String,
    /// 1 to 100.
    pub bot_limit: String,
    /// Why it was not saved, one sentence per problem.
    pub problems: Vec<String>,
}

impl SetupForm {
    /// The form as the site's settings fill it.
    pub fn of(setup: &Setup) -> SetupForm {
        SetupForm {
            name: setup.site.name.clone(),
            domains: setup.domains.join("\n"),
            currency: setup.site.currency.code().to_owned(),
            time_zone: setup.site.time_zone.iana_name().unwrap_or("UTC").to_owned(),
            consent: setup.consent.key().to_owned(),
            browser_orders: setup.browser_orders.key().to_owned(),
            bots: setup.bots.key().to_owned(),
            bot_limit: setup.bot_limit.to_string(),
            problems: Vec::new(),
        }
    }
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a Setup,
    form: &'a SetupForm,
    new_secret: Option<&'a str>,
    tag: TagView,
    zones: Vec<String>,
}

/// The tag and its state, shown on the set-up page and wherever there are no events yet.
pub(crate) struct TagView {
    /// The site's number.
    pub(crate) site: i32,
    /// The script tag.
    pub(crate) tag: String,
    /// What the tag starts with, in words.
    pub(crate) consent: &'static str,
    /// When the last event came, as text; `None` before the first one.
    pub(crate) last_event: Option<String>,
}

impl TagView {
    pub(crate) fn of(setup: &Setup) -> TagView {
        let f = Format::of(&setup.site, setup.now);
        TagView {
            site: setup.site.id,
            tag: setup.tag(setup.consent),
            consent: match setup.consent {
                TagConsent::Measure => "measure",
                TagConsent::Wait => "wait",
                TagConsent::Manager => "wait, for a consent manager",
                TagConsent::Full => "full",
            },
            last_event: setup.last_event_at.map(|at| {
                if setup.site.day(at) == setup.site.day(setup.now) {
                    format!("today at {}", f.clock(&at))
                } else {
                    f.moment(&at)
                }
            }),
        }
    }
}

#[derive(Template)]
#[template(path = "setup_state.html")]
struct StatePart {
    tag: TagView,
}

/// The set-up page.
///
/// `form` is [`SetupForm::of`] or what could not be saved; `new_secret` is a secret key that was just made and is shown
/// this once.
///
/// # Errors
/// When the page cannot be written.
pub fn setup(shell: &Shell, report: &Setup, form: &SetupForm, new_secret: Option<&str>) -> Rendered {
    SetupPage { shell, nav: Nav::Setup, r: report, form, new_secret, tag: TagView::of(report), zones: time_zones() }
        .render()
}

/// The tag's state alone, as the page asks for it every few seconds.
///
/// # Errors
/// When it cannot be written.
pub fn setup_state(report: &Setup) -> Rendered {
    StatePart { tag: TagView::of(report) }.render()
}

/// Names of the time zones that can be chosen.
pub(crate) fn time_zones() -> Vec<String> {
    let mut zones: Vec<String> = jiff::tz::db()
        .available()
        .map(|name| name.to_string())
        .filter(|name| name == "UTC" || (name.contains('/') && !name.starts_with("Etc/")))
        .collect();
    zones.sort_unstable();
    zones
}

impl SetupPage<'_> {
    fn consent(&self, key: &str) -> bool {
        TagConsent::from_key(&self.form.consent).unwrap_or(TagConsent::Measure).key() == key
    }

    fn includes_bots(&self) -> bool {
        Bots::from_key(&self.form.bots) == Some(Bots::Include)
    }

    fn browser_orders(&self, key: &str) -> bool {
        BrowserOrders::from_key(&self.form.browser_orders).is_some_and(|rule| rule.key() == key)
    }
}
