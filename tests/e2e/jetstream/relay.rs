//! What the relay promises about the stream.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use starscreen::outbound::jetstream::{Blocker, Relay, RelaySettings, StreamSettings, Topology, TopologyError};
use starscreen_commands::append::NewEvent;
use starscreen_domain::TenantId;
use starscreen_tests::Nats;
use uuid::Uuid;

use super::{Stage, some_event};

#[tokio::test(flavor = "multi_thread")]
async fn every_position_is_published_at_its_sequence_and_comes_back_as_stored() {
    let stage = Stage::new().await;
    stage.append(3).await;
    let of_the_future = NewEvent { event_type: "JobTeleported".to_owned(), ..some_event() };
    let of_nobody = NewEvent { tenant_id: None, ..some_event() };
    let without_metadata = NewEvent { metadata: "{}".to_owned(), ..some_event() };
    stage.append_these(vec![of_the_future]).await;
    stage.append_these(vec![of_nobody]).await;
    stage.append_these(vec![without_metadata]).await;
    stage.append(700).await;

    let mut relay = stage.relay().await;
    let status = relay.published(706).await;

    stage.assert_the_stream_is_the_log().await;
    assert_eq!((status.streams_made, status.foreign_found, status.republished), (1, 0, 0));
    let unreadable: Vec<u64> = stage
        .stream()
        .await
        .into_iter()
        .map(|event| event.unwrap().delivery())
        .filter_map(|delivery| delivery.event.is_err().then_some(delivery.position))
        .collect();
    assert_eq!(unreadable, [4, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_event_is_published_as_it_is() {
    let stage = Stage::new().await;
    let payload = format!("\"{}\"", "\u{20ac}".repeat(80_000));
    stage.append_these(vec![NewEvent { payload, ..some_event() }]).await;
    stage.relay().await.published(1).await;
    stage.assert_the_stream_is_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_relay_goes_on_where_the_stream_ends() {
    let stage = Stage::new().await;
    stage.append(300).await;
    stage.relay().await.published(300).await;
    stage.append(50).await;

    let status = stage.relay().await.published(350).await;

    assert_eq!((status.streams_made, status.foreign_found, status.republished), (0, 0, 0));
    stage.assert_the_stream_is_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_loses_is_published_again() {
    let stage = Stage::new().await;
    let mut relay = stage.relay().await;
    for _ in 0..5 {
        stage.append(200).await;
        stage.nats.kill();
        stage.append(20).await;
        stage.nats.start();
    }
    relay.published(1_100).await;
    stage.assert_the_stream_is_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nats_is_down_the_backlog_shows_and_then_drains() {
    let stage = Stage::new().await;
    stage.append(10).await;
    let mut relay = stage.relay().await;
    relay.published(10).await;
    stage.nats.kill();
    stage.append(30).await;

    let down =
        relay.until("the backlog shows", |status| status.lag_positions() == 30 && status.blocked_since.is_some()).await;
    assert!(down.last_error.is_some(), "{down:?}");
    assert!(down.lag_seconds(Utc::now() + Duration::from_secs(5)) > 5.0);

    stage.nats.start();
    relay.published(40).await;
    let drained = relay.until("the backlog is gone", |status| status.oldest_waiting.is_none()).await;
    assert_eq!((drained.lag_positions(), drained.last_error.as_deref()), (0, None));
    stage.assert_the_stream_is_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_is_made_again_though_nothing_new_is_published() {
    let stage = Stage::new().await;
    stage.append(120).await;
    let mut relay = stage.relay().await;
    relay.published(120).await;

    let jetstream = async_nats::jetstream::new(stage.client().await);
    jetstream.delete_stream(&stage.settings.name).await.unwrap();

    relay.until("the stream is made again", |status| status.streams_made == 2 && status.published == 120).await;
    stage.assert_the_stream_is_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_stream_is_filled_with_the_newest_events_at_their_own_numbers() {
    let stage = Stage::new().await;
    stage.append(1_000).await;
    let mut relay = stage.relay_with(RelaySettings { refill: Some(100), ..RelaySettings::default() }).await;
    relay.published(1_000).await;
    let published: Vec<_> = stage.stream().await.into_iter().map(Result::unwrap).collect();
    assert_eq!(published, stage.log().await[900..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_tail_is_published_again() {
    let stage = Stage::new().await;
    stage.append(100).await;
    let mut relay = stage.relay().await;
    relay.published(100).await;

    // What a power cut leaves: the same stream, shorter.
    let topology = stage.topology().await;
    let jetstream = async_nats::jetstream::new(topology.client());
    let stream = jetstream.get_stream(&stage.settings.name).await.unwrap();
    let mut kept = vec![];
    for sequence in 1..=60 {
        kept.push(stream.direct_get(sequence).await.unwrap());
    }
    stage.nats.stop();
    let after_the_cut = stage.nats.url();
    stage.nats.wipe();
    stage.nats.start();
    let client = async_nats::connect(after_the_cut).await.unwrap();
    let topology = Topology::new(client.clone(), stage.settings.clone());
    // The relay is at it as well; whoever is first, the stream is the log's.
    let _ = topology.ensure(1).await;
    for message in kept {
        let _ = client.publish_with_headers(message.subject, message.headers, message.payload).await;
    }
    client.flush().await.unwrap();

    relay.until("the tail is there again", |status| status.published >= 100 && status.republished > 0).await;
    relay.published(100).await;
    stage.assert_the_stream_is_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_message_in_the_way_raises_the_alarm_and_is_removed() {
    let stage = Stage::new().await;
    stage.append(100).await;
    let mut relay = stage.relay().await;
    relay.published(100).await;

    let client = stage.client().await;
    client.publish(format!("{}.forged.candidate.CandidateScored", stage.settings.subjects), "{}".into()).await.unwrap();
    client.flush().await.unwrap();
    // Its place is refused to the relay, those behind it are not.
    stage.append(20).await;

    let status = relay.until("the alarm", |status| status.foreign_found > 0 && status.published == 120).await;
    assert_eq!((status.foreign_found, status.streams_made), (1, 2));
    stage.assert_the_stream_is_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_put_behind_a_dead_relay_is_found_by_the_next() {
    let stage = Stage::new().await;
    stage.append(100).await;
    stage.relay().await.published(100).await;
    stage.append(20).await;
    let client = stage.client().await;
    let subject = format!("{}.forged.candidate.CandidateScored", stage.settings.subjects);
    client.publish(subject, "{}".into()).await.unwrap();
    client.flush().await.unwrap();
    // As the dead relay's pipeline would have: 102 to 120 are in their places.
    let topology = stage.topology().await;
    for event in &stage.log().await[101..] {
        let message = starscreen::outbound::jetstream::EventMessage::new(&stage.settings.subjects, event, 1_000_000);
        let payload = message.payload.into();
        topology.client().publish_with_headers(message.subject, message.headers, payload).await.unwrap();
    }
    topology.client().flush().await.unwrap();

    let status = stage.relay().await.published(120).await;

    assert_eq!((status.foreign_found, status.streams_made), (1, 1));
    stage.assert_the_stream_is_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_at_once_leave_no_gap() {
    let stage = Stage::new().await;
    let (mut one, mut other) = (stage.relay().await, stage.relay().await);
    for _ in 0..30 {
        stage.append(100).await;
    }
    one.published(3_000).await;
    other.published(3_000).await;
    stage.assert_the_stream_is_the_log().await;
    assert_eq!((one.status.borrow().foreign_found, other.status.borrow().foreign_found), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_rebuilt_on_demand_beside_the_relay() {
    let stage = Stage::new().await;
    stage.append(500).await;
    let mut relay = stage.relay().await;
    relay.published(500).await;

    let rebuilding = Relay::new(stage.store.log.clone(), stage.topology().await, RelaySettings::default());
    let status = rebuilding.rebuild_stream().await.unwrap();

    assert!(status.published >= 500);
    relay.published(500).await;
    stage.assert_the_stream_is_the_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_upgraded_and_what_cannot_be_is_said() {
    let stage = Stage::new().await;
    let topology = stage.topology().await;
    topology.ensure(1).await.unwrap();
    let longer = StreamSettings { max_age: Duration::from_hours(24), ..stage.settings.clone() };
    Topology::new(topology.client(), longer.clone()).ensure(1).await.unwrap();
    let jetstream = async_nats::jetstream::new(topology.client());
    let config = jetstream.get_stream(&longer.name).await.unwrap().cached_info().config.clone();
    assert_eq!(config.max_age, longer.max_age);
    assert!(config.deny_delete && config.deny_purge && config.allow_direct);

    let in_memory = async_nats::jetstream::stream::Config {
        name: "MEMORY".to_owned(),
        subjects: vec!["memory.>".to_owned()],
        storage: async_nats::jetstream::stream::StorageType::Memory,
        ..Default::default()
    };
    jetstream.create_stream(in_memory).await.unwrap();
    let settings =
        StreamSettings { name: "MEMORY".to_owned(), subjects: "memory".to_owned(), ..StreamSettings::default() };
    let refused = Topology::new(topology.client(), settings).ensure(1).await.unwrap_err();
    assert!(matches!(refused, TopologyError::Fixed { property: "storage", .. }), "{refused}");
    assert!(refused.to_string().contains("rebuild-stream"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_tenants_are_told_apart_by_subject() {
    let stage = Stage::new().await;
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    let of = |tenant: Uuid| NewEvent { tenant_id: Some(TenantId(tenant)), ..some_event() };
    stage.append_these(vec![of(one)]).await;
    stage.append_these(vec![of(other)]).await;
    stage.append_these(vec![of(one)]).await;
    stage.relay().await.published(3).await;
    let jetstream = async_nats::jetstream::new(stage.client().await);
    let stream = jetstream.get_stream(&stage.settings.name).await.unwrap();
    let last = stream.direct_get_last_for_subject(format!("{}.{other}.>", stage.settings.subjects)).await.unwrap();
    assert_eq!(last.sequence, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_room_for_the_stream_is_told_apart_and_says_what_to_do() {
    let nats = Arc::new(Nats::private("jetstream { max_file_store: 1GB }"));
    let stage = Stage::on(Arc::clone(&nats), StreamSettings { max_bytes: 10 << 30, ..StreamSettings::default() }).await;
    stage.append(10).await;
    let mut relay = stage.relay().await;
    let status = relay.until("it is told", |status| status.blocked_by == Some(Blocker::Space)).await;
    let error = status.last_error.unwrap();
    for words in
        ["10737418240 bytes", "lower STARSCREEN_NATS_MAX_BYTES", "raise max_file_store", "insufficient storage"]
    {
        assert!(error.contains(words), "no {words:?} in {error}");
    }
    assert_eq!((status.published, status.head), (0, 10));
    assert!(status.blocked_since.is_some());

    nats.stop();
    nats.configure("jetstream { max_file_store: 20GB }");
    nats.start();
    let status = relay.published(10).await;
    assert_eq!((status.blocked_by, status.last_error), (None, None));

    // The same where the stream is there and is to become larger.
    let larger = StreamSettings { max_bytes: 30 << 30, ..stage.settings.clone() };
    let refused = Topology::new(stage.client().await, larger).ensure(1).await.unwrap_err();
    assert!(matches!(refused, TopologyError::NoRoom { .. }), "{refused:?}");
}
