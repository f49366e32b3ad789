//! Where events come from: the sources of a site, and one of them.

use crate::Rendered;
use crate::format::{self, Format};
use crate::people::{What, person_label};
use crate::shell::{Nav, Shell};
use crate::words;
use askama::Template;
use domain::report::{HookSecret, LiveEvent, SourceBook, SourceDay, SourceLine, SourcePage, SourceState, SourceTrial};
use std::fmt::Write;

/// What stands in the form that connects a vendor, and why it could not be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceForm {
    /// The key of the vendor, or of the system that is asked.
    pub kind: String,
    /// A name for people.
    pub name: String,
    /// Put before the ids of a further shop.
    pub namespace: String,
    /// Orders are known by the number that customers see.
    pub order_numbers: bool,
    /// The account of a system that is asked.
    pub account: String,
    /// A sentence.
    pub problem: Option<String>,
}

/// What somebody has just done on a source's page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceNotes {
    /// What a request that was tried would become.
    pub trial: Option<SourceTrial>,
    /// Why something was not changed, a sentence.
    pub problem: Option<String>,
}

/// How something that needs no making is connected.
struct Guide {
    key: &'static str,
    label: &'static str,
    /// What it is for.
    what: &'static str,
    /// What to set there; `{o}` is the collector's address, `{h}` its host, `{w}` the write key.
    settings: &'static [(&'static str, &'static str)],
    /// A command that sends one event, in the same way.
    example: &'static str,
}

/// Every source that nobody has to make.
const GUIDES: &[Guide] = &[
    Guide {
        key: "tracker",
        label: "The tag on your pages",
        what: "Our own tracker. Its tag stands on the page Set up.",
        settings: &[],
        example: "",
    },
    Guide {
        key: "segment",
        label: "Segment’s libraries",
        what: "Node, Python, browser and whatever else speaks Segment’s HTTP API, as they are.",
        settings: &[
            ("servers: host", "{o}"),
            ("servers: writeKey", "your secret key"),
            ("browser: cdnURL", "{o}"),
            ("browser: writeKey", "{w}"),
            ("browser: apiHost of Segment.io", "{h}/v1"),
        ],
        example: "curl {o}/v1/track -u \"$SECRET_KEY:\" \\\n  -d '{\"userId\":\"user-17\",\"event\":\"Tried it\",\"messageId\":\"try-1\"}'",
    },
    Guide {
        key: "rudderstack",
        label: "RudderStack’s libraries",
        what: "Servers and browsers, as they are.",
        settings: &[("dataPlaneUrl", "{o}"), ("write key", "your secret key on servers, {w} in browsers")],
        example: "curl {o}/v1/track -u \"$SECRET_KEY:\" -H 'AnonymousId: try' \\\n  -d '{\"userId\":\"user-17\",\"event\":\"Tried it\",\"channel\":\"server\",\"messageId\":\"try-1\"}'",
    },
    Guide {
        key: "posthog",
        label: "PostHog’s libraries",
        what: "Servers and browsers, as they are. Flags are answered: there are none. Recordings are not kept.",
        settings: &[("host, or api_host", "{o}"), ("project API key", "your secret key on servers, {w} in browsers")],
        example: "curl {o}/batch/ \\\n  -d '{\"api_key\":\"'$SECRET_KEY'\",\"batch\":[{\"event\":\"Tried it\",\"distinct_id\":\"user-17\"}]}'",
    },
    Guide {
        key: "snowplow",
        label: "Snowplow’s trackers",
        what: "Tracker protocol 2, POST and GET.",
        settings: &[("endpoint", "{o}"), ("appId", "your secret key on servers, {w} in browsers")],
        example: "curl \"{o}/i?e=pv&aid={w}&url=https://shop.example/&duid=try&eid=$(uuidgen)\"",
    },
    Guide {
        key: "plausible",
        label: "Plausible’s script",
        what: "Its script and its events API. It names nobody, so its visitors are measured.",
        settings: &[("endpoint", "{o}/api/event"), ("domain", "your site’s domain, or {w}")],
        example: "curl {o}/api/event -H 'User-Agent: Mozilla/5.0' \\\n  -d '{\"n\":\"pageview\",\"u\":\"https://shop.example/\",\"d\":\"{w}\"}'",
    },
    Guide {
        key: "umami",
        label: "Umami’s script",
        what: "Its script and its node client. It names nobody, so its visitors are measured.",
        settings: &[("data-host-url", "{o}"), ("data-website-id", "{w}")],
        example: "curl {o}/api/send -H 'User-Agent: Mozilla/5.0' \\\n  -d '{\"type\":\"event\",\"payload\":{\"website\":\"{w}\",\"url\":\"/\",\"hostname\":\"shop.example\"}}'",
    },
    Guide {
        key: "matomo",
        label: "Matomo’s trackers",
        what: "The tracking API, single and bulk.",
        settings: &[("tracker URL", "{o}/matomo.php"), ("idsite", "{w}"), ("servers: token_auth", "your secret key")],
        example: "curl \"{o}/matomo.php?idsite={w}&rec=1&url=https://shop.example/&_id=0123456789abcdef\"",
    },
    Guide {
        key: "ga4",
        label: "Google Analytics’ measurement protocol",
        what: "Servers that report to Google Analytics 4; /debug/mp/collect says what would be rejected.",
        settings: &[("address", "{o}/mp/collect"), ("api_secret", "your secret key")],
        example: "curl \"{o}/mp/collect?api_secret=$SECRET_KEY\" \\\n  -d '{\"client_id\":\"try.1\",\"events\":[{\"name\":\"tried_it\"}]}'",
    },
    Guide {
        key: "pixel",
        label: "A picture, for places without scripts",
        what: "Parameters: u address, t title, r referrer, e event, id person, m message, p.… properties.",
        settings: &[("address", "{o}/p.gif?k={w}")],
        example: "curl -o /dev/null \"{o}/p.gif?k={w}&e=Tried+it&m=try-1\"",
    },
    Guide {
        key: "newsletter",
        label: "Newsletters with our pixel and links",
        what: "POST /api/v1/newsletters with the campaign, its links and its recipients gives what to put into the mail.",
        settings: &[("address", "{o}/api/v1/newsletters"), ("key", "your secret key, as Bearer token")],
        example: "",
    },
    Guide { key: "import", label: "Files", what: "What segments import has read.", settings: &[], example: "" },
];

