//! What projectors need from outside: the history in order, and the sealed values in it opened.
//!
//! The gateway fills both: from the store's own log or JetStream, and from the vault of keys.

use std::error::Error;

use async_trait::async_trait;
use starscreen_domain::{Delivery, Event, Recorded};

/// The whole history by position, the same behind the embedded log and JetStream; `contracts::feed_contract` says how.
#[async_trait]
pub trait Feed: Send + Sync {
    /// At most `limit` deliveries after position `after`, in order and without a gap. Fewer are fine, to bound memory
    /// where events are large; none means that there is nothing there yet.
    ///
    /// # Errors
    /// [`FeedError`] when the log cannot be read now.
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Delivery>, FeedError>;

    /// Resolves when there may be more after position `after`, and after a bounded wait (about 250 ms) anyway.
    async fn wait(&self, after: u64);

    /// The newest position there is; 0 before the first event.
    ///
    /// # Errors
    /// [`FeedError`] when the log cannot be read now.
    async fn head(&self) -> Result<u64, FeedError>;
}

/// Opens sealed values; a destroyed key reads as `Clear::Erased`, which is no failure.
#[async_trait]
pub trait Opener: Send + Sync {
    /// Opens the sealed values of `events` in place. The answer has one entry for each event, in their order: a reason
    /// where its values cannot be opened, now or later; such an event is parked.
    ///
    /// # Errors
    /// [`FeedError`] when the keys cannot be read now; the batch is tried again.
    async fn open(&self, events: &mut [Recorded<Event>]) -> Result<Vec<Option<String>>, FeedError>;
}

/// The history or the keys are out of reach for now.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct FeedError {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl FeedError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub fn caused_by(message: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { message: message.into(), source: Some(source.into()) }
    }
}
