//! What is special about a segment, what changed, and what to do next: pure functions on counts and sorted lists.
//!
//! - [`traits`]: which sources, products, pages, … are more common in it than outside, how sure that is, and how large;
//! - [`flow`]: why a segment grew or shrank;
//! - [`action`]: one suggested action with its reason;
//! - [`rate`]: the statistics behind them.

pub mod action;
pub mod flow;
pub mod rate;
pub mod traits;

#[cfg(test)]
mod tests;
