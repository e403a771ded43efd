//! Real servers to test with: PostgreSQL and NATS, started and ended by the test process.
//!
//! A machine needs neither of them: without a word from the environment the harness fetches current ones into the
//! target folder, without root. They are never the machine's own, and none outlives the process that started it, however
//! that ends.

mod database;
mod fetched;
mod nats;
mod ports;
mod postgres;
mod supervised;

pub use database::Database;
pub use fetched::{postgres_programs, python};
pub use nats::{Nats, nats};
pub use ports::free_port;
pub use postgres::{Cluster, Postgres, PostgresOptions, postgres};
