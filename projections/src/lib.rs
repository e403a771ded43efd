//! The read side of Starscreen: projectors, what runs them, and the read models that they keep.
//!
//! A read model is disposable: everything in it comes from the history of events, so it can be dropped and rebuilt at
//! any time. That is why nothing here decides anything, and why no decision reads from here.

mod column;
mod cursor;
mod db;
mod error;
mod models;
mod ports;
mod projector;
mod read_models;
mod row;
mod runtime;

pub mod accounts;
pub mod candidate_status;
#[cfg(feature = "contracts")]
pub mod contracts;
pub mod evaluations;
pub mod jobs;
pub mod monthly_usage;
pub mod schema;
pub mod subscriptions;
pub mod usage_entries;

pub use column::UnknownName;
pub use cursor::{Cursor, InvalidCursor, Page};
pub use db::{PostgresOptions, Role};
pub use error::ReadModelError;
pub use models::Models;
pub use ports::{Feed, FeedError, Opener};
pub use projector::Projector;
pub use read_models::{ProjectionStatus, ReadModels, Running};
pub use row::Row;
pub use runtime::{
    as_of::{AsOf, RowValues, Whose},
    checkpoint::ProjectorStatus,
    parked::Parked,
    rebuild::{Diff, RebuildOptions, RebuildProgress, Rebuilt},
    replay::Replayed,
};
