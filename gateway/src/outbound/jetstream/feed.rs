//! A projector's feed over its durable consumer, with the log behind it.
//!
//! The projector's checkpoint is the truth about where it stands: what comes before it is acknowledged and dropped, a
//! jump behind it is a loss on the stream and is read from the log. The log also answers while NATS is down, and when
//! the stream falls behind it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use async_nats::{
    connection::State,
    jetstream::{Message, consumer::PullConsumer},
};
use async_trait::async_trait;
use futures::StreamExt;
use starscreen_commands::store::Log;
use starscreen_domain::Delivery;
use starscreen_projections::{Feed, FeedError};
use tokio::{sync::Mutex, time::timeout};

use super::{Topology, TopologyError, message, outage::Outage};

/// Bytes of one pull: an event may have 256 KB.
const MAX_PULL_BYTES: usize = 8 << 20;
/// How long a wait lasts at most.
const WAIT: Duration = Duration::from_millis(250);
/// A server that does not go on with a pull for so long is down.
const PULL_STALLS: Duration = Duration::from_secs(2);
/// Without a message for so long, the log is asked whether there should be one.
const SILENCE: Duration = Duration::from_secs(1);

/// The history for one projector. Others need feeds of their own: a consumer gives each message once.
pub struct JetStreamFeed {
    log: Log,
    topology: Topology,
    consumer: String,
    buffer: Mutex<Buffer>,
    counters: FeedCounters,
}

/// For metrics; they only grow.
#[derive(Debug, Default)]
pub struct FeedCounters {
    /// Positions that came from the stream.
    pub streamed: AtomicU64,
    /// Positions that were missing on the stream or not the log's, and were read from the log.
    pub healed: AtomicU64,
    /// Positions read from the log because NATS was down or behind.
    pub from_log: AtomicU64,
}

/// Messages that came and are not known to be projected.
#[derive(Default)]
struct Buffer {
    ready: BTreeMap<u64, Message>,
    consumer: Option<PullConsumer>,
    /// Everything up to here is projected.
    settled: u64,
    outage: Option<Outage>,
    /// The log is asked after this, if nothing comes from the stream.
    silent_since: Option<Instant>,
    /// The last read was over a gap; it is told once.
    healing: bool,
}

#[derive(Debug, thiserror::Error)]
enum PullError {
    #[error("there is no connection to NATS yet")]
    Starting,
    #[error("the connection to NATS is down")]
    Disconnected,
    #[error("NATS did not go on with a pull")]
    Stalled,
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error("the consumer cannot be read")]
    Consumer(#[source] async_nats::Error),
}

/// Of the durable consumer that feeds `projector`.
pub fn consumer_name(projector: &str) -> String {
    format!("projector_{projector}")
}

impl JetStreamFeed {
    /// The feed of `projector`, over the durable consumer `projector_<name>`, which is made at the first read.
    pub fn new(log: Log, topology: Topology, projector: &str) -> Self {
        Self {
            log,
            topology,
            consumer: consumer_name(projector),
            buffer: Mutex::default(),
            counters: FeedCounters::default(),
        }
    }

    pub fn counters(&self) -> &FeedCounters {
        &self.counters
    }

    /// What the log has after `after`.
    async fn read_log(&self, after: u64, limit: usize) -> Result<Vec<Delivery>, FeedError> {
        self.log.read(after, limit).await.map_err(|error| FeedError::caused_by("the log cannot be read", error))
    }

    /// Fills the buffer: with what is there now, or with the first message that comes within `wait`.
    async fn pull(&self, buffer: &mut Buffer, limit: usize, wait: Option<Duration>) -> Result<(), PullError> {
        match self.topology.client().connection_state() {
            State::Connected => {}
            State::Pending => return Err(PullError::Starting),
            State::Disconnected => return Err(PullError::Disconnected),
        }
        let consumer = match buffer.consumer.take() {
            Some(consumer) => consumer,
            None => self.topology.consumer(&self.consumer, buffer.settled, "").await?,
        };
        let messages = match wait {
            None => consumer.fetch().max_messages(limit).max_bytes(MAX_PULL_BYTES).messages().await,
            Some(wait) => consumer.batch().max_messages(limit).expires(wait).messages().await,
        };
        let mut messages = messages.map_err(|error| PullError::Consumer(error.into()))?;
        let (mut came, mut old) = (0, 0);
        while let Some(message) =
            timeout(PULL_STALLS + wait.unwrap_or_default(), messages.next()).await.map_err(|_| PullError::Stalled)?
        {
            let message = message.map_err(PullError::Consumer)?;
            let sequence = message.info().map_err(PullError::Consumer)?.stream_sequence;
            came += 1;
            if sequence <= buffer.settled {
                old += 1;
                message.ack().await.map_err(PullError::Consumer)?;
            } else {
                buffer.ready.insert(sequence, message);
            }
        }
        if came > 0 {
            buffer.silent_since = None;
        }
        if came == limit && old == came && wait.is_none() {
            // The log went on without the consumer: it begins again where the projector stands.
            self.topology.delete_consumer(&self.consumer).await?;
            return Ok(());
        }
        buffer.consumer = Some(consumer);
        Ok(())
    }

