//! `segments import`: a file from the command line, with its preview.

use super::{Imported, Kind, Mapping, Reading, RejectedLine, Skipped, Writing, preview};
use crate::cli::say;
use crate::store::Store;
use crate::store::sites::Site;
use anyhow::{Context, bail};
use domain::report::ImportPreview;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What to import, and how.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The site's name.
    #[arg(long)]
    site: String,
    /// A CSV file with a header line, or NDJSON, in UTF-8; `-` for standard input.
    file: PathBuf,
    /// Which columns hold what, for example customer_id=master_id,ordered_at=date,total=amount; FIELD= for none. Of
    /// customers also trait:NAME=COLUMN.
    #[arg(long, value_name = "FIELD=COLUMN,…")]
    map: Option<String>,
    /// What a file of newsletter events tells as a whole, where it has no column for it: sent, delivered, opened,
    /// clicked, bounced, spam, unsubscribed or subscribed.
    #[arg(long, value_name = "WHAT")]
    event: Option<String>,
    /// Who counted what a file by day tells, where its headings do not show it: plausible, ga4, umami or matomo for
    /// web-history; the utm_source (google, facebook, …) for ad-spend.
    #[arg(long, value_name = "WHO")]
    from: Option<String>,
    /// Tells what would be stored, from the first 1,000 lines, and stores nothing.
    #[arg(long)]
    preview: bool,
    /// Where the rejected lines go; by default beside the file, as FILE.rejected.csv.
    #[arg(long, value_name = "FILE")]
    rejected: Option<PathBuf>,
}

/// Imports a file and prints what became of its lines, or of its first lines without storing them.
///
/// # Errors
/// When the file, its header or the database cannot be used; what was committed until then stays, and the same call
/// goes on from there.
pub(crate) fn run(store: &Store, kind: Kind, options: &Options) -> anyhow::Result<()> {
    let site = Arc::new(store.site_named(&options.site)?);
    let mut mapping = Mapping::parse(kind, options.map.as_deref().unwrap_or_default())?;
    if options.event.is_some() && kind != Kind::Newsletter {
        bail!("--event is for newsletters; leave it out");
    }
    if options.from.is_some() && !matches!(kind, Kind::AdSpend | Kind::WebHistory) {
        bail!("--from is for ad-spend and web-history; leave it out");
    }
    mapping.event.clone_from(&options.event);
    mapping.from.clone_from(&options.from);
    let (input, size) = open(&options.file)?;
    if options.preview {
        let told = preview(&site, (kind, &mapping), input)?;
        say_preview(kind, &told, &site);
        return Ok(());
    }
    let rejected = options.rejected.clone().unwrap_or_else(|| match options.file.to_str() {
        Some("-") => PathBuf::from(format!("{}.rejected.csv", kind.key())),
        _ => options.file.with_extension("rejected.csv"),
    });
    let imported = import(store, &site, (kind, &mapping), (input, size), &rejected)?;
    say(&summary(&imported));
    if imported.rejected > 0 {
        say(&format!("rejected lines with their reasons: {}", rejected.display()));
    }
    if kind.is_by_day() { Ok(()) } else { project(store) }
}

fn open(path: &Path) -> anyhow::Result<(Box<dyn Read>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let size = file.metadata().ok().map(|metadata| metadata.len()).filter(|size| *size > 0);
    Ok((Box::new(file), size))
}

fn summary(imported: &Imported) -> String {
    let Imported { read, stored, duplicate, rejected } = imported;
    format!("read {read} stored {stored} duplicate {duplicate} rejected {rejected}")
}

fn import(
    store: &Store,
    site: &Arc<Site>,
    plan: (Kind, &Mapping),
    (input, size): (Box<dyn Read>, Option<u64>),
    rejected_path: &Path,
) -> anyhow::Result<Imported> {
    let mut reading = Reading::open(site, plan, input, Skipped::default())?;
    let mut writing = Writing::new(store, site)?;
    let mut rejected = RejectedFile { path: rejected_path, header: reading.columns().to_vec(), writer: None };
    let mut imported = Imported::default();
    let mut progress = Progress::new();
    while let Some(batch) = reading.next()? {
        let (lines, bytes) = (batch.lines, batch.bytes);
        let stored = writing.store(batch, &mut |_, _| Ok(()));
        let (receipt, lines_rejected) = stored.context("the import stopped; run it again to go on")?;
        imported.read = lines;
        imported.add(receipt);
        for line in &lines_rejected {
            rejected.write(line)?;
        }
        let part = size.map(|size| (bytes, size));
        progress.tell(|| summary(&imported), lines, part);
    }
    rejected.finish()?;
    Ok(imported)
}

