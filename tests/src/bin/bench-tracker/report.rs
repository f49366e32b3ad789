//! Medians, what must hold of ours, and the table in the tracker's README.

use crate::subjects::Subject;
use crate::visit::{Figures, SLOWER, Slow};
use anyhow::{Context as _, Result};
use std::fmt;
use std::path::Path;

/// Our first beacon is later than Plausible's at most by this factor.
const MOST_BEACON_RATIO: f64 = 1.2;
/// So is our script time.
const MOST_SCRIPT_RATIO: f64 = 1.2;
/// On a slow device the page's longest task is longer with our tag by at most so many ms. That compares how the page's
/// layout went as much as anything of ours, so the same holds for what a task has of our scripts.
const MOST_SLOW_TASK_MS: f64 = 16.0;
/// The main thread's time for an event of ours.
const MOST_EVENT_US: f64 = 10.0;
/// Memory, JavaScript's and WebAssembly's.
const MOST_MEMORY_BYTES: f64 = 2.0 * 1024.0 * 1024.0;

const README: &str = "tracker-wasm/README.md";
const FIRST: &str = "<!-- bench tracker -->\n";
const LAST: &str = "<!-- end of bench tracker -->\n";

/// All that was measured of one tag.
pub(crate) struct Measured {
    pub(crate) subject: Subject,
    release: String,
    pub(crate) figures: Vec<Figures>,
    pub(crate) slow: Vec<Slow>,
    /// Style or layout computed at once for the tag: outside idle time, and inside.
    pub(crate) forced: (usize, usize),
}

impl Measured {
    /// The latest round in a line.
    pub(crate) fn latest(&self) -> String {
        let (Some(figures), Some(slow)) = (self.figures.last(), self.slow.last()) else { return String::new() };
        format!(
            "{:<34} beacon {:>6.1} ms, scripts {:>6.1} of {:>6.1} ms, slowly {:>6.1} in a task of at most {:>6.1} ms, \
             {:>6.1} us a call, {:>7.1} us an event, {:>5.0} KB of objects, {:>5.0} KB of WebAssembly",
            self.release,
            figures.first_beacon_ms.unwrap_or(f64::NAN),
            figures.script_ms,
            figures.tasks_ms,
            slow.own_ms,
            slow.longest_ms,
            figures.call_us,
            figures.event_us,
            figures.heap_bytes / 1024.0,
            figures.wasm_bytes / 1024.0,
        )
    }

    fn median(&self, figure: impl Fn(&Figures) -> f64) -> f64 {
        median(self.figures.iter().map(figure).collect())
    }

    fn slow_median(&self, figure: impl Fn(&Slow) -> f64) -> f64 {
        median(self.slow.iter().map(figure).collect())
    }
}

/// The middle one; of none, none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// All tags.
pub(crate) struct Report {
    pub(crate) all: Vec<Measured>,
}

/// A tag's medians, less those of the page alone.
struct Row<'a> {
    measured: &'a Measured,
    wire_bytes: usize,
    first_beacon_ms: f64,
    script_ms: f64,
    tasks_ms: f64,
    /// What one task has of the tag's scripts at most.
    task_ms: f64,
    /// The same on a slow device.
    own_task_ms: f64,
    /// How much longer the page's longest task is there.
    longest_task_ms: f64,
    call_us: f64,
    event_us: f64,
    memory_bytes: f64,
}

struct Goal {
    what: String,
    is: f64,
    most: f64,
    unit: &'static str,
}

impl Report {
    pub(crate) fn of(subjects: [Subject; 5]) -> Result<Report> {
        let measured = |subject: Subject| {
            let release = subject.release()?;
            Ok(Measured { subject, release, figures: Vec::new(), slow: Vec::new(), forced: (0, 0) })
        };
        Ok(Report { all: subjects.into_iter().map(measured).collect::<Result<_>>()? })
    }

