//! The append: all that one command leaves behind, in one transaction, or nothing of it.
//!
//! One writer task a process puts the commands that are waiting into one transaction of few multi-row INSERTs, since
//! the fsync costs far more than a row; a server gets two such transactions at once. If one of them loses a race, the
//! group is rolled back and redone one by one, so that a conflict hurts nobody but its own command.

mod heads;
mod rows;
mod writer;

use std::sync::Arc;

use sqlx::error::ErrorKind;
use starscreen_domain::{
    AttemptId, CandidateId, EventId, JobId, TenantId, UserId,
    work::{Asked, Lane},
};
use uuid::Uuid;

pub(crate) use rows::insert_work;
pub(crate) use writer::read_head;
pub use writer::{Wakes, Writer};

/// Largest event in bytes of JSON; NATS takes messages of 1 MB, and an event is a fact, not a document.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

/// What PostgreSQL answers to one of two who wait for each other.
const DEADLOCK: &str = "40P01";

/// All that one command leaves behind. Events belong to one tenant, or to none (e-mail claims).
#[derive(Debug, Default)]
pub struct Append {
    pub receipt: Option<NewReceipt>,
    pub keys: Vec<NewKey>,
    pub credentials: Vec<NewCredential>,
    pub candidates: Vec<NewCandidate>,
    pub events: Vec<NewEvent>,
    pub work: Vec<NewWork>,
    /// Work that is given up by this command.
    pub dead: Vec<DeadWork>,
    /// Aggregates whose dead work this command takes up again.
    pub redriven: Vec<Uuid>,
    /// The work item that this command reports on. It is gone in the same commit, or the command does not happen.
    pub completes: Option<Lease>,
}

#[derive(Clone, Debug)]
pub struct NewEvent {
    pub tenant_id: Option<TenantId>,
    pub aggregate_type: &'static str,
    pub aggregate_id: Uuid,
    pub sequence: u64,
    pub event_type: String,
    pub event_version: String,
    pub payload: String,
    pub metadata: String,
    pub event_id: EventId,
}

/// The answer to give when the same request comes again.
#[derive(Clone, Debug)]
pub struct NewReceipt {
    pub tenant_id: TenantId,
    pub key: String,
    pub request_hash: String,
    pub answer: String,
}

/// A new subject's key, wrapped.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub subject_id: Uuid,
    pub tenant_id: TenantId,
    pub wrapped: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct NewCredential {
    pub user_id: UserId,
    pub tenant_id: TenantId,
    pub password_hash: String,
}

/// Entry of the candidates' index, for reactions and for finding the same file again.
#[derive(Clone, Debug)]
pub struct NewCandidate {
    pub candidate_id: CandidateId,
    pub tenant_id: TenantId,
    pub job_id: JobId,
    pub content_hash: String,
    /// It came alone, so that a person waits for it.
    pub urgent: bool,
}

#[derive(Clone, Debug)]
pub struct NewWork {
    pub id: Uuid,
    pub tenant_id: TenantId,
    pub urgent: bool,
    pub asked: Asked,
    pub correlation_id: Uuid,
    /// The event that asks.
    pub causation_id: Uuid,
}

/// Work that was given up: what an operator looks at, and may redrive.
#[derive(Clone, Debug)]
pub struct DeadWork {
    pub lane: Lane,
    pub tenant_id: TenantId,
    pub subject: Uuid,
    /// Code of the failure that the subject ended with.
    pub code: String,
    pub attempts: u32,
    pub last_error: String,
}

/// A worker's right to report on one work item, for one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub work_id: Uuid,
    pub attempt: AttemptId,
}

/// Where the last event of a command came to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this position; 0: nothing was written.
    At(u64),
    /// Where the sequencer puts this event; [`crate::store::Log::position`] tells.
    Of(Option<TenantId>, EventId),
}

impl Place {
    pub const NOWHERE: Self = Self::At(0);
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    #[error("a command with this idempotency key was accepted before")]
    Repeated,
    #[error("another command has written one of the streams first")]
    Conflict,
    #[error("the work item was given to somebody else or is done")]
    LeaseLost,
    #[error("an event of {bytes} bytes is over the limit of {MAX_EVENT_BYTES}")]
    EventTooLarge { bytes: usize },
    #[error("the write store is unavailable")]
    Unavailable(#[source] Arc<sqlx::Error>),
    #[error("the writer has stopped")]
    Stopped,
}

impl AppendError {
    /// Whether a command beside it in the same group can still succeed. A store that fails, fails for all: trying each
    /// would only multiply the wait.
    fn is_of_one_command(&self) -> bool {
        match self {
            Self::Repeated | Self::Conflict | Self::LeaseLost | Self::EventTooLarge { .. } => true,
            Self::Unavailable(error) => error.as_database_error().is_some_and(|error| {
                !matches!(error.kind(), ErrorKind::Other) || error.code().as_deref() == Some(DEADLOCK)
            }),
            Self::Stopped => false,
        }
    }
}

impl From<sqlx::Error> for AppendError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}
