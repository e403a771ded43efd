//! The product from outside: every file tells the story of one promise.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod accounts;
mod apart;
mod billing;
mod bombs;
mod bulk;
mod calendar;
mod compose;
mod crash;
mod crew;
mod deleted_job;
mod demo;
mod disk_full;
mod extraction;
mod fairness;
mod frozen;
mod harness;
mod hidden_text;
mod idempotency;
mod jetstream;
mod jobs;
mod ledger;
mod llm;
mod lost_message;
mod main_job;
mod metrics;
mod objects;
mod openapi;
mod operate;
mod outages;
mod over_postgres;
mod postgres_es;
mod privacy;
mod problems;
mod processes;
mod quota;
mod rebuild;
mod reconcile;
mod recovery;
mod retry;
mod rolling;
mod servers;
mod settings;
mod slow_clients;
mod stores;
mod stripe_adapter;
mod stripe_stand_in;
mod suite;
mod tenancy;
mod tokens;
mod torture;
mod unknown_outcome;
mod uploads;
mod walls;

use std::path::PathBuf;

pub(crate) use starscreen_tests::fixtures;

/// The product, built with these tests.
pub(crate) fn product_binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_starscreen-under-test"))
}
