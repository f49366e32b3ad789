//! What is measured: our tag, those of others, and none.

use crate::stand::{Answer, Stand};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tests::npm;

/// The tag on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The page alone.
    Nothing,
    Segments,
    Plausible,
    Segment,
    PostHog,
}

impl Subject {
    pub(crate) const ALL: [Subject; 5] =
        [Subject::Nothing, Subject::Segments, Subject::Plausible, Subject::Segment, Subject::PostHog];

    /// The npm package, or what we call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Subject::Nothing => "no script",
            Subject::Segments => "Segments",
            Subject::Plausible => "@plausible-analytics/tracker",
            Subject::Segment => "@segment/analytics-next",
            Subject::PostHog => "posthog-js",
        }
    }

    /// The name with the version that is installed.
    pub(crate) fn release(self) -> Result<String> {
        if !self.is_peer() {
            return Ok(self.name().to_owned());
        }
        let manifest: Value = serde_json::from_str(&npm::file(&format!("{}/package.json", self.name())))?;
        let version = manifest["version"].as_str().with_context(|| format!("{} has no version", self.name()))?;
        Ok(format!("{} {version}", self.name()))
    }

    /// The path of the page that carries it, also the name of its files.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Subject::Nothing => "nothing",
            Subject::Segments => "segments",
            Subject::Plausible => "plausible",
            Subject::Segment => "segment",
            Subject::PostHog => "posthog",
        }
    }

    fn is_peer(self) -> bool {
        match self {
            Subject::Plausible | Subject::Segment | Subject::PostHog => true,
            Subject::Nothing | Subject::Segments => false,
        }
    }

    /// The tag as it stands in the page's head.
    pub(crate) fn tag(self, stand: &Stand, write_key: &str) -> String {
        match self {
            Subject::Nothing => String::new(),
            // Consent `full` is what the others do: a visitor that is kept in the browser.
            Subject::Segments => format!(
                "<script async src=\"{}/t.js\" data-site=\"{write_key}\" data-consent=\"full\"></script>",
                stand.origin()
            ),
            Subject::Plausible | Subject::Segment | Subject::PostHog => {
                format!("<script async src=\"{}{}\"></script>", stand.origin(), self.script())
            }
        }
    }

    /// The path of the tag's script.
    pub(crate) fn script(self) -> String {
        if self == Subject::Segments { "/t.js".to_owned() } else { format!("/{}.js", self.word()) }
    }

    /// Whether a request carries events, and not settings or the tag's own health.
    pub(crate) fn is_beacon(self, method: &str, target: &str) -> bool {
        let paths: &[&str] = match self {
            Subject::Nothing => &[],
            Subject::Segments => &["/v1/events"],
            Subject::Plausible => &["/api/event"],
            Subject::Segment => &["/v1/p", "/v1/t", "/v1/b"],
            Subject::PostHog => &["/e/", "/i/v0/e/"],
        };
        method == "POST" && paths.contains(&target.split('?').next().unwrap_or_default())
    }

    /// The call of an event in the page, as a function of its number.
    pub(crate) fn call(self) -> &'static str {
        match self {
            Subject::Nothing => "() => {}",
            Subject::Segments => "(n) => segments.track('Bench', { n, plan: 'pro', total: 42.5 })",
            Subject::Plausible => "(n) => peer('Bench', { props: { n, plan: 'pro', total: 42.5 } })",
            Subject::Segment => "(n) => peer.track('Bench', { n, plan: 'pro', total: 42.5 })",
            Subject::PostHog => "(n) => peer.capture('Bench', { n, plan: 'pro', total: 42.5 })",
        }
    }

    /// What a site that uses the package writes, each with its own defaults but for these:
    ///
    /// - Plausible: links out, downloads and forms are seen, as ours always sees them; it works on this machine's address.
    /// - Segment: its settings and its API are at the stand.
    /// - PostHog: its API is at the stand; it works in a browser that is driven, and does not drop what is called for
    ///   more than ten times a second.
    ///
    /// Recording, surveys and the like are left to what the services answer: nothing that a new project does not have.
    fn source(self, stand: &Stand) -> String {
        let origin = stand.origin();
        match self {
            Subject::Nothing | Subject::Segments => String::new(),
            Subject::Plausible => format!(
                "import {{ init, track }} from '@plausible-analytics/tracker';
                init({{ domain: 'shop.example', endpoint: '{origin}/api/event', captureOnLocalhost: true,
                    outboundLinks: true, fileDownloads: true, formSubmissions: true }});
                window.peer = track;"
            ),
            Subject::Segment => {
                let host = origin.trim_start_matches("http://");
                format!(
                    "import {{ AnalyticsBrowser }} from '@segment/analytics-next';
                    window.peer = AnalyticsBrowser.load({{ writeKey: 'key', cdnURL: '{origin}' }},
                        {{ integrations: {{ 'Segment.io': {{ apiHost: '{host}/v1', protocol: 'http' }} }} }});
                    window.peer.page();"
                )
            }
            Subject::PostHog => format!(
                "import posthog from 'posthog-js';
                posthog.init('key', {{ api_host: '{origin}', opt_out_useragent_filter: true,
                    rate_limiting: {{ events_per_second: 1e4, events_burst_limit: 1e5 }} }});
                window.peer = posthog;"
            ),
        }
    }
}

