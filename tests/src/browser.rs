//! A real browser: headless Chromium, and all that a page says on its console.

use crate::cluster::Folder;
use crate::{SOON, until};
use chromiumoxide::Command;
use chromiumoxide::browser::{Browser, BrowserConfig};
use chromiumoxide::cdp::browser_protocol::browser::BrowserContextId;
use chromiumoxide::cdp::browser_protocol::emulation::{MediaFeature, SetDeviceMetricsOverrideParams};
use chromiumoxide::cdp::browser_protocol::io::{CloseParams, ReadParams, StreamHandle};
use chromiumoxide::cdp::browser_protocol::log::{self, EventEntryAdded};
use chromiumoxide::cdp::browser_protocol::network;
use chromiumoxide::cdp::browser_protocol::page::{
    AddScriptToEvaluateOnNewDocumentParams, SetWebLifecycleStateParams, SetWebLifecycleStateState,
};
use chromiumoxide::cdp::browser_protocol::target::{
    CreateBrowserContextParams, CreateTargetParams, DisposeBrowserContextParams,
};
use chromiumoxide::cdp::browser_protocol::tracing::{
    EndParams, EventTracingComplete, StartParams, StartTransferMode, TraceConfig, TraceConfigRecordMode,
};
use chromiumoxide::cdp::js_protocol::runtime::{EvaluateParams, EventConsoleApiCalled, EventExceptionThrown};
use chromiumoxide::error::CdpError;
use futures_util::StreamExt;
use serde_json::Value;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Chromium with a fresh profile; closed when dropped.
pub struct Chromium {
    runtime: Runtime,
    browser: Option<Browser>,
    _profile: Folder,
}

/// A visitor's browser does not say that a program drives it, or it would be taken for a bot.
const AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36";

/// Where Chromium is: `CHROMIUM`, else where Debian has it.
fn program() -> std::path::PathBuf {
    std::env::var_os("CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), Into::into)
}

impl Chromium {
    /// Starts one that runs nothing in the background and talks to this machine only.
    pub fn start() -> Chromium {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the browser's messages");
        let profile = Folder::make();
        let flags = [
            "disable-gpu",
            "disable-quic",
            "no-first-run",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            "disable-dev-shm-usage",
        ];
        let config = BrowserConfig::builder()
            .chrome_executable(program())
            .no_sandbox()
            .new_headless_mode()
            .launch_timeout(3 * SOON)
            .user_data_dir(profile.path())
            .viewport(None)
            .window_size(1280, 900)
            .args(flags)
            .arg(("user-agent", AGENT))
            // Nothing outside this machine is asked for, whatever a page says.
            .arg(("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost"))
            .enable_cache()
            .build()
            .expect("a browser's configuration");
        let browser = runtime.block_on(async {
            let (browser, mut handler) = Browser::launch(config).await.expect("Chromium starts");
            tokio::spawn(async move { while handler.next().await.is_some() {} });
            browser
        });
        Chromium { runtime, browser: Some(browser), _profile: profile }
    }

    /// A new, empty tab.
    pub fn tab(&self) -> Tab<'_> {
        self.opens(CreateTargetParams::new("about:blank"), None)
    }

    /// A tab of somebody who has never been anywhere: storage, cookies and cache are its own, and go with it.
    pub fn newcomer(&self) -> Tab<'_> {
        let made = self.commands(CreateBrowserContextParams::default());
        let own = made.browser_context_id;
        let mut target = CreateTargetParams::new("about:blank");
        target.browser_context_id = Some(own.clone());
        self.opens(target, Some(own))
    }

    fn opens(&self, target: CreateTargetParams, own: Option<BrowserContextId>) -> Tab<'_> {
        let console = Arc::new(Mutex::new(Vec::new()));
        let page = self.runtime.block_on(async {
            let browser = self.browser.as_ref().expect("a browser that runs");
            let page = browser.new_page(target).await.expect("a tab");
            page.execute(log::EnableParams::default()).await.expect("the log");
            let mut entries = page.event_listener::<EventEntryAdded>().await.expect("the log's entries");
            let mut calls = page.event_listener::<EventConsoleApiCalled>().await.expect("the console's calls");
            let mut thrown = page.event_listener::<EventExceptionThrown>().await.expect("exceptions");
            let said = Arc::clone(&console);
            tokio::spawn(async move {
                loop {
                    let line = tokio::select! {
                        Some(entry) = entries.next() => {
                            let url = entry.entry.url.clone().unwrap_or_default();
                            format!("{:?}: {} {url}", entry.entry.level, entry.entry.text)
                        }
                        Some(call) = calls.next() => format!("{:?}: {:?}", call.r#type, call.args),
                        Some(thrown) = thrown.next() => format!("thrown: {:?}", thrown.exception_details),
                        else => return,
                    };
                    said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            });
            page
        });
        Tab { chromium: self, page, console, own }
    }

    fn commands<C: Command>(&self, command: C) -> C::Response {
        let name = command.identifier();
        let browser = self.browser.as_ref().expect("a browser that runs");
        let answer = self.wait(&name, browser.execute(command));
        answer.unwrap_or_else(|error| panic!("{name}: {error}")).result
    }

    fn wait<T>(&self, what: &str, step: impl Future<Output = T>) -> T {
        let limited = async { tokio::time::timeout(3 * SOON, step).await };
        self.runtime.block_on(limited).unwrap_or_else(|_| panic!("waited {:?} for the browser: {what}", 3 * SOON))
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if let Some(mut browser) = self.browser.take() {
            self.runtime.block_on(async {
                let closed = tokio::time::timeout(Duration::from_secs(10), async {
                    let _ = browser.close().await;
                    let _ = browser.wait().await;
                });
                if closed.await.is_err() {
                    let _ = browser.kill().await;
                }
            });
        }
    }
}

