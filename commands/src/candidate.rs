//! Use cases of candidates: what people ask for. What workers report is in [`crate::workers`].

use serde::{Deserialize, Serialize};
use starscreen_domain::{
    CandidateId, JobId, TenantId, UsageId,
    candidate::{Candidate, CandidateError, DeleteCandidate, DeletionReason, UploadResume},
    subscription::Subscription,
    usage::{CommitSlot, PeriodTerms, ReleaseReason, ReleaseSlot, ReserveSlots, Usage},
};
use uuid::Uuid;

use crate::{
    append::{NewCandidate, NewKey},
    bus::{Bus, Committed, Context, Unit},
    error::CommandError,
    job,
};

/// A resume whose file is already stored, encrypted by a key that is committed with it.
#[derive(Clone, Debug)]
pub struct Upload {
    pub candidate: CandidateId,
    pub key: NewKey,
    /// `usage_id` is filled in here: the period is that of the commit.
    pub command: UploadResume,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Uploaded {
    pub candidate: CandidateId,
    pub job: JobId,
    /// The work item that reads the file.
    pub task: Uuid,
    /// Slots left in the billing period after this one; `None`: no limit.
    pub remaining: Option<u32>,
}

/// Takes in one resume: its slot and its upload in one commit, or neither.
///
/// # Errors
/// [`CommandError::NotFound`] for an unknown job, [`starscreen_domain::usage::UsageError::LimitReached`] without a
/// free slot.
pub async fn upload_resume(bus: &Bus, context: Context, upload: Upload) -> Result<Committed<Uploaded>, CommandError> {
    let at = context.at;
    let tenant = context.tenant;
    bus.commit(context.in_turn(), move |unit| {
        let Upload { candidate, key, mut command } = upload.clone();
        Box::pin(async move {
            let job = command.job_id;
            job::present(unit, job).await?;
            let (usage_id, terms) = billing_period(unit, tenant, at).await?;
            unit.decide::<Usage>(usage_id, ReserveSlots { terms, candidates: vec![candidate] }).await?;
            command.usage_id = usage_id;
            let content_hash = command.content_hash.clone();
            unit.decide::<Candidate>(candidate, command).await?;
            unit.add_key(key);
            unit.add_candidate(NewCandidate { candidate_id: candidate, tenant_id: tenant, job_id: job, content_hash });
            let remaining = unit.state::<Usage>(usage_id).await?.remaining();
            let task = unit.work_ids().first().copied().unwrap_or_default();
            Ok(Uploaded { candidate, job, task, remaining })
        })
    })
    .await
}

/// Deletes a candidate. Its slot stays used.
///
/// # Errors
/// [`CommandError::NotFound`] for an unknown candidate, or one of another job.
pub async fn delete(
    bus: &Bus,
    context: Context,
    job: JobId,
    candidate: CandidateId,
) -> Result<Committed<()>, CommandError> {
    bus.commit(context.in_turn(), move |unit| {
        Box::pin(async move {
            job::present(unit, job).await?;
            if unit.state::<Candidate>(candidate).await?.job_id != Some(job) {
                return Err(CommandError::NotFound("candidate"));
            }
            remove(unit, candidate, DeletionReason::Requested).await
        })
    })
    .await
}

/// Decides the deletion of a candidate and of its claim to a free slot.
pub(crate) async fn remove(
    unit: &mut Unit,
    candidate: CandidateId,
    reason: DeletionReason,
) -> Result<(), CommandError> {
    let state = unit.state::<Candidate>(candidate).await?;
    if let Some(usage_id) = state.usage_id.filter(|_| state.holds_reserved_slot()) {
        unit.decide::<Usage>(usage_id, CommitSlot { candidate }).await?;
    }
    let deleted = unit.decide::<Candidate>(candidate, DeleteCandidate { reason }).await;
    deleted.map(|_| ()).map_err(|error| match error {
        CommandError::Candidate(CandidateError::NotUploaded | CandidateError::Deleted) => {
            CommandError::NotFound("candidate")
        }
        error => error,
    })
}

/// Gives back the slot of a candidate that failed before it was scored.
pub(crate) async fn release_slot(
    unit: &mut Unit,
    candidate: CandidateId,
    before: &Candidate,
    reason: ReleaseReason,
) -> Result<(), CommandError> {
    if let Some(usage_id) = before.usage_id.filter(|_| before.holds_reserved_slot()) {
        unit.decide::<Usage>(usage_id, ReleaseSlot { candidate, reason }).await?;
    }
    Ok(())
}

/// The tenant's running billing period and what would open it.
pub(crate) async fn billing_period(
    unit: &mut Unit,
    tenant: TenantId,
    at: chrono::DateTime<chrono::Utc>,
) -> Result<(UsageId, PeriodTerms), CommandError> {
    let subscription = unit.state::<Subscription>(tenant).await?;
    let period = subscription.period(at)?;
    let terms = PeriodTerms { period, plan: subscription.plan.code, limit: subscription.plan.monthly_limit };
    Ok((UsageId::of(tenant, &period), terms))
}

/// Used and limit of the running billing period, if nothing more fits into it now.
///
/// # Errors
/// When the store fails.
pub async fn exhausted(
    bus: &Bus,
    tenant: TenantId,
    at: chrono::DateTime<chrono::Utc>,
) -> Result<Option<(u32, u32)>, CommandError> {
    let period = bus.read::<Subscription>(tenant, tenant).await?.period(at)?;
    let usage = bus.read::<Usage>(tenant, UsageId::of(tenant, &period)).await?;
    Ok(usage.limit.map(|limit| (usage.used(), limit)).filter(|(used, limit)| used >= limit))
}
