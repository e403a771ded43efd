//! Workers: a work item in → a port → a command out, which completes the item in its own commit.
//!
//! One loop a lane claims as many items as it has free places. What goes wrong is tried again with full-jitter
//! backoff; a result is only ever reported under the attempt that the item was claimed with.

mod billing;
mod clock;
mod extraction;
pub mod purge;
mod reactions;
mod rubric;
mod scoring;
mod standing;
mod verify;
mod webhook;

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use starscreen_domain::{
    Actor, EventId,
    candidate::Failure,
    usage::Metered,
    work::{Lane, Task},
};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    append::DeadWork,
    bus::{Bus, Context},
    catalog::Catalog,
    error::CommandError,
    ports::{Llm, LlmError, Objects, ObjectsError, Payments, TextExtractor, Vault, VaultError},
    work::{Claimed, Tried, WorkQueue},
};
use standing::Standing;

/// A lane looks for work this often even if nobody wakes it: for foreign commits and items whose pause is over.
const SLOW_POLL: Duration = Duration::from_millis(500);
/// As [`SLOW_POLL`], for what is due at a time: there is something for every tenant, and nothing depends on it.
const CLOCK_POLL: Duration = Duration::from_secs(5);
/// Pause of a lane after its store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_STORE_PAUSE: Duration = Duration::from_secs(20);
/// First bound of the pause before an item is tried again; it doubles with each try.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long a system may be down before what waits for it fails.
const LONGEST_OUTAGE: Duration = Duration::from_hours(24);
/// First pause of an item that was refused itself; it doubles with each refusal.
const FIRST_REFUSED_PAUSE: Duration = Duration::from_mins(2);
/// A lane that was refused tries again this often.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);
/// A wait from which on the lane's pause is for everybody to see, although nothing is known to be down.
const LONG_WAIT: Duration = Duration::from_mins(1);
/// How much longer than its lane an item waits that could not be tried, so that another is the next to try.
const BEHIND_OTHERS: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Least pause where somebody asked for one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Code of what ended because an operator purged its work.
pub(crate) const PURGED: &str = "purged";
/// Code of candidates that failed because their job has no rubric.
const RUBRIC_FAILED: &str = "rubric_failed";
/// Code of metered usage that the payment provider refuses.
const METERING_DECLINED: &str = "metering_declined";
const ERASED: &str = "The personal data of this candidate was erased.";

/// Everything workers call.
#[derive(Clone)]
pub struct Ports {
    pub vault: Arc<dyn Vault>,
    pub objects: Arc<dyn Objects>,
    pub extractor: Arc<dyn TextExtractor>,
    pub llm: Arc<dyn Llm>,
    /// `None`: nobody can pay.
    pub payments: Option<Arc<dyn Payments>>,
    pub catalog: Arc<Catalog>,
}

/// For how long an item is given away at a time. Its worker prolongs that while it works; what a dead one had in hand
/// goes on elsewhere when it is over.
pub const HOLD: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug)]
pub struct LaneSettings {
    /// Places the lane has.
    pub parallel: usize,
    /// Work that takes longer is cut and tried again: what hangs must not keep its place.
    pub at_most: Duration,
    /// [`HOLD`], or less.
    pub hold: Duration,
}

#[derive(Clone)]
pub struct Workers {
    pub bus: Bus,
    pub queue: WorkQueue,
    pub ports: Ports,
    standings: Arc<[Standing; Lane::ALL.len()]>,
}

/// Why an item is not done.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    /// The rules say that the result is no longer wanted, or the item is somebody else's: nothing is left to do.
    #[error("no longer wanted: {0}")]
    Moot(CommandError),
    /// Worth another try, within `budget`.
    #[error("{reason}")]
    Again { reason: String, after: Option<Duration>, budget: Budget },
    /// What it needs takes no calls for a while: the whole lane waits.
    #[error("{reason}")]
    Held { reason: String, wait: Duration, is_down: bool },
    /// No try can help before somebody mends something: the whole lane waits.
    #[error("{reason}")]
    Refused { reason: String },
}

/// How long an item is tried before whoever waits for it is told that it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Budget {
    /// A number of tries: the fault may well be the item's own.
    Tries,
    /// A day: the fault is of a system that is down, and it will come back.
    Time,
    /// A number of refusals, minutes apart: what is wrong may be mended where it is refused.
    Refusals,
}

