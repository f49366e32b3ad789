//! The dashboard: a pure function from report values to HTML. No IO and no clock, so that whole pages are tested
//! without a server.
//!
//! Pages keep to a Content-Security-Policy without inline script and style; everything that came from visitors is
//! escaped, and none of it is ever an address that can be followed. Forms are plain HTML; htmx and charts are added
//! where scripts run.

mod acquisition;
mod builder;
mod chart;
mod curves;
mod entry;
mod experience;
mod format;
mod imports;
mod in_use;
mod insight;
mod joins;
mod lists;
mod live;
mod matches;
mod overview;
mod past;
mod people;
mod plan;
mod predictions;
mod problem;
mod reference;
mod segment;
mod segments;
mod setup;
mod shell;
mod sources;
mod traits;
mod words;

pub use acquisition::acquisition;
pub use builder::{SegmentForm, Writing, segment_form, segment_preview};
pub use entry::{LoginForm, LoginProblem, WelcomeForm, login, welcome};
pub use experience::experience;
pub use imports::{import, import_progress, imports};
pub use in_use::{segments_archived, segments_in_use, segments_progress};
pub use insight::insight;
pub use joins::{identities, joins};
pub use lists::{ListForm, list_form};
pub use live::{live, live_fragment};
pub use matches::matches;
pub use overview::overview;
pub use past::past;
pub use people::{people, profile};
pub use plan::{PlanForm, plan, plan_event, plan_event_path};
pub use predictions::{predictions, predictions_due};
pub use problem::{Problem, problem, problem_outside};
pub use reference::definitions;
pub use segment::segment;
pub use segments::{CutsForm, members, segments};
pub use setup::{SetupForm, setup, setup_state};
pub use shell::{Assets, Flash, FlashKind, Outside, Shell, SiteLink};
pub use sources::{SourceForm, SourceNotes, has_source_guide, path_part, source, source_arrivals, sources};
pub use traits::{TraitForm, trait_form, trait_preview, traits, traits_progress};

/// Why a page could not be written; it is a defect of ours and never the visitor's fault.
pub use askama::Error as RenderError;

/// A page or a part of one.
pub type Rendered = Result<String, RenderError>;

/// The Content-Security-Policy that every page is written for.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
     font-src 'self'";
