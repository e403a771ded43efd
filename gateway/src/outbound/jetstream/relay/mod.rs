//! The relay: publishes every position of the log at the sequence of the same number.
//!
//! Position P is published on condition that the stream ends at P − 1. The stream's own end is therefore the relay's
//! checkpoint: a second relay, a stale one and a repetition are refused by arithmetic, and what the stream lost is
//! published again. One case arithmetic lets through: a message of somebody else in place P refuses only P, and those
//! behind it in the pipeline are taken. So after every failure, and at every start, the last places are compared with
//! the log before anything is published on top of them.

mod agree;
mod status;

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use async_nats::jetstream::{
    context::{PublishAckFuture, PublishError, PublishErrorKind},
    message::PublishMessage,
};
use chrono::Utc;
use starscreen_commands::store::{Log, RawEvent};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

pub use status::{Blocker, RelayStatus};

use super::{Topology, TopologyError, message::EventMessage};
use crate::http::chain;

/// Events read from the log at once.
const PAGE: usize = 256;
/// How often an idle relay looks whether the stream still ends where it should.
const IDLE_CHECK: Duration = Duration::from_secs(2);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// Messages published and not acknowledged yet, at most.
    pub window: usize,
    /// A lost stream is filled again with this many of the newest events at most; `None`: with the whole history.
    pub refill: Option<u64>,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self { window: 256, refill: None }
    }
}

/// Why the relay stopped publishing. It always begins again.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error("the log cannot be read")]
    Log(#[from] sqlx::Error),
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error("position {position} was not taken by the stream")]
    Publish { position: u64, source: PublishError },
    #[error("position {position} was taken as sequence {sequence}")]
    Misplaced { position: u64, sequence: u64 },
    #[error("the log goes on with position {found} where {expected} should be")]
    Gap { expected: u64, found: u64 },
    #[error("the stream ends at {found:?}, not at {expected} where it was left")]
    Moved { expected: u64, found: Option<u64> },
}

impl RelayError {
    fn blocker(&self) -> Blocker {
        match self {
            Self::Log(_) | Self::Gap { .. } => Blocker::Log,
            Self::Topology(TopologyError::Unreachable { .. }) => Blocker::Unreachable,
            Self::Topology(TopologyError::NoRoom { .. }) => Blocker::Space,
            Self::Topology(TopologyError::Refused { .. }) => Blocker::Refused,
            Self::Publish { source, .. } => match source.kind() {
                PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => Blocker::Unreachable,
                PublishErrorKind::StreamNotFound | PublishErrorKind::WrongLastSequence => Blocker::Stream,
                _ => Blocker::Refused,
            },
            Self::Topology(TopologyError::Fixed { .. } | TopologyError::NoStream(_))
            | Self::Misplaced { .. }
            | Self::Moved { .. } => Blocker::Stream,
        }
    }
}

/// Publishes the log; one at a time is enough, two do no harm.
pub struct Relay {
    log: Log,
    topology: Topology,
    settings: RelaySettings,
    status: watch::Sender<RelayStatus>,
}

impl Relay {
    pub fn new(log: Log, topology: Topology, settings: RelaySettings) -> Self {
        Self { log, topology, settings, status: watch::Sender::default() }
    }

    pub fn status(&self) -> watch::Receiver<RelayStatus> {
        self.status.subscribe()
    }

    /// Publishes until it is stopped, through every loss of connection.
    pub async fn run(&self, stop: &CancellationToken) {
        stop.run_until_cancelled(self.publish_for_ever()).await;
    }

    async fn publish_for_ever(&self) {
        let mut doubted = u64::MAX;
        let mut retry = FIRST_RETRY;
        loop {
            let begun = self.status.borrow().published;
            let Err(error) = self.session(&mut doubted).await;
            if self.status.borrow().published > begun {
                retry = FIRST_RETRY;
            }
            self.note_failure(&error).await;
            sleep(retry).await;
            retry = (retry * 2).min(LAST_RETRY);
        }
    }

    /// Throws the stream away and publishes the log again, up to its present end.
    ///
    /// # Errors
    /// A [`RelayError`]; the relay role goes on where this stopped.
    pub async fn rebuild_stream(&self) -> Result<RelayStatus, RelayError> {
        let head = self.log.head().await?;
        self.recreate(self.first_to_fill(head)).await?;
        let mut doubted = u64::MAX;
        let mut status = self.status();
        loop {
            tokio::select! {
                Err(error) = self.session(&mut doubted) => match error {
                    // A relay beside this one was faster; what it published counts as well.
                    RelayError::Publish { .. } | RelayError::Misplaced { .. } | RelayError::Moved { .. } => {}
                    error => return Err(error),
                },
                reached = status.wait_for(|status| status.published >= head) => {
                    return Ok(reached.map(|status| status.clone()).unwrap_or_default());
                }
            }
        }
    }

