//! What a browser's trace says of the page's main thread.
//!
//! Times are of the thread's own processor time where not said otherwise: it stands still while the thread waits for
//! another program, so that a busy machine does not look like a slow script. Under throttling the browser spends the
//! added time on the same thread, and it counts.

use serde_json::Value;

/// The categories that are needed for all this.
pub(crate) const CATEGORIES: [&str; 5] =
    ["__metadata", "devtools.timeline", "disabled-by-default-devtools.timeline", "toplevel", "v8"];
/// With it, layout and style work says which scripts asked for it.
pub(crate) const STACKS: &str = "disabled-by-default-devtools.timeline.stack";

/// Slices in which scripts are compiled, run, or tidied up after.
const SCRIPT: [&str; 13] = [
    "EvaluateScript",
    "v8.compile",
    "v8.compileModule",
    "v8.evaluateModule",
    "FunctionCall",
    "TimerFire",
    "FireIdleCallback",
    "FireAnimationFrame",
    "EventDispatch",
    "BlinkScheduler_PerformMicrotaskCheckpoint",
    "MinorGC",
    "MajorGC",
    "v8.wasm.compileDecodeModule",
];

/// A slice of the main thread: from the monotonic clock's `start_us` to its `end_us`, with so much processor time.
#[derive(Clone, Debug)]
struct Slice<'a> {
    name: &'a str,
    start_us: f64,
    end_us: f64,
    cpu_ms: f64,
    arguments: &'a Value,
}

/// A thread, as its slices.
pub(crate) struct MainThread<'a> {
    /// In the order in which they began, the outer before the inner.
    slices: Vec<Slice<'a>>,
}

/// A thread as the trace numbers them: process and thread.
pub(crate) type Thread = (u64, u64);

/// The thread that runs the scripts of the page with this address: the main thread of the process that committed it.
/// `None` when no process did while it was traced.
pub(crate) fn main_thread(events: &[Value], page: &str) -> Option<Thread> {
    let committed = events
        .iter()
        .find(|event| event["name"] == "CommitLoad" && event["args"]["data"]["url"].as_str() == Some(page));
    committed.and_then(thread)
}

impl<'a> MainThread<'a> {
    /// What a trace has of a thread.
    pub(crate) fn of(events: &'a [Value], main: Thread) -> MainThread<'a> {
        let mut slices: Vec<Slice<'_>> = events
            .iter()
            .filter(|event| event["ph"] == "X" && thread(event) == Some(main))
            .filter_map(|event| {
                let start_us = event["ts"].as_f64()?;
                Some(Slice {
                    name: event["name"].as_str()?,
                    start_us,
                    end_us: start_us + event["dur"].as_f64().unwrap_or(0.0),
                    // Slices of less than a microsecond have none.
                    cpu_ms: event["tdur"].as_f64().unwrap_or(0.0) / 1e3,
                    arguments: &event["args"],
                })
            })
            .collect();
        slices.sort_by(|one, other| one.start_us.total_cmp(&other.start_us).then(other.end_us.total_cmp(&one.end_us)));
        MainThread { slices }
    }

    /// When a script began to run for the first time; µs of the monotonic clock.
    pub(crate) fn began(&self, script: &str) -> Option<f64> {
        self.slices.iter().find(|slice| slice.runs(script)).map(|slice| slice.start_us)
    }

    /// ms of all tasks.
    pub(crate) fn tasks_ms(&self) -> f64 {
        self.tasks().map(|task| task.cpu_ms).sum()
    }

    /// ms of compiling, running and tidying up after scripts.
    pub(crate) fn script_ms(&self) -> f64 {
        outermost(self.slices.iter().filter(|slice| SCRIPT.contains(&slice.name))).map(|slice| slice.cpu_ms).sum()
    }

    /// ms of the longest task.
    pub(crate) fn longest_ms(&self) -> f64 {
        self.tasks().map(|task| task.cpu_ms).fold(0.0, f64::max)
    }

    /// ms of scripts in the task that has most of them, without those that stand in `page` itself.
    pub(crate) fn longest_script_ms(&self, page: &str) -> f64 {
        let own: Vec<&Slice<'_>> = self.slices.iter().filter(|slice| slice.runs(page)).collect();
        let scripts = self.slices.iter().filter(|slice| SCRIPT.contains(&slice.name));
        let scripts: Vec<_> = outermost(scripts).filter(|slice| !own.iter().any(|own| slice.has(own))).collect();
        let in_task =
            |task: &Slice<'_>| scripts.iter().filter(|slice| task.has(slice)).map(|slice| slice.cpu_ms).sum::<f64>();
        self.tasks().map(in_task).fold(0.0, f64::max)
    }

    /// How often a script of `origin` made the page compute style or layout at once: outside idle time, and inside.
    pub(crate) fn forced(&self, origin: &str) -> (usize, usize) {
        let idle: Vec<_> = self.slices.iter().filter(|slice| slice.name == "FireIdleCallback").collect();
        let forced = self.slices.iter().filter(|slice| {
            matches!(slice.name, "Layout" | "UpdateLayoutTree") && stack_of(slice).any(|url| url.starts_with(origin))
        });
        let (inside, outside): (Vec<_>, Vec<_>) = forced.partition(|slice| idle.iter().any(|idle| idle.has(slice)));
        (outside.len(), inside.len())
    }

    fn tasks(&self) -> impl Iterator<Item = &Slice<'a>> {
        outermost(self.slices.iter().filter(|slice| slice.name == "RunTask"))
    }
}

