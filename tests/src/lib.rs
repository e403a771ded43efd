//! The product as a black box, for tests: a process of its own in a directory of its own, spoken to over HTTP.
//!
//! Nothing here waits for a fixed time. What a test waits for it names with [`Log::until`], which looks again and
//! again and fails with what it saw last and the end of the server's log.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a harness that cannot go on fails the test"
)]

mod app;
mod backend;
mod client;
mod clock;
mod docx;
mod events;
mod fleet;
mod home;
mod kills;
mod lives;
mod model_server;
mod object_server;
mod read_models;
mod servers;
mod stripe_server;
mod waiting;

pub use app::{Shared, TestApp};
pub use backend::{Backend, migrated};
pub use client::{Account, Answer, Call, Client, Form, PASSWORD, Resume};
pub use clock::Clock;
pub use docx::docx;
pub use events::{Events, Ledger, Stored};
pub use fleet::Fleet;
pub use home::{Ended, Home, Server};
pub use kills::{PATIENCE, answered, kill_again_and_again, seeded};
pub use lives::Lives;
pub use model_server::{Asked, Kind, MODEL, ModelServer, Reply};
pub use object_server::{ACCESS_KEY, BUCKET, Fault, ObjectServer, REGION, SECRET_KEY, Served};
pub use read_models::ReadModels;
pub use servers::{
    Cluster, Database, Nats, Postgres, PostgresOptions, free_port, nats, postgres, postgres_programs, python,
};
pub use stripe_server::{
    DECLINED_CARD, FAILING_CARD, GOOD_CARD, STRIPE_KEY, Signing, StripeCall, StripeFault, StripePrice, StripeServer,
    WEBHOOK_SECRET, Webhook,
};
pub use waiting::{AT_MOST, Log};

use std::path::{Path, PathBuf};

/// Resumes and pages to test with.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}