impl WorkError {
    fn budget(&self) -> Option<Budget> {
        match self {
            Self::Again { budget, .. } => Some(*budget),
            Self::Held { .. } => Some(Budget::Time),
            Self::Moot(_) | Self::Refused { .. } => None,
        }
    }
}

impl From<CommandError> for WorkError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Candidate(_)
            | CommandError::Job(_)
            | CommandError::Webhook(_)
            | CommandError::NotFound(_)
            | CommandError::KeyReused
            | CommandError::LeaseLost => Self::Moot(error),
            // Rules that no report of ours can break, unless the history contradicts itself: not to be passed over.
            CommandError::Account(_)
            | CommandError::EmailClaim(_)
            | CommandError::Subscription(_)
            | CommandError::Usage(_)
            | CommandError::Customer(_)
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
        Self::Again { reason: told(&error), after: None, budget: Budget::Time }
    }
}

impl From<LlmError> for WorkError {
    fn from(error: LlmError) -> Self {
        let reason = error.to_string();
        match error {
            LlmError::Unavailable { retry_after, .. } => {
                Self::Again { reason, after: retry_after, budget: Budget::Time }
            }
            LlmError::Held { wait, is_down, .. } => Self::Held { reason, wait, is_down },
            LlmError::Refused { .. } => Self::Refused { reason },
            LlmError::Unusable { .. } => Self::Again { reason, after: None, budget: Budget::Tries },
        }
    }
}

fn again(error: &dyn std::error::Error) -> WorkError {
    WorkError::Again { reason: told(error), after: None, budget: Budget::Tries }
}

/// The error and what caused it, on one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    reason
}

impl Workers {
    pub fn new(bus: Bus, queue: WorkQueue, ports: Ports) -> Self {
        Self { bus, queue, ports, standings: Arc::default() }
    }

    /// Starts the loop of one lane; it ends, with its items, after `shutdown`.
    pub fn start(&self, lane: Lane, settings: LaneSettings, shutdown: CancellationToken, tracker: &TaskTracker) {
        let workers = self.clone();
        let items = tracker.clone();
        tracker.spawn(async move { workers.run(lane, settings, &shutdown, &items).await });
    }

