//! The `segments` server: intake, store, projector, jobs and pages beside PostgreSQL.

pub mod analysis;
pub mod cli;
pub mod demo;
pub mod http;
pub mod import;
mod insight;
pub mod intake;
mod matching;
mod model;
pub mod postgres;
mod projector;
mod pull;
mod secrets;
mod segments;
pub mod serve;
pub mod store;
mod traits;
