//! Tests of the runtime on real SQLite files, with a history in memory.

pub(crate) mod fixtures;
pub(crate) mod log;

mod feed;
mod histories;
mod poison;
mod reads;
mod rebuild;
mod runner;
mod tenancy;
mod waiting;
