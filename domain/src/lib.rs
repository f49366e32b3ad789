//! Pure customer logic: what happened, who it was, what it means. No IO, no clock, no chance of its own:
//! time and randomness are arguments.

pub mod event;
pub mod money;
