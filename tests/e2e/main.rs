//! The product from outside: every file tells the story of one promise.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod accounts;
mod crash;
mod demo;
mod extraction;
mod harness;
mod idempotency;
mod jobs;
mod main_job;
mod openapi;
mod privacy;
mod problems;
mod quota;
mod rebuild;
mod settings;
mod tenancy;
mod tokens;
mod uploads;
mod walls;

use std::path::PathBuf;

pub(crate) use starscreen_tests::fixtures;

/// The product, built with these tests.
pub(crate) fn product_binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_starscreen-under-test"))
}
