//! A real browser: headless Chromium, and all that a page says on its console.

use crate::cluster::Folder;
use crate::{SOON, until};
use chromiumoxide::browser::{Browser, BrowserConfig};
use chromiumoxide::cdp::browser_protocol::emulation::{MediaFeature, SetDeviceMetricsOverrideParams};
use chromiumoxide::cdp::browser_protocol::log::{self, EventEntryAdded};
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
        let console = Arc::new(Mutex::new(Vec::new()));
        let page = self.runtime.block_on(async {
            let browser = self.browser.as_ref().expect("a browser that runs");
            let page = browser.new_page("about:blank").await.expect("a tab");
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
        Tab { chromium: self, page, console }
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
            Err(CdpError::Chrome(error)) if error.message.contains("context") => None,
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

    /// Closes it.
    pub fn closes(self) {
        self.chromium.wait("the tab closes", self.page.close()).expect("the tab closes");
    }
}
