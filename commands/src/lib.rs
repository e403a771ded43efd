//! The write side of Starscreen: commands become events.
//!
//! Load → decide → append, with all that a command leaves behind in one transaction; then the log, which everybody
//! reads in the order of history, and the work that events ask for. Never reads a read model: a decision on a table
//! that lags would be a wrong one.

pub mod account;
pub mod append;
pub mod bus;
pub mod candidate;
pub mod catalog;
#[cfg(feature = "contracts")]
pub mod contracts;
pub mod db;
pub mod distribution;
pub mod error;
pub mod grants;
pub mod job;
pub mod operations;
pub mod payments;
pub mod ports;
pub mod reconcile;
pub mod schema;
pub mod sequencer;
pub mod signals;
pub mod store;
pub mod subscription;
pub mod upcast;
pub mod work;
pub mod workers;
pub mod write_side;

pub use bus::{Bus, Committed, Context, Idempotency};
pub use error::CommandError;
pub use write_side::WriteSide;
