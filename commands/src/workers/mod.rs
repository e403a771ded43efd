//! Workers: a work item in → a port → a command out, which completes the item in its own commit.
//!
//! One loop a lane claims as many items as it has free places. What goes wrong is tried again with full-jitter
//! backoff; a result is only ever reported under the attempt that the item was claimed with.

mod extraction;
mod reactions;
mod rubric;
mod scoring;

use std::{sync::Arc, time::Duration};

use starscreen_domain::{
    Actor,
    candidate::Failure,
    work::{Lane, Task},
};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    bus::{Bus, Context},
    error::CommandError,
    ports::{Llm, LlmError, Objects, ObjectsError, TextExtractor, Vault, VaultError},
    work::{Claimed, WorkQueue},
};

/// A lane looks for work this often even if nobody wakes it: for foreign commits and items whose pause is over.
const SLOW_POLL: Duration = Duration::from_millis(500);
/// Pause of a lane after its store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// First bound of the pause before an item is tried again; it doubles with each try.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Everything workers call.
#[derive(Clone)]
pub struct Ports {
    pub vault: Arc<dyn Vault>,
    pub objects: Arc<dyn Objects>,
    pub extractor: Arc<dyn TextExtractor>,
    pub llm: Arc<dyn Llm>,
}

/// Places a lane has, and for how long an item is given away.
#[derive(Clone, Copy, Debug)]
pub struct LaneSettings {
    pub parallel: usize,
    pub lease: Duration,
}

#[derive(Clone)]
pub struct Workers {
    pub bus: Bus,
    pub queue: WorkQueue,
    pub ports: Ports,
}

/// Why an item is not done.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    /// The rules say that the result is no longer wanted, or the item is somebody else's: nothing is left to do.
    #[error("no longer wanted: {0}")]
    Moot(CommandError),
    /// Worth another try; `counts` among the item's attempts unless somebody asked us to wait.
    #[error("{reason}")]
    Again { reason: String, after: Option<Duration>, counts: bool },
}

impl From<CommandError> for WorkError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Account(_)
            | CommandError::Candidate(_)
            | CommandError::EmailClaim(_)
            | CommandError::Job(_)
            | CommandError::Subscription(_)
            | CommandError::Usage(_)
            | CommandError::NotFound(_)
            | CommandError::KeyReused
            | CommandError::LeaseLost => Self::Moot(error),
            CommandError::Contended
            | CommandError::Unavailable(_)
            | CommandError::Unreadable(_)
            | CommandError::EventTooLarge { .. }
            | CommandError::Stopped => again(&error),
        }
    }
}

impl From<VaultError> for WorkError {
    fn from(error: VaultError) -> Self {
        again(&error)
    }
}

impl From<ObjectsError> for WorkError {
    fn from(error: ObjectsError) -> Self {
        again(&error)
    }
}

impl From<LlmError> for WorkError {
    fn from(error: LlmError) -> Self {
        let reason = error.to_string();
        match error {
            LlmError::Unavailable { retry_after, .. } => Self::Again { reason, after: retry_after, counts: true },
            LlmError::Unusable { .. } => Self::Again { reason, after: None, counts: true },
        }
    }
}

fn again(error: &dyn std::error::Error) -> WorkError {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    WorkError::Again { reason, after: None, counts: true }
}

impl Workers {
    /// Starts the loop of one lane; it ends, with its items, after `shutdown`.
    pub fn start(&self, lane: Lane, settings: LaneSettings, shutdown: CancellationToken, tracker: &TaskTracker) {
        let workers = self.clone();
        let items = tracker.clone();
        tracker.spawn(async move { workers.run(lane, settings, &shutdown, &items).await });
    }

    async fn run(&self, lane: Lane, settings: LaneSettings, shutdown: &CancellationToken, items: &TaskTracker) {
        let places = Arc::new(Semaphore::new(settings.parallel));
        while !shutdown.is_cancelled() {
            let free = places.available_permits();
            let claimed = match self.queue.claim(lane, free, settings.lease).await {
                Ok(claimed) => claimed,
                Err(error) => {
                    tracing::warn!(lane = %lane, error = %error, "the lane cannot claim work");
                    sleep(STORE_PAUSE).await;
                    continue;
                }
            };
            let idle = claimed.is_empty() || free == 0;
            for item in claimed {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let workers = self.clone();
                items.spawn(async move {
                    workers.work_off(&item).await;
                    drop(place);
                    workers.queue.wake(lane);
                });
            }
            if idle {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    _ = timeout(SLOW_POLL, self.queue.woken(lane)) => {}
                }
            }
        }
    }

    #[tracing::instrument(name = "worker.item", skip_all, fields(
        lane = %item.task.lane(), work.id = %item.lease.work_id, work.subject = %item.subject, tenant.id = %item.tenant
    ))]
    async fn work_off(&self, item: &Claimed) {
        let outcome = match item.task {
            Task::ExtractText => self.extract(item).await,
            Task::DrawUpRubric => self.draw_up_rubric(item).await,
            Task::Score => self.score(item).await,
            Task::ScoreWaiting => self.score_waiting(item).await,
            Task::AwaitRubric => self.await_rubric(item).await,
            Task::FailWaiting => self.fail_waiting(item).await,
            Task::DeleteCandidates => self.delete_candidates(item).await,
        };
        let ended = match outcome {
            Ok(()) => return,
            Err(WorkError::Moot(reason)) => {
                tracing::debug!(reason = %reason, "work item is no longer wanted");
                self.queue.complete(item.lease).await
            }
            Err(WorkError::Again { reason, after, counts }) => {
                let pause = after.unwrap_or_else(|| backoff(item.attempts));
                tracing::warn!(
                    reason,
                    work.attempts = item.attempts,
                    pause_ms = pause.as_millis(),
                    "work item will be tried again"
                );
                self.queue.give_back(item.lease, pause, &reason, counts).await
            }
        };
        if let Err(error) = ended {
            tracing::warn!(error = %error, "work item could not be given back; its lease will end");
        }
    }

    /// The context of a report on `item`, which is complete when the report is committed.
    fn report(&self, item: &Claimed) -> Context {
        Context { completes: Some(item.lease), ..self.on_behalf_of(item) }
    }

    /// The context of a command that `item` leads to and that does not complete it.
    fn on_behalf_of(&self, item: &Claimed) -> Context {
        Context {
            correlation_id: item.correlation_id,
            causation_id: Some(item.causation_id),
            urgent: item.urgent,
            ..Context::new(item.tenant, Actor::Worker(item.task.lane().name().to_owned()), chrono::Utc::now())
        }
    }

    async fn done(&self, item: &Claimed) -> Result<(), WorkError> {
        self.queue.complete(item.lease).await.map_err(|error| again(&error))?;
        Ok(())
    }
}

/// Full jitter, so that items which failed together do not come back together.
fn backoff(attempts: u32) -> Duration {
    let bound = FIRST_PAUSE.saturating_mul(1 << attempts.min(16)).min(LONGEST_PAUSE);
    bound.mul_f64(rand::random::<f64>())
}

fn failure(code: &str, sentence: &str) -> Failure {
    Failure { code: code.to_owned(), sentence: sentence.to_owned() }
}
