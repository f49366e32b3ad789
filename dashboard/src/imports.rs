//! Files that are imported: the list, what is in a file, and how far it is.

use crate::Rendered;
use crate::format::{self, Format};
use crate::shell::{Nav, Shell};
use askama::Template;
use domain::report::{Import, ImportField, ImportKind, ImportPreview, ImportReport, ImportState, Imports};

/// Words of a newsletter's file as a whole.
const EVENTS: [(&str, &str); 8] = [
    ("sent", "The mails were sent"),
    ("delivered", "The mails were delivered"),
    ("opened", "The mails were opened"),
    ("clicked", "A link was clicked"),
    ("bounced", "The mails came back"),
    ("spam", "They were marked as spam"),
    ("unsubscribed", "People unsubscribed"),
    ("subscribed", "People subscribed"),
];

fn kind_name(kind: &ImportKind) -> &'static str {
    match kind {
        ImportKind::Customers => "Customers",
        ImportKind::Orders => "Orders",
        ImportKind::Newsletter => "Newsletter events",
        ImportKind::AdSpend => "Ad spend",
        ImportKind::SearchConsole => "Search Console",
        ImportKind::WebHistory => "History of another tool",
    }
}

fn kind_help(kind: &ImportKind) -> &'static str {
    match kind {
        ImportKind::Customers => "one person in each line: e-mail address or id, name, address, consent",
        ImportKind::Orders => "one order or one product of an order in each line, refunds and cancellations with it",
        ImportKind::Newsletter => "what happened to a mail in each line: sent, opened, clicked, bounced, unsubscribed",
        ImportKind::AdSpend => {
            "what campaigns cost by day, as Google Ads, Meta Ads and Microsoft Advertising export it"
        }
        ImportKind::SearchConsole => "clicks and impressions by day, of queries, of pages or of the whole site",
        ImportKind::WebHistory => "what Plausible, Google Analytics or Matomo counted by day before",
    }
}

/// State in words, and its colour.
fn state(state: ImportState) -> (&'static str, &'static str) {
    match state {
        ImportState::Uploading => ("coming in", ""),
        ImportState::Ready => ("waits for you", "warn"),
        ImportState::Running => ("running", ""),
        ImportState::Paused => ("paused", "warn"),
        ImportState::Done => ("done", "good"),
        ImportState::Cancelled => ("ended", ""),
        ImportState::Failed => ("failed", "bad"),
        ImportState::Expired => ("thrown away", ""),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes.div_ceil(1_024)),
        _ => format!("{} MiB", format::count(&bytes.div_ceil(1_048_576))),
    }
}

struct RowView<'a> {
    import: &'a Import,
    kind: &'static str,
    state: (&'static str, &'static str),
    size: String,
}

#[derive(Template)]
#[template(path = "imports.html")]
struct ImportsPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a Imports,
    f: Format,
    rows: Vec<RowView<'a>>,
    problem: Option<&'a str>,
}

/// The imports of a site, and the form that takes a file. `problem` says why the last one was not taken.
///
/// # Errors
/// When the page cannot be written.
pub fn imports(shell: &Shell, report: &Imports, problem: Option<&str>) -> Rendered {
    let row = |import| RowView {
        import,
        kind: kind_name(&import.kind),
        state: state(import.state),
        size: size(import.size_bytes),
    };
    ImportsPage {
        shell,
        nav: Nav::Imports,
        r: report,
        f: Format::of(&report.site, report.now),
        rows: report.rows.iter().map(row).collect(),
        problem,
    }
    .render()
}

/// How far an import is, in numbers and words.
struct ProgressView {
    path: String,
    /// It goes on by itself.
    moves: bool,
    /// It has ended since the page was made.
    over: bool,
    percent: u64,
    text: String,
    counts: String,
    waiting: Option<String>,
}

fn progress_view(report: &ImportReport, is_part: bool) -> ProgressView {
    let import = &report.import;
    let lines = format::counted(&import.lines, "line", "lines");
    let text = match import.state {
        ImportState::Running if import.lines == 0 => "A worker takes it in a moment.".to_owned(),
        ImportState::Running => {
            let speed = format!("{} lines/s", format::count(&import.lines_per_s));
            let rest =
                import.remaining_s().map(|rest_s| format!(", about {} left", format::duration(&(rest_s * 1_000))));
            format!("{} %, {lines} read, {speed}{}", import.percent(), rest.unwrap_or_default())
        }
        ImportState::Paused => format!("Paused at {} %, {lines} read.", import.percent()),
        ImportState::Done => format!("All {lines} read."),
        ImportState::Cancelled | ImportState::Failed => format!("Ended at {} %, {lines} read.", import.percent()),
        ImportState::Uploading | ImportState::Ready | ImportState::Expired => String::new(),
    };
    let counts = format!(
        "{} stored, {} known before, {} rejected",
        format::count(&import.stored),
        format::count(&import.duplicate),
        format::count(&import.rejected)
    );
    let waiting = (report.waiting_events > 0 && import.lines > 0).then(|| {
        let events = format::counted(&report.waiting_events, "event", "events");
        format!("{events} of this site are being worked into profiles and segments.")
    });
    let moves = import.state == ImportState::Running || (import.state == ImportState::Done && waiting.is_some());
    ProgressView {
        path: format!("/s/{}/imports/{}/progress", report.site.id, import.import_id),
        moves,
        over: is_part && !moves,
        percent: import.percent(),
        text,
        counts,
        waiting,
    }
}

