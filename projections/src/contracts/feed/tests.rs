//! The contract of feeds: kept by the log in memory, and broken by feeds that are wrong in one way each.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use starscreen_domain::Delivery;

use super::{FeedUnderTest, feed_contract};
use crate::{
    Feed, FeedError,
    contracts::{fixtures::*, log::Log},
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

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Skips,
    Repeats,
    Reverses,
    IgnoresLimit,
    HeadLags,
    NeverWakes,
    WaitsForEver,
}

struct Faulty(Arc<Log>, Fault);

#[async_trait]
impl Feed for Faulty {
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Delivery>, FeedError> {
        let limit = if self.1 == Fault::IgnoresLimit { 1_000 } else { limit };
        let after = if self.1 == Fault::Repeats { after.saturating_sub(1) } else { after };
        let mut deliveries = self.0.read(after, limit).await?;
        if self.1 == Fault::Skips {
            deliveries.retain(|delivery| delivery.position != 3);
        }
        if self.1 == Fault::Reverses {
            deliveries.reverse();
        }
        Ok(deliveries)
    }

    async fn wait(&self, after: u64) {
        match self.1 {
            Fault::NeverWakes => tokio::time::sleep(Duration::from_millis(250)).await,
            Fault::WaitsForEver => std::future::pending().await,
            _ => self.0.wait(after).await,
        }
    }

    async fn head(&self) -> Result<u64, FeedError> {
        let head = self.0.head().await?;
        Ok(if self.1 == Fault::HeadLags { head.saturating_sub(1) } else { head })
    }
}

struct FaultyUnderTest(Arc<Log>, Fault);

#[async_trait]
impl FeedUnderTest for FaultyUnderTest {
    fn feed(&self) -> Arc<dyn Feed> {
        Arc::new(Faulty(Arc::clone(&self.0), self.1))
    }

    async fn append(&self, events: usize) {
        self.0.append(events).await;
    }
}

async fn breaks_the_contract(fault: Fault) {
    feed_contract(async || FaultyUnderTest(Log::new(), fault)).await;
}

#[tokio::test]
#[should_panic(expected = "no gap and no repeat")]
async fn a_feed_that_skips_breaks_it() {
    breaks_the_contract(Fault::Skips).await;
}

#[tokio::test]
#[should_panic(expected = "no gap and no repeat")]
async fn a_feed_that_reverses_breaks_it() {
    breaks_the_contract(Fault::Reverses).await;
}

#[tokio::test]
#[should_panic(expected = "nothing comes after the head")]
async fn a_feed_that_repeats_breaks_it() {
    breaks_the_contract(Fault::Repeats).await;
}

#[tokio::test]
#[should_panic(expected = "a page of at most 3 had")]
async fn a_feed_that_ignores_the_limit_breaks_it() {
    breaks_the_contract(Fault::IgnoresLimit).await;
}

#[tokio::test]
#[should_panic(expected = "the head is the last position")]
async fn a_feed_whose_head_lags_breaks_it() {
    breaks_the_contract(Fault::HeadLags).await;
}

#[tokio::test]
#[should_panic(expected = "an event wakes who waits")]
async fn a_feed_that_never_wakes_breaks_it() {
    breaks_the_contract(Fault::NeverWakes).await;
}

#[tokio::test]
#[should_panic(expected = "can be read within")]
async fn a_feed_that_waits_for_ever_breaks_it() {
    breaks_the_contract(Fault::WaitsForEver).await;
}
