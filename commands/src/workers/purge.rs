//! Ending the work of a lane because an operator says so. Nothing is lost: every item ends by a command, as if it had
//! been given up, and lands among the dead, from where it can be redriven.

use std::time::Duration;

use chrono::Utc;
use starscreen_domain::{
    Actor, AttemptId, CandidateId, JobId, TenantId,
    candidate::{Candidate, Failure},
    job::Job,
    work::{Lane, Task},
};
use uuid::Uuid;

use super::{PURGED, WorkError, extraction, failure, report, rubric, scoring, webhook};
use crate::{
    append::Lease,
    bus::{Bus, Context},
    db::Scope,
    error::CommandError,
    work::{Claimed, Tried, WorkQueue},
};

/// Items taken in one transaction.
const AT_ONCE: i64 = 200;
/// A purge that is cut off gives its items back after this time.
const LEASE: Duration = Duration::from_mins(1);

const RESUME: &str = "An operator took this resume out of the queue before it was read. It can be tried again.";
const SCORE: &str = "An operator took this resume out of the queue before it was scored. It can be tried again.";
const RUBRIC: &str = "An operator took this job out of the queue before its rubric was drawn up. Save the job's \
                      description again, or ask the operator to try again.";

/// What a purge has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Ended as failed.
    pub failed: u64,
    /// Nobody wanted them any more.
    pub moot: u64,
    /// Left alone: a worker has them in hand.
    pub in_hand: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    #[error(
        "lane {0} cannot be purged: its items are the product's own follow-ups to events, such as deleting the \
         candidates of a deleted job, and nobody could be told that they failed; pause it instead"
    )]
    OwnFollowUps(Lane),
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Ends all items that were in the lane when it began, but for those that a worker has in hand.
///
/// # Errors
/// [`PurgeError::OwnFollowUps`], or when the store fails; what was ended stays ended.
pub async fn purge(
    bus: &Bus,
    queue: &WorkQueue,
    lane: Lane,
    mut progress: impl FnMut(Purged) + Send,
) -> Result<Purged, PurgeError> {
    if let Lane::React | Lane::Clock | Lane::Billing = lane {
        return Err(PurgeError::OwnFollowUps(lane));
    }
    let begun_ms = Utc::now().timestamp_millis();
    let mut purged = Purged::default();
    loop {
        let items = take(queue, lane, begun_ms).await.map_err(CommandError::from)?;
        if items.is_empty() {
            break;
        }
        for item in items {
            match end(bus, &item).await {
                Ok(()) => purged.failed += 1,
                Err(WorkError::Moot(CommandError::LeaseLost)) => {}
                Err(WorkError::Moot(_)) => {
                    queue.complete(item.lease).await.map_err(CommandError::from)?;
                    purged.moot += 1;
                }
                Err(
                    WorkError::Again { reason, .. } | WorkError::Held { reason, .. } | WorkError::Refused { reason },
                ) => {
                    // Those behind it come back by themselves when their lease ends.
                    let back = queue.give_back(item.lease, Duration::ZERO, &reason, Tried::NotCounted).await;
                    back.map_err(CommandError::from)?;
                    return Err(CommandError::Unavailable(reason_as_error(reason)).into());
                }
            }
        }
        progress(purged);
    }
    purged.in_hand = queue.count(lane).await.map_err(CommandError::from)?.leased;
    Ok(purged)
}

fn reason_as_error(reason: String) -> std::sync::Arc<dyn std::error::Error + Send + Sync> {
    let error: Box<dyn std::error::Error + Send + Sync> = reason.into();
    error.into()
}

/// Ends one item by the command that ends it when it is given up.
async fn end(bus: &Bus, item: &Claimed) -> Result<(), WorkError> {
    let context = Context { actor: Actor::Operator, at: Utc::now(), ..report(item) };
    let purged = |sentence: &str| -> Failure { failure(PURGED, sentence) };
    match item.task {
        Task::ExtractText => {
            extraction::end_extraction(bus, context, item, CandidateId(item.subject), purged(RESUME)).await
        }
        Task::DrawUpRubric => {
            let id = JobId(item.subject);
            let revision = bus.read::<Job>(item.tenant, id).await?.revision;
            rubric::end_rubric(bus, context, item, id, revision, purged(RUBRIC)).await
        }
        Task::Score => {
            let id = CandidateId(item.subject);
            let requested = bus.read::<Candidate>(item.tenant, id).await?.requested;
            scoring::end_scoring(bus, context, item, id, requested, purged(SCORE)).await
        }
        Task::FollowWebhook => {
            let reason = "an operator took it out of the queue".to_owned();
            webhook::end_webhook(bus, context, item, PURGED, reason).await
        }
        // No notice, and it is asked for again by itself.
        Task::FollowCustomer => Err(WorkError::Moot(CommandError::NotFound("notice"))),
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
        | Task::FollowDaily => {
            Err(WorkError::Refused { reason: PurgeError::OwnFollowUps(item.task.lane()).to_string() })
        }
    }
}

type Row = (Uuid, i64, Uuid, Uuid, String, i64, Uuid, Uuid, i64, Option<i64>, Option<String>);

/// Leases items that no worker has, those too that wait for their time and those of a paused lane.
async fn take(queue: &WorkQueue, lane: Lane, begun_ms: i64) -> Result<Vec<Claimed>, sqlx::Error> {
    const FREE: &str = "SELECT id, urgent, tenant_id, subject, task, attempts, correlation_id, causation_id,
            created_at_ms, failing_since_ms, last_error FROM work
        WHERE lane = $1 AND created_at_ms <= $2 AND (lease IS NULL OR free_at_ms <= $3)
        ORDER BY created_at_ms, id LIMIT $4";
    const TAKE: &str = "UPDATE work SET lease = $1, free_at_ms = $2 WHERE id = $3";
    let now_ms = Utc::now().timestamp_millis();
    let until_ms = now_ms + i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
    let mut tx = queue.db().begin(Scope::All).await?;
    let rows: Vec<Row> =
        tx.fetch(FREE, vec![lane.name().into(), begun_ms.into(), now_ms.into(), AT_ONCE.into()]).await?;
    let mut taken = Vec::with_capacity(rows.len());
    for row in rows {
        let (
            id,
            urgent,
            tenant,
            subject,
            task,
            attempts,
            correlation_id,
            causation_id,
            asked_ms,
            failing_ms,
            last_error,
        ) = row;
        let attempt = AttemptId(Uuid::now_v7());
        tx.execute(TAKE, vec![attempt.0.into(), until_ms.into(), id.into()]).await?;
        let Ok(task) = serde_json::from_str(&task) else { continue }; // a newer version's: its lease ends by itself
        taken.push(Claimed {
            lease: Lease { work_id: id, attempt },
            tenant: TenantId(tenant),
            urgent: urgent != 0,
            subject,
            task,
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            asked_at: chrono::DateTime::from_timestamp_millis(asked_ms).unwrap_or_default(),
            failing_since: failing_ms.and_then(chrono::DateTime::from_timestamp_millis),
            last_error,
            correlation_id,
            causation_id,
        });
    }
    tx.commit().await?;
    Ok(taken)
}
