//! Visits of newcomers to a page with one of the tags.

use crate::stand::{Arrival, Stand};
use crate::subjects::Subject;
use crate::trace::{CATEGORIES, MainThread, STACKS, Thread, main_thread};
use anyhow::{Context as _, Result, ensure};
use chromiumoxide::cdp::browser_protocol::emulation::SetCpuThrottlingRateParams;
use chromiumoxide::cdp::browser_protocol::performance;
use chromiumoxide::cdp::js_protocol::heap_profiler::CollectGarbageParams;
use chromiumoxide::cdp::js_protocol::runtime::{
    CallFunctionOnParams, EvaluateParams, QueryObjectsParams, RemoteObjectId,
};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs::File;
use std::io::{BufWriter, Read as _};
use std::path::Path;
use std::time::Duration;
use tests::browser::{Chromium, Tab};
use tests::{SOON, until};

/// How long a page is watched after it has loaded.
const WATCHED: Duration = Duration::from_secs(5);
/// The calls of one visit: groups of so many, with so many ms between them, as a busy page might make them. Slow enough
/// that no queue runs over, ours having room for 200 events.
pub(crate) const CALLS: usize = 1_000;
const GROUP: usize = 10;
const PAUSE_MS: usize = 40;
/// The name of the event that is called for.
const EVENT: &[u8] = b"Bench";
/// How much slower a slow device is.
pub(crate) const SLOWER: f64 = 4.0;

/// What is measured of one visit on a fast device.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// Files that the tag loaded: paths and bytes with brotli.
    pub(crate) files: Vec<(String, usize)>,
    /// From the first line of the tag's script to the arrival of its first post with events; none for no tag.
    pub(crate) first_beacon_ms: Option<f64>,
    /// Scripts on the main thread until [`WATCHED`] has passed.
    pub(crate) script_ms: f64,
    /// What one task has of scripts that are not the page's own, at most.
    pub(crate) task_ms: f64,
    /// All tasks of the main thread in that time.
    pub(crate) tasks_ms: f64,
    /// Live JavaScript objects after a collection, in bytes.
    pub(crate) heap_bytes: f64,
    /// All WebAssembly memories, in bytes.
    pub(crate) wasm_bytes: f64,
    /// From the call of an event to its return.
    pub(crate) call_us: f64,
    /// All tasks of the main thread while events were called for and delivered, each event's share.
    pub(crate) event_us: f64,
}

/// What is measured of one visit on a slow device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slow {
    /// The longest task.
    pub(crate) longest_ms: f64,
    /// As [`Figures::task_ms`].
    pub(crate) own_ms: f64,
}

/// Where visits go.
pub(crate) struct Place<'a> {
    pub(crate) chromium: &'a Chromium,
    pub(crate) stand: &'a Stand,
    pub(crate) subject: Subject,
    /// The page's address.
    pub(crate) url: String,
    /// A page of the same site without a tag, where all come from: the browser has a process for the site by then.
    pub(crate) before: String,
    /// Where the traces of visits are kept.
    pub(crate) traces: Option<&'a Path>,
}

