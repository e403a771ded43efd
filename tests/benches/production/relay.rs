//! The relay and the feed, against what the same servers give without them.

use std::{collections::VecDeque, path::Path, time::Instant};

use starscreen::outbound::jetstream::{
    EventMessage, JetStreamFeed, Relay, RelaySettings, StreamSettings, Topology, connect,
};
use starscreen_commands::{
    append::Append,
    contracts::{Store, append},
};
use starscreen_domain::TenantId;
use starscreen_projections::Feed;
use starscreen_tests::{Nats, migrated};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    figures::{load_average, median},
    stage::BINARY,
};

const EVENTS: u64 = 50_000;
const ROUNDS: u32 = 5;
/// Of the plain publisher.
const WINDOW: usize = 64;

pub async fn measure() {
    let database = migrated(Path::new(BINARY));
    let store = Store::postgres(&database.url.clone(), database).await;
    for _ in 0..EVENTS / 100 {
        let events = (0..100).map(|_| append::event(TenantId(Uuid::from_u128(7)), Uuid::now_v7(), 1)).collect();
        store.writer.append(Append { events, ..Append::default() }).await.unwrap();
    }
    while store.log.head().await.unwrap() < EVENTS {
        store.log.wait(EVENTS - 1).await;
    }
    let nats = Nats::private("");
    println!("{EVENTS} events a round; events/s");
    println!("{:>8} {:>8} {:>8} {:>8}", "plain", "relay", "log", "feed");
    let (mut published, mut read_back) = (vec![], vec![]);
    for round in 0..ROUNDS {
        let plain = plain(&nats, &store, round).await;
        let settings = StreamSettings {
            name: format!("EVENTS-{round}"),
            subjects: format!("bench.{round}"),
            max_bytes: 1 << 30,
            ..StreamSettings::default()
        };
        let topology = Topology::new(connect(&nats.url(), None, "bench").await.unwrap(), settings);
        let relay = relay(&store, &topology).await;
        let log = read(&starscreen::outbound::feed::LogFeed(store.log.clone())).await;
        let feed = read(&JetStreamFeed::new(store.log.clone(), topology, "bench")).await;
        println!("{plain:>8.0} {relay:>8.0} {log:>8.0} {feed:>8.0}");
        published.push(relay / plain);
        read_back.push(feed / log);
    }
    println!(
        "relay against plain publishing with a window of {WINDOW}: ratio {:.2} (aim 0.7); feed against log: {:.2} \
        (load average {})",
        median(published),
        median(read_back),
        load_average()
    );
}

/// The same messages, ready made, published as a program would that fears nothing.
async fn plain(nats: &Nats, store: &Store, round: u32) -> f64 {
    let jetstream = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    let (name, subjects) = (format!("PLAIN-{round}"), format!("plain.{round}"));
    let config =
        async_nats::jetstream::stream::Config { name, subjects: vec![format!("{subjects}.>")], ..Default::default() };
    jetstream.create_stream(config).await.unwrap();
    let messages: Vec<EventMessage> = store
        .log
        .read_raw(0, usize::MAX)
        .await
        .unwrap()
        .iter()
        .map(|event| EventMessage::new(&subjects, event, 1_000_000))
        .collect();
    let begun = Instant::now();
    let mut unanswered = VecDeque::new();
    for message in messages {
        if unanswered.len() == WINDOW {
            let answer: async_nats::jetstream::context::PublishAckFuture = unanswered.pop_front().unwrap();
            answer.await.unwrap();
        }
        let sent = jetstream.publish_with_headers(message.subject, message.headers, message.payload.into()).await;
        unanswered.push_back(sent.unwrap());
    }
    for answer in unanswered {
        answer.await.unwrap();
    }
    rate(begun)
}

async fn relay(store: &Store, topology: &Topology) -> f64 {
    let relay = Relay::new(store.log.clone(), topology.clone(), RelaySettings::default());
    let (mut status, stop) = (relay.status(), CancellationToken::new());
    let stopped = stop.clone();
    let begun = Instant::now();
    tokio::spawn(async move { relay.run(&stopped).await });
    status.wait_for(|status| status.published == EVENTS).await.unwrap();
    stop.cancel();
    rate(begun)
}

async fn read(feed: &dyn Feed) -> f64 {
    let begun = Instant::now();
    let mut position = 0;
    while position < EVENTS {
        position += feed.read(position, 500).await.unwrap().len() as u64;
    }
    rate(begun)
}

fn rate(begun: Instant) -> f64 {
    EVENTS as f64 / begun.elapsed().as_secs_f64()
}
