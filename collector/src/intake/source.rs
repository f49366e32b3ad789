//! Where events come from: the keys under which a source's events are marked and its outcomes counted.
//!
//! What everybody has without making it is named here. A source that an owner makes, a webhook or a connector, has a
//! key of its own that begins with its kind and a colon, `shopify:main`.

/// Our own tracker.
pub(crate) const TRACKER: &str = "tracker";
/// SDKs of Segment's HTTP API.
pub(crate) const SEGMENT: &str = "segment";
/// SDKs of RudderStack.
pub(crate) const RUDDERSTACK: &str = "rudderstack";
/// SDKs of PostHog.
pub(crate) const POSTHOG: &str = "posthog";
/// Trackers of Snowplow.
pub(crate) const SNOWPLOW: &str = "snowplow";
/// Plausible's script and events API.
pub(crate) const PLAUSIBLE: &str = "plausible";
/// Umami's script and client.
pub(crate) const UMAMI: &str = "umami";
/// Matomo's tracking API.
pub(crate) const MATOMO: &str = "matomo";
/// Google Analytics' measurement protocol.
pub(crate) const GA4: &str = "ga4";
/// The picture for places without scripts.
pub(crate) const PIXEL: &str = "pixel";
/// Pixels and links of newsletters, made by this server.
pub(crate) const NEWSLETTER: &str = "newsletter";
/// Files that are read by `segments import`.
pub(crate) const IMPORT: &str = "import";
