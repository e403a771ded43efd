//! What can come of a command, besides its events.

use std::sync::Arc;

use cqrs_es::persist::PersistenceError;
use starscreen_domain::{
    account::AccountError, candidate::CandidateError, customer::CustomerError, email_claim::EmailClaimError,
    job::JobError, subscription::SubscriptionError, usage::UsageError, webhook::WebhookError,
};

use crate::{
    append::AppendError,
    ports::{ObjectsError, VaultError},
};

/// Why a command did not happen. Nothing of it is stored then.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Candidate(#[from] CandidateError),
    #[error(transparent)]
    EmailClaim(#[from] EmailClaimError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Subscription(#[from] SubscriptionError),
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Customer(#[from] CustomerError),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// Unknown, deleted and other tenants' ids are all the same to the caller.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("this idempotency key was used for another request")]
    KeyReused,
    #[error("too many commands write here at once")]
    Contended,
    #[error("the work item was given to somebody else or is done")]
    LeaseLost,
    #[error("an event of {bytes} bytes is over the limit")]
    EventTooLarge { bytes: usize },
    #[error("the write store is unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    #[error("stored history cannot be read")]
    Unreadable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    #[error("the command was stopped by the shutdown of the program")]
    Stopped,
}

impl CommandError {
    /// Decided by what the history says, and not by what is in the way of reading or writing it.
    pub(crate) fn is_by_rule(&self) -> bool {
        match self {
            Self::Account(_)
            | Self::Candidate(_)
            | Self::EmailClaim(_)
            | Self::Job(_)
            | Self::Subscription(_)
            | Self::Usage(_)
            | Self::Customer(_)
            | Self::Webhook(_)
            | Self::NotFound(_) => true,
            Self::KeyReused
            | Self::Contended
            | Self::LeaseLost
            | Self::EventTooLarge { .. }
            | Self::Unavailable(_)
            | Self::Unreadable(_)
            | Self::Stopped => false,
        }
    }
}

impl From<sqlx::Error> for CommandError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}

impl From<PersistenceError> for CommandError {
    fn from(error: PersistenceError) -> Self {
        match error {
            PersistenceError::DeserializationError(_) => Self::Unreadable(Arc::new(error)),
            PersistenceError::OptimisticLockError
            | PersistenceError::ConnectionError(_)
            | PersistenceError::UnknownError(_) => Self::Unavailable(Arc::new(error)),
        }
    }
}

impl From<VaultError> for CommandError {
    fn from(error: VaultError) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}

impl From<ObjectsError> for CommandError {
    fn from(error: ObjectsError) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}

impl From<AppendError> for CommandError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Repeated | AppendError::Conflict => Self::Contended,
            AppendError::LeaseLost => Self::LeaseLost,
            AppendError::EventTooLarge { bytes } => Self::EventTooLarge { bytes },
            AppendError::Unavailable(error) => Self::Unavailable(error),
            AppendError::Stopped => Self::Stopped,
        }
    }
}