    async fn run(&self, lane: Lane, settings: LaneSettings, shutdown: &CancellationToken, items: &TaskTracker) {
        let places = Arc::new(Semaphore::new(settings.parallel));
        self.take_over_pause(lane).await;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = places.acquire() => {} // only this loop takes places, so there is still one below
            }
            let claimed = match self.standing(lane).room(places.available_permits()) {
                0 => Ok(vec![]),
                room => self.queue.claim(lane, room, settings.hold).await,
            };
            match claimed {
                Ok(claimed) if claimed.is_empty() => {
                    self.let_go_if_empty(lane).await;
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        _ = timeout(poll_of(lane), self.queue.woken(lane)) => {}
                    }
                }
                Ok(claimed) => {
                    for item in claimed {
                        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                        let workers = self.clone();
                        let tries = self.standing(lane).begin();
                        items.spawn(async move {
                            workers.work_off(&item, settings).await;
                            if tries {
                                workers.standing(lane).end();
                            }
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
    async fn work_off(&self, item: &Claimed, settings: LaneSettings) {
        let lane = item.task.lane();
        let error = match self.attempt(item, settings).await {
            Ok(()) => return,
            Err(WorkError::Refused { reason }) if self.standing(lane).answered_since_refusal() => {
                WorkError::Again { reason, after: Some(REFUSED_PAUSE), budget: Budget::Tries }
            }
            Err(error) => error,
        };
        let outcome = match error.budget() {
            Some(budget) => self.give_up_or(item, error, budget).await,
            None => Err(error),
        };
        match outcome {
            Ok(()) => {}
            Err(WorkError::Moot(reason)) => {
                tracing::debug!(reason = %reason, "work item is no longer wanted");
                if let Err(error) = self.queue.complete(item.lease).await {
                    tracing::warn!(error = %error, "work item could not be completed; its lease will end");
                }
            }
            Err(WorkError::Again { reason, after, budget }) => {
                let (pause, tried) = match budget {
                    Budget::Refusals => (after_refusal(item.attempts), Tried::Counted),
                    // Of these only refusals are counted.
                    Budget::Tries if is_metering(&item.task) => {
                        (after.map_or_else(|| outwait(item), spread), Tried::Down)
                    }
                    Budget::Tries => (after.map_or_else(|| backoff(item.attempts), spread), Tried::Counted),
                    Budget::Time => (after.map_or_else(|| outwait(item), spread), Tried::Down),
                };
                tracing::warn!(
                    reason,
                    work.attempts = item.attempts,
                    pause_ms = pause.as_millis(),
                    "work item will be tried again"
                );
                self.give_back(item, pause, &reason, tried).await;
            }
            Err(WorkError::Held { reason, wait, is_down }) if is_down || wait >= LONG_WAIT => {
                if self.pause_lane(lane, &reason, wait).await {
                    tracing::warn!(lane = %lane, reason, "the lane is paused; it goes on by itself");
                }
                self.give_back(item, wait + BEHIND_OTHERS, &reason, Tried::Down).await;
            }
            Err(WorkError::Held { reason, wait, .. }) => {
                self.hold_briefly(lane, &reason, wait);
                self.give_back(item, wait, &reason, Tried::Down).await;
            }
            // Nothing becomes FAILED by a refusal of all.
            Err(WorkError::Refused { reason }) => {
                if self.pause_lane(lane, &reason, REFUSED_PAUSE).await {
                    tracing::error!(
                        lane = %lane,
                        reason,
                        "the lane is paused: this needs a person; it goes on by itself once mended"
                    );
                }
                self.give_back(item, REFUSED_PAUSE + BEHIND_OTHERS, &reason, Tried::NotCounted).await;
            }
        }
    }

    /// Gives an item back, and stays at it while the store is out of reach: else it would wait out its lease.
    async fn give_back(&self, item: &Claimed, pause: Duration, reason: &str, tried: Tried) {
        let mut wait = STORE_PAUSE;
        loop {
            let Err(error) = self.queue.give_back(item.lease, pause, reason, tried).await else { return };
            if wait > LONGEST_STORE_PAUSE {
                return tracing::warn!(error = %error, "work item could not be given back; its lease will end");
            }
            sleep(wait).await;
            wait *= 2;
        }
    }

    /// One try, cut when its time is up; the item is held meanwhile. A panic is a failed try, not a lost place.
    async fn attempt(&self, item: &Claimed, settings: LaneSettings) -> Result<(), WorkError> {
        let work = async {
            match item.task {
                Task::ExtractText => self.extract(item).await,
                Task::DrawUpRubric => self.draw_up_rubric(item).await,
                Task::Score => self.score(item).await,
                Task::ScoreWaiting => self.score_waiting(item).await,
                Task::AwaitRubric => self.await_rubric(item).await,
                Task::FailWaiting => self.fail_waiting(item).await,
                Task::DeleteCandidates => self.delete_candidates(item).await,
                Task::ClosePeriod => self.close_period(item).await,
                Task::ApplyScheduledChange => self.apply_scheduled_change(item).await,
                Task::InformProvider => self.inform_provider(item).await,
                Task::PlaceOrder => self.place_order(item).await,
                Task::MeterOverage { quantity, at } => {
                    self.meter_overage(item, EventId(item.causation_id), Metered { quantity, at }).await
                }
                Task::MeterAgain { entry, quantity, at } => {
                    self.meter_overage(item, entry, Metered { quantity, at }).await
                }
                Task::FollowDaily => self.follow_daily(item).await,
                Task::FollowWebhook => self.follow_webhook(item).await,
                Task::FollowCustomer => self.follow_customer(item).await,
            }
        };
        let failed = |reason: &str, after| WorkError::Again { reason: reason.to_owned(), after, budget: Budget::Tries };
        let work = AssertUnwindSafe(work).catch_unwind();
        let held = async {
            tokio::select! {
                biased;
                outcome = work => outcome,
                never = self.hold(item, settings.hold) => match never {},
            }
        };
        match timeout(settings.at_most, held).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panic)) => Err(failed("the worker panicked", None)), // the panic hook has said where
            Err(_elapsed) => Err(failed("the work took too long", Some(SHORTEST_PAUSE))),
        }
    }

    /// Ends an item that has failed too often by telling who waits for it; passes the error on while there are tries
    /// left. Our own reactions are tried for ever, since nobody could be told, and so is what the payment provider has to
    /// be told; what of that it refuses is given up where it is told.
    async fn give_up_or(&self, item: &Claimed, error: WorkError, budget: Budget) -> Result<(), WorkError> {
        let max_attempts = match item.task {
            Task::ExtractText => extraction::MAX_ATTEMPTS,
            Task::DrawUpRubric => rubric::MAX_ATTEMPTS,
            Task::Score => scoring::MAX_ATTEMPTS,
            Task::FollowWebhook | Task::FollowCustomer => webhook::MAX_ATTEMPTS,
            Task::ScoreWaiting
            | Task::AwaitRubric
            | Task::FailWaiting
            | Task::DeleteCandidates
            | Task::ClosePeriod
            | Task::ApplyScheduledChange
            | Task::InformProvider
            | Task::PlaceOrder
            | Task::MeterOverage { .. }
            | Task::MeterAgain { .. }
            | Task::FollowDaily => return Err(error),
        };
        let spent = match budget {
            Budget::Tries | Budget::Refusals => item.attempts + 1 >= max_attempts,
            Budget::Time => down_for(item) >= LONGEST_OUTAGE,
        };
        if !spent {
            return Err(error);
        }
        tracing::error!(reason = %error, work.attempts = item.attempts + 1, "work item is given up");
        match item.task {
            Task::ExtractText => self.give_up_extraction(item).await,
            Task::DrawUpRubric => self.give_up_rubric(item).await,
            Task::Score => self.give_up_scoring(item).await,
            Task::FollowWebhook => self.give_up_webhook(item, &error.to_string()).await,
            Task::FollowCustomer => self.done(item).await, // tomorrow is another day
            Task::ScoreWaiting
            | Task::AwaitRubric
            | Task::FailWaiting
            | Task::DeleteCandidates
            | Task::ClosePeriod
            | Task::ApplyScheduledChange
            | Task::InformProvider
            | Task::PlaceOrder
            | Task::MeterOverage { .. }
            | Task::MeterAgain { .. }
            | Task::FollowDaily => Err(error),
        }
    }

    /// Prolongs the item's lease again and again. A short one is enough then, so that what a dead process had in hand
    /// goes on elsewhere soon. A lease that was lost stays lost: the report of the work will be refused.
    async fn hold(&self, item: &Claimed, hold: Duration) -> Infallible {
        loop {
            sleep(hold / 3).await;
            match self.queue.extend(item.lease, hold).await {
                Ok(true) => {}
                Ok(false) => std::future::pending().await,
                Err(error) => tracing::debug!(error = %error, "a lease could not be prolonged"),
            }
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

/// How often a lane looks without being woken.
fn poll_of(lane: Lane) -> Duration {
    match lane {
        Lane::Extract | Lane::Rubric | Lane::Score | Lane::React | Lane::Billing | Lane::Webhook => SLOW_POLL,
        Lane::Clock => CLOCK_POLL,
    }
}

/// Full jitter, so that items which failed together do not come back together.
fn backoff(attempts: u32) -> Duration {
    let bound = FIRST_PAUSE.saturating_mul(1 << attempts.min(16)).min(LONGEST_PAUSE);
    bound.mul_f64(rand::random::<f64>())
}

/// How long the system that the item needs has been down for it.
fn down_for(item: &Claimed) -> Duration {
    item.failing_since.and_then(|since| (chrono::Utc::now() - since).to_std().ok()).unwrap_or_default()
}

/// As [`backoff`], growing with the outage.
fn outwait(item: &Claimed) -> Duration {
    down_for(item).clamp(FIRST_PAUSE, LONGEST_PAUSE).mul_f64(rand::random::<f64>())
}

fn after_refusal(refusals: u32) -> Duration {
    let pause = FIRST_REFUSED_PAUSE.saturating_mul(1 << refusals.min(16));
    pause.mul_f64(1.0 + rand::random::<f64>() / 4.0)
}

fn is_metering(task: &Task) -> bool {
    matches!(task, Task::MeterOverage { .. } | Task::MeterAgain { .. })
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

/// What is noted of an item that is given up for a technical reason, which a redrive may mend. A file's own fault is no
/// matter for an operator.
fn dead(item: &Claimed, code: &str) -> Option<DeadWork> {
    let technical = code.ends_with("_unavailable") || [RUBRIC_FAILED, METERING_DECLINED, PURGED].contains(&code);
    technical.then(|| DeadWork {
        // Whoever failed for want of a rubric is found among those that wanted a score.
        lane: if code == RUBRIC_FAILED { Lane::Score } else { item.task.lane() },
        tenant_id: item.tenant,
        subject: item.subject,
        code: code.to_owned(),
        attempts: item.attempts + 1,
        last_error: item.last_error.clone().unwrap_or_default(),
    })
}
