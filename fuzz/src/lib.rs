//! What is fuzzed, as plain functions that panic on a finding. `bins/` hands them to libFuzzer;
//! `tests/it/corpus.rs` takes the same two folders in and replays the corpora in every test run.
//!
//! Of the counter only the rooms that read bytes are compiled, from their own sources: with cameras and
//! engines a build with libFuzzer's instruments takes a quarter of an hour.
#![forbid(unsafe_code)]
// What only the rest of till uses.
#![allow(dead_code, unused_imports)]

extern crate self as till;

#[path = "../../src/config/mod.rs"]
pub mod config;
#[path = "../../src/outbox/mod.rs"]
pub mod outbox;

pub mod checkout;
pub mod engine;

pub mod counter;
pub mod link;