    /// As [`Self::pull`]; a failure is no failure of the feed, the log goes on. False when NATS gave nothing.
    async fn try_pull(&self, buffer: &mut Buffer, limit: usize, wait: Option<Duration>) -> bool {
        if buffer.outage.is_some_and(|outage| outage.lasts(Instant::now())) {
            return false;
        }
        match self.pull(buffer, limit, wait).await {
            Ok(()) => {
                if buffer.outage.take().is_some_and(|outage| outage.was_told()) {
                    tracing::info!(consumer = %self.consumer, "projected from JetStream again");
                }
                true
            }
            Err(error) => {
                let starting = matches!(error, PullError::Starting);
                if Outage::failed(&mut buffer.outage, starting, Instant::now()) {
                    tracing::warn!(
                        consumer = %self.consumer,
                        error = &error as &dyn std::error::Error,
                        "nothing comes from JetStream; projected from the log"
                    );
                }
                buffer.consumer = None;
                false
            }
        }
    }

    /// Acknowledges and drops what is projected.
    async fn settle(&self, buffer: &mut Buffer, after: u64) {
        buffer.settled = after;
        let waiting = buffer.ready.split_off(&(after + 1));
        let projected = std::mem::replace(&mut buffer.ready, waiting);
        if self.topology.client().connection_state() != State::Connected {
            return; // they come again, and are dropped then
        }
        for message in projected.into_values() {
            if !matches!(timeout(PULL_STALLS, message.ack()).await, Ok(Ok(()))) {
                return;
            }
        }
    }
}

impl Buffer {
    /// The deliveries that join on to `after`, up to the first that is missing or not one of ours.
    fn joined(&self, after: u64, limit: usize) -> Vec<Delivery> {
        let mut joined = vec![];
        for (expected, (sequence, message)) in (after + 1..).zip(self.ready.range(after + 1..)).take(limit) {
            let event = message.headers.as_ref().map(|headers| message::event(headers, &message.payload));
            match event {
                Some(Ok(event)) if *sequence == expected && event.position == expected => joined.push(event.delivery()),
                _ => break,
            }
        }
        joined
    }

    /// How many positions after `after` are missing or unusable before the next message that could be used.
    fn gap(&self, after: u64) -> Option<u64> {
        let next = *self.ready.keys().next()?;
        Some(next.saturating_sub(after + 1).max(1))
    }
}

#[async_trait]
impl Feed for JetStreamFeed {
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Delivery>, FeedError> {
        let mut buffer = self.buffer.lock().await;
        self.settle(&mut buffer, after).await;
        let answered = if buffer.ready.is_empty() { self.try_pull(&mut buffer, limit, None).await } else { true };
        let joined = buffer.joined(after, limit);
        if !joined.is_empty() {
            buffer.healing = false;
            self.counters.streamed.fetch_add(joined.len() as u64, Ordering::Relaxed);
            return Ok(joined);
        }
        if let Some(gap) = buffer.gap(after) {
            let missing = usize::try_from(gap).unwrap_or(usize::MAX).min(limit);
            let healed = self.read_log(after, missing).await?;
            self.counters.healed.fetch_add(healed.len() as u64, Ordering::Relaxed);
            if !std::mem::replace(&mut buffer.healing, true) {
                tracing::info!(
                    consumer = %self.consumer,
                    event.position = after + 1,
                    "positions that do not come from the stream are read from the log"
                );
            }
            return Ok(healed);
        }
        let silent = buffer.silent_since.get_or_insert_with(Instant::now).elapsed() >= SILENCE;
        if answered && !silent {
            return Ok(vec![]);
        }
        let found = self.read_log(after, limit).await?;
        if found.is_empty() {
            buffer.silent_since = None; // nothing is missing: the silence begins anew
        }
        self.counters.from_log.fetch_add(found.len() as u64, Ordering::Relaxed);
        Ok(found)
    }

    async fn wait(&self, after: u64) {
        let mut buffer = self.buffer.lock().await;
        if buffer.ready.range(after + 1..).next().is_some() {
            return;
        }
        if !self.try_pull(&mut buffer, 1, Some(WAIT)).await {
            drop(buffer);
            self.log.wait(after).await;
        }
    }

    async fn head(&self) -> Result<u64, FeedError> {
        self.log.head().await.map_err(|error| FeedError::caused_by("the log cannot be read", error))
    }
}