fn guide(key: &str) -> Option<&'static Guide> {
    GUIDES.iter().find(|guide| guide.key == key)
}

/// Whether this is a source that nobody has to make.
pub fn has_source_guide(key: &str) -> bool {
    guide(key).is_some()
}

/// What a source is called, by its key.
pub(crate) fn source_name(key: &str) -> &str {
    guide(key).map_or(key, |guide| guide.label)
}

/// A text as one part of a path.
pub fn path_part(text: &str) -> String {
    let mut path = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' => path.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => write!(path, "%{byte:02X}").unwrap_or_default(),
        }
    }
    path
}

/// A state in words, and the class of its pill.
fn state(state: SourceState) -> (&'static str, &'static str) {
    match state {
        SourceState::Receiving => ("receiving", "good"),
        SourceState::Failing => ("everything is rejected", "bad"),
        SourceState::Quiet => ("quiet for a week", ""),
        SourceState::Waiting => ("waiting for its first message", ""),
        SourceState::Paused => ("paused", ""),
        SourceState::NeedsSecret => ("needs its secret", "bad"),
    }
}

struct LineView<'a> {
    line: &'a SourceLine,
    path: String,
    name: &'a str,
    state: (&'static str, &'static str),
    last: String,
}

impl LineView<'_> {
    fn of<'a>(line: &'a SourceLine, f: &Format) -> LineView<'a> {
        LineView {
            line,
            path: path_part(&line.key),
            name: line.name.as_deref().unwrap_or_else(|| source_name(&line.key)),
            state: state(line.state),
            last: line.last_at.map_or_else(|| "never".to_owned(), |at| f.moment(&at)),
        }
    }

    fn has_own_name(&self) -> bool {
        self.name != self.line.key
    }
}

#[derive(Template)]
#[template(path = "sources.html")]
struct SourcesView<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a SourceBook,
    f: Format,
    lines: Vec<LineView<'a>>,
    guides: Vec<(&'static str, &'static str)>,
    vendors: Kinds<'a>,
    asked: Kinds<'a>,
    form: &'a SourceForm,
}

impl SourcesView<'_> {
    /// Whether what could not be done was about a system that is asked.
    fn asks(&self) -> bool {
        self.asked.iter().any(|(key, _)| *key == self.form.kind)
    }
}

/// Keys and names that can be chosen.
type Kinds<'a> = &'a [(&'a str, &'a str)];

/// The sources of a site. `vendors` are those whose webhooks can be connected, `asked` the systems that can be asked;
/// `form` is what could not be done.
///
/// # Errors
/// When the page cannot be written.
pub fn sources(
    shell: &Shell,
    report: &SourceBook,
    (vendors, asked): (Kinds<'_>, Kinds<'_>),
    form: &SourceForm,
) -> Rendered {
    let f = Format::of(&report.site, report.now);
    let lines = report.sources.iter().map(|line| LineView::of(line, &f)).collect();
    let unheard = |guide: &&Guide| report.sources.iter().all(|line| line.key != guide.key);
    let guides = GUIDES.iter().filter(unheard).map(|guide| (guide.key, guide.label)).collect();
    SourcesView { shell, nav: Nav::Sources, r: report, f, lines, guides, vendors, asked, form }.render()
}

