//! What can go wrong on the read side, in words for the operator.

use std::{error::Error, fmt::Write, io};

use crate::FeedError;

#[derive(Debug, thiserror::Error)]
pub enum ReadModelError {
    #[error("the directory of the read models cannot be created")]
    Directory(#[source] io::Error),
    #[error("the database of the read models is not available")]
    Database(#[from] sqlx::Error),
    #[error("a statement for the read models cannot be built")]
    Statement(#[from] sea_query::error::Error),
    #[error(
        "the read models were written by a newer version (schema {found}, this program knows {known}); start that version, or delete them and they are rebuilt"
    )]
    NewerFile { found: i64, known: usize },
    #[error(
        "the schema of the read models is at version {found}, and this program needs {known}; run `starscreen migrate up`"
    )]
    OlderSchema { found: i64, known: usize },
    #[error("the schema of the read models is at version {found}, and this program knows {known}; update this program")]
    NewerSchema { found: i64, known: usize },
    #[error(
        "the read models are of an older version (schema {found}, this program knows {known}); start this version's server, which brings them up to date"
    )]
    OlderFile { found: i64, known: usize },
    #[error("the history is not available")]
    Feed(#[from] FeedError),
    #[error("position {expected} is missing from the history, which goes on at {found}")]
    Gap { expected: u64, found: u64 },
    #[error("position {position} is not in the history any more")]
    Missing { position: u64 },
    #[error(
        "the history ends at position {head}, but this read model has seen {position}: it belongs to another history; rebuild it"
    )]
    AheadOfHistory { position: u64, head: u64 },
    #[error("the opener answered for {answered} of {asked} events")]
    Opener { asked: usize, answered: usize },
    #[error("there is no projector \"{0}\"; known are {known}", known = crate::Models::NAMES.join(", "))]
    UnknownProjector(String),
    #[error("\"{0}\" is being rebuilt already; wait for that rebuild, or half a minute if it was stopped")]
    RebuildRunning(&'static str),
    #[error("another process has taken over the rebuild of \"{0}\"")]
    RebuildSuperseded(&'static str),
    #[error("the projector panicked")]
    Panicked,
    #[error("the cursor belongs to another list")]
    ForeignCursor,
}

impl ReadModelError {
    /// The message with all its causes, for the status table and the log.
    pub(crate) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}"); // writing to a String cannot fail
            cause = error.source();
        }
        text
    }
}
