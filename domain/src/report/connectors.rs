//! How connectors stand: sources that are asked rather than listened to.

use jiff::Timestamp;

/// Whether a connector can go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectorState {
    /// It reads when its time has come.
    Ready,
    /// The other side refuses the key; nothing is asked until the owner gives another one.
    NeedsKey,
}

impl ConnectorState {
    /// The word that programs read.
    pub fn key(self) -> &'static str {
        match self {
            ConnectorState::Ready => "ready",
            ConnectorState::NeedsKey => "needs_key",
        }
    }

    /// In words for people.
    pub fn label(self) -> &'static str {
        match self {
            ConnectorState::Ready => "ready",
            ConnectorState::NeedsKey => "needs a new key",
        }
    }
}

/// How one connector stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorReport {
    /// The source's key, `shopify-admin:main-shop`.
    pub key: String,
    /// Whether it goes on by itself.
    pub state: ConnectorState,
    /// When it reads next; of no meaning while it needs a key.
    pub next_at: Timestamp,
    /// When it last asked.
    pub last_at: Option<Timestamp>,
    /// When it last had read everything there was.
    pub last_ok_at: Option<Timestamp>,
    /// What went wrong last, in a sentence; `None` while all is well.
    pub last_error: Option<String>,
    /// Pages read so far.
    pub pages: u64,
    /// Rows and messages read so far, those that were known already among them.
    pub rows: u64,
}