/// Projects what has been stored, and says how far that is.
fn project(store: &Store) -> anyhow::Result<()> {
    eprintln!("projecting …");
    let mut progress = Progress::new();
    crate::projector::drain_telling(store, |done, all| {
        progress.tell(|| format!("projected {done} of {all} events"), done, Some((done, all)));
    })?;
    Ok(())
}

/// Tells how far something is, once a second: part, speed, and how long the rest will take.
struct Progress {
    begun: Instant,
    told: Instant,
}

impl Progress {
    fn new() -> Progress {
        Progress { begun: Instant::now(), told: Instant::now() }
    }

    fn tell(&mut self, what: impl Fn() -> String, done: u64, part: Option<(u64, u64)>) {
        if self.told.elapsed() < TELL_EVERY {
            return;
        }
        self.told = Instant::now();
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let rate = done as f64 / seconds;
        let part = part.filter(|(done, all)| *done > 0 && *all > 0).map(|(done, all)| {
            let rest_s = seconds * (all.saturating_sub(done)) as f64 / done as f64;
            format!(" {:.0} % {rest_s:.0} s left", done as f64 * 100.0 / all as f64)
        });
        // On a terminal one line is written over again and again.
        let (start, end) = if std::io::stderr().is_terminal() { ("\r\x1b[K", "") } else { ("", "\n") };
        eprint!("{start}{}{} {rate:.0} lines/s …{end}", what(), part.unwrap_or_default());
    }
}

fn say_preview(kind: Kind, told: &ImportPreview, site: &Site) {
    say(&format!("{}, {} columns; {} lines looked at", told.format, told.columns.len(), told.lines));
    let column = |at: usize| told.columns.get(at).map_or("", String::as_str);
    say("fields:");
    for field in &told.fields {
        match field.column {
            Some(at) => say(&format!("  {:<18} {}  ({})", field.name, column(at), field.examples.join(" | "))),
            None if field.needed => say(&format!("  {:<18} – missing", field.name)),
            None => {}
        }
    }
    for (at, name) in &told.traits {
        say(&format!("  {:<18} {}", format!("trait:{name}"), column(*at)));
    }
    let not_there = told.fields.iter().filter(|field| field.column.is_none()).map(|field| field.name.as_str());
    say(&format!("not in the file: {}", not_there.collect::<Vec<_>>().join(", ")));
    let left: Vec<&str> = told.left.iter().map(|at| column(*at)).collect();
    say(&format!("columns that are left: {}", if left.is_empty() { "none".to_owned() } else { left.join(", ") }));
    for missing in &told.missing {
        say(&format!("missing: {missing}"));
    }
    if !told.missing.is_empty() {
        say(
            "name columns with --map FIELD=COLUMN, what a newsletter's file tells as a whole with --event, who counted with --from",
        );
    }
    for doubt in &told.doubts {
        say(&format!("doubtful: {doubt}"));
    }
    if !told.events.is_empty() {
        say(if kind.is_by_day() { "the first rows, lines about the same added up:" } else { "the first events:" });
    }
    for event in &told.events {
        let at = event.at.to_zoned_datetime(site.time_zone.clone()).strftime("%F %T");
        say(&format!("  line {}: {} of {} at {at} {}", event.line, event.what, event.who, event.says));
    }
    say(&format!("lines that would be rejected: {} of {}", told.faulty_lines, told.lines));
    for fault in &told.faults {
        say(&format!("  line {}: {}", fault.line, fault.reason));
    }
}

/// The file of rejected lines; it is made with the first of them.
struct RejectedFile<'a> {
    path: &'a Path,
    header: Vec<String>,
    writer: Option<csv::Writer<BufWriter<File>>>,
}

impl RejectedFile<'_> {
    fn write(&mut self, line: &RejectedLine) -> anyhow::Result<()> {
        let unwritable = || format!("cannot write {}; choose another with --rejected", self.path.display());
        if self.writer.is_none() {
            let file = File::create(self.path).with_context(unwritable)?;
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(BufWriter::new(file));
            let header = ["line", "reason"].into_iter().chain(self.header.iter().map(String::as_str));
            writer.write_record(header).with_context(unwritable)?;
            self.writer = Some(writer);
        }
        if let Some(writer) = &mut self.writer {
            let number = line.line.to_string();
            let told = [number.as_str(), line.reason.as_str()];
            let cells = told.into_iter().chain(line.told.iter().map(String::as_str));
            writer.write_record(cells).with_context(unwritable)?;
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        if let Some(writer) = self.writer {
            writer.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?.flush()?;
        }
        Ok(())
    }
}
