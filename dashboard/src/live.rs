//! The live page: events as they arrive, and what became of everything that did.

use crate::Rendered;
use crate::format::{self, Format};
use crate::people::{What, person_label};
use crate::shell::{Nav, Shell};
use crate::words;
use askama::Template;
use domain::event::Trust;
use domain::report::{Consent, Live, LiveEvent};

/// Rows that the page keeps; older ones leave at the bottom.
const KEPT: usize = 100;

#[derive(Template)]
#[template(path = "live.html")]
struct LivePage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a Live,
    f: Format,
    events: Vec<EventView<'a>>,
    kept: usize,
}

#[derive(Template)]
#[template(path = "live_fragment.html")]
struct LiveFragment<'a> {
    r: &'a Live,
    f: Format,
    events: Vec<EventView<'a>>,
    news: String,
}

struct EventView<'a> {
    event: &'a LiveEvent,
    what: What,
    person: String,
    channel: &'a str,
    measured: bool,
    trusted: bool,
}

fn events(report: &Live) -> Vec<EventView<'_>> {
    report
        .events
        .iter()
        .map(|event| EventView {
            event,
            what: What::of(&event.what),
            person: match event.person.profile_id {
                Some(id) => person_label(event.person.name.as_deref(), &id),
                None => "Measured visitor".to_owned(),
            },
            channel: event.channel.as_deref().unwrap_or("–"),
            measured: event.consent == Consent::Measure,
            trusted: event.trust == Trust::Trusted,
        })
        .collect()
}

/// The live page with the latest events.
///
/// # Errors
/// When the page cannot be written.
pub fn live(shell: &Shell, report: &Live) -> Rendered {
    let f = Format::of(&report.site, report.now);
    LivePage { shell, nav: Nav::Live, r: report, f, events: events(report), kept: KEPT }.render()
}

/// What the live page asks for every two seconds: the poller with its next cursor, the events since the last one, and the
/// counts. `report.events` are only the new ones.
///
/// # Errors
/// When it cannot be written.
pub fn live_fragment(report: &Live) -> Rendered {
    let count = u64::try_from(report.events.len()).unwrap_or(u64::MAX);
    LiveFragment {
        r: report,
        f: Format::of(&report.site, report.now),
        events: events(report),
        news: format::counted(&count, "new event", "new events"),
    }
    .render()
}