impl Slice<'_> {
    /// Whether it is the run of a whole script, from its first line on.
    fn runs(&self, script: &str) -> bool {
        self.name == "EvaluateScript" && self.arguments["data"]["url"].as_str() == Some(script)
    }

    fn has(&self, inner: &Slice<'_>) -> bool {
        (self.start_us..self.end_us).contains(&inner.start_us)
    }
}

/// Those that are in no other one; the others are part of it.
fn outermost<'s, 'a: 's>(slices: impl Iterator<Item = &'s Slice<'a>>) -> impl Iterator<Item = &'s Slice<'a>> {
    let mut until_us = 0.0;
    slices.filter(move |slice| {
        let is_outer = slice.start_us >= until_us;
        if is_outer {
            until_us = slice.end_us;
        }
        is_outer
    })
}

/// The addresses of the scripts that were running when style or layout was computed.
fn stack_of<'a>(slice: &Slice<'a>) -> impl Iterator<Item = &'a str> {
    let arguments = slice.arguments;
    let stacks = [&arguments["beginData"]["stackTrace"], &arguments["data"]["stackTrace"]];
    let frames = stacks.into_iter().filter_map(Value::as_array).flatten();
    frames.filter_map(|frame| frame["url"].as_str())
}

fn thread(event: &Value) -> Option<Thread> {
    Some((event["pid"].as_u64()?, event["tid"].as_u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PAGE: &str = "http://shop.example/";
    const TAG: &str = "http://stand.example/t.js";

    /// A slice of the thread 1 of process 1 that took half as much processor time as went by.
    fn slice(name: &str, start_us: u64, length_us: u64, arguments: Value) -> Value {
        let cpu_us = length_us / 2;
        json!({ "ph": "X", "pid": 1, "tid": 1, "name": name, "ts": start_us, "dur": length_us, "tdur": cpu_us,
            "args": arguments })
    }

    fn script(url: &str) -> Value {
        json!({ "data": { "url": url } })
    }

    #[test]
    fn what_is_inside_another_slice_is_counted_once() {
        let events = [
            slice("RunTask", 0, 10_000, json!({})),
            slice("RunTask", 1_000, 4_000, json!({})),
            slice("EvaluateScript", 1_000, 4_000, script(TAG)),
            slice("FunctionCall", 2_000, 2_000, script(TAG)),
            slice("FunctionCall", 6_000, 2_000, script(TAG)),
            slice("RunTask", 20_000, 2_000, json!({})),
        ];
        let main = MainThread::of(&events, (1, 1));
        assert_eq!((main.tasks_ms(), main.script_ms(), main.longest_ms()), (6.0, 3.0, 5.0));
        assert_eq!(main.longest_script_ms(PAGE), 3.0);
        assert_eq!(main.began(TAG), Some(1_000.0));
    }

    #[test]
    fn the_pages_own_scripts_are_not_the_tags() {
        let events = [
            slice("RunTask", 0, 10_000, json!({})),
            slice("EvaluateScript", 0, 8_000, script(PAGE)),
            slice("RunTask", 10_000, 4_000, json!({})),
            slice("EvaluateScript", 10_000, 2_000, script(TAG)),
        ];
        let main = MainThread::of(&events, (1, 1));
        assert_eq!((main.longest_ms(), main.longest_script_ms(PAGE)), (5.0, 1.0));
    }

    #[test]
    fn the_thread_is_the_one_that_committed_the_page() {
        let elsewhere = json!({ "name": "CommitLoad", "pid": 7, "tid": 7, "args": script("about:blank") });
        let here = json!({ "name": "CommitLoad", "pid": 1, "tid": 1, "args": script(PAGE) });
        assert_eq!(main_thread(&[elsewhere.clone(), here], PAGE), Some((1, 1)));
        assert_eq!(main_thread(&[elsewhere], PAGE), None);
    }

    #[test]
    fn layout_at_once_in_idle_time_is_told_apart() {
        let by = |url: &str| json!({ "beginData": { "stackTrace": [{ "url": url }] } });
        let events = [
            slice("Layout", 0, 100, by(TAG)),
            slice("UpdateLayoutTree", 200, 100, by(PAGE)),
            slice("Layout", 400, 100, json!({ "beginData": {} })),
            slice("FireIdleCallback", 1_000, 500, json!({})),
            slice("UpdateLayoutTree", 1_100, 100, by(TAG)),
        ];
        assert_eq!(MainThread::of(&events, (1, 1)).forced("http://stand.example"), (1, 1));
    }
}