    fn row(&self, subject: Subject) -> Option<Row<'_>> {
        let find = |subject: Subject| self.all.iter().find(|measured| measured.subject == subject);
        let (measured, alone) = (find(subject)?, find(Subject::Nothing)?);
        let above = |figure: fn(&Figures) -> f64| measured.median(figure) - alone.median(figure);
        let files = &measured.figures.last()?.files;
        Some(Row {
            measured,
            wire_bytes: files.iter().map(|(_, bytes)| bytes).sum(),
            first_beacon_ms: measured.median(|figures| figures.first_beacon_ms.unwrap_or(f64::NAN)),
            script_ms: above(|figures| figures.script_ms),
            tasks_ms: above(|figures| figures.tasks_ms),
            task_ms: measured.median(|figures| figures.task_ms),
            own_task_ms: measured.slow_median(|slow| slow.own_ms),
            longest_task_ms: measured.slow_median(|slow| slow.longest_ms) - alone.slow_median(|slow| slow.longest_ms),
            call_us: measured.median(|figures| figures.call_us),
            event_us: above(|figures| figures.event_us),
            memory_bytes: above(|figures| figures.heap_bytes + figures.wasm_bytes),
        })
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        Subject::ALL.into_iter().filter(|subject| *subject != Subject::Nothing).filter_map(|subject| self.row(subject))
    }

    fn goals(&self) -> Vec<Goal> {
        let (Some(ours), Some(plausible)) = (self.row(Subject::Segments), self.row(Subject::Plausible)) else {
            return Vec::new();
        };
        let goal = |what: &str, is: f64, most: f64, unit: &'static str| Goal { what: what.to_owned(), is, most, unit };
        let (outside, _) = ours.measured.forced;
        vec![
            goal(
                "first beacon, beside Plausible's",
                ours.first_beacon_ms / plausible.first_beacon_ms,
                MOST_BEACON_RATIO,
                "times",
            ),
            goal("script time, beside Plausible's", ours.script_ms / plausible.script_ms, MOST_SCRIPT_RATIO, "times"),
            goal("longest task above the page's own, slow device", ours.longest_task_ms, MOST_SLOW_TASK_MS, "ms"),
            goal("scripts of ours in one task, slow device", ours.own_task_ms, MOST_SLOW_TASK_MS, "ms"),
            goal("main thread for an event, delivery included", ours.event_us, MOST_EVENT_US, "us"),
            goal("memory", ours.memory_bytes / 1024.0, MOST_MEMORY_BYTES / 1024.0, "KB"),
            goal("style or layout at once, outside idle time", outside as f64, 0.0, "times"),
        ]
    }

    /// Whether ours misses a goal.
    pub(crate) fn is_missed(&self) -> bool {
        self.goals().iter().any(|goal| !goal.is_met())
    }

    /// Puts the table between the two marks of the tracker's README.
    pub(crate) fn write(&self) -> Result<()> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(README);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {README}"))?;
        let place = text.split_once(FIRST).and_then(|(before, rest)| Some((before, rest.split_once(LAST)?.1)));
        let (before, after) = place.with_context(|| format!("{README} has no place between {FIRST}and {LAST}"))?;
        let text = format!("{before}{FIRST}\n{}\n{LAST}{after}", self.markdown());
        std::fs::write(&path, text).with_context(|| format!("cannot write {README}"))
    }

    fn markdown(&self) -> String {
        let rounds = self.all.first().map_or(0, |measured| measured.figures.len());
        let mut text = format!(
            "| medians of {rounds} rounds | bytes, brotli | first beacon, ms | scripts, ms | scripts in one task, \
             {SLOWER} times slower, ms | a call, µs | an event, µs | memory, KB | style or layout at once |\n\
             |---|---|---|---|---|---|---|---|---|\n"
        );
        for row in self.rows() {
            let (outside, idle) = row.measured.forced;
            text.push_str(&format!(
                "| {} | {} | {:.0} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} | {outside}, when idle {idle} |\n",
                row.measured.release,
                row.wire_bytes,
                row.first_beacon_ms,
                row.script_ms,
                row.own_task_ms,
                row.call_us,
                row.event_us,
                row.memory_bytes / 1024.0,
            ));
        }
        text
    }
}

impl Goal {
    fn is_met(&self) -> bool {
        self.is <= self.most
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in self.rows() {
            writeln!(f, "{}", row.measured.release)?;
            for (path, bytes) in row.measured.figures.last().map_or(&[][..], |figures| &figures.files) {
                writeln!(f, "    {bytes:>8} bytes {path}")?;
            }
        }
        writeln!(f)?;
        let names = [
            "bytes", "beacon", "scripts", "tasks", "a task", "a task", "longest", "call", "event", "memory", "at once",
        ];
        let units = ["brotli", "ms", "ms", "ms", "ms", "slow ms", "slow ms", "us", "us", "KB", "out/idle"];
        for words in [names, units] {
            write!(f, "{:<34}", "")?;
            words.iter().try_for_each(|word| write!(f, "{word:>9}"))?;
            writeln!(f)?;
        }
        for row in self.rows() {
            let (outside, idle) = row.measured.forced;
            write!(f, "{:<34}{:>9}{:>9.1}", row.measured.release, row.wire_bytes, row.first_beacon_ms)?;
            write!(f, "{:>9.2}{:>9.2}{:>9.2}{:>9.1}", row.script_ms, row.tasks_ms, row.task_ms, row.own_task_ms)?;
            write!(f, "{:>9.1}{:>9.2}{:>9.1}", row.longest_task_ms, row.call_us, row.event_us)?;
            writeln!(f, "{:>9.0}{:>9}", row.memory_bytes / 1024.0, format!("{outside}/{idle}"))?;
        }
        writeln!(f)?;
        for goal in self.goals() {
            let verdict = if goal.is_met() { "met" } else { "MISSED" };
            let Goal { what, is, most, unit } = goal;
            writeln!(f, "{what:<48}{is:>9.2} {unit:<6} at most {most:>6.1}  {verdict}")?;
        }
        Ok(())
    }
}
