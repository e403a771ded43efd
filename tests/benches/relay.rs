//! The relay and the feed against what the same server gives without them: `cargo bench -p starscreen-tests --bench relay`.
//!
//! Everything runs twice, in turns, so that a busy machine slows both alike; the ratio is what counts.
#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a bench that cannot go on ends")]

use std::{collections::VecDeque, time::Instant};

use starscreen::outbound::jetstream::{
    EventMessage, JetStreamFeed, Relay, RelaySettings, StreamSettings, Topology, connect,
};
use starscreen_commands::{
    append::Append,
    contracts::{Store, append},
};
use starscreen_domain::TenantId;
use starscreen_projections::Feed;
use starscreen_tests::Nats;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const EVENTS: u64 = 20_000;
const WINDOW: usize = 64;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return; // `cargo test --benches` wants to know only that it compiles
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let store = Store::sqlite().await;
    for _ in 0..EVENTS / 100 {
        let events = (0..100).map(|_| append::event(TenantId(Uuid::from_u128(7)), Uuid::now_v7(), 1)).collect();
        store.writer.append(Append { events, ..Append::default() }).await.unwrap();
    }
    let nats = Nats::private("");
    println!("{:>8} {:>8} {:>8} {:>8}   events a second, {EVENTS} events", "plain", "relay", "log", "feed");
    for round in 0..3 {
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
        println!(
            "{plain:>8.0} {relay:>8.0} {log:>8.0} {feed:>8.0}   relay ÷ plain {:.2}, feed ÷ log {:.2}",
            relay / plain,
            feed / log
        );
    }
}

/// The same messages, published as a program would that fears nothing.
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
