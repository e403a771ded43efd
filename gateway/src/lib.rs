//! Everything of Starscreen that touches somebody else's system: HTTP, files, keys, the language model, the terminal.
//!
//! The composition root is [`roles`]; adapters are in [`outbound`], each behind a port of the side that needs it.

pub mod cli;
pub mod config;
mod data_dir;
mod demo;
pub mod http;
pub mod metrics;
mod operator;
pub mod outbound;
mod passwords;
mod reconcile;
pub mod roles;
mod sweep;
mod telemetry;
mod tokens;

pub use cli::run;
