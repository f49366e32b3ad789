//! What a tag costs the page it stands on: ours, three others from npm and none, side by side in one Chromium.
//!
//! In each round each of them is visited by newcomers (an empty cache, no storage) on the same page: once on a fast
//! device, where it is watched for five seconds and then called for a thousand events, and once on a slow one. Medians
//! of the rounds are printed, with what must hold of ours. Times on the main thread are processor time (see `trace`),
//! so that they say the same on a busy machine; the time to the first beacon is none, and only its ratio means much.
//!
//! All tags load from and post to one server on this machine (see `stand`); a released collector has our files and
//! takes our events. Nothing is asked of anybody else.
//!
//! `--rounds N` visits more often, `--write` writes the table into the tracker's README. `--trace FOLDER` keeps the trace
//! of each visit, for the browser's own tools to show.

mod report;
mod stand;
mod subjects;
mod trace;
mod visit;

use anyhow::{Context as _, Result, bail, ensure};
use report::Report;
use stand::Stand;
use std::path::PathBuf;
use subjects::Subject;
use tests::browser::Chromium;
use tests::cluster::Folder;
use tests::pages::{Page, Pages};
use tests::shop::add_site;
use tests::{Database, Server};
use visit::Place;

struct Options {
    rounds: usize,
    is_written: bool,
    traces: Option<PathBuf>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
        let mut options = Options { rounds: 7, is_written: false, traces: None };
        while let Some(name) = arguments.next() {
            match name.as_str() {
                "--rounds" => {
                    let value = arguments.next().context("--rounds needs a number")?;
                    let rounds: usize = value.parse().with_context(|| format!("--rounds {value}: no number"))?;
                    options.rounds = rounds.max(1);
                }
                "--write" => options.is_written = true,
                "--trace" => options.traces = Some(arguments.next().context("--trace needs a folder")?.into()),
                _ => bail!("{name}: the options are --rounds, --write, --trace"),
            }
        }
        Ok(options)
    }
}

fn main() -> Result<()> {
    let options = Options::read(std::env::args().skip(1))?;
    let database = Database::fresh();
    let keys = add_site(&database, "bench", &["--domain", "127.0.0.1", "--consent", "full"]);
    let server = Server::start(&database, &[]);
    let stand = Stand::open(&server.origin())?;
    let work = Folder::make();
    println!("bundling what others offer");
    subjects::prepare(&stand, work.path())?;
    let tag = |subject: Subject| subject.tag(&stand, &keys.write_key);
    let calm = Subject::ALL.map(|subject| page("", subject, &tag(subject), ""));
    let restless = Subject::ALL.map(|subject| page("restless-", subject, &tag(subject), RESTLESS));
    let before = Page::html(BEFORE, "", "");
    let pages = Pages::serve(calm.into_iter().chain(restless).chain([before]).collect());
    let chromium = Chromium::start();
    let place = |kind: &str, subject: Subject| Place {
        chromium: &chromium,
        stand: &stand,
        subject,
        url: pages.url(&path(kind, subject)),
        before: pages.url(BEFORE),
        traces: options.traces.as_deref(),
    };

    let mut report = Report::of(Subject::ALL)?;
    for round in 1..=options.rounds {
        println!("round {round} of {}", options.rounds);
        for measured in &mut report.all {
            let place = place("", measured.subject);
            measured.figures.push(place.visit()?);
            measured.slow.push(place.visit_slowly()?);
            println!("  {}", measured.latest());
        }
    }
    for measured in &mut report.all {
        measured.forced = place("restless-", measured.subject).visit_restless()?;
    }
    let stored = database.number(
        "SELECT count(*) FROM events e JOIN terms t ON t.term_id = e.name_id WHERE e.kind = 3 AND t.value = 'Bench'",
    );
    ensure!(stored == (options.rounds * visit::CALLS) as i64, "the collector has stored {stored} of our events");
    println!();
    print!("{report}");
    if options.is_written {
        report.write()?;
    }
    if report.is_missed() {
        bail!("a goal is missed");
    }
    Ok(())
}

fn path(kind: &str, subject: Subject) -> String {
    format!("/{kind}{}", subject.word())
}

/// The path of the page where visitors come from.
const BEFORE: &str = "/before";

/// A script that makes the page's layout out of date again and again, also before anybody else hears of an input: who
/// reads of it makes the browser compute it at once.
const RESTLESS: &str = "<script>
    const stir = () => document.documentElement.style.setProperty('--stirred', Math.random() + 'px');
    setInterval(stir, 4);
    for (const type of ['pointerdown', 'pointermove', 'keydown', 'click', 'scroll', 'focus', 'blur', 'copy', 'pagehide'])
        addEventListener(type, stir, true);
    document.addEventListener('click', (event) => event.preventDefault());
</script>";

/// An ordinary page: text, a list of links, a form, and a small script of its own, so that the page without a tag has
/// paid for being able to run one.
fn page(kind: &str, subject: Subject, tag: &str, script: &str) -> Page {
    let head = format!(
        "<style>body {{ font: 16px/1.5 sans-serif; margin: auto; max-width: 40em; padding-left: var(--stirred, 0) }}</style>
        <script>document.documentElement.classList.add('js')</script>{script}{tag}"
    );
    let mut body = "<p><a id=\"away\" href=\"https://elsewhere.example/\">Elsewhere</a></p>
        <form><label>Name <input id=\"name\" name=\"name\"></label><button>Send</button></form>"
        .to_owned();
    for part in 1..=40 {
        body.push_str(&format!(
            "<h2>Part {part}</h2><ul><li><a href=\"/part/{part}\">More of part {part}</a></li></ul>"
        ));
        body.push_str(
            &"<p>Water at ninety-three degrees, beans ground this morning, and four minutes of patience.</p>".repeat(4),
        );
    }
    Page::html(&path(kind, subject), &head, &body)
}
