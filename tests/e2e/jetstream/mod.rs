//! The events' way over NATS: in order, whole, and back from every loss.

mod analytics;
mod feed;
mod relay;
mod users;

use std::{sync::Arc, time::Duration};

use async_nats::Client;
use futures::{StreamExt, stream};
use starscreen::outbound::jetstream::{
    JetStreamFeed, Relay, RelaySettings, RelayStatus, StreamSettings, Topology, connect, event,
};
use starscreen_commands::{
    append::{Append, NewEvent},
    contracts::{Store, append},
    store::RawEvent,
};
use starscreen_domain::TenantId;
use starscreen_tests::Nats;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

const AT_MOST: Duration = Duration::from_mins(1);

/// A history, and a server to distribute it.
struct Stage {
    store: Store,
    nats: Arc<Nats>,
    settings: StreamSettings,
}

/// A relay at work, until it is dropped.
struct Relaying {
    status: watch::Receiver<RelayStatus>,
    _stop: DropGuard,
}

impl Stage {
    async fn new() -> Self {
        Self::on(Arc::new(Nats::private("")), StreamSettings::default()).await
    }

    async fn on(nats: Arc<Nats>, settings: StreamSettings) -> Self {
        Self { store: Store::sqlite().await, nats, settings }
    }

    async fn client(&self) -> Client {
        let client = connect(&self.nats.url(), None, "test").await.unwrap();
        client.flush().await.unwrap();
        client
    }

    async fn topology(&self) -> Topology {
        Topology::new(self.client().await, self.settings.clone())
    }

    async fn relay(&self) -> Relaying {
        self.relay_with(RelaySettings::default()).await
    }

    async fn relay_with(&self, settings: RelaySettings) -> Relaying {
        let relay = Relay::new(self.store.log.clone(), self.topology().await, settings);
        let (status, stop) = (relay.status(), CancellationToken::new());
        let stopped = stop.clone();
        tokio::spawn(async move { relay.run(&stopped).await });
        Relaying { status, _stop: stop.drop_guard() }
    }

    async fn feed(&self, projector: &str) -> JetStreamFeed {
        JetStreamFeed::new(self.store.log.clone(), self.topology().await, projector)
    }

    async fn append(&self, events: usize) {
        let mut left = events;
        while left > 0 {
            let some = left.min(100);
            self.append_these((0..some).map(|_| some_event()).collect()).await;
            left -= some;
        }
    }

    async fn append_these(&self, events: Vec<NewEvent>) {
        self.store.writer.append(Append { events, ..Append::default() }).await.unwrap();
    }

    async fn log(&self) -> Vec<RawEvent> {
        self.store.log.read_raw(0, 1_000_000).await.unwrap()
    }

    /// All that the stream holds, as events; a message that is none is shown by its position alone.
    async fn stream(&self) -> Vec<Result<RawEvent, u64>> {
        let topology = self.topology().await;
        let Some(state) = topology.state().await.unwrap() else { return vec![] };
        let jetstream = async_nats::jetstream::new(topology.client());
        let stream = jetstream.get_stream_no_info(&self.settings.name).await.unwrap();
        let message = |sequence| {
            let stream = stream.clone();
            async move {
                let message = stream.direct_get(sequence).await.map_err(|_| sequence)?;
                assert_eq!(message.sequence, sequence);
                event(&message.headers, &message.payload).map_err(|_| sequence)
            }
        };
        stream::iter(state.first..=state.last).map(message).buffered(64).collect().await
    }

    async fn assert_the_stream_is_the_log(&self) {
        let (log, stream) = (self.log().await, self.stream().await);
        for (stored, published) in log.iter().zip(&stream) {
            assert_eq!(published.as_ref(), Ok(stored), "position {}", stored.position);
        }
        assert_eq!(stream.len(), log.len(), "as many messages as positions");
    }
}

impl Relaying {
    /// Waits until the stream is known to hold everything up to `position`.
    async fn published(&mut self, position: u64) -> RelayStatus {
        self.until("everything is published", |status| status.published >= position && status.blocked_since.is_none())
            .await
    }

    async fn until(&mut self, what: &str, reached: impl FnMut(&RelayStatus) -> bool) -> RelayStatus {
        if let Ok(status) = timeout(AT_MOST, self.status.wait_for(reached)).await {
            return status.unwrap().clone();
        }
        panic!("waited in vain until {what}: {:?}", self.status.borrow())
    }
}

fn some_event() -> NewEvent {
    append::event(TenantId(Uuid::from_u128(7)), Uuid::now_v7(), 1)
}