    /// One unbroken run: agree with the stream on its end, then publish behind it. `doubted` is the first place that
    /// was published without knowing what became of it.
    async fn session(&self, doubted: &mut u64) -> Result<Infallible, RelayError> {
        let sent = self.agree(*doubted).await?;
        *doubted = u64::MAX;
        self.note_recovery();
        let result = self.publish_behind(sent).await;
        *doubted = self.status.borrow().published + 1;
        result
    }

    async fn publish_behind(&self, mut sent: u64) -> Result<Infallible, RelayError> {
        let mut unanswered = VecDeque::with_capacity(self.settings.window);
        let max_bytes = self.topology.client().max_payload();
        let (mut connects, mut checked) = (self.connects(), Instant::now());
        loop {
            let events = self.log.read_raw(sent, PAGE).await?;
            self.note_waiting(sent, &events);
            for event in &events {
                if event.position != sent + 1 {
                    return Err(RelayError::Gap { expected: sent + 1, found: event.position });
                }
                if unanswered.len() >= self.settings.window {
                    self.answered(&mut unanswered).await?;
                }
                let answer = self.send(event, max_bytes).await?;
                unanswered.push_back((event.position, answer));
                sent = event.position;
            }
            if !events.is_empty() {
                continue;
            }
            while !unanswered.is_empty() {
                self.answered(&mut unanswered).await?;
            }
            if connects != self.connects() || checked.elapsed() > IDLE_CHECK {
                (connects, checked) = (self.connects(), Instant::now());
                let found = self.topology.state().await?.map(|state| state.last);
                if found != Some(sent) {
                    return Err(RelayError::Moved { expected: sent, found });
                }
            }
            self.log.wait(sent).await;
        }
    }

    async fn send(&self, event: &RawEvent, max_bytes: usize) -> Result<PublishAckFuture, RelayError> {
        let settings = self.topology.settings();
        let message = EventMessage::new(&settings.subjects, event, max_bytes);
        let publish = PublishMessage::build()
            .headers(message.headers)
            .payload(message.payload.into())
            .expected_stream(&settings.name)
            .expected_last_sequence(event.position - 1);
        let sent = self.topology.context().send_publish(message.subject, publish).await;
        sent.map_err(|source| RelayError::Publish { position: event.position, source })
    }

    /// Waits for the oldest answer; it must say that the position is in its place.
    async fn answered(&self, unanswered: &mut VecDeque<(u64, PublishAckFuture)>) -> Result<(), RelayError> {
        let Some((position, answer)) = unanswered.pop_front() else { return Ok(()) };
        let ack = answer.await.map_err(|source| match self.topology.refused_for_space(&source) {
            Some(full) => full.into(),
            None => RelayError::Publish { position, source },
        })?;
        if ack.sequence != position {
            return Err(RelayError::Misplaced { position, sequence: ack.sequence });
        }
        self.status.send_modify(|status| status.published = position);
        Ok(())
    }

    fn connects(&self) -> u64 {
        self.topology.client().statistics().connects.load(Ordering::Relaxed)
    }

    fn note_waiting(&self, sent: u64, events: &[RawEvent]) {
        self.status.send_if_modified(|status| {
            let head = events.last().map_or(sent, |event| event.position).max(status.head);
            let oldest = events.first().map(|event| event.recorded_at);
            let changed = status.head != head || status.oldest_waiting != oldest;
            (status.head, status.oldest_waiting) = (head, oldest);
            changed
        });
    }

    fn note_recovery(&self) {
        let blocked_since = self.status.borrow().blocked_since;
        if let Some(since) = blocked_since {
            let blocked_ms = (Utc::now() - since).num_milliseconds();
            tracing::info!(blocked_ms, "the relay publishes again");
        }
        self.status.send_modify(|status| {
            status.blocked_since = None;
            (status.blocked_by, status.last_error) = (None, None);
        });
    }

    async fn note_failure(&self, error: &RelayError) {
        let (text, blocker) = (chain(error), error.blocker());
        let is_news = self.status.borrow().last_error.as_ref() != Some(&text);
        match blocker {
            _ if !is_news => {}
            // These pass by themselves, or the log's own alarm tells of them.
            Blocker::Unreachable | Blocker::Stream | Blocker::Log => {
                tracing::warn!(error = %text, "the relay cannot publish; it tries again");
            }
            Blocker::Space | Blocker::Refused => {
                tracing::error!(
                    relay.blocked_by = blocker.name(),
                    error = %text,
                    "alarm: events are not distributed until somebody mends this; the relay tries again"
                );
            }
        }
        // The backlog grows meanwhile; operators want to see by how much.
        let published = self.status.borrow().published;
        let head = self.log.head().await.ok();
        let oldest =
            self.log.read_raw(published, 1).await.ok().and_then(|events| events.first().map(|e| e.recorded_at));
        self.status.send_modify(|status| {
            (status.blocked_by, status.last_error) = (Some(blocker), Some(text));
            status.blocked_since.get_or_insert_with(Utc::now);
            status.head = head.unwrap_or(status.head);
            status.oldest_waiting = oldest;
        });
    }
}