/// Bundles the peers as their sites do and gives the stand what their services answer. `work` is a folder for what is
/// made on the way.
pub(crate) fn prepare(stand: &Stand, work: &Path) -> Result<()> {
    for subject in Subject::ALL.into_iter().filter(|subject| subject.is_peer()) {
        let bundle = bundle(subject, &subject.source(stand), work)?;
        stand.answers(&subject.script(), Answer::file("text/javascript", &bundle)?);
    }
    let json = "application/json";
    stand.answers("/api/event", Answer::told(202, "text/plain", "ok"));
    for path in ["/v1/p", "/v1/t", "/v1/m"] {
        stand.answers(path, Answer::told(200, json, r#"{"success":true}"#));
    }
    let settings = json!({
        "integrations": { "Segment.io": { "apiKey": "key", "unbundledIntegrations": [], "versionSettings": {} } },
        "plan": { "track": { "__default": { "enabled": true, "integrations": {} } } },
    });
    stand.answers("/v1/projects/key/settings", Answer::file(json, settings.to_string().as_bytes())?);
    let config = json!({
        "token": "key", "supportedCompression": ["gzip", "gzip-js"], "hasFeatureFlags": false,
        "captureDeadClicks": false, "capturePerformance": false, "autocapture_opt_out": false,
        "autocaptureExceptions": false, "analytics": { "endpoint": "/i/v0/e/" }, "elementsChainAsString": true,
        "sessionRecording": false, "heatmaps": false, "surveys": false, "defaultIdentifiedOnly": true, "siteApps": [],
    });
    let script = format!("(function(){{window._POSTHOG_REMOTE_CONFIG={{key:{{config:{config},siteApps:[]}}}}}})()");
    stand.answers("/array/key/config.js", Answer::file("text/javascript", script.as_bytes())?);
    stand.answers("/array/key/config", Answer::file(json, config.to_string().as_bytes())?);
    stand.answers("/flags/", Answer::told(200, json, r#"{"flags":{},"errorsWhileComputingFlags":false}"#));
    for path in ["/e/", "/i/v0/e/"] {
        stand.answers(path, Answer::told(200, json, r#"{"status":"Ok"}"#));
    }
    Ok(())
}

/// The package and those few lines as one minified script, by esbuild.
fn bundle(subject: Subject, source: &str, work: &Path) -> Result<Vec<u8>> {
    let packages = npm::folder().join("node_modules");
    let entry = work.join(format!("{}-entry.js", subject.word()));
    let bundle = work.join(format!("{}.js", subject.word()));
    std::fs::write(&entry, source).with_context(|| format!("cannot write {}", entry.display()))?;
    let esbuild = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/npm/node_modules/.bin/esbuild");
    let output = Command::new(&esbuild)
        .arg(&entry)
        .args(["--bundle", "--minify", "--format=iife", "--target=es2020", "--charset=utf8"])
        .args(["--legal-comments=none", "--log-level=warning"])
        .arg(format!("--outfile={}", bundle.display()))
        // The entry does not lie beside the packages.
        .env("NODE_PATH", &packages)
        .output()
        .with_context(|| format!("cannot run {}; `cargo xtask assets` installs it", esbuild.display()))?;
    ensure!(output.status.success(), "esbuild: {}: {}", subject.name(), String::from_utf8_lossy(&output.stderr));
    std::fs::read(&bundle).with_context(|| format!("cannot read {}", bundle.display()))
}
