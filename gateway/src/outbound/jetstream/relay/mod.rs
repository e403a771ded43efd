//! The relay: publishes every position of the log at the sequence of the same number.
//!
//! Position P is published on condition that the stream ends at P − 1. The stream's own end is therefore the relay's
//! checkpoint: a second relay, a stale one and a repetition are refused by arithmetic, and what the stream lost is
//! published again. One case arithmetic lets through: a message of somebody else in place P refuses only P, and those
//! behind it in the pipeline are taken. So after every failure, and at every start, the last places are compared with
//! the log before anything is published on top of them.

mod agree;
mod ahead;
mod status;

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::IntoFuture,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use async_nats::jetstream::{
    context::{PublishAckFuture, PublishError, PublishErrorKind},
    publish::PublishAck,
};
use chrono::{DateTime, Utc};
use futures::FutureExt;
use starscreen_commands::store::Log;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

pub use status::{Blocker, RelayStatus};

use super::{Topology, TopologyError};
use crate::http::chain;
use ahead::{Ahead, Message, Page, Stream};

/// Events read from the log at once.
const PAGE: usize = 256;
/// How often an idle relay looks whether the stream still ends where it should.
const IDLE_CHECK: Duration = Duration::from_secs(2);
/// How often an idle relay looks up from waiting.
const LOOK: Duration = Duration::from_millis(250);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// Positions that were published, in order, with their answers to come.
type Unanswered = VecDeque<(u64, <PublishAckFuture as IntoFuture>::IntoFuture)>;

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
        let mut ahead = Ahead::of(self.log.clone(), sent, self.stream());
        let mut unanswered = Unanswered::with_capacity(self.settings.window);
        let (mut connects, mut checked) = (self.connects(), Instant::now());
        loop {
            tokio::select! {
                biased;
                page = ahead.next() => {
                    let page = page?;
                    sent += page.messages.len() as u64;
                    self.note_waiting(sent, Some(page.oldest));
                    self.publish(page, &mut unanswered).await?;
                    continue;
                }
                answered = self.answered(&mut unanswered), if !unanswered.is_empty() => answered?,
                () = sleep(LOOK), if unanswered.is_empty() => {}
            }
            if unanswered.is_empty() {
                self.note_waiting(sent, None);
                if connects != self.connects() || checked.elapsed() > IDLE_CHECK {
                    (connects, checked) = (self.connects(), Instant::now());
                    self.ends_at(sent).await?;
                }
            }
        }
    }

    /// Publishes a page, never more than the window without an answer.
    async fn publish(&self, page: Page, unanswered: &mut Unanswered) -> Result<(), RelayError> {
        for Message { position, subject, publish } in page.messages {
            if unanswered.len() >= self.settings.window {
                self.answered(unanswered).await?;
            }
            let sent = self.topology.context().send_publish(subject, publish).await;
            let answer = sent.map_err(|source| RelayError::Publish { position, source })?;
            unanswered.push_back((position, answer.into_future()));
        }
        Ok(())
    }

    /// Waits for the oldest answer, and takes those behind it that are there. Each must say that the position is in its
    /// place. Nothing is lost when it is cut.
    async fn answered(&self, unanswered: &mut Unanswered) -> Result<(), RelayError> {
        let Some((position, answer)) = unanswered.front_mut() else { return Ok(()) };
        let mut published = self.in_its_place(*position, answer.await)?;
        unanswered.pop_front();
        while let Some((position, answer)) = unanswered.front_mut()
            && let Some(answer) = answer.now_or_never()
        {
            published = self.in_its_place(*position, answer)?;
            unanswered.pop_front();
        }
        self.status.send_modify(|status| status.published = published);
        Ok(())
    }

    fn in_its_place(&self, position: u64, answer: Result<PublishAck, PublishError>) -> Result<u64, RelayError> {
        let PublishAck { sequence, .. } = answer.map_err(|source| match self.topology.refused_for_space(&source) {
            Some(full) => full.into(),
            None => RelayError::Publish { position, source },
        })?;
        if sequence == position { Ok(position) } else { Err(RelayError::Misplaced { position, sequence }) }
    }

    async fn ends_at(&self, sent: u64) -> Result<(), RelayError> {
        let found = self.topology.state().await?.map(|state| state.last);
        if found == Some(sent) { Ok(()) } else { Err(RelayError::Moved { expected: sent, found }) }
    }

    fn stream(&self) -> Stream {
        let settings = self.topology.settings();
        let max_bytes = self.topology.client().max_payload();
        Stream { name: settings.name.clone(), subjects: settings.subjects.clone(), max_bytes }
    }

    fn connects(&self) -> u64 {
        self.topology.client().statistics().connects.load(Ordering::Relaxed)
    }

    /// What is left to publish now: up to `head`, the oldest recorded then.
    fn note_waiting(&self, head: u64, oldest: Option<DateTime<Utc>>) {
        self.status.send_if_modified(|status| {
            let head = head.max(status.head);
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
