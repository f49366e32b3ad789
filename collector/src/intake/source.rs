//! Where events come from: the keys under which a source's events are marked and its outcomes counted.
//!
//! What everybody has without making it is named here. A source that an owner makes, a webhook or a connector, has a
//! key of its own that begins with its kind and a colon, `shopify:main`.

/// Our own tracker.
pub(crate) const TRACKER: &str = "tracker";
/// SDKs of Segment's HTTP API.
pub(crate) const SEGMENT: &str = "segment";
/// Files that are read by `segments import`.
pub(crate) const IMPORT: &str = "import";