#[derive(Template)]
#[template(path = "import_progress.html")]
struct ProgressPart {
    progress: ProgressView,
}

/// How far an import is, for a page that asks by script.
///
/// # Errors
/// When it cannot be written.
pub fn import_progress(report: &ImportReport) -> Rendered {
    ProgressPart { progress: progress_view(report, true) }.render()
}

struct FieldView<'a> {
    field: &'a ImportField,
    /// All columns, and which it is read from.
    options: Vec<(&'a str, bool)>,
    examples: String,
}

fn field_view<'a>(field: &'a ImportField, columns: &'a [String]) -> FieldView<'a> {
    let options = columns.iter().enumerate().map(|(at, column)| (column.as_str(), field.column == Some(at)));
    FieldView { field, options: options.collect(), examples: field.examples.join(" · ") }
}

struct EventView<'a> {
    line: String,
    at: String,
    what: &'a str,
    who: &'a str,
    says: &'a str,
}

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage<'a> {
    shell: &'a Shell,
    nav: Nav,
    r: &'a ImportReport,
    f: Format,
    path: String,
    kind: &'static str,
    state: (&'static str, &'static str),
    size: String,
    progress: ProgressView,
    preview: Option<&'a ImportPreview>,
    fields: Vec<FieldView<'a>>,
    events: Vec<EventView<'a>>,
    problem: Option<&'a str>,
}

impl ImportPage<'_> {
    fn is(&self, state: ImportState) -> bool {
        self.r.import.state == state
    }

    fn can_keep_traits(&self) -> bool {
        self.r.import.kind == ImportKind::Customers
    }

    /// Who counted, where the file's owner can say so.
    fn from(&self) -> Option<(&'static str, &str)> {
        let from = self.preview.and_then(|preview| preview.from.as_deref()).unwrap_or_default();
        match self.r.import.kind {
            ImportKind::AdSpend => Some(("Source (utm_source) of lines that name none: google, facebook, …", from)),
            ImportKind::WebHistory => Some(("Who counted: plausible, ga4, umami or matomo", from)),
            ImportKind::Customers | ImportKind::Orders | ImportKind::Newsletter | ImportKind::SearchConsole => None,
        }
    }

    fn is_trait(&self, at: &usize) -> bool {
        self.preview.is_some_and(|preview| preview.traits.iter().any(|(own, _)| own == at))
    }

    fn is_event(&self, word: &str) -> bool {
        self.preview.and_then(|preview| preview.event.as_deref()) == Some(word)
    }

    /// Columns that may be kept as traits.
    fn further(&self) -> Vec<(usize, &str)> {
        let Some(preview) = self.preview else { return Vec::new() };
        let mut further: Vec<usize> =
            preview.left.iter().copied().chain(preview.traits.iter().map(|(at, _)| *at)).collect();
        further.sort_unstable();
        further.into_iter().filter_map(|at| Some((at, preview.columns.get(at)?.as_str()))).collect()
    }
}

/// One import: what is in the file as long as it has not been started, then how far it is. `problem` says what was not
/// done.
///
/// # Errors
/// When the page cannot be written.
pub fn import(
    shell: &Shell,
    report: &ImportReport,
    preview: Option<&ImportPreview>,
    problem: Option<&str>,
) -> Rendered {
    let f = Format::of(&report.site, report.now);
    let columns = preview.map_or(&[][..], |preview| preview.columns.as_slice());
    let fields = preview.iter().flat_map(|preview| &preview.fields);
    let field = |field| field_view(field, columns);
    let events = preview.iter().flat_map(|preview| &preview.events).map(|event| EventView {
        line: format::count(&event.line),
        at: f.moment(&event.at),
        what: &event.what,
        who: &event.who,
        says: &event.says,
    });
    ImportPage {
        shell,
        nav: Nav::Imports,
        r: report,
        path: format!("/s/{}/imports/{}", report.site.id, report.import.import_id),
        kind: kind_name(&report.import.kind),
        state: state(report.import.state),
        size: size(report.import.size_bytes),
        progress: progress_view(report, false),
        preview,
        fields: fields.map(field).collect(),
        events: events.collect(),
        f,
        problem,
    }
    .render()
}
