//! Pure customer logic: what happened, who it was, what it means. No IO, no clock, no chance of its own:
//! time and randomness are arguments.

pub mod attribution;
pub mod event;
pub mod history;
pub mod identity;
pub mod money;
pub mod report;
pub mod segment;
pub mod surroundings;
