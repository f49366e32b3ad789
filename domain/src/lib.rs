//! Pure customer logic: what happened, who it was, what it means. No IO, no clock, no chance of its own:
//! time and randomness are arguments.

pub mod attribution;
mod chance;
pub mod event;
pub mod history;
pub mod identity;
pub mod matching;
pub mod money;
pub mod plan;
pub mod report;
pub mod segment;
pub mod surroundings;
