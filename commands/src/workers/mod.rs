//! Workers: a work item in → a port → a command out, which completes the item in its own commit.
//!
//! One loop a lane claims as many items as it has free places. What goes wrong is tried again with full-jitter
//! backoff; a result is only ever reported under the attempt that the item was claimed with.

mod extraction;
mod reactions;
mod rubric;
mod scoring;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
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
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Least pause where somebody asked for one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

const ERASED: &str = "The personal data of this candidate was erased.";

/// Everything workers call.
#[derive(Clone)]
pub struct Ports {
    pub vault: Arc<dyn Vault>,
    pub objects: Arc<dyn Objects>,
    pub extractor: Arc<dyn TextExtractor>,
    pub llm: Arc<dyn Llm>,
}

/// Places a lane has, and for how long an item is given away. Work that takes longer is cut and tried again: its report
/// would be refused, and what hangs must not keep its place.
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
            CommandError::Candidate(_)
            | CommandError::Job(_)
            | CommandError::NotFound(_)
            | CommandError::KeyReused
            | CommandError::LeaseLost => Self::Moot(error),
            // Rules that no report of ours can break, unless the history contradicts itself: not to be passed over.
            CommandError::Account(_)
            | CommandError::EmailClaim(_)
            | CommandError::Subscription(_)
            | CommandError::Usage(_)
            | CommandError::Contended
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
            LlmError::Unavailable { retry_after, .. } => {
                Self::Again { reason, after: retry_after, counts: retry_after.is_none() }
            }
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
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = places.acquire() => {} // only this loop takes places, so there is still one below
            }
            match self.queue.claim(lane, places.available_permits(), settings.lease).await {
                Ok(claimed) if claimed.is_empty() => {
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        _ = timeout(SLOW_POLL, self.queue.woken(lane)) => {}
                    }
                }
                Ok(claimed) => {
                    for item in claimed {
                        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                        let workers = self.clone();
                        items.spawn(async move {
                            workers.work_off(&item, settings.lease).await;
                            drop(place);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(lane = %lane, error = %error, "the lane cannot claim work");
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = sleep(STORE_PAUSE) => {}
                    }
                }
            }
        }
    }

    #[tracing::instrument(name = "worker.item", skip_all, fields(
        lane = %item.task.lane(), work.id = %item.lease.work_id, work.subject = %item.subject, tenant.id = %item.tenant
    ))]
    async fn work_off(&self, item: &Claimed, lease: Duration) {
        let outcome = match self.attempt(item, lease).await {
            Err(error @ WorkError::Again { counts: true, .. }) => self.give_up_or(item, error).await,
            outcome => outcome,
        };
        let ended = match outcome {
            Ok(()) => return,
            Err(WorkError::Moot(reason)) => {
                tracing::debug!(reason = %reason, "work item is no longer wanted");
                self.queue.complete(item.lease).await
            }
            Err(WorkError::Again { reason, after, counts }) => {
                let pause = after.map_or_else(|| backoff(item.attempts), spread);
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

    /// One try, cut when its lease is about to end. A panic is a failed try, not a lost place.
    async fn attempt(&self, item: &Claimed, lease: Duration) -> Result<(), WorkError> {
        let work = async {
            match item.task {
                Task::ExtractText => self.extract(item).await,
                Task::DrawUpRubric => self.draw_up_rubric(item).await,
                Task::Score => self.score(item).await,
                Task::ScoreWaiting => self.score_waiting(item).await,
                Task::AwaitRubric => self.await_rubric(item).await,
                Task::FailWaiting => self.fail_waiting(item).await,
                Task::DeleteCandidates => self.delete_candidates(item).await,
            }
        };
        let failed = |reason: &str, after| WorkError::Again { reason: reason.to_owned(), after, counts: true };
        match timeout(lease.mul_f64(0.9), AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panic)) => Err(failed("the worker panicked", None)), // the panic hook has said where
            Err(_elapsed) => Err(failed("the work was not done within its lease", Some(SHORTEST_PAUSE))),
        }
    }

    /// Ends an item that has failed too often by telling who waits for it; passes the error on while there are tries
    /// left. Our own reactions are tried for ever: nobody could be told.
    async fn give_up_or(&self, item: &Claimed, error: WorkError) -> Result<(), WorkError> {
        let max_attempts = match item.task {
            Task::ExtractText => extraction::MAX_ATTEMPTS,
            Task::DrawUpRubric => rubric::MAX_ATTEMPTS,
            Task::Score => scoring::MAX_ATTEMPTS,
            Task::ScoreWaiting | Task::AwaitRubric | Task::FailWaiting | Task::DeleteCandidates => return Err(error),
        };
        if item.attempts + 1 < max_attempts {
            return Err(error);
        }
        tracing::error!(reason = %error, work.attempts = item.attempts + 1, "work item is given up");
        match item.task {
            Task::ExtractText => self.give_up_extraction(item).await,
            Task::DrawUpRubric => self.give_up_rubric(item).await,
            Task::Score => self.give_up_scoring(item).await,
            Task::ScoreWaiting | Task::AwaitRubric | Task::FailWaiting | Task::DeleteCandidates => Err(error),
        }
    }

    async fn done(&self, item: &Claimed) -> Result<(), WorkError> {
        self.queue.complete(item.lease).await.map_err(|error| again(&error))?;
        Ok(())
    }
}

/// The context of a report on `item`, which is complete when the report is committed.
fn report(item: &Claimed) -> Context {
    Context { completes: Some(item.lease), ..on_behalf_of(item) }
}

/// The context of a command that `item` leads to and that does not complete it.
fn on_behalf_of(item: &Claimed) -> Context {
    Context {
        correlation_id: item.correlation_id,
        causation_id: Some(item.causation_id),
        urgent: item.urgent,
        ..Context::new(item.tenant, Actor::Worker(item.task.lane().name().to_owned()), chrono::Utc::now())
    }
}

/// Full jitter, so that items which failed together do not come back together.
fn backoff(attempts: u32) -> Duration {
    let bound = FIRST_PAUSE.saturating_mul(1 << attempts.min(16)).min(LONGEST_PAUSE);
    bound.mul_f64(rand::random::<f64>())
}

/// What somebody asked for, within reason, and not for all at the same moment.
fn spread(asked: Duration) -> Duration {
    asked.clamp(SHORTEST_PAUSE, LONGEST_PAUSE).mul_f64(1.0 + rand::random::<f64>() / 4.0)
}

fn erased() -> Failure {
    failure("erased", ERASED)
}

fn failure(code: &str, sentence: &str) -> Failure {
    Failure { code: code.to_owned(), sentence: sentence.to_owned() }
}
