//! `cargo fuzz run decode`, see README.md of this folder.

#![no_main]

#[path = "../rules.rs"]
mod rules;

libfuzzer_sys::fuzz_target!(|body: &[u8]| rules::hold(body));
