use std::sync::Arc;

use async_trait::async_trait;

use super::{fixtures::*, log::Log};
use crate::{
    Feed,
    contracts::{FeedUnderTest, feed_contract},
};

#[async_trait]
impl FeedUnderTest for Arc<Log> {
    fn feed(&self) -> Arc<dyn Feed> {
        Arc::<Log>::clone(self)
    }

    async fn append(&self, events: usize) {
        for _ in 0..events {
            self.add(TENANT, candidate(1).0, uploaded());
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn the_log_in_memory_keeps_the_contract_of_feeds() {
    feed_contract(async || Log::new()).await;
}
