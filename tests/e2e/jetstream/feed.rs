//! What projectors are promised, with and without NATS.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use starscreen::outbound::jetstream::{JetStreamFeed, StreamSettings};
use starscreen_projections::{
    Feed,
    contracts::{FeedUnderTest, feed_contract},
};
use starscreen_tests::Nats;
use tokio::time::timeout;

use super::{AT_MOST, Relaying, Stage};

struct Relayed {
    stage: Stage,
    feed: Arc<JetStreamFeed>,
    relay: Relaying,
}

#[async_trait]
impl FeedUnderTest for Relayed {
    fn feed(&self) -> Arc<dyn Feed> {
        Arc::<JetStreamFeed>::clone(&self.feed)
    }

    async fn append(&self, events: usize) {
        self.stage.append(events).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_over_jetstream_keeps_the_contract_of_feeds() {
    let nats = Arc::new(Nats::private(""));
    let made = AtomicU32::new(0);
    feed_contract(async || {
        let number = made.fetch_add(1, Ordering::Relaxed);
        let settings = StreamSettings {
            name: format!("EVENTS-{number}"),
            subjects: format!("contract.{number}"),
            max_bytes: 1 << 20,
            ..StreamSettings::default()
        };
        relayed(Stage::on(Arc::clone(&nats), settings).await).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_without_nats_keeps_the_contract_of_feeds() {
    feed_contract(async || {
        let relayed = relayed(Stage::new().await).await;
        relayed.stage.nats.kill();
        relayed
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_from_the_stream_and_are_acknowledged() {
    let mut relayed = relayed(Stage::new().await).await;
    relayed.stage.append(1_000).await;
    relayed.relay.published(1_000).await;
    read_to(&*relayed.feed, 0, 1_000).await;
    assert!(relayed.feed.read(1_000, 10).await.unwrap().is_empty());

    assert_eq!(count(&relayed.feed), (1_000, 0, 0));
    let topology = relayed.stage.topology().await;
    let consumers = topology.consumers().await.unwrap();
    let names: Vec<_> = consumers.iter().map(|consumer| consumer.name.as_str()).collect();
    assert_eq!(names, ["projector_candidate_status"]);
    relayed.stage.client().await; // asked behind the acknowledgements
    let settled = async {
        while topology.consumers().await.unwrap()[0].acknowledged != 1_000 {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(AT_MOST, settled).await.is_ok(), "all is acknowledged: {:?}", topology.consumers().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_stream_lost_is_read_from_the_log() {
    let stage = Stage::new().await;
    stage.append(300).await;
    stage.topology().await.ensure(101).await.unwrap();
    stage.relay().await.published(300).await;
    let feed = stage.feed("candidate_status").await;

    read_to(&feed, 0, 300).await;

    assert_eq!(count(&feed), (200, 100, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_message_is_never_projected() {
    let stage = Stage::new().await;
    stage.append(10).await;
    stage.relay().await.published(10).await;
    let client = stage.client().await;
    client.publish(format!("{}.forged.candidate.CandidateScored", stage.settings.subjects), "{}".into()).await.unwrap();
    client.flush().await.unwrap();
    stage.append(2).await;
    let feed = stage.feed("candidate_status").await;

    read_to(&feed, 0, 12).await;

    let (streamed, healed, read) = count(&feed);
    assert_eq!((streamed, healed + read), (10, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_that_died_is_followed_from_its_checkpoint() {
    let mut relayed = relayed(Stage::new().await).await;
    relayed.stage.append(400).await;
    relayed.relay.published(400).await;
    read_to(&*relayed.feed, 0, 400).await; // given, and not acknowledged: the projector dies before its commit
    relayed.stage.append(100).await;

    let again = relayed.stage.feed("candidate_status").await;
    let begun = Instant::now();
    read_to(&again, 200, 500).await;

    assert!(begun.elapsed().as_secs() < 10, "nobody waits until the messages come again");
}

#[tokio::test(flavor = "multi_thread")]
async fn projection_goes_on_over_kills_and_a_deleted_stream() {
    let mut relayed = relayed(Stage::new().await).await;
    let stage = &relayed.stage;
    let mut seen = 0;
    for round in 0..6 {
        stage.append(100).await;
        match round {
            1 | 4 => stage.nats.kill(),
            2 | 5 => stage.nats.start(),
            3 => {
                let jetstream = async_nats::jetstream::new(stage.client().await);
                jetstream.delete_stream(&stage.settings.name).await.unwrap();
            }
            _ => {}
        }
        seen = read_to(&*relayed.feed, seen, seen + 100).await;
    }
    relayed.relay.published(600).await;
    stage.append(50).await;
    relayed.relay.published(650).await;
    read_to(&*relayed.feed, seen, 650).await;
    stage.assert_the_stream_is_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_outage_the_stream_is_followed_again() {
    let mut relayed = relayed(Stage::new().await).await;
    relayed.stage.append(100).await;
    relayed.relay.published(100).await;
    read_to(&*relayed.feed, 0, 100).await;
    relayed.stage.nats.kill();
    relayed.stage.append(3_000).await;
    read_to(&*relayed.feed, 100, 3_100).await; // from the log
    relayed.stage.nats.start();
    relayed.relay.published(3_100).await;

    let mut position = 3_100;
    let followed = async {
        while relayed.feed.counters().streamed.load(Ordering::Relaxed) <= 100 {
            relayed.stage.append(1).await;
            position = read_to(&*relayed.feed, position, position + 1).await;
        }
    };
    assert!(timeout(AT_MOST, followed).await.is_ok(), "the stream is followed again");
}

async fn relayed(stage: Stage) -> Relayed {
    let feed = Arc::new(stage.feed("candidate_status").await);
    let mut relay = stage.relay().await;
    relay.published(0).await;
    Relayed { stage, feed, relay }
}

/// Reads as a projector does from `after` to `to`; every position must come once and in order.
async fn read_to(feed: &dyn Feed, after: u64, to: u64) -> u64 {
    let mut position = after;
    let reading = async {
        while position < to {
            let deliveries = feed.read(position, 128).await.unwrap();
            for delivery in &deliveries {
                assert_eq!(delivery.position, position + 1);
                assert_eq!(delivery.event.as_ref().unwrap().position, delivery.position);
                position += 1;
            }
            if deliveries.is_empty() {
                feed.wait(position).await;
            }
        }
    };
    assert!(timeout(AT_MOST, reading).await.is_ok(), "stuck at {position} on the way to {to}");
    position
}

/// From the stream, healed, from the log.
fn count(feed: &JetStreamFeed) -> (u64, u64, u64) {
    let counters = feed.counters();
    let [streamed, healed, read] =
        [&counters.streamed, &counters.healed, &counters.from_log].map(|counter| counter.load(Ordering::Relaxed));
    (streamed, healed, read)
}