impl Place<'_> {
    /// Loads the page, watches it, weighs it, and calls for events.
    pub(crate) fn visit(&self) -> Result<Figures> {
        let tab = self.comes();
        self.stand.takes_arrivals();
        let trace = tab.traces(&CATEGORIES, || {
            tab.goes_to(&self.url);
            std::thread::sleep(WATCHED);
        });
        let arrivals = self.stand.takes_arrivals();
        self.keep("fast", &trace)?;
        let thread = self.thread(&trace)?;
        let main = MainThread::of(&trace, thread);
        let mut figures = Figures {
            files: files(&arrivals),
            first_beacon_ms: self.first_beacon_ms(&main, &arrivals)?,
            script_ms: main.script_ms(),
            task_ms: main.longest_script_ms(&self.url),
            tasks_ms: main.tasks_ms(),
            heap_bytes: heap_bytes(&tab)?,
            wasm_bytes: wasm_bytes(&tab)?,
            call_us: 0.0,
            event_us: 0.0,
        };
        self.call(&tab, thread, &mut figures)?;
        tab.leaves();
        tab.closes();
        Ok(figures)
    }

    /// Loads the page on a device that is [`SLOWER`].
    pub(crate) fn visit_slowly(&self) -> Result<Slow> {
        let tab = self.comes();
        tab.commands(SetCpuThrottlingRateParams::new(SLOWER));
        let trace = tab.traces(&CATEGORIES, || {
            tab.goes_to(&self.url);
            std::thread::sleep(WATCHED);
        });
        tab.leaves();
        tab.closes();
        self.keep("slow", &trace)?;
        let main = MainThread::of(&trace, self.thread(&trace)?);
        Ok(Slow { longest_ms: main.longest_ms(), own_ms: main.longest_script_ms(&self.url) })
    }

    /// Does what visitors do on a page whose layout is never up to date; gives how often the tag made the browser compute
    /// it at once: outside idle time, and inside.
    pub(crate) fn visit_restless(&self) -> Result<(usize, usize)> {
        let tab = self.comes();
        let mut categories = CATEGORIES.to_vec();
        categories.push(STACKS);
        let trace = tab.traces(&categories, || {
            tab.goes_to(&self.url);
            std::thread::sleep(WATCHED / 5);
            tab.clicks("h2").types("#name", "Mia").clicks("#away").clicks("button");
            tab.value("scrollTo(0, 900); getSelection().selectAllChildren(document.querySelector('p'))");
            tab.value("document.execCommand('copy'); history.pushState({}, '', location.pathname + '/further')");
            std::thread::sleep(WATCHED / 5);
            tab.leaves();
        });
        tab.closes();
        self.keep("restless", &trace)?;
        let main = MainThread::of(&trace, self.thread(&trace)?);
        Ok(main.forced(&self.stand.origin()))
    }

    fn comes(&self) -> Tab<'_> {
        let tab = self.chromium.newcomer();
        tab.goes_to(&self.before);
        tab
    }

    fn keep(&self, visit: &str, trace: &[Value]) -> Result<()> {
        let Some(folder) = self.traces else { return Ok(()) };
        let path = folder.join(format!("{}-{visit}.json", self.subject.word()));
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        serde_json::to_writer(BufWriter::new(file), trace).with_context(|| format!("cannot write {}", path.display()))
    }

    fn thread(&self, trace: &[Value]) -> Result<Thread> {
        main_thread(trace, &self.url).with_context(|| format!("{} is not in the trace", self.url))
    }

    fn first_beacon_ms(&self, main: &MainThread<'_>, arrivals: &[Arrival]) -> Result<Option<f64>> {
        if self.subject == Subject::Nothing {
            return Ok(None);
        }
        let script = format!("{}{}", self.stand.origin(), self.subject.script());
        let began_us = main.began(&script).with_context(|| format!("{script} did not run"))?;
        let beacon = arrivals.iter().find(|arrival| self.subject.is_beacon(&arrival.method, &arrival.target));
        let beacon = beacon.with_context(|| format!("{} told of nothing", self.subject.name()))?;
        Ok(Some((beacon.at_us as f64 - began_us) / 1e3))
    }

    /// Calls for events and waits until they have arrived.
    fn call(&self, tab: &Tab<'_>, thread: Thread, figures: &mut Figures) -> Result<()> {
        let mut arrived = 0;
        let trace = tab.traces(&CATEGORIES, || {
            let took = tab.value(&format!(
                "(async () => {{
                    const call = {};
                    let spent = 0;
                    for (let n = 0; n < {CALLS}; n += {GROUP}) {{
                        const start = performance.now();
                        for (let i = n; i < n + {GROUP}; i++) call(i);
                        spent += performance.now() - start;
                        await new Promise((later) => setTimeout(later, {PAUSE_MS}));
                    }}
                    return spent * 1000 / {CALLS};
                }})()",
                self.subject.call()
            ));
            figures.call_us = took.as_f64().unwrap_or(f64::NAN);
            // The same time for all, and longer than anybody gathers events.
            std::thread::sleep(WATCHED);
            if self.subject != Subject::Nothing {
                until("all events to arrive", SOON, || {
                    let arrivals = self.stand.takes_arrivals();
                    arrived += arrivals.iter().map(|arrival| count(&arrival.body)).sum::<usize>();
                    (arrived >= CALLS).then_some(())
                });
            }
        });
        self.keep("calls", &trace)?;
        let wanted = if self.subject == Subject::Nothing { 0 } else { CALLS };
        ensure!(arrived == wanted, "{}: {arrived} of {CALLS} events arrived", self.subject.name());
        figures.event_us = MainThread::of(&trace, thread).tasks_ms() * 1e3 / CALLS as f64;
        Ok(())
    }
}

/// The files among what was asked for, each once.
fn files(arrivals: &[Arrival]) -> Vec<(String, usize)> {
    let mut files: Vec<(String, usize)> = Vec::new();
    for arrival in arrivals.iter().filter(|arrival| arrival.method == "GET") {
        let path = arrival.target.split('?').next().unwrap_or_default();
        if !files.iter().any(|(known, _)| known == path) {
            files.push((path.to_owned(), arrival.answer_bytes));
        }
    }
    files
}

/// How many of the events a post carries, whether it is compressed or not.
fn count(body: &[u8]) -> usize {
    let mut plain = Vec::new();
    if GzDecoder::new(body).read_to_end(&mut plain).is_err() {
        plain = body.to_vec();
    }
    plain.windows(EVENT.len()).filter(|window| *window == EVENT).count()
}

fn heap_bytes(tab: &Tab<'_>) -> Result<f64> {
    tab.commands(CollectGarbageParams::default());
    tab.commands(performance::EnableParams::default());
    let metrics = tab.commands(performance::GetMetricsParams::default()).metrics;
    tab.commands(performance::DisableParams::default());
    let used = metrics.iter().find(|metric| metric.name == "JSHeapUsedSize");
    Ok(used.context("the browser does not tell the size of its heap")?.value)
}

/// The sum of all WebAssembly memories, whoever holds them.
fn wasm_bytes(tab: &Tab<'_>) -> Result<f64> {
    let prototype = tab.commands(EvaluateParams::new("WebAssembly.Memory.prototype")).result.object_id;
    let prototype: RemoteObjectId = prototype.context("no WebAssembly in this browser")?;
    let memories = tab.commands(QueryObjectsParams::new(prototype)).objects.object_id;
    let sum = CallFunctionOnParams::builder()
        .function_declaration("function () { return this.reduce((sum, memory) => sum + memory.buffer.byteLength, 0); }")
        .object_id(memories.context("no list of memories")?)
        .return_by_value(true)
        .build()
        .map_err(anyhow::Error::msg)?;
    tab.commands(sum).result.value.and_then(|value| value.as_f64()).context("memories have no size")
}