/// A tab.
pub struct Tab<'a> {
    chromium: &'a Chromium,
    page: chromiumoxide::Page,
    console: Arc<Mutex<Vec<String>>>,
    /// The storage that is its own.
    own: Option<BrowserContextId>,
}

impl Tab<'_> {
    /// Goes to an address and waits until its page is loaded.
    #[track_caller]
    pub fn goes_to(&self, url: &str) -> &Self {
        self.chromium.wait(url, async {
            self.page.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
            self.page.wait_for_navigation().await.unwrap_or_else(|error| panic!("{url}: {error}"));
        });
        self
    }

    /// Runs this on every page before its own scripts, whatever the page's policy is.
    #[track_caller]
    pub fn before_pages(&self, script: &str) -> &Self {
        self.chromium.wait("the script for every page", async {
            self.page.evaluate_on_new_document(script).await.unwrap_or_else(|error| panic!("{script}: {error}"));
        });
        self
    }

    /// Leaves for an empty page, as if another address had been typed.
    #[track_caller]
    pub fn leaves(&self) -> &Self {
        self.goes_to("about:blank")
    }

    /// The value of an expression; promises are waited for.
    #[track_caller]
    pub fn value(&self, expression: &str) -> Value {
        self.evaluates(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    fn evaluates(&self, expression: &str) -> Result<Value, CdpError> {
        let parameters =
            EvaluateParams::builder().expression(expression).await_promise(true).return_by_value(true).build();
        let parameters = parameters.expect("an expression");
        let result = self.chromium.wait(expression, self.page.evaluate_expression(parameters))?;
        Ok(result.value().cloned().unwrap_or(Value::Null))
    }

    /// Waits until an expression is true; while one page gives way to the next, nothing is.
    #[track_caller]
    pub fn sees(&self, expression: &str) -> &Self {
        let truth = format!("Boolean({expression})");
        until(expression, SOON, || match self.evaluates(&truth) {
            Ok(value) => (value == true).then_some(()),
            Err(CdpError::Chrome(error))
                if error.message.contains("context") || error.message.contains("navigated") =>
            {
                None
            }
            Err(error) => panic!("{expression}: {error}"),
        });
        self
    }

    /// Clicks on an element, as a mouse does.
    #[track_caller]
    pub fn clicks(&self, selector: &str) -> &Self {
        self.sees(&format!("document.querySelector({selector:?})"));
        self.chromium.wait(selector, async {
            let element = self.page.find_element(selector).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
            element.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        });
        self
    }

    /// Types into a field.
    #[track_caller]
    pub fn types(&self, selector: &str, text: &str) -> &Self {
        self.clicks(selector);
        self.chromium.wait(selector, async {
            let element = self.page.find_element(selector).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
            element.type_str(text).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        });
        self
    }

    /// Prefers `light` or `dark`.
    #[track_caller]
    pub fn prefers(&self, scheme: &str) -> &Self {
        let feature = MediaFeature { name: "prefers-color-scheme".to_owned(), value: scheme.to_owned() };
        self.chromium
            .wait("the colour scheme", self.page.emulate_media_features(vec![feature]))
            .expect("the colour scheme is set");
        self
    }

    /// Is as wide as a phone or a screen of so many CSS pixels.
    #[track_caller]
    pub fn is_wide(&self, pixels: i64) -> &Self {
        let metrics = SetDeviceMetricsOverrideParams::new(pixels, 800, 1.0, pixels < 600);
        self.chromium.wait("the width", self.page.execute(metrics)).expect("the width is set");
        self
    }

    /// Has no network, or has it again.
    #[track_caller]
    #[expect(deprecated, reason = "two commands replace it, which older releases of Chromium do not know")]
    pub fn is_offline(&self, offline: bool) -> &Self {
        let conditions = network::EmulateNetworkConditionsParams::builder().offline(offline).latency(0.0);
        let conditions = conditions.download_throughput(-1.0).upload_throughput(-1.0).build().expect("conditions");
        self.chromium.wait("the network", self.page.execute(conditions)).expect("the network is set");
        self
    }

    /// Runs a script before those of every page from now on.
    #[track_caller]
    pub fn runs_before_pages(&self, script: &str) -> &Self {
        let script = AddScriptToEvaluateOnNewDocumentParams::new(script);
        self.chromium.wait("a script", self.page.execute(script)).expect("the script is taken");
        self
    }

    /// Is frozen, as browsers do with tabs that were long in the background, or goes on.
    #[track_caller]
    pub fn is_frozen(&self, frozen: bool) -> &Self {
        let state = if frozen { SetWebLifecycleStateState::Frozen } else { SetWebLifecycleStateState::Active };
        let state = SetWebLifecycleStateParams::new(state);
        self.chromium.wait("the page's state", self.page.execute(state)).expect("the page's state is set");
        self
    }

    /// The cookies that the browser would send to this page's address, also those that scripts cannot read: names and
    /// values.
    #[track_caller]
    pub fn cookies(&self) -> Vec<(String, String)> {
        let cookies = self.chromium.wait("cookies", self.page.get_cookies()).expect("cookies");
        cookies.into_iter().map(|cookie| (cookie.name, cookie.value)).collect()
    }

    /// What has been said on the console so far, by anybody.
    pub fn console(&self) -> Vec<String> {
        self.console.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a command of the DevTools protocol.
    #[track_caller]
    pub fn commands<C: Command>(&self, command: C) -> C::Response {
        let name = command.identifier();
        let answer = self.chromium.wait(&name, self.page.execute(command));
        answer.unwrap_or_else(|error| panic!("{name}: {error}")).result
    }

    /// What the browser's own tracing tells of these categories while something happens: events as the Trace Event
    /// Format has them, times in µs of the system's monotonic clock.
    ///
    /// # Panics
    /// When some of it was lost.
    #[track_caller]
    pub fn traces(&self, categories: &[&str], happens: impl FnOnce()) -> Vec<Value> {
        let mut done = self
            .chromium
            .wait("tracing", self.page.event_listener::<EventTracingComplete>())
            .expect("the end of tracing is told");
        let config = TraceConfig {
            record_mode: Some(TraceConfigRecordMode::RecordAsMuchAsPossible),
            included_categories: Some(categories.iter().map(|name| (*name).to_owned()).collect()),
            excluded_categories: Some(vec!["*".to_owned()]),
            ..TraceConfig::default()
        };
        let start = StartParams::builder().trace_config(config).transfer_mode(StartTransferMode::ReturnAsStream);
        self.commands(start.build());
        happens();
        self.commands(EndParams::default());
        let end = self.chromium.wait("the end of tracing", done.next()).expect("the browser runs");
        assert!(!end.data_loss_occurred, "some of the trace is lost");
        let text = self.streams(end.stream.clone().expect("the trace as a stream"));
        let mut trace: Value = serde_json::from_str(&text).expect("a trace");
        match trace["traceEvents"].take() {
            Value::Array(events) => events,
            other => panic!("no events in the trace: {other}"),
        }
    }

    /// All of a stream, which is text.
    #[track_caller]
    fn streams(&self, handle: StreamHandle) -> String {
        let mut text = String::new();
        loop {
            let part = self.commands(ReadParams::new(handle.clone()));
            assert!(part.base64_encoded != Some(true), "text is not encoded");
            text.push_str(&part.data);
            if part.eof {
                self.commands(CloseParams::new(handle));
                return text;
            }
        }
    }

    /// Closes it.
    pub fn closes(self) {
        self.chromium.wait("the tab closes", self.page.close()).expect("the tab closes");
        if let Some(own) = self.own {
            self.chromium.commands(DisposeBrowserContextParams::new(own));
        }
    }
}
