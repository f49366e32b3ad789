//! The JSON form of rules, for editors and other programs.

/// JSON Schema (draft 2020-12) of version 1 of a rule's JSON form, with the limits that a schema can express; the others
/// are in its description, and [`super::Rule::from_json`] has the last word.
pub const SCHEMA: &str = include_str!("schema.json");

#[cfg(test)]
mod tests;
