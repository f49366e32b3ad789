//! Why somebody entered a segment or left it.

use serde::Serialize;

/// Why somebody was asked, and so why they entered or left; the numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(i16)]
pub enum Cause {
    /// They did something, or something was said of them.
    Event = 1,
    /// Time has passed.
    Time = 2,
    /// The segment's rule is new.
    Rule = 3,
    /// The site's own values have changed: limits, scales, predictions, another segment.
    Model = 4,
    /// They became one with somebody else.
    Merge = 5,
    /// Somebody put them into a list or took them out.
    List = 6,
    /// What was stored was found to be wrong.
    Mended = 7,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 7] =
        [Cause::Event, Cause::Time, Cause::Rule, Cause::Model, Cause::Merge, Cause::List, Cause::Mended];

    /// Reads the stored number.
    pub fn from_code(code: i16) -> Option<Cause> {
        Cause::ALL.into_iter().find(|cause| *cause as i16 == code)
    }

    /// The name for machines.
    pub fn key(self) -> &'static str {
        match self {
            Cause::Event => "event",
            Cause::Time => "time",
            Cause::Rule => "rule",
            Cause::Model => "model",
            Cause::Merge => "merge",
            Cause::List => "list",
            Cause::Mended => "mended",
        }
    }

    /// The same for people, after “because”.
    pub fn words(self) -> &'static str {
        match self {
            Cause::Event => "of what they did",
            Cause::Time => "time has passed",
            Cause::Rule => "the segment’s rule is new",
            Cause::Model => "the site’s own values have changed",
            Cause::Merge => "two profiles became one",
            Cause::List => "somebody changed the list",
            Cause::Mended => "what was stored has been corrected",
        }
    }
}
