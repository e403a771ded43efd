//! What every [`Feed`] must do, as checks that the tests of each implementation call.

#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use starscreen_domain::Delivery;
use tokio::time::{sleep, timeout};

use crate::Feed;

/// Longer than any wait may be, even on a busy machine.
const BOUND: Duration = Duration::from_secs(5);
/// In which everything that is appended meanwhile can be read, also when the machine is busy with other things.
const READ_WITHIN: Duration = Duration::from_secs(20);
/// A wait that takes this long was ended by its own bound, not by the event.
const NOT_WOKEN: Duration = Duration::from_millis(200);

/// A feed with an empty history, and the other end of it.
#[async_trait]
pub trait FeedUnderTest: Send + Sync {
    fn feed(&self) -> Arc<dyn Feed>;

    /// Adds `events` events of any kind; resolves when the feed may show them.
    async fn append(&self, events: usize);
}

/// Runs all checks, each on a feed of its own from `make`.
///
/// # Panics
/// When the feed breaks the contract.
pub async fn feed_contract<T: FeedUnderTest>(make: impl AsyncFn() -> T) {
    an_empty_history_reads_as_nothing(make().await).await;
    deliveries_come_in_order_without_a_gap(make().await).await;
    a_limit_is_kept_and_pages_join(make().await).await;
    reading_again_gives_the_same(make().await).await;
    events_that_come_in_meanwhile_are_not_skipped(make().await).await;
    waiting_is_bounded(make().await).await;
    waiting_ends_when_an_event_comes(make().await).await;
}

async fn an_empty_history_reads_as_nothing(test: impl FeedUnderTest) {
    let feed = test.feed();
    assert_eq!(head(&*feed).await, 0, "an empty history ends at 0");
    assert!(read(&*feed, 0, 10).await.is_empty());
    assert!(read(&*feed, 7, 10).await.is_empty(), "after a position that is not there yet comes nothing");
}

async fn deliveries_come_in_order_without_a_gap(test: impl FeedUnderTest) {
    test.append(7).await;
    let feed = test.feed();
    let deliveries = until(&*feed, 7).await;
    let positions: Vec<u64> = deliveries.iter().map(|delivery| delivery.position).collect();
    assert_eq!(positions, [1, 2, 3, 4, 5, 6, 7]);
    for delivery in &deliveries {
        if let Ok(event) = &delivery.event {
            assert_eq!(event.position, delivery.position, "an event knows its position");
        }
    }
    assert_eq!(head(&*feed).await, 7, "the head is the last position");
    assert!(read(&*feed, 7, 10).await.is_empty(), "nothing comes after the head");
}

async fn a_limit_is_kept_and_pages_join(test: impl FeedUnderTest) {
    test.append(10).await;
    let feed = test.feed();
    until(&*feed, 10).await;
    let mut seen = 0;
    while seen < 10 {
        let page = read(&*feed, seen, 3).await;
        assert!((1..=3).contains(&page.len()), "a page of at most 3 had {} deliveries", page.len());
        for delivery in page {
            assert_eq!(delivery.position, seen + 1);
            seen = delivery.position;
        }
    }
}

async fn reading_again_gives_the_same(test: impl FeedUnderTest) {
    test.append(5).await;
    let feed = test.feed();
    let ids = |deliveries: Vec<Delivery>| -> Vec<_> {
        deliveries.into_iter().map(|delivery| (delivery.position, delivery.event.ok().map(|e| e.event_id))).collect()
    };
    let first = ids(until(&*feed, 5).await);
    test.append(5).await;
    until(&*feed, 10).await;
    let again = ids(read(&*feed, 0, 5).await);
    assert_eq!(first[..again.len()], again, "what was read once is read alike for ever");
    let distinct: HashSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), 5);
}

async fn events_that_come_in_meanwhile_are_not_skipped(test: impl FeedUnderTest) {
    let feed = test.feed();
    let writers = async {
        tokio::join!(test.append(20), test.append(20), async {
            for _ in 0..20 {
                test.append(1).await;
            }
        });
    };
    let (deliveries, ()) = tokio::join!(until(&*feed, 60), writers);
    assert_eq!(deliveries.len(), 60);
}

async fn waiting_is_bounded(test: impl FeedUnderTest) {
    test.append(1).await;
    let feed = test.feed();
    until(&*feed, 1).await;
    let bounded = timeout(BOUND, feed.wait(1)).await;
    assert!(bounded.is_ok(), "waiting at the head ends by itself");
    let behind = timeout(BOUND, feed.wait(0)).await;
    assert!(behind.is_ok(), "waiting behind the head ends too");
}

async fn waiting_ends_when_an_event_comes(test: impl FeedUnderTest) {
    let feed = test.feed();
    let mut fastest = Duration::MAX;
    for round in 0..5 {
        let waiting = async {
            feed.wait(round).await;
            Instant::now()
        };
        let appending = async {
            sleep(Duration::from_millis(20)).await; // the wait has begun
            let begun = Instant::now();
            test.append(1).await;
            begun
        };
        let (woken, begun) = tokio::join!(waiting, appending);
        fastest = fastest.min(woken.saturating_duration_since(begun));
        until(&*feed, round + 1).await;
    }
    assert!(fastest < NOT_WOKEN, "an event wakes who waits; the fastest of 5 took {fastest:?}");
}

/// Reads from the start until position `to`, waiting as a projector does; checks order on the way.
async fn until(feed: &dyn Feed, to: u64) -> Vec<Delivery> {
    let mut all: Vec<Delivery> = vec![];
    let reading = async {
        loop {
            let after = all.last().map_or(0, |delivery| delivery.position);
            if after >= to {
                return;
            }
            let page = read(feed, after, 1_000).await;
            if page.is_empty() {
                feed.wait(after).await;
            }
            for delivery in page {
                let expected = all.last().map_or(1, |delivery| delivery.position + 1);
                assert_eq!(delivery.position, expected, "no gap and no repeat");
                all.push(delivery);
            }
        }
    };
    assert!(timeout(READ_WITHIN, reading).await.is_ok(), "position {to} can be read within {READ_WITHIN:?}");
    all
}

async fn read(feed: &dyn Feed, after: u64, limit: usize) -> Vec<Delivery> {
    match feed.read(after, limit).await {
        Ok(deliveries) => deliveries,
        Err(error) => panic!("the feed cannot be read: {error}"),
    }
}

async fn head(feed: &dyn Feed) -> u64 {
    match feed.head().await {
        Ok(head) => head,
        Err(error) => panic!("the head cannot be read: {error}"),
    }
}