struct EventLine<'a> {
    event: &'a LiveEvent,
    what: What,
    person: String,
}

struct Arrivals<'a> {
    r: &'a SourcePage,
    f: Format,
    line: LineView<'a>,
    events: Vec<EventLine<'a>>,
}

impl Arrivals<'_> {
    fn of(report: &SourcePage) -> Arrivals<'_> {
        let f = Format::of(&report.site, report.now);
        let line = LineView::of(&report.line, &f);
        let events = report.events.iter().map(|event| EventLine {
            event,
            what: What::of(&event.what),
            person: match event.person.profile_id {
                Some(id) => person_label(event.person.name.as_deref(), &id),
                None => "Measured visitor".to_owned(),
            },
        });
        let events = events.collect();
        Arrivals { r: report, f, line, events }
    }
}

#[derive(Template)]
#[template(path = "source_arrivals.html")]
struct ArrivalsPart<'a> {
    a: Arrivals<'a>,
}

/// One bar per day, as high as its messages are many, the rejected ones on top.
struct Bars {
    bars: Vec<Bar>,
    summary: String,
}

struct Bar {
    x: usize,
    kept: u64,
    lost: u64,
}

/// The room of the drawing, and of one bar in it.
const HEIGHT: u64 = 60;
const BAR: usize = 10;

impl Bars {
    fn of(days: &[SourceDay]) -> Bars {
        let most = days.iter().map(|day| day.counts.total()).max().unwrap_or(0).max(1);
        // What is there at all can be seen.
        let high = |count: u64| if count == 0 { 0 } else { (count * HEIGHT / most).max(1) };
        let bars = days.iter().enumerate().map(|(place, day)| Bar {
            x: place * BAR,
            kept: high(day.counts.stored + day.counts.duplicate),
            lost: high(day.counts.rejected),
        });
        let sum = |of: fn(&SourceDay) -> u64| format::count(&days.iter().map(of).sum());
        let summary = format!(
            "In thirty days {} stored, {} sent again, {} rejected; most in one day {}",
            sum(|day| day.counts.stored),
            sum(|day| day.counts.duplicate),
            sum(|day| day.counts.rejected),
            format::count(&days.iter().map(|day| day.counts.total()).max().unwrap_or(0)),
        );
        Bars { bars: bars.collect(), summary }
    }

    fn width(&self) -> usize {
        self.bars.len() * BAR
    }
}

impl Bar {
    fn kept_y(&self) -> u64 {
        HEIGHT.saturating_sub(self.kept)
    }

    fn lost_y(&self) -> u64 {
        self.kept_y().saturating_sub(self.lost)
    }
}

#[derive(Template)]
#[template(path = "source.html")]
struct SourceView<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a SourcePage,
    f: Format,
    a: Arrivals<'a>,
    bars: Bars,
    what: &'static str,
    settings: Vec<(&'static str, String)>,
    example: String,
    notes: &'a SourceNotes,
    /// What stands in the form that tries a request.
    tried: (String, String),
}

impl SourceView<'_> {
    fn is_paused(&self) -> bool {
        self.r.line.state == SourceState::Paused
    }
}

/// One source.
///
/// # Errors
/// When the page cannot be written.
pub fn source(shell: &Shell, report: &SourcePage, notes: &SourceNotes) -> Rendered {
    let host = report.origin.split_once("://").map_or(report.origin.as_str(), |(_, host)| host);
    let fill = |text: &str| text.replace("{o}", &report.origin).replace("{h}", host).replace("{w}", &report.write_key);
    let guide = guide(&report.line.key);
    let sample = report.hook.as_ref().and_then(|hook| hook.samples.first());
    let tried = match (&notes.trial, sample) {
        (Some(trial), _) => (trial.topic.clone(), trial.body.clone()),
        (None, Some(sample)) => (sample.topic.to_owned(), sample.body.clone()),
        (None, None) => (String::new(), String::new()),
    };
    SourceView {
        shell,
        nav: Nav::Sources,
        r: report,
        f: Format::of(&report.site, report.now),
        a: Arrivals::of(report),
        bars: Bars::of(&report.days),
        what: guide.map_or("", |guide| guide.what),
        settings: guide
            .map_or(&[][..], |guide| guide.settings)
            .iter()
            .map(|(name, text)| (*name, fill(text)))
            .collect(),
        example: guide.map_or_else(String::new, |guide| fill(guide.example)),
        notes,
        tried,
    }
    .render()
}

/// The part of a source's page that changes while messages arrive.
///
/// # Errors
/// When it cannot be written.
pub fn source_arrivals(report: &SourcePage) -> Rendered {
    ArrivalsPart { a: Arrivals::of(report) }.render()
}

/// A text that begins small, as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
