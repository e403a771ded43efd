//! The embedded feed: projectors read the write side's own log, woken in process.

use async_trait::async_trait;
use starscreen_commands::store::Log;
use starscreen_domain::Delivery;
use starscreen_projections::{Feed, FeedError};

/// The log as a feed.
pub struct LogFeed(pub Log);

#[async_trait]
impl Feed for LogFeed {
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Delivery>, FeedError> {
        self.0.read(after, limit).await.map_err(|error| FeedError::caused_by("the log cannot be read", error))
    }

    async fn wait(&self, after: u64) {
        self.0.wait(after).await;
    }

    async fn head(&self) -> Result<u64, FeedError> {
        self.0.head().await.map_err(|error| FeedError::caused_by("the log cannot be read", error))
    }
}
